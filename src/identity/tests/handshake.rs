//! Real handshakes against the configuration of the mTLS door.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, NamedGroup, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::domain::Timestamp;
use crate::identity::ca::IssueRequest;
use crate::identity::fixture::{Fixture, GATEWAY, now, peer};
use crate::identity::folder::IdentityFolder;
use crate::identity::tls::provider;
use crate::identity::{IdentityError, Lock, LockSubject, tls};

type Ends =
    (io::Result<client::TlsStream<tokio::io::DuplexStream>>, io::Result<server::TlsStream<tokio::io::DuplexStream>>);

fn client_of(folder: &IdentityFolder) -> ClientConfig {
    let credential = folder.client_credential().unwrap();
    tls::client_config(credential.authorities, GATEWAY, credential.chain, credential.key, &[b"ssh"]).unwrap()
}

async fn shake_with(server: Arc<rustls::ServerConfig>, client: ClientConfig) -> Ends {
    let (near, far) = duplex(64 * 1024);
    let name = ServerName::try_from(format!("core-rtr-1.{GATEWAY}")).unwrap();
    tokio::join!(TlsConnector::from(Arc::new(client)).connect(name, near), TlsAcceptor::from(server).accept(far))
}

async fn shake(fixture: &Fixture, client: ClientConfig) -> Ends {
    shake_with(tls::server_config(fixture.trust.clone(), &[b"ssh", b"h2"]), client).await
}

/// What the gateway's log would say.
fn refused(ends: Ends) -> String {
    let error = ends.1.expect_err("the gateway refuses");
    tls::refusal(&error).map_or_else(|| error.to_string(), ToString::to_string)
}

#[tokio::test]
async fn a_good_client_is_admitted_over_post_quantum_key_exchange() {
    let fixture = Fixture::new();
    let ada = fixture.issue("ada");
    let (client, server) = shake(&fixture, client_of(&ada)).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    for (group, version, alpn) in [
        (
            client.get_ref().1.negotiated_key_exchange_group(),
            client.get_ref().1.protocol_version(),
            client.get_ref().1.alpn_protocol(),
        ),
        (
            server.get_ref().1.negotiated_key_exchange_group(),
            server.get_ref().1.protocol_version(),
            server.get_ref().1.alpn_protocol(),
        ),
    ] {
        assert_eq!(group.unwrap().name(), NamedGroup::X25519MLKEM768);
        assert_eq!((version, alpn), (Some(rustls::ProtocolVersion::TLSv1_3), Some(&b"ssh"[..])));
    }
    let verified = tls::verify(server.get_ref().1, peer(), &fixture.trust, &fixture.locks, now()).unwrap();
    assert_eq!((verified.identity().name(), verified.peer()), ("ada", peer()));
    assert_eq!(server.get_ref().1.server_name(), Some("core-rtr-1.sallyport.example"));

    // No ticket: after bytes have come from the gateway the client still holds nothing to resume with.
    server.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    client.read_exact(&mut bytes).await.unwrap();
    assert_eq!(client.get_ref().1.tls13_tickets_received(), 0);
}

#[tokio::test]
async fn every_group_and_suite_of_a_modern_profile_is_spoken_and_no_other() {
    let fixture = Fixture::new();
    let server = tls::server_config(fixture.trust.clone(), &[]);
    let groups: Vec<_> = server.crypto_provider().kx_groups.iter().map(|group| group.name()).collect();
    assert_eq!(groups, [NamedGroup::X25519MLKEM768, NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1]);
    assert!(server.crypto_provider().cipher_suites.iter().all(|suite| suite.tls13().is_some()));
    assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (0, 0));
    assert!(!server.session_storage.can_cache());
}

#[tokio::test]
async fn no_certificate_no_connection() {
    let fixture = Fixture::new();
    let (client, server) = shake(&fixture, anonymous()).await;
    let error = server.expect_err("refused");
    assert!(error.to_string().contains("peer sent no certificates"), "{error}");
    // In TLS 1.3 the client may think itself done; its first read says otherwise.
    let told = match client {
        Ok(mut client) => client.read_u8().await.map(drop),
        Err(error) => Err(error),
    };
    assert!(told.unwrap_err().to_string().contains("CertificateRequired"));
}

