//! Which namespace a prefix stands for, here.

use std::sync::Arc;

use super::XmlError;

/// The namespace that the prefix `xml` always has.
pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// Declarations in force at once.
const DECLARED_MAX: usize = 512;

/// The declarations in force, innermost last.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    declared: Vec<Declared>,
    /// Namespaces seen, so that each is kept once.
    known: Vec<Arc<str>>,
}

#[derive(Debug)]
struct Declared {
    depth: usize,
    prefix: Box<str>,
    ns: Arc<str>,
}

impl Scopes {
    /// Declares `prefix` (empty: the default) for the element at `depth` and all below.
    pub(super) fn declare(&mut self, depth: usize, prefix: &str, ns: &str) -> Result<Arc<str>, XmlError> {
        if self.declared.len() >= DECLARED_MAX {
            return Err(XmlError::TooBig(format!("{DECLARED_MAX} namespaces at most may be declared at once")));
        }
        let ns = match self.known.iter().find(|known| &***known == ns) {
            Some(known) => known.clone(),
            None => {
                let ns: Arc<str> = ns.into();
                if self.known.len() < DECLARED_MAX {
                    self.known.push(ns.clone());
                }
                ns
            }
        };
        self.declared.push(Declared { depth, prefix: prefix.into(), ns: ns.clone() });
        Ok(ns)
    }

    /// Whether the element at `depth` declares `prefix` itself.
    pub(super) fn declares(&self, depth: usize, prefix: &str) -> bool {
        self.declared.iter().rev().take_while(|d| d.depth == depth).any(|d| &*d.prefix == prefix)
    }

    /// The namespace of a prefix; the default one is empty until it is declared.
    pub(super) fn find(&self, prefix: &str) -> Option<Arc<str>> {
        if prefix == "xml" {
            return Some(XML.into());
        }
        let found = self.declared.iter().rev().find(|d| &*d.prefix == prefix).map(|d| d.ns.clone());
        found.or_else(|| prefix.is_empty().then(|| Arc::from("")))
    }

    /// The element at `depth` ends.
    pub(super) fn leave(&mut self, depth: usize) {
        while self.declared.last().is_some_and(|d| d.depth >= depth) {
            self.declared.pop();
        }
    }
}
