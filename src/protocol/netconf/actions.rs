//! What one `<rpc>` asks for: its operation, and every action that must be allowed before the element sees it. Pure.
//!
//! What could be read in two ways is refused, and so is every parameter that is not known here: a `url` anywhere, an attribute that an
//! element might obey, a command line in a shape that hides it.

mod cli;
mod edit;
mod envelope;
mod filter;
mod operation;
mod subscribe;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::xml::{Element, XmlError};
use crate::domain::data::{Change, DataPath, DataTarget, Datastore, EditOperation, Models};
use crate::domain::{Action, ParseError, Verb};

pub use edit::node_of;
pub use envelope::{Envelope, ReplyHead};

/// The namespace of NETCONF itself (RFC 6241).
pub const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";
/// The namespace of YANG's own elements and attributes (RFC 7950).
const YANG: &str = "urn:ietf:params:xml:ns:yang:1";
/// Datastores for more operations (RFC 8526).
const NMDA: &str = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda";
/// The names of datastores (RFC 8342).
const DATASTORES: &str = "urn:ietf:params:xml:ns:yang:ietf-datastores";
/// Defaults in answers (RFC 6243).
const WITH_DEFAULTS: &str = "urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults";
/// Schemas (RFC 6022).
const MONITORING: &str = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring";
/// Partial locks (RFC 5717).
const PARTIAL_LOCK: &str = "urn:ietf:params:xml:ns:netconf:partial-lock:1.0";
/// Notifications (RFC 5277).
const NOTIFICATION: &str = "urn:ietf:params:xml:ns:netconf:notification:1.0";
/// Subscriptions (RFC 8639).
const SUBSCRIBED: &str = "urn:ietf:params:xml:ns:yang:ietf-subscribed-notifications";
/// Subscriptions to datastores (RFC 8641).
const YANG_PUSH: &str = "urn:ietf:params:xml:ns:yang:ietf-yang-push";
/// Actions before RFC 7950.
const TAILF_ACTIONS: &str = "http://tail-f.com/ns/netconf/actions/1.0";

/// One RPC, understood.
#[derive(Debug)]
pub struct Rpc {
    /// What it is, for people: `edit-config candidate`.
    pub what: String,
    /// Everything that must be allowed.
    pub asks: Vec<Action>,
    /// What its answer shows of a data tree: left out of it is what may not be read.
    pub reads: Option<Reading>,
    /// What it does to the session.
    pub effect: Effect,
}

/// What an answer shows.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The verb that reading is.
    pub verb: Verb,
    /// The datastores that it is read from; what is shown may be read from each.
    pub datastores: Vec<Datastore>,
}

/// What an RPC does besides being answered.
#[derive(Debug)]
pub enum Effect {
    /// Nothing.
    None,
    /// Ends the session.
    Close,
    /// Makes the candidate the running configuration.
    Commit,
    /// Empties the candidate.
    Discard,
    /// Changes a datastore.
    Edit {
        /// Which.
        datastore: Datastore,
        /// What is touched; a change of everything when it is not known.
        changes: Vec<Change>,
        /// A subtree filter that selects what is touched; none for everything.
        selection: Option<String>,
    },
    /// Notifications go on under these actions.
    Subscribe(Vec<Action>),
}

/// How an error is named to the client (RFC 6241 appendix A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorTag {
    /// Policy.
    AccessDenied,
    /// A value that cannot be.
    InvalidValue,
    /// Not XML, or not an RPC.
    MalformedMessage,
    /// It could not be carried out.
    OperationFailed,
    /// What the gateway does not police.
    OperationNotSupported,
    /// Past a limit.
    TooBig,
}

impl ErrorTag {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access-denied",
            Self::InvalidValue => "invalid-value",
            Self::MalformedMessage => "malformed-message",
            Self::OperationFailed => "operation-failed",
            Self::OperationNotSupported => "operation-not-supported",
            Self::TooBig => "too-big",
        }
    }
}

/// Why an RPC is not decided: it is refused as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// For programs.
    pub tag: ErrorTag,
    /// For people.
    pub text: String,
}

impl Refused {
    fn unsupported(text: impl Into<String>) -> Self {
        Self { tag: ErrorTag::OperationNotSupported, text: text.into() }
    }

    fn invalid(text: impl Into<String>) -> Self {
        Self { tag: ErrorTag::InvalidValue, text: text.into() }
    }
}

impl From<XmlError> for Refused {
    fn from(error: XmlError) -> Self {
        match error {
            XmlError::Malformed(text) => Self { tag: ErrorTag::MalformedMessage, text },
            XmlError::TooBig(text) => Self { tag: ErrorTag::TooBig, text },
        }
    }
}

impl From<ParseError> for Refused {
    fn from(error: ParseError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// The namespaces that are declared around an element.
#[derive(Debug, Clone, Copy)]
struct Scope<'e> {
    outer: Option<&'e Self>,
    declares: &'e [(Box<str>, Arc<str>)],
}

impl<'e> Scope<'e> {
    fn of(element: &'e Element, outer: Option<&'e Self>) -> Self {
        Self { outer, declares: &element.declares }
    }

    fn find(&self, prefix: &str) -> Option<&str> {
        let own = self.declares.iter().find(|(known, _)| &**known == prefix).map(|(_, ns)| &**ns);
        own.or_else(|| self.outer.and_then(|outer| outer.find(prefix)))
    }
}

/// An element that is an operation or parameter, with what stands around it.
#[derive(Debug, Clone, Copy)]
struct Asked<'e> {
    element: &'e Element,
    scope: Scope<'e>,
    models: &'e Models,
}

