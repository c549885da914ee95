//! Real handshakes with a server of the same library: who is taken for the element, and what the gateway shows it.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use std::time::Duration;

use super::*;
use crate::element::Inventory;
use crate::identity::fixture::{Fixture, now};
use crate::identity::issue::element_x509;

/// An authority and certificates under it.
struct Pki {
    ca_pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let ca_pem = params.self_signed(&key).expect("a certificate").pem();
        Self { ca_pem, issuer: rcgen::Issuer::new(params, key) }
    }

    fn leaf(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
    }
}

/// Serves one connection: tells the common name of the client's certificate, if it showed one.
async fn serve(
    pki: &Pki,
    name: &str,
    clients: Option<&str>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> (u16, [u8; 32]) {
    let (certificate, key) = pki.leaf(name);
    let pin = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate);
    let pin = <[u8; 32]>::try_from(pin.as_ref()).expect("32 bytes");
    let builder =
        ServerConfig::builder_with_provider(provider(true)).with_protocol_versions(versions).expect("versions");
    let builder = match clients {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            use rustls::pki_types::pem::PemObject as _;
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider(true));
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(vec![certificate], key).expect("a pair");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        if let Ok(mut stream) = acceptor.accept(stream).await {
            let said = match stream.get_ref().1.peer_certificates().and_then(<[_]>::first) {
                Some(der) => {
                    use x509_parser::prelude::FromDer as _;
                    let (_, leaf) = x509_parser::prelude::X509Certificate::from_der(der).expect("a certificate");
                    let name = leaf.subject().to_string();
                    let uris = leaf
                        .subject_alternative_name()
                        .expect("well formed")
                        .map(|san| format!("{:?}", san.value.general_names));
                    format!("{name} {}", uris.unwrap_or_default())
                }
                None => "nobody".to_owned(),
            };
            // A client that has gone by now has seen enough.
            stream.write_all(said.as_bytes()).await.ok();
            stream.shutdown().await.ok();
        }
    });
    (port, pin)
}

