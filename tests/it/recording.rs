//! Everything that passed is on record, can be replayed and proved, and nothing passes that is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::client::{Live, MINUTE, run};
use crate::harness::element::Profile;
use crate::harness::gateway::Site;
use crate::harness::lab::Lab;
use crate::harness::{SOON, Tmpfs, find, need, wait_until};

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
        run(
            Command::new(crate::harness::gateway::SALLYPORT).arg("verify").arg(&copy).arg("--keys").arg(&keys),
            Vec::new(),
            MINUTE,
        )
    };
    verify(&good).ok();
    for at in (0..good.len()).step_by((good.len() / 23).max(1)) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let ran = verify(&bad);
        assert_eq!(ran.code(), 1, "byte {at} of {}: {}", good.len(), ran.text());
        let said = ran.all();
        assert!(said.chars().any(|c| c.is_ascii_digit()), "its position is told: {said}");
    }
    for cut in [good.len() - 1, good.len() / 2, 10] {
        let ran = verify(good.get(..cut).expect("shorter"));
        assert!(
            ran.code() == 1 || ran.text().contains("unsealed") || ran.text().contains("open"),
            "cut at {cut}: {}",
            ran.text()
        );
    }
    let mut longer = good.clone();
    longer.extend_from_slice(b"more");
    assert_eq!(verify(&longer).code(), 1, "bytes after the seal");
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

/// Every file below a folder, as bytes.
fn everything_below(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path()) {
        if path.is_dir() {
            found.extend(everything_below(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap_or_default()));
        }
    }
    found
}

#[test]
fn what_is_typed_without_echo_is_never_stored() {
    need!("sshd", "expect");
    let lab = Lab::start();
    let script = lab.site.scratch().join("type.exp");
    fs::write(
        &script,
        "set timeout 20\nspawn -noecho {*}$argv\nexpect \"visible? \"\nsend \"shown-words\\r\"\nexpect \"secret: \"\nsend \"hunter2-Xyzzy\\r\"\nexpect \"thanks\"\nexpect eof\n",
    )
    .expect("a file");
    let remote = "printf 'visible? '; read v; stty -echo; printf 'secret: '; read s; stty echo; echo; [ ${#s} = 13 ] && echo thanks; sleep 0.5";
    let mut expect = Command::new("expect");
    expect.arg("-f").arg(&script).args(["ssh", "-F"]).arg(&lab.pair.gateway.config).args(["-tt", "linux-1", remote]);
    let ran = run(&mut expect, Vec::new(), MINUTE);
    assert!(ran.text().contains("thanks"), "the element got it: {}", ran.text());
    let session = lab.site.closed_session();
    let jsonl = export(&lab.site, &session, "jsonl");
    let cast = export(&lab.site, &session, "cast");
    assert!(cast.contains("shown-words"), "what is echoed is kept: {cast}");
    for (what, text) in [("jsonl", &jsonl), ("cast", &cast)] {
        assert!(!text.contains("hunter2-Xyzzy"), "{what}: {text}");
    }
    for (file, bytes) in everything_below(&lab.site.path().join("data")) {
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2-Xyzzy"), "{}", file.display());
    }
    assert!(jsonl.contains("hidden"), "that something was typed is on record: {jsonl}");
}

/// Fails when `secret` stands anywhere in what the gateway keeps, or in what it exports of `session`.
fn kept_nowhere(site: &Site, session: &serde_json::Value, secret: &str) {
    for format in ["jsonl", "cast", "text"] {
        let ran = site.as_ada(&["export", &id(session), "--format", format]);
        assert!(!ran.text().contains(secret), "{format}: {}", ran.text());
    }
    for (file, bytes) in everything_below(&site.path().join("data")) {
        assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{}", file.display());
    }
}

/// The input of a session, as its frames keep it.
pub fn kept_input(jsonl: &str) -> String {
    let frames = jsonl.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON Lines"));
    frames.filter(|f| f["stream"] == "input").filter_map(|f| f["text"].as_str().map(str::to_owned)).collect()
}

