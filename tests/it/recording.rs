//! Everything that passed is on record, can be replayed and proved, and nothing passes that is not.

mod crashes;
mod disks;
mod input;

use std::fs;
use std::process::Command;

use crate::harness::client::{MINUTE, run};
use crate::harness::element::Profile;
use crate::harness::gateway::{SALLYPORT, Site};
use crate::harness::lab::Lab;
use crate::harness::{SOON, need, wait_until};

pub use input::kept_input;

fn id(session: &serde_json::Value) -> String {
    session["id"].as_str().expect("an id").to_owned()
}

fn export(site: &Site, session: &serde_json::Value, format: &str) -> String {
    site.as_ada(&["export", &id(session), "--format", format]).ok().text()
}

/// Runs one recorded session with a terminal and gives it.
fn recorded(lab: &Lab, command: &str, input: &[u8]) -> serde_json::Value {
    lab.pair.gateway.feed(&["-tt"], &[command], input.to_vec());
    lab.site.closed_session()
}

#[test]
fn a_session_replays_exports_and_verifies() {
    need!("sshd");
    let lab = Lab::start();
    let session = recorded(&lab, "echo marker-one; sleep 1; echo marker-two; exit 3", &[]);
    for field in ["id", "identity", "element", "protocol", "opened_at", "closed_at", "outcome", "recording"] {
        assert!(session[field].is_string(), "{field}: {session}");
    }
    assert_eq!(
        (session["identity"].as_str(), session["element"].as_str()),
        (Some("spiffe://carrier.example/user/ada"), Some("linux-1"))
    );
    let cast = export(&lab.site, &session, "cast");
    let mut lines =
        cast.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("asciicast is JSON Lines"));
    let header = lines.next().expect("a header");
    assert_eq!(header["version"], 2);
    let output: String = lines.filter(|e| e[1] == "o").map(|e| e[2].as_str().expect("text").to_owned()).collect();
    assert!(output.contains("marker-one\r\n") && output.contains("marker-two\r\n"), "{output}");
    let text = export(&lab.site, &session, "text");
    assert!(text.contains("marker-two"), "{text}");
    for line in export(&lab.site, &session, "jsonl").lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
    let replayed = lab.site.as_ada(&["replay", &id(&session), "--speed", "100"]).ok().text();
    assert!(replayed.contains("marker-one") && replayed.contains("marker-two"), "{replayed}");
    let verified = lab.site.verify(&[&lab.site.recording(&session), &lab.site.path().join("data/audit")]).ok();
    assert!(verified.text().contains("sealed"), "{}", verified.text());
    let shown = lab.site.as_ada(&["sessions", "show", &id(&session)]).ok().text();
    assert!(shown.contains("linux-1") && shown.contains("ada"), "{shown}");
}

#[test]
fn the_cast_plays_in_asciinema() {
    need!("sshd", "asciinema", "script");
    let lab = Lab::start();
    let session = recorded(&lab, "printf 'caf\\303\\251 \\033[31mred\\033[0m\\n'", &[]);
    let file = lab.site.scratch().join("s.cast");
    fs::write(&file, export(&lab.site, &session, "cast")).expect("a file");
    // It wants a terminal of its own.
    let mut cat = Command::new("script");
    cat.env("HOME", lab.site.scratch()).env("LC_ALL", "C.UTF-8");
    let cat = cat.args(["-qec", &format!("asciinema cat {}", file.display()), "/dev/null"]);
    let played = run(cat, Vec::new(), MINUTE).ok();
    assert!(played.text().contains("café") && played.text().contains("red"), "{}", played.text());
}

/// A block of a recording as docs/formats.md has it: where it begins and ends in the file, and which frame is its first.
struct Block {
    at: usize,
    end: usize,
    first: u64,
}

/// The end of the header, and the blocks.
fn blocks(recording: &[u8]) -> (usize, Vec<Block>) {
    let number = |at: usize, bytes: usize| {
        let field = recording[at..at + bytes].iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        (field, usize::try_from(field).unwrap_or(usize::MAX))
    };
    let header = 16 + number(12, 4).1 + 32;
    let (mut at, mut found) = (header, Vec::new());
    while at < recording.len() {
        let end = at + 28 + number(at, 4).1 + 32;
        found.push(Block { at, end, first: number(at + 12, 8).0 });
        at = end;
    }
    assert_eq!(at, recording.len(), "the blocks fill the file");
    (header, found)
}

