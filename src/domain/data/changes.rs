//! What an edit really does: one change for each node that it would touch.

use std::fmt;
use std::str::FromStr;

use super::{DataNode, DataPath, Models, Step};
use crate::domain::ParseError;

/// An operation on a node (RFC 6241 §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EditOperation {
    /// It must not be there yet.
    Create,
    /// It must be there, and goes.
    Delete,
    /// It and what is in it are added to what is there.
    Merge,
    /// It goes if it is there.
    Remove,
    /// It takes the place of what is there, with all that is below.
    Replace,
}

impl FromStr for EditOperation {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "create" => Ok(Self::Create),
            "delete" => Ok(Self::Delete),
            "merge" => Ok(Self::Merge),
            "remove" => Ok(Self::Remove),
            "replace" => Ok(Self::Replace),
            _ => Err(ParseError::new(format!("`{}` is not an edit operation", text.escape_debug()))),
        }
    }
}

impl fmt::Display for EditOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Merge => "merge",
            Self::Remove => "remove",
            Self::Replace => "replace",
        })
    }
}

/// What is done to nodes that carry no operation (RFC 6241 §7.2, `default-operation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefaultOperation {
    /// They are merged.
    #[default]
    Merge,
    /// Nothing, until a node below says otherwise.
    None,
    /// Everything at the root of the edit is replaced.
    Replace,
}

/// One node that an edit touches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// What is done.
    pub operation: EditOperation,
    /// To which node; replacing and deleting mean all that is below too.
    pub path: DataPath,
}

/// Changes of one message that are decided.
const CHANGES_MAX: usize = 20_000;

/// What an edit of `nodes` below `base` does, in the order of the message, each change once.
///
/// Merged and created subtrees are told leaf by leaf, because only what the message names is touched; what is replaced, deleted or removed is told
/// at its root, because all below goes.
///
/// # Errors
/// Names that are none, keys that cannot be, or more changes than are decided.
pub fn changes(
    base: &DataPath,
    nodes: &[DataNode],
    default: DefaultOperation,
    models: &Models,
) -> Result<Vec<Change>, ParseError> {
    let mut found = Found { models, changes: Vec::new(), seen: std::collections::HashSet::new() };
    let inherited = match default {
        DefaultOperation::None => None,
        DefaultOperation::Merge => Some(EditOperation::Merge),
        DefaultOperation::Replace => {
            found.push(EditOperation::Replace, base.clone())?;
            Some(EditOperation::Replace)
        }
    };
    for node in nodes {
        found.walk(base, node, inherited)?;
    }
    Ok(found.changes)
}

struct Found<'m> {
    models: &'m Models,
    changes: Vec<Change>,
    seen: std::collections::HashSet<Change>,
}

impl Found<'_> {
    fn push(&mut self, operation: EditOperation, path: DataPath) -> Result<(), ParseError> {
        let change = Change { operation, path };
        if self.seen.insert(change.clone()) {
            if self.changes.len() >= CHANGES_MAX {
                return Err(ParseError::new(format!("one message may change {CHANGES_MAX} nodes at most")));
            }
            self.changes.push(change);
        }
        Ok(())
    }

    fn walk(&mut self, parent: &DataPath, node: &DataNode, inherited: Option<EditOperation>) -> Result<(), ParseError> {
        use EditOperation::{Create, Delete, Merge, Remove, Replace};
        let (path, keys) = step_to(parent, node, self.models)?;
        let operation = node.operation.or(inherited);
        let own = node.operation.is_some() && node.operation != inherited;
        let inner: Vec<&DataNode> = node.children.iter().filter(|child| !is_key(child, &keys)).collect();
        match operation {
            Some(operation @ (Delete | Remove)) => self.push(operation, path.clone())?,
            // What is inside something that is replaced was told with it.
            Some(Replace) if own || inherited != Some(Replace) => self.push(Replace, path.clone())?,
            Some(operation @ (Create | Merge)) if inner.is_empty() => self.push(operation, path.clone())?,
            Some(Create | Merge | Replace) | None => {}
        }
        for child in inner {
            self.walk(&path, child, operation)?;
        }
        Ok(())
    }
}

/// A leaf that only says which entry its parent is, and does nothing by itself.
fn is_key(child: &DataNode, keys: &[String]) -> bool {
    child.operation.is_none() && child.children.is_empty() && keys.contains(&child.name)
}

/// The path of `node` below `parent`, and the names of its keys if it is an entry of a list that is known.
pub(super) fn step_to(
    parent: &DataPath,
    node: &DataNode,
    models: &Models,
) -> Result<(DataPath, Vec<String>), ParseError> {
    let step = Step::named(node.module.as_deref(), &node.name)?;
    let path = parent.child(step.clone())?;
    let keys = models.keys_of(&path).to_vec();
    if keys.is_empty() {
        return Ok((path, keys));
    }
    for key in &keys {
        if node.children.iter().filter(|child| child.name == *key).count() > 1 {
            return Err(ParseError::new(format!("the key `{key}` of `{}` is there twice", node.name)));
        }
    }
    let values = keys.iter().map(|key| (key.clone(), node.leaf(key).map(str::to_owned))).collect();
    Ok((parent.child(step.with_keys(values)?)?, keys))
}

