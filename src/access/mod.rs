//! The one path: accept, identify, ask, decide, open, dial, relay, close.
//!
//! A client is accepted at a door ([`serve`]) and identified; that makes a [`Visit`]. A visit may ask; the first thing that policy allows
//! opens a [`Session`], which holds an open recorder and stands in the audit log before anything is dialled. Each further thing is asked of
//! the session. There is no unrecorded mode, and nothing here looks inside a protocol.
//!
//! [`Access`] is not a bag: protocols see [`Visit`], [`Grant`] and [`Session`]; its parts stay private.

mod accept;
mod backlog;
pub mod clock;
mod engine;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod identify;
mod limits;
mod live;
mod metrics;
mod netconf_door;
mod netconf_limits;
mod own;
mod pace;
mod places;
mod protocol;
mod proxy;
mod rate;
mod refusal;
mod reload;
mod rules;
mod session;
mod stop;
mod supervise;
mod visit;

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::{Door, Event, Timestamp};
use crate::identity::{Locks, TrustStore};
use crate::{audit, element, recording};

pub use crate::element::{
    Display, Element, InboundReader, InboundWriter, Injected, Link, LinkClosed, LinkEvent, LinkFacts, LinkSink, Listen,
    Listening, Offer, Opening, Origin, Said, Service, Terminal, TlsLink,
};
pub use crate::identity::Verified;
pub use crate::identity::issue::Minted;
pub use crate::policy::{Outline, Portion};
pub use accept::{Addresses, bind, serve};
pub use backlog::{Backlog, Fill, Promise};
pub use limits::{Doors, HttpLimits, Limits, Place};
pub use live::{Live, LiveSession};
pub use metrics::Metrics;
pub use netconf_door::{AccountRule, NetconfDoor};
pub use netconf_limits::NetconfLimits;
pub use protocol::{BoxFuture, Client, Entry, Protocol, Spoken, Stream, Subsystem};
pub use refusal::Refusal;
pub use reload::watch_files;
pub use rules::{Reloaded, Rules, RulesStore};
pub use session::{Grant, Session, Standing};
pub use stop::Stop;
pub use visit::Visit;

/// What the gateway is made of.
#[derive(Debug)]
pub struct Parts {
    /// The gateway's name in its own log.
    pub name: String,
    /// Elements are reached as `<element>.<domain>`.
    pub domain: String,
    /// What peers may take.
    pub limits: Limits,
    /// Policy and inventory.
    pub rules: RulesStore,
    /// Certificates and authorities.
    pub trust: Arc<TrustStore>,
    /// Locks.
    pub locks: Locks,
    /// The audit log.
    pub log: audit::Log,
    /// Recordings.
    pub recordings: recording::Store,
    /// Dialling.
    pub element: element::Config,
    /// Metrics.
    pub metrics: Metrics,
    /// Which account an identity has at the door of NETCONF.
    pub netconf_accounts: Vec<AccountRule>,
    /// What protocols carry for each other.
    pub subsystems: &'static [&'static dyn Subsystem],
}

/// The gateway's one path, shared by every connection.
#[derive(Debug)]
pub struct Access {
    parts: Parts,
    counters: limits::Counters,
    backlogs: Arc<backlog::Backlogs>,
    live: Live,
    tasks: TaskTracker,
    draining: CancellationToken,
    ended: CancellationToken,
    jumps: watch::Sender<u64>,
    handshakes: [Semaphore; 2],
    slot_freed: tokio::sync::Notify,
    disk: Semaphore,
    pace: pace::Pace,
    engine: engine::Engine,
    auditing_locks: tokio::sync::Mutex<()>,
    began: Timestamp,
}

/// Recordings that are begun or sealed at once.
const DISK_AT_ONCE: usize = 16;

/// A slot for a client that is not identified yet, given back on drop.
#[derive(Debug)]
pub struct Slot<'a> {
    _permit: tokio::sync::SemaphorePermit<'a>,
    _turn: Turn<'a>,
}

/// One of those that a source may have, waiting for its permit or with it. Whenever it ends, those who wait for it are woken.
#[derive(Debug)]
struct Turn<'a> {
    counted: Option<limits::Counted<(Door, IpAddr)>>,
    freed: &'a tokio::sync::Notify,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        drop(self.counted.take());
        self.freed.notify_waiters();
    }
}

