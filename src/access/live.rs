//! The sessions that are open now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Session, Stop};
use crate::domain::{Outcome, SessionFacts, SessionId};

/// One open session, for lists.
#[derive(Debug, Clone)]
pub struct LiveSession {
    /// Who, what, when.
    pub facts: SessionFacts,
    stop: Stop,
}

/// The registry of open sessions.
#[derive(Debug, Default)]
pub struct Live(Arc<Mutex<BTreeMap<SessionId, LiveSession>>>);

impl Live {
    /// Every open session, oldest first.
    pub fn list(&self) -> Vec<LiveSession> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Ends a session; whether there was one of that id.
    pub fn terminate(&self, id: SessionId) -> bool {
        let live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(&id).is_some_and(|session| {
            session.stop.request(Outcome::Terminated);
            true
        })
    }

    pub(super) fn enter(&self, session: &Session) -> Entered {
        let facts = session.facts().clone();
        let id = facts.session;
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, LiveSession { facts, stop: session.stop().clone() });
        Entered { registry: self.0.clone(), id }
    }
}

/// Takes the session out of the registry when dropped.
#[derive(Debug)]
pub(super) struct Entered {
    registry: Arc<Mutex<BTreeMap<SessionId, LiveSession>>>,
    id: SessionId,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
