//! Actions on the gateway itself: decided and logged like any other, on the element `gateway`.

use super::visit::denied_event;
use super::{Access, Refusal, clock};
use crate::audit::Receipt;
use crate::domain::{Account, Action, ElementName, Event, Outcome, SessionId, Via};
use crate::identity::{Lock, LockSubject, Verified};
use crate::policy::{Ask, Permit};

impl Access {
    /// Asks policy for an action on the gateway itself.
    ///
    /// # Errors
    /// Denied, and logged; or the identity is no longer welcome.
    pub async fn ask_own(&self, who: &Verified, action: &Action) -> Result<Permit, Refusal> {
        let now = clock::now();
        let unwelcome =
            self.trust().current().still_admits(who, now).is_err() || self.locks().find(who, None, now).is_some();
        let account = "gateway".parse::<Account>().map_err(|_| Refusal::Unavailable(Outcome::ProtocolError))?;
        if unwelcome {
            return Err(Refusal::Unavailable(Outcome::Locked));
        }
        let rules = self.rules().current();
        let element = ElementName::gateway();
        let ask = Ask { element: &element, account: &account, action, at: now, session_opened_at: now };
        let answer = self.decide(&rules, who, &ask);
        self.count(&answer);
        match answer {
            Ok(permit) => Ok(permit),
            Err(denied) => {
                denied_event(self, now, &denied, None).await;
                Err(Refusal::denied(&denied, rules.policy.contact()))
            }
        }
    }

    /// Notes that a recording is about to be read; it may be only with the receipt.
    ///
    /// # Errors
    /// The log could not note it.
    pub async fn note_reading(
        &self,
        permit: &Permit,
        session: SessionId,
        how: &str,
        via: Via,
    ) -> Result<Receipt, Refusal> {
        let request = permit.request();
        let event =
            Event::RecordingRead { session, by: request.who.clone(), how: how.chars().take(200).collect(), via };
        self.append(clock::now(), event).await.map_err(|_| Refusal::Unavailable(Outcome::RecorderFailed))
    }

    /// Ends a live session; whether there was one of that id.
    ///
    /// # Errors
    /// The log could not note it; the session goes on.
    pub async fn terminate(&self, permit: &Permit, session: SessionId, via: Via) -> Result<bool, Refusal> {
        if !self.live().list().iter().any(|live| live.facts.session == session) {
            return Ok(false);
        }
        let event = Event::SessionTerminated { session, by: permit.request().who.clone(), via };
        let _receipt =
            self.append(clock::now(), event).await.map_err(|_| Refusal::Unavailable(Outcome::RecorderFailed))?;
        Ok(self.live().terminate(session))
    }

    /// Locks a subject: it is shut out and its live sessions end. The lock holds in this process even when it cannot be made durable.
    ///
    /// # Errors
    /// It could not be made durable, or not be logged.
    pub async fn lock(&self, _permit: &Permit, lock: Lock, via: Via) -> Result<(), String> {
        let event = Event::LockAdded {
            subject: String::from(lock.subject.clone()),
            reason: lock.reason.clone(),
            until: lock.until,
            by: lock.by.clone(),
            via,
        };
        let added = self.locks().add(lock).map_err(|e| format!("the lock is in force but could not be stored: {e}"));
        let logged = self.append(clock::now(), event).await.map_err(|e| e.to_string());
        added.and(logged.map(drop))
    }

    /// Takes a lock away; whether there was one.
    ///
    /// # Errors
    /// It could not be logged or made durable; it stays.
    pub async fn unlock(&self, permit: &Permit, subject: &LockSubject, via: Via) -> Result<bool, String> {
        let event =
            Event::LockRemoved { subject: String::from(subject.clone()), by: permit.request().who.to_string(), via };
        let _receipt = self.append(clock::now(), event).await.map_err(|e| e.to_string())?;
        self.locks().remove(subject).map_err(|e| e.to_string())
    }
}
