//! The document as it is written, and every mistake in it.

mod paths;

use std::collections::BTreeMap;

use super::json::Json;
use super::schema::{Reading, Schema, Schemas};
use crate::domain::ParseError;

/// Mistakes that are told of one document.
const MISTAKES_MAX: usize = 100;

/// A mistake in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, counted from 1.
    pub line: u32,
    /// Where, as a JSON pointer, and what.
    pub text: String,
}

/// The mistakes that were found, by their byte.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<(usize, String)>);

impl Mistakes {
    pub(super) fn add(&mut self, json: &Json, place: &str, text: impl AsRef<str>) {
        self.at(json.span.start, place, text);
    }

    pub(super) fn at(&mut self, byte: usize, place: &str, text: impl AsRef<str>) {
        if self.0.len() < MISTAKES_MAX {
            self.0.push((byte, format!("#{}: {}", place.escape_debug(), text.as_ref())));
        }
    }
}

/// One step of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// An API, understood.
#[derive(Debug, Default)]
pub struct Document {
    pub(super) paths: Vec<PathItem>,
    pub(super) schemas: Schemas,
}

/// One path with its operations.
#[derive(Debug)]
pub(super) struct PathItem {
    /// As it is written, behind the path of the server.
    pub(super) template: String,
    pub(super) segments: Vec<Segment>,
    pub(super) operations: BTreeMap<String, Operation>,
}

/// A segment of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    Literal(String),
    Parameter(String),
}

/// What may be done at a path.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: Option<String>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) required: bool,
    /// Whether it names an object that policy may speak of.
    pub(super) object: bool,
    pub(super) schema: Schema,
}

/// What a request may carry.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) required: bool,
    /// By media type in lower case. One without a schema is not looked into.
    pub(super) media: BTreeMap<String, Option<Schema>>,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// Every mistake found.
    pub fn read(text: &str) -> Result<Self, Vec<Mistake>> {
        let json = Json::read(text.as_bytes())
            .map_err(|error: ParseError| vec![Mistake { line: 0, text: error.to_string() }])?;
        let mut mistakes = Mistakes::default();
        let document = Reader { json: &json, mistakes: &mut mistakes, referred: Vec::new() }.document();
        if mistakes.0.is_empty() {
            return Ok(document);
        }
        mistakes.0.sort();
        let line = |byte: usize| {
            let before = text.as_bytes().get(..byte).unwrap_or_default();
            u32::try_from(before.iter().filter(|b| **b == b'\n').count() + 1).unwrap_or(u32::MAX)
        };
        Err(mistakes.0.into_iter().map(|(byte, text)| Mistake { line: line(byte), text }).collect())
    }
}

/// Reads the parts of one document.
struct Reader<'j> {
    json: &'j Json,
    mistakes: &'j mut Mistakes,
    referred: Vec<(String, usize, String)>,
}

impl Reader<'_> {
    fn document(&mut self) -> Document {
        let json = self.json;
        match json.get("openapi").and_then(Json::text) {
            Some(version) if version.starts_with("3.0.") || version.starts_with("3.1.") => {}
            _ => self.mistakes.add(json, "/openapi", "is not 3.0.x or 3.1.x"),
        }
        let known =
            ["openapi", "info", "servers", "paths", "components", "security", "tags", "externalDocs", "webhooks"];
        self.only(json, "", &known);
        let base = self.base();
        let mut document = Document { paths: self.paths(&base), schemas: Schemas::default() };
        let components = json.get("components").and_then(|components| components.get("schemas"));
        for (name, schema) in components.and_then(Json::members).unwrap_or_default() {
            let read = self.schema(schema, &format!("/components/schemas/{}", escaped(name)));
            document.schemas.0.insert(name.clone(), read);
        }
        for (name, byte, place) in std::mem::take(&mut self.referred) {
            if !document.schemas.0.contains_key(&name) {
                self.mistakes.at(byte, &place, format!("there is no schema `{}`", name.escape_debug()));
            }
        }
        document
    }

    /// Tells words that are not known: one that is not read may be believed to restrict something.
    fn only(&mut self, json: &Json, place: &str, known: &[&str]) {
        let Some(members) = json.members() else { return self.mistakes.add(json, place, "is not an object") };
        for (word, value) in members {
            if !known.contains(&word.as_str()) && (!word.starts_with("x-") || word.starts_with("x-sallyport")) {
                self.mistakes.add(value, &format!("{place}/{}", escaped(word)), "is not understood here");
            }
        }
    }

    fn schema(&mut self, json: &Json, place: &str) -> Schema {
        let mut reading = Reading { mistakes: self.mistakes, referred: std::mem::take(&mut self.referred) };
        let schema = reading.schema(json, place);
        self.referred = reading.referred;
        schema
    }

    /// Where the paths begin: the path of the server, which must be the same for all.
    fn base(&mut self) -> String {
        let Some(servers) = self.json.get("servers") else { return String::new() };
        let mut bases: Vec<String> = Vec::new();
        for server in servers.entries().unwrap_or_default() {
            let url = server.get("url").and_then(Json::text).unwrap_or_default();
            let path = match url.split_once("://") {
                Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
                None => url,
            };
            let path = path.trim_end_matches('/');
            if path.contains(['{', '?', '#', '%']) || !(path.is_empty() || path.starts_with('/')) {
                self.mistakes.add(server, "/servers", "`url` is not plain; write a path such as /api/v1");
            }
            bases.push(path.to_owned());
        }
        bases.dedup();
        if bases.len() > 1 {
            self.mistakes.add(servers, "/servers", "the servers have different paths; leave one");
        }
        bases.pop().unwrap_or_default()
    }
}
