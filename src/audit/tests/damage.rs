//! What was changed in a log is found, where it is.

use super::*;

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
