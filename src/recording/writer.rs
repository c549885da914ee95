//! The recorder: one block for each frame, chained, handed to the operating system before the frame's bytes go on.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::audit::chain::Hash;
use crate::domain::{Outcome, RecordingFacts, SessionFacts, Timestamp};

use super::RecordingError;
use super::format::{self, BlockHeader, BlockKind, FormatError, PAYLOAD_BYTES_MAX, Seal};
use super::frame::{Frame, encode_frame};
use super::store::Shared;
use super::sync::RecordedFile;

/// A payload is packed when it is longer.
const PACK_BYTES_MIN: usize = 256;
/// The level: the fastest that still codes literals by their frequency, which is what terminal output gains from.
const PACK_LEVEL: i32 = 1;
/// Data longer than this is kept as several frames.
const DATA_BYTES_MAX: usize = 1024 * 1024;
/// Buffers that grew beyond this are given back.
const KEEP_BYTES_MAX: usize = 512 * 1024;

/// The open recording of one session. Dropping it unsealed leaves it for [`super::Store::recover`].
#[derive(Debug)]
pub struct Recorder {
    file: Arc<RecordedFile>,
    chain: Mutex<Chain>,
    store: Arc<Shared>,
}

/// Where a recording is to go on.
#[derive(Debug)]
pub(super) struct Chain {
    /// The hash before the next block.
    pub(super) head: Hash,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) sealed: bool,
    pub(super) packing: Packing,
}

/// Whether packing has been worth it lately: content that does not pack is tried ever more seldom.
#[derive(Debug, Default)]
pub(super) struct Packing {
    misses: u8,
    skip: u8,
}

/// What a thread needs to build a block; a session needs none of it between its frames.
#[derive(Default)]
struct Bench {
    packer: Option<zstd::bulk::Compressor<'static>>,
    payload: Vec<u8>,
    packed: Vec<u8>,
    block: Vec<u8>,
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::default());
}

impl Recorder {
    /// Writes the header of a new recording.
    pub(super) fn begin(
        store: Arc<Shared>,
        file: Arc<RecordedFile>,
        facts: &SessionFacts,
    ) -> Result<Self, RecordingError> {
        let json = serde_json::to_vec(facts).map_err(|e| RecordingError(e.to_string()))?;
        let (header, head) = format::encode_header(&json).map_err(|e| RecordingError(e.to_string()))?;
        file.disk.append(&header).map_err(|e| file.fail("writing its header failed", &e))?;
        let chain = Chain { head, frames: 0, bytes: header.len() as u64, sealed: false, packing: Packing::default() };
        let recorder = Self::resume(store, file, chain);
        recorder.store.queue.written(&recorder.file);
        Ok(recorder)
    }

    /// Goes on with a recording that is there.
    pub(super) fn resume(store: Arc<Shared>, file: Arc<RecordedFile>, chain: Chain) -> Self {
        Self { file, chain: Mutex::new(chain), store }
    }

    /// Hands a frame to the operating system: when this returns, a crash of the process cannot lose it.
    ///
    /// # Errors
    /// The frame was not kept; the bytes it holds must not be forwarded and the session must end.
    pub fn write(&self, at: Timestamp, frame: &Frame<'_>) -> Result<(), RecordingError> {
        if self.store.queue.stalled() && on_a_worker_of_many() {
            tokio::task::block_in_place(|| self.keep(at, frame))?;
        } else {
            self.keep(at, frame)?;
        }
        self.store.queue.written(&self.file);
        Ok(())
    }

    /// As [`Self::write`], and leaves it to the caller to make it durable.
    pub(super) fn keep(&self, at: Timestamp, frame: &Frame<'_>) -> Result<(), RecordingError> {
        let mut chain = self.open_chain()?;
        match *frame {
            Frame::Data { channel, stream, data } if data.len() > DATA_BYTES_MAX => {
                for data in data.chunks(DATA_BYTES_MAX) {
                    self.append(&mut chain, at, &Frame::Data { channel, stream, data })?;
                }
            }
            _ => self.append(&mut chain, at, frame)?,
        }
        Ok(())
    }

    /// Resolves when making frames durable has failed. The session must end.
    pub async fn failed(&self) -> RecordingError {
        let mut failed = self.file.failed.subscribe();
        let failure = failed.wait_for(Option::is_some).await.ok().and_then(|f| f.clone());
        // The sender lives in `self`, so there is a failure.
        failure.unwrap_or_else(|| RecordingError("the recorder has gone".to_owned()))
    }

