//! `sallyport sessions list|show|terminate|watch`: the sessions that the audit log tells of.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::audit::reader::SessionRow;
use crate::console::TerminateBody;
use crate::domain::{Action, SessionId, Timestamp, Verb, parse_duration};
use crate::recording::verify::is_open;

use super::data::{Data, Out, Source, unwritable, write_json};
use super::mask::View;
use super::{Exit, Failure, api, ca, replay, serve, watch};

/// List sessions, show, watch or end one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Terminate(Terminate),
    Watch(watch::Args),
}

/// List sessions, the latest last
#[derive(Debug, clap::Args)]
struct List {
    /// Only those of this identity: its name, or its whole URI.
    #[arg(long, value_name = "NAME")]
    of: Option<String>,
    /// Only those on this element.
    #[arg(long, value_name = "NAME")]
    element: Option<String>,
    /// Only those opened since: a time such as 2026-11-22T08:00:00Z, or a span back from now such as 8h.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Only those that ended so, such as policy-denies.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Only those that are open.
    #[arg(long)]
    live: bool,
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

/// Show one session: who, what, the decisions, commands, files and forwards in it, and how it ended
#[derive(Debug, clap::Args)]
struct Show {
    /// The session's id, or the beginning of it.
    #[arg(value_name = "ID")]
    id: String,
    /// Show passwords, keys and other secrets in messages of the management plane: decided by policy as gateway.replay-unmasked.
    #[arg(long)]
    unmasked: bool,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

/// End a live session; the person is told that an operator did
#[derive(Debug, clap::Args)]
struct Terminate {
    /// The session's id.
    #[arg(value_name = "ID")]
    id: SessionId,
    /// The gateway's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The identity to act as: a folder with cert.pem and key.pem, as `sallyport ca issue` makes it.
    #[arg(long, value_name = "DIR")]
    identity: Option<PathBuf>,
}

/// A moment, or a span back from now.
#[derive(Debug, Clone, Copy)]
pub(super) enum Since {
    At(Timestamp),
    Ago(Duration),
}

pub(super) fn since(text: &str) -> Result<Since, String> {
    match parse_duration(text) {
        Ok(span) => Ok(Since::Ago(span)),
        Err(_) => text.parse().map(Since::At).map_err(|e| format!("{e}, or a span such as 8h")),
    }
}

impl Since {
    /// The moment.
    #[expect(clippy::disallowed_methods, reason = "a command reads the clock")]
    pub(super) fn moment(self) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                let nanos = i64::try_from(now.saturating_sub(span).as_nanos()).unwrap_or(i64::MAX);
                Timestamp::from_nanos(nanos)
            }
        }
    }
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List(list) => list.source.with(|data| print_list(data, &list)),
        Command::Show(show) => show.source.with(|data| print_one(data, &show)),
        Command::Terminate(terminate) => end(&terminate),
        Command::Watch(args) => watch::run(&args),
    }
}

fn end(terminate: &Terminate) -> Result<(), Failure> {
    let config = serve::load(&terminate.config)?;
    let folder = ca::identity_folder(terminate.identity.as_deref())?;
    let Some(gateway) = api::find(&config, &folder)? else {
        return Err(Failure::new(Exit::Unreachable, "the gateway does not run, so no session is live"));
    };
    let answer = gateway.terminate(&TerminateBody { session: terminate.id })?;
    writeln!(Out::stdout(), "{}", answer.message).map_err(unwritable)
}

fn print_list(data: &Data<'_>, list: &List) -> Result<(), Failure> {
    (data.authorise)(&Action::new(Verb::GatewayWatch, ""))?;
    let since = list.since.map(Since::moment);
    let rows = data.sessions()?.rows.into_values().filter(|row| {
        let request = &row.facts.request;
        list.of.as_ref().is_none_or(|of| request.identity.name() == of || request.identity.to_string() == *of)
            && list.element.as_ref().is_none_or(|element| request.element.as_str() == element)
            && since.is_none_or(|since| row.facts.opened_at >= since)
            && list.outcome.as_ref().is_none_or(|outcome| outcome_of(row) == Some(outcome.as_str()))
            && (!list.live || live(data, row))
    });
    let mut out = Out::stdout();
    let written = if list.json {
        let all: Vec<Value> = rows.map(|row| object(data, &row)).collect();
        write_json(&mut out, &all)
    } else {
        print_table(data, &mut out, rows)
    };
    written.and_then(|()| out.flush()).map_err(unwritable)
}

fn print_table(data: &Data<'_>, out: &mut Out, rows: impl Iterator<Item = SessionRow>) -> std::io::Result<()> {
    writeln!(
        out,
        "{:36}  {:20}  {:16}  {:20}  {:8}  {:10}  OUTCOME",
        "ID", "OPENED", "IDENTITY", "ELEMENT", "PROTOCOL", "LASTED"
    )?;
    for row in rows {
        let facts = &row.facts;
        let opened = facts.opened_at.to_string();
        let opened = opened.get(..19).unwrap_or(&opened);
        let lasted = row.closed.as_ref().map_or(String::new(), |closed| span(closed.at.since(facts.opened_at)));
        let outcome = outcome_of(&row).unwrap_or(if live(data, &row) { "live" } else { "unknown" });
        let (identity, element) =
            (facts.request.identity.name(), format!("{}@{}", facts.request.account, facts.request.element));
        writeln!(
            out,
            "{:36}  {opened:>19}Z  {identity:16}  {element:20}  {:8}  {lasted:10}  {outcome}",
            facts.session.to_string(),
            facts.protocol
        )?;
    }
    Ok(())
}

