//! The line editor of the router (pure): keys in, echo and events out. History included; no screen is known but the line itself.

use std::collections::VecDeque;

/// The longest line; more keys are answered with a bell.
const LINE_MAX: usize = 1024;
/// Lines that the up key finds.
const HISTORY_MAX: usize = 50;
const BELL: u8 = 0x07;

/// What a key led to, besides its echo.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Nothing more.
    Plain,
    /// The line is finished.
    Enter(String),
    /// Tab: complete the line up to the cursor.
    Tab,
    /// `?`: help on the line up to the cursor.
    Help,
    /// Ctrl-C: the line is thrown away.
    Abandon,
    /// Ctrl-Z: the line is finished, and so is configuring.
    Finish(String),
    /// Ctrl-D on an empty line.
    Leave,
}

/// One line being typed.
#[derive(Debug, Default)]
pub(super) struct Editor {
    line: Vec<char>,
    cursor: usize,
    history: VecDeque<String>,
    /// How far back in the history the line comes from; 0 is the new line.
    back: usize,
    escape: Escape,
    partial: Vec<u8>,
    hidden: bool,
    cut: Vec<char>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Begun,
    /// After `ESC [` or `ESC O`, with the number read so far.
    Sequence(u16),
}

impl Editor {
    /// Whether what is typed is kept from the screen and from history, as for passwords.
    pub(super) fn hide(&mut self, hidden: bool) {
        self.hidden = hidden;
    }

    /// The line up to the cursor.
    pub(super) fn before_cursor(&self) -> String {
        self.line.iter().take(self.cursor).collect()
    }

    /// What a fresh line has to show after its prompt.
    pub(super) fn redraw(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.hidden {
            put(&mut out, self.line.iter());
            back(&mut out, self.line.len() - self.cursor);
        }
        out
    }

    /// Replaces the part before the cursor, as completion does. Nothing is shown.
    pub(super) fn replace_before_cursor(&mut self, text: &str) {
        self.line.splice(..self.cursor, text.chars());
        self.cursor = text.chars().count();
    }

    /// The lines typed so far, oldest first.
    pub(super) fn history(&self) -> impl Iterator<Item = &str> {
        self.history.iter().map(String::as_str)
    }

    /// Takes one byte; its echo goes to `out`.
    pub(super) fn key(&mut self, byte: u8, out: &mut Vec<u8>) -> Key {
        match std::mem::take(&mut self.escape) {
            Escape::None => {}
            Escape::Begun => {
                self.escape_begun(byte, out);
                return Key::Plain;
            }
            Escape::Sequence(number) => {
                self.escape_sequence(number, byte, out);
                return Key::Plain;
            }
        }
        match byte {
            b'\r' | b'\n' => return Key::Enter(self.take(out)),
            0x03 => {
                self.discard(out);
                return Key::Abandon;
            }
            0x04 if self.line.is_empty() => return Key::Leave,
            0x1a => {
                out.extend_from_slice(b"^Z");
                return Key::Finish(self.take(out));
            }
            b'\t' if !self.hidden => return Key::Tab,
            b'?' if !self.hidden => {
                out.push(b'?');
                return Key::Help;
            }
            0x1b => self.escape = Escape::Begun,
            0x20..=0x7e => self.insert(char::from(byte), out),
            0x80.. => self.part_of_character(byte, out),
            control => self.control(control, out),
        }
        Key::Plain
    }

