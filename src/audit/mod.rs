//! The append-only truth: one hash chain of events, durable before anybody acts on them.
//!
//! The log is a folder of segments of JSON lines that `less` and `jq` can read. Each line names the hash of the one
//! before; signed checkpoints pin the head of the chain at least every second in which something was appended.
//! [`Log::append`] answers with a [`Receipt`] once the entry is durable, and nothing that is announced may happen before.
//!
//! What it refuses: to open beside another process, to go on behind a chain that does not verify, to try a failed disk
//! again. Deliberately absent: deleting, rotating away, levels, anything that loses an entry silently.
//!
//! Whoever holds the disk but not the key can cut off or rewrite what the last checkpoint does not cover, at most the
//! last second, and can put a whole older copy of the folder in place; `docs/formats.md` says what finds that.

pub mod chain;
pub(crate) mod disk;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
pub mod layout;
mod log;
pub mod reader;
mod signer;
#[cfg(test)]
mod tests;
pub mod verify;

use std::path::PathBuf;

pub use log::Log;
pub use signer::{Keys, KeysError, PUBLIC_KEYS_FILE, PublicKey, SignatureCheck, Signer};

/// What the audit log needs to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder that holds the log.
    pub dir: PathBuf,
    /// A segment is closed and the next one begun at this size.
    pub segment_bytes_max: u64,
    /// Appends that may wait for the disk at once; one more is refused.
    pub pending_max: usize,
}

/// The event is durable: whatever it announces may now happen. Issued by [`Log::append`] alone.
#[derive(Debug)]
#[must_use = "an append is made so that its receipt can be demanded"]
pub struct Receipt {
    seq: u64,
}

impl Receipt {
    /// The position of the entry in the log, counted from 0.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

/// Why an event could not be made durable. The step that needed the receipt does not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The log's disk failed or is full; no more is accepted.
    #[error("the audit log cannot be written: {0}")]
    Failed(String),
    /// Too many appends wait for the disk.
    #[error("the audit log is too busy")]
    Busy,
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
}
