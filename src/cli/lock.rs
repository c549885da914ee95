//! `sallyport lock`: shut an identity, a device or an element out at once.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::clock::now;
use super::{Exit, Failure};
use crate::console::{ApiClient, LockBody};
use crate::domain::parse_duration;
use crate::identity::{Lock, LockSubject, Locks};

/// Shut an identity, a device or an element out at once, whatever policy says
///
/// A running gateway takes the change up by itself, ends live sessions and writes it to the audit log.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(Add),
    List(List),
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
struct File {
    /// The gateway's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Act as this identity (a folder with cert.pem and key.pem), through the running gateway, as its policy allows; without it, act as
    /// whoever can write the gateway's files
    #[arg(long, value_name = "DIR")]
    identity: Option<PathBuf>,
}

impl File {
    /// The gateway to ask, when an identity asks.
    fn api(&self) -> Result<Option<ApiClient>, Failure> {
        let Some(identity) = &self.identity else { return Ok(None) };
        let config = super::serve::load(&self.config)?;
        let found = super::api::find(&config, &super::ca::identity_folder(Some(identity))?)?;
        found
            .map(Some)
            .ok_or_else(|| Failure::new(Exit::Unreachable, "the gateway does not run; lock without --identity"))
    }
}

/// Add a lock, or change its terms
#[derive(Debug, clap::Args)]
struct Add {
    /// user:NAME, device:NAME or element:NAME
    subject: LockSubject,
    /// Why, for the person who is shut out and for the audit log
    #[arg(long)]
    reason: String,
    /// For how long; for good when not given
    #[arg(long = "for", value_name = "SPAN", value_parser = parse_duration)]
    span: Option<Duration>,
    /// Who sets it [default: the account that runs this]
    #[arg(long)]
    by: Option<String>,
    #[command(flatten)]
    file: File,
}

/// Show the locks in force
#[derive(Debug, clap::Args)]
struct List {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: File,
}

/// Take a lock away
#[derive(Debug, clap::Args)]
struct Remove {
    /// user:NAME, device:NAME or element:NAME
    subject: LockSubject,
    #[command(flatten)]
    file: File,
}

/// Runs it.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let text = match args.command {
        Command::Add(args) => add(args)?,
        Command::List(args) => list(&args)?,
        Command::Remove(args) => remove(&args)?,
    };
    writeln!(std::io::stdout(), "{text}").map_err(|e| Failure::new(Exit::Failed, e))
}

fn add(args: Add) -> Result<String, Failure> {
    let at = now();
    let by = args
        .by
        .or_else(|| std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok())
        .unwrap_or_else(|| "unknown".to_owned());
    let until = args.span.map(|span| at.plus(span));
    let text = match until {
        Some(until) => format!("locked {} until {until}", args.subject),
        None => format!("locked {} for good", args.subject),
    };
    if let Some(api) = args.file.api()? {
        let body = LockBody { subject: args.subject, reason: args.reason, until };
        return api.lock(&body).map(|_| text).map_err(Failure::from);
    }
    open(&args.file)?
        .add(Lock { subject: args.subject, reason: args.reason, by, at, until })
        .map_err(|e| Failure::new(Exit::Failed, e))?;
    Ok(text)
}

fn list(args: &List) -> Result<String, Failure> {
    let locks = open(&args.file)?.list(now());
    if args.json {
        return serde_json::to_string(&locks).map_err(|e| Failure::new(Exit::Failed, e));
    }
    let lines: Vec<String> = locks
        .iter()
        .map(|lock| {
            let until = lock.until.map_or_else(|| "for good".to_owned(), |until| format!("until {until}"));
            format!("{}  {until}  by {} at {}: {}", lock.subject, lock.by, lock.at, lock.reason)
        })
        .collect();
    Ok(if lines.is_empty() { "nothing is locked".to_owned() } else { lines.join("\n") })
}

fn remove(args: &Remove) -> Result<String, Failure> {
    if let Some(api) = args.file.api()? {
        let body = LockBody { subject: args.subject.clone(), reason: String::new(), until: None };
        let answer = api.unlock(&body)?;
        return Ok(format!("{} {}", answer.message, args.subject));
    }
    match open(&args.file)?.remove(&args.subject).map_err(|e| Failure::new(Exit::Failed, e))? {
        true => Ok(format!("unlocked {}", args.subject)),
        false => Err(Failure::new(
            Exit::Failed,
            format!("{} is not locked; `sallyport lock list` shows what is", args.subject),
        )),
    }
}

fn open(file: &File) -> Result<Locks, Failure> {
    let locks_file = locks_file(&file.config)?;
    Locks::open(&locks_file).map_err(Failure::usage)
}

/// Where the configuration says that the gateway keeps its locks. Only that much of it is read: an emergency must not wait until
/// every other line of it is right.
fn locks_file(config: &std::path::Path) -> Result<PathBuf, Failure> {
    let wrong = |what: &dyn std::fmt::Display| Failure::usage(format!("{}: {what}", config.display()));
    let text = std::fs::read_to_string(config).map_err(|e| wrong(&e))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| wrong(&e.message()))?;
    let data_dir = table.get("gateway").and_then(|gateway| gateway.get("data_dir")).and_then(toml::Value::as_str);
    let data_dir = data_dir.ok_or_else(|| wrong(&"no data_dir under [gateway]"))?;
    Ok(config.parent().unwrap_or(std::path::Path::new(".")).join(data_dir).join("locks.json"))
}
