//! What is trusted now: the authorities, what they revoked, and the gateway's own certificates.
//!
//! A [`Trust`] is one consistent set, loaded whole or not at all. [`TrustStore`] holds the one in force and swaps it; handshakes and
//! live sessions see the new one at once.

mod load;
mod terms;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error as TlsError};
use ssh_key::PrivateKey;
use ssh_key::public::KeyData;
use tokio::sync::watch;

use terms::Terms;

use super::issue::{Minted, X509Issuer};
use super::revoked::{Companions, Revoked};
use super::{Evidence, IdentityError, Verified, ssh, x509};
use crate::domain::{ElementName, Timestamp, TrustDomain};

/// The files that trust is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// The trust domain whose identities are admitted.
    pub trust_domain: TrustDomain,
    /// The gateway's own name, which its certificate must be for; not looked at when it is empty.
    pub domain: String,
    /// X.509 authorities for client certificates (PEM bundle).
    pub client_ca_file: PathBuf,
    /// Their revocation lists (PEM), one for each authority. Required: without one no client is admitted.
    pub crl_file: PathBuf,
    /// The gateway's certificate chain and key for the mTLS door (PEM).
    pub server_certificate_file: PathBuf,
    /// See `server_certificate_file`.
    pub server_key_file: PathBuf,
    /// SSH authorities for user certificates, one public key a line.
    pub ssh_user_ca_file: PathBuf,
    /// Revoked SSH certificates: one `serial N`, `id KEY-ID` or `sha256:HASH` a line. Required.
    pub ssh_revoked_file: PathBuf,
    /// Which SSH keys were certified for whom: `IDENTITY NOT-AFTER PUBLIC-KEY` a line. Without it a bare key is never a companion.
    pub ssh_identities_file: Option<PathBuf>,
    /// The SSH host authority's private key, which signs a host certificate for each element.
    pub ssh_host_ca_key_file: PathBuf,
    /// The gateway's own SSH host key: what the certificates are for, and what clients that know no host authority pin.
    pub ssh_host_key_file: PathBuf,
    /// The SSH authority whose user certificates elements trust: it signs one per dial.
    pub ssh_element_ca_key_file: PathBuf,
    /// The X.509 authority whose client certificates elements trust: it signs one per connection over TLS. Certificate and key (PEM).
    pub x509_element_ca: Option<ElementCaFiles>,
}

/// Where the X.509 authority for elements is.
#[derive(Debug, Clone)]
pub struct ElementCaFiles {
    /// Its certificate (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
}

/// One loaded, consistent set. Replaced whole.
#[derive(Debug)]
pub struct Trust {
    pub(super) trust_domain: TrustDomain,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
    terms: Terms,
    pub(super) server: Arc<CertifiedKey>,
    pub(super) ssh_user_cas: Vec<KeyData>,
    pub(super) ssh_revoked: Revoked,
    pub(super) companions: Companions,
    pub(super) host_ca: PrivateKey,
    pub(super) element_ca: PrivateKey,
    pub(super) x509_element_ca: Option<X509Issuer>,
    pub(super) host_key: PrivateKey,
    pub(super) host_certificates: Mutex<HashMap<(ElementName, String), Arc<Minted>>>,
}

impl Trust {
    /// Whether a client admitted earlier would still be admitted at `now`: its credential goes through every check again, against
    /// what is trusted and revoked now.
    ///
    /// # Errors
    /// Why not.
    pub fn still_admits(&self, who: &Verified, now: Timestamp) -> Result<(), IdentityError> {
        match &who.evidence {
            Evidence::X509(chain) => self.admit_chain(chain, now).map(drop),
            Evidence::Ssh(certificate) => ssh::examine(certificate, who.peer.ip(), self, now).map(drop),
        }
    }

    /// Chain, validity, revocation, and exactly one identity.
    pub(super) fn admit_chain(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<x509::Leaf, IdentityError> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(IdentityError::Unacceptable("no certificate".to_owned()));
        };
        if chain.len() > x509::CHAIN_MAX {
            return Err(IdentityError::Unacceptable(format!(
                "a chain of {} certificates; at most {} are read",
                chain.len(),
                x509::CHAIN_MAX
            )));
        }
        let seconds =
            u64::try_from(now.as_secs()).map_err(|_| IdentityError::Expired("the clock is before 1970".to_owned()))?;
        let moment = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.clients.verify_client_cert(leaf, intermediates, moment).map_err(|e| refusal(&e))?;
        x509::leaf(leaf, &self.trust_domain)
    }
}

