//! The writer: gathers the appends that wait, writes them at once, makes them durable, answers all of them.
//!
//! One thread owns the files. A failed write or sync is final, because what the disk holds is then unknown; only a full
//! disk leaves the reserve, in which everything but the opening of sessions can still be told.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::domain::{Event, Timestamp};

use super::chain::{Hash, checkpoint_message};
use super::disk::{Disk, sync_dir};
use super::layout::{self, CHECKPOINTS_FILE, Checkpoint, LOCK_FILE, RESERVE_FILE};
use super::log::{Append, Job, State};
use super::tail::{self, Tail, Unsigned};
use super::{AuditError, Config, Receipt, Signer};

/// Entries are signed at most this long after they were written.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// What the reserve holds.
const RESERVE_BYTES: usize = 1024 * 1024;
/// The writer waits no longer than this for those who appended with it last time.
const GATHER_MAX: Duration = Duration::from_millis(1);
/// The kinds of alarm that the log gives about itself; each begins with the first.
pub(super) const ALARM: &str = "audit-log";
const ALARM_UNSIGNED: &str = "audit-log-unsigned";
const ALARM_KEY: &str = "audit-log-key";
/// What `sallyport audit mend` leaves in the log.
pub(super) const ALARM_MENDED: &str = "audit-log-mended";

/// Whether the disk still takes entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Good,
    /// The disk is full and the reserve was freed.
    Reserve,
    Failed,
}

/// The thread that owns the log's files.
pub(super) struct Writer {
    config: Config,
    signer: Arc<Signer>,
    disk: Box<dyn Fn(File) -> Box<dyn Disk> + Send>,
    state: Arc<State>,
    segment: Box<dyn Disk>,
    segment_bytes: u64,
    checkpoints: Box<dyn Disk>,
    next_seq: u64,
    head: Hash,
    last_at: Timestamp,
    /// When the entries that are not signed yet are to be.
    sign_by: Option<Instant>,
    /// Whether this run has signed anything yet.
    signed: bool,
    /// What is to be said before the next entry: alarms, kind and text.
    preface: Vec<(&'static str, String)>,
    mode: Mode,
    last_sync: Duration,
    _lock: File,
}

impl Writer {
    /// Opens the folder for this process alone, and mends a torn tail.
    pub(super) fn open(
        config: &Config,
        signer: Arc<Signer>,
        disk: Box<dyn Fn(File) -> Box<dyn Disk> + Send>,
        state: Arc<State>,
    ) -> io::Result<Self> {
        let dir = &config.dir;
        let lock = lock(dir)?;
        signer.publish(dir)?;
        let tail = tail::tail(dir, signer.public())?.map_err(|problem| {
            io::Error::other(format!("{problem}; the log was changed from outside: keep it as evidence, `sallyport verify` says more, and start on an empty folder"))
        })?;
        if let Some(refusal) = tail.unsigned.as_ref().and_then(Unsigned::refusal) {
            return Err(io::Error::other(refusal));
        }
        keep_reserve(config)?;
        let checkpoints = append_to(config, CHECKPOINTS_FILE)?;
        checkpoints.set_len(tail.checkpoint_bytes)?;
        let preface = preface(&tail, &signer);
        let (segment, segment_bytes) = open_segment(config, &tail)?;
        sync_dir(dir)?;
        Ok(Self {
            segment: disk(segment),
            checkpoints: disk(checkpoints),
            config: config.clone(),
            signer,
            disk,
            state,
            segment_bytes,
            next_seq: tail.next_seq,
            head: tail.head,
            last_at: tail.last_at.unwrap_or(Timestamp::from_nanos(0)),
            // SECURITY: what is not signed is not signed before the log says so.
            sign_by: None,
            signed: false,
            preface,
            mode: Mode::Good,
            last_sync: Duration::ZERO,
            _lock: lock,
        })
    }

    /// Serves the queue until it is closed.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        let (mut batch, mut together) = (Vec::new(), 1);
        loop {
            let first = match self.sign_by {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(by) => queue.recv_timeout(by.saturating_duration_since(Instant::now())),
            };
            let closing = match first {
                Ok(job) => gather(job, queue, &mut batch, together, (self.last_sync / 4).min(GATHER_MAX)),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break self.sign(),
            };
            together = batch.len().max(1);
            self.commit(&mut batch);
            if let Some(done) = closing {
                self.sign();
                // Whoever closes may have given up waiting.
                done.send(()).ok();
                break;
            }
            if self.sign_by.is_some_and(|by| by <= Instant::now()) {
                self.sign();
            }
        }
    }

