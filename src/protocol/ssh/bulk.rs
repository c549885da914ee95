//! Content without a terminal: kept up to a cap, and beyond it represented by its length and digest.

use crate::recording::sha256_of;
use aws_lc_rs::digest::{Context, SHA256};

/// One stream of a command.
pub(super) struct Bulk {
    cap: u64,
    bytes: u64,
    digest: Context,
}

/// What a stream came to, when not all of it was kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) bytes: u64,
    pub(super) kept: u64,
    pub(super) sha256: [u8; 32],
}

impl Bulk {
    pub(super) fn new(cap: u64) -> Self {
        Self { cap, bytes: 0, digest: Context::new(&SHA256) }
    }

    /// Takes bytes that pass and returns the part of them to keep.
    pub(super) fn take<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        self.digest.update(data);
        let room = usize::try_from(self.cap.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        data.get(..room.min(data.len())).unwrap_or_default()
    }

    /// The total, when the cap was passed.
    pub(super) fn finish(self) -> Option<Total> {
        if self.bytes <= self.cap {
            return None;
        }
        let sha256 = sha256_of(self.digest);
        Some(Total { bytes: self.bytes, kept: self.cap, sha256 })
    }
}

/// Input of which the content is not kept: its length is told while it passes, and its digest at the end.
pub(super) struct Counted {
    bulk: Bulk,
    untold: u64,
}

/// Every piece is told at once as long as the input is shorter.
const TOLD_AT_ONCE_BYTES: u64 = 64 << 10;
/// And then a step of so many bytes at a time.
const STEP_BYTES: u64 = 1 << 20;
/// The digest of less could be guessed from: it is not kept.
const DIGEST_BYTES_MIN: u64 = 1 << 10;

/// What is said of such input at its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Its length and digest.
    Digest(Total),
    /// Only its length: a password can be found out from its digest.
    Length(u64),
}

impl Counted {
    pub(super) fn new() -> Self {
        Self { bulk: Bulk::new(0), untold: 0 }
    }

    /// Takes bytes that are to go on and returns how many must be told before they do.
    pub(super) fn take(&mut self, data: &[u8]) -> Option<u64> {
        self.bulk.take(data);
        self.untold = self.untold.saturating_add(data.len() as u64);
        let due = self.untold > 0 && (self.bulk.bytes <= TOLD_AT_ONCE_BYTES || self.untold >= STEP_BYTES);
        due.then(|| std::mem::take(&mut self.untold))
    }

    /// What it came to, if there was any.
    pub(super) fn finish(self) -> Option<Told> {
        let total = self.bulk.finish()?;
        Some(if total.bytes < DIGEST_BYTES_MIN { Told::Length(total.bytes) } else { Told::Digest(total) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_up_to_the_cap_and_digests_everything() {
        let mut bulk = Bulk::new(4);
        assert_eq!((bulk.take(b"abc"), bulk.take(b"def"), bulk.take(b"g")), (&b"abc"[..], &b"d"[..], &b""[..]));
        let total = bulk.finish().expect("past the cap");
        let whole = aws_lc_rs::digest::digest(&SHA256, b"abcdefg");
        assert_eq!((total.bytes, total.kept, &total.sha256[..]), (7, 4, whole.as_ref()));
        let mut bulk = Bulk::new(3);
        assert_eq!(bulk.take(b"abc"), b"abc");
        assert_eq!(bulk.finish(), None);
    }

    #[test]
    fn short_input_leaves_no_digest_to_guess_from() {
        let mut counted = Counted::new();
        assert_eq!((counted.take(b"hunter2"), counted.take(b"\n"), counted.take(b"")), (Some(7), Some(1), None));
        assert_eq!(counted.finish(), Some(Told::Length(8)));
        assert_eq!(Counted::new().finish(), None);
    }

    #[test]
    fn long_input_is_told_in_steps_and_by_its_digest() {
        let (mut counted, piece, mut told) = (Counted::new(), [7; 32 << 10], Vec::new());
        for _ in 0..100 {
            told.extend(counted.take(&piece));
        }
        assert_eq!(told, [32 << 10, 32 << 10, 1 << 20, 1 << 20, 1 << 20]);
        let Some(Told::Digest(total)) = counted.finish() else { panic!("a digest") };
        let whole = aws_lc_rs::digest::digest(&SHA256, &piece.repeat(100));
        assert_eq!((total.bytes, total.kept, &total.sha256[..]), (100 * (32 << 10), 0, whole.as_ref()));
    }
}
