//! The file of an open recording: the chain grows here, block by block. Its recorder and the sync thread share it.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::watch;

use crate::audit::Signer;
use crate::audit::chain::Hash;
use crate::audit::disk::{Disk, sync_dir};
use crate::domain::{Outcome, RecordingFacts, SessionFacts, Timestamp};

use super::RecordingError;
use super::block::{Bench, Packing, assemble};
use super::format::{self, BlockHeader, BlockKind, FormatError, Mark, Seal};
use super::frame::Frame;

/// What may still be written of the end of a session behind its limit: digests, exit status, notes.
const CLOSING_BYTES: u64 = 1 << 20;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::default());
}

/// An open recording.
#[derive(Debug)]
pub(super) struct RecordedFile {
    disk: Box<dyn Disk>,
    path: PathBuf,
    signer: Arc<Signer>,
    bytes_max: u64,
    chain: Mutex<Chain>,
    /// The folder whose entry for this file is not durable yet.
    pub(super) new_in: Mutex<Option<PathBuf>>,
    /// Why it takes no more.
    pub(super) end: watch::Sender<Option<RecordingError>>,
    /// What the sync thread keeps of it.
    pub(super) care: Care,
}

/// What the sync thread keeps of a file. Times are those of its queue; zero means that there is none.
#[derive(Debug, Default)]
pub(super) struct Care {
    /// When it was first written to since a sync began.
    pub(super) dirty: AtomicU64,
    /// When what is being synced was first written.
    pub(super) syncing: AtomicU64,
    pub(super) bytes: AtomicU64,
    /// What `bytes` was when it was last looked at.
    pub(super) seen: AtomicU64,
    pub(super) mark_waits: AtomicBool,
}

/// Where a recording is to go on.
#[derive(Debug)]
pub(super) struct Chain {
    /// The hash before the next block.
    pub(super) head: Hash,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Frames that a mark covers.
    pub(super) marked: u64,
    pub(super) last_at: Timestamp,
    pub(super) sealed: bool,
    pub(super) packing: Packing,
}

impl RecordedFile {
    /// Writes the header of a new recording.
    pub(super) fn begin(
        (disk, path): (Box<dyn Disk>, PathBuf),
        signer: Arc<Signer>,
        bytes_max: u64,
        facts: &SessionFacts,
    ) -> Result<Arc<Self>, RecordingError> {
        let json = serde_json::to_vec(facts).map_err(|e| RecordingError::Failed(e.to_string()))?;
        let (header, head) = format::encode_header(&json).map_err(|e| RecordingError::Failed(e.to_string()))?;
        let new_in = path.parent().map(ToOwned::to_owned);
        let chain = Chain {
            head,
            frames: 0,
            bytes: header.len() as u64,
            marked: 0,
            last_at: facts.opened_at,
            sealed: false,
            packing: Packing::default(),
        };
        let file = Self::resume((disk, path), signer, bytes_max, chain);
        *lock(&file.new_in) = new_in;
        file.disk.append(&header).map_err(|e| file.fail("writing its header failed", &e))?;
        Ok(file)
    }

    /// Goes on with a recording that is there.
    pub(super) fn resume(
        (disk, path): (Box<dyn Disk>, PathBuf),
        signer: Arc<Signer>,
        bytes_max: u64,
        chain: Chain,
    ) -> Arc<Self> {
        let care = Care { bytes: AtomicU64::new(chain.bytes), seen: AtomicU64::new(chain.bytes), ..Care::default() };
        let (new_in, end, chain) = (Mutex::new(None), watch::Sender::new(None), Mutex::new(chain));
        Arc::new(Self { disk, path, signer, bytes_max, chain, new_in, end, care })
    }

    /// Ends the recording for this reason, unless it has ended for another.
    pub(super) fn end(&self, reason: RecordingError) {
        self.end.send_if_modified(|end| end.is_none() && end.replace(reason).is_none());
    }

    /// Ends the recording because it can no longer be kept.
    pub(super) fn fail(&self, what: &str, error: &dyn std::fmt::Display) -> RecordingError {
        let failure = RecordingError::Failed(format!("{what}: {error}"));
        tracing::error!(%error, "A recording cannot be kept ({what}); its session ends.");
        // A failure is graver than what ended it before: nothing may follow it, not even the seal.
        self.end.send_if_modified(|end| {
            let graver = !matches!(end, Some(RecordingError::Failed(_)));
            if graver {
                *end = Some(failure.clone());
            }
            graver
        });
        failure
    }

    /// Makes the file and its name durable now.
    pub(super) fn sync(&self) -> io::Result<()> {
        if let Some(dir) = lock(&self.new_in).take() {
            sync_dir(&dir)?;
        }
        self.disk.sync()
    }

    /// Takes the file away again.
    pub(super) fn remove(&self) {
        // Best effort: recovery seals what is left, and the log knows no session of it.
        fs::remove_file(&self.path).ok();
    }

