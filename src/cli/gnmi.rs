//! `sallyport gnmi`: a small gNMI client for the mTLS door.

mod show;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ca::identity_folder;
use super::{Exit, Failure, connect};
use crate::identity::folder::IdentityFolder;
use crate::identity::tls;
use crate::protocol::gnmi::client::{CallError, Client};
use crate::protocol::gnmi::method::Method;
use crate::protocol::gnmi::request::{path, update};
use crate::protocol::gnmi::text::text;
use crate::protocol::gnmi::wire::Writer;
use show::Shown;

/// For calls that end by themselves.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The number of `JSON_IETF` among encodings.
const JSON_IETF: u64 = 4;

/// Read, change and follow an element's data by gNMI, through the mTLS door
///
/// Paths are written /name/name[key=value]/name. Answers are shown a leaf a line: its path, two blanks, its value.
///
/// Exit codes: 0 done, 1 the element did not do it, 2 usage, 3 denied by policy (the message says whom to ask), 4 the gateway or the element
/// could not be reached.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The identity's folder [default: $SALLYPORT_IDENTITY, else ~/.sallyport]
    #[arg(long, value_name = "DIR", global = true)]
    identity: Option<PathBuf>,
    /// The mTLS door [default: as the folder says]
    #[arg(long, value_name = "HOST:PORT", global = true)]
    gateway: Option<String>,
    /// As JSON, in the names of the specification: one answer a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What the element can do: version, encodings, models
    Capabilities {
        /// The element: core-rtr-1, or core-rtr-1.DOMAIN
        element: String,
    },
    Get(Get),
    Set(Set),
    Subscribe(Subscribe),
}

/// Read data once
#[derive(Debug, clap::Args)]
struct Get {
    /// The element: core-rtr-1, or core-rtr-1.DOMAIN
    element: String,
    /// What to read; quote it, for [ and * mean something to shells
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// Which data
    #[arg(long = "type", value_enum, default_value_t = Type::All)]
    kind: Type,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Type {
    All,
    Config,
    State,
    Operational,
}

/// Change data: all of it or, when anything is denied or wrong, none
///
/// VALUE is JSON (text in quotes, 9000, true, {"mtu": 9000}); what is not JSON is taken as text. The element does deletes first, then replaces, then
/// updates.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("changes").args(["update", "replace", "delete"]).required(true).multiple(true))]
struct Set {
    /// The element: core-rtr-1, or core-rtr-1.DOMAIN
    element: String,
    /// Merge a value into what is there; any number of times
    #[arg(long, value_name = "PATH=VALUE")]
    update: Vec<String>,
    /// Put a value in place of what is there, with all below it
    #[arg(long, value_name = "PATH=VALUE")]
    replace: Vec<String>,
    /// Remove what is there
    #[arg(long, value_name = "PATH")]
    delete: Vec<String>,
}

/// Follow data: what it is now, and then each change, until Ctrl-C
#[derive(Debug, clap::Args)]
struct Subscribe {
    /// The element: core-rtr-1, or core-rtr-1.DOMAIN
    element: String,
    /// What to follow; quote it
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// Stream follows; once tells what is there and ends
    #[arg(long, value_enum, default_value_t = Mode::Stream)]
    mode: Mode,
    /// Tell again so often, changed or not (10s, 1m); without it, at each change
    #[arg(long, value_name = "TIME", value_parser = crate::domain::parse_duration)]
    sample: Option<Duration>,
    /// End after so many answers
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    Once,
    Stream,
}

/// A call to make.
struct Call<'a> {
    element: &'a str,
    method: &'static str,
    request: Writer,
    shown: Shown,
    /// Whether it goes on until somebody ends it, and after how many answers it has been enough.
    follows: bool,
    count: Option<u64>,
}

