//! The digest of a file's content, taken while the content passes.

use std::collections::BTreeMap;

use aws_lc_rs::digest;

/// Content of one file that passes in one direction: how much, and SHA-256 while it is one run from the first byte.
#[derive(Debug, Clone)]
pub(super) struct Content {
    bytes: u64,
    /// Whether more moved than passed here.
    unseen: bool,
    /// Absent once the content was seen not to be one run from offset 0.
    run: Option<Run>,
}

#[derive(Clone)]
struct Run {
    next: u64,
    digest: digest::Context,
    /// Pieces that came before their turn, by offset.
    early: BTreeMap<u64, Vec<u8>>,
}

/// What early pieces may still take, shared by the files of one inspector.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    pub(super) bytes_left: usize,
}

/// Room that an early piece takes beside its bytes.
const PIECE_BYTES: usize = 96;

impl Content {
    pub(super) fn new() -> Self {
        let run = Run { next: 0, digest: digest::Context::new(&digest::SHA256), early: BTreeMap::new() };
        Self { bytes: 0, unseen: false, run: Some(run) }
    }

    /// Content of which only the length is of use.
    pub(super) fn unhashed() -> Self {
        Self { bytes: 0, unseen: false, run: None }
    }

    /// Bytes that passed.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How much content the file has, as far as it passed. Absent when some did not.
    pub(super) fn size(&self) -> Option<u64> {
        (!self.unseen).then_some(self.bytes)
    }

    /// SHA-256 in hexadecimal of the [`Self::bytes`] bytes that passed, when they are the file's first ones, each once.
    pub(super) fn sha256(&self) -> Option<String> {
        let run = self.run.as_ref().filter(|run| run.early.is_empty())?;
        Some(data_encoding::HEXLOWER.encode(run.digest.clone().finish().as_ref()))
    }

    /// Takes the piece at `offset`.
    pub(super) fn add(&mut self, offset: u64, piece: &[u8], budget: &mut Budget) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        let Some(run) = &mut self.run else { return };
        if piece.is_empty() {
            return;
        }
        let kept = if offset == run.next { run.take(piece, budget) } else { run.keep(offset, piece, budget) };
        if !kept {
            self.give_up(budget);
        }
    }

    /// Content moves without passing here.
    pub(super) fn moves_unseen(&mut self, budget: &mut Budget) {
        self.unseen = true;
        self.give_up(budget);
    }

    /// The content is not one run from the first byte, or not all of it was seen.
    pub(super) fn give_up(&mut self, budget: &mut Budget) {
        if let Some(run) = self.run.take() {
            budget.bytes_left += run.early.values().map(|piece| piece.len() + PIECE_BYTES).sum::<usize>();
        }
    }
}

impl Run {
    fn take(&mut self, piece: &[u8], budget: &mut Budget) -> bool {
        self.feed(piece);
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() > self.next {
                return true;
            }
            let (offset, early) = entry.remove_entry();
            budget.bytes_left += early.len() + PIECE_BYTES;
            if offset < self.next {
                return false;
            }
            self.feed(&early);
        }
        true
    }

    fn keep(&mut self, offset: u64, piece: &[u8], budget: &mut Budget) -> bool {
        let room = piece.len() + PIECE_BYTES;
        if offset < self.next || room > budget.bytes_left || self.early.contains_key(&offset) {
            return false;
        }
        budget.bytes_left -= room;
        self.early.insert(offset, piece.to_vec());
        true
    }

    fn feed(&mut self, piece: &[u8]) {
        self.digest.update(piece);
        self.next = self.next.saturating_add(piece.len() as u64);
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("next", &self.next).field("early", &self.early.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(pieces: &[(u64, &[u8])], bytes_left: usize) -> (Option<String>, usize) {
        let mut budget = Budget { bytes_left };
        let mut content = Content::new();
        for (offset, piece) in pieces {
            content.add(*offset, piece, &mut budget);
        }
        (content.sha256(), budget.bytes_left)
    }

    #[test]
    fn order_does_not_matter_and_gaps_do() {
        let whole = digest_of(&[(0, b"abcdef")], 0).0;
        assert!(whole.is_some());
        assert_eq!(digest_of(&[(0, b"ab"), (2, b"cd"), (4, b"ef")], 0), (whole.clone(), 0));
        assert_eq!(digest_of(&[(4, b"ef"), (2, b"cd"), (0, b"ab")], 1000), (whole, 1000));
        for broken in [
            &[(1, &b"bc"[..])][..],
            &[(0, b"ab"), (3, b"de")],
            &[(0, b"ab"), (0, b"ab")],
            &[(0, b"ab"), (1, b"bc")],
            &[(2, b"cd"), (2, b"cd"), (0, b"ab")],
            &[(2, b"cd"), (3, b"d"), (0, b"ab")],
        ] {
            assert_eq!(digest_of(broken, 1000).0, None, "{broken:?}");
        }
    }

    #[test]
    fn early_pieces_are_bounded() {
        let (digest, left) = digest_of(&[(2, b"cd"), (4, b"ef"), (0, b"ab")], PIECE_BYTES + 3);
        assert_eq!((digest, left), (None, PIECE_BYTES + 3));
    }
}
