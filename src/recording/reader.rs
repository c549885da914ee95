//! Reads a recording back, frame by frame, checking the chain on the way. Holds one block at a time.
//!
//! Where the chain is broken it says so and looks for the next block that stands in a whole chain, so that what survives
//! can still be read.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::audit::chain::Hash;
use crate::domain::{SessionFacts, Timestamp};

use super::format::{
    self, BLOCK_HEADER_BYTES, BlockHeader, BlockKind, FormatError, HASH_BYTES, HEADER_BYTES, Mark, PAYLOAD_BYTES_MAX,
    Seal,
};
use super::frame::{Kept, decode_frame};

/// A seal's block is shorter.
const SEAL_BLOCK_BYTES_MAX: u64 = 4096;
/// How much of a damaged file is searched at a time.
const SEARCH_BYTES: usize = 1024 * 1024;
/// How much is hashed in search of the next good block, in all of a file: one that was made for it would have a block begin at every byte.
const SEARCH_HASHED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A frame with its place and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// Its position, counted from 0.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The byte at which its block begins.
    pub offset: u64,
    /// What it says.
    pub frame: Kept,
}

/// Where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The frame that should stand there.
    pub frame: u64,
    /// The byte at which its block should begin.
    pub offset: u64,
    /// What is wrong with it.
    pub what: String,
    /// The frame and the byte at which the recording goes on, if it does.
    pub resumes: Option<(u64, u64)>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {}, byte {}: {}", self.frame, self.offset, self.what)?;
        match self.resumes {
            Some((frame, offset)) => write!(f, "; it goes on with frame {frame} at byte {offset}"),
            None => write!(f, "; nothing behind it can be read"),
        }
    }
}

/// The seal with what it was made over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What it says.
    pub seal: Seal,
    /// The hash before it, which it signs.
    pub head: Hash,
    /// Its own hash: the digest of the recording.
    pub digest: Hash,
    /// The byte at which it begins.
    pub offset: u64,
    /// The byte at which it ends, and the file should.
    pub end: u64,
}

/// A mark with what it was made over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// What it says.
    pub mark: Mark,
    /// The hash before it, which it signs.
    pub head: Hash,
    /// The frames that stand before it.
    pub frames: u64,
    /// The byte at which it begins.
    pub offset: u64,
}

/// What comes next in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame.
    Frame(Stamped),
    /// A mark.
    Mark(Marked),
    /// The seal.
    Seal(Sealed),
    /// The last block is not whole: its writer ended, or is at it.
    Torn {
        /// The byte at which it begins.
        offset: u64,
        /// How many bytes of it are there.
        bytes: u64,
    },
    /// The chain is broken.
    Damage(Damage),
}

/// Where the next block is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The byte.
    pub offset: u64,
    /// The hash before it.
    pub head: Hash,
    /// The position of its first frame.
    pub frames: u64,
}

/// A recording that is being read.
#[derive(Debug)]
pub struct Reader {
    file: File,
    facts: SessionFacts,
    place: Place,
    ready: VecDeque<Item>,
    buffer: Vec<u8>,
    /// The file from byte `.1` on, read ahead.
    ahead: (Vec<u8>, u64),
    ended: bool,
    sealed: bool,
    /// What may still be hashed in search of good blocks.
    search_left: u64,
}

/// Why no block could be read at a place.
enum Problem {
    /// The file ends before the block does.
    Short,
    /// It is not the block that belongs there.
    Odd(String),
}

impl Reader {
    /// Opens the recording in `file`.
    ///
    /// # Errors
    /// A file that cannot be read; inside, one whose header is not a recording's.
    pub fn open(file: &Path) -> io::Result<Result<Self, FormatError>> {
        Self::over(File::open(file)?)
    }

