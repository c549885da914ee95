//! SSH: OpenSSH as the client, OpenSSH as the element.

use std::process::Command;

use super::{Driver, Stage};
use crate::harness::client::{Live, Ran};
use crate::harness::element::{Profile, Sshd};
use crate::harness::gateway::Site;
use crate::harness::must;

/// See [`Driver`].
pub struct Ssh;

impl Driver for Ssh {
    fn protocol(&self) -> &'static str {
        "ssh"
    }

    fn needs(&self) -> &'static [&'static str] {
        &["sshd", "pkill"]
    }

    fn start(&self, prepare: &mut dyn FnMut(&mut Site)) -> Stage {
        let mut site = Site::new();
        let sshd = Sshd::start(&site.scratch().join("linux-1"), Profile::Modern, Some(&site.element_ca()), "");
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
        stage.gateway.client(identity, "linux-1").run(&["echo reached"])
    }

    fn open(&self, stage: &Stage, identity: &str) -> Live {
        let way = stage.gateway.client(identity, "linux-1");
        Live::start(&way, &stage.site.scratch(), "live", &["-tt"], "while :; do echo tick; sleep 0.05; done", "tick")
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