/// Runs it.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let call = call(&args.command)?;
    let folder = IdentityFolder::at(&identity_folder(args.identity.as_deref())?);
    let facts = folder.gateway().map_err(Failure::usage)?;
    let credential = folder.client_credential().map_err(Failure::usage)?;
    let server = connect::server_name(call.element, &facts.domain)?;
    let tls = tls::client_config(credential.authorities, &facts.domain, credential.chain, credential.key, &[b"h2"])
        .map_err(|e| Failure::usage(format!("{}: {e}", folder.path().display())))?;
    let address = args.gateway.unwrap_or(facts.gateway);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::usage)?;
    runtime.block_on(async {
        let name = server.to_str().into_owned();
        let stream = connect::dial(&address, server, Arc::new(tls)).await?;
        let mut client = Client::over(stream, &name).await.map_err(|e| failure(&address, e))?;
        let done = async {
            tokio::select! {
                done = carry_out(&mut client, &call, args.json) => done,
                // Who follows ends it so.
                _ = tokio::signal::ctrl_c(), if call.follows => Ok(()),
            }
        };
        let done = if call.follows { Ok(done.await) } else { tokio::time::timeout(CALL_TIMEOUT, done).await };
        client.end().await;
        match done {
            // Whoever reads has had enough: `| head`.
            Ok(Err(Ended::Output(error))) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Ok(done) => done.map_err(|error| match error {
                Ended::Call(error) => failure(&address, error),
                Ended::Output(error) => Failure::new(Exit::Failed, error),
            }),
            Err(_) => Err(Failure::new(Exit::Unreachable, format!("{address}: no answer in {CALL_TIMEOUT:?}"))),
        }
    })
}

enum Ended {
    Call(CallError),
    Output(std::io::Error),
}

async fn carry_out(client: &mut Client, call: &Call<'_>, json: bool) -> Result<(), Ended> {
    let method = Method::find(call.method)
        .ok_or_else(|| Ended::Call(CallError::Broken(format!("{} is not a method", call.method))))?;
    let request = call.request.clone().finish();
    let mut answers = client.call(method, &request, call.follows).await.map_err(Ended::Call)?;
    let mut left = call.count;
    while left != Some(0) {
        let Some(message) = answers.next().await.map_err(Ended::Call)? else { break };
        let (line, _) = text(method.response, &message, usize::MAX);
        let lines = if json { line } else { call.shown.lines(&line) };
        let mut out = std::io::stdout().lock();
        if !lines.is_empty() {
            writeln!(out, "{}", crate::domain::plain::escaped(&lines))
                .and_then(|()| out.flush())
                .map_err(Ended::Output)?;
        }
        left = left.map(|left| left - 1);
    }
    Ok(())
}

/// What became of it, for people and for exit codes (codes of gRPC: 3 invalid, 7 denied, 14 unavailable, 16 not known).
fn failure(address: &str, error: CallError) -> Failure {
    match &error {
        // The door says no to a certificate when the handshake is over for the client already.
        CallError::Broken(text) if text.contains("fatal alert") => Failure::new(
            Exit::Denied,
            format!("{address}: the gateway does not accept your certificate; `sallyport whoami` shows it ({text})"),
        ),
        CallError::Broken(text) => Failure::new(Exit::Unreachable, format!("{address}: {text}")),
        CallError::Status { code: 7 | 16, text } => Failure::new(Exit::Denied, text),
        CallError::Status { code: 14, text } => Failure::new(Exit::Unreachable, text),
        CallError::Status { .. } => Failure::new(Exit::Failed, error),
    }
}

