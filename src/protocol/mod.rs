//! What: one folder for each protocol, each with the same answers: what it is, which actions it names, how it is served.
//!
//! A new protocol is one folder, one line in [`all`] and rows in `policies/`; one that goes over HTTP has its line in [`OVER_HTTP`].

pub mod gnmi;
pub mod http_api;
pub mod netconf;
pub mod restconf;
pub mod ssh;
pub mod web;

use crate::access::{Protocol, Subsystem};

/// What goes over HTTP; the first that takes a request has it.
static OVER_HTTP: &[&dyn web::Service] = &[&gnmi::Gnmi, &restconf::Restconf, &HTTP_API];

static HTTP_API: http_api::HttpApi = http_api::HttpApi::new();

static WEB: web::Web = web::Web::new(OVER_HTTP);

/// The registry. The first entry also serves the SSH door.
pub fn all() -> &'static [&'static dyn Protocol] {
    static ALL: &[&dyn Protocol] = &[&ssh::Ssh, &netconf::Netconf, &WEB];
    ALL
}

/// What SSH carries for other protocols, by the name of the subsystem.
pub fn subsystems() -> &'static [&'static dyn Subsystem] {
    &[&netconf::Netconf]
}
