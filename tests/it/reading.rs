//! What an auditor types to read recordings and the log, and that reading them does nothing else.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::client::{Live, MINUTE, run};
use crate::harness::gateway::{SALLYPORT, Site};
use crate::harness::lab::Lab;
use crate::harness::process::Process;
use crate::harness::{SOON, need, wait_until};

fn id(session: &serde_json::Value) -> String {
    session["id"].as_str().expect("an id").to_owned()
}

/// A reading command of ada's that runs beside the test.
fn reading(site: &Site, name: &str, args: &[&str]) -> Process {
    let mut command = Command::new(SALLYPORT);
    command.args(args).arg("--config").arg(site.config()).arg("--identity").arg(site.identity("ada"));
    Process::start(&site.scratch(), name, &mut command)
}

/// One session with a terminal in which three lines come, and four seconds pass between the second and the third.
fn paused(lab: &Lab) -> serde_json::Value {
    lab.pair.gateway.feed(&["-tt"], &["echo first; sleep 1; echo second; sleep 4; echo third"], Vec::new()).ok();
    lab.site.closed_session()
}

#[test]
fn a_replay_keeps_time_jumps_and_shortens_pauses() {
    need!("sshd");
    let lab = Lab::start();
    let id = id(&paused(&lab));
    let replay = |options: &[&str]| {
        let begun = Instant::now();
        let ran = lab.site.as_ada(&[&["replay", &id], options].concat()).ok();
        (begun.elapsed(), ran.text())
    };
    let whole = "first\r\nsecond\r\nthird\r\n";
    let (took, shown) = replay(&[]);
    assert!(shown == whole && took >= Duration::from_secs(5), "{took:?} {shown:?}");
    let (shortened, shown) = replay(&["--idle-limit", "1s"]);
    assert!(shown == whole && shortened < took - Duration::from_secs(2), "{shortened:?} of {took:?}");
    let (fast, shown) = replay(&["--speed", "50"]);
    assert!(shown == whole && fast < took - Duration::from_secs(3), "{fast:?} of {took:?}");
    // What was there by then is there at once, and the rest comes in its time: at least two of the four seconds are left.
    let (jumped, shown) = replay(&["--jump", "00:03"]);
    assert!(shown == whole && jumped >= Duration::from_secs(1) && jumped < took, "{jumped:?} of {took:?}");
    let (beyond, shown) = replay(&["--jump", "1:00:00"]);
    assert!(shown == whole && beyond < took - Duration::from_secs(3), "{beyond:?}");
    for bad in [&["--jump", "1m"][..], &["--speed", "0"], &["--idle-limit", "soon"], &["--raw", "--safe"]] {
        assert_eq!(lab.site.as_ada(&[&["replay", &id], bad].concat()).code(), 2, "{bad:?}");
    }
}

#[test]
fn a_timeline_tells_what_happened_in_a_terminal_session() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair.gateway.feed(&["-tt"], &["echo shown; exit 7"], Vec::new());
    let id = id(&lab.site.closed_session());
    let told = lab.site.as_ada(&["replay", &id, "--timeline"]).ok().text();
    for part in ["allow open ssh.exec echo shown; exit 7", "terminal", "exit status 7", "sealed: ", "00:00:0"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("\r\nshown"), "the bytes are not in it: {told}");
}

#[test]
fn a_live_session_is_watched_to_its_end() {
    need!("sshd");
    let lab = Lab::start();
    let dir = lab.site.scratch();
    let go = dir.join("go");
    let remote = format!(
        "echo before; while [ ! -e {} ]; do sleep 0.05; done; printf '\\033]0;ti''tle\\007af''ter\\n'",
        go.display()
    );
    let mut live = Live::start(&lab.pair.gateway, &dir, "live", &["-tt"], &remote, "before");
    let id = id(lab.site.sessions().last().expect("it is listed"));
    let mut watch = reading(&lab.site, "watch", &["sessions", "watch", &id]);
    let mut raw = reading(&lab.site, "raw", &["sessions", "watch", "--raw", &id]);
    for watching in [&mut watch, &mut raw] {
        watching.tells("what was there before", SOON, |out| out.contains("before\r\n").then_some(()));
        assert!(!watching.out().contains("after"));
    }
    std::fs::write(&go, "").expect("a file");
    for watching in [&mut watch, &mut raw] {
        watching.ended(SOON);
        let shown = watching.out();
        assert!(shown.contains("after\r\n") && shown.contains("sealed: "), "{shown:?}");
    }
    assert!(!watch.out().contains("title") && raw.out().contains("\u{1b}]0;title\u{7}"), "{:?}", watch.out());
    live.ends_within(SOON);
    let late = lab.site.as_ada(&["sessions", "watch", &id]);
    assert!(late.code() == 1 && late.errors().contains("has ended"), "{}", late.errors());
}

