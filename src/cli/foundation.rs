//! What a gateway stands on: everything that `serve` opens before it starts and `check` looks at without starting.

use std::sync::Arc;

use crate::access::RulesStore;
use crate::audit::Signer;
use crate::config::Config;
use crate::domain::Timestamp;
use crate::element::Inventory;
use crate::element::secrets::Secrets;
use crate::identity::{Locks, TrustStore};

/// Everything opened, and what is no mistake but wants somebody's attention.
#[derive(Debug)]
pub(super) struct Foundation {
    pub(super) rules: RulesStore,
    pub(super) trust: TrustStore,
    pub(super) locks: Locks,
    /// The key that signs; absent when there is none yet, which `serve` then makes.
    pub(super) signer: Option<Arc<Signer>>,
    pub(super) warnings: Vec<String>,
}

/// Opens what `config` names. Makes and changes nothing. Blocking.
///
/// # Errors
/// Every mistake in every part, each with its file.
pub(super) fn lay(config: &Config, now: Timestamp) -> Result<Foundation, Vec<String>> {
    let mut problems = Vec::new();
    let rules = RulesStore::open(&config.policies_dir, config.element.own.clone()).map_err(|found| {
        problems.extend(found.iter().map(|p| format!("{}/{p}", config.policies_dir.display())));
    });
    let trust = TrustStore::open(config.trust.clone()).map_err(|found| problems.extend(found));
    let locks = Locks::open(&config.locks_file).map_err(|e| problems.push(e.to_string()));
    let signer = match config.signing_key_file.exists() {
        true => Signer::open_or_create(&config.signing_key_file).map(Some).map_err(|e| problems.push(e.to_string())),
        false => Ok(None),
    };
    let secrets = Secrets::open(&config.element.secrets_dir, &config.element.secrets_key_file)
        .map_err(|e| problems.push(e.to_string()));
    let (Ok(rules), Ok(trust), Ok(locks), Ok(signer), Ok(secrets)) = (rules, trust, locks, signer, secrets) else {
        return Err(problems);
    };
    let mut warnings = trust.current().warnings(now);
    let in_force = rules.current();
    warnings.extend(in_force.warnings(now).iter().map(|w| format!("{}/{w}", config.policies_dir.display())));
    warnings.extend(missing_secrets(&in_force.inventory, &secrets));
    Ok(Foundation { rules, trust, locks, signer, warnings })
}

/// Elements that cannot be dialled, because a secret is not there or does not open.
fn missing_secrets(inventory: &Inventory, secrets: &Secrets) -> Vec<String> {
    let mut told = Vec::new();
    for element in inventory.iter() {
        for name in element.secrets() {
            if let Err(error) = secrets.read(name) {
                told.push(format!("`{}` cannot be reached: {error}", element.name()));
            }
        }
    }
    told
}
