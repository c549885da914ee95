//! X.509: the authority's own certificate, the gateway's, the users', and the revocation list.

use std::time::Duration;

use rand::Rng;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams,
    CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer};
use zeroize::Zeroizing;

use super::{Authority, CaError, IssueRequest, PRIVATE, PUBLIC, at, read};
use crate::domain::{Device, Identity, Timestamp, TrustDomain};
use crate::identity::durable;
use crate::identity::issue::BACKDATE;
use crate::identity::x509::HARDWARE_BOUND_POLICY;

const DAY: Duration = Duration::from_secs(86_400);

/// Life of the gateway's certificate. Browsers' and scanners' modern profiles take at most 90 days.
const SERVER_DAYS: u32 = 60;

/// Life of a revocation list.
const CRL_DAYS: u32 = 30;

/// Life of the authority itself.
const AUTHORITY_DAYS: u32 = 3_650;

/// A user's certificate; the key is absent when it is in hardware.
pub(super) struct UserCertificate {
    pub(super) pem: String,
    pub(super) key_pem: Option<Zeroizing<String>>,
    pub(super) serial: String,
}

/// The authority's certificate and key, new.
pub(super) fn authority(trust_domain: &TrustDomain, now: Timestamp) -> Result<(String, Zeroizing<String>), CaError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = params(now, DAY * AUTHORITY_DAYS)?.0;
    params.distinguished_name.push(DnType::CommonName, format!("Sallyport authority of {trust_domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok((params.self_signed(&key)?.pem(), Zeroizing::new(key.serialize_pem())))
}

/// The authority that elements trust for the gateway's client certificates, new.
pub(super) fn element_authority(
    trust_domain: &TrustDomain,
    now: Timestamp,
) -> Result<(String, Zeroizing<String>), CaError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = params(now, DAY * AUTHORITY_DAYS)?.0;
    params.distinguished_name.push(DnType::CommonName, format!("Sallyport element authority of {trust_domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok((params.self_signed(&key)?.pem(), Zeroizing::new(key.serialize_pem())))
}

impl Authority {
    pub(super) fn user_certificate(
        &self,
        identity: &Identity,
        device: Option<&Device>,
        request: &IssueRequest,
        now: Timestamp,
    ) -> Result<UserCertificate, CaError> {
        let (mut params, serial) = params(now, request.ttl)?;
        params.distinguished_name.push(DnType::CommonName, identity.name());
        for uri in std::iter::once(identity.to_string()).chain(device.map(Device::to_string)) {
            params.subject_alt_names.push(SanType::URI(Ia5String::try_from(uri)?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let issuer = self.issuer()?;
        let Some(request) = &request.hardware_request else {
            let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
            let pem = params.signed_by(&key, &issuer)?.pem();
            return Ok(UserCertificate { pem, key_pem: Some(Zeroizing::new(key.serialize_pem())), serial });
        };
        // Of the request only the key is taken; every name in the certificate is ours. Its signature proves the key is held.
        let request = CertificateSigningRequestParams::from_pem(request)
            .map_err(|e| CaError::Asked(format!("the certificate request cannot be used: {e}")))?;
        params.custom_extensions.push(hardware_bound_policy());
        let pem = params.signed_by(&request.public_key, &issuer)?.pem();
        Ok(UserCertificate { pem, key_pem: None, serial })
    }

    /// Makes the gateway's key and certificate and writes both. Until when it is valid.
    pub(super) fn write_server(&self, now: Timestamp) -> Result<Timestamp, CaError> {
        let domain = &self.facts.gateway.domain;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let (mut params, _) = params(now, DAY * SERVER_DAYS)?;
        params.distinguished_name.push(DnType::CommonName, domain);
        let names = [domain.clone(), format!("*.{domain}")].into_iter().chain(self.facts.dns.iter().cloned());
        params.subject_alt_names = CertificateParams::new(names.collect::<Vec<_>>())?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let pem = params.signed_by(&key, &self.issuer()?)?.pem();
        let key_path = self.path("gateway/server.key.pem");
        durable::replace(&key_path, Zeroizing::new(key.serialize_pem()).as_bytes(), PRIVATE).map_err(at(&key_path))?;
        let path = self.path("gateway/server.pem");
        durable::replace(&path, pem.as_bytes(), PUBLIC).map_err(at(&path))?;
        Ok(now.plus(DAY * SERVER_DAYS))
    }

    /// Signs a new revocation list: what the old one held and has not run out, and `more`. Until when it is good.
    pub(super) fn write_crl(&self, more: &[String], now: Timestamp) -> Result<Timestamp, CaError> {
        let path = self.path("ca/crl.pem");
        let mut before = if path.exists() { Listed::read(&path)? } else { Listed::default() };
        // RFC 5280 §3.3: an entry stays until one list after the certificate has run out. A day is more than one list here.
        let record = self.ledger().read()?;
        let done = record.run_out_before(Timestamp::from_nanos(now.as_nanos().saturating_sub(86_400_000_000_000)));
        before.entries.retain(|(serial, _)| !done.contains(serial.as_str()));
        for serial in more {
            if !before.entries.iter().any(|(known, _)| known == serial) {
                before.entries.push((serial.clone(), moment(now)?));
            }
        }
        let until = now.plus(DAY * CRL_DAYS);
        let mut revoked_certs = Vec::new();
        for (serial, revocation_time) in before.entries {
            let bytes = data_encoding::HEXLOWER
                .decode(serial.as_bytes())
                .map_err(|e| CaError::Crypto(format!("serial {serial}: {e}")))?;
            let serial_number = SerialNumber::from_slice(&bytes);
            revoked_certs.push(RevokedCertParams {
                serial_number,
                revocation_time,
                reason_code: None,
                invalidity_date: None,
            });
        }
        let list = CertificateRevocationListParams {
            this_update: moment(now)?,
            next_update: moment(until)?,
            crl_number: SerialNumber::from(before.number.saturating_add(1)),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = list.signed_by(&self.issuer()?)?.pem()?;
        durable::replace(&path, pem.as_bytes(), PUBLIC).map_err(at(&path))?;
        Ok(until)
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, CaError> {
        let key_path = self.path("ca/x509_ca.key.pem");
        let key = KeyPair::from_pem(&Zeroizing::new(read(&key_path)?))
            .map_err(|e| CaError::Broken { path: key_path, what: e.to_string() })?;
        let path = self.path("ca/x509_ca.pem");
        Issuer::from_ca_cert_pem(&read(&path)?, key).map_err(|e| CaError::Broken { path, what: e.to_string() })
    }
}

/// What a revocation list holds: its number, and serial numbers with the moment of revocation.
#[derive(Debug, Default)]
struct Listed {
    number: u64,
    entries: Vec<(String, OffsetDateTime)>,
}

impl Listed {
    fn read(path: &std::path::Path) -> Result<Self, CaError> {
        let broken = |what: &str| CaError::Broken { path: path.to_owned(), what: what.to_owned() };
        let der = CertificateRevocationListDer::from_pem_slice(read(path)?.as_bytes())
            .map_err(|_| broken("not a PEM revocation list"))?;
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| broken("not a revocation list"))?;
        let number = list.crl_number().ok_or_else(|| broken("the list has no number"))?.to_bytes_be();
        let number = number.iter().fold(0u64, |sum, byte| sum.saturating_mul(256).saturating_add(u64::from(*byte)));
        let mut entries = Vec::new();
        for entry in list.iter_revoked_certificates() {
            let at = OffsetDateTime::from_unix_timestamp(entry.revocation_date.timestamp())
                .map_err(|_| broken("a date is out of range"))?;
            entries.push((data_encoding::HEXLOWER.encode(entry.raw_serial()), at));
        }
        Ok(Self { number, entries })
    }
}

/// Parameters with validity and a random serial number of 128 bits; the serial also in hexadecimal.
fn params(now: Timestamp, ttl: Duration) -> Result<(CertificateParams, String), CaError> {
    let mut serial = [0u8; 16];
    rand::rng().fill_bytes(&mut serial);
    // Positive, and no leading zeros, so that its bytes are the same wherever they are read (RFC 5280 §4.1.2.2).
    serial[0] = (serial[0] & 0x3f) | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before =
        moment(Timestamp::from_nanos(now.as_nanos().saturating_sub(i64::try_from(BACKDATE.as_nanos()).unwrap_or(0))))?;
    params.not_after = moment(now.plus(ttl))?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.use_authority_key_identifier_extension = true;
    params.key_identifier_method = KeyIdMethod::Sha256;
    Ok((params, data_encoding::HEXLOWER.encode(&serial)))
}

/// `certificatePolicies` with the one policy that says the key is in hardware (RFC 5280 §4.2.1.4).
fn hardware_bound_policy() -> CustomExtension {
    let mut oid: Vec<u8> = Vec::new();
    let mut arcs = HARDWARE_BOUND_POLICY.iter().copied();
    let (first, second) = (arcs.next().unwrap_or(0), arcs.next().unwrap_or(0));
    for arc in std::iter::once(first * 40 + second).chain(arcs) {
        let mut groups = vec![low_bits(arc)];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push(low_bits(rest) | 0x80);
            rest >>= 7;
        }
        oid.extend(groups.iter().rev());
    }
    let wrap = |tag: u8, content: &[u8]| {
        // Short form lengths: the content is a dozen bytes.
        let mut der = vec![tag, u8::try_from(content.len()).unwrap_or(0)];
        der.extend_from_slice(content);
        der
    };
    let content = wrap(0x30, &wrap(0x30, &wrap(0x06, &oid)));
    CustomExtension::from_oid_content(&[2, 5, 29, 32], content)
}

fn low_bits(arc: u64) -> u8 {
    u8::try_from(arc & 0x7f).unwrap_or(0)
}

fn moment(at: Timestamp) -> Result<OffsetDateTime, CaError> {
    OffsetDateTime::from_unix_timestamp(at.as_secs()).map_err(|e| CaError::Asked(format!("{at}: {e}")))
}
