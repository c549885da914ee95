//! One message of a management protocol, as recordings keep it. Pure.

use serde::{Deserialize, Serialize};

/// Which way a message went, and what it is in its exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// From the client: an RPC, a request.
    Request,
    /// From the element, or from the gateway in its place: what answers a request.
    Reply,
    /// From the element, unasked: a notification, an update of a subscription.
    Notification,
    /// What the gateway saw on the element itself: a difference of configurations, say.
    Observation,
}

/// One message, decoded. Its decisions are frames of their own, before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Which request of the channel it belongs to, counted from 1 by the gateway; 0 when it belongs to none.
    pub number: u64,
    /// Which way.
    pub part: Part,
    /// What it is: `edit-config running`, `GET /restconf/data/…`, `gnmi.Set`.
    pub what: String,
    /// How it ended: `ok`, `rpc-error access-denied`, `403`, `PERMISSION_DENIED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What the peer calls it: a message-id, a stream id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// The length of the whole body in bytes, as it passed.
    pub bytes: u64,
    /// SHA-256 of the whole body in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The body as text, up to the cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether the body went on beyond what is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}