fn call(command: &Command) -> Result<Call<'_>, Failure> {
    let at = |text: &str| path(text).map_err(Failure::usage);
    let mut call = match command {
        Command::Capabilities { element } => Call {
            element,
            method: "/gnmi.gNMI/Capabilities",
            request: Writer::new(),
            shown: Shown::Capabilities,
            follows: false,
            count: None,
        },
        Command::Get(get) => Call {
            element: &get.element,
            method: "/gnmi.gNMI/Get",
            request: Writer::new(),
            shown: Shown::Notifications,
            follows: false,
            count: None,
        },
        Command::Set(set) => Call {
            element: &set.element,
            method: "/gnmi.gNMI/Set",
            request: Writer::new(),
            shown: Shown::Results,
            follows: false,
            count: None,
        },
        Command::Subscribe(subscribe) => Call {
            element: &subscribe.element,
            method: "/gnmi.gNMI/Subscribe",
            request: Writer::new(),
            shown: Shown::Notifications,
            follows: subscribe.mode == Mode::Stream,
            count: subscribe.count,
        },
    };
    match command {
        Command::Capabilities { .. } => {}
        Command::Get(get) => {
            for path in &get.paths {
                call.request = call.request.message(2, &at(path)?);
            }
            let kind = match get.kind {
                Type::All => 0,
                Type::Config => 1,
                Type::State => 2,
                Type::Operational => 3,
            };
            call.request = call.request.number(3, kind).number(5, JSON_IETF);
        }
        Command::Set(set) => {
            for path in &set.delete {
                call.request = call.request.message(2, &at(path)?);
            }
            for (number, all) in [(3, &set.replace), (4, &set.update)] {
                for text in all {
                    let (path, value) = pair(text)
                        .ok_or_else(|| Failure::usage(format!("`{}`: write PATH=VALUE", text.escape_debug())))?;
                    call.request = call.request.message(number, &update(path, &value).map_err(Failure::usage)?);
                }
            }
        }
        Command::Subscribe(subscribe) => {
            let mut list = Writer::new();
            for path in &subscribe.paths {
                let mut one = Writer::new().message(1, &at(path)?);
                if let Some(sample) = subscribe.sample {
                    one = one.number(2, 2).number(3, u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX));
                }
                list = list.message(2, &one);
            }
            list = list.number(5, u64::from(subscribe.mode == Mode::Once)).number(8, JSON_IETF);
            call.request = Writer::new().message(1, &list);
        }
    }
    Ok(call)
}

/// A path and a JSON value from `PATH=VALUE`; the `=` of keys stand in brackets.
fn pair(text: &str) -> Option<(&str, String)> {
    let (mut inside, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '[' => inside = true,
            ']' => inside = false,
            '=' if !inside => {
                let (path, value) = (text.get(..at)?, text.get(at + 1..)?);
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok();
                let value = if is_json { value.to_owned() } else { serde_json::Value::from(value).to_string() };
                return Some((path, value));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_values() {
        for (text, expected) in [
            ("/a[k=v]/b=9000", Some(("/a[k=v]/b", "9000"))),
            ("/a=true", Some(("/a", "true"))),
            ("/a=\"x\"", Some(("/a", "\"x\""))),
            ("/a=by gNMI", Some(("/a", "\"by gNMI\""))),
            ("/a={\"b\": 1}", Some(("/a", "{\"b\": 1}"))),
            ("/a={b: 1}", Some(("/a", "\"{b: 1}\""))),
            ("/a[k=v\\]=]/b=1=2", Some(("/a[k=v\\]=]/b", "\"1=2\""))),
            ("/a=", Some(("/a", "\"\""))),
            ("/a", None),
            ("/a[k=v]", None),
            ("", None),
        ] {
            assert_eq!(pair(text), expected.map(|(path, value)| (path, value.to_owned())), "{text}");
        }
    }

    #[test]
    fn exit_codes() {
        let status = |code| CallError::Status { code, text: "why".to_owned() };
        for (error, exit) in [
            (status(7), Exit::Denied),
            (status(16), Exit::Denied),
            (status(14), Exit::Unreachable),
            (status(3), Exit::Failed),
            (status(5), Exit::Failed),
            (CallError::Broken("x".to_owned()), Exit::Unreachable),
        ] {
            assert_eq!(failure("gw:1", error.clone()).exit, exit, "{error}");
        }
    }
}
