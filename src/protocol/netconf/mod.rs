//! NETCONF (RFC 6241, 6242, 7589): terminated towards the client, spoken anew with the element, each RPC decided before the element sees it.
//!
//! Framing differs by leg; capabilities that the gateway does not police are held back. An RPC is one or more actions; one that is denied, or
//! that could be read in two ways, is answered with an `rpc-error` in its place. Answers to reads are pruned as RFC 8341 does. A change of the
//! running configuration leaves a difference in the recording.
//!
//! Refused: `url` parameters, document types and entities, attributes and parameters that are not known, command lines in shapes that hide
//! them. docs/protocols/netconf.md has each deviation.

pub mod actions;
mod answer;
pub mod codec;
mod door;
mod downlink;
mod element;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod hello;
pub mod observe;
pub mod prune;
mod reply;
mod serve;
mod state;
mod uplink;
pub mod xml;

use std::sync::Arc;

use crate::access::{Access, BoxFuture, Client, Grant, Protocol, Spoken, Stream, Subsystem, Visit};
use crate::domain::{Action, Outcome, Verb};

/// NETCONF, as the registry knows it.
#[derive(Debug)]
pub struct Netconf;

impl Protocol for Netconf {
    fn name(&self) -> &'static str {
        "netconf"
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"netconf"]
    }

    fn spoken(&self) -> Spoken {
        Spoken::OnElements
    }

    fn serve<'a>(&'a self, access: Arc<Access>, client: Client) -> BoxFuture<'a, ()> {
        Box::pin(door::serve(access, client))
    }
}

impl Subsystem for Netconf {
    fn name(&self) -> &'static str {
        "netconf"
    }

    fn opening(&self) -> Action {
        Action::new(Verb::NetconfSession, "")
    }

    fn speak<'a>(
        &'a self,
        visit: &'a Visit,
        grant: &'a Grant,
        channel: u32,
        client: Box<dyn Stream>,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(serve::speak(visit, grant, channel, client))
    }
}
