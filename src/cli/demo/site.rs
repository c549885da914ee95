//! The folder of a demo: what is made once, what is made again at each start, and what is left alone.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ssh_key::{Algorithm, LineEnding, PrivateKey, PublicKey};

use super::inventory::{Place, with_places};
use super::{Exit, Failure, requests};
use crate::access::Addresses;
use crate::domain::Timestamp;
use crate::identity::ca::{self, Authority, IssueRequest, Plan, Starter};
use crate::identity::folder::{GatewayFacts, IdentityFolder};
use crate::identity::ssh_config;
use crate::lab::RunningRouter;

const TRUST_DOMAIN: &str = "carrier.example";
pub(super) const DOMAIN: &str = "sallyport.example";
const GATEWAY: &str = "gw-demo";
/// Everybody in the demo; `policy.csv` gives them their roles, but `outsider`.
const IDENTITIES: [&str; 6] = ["noc-engineer", "senior-engineer", "security-editor", "auditor", "vendor", "outsider"];
const TTL: Duration = Duration::from_secs(7 * 86_400);
/// Says that a demo made the folder; it is empty until making it was finished. The number is that of what is in the folder: what an earlier
/// version made is made anew.
const MARKER: &str = ".made-by-sallyport-demo";
const FINISHED: &str = "made by sallyport demo (3); safe to delete as a whole\n";
/// What a demo makes, and what it clears when it was interrupted while making it.
const MADE: [&str; 8] = ["sallyport.toml", "ca", "gateway", "identities", "policies", "data", "lab", "requests"];

/// What a router shows to those who speak TLS with it.
#[derive(Debug)]
pub(super) struct RouterTls {
    /// Its certificate, in PEM.
    pub(super) certificate: String,
    /// The key of that, in PEM.
    pub(super) key: String,
    /// The fingerprint, for the inventory.
    pub(super) pin: String,
}

/// A prepared folder.
#[derive(Debug)]
pub(super) struct Site {
    dir: PathBuf,
    authority: Authority,
    /// Held locked while the demo runs: two in one folder would move each other's elements.
    _marker: fs::File,
}

impl Site {
    /// Makes everything in `dir`, or takes what an earlier demo made there.
    ///
    /// # Errors
    /// The folder holds something else, or cannot be written.
    pub(super) fn prepare(dir: &Path, now: Timestamp) -> Result<Self, Failure> {
        let dir = std::path::absolute(dir).map_err(|e| Failure::usage(format!("{}: {e}", dir.display())))?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(at(&dir))?;
        let path = dir.join(MARKER);
        if !path.exists() && fs::read_dir(&dir).map_err(at(&dir))?.next().is_some() {
            return Err(Failure::usage(format!(
                "{} is not empty and was not made by a demo; give another folder with --dir",
                dir.display()
            )));
        }
        let open = fs::OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut marker = open.map_err(at(&path))?;
        if marker.try_lock().is_err() {
            return Err(Failure::usage(format!(
                "a demo already runs in {}; give another folder with --dir",
                dir.display()
            )));
        }
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        if text == FINISHED {
            let authority = Authority::open(&dir).map_err(failed)?;
            // Both run out, and a demo may be started weeks later.
            authority.refresh_crl(now).map_err(failed)?;
            authority.renew_server(now).map_err(failed)?;
            return Ok(Self { dir, authority, _marker: marker });
        }
        clear(&dir)?;
        marker.set_len(0).map_err(at(&path))?;
        let mut plan = Plan::new(&dir, TRUST_DOMAIN.parse().map_err(failed)?, DOMAIN);
        GATEWAY.clone_into(&mut plan.name);
        plan.listen_ssh = Some(super::loopback(2222));
        let authority = ca::init(&plan, now).map_err(failed)?;
        marker.write_all(FINISHED.as_bytes()).map_err(at(&path))?;
        Ok(Self { dir, authority, _marker: marker })
    }

    /// The configuration of the gateway.
    pub(super) fn config_file(&self) -> PathBuf {
        self.dir.join("sallyport.toml")
    }

