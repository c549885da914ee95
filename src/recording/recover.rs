//! Sealing what an earlier process left, and remembering what needs no second look.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::audit::disk::sync_dir;
use crate::audit::{Keys, PUBLIC_KEYS_FILE, SignatureCheck};
use crate::domain::{Outcome, RecordingFacts, SessionId, Timestamp};

use super::block::Packing;
use super::file::{Chain, RecordedFile, lock};
use super::frame::Frame;
use super::reader::{Item, Place, Reader, is_sealed};
use super::store::{Store, recordings};

/// Where the folder keeps up to what it has been gone through.
const MEMORY_FILE: &str = "recovered.json";
/// Unsigned frames at the end that span more than this are no crash's: the gateway signs every few seconds.
const UNSIGNED_SECONDS_MAX: u64 = 120;

/// What [`Store::recover`] sealed.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The session, when the header could be read.
    pub session: Option<SessionId>,
    /// The recording's file, relative to the folder.
    pub recording: String,
    /// The seal's facts.
    pub facts: RecordingFacts,
    /// Frames that the process before had signed. The others are sealed as they were found.
    pub attested: u64,
}

/// A recording that [`Store::recover`] could not seal.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{recording}: {what}")]
pub struct Unrecovered {
    /// The recording's file, relative to the folder.
    pub recording: String,
    /// Why.
    pub what: String,
}

/// What has been gone through: every recording up to a name, but for some.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    through: String,
    /// Those that could not be looked at, or that a living process had open.
    again: BTreeSet<String>,
}

/// Why a recording was not sealed.
enum Left {
    /// It is, or never will be.
    ForGood,
    /// Another process has it open.
    Open,
    /// It was changed from outside, and stays evidence.
    Changed(String),
}

impl Store {
    /// Seals as aborted what an earlier process left unsealed. Call before the first [`Store::create`].
    ///
    /// What a living process has open is left alone. A recording that is damaged before its end, or whose end no gateway can have written, is not
    /// sealed: it is evidence, and `sallyport verify` tells where it was changed. What was sealed or told once is not opened again.
    pub fn recover(&self, at: Timestamp) -> Vec<Result<Recovered, Unrecovered>> {
        let unrecovered = |recording: &str, e: &dyn std::fmt::Display| Unrecovered {
            recording: recording.to_owned(),
            what: e.to_string(),
        };
        let files = match recordings(self.dir()) {
            Ok(files) => files,
            Err(e) => return vec![Err(unrecovered(&self.dir().to_string_lossy(), &e))],
        };
        let before = self.memory();
        let mut memory = Memory { through: before.through.clone(), again: BTreeSet::new() };
        let mut found = Vec::new();
        for file in files {
            let name = file.strip_prefix(self.dir()).unwrap_or(&file).to_string_lossy().into_owned();
            if name <= before.through && !before.again.contains(&name) {
                continue;
            }
            match self.recover_one(&file, &name, at) {
                Ok(Ok(recovered)) => found.push(Ok(recovered)),
                Ok(Err(Left::ForGood)) => {}
                Ok(Err(Left::Open)) => drop(memory.again.insert(name.clone())),
                Ok(Err(Left::Changed(what))) => found.push(Err(unrecovered(&name, &what))),
                Err(e) => {
                    found.push(Err(unrecovered(&name, &e)));
                    memory.again.insert(name.clone());
                }
            }
            memory.through = memory.through.max(name);
        }
        self.remember(&memory);
        found
    }

