//! Any other path of an element's HTTPS service: each request is decided by its method and its canonical path.
//!
//! What goes on is written anew: path and query in one form, the headers of a list, the gateway's own credential. Bodies pass in pieces, recorded
//! up to a cap, with length and digest.
//!
//! Refused: what could be read in two ways, methods without a verb, and what belongs to RESTCONF, which has its own decisions.

pub mod actions;
mod duties;
mod failure;
mod proof;
mod serve;
mod upgrade;
mod usage;

pub use serve::HttpApi;
