//! `sallyport check`: everything that `serve` would refuse, without starting anything.

use std::io::Write as _;
use std::path::PathBuf;

use super::clock::now;
use super::{Exit, Failure, foundation};
use crate::config;

/// Check configuration, policies, inventory, certificates, locks and keys; start nothing
///
/// Reports every mistake with its file and line, and ends with 2 when there is one. What works today and needs somebody before long, such as a
/// certificate that runs out, a name in policy that nothing has, or a secret that is not stored, is a line that begins with "warning:".
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let (config, mut problems) = config::examine(&args.config).map_err(|found| Failure::usage(found.join("\n")))?;
    let mut out = std::io::stdout().lock();
    match foundation::lay(&config, now()) {
        Ok(laid) => {
            let rules = laid.rules.current();
            let mut text: String = laid.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            if problems.is_empty() {
                let elements = rules.inventory.iter().count();
                text.push_str(&format!("ok: policy {}, {elements} elements\n", rules.policy.revision().short()));
            }
            out.write_all(text.as_bytes()).map_err(|e| Failure::new(Exit::Failed, e))?;
        }
        Err(found) if problems.is_empty() => problems = found,
        // A file that the configuration does not name is one of its mistakes already.
        Err(found) => {
            let unnamed = format!("{}/: ", config.base.display());
            problems.extend(found.into_iter().filter(|text| !text.contains(&unnamed)));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::usage(problems.join("\n"))) }
}
