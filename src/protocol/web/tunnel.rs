//! What goes on after HTTP was left: frames of a WebSocket both ways, until either side or the gateway ends it. Each message of text is recorded
//! before the end of it goes on; of everything the recording has the length and digest.

use std::sync::Arc;

use aws_lc_rs::digest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::exchange::Allowed;
use super::frames::{Frames, Message, Side};
use crate::access::{Refusal, Session};
use crate::domain::Outcome;
use crate::recording::{Exchange, Frame, Part, Stream, sha256_of};

/// How much is taken at once.
const CHUNK_BYTES: usize = 16 << 10;

/// One direction, as far as it has come.
struct Way {
    session: Arc<Session>,
    channel: u32,
    stream: Stream,
    frames: Frames,
    what: String,
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
            ended = up.carry(&mut from_client, &mut to_element) => ended.err().unwrap_or(Outcome::ClientClosed),
            ended = down.carry(&mut from_element, &mut to_client) => ended.err().unwrap_or(Outcome::ElementClosed),
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
        let side = if stream == Stream::Input { Side::Client } else { Side::Server };
        Way {
            session: self.session.clone(),
            channel: self.channel,
            stream,
            frames: Frames::of(side),
            what: format!("{} text", self.what),
            hash: digest::Context::new(&digest::SHA256),
            bytes: 0,
        }
    }
}

impl Way {
    /// Until one side is gone. Waits for whoever is slow; a session in which nothing moves ends as idle.
    async fn carry(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Outcome> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let Ok(count) = from.read(&mut chunk).await else { return Ok(()) };
            let Some(data) = chunk.get(..count).filter(|data| !data.is_empty()) else { return Ok(()) };
            // SECURITY: what is no WebSocket is something else that nobody allowed.
            let messages = self.frames.follow(data).map_err(|why| {
                tracing::info!(session = %self.session.facts().session, why, "What leaves HTTP here is no WebSocket.");
                Outcome::ProtocolError
            })?;
            for message in &messages {
                self.record(message)?;
            }
            self.hash.update(data);
            self.bytes += data.len() as u64;
            match self.stream {
                Stream::Input => self.session.count_in(count),
                Stream::Output | Stream::Error => self.session.count_out(count),
            }
            self.session.touch();
            if to.write_all(data).await.is_err() || to.flush().await.is_err() {
                return Ok(());
            }
        }
    }

    fn record(&self, message: &Message) -> Result<(), Outcome> {
        let part = if self.stream == Stream::Input { Part::Request } else { Part::Notification };
        let text = String::from_utf8_lossy(&message.text).into_owned();
        let cut = message.bytes > message.text.len() as u64;
        let (what, bytes) = (self.what.clone(), message.bytes);
        let exchange =
            Exchange { number: 1, part, what, status: None, peer_id: None, bytes, sha256: None, body: Some(text), cut };
        self.session.record(&Frame::Exchange { channel: self.channel, exchange: &exchange })
    }

    fn end(self) {
        let sha256 = sha256_of(self.hash);
        let (channel, stream, bytes) = (self.channel, self.stream, self.bytes);
        // A recorder that fails here has ended the session already.
        self.session.record(&Frame::Digest { channel, stream, bytes, kept: 0, sha256 }).ok();
    }
}
