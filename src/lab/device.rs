//! What all sessions of one router share: its configurations, its log, who is on it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use time::OffsetDateTime;
use tokio::sync::watch;

use super::profile::Profile;
use super::running::Configuration;
use crate::domain::Timestamp;

/// Messages kept by `logging buffered`.
const LOG_LINES_MAX: usize = 500;

/// One router.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) profile: Profile,
    /// What `enable` asks for; without one, it asks for nothing.
    pub(super) enable_password: Option<String>,
    state: Mutex<State>,
    /// Counts changes of the configuration, for those who follow it.
    changes: watch::Sender<u64>,
}

/// The part that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) running: Configuration,
    pub(super) startup: Configuration,
    pub(super) log: VecDeque<String>,
    pub(super) users: BTreeMap<u16, User>,
    pub(super) booted: Timestamp,
    pub(super) last_change: Option<(Timestamp, String)>,
    /// What is staged by NETCONF; nothing when it is as what runs.
    pub(super) candidate: Option<Configuration>,
    /// Which NETCONF session has locked which datastore.
    pub(super) locks: BTreeMap<&'static str, u32>,
    /// The number of the last NETCONF session.
    pub(super) netconf_sessions: u32,
}

/// Somebody on a terminal line.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) account: String,
    /// The key id of the certificate they came with: the person behind the account.
    pub(super) key_id: Option<String>,
    pub(super) peer: SocketAddr,
    pub(super) since: Timestamp,
}

impl Device {
    pub(super) fn new(profile: Profile, enable_password: Option<String>, now: Timestamp) -> Self {
        let state = State {
            running: profile.factory.clone(),
            startup: profile.factory.clone(),
            log: VecDeque::new(),
            users: BTreeMap::new(),
            booted: now,
            last_change: None,
            candidate: None,
            locks: BTreeMap::new(),
            netconf_sessions: 0,
        };
        let device = Self { profile, enable_password, state: Mutex::new(state), changes: watch::Sender::default() };
        device.log(now, "%SYS-5-RESTART: System restarted");
        device
    }

    /// Looks at the state or changes it. No two sessions do at once.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        // A session that panicked leaves a configuration that is whole: each change is one assignment.
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says that the configuration has changed.
    pub(super) fn tell(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Learns of changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Adds a line to the log.
    pub(super) fn log(&self, now: Timestamp, message: &str) {
        let line = format!("*{}: {message}", log_stamp(now));
        self.with(|state| {
            state.log.push_back(line);
            if state.log.len() > LOG_LINES_MAX {
                state.log.pop_front();
            }
        });
    }

    /// Seats somebody on the lowest free line and gives its number.
    pub(super) fn arrive(&self, user: User, now: Timestamp) -> u16 {
        let who = user.key_id.as_ref().map_or_else(String::new, |id| format!(" [key id: {id}]"));
        self.log(
            now,
            &format!(
                "%SEC_LOGIN-5-LOGIN_SUCCESS: Login Success [user: {}] [Source: {}]{who}",
                user.account,
                user.peer.ip()
            ),
        );
        self.with(|state| {
            let free = (0..=u16::MAX).find(|line| !state.users.contains_key(line)).unwrap_or(u16::MAX);
            state.users.insert(free, user);
            free
        })
    }

    /// Frees a line.
    pub(super) fn leave(&self, line: u16) {
        self.with(|state| state.users.remove(&line));
    }

    /// Starts again from what was saved.
    pub(super) fn reload(&self, now: Timestamp) {
        self.with(|state| {
            state.running = state.startup.clone();
            state.log.clear();
            state.booted = now;
        });
        self.log(now, "%SYS-5-RELOAD: Reload requested");
        self.tell();
    }
}

fn utc(now: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.as_nanos())).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn month(at: OffsetDateTime) -> String {
    at.month().to_string().chars().take(3).collect()
}

/// `12:00:01.123 UTC Sun Nov 22 2026`.
pub(super) fn clock_stamp(now: Timestamp) -> String {
    let at = utc(now);
    let day: String = at.weekday().to_string().chars().take(3).collect();
    let (h, m, s, milli) = (at.hour(), at.minute(), at.second(), at.millisecond());
    format!("{h:02}:{m:02}:{s:02}.{milli:03} UTC {day} {} {} {}", month(at), at.day(), at.year())
}

/// `Nov 22 12:00:01.123`.
fn log_stamp(now: Timestamp) -> String {
    let at = utc(now);
    format!(
        "{} {:>2} {:02}:{:02}:{:02}.{:03}",
        month(at),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps() {
        let at = Timestamp::from_nanos(1_795_330_801_123_456_789);
        assert_eq!(clock_stamp(at), "07:00:01.123 UTC Sun Nov 22 2026");
        assert_eq!(log_stamp(at), "Nov 22 07:00:01.123");
    }

    #[test]
    fn lines_are_given_again_when_free() {
        let now = Timestamp::from_secs(0);
        let device = Device::new(Profile::new("core-rtr-1", Vec::new()), None, now);
        let user = User { account: "a".to_owned(), key_id: None, peer: ([127, 0, 0, 1], 1).into(), since: now };
        assert_eq!([device.arrive(user.clone(), now), device.arrive(user.clone(), now)], [0, 1]);
        device.leave(0);
        assert_eq!(device.arrive(user, now), 0);
    }

    #[test]
    fn the_log_has_an_end() {
        let device = Device::new(Profile::new("core-rtr-1", Vec::new()), None, Timestamp::from_secs(0));
        for _ in 0..LOG_LINES_MAX * 2 {
            device.log(Timestamp::from_secs(0), "x");
        }
        assert_eq!(device.with(|state| state.log.len()), LOG_LINES_MAX);
    }
}
