//! An API as its OpenAPI document (3.0 or 3.1, in JSON) describes it: an allow-list of operations, parameters and bodies.
//!
//! A request is an operation with parameters, or it is refused. Its object is written with the parameters of the path in braces, so that policy may
//! speak of which records somebody may touch: `/subscribers/{id=4711}/sim`. Parameters of the query and members of the body that the document
//! marks with `x-sallyport-object` follow: `/subscribers/{?msisdn=4670}`, `/sim-swaps/{body.msisdn=4670}`.
//!
//! Deliberately absent: answers, which are the element's; security schemes, which are between the element and the gateway; YAML.

mod document;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod json;
mod judge;
mod mask;
mod pattern;
mod schema;
mod settings;
#[cfg(test)]
mod tests;

pub use document::{Document, Mistake};
pub use json::{Json, Value};
pub use judge::{Judged, Seen};
pub use mask::{Pointer, masked};
pub use settings::{Api, AuthKey, CustomerAuth, Rate};