#[test]
fn an_older_version_is_refused() {
    // A ClientHello of TLS 1.2 as any client sends it: no supported_versions, so 1.2 is the best it speaks (RFC 8446 §4.2.1).
    let mut hello: Vec<u8> = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let extensions = [0, 10, 0, 4, 0, 2, 0, 29, 0, 13, 0, 4, 0, 2, 4, 3, 0, 11, 0, 2, 1, 0];
    hello.extend([0, extensions.len() as u8]);
    hello.extend(extensions);
    let mut record = vec![22, 3, 1, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
    record.extend(hello);

    let fixture = Fixture::new();
    let mut server = rustls::ServerConnection::new(tls::server_config(fixture.trust.clone(), &[])).unwrap();
    server.read_tls(&mut record.as_slice()).unwrap();
    let error = server.process_new_packets().expect_err("refused");
    assert!(matches!(error, TlsError::PeerIncompatible(_)), "{error}");
}

#[tokio::test]
async fn what_is_not_ours_is_refused_and_the_log_hears_why() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let (stranger, ours) = (other.issue("ada"), fixture.issue("ada"));
    let credential = stranger.client_credential().unwrap();
    let authorities = ours.client_credential().unwrap().authorities;
    let client = tls::client_config(authorities, GATEWAY, credential.chain, credential.key, &[b"ssh"]).unwrap();
    let why = refused(shake(&fixture, client).await);
    assert!(why.contains("not issued by an authority that is trusted here"), "{why}");

    let (client, _server) = shake(&fixture, client_of(&stranger)).await;
    assert!(
        client.expect_err("the client does not know this gateway").to_string().contains("invalid peer certificate")
    );
}

#[tokio::test]
async fn a_gateway_of_another_name_is_refused_by_the_client() {
    let fixture = Fixture::new();
    let credential = fixture.issue("ada").client_credential().unwrap();
    let client =
        tls::client_config(credential.authorities, "other.example", credential.chain, credential.key, &[b"ssh"])
            .unwrap();
    let (client, _server) = shake(&fixture, client).await;
    assert!(client.expect_err("another gateway").to_string().contains("not valid for name"));
}

#[tokio::test]
async fn revocation_and_new_certificates_need_no_restart() {
    let fixture = Fixture::new();
    let server = tls::server_config(fixture.trust.clone(), &[b"ssh"]);
    let ada = fixture.issue("ada");
    let (client, first) = shake_with(server.clone(), client_of(&ada)).await;
    let shown = |end: &client::TlsStream<_>| end.get_ref().1.peer_certificates().unwrap()[0].clone();
    let before = shown(&client.unwrap());
    let first = first.unwrap();

    fixture.authority.renew_server(now()).unwrap();
    fixture.trust.reload(now()).unwrap();
    let (client, _server) = shake_with(server.clone(), client_of(&ada)).await;
    assert_ne!(shown(&client.unwrap()), before, "the new certificate is shown");

    fixture.authority.revoke("ada", now()).unwrap();
    fixture.trust.reload(now()).unwrap();
    assert_eq!(refused(shake_with(server.clone(), client_of(&ada)).await), IdentityError::Revoked.to_string());
    // A handshake that finished before the revocation is not let in after it.
    let verdict = tls::verify(first.get_ref().1, peer(), &fixture.trust, &fixture.locks, now()).map(drop);
    assert_eq!(verdict, Err(IdentityError::Revoked));

    let again = fixture.issue("ada");
    assert!(shake_with(server, client_of(&again)).await.1.is_ok(), "a new credential is not revoked");
}

#[tokio::test]
async fn whose_certificate_was_refused_is_known_once_its_key_is_proved() {
    let fixture = Fixture::new();
    let (ada, eve) = (fixture.issue("ada"), fixture.issue("eve"));
    let long_ago = now().as_secs() - 7_200;
    let request = IssueRequest::new("bob", Duration::from_secs(3_600));
    let issued = fixture.authority.issue(&request, Timestamp::from_secs(long_ago)).unwrap();
    let bob = IdentityFolder::at(&issued.folder);
    fixture.authority.revoke("ada", now()).unwrap();
    fixture.trust.reload(now()).unwrap();

    let error = shake(&fixture, client_of(&ada)).await.1.expect_err("revoked");
    let told = tls::Refused::during(&error).expect("it is known").clone();
    assert_eq!((told.identity.name(), &told.why), ("ada", &IdentityError::Revoked));
    assert!(told.credential.starts_with("x509:") && told.to_string().contains(&told.credential), "{told}");
    let error = shake(&fixture, client_of(&bob)).await.1.expect_err("it has run out");
    let told = tls::Refused::during(&error).expect("it is known");
    assert!(told.identity.name() == "bob" && matches!(told.why, IdentityError::Expired(_)), "{told}");

    // A copy of the certificate without its key says nothing of anybody.
    for copied in [&ada, &bob] {
        let mut client = client_of(&eve);
        let chain = copied.client_credential().unwrap().chain;
        let key = provider().key_provider.load_private_key(eve.client_credential().unwrap().key).unwrap();
        client.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)));
        let error = shake(&fixture, client).await.1.expect_err("the signature is wrong");
        assert!(tls::Refused::during(&error).is_none(), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_that_only_looks_like_ours_is_nobodys() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let long_ago = Timestamp::from_secs(now().as_secs() - 7_200);
    let issued = other.authority.issue(&IssueRequest::new("ada", Duration::from_secs(3_600)), long_ago).unwrap();
    let credential = IdentityFolder::at(&issued.folder).client_credential().unwrap();
    let authorities = fixture.issue("eve").client_credential().unwrap().authorities;
    let client = tls::client_config(authorities, GATEWAY, credential.chain, credential.key, &[b"ssh"]).unwrap();
    let error = shake(&fixture, client).await.1.expect_err("of another authority, and it has run out");
    assert!(tls::Refused::during(&error).is_none(), "{error}");
}

