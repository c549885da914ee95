//! Which commands are an scp server and nothing else. Pure.
//!
//! The element's shell reads the command, so a word is only taken when every shell reads it the same way. Whatever is left in doubt is not an scp
//! command: it is decided as the plain command it is.

use crate::domain::{Action, Verb};
use crate::protocol::ssh::paths;

/// Which end of the copy the element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `-t`: the element takes files.
    Sink,
    /// `-f`: the element gives files.
    Source,
}

/// A parsed scp server command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScpCommand {
    /// Which end of the copy the element is.
    pub role: Role,
    /// `-r`: folders too.
    pub recursive: bool,
    /// `-d`: the path must be a folder.
    pub folder: bool,
    /// What is copied, or to where: one path for a sink.
    pub paths: Vec<ScpPath>,
}

/// A path of the command, as the shell gives it to scp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScpPath {
    /// In the form decisions are made on; relative to where the login begins when it is not absolute.
    pub path: String,
    /// The shell replaces it by what matches; only its last segment is a pattern.
    pub pattern: bool,
    /// It ends with a slash, or is `.`, or the root: it can only be a folder.
    pub folder: bool,
}

/// The most bytes in a command.
const COMMAND_BYTES_MAX: usize = 16 * 1024;
/// The most bytes in one of its paths.
const PATH_BYTES_MAX: usize = 4096;

/// Reads an exec command. `None`: it is not exactly an scp server command.
pub fn parse(command: &[u8]) -> Option<ScpCommand> {
    if command.len() > COMMAND_BYTES_MAX {
        return None;
    }
    let mut words = words(std::str::from_utf8(command).ok()?)?.into_iter().peekable();
    if words.next()?.plain()? != "scp" {
        return None;
    }
    let mut options = String::new();
    let mut ended = false;
    while let Some(word) = words.next_if(|word| word.text.starts_with('-')) {
        match word.plain()? {
            "--" => {
                ended = true;
                break;
            }
            word => options.push_str(word.get(1..).filter(|letters| !letters.is_empty())?),
        }
    }
    let paths = words.map(|word| path(word, ended)).collect::<Option<Vec<_>>>()?;
    let role = match (options.matches('t').count(), options.matches('f').count()) {
        (1, 0) => Role::Sink,
        (0, 1) => Role::Source,
        _ => return None,
    };
    let clear = match role {
        // A pattern could lead a sink anywhere.
        Role::Sink => paths.len() == 1 && paths.iter().all(|path| !path.pattern),
        Role::Source => !paths.is_empty(),
    };
    let known = options.chars().all(|letter| "rpdvqtf".contains(letter));
    let command = ScpCommand { role, recursive: options.contains('r'), folder: options.contains('d'), paths };
    (known && clear).then_some(command)
}

impl ScpCommand {
    /// What the command asks for before a file is named: every path that is read.
    pub fn actions(&self) -> Vec<Action> {
        match self.role {
            Role::Sink => Vec::new(),
            Role::Source => self.paths.iter().map(|path| Action::new(Verb::FileRead, path.path.clone())).collect(),
        }
    }
}

fn path(word: Word, options_ended: bool) -> Option<ScpPath> {
    // Some servers look for options behind paths too.
    if word.text.is_empty() || (word.text.starts_with('-') && !options_ended) {
        return None;
    }
    let text = match (word.home, word.text.strip_prefix('~')) {
        (true, Some("")) => ".",
        (true, Some(rest)) if rest.starts_with('/') => rest.trim_start_matches('/'),
        // The home of somebody else: no policy row can name it.
        (true, _) if word.pattern => return None,
        _ => &word.text,
    };
    let text = paths::readable(text.as_bytes(), PATH_BYTES_MAX).ok()?;
    if word.pattern && (!text.contains('/') || text.rsplit_once('/')?.0.contains(['*', '?', '[', ']'])) {
        return None;
    }
    let folder = text.ends_with('/') || text.ends_with("/.") || matches!(text, "" | ".");
    Some(ScpPath { path: paths::canonical(text), pattern: word.pattern, folder })
}

/// One word as the shell gives it on.
#[derive(Debug, Default)]
struct Word {
    text: String,
    quoted: bool,
    /// It begins with a `~` that the shell replaces.
    home: bool,
    /// It holds a pattern that the shell replaces.
    pattern: bool,
}

impl Word {
    /// The text of a word that no shell could have changed.
    fn plain(&self) -> Option<&str> {
        (!self.quoted && !self.home && !self.pattern).then_some(&self.text)
    }
}

