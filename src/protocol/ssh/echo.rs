//! Which keystrokes may be kept: those that the element echoed. What is typed while it does not echo, a password above all, is counted only.
//!
//! Keystrokes wait until the element says something. What it says must begin with them (a carriage return counts as answered by a line end);
//! from the first difference on, everything that waits is hidden. So a terminal program that redraws instead of echoing loses some input from
//! the record, and never the other way round.

use std::collections::VecDeque;

/// Keystrokes beyond this wait no longer and are hidden.
const WAITING_MAX: usize = 4_096;

/// What became of keystrokes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Echoed: may be kept.
    Seen(Vec<u8>),
    /// Not echoed: only how many there were.
    Hidden(u64),
}

/// Keystrokes on their way.
#[derive(Debug, Default)]
pub(super) struct Echo {
    waiting: VecDeque<u8>,
}

impl Echo {
    /// The client typed.
    pub(super) fn typed(&mut self, input: &[u8]) -> Option<Typed> {
        if self.waiting.len() + input.len() > WAITING_MAX {
            let hidden = self.waiting.len() + input.len();
            self.waiting.clear();
            return Some(Typed::Hidden(hidden as u64));
        }
        self.waiting.extend(input);
        None
    }

    /// The element said `output`.
    pub(super) fn said(&mut self, output: &[u8]) -> Vec<Typed> {
        if self.waiting.is_empty() || output.is_empty() {
            return Vec::new();
        }
        let (seen, all_answered) = self.match_prefix(output);
        let mut out = Vec::new();
        if !seen.is_empty() {
            self.waiting.drain(..seen.len());
            out.push(Typed::Seen(seen));
        }
        // Output went on differently: what still waits was not echoed. Output that ended in the middle of an echo decides nothing.
        if !all_answered {
            out.extend(self.finish());
        }
        out
    }

    /// Nothing more will be said.
    pub(super) fn finish(&mut self) -> Option<Typed> {
        let hidden = self.waiting.len() as u64;
        self.waiting.clear();
        (hidden > 0).then_some(Typed::Hidden(hidden))
    }

    /// The waiting keystrokes that `output` begins with, and whether all of `output` was taken up by them or all of them were found.
    fn match_prefix(&self, output: &[u8]) -> (Vec<u8>, bool) {
        let mut seen = Vec::new();
        let mut rest = output;
        for &key in &self.waiting {
            let Some((&first, after)) = rest.split_first() else { return (seen, true) };
            let taken = match key {
                b'\r' | b'\n' if first == b'\r' => after.strip_prefix(b"\n").or(Some(after)),
                b'\r' if first == b'\n' => Some(after),
                // Control characters are shown as ^X.
                0x00..=0x1f if first == b'^' => after.split_first().filter(|(c, _)| **c == key ^ 0x40).map(|(_, r)| r),
                _ if first == key => Some(after),
                _ => None,
            };
            let Some(after) = taken else { return (seen, false) };
            seen.push(key);
            rest = after;
        }
        (seen, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: &[(&str, &str)]) -> (String, u64) {
        let mut echo = Echo::default();
        let (mut seen, mut hidden) = (Vec::new(), 0);
        let mut take = |typed: Typed| match typed {
            Typed::Seen(bytes) => seen.extend(bytes),
            Typed::Hidden(n) => hidden += n,
        };
        for (typed, said) in steps {
            echo.typed(typed.as_bytes()).into_iter().for_each(&mut take);
            echo.said(said.as_bytes()).into_iter().for_each(&mut take);
        }
        echo.finish().into_iter().for_each(&mut take);
        (String::from_utf8(seen).expect("ASCII"), hidden)
    }

    #[test]
    fn what_is_echoed_is_kept() {
        for (steps, seen) in [
            (&[("s", "s"), ("h", "h"), ("\r", "\r\nrouter#")][..], "sh\r"),
            (&[("show ver\r", "show ver\r\nVersion 1\r\n")], "show ver\r"),
            (&[("show", ""), ("", "sh"), ("", "ow")], "show"),
            (&[("\x03", "^C\r\n")], "\x03"),
            (&[("a\n", "a\r\n")], "a\n"),
        ] {
            assert_eq!(run(steps), (seen.to_owned(), 0), "{steps:?}");
        }
    }

    #[test]
    fn what_is_not_echoed_is_only_counted() {
        for (steps, seen, hidden) in [
            (&[("secret\r", "\r\nWelcome")][..], "", 7),
            (&[("s", ""), ("e", ""), ("c", ""), ("\r", "\r\n")], "", 4),
            (&[("s", "*"), ("e", "*"), ("\r", "\r\n")], "\r", 2),
            (&[("secret\r", "")], "", 7),
            (&[("en\r", "en\r\nsecret word:"), ("hunter2\r", "\r\n#"), ("x", "x")], "en\rx", 8),
            (&[("ab", "ax")], "a", 1),
        ] {
            assert_eq!(run(steps), (seen.to_owned(), hidden), "{steps:?}");
        }
    }

    #[test]
    fn a_flood_without_echo_is_bounded() {
        let mut echo = Echo::default();
        assert_eq!(echo.typed(&[b'a'; 4_096]), None);
        assert_eq!(echo.typed(b"b"), Some(Typed::Hidden(4_097)));
        assert_eq!(echo.finish(), None);
    }
}
