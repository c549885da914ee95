//! The record of what an authority issued and revoked: JSON Lines, append-only.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{CaError, Revocation, at};
use crate::domain::{Device, Identity, Timestamp};
use crate::identity::durable::{self, PRIVATE};

/// One line of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub(super) enum Entry {
    /// A credential was issued. The SSH serial is a text because it may be above 2^53.
    Issued {
        at: Timestamp,
        identity: Identity,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<Device>,
        x509_serial: String,
        ssh_serial: String,
        ssh_key: String,
        not_after: Timestamp,
    },
    /// Credentials were revoked.
    Revoked { at: Timestamp, identity: Identity, x509_serials: Vec<String>, ssh_serials: Vec<String> },
}

/// The file.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
}

impl Ledger {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn append(&self, entry: &Entry) -> Result<(), CaError> {
        let line = serde_json::to_string(entry).map_err(|e| self.broken(e))?;
        durable::append_line(&self.path, &line, PRIVATE).map_err(at(&self.path))
    }

    pub(super) fn read(&self) -> Result<Entries, CaError> {
        let text = super::read(&self.path)?;
        let mut entries = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            entries.push(serde_json::from_str(line).map_err(|e| self.broken(format!("line {number}: {e}")))?);
        }
        Ok(Entries(entries))
    }

    fn broken(&self, what: impl std::fmt::Display) -> CaError {
        CaError::Broken { path: self.path.clone(), what: what.to_string() }
    }
}

/// Everything in the record.
#[derive(Debug)]
pub(super) struct Entries(Vec<Entry>);

impl Entries {
    /// What `identity` holds at `now`; nothing at all when it never got anything.
    pub(super) fn unexpired(&self, identity: &Identity, now: Timestamp) -> Option<Revocation> {
        let mut known = false;
        let mut revocation =
            Revocation { identity: identity.clone(), x509_serials: Vec::new(), ssh_serials: Vec::new() };
        for entry in &self.0 {
            if let Entry::Issued { identity: of, x509_serial, ssh_serial, not_after, .. } = entry
                && of == identity
            {
                known = true;
                if now <= *not_after {
                    revocation.x509_serials.push(x509_serial.clone());
                    revocation.ssh_serials.extend(ssh_serial.parse::<u64>());
                }
            }
        }
        known.then_some(revocation)
    }

    /// X.509 serial numbers of credentials that ran out before `moment`: they need no place on a revocation list.
    pub(super) fn run_out_before(&self, moment: Timestamp) -> HashSet<&str> {
        let mut last: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for entry in &self.0 {
            if let Entry::Issued { x509_serial, not_after, .. } = entry {
                last.insert(x509_serial, *not_after);
            }
        }
        last.into_iter().filter(|(_, not_after)| *not_after < moment).map(|(serial, _)| serial).collect()
    }
}
