//! The command line's reading of the clock.

use crate::domain::Timestamp;

/// Now.
#[expect(clippy::disallowed_methods, reason = "a command asks for the time once and passes it on as a value")]
pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
