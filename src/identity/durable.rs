//! Small files that must never be seen half written: locks, revocations, certificates, keys.
//!
//! A file is replaced whole: written beside itself, synced, renamed over the old one, and the folder synced. Blocks on the disk.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Only the owner may read it.
pub(crate) const PRIVATE: u32 = 0o600;

/// Replaces `file`, or makes it, with these bytes and this mode.
pub(crate) fn replace(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let beside = sibling(file, &format!(".new-{}-{number}", std::process::id()));
    let written = write_new(&beside, content, mode).and_then(|()| std::fs::rename(&beside, file));
    if let Err(error) = written {
        // The first error is the one to report; a leftover file is harmless.
        std::fs::remove_file(&beside).ok();
        return Err(error);
    }
    sync_folder_of(file)
}

/// Adds a line to `file`, or makes it, durably.
pub(crate) fn append_line(file: &Path, line: &str, mode: u32) -> io::Result<()> {
    let mut open = OpenOptions::new().append(true).create(true).mode(mode).open(file)?;
    open.write_all(format!("{line}\n").as_bytes())?;
    open.sync_data()?;
    sync_folder_of(file)
}

/// Makes a folder, and those above it, that only the owner may enter.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Held while a file is read, changed and replaced, so that two processes do not undo each other's change. Freed on drop.
#[derive(Debug)]
pub(crate) struct Turn {
    _file: File,
}

impl Turn {
    /// Waits for the turn to change `file`; the lock itself lies beside it, because `file` is replaced.
    pub(crate) fn wait(file: &Path) -> io::Result<Self> {
        let beside =
            OpenOptions::new().create(true).truncate(false).write(true).mode(PRIVATE).open(sibling(file, ".lock"))?;
        beside.lock()?;
        Ok(Self { _file: beside })
    }
}

fn write_new(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut open = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    open.write_all(content)?;
    open.sync_all()
}

fn sync_folder_of(file: &Path) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

fn sibling(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(suffix);
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        for content in ["one", "a longer second text", ""] {
            replace(&file, content.as_bytes(), PRIVATE).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, PRIVATE);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no leftovers");
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("taken");
        std::fs::create_dir(&file).unwrap();
        assert!(replace(&file, b"x", PRIVATE).is_err());
        assert!(file.is_dir());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no leftovers");
        assert!(replace(&folder.path().join("absent/file"), b"x", PRIVATE).is_err());
    }

    #[test]
    fn only_one_has_the_turn() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list");
        let held = Turn::wait(&file).unwrap();
        let beside = OpenOptions::new().write(true).open(sibling(&file, ".lock")).unwrap();
        assert!(beside.try_lock().is_err());
        drop(held);
        assert!(beside.try_lock().is_ok());
    }
}
