//! A real NETCONF server behind a real SSH server: Debian's `netconfd` (yuma123), and small ones of our own that misbehave.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use super::client::Ssh;
use super::element::{Profile, Sshd};
use super::gateway::Site;
use super::process::Process;
use super::{SOON, account, find, wait_until};

/// `netconfd` with a candidate, behind an SSH server that has it as its subsystem `netconf`.
pub struct Netconfd {
    /// The SSH server.
    pub sshd: Sshd,
    _server: Process,
}

impl Netconfd {
    /// Starts one in `dir`.
    pub fn start(dir: &Path, trust: Option<&Path>) -> Self {
        fs::create_dir_all(dir).expect("a folder");
        let socket = dir.join("ncx.sock");
        let mut command = Command::new(find("netconfd").expect("the test asked for it"));
        // It writes a backup of its configuration where it runs.
        command.current_dir(dir).env("HOME", dir).args([
            "--module=ietf-system",
            "--module=helloworld",
            "--no-startup",
            "--target=candidate",
        ]);
        command.args(["--port=830", "--log-level=info", "--max-sessions=64"]);
        command.arg(format!("--superuser={}", account())).arg(format!("--ncxserver-sockname={}", socket.display()));
        let server = Process::start(dir, "netconfd", &mut command);
        wait_until("netconfd listens", SOON, || socket.exists());
        let agent = find("netconf-subsystem").expect("it comes with netconfd");
        // The server asks which port the client came to; it may be any, so long as both know it.
        let script = format!(
            "#!/bin/sh\nSSH_CONNECTION='127.0.0.1 1 127.0.0.1 830' exec {} --ncxserver-sockname=830@{}\n",
            agent.display(),
            socket.display()
        );
        Self { sshd: subsystem(dir, trust, &script), _server: server }
    }
}

/// An SSH server in `dir` whose subsystem `netconf` is a program of the tests' data, run by Python.
pub fn scripted(dir: &Path, trust: Option<&Path>, program: &str, args: &[&str]) -> Sshd {
    fs::create_dir_all(dir).expect("a folder");
    let script = format!("#!/bin/sh\nexec python3 {} {}\n", super::data(program).display(), args.join(" "));
    subsystem(dir, trust, &script)
}

fn subsystem(dir: &Path, trust: Option<&Path>, script: &str) -> Sshd {
    use std::os::unix::fs::PermissionsExt as _;
    let file = dir.join("netconf.sh");
    fs::write(&file, script).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("our own file");
    Sshd::start(dir, Profile::Modern, trust, &format!("Subsystem netconf {}", file.display()))
}

/// Everything that NETCONF can ask, as rows for `who` on `element`.
pub fn let_do_everything(site: &mut Site, who: &str, element: &str) {
    let mut row =
        |verb: &str, object: &str| site.row(&format!("p, user:{who}, element:{element}, *, {verb}, {object}, allow"));
    for verb in ["session", "cancel-commit", "discard-changes", "partial-unlock"] {
        row(&format!("netconf.{verb}"), "-");
    }
    for verb in [
        "lock",
        "unlock",
        "commit",
        "validate",
        "copy-config",
        "delete-config",
        "subscribe",
        "kill-session",
        "get-schema",
        "rpc",
    ] {
        row(&format!("netconf.{verb}"), "*");
    }
    row("netconf.commit", "-");
    row("data.read", "/");
    row("data.write", "/");
    row("netconf.partial-lock", "/");
}

/// The namespace of NETCONF.
pub const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

/// A hello of a client that speaks these versions of the base protocol.
pub fn hello(bases: &[&str]) -> String {
    let list: String =
        bases.iter().map(|base| format!("<capability>urn:ietf:params:netconf:base:{base}</capability>")).collect();
    format!("<hello xmlns=\"{BASE}\"><capabilities>{list}</capabilities></hello>")
}

/// An RPC with this message-id.
pub fn rpc(id: &str, inner: &str) -> String {
    format!("<rpc xmlns=\"{BASE}\" message-id=\"{id}\">{inner}</rpc>")
}

/// One chunk that is a whole message.
pub fn chunked(message: &str) -> String {
    format!("\n#{}\n{message}\n##\n", message.len())
}

