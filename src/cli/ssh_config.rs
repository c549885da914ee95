//! `sallyport ssh-config`: a block for `~/.ssh/config`.

use std::io::Write as _;
use std::path::PathBuf;

use super::ca::{identity_folder, program};
use super::{Exit, Failure};
use crate::identity::folder::IdentityFolder;
use crate::identity::ssh_config::{Block, render};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DoorName {
    /// TLS with a client certificate
    Mtls,
    /// An OpenSSH user certificate, by way of ProxyJump
    Ssh,
}

/// Print a block for ~/.ssh/config with which plain ssh, scp, sftp and rsync go through the gateway
///
/// Host keys are vouched for by the gateway's authority, so that nobody is ever asked to accept one. Without --host it applies to
/// every ELEMENT.DOMAIN; name short names with --host, or use --host '*' in a file of its own for `ssh -F`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The identity's folder [default: $SALLYPORT_IDENTITY, else ~/.sallyport]
    #[arg(long, value_name = "DIR")]
    identity: Option<PathBuf>,
    /// The door's address [default: as the folder says]
    #[arg(long, value_name = "HOST:PORT")]
    gateway: Option<String>,
    /// Which door
    #[arg(long, value_enum, default_value = "mtls")]
    door: DoorName,
    /// A host name or pattern; may be repeated [default: *.DOMAIN]
    #[arg(long = "host", value_name = "PATTERN")]
    hosts: Vec<String>,
    /// Print lines for known_hosts in place of the block, one for each --host: the gateway's own key, for clients that know no host authority
    /// (Paramiko, Netmiko, dropbear, PuTTY). Several of these take names and no patterns, so name what you connect to
    #[arg(long, conflicts_with_all = ["gateway", "door"])]
    known_hosts: bool,
}

/// Runs it.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let path = identity_folder(args.identity.as_deref())?;
    let folder = IdentityFolder::at(&path);
    if args.known_hosts {
        return print(&known_hosts(&folder, args.hosts)?);
    }
    let mut gateway = folder.gateway().map_err(Failure::usage)?;
    let shown = folder.shown(None).map_err(Failure::usage)?;
    let ssh_door = args.door == DoorName::Ssh;
    match (args.gateway, ssh_door) {
        (Some(address), true) => gateway.ssh_gateway = Some(address),
        (Some(address), false) => gateway.gateway = address,
        (None, _) => {}
    }
    let hosts = if args.hosts.is_empty() { vec![format!("*.{}", gateway.domain)] } else { args.hosts };
    let program = program()?;
    let block = Block {
        folder: &path,
        name: shown.identity.name(),
        program: &program,
        gateway: &gateway,
        hosts: &hosts,
        ssh_door,
    };
    print(&render(&block).map_err(Failure::usage)?)
}

/// The gateway's key under each name, or under the gateway's own.
fn known_hosts(folder: &IdentityFolder, names: Vec<String>) -> Result<String, Failure> {
    let key = folder.host_key().map_err(Failure::usage)?;
    let names = if names.is_empty() { vec![folder.gateway().map_err(Failure::usage)?.domain] } else { names };
    if let Some(bad) =
        names.iter().find(|name| name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ','))
    {
        return Err(Failure::usage(format!("`{}` cannot stand in known_hosts", bad.escape_debug())));
    }
    Ok(names.iter().map(|name| format!("{name} {key}\n")).collect())
}

fn print(text: &str) -> Result<(), Failure> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| Failure::new(Exit::Failed, e))
}
