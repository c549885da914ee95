//! Paths, operations, parameters and bodies of requests.

use std::collections::{BTreeMap, BTreeSet};

use super::{Body, Operation, Parameter, PathItem, Place, Reader, Segment, escaped};
use crate::domain::api::json::{Json, Value};

const METHODS: &[&str] = &["get", "head", "options", "post", "put", "patch", "delete"];

/// Headers that are the transport's, say who somebody is, or are the gateway's own to send.
const NOT_FOR_APIS: &[&str] = &[
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-http-method-override",
    "x-original-url",
    "x-rewrite-url",
];

impl Reader<'_> {
    pub(super) fn paths(&mut self, base: &str) -> Vec<PathItem> {
        let Some(paths) = self.json.get("paths").filter(|paths| paths.members().is_some_and(|all| !all.is_empty()))
        else {
            self.mistakes.add(self.json, "/paths", "is missing or empty: nothing would be allowed");
            return Vec::new();
        };
        let (mut items, mut ids): (Vec<PathItem>, _) = (Vec::new(), BTreeSet::new());
        for (template, json) in paths.members().unwrap_or_default() {
            if template.starts_with("x-") {
                continue;
            }
            let place = format!("/paths/{}", escaped(template));
            let Some(item) = self.item(&format!("{base}{template}"), json, &place) else { continue };
            if items.iter().any(|other| same_shape(&other.segments, &item.segments)) {
                self.mistakes.add(json, &place, "another path means the same requests");
            }
            for id in item.operations.values().filter_map(|operation| operation.id.clone()) {
                if !ids.insert(id.clone()) {
                    self.mistakes.add(json, &place, format!("the operationId `{}` is there twice", id.escape_debug()));
                }
            }
            items.push(item);
        }
        // What is written out goes before what stands for anything.
        items.sort_by(|one, other| one.segments.cmp(&other.segments));
        items
    }

    fn item(&mut self, template: &str, json: &Json, place: &str) -> Option<PathItem> {
        let known: Vec<&str> = METHODS.iter().copied().chain(["parameters", "summary", "description"]).collect();
        self.only(json, place, &known);
        let segments = self.template(template, json, place)?;
        let shared = self.parameters(json.get("parameters"), &format!("{place}/parameters"));
        let mut operations = BTreeMap::new();
        for (method, json) in json.members().unwrap_or_default() {
            if METHODS.contains(&method.as_str()) {
                let operation = self.operation(json, &format!("{place}/{method}"), &shared, &segments);
                operations.insert(method.to_ascii_uppercase(), operation);
            }
        }
        Some(PathItem { template: template.to_owned(), segments, operations })
    }

    fn template(&mut self, template: &str, json: &Json, place: &str) -> Option<Vec<Segment>> {
        let mut segments = Vec::new();
        let inner = template.strip_prefix('/').unwrap_or_default();
        for text in inner.split('/').filter(|_| template != "/") {
            let parameter = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let name = parameter.unwrap_or(text);
            let odd = name.is_empty()
                || matches!(name, "." | "..")
                || name.contains(['{', '}', '%', '?', '#', ';', '\\', '=']);
            if odd || name.chars().any(char::is_control) || !template.starts_with('/') {
                let text = "is not a path whose segments are each plain text or one {parameter}";
                self.mistakes.add(json, place, text);
                return None;
            }
            segments.push(match parameter {
                Some(name) => Segment::Parameter(name.to_owned()),
                None => Segment::Literal(text.to_owned()),
            });
        }
        Some(segments)
    }

    fn operation(&mut self, json: &Json, place: &str, shared: &[Parameter], segments: &[Segment]) -> Operation {
        let known = [
            "operationId",
            "parameters",
            "requestBody",
            "responses",
            "summary",
            "description",
            "tags",
            "deprecated",
            "externalDocs",
            "security",
            "callbacks",
        ];
        self.only(json, place, &known);
        let mut parameters = self.parameters(json.get("parameters"), &format!("{place}/parameters"));
        // An operation's own stands for one of the path (OpenAPI, "Operation Object").
        for other in shared {
            if !parameters.iter().any(|own| own.place == other.place && own.name == other.name) {
                parameters.push(other.clone());
            }
        }
        let declared: BTreeSet<&str> =
            parameters.iter().filter(|p| p.place == Place::Path).map(|p| p.name.as_str()).collect();
        let written: BTreeSet<&str> = segments
            .iter()
            .filter_map(|segment| if let Segment::Parameter(name) = segment { Some(name.as_str()) } else { None })
            .collect();
        for name in declared.symmetric_difference(&written) {
            self.mistakes.add(json, place, format!("`{name}` is not both in the path and among its parameters"));
        }
        let body = json.get("requestBody").map(|body| self.body(body, &format!("{place}/requestBody")));
        let id = json.get("operationId").and_then(Json::text).map(str::to_owned);
        Operation { id, parameters, body }
    }

    fn parameters(&mut self, json: Option<&Json>, place: &str) -> Vec<Parameter> {
        let mut found: Vec<Parameter> = Vec::new();
        for (at, entry) in json.and_then(Json::entries).unwrap_or_default().iter().enumerate() {
            let place = format!("{place}/{at}");
            let Some(entry) = self.component(entry, "parameters", &place) else { continue };
            let Some(parameter) = self.parameter(&entry, &place) else { continue };
            if found.iter().any(|known| known.place == parameter.place && known.name == parameter.name) {
                self.mistakes.add(&entry, &place, "is there twice");
            }
            found.push(parameter);
        }
        found
    }

    /// What stands there, or what it refers to.
    fn component(&mut self, json: &Json, kind: &str, place: &str) -> Option<Json> {
        let Some(reference) = json.get("$ref") else { return Some(json.clone()) };
        let name = reference.text().and_then(|text| text.strip_prefix(&format!("#/components/{kind}/")));
        let found = name.and_then(|name| self.json.get("components")?.get(kind)?.get(name));
        if found.is_none_or(|found| found.get("$ref").is_some()) {
            self.mistakes.add(json, place, format!("refers to something other than #/components/{kind}/NAME"));
            return None;
        }
        found.cloned()
    }

    fn parameter(&mut self, json: &Json, place: &str) -> Option<Parameter> {
        let known = [
            "name",
            "in",
            "required",
            "schema",
            "style",
            "explode",
            "description",
            "deprecated",
            "allowEmptyValue",
            "example",
            "examples",
            "x-sallyport-object",
        ];
        self.only(json, place, &known);
        let truth = |word: &str| json.get(word).is_some_and(|value| value.value == Value::Bool(true));
        let (name, required) = (json.get("name").and_then(Json::text).unwrap_or_default(), truth("required"));
        let (kind, style) = match json.get("in").and_then(Json::text) {
            Some("path") => (Place::Path, "simple"),
            Some("query") => (Place::Query, "form"),
            Some("header") => (Place::Header, "simple"),
            _ => {
                self.mistakes.add(json, place, "`in` is path, query or header; cookies do not pass");
                return None;
            }
        };
        if json.get("style").is_some_and(|own| own.text() != Some(style)) {
            self.mistakes.add(json, place, format!("only the style `{style}` is understood here"));
        }
        if name.is_empty() || name.contains(['{', '}', '/', '=']) || name.chars().any(char::is_control) {
            self.mistakes.add(json, place, "`name` is missing or cannot be one");
        }
        if kind == Place::Path && !required {
            self.mistakes.add(json, place, "a parameter of the path has `required: true`");
        }
        let lower = name.to_ascii_lowercase();
        if kind == Place::Header && (NOT_FOR_APIS.contains(&lower.as_str()) || lower.starts_with("x-forwarded")) {
            self.mistakes.add(json, place, "this header does not pass through a gateway");
        }
        let Some(schema) = json.get("schema") else {
            self.mistakes.add(json, place, "has no `schema`");
            return None;
        };
        let schema = self.schema(schema, &format!("{place}/schema"));
        // A parameter twice is refused, whatever it is of.
        if schema.items.is_some()
            && (kind != Place::Query || json.get("explode").is_none_or(|e| e.value != Value::Bool(false)))
        {
            self.mistakes.add(json, place, "a list is understood only in the query, with `explode: false`");
        }
        let name = if kind == Place::Header { lower } else { name.to_owned() };
        let object = kind == Place::Path || truth("x-sallyport-object");
        Some(Parameter { place: kind, name, required, object, schema })
    }

    fn body(&mut self, json: &Json, place: &str) -> Body {
        let mut body = Body { required: false, media: BTreeMap::new() };
        let Some(json) = self.component(json, "requestBodies", place) else { return body };
        self.only(&json, place, &["content", "required", "description"]);
        body.required = json.get("required").is_some_and(|value| value.value == Value::Bool(true));
        let content = json.get("content").and_then(Json::members).unwrap_or_default();
        if content.is_empty() {
            self.mistakes.add(&json, place, "`content` is missing or empty");
        }
        for (media, entry) in content {
            let place = format!("{place}/content/{}", escaped(media));
            self.only(entry, &place, &["schema", "example", "examples"]);
            let lower = media.to_ascii_lowercase();
            let is_json = lower == "application/json" || lower.starts_with("application/") && lower.ends_with("+json");
            if lower.contains(['*', ';', ' ']) || !lower.contains('/') {
                self.mistakes.add(entry, &place, "is not one media type");
            }
            let schema = match entry.get("schema") {
                Some(schema) if is_json => Some(self.schema(schema, &format!("{place}/schema"))),
                Some(schema) if schema.get("format").and_then(Json::text) == Some("binary") => None,
                Some(schema) => {
                    let text = "only JSON is looked into; leave the schema out, or write `format: binary`";
                    self.mistakes.add(schema, &format!("{place}/schema"), text);
                    None
                }
                None if is_json => {
                    self.mistakes.add(entry, &place, "has no `schema`; `{}` takes any JSON");
                    None
                }
                None => None,
            };
            body.media.insert(lower, schema);
        }
        body
    }
}

/// Whether two paths mean the same requests.
fn same_shape(one: &[Segment], other: &[Segment]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|pair| match pair {
            (Segment::Literal(one), Segment::Literal(other)) => one == other,
            (Segment::Parameter(_), Segment::Parameter(_)) => true,
            _ => false,
        })
}
