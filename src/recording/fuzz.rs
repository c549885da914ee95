//! What must hold of any bytes in the place of a recording.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, memfd_create};

use super::decode_frame;
use super::format::{self, BLOCK_HEADER_BYTES, BlockHeader, HASH_BYTES, HEADER_BYTES, Seal};
use super::reader::{Item, Reader, is_sealed};
use super::tame::Tame;
use super::text::PlainText;
use crate::audit::chain::Hash;

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

/// A recording as a file: whatever is in it, the reader ends, goes only forward and counts what it gives. The same with its chain of hashes made
/// right, so that it gets behind them.
pub(crate) fn recording_file(data: &[u8]) {
    read(data);
    read(&chained(data));
}

fn read(data: &[u8]) {
    let Ok(memory) = memfd_create("recording", MemfdFlags::CLOEXEC) else { return };
    let file = File::from(memory);
    if file.write_all_at(data, 0).is_err() {
        return;
    }
    let Ok(again) = file.try_clone() else { return };
    let Ok(Ok(mut reader)) = Reader::over(file) else { return };
    let (mut place, mut frames, mut damaged, mut over) = (reader.place(), 0_u64, false, false);
    // Each item takes a byte at least, apart from the one that says how it ends.
    for _ in 0..data.len() + 2 {
        let item = match reader.next_item() {
            Ok(Some(item)) => item,
            Ok(None) => {
                over = true;
                break;
            }
            Err(error) => panic!("a file in memory cannot be read: {error}"),
        };
        let now = reader.place();
        assert!(now.offset >= place.offset && now.frames >= place.frames, "it went back: {place:?}, {now:?}");
        assert!(now.offset <= data.len() as u64, "it is behind the end: {now:?}");
        place = now;
        match item {
            Item::Frame(frame) => {
                assert!(damaged || frame.seq == frames, "frame {} came as number {frames}", frame.seq);
                frames += 1;
            }
            Item::Mark(marked) => assert!(marked.offset < data.len() as u64),
            Item::Seal(sealed) => assert!(sealed.end <= data.len() as u64 && sealed.offset < sealed.end),
            Item::Torn { offset, bytes } => assert_eq!(offset + bytes, data.len() as u64),
            Item::Damage(damage) => {
                assert!(damage.offset <= data.len() as u64, "{damage}");
                damaged = true;
            }
        }
    }
    assert!(over, "a reader that does not end");
    assert!(reader.next_item().is_ok_and(|item| item.is_none()), "it had ended");
    drop(is_sealed(&again));
}

/// The same bytes with every hash that the lengths lead to put right.
fn chained(data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    let Some(Ok(facts)) = data.first_chunk().map(format::decode_header) else { return out };
    let mut at = HEADER_BYTES + facts;
    let mut head = match out.get(..at) {
        Some(header) => Hash::of(&[header]),
        None => return out,
    };
    loop {
        let Some(place) = out.get_mut(at..at + HASH_BYTES) else { return out };
        place.copy_from_slice(&head.0);
        let begin = at + HASH_BYTES;
        let Some(fixed) = out.get(begin..).and_then(|rest| rest.first_chunk::<BLOCK_HEADER_BYTES>()) else {
            return out;
        };
        let Ok(header) = BlockHeader::decode(fixed) else { return out };
        at = begin + BLOCK_HEADER_BYTES + usize::try_from(header.stored).unwrap_or(usize::MAX / 2);
        let Some(payload) = out.get(begin + BLOCK_HEADER_BYTES..at) else { return out };
        head = format::block_hash(&head, fixed, payload);
    }
}

/// Terminal output: what is shown of it does nothing more when it comes to a terminal again, lines hold no control characters, and where the
/// output was cut changes nothing.
pub(crate) fn terminal_output(data: &[u8]) {
    let tame = |pieces: &[&[u8]]| {
        let (mut tame, mut out) = (Tame::default(), String::new());
        pieces.iter().for_each(|piece| tame.push(piece, &mut out));
        out
    };
    let lines = |pieces: &[&[u8]]| {
        let (mut text, mut out) = (PlainText::default(), String::new());
        pieces.iter().for_each(|piece| text.push(piece, &mut out));
        text.finish(&mut out);
        out
    };
    let (shown, read) = (tame(&[data]), lines(&[data]));
    assert_eq!(tame(&[shown.as_bytes()]), shown, "what was tamed is not tame");
    for (place, _) in shown.match_indices('\u{1b}') {
        let mut rest = shown.get(place + 1..).unwrap_or_default().chars();
        let begins = rest.next();
        assert!(begins.is_some_and(|c| "[()78DEHM".contains(c)), "a sequence of {begins:?}");
        let ends = rest.find(|c| !(' '..='?').contains(c));
        // What a terminal answers, prints, or does for ever.
        assert!(begins != Some('[') || !ends.is_some_and(|c| "cintwxyz".contains(c)), "a control of {ends:?}");
    }
    assert!(!shown.contains(|c: char| ('\u{80}'..='\u{9f}').contains(&c)), "{shown:?}");
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!read.contains(harmful), "{read:?}");
    assert!(read.is_empty() || read.ends_with('\n'));
    for cut in [1, 2, 7] {
        let pieces: Vec<&[u8]> = data.chunks(cut).collect();
        assert_eq!(tame(&pieces), shown, "in pieces of {cut}");
        assert_eq!(lines(&pieces), read, "in pieces of {cut}");
    }
}
