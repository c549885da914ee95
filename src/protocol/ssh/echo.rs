//! Which keystrokes may be kept: those that the element echoed. What is typed while it does not echo, a password above all, is counted only.
//!
//! A typed line is kept when the element has shown it: on the line where it was typed, or, for what was typed ahead, behind a command prompt.
//! So nothing is ever kept as input that does not stand in the recorded output as well, and a secret that is not echoed does not. What was
//! erased again, what a program took without showing it, and what a screen that redraws shows in pieces is hidden, never the other way round.

use std::collections::VecDeque;
use std::sync::Arc;

use super::keys::Keys;
use crate::recording::text::{Ended, Line};

/// Keystrokes and lines of them that wait; the oldest are hidden when there are more.
const WAITING_BYTES_MAX: usize = 64 << 10;
const WAITING_LINES_MAX: usize = 4_096;
/// How many of the lines that wait longest an output line may be the echo of; the newest always may.
const CANDIDATES: usize = 16;
/// A prompt is no longer.
const PROMPT_CHARS_MAX: usize = 256;

/// What became of keystrokes.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Echoed: may be kept.
    Seen(Vec<u8>),
    /// Not echoed: only how many there were.
    Hidden(u64),
}

/// What became of several, in the order in which they were typed.
#[derive(Debug, Default)]
pub(super) struct Fates(pub(super) Vec<Typed>);

impl Fates {
    pub(super) fn hide(&mut self, bytes: usize) {
        match self.0.last_mut() {
            _ if bytes == 0 => {}
            Some(Typed::Hidden(before)) => *before += bytes as u64,
            _ => self.0.push(Typed::Hidden(bytes as u64)),
        }
    }

    pub(super) fn see(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Typed::Seen(before)) => before.extend_from_slice(bytes),
            _ => self.0.push(Typed::Seen(bytes.to_vec())),
        }
    }
}

/// Keystrokes on their way, and the line of the terminal that they appear on.
#[derive(Debug, Default)]
pub struct Echo {
    /// What was typed and is not decided, oldest first. All but the last end in a line end.
    waiting: VecDeque<TypedLine>,
    bytes: usize,
    line: Line,
    /// The line as the keystrokes to come find it, once one has come.
    before: Option<Arc<str>>,
    /// The last output line was the echo of the line that waited before the first.
    follows: bool,
}

#[derive(Debug)]
struct TypedLine {
    bytes: Vec<u8>,
    /// What stood on the terminal's line when its first key was typed.
    before: Arc<str>,
    ended: bool,
    keys: Option<Keys>,
}

impl Echo {
    /// The client typed.
    pub fn typed(&mut self, input: &[u8]) -> Vec<Typed> {
        let before = self.before.get_or_insert_with(|| standing(&self.line.now())).clone();
        let mut last = None;
        for &byte in input {
            match self.waiting.back_mut() {
                Some(line) if !line.ended || (last == Some(b'\r') && byte == b'\n') => line.push(byte),
                _ => self.waiting.push_back(TypedLine::new(byte, before.clone())),
            }
            last = Some(byte);
        }
        self.bytes += input.len();
        let mut fates = Fates::default();
        while self.bytes > WAITING_BYTES_MAX || self.waiting.len() > WAITING_LINES_MAX {
            self.drop_oldest(&mut fates);
        }
        fates.0
    }

    /// The element said `output`.
    pub fn said(&mut self, output: &[u8]) -> Vec<Typed> {
        let mut fates = Fates::default();
        if output.is_empty() {
            return fates.0;
        }
        self.before = None;
        if self.waiting.is_empty() {
            self.skip(output);
            return fates.0;
        }
        let mut line = std::mem::take(&mut self.line);
        line.push(output, &mut |ended| self.ended(ended, &mut fates));
        self.line = line;
        fates.0
    }

    /// Nothing more will be said.
    pub fn finish(&mut self) -> Vec<Typed> {
        let mut fates = Fates::default();
        let line = std::mem::take(&mut self.line);
        self.ended(&line.now(), &mut fates);
        fates.hide(self.bytes);
        self.waiting.clear();
        self.bytes = 0;
        fates.0
    }

    /// Nothing waits: of the output only the line it ends at matters.
    fn skip(&mut self, output: &[u8]) {
        let last = match output.iter().rposition(|b| *b == b'\n') {
            Some(end) => {
                self.line = Line::default();
                output.get(end + 1..).unwrap_or_default()
            }
            None => output,
        };
        self.line.push(last, &mut |_| {});
        self.follows = false;
    }

