//! What an adversary with a certificate, or without one, tried: none of it works a second time.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::clients::proxy_to;
use crate::harness::client::{Live, MINUTE, Ran, Ssh, digest, run};
use crate::harness::element::Profile;
use crate::harness::gateway::{DOMAIN, Site, replace};
use crate::harness::lab::Lab;
use crate::harness::process::Process;
use crate::harness::{SOON, account, data, need, venv, wait_until};

/// The hostile client as `identity` on its way to `linux-1`; see `data/hostile.py`.
fn hostile(lab: &Lab, identity: &str, how: &[&str]) -> Command {
    let mut command = Command::new(venv("clients", "python"));
    command.arg(data("hostile.py")).arg(proxy_to(&lab.gateway, &lab.site.identity(identity), "linux-1"));
    command.arg(account()).args(how);
    command
}

fn attack(lab: &Lab, identity: &str, how: &[&str]) -> Ran {
    run(&mut hostile(lab, identity, how), Vec::new(), 2 * MINUTE)
}

fn lab_with(prepare: impl FnOnce(&mut Site)) -> Lab {
    Lab::with(Profile::Modern, "", prepare)
}

fn export(site: &Site, session: &serde_json::Value) -> String {
    site.as_ada(&["export", session["id"].as_str().expect("an id"), "--format", "jsonl"]).ok().text()
}

/// The text of every event that mentions `kind`.
fn events(site: &Site, kind: &str) -> Vec<String> {
    site.events().iter().map(ToString::to_string).filter(|e| e.contains(kind)).collect()
}

#[test]
fn a_terminal_under_a_transfer_edits_nothing() {
    need!("sshd", "python:clients");
    let lab = lab_with(|site| {
        site.issue("reader", &[]);
        for verb in ["file.read", "file.stat"] {
            site.row(&format!("p, user:reader, element:linux-1, *, {verb}, /var/log/**, allow"));
        }
    });
    let ran = attack(&lab, "reader", &["terminal"]);
    assert!(ran.text().contains("version True"), "the transfer begins, so that its bytes are tried: {}", ran.all());
    assert!(!ran.text().contains("root:"), "/etc/passwd was read as a file of /var/log: {}", ran.all());
}

#[test]
fn silent_clients_of_one_source_keep_nobody_out() {
    need!("sshd", "python3");
    // Whoever had to wait for a place of theirs would wait for two minutes.
    let lab = lab_with(|site| {
        site.configure("limits", "handshakes_max", 16);
        site.configure("limits", "handshake_timeout_ms", 120_000);
        site.configure("limits", "login_grace_ms", 600_000);
    });
    for port in [lab.gateway.ssh, lab.gateway.mtls] {
        let mut silent = Command::new("python3");
        silent.arg(data("silent.py")).arg(port.to_string()).arg("100");
        let mut silent = Process::start(&lab.site.scratch(), "silent", &mut silent);
        silent.tells("that it holds them", SOON, |out| out.contains("held 100").then_some(()));
        for door in [lab.pair.gateway.clone(), lab.gateway.ssh_door("ada", "linux-1", true)] {
            let begun = Instant::now();
            door.run(&["true"]).ok();
            assert!(begun.elapsed() < MINUTE, "it waited for a place: {:?}", begun.elapsed());
        }
        assert!(silent.running(), "they were there all the time");
    }
}

#[test]
fn a_shell_without_a_terminal_is_recorded_to_its_end() {
    need!("sshd");
    let lab = lab_with(|site| site.configure("limits", "bulk_kept_bytes_max", 4096));
    let mut typed = format!(":{}\n", " ".repeat(98)).repeat(2000).into_bytes();
    typed.extend_from_slice(&b": typed-after-the-cap\n".repeat(3));
    lab.pair.gateway.feed(&["-T"], &[], typed).ok();
    let jsonl = export(&lab.site, &lab.site.closed_session());
    assert!(jsonl.contains("typed-after-the-cap"), "{}", jsonl.get(..2000).unwrap_or(&jsonl));
}

