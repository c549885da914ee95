//! Checks a log offline: every hash, every link, every signature. Shares nothing with the writer but
//! [`super::chain`] and [`super::layout`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::domain::{Event, Timestamp};

use super::chain::{Hash, checkpoint_message};
use super::layout::{self, CHECKPOINTS_FILE, Checkpoint, EntryLine, LINE_BYTES_MAX, LOCK_FILE};
use super::signer::{Keys, SignatureCheck};
use super::writer::ALARM;

/// Unsigned entries that span more than this are a fault: the writer signs every second.
pub(super) const UNSIGNED_SECONDS_MAX: u64 = 60;
/// Faults that are told one by one.
const FAULTS_MAX: usize = 100;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// The position of the entry, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The byte in the file at which the bad line begins.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// One thing that is no fault, and that an auditor should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The position of the entry.
    pub entry: u64,
    /// What there is to know.
    pub what: String,
}

/// What verifying a log found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Entries that were read.
    pub entries: u64,
    /// Files they were in.
    pub segments: u64,
    /// Checkpoints whose signature holds.
    pub checkpoints: u64,
    /// The last entry that a checkpoint covers.
    pub signed_through: Option<u64>,
    /// The hash of the last entry.
    pub head: Option<String>,
    /// The time of the last entry.
    pub last_at: Option<Timestamp>,
    /// Bytes of an unfinished last line.
    pub torn_bytes: u64,
    /// A gateway has the log open.
    pub open: bool,
    /// What is wrong, in the order of the log.
    pub faults: Vec<Fault>,
    /// Faults beyond those listed.
    pub more_faults: u64,
    /// What the log says about itself, and where its checkpoints are far apart.
    pub notices: Vec<Notice>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn intact(&self) -> bool {
        self.faults.is_empty()
    }

    fn notice(&mut self, entry: u64, what: String) {
        if self.notices.len() < FAULTS_MAX {
            self.notices.push(Notice { entry, what });
        }
    }

    fn fault(&mut self, file: &Path, entry: Option<u64>, offset: u64, what: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { file: file.to_owned(), entry, offset, what: what.into() });
        } else {
            self.more_faults += 1;
        }
    }
}

/// Verifies the log in `dir` and shows every readable entry to `each`, in the order of the files.
///
/// # Errors
/// A folder or file that cannot be read; what it says is in the report.
pub fn verify(dir: &Path, keys: &Keys, each: &mut dyn FnMut(&EntryLine<'_>)) -> io::Result<Report> {
    let mut report = Report { open: is_open(dir)?, ..Report::default() };
    // The checkpoints first: a live log then has at least the entries that they cover.
    let mut checkpoints = Checkpoints::open(dir, keys)?;
    let mut walk = Walk::from_start(0, Some(Hash::ZERO));
    let segments = segments(dir)?;
    let last = segments.keys().next_back().copied();
    for (start, file) in &segments {
        report.segments += 1;
        if *start != walk.expected {
            let what = if *start > walk.expected {
                format!("entries {} to {} are missing: a segment is gone or cut short", walk.expected, start - 1)
            } else {
                format!("this segment should begin at entry {}", walk.expected)
            };
            report.fault(file, Some(walk.expected), 0, what);
            walk = Walk::from_start(*start, None);
        }
        let mut lines = Lines::open(file, None)?;
        while let Some(line) = lines.next_line()? {
            if !line.ended && Some(*start) == last {
                report.torn_bytes = line.bytes.len() as u64;
                break;
            }
            walk.line(line.bytes, &mut |entry, what| report.fault(file, Some(entry), line.offset, what));
            let Some(entry) = walk.current(line.bytes) else { continue };
            each(&entry);
            if let Some(what) = alarm(&entry) {
                report.notice(entry.seq, what);
            }
            checkpoints.match_entry(&entry, file, line.offset, &mut report)?;
            report.entries += 1;
            (report.head, report.last_at) = (Some(entry.hash.to_string()), Some(entry.at));
        }
    }
    checkpoints.finish(walk.expected, &mut report)?;
    Ok(report)
}

/// What the gateway told the log about the log.
fn alarm(entry: &EntryLine<'_>) -> Option<String> {
    // Few entries are alarms: the others are not parsed.
    let kind = format!(r#"{{"event":"alarm","what":"{ALARM}"#);
    if !entry.event.starts_with(kind.as_bytes()) {
        return None;
    }
    match serde_json::from_slice(entry.event) {
        Ok(Event::Alarm { detail, .. }) => Some(detail),
        Ok(_) | Err(_) => None,
    }
}

/// Whether a gateway has the log open.
fn is_open(dir: &Path) -> io::Result<bool> {
    match File::open(dir.join(LOCK_FILE)) {
        Ok(lock) => match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(e)) => Err(e),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// The segments in `dir`, by their first entry.
pub(super) fn segments(dir: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(dir)? {
        let file = file?;
        if let Some(start) = file.file_name().to_str().and_then(layout::segment_start) {
            found.insert(start, file.path());
        }
    }
    Ok(found)
}

/// A line of a file, without its line end.
pub(super) struct Line<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) offset: u64,
    pub(super) ended: bool,
}

/// The lines of a file, none of them longer than it may be.
pub(super) struct Lines {
    file: io::Take<BufReader<File>>,
    buffer: Vec<u8>,
    offset: u64,
}

impl Lines {
    /// Opens `file`, to be read up to `len` when given.
    pub(super) fn open(file: &Path, len: Option<u64>) -> io::Result<Self> {
        let file = BufReader::with_capacity(256 * 1024, File::open(file)?).take(len.unwrap_or(u64::MAX));
        Ok(Self { file, buffer: Vec::new(), offset: 0 })
    }

    /// The next line; a line longer than [`LINE_BYTES_MAX`] comes in pieces, which are no lines of the log.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        let limit = LINE_BYTES_MAX as u64 + 2;
        if (&mut self.file).take(limit).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        let (bytes, ended) = match self.buffer.strip_suffix(b"\n") {
            Some(bytes) => (bytes, true),
            None => (self.buffer.as_slice(), self.buffer.len() as u64 == limit),
        };
        Ok(Some(Line { bytes, offset: self.offset, ended }))
    }

    /// Goes on at `offset`.
    pub(super) fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.buffer.clear();
        self.offset = offset;
        self.file.get_mut().seek(SeekFrom::Start(offset)).map(drop)
    }
}

