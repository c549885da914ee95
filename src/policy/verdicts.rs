//! Verdicts that were given before, by the rows that matched.
//!
//! Two requests that the same rows match are one class: the verdict depends on nothing else. The whole list of rows is compared, never a hash of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::domain::{Effect, Request};

use super::rows::Row;

const SHARDS: usize = 16;
const SHARD_ENTRIES_MAX: usize = 4096;

/// The engine that has the last word over the index.
pub(super) trait Judge: Send + Sync {
    /// Decides `request` by `rows` alone.
    ///
    /// # Errors
    /// The engine failed; the request must be denied.
    fn judge(&self, request: &Request, rows: &[&(Row, Effect)]) -> Result<Effect, String>;
}

/// What is known about a class of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The index and the judge agree.
    Agreed(Effect),
    /// They do not.
    Disputed,
}

/// A bounded memory of verdicts. A dispute is never forgotten.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    shards: [RwLock<HashMap<Box<[u32]>, Verdict>>; SHARDS],
    /// There are more disputes than can be remembered: every class is one.
    overrun: AtomicBool,
}

impl Verdicts {
    fn shard(&self, rows: &[u32]) -> &RwLock<HashMap<Box<[u32]>, Verdict>> {
        let number = rows.iter().fold(0_u32, |sum, row| sum.wrapping_mul(31).wrapping_add(*row));
        let [first, ..] = &self.shards;
        self.shards.get(usize::try_from(number).unwrap_or(0) % SHARDS).unwrap_or(first)
    }

    /// The verdict on requests that exactly these rows match.
    pub(super) fn find(&self, rows: &[u32]) -> Option<Verdict> {
        if self.overrun.load(Ordering::Relaxed) {
            return Some(Verdict::Disputed);
        }
        self.shard(rows).read().unwrap_or_else(PoisonError::into_inner).get(rows).copied()
    }

    /// Remembers a verdict. A shard that is full is emptied of what was agreed on: it fills again with what is in use.
    pub(super) fn keep(&self, rows: &[u32], verdict: Verdict) {
        let mut shard = self.shard(rows).write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= SHARD_ENTRIES_MAX {
            shard.retain(|_, kept| *kept == Verdict::Disputed);
        }
        if shard.len() >= SHARD_ENTRIES_MAX {
            self.overrun.store(true, Ordering::Relaxed);
            return;
        }
        // SECURITY: what was disputed meanwhile stays so.
        let kept = shard.entry(rows.into()).or_insert(verdict);
        if *kept != Verdict::Disputed {
            *kept = verdict;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded_and_exact() {
        let verdicts = Verdicts::default();
        for row in 0..200_000 {
            verdicts.keep(&[row], Verdict::Agreed(Effect::Allow));
        }
        let kept: usize = verdicts.shards.iter().map(|s| s.read().expect("unpoisoned").len()).sum();
        assert!(kept <= SHARDS * SHARD_ENTRIES_MAX);
        assert_eq!(verdicts.find(&[199_999]), Some(Verdict::Agreed(Effect::Allow)));
        assert_eq!(verdicts.find(&[199_999, 1]), None);
        assert_eq!(verdicts.find(&[]), None);
    }

    #[test]
    fn a_dispute_outlives_everything_else() {
        let verdicts = Verdicts::default();
        verdicts.keep(&[7, 9], Verdict::Disputed);
        for row in 0..200_000 {
            verdicts.keep(&[row], Verdict::Agreed(Effect::Allow));
        }
        verdicts.keep(&[7, 9], Verdict::Agreed(Effect::Allow));
        assert_eq!(verdicts.find(&[7, 9]), Some(Verdict::Disputed));
        // More of them than can be remembered: nothing is believed any more.
        for row in 0..200_000 {
            verdicts.keep(&[row], Verdict::Disputed);
        }
        for rows in [&[1][..], &[300_000], &[]] {
            assert_eq!(verdicts.find(rows), Some(Verdict::Disputed));
        }
    }
}
