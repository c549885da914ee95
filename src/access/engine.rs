//! Asking policy, and looking after its engine: every question of the gateway goes through here, so every decision is counted, one in a thousand is
//! looked at again by casbin over every row, and a fault of the engine raises an alarm.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::rate::{Bucket, Rate};
use super::{Access, Rules, clock};
use crate::domain::{Event, Reason, Request};
use crate::identity::Verified;
use crate::policy::{Ask, Denied, Permit, permit};

/// One decision in this many is looked at again.
const LOOK_EVERY: u64 = 1_000;
/// Decisions that may wait to be looked at; more are not looked at.
const LOOKS_MAX: usize = 4;
/// Looking takes at most one part in this many of one processor.
const LOOK_SHARE: u32 = 10;
/// Alarms that may wait for the log.
const ALARMS_MAX: usize = 64;
/// Alarms that the log gets; the metric counts every one.
const ALARMS_LOGGED: Rate = Rate { burst: 10, per_second: 1 };

/// A decision that is to be looked at again, with the rules that made it.
type Look = (Arc<Rules>, Request);

/// Something that should never happen.
#[derive(Debug)]
struct Alarm {
    what: &'static str,
    detail: String,
}

/// What [`Access::watch_engine`] works on.
#[derive(Debug)]
struct Inbox {
    looks: mpsc::Receiver<Look>,
    alarms: mpsc::Receiver<Alarm>,
}

/// Decisions and alarms on their way to whoever looks after them.
#[derive(Debug)]
pub(super) struct Engine {
    decided: AtomicU64,
    looks: mpsc::Sender<Look>,
    alarms: mpsc::Sender<Alarm>,
    logged: Mutex<Logged>,
    inbox: Mutex<Option<Inbox>>,
}

/// How many alarms may be logged, and how many were not since the last one that was.
#[derive(Debug)]
struct Logged {
    bucket: Bucket,
    left_out: u64,
}

impl Logged {
    /// Whether to log one more, and how many were left out before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.bucket.take(now) {
            return Some(std::mem::take(&mut self.left_out));
        }
        self.left_out = self.left_out.saturating_add(1);
        None
    }
}

impl Engine {
    pub(super) fn new(now: Instant) -> Self {
        let (looks, looked) = mpsc::channel(LOOKS_MAX);
        let (alarms, raised) = mpsc::channel(ALARMS_MAX);
        Self {
            decided: AtomicU64::new(0),
            looks,
            alarms,
            logged: Mutex::new(Logged { bucket: Bucket::new(ALARMS_LOGGED, now), left_out: 0 }),
            inbox: Mutex::new(Some(Inbox { looks: looked, alarms: raised })),
        }
    }
}