#[test]
fn a_watcher_is_told_when_the_gateway_dies() {
    need!("sshd");
    let lab = Lab::start();
    let _live = Live::start(&lab.pair.gateway, &lab.site.scratch(), "live", &["-tt"], "echo up; sleep 600", "up");
    let id = id(lab.site.sessions().last().expect("it is listed"));
    let mut watch = reading(&lab.site, "watch", &["sessions", "watch", &id]);
    watch.tells("what was there before", SOON, |out| out.contains("up").then_some(()));
    let Lab { mut gateway, site: _site, sshd: _sshd, .. } = lab;
    gateway.process.signal("KILL");
    gateway.process.ended(SOON);
    assert_eq!(watch.ended(SOON).code(), Some(1));
    assert!(watch.err().contains("the gateway has gone"), "{}", watch.err());
}

#[test]
fn the_log_is_followed() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair.gateway.run(&["true"]).ok();
    lab.site.closed_session();
    let all = lab.site.events().len();
    let tail = lab.site.as_ada(&["audit", "tail", "-n", "2"]).ok().text();
    let told: Vec<&str> = tail.lines().collect();
    assert_eq!(told.len(), 2, "{tail}");
    // Reading the log is on it too.
    let last = told[1].split_whitespace().next().and_then(|seq| seq.parse::<usize>().ok()).expect("a position");
    assert!(last >= all && told[1].contains("state-read"), "{all}: {tail}");
    let json = lab.site.as_ada(&["audit", "tail", "-n", "3", "--json"]).ok().text();
    let seqs: Vec<u64> = json
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON Lines")["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(seqs.len(), 3, "{json}");
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{json}");
    let mut follow = reading(&lab.site, "follow", &["audit", "tail", "-n", "1", "--follow"]);
    follow.tells("the last entry", SOON, |out| (out.lines().count() == 1).then_some(()));
    lab.pair.gateway.run(&["true"]).ok();
    follow.tells("what comes", SOON, |out| (out.contains("session-closed")).then_some(()));
    assert!(follow.out().contains("session-opened"), "{}", follow.out());
}

#[test]
fn one_channel_of_several_and_what_survives_of_a_damaged_recording_are_exported() {
    need!("sshd");
    let lab = Lab::start();
    let dir = lab.site.scratch();
    // Two commands over one connection are two channels of one session.
    let script =
        "$SSH -M -S c -o ControlPersist=60 $HOST echo one-one; $SSH -S c $HOST echo two-two; $SSH -S c -O exit $HOST";
    lab.pair.gateway.script(&dir, script).ok();
    let session = lab.site.closed_session();
    let id = id(&session);
    let export = |options: &[&str]| lab.site.as_ada(&[&["export", &id], options].concat());
    let jsonl = export(&["--format", "jsonl"]).ok().text();
    assert!(jsonl.contains("one-one") && jsonl.contains("two-two"), "{jsonl}");
    let channels: std::collections::BTreeSet<u64> = jsonl
        .lines()
        .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON Lines")["channel"].as_u64())
        .collect();
    let shown: Vec<String> = channels
        .iter()
        .map(|channel| export(&["--format", "text", "--channel", &channel.to_string()]).ok().text())
        .collect();
    assert_eq!(shown, ["one-one\n", "two-two\n"]);
    assert_eq!(export(&["--format", "text", "--channel", "99"]).code(), 1);

    let recording = lab.site.recording(&session);
    let mut bytes = std::fs::read(&recording).expect("the recording");
    let place = bytes.windows(7).position(|w| w == b"one-one").expect("what was shown");
    // The first is in the command, too; what is spoiled is the second, its output.
    let place = place + 1 + bytes[place + 1..].windows(7).position(|w| w == b"one-one").expect("its output");
    bytes[place] ^= 1;
    std::fs::write(&recording, bytes).expect("a file");
    for command in [&["export", &id, "--format", "jsonl"][..], &["replay", &id, "--text"]] {
        let refused = lab.site.as_ada(command);
        assert!(refused.code() == 1 && refused.errors().contains("is damaged: frame "), "{}", refused.errors());
        assert!(!refused.text().contains("two-two"), "{}", refused.text());
    }
    let forced = export(&["--format", "jsonl", "--force"]).ok();
    assert!(forced.text().contains("two-two") && !forced.text().contains("\"text\":\"one-one"), "{}", forced.text());
    assert!(forced.errors().contains("[damaged: frame "), "{}", forced.errors());
}

