//! YANG Patch (RFC 8072): each of its edits is decided by itself, and all of them must be allowed.

use super::{Refused, is_resource, merging, told, whole};
use crate::domain::data::{DataNode, DataPath, Datastore, DefaultOperation, EditOperation, Models};
use crate::domain::{Action, Verb};
use crate::protocol::restconf::codec::resource_below;

/// The module of patches.
const MODULE: &str = "ietf-yang-patch";

/// What the patch in `body` does below `base`.
pub(super) fn actions(
    body: &[DataNode],
    store: Datastore,
    base: &DataPath,
    models: &Models,
) -> Result<Vec<Action>, Refused> {
    let [patch] = body else { return Err(Refused::invalid("the body holds one patch")) };
    if patch.module.as_deref() != Some(MODULE) || patch.name != "yang-patch" {
        return Err(Refused::invalid("the body holds `ietf-yang-patch:yang-patch`"));
    }
    let mut found = Vec::new();
    for node in &patch.children {
        match node.name.as_str() {
            _ if node.module.as_deref() != Some(MODULE) => return Err(foreign(node)),
            "patch-id" | "comment" if node.children.is_empty() => {}
            "edit" => found.extend(edit(node, store, base, models)?),
            _ => return Err(foreign(node)),
        }
    }
    if found.is_empty() { Err(Refused::invalid("the patch changes nothing")) } else { Ok(found) }
}

fn foreign(node: &DataNode) -> Refused {
    Refused::invalid(format!("the gateway does not take `{}` in a patch", node.name))
}

fn edit(edit: &DataNode, store: Datastore, base: &DataPath, models: &Models) -> Result<Vec<Action>, Refused> {
    for (at, node) in edit.children.iter().enumerate() {
        let known = ["edit-id", "operation", "target", "point", "where", "value"].contains(&node.name.as_str());
        let twice = edit.children.iter().take(at).any(|other| other.name == node.name);
        if !known || twice || node.module.as_deref() != Some(MODULE) {
            return Err(foreign(node));
        }
    }
    let text = |name| edit.leaf(name).ok_or_else(|| Refused::invalid(format!("an edit has no `{name}`")));
    let target = below(base, text("target")?, models)?;
    let value = edit.children.iter().find(|node| node.name == "value").map(|node| node.children.as_slice());
    let needed = || value.ok_or_else(|| Refused::invalid("an edit has no `value`"));
    let unneeded = |action| match value {
        None => Ok(vec![action]),
        Some(_) => Err(Refused::invalid("an edit has a `value` that it does not need")),
    };
    match text("operation")? {
        "create" | "insert" => {
            let mut node = is_resource(needed()?, &target, models)?.clone();
            let Some((_, above)) = target.steps().split_last() else {
                return Err(Refused::invalid("a datastore is not created"));
            };
            node.operation = Some(EditOperation::Create);
            Ok(told(&DataPath::new(above.to_vec())?, &[node], DefaultOperation::None, store, models)?)
        }
        "merge" => merging(needed()?, store, &target, models),
        "replace" => {
            is_resource(needed()?, &target, models)?;
            Ok(vec![whole(Verb::RestconfPut, store, &target)])
        }
        // A new place in its list is a change of the entry.
        "move" => unneeded(whole(Verb::RestconfPatch, store, &target)),
        "delete" | "remove" if target.steps().is_empty() => Err(Refused::invalid("a datastore is not deleted")),
        "delete" | "remove" => unneeded(whole(Verb::RestconfDelete, store, &target)),
        other => Err(Refused::invalid(format!("`{}` is not an operation of a patch", other.escape_debug()))),
    }
}

/// The resource that `target` names, seen from that of the URL.
fn below(base: &DataPath, target: &str, models: &Models) -> Result<DataPath, Refused> {
    let inner = target.strip_prefix('/').ok_or_else(|| Refused::invalid("a target begins with `/`"))?;
    if inner.is_empty() {
        return Ok(base.clone());
    }
    let raw: Vec<&str> = inner.split('/').collect();
    Ok(resource_below(base, &raw, models)?.path)
}
