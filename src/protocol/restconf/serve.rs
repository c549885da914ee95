//! Serves the requests of one connection: understand, ask, record, forward.

use std::sync::Arc;

use hyper::body::{Body as _, Bytes};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::response;
use hyper::{Method, StatusCode};

use super::actions::{Asked, Refused, Seen, asked, is_restconf};
use super::{HOST_META, errors};
use crate::access::{BoxFuture, Element, Refusal, Service, Visit};
use crate::domain::Outcome;
use crate::protocol::web::headers::single;
use crate::protocol::web::{
    self, Allowed, Body, Conversation, ReadError, Request, Response, Roots, SendError, Sent, Upstream, status_of,
};

/// RESTCONF, as HTTP carries it.
#[derive(Debug)]
pub struct Restconf;

impl web::Service for Restconf {
    fn name(&self) -> &'static str {
        "restconf"
    }

    fn takes(&self, head: &Parts) -> bool {
        is_restconf(head.uri.path())
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
struct Failure {
    status: u16,
    tag: &'static str,
    text: String,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self { status: refused.status, tag: refused.tag, text: refused.text }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let tag = if matches!(refusal, Refusal::Denied(_)) { "access-denied" } else { "operation-failed" };
        Self { status: status_of(&refusal).as_u16(), tag, text: refusal.message() }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let (status, tag) = match &error {
            ReadError::Broken(_) => (400, "malformed-message"),
            ReadError::Late => (408, "operation-failed"),
            ReadError::TooLong(_) => (413, "too-big"),
        };
        Self { status, tag, text: error.to_string() }
    }
}

impl Conversation for Serving {
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response> {
        Box::pin(async move {
            let accept = request.head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).map(str::to_owned);
            self.answer(request).await.unwrap_or_else(|failure| {
                let (text, kind) = errors::document(accept.as_deref(), failure.tag, &failure.text);
                let mut response = Response::new(Body::full(text));
                *response.status_mut() =
                    StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                response
            })
        })
    }

    fn end(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.upstream.end())
    }
}

impl Serving {
    async fn answer(&self, request: Request) -> Result<Response, Failure> {
        let Request { head, body, channel, .. } = request;
        if head.uri.path() == HOST_META {
            return host_meta(&head);
        }
        let limits = &self.visit.access().limits().http;
        let body = if body.is_end_stream() {
            Bytes::new()
        } else {
            web::read(body, limits.body_bytes_max, limits.body_timeout).await?
        };
        let rules = self.visit.access().rules().current();
        let seen = Seen {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query(),
            media: single(&head.headers, &CONTENT_TYPE).map_err(|text| bad(&text))?,
            body: &body,
        };
        let asked = asked(&seen, rules.policy.models())?;
        let what = format!("{} /restconf{}{}", head.method, asked.path, asked.query);
        let mut allowed = Allowed::ask(&self.visit, channel, asked.actions.clone(), what, Some(&body)).await?;
        let result = self.forward(&mut allowed, &head, &asked, body).await;
        match result {
            Ok((sent, answer)) => {
                let follows = asked.stream && head.method == Method::GET && answer.status.is_success();
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
        head: &Parts,
        asked: &Asked,
        body: Bytes,
    ) -> Result<(Sent, response::Parts), (Failure, Outcome)> {
        let failed = |refusal: Refusal| {
            let outcome = if let Refusal::Unavailable(outcome) = &refusal { *outcome } else { Outcome::PolicyDenies };
            (Failure::from(refusal), outcome)
        };
        let unreachable = || failed(Refusal::Unavailable(Outcome::ElementUnreachable));
        let rules = self.visit.access().rules().current();
        let element = rules.inventory.find(self.visit.element()).cloned().ok_or_else(unreachable)?;
        let root = root_of(&element).ok_or_else(unreachable)?;
        allowed.requested(&body).map_err(failed)?;
        let request = web::request_of(head, &format!("{root}{}{}", asked.path, asked.query), Body::full(body), &[]);
        let request = request.map_err(|text| (bad(&text), Outcome::ProtocolError))?;
        let mut stop = allowed.stopped();
        let grant = allowed.grant().map_err(failed)?;
        let sent = tokio::select! {
            outcome = &mut stop => return Err(failed(Refusal::Unavailable(outcome))),
            sent = self.upstream.send(grant, &element, request) => sent,
        };
        let sent = sent.map_err(|error| {
            tracing::info!(element = %self.visit.element(), %error, "No answer from the element.");
            match error {
                SendError::Refused(refusal) => failed(refusal),
                SendError::Late => {
                    (Failure { status: 504, ..bad("the element did not answer in time") }, Outcome::ElementClosed)
                }
                SendError::Broken(_) => failed(Refusal::Unavailable(Outcome::ElementClosed)),
            }
        })?;
        let roots = Roots { element: &root, own: "/restconf" };
        match web::answer_of(head, &element, roots, &sent) {
            Ok(answer) => Ok((sent, answer)),
            Err(text) => {
                Err((Failure { status: 502, tag: "operation-failed", text: text.to_owned() }, Outcome::ElementClosed))
            }
        }
    }
}

fn bad(text: &str) -> Failure {
    Failure { status: 400, tag: "invalid-value", text: text.to_owned() }
}

/// Where RESTCONF begins (RFC 8040 §3.1). That is the same on every name, and so tells nothing of any element.
fn host_meta(head: &Parts) -> Result<Response, Failure> {
    if ![Method::GET, Method::HEAD].contains(&head.method) || head.uri.query().is_some() {
        return Err(Failure {
            status: 405,
            tag: "operation-not-supported",
            text: "only GET is served here".to_owned(),
        });
    }
    let text =
        "<XRD xmlns=\"http://docs.oasis-open.org/ns/xri/xrd-1.0\"><Link rel=\"restconf\" href=\"/restconf\"/></XRD>\n";
    let mut response = Response::new(Body::full(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xrd+xml"));
    Ok(response)
}

/// Where the element has RESTCONF.
fn root_of(element: &Element) -> Option<String> {
    element.service(Service::Https)?.restconf.clone()
}
