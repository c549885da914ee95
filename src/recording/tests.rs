//! Recordings written, torn, spoiled in every way, verified and recovered.

use std::fs;
use std::io::Write;

use super::lab::{Lab, PLAYED, at, facts, play, session};
use super::verify::State;
use super::*;
use crate::audit::disk::faulty::Faults;
use crate::domain::Outcome;

/// Where the blocks of a recording begin; the last is its end.
fn borders(path: &std::path::Path) -> Vec<u64> {
    let mut reader = Reader::open(path).unwrap().unwrap();
    let mut borders = vec![reader.place().offset];
    while reader.next_item().unwrap().is_some() {
        borders.push(reader.place().offset);
    }
    borders
}

#[test]
fn what_is_written_is_read() {
    let lab = Lab::new();
    let recorder = lab.create(1);
    play(&recorder);
    assert_eq!(lab.verify(&lab.path(1)).state, State::Open);
    let sealed = recorder.seal(at(9_000), Outcome::ClientClosed).unwrap();
    assert!(recorder.write(at(9_001), &Frame::Note { text: "late" }).is_err());
    assert!(recorder.seal(at(9_001), Outcome::ClientClosed).is_err());
    drop(recorder);
    let report = lab.verify(&lab.path(1));
    assert!(report.intact(), "{report:?}");
    assert_eq!((report.state, report.outcome, report.frames), (State::Sealed, Some(Outcome::ClientClosed), PLAYED));
    assert_eq!(report.recording_facts(), sealed);
    assert_eq!(fs::metadata(lab.path(1)).unwrap().len(), sealed.bytes);
    let mut reader = Reader::open(&lab.path(1)).unwrap().unwrap();
    assert_eq!(reader.facts(), &facts(session(1), at(0)));
    let Some(Item::Frame(second)) = (0..2).map(|_| reader.next_item().unwrap()).last().unwrap() else { panic!() };
    assert_eq!((second.seq, second.at), (1, at(250)));
    assert_eq!(second.frame, Kept::Terminal { channel: 0, term: "xterm".to_owned(), columns: 80, rows: 24 });
}

#[test]
fn what_is_written_together_is_kept_together_or_not_at_all() {
    let lab = Lab::new();
    let recorder = lab.create(1);
    let text = "x".repeat(2_000);
    let frames =
        [Frame::Note { text: &text }, Frame::ExitStatus { channel: 3, status: 7 }, Frame::Note { text: "end" }];
    recorder.write_all(at(10), &frames).unwrap();
    let end = fs::metadata(lab.path(1)).unwrap().len();
    recorder.write_all(at(20), &frames).unwrap();
    recorder.seal(at(30), Outcome::ClientClosed).unwrap();
    let report = lab.verify(&lab.path(1));
    assert!(report.intact() && report.frames == 6, "{report:?}");
    let mut reader = Reader::open(&lab.path(1)).unwrap().unwrap();
    let mut read = Vec::new();
    while let Some(Item::Frame(stamped)) = reader.next_item().unwrap() {
        read.push((stamped.seq, stamped.at, stamped.frame));
    }
    assert_eq!(
        read[..2],
        [(0, at(10), Kept::Note { text: text.clone() }), (1, at(10), Kept::ExitStatus { channel: 3, status: 7 })]
    );
    assert_eq!(read[3], (3, at(20), Kept::Note { text: text.clone() }));
    // Cut anywhere within the second piece, all of it is gone.
    let whole = fs::read(lab.path(1)).unwrap();
    let cut = lab.dir.path().join("cut.rec");
    for length in [end + 1, end + 40, end + 60] {
        fs::write(&cut, &whole[..usize::try_from(length).unwrap()]).unwrap();
        let report = lab.verify(&cut);
        assert_eq!((report.frames, report.torn_bytes), (3, length - end), "{report:?}");
    }
}

#[test]
fn large_and_dense_data_comes_back() {
    let lab = Lab::new();
    let recorder = lab.create(1);
    let mut dice = 7u64;
    let mut random = || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 56) as u8
    };
    let pieces: Vec<Vec<u8>> =
        [3usize, 257, 65_536, 65_536, 65_536, 3_000_000].map(|n| (0..n).map(|_| random()).collect()).into();
    for data in &pieces {
        recorder.write(at(0), &Frame::Data { channel: 1, stream: Stream::Output, data }).unwrap();
    }
    recorder.seal(at(1), Outcome::Idle).unwrap();
    let mut reader = Reader::open(&lab.path(1)).unwrap().unwrap();
    let mut read = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        if let Item::Frame(reader::Stamped { frame: Kept::Data { data, .. }, .. }) = item {
            read.extend(data);
        }
    }
    assert!(read == pieces.concat());
    assert!(lab.verify(&lab.path(1)).intact());
}

