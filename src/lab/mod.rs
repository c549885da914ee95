//! Simulated elements for the demo and for faults that real ones cannot be asked to make.
//!
//! A [`Router`] is a core router with an IOS-like command line over SSH: modes, line editing, abbreviations, help, pager, pipes, and a
//! configuration that really changes; with NETCONF as a subsystem, and RESTCONF and gNMI over TLS, on the same configuration. It knows nothing
//! of the gateway: it trusts one SSH authority for user certificates and one for TLS, as a real element would, and names the person behind the
//! account in its own log.
//!
//! It refuses bare public keys, forwards, agents, X11 and every other subsystem. It forwards no traffic, keeps nothing on disk, and is not
//! hardened: it listens where it is told, which should be loopback.

mod commands;
mod configure;
mod credential;
mod device;
mod door;
mod editor;
mod filter;
mod grammar;
mod pager;
mod parser;
mod plane;
mod profile;
mod running;
mod session;
mod shell;
mod show;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::{Algorithm, PrivateKey, PublicKey};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::device::Device;
use self::door::{Door, House};
pub use self::plane::{TlsConfig, TlsError};
use self::profile::Profile;
use crate::domain::Timestamp;

/// Connections at once; more wait unanswered.
const CONNECTIONS_MAX: usize = 1024;
/// Time for the client's first line.
const IDENTIFICATION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long [`Fault::SlowBanner`] says nothing: longer than anybody should wait.
const SLOW_BANNER: Duration = Duration::from_secs(60);
/// Time for connections to end when the router stops.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// What is wrong with a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// The connection breaks when this many bytes of output were sent on a channel.
    CloseAfter(u64),
    /// Output without end, as fast as the client takes it.
    FloodOutput,
    /// Shells and commands are asked for and never answered.
    NeverAnswerShell,
    /// Nothing.
    #[default]
    None,
    /// The TCP connection opens and the identification string does not come.
    SlowBanner,
    /// A shell shows its prompt, a command starts, and then nothing comes any more.
    StallOutput,
}

/// What a router is made from.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// Its host name; interfaces, neighbors and serial numbers follow from it.
    pub name: String,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The authority whose user certificates it accepts. The principal is the account.
    pub user_ca: PublicKey,
    /// Its host key; without one it makes one.
    pub host_key: Option<PrivateKey>,
    /// Accounts that may also log in with a password.
    pub passwords: BTreeMap<String, String>,
    /// Accounts that begin at privilege level 15; the others begin at 1.
    pub privileged: Vec<String>,
    /// What `enable` asks for; without one, nobody can rise.
    pub enable_password: Option<String>,
    /// RESTCONF and gNMI, when it has them.
    pub tls: Option<TlsConfig>,
    /// What is wrong with it.
    pub fault: Fault,
}

impl RouterConfig {
    /// A router without passwords, privileges and faults.
    pub fn new(name: impl Into<String>, listen: SocketAddr, user_ca: PublicKey) -> Self {
        Self {
            name: name.into(),
            listen,
            user_ca,
            host_key: None,
            passwords: BTreeMap::new(),
            privileged: Vec::new(),
            enable_password: None,
            tls: None,
            fault: Fault::None,
        }
    }
}

/// A simulated core router.
#[derive(Debug)]
pub struct Router;