fn inventory(port: u16, more: &str) -> Arc<Element> {
    let text = format!(
        "[[crypto_profile]]\nname = \"old\"\nkex = [\"diffie-hellman-group14-sha1\"]\nreason = \"r\"\nowner = \"o\"\nexpires = \"2100-01-01\"\n\
         [[crypto_profile]]\nname = \"over\"\nkex = [\"diffie-hellman-group14-sha1\"]\nreason = \"r\"\nowner = \"o\"\nexpires = \"2020-01-01\"\n\
         [[element]]\nname = \"r1\"\naddresses = [\"127.0.0.1:1\"]\naccount = \"admin\"\nhost_keys = [\"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]\n\
         credential = {{ kind = \"certificate\" }}\nprotocols = [\"https\"]\n[element.https]\naddresses = [\"127.0.0.1:{port}\"]\nserver_name = \"r1.example\"\n{more}"
    );
    let inventory = Inventory::parse(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    inventory.find(&"r1".parse().expect("a name")).expect("it is there").clone()
}

fn ca(pki: &Pki) -> String {
    format!("ca = ['''{}''']\n", pki.ca_pem)
}

/// Dials as `ada` for the account `admin`.
async fn dial(fixture: &Fixture, element: &Element) -> Result<(TlsLink, LinkFacts), DialError> {
    let config = Config {
        connect_timeout: Duration::from_secs(10),
        window_bytes: 1 << 20,
        secrets_dir: fixture.dir.join("data/secrets"),
        secrets_key_file: fixture.dir.join("gateway/secrets.key"),
        own: Default::default(),
    };
    let account = "admin".parse().expect("an account");
    let trust = fixture.trust.current();
    let minted = element_x509(&trust, &fixture.verified("ada"), &account, now(), Duration::from_secs(60));
    let minted = minted.expect("a certificate").expect("an authority");
    dial_as(&config, element, &account, Service::Https, Some(&minted), now(), &[b"h2"]).await
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
const OLD: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

#[tokio::test]
async fn the_element_sees_a_certificate_of_the_identity() {
    let (pki, fixture) = (Pki::new(), Fixture::new());
    let clients = std::fs::read_to_string(fixture.dir.join("ca/x509_element_ca.pem")).expect("made by init");
    let (port, _) = serve(&pki, "r1.example", Some(&clients), BOTH).await;
    let (mut link, facts) = dial(&fixture, &inventory(port, &ca(&pki))).await.expect("reached");
    let mut said = String::new();
    link.stream.read_to_string(&mut said).await.expect("an answer");
    assert!(said.contains("CN=admin") && said.contains("spiffe://carrier.example/user/ada"), "{said}");
    assert_eq!((link.alpn.as_deref(), facts.banner.as_str()), (Some(&b"h2"[..]), "TLSv1_3"));
    assert!(link.injected.is_none());
}

#[tokio::test]
async fn only_the_elements_own_certificate_is_taken() {
    let (pki, other, fixture) = (Pki::new(), Pki::new(), Fixture::new());
    for (name, pinned, right) in [
        ("r1.example", Some(&pki), true),
        ("r2.example", Some(&pki), false),
        ("r1.example", Some(&other), false),
        ("r2.example", None, true),
    ] {
        let (port, pin) = serve(&pki, name, None, BOTH).await;
        let pin = format!("pins = [\"{}\"]\n", shown(&pin));
        let result = dial(&fixture, &inventory(port, &pinned.map_or(pin, ca))).await;
        match result {
            Ok(_) => assert!(right, "{name}"),
            Err(DialError::HostKey { presented, expected, .. }) => {
                assert!(!right && presented.starts_with("SHA256:") && !expected.is_empty(), "{name} {presented}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    let (port, _) = serve(&pki, "r1.example", None, BOTH).await;
    let wrong = format!("pins = [\"{}\"]\n", shown(&[7; 32]));
    assert!(matches!(dial(&fixture, &inventory(port, &wrong)).await, Err(DialError::HostKey { .. })));
}

#[tokio::test]
async fn old_tls_needs_a_profile_that_has_not_run_out() {
    let (pki, fixture) = (Pki::new(), Fixture::new());
    let (port, _) = serve(&pki, "r1.example", None, OLD).await;
    assert!(dial(&fixture, &inventory(port, &ca(&pki))).await.is_err());
    let (port, _) = serve(&pki, "r1.example", None, OLD).await;
    let profile = format!("{}tls12_profile = \"old\"\n", ca(&pki));
    let (_, facts) = dial(&fixture, &inventory(port, &profile)).await.expect("reached");
    assert_eq!((facts.banner.as_str(), facts.legacy_profile.as_deref()), ("TLSv1_2", Some("old")));
    let profile = format!("{}tls12_profile = \"over\"\n", ca(&pki));
    assert!(matches!(dial(&fixture, &inventory(port, &profile)).await, Err(DialError::ProfileExpired { .. })));
}

#[tokio::test]
async fn stored_credentials_are_handed_out_and_no_certificate_is_shown() {
    let (pki, fixture) = (Pki::new(), Fixture::new());
    let secrets = Secrets::open(&fixture.dir.join("data/secrets"), &fixture.dir.join("gateway/secrets.key"));
    secrets.expect("a key").write(&"r1-api".parse().expect("a name"), b"s3cret\n").expect("stored");
    for (credential, works) in [
        ("credential = { kind = \"basic\", secret = \"r1-api\" }\n", true),
        ("credential = { kind = \"bearer\", secret = \"r1-api\" }\n", true),
        ("credential = { kind = \"basic\", secret = \"missing\" }\n", false),
    ] {
        let (port, _) = serve(&pki, "r1.example", None, BOTH).await;
        match dial(&fixture, &inventory(port, &format!("{}{credential}", ca(&pki)))).await {
            Ok((link, _)) => match link.injected {
                Some(Injected::Basic { user, password }) => {
                    assert_eq!((user.as_str(), password.as_str()), ("admin", "s3cret"))
                }
                Some(Injected::Bearer { token }) => assert_eq!(token.as_str(), "s3cret"),
                None => panic!("nothing to send for {credential}"),
            },
            Err(error) => assert!(!works && matches!(error, DialError::Credential(_)), "{credential}: {error}"),
        }
    }
}

#[tokio::test]
async fn what_does_not_answer_is_unreachable() {
    let (pki, fixture) = (Pki::new(), Fixture::new());
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = nobody.local_addr().expect("bound").port();
    drop(nobody);
    assert!(matches!(dial(&fixture, &inventory(port, &ca(&pki))).await, Err(DialError::Unreachable(_))));
}
