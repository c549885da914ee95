//! The bytes of a recording. Pure: everything comes in as an argument and nothing read is believed.
//!
//! ```text
//! file    = header (block | mark)* [seal]
//! header  = magic[8] version:u16 zero:u16 length:u32 facts-json[length] hash[32]
//! block   = stored:u32 kind:u8 flags:u8 frames:u16 raw:u32 first:u64 at:i64 payload[stored] hash[32]
//! payload = frame*, or a zstd frame of it (flags bit 0); of a mark and a seal: JSON
//! frame   = kind:u8 length:u32 body[length], the body beginning with the frame's time as a varint of ns after `at`
//! ```
//!
//! Numbers are little-endian, varints LEB128. The hash of the header is SHA-256 of all before it; the hash of a block is
//! SHA-256 of the hash before, the block's header and its payload as stored. See `docs/formats.md`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::audit::chain::Hash;
use crate::domain::{Outcome, Timestamp};

/// What a recording begins with: not text, and spoiled by transfers that change line ends.
pub const MAGIC: [u8; 8] = *b"\x89SPR\r\n\x1a\n";
/// The version of the format.
pub const VERSION: u16 = 1;
/// The bytes of the file's header before the facts.
pub const HEADER_BYTES: usize = 16;
/// The bytes of a block's header.
pub const BLOCK_HEADER_BYTES: usize = 28;
/// The bytes of a hash.
pub const HASH_BYTES: usize = 32;
/// The facts in the header are no longer.
pub const FACTS_BYTES_MAX: usize = 1024 * 1024;
/// The payload of a block is no longer, neither stored nor unpacked.
pub const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes that are not a recording's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormatError(pub Cow<'static, str>);

/// An error with this text.
pub(super) const fn odd(what: &'static str) -> FormatError {
    FormatError(Cow::Borrowed(what))
}

/// The header of a file, its hash included, and that hash.
///
/// # Errors
/// Facts longer than [`FACTS_BYTES_MAX`].
pub fn encode_header(facts_json: &[u8]) -> Result<(Vec<u8>, Hash), FormatError> {
    let length = u32::try_from(facts_json.len()).ok().filter(|_| facts_json.len() <= FACTS_BYTES_MAX);
    let length = length.ok_or(odd("the facts of the session are too long"))?;
    let mut out = Vec::with_capacity(HEADER_BYTES + facts_json.len() + HASH_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(facts_json);
    let hash = Hash::of(&[&out]);
    out.extend_from_slice(&hash.0);
    Ok((out, hash))
}

/// The length of the facts that follow these first bytes of a file.
///
/// # Errors
/// Anything that is not the beginning of a recording of this version.
pub fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Result<usize, FormatError> {
    let mut take = Take(bytes);
    if take.array::<8>()? != MAGIC {
        return Err(odd("it is not a recording"));
    }
    let version = u16::from_le_bytes(take.array()?);
    if version != VERSION || take.array::<2>()? != [0, 0] {
        return Err(FormatError(
            format!("it is a recording of version {version}, and this reads version {VERSION}").into(),
        ));
    }
    let length = usize::try_from(u32::from_le_bytes(take.array()?)).unwrap_or(usize::MAX);
    if length > FACTS_BYTES_MAX { Err(odd("the facts of the session are too long")) } else { Ok(length) }
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Frames.
    Frames,
    /// A signature over what stands before it.
    Mark,
    /// The seal: the last block.
    Seal,
}

/// What stands before a block's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// What it holds.
    pub kind: BlockKind,
    /// Whether the payload is a zstd frame.
    pub packed: bool,
    /// How many frames.
    pub frames: u16,
    /// Bytes of the payload in the file.
    pub stored: u32,
    /// Bytes of the payload unpacked.
    pub raw: u32,
    /// The position of its first frame, counted from 0.
    pub first: u64,
    /// The time that its frames count from.
    pub at: Timestamp,
}

impl BlockHeader {
    /// As bytes.
    pub fn encode(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let mut out = [0; BLOCK_HEADER_BYTES];
        let kind = match self.kind {
            BlockKind::Frames => 1,
            BlockKind::Seal => 2,
            BlockKind::Mark => 3,
        };
        let fields = self.stored.to_le_bytes().into_iter().chain([kind, u8::from(self.packed)]);
        let fields = fields.chain(self.frames.to_le_bytes()).chain(self.raw.to_le_bytes());
        let fields = fields.chain(self.first.to_le_bytes()).chain(self.at.as_nanos().to_le_bytes());
        for (to, from) in out.iter_mut().zip(fields) {
            *to = from;
        }
        out
    }

