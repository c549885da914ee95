//! What a new user does: `make demo`, then the printed lines in another terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::client::{MINUTE, Ran, Ssh, run};
use crate::harness::gateway::SALLYPORT;
use crate::harness::process::Process;
use crate::harness::{data, must, need, scratch, venv, wait_for};

/// The demo as `make demo` starts it, in a folder that stands for the repository.
pub struct Demo {
    process: Process,
    /// Where it was started.
    pub root: PathBuf,
    /// Its folder.
    pub dir: PathBuf,
    _scratch: tempfile::TempDir,
}

impl Demo {
    /// Starts it.
    pub fn start() -> Self {
        let scratch = scratch();
        let root = scratch.path().to_owned();
        let mut command = Command::new(SALLYPORT);
        let mut process = Process::start(&root, "demo", command.args(make_demo()).current_dir(&root));
        process.tells("that it is ready", MINUTE, |out| out.lines().any(|l| l.starts_with("ready")).then_some(()));
        let dir = root.join("certs-dev/demo");
        Self { process, root, dir, _scratch: scratch }
    }

    /// How `identity` reaches an element by SSH.
    pub fn ssh(&self, identity: &str, element: &str) -> Ssh {
        Ssh { config: self.dir.join("identities").join(identity).join("ssh_config"), host: element.to_owned() }
    }

    /// What it printed to be typed: what each line is for, and the line.
    fn printed(&self) -> Vec<(String, String)> {
        let out = self.process.out();
        let pairs = out.lines().filter_map(|l| l.strip_prefix("  ")?.split_once("  "));
        pairs.map(|(what, line)| (what.to_owned(), line.trim_start().to_owned())).collect()
    }

    /// In another terminal, in the same folder: the line as it was printed.
    fn type_in(&self, line: &str) -> Ran {
        run(Command::new("sh").args(["-c", line]).current_dir(&self.root), Vec::new(), MINUTE)
    }

    /// The same, with somebody at the keyboard who waits for the router's prompt before each line.
    fn at_the_keyboard(&self, line: &str, router: &str, typed: &[&str]) -> Ran {
        let script = self.root.join("type.exp");
        let prompt = format!("expect {{\n  -re {{\r\n{router}[^\r\n]*[>#]$}} {{}}\n  timeout {{ exit 124 }}\n}}\n");
        let lines: String = typed.iter().map(|line| format!("{prompt}send -- \"{line}\\r\"\n")).collect();
        let text = format!(
            "set timeout 40\nspawn -noecho sh -c [lindex $argv 0]\n{lines}expect eof\ncatch wait result\nexit [lindex $result 3]\n"
        );
        fs::write(&script, text).expect("a file");
        run(Command::new("expect").arg("-f").arg(&script).arg(line).current_dir(&self.root), Vec::new(), 2 * MINUTE)
    }

    /// The closed sessions, as the auditor's list has them.
    fn sessions(&self, list: &str) -> Vec<serde_json::Value> {
        let listed = self.type_in(&format!("{list} --json")).ok();
        let mut all: Vec<serde_json::Value> = serde_json::from_slice(&listed.out).expect("an array");
        all.retain(|s| !s["closed_at"].is_null());
        all
    }
}

