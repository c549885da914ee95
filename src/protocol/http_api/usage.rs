//! How much of an API each identity has used lately: requests, and different objects.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::api::Rate;

/// Who is counted: an element and an identity.
type Key = (String, String);

/// Identities that are counted at once; beyond them nobody new is served until some were quiet.
const KEYS_MAX: usize = 100_000;

/// What every identity has used.
#[derive(Debug, Default)]
pub(super) struct Usage(Mutex<HashMap<Key, Used>>);

#[derive(Debug, Default)]
struct Used {
    requests: VecDeque<Timestamp>,
    /// The digests of objects, with when each was named last.
    objects: HashMap<[u8; 32], Timestamp>,
}

/// Why a request is one too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooMany {
    /// What there are too many of.
    pub(super) what: String,
    /// When it may be tried again.
    pub(super) after: Duration,
}

impl Usage {
    /// Counts a request that names `object`, unless it is one too many.
    ///
    /// # Errors
    /// It is; it was not counted.
    pub(super) fn count(
        &self,
        key: Key,
        requests: Option<Rate>,
        objects: Option<Rate>,
        object: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<(), TooMany> {
        if requests.is_none() && objects.is_none() {
            return Ok(());
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = (requests.map_or(Duration::ZERO, |r| r.window), objects.map_or(Duration::ZERO, |r| r.window));
        if all.len() >= KEYS_MAX && !all.contains_key(&key) {
            all.retain(|_, used| !used.is_quiet(windows, now));
            if all.len() >= KEYS_MAX {
                return Err(TooMany {
                    what: "too many identities use this API".to_owned(),
                    after: Duration::from_secs(60),
                });
            }
        }
        let used = all.entry(key).or_default();
        if let Some(rate) = requests {
            used.room_for_request(rate, now)?;
        }
        if let (Some(rate), Some(object)) = (objects, object) {
            used.object(rate, object, now)?;
        }
        if requests.is_some() {
            used.requests.push_back(now);
        }
        Ok(())
    }
}

impl Used {
    fn is_quiet(&self, windows: (Duration, Duration), now: Timestamp) -> bool {
        self.requests.back().is_none_or(|at| at.plus(windows.0) <= now)
            && self.objects.values().all(|at| at.plus(windows.1) <= now)
    }

    fn room_for_request(&mut self, rate: Rate, now: Timestamp) -> Result<(), TooMany> {
        while self.requests.front().is_some_and(|at| at.plus(rate.window) <= now) {
            self.requests.pop_front();
        }
        match self.requests.front() {
            Some(first) if self.requests.len() >= rate.most => Err(TooMany {
                what: format!("more than {} requests", rate.most),
                after: first.plus(rate.window).since(now),
            }),
            _ => Ok(()),
        }
    }

    fn object(&mut self, rate: Rate, object: [u8; 32], now: Timestamp) -> Result<(), TooMany> {
        if !self.objects.contains_key(&object) && self.objects.len() >= rate.most {
            self.objects.retain(|_, at| at.plus(rate.window) > now);
            if self.objects.len() >= rate.most {
                let first = self.objects.values().min().map_or(rate.window, |at| at.plus(rate.window).since(now));
                return Err(TooMany { what: format!("more than {} different objects", rate.most), after: first });
            }
        }
        self.objects.insert(object, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    fn key(who: &str) -> Key {
        ("r1".to_owned(), who.to_owned())
    }

    #[test]
    fn requests_within_any_window() {
        let usage = Usage::default();
        let rate = Some(Rate { most: 2, window: MINUTE });
        let count =
            |who: &str, secs| usage.count(key(who), rate, None, None, at(secs)).map_err(|too| too.after.as_secs());
        assert_eq!((count("ada", 0), count("ada", 50), count("ada", 59)), (Ok(()), Ok(()), Err(1)));
        assert_eq!(count("bob", 59), Ok(()), "each has its own");
        assert_eq!((count("ada", 60), count("ada", 61), count("ada", 110)), (Ok(()), Err(49), Ok(())));
    }

    #[test]
    fn different_objects_within_a_window() {
        let usage = Usage::default();
        let rate = Some(Rate { most: 2, window: MINUTE });
        let count = |object: u8, secs| usage.count(key("ada"), None, rate, Some([object; 32]), at(secs)).is_ok();
        assert!(count(1, 0) && count(2, 10) && count(1, 20) && count(2, 30));
        assert!(!count(3, 40) && !count(4, 79), "going on with the same ones keeps them counted");
        assert!(count(3, 80) && !count(4, 85) && count(4, 90));
    }

    #[test]
    fn what_is_not_limited_is_not_remembered() {
        let usage = Usage::default();
        assert!(usage.count(key("ada"), None, None, Some([1; 32]), at(0)).is_ok());
        assert!(usage.0.lock().expect("not poisoned").is_empty());
    }
}
