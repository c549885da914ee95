//! `sallyport secrets`: the passwords and keys that elements need, sealed at rest. No value is ever shown or taken as an argument.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::{Command as Program, Stdio};

use clap::Subcommand;
use zeroize::Zeroizing;

use super::elements::{load, print};
use super::{Exit, Failure};
use crate::element::credential::SecretName;
use crate::element::secrets::{Secrets, SecretsError};

/// Longest value read: a private key has a few hundred bytes, a chain of keys a few thousand.
const INPUT_BYTES_MAX: u64 = 64 * 1024 + 1;

/// Store, list or remove the secrets that elements need
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Store a secret, in place of one of the same name
    ///
    /// The value comes from standard input: typed without echo on a terminal, or piped (`< keyfile`). One line end at its end is
    /// not part of it, unless it is a private key.
    Set {
        /// Its name, as elements.toml gives it
        name: SecretName,
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// List the names of stored secrets
    List {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// As a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Remove a secret
    Remove {
        /// Its name
        name: SecretName,
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Set { name, config } => {
            let secrets = open(&config)?;
            let value = read_value(&name)?;
            secrets.write(&name, trimmed(&value)).map_err(failure)?;
            print(&format!("stored `{name}`\n"))
        }
        Command::List { config, json } => {
            let names: Vec<String> = open(&config)?.names().map_err(failure)?.iter().map(ToString::to_string).collect();
            if json {
                return print(&format!("{}\n", serde_json::json!(names)));
            }
            print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())
        }
        Command::Remove { name, config } => {
            open(&config)?.remove(&name).map_err(failure)?;
            print(&format!("removed `{name}`\n"))
        }
    }
}

fn open(config: &std::path::Path) -> Result<Secrets, Failure> {
    let config = load(config)?;
    Secrets::open(&config.element.secrets_dir, &config.element.secrets_key_file).map_err(failure)
}

fn failure(error: SecretsError) -> Failure {
    let exit = match error {
        SecretsError::Key { .. } | SecretsError::Size => Exit::Usage,
        SecretsError::Missing(_) | SecretsError::Sealed(_) | SecretsError::Io { .. } => Exit::Failed,
    };
    Failure::new(exit, error)
}

#[expect(clippy::print_stderr, reason = "the question stands beside the output, not in it")]
fn read_value(name: &SecretName) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let terminal = std::io::stdin().is_terminal();
    let quiet = if terminal {
        eprint!("value of `{name}`, not shown: ");
        Some(Quiet::start()?)
    } else {
        None
    };
    let mut value = Zeroizing::new(Vec::with_capacity(4096));
    let read = if terminal {
        read_line(&mut value)
    } else {
        std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_end(&mut value).map(drop)
    };
    drop(quiet);
    if terminal {
        eprintln!();
    }
    read.map_err(|error| Failure::new(Exit::Failed, error))?;
    Ok(value)
}

fn read_line(value: &mut Vec<u8>) -> std::io::Result<()> {
    for byte in std::io::stdin().lock().take(INPUT_BYTES_MAX).bytes() {
        match byte? {
            b'\n' => return Ok(()),
            byte => value.push(byte),
        }
    }
    Ok(())
}

/// `echo hunter2 | sallyport secrets set x` stores `hunter2`; a key file keeps the line end that its format wants.
fn trimmed(value: &[u8]) -> &[u8] {
    if value.starts_with(b"-----BEGIN") {
        return value;
    }
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    value.strip_suffix(b"\r").unwrap_or(value)
}

/// The terminal shows nothing that is typed while this lives.
struct Quiet;

impl Quiet {
    fn start() -> Result<Self, Failure> {
        // SECURITY: rather no secret than one on the screen.
        if stty("-echo") {
            Ok(Self)
        } else {
            Err(Failure::usage("the terminal's echo cannot be switched off (no stty); pipe the value in"))
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(mode: &str) -> bool {
    let done =
        Program::new("stty").arg(mode).stdin(Stdio::inherit()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_not_part_of_a_password() {
        for (value, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("", "")]
        {
            assert_eq!(trimmed(value.as_bytes()), expected.as_bytes(), "{value:?}");
        }
        let key = format!("-----BEGIN {} KEY-----\n", "OPENSSH PRIVATE");
        assert_eq!(trimmed(key.as_bytes()), key.as_bytes());
    }
}
