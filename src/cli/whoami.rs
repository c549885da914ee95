//! `sallyport whoami`: what the identity at hand says.

use std::io::Write as _;
use std::path::PathBuf;

use super::ca::identity_folder;
use super::clock::now;
use super::{Exit, Failure};
use crate::identity::folder::IdentityFolder;

/// Show the identity at hand, where its gateway is, and how long it is valid
///
/// Exit code 1 when it has run out. Whether the gateway admits it is the gateway's to say.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The identity's folder [default: $SALLYPORT_IDENTITY, else ~/.sallyport]
    #[arg(long, value_name = "DIR")]
    identity: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let folder = IdentityFolder::at(&identity_folder(args.identity.as_deref())?);
    let shown = folder.shown(None).map_err(Failure::usage)?;
    let gateway = folder.gateway().map_err(Failure::usage)?;
    let now = now();
    let valid = now < shown.not_after;
    let level = if shown.hardware_bound { 3 } else { 2 };
    let device = shown.device.as_ref().map(ToString::to_string);
    let text = if args.json {
        let object = serde_json::json!({
            "identity": shown.identity, "device": device, "assurance": level, "credential": format!("x509:{}", shown.serial),
            "not_after": shown.not_after, "valid": valid, "gateway": gateway.gateway, "domain": gateway.domain,
        });
        object.to_string()
    } else {
        let left = shown.not_after.since(now).as_secs();
        let validity = if valid {
            format!("until {} ({}h {:02}m left)", shown.not_after, left / 3_600, left / 60 % 60)
        } else {
            format!("ran out at {}", shown.not_after)
        };
        format!(
            "identity    {}\ndevice      {}\nassurance   {level}\ncredential  x509:{}\nvalid       {validity}\ngateway     {} ({})",
            shown.identity,
            device.as_deref().unwrap_or("none"),
            shown.serial,
            gateway.gateway,
            gateway.domain
        )
    };
    writeln!(std::io::stdout(), "{text}").map_err(|e| Failure::new(Exit::Failed, e))?;
    if valid { Ok(()) } else { Err(Failure::new(Exit::Failed, "the certificate has run out; have a new one issued")) }
}
