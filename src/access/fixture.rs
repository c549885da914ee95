//! A gateway's parts without doors, in a folder that goes away with the test.

use std::sync::Arc;
use std::time::Duration;

use super::{Access, Limits, Metrics, Parts, Rules, RulesStore};
use crate::identity::Locks;
use crate::identity::fixture::{Fixture, GATEWAY};
use crate::policy::PolicySet;
use crate::{audit, element, recording};

/// An authority and what serves by it.
pub(crate) struct Gateway {
    pub(crate) access: Arc<Access>,
    pub(crate) identity: Fixture,
}

impl Gateway {
    /// One whose policy is these rows, after `change`.
    pub(crate) fn with_policy(rows: &str, change: impl FnOnce(PolicySet) -> PolicySet) -> Self {
        Self::with(rows, "", change)
    }

    /// The same with these elements.
    pub(crate) fn with(rows: &str, elements: &str, change: impl FnOnce(PolicySet) -> PolicySet) -> Self {
        let identity = Fixture::new();
        let policies = identity.dir.join("policies");
        std::fs::write(policies.join("policy.csv"), rows).unwrap();
        std::fs::write(policies.join("cases.toml"), "").unwrap();
        std::fs::write(policies.join("elements.toml"), elements).unwrap();
        let Rules { policy, inventory } = Rules::load(&policies).unwrap();
        Self::serving(identity, Rules { policy: change(policy), inventory })
    }

    /// The same after a restart of the process.
    pub(crate) async fn restarted(self) -> Self {
        self.access.drain().await;
        let policies = self.identity.dir.join("policies");
        Self::serving(self.identity, Rules::load(&policies).unwrap())
    }

    fn serving(identity: Fixture, rules: Rules) -> Self {
        let dir = identity.dir.clone();
        let rules = RulesStore::holding(&dir.join("policies"), rules);
        let signer = audit::Signer::open_or_create(&dir.join("gateway/signing.key.pem")).unwrap();
        let audit = audit::Config {
            dir: dir.join("data/audit"),
            segment_bytes_max: 1 << 24,
            pending_max: 1_024,
            sync_timeout: Duration::from_secs(30),
        };
        let recording = recording::Config {
            dir: dir.join("data/recordings"),
            sync_interval: Duration::from_millis(100),
            sync_timeout: Duration::from_secs(30),
            mark_interval: recording::MARK_INTERVAL,
            bytes_max: Limits::default().recording_bytes_max,
            free_bytes_min: 0,
        };
        let access = Access::new(Parts {
            name: "gw-test".to_owned(),
            domain: GATEWAY.to_owned(),
            limits: Limits::default(),
            rules,
            trust: identity.trust.clone(),
            locks: Locks::open(&dir.join("data/locks.json")).unwrap(),
            log: audit::Log::open(audit, signer.clone()).unwrap(),
            recordings: recording::Store::open(recording, signer).unwrap(),
            element: element::Config {
                connect_timeout: Duration::from_secs(5),
                window_bytes: 1 << 20,
                secrets_dir: dir.join("data/secrets"),
                secrets_key_file: dir.join("gateway/secrets.key"),
                own: Default::default(),
            },
            metrics: Metrics::new().unwrap(),
            subsystems: &[],
            netconf_accounts: Default::default(),
        });
        Self { access, identity }
    }

    /// Every event in the audit log so far.
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(self.identity.dir.join("data/audit")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "jsonl") {
                lines.extend(std::fs::read_to_string(path).unwrap().lines().map(str::to_owned));
            }
        }
        let entries = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        entries.map(|entry| entry["event"].clone()).filter(serde_json::Value::is_object).collect()
    }
}
