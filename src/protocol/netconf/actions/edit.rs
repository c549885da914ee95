//! What an edit would do: the data in a message as nodes with operations.

use super::cli;
use super::{Asked, BASE, Effect, NMDA, Reading, Refused, Rpc, Scope, YANG, action_of, whole};
use crate::domain::data::{Change, DataNode, DataPath, Datastore, DefaultOperation, EditOperation, Models, changes};
use crate::domain::{Action, Verb};
use crate::protocol::netconf::observe;
use crate::protocol::netconf::xml::Element;

/// Attributes of data that do not change what is touched: order, defaults, origin, and the operation itself.
const KNOWN_ATTRIBUTES: &[(&str, &[&str])] = &[
    (BASE, &["operation"]),
    (YANG, &["insert", "key", "value"]),
    ("urn:ietf:params:xml:ns:netconf:default:1.0", &["default"]),
    ("urn:ietf:params:xml:ns:yang:ietf-origin", &["origin"]),
    ("http://www.w3.org/XML/1998/namespace", &["lang"]),
];

/// How attributes without a namespace are taken: some elements obey `operation` all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Strict,
    Loose,
}

/// `edit-config` (RFC 6241 §7.2) and `edit-data` (RFC 8526).
pub(super) fn edit(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    let local = &*asked.element.name.local;
    let (ns, datastore) = if local == "edit-data" {
        asked.only(&[(NMDA, "datastore"), (NMDA, "default-operation"), (NMDA, "config")])?;
        (NMDA, asked.identified_datastore(NMDA)?)
    } else {
        let known = ["target", "default-operation", "test-option", "error-option", "config"];
        asked.only(&known.map(|name| (BASE, name)))?;
        (BASE, asked.datastore("target")?)
    };
    let default = match asked.word(ns, "default-operation")? {
        None | Some("merge") => DefaultOperation::Merge,
        Some("none") => DefaultOperation::None,
        Some("replace") => DefaultOperation::Replace,
        Some(_) => return Err(Refused::invalid("`default-operation` is merge, replace or none")),
    };
    for (option, values) in [
        ("test-option", &["test-then-set", "set", "test-only"][..]),
        ("error-option", &["stop-on-error", "continue-on-error", "rollback-on-error"]),
    ] {
        if asked.word(ns, option)?.is_some_and(|word| !values.contains(&word)) {
            return Err(Refused::invalid(format!("`{option}` is not one")));
        }
    }
    let config = asked.parameter(ns, "config").ok_or_else(|| Refused::invalid("`config` is missing"))?;
    let what = format!("{local} {datastore}");
    if let Some(lines) = cli::lines_in(config.element)? {
        let asks = lines.into_iter().map(|line| Action::new(Verb::CliRun, line)).collect();
        let effect = Effect::Edit { datastore, changes: everything(EditOperation::Merge), selection: None };
        return Ok(Rpc { what, asks, reads: None, effect });
    }
    let changes = changes_of(&config, default)?;
    if changes.is_empty() {
        return Err(Refused::invalid("the edit changes nothing"));
    }
    let asks = changes.iter().map(|change| action_of(change, datastore)).collect();
    let selection =
        if default == DefaultOperation::Replace { None } else { observe::selection(config.element, config.models) };
    Ok(Rpc { what, asks, reads: None, effect: Effect::Edit { datastore, changes, selection } })
}

/// `copy-config` (RFC 6241 §7.3): the whole target is replaced, and the whole source could be read there.
pub(super) fn copy(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    asked.only(&[(BASE, "target"), (BASE, "source"), (super::WITH_DEFAULTS, "with-defaults")])?;
    let target = asked.datastore("target")?;
    let mut asks = vec![Action::new(Verb::NetconfCopyConfig, target.as_str())];
    asks.push(whole(Verb::NetconfReplace, target, DataPath::root()));
    let source = asked.parameter(BASE, "source").ok_or_else(|| Refused::invalid("`source` is missing"))?;
    let what = match source.parameter(BASE, "config") {
        Some(config) => {
            source.only(&[(BASE, "config")])?;
            if cli::lines_in(config.element)?.is_some() {
                return Err(Refused::unsupported("the gateway does not take command lines in `copy-config`"));
            }
            for change in changes_of(&config, DefaultOperation::Merge)? {
                asks.push(action_of(&change, target));
            }
            format!("copy-config to {target}")
        }
        None => {
            let source = asked.datastore("source")?;
            asks.push(whole(Verb::NetconfGetConfig, source, DataPath::root()));
            format!("copy-config {source} to {target}")
        }
    };
    let changes = everything(EditOperation::Replace);
    let effect = Effect::Edit { datastore: target, changes, selection: None };
    Ok(Rpc { what, asks, reads: None, effect })
}

