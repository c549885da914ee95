//! What a request asks of an API, and whether the document has it.

use super::document::{Body, Document, Operation, Parameter, PathItem, Place, Segment};
use super::json::{Json, Value};
use super::schema::{Kind, Schema};

/// A request, as far as a document speaks of it.
pub struct Seen<'r> {
    /// Its method.
    pub method: &'r str,
    /// Its path, decoded.
    pub segments: &'r [String],
    /// Its query, decoded; no name is there twice.
    pub query: &'r [(String, String)],
    /// The value of a header that is there once.
    pub header: &'r dyn Fn(&str) -> Result<Option<String>, String>,
    /// What its body is.
    pub media: Option<&'r str>,
    /// Its body; empty when it has none.
    pub body: &'r [u8],
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The object of the action.
    pub object: String,
    /// The operation: its operationId, or its path as the document writes it. None when the document has none: then `wrong` says so.
    pub operation: Option<String>,
    /// The parameters that name objects, in the order of the object.
    pub records: Vec<(String, String)>,
    /// Headers that the document has and that go on.
    pub headers: Vec<String>,
    /// Why the document does not have this request.
    pub wrong: Option<String>,
}

impl Document {
    /// Judges a request. What is wrong with it is for those who may ask for its object.
    pub fn judge(&self, seen: &Seen<'_>) -> Judged {
        let plain = |wrong: &str| Judged {
            object: format!("/{}", seen.segments.join("/")),
            operation: None,
            records: Vec::new(),
            headers: Vec::new(),
            wrong: Some(wrong.to_owned()),
        };
        let Some(item) = self.paths.iter().find(|item| item.matches(seen.segments)) else {
            return plain("the API document has no such path");
        };
        let Some(operation) = item.operations.get(seen.method) else {
            return plain("the API document has no such method for this path");
        };
        let mut judging = Judging { document: self, seen, records: Vec::new(), wrong: None };
        let body = judging.operation(item, operation);
        let path = judging.object(item, operation, body.as_ref());
        let headers = operation.parameters.iter().filter(|p| p.place == Place::Header).map(|p| p.name.clone());
        Judged {
            object: path,
            operation: Some(operation.id.clone().unwrap_or_else(|| item.template.clone())),
            records: judging.records,
            headers: headers.collect(),
            wrong: judging.wrong,
        }
    }
}

impl Document {
    /// Whether the object of such a request is known only with its body.
    pub fn needs_body(&self, method: &str, segments: &[String]) -> bool {
        let item = self.paths.iter().find(|item| item.matches(segments));
        let body = item.and_then(|item| item.operations.get(method)?.body.as_ref());
        body.is_some_and(|body| body.media.values().flatten().any(|schema| !self.schemas.objects(schema).is_empty()))
    }
}

impl PathItem {
    fn matches(&self, segments: &[String]) -> bool {
        self.segments.len() == segments.len()
            && self.segments.iter().zip(segments).all(|(own, text)| match own {
                Segment::Literal(literal) => literal == text,
                Segment::Parameter(_) => true,
            })
    }
}

struct Judging<'r> {
    document: &'r Document,
    seen: &'r Seen<'r>,
    records: Vec<(String, String)>,
    wrong: Option<String>,
}

