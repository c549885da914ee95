//! A session: one allowed access, from open to close, holding an open recorder.

mod denials;
mod grant;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::Counted;
use super::live::Entered;
use super::visit::{denied_event, refused};
use super::{Access, Refusal, Stop, clock};
use crate::audit::{AuditError, Receipt};
use crate::domain::{
    Action, DecisionFacts, ElementName, Event, Outcome, RequestFacts, SessionFacts, SessionId, Timestamp, Verb,
};
use crate::identity::Verified;
use crate::policy::{Outline, Permit, outline};
use crate::recording::{Exchange, Frame, Recorder, RecordingError, Store};

use tokio_util::sync::CancellationToken;

pub use grant::Grant;

/// One allowed access. Issued by [`super::Visit::ask`] alone, when the recorder was open and the log had its receipt.
#[derive(Debug)]
pub struct Session {
    access: Arc<Access>,
    verified: Arc<Verified>,
    facts: SessionFacts,
    opening: Mutex<Option<Permit>>,
    recorder: Recorder,
    granted: Mutex<Channels>,
    stop: Stop,
    /// How the last channel was lost, if it was; a session that the client leaves afterwards ended because of that.
    lost: Mutex<Option<Outcome>>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    active_at: AtomicI64,
    dials: tokio::sync::Semaphore,
    woken: Arc<tokio::sync::Notify>,
    denials: Mutex<denials::Denials>,
    _receipt: Receipt,
    _counted: Counted<ElementName>,
    entered: Mutex<Option<Entered>>,
}

/// The channels, and when supervision looks at them again by itself.
#[derive(Debug)]
struct Channels {
    granted: BTreeMap<u32, Granted>,
    looks_at: Timestamp,
}

/// What is allowed on one channel, decided again whenever something changes.
#[derive(Debug)]
struct Granted {
    action: Action,
    /// It has its place, and is not decided yet.
    asked: bool,
    until: Option<Timestamp>,
    stop: Stop,
    standing: Option<Arc<dyn Standing>>,
}

/// What a channel goes on doing under decisions made earlier: files that are open, say.
pub trait Standing: Send + Sync {
    /// The actions that must still be allowed.
    fn actions(&self) -> Vec<Action>;
}

impl std::fmt::Debug for dyn Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Standing")
    }
}

/// How many links of one session are dialled at once: an element must not be flooded with half-open logins.
const DIALS_AT_ONCE: usize = 8;

impl Session {
    pub(super) async fn open(visit: &super::Visit, permit: Permit, now: Timestamp) -> Result<Arc<Self>, Refusal> {
        let (access, verified, protocol) = (visit.access(), visit.verified(), visit.protocol());
        let request = permit.request();
        let rules = access.rules().current();
        let element = match rules.inventory.reach(&request.element, &request.account, protocol) {
            Ok(element) => element.clone(),
            Err(reason) => {
                refused(access, verified, reason).await;
                return Err(Refusal::Unavailable(Outcome::ElementUnreachable));
            }
        };
        let Some(counted) = access.counters.element(element.name(), element.sessions_max()) else {
            refused(access, verified, "the element has as many sessions as its sessions_max allows").await;
            return Err(Refusal::Unavailable(Outcome::ElementUnreachable));
        };
        let id = SessionId::new(now, random());
        let facts = SessionFacts {
            session: id,
            protocol: protocol.to_owned(),
            request: RequestFacts::from(request),
            decision: permit.decision().into(),
            credential: verified.credential().to_owned(),
            peer: verified.peer(),
            opened_at: now,
            recording: Store::path_of(id, now),
        };
        let recorder = match create(access, facts.clone()).await {
            Ok(recorder) => recorder,
            Err(reason) => {
                refused(access, verified, &reason).await;
                return Err(Refusal::Unavailable(Outcome::RecorderFailed));
            }
        };
        let receipt = match access.append(now, Event::SessionOpened { facts: facts.clone() }).await {
            Ok(receipt) => receipt,
            Err(error) => {
                never_opened(access, recorder, id, &error).await;
                return Err(Refusal::Unavailable(Outcome::RecorderFailed));
            }
        };
        access.metrics().live.with_label_values(&[protocol]).inc();
        tracing::info!(session = %id, identity = %facts.request.identity, element = %facts.request.element, "Session opened.");
        let session = Arc::new(Self {
            access: access.clone(),
            verified: verified.clone(),
            facts,
            opening: Mutex::new(Some(permit)),
            recorder,
            granted: Mutex::new(Channels { granted: BTreeMap::new(), looks_at: now }),
            stop: Stop::new(),
            lost: Mutex::new(None),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            active_at: AtomicI64::new(now.as_nanos()),
            dials: tokio::sync::Semaphore::new(DIALS_AT_ONCE),
            woken: visit.woken().clone(),
            denials: Mutex::default(),
            _receipt: receipt,
            _counted: counted,
            entered: Mutex::new(None),
        });
        let entered = access.live().enter(&session);
        *session.entered.lock().unwrap_or_else(PoisonError::into_inner) = Some(entered);
        Ok(session)
    }

