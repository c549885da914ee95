//! Content without a terminal: kept up to a cap, and beyond it represented by its length and digest.

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
        let mut sha256 = [0; 32];
        for (to, from) in sha256.iter_mut().zip(self.digest.finish().as_ref()) {
            *to = *from;
        }
        Some(Total { bytes: self.bytes, kept: self.cap, sha256 })
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
}
