//! A program that runs beside the test and ends with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::wait_for;

/// A running program; its output goes to two files. Killed, by its id, when dropped.
pub struct Process {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Starts `command`, with nothing to read and its output in `dir/NAME.out` and `dir/NAME.err`.
    pub fn start(dir: &Path, name: &str, command: &mut Command) -> Self {
        Self::start_fed(dir, name, command.stdin(Stdio::null()))
    }

    /// As [`Process::start`], with the input that `command` has already.
    pub fn start_fed(dir: &Path, name: &str, command: &mut Command) -> Self {
        let (out, err) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.err")));
        let child = command
            .stdout(File::create(&out).expect("a log file"))
            .stderr(File::create(&err).expect("a log file"))
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Self { child, name: name.to_owned(), out, err }
    }

    /// Writes to its input, when it has a pipe there.
    pub fn feed(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("it was started with a pipe");
        std::io::Write::write_all(stdin, text.as_bytes()).expect("it reads");
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// What it wrote to standard error so far.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// Both.
    pub fn all(&self) -> String {
        format!("{}{}", self.out(), self.err())
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        super::must(Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()));
    }

    /// Whether it still runs.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// Kills it, by its id, and waits until it is gone.
    pub fn stop(&mut self) {
        if self.running() {
            self.child.kill().expect("our own child");
            self.child.wait().expect("our own child");
        }
    }

    /// Waits for it to end by itself.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        wait_for(&what, within, || self.child.try_wait().expect("our own child"))
    }

    /// Waits for a value that `find` sees in its standard output; fails with all its output when it ends before.
    pub fn tells<T>(&mut self, what: &str, within: Duration, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = std::time::Instant::now() + within;
        loop {
            if let Some(found) = find(&self.out()) {
                return found;
            }
            let running = self.running();
            assert!(
                running && std::time::Instant::now() < deadline,
                "{} (running: {running}) did not tell {what}\n--- out\n{}\n--- err\n{}",
                self.name,
                self.out(),
                self.err()
            );
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.running() {
            // Losing the race against its own end is fine: it is waited for either way.
            let _gone = self.child.kill();
            let _status = self.child.wait();
        }
        if std::thread::panicking() {
            let tail = |text: String| {
                text.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
            };
            eprintln!("--- {} out\n{}\n--- {} err\n{}", self.name, tail(self.out()), self.name, tail(self.err()));
        }
    }
}