    /// Its facts, as the log has them.
    pub fn facts(&self) -> &SessionFacts {
        &self.facts
    }

    /// Ends the whole session when asked.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The grant of the action that opened the session.
    pub(super) fn grant_opening(self: &Arc<Self>, channel: u32) -> Result<Grant, Refusal> {
        let permit = self.opening.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(permit) = permit else { return Err(Refusal::Unavailable(Outcome::ProtocolError)) };
        let stop = self.place(channel, &permit.request().action);
        let grant = self.grant(channel, permit, stop, None);
        // It was decided a while ago, and supervision does not know of the session yet.
        self.woken.notify_one();
        grant
    }

    /// Asks for a further channel of the session, and records with its opening what is sent on it first.
    pub(super) async fn ask(
        self: &Arc<Self>,
        channel: u32,
        action: &Action,
        first: Option<&Exchange>,
    ) -> Result<Grant, Refusal> {
        if let Some(outcome) = self.stop.requested() {
            return Err(Refusal::Unavailable(outcome));
        }
        let now = clock::now();
        // It has its place before it is decided: whatever changes from here on finds it there.
        let stop = self.place(channel, action);
        let answer = self.decide(action, now);
        self.access.count(&answer);
        match answer {
            Ok(permit) => self.grant(channel, permit, stop, first),
            Err(denied) => {
                self.forget(channel);
                let decision = DecisionFacts::from(&denied.decision);
                self.record(&Frame::Decided { channel, action, decision: &decision }).map_err(Refusal::Unavailable)?;
                denied_event(&self.access, now, &denied, Some(self.facts.session)).await;
                Err(Refusal::denied(&denied, self.access.rules().current().policy.contact()))
            }
        }
    }

    /// Decides an inner action of a channel: a file operation, say. The decision is with the operating system before this returns.
    ///
    /// # Errors
    /// Denied, or the recorder failed.
    pub fn allow(&self, channel: u32, action: &Action) -> Result<(), Refusal> {
        let answer = self.decide(action, clock::now());
        self.access.count(&answer);
        let decision = match &answer {
            Ok(permit) => permit.decision(),
            Err(denied) => &denied.decision,
        };
        self.record(&Frame::Decided { channel, action, decision: &decision.into() }).map_err(Refusal::Unavailable)?;
        match answer {
            Ok(_) => Ok(()),
            Err(denied) => Err(self.denied(*denied)),
        }
    }

    /// What may be read of the element's data by `verb`, in outline. A guide for what to ask [`Session::allow`], and no decision.
    pub fn outline(&self, verb: Verb) -> Outline {
        let action = Action::new(verb, "");
        let ask = self.question(&action, clock::now());
        outline(&self.access.rules().current().policy, &self.verified, &ask)
    }

    fn decide(&self, action: &Action, now: Timestamp) -> Result<Permit, Box<crate::policy::Denied>> {
        let rules = self.access.rules().current();
        let request = &self.facts.request;
        let permit = self.access.decide(&rules, &self.verified, &self.question(action, now))?;
        // What the inventory no longer has is no longer allowed, whatever the policy says.
        match rules.inventory.reach(&request.element, &request.account, &self.facts.protocol) {
            Ok(_) => Ok(permit),
            Err(reason) => Err(Box::new(permit.withdrawn(reason))),
        }
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, channel: u32, action: &Action) -> Stop {
        let stop = Stop::new();
        let asked = Granted { action: action.clone(), asked: true, until: None, stop: stop.clone(), standing: None };
        self.channels().granted.insert(channel, asked);
        stop
    }

    fn forget(&self, channel: u32) {
        self.channels().granted.remove(&channel);
    }

