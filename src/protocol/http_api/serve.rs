//! Serves the requests of one connection: understand, ask, record, forward.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::response;
use hyper::{Method, StatusCode};

use super::actions::{Asked, Refused, asked};
use crate::access::{BoxFuture, Element, Refusal, Service, Visit};
use crate::domain::Outcome;
use crate::protocol::web::{
    self, Allowed, Body, Conversation, ReadError, Request, Response, Roots, SendError, SendingError, Sent, Upstream,
    status_of,
};

/// Where RESTCONF is for clients.
const RESTCONF_ELSEWHERE: &str = "this is RESTCONF, which is served at /restconf, where its data is decided";

/// How long a body may come that is not taken.
const LINGER: Duration = Duration::from_secs(1);

/// HTTPS APIs, as HTTP carries them. It takes whatever the others leave.
#[derive(Debug)]
pub struct HttpApi;

impl web::Service for HttpApi {
    fn name(&self) -> &'static str {
        "https"
    }

    fn takes(&self, _: &Parts) -> bool {
        true
    }

    fn begin(&self, visit: Arc<Visit>) -> Arc<dyn Conversation> {
        let limits = visit.access().limits();
        let upstream = Upstream::new(limits.http.clone(), limits.keepalive_interval);
        Arc::new(Serving { visit, upstream })
    }
}

/// The requests of one connection.
struct Serving {
    visit: Arc<Visit>,
    upstream: Arc<Upstream>,
}

/// An answer of the gateway in the element's place.
#[derive(Debug)]
struct Failure {
    status: u16,
    text: String,
}

impl Failure {
    fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    fn response(&self, headers: &HeaderMap) -> Response {
        let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !accepts.contains("json") {
            return web::says(status, self.text.as_str());
        }
        // RFC 9457.
        let title = status.canonical_reason().unwrap_or_default();
        let problem = serde_json::json!({ "status": self.status, "title": title, "detail": self.text });
        let mut response = Response::new(Body::full(problem.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::new(refused.status, refused.text)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(status_of(&refusal).as_u16(), refusal.message())
    }
}

impl From<&ReadError> for Failure {
    fn from(error: &ReadError) -> Self {
        let status = match error {
            ReadError::Broken(_) => 400,
            ReadError::Late => 408,
            ReadError::TooLong(_) => 413,
        };
        Self::new(status, error.to_string())
    }
}

/// A failure after the request was allowed, and how its channel ends.
type Failed = (Failure, Outcome);

fn failed(refusal: Refusal) -> Failed {
    let outcome = if let Refusal::Unavailable(outcome) = &refusal { *outcome } else { Outcome::PolicyDenies };
    (Failure::from(refusal), outcome)
}

impl Conversation for Serving {
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response> {
        Box::pin(async move {
            let headers = request.head.headers.clone();
            self.answer(request).await.unwrap_or_else(|failure| failure.response(&headers))
        })
    }

    fn end(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.upstream.end())
    }
}

impl Serving {
    async fn answer(&self, request: Request) -> Result<Response, Failure> {
        let Request { head, body, channel, .. } = request;
        let asked = asked(head.method.as_str(), head.uri.path(), head.uri.query())?;
        let reads = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if reads && !body.is_end_stream() {
            // Taken off the line, so that the client reads the answer.
            web::read(body, 0, LINGER).await.ok();
            return Err(Failure::new(400, format!("{} has no body", head.method)));
        }
        let what = format!("{} {}", head.method, asked.url());
        let mut allowed = Allowed::ask(&self.visit, channel, vec![asked.action.clone()], what).await?;
        match self.forward(&mut allowed, channel, &head, &asked, body).await {
            Ok((sent, answer)) => {
                let follows = is_event_stream(&answer);
                Ok(allowed.relay(sent, answer, follows).await?)
            }
            Err((failure, outcome)) => {
                allowed.failed(&failure.status.to_string(), outcome);
                Err(failure)
            }
        }
    }

    /// Sends an allowed request to the element; gives its answer, whose headers may pass.
    async fn forward(
        &self,
        allowed: &mut Allowed,
        channel: u32,
        head: &Parts,
        asked: &Asked,
        body: Incoming,
    ) -> Result<(Sent, response::Parts), Failed> {
        let element = self.element(channel, asked).await?;
        let mut stop = allowed.stopped();
        let body = tokio::select! {
            outcome = &mut stop => return Err(failed(Refusal::Unavailable(outcome))),
            body = allowed.sending(body) => body.map_err(|error| match error {
                SendingError::Body(error) => (Failure::from(&error), Outcome::ClientClosed),
                SendingError::Refused(refusal) => failed(refusal),
            })?,
        };
        let request = web::request_of(head, &asked.url(), body);
        let request = request.map_err(|text| (Failure::new(400, text), Outcome::ProtocolError))?;
        let grant = allowed.grant().map_err(failed)?;
        let sent = tokio::select! {
            outcome = &mut stop => return Err(failed(Refusal::Unavailable(outcome))),
            sent = self.upstream.send(grant, &element, request) => sent,
        };
        let sent = sent.map_err(|error| self.unanswered(error))?;
        match web::answer_of(head, &element, Roots { element: "", own: "" }, &sent) {
            Ok(answer) => Ok((sent, answer)),
            Err(text) => Err((Failure::new(502, text), Outcome::ElementClosed)),
        }
    }

    /// The element, as the inventory has it now, when this path of it is served here.
    async fn element(&self, channel: u32, asked: &Asked) -> Result<Arc<Element>, Failed> {
        let unreachable = || failed(Refusal::Unavailable(Outcome::ElementUnreachable));
        let rules = self.visit.access().rules().current();
        let element = rules.inventory.find(self.visit.element()).cloned().ok_or_else(unreachable)?;
        let service = element.service(Service::Https).ok_or_else(unreachable)?;
        if service.restconf.as_deref().is_some_and(|root| asked.is_below(root)) {
            return Err(failed(self.visit.forbid(channel, &asked.action, RESTCONF_ELSEWHERE).await));
        }
        Ok(element)
    }

    fn unanswered(&self, error: SendError) -> Failed {
        tracing::info!(element = %self.visit.element(), %error, "No answer from the element.");
        match error {
            SendError::Refused(refusal) => failed(refusal),
            SendError::Late => (Failure::new(504, "the element did not answer in time"), Outcome::ElementClosed),
            SendError::Broken(_) => failed(Refusal::Unavailable(Outcome::ElementClosed)),
        }
    }
}

/// Whether an answer is a stream of events, which goes on.
fn is_event_stream(answer: &response::Parts) -> bool {
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    answer.status.is_success() && kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
}
