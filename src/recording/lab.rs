//! What the tests of recordings and of the log start from.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Keys, Signer};
use crate::domain::{
    Account, Action, Assurance, DecisionFacts, Door, Effect, ElementName, Event, Identity, Reason, RequestFacts,
    Revision, SessionFacts, SessionId, Timestamp, Verb,
};

use super::verify::{Report, verify};
use super::*;

/// The facts of a session of ada's on core-rtr-1.
pub(crate) fn facts(session: SessionId, at: Timestamp) -> SessionFacts {
    let identity: Identity = "spiffe://carrier.example/user/ada".parse().unwrap();
    let element: ElementName = "core-rtr-1".parse().unwrap();
    let account: Account = "admin".parse().unwrap();
    SessionFacts {
        session,
        protocol: "ssh".to_owned(),
        request: RequestFacts {
            identity,
            device: None,
            assurance: Assurance::MutualTls,
            door: Door::Mtls,
            source: [192, 0, 2, 7].into(),
            element,
            account,
            action: Action::new(Verb::SshRawShell, ""),
        },
        decision: decision(),
        credential: "x509:01".to_owned(),
        peer: "192.0.2.7:50022".parse().unwrap(),
        opened_at: at,
        recording: Store::path_of(session, at),
    }
}

pub(crate) fn decision() -> DecisionFacts {
    DecisionFacts {
        effect: Effect::Allow,
        rule: None,
        reason: Reason::RuleAllows,
        revision: Revision::new("ab".repeat(32)),
    }
}

pub(crate) fn opened(session: SessionId, at: Timestamp) -> Event {
    Event::SessionOpened { facts: facts(session, at) }
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(1_800_000_000_000_000_000 + millis * 1_000_000)
}

pub(crate) fn session(n: u8) -> SessionId {
    SessionId::new(at(0), [n; 10])
}

/// A store in a folder of its own.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) signer: Arc<Signer>,
    pub(crate) store: Store,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(|config| config)
    }

    /// One whose configuration `change` has changed.
    pub(crate) fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::open_or_create(&dir.path().join("key.pem")).unwrap();
        let store = Store::open(change(config(dir.path())), Arc::clone(&signer)).unwrap();
        Self { dir, signer, store }
    }

    /// What a restart does: nothing of the store before holds a file any more.
    pub(crate) fn restart(&mut self) {
        self.store = Store::open(config(self.dir.path()), Arc::clone(&self.signer)).unwrap();
    }

    /// Forgets what has been recovered.
    pub(crate) fn forget(&self) {
        std::fs::remove_file(self.store.dir().join("recovered.json")).ok();
    }

    pub(crate) fn create(&self, n: u8) -> Recorder {
        self.store.create(&facts(session(n), at(0))).unwrap()
    }

    pub(crate) fn create_on(
        &self,
        n: u8,
        disk: impl FnOnce(File) -> Box<dyn crate::audit::disk::Disk>,
    ) -> Result<Recorder, RecordingError> {
        self.store.create_on(&facts(session(n), at(0)), disk)
    }

    pub(crate) fn path(&self, n: u8) -> PathBuf {
        self.store.dir().join(Store::path_of(session(n), at(0)))
    }

    pub(crate) fn verify(&self, path: &Path) -> Report {
        verify(path, &Keys::from(self.signer.public())).unwrap()
    }
}

/// What a store in a folder below `dir` needs.
pub(crate) fn config(dir: &Path) -> Config {
    Config {
        dir: dir.join("recordings"),
        sync_interval: Duration::from_millis(10),
        sync_timeout: Duration::from_secs(20),
        // Not before a test ends, unless it wants marks.
        mark_interval: Duration::from_secs(3_600),
        bytes_max: u64::MAX,
        free_bytes_min: 0,
    }
}

/// A short terminal session with a bit of everything.
pub(crate) fn play(recorder: &Recorder) {
    let (shell, show) = (Action::new(Verb::SshRawShell, ""), Action::new(Verb::SshExec, "show version"));
    let decision = decision();
    let output = "Interface          Status  Protocol\r\n".repeat(20);
    let frames = [
        Frame::ChannelOpened { channel: 0, action: &shell, decision: &decision },
        Frame::Terminal { channel: 0, term: "xterm", columns: 80, rows: 24 },
        Frame::Data { channel: 0, stream: Stream::Output, data: b"core-rtr-1# " },
        Frame::Data { channel: 0, stream: Stream::Input, data: b"show version\r" },
        Frame::Decided { channel: 0, action: &show, decision: &decision },
        Frame::Data { channel: 0, stream: Stream::Output, data: output.as_bytes() },
        Frame::Resize { channel: 0, columns: 120, rows: 40 },
        Frame::ExitStatus { channel: 0, status: 0 },
    ];
    for (n, frame) in (0..).zip(&frames) {
        recorder.write(at(n * 250), frame).unwrap();
    }
}

/// How many frames [`play`] writes.
pub(crate) const PLAYED: u64 = 8;