impl DataNode {
    /// The path of this node below `parent`, with its keys if it is an entry of a list that is known.
    ///
    /// # Errors
    /// A name that is none, or keys that cannot be.
    pub fn path_below(&self, parent: &DataPath, models: &Models) -> Result<DataPath, ParseError> {
        step_to(parent, self, models).map(|(path, _)| path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Model;
    use super::*;

    fn models() -> Models {
        let mut models = Models::default();
        let lists = vec![("/interfaces/interface".to_owned(), vec!["name".to_owned()])];
        models.add(&Model { name: "ifs".to_owned(), namespace: String::new(), lists }).expect("a model");
        models
    }

    /// `a(b=1 c!delete(d))`: children in parentheses, an operation after `!`, a value after `=`.
    fn parse(text: &str) -> Vec<DataNode> {
        let mut rest = text;
        let nodes = nodes(&mut rest);
        assert_eq!(rest, "", "{text}");
        nodes
    }

    fn nodes(rest: &mut &str) -> Vec<DataNode> {
        let mut out = Vec::new();
        while !rest.is_empty() && !rest.starts_with(')') {
            let end = rest.find([' ', '(', ')']).unwrap_or(rest.len());
            let (head, after) = rest.split_at(end);
            let (head, value) = head.split_once('=').map_or((head, None), |(h, v)| (h, Some(v.to_owned())));
            let (name, operation) =
                head.split_once('!').map_or((head, None), |(n, o)| (n, Some(o.parse().expect("one"))));
            *rest = after;
            let mut children = Vec::new();
            if let Some(inner) = rest.strip_prefix('(') {
                *rest = inner;
                children = nodes(rest);
                *rest = rest.strip_prefix(')').expect("closed");
            }
            *rest = rest.strip_prefix(' ').unwrap_or(rest);
            out.push(DataNode { module: None, name: name.to_owned(), operation, value, children });
        }
        out
    }

    fn told(text: &str, default: DefaultOperation) -> Vec<String> {
        let changes = changes(&DataPath::root(), &parse(text), default, &models()).expect("an edit");
        changes.iter().map(|c| format!("{} {}", c.operation, c.path)).collect()
    }

    #[test]
    fn what_edits_do() {
        use DefaultOperation::{Merge, None, Replace};
        for (text, default, expected) in [
            ("system(hostname=r1)", Merge, &["merge /system/hostname"][..]),
            ("system(a=1 b=2)", Merge, &["merge /system/a", "merge /system/b"]),
            ("system", Merge, &["merge /system"]),
            ("system(hostname=r1)", None, &[]),
            ("system(hostname!delete)", None, &["delete /system/hostname"]),
            ("system!replace(a=1 b(c=2))", Merge, &["replace /system"]),
            ("system!replace(a=1 b!delete)", Merge, &["replace /system", "delete /system/b"]),
            ("system!create(a=1 b(c=2))", None, &["create /system/a", "create /system/b/c"]),
            ("system(a!merge=1 b=2)", None, &["merge /system/a"]),
            ("a(b=1)", Replace, &["replace /"]),
            ("a(b!remove=1)", Replace, &["replace /", "remove /a/b"]),
            ("interfaces(interface(name=eth0 mtu=9))", Merge, &["merge /interfaces/interface[name='eth0']/mtu"]),
            ("interfaces(interface(name=eth0))", Merge, &["merge /interfaces/interface[name='eth0']"]),
            ("interfaces(interface!delete(name=eth0))", None, &["delete /interfaces/interface[name='eth0']"]),
            ("interfaces(interface(mtu=9))", Merge, &["merge /interfaces/interface[name=*]/mtu"]),
            ("interfaces(interface(name!delete=eth0))", None, &["delete /interfaces/interface[name='eth0']/name"]),
            ("a!delete(b!replace=1)", None, &["delete /a", "replace /a/b"]),
            ("a(b=1 b=1)", Merge, &["merge /a/b"]),
        ] {
            assert_eq!(told(text, default), expected, "{text} {default:?}");
        }
    }

    #[test]
    fn edits_that_are_refused() {
        let models = models();
        for text in
            ["interfaces(interface(name=a name=b mtu=1))", "1a", "a(b/c=1)", "interfaces(interface(name=\u{7} x=1))"]
        {
            let result = changes(&DataPath::root(), &parse(text), DefaultOperation::Merge, &models);
            assert!(result.is_err(), "{text}: {result:?}");
        }
        let many: Vec<DataNode> = (0..20_001).map(|n| DataNode::new(None, &format!("n{n}"))).collect();
        assert!(changes(&DataPath::root(), &many, DefaultOperation::Merge, &models).is_err());
    }
}
