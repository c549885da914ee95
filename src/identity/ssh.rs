//! The SSH door's side of identity: OpenSSH user certificates (PROTOCOL.certkeys), checked in full.
//!
//! The SSH library checks that the client holds the key; everything that makes the certificate mean something is checked here. What
//! is not understood refuses: an unknown critical option, a key type nobody asked for, an authority that is itself a certificate.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use ssh_key::certificate::CertType;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, Certificate, HashAlg};

use super::{Evidence, IdentityError, Locks, Trust, TrustStore, Verified, sha256};
use crate::domain::{Assurance, Device, Door, Identity, Timestamp};

/// The extension by which our user certificates name the device they were issued to.
pub(crate) const DEVICE_EXTENSION: &str = "device@sallyport";

/// RSA keys below this are refused (RFC 8332 §3 leaves it to policy; NIST SP 800-131A says 2048).
const RSA_BITS_MIN: u32 = 2048;

/// Turns a user certificate, whose private key the client has just proved to hold, into a verified identity.
///
/// # Errors
/// Not a user certificate, not signed by a trusted authority with an acceptable algorithm, outside its validity, principals that do not
/// hold the identity, an unknown critical option, another source address, revoked, locked.
pub fn verify_certificate(
    certificate: &Certificate,
    peer: SocketAddr,
    trust: &TrustStore,
    locks: &Locks,
    now: Timestamp,
) -> Result<Verified, IdentityError> {
    admit(Arc::new(certificate.clone()), peer, trust, locks, now)
}

/// Whom a trusted authority names in a user certificate, whether or not it is admitted: for the log.
pub fn holder(certificate: &Certificate, trust: &Trust) -> Option<Identity> {
    signed_by_trusted(certificate, trust).ok()?;
    named(certificate, trust).ok().filter(|_| certificate.cert_type() == CertType::User)
}

/// Checks that a user certificate belongs to the client whose TLS connection carries this SSH, for clients that never try `none`.
///
/// # Errors
/// As [`verify_certificate`], or it is another identity's.
pub fn verify_companion(
    certificate: &Certificate,
    of: &Verified,
    trust: &TrustStore,
    locks: &Locks,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let companion = verify_certificate(certificate, of.peer, trust, locks, now)?;
    if companion.identity != of.identity {
        return Err(refuse(format!("it is {}'s, and the connection is {}'s", companion.identity, of.identity)));
    }
    match (&companion.device, &of.device) {
        (Some(theirs), Some(ours)) if theirs != ours => {
            Err(refuse(format!("it was issued to {theirs}, and the connection comes from {ours}")))
        }
        _ => Ok(()),
    }
}

/// Whether a bare public key is one that was certified for the identity of `of`, for clients that offer a key without its certificate.
///
/// # Errors
/// It is not.
pub fn verify_companion_key(
    key: &ssh_key::PublicKey,
    of: &Verified,
    trust: &TrustStore,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let trust = trust.current();
    let key = key.key_data();
    if trust.ssh_revoked.covers_key(key) {
        return Err(IdentityError::Revoked);
    }
    if trust.companions.hold(&of.identity, key, now) {
        Ok(())
    } else {
        Err(refuse(format!(
            "the key {} is not one certified for {}, or no longer",
            key.fingerprint(HashAlg::Sha256),
            of.identity
        )))
    }
}

/// The certificate of one SSH connection inside another (`ssh -J gateway element`): the same client, verified again at `now`.
///
/// # Errors
/// Expired, revoked or locked since.
pub fn verify_again(
    outer: &Verified,
    trust: &TrustStore,
    locks: &Locks,
    now: Timestamp,
) -> Result<Verified, IdentityError> {
    match &outer.evidence {
        Evidence::Ssh(certificate) => admit(certificate.clone(), outer.peer, trust, locks, now),
        Evidence::X509(chain) => super::tls::admit(chain.clone(), outer.door, outer.peer, trust, locks, now),
    }
}

