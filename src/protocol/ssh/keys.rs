//! What keystrokes come to on a line: the text they leave, after what was erased again. Pure.

/// The keys of one line, its line end left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keys {
    /// Text and nothing else.
    Text(String),
    /// Text in which something was erased: what is left.
    Edited(String),
    /// Text with keys in between that the element answers in its own way (cursor, history, completion): the pieces of text.
    Pieces(Vec<String>),
    /// Nothing that an echo could be held against.
    Opaque,
}

impl Keys {
    /// Reads what was typed.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Opaque };
        let (mut left, mut pieces, mut erased) = (String::new(), Vec::new(), false);
        let mut chars = text.trim_end_matches(['\r', '\n']).chars();
        while let Some(c) = chars.next() {
            match c {
                '\u{8}' | '\u{7f}' => {
                    left.pop();
                    erased = true;
                }
                '\u{15}' => {
                    left.clear();
                    erased = true;
                }
                '\u{17}' => {
                    left.truncate(left.trim_end_matches(' ').trim_end_matches(|c| c != ' ').len());
                    erased = true;
                }
                c if c.is_control() => {
                    if c == '\u{1b}' {
                        skip_sequence(&mut chars);
                    }
                    pieces.push(std::mem::take(&mut left));
                }
                c => left.push(c),
            }
        }
        match (pieces.is_empty(), erased) {
            (true, false) => Self::Text(left),
            (true, true) => Self::Edited(left),
            (false, false) => {
                pieces.push(left);
                Self::Pieces(pieces.into_iter().filter(|piece| !piece.is_empty()).collect())
            }
            // What an erasing key erases is not known once the cursor may be elsewhere.
            (false, true) => Self::Opaque,
        }
    }

    /// Whether the keys, typed at a prompt (or where nothing stood), are what put `echo` there.
    pub(super) fn shown_by(&self, echo: &str, prompt: bool) -> bool {
        match self {
            Self::Text(text) | Self::Edited(text) => text.trim_end() == echo.trim_end(),
            // Pieces may stand anywhere in a line: only behind a prompt is that one the line that was edited.
            Self::Pieces(pieces) if !prompt => pieces.is_empty(),
            Self::Pieces(pieces) => {
                let mut rest = echo;
                pieces.iter().all(|piece| match rest.split_once(piece.as_str()) {
                    Some((_, after)) => {
                        rest = after;
                        true
                    }
                    None => false,
                })
            }
            Self::Opaque => false,
        }
    }

    /// The text that an echo of the whole line ends in.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Edited(text) => Some(text),
            Self::Pieces(_) | Self::Opaque => None,
        }
    }

    /// What is left of a line in which something was erased.
    pub(super) fn edited(&self) -> Option<&str> {
        match self {
            Self::Edited(left) => Some(left),
            Self::Text(_) | Self::Pieces(_) | Self::Opaque => None,
        }
    }
}

/// Skips what belongs to a key that begins with escape: `ESC [ 1 ; 5 A`, `ESC O A`, `ESC x`.
fn skip_sequence(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => drop(chars.find(|c| matches!(c, '@'..='~'))),
        Some('O') => drop(chars.next()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_to_text() {
        let pieces = |texts: &[&str]| Keys::Pieces(texts.iter().map(|t| (*t).to_owned()).collect());
        for (typed, keys) in [
            (&b"show version\r"[..], Keys::Text("show version".to_owned())),
            (b"\r\n", Keys::Text(String::new())),
            (b"shpw\x7f\x7fow\r", Keys::Edited("show".to_owned())),
            (b"wrong\x15right\r", Keys::Edited("right".to_owned())),
            (b"show  run \x17ver\r", Keys::Edited("show  ver".to_owned())),
            ("caf\u{e9}\u{7f}e".as_bytes(), Keys::Edited("cafe".to_owned())),
            (b"sh\tver\r", pieces(&["sh", "ver"])),
            (b"\x1b[A\r", pieces(&[])),
            (b"a\x1b[1;5Cb\x1bOHc\x1bfd", pieces(&["a", "b", "c", "d"])),
            (b"abc\x03", pieces(&["abc"])),
            (b"abc\x7f\x1b[D", Keys::Opaque),
            (b"\xff\r", Keys::Opaque),
        ] {
            assert_eq!(Keys::of(typed), keys, "{typed:?}");
        }
    }

    #[test]
    fn an_echo_shows_all_of_them_or_it_is_none() {
        for (typed, echo) in [
            (&b"show\r"[..], "show"),
            (b"show  \r", "show"),
            (b"shpw\x7f\x7fow\r", "show"),
            (b"sh\tver\r", "show version"),
            (b"\x1b[A\r", "anything"),
            (b"\r", ""),
        ] {
            assert!(Keys::of(typed).shown_by(echo, true), "{typed:?} {echo}");
        }
        assert!(!Keys::of(b"a\tb\r").shown_by("a motd about", false));
        for (typed, echo) in [
            (&b"show\r"[..], ""),
            (b"show\r", "sho"),
            (b"show\r", "show version"),
            (b"show\r", "****"),
            (b"sec\tret\r", ""),
            (b"sec\tret\r", "ret sec"),
            (b"secret\x03", "^C"),
            (b"se\x7fcret\x1b[D\r", "secret"),
            (b"\xff\r", "\u{fffd}"),
        ] {
            assert!(!Keys::of(typed).shown_by(echo, true), "{typed:?} {echo}");
        }
    }
}
