//! Identification on behalf of protocols that do it in their own handshake: each answer is a [`Verified`], or is not.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Access, clock};
use crate::domain::{ElementName, Identity};
use crate::identity::issue::{self, Minted};
use crate::identity::{IdentityError, Verified, ssh};

impl Access {
    /// The identity of an SSH user certificate, whose private key the client has proved to hold.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn identify_certificate(
        &self,
        certificate: &ssh_key::Certificate,
        peer: SocketAddr,
    ) -> Result<Verified, IdentityError> {
        ssh::verify_certificate(certificate, peer, self.trust(), self.locks(), clock::now())
    }

    /// Whom an authority of ours names in a user certificate that is refused all the same, once the client has proved to hold its key.
    pub fn holder(&self, certificate: &ssh_key::Certificate) -> Option<Identity> {
        ssh::holder(certificate, &self.trust().current())
    }

    /// Whether an SSH user certificate is that of a client who is identified already.
    ///
    /// # Errors
    /// Why it is not.
    pub fn confirm_certificate(&self, certificate: &ssh_key::Certificate, of: &Verified) -> Result<(), IdentityError> {
        ssh::verify_companion(certificate, of, self.trust(), self.locks(), clock::now())
    }

    /// Whether a bare SSH key is that of a client who is identified already.
    ///
    /// # Errors
    /// Why it is not.
    pub fn confirm_key(&self, key: &ssh_key::PublicKey, of: &Verified) -> Result<(), IdentityError> {
        ssh::verify_companion_key(key, of, self.trust(), clock::now())
    }

    /// The same client on a connection inside its own: verified again.
    ///
    /// # Errors
    /// Expired, revoked or locked since.
    pub fn identify_again(&self, outer: &Verified) -> Result<Verified, IdentityError> {
        ssh::verify_again(outer, self.trust(), self.locks(), clock::now())
    }

    /// The host key and certificate under which the gateway stands for `element`.
    ///
    /// # Errors
    /// The signature could not be made.
    pub fn host_certificate(&self, element: &ElementName) -> Result<Arc<Minted>, ssh_key::Error> {
        issue::host_certificate(&self.trust().current(), element, self.domain(), clock::now())
    }
}
