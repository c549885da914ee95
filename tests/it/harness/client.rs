//! Plain clients: the same command run directly and through the gateway.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::element::Sshd;
use super::{account, wait_for};

/// How a client ended and what it printed.
pub struct Ran {
    /// Its status.
    pub status: ExitStatus,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub err: Vec<u8>,
}

impl Ran {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Standard error as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }

    /// Output and errors as text.
    pub fn all(&self) -> String {
        format!("{}{}", self.text(), self.errors())
    }

    /// Its exit code; 1000 and its signal when one ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 1000 + self.status.signal().unwrap_or(0))
    }

    /// Itself, having failed the test unless it succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{}\n--- out\n{}\n--- err\n{}", self.status, self.text(), self.errors());
        self
    }

    /// What a comparison looks at: code, standard output, standard error.
    pub fn facts(&self) -> (i32, String, String) {
        let out = if self.out.len() > 4096 {
            format!("{} bytes, {}", self.out.len(), digest(&self.out))
        } else {
            self.text()
        };
        (self.code(), out, self.errors())
    }
}

/// SHA-256 in hexadecimal.
pub fn digest(data: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data).as_ref())
}

/// Runs a client with `input` on its standard input; kills it and fails when it takes longer than `within`.
#[track_caller]
pub fn run(command: &mut Command, input: Vec<u8>, within: Duration) -> Ran {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|e| panic!("{shown}: {e}"));
    let mut stdin = child.stdin.take().expect("piped");
    let (mut stdout, mut stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let feed = std::thread::spawn(move || {
        // A client that ends before it read everything is judged by its status, not here.
        let _closed = stdin.write_all(&input);
    });
    let out = std::thread::spawn(move || read_all(&mut stdout));
    let err = std::thread::spawn(move || read_all(&mut stderr));
    let deadline = std::time::Instant::now() + within;
    let status = loop {
        match child.try_wait().expect("our own child") {
            Some(status) => break status,
            None if std::time::Instant::now() > deadline => {
                // Its whole group: what it started would keep its output open.
                super::must(Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]));
                child.wait().expect("our own child");
                let text = |t: std::thread::JoinHandle<Vec<u8>>| {
                    String::from_utf8_lossy(&t.join().expect("a reader")).into_owned()
                };
                panic!("still running after {within:?}: {shown}\n--- out\n{}\n--- err\n{}", text(out), text(err));
            }
            None => std::thread::park_timeout(Duration::from_millis(5)),
        }
    };
    let (out, err) = (out.join().expect("a reader"), err.join().expect("a reader"));
    feed.join().expect("a writer");
    Ran { status, out, err }
}

fn read_all(from: &mut dyn Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).expect("a pipe");
    all
}

/// A minute: for anything that is not a bulk transfer.
pub const MINUTE: Duration = Duration::from_secs(60);

/// One way of reaching one element with OpenSSH: a client configuration and the name to use with it.
#[derive(Clone)]
pub struct Ssh {
    /// The client configuration.
    pub config: PathBuf,
    /// The name of the element in it.
    pub host: String,
}

impl Ssh {
    /// Straight to an SSH server, with the key it accepts.
    pub fn direct(sshd: &Sshd) -> Self {
        Self::to(&sshd.dir, sshd.port, &sshd.host_key())
    }

    /// Straight to whatever listens on `port`, with `dir/client_key`.
    pub fn to(dir: &Path, port: u16, host_key: &str) -> Self {
        let config = dir.join("direct.conf");
        let known = dir.join("direct.known_hosts");
        fs::write(&known, format!("[127.0.0.1]:{port} {host_key}\n")).expect("a file");
        let text = format!(
            "Host element\n  HostName 127.0.0.1\n  Port {port}\n  User {}\n  IdentityFile {}/client_key\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {}\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n",
            account(),
            dir.display(),
            known.display()
        );
        fs::write(&config, text).expect("a file");
        Self { config, host: "element".to_owned() }
    }

    /// A program of the OpenSSH family with this configuration: `ssh`, `scp`, `sftp`.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Quiet, so that what is compared is the command's own output.
        command.arg("-F").arg(&self.config).args(["-o", "LogLevel=ERROR"]);
        command
    }

    /// `ssh HOST ARGS…` with nothing on standard input.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.feed(&[], args, Vec::new())
    }

    /// `ssh OPTIONS… HOST ARGS…` with `input`.
    pub fn feed(&self, options: &[&str], args: &[&str], input: Vec<u8>) -> Ran {
        run(self.command("ssh").args(options).arg(&self.host).args(args), input, 5 * MINUTE)
    }

    /// A shell script in which `$SSH` is `ssh -F CONFIG`, `$SCP`, `$SFTP` likewise, `$HOST` the element and `$D` a scratch folder.
    pub fn script(&self, scratch: &Path, script: &str) -> Ran {
        let config = self.config.display();
        let mut command = Command::new("bash");
        command.args(["-euc", script]).current_dir(scratch);
        for (name, program) in [("SSH", "ssh"), ("SCP", "scp"), ("SFTP", "sftp")] {
            command.env(name, format!("{program} -F {config} -o LogLevel=ERROR"));
        }
        command
            .env("HOST", &self.host)
            .env("D", scratch)
            .env("RSYNC_RSH", format!("ssh -F {config} -o LogLevel=ERROR"));
        run(&mut command, Vec::new(), 10 * MINUTE)
    }
}

