//! Checks a recording offline: every hash, every frame, the seal's signature. Shares nothing with the writer but
//! [`super::format`] and [`super::frame`].

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::audit::{Keys, SignatureCheck};
use crate::domain::{Outcome, RecordingFacts, SessionFacts, Timestamp};

use super::reader::{Item, Marked, Reader, Sealed};

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The position of the frame, counted from 0, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// The byte in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// How a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A living process writes it.
    Open,
    /// With a seal.
    Sealed,
    /// Without one, and nobody writes it.
    Unsealed,
}

/// What verifying a recording found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// What its header says, when that can be read.
    pub facts: Option<SessionFacts>,
    /// How it ends.
    pub state: State,
    /// Why the session ended, as the seal says it.
    pub outcome: Option<Outcome>,
    /// Frames that could be read.
    pub frames: u64,
    /// Frames that the gateway signed while it wrote them, by the last mark, or by a seal that ended the session as it should. Those behind them
    /// were found by a later start, which cannot know who wrote them.
    pub attested: u64,
    /// The time of the last of them.
    pub last_at: Option<Timestamp>,
    /// The bytes of the file that hold the recording.
    pub bytes: u64,
    /// The last hash.
    pub digest: Option<String>,
    /// Bytes of an unfinished last block.
    pub torn_bytes: u64,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn intact(&self) -> bool {
        self.faults.is_empty()
    }

    /// The facts that the log should have of it.
    pub fn recording_facts(&self) -> RecordingFacts {
        RecordingFacts { digest: self.digest.clone().unwrap_or_default(), frames: self.frames, bytes: self.bytes }
    }
}

/// Verifies the recording in `path`.
///
/// # Errors
/// A file that cannot be read; what it says is in the report.
pub fn verify(path: &Path, keys: &Keys) -> io::Result<Report> {
    // Before reading: what is closed meanwhile was open, and what has no writer now gets none.
    let state = if is_open(path)? { State::Open } else { State::Unsealed };
    let mut report = Report {
        file: path.to_owned(),
        facts: None,
        state,
        outcome: None,
        frames: 0,
        attested: 0,
        last_at: None,
        bytes: 0,
        digest: None,
        torn_bytes: 0,
        faults: Vec::new(),
    };
    let mut reader = match Reader::open(path)? {
        Ok(reader) => reader,
        // The gateway was stopped in the moment in which it began the recording; whether a session was to be here, the log says.
        Err(_) if fs::metadata(path)?.len() == 0 => return Ok(report),
        Err(e) => {
            report.faults.push(Fault { frame: None, offset: Some(0), what: e.to_string() });
            return Ok(report);
        }
    };
    report.facts = Some(reader.facts().clone());
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Frame(frame) => {
                report.frames += 1;
                report.last_at = Some(frame.at);
            }
            Item::Torn { bytes, .. } => report.torn_bytes = bytes,
            Item::Damage(damage) => {
                report.faults.push(Fault {
                    frame: Some(damage.frame),
                    offset: Some(damage.offset),
                    what: damage.to_string(),
                });
            }
            Item::Mark(marked) => check_mark(&marked, keys, &mut report),
            Item::Seal(sealed) => check_seal(&sealed, keys, &mut report),
        }
    }
    let place = reader.place();
    (report.bytes, report.digest) = (place.offset, Some(place.head.to_string()));
    Ok(report)
}

fn check_mark(marked: &Marked, keys: &Keys, report: &mut Report) {
    let Marked { mark, head, frames, offset } = marked;
    let what = match keys.check(&mark.key, &mark.message(head), &mark.signature_bytes()) {
        SignatureCheck::Valid if mark.frames == *frames => {
            report.attested = *frames;
            return;
        }
        SignatureCheck::Valid => format!("a mark is over {} frames, and {frames} stand before it", mark.frames),
        SignatureCheck::Invalid => "the signature of a mark is false".to_owned(),
        SignatureCheck::UnknownKey => format!("a mark is signed by key {}, which is not trusted", mark.key),
    };
    report.faults.push(Fault { frame: Some(*frames), offset: Some(*offset), what });
}

fn check_seal(sealed: &Sealed, keys: &Keys, report: &mut Report) {
    let Sealed { seal, head, offset, .. } = sealed;
    let mut fault = |what: String| report.faults.push(Fault { frame: Some(seal.frames), offset: Some(*offset), what });
    match keys.check(&seal.key, &seal.message(head), &seal.signature_bytes()) {
        SignatureCheck::Valid if seal.outcome != Outcome::Aborted => report.attested = seal.frames,
        SignatureCheck::Valid => {}
        SignatureCheck::Invalid => fault("the seal's signature is false".to_owned()),
        SignatureCheck::UnknownKey => fault(format!("the seal is signed by key {}, which is not trusted", seal.key)),
    }
    // Damage has been told; a count that differs without any is the writer's mistake or a forger's.
    if report.faults.is_empty() && seal.frames != report.frames {
        let what = format!("the seal is over {} frames, and {} stand before it", seal.frames, report.frames);
        report.faults.push(Fault { frame: Some(report.frames), offset: Some(*offset), what });
    }
    (report.state, report.outcome) = (State::Sealed, Some(seal.outcome));
}

/// Whether a living process has the recording open.
///
/// # Errors
/// A file that cannot be opened.
pub fn is_open(path: &Path) -> io::Result<bool> {
    match File::open(path)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(e),
    }
}
