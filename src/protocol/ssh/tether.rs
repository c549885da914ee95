//! A stream that can be cut: the SSH library owns it, and the gateway must be able to end it whatever the library waits for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::access::Stream;

/// Bytes that went through, each way.
#[derive(Debug, Default)]
pub(super) struct Carried {
    read: AtomicU64,
    written: AtomicU64,
}

impl Carried {
    /// Those of the way that carried more.
    pub(super) fn most(&self) -> u64 {
        self.read.load(Ordering::Relaxed).max(self.written.load(Ordering::Relaxed))
    }
}

/// Passes everything through until `cut` is cancelled; then every read and write fails.
pub(super) struct Tether {
    inner: Box<dyn Stream>,
    cut: CancellationToken,
    carried: Arc<Carried>,
    reading: Pin<Box<WaitForCancellationFutureOwned>>,
    writing: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Tether {
    pub(super) fn new(inner: Box<dyn Stream>, cut: CancellationToken, carried: Arc<Carried>) -> Self {
        let waiting = || Box::pin(cut.clone().cancelled_owned());
        Self { inner, reading: waiting(), writing: waiting(), cut, carried }
    }
}

fn was_cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the gateway ended the connection")
}

impl AsyncRead for Tether {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cut.is_cancelled() {
            return Poll::Ready(Err(was_cut()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Pending => self.reading.as_mut().poll(cx).map(|()| Err(was_cut())),
            ready => {
                let more = buf.filled().len().saturating_sub(before);
                self.carried.read.fetch_add(more as u64, Ordering::Relaxed);
                ready
            }
        }
    }
}

impl AsyncWrite for Tether {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut.is_cancelled() {
            return Poll::Ready(Err(was_cut()));
        }
        match Pin::new(&mut self.inner).poll_write(cx, buf) {
            Poll::Pending => self.writing.as_mut().poll(cx).map(|()| Err(was_cut())),
            ready => {
                if let Poll::Ready(Ok(more)) = &ready {
                    self.carried.written.fetch_add(*more as u64, Ordering::Relaxed);
                }
                ready
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(cx) {
            Poll::Pending => self.writing.as_mut().poll(cx).map(|()| Err(was_cut())),
            ready => ready,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_shutdown(cx) {
            Poll::Pending => self.writing.as_mut().poll(cx).map(|()| Err(was_cut())),
            ready => ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_cut_ends_what_waits() {
        let (ours, mut theirs) = tokio::io::duplex(4);
        let cut = CancellationToken::new();
        let carried = Arc::new(Carried::default());
        let mut tether = Tether::new(Box::new(ours), cut.clone(), carried.clone());
        tether.write_all(b"ab").await.expect("there is room");
        let mut two = [0; 2];
        theirs.read_exact(&mut two).await.expect("they were written");
        theirs.write_all(b"abc").await.expect("there is room");
        tether.read_exact(&mut [0; 3]).await.expect("they were written");
        assert_eq!(carried.most(), 3);
        let reading = tokio::spawn(async move { tether.read_u8().await });
        cut.cancel();
        let error = reading.await.expect("no panic").expect_err("it was cut");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