#[test]
fn what_is_piped_into_a_command_is_not_kept() {
    need!("sshd");
    let lab = Lab::start();
    let asks = "printf '[sudo] password for ada: ' >&2; read -r given; echo \"<${#given}>\"";
    lab.pair.same(&[], &[asks], b"hunter2-Xyzzy\n");
    let session = lab.site.closed_session();
    kept_nowhere(&lab.site, &session, "hunter2");
    let jsonl = export(&lab.site, &session, "jsonl");
    assert!(
        jsonl.contains(r#""bytes":14,"channel":0,"frame":"hidden-input""#),
        "how much it was is on record: {jsonl}"
    );
    // A file that is piped in can be held against its digest.
    let file = b"interface Ethernet0\n".repeat(200);
    lab.pair.gateway.feed(&[], &["cat >/dev/null"], file.clone()).ok();
    let jsonl = crate::harness::wait_for("the second session is listed", SOON, || {
        let sessions = lab.site.sessions();
        let closed = sessions.last().filter(|s| s["id"] != session["id"] && !s["closed_at"].is_null())?;
        Some(export(&lab.site, closed, "jsonl"))
    });
    assert!(jsonl.contains(&crate::harness::client::digest(&file)) && !jsonl.contains("Ethernet"), "{jsonl}");
    lab.site.verify(&[&lab.site.path().join("data")]).ok();
}

#[test]
fn what_a_shell_without_a_terminal_is_sent_ahead_of_a_prompt_is_not_kept() {
    need!("sshd");
    let lab = Lab::start();
    let script =
        b"echo one\nprintf 'New pass''word: '; read -r a; echo; printf 'Retype new pass''word: '; read -r b; echo\n\
                   hunter2-Xyzzy\nhunter2-Xyzzy\necho \"<${#a}${#b}>\"\n";
    let ran = lab.pair.same(&["-T"], &[], script);
    assert!(ran.text().contains("<1313>"), "the element got both: {}", ran.text());
    let session = lab.site.closed_session();
    kept_nowhere(&lab.site, &session, "hunter2");
    // Without a prompt, what was sent is kept.
    lab.pair.gateway.feed(&["-T"], &[], b"echo kept-to-the-end\n".to_vec()).ok();
    crate::harness::wait_for("the second session is listed", SOON, || {
        let sessions = lab.site.sessions();
        let closed = sessions.last().filter(|s| s["id"] != session["id"] && !s["closed_at"].is_null())?;
        (kept_input(&export(&lab.site, closed, "jsonl")) == "echo kept-to-the-end\n").then_some(())
    });
}

#[test]
fn the_input_of_commands_is_kept_where_the_configuration_says_so() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("recording", "exec_input_kept", true));
    lab.pair.gateway.feed(&[], &["cat >/dev/null"], b"plain words\n".to_vec()).ok();
    assert_eq!(kept_input(&export(&lab.site, &lab.site.closed_session(), "jsonl")), "plain words\n");
}

#[test]
fn an_element_without_terminals_is_recorded_as_content() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "PermitTTY no", |_| ());
    let ran = lab.pair.gateway.feed(&["-tt"], &[], b"echo sum-$((40+2))\nexit\n".to_vec());
    assert!(ran.text().contains("sum-42"), "{}", ran.all());
    let jsonl = export(&lab.site, &lab.site.closed_session(), "jsonl");
    assert!(jsonl.contains("the element gives no terminal"), "{jsonl}");
    assert_eq!(kept_input(&jsonl), "echo sum-$((40+2))\nexit\n");
}

#[test]
fn that_something_was_typed_is_on_record_before_it_has_an_effect() {
    need!("sshd");
    let lab = Lab::start();
    let file = lab.site.scratch().join("effect");
    let remote = format!("stty -echo -icanon; echo ready; head -c 5 >{}; sleep 600", file.display());
    let mut ssh = lab.pair.gateway.command("ssh");
    let (gone, keys) = (lab.site.scratch().join("keys"), "typed");
    crate::harness::must(Command::new("mkfifo").arg(&gone));
    // A writer that stays keeps the client's input open.
    let mut writer = fs::OpenOptions::new().read(true).write(true).open(&gone).expect("a pipe");
    ssh.args(["-tt", &lab.pair.gateway.host, &remote]).stdin(fs::File::open(&gone).expect("a pipe"));
    let mut live = crate::harness::process::Process::start_fed(&lab.site.scratch(), "typist", &mut ssh);
    live.tells("that it is ready", SOON, |out| out.contains("ready").then_some(()));
    std::io::Write::write_all(&mut writer, keys.as_bytes()).expect("a pipe");
    wait_until("the element has acted on it", SOON, || fs::read(&file).is_ok_and(|got| got == keys.as_bytes()));
    let Lab { mut gateway, site, sshd: _sshd, .. } = lab;
    gateway.process.signal("KILL");
    gateway.process.ended(SOON);
    let _gateway = site.restart(&[]);
    let jsonl = export(&site, &site.sessions().pop().expect("a session"), "jsonl");
    let told: u64 = jsonl
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON Lines"))
        .filter(|f| f["frame"] == "input")
        .filter_map(|f| f["bytes"].as_u64())
        .sum();
    assert_eq!(told, keys.len() as u64, "{jsonl}");
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
        let mut command = Command::new(crate::harness::gateway::SALLYPORT);
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

/// How far numbered lines have come: the highest number that stands on a whole line. A last line may be cut in the middle of its number.
fn last_number(text: &str) -> u64 {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|l| l.trim().parse().ok()).max().unwrap_or(0)
}

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

