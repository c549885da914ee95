//! What the gateway issues itself: logins on elements and host certificates.

use std::sync::Arc;
use std::time::Duration;

use ssh_key::certificate::CertType;
use ssh_key::{Certificate, HashAlg, PrivateKey};

use crate::domain::{Account, ElementName};
use crate::identity::fixture::{Fixture, now};
use crate::identity::{IdentityError, issue, ssh};

fn public(fixture: &Fixture, name: &str) -> ssh_key::Fingerprint {
    PrivateKey::read_openssh_file(&fixture.dir.join("ca").join(name)).unwrap().fingerprint(HashAlg::Sha256)
}

fn seconds(offset: i64) -> u64 {
    u64::try_from(now().as_secs() + offset).unwrap()
}

fn signed_by(certificate: &Certificate, authority: &ssh_key::Fingerprint) -> bool {
    certificate.validate_at(seconds(0), [authority]).is_ok()
}

#[test]
fn a_login_names_the_person_and_the_session() {
    let fixture = Fixture::new();
    let ada = fixture.verified("ada");
    let account: Account = "netops".parse().unwrap();
    let mint = || {
        issue::element_certificate(&fixture.trust.current(), &ada, &account, "s-1", now(), Duration::from_secs(120))
            .unwrap()
    };
    let (first, second) = (mint(), mint());
    let certificate = &first.certificate;
    assert_eq!(certificate.key_id(), "spiffe://carrier.example/user/ada#s-1");
    assert_eq!((certificate.cert_type(), certificate.valid_principals()), (CertType::User, &["netops".to_owned()][..]));
    assert_eq!((certificate.valid_after(), certificate.valid_before()), (seconds(-60), seconds(120)));
    assert!(certificate.critical_options().is_empty());
    assert!(signed_by(certificate, &public(&fixture, "ssh_element_ca")));
    assert!(!signed_by(certificate, &public(&fixture, "ssh_user_ca")));
    assert_eq!(first.key.public_key().key_data(), certificate.public_key());
    assert_ne!(certificate.serial(), second.certificate.serial());
    assert_ne!(certificate.public_key(), second.certificate.public_key(), "a key is used once");
    let back = ssh::verify_certificate(certificate, ada.peer(), &fixture.trust, &fixture.locks, now()).map(drop);
    assert!(matches!(back, Err(IdentityError::Unacceptable(_))), "an element cannot use it to come back in: {back:?}");
}

#[test]
fn host_certificates_are_per_element_kept_and_renewed() {
    let fixture = Fixture::new();
    let trust = fixture.trust.current();
    let get = |name: &str, hours: u64| {
        let element: ElementName = name.parse().unwrap();
        issue::host_certificate(&trust, &element, "sallyport.example", now().plus(Duration::from_secs(hours * 3_600)))
            .unwrap()
    };
    let first = get("core-rtr-1", 0);
    assert_eq!(first.certificate.cert_type(), CertType::Host);
    assert_eq!(first.certificate.valid_principals(), ["core-rtr-1", "core-rtr-1.sallyport.example"]);
    assert!(signed_by(&first.certificate, &public(&fixture, "ssh_host_ca")));
    assert!(Arc::ptr_eq(&first, &get("core-rtr-1", 0)) && Arc::ptr_eq(&first, &get("core-rtr-1", 11)), "kept");
    assert!(!Arc::ptr_eq(&first, &get("core-rtr-1", 12)), "renewed when half is used");
    let other = get("core-rtr-2", 0);
    assert_eq!(other.certificate.valid_principals(), ["core-rtr-2", "core-rtr-2.sallyport.example"]);
    assert_eq!(
        get("gateway", 0).certificate.valid_principals(),
        ["gateway", "gateway.sallyport.example", "sallyport.example"]
    );
    fixture.trust.reload(now()).unwrap();
    let after =
        issue::host_certificate(&fixture.trust.current(), &"core-rtr-1".parse().unwrap(), "sallyport.example", now())
            .unwrap();
    assert_eq!(after.key.public_key(), first.key.public_key(), "the host key outlives a reload");
}
