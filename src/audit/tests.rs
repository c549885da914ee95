//! The log written, spoiled in every way, and verified.

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
async fn every_flipped_bit_is_found_where_it_is() {
    let lab = Lab::with_entries(3).await;
    let whole = fs::read(lab.segment()).unwrap();
    let ends: Vec<usize> = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i).collect();
    for place in 0..whole.len() {
        let mut spoiled = whole.clone();
        spoiled[place] ^= 1 << (place % 8);
        fs::write(lab.segment(), &spoiled).unwrap();
        let entry = ends.iter().filter(|end| **end < place).count() as u64;
        let report = lab.verify();
        let first = report.faults.first().unwrap_or_else(|| panic!("byte {place} of {} is not missed", whole.len()));
        assert_eq!(first.entry, Some(entry), "byte {place}: {first:?}");
    }
    fs::write(lab.segment(), &whole).unwrap();
    let signed = fs::read(lab.log_dir().join(CHECKPOINTS_FILE)).unwrap();
    for place in 0..signed.len() - 1 {
        let mut spoiled = signed.clone();
        spoiled[place] ^= 1 << (place % 7);
        fs::write(lab.log_dir().join(CHECKPOINTS_FILE), &spoiled).unwrap();
        assert!(!lab.verify().intact(), "byte {place} of the checkpoints");
    }
}

#[tokio::test]
async fn missing_repeated_and_moved_entries_are_found_where_they_are() {
    let lab = Lab::with_entries(6).await;
    let lines = lab.lines();
    let first_fault = |lines: &[String]| {
        fs::write(lab.segment(), lines.concat()).unwrap();
        let report = lab.verify();
        report.faults.first().map(|f| (f.entry.unwrap(), f.what.clone()))
    };
    for n in 0..6 {
        let mut without = lines.clone();
        without.remove(n);
        let (entry, what) = first_fault(&without).unwrap();
        assert_eq!(entry, n as u64, "{what}");
        assert!(what.contains("missing"), "{what}");
        let mut twice = lines.clone();
        twice.insert(n, lines[n].clone());
        let (entry, what) = first_fault(&twice).unwrap();
        assert_eq!(entry, n as u64, "{what}");
        assert!(what.contains("again"), "{what}");
    }
    for n in 0..5 {
        let mut swapped = lines.clone();
        swapped.swap(n, n + 1);
        assert_eq!(first_fault(&swapped).unwrap().0, n as u64);
    }
    for n in 0..6 {
        let (entry, what) = first_fault(&lines[..n]).unwrap();
        assert_eq!(entry, n as u64);
        assert!(what.contains("cut short"), "{what}");
    }
    assert_eq!(first_fault(&lines), None);
}

#[tokio::test]
async fn a_rewritten_chain_is_caught_by_the_signatures() {
    let lab = Lab::with_entries(4).await;
    let mut forged = Vec::new();
    let mut head = chain::Hash::ZERO;
    for n in 0..4 {
        let json = serde_json::to_vec(&event(if n == 2 { 99 } else { n })).unwrap();
        head = layout::encode_entry(&mut forged, n, at(n), &head, &json);
    }
    fs::write(lab.segment(), &forged).unwrap();
    let report = lab.verify();
    assert_eq!(report.faults.len(), 1, "{report:?}");
    assert_eq!(report.faults[0].entry, Some(3));
    assert!(report.faults[0].what.contains("rewritten"));
    assert!(lab.open().is_err());
    fs::remove_file(lab.log_dir().join(CHECKPOINTS_FILE)).unwrap();
    assert!(lab.verify().faults[0].what.contains("no checkpoint"));
    let stranger = Signer::open_or_create(&lab.dir.path().join("other.pem")).unwrap();
    let lab = Lab::with_entries(2).await;
    let report = verify(&lab.log_dir(), &stranger.public().into(), &mut |_| {}).unwrap();
    assert!(report.faults[0].what.contains("not trusted"), "{report:?}");
}

