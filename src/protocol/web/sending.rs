//! The body of a request that goes to the element in pieces: the recording has its beginning, and the length and digest of all.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_lc_rs::digest;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Bytes, Frame as BodyFrame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::body::{Body, BodyError, ReadError, read};
use super::exchange::Allowed;
use crate::access::{BoxFuture, Refusal, Session};
use crate::domain::Outcome;
use crate::recording::{Frame, Stream, sha256_of};

/// Why a request does not go on.
#[derive(Debug, thiserror::Error)]
pub enum SendingError {
    /// Its body.
    #[error("{0}")]
    Body(#[from] ReadError),
    /// It was not recorded.
    #[error("{}", .0.message())]
    Refused(Refusal),
}

impl Allowed {
    /// Records a request with the beginning of its body, and gives the whole body as it goes to the element. What is longer than a recording
    /// keeps is known by its length and digest.
    ///
    /// # Errors
    /// The beginning did not come, or was not recorded.
    pub async fn sending(&self, mut body: Incoming) -> Result<Body, SendingError> {
        let limits = &self.limits;
        if body.size_hint().lower() > limits.upload_bytes_max {
            let bytes_max = usize::try_from(limits.upload_bytes_max).unwrap_or(usize::MAX);
            // Reads on for a moment, so that the client is told.
            read(body, bytes_max, limits.body_timeout).await?;
            return Err(ReadError::TooLong(bytes_max).into());
        }
        let mut first = Vec::new();
        let reading = async {
            while first.len() <= limits.kept_bytes_max {
                let Some(frame) = body.frame().await else { return Ok::<_, ReadError>(true) };
                let frame = frame.map_err(|e| ReadError::Broken(e.to_string()))?;
                first.extend_from_slice(&frame.into_data().unwrap_or_default());
            }
            Ok(body.is_end_stream())
        };
        let whole = tokio::time::timeout(limits.body_timeout, reading).await.map_err(|_| ReadError::Late)??;
        if whole {
            self.requested(&first).map_err(SendingError::Refused)?;
            return Ok(Body::full(first));
        }
        self.begun(&first).map_err(SendingError::Refused)?;
        Ok(Body::new(Sending::new(self, body, first.into())))
    }
}

/// A body that goes on.
struct Sending {
    session: Arc<Session>,
    channel: u32,
    body: Incoming,
    first: Option<Bytes>,
    stop: BoxFuture<'static, Outcome>,
    within: Duration,
    late: Pin<Box<Sleep>>,
    hash: Option<digest::Context>,
    bytes: u64,
    kept: u64,
    bytes_max: u64,
}

impl Sending {
    fn new(allowed: &Allowed, body: Incoming, first: Bytes) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&first);
        let within = allowed.limits.body_timeout;
        Self {
            session: allowed.session.clone(),
            channel: allowed.channel,
            body,
            bytes: first.len() as u64,
            kept: (first.len().min(allowed.limits.kept_bytes_max)) as u64,
            first: Some(first),
            stop: allowed.stopped(),
            within,
            late: Box::pin(tokio::time::sleep(within)),
            hash: Some(hash),
            bytes_max: allowed.limits.upload_bytes_max,
        }
    }

    fn take(&mut self, data: &Bytes) -> Result<(), BodyError> {
        self.bytes += data.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(format!("the body is longer than {} bytes", self.bytes_max).into());
        }
        self.session.count_in(data.len());
        self.session.touch();
        if let Some(hash) = &mut self.hash {
            hash.update(data);
        }
        self.late.as_mut().reset(Instant::now() + self.within);
        Ok(())
    }

    /// Records how long it was, as far as it came.
    fn end(&mut self) -> Result<(), Outcome> {
        let Some(hash) = self.hash.take() else { return Ok(()) };
        let sha256 = sha256_of(hash);
        let (channel, stream) = (self.channel, Stream::Input);
        self.session.record(&Frame::Digest { channel, stream, bytes: self.bytes, kept: self.kept, sha256 })
    }

    fn broken(&mut self, error: impl Into<BodyError>) -> Poll<Option<Result<BodyFrame<Bytes>, BodyError>>> {
        // A recorder that fails here has ended the session already.
        self.end().ok();
        Poll::Ready(Some(Err(error.into())))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // As in `broken`.
        self.end().ok();
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(outcome) = this.stop.as_mut().poll(cx) {
            return this.broken(outcome.message());
        }
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(BodyFrame::data(first))));
        }
        loop {
            if this.late.as_mut().poll(cx).is_ready() {
                return this.broken("the body did not come in time");
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                // SECURITY: the end goes on only when it is recorded, so that the element does not act on what is not.
                None => return Poll::Ready(this.end().err().map(|outcome| Err(outcome.message().into()))),
                Some(Err(error)) => return this.broken(error),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    return match this.take(&data) {
                        Ok(()) => Poll::Ready(Some(Ok(BodyFrame::data(data)))),
                        Err(error) => this.broken(error),
                    };
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