#[test]
fn an_answer_to_a_prompt_for_a_password_is_not_kept() {
    need!("sshd", "python:clients");
    let lab = Lab::start();
    let ran = attack(&lab, "ada", &["answer"]);
    assert!(ran.text().contains("Password: <13>"), "the element got it: {}", ran.all());
    let jsonl = export(&lab.site, &lab.site.closed_session());
    assert!(!jsonl.contains("hunter2") && !jsonl.contains("Xyzzy"), "{jsonl}");
    assert!(jsonl.contains("hidden-input") && jsonl.contains("typed-after-it"), "the rest is kept: {jsonl}");
}

#[test]
fn an_open_file_stops_with_its_permission() {
    need!("sshd", "python:clients");
    let mut lab = Lab::start();
    let dir = lab.site.scratch();
    let file = dir.join("secret");
    fs::write(&file, "a secret of many bytes\n").expect("a file");
    let mut reader = Process::start(&dir, "reader", &mut hostile(&lab, "ada", &["standing", &file.to_string_lossy()]));
    reader.tells("that it reads", SOON, |out| out.contains("reading").then_some(()));
    // The transfer itself stays allowed: other file actions are.
    let mut rows = lab.site.current_rows();
    rows.push("p, user:ada, element:linux-1, *, file.read, **, deny".to_owned());
    lab.site.set_rows(rows);
    reader.ended(MINUTE);
    assert!(reader.out().contains("stopped") && !reader.out().contains("never"), "{}", reader.all());
}

#[test]
fn what_leaves_the_inventory_ends_live_sessions() {
    need!("sshd");
    let lab = Lab::start();
    let inventory = lab.site.path().join("policies/elements.toml");
    let text = fs::read_to_string(&inventory).expect("the inventory");
    let other_account = text.replace(&format!("account = \"{}\"", account()), "account = \"somebody\"");
    let other_element = text.replace("name = \"linux-1\"", "name = \"linux-2\"");
    for (name, without) in [("account", other_account), ("element", other_element)] {
        assert_ne!(without, text);
        let mut live = Live::start(&lab.pair.gateway, &lab.site.scratch(), name, &["-tt"], "echo up; sleep 600", "up");
        replace(&inventory, &without);
        live.ends_within(SOON);
        let session = lab.site.closed_session();
        assert_eq!(session["outcome"], "policy-denies", "{name}: {session}");
        assert_ne!(lab.pair.gateway.run(&["true"]).code(), 0, "{name}: a new one");
        replace(&inventory, &text);
        wait_until("it is back", SOON, || lab.pair.gateway.run(&["true"]).code() == 0);
    }
}

/// Sends one request to the API as `ada`; gives the code of the answer.
fn request(lab: &Lab, path: &str, headers: &str, body: &str) -> u16 {
    let id = lab.site.identity("ada");
    let mut command = Command::new("python3");
    command.arg(data("request.py")).arg(lab.gateway.mtls.to_string()).arg(id.join("cert.pem")).arg(id.join("key.pem"));
    command.arg(lab.site.path().join("ca/x509_ca.pem")).arg(DOMAIN);
    let text =
        format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let answer = run(&mut command, text.into_bytes(), MINUTE).ok().text();
    let code = answer.split(' ').nth(1).and_then(|c| c.parse().ok());
    code.unwrap_or_else(|| panic!("no answer: {answer}"))
}

#[test]
fn a_page_of_another_site_does_nothing_with_the_api() {
    need!("python3");
    let lab = lab_with(|site| drop(site.issue("bob", &[])));
    let lock = r#"{"subject":"user:bob","reason":"a page"}"#;
    let (host, json) = (format!("Host: {DOMAIN}\r\n"), "Content-Type: application/json\r\n");
    let refused = [
        format!("{host}{json}Origin: https://evil.example\r\n"),
        format!("{host}{json}Origin: null\r\n"),
        format!("{host}{json}Origin: https://{DOMAIN}\r\n"),
        format!("{host}{json}Sec-Fetch-Site: cross-site\r\n"),
        format!("{host}{json}Sec-Fetch-Site: same-site\r\n"),
        format!("{host}Content-Type: text/plain\r\n"),
        format!("{host}Content-Type: application/x-www-form-urlencoded\r\n"),
        format!("{host}Content-Type: text/plain; application/json\r\n"),
        host.clone(),
        format!("Host: evil.example\r\n{json}"),
        format!("Host: {DOMAIN}.evil.example\r\n{json}"),
        json.to_owned(),
    ];
    for headers in &refused {
        for path in ["/v1/lock", "/v1/unlock", "/v1/terminate", "/v1/ask"] {
            let code = request(&lab, path, headers, lock);
            assert!((400..500).contains(&code), "{path} answers {code} to\n{headers}");
        }
        let listed = lab.site.sallyport(&["lock", "list", "--json"]).ok().text();
        assert!(!listed.contains("user:bob"), "{headers}{listed}");
    }
    let good = format!("{host}{json}");
    assert_eq!(request(&lab, "/v1/lock", &good, lock), 200, "the control differs in nothing but the headers");
    assert!(lab.site.sallyport(&["lock", "list", "--json"]).ok().text().contains("bob"));
}

