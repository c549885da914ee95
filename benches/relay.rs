//! The whole path of bytes in one process: an SSH client, the gateway's mTLS door, an SSH element. Beside it the same client and element without
//! anything between them, and with a plain copy of TCP between them. The paths are taken in turn; a figure is the middle one of the rounds.

#![expect(clippy::expect_used, reason = "a bench may stop at the first surprise")]

mod support;

use std::borrow::Cow;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{Certificate, PrivateKey, PublicKeyOrCertificate};
use russh::server::{Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg, Preferred, cipher, client, server};
use rustls::pki_types::ServerName;
use sallyport::cli::serve::{self, Gateway};
use sallyport::config;
use sallyport::identity::ca::{self, IssueRequest, Plan};
use sallyport::identity::folder::IdentityFolder;
use support::{amount, cpu, per_gib, row};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const DOMAIN: &str = "gw.example";
const PIECE: usize = 32 << 10;

fn preferred() -> Preferred {
    Preferred { cipher: Cow::Borrowed(&[cipher::AES_256_GCM]), ..Preferred::default() }
}

/// Sends as much as it is asked for, or takes what it is sent.
struct Element;

impl server::Handler for Element {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_openssh_certificate(&mut self, _: &str, _: &Certificate) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        session.channel_success(id)?;
        let pieces = std::str::from_utf8(command).ok().and_then(|c| c.strip_prefix("down ")?.parse::<usize>().ok());
        let Some(pieces) = pieces else { return Ok(()) };
        let handle = session.handle();
        tokio::spawn(async move {
            for _ in 0..pieces {
                if handle.data(id, vec![0x5a; PIECE]).await.is_err() {
                    return;
                }
            }
            handle.exit_status_request(id, 0).await.and(handle.close(id).await).ok();
        });
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        session.exit_status_request(id, 0)?;
        session.close(id)
    }
}

async fn start_element(key: PrivateKey, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let config = server::Config { keys: vec![key], preferred: preferred(), nodelay: true, ..server::Config::default() };
    let config = Arc::new(config);
    tasks.spawn(async move {
        let mut sessions = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let config = Arc::clone(&config);
            sessions.spawn(async move {
                if let Ok(session) = server::run_stream(config, stream, Element).await {
                    session.await.ok();
                }
            });
        }
    });
    address
}

/// What any hop costs: bytes from one socket to another, not understood and not kept.
async fn start_copy(to: SocketAddr, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tasks.spawn(async move {
        let mut copies = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            copies.spawn(async move {
                let mut element = TcpStream::connect(to).await.expect("the element");
                tokio::io::copy_bidirectional_with_sizes(&mut client, &mut element, 64 << 10, 64 << 10).await.ok();
            });
        }
    });
    address
}

/// A gateway with this one element and one identity that may run its commands, with the settings that it has when nobody changes them.
async fn start_gateway(dir: &Path, element: SocketAddr, host_key: &str) -> (Gateway, IdentityFolder) {
    let site = dir.join("gw");
    let now = sallyport::access::clock::now();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let domain = "carrier.example".parse().expect("a domain");
    let plan = Plan { listen_mtls: any, listen_metrics: any, ..Plan::new(&site, domain, DOMAIN) };
    let authority = ca::init(&plan, now).expect("an authority");
    let issued = authority.issue(&IssueRequest::new("ada", Duration::from_secs(3_600)), now).expect("an identity");
    let inventory = format!(
        "[[element]]\nname = \"bench\"\naddresses = [\"{element}\"]\nplatform = \"linux\"\nclass = \"linux-host\"\nvendor = \"x\"\nsite = \"x\"\n\
         account = \"admin\"\nhost_keys = [\"{host_key}\"]\ncredential = {{ kind = \"certificate\" }}\nprotocols = [\"ssh\"]\n"
    );
    fs::write(site.join("policies/elements.toml"), inventory).expect("a file");
    fs::write(site.join("policies/cases.toml"), "").expect("a file");
    let rows = "p, user:ada, element:bench, *, ssh.exec, class:any-command, allow\n";
    fs::write(site.join("policies/policy.csv"), rows).expect("a file");
    let config = config::load(&site.join("sallyport.toml")).expect("a configuration");
    (serve::start(config).await.expect("a gateway"), IdentityFolder::at(&issued.folder))
}

struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// One way from the client to the element.
enum Way {
    Tcp(SocketAddr),
    Tls(SocketAddr, Arc<rustls::ClientConfig>),
}

