//! What the router answers to an RPC.

use super::edit::{self, Operation};
use super::{Fault, model, xml};
use crate::domain::Timestamp;
use crate::lab::device::Device;
use crate::protocol::netconf::actions::BASE;
use crate::protocol::netconf::observe::escaped;
use crate::protocol::netconf::xml::Element;

/// What comes after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Close,
    Nothing,
}

/// An error of the protocol (RFC 6241 appendix A).
struct Wrong(&'static str, String);

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        let tag = match fault {
            Fault::Exists => "data-exists",
            Fault::Invalid(_) => "invalid-value",
            Fault::Missing => "data-missing",
            Fault::Unknown(_) => "unknown-element",
        };
        Self(tag, fault.to_string())
    }
}

const OK: &str = "<ok/>";

/// The inside of the answer to `rpc`.
pub(super) fn to(rpc: &Element, device: &Device, account: &str, session: u32, now: Timestamp) -> (String, After) {
    let Some(operation) = rpc.children.first().filter(|_| rpc.children.len() == 1) else {
        return (told(&Wrong("malformed-message", "an rpc has one operation".to_owned())), After::Nothing);
    };
    if operation.name.is(BASE, "close-session") {
        return (OK.to_owned(), After::Close);
    }
    let answered = run(operation, device, account, session, now);
    (answered.unwrap_or_else(|wrong| told(&wrong)), After::Nothing)
}

fn told(Wrong(tag, text): &Wrong) -> String {
    format!(
        "<rpc-error><error-type>application</error-type><error-tag>{tag}</error-tag><error-severity>error</error-severity><error-message xml:lang=\"en\">{}</error-message></rpc-error>",
        escaped(text)
    )
}

fn run(operation: &Element, device: &Device, account: &str, session: u32, now: Timestamp) -> Result<String, Wrong> {
    let unknown = || Wrong("operation-not-supported", format!("`{}` is not done here", operation.name.local));
    if &*operation.name.ns != BASE {
        return Err(unknown());
    }
    match &*operation.name.local {
        "get" => Ok(shown(super::look(device, false), operation)),
        "get-config" => {
            let source = datastore(operation, "source")?;
            Ok(shown(configuration(device, source), operation))
        }
        "edit-config" => edit_config(operation, device, account, session, now),
        "lock" => lock(device, datastore(operation, "target")?, session),
        "unlock" => unlock(device, datastore(operation, "target")?, session),
        "commit" => {
            locked(device, "running", session)?;
            let changed = device.with(|state| {
                let candidate = state.candidate.take();
                let changed = candidate.as_ref().is_some_and(|candidate| *candidate != state.running);
                if let Some(candidate) = candidate {
                    state.running = candidate;
                }
                changed
            });
            if changed {
                device.log(now, &format!("%SYS-5-CONFIG_I: Configured by {account} through NETCONF commit"));
                device.tell();
            }
            Ok(OK.to_owned())
        }
        "discard-changes" => {
            device.with(|state| state.candidate = None);
            Ok(OK.to_owned())
        }
        "validate" => datastore(operation, "source").map(|_| OK.to_owned()),
        _ => Err(unknown()),
    }
}

fn shown(tree: serde_json::Value, operation: &Element) -> String {
    let filter = parameter(operation, "filter");
    let tree = filter.map_or_else(|| tree.clone(), |filter| xml::filtered(&tree, filter));
    format!("<data>{}</data>", xml::written(&tree))
}

/// Clients often write a parameter in no namespace; many routers do not mind.
fn parameter<'e>(operation: &'e Element, name: &str) -> Option<&'e Element> {
    operation.children.iter().find(|child| &*child.name.local == name && matches!(&*child.name.ns, BASE | ""))
}

fn configuration(device: &Device, datastore: &str) -> serde_json::Value {
    device.with(|state| match &state.candidate {
        Some(candidate) if datastore == "candidate" => model::tree(candidate),
        _ => model::tree(&state.running),
    })
}

fn datastore(operation: &Element, name: &str) -> Result<&'static str, Wrong> {
    let named = parameter(operation, name).and_then(|element| element.children.first());
    match named.map(|element| &*element.name.local) {
        Some("running") => Ok("running"),
        Some("candidate") => Ok("candidate"),
        Some(other) => Err(Wrong("invalid-value", format!("there is no datastore `{other}`"))),
        None => Err(Wrong("missing-element", format!("`{name}` is missing"))),
    }
}

fn edit_config(
    operation: &Element,
    device: &Device,
    account: &str,
    session: u32,
    now: Timestamp,
) -> Result<String, Wrong> {
    let target = datastore(operation, "target")?;
    locked(device, target, session)?;
    let text = |name| parameter(operation, name).map(|element| element.text.trim().to_owned());
    let default = match text("default-operation").as_deref() {
        None | Some("merge") => Some(Operation::Merge),
        Some("replace") => Some(Operation::Replace),
        Some("none") => None,
        Some(other) => return Err(Wrong("invalid-value", format!("`{other}` is not a default operation"))),
    };
    let config = parameter(operation, "config");
    let config = config.ok_or_else(|| Wrong("missing-element", "`config` is missing".to_owned()))?;
    let edits = xml::edits(config, default)?;
    if target == "running" {
        super::change(device, &edits, account, "NETCONF", now)?;
    } else {
        device.with(|state| -> Result<(), Fault> {
            let mut next = state.candidate.clone().unwrap_or_else(|| state.running.clone());
            edit::apply_all(&mut next, &edits)?;
            state.candidate = Some(next);
            Ok(())
        })?;
    }
    Ok(OK.to_owned())
}

fn locked(device: &Device, datastore: &str, session: u32) -> Result<(), Wrong> {
    let holder = device.with(|state| state.locks.get(datastore).copied());
    match holder {
        Some(holder) if holder != session => Err(Wrong("in-use", format!("session {holder} has locked `{datastore}`"))),
        _ => Ok(()),
    }
}

fn lock(device: &Device, datastore: &'static str, session: u32) -> Result<String, Wrong> {
    let holder = device.with(|state| *state.locks.entry(datastore).or_insert(session));
    if holder == session {
        return Ok(OK.to_owned());
    }
    Err(Wrong("lock-denied", format!("session {holder} has locked `{datastore}`")))
}

fn unlock(device: &Device, datastore: &'static str, session: u32) -> Result<String, Wrong> {
    let freed = device.with(|state| {
        let own = state.locks.get(datastore) == Some(&session);
        own && state.locks.remove(datastore).is_some()
    });
    if freed {
        Ok(OK.to_owned())
    } else {
        Err(Wrong("operation-failed", format!("`{datastore}` is not locked by you")))
    }
}

/// A session is over: its locks go, and with that on the candidate what was staged (RFC 6241 §8.3.5.2).
pub(super) fn release(device: &Device, session: u32) {
    device.with(|state| {
        if state.locks.get("candidate") == Some(&session) {
            state.candidate = None;
        }
        state.locks.retain(|_, holder| *holder != session);
    });
}
