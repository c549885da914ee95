//! One NETCONF session: dial, exchange hellos, then both directions until one side is done.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::codec::{Decoder, Encoder, Framing, Piece, frame};
use super::downlink::Downlink;
use super::element::{FromElement, ToElement, dial};
use super::hello::{self, Hello};
use super::state::State;
use super::uplink::Uplink;
use crate::access::{Grant, Refusal, Stream, Visit};
use crate::domain::Outcome;
use crate::recording::Part;

/// What is read at once.
const READ_BYTES: usize = 32 << 10;
/// For the last answer to reach a client whose session ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// One side's messages, as they come.
pub(super) struct Incoming<R> {
    read: R,
    decoder: Decoder,
    buffer: Vec<u8>,
}

/// What came.
pub(super) enum Came {
    Piece(Piece),
    /// The peer has closed.
    Closed,
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    fn new(read: R, message_bytes_max: u64) -> Self {
        Self { read, decoder: Decoder::new(message_bytes_max), buffer: vec![0; READ_BYTES] }
    }

    /// The next piece. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Came, super::codec::FrameError> {
        loop {
            if let Some(piece) = self.decoder.next_piece()? {
                return Ok(Came::Piece(piece));
            }
            match self.read.read(&mut self.buffer).await {
                Ok(0) | Err(_) => return Ok(Came::Closed),
                Ok(n) => self.decoder.push(self.buffer.get(..n).unwrap_or_default()),
            }
        }
    }

    /// The first message, whole.
    async fn hello(&mut self) -> Result<Vec<u8>, String> {
        let mut message = Vec::new();
        loop {
            match self.next().await.map_err(|e| e.to_string())? {
                Came::Piece(Piece::Data(data)) => message.extend_from_slice(&data),
                Came::Piece(Piece::End) => return Ok(message),
                Came::Closed => return Err("it closed before its hello".to_owned()),
            }
        }
    }

    fn switch(&mut self, framing: Framing) {
        self.decoder.switch(framing);
    }
}

/// Messages to the client.
pub(super) struct Outgoing<W> {
    write: W,
    encoder: Encoder,
}

impl<W: AsyncWrite + Unpin> Outgoing<W> {
    /// The framed form of pieces, or why they cannot be sent.
    pub(super) fn framed(&mut self, pieces: &[Piece]) -> Result<Bytes, super::codec::FrameError> {
        let mut out = BytesMut::new();
        pieces.iter().try_for_each(|piece| self.encoder.encode(piece, &mut out))?;
        Ok(out.freeze())
    }

    /// Starts the message anew, of which nothing was sent.
    pub(super) fn start_over(&mut self, framing: Framing) {
        self.encoder.switch(framing);
    }

    pub(super) async fn send(&mut self, framed: &[u8]) -> Result<(), Outcome> {
        let sent = async {
            self.write.write_all(framed).await?;
            self.write.flush().await
        };
        sent.await.map_err(|_| Outcome::ClientClosed)
    }
}

/// Serves one client on a plain stream.
pub(super) async fn speak(visit: &Visit, grant: &Grant, channel: u32, client: Box<dyn Stream>) -> Outcome {
    let state = State::new(visit, grant.session().clone(), channel);
    grant.stands_by(state.subscriptions.clone());
    let (from_element, mut to_element) = match dial(visit, grant).await {
        Ok(dialled) => dialled,
        Err(Refusal::Denied(text)) => {
            return state.ends(&format!("the element was not reached: {text}"), Outcome::ElementUnreachable);
        }
        Err(Refusal::Unavailable(outcome)) => return outcome,
    };
    let (read, write) = tokio::io::split(client);
    let client = Incoming::new(read, state.limits.message_bytes_max);
    let element = Incoming::new(from_element, state.limits.reply_bytes_max);
    let outgoing = Outgoing { write, encoder: Encoder::new() };
    let ready = match greet(&state, client, outgoing, element, &mut to_element).await {
        Ok(ready) => ready,
        Err(outcome) => {
            to_element.close().await;
            return outcome;
        }
    };
    let outcome = run(&state, ready, &mut to_element).await;
    to_element.close().await;
    outcome
}

