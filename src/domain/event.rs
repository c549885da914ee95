//! Everything the audit log can say.
//!
//! A flat catalogue; each variant is one fact. Field names are part of the log's format: add, never rename.
#![expect(missing_docs, reason = "the fields are documented by their variants")]

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    Account, Action, Assurance, Decision, Device, Door, Effect, ElementName, Identity, Outcome, Reason, Request,
    Revision, RuleRef, SessionId, Timestamp,
};

/// How an operator's act reached the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// The command line, on the gateway's own machine.
    CommandLine,
    /// The console or its API, on the mTLS door.
    Console,
}

/// Where on the path a client was turned away before it could ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalStage {
    /// Accept: limits, PROXY header, draining.
    Accept,
    /// The TLS handshake or the certificate.
    Tls,
    /// SSH authentication.
    SshAuthentication,
    /// The gateway cannot take on the session: audit, recorder, limits.
    Open,
}

/// The facts of a request, as the log keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFacts {
    /// Who asked.
    pub identity: Identity,
    /// Their device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// How sure the gateway was.
    pub assurance: Assurance,
    /// The door.
    pub door: Door,
    /// Where from.
    pub source: std::net::IpAddr,
    /// What they wanted to reach.
    pub element: ElementName,
    /// As which account.
    pub account: Account,
    /// What they wanted to do.
    pub action: Action,
}

impl From<&Request> for RequestFacts {
    fn from(request: &Request) -> Self {
        Self {
            identity: request.who.clone(),
            device: request.device.clone(),
            assurance: request.assurance,
            door: request.door,
            source: request.source,
            element: request.element.clone(),
            account: request.account.clone(),
            action: request.action.clone(),
        }
    }
}

/// The facts of a decision, as logs and recordings keep them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionFacts {
    /// Allow or deny.
    pub effect: Effect,
    /// The row that settled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleRef>,
    /// Why.
    pub reason: Reason,
    /// The policy set.
    pub revision: Revision,
}

impl From<&Decision> for DecisionFacts {
    fn from(decision: &Decision) -> Self {
        Self {
            effect: decision.effect,
            rule: decision.rule.clone(),
            reason: decision.reason.clone(),
            revision: decision.revision.clone(),
        }
    }
}

/// What is known of a session when it opens. The log and the recording's header both keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// Its id.
    pub session: SessionId,
    /// The protocol's name in the registry.
    pub protocol: String,
    /// Who, what, from where, and the action that opened it.
    pub request: RequestFacts,
    /// The decision that opened it.
    pub decision: DecisionFacts,
    /// Serial number or key id of the credential that was verified.
    pub credential: String,
    /// The peer of the connection, with its port.
    pub peer: SocketAddr,
    /// When.
    pub opened_at: Timestamp,
    /// The recording's file, relative to the recordings folder.
    pub recording: String,
}

/// What is known of a sealed recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingFacts {
    /// SHA-256 chain head of the whole recording, in hexadecimal.
    pub digest: String,
    /// How many frames it holds.
    pub frames: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// One fact in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The gateway started.
    GatewayStarted { version: String, name: String, revision: Revision },
    /// The gateway drained and stops.
    GatewayStopped {},
    /// A client was turned away before it could ask.
    Refused { door: Door, stage: RefusalStage, source: Option<SocketAddr>, identity: Option<String>, reason: String },
    /// Policy denied a request.
    Denied { request: RequestFacts, decision: DecisionFacts, session: Option<SessionId> },
    /// Denials and refusals that came faster than they are logged and were counted instead: of one identity, or of clients that nobody knows.
    /// `since` is the first of them.
    Omitted { identity: Option<Identity>, denied: u64, refused: u64, since: Timestamp },
    /// A session opened.
    SessionOpened { facts: SessionFacts },
    /// A session ended; `recording` is absent when it could not be sealed.
    SessionClosed {
        session: SessionId,
        outcome: Outcome,
        detail: Option<String>,
        recording: Option<RecordingFacts>,
        bytes_in: u64,
        bytes_out: u64,
    },
    /// A start found an unsealed recording and sealed it; the process before had signed `attested` of its frames, and the others are as they
    /// were found.
    RecordingRecovered {
        session: Option<SessionId>,
        recording: String,
        frames: u64,
        digest: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attested: Option<u64>,
    },
    /// Somebody read a recording.
    RecordingRead { session: SessionId, by: Identity, how: String, via: Via },
    /// Somebody was allowed to read what the gateway knows: lists of sessions, a live one, the audit log.
    StateRead { by: Identity, action: Action, via: Via },
    /// An element could not be reached or did not accept the gateway; the text is for operators.
    ElementUnreachable { session: SessionId, element: ElementName, reason: String },
    /// An element showed a host key that is not the pinned one; the session was refused.
    HostKeyRefused {
        session: SessionId,
        element: ElementName,
        address: String,
        presented: String,
        expected: Vec<String>,
    },
    /// A weaker crypto profile was used.
    LegacyCrypto { session: SessionId, element: ElementName, profile: String, algorithms: String },
    /// A policy set came into force.
    PolicyLoaded { revision: Revision, previous: Option<Revision> },
    /// A policy set was refused; the one before stays in force.
    PolicyRejected { in_force: Revision, problems: Vec<String> },
    /// Certificates, revocation list or trust bundle were reloaded.
    TrustLoaded { detail: String },
    /// A reload of those failed; what was in force stays.
    TrustRejected { problem: String },
    /// An identity, device or element was locked.
    LockAdded { subject: String, reason: String, until: Option<Timestamp>, by: String, via: Via },
    /// A lock was taken away.
    LockRemoved { subject: String, by: String, via: Via },
    /// An operator ended a session.
    SessionTerminated { session: SessionId, by: Identity, via: Via },
    /// Something that should never happen did, and was answered by denying.
    Alarm { what: String, detail: String },
}
