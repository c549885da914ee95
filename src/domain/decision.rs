//! What is asked of policy and what it answers.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Account, Action, Assurance, Device, Door, ElementName, Identity, Timestamp};

/// The only thing policy sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub who: Identity,
    /// The device they work on, when the credential names one.
    pub device: Option<Device>,
    /// How sure the gateway is of `who`.
    pub assurance: Assurance,
    /// The door they came in by.
    pub door: Door,
    /// Where they came from, after the PROXY protocol of a listed peer.
    pub source: IpAddr,
    /// What they want to reach.
    pub element: ElementName,
    /// As which account on the element.
    pub account: Account,
    /// What they want to do.
    pub action: Action,
    /// When they ask.
    pub at: Timestamp,
    /// When the session that this is part of was opened; the same as `at` for the action that opens it.
    pub session_opened_at: Timestamp,
}

/// Whether.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It may be done, as far as the obligations hold.
    Allow,
    /// It may not be done.
    Deny,
}

/// The hash of the policy set that decided, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(String);

impl Revision {
    /// From the SHA-256 of a policy set.
    pub fn new(hex: String) -> Self {
        Self(hex)
    }

    /// The whole hash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits: enough for a person to compare.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A row of `policy.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// The file it stands in, relative to the policy folder.
    pub file: String,
    /// Its line, counted from 1.
    pub line: u32,
    /// The row as it is written.
    pub text: String,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why the decision is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "detail")]
pub enum Reason {
    /// A row allows it and none denies it.
    RuleAllows,
    /// A row denies it.
    RuleDenies,
    /// No row allows it.
    NoRule,
    /// A row allows it, under an obligation that does not hold; the text says which and what would.
    Obligation(String),
    /// The gateway does not do this for anybody, whatever the policy says; the text says why.
    Gateway(String),
    /// The index and casbin disagree, or the engine failed: denied, and an alarm.
    Engine(String),
}

/// What must also hold for an allow. Text forms in `policy.csv`, `p2` rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "value")]
pub enum Obligation {
    /// `assurance:N`.
    Assurance(u8),
    /// `door:mtls` or `door:ssh`.
    Door(Door),
    /// `device`: the credential names a device.
    Device,
    /// `max:8h`: the session lasts at most this long.
    Max(Duration),
    /// `source:10.0.0.0/8`: as written.
    Source(String),
    /// `window:…`: as written.
    Window(String),
    /// `customer-auth`: the customer whose record it is has agreed; the protocol verifies the proof.
    CustomerAuth,
    /// `mask:POINTER`: as written; the protocol masks those fields of the answer.
    Mask(String),
    /// One that this version knows by name and cannot yet fulfil (`review:N`, `ticket`): it always denies.
    Unfulfilled(String),
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Allow or deny.
    pub effect: Effect,
    /// The row that settled it, when one did.
    pub rule: Option<RuleRef>,
    /// Why.
    pub reason: Reason,
    /// What must hold while it is allowed.
    pub obligations: Vec<Obligation>,
    /// Until when an allow holds, when time alone ends it (`max`, `window`). The session asks again then.
    pub until: Option<Timestamp>,
    /// The policy set that decided.
    pub revision: Revision,
}

impl Decision {
    /// Whether the effect is allow.
    pub fn allows(&self) -> bool {
        self.effect == Effect::Allow
    }
}
