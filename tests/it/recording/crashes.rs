//! A gateway that is killed loses nothing that a client was shown, and what is changed while it is down is told.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::Command;

use super::export;
use crate::harness::client::{Live, MINUTE, Ssh, digest};
use crate::harness::element::Profile;
use crate::harness::gateway::Site;
use crate::harness::lab::Lab;
use crate::harness::process::Process;
use crate::harness::{SOON, must, need, wait_until};

#[test]
fn killing_the_gateway_under_load_loses_nothing_acknowledged() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "bulk_kept_bytes_max", 1 << 30));
    let Lab { mut gateway, site, sshd: _sshd, .. } = lab;
    let mut seen: Vec<u64> = Vec::new();
    for round in 0..5 {
        let way = gateway.client("ada", "linux-1");
        let mut clients: Vec<_> = (0..4)
            .map(|i| {
                Live::start(
                    &way,
                    &site.scratch(),
                    &format!("r{round}c{i}"),
                    &[],
                    "i=0; while :; do i=$((i+1)); echo $i; done",
                    "100\n",
                )
            })
            .collect();
        let enough = 2000 + 700 * round;
        wait_until("the clients have read much", MINUTE, || {
            clients.iter().all(|c| last_number(&c.process.out()) > enough)
        });
        gateway.process.signal("KILL");
        gateway.process.ended(SOON);
        for client in &mut clients {
            client.ends_within(SOON);
            seen.push(last_number(&client.process.out()));
        }
        gateway = site.restart(&[]);
    }
    site.verify(&[&site.path().join("data/audit"), &site.path().join("data/recordings")]).ok();
    let sessions = site.sessions();
    assert_eq!(sessions.len(), seen.len(), "every session that a client saw is listed");
    let mut kept: Vec<u64> = sessions
        .iter()
        .map(|s| {
            assert_eq!(s["outcome"], "aborted", "{s}");
            last_number(&export(&site, s, "text").replace('\r', ""))
        })
        .collect();
    kept.sort_unstable();
    seen.sort_unstable();
    for (kept, seen) in kept.iter().zip(&seen) {
        assert!(kept >= seen, "a client was shown line {seen}, the recording ends at {kept}");
    }
}

/// How far numbered lines have come: the highest number that stands on a whole line. A last line may be cut in the middle of its number.
fn last_number(text: &str) -> u64 {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|l| l.trim().parse().ok()).max().unwrap_or(0)
}

/// Small files of which each has a content, and so a digest, of its own.
fn content(round: usize, number: u64) -> Vec<u8> {
    format!("interface Ethernet{round}/{number}\n").repeat(50).into_bytes()
}

/// One SFTP session that puts one file after the other, and a loop of `scp`, each file a session: both say which they begin with, and so that the
/// ones before are done. Then somebody who types into a shell, and sessions that come and go.
struct Load {
    sftp: Live,
    scp: Live,
    typing: Live,
    typed: fs::File,
    passing: Vec<Live>,
    lines: u64,
    round: usize,
}

/// How many each kind of client has been told are done.
struct Seen {
    sftp: u64,
    scp: u64,
    typed: u64,
    passed: Vec<u64>,
}

const FILES: u64 = 800;

