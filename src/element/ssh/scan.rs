//! Looks at the host keys an element shows, without logging in and without trusting any: a person compares and pins.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{Config as ClientConfig, Handler, connect_stream};
use russh::keys::{Algorithm, Certificate, PublicKey, PublicKeyOrCertificate};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{algorithms, dial, wire::Wire};
use crate::element::OwnDoors;
use crate::element::inventory::Address;

/// What one address showed.
#[derive(Debug)]
pub struct Scanned {
    /// The address.
    pub address: Address,
    /// Its host keys, each algorithm family once.
    pub keys: Vec<PublicKey>,
    /// Its host certificates.
    pub certificates: Vec<Certificate>,
    /// Why it showed nothing, when it did not.
    pub error: Option<String>,
}

/// Connects to `address` once per host key family, for bare keys and for certificates, and gives what was shown.
pub async fn scan(address: &Address, own: &OwnDoors, connect_timeout: Duration) -> Scanned {
    let mut scanned = Scanned { address: address.clone(), keys: Vec::new(), certificates: Vec::new(), error: None };
    for family in algorithms::families() {
        for certificates in [false, true] {
            match timeout(connect_timeout, look(address, own, family.clone(), certificates)).await {
                Ok(Ok(PublicKeyOrCertificate::PublicKey { key, .. })) if !scanned.keys.contains(&key) => {
                    scanned.keys.push(key)
                }
                Ok(Ok(PublicKeyOrCertificate::Certificate(certificate))) => scanned.certificates.push(certificate),
                Ok(Ok(_)) => {}
                Ok(Err(Looked::Ssh(russh::Error::NoCommonAlgo { .. }))) => {}
                Ok(Err(error)) => scanned.error = Some(error.to_string()),
                Err(_) => {
                    scanned.error = Some(format!("no answer within {connect_timeout:?}"));
                    return scanned;
                }
            }
        }
    }
    if !scanned.keys.is_empty() {
        scanned.error = None;
    }
    scanned
}

async fn look(
    address: &Address,
    own: &OwnDoors,
    family: Vec<Algorithm>,
    certificates: bool,
) -> Result<PublicKeyOrCertificate, Looked> {
    let stream = dial::tcp(address, own).await.map_err(|error| Looked::Unreachable(error.to_string()))?;
    let (keys, certified) = if certificates { (Vec::new(), family) } else { (family, Vec::new()) };
    let config = ClientConfig { preferred: algorithms::everything(keys, certified), ..ClientConfig::default() };
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    match connect_stream(Arc::new(config), Wire::new(stream, stop), Looker).await {
        Err(Looked::Shown(shown)) => Ok(*shown),
        Err(error) => Err(error),
        Ok(_) => Err(Looked::Unreachable("it showed no host key".to_owned())),
    }
}

/// Ends every connection at the host key.
struct Looker;

#[derive(Debug, thiserror::Error)]
enum Looked {
    #[error("a host key was shown")]
    Shown(Box<PublicKeyOrCertificate>),
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    #[error("{0}")]
    Unreachable(String),
}

impl Handler for Looker {
    type Error = Looked;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Looked> {
        let shown = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.clone().into(),
            PublicKeyOrCertificate::Certificate(certificate) => certificate.clone().into(),
        };
        Err(Looked::Shown(Box::new(shown)))
    }
}
