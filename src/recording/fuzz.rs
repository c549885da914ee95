//! What must hold of any bytes in the place of a recording.

use super::decode_frame;
use super::format::{self, BLOCK_HEADER_BYTES, BlockHeader, HASH_BYTES, HEADER_BYTES, Seal};

/// The decoders take whatever comes, as a whole file, as blocks without one, and as frames; a block's header has one spelling.
pub(crate) fn recording(data: &[u8]) {
    if let Some((fixed, after)) = data.split_first_chunk::<HEADER_BYTES>()
        && let Ok(facts) = format::decode_header(fixed)
    {
        blocks(after.get(facts + HASH_BYTES..).unwrap_or_default());
    }
    blocks(data);
    frames(data);
    drop(Seal::decode(data));
}

fn blocks(mut rest: &[u8]) {
    while let Some((fixed, after)) = rest.split_first_chunk::<BLOCK_HEADER_BYTES>() {
        let Ok(header) = BlockHeader::decode(fixed) else { return };
        assert_eq!(header.encode(), *fixed);
        let length = usize::try_from(header.stored).unwrap_or(usize::MAX);
        let Some((stored, after)) = after.split_at_checked(length) else { return };
        if let Ok(payload) = format::unpack(&header, stored) {
            assert_eq!(payload.len(), usize::try_from(header.raw).unwrap_or(usize::MAX));
            frames(&payload);
        }
        rest = after.get(HASH_BYTES..).unwrap_or_default();
    }
}

fn frames(mut payload: &[u8]) {
    loop {
        let before = payload.len();
        if !matches!(decode_frame(&mut payload), Ok(Some(_))) {
            return;
        }
        assert!(payload.len() < before, "a frame was read that takes no room");
    }
}
