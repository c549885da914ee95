//! Makes what recorders have written durable, and signs it: one thread for all of them, asleep while nothing is written. A second one watches the
//! clock over it, because a disk may hang.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::file::{RecordedFile, lock};
use super::{Config, RecordingError};
use crate::audit::disk::sync_dir;

/// A sync that takes longer than this makes the disk count as stalled.
const STALL: Duration = Duration::from_millis(100);
/// Files that one thread syncs in a round before another is taken on.
const FILES_PER_THREAD: usize = 8;
/// Threads in a round.
const THREADS_MAX: usize = 8;
/// With less room than this no session is worth beginning, whatever the configuration asks for.
pub(super) const READY_BYTES_MIN: u64 = 1 << 20;

/// The files that wait to be made durable. Each stands in it at most once.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Wakes the thread that watches the rounds.
    begins: Condvar,
    dir: PathBuf,
    /// A frame that is not durable after this ends its session.
    patience: Duration,
    gather: Duration,
    mark_interval: Duration,
    free_bytes_min: u64,
    /// The last sync failed.
    unwell: AtomicBool,
    /// The round under way takes longer than `patience`.
    overdue: AtomicBool,
    begun: Instant,
    /// When the round under way began or last came on, in milliseconds after `begun`, plus one; zero between rounds.
    round: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    files: Vec<Arc<RecordedFile>>,
    /// Files that are to be signed, and when; the order is that of time.
    marks: VecDeque<(Instant, Weak<RecordedFile>)>,
    in_round: Vec<Arc<RecordedFile>>,
    stop: bool,
}

