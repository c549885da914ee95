//! Where a service plugs into HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;

use super::body::{Body, UnderWay};
use super::tasks::Tasks;
use crate::access::{BoxFuture, Refusal, Visit};

/// An answer, which may go on for as long as its body does.
pub type Response = hyper::Response<Body>;

/// One request, whose authority is that of the connection.
#[derive(Debug)]
pub struct Request {
    /// Its line and headers.
    pub head: Parts,
    /// Its body, not read yet.
    pub body: Incoming,
    /// The channel that stands for it in the session: one for each request of the connection.
    pub channel: u32,
    /// The tasks of the connection.
    pub tasks: Tasks,
    pub(super) under_way: Arc<UnderWay>,
    pub(super) opaque: Arc<AtomicBool>,
}

impl Request {
    /// Notes that the connection leaves HTTP/1.1 with the answer (status 101), so that what follows is no longer held to its framing.
    ///
    /// The connection is in use for as long as what this gives is held.
    pub fn leave_http(&self) -> impl Send + Sync + 'static {
        self.opaque.store(true, Ordering::Release);
        self.under_way.clone()
    }
}

/// What is spoken over HTTP: names each request's actions, asks, and relays what is allowed.
pub trait Service: Send + Sync {
    /// Its name in logs, lists and inventories.
    fn name(&self) -> &'static str;
    /// Whether a request is its own. What it takes it answers, whatever the element is.
    fn takes(&self, head: &Parts) -> bool;
    /// Begins to serve the requests of one connection, all within one visit. Nothing is asked or opened yet.
    fn begin(&self, visit: Arc<Visit>) -> Arc<dyn Conversation>;
}

/// The requests that one service has of one connection.
pub trait Conversation: Send + Sync {
    /// Answers a request. Dropped when the client resets the stream or is gone: what was begun must be recorded as broken off then.
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response>;
    /// Ends what it holds towards the element. Called once, when the client's connection is over and no call is under way any more; the
    /// session is sealed after it.
    fn end(&self) -> BoxFuture<'_, ()>;
}

/// An answer of the gateway's own, in plain text.
pub fn says(status: StatusCode, text: impl Into<String>) -> Response {
    let mut response = Response::new(Body::full(text.into() + "\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The answer to what was refused. Denied is 403, and so is an element that does not exist: the peer does not learn which.
pub fn refused(refusal: &Refusal) -> Response {
    says(refused_status(refusal), refusal.message())
}

/// The status of a refusal.
pub(super) fn refused_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Denied(_) => StatusCode::FORBIDDEN,
        Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
