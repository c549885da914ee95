//! Where a protocol plugs in.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Access;
use crate::domain::ElementName;
use crate::identity::Verified;

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream to a client.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// How a client came in.
#[derive(Debug)]
pub enum Entry {
    /// Through the mTLS door: identified, and bound for one element.
    Identified {
        /// Who.
        verified: Arc<Verified>,
        /// The element that SNI named.
        element: ElementName,
    },
    /// Through a door at which the protocol itself identifies.
    Unidentified {
        /// Where from.
        peer: SocketAddr,
    },
}

/// A client that was accepted.
pub struct Client {
    /// Its bytes.
    pub stream: Box<dyn Stream>,
    /// How it came in.
    pub entry: Entry,
}

/// A protocol: names each action, asks, and relays what is allowed.
pub trait Protocol: Send + Sync {
    /// Its name in logs and lists.
    fn name(&self) -> &'static str;
    /// Its name in the ALPN extension (RFC 7301) on the mTLS door.
    fn alpn(&self) -> &'static [u8];
    /// Serves one client until it is gone. Everything it opened is closed and sealed when this returns.
    fn serve<'a>(&'a self, access: Arc<Access>, client: Client) -> BoxFuture<'a, ()>;
}
