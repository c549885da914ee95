//! A real gateway: its own folder made by `ca init`, its own policies and inventory, started by `serve --config`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::client::{MINUTE, Ran, Ssh, run};
use super::element::Sshd;
use super::process::Process;
use super::{SOON, must, scratch, wait_for};

/// The program under test.
pub const SALLYPORT: &str = env!("CARGO_BIN_EXE_sallyport");

/// The domain under which elements are reached: what `ca init` makes of the trust domain.
pub const DOMAIN: &str = "sallyport.carrier.example";

/// The folder of a gateway before it is started: authority, identities, inventory and policy.
pub struct Site {
    dir: tempfile::TempDir,
    elements: Vec<String>,
    rows: Vec<String>,
}

impl Site {
    /// A new authority with both doors on port 0, metrics on port 0 and an identity `ada` who may do nothing yet.
    pub fn new() -> Self {
        let dir = scratch();
        let root = dir.path().join("gw");
        must(Command::new(SALLYPORT).args(["ca", "init"]).arg(&root).args(["--trust-domain", "carrier.example"]));
        let site = Self { dir, elements: Vec::new(), rows: Vec::new() };
        site.configure("doors.mtls", "listen", "127.0.0.1:0");
        site.configure("doors.ssh", "listen", "127.0.0.1:0");
        site.configure("metrics", "listen", "127.0.0.1:0");
        site.issue("ada", &[]);
        site
    }

