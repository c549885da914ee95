//! `sallyport audit tail|export`: reads the audit log.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audit;
use crate::audit::reader::{Entries, Entry};
use crate::domain::plain::escaped;
use crate::domain::{Action, DecisionFacts, Event, RequestFacts, Verb};

use super::data::{Data, Out, Source, unreadable, unwritable};
use super::sessions::{Since, since};
use super::{Exit, Failure};

/// How often a followed log is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);

/// Read the audit log
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Tail(Tail),
    Export(Export),
    Mend(Mend),
}

/// Move entries that nobody signed out of the log
///
/// For a log behind which a gateway refuses to start, because entries stand at its end that no gateway can have written. They are moved, not
/// deleted, into a file beside the log, and an alarm in the log says so. The gateway must not run.
#[derive(Debug, clap::Args)]
struct Mend {
    /// The gateway's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Show the last entries, a line each
#[derive(Debug, clap::Args)]
struct Tail {
    /// How many.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    lines: usize,
    /// Go on with what comes.
    #[arg(long, short)]
    follow: bool,
    /// Print the entries as they stand in the log: JSON Lines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

/// Write entries as they stand in the log, as JSON Lines
///
/// The lines keep their hashes: a whole export can be held against the log, and `jq` reads it.
#[derive(Debug, clap::Args)]
struct Export {
    /// Only entries since: a time such as 2026-11-22T08:00:00Z, or a span back from now such as 8h.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Only entries before: as --since.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    until: Option<Since>,
    /// Only events of this kind, such as denied; may be given several times.
    #[arg(long, value_name = "KIND")]
    event: Vec<String>,
    /// Where to; standard output when absent. An existing file is not written over.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Tail(tail) => tail.source.with(|data| print_tail(data, &tail)),
        Command::Export(export) => export.source.with(|data| write_export(data, &export)),
        Command::Mend(mend) => move_unsigned(&mend.config),
    }
}

fn move_unsigned(config: &Path) -> Result<(), Failure> {
    let config = super::serve::load(config)?;
    let failed = |e: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("the audit log: {e}"));
    let signer = audit::Signer::open_or_create(&config.signing_key_file).map_err(|e| failed(&e))?;
    let mended = super::serve::runtime()?.block_on(audit::mend(config.audit, signer, super::clock::now()));
    let told = match mended.map_err(|e| failed(&e))? {
        Some(moved) => moved,
        None => "everything in the log is signed; nothing was moved".to_owned(),
    };
    writeln!(Out::stdout(), "{told}").map_err(unwritable)
}

fn print_tail(data: &Data<'_>, tail: &Tail) -> Result<(), Failure> {
    (data.authorise)(&Action::new(Verb::GatewayAudit, ""))?;
    let failed = |e: io::Error| unreadable(&data.audit, &e);
    let mut entries = Entries::last(&data.audit, tail.lines).map_err(failed)?;
    let mut out = Out::stdout();
    let mut print = |entry: &Entry| {
        if tail.json { writeln!(out, "{}", entry.line) } else { writeln!(out, "{}", escaped(&describe(entry))) }
            .and_then(|()| out.flush())
    };
    loop {
        match entries.next_entry().map_err(failed)? {
            Some(entry) => print(&entry).map_err(unwritable)?,
            None if tail.follow => std::thread::sleep(FOLLOW_INTERVAL),
            None => return Ok(()),
        }
    }
}

fn write_export(data: &Data<'_>, export: &Export) -> Result<(), Failure> {
    (data.authorise)(&Action::new(Verb::GatewayAudit, ""))?;
    let failed = |e: io::Error| unreadable(&data.audit, &e);
    let (since, until) = (export.since.map(Since::moment), export.until.map(Since::moment));
    let mut out = Out::to(export.output.as_deref())?;
    for entry in Entries::open(&data.audit, 0).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let in_time = since.is_none_or(|since| entry.at >= since) && until.is_none_or(|until| entry.at < until);
        if in_time && (export.event.is_empty() || export.event.contains(&kind(&entry))) {
            writeln!(out, "{}", entry.line).map_err(unwritable)?;
        }
    }
    out.flush().map_err(unwritable)
}

/// The name of an entry's event.
fn kind(entry: &Entry) -> String {
    let line: Option<serde_json::Value> = serde_json::from_str(&entry.line).ok();
    line.and_then(|line| Some(line.get("event")?.get("event")?.as_str()?.to_owned())).unwrap_or_default()
}

