//! What a client certificate says: pure, from its bytes to one identity.
//!
//! Chain, validity and revocation are the verifier's business ([`super::trust`]); here the leaf must be what SPIFFE calls an
//! X.509-SVID (SPIFFE X509-SVID §2-§5) of our own trust domain: a signing leaf with exactly one user in it.

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::IdentityError;
use crate::domain::{Device, Identity, Timestamp, TrustDomain};

/// The certificate policy that `ca issue --hardware-bound` sets: the key is in hardware and cannot be taken out. Under the
/// enterprise number set aside for examples (RFC 5612); an operator with a number of their own changes it here.
pub(crate) const HARDWARE_BOUND_POLICY: &[u64] = &[1, 3, 6, 1, 4, 1, 32473, 1, 1];

/// Certificates a client may send. Ours are two: the leaf and its authority.
pub(crate) const CHAIN_MAX: usize = 6;

/// What was read from a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) identity: Identity,
    pub(crate) device: Option<Device>,
    pub(crate) hardware_bound: bool,
    /// Lower-case hexadecimal.
    pub(crate) serial: String,
    /// The first moment at which it is no longer valid.
    pub(crate) not_after: Timestamp,
}

/// Reads a leaf.
///
/// # Errors
/// Whatever makes it unfit to name one user of `trust_domain`.
pub(crate) fn leaf(der: &[u8], trust_domain: &TrustDomain) -> Result<Leaf, IdentityError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| refuse("not a certificate"))?;
    if !rest.is_empty() {
        return Err(refuse("bytes after the certificate"));
    }
    signs_for_itself_only(&certificate)?;
    let (identity, device) = names(&certificate, trust_domain)?;
    Ok(Leaf {
        identity,
        device,
        hardware_bound: hardware_bound(&certificate)?,
        serial: data_encoding::HEXLOWER.encode(certificate.raw_serial()),
        // RFC 5280 §4.1.2.5 counts the last second in.
        not_after: Timestamp::from_secs(certificate.validity().not_after.timestamp().saturating_add(1)),
    })
}

/// The trust domain that a certificate claims, for showing it where nothing is trusted.
pub(crate) fn claimed_trust_domain(der: &[u8]) -> Option<TrustDomain> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternative = certificate.subject_alternative_name().ok()??;
    alternative.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.parse::<Identity>().ok().map(|identity| identity.trust_domain().clone()),
        _ => None,
    })
}

/// A leaf signs handshakes, not certificates (SPIFFE X509-SVID §4.1-§4.3).
fn signs_for_itself_only(certificate: &X509Certificate<'_>) -> Result<(), IdentityError> {
    let constraints =
        certificate.basic_constraints().map_err(|_| refuse("its basic constraints appear twice or are broken"))?;
    if constraints.is_some_and(|c| c.value.ca) {
        return Err(refuse("an authority's certificate is not an identity"));
    }
    let usage = certificate
        .key_usage()
        .map_err(|_| refuse("its key usage appears twice or is broken"))?
        .ok_or_else(|| refuse("it does not say what its key is for; the key usage must hold digitalSignature"))?;
    if usage.value.key_cert_sign() || usage.value.crl_sign() {
        return Err(refuse("its key may sign certificates or revocation lists"));
    }
    if !usage.value.digital_signature() {
        return Err(refuse("its key may not sign; the key usage must hold digitalSignature"));
    }
    Ok(())
}

fn names(
    certificate: &X509Certificate<'_>,
    trust_domain: &TrustDomain,
) -> Result<(Identity, Option<Device>), IdentityError> {
    let alternative = certificate
        .subject_alternative_name()
        .map_err(|_| refuse("its subject alternative name appears twice or is broken"))?
        .ok_or_else(|| refuse("it names no identity: there is no subject alternative name"))?;
    let (mut identity, mut device) = (None, None);
    for name in &alternative.value.general_names {
        match name {
            GeneralName::URI(uri) => {
                if let Ok(found) = uri.parse::<Identity>() {
                    ours(found.trust_domain(), trust_domain)?;
                    once(&mut identity, found, "users")?;
                } else if let Ok(found) = uri.parse::<Device>() {
                    ours(found.trust_domain(), trust_domain)?;
                    once(&mut device, found, "devices")?;
                } else {
                    return Err(refuse(format!("`{}` names neither a user nor a device", uri.escape_debug())));
                }
            }
            GeneralName::Invalid(..) => return Err(refuse("one of its names is broken")),
            _ => {}
        }
    }
    let identity =
        identity.ok_or_else(|| refuse(format!("it names no user: no spiffe://{trust_domain}/user/<name>")))?;
    Ok((identity, device))
}

fn ours(found: &TrustDomain, expected: &TrustDomain) -> Result<(), IdentityError> {
    if found == expected {
        Ok(())
    } else {
        Err(refuse(format!("it names the trust domain {found}, and only {expected} is admitted")))
    }
}

fn once<T>(slot: &mut Option<T>, found: T, many: &str) -> Result<(), IdentityError> {
    match slot.replace(found) {
        None => Ok(()),
        Some(_) => Err(refuse(format!("it names two {many}"))),
    }
}

fn hardware_bound(certificate: &X509Certificate<'_>) -> Result<bool, IdentityError> {
    let policies = certificate
        .get_extension_unique(&x509_parser::oid_registry::OID_X509_EXT_CERTIFICATE_POLICIES)
        .map_err(|_| refuse("its certificate policies appear twice"))?;
    match policies.map(x509_parser::extensions::X509Extension::parsed_extension) {
        None => Ok(false),
        Some(ParsedExtension::CertificatePolicies(policies)) => Ok(policies
            .iter()
            .any(|p| p.policy_id.iter().is_some_and(|oid| oid.eq(HARDWARE_BOUND_POLICY.iter().copied())))),
        Some(_) => Err(refuse("its certificate policies are broken")),
    }
}

fn refuse(why: impl Into<String>) -> IdentityError {
    IdentityError::Unacceptable(why.into())
}