    /// Looks at everything again at the next start, when a recording is begun under a name that was passed: the clock went back.
    pub(super) fn expect(&self, name: &str) -> io::Result<()> {
        let mut through = lock(self.through());
        if *name > **through {
            return Ok(());
        }
        match fs::remove_file(self.dir().join(MEMORY_FILE)) {
            Ok(()) => sync_dir(self.dir())?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        through.clear();
        Ok(())
    }

    /// What was gone through; nothing, when that is not known.
    fn memory(&self) -> Memory {
        let bytes = fs::read(self.dir().join(MEMORY_FILE)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn remember(&self, memory: &Memory) {
        if let Err(error) = write_memory(self.dir(), memory) {
            tracing::warn!(%error, "What was recovered cannot be noted; the next start looks at every recording again.");
        }
        lock(self.through()).clone_from(&memory.through);
    }

    fn recover_one(&self, path: &Path, name: &str, at: Timestamp) -> io::Result<Result<Recovered, Left>> {
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(Left::Open)),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        if is_sealed(&file)? {
            return Ok(Err(Left::ForGood));
        }
        if file.metadata()?.len() == 0 {
            // Nothing was ever written to it. Where the log knows a session of it, that is told as missing.
            fs::remove_file(path)?;
            return Ok(Err(Left::ForGood));
        }
        let mut reader = match Reader::open(path)? {
            Ok(reader) => reader,
            Err(e) => return Ok(Err(Left::Changed(e.to_string()))),
        };
        let end = match End::of(&mut reader, &self.keys()?)? {
            Ok(end) => end,
            Err(left) => return Ok(Err(left)),
        };
        let (facts, Place { offset, head, frames }) = (reader.facts().clone(), reader.place());
        if end.torn > 0 {
            file.set_len(offset)?;
        }
        let chain =
            Chain { head, frames, bytes: offset, marked: 0, last_at: at, sealed: false, packing: Packing::default() };
        let signer = Arc::clone(self.signer());
        let recording = RecordedFile::resume((Box::new(file), path.to_owned()), signer, u64::MAX, chain);
        if end.torn > 0 {
            let text =
                format!("{} bytes of an unfinished block were cut here when the recording was recovered", end.torn);
            recording.keep(at, &[Frame::Note { text: &text }]).map_err(io::Error::other)?;
        }
        let sealed = recording.seal(at, Outcome::Aborted).map_err(io::Error::other)?;
        Ok(Ok(Recovered {
            session: Some(facts.session),
            recording: name.to_owned(),
            facts: sealed,
            attested: end.attested,
        }))
    }

    /// The gateway's own key and those that the folder was signed with before.
    fn keys(&self) -> io::Result<Keys> {
        let mut keys = Keys::from(self.signer().public());
        let published = fs::read(self.dir().join(PUBLIC_KEYS_FILE))?;
        keys.extend(Keys::from_pem(&published).map_err(io::Error::other)?);
        Ok(keys)
    }
}

/// How an unsealed recording ends.
struct End {
    torn: u64,
    attested: u64,
}

impl End {
    fn of(reader: &mut Reader, keys: &Keys) -> io::Result<Result<Self, Left>> {
        let mut end = Self { torn: 0, attested: 0 };
        let mut unsigned: Option<(Timestamp, Timestamp)> = None;
        while let Some(item) = reader.next_item()? {
            match item {
                Item::Frame(frame) => {
                    let since = unsigned.map_or(frame.at, |(since, _)| since);
                    unsigned = Some((since, frame.at));
                }
                Item::Mark(marked) => {
                    let mark = &marked.mark;
                    let checked = keys.check(&mark.key, &mark.message(&marked.head), &mark.signature_bytes());
                    if checked != SignatureCheck::Valid || mark.frames != marked.frames {
                        let place = format!("frame {}, byte {}", marked.frames, marked.offset);
                        let what = format!("it was changed and is left as it is: {place}: a mark is false");
                        return Ok(Err(Left::Changed(what)));
                    }
                    (end.attested, unsigned) = (mark.frames, None);
                }
                Item::Torn { bytes, .. } => end.torn = bytes,
                Item::Seal(_) => return Ok(Err(Left::ForGood)),
                Item::Damage(damage) => {
                    return Ok(Err(Left::Changed(format!("it was changed and is left as it is: {damage}"))));
                }
            }
        }
        let seconds = unsigned.map_or(0, |(since, until)| until.since(since).as_secs());
        if seconds > UNSIGNED_SECONDS_MAX {
            let what = format!(
                "it is left as it is: the frames from {} on, over {seconds} seconds, are not signed, and the gateway signs every few seconds",
                end.attested
            );
            return Ok(Err(Left::Changed(what)));
        }
        Ok(Ok(end))
    }
}

fn write_memory(dir: &Path, memory: &Memory) -> io::Result<()> {
    let (file, draft): (PathBuf, PathBuf) = (dir.join(MEMORY_FILE), dir.join("recovered.json~"));
    let mut out = File::create(&draft)?;
    out.write_all(&serde_json::to_vec(memory)?)?;
    out.sync_all()?;
    fs::rename(&draft, file)?;
    sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::recording::lab::{Lab, PLAYED, at, play};
    use crate::recording::verify::State;
    use crate::recording::{Config, Stream};

    /// A recording that its process left, with a mark over what [`play`] writes and two frames behind it.
    fn abandoned() -> Lab {
        let mut lab = Lab::with(|config| Config { mark_interval: Duration::from_millis(100), ..config });
        let recorder = lab.create(1);
        play(&recorder);
        while lab.verify(&lab.path(1)).attested < PLAYED {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        for text in ["one", "two"] {
            recorder.write(at(3_000), &Frame::Note { text }).unwrap();
        }
        drop(recorder);
        lab.restart();
        lab
    }

    /// Writes the recording anew, as somebody does who can hash and cannot sign: `change` sees each block's frame, and blocks that are
    /// no frames are kept, or left out.
    fn forge(lab: &Lab, marks: bool, change: impl Fn(u64, Vec<u8>) -> Vec<u8>) {
        use crate::recording::format::{self, BLOCK_HEADER_BYTES, BlockHeader, HASH_BYTES};
        let whole = fs::read(lab.path(1)).unwrap();
        let begin = usize::try_from(Reader::open(&lab.path(1)).unwrap().unwrap().place().offset).unwrap();
        let (mut out, mut rest) = (whole[..begin].to_vec(), &whole[begin..]);
        let mut head = crate::audit::chain::Hash(whole[begin - HASH_BYTES..begin].try_into().unwrap());
        while let Some(fixed) = rest.first_chunk::<BLOCK_HEADER_BYTES>() {
            let mut header = BlockHeader::decode(fixed).unwrap();
            let (block, after) = rest.split_at(usize::try_from(header.block_bytes()).unwrap());
            rest = after;
            let stored = &block[BLOCK_HEADER_BYTES..block.len() - HASH_BYTES];
            if header.frames == 0 && !marks {
                continue;
            }
            let raw = format::unpack(&header, stored).unwrap().into_owned();
            let changed = if header.frames == 0 { raw.clone() } else { change(header.first, raw.clone()) };
            let payload = if changed == raw { stored.to_vec() } else { changed };
            if payload != stored {
                let length = payload.len().try_into().unwrap();
                (header.packed, header.raw, header.stored) = (false, length, length);
            }
            head = super::super::block::assemble(&mut out, &head, &header, &payload);
        }
        fs::write(lab.path(1), out).unwrap();
    }

    #[test]
    fn what_was_signed_before_a_crash_is_told_from_what_was_found() {
        let lab = abandoned();
        assert_eq!(lab.verify(&lab.path(1)).state, State::Unsealed);
        let recovered: Vec<_> = lab.store.recover(at(60_000)).into_iter().map(Result::unwrap).collect();
        assert_eq!((recovered.len(), recovered[0].attested, recovered[0].facts.frames), (1, PLAYED, PLAYED + 2));
        let report = lab.verify(&lab.path(1));
        assert!(report.intact() && report.attested == PLAYED && report.outcome == Some(Outcome::Aborted), "{report:?}");
    }

    #[test]
    fn what_was_written_anew_before_a_mark_is_evidence_and_behind_it_is_told() {
        let flip = |frame: u64| {
            move |at: u64, mut payload: Vec<u8>| {
                let last = payload.len() - 1;
                payload[last] ^= u8::from(at == frame);
                payload
            }
        };
        let lab = abandoned();
        forge(&lab, true, flip(2));
        assert!(lab.verify(&lab.path(1)).faults[0].what.contains("signature of a mark"));
        let left = fs::read(lab.path(1)).unwrap();
        let recovered = lab.store.recover(at(60_000));
        assert!(recovered[0].as_ref().unwrap_err().to_string().contains("a mark is false"), "{recovered:?}");
        assert_eq!(fs::read(lab.path(1)).unwrap(), left);

        let lab = abandoned();
        forge(&lab, true, flip(PLAYED));
        assert_eq!(lab.store.recover(at(60_000))[0].as_ref().unwrap().attested, PLAYED);

        let lab = abandoned();
        forge(&lab, false, flip(2));
        assert_eq!(lab.store.recover(at(60_000))[0].as_ref().unwrap().attested, 0, "without marks nothing is attested");
        assert_eq!(lab.verify(&lab.path(1)).attested, 0);
    }

    #[test]
    fn minutes_without_a_mark_are_no_crash() {
        let mut lab = Lab::new();
        let recorder = lab.create(1);
        for second in [0, 60, 121] {
            recorder
                .write(at(second * 1_000), &Frame::Data { channel: 0, stream: Stream::Output, data: b"x" })
                .unwrap();
        }
        drop(recorder);
        lab.restart();
        let recovered = lab.store.recover(at(200_000));
        assert!(recovered[0].as_ref().unwrap_err().to_string().contains("over 121 seconds"), "{recovered:?}");
        assert_eq!(lab.verify(&lab.path(1)).state, State::Unsealed);
    }

    #[test]
    fn what_was_gone_through_is_not_opened_again() {
        let mut lab = Lab::new();
        for n in [1, 3, 4] {
            play(&lab.create(n));
        }
        lab.restart();
        let mut spoiled = fs::read(lab.path(3)).unwrap();
        let middle = spoiled.len() / 2;
        spoiled[middle] ^= 1;
        fs::write(lab.path(3), spoiled).unwrap();
        let living = File::open(lab.path(4)).unwrap();
        living.lock().unwrap();
        let told = |lab: &Lab| lab.store.recover(at(60_000)).into_iter().map(|r| r.is_ok()).collect::<Vec<_>>();
        assert_eq!(told(&lab), [true, false]);
        // Neither the sealed one nor the damaged one is looked at, whatever becomes of them; the one that was open is.
        fs::write(lab.path(1), b"nothing").unwrap();
        assert!(told(&lab).is_empty());
        drop(living);
        assert_eq!(told(&lab), [true]);
        lab.restart();
        assert!(told(&lab).is_empty());
        // The clock goes back: names that were passed come up, so all are looked at again.
        drop(lab.create(2));
        lab.restart();
        assert_eq!(told(&lab), [false, true, false]);
        // A memory that cannot be read is none.
        fs::write(lab.store.dir().join(MEMORY_FILE), b"{").unwrap();
        assert_eq!(told(&lab), [false, false]);
    }

    #[test]
    fn what_was_begun_and_never_written_is_cleared_away() {
        let mut lab = Lab::new();
        play(&lab.create(1));
        drop(lab.create(2));
        lab.restart();
        fs::write(lab.path(2), "").unwrap();
        let report = lab.verify(&lab.path(2));
        assert!(report.intact() && report.facts.is_none(), "{report:?}");
        fs::write(lab.path(3), "x").unwrap();
        assert!(!lab.verify(&lab.path(3)).intact(), "a byte is something");
        let told: Vec<_> = lab.store.recover(at(60_000)).into_iter().map(|r| r.is_ok()).collect();
        assert_eq!(told, [true, false], "the one that was played, and the one that cannot be read");
        assert!(!lab.path(2).exists() && lab.path(3).exists());
    }
}
