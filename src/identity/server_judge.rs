//! Verifying servers in a way of our own, in which only the judgement of the certificate differs: signatures are checked here for all of them.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error as TlsError, SignatureScheme};

/// Says whether a server's certificate is one to trust for the name in the handshake.
pub trait ServerJudge: fmt::Debug + Send + Sync {
    /// Judges the certificate; the signature over the handshake is checked apart.
    ///
    /// # Errors
    /// It is not to be trusted, and why.
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), TlsError>;
}

/// A judge, with the algorithms in which servers may sign.
#[derive(Debug)]
pub struct JudgedServer<J> {
    judge: J,
    provider: Arc<CryptoProvider>,
}

impl<J: ServerJudge> JudgedServer<J> {
    /// A verifier for a configuration of `provider`'s.
    pub fn new(judge: J, provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self { judge, provider })
    }
}

impl<J: ServerJudge> ServerCertVerifier for JudgedServer<J> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.judge.judge(end_entity, intermediates, name, ocsp_response, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
