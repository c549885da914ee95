//! `sallyport verify`: checks recordings and audit logs offline.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::audit::layout::{CHECKPOINTS_FILE, LOCK_FILE, segment_start};
use crate::audit::reader::Sessions;
use crate::audit::{self, Keys, PUBLIC_KEYS_FILE};
use crate::domain::plain::escaped;
use crate::domain::{Action, Verb};
use crate::recording::cross::{self, Disagreement};
use crate::recording::verify::{Report, State};
use crate::recording::{self, recordings};

use super::data::{Out, unreadable, unwritable, write_json};
use super::{Exit, Failure};

/// Check recordings and audit logs offline
///
/// Every hash, every link of the chains and every signature is checked. A flipped bit, a missing, moved, repeated or cut-off entry is told with its
/// place. Where both an audit log and recordings are given, each recording is held against what the log says of it.
///
/// Exit codes: 0 intact (sealed or still open; it says which), 1 something is wrong, 2 it could not be checked.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recording files, folders of recordings, audit folders, or data folders that hold audit/ and recordings/.
    #[arg(required_unless_present = "config", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Check all data of the gateway configured here, as the identity; policy decides whether it may read the log.
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    config: Option<PathBuf>,
    /// The identity to act as with --config: a folder with cert.pem and key.pem.
    #[arg(long, value_name = "DIR", requires = "config")]
    identity: Option<PathBuf>,
    /// The public keys to trust (PEM, one or more), from a place that the gateway cannot write. By default those beside the data.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Name every recording, not only those that need attention.
    #[arg(long, short)]
    verbose: bool,
}

/// What is to be verified.
#[derive(Default)]
struct Found {
    logs: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Trusted {
    file: PathBuf,
    keys: Vec<String>,
}

#[derive(Serialize)]
struct Log {
    dir: PathBuf,
    #[serde(flatten)]
    report: audit::verify::Report,
}

#[derive(Default, Serialize)]
struct Findings {
    intact: bool,
    trusted: Vec<Trusted>,
    logs: Vec<Log>,
    recordings: Vec<Report>,
    disagreements: Vec<Disagreement>,
}

pub(super) fn run(mut args: Args) -> Result<(), Failure> {
    match args.config.take() {
        None => check(&args),
        Some(config) => {
            let identity = args.identity.take();
            super::reading::with(&config, identity.as_deref(), |data| {
                (data.authorise)(&Action::new(Verb::GatewayAudit, ""))?;
                check(&Args { paths: vec![data.audit.clone(), data.recordings.clone()], ..args })
            })
        }
    }
}

fn check(args: &Args) -> Result<(), Failure> {
    let found = find(&args.paths)?;
    let given = args.keys.as_deref().map(read_keys).transpose()?;
    let mut findings = Findings::default();
    let mut sessions = Sessions::default();
    // The log first: a session that closes meanwhile is then one that the log does not know as closed.
    for dir in &found.logs {
        let keys = trust(given.as_ref(), args.keys.as_deref(), dir, &mut findings)?;
        let mut note = |entry: &audit::layout::EntryLine<'_>| note(&mut sessions, entry);
        let report = audit::verify::verify(dir, &keys, &mut note).map_err(|e| unreadable(dir, &e))?;
        findings.logs.push(Log { dir: dir.clone(), report });
    }
    let mut reports = BTreeMap::new();
    for (path, name, keys_at) in found.all_recordings()? {
        let keys = trust(given.as_ref(), args.keys.as_deref(), &keys_at, &mut findings)?;
        let report = recording::verify::verify(&path, &keys).map_err(|e| unreadable(&path, &e))?;
        reports.insert(name, report);
    }
    if !found.logs.is_empty() && (!reports.is_empty() || !found.folders.is_empty()) {
        let all = !found.folders.is_empty();
        findings.disagreements = cross::compare(&sessions, &reports, all);
        if !findings.disagreements.is_empty() {
            // What opened and closed while this was reading is in the log by now.
            for dir in &found.logs {
                let fresh = Sessions::read(dir).map_err(|e| unreadable(dir, &e));
                sessions.rows.extend(
                    fresh?.rows.into_iter().filter(|(id, _)| !sessions.rows.contains_key(id)).collect::<Vec<_>>(),
                );
            }
            findings.disagreements = cross::compare(&sessions, &reports, all);
        }
    }
    findings.recordings = reports.into_values().collect();
    findings.intact = findings.faults() == 0;
    let mut out = Out::stdout();
    let told = if args.json { print_json(&mut out, &findings) } else { print(&mut out, &findings, args.verbose) };
    told.and_then(|()| out.flush()).map_err(unwritable)?;
    match findings.faults() {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failed, "1 fault was found")),
        faults => Err(Failure::new(Exit::Failed, format!("{faults} faults were found"))),
    }
}

