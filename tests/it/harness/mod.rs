//! What every test shares: processes that end with their test, elements, a gateway, clients, and waiting with a deadline.

pub mod client;
pub mod element;
pub mod gateway;
pub mod gnmi;
pub mod http;
pub mod https;
pub mod lab;
pub mod netconf;
pub mod pki;
pub mod process;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Ends the test early, loudly, when a program it drives is missing. See [`lacking`] for what can be named.
macro_rules! need {
    ($($program:literal),+ $(,)?) => {
        if let Some(missing) = $crate::harness::lacking(&[$($program),+]) {
            $crate::harness::skip(module_path!(), line!(), &missing);
            return;
        }
    };
}
pub(crate) use need;

/// The first of these that this machine lacks: a program on the path, `root`, or `python:NAME` for an environment of `make test-setup`.
pub fn lacking(programs: &[&str]) -> Option<String> {
    programs.iter().find(|name| !available(name)).map(|name| (*name).to_owned())
}

fn available(name: &str) -> bool {
    match name {
        "root" => is_root(),
        "chromium-policy" => Path::new("/etc/chromium/policies/managed/sallyport-tests.json").is_file(),
        _ => match name.strip_prefix("python:") {
            Some(environment) => venv(environment, "python").exists(),
            None => find(name).is_some(),
        },
    }
}

/// Says that a test did not run, past the capture of test output; fails where nothing may be skipped.
pub fn skip(module: &str, line: u32, missing: &str) {
    let text =
        format!("\nSKIPPED {module}:{line}: this machine lacks `{missing}`; `make test-setup` as root installs it\n");
    assert!(std::env::var("SALLYPORT_TEST_REQUIRE_ALL").as_deref() != Ok("1"), "{text}");
    std::io::stderr().write_all(text.as_bytes()).expect("standard error is open");
}

/// Where a program is: the path, and where administrators' programs and daemons are.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin", "/usr/lib/frr", "/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh"])
        .map(|dir| Path::new(dir).join(program))
        .find(|file| file.is_file())
}

/// A program of a Python environment that `make test-setup` made.
pub fn venv(environment: &str, program: &str) -> PathBuf {
    let root = std::env::var_os("SALLYPORT_TEST_VENVS")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("venv"), PathBuf::from);
    root.join(environment).join("bin").join(program)
}

/// A file that goes with the tests.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data").join(name)
}

/// Whether these tests may do what only root can: mounts, namespaces.
pub fn is_root() -> bool {
    account_id() == "0"
}

fn account_id() -> String {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    String::from_utf8_lossy(&id.stdout).trim().to_owned()
}

/// The account these tests run as, which is the account on the private elements.
pub fn account() -> String {
    let id = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8_lossy(&id.stdout).trim().to_owned()
}

/// Waits until `condition` gives a value; fails naming what never happened.
pub fn wait_for<T>(what: &str, within: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "did not happen within {within:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, within, || condition().then_some(()));
}

/// For what takes well under a second on an idle machine.
pub const SOON: Duration = Duration::from_secs(20);

/// A private, short-named folder (socket paths must fit in 108 bytes) that goes away with the test.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("sp-").tempdir_in("/tmp").expect("a temporary folder")
}

/// A port of loopback that is free and stays so: for programs that cannot listen on port 0.
///
/// It is below those that the system gives to whoever asks for any, and it is kept, by a lock on a file, from every other test that asks here, in
/// this process and in others.
pub fn free_port() -> u16 {
    static KEPT: Mutex<Vec<File>> = Mutex::new(Vec::new());
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_240;
    const COUNT: u16 = 20_000;
    let dir = std::env::temp_dir().join(format!("sp-ports-{}", account_id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let begin = u16::try_from(std::process::id() % u32::from(COUNT)).expect("a remainder");
    for _ in 0..COUNT {
        let port = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        let Ok(file) = File::create(dir.join(port.to_string())) else { continue };
        if file.try_lock().is_ok() && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            KEPT.lock().expect("no test panics here").push(file);
            return port;
        }
    }
    panic!("no free port of loopback");
}

/// Runs a program that must succeed and gives its standard output.
pub fn must(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        out.status.success(),
        "{command:?}: {}\n{}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A small file system of its own, gone with the test. Needs root.
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one of `size` on `dir`.
    pub fn mount(dir: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&dir).expect("a folder");
        must(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&dir));
        Self(dir)
    }

    /// Mounts it anew as `ro` or `rw`.
    pub fn remount(&self, mode: &str) {
        must(Command::new("mount").args(["-o", &format!("remount,{mode}")]).arg(&self.0));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily, because the gateway may still have files open there.
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