fn words(command: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut rest = command.chars();
    while let Some(next) = rest.next() {
        if next == ' ' {
            words.extend(word.take());
            continue;
        }
        let first = word.is_none();
        let word = word.get_or_insert_default();
        match next {
            '\'' | '"' => {
                word.quoted = true;
                quoted(next, &mut rest, &mut word.text)?;
            }
            '\\' => {
                word.quoted = true;
                word.text.push(rest.next().filter(|c| *c == ' ' || c.is_ascii_punctuation())?);
            }
            '~' if first => {
                word.home = true;
                word.text.push('~');
            }
            '*' | '?' | '[' | ']' => {
                word.pattern = true;
                word.text.push(next);
            }
            '=' if first => return None,
            c if is_harmless(c) => word.text.push(c),
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

/// Reads to the closing quote. Only characters that stand for themselves in every shell are taken.
fn quoted(quote: char, rest: &mut std::str::Chars<'_>, text: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            c if c == quote => return Some(()),
            '$' | '`' if quote == '"' => return None,
            // Some shells take these specially even between single quotes.
            '\\' | '!' => return None,
            c if c.is_control() => return None,
            c => text.push(c),
        }
    }
}

fn is_harmless(c: char) -> bool {
    c.is_alphanumeric() || "-_./+,:@%=~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths_of(command: &str) -> Option<Vec<String>> {
        parse(command.as_bytes()).map(|command| command.paths.into_iter().map(|path| path.path).collect())
    }

    #[test]
    fn server_commands_of_real_clients() {
        for (command, paths) in [
            ("scp -t /tmp", &["/tmp"][..]),
            ("scp -v -r -p -d -t /tmp/x", &["/tmp/x"]),
            ("scp -rpt /tmp//x/", &["/tmp/x"]),
            ("scp -f /a /b", &["/a", "/b"]),
            ("scp -f -- -x", &["-x"]),
            ("scp -t .", &["."]),
            ("scp -t ~", &["."]),
            ("scp -t ~/x", &["x"]),
            ("scp -t ~//etc/x", &["etc/x"]),
            ("scp -t '~/x'", &["~/x"]),
            ("scp -t ~bob/x", &["~bob/x"]),
            ("scp -t flash:/startup-config", &["flash:/startup-config"]),
            ("scp -t 'a b'", &["a b"]),
            ("scp -t \"a b\"", &["a b"]),
            ("scp -t a\\ b", &["a b"]),
            ("scp -t 'it'\"'\"'s'", &["it's"]),
            ("scp -f '/a;b'", &["/a;b"]),
            ("scp -f /var/log/*.log", &["/var/log/*.log"]),
            ("scp -q -f /ä", &["/ä"]),
            ("scp  -t  x ", &["x"]),
            ("scp -t /a/../b", &["/a/../b"]),
        ] {
            assert_eq!(
                paths_of(command).as_deref(),
                Some(&paths.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()[..]),
                "{command}"
            );
        }
    }

    #[test]
    fn anything_else_is_a_plain_command() {
        for command in [
            "",
            "scp",
            "scp -t",
            "scp x",
            "scp -r x",
            "scp -t x y",
            "scp -tf x",
            "scp -t -f x",
            "scp -t -t x",
            "scp -t x; bash",
            "scp -t x;bash",
            "scp -t x && bash",
            "scp -t x | bash",
            "scp -t x > y",
            "scp -t x < y",
            "scp -t x &",
            "scp -t x\nbash",
            "scp -t x\rbash",
            "scp -t x\tbash",
            "scp -t $(bash)",
            "scp -t `bash`",
            "scp -t \"$(bash)\"",
            "scp -t \"`bash`\"",
            "scp -t $HOME",
            "scp -t ${x}",
            "scp -t {a,b}",
            "scp -t x #y",
            "scp -t !x",
            "scp -t '!x'",
            "scp -t \"a\\b\"",
            "scp -t 'a",
            "scp -t \"a",
            "scp -t a\\",
            "scp -t a\\\nb",
            "scp -t a\\n",
            "scp -t ''",
            "scp -t x -S bash",
            "scp -f /x -S",
            "scp -S bash -t x",
            "scp -o ProxyCommand=x -t y",
            "scp -t =ls",
            "scp -t /tm?",
            "scp -f *",
            "scp -f /*/shadow",
            "scp -f ~*/x",
            "scp -f ~root/*",
            "scp - -t x",
            "scp --help -t x",
            "scp -t- x",
            "'scp' -t x",
            "s\\cp -t x",
            "scp '-t' x",
            "/usr/bin/scp -t x",
            "./scp -t x",
            "SCP -t x",
            "sudo scp -t x",
            "a=b scp -t x",
            "scp -t x\0",
            "scp -t (x)",
            "scp -t x^y",
        ] {
            assert_eq!(parse(command.as_bytes()), None, "{command:?}");
        }
        assert_eq!(parse(b"scp -t /\xff"), None);
        assert_eq!(parse(format!("scp -t /{}", "x".repeat(5000)).as_bytes()), None);
        assert_eq!(parse(format!("scp -f {}", "x ".repeat(10_000)).as_bytes()), None);
    }

    #[test]
    fn folders_are_told_by_how_they_are_written() {
        for (command, folder) in [
            ("scp -t /x", false),
            ("scp -t /x/", true),
            ("scp -t .", true),
            ("scp -t /", true),
            ("scp -t /x/.", true),
            ("scp -t ~/", true),
        ] {
            assert_eq!(parse(command.as_bytes()).map(|command| command.paths[0].folder), Some(folder), "{command}");
        }
    }

    #[test]
    fn a_source_asks_for_its_paths_first() {
        let asks =
            |command: &[u8]| parse(command).unwrap().actions().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(asks(b"scp -f /a /b/*"), ["file.read /a", "file.read /b/*"]);
        assert!(asks(b"scp -t /a").is_empty());
    }
}