    /// From bytes.
    ///
    /// # Errors
    /// Anything that [`Self::encode`] does not write, or too long a payload.
    pub fn decode(bytes: &[u8; BLOCK_HEADER_BYTES]) -> Result<Self, FormatError> {
        let mut take = Take(bytes);
        let stored = u32::from_le_bytes(take.array()?);
        let [kind, flags] = take.array()?;
        let kind = match kind {
            1 => BlockKind::Frames,
            2 => BlockKind::Seal,
            3 => BlockKind::Mark,
            _ => return Err(odd("a block of no known kind")),
        };
        let packed = match flags {
            0 => false,
            1 if kind == BlockKind::Frames => true,
            _ => return Err(odd("a block with unknown flags")),
        };
        let frames = u16::from_le_bytes(take.array()?);
        let raw = u32::from_le_bytes(take.array()?);
        let (first, at) = (u64::from_le_bytes(take.array()?), Timestamp::from_nanos(i64::from_le_bytes(take.array()?)));
        let fits = |n: u32| usize::try_from(n).is_ok_and(|n| n <= PAYLOAD_BYTES_MAX);
        if !fits(stored) || !fits(raw) || (!packed && raw != stored) {
            return Err(odd("a block whose length cannot be"));
        }
        if (frames == 0) != (kind != BlockKind::Frames) || u64::MAX - first < u64::from(frames) {
            return Err(odd("a block whose count of frames cannot be"));
        }
        Ok(Self { kind, packed, frames, stored, raw, first, at })
    }

    /// The length of the whole block: header, payload and hash.
    pub fn block_bytes(&self) -> u64 {
        u64::from(self.stored) + (BLOCK_HEADER_BYTES + HASH_BYTES) as u64
    }
}

/// The hash of a block.
pub fn block_hash(before: &Hash, header: &[u8; BLOCK_HEADER_BYTES], payload: &[u8]) -> Hash {
    Hash::of(&[&before.0, header, payload])
}

/// The payload of a block, unpacked.
///
/// # Errors
/// One that does not unpack to exactly the length that the header names.
pub fn unpack<'a>(header: &BlockHeader, stored: &'a [u8]) -> Result<Cow<'a, [u8]>, FormatError> {
    if !header.packed {
        return Ok(Cow::Borrowed(stored));
    }
    let raw = usize::try_from(header.raw).unwrap_or(usize::MAX).min(PAYLOAD_BYTES_MAX);
    let bytes = zstd::bulk::decompress(stored, raw).map_err(|_| odd("a block does not unpack"))?;
    if bytes.len() == raw { Ok(Cow::Owned(bytes)) } else { Err(odd("a block unpacks to another length")) }
}

/// What a mark says: the gateway had written so many frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// How many frames stand before.
    pub frames: u64,
    /// The time of the last of them.
    pub at: Timestamp,
    /// The name of the key.
    pub key: String,
    /// Ed25519 over [`Mark::message`], in base64.
    pub signature: String,
}

impl Mark {
    /// The text that the signature covers; `head` is the hash of the block before the mark.
    pub fn message(&self, head: &Hash) -> Vec<u8> {
        let Self { frames, at, .. } = self;
        format!("sallyport recording mark v1\n{head}\n{frames}\n{at}\n").into_bytes()
    }

    /// The payload of the mark's block.
    ///
    /// # Errors
    /// None that can happen: every mark has a text form.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        serde_json::to_vec(self).map_err(|_| odd("the mark has no text form"))
    }

    /// From the payload of a mark's block.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(payload: &[u8]) -> Result<Self, FormatError> {
        let mark: Self = serde_json::from_slice(payload).map_err(|_| odd("a mark cannot be read"))?;
        if is_key_name(&mark.key) { Ok(mark) } else { Err(odd("a mark names no key")) }
    }

    /// The signature's bytes; none when it is not base64, and no key has made that.
    pub fn signature_bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.signature).unwrap_or_default()
    }
}

/// What the last block says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Why the session ended.
    pub outcome: Outcome,
    /// How many frames stand before.
    pub frames: u64,
    /// When it was sealed.
    pub at: Timestamp,
    /// The name of the key.
    pub key: String,
    /// Ed25519 over [`Seal::message`], in base64.
    pub signature: String,
}

impl Seal {
    /// The text that the signature covers; `head` is the hash of the block before the seal.
    pub fn message(&self, head: &Hash) -> Vec<u8> {
        let Self { outcome, frames, at, .. } = self;
        format!("sallyport recording seal v1\n{head}\n{frames}\n{outcome}\n{at}\n").into_bytes()
    }

