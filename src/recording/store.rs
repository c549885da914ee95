//! The folder of recordings: where each lies, beginning one, and sealing what an earlier process left.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::audit::Signer;
use crate::audit::disk::{Disk, sync_dir};
use crate::domain::{Outcome, RecordingFacts, SessionFacts, SessionId, Timestamp};

use super::frame::Frame;
use super::reader::{Item, Reader, is_sealed};
use super::sync::{Queue, RecordedFile};
use super::writer::{Chain, Packing, Recorder};
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
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What [`Store::recover`] sealed.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The session, when the header could be read.
    pub session: Option<SessionId>,
    /// The recording's file, relative to the folder.
    pub recording: String,
    /// The seal's facts.
    pub facts: RecordingFacts,
}

/// With less room than this no session is worth beginning, whatever the configuration asks for.
const READY_BYTES_MIN: u64 = 1 << 20;

impl Store {
    /// Opens the folder, making it when it is not there, and starts the thread that makes frames durable.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn open(config: Config, signer: Arc<Signer>) -> Result<Self, RecordingError> {
        let failed = |e: io::Error| RecordingError(format!("{}: {e}", config.dir.display()));
        make_dirs(&config.dir).map_err(failed)?;
        signer.publish(&config.dir).map_err(failed)?;
        let queue = Queue::new();
        // Half of the interval to gather, half for the disk.
        let (of_thread, gather) = (Arc::clone(&queue), config.sync_interval / 2);
        let thread = std::thread::Builder::new().name("recording-sync".to_owned());
        let thread = Mutex::new(Some(thread.spawn(move || of_thread.run(gather)).map_err(failed)?));
        Ok(Self { shared: Arc::new(Shared { config, signer, queue, thread }) })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.shared.config.dir
    }

    /// Seals as aborted what an earlier process left unsealed. Call before the first [`Store::create`].
    ///
    /// What a living process has open is left alone. A recording that is damaged before its end is not sealed: it is
    /// evidence, and `sallyport verify` tells where it was changed.
    pub fn recover(&self, at: Timestamp) -> Vec<Result<Recovered, RecordingError>> {
        let files = match recordings(self.dir()) {
            Ok(files) => files,
            Err(e) => return vec![Err(RecordingError(format!("{}: {e}", self.dir().display())))],
        };
        let recovered = files.iter().filter_map(|file| {
            self.recover_one(file, at).map_err(|e| RecordingError(format!("{}: {e}", file.display()))).transpose()
        });
        recovered.collect()
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
            return Err(RecordingError(format!(
                "`{}` is not the place of session {}",
                facts.recording.escape_debug(),
                facts.session
            )));
        }
        let path = self.dir().join(&facts.recording);
        let failed = |e: io::Error| RecordingError(format!("{}: {e}", path.display()));
        let room = self.room().map_err(failed)?;
        let wanted = self.shared.config.free_bytes_min.max(READY_BYTES_MIN);
        if room < wanted {
            return Err(RecordingError(format!(
                "{} has {room} bytes of room left, less than the {wanted} it must have",
                self.dir().display()
            )));
        }
        let day = path.parent().unwrap_or(self.dir());
        make_dirs(day).map_err(failed)?;
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        file.try_lock().map_err(|e| failed(e.into()))?;
        let file = RecordedFile::new(disk(file), Some(day.to_owned()));
        Recorder::begin(Arc::clone(&self.shared), file, facts).inspect_err(|_| {
            // A file without a header is no recording; where it cannot be removed, recovery tells of it.
            fs::remove_file(&path).ok();
        })
    }

    /// Whether recordings can be written: for readiness.
    pub fn healthy(&self) -> bool {
        let room = self.room().is_ok_and(|room| room >= self.shared.config.free_bytes_min.max(READY_BYTES_MIN));
        room && !self.shared.queue.unwell.load(Ordering::Acquire)
    }

    fn room(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(self.dir())?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn recover_one(&self, path: &Path, at: Timestamp) -> io::Result<Option<Recovered>> {
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        if is_sealed(&file)? {
            return Ok(None);
        }
        let mut reader = Reader::open(path)?.map_err(io::Error::other)?;
        let mut torn = 0;
        loop {
            match reader.next_item()? {
                Some(Item::Frame(_)) => {}
                Some(Item::Torn { bytes, .. }) => torn = bytes,
                Some(Item::Seal(_)) => return Ok(None),
                Some(Item::Damage(damage)) => {
                    return Err(io::Error::other(format!("it was changed and is left as it is: {damage}")));
                }
                None => break,
            }
        }
        let (facts, place) = (reader.facts().clone(), reader.place());
        if torn > 0 {
            file.set_len(place.offset)?;
        }
        let chain = Chain {
            head: place.head,
            frames: place.frames,
            bytes: place.offset,
            sealed: false,
            packing: Packing::default(),
        };
        let recorder = Recorder::resume(Arc::clone(&self.shared), RecordedFile::new(Box::new(file), None), chain);
        if torn > 0 {
            let text = format!("{torn} bytes of an unfinished block were cut here when the recording was recovered");
            recorder.keep(at, &Frame::Note { text: &text }).map_err(io::Error::other)?;
        }
        let sealed = recorder.seal(at, Outcome::Aborted).map_err(io::Error::other)?;
        let recording = path.strip_prefix(self.dir()).unwrap_or(path).to_string_lossy().into_owned();
        Ok(Some(Recovered { session: Some(facts.session), recording, facts: sealed }))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.stop();
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // What it could not make durable it has told the recorders.
            thread.join().ok();
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
