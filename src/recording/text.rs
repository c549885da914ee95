//! What a terminal showed, as lines of plain text: control sequences obeyed where they move within a line, dropped
//! otherwise. Pure. Nothing that it returns can move a cursor, set a title or answer a query.

/// A line longer than this is broken.
const LINE_CHARS_MAX: usize = 8192;

/// Turns terminal output into lines.
#[derive(Debug, Default)]
pub struct PlainText {
    decoder: Utf8,
    state: State,
    line: Vec<char>,
    column: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// A control sequence with its first number.
    Control(usize),
    /// A string that goes to the terminal, up to BEL or `ESC \`.
    Text,
    TextEscape,
    /// One more character belongs to the sequence.
    One,
}

impl PlainText {
    /// Takes bytes of output and appends the lines they complete to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        let text = self.decoder.push(bytes);
        for c in text.chars() {
            self.take(c, out);
        }
    }

    /// Appends what stands on the last line.
    pub fn finish(&mut self, out: &mut String) {
        if !self.line.is_empty() {
            self.end_line(out);
        }
    }

    fn take(&mut self, c: char, out: &mut String) {
        self.state = match (self.state, c) {
            (State::Text, '\u{7}') => State::Ground,
            (State::Text, '\u{1b}') => State::TextEscape,
            (State::Text, _) => State::Text,
            (State::TextEscape, '\\') => State::Ground,
            (_, '\u{1b}') => State::Escape,
            (State::TextEscape, _) => State::Text,
            (State::Escape, '[') => State::Control(0),
            (State::Escape, ']' | 'P' | 'X' | '^' | '_') => State::Text,
            (State::Escape, ' '..='/') => State::One,
            (State::Escape | State::One, _) => State::Ground,
            (State::Control(n), '0'..='9') => {
                State::Control(n.saturating_mul(10).saturating_add(c.to_digit(10).unwrap_or(0) as usize))
            }
            (State::Control(n), ' '..='?') => State::Control(n),
            (State::Control(n), '@'..='~') => {
                self.control(c, n);
                State::Ground
            }
            (State::Control(_), _) => State::Ground,
            (State::Ground, '\u{9b}') => State::Control(0),
            (State::Ground, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => State::Text,
            (State::Ground, _) => {
                self.print(c, out);
                State::Ground
            }
        };
    }

    fn print(&mut self, c: char, out: &mut String) {
        match c {
            '\n' => self.end_line(out),
            '\r' => self.column = 0,
            '\u{8}' => self.column = self.column.saturating_sub(1),
            '\t' => self.put('\t', out),
            c if c.is_control() || is_invisible(c) => {}
            c => self.put(c, out),
        }
    }

    fn put(&mut self, c: char, out: &mut String) {
        while self.line.len() < self.column {
            self.line.push(' ');
        }
        match self.line.get_mut(self.column) {
            Some(there) => *there = c,
            None => self.line.push(c),
        }
        self.column += 1;
        if self.column >= LINE_CHARS_MAX {
            self.end_line(out);
        }
    }

    fn control(&mut self, last: char, n: usize) {
        let count = n.max(1);
        match last {
            'C' => self.column = self.column.saturating_add(count).min(LINE_CHARS_MAX - 1),
            'D' => self.column = self.column.saturating_sub(count),
            'G' => self.column = (count - 1).min(LINE_CHARS_MAX - 1),
            'K' if n == 0 => self.line.truncate(self.column),
            'K' if n == 2 => self.line.clear(),
            'P' => {
                let from = self.column.min(self.line.len());
                let to = from.saturating_add(count).min(self.line.len());
                self.line.drain(from..to);
            }
            _ => {}
        }
    }

    fn end_line(&mut self, out: &mut String) {
        let kept = self.line.iter().rposition(|c| *c != ' ').map_or(0, |last| last + 1);
        out.extend(self.line.iter().take(kept));
        out.push('\n');
        self.line.clear();
        self.column = 0;
    }
}

/// Characters that change how others are shown (bidirectional controls and the like).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Decodes UTF-8 that comes in pieces; what is not UTF-8 becomes U+FFFD.
#[derive(Debug, Default)]
pub struct Utf8 {
    carried: Vec<u8>,
}

impl Utf8 {
    /// The characters that `bytes` complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.carried);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let unfinished = chunks.peek().is_none() && is_prefix(chunk.invalid());
            if unfinished {
                self.carried = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }
}

/// Whether more bytes could make a character of these.
fn is_prefix(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(pieces: &[&[u8]]) -> String {
        let (mut text, mut out) = (PlainText::default(), String::new());
        pieces.iter().for_each(|piece| text.push(piece, &mut out));
        text.finish(&mut out);
        out
    }

    #[test]
    fn lines_are_what_was_seen() {
        for (raw, seen) in [
            (&b"a\r\nb\r\n"[..], "a\nb\n"),
            (b"shpw\x08\x08ow\r\n", "show\n"),
            (b"half\rHALF", "HALF\n"),
            (b"password: \x1b[2Kx", "          x\n"),
            (b"\x1b[1;31mred\x1b[0m plain", "red plain\n"),
            (b"\x1b]0;evil title\x07ok", "ok\n"),
            (b"\x1b]52;c;ZXZpbA==\x1b\\ok", "ok\n"),
            (b"\x1bP1$r\x1b\\ok\x1b(B!", "ok!\n"),
            (b" --More-- \r          \rnext", "next\n"),
            (b"abc\x1b[2DX\x1b[K", "aX\n"),
            (b"abcdef\x1b[3G\x1b[2P", "abef\n"),
            ("\u{9b}31mred\u{202e}x\u{7}".as_bytes(), "redx\n"),
            (b"\x00\x05\x0e\x7f", ""),
            (b"\xff\xfe", "\u{fffd}\u{fffd}\n"),
        ] {
            assert_eq!(plain(&[raw]), seen, "{raw:?}");
        }
        assert_eq!(plain(&[b"\xe2\x82", b"\xac", b"\x1b[", b"31", b"mx"]), "\u{20ac}x\n");
    }

    proptest! {
        #[test]
        fn nothing_harmful_comes_through(bytes: Vec<u8>, cut: prop::sample::Index) {
            let (one, two) = bytes.split_at(if bytes.is_empty() { 0 } else { cut.index(bytes.len()) });
            let text = plain(&[one, two]);
            prop_assert!(text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
            prop_assert_eq!(text, plain(&[&bytes]));
        }
    }
}
