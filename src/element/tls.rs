//! From a permit to a TLS stream to a service of an element: address, certificate, credential, all within one deadline.
//!
//! TLS 1.3 alone, or 1.2 under a crypto profile that has not run out (RFC 9325 §3.1.1). The element's certificate is of a pinned authority for
//! the name in the inventory, or is itself pinned; there is no other trust. The gateway shows a certificate minted for the identity, or hands out
//! what must be sent in its place. Nothing is resumed: each connection is made and checked anew.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, Error as TlsError, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use super::credential::SecretName;
use super::secrets::Secrets;
use super::service::{Service, TlsCredential, TlsService};
use super::ssh::{permitted, tcp};
use super::{Config, DialError, Element, LinkFacts, OwnDoors, ReadAhead};
use crate::domain::{Account, Timestamp};
use crate::identity::issue::MintedX509;
use crate::identity::server_judge::{JudgedServer, ServerJudge};
use crate::policy::Permit;

/// What the gateway sends to a service so that the person never has it.
#[derive(Clone)]
pub enum Injected {
    /// HTTP basic authentication, or gNMI's metadata.
    Basic {
        /// The account.
        user: String,
        /// Its password.
        password: Zeroizing<String>,
    },
    /// A bearer token.
    Bearer {
        /// The token.
        token: Zeroizing<String>,
    },
}

impl fmt::Debug for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic",
            Self::Bearer { .. } => "Bearer",
        })
    }
}

/// A connection to a service of an element.
#[derive(Debug)]
pub struct TlsLink {
    /// The bytes.
    pub stream: TlsStream<ReadAhead<TcpStream>>,
    /// The protocol that was agreed on by ALPN (RFC 7301).
    pub alpn: Option<Vec<u8>>,
    /// What requests must carry.
    pub injected: Option<Injected>,
}

/// Dials a service of the element as the permit's account.
///
/// # Errors
/// See [`DialError`].
pub async fn dial_tls(
    config: &Config,
    element: &Element,
    permit: &Permit,
    service: Service,
    minted: Option<&MintedX509>,
    now: Timestamp,
    alpn: &[&[u8]],
) -> Result<(TlsLink, LinkFacts), DialError> {
    dial_as(config, element, permitted(element, permit)?, service, minted, now, alpn).await
}

async fn dial_as(
    config: &Config,
    element: &Element,
    account: &Account,
    service: Service,
    minted: Option<&MintedX509>,
    now: Timestamp,
    alpn: &[&[u8]],
) -> Result<(TlsLink, LinkFacts), DialError> {
    let Some(tls) = element.service(service) else {
        return Err(DialError::Unreachable(format!("the inventory has no [element.{service}] for it")));
    };
    if let Some(profile) = tls.tls12.as_ref().filter(|profile| profile.expired(now)) {
        return Err(DialError::ProfileExpired { profile: profile.name.clone(), expired: profile.expires.to_string() });
    }
    let injected = match &tls.credential {
        TlsCredential::Certificate => None,
        TlsCredential::Basic { secret } => {
            Some(Injected::Basic { user: account.to_string(), password: stored(config, secret).await? })
        }
        TlsCredential::Bearer { secret } => Some(Injected::Bearer { token: stored(config, secret).await? }),
    };
    let client = Arc::new(client_config(tls, minted, alpn)?);
    let deadline = Instant::now() + config.connect_timeout;
    let all = async {
        let _slot = element.dialling().acquire().await.map_err(|error| DialError::Unreachable(error.to_string()))?;
        reach(tls, &config.own, client, deadline).await
    };
    let (stream, address) =
        timeout_at(deadline, all).await.map_err(|_| DialError::Timeout(config.connect_timeout))??;
    let (_, connection) = stream.get_ref();
    let alpn = connection.alpn_protocol().map(<[u8]>::to_vec);
    let presented = connection.peer_certificates().and_then(<[_]>::first);
    let facts = LinkFacts {
        address,
        banner: connection.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS").to_owned(),
        host_key: presented.map(fingerprint).unwrap_or_default(),
        algorithms: connection
            .negotiated_cipher_suite()
            .map_or_else(String::new, |suite| format!("{:?}", suite.suite())),
        legacy_profile: tls.tls12.as_ref().map(|profile| profile.name.clone()),
    };
    Ok((TlsLink { stream, alpn, injected }, facts))
}

async fn stored(config: &Config, name: &SecretName) -> Result<Zeroizing<String>, DialError> {
    let (dir, key, name) = (config.secrets_dir.clone(), config.secrets_key_file.clone(), name.clone());
    let read = move || {
        let secret = Secrets::open(&dir, &key)?.read(&name)?;
        Ok::<_, super::secrets::SecretsError>(
            std::str::from_utf8(&secret).map(|text| Zeroizing::new(text.trim_end().to_owned())).ok(),
        )
    };
    let secret = tokio::task::spawn_blocking(read).await.map_err(|error| DialError::Credential(error.to_string()))?;
    let text = secret.map_err(|error| DialError::Credential(error.to_string()))?;
    let fits = |text: &Zeroizing<String>| !text.chars().any(char::is_control);
    text.filter(fits).ok_or_else(|| DialError::Credential("the secret is not one line of text".to_owned()))
}