impl Router {
    /// Starts a router. It runs until it is stopped or dropped.
    ///
    /// # Errors
    /// It cannot listen at the address, or no host key could be made.
    pub async fn start(config: RouterConfig) -> io::Result<RunningRouter> {
        let host_key = match config.host_key {
            Some(key) => key,
            None => PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(io::Error::other)?,
        };
        let listener = TcpListener::bind(config.listen).await?;
        let mut accounts: BTreeMap<String, u8> = config.passwords.keys().map(|name| (name.clone(), 1)).collect();
        accounts.extend(config.privileged.iter().map(|name| (name.clone(), 15)));
        let profile = Profile::new(&config.name, accounts.into_iter().collect());
        let device = Arc::new(Device::new(profile, config.enable_password, now()));
        let mut running = RunningRouter {
            addr: listener.local_addr()?,
            tls_addr: None,
            host_key: host_key.public_key().clone(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        if let Some(tls) = &config.tls {
            let served = plane::serve(tls, device.clone(), &running.tasks, running.stop.clone()).await;
            running.tls_addr = Some(served.map_err(|error| match error {
                TlsError::Io(error) => error,
                TlsError::Broken(_) => io::Error::other(error),
            })?);
        }
        let house = House {
            device,
            user_ca: config.user_ca,
            passwords: config.passwords,
            privileged: config.privileged,
            fault: config.fault,
            tasks: running.tasks.clone(),
        };
        let accepting = accept(listener, Arc::new(house), host_key, running.stop.clone());
        running.tasks.spawn(accepting);
        Ok(running)
    }
}

/// A router that runs.
#[derive(Debug)]
pub struct RunningRouter {
    addr: SocketAddr,
    tls_addr: Option<SocketAddr>,
    host_key: PublicKey,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl RunningRouter {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where RESTCONF and gNMI are, if it has them.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addr
    }

    /// Its host key, to pin.
    pub fn host_key(&self) -> &PublicKey {
        &self.host_key
    }

    /// Ends every session and waits for it.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        // What has not ended by now ends with the runtime.
        tokio::time::timeout(STOP_GRACE, self.tasks.wait()).await.ok();
    }
}

impl Drop for RunningRouter {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, house: Arc<House>, host_key: PrivateKey, stop: CancellationToken) {
    let protocol = Arc::new(door::protocol(host_key, !house.passwords.is_empty()));
    let tasks = house.tasks.clone();
    let work = |stream, peer| serve(stream, peer, house.clone(), protocol.clone(), stop.clone());
    each_connection(listener, CONNECTIONS_MAX, &tasks, &stop, work).await;
}

/// Hands each connection to `work`, in a task of its own and `connections_max` at a time, until `stop`.
async fn each_connection<W: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    connections_max: usize,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    work: impl Fn(TcpStream, SocketAddr) -> W,
) {
    let places = Arc::new(tokio::sync::Semaphore::new(connections_max));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = async { (places.clone().acquire_owned().await, listener.accept().await) } => accepted,
        };
        let (Ok(place), accepted) = accepted else { return };
        let Ok((stream, peer)) = accepted else {
            // No file descriptors, say: the next attempt is soon enough.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let work = work(stream, peer);
        tasks.spawn(async move {
            work.await;
            drop(place);
        });
    }
}

/// One connection, to its end.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    house: Arc<House>,
    protocol: Arc<russh::server::Config>,
    stop: CancellationToken,
) {
    if house.fault == Fault::SlowBanner {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SLOW_BANNER) => {}
        }
    }
    let cut = CancellationToken::new();
    let Ok((stream, knife)) = with_knife(stream) else { return };
    let door = Door::new(house, peer, cut.clone());
    let starting = tokio::time::timeout(IDENTIFICATION_TIMEOUT, russh::server::run_stream(protocol, stream, door));
    let mut session = tokio::select! {
        () = stop.cancelled() => return,
        started = starting => match started {
            Ok(Ok(session)) => session,
            Ok(Err(_)) | Err(_) => return,
        },
    };
    tokio::select! {
        // Whatever ended it, it has ended.
        _ = &mut session => return,
        () = cut.cancelled() => {}
        () = stop.cancelled() => {
            let handle = session.handle();
            let farewell = handle.disconnect(russh::Disconnect::ByApplication, "going down".to_owned(), String::new());
            // A client that does not take the farewell is cut off all the same.
            tokio::time::timeout(Duration::from_secs(1), farewell).await.ok();
            tokio::time::timeout(Duration::from_secs(1), &mut session).await.ok();
        }
    }
    // Already closed is fine: that is what it is for.
    knife.shutdown(std::net::Shutdown::Both).ok();
    tokio::time::timeout(Duration::from_secs(1), session).await.ok();
}

/// A second handle on the socket, to close it under the SSH library.
fn with_knife(stream: TcpStream) -> io::Result<(TcpStream, std::net::TcpStream)> {
    let stream = stream.into_std()?;
    let knife = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, knife))
}

/// A router is a machine of its own, with a clock of its own.
#[expect(
    clippy::disallowed_methods,
    reason = "a simulated element has its own clock; nothing of the gateway depends on it"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
