//! One request that was allowed: recorded before it goes on, and its answer before that does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_lc_rs::digest;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body as HttpBody, Bytes, Frame as BodyFrame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::body::{Body, BodyError};
use super::service::Response;
use super::upstream::{Lease, Sent};
use crate::access::{BoxFuture, Grant, HttpLimits, Refusal, Session, Standing, Visit};
use crate::domain::{Action, Outcome};
use crate::recording::{Exchange, Frame, Part, Stream, sha256_of};

/// How long an answer may pause before what has come of it goes on.
const LULL: Duration = Duration::from_millis(20);

/// An allowed request, on its channel of the session. Dropped before it has ended, it was broken off by the client.
#[derive(Debug)]
pub struct Allowed {
    pub(super) session: Arc<Session>,
    grant: Option<Grant>,
    pub(super) channel: u32,
    pub(super) what: String,
    /// The request is on record.
    told: bool,
    pub(super) limits: HttpLimits,
}

/// Every action of a request, for as long as its answer goes on.
#[derive(Debug)]
struct AllOf(Vec<Action>);

impl Standing for AllOf {
    fn actions(&self) -> Vec<Action> {
        self.0.clone()
    }
}

impl Allowed {
    /// Asks for all of `actions`; the first opens the channel. `what` is the request for people, `body` all of its body when that is there already.
    ///
    /// # Errors
    /// One of them is denied, or the session cannot be opened.
    pub async fn ask(
        visit: &Arc<Visit>,
        channel: u32,
        actions: Vec<Action>,
        what: String,
        body: Option<&[u8]>,
    ) -> Result<Self, Refusal> {
        let Some((first, rest)) = actions.split_first() else {
            return Err(Refusal::Unavailable(Outcome::ProtocolError));
        };
        let limits = visit.access().limits().http.clone();
        // With one decision the request can be recorded together with it.
        let body = body.filter(|_| rest.is_empty());
        let request = body.map(|body| exchange(&what, &limits, Part::Request, None, body, false));
        let grant = visit.ask_with(channel, first, request.as_ref()).await?;
        let session = grant.session().clone();
        session.count_in(body.map_or(0, <[u8]>::len));
        let mut allowed = Self { session, grant: Some(grant), channel, what, told: request.is_some(), limits };
        for action in rest {
            if let Err(refusal) = allowed.session.allow(channel, action) {
                allowed.session.report_denials().await;
                allowed.close(Outcome::PolicyDenies);
                return Err(refusal);
            }
        }
        if let Some(grant) = allowed.grant.as_ref().filter(|_| !rest.is_empty()) {
            grant.stands_by(Arc::new(AllOf(actions)));
        }
        Ok(allowed)
    }

    /// Asks for one thing more, which turned up on the way.
    ///
    /// # Errors
    /// It is denied.
    pub async fn also(&self, action: &Action) -> Result<(), Refusal> {
        let answer = self.session.allow(self.channel, action);
        self.session.report_denials().await;
        answer
    }

    /// The grant, until the request is over.
    ///
    /// # Errors
    /// It is over.
    pub fn grant(&self) -> Result<&Grant, Refusal> {
        self.grant.as_ref().ok_or(Refusal::Unavailable(Outcome::ProtocolError))
    }

