//! Where nothing is echoed, without a terminal: the line that answers a prompt for a secret is counted and not kept.

/// As much of the end of the output as a prompt may have.
const TAIL_BYTES: usize = 96;
/// What a prompt for a secret says, in lower case.
const WORDS: &[&[u8]] = &[b"passwor", b"passphrase", b"passcode", b"secret", b"pin"];

/// What the element said last, and whether the client is answering a prompt for a secret.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    tail: Vec<u8>,
    answering: bool,
}

impl Prompt {
    /// The element said `output`.
    pub(super) fn said(&mut self, output: &[u8]) {
        let new = output.get(output.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
        self.tail.extend_from_slice(new);
        let line = self.tail.iter().rposition(|b| matches!(b, b'\n' | b'\r')).map_or(0, |at| at + 1);
        let cut = line.max(self.tail.len().saturating_sub(TAIL_BYTES));
        self.tail.drain(..cut);
        if self.asks() {
            self.answering = true;
        }
    }

    /// The client sent `input`: how much of its beginning answers a prompt, and the rest.
    pub(super) fn answered<'d>(&mut self, input: &'d [u8]) -> (usize, &'d [u8]) {
        if !self.answering {
            return (0, input);
        }
        let end = input.iter().position(|b| matches!(b, b'\n' | b'\r')).map(|at| at + 1);
        if end.is_some() {
            self.answering = false;
            self.tail.clear();
        }
        let (hidden, rest) = input.split_at_checked(end.unwrap_or(input.len())).unwrap_or((input, &[]));
        (hidden.len(), rest)
    }

    /// Whether the output ends in a prompt for a secret.
    fn asks(&self) -> bool {
        let text = self.tail.trim_ascii_end().to_ascii_lowercase();
        text.ends_with(b":") && WORDS.iter().any(|word| text.windows(word.len()).any(|w| w == *word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(steps: &[(&str, &str)]) -> String {
        let mut prompt = Prompt::default();
        let mut out = Vec::new();
        for (said, sent) in steps {
            prompt.said(said.as_bytes());
            out.extend_from_slice(prompt.answered(sent.as_bytes()).1);
        }
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn answers_to_secret_prompts_are_hidden() {
        for (steps, expected) in [
            (&[("Password: ", "hunter2\nshow version\n")][..], "show version\n"),
            (
                &[("router>", "enable\n"), ("Pass", ""), ("word:", "hun"), ("", "ter2\r"), ("router#", "show run\n")],
                "enable\nshow run\n",
            ),
            (&[("[sudo] password for ada: ", "x\n"), ("Sorry, try again.\n[sudo] password for ada: ", "y\n")], ""),
            (&[("Enter PIN for token:", "1234\n")], ""),
        ] {
            assert_eq!(kept(steps), expected, "{steps:?}");
        }
    }

    #[test]
    fn everything_else_is_kept() {
        for (steps, expected) in [
            (&[("", "hello\n")][..], "hello\n"),
            (&[("password changed\n", "ls\n")], "ls\n"),
            (&[("password:\n", "ls\n")], "ls\n"),
            (&[("Name: ", "ada\n")], "ada\n"),
        ] {
            assert_eq!(kept(steps), expected, "{steps:?}");
        }
    }
}
