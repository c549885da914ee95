//! The clock: the one place, beside the command line, that reads the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::domain::Timestamp;

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
        Err(_) => Timestamp::from_nanos(0),
    }
}

/// How far the wall clock may move against the monotonic one before everything that depends on time is decided again.
const JUMP: Duration = Duration::from_millis(700);
const LOOK: Duration = Duration::from_millis(400);

/// Watches for a clock that jumps, and tells every session to decide again. Runs until `jumps` has no receiver left.
pub(super) async fn watch_for_jumps(jumps: watch::Sender<u64>) {
    let mut wall = now();
    let mut monotonic = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let (wall_now, monotonic_now) = (now(), Instant::now());
        let expected = wall.plus(monotonic_now.saturating_duration_since(monotonic));
        let off = if wall_now > expected { wall_now.since(expected) } else { expected.since(wall_now) };
        if off > JUMP {
            tracing::warn!(off_ms = off.as_millis(), "the system clock jumped; every live session is decided again");
            jumps.send_modify(|n| *n = n.wrapping_add(1));
        }
        (wall, monotonic) = (wall_now, monotonic_now);
    }
}
