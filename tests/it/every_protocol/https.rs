//! What goes over HTTP to an element's HTTPS service: curl as the client, Python's own server as the element.

use super::{Driver, Stage};
use crate::harness::client::{Live, MINUTE, Ran, run};
use crate::harness::gateway::Site;
use crate::harness::http::Web;
use crate::harness::https::Plane;
use crate::harness::process::Process;
use crate::harness::{SOON, wait_until};

/// See [`Driver`].
pub struct Https {
    /// The protocol's name.
    pub protocol: &'static str,
    /// Lines of `[element.https]`.
    pub lines: &'static str,
    /// A path whose answer holds `reached`.
    pub once: &'static str,
    /// A path whose answer goes on.
    pub follow: &'static str,
    /// Verbs and objects that allow both.
    pub allow: &'static [(&'static str, &'static str)],
}

impl Driver for Https {
    fn protocol(&self) -> &'static str {
        self.protocol
    }

    fn needs(&self) -> &'static [&'static str] {
        &["curl", "openssl", "python3"]
    }

    fn start(&self, prepare: &mut dyn FnMut(&mut Site)) -> Stage {
        let Plane { gateway, element, site } = Plane::with(&format!("\"{}\"", self.protocol), self.lines, |site| {
            self.grant(site, "ada");
            prepare(site);
        });
        Stage { gateway, element, site }
    }

    fn grant(&self, site: &mut Site, who: &str) {
        for (verb, object) in self.allow {
            site.row(&format!("p, user:{who}, element:r1, *, {verb}, {object}, allow"));
        }
    }

    fn once(&self, stage: &Stage, identity: &str) -> Ran {
        let web = Web::new(&stage.site, &stage.gateway, identity, "r1");
        run(&mut web.command(&["-f"], self.once), Vec::new(), MINUTE)
    }

    fn open(&self, stage: &Stage, identity: &str) -> Live {
        let web = Web::new(&stage.site, &stage.gateway, identity, "r1");
        let mut command = web.command(&["-fN", "--max-time", "120"], self.follow);
        let process = Process::start(&stage.site.scratch(), "live", &mut command);
        wait_until("events come", SOON, || process.out().contains("tick 2"));
        Live { process }
    }

    fn visits(&self, stage: &Stage) -> usize {
        stage.element.out().matches("{\"method\"").count()
    }

    fn cut(&self, stage: &Stage) {
        stage.element.signal("KILL");
    }
}