impl Access {
    /// Asks policy. Every question of this process does, so nothing is decided that is not looked after.
    pub(super) fn decide(&self, rules: &Arc<Rules>, who: &Verified, ask: &Ask<'_>) -> Result<Permit, Box<Denied>> {
        let answer = permit(&rules.policy, who, ask);
        let (request, decision) = match &answer {
            Ok(permit) => (permit.request(), permit.decision()),
            Err(denied) => (&denied.request, &denied.decision),
        };
        if let Reason::Engine(text) = &decision.reason {
            self.disagreed(format!("{} on {} for {} was denied: {text}", request.action, request.element, request.who));
        }
        if self.engine.decided.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_EVERY) {
            // A full queue means that looking cannot keep up: there will be others.
            self.engine.looks.try_send((rules.clone(), request.clone())).ok();
        }
        answer
    }

    /// Counts an answer that somebody gets, when it is yes; a no is counted with its report.
    pub(super) fn count(&self, answer: &Result<Permit, Box<Denied>>) {
        if answer.is_ok() {
            self.metrics().decisions.with_label_values(&["allow"]).inc();
        }
    }

    fn disagreed(&self, detail: String) {
        self.metrics().disagreements.inc();
        self.raise("policy-engine", detail);
    }

    /// [`Access::alarm`] for who cannot wait for the log, and for what may come at any pace: the metric counts each, the log gets some.
    fn raise(&self, what: &'static str, detail: String) {
        self.metrics().alarms.inc();
        tracing::error!(what, detail, "Alarm.");
        let Some(left_out) = self.engine.logged.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now())
        else {
            return;
        };
        let detail = match left_out {
            0 => detail,
            more => format!("{detail} ({more} alarms before this one were counted and not logged)"),
        };
        // The metric has it in any case.
        self.engine.alarms.try_send(Alarm { what, detail }).ok();
    }

    /// Looks at a sample of decisions again and writes alarms to the log. Runs until it is dropped; there is one.
    pub async fn watch_engine(self: Arc<Self>) {
        let inbox = self.engine.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Inbox { mut looks, mut alarms }) = inbox else { return };
        let mut rested = tokio::time::Instant::now();
        loop {
            tokio::select! {
                Some(Alarm { what, detail }) = alarms.recv() => {
                    self.report(clock::now(), Event::Alarm { what: what.to_owned(), detail }).await;
                }
                Some(look) = async { tokio::time::sleep_until(rested).await; looks.recv().await } => {
                    let took = self.look(look).await;
                    rested = tokio::time::Instant::now() + took.saturating_mul(LOOK_SHARE - 1);
                }
                else => return,
            }
        }
    }

    /// Looks at one decision again, and how long that took.
    async fn look(&self, (rules, request): Look) -> Duration {
        let began = Instant::now();
        let text = format!("{} on {} for {}", request.action, request.element, request.who);
        let looking = tokio::task::spawn_blocking(move || rules.policy.look_again(&request));
        let difference = match looking.await {
            Ok(difference) => difference,
            Err(error) => Some(format!("the second look failed: {error}")),
        };
        if let Some(difference) = difference {
            self.disagreed(format!("{text}: {difference}; it and its like are denied from now on"));
            // Sessions that stand by such a decision end.
            self.jumps.send_modify(|n| *n = n.wrapping_add(1));
        }
        began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::fixture::Gateway;
    use crate::domain::{Action, Effect, Verb};
    use crate::policy::PolicySet;

    const ROWS: &str = "p, user:ada, element:r1, *, ssh.exec, show *, allow\n";

    fn gateway(seen_again_as: Option<Effect>) -> Gateway {
        Gateway::with_policy(ROWS, |set: PolicySet| match seen_again_as {
            Some(effect) => set.seen_again_as(effect),
            None => set,
        })
    }

    fn asks(gateway: &Gateway, times: u64) -> Result<Permit, Box<Denied>> {
        let who = gateway.identity.verified("ada");
        let (element, account) = ("r1".parse().unwrap(), "admin".parse().unwrap());
        let action = Action::new(Verb::SshExec, "show version");
        let at = clock::now();
        let ask = Ask { element: &element, account: &account, action: &action, at, session_opened_at: at };
        let rules = gateway.access.rules().current();
        let mut last = gateway.access.decide(&rules, &who, &ask);
        for _ in 1..times {
            last = gateway.access.decide(&rules, &who, &ask);
        }
        last
    }

    async fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < deadline, "{what} did not happen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_disagreement_is_found_in_service_denied_counted_and_logged() {
        let gateway = gateway(Some(Effect::Deny));
        let access = &gateway.access;
        let mut woken = access.jumps.subscribe();
        let watching = tokio::spawn(access.clone().watch_engine());
        assert!(asks(&gateway, 1).is_ok(), "the index and casbin by its candidates agree");
        until("the second look", || access.metrics().disagreements.get() > 0).await;
        until("live sessions are told", || woken.has_changed().unwrap()).await;
        woken.mark_unchanged();
        let denied = asks(&gateway, 1).unwrap_err();
        assert!(matches!(denied.decision.reason, Reason::Engine(_)), "{:?}", denied.decision);
        assert_eq!((access.metrics().disagreements.get(), access.metrics().alarms.get()), (2, 2));
        until("both are in the log", || gateway.events().iter().filter(|e| e["event"] == "alarm").count() == 2).await;
        let alarms: Vec<_> = gateway.events().into_iter().filter(|e| e["event"] == "alarm").collect();
        assert!(alarms.iter().all(|alarm| alarm["what"] == "policy-engine"), "{alarms:#?}");
        assert!(alarms[0]["detail"].as_str().unwrap().contains("denied from now on"), "{alarms:#?}");
        // A thousand more are counted one by one and logged a few times.
        asks(&gateway, 1_000).unwrap_err();
        assert!(access.metrics().alarms.get() >= 1_002);
        until("some are logged", || gateway.events().len() >= 8).await;
        assert!(
            gateway.events().len() <= 4 * usize::try_from(ALARMS_LOGGED.burst).unwrap(),
            "not at the pace of whoever asks"
        );
        watching.abort();
    }

    #[tokio::test]
    async fn one_decision_in_a_thousand_is_looked_at_and_nothing_is_said_when_they_agree() {
        let gateway = gateway(None);
        let watching = tokio::spawn(gateway.access.clone().watch_engine());
        assert!(asks(&gateway, 2 * LOOK_EVERY).is_ok());
        until("what was to be looked at was", || gateway.access.engine.looks.capacity() == LOOKS_MAX).await;
        assert_eq!(gateway.access.engine.decided.load(Ordering::Relaxed), 2 * LOOK_EVERY);
        assert_eq!((gateway.access.metrics().disagreements.get(), gateway.access.metrics().alarms.get()), (0, 0));
        assert!(asks(&gateway, 1).is_ok());
        watching.abort();
    }
}