#[test]
fn terminal_output_takes_less_room_than_it_has_entropy_to_ask_for() {
    use base64::Engine;
    let lab = Lab::new();
    let recorder = lab.create(1);
    let mut noise = vec![0; 3 * 1024 * 1024];
    aws_lc_rs::rand::fill(&mut noise).unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(noise);
    for data in text.as_bytes().chunks(16 * 1024) {
        recorder.write(at(0), &Frame::Data { channel: 1, stream: Stream::Output, data }).unwrap();
    }
    let sealed = recorder.seal(at(1), Outcome::Idle).unwrap();
    let ratio = sealed.bytes as f64 / text.len() as f64;
    assert!(ratio <= 0.78, "{ratio}");
}

#[test]
fn every_flipped_bit_is_found_in_its_block() {
    let lab = Lab::new();
    let recorder = lab.create(1);
    play(&recorder);
    recorder.seal(at(9_000), Outcome::ClientClosed).unwrap();
    drop(recorder);
    let (whole, borders) = (fs::read(lab.path(1)).unwrap(), borders(&lab.path(1)));
    let spoiled_path = lab.dir.path().join("spoiled.rec");
    for place in 0..whole.len() {
        let mut spoiled = whole.clone();
        spoiled[place] ^= 1 << (place % 8);
        fs::write(&spoiled_path, &spoiled).unwrap();
        let report = lab.verify(&spoiled_path);
        let fault = report.faults.first();
        // A seal whose length was changed is no longer there at all; then the log tells.
        let seal = borders[borders.len() - 2];
        let in_seal_length = (seal..seal + 4).contains(&(place as u64));
        if fault.is_none() && in_seal_length {
            assert_eq!(report.state, State::Unsealed);
            assert!(report.torn_bytes > 0);
            continue;
        }
        let fault = fault.unwrap_or_else(|| panic!("byte {place} of {} is not missed", whole.len()));
        let block = borders.iter().filter(|b| **b <= place as u64).max();
        assert_eq!(fault.offset.unwrap(), block.copied().unwrap_or(0), "byte {place}: {fault:?}");
        assert_eq!(fault.frame, block.map(|b| borders.iter().position(|x| x == b).unwrap() as u64));
    }
}

#[test]
fn blocks_missing_repeated_and_moved_are_found() {
    let lab = Lab::new();
    let recorder = lab.create(1);
    play(&recorder);
    recorder.seal(at(9_000), Outcome::ClientClosed).unwrap();
    let (whole, borders) = (fs::read(lab.path(1)).unwrap(), borders(&lab.path(1)));
    let block = |n: usize| &whole[borders[n] as usize..borders[n + 1] as usize];
    let blocks = borders.len() - 1;
    let path = lab.dir.path().join("spoiled.rec");
    let first_fault = |order: Vec<usize>| {
        let mut file = whole[..borders[0] as usize].to_vec();
        order.into_iter().for_each(|n| file.extend_from_slice(block(n)));
        fs::write(&path, file).unwrap();
        let report = lab.verify(&path);
        report.faults.first().map(|f| (f.frame.unwrap(), f.offset.unwrap()))
    };
    for n in 0..blocks - 1 {
        let without = (0..blocks).filter(|b| *b != n).collect();
        assert_eq!(first_fault(without), Some((n as u64, borders[n])), "without {n}");
        let twice = (0..=n).chain(n..blocks).collect();
        assert_eq!(first_fault(twice), Some((n as u64 + 1, borders[n + 1])), "twice {n}");
        let mut swapped: Vec<usize> = (0..blocks).collect();
        swapped.swap(n, n + 1);
        assert_eq!(first_fault(swapped).unwrap().0, n as u64, "swapped {n}");
    }
    assert_eq!(first_fault((0..blocks).chain([0]).collect()).unwrap().1, borders[blocks], "behind the seal");
    assert_eq!(first_fault((0..blocks).collect()), None);
}

