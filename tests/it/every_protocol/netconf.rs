//! NETCONF over TLS: a client of Python's ssl, a small subsystem of OpenSSH as the element.

use std::process::Command;

use super::{Driver, Stage, sshd};
use crate::harness::client::{Live, MINUTE, Ran, run};
use crate::harness::data;
use crate::harness::gateway::Site;

/// See [`Driver`].
pub struct Netconf;

fn client(stage: &Stage, identity: &str, what: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(data("netconf_tls.py")).arg(stage.site.identity(identity)).arg(stage.gateway.address());
    command.args(["linux-1", what]);
    command
}

impl Driver for Netconf {
    fn protocol(&self) -> &'static str {
        "netconf"
    }

    fn needs(&self) -> &'static [&'static str] {
        &["sshd", "pkill", "python3"]
    }

    fn start(&self, prepare: &mut dyn FnMut(&mut Site)) -> Stage {
        let subsystem = format!("Subsystem netconf python3 {} good\n", data("netconf_odd.py").display());
        sshd::start(&subsystem, prepare)
    }

    fn grant(&self, site: &mut Site, who: &str) {
        site.grant(who, "linux-1");
    }

    fn once(&self, stage: &Stage, identity: &str) -> Ran {
        run(&mut client(stage, identity, "once"), Vec::new(), MINUTE)
    }

    fn open(&self, stage: &Stage, identity: &str) -> Live {
        Live::of(client(stage, identity, "live"), &stage.site.scratch(), "live", "tick")
    }

    fn visits(&self, stage: &Stage) -> usize {
        sshd::visits(stage)
    }

    fn cut(&self, stage: &Stage) {
        sshd::cut(stage);
    }
}
