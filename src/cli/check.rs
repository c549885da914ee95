//! `sallyport check`: everything that `serve` would refuse, without starting anything.

use std::path::PathBuf;

use super::Failure;
use crate::access::Rules;
use crate::identity::TrustStore;

/// Check configuration, policies, inventory and certificates; start nothing
///
/// Reports every mistake with its file and line, and ends with 2 when there is one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let config = super::serve::load(&args.config)?;
    let mut problems = Vec::new();
    let rules = Rules::load(&config.policies_dir);
    if let Err(found) = &rules {
        problems.extend(
            found.iter().map(|p| format!("{}:{}: {}", config.policies_dir.join(&p.file).display(), p.line, p.text)),
        );
    }
    if let Err(found) = TrustStore::open(config.trust) {
        problems.extend(found);
    }
    match rules {
        Ok(rules) if problems.is_empty() => {
            let elements = rules.inventory.iter().count();
            println!("ok: policy {}, {elements} elements", rules.policy.revision().short());
            Ok(())
        }
        Ok(_) | Err(_) => Err(Failure::usage(problems.join("\n"))),
    }
}
