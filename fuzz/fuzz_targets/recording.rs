//! The decoders of recordings: file header, block header, payload, frames, seal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sallyport::recording::decode_frame;
use sallyport::recording::format::{self, BLOCK_HEADER_BYTES, BlockHeader, HEADER_BYTES, Seal};

fuzz_target!(|data: &[u8]| {
    if let Some(fixed) = data.first_chunk::<HEADER_BYTES>() {
        format::decode_header(fixed).ok();
    }
    if let Some((fixed, stored)) = data.split_first_chunk::<BLOCK_HEADER_BYTES>()
        && let Ok(header) = BlockHeader::decode(fixed)
    {
        assert_eq!(header.encode(), *fixed);
        if let Ok(payload) = format::unpack(&header, stored) {
            frames(&payload);
        }
    }
    frames(data);
    Seal::decode(data).ok();
});

fn frames(mut payload: &[u8]) {
    while let Ok(Some(_)) = decode_frame(&mut payload) {}
}
