//! Where a protocol plugs in.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Access, Grant, Visit};
use crate::domain::{Action, ElementName, Outcome};
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
        /// What ALPN agreed on.
        alpn: &'static [u8],
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

/// On which names of the mTLS door a protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// On an element's and on the gateway's own.
    Everywhere,
    /// On an element's.
    OnElements,
    /// On the gateway's own.
    OnGateway,
}

impl Spoken {
    /// Whether it is spoken on this one.
    pub(super) fn on(self, element: &ElementName) -> bool {
        match self {
            Self::Everywhere => true,
            Self::OnElements => *element != ElementName::gateway(),
            Self::OnGateway => *element == ElementName::gateway(),
        }
    }
}

/// A protocol: names each action, asks, and relays what is allowed.
pub trait Protocol: Send + Sync {
    /// Its name in logs and lists.
    fn name(&self) -> &'static str;
    /// Its names in the ALPN extension (RFC 7301) on the mTLS door, the one that it would rather speak first.
    fn alpn(&self) -> &'static [&'static [u8]];
    /// Where on the mTLS door it is spoken. Protocols may share a name in ALPN when they are not spoken in the same place.
    fn spoken(&self) -> Spoken {
        Spoken::Everywhere
    }
    /// The protocols that its sessions are listed as; itself, unless it carries several.
    fn carries(&self) -> Vec<&'static str> {
        vec![self.name()]
    }
    /// Serves one client until it is gone. Everything it opened is closed and sealed when this returns.
    fn serve<'a>(&'a self, access: Arc<Access>, client: Client) -> BoxFuture<'a, ()>;
}

/// A protocol that runs on a plain stream inside another: an SSH subsystem that is policed.
pub trait Subsystem: Send + Sync {
    /// The name by which SSH asks for it.
    fn name(&self) -> &'static str;
    /// What opening it is.
    fn opening(&self) -> Action;
    /// Serves one client on a plain stream until either side is done; the grant is that of [`Subsystem::opening`], on `channel`. Dropping the
    /// future ends it at once.
    fn speak<'a>(
        &'a self,
        visit: &'a Visit,
        grant: &'a Grant,
        channel: u32,
        client: Box<dyn Stream>,
    ) -> BoxFuture<'a, Outcome>;
}

impl std::fmt::Debug for dyn Subsystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
