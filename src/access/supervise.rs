//! Decides a visit again whenever anything it depends on changes: policy, locks, revocation, the clock, an operator, the disk.

use std::time::Duration;

use tokio::sync::watch;

use super::visit::Unwelcome;
use super::{Visit, clock};
use crate::domain::{ElementName, Outcome};

impl Visit {
    /// Runs for as long as the visit may go on, and returns why it may not. Channels that alone are no longer allowed are stopped on the
    /// way. Cancel safe.
    pub async fn supervise(&self) -> Outcome {
        let access = self.access();
        let mut rules = access.rules().subscribe();
        let mut locks = access.locks().subscribe();
        let mut trust = access.trust().subscribe();
        let mut jumps = access.jumps.subscribe();
        loop {
            let now = clock::now();
            if let Err(unwelcome) = self.still_welcome(now) {
                let Unwelcome { outcome, why } = unwelcome;
                tracing::info!(identity = %self.verified().identity(), %outcome, why, "No longer admitted.");
                self.note_end(why);
                return outcome;
            }
            let session = self.session().await;
            let idle = access.limits().idle_timeout;
            // The credential, and the list that says whether it is revoked, run out without anybody's doing.
            let mut wake = access.trust().current().next_edge(self.verified(), now);
            // A client that has nothing open is unused from the beginning. The gateway's own name is for connections inside this one.
            if session.is_none() && *self.element() != ElementName::gateway() {
                let unused_at = self.began().plus(access.limits().unused_timeout);
                if unused_at <= now {
                    return Outcome::Idle;
                }
                wake = wake.min(unused_at);
            }
            if let Some(session) = &session {
                if let Some(outcome) = session.stop().requested().or_else(|| session.decide_again(now)) {
                    return outcome;
                }
                let idle_at = session.active_at().plus(idle);
                if idle_at <= now {
                    return Outcome::Idle;
                }
                wake = wake.min(idle_at).min(session.next_edge().unwrap_or(wake));
            }
            let sleep = wake.since(now).max(Duration::from_millis(1));
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.woken().notified() => {}
                () = changed(&mut rules) => {}
                () = changed(&mut locks) => {}
                () = changed(&mut trust) => {}
                () = changed(&mut jumps) => {}
                () = access.ended.cancelled() => return Outcome::Shutdown,
                outcome = async { match &session { Some(s) => s.stop().stopped().await, None => std::future::pending().await } } => return outcome,
                outcome = async { match &session { Some(s) => s.recorder_ended().await, None => std::future::pending().await } } => return outcome,
            }
        }
    }
}

async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        // The sender lives as long as the gateway; without it nothing can change any more.
        std::future::pending::<()>().await;
    }
}