/// The same element, directly and through the gateway.
pub struct Pair {
    /// Without the gateway.
    pub direct: Ssh,
    /// Through it.
    pub gateway: Ssh,
}

impl Pair {
    /// Runs `ssh OPTIONS HOST COMMAND` both ways and compares code, output and errors; gives the direct one's.
    #[track_caller]
    pub fn same(&self, options: &[&str], command: &[&str], input: &[u8]) -> Ran {
        let direct = self.direct.feed(options, command, input.to_vec());
        let through = self.gateway.feed(options, command, input.to_vec());
        assert_eq!(
            through.facts(),
            direct.facts(),
            "ssh {options:?} HOST {command:?}: through the gateway (left), direct (right)"
        );
        direct
    }

    /// Runs a script both ways (see [`Ssh::script`]) and compares; gives the direct one's.
    ///
    /// Folder names are not compared: both ways work in their own.
    #[track_caller]
    pub fn same_script(&self, scratch: &Path, script: &str) -> Ran {
        let ran: Vec<_> = [("direct", &self.direct), ("gateway", &self.gateway)]
            .into_iter()
            .map(|(name, ssh)| {
                let dir = scratch.join(name);
                fs::create_dir_all(&dir).expect("a folder");
                let mut ran = ssh.script(&dir, script);
                ran.out = ran.text().replace(&*dir.to_string_lossy(), "$D").into_bytes();
                ran.err = ran.errors().replace(&*dir.to_string_lossy(), "$D").into_bytes();
                ran
            })
            .collect();
        let [direct, through]: [Ran; 2] = ran.try_into().unwrap_or_else(|_| unreachable!("two were run"));
        assert_eq!(through.facts(), direct.facts(), "through the gateway (left), direct (right), of:\n{script}");
        direct
    }
}

/// A client that keeps running: its output is read while it does.
pub struct Live {
    /// The client.
    pub process: super::process::Process,
}

impl Live {
    /// Starts `ssh OPTIONS HOST COMMAND` and waits until its output holds `greeting`.
    #[track_caller]
    pub fn start(ssh: &Ssh, dir: &Path, name: &str, options: &[&str], command: &str, greeting: &str) -> Self {
        Self::try_start(ssh, dir, name, options, command, greeting)
            .unwrap_or_else(|| panic!("`{name}` ended before it said `{greeting}`; see what it told"))
    }

    /// The same; nothing when it ends before.
    #[track_caller]
    pub fn try_start(
        ssh: &Ssh,
        dir: &Path,
        name: &str,
        options: &[&str],
        command: &str,
        greeting: &str,
    ) -> Option<Self> {
        let mut client = ssh.command("ssh");
        client.args(options).arg(&ssh.host).arg(command);
        Self::try_of(client, dir, name, greeting)
    }

    /// Starts any client and waits until its output holds `greeting`.
    #[track_caller]
    pub fn of(client: Command, dir: &Path, name: &str, greeting: &str) -> Self {
        Self::try_of(client, dir, name, greeting)
            .unwrap_or_else(|| panic!("`{name}` ended before it said `{greeting}`; see what it told"))
    }

    #[track_caller]
    fn try_of(mut client: Command, dir: &Path, name: &str, greeting: &str) -> Option<Self> {
        let mut process = super::process::Process::start(dir, name, &mut client);
        let greeted = wait_for(&format!("`{name}` says `{greeting}`, or ends"), MINUTE, || {
            // In this order: what it said before it ended counts.
            let running = process.running();
            let greeted = process.out().contains(greeting);
            (greeted || !running).then_some(greeted)
        });
        if !greeted {
            eprintln!("{name} told:\n{}", process.all());
        }
        greeted.then_some(Self { process })
    }

    /// How long it took to end, from now on.
    #[track_caller]
    pub fn ends_within(&mut self, within: Duration) -> Duration {
        let begun = std::time::Instant::now();
        wait_for("the session ends", within, || (!self.process.running()).then_some(()));
        begun.elapsed()
    }
}