#[test]
fn what_was_recorded_does_nothing_to_the_terminal_that_shows_it() {
    need!("sshd");
    let lab = Lab::start();
    // A title, the clipboard, questions that a terminal answers, the other set of controls, mouse reports, and an end that never comes.
    let hostile = r"printf 'a\033]0;evil\007b\033]52;c;ZXZpbA==\033\\c\033[6nd\033[>ce\302\2336nf\033[?1003hg\005h\033[31mred\033[0m\n\033]0;endless\nlast\n'";
    lab.pair.gateway.feed(&["-tt"], &[hostile], Vec::new()).ok();
    let id = id(&lab.site.closed_session());
    let ask = |args: &[&str]| lab.site.as_ada(args).ok().text();
    let shown = ask(&["replay", &id, "--speed", "1000"]);
    assert_eq!(shown, "abcdefgh\u{1b}[31mred\u{1b}[0m\r\n\r\nlast\r\n");
    let safe = ask(&["replay", &id, "--speed", "1000", "--safe"]);
    assert_eq!(safe, "abcdefghred\n\nlast\n");
    let raw = ask(&["replay", &id, "--speed", "1000", "--raw"]);
    assert!(raw.contains("\u{1b}]0;evil\u{7}") && raw.contains("\u{1b}[6n"), "{raw:?}");
    let unseen = |text: &str| text.chars().filter(|c| c.is_control() && *c != '\n').count();
    for args in [
        &["export", &id, "--format", "jsonl"][..],
        &["export", &id, "--format", "cast"],
        &["audit", "export"],
        &["sessions", "list", "--json"],
    ] {
        let text = ask(args);
        assert_eq!(unseen(&text), 0, "{args:?}: {text:?}");
        for line in text.lines().filter(|l| l.starts_with('{') && l.ends_with('}')) {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        }
    }
    let cast = ask(&["export", &id, "--format", "cast"]);
    assert!(!cast.contains("evil") && cast.contains("abcdefgh"), "{cast}");
    assert!(ask(&["export", &id, "--format", "cast", "--raw"]).contains("evil"));
}

#[test]
fn what_verify_says_of_a_forged_recording_does_nothing_to_the_terminal() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair.gateway.run(&["true"]).ok();
    let session = lab.site.closed_session();
    let recording = lab.site.recording(&session);
    let mut forged = recording.clone();
    forged.set_file_name("\u{1b}]0;evil\u{7}\u{9b}6n.rec");
    std::fs::copy(&recording, &forged).expect("a file");
    let ran = lab.site.verify(&[&lab.site.path().join("data")]);
    assert_eq!(ran.code(), 1, "a recording of no session: {}", ran.text());
    for text in [ran.text(), ran.errors()] {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
    let missing = run(Command::new(SALLYPORT).arg("verify").arg(forged.with_extension("no")), Vec::new(), MINUTE);
    assert!(missing.errors().chars().all(|c| c == '\n' || !c.is_control()), "{:?}", missing.errors());
    wait_until("it is intact without it", SOON, || {
        std::fs::remove_file(&forged).ok();
        lab.site.verify(&[&lab.site.path().join("data")]).code() == 0
    });
}
