//! What a new user does: `make demo`, then the printed lines in another terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::client::{MINUTE, Ran, Ssh, run};
use crate::harness::gateway::SALLYPORT;
use crate::harness::process::Process;
use crate::harness::{data, need, scratch, venv, wait_for};

struct Demo {
    process: Process,
    dir: PathBuf,
    _scratch: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let scratch = scratch();
        let dir = scratch.path().join("demo");
        let mut process =
            Process::start(scratch.path(), "demo", Command::new(SALLYPORT).args(["demo", "--dir"]).arg(&dir));
        process.tells("that it is ready", MINUTE, |out| out.lines().any(|l| l.starts_with("ready")).then_some(()));
        Self { process, dir, _scratch: scratch }
    }

    fn ssh(&self, identity: &str, element: &str) -> Ssh {
        Ssh { config: self.dir.join("identities").join(identity).join("ssh_config"), host: element.to_owned() }
    }

    fn sallyport(&self, identity: &str, args: &[&str]) -> Ran {
        let mut command = Command::new(SALLYPORT);
        command
            .args(args)
            .arg("--config")
            .arg(self.dir.join("sallyport.toml"))
            .arg("--identity")
            .arg(self.dir.join("identities").join(identity));
        run(&mut command, Vec::new(), MINUTE)
    }
}

#[test]
fn the_demo_does_what_it_prints() {
    need!("ssh", "expect");
    let demo = Demo::start();
    let printed = demo.process.out();
    for word in ["core-rtr-1", "noc-engineer", "outsider", "sessions list", "replay", "verify"] {
        assert!(printed.contains(word), "{word} is not in what it prints:\n{printed}");
    }
    for file in ["sallyport.toml", "policies", "ca", "data/audit", "data/recordings"] {
        assert!(demo.dir.join(file).exists(), "{file}");
    }
    for name in ["noc-engineer", "senior-engineer", "security-editor", "auditor", "vendor", "outsider"] {
        for file in ["cert.pem", "key.pem", "ssh_key", "ssh_key-cert.pub", "ssh_config"] {
            assert!(demo.dir.join("identities").join(name).join(file).exists(), "{name}/{file}");
        }
    }
    let script = demo.dir.join("type.exp");
    fs::write(&script, "set timeout 20\nspawn -noecho {*}$argv\nexpect -re {core-rtr-1[>#]}\nsend \"show version\\r\"\nexpect -re {core-rtr-1[>#]}\nsend \"exit\\r\"\nexpect eof\ncatch wait result\nexit [lindex $result 3]\n").expect("a file");
    let ssh = demo.ssh("noc-engineer", "core-rtr-1");
    let typed = run(
        Command::new("expect").arg("-f").arg(&script).args(["ssh", "-F"]).arg(&ssh.config).arg("core-rtr-1"),
        Vec::new(),
        MINUTE,
    );
    assert!(typed.text().matches("core-rtr-1").count() >= 2, "{}{}", typed.text(), typed.errors());
    let outsider = demo.ssh("outsider", "core-rtr-1").run(&[]);
    assert!(outsider.code() != 0 && outsider.errors().contains("outsider"), "{}", outsider.errors());

    let session = wait_for("the session is listed", MINUTE, || {
        let listed = demo.sallyport("auditor", &["sessions", "list", "--json"]).ok();
        let all: Vec<serde_json::Value> = serde_json::from_slice(&listed.out).expect("an array");
        all.into_iter().find(|s| !s["closed_at"].is_null())
    });
    assert!(
        demo.sallyport("auditor", &["replay", session["id"].as_str().expect("an id"), "--speed", "1000"])
            .ok()
            .text()
            .contains("show version")
    );
    let recording = Path::new(session["recording"].as_str().expect("a path"));
    let recording =
        if recording.is_absolute() { recording.to_owned() } else { demo.dir.join("data/recordings").join(recording) };
    let verify = || {
        run(Command::new(SALLYPORT).arg("verify").arg(&recording).arg(demo.dir.join("data/audit")), Vec::new(), MINUTE)
    };
    assert_eq!(verify().code(), 0, "{}", verify().text());
    let mut bytes = fs::read(&recording).expect("a recording");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&recording, bytes).expect("a file");
    assert_eq!(verify().code(), 1, "a flipped byte is found: {}", verify().text());
}

#[test]
fn the_demo_can_end_by_itself() {
    let scratch = scratch();
    let dir = scratch.path().join("demo");
    let ran =
        run(Command::new(SALLYPORT).args(["demo", "--exit-after-ready", "--dir"]).arg(&dir), Vec::new(), MINUTE).ok();
    assert!(ran.text().lines().any(|l| l.starts_with("ready")), "{}", ran.text());
    // And again in the same folder: a demo is started more than once.
    run(Command::new(SALLYPORT).args(["demo", "--exit-after-ready", "--dir"]).arg(&dir), Vec::new(), MINUTE).ok();
}

#[test]
fn netmiko_drives_the_lab_router() {
    need!("python:clients");
    let demo = Demo::start();
    let ssh = demo.ssh("senior-engineer", "core-rtr-1");
    let settings = run(ssh.command("ssh").args(["-G", "core-rtr-1"]), Vec::new(), MINUTE).ok().text();
    let setting = |name: &str| {
        settings
            .lines()
            .find_map(|l| l.strip_prefix(&format!("{name} ")))
            .unwrap_or_else(|| panic!("{name}: {settings}"))
            .to_owned()
    };
    let proxy = setting("proxycommand").replace("%h", "core-rtr-1").replace("%p", "22").replace("%n", "core-rtr-1");
    let identity = demo.dir.join("identities/senior-engineer");
    let known = demo.dir.join("netmiko.known_hosts");
    crate::clients::known_hosts(&identity, &known, &["router"]);
    let mut command = Command::new(venv("clients", "python"));
    command.arg(data("netmiko_show.py")).arg(proxy).arg("admin").arg(identity.join("ssh_key")).arg(known);
    let ran = run(command.args(["cisco_ios", "show version", "show ip interface brief"]), Vec::new(), 2 * MINUTE).ok();
    assert!(ran.text().contains("core-rtr-1") && ran.text().to_lowercase().contains("version"), "{}", ran.text());
}