    /// The payload of the seal's block.
    ///
    /// # Errors
    /// None that can happen: every seal has a text form.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        serde_json::to_vec(self).map_err(|_| odd("the seal has no text form"))
    }

    /// From the payload of a seal's block.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(payload: &[u8]) -> Result<Self, FormatError> {
        let seal: Self = serde_json::from_slice(payload).map_err(|_| odd("the seal cannot be read"))?;
        if is_key_name(&seal.key) { Ok(seal) } else { Err(odd("the seal names no key")) }
    }

    /// The signature's bytes; none when it is not base64, and no key has made that.
    pub fn signature_bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.signature).unwrap_or_default()
    }
}

/// Whether this is how keys are named: SHA-256 in hexadecimal.
fn is_key_name(name: &str) -> bool {
    Hash::from_hex(name.as_bytes()).is_some()
}

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The mask leaves seven bits.
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes fields from the front of bytes.
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(odd("it ends too early"))?;
        self.0 = rest;
        Ok(front)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        self.bytes(N)?.try_into().map_err(|_| odd("it ends too early"))
    }

    pub(super) fn varint(&mut self) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            // One spelling for each number: no bits beyond the 64th, no empty last byte.
            if (shift == 63 && bits > 1) || (shift > 0 && byte == 0) {
                return Err(odd("a number is spelt wrongly"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(odd("a number is spelt wrongly"))
    }

    pub(super) fn number(&mut self) -> Result<u32, FormatError> {
        self.varint()?.try_into().map_err(|_| odd("a number is too large"))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, FormatError> {
        let length = usize::try_from(self.varint()?).map_err(|_| odd("a text is too long"))?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| odd("a text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> BlockHeader {
        BlockHeader {
            kind: BlockKind::Frames,
            packed: false,
            frames: 1,
            stored: 9,
            raw: 9,
            first: 0,
            at: Timestamp::from_secs(1),
        }
    }

    #[test]
    fn headers_that_cannot_be_are_refused() {
        assert_eq!(BlockHeader::decode(&header().encode()), Ok(header()));
        let too_long = u32::try_from(PAYLOAD_BYTES_MAX).unwrap() + 1;
        for bad in [
            BlockHeader { frames: 0, ..header() },
            BlockHeader { kind: BlockKind::Seal, ..header() },
            BlockHeader { kind: BlockKind::Mark, ..header() },
            BlockHeader { kind: BlockKind::Mark, frames: 0, packed: true, ..header() },
            BlockHeader { kind: BlockKind::Seal, frames: 0, packed: true, ..header() },
            BlockHeader { raw: 8, ..header() },
            BlockHeader { stored: too_long, raw: too_long, ..header() },
            BlockHeader { packed: true, raw: too_long, ..header() },
            BlockHeader { first: u64::MAX, ..header() },
        ] {
            assert!(BlockHeader::decode(&bad.encode()).is_err(), "{bad:?}");
        }
        for (at, byte) in [(4, 0), (4, 4), (5, 2), (5, 0x81)] {
            let mut bytes = header().encode();
            bytes[at] = byte;
            assert!(BlockHeader::decode(&bytes).is_err(), "{at} {byte}");
        }
        let (file, _) = encode_header(b"{}").unwrap();
        let first: [u8; HEADER_BYTES] = file[..HEADER_BYTES].try_into().unwrap();
        assert_eq!(decode_header(&first), Ok(2));
        for at in 0..12 {
            let mut bytes = first;
            bytes[at] ^= 1;
            assert!(decode_header(&bytes).is_err(), "{at}");
        }
        assert!(encode_header(&vec![b' '; FACTS_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let stored = zstd::bulk::compress(&vec![0; PAYLOAD_BYTES_MAX * 4], 1).unwrap();
        let header = BlockHeader { packed: true, stored: u32::try_from(stored.len()).unwrap(), ..header() };
        assert!(unpack(&BlockHeader { raw: 9, ..header }, &stored).is_err());
        assert!(unpack(&BlockHeader { raw: u32::MAX, ..header }, &stored).is_err());
        let short = zstd::bulk::compress(b"12345678", 1).unwrap();
        assert!(unpack(&BlockHeader { raw: 9, ..header }, &short).is_err());
        assert!(unpack(&BlockHeader { raw: 8, ..header }, &short).is_ok());
    }

    proptest! {
        #[test]
        fn numbers_have_one_spelling(value: u64, bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(Take(&out).varint(), Ok(value));
            let mut take = Take(&bytes);
            if let Ok(read) = take.varint() {
                let mut again = Vec::new();
                put_varint(&mut again, read);
                prop_assert_eq!(&bytes[..bytes.len() - take.0.len()], &again);
            }
        }

        #[test]
        fn no_bytes_upset_the_block_header(bytes: [u8; BLOCK_HEADER_BYTES]) {
            if let Ok(header) = BlockHeader::decode(&bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }
    }
}