#[test]
fn every_flipped_byte_is_found_and_located() {
    need!("sshd");
    let lab = Lab::start();
    let session = recorded(&lab, "for i in 1 2 3; do echo line $i; sleep 0.3; done", &[]);
    let recording = lab.site.recording(&session);
    let good = fs::read(&recording).expect("the recording");
    lab.site.verify(&[&recording]).ok();
    let keys = lab.site.path().join("gateway/signing.pub.pem");
    let copy = lab.site.scratch().join("tampered").join(recording.file_name().expect("a file"));
    fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
    let verify = |bytes: &[u8]| {
        fs::write(&copy, bytes).expect("a file");
        let ran = run(
            Command::new(SALLYPORT).args(["verify", "--json"]).arg(&copy).arg("--keys").arg(&keys),
            Vec::new(),
            MINUTE,
        );
        let told: serde_json::Value = serde_json::from_slice(&ran.out).unwrap_or_else(|e| panic!("{e}: {}", ran.all()));
        (ran.code(), told["recordings"][0].clone())
    };
    let (code, told) = verify(&good);
    assert_eq!((code, &told["state"]), (0, &serde_json::json!("sealed")), "{told}");
    let (header, blocks) = blocks(&good);
    assert!(blocks.len() > 4, "the seal, a few blocks and a mark: {}", blocks.len());
    let flipped = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let (code, told) = verify(&bad);
        assert_eq!(code, 1, "byte {at} of {}: {told}", good.len());
        told["faults"][0].clone()
    };
    for at in (0..header).step_by(header / 5) {
        let fault = flipped(at);
        assert_eq!(
            (fault["offset"].as_u64(), &fault["frame"]),
            (Some(0), &serde_json::Value::Null),
            "byte {at}: {fault}"
        );
    }
    for Block { at, end, first } in &blocks {
        // Length, kind, number of frames, position, time, payload, hash.
        for byte in [0, 4, 6, 12, 20, (end - at) / 2, end - at - 1].map(|byte| at + byte) {
            let fault = flipped(byte);
            assert_eq!(
                (fault["frame"].as_u64(), fault["offset"].as_u64()),
                (Some(*first), Some(*at as u64)),
                "byte {byte}, in the block from {at} to {end}: {fault}"
            );
        }
    }
    for cut in [good.len() - 1, good.len() / 2, 10] {
        let (code, told) = verify(good.get(..cut).expect("shorter"));
        assert!(
            code == 1 || (told["state"] == "unsealed" && told["bytes"].as_u64() < Some(cut as u64)),
            "cut at {cut}: {told}"
        );
    }
    let mut longer = good.clone();
    longer.extend_from_slice(b"more");
    let (code, told) = verify(&longer);
    assert_eq!(
        (code, told["faults"][0]["offset"].as_u64()),
        (1, Some(good.len() as u64)),
        "bytes after the seal: {told}"
    );
}

#[test]
fn a_changed_audit_log_is_found() {
    need!("sshd");
    let lab = Lab::start();
    for _ in 0..3 {
        lab.pair.gateway.run(&["true"]).ok();
    }
    let Lab { gateway, site, sshd: _sshd, .. } = lab;
    gateway.stop(SOON);
    let audit = site.path().join("data/audit");
    site.verify(&[&audit]).ok();
    let segment = fs::read_dir(&audit)
        .expect("a folder")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "jsonl") && !p.ends_with("checkpoints.jsonl"))
        .max_by_key(|p| p.metadata().map_or(0, |m| m.len()))
        .expect("a log");
    let good = fs::read(&segment).expect("a log");
    for at in [good.len() / 3, good.len() / 2, good.len() - 20] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&segment, &bad).expect("a file");
        let ran = site.verify(&[&audit]);
        assert_eq!(ran.code(), 1, "byte {at}: {}", ran.text());
    }
    fs::write(&segment, good).expect("a file");
    site.verify(&[&audit]).ok();
}

#[test]
fn transfers_become_file_events() {
    need!("sshd");
    let lab = Lab::start();
    let dir = lab.site.scratch();
    let ran = lab.pair.gateway.script(&dir, "head -c 100000 /dev/zero > a; $SCP -q a $HOST:$D/by-sftp; $SCP -q -O a $HOST:$D/by-scp; printf \"get $D/by-scp $D/back\\nrm $D/by-scp\\n\" | $SFTP -q -b - $HOST");
    ran.ok();
    wait_until("three sessions closed", SOON, || {
        lab.site.sessions().iter().filter(|s| !s["closed_at"].is_null()).count() == 3
    });
    let all: String = lab.site.sessions().iter().map(|s| export(&lab.site, s, "jsonl")).collect();
    let digest = crate::harness::client::digest(&[0; 100_000]);
    for (path, verb) in
        [("by-sftp", "file.write"), ("by-scp", "file.write"), ("by-scp", "file.read"), ("by-scp", "file.delete")]
    {
        let event = all
            .lines()
            .find(|l| l.contains(path) && l.contains(verb) && (verb == "file.delete" || l.contains(&digest)));
        assert!(event.is_some(), "{verb} {path} with its digest {digest}: {all}");
    }
}

#[test]
fn bulk_beyond_the_cap_is_kept_as_a_digest() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "bulk_kept_bytes_max", 100_000));
    lab.pair.gateway.run(&["head -c 20M /dev/urandom"]).ok();
    let session = lab.site.closed_session();
    let size = fs::metadata(lab.site.recording(&session)).expect("the recording").len();
    assert!(size < 1_000_000, "{size} bytes");
    assert!(export(&lab.site, &session, "jsonl").contains("20971520"), "the whole length is on record");
    lab.site.verify(&[&lab.site.recording(&session)]).ok();
}

#[test]
fn an_auditor_may_read_and_others_may_not() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.issue("eve", &[]);
    });
    let session = recorded(&lab, "echo marker", &[]);
    for args in [
        &["replay", &id(&session)][..],
        &["export", &id(&session), "--format", "text"],
        &["sessions", "list"],
        &["audit", "export"],
        &["sessions", "terminate", &id(&session)],
        &["lock", "add", "user:ada", "--reason", "spite"],
    ] {
        let mut command = Command::new(SALLYPORT);
        command.args(args).arg("--config").arg(lab.site.config()).arg("--identity").arg(lab.site.identity("eve"));
        let ran = run(&mut command, Vec::new(), MINUTE);
        assert_eq!(ran.code(), 3, "{args:?}: {}{}", ran.text(), ran.errors());
        assert!(!ran.text().contains("marker"), "{args:?}");
    }
    assert!(
        lab.site.events().iter().any(|e| e.to_string().contains("denied") && e.to_string().contains("eve")),
        "and that they tried is on record"
    );
}