    /// The folder: `sallyport.toml`, `ca/`, `policies/`, `data/`.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("gw")
    }

    /// A folder for whatever the test needs besides.
    pub fn scratch(&self) -> PathBuf {
        let dir = self.dir.path().join("t");
        fs::create_dir_all(&dir).expect("a folder");
        dir
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path().join("sallyport.toml")
    }

    /// The public key of the authority that elements trust for the gateway's logins.
    pub fn element_ca(&self) -> PathBuf {
        self.path().join("ca/ssh_element_ca.pub")
    }

    /// The folder of an identity.
    pub fn identity(&self, name: &str) -> PathBuf {
        self.path().join("identities").join(name)
    }

    /// Issues the identity `name`; `options` as `ca issue` takes them.
    pub fn issue(&self, name: &str, options: &[&str]) -> PathBuf {
        must(Command::new(SALLYPORT).args(["ca", "issue"]).arg(self.path()).args(["user", name]).args(options));
        self.identity(name)
    }

    /// Sets one key of `[section]` in the configuration.
    pub fn configure(&self, section: &str, key: &str, value: impl Into<toml::Value>) {
        let text = fs::read_to_string(self.config()).expect("written by ca init");
        let mut root: toml::Table = text.parse().expect("ca init writes TOML");
        let mut table = &mut root;
        for part in section.split('.') {
            table = table
                .entry(part)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                .as_table_mut()
                .expect("a section");
        }
        table.insert(key.to_owned(), value.into());
        fs::write(self.config(), root.to_string()).expect("a file");
    }

    /// Adds an SSH server to the inventory; it must trust [`Site::element_ca`]. `extra` are further lines of its table.
    pub fn element(&mut self, name: &str, sshd: &Sshd, extra: &str) {
        self.listener(
            name,
            sshd.port,
            &sshd.host_key(),
            &format!("credential = {{ kind = \"certificate\" }}\n{extra}"),
        );
    }

    /// Adds anything that speaks SSH on a port of loopback. `lines` are further lines of its table, the credential among them.
    pub fn listener(&mut self, name: &str, port: u16, host_key: &str, lines: &str) {
        let account = super::account();
        self.elements.push(format!(
            "[[element]]\nname = \"{name}\"\naddresses = [\"127.0.0.1:{port}\"]\nplatform = \"linux\"\nclass = \"linux-host\"\nvendor = \"test\"\n\
             site = \"lab\"\naccount = \"{account}\"\nhost_keys = [\"{host_key}\"]\nprotocols = [\"ssh\", \"netconf\"]\nsessions_max = 1000\n{lines}\n"
        ));
    }

    /// Adds a crypto profile or anything else to the inventory, before the elements.
    pub fn inventory(&mut self, text: &str) {
        self.elements.insert(0, text.to_owned());
    }

    /// Writes `to` wherever the elements so far have `from`.
    pub fn edit_inventory(&mut self, from: &str, to: &str) {
        for element in &mut self.elements {
            *element = element.replace(from, to);
        }
    }

    /// Adds a policy row, as it stands in `policy.csv`.
    pub fn row(&mut self, row: &str) {
        self.rows.push(row.to_owned());
    }

    /// Lets an identity do everything on an element, forwarding apart, and read what the gateway knows.
    pub fn grant(&mut self, who: &str, element: &str) {
        for (verb, object) in
            [("ssh.raw-shell", "-"), ("ssh.exec", "class:any-command"), ("file.*", "**"), ("ssh.subsystem", "*")]
        {
            self.rows.push(format!("p, user:{who}, element:{element}, *, {verb}, {object}, allow"));
        }
        for (verb, object) in [("netconf.session", "-"), ("netconf.get", "/"), ("netconf.subscribe", "*")] {
            self.rows.push(format!("p, user:{who}, element:{element}, *, {verb}, {object}, allow"));
        }
        self.let_read(who);
    }

    /// Lets an identity read and end what the gateway has.
    pub fn let_read(&mut self, who: &str) {
        for verb in ["watch", "terminate", "replay", "export", "audit", "lock"] {
            let row = format!("p, user:{who}, element:gateway, *, gateway.{verb}, *, allow");
            if !self.rows.contains(&row) {
                self.rows.push(row);
            }
        }
    }

    /// Writes inventory and policy as they are now. A running gateway sees the change.
    pub fn write_policies(&self) {
        let dir = self.path().join("policies");
        fs::create_dir_all(&dir).expect("a folder");
        replace(&dir.join("elements.toml"), &self.elements.join("\n"));
        replace(&dir.join("policy.csv"), &(self.rows.join("\n") + "\n"));
        replace(&dir.join("cases.toml"), "");
    }

    /// Replaces the policy rows and writes them.
    pub fn set_rows(&mut self, rows: Vec<String>) {
        self.rows = rows;
        self.write_policies();
    }

    /// The policy rows.
    pub fn current_rows(&self) -> Vec<String> {
        self.rows.clone()
    }

    /// Runs a subcommand with `--config`.
    pub fn sallyport(&self, args: &[&str]) -> Ran {
        run(Command::new(SALLYPORT).args(args).arg("--config").arg(self.config()), Vec::new(), MINUTE)
    }

    /// Runs a subcommand that reads state, as `ada`.
    pub fn as_ada(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(SALLYPORT);
        command.args(args).arg("--config").arg(self.config()).arg("--identity").arg(self.identity("ada"));
        run(&mut command, Vec::new(), MINUTE)
    }

    /// `sessions list --json`, newest last.
    pub fn sessions(&self) -> Vec<serde_json::Value> {
        let listed = self.as_ada(&["sessions", "list", "--json"]).ok();
        let mut all: Vec<serde_json::Value> = serde_json::from_slice(&listed.out).expect("an array");
        all.sort_by_key(|s| s["opened_at"].as_str().unwrap_or_default().to_owned());
        all
    }

    /// The only session there was, once it has closed.
    #[track_caller]
    pub fn closed_session(&self) -> serde_json::Value {
        wait_for("a session is listed as closed", SOON, || {
            let sessions = self.sessions();
            sessions.into_iter().rev().find(|s| !s["closed_at"].is_null())
        })
    }

    /// The path of a session's recording.
    pub fn recording(&self, session: &serde_json::Value) -> PathBuf {
        let path = PathBuf::from(session["recording"].as_str().expect("a path"));
        if path.is_absolute() { path } else { self.path().join("data/recordings").join(path) }
    }

    /// `verify PATHS…`.
    pub fn verify(&self, paths: &[&Path]) -> Ran {
        run(Command::new(SALLYPORT).arg("verify").args(paths), Vec::new(), MINUTE)
    }

    /// Every event of the audit log.
    pub fn events(&self) -> Vec<serde_json::Value> {
        let tail = self.as_ada(&["audit", "export"]).ok();
        tail.text().lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    }

    /// How long after the policy of the last reload took effect the last of the sessions that it ended was over: by the gateway's own log, so that
    /// clients and this test take no part in it.
    #[track_caller]
    pub fn ended_after_policy(&self) -> Duration {
        use time::OffsetDateTime;
        use time::format_description::well_known::Rfc3339;
        let events = self.events();
        let at = |event: &serde_json::Value| {
            OffsetDateTime::parse(event["at"].as_str().expect("a moment"), &Rfc3339).expect("RFC 3339")
        };
        let loaded = events.iter().rfind(|e| e["event"]["event"] == "policy-loaded").expect("it was loaded");
        let ended = events
            .iter()
            .rfind(|e| e["event"]["event"] == "session-closed" && e["event"]["outcome"] == "policy-denies");
        (at(ended.expect("one was ended")) - at(loaded)).unsigned_abs()
    }

    /// Starts the gateway.
    pub fn start(&self) -> Gateway {
        self.write_policies();
        self.restart(&[])
    }

    /// Starts the gateway with what is on disk, behind `wrapper` (such as `strace …`).
    pub fn restart(&self, wrapper: &[&str]) -> Gateway {
        let mut command = match wrapper {
            [] => Command::new(SALLYPORT),
            [program, args @ ..] => {
                let mut command = Command::new(program);
                command.args(args).arg(SALLYPORT);
                command
            }
        };
        command.arg("serve").arg("--config").arg(self.config());
        let mut process = Process::start(&self.scratch(), "gateway", &mut command);
        let mut port = |door: &str| {
            process.tells(&format!("its {door} door"), MINUTE, |out| {
                out.lines()
                    .find_map(|l| l.strip_prefix(&format!("listening {door} 127.0.0.1:"))?.trim().parse::<u16>().ok())
            })
        };
        let (mtls, ssh, metrics) = (port("mtls"), port("ssh"), port("metrics"));
        Gateway { process, mtls, ssh, metrics, site: self.path(), scratch: self.scratch() }
    }
}

