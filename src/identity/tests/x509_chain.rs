//! X.509 client certificates: every row is what `ca issue` makes but for one thing.

use std::sync::Arc;
use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::domain::{Assurance, Door, Timestamp};
use crate::identity::ca::IssueRequest;
use crate::identity::fixture::{self, Fixture, now, peer};
use crate::identity::folder::IdentityFolder;
use crate::identity::{IdentityError, Verified, tls};

fn issuer(fixture: &Fixture) -> Issuer<'static, KeyPair> {
    let read = |name: &str| std::fs::read_to_string(fixture.dir.join("ca").join(name)).unwrap();
    Issuer::from_ca_cert_pem(&read("x509_ca.pem"), KeyPair::from_pem(&read("x509_ca.key.pem")).unwrap()).unwrap()
}

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

fn at(offset: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(now().as_secs() + offset).unwrap()
}

/// What `ca issue` makes for ada.
fn good() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = at(-60);
    params.not_after = at(3_600);
    params.serial_number = Some(SerialNumber::from_slice(&[0x41, 7]));
    params.subject_alt_names = vec![uri("spiffe://carrier.example/user/ada")];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn admit(fixture: &Fixture, chain: Vec<CertificateDer<'static>>, now: Timestamp) -> Result<Verified, IdentityError> {
    tls::admit(Arc::from(chain), Door::Mtls, peer(), &fixture.trust, &fixture.locks, now)
}

fn signed(fixture: &Fixture, params: &CertificateParams) -> Vec<CertificateDer<'static>> {
    vec![params.signed_by(&key(), &issuer(fixture)).unwrap().der().clone()]
}

#[test]
fn one_user_of_our_domain_is_admitted() {
    let fixture = Fixture::new();
    let verified = admit(&fixture, signed(&fixture, &good()), now()).unwrap();
    assert_eq!(verified.identity().to_string(), "spiffe://carrier.example/user/ada");
    assert_eq!(
        (verified.device(), verified.assurance(), verified.credential()),
        (None, Assurance::MutualTls, "x509:4107")
    );
    assert_eq!(verified.not_after(), Timestamp::from_secs(now().as_secs() + 3_601));

    let mut with_device = good();
    with_device.subject_alt_names.push(uri("spiffe://carrier.example/device/laptop-7"));
    with_device.subject_alt_names.push(SanType::DnsName(Ia5String::try_from("ada.example").unwrap()));
    let verified = admit(&fixture, signed(&fixture, &with_device), now()).unwrap();
    assert_eq!(verified.device().unwrap().name(), "laptop-7");
}

#[test]
fn a_leaf_that_is_wrong_in_one_thing_is_refused() {
    let fixture = Fixture::new();
    type Change = fn(&mut CertificateParams);
    let rows: [(&str, Change, &str); 20] = [
        ("no name", |p| p.subject_alt_names.clear(), "no subject alternative name"),
        (
            "a DNS name alone",
            |p| p.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from("ada").unwrap())],
            "names no user",
        ),
        ("two users", |p| p.subject_alt_names.push(uri("spiffe://carrier.example/user/eve")), "two users"),
        ("the same user twice", |p| p.subject_alt_names.push(uri("spiffe://carrier.example/user/ada")), "two users"),
        ("a device alone", |p| p.subject_alt_names = vec![uri("spiffe://carrier.example/device/d")], "names no user"),
        (
            "two devices",
            |p| {
                p.subject_alt_names
                    .extend([uri("spiffe://carrier.example/device/d"), uri("spiffe://carrier.example/device/e")])
            },
            "two devices",
        ),
        (
            "another domain's user",
            |p| p.subject_alt_names = vec![uri("spiffe://evil.example/user/ada")],
            "trust domain evil.example",
        ),
        (
            "another domain's device",
            |p| p.subject_alt_names.push(uri("spiffe://evil.example/device/d")),
            "trust domain evil.example",
        ),
        (
            "a second URI of another kind",
            |p| p.subject_alt_names.push(uri("https://carrier.example/ada")),
            "neither a user nor a device",
        ),
        (
            "a workload",
            |p| p.subject_alt_names = vec![uri("spiffe://carrier.example/workload/ada")],
            "neither a user nor a device",
        ),
        (
            "upper case",
            |p| p.subject_alt_names = vec![uri("spiffe://carrier.example/user/Ada")],
            "neither a user nor a device",
        ),
        (
            "a path",
            |p| p.subject_alt_names = vec![uri("spiffe://carrier.example/user/ada/x")],
            "neither a user nor a device",
        ),
        (
            "an escaped name",
            |p| p.subject_alt_names = vec![uri("spiffe://carrier.example/user/ad%61")],
            "neither a user nor a device",
        ),
        ("an authority", |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), ""),
        ("may sign certificates", |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign), "may sign certificates"),
        ("may sign lists", |p| p.key_usages.push(KeyUsagePurpose::CrlSign), "may sign certificates"),
        ("may not sign", |p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment], "digitalSignature"),
        ("no key usage", |p| p.key_usages.clear(), "digitalSignature"),
        ("for servers", |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth], ""),
        ("for signing code", |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning], ""),
    ];
    for (name, change, expected) in rows {
        let mut params = good();
        change(&mut params);
        let refusal = admit(&fixture, signed(&fixture, &params), now()).map(drop);
        assert!(
            matches!(&refusal, Err(IdentityError::Unacceptable(why)) if why.contains(expected)),
            "{name}: {refusal:?}"
        );
    }
}

