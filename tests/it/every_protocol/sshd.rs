//! What the drivers of protocols over SSH share: an OpenSSH server is the element.

use std::process::Command;

use super::Stage;
use crate::harness::element::{Profile, Sshd};
use crate::harness::gateway::Site;
use crate::harness::must;

/// A gateway before a server with `extra` lines of configuration, on which `ada` may do everything, after `prepare` has seen the site.
pub(super) fn start(extra: &str, prepare: &mut dyn FnMut(&mut Site)) -> Stage {
    let mut site = Site::new();
    let sshd = Sshd::start(&site.scratch().join("linux-1"), Profile::Modern, Some(&site.element_ca()), extra);
    site.element("linux-1", &sshd, "");
    site.grant("ada", "linux-1");
    prepare(&mut site);
    let gateway = site.start();
    Stage { gateway, element: sshd.process, site }
}

/// How often the server was visited. The harness itself knocks once, to see that it is there.
pub(super) fn visits(stage: &Stage) -> usize {
    stage.element.err().matches("Connection from").count() - 1
}

/// Kills the server's processes for the one connection: the children of the one that listens.
pub(super) fn cut(stage: &Stage) {
    must(Command::new("pkill").args(["-KILL", "-P", &stage.element.id().to_string()]));
}
