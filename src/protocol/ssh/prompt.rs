//! A dialogue without a terminal, where nothing is echoed: which of the lines sent may be kept, and which may hold a secret.
//!
//! A line that is sent at a command prompt is a command and kept at once. Any other waits for the end of the channel, because what was sent
//! ahead may turn out to answer a prompt for a secret that comes only then. Once such a prompt shows, everything that waits is hidden, and so is
//! everything sent until the element has gone on to another line. What is sent at any other question is hidden too: its words are not known.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::echo::{Fates, Typed};

/// As much of the end of the output as a prompt may have.
const TAIL_BYTES: usize = 256;
/// Bytes that wait; the oldest are hidden when there are more.
const HELD_BYTES_MAX: usize = 1 << 20;
/// What a prompt for a secret says and little else does. ASCII letters stand for both cases.
const WORDS: &[&str] = &[
    "passwor",
    "passwd",
    "passphrase",
    "pass phrase",
    "passcode",
    "secret",
    "pin",
    "otp",
    "kennwort",
    "geheim",
    "mot de passe",
    "contrase",
    "clave",
    "senha",
    "parola",
    "palavra-passe",
    "wachtwoord",
    "lösenord",
    "LÖSENORD",
    "losenord",
    "passord",
    "adgangskode",
    "salasana",
    "heslo",
    "hasło",
    "haslo",
    "jelsz",
    "şifre",
    "Şifre",
    "sifre",
    "κωδικ",
    "Κωδικ",
    "парол",
    "Парол",
    "密码",
    "密碼",
    "口令",
    "パスワード",
    "暗証番号",
    "비밀번호",
    "암호",
];
/// What it may say, and other output too.
const VAGUE_WORDS: &[&str] =
    &["token", "code", "credential", "challenge", "response", "verification", "authenticat", "key"];
/// A word that is no longer is not looked for inside others.
const SHORT_BYTES: usize = 4;

/// Finds [`WORDS`] and, behind them, [`VAGUE_WORDS`].
static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = WORDS.iter().chain(VAGUE_WORDS);
    AhoCorasick::builder().ascii_case_insensitive(true).build(words).ok()
});

/// Where the line that the client is sending goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    Kept,
    Held,
    Hidden,
}

/// What the element said last, and what the client sent that is not decided.
#[derive(Debug, Default)]
pub struct Dialogue {
    tail: Vec<u8>,
    /// A prompt for a secret has shown, and nothing else since.
    asking: bool,
    /// The command prompt at the end of the output has had its line.
    answered: bool,
    held: Vec<u8>,
    going: Option<Going>,
}

