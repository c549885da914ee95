//! Sallyport: the one door to a carrier's core network elements.
//!
//! It knows who is asking ([`identity`]), decides each thing they ask ([`policy`]), reaches the element as them
//! ([`element`]), records it ([`recording`]) and can prove all of it afterwards ([`audit`]). [`access`] is the one path
//! that ties these together; every [`protocol`] takes it and no other:
//!
//! ```text
//! accept -> identify -> ask -> decide -> open -> dial -> relay -> close
//!           Verified           Permit    Receipt, Session
//! ```
//!
//! Four proofs have private fields, are not `Clone`, are issued by one module and demanded by the next:
//! [`identity::Verified`], [`policy::Permit`], [`audit::Receipt`] and [`access::Session`]. Code that skips a step does not
//! compile.
//!
//! The modules stand in import order: a module imports only from those above it. `tests/it/layers.rs` enforces that.

pub mod domain;

pub mod audit;
pub mod recording;

pub mod identity;
pub mod policy;

pub mod element;

pub mod access;

pub mod protocol;

pub mod console;

pub mod config;

pub mod cli;
pub mod lab;

pub mod telemetry;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
