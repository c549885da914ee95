//! Where in the tree something is, and how it is changed (pure).

use serde_json::{Map, Value};

use super::Fault;
use super::model::{self, Kind, Module, Node, Type};
use crate::lab::running::Configuration;

/// Interfaces, users and servers that a configuration may hold.
const ENTRIES_MAX: usize = 1000;

/// What an edit does (RFC 6241 §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Delete,
    Merge,
    Remove,
    Replace,
}

/// One step down: a node, and of a list the entry. Without a key it means every entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) node: &'static Node,
    pub(super) key: Option<String>,
}

/// A node in the tree; without steps it is everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) module: Option<&'static Module>,
    pub(super) steps: Vec<Step>,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Node {}

/// A change of one node.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) operation: Operation,
    pub(super) place: Place,
    /// What it becomes; nothing where it goes.
    pub(super) value: Value,
}

impl Place {
    /// One step down from here.
    pub(super) fn child(&self, module: Option<&str>, name: &str, key: Option<String>) -> Result<Self, Fault> {
        let (own, node) = match (self.module, self.steps.last()) {
            (Some(own), Some(last)) if module.is_none_or(|module| module == own.name) => (own, last.node.child(name)?),
            (_, None) => model::module(module, name).map(|own| (own, &own.top))?,
            _ => return Err(Fault::Unknown(name.to_owned())),
        };
        if key.is_some() && node.key().is_none() {
            return Err(Fault::Invalid(format!("`{name}` is not a list")));
        }
        let mut steps = self.steps.clone();
        steps.push(Step { node, key });
        Ok(Self { module: Some(own), steps })
    }

    pub(super) fn node(&self) -> Option<&'static Node> {
        self.steps.last().map(|step| step.node)
    }

    /// The last member's name as RFC 7951 has it at the top of a document.
    pub(super) fn member(&self) -> Option<String> {
        Some(format!("{}:{}", self.module?.name, self.node()?.name))
    }
}

/// Makes all of these edits.
pub(super) fn apply_all(configuration: &mut Configuration, edits: &[Edit]) -> Result<(), Fault> {
    let mut tree = model::tree(configuration);
    for edit in edits {
        apply(&mut tree, edit)?;
    }
    model::absorb(configuration, &tree)
}

fn apply(tree: &mut Value, edit: &Edit) -> Result<(), Fault> {
    let Some((last, above)) = edit.place.steps.split_last() else {
        return everything(tree, edit);
    };
    if above.iter().chain([last]).any(|step| step.node.state) {
        return Err(Fault::Invalid("state cannot be changed".to_owned()));
    }
    let makes = matches!(edit.operation, Operation::Create | Operation::Merge | Operation::Replace);
    let first = edit.place.module.map(Module::member).unwrap_or_default();
    let mut at = tree;
    for (depth, step) in above.iter().enumerate() {
        let name = if depth == 0 { first.as_str() } else { step.node.name };
        let Some(below) = enter(at, name, step, makes)? else {
            return if edit.operation == Operation::Delete { Err(Fault::Missing) } else { Ok(()) };
        };
        at = below;
    }
    let name = if above.is_empty() { first.as_str() } else { last.node.name };
    match (last.node.key(), &last.key) {
        (Some(key_name), Some(key)) => in_list(at, name, last.node, key_name, key, edit),
        _ => in_object(at, name, last.node, edit),
    }
}

/// Everything at once: each module by itself.
fn everything(tree: &mut Value, edit: &Edit) -> Result<(), Fault> {
    let empty = Map::new();
    let members = edit.value.as_object().unwrap_or(&empty);
    for name in members.keys() {
        let (module, name) = name.split_once(':').ok_or_else(|| Fault::Unknown(name.clone()))?;
        model::module(Some(module), name)?;
    }
    for module in &model::MODULES {
        let place = Place::default().child(Some(module.name), module.top.name, None)?;
        let value = members.get(&module.member()).cloned();
        let operation = match (&value, edit.operation) {
            (None, Operation::Merge | Operation::Create) => continue,
            (None, Operation::Replace | Operation::Remove | Operation::Delete) => Operation::Remove,
            (Some(_), operation) => operation,
        };
        apply(tree, &Edit { operation, place, value: value.unwrap_or_default() })?;
    }
    Ok(())
}

