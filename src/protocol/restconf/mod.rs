//! RESTCONF (RFC 8040, RFC 8072, RFC 8527): each request is decided by its method and by the data that it reads or changes.
//!
//! It is at `/restconf` for clients, wherever the element has it, so that a path alone tells what is meant. A request goes on in one form: its path
//! and query are written anew, its headers are a list, its body is what was decided. All that it changes must be allowed, or none of it happens.
//!
//! Refused: what could be read in two ways, parameters and media types that are not known, metadata in bodies, command lines in operations.

pub mod actions;
pub mod codec;
mod errors;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod serve;

pub use serve::Restconf;

/// Where the root of RESTCONF is told (RFC 8040 §3.1).
const HOST_META: &str = "/.well-known/host-meta";