    /// Writes the batch, makes it durable and answers everybody in it.
    fn commit(&mut self, batch: &mut Vec<Append>) {
        if self.mode == Mode::Good && self.segment_bytes >= self.config.segment_bytes_max {
            self.sign();
            if let Err(e) = self.next_segment() {
                self.fail("a new segment", &e);
            }
        }
        if self.mode == Mode::Reserve {
            refuse_openings(batch);
        }
        if batch.is_empty() {
            return;
        }
        let mut written = self.mode != Mode::Failed && self.write(batch);
        if !written && self.mode == Mode::Reserve {
            // This write has just found the disk full: what opens nothing goes to the reserve.
            refuse_openings(batch);
            written = self.write(batch);
        }
        let failure = self.state.failure().unwrap_or(AuditError::Closed);
        let first = self.next_seq.saturating_sub(batch.len() as u64);
        for (seq, append) in (first..).zip(batch.drain(..)) {
            let answer = if written { Ok(Receipt { seq }) } else { Err(failure.clone()) };
            // Whoever appended may have gone; the entry stays.
            append.answer.send(answer).ok();
        }
    }

    /// One write and one sync. On a full disk the mode is [`Mode::Reserve`] afterwards, and nothing was written.
    fn write(&mut self, batch: &[Append]) -> bool {
        let Some(first) = batch.first() else { return true };
        let (mut bytes, mut seq, mut head) = (Vec::new(), self.next_seq, self.head);
        let said = self.preface.iter().filter_map(|(what, detail)| {
            let event = Event::Alarm { what: (*what).to_owned(), detail: detail.clone() };
            serde_json::to_vec(&event).ok()
        });
        let said: Vec<_> = said.collect();
        let preface = said.iter().map(|json| (first.at, json));
        for (at, event) in preface.chain(batch.iter().map(|a| (a.at, &a.event))) {
            head = layout::encode_entry(&mut bytes, seq, at, &head, event);
            seq = seq.saturating_add(1);
            self.last_at = at;
        }
        let started = Instant::now();
        if let Err(e) = self.segment.append(&bytes) {
            let full = matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
            if !(full && self.mode == Mode::Good && self.free_reserve(&e)) {
                // What was written of it is not acknowledged; where it cannot be cut, the next start mends the last line.
                self.segment.truncate(self.segment_bytes).ok();
                self.fail("a write", &e);
            }
            return false;
        }
        if let Err(e) = self.segment.sync() {
            self.fail("a sync", &e);
            return false;
        }
        self.last_sync = started.elapsed();
        self.segment_bytes += bytes.len() as u64;
        (self.next_seq, self.head) = (seq, head);
        self.preface.clear();
        self.state.late.store(false, Ordering::Release);
        // The first entries of a run are signed at once, so that no log is without a checkpoint for long.
        let wait = if self.signed { CHECKPOINT_INTERVAL } else { Duration::ZERO };
        self.sign_by.get_or_insert_with(|| Instant::now() + wait);
        true
    }

    /// Takes back what the failed write left, and frees the reserve.
    fn free_reserve(&mut self, cause: &io::Error) -> bool {
        self.state.unwell.store(true, Ordering::Release);
        let freed = self
            .segment
            .truncate(self.segment_bytes)
            .and_then(|()| fs::remove_file(self.config.dir.join(RESERVE_FILE)))
            .and_then(|()| sync_dir(&self.config.dir));
        if freed.is_ok() {
            self.mode = Mode::Reserve;
            let text = format!("{cause}: no session opens until there is room and the gateway was started again");
            self.preface.push((ALARM, text));
        }
        freed.is_ok()
    }

    /// Signs everything so far.
    fn sign(&mut self) {
        if self.sign_by.take().is_none() || self.mode == Mode::Failed {
            return;
        }
        let Some(seq) = self.next_seq.checked_sub(1) else { return };
        let signature = self.signer.sign(&checkpoint_message(seq, &self.head, &self.last_at.to_string())).to_vec();
        let checkpoint =
            Checkpoint { seq, head: self.head, at: self.last_at, key: self.signer.public().id(), signature };
        let line = layout::encode_checkpoint(&checkpoint);
        if let Err(e) = self.checkpoints.append(line.as_bytes()).and_then(|()| self.checkpoints.sync()) {
            self.fail("a checkpoint", &e);
        }
        self.signed = true;
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let file = append_to(&self.config, &layout::segment_name(self.next_seq))?;
        sync_dir(&self.config.dir)?;
        (self.segment, self.segment_bytes) = ((self.disk)(file), 0);
        Ok(())
    }

