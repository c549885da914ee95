//! The authority's folder: what it makes, what it refuses, what it remembers.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use ssh_key::{Certificate, PrivateKey};

use crate::identity::ca::{self, Authority, CaError, IssueRequest, Plan};
use crate::identity::fixture::{self, Fixture, now};
use crate::identity::folder::IdentityFolder;
use crate::identity::{IdentityError, TrustStore, issue};

fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path.clone());
            }
            found.insert(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn a_new_authority_is_complete_private_and_loadable() {
    let fixture = Fixture::new();
    fixture.issue("ada");
    let made = files(&fixture.dir);
    for name in [
        "sallyport.toml",
        "policies",
        "ca/x509_ca.pem",
        "ca/x509_ca.key.pem",
        "ca/crl.pem",
        "ca/ssh_user_ca",
        "ca/ssh_user_ca.pub",
        "ca/ssh_host_ca",
        "ca/ssh_host_ca.pub",
        "ca/ssh_element_ca",
        "ca/ssh_element_ca.pub",
        "ca/ssh_revoked",
        "ca/issued.jsonl",
        "gateway/server.pem",
        "gateway/server.key.pem",
        "gateway/signing.key.pem",
        "gateway/signing.pub.pem",
        "gateway/secrets.key",
        "gateway/ssh_host_key",
        "gateway/ssh_host_key.pub",
        "data/audit",
        "data/recordings",
        "data/secrets",
        "identities/ada/cert.pem",
        "identities/ada/key.pem",
        "identities/ada/ssh_key",
        "identities/ada/ssh_key-cert.pub",
        "identities/ada/known_hosts",
    ] {
        assert!(made.contains(name), "{name}");
    }
    for name in &made {
        let path = fixture.dir.join(name);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let secret = std::fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("PRIVATE KEY"))
            || name.ends_with("secrets.key");
        match path.is_dir() {
            true => assert_eq!(mode, 0o700, "{name}"),
            false if secret => assert_eq!(mode, 0o600, "{name}"),
            false => assert_eq!(mode & 0o022, 0, "{name}"),
        }
    }
    let config: toml::Table = std::fs::read_to_string(fixture.dir.join("sallyport.toml")).unwrap().parse().unwrap();
    assert_eq!(config["trust"]["trust_domain"].as_str(), Some(fixture::DOMAIN));
    for (key, file) in config["trust"].as_table().unwrap().iter().filter(|(key, _)| key.ends_with("_file")) {
        assert!(fixture.dir.join(file.as_str().unwrap()).exists(), "{key}");
    }
    assert!(config["doors"].get("ssh").is_none(), "off unless asked for");
}

#[test]
fn nothing_is_overwritten() {
    let fixture = Fixture::new();
    let before = std::fs::read(fixture.dir.join("ca/x509_ca.pem")).unwrap();
    let again = ca::init(&Plan::new(&fixture.dir, fixture::DOMAIN.parse().unwrap(), fixture::GATEWAY), now());
    assert!(matches!(again, Err(CaError::Exists(_))));
    assert_eq!(std::fs::read(fixture.dir.join("ca/x509_ca.pem")).unwrap(), before);
    let folder = tempfile::tempdir().unwrap();
    for (domain, name) in [
        ("", "gw"),
        ("A.example", "gw"),
        ("a b", "gw"),
        ("a\"\nx", "gw"),
        ("a.example", ""),
        ("a.example", "g\"w"),
        ("-a", "gw"),
    ] {
        let mut plan = Plan::new(&folder.path().join("new"), fixture::DOMAIN.parse().unwrap(), domain);
        plan.name = name.to_owned();
        assert!(matches!(ca::init(&plan, now()), Err(CaError::Asked(_))), "{domain:?} {name:?}");
    }
    assert!(files(folder.path()).is_empty(), "and nothing is begun");
    assert!(matches!(Authority::open(folder.path()), Err(CaError::Io { .. })));
}