    /// The terminal has ended a line: is it the echo of something that waits?
    fn ended(&mut self, ended: &Ended<'_>, fates: &mut Fates) {
        let follows = std::mem::take(&mut self.follows);
        if self.waiting.is_empty() {
            return;
        }
        let shown: String = ended.chars.iter().collect();
        if !ended.elsewhere
            && let Some(at) = self.echoed(shown.trim_end(), follows)
        {
            for _ in 0..at {
                self.hide_first(fates);
            }
            if let Some(line) = self.waiting.pop_front() {
                self.bytes -= line.bytes.len();
                line.keep(fates);
                self.follows = true;
            }
            return;
        }
        let Some(first) = self.waiting.front() else { return };
        // It stood at this line when it was typed, and the line went by without it; or it is no line, but keys that a program took one by one.
        let went_by = !first.before.is_empty() && first.before.trim_end() == shown.trim_end();
        if !first.ended || went_by {
            self.hide_first(fates);
        }
    }

    /// Which of the waiting lines `shown` is the echo of.
    fn echoed(&mut self, shown: &str, follows: bool) -> Option<usize> {
        let newest = self.waiting.len().checked_sub(1)?;
        let candidates = (0..newest.min(CANDIDATES)).chain([newest]);
        candidates
            .into_iter()
            .find(|at| self.waiting.get_mut(*at).is_some_and(|line| line.is_echoed_by(shown, follows && *at == 0)))
    }

    fn hide_first(&mut self, fates: &mut Fates) {
        if let Some(line) = self.waiting.pop_front() {
            self.bytes -= line.bytes.len();
            fates.hide(line.bytes.len());
        }
    }

    /// Makes room: hides the oldest line, or of a line that alone is too long what came first.
    fn drop_oldest(&mut self, fates: &mut Fates) {
        match self.waiting.front_mut() {
            Some(line) if !line.ended => {
                let excess = self.bytes.saturating_sub(WAITING_BYTES_MAX).min(line.bytes.len());
                line.bytes.drain(..excess);
                line.keys = None;
                self.bytes -= excess;
                fates.hide(excess);
            }
            _ => self.hide_first(fates),
        }
    }
}

impl TypedLine {
    fn new(byte: u8, before: Arc<str>) -> Self {
        let mut line = Self { bytes: Vec::new(), before, ended: false, keys: None };
        line.push(byte);
        line
    }

    fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
        self.ended = matches!(byte, b'\r' | b'\n');
        self.keys = None;
    }

    /// Whether the element showed this line by showing `shown`; `next` says that the line typed before it was shown just above.
    fn is_echoed_by(&mut self, shown: &str, next: bool) -> bool {
        let keys = self.keys.get_or_insert_with(|| Keys::of(&self.bytes));
        if let Some(echo) = shown.strip_prefix(&*self.before).or_else(|| at_end(shown, &self.before))
            && keys.shown_by(echo, !self.before.is_empty())
        {
            return true;
        }
        let Some(text) = keys.text().map(str::trim_end).filter(|text| !text.is_empty()) else { return false };
        shown.strip_suffix(text).is_some_and(|before| (next && before.is_empty()) || is_command_prompt(before))
    }

    /// Keeps what was shown of it: of a line in which something was erased, what was left.
    fn keep(&self, fates: &mut Fates) {
        match self.keys.as_ref().and_then(Keys::edited) {
            None => fates.see(&self.bytes),
            Some(left) => {
                let end = self.bytes.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
                let end = self.bytes.get(end..).unwrap_or_default();
                fates.hide(self.bytes.len().saturating_sub(left.len() + end.len()));
                fates.see(left.as_bytes());
                fates.see(end);
            }
        }
    }
}

/// The line at a prompt: what stands on it, when that is short enough to be one.
fn standing(now: &Ended<'_>) -> Arc<str> {
    if now.elsewhere || now.chars.len() > PROMPT_CHARS_MAX {
        return Arc::from("\u{0}");
    }
    now.chars.iter().collect::<String>().into()
}

/// An empty rest, when `shown` is `before` but for spaces at its end.
fn at_end<'s>(shown: &'s str, before: &str) -> Option<&'s str> {
    (before.trim_end() == shown).then_some("")
}