    /// Resolves when the gateway must end it.
    pub fn stopped(&self) -> BoxFuture<'static, Outcome> {
        match &self.grant {
            Some(grant) => Box::pin(grant.stopping()),
            None => Box::pin(std::future::pending()),
        }
    }

    /// Records the request, unless that was done when it was asked for. It may go on only after this.
    ///
    /// # Errors
    /// It was not recorded.
    pub fn requested(&self, body: &[u8]) -> Result<(), Refusal> {
        if self.told {
            return Ok(());
        }
        self.session.count_in(body.len());
        self.record(&self.exchange(Part::Request, None, body, false)).map_err(Refusal::Unavailable)
    }

    /// Records a request of whose body this is the beginning.
    pub(super) fn begun(&self, body: &[u8]) -> Result<(), Refusal> {
        self.session.count_in(body.len());
        self.record(&self.exchange(Part::Request, None, body, true)).map_err(Refusal::Unavailable)
    }

    /// Ends the channel without an answer of the element.
    pub fn close(&mut self, outcome: Outcome) {
        if let Some(grant) = self.grant.take() {
            grant.close(outcome);
        }
    }

    /// Records what the gateway answers in the element's place, and ends the channel.
    pub fn failed(&mut self, status: &str, outcome: Outcome) {
        if self.grant.is_some() {
            // A recorder that fails here has ended the session already.
            self.record(&self.exchange(Part::Reply, Some(status.to_owned()), b"", false)).ok();
            if outcome == Outcome::ElementUnreachable || outcome == Outcome::ElementClosed {
                self.session.note_lost(outcome);
            }
            self.close(outcome);
        }
    }

    /// Relays an answer whose headers may pass. One that is short goes on when it is recorded whole; a longer one goes on in pieces, of which the
    /// recording has the first, and the length and digest of all. `follows`: it is a stream of events, each of which is recorded.
    ///
    /// # Errors
    /// Policy changed meanwhile, or it could not be recorded.
    pub async fn relay(
        mut self,
        sent: Sent,
        head: hyper::http::response::Parts,
        follows: bool,
    ) -> Result<Response, Refusal> {
        let Sent { answer, lease } = sent;
        let status = head.status;
        let mut body = answer.into_body();
        let mut stop = self.stopped();
        let mut first = Gathered::default();
        while !follows && first.bytes < self.limits.kept_bytes_max {
            let frame = tokio::select! {
                biased;
                outcome = &mut stop => {
                    self.failed("stopped", outcome);
                    return Err(Refusal::Unavailable(outcome));
                }
                frame = tokio::time::timeout(LULL, body.frame()) => frame,
            };
            match frame {
                Err(_) => break,
                Ok(Some(Ok(frame))) => first.take(frame),
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, "An element's answer broke off.");
                    first.broke_off = true;
                    break;
                }
                Ok(None) => return self.whole(head, first.into_bytes()),
            }
        }
        if first.broke_off && first.bytes == 0 {
            self.failed("broken off", Outcome::ElementClosed);
            return Err(Refusal::Unavailable(Outcome::ElementClosed));
        }
        let begun = first.into_bytes();
        self.record(&self.exchange(Part::Reply, Some(status.as_str().to_owned()), &begun, true))
            .map_err(Refusal::Unavailable)?;
        let body = Streaming::new(self, body, lease, begun, follows, stop);
        Ok(Response::from_parts(head, Body::new(body)))
    }

    /// Answers with a body that is there whole.
    ///
    /// # Errors
    /// It could not be recorded.
    pub fn whole(mut self, head: hyper::http::response::Parts, body: Bytes) -> Result<Response, Refusal> {
        self.session.count_out(body.len());
        let exchange = self.exchange(Part::Reply, Some(head.status.as_str().to_owned()), &body, false);
        let grant = self.grant.take().ok_or(Refusal::Unavailable(Outcome::ProtocolError))?;
        let last = Frame::Exchange { channel: self.channel, exchange: &exchange };
        grant.close_with(Outcome::ElementClosed, last).map_err(Refusal::Unavailable)?;
        Ok(Response::from_parts(head, Body::full(body)))
    }

    pub(super) fn exchange(&self, part: Part, status: Option<String>, body: &[u8], more: bool) -> Exchange {
        exchange(&self.what, &self.limits, part, status, body, more)
    }

    pub(super) fn record(&self, exchange: &Exchange) -> Result<(), Outcome> {
        self.session.record(&Frame::Exchange { channel: self.channel, exchange })
    }
}

impl Drop for Allowed {
    fn drop(&mut self) {
        if let Some(grant) = self.grant.take() {
            grant.close(Outcome::ClientClosed);
        }
    }
}

fn exchange(what: &str, limits: &HttpLimits, part: Part, status: Option<String>, body: &[u8], more: bool) -> Exchange {
    let (text, cut) = kept(body, limits.kept_bytes_max);
    let sha256 = (!more && !body.is_empty()).then(|| hex(digest::digest(&digest::SHA256, body).as_ref()));
    let (what, bytes) = (what.to_owned(), body.len() as u64);
    Exchange { number: 1, part, what, status, peer_id: None, bytes, sha256, body: text, cut: cut || more }
}

/// The beginning of a body as text, and whether it goes on beyond that. What is not text is known by its digest.
fn kept(body: &[u8], bytes_max: usize) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    let begin = body.get(..body.len().min(bytes_max)).unwrap_or(body);
    let text = match std::str::from_utf8(begin) {
        Ok(text) => text,
        // A cut may stand within a character.
        Err(error) if begin.len() < body.len() && error.error_len().is_none() => {
            begin.get(..error.valid_up_to()).and_then(|begin| std::str::from_utf8(begin).ok()).unwrap_or_default()
        }
        Err(_) => return (None, true),
    };
    (Some(text.to_owned()), text.len() < body.len())
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// What has come of an answer.
#[derive(Debug, Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    bytes: usize,
    broke_off: bool,
}

