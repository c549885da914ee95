//! The append-only truth: one hash chain of events, durable before anybody acts on them.
//!
//! The log is a folder of segments of JSON lines that `less` and `jq` can read. Each line names the hash of the one
//! before; signed checkpoints pin the head of the chain at least every second in which something was appended.
//! [`Log::append`] answers with a [`Receipt`] once the entry is durable, and nothing that is announced may happen before.
//!
//! What it refuses: to open beside another process, to go on behind a chain that does not verify or behind entries that no
//! gateway can have written, to try a failed disk again, to wait for a disk for ever. Deliberately absent: deleting, rotating away, levels, anything that loses an entry silently.
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
mod tail;
#[cfg(test)]
mod tests;
pub mod verify;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::{Event, Timestamp};

pub use log::Log;
pub(crate) use log::join_within;
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
    /// An append waits no longer for the disk.
    pub sync_timeout: std::time::Duration,
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
    /// The disk did not answer in time. The entry may become durable later, and whoever wrote it did not act on it.
    #[error("the audit log's disk did not answer within {0} ms")]
    Late(u128),
    /// Too many appends wait for the disk.
    #[error("the audit log is too busy")]
    Busy,
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
}

/// Moves entries that nobody signed out of the log in `config.dir`, into a file beside it, and has the log say so. What was moved, in words;
/// `None` when everything is signed.
///
/// # Errors
/// A log that cannot be written, is in use, or is damaged in another way.
pub async fn mend(config: Config, signer: Arc<Signer>, at: Timestamp) -> Result<Option<String>, AuditError> {
    let failed = |e: std::io::Error| AuditError::Failed(format!("{}: {e}", config.dir.display()));
    let lock = writer::lock(&config.dir).map_err(failed)?;
    let tail = tail::tail(&config.dir, signer.public()).map_err(failed)?;
    let tail = tail.map_err(|problem| AuditError::Failed(format!("{problem}; this cannot be mended")))?;
    let Some(unsigned) = tail.unsigned else { return Ok(None) };
    let (aside, hash) = tail::set_aside(&config.dir, &unsigned).map_err(failed)?;
    let detail = format!("{unsigned} were not signed and were moved to {} (sha256 {hash})", aside.display());
    drop(lock);
    let log = Log::open(config, signer)?;
    let event = Event::Alarm { what: writer::ALARM_MENDED.to_owned(), detail: detail.clone() };
    let told = log.append(at, event).await;
    log.close().await;
    told.map(|_| Some(detail))
}
