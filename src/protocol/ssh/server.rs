//! The SSH library's callbacks: each does the least, and none waits for an element, but for the answer to a listener.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::keys::Certificate;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty, Sig};

use super::actions::Wanted;
use super::channel::{self, Setup};
use super::client::{ClientChannel, name_of};
use super::connection::{Arrival, Connection};
use super::open::{Channels, Fresh, Received};
use super::queue::{Control, Item};
use super::{forward, listen, login};
use crate::access::{Display, Grant, Listen, Terminal, Visit};
use crate::domain::{Action, Verb};
use tokio_util::sync::CancellationToken;

/// The server side of one connection.
pub(super) struct Server {
    connection: Arc<Connection>,
    channels: Channels,
    listeners: HashMap<Listen, CancellationToken>,
}

/// Variables and their length that a client may send before its command.
const ENVIRONMENT_MAX: usize = 64;
const ENVIRONMENT_BYTES_MAX: usize = 4 << 10;
/// The length of what a client says of its display.
const DISPLAY_BYTES_MAX: usize = 256;
/// Listeners of one connection; each has a link of its own.
const LISTENERS_MAX: usize = 16;
/// Between two packets of a trickle.
const TRICKLE_PACE: Duration = Duration::from_millis(1);

impl Server {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { channels: Channels::new(&connection), connection, listeners: HashMap::new() }
    }

    fn visit(&self) -> Option<&Arc<Visit>> {
        self.connection.visit.get()
    }

    /// Enters a channel; `None` when there are too many.
    fn enter(&mut self, id: ChannelId) -> Option<Arrival> {
        if self.channels.count() >= self.connection.access.limits().channels_per_connection_max {
            return None;
        }
        let arrival = self.connection.entered();
        self.channels.insert(id, arrival.clone());
        Some(arrival)
    }

    fn setup(&mut self, id: ChannelId) -> Option<&mut Setup> {
        self.channels.get_mut(id)?.fresh.as_mut().map(|fresh| &mut fresh.setup)
    }

    /// The client says what it wants of a session channel: from here the channel has a task of its own.
    fn start(&mut self, id: ChannelId, wanted: Wanted, session: &mut Session) -> Result<(), russh::Error> {
        let number = self.connection.next_number();
        let visit = self.connection.visit.get().cloned();
        let open = self.channels.get_mut(id);
        let Some((visit, open, fresh)) = visit.zip(open).and_then(|(v, o)| o.fresh.take().map(|f| (v, o, f))) else {
            return session.channel_failure(id);
        };
        let Fresh { write, mut setup } = fresh;
        // The library knows of one answer for each channel that the client waits for, and a window change, which wants none, makes it forget.
        if setup.terminal.is_some() && !matches!(wanted, Wanted::Subsystem(_)) {
            session.channel_success(id)?;
            setup.answered = true;
        }
        let Arrival { queue, left, over } = open.arrival.clone();
        let client = ClientChannel { id, number, write, handle: session.handle(), queue, left, over };
        self.connection.tasks.spawn(channel::serve(self.connection.clone(), visit, client, setup, wanted));
        Ok(())
    }

    /// Asks for something that lets the element reach the client; a refusal is told to clients that show debug messages.
    async fn ask(&self, verb: Verb, session: &mut Session) -> Result<Option<Arc<Grant>>, russh::Error> {
        let Some(visit) = self.visit() else { return Ok(None) };
        match Box::pin(visit.ask(self.connection.next_number(), &Action::new(verb, ""))).await {
            Ok(grant) => Ok(Some(Arc::new(grant))),
            Err(refusal) => {
                session.debug(true, &refusal.message(), "")?;
                Ok(None)
            }
        }
    }

    /// Makes the element listen. The library answers such a request only when its callback returns, so the client's connection waits for this
    /// one thing, and no longer than dialling may take.
    async fn listen(&mut self, listen: Listen, session: &mut Session) -> Result<Option<Listen>, russh::Error> {
        self.listeners.retain(|_, cancel| !cancel.is_cancelled());
        let Some(visit) = self.visit().cloned() else { return Ok(None) };
        if self.listeners.len() >= LISTENERS_MAX {
            session.debug(true, "this connection has as many listeners as it may have", "")?;
            return Ok(None);
        }
        let cancel = self.connection.left.child_token();
        match listen::open(&self.connection, &visit, session.handle(), listen, cancel.clone()).await {
            Ok(bound) => {
                self.listeners.insert(bound.clone(), cancel);
                Ok(Some(bound))
            }
            Err(text) => {
                session.debug(true, &text, "")?;
                Ok(None)
            }
        }
    }

    /// Cancels a listener of this connection; there is no way to name another's.
    fn cancel(&mut self, listen: &Listen) -> bool {
        match self.listeners.remove(listen) {
            Some(cancel) if !cancel.is_cancelled() => {
                cancel.cancel();
                true
            }
            Some(_) | None => false,
        }
    }
}