#[test]
fn what_cannot_be_issued_is_refused_before_anything_is_written() {
    let fixture = Fixture::new();
    let hour = Duration::from_secs(3_600);
    let before = files(&fixture.dir);
    let change = |change: fn(&mut IssueRequest)| {
        let mut request = IssueRequest::new("ada", hour);
        change(&mut request);
        request
    };
    let rows = [
        IssueRequest::new("", hour),
        IssueRequest::new("../ada", hour),
        IssueRequest::new("..", hour),
        IssueRequest::new("Ada", hour),
        IssueRequest::new("a/b", hour),
        IssueRequest::new("ada", ca::TTL_MAX + Duration::from_secs(1)),
        change(|r| r.device = Some("Lap top".to_owned())),
        change(|r| r.principals = vec!["a,b".to_owned()]),
        change(|r| r.principals = vec![String::new()]),
        change(|r| r.source_addresses = vec!["192.0.2.7/24".to_owned()]),
        change(|r| r.source_addresses = vec!["here".to_owned()]),
        change(|r| r.hardware_request = Some("not a request".to_owned())),
    ];
    for request in rows {
        assert!(matches!(fixture.authority.issue(&request, now()), Err(CaError::Asked(_))), "{request:?}");
    }
    let left: Vec<_> =
        files(&fixture.dir).difference(&before).filter(|name| !name.contains(".lock")).cloned().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_issued_folder_says_what_was_asked_for() {
    let fixture = Fixture::new();
    let mut request = IssueRequest::new("ada", Duration::from_secs(8 * 3_600));
    request.device = Some("laptop-7".to_owned());
    request.principals = vec!["netops".to_owned()];
    request.source_addresses = vec!["192.0.2.0/24".to_owned(), "2001:db8::1".to_owned()];
    let issued = fixture.authority.issue(&request, now()).unwrap();
    let folder = IdentityFolder::at(&issued.folder);
    let shown = folder.shown(None).unwrap();
    assert_eq!(
        (shown.identity.name(), shown.device.unwrap().name().to_owned(), shown.serial),
        ("ada", "laptop-7".to_owned(), issued.x509_serial)
    );
    let certificate = Certificate::read_file(&issued.folder.join("ssh_key-cert.pub")).unwrap();
    let key = PrivateKey::read_openssh_file(&issued.folder.join("ssh_key")).unwrap();
    assert_eq!(certificate.public_key(), key.public_key().key_data());
    assert_eq!(certificate.valid_principals(), ["ada", "netops"]);
    assert_eq!(certificate.critical_options().get("source-address").unwrap(), "192.0.2.0/24,2001:db8::1");
    assert_eq!(certificate.serial(), issued.ssh_serial);
    let end = u64::try_from(now().as_secs()).unwrap() + 8 * 3_600;
    assert_eq!(certificate.valid_before(), end);
    assert_eq!(folder.gateway().unwrap().gateway, "127.0.0.1:8443");
    let known = std::fs::read_to_string(issued.folder.join("known_hosts")).unwrap();
    let key = std::fs::read_to_string(fixture.dir.join("gateway/ssh_host_key.pub")).unwrap();
    let key = key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    assert!(known.starts_with("@cert-authority * ssh-ed25519 ") && known.lines().count() == 2, "{known}");
    assert_eq!(known.lines().nth(1), Some(format!("* {key}").as_str()), "for clients that know no host authority");
    assert_eq!(folder.host_key().unwrap(), key);
}

#[test]
fn revoking_reaches_every_credential_that_is_left() {
    let fixture = Fixture::new();
    let first = fixture.verified("ada");
    let second = fixture.verified("ada");
    let eve = fixture.verified("eve");
    let revocation = fixture.authority.revoke("ada", now()).unwrap();
    assert_eq!((revocation.x509_serials.len(), revocation.ssh_serials.len()), (2, 2));
    assert_eq!(fixture.authority.revoke("ada", now()).unwrap(), revocation, "again does no harm");
    fixture.trust.reload(now()).unwrap();
    let trust = fixture.trust.current();
    assert_eq!(trust.still_admits(&first, now()), Err(IdentityError::Revoked));
    assert_eq!(trust.still_admits(&second, now()), Err(IdentityError::Revoked));
    assert_eq!(trust.still_admits(&eve, now()), Ok(()));
    assert!(matches!(fixture.authority.revoke("nobody", now()), Err(CaError::Unknown(_))));
    assert!(matches!(fixture.authority.revoke("../x", now()), Err(CaError::Asked(_))));
}

#[test]
fn a_revocation_stays_on_the_list_until_the_certificate_has_run_out() {
    let fixture = Fixture::new();
    fixture.issue("ada");
    fixture.authority.revoke("ada", now()).unwrap();
    let listed = || {
        let text = std::fs::read_to_string(fixture.dir.join("ca/crl.pem")).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap();
        let (_, list) = x509_parser::parse_x509_crl(&pem.contents).unwrap();
        (list.iter_revoked_certificates().count(), list.crl_number().unwrap().to_bytes_be())
    };
    assert_eq!(listed(), (1, vec![2]));
    fixture.authority.refresh_crl(now().plus(Duration::from_secs(3_600))).unwrap();
    assert_eq!(listed(), (1, vec![3]), "kept for a day more");
    fixture.authority.refresh_crl(now().plus(Duration::from_secs(2 * 86_400))).unwrap();
    assert_eq!(listed(), (0, vec![4]));
}

#[test]
fn every_problem_is_reported_with_its_file() {
    let fixture = Fixture::new();
    let mut config = fixture::config(&fixture.dir);
    config.client_ca_file = fixture.dir.join("absent");
    config.server_key_file = fixture.dir.join("ca/x509_ca.key.pem");
    config.ssh_host_ca_key_file = fixture.dir.join("ca/ssh_host_ca.pub");
    config.ssh_host_key_file = fixture.dir.join("gateway/ssh_host_key.pub");
    std::fs::write(fixture.dir.join("ca/ssh_user_ca.pub"), "# empty\n").unwrap();
    std::fs::write(fixture.dir.join("ca/ssh_revoked"), "x\n").unwrap();
    let problems = TrustStore::open(config).unwrap_err();
    for file in
        ["absent", "x509_ca.key.pem", "ssh_host_ca.pub", "ssh_host_key.pub", "ssh_user_ca.pub", "ssh_revoked: line 1"]
    {
        assert!(problems.iter().any(|p| p.contains(file)), "{file}: {problems:?}");
    }
    assert_eq!(problems.len(), 6, "{problems:?}");
}

#[test]
fn the_host_key_is_the_same_after_a_restart_and_never_an_authority() {
    let fixture = Fixture::new();
    let element = "core-rtr-1".parse().unwrap();
    let shown = |trust: &TrustStore| {
        let minted = issue::host_certificate(&trust.current(), &element, fixture::GATEWAY, now()).unwrap();
        minted.key.public_key().key_data().clone()
    };
    let again = TrustStore::open(fixture::config(&fixture.dir)).unwrap();
    assert_eq!(shown(&fixture.trust), shown(&again));
    // A change of the key is taken up like a change of any other file.
    let key = PrivateKey::random(&mut rand::rng(), ssh_key::Algorithm::Ed25519).unwrap();
    std::fs::write(fixture.dir.join("gateway/ssh_host_key"), key.to_openssh(ssh_key::LineEnding::LF).unwrap()).unwrap();
    assert_eq!(again.reload(now()), Ok(true));
    assert_eq!(&shown(&again), key.public_key().key_data());
    for authority in ["ssh_host_ca", "ssh_element_ca", "ssh_user_ca"] {
        let mut config = fixture::config(&fixture.dir);
        config.ssh_host_key_file = fixture.dir.join("ca").join(authority);
        let problems = TrustStore::open(config).unwrap_err();
        assert!(problems.iter().any(|p| p.contains("each purpose needs its own")), "{authority}: {problems:?}");
    }
}
