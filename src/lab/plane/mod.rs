//! The management plane of a router: NETCONF on its SSH server, RESTCONF and gNMI over TLS. One tree, which is its configuration, behind them all
//! and behind the command line.

mod answer;
mod edit;
mod follow;
mod gnmi;
mod model;
mod netconf;
mod restconf;
mod select;
mod tls;
mod xml;

#[cfg(test)]
mod tests;

use serde_json::Value;

pub(super) use self::netconf::Netconf;
pub(super) use self::tls::serve;
pub use self::tls::{TlsConfig, TlsError};

use self::edit::Edit;
use super::device::Device;
use crate::domain::Timestamp;

/// Why the router does not do what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// What is to be made is there.
    #[error("it exists already")]
    Exists,
    /// A value that does not fit.
    #[error("{0}")]
    Invalid(String),
    /// What is asked for is not there.
    #[error("it does not exist")]
    Missing,
    /// No model has it.
    #[error("`{0}` is in no model of this router")]
    Unknown(String),
}

/// Makes all of these edits, or none.
fn change(device: &Device, edits: &[Edit], account: &str, protocol: &str, now: Timestamp) -> Result<(), Fault> {
    device.with(|state| {
        let mut next = state.running.clone();
        edit::apply_all(&mut next, edits)?;
        state.running = next;
        state.last_change = Some((now, account.to_owned()));
        Ok(())
    })?;
    device.log(now, &format!("%SYS-5-CONFIG_I: Configured by {account} through {protocol}"));
    device.tell();
    Ok(())
}

/// What the router is and how it is, or its configuration alone.
fn look(device: &Device, configuration_only: bool) -> Value {
    device.with(|state| {
        if configuration_only { model::tree(&state.running) } else { model::with_state(&state.running, state.booted) }
    })
}
