//! From the element to the client: what the element says is recorded, then forwarded, inline. While the client's window is closed the element
//! waits, and nobody else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelWriteHalf, Sig};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use super::tape::Tape;
use crate::access::{LinkEvent, LinkSink, Offer, Session, Standing};
use crate::domain::{Action, Outcome};
use crate::recording::Frame;

/// The client's end of a channel.
pub(super) struct ClientChannel {
    pub(super) id: ChannelId,
    pub(super) number: u32,
    pub(super) write: ChannelWriteHalf<Msg>,
    pub(super) handle: Handle,
    pub(super) queue: Queue,
    /// Cancelled when the channel is over, so that nothing waits for a client that is gone.
    pub(super) over: CancellationToken,
}

/// The SSH extended data type of standard error (RFC 4254 §5.2).
const STDERR: u32 = 1;

impl ClientChannel {
    /// Sends bytes; waits for the client's window.
    pub(super) async fn send(&self, error: bool, data: Bytes) -> Result<(), Outcome> {
        if data.is_empty() {
            return Ok(());
        }
        let sending = async {
            if error { self.write.extended_data_bytes(STDERR, data).await } else { self.write.data_bytes(data).await }
        };
        tokio::select! {
            sent = sending => sent.map_err(|_| Outcome::ClientClosed),
            () = self.over.cancelled() => Err(Outcome::ClientClosed),
        }
    }

    /// Closes the channel, and ends whatever waits for it.
    pub(super) async fn close(&self) {
        // Fails only when the client is gone, and then there is nothing to close.
        self.handle.close(self.id).await.ok();
        self.over.cancel();
    }

    /// A line for the person, on standard error.
    pub(super) async fn tell(&self, text: &str) {
        let line = Bytes::from(format!("sallyport: {text}\r\n"));
        // A client that is gone, or whose window stays shut, cannot be told; the channel ends all the same.
        drop(tokio::time::timeout(std::time::Duration::from_millis(500), self.send(true, line)).await);
    }
}

/// An answer that the element owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// To the terminal request: the client was told yes already.
    Terminal,
    /// To the shell, command or subsystem: passed on to the client.
    Request,
    /// To the agent request: the client was told yes already.
    Agent,
    /// To the display request: the client was told yes already.
    Display,
}

/// What a channel's two directions share.
pub(super) struct Shared {
    pub(super) client: ClientChannel,
    pub(super) session: Arc<Session>,
    pub(super) tape: Mutex<Option<Tape>>,
    /// Present for file transfers: see [`Shared::turn`].
    pub(super) transfer: Option<tokio::sync::Mutex<()>>,
    pub(super) awaited: Mutex<VecDeque<Awaited>>,
    /// The element's answer to the request.
    pub(super) answer: watch::Sender<Option<bool>>,
    /// Cancelled when the element closed the channel.
    pub(super) closed: CancellationToken,
    /// The element's end of output, held back: see [`Sink`].
    pub(super) held_eof: AtomicBool,
    pub(super) expects_status: AtomicBool,
    /// Cancelled when the client knows of the channel; nothing is sent to it before.
    pub(super) known: CancellationToken,
    /// Whether the command ended by itself.
    pub(super) ended: AtomicBool,
}

impl Shared {
    pub(super) fn with_tape<T>(&self, f: impl FnOnce(&mut Tape) -> Result<T, Outcome>) -> Result<T, Outcome> {
        let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        tape.as_mut().map_or(Err(Outcome::ClientClosed), f)
    }

    /// For a file transfer, the turn to inspect and to send to the client: what is sent has the order in which it was inspected. It is never held
    /// while waiting for the element.
    pub(super) async fn turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match &self.transfer {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }

    async fn data(&self, error: bool, data: &[u8]) -> Result<(), Outcome> {
        let turn = self.turn().await;
        match self.with_tape(|tape| tape.from_element(&self.session, &self.client.queue, error, data))? {
            None => self.client.send(error, Bytes::copy_from_slice(data)).await,
            Some(to_client) => {
                self.session.report_denials().await;
                let sent = self.client.send(false, to_client).await;
                drop(turn);
                sent
            }
        }
    }

    /// Whether the end of output waits for a status: for commands, not for forwards. Once there was a status, nothing waits.
    fn holds_eof(&self) -> bool {
        self.expects_status.load(Ordering::Relaxed)
    }

    async fn release_eof(&self) -> Result<(), ()> {
        self.expects_status.store(false, Ordering::Relaxed);
        if self.held_eof.swap(false, Ordering::Relaxed) { self.client.handle.eof(self.client.id).await } else { Ok(()) }
    }

