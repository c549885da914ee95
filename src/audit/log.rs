//! The handle on the log: an append waits in a bounded queue for the writer's thread, and no longer than the disk is given.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::domain::plain::escaped_json;
use crate::domain::{Event, Timestamp};

use super::disk::Disk;
use super::layout::LINE_BYTES_MAX;
use super::writer::Writer;
use super::{AuditError, Config, Receipt, Signer};

/// What a line needs beside its event.
const LINE_OVERHEAD: usize = 512;

/// A handle on the open log. Clones share it.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Absent only while the last handle is dropped.
    jobs: Option<SyncSender<Job>>,
    pending: Arc<Semaphore>,
    state: Arc<State>,
    /// An append waits no longer for the disk.
    patience: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How the log does, as its handles and its writer share it.
#[derive(Debug, Default)]
pub(super) struct State {
    closed: AtomicBool,
    pub(super) unwell: AtomicBool,
    /// An append has waited too long, and the disk has taken none since.
    pub(super) late: AtomicBool,
    pub(super) failure: Mutex<Option<AuditError>>,
}

impl State {
    pub(super) fn failure(&self) -> Option<AuditError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the writer is asked to do.
pub(super) enum Job {
    Append(Append),
    Close(oneshot::Sender<()>),
}

/// One event on its way into the log.
pub(super) struct Append {
    pub(super) at: Timestamp,
    pub(super) event: Vec<u8>,
    pub(super) opens: bool,
    pub(super) answer: oneshot::Sender<Result<Receipt, AuditError>>,
    _pending: OwnedSemaphorePermit,
}

impl Log {
    /// Opens the log in `config.dir`, mending a torn tail, and takes it for this process alone.
    ///
    /// # Errors
    /// A folder that cannot be written, is in use by another process, whose chain does not verify, or whose end no gateway can have written.
    pub fn open(config: Config, signer: Arc<Signer>) -> Result<Self, AuditError> {
        Self::open_on(config, signer, |file| Box::new(file))
    }

    pub(super) fn open_on(
        config: Config,
        signer: Arc<Signer>,
        disk: impl Fn(File) -> Box<dyn Disk> + Send + 'static,
    ) -> Result<Self, AuditError> {
        let state = Arc::new(State::default());
        let writer = Writer::open(&config, signer, Box::new(disk), Arc::clone(&state))
            .map_err(|e| AuditError::Failed(format!("{}: {e}", config.dir.display())))?;
        let (jobs, queue) = sync_channel(config.pending_max.saturating_add(1));
        let thread = std::thread::Builder::new()
            .name("audit-writer".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|e| AuditError::Failed(format!("its thread cannot be started: {e}")))?;
        let pending = Arc::new(Semaphore::new(config.pending_max.clamp(1, Semaphore::MAX_PERMITS)));
        let thread = Mutex::new(Some(thread));
        let patience = config.sync_timeout;
        Ok(Self { shared: Arc::new(Shared { jobs: Some(jobs), pending, state, patience, thread }) })
    }

    /// Appends `event` and returns once it is durable. An append whose future is dropped, or that is late, is written all the same if the disk
    /// comes back.
    ///
    /// # Errors
    /// When it is not, whatever the reason; the caller must not act.
    pub async fn append(&self, at: Timestamp, event: Event) -> Result<Receipt, AuditError> {
        let pending = Arc::clone(&self.shared.pending).try_acquire_owned().map_err(|_| AuditError::Busy)?;
        self.append_in(pending, at, event).await
    }

    /// As [`Log::append`], for what has happened already and must not be lost: waits its turn instead of being told that the log is busy.
    ///
    /// # Errors
    /// It is not durable.
    pub async fn append_in_turn(&self, at: Timestamp, event: Event) -> Result<Receipt, AuditError> {
        let turn = Arc::clone(&self.shared.pending).acquire_owned();
        let Ok(turn) = tokio::time::timeout(self.shared.patience, turn).await else { return Err(self.late()) };
        let pending = turn.map_err(|_| AuditError::Closed)?;
        self.append_in(pending, at, event).await
    }

    async fn append_in(
        &self,
        pending: OwnedSemaphorePermit,
        at: Timestamp,
        event: Event,
    ) -> Result<Receipt, AuditError> {
        let shared = &self.shared;
        if let Some(failure) = shared.state.failure() {
            return Err(failure);
        }
        if shared.state.closed.load(Ordering::Acquire) {
            return Err(AuditError::Closed);
        }
        let opens = matches!(event, Event::SessionOpened { .. });
        let event = serde_json::to_string(&event)
            .map_err(|e| AuditError::Failed(format!("the event has no text form: {e}")))?;
        // What a peer said must do nothing to the terminal on which the log is read; it stays the same JSON.
        let event = escaped_json(&event).into_owned().into_bytes();
        if event.len() > LINE_BYTES_MAX - LINE_OVERHEAD {
            return Err(AuditError::Failed(format!("an event of {} bytes is too large", event.len())));
        }
        let (answer, answered) = oneshot::channel();
        let job = Job::Append(Append { at, event, opens, answer, _pending: pending });
        let sent = shared.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok());
        let gone = || shared.state.failure().unwrap_or(AuditError::Closed);
        if !sent {
            return Err(gone());
        }
        match tokio::time::timeout(shared.patience, answered).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(gone())),
            Err(_) => Err(self.late()),
        }
    }

    /// The disk has not taken an event in time: nothing opens until it takes one.
    fn late(&self) -> AuditError {
        if !self.shared.state.late.swap(true, Ordering::AcqRel) {
            tracing::error!(
                waited_ms = self.shared.patience.as_millis(),
                "The audit log's disk takes no entries. Nothing is let in."
            );
        }
        AuditError::Late(self.shared.patience.as_millis())
    }

    /// Whether appends can succeed: for readiness.
    pub fn healthy(&self) -> bool {
        let state = &self.shared.state;
        [&state.unwell, &state.closed, &state.late].iter().all(|flag| !flag.load(Ordering::Acquire))
    }

    /// Writes what is pending, signs a last checkpoint and closes the file; gives up when the disk does not answer in time.
    pub async fn close(&self) {
        let shared = &self.shared;
        let mut finished = true;
        if !shared.state.closed.swap(true, Ordering::AcqRel) {
            let (done, ended) = oneshot::channel();
            if shared.jobs.as_ref().is_some_and(|jobs| jobs.try_send(Job::Close(done)).is_ok()) {
                // An error says that the thread has ended by itself, which is what is waited for.
                finished = tokio::time::timeout(shared.patience, ended).await.is_ok();
            }
        }
        let thread = shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            // A panic of the thread has been told to those who waited for it.
            Some(thread) if finished => drop(thread.join()),
            Some(_) => {
                tracing::error!("The audit log's disk does not answer; the log was left without its last checkpoint.")
            }
            None => {}
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            join_within(thread, self.patience);
        }
    }
}

/// Waits for a thread that may wait for a disk; leaves it behind when that takes too long.
pub(crate) fn join_within(thread: JoinHandle<()>, patience: Duration) {
    let by = Instant::now() + patience;
    while !thread.is_finished() && Instant::now() < by {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    if thread.is_finished() {
        // A panic of the thread has been told to those who waited for it.
        thread.join().ok();
    }
}
