//! Makes what recorders have written durable: one thread for all of them, asleep while nothing is written.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::RecordingError;
use crate::audit::disk::{Disk, sync_dir};

/// A sync that takes longer than this makes the disk count as stalled.
const STALL: Duration = Duration::from_millis(100);
/// Files that one thread syncs in a round before another is taken on.
const FILES_PER_THREAD: usize = 8;
/// Threads in a round.
const THREADS_MAX: usize = 8;

/// The file of an open recording, as the recorder and the sync thread share it.
#[derive(Debug)]
pub(super) struct RecordedFile {
    pub(super) disk: Box<dyn Disk>,
    /// The folder whose entry for this file is not durable yet.
    pub(super) new_in: Mutex<Option<PathBuf>>,
    dirty: AtomicBool,
    pub(super) failed: watch::Sender<Option<RecordingError>>,
}

impl RecordedFile {
    pub(super) fn new(disk: Box<dyn Disk>, new_in: Option<PathBuf>) -> Arc<Self> {
        let failed = watch::Sender::new(None);
        Arc::new(Self { disk, new_in: Mutex::new(new_in), dirty: AtomicBool::new(false), failed })
    }

    pub(super) fn fail(&self, what: &str, error: &dyn std::fmt::Display) -> RecordingError {
        let failure = RecordingError(format!("{what}: {error}"));
        tracing::error!(%error, "A recording cannot be kept ({what}); its session ends.");
        self.failed.send_if_modified(|slot| slot.is_none() && slot.replace(failure.clone()).is_none());
        failure
    }

    /// Makes the file and its name durable now.
    pub(super) fn sync(&self) -> std::io::Result<()> {
        if let Some(dir) = lock(&self.new_in).take() {
            sync_dir(&dir)?;
        }
        self.disk.sync()
    }
}

/// The files that wait to be made durable. Each stands in it at most once.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// The last sync failed.
    pub(super) unwell: AtomicBool,
    begun: Instant,
    /// When the round under way began or last came on, in milliseconds after `begun`, plus one; zero between rounds.
    round: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    files: Vec<Arc<RecordedFile>>,
    stop: bool,
}

impl Queue {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            unwell: AtomicBool::new(false),
            begun: Instant::now(),
            round: AtomicU64::new(0),
        })
    }

    /// Says that `file` has been written to.
    pub(super) fn written(&self, file: &Arc<RecordedFile>) {
        if !file.dirty.swap(true, Ordering::AcqRel) {
            let mut waiting = lock(&self.waiting);
            waiting.files.push(Arc::clone(file));
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// Whether the disk takes so long that a write may wait for it too.
    pub(super) fn stalled(&self) -> bool {
        let since = self.round.load(Ordering::Acquire);
        since != 0 && self.now().saturating_sub(since) > u64::try_from(STALL.as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends [`Self::run`] after a last round.
    pub(super) fn stop(&self) {
        lock(&self.waiting).stop = true;
        self.wake.notify_all();
    }

    /// The thread: rounds of syncs, the first `gather` after a file was written.
    pub(super) fn run(&self, gather: Duration) {
        loop {
            let waiting = lock(&self.waiting);
            let waiting = self
                .wake
                .wait_while(waiting, |w| w.files.is_empty() && !w.stop)
                .unwrap_or_else(PoisonError::into_inner);
            let (mut waiting, _) =
                self.wake.wait_timeout_while(waiting, gather, |w| !w.stop).unwrap_or_else(PoisonError::into_inner);
            let (files, stop) = (std::mem::take(&mut waiting.files), waiting.stop);
            drop(waiting);
            self.round.store(self.now().saturating_add(1), Ordering::Release);
            self.sync(&files);
            self.round.store(0, Ordering::Release);
            if stop && files.is_empty() {
                return;
            }
        }
    }

    fn sync(&self, files: &[Arc<RecordedFile>]) {
        sync_names(files);
        let per_thread = files.len().div_ceil(THREADS_MAX).max(FILES_PER_THREAD);
        let mut chunks = files.chunks(per_thread);
        let own = chunks.next().unwrap_or_default();
        std::thread::scope(|scope| {
            for chunk in chunks {
                scope.spawn(|| self.sync_each(chunk));
            }
            self.sync_each(own);
        });
    }

    fn sync_each(&self, files: &[Arc<RecordedFile>]) {
        for file in files {
            // Before the sync: what is written from here on waits for the next round.
            file.dirty.store(false, Ordering::Release);
            let synced = file.sync();
            // A round of many files is long, and that is no stall while one after the other is done.
            self.round.store(self.now().saturating_add(1), Ordering::Release);
            self.unwell.store(synced.is_err(), Ordering::Release);
            if let Err(e) = synced {
                file.fail("making it durable failed", &e);
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Syncs each folder once for all the new files in it; one that fails is tried again, and told, by the file itself.
fn sync_names(files: &[Arc<RecordedFile>]) {
    let dirs: BTreeSet<PathBuf> = files.iter().filter_map(|file| lock(&file.new_in).clone()).collect();
    let synced: BTreeSet<PathBuf> = dirs.into_iter().filter(|dir| sync_dir(dir).is_ok()).collect();
    for file in files {
        lock(&file.new_in).take_if(|dir| synced.contains(dir));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
