//! RESTCONF (RFC 8040) in JSON: `/restconf/data` as far as engineers use it.

use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::edit::{Edit, Operation, Place};
use super::gnmi::Body;
use super::select::select;
use super::{Fault, change, look};
use crate::lab::device::Device;

const BODY_BYTES_MAX: usize = 1 << 20;
const JSON: &str = "application/yang-data+json";

/// An answer: a status, a body, and where what was made is.
struct Said(StatusCode, Option<Value>, Option<String>);

/// What is wrong, as RFC 8040 §7.1 tells it.
struct Wrong(StatusCode, &'static str, String);

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        let (status, tag) = match fault {
            Fault::Exists => (StatusCode::CONFLICT, "data-exists"),
            Fault::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid-value"),
            Fault::Missing => (StatusCode::NOT_FOUND, "invalid-value"),
            Fault::Unknown(_) => (StatusCode::BAD_REQUEST, "unknown-element"),
        };
        Self(status, tag, fault.to_string())
    }
}

fn malformed(text: impl Into<String>) -> Wrong {
    Wrong(StatusCode::BAD_REQUEST, "malformed-message", text.into())
}

/// Answers one request.
pub(super) async fn answer(request: Request<Incoming>, device: &Arc<Device>, account: &str) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return told(Err(malformed("the body broke off or is too long"))),
    };
    told(run(&head.method, head.uri.path(), head.uri.query(), &body, device, account))
}

fn told(answered: Result<Said, Wrong>) -> Response<Body> {
    let Said(status, body, location) = answered.unwrap_or_else(|Wrong(status, tag, text)| {
        let error = json!({"error-type": "application", "error-tag": tag, "error-message": text});
        Said(status, Some(json!({"ietf-restconf:errors": {"error": [error]}})), None)
    });
    let text = body.map_or_else(String::new, |body| format!("{body:#}\n"));
    let mut response = Response::new(Body::full(text.clone()));
    *response.status_mut() = status;
    if !text.is_empty() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    }
    if let Some(Ok(location)) = location.map(HeaderValue::try_from) {
        response.headers_mut().insert(LOCATION, location);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"));
    }
    response
}

fn run(
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: &[u8],
    device: &Device,
    account: &str,
) -> Result<Said, Wrong> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if reads && matches!(path, "/restconf" | "/restconf/") {
        let own =
            json!({"ietf-restconf:restconf": {"data": {}, "operations": {}, "yang-library-version": "2019-01-04"}});
        return Ok(Said(StatusCode::OK, Some(own), None));
    }
    let place = place(path.strip_prefix("/restconf/data").ok_or(Fault::Missing)?)?;
    if reads {
        return read(&place, query, device);
    }
    let now = crate::lab::now();
    let make = |edit: Edit| change(device, &[edit], account, "RESTCONF", now);
    let is_there = || !select(&look(device, false), &place).is_empty();
    match *method {
        Method::PUT | Method::PATCH => {
            let value = own_value(&place, body)?;
            let (operation, there) = if *method == Method::PUT {
                (Operation::Replace, is_there())
            } else if is_there() {
                (Operation::Merge, true)
            } else {
                return Err(Fault::Missing.into());
            };
            make(Edit { operation, place, value })?;
            Ok(Said(if there { StatusCode::NO_CONTENT } else { StatusCode::CREATED }, None, None))
        }
        Method::POST => {
            let (child, value) = child_value(&place, body)?;
            let key = child.steps.last().and_then(|step| step.key.clone());
            let below = child.node().map(|node| node.name).unwrap_or_default();
            let below = if place.steps.is_empty() { child.member().unwrap_or_default() } else { below.to_owned() };
            let key = key.map_or_else(String::new, |key| format!("={}", encoded(&key)));
            let location = format!("{}/{below}{key}", path.trim_end_matches('/'));
            make(Edit { operation: Operation::Create, place: child, value })?;
            Ok(Said(StatusCode::CREATED, None, Some(location)))
        }
        Method::DELETE => {
            make(Edit { operation: Operation::Delete, place, value: Value::Null })?;
            Ok(Said(StatusCode::NO_CONTENT, None, None))
        }
        _ => {
            Err(Wrong(StatusCode::METHOD_NOT_ALLOWED, "operation-not-supported", format!("{method} is not done here")))
        }
    }
}

