//! The command line: a contract (see the README). Each subcommand is one file.

mod api;
mod api_seen;
mod audit;
mod build_facts;
mod ca;
mod check;
mod clock;
mod connect;
mod data;
mod demo;
mod elements;
mod examples;
mod exit;
mod export;
mod foundation;
mod gnmi;
mod lock;
mod mask;
mod nacm;
mod policy;
mod reading;
mod replay;
mod secrets;
pub mod serve;
mod sessions;
mod ssh_config;
mod verify;
mod watch;
mod whoami;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::domain::plain::escaped;
use build_facts::{BuildFacts, LONG_VERSION, VERSION};

pub use exit::{Exit, Failure};

/// The one door to a carrier's core network elements
///
/// Sallyport admits people and devices by mutual TLS, decides every action by policy, reaches the element as them, and records what was done
/// so that an auditor can replay and prove it. `--version` tells how this program was built, `--version --json` the same for scripts.
///
/// Exit codes: 0 done, 1 the thing asked about failed, 2 usage or configuration, 3 denied by policy, 4 could not reach.
#[derive(Debug, Parser)]
#[command(name = "sallyport", version = VERSION, long_version = LONG_VERSION, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Api(api_seen::Args),
    Audit(audit::Args),
    Check(check::Args),
    Demo(demo::Args),
    Elements(elements::Args),
    Export(export::Args),
    Gnmi(gnmi::Args),
    Replay(replay::Args),
    Secrets(secrets::Args),
    Serve(serve::Args),
    Sessions(sessions::Args),
    Verify(verify::Args),
    Ca(ca::Args),
    Connect(connect::Args),
    Lock(lock::Args),
    Policy(policy::Args),
    SshConfig(ssh_config::Args),
    Whoami(whoami::Args),
}

/// Runs the program.
#[expect(clippy::print_stderr, reason = "this is where commands say what went wrong")]
pub fn run() -> ExitCode {
    if asks_for_facts(std::env::args_os().skip(1)) {
        return print_facts();
    }
    let matches = examples::with_examples(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        Command::Api(args) => api_seen::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Check(args) => check::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Elements(args) => elements::run(args),
        Command::Secrets(args) => secrets::run(args),
        Command::Export(args) => export::run(args),
        Command::Gnmi(args) => gnmi::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Sessions(args) => sessions::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Ca(args) => ca::run(args),
        Command::Connect(args) => connect::run(args),
        Command::Lock(args) => lock::run(args),
        Command::Policy(args) => policy::run(args),
        Command::SshConfig(args) => ssh_config::run(args),
        Command::Whoami(args) => whoami::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sallyport: {}", escaped(&failure.text));
            failure.exit.into()
        }
    }
}

/// Whether somebody asks for `--version --json`, which clap answers as `--version`.
fn asks_for_facts(arguments: impl Iterator<Item = OsString>) -> bool {
    let all: Vec<_> = arguments.collect();
    let of = |names: &[&str]| all.iter().any(|a| names.iter().any(|name| a == name));
    all.len() == 2 && of(&["--version", "-V"]) && of(&["--json"])
}

fn print_facts() -> ExitCode {
    let written = serde_json::to_writer(std::io::stdout(), &BuildFacts::own()).map_err(std::io::Error::from);
    match written.and_then(|()| writeln!(std::io::stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => Exit::Failed.into(),
    }
}
