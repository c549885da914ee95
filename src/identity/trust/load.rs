//! Files to one consistent [`Trust`], every problem in one report.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::RootCertStore;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use ssh_key::public::KeyData;
use ssh_key::{PrivateKey, PublicKey};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::terms::{Term, Terms};
use super::{Config, Trust};
use crate::domain::Timestamp;
use crate::identity::issue::X509Issuer;
use crate::identity::revoked::{Companions, Revoked, numbered};
use crate::identity::{ssh, tls};

/// Loads what `config` names.
pub(super) fn load(config: &Config) -> Result<Trust, Vec<String>> {
    let mut problems = Vec::new();
    let mut keep = |found: Vec<String>| problems.extend(found);

    let clients = client_verifier(&config.client_ca_file, &config.crl_file).map_err(&mut keep).ok();
    let server = server_certificate(config).map_err(&mut keep).ok();
    let ssh_user_cas = ssh_authorities(&config.ssh_user_ca_file).map_err(&mut keep).ok();
    let ssh_revoked = listed(&config.ssh_revoked_file, Revoked::parse).map_err(&mut keep).ok();
    let companions = match &config.ssh_identities_file {
        Some(file) => listed(file, Companions::parse).map_err(&mut keep).ok(),
        None => Some(Companions::default()),
    };
    let host_ca = ssh_signer(&config.ssh_host_ca_key_file).map_err(&mut keep).ok();
    let element_ca = ssh_signer(&config.ssh_element_ca_key_file).map_err(&mut keep).ok();
    let host_key = ssh_signer(&config.ssh_host_key_file).map_err(&mut keep).ok();

    let x509_element_ca = match &config.x509_element_ca {
        Some(files) => x509_issuer(&files.certificate, &files.key).map_err(&mut keep).ok().map(Some),
        None => Some(None),
    };

    match (clients, server, ssh_user_cas, ssh_revoked, companions, host_ca, element_ca, host_key, x509_element_ca) {
        (
            Some((clients, lists, authorities)),
            Some((server, server_term)),
            Some(ssh_user_cas),
            Some(ssh_revoked),
            Some(companions),
            Some(host_ca),
            Some(element_ca),
            Some(host_key),
            Some(x509_element_ca),
        ) => {
            distinct(config, &ssh_user_cas, &host_ca, &element_ca, &host_key)?;
            Ok(Trust {
                trust_domain: config.trust_domain.clone(),
                clients,
                terms: Terms { server: server_term, lists, authorities },
                server,
                ssh_user_cas,
                ssh_revoked,
                companions,
                host_ca,
                element_ca,
                x509_element_ca,
                host_key,
                host_certificates: Mutex::new(HashMap::new()),
            })
        }
        _ => Err(problems),
    }
}

