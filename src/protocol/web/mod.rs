//! HTTP/1.1 (RFC 9112) and HTTP/2 (RFC 9113) on an element's name of the mTLS door: the transport that RESTCONF, HTTPS APIs and gNMI share.
//!
//! Each connection is for one element, which SNI has named and which `:authority` or `Host` must name too. Each request is handed to the first
//! [`Service`] that takes it; a service has one visit for each connection, and a channel number for each request.
//!
//! Refused: whatever two parsers could read in two ways (`codec.rs`), CONNECT and TRACE, another authority than the connection's, more headers,
//! streams or time than `[limits.http]` allows. Deliberately absent: anything that knows what a request means. hyper's types stay here and in
//! the folders of the services.

mod authority;
mod body;
mod codec;
mod connection;
mod exchange;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod guard;
pub mod headers;
pub mod location;
mod passing;
pub mod path;
mod sending;
mod service;
mod tasks;
#[cfg(test)]
mod tests;
mod tunnel;
mod upstream;
mod visits;

use std::sync::Arc;

use crate::access::{Access, BoxFuture, Client, Entry, Protocol, Spoken};

pub use authority::authority_of;
pub use body::{Body, BodyError, ReadError, read};
pub use exchange::{Allowed, status_of};
pub use passing::{Roots, answer_of, request_of};
pub use sending::SendingError;
pub use service::{Conversation, Request, Response, Service, refused, says};
pub use tasks::Tasks;
pub use upstream::{Lease, SendError, Sent, Upstream};

/// HTTP, as the registry knows it, with the services that it carries.
pub struct Web {
    services: &'static [&'static dyn Service],
}

impl Web {
    /// HTTP that carries `services`; the first that takes a request has it.
    pub const fn new(services: &'static [&'static dyn Service]) -> Self {
        Self { services }
    }
}

impl Protocol for Web {
    fn name(&self) -> &'static str {
        "web"
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[connection::H2, connection::HTTP_11]
    }

    fn spoken(&self) -> Spoken {
        Spoken::OnElements
    }

    fn carries(&self) -> Vec<&'static str> {
        self.services.iter().map(|service| service.name()).collect()
    }

    fn serve<'a>(&'a self, access: Arc<Access>, client: Client) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Entry::Identified { verified, element, alpn } = client.entry else { return };
            connection::serve(access, self.services, client.stream, verified, element, alpn).await;
        })
    }
}
