//! Short-lived credentials that the gateway itself issues: to log in on an element, and to be recognised as one.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rand::Rng;
use rcgen::PublicKeyData as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ssh_key::certificate::{Builder, CertType};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, Certificate, PrivateKey};
use x509_parser::prelude::{FromDer, X509Certificate};

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

/// A key and its X.509 certificate chain, made for one connection to an element and never stored.
pub struct MintedX509 {
    /// The certificate, and the authority's.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for MintedX509 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MintedX509").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// The X.509 authority whose client certificates elements trust.
pub struct X509Issuer {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: CertificateDer<'static>,
}

impl std::fmt::Debug for X509Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("X509Issuer")
    }
}

impl X509Issuer {
    /// From the PEM text of its certificate and key.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, String> {
        let der =
            CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| format!("the certificate: {e}"))?;
        let pair = rcgen::KeyPair::from_pem(key).map_err(|e| format!("the key: {e}"))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|e| format!("the certificate: {e}"))?;
        if !parsed.is_ca() {
            return Err("its certificate is not an authority's".to_owned());
        }
        if parsed.public_key().raw != pair.subject_public_key_info() {
            return Err("it is not the key of the certificate".to_owned());
        }
        let issuer = rcgen::Issuer::from_ca_cert_der(&der, pair).map_err(|e| format!("the certificate: {e}"))?;
        Ok(Self { issuer, certificate: der })
    }
}

/// A client certificate for a service of an element, in the name of `who`: the common name is the account, the URI the identity (RFC 7589 §7 and
/// most elements map one of them to a user), the serial number nobody can guess. `None` when there is no authority for it.
///
/// # Errors
/// The signature could not be made.
pub fn element_x509(
    trust: &Trust,
    who: &Verified,
    account: &Account,
    now: Timestamp,
    ttl: Duration,
) -> Result<Option<MintedX509>, String> {
    let Some(authority) = &trust.x509_element_ca else { return Ok(None) };
    let moment = |at: Timestamp| {
        time::OffsetDateTime::from_unix_timestamp(at.as_secs()).map_err(|_| "the clock is out of range".to_owned())
    };
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|e| e.to_string())?;
    let mut params = rcgen::CertificateParams::default();
    params.not_before = moment(Timestamp::from_nanos(now.as_nanos().saturating_sub(60_000_000_000)))?;
    params.not_after = moment(now.plus(ttl))?;
    let mut serial = [0; 16];
    rand::rng().fill_bytes(&mut serial);
    // RFC 5280 §4.1.2.2: positive.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    params.serial_number = Some(rcgen::SerialNumber::from_slice(&serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, account.as_str());
    let uri = rcgen::string::Ia5String::try_from(who.identity.to_string()).map_err(|e| e.to_string())?;
    params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &authority.issuer).map_err(|e| e.to_string())?;
    let chain = vec![certificate.der().clone(), authority.certificate.clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
    Ok(Some(MintedX509 { chain, key }))
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
