//! One call, from the decision to its status: what both its directions share, and what is recorded of it.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use tokio_util::sync::CancellationToken;

use super::codec::PREFIX_BYTES;
use super::method::Method;
use super::refused::{Code, Refused};
use super::schema::Schema;
use super::text::text;
use crate::access::{BoxFuture, Grant, Refusal, Session};
use crate::domain::Outcome;
use crate::recording::{Exchange, Frame, Part};

/// What both directions of a call know.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: &'static Method,
    session: Arc<Session>,
    channel: u32,
    kept_bytes_max: usize,
    /// The first message of the client, with its prefix: what was decided.
    first: Bytes,
    refused: Mutex<Option<Refused>>,
    cut: CancellationToken,
}

impl Call {
    pub(super) fn new(
        method: &'static Method,
        session: Arc<Session>,
        channel: u32,
        kept_bytes_max: usize,
        first: Bytes,
    ) -> Arc<Self> {
        let (refused, cut) = (Mutex::new(None), CancellationToken::new());
        Arc::new(Self { method, session, channel, kept_bytes_max, first, refused, cut })
    }

    /// The first message as it goes on the wire.
    pub(super) fn first(&self) -> Bytes {
        self.first.clone()
    }

    /// The first message without its prefix.
    pub(super) fn first_message(&self) -> &[u8] {
        self.first.get(PREFIX_BYTES..).unwrap_or_default()
    }

    /// Records a message of the client, which goes on only after this.
    pub(super) fn requested(&self, message: &[u8], status: Option<String>) -> Result<(), Refused> {
        self.session.count_in(message.len());
        self.record(Part::Request, status, self.method.request, message)
    }

    /// Judges and records a message that came after the first.
    pub(super) fn later(&self, message: &[u8]) -> Result<(), Refused> {
        let judged = self.method.later(self.first_message(), message);
        self.requested(message, judged.as_ref().err().map(|refused| refused.code.as_str().to_owned()))?;
        judged
    }

    /// Records a message of the element, which goes on only after this.
    pub(super) fn answered(&self, message: &[u8]) -> Result<(), Refused> {
        self.session.count_out(message.len());
        let part = if self.method.follows() { Part::Notification } else { Part::Reply };
        self.record(part, None, self.method.response, message)
    }

    fn record(
        &self,
        part: Part,
        status: Option<String>,
        schema: &'static Schema,
        message: &[u8],
    ) -> Result<(), Refused> {
        let exchange = exchange(self.method.name, part, status, schema, message, self.kept_bytes_max);
        let frame = Frame::Exchange { channel: self.channel, exchange: &exchange };
        self.session.record(&frame).map_err(|outcome| stopped(outcome, ""))
    }

    fn ended(&self, status: String) {
        let exchange = ended(self.method.name, status);
        // A recorder that fails here has ended the session already; there is nothing more to end.
        self.session.record(&Frame::Exchange { channel: self.channel, exchange: &exchange }).ok();
    }

    /// Ends the call from the client's direction: the other one tells the client why.
    pub(super) fn refuse(&self, refused: Refused) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(refused);
        self.cut.cancel();
    }

    /// Why the client's direction has ended the call.
    pub(super) fn why(&self) -> Refused {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        refused.unwrap_or_else(|| Refused::new(Code::Unavailable, "the call was cut"))
    }

    /// Resolves when the call is over for either direction.
    pub(super) fn cut(&self) -> BoxFuture<'static, ()> {
        Box::pin(self.cut.clone().cancelled_owned())
    }
}

/// A message, as recordings keep it.
pub(super) fn exchange(
    name: &str,
    part: Part,
    status: Option<String>,
    schema: &'static Schema,
    message: &[u8],
    kept_bytes_max: usize,
) -> Exchange {
    let (body, cut) = text(schema, message, kept_bytes_max);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message);
    Exchange {
        number: 1,
        part,
        what: name.to_owned(),
        status,
        peer_id: None,
        bytes: message.len() as u64,
        sha256: Some(data_encoding::HEXLOWER.encode(digest.as_ref())),
        body: Some(body),
        cut,
    }
}

/// The end of a call, as recordings keep it.
pub(super) fn ended(name: &str, status: String) -> Exchange {
    Exchange {
        number: 1,
        part: Part::Reply,
        what: name.to_owned(),
        status: Some(status),
        peer_id: None,
        bytes: 0,
        sha256: None,
        body: None,
        cut: false,
    }
}

/// The grant of a call that is under way. Dropped before it has ended, it was broken off by the client.
pub(super) struct Open {
    pub(super) call: Arc<Call>,
    grant: Option<Grant>,
    contact: String,
}

impl Open {
    pub(super) fn new(call: Arc<Call>, grant: Grant, contact: String) -> Self {
        Self { call, grant: Some(grant), contact }
    }

    /// The grant, until the call is over.
    pub(super) fn grant(&self) -> Result<&Grant, Refused> {
        self.grant.as_ref().ok_or_else(|| self.call.why())
    }

    /// Resolves when the gateway must end the call. Cancel safe.
    pub(super) fn stopped(&self) -> BoxFuture<'static, Outcome> {
        match &self.grant {
            Some(grant) => Box::pin(grant.stopping()),
            None => Box::pin(std::future::pending()),
        }
    }

    /// What the client is told then.
    pub(super) fn told(&self, outcome: Outcome) -> Refused {
        stopped(outcome, &self.contact)
    }

    /// The call is over.
    pub(super) fn end(&mut self, status: String, outcome: Outcome) {
        let Some(grant) = self.grant.take() else { return };
        self.call.cut.cancel();
        self.call.ended(status);
        grant.close(outcome);
    }

    /// The gateway ends it.
    pub(super) fn refuse(&mut self, refused: &Refused, outcome: Outcome) {
        self.end(format!("{}: {}", refused.code.as_str(), refused.text), outcome);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.end("CANCELLED".to_owned(), Outcome::ClientClosed);
    }
}

/// What a client is told whose call the gateway ends.
pub(super) fn stopped(outcome: Outcome, contact: &str) -> Refused {
    let code = match outcome {
        Outcome::Expired | Outcome::Locked | Outcome::PolicyDenies | Outcome::Revoked | Outcome::Untrusted => {
            Code::PermissionDenied
        }
        Outcome::ProtocolError => Code::Internal,
        Outcome::Aborted
        | Outcome::ClientClosed
        | Outcome::ElementClosed
        | Outcome::ElementUnreachable
        | Outcome::Idle
        | Outcome::RecorderFailed
        | Outcome::RecordingFull
        | Outcome::Shutdown
        | Outcome::Terminated => Code::Unavailable,
    };
    let ask =
        if code == Code::PermissionDenied && !contact.is_empty() { format!(". Ask {contact}") } else { String::new() };
    Refused::new(code, format!("{}{ask}", outcome.message()))
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(text) => Self::new(Code::PermissionDenied, text),
            Refusal::Unavailable(outcome) => stopped(outcome, ""),
        }
    }
}
