//! From the client to the element: each RPC is read whole, decided, recorded, and then forwarded as it came or answered here.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::actions::{Effect, Envelope, ErrorTag, ReplyHead, Rpc, action_of};
use super::codec::{FrameError, Framing, Piece, frame};
use super::element::ToElement;
use super::serve::{Came, Incoming};
use super::state::{Answer, Forwarded, Look, State, Then, Waiting};
use super::{observe, reply};
use crate::access::{Refusal, Stream};
use crate::domain::data::Datastore;
use crate::domain::{Action, Outcome};
use crate::recording::Part;

/// One direction.
pub(super) struct Uplink<'s, R = ReadHalf<Box<dyn Stream>>> {
    state: &'s State<'s>,
    client: Incoming<R>,
    framing: Framing,
    places: Arc<Semaphore>,
    number: u64,
    looks: u64,
}

/// What became of an RPC.
enum Verdict {
    /// The element may have it.
    Forward(Box<Rpc>),
    /// It is answered here.
    Answer { what: String, tag: ErrorTag, body: String },
}

impl<'s, R: AsyncRead + Unpin> Uplink<'s, R> {
    pub(super) fn new(state: &'s State<'s>, client: Incoming<R>, framing: Framing, places: Arc<Semaphore>) -> Self {
        Self { state, client, framing, places, number: 0, looks: 0 }
    }

    /// Until the client is done.
    pub(super) async fn run(&mut self, element: &mut ToElement) -> Outcome {
        let mut message = Vec::new();
        loop {
            match self.client.next().await {
                Ok(Came::Piece(Piece::Data(data))) => {
                    self.state.session.touch();
                    message.extend_from_slice(&data);
                }
                Ok(Came::Piece(Piece::End)) => {
                    let whole = std::mem::take(&mut message);
                    match self.take(whole, element).await {
                        Ok(true) => {}
                        // Nothing follows `close-session`; its answer ends the session.
                        Ok(false) => return std::future::pending().await,
                        Err(outcome) => return outcome,
                    }
                }
                Ok(Came::Closed) if message.is_empty() => return Outcome::ClientClosed,
                Ok(Came::Closed) => {
                    return self.state.ends("the client left in the middle of a message", Outcome::ProtocolError);
                }
                Err(error @ (FrameError::Broken(_) | FrameError::HoldsMarker | FrameError::TooLong(_))) => {
                    return self
                        .state
                        .ends(&format!("the client's message is refused: {error}"), Outcome::ProtocolError);
                }
            }
        }
    }

    /// Takes one message; whether more may follow.
    async fn take(&mut self, message: Vec<u8>, element: &mut ToElement) -> Result<bool, Outcome> {
        let state = self.state;
        let Ok(place) = self.places.clone().acquire_owned().await else { return Err(Outcome::ProtocolError) };
        self.number += 1;
        state.session.count_in(message.len());
        let (head, mut verdict) = match Envelope::read(&message, state.xml_limits()) {
            Ok(envelope) => {
                let verdict = self.decide(&envelope)?;
                (envelope.head, verdict)
            }
            Err(refused) => {
                let (refused, head) = *refused;
                let body = reply::refused(&head, &refused);
                (head, Verdict::Answer { what: "a message that is no RPC".to_owned(), tag: refused.tag, body })
            }
        };
        state.session.report_denials().await;
        let framed = match &verdict {
            Verdict::Forward(rpc) => match frame(self.framing, &message) {
                Ok(framed) => Some(framed),
                Err(error) => {
                    let body = reply::error(&head, ErrorTag::OperationFailed, &error.to_string(), None);
                    verdict = Verdict::Answer { what: rpc.what.clone(), tag: ErrorTag::OperationFailed, body };
                    None
                }
            },
            Verdict::Answer { .. } => None,
        };
        let what = match &verdict {
            Verdict::Forward(rpc) => &rpc.what,
            Verdict::Answer { what, .. } => what,
        };
        let mut exchange = state.exchange(self.number, Part::Request, what, &message);
        exchange.peer_id.clone_from(&head.message_id);
        state.record(&exchange)?;
        match (verdict, framed) {
            (Verdict::Forward(rpc), Some(framed)) => self.forward(*rpc, head, framed, place, element).await,
            (Verdict::Answer { what, tag, body }, _) => {
                let status = format!("rpc-error {}", tag.as_str());
                let (number, body) = (self.number, Bytes::from(body));
                state.wait_for(Waiting::Answer(Answer { number, head, what, status, body, _place: place }));
                Ok(true)
            }
            (Verdict::Forward(_), None) => Err(Outcome::ProtocolError),
        }
    }

