//! The authority behind `sallyport ca`: one folder with the keys that make identities, and the record of what they made.
//!
//! It makes short-lived credentials and revokes them; the gateway needs only the public half of what is here, the two signing keys
//! that it uses itself, and the lists. It refuses to overwrite an authority, to issue for longer than [`TTL_MAX`], and to issue what
//! it could not write down first: a credential that is not in the record could not be revoked.

mod certificates;
mod init;
mod ledger;
mod starter;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ssh_key::certificate::CertType;
use ssh_key::{Algorithm, Certificate, HashAlg, LineEnding, PrivateKey};

pub use init::{Plan, init};
pub use starter::{Starter, starter_config, starter_policies};

use super::durable::{self, PRIVATE, Turn};
use super::folder::{self, GatewayFacts, IdentityFolder};
use super::revoked::Companions;
use super::{issue, ssh};
use crate::domain::{Device, Identity, ParseError, Timestamp, TrustDomain};
use ledger::{Entry, Ledger};

/// The longest life of an issued credential.
pub const TTL_MAX: Duration = Duration::from_secs(30 * 86_400);

/// The public half of the gateway's SSH host key.
const HOST_KEY: &str = "gateway/ssh_host_key.pub";

/// Mode of files that anybody may read; the folders above them are private all the same.
pub(in crate::identity) const PUBLIC: u32 = 0o644;

/// Why the authority did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// There is one already.
    #[error("{0} already holds an authority; choose another folder, or remove it if nothing relies on it")]
    Exists(PathBuf),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {what}")]
    Broken {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A name, a time or an address that cannot be used.
    #[error("{0}")]
    Asked(String),
    /// A key or certificate could not be made.
    #[error("the certificate could not be made: {0}")]
    Crypto(String),
    /// Nothing was ever issued to that name.
    #[error("nothing was ever issued to `{0}`")]
    Unknown(String),
}

impl From<rcgen::Error> for CaError {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

impl From<ssh_key::Error> for CaError {
    fn from(error: ssh_key::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

impl From<ParseError> for CaError {
    fn from(error: ParseError) -> Self {
        Self::Asked(error.to_string())
    }
}

/// What is true of the whole authority: `ca/authority.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facts {
    pub(super) trust_domain: TrustDomain,
    #[serde(flatten)]
    pub(super) gateway: GatewayFacts,
    /// Further names of the gateway's certificate.
    #[serde(default)]
    pub(super) dns: Vec<String>,
}

/// What to issue.
#[derive(Debug, Clone)]
pub struct IssueRequest {
    /// For whom.
    pub name: String,
    /// On which device.
    pub device: Option<String>,
    /// For how long from now.
    pub ttl: Duration,
    /// Principals of the SSH certificate besides the name.
    pub principals: Vec<String>,
    /// Addresses and networks from which the SSH certificate may be used; anywhere when empty.
    pub source_addresses: Vec<String>,
    /// A PKCS #10 request whose key is in hardware, attested by whoever issues; no X.509 key is made then.
    pub hardware_request: Option<String>,
}

impl IssueRequest {
    /// The ordinary case: `name`, for `ttl`.
    pub fn new(name: &str, ttl: Duration) -> Self {
        Self {
            name: name.to_owned(),
            device: None,
            ttl,
            principals: Vec::new(),
            source_addresses: Vec::new(),
            hardware_request: None,
        }
    }
}

/// What was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// For whom.
    pub identity: Identity,
    /// Where it was written.
    pub folder: PathBuf,
    /// The X.509 serial number, in hexadecimal.
    pub x509_serial: String,
    /// The SSH serial number.
    pub ssh_serial: u64,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// What was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub identity: Identity,
    /// X.509 serial numbers, in hexadecimal.
    pub x509_serials: Vec<String>,
    /// SSH serial numbers.
    pub ssh_serials: Vec<u64>,
}

/// An authority's folder, opened.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    facts: Facts,
}

