//! The records of the scp protocol (BSD rcp, as OpenSSH speaks it). Pure.

use crate::protocol::ssh::inspect::InspectError;

/// What the side that gives files says between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// `T`: times for the next file or folder.
    Times,
    /// `C`: a file, its content follows.
    File { special: bool, bytes: u64, name: &'a [u8] },
    /// `D`: what follows is in this folder, until [`Self::End`].
    Folder { special: bool, name: &'a [u8] },
    /// `E`.
    End,
    /// A fault of that side, for the other side's person.
    Fault,
}

/// The longest line, its end included.
pub(super) const LINE_BYTES_MAX: usize = 8192;

/// The line at the front of `input` with its end. `None`: it has not all come.
pub(super) fn line(input: &[u8]) -> Result<Option<&[u8]>, InspectError> {
    match input.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') {
        Some(end) => Ok(input.get(..=end)),
        None if input.len() >= LINE_BYTES_MAX => Err(malformed("a line is too long")),
        None => Ok(None),
    }
}

/// The answer at the front of `input`, and whether it is a yes. `None`: it has not all come.
pub(super) fn answer(input: &[u8]) -> Result<Option<(&[u8], bool)>, InspectError> {
    match input.first() {
        None => Ok(None),
        Some(0) => Ok(input.get(..1).map(|bytes| (bytes, true))),
        Some(1 | 2) => Ok(line(input)?.map(|line| (line, false))),
        Some(_) => Err(malformed("an answer is neither yes nor no; does a start-up file on the element print text?")),
    }
}

/// Reads a whole line.
pub(super) fn record(line: &[u8]) -> Result<Record<'_>, InspectError> {
    let body = line.strip_suffix(b"\n").ok_or_else(|| malformed("a line does not end"))?;
    match body.split_first() {
        Some((1 | 2, _)) => Ok(Record::Fault),
        Some((b'E', b"")) => Ok(Record::End),
        Some((b'T', times)) if is_times(times) => Ok(Record::Times),
        Some((b'C', rest)) => {
            let (special, bytes, name) = header(rest)?;
            Ok(Record::File { special, bytes, name })
        }
        Some((b'D', rest)) => {
            let (special, _, name) = header(rest)?;
            Ok(Record::Folder { special, name })
        }
        _ => Err(malformed("a line is no record")),
    }
}

/// A refusal in the gateway's name. `2`: the other side gives up; `1`: it goes on with the next file.
pub(super) fn refusal(severity: u8, text: &str) -> Vec<u8> {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
    [&[severity][..], b"scp: ", text.as_bytes(), b"\n"].concat()
}

/// `mmmm length name`
fn header(text: &[u8]) -> Result<(bool, u64, &[u8]), InspectError> {
    let (mode, rest) = text.split_at_checked(4).ok_or_else(|| malformed("a mode is missing"))?;
    let mut parts = rest.splitn(3, |byte| *byte == b' ');
    let (Some(b""), Some(length), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed("a mode, a length and a name stand apart with one space"));
    };
    if !mode.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return Err(malformed("a mode is not octal"));
    }
    Ok((mode.first() != Some(&b'0'), number(length)?, name))
}

fn number(digits: &[u8]) -> Result<u64, InspectError> {
    let text = std::str::from_utf8(digits)
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = text.and_then(|text| text.parse().ok()).filter(|length| i64::try_from(*length).is_ok());
    length.ok_or_else(|| malformed("a length is not a number"))
}

fn is_times(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_digit() || *byte == b' ')
        && text.split(|byte| *byte == b' ').filter(|part| !part.is_empty()).count() == 4
}

pub(super) fn malformed(what: &str) -> InspectError {
    InspectError(format!("malformed scp stream: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        for (line, read) in [
            (&b"C0644 12 a b\n"[..], Record::File { special: false, bytes: 12, name: b"a b" }),
            (b"C4755 0 x\n", Record::File { special: true, bytes: 0, name: b"x" }),
            (b"D0755 0 d\n", Record::Folder { special: false, name: b"d" }),
            (b"T1 0 2 0\n", Record::Times),
            (b"E\n", Record::End),
            (b"\x01scp: no\n", Record::Fault),
            (b"\x02scp: no\n", Record::Fault),
        ] {
            assert_eq!(record(line), Ok(read), "{line:?}");
        }
        for line in [
            &b""[..],
            b"\n",
            b"C\n",
            b"C0644\n",
            b"C0644 \n",
            b"C0644 12\n",
            b"C0644 12x a\n",
            b"C0644 -1 a\n",
            b"C0644 +1 a\n",
            b"C0644  1 a\n",
            b"C0644 0x1 a\n",
            b"C0644 9223372036854775808 a\n",
            b"C0644 99999999999999999999999 a\n",
            b"C0684 1 a\n",
            b"C644 1 a\n",
            b"C00644 1 a\n",
            b"Cx644 1 a\n",
            b"D0755 x d\n",
            b"E \n",
            b"E0\n",
            b"T1 0 2\n",
            b"T1 0 2 0 4\n",
            b"T-1 0 2 0\n",
            b"T\n",
            b"c0644 1 a\n",
            b"hello\n",
            b"\0\n",
            b"C0644 1 a",
        ] {
            assert!(record(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn answers_wait_for_their_end() {
        assert_eq!(answer(b""), Ok(None));
        assert_eq!(answer(b"\0\0"), Ok(Some((&b"\0"[..], true))));
        assert_eq!(answer(b"\x01no"), Ok(None));
        assert_eq!(answer(b"\x02no\nx"), Ok(Some((&b"\x02no\n"[..], false))));
        assert!(answer(b"Welcome").is_err());
        assert!(answer(&[1; LINE_BYTES_MAX]).is_err());
        assert!(line(&[b'x'; LINE_BYTES_MAX]).is_err());
    }

    #[test]
    fn a_refusal_is_one_line() {
        assert_eq!(refusal(1, "no\n\0E"), b"\x01scp: no  E\n");
    }
}