#[test]
fn a_crash_at_any_byte_verifies_and_is_sealed_by_the_next_start() {
    let mut lab = Lab::new();
    let recorder = lab.create(1);
    play(&recorder);
    drop(recorder);
    lab.restart();
    let (whole, borders) = (fs::read(lab.path(1)).unwrap(), borders(&lab.path(1)));
    let cuts = borders.iter().flat_map(|b| [*b, *b + 1, *b + 27, *b + 40]).filter(|cut| *cut <= whole.len() as u64);
    for cut in cuts {
        fs::write(lab.path(1), &whole[..cut as usize]).unwrap();
        lab.forget();
        let kept = borders.iter().filter(|b| **b <= cut).count() as u64 - 1;
        let report = lab.verify(&lab.path(1));
        assert!(report.intact() && report.state == State::Unsealed && report.frames == kept, "{cut}: {report:?}");
        let recovered: Vec<_> = lab.store.recover(at(60_000)).into_iter().map(Result::unwrap).collect();
        assert_eq!(recovered.len(), 1);
        let report = lab.verify(&lab.path(1));
        assert!(report.intact() && report.outcome == Some(Outcome::Aborted), "{cut}: {report:?}");
        assert_eq!(report.recording_facts(), recovered[0].facts);
        assert_eq!(report.frames, kept + u64::from(!borders.contains(&cut)));
        assert!(lab.store.recover(at(70_000)).is_empty(), "once is enough");
    }
    // Zeros, as a power cut may leave them.
    fs::write(lab.path(1), [whole.as_slice(), &[0; 500]].concat()).unwrap();
    lab.forget();
    assert_eq!(lab.verify(&lab.path(1)).torn_bytes, 500);
    assert_eq!(lab.store.recover(at(80_000)).len(), 1);
}

#[test]
fn recovery_leaves_the_living_and_the_damaged_alone() {
    let mut lab = Lab::new();
    let dead = lab.create(2);
    play(&dead);
    drop(dead);
    lab.restart();
    let living = lab.create(1);
    play(&living);
    let mut spoiled = fs::read(lab.path(2)).unwrap();
    let place = borders(&lab.path(2))[2] as usize + 30;
    spoiled[place] ^= 1;
    fs::write(lab.path(2), &spoiled).unwrap();
    let recovered = lab.store.recover(at(1));
    assert!(
        recovered.len() == 1 && recovered[0].as_ref().unwrap_err().to_string().contains("frame 2"),
        "{recovered:?}"
    );
    assert_eq!(fs::read(lab.path(2)).unwrap(), spoiled);
    living.write(at(2), &Frame::Note { text: "still here" }).unwrap();
}

#[test]
fn a_forged_or_foreign_seal_is_told() {
    let lab = Lab::new();
    let recorder = lab.create(1);
    play(&recorder);
    drop(recorder);
    let other = Lab::new();
    let recorder = other.create(1);
    play(&recorder);
    recorder.seal(at(1), Outcome::Idle).unwrap();
    let report = lab.verify(&other.path(1));
    assert!(report.faults[0].what.contains("not trusted"), "{report:?}");
}

#[tokio::test]
async fn a_failed_write_is_final_and_a_failed_sync_is_told() {
    let lab = Lab::new();
    let full = Faults::new(1_000, i64::MAX);
    let recorder = lab.create_on(1, |file| full.over(file)).unwrap();
    let data = [7; 200];
    let write =
        |recorder: &Recorder| recorder.write(at(0), &Frame::Data { channel: 0, stream: Stream::Input, data: &data });
    while write(&recorder).is_ok() {}
    full.room.store(1_000_000, std::sync::atomic::Ordering::SeqCst);
    assert!(write(&recorder).is_err() && recorder.seal(at(1), Outcome::RecorderFailed).is_err());
    recorder.ended().await;
    drop(recorder);
    let report = lab.verify(&lab.path(1));
    assert!(report.intact() && report.torn_bytes == 0, "the torn block was cut: {report:?}");

    let broken = Faults::new(i64::MAX, 0);
    let recorder = lab.create_on(2, |file| broken.over(file)).unwrap();
    assert!(recorder.ended().await.to_string().contains("injected"));
    assert!(write(&recorder).is_err() && !lab.store.healthy());

    let nothing = Faults::new(10, i64::MAX);
    assert!(lab.create_on(3, |file| nothing.over(file)).is_err());
    assert!(!lab.path(3).exists());
}

