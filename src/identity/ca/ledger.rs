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
        let whole = |line: &[u8]| serde_json::from_slice::<Entry>(line).is_ok();
        durable::append_line(&self.path, &line, PRIVATE, whole).map_err(at(&self.path))
    }

    /// Reads every entry. A last line that was never finished is passed over: nothing was handed out before its entry was durable.
    pub(super) fn read(&self) -> Result<Entries, CaError> {
        let bytes = std::fs::read(&self.path).map_err(at(&self.path))?;
        let finished = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (lines, torn) = bytes.split_at_checked(finished).unwrap_or((&bytes, &[]));
        let mut entries = Vec::new();
        for (number, line) in (1..).zip(lines.split_inclusive(|byte| *byte == b'\n')) {
            entries.push(serde_json::from_slice(line).map_err(|e| self.broken(format!("line {number}: {e}")))?);
        }
        entries.extend(serde_json::from_slice::<Entry>(torn));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(name: &str, serial: &str) -> Entry {
        Entry::Issued {
            at: Timestamp::from_secs(1_000),
            identity: format!("spiffe://carrier.example/user/{name}").parse().unwrap(),
            device: None,
            x509_serial: serial.to_owned(),
            ssh_serial: "7".to_owned(),
            ssh_key: "SHA256:x".to_owned(),
            not_after: Timestamp::from_secs(2_000),
        }
    }

    fn serials(ledger: &Ledger) -> Vec<String> {
        let ada: Identity = "spiffe://carrier.example/user/ada".parse().unwrap();
        let left = ledger.read().unwrap().unexpired(&ada, Timestamp::from_secs(1_500));
        left.map(|revocation| revocation.x509_serials).unwrap_or_default()
    }

    #[test]
    fn a_line_that_was_never_finished_hides_nothing_and_is_mended() {
        let whole = serde_json::to_string(&issued("ada", "02")).unwrap();
        for cut in 0..=whole.len() {
            let dir = tempfile::tempdir().unwrap();
            let ledger = Ledger::at(dir.path().join("issued.jsonl"));
            ledger.append(&issued("ada", "01")).unwrap();
            let before = std::fs::read_to_string(&ledger.path).unwrap();
            std::fs::write(&ledger.path, format!("{before}{}", &whole[..cut])).unwrap();
            let complete = cut == whole.len();
            // What can be revoked is what was durable; the torn line is no reason to revoke nothing.
            assert_eq!(serials(&ledger), if complete { vec!["01", "02"] } else { vec!["01"] }, "cut at {cut}");
            ledger.append(&issued("ada", "03")).unwrap();
            assert_eq!(
                serials(&ledger),
                if complete { vec!["01", "02", "03"] } else { vec!["01", "03"] },
                "cut at {cut}"
            );
            let text = std::fs::read_to_string(&ledger.path).unwrap();
            assert!(text.ends_with('\n') && text.lines().all(|line| serde_json::from_str::<Entry>(line).is_ok()));
        }
    }

    #[test]
    fn damage_elsewhere_is_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::at(dir.path().join("issued.jsonl"));
        let good = serde_json::to_string(&issued("ada", "01")).unwrap();
        for text in
            [format!("x\n{good}\n"), format!("{good}\n{{\n"), format!("{good}\n\n"), format!("{good}{good}\n{good}")]
        {
            std::fs::write(&ledger.path, &text).unwrap();
            assert!(matches!(ledger.read(), Err(CaError::Broken { .. })), "{text}");
        }
        std::fs::remove_file(&ledger.path).unwrap();
        assert!(matches!(ledger.read(), Err(CaError::Io { .. })));
    }
}
