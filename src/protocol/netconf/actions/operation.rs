//! Which operation an RPC is.

use super::edit::{self, reading};
use super::filter::{Selected, of_filter, of_subtree, of_xpath, plain_path};
use super::{
    Asked, BASE, Effect, Envelope, MONITORING, NMDA, NOTIFICATION, PARTIAL_LOCK, Refused, Rpc, SUBSCRIBED, Scope,
    TAILF_ACTIONS, WITH_DEFAULTS, YANG, cli, subscribe, whole,
};
use crate::domain::data::{DataPath, Datastore, Models};
use crate::domain::{Action, Verb};

/// The longest name of a stream, schema or operation.
const NAME_BYTES_MAX: usize = 512;

impl Envelope {
    /// What the RPC asks for.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn rpc(&self, models: &Models) -> Result<Rpc, Refused> {
        let rpc = &self.rpc;
        let text = rpc.text.contains(|c: char| !c.is_ascii_whitespace()) || rpc.unclear;
        let [operation] = rpc.children.as_slice() else {
            return Err(Refused::invalid("an RPC has one operation"));
        };
        if text {
            return Err(Refused::invalid("the RPC holds text"));
        }
        let around = Scope::of(rpc, None);
        let asked = Asked { element: operation, scope: Scope::of(operation, Some(&around)), models };
        let name = &operation.name;
        if let Some(lines) = cli::lines_of(operation)? {
            let asks = lines.into_iter().map(|line| Action::new(Verb::CliRun, line)).collect();
            return Ok(Rpc { what: name.local.to_string(), asks, reads: None, effect: Effect::None });
        }
        match &*name.ns {
            BASE => base(&asked),
            NMDA if name.is(NMDA, "edit-data") => edit::edit(&asked),
            NMDA if name.is(NMDA, "get-data") => get_data(&asked),
            YANG | TAILF_ACTIONS if &*name.local == "action" => edit::action(&asked),
            PARTIAL_LOCK if &*name.local == "partial-lock" => partial_lock(&asked),
            PARTIAL_LOCK if &*name.local == "partial-unlock" => {
                asked.only(&[(PARTIAL_LOCK, "lock-id")])?;
                simple(&asked, Verb::NetconfPartialUnlock, "")
            }
            MONITORING if &*name.local == "get-schema" => {
                asked.only(&["identifier", "version", "format"].map(|name| (MONITORING, name)))?;
                named(&asked, Verb::NetconfGetSchema, MONITORING, "identifier")
            }
            NOTIFICATION if &*name.local == "create-subscription" => subscribe::create(&asked),
            SUBSCRIBED => subscribe::subscribed(&asked),
            _ => other(&asked),
        }
    }
}

/// The operations of RFC 6241.
fn base(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    match &*asked.element.name.local {
        "get" => get(asked, Verb::NetconfGet, &[Datastore::Running, Datastore::Operational]),
        "get-config" => {
            let source = asked.datastore("source")?;
            let mut rpc = get(asked, Verb::NetconfGetConfig, &[source])?;
            rpc.what = format!("get-config {source}");
            Ok(rpc)
        }
        "edit-config" => edit::edit(asked),
        "copy-config" => edit::copy(asked),
        "delete-config" => edit::delete(asked),
        "validate" => edit::validate(asked),
        "lock" | "unlock" => {
            asked.only(&[(BASE, "target")])?;
            let target = asked.datastore("target")?;
            let locks = &*asked.element.name.local == "lock";
            simple(asked, if locks { Verb::NetconfLock } else { Verb::NetconfUnlock }, target.as_str())
        }
        "commit" => {
            let known = ["confirmed", "confirm-timeout", "persist", "persist-id"];
            asked.only(&known.map(|name| (BASE, name)))?;
            let confirmed = asked.parameter(BASE, "confirmed").is_some();
            let mut rpc = simple(asked, Verb::NetconfCommit, if confirmed { "confirmed" } else { "" })?;
            rpc.effect = Effect::Commit;
            Ok(rpc)
        }
        "cancel-commit" => {
            asked.only(&[(BASE, "persist-id")])?;
            simple(asked, Verb::NetconfCancelCommit, "")
        }
        "discard-changes" => {
            asked.only(&[])?;
            let mut rpc = simple(asked, Verb::NetconfDiscardChanges, "")?;
            rpc.effect = Effect::Discard;
            Ok(rpc)
        }
        "close-session" => {
            // Whoever may have a session may end it (RFC 8341 §3.4.4).
            asked.only(&[])?;
            Ok(Rpc { what: "close-session".to_owned(), asks: Vec::new(), reads: None, effect: Effect::Close })
        }
        "kill-session" => {
            asked.only(&[(BASE, "session-id")])?;
            let id = asked.word(BASE, "session-id")?.unwrap_or_default();
            if id.is_empty() || id.len() > 10 || !id.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Refused::invalid("`session-id` is a number"));
            }
            simple(asked, Verb::NetconfKillSession, id)
        }
        _ => other(asked),
    }
}