impl Authority {
    /// Opens the authority in `dir`.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, CaError> {
        let path = dir.join("ca/authority.toml");
        let text = read(&path)?;
        let facts = toml::from_str(&text).map_err(|e| CaError::Broken { path, what: e.to_string() })?;
        Ok(Self { dir: dir.to_owned(), facts })
    }

    /// The trust domain it vouches for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.facts.trust_domain
    }

    /// How clients reach the gateway it belongs to.
    pub fn gateway(&self) -> &GatewayFacts {
        &self.facts.gateway
    }

    /// Tells credentials issued from now on where the gateway is, in place of what `ca init` knew.
    pub fn set_gateway(&mut self, facts: GatewayFacts) {
        self.facts.gateway = facts;
    }

    /// Issues X.509 and SSH credentials to one user, and writes the folder that person holds. What was there before is replaced.
    ///
    /// # Errors
    /// A name, time or address that cannot be used, or a file that cannot be written.
    pub fn issue(&self, request: &IssueRequest, now: Timestamp) -> Result<Issued, CaError> {
        let identity = Identity::new(self.facts.trust_domain.clone(), &request.name)?;
        let device =
            request.device.as_deref().map(|name| Device::new(self.facts.trust_domain.clone(), name)).transpose()?;
        if request.ttl > TTL_MAX {
            return Err(CaError::Asked(format!(
                "credentials are short-lived: at most {} days",
                TTL_MAX.as_secs() / 86_400
            )));
        }
        let _turn = self.turn()?;
        let x509 = self.user_certificate(&identity, device.as_ref(), request, now)?;
        let ssh = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
        let certificate = self.ssh_certificate(&identity, device.as_ref(), &ssh, request, now)?;
        // Certificates count whole seconds.
        let not_after = Timestamp::from_secs(now.as_secs()).plus(request.ttl);
        let ssh_serial = certificate.serial();

        // The record comes first: what is not in it could not be revoked.
        self.ledger().append(&Entry::Issued {
            at: now,
            identity: identity.clone(),
            device,
            x509_serial: x509.serial.clone(),
            ssh_serial: ssh_serial.to_string(),
            ssh_key: ssh.fingerprint(HashAlg::Sha256).to_string(),
            not_after,
        })?;
        self.register_companion(&identity, not_after, &ssh, now)?;
        let folder = self.dir.join("identities").join(identity.name());
        IdentityFolder::at(&folder)
            .write(&folder::Contents {
                certificate: &format!("{}{}", x509.pem, read(&self.path("ca/x509_ca.pem"))?),
                key: x509.key_pem.as_deref().map(String::as_str),
                authority: &read(&self.path("ca/x509_ca.pem"))?,
                ssh_key: &ssh.to_openssh(LineEnding::LF)?,
                ssh_public_key: &ssh.public_key().to_openssh()?,
                ssh_certificate: &certificate.to_openssh()?,
                host_authority: read(&self.path("ca/ssh_host_ca.pub"))?.trim(),
                host_key: read(&self.path(HOST_KEY))?.trim(),
                gateway: &self.facts.gateway,
            })
            .map_err(at(&folder))?;
        Ok(Issued { identity, folder, x509_serial: x509.serial, ssh_serial, not_after })
    }

    /// Revokes every credential of `name` that has not run out. Doing it again does no harm.
    ///
    /// # Errors
    /// Nothing was ever issued to that name, or a file cannot be read or written.
    pub fn revoke(&self, name: &str, now: Timestamp) -> Result<Revocation, CaError> {
        let identity = Identity::new(self.facts.trust_domain.clone(), name)?;
        let _turn = self.turn()?;
        let revocation =
            self.ledger().read()?.unexpired(&identity, now).ok_or_else(|| CaError::Unknown(name.to_owned()))?;
        self.write_crl(&revocation.x509_serials, now)?;
        self.write_ssh_revoked(&revocation, now)?;
        self.drop_companions(&identity, now)?;
        self.ledger().append(&Entry::Revoked {
            at: now,
            identity,
            x509_serials: revocation.x509_serials.clone(),
            ssh_serials: revocation.ssh_serials.iter().map(u64::to_string).collect(),
        })?;
        Ok(revocation)
    }

    /// Signs the revocation list again, so that it does not run out. Until when it is good.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn refresh_crl(&self, now: Timestamp) -> Result<Timestamp, CaError> {
        let _turn = self.turn()?;
        self.write_crl(&[], now)
    }

    /// Makes the gateway's certificate for the mTLS door anew, with a new key. Until when it is valid.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn renew_server(&self, now: Timestamp) -> Result<Timestamp, CaError> {
        let _turn = self.turn()?;
        self.write_server(now)
    }

    /// Makes the gateway's SSH host key, unless there is one: clients that know no host authority remember it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn ensure_host_key(&self) -> Result<(), CaError> {
        let path = self.path("gateway/ssh_host_key");
        if path.exists() {
            return Ok(());
        }
        let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
        key.set_comment(format!("host key of {}", self.facts.gateway.domain));
        let public = self.path(HOST_KEY);
        durable::replace(&public, format!("{}\n", key.public_key().to_openssh()?).as_bytes(), PUBLIC)
            .map_err(at(&public))?;
        durable::replace(&path, key.to_openssh(LineEnding::LF)?.as_bytes(), PRIVATE).map_err(at(&path))
    }

    fn ssh_certificate(
        &self,
        identity: &Identity,
        device: Option<&Device>,
        key: &PrivateKey,
        request: &IssueRequest,
        now: Timestamp,
    ) -> Result<Certificate, CaError> {
        let mut builder = issue::builder(key.public_key().key_data(), now, request.ttl)?;
        builder.cert_type(CertType::User)?.key_id(identity.to_string())?.valid_principal(identity.name())?;
        for principal in &request.principals {
            if principal.is_empty() || principal.contains([',', ' ', '\n']) {
                return Err(CaError::Asked(format!("`{}` cannot be a principal", principal.escape_debug())));
            }
            builder.valid_principal(principal)?;
        }
        for permit in ["permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty"] {
            builder.extension(permit, "")?;
        }
        if let Some(device) = device {
            builder.extension(ssh::DEVICE_EXTENSION, device.to_string())?;
        }
        if let Some(bad) = request.source_addresses.iter().find(|text| ssh::network(text).is_none()) {
            return Err(CaError::Asked(format!(
                "`{}` is not an address or a network such as 192.0.2.0/24",
                bad.escape_debug()
            )));
        }
        if !request.source_addresses.is_empty() {
            builder.critical_option("source-address", request.source_addresses.join(","))?;
        }
        let path = self.path("ca/ssh_user_ca");
        let signer =
            PrivateKey::from_openssh(read(&path)?).map_err(|e| CaError::Broken { path, what: e.to_string() })?;
        Ok(builder.sign(&signer)?)
    }

    fn register_companion(
        &self,
        identity: &Identity,
        until: Timestamp,
        key: &PrivateKey,
        now: Timestamp,
    ) -> Result<(), CaError> {
        let path = self.path("ca/ssh_identities");
        let mut lines = self.companions_but(None, now)?;
        lines.push(Companions::line(identity, until, key.public_key())?);
        durable::replace(&path, joined(&lines).as_bytes(), PUBLIC).map_err(at(&path))
    }

    fn drop_companions(&self, of: &Identity, now: Timestamp) -> Result<(), CaError> {
        let path = self.path("ca/ssh_identities");
        durable::replace(&path, joined(&self.companions_but(Some(of), now)?).as_bytes(), PUBLIC).map_err(at(&path))
    }

    /// The lines that have not run out, but for those of one identity.
    fn companions_but(&self, without: Option<&Identity>, now: Timestamp) -> Result<Vec<String>, CaError> {
        let path = self.path("ca/ssh_identities");
        let text = read(&path)?;
        let stays = |line: &str| {
            super::revoked::companion(line).is_none_or(|(identity, until, _)| until > now && Some(&identity) != without)
        };
        Ok(text.lines().filter(|line| stays(line)).map(str::to_owned).collect())
    }

    fn write_ssh_revoked(&self, revocation: &Revocation, now: Timestamp) -> Result<(), CaError> {
        let path = self.path("ca/ssh_revoked");
        let mut lines: Vec<String> = read(&path)?.lines().map(str::to_owned).collect();
        for serial in &revocation.ssh_serials {
            let line = format!("serial {serial}");
            if !lines.contains(&line) {
                lines.push(format!("# {} at {now}", revocation.identity));
                lines.push(line);
            }
        }
        durable::replace(&path, joined(&lines).as_bytes(), PUBLIC).map_err(at(&path))
    }

    fn ledger(&self) -> Ledger {
        Ledger::at(self.path("ca/issued.jsonl"))
    }

    fn turn(&self) -> Result<Turn, CaError> {
        let path = self.path("ca/authority.toml");
        Turn::wait(&path).map_err(at(&path))
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.join(relative)
    }
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn read(path: &Path) -> Result<String, CaError> {
    std::fs::read_to_string(path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CaError {
    let path = path.to_owned();
    move |source| CaError::Io { path, source }
}
