//! What the value of an update does to the tree (gNMI specification §2.3, §3.4.4). Pure.
//!
//! A JSON value is merged leaf by leaf, and decided so; of every other kind only the path that it is written to is known, and decided with all below it.

use crate::domain::data::{
    Change, DataNode, DataPath, DefaultOperation, EditOperation, JsonData, Keys, Models, Naming, NodeName, Step,
    changes,
};

use super::refused::Refused;
use super::wire::Message;

/// Fields of `TypedValue`.
pub(super) mod field {
    pub(in crate::protocol::gnmi) const STRING: u32 = 1;
    pub(in crate::protocol::gnmi) const JSON: u32 = 10;
    pub(in crate::protocol::gnmi) const JSON_IETF: u32 = 11;
    pub(in crate::protocol::gnmi) const ASCII: u32 = 12;
}

/// What merging `value` into the node at `base` does.
pub(super) fn merged(base: &DataPath, value: Option<&Message<'_>>, models: &Models) -> Result<Vec<Change>, Refused> {
    let whole = || vec![Change { operation: EditOperation::Merge, path: base.clone() }];
    match read(value)? {
        None | Some(JsonData::Value) => Ok(whole()),
        Some(JsonData::Entries(entries)) => {
            let (parent, step) = list(base)?;
            told(&parent, &entries_of(step, entries), models)
        }
        Some(JsonData::Members(mut nodes)) => {
            let again = wrapped(base, &nodes);
            agree(base, &mut nodes)?;
            let mut changes = if nodes.is_empty() { whole() } else { told(base, &nodes, models)? };
            if let Some(parent) = again {
                changes.extend(told(&parent, &nodes, models)?);
            }
            Ok(changes)
        }
    }
}

/// What putting `value` in the place of the node at `base` does: all that is there goes, so its root tells it.
pub(super) fn replaced(base: &DataPath, value: Option<&Message<'_>>, models: &Models) -> Result<Vec<Change>, Refused> {
    let mut changes = vec![Change { operation: EditOperation::Replace, path: base.clone() }];
    match read(value)? {
        None | Some(JsonData::Value) => {}
        Some(JsonData::Entries(_)) => drop(list(base)?),
        Some(JsonData::Members(mut nodes)) => {
            if let Some(parent) = wrapped(base, &nodes) {
                let replacing = |node: &DataNode| DataNode { operation: Some(EditOperation::Replace), ..node.clone() };
                changes.extend(told(&parent, &nodes.iter().map(replacing).collect::<Vec<_>>(), models)?);
            }
            agree(base, &mut nodes)?;
        }
    }
    Ok(changes)
}

/// The value as JSON, when it is JSON.
fn read(value: Option<&Message<'_>>) -> Result<Option<JsonData>, Refused> {
    let json = value.and_then(|value| value.bytes(field::JSON).or_else(|| value.bytes(field::JSON_IETF)));
    json.map(|json| JsonData::read(json, Naming::AsWritten)).transpose().map_err(Refused::invalid)
}

fn told(base: &DataPath, nodes: &[DataNode], models: &Models) -> Result<Vec<Change>, Refused> {
    changes(base, nodes, DefaultOperation::Merge, models).map_err(Refused::invalid)
}

/// The parent of the list that `base` names, and the step to it. Entries can be written to nothing else.
fn list(base: &DataPath) -> Result<(DataPath, &Step), Refused> {
    match base.steps().split_last() {
        Some((step, above)) if step.keys == Keys::All && matches!(step.name, NodeName::Named { .. }) => {
            Ok((DataPath::new(above.to_vec()).map_err(Refused::invalid)?, step))
        }
        _ => Err(Refused::invalid("a list of entries is written to something that is not a list")),
    }
}

fn entries_of(step: &Step, entries: Vec<Vec<DataNode>>) -> Vec<DataNode> {
    let NodeName::Named { module, name } = &step.name else { return Vec::new() };
    let entry = |children| DataNode { children, ..DataNode::new(module.as_deref(), name) };
    entries.into_iter().map(entry).collect()
}

/// Takes the keys that the path names already out of the members: they change nothing if they say the same.
fn agree(base: &DataPath, nodes: &mut Vec<DataNode>) -> Result<(), Refused> {
    let Some(Keys::Named(keys)) = base.steps().last().map(|step| &step.keys) else { return Ok(()) };
    for (key, value) in keys {
        let Some(value) = value else { continue };
        // SECURITY: the path is what is decided, so the value must not name another entry.
        let says = |node: &DataNode| node.value.as_ref() == Some(value) && node.children.is_empty();
        if nodes.iter().any(|node| node.name == *key && !says(node)) {
            return Err(Refused::invalid("the value names another list entry than the path"));
        }
        nodes.retain(|node| node.name != *key);
    }
    Ok(())
}

/// Some elements take a value that begins with the node itself for the node's content, so it is decided in that reading too. The node's parent, if
/// it can be read so.
fn wrapped(base: &DataPath, nodes: &[DataNode]) -> Option<DataPath> {
    let (step, above) = base.steps().split_last()?;
    let again = match &step.name {
        NodeName::Named { name, .. } => nodes.iter().all(|node| node.name == *name),
        NodeName::Any | NodeName::Many => true,
    };
    if again && !nodes.is_empty() { DataPath::new(above.to_vec()).ok() } else { None }
}
