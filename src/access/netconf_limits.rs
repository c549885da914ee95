//! What peers of NETCONF may take.

use std::time::Duration;

/// What a client or an element may take of a NETCONF session.
#[derive(Debug, Clone)]
pub struct NetconfLimits {
    /// One message of a client; it is read whole before it is decided.
    pub message_bytes_max: u64,
    /// One message of an element; it passes through.
    pub reply_bytes_max: u64,
    /// Elements of XML one inside the other.
    pub depth_max: usize,
    /// Elements of XML in one message of a client.
    pub elements_max: usize,
    /// RPCs that wait for their answers; the client waits with the next.
    pub pipeline_max: usize,
    /// For the peer's hello.
    pub hello_timeout: Duration,
    /// For an answer of the element, and between its pieces.
    pub reply_timeout: Duration,
    /// How much of each message a recording keeps; beyond it only length and digest are.
    pub kept_bytes_max: usize,
    /// The configuration that is looked at before and after a change, each time; beyond it no difference is told. 0 looks at nothing.
    pub observed_bytes_max: usize,
}

impl Default for NetconfLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 16 << 20,
            reply_bytes_max: 1 << 30,
            depth_max: 64,
            elements_max: 200_000,
            pipeline_max: 32,
            hello_timeout: Duration::from_secs(30),
            reply_timeout: Duration::from_secs(600),
            kept_bytes_max: 256 << 10,
            observed_bytes_max: 1 << 20,
        }
    }
}
