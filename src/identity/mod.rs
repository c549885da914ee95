//! Who: credentials become verified identities here and nowhere else.
//!
//! It knows X.509 client certificates ([`tls`]), OpenSSH user certificates ([`ssh`]), the folder a person holds ([`folder`]), what is
//! trusted now ([`trust`]), who is shut out ([`locks`]), and the authority behind all of them ([`ca`], [`issue`]).
//!
//! It refuses whatever it does not fully understand: a second name, an unknown critical option, a revocation list that has run out.
//! Each check is made again, whole, whenever trust changes: [`Trust::still_admits`] runs the code that admitted.
//! Absent on purpose: passwords, session resumption, and any identity taken from an address or a header.

pub mod ca;
pub(crate) mod durable;
#[cfg(test)]
pub(crate) mod fixture;
pub mod folder;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
pub mod issue;
pub mod locks;
mod revoked;
pub mod server_judge;
pub mod ssh;
pub mod ssh_config;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod trust;
mod x509;

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::domain::{Assurance, Device, Door, Identity, Timestamp};

pub use locks::{Lock, LockSubject, Locks};
pub use trust::{Trust, TrustStore};

/// Proof that a client holds a valid, unrevoked, unlocked credential of this identity. Issued by this module alone.
#[derive(Debug)]
pub struct Verified {
    identity: Identity,
    device: Option<Device>,
    assurance: Assurance,
    door: Door,
    peer: SocketAddr,
    credential: String,
    fingerprint: [u8; 32],
    not_after: Timestamp,
    evidence: Evidence,
}

/// What was verified, kept so that it can be verified again.
#[derive(Debug, Clone)]
enum Evidence {
    /// The certificate chain, leaf first.
    X509(Arc<[CertificateDer<'static>]>),
    /// The user certificate.
    Ssh(Arc<ssh_key::Certificate>),
}

impl Verified {
    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The device the credential names.
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// How sure the gateway is.
    pub fn assurance(&self) -> Assurance {
        self.assurance
    }

    /// The door it came in by.
    pub fn door(&self) -> Door {
        self.door
    }

    /// Where from.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The credential for people: `x509:<serial>` or `ssh:<key id>/<serial>`.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The first moment at which the credential is no longer valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

/// The last check of every door: neither the identity nor its device is locked.
fn unlocked(verified: Verified, locks: &Locks, now: Timestamp) -> Result<Verified, IdentityError> {
    match locks.find(&verified, None, now) {
        None => Ok(verified),
        Some(lock) => Err(IdentityError::Locked(format!("{}: {}", lock.subject, lock.reason))),
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}

/// Why a credential was refused. The peer hears only that it was; the log hears this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not issued by an authority that is trusted for it, or broken.
    #[error("the credential is not acceptable: {0}")]
    Unacceptable(String),
    /// Not yet, or no longer, valid.
    #[error("the credential is outside its validity: {0}")]
    Expired(String),
    /// Revoked.
    #[error("the credential is revoked")]
    Revoked,
    /// The identity or device is locked.
    #[error("the identity is locked: {0}")]
    Locked(String),
}
