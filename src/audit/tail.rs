//! Where a log goes on: what the next writer must know of its end, and what it must not build upon.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::domain::Timestamp;

use super::chain::{Hash, checkpoint_message};
use super::disk::sync_dir;
use super::layout::{self, CHECKPOINTS_FILE, Checkpoint, EntryLine};
use super::signer::{Keys, PUBLIC_KEYS_FILE, PublicKey, SignatureCheck};
use super::verify::{Lines, UNSIGNED_SECONDS_MAX, Walk, segments};

/// Where a log goes on.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) next_seq: u64,
    pub(super) head: Hash,
    pub(super) last_at: Option<Timestamp>,
    /// The last segment, its good bytes and the bytes of an unfinished line behind them.
    pub(super) segment: Option<(PathBuf, u64, u64)>,
    /// Good bytes of the checkpoints.
    pub(super) checkpoint_bytes: u64,
    /// What no checkpoint covers.
    pub(super) unsigned: Option<Unsigned>,
    /// The last checkpoint's key, when that is not the gateway's.
    pub(super) other_key: Option<String>,
}

/// Entries at the end of a log that no checkpoint covers: its writer died before it signed them, or somebody else wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsigned {
    pub(super) first: u64,
    pub(super) last: u64,
    since: Timestamp,
    until: Timestamp,
    /// One of them follows a clean stop, behind which only another start writes.
    after_stop: bool,
    /// Where the first of them begins.
    file: PathBuf,
    offset: u64,
}

impl Unsigned {
    /// Why a gateway must not go on behind them, if it must not.
    pub(super) fn refusal(&self) -> Option<String> {
        let seconds = self.until.since(self.since).as_secs();
        let why = if self.after_stop {
            "they follow a clean stop, so no gateway wrote them, or it died in the very moment of its first entry"
                .to_owned()
        } else if seconds > UNSIGNED_SECONDS_MAX {
            format!("they span {seconds} seconds, and a gateway signs every second: checkpoints were taken away")
        } else {
            return None;
        };
        Some(format!(
            "{self} are not signed, and {why}. Keep a copy of the folder as evidence; then `sallyport audit mend --config FILE` moves these entries aside, \
             and the log goes on behind what is signed"
        ))
    }

    /// What the log is told before it goes on.
    pub(super) fn alarm(&self) -> String {
        format!(
            "{self} were not signed when the process before ended; the next checkpoint covers them and says nothing about who wrote them"
        )
    }
}

impl std::fmt::Display for Unsigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { first, last, since, until, file, offset, .. } = self;
        write!(f, "entries {first} to {last} ({since} to {until}; {}, from byte {offset})", file.display())
    }
}

/// Finds where the log in `dir` goes on. Reads its last two segments; `sallyport verify` reads all.
pub(super) fn tail(dir: &Path, key: PublicKey) -> io::Result<Result<Tail, String>> {
    let (checkpoint, checkpoint_bytes) = last_checkpoint(&dir.join(CHECKPOINTS_FILE))?;
    let other_key = match checkpoint.as_ref().map(|checkpoint| signed_by(checkpoint, dir, key)).transpose()? {
        Some(Err(problem)) => return Ok(Err(problem)),
        Some(Ok(other)) => other,
        None => None,
    };
    let mut tail = Tail {
        next_seq: 0,
        head: Hash::ZERO,
        last_at: None,
        segment: None,
        checkpoint_bytes,
        unsigned: None,
        other_key,
    };
    let segments = segments(dir)?;
    let from = segments.keys().rev().nth(1).or_else(|| segments.keys().next()).copied().unwrap_or(0);
    let mut walk = Walk::from_start(from, (from == 0).then_some(Hash::ZERO));
    let mut problem = None;
    let mut stopped = false;
    for (start, file) in segments.range(from..) {
        if *start != walk.expected {
            problem.get_or_insert(format!("{} should begin at entry {}", file.display(), walk.expected));
        }
        let (mut lines, mut good, mut torn) = (Lines::open(file, None)?, 0, 0);
        while let Some(line) = lines.next_line()? {
            if !line.ended {
                torn = line.bytes.len() as u64;
                break;
            }
            good = line.offset + line.bytes.len() as u64 + 1;
            walk.line(line.bytes, &mut |_, what| {
                problem.get_or_insert(format!("{}, byte {}: {what}", file.display(), line.offset));
            });
            let Some(entry) = walk.current(line.bytes) else { continue };
            (tail.head, tail.last_at) = (entry.hash, Some(entry.at));
            if let Some(signed) = checkpoint.as_ref().filter(|c| c.seq == entry.seq && c.head != entry.hash) {
                problem.get_or_insert(format!(
                    "{}, byte {}: entry {} is not the one that was signed",
                    file.display(),
                    line.offset,
                    signed.seq
                ));
            }
            let signed = checkpoint.as_ref().is_some_and(|c| entry.seq <= c.seq);
            if !signed {
                note_unsigned(&mut tail.unsigned, &entry, stopped, file, line.offset);
            }
            stopped = (stopped && !(signed && is(&entry, "gateway-started"))) || is(&entry, "gateway-stopped");
        }
        if torn > 0 && segments.range(start + 1..).next().is_some() {
            problem.get_or_insert(format!("{} ends within a line", file.display()));
        }
        tail.segment = Some((file.clone(), good, torn));
    }
    tail.next_seq = walk.expected;
    if let Some(signed) = checkpoint.filter(|c| c.seq >= tail.next_seq) {
        problem.get_or_insert(format!(
            "entries {} to {} are missing: they were signed and are not there",
            tail.next_seq, signed.seq
        ));
    }
    Ok(problem.map_or(Ok(tail), Err))
}

