//! Serves the requests of one connection: understand, ask, record, forward.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hyper::Method;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName};
use hyper::http::request::Parts;
use hyper::http::response;

use super::actions::{Asked, asked};
use super::duties::{Duties, State, mask};
use super::failure::{Failed, Failure, failed};
use super::upgrade::is_websocket;
use crate::access::{BoxFuture, Element, Refusal, Service, Visit};
use crate::domain::api::{Api, Judged, Seen};
use crate::domain::{Action, Outcome};
use crate::protocol::web::headers::single;
use crate::protocol::web::{
    self, Allowed, Body, Conversation, Request, Response, Roots, SendError, SendingError, Sent, Upstream,
};

/// Where RESTCONF is for clients.
const RESTCONF_ELSEWHERE: &str = "this is RESTCONF, which is served at /restconf, where its data is decided";

/// How long a body may come that is not taken, so that the client reads the answer rather than a broken connection.
const LINGER: Duration = Duration::from_secs(1);

/// HTTPS APIs, as HTTP carries them. It takes whatever the others leave.
#[derive(Debug)]
pub struct HttpApi {
    state: LazyLock<Arc<State>>,
}

impl HttpApi {
    /// With nothing counted yet.
    #[allow(clippy::new_without_default, reason = "a default cannot be made where statics are")]
    pub const fn new() -> Self {
        Self { state: LazyLock::new(Arc::default) }
    }
}

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
        Arc::new(Serving { visit, upstream, state: LazyLock::force(&self.state).clone() })
    }
}

/// The requests of one connection.
pub(super) struct Serving {
    pub(super) visit: Arc<Visit>,
    pub(super) upstream: Arc<Upstream>,
    state: Arc<State>,
}

/// A request and what is known of it.
struct Call {
    head: Parts,
    channel: u32,
    asked: Asked,
    /// What the document says of it, when the element has one.
    api: Option<(Arc<Api>, Judged)>,
    /// Its body, once it was read.
    body: Payload,
}