    /// The authority whose user certificates the routers accept.
    pub(super) fn element_authority(&self) -> Result<PublicKey, Failure> {
        let path = self.dir.join("ca/ssh_element_ca.pub");
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        PublicKey::from_openssh(text.trim()).map_err(|e| failed(format!("{}: {e}", path.display())))
    }

    /// The host key of a router, made at the first start and kept.
    pub(super) fn router_key(&self, name: &str) -> Result<PrivateKey, Failure> {
        let path = self.dir.join("lab").join(format!("{name}.key"));
        match fs::read_to_string(&path) {
            Ok(text) => PrivateKey::from_openssh(text).map_err(|e| failed(format!("{}: {e}", path.display()))),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(failed)?;
                let text = key.to_openssh(LineEnding::LF).map_err(failed)?;
                write_private(&path, text.as_bytes())?;
                Ok(key)
            }
            Err(e) => Err(at(&path)(e)),
        }
    }

    /// The authority whose client certificates the routers accept, in PEM.
    pub(super) fn element_tls_authority(&self) -> Result<String, Failure> {
        let path = self.dir.join("ca/x509_element_ca.pem");
        fs::read_to_string(&path).map_err(at(&path))
    }

    /// The certificate of a router's TLS port, made at the first start and kept.
    pub(super) fn router_tls(&self, name: &str) -> Result<RouterTls, Failure> {
        let path = |ending: &str| self.dir.join("lab").join(format!("{name}.tls.{ending}"));
        let (certificate, key) = (path("pem"), path("key"));
        if !certificate.exists() {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).map_err(failed)?;
            write_private(&key, made.signing_key.serialize_pem().as_bytes())?;
            write_private(&certificate, made.cert.pem().as_bytes())?;
        }
        let read = |path: &Path| fs::read_to_string(path).map_err(at(path));
        let (certificate, key) = (read(&certificate)?, read(&key)?);
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(failed)?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
        let pin = format!("SHA256:{}", data_encoding::HEXLOWER.encode(digest.as_ref()));
        Ok(RouterTls { certificate, key, pin })
    }

    /// Tells the inventory where the routers are.
    pub(super) fn write_inventory(&self, routers: &[(&str, RunningRouter)]) -> Result<(), Failure> {
        let path = self.dir.join("policies/elements.toml");
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        let known = |(name, router): &(&str, RunningRouter)| -> Result<_, Failure> {
            Ok((bare_key(router.host_key())?, self.router_tls(name)?.pin))
        };
        let known = routers.iter().map(known).collect::<Result<Vec<_>, _>>()?;
        let places: Vec<Place<'_>> = routers
            .iter()
            .zip(&known)
            .map(|((name, router), (host_key, pin))| Place {
                name,
                address: router.addr(),
                host_key,
                tls: router.tls_addr().unwrap_or_else(|| super::loopback(0)),
                pin,
            })
            .collect();
        replace(&path, &with_places(&text, &places))
    }

    /// Gives everybody credentials, unless they hold some that are good for the day.
    pub(super) fn issue_identities(&self, now: Timestamp) -> Result<(), Failure> {
        for name in IDENTITIES {
            let folder = IdentityFolder::at(&self.identity(name));
            let good = |not_after: Timestamp| not_after.since(now) > Duration::from_secs(86_400);
            if !folder.shown(None).is_ok_and(|shown| good(shown.not_after)) {
                self.authority.issue(&IssueRequest::new(name, TTL), now).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Writes down where the doors really are: in the configuration, and for every identity.
    pub(super) fn write_addresses(&self, doors: &Addresses, metrics: Option<SocketAddr>) -> Result<(), Failure> {
        let absent = || {
            Failure::new(
                Exit::Failed,
                "the gateway has no mTLS door; restore [doors.mtls] in sallyport.toml, or delete the folder",
            )
        };
        let listen_mtls = doors.mtls.ok_or_else(absent)?;
        let starter = Starter {
            name: GATEWAY,
            domain: DOMAIN,
            trust_domain: self.authority.trust_domain(),
            listen_mtls,
            listen_ssh: doors.ssh,
            listen_metrics: metrics.unwrap_or_else(|| super::loopback(9464)),
        };
        replace(&self.config_file(), &ca::starter_config(&starter))?;
        let gateway = GatewayFacts {
            domain: DOMAIN.to_owned(),
            gateway: listen_mtls.to_string(),
            ssh_gateway: doors.ssh.map(|ssh| ssh.to_string()),
        };
        let program = std::env::current_exe().map_err(failed)?;
        for name in IDENTITIES {
            let folder = self.identity(name);
            replace(&folder.join("gateway.toml"), &toml::to_string(&gateway).map_err(failed)?)?;
            let hosts = ["*".to_owned()];
            let block = ssh_config::Block {
                name,
                folder: &folder,
                program: &program,
                gateway: &gateway,
                hosts: &hosts,
                ssh_door: false,
            };
            replace(&folder.join("ssh_config"), &ssh_config::render(&block).map_err(failed)?)?;
            replace(&folder.join("curl_config"), &requests::curl_config(&folder, listen_mtls))?;
        }
        let folder = self.dir.join("requests");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(at(&folder))?;
        for (name, text) in requests::files() {
            replace(&folder.join(name), &text)?;
        }
        Ok(())
    }

    fn identity(&self, name: &str) -> PathBuf {
        self.dir.join("identities").join(name)
    }
}

/// Removes what a demo that was interrupted had made.
fn clear(dir: &Path) -> Result<(), Failure> {
    for path in MADE.map(|name| dir.join(name)) {
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(at(&path)(e)),
            _ => {}
        }
    }
    Ok(())
}

/// A public key without its comment.
fn bare_key(key: &PublicKey) -> Result<String, Failure> {
    PublicKey::from(key.key_data().clone()).to_openssh().map_err(failed)
}

/// Writes a file so that a reader sees the old or the new text, never a part.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let next = path.with_extension("next");
    fs::write(&next, text).and_then(|()| fs::rename(&next, path)).map_err(at(path))
}

fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
    let open = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(content)).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::new(Exit::Failed, format!("{path}: {error}"))
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_330_801);

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "x").unwrap();
        let failure = Site::prepare(dir.path(), NOW).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_of_a_demo_is_used_again_with_its_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo");
        let read = |name: &str| fs::read(path.join(name)).unwrap();
        let first = Site::prepare(&path, NOW).unwrap();
        assert_eq!(Site::prepare(&path, NOW).unwrap_err().exit, Exit::Usage, "one demo in a folder");
        let key = first.router_key("core-rtr-1").unwrap();
        first.issue_identities(NOW).unwrap();
        drop(first);
        let (authority, person) = (read("ca/x509_ca.pem"), read("identities/vendor/cert.pem"));
        let again = Site::prepare(&path, NOW.plus(Duration::from_secs(3_600))).unwrap();
        again.issue_identities(NOW.plus(Duration::from_secs(3_600))).unwrap();
        assert_eq!(again.router_key("core-rtr-1").unwrap(), key);
        assert_eq!((read("ca/x509_ca.pem"), read("identities/vendor/cert.pem")), (authority, person.clone()));
        again.issue_identities(NOW.plus(TTL)).unwrap();
        assert_ne!(read("identities/vendor/cert.pem"), person);
        drop(again);
        // One that was interrupted, or is of an earlier version, is made anew.
        for marker in ["", "made by sallyport demo; safe to delete as a whole\n"] {
            let before = read("ca/x509_ca.pem");
            fs::write(path.join(MARKER), marker).unwrap();
            drop(Site::prepare(&path, NOW).unwrap());
            assert_ne!(read("ca/x509_ca.pem"), before);
            let made = read("ca/x509_ca.pem");
            drop(Site::prepare(&path, NOW).unwrap());
            assert_eq!(read("ca/x509_ca.pem"), made, "and then used again");
        }
    }
}
