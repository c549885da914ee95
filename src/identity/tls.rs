//! The mTLS door's side of identity: TLS 1.3, a client certificate, exactly one identity in it.
//!
//! A connection is judged once, when it is made: there is no resumption, so there is no stored identity to forget to check again
//! (RFC 8446 §4.6.1 lets a server send no ticket), and no early data, so nothing is read before the identity is known.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error as TlsError, OtherError,
    RootCertStore, ServerConfig, SignatureScheme,
};

use super::server_judge::{JudgedServer, ServerJudge};
use super::{Evidence, IdentityError, Locks, Trust, TrustStore, Verified, sha256, x509};
use crate::domain::{Assurance, Door, Identity, Timestamp};

/// The TLS configuration of the mTLS door: TLS 1.3 only, X25519MLKEM768 first, client certificate required, no resumption,
/// no early data. Certificates and revocation follow `trust` without a restart.
#[expect(clippy::expect_used, reason = "the provider below holds TLS 1.3 suites and groups; a test builds this")]
pub fn server_config(trust: Arc<TrustStore>, alpn: &[&[u8]]) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider speaks TLS 1.3")
        .with_client_cert_verifier(Arc::new(DoorVerifier { trust: trust.clone(), known: Mutex::default() }))
        .with_cert_resolver(Arc::new(DoorCertificate { trust }));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    // SECURITY: a resumed connection is not verified again, so nothing can be resumed.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// Turns a finished handshake into a verified identity.
///
/// # Errors
/// No certificate, not exactly one `spiffe://` URI for a user of the trust domain, outside its validity, revoked, locked.
pub fn verify(
    connection: &rustls::ServerConnection,
    peer: SocketAddr,
    trust: &TrustStore,
    locks: &Locks,
    now: Timestamp,
) -> Result<Verified, IdentityError> {
    if connection.is_handshaking() {
        return Err(IdentityError::Unacceptable("the handshake has not finished".to_owned()));
    }
    let chain: Arc<[_]> =
        connection.peer_certificates().unwrap_or_default().iter().map(|c| c.clone().into_owned()).collect();
    admit(chain, Door::Mtls, peer, trust, locks, now)
}

/// A certificate that an authority of ours issued, whose key the client proved to hold, and which is refused all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}; the certificate is {credential}")]
pub struct Refused {
    /// Whose it is.
    pub identity: Identity,
    /// `x509:<serial>`.
    pub credential: String,
    /// Why it is refused.
    pub why: IdentityError,
}

impl Refused {
    fn of(leaf: x509::Leaf, why: IdentityError) -> Self {
        Self { identity: leaf.identity, credential: format!("x509:{}", leaf.serial), why }
    }

    /// Whose certificate a finished handshake proved, for whoever is refused by [`verify`].
    pub fn after(connection: &rustls::ServerConnection, trust: &TrustStore, why: IdentityError) -> Option<Self> {
        let shown = connection.peer_certificates().filter(|_| !connection.is_handshaking())?;
        let leaf = x509::leaf(shown.first()?, &trust.current().trust_domain).ok()?;
        Some(Self::of(leaf, why))
    }

    /// The same for a handshake that failed.
    pub fn during(error: &std::io::Error) -> Option<&Self> {
        inner(error)?.downcast_ref()
    }
}

/// The reason for which [`server_config`] refused a certificate, for the log: the peer got an alert and no more.
pub fn refusal(error: &std::io::Error) -> Option<&IdentityError> {
    Refused::during(error).map(|refused| &refused.why).or_else(|| inner(error)?.downcast_ref())
}

fn inner(error: &std::io::Error) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
    match error.get_ref()?.downcast_ref::<TlsError>()? {
        TlsError::InvalidCertificate(CertificateError::Other(OtherError(inner))) => Some(&**inner),
        _ => None,
    }
}