    fn fail(&mut self, what: &str, error: &io::Error) {
        self.mode = Mode::Failed;
        self.state.unwell.store(true, Ordering::Release);
        let failure = AuditError::Failed(format!("{what} in {} failed: {error}", self.config.dir.display()));
        tracing::error!(%error, dir = %self.config.dir.display(), "The audit log has failed: {what} did not succeed. Nothing is let in.");
        self.state.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }
}

/// Takes what waits, and for a moment what those who appended together last time append next.
fn gather(
    first: Job,
    queue: &Receiver<Job>,
    batch: &mut Vec<Append>,
    together: usize,
    patience: Duration,
) -> Option<oneshot::Sender<()>> {
    let (mut job, by) = (first, Instant::now() + patience);
    loop {
        match job {
            Job::Append(append) => batch.push(append),
            Job::Close(done) => {
                while let Ok(Job::Append(append)) = queue.try_recv() {
                    batch.push(append);
                }
                return Some(done);
            }
        }
        let waits = queue.try_recv().ok();
        let next = if batch.len() < together {
            waits.or_else(|| queue.recv_timeout(by.saturating_duration_since(Instant::now())).ok())
        } else {
            waits
        };
        job = next?;
    }
}

fn refuse_openings(batch: &mut Vec<Append>) {
    let full = AuditError::Failed("the disk is full; no session opens".to_owned());
    let (refused, kept) = std::mem::take(batch).into_iter().partition(|a: &Append| a.opens);
    *batch = kept;
    for append in refused {
        // Whoever appended may have gone.
        append.answer.send(Err(full.clone())).ok();
    }
}

/// Takes the folder for this process alone, making it when it is not there.
pub(super) fn lock(dir: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(LOCK_FILE))?;
    lock.try_lock().map_err(|e| match e {
        TryLockError::WouldBlock => io::Error::other("another process has this audit log open"),
        TryLockError::Error(e) => e,
    })?;
    Ok(lock)
}

/// What the log is told of the state in which it was found.
fn preface(tail: &Tail, signer: &Signer) -> Vec<(&'static str, String)> {
    let mut said = Vec::new();
    if let Some((file, good, torn)) = tail.segment.as_ref().filter(|(_, _, torn)| *torn > 0) {
        let text = format!(
            "{torn} bytes of an unfinished line were cut from {} at byte {good}; the process before ended while it wrote",
            file.display()
        );
        said.push((ALARM, text));
    }
    if let Some(unsigned) = &tail.unsigned {
        tracing::warn!("The audit log ends in {unsigned}, which nobody has signed; an alarm in it says so.");
        said.push((ALARM_UNSIGNED, unsigned.alarm()));
    }
    if let Some(other) = &tail.other_key {
        let own = signer.public().id();
        tracing::warn!(before = other, now = own, "The audit log was signed with another key.");
        let text = format!(
            "the checkpoints before this were signed by key {other}, and those from here on are by key {own}: the gateway's key was changed"
        );
        said.push((ALARM_KEY, text));
    }
    said
}

fn append_to(config: &Config, name: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(config.dir.join(name))
}

/// The segment in which the log goes on, without its torn tail.
fn open_segment(config: &Config, tail: &Tail) -> io::Result<(File, u64)> {
    match &tail.segment {
        None => Ok((append_to(config, &layout::segment_name(0))?, 0)),
        Some((path, good, torn)) => {
            let file = OpenOptions::new().append(true).open(path)?;
            if *torn > 0 {
                file.set_len(*good)?;
            }
            // What an earlier process wrote and did not live to sync is built upon from here on.
            file.sync_all()?;
            Ok((file, *good))
        }
    }
}

/// Makes sure that the reserve is there and takes real room.
fn keep_reserve(config: &Config) -> io::Result<()> {
    let path = config.dir.join(RESERVE_FILE);
    if fs::metadata(&path).is_ok_and(|data| data.len() == RESERVE_BYTES as u64) {
        return Ok(());
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&[b'.'; RESERVE_BYTES])?;
    file.sync_all()
}
