//! What the library calls while a link lives: checks before the login, then the element's words, inline to the sink.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler as ClientHandler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId, ChannelOpenFailure, Names, Sig};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::algorithms;
use super::inbound::{Asked, Claim, Offer};
use crate::domain::{ElementName, Outcome, Timestamp};
use crate::element::credential::printable;
use crate::element::host_key::{HostTrust, Mismatch};
use crate::element::{LinkEvent, LinkSink};

/// RFC 4254 §5.2: the only defined extended data.
const STDERR: u32 = 1;

/// Why a connection ended early.
#[derive(Debug)]
pub(super) enum LinkError {
    HostKey(Mismatch),
    Sink(Outcome),
    Ssh(russh::Error),
    Stopped,
    Weak(String),
}

impl From<russh::Error> for LinkError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

/// What the host key is checked against.
pub(super) struct Expected {
    pub(super) element: ElementName,
    pub(super) trust: Arc<HostTrust>,
    pub(super) now: Timestamp,
}

/// What was learnt on the way, for the one who dials.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) banner: String,
    pub(super) host_key: String,
    pub(super) algorithms: String,
    /// Why the element did not open the channel.
    pub(super) refusal: Option<String>,
    /// What it said when it disconnected.
    pub(super) goodbye: Option<String>,
}

/// What the dialling side and the handler share; no lock is ever held over a wait.
pub(super) struct Shared<S> {
    notes: Mutex<Notes>,
    asked: Mutex<Asked>,
    sink: Mutex<Option<S>>,
    pub(super) refused: Notify,
    /// The gateway ends the link.
    pub(super) stop: CancellationToken,
    /// The channel, or all of the link, is gone.
    pub(super) closed: CancellationToken,
}

impl<S> Shared<S> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            notes: Mutex::default(),
            asked: Mutex::default(),
            sink: Mutex::new(None),
            refused: Notify::new(),
            stop: CancellationToken::new(),
            closed: CancellationToken::new(),
        })
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the element may open channels for.
    pub(super) fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the element's words go from now on.
    pub(super) fn attach(&self, sink: S) {
        *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
    }

    fn take_sink(&self) -> Option<S> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

pub(super) struct Handler<S> {
    expected: Expected,
    shared: Arc<Shared<S>>,
    sink: Option<S>,
    /// The channel that we opened. What is said on others takes another path.
    main: Option<ChannelId>,
    ended: bool,
}

impl<S> Handler<S> {
    pub(super) fn new(expected: Expected, shared: Arc<Shared<S>>) -> Self {
        Self { expected, shared, sink: None, main: None, ended: false }
    }
}

/// However the task ends, by a panic too, nobody waits for a window that will not open.
impl<S> Drop for Handler<S> {
    fn drop(&mut self) {
        self.shared.closed.cancel();
    }
}

impl<S: LinkSink> Handler<S> {
    async fn give(&mut self, event: LinkEvent<'_>) -> Result<(), LinkError> {
        if self.ended {
            return Ok(());
        }
        let Some(sink) = sink_of(&mut self.sink, &self.shared) else { return Ok(()) };
        tokio::select! {
            biased;
            taken = sink.take(event) => taken.map_err(|outcome| {
                self.ended = true;
                LinkError::Sink(outcome)
            }),
            () = self.shared.stop.cancelled() => Err(LinkError::Stopped),
        }
    }

    /// What is said on the link's own channel.
    async fn said(&mut self, id: ChannelId, event: LinkEvent<'_>) -> Result<(), LinkError> {
        if self.main == Some(id) { self.give(event).await } else { Ok(()) }
    }

    // SECURITY: an element opens no channel that its link has not asked for. Dropping `reply` refuses.
    fn claimed(&mut self, claim: Claim<'_>, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        if self.ended {
            return;
        }
        let Some(origin) = self.shared.asked().admit(claim) else { return };
        let Some(sink) = sink_of(&mut self.sink, &self.shared) else { return };
        let ends = [self.shared.stop.clone(), self.shared.closed.clone()];
        sink.offered(Offer::new(origin, reply, channel, ends));
    }

    /// The last event; only the first call tells.
    async fn end(&mut self) -> Result<(), LinkError> {
        self.shared.closed.cancel();
        let told = self.give(LinkEvent::Closed).await;
        self.ended = true;
        told
    }
}

/// The sink, from where the dialling side left it.
fn sink_of<'s, S>(sink: &'s mut Option<S>, shared: &Shared<S>) -> Option<&'s mut S> {
    if sink.is_none() {
        *sink = shared.take_sink();
    }
    sink.as_mut()
}