#[tokio::test]
async fn a_torn_tail_is_mended_and_told_and_anything_else_refuses() {
    let lab = Lab::with_entries(3).await;
    let lines = lab.lines();
    let whole = lines.concat();
    fs::write(lab.segment(), format!("{whole}{}", &lines[2][..40])).unwrap();
    let report = lab.verify();
    assert!(report.intact() && report.torn_bytes == 40, "{report:?}");
    let log = lab.open().unwrap();
    assert_eq!(log.append(at(9), event(9)).await.unwrap().seq(), 4, "the mending is entry 3");
    log.close().await;
    assert!(lab.verify().intact());
    let told = Entries::open(&lab.log_dir(), 3).unwrap().next().unwrap().unwrap();
    assert!(told.line.contains("40 bytes of an unfinished line"), "{}", told.line);

    for spoiled in [
        whole.replacen("number 1", "number 7", 1),
        lines[1..].concat(),
        lines[..2].concat(),
        format!("{whole}\n"),
        String::new(),
    ] {
        fs::write(lab.segment(), spoiled).unwrap();
        assert!(lab.open().is_err());
    }
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
async fn a_failed_sync_is_final() {
    let lab = Lab::new();
    let faults = Faults::new(i64::MAX, 3);
    let on = faults.clone();
    let log = Log::open_on(lab.config(), Arc::clone(&lab.signer), move |file| on.over(file)).unwrap();
    assert!(log.append(at(0), event(0)).await.is_ok());
    let mut refused = 0;
    for n in 1..5 {
        refused += u64::from(log.append(at(n), event(n)).await.is_err());
    }
    assert!(refused >= 2 && !log.healthy());
    faults.syncs.store(100, Ordering::SeqCst);
    assert!(matches!(log.append(at(9), event(9)).await, Err(AuditError::Failed(_))), "it is not tried again");
}

#[tokio::test]
async fn a_full_disk_opens_no_session_and_is_told_in_the_reserve() {
    let lab = Lab::new();
    let faults = Faults::new(2_000, i64::MAX);
    let on = faults.clone();
    let log = Log::open_on(lab.config(), Arc::clone(&lab.signer), move |file| on.over(file)).unwrap();
    assert!(log.append(at(0), opening(0)).await.is_ok());
    let mut n = 1;
    while log.append(at(n), opening(n)).await.is_ok() {
        n += 1;
        assert!(n < 10);
    }
    // What freeing the reserve gives.
    assert!(!lab.log_dir().join(RESERVE_FILE).exists());
    faults.room.store(100_000, Ordering::SeqCst);
    assert!(!log.healthy());
    let session = SessionId::new(at(0), [7; 10]);
    let closed = Event::SessionClosed {
        session,
        outcome: Outcome::RecorderFailed,
        detail: None,
        recording: None,
        bytes_in: 0,
        bytes_out: 0,
    };
    assert!(log.append(at(n), closed).await.is_ok());
    assert!(log.append(at(n), opening(n)).await.is_err(), "room alone does not open sessions again");
    log.close().await;
    let report = lab.verify();
    assert!(report.intact(), "{report:?}");
    let text = fs::read_to_string(lab.segment()).unwrap();
    assert!(text.contains("no session opens until"), "{text}");
    assert!(text.contains("recorder-failed"));
    assert_eq!(text.matches("session-opened").count() as u64, n);
    faults.room.store(0, Ordering::SeqCst);
}

#[test]
fn a_folder_that_is_none_refuses() {
    let lab = Lab::new();
    let file = lab.dir.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [file.clone(), file.join("below"), Path::new("/dev/null/x").to_owned()] {
        assert!(Log::open(Config { dir, ..lab.config() }, Arc::clone(&lab.signer)).is_err());
    }
}

#[test]
fn spoiled_lines_never_upset_the_parsers() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/audit_line");
    let mut seen = 0;
    for file in fs::read_dir(corpus).unwrap() {
        let whole = fs::read(file.unwrap().path()).unwrap();
        for round in 0..20_000usize {
            let mut line = whole.clone();
            // A small linear congruence picks the place and the byte; the same every time.
            let dice = round.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = (dice >> 33) % line.len();
            line[place] = (dice >> 25) as u8;
            line.truncate(line.len() - (dice >> 50) % 3);
            if let Ok(entry) = layout::decode_entry(&line) {
                seen += usize::from(chain::Hash::of(&[entry.covered]) == entry.hash && line != whole);
            }
            if layout::decode_checkpoint(&line).is_ok() {
                seen += 0;
            }
        }
    }
    assert_eq!(seen, 0, "no spoiled line keeps its hash");
}

