//! One SSH connection from a client: log in, watch over what it may do, and end it when it may not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use russh::ChannelId;
use russh::server::RunningSession;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::algorithms::server_config;
use super::queue::Queue;
use super::server::Server;
use super::tether::{Carried, Tether};
use crate::access::{Access, Backlog, BoxFuture, Place, Stream, Verified, Visit};
use crate::domain::{Door, ElementName, Event, Outcome, RefusalStage};

/// Who is at the other end, before SSH authentication.
#[derive(Debug)]
pub(super) enum Who {
    /// The stream belongs to this identity, and is for this element.
    Known { verified: Arc<Verified>, element: ElementName },
    /// Nobody knows; SSH authentication will tell.
    Unknown { peer: SocketAddr },
}

/// What the parts of one connection share.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) access: Arc<Access>,
    pub(super) who: Who,
    /// Set by the login that succeeded.
    pub(super) visit: OnceLock<Arc<Visit>>,
    /// Kept when nobody knew who it is before the login.
    pub(super) place: OnceLock<Place>,
    pub(super) logged_in: CancellationToken,
    /// Everything that runs for this connection.
    pub(super) tasks: TaskTracker,
    /// Cancelled when the client is gone; what it sent before is still due.
    pub(super) left: CancellationToken,
    /// Cancelled when nothing is due any more.
    pub(super) gone: CancellationToken,
    /// Cancelled when the client broke the protocol in a way that no client does by mistake.
    pub(super) hostile: CancellationToken,
    /// Places for channels that are opened to the client.
    pub(super) inbound: Arc<Semaphore>,
    /// What its channels hold together.
    pub(super) backlog: Arc<Backlog>,
    /// What went over it.
    pub(super) carried: Arc<Carried>,
    arrivals: Mutex<HashMap<ChannelId, Arrival>>,
    /// Whether the client asked to log in, and whether a refusal was logged.
    pub(super) attempted: AtomicBool,
    told: AtomicBool,
    numbers: AtomicU32,
}

/// What everybody who deals with one channel of the client has in common.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) queue: Queue,
    pub(super) left: CancellationToken,
    pub(super) over: CancellationToken,
}

impl Connection {
    /// For a channel that opens.
    pub(super) fn entered(&self) -> Arrival {
        Arrival {
            queue: Queue::new(self.backlog.clone()),
            left: self.left.child_token(),
            over: self.gone.child_token(),
        }
    }

    pub(super) fn next_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The same for a channel that was opened to the client. The library's callbacks and the task that opened it both learn of
    /// the confirmation, in either order; each calls this once, and both get the same.
    pub(super) fn arrival(&self, id: ChannelId) -> Arrival {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.remove(&id).unwrap_or_else(|| {
            let arrival = self.entered();
            arrivals.insert(id, arrival.clone());
            arrival
        })
    }

    fn peer(&self) -> SocketAddr {
        match &self.who {
            Who::Known { verified, .. } => verified.peer(),
            Who::Unknown { peer } => *peer,
        }
    }

    /// The identity behind the stream, when that is known before SSH says so.
    pub(super) fn known(&self) -> Option<String> {
        match &self.who {
            Who::Known { verified, .. } => Some(verified.identity().to_string()),
            Who::Unknown { .. } => None,
        }
    }

    pub(super) async fn refused(&self, identity: Option<String>, reason: String) {
        self.access.metrics().refusals.with_label_values(&["ssh-authentication"]).inc();
        self.told.store(true, Ordering::Relaxed);
        let door = match &self.who {
            Who::Known { verified, .. } => verified.door(),
            Who::Unknown { .. } => Door::Ssh,
        };
        let event = Event::Refused {
            door,
            stage: RefusalStage::SshAuthentication,
            source: Some(self.peer()),
            identity,
            reason,
        };
        self.access.report_refusal(event).await;
    }
}

/// After the last message to a client, how long it may take to close before it is cut off.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long channels may take to tell their clients and close.
const WIND_DOWN: Duration = Duration::from_secs(3);

/// Serves the connection until it is over; everything it opened is sealed and logged when this resolves.
pub(super) fn serve(access: Arc<Access>, stream: Box<dyn Stream>, who: Who) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let gateway = ElementName::gateway();
        let element = match &who {
            Who::Known { element, .. } => element,
            Who::Unknown { .. } => &gateway,
        };
        let host = match access.host_certificate(element) {
            Ok(host) => host,
            Err(error) => {
                tracing::error!(%error, "No host certificate could be made.");
                return;
            }
        };
        let known = matches!(who, Who::Known { .. });
        let config = Arc::new(server_config(&host, access.limits(), known));
        let inbound = Arc::new(Semaphore::new(access.limits().channels_per_connection_max));
        let connection = Arc::new(Connection {
            backlog: access.backlog(),
            carried: Arc::default(),
            access,
            who,
            visit: OnceLock::new(),
            place: OnceLock::new(),
            logged_in: CancellationToken::new(),
            tasks: TaskTracker::new(),
            left: CancellationToken::new(),
            gone: CancellationToken::new(),
            hostile: CancellationToken::new(),
            inbound,
            arrivals: Mutex::default(),
            attempted: AtomicBool::new(false),
            told: AtomicBool::new(false),
            numbers: AtomicU32::new(0),
        });
        let cut = CancellationToken::new();
        // Whatever happens below, the library's task must not outlive this function.
        let _cut_at_the_end = cut.clone().drop_guard();
        let stream = Tether::new(stream, cut.clone(), connection.carried.clone());
        if let Some(running) = log_in(&connection, config, stream).await {
            attend(&connection, running, &cut).await;
        }
    })
}