    /// As [`Self::open`], of a file that is open.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn over(file: File) -> io::Result<Result<Self, FormatError>> {
        let mut fixed = [0; HEADER_BYTES];
        if !read_whole(&file, &mut fixed, 0)? {
            return Ok(Err(format::odd("it is too short to be a recording")));
        }
        let length = match format::decode_header(&fixed) {
            Ok(length) => length,
            Err(e) => return Ok(Err(e)),
        };
        let mut rest = vec![0; length + HASH_BYTES];
        if !read_whole(&file, &mut rest, HEADER_BYTES as u64)? {
            return Ok(Err(format::odd("it ends within its header")));
        }
        let (json, hash) = rest.split_at_checked(length).unwrap_or_default();
        let head = Hash::of(&[&fixed, json]);
        if hash != head.0 {
            return Ok(Err(format::odd("its header was altered: the hash does not match")));
        }
        let Ok(facts) = serde_json::from_slice(json) else {
            return Ok(Err(format::odd("the facts of the session cannot be read")));
        };
        let place = Place { offset: (HEADER_BYTES + length + HASH_BYTES) as u64, head, frames: 0 };
        let (ready, buffer, ahead) = (VecDeque::new(), Vec::new(), (Vec::new(), 0));
        Ok(Ok(Self {
            file,
            facts,
            place,
            ready,
            buffer,
            ahead,
            ended: false,
            sealed: false,
            search_left: SEARCH_HASHED_BYTES_MAX,
        }))
    }

    /// What the header says of the session.
    pub fn facts(&self) -> &SessionFacts {
        &self.facts
    }

    /// Where the next block is expected; behind everything that has been returned once that is all.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn next_item(&mut self) -> io::Result<Option<Item>> {
        let item = self.item(false)?;
        self.ended |= item.is_none();
        Ok(item)
    }

    /// The next item of a recording that is still being written; `None` when it is not there yet: ask again.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn next_written(&mut self) -> io::Result<Option<Item>> {
        self.item(true)
    }

    fn item(&mut self, living: bool) -> io::Result<Option<Item>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            let left = self.file.metadata()?.len().saturating_sub(self.place.offset);
            if self.ended || left == 0 {
                return Ok(None);
            }
            if self.sealed {
                self.ended = true;
                return Ok(Some(self.damage(format!("{left} bytes stand behind the seal"), None)));
            }
            match self.block()? {
                Ok(()) => {}
                // The last block is on its way into the file.
                Err(Problem::Short) if living => return Ok(None),
                Err(problem) => return self.broken(problem, left).map(Some),
            }
        }
    }

    /// Reads the block at the place into `ready`.
    fn block(&mut self) -> io::Result<Result<(), Problem>> {
        let Place { offset, head, frames } = self.place;
        let mut fixed = [0; BLOCK_HEADER_BYTES];
        if !self.read_at(&mut fixed, offset)? {
            return Ok(Err(Problem::Short));
        }
        let header = match BlockHeader::decode(&fixed) {
            Ok(header) => header,
            Err(e) => return Ok(Err(Problem::Odd(format!("it was altered: {e}")))),
        };
        let stored = usize::try_from(header.stored).unwrap_or(PAYLOAD_BYTES_MAX);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(stored + HASH_BYTES, 0);
        let whole = self.read_at(&mut buffer, offset + BLOCK_HEADER_BYTES as u64)?;
        self.buffer = buffer;
        if !whole {
            return Ok(Err(Problem::Short));
        }
        let (payload, hash) = self.buffer.split_at_checked(stored).unwrap_or_default();
        let digest = format::block_hash(&head, &fixed, payload);
        if header.first != frames {
            let what = if header.first < frames {
                "again or out of order"
            } else {
                "in its place; what belongs before it is missing"
            };
            return Ok(Err(Problem::Odd(format!("frame {} stands here {what}", header.first))));
        }
        if hash != digest.0 {
            return Ok(Err(Problem::Odd("it was altered: the hash does not match".to_owned())));
        }
        let read = match header.kind {
            BlockKind::Seal => Seal::decode(payload).map(|seal| {
                self.sealed = true;
                let end = offset + header.block_bytes();
                self.ready.push_back(Item::Seal(Sealed { seal, head, digest, offset, end }));
            }),
            BlockKind::Mark => Mark::decode(payload).map(|mark| {
                self.ready.push_back(Item::Mark(Marked { mark, head, frames, offset }));
            }),
            BlockKind::Frames => frames_of(&header, payload, offset, &mut self.ready),
        };
        let next =
            Place { offset: offset + header.block_bytes(), head: digest, frames: frames + u64::from(header.frames) };
        if let Err(e) = read {
            // Its writer chained this, so what follows is still good.
            let resumes = Some((next.frames, next.offset));
            let damage = self.damage(format!("it cannot be read: {e}"), resumes);
            self.ready.push_back(damage);
        }
        self.place = next;
        Ok(Ok(()))
    }

    /// Says what a place without a good block means, and finds where the recording goes on.
    fn broken(&mut self, problem: Problem, left: u64) -> io::Result<Item> {
        if let Some(next) = self.search()? {
            let what = match problem {
                Problem::Short => "it was altered: its length cannot be".to_owned(),
                Problem::Odd(what) => what,
            };
            let damage = self.damage(what, Some((next.frames, next.offset)));
            self.place = next;
            return Ok(damage);
        }
        self.ended = true;
        let offset = self.place.offset;
        if self.search_left == 0 {
            let what = match problem {
                Problem::Short => "its length cannot be".to_owned(),
                Problem::Odd(what) => what,
            };
            return Ok(self.damage(format!("{what}; what stands behind it was made to be searched for ever"), None));
        }
        match problem {
            Problem::Short => Ok(Item::Torn { offset, bytes: left }),
            // Some file systems leave zeros where a write did not arrive before the power went.
            Problem::Odd(_) if self.zeros_to_the_end()? => Ok(Item::Torn { offset, bytes: left }),
            Problem::Odd(what) => Ok(self.damage(what, None)),
        }
    }

    fn damage(&self, what: String, resumes: Option<(u64, u64)>) -> Item {
        Item::Damage(Damage { frame: self.place.frames, offset: self.place.offset, what, resumes })
    }

    /// The first place behind this one at which a block stands that its own hash and the one before it confirm.
    fn search(&mut self) -> io::Result<Option<Place>> {
        let mut from = self.place.offset + 1;
        let mut window = vec![0; SEARCH_BYTES];
        loop {
            let length = read_some(&self.file, &mut window, from)?;
            let bytes = window.get(..length).unwrap_or_default();
            for (skipped, fixed) in bytes.windows(BLOCK_HEADER_BYTES).enumerate() {
                let offset = from + skipped as u64;
                let Some(header) = fixed.try_into().ok().and_then(|fixed| BlockHeader::decode(fixed).ok()) else {
                    continue;
                };
                if header.first < self.place.frames || !is_followed(&self.file, offset, &header)? {
                    continue;
                }
                self.search_left = self.search_left.saturating_sub(header.block_bytes());
                if self.search_left == 0 {
                    return Ok(None);
                }
                if let Some(head) = confirmed(&self.file, offset, &header)? {
                    return Ok(Some(Place { offset, head, frames: header.first }));
                }
            }
            if length < window.len() {
                return Ok(None);
            }
            from += (length - BLOCK_HEADER_BYTES + 1) as u64;
        }
    }

    fn zeros_to_the_end(&self) -> io::Result<bool> {
        let (mut offset, mut window) = (self.place.offset, vec![0; 64 * 1024]);
        loop {
            let length = read_some(&self.file, &mut window, offset)?;
            if window.iter().take(length).any(|byte| *byte != 0) {
                return Ok(false);
            }
            if length < window.len() {
                return Ok(true);
            }
            offset += length as u64;
        }
    }

    /// Fills `out` from byte `offset` on, through the bytes read ahead; false when the file ends before.
    fn read_at(&mut self, out: &mut [u8], offset: u64) -> io::Result<bool> {
        let (bytes, start) = &mut self.ahead;
        let held = |bytes: &[u8], start: u64| {
            let from = usize::try_from(offset.checked_sub(start)?).ok()?;
            (from.checked_add(out.len())? <= bytes.len()).then_some(from)
        };
        let from = match held(bytes, *start) {
            Some(from) => from,
            None => {
                bytes.resize(out.len().max(64 * 1024), 0);
                let length = read_some(&self.file, bytes, offset)?;
                bytes.truncate(length);
                *start = offset;
                0
            }
        };
        match bytes.get(from..from + out.len()) {
            Some(held) => {
                out.copy_from_slice(held);
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// Reads the frames of a block.
fn frames_of(header: &BlockHeader, payload: &[u8], offset: u64, ready: &mut VecDeque<Item>) -> Result<(), FormatError> {
    let unpacked = format::unpack(header, payload)?;
    let (mut rest, mut seq) = (&*unpacked, header.first);
    let mut frames = Vec::with_capacity(header.frames.into());
    while let Some((delta, frame)) = decode_frame(&mut rest)? {
        let at = Timestamp::from_nanos(header.at.as_nanos().saturating_add(i64::try_from(delta).unwrap_or(i64::MAX)));
        frames.push(Item::Frame(Stamped { seq, at, offset, frame }));
        seq += 1;
        if seq - header.first > u64::from(header.frames) {
            return Err(format::odd("it holds more frames than it says"));
        }
    }
    if seq - header.first != u64::from(header.frames) {
        return Err(format::odd("it holds fewer frames than it says"));
    }
    ready.extend(frames);
    Ok(())
}

/// Whether the next block, or the end of the file, stands where the block at `offset` ends: cheaper to see than its hash.
fn is_followed(file: &File, offset: u64, header: &BlockHeader) -> io::Result<bool> {
    let mut next = [0; BLOCK_HEADER_BYTES];
    let length = read_some(file, &mut next, offset.saturating_add(header.block_bytes()))?;
    if length < next.len() {
        return Ok(true);
    }
    let first = header.first.saturating_add(u64::from(header.frames));
    Ok(BlockHeader::decode(&next).is_ok_and(|next| next.first == first))
}

/// The hash before the block at `offset`, when that hash and the block's own confirm each other.
fn confirmed(file: &File, offset: u64, header: &BlockHeader) -> io::Result<Option<Hash>> {
    let Some(before) = offset.checked_sub(HASH_BYTES as u64) else { return Ok(None) };
    let length = HASH_BYTES + usize::try_from(header.block_bytes()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(HASH_BYTES + BLOCK_HEADER_BYTES + PAYLOAD_BYTES_MAX + HASH_BYTES)];
    if !read_whole(file, &mut bytes, before)? {
        return Ok(None);
    }
    let split = bytes.split_first_chunk::<HASH_BYTES>();
    let hash = split.and_then(|(before, block)| {
        let (covered, hash) = block.split_last_chunk::<HASH_BYTES>()?;
        (Hash::of(&[before, covered]).0 == *hash).then_some(Hash(*before))
    });
    Ok(hash)
}

/// Whether the file ends with a seal that its hash confirms; without reading what stands before.
///
/// # Errors
/// A file that cannot be read.
pub fn is_sealed(file: &File) -> io::Result<bool> {
    let len = file.metadata()?.len();
    let from = len.saturating_sub(SEAL_BLOCK_BYTES_MAX);
    let mut tail = vec![0; usize::try_from(len - from).unwrap_or_default()];
    if !read_whole(file, &mut tail, from)? {
        return Ok(false);
    }
    for (skipped, fixed) in tail.windows(BLOCK_HEADER_BYTES).enumerate() {
        let offset = from + skipped as u64;
        let Some(header) = fixed.try_into().ok().and_then(|fixed| BlockHeader::decode(fixed).ok()) else { continue };
        let last = header.kind == BlockKind::Seal && offset + header.block_bytes() == len;
        if last && confirmed(file, offset, &header)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fills `out`; false when the file ends before.
fn read_whole(file: &File, out: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(out, offset) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// Fills as much of `out` as the file has.
fn read_some(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
