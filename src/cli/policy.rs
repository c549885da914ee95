//! `sallyport policy check|test|explain|import-nacm`: what the security team runs before, and after, it changes policy.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use time::OffsetDateTime;

use crate::domain::{
    Account, Action, Assurance, Device, Door, Effect, ElementName, Identity, Request, RuleRef, Timestamp, TrustDomain,
    Verb,
};
use crate::element::Inventory;
use crate::policy::{ElementTags, Explanation, Folder, PolicySet, Problem, reason_text};

use super::{Exit, Failure};

/// More rows that almost match are counted, not shown.
const NEAR_MISSES_SHOWN: usize = 20;

/// Check, test, explain and import policy
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load a policy folder as the gateway would, and show every mistake with file and line
    Check {
        #[command(flatten)]
        folder: FolderArgs,
    },
    /// Run the cases of a policy folder; exit code 1 when one is decided otherwise
    Test {
        #[command(flatten)]
        folder: FolderArgs,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Say how a request is decided, by which row, and what it would take
    Explain(Box<ExplainArgs>),
    ImportNacm(super::nacm::Args),
}

/// Where the policy folder is.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct FolderArgs {
    /// The policy folder
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The gateway's configuration, which names the policy folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct ExplainArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Who asks, such as user:noc-engineer
    #[arg(long, value_name = "user:NAME")]
    who: String,
    /// The element; `gateway` is the gateway itself
    #[arg(long)]
    element: ElementName,
    /// The account on the element [default: the element's own default]
    #[arg(long)]
    account: Option<Account>,
    /// What is asked, such as ssh.exec
    #[arg(long)]
    verb: Verb,
    /// What it is done to: a command line, a path, a destination
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    object: String,
    /// The door: mtls, ssh or local
    #[arg(long, default_value = "mtls", value_parser = door)]
    door: Door,
    /// The assurance level, 1 to 3
    #[arg(long, default_value = "2", value_parser = assurance)]
    assurance: Assurance,
    /// The credential names a device
    #[arg(long)]
    device: bool,
    /// Where the client comes from
    #[arg(long, default_value = "192.0.2.1")]
    source: IpAddr,
    /// When, in RFC 3339 form [default: now]
    #[arg(long)]
    at: Option<Timestamp>,
    /// When the session was opened [default: the same moment]
    #[arg(long)]
    opened_at: Option<Timestamp>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Check { folder } => check(&folder),
        Command::Test { folder, json } => test(&folder, json),
        Command::Explain(args) => explain(&args),
        Command::ImportNacm(args) => super::nacm::run(&args),
    }
}

fn check(folder: &FolderArgs) -> Result<(), Failure> {
    let source = Source::open(folder)?;
    let set = PolicySet::of(&source.folder, &source.tags).map_err(|problems| mistakes(&problems))?;
    let mut text = String::new();
    for warning in set.warnings() {
        line(&mut text, format_args!("warning: {warning}"));
    }
    let (rows, cases) = (set.row_count(), set.cases().len());
    line(
        &mut text,
        format_args!("revision {}: {rows} rows, {cases} cases, {} elements", set.revision().short(), source.tags.len()),
    );
    print(&text)
}

fn test(folder: &FolderArgs, json: bool) -> Result<(), Failure> {
    let source = Source::open(folder)?;
    let set = PolicySet::with_failures(&source.folder, &source.tags).map_err(|problems| mistakes(&problems))?;
    let failed = set.cases().iter().filter(|case| case.failure.is_some()).count();
    if json {
        let cases: Vec<_> = set
            .cases()
            .iter()
            .map(|case| json!({ "name": case.name, "line": case.line, "passed": case.failure.is_none(), "failure": case.failure }))
            .collect();
        print(&format!("{}\n", json!(cases)))?;
    } else {
        let mut text = String::new();
        for case in set.cases() {
            match &case.failure {
                None => line(&mut text, format_args!("ok    {}", case.name)),
                Some(failure) => {
                    line(&mut text, format_args!("FAIL  {}\n      cases.toml:{}: {failure}", case.name, case.line))
                }
            }
        }
        line(&mut text, format_args!("{} of {} cases hold", set.cases().len() - failed, set.cases().len()));
        print(&text)?;
    }
    if failed == 0 { Ok(()) } else { Err(Failure::new(Exit::Failed, format!("{failed} cases are decided otherwise"))) }
}

fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let source = Source::open(&args.folder)?;
    let set = PolicySet::with_failures(&source.folder, &source.tags).map_err(|problems| mistakes(&problems))?;
    let request = request(args, &source)?;
    let told = set.explain(&request);
    if args.json {
        return print(&format!("{}\n", as_json(&told)));
    }
    let mut text = as_text(&request, &told);
    let known =
        request.element == ElementName::gateway() || source.tags.iter().any(|tags| tags.name == request.element);
    if !known {
        line(
            &mut text,
            format_args!("note: `{}` is not in elements.toml, so it is in no group of its own", request.element),
        );
    }
    if set.cases().iter().any(|case| case.failure.is_some()) {
        line(
            &mut text,
            format_args!("note: cases of this set fail, so the gateway would not load it; see `sallyport policy test`"),
        );
    }
    print(&text)
}

fn request(args: &ExplainArgs, source: &Source) -> Result<Request, Failure> {
    let name = args
        .who
        .strip_prefix("user:")
        .ok_or_else(|| Failure::usage(format!("write --who as user:NAME, not `{}`", args.who)))?;
    // Rows name people without their trust domain, so any will do.
    let domain: TrustDomain = "explain.invalid".parse().map_err(Failure::usage)?;
    let account = match (&args.account, source.inventory.find(&args.element)) {
        (Some(account), _) => account.clone(),
        (None, Some(element)) => element.default_account().clone(),
        (None, None) => "admin".parse().map_err(Failure::usage)?,
    };
    let at = args.at.unwrap_or_else(now);
    Ok(Request {
        who: Identity::new(domain.clone(), name).map_err(Failure::usage)?,
        device: args.device.then(|| Device::new(domain, "a-device")).transpose().map_err(Failure::usage)?,
        assurance: args.assurance,
        door: args.door,
        source: args.source,
        element: args.element.clone(),
        account,
        action: Action::new(args.verb, args.object.clone()),
        at,
        session_opened_at: args.opened_at.unwrap_or(at),
    })
}

/// A policy folder and the elements in it.
struct Source {
    folder: Folder,
    inventory: Inventory,
    tags: Vec<ElementTags>,
}

impl Source {
    fn open(folder: &FolderArgs) -> Result<Self, Failure> {
        let dir = match (&folder.policies, &folder.config) {
            (Some(dir), _) => dir.clone(),
            (None, Some(file)) => {
                crate::config::load(file).map_err(|mistakes| Failure::usage(mistakes.join("\n")))?.policies_dir
            }
            (None, None) => {
                return Err(Failure::usage(
                    "name the policy folder with --policies, or the configuration with --config",
                ));
            }
        };
        let folder = Folder::read(&dir).map_err(|problems| mistakes(&problems))?;
        // A folder that is written before there are elements can be checked too.
        let mut problems = Vec::new();
        let inventory = match folder.text("elements.toml", &mut problems) {
            Some(text) => Inventory::parse(&text).map_err(|problems| mistakes(&problems))?,
            None if problems.is_empty() => Inventory::default(),
            None => return Err(mistakes(&problems)),
        };
        let tags = inventory.tags();
        Ok(Self { folder, inventory, tags })
    }
}

fn mistakes(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let word = if lines.len() == 1 { "mistake" } else { "mistakes" };
    Failure::usage(format!("the policy folder has {} {word}\n{}", lines.len(), lines.join("\n")))
}