/// The key exchange and the login, in the time for them.
async fn log_in(
    connection: &Arc<Connection>,
    config: Arc<russh::server::Config>,
    stream: Tether,
) -> Option<RunningSession<Server>> {
    let access = &connection.access;
    let deadline = tokio::time::Instant::now() + access.limits().login_grace;
    let attempt = async {
        // A client that is identified already needs no slot.
        let _slot = match &connection.who {
            Who::Known { .. } => None,
            Who::Unknown { peer } => Some(access.handshake_slot(Door::Ssh, peer.ip()).await?),
        };
        let server = Server::new(connection.clone());
        let mut running = russh::server::run_stream(config, stream, server).await.map_err(|e| e.to_string())?;
        tokio::select! {
            () = connection.logged_in.cancelled() => Ok(running),
            ended = &mut running => Err(ended.err().map_or_else(|| "it left before it logged in".to_owned(), |e| e.to_string())),
        }
    };
    let attempt = async {
        tokio::select! {
            attempted = attempt => attempted,
            () = access.draining().cancelled() => Err("the gateway drains".to_owned()),
        }
    };
    match tokio::time::timeout_at(deadline, attempt).await {
        Ok(Ok(running)) => Some(running),
        Ok(Err(reason)) if connection.attempted.load(Ordering::Relaxed) && !connection.told.load(Ordering::Relaxed) => {
            connection.refused(connection.known(), format!("no login: {reason}")).await;
            None
        }
        Ok(Err(reason)) => {
            tracing::debug!(peer = %connection.peer(), reason, "No login.");
            None
        }
        Err(_) => {
            connection.refused(connection.known(), "no login in time".to_owned()).await;
            None
        }
    }
}

/// Watches over a client that logged in.
async fn attend(connection: &Arc<Connection>, mut running: RunningSession<Server>, cut: &CancellationToken) {
    let Some(visit) = connection.visit.get().cloned() else { return };
    let handle = running.handle();
    let mut left = false;
    let outcome = tokio::select! {
        ended = &mut running => {
            left = true;
            if let Err(error) = ended {
                tracing::debug!(%error, "The client's connection broke.");
            }
            if connection.hostile.is_cancelled() { Outcome::ProtocolError } else { Outcome::ClientClosed }
        }
        outcome = visit.supervise() => outcome,
        () = unused_while_draining(connection, &visit) => Outcome::Shutdown,
        () = unused(connection, &visit) => Outcome::Idle,
    };
    if !left {
        if let Some(session) = visit.session().await {
            session.stop().request(outcome);
        }
    } else {
        connection.left.cancel();
    }
    connection.tasks.close();
    // The connections inside this one wind down by themselves first.
    let wind_down =
        if *visit.element() == ElementName::gateway() { WIND_DOWN + WIND_DOWN + FAREWELL } else { WIND_DOWN };
    if tokio::time::timeout(wind_down, connection.tasks.wait()).await.is_err() {
        connection.gone.cancel();
        cut.cancel();
        connection.tasks.wait().await;
    }
    connection.gone.cancel();
    if !left {
        let text = outcome.message().to_owned();
        // A client that is gone, or that takes nothing any more, cannot be told.
        let farewell = async {
            handle.disconnect(russh::Disconnect::ByApplication, text, String::new()).await.ok();
            (&mut running).await.ok();
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!("The client did not close; it is cut off.");
        }
    }
    cut.cancel();
    visit.close(outcome).await;
}

/// Resolves when nothing has gone on for too long in a connection that is only for others inside it: no session, no channel, no jump.
async fn unused(connection: &Connection, visit: &Visit) {
    if *visit.element() != ElementName::gateway() {
        return std::future::pending().await;
    }
    let limit = connection.access.limits().unused_timeout;
    let look = (limit / 8).clamp(Duration::from_millis(10), Duration::from_secs(10));
    let mut used = tokio::time::Instant::now();
    while used.elapsed() < limit {
        tokio::time::sleep(look).await;
        if visit.session().await.is_some() || !connection.tasks.is_empty() {
            used = tokio::time::Instant::now();
        }
    }
}

/// Resolves when the gateway drains and nothing goes on in this connection: no session, no channel, no jump.
async fn unused_while_draining(connection: &Connection, visit: &Visit) {
    connection.access.draining().cancelled().await;
    while visit.session().await.is_some() || !connection.tasks.is_empty() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
