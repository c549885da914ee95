//! Text that others made, so that showing it does nothing but show it.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a terminal does something else with the character than show it: controls of both sets, and those that change how others are shown
/// (bidirectional controls and the like).
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with such characters written out (`\u{1b}`), line ends apart.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escape_with(text, |c| is_unseen(c) && c != '\n', |out, c| out.extend(c.escape_unicode()))
}

/// The text on one line as Rust writes it in quotes, but with quotes as they are: a path with keys stays one that can be copied.
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\'' | '"') { out.push(c) } else { out.extend(c.escape_debug()) }
    }
    out
}

/// JSON text with such characters in the form of JSON (`\u009b`). JSON itself escapes only those below U+0020, and those never stand in it but
/// as white space.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    escape_with(
        json,
        |c| is_unseen(c) && c >= '\u{20}',
        |out, c| {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a text does not fail.
                write!(out, "\\u{unit:04x}").ok();
            }
        },
    )
}

fn escape_with(text: &str, escapes: impl Fn(char) -> bool, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.chars().any(&escapes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if escapes(c) { write(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_written_out() {
        for (text, plain) in [
            ("plain \u{e9}\u{4e2d} text\nwith lines", "plain \u{e9}\u{4e2d} text\nwith lines"),
            ("\u{1b}]0;x\u{7}", "\\u{1b}]0;x\\u{7}"),
            ("\u{9b}31m\r\u{7f}", "\\u{9b}31m\\u{d}\\u{7f}"),
            ("a\u{202e}b\u{200b}\u{2066}", "a\\u{202e}b\\u{200b}\\u{2066}"),
        ] {
            assert_eq!(escaped(text), plain);
        }
    }

    #[test]
    fn one_line_that_can_be_copied() {
        for (text, plain) in [
            ("/a[k='x']/\"b\"", "/a[k='x']/\"b\""),
            ("a\nb\r\u{1b}[0m", "a\\nb\\r\\u{1b}[0m"),
            ("a\\'b", "a\\\\'b"),
            ("\u{202e}x", "\\u{202e}x"),
        ] {
            assert_eq!(one_line(text), plain);
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        for text in ["plain", "\u{9b}31m", "\u{7f}\u{1b}\n", "\u{202e}", "\u{e0041}", "\"\\"] {
            let json = serde_json::to_string(text).unwrap();
            let escaped = escaped_json(&json);
            assert!(!escaped.chars().any(is_unseen), "{escaped}");
            assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
        let pretty = "{\n  \"a\": 1\n}";
        assert_eq!(escaped_json(pretty), pretty);
    }
}