impl<'e> Asked<'e> {
    /// The parameter with this name; there is one at most.
    fn parameter(&'e self, ns: &'e str, local: &'e str) -> Option<Self> {
        let element = self.element.children.iter().find(|child| is_parameter(&child.name, ns, local))?;
        Some(self.inner(element))
    }

    fn inner(&'e self, element: &'e Element) -> Self {
        Self { element, scope: Scope::of(element, Some(&self.scope)), models: self.models }
    }

    /// SECURITY: a parameter that is not known here might be one that the element obeys.
    fn only(&self, known: &[(&str, &str)]) -> Result<(), Refused> {
        if self.element.unclear || self.element.text.contains(|c: char| !c.is_ascii_whitespace()) {
            return Err(Refused::invalid(format!("`{}` holds text", self.element.name.local)));
        }
        let mut seen: Vec<&(&str, &str)> = Vec::new();
        for child in &self.element.children {
            let name = &child.name;
            let Some(found) = known.iter().find(|(ns, local)| is_parameter(name, ns, local)) else {
                let text = format!("the gateway does not take `{}` in `{}`", name.local, self.element.name.local);
                return Err(Refused::unsupported(text));
            };
            if seen.contains(&found) {
                return Err(Refused::invalid(format!("`{}` is there twice", name.local)));
            }
            seen.push(found);
        }
        Ok(())
    }

    /// The text of a parameter that is one word.
    fn word(&'e self, ns: &'e str, local: &'e str) -> Result<Option<&'e str>, Refused> {
        let Some(found) = self.parameter(ns, local) else { return Ok(None) };
        let text =
            found.element.leaf().map(str::trim).filter(|text| !text.is_empty() && !text.contains(char::is_control));
        text.map(Some).ok_or_else(|| Refused::invalid(format!("`{local}` is not a word")))
    }

    /// The datastore in a parameter such as `<target><running/></target>`.
    fn datastore(&'e self, local: &'e str) -> Result<Datastore, Refused> {
        let parameter = self.parameter(BASE, local).ok_or_else(|| Refused::invalid(format!("`{local}` is missing")))?;
        parameter.only(&[(BASE, "candidate"), (BASE, "running"), (BASE, "startup")])?;
        match parameter.element.children.as_slice() {
            [only] if only.leaf().is_some_and(|text| text.trim().is_empty()) => Ok(only.name.local.parse()?),
            _ => Err(Refused::invalid(format!("`{local}` names no datastore"))),
        }
    }

    /// The datastore in a parameter such as `<datastore>ds:running</datastore>` (RFC 8526).
    fn identified_datastore(&'e self, ns: &'e str) -> Result<Datastore, Refused> {
        let bad = || Refused::invalid("`datastore` names no datastore");
        let parameter = self.parameter(ns, "datastore").ok_or_else(bad)?;
        let text = parameter.element.leaf().map(str::trim).ok_or_else(bad)?;
        let (prefix, name) = text.split_once(':').unwrap_or(("", text));
        if parameter.scope.find(prefix) != Some(DATASTORES) {
            return Err(bad());
        }
        Ok(name.parse()?)
    }
}

/// Whether an element is this parameter. Clients leave out the namespace of NETCONF's own, and elements take them all the same.
fn is_parameter(name: &super::xml::Name, ns: &str, local: &str) -> bool {
    name.is(ns, local) || ns == BASE && name.is("", local)
}

/// What an operation of RFC 6241 does to one node.
fn verb_of(operation: EditOperation) -> Verb {
    match operation {
        EditOperation::Create => Verb::NetconfCreate,
        EditOperation::Delete => Verb::NetconfDelete,
        EditOperation::Merge => Verb::NetconfMerge,
        EditOperation::Remove => Verb::NetconfRemove,
        EditOperation::Replace => Verb::NetconfReplace,
    }
}

/// The action that a change of a datastore is.
pub fn action_of(change: &Change, datastore: Datastore) -> Action {
    Action::new(verb_of(change.operation), DataTarget::whole(datastore, change.path.clone()).to_string())
}

fn whole(verb: Verb, datastore: Datastore, path: DataPath) -> Action {
    Action::new(verb, DataTarget::whole(datastore, path).to_string())
}

/// The path of the node that an action was about, with namespaces, as `error-path` has it (RFC 6241 §4.3).
pub fn error_path(action: &Action, models: &Models) -> Option<(String, Vec<(String, String)>)> {
    use crate::domain::data::{Keys, NodeName};
    let target: DataTarget = action.object.parse().ok()?;
    let (mut text, mut declared) = (String::new(), Vec::<(String, String)>::new());
    for step in target.path.steps() {
        let NodeName::Named { module, name } = &step.name else { return None };
        let ns = module.as_ref().and_then(|module| Some((module.clone(), models.namespace_of(module)?)));
        let prefix = ns.as_ref().map_or(String::new(), |(module, _)| format!("{module}:"));
        text.push_str(&format!("/{prefix}{name}"));
        if let Keys::Named(keys) = &step.keys {
            for (key, value) in keys {
                if let Some(value) = value.as_deref().filter(|value| !value.contains('\'')) {
                    text.push_str(&format!("[{prefix}{key}='{value}']"));
                }
            }
        }
        if let Some(ns) = ns
            && !declared.contains(&ns)
        {
            declared.push(ns);
        }
    }
    (!text.is_empty()).then_some((text, declared))
}
