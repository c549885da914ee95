//! How often something may happen: so many times at once, and then so many each second. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// How often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) burst: u32,
    pub(super) per_second: u32,
}

/// What is left of a rate.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    left: u32,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, left: rate.burst, filled: now }
    }

    /// Whether it may happen once more.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    /// Whether nothing of it is remembered any more.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left >= self.rate.burst
    }

    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs();
        self.filled += Duration::from_secs(seconds);
        let more = u64::from(self.rate.per_second).saturating_mul(seconds);
        self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(self.rate.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_so_many_each_second() {
        let began = Instant::now();
        let mut bucket = Bucket::new(Rate { burst: 3, per_second: 2 }, began);
        let mut taken = |millis: u64, times: usize| {
            let now = began + Duration::from_millis(millis);
            (0..times).filter(|_| bucket.take(now)).count()
        };
        for (millis, times, allowed) in [
            (0, 10, 3),
            (999, 10, 0),
            (1_000, 10, 2),
            (1_900, 10, 0),
            // What is left of a second is not lost.
            (2_000, 1, 1),
            (2_100, 10, 1),
            // No more than a burst comes together, and a clock that stands or goes back gives nothing.
            (100_000, 10, 3),
            (100_000, 10, 0),
            (50_000, 10, 0),
        ] {
            assert_eq!(taken(millis, times), allowed, "at {millis} ms");
        }
        assert!(!bucket.is_full(began + Duration::from_millis(101_000)));
        assert!(bucket.is_full(began + Duration::from_millis(102_000)));
    }
}
