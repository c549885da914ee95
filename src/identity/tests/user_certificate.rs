//! OpenSSH user certificates: every row is what `ca issue` makes but for one thing.

use std::net::SocketAddr;
use std::time::Duration;

use ssh_key::certificate::{Builder, CertType};
use ssh_key::{Algorithm, Certificate, HashAlg, PrivateKey};

use crate::domain::{Assurance, Door, Timestamp};
use crate::identity::ca::IssueRequest;
use crate::identity::fixture::{Fixture, now, peer};
use crate::identity::folder::IdentityFolder;
use crate::identity::{IdentityError, Lock, LockSubject, Verified, ssh};

const ADA: &str = "spiffe://carrier.example/user/ada";

/// The parts of a certificate, good unless changed.
struct Parts {
    kind: CertType,
    key_id: String,
    principals: Vec<String>,
    after: i64,
    before: i64,
    critical: Vec<(String, String)>,
    extensions: Vec<(String, String)>,
    authority: PrivateKey,
}

fn user_ca(fixture: &Fixture) -> PrivateKey {
    PrivateKey::read_openssh_file(&fixture.dir.join("ca/ssh_user_ca")).unwrap()
}

fn good(fixture: &Fixture) -> Parts {
    Parts {
        kind: CertType::User,
        key_id: ADA.to_owned(),
        principals: vec!["ada".to_owned()],
        after: -60,
        before: 3_600,
        critical: Vec::new(),
        extensions: vec![("permit-pty".to_owned(), String::new()), ("unknown@example".to_owned(), "x".to_owned())],
        authority: user_ca(fixture),
    }
}

fn random_key() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

fn build(parts: &Parts) -> Certificate {
    build_for(parts, random_key().public_key().key_data().clone())
}

fn build_for(parts: &Parts, key: ssh_key::public::KeyData) -> Certificate {
    let at = |offset: i64| u64::try_from(now().as_secs() + offset).unwrap();
    let mut builder = Builder::new_with_random_nonce(&mut rand::rng(), key, at(parts.after), at(parts.before)).unwrap();
    builder.serial(77).unwrap().cert_type(parts.kind).unwrap().key_id(&parts.key_id).unwrap();
    if parts.principals.is_empty() {
        builder.all_principals_valid().unwrap();
    }
    for principal in &parts.principals {
        builder.valid_principal(principal).unwrap();
    }
    for (name, value) in &parts.critical {
        builder.critical_option(name, value).unwrap();
    }
    for (name, value) in &parts.extensions {
        builder.extension(name, value).unwrap();
    }
    builder.sign(&parts.authority).unwrap()
}

fn verify_at(fixture: &Fixture, certificate: &Certificate, now: Timestamp) -> Result<Verified, IdentityError> {
    ssh::verify_certificate(certificate, peer(), &fixture.trust, &fixture.locks, now)
}

fn verify(fixture: &Fixture, certificate: &Certificate) -> Result<Verified, IdentityError> {
    verify_at(fixture, certificate, now())
}

#[test]
fn a_good_certificate_is_admitted_at_level_one() {
    let fixture = Fixture::new();
    let mut parts = good(&fixture);
    parts.principals.push("other".to_owned());
    parts.extensions.push((ssh::DEVICE_EXTENSION.to_owned(), "spiffe://carrier.example/device/laptop-7".to_owned()));
    let verified = verify(&fixture, &build(&parts)).unwrap();
    assert_eq!(verified.identity().to_string(), ADA);
    assert_eq!(verified.device().unwrap().name(), "laptop-7");
    assert_eq!((verified.assurance(), verified.door()), (Assurance::SoftwareKey, Door::Ssh));
    assert_eq!(verified.credential(), format!("ssh:{ADA}/77"));
    assert_eq!(verified.not_after(), Timestamp::from_secs(now().as_secs() + 3_600));
}

