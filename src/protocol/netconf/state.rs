//! What the two directions of one NETCONF session share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::actions::{Reading, ReplyHead};
use super::observe::Seen;
use super::xml;
use crate::access::{NetconfLimits, Session, Standing, Visit};
use crate::domain::data::{Change, DataPath, EditOperation};
use crate::domain::{Action, Outcome};
use crate::recording::{Exchange, Frame, Part};

/// What stands in the order of answers.
pub(super) enum Waiting {
    /// Made by the gateway: it goes when its turn comes.
    Answer(Answer),
    /// The element has the RPC.
    Forwarded(Forwarded),
    /// A look of the gateway's own.
    Look(Look),
}

/// An answer of the gateway.
pub(super) struct Answer {
    pub(super) number: u64,
    pub(super) head: ReplyHead,
    pub(super) what: String,
    pub(super) status: String,
    pub(super) body: Bytes,
    pub(super) _place: OwnedSemaphorePermit,
}

/// An RPC whose answer is the element's.
pub(super) struct Forwarded {
    pub(super) number: u64,
    pub(super) head: ReplyHead,
    pub(super) what: String,
    pub(super) reads: Option<Reading>,
    pub(super) then: Then,
    pub(super) _place: OwnedSemaphorePermit,
}

/// What follows when the element says `<ok/>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// The session ends.
    Close,
    /// What was staged up to here is staged no longer.
    Unstage(u64),
    /// The running configuration changed, and what was staged up to here is staged no longer.
    Changed(u64),
}

/// A look at the running configuration.
pub(super) struct Look {
    pub(super) message_id: String,
    pub(super) after: bool,
}

/// An edit of the candidate that was not committed yet.
struct Staged {
    at: u64,
    changes: Vec<Change>,
    selection: Option<String>,
}

/// Changes that are remembered until they are committed; more are taken for a change of everything.
const STAGED_MAX: usize = 50_000;
/// The longest filter for a look.
const SELECTION_BYTES_MAX: usize = 256 << 10;

/// The state of one session.
pub(super) struct State<'s> {
    pub(super) visit: &'s Visit,
    pub(super) session: Arc<Session>,
    pub(super) channel: u32,
    pub(super) limits: NetconfLimits,
    pub(super) subscriptions: Arc<Subscriptions>,
    waiting: Mutex<VecDeque<Waiting>>,
    staged: Mutex<(u64, Vec<Staged>)>,
    /// How the last RPC that could have changed something went, and what was seen before it.
    pub(super) observed: Mutex<Observed>,
    /// Notified when something was put in the order of answers.
    pub(super) changed: Notify,
}

/// Between two looks.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) before: Option<Result<Seen, String>>,
    pub(super) change: Option<(u64, String)>,
}

/// The subscriptions of a session, decided again when policy changes.
#[derive(Default)]
pub(super) struct Subscriptions(pub(super) Mutex<Vec<Action>>);

/// Actions of subscriptions that one session stands by.
const SUBSCRIBED_MAX: usize = 256;

impl Subscriptions {
    /// Notes one; `false` when there are too many.
    pub(super) fn add(&self, actions: Vec<Action>) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for action in actions {
            if !all.contains(&action) {
                all.push(action);
            }
        }
        all.len() <= SUBSCRIBED_MAX
    }

    pub(super) fn any(&self) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Standing for Subscriptions {
    fn actions(&self) -> Vec<Action> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<'s> State<'s> {
    pub(super) fn new(visit: &'s Visit, session: Arc<Session>, channel: u32) -> Self {
        Self {
            visit,
            session,
            channel,
            limits: visit.access().limits().netconf.clone(),
            subscriptions: Arc::default(),
            waiting: Mutex::default(),
            staged: Mutex::default(),
            observed: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn xml_limits(&self) -> xml::Limits {
        xml::Limits { depth_max: self.limits.depth_max, elements_max: self.limits.elements_max }
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait_for(&self, waiting: Waiting) {
        self.waiting().push_back(waiting);
        self.changed.notify_one();
    }

    /// Records one message.
    pub(super) fn record(&self, exchange: &Exchange) -> Result<(), Outcome> {
        self.session.record(&Frame::Exchange { channel: self.channel, exchange })
    }

    /// Records something for the auditor to read.
    pub(super) fn note(&self, text: &str) -> Result<(), Outcome> {
        self.session.record(&Frame::Note { text: &format!("channel {}: {text}", self.channel) })
    }

    /// The session ends like this, and why.
    pub(super) fn ends(&self, why: &str, outcome: Outcome) -> Outcome {
        tracing::info!(session = %self.session.facts().session, why, "A NETCONF session ends.");
        self.note(why).err().unwrap_or(outcome)
    }

    /// A message as it is recorded.
    pub(super) fn exchange(&self, number: u64, part: Part, what: &str, body: &[u8]) -> Exchange {
        let kept = body.get(..self.limits.kept_bytes_max.min(body.len())).unwrap_or_default();
        Exchange {
            number,
            part,
            what: what.to_owned(),
            status: None,
            peer_id: None,
            bytes: body.len() as u64,
            sha256: Some(
                data_encoding::HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body).as_ref()),
            ),
            body: Some(String::from_utf8_lossy(kept).into_owned()),
            cut: kept.len() < body.len(),
        }
    }

    /// Remembers an edit of the candidate.
    pub(super) fn stage(&self, changes: Vec<Change>, selection: Option<String>) {
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.0 += 1;
        let at = staged.0;
        let count: usize = staged.1.iter().map(|edit| edit.changes.len()).sum();
        if count + changes.len() > STAGED_MAX {
            let everything = Change { operation: EditOperation::Replace, path: DataPath::root() };
            staged.1 = vec![Staged { at, changes: vec![everything], selection: None }];
        } else {
            staged.1.push(Staged { at, changes, selection });
        }
    }

    /// What a commit would change, and which of it to look at; also up to where this is told.
    pub(super) fn staged(&self) -> (u64, Vec<Change>, Option<String>) {
        let staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes: Vec<Change> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for change in staged.1.iter().flat_map(|edit| &edit.changes) {
            if seen.insert(change) {
                changes.push(change.clone());
            }
        }
        let selections: Option<Vec<&str>> = staged.1.iter().map(|edit| edit.selection.as_deref()).collect();
        let selection = selections.map(|all| all.concat());
        (staged.0, changes, selection.filter(|text| !text.is_empty() && text.len() <= SELECTION_BYTES_MAX))
    }

    /// Forgets what was staged up to `at`.
    pub(super) fn unstage(&self, at: u64) {
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.1.retain(|edit| edit.at > at);
    }
}
