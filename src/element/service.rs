//! What an element offers beside its SSH server: services over TLS, and how the gateway proves itself to them. Pure.

use std::fmt;

use rustls::pki_types::{CertificateDer, ServerName};

use super::credential::SecretName;
use super::crypto::Profile;
use super::inventory::Address;

/// A service of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// gNMI and gNOI.
    Gnmi,
    /// RESTCONF and other HTTPS APIs.
    Https,
    /// NETCONF over TLS (RFC 7589), or over SSH at addresses of its own.
    Netconf,
}

impl Service {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Gnmi, Self::Https, Self::Netconf];

    /// Its section in the inventory.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gnmi => "gnmi",
            Self::Https => "https",
            Self::Netconf => "netconf",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a service is reached, and how it is known to be the element's.
#[derive(Debug, Clone)]
pub struct TlsService {
    /// Where it listens; tried in order.
    pub addresses: Vec<Address>,
    /// The name that its certificate must have.
    pub server_name: ServerName<'static>,
    /// Authorities whose certificates for that name are the element's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// SHA-256 of certificates that are the element's, whoever signed them and whatever name they have.
    pub pins: Vec<[u8; 32]>,
    /// How the gateway proves itself.
    pub credential: TlsCredential,
    /// Why TLS 1.2 may be spoken, by whose word and until when; TLS 1.3 alone otherwise.
    pub tls12: Option<std::sync::Arc<Profile>>,
    /// Where RESTCONF begins (RFC 8040 §3.1); absent where there is none.
    pub restconf: Option<String>,
    /// The OpenAPI document that says what may be called, relative to the policy folder.
    pub api: Option<String>,
}

/// How the gateway proves itself to a service over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsCredential {
    /// HTTP basic authentication (RFC 7617) as the account, or gNMI's `username` and `password`.
    Basic {
        /// The secret that holds the password.
        secret: SecretName,
    },
    /// A bearer token (RFC 6750).
    Bearer {
        /// The secret that holds it.
        secret: SecretName,
    },
    /// A short-lived client certificate, minted for the identity at each dial.
    Certificate,
}

impl TlsCredential {
    /// The kind, as the inventory spells it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "basic",
            Self::Bearer { .. } => "bearer",
            Self::Certificate => "certificate",
        }
    }
}