    fn control(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            0x01 => self.move_to(0, out),
            0x02 => self.move_to(self.cursor.saturating_sub(1), out),
            0x04 => self.erase(self.cursor, self.cursor + 1, out),
            0x05 => self.move_to(self.line.len(), out),
            0x06 => self.move_to(self.cursor + 1, out),
            0x08 | 0x7f => self.erase(self.cursor.saturating_sub(1), self.cursor, out),
            0x0b => self.erase(self.cursor, self.line.len(), out),
            0x0c | 0x12 => {
                out.extend_from_slice(b"\r\n");
                out.extend(self.redraw());
            }
            0x0e => self.recall(self.back.saturating_sub(1), out),
            0x10 => self.recall(self.back + 1, out),
            0x15 => self.erase(0, self.cursor, out),
            0x17 => self.erase(self.word_begin(), self.cursor, out),
            0x18 => self.erase(0, self.line.len(), out),
            0x19 => {
                for c in self.cut.clone() {
                    self.insert(c, out);
                }
            }
            _ => {}
        }
    }

    fn escape_begun(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'[' | b'O' => self.escape = Escape::Sequence(0),
            b'b' => self.move_to(self.word_begin(), out),
            b'f' => self.move_to(self.word_end(), out),
            b'd' => self.erase(self.cursor, self.word_end(), out),
            0x7f => self.erase(self.word_begin(), self.cursor, out),
            _ => {}
        }
    }

    fn escape_sequence(&mut self, number: u16, byte: u8, out: &mut Vec<u8>) {
        match (byte, number) {
            (b'0'..=b'9', _) => {
                self.escape = Escape::Sequence(number.saturating_mul(10).saturating_add(u16::from(byte - b'0')));
            }
            (b';', _) => self.escape = Escape::Sequence(0),
            (b'A', _) => self.recall(self.back + 1, out),
            (b'B', _) => self.recall(self.back.saturating_sub(1), out),
            (b'C', _) => self.move_to(self.cursor + 1, out),
            (b'D', _) => self.move_to(self.cursor.saturating_sub(1), out),
            (b'H', _) | (b'~', 1 | 7) => self.move_to(0, out),
            (b'F', _) | (b'~', 4 | 8) => self.move_to(self.line.len(), out),
            (b'~', 3) => self.erase(self.cursor, self.cursor + 1, out),
            _ => {}
        }
    }

    /// Collects the bytes of one character that is not ASCII; what is not UTF-8 is dropped.
    fn part_of_character(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte >= 0xc0 {
            self.partial.clear();
        }
        self.partial.push(byte);
        let whole = std::str::from_utf8(&self.partial).ok().and_then(|text| text.chars().next());
        if let Some(c) = whole {
            self.partial.clear();
            self.insert(c, out);
        } else if self.partial.len() >= 4 {
            self.partial.clear();
        }
    }

    fn insert(&mut self, c: char, out: &mut Vec<u8>) {
        if self.line.len() >= LINE_MAX {
            out.push(BELL);
            return;
        }
        self.line.insert(self.cursor, c);
        self.cursor += 1;
        if !self.hidden {
            put(out, self.line.iter().skip(self.cursor - 1));
            back(out, self.line.len() - self.cursor);
        }
    }

    /// Takes `from..to` out of the line and draws what is left.
    fn erase(&mut self, from: usize, to: usize, out: &mut Vec<u8>) {
        let to = to.min(self.line.len());
        if from >= to {
            out.push(BELL);
            return;
        }
        self.move_to(from, out);
        let gone: Vec<char> = self.line.drain(from..to).collect();
        if !self.hidden {
            put(out, self.line.iter().skip(from));
            out.extend(std::iter::repeat_n(b' ', gone.len()));
            back(out, self.line.len() - from + gone.len());
        }
        if gone.len() > 1 {
            self.cut = gone;
        }
    }

    fn move_to(&mut self, to: usize, out: &mut Vec<u8>) {
        let to = to.min(self.line.len());
        if !self.hidden {
            if to < self.cursor {
                back(out, self.cursor - to);
            } else {
                put(out, self.line.iter().take(to).skip(self.cursor));
            }
        }
        self.cursor = to;
    }

    fn recall(&mut self, wanted: usize, out: &mut Vec<u8>) {
        if self.hidden || wanted > self.history.len() || wanted == self.back {
            out.push(BELL);
            return;
        }
        if !self.line.is_empty() {
            self.erase(0, self.line.len(), out);
        }
        self.back = wanted;
        let text =
            self.history.len().checked_sub(wanted).and_then(|at| self.history.get(at)).cloned().unwrap_or_default();
        self.line = text.chars().collect();
        self.cursor = self.line.len();
        put(out, self.line.iter());
    }

    fn word_begin(&self) -> usize {
        let blank = |at: usize| self.line.get(at).is_none_or(|c| c.is_whitespace());
        let mut at = self.cursor;
        while at > 0 && blank(at - 1) {
            at -= 1;
        }
        while at > 0 && !blank(at - 1) {
            at -= 1;
        }
        at
    }

    fn word_end(&self) -> usize {
        let rest = self.line.iter().skip(self.cursor);
        let blanks = rest.clone().take_while(|c| c.is_whitespace()).count();
        self.cursor + blanks + rest.skip(blanks).take_while(|c| !c.is_whitespace()).count()
    }

    /// Ends the line: hands it out and keeps it in history.
    fn take(&mut self, out: &mut Vec<u8>) -> String {
        out.extend_from_slice(b"\r\n");
        let line: String = self.line.iter().collect();
        if !self.hidden && !line.trim().is_empty() && self.history.back() != Some(&line) {
            self.history.push_back(line.clone());
            if self.history.len() > HISTORY_MAX {
                self.history.pop_front();
            }
        }
        self.clear();
        line
    }

    fn discard(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.clear();
    }

    fn clear(&mut self) {
        self.line.clear();
        self.cursor = 0;
        self.back = 0;
        self.partial.clear();
    }
}

