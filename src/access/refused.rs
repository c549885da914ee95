//! Refusals of clients that nobody knows: logged, but not at the pace of whoever knocks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Access, clock};
use crate::domain::Event;

/// Refusals that are logged in a period; the rest are counted, and the next one that is logged says how many.
const LOGGED_MAX: u32 = 200;
const PERIOD: Duration = Duration::from_secs(10);

/// How many refusals were logged in the current period.
#[derive(Debug)]
pub(super) struct Pace(Mutex<Period>);

#[derive(Debug)]
struct Period {
    began: Instant,
    logged: u32,
    left_out: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Period { began: now, logged: 0, left_out: 0 }))
    }

    /// Whether to log one more at `now`, and how many were left out before it.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut period = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(period.began) >= PERIOD {
            (period.began, period.logged) = (now, 0);
        }
        if period.logged >= LOGGED_MAX {
            period.left_out += 1;
            return None;
        }
        period.logged += 1;
        Some(std::mem::take(&mut period.left_out))
    }
}

impl Access {
    /// Logs that a client was turned away before it could ask. Whoever knocks too often is counted only (the metric counts everybody).
    pub async fn report_refusal(&self, event: Event) {
        // SECURITY: what is known of an identity is never left out because strangers knock.
        let stranger = matches!(event, Event::Refused { identity: None, .. });
        let admitted = if stranger { self.pace.admit(Instant::now()) } else { Some(0) };
        let Some(left_out) = admitted else { return };
        let event = match event {
            Event::Refused { door, stage, source, identity, reason } if left_out > 0 => Event::Refused {
                door,
                stage,
                source,
                identity,
                reason: format!("{reason} ({left_out} refusals before this one were counted and not logged)"),
            },
            event => event,
        };
        self.report(clock::now(), event).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told() {
        let began = Instant::now();
        let pace = Pace::new(began);
        assert!((0..LOGGED_MAX).all(|_| pace.admit(began) == Some(0)));
        assert!((0..7).all(|_| pace.admit(began).is_none()));
        assert_eq!(pace.admit(began + PERIOD), Some(7));
        assert_eq!(pace.admit(began + PERIOD), Some(0));
    }
}