/// Follows the chain from line to line and says where it breaks.
pub(super) struct Walk {
    /// The position that the next line should have.
    pub(super) expected: u64,
    /// What the next line may name as the one before: what the last line says its hash is, and what it really is.
    /// Empty when that is not known.
    links: Vec<Hash>,
}

impl Walk {
    pub(super) fn from_start(expected: u64, link: Option<Hash>) -> Self {
        Self { expected, links: link.into_iter().collect() }
    }

    /// Checks one line; each thing that is wrong goes to `fault` with the position it is about.
    pub(super) fn line(&mut self, line: &[u8], fault: &mut dyn FnMut(u64, String)) {
        let entry = match layout::decode_entry(line) {
            Ok(entry) => entry,
            Err(e) => {
                fault(self.expected, format!("entry {} was altered: {e}", self.expected));
                self.expected = self.expected.saturating_add(1);
                self.links.clear();
                return;
            }
        };
        let computed = Hash::of(&[entry.covered]);
        if computed != entry.hash {
            fault(self.expected, format!("entry {} was altered: its hash does not match", self.expected));
            self.expected = self.expected.saturating_add(1);
            self.links = vec![entry.hash, computed];
            return;
        }
        if entry.seq < self.expected {
            fault(
                entry.seq,
                format!("entry {} stands here again or out of order, where entry {} should", entry.seq, self.expected),
            );
            return;
        }
        if entry.seq > self.expected {
            let (first, last) = (self.expected, entry.seq - 1);
            let missing = if first == last {
                format!("entry {first} is missing")
            } else {
                format!("entries {first} to {last} are missing")
            };
            fault(first, format!("{missing}: entry {} stands in its place", entry.seq));
        } else if !self.links.is_empty() && !self.links.contains(&entry.prev) {
            fault(
                entry.seq,
                format!("entry {} does not follow the entry before it: one of the two was replaced", entry.seq),
            );
        }
        self.expected = entry.seq.saturating_add(1);
        self.links = vec![entry.hash];
    }

    /// The line that was just checked, when it can be read.
    pub(super) fn current<'a>(&self, line: &'a [u8]) -> Option<EntryLine<'a>> {
        layout::decode_entry(line).ok()
    }
}

/// The signed checkpoints, walked in step with the entries.
struct Checkpoints<'k> {
    file: PathBuf,
    lines: Option<Lines>,
    keys: &'k Keys,
    next: Option<(Checkpoint, u64)>,
    read_through: Option<u64>,
    first_unsigned: Option<(u64, Timestamp)>,
}

