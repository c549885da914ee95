//! Decides a visit again whenever anything it depends on changes: policy, locks, revocation, the clock, an operator, the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::visit::Unwelcome;
use super::{Visit, clock};
use crate::domain::{ElementName, Outcome, Timestamp};
use crate::identity::Trust;

/// What a trust set said of a client, and for how long it stands.
#[derive(Debug)]
struct Admitted {
    trust: Arc<Trust>,
    from: Timestamp,
    until: Timestamp,
}

impl Visit {
    /// Runs for as long as the visit may go on, and returns why it may not. Channels that alone are no longer allowed are stopped on the
    /// way. Cancel safe.
    pub async fn supervise(&self) -> Outcome {
        let access = self.access();
        let mut rules = access.rules().subscribe();
        let mut locks = access.locks().subscribe();
        let mut trust = access.trust().subscribe();
        let mut jumps = access.jumps.subscribe();
        let mut admitted = None;
        loop {
            let now = clock::now();
            if let Err(unwelcome) = self.still_welcome_since(&mut admitted, now) {
                let Unwelcome { outcome, why } = unwelcome;
                tracing::info!(identity = %self.verified().identity(), %outcome, why, "No longer admitted.");
                self.note_end(why);
                return outcome;
            }
            let session = self.session().await;
            let idle = access.limits().idle_timeout;
            // The credential, and the list that says whether it is revoked, run out without anybody's doing.
            let mut wake = admitted.as_ref().map_or(now, |admitted: &Admitted| admitted.until);
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
                wake = session.looks_again(wake.min(idle_at));
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

impl Visit {
    /// Whether the client is still admitted and neither it nor the element is locked. What a trust set said is believed for as long as only time
    /// can change it.
    fn still_welcome_since(&self, admitted: &mut Option<Admitted>, now: Timestamp) -> Result<(), Unwelcome> {
        let (access, who) = (self.access(), self.verified());
        let trust = access.trust().current();
        let stands = |admitted: &Admitted| {
            Arc::ptr_eq(&admitted.trust, &trust) && (admitted.from..admitted.until).contains(&now)
        };
        if !admitted.as_ref().is_some_and(stands) {
            *admitted = None;
            trust.still_admits(who, now)?;
            let until = trust.next_edge(who, now);
            *admitted = Some(Admitted { trust, from: now, until });
        }
        access.not_locked(who, Some(self.element()), now)
    }
}

async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        // The sender lives as long as the gateway; without it nothing can change any more.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::fixture::Gateway;
    use crate::access::rules::Reloaded;
    use crate::access::{Grant, Refusal};
    use crate::domain::{Action, Verb};

    const ELEMENT: &str = "[[element]]\nname = \"r1\"\naddresses = [\"192.0.2.1:22\"]\nplatform = \"ios\"\nclass = \"core-router\"\naccount = \"netops\"\n\
        host_keys = [\"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]\nprotocols = [\"ssh\"]\ncredential = { kind = \"certificate\" }\n";
    const SHELL_AND_SHOW: &str =
        "p, user:ada, element:r1, *, ssh.raw-shell, -, allow\np, user:ada, element:r1, *, ssh.exec, show *, allow\n";
    /// Far longer than anything here takes, and far shorter than a session may be idle.
    const SOON: Duration = Duration::from_secs(30);

    fn visit(gateway: &Gateway) -> Arc<Visit> {
        let who = Arc::new(gateway.identity.verified("ada"));
        let (element, account) = ("r1".parse().unwrap(), "netops".parse().unwrap());
        Visit::new(gateway.access.clone(), who, element, account, "ssh")
    }

    async fn asks(visit: &Arc<Visit>, channel: u32, verb: Verb, object: &str) -> Result<Grant, Refusal> {
        visit.ask(channel, &Action::new(verb, object)).await
    }

    /// Rewrites the rows and takes them into service.
    fn edit(gateway: &Gateway, rows: &str) {
        std::fs::write(gateway.identity.dir.join("policies/policy.csv"), rows).unwrap();
        let reloaded = gateway.access.rules().reload();
        assert!(matches!(reloaded, Reloaded::Swapped { .. }), "{reloaded:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_further_channel_that_ends_sooner_than_anything_before_is_not_overlooked() {
        let rows = format!("{SHELL_AND_SHOW}p2, user:ada, element:r1, *, ssh.exec, *, max:1s\n");
        let gateway = Gateway::with(&rows, ELEMENT, |set| set);
        let visit = visit(&gateway);
        let shell = asks(&visit, 0, Verb::SshRawShell, "").await.unwrap();
        let supervising = tokio::spawn({
            let visit = visit.clone();
            async move { visit.supervise().await }
        });
        let show = asks(&visit, 1, Verb::SshExec, "show version").await.unwrap();
        let ended = tokio::time::timeout(SOON, show.stopped()).await;
        assert_eq!(ended, Ok(Outcome::PolicyDenies));
        assert_eq!(shell.stop_requested(), None, "the other goes on");
        assert!(!supervising.is_finished());
        supervising.abort();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whatever_is_asked_while_policy_changes_ends_with_what_allowed_it() {
        let gateway = Gateway::with(SHELL_AND_SHOW, ELEMENT, |set| set);
        let visit = visit(&gateway);
        let shell = asks(&visit, 0, Verb::SshRawShell, "").await.unwrap();
        let supervising = tokio::spawn({
            let visit = visit.clone();
            async move { visit.supervise().await }
        });
        let shell_only = SHELL_AND_SHOW.lines().next().unwrap();
        for round in 0..20_u32 {
            let asking = tokio::spawn({
                let visit = visit.clone();
                async move {
                    let mut granted = Vec::new();
                    for n in 1.. {
                        match asks(&visit, round * 100_000 + n, Verb::SshExec, "show version").await {
                            Ok(grant) => granted.push(grant),
                            Err(_) => break,
                        }
                    }
                    granted
                }
            });
            edit(&gateway, shell_only);
            for grant in asking.await.unwrap() {
                assert_eq!(
                    tokio::time::timeout(SOON, grant.stopped()).await,
                    Ok(Outcome::PolicyDenies),
                    "round {round}"
                );
            }
            edit(&gateway, SHELL_AND_SHOW);
        }
        assert_eq!(shell.stop_requested(), None);
        supervising.abort();
    }

    #[tokio::test]
    async fn what_a_trust_set_said_is_not_believed_beyond_its_end_nor_before_its_beginning() {
        let gateway = Gateway::with(SHELL_AND_SHOW, ELEMENT, |set| set);
        let visit = visit(&gateway);
        let now = clock::now();
        let mut admitted = None;
        visit.still_welcome_since(&mut admitted, now).unwrap();
        let until = admitted.as_ref().unwrap().until;
        assert!(until <= visit.verified().not_after());
        for at in [until, visit.verified().not_after(), Timestamp::from_nanos(0)] {
            let unwelcome = visit.still_welcome_since(&mut admitted, at).unwrap_err();
            assert!(matches!(unwelcome.outcome, Outcome::Expired | Outcome::Untrusted), "{unwelcome:?}");
            assert!(admitted.is_none(), "and nothing is kept of it");
            visit.still_welcome_since(&mut admitted, now).unwrap();
        }
        gateway.identity.authority.revoke("ada", now).unwrap();
        gateway.identity.trust.reload(now).unwrap();
        assert_eq!(visit.still_welcome_since(&mut admitted, now).unwrap_err().outcome, Outcome::Revoked);
    }
}