fn note_unsigned(unsigned: &mut Option<Unsigned>, entry: &EntryLine<'_>, stopped: bool, file: &Path, offset: u64) {
    let (first, since) = (entry.seq, entry.at);
    let so_far = unsigned.get_or_insert_with(|| Unsigned {
        first,
        last: first,
        since,
        until: since,
        after_stop: false,
        file: file.to_owned(),
        offset,
    });
    (so_far.last, so_far.until) = (entry.seq, entry.at.max(so_far.until));
    so_far.after_stop |= stopped;
}

/// Whether the entry is of this kind.
fn is(entry: &EntryLine<'_>, kind: &str) -> bool {
    entry
        .event
        .strip_prefix(b"{\"event\":\"")
        .and_then(|rest| rest.strip_prefix(kind.as_bytes()))
        .is_some_and(|rest| rest.first() == Some(&b'"'))
}

/// Whether the gateway's own key signed the checkpoint; else the name of the key that did, if it is one that this log was signed with before.
fn signed_by(checkpoint: &Checkpoint, dir: &Path, key: PublicKey) -> io::Result<Result<Option<String>, String>> {
    let Checkpoint { seq, head, at, key: name, signature } = checkpoint;
    let message = checkpoint_message(*seq, head, &at.to_string());
    let published = match fs::read(dir.join(PUBLIC_KEYS_FILE)) {
        Ok(pem) => Keys::from_pem(&pem).unwrap_or_default(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Keys::default(),
        Err(e) => return Err(e),
    };
    if Keys::from(key).check(name, &message, signature) == SignatureCheck::Valid {
        return Ok(Ok(None));
    }
    Ok(match published.check(name, &message, signature) {
        SignatureCheck::Valid => Ok(Some(name.clone())),
        SignatureCheck::Invalid => Err(format!("the signature of the last checkpoint, of entry {seq}, is false")),
        SignatureCheck::UnknownKey => {
            Err(format!("the last checkpoint, of entry {seq}, is signed by key {name}, which is none of this log's"))
        }
    })
}

/// The last whole checkpoint and where the whole ones end.
fn last_checkpoint(file: &Path) -> io::Result<(Option<Checkpoint>, u64)> {
    let len = match fs::metadata(file) {
        Ok(data) => data.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((None, 0)),
        Err(e) => return Err(e),
    };
    // A checkpoint takes less than 512 bytes; the piece of a line that the seek may land in is none.
    let mut lines = Lines::open(file, Some(len))?;
    lines.seek(len.saturating_sub(4096))?;
    let (mut last, mut good) = (None, 0);
    while let Some(line) = lines.next_line()? {
        if line.ended {
            good = line.offset + line.bytes.len() as u64 + 1;
            last = layout::decode_checkpoint(line.bytes).ok().or(last);
        }
    }
    Ok((last, good))
}

/// Moves unsigned entries out of the log into a file of their own beside it; its name, and the hash of what is in it.
pub(super) fn set_aside(dir: &Path, unsigned: &Unsigned) -> io::Result<(PathBuf, Hash)> {
    let mut bytes = Vec::new();
    let mut from = File::open(&unsigned.file)?;
    from.seek(SeekFrom::Start(unsigned.offset))?;
    from.read_to_end(&mut bytes)?;
    let later: Vec<PathBuf> =
        segments(dir)?.into_iter().filter(|(start, _)| *start > unsigned.first).map(|(_, file)| file).collect();
    for file in &later {
        bytes.append(&mut fs::read(file)?);
    }
    let aside = dir.join(format!("unsigned-{:020}.jsonl", unsigned.first));
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside) {
        Ok(mut out) => {
            out.write_all(&bytes)?;
            out.sync_all()?;
        }
        // A mending that broke off has left it.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && fs::read(&aside)?.starts_with(&bytes) => {}
        Err(e) => return Err(e),
    }
    sync_dir(dir)?;
    // The last first, so that a log that breaks off here is one that was cut short and can be mended again.
    for file in later.iter().rev() {
        fs::remove_file(file)?;
    }
    let kept = OpenOptions::new().write(true).open(&unsigned.file)?;
    kept.set_len(unsigned.offset)?;
    kept.sync_all()?;
    sync_dir(dir)?;
    Ok((aside, Hash::of(&[&bytes])))
}