#[test]
fn validity_ends_with_its_last_second() {
    let fixture = Fixture::new();
    let chain = signed(&fixture, &good());
    let start = now().as_secs();
    for (offset, admitted) in [(-61, false), (-60, true), (0, true), (3_600, true), (3_601, false)] {
        let verdict = admit(&fixture, chain.clone(), Timestamp::from_secs(start + offset)).map(drop);
        match verdict {
            Ok(()) => assert!(admitted, "{offset}"),
            Err(IdentityError::Expired(_)) => assert!(!admitted, "{offset}"),
            Err(other) => panic!("{offset}: {other}"),
        }
    }
    assert!(matches!(admit(&fixture, chain, Timestamp::from_secs(-1)), Err(IdentityError::Expired(_))));
}

#[test]
fn a_chain_that_does_not_lead_to_our_authority_is_refused() {
    let fixture = Fixture::new();
    let other = Fixture::new();
    let authority = issuer(&fixture);
    let refused = |name: &str, chain: Vec<CertificateDer<'static>>| {
        let verdict = admit(&fixture, chain, now()).map(drop);
        assert!(matches!(verdict, Err(IdentityError::Unacceptable(_))), "{name}: {verdict:?}");
    };
    refused("nothing", Vec::new());
    refused("rubbish", vec![CertificateDer::from(vec![0x30, 0])]);
    refused("self-signed", vec![good().self_signed(&key()).unwrap().der().clone()]);
    refused("an authority of the same name", signed(&other, &good()));

    // A user's own certificate used as an authority for another.
    let (user_key, user) = (key(), good());
    let user_der = user.signed_by(&user_key, &authority).unwrap().der().clone();
    let below = good().signed_by(&key(), &Issuer::from_params(&user, &user_key)).unwrap().der().clone();
    refused("signed by a user", vec![below, user_der]);

    // An intermediate that our authority did sign: nobody lists what it revokes, and the authority may have none below it.
    let (middle_key, mut middle) = (key(), CertificateParams::default());
    middle.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    middle.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    middle.distinguished_name.push(rcgen::DnType::CommonName, "middle");
    let middle_der = middle.signed_by(&middle_key, &authority).unwrap().der().clone();
    let below = good().signed_by(&key(), &Issuer::from_params(&middle, &middle_key)).unwrap().der().clone();
    refused("through an intermediate without a list", vec![below.clone(), middle_der.clone()]);
    refused("the intermediate is withheld", vec![below]);

    let good_chain = signed(&fixture, &good());
    let padded: Vec<_> = good_chain.iter().cloned().chain(std::iter::repeat_n(middle_der, 6)).collect();
    refused("more certificates than are read", padded);
    let mut trailing = good_chain[0].to_vec();
    trailing.push(0);
    refused("a byte after it", vec![CertificateDer::from(trailing)]);
    for at in [40, good_chain[0].len() / 2, good_chain[0].len() - 3] {
        let mut flipped = good_chain[0].to_vec();
        flipped[at] ^= 1;
        assert!(admit(&fixture, vec![CertificateDer::from(flipped)], now()).is_err(), "a bit flipped at {at}");
    }
}

#[test]
fn revocation_takes_effect_on_reload_for_those_admitted_before() {
    let fixture = Fixture::new();
    let (ada, eve) = (fixture.verified("ada"), fixture.verified("eve"));
    let changed = fixture.trust.subscribe();
    fixture.authority.revoke("ada", now()).unwrap();
    assert_eq!(fixture.trust.current().still_admits(&ada, now()), Ok(()), "not before the reload");
    fixture.trust.reload(now()).unwrap();
    assert!(changed.has_changed().unwrap());
    assert_eq!(fixture.trust.current().still_admits(&ada, now()), Err(IdentityError::Revoked));
    assert_eq!(fixture.trust.current().still_admits(&eve, now()), Ok(()));
    assert!(matches!(
        fixture.trust.current().still_admits(&eve, now().plus(Duration::from_secs(3_601))),
        Err(IdentityError::Expired(_))
    ));
}