/// Goes down one step; makes what is not there when `makes`.
fn enter<'t>(at: &'t mut Value, name: &str, step: &Step, makes: bool) -> Result<Option<&'t mut Value>, Fault> {
    let Value::Object(members) = at else { return Ok(None) };
    if !makes && !members.contains_key(name) {
        return Ok(None);
    }
    let Some(key_name) = step.node.key() else {
        return Ok(Some(members.entry(name).or_insert_with(|| Value::Object(Map::new()))));
    };
    let key = step.key.as_deref().ok_or_else(|| Fault::Invalid(format!("`{name}` needs its key, {key_name}")))?;
    let Value::Array(entries) = members.entry(name).or_insert_with(|| Value::Array(Vec::new())) else {
        return Ok(None);
    };
    let found = entries.iter().position(|entry| is(entry, key_name, key));
    let at = match found {
        Some(at) => at,
        None if !makes => return Ok(None),
        None => {
            add(entries, Value::Object(Map::from_iter([(key_name.to_owned(), Value::from(key))])))?;
            entries.len() - 1
        }
    };
    Ok(entries.get_mut(at))
}

fn is(entry: &Value, key_name: &str, key: &str) -> bool {
    entry.get(key_name).and_then(Value::as_str) == Some(key)
}

fn add(entries: &mut Vec<Value>, entry: Value) -> Result<(), Fault> {
    if entries.len() >= ENTRIES_MAX {
        return Err(Fault::Invalid(format!("a list has {ENTRIES_MAX} entries at most")));
    }
    entries.push(entry);
    Ok(())
}

fn in_object(at: &mut Value, name: &str, node: &'static Node, edit: &Edit) -> Result<(), Fault> {
    let Value::Object(members) = at else { return Err(Fault::Missing) };
    let there = members.contains_key(name);
    match edit.operation {
        Operation::Create if there => return Err(Fault::Exists),
        Operation::Delete if !there => return Err(Fault::Missing),
        Operation::Delete | Operation::Remove => drop(members.remove(name)),
        Operation::Create | Operation::Replace => drop(members.insert(name.to_owned(), fitted(node, &edit.value)?)),
        Operation::Merge => {
            let value = fitted(node, &edit.value)?;
            match members.get_mut(name) {
                Some(old) => merge(node, old, value)?,
                None => drop(members.insert(name.to_owned(), value)),
            }
        }
    }
    Ok(())
}

fn in_list(
    at: &mut Value,
    name: &str,
    node: &'static Node,
    key_name: &str,
    key: &str,
    edit: &Edit,
) -> Result<(), Fault> {
    let Value::Object(members) = at else { return Err(Fault::Missing) };
    let Value::Array(entries) = members.entry(name).or_insert_with(|| Value::Array(Vec::new())) else {
        return Err(Fault::Missing);
    };
    let found = entries.iter().position(|entry| is(entry, key_name, key));
    let whole = |value: &Value| -> Result<Value, Fault> {
        let mut value = entry_fitted(node, value)?;
        if let Value::Object(members) = &mut value {
            let own = members.entry(key_name).or_insert_with(|| Value::from(key));
            if own.as_str() != Some(key) {
                return Err(Fault::Invalid(format!("`{key_name}` in the value is not `{key}`")));
            }
        }
        Ok(value)
    };
    match (edit.operation, found) {
        (Operation::Create, Some(_)) => Err(Fault::Exists),
        (Operation::Delete, None) => Err(Fault::Missing),
        (Operation::Remove, None) => Ok(()),
        (Operation::Delete | Operation::Remove, Some(found)) => {
            entries.remove(found);
            Ok(())
        }
        (Operation::Create | Operation::Merge | Operation::Replace, None) => add(entries, whole(&edit.value)?),
        (operation, Some(found)) => {
            let value = whole(&edit.value)?;
            let Some(old) = entries.get_mut(found) else { return Err(Fault::Missing) };
            if operation == Operation::Merge {
                return merge_members(node, old, value);
            }
            *old = value;
            Ok(())
        }
    }
}