impl Findings {
    fn faults(&self) -> u64 {
        let logs: u64 = self.logs.iter().map(|log| log.report.faults.len() as u64 + log.report.more_faults).sum();
        let recordings: usize = self.recordings.iter().map(|report| report.faults.len()).sum();
        logs + (recordings + self.disagreements.len()) as u64
    }
}

impl Found {
    /// Every recording: its file, its name in the log, and the folder whose keys it goes by.
    fn all_recordings(&self) -> Result<Vec<(PathBuf, String, PathBuf)>, Failure> {
        let mut all = Vec::new();
        for dir in &self.folders {
            for path in recordings(dir).map_err(|e| unreadable(dir, &e))? {
                let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
                all.push((path, name, dir.clone()));
            }
        }
        for path in &self.files {
            let path = fs::canonicalize(path).map_err(|e| unreadable(path, &e))?;
            let root = path.ancestors().skip(1).take(4).find(|dir| dir.join(PUBLIC_KEYS_FILE).is_file());
            let root = root.or(path.parent()).unwrap_or(Path::new("/")).to_owned();
            let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
            all.push((path, name, root));
        }
        Ok(all)
    }
}

fn find(paths: &[PathBuf]) -> Result<Found, Failure> {
    let mut found = Found::default();
    for path in paths {
        let kind = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
        let data = path.join("data");
        if kind.is_file() {
            found.files.push(path.clone());
        } else if path.join("audit").is_dir() || path.join("recordings").is_dir() {
            add_data(path, &mut found);
        } else if data.join("audit").is_dir() || data.join("recordings").is_dir() {
            add_data(&data, &mut found);
        } else if is_log(path)? {
            found.logs.push(path.clone());
        } else if path.join(PUBLIC_KEYS_FILE).is_file()
            || !recordings(path).map_err(|e| unreadable(path, &e))?.is_empty()
        {
            found.folders.push(path.clone());
        } else {
            return Err(Failure::usage(format!("{} holds neither an audit log nor recordings", path.display())));
        }
    }
    Ok(found)
}

fn add_data(dir: &Path, found: &mut Found) {
    let (audit, recordings) = (dir.join("audit"), dir.join("recordings"));
    if audit.is_dir() {
        found.logs.push(audit);
    }
    if recordings.is_dir() {
        found.folders.push(recordings);
    }
}

fn is_log(dir: &Path) -> Result<bool, Failure> {
    if dir.join(CHECKPOINTS_FILE).is_file() || dir.join(LOCK_FILE).is_file() {
        return Ok(true);
    }
    let files = fs::read_dir(dir).map_err(|e| unreadable(dir, &e))?;
    Ok(files.flatten().any(|file| file.file_name().to_str().and_then(segment_start).is_some()))
}

fn read_keys(file: &Path) -> Result<Keys, Failure> {
    let pem = fs::read(file).map_err(|e| unreadable(file, &e))?;
    Keys::from_pem(&pem).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))
}

/// The keys to go by for what lies in `dir`, noted in the findings.
fn trust(
    given: Option<&Keys>,
    given_file: Option<&Path>,
    dir: &Path,
    findings: &mut Findings,
) -> Result<Keys, Failure> {
    let file = given_file.map_or_else(|| dir.join(PUBLIC_KEYS_FILE), Path::to_owned);
    let keys = match given {
        Some(keys) => keys.clone(),
        None if file.is_file() => read_keys(&file)?,
        None => {
            return Err(Failure::usage(format!(
                "there are no public keys in {}; give them with --keys FILE",
                file.display()
            )));
        }
    };
    if !findings.trusted.iter().any(|trusted| trusted.file == file) {
        findings.trusted.push(Trusted { file, keys: keys.ids() });
    }
    Ok(keys)
}

