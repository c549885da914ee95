//! What is denied inside an open session: recorded at once, and in the audit log with the next batch.

use std::sync::PoisonError;

use super::Session;
use crate::access::visit::denied_event;
use crate::access::{Refusal, clock};
use crate::domain::{Action, Timestamp};
use crate::policy::{Ask, Denied, forbid};
use crate::recording::Frame;

/// Denials that wait to be reported.
#[derive(Debug, Default)]
pub(super) struct Denials {
    waiting: Vec<Denied>,
    left_out: u64,
}

/// Denials of one batch that are reported one by one; the rest are counted, and the recording has every one.
const DENIALS_MAX: usize = 256;

impl Session {
    /// Says no to what the gateway does for nobody, or finds out too late, and keeps it for the next [`Session::report_denials`].
    pub fn forbid(&self, channel: u32, action: &Action, why: &str) -> Refusal {
        let rules = self.access.rules().current();
        let denied = forbid(&rules.policy, &self.verified, &self.question(action, clock::now()), why);
        let decision = (&denied.decision).into();
        match self.record(&Frame::Decided { channel, action, decision: &decision }) {
            Ok(()) => self.denied(denied),
            Err(outcome) => Refusal::Unavailable(outcome),
        }
    }

    /// Keeps a denial for the next report, and says it to the person.
    pub(super) fn denied(&self, denied: Denied) -> Refusal {
        let refusal = Refusal::denied(&denied, self.access.rules().current().policy.contact());
        let mut denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        if denials.waiting.len() < DENIALS_MAX {
            denials.waiting.push(denied);
        } else {
            denials.left_out = denials.left_out.saturating_add(1);
        }
        refusal
    }

    /// Reports to the audit log what was denied since the last time. Call after a batch of inner actions, before what they led to is forwarded.
    pub async fn report_denials(&self) {
        let Denials { waiting, left_out } =
            std::mem::take(&mut *self.denials.lock().unwrap_or_else(PoisonError::into_inner));
        for denied in waiting {
            denied_event(&self.access, clock::now(), &denied, Some(self.facts.session)).await;
        }
        if left_out > 0 {
            self.access.metrics().decisions.with_label_values(&["deny"]).inc_by(left_out);
            self.access.omit_denials(self.verified.identity(), left_out);
        }
    }

    /// What is asked of policy for an action of this session.
    pub(super) fn question<'a>(&'a self, action: &'a Action, at: Timestamp) -> Ask<'a> {
        let request = &self.facts.request;
        let (element, account) = (&request.element, &request.account);
        Ask { element, account, action, at, session_opened_at: self.facts.opened_at }
    }
}
