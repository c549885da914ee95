//! How the log lies in its folder: the names of the files and the one form of each line. Pure.
//!
//! A line has exactly one spelling, so that its hash is over the bytes an auditor sees:
//!
//! ```text
//! {"seq":7,"at":"2026-11-22T08:00:00.5Z","prev":"<64 hex>","event":{…},"hash":"<64 hex>"}
//! ```
//!
//! `hash` is SHA-256 of the line up to, not including, `,"hash":`. See `docs/formats.md`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::Timestamp;

use super::chain::Hash;

/// The file that keeps a second process from opening the log.
pub const LOCK_FILE: &str = "lock";
/// The file of signed checkpoints.
pub const CHECKPOINTS_FILE: &str = "checkpoints.jsonl";
/// Room that is given back when the disk is full, so that the refusals can be written.
pub const RESERVE_FILE: &str = "reserve";
/// No line is longer.
pub const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

const HASH_KEY: &[u8] = b",\"hash\":\"";
/// `,"hash":"` + 64 digits + `"}`.
const TAIL_BYTES: usize = 9 + 64 + 2;

/// The name of the segment whose first entry is `seq`.
pub fn segment_name(seq: u64) -> String {
    format!("{seq:020}.jsonl")
}

/// The first entry of the segment with this name; `None` for any other file.
pub fn segment_start(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".jsonl")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Appends the line of an entry, its line end included, to `out` and returns its hash.
pub fn encode_entry(out: &mut Vec<u8>, seq: u64, at: Timestamp, prev: &Hash, event_json: &[u8]) -> Hash {
    let start = out.len();
    out.extend_from_slice(format!("{{\"seq\":{seq},\"at\":\"{at}\",\"prev\":\"{prev}\",\"event\":").as_bytes());
    out.extend_from_slice(event_json);
    let hash = Hash::of(&[out.get(start..).unwrap_or_default()]);
    out.extend_from_slice(HASH_KEY);
    out.extend_from_slice(hash.to_string().as_bytes());
    out.extend_from_slice(b"\"}\n");
    hash
}

/// An entry as its line says it; nothing of it is checked but the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryLine<'a> {
    /// Its position.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The hash it names for the entry before.
    pub prev: Hash,
    /// The event, as JSON.
    pub event: &'a [u8],
    /// The hash it names for itself.
    pub hash: Hash,
    /// The bytes that `hash` should be of.
    pub covered: &'a [u8],
}

/// Why bytes are not a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LineError(&'static str);

/// Reads one line, without its line end.
///
/// # Errors
/// Anything but the one form that [`encode_entry`] writes.
pub fn decode_entry(line: &[u8]) -> Result<EntryLine<'_>, LineError> {
    if line.len() > LINE_BYTES_MAX {
        return Err(LineError("the line is too long"));
    }
    let cut = line.len().checked_sub(TAIL_BYTES).ok_or(LineError("the line is too short"))?;
    let (covered, tail) = line.split_at_checked(cut).ok_or(LineError("the line is too short"))?;
    let hash = tail
        .strip_prefix(HASH_KEY)
        .and_then(|t| t.strip_suffix(b"\"}"))
        .and_then(Hash::from_hex)
        .ok_or(LineError("the line does not end with its hash"))?;
    let rest = covered.strip_prefix(b"{\"seq\":").ok_or(LineError("the line does not begin with its position"))?;
    let (seq, rest) = until(rest, b",\"at\":\"").ok_or(LineError("the time is missing"))?;
    let (at, rest) = until(rest, b"\",\"prev\":\"").ok_or(LineError("the hash of the entry before is missing"))?;
    let (prev, event) = until(rest, b"\",\"event\":").ok_or(LineError("the event is missing"))?;
    Ok(EntryLine {
        seq: number(seq).ok_or(LineError("the position is not a number"))?,
        at: time(at).ok_or(LineError("the time is not RFC 3339"))?,
        prev: Hash::from_hex(prev).ok_or(LineError("the hash of the entry before is not a hash"))?,
        event,
        hash,
        covered,
    })
}

/// A signed statement that the log reached `seq` with `head` as its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry it covers.
    pub seq: u64,
    /// That entry's hash.
    pub head: Hash,
    /// That entry's time, or the close's.
    pub at: Timestamp,
    /// The name of the key.
    pub key: String,
    /// Ed25519, over [`super::chain::checkpoint_message`].
    pub signature: Vec<u8>,
}

/// The line of a checkpoint, its line end included.
pub fn encode_checkpoint(checkpoint: &Checkpoint) -> String {
    let Checkpoint { seq, head, at, key, signature } = checkpoint;
    let signature = STANDARD.encode(signature);
    format!("{{\"seq\":{seq},\"head\":\"{head}\",\"at\":\"{at}\",\"key\":\"{key}\",\"signature\":\"{signature}\"}}\n")
}