impl Dialogue {
    /// The client sent `input`.
    pub fn sent(&mut self, input: &[u8]) -> Vec<Typed> {
        let mut fates = Fates::default();
        for line in input.split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
            let going = self.going.unwrap_or_else(|| self.beginning());
            match going {
                Going::Kept => fates.see(line),
                Going::Held => self.held.extend_from_slice(line),
                Going::Hidden => fates.hide(line.len()),
            }
            self.going = (!line.ends_with(b"\n") && !line.ends_with(b"\r")).then_some(going);
        }
        let excess = self.held.len().saturating_sub(HELD_BYTES_MAX);
        fates.hide(self.held.drain(..excess).len());
        fates.0
    }

    /// The element said `output`.
    pub fn said(&mut self, output: &[u8]) -> Vec<Typed> {
        let mut fates = Fates::default();
        if output.is_empty() {
            return fates.0;
        }
        self.answered = false;
        for line in output.split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
            self.tail.extend_from_slice(line);
            let excess = self.tail.len().saturating_sub(TAIL_BYTES);
            self.tail.drain(..excess);
            let ended = line.ends_with(b"\n") || line.ends_with(b"\r");
            let asked = if ended { was_asked_in(&self.tail) } else { names_a_secret(&self.tail, true) };
            if asked {
                self.hide_held(&mut fates);
            }
            self.asking = if ended { false } else { asked };
            if ended {
                self.tail.clear();
            }
        }
        self.release(&mut fates);
        fates.0
    }

    /// Nothing more will be said.
    pub fn finish(&mut self) -> Vec<Typed> {
        let mut fates = Fates::default();
        fates.see(&std::mem::take(&mut self.held));
        fates.0
    }

    /// Where a line goes that begins now.
    fn beginning(&mut self) -> Going {
        if self.asking || self.questions() {
            return Going::Hidden;
        }
        if !self.answered && self.held.is_empty() && self.prompts() {
            self.answered = true;
            return Going::Kept;
        }
        Going::Held
    }

    /// The one line that waits was the command, when the element is at a command prompt after it: it was sent before that showed, and no other
    /// was. Of several it is not known how many have been read.
    fn release(&mut self, fates: &mut Fates) {
        let ends = self.held.iter().filter(|b| matches!(b, b'\n' | b'\r')).count();
        // `[name]` may also be the beginning of a question that is on its way.
        if ends == 1 && self.going.is_none() && !self.tail.trim_ascii_end().ends_with(b"]") && self.prompts() {
            self.answered = true;
            fates.see(&std::mem::take(&mut self.held));
        }
    }

    fn hide_held(&mut self, fates: &mut Fates) {
        fates.hide(std::mem::take(&mut self.held).len());
        self.going = self.going.map(|_| Going::Hidden);
    }

    /// Whether the output ends in a question that is no command prompt.
    fn questions(&self) -> bool {
        let text = self.tail.as_slice();
        let trimmed = text.trim_ascii_end();
        !trimmed.is_empty()
            && !self.prompts()
            && (trimmed.len() < text.len()
                || matches!(trimmed.last(), Some(b':' | b'?' | b')' | b']' | b'>'))
                || !text.is_ascii())
    }

    /// Whether the output ends in what an element shows before a command: a name, and one sign.
    fn prompts(&self) -> bool {
        let text = self.tail.trim_ascii();
        let Some((sign, name)) = text.split_last() else { return false };
        let signed = match sign {
            b'>' | b'#' | b'$' | b'%' => true,
            b']' => text.starts_with(b"[") && text != b"[sudo]",
            _ => false,
        };
        let named = name.iter().any(u8::is_ascii_alphanumeric)
            && name.last() != Some(sign)
            && name.iter().all(|b| b.is_ascii_alphanumeric() || b"._@:~/()[]{}<>*+-=, ".contains(b));
        signed && named && !names_a_secret(text, true)
    }
}

/// Whether a line that has ended holds a prompt for a secret, and what came after it on the same line.
fn was_asked_in(line: &[u8]) -> bool {
    let sign = line.iter().rposition(|b| matches!(b, b':' | b'?' | b'>'));
    sign.and_then(|sign| line.get(..sign)).is_some_and(|before| names_a_secret(before, false))
}

