//! For tests: an element in this process that can misbehave, and a real `sshd` per connection.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{Certificate, PrivateKey, PublicKey};
use russh::server::VerifiedPublicKey;
use russh::server::{Auth, ChannelOpenHandle, Config as ServerConfig, Handler, Msg, Response, Session, run_stream};
use russh::{Channel, ChannelId, Disconnect, MethodKind, MethodSet, Preferred};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::domain::Outcome;
use crate::element::{LinkEvent, LinkSink};

pub(super) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

/// What a sink was given, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Out(Vec<u8>),
    Err(Vec<u8>),
    Eof,
    Status(u32),
    Signal(String),
    Reply(bool),
    Closed,
    Other,
}

/// Hands events on; waits when nobody takes them.
pub(super) struct Collector(pub(super) mpsc::Sender<Seen>);

impl LinkSink for Collector {
    async fn take(&mut self, event: LinkEvent<'_>) -> Result<(), Outcome> {
        let seen = match event {
            LinkEvent::Data { error: false, data } => Seen::Out(data.to_vec()),
            LinkEvent::Data { error: true, data } => Seen::Err(data.to_vec()),
            LinkEvent::Eof => Seen::Eof,
            LinkEvent::ExitStatus(status) => Seen::Status(status),
            LinkEvent::ExitSignal { name, .. } => Seen::Signal(name),
            LinkEvent::Reply(yes) => Seen::Reply(yes),
            LinkEvent::Closed => Seen::Closed,
            LinkEvent::XonXoff(_) => Seen::Other,
        };
        self.0.send(seen).await.map_err(|_| Outcome::ClientClosed)
    }
}

/// How the fake element behaves.
#[derive(Debug, Clone, Default)]
pub(super) struct Manners {
    /// Rounds of prompts with whether each echoes; none: no keyboard-interactive.
    pub(super) rounds: Vec<Vec<(String, bool)>>,
    /// The answers that let in; `password` compares with the first.
    pub(super) expects: Vec<String>,
    /// Whether the `password` method exists.
    pub(super) password: bool,
    /// Wants no credential.
    pub(super) lets_in: bool,
    /// Refuses every channel.
    pub(super) refuses_channels: bool,
    /// Opens a channel of its own as soon as a shell is asked for.
    pub(super) opens_channel: bool,
    /// Sends this many bytes when a shell is asked for, then an exit signal and the close.
    pub(super) floods: usize,
    /// Disconnects when a shell is asked for.
    pub(super) hangs_up: bool,
}

/// A fake element: its port, what it was offered, and its tasks.
pub(super) struct Fake {
    pub(super) address: String,
    pub(super) heard: mpsc::Receiver<String>,
    _tasks: JoinSet<()>,
}

impl Fake {
    pub(super) async fn start(manners: Manners, preferred: Preferred) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, heard) = mpsc::channel(64);
        let config = Arc::new(ServerConfig {
            keys: vec![key(1)],
            methods: methods(&manners),
            auth_rejection_time: Duration::ZERO,
            preferred,
            ..ServerConfig::default()
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let handler = FakeHandler { manners: manners.clone(), tell: tell.clone(), round: 0 };
                let config = Arc::clone(&config);
                sessions.spawn(async move {
                    if let Ok(session) = run_stream(config, stream, handler).await {
                        drop(session.await);
                    }
                });
            }
        });
        Self { address, heard, _tasks: tasks }
    }
}

fn methods(manners: &Manners) -> MethodSet {
    let mut methods = vec![MethodKind::PublicKey];
    if manners.password {
        methods.push(MethodKind::Password);
    }
    if !manners.rounds.is_empty() {
        methods.push(MethodKind::KeyboardInteractive);
    }
    MethodSet::from(methods.as_slice())
}

struct FakeHandler {
    manners: Manners,
    tell: mpsc::Sender<String>,
    round: usize,
}

impl FakeHandler {
    async fn heard(&self, text: String) {
        drop(self.tell.send(text).await);
    }

    fn ask(&self) -> Auth {
        let prompts =
            self.manners.rounds[self.round].iter().map(|(text, echo)| (text.clone().into(), *echo)).collect::<Vec<_>>();
        Auth::Partial { name: "".into(), instructions: "".into(), prompts: prompts.into() }
    }
}

