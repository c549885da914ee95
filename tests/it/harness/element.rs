//! Real elements on loopback: OpenSSH servers with private configurations, and FRR behind one.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::Process;
use super::{find, free_port, must, wait_until};

/// What an SSH server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What OpenSSH offers today.
    Modern,
    /// What a router of 2008 offers: SHA-1 key exchange and signatures, CBC.
    Legacy,
}

/// An OpenSSH server. The account is the one the tests run as.
pub struct Sshd {
    /// The running server.
    pub process: Process,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Its folder: `host_key`, `host_key.pub`, `client_key` (accepted by it directly), `sshd.conf`.
    pub dir: PathBuf,
}

impl Sshd {
    /// Starts one in `dir`. User certificates signed by the key in `trust` are accepted; `extra` is added to its configuration.
    pub fn start(dir: &Path, profile: Profile, trust: Option<&Path>, extra: &str) -> Self {
        fs::create_dir_all(dir).expect("a folder");
        if super::is_root() {
            // The privilege-separation folder that a boot would have made.
            fs::create_dir_all("/run/sshd").expect("a folder");
        }
        let kind: &[&str] = if profile == Profile::Legacy { &["-t", "rsa", "-b", "2048"] } else { &["-t", "ed25519"] };
        keygen(&dir.join("host_key"), kind);
        keygen(&dir.join("client_key"), &["-t", "ed25519"]);
        let config = dir.join("sshd.conf");
        // Ports cannot be kept for a program that must be told one, so a lost race is tried again.
        for _attempt in 0..5 {
            let port = free_port();
            fs::write(&config, configuration(dir, profile, trust, extra, port)).expect("a file");
            let program = find("sshd").expect("the test asked for sshd");
            let mut process = Process::start(dir, "sshd", Command::new(program).args(["-D", "-e", "-f"]).arg(&config));
            if answers(&mut process, port) {
                return Self { process, port, dir: dir.to_owned() };
            }
        }
        panic!("sshd does not start in {}", dir.display());
    }

    /// Its public host key: type and base64.
    pub fn host_key(&self) -> String {
        public_key(&self.dir.join("host_key.pub"))
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.err()
    }
}

fn configuration(dir: &Path, profile: Profile, trust: Option<&Path>, extra: &str, port: u16) -> String {
    let dir = dir.display();
    let mut text = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host_key\nPidFile {dir}/sshd.pid\nUsePAM no\nStrictModes no\n\
         PermitRootLogin yes\nPasswordAuthentication no\nAuthorizedKeysFile {dir}/client_key.pub\nPrintMotd no\nPrintLastLog no\n\
         MaxStartups 1000\nMaxSessions 1000\nLogLevel VERBOSE\nAcceptEnv LANG LC_*\nAllowTcpForwarding yes\nX11Forwarding no\n\
         Subsystem sftp internal-sftp\nSetEnv SHLVL=2\nUseDNS no\n"
    );
    if let Some(trust) = trust {
        text.push_str(&format!("TrustedUserCAKeys {}\n", trust.display()));
    }
    if profile == Profile::Legacy {
        text.push_str(
            "KexAlgorithms diffie-hellman-group14-sha1\nHostKeyAlgorithms ssh-rsa\nCiphers aes128-cbc,3des-cbc\nMACs hmac-sha1\n",
        );
    }
    text.push_str(extra);
    text.push('\n');
    text
}