const RECORDER_FAILED: &str = "the session can no longer be recorded, so it was ended";

#[test]
fn a_full_disk_ends_sessions_and_nothing_passes_unrecorded() {
    need!("root", "sshd", "mount");
    let site = Site::new();
    let _disk = Tmpfs::mount(site.path().join("data/recordings"), "4m");
    full_disk(site);
}

fn full_disk(mut site: Site) {
    let sshd = crate::harness::element::Sshd::start(
        &site.scratch().join("linux-1"),
        Profile::Modern,
        Some(&site.element_ca()),
        "",
    );
    site.element("linux-1", &sshd, "");
    site.grant("ada", "linux-1");
    site.configure("recording", "free_bytes_min", 0);
    site.configure("limits", "bulk_kept_bytes_max", 1 << 30);
    let gateway = site.start();
    let way = gateway.client("ada", "linux-1");
    let ran = way.run(&["i=0; while [ $i -lt 2000000 ]; do i=$((i+1)); echo $i-$RANDOM$RANDOM$RANDOM$RANDOM; done"]);
    assert_ne!(ran.code(), 0, "it was ended");
    assert!(ran.errors().contains(RECORDER_FAILED), "{}", ran.errors());
    let shown = ran.text();
    let seen = shown.rsplit_once('\n').map_or("", |(whole, _)| whole).lines().count();
    let id = site.sessions().last().map(id).expect("it is listed");
    let text = site.as_ada(&["export", &id, "--format", "text"]).text().replace('\r', "");
    assert!(
        text.contains(shown.lines().nth(seen.saturating_sub(1)).expect("a line")),
        "the last line a person saw is on record: {seen} lines"
    );
    let next = way.run(&["echo reached"]);
    assert!(next.code() != 0 && !next.text().contains("reached"), "with a full disk nothing opens");
    assert_eq!(gateway.http("/readyz").0.contains(" 200 "), false, "and the gateway says it is not ready");
}

#[test]
fn a_read_only_disk_opens_nothing() {
    need!("root", "sshd", "mount");
    let mut site = Site::new();
    let disk = Tmpfs::mount(site.path().join("data/recordings"), "64m");
    let sshd = crate::harness::element::Sshd::start(
        &site.scratch().join("linux-1"),
        Profile::Modern,
        Some(&site.element_ca()),
        "",
    );
    site.element("linux-1", &sshd, "");
    site.grant("ada", "linux-1");
    site.configure("recording", "free_bytes_min", 0);
    let gateway = site.start();
    let way = gateway.client("ada", "linux-1");
    way.run(&["true"]).ok();
    site.closed_session();
    disk.remount("ro");
    let ran = way.run(&["echo reached"]);
    assert!(ran.code() != 0 && !ran.text().contains("reached"), "{}", ran.text());
    assert!(ran.errors().contains("record"), "the person is told why: {}", ran.errors());
    disk.remount("rw");
    wait_until("it works again", SOON, || way.run(&["true"]).code() == 0);
}

#[test]
fn a_disk_that_cannot_sync_ends_sessions() {
    need!("root", "sshd", "strace");
    let lab = Lab::start();
    let mut live = Live::start(
        &lab.pair.gateway,
        &lab.site.scratch(),
        "live",
        &["-tt"],
        "while :; do echo tick; sleep 0.05; done",
        "tick",
    );
    let mut strace = Command::new(find("strace").expect("asked for"));
    strace.args([
        "-f",
        "-q",
        "-e",
        "trace=fsync,fdatasync,sync_file_range",
        "-e",
        "inject=fsync,fdatasync:error=EIO",
        "-o",
        "/dev/null",
        "-p",
    ]);
    let _failing = crate::harness::process::Process::start(
        &lab.site.scratch(),
        "strace",
        strace.arg(lab.gateway.process.id().to_string()),
    );
    live.ends_within(SOON);
    let told = live.process.all();
    assert!(told.contains(RECORDER_FAILED), "{told}");
    let next = lab.pair.gateway.run(&["echo reached"]);
    assert!(next.code() != 0 && !next.text().contains("reached"), "nothing opens without a durable log");
}