fn as_text(request: &Request, told: &Explanation) -> String {
    let mut text = String::new();
    let decision = &told.decision;
    line(&mut text, format_args!("{}: {}", word(decision.effect), reason_text(&decision.reason)));
    if let Some(rule) = &decision.rule {
        line(&mut text, format_args!("  row      {}", row(rule)));
    }
    line(&mut text, format_args!("  asked    {} as {}, at {}", request.action, request.account, request.at));
    if told.unreadable {
        let why = "the object is no data path in its one form, so every deny matches it and no allow does; write running:/a/b[key='value']/c";
        line(&mut text, format_args!("  note     {why}"));
    }
    line(&mut text, format_args!("  names    {}", told.names.join(" ")));
    if let Some(until) = decision.until {
        line(&mut text, format_args!("  until    {until}"));
    }
    line(&mut text, format_args!("  revision {}", decision.revision.short()));
    if !told.matching.is_empty() {
        line(&mut text, format_args!("rows that match"));
    }
    for (rule, effect) in &told.matching {
        line(&mut text, format_args!("  {:<8} {}", word(*effect), row(rule)));
    }
    if !told.obligations.is_empty() {
        line(&mut text, format_args!("obligations"));
    }
    for obliged in &told.obligations {
        let standing = if obliged.failure.is_none() { "holds" } else { "fails" };
        line(&mut text, format_args!("  {standing:<8} {}", row(&obliged.rule)));
        if let Some(failure) = &obliged.failure {
            line(&mut text, format_args!("           {failure}"));
        }
    }
    if !decision.allows() {
        near_misses(&mut text, told);
        line(&mut text, format_args!("ask {}", told.contact));
    }
    text
}

fn near_misses(text: &mut String, told: &Explanation) {
    if told.near_misses.is_empty() {
        return;
    }
    line(text, format_args!("rows that would allow it but for one field"));
    for near in told.near_misses.iter().take(NEAR_MISSES_SHOWN) {
        line(text, format_args!("  {:<8} {}", near.field, row(&near.rule)));
    }
    if told.near_misses.len() > NEAR_MISSES_SHOWN {
        line(text, format_args!("  and {} more", told.near_misses.len() - NEAR_MISSES_SHOWN));
    }
}

fn as_json(told: &Explanation) -> serde_json::Value {
    let decision = &told.decision;
    json!({
        "effect": decision.effect,
        "reason": decision.reason,
        "rule": decision.rule,
        "until": decision.until,
        "revision": decision.revision,
        "names": told.names,
        "matching": told.matching.iter().map(|(rule, effect)| json!({ "effect": effect, "rule": rule })).collect::<Vec<_>>(),
        "obligations": told.obligations.iter()
            .map(|o| json!({ "obligation": o.obligation, "rule": o.rule, "failure": o.failure })).collect::<Vec<_>>(),
        "near_misses": told.near_misses.iter().map(|n| json!({ "field": n.field, "rule": n.rule })).collect::<Vec<_>>(),
        "contact": told.contact,
    })
}

fn row(rule: &RuleRef) -> String {
    format!("{rule}  {}", rule.text)
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(text, "{words}").unwrap_or_default();
}

fn print(text: &str) -> Result<(), Failure> {
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::usage(format!("cannot write the answer: {error}")))
}

fn door(text: &str) -> Result<Door, String> {
    [Door::Mtls, Door::Ssh, Door::Local]
        .into_iter()
        .find(|door| door.as_str() == text)
        .ok_or_else(|| "write mtls, ssh or local".to_owned())
}

fn assurance(text: &str) -> Result<Assurance, String> {
    match text {
        "1" => Ok(Assurance::SoftwareKey),
        "2" => Ok(Assurance::MutualTls),
        "3" => Ok(Assurance::HardwareBound),
        _ => Err("write 1 (software key), 2 (mutual TLS) or 3 (hardware-bound)".to_owned()),
    }
}

#[expect(clippy::disallowed_methods, reason = "commands may read the clock")]
fn now() -> Timestamp {
    OffsetDateTime::now_utc().unix_timestamp_nanos().try_into().map_or(Timestamp::from_secs(0), Timestamp::from_nanos)
}