/// What `make demo` gives to the program.
fn make_demo() -> Vec<String> {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "-n", "demo"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    // As a person types it, also where the tests themselves were begun by make.
    for inherited in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"] {
        make.env_remove(inherited);
    }
    let make = must(&mut make);
    let line = make.lines().last().expect("a command").to_owned();
    let (program, arguments) = line.split_once(' ').expect("arguments");
    assert!(program.ends_with("release/sallyport"), "{line}");
    arguments.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn every_line_that_the_demo_prints_does_what_it_says() {
    need!("ssh", "expect", "curl", "make");
    let demo = Demo::start();
    let printed = demo.printed();
    let line = |what: &str| {
        printed.iter().find(|(own, _)| own == what).map(|(_, line)| line.clone()).unwrap_or_else(|| {
            panic!("the demo does not print `{what}`:\n{}", demo.process.out());
        })
    };
    let list = line("what happened");
    for (what, line) in &printed {
        match what.as_str() {
            "a session on a router" => {
                let ran = demo.at_the_keyboard(line, "core-rtr-1", &["show version", "exit"]);
                assert_eq!(ran.code(), 0, "{}", ran.all());
                assert!(ran.text().contains("uptime is") && !ran.text().contains("assword"), "{}", ran.all());
            }
            "one command" => {
                let ran = demo.type_in(line).ok();
                assert!(ran.text().contains("Interface") && ran.text().contains("Loopback0"), "{}", ran.all());
            }
            "a change, by a senior engineer" => {
                let typed = [
                    "configure terminal",
                    "interface Loopback0",
                    "description from-the-demo",
                    "end",
                    "show running-config interface Loopback0",
                    "exit",
                ];
                let ran = demo.at_the_keyboard(line, "core-rtr-2", &typed);
                assert!(ran.code() == 0 && ran.text().contains("\n description from-the-demo"), "{}", ran.all());
            }
            "a command that policy denies" | "nobody without a role gets in" => {
                let ran = demo.type_in(line);
                let who = if what.starts_with("nobody") { "outsider" } else { "noc-engineer" };
                assert_ne!(ran.code(), 0, "{}", ran.all());
                assert_eq!(ran.text(), "", "nothing of the router is seen");
                for said in [format!("is not allowed for {who}"), "Ask the network security desk".to_owned()] {
                    assert!(ran.errors().contains(&said), "`{said}` is not in: {}", ran.errors());
                }
            }
            "NETCONF, looking" => {
                let text = demo.type_in(line).ok().text();
                // What may not be read is not there: accounts, and what the system is configured to be.
                assert!(text.contains("<oper-status>UP</oper-status>") && !text.contains("<aaa>"), "{text}");
                assert!(text.contains("<boot-time>") && !text.contains("<login-banner>"), "{text}");
            }
            "NETCONF, a change" => {
                let ran = demo.type_in(line).ok();
                assert!(!ran.text().contains("rpc-error") && ran.text().contains("<ok/>"), "{}", ran.all());
                described(&demo, "changed by NETCONF");
            }
            "RESTCONF, a change" => {
                demo.type_in(line).ok();
                described(&demo, "changed by RESTCONF");
            }
            "gNMI, following" => {
                let text = demo.type_in(line).ok().text();
                let path = "/interfaces/interface[name=Loopback0]";
                assert!(text.contains(&format!("{path}/state/oper-status  UP\n")), "{text}");
            }
            "gNMI, a change" => {
                let text = demo.type_in(line).ok().text();
                assert_eq!(text, "updated  /interfaces/interface[name=Loopback0]/config/description\n");
                described(&demo, "changed by gNMI");
            }
            "NETCONF, denied" | "RESTCONF, denied" | "gNMI, denied" => {
                let ran = demo.type_in(line);
                let text = ran.all();
                // An rpc-error is an answer to ssh, 403 is 22 to curl, and 3 is ours.
                let (code, said) = match what.split(',').next() {
                    Some("NETCONF") => (0, "access-denied"),
                    Some("RESTCONF") => (22, "access-denied"),
                    _ => (3, "sallyport: gnmi.update"),
                };
                assert!(ran.code() == code && text.contains(said) && !text.contains("\\'"), "{text}");
                for said in
                    ["[username='backdoor']", "is not allowed for senior-engineer", "Ask the network security desk"]
                {
                    assert!(text.contains(said), "`{said}` is not in: {text}");
                }
                let shown = demo.ssh("senior-engineer", "core-rtr-1").run(&["show running-config"]).ok().text();
                assert!(shown.contains("username admin") && !shown.contains("backdoor"), "{shown}");
            }
            "what happened" => {
                // One for each of the sessions above, and for each look at what came of it.
                let sessions = wait_for("all sessions are closed", MINUTE, || {
                    let sessions = demo.sessions(line);
                    let of = |protocol: &str| sessions.iter().filter(|s| s["protocol"] == protocol).count();
                    (of("restconf") == 1 && of("gnmi") == 2 && of("ssh") == 12).then_some(sessions)
                });
                what_changed_is_told(&demo, &sessions);
                let text = demo.type_in(line).ok().text();
                for session in &sessions {
                    let id = session["id"].as_str().expect("an id");
                    assert!(text.contains(id), "{id} is not in: {text}");
                }
            }
            "watch one again, by its ID" => {
                let session = &demo.sessions(&list)[0];
                let line = line.replace(" ID ", &format!(" {} ", session["id"].as_str().expect("an id")));
                let seen = demo.type_in(&format!("{line} --speed 1000")).ok().text();
                assert!(seen.contains("show version") && seen.contains("uptime is"), "{seen}");
            }
            "prove that nothing was changed" => a_flipped_byte_is_found(&demo, line, &list),
            "who may do what" => {
                let file = line.split_whitespace().next().expect("a file");
                let rows = fs::read_to_string(demo.root.join(file)).expect("the policy");
                assert!(rows.contains("role:noc"), "{rows}");
            }
            "test it before it is in force" => {
                assert!(demo.type_in(line).ok().text().contains("cases hold"));
            }
            other => panic!("the demo prints `{other}`: say here what it does, and check it"),
        }
    }
    let whats: Vec<&str> = printed.iter().map(|(what, _)| what.as_str()).collect();
    for what in
        ["a session on a router", "nobody without a role gets in", "what happened", "watch one again, by its ID"]
    {
        assert!(whats.contains(&what), "{what} is not printed, only {whats:?}");
    }
}

/// The description that the command line shows.
#[track_caller]
fn described(demo: &Demo, expected: &str) {
    let show = "show running-config interface Loopback0";
    let shown = demo.ssh("senior-engineer", "core-rtr-1").run(&[show]).ok().text();
    assert!(shown.contains(&format!("\n description {expected}\r")), "{shown}");
}