    /// Hands frames that happen at one moment to the operating system, all or none.
    pub(super) fn keep(&self, at: Timestamp, frames: &[Frame<'_>]) -> Result<(), RecordingError> {
        let mut chain = self.open_chain()?;
        frames.iter().try_for_each(|frame| self.admit(&chain, frame))?;
        BENCH.with_borrow_mut(|bench| {
            bench.trim();
            let (before, first) = (chain.head, chain.frames);
            let head = bench.build(&before, first, &mut chain.packing, at, frames);
            let head = head.map_err(|e: FormatError| RecordingError::Failed(e.to_string()))?;
            self.hand_over(&mut chain, bench.block(), head, frames.len() as u64)
        })?;
        chain.last_at = at;
        Ok(())
    }

    /// Whether the recording may take this frame: behind its end only what tells of the end.
    fn admit(&self, chain: &Chain, frame: &Frame<'_>) -> Result<(), RecordingError> {
        let full = || RecordingError::Full(self.bytes_max);
        if frame.tells_an_end() {
            let room = chain.bytes < self.bytes_max.saturating_add(CLOSING_BYTES);
            return if room { Ok(()) } else { Err(full()) };
        }
        if chain.bytes >= self.bytes_max {
            self.end(full());
        }
        match self.end.borrow().as_ref() {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    /// Signs what there is, if there is more than was signed before.
    pub(super) fn mark(&self) -> Result<(), RecordingError> {
        let mut chain = lock(&self.chain);
        let failed = matches!(*self.end.borrow(), Some(RecordingError::Failed(_)));
        if failed || chain.sealed || chain.marked == chain.frames {
            return Ok(());
        }
        let (at, key) = (chain.last_at, self.signer.public().id());
        let mut mark = Mark { frames: chain.frames, at, key, signature: String::new() };
        mark.signature = STANDARD.encode(self.signer.sign(&mark.message(&chain.head)));
        let payload = mark.encode().map_err(|e| RecordingError::Failed(e.to_string()))?;
        self.append_signed(&mut chain, BlockKind::Mark, at, &payload)?;
        chain.marked = chain.frames;
        Ok(())
    }

    /// Writes the seal with its signature and makes everything durable. Blocking.
    pub(super) fn seal(&self, at: Timestamp, outcome: Outcome) -> Result<RecordingFacts, RecordingError> {
        let mut chain = self.open_chain()?;
        let key = self.signer.public().id();
        let mut seal = Seal { outcome, frames: chain.frames, at, key, signature: String::new() };
        seal.signature = STANDARD.encode(self.signer.sign(&seal.message(&chain.head)));
        let payload = seal.encode().map_err(|e| RecordingError::Failed(e.to_string()))?;
        self.append_signed(&mut chain, BlockKind::Seal, at, &payload)?;
        chain.sealed = true;
        self.sync().map_err(|e| self.fail("making its seal durable failed", &e))?;
        Ok(RecordingFacts { digest: chain.head.to_string(), frames: chain.frames, bytes: chain.bytes })
    }

    /// Appends a block without frames.
    fn append_signed(
        &self,
        chain: &mut Chain,
        kind: BlockKind,
        at: Timestamp,
        payload: &[u8],
    ) -> Result<(), RecordingError> {
        let stored = u32::try_from(payload.len()).map_err(|e| RecordingError::Failed(e.to_string()))?;
        let header = BlockHeader { kind, packed: false, frames: 0, stored, raw: stored, first: chain.frames, at };
        let mut block = Vec::new();
        let head = assemble(&mut block, &chain.head, &header, payload);
        self.hand_over(chain, &block, head, 0)
    }

    /// The chain, when it may grow.
    fn open_chain(&self) -> Result<MutexGuard<'_, Chain>, RecordingError> {
        let broken = |_| RecordingError::Failed("a frame before broke off".to_owned());
        let chain = self.chain.lock().map_err(broken)?;
        if let Some(failure @ RecordingError::Failed(_)) = self.end.borrow().as_ref() {
            return Err(failure.clone());
        }
        if chain.sealed { Err(RecordingError::Failed("it is sealed".to_owned())) } else { Ok(chain) }
    }

    /// Gives a whole block to the operating system. A failure is final: what the file holds is then not known.
    fn hand_over(&self, chain: &mut Chain, block: &[u8], head: Hash, frames: u64) -> Result<(), RecordingError> {
        if let Err(e) = self.disk.append(block) {
            // Best effort: where it cannot be cut, recovery cuts the unfinished block.
            self.disk.truncate(chain.bytes).ok();
            return Err(self.fail("writing a frame failed", &e));
        }
        chain.head = head;
        chain.frames += frames;
        chain.bytes += block.len() as u64;
        self.care.bytes.store(chain.bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// Locks, also behind a panic: what is locked here is whole at any time.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