/// Appends entries to the log as somebody does who can hash and cannot sign.
fn forge(lab: &Lab, events: &[(u64, Event)]) {
    let whole = fs::read(lab.segment()).unwrap();
    let last = whole.split(|b| *b == b'\n').rfind(|line| !line.is_empty()).unwrap();
    let last = layout::decode_entry(last).unwrap();
    let (mut seq, mut head, mut bytes) = (last.seq, last.hash, Vec::new());
    for (time, event) in events {
        seq += 1;
        head = layout::encode_entry(&mut bytes, seq, at(*time), &head, &serde_json::to_vec(event).unwrap());
    }
    fs::write(lab.segment(), [whole, bytes].concat()).unwrap();
}

#[tokio::test]
async fn what_nobody_signed_is_told_before_it_is_signed() {
    let lab = Lab::with_entries(4).await;
    forge(&lab, &[(4, event(66)), (5, event(67))]);
    // Opening signs nothing, nor does closing without an entry.
    lab.open().unwrap().close().await;
    assert_eq!(lab.verify().signed_through, Some(3));
    let log = lab.open().unwrap();
    assert_eq!(log.append(at(9), event(9)).await.unwrap().seq(), 7, "the alarm is entry 6");
    log.close().await;
    let report = lab.verify();
    assert!(report.intact() && report.signed_through == Some(7), "{report:?}");
    let notices: Vec<_> = report.notices.iter().map(|n| (n.entry, n.what.contains("entries 4 to 5"))).collect();
    assert_eq!(notices, [(6, true)], "{report:?}");
}

#[tokio::test]
async fn behind_a_clean_stop_nobody_writes_unsigned() {
    let lab = Lab::new();
    let log = lab.open().unwrap();
    fill(&log, 2).await;
    assert!(log.append(at(2), Event::GatewayStopped {}).await.is_ok());
    log.close().await;
    forge(&lab, &[(3, event(66)), (4, event(67))]);
    let refused = lab.open().unwrap_err().to_string();
    assert!(refused.contains("entries 3 to 4") && refused.contains("audit mend"), "{refused}");
    let forged = fs::read(lab.segment()).unwrap();

    let moved = mend(lab.config(), Arc::clone(&lab.signer), at(5)).await.unwrap().unwrap();
    assert!(moved.contains("entries 3 to 4"), "{moved}");
    let aside = fs::read(lab.log_dir().join("unsigned-00000000000000000003.jsonl")).unwrap();
    assert!(forged.ends_with(&aside) && aside.iter().filter(|b| **b == b'\n').count() == 2);
    let report = lab.verify();
    assert!(report.intact() && report.signed_through == Some(3) && report.notices[0].what == moved, "{report:?}");
    assert_eq!(mend(lab.config(), Arc::clone(&lab.signer), at(6)).await.unwrap(), None);
    lab.open().unwrap();

    // An entry of a start that follows the stop is signed, and then a crash may leave unsigned ones again.
    let log = lab.open().unwrap();
    let revision = crate::domain::Revision::new("00".to_owned());
    let started = Event::GatewayStarted { version: "1".to_owned(), name: "gw".to_owned(), revision };
    assert!(log.append(at(7), started).await.is_ok());
    log.close().await;
    forge(&lab, &[(8, event(8))]);
    lab.open().unwrap();
}

