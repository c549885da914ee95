//! Building blocks: a frame encoded, packed where that gains something, and chained.

use crate::audit::chain::Hash;
use crate::domain::Timestamp;

use super::format::{self, BlockHeader, BlockKind, FormatError, PAYLOAD_BYTES_MAX};
use super::frame::{Frame, encode_frame};

/// A payload is packed when it is longer.
const PACK_BYTES_MIN: usize = 256;
/// The same for messages of a management protocol: most are short, and building the tables for one costs more than what is gained.
const PACK_MESSAGE_BYTES_MIN: usize = 1024;
/// The level: the fastest that still codes literals by their frequency, which is what terminal output gains from.
const PACK_LEVEL: i32 = 1;
/// Buffers that grew beyond this are given back.
const KEEP_BYTES_MAX: usize = 512 * 1024;

/// Whether packing has been worth it lately: content that does not pack is tried ever more seldom.
#[derive(Debug, Default)]
pub(super) struct Packing {
    misses: u8,
    skip: u8,
}

/// What a thread needs to build a block; a session needs none of it between its frames.
#[derive(Default)]
pub(super) struct Bench {
    packer: Option<zstd::bulk::Compressor<'static>>,
    payload: Vec<u8>,
    packed: Vec<u8>,
    block: Vec<u8>,
}

impl Bench {
    /// The block that was built last.
    pub(super) fn block(&self) -> &[u8] {
        &self.block
    }

    /// Builds the block of `frames`, which happen at one moment, and returns its hash.
    pub(super) fn build(
        &mut self,
        before: &Hash,
        first: u64,
        packing: &mut Packing,
        at: Timestamp,
        frames: &[Frame<'_>],
    ) -> Result<Hash, FormatError> {
        self.payload.clear();
        let count = u16::try_from(frames.len()).map_err(|_| format::odd("too many frames at once"))?;
        for frame in frames {
            encode_frame(&mut self.payload, 0, frame)?;
        }
        let raw = self.payload.len();
        if raw > PAYLOAD_BYTES_MAX {
            return Err(FormatError(format!("a frame of {raw} bytes is too long").into()));
        }
        let message = frames.iter().any(|frame| matches!(frame, Frame::Exchange { .. }));
        let worth_it = raw > if message { PACK_MESSAGE_BYTES_MIN } else { PACK_BYTES_MIN };
        let packed = worth_it && packing.worth_a_try() && self.pack();
        if worth_it {
            packing.learn(packed);
        }
        let payload = if packed { &self.packed } else { &self.payload };
        let length = |n: usize| u32::try_from(n).map_err(|_| format::odd("a frame is too long"));
        let header = BlockHeader {
            kind: BlockKind::Frames,
            packed,
            frames: count,
            stored: length(payload.len())?,
            raw: length(raw)?,
            first,
            at,
        };
        self.block.clear();
        Ok(assemble(&mut self.block, before, &header, payload))
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

    /// Gives back what grew large.
    pub(super) fn trim(&mut self) {
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
pub(super) fn assemble(out: &mut Vec<u8>, before: &Hash, header: &BlockHeader, payload: &[u8]) -> Hash {
    let header = header.encode();
    let hash = format::block_hash(before, &header, payload);
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    out.extend_from_slice(&hash.0);
    hash
}
