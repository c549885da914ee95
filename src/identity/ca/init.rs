//! A new authority: keys, lists, the gateway's own certificate, a configuration and policies to start from.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rand::Rng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::starter::{Starter, starter_config, starter_policies};
use super::{Authority, CaError, Facts, PRIVATE, PUBLIC, at, certificates};
use crate::audit::Signer;
use crate::domain::{ElementName, Timestamp, TrustDomain};
use crate::identity::durable;
use crate::identity::folder::GatewayFacts;

/// What to make.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where.
    pub dir: PathBuf,
    /// Whose identities it vouches for.
    pub trust_domain: TrustDomain,
    /// The gateway's domain name; elements are `<element>.<domain>`.
    pub domain: String,
    /// The gateway's name in its logs.
    pub name: String,
    /// Where the mTLS door listens.
    pub listen_mtls: SocketAddr,
    /// Where the SSH door listens; off when absent.
    pub listen_ssh: Option<SocketAddr>,
    /// Where the metrics are.
    pub listen_metrics: SocketAddr,
    /// Where clients find the mTLS door; by default where it listens, or the domain when it listens everywhere.
    pub gateway: Option<String>,
    /// Further names and addresses of the gateway's certificate.
    pub dns: Vec<String>,
}

impl Plan {
    /// The ordinary case: everything on loopback, only the mTLS door.
    pub fn new(dir: &Path, trust_domain: TrustDomain, domain: &str) -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            dir: dir.to_owned(),
            trust_domain,
            domain: domain.to_owned(),
            name: "gw-1".to_owned(),
            listen_mtls: loopback(8443),
            listen_ssh: None,
            listen_metrics: loopback(9464),
            gateway: None,
            dns: Vec::new(),
        }
    }
}

/// Makes an authority. Every file is new: nothing is ever overwritten.
///
/// # Errors
/// There is one already, a name that cannot be used, or a file that cannot be written.
pub fn init(plan: &Plan, now: Timestamp) -> Result<Authority, CaError> {
    if plan.domain.parse::<ElementName>().is_err() {
        return Err(CaError::Asked(format!(
            "`{}` is not a domain name in lower case; give one with --domain",
            plan.domain.escape_debug()
        )));
    }
    if plan.name.is_empty() || !plan.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    {
        return Err(CaError::Asked(format!(
            "`{}` is not a name for a gateway; use letters, digits, '.', '-' and '_'",
            plan.name.escape_debug()
        )));
    }
    let dir = &plan.dir;
    if let Some(taken) = ["sallyport.toml", "ca", "gateway", "identities", "data", "policies"]
        .iter()
        .find(|name| dir.join(name).exists())
    {
        return Err(CaError::Exists(dir.join(taken)));
    }
    for folder in ["ca", "gateway", "identities", "policies", "data/audit", "data/recordings", "data/secrets"] {
        durable::folder(&dir.join(folder)).map_err(at(&dir.join(folder)))?;
    }
    let put = |relative: &str, content: &str, mode: u32| {
        let path = dir.join(relative);
        durable::replace(&path, content.as_bytes(), mode).map_err(at(&path))
    };
    let (authority, key) = certificates::authority(&plan.trust_domain, now)?;
    put("ca/x509_ca.pem", &authority, PUBLIC)?;
    put("ca/x509_ca.key.pem", &key, PRIVATE)?;
    let (authority, key) = certificates::element_authority(&plan.trust_domain, now)?;
    put("ca/x509_element_ca.pem", &authority, PUBLIC)?;
    put("ca/x509_element_ca.key.pem", &key, PRIVATE)?;
    for (name, what) in [("ssh_user_ca", "user"), ("ssh_host_ca", "host"), ("ssh_element_ca", "element")] {
        let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
        key.set_comment(format!("sallyport {what} authority of {}", plan.trust_domain));
        put(&format!("ca/{name}"), &key.to_openssh(LineEnding::LF)?, PRIVATE)?;
        put(&format!("ca/{name}.pub"), &format!("{}\n", key.public_key().to_openssh()?), PUBLIC)?;
    }
    put("ca/ssh_revoked", "# serial NUMBER, id KEY-ID or sha256:HASH, one a line\n", PUBLIC)?;
    put("ca/ssh_identities", "# identity, end of validity, SSH public key\n", PUBLIC)?;
    put("ca/issued.jsonl", "", PRIVATE)?;
    gateway_keys(dir, &put)?;

    let facts = Facts { trust_domain: plan.trust_domain.clone(), gateway: reached(plan), dns: plan.dns.clone() };
    put("ca/authority.toml", &toml::to_string(&facts).map_err(|e| CaError::Crypto(e.to_string()))?, PUBLIC)?;
    let made = Authority { dir: dir.clone(), facts };
    made.ensure_host_key()?;
    made.write_crl(&[], now)?;
    made.write_server(now)?;
    for (relative, content) in starter_policies() {
        let path = dir.join("policies").join(relative);
        if let Some(folder) = path.parent() {
            durable::folder(folder).map_err(at(folder))?;
        }
        durable::replace(&path, content.as_bytes(), PUBLIC).map_err(at(&path))?;
    }
    put("sallyport.toml", &configuration(plan), PUBLIC)?;
    Ok(made)
}

fn gateway_keys(dir: &Path, put: &impl Fn(&str, &str, u32) -> Result<(), CaError>) -> Result<(), CaError> {
    let signing = dir.join("gateway/signing.key.pem");
    let signer =
        Signer::open_or_create(&signing).map_err(|e| CaError::Broken { path: signing, what: e.to_string() })?;
    put("gateway/signing.pub.pem", &signer.public().to_pem(), PUBLIC)?;
    let mut secret = Zeroizing::new([0u8; 32]);
    rand::rng().fill_bytes(secret.as_mut());
    put(
        "gateway/secrets.key",
        &Zeroizing::new(format!("{}\n", data_encoding::HEXLOWER.encode(secret.as_ref()))),
        PRIVATE,
    )
}

fn reached(plan: &Plan) -> GatewayFacts {
    let reach = |listen: SocketAddr| {
        if listen.ip().is_unspecified() { format!("{}:{}", plan.domain, listen.port()) } else { listen.to_string() }
    };
    GatewayFacts {
        domain: plan.domain.clone(),
        gateway: plan.gateway.clone().unwrap_or_else(|| reach(plan.listen_mtls)),
        ssh_gateway: plan.listen_ssh.map(reach),
    }
}

fn configuration(plan: &Plan) -> String {
    starter_config(&Starter {
        name: &plan.name,
        domain: &plan.domain,
        trust_domain: &plan.trust_domain,
        listen_mtls: plan.listen_mtls,
        listen_ssh: plan.listen_ssh,
        listen_metrics: plan.listen_metrics,
    })
}