/// The auditor reads what was changed, how it was before, and by which row.
fn what_changed_is_told(demo: &Demo, sessions: &[serde_json::Value]) {
    let show = |session: &serde_json::Value| {
        let line = format!("{SALLYPORT} sessions show {} ", session["id"].as_str().expect("an id"));
        demo.type_in(&format!(
            "{line} --config {0}/sallyport.toml --identity {0}/identities/auditor",
            demo.dir.display()
        ))
        .ok()
        .text()
    };
    let shown: String = sessions.iter().map(show).collect();
    let path = "/openconfig-interfaces:interfaces/interface[name='Loopback0']/config/description";
    for told in [
        format!("- {path} = router id"),
        format!("+ {path} = changed by NETCONF"),
        format!("allow netconf.merge running:{path}"),
        "DENY  netconf.merge running:/openconfig-system:system/aaa/".to_owned(),
        format!("restconf.patch running:{path}"),
        "allow open gnmi.update running:/interfaces/interface[name='Loopback0']/config/description".to_owned(),
    ] {
        assert!(shown.contains(&told), "`{told}` is not in: {shown}");
    }
}

/// `verify` as printed says that all is intact; after one bit of one recording, it names that recording and the place, and nothing else.
fn a_flipped_byte_is_found(demo: &Demo, verify: &str, list: &str) {
    let whole = demo.type_in(verify).ok().text();
    assert!(whole.lines().any(|l| l.starts_with("intact ")), "{whole}");
    for session in demo.sessions(list) {
        let file = demo.dir.join("data/recordings").join(session["recording"].as_str().expect("a path"));
        let good = fs::read(&file).expect("a recording");
        let at = good.len() / 2;
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, bad).expect("a file");
        let ran = demo.type_in(verify);
        assert_eq!(ran.code(), 1, "a flipped byte is found: {}", ran.all());
        let text = ran.text();
        let lines: Vec<_> = text.lines().collect();
        let faults: Vec<_> = (0..lines.len()).filter(|n| lines[*n].trim_start().starts_with("FAULT ")).collect();
        let [fault] = faults[..] else { panic!("one fault, not {}:\n{text}", faults.len()) };
        let name = file.file_name().expect("named").to_string_lossy().into_owned();
        assert!(lines[fault - 1].contains(&name), "{name}:\n{text}");
        let (begin, end) = place(lines[fault]);
        assert!(begin <= at && at < end, "byte {at} was flipped, of {}:\n{text}", good.len());
        fs::write(&file, good).expect("a file");
    }
    demo.type_in(verify).ok();
}

/// From where to where a fault says that something is wrong: to the end of the file, when it does not say.
fn place(fault: &str) -> (usize, usize) {
    let numbers = fault.split("byte ").skip(1).map(|after| {
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().unwrap_or_else(|e| panic!("{e}: {fault}"))
    });
    match numbers.collect::<Vec<_>>()[..] {
        [begin] => (begin, usize::MAX),
        [begin, end] => (begin, end),
        _ => panic!("no place in: {fault}"),
    }
}

#[test]
fn the_readmes_ten_minutes_work_as_they_stand() {
    need!("ssh", "curl", "make");
    let demo = Demo::start();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a file");
    let (_, tour) = readme.split_once("\n## Ten minutes\n").expect("the tour");
    let (tour, _) = tour.split_once("\n## ").expect("its end");
    let program = Path::new(SALLYPORT).parent().expect("a folder").display();
    let (mut before, mut typed) = (format!("PATH={program}:$PATH\n"), 0);
    for line in tour.lines().filter_map(|l| l.strip_prefix("    ")) {
        if line.starts_with("export PATH=") {
            continue;
        }
        if line.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase())) {
            before.push_str(&format!("{line}\n"));
            continue;
        }
        let list =
            format!("{before}sallyport sessions list --config $D/sallyport.toml --identity $D/identities/auditor");
        let line = if line.contains(" ID ") {
            let id = wait_for("a session is closed", MINUTE, || Some(demo.sessions(&list).first()?["id"].clone()));
            line.replace(" ID ", &format!(" {} ", id.as_str().expect("an id")))
        } else {
            line.to_owned()
        };
        let ran = demo.type_in(&format!("{before}{line}"));
        assert_eq!(ran.code() == 0, !line.contains("outsider"), "{line}: {}\n{}", ran.status, ran.all());
        typed += 1;
    }
    assert!(typed > 13, "only {typed} lines of the tour were found");
}

#[test]
fn the_demos_folder_is_as_the_contract_lists_it() {
    need!("make");
    let demo = Demo::start();
    for file in ["sallyport.toml", "policies", "ca", "data/audit", "data/recordings"] {
        assert!(demo.dir.join(file).exists(), "{file}");
    }
    for name in ["noc-engineer", "senior-engineer", "security-editor", "auditor", "vendor", "outsider"] {
        for file in ["cert.pem", "key.pem", "ssh_key", "ssh_key-cert.pub", "ssh_config"] {
            assert!(demo.dir.join("identities").join(name).join(file).exists(), "{name}/{file}");
        }
    }
    // Nothing of it can be committed by mistake.
    let ignored = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.gitignore")).expect("a file");
    assert!(ignored.lines().any(|l| l == "/certs-dev/*"), "{ignored}");
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
    need!("python:clients", "make");
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
