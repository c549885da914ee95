//! SSH as the router speaks it: who gets in, and what may be opened.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::{Algorithm, Certificate, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, Response, Session};
use russh::{Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, MethodKind, MethodSet, Preferred, Pty, SshId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Fault;
use super::credential;
use super::device::{Device, User};
use super::session::{self, Inbox, Outlet, Work};

/// Channels of one connection.
const CHANNELS_MAX: usize = 64;
/// Bytes typed ahead, above which the client's window closes.
const TYPED_AHEAD_MAX: usize = 256 * 1024;
const WINDOW: u32 = 256 * 1024;

/// What all connections to a router share.
#[derive(Debug)]
pub(super) struct House {
    pub(super) device: Arc<Device>,
    pub(super) user_ca: PublicKey,
    pub(super) passwords: BTreeMap<String, String>,
    pub(super) privileged: Vec<String>,
    pub(super) fault: Fault,
    pub(super) tasks: TaskTracker,
}

/// How the router speaks SSH.
pub(super) fn protocol(host_key: PrivateKey, passwords: bool) -> russh::server::Config {
    let mut methods = MethodSet::from(&[MethodKind::PublicKey][..]);
    if passwords {
        methods.push(MethodKind::Password);
        methods.push(MethodKind::KeyboardInteractive);
    }
    let keys = Preferred::default()
        .key
        .iter()
        .filter(|k| !matches!(k, Algorithm::Rsa { hash: None }))
        .cloned()
        .collect::<Vec<_>>();
    let preferred = Preferred {
        key: Cow::Owned(keys),
        compression: Cow::Borrowed(&[russh::compression::NONE]),
        ..Preferred::default()
    };
    russh::server::Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-LabRouter-1.25")),
        methods,
        auth_rejection_time: Duration::from_millis(100),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![host_key],
        window_size: WINDOW,
        preferred,
        max_auth_attempts: 6,
        inactivity_timeout: Some(Duration::from_secs(3600)),
        nodelay: true,
        ..russh::server::Config::default()
    }
}

/// One connection.
pub(super) struct Door {
    house: Arc<House>,
    peer: SocketAddr,
    cut: CancellationToken,
    login: Option<Login>,
    channels: HashMap<ChannelId, Line>,
}

/// Who has logged in.
#[derive(Debug, Clone)]
struct Login {
    account: String,
    key_id: Option<String>,
    terminal: bool,
}

/// One session channel.
struct Line {
    inbox: Arc<Inbox>,
    /// Where output goes, until a shell or a command has it.
    half: Option<ChannelWriteHalf<Msg>>,
    has_terminal: bool,
}

impl Door {
    pub(super) fn new(house: Arc<House>, peer: SocketAddr, cut: CancellationToken) -> Self {
        Self { house, peer, cut, login: None, channels: HashMap::new() }
    }

    /// Whether this password is right; if so, the client is in.
    fn check_password(&mut self, account: &str, password: &str) -> Auth {
        if self.house.passwords.get(account).is_some_and(|p| p == password) {
            self.login = Some(Login { account: account.to_owned(), key_id: None, terminal: true });
            return Auth::Accept;
        }
        self.refuse(account, "bad password")
    }

    fn refuse(&self, account: &str, reason: &str) -> Auth {
        let account: String = account.chars().take(64).filter(char::is_ascii_graphic).collect();
        self.house.device.log(
            super::now(),
            &format!(
                "%SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: {account}] [Source: {}] [Reason: {reason}]",
                self.peer.ip()
            ),
        );
        Auth::reject()
    }

    /// Starts `work` on the channel, if nothing runs there yet.
    fn start(&mut self, channel: ChannelId, work: Work, session: &mut Session) -> Result<(), russh::Error> {
        let half = self.channels.get_mut(&channel).and_then(|line| line.half.take());
        let (Some(half), Some(login), Some(line)) = (half, self.login.clone(), self.channels.get(&channel)) else {
            return session.channel_failure(channel);
        };
        if self.house.fault == Fault::NeverAnswerShell {
            return Ok(());
        }
        let level = if self.house.privileged.contains(&login.account) { 15 } else { 1 };
        let outlet = Outlet::new(half, self.house.fault, line.inbox.clone(), self.cut.clone());
        let user = User { account: login.account, key_id: login.key_id, peer: self.peer, since: super::now() };
        self.house.tasks.spawn(session::run(self.house.device.clone(), user, level, line.inbox.clone(), outlet, work));
        session.channel_success(channel)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        for line in self.channels.values() {
            line.inbox.close();
        }
    }
}

impl Handler for Door {
    type Error = russh::Error;

    async fn auth_password(&mut self, account: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.check_password(account, password))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        account: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        if self.house.passwords.is_empty() {
            return Ok(Auth::reject());
        }
        let Some(mut response) = response else {
            let prompts = Cow::Borrowed(&[(Cow::Borrowed("Password: "), false)][..]);
            return Ok(Auth::Partial { name: Cow::Borrowed(""), instructions: Cow::Borrowed(""), prompts });
        };
        let password = response.next().unwrap_or_default();
        Ok(self.check_password(account, &String::from_utf8_lossy(&password)))
    }

    async fn auth_openssh_certificate(
        &mut self,
        account: &str,
        certificate: &Certificate,
    ) -> Result<Auth, russh::Error> {
        let accepted = credential::accepts(certificate, &self.house.user_ca, account, self.peer.ip(), super::now());
        if let Err(refusal) = accepted {
            return Ok(self.refuse(account, &refusal.to_string()));
        }
        self.login = Some(Login {
            account: account.to_owned(),
            key_id: Some(certificate.key_id().chars().take(200).filter(|c| !c.is_control()).collect()),
            terminal: certificate.extensions().iter().any(|(name, _)| name == "permit-pty"),
        });
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.login.is_none() || self.channels.len() >= CHANNELS_MAX {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let id = channel.id();
        // The reading half goes: input arrives in `data`, which never waits.
        let (_, half) = channel.split();
        self.channels.insert(id, Line { inbox: Arc::new(Inbox::new()), half: Some(half), has_terminal: false });
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), russh::Error> {
        if let Some(line) = self.channels.remove(&channel) {
            line.inbox.close();
        }
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), russh::Error> {
        if let Some(line) = self.channels.get(&channel) {
            line.inbox.finish();
        }
        Ok(())
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), russh::Error> {
        if let Some(line) = self.channels.get(&channel) {
            line.inbox.put(data)?;
        }
        Ok(())
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        let waiting: usize = self.channels.values().map(|line| line.inbox.waiting()).sum();
        if waiting > TYPED_AHEAD_MAX { 2 } else { WINDOW }
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        columns: u32,
        rows: u32,
        _pixel_width: u32,
        _pixel_height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let permitted = self.login.as_ref().is_some_and(|login| login.terminal);
        match self.channels.get_mut(&channel) {
            Some(line) if permitted => {
                line.has_terminal = true;
                line.inbox.resize(columns, rows);
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        _pixel_width: u32,
        _pixel_height: u32,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(line) = self.channels.get(&channel).filter(|line| line.has_terminal) {
            line.inbox.resize(columns, rows);
        }
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        self.start(channel, Work::Shell, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match std::str::from_utf8(command) {
            Ok(line) if line.len() <= 1024 => self.start(channel, Work::Exec(line.to_owned()), session),
            _ => session.channel_failure(channel),
        }
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if name == "netconf" { self.start(channel, Work::Netconf, session) } else { session.channel_failure(channel) }
    }
}