impl Access {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            slot_freed: tokio::sync::Notify::new(),
            backlogs: backlog::Backlogs::new(&parts.limits),
            handshakes: [(); 2].map(|()| Semaphore::new(parts.limits.handshakes_max)),
            disk: Semaphore::new(DISK_AT_ONCE),
            pace: pace::Pace::default(),
            engine: engine::Engine::new(std::time::Instant::now()),
            auditing_locks: tokio::sync::Mutex::new(()),
            began: clock::now(),
            parts,
            counters: limits::Counters::new(),
            live: Live::default(),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            ended: CancellationToken::new(),
            jumps: watch::Sender::new(0),
        })
    }

    /// The gateway's name in its own log.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// Seals what an earlier process left unsealed. Blocking; call before the doors open.
    pub fn recover_recordings(&self, at: Timestamp) -> Vec<Result<recording::Recovered, recording::Unrecovered>> {
        self.parts.recordings.recover(at)
    }

    /// The domain under which elements are reached.
    pub fn domain(&self) -> &str {
        &self.parts.domain
    }

    /// When it began.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// What peers may take.
    pub fn limits(&self) -> &Limits {
        &self.parts.limits
    }

    /// Certificates and authorities.
    pub fn trust(&self) -> &Arc<TrustStore> {
        &self.parts.trust
    }

    /// The locks in force.
    pub fn locks(&self) -> &Locks {
        &self.parts.locks
    }

    /// Policy and inventory.
    pub fn rules(&self) -> &RulesStore {
        &self.parts.rules
    }

    /// The adapter of an SSH subsystem, if there is one: it is handed the plain stream.
    pub fn subsystem(&self, name: &str) -> Option<&'static dyn Subsystem> {
        self.parts.subsystems.iter().copied().find(|subsystem| subsystem.name() == name)
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// The metrics as text, as they are now.
    pub fn render_metrics(&self) -> String {
        self.parts.metrics.ready.set(self.ready().into());
        for (what, until) in self.parts.trust.current().expiries() {
            self.parts.metrics.expires.with_label_values(&[what]).set(until.as_secs());
        }
        self.parts.metrics.render()
    }

    /// The sessions that are open now.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// A slot for a client that is not identified yet: each door has its own, and a source that holds many waits for its own to come free, not
    /// for anybody else's. Give it a deadline.
    ///
    /// # Errors
    /// The gateway ends.
    pub async fn handshake_slot(&self, door: Door, source: IpAddr) -> Result<Slot<'_>, String> {
        let turn = loop {
            // Made before the count is looked at: what is freed from here on wakes it.
            let freed = self.slot_freed.notified();
            if let Some(counted) = self.counters.stranger(door, source, &self.parts.limits) {
                break Turn { counted: Some(counted), freed: &self.slot_freed };
            }
            freed.await;
        };
        let [mtls, ssh] = &self.handshakes;
        let slots = if door == Door::Mtls { mtls } else { ssh };
        let permit = slots.acquire().await.map_err(|e| e.to_string())?;
        Ok(Slot { _permit: permit, _turn: turn })
    }

    /// What clients sent and elements have not taken yet, for a connection that begins.
    pub fn backlog(&self) -> Arc<Backlog> {
        self.backlogs.open(&self.parts.limits)
    }

    /// Tasks that must end before the gateway does.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Whether new sessions can be taken: not draining, and log and recordings can be written.
    pub fn ready(&self) -> bool {
        !self.draining.is_cancelled() && self.parts.log.healthy() && self.parts.recordings.healthy()
    }

    /// Cancelled when the gateway has been asked to stop: no new sessions, and those that are open should finish.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Appends an event and waits until it is durable.
    ///
    /// # Errors
    /// It is not; the caller must not act.
    pub async fn append(&self, at: Timestamp, event: Event) -> Result<audit::Receipt, audit::AuditError> {
        let result = self.parts.log.append(at, event).await;
        if let Err(error) = &result {
            tracing::error!(%error, "The audit log refused an event.");
        }
        result
    }

    /// Reports something that should never happen, and counts it.
    pub async fn alarm(&self, what: &str, detail: String) {
        self.parts.metrics.alarms.inc();
        self.report(clock::now(), Event::Alarm { what: what.to_owned(), detail }).await;
    }

    /// Appends an event that reports something which has happened already, so that a failure changes nothing but the gateway's readiness.
    pub async fn report(&self, at: Timestamp, event: Event) {
        if let Err(error) = self.parts.log.append_in_turn(at, event).await {
            // The log is full or broken: that ends readiness and every later opening, and there is nothing left here to refuse.
            tracing::error!(%error, "The audit log refused an event.");
        }
    }

    /// Stops taking clients, gives the sessions their grace, ends them, waits until each is sealed, and closes the log.
    pub async fn drain(&self) {
        self.draining.cancel();
        self.tasks.close();
        let grace = self.parts.limits.drain_grace;
        tracing::info!(
            sessions = self.live.count(),
            grace_ms = grace.as_millis(),
            "Draining: no new sessions are taken."
        );
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            self.ended.cancel();
            // Closing takes a flush to the client, a seal and an event; a disk that hangs must not keep the process.
            if tokio::time::timeout(std::time::Duration::from_secs(10), self.tasks.wait()).await.is_err() {
                tracing::error!(
                    sessions = self.live.count(),
                    "Some sessions did not end in time; the next start seals them as aborted."
                );
            }
        }
        self.tell_omitted().await;
        self.report(clock::now(), Event::GatewayStopped {}).await;
        self.parts.log.close().await;
    }
}

#[cfg(test)]
mod tests;
