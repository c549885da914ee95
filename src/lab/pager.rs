//! Output a page at a time (pure): `--More--`, blank for a page, Enter for a line, anything else for enough.

use std::collections::VecDeque;

const MORE: &[u8] = b" --More-- ";

/// Output that is waiting for a key.
#[derive(Debug)]
pub(super) struct Pager {
    lines: VecDeque<String>,
}

impl Pager {
    /// Shows the first page of `text`; what is left waits in a pager. `length` 0 shows everything.
    pub(super) fn show(text: &str, length: u32, out: &mut Vec<u8>) -> Option<Self> {
        let mut pager = Self { lines: text.lines().map(str::to_owned).collect() };
        let page = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(1);
        pager.advance(if length == 0 { usize::MAX } else { page.max(1) }, out).then_some(pager)
    }

    /// Takes one key. `false`: nothing waits any more.
    pub(super) fn key(&mut self, key: u8, length: u32, out: &mut Vec<u8>) -> bool {
        let back = MORE.len();
        out.extend(std::iter::repeat_n(0x08, back));
        out.extend(std::iter::repeat_n(b' ', back));
        out.extend(std::iter::repeat_n(0x08, back));
        match key {
            b' ' => self.advance(usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(1).max(1), out),
            b'\r' | b'\n' => self.advance(1, out),
            _ => false,
        }
    }

    fn advance(&mut self, count: usize, out: &mut Vec<u8>) -> bool {
        for line in self.lines.drain(..count.min(self.lines.len())) {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if !self.lines.is_empty() {
            out.extend_from_slice(MORE);
        }
        !self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let text = "1\n2\n3\n4\n5\n";
        let begin = |length| {
            let mut out = Vec::new();
            let pager = Pager::show(text, length, &mut out);
            (pager, String::from_utf8(out).unwrap())
        };
        assert_eq!(begin(0).1, "1\r\n2\r\n3\r\n4\r\n5\r\n");
        assert_eq!(begin(6).1, "1\r\n2\r\n3\r\n4\r\n5\r\n");
        assert!(begin(0).0.is_none() && begin(6).0.is_none());
        assert_eq!(begin(3).1, "1\r\n2\r\n --More-- ");
        assert_eq!(begin(1).1, "1\r\n --More-- ");
        for (key, more, shown) in [
            (b' ', true, "3\r\n4\r\n --More-- "),
            (b'\r', true, "3\r\n --More-- "),
            (b'q', false, ""),
            (3, false, ""),
            (b'x', false, ""),
        ] {
            let mut out = Vec::new();
            let mut pager = begin(3).0.unwrap();
            assert_eq!(pager.key(key, 3, &mut out), more, "{key}");
            let erase = "\u{8}".repeat(10);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{erase}{}{erase}{shown}", " ".repeat(10)));
        }
    }
}