/// Whether the text has a word for a secret.
fn names_a_secret(text: &[u8], vague: bool) -> bool {
    // Without its words nothing is known not to be a prompt.
    let Some(finder) = &*FINDER else { return true };
    let letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    finder.find_overlapping_iter(text).any(|word| {
        let known = vague || word.pattern().as_usize() < WORDS.len();
        let alone = !letter(word.start().checked_sub(1)) && !letter(Some(word.end()));
        known && (alone || word.len() > SHORT_BYTES)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is kept of `steps`, and how much is hidden; a step is what the element said and what the client sent then.
    fn run(steps: &[(&str, &str)]) -> (String, u64) {
        let mut dialogue = Dialogue::default();
        let mut fates = Vec::new();
        for (said, sent) in steps {
            fates.extend(dialogue.said(said.as_bytes()));
            fates.extend(dialogue.sent(sent.as_bytes()));
        }
        fates.extend(dialogue.finish());
        let (mut kept, mut hidden) = (Vec::new(), 0);
        for fate in fates {
            match fate {
                Typed::Seen(bytes) => kept.extend(bytes),
                Typed::Hidden(bytes) => hidden += bytes,
            }
        }
        (String::from_utf8(kept).expect("text"), hidden)
    }

    #[test]
    fn what_may_be_a_secret_is_hidden() {
        for (steps, kept) in [
            // One answer, more than one, and what was sent with it before the element said anything.
            (&[("Password: ", "hunter2\nshow version\n")][..], ""),
            (
                &[("New password: ", "new\nnew\n"), ("\nRetype new password: ", ""), ("\npassword changed\n", "ls\n")],
                "ls\n",
            ),
            (&[("New password: ", "new\n"), ("\n", "new\n"), ("Retype new password: ", ""), ("\n", "ls\n")], "ls\n"),
            (
                &[
                    ("router>", "enable\n"),
                    ("Pass", ""),
                    ("word:", "hun"),
                    ("", "ter2\r"),
                    ("\r\nrouter#", "show run\n"),
                ],
                "enable\nshow run\n",
            ),
            (&[("[sudo] password for ada: ", "x\n"), ("Sorry, try again.\n[sudo] password for ada: ", "y\n")], ""),
            // Sent ahead: whole, in part, alone, and before other output.
            (&[("", "sudo -S id\nhunter2\nls\n"), ("[sudo] password for ada: uid=0(root)\n", "")], ""),
            (&[("", "id; sudo -S id\nhunter2\n"), ("uid=1\n", ""), ("Password: ", ""), ("uid=0\n", "ls\n")], "ls\n"),
            (&[("", "hunt"), ("Password: ", "er2\n")], ""),
            (&[("r> ", "enable\nhunter2\n"), ("Password: ", ""), ("\r\nr# ", "exit\n")], "enable\nexit\n"),
            (&[("", "enable\n"), ("r> ", "hunter2\n"), ("Password: ", ""), ("\nr# ", "exit\n")], "enable\nexit\n"),
            // Other words, other languages, other ends.
            (&[("Enter PIN for token:", "1234\n")], ""),
            (&[("Kennwort", "x\n")], ""),
            (&[("Mot de passe : ", "x\n")], ""),
            (&[("请输入密码：", "x\n")], ""),
            (&[("OTP> ", "123456\n")], ""),
            (&[("Verification code ", "123456\n")], ""),
            (&[("Magic word? ", "xyzzy\n")], ""),
            (&[("Name: ", "ada\n")], ""),
            (&[("Geben Sie es ein ", "x\n")], ""),
        ] {
            let sent: usize = steps.iter().map(|(_, sent)| sent.len()).sum();
            assert_eq!(run(steps), (kept.to_owned(), (sent - kept.len()) as u64), "{steps:?}");
        }
    }

    #[test]
    fn everything_else_is_kept() {
        for steps in [
            &[("", "hello\n")][..],
            &[("password changed\n", "ls\n")],
            &[("password:\n", "ls\n")],
            &[("", "ls\npwd\n"), ("a b\n/root\n", "exit\n")],
            &[("r1#", "show run\n"), ("username ada password 7 08\nenable secret 5 $1$\nr1#", "exit\n")],
            &[("[admin@MikroTik] > ", "print\n"), ("<HUAWEI>", "display version\n"), ("[~HUAWEI]", "quit\n")],
            &[("", "show clock\n"), ("r1> ", "show users\n"), ("12:00\nr1> ", "exit\n")],
            &[("ada@host:~$ ", "ls"), ("", " -l\n"), ("0\nada@host:~$ ", "exit")],
            &[("keyboard ok\npinned\nmonkey\n", "ls\n")],
        ] {
            let all: String = steps.iter().map(|(_, sent)| *sent).collect();
            assert_eq!(run(steps), (all, 0), "{steps:?}");
        }
    }

    #[test]
    fn a_command_is_kept_at_once_and_what_is_sent_ahead_waits() {
        let mut dialogue = Dialogue::default();
        dialogue.said(b"r1# ");
        assert_eq!(dialogue.sent(b"show ver\nshow run\n"), [Typed::Seen(b"show ver\n".to_vec())]);
        assert_eq!(dialogue.said(b"Version 1\nr1# "), [Typed::Seen(b"show run\n".to_vec())]);
        assert_eq!(dialogue.sent(b"exit\n"), []);
        assert_eq!(dialogue.finish(), [Typed::Seen(b"exit\n".to_vec())]);
    }

    #[test]
    fn what_waits_is_bounded_and_only_the_oldest_goes() {
        let mut dialogue = Dialogue::default();
        assert_eq!(dialogue.sent(&[b'a'; HELD_BYTES_MAX]), []);
        assert_eq!(dialogue.sent(b"bc"), [Typed::Hidden(2)]);
        let [Typed::Seen(kept)] = &dialogue.finish()[..] else { panic!("all that waits is kept") };
        assert!(kept.ends_with(b"abc") && kept.len() == HELD_BYTES_MAX);
    }

    proptest! {
        /// A secret is sent before, at or after a prompt for it, among other lines, with the output cut anywhere.
        #[test]
        fn a_secret_is_never_kept(
            before in prop::collection::vec("[a-z]{1,6}", 0..4),
            prompt in prop::sample::select(vec!["Password: ", "[sudo] password for ada: ", "Kennwort", "PIN? ", "Say it: "]),
            ahead: bool,
            cuts in prop::collection::vec(1usize..7, 1..20),
            noise in prop::sample::select(vec!["", "a\n", "50%", "r# ", "uid=0\nr# "]),
        ) {
            let mut dialogue = Dialogue::default();
            let (mut fates, mut cuts) = (Vec::new(), cuts.iter().cycle());
            let mut say = |dialogue: &mut Dialogue, fates: &mut Vec<Typed>, mut rest: &[u8]| {
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(rest.len().min(*cuts.next().expect("endless")));
                    fates.extend(dialogue.said(now));
                    rest = later;
                }
            };
            // Words that no prompt would show are guessed from its shape, and that shows only once it has come.
            let ahead = ahead && prompt != "Say it: ";
            let lines: String = before.iter().map(|line| format!("{line}\n")).collect();
            fates.extend(dialogue.sent(lines.as_bytes()));
            if ahead {
                fates.extend(dialogue.sent(b"SECRET\n"));
            }
            // A line that is alone at a command prompt is a command.
            if !ahead || !before.is_empty() {
                say(&mut dialogue, &mut fates, noise.as_bytes());
            }
            say(&mut dialogue, &mut fates, b"\n");
            say(&mut dialogue, &mut fates, prompt.as_bytes());
            if !ahead {
                fates.extend(dialogue.sent(b"SECRET\n"));
            }
            say(&mut dialogue, &mut fates, b"\nfine\n");
            fates.extend(dialogue.finish());
            let kept: Vec<u8> = fates.into_iter().flat_map(|f| match f { Typed::Seen(b) => b, Typed::Hidden(_) => Vec::new() }).collect();
            prop_assert!(!String::from_utf8_lossy(&kept).contains("SECRET"), "{:?}", String::from_utf8_lossy(&kept));
        }

        #[test]
        fn all_that_was_sent_is_told(steps in prop::collection::vec(("[a:#> \n]{0,6}", "[a\r\n]{0,6}"), 0..20)) {
            let steps: Vec<(&str, &str)> = steps.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            let (kept, hidden) = run(&steps);
            prop_assert_eq!(kept.len() as u64 + hidden, steps.iter().map(|(_, sent)| sent.len() as u64).sum::<u64>());
        }
    }
}
