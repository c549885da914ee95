//! Where: the elements, how they are reached, and with which credential.
//!
//! It knows the inventory (`elements.toml`), the pinned host keys, the sealed secrets and the crypto profiles, and dials an
//! element for a [`Permit`](crate::policy::Permit) that names it. It refuses a host key that no person pinned, an algorithm
//! outside the element's profile, a profile that has run out, and a login dialogue that asks for something unforeseen.
//! Nothing is trusted on first use, and no secret leaves before the host key was checked.
//!
//! Deliberately absent: decisions (policy), recording and relaying (access). The SSH library stays inside [`ssh`].

pub mod credential;
pub mod crypto;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
pub mod host_key;
pub mod inventory;
mod own;
mod read_ahead;
pub mod secrets;
mod service;
pub mod ssh;
pub mod tls;

use std::time::Duration;

use crate::domain::Outcome;

pub use inventory::{Element, Inventory};
pub use own::OwnDoors;
pub use read_ahead::ReadAhead;
pub use service::{Service, TlsCredential, TlsService};
pub use ssh::{InboundReader, InboundWriter, Link, Listening, Offer, Said, dial, listen};
pub use tls::{Injected, TlsLink, dial_tls};

/// What dialling may take and where secrets are.
#[derive(Debug, Clone)]
pub struct Config {
    /// Time for TCP, key exchange and login together.
    pub connect_timeout: Duration,
    /// The client's window on the channel, in bytes.
    pub window_bytes: u32,
    /// The folder of sealed secrets.
    pub secrets_dir: std::path::PathBuf,
    /// The key they are sealed with.
    pub secrets_key_file: std::path::PathBuf,
    /// Where the gateway itself listens; nothing is dialled there.
    pub own: OwnDoors,
}

/// Why an element was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No TCP connection, or it broke; the text is for operators.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// Its address leads to the gateway itself.
    #[error("{address} leads to {door}, which is a door of the gateway itself")]
    OwnDoor {
        /// What the inventory says.
        address: String,
        /// Where that leads.
        door: std::net::SocketAddr,
    },
    /// It did not answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Its host key is not the pinned one.
    #[error("the host key {presented} of {address} is not one of those pinned")]
    HostKey {
        /// The address that showed it.
        address: String,
        /// What it showed: algorithm and fingerprint.
        presented: String,
        /// What would have been accepted.
        expected: Vec<String>,
    },
    /// No algorithm in common under the element's crypto profile.
    #[error("no algorithm in common: {0}")]
    Algorithms(String),
    /// The crypto profile of the element is weaker than the default and has run out.
    #[error("the crypto profile `{profile}` of this element ran out on {expired}")]
    ProfileExpired {
        /// Its name.
        profile: String,
        /// Its last day.
        expired: String,
    },
    /// It did not accept the credential.
    #[error("the element did not accept the gateway's credential: {0}")]
    Login(String),
    /// It took the credential and then refused to open the channel; `reason` is the code of RFC 4254 §5.1.
    #[error("the element did not open the channel: {text}")]
    Refused {
        /// The code of RFC 4254 §5.1.
        reason: u32,
        /// The element's words, made safe to print.
        text: String,
    },
    /// A stored secret is missing or cannot be opened.
    #[error("the credential of this element cannot be used: {0}")]
    Credential(String),
}

/// What was negotiated with the element, for the log.
#[derive(Debug, Clone, Default)]
pub struct LinkFacts {
    /// The address that answered.
    pub address: String,
    /// Its identification string.
    pub banner: String,
    /// Its host key's fingerprint, `SHA256:…`.
    pub host_key: String,
    /// Key exchange, cipher and MAC in use.
    pub algorithms: String,
    /// The crypto profile when it is weaker than the default.
    pub legacy_profile: Option<String>,
}

/// What the element says on the one channel of a link.
#[derive(Debug)]
pub enum LinkEvent<'a> {
    /// Bytes: standard output, or (`error`) standard error.
    Data {
        /// Whether it is standard error.
        error: bool,
        /// The bytes.
        data: &'a [u8],
    },
    /// No more bytes.
    Eof,
    /// The command's status.
    ExitStatus(u32),
    /// The signal that ended the command.
    ExitSignal {
        /// Its name without `SIG`.
        name: String,
        /// Whether a core was dumped.
        core_dumped: bool,
        /// The element's words.
        message: String,
        /// Their language.
        language: String,
    },
    /// The last request that wanted an answer got this one.
    Reply(bool),
    /// The element's flow-control wish (RFC 4254 §6.8).
    XonXoff(bool),
    /// The channel, or the whole connection, is closed.
    Closed,
}

/// Takes what the element says, in order, inline: while it waits, the element waits, and nobody else.
pub trait LinkSink: Send + 'static {
    /// Takes one event. An error ends the link.
    fn take(&mut self, event: LinkEvent<'_>) -> impl Future<Output = Result<(), Outcome>> + Send;

    /// A channel that the element opens for something this link asked for. Dropping the offer refuses it, which is the default. It must not
    /// wait, and its data takes a path of its own.
    fn offered(&mut self, offer: Offer) {
        drop(offer);
    }
}

/// Where a channel that an element opens comes from, in the element's words made safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A program that wants the client's key agent.
    Agent,
    /// A program that wants the client's display.
    Display {
        /// Where from.
        originator: String,
        /// Where from.
        originator_port: u32,
    },
    /// A connection to the socket that was asked for.
    Socket,
    /// A connection to the port that was asked for.
    Tcp {
        /// Where from.
        originator: String,
        /// Where from.
        originator_port: u32,
    },
}

/// Where an element is to listen for connections to the client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// An address and port of the element (RFC 4254 §7.1); port 0 leaves the choice to it.
    Tcp {
        /// The address, as the client wrote it.
        host: String,
        /// The port.
        port: u32,
    },
    /// A socket on the element (OpenSSH PROTOCOL §2.4).
    Socket {
        /// Its path.
        path: String,
    },
}

/// The client's display (RFC 4254 §6.3.1).
#[derive(Debug, Clone)]
pub struct Display {
    /// Whether only one connection may come.
    pub single: bool,
    /// The authentication protocol.
    pub protocol: String,
    /// The client's cookie: one made up for this session by every client that minds its display.
    pub cookie: String,
    /// The screen.
    pub screen: u32,
}

/// What to open on the element.
#[derive(Debug, Clone)]
pub enum Opening {
    /// A session channel where the element speaks NETCONF over SSH.
    Netconf,
    /// A session channel.
    Session,
    /// A TCP connection made by the element (RFC 4254 §7.2).
    DirectTcp {
        /// Where to.
        host: String,
        /// Where to.
        port: u32,
        /// Where from.
        originator: String,
        /// Where from.
        originator_port: u32,
    },
    /// A connection to a socket on the element (OpenSSH PROTOCOL §2.4).
    DirectStreamlocal {
        /// The socket.
        path: String,
    },
}

/// A terminal as the client asked for it.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// `TERM`.
    pub term: String,
    /// Size in characters.
    pub columns: u32,
    /// Size in characters.
    pub rows: u32,
    /// Size in pixels.
    pub pixel_width: u32,
    /// Size in pixels.
    pub pixel_height: u32,
    /// Modes: opcode and value (RFC 4254 §8), as the client sent them.
    pub modes: Vec<(u8, u32)>,
}

/// The link is gone.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the element is closed")]
pub struct LinkClosed;
