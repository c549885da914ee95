//! gNMI 0.8 over HTTP/2: Capabilities, Get, Set, Subscribe.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use serde_json::Value;
use tokio::sync::mpsc;

use super::edit::{Edit, Operation, Place};
use super::follow;
use super::select::select;
use super::tls::Streams;
use super::{Fault, change, look, model};
use crate::domain::Timestamp;
use crate::lab::device::Device;
use crate::protocol::gnmi::codec::{Framed, Framer};
use crate::protocol::gnmi::method::Method;
use crate::protocol::gnmi::wire::{Message, Writer};

const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Messages that wait for the client to take them.
const WAITING_MAX: usize = 16;

/// The body of an answer: pieces that are there, then those that come.
#[derive(Debug)]
pub(super) struct Body {
    pieces: VecDeque<Frame<Bytes>>,
    more: Option<mpsc::Receiver<Frame<Bytes>>>,
}

impl Body {
    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let pieces = if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([Frame::data(bytes)]) };
        Self { pieces, more: None }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(piece)));
        }
        match &mut self.more {
            Some(more) => more.poll_recv(cx).map(|piece| piece.map(Ok)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.more.is_none()
    }
}

/// Why a call fails, with its code of gRPC.
pub(super) struct Refused(u16, String);

const INVALID_ARGUMENT: u16 = 3;
const NOT_FOUND: u16 = 5;
const UNIMPLEMENTED: u16 = 12;

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        let code = if fault == Fault::Missing { NOT_FOUND } else { INVALID_ARGUMENT };
        Self(code, fault.to_string())
    }
}

/// Answers one call.
pub(super) async fn answer(
    request: Request<Incoming>,
    device: Arc<Device>,
    account: &str,
    streams: Streams,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let body = request.into_body();
    let mut incoming = Requests { body, framer: Framer::new(MESSAGE_BYTES_MAX), piece: Bytes::new() };
    let body = match call(&path, &mut incoming, &device, account).await {
        Ok(Answer::Whole(message)) => {
            let pieces = framed(message).into_iter().chain([Frame::trailers(status(None))]).collect();
            Body { pieces, more: None }
        }
        Ok(Answer::Follows(list)) => {
            let (to, more) = mpsc::channel(WAITING_MAX);
            streams.spawn(async move {
                let ended = follow::run(list, &mut incoming, &device, &to).await;
                // A client that has gone does not need to hear it.
                to.send(Frame::trailers(status(ended.err().as_ref()))).await.ok();
            });
            Body { pieces: VecDeque::new(), more: Some(more) }
        }
        Err(refused) => Body { pieces: VecDeque::from([Frame::trailers(status(Some(&refused)))]), more: None },
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// A message as it goes on the wire.
pub(super) fn framed(message: Writer) -> Option<Frame<Bytes>> {
    Framed::around(&message.finish()).map(|framed| Frame::data(Bytes::from(framed.into_bytes())))
}

fn status(refused: Option<&Refused>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let code = refused.map_or(0, |Refused(code, _)| *code);
    trailers.insert("grpc-status", HeaderValue::from(code));
    if let Some(Refused(_, text)) = refused {
        let plain: String = text.chars().filter(|c| (' '..='~').contains(c) && *c != '%').collect();
        if let Ok(text) = HeaderValue::try_from(plain) {
            trailers.insert("grpc-message", text);
        }
    }
    trailers
}

/// What a client sends.
pub(super) struct Requests {
    body: Incoming,
    framer: Framer,
    piece: Bytes,
}

impl Requests {
    /// The next message; none when there is none, or nothing that reads as one.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut rest = &*self.piece;
            let taken = self.framer.take(&mut rest).ok()?;
            let used = self.piece.len() - rest.len();
            self.piece = self.piece.slice(used..);
            if let Some(message) = taken {
                return Some(message.message().to_vec());
            }
            let frame = self.body.frame().await?.ok()?;
            self.piece = frame.into_data().ok()?;
        }
    }
}

enum Answer {
    Follows(follow::List),
    Whole(Writer),
}

async fn call(path: &str, requests: &mut Requests, device: &Device, account: &str) -> Result<Answer, Refused> {
    let known = Method::find(path).filter(|_| path.starts_with("/gnmi.gNMI/"));
    let method = known.ok_or_else(|| unimplemented(format!("{path} is not done here")))?;
    let bytes = requests.next().await.ok_or_else(|| invalid("there is no request"))?;
    let message = Message::read(method.request, &bytes).map_err(|e| invalid(&e.to_string()))?;
    match path.rsplit('/').next() {
        Some("Capabilities") => Ok(Answer::Whole(capabilities())),
        Some("Get") => get(&message, device).map(Answer::Whole),
        Some("Set") => set(&message, device, account).map(Answer::Whole),
        _ => follow::List::read(&message).map(Answer::Follows),
    }
}

pub(super) fn invalid(text: &str) -> Refused {
    Refused(INVALID_ARGUMENT, text.to_owned())
}

fn unimplemented(text: impl Into<String>) -> Refused {
    Refused(UNIMPLEMENTED, text.into())
}

/// The number of `JSON_IETF` among encodings.
const JSON_IETF: u64 = 4;