#[tokio::test]
async fn a_checkpoint_that_the_gateway_did_not_sign_refuses() {
    let lab = Lab::with_entries(4).await;
    let file = lab.log_dir().join(CHECKPOINTS_FILE);
    let good = fs::read_to_string(&file).unwrap();
    let stranger = Signer::open_or_create(&lab.dir.path().join("other.pem")).unwrap();
    let last = layout::decode_checkpoint(good.lines().last().unwrap().as_bytes()).unwrap();
    let message = chain::checkpoint_message(last.seq, &last.head, &last.at.to_string());
    for (key, signature) in [
        (last.key.clone(), stranger.sign(&message).to_vec()),
        (stranger.public().id(), stranger.sign(&message).to_vec()),
        (last.key.clone(), Vec::new()),
    ] {
        let line = layout::encode_checkpoint(&layout::Checkpoint { key, signature, ..last.clone() });
        fs::write(&file, format!("{good}{line}")).unwrap();
        assert!(lab.open().unwrap_err().to_string().contains("the last checkpoint"), "{line}");
    }
    fs::write(&file, &good).unwrap();
    // A key that was changed on purpose, and is known to the log, goes on; the log says so.
    let log = Log::open(lab.config(), Arc::clone(&stranger)).unwrap();
    assert!(log.append(at(4), event(4)).await.is_ok());
    log.close().await;
    let told = fs::read_to_string(lab.segment()).unwrap();
    assert!(told.contains("audit-log-key") && told.contains(&stranger.public().id()), "{told}");
}

#[tokio::test]
async fn checkpoints_that_were_taken_away_refuse_and_gaps_between_them_are_told() {
    let lab = Lab::new();
    let log = lab.open().unwrap();
    for n in 0..3 {
        assert!(log.append(at(n * 100), event(n)).await.is_ok());
        // Each is signed by itself.
        while lab.verify().signed_through != Some(n) {
            tokio::task::yield_now().await;
        }
    }
    log.close().await;
    let file = lab.log_dir().join(CHECKPOINTS_FILE);
    let lines: Vec<String> = fs::read_to_string(&file).unwrap().split_inclusive('\n').map(str::to_owned).collect();
    fs::write(&file, &lines[0]).unwrap();
    assert!(lab.open().unwrap_err().to_string().contains("taken away"));
    fs::write(&file, format!("{}{}", lines[0], lines[2])).unwrap();
    let report = lab.verify();
    assert!(report.intact() && report.notices[0].what.contains("entries 1 to 2, over 100 seconds"), "{report:?}");
    fs::remove_file(&file).unwrap();
    assert!(lab.open().unwrap_err().to_string().contains("taken away"));
}

#[tokio::test]
async fn a_disk_that_hangs_lets_nobody_wait_for_ever() {
    let lab = Lab::new();
    let config = Config { sync_timeout: Duration::from_millis(500), ..lab.config() };
    let gate = Arc::new(std::sync::Mutex::new(()));
    let of_disk = Arc::clone(&gate);
    let log = Log::open_on(config, Arc::clone(&lab.signer), move |file| Box::new(Hanging(file, Arc::clone(&of_disk))))
        .unwrap();
    assert!(log.append(at(0), event(0)).await.is_ok() && log.healthy());
    let hung = gate.lock().unwrap();
    assert!(matches!(log.append(at(1), event(1)).await, Err(AuditError::Late(500))));
    assert!(matches!(log.append_in_turn(at(2), event(2)).await, Err(AuditError::Late(500))));
    assert!(!log.healthy());
    drop(hung);
    // It takes entries again: those that were late are there, in order, and nobody acted on them.
    while log.append(at(3), event(3)).await.is_err() {
        assert!(lab.verify().intact());
    }
    assert!(log.healthy());
    let hung = gate.lock().unwrap();
    log.close().await;
    drop(log);
    drop(hung);
    assert!(lab.verify().intact());
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
