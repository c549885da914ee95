//! `sallyport ca`: the authority behind identities.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::now;
use super::{Exit, Failure};
use crate::domain::{TrustDomain, parse_duration};
use crate::identity::ca::{self, Authority, CaError, IssueRequest, Issued, Plan};
use crate::identity::folder::GatewayFacts;
use crate::identity::ssh_config::{Block, render};

/// Make an authority, issue short-lived credentials, revoke them
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Init(Init),
    Issue(Issue),
    Revoke(Revoke),
    RefreshCrl(Refresh),
    RenewServer(Refresh),
}

/// Make an authority: X.509 and SSH keys, the gateway's certificates, a configuration and policies to start from
///
/// Nothing is overwritten. Keys are readable by their owner only; keep DIR/ca off the gateway where you can, and copy there only
/// what sallyport.toml names.
#[derive(Debug, clap::Args)]
struct Init {
    /// The folder to make it in
    dir: PathBuf,
    /// Whose identities it vouches for: spiffe://NAME/user/...
    #[arg(long, value_name = "NAME")]
    trust_domain: TrustDomain,
    /// The gateway's domain name; elements are reached as ELEMENT.DOMAIN [default: sallyport.TRUST-DOMAIN]
    #[arg(long)]
    domain: Option<String>,
    /// The gateway's name in its logs
    #[arg(long, default_value = "gw-1")]
    name: String,
    /// Where the mTLS door listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen_mtls: SocketAddr,
    /// Where the SSH door listens; off when not given
    #[arg(long, value_name = "ADDR")]
    listen_ssh: Option<SocketAddr>,
    /// Where metrics and health are
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464")]
    listen_metrics: SocketAddr,
    /// Where clients find the mTLS door, when it is not where it listens
    #[arg(long, value_name = "HOST:PORT")]
    gateway: Option<String>,
    /// A further name or address of the gateway's certificate; may be repeated
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// A person or a program
    User,
}

/// Issue X.509 and SSH credentials to a user: DIR/identities/NAME/
///
/// The folder holds everything a client needs: cert.pem and key.pem for the mTLS door, ssh_key and ssh_key-cert.pub for the SSH
/// door, the gateway's authorities, and an ssh_config that works with `ssh -F`. An earlier folder of the same name is replaced; its
/// credentials stay valid until they run out or are revoked.
#[derive(Debug, clap::Args)]
struct Issue {
    /// The authority's folder
    dir: PathBuf,
    /// What kind of identity
    kind: Kind,
    /// Its name: lower-case letters, digits, '.', '-' and '_'
    name: String,
    /// The device it may be used on, named in the certificates
    #[arg(long, value_name = "D")]
    device: Option<String>,
    /// For how long, at most 30d
    #[arg(long, default_value = "8h", value_parser = parse_duration)]
    ttl: Duration,
    /// A further principal of the SSH certificate; may be repeated
    #[arg(long = "principal", value_name = "NAME")]
    principals: Vec<String>,
    /// An address or network the SSH certificate may be used from; may be repeated
    #[arg(long = "source-address", value_name = "CIDR")]
    source_addresses: Vec<String>,
    /// The key is in hardware: certify the key of this PKCS #10 request, at assurance level 3. You vouch for the hardware
    #[arg(long, value_name = "FILE")]
    hardware_request: Option<PathBuf>,
    /// Where clients find the mTLS door, when it is not where the authority was told
    #[arg(long, value_name = "HOST:PORT")]
    gateway: Option<String>,
}

/// Revoke every credential of a name that has not run out
///
/// A running gateway notices by itself and ends the live sessions of that name.
#[derive(Debug, clap::Args)]
struct Revoke {
    /// The authority's folder
    dir: PathBuf,
    /// Whose credentials
    name: String,
}

/// Sign again what runs out: the revocation list (30 days), or the gateway's certificate (60 days)
#[derive(Debug, clap::Args)]
struct Refresh {
    /// The authority's folder
    dir: PathBuf,
}

/// Runs it.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let text = match args.command {
        Command::Init(args) => init(args),
        Command::Issue(args) => issue(args),
        Command::Revoke(args) => revoke(&args),
        Command::RefreshCrl(args) => Authority::open(&args.dir)
            .and_then(|authority| authority.refresh_crl(now()))
            .map_err(failure)
            .map(|until| format!("the revocation list is good until {until}")),
        Command::RenewServer(args) => Authority::open(&args.dir)
            .and_then(|authority| authority.renew_server(now()))
            .map_err(failure)
            .map(|until| format!("the gateway's certificate is good until {until}")),
    }?;
    writeln!(std::io::stdout(), "{text}").map_err(|e| Failure::new(Exit::Failed, e))
}