fn simple(asked: &Asked<'_>, verb: Verb, object: &str) -> Result<Rpc, Refused> {
    let what = format!("{} {object}", asked.element.name.local).trim_end().to_owned();
    Ok(Rpc { what, asks: vec![Action::new(verb, object)], reads: None, effect: Effect::None })
}

fn named(asked: &Asked<'_>, verb: Verb, ns: &str, parameter: &str) -> Result<Rpc, Refused> {
    let name = asked.word(ns, parameter)?.ok_or_else(|| Refused::invalid(format!("`{parameter}` is missing")))?;
    if name.len() > NAME_BYTES_MAX {
        return Err(Refused::invalid(format!("`{parameter}` is too long")));
    }
    simple(asked, verb, name)
}

fn get(asked: &Asked<'_>, verb: Verb, datastores: &[Datastore]) -> Result<Rpc, Refused> {
    asked.only(&[(BASE, "source"), (BASE, "filter"), (WITH_DEFAULTS, "with-defaults")])?;
    if verb == Verb::NetconfGet && asked.parameter(BASE, "source").is_some() {
        return Err(Refused::unsupported("the gateway does not take `source` in `get`"));
    }
    let asks = of_filter(asked.parameter(BASE, "filter"))?.asks(verb, datastores);
    Ok(Rpc { what: "get".to_owned(), asks, reads: reading(verb, datastores), effect: Effect::None })
}

/// `get-data` (RFC 8526 §3.1).
fn get_data(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    let known = [
        "datastore",
        "subtree-filter",
        "xpath-filter",
        "config-filter",
        "origin-filter",
        "negated-origin-filter",
        "max-depth",
        "with-origin",
    ];
    let known: Vec<_> = known
        .iter()
        .map(|name| (NMDA, *name))
        .chain([(WITH_DEFAULTS, "with-defaults"), (NMDA, "with-defaults")])
        .collect();
    asked.only(&known)?;
    let datastore = asked.identified_datastore(NMDA)?;
    let selected = filtered(asked, NMDA, "subtree-filter", "xpath-filter")?;
    let asks = selected.asks(Verb::NetconfGetData, &[datastore]);
    let what = format!("get-data {datastore}");
    Ok(Rpc { what, asks, reads: reading(Verb::NetconfGetData, &[datastore]), effect: Effect::None })
}

/// What one of two filters in parameters of their own selects.
pub(super) fn filtered(asked: &Asked<'_>, ns: &str, subtree: &str, xpath: &str) -> Result<Selected, Refused> {
    match (asked.parameter(ns, subtree), asked.parameter(ns, xpath)) {
        (Some(filter), None) => of_subtree(&filter),
        (None, Some(filter)) => {
            let text = filter.element.leaf().ok_or_else(|| Refused::invalid("the filter is not text"))?;
            Ok(of_xpath(text, &filter.scope, filter.models))
        }
        (None, None) => of_filter(None),
        (Some(_), Some(_)) => Err(Refused::invalid("there are two filters")),
    }
}

/// `partial-lock` (RFC 5717): of the running configuration.
fn partial_lock(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    let mut asks = Vec::new();
    for select in &asked.element.children {
        let select = asked.inner(select);
        let text = select.element.leaf().filter(|_| select.element.name.is(PARTIAL_LOCK, "select"));
        let text = text.ok_or_else(|| Refused::invalid("a partial lock has a `select`"))?;
        let path = plain_path(text, &select.scope, select.models).unwrap_or_else(DataPath::root);
        asks.push(whole(Verb::NetconfPartialLock, Datastore::Running, path));
    }
    if asks.is_empty() || asks.len() > 64 {
        return Err(Refused::invalid("a partial lock has one to 64 `select`"));
    }
    Ok(Rpc { what: "partial-lock".to_owned(), asks, reads: None, effect: Effect::None })
}

/// An operation of a model: `module:name`; where the module is not known, its namespace.
pub(super) fn other(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    let name = &asked.element.name;
    let module = match &*name.ns {
        BASE => "ietf-netconf",
        ns => asked.models.module_of(ns).unwrap_or(ns),
    };
    let object = format!("{module}:{}", name.local);
    if object.len() > NAME_BYTES_MAX || object.contains(char::is_control) {
        return Err(Refused::invalid("the namespace of the operation is too long"));
    }
    let asks = vec![Action::new(Verb::NetconfRpc, object)];
    Ok(Rpc { what: name.local.to_string(), asks, reads: None, effect: Effect::None })
}
