//! The mTLS door's side of identity: TLS 1.3, a client certificate, exactly one identity in it.
//!
//! A connection is judged once, when it is made: there is no resumption, so there is no stored identity to forget to check again
//! (RFC 8446 §4.6.1 lets a server send no ticket), and no early data, so nothing is read before the identity is known.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
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

use super::{Evidence, IdentityError, Locks, TrustStore, Verified, sha256};
use crate::domain::{Assurance, Door, Timestamp};

/// The TLS configuration of the mTLS door: TLS 1.3 only, X25519MLKEM768 first, client certificate required, no resumption,
/// no early data. Certificates and revocation follow `trust` without a restart.
#[expect(clippy::expect_used, reason = "the provider below holds TLS 1.3 suites and groups; a test builds this")]
pub fn server_config(trust: Arc<TrustStore>, alpn: &[&[u8]]) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider speaks TLS 1.3")
        .with_client_cert_verifier(Arc::new(DoorVerifier { trust: trust.clone() }))
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

/// The reason for which [`server_config`] refused a certificate, for the log: the peer got an alert and no more.
pub fn refusal(error: &std::io::Error) -> Option<&IdentityError> {
    let TlsError::InvalidCertificate(CertificateError::Other(OtherError(inner))) =
        error.get_ref()?.downcast_ref::<TlsError>()?
    else {
        return None;
    };
    inner.downcast_ref::<IdentityError>()
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
struct DoorVerifier {
    trust: Arc<TrustStore>,
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
        match self.trust.current().admit_chain(&chain, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(why) => Err(TlsError::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))),
        }
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
        self.trust.current().clients.verify_tls13_signature(message, certificate, signature)
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
        .with_custom_certificate_verifier(Arc::new(GatewayVerifier { inner, name }))
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

impl ServerCertVerifier for GatewayVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _element: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
