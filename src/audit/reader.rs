//! Reads the log back: entry by entry, and as the list of sessions that it tells of.
//!
//! Reading is not verifying: a line that is no entry is an error here, a false hash is `verify`'s to find.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::domain::{Event, Outcome, RecordingFacts, SessionFacts, SessionId, Timestamp};

use super::layout;
use super::verify::{Lines, segments};

/// One entry of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its position.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What; absent when a later version wrote an event that this one does not know.
    pub event: Option<Event>,
    /// Its line, as it stands in the file.
    pub line: String,
}

/// The entries of a log, in order. At the end of a live log it returns `None`; ask again for what came after.
pub struct Entries {
    dir: PathBuf,
    /// The segment being read, and where the first line not yet returned begins.
    segment: Option<(u64, Lines, u64)>,
    next_seq: u64,
}

impl Entries {
    /// The entries of the log in `dir` from position `from` on.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn open(dir: &Path, from: u64) -> io::Result<Self> {
        let mut entries = Self { dir: dir.to_owned(), segment: None, next_seq: from };
        if let Some((start, file)) = segments(dir)?.range(..=from).next_back() {
            entries.segment = Some((*start, Lines::open(file, None)?, 0));
        }
        Ok(entries)
    }

    /// The last `count` entries of the log in `dir`, and what comes behind them; reads the files from their end.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn last(dir: &Path, count: usize) -> io::Result<Self> {
        let mut entries = Self { dir: dir.to_owned(), segment: None, next_seq: 0 };
        let mut wanted = count;
        for (start, file) in segments(dir)?.into_iter().rev() {
            let (offset, found) = last_lines(&file, wanted)?;
            let mut lines = Lines::open(&file, None)?;
            lines.seek(offset)?;
            entries.segment = Some((start, lines, offset));
            wanted = wanted.saturating_sub(found);
            if wanted == 0 {
                break;
            }
        }
        Ok(entries)
    }

    /// The next entry, if it is there yet.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is no entry.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        loop {
            let Some((start, lines, at)) = &mut self.segment else {
                match segments(&self.dir)?.into_iter().next() {
                    Some((start, file)) => self.segment = Some((start, Lines::open(&file, None)?, 0)),
                    None => return Ok(None),
                }
                continue;
            };
            match lines.next_line()? {
                Some(line) if line.ended => {
                    let place = (layout::segment_name(*start), line.offset);
                    *at = line.offset + line.bytes.len() as u64 + 1;
                    let entry = decode(line.bytes)
                        .map_err(|e| io::Error::other(format!("{}, byte {}: {e}", place.0, place.1)))?;
                    if entry.seq >= self.next_seq {
                        self.next_seq = entry.seq.saturating_add(1);
                        return Ok(Some(entry));
                    }
                }
                // The end for now: a line in flight, or the end of the file, behind which another segment may begin.
                _ => {
                    let (start, at) = (*start, *at);
                    let Some((next, file)) =
                        segments(&self.dir)?.range(start + 1..).next().map(|(s, f)| (*s, f.clone()))
                    else {
                        lines.seek(at)?;
                        return Ok(None);
                    };
                    // A segment that has a successor is complete; what it got since the last look is read first.
                    lines.seek(at)?;
                    if lines.next_line()?.is_some_and(|line| line.ended) {
                        lines.seek(at)?;
                    } else {
                        self.segment = Some((next, Lines::open(&file, None)?, 0));
                    }
                }
            }
        }
    }
}

/// Where the last `count` ended lines of a file begin, and how many there are.
fn last_lines(file: &Path, count: usize) -> io::Result<(u64, usize)> {
    let file = File::open(file)?;
    let mut end = file.metadata()?.len();
    let (mut window, mut found, mut begins) = (vec![0; 64 * 1024], 0, None);
    while end > 0 {
        let length = usize::try_from(end).unwrap_or(usize::MAX).min(window.len());
        let from = end - length as u64;
        let Some(bytes) = window.get_mut(..length) else { break };
        file.read_exact_at(bytes, from)?;
        for (place, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let behind = from + place as u64 + 1;
            // A line begins behind each line end; behind the last there is none yet.
            if begins.is_some() {
                found += 1;
            }
            begins = Some(behind);
            if found == count {
                return Ok((behind, found));
            }
        }
        end = from;
    }
    Ok((0, found + usize::from(begins.is_some())))
}

impl Iterator for Entries {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}

fn decode(line: &[u8]) -> Result<Entry, String> {
    let parsed = layout::decode_entry(line).map_err(|e| e.to_string())?;
    let text = std::str::from_utf8(line).map_err(|e| e.to_string())?;
    Ok(Entry {
        seq: parsed.seq,
        at: parsed.at,
        event: serde_json::from_slice(parsed.event).ok(),
        line: text.to_owned(),
    })
}

/// How the log says that a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub outcome: Outcome,
    /// More on it, for operators.
    pub detail: Option<String>,
    /// The sealed recording; absent when it could not be sealed.
    pub recording: Option<RecordingFacts>,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes from the element.
    pub bytes_out: u64,
}

/// How the log says that a start sealed a recording which the process before left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// When.
    pub at: Timestamp,
    /// The recording's digest since.
    pub digest: String,
    /// The frames in it.
    pub frames: u64,
}

/// A session, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// How it opened.
    pub facts: SessionFacts,
    /// How it ended; absent while it lives, and when the gateway died under it.
    pub closed: Option<Closed>,
    /// How a later start sealed its recording.
    pub recovered: Option<Recovered>,
}

/// Everything the log says about sessions.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    /// The sessions by id, which is by the time of opening.
    pub rows: BTreeMap<SessionId, SessionRow>,
    /// Recordings that were recovered without their session being known.
    pub recovered: BTreeMap<String, Recovered>,
}

impl Sessions {
    /// Gathers the sessions of the log in `dir`.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let mut sessions = Self::default();
        for entry in Entries::open(dir, 0)? {
            let entry = entry?;
            if let Some(event) = entry.event {
                sessions.note(entry.at, event);
            }
        }
        Ok(sessions)
    }

    /// Takes what one event says about a session.
    pub fn note(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::SessionOpened { facts } => {
                self.rows.insert(facts.session, SessionRow { facts, closed: None, recovered: None });
            }
            Event::SessionClosed { session, outcome, detail, recording, bytes_in, bytes_out } => {
                if let Some(row) = self.rows.get_mut(&session) {
                    row.closed = Some(Closed { at, outcome, detail, recording, bytes_in, bytes_out });
                }
            }
            Event::RecordingRecovered { session, recording, frames, digest, .. } => {
                let recovered = Recovered { at, digest, frames };
                match session.and_then(|id| self.rows.get_mut(&id)) {
                    Some(row) => row.recovered = Some(recovered),
                    None => drop(self.recovered.insert(recording, recovered)),
                }
            }
            _ => {}
        }
    }
}