fn print_one(data: &Data<'_>, show: &Show) -> Result<(), Failure> {
    let row = data.session(&show.id)?;
    let id = row.facts.session;
    // What was done in it is the recording's to tell, so this is reading it.
    (data.authorise)(&Action::new(Verb::GatewayReplay, id.to_string()))?;
    let path = data.recording(&row);
    let view = data.begin_reading(id, "sessions show", show.unmasked)?;
    let mut out = Out::stdout();
    if show.json {
        let mut object = object(data, &row);
        if let Some(fields) = object.as_object_mut() {
            fields.insert("opened".to_owned(), json!(row.facts));
            fields.insert("frames".to_owned(), Value::Array(frames(&path, &view)?));
        }
        return write_json(&mut out, &object).and_then(|()| out.flush()).map_err(unwritable);
    }
    let facts = &row.facts;
    let request = &facts.request;
    let rule = facts.decision.rule.as_ref().map_or("policy".to_owned(), ToString::to_string);
    let mut lines = vec![
        format!("session    {id}"),
        format!(
            "identity   {} (assurance {}, {})",
            request.identity,
            request.assurance.level(),
            facts.credential.escape_debug()
        ),
        format!("from       {} through {}", facts.peer, json!(request.door).as_str().unwrap_or_default()),
        format!("element    {}@{} over {}", request.account, request.element, facts.protocol.escape_debug()),
        format!("opened     {} for {}", facts.opened_at, request.action),
        format!("allowed    by {rule}, revision {}", facts.decision.revision.short()),
        format!("recording  {}", path.display()),
    ];
    match (&row.closed, outcome_of(&row)) {
        (Some(closed), _) => {
            let detail = closed.detail.as_ref().map_or(String::new(), |detail| format!(" ({})", detail.escape_debug()));
            lines.push(format!(
                "closed     {} after {}: {}{detail}",
                closed.at,
                span(closed.at.since(facts.opened_at)),
                closed.outcome
            ));
            lines.push(format!("bytes      {} in, {} out", closed.bytes_in, closed.bytes_out));
        }
        (None, Some(outcome)) => lines.push(format!("closed     {outcome}")),
        (None, None) => lines.push(format!(
            "closed     {}",
            if live(data, &row) { "not yet: it is live" } else { "nobody knows when: the gateway died under it" }
        )),
    }
    writeln!(out, "{}\n", lines.join("\n")).map_err(unwritable)?;
    if !path.is_file() {
        out.flush().map_err(unwritable)?;
        return Err(replay::no_recording(&path));
    }
    replay::timeline(&path, None, &view, &mut out)
}

/// What was done, without the bytes.
fn frames(path: &std::path::Path, view: &View) -> Result<Vec<Value>, Failure> {
    use crate::recording::reader::Stamped;
    use crate::recording::{Item, Kept, export};
    let mut reader = super::data::open_recording(path)?;
    let (opened_at, mut frames) = (reader.facts().opened_at, Vec::new());
    while let Some(item) = reader.next_item().map_err(|e| super::data::unreadable(path, &e))? {
        if let Item::Frame(frame) = item
            && !matches!(frame.frame, Kept::Data { .. } | Kept::Input { .. } | Kept::Resize { .. })
        {
            frames.push(export::object(&Stamped { frame: view.of(frame.frame), ..frame }, opened_at));
        }
    }
    Ok(frames)
}

fn object(data: &Data<'_>, row: &SessionRow) -> Value {
    let (facts, request) = (&row.facts, &row.facts.request);
    let recording: PathBuf = data.recording(row);
    let sealed = row.closed.as_ref().and_then(|closed| closed.recording.as_ref());
    json!({
        "id": facts.session,
        "identity": request.identity,
        "device": request.device,
        "assurance": request.assurance.level(),
        "door": request.door,
        "source": request.source,
        "element": request.element,
        "account": request.account,
        "protocol": facts.protocol,
        "action": request.action,
        "rule": facts.decision.rule.as_ref().map(ToString::to_string),
        "policy": facts.decision.revision,
        "opened_at": facts.opened_at,
        "closed_at": row.closed.as_ref().map(|closed| closed.at),
        "outcome": outcome_of(row),
        "detail": row.closed.as_ref().and_then(|closed| closed.detail.as_ref()),
        "live": live(data, row),
        "bytes_in": row.closed.as_ref().map(|closed| closed.bytes_in),
        "bytes_out": row.closed.as_ref().map(|closed| closed.bytes_out),
        "recording": recording,
        "recording_frames": sealed.map(|s| s.frames).or(row.recovered.as_ref().map(|r| r.frames)),
        "recording_digest": sealed.map(|s| &s.digest).or(row.recovered.as_ref().map(|r| &r.digest)),
    })
}

/// How it ended; a recording that a later start sealed says that the gateway died.
fn outcome_of(row: &SessionRow) -> Option<&'static str> {
    let aborted = row.recovered.is_some().then_some("aborted");
    row.closed.as_ref().map(|closed| closed.outcome.as_str()).or(aborted)
}

/// Whether it is open: the log knows no end, and a living process writes its recording.
fn live(data: &Data<'_>, row: &SessionRow) -> bool {
    row.closed.is_none() && row.recovered.is_none() && is_open(&data.recording(row)).unwrap_or(false)
}

fn span(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        s @ 1..60 => format!("{s} s"),
        s @ 60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        s => format!("{}h{:02}m", s / 3600, s / 60 % 60),
    }
}