fn init(args: Init) -> Result<String, Failure> {
    let domain = args.domain.unwrap_or_else(|| format!("sallyport.{}", args.trust_domain));
    let plan = Plan {
        name: args.name,
        listen_mtls: args.listen_mtls,
        listen_ssh: args.listen_ssh,
        listen_metrics: args.listen_metrics,
        gateway: args.gateway,
        dns: args.dns,
        ..Plan::new(&args.dir, args.trust_domain, &domain)
    };
    ca::init(&plan, now()).map_err(failure)?;
    let dir = args.dir.display();
    Ok(format!(
        "made an authority for {} in {dir}\nissue an identity:  sallyport ca issue {dir} user NAME\nstart the gateway:  sallyport serve --config {dir}/sallyport.toml",
        plan.trust_domain
    ))
}

fn issue(args: Issue) -> Result<String, Failure> {
    let Kind::User = args.kind;
    let mut authority = Authority::open(&args.dir).map_err(failure)?;
    if let Some(gateway) = args.gateway {
        authority.set_gateway(GatewayFacts { gateway, ..authority.gateway().clone() });
    }
    let hardware_request = match args.hardware_request {
        Some(file) => {
            Some(std::fs::read_to_string(&file).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?)
        }
        None => None,
    };
    let request = IssueRequest {
        device: args.device,
        principals: args.principals,
        source_addresses: args.source_addresses,
        hardware_request,
        ..IssueRequest::new(&args.name, args.ttl)
    };
    let issued = authority.issue(&request, now()).map_err(failure)?;
    write_ssh_config(&authority, &issued)?;
    Ok(format!(
        "issued {} until {}\n{}\nuse it:  ssh -F {}/ssh_config ELEMENT",
        issued.identity,
        issued.not_after,
        issued.folder.display(),
        issued.folder.display()
    ))
}

fn write_ssh_config(authority: &Authority, issued: &Issued) -> Result<(), Failure> {
    let folder = std::path::absolute(&issued.folder).map_err(Failure::usage)?;
    let program = program()?;
    let block = Block {
        folder: &folder,
        name: issued.identity.name(),
        program: &program,
        gateway: authority.gateway(),
        hosts: &["*".to_owned()],
        ssh_door: false,
    };
    let text = render(&block).map_err(Failure::usage)?;
    let file = folder.join("ssh_config");
    std::fs::write(&file, text).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))
}

/// This program, by the path that a ProxyCommand can name.
pub(super) fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|e| Failure::usage(format!("this program cannot find itself: {e}")))
}

fn revoke(args: &Revoke) -> Result<String, Failure> {
    let revocation =
        Authority::open(&args.dir).and_then(|authority| authority.revoke(&args.name, now())).map_err(failure)?;
    let count = revocation.x509_serials.len();
    Ok(match count {
        0 => format!("{} holds nothing that has not run out", revocation.identity),
        _ => format!(
            "revoked {count} X.509 and {} SSH certificates of {}",
            revocation.ssh_serials.len(),
            revocation.identity
        ),
    })
}

fn failure(error: CaError) -> Failure {
    match error {
        CaError::Unknown(_) | CaError::Crypto(_) => Failure::new(Exit::Failed, error),
        CaError::Exists(_) | CaError::Io { .. } | CaError::Broken { .. } | CaError::Asked(_) => Failure::usage(error),
    }
}

/// The identity's folder: the one named, or `$SALLYPORT_IDENTITY`, or `~/.sallyport`.
pub(super) fn identity_folder(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = match (named, std::env::var_os("SALLYPORT_IDENTITY"), std::env::var_os("HOME")) {
        (Some(named), _, _) => named.to_owned(),
        (None, Some(folder), _) if !folder.is_empty() => PathBuf::from(folder),
        (None, _, Some(home)) => PathBuf::from(home).join(".sallyport"),
        (None, _, None) => return Err(Failure::usage("no identity; name its folder with --identity")),
    };
    std::path::absolute(&folder).map_err(|e| Failure::usage(format!("{}: {e}", folder.display())))
}