impl Load {
    fn start(site: &Site, way: &Ssh, round: usize) -> Self {
        let dir = site.scratch().join(format!("round-{round}"));
        fs::create_dir_all(&dir).expect("a folder");
        let mut batch = String::new();
        for number in 1..=FILES {
            let name = format!("{round}-{number}");
            fs::write(dir.join(&name), content(round, number)).expect("a file");
            writeln!(batch, "put {0}/{name} {0}/by-sftp-{name}", dir.display()).expect("text");
        }
        fs::write(dir.join("batch"), batch).expect("a file");
        let config = way.config.display();
        let (ssh, host) = (format!("-F {config} -o LogLevel=ERROR"), &way.host);
        let shell = |name: &str, script: String, greeting: &str| {
            let mut bash = Command::new("bash");
            bash.args(["-c", &script]).current_dir(&dir);
            Live::of(bash, &dir, name, greeting)
        };
        let sftp = shell("sftp", format!("exec sftp {ssh} -b batch {host}"), "by-sftp");
        let put = format!("echo $i; scp {ssh} -q {round}-$i {host}:{}/by-scp-{round}-$i || exit", dir.display());
        let scp = shell("scp", format!("i=1; while :; do {put}; i=$((i+1)); done"), "1\n");
        let passing = (0..2)
            .map(|n| {
                let one = format!("echo $i; ssh {ssh} {host} echo passed-{round}-{n}-$i >/dev/null || exit");
                shell(&format!("passing-{n}"), format!("i=1; while :; do {one}; i=$((i+1)); done"), "1\n")
            })
            .collect();
        let keys = dir.join("keys");
        must(Command::new("mkfifo").arg(&keys));
        // A writer that stays keeps the client's input open.
        let typed = fs::OpenOptions::new().read(true).write(true).open(&keys).expect("a pipe");
        let mut shell = way.command("ssh");
        shell.args(["-tt", host, "stty -echo; echo ready; while read -r line; do echo got-$line; done"]);
        shell.stdin(fs::File::open(&keys).expect("a pipe"));
        let mut typing = Process::start_fed(&dir, "typing", &mut shell);
        typing.tells("that it is ready", MINUTE, |out| out.contains("ready").then_some(()));
        Self { sftp, scp, typing: Live { process: typing }, typed, passing, lines: 0, round }
    }

    /// Types a line, and says whether each kind of client has been told that `enough` are done.
    fn goes_on(&mut self, enough: u64) -> bool {
        if self.lines < FILES {
            self.lines += 1;
            writeln!(self.typed, "{}-{}", self.round, self.lines).expect("a pipe");
        }
        let seen = self.seen();
        seen.sftp >= 5 * enough
            && seen.typed >= 5 * enough
            && seen.passed.iter().chain([&seen.scp]).all(|n| *n >= enough)
    }

    /// What the clients have been told so far.
    fn seen(&self) -> Seen {
        // The one that is begun is not done.
        let before = |process: &Process| last_number(&process.out()).saturating_sub(1);
        Seen {
            sftp: (self.sftp.process.out().matches("sftp> put ").count() as u64).saturating_sub(1),
            scp: before(&self.scp.process),
            typed: last_number(&self.typing.process.out().replace(&format!("got-{}-", self.round), "")),
            passed: self.passing.iter().map(|live| before(&live.process)).collect(),
        }
    }

    /// What they have been told when all of them have ended.
    fn ended(mut self) -> Seen {
        for live in [&mut self.sftp, &mut self.scp, &mut self.typing].into_iter().chain(&mut self.passing) {
            live.ends_within(MINUTE);
        }
        self.seen()
    }
}

#[test]
fn killing_the_gateway_under_every_kind_of_load_loses_nothing_acknowledged() {
    need!("sshd", "sftp", "scp");
    let Lab { mut gateway, site, sshd: _sshd, .. } = Lab::start();
    let mut seen = Vec::new();
    for round in 0..3 {
        let mut load = Load::start(&site, &gateway.client("ada", "linux-1"), round);
        // Each time in another state.
        wait_until("all of them go on", 2 * MINUTE, || load.goes_on(2 + round as u64));
        gateway.process.signal("KILL");
        gateway.process.ended(SOON);
        // As it was left, before a start mends anything: all that is durable is in order.
        let verified = site.verify(&[&site.path().join("data")]);
        assert!(verified.code() == 0 && verified.text().contains("unsealed"), "{}", verified.all());
        seen.push(load.ended());
        gateway = site.restart(&[]);
    }
    let verified = site.verify(&[&site.path().join("data")]).ok();
    assert!(verified.text().contains(" 0 still open, 0 unsealed"), "{}", verified.text());
    let events = site.events();
    let gaps = events.iter().zip(0..).find(|(event, seq)| event["seq"].as_u64() != Some(*seq));
    assert!(gaps.is_none() && !events.is_empty(), "{gaps:?}");
    let all: String = site.sessions().iter().map(|session| export(&site, session, "jsonl")).collect();
    let frames: Vec<serde_json::Value> = all.lines().map(|l| serde_json::from_str(l).expect("JSON Lines")).collect();
    let texts: String = frames.iter().filter_map(|frame| frame["text"].as_str()).collect();
    let files: BTreeSet<(String, String)> = frames
        .iter()
        .filter(|frame| frame["frame"] == "file")
        .map(|frame| frame.to_string())
        .flat_map(|told| {
            let word =
                |begin: &str| told.split_once(begin).and_then(|(_, rest)| rest.split('"').next()).map(str::to_owned);
            Some((word("/by-")?, word("\"sha256\":\"")?))
        })
        .collect();
    for (round, Seen { sftp, scp, typed, passed }) in seen.into_iter().enumerate() {
        for (kind, number) in (1..=sftp).map(|n| ("sftp", n)).chain((1..=scp).map(|n| ("scp", n))) {
            let kept = (format!("{kind}-{round}-{number}"), digest(&content(round, number)));
            assert!(files.contains(&kept), "{kept:?} was done in the client's eyes, and is not on record");
        }
        for (n, passed) in passed.into_iter().enumerate() {
            for number in 1..=passed {
                assert!(
                    all.contains(&format!("passed-{round}-{n}-{number}\"")),
                    "session {number} of {n} in round {round}"
                );
            }
        }
        assert!(
            typed > 0 && texts.contains(&format!("got-{round}-{typed}\r\n")),
            "line {typed} of round {round} was shown"
        );
    }
}