/// Whether this is what an element shows before a command.
fn is_command_prompt(text: &str) -> bool {
    let text = text.trim();
    text.len() <= PROMPT_CHARS_MAX && text.ends_with(['>', '#', '$', '%', ']'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recording::text::PlainText;

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
        (String::from_utf8(seen).expect("text"), hidden)
    }

    #[test]
    fn what_is_echoed_is_kept() {
        for (steps, seen) in [
            (&[("s", "s"), ("h", "h"), ("\r", "\r\nrouter#")][..], "sh\r"),
            (&[("show ver\r", "show ver\r\nVersion 1\r\n")], "show ver\r"),
            (&[("show", ""), ("", "sh"), ("", "ow")], "show"),
            (&[("\x03", "^C\r\n")], "\x03"),
            (&[("a\n", "a\r\n")], "a\n"),
            (&[("", "Name: "), ("ada\r", "ada\r\n")], "ada\r"),
            (&[("", "r# "), ("caf\u{e9}\r", "caf"), ("", "\u{e9}\r\n")], "caf\u{e9}\r"),
            // Completion, history, and a prompt in colours.
            (&[("", "r# "), ("sh\t", "show "), ("ver\r", "ver\r\n1\r\n")], "sh\tver\r"),
            (&[("", "r# "), ("\x1b[A", "show clock"), ("\r", "\r\n12:00\r\n")], "\x1b[A\r"),
            (&[("", "\x1b[?2004h\x1b[32mada\x1b[0m$ "), ("ls\r", "ls\r\n\x1b[?2004l\ra b\r\n")], "ls\r"),
            (&[("", "r# "), ("show ?", "show ?\r\n  clock\r\nr# show "), ("clock\r", "clock\r\n")], "show ?clock\r"),
        ] {
            assert_eq!(run(steps), (seen.to_owned(), 0), "{steps:?}");
        }
    }

    #[test]
    fn what_is_typed_ahead_is_kept_once_it_is_echoed() {
        let config = "conf t\r\nEnter commands\r\nr(config)# bgp 1\r\nr(config-bgp)# id 1\r\nr(config-bgp)# end\r\nr# ";
        for (steps, seen) in [
            (&[("", "r# "), ("conf t\rbgp 1\rid 1\rend\r", config)][..], "conf t\rbgp 1\rid 1\rend\r"),
            (&[("", "r# "), ("conf t\nbgp 1\n", ""), ("id 1\nend\n", config)], "conf t\nbgp 1\nid 1\nend\n"),
            // Before the element has said anything.
            (&[("show ver\r", ""), ("", "Welcome\r\n\r\nr> "), ("", "show ver\r\n")], "show ver\r"),
            // A terminal driver echoes all of it at once.
            (&[("", "$ "), ("cat\na\nb c\n", "cat\r\na\r\nb c\r\na\r\nb c\r\n")], "cat\na\nb c\n"),
        ] {
            assert_eq!(run(steps), (seen.to_owned(), 0), "{steps:?}");
        }
        let lines: String = (0..2_500).map(|n| format!("interface Ethernet{n}\r")).collect();
        let echoed: String = (0..2_500).map(|n| format!("r(config)# interface Ethernet{n}\r\n")).collect();
        assert!(run(&[("", "r(config)# "), (&lines, &echoed)]) == (lines, 0));
    }

    #[test]
    fn what_is_not_echoed_is_only_counted() {
        for (steps, seen, hidden) in [
            (&[("secret\r", "\r\nWelcome")][..], "", 7),
            (&[("s", ""), ("e", ""), ("c", ""), ("\r", "\r\n")], "", 4),
            (&[("s", "*"), ("*", "*"), ("\r", "\r\n")], "", 3),
            (&[("secret\r", "")], "", 7),
            (&[("en\r", "en\r\nsecret word:"), ("hunter2\r", "\r\n#"), ("x", "x")], "en\rx", 8),
            (&[("ab", "ax")], "", 2),
            (&[("h", "hello\r\n"), ("unter2\r", "\r\n")], "", 8),
            // Pasted with what comes before and after it.
            (&[("", "r> "), ("en\rhunter2\rshow run\r", "en\r\nPassword: \r\nr# show run\r\n")], "en\rshow run\r", 8),
            // What was erased again is not kept, whether it was shown or not.
            (&[("", "Password: "), ("hunter\x7f\x7f\x7f\x7f\x7f\x7f\r", "\r\n")], "\r", 12),
            (&[("", "Password: "), ("wrong\x15hunter2\r", "\r\n")], "", 14),
            (&[("", "r# "), ("shpw", "shpw"), ("\x7f\x7fow\r", "\x08 \x08\x08 \x08ow\r\n")], "show\r", 4),
            // A pager's keys, and what comes after them.
            (
                &[("", "--More--"), (" ", "\r        \rb\r\n--More--"), ("q", "\r\nr# "), ("exit\r", "exit\r\n")],
                "exit\r",
                2,
            ),
            // A screen that is drawn.
            (&[("", "\x1b[?1049h\x1b[H"), ("dd", "\x1b[5;1Hdd\x1b[K\r\n"), ("x", "")], "", 3),
        ] {
            assert_eq!(run(steps), (seen.to_owned(), hidden), "{steps:?}");
        }
    }

    #[test]
    fn a_flood_without_echo_is_bounded_and_only_the_oldest_goes() {
        let mut echo = Echo::default();
        assert_eq!(echo.typed(&[b'a'; WAITING_BYTES_MAX]), []);
        assert_eq!(echo.typed(b"bc"), [Typed::Hidden(2)]);
        assert_eq!(echo.finish(), [Typed::Hidden(WAITING_BYTES_MAX as u64)]);
        let lines = b"\r".repeat(WAITING_LINES_MAX);
        assert_eq!(echo.typed(&lines), []);
        assert_eq!(echo.typed(b"show\r"), [Typed::Hidden(1)]);
        assert_eq!(echo.said(b"r# show\r\n").last(), Some(&Typed::Seen(b"show\r".to_vec())));
    }

    /// What a terminal showed of `output`, line by line.
    fn shown(output: &[u8]) -> String {
        let (mut plain, mut text) = (PlainText::default(), String::new());
        plain.push(output, &mut text);
        plain.finish(&mut text);
        text
    }

    fn pieces() -> impl Strategy<Value = Vec<(bool, String)>> {
        let alphabet = prop::sample::select(vec![
            "a",
            "b",
            "*",
            "r# ",
            "\r",
            "\n",
            "\r\n",
            "\x7f",
            "\x08 \x08",
            "\x15",
            "\t",
            "\x1b[A",
            "\x1b[2K",
            ": ",
            "ab",
            " ",
        ]);
        let text = prop::collection::vec(alphabet, 0..6).prop_map(|parts| parts.concat());
        prop::collection::vec((any::<bool>(), text), 0..24)
    }

    proptest! {
        #[test]
        fn nothing_is_kept_that_was_not_shown(steps in pieces()) {
            let (mut echo, mut fates, mut output, mut typed) = (Echo::default(), Vec::new(), Vec::new(), 0);
            for (by_client, text) in &steps {
                if *by_client {
                    typed += text.len() as u64;
                    fates.extend(echo.typed(text.as_bytes()));
                } else {
                    output.extend_from_slice(text.as_bytes());
                    fates.extend(echo.said(text.as_bytes()));
                }
            }
            fates.extend(echo.finish());
            let (shown, mut told) = (shown(&output), 0);
            for fate in fates {
                match fate {
                    Typed::Hidden(bytes) => told += bytes,
                    Typed::Seen(bytes) => {
                        told += bytes.len() as u64;
                        let text = String::from_utf8(bytes).expect("text");
                        for word in text.replace("\x1b[A", "\r").replace("\x1b[2K", "\r").split(|c: char| c.is_control() || c == ' ') {
                            prop_assert!(shown.contains(word), "{word:?} of {text:?} was never shown: {shown:?}");
                        }
                    }
                }
            }
            prop_assert_eq!(told, typed);
        }

        /// A person at a shell that asks for a secret now and then, with output of its own in between, cut anywhere.
        #[test]
        fn a_secret_is_never_kept(
            lines in prop::collection::vec((any::<bool>(), "[a-z]{1,8}", "[ -~]{0,12}"), 1..12),
            cuts in prop::collection::vec(1usize..9, 1..40),
            ahead: bool,
        ) {
            let (mut echo, mut kept) = (Echo::default(), Vec::new());
            let mut take = |fates: Vec<Typed>| for fate in fates {
                if let Typed::Seen(bytes) = fate {
                    kept.extend(bytes);
                }
            };
            let (mut typing, mut saying) = (Vec::new(), Vec::new());
            for (secret, word, noise) in &lines {
                // Upper case stands for what nobody but the person knows.
                let word = if *secret { word.to_ascii_uppercase() } else { word.clone() };
                let noise = noise.to_ascii_lowercase();
                typing.push(format!("{word}\r"));
                saying.push(if *secret { format!("Say it: \r\n{noise}\r\n") } else { format!("r# {word}\r\n{noise}\r\n") });
            }
            if ahead {
                take(echo.typed(typing.concat().as_bytes()));
            }
            let mut cuts = cuts.iter().cycle();
            for (typed, said) in typing.iter().zip(&saying) {
                let (prompt, rest) = said.split_at(said.find(' ').map_or(0, |at| at + 1));
                take(echo.said(prompt.as_bytes()));
                if !ahead {
                    take(echo.typed(typed.as_bytes()));
                }
                let mut rest = rest.as_bytes();
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(rest.len().min(*cuts.next().expect("endless")));
                    take(echo.said(now));
                    rest = later;
                }
            }
            take(echo.finish());
            let kept = String::from_utf8(kept).expect("text");
            prop_assert!(!kept.contains(|c: char| c.is_ascii_uppercase()), "{kept:?}");
            if !ahead {
                let plain: String = lines.iter().filter(|l| !l.0).map(|l| format!("{}\r", l.1)).collect();
                prop_assert_eq!(kept, plain);
            }
        }
    }
}