/// SECURITY: a certificate signed for one purpose must not be good for another, so no authority may have two.
fn distinct(
    config: &Config,
    user: &[KeyData],
    host: &PrivateKey,
    element: &PrivateKey,
    host_key: &PrivateKey,
) -> Result<(), Vec<String>> {
    let (host, element) = (host.public_key().key_data(), element.public_key().key_data());
    let mut problems = Vec::new();
    let own = host_key.public_key().key_data();
    if own == host || own == element || user.contains(own) {
        problems.push(about(&config.ssh_host_key_file, "the same key as an authority's; each purpose needs its own"));
    }
    if host == element {
        problems.push(about(
            &config.ssh_element_ca_key_file,
            "the same key as the host authority's; each purpose needs its own",
        ));
    }
    for (key, what) in [(host, "host"), (element, "element")] {
        if user.contains(key) {
            problems.push(about(
                &config.ssh_user_ca_file,
                format!("it holds the {what} authority's key; each purpose needs its own"),
            ));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// What verifies clients, and how long its lists and its authorities are good.
type Clients = (Arc<dyn ClientCertVerifier>, Vec<Term>, Vec<Term>);

fn client_verifier(ca_file: &Path, crl_file: &Path) -> Result<Clients, Vec<String>> {
    let authorities = CertificateDer::pem_slice_iter(&read(ca_file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| one(ca_file, format!("not a PEM bundle: {e}")))?;
    let lists = CertificateRevocationListDer::pem_slice_iter(&read(crl_file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| one(crl_file, format!("not a PEM revocation list: {e}")))?;
    if authorities.is_empty() {
        return Err(one(ca_file, "no certificate in it"));
    }
    if lists.is_empty() {
        return Err(one(
            crl_file,
            "no revocation list in it; without one nobody is admitted. `sallyport ca refresh-crl` makes one",
        ));
    }
    let list_terms = every_authority_has_a_list(ca_file, &authorities, crl_file, &lists)?;
    let authority_terms =
        authorities.iter().map(|authority| term_of(ca_file, authority)).collect::<Result<Vec<_>, _>>()?;
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|e| one(ca_file, format!("an authority in it cannot be used: {e}")))?;
    }
    // SECURITY: the whole chain is checked, an unknown status refuses (both are the builder's defaults), and so does an expired list.
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider())
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build()
        .map_err(|e| one(crl_file, format!("the revocation list cannot be used: {e}")))?;
    Ok((verifier, list_terms, authority_terms))
}

/// How long a certificate is good.
fn term_of(file: &Path, certificate: &CertificateDer<'_>) -> Result<Term, Vec<String>> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| one(file, "not a certificate"))?;
    let validity = parsed.validity();
    Ok(Term {
        file: file.to_owned(),
        from: Timestamp::from_secs(validity.not_before.timestamp()),
        // It is good in its last second.
        until: Timestamp::from_secs(validity.not_after.timestamp().saturating_add(1)),
    })
}

fn every_authority_has_a_list(
    ca_file: &Path,
    authorities: &[CertificateDer<'_>],
    crl_file: &Path,
    lists: &[CertificateRevocationListDer<'_>],
) -> Result<Vec<Term>, Vec<String>> {
    let (mut issuers, mut terms) = (Vec::new(), Vec::new());
    for list in lists {
        let (_, list) =
            CertificateRevocationList::from_der(list).map_err(|_| one(crl_file, "not a revocation list"))?;
        let Some(next_update) = list.next_update() else {
            return Err(one(crl_file, "the list never runs out (no nextUpdate); one that may be stale is not trusted"));
        };
        let (from, until) = (list.last_update().timestamp(), next_update.timestamp());
        let (from, until) = (Timestamp::from_secs(from), Timestamp::from_secs(until));
        terms.push(Term { file: crl_file.to_owned(), from, until });
        issuers.push(list.issuer().as_raw().to_vec());
    }
    for authority in authorities {
        let (_, authority) = X509Certificate::from_der(authority).map_err(|_| one(ca_file, "not a certificate"))?;
        if !issuers.iter().any(|issuer| issuer == authority.subject().as_raw()) {
            return Err(one(crl_file, format!("no revocation list of the authority `{}`", authority.subject())));
        }
    }
    Ok(terms)
}

fn server_certificate(config: &Config) -> Result<(Arc<CertifiedKey>, Term), Vec<String>> {
    let (certificate_file, key_file) = (&config.server_certificate_file, &config.server_key_file);
    let chain = CertificateDer::pem_slice_iter(&read(certificate_file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| one(certificate_file, format!("not a PEM certificate chain: {e}")))?;
    let leaf = chain.first().ok_or_else(|| one(certificate_file, "no certificate in it"))?;
    if !config.domain.is_empty() {
        for_this_gateway(certificate_file, leaf, &config.domain)?;
    }
    let term = term_of(certificate_file, leaf)?;
    let key = PrivateKeyDer::from_pem_slice(&read(key_file)?)
        .map_err(|e| one(key_file, format!("not a PEM private key: {e}")))?;
    let certified = CertifiedKey::from_der(chain, key, &tls::provider())
        .map_err(|e| one(key_file, format!("not the key of the certificate in {}: {e}", certificate_file.display())))?;
    Ok((Arc::new(certified), term))
}

/// Clients demand a certificate for the gateway's own name, whatever element they name.
fn for_this_gateway(file: &Path, certificate: &CertificateDer<'_>, domain: &str) -> Result<(), Vec<String>> {
    let parsed = ParsedCertificate::try_from(certificate).map_err(|e| one(file, format!("not a certificate: {e}")))?;
    let name = ServerName::try_from(domain).map_err(|e| one(file, format!("`{domain}`: {e}")))?;
    verify_server_name(&parsed, &name)
        .map_err(|_| one(file, format!("the certificate is not for `{domain}`, the gateway's own name")))
}

/// The X.509 authority for elements. SECURITY: it must not be one whose certificates open our own door.
fn x509_issuer(certificate_file: &Path, key_file: &Path) -> Result<X509Issuer, Vec<String>> {
    let certificate = read_text(certificate_file)?;
    let key = zeroize::Zeroizing::new(read_text(key_file)?);
    X509Issuer::from_pem(&certificate, &key).map_err(|error| one(key_file, error))
}

fn ssh_authorities(file: &Path) -> Result<Vec<KeyData>, Vec<String>> {
    let text = read_text(file)?;
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    for (number, line) in numbered(&text) {
        match PublicKey::from_openssh(line) {
            Ok(key) => match ssh::fit_to_sign(key.key_data()) {
                Ok(()) => keys.push(key.key_data().clone()),
                Err(why) => problems.push(about(file, format!("line {number}: {why}"))),
            },
            Err(e) => problems.push(about(file, format!("line {number}: not a public key: {e}"))),
        }
    }
    if keys.is_empty() && problems.is_empty() {
        problems.push(about(file, "no public key in it"));
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

fn ssh_signer(file: &Path) -> Result<PrivateKey, Vec<String>> {
    let key = PrivateKey::from_openssh(zeroize::Zeroizing::new(read(file)?))
        .map_err(|e| one(file, format!("not an OpenSSH private key: {e}")))?;
    if key.is_encrypted() {
        return Err(one(
            file,
            "protected with a passphrase, which nobody is there to type; remove it with `ssh-keygen -p`",
        ));
    }
    match key.algorithm() {
        ssh_key::Algorithm::Ed25519 => Ok(key),
        other => Err(one(file, format!("a key of type {other}; the gateway signs with ssh-ed25519 alone"))),
    }
}

fn listed<T>(file: &Path, parse: impl FnOnce(&str) -> Result<T, Vec<String>>) -> Result<T, Vec<String>> {
    parse(&read_text(file)?).map_err(|lines| lines.into_iter().map(|line| about(file, line)).collect())
}

fn read(file: &Path) -> Result<Vec<u8>, Vec<String>> {
    std::fs::read(file).map_err(|e| one(file, format!("cannot be read: {e}")))
}

fn read_text(file: &Path) -> Result<String, Vec<String>> {
    String::from_utf8(read(file)?).map_err(|_| one(file, "not UTF-8 text"))
}

fn one(file: &Path, problem: impl std::fmt::Display) -> Vec<String> {
    vec![about(file, problem)]
}

fn about(file: &Path, problem: impl std::fmt::Display) -> String {
    format!("{}: {problem}", file.display())
}
