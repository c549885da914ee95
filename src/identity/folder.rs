//! The folder that a person holds: certificates, keys, and where the gateway is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use super::durable::{self, PRIVATE};
use super::{IdentityError, Locks, TrustStore, Verified, tls, x509};
use crate::domain::{Device, Door, Identity, Timestamp, TrustDomain};

/// How clients reach the gateway: `gateway.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayFacts {
    /// The gateway's own name; elements are `<element>.<domain>`.
    pub domain: String,
    /// `HOST:PORT` of the mTLS door.
    pub gateway: String,
    /// `HOST:PORT` of the SSH door, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_gateway: Option<String>,
}

/// What a client needs to speak to the mTLS door.
#[derive(Debug)]
pub struct ClientCredential {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// The authorities that vouch for the gateway.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// What the certificate in the folder says, for people. Not a proof of anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Who.
    pub identity: Identity,
    /// On which device.
    pub device: Option<Device>,
    /// Whether the key is in hardware.
    pub hardware_bound: bool,
    /// The certificate's serial number, in hexadecimal.
    pub serial: String,
    /// The first moment at which it is no longer valid.
    pub not_after: Timestamp,
}

/// One identity's folder.
#[derive(Debug, Clone)]
pub struct IdentityFolder {
    path: PathBuf,
}

/// Everything that is written into one.
pub(super) struct Contents<'a> {
    pub(super) certificate: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) authority: &'a str,
    pub(super) ssh_key: &'a str,
    pub(super) ssh_public_key: &'a str,
    pub(super) ssh_certificate: &'a str,
    /// One line: the public key of the host authority.
    pub(super) host_authority: &'a str,
    /// One line: the gateway's own host key.
    pub(super) host_key: &'a str,
    pub(super) gateway: &'a GatewayFacts,
}

impl IdentityFolder {
    /// The folder at `path`, which need not exist yet.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the gateway is.
    ///
    /// # Errors
    /// The file is missing or broken; the text says how to mend it.
    pub fn gateway(&self) -> Result<GatewayFacts, String> {
        let path = self.path.join("gateway.toml");
        let text = std::fs::read_to_string(&path).map_err(|e| missing(&path, &e))?;
        toml::from_str(&text).map_err(|e| format!("{}: {}", path.display(), e.message()))
    }

    /// The gateway's own SSH host key, type and base64, for clients that know no host authority: it is the same for every element.
    ///
    /// # Errors
    /// The folder does not hold it; the text says how to mend that.
    pub fn host_key(&self) -> Result<String, String> {
        let path = self.path.join("known_hosts");
        let text = std::fs::read_to_string(&path).map_err(|e| missing(&path, &e))?;
        let key = text.lines().find_map(|line| line.strip_prefix("* ")).map(bare);
        key.filter(|key| ssh_key::PublicKey::from_openssh(key).is_ok()).ok_or_else(|| {
            format!("{}: no line of the gateway's own key; have the identity issued again", path.display())
        })
    }

    /// What a client needs to speak to the mTLS door.
    ///
    /// # Errors
    /// A file is missing or broken; the text says how to mend it.
    pub fn client_credential(&self) -> Result<ClientCredential, String> {
        let key_path = self.path.join("key.pem");
        let key = PrivateKeyDer::from_pem_file(&key_path)
            .map_err(|e| format!("{}: not a PEM private key: {e}", key_path.display()))?;
        Ok(ClientCredential { chain: self.certificates("cert.pem")?, key, authorities: self.certificates("ca.pem")? })
    }

    /// What the certificate says. Only its form is checked.
    ///
    /// # Errors
    /// It is missing, broken, or names no identity of `trust_domain` (of any, when absent).
    pub fn shown(&self, trust_domain: Option<&TrustDomain>) -> Result<Shown, String> {
        let chain = self.certificates("cert.pem")?;
        let der = chain.first().ok_or("cert.pem: no certificate in it")?;
        let own;
        let trust_domain = match trust_domain {
            Some(domain) => domain,
            None => {
                own = x509::claimed_trust_domain(der)
                    .ok_or_else(|| format!("{}: names no identity", self.path.join("cert.pem").display()))?;
                &own
            }
        };
        let leaf =
            x509::leaf(der, trust_domain).map_err(|e| format!("{}: {e}", self.path.join("cert.pem").display()))?;
        Ok(Shown {
            identity: leaf.identity,
            device: leaf.device,
            hardware_bound: leaf.hardware_bound,
            serial: leaf.serial,
            not_after: leaf.not_after,
        })
    }

    /// The identity whose folder this is, for the gateway's own command line: every check of the mTLS door, and that the key is the
    /// certificate's.
    ///
    /// # Errors
    /// As [`tls::verify`], or the folder cannot be read.
    pub fn verify(&self, trust: &TrustStore, locks: &Locks, now: Timestamp) -> Result<Verified, IdentityError> {
        let ClientCredential { chain, key, .. } = self.client_credential().map_err(IdentityError::Unacceptable)?;
        CertifiedKey::from_der(chain.clone(), key, &tls::provider())
            .and_then(|certified| certified.keys_match())
            .map_err(|e| IdentityError::Unacceptable(format!("key.pem is not the key of cert.pem: {e}")))?;
        tls::admit(Arc::from(chain), Door::Local, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), trust, locks, now)
    }

    /// Writes everything; keys can be read by the owner alone.
    pub(super) fn write(&self, contents: &Contents<'_>) -> io::Result<()> {
        durable::folder(&self.path)?;
        let known_hosts = format!("@cert-authority * {}\n* {}\n", contents.host_authority, bare(contents.host_key));
        let gateway = toml::to_string(contents.gateway).map_err(io::Error::other)?;
        let public = super::ca::PUBLIC;
        for (name, text, mode) in [
            ("ca.pem", contents.authority, public),
            ("gateway.toml", &gateway, public),
            ("known_hosts", &known_hosts, public),
            ("ssh_key", contents.ssh_key, PRIVATE),
            ("ssh_key.pub", contents.ssh_public_key, public),
            ("ssh_key-cert.pub", contents.ssh_certificate, public),
        ] {
            durable::replace(&self.path.join(name), ended(text).as_bytes(), mode)?;
        }
        match contents.key {
            Some(key) => durable::replace(&self.path.join("key.pem"), ended(key).as_bytes(), PRIVATE)?,
            // The key is in hardware; one of an earlier issue must not stay beside a certificate it does not fit.
            None => match std::fs::remove_file(self.path.join("key.pem")) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            },
        }
        durable::replace(&self.path.join("cert.pem"), contents.certificate.as_bytes(), public)
    }

    fn certificates(&self, name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
        let path = self.path.join(name);
        let text = std::fs::read(&path).map_err(|e| missing(&path, &e))?;
        let found = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| format!("{}: not PEM certificates: {e}", path.display()))?;
        if found.is_empty() { Err(format!("{}: no certificate in it", path.display())) } else { Ok(found) }
    }
}

fn missing(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}; name the folder with --identity, or have one made with `sallyport ca issue`", path.display())
}

/// A public key without its comment.
fn bare(key: &str) -> String {
    key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn ended(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n'))
}
