//! The command line: a contract (see the README). Each subcommand is one file.

mod api;
mod audit;
mod ca;
mod check;
mod clock;
mod connect;
mod data;
mod demo;
mod elements;
mod exit;
mod export;
mod foundation;
mod lock;
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

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::domain::plain::escaped;

pub use exit::{Exit, Failure};

/// The one door to a carrier's core network elements
///
/// Sallyport admits people and devices by mutual TLS, decides every action by policy, reaches the element as them, and records what was done
/// so that an auditor can replay and prove it.
///
/// Exit codes: 0 done, 1 the thing asked about failed, 2 usage or configuration, 3 denied by policy, 4 could not reach.
#[derive(Debug, Parser)]
#[command(name = "sallyport", version, long_version = LONG_VERSION, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Build facts for `--version`.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nTLS and signatures: rustls and aws-lc-rs\nSSH: russh\npolicy: casbin\nunsafe code: forbidden"
);

#[derive(Debug, Subcommand)]
enum Command {
    Audit(audit::Args),
    Check(check::Args),
    Demo(demo::Args),
    Elements(elements::Args),
    Export(export::Args),
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
    let result = match Cli::parse().command {
        Command::Audit(args) => audit::run(args),
        Command::Check(args) => check::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Elements(args) => elements::run(args),
        Command::Secrets(args) => secrets::run(args),
        Command::Export(args) => export::run(args),
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