/// Reads the line of a checkpoint, without its line end.
///
/// # Errors
/// Anything but the one form that [`encode_checkpoint`] writes.
pub fn decode_checkpoint(line: &[u8]) -> Result<Checkpoint, LineError> {
    const ODD: LineError = LineError("it is not a checkpoint");
    let rest = line.strip_prefix(b"{\"seq\":").ok_or(ODD)?;
    let (seq, rest) = until(rest, b",\"head\":\"").ok_or(ODD)?;
    let (head, rest) = until(rest, b"\",\"at\":\"").ok_or(ODD)?;
    let (at, rest) = until(rest, b"\",\"key\":\"").ok_or(ODD)?;
    let (key, rest) = until(rest, b"\",\"signature\":\"").ok_or(ODD)?;
    let checkpoint = Checkpoint {
        seq: number(seq).ok_or(ODD)?,
        head: Hash::from_hex(head).ok_or(ODD)?,
        at: time(at).ok_or(ODD)?,
        key: Hash::from_hex(key).ok_or(ODD)?.to_string(),
        signature: STANDARD.decode(rest.strip_suffix(b"\"}").ok_or(ODD)?).map_err(|_| ODD)?,
    };
    Ok(checkpoint)
}

/// Splits at the first `mark`, which is short and near.
fn until<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let near = bytes.get(..160).unwrap_or(bytes);
    let at = near.windows(mark.len()).position(|w| w == mark)?;
    Some((bytes.get(..at)?, bytes.get(at + mark.len()..)?))
}

/// A number in its one form: no sign, no leading zero.
fn number(digits: &[u8]) -> Option<u64> {
    let plain = digits == b"0" || (digits.first().is_some_and(|b| *b != b'0') && digits.iter().all(u8::is_ascii_digit));
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

/// A time in its one form: the one that [`Timestamp`] displays.
fn time(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let at: Timestamp = text.parse().ok()?;
    (at.to_string() == text).then_some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn segments_are_named_by_their_first_entry() {
        assert_eq!(segment_start(&segment_name(0)), Some(0));
        assert_eq!(segment_start(&segment_name(u64::MAX)), Some(u64::MAX));
        for name in [
            "",
            "0.jsonl",
            "checkpoints.jsonl",
            "0000000000000000000x.jsonl",
            "99999999999999999999.jsonl",
            "00000000000000000000.jsonl~",
        ] {
            assert_eq!(segment_start(name), None, "{name}");
        }
    }

    #[test]
    fn only_one_spelling_is_a_line() {
        let mut line = Vec::new();
        encode_entry(&mut line, 7, Timestamp::from_secs(1_800_000_000), &Hash::ZERO, br#"{"event":"gateway-stopped"}"#);
        let text = String::from_utf8(line).unwrap();
        let text = text.trim_end();
        assert!(decode_entry(text.as_bytes()).is_ok());
        for (from, to) in [
            ("\"seq\":7", "\"seq\":07"),
            ("\"seq\":7", "\"seq\":+7"),
            ("\"seq\":7", "\"seq\": 7"),
            ("\"seq\":7", "\"seq\":18446744073709551616"),
            ("00Z", "00.0Z"),
            ("\"at\"", "\"At\""),
            ("\"prev\":\"0", "\"prev\":\"G"),
            ("\"prev\":\"0", "\"prev\":\""),
            (",\"hash\":\"", ",\"hash\" :\""),
            ("\"}", "\"} "),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text, "{from}");
            let spoiled = if from == "\"}" { format!("{text} ") } else { bad };
            assert!(decode_entry(spoiled.as_bytes()).is_err(), "{from} -> {to}");
        }
        assert!(decode_entry(b"").is_err());
    }

    proptest! {
        #[test]
        fn entries_come_back(seq: u64, nanos: i64, prev: [u8; 32], event in "\\PC{0,200}") {
            let (at, prev) = (Timestamp::from_nanos(nanos), Hash(prev));
            let mut line = Vec::new();
            let hash = encode_entry(&mut line, seq, at, &prev, event.as_bytes());
            let entry = decode_entry(line.strip_suffix(b"\n").unwrap()).unwrap();
            prop_assert_eq!((entry.seq, entry.at, entry.prev, entry.hash), (seq, at, prev, hash));
            prop_assert_eq!(entry.event, event.as_bytes());
            prop_assert_eq!(Hash::of(&[entry.covered]), hash);
        }

        #[test]
        fn checkpoints_come_back(seq: u64, nanos: i64, head: [u8; 32], key: [u8; 32], signature: Vec<u8>) {
            let checkpoint = Checkpoint { seq, head: Hash(head), at: Timestamp::from_nanos(nanos), key: Hash(key).to_string(), signature };
            let line = encode_checkpoint(&checkpoint);
            prop_assert_eq!(decode_checkpoint(line.trim_end().as_bytes()), Ok(checkpoint));
        }

        #[test]
        fn no_bytes_upset_the_readers(bytes: Vec<u8>) {
            prop_assert!(decode_entry(&bytes).is_err());
            prop_assert!(decode_checkpoint(&bytes).is_err());
        }
    }
}
