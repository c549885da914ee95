//! The recorder: one block for each frame, chained, handed to the operating system before the frame's bytes go on.

use std::sync::Arc;

use crate::domain::{Outcome, RecordingFacts, Timestamp};

use super::RecordingError;
use super::file::RecordedFile;
use super::frame::Frame;
use super::store::Shared;

/// Data longer than this is kept as several frames.
const DATA_BYTES_MAX: usize = 1024 * 1024;

/// The open recording of one session. Dropping it unsealed leaves it for [`super::Store::recover`].
#[derive(Debug)]
pub struct Recorder {
    file: Arc<RecordedFile>,
    store: Arc<Shared>,
}

impl Recorder {
    /// The recorder of a file whose header has just been written.
    pub(super) fn begin(store: Arc<Shared>, file: Arc<RecordedFile>) -> Self {
        store.queue.written(&file);
        Self { file, store }
    }

    /// Hands a frame to the operating system: when this returns, a crash of the process cannot lose it.
    ///
    /// # Errors
    /// The frame was not kept; the bytes it holds must not be forwarded and the session must end.
    pub fn write(&self, at: Timestamp, frame: &Frame<'_>) -> Result<(), RecordingError> {
        match *frame {
            Frame::Data { channel, stream, data } if data.len() > DATA_BYTES_MAX => data
                .chunks(DATA_BYTES_MAX)
                .try_for_each(|data| self.write_all(at, &[Frame::Data { channel, stream, data }])),
            _ => self.write_all(at, std::slice::from_ref(frame)),
        }
    }

    /// Hands frames that happen at one moment to the operating system in one piece: all of them are kept, or none.
    ///
    /// # Errors
    /// None was kept, as with [`Recorder::write`].
    pub fn write_all(&self, at: Timestamp, frames: &[Frame<'_>]) -> Result<(), RecordingError> {
        if self.store.queue.stalled() && on_a_worker_of_many() {
            tokio::task::block_in_place(|| self.file.keep(at, frames))?;
        } else {
            self.file.keep(at, frames)?;
        }
        self.store.queue.written(&self.file);
        Ok(())
    }

    /// Resolves when the recording takes no more. The session must end.
    pub async fn ended(&self) -> RecordingError {
        let mut end = self.file.end.subscribe();
        let end = end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        // The sender lives in `self`, so there is a reason.
        end.unwrap_or_else(|| RecordingError::Failed("the recorder has gone".to_owned()))
    }

    /// Why the recording takes no more, if it does not.
    pub fn end(&self) -> Option<RecordingError> {
        self.file.end.borrow().clone()
    }

    /// Writes the seal with its signature, makes everything durable and closes the file. Blocking.
    ///
    /// # Errors
    /// The recording stays unsealed.
    pub fn seal(&self, at: Timestamp, outcome: Outcome) -> Result<RecordingFacts, RecordingError> {
        self.file.seal(at, outcome)
    }

    /// Takes back the recording of a session that never was. Blocking.
    pub fn discard(self) {
        self.file.remove();
    }
}

/// Whether the other tasks of this thread can be moved to another while it waits.
fn on_a_worker_of_many() -> bool {
    tokio::runtime::Handle::try_current()
        .is_ok_and(|h| h.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread)
}
