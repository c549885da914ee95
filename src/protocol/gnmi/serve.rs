//! Calls of gNMI and gNOI through the gateway: decided and recorded here, relayed by [`super::relay`].

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use tokio::time::{Instant, timeout_at};

use super::call::{Call, Open, ended, exchange};
use super::codec::Framed;
use super::head::{self, Asked};
use super::link::Links;
use super::messages::{Item, Messages, Room};
use super::method::{Method, unknown};
use super::path::View;
use super::refused::{Code, Refused};
use super::relay::{Answer, Downlink, Uplink, late};
use crate::access::{BoxFuture, Session, Standing, Visit, clock};
use crate::domain::{Action, Event, Outcome, RefusalStage, Verb};
use crate::protocol::web::{Body, Conversation, Request, Response, Service};
use crate::recording::{Frame, Part};

/// gNMI and gNOI, as HTTP carries them.
#[derive(Debug)]
pub struct Gnmi;

impl Service for Gnmi {
    fn name(&self) -> &'static str {
        "gnmi"
    }

    fn takes(&self, head: &Parts) -> bool {
        head::is_grpc(head)
    }

    fn begin(&self, visit: Arc<Visit>) -> Arc<dyn Conversation> {
        // As much as a few of the largest messages: many calls at once are small ones.
        let room = Room::new(visit.access().limits().grpc_message_bytes_max.saturating_mul(4));
        Arc::new(Calls { visit, links: Links::default(), room })
    }
}

/// The calls of one connection.
struct Calls {
    visit: Arc<Visit>,
    links: Links,
    room: Arc<Room>,
}

impl Conversation for Calls {
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response> {
        Box::pin(async move { self.serve(request).await.unwrap_or_else(|refused| head::answer(&refused)) })
    }

    fn end(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.links.end())
    }
}

/// What a call goes on doing, decided again with its first action.
struct Stands(Vec<Action>);

impl Standing for Stands {
    fn actions(&self) -> Vec<Action> {
        self.0.clone()
    }
}

/// Decisions between two moments at which other tasks may run.
const DECISIONS_AT_ONCE: usize = 64;

impl Calls {
    async fn serve(&self, request: Request) -> Result<Response, Refused> {
        let arrived = Instant::now();
        let asked = Asked::read(&request.head)?;
        let deadline = asked.timeout.and_then(|timeout| arrived.checked_add(timeout));
        let Some(method) = Method::find(request.head.uri.path()).filter(|_| request.head.uri.query().is_none()) else {
            return Err(self.unknown(request.channel, request.head.uri.path()).await);
        };
        let limits = self.visit.access().limits();
        let mut messages = Messages::new(request.body, limits.grpc_message_bytes_max, self.room.clone());
        let last = arrived + limits.http.body_timeout;
        let first = timeout_at(deadline.map_or(last, |deadline| deadline.min(last)), first(&mut messages)).await;
        let decided = match first.unwrap_or_else(|_| Err(late())) {
            Ok(first) => self.actions(method, first.message()).map(|actions| (first, actions)),
            Err(refused) => Err(refused),
        };
        let (first, actions) = match decided {
            Ok(decided) => decided,
            Err(refused) => {
                self.undecided(request.channel, method, &refused).await;
                return Err(refused);
            }
        };
        let mut open = self.admit(request.channel, method, first, actions).await?;
        let forwarded = tokio::select! {
            biased;
            outcome = open.stopped() => Err((open.told(outcome), outcome)),
            () = at(deadline) => Err((late(), Outcome::ClientClosed)),
            answer = self.forward(&asked, &open, messages) =>
                answer.map_err(|refused| (refused, Outcome::ElementUnreachable)),
        };
        match forwarded {
            Ok(answer) => self.answer(answer, open, deadline),
            Err((refused, outcome)) => {
                open.refuse(&refused, outcome);
                Err(refused)
            }
        }
    }

    fn actions(&self, method: &Method, message: &[u8]) -> Result<Vec<Action>, Refused> {
        let rules = self.visit.access().rules().current();
        let view = View { element: self.visit.element().as_str(), models: rules.policy.models() };
        let actions = method.decide(message, &view)?;
        if actions.is_empty() {
            return Err(Refused::invalid("the request does nothing"));
        }
        Ok(actions)
    }

    /// Asks for everything that a call does, and records its first message. Nothing has gone to the element when this returns.
    async fn admit(
        &self,
        channel: u32,
        method: &'static Method,
        first: Framed,
        mut actions: Vec<Action>,
    ) -> Result<Open, Refused> {
        let access = self.visit.access();
        let kept_bytes_max = access.limits().http.kept_bytes_max;
        let opening = actions.remove(0);
        let grant = match self.visit.ask(channel, &opening).await {
            Ok(grant) => grant,
            Err(refusal) => {
                let refused = Refused::from(refusal);
                self.record_refused(channel, method, Some(first.message()), &refused).await;
                return Err(refused);
            }
        };
        let contact = access.rules().current().policy.contact().to_owned();
        let session = grant.session().clone();
        let call = Call::new(method, session.clone(), channel, kept_bytes_max, first.into_bytes().into());
        let mut open = Open::new(call.clone(), grant, contact);
        let allowed = allow_all(&session, channel, &actions).await;
        let status = allowed.as_ref().err().map(|refused| refused.code.as_str().to_owned());
        let recorded = call.requested(call.first_message(), status);
        if let Err(refused) = allowed.and(recorded) {
            open.refuse(&refused, Outcome::PolicyDenies);
            return Err(refused);
        }
        if !actions.is_empty() {
            open.grant()?.stands_by(Arc::new(Stands(actions)));
        }
        Ok(open)
    }

