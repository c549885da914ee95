//! The usual start: one OpenSSH element, one gateway before it, and both ways of reaching it.

use super::client::{Pair, Ssh};
use super::element::{Profile, Sshd};
use super::gateway::{Gateway, Site};

/// A gateway before the element `linux-1`, on which `ada` may do everything but forward. Fields are in the order in which they end.
pub struct Lab {
    /// The running gateway.
    pub gateway: Gateway,
    /// The element.
    pub sshd: Sshd,
    /// The gateway's folder.
    pub site: Site,
    /// The element directly and through the gateway, as `ada`.
    pub pair: Pair,
}

impl Lab {
    /// Starts one.
    pub fn start() -> Self {
        Self::with(Profile::Modern, "", |_| ())
    }

    /// Starts one with `extra` lines in the element's configuration, after `prepare` has seen the site.
    pub fn with(profile: Profile, extra: &str, prepare: impl FnOnce(&mut Site)) -> Self {
        let mut site = Site::new();
        // What speaks NETCONF there is small, and runs when it is asked for.
        let netconf = format!("Subsystem netconf python3 {} good\n{extra}", super::data("netconf_odd.py").display());
        let sshd = Sshd::start(&site.scratch().join("linux-1"), profile, Some(&site.element_ca()), &netconf);
        site.element("linux-1", &sshd, "");
        site.grant("ada", "linux-1");
        prepare(&mut site);
        let gateway = site.start();
        let pair = Pair { direct: Ssh::direct(&sshd), gateway: gateway.client("ada", "linux-1") };
        Self { gateway, sshd, site, pair }
    }
}