#[test]
fn a_certificate_that_is_wrong_in_one_thing_is_refused() {
    let fixture = Fixture::new();
    let critical = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let rows: Vec<(&str, Box<dyn Fn(&mut Parts)>, &str)> = vec![
        ("a host certificate", Box::new(|p| p.kind = CertType::Host), "host certificate"),
        ("no principals, which elsewhere is everybody", Box::new(|p| p.principals.clear()), "principals"),
        ("another's principal", Box::new(|p| p.principals = vec!["eve".to_owned()]), "principals"),
        ("principals in one text", Box::new(|p| p.principals = vec!["eve,ada".to_owned()]), "principals"),
        ("a principal in another case", Box::new(|p| p.principals = vec!["Ada".to_owned()]), "principals"),
        ("a wildcard principal", Box::new(|p| p.principals = vec!["*".to_owned()]), "principals"),
        ("no key id", Box::new(|p| p.key_id.clear()), "key id"),
        ("a bare name as key id", Box::new(|p| p.key_id = "ada".to_owned()), "key id"),
        ("a device as key id", Box::new(|p| p.key_id = "spiffe://carrier.example/device/ada".to_owned()), "key id"),
        ("an element login's key id", Box::new(|p| p.key_id = format!("{ADA}#1")), "key id"),
        ("another domain", Box::new(|p| p.key_id = "spiffe://evil.example/user/ada".to_owned()), "trust domain"),
        ("force-command", Box::new(move |p| p.critical = critical("force-command", "id")), "force-command"),
        ("verify-required", Box::new(move |p| p.critical = critical("verify-required", "")), "verify-required"),
        ("an unknown critical option", Box::new(move |p| p.critical = critical("x@example", "")), "x@example"),
        (
            "another source",
            Box::new(move |p| p.critical = critical("source-address", "198.51.100.0/24")),
            "not among the addresses",
        ),
        ("an empty source list", Box::new(move |p| p.critical = critical("source-address", "")), "source-address"),
        (
            "a broken source list",
            Box::new(move |p| p.critical = critical("source-address", "192.0.2.0/24,x")),
            "source-address",
        ),
        (
            "a space in the source list",
            Box::new(move |p| p.critical = critical("source-address", "192.0.2.0/24, ::1")),
            "source-address",
        ),
        (
            "bits beyond the prefix",
            Box::new(move |p| p.critical = critical("source-address", "192.0.2.7/24")),
            "source-address",
        ),
        (
            "a prefix too long",
            Box::new(move |p| p.critical = critical("source-address", "192.0.2.0/33")),
            "source-address",
        ),
        (
            "a negated source",
            Box::new(move |p| p.critical = critical("source-address", "!192.0.2.0/24")),
            "source-address",
        ),
        ("an untrusted authority", Box::new(|p| p.authority = random_key()), "not trusted"),
        (
            "a broken device",
            Box::new(|p| p.extensions.push((ssh::DEVICE_EXTENSION.to_owned(), "laptop".to_owned()))),
            "device",
        ),
        (
            "another domain's device",
            Box::new(|p| {
                p.extensions.push((ssh::DEVICE_EXTENSION.to_owned(), "spiffe://evil.example/device/d".to_owned()))
            }),
            "evil.example",
        ),
    ];
    for (name, change, expected) in rows {
        let mut parts = good(&fixture);
        change(&mut parts);
        let verdict = verify(&fixture, &build(&parts)).map(drop);
        assert!(
            matches!(&verdict, Err(IdentityError::Unacceptable(why)) if why.contains(expected)),
            "{name}: {verdict:?}"
        );
    }
}

#[test]
fn authorities_of_another_purpose_do_not_sign_users() {
    let fixture = Fixture::new();
    for name in ["ssh_host_ca", "ssh_element_ca"] {
        let mut parts = good(&fixture);
        parts.authority = PrivateKey::read_openssh_file(&fixture.dir.join("ca").join(name)).unwrap();
        assert!(
            matches!(verify(&fixture, &build(&parts)), Err(IdentityError::Unacceptable(why)) if why.contains("not trusted")),
            "{name}"
        );
        let public = std::fs::read_to_string(fixture.dir.join("ca").join(format!("{name}.pub"))).unwrap();
        std::fs::write(fixture.dir.join("ca/ssh_user_ca.pub"), public).unwrap();
        assert!(fixture.trust.reload(now()).unwrap_err()[0].contains("each purpose needs its own"), "{name}");
    }
}

#[test]
fn validity_is_half_open() {
    let fixture = Fixture::new();
    let certificate = build(&good(&fixture));
    for (offset, admitted) in [(-61, false), (-60, true), (0, true), (3_599, true), (3_600, false), (9_999, false)] {
        match verify_at(&fixture, &certificate, Timestamp::from_secs(now().as_secs() + offset)) {
            Ok(_) => assert!(admitted, "{offset}"),
            Err(IdentityError::Expired(_)) => assert!(!admitted, "{offset}"),
            Err(other) => panic!("{offset}: {other}"),
        }
    }
    assert!(matches!(verify_at(&fixture, &certificate, Timestamp::from_secs(-1)), Err(IdentityError::Expired(_))));
}

