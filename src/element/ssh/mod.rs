//! SSH towards elements (RFC 4251-4254): the only files that name the SSH library.
//!
//! One connection carries one channel, or one listener. What the element says goes to the sink inline, from the library's own
//! callbacks, so a sink that waits makes the element wait and nobody else. Channels that an element opens are refused unless
//! their link asked for them, its global requests are not acted upon, and its key exchange must not be open to prefix
//! truncation (Terrapin).

mod algorithms;
mod dial;
mod handler;
mod inbound;
mod link;
mod listening;
mod login;
pub mod scan;
mod wire;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use dial::{dial, listen};
pub(in crate::element) use dial::{permitted, tcp};
pub use inbound::{InboundReader, InboundWriter, Offer, Said};
pub use link::Link;
pub use listening::Listening;