impl<'k> Checkpoints<'k> {
    fn open(dir: &Path, keys: &'k Keys) -> io::Result<Self> {
        let file = dir.join(CHECKPOINTS_FILE);
        let lines = match fs::metadata(&file) {
            Ok(data) => Some(Lines::open(&file, Some(data.len()))?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        Ok(Self { file, lines, keys, next: None, read_through: None, first_unsigned: None })
    }

    /// Brings the next checkpoint whose signature holds into `next`.
    fn advance(&mut self, report: &mut Report) -> io::Result<()> {
        let Some(lines) = &mut self.lines else { return Ok(()) };
        while self.next.is_none() {
            let Some(line) = lines.next_line()? else { return Ok(()) };
            if !line.ended {
                return Ok(());
            }
            let checkpoint = match layout::decode_checkpoint(line.bytes) {
                Ok(checkpoint) => checkpoint,
                Err(e) => {
                    report.fault(&self.file, None, line.offset, format!("a checkpoint was altered: {e}"));
                    continue;
                }
            };
            let Checkpoint { seq, head, at, key, signature } = &checkpoint;
            if self.read_through.is_some_and(|before| *seq < before) {
                report.fault(
                    &self.file,
                    Some(*seq),
                    line.offset,
                    format!("the checkpoint of entry {seq} is out of order"),
                );
                continue;
            }
            match self.keys.check(key, &checkpoint_message(*seq, head, &at.to_string()), signature) {
                SignatureCheck::Valid => {
                    report.checkpoints += 1;
                    self.read_through = Some(*seq);
                    self.next = Some((checkpoint, line.offset));
                }
                SignatureCheck::Invalid => {
                    report.fault(
                        &self.file,
                        Some(*seq),
                        line.offset,
                        format!("the signature of the checkpoint of entry {seq} is false"),
                    );
                }
                SignatureCheck::UnknownKey => {
                    report.fault(
                        &self.file,
                        Some(*seq),
                        line.offset,
                        format!("the checkpoint of entry {seq} is signed by key {key}, which is not trusted"),
                    );
                }
            }
        }
        Ok(())
    }

    fn match_entry(&mut self, entry: &EntryLine<'_>, file: &Path, offset: u64, report: &mut Report) -> io::Result<()> {
        let (first, since) = *self.first_unsigned.get_or_insert((entry.seq, entry.at));
        loop {
            self.advance(report)?;
            match &self.next {
                Some((checkpoint, _)) if checkpoint.seq <= entry.seq => {
                    if checkpoint.seq == entry.seq && checkpoint.head != entry.hash {
                        let since =
                            report.signed_through.map_or("from the first".to_owned(), |n| format!("after entry {n}"));
                        let what = format!(
                            "entry {} is not the one that was signed: it, or one {since}, was rewritten",
                            entry.seq
                        );
                        report.fault(file, Some(entry.seq), offset, what);
                    } else if checkpoint.seq == entry.seq {
                        report.signed_through = Some(entry.seq);
                        let seconds = entry.at.since(since).as_secs();
                        if seconds > UNSIGNED_SECONDS_MAX {
                            let last = entry.seq;
                            let what = format!(
                                "entries {first} to {last}, over {seconds} seconds, are covered by one checkpoint only: nothing shows that those before its time were not written later"
                            );
                            report.notice(last, what);
                        }
                    }
                    self.first_unsigned = None;
                    self.next = None;
                }
                _ => return Ok(()),
            }
        }
    }

    /// What the checkpoints say about entries that are not there, and the entries about checkpoints.
    fn finish(&mut self, end: u64, report: &mut Report) -> io::Result<()> {
        self.advance(report)?;
        if let Some((checkpoint, offset)) = self.next.take() {
            let what = format!(
                "entries {end} to {} are missing: the log was cut short, and this checkpoint was signed over them at {}",
                checkpoint.seq, checkpoint.at
            );
            report.fault(&self.file, Some(end), offset, what);
            // The rest are about the same missing entries, but for their signatures.
            self.advance(report)?;
            while self.next.take().is_some() {
                self.advance(report)?;
            }
            return Ok(());
        }
        let span = match (self.first_unsigned, report.last_at) {
            (Some((_, first)), Some(last)) => last.since(first).as_secs(),
            _ => 0,
        };
        if report.entries > 0 && report.checkpoints == 0 {
            report.fault(
                &self.file,
                None,
                0,
                "no checkpoint covers this log: nothing in it is signed by a trusted key",
            );
        } else if span > UNSIGNED_SECONDS_MAX {
            let what = format!("the last entries, over {span} seconds, are not signed: checkpoints were taken away");
            report.fault(&self.file, report.signed_through, 0, what);
        }
        Ok(())
    }
}