#[test]
fn draining_waits_for_a_session_inside_another_connection() {
    need!("sshd");
    let lab = lab_with(|site| site.configure("limits", "drain_grace_ms", 30_000));
    let jump = lab.gateway.ssh_door("ada", "linux-1", false);
    let dir = lab.site.scratch();
    // Longer than any connection that nothing goes on in is kept.
    let work = "echo up; sleep 7; echo finished";
    let mut live = Live::start(&jump, &dir, "jump", &[], work, "up");
    lab.gateway.process.signal("TERM");
    let status = live.process.ended(MINUTE);
    assert!(status.success() && live.process.out().contains("finished"), "{status}: {}", live.process.all());
    let Lab { mut gateway, site, .. } = lab;
    gateway.process.ended(MINUTE);
    let closed = site.sessions();
    assert!(closed.iter().all(|s| !s["closed_at"].is_null() && s["outcome"] != "shutdown"), "{closed:?}");
}

#[test]
fn a_bare_key_at_the_ssh_door_is_on_record() {
    need!("sshd");
    let lab = Lab::start();
    let key = lab.site.scratch().join("own_key");
    crate::harness::element::keygen(&key, &["-t", "ed25519"]);
    let door = lab.gateway.ssh_door("ada", "linux-1", true);
    let text = fs::read_to_string(&door.config).expect("written");
    let ours = lab.site.identity("ada").join("ssh_key");
    let config = lab.site.scratch().join("bare.conf");
    fs::write(&config, text.replace(&*ours.to_string_lossy(), &key.to_string_lossy())).expect("a file");
    assert_eq!(Ssh { config, host: door.host }.run(&["true"]).code(), 255);
    let shown = crate::harness::must(Command::new("ssh-keygen").arg("-lf").arg(key.with_extension("pub")));
    let fingerprint = shown.split_whitespace().nth(1).expect("its second word").to_owned();
    wait_until("the refusal and its key are on record", SOON, || {
        events(&lab.site, "refused").iter().any(|e| e.contains(&fingerprint))
    });
}

#[test]
fn a_denied_command_is_clipped_in_the_log() {
    need!("sshd");
    let lab = lab_with(|site| drop(site.issue("outsider", &[])));
    let command = format!("echo {}", "\u{1}".repeat(60_000));
    assert_ne!(lab.gateway.client("outsider", "linux-1").run(&[&command]).code(), 0);
    let denied = crate::harness::wait_for("the denial is on record", SOON, || events(&lab.site, "denied").pop());
    assert!(denied.len() < 16 << 10, "{} bytes", denied.len());
    assert!(denied.contains(&digest(command.as_bytes())), "what it was can be proved: {denied}");
}

#[test]
fn whoever_vanishes_while_a_session_opens_leaves_none_open() {
    need!("root", "sshd", "strace", "python:clients");
    let lab = Lab::start();
    // A slow disk, so that they are gone while the log and the recording are made durable.
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_exit=60000"]);
    strace.args(["-o", "/dev/null", "-p"]).arg(lab.gateway.process.id().to_string());
    let mut slow = Process::start(&lab.site.scratch(), "strace", &mut strace);
    wait_until("strace is attached", SOON, || slow.err().contains("attached"));
    attack(&lab, "ada", &["vanish", "20"]).ok();
    assert!(slow.running());
    // The last to open: what was asked before it is in the log, opened or refused.
    lab.pair.gateway.run(&["true"]).ok();
    wait_until("every session is closed", SOON, || {
        let sessions = lab.site.sessions();
        sessions.len() > 6 && sessions.iter().all(|s| !s["closed_at"].is_null())
    });
    for session in lab.site.sessions() {
        let verified = lab.site.verify(&[&lab.site.recording(&session)]).ok();
        assert!(verified.text().contains(".rec: sealed"), "{}", verified.text());
    }
}

