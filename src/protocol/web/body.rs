//! Bodies: of answers, which may go on; of requests, read whole within limits where they must be judged whole.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::sync::watch;

/// Why a body broke off; the client sees the stream reset or the connection closed.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer. It is asked for the next piece when the client has taken the last one: that is all the back-pressure there is.
pub struct Body {
    inner: Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>,
    _under_way: Option<Arc<UnderWay>>,
}

impl Body {
    /// One that is there already.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::new(Full::new(bytes.into()).map_err(|never: Infallible| match never {}))
    }

    /// One that comes in pieces.
    pub fn new(body: impl HttpBody<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self { inner: Box::pin(body), _under_way: None }
    }

    /// Counts as under way until it is dropped.
    pub(super) fn counted(mut self, under_way: Arc<UnderWay>) -> Self {
        self._under_way = Some(under_way);
        self
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.inner.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Why a request's body could not be read whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The client broke it off, or framed it wrongly.
    #[error("the body broke off: {0}")]
    Broken(String),
    /// It did not come in time.
    #[error("the body did not come in time")]
    Late,
    /// It is longer than allowed.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
}

/// What is read of a body that is too long, so that its client is told instead of cut off while it sends.
const LINGER_BYTES: usize = 1 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// Reads a body whole. Trailers are left out.
///
/// # Errors
/// See [`ReadError`].
pub async fn read<B>(body: B, bytes_max: usize, within: Duration) -> Result<Bytes, ReadError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: fmt::Display,
{
    let mut body = std::pin::pin!(body);
    let lower = body.size_hint().lower();
    if lower > (bytes_max + LINGER_BYTES) as u64 {
        return Err(ReadError::TooLong(bytes_max));
    }
    let reading = read_up_to(body.as_mut(), if lower > bytes_max as u64 { 0 } else { bytes_max });
    match tokio::time::timeout(within, reading).await.map_err(|_| ReadError::Late)? {
        Err(ReadError::TooLong(_)) => {
            // Whatever becomes of the rest, the answer is the same.
            tokio::time::timeout(LINGER, read_up_to(body, LINGER_BYTES)).await.ok();
            Err(ReadError::TooLong(bytes_max))
        }
        read => read,
    }
}

async fn read_up_to<B>(mut body: Pin<&mut B>, bytes_max: usize) -> Result<Bytes, ReadError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: fmt::Display,
{
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|e| ReadError::Broken(e.to_string()))?.into_data() else { continue };
        if all.len() + first.len() + data.len() > bytes_max {
            return Err(ReadError::TooLong(bytes_max));
        }
        // Most bodies come in one piece, which need not be copied.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// One request that is under way on a connection, until it and its answer are dropped.
#[derive(Debug)]
pub(super) struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    /// One more.
    pub(super) fn one(count: &watch::Sender<usize>) -> Arc<Self> {
        count.send_modify(|count| *count += 1);
        Arc::new(Self(count.clone()))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Resolves when nothing was under way for `after`.
pub(super) async fn idle(count: &watch::Sender<usize>, after: Duration) {
    let mut count = count.subscribe();
    loop {
        if count.wait_for(|count| *count == 0).await.is_err() {
            // The sender is borrowed from whoever waits here.
            std::future::pending::<()>().await;
        }
        if tokio::time::timeout(after, count.changed()).await.is_err() {
            return;
        }
    }
}