fn note(sessions: &mut Sessions, entry: &audit::layout::EntryLine<'_>) {
    if let Ok(event) = serde_json::from_slice(entry.event) {
        sessions.note(entry.at, event);
    }
}

fn print_json(out: &mut dyn Write, findings: &Findings) -> io::Result<()> {
    write_json(out, findings)
}

fn print(out: &mut dyn Write, findings: &Findings, verbose: bool) -> io::Result<()> {
    // Names of files and what stands in them are whoever's who can write there.
    let shown = |path: &Path| escaped(&path.to_string_lossy()).replace('\n', "\\n");
    let told = |text: &str| escaped(text).replace('\n', "\\n");
    let colour = io::stdout().is_terminal();
    let bad = |text: &str| if colour { format!("\x1b[31m{text}\x1b[0m") } else { text.to_owned() };
    for Trusted { file, keys } in &findings.trusted {
        writeln!(out, "trusting  {}: key {}", shown(file), keys.join(", "))?;
    }
    for Log { dir, report } in &findings.logs {
        writeln!(out, "audit log {}: {}", shown(dir), log_line(report))?;
        for fault in &report.faults {
            writeln!(out, "  {} {}, byte {}: {}", bad("FAULT"), shown(&fault.file), fault.offset, told(&fault.what))?;
        }
        for notice in &report.notices {
            writeln!(out, "  note entry {}: {}", notice.entry, told(&notice.what))?;
        }
        if report.more_faults > 0 {
            writeln!(out, "  {} and {} more", bad("FAULT"), report.more_faults)?;
        }
    }
    let few = findings.recordings.len() <= 20;
    for report in &findings.recordings {
        if verbose || few || report.state != State::Sealed || !report.intact() {
            writeln!(out, "recording {}: {}", shown(&report.file), recording_line(report))?;
        }
        for fault in &report.faults {
            writeln!(out, "  {} {}", bad("FAULT"), told(&fault.what))?;
        }
    }
    for Disagreement { session, recording, what } in &findings.disagreements {
        let session = session.map_or("no session".to_owned(), |id| format!("session {id}"));
        writeln!(out, "  {} {session}, {}: {}", bad("FAULT"), told(recording), told(what))?;
    }
    let of = |state| findings.recordings.iter().filter(|report| report.state == state).count();
    let recordings = format!(
        "{} recordings sealed, {} still open, {} unsealed",
        of(State::Sealed),
        of(State::Open),
        of(State::Unsealed)
    );
    let verdict =
        if findings.intact { "intact".to_owned() } else { bad(&format!("NOT INTACT: {} faults", findings.faults())) };
    writeln!(
        out,
        "{verdict} ({} audit entries; {recordings})",
        findings.logs.iter().map(|log| log.report.entries).sum::<u64>()
    )
}

fn log_line(report: &audit::verify::Report) -> String {
    let mut line = format!("{} entries in {} segments", report.entries, report.segments);
    if let Some(seq) = report.signed_through {
        line.push_str(&format!(", signed through entry {seq} by {} checkpoints", report.checkpoints));
    }
    if report.torn_bytes > 0 && !report.open {
        line.push_str(&format!(", {} bytes of an unfinished line behind it", report.torn_bytes));
    }
    line.push_str(if report.open { ", still open" } else { ", closed" });
    line.push_str(if report.intact() { ", intact" } else { "" });
    line
}

