//! Reads a client of HTTP/1.1 and lets only what `codec.rs` can follow through.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::codec::{Follower, Step};
use crate::access::HttpLimits;

/// No request: the library answers it with status 400, and the client gets nothing else through after it.
const NO_REQUEST: &[u8] = b"\0\r\n\r\n";
const READ_BYTES: usize = 16 << 10;

/// A client's stream. Headers pass when they are complete, within the time for them.
pub(super) struct Guard<S> {
    inner: S,
    follower: Follower,
    /// From the client, not followed yet.
    raw: Vec<u8>,
    /// Followed, and not asked for yet.
    passed: Vec<u8>,
    given: usize,
    over: bool,
    opaque: Arc<AtomicBool>,
    header_timeout: Duration,
    late: Option<Pin<Box<Sleep>>>,
}

impl<S> Guard<S> {
    /// Guards `inner` for as long as `opaque` is not set; then everything passes.
    pub(super) fn new(inner: S, limits: &HttpLimits, opaque: Arc<AtomicBool>) -> Self {
        Self {
            inner,
            follower: Follower::new(limits.header_bytes_max),
            raw: Vec::new(),
            passed: Vec::new(),
            given: 0,
            over: false,
            opaque,
            header_timeout: limits.header_timeout,
            late: None,
        }
    }

    fn follow(&mut self) {
        let mut at = 0;
        while let Some(rest) = self.raw.get(at..).filter(|rest| !rest.is_empty()) {
            match self.follower.step(rest) {
                Step::Body(count) => {
                    self.passed.extend_from_slice(rest.get(..count).unwrap_or(rest));
                    at += count;
                }
                Step::Taken(count) => at += count,
                Step::Head(count) => {
                    self.passed.append(&mut self.follower.take_head());
                    at += count;
                }
                Step::TooLong => {
                    // The library refuses headers of this length as what they are, with status 431.
                    self.passed.append(&mut self.follower.take_head());
                    self.over = true;
                    break;
                }
                Step::Refused(reason) => {
                    tracing::info!(reason, "A request was refused for its framing.");
                    self.passed.extend_from_slice(NO_REQUEST);
                    self.over = true;
                    break;
                }
            }
        }
        self.raw = Vec::new();
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = self.passed.get(self.given..).unwrap_or_default();
        let now = rest.get(..rest.len().min(buffer.remaining())).unwrap_or_default();
        buffer.put_slice(now);
        let gave = !now.is_empty();
        self.given += now.len();
        if self.given >= self.passed.len() {
            (self.passed, self.given) = (Vec::new(), 0);
        }
        gave
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.give(buffer) || this.over {
                return Poll::Ready(Ok(()));
            }
            if this.opaque.load(Ordering::Acquire) {
                return Pin::new(&mut this.inner).poll_read(cx, buffer);
            }
            if this.follower.within_head() {
                let deadline = Instant::now() + this.header_timeout;
                let late = this.late.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                if late.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "headers did not come in time")));
                }
            } else {
                this.late = None;
            }
            let mut bytes = vec![0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            let count = read.filled().len();
            if count == 0 {
                this.over = true;
                return Poll::Ready(Ok(()));
            }
            bytes.truncate(count);
            this.raw = bytes;
            this.follow();
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