impl<S: LinkSink> ClientHandler for Handler<S> {
    type Error = LinkError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, LinkError> {
        let Expected { element, trust, now } = &self.expected;
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => trust.check_key(key),
            PublicKeyOrCertificate::Certificate(certificate) => trust.check_certificate(certificate, element, *now),
        }
        .map_err(LinkError::HostKey)?;
        self.shared.notes().host_key = shown.public_key().fingerprint(russh::keys::HashAlg::Sha256).to_string();
        Ok(true)
    }

    async fn kex_done(&mut self, _: Option<&[u8]>, names: &Names, session: &mut Session) -> Result<(), LinkError> {
        algorithms::acceptable(names).map_err(LinkError::Weak)?;
        let mut notes = self.shared.notes();
        notes.algorithms = algorithms::summary(names);
        notes.banner = printable(&String::from_utf8_lossy(session.remote_sshid()));
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _: u32,
        _: u32,
        _: &mut Session,
    ) -> Result<(), LinkError> {
        // A link opens one channel.
        self.main = self.main.or(Some(id));
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<(), LinkError> {
        self.said(id, LinkEvent::Data { error: false, data }).await
    }

    async fn extended_data(&mut self, id: ChannelId, code: u32, data: &[u8], _: &mut Session) -> Result<(), LinkError> {
        if code == STDERR { self.said(id, LinkEvent::Data { error: true, data }).await } else { Ok(()) }
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut Session) -> Result<(), LinkError> {
        self.said(id, LinkEvent::Eof).await
    }

    async fn exit_status(&mut self, id: ChannelId, status: u32, _: &mut Session) -> Result<(), LinkError> {
        self.said(id, LinkEvent::ExitStatus(status)).await
    }

    async fn exit_signal(
        &mut self,
        id: ChannelId,
        signal: Sig,
        core_dumped: bool,
        message: &str,
        language: &str,
        _: &mut Session,
    ) -> Result<(), LinkError> {
        let (message, language) = (message.to_owned(), language.to_owned());
        self.said(id, LinkEvent::ExitSignal { name: signal_name(&signal).to_owned(), core_dumped, message, language })
            .await
    }

    async fn channel_success(&mut self, id: ChannelId, _: &mut Session) -> Result<(), LinkError> {
        self.said(id, LinkEvent::Reply(true)).await
    }

    async fn channel_failure(&mut self, id: ChannelId, _: &mut Session) -> Result<(), LinkError> {
        self.said(id, LinkEvent::Reply(false)).await
    }

    async fn xon_xoff(&mut self, id: ChannelId, client_can_do: bool, _: &mut Session) -> Result<(), LinkError> {
        self.said(id, LinkEvent::XonXoff(client_can_do)).await
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), LinkError> {
        if self.main == Some(id) { self.end().await } else { Ok(()) }
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        _: ChannelOpenFailure,
        text: &str,
        _: &str,
        _: &mut Session,
    ) -> Result<(), LinkError> {
        self.shared.notes().refusal = Some(printable(text));
        self.shared.refused.notify_one();
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<LinkError>) -> Result<(), LinkError> {
        if let DisconnectReason::ReceivedDisconnect(info) = &reason {
            self.shared.notes().goodbye = Some(printable(&info.message));
        }
        self.end().await
    }

    // The library's own answer to each of these is to accept; dropping `reply` refuses.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        originator: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), LinkError> {
        self.claimed(Claim::Tcp { address, port, originator, originator_port }, channel, reply);
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), LinkError> {
        self.claimed(Claim::Socket { path }, channel, reply);
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), LinkError> {
        self.claimed(Claim::Agent, channel, reply);
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        channel: Channel<Msg>,
        originator: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), LinkError> {
        self.claimed(Claim::Display { originator, originator_port }, channel, reply);
        Ok(())
    }

    // SECURITY: nothing that a gateway asks for makes an element open one of these.

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), LinkError> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), LinkError> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), LinkError> {
        Ok(())
    }
}

fn signal_name(signal: &Sig) -> &str {
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
}

/// The library's signal of this name (RFC 4254 §6.10, without `SIG`).
pub(super) fn signal(name: &str) -> Sig {
    let known = [
        Sig::ABRT,
        Sig::ALRM,
        Sig::FPE,
        Sig::HUP,
        Sig::ILL,
        Sig::INT,
        Sig::KILL,
        Sig::PIPE,
        Sig::QUIT,
        Sig::SEGV,
        Sig::TERM,
        Sig::USR1,
    ];
    known.into_iter().find(|sig| signal_name(sig) == name).unwrap_or_else(|| Sig::Custom(name.to_owned()))
}