/// `delete-config` (RFC 6241 §7.4).
pub(super) fn delete(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    asked.only(&[(BASE, "target")])?;
    let target = asked.datastore("target")?;
    let asks = vec![
        Action::new(Verb::NetconfDeleteConfig, target.as_str()),
        whole(Verb::NetconfDelete, target, DataPath::root()),
    ];
    let effect = Effect::Edit { datastore: target, changes: everything(EditOperation::Delete), selection: None };
    Ok(Rpc { what: format!("delete-config {target}"), asks, reads: None, effect })
}

/// `validate` (RFC 6241 §8.6.4).
pub(super) fn validate(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    asked.only(&[(BASE, "source")])?;
    let source = asked.parameter(BASE, "source").ok_or_else(|| Refused::invalid("`source` is missing"))?;
    let object = match source.parameter(BASE, "config") {
        Some(_) => {
            source.only(&[(BASE, "config")])?;
            "config".to_owned()
        }
        None => asked.datastore("source")?.to_string(),
    };
    let what = format!("validate {object}");
    let asks = vec![Action::new(Verb::NetconfValidate, object)];
    Ok(Rpc { what, asks, reads: None, effect: Effect::None })
}

/// An action of a node (RFC 7950 §7.15), and the same from before it.
pub(super) fn action(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    let tailf;
    let holder = if asked.element.name.ns.as_ref() == YANG {
        *asked
    } else {
        asked.only(&[(super::TAILF_ACTIONS, "data")])?;
        tailf = asked.parameter(super::TAILF_ACTIONS, "data");
        tailf.ok_or_else(|| Refused::invalid("`data` is missing"))?
    };
    if let Some(lines) = cli::lines_within(holder.element)? {
        let asks = lines.into_iter().map(|line| Action::new(Verb::CliRun, line)).collect();
        return Ok(Rpc { what: "action".to_owned(), asks, reads: None, effect: Effect::None });
    }
    let [top] = holder.element.children.as_slice() else {
        return Err(Refused::invalid("an action has one node"));
    };
    let node = node_in(top, &DataPath::root(), &holder.scope, holder.models, Reader::Strict)?;
    let path = innermost(&DataPath::root(), &node, holder.models)?;
    let what = format!("action {path}");
    let asks = vec![whole(Verb::NetconfAction, Datastore::Running, path)];
    Ok(Rpc { what, asks, reads: None, effect: Effect::None })
}

/// Where an action is: down as long as there is one way. A row means all below its node, so that parameters of the action do not matter.
fn innermost(parent: &DataPath, node: &DataNode, models: &Models) -> Result<DataPath, Refused> {
    let path = node.path_below(parent, models)?;
    let keys = models.keys_of(&path);
    let mut ways = node.children.iter().filter(|child| !(child.children.is_empty() && keys.contains(&child.name)));
    match (ways.next(), ways.next()) {
        (Some(only), None) => innermost(&path, only, models),
        _ => Ok(path),
    }
}

fn everything(operation: EditOperation) -> Vec<Change> {
    vec![Change { operation, path: DataPath::root() }]
}