#[test]
fn a_list_that_has_run_out_admits_nobody() {
    let fixture = Fixture::new();
    let days = |n: u64| now().plus(Duration::from_secs(n * 86_400));
    let request = IssueRequest::new("ada", Duration::from_secs(3_600));
    let folder = IdentityFolder::at(&fixture.authority.issue(&request, days(31)).unwrap().folder);
    let late = |fixture: &Fixture| folder.verify(&fixture.trust, &fixture.locks, days(31)).map(drop);
    assert!(matches!(late(&fixture), Err(IdentityError::Unacceptable(why)) if why.contains("refresh-crl")));
    fixture.authority.refresh_crl(days(31)).unwrap();
    fixture.trust.reload(now()).unwrap();
    assert_eq!(late(&fixture), Ok(()));
}

#[test]
fn whoever_was_admitted_is_looked_at_again_when_the_list_runs_out() {
    let fixture = Fixture::new();
    let seconds = |n: u64| now().plus(Duration::from_secs(n));
    let days = |n: u64| seconds(n * 86_400);
    let ada = fixture.verified("ada");
    let trust = fixture.trust.current();
    assert_eq!(trust.next_edge(&ada, now()), ada.not_after(), "the certificate runs out first");
    let folder =
        fixture.authority.issue(&IssueRequest::new("ada", Duration::from_secs(3_600)), days(30)).unwrap().folder;
    let last = seconds(30 * 86_400 - 1);
    // A certificate of tomorrow is good from a minute before.
    let late = IdentityFolder::at(&folder).verify(&fixture.trust, &fixture.locks, last).unwrap();
    let trust = fixture.trust.current();
    assert_eq!(trust.next_edge(&late, last), days(30));
    assert_eq!(trust.still_admits(&late, last), Ok(()));
    assert!(matches!(trust.still_admits(&late, days(30)), Err(IdentityError::Unacceptable(_))));
    assert_eq!(trust.next_edge(&late, days(30)), late.not_after(), "and not over and over");
}

#[test]
fn an_authority_that_is_no_longer_trusted_takes_its_identities_along() {
    let fixture = Fixture::new();
    let ada = fixture.verified("ada");
    let other = Fixture::new();
    for file in ["ca/x509_ca.pem", "ca/crl.pem"] {
        std::fs::copy(other.dir.join(file), fixture.dir.join(file)).unwrap();
    }
    fixture.trust.reload(now()).unwrap();
    assert!(matches!(fixture.trust.current().still_admits(&ada, now()), Err(IdentityError::Unacceptable(_))));
}

#[test]
fn hardware_keys_raise_assurance_and_only_by_the_policy_in_the_certificate() {
    let fixture = Fixture::new();
    let (key, mut asked) = (key(), CertificateParams::default());
    // Names in the request are not taken over.
    asked.subject_alt_names = vec![uri("spiffe://carrier.example/user/root")];
    let mut request = IssueRequest::new("ada", Duration::from_secs(3_600));
    request.hardware_request = Some(asked.serialize_request(&key).unwrap().pem().unwrap());
    let issued = fixture.authority.issue(&request, now()).unwrap();
    assert!(!issued.folder.join("key.pem").exists());
    std::fs::write(issued.folder.join("key.pem"), key.serialize_pem()).unwrap();
    let verified = IdentityFolder::at(&issued.folder).verify(&fixture.trust, &fixture.locks, now()).unwrap();
    assert_eq!((verified.identity().name(), verified.assurance()), ("ada", Assurance::HardwareBound));
    assert_eq!(fixture.verified("ada").assurance(), Assurance::MutualTls, "issued again with a software key");
}

#[test]
fn the_folder_of_another_key_is_refused() {
    let fixture = Fixture::new();
    let (ada, eve) = (fixture.issue("ada"), fixture.issue("eve"));
    std::fs::copy(eve.path().join("key.pem"), ada.path().join("key.pem")).unwrap();
    let verdict = ada.verify(&fixture.trust, &fixture.locks, now()).map(drop);
    assert!(matches!(verdict, Err(IdentityError::Unacceptable(why)) if why.contains("key.pem")));
    assert_eq!(eve.shown(None).unwrap().identity.name(), "eve");
    assert!(eve.shown(Some(&"evil.example".parse().unwrap())).is_err());
    assert!(IdentityFolder::at(&fixture.dir).shown(None).unwrap_err().contains("--identity"));
    assert_eq!(fixture::DOMAIN, fixture.authority.trust_domain().as_str());
}
