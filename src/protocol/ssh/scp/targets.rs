//! Which path a record of the stream names. Pure.
//!
//! A name is never trusted to stay in its folder (CVE-2019-6111): one with a slash, `.`, `..` or a control character names nothing here.
//! Where the command leaves open what a name means, every meaning is given, and all of them must be allowed.

use crate::protocol::ssh::paths;

use super::command::{Role, ScpCommand, ScpPath};

/// The folders the stream is in; each with all the paths it may have.
#[derive(Debug, Default)]
pub(super) struct Folders(Vec<Vec<String>>);

/// What a name in the stream stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File,
    Folder,
}

impl Folders {
    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }

    pub(super) fn enter(&mut self, paths: Vec<String>) {
        self.0.push(paths);
    }

    pub(super) fn leave(&mut self) -> bool {
        self.0.pop().is_some()
    }

    /// Every path that `name` may have here, the likeliest first.
    pub(super) fn paths(
        &self,
        command: &ScpCommand,
        entry: Entry,
        name: &[u8],
        path_bytes_max: usize,
    ) -> Result<Vec<String>, String> {
        let name = paths::readable(name, path_bytes_max).map_err(|fault| fault.to_string())?;
        if matches!(name, "" | "." | "..") || name.contains('/') {
            return Err(format!("`{}` is not a file name", name.escape_debug()));
        }
        let mut found: Vec<String> = Vec::new();
        let all = match self.0.last() {
            Some(folders) => folders.iter().map(|folder| paths::join(folder, name)).collect(),
            None => top(command, entry, name),
        };
        for path in all {
            if path.len() > path_bytes_max {
                return Err(format!("the path is longer than {path_bytes_max} bytes"));
            }
            if !found.contains(&path) {
                found.push(path);
            }
        }
        Ok(found)
    }
}

fn top(command: &ScpCommand, entry: Entry, name: &str) -> Vec<String> {
    match command.role {
        Role::Sink => command.paths.iter().flat_map(|path| sink(path, command.folder, entry, name)).collect(),
        Role::Source => source(&command.paths, name),
    }
}

/// The element puts the file into the path when that is a folder, and makes it the path when it is not. Only the element knows which, unless the
/// command says so. A folder that is not there yet is made under the path's own name even when that ends with a slash.
fn sink(path: &ScpPath, must_be_folder: bool, entry: Entry, name: &str) -> Vec<String> {
    let inside = paths::join(&path.path, name);
    let exists = must_be_folder || matches!(path.path.as_str(), "." | "/");
    if exists || (path.folder && entry == Entry::File) { vec![inside] } else { vec![path.path.clone(), inside] }
}

/// The element sends the last segment of what it was asked for.
fn source(asked: &[ScpPath], name: &str) -> Vec<String> {
    let beside = |path: &ScpPath| paths::join(paths::folder(&path.path), name);
    let named: Vec<String> =
        asked.iter().filter(|path| path.pattern || paths::name(&path.path) == name).map(beside).collect();
    if named.is_empty() { asked.iter().map(beside).collect() } else { named }
}

#[cfg(test)]
mod tests {
    use super::super::command::parse;
    use super::*;

    fn paths(command: &str, entry: Entry, name: &[u8]) -> Result<Vec<String>, String> {
        Folders::default().paths(&parse(command.as_bytes()).unwrap(), entry, name, 30)
    }

    #[test]
    fn every_meaning_is_given() {
        for (command, entry, name, found) in [
            ("scp -t /d", Entry::File, "x", &["/d", "/d/x"][..]),
            ("scp -t /d/", Entry::File, "x", &["/d/x"]),
            ("scp -r -t /d/", Entry::Folder, "x", &["/d", "/d/x"]),
            ("scp -r -t /d", Entry::Folder, "x", &["/d", "/d/x"]),
            ("scp -d -t /d", Entry::File, "x", &["/d/x"]),
            ("scp -r -d -t /d", Entry::Folder, "x", &["/d/x"]),
            ("scp -t .", Entry::File, "x", &["x"]),
            ("scp -t /", Entry::File, "x", &["/x"]),
            ("scp -r -t ~", Entry::Folder, "x", &["x"]),
            ("scp -t /d/..", Entry::File, "x", &["/d/..", "/d/../x"]),
            ("scp -f /a/x", Entry::File, "x", &["/a/x"]),
            ("scp -f /a/x /b/y", Entry::File, "y", &["/b/y"]),
            ("scp -f /a/x /b/x", Entry::File, "x", &["/a/x", "/b/x"]),
            ("scp -f /a/*.log", Entry::File, "shadow", &["/a/shadow"]),
            ("scp -f /a/x /b/y", Entry::File, "z", &["/a/z", "/b/z"]),
            ("scp -f x", Entry::File, "x", &["x"]),
        ] {
            assert_eq!(paths(command, entry, name.as_bytes()).unwrap(), found, "{command} {name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            &b""[..],
            b".",
            b"..",
            b"a/b",
            b"/",
            b"/etc/x",
            b"../x",
            b"x/",
            b"a\0b",
            b"a\x1b[2J",
            b"a\rb",
            b"\xff",
            &[b'x'; 40],
        ] {
            for command in ["scp -t /d", "scp -r -f /d"] {
                assert!(paths(command, Entry::File, name).is_err(), "{name:?}");
            }
        }
        assert!(paths("scp -t /aaaaaaaaaaaaaaaaaaaaaaaa", Entry::File, b"bbbbbbbbb").is_err());
    }
}
