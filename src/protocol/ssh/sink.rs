//! From the element to the client: what the element says is recorded, then forwarded, inline. While the client's window is closed the element
//! waits, and nobody else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::client::ClientChannel;
use super::tape::Tape;
use crate::access::{LinkEvent, LinkSink, Offer, Session, Standing};
use crate::domain::{Action, Outcome};
use crate::recording::Frame;

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
    pub(super) holding: Notify,
    pub(super) expects_status: AtomicBool,
    /// Whether the client said that it sends no more, and the element was told.
    pub(super) input_ended: AtomicBool,
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

    async fn release_eof(&self) {
        self.expects_status.store(false, Ordering::Relaxed);
        if self.held_eof.swap(false, Ordering::Relaxed) {
            self.client.eof().await;
        }
    }

    /// Lets go of an end of output that no status follows. Never resolves.
    pub(super) async fn hold_eof_no_longer(&self) {
        self.holding.notified().await;
        tokio::time::sleep(EOF_HELD).await;
        if self.input_ended.load(Ordering::Relaxed) {
            tokio::time::sleep(EOF_HELD_LONGER).await;
        }
        self.release_eof().await;
        std::future::pending().await
    }

    async fn answered(&self, yes: bool) -> Result<(), Outcome> {
        let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match awaited {
            Some(Awaited::Request) => {
                self.client.answer(yes).await;
                self.answer.send_replace(Some(yes));
                Ok(())
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

/// How long the end of output waits for the status. Some elements send none and wait for the client to close.
const EOF_HELD: Duration = Duration::from_secs(1);
/// How much longer when the client's input has ended: it closes as soon as it hears of it, and a status that comes later is lost.
const EOF_HELD_LONGER: Duration = Duration::from_secs(4);

/// Takes what the element says.
///
/// The end of a command's output is passed on with its exit status, or with the close, or when no status has come for a while. A client whose
/// own input has ended closes the channel as soon as the output ends, and the library answers that at once, after which no status could be sent.
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
        let channel = client.number;
        match event {
            LinkEvent::Data { error, data } => return self.shared.data(error, data).await,
            LinkEvent::Reply(yes) => return self.shared.answered(yes).await,
            LinkEvent::Eof if self.shared.holds_eof() => {
                self.shared.held_eof.store(true, Ordering::Relaxed);
                self.shared.holding.notify_one();
            }
            LinkEvent::Eof => client.eof().await,
            LinkEvent::ExitStatus(status) => {
                self.shared.ended.store(true, Ordering::Relaxed);
                session.record(&Frame::ExitStatus { channel, status })?;
                client.exit_status(status).await;
                self.shared.release_eof().await;
            }
            LinkEvent::ExitSignal { name, core_dumped, message, language } => {
                self.shared.ended.store(true, Ordering::Relaxed);
                session.record(&Frame::ExitSignal { channel, name: &name, message: &message })?;
                client.exit_signal(&name, core_dumped, message, language).await;
                self.shared.release_eof().await;
            }
            LinkEvent::XonXoff(client_can_do) => client.xon_xoff(client_can_do).await,
            LinkEvent::Closed => {
                self.shared.release_eof().await;
                self.shared.closed.cancel();
            }
        }
        Ok(())
    }
}
