//! What a terminal showed, as lines of plain text: control sequences obeyed where they move within a line, dropped
//! otherwise. Pure. Nothing that it returns can move a cursor, set a title or answer a query.

use crate::domain::plain::is_unseen;

/// A line longer than this is broken.
const LINE_CHARS_MAX: usize = 8192;
/// What switches to another screen and back.
const SCREENS: [usize; 3] = [47, 1047, 1049];

/// Turns terminal output into lines.
#[derive(Debug, Default)]
pub struct PlainText {
    line: Line,
}

impl PlainText {
    /// Takes bytes of output and appends the lines they complete to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        self.line.push(bytes, &mut |ended| {
            out.extend(ended.chars);
            out.push('\n');
        });
    }

    /// Appends what stands on the last line.
    pub fn finish(&mut self, out: &mut String) {
        if !self.line.chars.is_empty() {
            self.line.end(&mut |ended| {
                out.extend(ended.chars);
                out.push('\n');
            });
        }
    }
}

/// The line of a terminal that output is at: printed, overwritten, erased.
#[derive(Debug, Default)]
pub struct Line {
    decoder: Utf8,
    state: State,
    chars: Vec<char>,
    column: usize,
    elsewhere: bool,
}

/// A line that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// What stood on it, without spaces at its end.
    pub chars: &'a [char],
    /// Whether the cursor was sent elsewhere meanwhile, so that this is not all that is known of the line.
    pub elsewhere: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// A control sequence with its first number, and whether it is a private one.
    Control(usize, bool),
    /// A string that goes to the terminal, up to BEL or `ESC \`.
    Text,
    TextEscape,
    /// One more character belongs to the sequence.
    One,
}

impl Line {
    /// Takes bytes of output and shows each line that they end to `each`.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(&Ended<'_>)) {
        let text = self.decoder.push(bytes);
        for c in text.chars() {
            self.take(c, each);
        }
    }

    /// What stands on the line now.
    pub fn now(&self) -> Ended<'_> {
        Ended { chars: &self.chars, elsewhere: self.elsewhere }
    }

    fn take(&mut self, c: char, each: &mut dyn FnMut(&Ended<'_>)) {
        self.state = match (self.state, c) {
            // What the sequence began is called off; an unfinished string must not swallow the lines that follow.
            (State::Control(..) | State::Text | State::TextEscape, '\n' | '\r' | '\u{8}') => {
                self.print(c, each);
                State::Ground
            }
            (_, '\u{18}' | '\u{1a}') => State::Ground,
            (State::Text, '\u{7}') => State::Ground,
            (State::Text, '\u{1b}') => State::TextEscape,
            (State::Text, _) => State::Text,
            (State::TextEscape, '\\') => State::Ground,
            (_, '\u{1b}') => State::Escape,
            (State::TextEscape, _) => State::Text,
            (State::Escape, '[') => State::Control(0, false),
            (State::Escape, ']' | 'P' | 'X' | '^' | '_') => State::Text,
            (State::Escape, ' '..='/') => State::One,
            (State::Escape, c) => {
                self.elsewhere |= matches!(c, '7' | '8' | 'D' | 'E' | 'M' | 'c');
                State::Ground
            }
            (State::One, _) => State::Ground,
            (State::Control(n, private), '0'..='9') => {
                State::Control(n.saturating_mul(10).saturating_add(c.to_digit(10).unwrap_or(0) as usize), private)
            }
            (State::Control(n, private), ' '..='?') => State::Control(n, private || ('<'..='?').contains(&c)),
            (State::Control(n, private), '@'..='~') => {
                self.control(c, n, private);
                State::Ground
            }
            (State::Control(..), _) => State::Ground,
            (State::Ground, '\u{9b}') => State::Control(0, false),
            (State::Ground, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => State::Text,
            (State::Ground, _) => {
                self.print(c, each);
                State::Ground
            }
        };
    }

    fn print(&mut self, c: char, each: &mut dyn FnMut(&Ended<'_>)) {
        match c {
            '\n' => self.end(each),
            '\r' => self.column = 0,
            '\u{8}' => self.column = self.column.saturating_sub(1),
            '\t' => self.put('\t', each),
            c if is_unseen(c) => {}
            c => self.put(c, each),
        }
    }

    fn put(&mut self, c: char, each: &mut dyn FnMut(&Ended<'_>)) {
        while self.chars.len() < self.column {
            self.chars.push(' ');
        }
        match self.chars.get_mut(self.column) {
            Some(there) => *there = c,
            None => self.chars.push(c),
        }
        self.column += 1;
        if self.column >= LINE_CHARS_MAX {
            self.elsewhere = true;
            self.end(each);
            self.elsewhere = true;
        }
    }

    fn control(&mut self, last: char, n: usize, private: bool) {
        let count = n.max(1);
        match last {
            'h' | 'l' if private => self.elsewhere |= SCREENS.contains(&n),
            // Insert mode.
            'h' if n == 4 => self.elsewhere = true,
            _ if private => {}
            'C' => self.column = self.column.saturating_add(count).min(LINE_CHARS_MAX - 1),
            'D' => self.column = self.column.saturating_sub(count),
            'G' => self.column = (count - 1).min(LINE_CHARS_MAX - 1),
            'K' | 'J' if n == 0 => self.chars.truncate(self.column),
            'K' if n == 2 => self.chars.clear(),
            'P' => {
                let from = self.column.min(self.chars.len());
                let to = from.saturating_add(count).min(self.chars.len());
                self.chars.drain(from..to);
            }
            '@' => {
                let from = self.column.min(self.chars.len());
                let room = LINE_CHARS_MAX.saturating_sub(self.chars.len());
                self.chars.splice(from..from, std::iter::repeat_n(' ', count.min(room)));
            }
            // Colours, modes, reports.
            'b' | 'c' | 'g' | 'h' | 'i' | 'l' | 'm' | 'n' | 'p' | 'q' | 't' | 'x' => {}
            _ => self.elsewhere = true,
        }
    }

    fn end(&mut self, each: &mut dyn FnMut(&Ended<'_>)) {
        let kept = self.chars.iter().rposition(|c| *c != ' ').map_or(0, |last| last + 1);
        each(&Ended { chars: self.chars.get(..kept).unwrap_or_default(), elsewhere: self.elsewhere });
        self.chars.clear();
        (self.column, self.elsewhere) = (0, false);
    }
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
            (b"\x1b]0;never ended\nnext\n", "\nnext\n"),
            (b"\x1b[3\nnext\x1b]0;x\x18 seen\n", "\nnext seen\n"),
            (b"shver\x1b[3D\x1b[3@ow \r\n", "show ver\n"),
            (b"ab\x1b[1D\x1b[Jc\n", "ac\n"),
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
