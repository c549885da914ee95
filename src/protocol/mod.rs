//! What: one folder for each protocol, each with the same answers: what it is, which actions it names, how it is served.
//!
//! A new protocol is one folder, one line in [`all`] and rows in `policies/`.

pub mod ssh;

use crate::access::Protocol;

/// The registry. The first entry also serves the SSH door.
pub fn all() -> &'static [&'static dyn Protocol] {
    &[&ssh::Ssh]
}