    async fn answered(&self, yes: bool) -> Result<(), Outcome> {
        let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match awaited {
            Some(Awaited::Request) => {
                self.answer.send_replace(Some(yes));
                let told = if yes {
                    self.client.handle.channel_success(self.client.id).await
                } else {
                    self.client.handle.channel_failure(self.client.id).await
                };
                told.map_err(|()| Outcome::ClientClosed)
            }
            Some(Awaited::Agent) if !yes => self.declined("the agent").await,
            Some(Awaited::Display) if !yes => self.declined("the display").await,
            Some(Awaited::Terminal) if !yes => self.with_tape(|tape| tape.without_terminal(&self.session)),
            Some(Awaited::Agent | Awaited::Display | Awaited::Terminal) | None => Ok(()),
        }
    }

    /// The client was told that this is carried, because it would not have waited; now the person learns better.
    async fn declined(&self, what: &str) -> Result<(), Outcome> {
        let text = format!("channel {}: the element does not carry {what}", self.client.number);
        self.session.record(&Frame::Note { text: &text })?;
        self.client.tell(&format!("the element does not carry {what}")).await;
        Ok(())
    }
}

/// The files that are open in a transfer.
impl Standing for Shared {
    fn actions(&self) -> Vec<Action> {
        let tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        tape.as_ref().map(Tape::standing).unwrap_or_default()
    }
}

/// Takes what the element says.
///
/// The end of a command's output is passed on only with its exit status, or with the close. A client whose own input has ended closes the
/// channel as soon as the output ends, and the library answers that at once, after which no status could be sent any more.
pub(super) struct Sink {
    shared: Arc<Shared>,
    /// Where channels that the element opens are offered; nowhere when nothing was asked for.
    offers: Option<mpsc::Sender<Offer>>,
}

impl Sink {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, offers: None }
    }

    pub(super) fn offering(shared: Arc<Shared>, offers: mpsc::Sender<Offer>) -> Self {
        Self { shared, offers: Some(offers) }
    }
}

impl LinkSink for Sink {
    fn offered(&mut self, offer: Offer) {
        if let Some(offers) = &self.offers {
            // No room, or the channel is ending: dropping the offer refuses it.
            drop(offers.try_send(offer));
        }
    }

    async fn take(&mut self, event: LinkEvent<'_>) -> Result<(), Outcome> {
        let Shared { client, session, .. } = &*self.shared;
        if !self.shared.known.is_cancelled() {
            tokio::select! {
                () = self.shared.known.cancelled() => {}
                () = client.over.cancelled() => return Err(Outcome::ClientClosed),
            }
        }
        let (handle, id, channel) = (&client.handle, client.id, client.number);
        let sent = match event {
            LinkEvent::Data { error, data } => return self.shared.data(error, data).await,
            LinkEvent::Reply(yes) => return self.shared.answered(yes).await,
            LinkEvent::Eof if self.shared.holds_eof() => {
                self.shared.held_eof.store(true, Ordering::Relaxed);
                Ok(())
            }
            LinkEvent::Eof => handle.eof(id).await,
            LinkEvent::ExitStatus(status) => {
                self.shared.ended.store(true, Ordering::Relaxed);
                session.record(&Frame::ExitStatus { channel, status })?;
                let sent = handle.exit_status_request(id, status).await;
                sent.and(self.shared.release_eof().await)
            }
            LinkEvent::ExitSignal { name, core_dumped, message, language } => {
                self.shared.ended.store(true, Ordering::Relaxed);
                session.record(&Frame::ExitSignal { channel, name: &name, message: &message })?;
                let sent = handle.exit_signal_request(id, signal_of(&name), core_dumped, message, language).await;
                sent.and(self.shared.release_eof().await)
            }
            LinkEvent::XonXoff(client_can_do) => handle.xon_xoff_request(id, client_can_do).await,
            LinkEvent::Closed => {
                let released = self.shared.release_eof().await;
                self.shared.closed.cancel();
                released
            }
        };
        sent.map_err(|()| Outcome::ClientClosed)
    }
}

/// A signal by its name without `SIG` (RFC 4254 §6.10).
pub(super) fn signal_of(name: &str) -> Sig {
    match name {
        "ABRT" => Sig::ABRT,
        "ALRM" => Sig::ALRM,
        "FPE" => Sig::FPE,
        "HUP" => Sig::HUP,
        "ILL" => Sig::ILL,
        "INT" => Sig::INT,
        "KILL" => Sig::KILL,
        "PIPE" => Sig::PIPE,
        "QUIT" => Sig::QUIT,
        "SEGV" => Sig::SEGV,
        "TERM" => Sig::TERM,
        "USR1" => Sig::USR1,
        other => Sig::Custom(other.to_owned()),
    }
}

/// The name of a signal without `SIG`.
pub(super) fn name_of(signal: &Sig) -> String {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
    .to_owned()
}
