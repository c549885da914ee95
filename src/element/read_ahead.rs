//! Reading ahead without keeping a buffer: a connection that is quiet holds none.
//!
//! The SSH library reads four bytes and then the rest of a packet, the TLS library 4 KiB at a time. A large buffer below them makes one system
//! call of many, but a buffer for each connection is most of what an idle session would cost. So the buffer is the thread's, and a connection
//! keeps it only while it holds bytes that nobody has asked for yet.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const READ_BYTES: usize = 64 << 10;

thread_local! {
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// A stream that is read in large pieces; writes pass through.
#[derive(Debug)]
pub struct ReadAhead<T> {
    inner: T,
    ahead: Option<Ahead>,
}

/// Bytes that were read and not asked for yet: never none.
#[derive(Debug)]
struct Ahead {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<T> ReadAhead<T> {
    /// Reads `inner` ahead.
    pub fn new(inner: T) -> Self {
        Self { inner, ahead: None }
    }

    /// Hands out what was read before, as far as it is asked for; gives the buffer back with the last of it.
    fn hand_out(&mut self, out: &mut ReadBuf<'_>) {
        let Some(mut ahead) = self.ahead.take() else { return };
        let count = out.remaining().min(ahead.end - ahead.start);
        out.put_slice(ahead.buffer.get(ahead.start..ahead.start + count).unwrap_or_default());
        ahead.start += count;
        if ahead.start < ahead.end {
            self.ahead = Some(ahead);
        } else {
            SPARE.set(Some(ahead.buffer));
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ReadAhead<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_none() {
            if out.remaining() >= READ_BYTES {
                return Pin::new(&mut self.inner).poll_read(cx, out);
            }
            let mut buffer = SPARE.take().unwrap_or_else(|| vec![0; READ_BYTES].into_boxed_slice());
            let mut into = ReadBuf::new(&mut buffer);
            let polled = Pin::new(&mut self.inner).poll_read(cx, &mut into);
            let end = into.filled().len();
            if end == 0 {
                SPARE.set(Some(buffer));
                return polled;
            }
            ready!(polled)?;
            self.ahead = Some(Ahead { buffer, start: 0, end });
        }
        self.hand_out(out);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ReadAhead<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn every_byte_once_and_in_order_whatever_the_sizes() {
        let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        for size in [1, 4, 4096, 70_000, 400_000] {
            let (mut near, far) = tokio::io::duplex(100_000);
            let all = sent.clone();
            let writing = tokio::spawn(async move { near.write_all(&all).await });
            let (mut far, mut got, mut piece) = (ReadAhead::new(far), Vec::new(), vec![0; size]);
            loop {
                let count = far.read(&mut piece).await.unwrap();
                if count == 0 {
                    break;
                }
                got.extend_from_slice(&piece[..count]);
            }
            writing.await.unwrap().unwrap();
            assert!(got == sent, "{size}");
        }
    }

    #[tokio::test]
    async fn two_streams_of_one_thread_do_not_mix_and_quiet_ones_hold_nothing() {
        let (mut a, a_far) = tokio::io::duplex(64);
        let (mut b, b_far) = tokio::io::duplex(64);
        let (mut a_far, mut b_far) = (ReadAhead::new(a_far), ReadAhead::new(b_far));
        a.write_all(b"aaaa1111").await.unwrap();
        b.write_all(b"bbbb2222").await.unwrap();
        let mut four = [0; 4];
        for (expected_a, expected_b) in [(b"aaaa", b"bbbb"), (b"1111", b"2222")] {
            a_far.read_exact(&mut four).await.unwrap();
            assert_eq!(&four, expected_a);
            b_far.read_exact(&mut four).await.unwrap();
            assert_eq!(&four, expected_b);
        }
        assert!(a_far.ahead.is_none() && b_far.ahead.is_none());
    }
}
