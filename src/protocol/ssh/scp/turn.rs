//! Where a copy stands, and the file that is on its way.

use crate::domain::Action;
use crate::protocol::ssh::content::{Budget, Content};
use crate::recording::FileEvent;

/// Who may speak, and about what.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nothing has passed; the paths of the command are not decided.
    Opening,
    /// The sink answers.
    Answer(To),
    /// The source sends a record.
    Record,
    /// The source sends content.
    Content { bytes_left: u64 },
    /// The source says whether the content was what it should be.
    Verdict,
    /// The gateway refused the command: nothing passes.
    Refused,
    /// An error ended it.
    Ended,
}

/// What the sink answers to.
#[derive(Debug)]
pub(super) enum To {
    Start,
    Times,
    File { bytes: u64 },
    Folder { paths: Vec<String> },
    End,
    Content { sound: bool },
}

/// Times that one side has and that belong to the next file or folder only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    None,
    Given,
    /// Their file was refused: the next record must bring its own or would inherit them.
    Stale,
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct File {
    event: FileEvent,
    content: Content,
    bytes: u64,
}

impl File {
    pub(super) fn new(event: FileEvent, bytes: u64) -> Self {
        Self { event, content: Content::new(), bytes }
    }

    /// What was decided when it began.
    pub(super) fn action(&self) -> &Action {
        &self.event.action
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        self.content.add(self.content.bytes(), piece, &mut Budget { bytes_left: 0 });
    }

    /// The event, with a digest when all of the content passed.
    pub(super) fn ended(self, succeeded: Option<bool>) -> FileEvent {
        let whole = self.content.bytes() == self.bytes && succeeded == Some(true);
        FileEvent {
            succeeded,
            size: Some(self.content.bytes()),
            sha256: if whole { self.content.sha256() } else { None },
            ..self.event
        }
    }
}
