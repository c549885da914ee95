//! A disk that fails, fills up or hangs.

use super::*;

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
