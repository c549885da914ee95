//! The folder of recordings: where each lies, and beginning one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::audit::disk::{Disk, sync_dir};
use crate::audit::{Signer, join_within};
use crate::domain::{SessionFacts, SessionId, Timestamp};

use super::file::RecordedFile;
use super::sync::Queue;
use super::writer::Recorder;
use super::{Config, RecordingError};

/// The folder of recordings. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What recorders and the store share.
#[derive(Debug)]
pub(super) struct Shared {
    config: Config,
    pub(super) signer: Arc<Signer>,
    pub(super) queue: Arc<Queue>,
    through: Mutex<String>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// Opens the folder, making it when it is not there, and starts the thread that makes frames durable.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn open(config: Config, signer: Arc<Signer>) -> Result<Self, RecordingError> {
        let failed = |e: io::Error| RecordingError::Failed(format!("{}: {e}", config.dir.display()));
        make_dirs(&config.dir).map_err(failed)?;
        signer.publish(&config.dir).map_err(failed)?;
        let queue = Queue::new(&config);
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let (syncs, watches) = (Arc::clone(&queue), Arc::clone(&queue));
        let threads = vec![
            named("recording-sync").spawn(move || syncs.run()).map_err(failed)?,
            named("recording-watch").spawn(move || watches.watch()).map_err(failed)?,
        ];
        Ok(Self {
            shared: Arc::new(Shared { config, signer, queue, through: Mutex::default(), threads: Mutex::new(threads) }),
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.shared.config.dir
    }

    /// The path, relative to the folder, at which `session` opened at `at` is recorded.
    pub fn path_of(session: SessionId, at: Timestamp) -> String {
        let day = at.to_string();
        // RFC 3339 begins with the date.
        let day = day.get(..10).unwrap_or("0000-00-00").replace('-', "/");
        format!("{day}/{session}.rec")
    }

    /// Begins the recording of a session; the header is with the operating system when this returns.
    ///
    /// # Errors
    /// Anything that keeps the header from being written, too little room included.
    pub fn create(&self, facts: &SessionFacts) -> Result<Recorder, RecordingError> {
        self.create_on(facts, |file| Box::new(file))
    }

    pub(super) fn create_on(
        &self,
        facts: &SessionFacts,
        disk: impl FnOnce(File) -> Box<dyn Disk>,
    ) -> Result<Recorder, RecordingError> {
        if facts.recording != Self::path_of(facts.session, facts.opened_at) {
            return Err(RecordingError::Failed(format!(
                "`{}` is not the place of session {}",
                facts.recording.escape_debug(),
                facts.session
            )));
        }
        let path = self.dir().join(&facts.recording);
        let failed = |e: io::Error| RecordingError::Failed(format!("{}: {e}", path.display()));
        if self.shared.queue.overdue() {
            return Err(RecordingError::Failed(format!("{}: the disk does not answer", self.dir().display())));
        }
        let (room, wanted) = self.shared.queue.room().map_err(failed)?;
        if room < wanted {
            return Err(RecordingError::Failed(format!(
                "{} has {room} bytes of room left, less than the {wanted} it must have",
                self.dir().display()
            )));
        }
        let day = path.parent().unwrap_or(self.dir());
        make_dirs(day).map_err(failed)?;
        self.expect(&facts.recording).map_err(failed)?;
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        file.try_lock().map_err(|e| failed(e.into()))?;
        let (signer, bytes_max) = (Arc::clone(&self.shared.signer), self.shared.config.bytes_max);
        let begun = RecordedFile::begin((disk(file), path.clone()), signer, bytes_max, facts).inspect_err(|_| {
            // A file without a header is no recording; where it cannot be removed, recovery tells of it.
            fs::remove_file(&path).ok();
        });
        Ok(Recorder::begin(Arc::clone(&self.shared), begun?))
    }

    /// How long anything that waits for the disk may take.
    pub fn patience(&self) -> Duration {
        self.shared.config.sync_timeout
    }

    /// Whether recordings can be written: for readiness.
    pub fn healthy(&self) -> bool {
        self.shared.queue.healthy() && self.shared.queue.room().is_ok_and(|(room, wanted)| room >= wanted)
    }

    pub(super) fn signer(&self) -> &Arc<Signer> {
        &self.shared.signer
    }

    /// The last name that [`Store::recover`] has gone through.
    pub(super) fn through(&self) -> &Mutex<String> {
        &self.shared.through
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.stop();
        // What could not be made durable the recorders have been told.
        for thread in self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            join_within(thread, self.config.sync_timeout);
        }
    }
}

/// Every recording under `dir`, in the order of the names, which is that of time.
///
/// # Errors
/// A folder that cannot be read.
pub fn recordings(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(dir, 0, &mut found)?;
    found.sort_unstable();
    Ok(found)
}

/// Year, month and day are three levels.
fn collect(dir: &Path, depth: u8, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for file in fs::read_dir(dir)? {
        let file = file?;
        let (path, kind) = (file.path(), file.file_type()?);
        if kind.is_dir() && depth < 3 {
            collect(&path, depth + 1, found)?;
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "rec") {
            found.push(path);
        }
    }
    Ok(())
}

/// Makes a folder and those above it, and their names durable.
fn make_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent().filter(|d| !d.as_os_str().is_empty()) {
        make_dirs(above)?;
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        return sync_dir(above);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// How long a frame may take to be durable when nothing says otherwise.
pub const SYNC_INTERVAL: Duration = Duration::from_millis(200);

/// How long frames may be unsigned when nothing says otherwise.
pub const MARK_INTERVAL: Duration = Duration::from_secs(5);