/// Whether a key may sign user certificates here.
pub(super) fn fit_to_sign(key: &KeyData) -> Result<(), String> {
    match key {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) => Ok(()),
        KeyData::Rsa(rsa) if rsa.key_size() >= RSA_BITS_MIN => Ok(()),
        KeyData::Rsa(rsa) => Err(format!("an RSA key of {} bits; {RSA_BITS_MIN} are the least", rsa.key_size())),
        KeyData::Certificate(_) => Err("a certificate is not an authority".to_owned()),
        other => Err(format!("an authority with a key of type {} is not supported", other.algorithm())),
    }
}

/// What a certificate that passed says.
#[derive(Debug)]
pub(super) struct Examined {
    identity: Identity,
    device: Option<Device>,
    not_after: Timestamp,
}

fn admit(
    certificate: Arc<Certificate>,
    peer: SocketAddr,
    trust: &TrustStore,
    locks: &Locks,
    now: Timestamp,
) -> Result<Verified, IdentityError> {
    let Examined { identity, device, not_after } = examine(&certificate, peer.ip(), &trust.current(), now)?;
    let encoded = certificate.to_bytes().map_err(|e| refuse(format!("it cannot be encoded: {e}")))?;
    let verified = Verified {
        identity,
        device,
        // The SSH library does not show the flags of a FIDO signature, so that a person was verified cannot be known.
        assurance: Assurance::SoftwareKey,
        door: Door::Ssh,
        peer,
        credential: format!("ssh:{}/{}", certificate.key_id(), certificate.serial()),
        fingerprint: sha256(&encoded),
        not_after,
        evidence: Evidence::Ssh(certificate),
    };
    super::unlocked(verified, locks, now)
}

/// Every check that needs no lock. The signature comes before anything the certificate says is believed.
pub(super) fn examine(
    certificate: &Certificate,
    peer: IpAddr,
    trust: &Trust,
    now: Timestamp,
) -> Result<Examined, IdentityError> {
    signed_by_trusted(certificate, trust)?;
    match certificate.cert_type() {
        CertType::User => {}
        CertType::Host => return Err(refuse("a host certificate does not name a user")),
    }
    fit_to_hold(certificate.public_key())?;
    let not_after = within_validity(certificate, now)?;
    let identity = named(certificate, trust)?;
    let device = device(certificate, trust)?;
    critical_options(certificate, peer)?;
    if trust.ssh_revoked.covers(certificate) {
        return Err(IdentityError::Revoked);
    }
    Ok(Examined { identity, device, not_after })
}

fn signed_by_trusted(certificate: &Certificate, trust: &Trust) -> Result<(), IdentityError> {
    let authority = certificate.signature_key();
    // SECURITY: an authority is a plain key. A certificate in its place (CVE-2025-49825) is not one, whatever it wraps.
    fit_to_sign(authority).map_err(refuse)?;
    if !trust.ssh_user_cas.contains(authority) {
        return Err(refuse(format!(
            "the authority {} is not trusted for users",
            authority.fingerprint(HashAlg::Sha256)
        )));
    }
    match certificate.signature().algorithm() {
        Algorithm::Ed25519
        | Algorithm::Ecdsa { .. }
        | Algorithm::Rsa { hash: Some(HashAlg::Sha256 | HashAlg::Sha512) } => {}
        other => return Err(refuse(format!("signed with {other}, which is not accepted"))),
    }
    certificate.verify_signature().map_err(|_| refuse("the authority's signature is wrong"))
}

fn fit_to_hold(key: &KeyData) -> Result<(), IdentityError> {
    match key {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Rsa(rsa) if rsa.key_size() >= RSA_BITS_MIN => Ok(()),
        KeyData::Rsa(rsa) => {
            Err(refuse(format!("it certifies an RSA key of {} bits; {RSA_BITS_MIN} are the least", rsa.key_size())))
        }
        other => Err(refuse(format!("it certifies a key of type {}, which is not accepted", other.algorithm()))),
    }
}