impl Handler for FakeHandler {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        Ok(if self.manners.lets_in { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        self.heard(format!("key {user}")).await;
        Ok(Auth::Accept)
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, russh::Error> {
        self.heard(format!("certificate {user} {}", certificate.key_id())).await;
        Ok(Auth::Accept)
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        self.heard(format!("password {user} {password}")).await;
        Ok(if self.manners.expects.first().is_some_and(|p| p == password) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(response) = response else { return Ok(self.ask()) };
        let answers: Vec<String> = response.map(|a| String::from_utf8_lossy(&a).into_owned()).collect();
        self.heard(format!("answers {answers:?}")).await;
        self.round += 1;
        if self.round < self.manners.rounds.len() {
            return Ok(self.ask());
        }
        let good = answers.is_empty() || answers == self.manners.expects;
        Ok(if good { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        if !self.manners.refuses_channels {
            reply.accept().await;
        }
        Ok(())
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        if self.manners.hangs_up {
            session.disconnect(Disconnect::ByApplication, "maintenance\u{1b}[2J", "")?;
        }
        if self.manners.opens_channel {
            let (handle, tell) = (session.handle(), self.tell.clone());
            tokio::spawn(async move {
                let opened = handle.channel_open_agent().await;
                drop(tell.send(format!("own channel {}", opened.is_ok())).await);
                let Ok(mut channel) = opened else { return };
                channel.data(&b"from the element"[..]).await.unwrap();
                while let Some(said) = channel.wait().await {
                    if let russh::ChannelMsg::Data { data } = said {
                        drop(tell.send(format!("said {}", String::from_utf8_lossy(&data))).await);
                    }
                }
                drop(tell.send("own channel closed".to_owned()).await);
            });
        }
        if self.manners.floods > 0 {
            let (handle, bytes) = (session.handle(), self.manners.floods);
            tokio::spawn(async move {
                for _ in 0..bytes / 32_768 {
                    if handle.data(channel, vec![b'x'; 32_768]).await.is_err() {
                        return;
                    }
                }
                let xcpu = russh::Sig::Custom("XCPU".into());
                let said = handle.exit_signal_request(channel, xcpu, false, String::new(), String::new()).await;
                assert!(said.is_ok() && handle.close(channel).await.is_ok());
            });
        }
        Ok(())
    }
}

/// A real `sshd`, one process per connection; none when the machine has no sshd.
pub(super) struct Sshd {
    pub(super) address: String,
    _dir: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

impl Sshd {
    /// `host` is its key, `host_certificate` that key's certificate, `authority` signs the users it lets in.
    pub(super) async fn start(
        host: &PrivateKey,
        host_certificate: Option<&Certificate>,
        authority: &PublicKey,
        more: &str,
    ) -> Option<Self> {
        let program =
            ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].into_iter().find(|p| std::path::Path::new(p).is_file());
        let Some(program) = program else {
            let text = "\nSKIPPED element::ssh: this machine has no sshd; `make test-setup` as root installs it\n";
            assert!(std::env::var("SALLYPORT_TEST_REQUIRE_ALL").as_deref() != Ok("1"), "{text}");
            // Not `eprintln!`, which a test that passes does not show.
            std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).unwrap();
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            file.display().to_string()
        };
        let host = write("host", &host.to_openssh(Default::default()).unwrap());
        let ca = write("ca.pub", &authority.to_openssh().unwrap());
        let mut config = format!(
            "HostKey {host}\nTrustedUserCAKeys {ca}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nLogLevel ERROR\nPermitRootLogin yes\n{more}\n"
        );
        if let Some(certificate) = host_certificate {
            let file = write("host-cert.pub", &certificate.to_openssh().unwrap());
            config.push_str(&format!("HostCertificate {file}\n"));
        }
        let config = write("sshd_config", &config);
        drop(std::fs::create_dir_all("/run/sshd"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut children: Vec<Child> = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let stream = stream.into_std().unwrap();
                stream.set_nonblocking(false).unwrap();
                let input = Stdio::from(std::os::fd::OwnedFd::from(stream.try_clone().unwrap()));
                let output = Stdio::from(std::os::fd::OwnedFd::from(stream));
                children.push(
                    Command::new(program)
                        .args(["-i", "-e", "-f", &config])
                        .stdin(input)
                        .stdout(output)
                        .spawn()
                        .unwrap(),
                );
            }
        });
        Some(Self { address, _dir: dir, _tasks: tasks })
    }
}
