//! Actions on the gateway itself: decided and logged like any other, on the element `gateway`.

use std::sync::Arc;

use super::visit::denied_event;
use super::{Access, Refusal, clock};
use crate::audit::Receipt;
use crate::domain::{Account, Action, ElementName, Event, Outcome, SessionId, Via};
use crate::identity::locks::Changes;
use crate::identity::{Lock, LockSubject, Locks, Verified};
use crate::policy::{Ask, Permit};

impl Access {
    /// Asks policy for an action on the gateway itself.
    ///
    /// # Errors
    /// Denied, and logged; or the identity is no longer welcome.
    pub async fn ask_own(&self, who: &Verified, action: &Action) -> Result<Permit, Refusal> {
        let now = clock::now();
        let account = "gateway".parse::<Account>().map_err(|_| Refusal::Unavailable(Outcome::ProtocolError))?;
        self.still_welcome(who, None, now).map_err(|unwelcome| Refusal::Unavailable(unwelcome.outcome))?;
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

    /// Notes that what the gateway knows is about to be read; it may be only with the receipt.
    ///
    /// # Errors
    /// The log could not note it.
    pub async fn note_state_read(&self, permit: &Permit, via: Via) -> Result<Receipt, Refusal> {
        let request = permit.request();
        let event = Event::StateRead { by: request.who.clone(), action: request.action.clone(), via };
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
    pub async fn lock(self: &Arc<Self>, _permit: &Permit, lock: Lock, via: Via) -> Result<(), String> {
        let _one_at_a_time = self.auditing_locks.lock().await;
        let event = added(&lock, via);
        let noted = Changes { added: vec![lock.clone()], removed: Vec::new() };
        let added = self.changing_locks(move |locks| locks.add(lock)).await;
        let logged = self.append(clock::now(), event).await.map_err(|e| e.to_string());
        if logged.is_ok() {
            self.noted_locks(noted).await;
        }
        added.map_err(|e| format!("the lock is in force but could not be stored: {e}")).and(logged.map(drop))
    }

    /// Takes a lock away; whether there was one.
    ///
    /// # Errors
    /// It could not be logged or made durable; it stays.
    pub async fn unlock(self: &Arc<Self>, permit: &Permit, subject: &LockSubject, via: Via) -> Result<bool, String> {
        let _one_at_a_time = self.auditing_locks.lock().await;
        let Some(lock) = self.locks().get(subject) else { return Ok(false) };
        let event =
            Event::LockRemoved { subject: String::from(subject.clone()), by: permit.request().who.to_string(), via };
        let _receipt = self.append(clock::now(), event).await.map_err(|e| e.to_string())?;
        let removing = subject.clone();
        match self.changing_locks(move |locks| locks.remove(&removing)).await {
            Ok(removed) => {
                self.noted_locks(Changes { added: Vec::new(), removed: vec![lock] }).await;
                Ok(removed)
            }
            Err(error) => {
                // The log must not end with a lock taken away that holds.
                self.report(clock::now(), added(&lock, via)).await;
                Err(error)
            }
        }
    }

    /// Changes the locks where it may wait: for the disk, and for another process that changes them.
    async fn changing_locks<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&Locks) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let access = self.clone();
        let changed = tokio::task::spawn_blocking(move || change(access.locks())).await;
        changed.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }

    /// Notes that the log knows of these changes.
    pub(super) async fn noted_locks(self: &Arc<Self>, changes: Changes) {
        if let Err(error) = self.changing_locks(move |locks| locks.note(&changes)).await {
            // At worst the next start writes the same to the log once more.
            tracing::warn!(error, "It could not be noted that the log knows of a lock.");
        }
    }
}

