//! Between XML and the tree (pure): edits and filters in, data out.

use serde_json::{Map, Value};

use super::Fault;
use super::edit::{Edit, Operation, Place, from_text};
use super::model::{self, Kind, Module, Node};
use crate::protocol::netconf::actions::BASE;
use crate::protocol::netconf::observe::escaped;
use crate::protocol::netconf::xml::Element;

/// The edits that a `<config>` means, in its order.
pub(super) fn edits(config: &Element, default: Option<Operation>) -> Result<Vec<Edit>, Fault> {
    let mut found = Vec::new();
    for child in &config.children {
        collect(child, &Place::default(), default, &mut found)?;
    }
    Ok(found)
}

fn collect(element: &Element, above: &Place, inherited: Option<Operation>, found: &mut Vec<Edit>) -> Result<(), Fault> {
    let operation = match element.attribute(BASE, "operation") {
        None => inherited,
        Some("create") => Some(Operation::Create),
        Some("delete") => Some(Operation::Delete),
        Some("merge") => Some(Operation::Merge),
        Some("remove") => Some(Operation::Remove),
        Some("replace") => Some(Operation::Replace),
        Some(other) => return Err(Fault::Invalid(format!("`{other}` is not an operation"))),
    };
    let bare = above.child(module_of(element)?, &element.name.local, None)?;
    let Some(node) = bare.node() else { return Ok(()) };
    let mut place = bare;
    if let Some(key) = node.key() {
        let value = element.children.iter().find(|child| &*child.name.local == key);
        let value = value.ok_or_else(|| Fault::Invalid(format!("an entry of `{}` needs its key, {key}", node.name)))?;
        if let Some(last) = place.steps.last_mut() {
            last.key = Some(value.text.trim().to_owned());
        }
    }
    let is_leaf = matches!(node.kind, Kind::Leaf(_));
    match operation {
        Some(operation @ (Operation::Delete | Operation::Remove)) => {
            found.push(Edit { operation, place, value: Value::Null });
        }
        Some(operation @ (Operation::Create | Operation::Replace)) => {
            let value = value_of(element, node)?;
            found.push(Edit { operation, place, value });
        }
        Some(Operation::Merge) if is_leaf => {
            let value = value_of(element, node)?;
            found.push(Edit { operation: Operation::Merge, place, value });
        }
        None if is_leaf => {}
        Some(Operation::Merge) | None => {
            if operation.is_some() {
                let value = Value::Object(Map::new());
                found.push(Edit { operation: Operation::Merge, place: place.clone(), value });
            }
            for child in &element.children {
                collect(child, &place, operation, found)?;
            }
        }
    }
    Ok(())
}

fn module_of(element: &Element) -> Result<Option<&'static str>, Fault> {
    let namespace = &*element.name.ns;
    let found = model::MODULES.iter().find(|module| module.namespace == namespace);
    found.map(|module| Some(module.name)).ok_or_else(|| Fault::Unknown(element.name.local.to_string()))
}

/// An element as a value of the tree.
fn value_of(element: &Element, node: &Node) -> Result<Value, Fault> {
    if matches!(node.kind, Kind::Leaf(_)) {
        let text = element.leaf().ok_or_else(|| Fault::Invalid(format!("`{}` is a leaf", node.name)))?;
        return from_text(node, text.trim());
    }
    let mut members = Map::new();
    for child in &element.children {
        let below = node.child(&child.name.local)?;
        let value = value_of(child, below)?;
        if below.key().is_none() {
            members.insert(below.name.to_owned(), value);
        } else if let Value::Array(entries) = members.entry(below.name).or_insert_with(|| Value::Array(Vec::new())) {
            entries.push(value);
        }
    }
    Ok(Value::Object(members))
}

/// The part of the tree that a subtree filter selects (RFC 6241 §6).
pub(super) fn filtered(tree: &Value, filter: &Element) -> Value {
    let mut members = Map::new();
    for module in &model::MODULES {
        let member = module.member();
        let Some(value) = tree.get(&member) else { continue };
        for wanted in filter.children.iter().filter(|wanted| means(wanted, module, &module.top)) {
            if let Some(value) = selected(module, &module.top, value, wanted) {
                join(&module.top, members.entry(&member).or_insert(Value::Null), value);
            }
        }
    }
    Value::Object(members)
}