fn read(place: &Place, query: Option<&str>, device: &Device) -> Result<Said, Wrong> {
    let tree = look(device, query.unwrap_or_default().split('&').any(|part| part == "content=config"));
    let Some(member) = place.member() else {
        return Ok(Said(StatusCode::OK, Some(json!({"ietf-restconf:data": tree})), None));
    };
    let found = select(&tree, place);
    let [(_, value)] = found[..] else { return Err(Fault::Missing.into()) };
    let value = match place.steps.last().and_then(|step| step.key.as_ref()) {
        Some(_) => json!([value]),
        None => value.clone(),
    };
    Ok(Said(StatusCode::OK, Some(Value::Object(Map::from_iter([(member, value)]))), None))
}

/// The place that a URL's path means, behind `/restconf/data`.
fn place(path: &str) -> Result<Place, Wrong> {
    let mut place = Place::default();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let (name, key) = segment.split_once('=').map_or((segment, None), |(name, key)| (name, Some(key)));
        let key = key.map(decoded).transpose()?;
        let (module, name) = name.split_once(':').map_or((None, name), |(module, name)| (Some(module), name));
        if place.steps.is_empty() && module.is_none() {
            return Err(malformed("the first node needs the name of its module"));
        }
        place = place.child(module, name, key)?;
    }
    let open = place.steps.iter().rev().skip(1).find(|step| step.node.key().is_some() && step.key.is_none());
    if let Some(open) = open {
        return Err(malformed(format!("`{}` needs the key of an entry", open.node.name)));
    }
    Ok(place)
}

fn decoded(text: &str) -> Result<String, Wrong> {
    let bad = || malformed("a key is not percent-encoded UTF-8");
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().ok_or_else(bad)?, rest.next().ok_or_else(bad)?];
        let digits = std::str::from_utf8(&digits).map_err(|_| bad())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The single member of a body.
fn member(body: &[u8]) -> Result<(String, Value), Wrong> {
    let value: Value = serde_json::from_slice(body).map_err(|e| malformed(format!("the body is not JSON: {e}")))?;
    let Value::Object(members) = value else { return Err(malformed("the body is not an object")) };
    let mut members = members.into_iter();
    match (members.next(), members.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(malformed("the body has one member: the resource")),
    }
}

/// The value of the resource of the URL.
fn own_value(place: &Place, body: &[u8]) -> Result<Value, Wrong> {
    let (name, value) = member(body)?;
    let Some(own) = place.member() else {
        return if name == "ietf-restconf:data" { Ok(value) } else { Err(malformed("the body is not a datastore")) };
    };
    let plain = place.node().map(|node| node.name);
    if name != own && Some(name.as_str()) != plain {
        return Err(malformed(format!("the body has to hold `{own}`")));
    }
    match (place.steps.last().and_then(|step| step.key.as_ref()), value) {
        (Some(_), Value::Array(entries)) => {
            let mut entries = entries.into_iter();
            match (entries.next(), entries.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(malformed("the body has to hold one entry")),
            }
        }
        (_, value) => Ok(value),
    }
}

/// What is to be made below `place`.
fn child_value(place: &Place, body: &[u8]) -> Result<(Place, Value), Wrong> {
    let (name, value) = member(body)?;
    let (module, name) = name.split_once(':').map_or((None, name.as_str()), |(module, name)| (Some(module), name));
    let bare = place.child(module, name, None)?;
    let Some(key_name) = bare.node().and_then(|node| node.key()) else { return Ok((bare, value)) };
    let entry = match value {
        Value::Array(mut entries) if entries.len() == 1 => entries.pop().unwrap_or_default(),
        _ => return Err(malformed("the body has to hold one entry")),
    };
    let key = entry.get(key_name).and_then(Value::as_str).map(str::to_owned);
    let key = key.ok_or_else(|| malformed(format!("the entry needs its key, {key_name}")))?;
    Ok((place.child(module, name, Some(key))?, entry))
}

/// What a request gets: its status and its text.
#[cfg(test)]
pub(super) fn tried(method: &str, target: &str, body: &str, device: &Device) -> (u16, String) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
    match run(&method, path, query, body.as_bytes(), device, "admin") {
        Ok(Said(status, body, _)) => (status.as_u16(), body.map_or_else(String::new, |body| format!("{body:#}"))),
        Err(Wrong(status, tag, text)) => (status.as_u16(), format!("{tag} {text}")),
    }
}