impl Judging<'_> {
    fn wrong(&mut self, text: String) {
        self.wrong.get_or_insert(text);
    }

    /// Checks everything but what the object is; gives the body, when it is JSON.
    fn operation(&mut self, item: &PathItem, operation: &Operation) -> Option<Json> {
        for (name, _) in self.seen.query {
            if !operation.parameters.iter().any(|p| p.place == Place::Query && p.name == *name) {
                self.wrong(format!("the API document has no parameter `{}` here", name.escape_debug()));
            }
        }
        for parameter in &operation.parameters {
            match self.value(item, parameter) {
                Ok(Some(value)) => self.parameter(parameter, &value),
                Ok(None) if parameter.required => self.wrong(format!("the parameter `{}` is missing", parameter.name)),
                Ok(None) => {}
                Err(text) => self.wrong(text),
            }
        }
        match &operation.body {
            Some(body) => self.body(body),
            None if self.seen.body.is_empty() => None,
            None => {
                self.wrong("the API document has no body here".to_owned());
                None
            }
        }
    }

    fn value(&self, item: &PathItem, parameter: &Parameter) -> Result<Option<String>, String> {
        match parameter.place {
            Place::Query => {
                Ok(self.seen.query.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| value.clone()))
            }
            Place::Header => (self.seen.header)(&parameter.name),
            Place::Path => {
                let mut pairs = item.segments.iter().zip(self.seen.segments);
                let own = Segment::Parameter(parameter.name.clone());
                Ok(pairs.find(|(segment, _)| **segment == own).map(|(_, text)| text.clone()))
            }
        }
    }

    fn parameter(&mut self, parameter: &Parameter, text: &str) {
        let place = format!("the parameter `{}`", parameter.name);
        let json = self.typed(&parameter.schema, text);
        let checked = super::schema::checking(&self.document.schemas).check(&parameter.schema, &json, &place);
        if let Err(text) = checked {
            self.wrong(text);
        }
    }

    /// A parameter as the value that its schema speaks of.
    fn typed(&self, schema: &Schema, text: &str) -> Json {
        let kinds = self.document.schemas.kinds(schema);
        let value = if kinds.contains(&Kind::Array) {
            let items = schema.items.as_deref().cloned().unwrap_or_default();
            Value::Array(text.split(',').map(|part| self.typed(&items, part)).collect())
        } else {
            let number = kinds.iter().any(|kind| matches!(kind, Kind::Integer | Kind::Number));
            match Json::read(text.as_bytes()).map(|json| json.value) {
                Ok(Value::Number(number_text)) if number && number_text == text => Value::Number(number_text),
                Ok(Value::Bool(truth)) if kinds.contains(&Kind::Boolean) && text.trim() == text => Value::Bool(truth),
                _ => Value::Text(text.to_owned()),
            }
        };
        Json { span: 0..0, value }
    }

    fn body(&mut self, body: &Body) -> Option<Json> {
        if self.seen.body.is_empty() {
            if body.required {
                self.wrong("the body is missing".to_owned());
            }
            return None;
        }
        let media = media_of(self.seen.media).unwrap_or_default();
        let Some(schema) = body.media.get(&media) else {
            self.wrong("the API document does not have a body of this media type here".to_owned());
            return None;
        };
        let schema = schema.as_ref()?;
        match Json::read(self.seen.body) {
            Ok(json) => {
                let checked = super::schema::checking(&self.document.schemas).check(schema, &json, "the body");
                if let Err(text) = checked {
                    self.wrong(text);
                }
                Some(json)
            }
            Err(error) => {
                self.wrong(format!("the body: {error}"));
                None
            }
        }
    }

    /// The path with its parameters, then what else names objects.
    fn object(&mut self, item: &PathItem, operation: &Operation, body: Option<&Json>) -> String {
        let mut object = String::new();
        for (segment, text) in item.segments.iter().zip(self.seen.segments) {
            object.push('/');
            match segment {
                Segment::Literal(literal) => object.push_str(literal),
                Segment::Parameter(name) => object.push_str(&self.record(name, text)),
            }
        }
        for parameter in operation.parameters.iter().filter(|p| p.object && p.place != Place::Path) {
            let mark = if parameter.place == Place::Query { "?" } else { "header." };
            if let Ok(Some(value)) = self.value(item, parameter) {
                object.push('/');
                object.push_str(&self.record(&format!("{mark}{}", parameter.name), &value));
            }
        }
        let media = media_of(self.seen.media).unwrap_or_default();
        let schema = operation.body.as_ref().and_then(|body| body.media.get(&media)).and_then(Option::as_ref);
        if let (Some(schema), Some(body)) = (schema, body) {
            for name in self.document.schemas.objects(schema) {
                let value = match body.get(&name).map(|json| &json.value) {
                    Some(Value::Text(text) | Value::Number(text)) => text.clone(),
                    None => continue,
                    Some(_) => {
                        self.wrong(format!("the body/{name} names no object"));
                        continue;
                    }
                };
                object.push('/');
                object.push_str(&self.record(&format!("body.{name}"), &value));
            }
        }
        if object.is_empty() { "/".to_owned() } else { object }
    }

    /// `{name=value}`.
    fn record(&mut self, name: &str, value: &str) -> String {
        // SECURITY: it is one segment of the object, with one end, or policy would read another object.
        if value.is_empty() || value.contains(['/', '{', '}']) || value.chars().any(char::is_control) {
            self.wrong(format!("`{name}` cannot name an object"));
            return format!("{{{name}}}");
        }
        self.records.push((name.to_owned(), value.to_owned()));
        format!("{{{name}={value}}}")
    }
}

/// The media type of a body in lower case. Parameters other than the usual character set would be another body.
fn media_of(text: Option<&str>) -> Option<String> {
    let (kind, rest) = text?.split_once(';').unwrap_or((text?, ""));
    let plain = ["", "charset=utf-8", "charset=\"utf-8\""].contains(&rest.trim().to_ascii_lowercase().as_str());
    plain.then(|| kind.trim().to_ascii_lowercase())
}
