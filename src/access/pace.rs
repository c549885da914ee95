//! What is said no to is logged, but not at the pace of whoever asks: beyond it, denials and refusals are counted, and an event tells how many.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::rate::{Bucket, Rate};
use super::{Access, clock};
use crate::domain::{Event, Identity, Timestamp};

/// Events at once, and then each second, of one identity.
const IDENTITY: Rate = Rate { burst: 100, per_second: 1 };
/// Events at once, and then each second, of all clients that nobody knows.
const STRANGERS: Rate = Rate { burst: 200, per_second: 2 };
/// How often it is told what was counted.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What is said no to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum No {
    Denied,
    Refused,
}

/// How fast the events of each come. Nobody but those whom an authority of ours has named has a place here, and all others share one.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<Option<Identity>, Paced>>);

#[derive(Debug)]
struct Paced {
    bucket: Bucket,
    omitted: Option<Omitted>,
}

/// What was counted instead of logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Omitted {
    denied: u64,
    refused: u64,
    since: Timestamp,
}

impl Paced {
    fn new(of: Option<&Identity>, now: Instant) -> Self {
        Self { bucket: Bucket::new(if of.is_some() { IDENTITY } else { STRANGERS }, now), omitted: None }
    }

    fn omit(&mut self, no: No, count: u64, at: Timestamp) {
        let omitted = self.omitted.get_or_insert(Omitted { denied: 0, refused: 0, since: at });
        let kind = match no {
            No::Denied => &mut omitted.denied,
            No::Refused => &mut omitted.refused,
        };
        *kind = kind.saturating_add(count);
    }
}

impl Pace {
    /// Whether to log one more; otherwise it is counted.
    fn admit(&self, of: Option<&Identity>, no: No, now: Instant, at: Timestamp) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let paced = all.entry(of.cloned()).or_insert_with(|| Paced::new(of, now));
        let admitted = paced.bucket.take(now);
        if !admitted {
            paced.omit(no, 1, at);
        }
        admitted
    }

    /// Counts what was left out elsewhere.
    fn omit(&self, of: &Identity, no: No, count: u64, now: Instant, at: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(Some(of.clone())).or_insert_with(|| Paced::new(Some(of), now)).omit(no, count, at);
    }

    /// What was counted since the last time; those of whom there is nothing to remember are forgotten.
    fn take(&self, now: Instant) -> Vec<(Option<Identity>, Omitted)> {
        let mut counted = Vec::new();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|of, paced| {
            counted.extend(paced.omitted.take().map(|omitted| (of.clone(), omitted)));
            !paced.bucket.is_full(now)
        });
        counted
    }
}

impl Access {
    /// Logs that a client was turned away before it could ask.
    pub async fn report_refusal(&self, event: Event) {
        let Event::Refused { door, stage, source, identity, reason } = &event else {
            return self.report(clock::now(), event).await;
        };
        // SECURITY: what is known of an identity is never left out because others knock.
        let of = identity.as_ref().and_then(|identity| identity.parse().ok());
        if self.pace.admit(of.as_ref(), No::Refused, Instant::now(), clock::now()) {
            let (door, identity) = (door.as_str(), identity.as_deref());
            tracing::info!(door, ?stage, ?source, identity, reason, "Refused.");
            self.report(clock::now(), event).await;
        }
    }

    /// Whether one more denial of this identity is logged; otherwise it was counted.
    pub(super) fn logs_denial(&self, of: &Identity) -> bool {
        self.pace.admit(Some(of), No::Denied, Instant::now(), clock::now())
    }

    /// Counts denials that nobody logs one by one.
    pub(super) fn omit_denials(&self, of: &Identity, count: u64) {
        self.pace.omit(of, No::Denied, count, Instant::now(), clock::now());
    }

    /// Tells what was counted.
    pub(super) async fn tell_omitted(&self) {
        for (identity, Omitted { denied, refused, since }) in self.pace.take(Instant::now()) {
            tracing::warn!(
                identity = identity.as_ref().map(Identity::name),
                denied,
                refused,
                "Counted instead of logged."
            );
            self.report(clock::now(), Event::Omitted { identity, denied, refused, since }).await;
        }
    }

    /// The same from time to time, until the doors close.
    pub(super) async fn keep_telling_omitted(&self) {
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            self.tell_omitted().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Identity {
        "spiffe://carrier.example/user/ada".parse().expect("an identity")
    }

    #[test]
    fn a_flood_is_counted_to_the_last_and_told_once() {
        let (pace, began) = (Pace::default(), Instant::now());
        let at = Timestamp::from_secs(1_000);
        let logged = (0..1_000).filter(|_| pace.admit(None, No::Refused, began, at)).count();
        assert_eq!(logged, 200);
        let told = Omitted { denied: 0, refused: 800, since: at };
        assert_eq!(pace.take(began), [(None, told)]);
        assert_eq!(pace.take(began), []);
        let later = began + Duration::from_secs(5);
        assert_eq!((0..1_000).filter(|_| pace.admit(None, No::Refused, later, at)).count(), 10);
    }

    #[test]
    fn nobody_is_left_out_because_of_others() {
        let (pace, began) = (Pace::default(), Instant::now());
        let at = Timestamp::from_secs(1_000);
        let eve = "spiffe://carrier.example/user/eve".parse().expect("an identity");
        for _ in 0..1_000 {
            pace.admit(None, No::Refused, began, at);
            pace.admit(Some(&eve), No::Denied, began, at);
        }
        assert!(pace.admit(Some(&ada()), No::Refused, began, at));
        pace.omit(&ada(), No::Denied, 7, began, at);
        pace.omit(&ada(), No::Denied, u64::MAX, began, at);
        let mut told = pace.take(began);
        told.sort_by_key(|(of, _)| of.as_ref().map(ToString::to_string));
        let counts: Vec<_> = told.iter().map(|(_, o)| (o.denied, o.refused)).collect();
        assert_eq!(counts, [(0, 800), (u64::MAX, 0), (900, 0)]);
    }

    #[test]
    fn whoever_is_quiet_is_forgotten() {
        let (pace, began) = (Pace::default(), Instant::now());
        assert!(pace.admit(Some(&ada()), No::Denied, began, Timestamp::from_secs(1)));
        assert_eq!(pace.take(began), []);
        assert_eq!(pace.0.lock().expect("not poisoned").len(), 1);
        assert_eq!(pace.take(began + Duration::from_secs(2)), []);
        assert!(pace.0.lock().expect("not poisoned").is_empty());
    }
}
