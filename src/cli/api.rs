//! Where the running gateway is, for the commands that ask it.

use std::net::SocketAddr;
use std::path::Path;

use super::{Exit, Failure};
use crate::config::Config;
use crate::console::{ApiClient, CallError};
use crate::identity::folder::IdentityFolder;

/// The gateway writes here where its doors are, for its own command line.
const DOORS_FILE: &str = "doors.json";

#[derive(serde::Serialize, serde::Deserialize)]
struct Doors {
    mtls: SocketAddr,
}

/// Tells later commands where the mTLS door is.
///
/// # Errors
/// The file cannot be written.
pub(super) fn note_door(data_dir: &Path, mtls: SocketAddr) -> std::io::Result<()> {
    std::fs::write(data_dir.join(DOORS_FILE), serde_json::to_vec(&Doors { mtls })?)
}

/// Forgets it; a gateway that died leaves the file, and then nobody answers there.
pub(super) fn forget_door(data_dir: &Path) {
    // Nothing depends on it: the address is tried before it is believed.
    std::fs::remove_file(data_dir.join(DOORS_FILE)).ok();
}

/// The gateway of `config`, as the identity in `folder`; `None` when it does not run.
///
/// # Errors
/// The identity's files cannot be used.
pub(super) fn find(config: &Config, folder: &Path) -> Result<Option<ApiClient>, Failure> {
    let Some(door) = door(config) else { return Ok(None) };
    let credential = IdentityFolder::at(folder).client_credential().map_err(Failure::usage)?;
    ApiClient::connect(door, &config.domain, credential).map_err(Failure::usage)
}

fn door(config: &Config) -> Option<SocketAddr> {
    let noted = std::fs::read(config.data_dir.join(DOORS_FILE)).ok();
    let noted = noted.and_then(|bytes| serde_json::from_slice::<Doors>(&bytes).ok()).map(|doors| doors.mtls);
    noted.or(config.doors.mtls).filter(|door| door.port() != 0).map(|mut door| {
        if door.ip().is_unspecified() {
            door.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        door
    })
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = match error {
            CallError::Denied(_) => Exit::Denied,
            CallError::Failed(_) => Exit::Failed,
            CallError::Unreachable(_) => Exit::Unreachable,
        };
        Self::new(exit, error)
    }
}