/// Judges a chain whose private key the peer has proved to hold.
pub(super) fn admit(
    chain: Arc<[CertificateDer<'static>]>,
    door: Door,
    peer: SocketAddr,
    trust: &TrustStore,
    locks: &Locks,
    now: Timestamp,
) -> Result<Verified, IdentityError> {
    let leaf = trust.current().admit_chain(&chain, now)?;
    let verified = Verified {
        identity: leaf.identity,
        device: leaf.device,
        assurance: if leaf.hardware_bound { Assurance::HardwareBound } else { Assurance::MutualTls },
        door,
        peer,
        credential: format!("x509:{}", leaf.serial),
        fingerprint: chain.first().map(|der| sha256(der)).unwrap_or_default(),
        not_after: leaf.not_after,
        evidence: Evidence::X509(chain),
    };
    super::unlocked(verified, locks, now)
}

/// The one cryptographic provider: post-quantum key exchange first, and what a modern profile asks for.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| {
            use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite, kx_group};
            Arc::new(CryptoProvider {
                cipher_suites: vec![
                    suite::TLS13_AES_128_GCM_SHA256,
                    suite::TLS13_AES_256_GCM_SHA384,
                    suite::TLS13_CHACHA20_POLY1305_SHA256,
                ],
                kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
                ..aws_lc_rs::default_provider()
            })
        })
        .clone()
}

/// Asks the trust in force at each handshake.
///
/// A certificate of ours that has run out or is revoked is refused when its key is proved, so that the log can say whose it was.
struct DoorVerifier {
    trust: Arc<TrustStore>,
    known: Mutex<HashMap<[u8; 32], Refused>>,
}

/// Certificates of ours that wait for their proof; beyond these they are refused without it.
const KNOWN_MAX: usize = 1024;

impl DoorVerifier {
    /// Whether a refused chain is one of ours. A certificate that has run out is judged as on its last day.
    fn ours(trust: &Trust, chain: &[CertificateDer<'_>], why: &IdentityError) -> Option<Refused> {
        let leaf = x509::leaf(chain.first()?, &trust.trust_domain).ok()?;
        let issued = match why {
            IdentityError::Revoked => true,
            IdentityError::Expired(_) => {
                let last = Timestamp::from_secs(leaf.not_after.as_secs().saturating_sub(1));
                matches!(trust.admit_chain(chain, last), Ok(_) | Err(IdentityError::Revoked))
            }
            IdentityError::Locked(_) | IdentityError::Unacceptable(_) => false,
        };
        issued.then(|| Refused::of(leaf, why.clone()))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Refused>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(why: impl std::error::Error + Send + Sync + 'static) -> TlsError {
    TlsError::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

impl fmt::Debug for DoorVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DoorVerifier")
    }
}

impl ClientCertVerifier for DoorVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let now = Timestamp::from_secs(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        let trust = self.trust.current();
        let Err(why) = trust.admit_chain(&chain, now) else {
            return Ok(ClientCertVerified::assertion());
        };
        let Some(refused) = Self::ours(&trust, &chain, &why) else {
            return Err(refuse(why));
        };
        let mut known = self.known();
        if known.len() >= KNOWN_MAX {
            return Err(refuse(why));
        }
        known.insert(sha256(end_entity), refused);
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let valid = self.trust.current().clients.verify_tls13_signature(message, certificate, signature)?;
        // INVARIANT: whoever passes here although refused before is refused by [`verify`], which asks again.
        let mut known = self.known();
        if known.is_empty() {
            return Ok(valid);
        }
        known.remove(&sha256(certificate)).map_or(Ok(valid), |refused| Err(refuse(refused)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Presents the gateway certificate in force, whatever element the client names.
struct DoorCertificate {
    trust: Arc<TrustStore>,
}

impl fmt::Debug for DoorCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DoorCertificate")
    }
}

impl ResolvesServerCert for DoorCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.trust.current().server.clone())
    }
}

/// The client's side: trusts `authorities` alone, demands a certificate for the gateway's own `domain` whatever element the
/// connection names, and shows `chain`.
///
/// # Errors
/// An authority, a key or a domain that cannot be used.
pub fn client_config(
    authorities: Vec<CertificateDer<'static>>,
    domain: &str,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority)?;
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|e| TlsError::General(e.to_string()))?;
    let name = ServerName::try_from(domain.to_owned()).map_err(|e| TlsError::General(format!("`{domain}`: {e}")))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(JudgedServer::new(GatewayVerifier { inner, name }, provider()))
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Verifies the gateway by its own name. The name in the handshake is the element's, and an element's name may have more labels
/// than a wildcard covers.
#[derive(Debug)]
struct GatewayVerifier {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerJudge for GatewayVerifier {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _element: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now).map(drop)
    }
}