fn recording_line(report: &Report) -> String {
    let last = match (report.frames.checked_sub(1), report.last_at) {
        (Some(frame), Some(at)) => format!("frame {frame} (t={at})"),
        _ => "its header".to_owned(),
    };
    let torn = if report.torn_bytes > 0 {
        format!(", {} bytes of an unfinished frame behind it", report.torn_bytes)
    } else {
        String::new()
    };
    // What a crash leaves can be written anew by whoever holds the disk, as far as nobody signed it.
    let signed = match report.frames - report.attested.min(report.frames) {
        0 => String::new(),
        rest => format!(
            ", signed while it was written up to frame {}; the {rest} frames behind are as they were found",
            report.attested
        ),
    };
    match (report.state, report.intact()) {
        (State::Sealed, true) => {
            let outcome = report.outcome.map_or("", |o| o.as_str());
            format!("sealed ({outcome}), {} frames, intact{signed}", report.frames)
        }
        (State::Open, true) => format!("still open, intact up to {last}"),
        (State::Unsealed, true) if report.facts.is_none() => {
            "empty: the gateway stopped before it wrote to it".to_owned()
        }
        (State::Unsealed, true) => format!("unsealed, intact up to {last}{torn}{signed}"),
        (State::Sealed, false) => "sealed".to_owned(),
        (State::Open, false) => "still open".to_owned(),
        (State::Unsealed, false) => "unsealed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audit::Signer;
    use crate::domain::{Event, Outcome};
    use crate::recording::lab::{Lab, at, opened, play, session};

    /// A data folder with one session in it.
    async fn data() -> Lab {
        let lab = Lab::new();
        let config = audit::Config {
            dir: lab.dir.path().join("audit"),
            segment_bytes_max: 1 << 20,
            pending_max: 8,
            sync_timeout: std::time::Duration::from_secs(20),
        };
        let log = audit::Log::open(config, Arc::clone(&lab.signer)).unwrap();
        let recorder = lab.create(1);
        assert!(log.append(at(0), opened(session(1), at(0))).await.is_ok());
        play(&recorder);
        let recording = Some(recorder.seal(at(9_000), Outcome::ClientClosed).unwrap());
        let closed = Event::SessionClosed {
            session: session(1),
            outcome: Outcome::ClientClosed,
            detail: None,
            recording,
            bytes_in: 13,
            bytes_out: 800,
        };
        assert!(log.append(at(9_000), closed).await.is_ok());
        log.close().await;
        lab
    }

    fn verify(paths: &[&Path], keys: Option<&Path>) -> Option<Exit> {
        let paths = paths.iter().map(|path| path.to_path_buf()).collect();
        run(Args { paths, keys: keys.map(Path::to_owned), json: true, verbose: false, config: None, identity: None })
            .err()
            .map(|failure| failure.exit)
    }

    #[tokio::test]
    async fn what_is_intact_passes_in_every_way_it_can_be_named() {
        let lab = data().await;
        let (root, file) = (lab.dir.path(), lab.path(1));
        let (audit, recordings) = (root.join("audit"), root.join("recordings"));
        for paths in [&[root][..], &[&audit], &[&recordings], &[&file], &[&audit, &recordings], &[&audit, &file]] {
            assert_eq!(verify(paths, None), None, "{paths:?}");
        }
        assert_eq!(verify(&[root], Some(&audit.join(PUBLIC_KEYS_FILE))), None);
    }

    #[tokio::test]
    async fn what_is_not_intact_does_not() {
        let lab = data().await;
        let (root, file) = (lab.dir.path(), lab.path(1));
        let stranger = Signer::open_or_create(&root.join("other.pem")).unwrap();
        let foreign = root.join("foreign.pub.pem");
        fs::write(&foreign, stranger.public().to_pem()).unwrap();
        assert_eq!(verify(&[root], Some(&foreign)), Some(Exit::Failed));
        assert_eq!(verify(&[root], Some(&root.join("none.pem"))), Some(Exit::Usage));
        assert_eq!(verify(&[&root.join("nowhere")], None), Some(Exit::Usage));
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(verify(&[empty.path()], None), Some(Exit::Usage));

        let whole = fs::read(&file).unwrap();
        let mut spoiled = whole.clone();
        spoiled[whole.len() / 2] ^= 4;
        fs::write(&file, &spoiled).unwrap();
        assert_eq!(verify(&[&file], None), Some(Exit::Failed));
        // Without its seal it is intact by itself, and the log knows better.
        fs::write(&file, &whole[..whole.len() - 300]).unwrap();
        assert_eq!(verify(&[&file], None), None);
        assert_eq!(verify(&[root], None), Some(Exit::Failed));
        fs::remove_file(&file).unwrap();
        assert_eq!(verify(&[root], None), Some(Exit::Failed));
        fs::remove_file(root.join("recordings").join(PUBLIC_KEYS_FILE)).unwrap();
        assert_eq!(verify(&[&root.join("audit")], None), None);
    }
}