/// PROTOCOL.certkeys: valid after <= now < valid before. The answer is the first moment at which it is no longer valid.
fn within_validity(certificate: &Certificate, now: Timestamp) -> Result<Timestamp, IdentityError> {
    let expired = |text: String| Err(IdentityError::Expired(text));
    let Ok(seconds) = u64::try_from(now.as_secs()) else {
        return expired("the clock is before 1970".to_owned());
    };
    if seconds < certificate.valid_after() {
        return expired(format!("valid only from {}", moment(certificate.valid_after())));
    }
    if seconds >= certificate.valid_before() {
        return expired(format!("it ran out at {}", moment(certificate.valid_before())));
    }
    Ok(moment(certificate.valid_before()))
}

fn moment(seconds: u64) -> Timestamp {
    Timestamp::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// The key id is the identity, and its name is among the principals. An empty list, which elsewhere means everybody, means nobody.
fn named(certificate: &Certificate, trust: &Trust) -> Result<Identity, IdentityError> {
    let key_id = certificate.key_id();
    let identity: Identity = key_id.parse().map_err(|e| refuse(format!("its key id names no identity: {e}")))?;
    if identity.trust_domain() != &trust.trust_domain {
        return Err(refuse(format!(
            "it names the trust domain {}, and only {} is admitted",
            identity.trust_domain(),
            trust.trust_domain
        )));
    }
    if certificate.valid_principals().iter().any(|principal| principal == identity.name()) {
        Ok(identity)
    } else {
        Err(refuse(format!("`{}` is not among its principals", identity.name())))
    }
}

fn device(certificate: &Certificate, trust: &Trust) -> Result<Option<Device>, IdentityError> {
    let Some(uri) = certificate.extensions().get(DEVICE_EXTENSION) else {
        return Ok(None);
    };
    match uri.parse::<Device>() {
        Ok(device) if device.trust_domain() == &trust.trust_domain => Ok(Some(device)),
        Ok(device) => Err(refuse(format!("it names a device of the trust domain {}", device.trust_domain()))),
        Err(e) => Err(refuse(format!("its device: {e}"))),
    }
}

/// SECURITY: only `source-address` is understood. Any other, `force-command` and `verify-required` too, would be a promise not kept.
pub(super) fn critical_options(certificate: &Certificate, peer: IpAddr) -> Result<(), IdentityError> {
    for (name, value) in certificate.critical_options().iter() {
        match name.as_str() {
            "source-address" => from_listed(value, peer)?,
            other => return Err(refuse(format!("the critical option `{}` is not understood", other.escape_debug()))),
        }
    }
    Ok(())
}

/// PROTOCOL.certkeys: a comma-separated list of addresses and networks. One broken entry refuses: half a list is not the list.
fn from_listed(list: &str, peer: IpAddr) -> Result<(), IdentityError> {
    let peer = peer.to_canonical();
    let mut listed = false;
    for entry in list.split(',') {
        let network = network(entry)
            .ok_or_else(|| refuse(format!("`{}` in source-address is not a network", entry.escape_debug())))?;
        listed |= network.contains(&peer);
    }
    if listed { Ok(()) } else { Err(refuse(format!("{peer} is not among the addresses it may be used from"))) }
}

/// One address or network; a network with bits set beyond its prefix is a mistake, not a network.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address));
    }
    text.parse::<IpNet>().ok().filter(|net| net.addr() == net.network())
}

fn refuse(why: impl Into<String>) -> IdentityError {
    IdentityError::Unacceptable(why.into())
}

/// Every check that needs no trust, for whoever wants to see that none of them is upset.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn try_checks(certificate: &Certificate, peer: IpAddr, now: Timestamp) {
    drop(fit_to_sign(certificate.signature_key()));
    drop(fit_to_hold(certificate.public_key()));
    drop(within_validity(certificate, now));
    drop(critical_options(certificate, peer));
    drop(certificate.verify_signature());
}