#[test]
fn a_channel_that_wants_nothing_holds_little() {
    need!("sshd", "python:clients");
    let lab = lab_with(|site| drop(site.issue("outsider", &[])));
    let ran = attack(&lab, "outsider", &["undecided"]);
    assert!(ran.text().starts_with("closed"), "{}", ran.all());
    let before = lab.gateway.memory_kib();
    let mut flood = Process::start(&lab.site.scratch(), "flood", &mut hostile(&lab, "outsider", &["empty", "300000"]));
    flood.tells("that all was taken", 2 * MINUTE, |out| out.contains("sent").then_some(()));
    let grown = lab.gateway.memory_kib().saturating_sub(before);
    assert!(grown < 6 << 10, "{grown} KiB for packets that hold nothing");
}

#[test]
fn a_channel_that_the_client_confirms_itself_ends_the_connection() {
    need!("sshd", "python:clients");
    let lab = Lab::start();
    let ran = attack(&lab, "ada", &["confirm"]);
    assert_eq!(ran.text(), "cut off\n", "{}", ran.errors());
    assert_eq!(lab.site.closed_session()["outcome"], "protocol-error");
}

#[test]
fn what_a_client_sent_before_it_left_is_done() {
    need!("sshd", "python:clients");
    let lab = Lab::start();
    for how in ["close", "gone"] {
        let file = lab.site.scratch().join(how);
        let ran = attack(&lab, "ada", &["leave_early", how, &file.to_string_lossy()]);
        assert_eq!(ran.text(), "ran\n", "{how}: {}", ran.errors());
        let jsonl = export(&lab.site, &lab.site.closed_session());
        assert!(jsonl.contains("echo ran"), "{how}: what was typed is on record: {jsonl}");
    }
}

#[test]
fn a_window_change_before_the_answer_does_not_take_its_place() {
    need!("sshd", "python:clients");
    let ran = attack(&Lab::start(), "ada", &["resize"]);
    assert_eq!(ran.text(), "answered\n", "{}", ran.errors());
}

#[test]
fn what_was_allowed_and_never_used_is_closed_on_record() {
    need!("sshd", "python:clients");
    let lab = lab_with(|site| site.row("p, user:ada, element:linux-1, *, ssh.agent, -, allow"));
    attack(&lab, "ada", &["unused"]).ok();
    let jsonl = export(&lab.site, &lab.site.closed_session());
    assert!(jsonl.contains("\"channel-opened\"") && jsonl.contains("\"channel-closed\""), "{jsonl}");
}

#[test]
fn what_arrives_is_what_was_recorded() {
    need!("sshd", "python:clients");
    const FILES: usize = 40;
    let lab = Lab::start();
    let far = lab.site.scratch().join("far");
    fs::create_dir_all(&far).expect("a folder");
    let ran = attack(&lab, "ada", &["upload", &far.to_string_lossy(), &FILES.to_string()]);
    assert!(ran.text().contains(&format!("sent {FILES}")), "{}", ran.all());
    let jsonl = export(&lab.site, &lab.site.closed_session());
    for turn in 0..FILES {
        let sent: String = (0..400).map(|piece| format!("{turn:03}{piece:04}\n")).collect();
        for protocol in ["scp", "sftp"] {
            let name = format!("{protocol}-{turn}");
            arrived(&far.join(&name), sent.as_bytes(), &jsonl);
        }
    }
}

/// The file holds what was sent, and the recording says so.
#[track_caller]
fn arrived(file: &Path, sent: &[u8], jsonl: &str) {
    let stored = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    assert_eq!(digest(&stored), digest(sent), "{} differs from what was sent", file.display());
    let quoted = format!("{}\"", file.display());
    let told = jsonl.lines().any(|l| l.contains(&quoted) && l.contains(&digest(&stored)));
    assert!(told, "{} is not on record with its digest", file.display());
}
