//! Why a session ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose doing a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The client's side.
    Client,
    /// The element's side.
    Element,
    /// The gateway's own.
    Gateway,
}

/// Why a session, or one channel of it, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The gateway died; the next start sealed the recording.
    Aborted,
    /// The client closed it.
    ClientClosed,
    /// The element closed it.
    ElementClosed,
    /// The element could not be reached, or refused the credential.
    ElementUnreachable,
    /// The certificate or another time limit of the identity ran out.
    Expired,
    /// Nothing moved for the idle limit.
    Idle,
    /// The identity, device or element was locked.
    Locked,
    /// Policy changed, or its time window ended, and now denies it.
    PolicyDenies,
    /// A peer broke its protocol.
    ProtocolError,
    /// The recorder failed; nothing passes unrecorded.
    RecorderFailed,
    /// The recording is as long as one may be.
    RecordingFull,
    /// The identity's certificate was revoked.
    Revoked,
    /// The gateway shut down.
    Shutdown,
    /// An operator ended it.
    Terminated,
    /// The certificate can no longer be verified: its authority is not trusted any more, or its revocation list has run out.
    Untrusted,
}

impl Outcome {
    /// The name that logs and lists use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::ClientClosed => "client-closed",
            Self::ElementClosed => "element-closed",
            Self::ElementUnreachable => "element-unreachable",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Locked => "locked",
            Self::PolicyDenies => "policy-denies",
            Self::ProtocolError => "protocol-error",
            Self::RecorderFailed => "recorder-failed",
            Self::RecordingFull => "recording-full",
            Self::Revoked => "revoked",
            Self::Shutdown => "shutdown",
            Self::Terminated => "terminated",
            Self::Untrusted => "untrusted",
        }
    }

    /// What the person at the keyboard is told; one line, no full stop. Avoids the words that automation takes for a login dialogue.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Aborted => "the gateway stopped unexpectedly",
            Self::ClientClosed => "you closed the session",
            Self::ElementClosed => "the element closed the session",
            Self::ElementUnreachable => "the element cannot be reached",
            Self::Expired => "your credential or the time allowed for this session has run out",
            Self::Idle => "the session was idle too long",
            Self::Locked => "access has been locked by the security team",
            Self::PolicyDenies => "the policy no longer allows this",
            Self::ProtocolError => "the protocol was broken",
            Self::RecorderFailed => "the session can no longer be recorded, so it was ended",
            Self::RecordingFull => {
                "as much as is recorded of one session has been recorded, so it was ended; open another one"
            }
            Self::Revoked => "your certificate has been revoked",
            Self::Shutdown => "the gateway is shutting down",
            Self::Terminated => "an operator ended the session",
            Self::Untrusted => "the gateway can no longer verify your certificate",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