/// Both legs after their hellos.
struct Ready {
    client: Incoming<ReadHalf<Box<dyn Stream>>>,
    client_framing: Framing,
    outgoing: Outgoing<WriteHalf<Box<dyn Stream>>>,
    element: Incoming<FromElement>,
    element_framing: Framing,
}

/// Exchanges hellos on both legs: the element's first, because the client is told what it can do.
async fn greet(
    state: &State<'_>,
    mut client: Incoming<ReadHalf<Box<dyn Stream>>>,
    mut outgoing: Outgoing<WriteHalf<Box<dyn Stream>>>,
    mut element: Incoming<FromElement>,
    to_element: &mut ToElement,
) -> Result<Ready, Outcome> {
    let deadline = state.limits.hello_timeout;
    let marked = |text: &str| frame(Framing::EndOfMessage, text.as_bytes()).map_err(|_| Outcome::ProtocolError);
    let failed = |outcome: Outcome, who: &str, why: String| state.ends(&format!("{who}: {why}"), outcome);
    to_element.send(marked(&hello::to_element())?).await?;
    let greeted = tokio::time::timeout(deadline, element.hello()).await;
    let raw = greeted
        .unwrap_or_else(|_| Err("no hello in time".to_owned()))
        .map_err(|why| failed(Outcome::ElementUnreachable, "the element's NETCONF server", why))?;
    let theirs = Hello::read(&raw, state.xml_limits())
        .and_then(
            |hello| if hello.session_id.is_some() { Ok(hello) } else { Err("its hello has no session-id".to_owned()) },
        )
        .map_err(|why| failed(Outcome::ElementUnreachable, "the element's NETCONF server", why))?;
    state.record(&state.exchange(0, Part::Notification, "hello of the element", &raw))?;
    let held_back = theirs.held_back();
    if !held_back.is_empty() {
        state.note(&format!("capabilities held back: {}", held_back.join(" ")))?;
    }
    let ours = theirs.for_client();
    let offered = async {
        outgoing.send(&marked(&ours)?).await?;
        client.hello().await.map_err(|why| failed(Outcome::ProtocolError, "the client", why))
    };
    let raw = tokio::time::timeout(deadline, offered)
        .await
        .unwrap_or_else(|_| Err(failed(Outcome::ProtocolError, "the client", "no hello in time".to_owned())))?;
    state.record(&state.exchange(0, Part::Request, "hello of the client", &raw))?;
    let own = Hello::read(&raw, state.xml_limits())
        .and_then(
            |hello| if hello.session_id.is_none() { Ok(hello) } else { Err("its hello has a session-id".to_owned()) },
        )
        .map_err(|why| failed(Outcome::ProtocolError, "the client", why))?;
    let framing = |chunks: bool| if chunks { Framing::Chunked } else { Framing::EndOfMessage };
    let (client_framing, element_framing) = (framing(own.chunks()), framing(theirs.chunks()));
    client.switch(client_framing);
    outgoing.encoder.switch(client_framing);
    element.switch(element_framing);
    Ok(Ready { client, client_framing, outgoing, element, element_framing })
}

/// Both directions until one is done. When the client has nothing more to say, what it waits for is still answered.
async fn run(state: &State<'_>, ready: Ready, to_element: &mut ToElement) -> Outcome {
    let Ready { client, client_framing, outgoing, element, element_framing } = ready;
    let places = Arc::new(tokio::sync::Semaphore::new(state.limits.pipeline_max));
    let mut uplink = Uplink::new(state, client, element_framing, places);
    let mut downlink = Downlink::new(state, element, outgoing, client_framing);
    let up = async {
        let outcome = uplink.run(to_element).await;
        if outcome == Outcome::ClientClosed {
            let drained = async {
                while !state.waiting().is_empty() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            drop(tokio::time::timeout(FAREWELL, drained).await);
        }
        outcome
    };
    tokio::select! {
        outcome = up => outcome,
        outcome = downlink.run() => outcome,
    }
}