impl Trust {
    /// The next moment after `now` at which time alone may change whether `who` is admitted.
    pub fn next_edge(&self, who: &Verified, now: Timestamp) -> Timestamp {
        let lists = match &who.evidence {
            Evidence::X509(_) => self.terms.next_list_after(now),
            // Its revocation list has no end.
            Evidence::Ssh(_) => None,
        };
        lists.map_or(who.not_after, |end| end.min(who.not_after))
    }

    /// Until when what runs out by itself is good: what it is, as a metric names it, and when.
    pub fn expiries(&self) -> [(&'static str, Timestamp); 3] {
        self.terms.expiries()
    }

    /// What has run out, or will before long.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        self.terms.warnings(now)
    }
}

/// What the verifier's error means for the log.
fn refusal(error: &TlsError) -> IdentityError {
    let TlsError::InvalidCertificate(why) = error else {
        return IdentityError::Unacceptable(error.to_string());
    };
    match why {
        CertificateError::Revoked => IdentityError::Revoked,
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => IdentityError::Expired(why.to_string()),
        // An authority of the same name but another key gives a bad signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            IdentityError::Unacceptable("it was not issued by an authority that is trusted here".to_owned())
        }
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            IdentityError::Unacceptable(format!(
                "nobody can be admitted: {why}; make a new list with `sallyport ca refresh-crl`"
            ))
        }
        _ => IdentityError::Unacceptable(why.to_string()),
    }
}

/// Holds the trust in force and swaps it.
#[derive(Debug)]
pub struct TrustStore {
    config: Config,
    current: ArcSwap<Trust>,
    revision: watch::Sender<u64>,
    /// What the files held when they were loaded. Locked for the length of a reload, so that an older set never replaces a newer one.
    loaded: Mutex<Vec<Option<Vec<u8>>>>,
}

impl TrustStore {
    /// Loads everything.
    ///
    /// # Errors
    /// Every problem found, each with its file.
    pub fn open(config: Config) -> Result<Self, Vec<String>> {
        let contents = contents(&config);
        let trust = load::load(&config)?;
        Ok(Self {
            config,
            current: ArcSwap::from_pointee(trust),
            revision: watch::Sender::new(0),
            loaded: Mutex::new(contents),
        })
    }

    /// Loads everything again when a file has changed; on any problem what was in force stays, and so it does when the new set has run out and
    /// the old one has not. Whether another set is in force now.
    ///
    /// # Errors
    /// Every problem found, each with its file.
    pub fn reload(&self, now: Timestamp) -> Result<bool, Vec<String>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = contents(&self.config);
        if contents == *loaded {
            return Ok(false);
        }
        let trust = load::load(&self.config)?;
        let run_out = trust.terms.run_out(now);
        if !run_out.is_empty() && self.current().terms.run_out(now).is_empty() {
            return Err(run_out);
        }
        *loaded = contents;
        self.current.store(Arc::new(trust));
        self.revision.send_modify(|n| *n = n.wrapping_add(1));
        Ok(true)
    }

    /// What is in force.
    pub fn current(&self) -> Arc<Trust> {
        self.current.load_full()
    }

    /// Changes whenever a reload succeeded.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// The files to watch.
    pub fn files(&self) -> Vec<PathBuf> {
        files(&self.config)
    }
}

/// What each file holds now; `None` when it cannot be read.
fn contents(config: &Config) -> Vec<Option<Vec<u8>>> {
    files(config).iter().map(|file| std::fs::read(file).ok()).collect()
}

fn files(c: &Config) -> Vec<PathBuf> {
    let always = [
        &c.client_ca_file,
        &c.crl_file,
        &c.server_certificate_file,
        &c.server_key_file,
        &c.ssh_user_ca_file,
        &c.ssh_revoked_file,
        &c.ssh_host_ca_key_file,
        &c.ssh_host_key_file,
        &c.ssh_element_ca_key_file,
    ];
    let for_elements = c.x509_element_ca.iter().flat_map(|files| [&files.certificate, &files.key]);
    always.into_iter().chain(&c.ssh_identities_file).chain(for_elements).cloned().collect()
}