/// Tries the addresses in order, each with its share of the time left. A wrong certificate is an answer.
async fn reach(
    tls: &TlsService,
    own: &OwnDoors,
    client: Arc<ClientConfig>,
    deadline: Instant,
) -> Result<(TlsStream<ReadAhead<TcpStream>>, String), DialError> {
    let mut left = tls.addresses.len();
    let mut last = DialError::Unreachable("the inventory holds no address".to_owned());
    for address in &tls.addresses {
        let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(u32::MAX).max(1);
        left = left.saturating_sub(1);
        let attempt = async {
            let stream = tcp(address, own).await?;
            let peer = stream.peer_addr().map_or_else(|_| address.to_string(), |peer| peer.to_string());
            let connector = TlsConnector::from(client.clone());
            let stream = connector.connect(tls.server_name.clone(), ReadAhead::new(stream)).await;
            stream.map(|stream| (stream, peer.clone())).map_err(|error| cause(&error, &peer))
        };
        last = match timeout(share, attempt).await {
            Ok(Ok(reached)) => return Ok(reached),
            Ok(Err(error @ DialError::Unreachable(_))) => error,
            Ok(Err(answer)) => return Err(answer),
            Err(_) => DialError::Timeout(share),
        };
    }
    Err(last)
}

/// Why there is no connection.
fn cause(error: &std::io::Error, address: &str) -> DialError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match tls {
        Some(TlsError::InvalidCertificate(CertificateError::Other(other))) => {
            match other.0.downcast_ref::<NotPinned>() {
                Some(NotPinned { presented, expected }) => DialError::HostKey {
                    address: address.to_owned(),
                    presented: presented.clone(),
                    expected: expected.clone(),
                },
                None => DialError::Unreachable(format!("{address}: {error}")),
            }
        }
        Some(TlsError::AlertReceived(alert)) => DialError::Login(format!("it answered the handshake with {alert:?}")),
        Some(TlsError::PeerIncompatible(why)) => DialError::Algorithms(format!("{why:?}")),
        _ => DialError::Unreachable(format!("{address}: {error}")),
    }
}

/// TLS 1.2 suites that RFC 9325 §4.2 recommends, after those of TLS 1.3.
fn provider(tls12: bool) -> Arc<CryptoProvider> {
    static WITH_TLS12: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let strict = crate::identity::tls::provider();
    if !tls12 {
        return strict;
    }
    WITH_TLS12
        .get_or_init(|| {
            use rustls::crypto::aws_lc_rs::cipher_suite as suite;
            let mut provider = (*strict).clone();
            provider.cipher_suites.extend([
                suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            ]);
            Arc::new(provider)
        })
        .clone()
}

fn client_config(tls: &TlsService, minted: Option<&MintedX509>, alpn: &[&[u8]]) -> Result<ClientConfig, DialError> {
    let failed = |error: &dyn fmt::Display| DialError::Credential(error.to_string());
    let versions: &[&rustls::SupportedProtocolVersion] = if tls.tls12.is_some() {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    } else {
        &[&rustls::version::TLS13]
    };
    let provider = provider(tls.tls12.is_some());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(JudgedServer::new(Pinned::new(tls, &provider)?, provider));
    let mut config = match (&tls.credential, minted) {
        (TlsCredential::Certificate, Some(minted)) => builder
            .with_client_auth_cert(minted.chain.clone(), minted.key.clone_key())
            .map_err(|error| failed(&error))?,
        (TlsCredential::Certificate, None) => {
            return Err(DialError::Credential(
                "trust.x509_element_ca_file is not set, so no client certificate can be made".to_owned(),
            ));
        }
        (TlsCredential::Basic { .. } | TlsCredential::Bearer { .. }, _) => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The element's certificate is neither pinned nor of a pinned authority.
#[derive(Debug, thiserror::Error)]
#[error("the certificate {presented} is not one of those pinned")]
struct NotPinned {
    presented: String,
    expected: Vec<String>,
}

/// Accepts the element's own certificate and no other.
#[derive(Debug)]
struct Pinned {
    pins: Vec<[u8; 32]>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
}

impl Pinned {
    fn new(tls: &TlsService, provider: &Arc<CryptoProvider>) -> Result<Self, DialError> {
        let mut roots = RootCertStore::empty();
        for authority in &tls.authorities {
            roots.add(authority.clone()).map_err(|error| DialError::Credential(format!("`ca`: {error}")))?;
        }
        let authorities = match roots.is_empty() {
            true => None,
            false => Some(
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                    .build()
                    .map_err(|error| DialError::Credential(format!("`ca`: {error}")))?,
            ),
        };
        Ok(Self { pins: tls.pins.clone(), authorities })
    }
}

impl ServerJudge for Pinned {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, end_entity);
        if self.pins.iter().any(|pin| pin.as_slice() == digest.as_ref()) {
            return Ok(());
        }
        let why = match &self.authorities {
            Some(authorities) => {
                match authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
                    Ok(_) => return Ok(()),
                    Err(why) => format!("a certificate of a pinned authority for {} ({why})", server_name.to_str()),
                }
            }
            None => "a pinned certificate".to_owned(),
        };
        let expected = self.pins.iter().map(|pin| shown(pin)).chain([why]).collect();
        let error = NotPinned { presented: fingerprint(end_entity), expected };
        Err(TlsError::InvalidCertificate(CertificateError::Other(rustls::OtherError(Arc::new(error)))))
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    shown(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate).as_ref())
}

fn shown(digest: &[u8]) -> String {
    format!("SHA256:{}", data_encoding::HEXLOWER.encode(digest))
}

#[cfg(test)]
mod tests;