fn merge(node: &'static Node, old: &mut Value, new: Value) -> Result<(), Fault> {
    match (&node.kind, old, new) {
        (Kind::Container(_), old, new) => merge_members(node, old, new),
        (Kind::List(key_name, _), Value::Array(old), Value::Array(new)) => {
            for entry in new {
                let key = entry.get(*key_name).cloned().unwrap_or_default();
                match old.iter_mut().find(|own| own.get(*key_name) == Some(&key)) {
                    Some(own) => merge_members(node, own, entry)?,
                    None => add(old, entry)?,
                }
            }
            Ok(())
        }
        (_, old, new) => {
            *old = new;
            Ok(())
        }
    }
}

fn merge_members(node: &'static Node, old: &mut Value, new: Value) -> Result<(), Fault> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Ok(()) };
    for (name, value) in new {
        match old.get_mut(&name) {
            Some(own) => merge(node.child(&name)?, own, value)?,
            None => drop(old.insert(name, value)),
        }
    }
    Ok(())
}

/// A value as the model has it: plain names, the right types, no state.
fn fitted(node: &'static Node, value: &Value) -> Result<Value, Fault> {
    let bad = || Fault::Invalid(format!("`{}` cannot have that value", node.name));
    match (&node.kind, value) {
        (Kind::Container(_), Value::Object(_)) => entry_fitted(node, value),
        (Kind::List(key, _), Value::Array(entries)) if entries.len() <= ENTRIES_MAX => {
            let all: Vec<_> = entries.iter().map(|entry| entry_fitted(node, entry)).collect::<Result<_, _>>()?;
            if all.iter().any(|entry| entry.get(*key).is_none()) {
                return Err(Fault::Invalid(format!("an entry of `{}` needs its key, {key}", node.name)));
            }
            Ok(Value::Array(all))
        }
        (Kind::Leaf(Type::Text), Value::String(_)) | (Kind::Leaf(Type::Truth), Value::Bool(_)) => Ok(value.clone()),
        (Kind::Leaf(Type::Number), Value::Number(number)) if number.is_u64() => Ok(value.clone()),
        _ => Err(bad()),
    }
}

fn entry_fitted(node: &'static Node, value: &Value) -> Result<Value, Fault> {
    let Value::Object(members) = value else {
        return Err(Fault::Invalid(format!("`{}` needs members", node.name)));
    };
    let mut all = Map::new();
    for (name, value) in members {
        let plain = name.split_once(':').map_or(name.as_str(), |(_, plain)| plain);
        let child = node.child(plain)?;
        if child.state {
            return Err(Fault::Invalid("state cannot be changed".to_owned()));
        }
        all.insert(plain.to_owned(), fitted(child, value)?);
    }
    Ok(Value::Object(all))
}

/// The value of a leaf from its text.
pub(super) fn from_text(node: &Node, text: &str) -> Result<Value, Fault> {
    let bad = || Fault::Invalid(format!("`{}` cannot be `{text}`", node.name));
    match node.kind {
        Kind::Leaf(Type::Text) => Ok(Value::from(text)),
        Kind::Leaf(Type::Number) => text.parse::<u64>().map(Value::from).map_err(|_| bad()),
        Kind::Leaf(Type::Truth) => text.parse::<bool>().map(Value::from).map_err(|_| bad()),
        Kind::Container(_) | Kind::List(..) => Err(bad()),
    }
}
