//! What of a person's input is kept: what is echoed, never what may be a secret; and that something was typed, always.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{export, id};
use crate::harness::client::{MINUTE, run};
use crate::harness::element::Profile;
use crate::harness::gateway::Site;
use crate::harness::lab::Lab;
use crate::harness::{SOON, need, wait_until};

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
