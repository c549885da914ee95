//! Terminal output that may be shown on another terminal: what moves the cursor, colours and erases passes, and nothing that does more. Pure.
//!
//! Dropped are strings to the terminal (titles, the clipboard, hyperlinks, sixels: OSC, DCS, APC, PM, SOS), whatever makes it answer (its answer would be
//! typed into the shell of whoever looks), modes that outlive the playing (mouse, paste, keys), printing, and characters that change how others are shown.

use crate::domain::plain::is_unseen;

use super::text::Utf8;

/// Private modes that only change how things are shown: reverse, origin, wrapping, cursor, the other screen.
const MODES: [&str; 8] = ["5", "6", "7", "12", "25", "47", "1047", "1049"];
/// A sequence is no longer.
const SEQUENCE_BYTES_MAX: usize = 64;
/// No parameter counts further: repeating a character that often is no way to show anything.
const PARAMETER_MAX: u32 = 9_999;

/// Takes terminal output and gives what of it may be shown.
#[derive(Debug, Default)]
pub struct Tame {
    decoder: Utf8,
    state: State,
    /// Parameters and intermediate characters of the control sequence under way.
    parameters: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// A sequence of which this was the intermediate character.
    Intermediate(char),
    Control,
    /// A string that goes to the terminal.
    Text,
    TextEscape,
}

impl Tame {
    /// Takes bytes of output and appends to `out` what may be shown.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        let text = self.decoder.push(bytes);
        for c in text.chars() {
            self.take(c, out);
        }
    }

    fn take(&mut self, c: char, out: &mut String) {
        self.state = match (self.state, c) {
            // A line end calls off what was begun: nothing that is never ended swallows what follows.
            (_, '\n' | '\r' | '\u{8}') => {
                out.push(c);
                State::Ground
            }
            (_, '\u{18}' | '\u{1a}') => State::Ground,
            (State::Text, '\u{7}' | '\u{9c}') => State::Ground,
            (State::Text, '\u{1b}') => State::TextEscape,
            (State::TextEscape, '\\') => State::Ground,
            (_, '\u{1b}') => State::Escape,
            (State::Text | State::TextEscape, _) => State::Text,
            (State::Escape, '[') | (State::Ground, '\u{9b}') => {
                self.parameters.clear();
                State::Control
            }
            // `k` is a title of screen's.
            (State::Escape, ']' | 'P' | 'X' | '^' | '_' | 'k') => State::Text,
            (State::Ground, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => State::Text,
            (State::Escape, ' '..='/') => State::Intermediate(c),
            (State::Escape, '7' | '8' | 'D' | 'E' | 'H' | 'M') => {
                out.extend(['\u{1b}', c]);
                State::Ground
            }
            // Character sets: ASCII and line drawing.
            (State::Intermediate(set @ ('(' | ')')), '0' | 'B') => {
                out.extend(['\u{1b}', set, c]);
                State::Ground
            }
            (State::Escape | State::Intermediate(_), _) => State::Ground,
            (State::Control, ' '..='?') => {
                self.parameters.push(c);
                if self.parameters.len() > SEQUENCE_BYTES_MAX { State::Ground } else { State::Control }
            }
            (State::Control, '@'..='~') => {
                if may_control(&self.parameters, c) {
                    out.push_str("\u{1b}[");
                    out.push_str(&self.parameters);
                    out.push(c);
                }
                State::Ground
            }
            (State::Control, _) => State::Ground,
            (State::Ground, '\t' | '\u{7}' | '\u{e}' | '\u{f}') => {
                out.push(c);
                State::Ground
            }
            (State::Ground, c) => {
                if !is_unseen(c) {
                    out.push(c);
                }
                State::Ground
            }
        };
    }
}

/// Whether a control sequence only changes what is shown.
fn may_control(parameters: &str, last: char) -> bool {
    let numbers =
        |text: &str| text.split([';', ':']).all(|n| n.is_empty() || n.parse::<u32>().is_ok_and(|n| n <= PARAMETER_MAX));
    match last {
        'h' | 'l' => match parameters.strip_prefix('?') {
            Some(modes) => modes.split(';').all(|mode| MODES.contains(&mode)),
            None => parameters == "4",
        },
        // The shape of the cursor.
        'q' => parameters.strip_suffix(' ').is_some_and(numbers),
        '@'..='M' | 'P' | 'S' | 'T' | 'X' | 'Z' | '`' | 'a' | 'b' | 'd' | 'e' | 'f' | 'm' | 'r' | 's' | 'u' => {
            numbers(parameters)
        }
        _ => false,
    }
}