impl Way {
    async fn session(&self) -> client::Handle<Client> {
        match self {
            Self::Tcp(address) => log_in(connect(*address).await).await,
            Self::Tls(address, config) => {
                let name = ServerName::try_from(format!("bench.{DOMAIN}")).expect("a name");
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
                log_in(connector.connect(name, connect(*address).await).await.expect("the door")).await
            }
        }
    }

    /// Moves this many pieces, and gives how long it took and the processor time of everybody.
    async fn carry(&self, down: bool, pieces: usize) -> (Duration, Duration) {
        let session = self.session().await;
        let mut channel = session.channel_open_session().await.expect("a channel");
        let begun = (Instant::now(), cpu());
        let command = if down { format!("down {pieces}") } else { "up".to_owned() };
        channel.exec(true, command).await.expect("a command");
        if !down {
            let mut to_element = channel.make_writer();
            let piece = vec![0x5a; PIECE];
            for _ in 0..pieces {
                to_element.write_all(&piece).await.expect("an open channel");
            }
            to_element.shutdown().await.expect("an open channel");
        }
        let (mut bytes, mut status) = (0, None);
        while let Some(said) = channel.wait().await {
            match said {
                ChannelMsg::Data { data } => bytes += data.len(),
                ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                _ => {}
            }
        }
        assert_eq!((bytes, status), (if down { pieces * PIECE } else { 0 }, Some(0)), "all of it, and a good end");
        (begun.0.elapsed(), cpu() - begun.1)
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("a listener");
    stream.set_nodelay(true).expect("a socket");
    stream
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> client::Handle<Client> {
    let config = Arc::new(client::Config { preferred: preferred(), nodelay: true, ..client::Config::default() });
    let mut session = client::connect_stream(config, stream, Client).await.expect("SSH");
    assert!(session.authenticate_none("admin").await.expect("an answer").success(), "logged in");
    session
}

fn tls(identity: &IdentityFolder) -> Arc<rustls::ClientConfig> {
    let credential = identity.client_credential().expect("a credential");
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(credential.authorities);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(credential.chain, credential.key)
        .expect("a credential");
    config.alpn_protocols = vec![b"ssh".to_vec()];
    Arc::new(config)
}

async fn bench() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[1; 32]));
    let host_key = key.public_key().to_openssh().expect("a key");
    let mut tasks = JoinSet::new();
    let element = start_element(key, &mut tasks).await;
    let copy = start_copy(element, &mut tasks).await;
    let (gateway, identity) = start_gateway(dir.path(), element, &host_key).await;
    let door = gateway.addresses.mtls.expect("the mTLS door");
    let ways = [
        ("nothing between", Way::Tcp(element)),
        ("a plain copy of TCP", Way::Tcp(copy)),
        ("the mTLS door, recorded", Way::Tls(door, tls(&identity))),
    ];
    let (rounds, pieces) = (amount(5, 1), amount((256 << 20) / PIECE, 20));
    let bytes = (pieces * PIECE) as u64;
    for down in [true, false] {
        row(if down { "download" } else { "upload" }, &format!("{} MiB, AES-256-GCM, {rounds} rounds", bytes >> 20));
        let mut taken = vec![Vec::new(); ways.len()];
        for _ in 0..rounds {
            for ((_, way), taken) in ways.iter().zip(&mut taken) {
                taken.push(way.carry(down, pieces).await);
            }
        }
        let middle = |each: &[(Duration, Duration)], of: fn(&(Duration, Duration)) -> Duration| {
            let mut each: Vec<_> = each.iter().map(of).collect();
            each.sort_unstable();
            each.get(each.len() / 2).copied().unwrap_or_default()
        };
        let direct = taken.first().map(Vec::as_slice).unwrap_or_default();
        let (direct_time, direct_cpu) = (middle(direct, |t| t.0), middle(direct, |t| t.1));
        for ((name, _), each) in ways.iter().zip(&taken) {
            let (time, spent) = (middle(each, |t| t.0), middle(each, |t| t.1));
            row(
                &format!("  {name}"),
                &format!(
                    "{:6.0} MiB/s ({:.2})  {:.2} CPU s/GiB in all, {:.2} more than nothing",
                    bytes as f64 / time.as_secs_f64() / f64::from(1 << 20),
                    direct_time.as_secs_f64() / time.as_secs_f64(),
                    per_gib(spent, bytes),
                    per_gib(spent.saturating_sub(direct_cpu), bytes),
                ),
            );
        }
    }
    gateway.stop().await;
    tasks.shutdown().await;
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(bench());
}