#[test]
fn a_session_that_is_not_in_its_place_or_has_no_room_is_refused() {
    let lab = Lab::new();
    let mut facts = facts(session(1), at(0));
    for place in ["../escape.rec", "/etc/x.rec", "", "2027/01/15/other.rec"] {
        facts.recording = place.to_owned();
        assert!(lab.store.create(&facts).is_err(), "{place}");
    }
    let recorder = lab.create(2);
    assert!(lab.store.create(&lab::facts(session(2), at(0))).is_err(), "twice the same");
    drop(recorder);
    let config = Config { dir: lab.dir.path().join("small"), free_bytes_min: u64::MAX, ..lab::config(lab.dir.path()) };
    let small = Store::open(config, lab.signer.clone()).unwrap();
    assert!(small.create(&lab::facts(session(1), at(0))).unwrap_err().to_string().contains("room"));
    assert!(!small.healthy());
}

#[test]
fn spoiled_recordings_never_upset_the_reader() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/recording");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spoiled.rec");
    let mut damaged = 0;
    for file in fs::read_dir(corpus).unwrap() {
        let whole = fs::read(file.unwrap().path()).unwrap();
        for round in 0..400usize {
            let mut bytes = whole.clone();
            let dice = round.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (place, length) = ((dice >> 33) % bytes.len(), (dice >> 28) % 9);
            for byte in bytes.iter_mut().skip(place).take(length) {
                *byte = (dice >> 20) as u8;
            }
            bytes.truncate(bytes.len() - (dice >> 40) % 40);
            fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
            let Ok(mut reader) = Reader::open(&path).unwrap() else { continue };
            while let Some(item) = reader.next_item().unwrap() {
                damaged += usize::from(matches!(item, Item::Damage(_)));
            }
        }
    }
    assert!(damaged > 100, "{damaged}");
}

#[test]
fn a_recording_is_read_while_it_is_written() {
    let lab = Lab::new();
    let recorder = lab.create(1);
    let mut reader = Reader::open(&lab.path(1)).unwrap().unwrap();
    let note = |text: &str| recorder.write(at(0), &Frame::Note { text }).unwrap();
    let read = |reader: &mut Reader| {
        let mut texts = Vec::new();
        while let Some(Item::Frame(frame)) = reader.next_written().unwrap() {
            let Kept::Note { text } = frame.frame else { panic!("a note") };
            texts.push(text);
        }
        texts
    };
    assert!(read(&mut reader).is_empty());
    note("one");
    note("two");
    assert_eq!(read(&mut reader), ["one", "two"]);
    // A block on its way, as much of it as there may be.
    let before = fs::read(lab.path(1)).unwrap();
    note("three");
    let after = fs::read(lab.path(1)).unwrap();
    let copy = lab.dir.path().join("growing.rec");
    fs::write(&copy, &before).unwrap();
    let mut growing = Reader::open(&copy).unwrap().unwrap();
    assert_eq!(read(&mut growing), ["one", "two"]);
    for end in before.len()..after.len() {
        fs::write(&copy, &after[..end]).unwrap();
        assert_eq!(growing.next_written().unwrap(), None, "{end}");
    }
    fs::write(&copy, &after).unwrap();
    assert_eq!(read(&mut growing), ["three"]);
    recorder.seal(at(1), Outcome::Idle).unwrap();
    assert_eq!(read(&mut reader), ["three"]);
}

#[test]
fn a_file_that_was_made_to_be_searched_for_ever_is_not() {
    let lab = Lab::new();
    play(&lab.create(1));
    let good = fs::read(lab.path(1)).unwrap();
    // Behind something that is no block, a block seems to begin at every 28th byte, each ends where another begins, and all have to be hashed.
    let header = format::BlockHeader {
        kind: format::BlockKind::Mark,
        packed: false,
        frames: 0,
        stored: 28 * 149_000 - 60,
        raw: 28 * 149_000 - 60,
        first: PLAYED,
        at: at(0),
    };
    fs::write(lab.path(1), [good, vec![0xff; 28], header.encode().repeat(400_000)].concat()).unwrap();
    let begun = std::time::Instant::now();
    let report = lab.verify(&lab.path(1));
    assert!(report.faults[0].what.contains("searched for ever"), "{report:?}");
    assert_eq!(report.frames, PLAYED);
    // Hashing all of it would take hours.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