/// Holds up every sync of the gateway's for a minute, while it lives.
fn hang_the_disk(lab: &Lab) -> crate::harness::process::Process {
    let mut strace = Command::new(find("strace").expect("asked for"));
    strace.args(["-f", "-q", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=60000000"]);
    strace.args(["-o", "/dev/null", "-p"]).arg(lab.gateway.process.id().to_string());
    crate::harness::process::Process::start(&lab.site.scratch(), "strace", &mut strace)
}

#[test]
fn a_disk_that_hangs_ends_sessions() {
    need!("root", "sshd", "strace");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.configure("recording", "sync_timeout_ms", 1_000);
        site.configure("audit", "sync_timeout_ms", 1_000);
        site.configure("limits", "drain_grace_ms", 500);
    });
    let tick = "while :; do echo tick; sleep 0.05; done";
    let mut live = Live::start(&lab.pair.gateway, &lab.site.scratch(), "live", &["-tt"], tick, "tick");
    let hanging = hang_the_disk(&lab);
    live.ends_within(SOON);
    assert!(live.process.all().contains(RECORDER_FAILED), "{}", live.process.all());
    assert!(!lab.gateway.http("/readyz").0.contains(" 200 "), "the gateway says that it is not ready");
    let begun = std::time::Instant::now();
    let next = lab.pair.gateway.run(&["echo reached"]);
    assert!(next.code() != 0 && !next.text().contains("reached"), "nothing opens: {}", next.all());
    assert!(begun.elapsed() < SOON, "and nobody waits for it: {:?}", begun.elapsed());
    // A gateway that is told to stop does, though its log cannot be closed.
    let Lab { mut gateway, site, sshd: _sshd, .. } = lab;
    gateway.process.signal("TERM");
    let status = format!("/proc/{}/status", gateway.process.id());
    // What held up its threads has yet to let go of them.
    wait_until("it has ended", SOON, || fs::read_to_string(&status).is_ok_and(|status| status.contains("State:\tZ")));
    drop(hanging);
    gateway.process.ended(SOON);
    let _gateway = site.restart(&[]);
    site.verify(&[&site.path().join("data")]).ok();
}

/// Output that does not pack, with pauses in which the client catches up, so that it can be told why it ends.
const GUSHES: &str = "while :; do head -c 150000 /dev/urandom | base64; sleep 0.01; done";

#[test]
fn a_disk_that_fills_up_ends_the_largest_writer_first() {
    need!("root", "sshd", "mount");
    let mut site = Site::new();
    let _disk = Tmpfs::mount(site.path().join("data/recordings"), "64m");
    let dir = site.scratch().join("linux-1");
    let sshd = crate::harness::element::Sshd::start(&dir, Profile::Modern, Some(&site.element_ca()), "");
    site.element("linux-1", &sshd, "");
    site.grant("ada", "linux-1");
    site.configure("recording", "free_bytes_min", 48 << 20);
    let gateway = site.start();
    let way = gateway.client("ada", "linux-1");
    let tick = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done";
    let mut quiet = Live::start(&way, &site.scratch(), "quiet", &["-tt"], tick, "tick 1");
    let ran = way.feed(&["-tt"], &[GUSHES], Vec::new());
    assert!(ran.all().contains(RECORDER_FAILED), "{} bytes, then {}", ran.out.len(), ran.errors());
    let ticks = |out: &str| out.matches("tick").count();
    let before = ticks(&quiet.process.out());
    wait_until("the other one goes on", SOON, || ticks(&quiet.process.out()) > before + 10);
    assert!(quiet.process.running());
    let ended = site.closed_session();
    assert_eq!(ended["outcome"], "recorder-failed", "{ended}");
    assert!(ended["detail"].to_string().contains("nearly full"), "{ended}");
    let verified = site.verify(&[&site.recording(&ended)]).ok();
    assert!(verified.text().contains("sealed (recorder-failed)"), "what it was is sealed: {}", verified.text());
    let next = way.run(&["echo reached"]);
    assert!(next.code() != 0 && !next.text().contains("reached"), "{}", next.all());
}

#[test]
fn a_session_that_records_too_much_ends_with_a_clear_message() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "recording_bytes_max", 1 << 20));
    let ran = lab.pair.gateway.feed(&["-tt"], &[GUSHES], Vec::new());
    assert!(ran.all().contains("as much as is recorded of one session has been recorded"), "{}", ran.errors());
    let session = lab.site.closed_session();
    assert_eq!(session["outcome"], "recording-full", "{session}");
    let size = fs::metadata(lab.site.recording(&session)).expect("the recording").len();
    assert!((1 << 20..2 << 20).contains(&size), "{size} bytes");
    lab.site.verify(&[&lab.site.path().join("data")]).ok();
    lab.pair.gateway.run(&["true"]).ok();
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
    let forged = format!("{line},\"hash\":\"{}\"}}\n", crate::harness::client::digest(line.as_bytes()));
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