    /// Asks for everything that the RPC is; the first thing that is denied settles it.
    fn decide(&self, envelope: &Envelope) -> Result<Verdict, Outcome> {
        let state = self.state;
        let rules = state.visit.access().rules().current();
        let models = rules.policy.models();
        let rpc = match envelope.rpc(models) {
            Ok(rpc) => rpc,
            Err(refused) => {
                let body = reply::refused(&envelope.head, &refused);
                return Ok(Verdict::Answer { what: envelope.operation(), tag: refused.tag, body });
            }
        };
        // A commit makes running what was staged: it is asked for there too (RFC 8341 §3.2.5).
        let staged: Vec<Action> = match rpc.effect {
            Effect::Commit => state.staged().1.iter().map(|change| action_of(change, Datastore::Running)).collect(),
            _ => Vec::new(),
        };
        for action in rpc.asks.iter().chain(&staged) {
            match state.session.allow(state.channel, action) {
                Ok(()) => {}
                Err(Refusal::Denied(message)) => {
                    let body = reply::denied(&envelope.head, &message, action, models);
                    return Ok(Verdict::Answer { what: rpc.what, tag: ErrorTag::AccessDenied, body });
                }
                Err(Refusal::Unavailable(outcome)) => return Err(outcome),
            }
        }
        if let Effect::Subscribe(actions) = &rpc.effect
            && !state.subscriptions.add(actions.clone())
        {
            let text = "this session has as many subscriptions as it may have";
            let body = reply::error(&envelope.head, ErrorTag::OperationFailed, text, None);
            return Ok(Verdict::Answer { what: rpc.what, tag: ErrorTag::OperationFailed, body });
        }
        Ok(Verdict::Forward(Box::new(rpc)))
    }

    async fn forward(
        &mut self,
        rpc: Rpc,
        head: ReplyHead,
        framed: Bytes,
        place: OwnedSemaphorePermit,
        element: &mut ToElement,
    ) -> Result<bool, Outcome> {
        let state = self.state;
        let Rpc { what, reads, effect, .. } = rpc;
        let closes = matches!(effect, Effect::Close);
        let (then, selection) = match effect {
            Effect::None | Effect::Subscribe(_) => (Then::Nothing, None),
            Effect::Close => (Then::Close, None),
            Effect::Commit => {
                let (at, _, selection) = state.staged();
                (Then::Changed(at), Some(selection))
            }
            Effect::Discard => (Then::Unstage(state.staged().0), None),
            Effect::Edit { datastore: Datastore::Candidate, changes, selection } => {
                state.stage(changes, selection);
                (Then::Nothing, None)
            }
            Effect::Edit { datastore: Datastore::Running, selection, .. } => (Then::Changed(0), Some(selection)),
            Effect::Edit { .. } => (Then::Nothing, None),
        };
        let looks = selection.filter(|_| state.limits.observed_bytes_max > 0);
        if let Some(selection) = &looks {
            self.look(false, selection.as_deref(), element).await?;
        }
        let number = self.number;
        state.wait_for(Waiting::Forwarded(Forwarded { number, head, what, reads, then, _place: place }));
        element.send(framed).await?;
        if let Some(selection) = &looks {
            self.look(true, selection.as_deref(), element).await?;
        }
        Ok(!closes)
    }

    /// Looks at the running configuration, between the client's RPCs.
    async fn look(&mut self, after: bool, selection: Option<&str>, element: &mut ToElement) -> Result<(), Outcome> {
        self.looks += 1;
        let message_id = format!("sallyport-{}", self.looks);
        let text = observe::look(&message_id, selection);
        let framed = frame(self.framing, text.as_bytes()).map_err(|_| Outcome::ProtocolError)?;
        self.state.wait_for(Waiting::Look(Look { message_id, after }));
        element.send(framed).await
    }
}
