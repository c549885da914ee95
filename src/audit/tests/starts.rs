//! What a start makes of the log that it finds: mended and told, or refused.

use super::*;

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
