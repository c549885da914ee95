//! SSH: OpenSSH as the client, OpenSSH as the element.

use super::{Driver, Stage, sshd};
use crate::harness::client::{Live, Ran};
use crate::harness::gateway::Site;

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
        sshd::start("", prepare)
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
        sshd::visits(stage)
    }

    fn cut(&self, stage: &Stage) {
        sshd::cut(stage);
    }
}
