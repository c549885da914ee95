//! Where reading commands find the data, and who says that they may.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::audit::reader::{SessionRow, Sessions};
use crate::domain::plain::escaped_json;
use crate::domain::{Action, SessionId};
use crate::recording;

use super::mask::View;
use super::{Exit, Failure};
use crate::domain::Verb;
use crate::policy::Masks;

/// Which data a command reads, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Source {
    /// The gateway's configuration: its data is read as the identity, decided by its policy, and noted in its audit log.
    #[arg(long, value_name = "FILE", conflicts_with = "data", required_unless_present = "data")]
    pub(super) config: Option<PathBuf>,
    /// The identity to act as: a folder with cert.pem and key.pem, as `sallyport ca issue` makes it.
    #[arg(long, value_name = "DIR", conflicts_with = "data")]
    pub(super) identity: Option<PathBuf>,
    /// A copy of a data folder (audit/ and recordings/), away from its gateway. Nothing decides: whoever can read the files can read them.
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
}

/// What the log says of a recording that was read with its secrets.
pub(super) const UNMASKED: &str = "--unmasked";

/// Says whether an action on the gateway's own element is allowed.
pub(super) type Authorise<'a> = &'a dyn Fn(&Action) -> Result<(), Failure>;

/// Puts into the audit log that a recording was read, and how.
pub(super) type NoteRead<'a> = &'a dyn Fn(SessionId, &str) -> Result<(), Failure>;

/// The folders of a gateway's data, and what guards them.
pub(super) struct Data<'a> {
    /// The audit log.
    pub(super) audit: PathBuf,
    /// The recordings.
    pub(super) recordings: PathBuf,
    /// Policy.
    pub(super) authorise: Authorise<'a>,
    /// The log.
    pub(super) note_read: NoteRead<'a>,
    /// How secrets in messages are shown.
    pub(super) view: View,
}

impl Source {
    /// Finds the data and hands it to `read`.
    pub(super) fn with(&self, read: impl FnOnce(&Data<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        match (&self.data, &self.config) {
            (Some(dir), _) => {
                let dir = if dir.join("audit").is_dir() { dir.clone() } else { dir.join("data") };
                let (audit, recordings) = (dir.join("audit"), dir.join("recordings"));
                if !audit.is_dir() {
                    return Err(Failure::usage(format!(
                        "{} holds no audit/; give the folder that holds audit/ and recordings/",
                        dir.display()
                    )));
                }
                // Which further nodes are secrets is in the policy folder, which is not here.
                let view = View::Masked(Masks::default());
                read(&Data { audit, recordings, authorise: &|_| Ok(()), note_read: &|_, _| Ok(()), view })
            }
            (None, Some(config)) => super::reading::with(config, self.identity.as_deref(), read),
            (None, None) => Err(Failure::usage("give --config FILE, or --data DIR for a copy of the data")),
        }
    }
}

impl Data<'_> {
    /// Notes that a recording is read, after asking whether with its secrets when that is meant; how it is shown.
    pub(super) fn begin_reading(&self, id: SessionId, how: &str, unmasked: bool) -> Result<View, Failure> {
        if !unmasked {
            (self.note_read)(id, how)?;
            return Ok(self.view.clone());
        }
        (self.authorise)(&Action::new(Verb::GatewayReplayUnmasked, id.to_string()))?;
        (self.note_read)(id, &format!("{how} {UNMASKED}"))?;
        Ok(View::Unmasked)
    }

    /// What the log says about sessions.
    pub(super) fn sessions(&self) -> Result<Sessions, Failure> {
        Sessions::read(&self.audit).map_err(|e| unreadable(&self.audit, &e))
    }

    /// The one session whose id is, or begins with, `id`.
    pub(super) fn session(&self, id: &str) -> Result<SessionRow, Failure> {
        let wanted = id.to_ascii_lowercase();
        let mut found: Vec<SessionRow> = self
            .sessions()?
            .rows
            .into_values()
            .filter(|row| row.facts.session.to_string().starts_with(&wanted))
            .collect();
        match (found.pop(), found.len()) {
            (Some(row), 0) if wanted.len() >= 4 => Ok(row),
            (Some(_), 0) => Err(Failure::usage("give at least four characters of the session's id")),
            (Some(_), more) => {
                Err(Failure::usage(format!("{} sessions have ids that begin with `{id}`; give more of it", more + 1)))
            }
            (None, _) => Err(Failure::new(
                Exit::Failed,
                format!("no session `{}`; `sallyport sessions list` shows them", id.escape_debug()),
            )),
        }
    }

    /// The file in which a session is recorded.
    pub(super) fn recording(&self, row: &SessionRow) -> PathBuf {
        self.recordings.join(&row.facts.recording)
    }
}

/// Opens a recording.
pub(super) fn open_recording(path: &Path) -> Result<recording::Reader, Failure> {
    recording::Reader::open(path)
        .map_err(|e| unreadable(path, &e))?
        .map_err(|e| Failure::new(Exit::Failed, format!("{}: {e}", path.display())))
}

/// A failure to read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Usage, format!("{}: {error}", path.display()))
}

/// Standard output, or a file. Whoever reads it may stop early (`| head`); that ends the command and is no failure.
pub(super) struct Out(Box<dyn Write>);

impl Out {
    /// Standard output.
    pub(super) fn stdout() -> Self {
        Self(Box::new(io::BufWriter::with_capacity(64 * 1024, io::stdout().lock())))
    }

    /// A new file, readable by its owner; standard output when there is no path.
    pub(super) fn to(path: Option<&Path>) -> Result<Self, Failure> {
        use std::os::unix::fs::OpenOptionsExt;
        let Some(path) = path else { return Ok(Self::stdout()) };
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| unreadable(path, &e))?;
        Ok(Self(Box::new(io::BufWriter::new(file))))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).inspect_err(end_when_nobody_reads)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().inspect_err(end_when_nobody_reads)
    }
}

fn end_when_nobody_reads(error: &io::Error) {
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
}

/// Writes a value as JSON for people and programs alike.
pub(super) fn write_json(out: &mut dyn Write, value: &impl serde::Serialize) -> io::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    writeln!(out, "{}", escaped_json(&json))
}

/// A failure to write what was asked for.
pub(super) fn unwritable(error: io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the output cannot be written: {error}"))
}