/// A client that writes its bytes by hand: `ssh -s HOST netconf`.
pub struct Raw {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    buffer: Vec<u8>,
    chunks: bool,
    /// What the server's hello said.
    pub hello: String,
}

impl Raw {
    /// Connects and reads the server's hello.
    #[track_caller]
    pub fn connect(way: &Ssh) -> Self {
        let mut command = way.command("ssh");
        command.args(["-s", &way.host, "netconf"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("ssh runs");
        let mut stdout = child.stdout.take().expect("piped");
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0_u8; 16 << 10];
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        let mut raw = Self { child, input, output, buffer: Vec::new(), chunks: false, hello: String::new() };
        raw.hello = raw.message();
        raw
    }

    /// Connects and says hello with these versions.
    #[track_caller]
    pub fn greet(way: &Ssh, bases: &[&str]) -> Self {
        let mut raw = Self::connect(way);
        raw.send(&format!("{}]]>]]>", hello(bases)));
        raw.chunks = bases.contains(&"1.1") && raw.hello.contains("base:1.1");
        raw
    }

    /// Writes bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &str) {
        let input = self.input.as_mut().expect("not closed");
        // A peer that has closed is judged by what it says, or does not, afterwards.
        let _gone = input.write_all(bytes.as_bytes()).and_then(|()| input.flush());
    }

    /// Sends a message in the framing that was agreed on.
    #[track_caller]
    pub fn say(&mut self, message: &str) {
        self.send(&if self.chunks { chunked(message) } else { format!("{message}]]>]]>") });
    }

    /// The answer to an RPC with this message-id.
    #[track_caller]
    pub fn ask(&mut self, id: &str, inner: &str) -> String {
        self.say(&rpc(id, inner));
        let answer = self.message();
        assert!(answer.contains(&format!("message-id=\"{id}\"")), "{answer}");
        answer
    }

    /// The next message.
    #[track_caller]
    pub fn message(&mut self) -> String {
        self.next().unwrap_or_else(|| panic!("no message; there is {:?}", String::from_utf8_lossy(&self.buffer)))
    }

    /// The next message, or nothing when the server has closed.
    #[track_caller]
    pub fn next(&mut self) -> Option<String> {
        loop {
            if let Some((message, rest)) = self.whole() {
                self.buffer = rest;
                return Some(message);
            }
            match self.output.recv_timeout(SOON) {
                Ok(bytes) => self.buffer.extend_from_slice(&bytes),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("nothing came; there is {:?}", String::from_utf8_lossy(&self.buffer))
                }
            }
        }
    }

    fn whole(&self) -> Option<(String, Vec<u8>)> {
        let find = |from: usize, what: &[u8]| {
            self.buffer.get(from..)?.windows(what.len()).position(|w| w == what).map(|at| from + at)
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !self.chunks {
            let at = find(0, b"]]>]]>")?;
            return Some((text(&self.buffer[..at]).trim_start().to_owned(), self.buffer[at + 6..].to_vec()));
        }
        let (mut at, mut message) = (0, Vec::new());
        loop {
            let line = find(at + 2, b"\n")?;
            assert_eq!(&self.buffer[at..at + 2], b"\n#", "{:?}", text(&self.buffer));
            let size = text(&self.buffer[at + 2..line]);
            if size == "#" {
                return Some((text(&message), self.buffer[line + 1..].to_vec()));
            }
            let size: usize = size.parse().expect("a chunk size");
            message.extend_from_slice(self.buffer.get(line + 1..line + 1 + size)?);
            at = line + 1 + size;
        }
    }

    /// Waits until the server has closed; the client's exit code.
    #[track_caller]
    pub fn ended(&mut self) -> i32 {
        while self.next().is_some() {}
        self.child.wait().expect("our own child").code().unwrap_or(-1)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Losing the race against its own end is fine.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The folder of a site's policies with the models that are shipped.
pub fn ship_models(site: &Site) -> PathBuf {
    let dir = site.path().join("policies");
    fs::create_dir_all(&dir).expect("a folder");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/models.toml"), dir.join("models.toml"))
        .expect("a file");
    dir
}
