//! Recordings: the ordered frames of one session, chained while they are written and sealed at the close.
//!
//! A frame is with the operating system when [`Recorder::write`] returns, and durable within [`Config::sync_interval`].
//! A recorder that has failed once fails for ever; its session ends. What a crash leaves unsealed verifies up to its last
//! whole block, and the next start seals it as aborted.
//!
//! What it refuses: to write where there is too little room or beyond a limit, to go on behind a failed write, to wait for a
//! disk that hangs, to seal what was damaged.
//! Deliberately absent: a buffer between the recorder and the disk, and state that an idle session would hold.

mod block;
pub mod cross;
mod exchange;
pub mod export;
mod file;
pub mod format;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
#[cfg(test)]
pub(crate) mod lab;
pub mod reader;
mod recover;
mod store;
mod sync;
pub mod tame;
#[cfg(test)]
mod tests;
pub mod text;
pub mod verify;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

pub use exchange::{Exchange, Part};
pub use frame::{FileEvent, Frame, Kept, Stream, decode_frame, encode_frame, sha256_of};
pub use reader::{Item, Reader};
pub use recover::{Recovered, Unrecovered};
pub use store::{MARK_INTERVAL, SYNC_INTERVAL, Store, recordings};
pub use writer::Recorder;

/// What recordings need.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder that holds them.
    pub dir: PathBuf,
    /// A frame is durable at most this long after it was written.
    pub sync_interval: Duration,
    /// A session whose frames are not durable after this ends: the disk hangs.
    pub sync_timeout: Duration,
    /// Frames are signed at most this long after they were written, and not only by the seal.
    pub mark_interval: Duration,
    /// A recording takes no more frames when it is this long.
    pub bytes_max: u64,
    /// Creating one is refused while the disk has less room than this.
    pub free_bytes_min: u64,
}

/// Why a frame could not be kept. The session ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be written, or not be made durable; nothing may follow.
    #[error("the recording cannot be written: {0}")]
    Failed(String),
    /// It is as long as one may be. It can be sealed.
    #[error("the recording has {0} bytes, and none may have more")]
    Full(u64),
    /// The disk is nearly full, and this recording grew fastest. It can be sealed.
    #[error("the disk is nearly full, and this session recorded most")]
    NoRoom,
}
