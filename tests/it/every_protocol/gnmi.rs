//! gNMI: gRPC's own client with pygnmi's messages, and a target made from pygnmi's stubs.

use serde_json::json;

use super::{Driver, Stage};
use crate::harness::client::{Live, MINUTE, Ran, run};
use crate::harness::gateway::Site;
use crate::harness::gnmi::{Plane, client, start, subscribe};
use crate::harness::{SOON, wait_until};

/// See [`Driver`].
pub struct Gnmi;

impl Driver for Gnmi {
    fn protocol(&self) -> &'static str {
        "gnmi"
    }

    fn needs(&self) -> &'static [&'static str] {
        &["openssl", "python:gnmi"]
    }

    fn ttl(&self) -> &'static str {
        "12s"
    }

    fn start(&self, prepare: &mut dyn FnMut(&mut Site)) -> Stage {
        let Plane { gateway, target, site } = Plane::with(|site| {
            self.grant(site, "ada");
            prepare(site);
        });
        Stage { gateway, element: target, site }
    }

    fn grant(&self, site: &mut Site, who: &str) {
        site.row(&format!("p, user:{who}, element:r1, *, gnmi.capabilities, -, allow"));
        site.row(&format!("p, user:{who}, element:r1, *, data.read, /, allow"));
    }

    fn once(&self, stage: &Stage, identity: &str) -> Ran {
        let step = json!([{"do": "call", "method": "/gnmi.gNMI/Capabilities", "messages": [""]}]);
        let mut command = client(&stage.site, &stage.gateway, identity);
        run(command.arg("strict"), step.to_string().into_bytes(), 2 * MINUTE)
    }

    fn open(&self, stage: &Stage, identity: &str) -> Live {
        // A stream of everything, ten milliseconds from one update to the next.
        let step = json!([{"do": "until", "method": "/gnmi.gNMI/Subscribe", "messages": [subscribe(&["/"], 0)]}]);
        let process = start(&stage.site, &stage.gateway, identity, "live", &step);
        wait_until("updates come", SOON, || process.err().contains("following"));
        Live { process }
    }

    fn visits(&self, stage: &Stage) -> usize {
        stage.element.out().matches("got ").count()
    }

    fn cut(&self, stage: &Stage) {
        stage.element.signal("KILL");
    }
}