    fn grant(
        self: &Arc<Self>,
        channel: u32,
        permit: Permit,
        stop: Stop,
        first: Option<&Exchange>,
    ) -> Result<Grant, Refusal> {
        let (action, decision) = (&permit.request().action, permit.decision());
        let opened = Frame::ChannelOpened { channel, action, decision: &decision.into() };
        let recorded = match first {
            Some(exchange) => self.record_all(&[opened, Frame::Exchange { channel, exchange }]),
            None => self.record(&opened),
        };
        if let Err(outcome) = recorded {
            self.forget(channel);
            return Err(Refusal::Unavailable(outcome));
        }
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut channels = self.channels();
        if let Some(granted) = channels.granted.get_mut(&channel) {
            (granted.asked, granted.until) = (false, decision.until);
        }
        let sooner = decision.until.is_some_and(|until| until < channels.looks_at);
        drop(channels);
        if sooner {
            self.woken.notify_one();
        }
        Ok(Grant { session: self.clone(), channel, permit, stop, outcome: Outcome::ClientClosed, ended: false })
    }

    /// Decides every channel's action again. Those that are denied now are stopped; returns the outcome when none is left of some.
    pub(super) fn decide_again(&self, now: Timestamp) -> Option<Outcome> {
        let mut channels = self.channels();
        let (mut kept, mut ended) = (0_usize, 0_usize);
        for grant in channels.granted.values_mut().filter(|grant| grant.stop.requested().is_none()) {
            let standing = grant.standing.as_ref().map(|s| s.actions()).unwrap_or_default();
            let again = self.decide(&grant.action, now).and_then(|permit| {
                let mut until = permit.decision().until;
                for action in &standing {
                    let edge = self.decide(action, now)?.decision().until;
                    until = until.into_iter().chain(edge).min();
                }
                Ok(until)
            });
            match again {
                Ok(until) => {
                    grant.until = until;
                    kept += 1;
                }
                // Whoever asks is told so at once.
                Err(_) if grant.asked => grant.stop.request(Outcome::PolicyDenies),
                Err(denied) => {
                    tracing::info!(session = %self.facts.session, reason = ?denied.decision.reason, "No longer allowed.");
                    grant.stop.request(Outcome::PolicyDenies);
                    ended += 1;
                }
            }
        }
        (ended > 0 && kept == 0).then_some(Outcome::PolicyDenies)
    }

    /// Notes that supervision looks again at `wake`, or when time alone may change a decision before that; gives the earlier.
    pub(super) fn looks_again(&self, wake: Timestamp) -> Timestamp {
        let mut channels = self.channels();
        let open = channels.granted.values().filter(|g| g.stop.requested().is_none());
        channels.looks_at = open.filter_map(|g| g.until).fold(wake, Timestamp::min);
        channels.looks_at
    }

    /// When something last moved.
    pub(super) fn active_at(&self) -> Timestamp {
        Timestamp::from_nanos(self.active_at.load(Ordering::Relaxed))
    }

    /// Resolves when the recording takes no more, or can no longer be made durable.
    pub(super) async fn recorder_ended(&self) -> Outcome {
        let error = self.recorder.ended().await;
        tracing::error!(session = %self.facts.session, %error, "The recorder takes no more.");
        outcome_of(&error)
    }

    /// Hands a frame to the operating system.
    ///
    /// # Errors
    /// It was not kept: what it holds must not be forwarded. The whole session is asked to stop.
    pub fn record(&self, frame: &Frame<'_>) -> Result<(), Outcome> {
        let now = self.moved();
        self.recorder.write(now, frame).map_err(|error| self.not_kept(&error))
    }