/// What sets a terminal right again after playing: colours, character set, scrolling, screen, cursor.
pub const RESET: &str =
    "\u{1b}[0m\u{1b}(B\u{f}\u{1b}7\u{1b}[r\u{1b}8\u{1b}[?6l\u{1b}[?7h\u{1b}[?5l\u{1b}[4l\u{1b}[?1049l\u{1b}[?25h\r\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tame(pieces: &[&[u8]]) -> String {
        let (mut tame, mut out) = (Tame::default(), String::new());
        pieces.iter().for_each(|piece| tame.push(piece, &mut out));
        out
    }

    #[test]
    fn what_is_shown_passes() {
        for shown in [
            "plain \u{e9}\u{4e2d}\r\n\ttext\u{8}\u{7}",
            "\u{1b}[1;31mred\u{1b}[0m \u{1b}[38:2::1:2:3mcolour\u{1b}[m",
            "\u{1b}[2J\u{1b}[H\u{1b}[10;20Hthere\u{1b}[K\u{1b}[3P\u{1b}[4@\u{1b}[2;20r",
            "\u{1b}[?1049h\u{1b}[?25l\u{1b}7\u{1b}8\u{1b}M\u{1b}[?1049l\u{1b}[?25h\u{1b}[2 q",
            "\u{1b}(0lqk\u{1b}(B\u{e}x\u{f}",
            RESET,
        ] {
            assert_eq!(tame(&[shown.as_bytes()]), shown);
            let bytes: Vec<&[u8]> = shown.as_bytes().chunks(1).collect();
            assert_eq!(tame(&bytes), shown);
        }
    }

    #[test]
    fn what_does_more_is_dropped() {
        for hostile in [
            // Titles, the clipboard, hyperlinks, sixels, and strings of every kind, with every end.
            &b"\x1b]0;title\x07"[..],
            b"\x1b]52;c;ZXZpbA==\x1b\\",
            b"\x1b]8;;http://example\x1b\\",
            b"\x1bPq#0;2;0\x1b\\",
            b"\x1b_Gf=100\x1b\\",
            b"\x1b^pm\x1b\\",
            b"\x1bXsos\x1b\\",
            b"\x1bktitle\x1b\\",
            "\u{9d}0;title\u{9c}".as_bytes(),
            "\u{90}$q\u{1b}\\".as_bytes(),
            // What a terminal answers.
            b"\x1b[c",
            b"\x1b[>c",
            b"\x1b[=c",
            b"\x1b[6n",
            b"\x1b[?15n",
            b"\x1b[x",
            b"\x1b[21t",
            b"\x1b[18t",
            b"\x1b[>q",
            b"\x1b[?2026$p",
            b"\x1b[?u",
            b"\x1b[1;1;1;1;1;1*y",
            b"\x1b[0$w",
            b"\x1bZ",
            b"\x05",
            "\u{9b}6n".as_bytes(),
            // Modes that stay, keys, printing, and what takes for ever.
            b"\x1b[?1000h",
            b"\x1b[?1004;1006h",
            b"\x1b[?25;1003h",
            b"\x1b[?2004h",
            b"\x1b[?1h",
            b"\x1b[2h",
            b"\x1b[>4;2m",
            b"\x1b=",
            b"\x1b[5i",
            b"\x1b[999999999b",
            b"\x1bc",
            b"\x1b#8",
            b"\x1b%G",
            // How others are shown.
            "\u{202e}\u{200b}\u{85}".as_bytes(),
            b"\x00\x0b\x0c\x7f",
        ] {
            assert_eq!(tame(&[b"a", hostile, b"b"]), "ab", "{}", hostile.escape_ascii());
        }
        assert_eq!(tame(&[b"\x1b]0;never ended\nnext \x1b[3\rline"]), "\nnext \rline");
        assert_eq!(tame(&[b"\xff\x9b6n"]), "\u{fffd}\u{fffd}6n", "bytes that are no text are no sequences");
        assert_eq!(tame(&[&[b"\x1b[", b"1;".repeat(40).as_slice()].concat(), b"m"]).find('\u{1b}'), None);
    }

    proptest! {
        #[test]
        fn what_passes_once_passes_again(bytes in prop::collection::vec(prop::sample::select(b"\x1b[]?0;9mnctq\\PX\x07\n\r ab\xc2\x9b\xff".to_vec()), 0..60)) {
            let once = tame(&[&bytes]);
            prop_assert_eq!(&tame(&[once.as_bytes()]), &once);
            let harmful = ["\u{1b}]", "\u{1b}P", "\u{9b}"].into_iter().any(|begin| once.contains(begin));
            prop_assert!(!harmful, "{once:?}");
            let (one, two) = bytes.split_at(bytes.len() / 2);
            prop_assert_eq!(tame(&[one, two]), once);
        }
    }
}
