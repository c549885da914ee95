//! A piece of a data tree as a message holds it, whatever its encoding.

use super::EditOperation;

/// A node of a message's data: a leaf with its value, or a container or list entry with what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataNode {
    /// The YANG module, where it is known.
    pub module: Option<String>,
    /// Its name.
    pub name: String,
    /// The edit operation written on it (RFC 6241 §7.2), if any.
    pub operation: Option<EditOperation>,
    /// The value of a leaf.
    pub value: Option<String>,
    /// What is in it.
    pub children: Vec<Self>,
}

impl DataNode {
    /// An empty node.
    pub fn new(module: Option<&str>, name: &str) -> Self {
        Self { module: module.map(str::to_owned), name: name.to_owned(), ..Self::default() }
    }

    /// The value of the leaf `name` in it, when there is exactly one.
    pub fn leaf(&self, name: &str) -> Option<&str> {
        let mut found = self.children.iter().filter(|child| child.name == name);
        match (found.next(), found.next()) {
            (Some(only), None) if only.children.is_empty() => Some(only.value.as_deref().unwrap_or("")),
            _ => None,
        }
    }
}