    /// Hands frames that belong together to the operating system in one piece, all or none.
    ///
    /// # Errors
    /// As with [`Session::record`].
    pub fn record_all(&self, frames: &[Frame<'_>]) -> Result<(), Outcome> {
        let now = self.moved();
        self.recorder.write_all(now, frames).map_err(|error| self.not_kept(&error))
    }

    fn moved(&self) -> Timestamp {
        let now = clock::now();
        self.active_at.store(now.as_nanos(), Ordering::Relaxed);
        now
    }

    fn not_kept(&self, error: &RecordingError) -> Outcome {
        tracing::error!(session = %self.facts.session, %error, "The recorder takes no more.");
        let outcome = outcome_of(error);
        self.stop.request(outcome);
        outcome
    }

    /// Notes that a channel was lost on the element's side rather than ended: unless another follows, that is how the session ended.
    pub fn note_lost(&self, outcome: Outcome) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// Counts bytes that came from the client.
    pub fn count_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that came from the element.
    pub fn count_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that something moved, for what is not recorded byte by byte.
    pub fn touch(&self) {
        self.moved();
    }

    /// Seals the recording and logs the end, with what the log is told beside the outcome. Called once, by the visit.
    pub(super) async fn close(self: &Arc<Self>, outcome: Outcome, detail: Option<String>) {
        let lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match outcome {
            Outcome::ClientClosed => lost.unwrap_or(outcome),
            other => other,
        };
        let outcome = self.stop.requested().unwrap_or(outcome);
        self.stop.request(outcome);
        let sealing = self.clone();
        let sealed = match on_disk(&self.access, move || sealing.recorder.seal(clock::now(), outcome)).await {
            Ok(facts) => Some(facts),
            Err(error) => {
                tracing::error!(session = %self.facts.session, %error, "The recording could not be sealed.");
                None
            }
        };
        let detail = self.recorder.end().map(|reason| reason.to_string()).or(detail);
        let (bytes_in, bytes_out) = (self.bytes_in.load(Ordering::Relaxed), self.bytes_out.load(Ordering::Relaxed));
        let metrics = self.access.metrics();
        metrics.sessions.with_label_values(&[outcome.as_str()]).inc();
        metrics.live.with_label_values(&[&self.facts.protocol]).dec();
        metrics.bytes.with_label_values(&["in"]).inc_by(bytes_in);
        metrics.bytes.with_label_values(&["out"]).inc_by(bytes_out);
        tracing::info!(session = %self.facts.session, %outcome, bytes_in, bytes_out, "Session closed.");
        let event = Event::SessionClosed {
            session: self.facts.session,
            outcome,
            detail,
            recording: sealed,
            bytes_in,
            bytes_out,
        };
        self.access.report(clock::now(), event).await;
        drop(self.entered.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// How a session ends whose recording takes no more.
fn outcome_of(error: &RecordingError) -> Outcome {
    match error {
        RecordingError::Failed(_) | RecordingError::NoRoom => Outcome::RecorderFailed,
        RecordingError::Full(_) => Outcome::RecordingFull,
    }
}

async fn create(access: &Arc<Access>, facts: SessionFacts) -> Result<Recorder, String> {
    let owned = access.clone();
    let late = CancellationToken::new();
    let guard = late.clone().drop_guard();
    let begin = move || {
        let recorder = owned.parts.recordings.create(&facts)?;
        if late.is_cancelled() {
            recorder.discard();
            return Err(RecordingError::Failed("the disk did not answer in time".to_owned()));
        }
        Ok(recorder)
    };
    let recorder = on_disk(access, begin).await?;
    drop(guard.disarm());
    Ok(recorder)
}

/// Takes back what was begun for a session that the log did not take.
async fn never_opened(access: &Arc<Access>, recorder: Recorder, session: SessionId, error: &AuditError) {
    let discarded = on_disk(access, move || {
        recorder.discard();
        Ok(())
    });
    // Best effort: the next start seals what is left, and `verify` tells of it.
    discarded.await.ok();
    // An entry that was late may stand in the log after all: it gets an end.
    if matches!(error, AuditError::Late(_)) {
        let (outcome, detail) = (Outcome::RecorderFailed, Some(error.to_string()));
        let event = Event::SessionClosed { session, outcome, detail, recording: None, bytes_in: 0, bytes_out: 0 };
        access.report(clock::now(), event).await;
    }
}

/// Does what waits for the disk, where it may wait, and not for ever. A few at once: each takes a thread, and a thousand sessions can end together.
async fn on_disk<T: Send + 'static>(
    access: &Access,
    work: impl FnOnce() -> Result<T, RecordingError> + Send + 'static,
) -> Result<T, String> {
    let patience = access.parts.recordings.patience();
    let working = async {
        let _turn = access.disk.acquire().await.map_err(|e| e.to_string())?;
        tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    };
    let done = tokio::time::timeout(patience, working).await;
    done.unwrap_or_else(|_| Err(format!("the disk did not answer within {} ms", patience.as_millis())))
}

fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    rand::fill(&mut bytes);
    bytes
}