#[tokio::test]
async fn a_bad_reload_keeps_what_was_in_force() {
    let fixture = Fixture::new();
    let ada = fixture.issue("ada");
    let list = std::fs::read(fixture.dir.join("ca/crl.pem")).unwrap();
    for broken in [&b""[..], b"rubbish", &list[..list.len() / 2]] {
        std::fs::write(fixture.dir.join("ca/crl.pem"), broken).unwrap();
        let problems = fixture.trust.reload(now()).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains("crl.pem"), "{problems:?}");
    }
    std::fs::remove_file(fixture.dir.join("ca/crl.pem")).unwrap();
    assert!(fixture.trust.reload(now()).is_err());
    assert!(shake(&fixture, client_of(&ada)).await.1.is_ok());
}

#[test]
fn a_certificate_for_another_name_or_one_that_has_run_out_does_not_replace_a_good_one() {
    let fixture = Fixture::new();
    let days = |n: u64| now().plus(Duration::from_secs(n * 86_400));
    // The files of another gateway of the same authority's making.
    let mut config = crate::identity::fixture::config(&fixture.dir);
    for domain in ["other.example", "sallyport.example.org", "example", "x.sallyport.example.com"] {
        config.domain = domain.to_owned();
        let problems = crate::identity::TrustStore::open(config.clone()).unwrap_err();
        assert!(problems[0].contains(&format!("server.pem: the certificate is not for `{domain}`")), "{problems:?}");
    }
    // Two months later the certificate has run out, and the lists long before: the gateway starts with them, and says so.
    let late = crate::identity::TrustStore::open(crate::identity::fixture::config(&fixture.dir)).unwrap();
    let told = late.current().warnings(days(61));
    assert!(told.len() == 2 && told[0].contains("renew-server") && told[1].contains("refresh-crl"), "{told:?}");
    assert_eq!(late.current().warnings(now()), Vec::<String>::new());
    // What has run out does not take the place of what has not.
    let old = std::fs::read(fixture.dir.join("ca/crl.pem")).unwrap();
    fixture.authority.refresh_crl(days(31)).unwrap();
    fixture.authority.renew_server(days(31)).unwrap();
    assert_eq!(late.reload(days(31)), Ok(true));
    std::fs::write(fixture.dir.join("ca/crl.pem"), &old).unwrap();
    let problems = late.reload(days(32)).unwrap_err();
    assert!(problems.len() == 1 && problems[0].contains("a revocation list ran out"), "{problems:?}");
    fixture.authority.refresh_crl(days(32)).unwrap();
    assert_eq!(late.reload(days(32)), Ok(true));
}

#[tokio::test]
async fn a_lock_shuts_out_at_once() {
    let fixture = Fixture::new();
    let ada = fixture.issue("ada");
    let (_client, server) = shake(&fixture, client_of(&ada)).await;
    let server = server.unwrap();
    let lock = |subject| Lock { subject, reason: "left".to_owned(), by: "sec".to_owned(), at: now(), until: None };
    fixture.locks.add(lock(LockSubject::User("eve".to_owned()))).unwrap();
    let judge = || tls::verify(server.get_ref().1, peer(), &fixture.trust, &fixture.locks, now()).map(drop);
    assert_eq!(judge(), Ok(()));
    fixture.locks.add(lock(LockSubject::User("ada".to_owned()))).unwrap();
    let why = IdentityError::Locked("user:ada: left".to_owned());
    assert_eq!(judge(), Err(why.clone()));
    let told = tls::Refused::after(server.get_ref().1, &fixture.trust, why).unwrap();
    assert_eq!(told.identity.name(), "ada");
}

#[tokio::test]
async fn an_unfinished_handshake_is_nobody() {
    let fixture = Fixture::new();
    let connection = rustls::ServerConnection::new(tls::server_config(fixture.trust.clone(), &[])).unwrap();
    assert!(matches!(
        tls::verify(&connection, peer(), &fixture.trust, &fixture.locks, now()),
        Err(IdentityError::Unacceptable(_))
    ));
}

/// A client without a certificate that believes every server.
fn anonymous() -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("not spoken".to_owned()))
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