#[test]
fn sources_are_matched_as_networks() {
    let fixture = Fixture::new();
    let rows = [
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.0/24", "192.0.2.255", true),
        ("198.51.100.1,192.0.2.0/24", "192.0.2.7", true),
        ("192.0.2.0/24", "::ffff:192.0.2.7", true),
        ("2001:db8::/32", "2001:db8::1", true),
        ("0.0.0.0/0", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
        ("192.0.2.0/25", "192.0.2.128", false),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "192.0.2.7", false),
    ];
    for (list, from, admitted) in rows {
        let mut parts = good(&fixture);
        parts.critical = vec![("source-address".to_owned(), list.to_owned())];
        let from = SocketAddr::new(from.parse().unwrap(), 1);
        let verdict = ssh::verify_certificate(&build(&parts), from, &fixture.trust, &fixture.locks, now());
        assert_eq!(verdict.is_ok(), admitted, "{list} from {from}");
        if let Ok(verified) = verdict {
            assert_eq!(fixture.trust.current().still_admits(&verified, now()), Ok(()));
        }
    }
}

#[test]
fn one_flipped_bit_anywhere_refuses() {
    let fixture = Fixture::new();
    let bytes = build(&good(&fixture)).to_bytes().unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        let verdict =
            Certificate::from_bytes(&flipped).map_err(|_| ()).and_then(|c| verify(&fixture, &c).map_err(|_| ()));
        assert!(verdict.is_err(), "bit flipped in byte {at}");
    }
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(Certificate::from_bytes(&bytes[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn a_certificate_is_no_authority() {
    let fixture = Fixture::new();
    // ada's certificate, in the place where the authority's key belongs, with the signature of the key it certifies.
    let (ada, mut parts) = (random_key(), good(&fixture));
    let middle = build_for(&parts, ada.public_key().key_data().clone());
    parts.authority = ada;
    let below = build(&parts).to_bytes().unwrap();
    let key = parts.authority.public_key().to_bytes().unwrap();
    let place = below.windows(key.len()).rposition(|window| window == key).unwrap();
    let nested_key = middle.to_bytes().unwrap();
    let mut nested = below[..place - 4].to_vec();
    nested.extend(u32::try_from(nested_key.len()).unwrap().to_be_bytes());
    nested.extend(&nested_key);
    nested.extend(&below[place + key.len()..]);
    match Certificate::from_bytes(&nested) {
        Err(_) => {}
        Ok(certificate) => assert!(matches!(verify(&fixture, &certificate), Err(IdentityError::Unacceptable(_)))),
    }
    // And as a plain authority whose key was only certified for a user.
    assert!(
        matches!(verify(&fixture, &build(&parts)), Err(IdentityError::Unacceptable(why)) if why.contains("not trusted"))
    );
}

#[test]
fn revocation_by_serial_key_id_key_and_authority() {
    let fixture = Fixture::new();
    let certificate = build(&good(&fixture));
    let verified = verify(&fixture, &certificate).unwrap();
    let list = fixture.dir.join("ca/ssh_revoked");
    let lines = [
        "serial 77".to_owned(),
        format!("id {ADA}"),
        format!("{}", certificate.public_key().fingerprint(HashAlg::Sha256)),
        format!("{}", certificate.signature_key().fingerprint(HashAlg::Sha256)).replace("SHA256", "sha256"),
    ];
    for line in lines {
        std::fs::write(&list, &line).unwrap();
        fixture.trust.reload(now()).unwrap();
        assert_eq!(verify(&fixture, &certificate).map(drop), Err(IdentityError::Revoked), "{line}");
        assert_eq!(fixture.trust.current().still_admits(&verified, now()), Err(IdentityError::Revoked), "{line}");
        assert_eq!(
            ssh::verify_again(&verified, &fixture.trust, &fixture.locks, now()).map(drop),
            Err(IdentityError::Revoked)
        );
    }
    for line in [
        "serial 78".to_owned(),
        "id spiffe://carrier.example/user/adam".to_owned(),
        random_key().fingerprint(HashAlg::Sha256).to_string(),
    ] {
        std::fs::write(&list, &line).unwrap();
        fixture.trust.reload(now()).unwrap();
        assert!(verify(&fixture, &certificate).is_ok(), "{line}");
    }
    std::fs::write(&list, "serail 77").unwrap();
    assert!(fixture.trust.reload(now()).unwrap_err()[0].contains("line 1"));
    std::fs::remove_file(&list).unwrap();
    assert!(fixture.trust.reload(now()).is_err(), "no list, no trust");
}

#[test]
fn locks_on_user_and_device() {
    let fixture = Fixture::new();
    let mut parts = good(&fixture);
    parts.extensions.push((ssh::DEVICE_EXTENSION.to_owned(), "spiffe://carrier.example/device/d".to_owned()));
    let certificate = build(&parts);
    let outer = verify(&fixture, &certificate).unwrap();
    for subject in [LockSubject::User("ada".to_owned()), LockSubject::Device("d".to_owned())] {
        let until = Some(now().plus(Duration::from_secs(60)));
        fixture
            .locks
            .add(Lock { subject: subject.clone(), reason: "x".to_owned(), by: "y".to_owned(), at: now(), until })
            .unwrap();
        assert!(matches!(verify(&fixture, &certificate), Err(IdentityError::Locked(_))));
        assert!(matches!(
            ssh::verify_again(&outer, &fixture.trust, &fixture.locks, now()),
            Err(IdentityError::Locked(_))
        ));
        assert!(verify_at(&fixture, &certificate, now().plus(Duration::from_secs(60))).is_ok(), "the lock has run out");
        fixture.locks.remove(&subject).unwrap();
    }
    assert_eq!(ssh::verify_again(&outer, &fixture.trust, &fixture.locks, now()).unwrap().identity(), outer.identity());
    let late = now().plus(Duration::from_secs(3_600));
    assert!(matches!(ssh::verify_again(&outer, &fixture.trust, &fixture.locks, late), Err(IdentityError::Expired(_))));
}

fn ssh_certificate(folder: &IdentityFolder) -> Certificate {
    Certificate::read_file(&folder.path().join("ssh_key-cert.pub")).unwrap()
}

#[test]
fn a_companion_is_the_connections_own() {
    let fixture = Fixture::new();
    let (ada, eve) = (fixture.issue("ada"), fixture.issue("eve"));
    let on_tls = ada.verify(&fixture.trust, &fixture.locks, now()).unwrap();
    let judge =
        |certificate: &Certificate| ssh::verify_companion(certificate, &on_tls, &fixture.trust, &fixture.locks, now());
    assert_eq!(judge(&ssh_certificate(&ada)), Ok(()));
    assert!(matches!(judge(&ssh_certificate(&eve)), Err(IdentityError::Unacceptable(why)) if why.contains("user/eve")));

    let key =
        |folder: &IdentityFolder| ssh_key::PublicKey::read_openssh_file(&folder.path().join("ssh_key.pub")).unwrap();
    let judge_key = |key: &ssh_key::PublicKey, now| ssh::verify_companion_key(key, &on_tls, &fixture.trust, now);
    assert_eq!(judge_key(&key(&ada), now()), Ok(()));
    assert!(judge_key(&key(&eve), now()).is_err());
    assert!(judge_key(random_key().public_key(), now()).is_err());
    assert!(judge_key(&key(&ada), now().plus(Duration::from_secs(3_600))).is_err(), "its certificate has run out");
    let ada_key = key(&ada);
    fixture.authority.revoke("ada", now()).unwrap();
    fixture.trust.reload(now()).unwrap();
    assert!(judge_key(&ada_key, now()).is_err());
    assert_eq!(judge(&ssh_certificate(&ada)), Err(IdentityError::Revoked));
}

#[test]
fn a_companion_of_another_device_is_refused() {
    let fixture = Fixture::new();
    let issue = |device: Option<&str>| {
        let mut request = IssueRequest::new("ada", Duration::from_secs(3_600));
        request.device = device.map(str::to_owned);
        let folder = IdentityFolder::at(&fixture.authority.issue(&request, now()).unwrap().folder);
        (folder.verify(&fixture.trust, &fixture.locks, now()).unwrap(), ssh_certificate(&folder))
    };
    let (on_a, of_a) = issue(Some("a"));
    let (_, of_b) = issue(Some("b"));
    assert_eq!(ssh::verify_companion(&of_a, &on_a, &fixture.trust, &fixture.locks, now()), Ok(()));
    assert!(ssh::verify_companion(&of_b, &on_a, &fixture.trust, &fixture.locks, now()).is_err());
}
