//! How the gateway proves itself to an element, and which login prompts get which secret. Pure.

use std::fmt;
use std::str::FromStr;

/// The name of a stored secret: letters, digits, '.', '-' and '_', at most 64, not starting with '.' or '-'.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName(String);

impl SecretName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = !text.is_empty()
            && text.len() <= 64
            && !text.starts_with(['.', '-'])
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{}` is not the name of a secret; use letters, digits, '.', '-' and '_', at most 64",
                text.escape_debug()
            ))
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A short-lived user certificate, minted for the identity at each dial.
    Certificate,
    /// A stored private key.
    Key {
        /// The secret that holds it in OpenSSH's format.
        secret: SecretName,
    },
    /// A stored password, given to the `password` method and to prompts that match.
    Password {
        /// The secret that holds it.
        secret: SecretName,
        /// Prompts of keyboard-interactive and what each gets; empty means the usual password prompts get `secret`.
        prompts: Vec<PromptRule>,
    },
}

impl Credential {
    /// The kind, as the inventory spells it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key { .. } => "key",
            Self::Password { .. } => "password",
        }
    }
}

/// Which prompts get which secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptRule {
    /// What the prompt must look like.
    pub matches: Pattern,
    /// What it gets.
    pub secret: SecretName,
    /// Whether it may be a prompt whose answer the element shows.
    pub echo: bool,
}

/// A prompt pattern: `*` stands for anything, the rest for itself, letter case and surrounding blanks aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether `prompt` as a whole fits.
    pub fn matches(&self, prompt: &str) -> bool {
        glob(&self.0, &prompt.trim().to_lowercase())
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = text.trim().to_lowercase();
        if pattern.len() > 200 || !pattern.chars().any(|c| c != '*') {
            return Err(
                "a prompt pattern needs some text of the prompt, at most 200 characters; `*` stands for anything"
                    .to_owned(),
            );
        }
        Ok(Self(pattern))
    }
}

/// The prompts that get the password when the inventory lists none. `new password:` and the like are not among them.
const USUAL_PROMPTS: &[&str] =
    &["password:", "passcode:", "password for *:", "*'s password:", "(*@*) password:", "* password for *@*:"];

/// The secret for one prompt.
///
/// # Errors
/// Nothing is listed for it; the text quotes the prompt, made safe to print.
pub fn secret_for<'a>(
    secret: &'a SecretName,
    rules: &'a [PromptRule],
    prompt: &str,
    echo: bool,
) -> Result<&'a SecretName, String> {
    let found = if rules.is_empty() {
        let usual = USUAL_PROMPTS.iter().any(|pattern| glob(pattern, &prompt.trim().to_lowercase()));
        // SECURITY: what the element shows while it is typed is not a password.
        (usual && !echo).then_some(secret)
    } else {
        rules.iter().find(|rule| rule.matches.matches(prompt) && (rule.echo || !echo)).map(|rule| &rule.secret)
    };
    found.ok_or_else(|| {
        format!(
            "it asks \"{}\"{}, which no entry of `prompts` in the inventory answers",
            printable(prompt),
            if echo { " and shows the answer" } else { "" }
        )
    })
}

/// Text of a peer, shortened and with nothing in it that a terminal would act on.
pub fn printable(text: &str) -> String {
    let shown: String = text.chars().take(200).flat_map(char::escape_debug).collect();
    if text.chars().nth(200).is_some() { format!("{shown}…") } else { shown }
}

/// Linear in practice and never worse than pattern times text: greedy with one point to come back to.
fn glob(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return text.is_empty() };
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SecretName {
        text.parse().unwrap()
    }

    #[test]
    fn secret_names() {
        for text in ["a", "core-rtr-1.enable", "A_b9"] {
            assert!(text.parse::<SecretName>().is_ok(), "{text}");
        }
        for text in ["", ".", "..", ".a", "-a", "a/b", "../a", "a b", "a\0", "é", &"a".repeat(65)] {
            assert!(text.parse::<SecretName>().is_err(), "{text}");
        }
    }

    #[test]
    fn globs() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "x"),
            ("a*", "a"),
            ("*a", "ba"),
            ("a*c", "abc"),
            ("a*b*c", "axbxbxc"),
            ("*assword:", "password:"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "ab"),
            ("a", ""),
            ("a*", "ba"),
            ("*a", "ab"),
            ("ab*ba", "aba"),
            ("a*b*c", "acb"),
            ("", "a"),
            ("a*c", "abcd"),
        ] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    /// The same by definition, at any cost.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|at| naive(rest, &text[at..])),
            Some((first, rest)) => text.split_first().is_some_and(|(c, text)| c == first && naive(rest, text)),
        }
    }

    proptest::proptest! {
        #[test]
        fn globs_mean_what_they_say(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            proptest::prop_assert_eq!(glob(&pattern, &text), naive(&chars(&pattern), &chars(&text)));
        }
    }

    #[test]
    fn the_usual_prompts() {
        let secret = name("pw");
        for prompt in [
            "Password: ",
            "password:",
            "PASSWORD:",
            "Passcode:",
            "admin@rtr's password:",
            "(admin@rtr) Password: ",
            "Password for admin:",
        ] {
            assert_eq!(secret_for(&secret, &[], prompt, false), Ok(&secret), "{prompt}");
            assert!(secret_for(&secret, &[], prompt, true).is_err(), "{prompt} with echo");
        }
        for prompt in [
            "",
            "Username:",
            "New password:",
            "Enter new password:",
            "Retype new UNIX password:",
            "Password",
            "password: x",
            "One-time code:",
            "Your password has expired. New password:",
            "passwordx:",
            "Old password:",
            "PIN:",
        ] {
            assert!(secret_for(&secret, &[], prompt, false).is_err(), "{prompt}");
        }
    }

    #[test]
    fn listed_prompts() {
        let rules = [
            PromptRule { matches: "*username:".parse().unwrap(), secret: name("who"), echo: true },
            PromptRule { matches: "radius *assword:".parse().unwrap(), secret: name("pw"), echo: false },
        ];
        let pw = name("other");
        assert_eq!(secret_for(&pw, &rules, "Username: ", true), Ok(&name("who")));
        assert_eq!(secret_for(&pw, &rules, "RADIUS password:", false), Ok(&name("pw")));
        for (prompt, echo) in [("RADIUS password:", true), ("Password:", false), ("radius:", false), ("", true)] {
            assert!(secret_for(&pw, &rules, prompt, echo).is_err(), "{prompt}");
        }
        for pattern in ["", "*", " ** ", &"x".repeat(201)] {
            assert!(pattern.parse::<Pattern>().is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_hostile_prompt_is_quoted_safely() {
        let error = secret_for(&name("pw"), &[], "\u{1b}[2J\r\nok\u{202e}", false).unwrap_err();
        assert!(!error.contains(['\u{1b}', '\r', '\n', '\u{202e}']), "{error}");
        assert!(printable(&"x".repeat(500)).chars().count() <= 201);
    }
}
