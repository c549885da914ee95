//! Small files that must never be seen half written: locks, revocations, certificates, keys.
//!
//! A file is replaced whole: written beside itself, synced, renamed over the old one, and the folder synced. Blocks on the disk.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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

/// Adds a line to `file`, or makes it, durably. When that fails the file is as it was before.
///
/// A last line that was never finished, because whoever wrote it died, is finished when `whole` says that only its end is missing, and cut off
/// otherwise: what is added must not run into it.
pub(crate) fn append_line(file: &Path, line: &str, mode: u32, whole: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let mut open = OpenOptions::new().read(true).append(true).create(true).mode(mode).open(file)?;
    let tail = unfinished(&mut open)?;
    let mut length = open.metadata()?.len();
    let end = if !tail.is_empty() && whole(&tail) {
        "\n"
    } else {
        length = length.saturating_sub(tail.len() as u64);
        open.set_len(length)?;
        ""
    };
    let written = open.write_all(format!("{end}{line}\n").as_bytes()).and_then(|()| open.sync_data());
    if let Err(error) = written {
        // What cannot be cut off now is cut off by the next one.
        open.set_len(length).ok();
        return Err(error);
    }
    sync_folder_of(file)
}

/// What follows the last line end.
fn unfinished(file: &mut File) -> io::Result<Vec<u8>> {
    const STEP: u64 = 4_096;
    let (mut start, mut tail) = (file.metadata()?.len(), Vec::new());
    while start > 0 && !tail.contains(&b'\n') {
        let step = start.min(STEP);
        start -= step;
        file.seek(SeekFrom::Start(start))?;
        let mut more = Vec::new();
        Read::take(&mut *file, step).read_to_end(&mut more)?;
        more.append(&mut tail);
        tail = more;
    }
    Ok(match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => tail.split_off(end + 1),
        None => tail,
    })
}

/// Makes a folder, and those above it, that only the owner may enter.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// How long anybody waits for their turn: a change takes milliseconds, so whoever has held it for this long hangs.
const TURN_TIME: Duration = Duration::from_secs(10);

/// Held while a file is read, changed and replaced, so that two processes do not undo each other's change. Freed on drop.
#[derive(Debug)]
pub(crate) struct Turn {
    _file: File,
}

impl Turn {
    /// Waits for the turn to change `file`; the lock itself lies beside it, because `file` is replaced. Blocks, at most ten seconds.
    pub(crate) fn wait(file: &Path) -> io::Result<Self> {
        Self::wait_at_most(file, TURN_TIME)
    }

    fn wait_at_most(file: &Path, time: Duration) -> io::Result<Self> {
        let lock = sibling(file, ".lock");
        let beside = OpenOptions::new().create(true).truncate(false).write(true).mode(PRIVATE).open(&lock)?;
        let began = Instant::now();
        loop {
            match beside.try_lock() {
                Ok(()) => return Ok(Self { _file: beside }),
                Err(TryLockError::WouldBlock) if began.elapsed() < time => std::thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::WouldBlock) => {
                    let text = format!("another process has held {} for {} s", lock.display(), time.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
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
    fn a_line_is_added_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list");
        let long = "x".repeat(10_000);
        for (before, whole, after) in [
            ("", true, "new\n".to_owned()),
            ("a\n", true, "a\nnew\n".to_owned()),
            ("a\nb", true, "a\nb\nnew\n".to_owned()),
            ("a\nb", false, "a\nnew\n".to_owned()),
            ("b", false, "new\n".to_owned()),
            (&long, false, "new\n".to_owned()),
            (&long, true, format!("{long}\nnew\n")),
            (&format!("a\n{long}"), false, "a\nnew\n".to_owned()),
        ] {
            std::fs::write(&file, before).unwrap();
            append_line(&file, "new", PRIVATE, |_| whole).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), after);
        }
    }

    #[test]
    fn only_one_has_the_turn() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list");
        let held = Turn::wait(&file).unwrap();
        let beside = OpenOptions::new().write(true).open(sibling(&file, ".lock")).unwrap();
        assert!(beside.try_lock().is_err());
        let late = Turn::wait_at_most(&file, Duration::from_millis(20)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut, "nobody waits for ever");
        drop(held);
        assert!(beside.try_lock().is_ok());
    }
}
