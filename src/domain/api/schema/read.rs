//! Schemas as a document writes them.

use std::sync::Arc;

use super::{Bound, Format, Kind, Others, Schema};
use crate::domain::api::document::{Mistakes, escaped};
use crate::domain::api::json::{Json, Value};
use crate::domain::api::pattern;

/// Schemas within schemas.
const DEPTH_MAX: usize = 32;

/// Words that say something to people, or of answers alone.
const ANNOTATIONS: &[&str] = &[
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "externalDocs",
    "xml",
    "writeOnly",
    "$comment",
];

/// Reads schemas; what is wrong is told by its place.
pub(in crate::domain::api) struct Reading<'m> {
    pub(in crate::domain::api) mistakes: &'m mut Mistakes,
    /// Every schema that another refers to, and from where.
    pub(in crate::domain::api) referred: Vec<(String, usize, String)>,
}

impl Reading<'_> {
    /// Reads the schema `json` at `place`.
    pub(in crate::domain::api) fn schema(&mut self, json: &Json, place: &str) -> Schema {
        self.nested(json, place, 0)
    }

    fn nested(&mut self, json: &Json, place: &str, depth: usize) -> Schema {
        let mut schema = Schema::default();
        if depth > DEPTH_MAX {
            self.mistakes.add(json, place, "schemas are nested too deep here");
            return schema;
        }
        let Some(members) = json.members() else {
            // `true` and `{}` say nothing; `false` refuses everything, which nobody writes here.
            if json.value != Value::Bool(true) {
                self.mistakes.add(json, place, "is not a schema");
            }
            return schema;
        };
        for (word, value) in members {
            let below = format!("{place}/{}", escaped(word));
            if !self.word(&mut schema, word, value, &below, depth) {
                self.mistakes.add(
                    value,
                    &below,
                    "would restrict something, and is not understood; take it out or say it otherwise",
                );
            }
        }
        finish(&mut schema, json);
        schema
    }

    /// Reads one word of a schema. False: it is not known.
    fn word(&mut self, schema: &mut Schema, word: &str, value: &Json, place: &str, depth: usize) -> bool {
        match word {
            "$ref" => self.reference(schema, value, place),
            "type" => self.kinds(schema, value, place),
            "nullable" | "exclusiveMinimum" | "exclusiveMaximum" if is_bool(value) => {}
            "enum" => match value.entries() {
                Some(values) if !values.is_empty() => {
                    schema.one_of_values = Some(values.iter().map(|value| value.value.clone()).collect());
                }
                _ => self.mistakes.add(value, place, "is a list of values"),
            },
            "const" => schema.one_of_values = Some(vec![value.value.clone()]),
            "format" => self.format(schema, value, place),
            "pattern" => match value.text().map(pattern::compile) {
                Some(Ok(pattern)) => schema.pattern = Some(pattern),
                Some(Err(text)) => self.mistakes.add(value, place, text),
                None => self.mistakes.add(value, place, "is a regular expression"),
            },
            "minLength" => schema.length.least = self.count(value, place),
            "maxLength" => schema.length.most = self.count(value, place),
            "minItems" => schema.count.least = self.count(value, place),
            "maxItems" => schema.count.most = self.count(value, place),
            "minProperties" => schema.members.least = self.count(value, place),
            "maxProperties" => schema.members.most = self.count(value, place),
            "minimum" => schema.minimum = self.bound(value, place, false),
            "maximum" => schema.maximum = self.bound(value, place, false),
            "exclusiveMinimum" => schema.minimum = self.bound(value, place, true),
            "exclusiveMaximum" => schema.maximum = self.bound(value, place, true),
            "items" => schema.items = Some(Arc::new(self.nested(value, place, depth + 1))),
            "uniqueItems" => schema.unique = self.truth(value, place),
            "readOnly" => schema.read_only = self.truth(value, place),
            "x-sallyport-object" => schema.object = self.truth(value, place),
            "properties" => self.properties(schema, value, place, depth),
            "required" => {
                let names = value.entries().unwrap_or_default();
                schema.required = names.iter().filter_map(|name| name.text().map(str::to_owned)).collect();
                if value.entries().is_none() || schema.required.len() != names.len() {
                    self.mistakes.add(value, place, "is a list of names");
                }
            }
            "additionalProperties" => {
                schema.others = match value.value {
                    Value::Bool(true) => Others::Allowed,
                    Value::Bool(false) => Others::Refused,
                    _ => Others::Like(Arc::new(self.nested(value, place, depth + 1))),
                }
            }
            "allOf" => schema.all_of = self.parts(value, place, depth),
            "anyOf" => schema.any_of = self.parts(value, place, depth),
            "oneOf" => schema.one_of = self.parts(value, place, depth),
            other => return ANNOTATIONS.contains(&other) || other.starts_with("x-"),
        }
        true
    }

    fn reference(&mut self, schema: &mut Schema, value: &Json, place: &str) {
        match value.text().and_then(|text| text.strip_prefix("#/components/schemas/")) {
            Some(name) if !name.contains(['/', '~', '%']) => {
                self.referred.push((name.to_owned(), value.span.start, place.to_owned()));
                schema.reference = Some(name.to_owned());
            }
            _ => self.mistakes.add(value, place, "refers to something other than #/components/schemas/NAME"),
        }
    }

    fn kinds(&mut self, schema: &mut Schema, value: &Json, place: &str) {
        let kind = |json: &Json| {
            Some(match json.text()? {
                "null" => Kind::Null,
                "boolean" => Kind::Boolean,
                "integer" => Kind::Integer,
                "number" => Kind::Number,
                "string" => Kind::Text,
                "array" => Kind::Array,
                "object" => Kind::Object,
                _ => return None,
            })
        };
        let all: Option<Vec<Kind>> = match value.entries() {
            Some(entries) if !entries.is_empty() => entries.iter().map(kind).collect(),
            Some(_) => None,
            None => kind(value).map(|kind| vec![kind]),
        };
        match all {
            Some(kinds) => schema.kinds = kinds,
            None => self.mistakes.add(value, place, "is not a type"),
        }
    }

    fn format(&mut self, schema: &mut Schema, value: &Json, place: &str) {
        schema.format = match value.text() {
            Some("int32") => Some(Format::Int32),
            Some("int64") => Some(Format::Int64),
            Some("date") => Some(Format::Date),
            Some("date-time") => Some(Format::DateTime),
            Some("uuid") => Some(Format::Uuid),
            Some("float" | "double" | "password" | "binary") => None,
            _ => {
                self.mistakes.add(value, place, "is a format that is not checked here; write a `pattern`");
                None
            }
        };
    }

    fn properties(&mut self, schema: &mut Schema, value: &Json, place: &str, depth: usize) {
        let Some(members) = value.members() else { return self.mistakes.add(value, place, "is an object") };
        for (name, property) in members {
            let read = self.nested(property, &format!("{place}/{}", escaped(name)), depth + 1);
            schema.properties.insert(name.clone(), read);
        }
    }

    fn parts(&mut self, value: &Json, place: &str, depth: usize) -> Vec<Schema> {
        match value.entries() {
            Some(parts) if !parts.is_empty() => {
                let each = parts.iter().enumerate();
                each.map(|(at, part)| self.nested(part, &format!("{place}/{at}"), depth + 1)).collect()
            }
            _ => {
                self.mistakes.add(value, place, "is a list of schemas");
                Vec::new()
            }
        }
    }

    fn count(&mut self, value: &Json, place: &str) -> Option<u64> {
        let number = if let Value::Number(text) = &value.value { text.parse().ok() } else { None };
        if number.is_none() {
            self.mistakes.add(value, place, "is a number of things");
        }
        number
    }

    fn bound(&mut self, value: &Json, place: &str, exclusive: bool) -> Option<Bound> {
        let number = if let Value::Number(text) = &value.value { text.parse().ok() } else { None };
        if number.is_none() {
            self.mistakes.add(value, place, "is a number");
        }
        number.map(|at| Bound { at, exclusive })
    }

    fn truth(&mut self, value: &Json, place: &str) -> bool {
        if !is_bool(value) {
            self.mistakes.add(value, place, "is true or false");
        }
        value.value == Value::Bool(true)
    }
}

fn is_bool(json: &Json) -> bool {
    matches!(json.value, Value::Bool(_))
}

/// What one word says of another, in the way of OpenAPI 3.0.
fn finish(schema: &mut Schema, json: &Json) {
    let says = |word: &str| json.get(word).is_some_and(|value| value.value == Value::Bool(true));
    if says("nullable") && !schema.kinds.is_empty() {
        schema.kinds.push(Kind::Null);
        if let Some(values) = &mut schema.one_of_values {
            values.push(Value::Null);
        }
    }
    if let Some(bound) = schema.minimum.as_mut().filter(|_| says("exclusiveMinimum")) {
        bound.exclusive = true;
    }
    if let Some(bound) = schema.maximum.as_mut().filter(|_| says("exclusiveMaximum")) {
        bound.exclusive = true;
    }
}