/// The event of a lock.
pub(super) fn added(lock: &Lock, via: Via) -> Event {
    Event::LockAdded {
        subject: lock.subject.to_string(),
        reason: lock.reason.clone(),
        until: lock.until,
        by: lock.by.clone(),
        via,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::fixture::Gateway;
    use crate::domain::Verb;
    use crate::identity::durable::Turn;

    fn gateway() -> Gateway {
        Gateway::with_policy("p, user:sec, element:gateway, *, gateway.lock, *, allow\n", |set| set)
    }

    async fn permit(access: &Access, who: &Verified, subject: &str) -> Permit {
        access.ask_own(who, &Action::new(Verb::GatewayLock, subject)).await.unwrap()
    }

    fn lock(subject: &str, by: &str) -> Lock {
        let subject = subject.parse().unwrap();
        Lock { subject, reason: "left".to_owned(), by: by.to_owned(), at: clock::now(), until: None }
    }

    /// What the log says of locks: event, subject, by whom, how.
    fn told(gateway: &Gateway) -> Vec<[String; 4]> {
        let field = |event: &serde_json::Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let about = gateway.events().into_iter().filter(|e| field(e, "event").starts_with("lock-"));
        about.map(|e| ["event", "subject", "by", "via"].map(|key| field(&e, key))).collect()
    }

    const FILES: &str = "whoever may write the gateway's files";

    #[tokio::test]
    async fn every_change_of_the_locks_is_told_once_whoever_made_it() {
        let gateway = gateway();
        let (access, file) = (&gateway.access, gateway.identity.dir.join("data/locks.json"));
        let sec = gateway.identity.verified("sec");
        let expect = |more: &[[&str; 4]]| assert_eq!(told(&gateway), more, "in this order, and nothing else");
        access.audit_locks().await;
        expect(&[]);
        access.lock(&permit(access, &sec, "user:bob").await, lock("user:bob", "sec"), Via::Console).await.unwrap();
        access.audit_locks().await;
        let first = ["lock-added", "user:bob", "sec", "console"];
        expect(&[first]);
        // Another process: the command line, or an editor.
        let other = Locks::open(&file).unwrap();
        other.add(lock("element:r1", "root")).unwrap();
        other.remove(&"user:bob".parse().unwrap()).unwrap();
        access.locks().reload().unwrap();
        access.audit_locks().await;
        access.audit_locks().await;
        let then =
            [["lock-added", "element:r1", "root", "command-line"], ["lock-removed", "user:bob", FILES, "command-line"]];
        expect(&[first, then[0], then[1]]);
        // What is not locked is not unlocked, and nothing is said.
        let eve = "user:eve".parse().unwrap();
        let nothing = access.unlock(&permit(access, &sec, "user:eve").await, &eve, Via::Console).await;
        assert_eq!(nothing, Ok(false));
        expect(&[first, then[0], then[1]]);
        let subject = "element:r1".parse().unwrap();
        let unlocked = access.unlock(&permit(access, &sec, "element:r1").await, &subject, Via::Console).await;
        assert_eq!(unlocked, Ok(true));
        access.audit_locks().await;
        let last = ["lock-removed", "element:r1", "spiffe://carrier.example/user/sec", "console"];
        expect(&[first, then[0], then[1], last]);
    }

    #[tokio::test]
    async fn what_changed_while_no_gateway_ran_is_told_at_the_next_start() {
        let mut gateway = gateway();
        let file = gateway.identity.dir.join("data/locks.json");
        let other = Locks::open(&file).unwrap();
        for (add, expected) in [(true, 1), (false, 2)] {
            if add {
                other.add(lock("user:bob", "root")).unwrap();
            } else {
                other.remove(&"user:bob".parse().unwrap()).unwrap();
            }
            gateway = gateway.restarted().await;
            assert_eq!(told(&gateway).len(), expected - 1);
            gateway.access.audit_locks().await;
            assert_eq!(told(&gateway).len(), expected, "{:?}", told(&gateway));
            gateway = gateway.restarted().await;
            gateway.access.audit_locks().await;
            assert_eq!(told(&gateway).len(), expected, "told once");
        }
    }

    #[tokio::test]
    async fn a_lock_holds_at_once_and_stops_nobody_while_another_process_is_writing() {
        let gateway = gateway();
        let access = gateway.access.clone();
        let sec = gateway.identity.verified("sec");
        let held = Turn::wait(access.locks().file()).unwrap();
        let permit = permit(&access, &sec, "user:bob").await;
        let locking = access.lock(&permit, lock("user:bob", "sec"), Via::Console);
        tokio::pin!(locking);
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        // This runtime has one thread: it goes round while the lock waits for the other process.
        while access.locks().get(&"user:bob".parse().unwrap()).is_none() {
            assert!(std::time::Instant::now() < deadline, "the lock is in force before it is durable");
            tokio::select! {
                _ = &mut locking => panic!("another process holds the file"),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        assert!(told(&gateway).is_empty());
        drop(held);
        locking.await.unwrap();
        assert_eq!(told(&gateway).len(), 1);
    }
}
