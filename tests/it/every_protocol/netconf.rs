//! NETCONF over TLS: a client of Python's ssl, a small subsystem of OpenSSH as the element.

use std::process::Command;

use super::{Driver, Stage};
use crate::harness::client::{Live, MINUTE, Ran, run};
use crate::harness::element::{Profile, Sshd};
use crate::harness::gateway::Site;
use crate::harness::{data, must};

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
        let mut site = Site::new();
        let subsystem = format!("Subsystem netconf python3 {} good\n", data("netconf_odd.py").display());
        let sshd = Sshd::start(&site.scratch().join("linux-1"), Profile::Modern, Some(&site.element_ca()), &subsystem);
        site.element("linux-1", &sshd, "");
        self.grant(&mut site, "ada");
        prepare(&mut site);
        let gateway = site.start();
        Stage { gateway, element: sshd.process, site }
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
        // The harness itself knocks once, to see that it is there.
        stage.element.err().matches("Connection from").count() - 1
    }

    fn cut(&self, stage: &Stage) {
        // The server's processes for this one connection: the children of the one that listens.
        must(Command::new("pkill").args(["-KILL", "-P", &stage.element.id().to_string()]));
    }
}
