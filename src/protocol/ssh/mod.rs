//! SSH (RFC 4251 to 4254, 4256; OpenSSH PROTOCOL): terminated towards the client, dialled anew towards the element.
//!
//! The session protocol with shells, commands, SFTP and scp; port and socket forwarding; `ssh -J gateway element`, whose inner connection is
//! terminated here too. Each channel is decided by itself and has an element connection of its own.
//!
//! Refused: compression, password logins at the door, channels before admission, environment that is not listed, forwards that would hide an
//! SSH session. russh's types stay in this folder.

mod actions;
mod algorithms;
mod bulk;
mod channel;
mod client;
mod connection;
mod content;
pub mod echo;
mod forward;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod inbound;
pub mod inspect;
mod keys;
mod listen;
mod login;
mod open;
pub mod paths;
pub mod prompt;
mod queue;
pub mod scp;
#[cfg(any(test, feature = "fuzzing"))]
mod script;
mod server;
pub mod sftp;
mod sink;
mod subsystem;
mod tape;
mod tether;

use std::sync::Arc;

use crate::access::{Access, BoxFuture, Client, Entry, Protocol};
use connection::Who;

/// The SSH protocol, as the registry knows it.
#[derive(Debug)]
pub struct Ssh;

impl Protocol for Ssh {
    fn name(&self) -> &'static str {
        "ssh"
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"ssh"]
    }

    fn serve<'a>(&'a self, access: Arc<Access>, client: Client) -> BoxFuture<'a, ()> {
        match client.entry {
            Entry::Identified { verified, element, .. } => {
                connection::serve(access, client.stream, Who::Known { verified, element })
            }
            Entry::Unidentified { peer } => connection::serve(access, client.stream, Who::Unknown { peer }),
        }
    }
}