fn put<'a>(out: &mut Vec<u8>, chars: impl Iterator<Item = &'a char>) {
    let mut buffer = [0; 4];
    for c in chars {
        out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }
}

fn back(out: &mut Vec<u8>, count: usize) {
    out.extend(std::iter::repeat_n(0x08, count));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types everything; gives the last event and what a terminal of one endless line would show.
    fn type_in(editor: &mut Editor, keys: &[u8]) -> (Key, String) {
        let mut out = Vec::new();
        let mut last = Key::Plain;
        for byte in keys {
            last = editor.key(*byte, &mut out);
        }
        (last, screen(&out))
    }

    fn screen(out: &[u8]) -> String {
        let (mut line, mut at) = (Vec::new(), 0);
        for c in String::from_utf8_lossy(out).chars() {
            match c {
                '\u{8}' => at -= 1,
                '\r' | '\n' | '\u{7}' => {}
                c => {
                    if at == line.len() {
                        line.push(c);
                    } else {
                        line[at] = c;
                    }
                    at += 1;
                }
            }
        }
        line.into_iter().collect::<String>().trim_end().to_owned()
    }

    #[test]
    fn the_line_and_the_screen_agree() {
        for (keys, line) in [
            (&b"show ver\r"[..], "show ver"),
            (b"shwo\x7f\x7fow\r", "show"),
            (b"how\x01s\r", "show"),
            (b"sow\x1b[D\x1b[Dh\x05 x\r", "show x"),
            (b"show version\x17\x17ping\r", "ping"),
            (b"show version\x15ping\r", "ping"),
            (b"show version\x01\x0bping\r", "ping"),
            (b"show version\x01\x04\x04\r", "ow version"),
            (b"abc\x1b[1~\x1b[3~\r", "bc"),
            (b"abc\x18de\r", "de"),
            (b"one two\x1bb\x1bd2\r", "one 2"),
            (b"ab\x15\x19c\r", "abc"),
            (b"\x7f\x7f\x15\x1b[A\x1b[Bx\r", "x"),
            ("h\u{e9}\u{7f}e\r".as_bytes(), "he"),
            (b"a\xff\xfe\xc3b\r", "ab"),
            (b"\x1b[999999999999Ax\r", "x"),
            (b"x\x1bOD\x1bOCy\r", "xy"),
        ] {
            let (event, shown) = type_in(&mut Editor::default(), keys);
            assert_eq!((event, shown.as_str()), (Key::Enter(line.to_owned()), line), "{keys:?}");
        }
    }

    #[test]
    fn history_goes_back_and_forth() {
        let mut editor = Editor::default();
        type_in(&mut editor, b"first\rsecond\rsecond\r");
        assert_eq!(editor.history().collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(type_in(&mut editor, b"\x10\x10\r").0, Key::Enter("first".to_owned()));
        assert_eq!(type_in(&mut editor, b"\x1b[A\x1b[A\x1b[B\r").0, Key::Enter("first".to_owned()));
        assert_eq!(type_in(&mut editor, b"\x10\x0e\r").0, Key::Enter(String::new()));
        for n in 0..200 {
            type_in(&mut editor, format!("line {n}\r").as_bytes());
        }
        assert_eq!(editor.history().count(), HISTORY_MAX);
    }

    #[test]
    fn hidden_lines_leave_no_trace() {
        let mut editor = Editor::default();
        editor.hide(true);
        let mut out = Vec::new();
        for byte in b"sec?\tret\x7f\x10" {
            editor.key(*byte, &mut out);
        }
        assert_eq!(screen(&out), "");
        assert_eq!(editor.key(b'\r', &mut out), Key::Enter("sec?re".to_owned()));
        assert_eq!(editor.history().count(), 0);
    }

    #[test]
    fn events_and_limits() {
        for (keys, event) in [
            (&b"x\t"[..], Key::Tab),
            (b"x?", Key::Help),
            (b"x\x03", Key::Abandon),
            (b"x\x1a", Key::Finish("x".to_owned())),
            (b"\x04", Key::Leave),
            (b"x\x04", Key::Plain),
        ] {
            assert_eq!(type_in(&mut Editor::default(), keys).0, event, "{keys:?}");
        }
        let mut editor = Editor::default();
        type_in(&mut editor, &vec![b'x'; LINE_MAX * 3]);
        assert_eq!(type_in(&mut editor, b"\r").0, Key::Enter("x".repeat(LINE_MAX)));
    }
}