/// The body of a request.
enum Payload {
    Coming(Incoming),
    Whole(Bytes),
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
        if is_websocket(&request.head) {
            return self.upgrade(request).await;
        }
        let Request { head, body, channel, .. } = request;
        let asked = asked(head.method.as_str(), head.uri.path(), head.uri.query())?;
        let reads = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if reads && !body.is_end_stream() {
            web::read(body, 0, LINGER).await.ok();
            return Err(Failure::new(400, format!("{} has no body", head.method)));
        }
        let body = if body.is_end_stream() { Payload::Whole(Bytes::new()) } else { Payload::Coming(body) };
        let mut call = Call { head, channel, asked, api: None, body };
        let answer = self.serve(&mut call).await;
        let refused = answer.is_err();
        if let (true, Payload::Coming(body)) = (refused, call.body) {
            web::read(body, 0, LINGER).await.ok();
        }
        answer
    }

    async fn serve(&self, call: &mut Call) -> Result<Response, Failure> {
        self.look_up(call).await?;
        if let Some((_, Judged { operation: None, wrong: Some(wrong), .. })) = &call.api {
            // SECURITY: the log knows why, and the client is told what anybody is told who may not.
            return Err(match self.visit.forbid(call.channel, &call.asked.action, wrong).await {
                Refusal::Denied(text) => Failure::new(403, text.replacen(&format!(": {wrong}"), "", 1)),
                refusal => Failure::from(refusal),
            });
        }
        let what = format!("{} {}", call.head.method, call.asked.url());
        let body = if let Payload::Whole(body) = &call.body { Some(&body[..]) } else { None };
        let actions = vec![call.asked.action.clone()];
        let asking = Allowed::ask(&self.visit, call.channel, actions, what, body).await;
        let mut allowed = asking.map_err(|refusal| call.refused(refusal))?;
        match self.forward(&mut allowed, call).await {
            Ok((sent, answer, duties)) if duties.masks.is_empty() => {
                let follows = is_event_stream(&answer);
                Ok(allowed.relay(sent, answer, follows).await?)
            }
            Ok((sent, answer, duties)) => {
                let limits = &self.visit.access().limits().http;
                match mask(&allowed, sent, answer, &duties.masks, limits).await {
                    Ok((answer, body)) => Ok(allowed.whole(answer, body)?),
                    Err(failed) => Err(end(&mut allowed, failed)),
                }
            }
            Err(failed) => Err(end(&mut allowed, failed)),
        }
    }

    /// Finds out what the element's document says of a request, as far as its object goes.
    async fn look_up(&self, call: &mut Call) -> Result<(), Failure> {
        let rules = self.visit.access().rules().current();
        let service = rules.inventory.find(self.visit.element()).and_then(|element| element.service(Service::Https));
        let Some(file) = service.and_then(|service| service.api.as_deref()) else { return Ok(()) };
        // Rules without the document are not loaded; should it be missing all the same, nothing is in it.
        let api = rules.policy.api(file).cloned().unwrap_or_default();
        let mut judged = call.judge(&api);
        if api.document.needs_body(call.head.method.as_str(), &call.asked.segments) {
            self.read(call).await?;
            judged = call.judge(&api);
        }
        call.asked.action = Action::new(call.asked.action.verb, judged.object.clone());
        call.api = Some((api, judged));
        Ok(())
    }

    /// Reads the body of a request whole.
    async fn read(&self, call: &mut Call) -> Result<(), Failure> {
        let limits = &self.visit.access().limits().http;
        let Payload::Coming(body) = std::mem::replace(&mut call.body, Payload::Whole(Bytes::new())) else {
            return Ok(());
        };
        let read = web::read(body, limits.body_bytes_max, limits.body_timeout).await;
        call.body = Payload::Whole(read.map_err(|error| Failure::from(&error))?);
        Ok(())
    }

    /// Sends an allowed request to the element; gives its answer, whose headers may pass.
    async fn forward(&self, allowed: &mut Allowed, call: &mut Call) -> Result<(Sent, response::Parts, Duties), Failed> {
        let element = self.element(call).await?;
        let duties = Duties::of(allowed.grant().map_err(failed)?.obligations());
        let duties = match duties {
            Ok(duties) => duties,
            Err(why) => return Err(self.forbidden(call, why).await),
        };
        let mut stop = allowed.stopped();
        let headers = tokio::select! {
            outcome = &mut stop => return Err(failed(Refusal::Unavailable(outcome))),
            headers = self.judge(call, &duties) => headers?,
        };
        let body = match std::mem::replace(&mut call.body, Payload::Whole(Bytes::new())) {
            Payload::Whole(body) => {
                allowed.requested(&body).map_err(failed)?;
                Body::full(body)
            }
            Payload::Coming(body) => tokio::select! {
                outcome = &mut stop => return Err(failed(Refusal::Unavailable(outcome))),
                body = allowed.sending(body) => body.map_err(|error| match error {
                    SendingError::Body(error) => (Failure::from(&error), Outcome::ClientClosed),
                    SendingError::Refused(refusal) => failed(refusal),
                })?,
            },
        };
        let request = web::request_of(&call.head, &call.asked.url(), body, &headers);
        let request = request.map_err(|text| (Failure::new(400, text), Outcome::ProtocolError))?;
        let grant = allowed.grant().map_err(failed)?;
        let sent = tokio::select! {
            outcome = &mut stop => return Err(failed(Refusal::Unavailable(outcome))),
            sent = self.upstream.send(grant, &element, request) => sent,
        };
        let sent = sent.map_err(|error| self.unanswered(error))?;
        match web::answer_of(&call.head, &element, Roots { element: "", own: "" }, &sent) {
            Ok(answer) => Ok((sent, answer, duties)),
            Err(text) => Err((Failure::new(502, text), Outcome::ElementClosed)),
        }
    }

    /// Sees to what is asked of an allowed request beside policy: limits, the document, the customer. Gives the headers that the document has.
    async fn judge(&self, call: &mut Call, duties: &Duties) -> Result<Vec<HeaderName>, Failed> {
        let mut headers = Vec::new();
        if let Some((api, judged)) = &call.api {
            let api = api.clone();
            if let Err(too_many) = self.state.count(&self.visit, &api, judged) {
                let (mut failure, outcome) = self.forbidden(call, &too_many.what).await;
                (failure.status, failure.after) = (429, Some(too_many.after));
                return Err((failure, outcome));
            }
            self.read(call).await.map_err(|failure| (failure, Outcome::ClientClosed))?;
            let judged = call.judge(&api);
            if let Some(wrong) = &judged.wrong {
                return Err(self.forbidden(call, wrong).await);
            }
            headers.extend(judged.headers.iter().filter_map(|name| name.parse::<HeaderName>().ok()));
            if let Some(auth) = &api.customer_auth {
                headers.retain(|name| name.as_str() != auth.header);
            }
            call.api = Some((api, judged));
        }
        let header = |name: &str| call.header(name);
        let api = call.api.as_ref().map(|(api, judged)| (api, judged));
        match self.state.customer_auth(&self.visit, duties, api, header) {
            Ok(()) => Ok(headers),
            Err(why) => Err(self.forbidden(call, &why).await),
        }
    }

    async fn forbidden(&self, call: &Call, why: &str) -> Failed {
        failed(self.visit.forbid(call.channel, &call.asked.action, why).await)
    }

    /// The element, as the inventory has it now, when this path of it is served here.
    async fn element(&self, call: &Call) -> Result<Arc<Element>, Failed> {
        let unreachable = || failed(Refusal::Unavailable(Outcome::ElementUnreachable));
        let rules = self.visit.access().rules().current();
        let element = rules.inventory.find(self.visit.element()).cloned().ok_or_else(unreachable)?;
        let service = element.service(Service::Https).ok_or_else(unreachable)?;
        if service.restconf.as_deref().is_some_and(|root| call.asked.is_below(root)) {
            return Err(self.forbidden(call, RESTCONF_ELSEWHERE).await);
        }
        // SECURITY: rules that came into force meanwhile may hold the element to a document that was not asked.
        if service.api.is_some() != call.api.is_some() {
            return Err(self.forbidden(call, "what holds for this API has just changed; ask again").await);
        }
        Ok(element)
    }

    pub(super) fn unanswered(&self, error: SendError) -> Failed {
        tracing::info!(element = %self.visit.element(), %error, "No answer from the element.");
        match error {
            SendError::Refused(refusal) => failed(refusal),
            SendError::Late => (Failure::new(504, "the element did not answer in time"), Outcome::ElementClosed),
            SendError::Broken(_) => failed(Refusal::Unavailable(Outcome::ElementClosed)),
        }
    }
}

