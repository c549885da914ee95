//! What goes on after HTTP was left: bytes both ways, counted and digested, until either side or the gateway ends it.

use std::sync::Arc;

use aws_lc_rs::digest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::exchange::Allowed;
use crate::access::{Refusal, Session};
use crate::domain::Outcome;
use crate::recording::{Frame, Part, Stream};

/// How much is taken at once.
const CHUNK_BYTES: usize = 16 << 10;

/// One direction, as far as it has come.
struct Way {
    session: Arc<Session>,
    channel: u32,
    stream: Stream,
    hash: digest::Context,
    bytes: u64,
}

impl Allowed {
    /// Records that the element has left HTTP with this request.
    ///
    /// # Errors
    /// It was not recorded.
    pub fn switched(&self) -> Result<(), Refusal> {
        let exchange = self.exchange(Part::Reply, Some("101".to_owned()), b"", false);
        self.record(&exchange).map_err(Refusal::Unavailable)
    }

    /// Carries bytes both ways until it ends; the recording then has how many, and their digests.
    pub async fn tunnel(
        mut self,
        client: impl AsyncRead + AsyncWrite + Send,
        element: impl AsyncRead + AsyncWrite + Send,
    ) {
        let stop = self.stopped();
        let (mut up, mut down) = (self.way(Stream::Input), self.way(Stream::Output));
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_element, mut to_element) = tokio::io::split(element);
        let outcome = tokio::select! {
            outcome = stop => outcome,
            () = up.carry(&mut from_client, &mut to_element) => Outcome::ClientClosed,
            () = down.carry(&mut from_element, &mut to_client) => Outcome::ElementClosed,
        };
        for way in [up, down] {
            way.end();
        }
        if outcome != Outcome::ClientClosed {
            self.session.note_lost(outcome);
        }
        self.close(outcome);
        // Whoever is left learns of the end, when there is time for it; it is over and on record either way.
        to_client.shutdown().await.ok();
        to_element.shutdown().await.ok();
    }

    fn way(&self, stream: Stream) -> Way {
        let (session, channel) = (self.session.clone(), self.channel);
        Way { session, channel, stream, hash: digest::Context::new(&digest::SHA256), bytes: 0 }
    }
}

impl Way {
    /// Until one side is gone. Waits for whoever is slow; a session in which nothing moves ends as idle.
    async fn carry(&mut self, from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let Ok(count) = from.read(&mut chunk).await else { return };
            let Some(data) = chunk.get(..count).filter(|data| !data.is_empty()) else { return };
            self.hash.update(data);
            self.bytes += data.len() as u64;
            match self.stream {
                Stream::Input => self.session.count_in(count),
                _ => self.session.count_out(count),
            }
            self.session.touch();
            if to.write_all(data).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
    }

    fn end(self) {
        let mut sha256 = [0; 32];
        for (to, from) in sha256.iter_mut().zip(self.hash.finish().as_ref()) {
            *to = *from;
        }
        let (channel, stream, bytes) = (self.channel, self.stream, self.bytes);
        // A recorder that fails here has ended the session already.
        self.session.record(&Frame::Digest { channel, stream, bytes, kept: 0, sha256 }).ok();
    }
}
