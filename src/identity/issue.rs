//! Short-lived credentials that the gateway itself issues: to log in on an element, and to be recognised as one.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rand::Rng;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, Certificate, PrivateKey};

use super::{Trust, Verified};
use crate::domain::{Account, ElementName, Timestamp};

/// A key and its certificate, both made for one purpose and never stored.
#[derive(Debug)]
pub struct Minted {
    /// The private key.
    pub key: PrivateKey,
    /// Its certificate.
    pub certificate: Certificate,
}

/// How far a certificate reaches back, for clocks that are slow.
pub(super) const BACKDATE: Duration = Duration::from_secs(60);

/// How long a host certificate lives; it is renewed when half of that is used.
const HOST_CERTIFICATE_TTL: Duration = Duration::from_secs(24 * 3_600);

/// Host certificates kept. The inventory bounds what is asked for; this bounds it again.
const HOST_CERTIFICATES_MAX: usize = 10_000;

/// What a login on an element may use. Whether this client may use it, policy has decided before the dial.
const LOGIN_EXTENSIONS: [&str; 4] =
    ["permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty"];

/// A user certificate with which to log in on an element as `account`, in the name of `who`: key id `<identity>#<session>`.
///
/// # Errors
/// The signature could not be made.
pub fn element_certificate(
    trust: &Trust,
    who: &Verified,
    account: &Account,
    session: &str,
    now: Timestamp,
    ttl: Duration,
) -> Result<Minted, ssh_key::Error> {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
    let mut builder = builder(key.public_key().key_data(), now, ttl)?;
    builder
        .cert_type(CertType::User)?
        .key_id(format!("{}#{session}", who.identity))?
        .valid_principal(account.as_str())?;
    for extension in LOGIN_EXTENSIONS {
        builder.extension(extension, "")?;
    }
    let certificate = builder.sign(&trust.element_ca)?;
    Ok(Minted { key, certificate })
}

/// The gateway's host key with a host certificate for `element` (principals: the name, and the name with `domain`; for the gateway
/// itself also `domain`). Cached by the trust set.
///
/// # Errors
/// The signature could not be made.
pub fn host_certificate(
    trust: &Trust,
    element: &ElementName,
    domain: &str,
    now: Timestamp,
) -> Result<Arc<Minted>, ssh_key::Error> {
    let place = (element.clone(), domain.to_owned());
    let mut kept = trust.host_certificates.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(minted) = kept.get(&place).filter(|minted| fresh(&minted.certificate, now)) {
        return Ok(minted.clone());
    }
    let mut builder = builder(trust.host_key.public_key().key_data(), now, HOST_CERTIFICATE_TTL)?;
    builder.cert_type(CertType::Host)?.key_id(format!("{element}.{domain}"))?;
    builder.valid_principal(element.as_str())?.valid_principal(format!("{element}.{domain}"))?;
    if *element == ElementName::gateway() {
        builder.valid_principal(domain)?;
    }
    let certificate = builder.sign(&trust.host_ca)?;
    let minted = Arc::new(Minted { key: trust.host_key.clone(), certificate });
    if kept.len() >= HOST_CERTIFICATES_MAX {
        kept.clear();
    }
    kept.insert(place, minted.clone());
    Ok(minted)
}

/// Less than half of its life is used, and it has begun.
fn fresh(certificate: &Certificate, now: Timestamp) -> bool {
    let now = u64::try_from(now.as_secs()).unwrap_or(0);
    let half = HOST_CERTIFICATE_TTL.as_secs() / 2;
    certificate.valid_after() <= now && now.saturating_add(half) < certificate.valid_before()
}

/// A certificate for `key` from a minute ago until `now + ttl`, with a serial number nobody can guess.
pub(super) fn builder(key: &KeyData, now: Timestamp, ttl: Duration) -> Result<Builder, ssh_key::Error> {
    let now = u64::try_from(now.as_secs()).unwrap_or(0);
    let (after, before) = (now.saturating_sub(BACKDATE.as_secs()), now.saturating_add(ttl.as_secs()));
    let mut rng = rand::rng();
    let mut builder = Builder::new_with_random_nonce(&mut rng, key.clone(), after, before)?;
    builder.serial(rng.next_u64())?;
    Ok(builder)
}
