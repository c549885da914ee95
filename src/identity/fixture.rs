//! A throw-away authority for tests, and identities without one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ca::{self, Authority, IssueRequest, Plan};
use super::folder::IdentityFolder;
use super::{Evidence, Locks, TrustStore, Verified, trust};
use crate::domain::{Assurance, Device, Door, Identity, Timestamp, TrustDomain};

/// The trust domain of every fixture.
pub(crate) const DOMAIN: &str = "carrier.example";

/// The gateway's domain of every fixture.
pub(crate) const GATEWAY: &str = "sallyport.example";

/// The moment at which fixtures are made. Handshakes read the real clock, so it is that of the test's start.
pub(crate) fn now() -> Timestamp {
    use std::sync::OnceLock;
    static NOW: OnceLock<Timestamp> = OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "rustls reads the real clock in a handshake, so fixtures must be of today"
    )]
    *NOW.get_or_init(|| Timestamp::from_secs(time::OffsetDateTime::now_utc().unix_timestamp()))
}

/// An identity that nobody verified, for tests of what comes after.
pub(crate) fn someone(name: &str, device: Option<&str>, assurance: Assurance, door: Door) -> Verified {
    let domain: TrustDomain = DOMAIN.parse().unwrap();
    Verified {
        identity: Identity::new(domain.clone(), name).unwrap(),
        device: device.map(|name| Device::new(domain, name).unwrap()),
        assurance,
        door,
        peer: peer(),
        credential: "x509:00".to_owned(),
        fingerprint: [0; 32],
        not_after: Timestamp::from_nanos(i64::MAX),
        evidence: Evidence::X509(Arc::from([])),
    }
}

/// Where clients of fixtures come from.
pub(crate) fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 50_000))
}

/// An authority in a folder that goes away, with what the gateway needs of it.
pub(crate) struct Fixture {
    _folder: tempfile::TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) authority: Authority,
    pub(crate) trust: Arc<TrustStore>,
    pub(crate) locks: Arc<Locks>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("authority");
        let authority = ca::init(&Plan::new(&dir, DOMAIN.parse().unwrap(), GATEWAY), now()).unwrap();
        let trust = Arc::new(TrustStore::open(config(&dir)).unwrap());
        let locks = Arc::new(Locks::open(&dir.join("data/locks.json")).unwrap());
        Self { _folder: folder, dir, authority, trust, locks }
    }

    /// Issues to `name` for an hour, and its folder.
    pub(crate) fn issue(&self, name: &str) -> IdentityFolder {
        let issued = self.authority.issue(&IssueRequest::new(name, Duration::from_secs(3_600)), now()).unwrap();
        self.trust.reload(now()).unwrap();
        IdentityFolder::at(&issued.folder)
    }

    /// Issues to `name` and verifies it as on the gateway's own command line.
    pub(crate) fn verified(&self, name: &str) -> Verified {
        self.issue(name).verify(&self.trust, &self.locks, now()).unwrap()
    }
}

/// The trust files of an authority's folder.
pub(crate) fn config(dir: &std::path::Path) -> trust::Config {
    trust::Config {
        trust_domain: DOMAIN.parse().unwrap(),
        domain: GATEWAY.to_owned(),
        client_ca_file: dir.join("ca/x509_ca.pem"),
        crl_file: dir.join("ca/crl.pem"),
        server_certificate_file: dir.join("gateway/server.pem"),
        server_key_file: dir.join("gateway/server.key.pem"),
        ssh_user_ca_file: dir.join("ca/ssh_user_ca.pub"),
        ssh_revoked_file: dir.join("ca/ssh_revoked"),
        ssh_identities_file: Some(dir.join("ca/ssh_identities")),
        ssh_host_ca_key_file: dir.join("ca/ssh_host_ca"),
        ssh_host_key_file: dir.join("gateway/ssh_host_key"),
        ssh_element_ca_key_file: dir.join("ca/ssh_element_ca"),
        x509_element_ca: Some(trust::ElementCaFiles {
            certificate: dir.join("ca/x509_element_ca.pem"),
            key: dir.join("ca/x509_element_ca.key.pem"),
        }),
    }
}