fn answers(process: &mut Process, port: u16) -> bool {
    for _ in 0..2000 {
        if !process.running() {
            return false;
        }
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let mut banner = [0_u8; 4];
            stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
            return stream.read_exact(&mut banner).is_ok() && &banner == b"SSH-";
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    false
}

/// Makes a key pair without a passphrase.
pub fn keygen(file: &Path, kind: &[&str]) {
    must(Command::new("ssh-keygen").args(["-q", "-N", "", "-C", "test"]).args(kind).arg("-f").arg(file));
}

/// Type and base64 of a public key file, without its comment.
pub fn public_key(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// FRR's daemons in a network namespace of their own, and an SSH server whose only shell is `vtysh`: a real router's command line.
pub struct Frr {
    /// The SSH server in front.
    pub sshd: Sshd,
    _daemons: Vec<Process>,
    _namespace: Namespace,
}

/// A network namespace and FRR's folders of the same name; all of it goes when dropped, after the daemons.
struct Namespace(String);

impl Frr {
    /// Starts one in `dir`. Needs root.
    pub fn start(dir: &Path, trust: Option<&Path>) -> Self {
        let namespace = format!("sp{}{}", std::process::id(), free_port());
        must(Command::new("ip").args(["netns", "add", &namespace]));
        must(Command::new("ip").args(["-n", &namespace, "link", "set", "lo", "up"]));
        let etc = Path::new("/etc/frr").join(&namespace);
        fs::create_dir_all(&etc).expect("a folder");
        fs::write(etc.join("vtysh.conf"), "hostname core-pe1\nno service integrated-vtysh-config\n").expect("a file");
        must(Command::new("chown").args(["-R", "frr:frrvty"]).arg(&etc));
        let sockets = Path::new("/var/run/frr").join(&namespace);
        fs::create_dir_all(&sockets).expect("a folder");
        must(Command::new("chown").arg("frr:frr").arg(&sockets));
        fs::create_dir_all(dir).expect("a folder");
        let namespace = Namespace(namespace);
        let daemons = ["zebra", "staticd", "bgpd"]
            .map(|daemon| {
                let program = find(daemon).expect("the test asked for vtysh");
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &namespace.0]).arg(program);
                command
                    .args(["-N", &namespace.0, "-A", "127.0.0.1", "-P", "0", "-i"])
                    .arg(sockets.join(format!("{daemon}.pid")));
                let process = Process::start(dir, daemon, &mut command);
                let socket = sockets.join(format!("{daemon}.vty"));
                wait_until(&format!("{daemon} listens"), super::SOON, || socket.exists());
                process
            })
            .into();
        let shell = dir.join("router-shell");
        fs::write(
            &shell,
            format!("#!/bin/sh\n[ -n \"$SSH_ORIGINAL_COMMAND\" ] && exec vtysh -N {0} -c \"$SSH_ORIGINAL_COMMAND\"\nexec vtysh -N {0}\n",
                namespace.0
            ),
        )
        .expect("a file");
        must(Command::new("chmod").arg("755").arg(&shell));
        let sshd = Sshd::start(dir, Profile::Modern, trust, &format!("ForceCommand {}", shell.display()));
        Self { sshd, _daemons: daemons, _namespace: namespace }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is left is tidied as far as it goes; a failure here says nothing about the gateway.
        let _deleted = Command::new("ip").args(["netns", "del", &self.0]).status();
        for dir in ["/etc/frr", "/var/run/frr"] {
            let _removed = fs::remove_dir_all(Path::new(dir).join(&self.0));
        }
    }
}

/// An SSH server of another make.
pub struct AsyncServer {
    /// Where it listens.
    pub port: u16,
    dir: PathBuf,
    process: Process,
}

impl AsyncServer {
    /// Starts one in `dir` that trusts the authority in `trust`; its commands wait for signals (see `data/asyncssh_server.py`).
    pub fn start(dir: &Path, trust: &Path) -> Self {
        Self::of("asyncssh_server.py", dir, trust)
    }

    /// Starts one with bad manners (see `data/odd_element.py`).
    pub fn odd(dir: &Path, trust: &Path) -> Self {
        Self::of("odd_element.py", dir, trust)
    }

    fn of(script: &str, dir: &Path, trust: &Path) -> Self {
        fs::create_dir_all(dir).expect("a folder");
        keygen(&dir.join("host_key"), &["-t", "ed25519"]);
        keygen(&dir.join("client_key"), &["-t", "ed25519"]);
        let mut command = Command::new(super::venv("clients", "python"));
        command.arg(super::data(script)).arg(dir.join("host_key")).arg(dir.join("client_key.pub")).arg(trust);
        let mut process = Process::start(dir, "asyncssh", &mut command);
        let port = process
            .tells("its port", super::SOON, |out| out.lines().find_map(|l| l.strip_prefix("port ")?.parse().ok()));
        Self { port, dir: dir.to_owned(), process }
    }

    /// The port of another server that it told of by `name`.
    pub fn port_of(&self, name: &str) -> u16 {
        let told = self.process.out();
        told.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok()).expect("it told")
    }

    /// Its public host key.
    pub fn host_key(&self) -> String {
        public_key(&self.dir.join("host_key.pub"))
    }

    /// The way straight to it.
    pub fn direct(&self) -> super::client::Ssh {
        super::client::Ssh::to(&self.dir, self.port, &self.host_key())
    }
}