    /// Writes the seal with its signature, makes everything durable and closes the file. Blocking.
    ///
    /// # Errors
    /// The recording stays unsealed.
    pub fn seal(&self, at: Timestamp, outcome: Outcome) -> Result<RecordingFacts, RecordingError> {
        let mut chain = self.open_chain()?;
        let key = self.store.signer.public().id();
        let mut seal = Seal { outcome, frames: chain.frames, at, key, signature: String::new() };
        seal.signature = STANDARD.encode(self.store.signer.sign(&seal.message(&chain.head)));
        let payload = seal.encode().map_err(|e| RecordingError(e.to_string()))?;
        let stored = u32::try_from(payload.len()).map_err(|e| RecordingError(e.to_string()))?;
        let header = BlockHeader {
            kind: BlockKind::Seal,
            packed: false,
            frames: 0,
            stored,
            raw: stored,
            first: chain.frames,
            at,
        };
        let mut block = Vec::new();
        let head = assemble(&mut block, &chain.head, &header, &payload);
        self.hand_over(&mut chain, &block, head, 0)?;
        chain.sealed = true;
        self.file.sync().map_err(|e| self.file.fail("making its seal durable failed", &e))?;
        Ok(RecordingFacts { digest: chain.head.to_string(), frames: chain.frames, bytes: chain.bytes })
    }

    /// The chain, when it may grow.
    fn open_chain(&self) -> Result<std::sync::MutexGuard<'_, Chain>, RecordingError> {
        let chain = self.chain.lock().map_err(|_| RecordingError("a frame before broke off".to_owned()))?;
        if let Some(failure) = self.file.failed.borrow().as_ref() {
            return Err(failure.clone());
        }
        if chain.sealed { Err(RecordingError("it is sealed".to_owned())) } else { Ok(chain) }
    }

    fn append(&self, chain: &mut Chain, at: Timestamp, frame: &Frame<'_>) -> Result<(), RecordingError> {
        BENCH.with_borrow_mut(|bench| {
            bench.trim();
            let head = bench.build(chain, at, frame).map_err(|e| RecordingError(e.to_string()))?;
            self.hand_over(chain, &bench.block, head, 1)
        })
    }

    /// Gives a whole block to the operating system. A failure is final: what the file holds is then not known.
    fn hand_over(&self, chain: &mut Chain, block: &[u8], head: Hash, frames: u64) -> Result<(), RecordingError> {
        if let Err(e) = self.file.disk.append(block) {
            // Best effort: where it cannot be cut, recovery cuts the unfinished block.
            self.file.disk.truncate(chain.bytes).ok();
            return Err(self.file.fail("writing a frame failed", &e));
        }
        chain.head = head;
        chain.frames += frames;
        chain.bytes += block.len() as u64;
        Ok(())
    }
}

impl Bench {
    /// Builds the block of one frame in `self.block` and returns its hash.
    fn build(&mut self, chain: &mut Chain, at: Timestamp, frame: &Frame<'_>) -> Result<Hash, FormatError> {
        self.payload.clear();
        encode_frame(&mut self.payload, 0, frame)?;
        let raw = self.payload.len();
        if raw > PAYLOAD_BYTES_MAX {
            return Err(FormatError(format!("a frame of {raw} bytes is too long").into()));
        }
        let packed = raw > PACK_BYTES_MIN && chain.packing.worth_a_try() && self.pack();
        if raw > PACK_BYTES_MIN {
            chain.packing.learn(packed);
        }
        let payload = if packed { &self.packed } else { &self.payload };
        let length = |n: usize| u32::try_from(n).map_err(|_| format::odd("a frame is too long"));
        let header = BlockHeader {
            kind: BlockKind::Frames,
            packed,
            frames: 1,
            stored: length(payload.len())?,
            raw: length(raw)?,
            first: chain.frames,
            at,
        };
        self.block.clear();
        Ok(assemble(&mut self.block, &chain.head, &header, payload))
    }

    /// Packs the payload; false when that gains nothing.
    fn pack(&mut self) -> bool {
        if self.packer.is_none() {
            self.packer = zstd::bulk::Compressor::new(PACK_LEVEL).ok();
        }
        let Some(packer) = &mut self.packer else { return false };
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.payload.len()));
        let packed = packer.compress_to_buffer(self.payload.as_slice(), &mut self.packed);
        packed.is_ok_and(|bytes| bytes < self.payload.len() - self.payload.len() / 16)
    }

    fn trim(&mut self) {
        for buffer in [&mut self.payload, &mut self.packed, &mut self.block] {
            if buffer.capacity() > KEEP_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
    }
}

impl Packing {
    fn worth_a_try(&mut self) -> bool {
        self.skip = self.skip.saturating_sub(1);
        self.skip == 0
    }

    fn learn(&mut self, packed: bool) {
        if packed {
            *self = Self::default();
        } else if self.skip == 0 {
            self.misses = self.misses.saturating_add(1).min(5);
            self.skip = 1 << self.misses;
        }
    }
}

/// Appends a block to `out` and returns its hash.
fn assemble(out: &mut Vec<u8>, before: &Hash, header: &BlockHeader, payload: &[u8]) -> Hash {
    let header = header.encode();
    let hash = format::block_hash(before, &header, payload);
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    out.extend_from_slice(&hash.0);
    hash
}

/// Whether the other tasks of this thread can be moved to another while it waits.
fn on_a_worker_of_many() -> bool {
    tokio::runtime::Handle::try_current()
        .is_ok_and(|h| h.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread)
}