impl Queue {
    pub(super) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            begins: Condvar::new(),
            dir: config.dir.clone(),
            patience: config.sync_timeout,
            // Half of the interval to gather, half for the disk.
            gather: config.sync_interval / 2,
            mark_interval: config.mark_interval,
            free_bytes_min: config.free_bytes_min.max(READY_BYTES_MIN),
            unwell: AtomicBool::new(false),
            overdue: AtomicBool::new(false),
            begun: Instant::now(),
            round: AtomicU64::new(0),
        })
    }

    /// Says that `file` has been written to.
    pub(super) fn written(&self, file: &Arc<RecordedFile>) {
        let dirty = &file.care.dirty;
        if dirty.load(Ordering::Acquire) == 0
            && dirty.compare_exchange(0, self.now(), Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            lock(&self.waiting).files.push(Arc::clone(file));
            self.wake.notify_one();
        }
        let mark_waits = &file.care.mark_waits;
        if !mark_waits.load(Ordering::Acquire) && !mark_waits.swap(true, Ordering::AcqRel) {
            lock(&self.waiting).marks.push_back((Instant::now() + self.mark_interval, Arc::downgrade(file)));
            self.wake.notify_one();
        }
    }

    /// Whether the disk takes so long that a write may wait for it too.
    pub(super) fn stalled(&self) -> bool {
        let since = self.round.load(Ordering::Acquire);
        since != 0 && self.now().saturating_sub(since) > millis(STALL)
    }

    /// Whether what is recorded becomes durable, and in time.
    pub(super) fn healthy(&self) -> bool {
        !self.unwell.load(Ordering::Acquire) && !self.overdue()
    }

    /// Whether the disk has not answered in time and has not answered since.
    pub(super) fn overdue(&self) -> bool {
        self.overdue.load(Ordering::Acquire)
    }

    /// Room on the disk, and how much there must be.
    pub(super) fn room(&self) -> std::io::Result<(u64, u64)> {
        let disk = rustix::fs::statvfs(&self.dir)?;
        Ok((disk.f_bavail.saturating_mul(disk.f_frsize), self.free_bytes_min))
    }

    /// Ends [`Self::run`] after a last round, and [`Self::watch`].
    pub(super) fn stop(&self) {
        lock(&self.waiting).stop = true;
        self.wake.notify_all();
        self.begins.notify_all();
    }

    /// The thread: rounds of syncs, the first `gather` after a file was written, and marks when they are due.
    pub(super) fn run(&self) {
        let mut relieved_at = None;
        loop {
            let (mut files, marks, stop) = self.next_round();
            self.round.store(self.now(), Ordering::Release);
            self.begins.notify_one();
            // A mark that could not be written has ended its recording; a file that was written to meanwhile has its turn anyway.
            let clean = |file: &Arc<RecordedFile>| file.care.dirty.load(Ordering::Acquire) == 0;
            files.extend(marks.into_iter().filter(|file| file.mark().is_ok() && clean(file)));
            self.sync(&files);
            self.relieve(&files, &mut relieved_at);
            self.round.store(0, Ordering::Release);
            self.overdue.store(false, Ordering::Release);
            lock(&self.waiting).in_round.clear();
            if stop && files.is_empty() {
                return;
            }
        }
    }

    /// Waits for files that were written to, and gives others the time to join them; or for marks that are due.
    fn next_round(&self) -> (Vec<Arc<RecordedFile>>, Vec<Arc<RecordedFile>>, bool) {
        let mut waiting = lock(&self.waiting);
        while waiting.files.is_empty() && !waiting.stop {
            let now = Instant::now();
            waiting = match waiting.marks.front().map(|(due, _)| due.saturating_duration_since(now)) {
                Some(Duration::ZERO) => break,
                Some(left) => self.wake.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
        if !waiting.files.is_empty() {
            let gathered = self.wake.wait_timeout_while(waiting, self.gather, |w| !w.stop);
            waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        let (now, mut marks) = (Instant::now(), Vec::new());
        while let Some((_, file)) = waiting.marks.pop_front_if(|(due, _)| *due <= now) {
            if let Some(file) = file.upgrade() {
                // Before the mark: what is written from here on waits for the next.
                file.care.mark_waits.store(false, Ordering::Release);
                marks.push(file);
            }
        }
        let files = std::mem::take(&mut waiting.files);
        waiting.in_round = files.iter().chain(&marks).cloned().collect();
        (files, marks, waiting.stop)
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
            let since = file.care.dirty.swap(0, Ordering::AcqRel);
            file.care.syncing.store(if since == 0 { self.now() } else { since }, Ordering::Release);
            let synced = file.sync();
            file.care.syncing.store(0, Ordering::Release);
            // A round of many files is long, and that is no stall while one after the other is done.
            self.round.store(self.now(), Ordering::Release);
            self.unwell.store(synced.is_err(), Ordering::Release);
            if let Err(e) = synced {
                file.fail("making it durable failed", &e);
            }
        }
    }

    /// The other thread: ends the recordings that have waited for the disk too long.
    pub(super) fn watch(&self) {
        let look = (self.patience / 8).max(Duration::from_millis(10));
        let mut waiting = lock(&self.waiting);
        while !waiting.stop {
            if waiting.in_round.is_empty() {
                waiting = self.begins.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            waiting = self.begins.wait_timeout(waiting, look).unwrap_or_else(PoisonError::into_inner).0;
            let now = self.now();
            let late = |file: &RecordedFile| {
                let times = [&file.care.dirty, &file.care.syncing].map(|time| time.load(Ordering::Acquire));
                times.into_iter().any(|since| since != 0 && now.saturating_sub(since) > millis(self.patience))
            };
            let mut overdue = false;
            for file in waiting.in_round.iter().chain(&waiting.files).filter(|file| late(file)) {
                overdue = true;
                if !matches!(*file.end.borrow(), Some(RecordingError::Failed(_))) {
                    let text = format!("it is not durable after {} ms", millis(self.patience));
                    file.fail("the disk does not answer", &text);
                }
            }
            if overdue {
                self.overdue.store(true, Ordering::Release);
            }
        }
    }

    /// Ends the recording that grows fastest when room runs out, so that the others can go on; another one when it goes on running out.
    fn relieve(&self, files: &[Arc<RecordedFile>], relieved_at: &mut Option<u64>) {
        let grown = files.iter().map(|file| {
            let bytes = file.care.bytes.load(Ordering::Relaxed);
            (bytes.saturating_sub(file.care.seen.swap(bytes, Ordering::Relaxed)), file)
        });
        let fastest =
            grown.filter(|(grown, file)| *grown > 0 && file.end.borrow().is_none()).max_by_key(|(grown, _)| *grown);
        // A disk that does not tell its room tells soon enough that it is full.
        let Ok((room, wanted)) = self.room() else { return };
        let short = wanted / 2;
        if room >= short {
            *relieved_at = None;
        } else if relieved_at.is_none_or(|before| room.saturating_add(short / 8) <= before)
            && let Some((_, file)) = fastest
        {
            tracing::error!(
                room,
                wanted,
                "The disk of the recordings is nearly full: the session that records most is ended."
            );
            file.end(RecordingError::NoRoom);
            *relieved_at = Some(room);
        }
    }

    /// Milliseconds since the queue began, plus one, because zero stands for none.
    fn now(&self) -> u64 {
        millis(self.begun.elapsed()).saturating_add(1)
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

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::disk::faulty::{Done, Hanging, Timed};
    use crate::domain::Outcome;
    use crate::recording::lab::{Lab, PLAYED, at, play};
    use crate::recording::{Frame, RecordingError, Stream};

    /// Waits for what a thread of the store does.
    fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
        let by = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < by, "did not happen: {what}");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    #[test]
    fn what_is_written_is_signed_before_the_seal() {
        let lab = Lab::with(|config| Config { mark_interval: Duration::from_millis(20), ..config });
        let recorder = lab.create(1);
        play(&recorder);
        wait_until("all of it is signed", || lab.verify(&lab.path(1)).attested == PLAYED);
        let marks = std::fs::read(lab.path(1)).unwrap();
        std::thread::park_timeout(Duration::from_millis(60));
        assert_eq!(std::fs::read(lab.path(1)).unwrap(), marks, "an idle session is not signed again");
        recorder.write(at(9_000), &Frame::Note { text: "later" }).unwrap();
        wait_until("and what comes later", || lab.verify(&lab.path(1)).attested == PLAYED + 1);
        recorder.seal(at(9_001), Outcome::ClientClosed).unwrap();
        let report = lab.verify(&lab.path(1));
        assert!(report.intact() && report.attested == PLAYED + 1, "{report:?}");
    }

    /// The longest that something appended waited until a sync that began after it had ended; nothing as long as something waits.
    fn longest_wait(diary: &[Done]) -> Option<Duration> {
        let mut longest = Duration::ZERO;
        for (place, done) in diary.iter().enumerate() {
            let Done::Append(appended) = done else { continue };
            let durable = diary.iter().skip(place).find_map(|later| match later {
                Done::Sync(begun, ended) if begun >= appended => Some(*ended),
                Done::Append(_) | Done::Sync(..) => None,
            })?;
            longest = longest.max(durable - *appended);
        }
        Some(longest)
    }

    #[test]
    fn a_frame_is_durable_within_the_interval_also_while_others_follow_it() {
        // The longest that a configuration may say.
        let interval = Duration::from_millis(200);
        let lab = Lab::with(|config| Config { sync_interval: interval, ..config });
        let diary = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&diary);
        let recorder = lab.create_on(1, |file| Box::new(Timed(file, kept))).unwrap();
        let data = Frame::Data { channel: 0, stream: Stream::Output, data: b"0123456789" };
        let mut waited = Vec::new();
        // A machine that is busy with other things may be late; one on which nothing is ever in time has another reason.
        let in_time = (0..20).any(|round| {
            diary.lock().unwrap().clear();
            for frame in 0..100 {
                recorder.write(at(round * 1_000 + frame), &data).unwrap();
                std::thread::park_timeout(Duration::from_millis(5));
            }
            wait_until("all of it is durable", || longest_wait(&diary.lock().unwrap()).is_some());
            waited.extend(longest_wait(&diary.lock().unwrap()));
            waited.last().is_some_and(|longest| *longest <= interval)
        });
        assert!(in_time, "frames waited for {waited:?}");
        let appended = diary.lock().unwrap().iter().filter(|done| matches!(done, Done::Append(_))).count();
        assert_eq!(appended, 100, "each frame is with the system when its write has returned");
    }

    #[tokio::test]
    async fn a_disk_that_hangs_ends_who_waits_for_it() {
        let lab = Lab::with(|config| Config { sync_timeout: Duration::from_millis(300), ..config });
        let gate = Arc::new(Mutex::new(()));
        let of_disk = Arc::clone(&gate);
        std::thread::scope(|scope| {
            let (release, released) = std::sync::mpsc::channel::<()>();
            let (held, is_held) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                let _hung = gate.lock().unwrap();
                held.send(()).unwrap();
                released.recv().ok();
            });
            is_held.recv().unwrap();
            let recorder = lab.create_on(1, |file| Box::new(Hanging(file, of_disk))).unwrap();
            assert!(lab.store.healthy());
            wait_until("it is ended", || recorder.end().is_some());
            let end = recorder.end().unwrap();
            assert!(end.to_string().contains("not durable after 300 ms"), "{end}");
            assert!(recorder.write(at(1), &Frame::Note { text: "late" }).is_err());
            assert!(recorder.seal(at(1), Outcome::RecorderFailed).is_err());
            wait_until("it is told", || !lab.store.healthy());
            assert!(lab.store.create(&crate::recording::lab::facts(crate::recording::lab::session(2), at(0))).is_err());
            release.send(()).unwrap();
        });
        wait_until("the disk is back", || lab.store.healthy());
        lab.create(3);
    }

    #[tokio::test]
    async fn a_recording_that_is_long_enough_ends_and_can_be_sealed() {
        let lab = Lab::with(|config| Config { bytes_max: 4_000, ..config });
        let recorder = lab.create(1);
        let data = Frame::Data { channel: 0, stream: Stream::Output, data: b"0123456789" };
        let full = loop {
            if let Err(end) = recorder.write(at(1), &data) {
                break end;
            }
        };
        assert_eq!((full.clone(), recorder.ended().await), (RecordingError::Full(4_000), full.clone()));
        assert_eq!(recorder.write(at(2), &data), Err(full.clone()));
        // What tells of the end has room, and not for ever.
        recorder.write(at(2), &Frame::ExitStatus { channel: 0, status: 0 }).unwrap();
        let note = "x".repeat(200);
        let mut notes = 0;
        while recorder.write(at(2), &Frame::Note { text: &note }).is_ok() {
            notes += 1;
            assert!(notes < 10_000);
        }
        recorder.seal(at(3), Outcome::RecordingFull).unwrap();
        let report = lab.verify(&lab.path(1));
        assert!(report.intact() && report.outcome == Some(Outcome::RecordingFull), "{report:?}");
    }
}
