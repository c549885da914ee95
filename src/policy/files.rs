//! The policy folder as bytes: read once, so that what is hashed is what is parsed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use aws_lc_rs::digest;

use crate::domain::Revision;

use super::Problem;

const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const DEPTH_MAX: u32 = 8;
const FILES_MAX: usize = 4096;

/// A policy folder as it was read: every regular file in it, by its relative path with `/`.
#[derive(Debug)]
pub struct Folder {
    files: BTreeMap<String, Vec<u8>>,
}

impl Folder {
    /// Reads the folder. Hidden files and editors' backups are no part of a set.
    ///
    /// # Errors
    /// Everything in it that cannot be read.
    pub fn read(dir: &Path) -> Result<Self, Vec<Problem>> {
        let mut folder = Self { files: BTreeMap::new() };
        let mut problems = Vec::new();
        folder.add(dir, "", 0, &mut problems);
        if problems.is_empty() { Ok(folder) } else { Err(problems) }
    }

    fn add(&mut self, dir: &Path, prefix: &str, depth: u32, problems: &mut Vec<Problem>) {
        if depth > DEPTH_MAX {
            return problems.push(problem(prefix, "folders are nested too deep; is there a link in a circle?"));
        }
        let entries = match fs::read_dir(dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                return problems.push(problem(prefix, format!("the folder {} cannot be read: {error}", dir.display())));
            }
        };
        for entry in entries {
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                problems
                    .push(problem(prefix, format!("the file name {:?} is not UTF-8; rename it", entry.file_name())));
                continue;
            };
            if name.starts_with('.') || name.ends_with('~') || name.ends_with(".swp") {
                continue;
            }
            let relative = format!("{prefix}{name}");
            match fs::metadata(entry.path()) {
                Ok(facts) if facts.is_dir() => self.add(&entry.path(), &format!("{relative}/"), depth + 1, problems),
                Ok(facts) if facts.is_file() => match read(&entry.path()) {
                    Ok(bytes) => {
                        self.files.insert(relative, bytes);
                    }
                    Err(text) => problems.push(problem(&relative, text)),
                },
                Ok(_) => {}
                Err(error) => problems.push(problem(&relative, format!("cannot be read: {error}"))),
            }
            if self.files.len() > FILES_MAX {
                return problems.push(problem(prefix, format!("there are more than {FILES_MAX} files")));
            }
        }
    }

    /// The SHA-256 over path, length and bytes of each file, in the order of the paths.
    pub fn revision(&self) -> Revision {
        let mut hash = digest::Context::new(&digest::SHA256);
        for (path, bytes) in &self.files {
            hash.update(&len(path.as_bytes()));
            hash.update(path.as_bytes());
            hash.update(&len(bytes));
            hash.update(bytes);
        }
        Revision::new(data_encoding::HEXLOWER.encode(hash.finish().as_ref()))
    }

    /// Whether this file is in it.
    pub fn holds(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// A file as text; none when it is not there.
    pub fn text(&self, file: &str, problems: &mut Vec<Problem>) -> Option<String> {
        let bytes = self.files.get(file)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(error) => {
                let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|b| **b == b'\n').count() + 1;
                problems.push(Problem {
                    file: file.to_owned(),
                    line: u32::try_from(line).unwrap_or(0),
                    text: "is not UTF-8 text".to_owned(),
                });
                None
            }
        }
    }

    /// The paths of every file.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

/// A mistake of a file as a whole; the folder itself has no name.
fn problem(file: &str, text: impl Into<String>) -> Problem {
    let file = if file.is_empty() { "." } else { file };
    Problem { file: file.to_owned(), line: 0, text: text.into() }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(cannot)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len <= FILE_BYTES_MAX) {
        Ok(bytes)
    } else {
        Err(format!("is larger than {} MiB", FILE_BYTES_MAX / 1024 / 1024))
    }
}

fn len(bytes: &[u8]) -> [u8; 8] {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes()
}

/// The line of a byte position, counted from 1.
pub(super) fn line_at(text: &str, at: usize) -> u32 {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    u32::try_from(before.iter().filter(|b| **b == b'\n').count() + 1).unwrap_or(u32::MAX)
}

/// A mistake in a TOML file.
pub(super) fn toml_problem(file: &str, text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map_or(0, |span| line_at(text, span.start));
    Problem { file: file.to_owned(), line, text: error.message().trim().replace('\n', "; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(files: &[(&str, &str)]) -> Revision {
        let dir = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        Folder::read(dir.path()).map_err(|p| p.len()).expect("readable").revision()
    }

    #[test]
    fn the_revision_is_that_of_the_content() {
        let one = revision(&[("a", "1"), ("b/c", "2")]);
        assert_eq!(one.as_str().len(), 64);
        assert_eq!(
            one,
            revision(&[("b/c", "2"), ("a", "1"), (".git/x", "y"), ("a~", "z"), (".a.swp", ""), ("a.swp", "")])
        );
        for other in [
            &[("a", "1"), ("b/c", "3")][..],
            &[("a", "1"), ("b/d", "2")],
            &[("a", "1")],
            &[("a1", ""), ("b/c", "2")],
            &[("a", "1"), ("b/c", "2"), ("d", "")],
        ] {
            assert_ne!(one, revision(other), "{other:?}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_mistake() {
        assert!(Folder::read(Path::new("/nonexistent/policies")).is_err());
    }
}