    /// Sends the call to the element and waits for the head of its answer.
    async fn forward(&self, asked: &Asked, open: &Open, messages: Messages) -> Result<Answer, Refused> {
        let call = &open.call;
        let mut link = self.links.of(self.visit.access(), self.visit.element(), open.grant()?).await?;
        let uplink = Uplink::new(call.clone(), messages);
        let request = asked.to_element(call.method.path, &link.authority, link.injected.as_ref(), uplink)?;
        tokio::select! {
            biased;
            () = call.cut() => Err(call.why()),
            answer = link.send.send_request(request) => answer.map_err(|error| {
                tracing::debug!(%error, "The element did not answer a call.");
                Refused::new(Code::Unavailable, "the element broke the call off")
            }),
        }
    }

    fn answer(&self, answer: Answer, mut open: Open, deadline: Option<Instant>) -> Result<Response, Refused> {
        let (head, body) = answer.into_parts();
        let (headers, over) = match head::from_element(head) {
            Ok(read) => read,
            Err(refused) => {
                open.refuse(&refused, Outcome::ProtocolError);
                return Err(refused);
            }
        };
        let mut response = if over {
            open.end(head::status_of(&headers), Outcome::ElementClosed);
            Response::new(Body::full(Bytes::new()))
        } else {
            let bytes_max = self.visit.access().limits().grpc_message_bytes_max;
            let messages = Messages::new(body, bytes_max, self.room.clone());
            Response::new(Body::new(Downlink::new(open, messages, deadline)))
        };
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// A method that the gateway does not know is denied, and on record as any other: by policy, or else because nobody could tell what it does.
    async fn unknown(&self, channel: u32, path: &str) -> Refused {
        let refused = unknown(path);
        match self.visit.ask(channel, &Action::new(Verb::GnoiRpc, path)).await {
            Ok(grant) => {
                let status = format!("{}: {}", refused.code.as_str(), refused.text);
                let exchange = ended("gRPC", status);
                // A recorder that fails has ended the session, and nothing is forwarded either way.
                grant.session().record(&Frame::Exchange { channel, exchange: &exchange }).ok();
                grant.close(Outcome::ProtocolError);
                refused
            }
            Err(refusal) => refusal.into(),
        }
    }

    /// A request that could not be decided stands in the log, and in the recording if there is one.
    async fn undecided(&self, channel: u32, method: &Method, refused: &Refused) {
        let verified = self.visit.verified();
        let event = Event::Refused {
            door: verified.door(),
            stage: RefusalStage::Open,
            source: Some(verified.peer()),
            identity: Some(verified.identity().to_string()),
            reason: format!("{} on {}: {}", method.name, self.visit.element(), refused.text),
        };
        self.visit.access().report(clock::now(), event).await;
        self.record_refused(channel, method, None, refused).await;
    }

    /// Records what was refused without a grant, if there is a session to record it in.
    async fn record_refused(&self, channel: u32, method: &Method, message: Option<&[u8]>, refused: &Refused) {
        let Some(session) = self.visit.session().await else { return };
        let kept = self.visit.access().limits().http.kept_bytes_max;
        let status = format!("{}: {}", refused.code.as_str(), refused.text);
        let request = message.map(|message| exchange(method.name, Part::Request, None, method.request, message, kept));
        for exchange in request.into_iter().chain([ended(method.name, status)]) {
            // A recorder that fails has ended the session, and nothing is forwarded either way.
            session.record(&Frame::Exchange { channel, exchange: &exchange }).ok();
        }
    }
}

/// The first message of a call.
async fn first(messages: &mut Messages) -> Result<Framed, Refused> {
    match messages.next().await {
        Some(Ok(Item::Message(message))) => Ok(message),
        Some(Ok(Item::Trailers(_))) | None => Err(Refused::invalid("the call has no message")),
        Some(Err(error)) => Err(error.refused(false)),
    }
}

/// Resolves at the deadline, if there is one.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Decides what a call does beside what its grant is for.
async fn allow_all(session: &Session, channel: u32, actions: &[Action]) -> Result<(), Refused> {
    for some in actions.chunks(DECISIONS_AT_ONCE) {
        if let Err(refusal) = some.iter().try_for_each(|action| session.allow(channel, action)) {
            session.report_denials().await;
            return Err(refusal.into());
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}