fn answer(accepted: bool) -> Auth {
    if accepted { Auth::Accept } else { Auth::reject() }
}

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        Ok(answer(Box::pin(login::with_none(&self.connection, user)).await))
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        self.connection.attempted.store(true, Ordering::Relaxed);
        Ok(None)
    }

    /// Every key is worth a signature: the library asks in the same way for a bare key and for one with a certificate, and only with its
    /// signature is it somebody's. Nothing is remembered of an offer.
    async fn auth_publickey_offered(&mut self, _user: &str, _offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_password(&mut self, user: &str, _password: &str) -> Result<Auth, Self::Error> {
        login::with_secret(&self.connection, "a password", user).await;
        Ok(Auth::reject())
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        _response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        login::with_secret(&self.connection, "a dialogue", user).await;
        Ok(Auth::reject())
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(answer(Box::pin(login::with_key(&self.connection, user, key.public_key)).await))
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Self::Error> {
        Ok(answer(Box::pin(login::with_certificate(&self.connection, user, certificate)).await))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let id = channel.id();
        // The library's own queue for the channel goes with the read half: bytes come by `data` below.
        let (_, write) = channel.split();
        if self.enter(id).is_none() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        if let Some(open) = self.channels.get_mut(id) {
            open.fresh = Some(Fresh { write, setup: Setup::default() });
        }
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        originator: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let wanted = forward::Wanted::tcp(host, port, originator, originator_port);
        self.open_forward(channel, wanted, reply, session).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.open_forward(channel, forward::Wanted::Socket(path.to_owned()), reply, session).await;
        Ok(())
    }

    async fn channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _packet_max: u32,
        _window: u32,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.forget();
        // SECURITY: the library asks for no more than that the channel exists. One that is known already would lose its place in the count.
        if self.channels.get(id).is_some() {
            tracing::warn!("A client confirms a channel that is open; it is cut off.");
            self.connection.hostile.cancel();
            return Err(russh::Error::Inconsistent);
        }
        let arrival = self.connection.arrival(id);
        self.channels.insert(id, arrival);
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        match self.channels.receive(id, data) {
            Received::Queued => {}
            Received::Trickle => tokio::time::sleep(TRICKLE_PACE).await,
            Received::TooMuch(why) => {
                tracing::warn!(why, "A channel of a client is closed.");
                session.close(id)?;
            }
        }
        Ok(())
    }

    fn adjust_window(&mut self, id: ChannelId, current: u32) -> u32 {
        self.channels.granted(id, current)
    }

    async fn channel_eof(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        if let Some(open) = self.channels.get_mut(id)
            && !std::mem::replace(&mut open.input_ended, true)
        {
            open.arrival.queue.push(Item::Eof);
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.channels.forget();
        if let Some(open) = self.channels.get_mut(id) {
            open.arrival.left.cancel();
            // A channel that wanted nothing has no task that would end it.
            if open.fresh.take().is_some() {
                open.arrival.over.cancel();
            }
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        pixel_width: u32,
        pixel_height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let modes = modes
            .iter()
            .filter(|(mode, _)| *mode != Pty::TTY_OP_END)
            .map(|(mode, value)| (*mode as u8, *value))
            .collect();
        let terminal =
            Terminal { term: term.chars().take(256).collect(), columns, rows, pixel_width, pixel_height, modes };
        match self.setup(id) {
            Some(setup) => {
                setup.terminal = Some(terminal);
                session.channel_success(id)
            }
            None => session.channel_failure(id),
        }
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.setup(id) {
            Some(setup)
                if setup.environment.len() < ENVIRONMENT_MAX && name.len() + value.len() <= ENVIRONMENT_BYTES_MAX =>
            {
                setup.environment.push((name.to_owned(), value.to_owned()));
            }
            Some(_) | None => return session.channel_failure(id),
        }
        if self.connection.access.limits().passes_environment(name) {
            session.channel_success(id)
        } else {
            session.channel_failure(id)
        }
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.start(id, Wanted::Shell, session)
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        self.start(id, Wanted::Exec(command.to_vec()), session)
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Result<(), Self::Error> {
        self.start(id, Wanted::Subsystem(name.to_owned()), session)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        pixel_width: u32,
        pixel_height: u32,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(open) = self.channels.get(id) {
            open.arrival.queue.control(Control::Resize { columns, rows, pixel_width, pixel_height });
        }
        Ok(())
    }

    async fn signal(&mut self, id: ChannelId, signal: Sig, _session: &mut Session) -> Result<(), Self::Error> {
        if let Some(open) = self.channels.get(id) {
            open.arrival.queue.control(Control::Signal(name_of(&signal).chars().take(32).collect()));
        }
        Ok(())
    }

    async fn agent_request(&mut self, id: ChannelId, session: &mut Session) -> Result<bool, Self::Error> {
        match self.setup(id) {
            Some(setup) if setup.ways.agent.is_some() => return Ok(true),
            Some(_) => {}
            None => return Ok(false),
        }
        let granted = self.ask(Verb::SshAgent, session).await?;
        let allowed = granted.is_some();
        if let Some(setup) = self.setup(id) {
            setup.ways.agent = granted;
        }
        Ok(allowed)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        single: bool,
        protocol: &str,
        cookie: &str,
        screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let plain = |text: &str| text.len() <= DISPLAY_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic());
        let fresh = self.setup(id).is_some_and(|setup| setup.ways.display.is_none());
        if !fresh || !plain(protocol) || !plain(cookie) {
            return session.channel_failure(id);
        }
        let granted = self.ask(Verb::SshX11, session).await?;
        match (granted, self.setup(id)) {
            (Some(grant), Some(setup)) => {
                setup.ways.display = Some(grant);
                let (protocol, cookie) = (protocol.to_owned(), cookie.to_owned());
                setup.display = Some(Display { single, protocol, cookie, screen });
                session.channel_success(id)
            }
            _ => session.channel_failure(id),
        }
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        match self.listen(Listen::Tcp { host: address.to_owned(), port: *port }, session).await? {
            Some(Listen::Tcp { port: bound, .. }) => {
                *port = bound;
                Ok(true)
            }
            Some(Listen::Socket { .. }) | None => Ok(false),
        }
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.cancel(&Listen::Tcp { host: address.to_owned(), port }))
    }

    async fn streamlocal_forward(&mut self, path: &str, session: &mut Session) -> Result<bool, Self::Error> {
        Ok(self.listen(Listen::Socket { path: path.to_owned() }, session).await?.is_some())
    }

    async fn cancel_streamlocal_forward(&mut self, path: &str, _session: &mut Session) -> Result<bool, Self::Error> {
        Ok(self.cancel(&Listen::Socket { path: path.to_owned() }))
    }
}

impl Server {
    async fn open_forward(
        &mut self,
        channel: Channel<Msg>,
        wanted: forward::Wanted,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) {
        let id = channel.id();
        let (_, write) = channel.split();
        let Some(visit) = self.visit().cloned() else {
            return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        };
        let Some(Arrival { queue, left, over }) = self.enter(id) else {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        let number = self.connection.next_number();
        let client = ClientChannel { id, number, write, handle: session.handle(), queue, left, over };
        let connection = self.connection.clone();
        self.connection.tasks.spawn(forward::serve(connection, visit, client, wanted, reply));
    }
}
