//! gNMI (openconfig/gnmi 0.10, gNMI specification) and gNOI (openconfig/gnoi: File, OS, System, FactoryReset) over gRPC on HTTP/2.
//!
//! A request is read to decide it, and its own bytes are forwarded, so that presence and order of fields survive. Each path of a Get, Set or Subscribe
//! is an action in the vocabulary of NETCONF and RESTCONF; one that is denied refuses the whole request before anything of it is forwarded. Commands in
//! paths of origin `cli` are decided as `cli.run`, gNOI as `gnoi.rpc` and `file.*`.
//!
//! Refused: compressed messages, fields and extensions that are not known, withdrawn ones that hide what is meant, origins that name another tree,
//! services that are not known. Absent: dial-out, gNSI, reflection.

pub mod actions;
mod call;
pub mod client;
pub mod codec;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod gnoi;
mod head;
mod link;
mod messages;
pub mod method;
pub mod path;
pub mod refused;
mod relay;
pub mod request;
pub mod schema;
mod serve;
#[cfg(test)]
mod tests;
pub mod text;
mod value;
pub mod wire;

pub use serve::Gnmi;
