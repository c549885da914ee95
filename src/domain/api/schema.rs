//! What a value must be: the part of JSON Schema that OpenAPI documents use. What would restrict something and is not understood is refused.

mod check;
mod read;

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;

use super::json::Value;

pub(super) use read::Reading;

/// The schemas of a document by their place in it, so that one may hold itself.
#[derive(Debug, Default)]
pub(super) struct Schemas(pub(super) BTreeMap<String, Schema>);

/// Which kinds of values a schema takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    Text,
    Array,
    Object,
}

/// What text has to look like beside `pattern`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Int32,
    Int64,
    Date,
    DateTime,
    Uuid,
}

/// What becomes of members that no `properties` name.
#[derive(Debug, Clone, Default)]
pub(super) enum Others {
    /// Nothing is said: refused where anything is named.
    #[default]
    Unsaid,
    Allowed,
    Refused,
    Like(Arc<Schema>),
}

/// A schema. Each part restricts by itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Schema {
    /// Another schema, by its place in the document.
    pub(super) reference: Option<String>,
    /// Empty: any.
    pub(super) kinds: Vec<Kind>,
    pub(super) one_of_values: Option<Vec<Value>>,
    pub(super) format: Option<Format>,
    pub(super) pattern: Option<Regex>,
    pub(super) length: Span,
    pub(super) count: Span,
    pub(super) members: Span,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) items: Option<Arc<Self>>,
    pub(super) unique: bool,
    pub(super) properties: BTreeMap<String, Self>,
    pub(super) required: Vec<String>,
    pub(super) others: Others,
    pub(super) all_of: Vec<Self>,
    pub(super) any_of: Vec<Self>,
    pub(super) one_of: Vec<Self>,
    pub(super) read_only: bool,
    /// Whether the value names an object that policy may speak of.
    pub(super) object: bool,
}

/// A number of things.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}

/// An edge of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) at: f64,
    pub(super) exclusive: bool,
}

impl Schemas {
    /// The kinds that a schema takes, as far as it and what it is made of say so at once.
    pub(super) fn kinds(&self, schema: &Schema) -> Vec<Kind> {
        let mut kinds = schema.kinds.clone();
        self.walk(schema, 0, &mut |part| kinds.extend(&part.kinds));
        kinds
    }

    /// The members of an object that name objects of policy.
    pub(super) fn objects(&self, schema: &Schema) -> Vec<String> {
        let mut names = Vec::new();
        self.walk(schema, 0, &mut |part| {
            let marked = part.properties.iter().filter(|(_, property)| property.object);
            names.extend(marked.map(|(name, _)| name.clone()));
        });
        names.sort();
        names.dedup();
        names
    }

    fn walk(&self, schema: &Schema, depth: usize, see: &mut impl FnMut(&Schema)) {
        const DEPTH_MAX: usize = 16;
        see(schema);
        if depth == DEPTH_MAX {
            return;
        }
        let referred = schema.reference.as_ref().and_then(|reference| self.0.get(reference));
        let parts = referred.into_iter().chain(&schema.all_of).chain(&schema.any_of).chain(&schema.one_of);
        for part in parts {
            self.walk(part, depth + 1, see);
        }
    }
}

/// Checks one value against schemas of a document.
pub(super) fn checking(schemas: &Schemas) -> check::Checking<'_> {
    check::Checking::new(schemas)
}