#[test]
fn entries_that_were_added_behind_a_clean_stop_refuse_the_start() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair.gateway.run(&["true"]).ok();
    lab.site.closed_session();
    let Lab { gateway, site, sshd: _sshd, .. } = lab;
    gateway.stop(SOON);
    let segment = site.path().join("data/audit/00000000000000000000.jsonl");
    let good = fs::read_to_string(&segment).expect("the log");
    let last: serde_json::Value = serde_json::from_str(good.lines().last().expect("an entry")).expect("JSON");
    assert_eq!(last["event"]["event"], "gateway-stopped");
    let (seq, prev) = (last["seq"].as_u64().expect("a number") + 1, last["hash"].as_str().expect("a hash"));
    let event =
        r#"{"event":"lock-removed","subject":"user:eve","by":"spiffe://carrier.example/user/ada","via":"console"}"#;
    let line = format!(r#"{{"seq":{seq},"at":{},"prev":"{prev}","event":{event}"#, last["at"]);
    let forged = format!("{line},\"hash\":\"{}\"}}\n", digest(line.as_bytes()));
    fs::write(&segment, format!("{good}{forged}")).expect("a file");

    let refused = site.sallyport(&["serve"]);
    assert_ne!(refused.code(), 0);
    assert!(
        refused.errors().contains("follow a clean stop") && refused.errors().contains("audit mend"),
        "{}",
        refused.errors()
    );
    site.sallyport(&["audit", "mend"]).ok();
    let _gateway = site.restart(&[]);
    let verified = site.verify(&[&site.path().join("data/audit")]).ok();
    assert!(verified.text().contains("were moved to"), "{}", verified.text());
    assert!(!site.events().iter().any(|e| e["event"]["subject"] == "user:eve"));
    assert_eq!(
        fs::read_to_string(site.path().join(format!("data/audit/unsigned-{seq:020}.jsonl"))).expect("kept"),
        forged
    );
}

#[test]
fn a_recording_that_was_changed_while_the_gateway_was_down_raises_an_alarm_once() {
    need!("sshd");
    let lab = Lab::start();
    let _live = Live::start(&lab.pair.gateway, &lab.site.scratch(), "live", &["-tt"], "echo up; sleep 600", "up");
    let Lab { mut gateway, site, sshd: _sshd, .. } = lab;
    let file = site.recording(&site.sessions().pop().expect("a session"));
    gateway.process.signal("KILL");
    gateway.process.ended(SOON);
    let mut bytes = fs::read(&file).expect("the recording");
    let place = bytes.len() - 100;
    bytes[place] ^= 1;
    fs::write(&file, &bytes).expect("a file");
    for _ in 0..2 {
        let gateway = site.restart(&[]);
        let alarms: Vec<_> =
            site.events().into_iter().filter(|e| e["event"]["what"] == "recording-not-recovered").collect();
        assert_eq!(alarms.len(), 1, "{alarms:?}");
        let name = file.file_name().expect("a name").to_string_lossy();
        assert!(alarms[0].to_string().contains(&*name), "{alarms:?}");
        gateway.stop(SOON);
    }
    assert_eq!(fs::read(&file).expect("the recording"), bytes, "it is left as evidence");
}