impl Call {
    /// SECURITY: whoever is denied learns of no document, and so not that the element exists: the object is told as that of any path.
    fn refused(&self, refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Denied(text) if self.api.is_some() => {
                let (object, path) = (&self.asked.action.object, format!("/{}", self.asked.segments.join("/")));
                Failure::new(403, text.replacen(&shown(object), &shown(&path), 1))
            }
            refusal => Failure::from(refusal),
        }
    }

    fn header(&self, name: &str) -> Result<Option<String>, String> {
        let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no header"))?;
        Ok(single(&self.head.headers, &name)?.map(str::to_owned))
    }

    fn judge(&self, api: &Api) -> Judged {
        let header = |name: &str| self.header(name);
        let media = single(&self.head.headers, &CONTENT_TYPE).unwrap_or_default();
        let body = if let Payload::Whole(body) = &self.body { body.as_ref() } else { b"" };
        let (segments, query) = (&self.asked.segments, &self.asked.query);
        api.document.judge(&Seen { method: self.head.method.as_str(), segments, query, header: &header, media, body })
    }
}

/// An object as a refusal tells it.
fn shown(object: &str) -> String {
    let object: String = object.chars().take(200).collect();
    format!("`{}`", object.escape_debug())
}

fn end(allowed: &mut Allowed, (failure, outcome): Failed) -> Failure {
    allowed.failed(&failure.status.to_string(), outcome);
    failure
}

/// Whether an answer is a stream of events, which goes on.
fn is_event_stream(answer: &response::Parts) -> bool {
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    answer.status.is_success() && kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
}