/// What the data in `config` does, however its attributes are taken.
fn changes_of(config: &Asked<'_>, default: DefaultOperation) -> Result<Vec<Change>, Refused> {
    check_attributes(config.element)?;
    if config.element.unclear || config.element.text.contains(|c: char| !c.is_ascii_whitespace()) {
        return Err(Refused::invalid("`config` holds text"));
    }
    let mut all: Vec<Change> = Vec::new();
    let loose = has_loose_operation(config.element);
    for reader in [Reader::Strict, Reader::Loose].into_iter().take(if loose { 2 } else { 1 }) {
        let nodes: Vec<DataNode> = config
            .element
            .children
            .iter()
            .map(|child| node_in(child, &DataPath::root(), &config.scope, config.models, reader))
            .collect::<Result<_, _>>()?;
        // An operation on `config` itself is the default for what is in it.
        let inherited = match operation_of(config.element, reader)? {
            None => default,
            Some(EditOperation::Merge | EditOperation::Create) => DefaultOperation::Merge,
            Some(EditOperation::Replace | EditOperation::Delete | EditOperation::Remove) => DefaultOperation::Replace,
        };
        let found = changes(&DataPath::root(), &nodes, inherited, config.models)?;
        if all.is_empty() {
            all = found;
        } else {
            all.extend(found);
        }
    }
    Ok(all)
}

fn has_loose_operation(element: &Element) -> bool {
    element.attribute("", "operation").is_some() || element.children.iter().any(has_loose_operation)
}

fn operation_of(element: &Element, reader: Reader) -> Result<Option<EditOperation>, Refused> {
    let strict = element.attribute(BASE, "operation");
    let loose = element.attribute("", "operation").filter(|_| reader == Reader::Loose);
    loose.or(strict).map(|word| word.parse().map_err(Refused::from)).transpose()
}

/// SECURITY: an attribute that is not known here might be one that the element obeys (`delete="delete"`, `rename`, `inactive`).
fn check_attributes(element: &Element) -> Result<(), Refused> {
    for attribute in &element.attributes {
        let (ns, local) = (&*attribute.name.ns, &*attribute.name.local);
        let known = KNOWN_ATTRIBUTES.iter().any(|(known, names)| *known == ns && names.contains(&local));
        if !(known || ns.is_empty() && local == "operation") {
            let text = format!("the gateway does not take the attribute `{local}` on `{}`", element.name.local);
            return Err(Refused::unsupported(text));
        }
    }
    Ok(())
}

/// An element of a message or an answer as a node, without operations.
///
/// # Errors
/// It can be read in two ways.
pub fn node_of(element: &Element, models: &Models) -> Result<DataNode, Refused> {
    node_in(element, &DataPath::root(), &Scope::of(element, None), models, Reader::Strict)
}

fn node_in(
    element: &Element,
    parent: &DataPath,
    outer: &Scope<'_>,
    models: &Models,
    reader: Reader,
) -> Result<DataNode, Refused> {
    check_attributes(element)?;
    if element.unclear {
        return Err(Refused::invalid(format!("`{}` holds text that can be read in two ways", element.name.local)));
    }
    let scope = Scope::of(element, Some(outer));
    let mut node = DataNode::new(models.module_of(&element.name.ns), &element.name.local);
    node.operation = operation_of(element, reader)?;
    // Without its keys: they are not known yet, and which leaves they are does not depend on them.
    let path = node.path_below(parent, models)?;
    let keys = models.keys_of(&path);
    for child in &element.children {
        let is_key = keys.iter().any(|key| **key == *child.name.local);
        let child_node = node_in(child, &path, &scope, models, reader)?;
        // SECURITY: a key that elements might read in two ways is taken for unknown: every entry.
        if !(is_key && child_node.operation.is_none() && is_two_faced(child, &scope)) {
            node.children.push(child_node);
        }
    }
    if element.children.is_empty() {
        node.value = Some(element.text.clone());
    }
    Ok(node)
}

/// Whether a value could mean another than its characters: blanks that some take away, a prefix that could be a namespace's.
pub(super) fn is_two_faced(leaf: &Element, outer: &Scope<'_>) -> bool {
    let scope = Scope::of(leaf, Some(outer));
    let text = leaf.leaf().unwrap_or_default();
    let prefixed = text.split_once(':').is_some_and(|(prefix, _)| scope.find(prefix).is_some());
    prefixed || text.trim() != text || text.is_empty()
}

/// What an operation that reads shows.
pub(super) fn reading(verb: Verb, datastores: &[Datastore]) -> Option<Reading> {
    Some(Reading { verb, datastores: datastores.to_vec() })
}