fn means(wanted: &Element, module: &Module, node: &Node) -> bool {
    let namespace = &*wanted.name.ns;
    &*wanted.name.local == node.name && (namespace == module.namespace || namespace.is_empty() || namespace == BASE)
}

fn selected(module: &'static Module, node: &'static Node, value: &Value, wanted: &Element) -> Option<Value> {
    if let (Kind::List(..), Value::Array(entries)) = (&node.kind, value) {
        let all: Vec<Value> = entries.iter().filter_map(|entry| entry_selected(module, node, entry, wanted)).collect();
        return (!all.is_empty()).then_some(Value::Array(all));
    }
    if let Kind::Leaf(_) = node.kind {
        return wanted.children.is_empty().then(|| value.clone());
    }
    entry_selected(module, node, value, wanted)
}

fn entry_selected(module: &'static Module, node: &'static Node, value: &Value, wanted: &Element) -> Option<Value> {
    if wanted.children.is_empty() {
        return Some(value.clone());
    }
    let is_match = |child: &&Element| child.children.is_empty() && !child.text.trim().is_empty();
    let mut members = Map::new();
    for child in wanted.children.iter().filter(is_match) {
        let own = value.get(&*child.name.local)?;
        if text(own) != child.text.trim() {
            return None;
        }
        members.insert(child.name.local.to_string(), own.clone());
    }
    let mut others = wanted.children.iter().filter(|child| !is_match(child)).peekable();
    if others.peek().is_none() {
        return Some(value.clone());
    }
    for child in others {
        let Some(below) = node.children().iter().find(|below| means(child, module, below)) else { continue };
        let Some(own) = value.get(below.name) else { continue };
        if let Some(found) = selected(module, below, own, child) {
            join(below, members.entry(below.name).or_insert(Value::Null), found);
        }
    }
    if let Some(key) = node.key().filter(|_| !members.is_empty()) {
        members.insert(key.to_owned(), value.get(key)?.clone());
    }
    (!members.is_empty()).then_some(Value::Object(members))
}

/// Two selections of one node, together.
fn join(node: &'static Node, old: &mut Value, new: Value) {
    match (&node.kind, old, new) {
        (Kind::List(key, _), Value::Array(old), Value::Array(new)) => {
            for entry in new {
                match old.iter_mut().find(|own| own.get(*key) == entry.get(*key)) {
                    Some(own) => join_members(node, own, entry),
                    None => old.push(entry),
                }
            }
        }
        (Kind::Container(_), old @ Value::Object(_), new) => join_members(node, old, new),
        (_, old, new) => *old = new,
    }
}

fn join_members(node: &'static Node, old: &mut Value, new: Value) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return };
    for (name, value) in new {
        match (node.child(&name), old.get_mut(&name)) {
            (Ok(child), Some(own)) => join(child, own, value),
            (_, None) => drop(old.insert(name, value)),
            (Err(_), Some(_)) => {}
        }
    }
}

/// The tree as the children of a `<data>`, for people too.
pub(super) fn written(tree: &Value) -> String {
    let mut out = String::new();
    for module in &model::MODULES {
        if let Some(value) = tree.get(module.member()) {
            write(&mut out, &module.top, value, &format!(" xmlns=\"{}\"", module.namespace), 1);
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

fn write(out: &mut String, node: &Node, value: &Value, declares: &str, depth: usize) {
    let (name, indent) = (node.name, "  ".repeat(depth));
    if let (Kind::List(..), Value::Array(entries)) = (&node.kind, value) {
        for entry in entries {
            within(out, node, entry, declares, depth);
        }
    } else if let Kind::Leaf(_) = node.kind {
        out.push_str(&format!("\n{indent}<{name}{declares}>{}</{name}>", escaped(&text(value))));
    } else {
        within(out, node, value, declares, depth);
    }
}

fn within(out: &mut String, node: &Node, value: &Value, declares: &str, depth: usize) {
    let (name, indent) = (node.name, "  ".repeat(depth));
    out.push_str(&format!("\n{indent}<{name}{declares}>"));
    for child in node.children() {
        if let Some(value) = value.get(child.name) {
            write(out, child, value, "", depth + 1);
        }
    }
    out.push_str(&format!("\n{indent}</{name}>"));
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