fn capabilities() -> Writer {
    let models = model::MODULES.iter().fold(Writer::new(), |all, module| {
        let model = Writer::new().text(1, module.name).text(2, "OpenConfig working group").text(3, module.revision);
        all.message(1, &model)
    });
    models.number(2, 0).number(2, JSON_IETF).text(3, "0.8.0")
}

/// Whether values go as `json_ietf_val`; other encodings than JSON are refused.
pub(super) fn ietf(encoding: u64) -> Result<bool, Refused> {
    match encoding {
        0 => Ok(false),
        JSON_IETF => Ok(true),
        _ => Err(unimplemented("values are told in JSON and JSON_IETF")),
    }
}

fn get(request: &Message<'_>, device: &Device) -> Result<Writer, Refused> {
    let ietf = ietf(request.number(5))?;
    let tree = look(device, request.number(3) == 1);
    let now = stamp();
    let mut response = Writer::new();
    for path in request.messages(2) {
        let place = place(request.message(1), Some(path))?;
        let found = select(&tree, &place);
        if found.is_empty() {
            return Err(Fault::Missing.into());
        }
        let notification = found
            .iter()
            .fold(Writer::new().number(1, now), |all, (at, value)| all.message(4, &update(at, value, ietf)));
        response = response.message(1, &notification);
    }
    Ok(response)
}

fn set(request: &Message<'_>, device: &Device, account: &str) -> Result<Writer, Refused> {
    if request.has(5) || request.has(6) {
        return Err(unimplemented("extensions and union_replace are not done here"));
    }
    let prefix = request.message(1);
    let tree = look(device, true);
    let (mut edits, mut results) = (Vec::new(), Vec::new());
    for path in request.messages(2) {
        let at = place(prefix, Some(path))?;
        let found = select(&tree, &at).into_iter().map(|(place, _)| place);
        edits.extend(found.map(|place| Edit { operation: Operation::Remove, place, value: Value::Null }));
        results.push((at, 1));
    }
    for (field, operation, told) in [(3, Operation::Replace, 2), (4, Operation::Merge, 3)] {
        for update in request.messages(field) {
            let at = place(prefix, update.message(1))?;
            let value = value(update.message(3).ok_or_else(|| invalid("an update has no value"))?)?;
            edits.push(Edit { operation, place: at.clone(), value });
            results.push((at, told));
        }
    }
    let now = crate::lab::now();
    change(device, &edits, account, "gNMI", now)?;
    let response = results.iter().fold(Writer::new(), |all, (at, told)| {
        all.message(2, &Writer::new().message(2, &written(at)).number(4, *told))
    });
    Ok(response.number(4, nanos(now)))
}

/// The place that a prefix and a path mean together.
pub(super) fn place(prefix: Option<&Message<'_>>, path: Option<&Message<'_>>) -> Result<Place, Refused> {
    let mut place = Place::default();
    for part in [prefix, path].into_iter().flatten() {
        if !matches!(part.text(2), "" | "openconfig") {
            return Err(invalid("an origin that is not known"));
        }
        for elem in part.messages(3) {
            let (module, name) =
                elem.text(1).split_once(':').map_or((None, elem.text(1)), |(module, name)| (Some(module), name));
            let mut keys = elem.messages(2).map(|entry| (entry.text(1), entry.text(2)));
            let key = keys.next();
            let below = place.child(module, name, None)?;
            let known = below.node().and_then(|node| node.key());
            if keys.next().is_some() || key.is_some_and(|(name, _)| Some(name) != known) {
                return Err(invalid(&format!("`{name}` has not that key")));
            }
            let key = key.map(|(_, value)| value).filter(|value| *value != "*");
            place = place.child(module, name, key.map(str::to_owned))?;
        }
    }
    Ok(place)
}

/// A place as a `Path`.
pub(super) fn written(place: &Place) -> Writer {
    place.steps.iter().fold(Writer::new(), |path, step| {
        let mut elem = Writer::new().text(1, step.node.name);
        if let (Some(name), Some(key)) = (step.node.key(), &step.key) {
            elem = elem.message(2, &Writer::new().text(1, name).text(2, key));
        }
        path.message(3, &elem)
    })
}

/// An `Update`.
pub(super) fn update(at: &Place, value: &Value, ietf: bool) -> Writer {
    let value = Writer::new().text(if ietf { 11 } else { 10 }, &value.to_string());
    Writer::new().message(1, &written(at)).message(3, &value)
}

fn value(typed: &Message<'_>) -> Result<Value, Refused> {
    if let Some(json) = typed.bytes(10).or_else(|| typed.bytes(11)) {
        return serde_json::from_slice(json).map_err(|e| invalid(&format!("a value is not JSON: {e}")));
    }
    match typed.numbers().next() {
        Some(field @ (1 | 12)) => Ok(Value::from(typed.text(field))),
        Some(2) => Ok(Value::from(typed.number(2).cast_signed())),
        Some(3) => Ok(Value::from(typed.number(3))),
        Some(4) => Ok(Value::from(typed.number(4) == 1)),
        _ => Err(unimplemented("a type of value that is not taken here")),
    }
}

pub(super) fn stamp() -> u64 {
    nanos(crate::lab::now())
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(0)
}
