//! The log written, spoiled in every way, and verified.

mod damage;
mod disks;
mod starts;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::disk::faulty::{Faults, Hanging};
use super::layout::{CHECKPOINTS_FILE, RESERVE_FILE, segment_name};
use super::reader::Entries;
use super::verify::{Report, verify};
use super::*;
use crate::domain::{Event, Outcome, SessionId, Timestamp};

struct Lab {
    dir: tempfile::TempDir,
    signer: Arc<Signer>,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::open_or_create(&dir.path().join("key.pem")).unwrap();
        Self { dir, signer }
    }

    fn log_dir(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    fn config(&self) -> Config {
        Config {
            dir: self.log_dir(),
            segment_bytes_max: 1 << 20,
            pending_max: 64,
            sync_timeout: Duration::from_secs(20),
        }
    }

    fn open(&self) -> Result<Log, AuditError> {
        Log::open(self.config(), Arc::clone(&self.signer))
    }

    async fn with_entries(count: u64) -> Self {
        let lab = Self::new();
        let log = lab.open().unwrap();
        fill(&log, count).await;
        log.close().await;
        lab
    }

    fn verify(&self) -> Report {
        verify(&self.log_dir(), &self.signer.public().into(), &mut |_| {}).unwrap()
    }

    fn segment(&self) -> PathBuf {
        self.log_dir().join(segment_name(0))
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.segment()).unwrap().split_inclusive('\n').map(str::to_owned).collect()
    }
}

fn at(n: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + i64::try_from(n).unwrap())
}

fn event(n: u64) -> Event {
    Event::Alarm { what: "test".to_owned(), detail: format!("number {n}") }
}

async fn fill(log: &Log, count: u64) {
    for n in 0..count {
        assert_eq!(log.append(at(n), event(n)).await.unwrap().seq(), n);
    }
}

fn opening(n: u64) -> Event {
    crate::recording::lab::opened(SessionId::new(at(n), [7; 10]), at(n))
}

#[tokio::test]
async fn a_log_verifies_and_goes_on_after_a_restart() {
    let lab = Lab::with_entries(5).await;
    let report = lab.verify();
    assert!(report.intact() && !report.open, "{report:?}");
    assert_eq!((report.entries, report.signed_through), (5, Some(4)));
    let log = lab.open().unwrap();
    assert_eq!(log.append(at(5), event(5)).await.unwrap().seq(), 5);
    assert!(lab.verify().intact() && lab.verify().open);
    log.close().await;
    assert_eq!(lab.verify().signed_through, Some(5));
    assert!(matches!(log.append(at(6), event(6)).await, Err(AuditError::Closed)));
    assert!(!log.healthy());
}

#[tokio::test]
async fn one_process_has_it_at_a_time() {
    let lab = Lab::new();
    let log = lab.open().unwrap();
    assert!(lab.open().unwrap_err().to_string().contains("another process"));
    drop(log);
    lab.open().unwrap();
}

#[tokio::test]
async fn segments_follow_each_other() {
    let lab = Lab::new();
    let config = Config { segment_bytes_max: 600, ..lab.config() };
    let log = Log::open(config.clone(), Arc::clone(&lab.signer)).unwrap();
    fill(&log, 12).await;
    log.close().await;
    let report = lab.verify();
    assert!(report.intact() && report.segments >= 4, "{report:?}");
    assert_eq!(
        Entries::open(&lab.log_dir(), 7).unwrap().map(|e| e.unwrap().seq).collect::<Vec<_>>(),
        (7..12).collect::<Vec<_>>()
    );
    let log = Log::open(config, Arc::clone(&lab.signer)).unwrap();
    assert_eq!(log.append(at(12), event(12)).await.unwrap().seq(), 12);
    log.close().await;
    let names: Vec<u64> = verify::segments(&lab.log_dir()).unwrap().into_keys().collect();
    fs::remove_file(lab.log_dir().join(segment_name(names[1]))).unwrap();
    assert_eq!(lab.verify().faults[0].entry, Some(names[1]));
}

#[tokio::test]
async fn writers_share_a_sync_and_all_get_receipts() {
    let lab = Lab::new();
    let log = lab.open().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40 {
        let log = log.clone();
        tasks.spawn(async move { log.append(at(n), event(n)).await.unwrap().seq() });
    }
    let mut seqs = tasks.join_all().await;
    seqs.sort_unstable();
    assert_eq!(seqs, (0..40).collect::<Vec<_>>());
    log.close().await;
    assert!(lab.verify().intact());
}

#[tokio::test]
async fn one_append_more_than_may_wait_is_refused() {
    let lab = Lab::new();
    let log = Log::open(Config { pending_max: 1, ..lab.config() }, Arc::clone(&lab.signer)).unwrap();
    let (first, second) = tokio::join!(log.append(at(0), event(0)), log.append(at(1), event(1)));
    assert!(first.is_ok());
    assert!(matches!(second, Err(AuditError::Busy)));
}

#[tokio::test]
async fn the_last_entries_are_found_from_the_end() {
    let lab = Lab::new();
    let log = Log::open(Config { segment_bytes_max: 1_200, ..lab.config() }, Arc::clone(&lab.signer)).unwrap();
    fill(&log, 30).await;
    let last = |count: usize| {
        let entries = Entries::last(&lab.log_dir(), count).unwrap();
        entries.map(|entry| entry.unwrap().seq).collect::<Vec<_>>()
    };
    assert!(verify::segments(&lab.log_dir()).unwrap().len() > 4);
    for count in 0..40 {
        assert_eq!(last(count), (30_u64.saturating_sub(count as u64)..30).collect::<Vec<_>>(), "{count}");
    }
    let mut entries = Entries::last(&lab.log_dir(), 1).unwrap();
    assert_eq!(entries.next_entry().unwrap().unwrap().seq, 29);
    assert!(entries.next_entry().unwrap().is_none());
    for n in 30..40 {
        assert!(log.append(at(n), event(n)).await.is_ok());
        assert_eq!(entries.next_entry().unwrap().unwrap().seq, n, "what comes is read, into the next segments too");
    }
    // An unfinished line at the end is none.
    let (_, file) = verify::segments(&lab.log_dir()).unwrap().pop_last().unwrap();
    log.close().await;
    fs::write(&file, [fs::read(&file).unwrap(), b"{\"seq\":40".to_vec()].concat()).unwrap();
    assert_eq!(last(2), [38, 39]);
    assert!(Entries::last(&lab.dir.path().join("audit"), 3).is_ok());
}

#[tokio::test]
async fn what_a_peer_said_does_nothing_to_a_terminal() {
    let lab = Lab::new();
    let log = lab.open().unwrap();
    let said = "\u{9b}31m\u{1b}]0;x\u{7}\u{202e}";
    let event = Event::Alarm { what: "test".to_owned(), detail: said.to_owned() };
    assert!(log.append(at(0), event.clone()).await.is_ok());
    log.close().await;
    let line = fs::read_to_string(lab.segment()).unwrap();
    assert!(line.chars().all(|c| c == '\n' || !crate::domain::plain::is_unseen(c)), "{line}");
    let read = Entries::open(&lab.log_dir(), 0).unwrap().next().unwrap().unwrap();
    assert_eq!(read.event, Some(event));
    assert!(lab.verify().intact());
}