impl Gathered {
    fn take(&mut self, frame: BodyFrame<Bytes>) {
        // Trailers say nothing that is understood here.
        if let Ok(data) = frame.into_data() {
            self.bytes += data.len();
            self.pieces.push(data);
        }
    }

    fn into_bytes(mut self) -> Bytes {
        if self.pieces.len() <= 1 { self.pieces.pop().unwrap_or_default() } else { self.pieces.concat().into() }
    }
}

/// An answer that goes on.
struct Streaming {
    allowed: Allowed,
    body: Incoming,
    first: Option<Bytes>,
    follows: bool,
    stop: BoxFuture<'static, Outcome>,
    /// When the next piece must have come; a stream of events may be quiet for longer.
    late: Option<Pin<Box<Sleep>>>,
    hash: Option<digest::Context>,
    bytes: u64,
    kept: u64,
    /// Held until the end, so that the connection is used for nothing else meanwhile. Dropped after the body.
    _lease: Lease,
}

impl Streaming {
    fn new(
        allowed: Allowed,
        body: Incoming,
        lease: Lease,
        first: Bytes,
        follows: bool,
        stop: BoxFuture<'static, Outcome>,
    ) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&first);
        allowed.session.count_out(first.len());
        let bytes = first.len() as u64;
        let late = (!follows).then(|| Box::pin(tokio::time::sleep(allowed.limits.answer_timeout)));
        let (first, hash) = (Some(first).filter(|first| !first.is_empty()), Some(hash));
        Self { allowed, body, first, follows, stop, late, hash, bytes, kept: bytes, _lease: lease }
    }

    fn take(&mut self, data: &Bytes) -> Result<(), Outcome> {
        self.allowed.session.count_out(data.len());
        self.bytes += data.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(data);
        }
        if let Some(late) = &mut self.late {
            late.as_mut().reset(Instant::now() + self.allowed.limits.answer_timeout);
        }
        if !self.follows {
            self.allowed.session.touch();
            return Ok(());
        }
        let exchange = self.allowed.exchange(Part::Notification, None, data, false);
        self.kept += exchange.body.as_ref().map_or(0, |text| text.len() as u64);
        self.allowed.record(&exchange)
    }

    fn end(&mut self, outcome: Outcome) {
        let Some(hash) = self.hash.take() else { return };
        let sha256 = sha256_of(hash);
        let (channel, stream) = (self.allowed.channel, Stream::Output);
        let frame = Frame::Digest { channel, stream, bytes: self.bytes, kept: self.kept, sha256 };
        // A recorder that fails here has ended the session already.
        self.allowed.session.record(&frame).ok();
        self.allowed.close(outcome);
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.end(Outcome::ClientClosed);
    }
}

impl HttpBody for Streaming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(outcome) = this.stop.as_mut().poll(cx) {
            // With HTTP/1.1 this ends the client's connection, and must not look as if the client had left.
            this.allowed.session.note_lost(outcome);
            this.end(outcome);
            return Poll::Ready(Some(Err(outcome.message().into())));
        }
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(BodyFrame::data(first))));
        }
        loop {
            if let Some(late) = &mut this.late
                && late.as_mut().poll(cx).is_ready()
            {
                this.end(Outcome::ElementClosed);
                return Poll::Ready(Some(Err("the element does not go on".into())));
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                None => {
                    this.end(Outcome::ElementClosed);
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    this.allowed.session.note_lost(Outcome::ElementClosed);
                    this.end(Outcome::ElementClosed);
                    return Poll::Ready(Some(Err(error.into())));
                }
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if let Err(outcome) = this.take(&data) {
                        this.end(outcome);
                        return Poll::Ready(Some(Err(outcome.message().into())));
                    }
                    return Poll::Ready(Some(Ok(BodyFrame::data(data))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |first| first.len() as u64);
        match self.body.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(first + rest),
            None => SizeHint::default(),
        }
    }
}

/// The status that tells a client why the gateway has no answer for it.
pub fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Denied(_) => StatusCode::FORBIDDEN,
        Refusal::Unavailable(Outcome::ElementClosed | Outcome::ElementUnreachable) => StatusCode::BAD_GATEWAY,
        Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
