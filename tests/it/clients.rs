//! The clients that engineers have, as they are, through the gateway.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::client::{MINUTE, Ran, run};
use crate::harness::element::Profile;
use crate::harness::gateway::{Gateway, SALLYPORT};
use crate::harness::lab::Lab;
use crate::harness::{account, data, find, must, need, venv};

/// The helper that stands in for a network connection, for clients that take a command.
fn proxy(lab: &Lab, identity: &str, element: &str) -> String {
    proxy_to(&lab.gateway, &lab.site.identity(identity), element)
}

/// See [`proxy`].
pub fn proxy_to(gateway: &Gateway, identity: &Path, element: &str) -> String {
    format!("{SALLYPORT} connect {element} --identity {} --gateway {}", identity.display(), gateway.address())
}

/// The fingerprint of the gateway's host key, which is the same for every element: what an engineer compares or configures.
fn fingerprint(lab: &Lab) -> String {
    let key = lab.site.scratch().join("host_key.pub");
    let line =
        must(Command::new(SALLYPORT).args(["ssh-config", "--known-hosts", "--identity"]).arg(lab.site.identity("ada")));
    fs::write(&key, line.split_once(' ').expect("a name and a key").1).expect("a file");
    let told = must(Command::new("ssh-keygen").arg("-lf").arg(&key));
    told.split_whitespace().nth(1).expect("a fingerprint").to_owned()
}

/// A known_hosts file that names each of `hosts`, as `ssh-config --known-hosts` prints it.
pub fn known_hosts(identity: &Path, file: &Path, hosts: &[&str]) {
    let mut command = Command::new(SALLYPORT);
    command.args(["ssh-config", "--known-hosts", "--identity"]).arg(identity);
    for host in hosts {
        command.args(["--host", host]);
    }
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::write(file, must(&mut command)).expect("a file");
}

/// A program with a home of its own, so that nothing of the person who runs the tests is read or written.
fn at_home(lab: &Lab, program: impl AsRef<std::ffi::OsStr>) -> (Command, PathBuf) {
    let home = lab.site.scratch().join("home");
    fs::create_dir_all(&home).expect("a folder");
    let mut command = Command::new(program);
    command.env("HOME", &home).current_dir(&home);
    (command, home)
}

#[test]
fn openssl_is_enough_of_a_helper() {
    need!("sshd", "openssl");
    let lab = Lab::start();
    let through = lab.gateway.openssl_client("ada", "linux-1");
    let ran = through.run(&["echo out; echo err >&2; exit 3"]);
    assert_eq!(ran.facts(), (3, "out\n".into(), "err\n".into()));
    let bytes = (0..=255).collect::<Vec<u8>>().repeat(4000);
    assert_eq!(through.feed(&[], &["cat"], bytes.clone()).ok().out, bytes);
}

#[test]
fn the_printed_block_asks_nobody_anything() {
    need!("sshd");
    let lab = Lab::start();
    let ssh = &lab.pair.gateway;
    let block = fs::read_to_string(&ssh.config).expect("printed");
    assert!(block.contains("StrictHostKeyChecking yes"), "{block}");
    let (mut command, home) = at_home(&lab, "ssh");
    let ran = run(
        command.arg("-F").arg(&ssh.config).args(["-o", "BatchMode=yes", "linux-1", "echo here"]),
        Vec::new(),
        MINUTE,
    );
    assert_eq!(ran.facts(), (0, "here\n".into(), String::new()));
    assert!(!home.join(".ssh").exists(), "nothing is written to the person's own folder");
}

#[test]
fn another_gateway_is_not_mistaken_for_ours() {
    need!("sshd");
    let (lab, other) = (Lab::start(), Lab::start());
    // Ada's certificate and configuration of one site, led to the door of another.
    let text = fs::read_to_string(&lab.pair.gateway.config).expect("printed");
    let led = text.replace(&lab.gateway.address(), &other.gateway.address());
    assert_ne!(led, text);
    let config = lab.site.scratch().join("led.conf");
    fs::write(&config, led).expect("a file");
    let ran = run(Command::new("ssh").arg("-F").arg(&config).args(["linux-1", "echo reached"]), Vec::new(), MINUTE);
    assert!(ran.code() != 0 && !ran.text().contains("reached"), "{}", ran.errors());
}

