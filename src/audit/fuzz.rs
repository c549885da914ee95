//! What must hold of any line in the audit log's files.

use super::layout;

/// No bytes upset the readers, and what they read has that one spelling.
pub(crate) fn audit_line(data: &[u8]) {
    if let Ok(entry) = layout::decode_entry(data) {
        let mut again = Vec::new();
        let hash = layout::encode_entry(&mut again, entry.seq, entry.at, &entry.prev, entry.event);
        assert_eq!(hash == entry.hash, again.strip_suffix(b"\n") == Some(data));
    }
    if let Ok(checkpoint) = layout::decode_checkpoint(data) {
        assert_eq!(layout::encode_checkpoint(&checkpoint).trim_end().as_bytes(), data);
    }
}