/// Replaces a file in one step, as an editor does.
pub fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new~");
    fs::write(&new, text).expect("a file");
    fs::rename(&new, file).expect("the same folder");
}

/// A running gateway.
pub struct Gateway {
    /// The process; `strace` when it runs behind one.
    pub process: Process,
    /// The port of the mTLS door.
    pub mtls: u16,
    /// The port of the SSH door.
    pub ssh: u16,
    /// The port of metrics, health and readiness.
    pub metrics: u16,
    site: PathBuf,
    scratch: PathBuf,
}

impl Gateway {
    /// The mTLS door as `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.mtls)
    }

    /// The way to `element` as `identity`: the block that `ssh-config` prints, used as it is.
    pub fn client(&self, identity: &str, element: &str) -> Ssh {
        let identity_dir = self.site.join("identities").join(identity);
        let block = must(Command::new(SALLYPORT).args(["ssh-config", "--identity"]).arg(&identity_dir).args([
            "--host",
            "*",
            "--gateway",
            &self.address(),
        ]));
        let config = self.scratch.join(format!("{identity}.ssh_config"));
        fs::write(&config, block).expect("a file");
        Ssh { config, host: element.to_owned() }
    }

    /// The way to `element` by plain `openssl s_client`, with everything written out.
    pub fn openssl_client(&self, identity: &str, element: &str) -> Ssh {
        let (site, port) = (self.site.display(), self.mtls);
        let id = format!("{site}/identities/{identity}");
        let known = self.scratch.join("openssl.known_hosts");
        fs::write(
            &known,
            format!("@cert-authority * {}\n", super::element::public_key(&self.site.join("ca/ssh_host_ca.pub"))),
        )
        .expect("a file");
        let config = self.scratch.join(format!("{identity}.openssl_config"));
        let text = format!(
            "Host *\n  User {}\n  IdentityFile {id}/ssh_key\n  CertificateFile {id}/ssh_key-cert.pub\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
             StrictHostKeyChecking yes\n  LogLevel ERROR\n  ProxyCommand openssl s_client -quiet -verify_quiet -alpn ssh -servername \
             %h.{DOMAIN} -connect 127.0.0.1:{port} -cert {id}/cert.pem -key {id}/key.pem -CAfile {site}/ca/x509_ca.pem -verify_return_error\n",
            super::account(),
            known.display()
        );
        fs::write(&config, text).expect("a file");
        Ssh { config, host: element.to_owned() }
    }

    /// The way in by the SSH door: `Host element` with `ProxyJump`, or `direct` for the `account@element` form of user names.
    pub fn ssh_door(&self, identity: &str, element: &str, account_at_element: bool) -> Ssh {
        let site = self.site.display();
        let id = format!("{site}/identities/{identity}");
        let known = self.scratch.join("door.known_hosts");
        fs::write(
            &known,
            format!("@cert-authority * {}\n", super::element::public_key(&self.site.join("ca/ssh_host_ca.pub"))),
        )
        .expect("a file");
        let common = format!(
            "  IdentityFile {id}/ssh_key\n  CertificateFile {id}/ssh_key-cert.pub\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
             StrictHostKeyChecking yes\n  LogLevel ERROR\n",
            known.display()
        );
        let door = format!("HostName 127.0.0.1\n  Port {}\n  HostKeyAlias {DOMAIN}\n{common}", self.ssh);
        let account = super::account();
        let (name, text) = if account_at_element {
            ("at", format!("Host {element}\n  User {account}@{element}\n  {door}"))
        } else {
            (
                "jump",
                format!(
                    "Host gateway\n  User {identity}\n  {door}Host {element}\n  User {account}\n  ProxyJump gateway\n{common}"
                ),
            )
        };
        let config = self.scratch.join(format!("{identity}.{name}.ssh_config"));
        fs::write(&config, text).expect("a file");
        Ssh { config, host: element.to_owned() }
    }

    /// `GET path` on the metrics port: status line and body.
    pub fn http(&self, path: &str) -> (String, String) {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.metrics)).expect("the metrics port");
        stream.set_read_timeout(Some(SOON)).expect("a socket");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").expect("a socket");
        let mut all = String::new();
        stream.read_to_string(&mut all).expect("an answer");
        let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
        (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
    }

    /// Resident memory in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
    }

    /// The most memory that was ever resident, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self, within: Duration) -> std::process::ExitStatus {
        self.process.signal("TERM");
        self.process.ended(within)
    }
}