#[test]
fn putty_logs_in_and_checks_the_host_key() {
    need!("sshd", "plink");
    let lab = Lab::start();
    let key = fingerprint(&lab);
    let plink = |host_key: Option<&str>, remote: &str| {
        let (mut command, _) = at_home(&lab, "plink");
        command.args(["-ssh", "-batch", "-proxycmd", &proxy(&lab, "ada", "linux-1"), "-l", &account()]);
        if let Some(key) = host_key {
            command.args(["-hostkey", key]);
        }
        run(command.args(["linux-1", remote]), Vec::new(), MINUTE)
    };
    assert_eq!(plink(Some(&key), "echo out; exit 7").facts().0, 7);
    assert_eq!(plink(Some(&key), "echo out").text(), "out\n");
    // Unknown, and another one than the one it was told: PuTTY stops before anything is asked of the gateway.
    assert_ne!(plink(None, "echo out").code(), 0);
    assert_ne!(plink(Some("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "echo out").code(), 0);
}

#[test]
fn putty_copies_files_in_both_protocols() {
    need!("sshd", "psftp", "pscp");
    let lab = Lab::start();
    let key = fingerprint(&lab);
    let content = (0..=255).collect::<Vec<u8>>().repeat(5000);
    for mode in ["-scp", "-sftp"] {
        let (mut command, home) = at_home(&lab, "pscp");
        fs::write(home.join("a"), &content).expect("a file");
        let far = home.join(format!("far{mode}"));
        command.args([
            "-batch",
            "-q",
            mode,
            "-proxycmd",
            &proxy(&lab, "ada", "linux-1"),
            "-hostkey",
            &key,
            "-l",
            &account(),
            "a",
        ]);
        run(command.arg(format!("linux-1:{}", far.display())), Vec::new(), MINUTE).ok();
        assert_eq!(fs::read(&far).expect("copied"), content, "{mode}");
    }
    let (mut command, home) = at_home(&lab, "psftp");
    fs::write(home.join("batch"), format!("cd {0}\nput a b\nmv b c\nget c d\nrm c\nquit\n", home.display()))
        .expect("a file");
    command.args([
        "-batch",
        "-proxycmd",
        &proxy(&lab, "ada", "linux-1"),
        "-hostkey",
        &key,
        "-l",
        &account(),
        "-b",
        "batch",
        "linux-1",
    ]);
    run(&mut command, Vec::new(), MINUTE).ok();
    assert_eq!(fs::read(home.join("d")).expect("fetched"), content);
    assert!(!home.join("c").exists());
}

#[test]
fn dropbear_logs_in() {
    need!("sshd", "dbclient");
    let lab = Lab::start();
    let dbclient = || {
        let (mut command, _) = at_home(&lab, "dbclient");
        command.args(["-T", "-J", &proxy(&lab, "ada", "linux-1"), &format!("{}@linux-1", account()), "cat; exit 6"]);
        run(&mut command, b"through dropbear".to_vec(), MINUTE)
    };
    let (_, home) = at_home(&lab, "dbclient");
    let known = home.join(".ssh/known_hosts");
    known_hosts(&lab.site.identity("ada"), &known, &["linux-1"]);
    let ran = dbclient();
    assert_eq!((ran.code(), ran.text().as_str()), (6, "through dropbear"), "{}", ran.errors());
    // Another key than the known one: it goes no further.
    let other = lab.site.scratch().join("other_key");
    crate::harness::element::keygen(&other, &["-t", "ed25519"]);
    let other = crate::harness::element::public_key(&other.with_extension("pub"));
    fs::write(&known, format!("linux-1 {other}\n")).expect("a file");
    let ran = dbclient();
    assert!(ran.code() != 6 && ran.text().is_empty(), "{}", ran.text());
}

/// Runs one command by Paramiko with `key`, inside the mTLS door as `tls`; 77 when the login is refused.
pub fn paramiko(lab: &Lab, tls: &str, key: &Path) -> Ran {
    let known = lab.site.scratch().join("paramiko.known_hosts");
    known_hosts(&lab.site.identity("ada"), &known, &["linux-1"]);
    paramiko_knowing(lab, tls, key, &known)
}

fn paramiko_knowing(lab: &Lab, tls: &str, key: &Path, known: &Path) -> Ran {
    let mut command = Command::new(venv("clients", "python"));
    command
        .arg(data("paramiko_run.py"))
        .arg(proxy(lab, tls, "linux-1"))
        .arg(account())
        .arg(key)
        .arg(known)
        .arg("echo out; exit 5");
    run(&mut command, Vec::new(), MINUTE)
}

#[test]
fn paramiko_logs_in_with_the_identitys_own_key_only() {
    need!("sshd", "python:clients");
    let lab = Lab::start();
    lab.site.issue("bob", &[]);
    let ada = lab.site.identity("ada").join("ssh_key");
    assert_eq!(paramiko(&lab, "ada", &ada).facts().0, 5);
    // The key alone, without its certificate beside it, is known to be ada's.
    let bare = lab.site.scratch().join("bare_key");
    fs::copy(&ada, &bare).expect("a key");
    assert_eq!(paramiko(&lab, "ada", &bare).facts().0, 5);
    // Bob's, and a key that nobody was issued, are refused over ada's TLS.
    let own = lab.site.scratch().join("own_key");
    crate::harness::element::keygen(&own, &["-t", "ed25519"]);
    for key in [lab.site.identity("bob").join("ssh_key"), own] {
        let ran = paramiko(&lab, "ada", &key);
        assert!(ran.code() != 5 && ran.code() != 0, "{}: {}", key.display(), ran.text());
    }
}

#[test]
fn a_certificate_inside_tls_needs_no_list_of_keys() {
    need!("sshd", "python:clients");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.issue("bob", &[]);
        let config = fs::read_to_string(site.config()).expect("a file");
        let kept = config.lines().filter(|line| !line.starts_with("ssh_identities_file"));
        let kept = kept.collect::<Vec<_>>().join("\n") + "\n";
        assert_ne!(kept, config);
        fs::write(site.config(), kept).expect("a file");
        fs::remove_file(site.path().join("ca/ssh_identities")).expect("it was there");
    });
    // Paramiko never tries `none`: it proves the key of a certificate, which says itself whose it is.
    let ada = lab.site.identity("ada").join("ssh_key");
    assert_eq!(paramiko(&lab, "ada", &ada).facts().0, 5);
    let bare = lab.site.scratch().join("bare_key");
    fs::copy(&ada, &bare).expect("a key");
    for key in [bare, lab.site.identity("bob").join("ssh_key")] {
        let ran = paramiko(&lab, "ada", &key);
        assert!(ran.code() != 5 && ran.code() != 0, "{}: {}", key.display(), ran.text());
    }
}

#[test]
fn a_client_without_certificates_knows_the_host_key_across_restarts() {
    need!("sshd", "python:clients");
    let mut lab = Lab::start();
    let ada = lab.site.identity("ada").join("ssh_key");
    assert_eq!(paramiko(&lab, "ada", &ada).code(), 5);
    let Lab { gateway, site, .. } = lab;
    assert_eq!(gateway.stop(MINUTE).code(), Some(0));
    lab = Lab { gateway: site.restart(&[]), site, ..lab };
    assert_eq!(paramiko(&lab, "ada", &ada).code(), 5, "the same key after a restart");
    // Another key than the known one: the client goes no further. A name that is not listed neither.
    let (known, other) = (lab.site.scratch().join("wrong.known_hosts"), lab.site.scratch().join("other_key"));
    crate::harness::element::keygen(&other, &["-t", "ed25519"]);
    let other = crate::harness::element::public_key(&other.with_extension("pub"));
    for line in [format!("linux-1 {other}\n"), String::new()] {
        fs::write(&known, line).expect("a file");
        let ran = paramiko_knowing(&lab, "ada", &ada, &known);
        assert!(ran.code() == 78 && !ran.text().contains("out"), "{}", ran.all());
    }
}

#[test]
fn netmiko_drives_a_real_router() {
    need!("root", "sshd", "vtysh", "python:clients");
    let lab = Lab::start();
    let frr = crate::harness::element::Frr::start(&lab.site.scratch().join("frr"), Some(&lab.site.element_ca()));
    let mut site = lab.site;
    site.element("core-pe1", &frr.sshd, "");
    site.grant("ada", "core-pe1");
    site.write_policies();
    let direct = run(
        crate::harness::client::Ssh::direct(&frr.sshd).command("ssh").args(["element", "show version"]),
        Vec::new(),
        MINUTE,
    )
    .ok();
    let through = lab.gateway.client("ada", "core-pe1");
    let version = crate::harness::wait_for("the new element is in the inventory", crate::harness::SOON, || {
        let ran = through.run(&["show version"]);
        (ran.code() == 0).then(|| ran.text())
    });
    assert_eq!(version, direct.text());
    assert!(version.contains("FRRouting"), "{version}");
    let known = site.scratch().join("netmiko.known_hosts");
    known_hosts(&site.identity("ada"), &known, &["router"]);
    let mut command = Command::new(venv("clients", "python"));
    command
        .arg(data("netmiko_show.py"))
        .arg(proxy_to(&lab.gateway, &site.identity("ada"), "core-pe1"))
        .arg(account())
        .arg(site.identity("ada").join("ssh_key"))
        .arg(known)
        .args(["cisco_ios", "router bgp 65001;bgp router-id 192.0.2.1", "show running-config"]);
    let ran = run(&mut command, Vec::new(), 2 * MINUTE).ok();
    assert!(ran.text().contains("core-pe1#") && ran.text().contains("bgp router-id 192.0.2.1"), "{}", ran.text());
    // Sent without waiting for the echo of one line before the next; all of it was echoed in the end, and all of it is kept.
    crate::harness::wait_until("its input is on record, line by line", crate::harness::SOON, || {
        let sessions = site.sessions();
        let shell = sessions.iter().find(|s| s["action"].to_string().contains("shell") && !s["closed_at"].is_null());
        shell.is_some_and(|session| {
            let id = session["id"].as_str().expect("an id");
            let jsonl = site.as_ada(&["export", id, "--format", "jsonl"]).ok().text();
            let typed = crate::recording::kept_input(&jsonl);
            typed.contains("router bgp 65001\n")
                && typed.contains("bgp router-id 192.0.2.1\n")
                && typed.contains("show running-config\n")
        })
    });
}

#[test]
fn ansible_runs_commands_and_copies() {
    need!("sshd", "python:ansible", "python3");
    let lab = Lab::start();
    let (_, home) = at_home(&lab, "true");
    fs::write(
        home.join("inventory"),
        format!(
            "linux-1 ansible_user={} ansible_python_interpreter={}\n",
            account(),
            find("python3").expect("asked for").display()
        ),
    )
    .expect("a file");
    fs::write(home.join("a"), "from ansible\n").expect("a file");
    let far = home.join("far");
    let ansible = |transfer: &str, module: &str, args: &str| {
        let (mut command, home) = at_home(&lab, venv("ansible", "ansible"));
        command
            .env(
                "ANSIBLE_SSH_ARGS",
                format!(
                    "-F {} -C -o ControlMaster=auto -o ControlPersist=5 -o ControlPath={}/c-%C",
                    lab.pair.gateway.config.display(),
                    home.display()
                ),
            )
            .env("ANSIBLE_REMOTE_TMP", home.join("remote"))
            .env("ANSIBLE_HOME", home.join("ansible"))
            .env("ANSIBLE_SSH_TRANSFER_METHOD", transfer)
            .env("LC_ALL", "C.UTF-8");
        run(command.args(["-i", "inventory", "all", "-m", module, "-a", args]), Vec::new(), 2 * MINUTE)
    };
    assert!(ansible("sftp", "raw", "echo raw-$((6*7))").ok().text().contains("raw-42"));
    assert!(ansible("sftp", "command", "expr 6 * 7").ok().text().contains("42"));
    for transfer in ["sftp", "scp", "piped"] {
        ansible(transfer, "copy", &format!("src=a dest={}.{transfer}", far.display())).ok();
        assert_eq!(fs::read_to_string(far.with_extension(transfer)).expect("copied"), "from ansible\n");
    }
}

#[test]
fn connect_says_what_is_wrong() {
    need!("sshd");
    let lab = Lab::start();
    let connect = |identity: &Path, gateway: &str| {
        run(
            Command::new(SALLYPORT).args(["connect", "linux-1", "--gateway", gateway, "--identity"]).arg(identity),
            Vec::new(),
            MINUTE,
        )
    };
    let nowhere = connect(&lab.site.identity("ada"), &format!("127.0.0.1:{}", crate::harness::free_port()));
    assert_eq!(nowhere.code(), 4, "{}", nowhere.errors());
    let nobody = connect(Path::new("/nonexistent"), &lab.gateway.address());
    assert_eq!(nobody.code(), 2, "{}", nobody.errors());
    assert!(nobody.errors().contains("/nonexistent"), "{}", nobody.errors());
}
