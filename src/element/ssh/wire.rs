//! The byte stream under a link: buffered reading, and a stop that works even while the peer neither reads nor writes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::element::ReadAhead;

/// A stream that ends when `stop` is cancelled. The library runs a connection in a task of its own and does not end that task
/// while a write blocks or a window is closed; through this it always can be ended.
pub(super) struct Wire<T> {
    stream: ReadAhead<T>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<T> Wire<T> {
    pub(super) fn new(stream: T, stop: CancellationToken) -> Self {
        Self { stream: ReadAhead::new(stream), stop: Box::pin(stop.cancelled_owned()) }
    }
}

impl<T> Wire<T> {
    /// Turns "not now" into an error once the link was stopped.
    fn or_stopped<R>(&mut self, poll: Poll<io::Result<R>>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        if poll.is_pending() && self.stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the gateway ended the link")));
        }
        poll
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, out);
        self.or_stopped(poll, cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, data);
        self.or_stopped(poll, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.or_stopped(poll, cx)
    }

    /// Never an error: the library would skip telling the handler that the connection ended.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_stopped(poll, cx).map(|_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_stop_ends_a_read_and_a_write_that_would_wait_for_ever() {
        let stop = CancellationToken::new();
        let (near, mut far) = tokio::io::duplex(8);
        let mut wire = Wire::new(near, stop.clone());
        far.write_all(b"hello").await.unwrap();
        let mut five = [0; 5];
        wire.read_exact(&mut five).await.unwrap();
        assert_eq!(&five, b"hello");
        let (read, write) = tokio::io::split(wire);
        let (mut read, mut write) = (read, write);
        let both = async { tokio::join!(read.read_u8(), write.write_all(&[0; 64])) };
        let (ends, ()) = tokio::join!(both, async { stop.cancel() });
        assert!(ends.0.is_err() && ends.1.is_err());
        assert!(write.shutdown().await.is_ok());
    }
}