/// An entry in one line for people. Text from peers comes escaped.
fn describe(entry: &Entry) -> String {
    let at = entry.at.to_string();
    let at = at.get(..19).unwrap_or(&at);
    let kind = kind(entry);
    let what = entry.event.as_ref().map_or_else(|| "an event that this version does not know".to_owned(), tell);
    format!("{:>6}  {at}Z  {kind:20}  {what}", entry.seq)
}

fn tell(event: &Event) -> String {
    match event {
        Event::GatewayStarted { version, name, revision } => {
            format!("{} {} with policy {}", name.escape_debug(), version.escape_debug(), revision.short())
        }
        Event::GatewayStopped {} => String::new(),
        Event::Refused { stage, source, identity, reason, .. } => {
            let source = source.map_or("unknown".to_owned(), |s| s.to_string());
            let identity = identity.as_ref().map_or(String::new(), |i| format!(" as {}", i.escape_debug()));
            format!("{source}{identity} at {stage:?}: {}", reason.escape_debug())
        }
        Event::Denied { request, decision, .. } => format!("{}: {}", asked(request), why(decision)),
        Event::Omitted { identity, denied, refused, since } => {
            let who = identity.as_ref().map_or("clients that nobody knows", |i| i.name());
            format!("{denied} denials and {refused} refusals of {who} since {since} were counted and not logged")
        }
        Event::SessionOpened { facts } => {
            format!("{} {}: {}", facts.session, asked(&facts.request), why(&facts.decision))
        }
        Event::SessionClosed { session, outcome, detail, bytes_in, bytes_out, .. } => {
            let detail = detail.as_ref().map_or(String::new(), |d| format!(" ({})", d.escape_debug()));
            format!("{session} {outcome}{detail}, {bytes_in} bytes in, {bytes_out} out")
        }
        Event::RecordingRecovered { recording, frames, attested, .. } => {
            let signed = attested.map_or(String::new(), |n| format!(", {n} of them signed before it broke off"));
            format!("{} sealed as aborted with {frames} frames{signed}", recording.escape_debug())
        }
        Event::RecordingRead { session, by, how, .. } => format!("{session} by {}: {}", by.name(), how.escape_debug()),
        Event::StateRead { by, action, .. } => format!("{action} by {}", by.name()),
        Event::ElementUnreachable { session, element, reason } => {
            format!("{session} {element}: {}", reason.escape_debug())
        }
        Event::HostKeyRefused { session, element, presented, .. } => {
            format!("{session} {element} showed {}", presented.escape_debug())
        }
        Event::LegacyCrypto { session, element, profile, algorithms } => {
            format!("{session} {element} with profile {}: {}", profile.escape_debug(), algorithms.escape_debug())
        }
        Event::PolicyLoaded { revision, previous } => {
            format!(
                "{} in force{}",
                revision.short(),
                previous.as_ref().map_or(String::new(), |p| format!(" after {}", p.short()))
            )
        }
        Event::PolicyRejected { in_force, problems } => {
            format!(
                "{} problems, {} stays: {}",
                problems.len(),
                in_force.short(),
                problems.first().map_or(String::new(), |p| p.escape_debug().to_string())
            )
        }
        Event::TrustLoaded { detail } => detail.escape_debug().to_string(),
        Event::TrustRejected { problem } => problem.escape_debug().to_string(),
        Event::LockAdded { subject, reason, by, .. } => {
            format!("{} by {}: {}", subject.escape_debug(), by.escape_debug(), reason.escape_debug())
        }
        Event::LockRemoved { subject, by, .. } => format!("{} by {}", subject.escape_debug(), by.escape_debug()),
        Event::SessionTerminated { session, by, .. } => format!("{session} by {}", by.name()),
        Event::Alarm { what, detail } => format!("{}: {}", what.escape_debug(), detail.escape_debug()),
    }
}

fn asked(request: &RequestFacts) -> String {
    format!("{} -> {}@{} {}", request.identity.name(), request.account, request.element, request.action)
}

fn why(decision: &DecisionFacts) -> String {
    use crate::domain::Reason;
    let rule = decision.rule.as_ref().map_or(String::new(), |rule| format!(" {rule}"));
    match &decision.reason {
        Reason::RuleAllows => format!("allowed by{rule}"),
        Reason::RuleDenies => format!("denied by{rule}"),
        Reason::NoRule => "no row allows it".to_owned(),
        Reason::Obligation(text) => format!("obligation: {}", text.escape_debug()),
        Reason::Gateway(text) => format!("gateway: {}", text.escape_debug()),
        Reason::Engine(text) => format!("engine: {}", text.escape_debug()),
    }
}
