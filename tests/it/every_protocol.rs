//! The failure list, run against every protocol of the registry. A protocol without a driver here fails.

mod gnmi;
mod https;
mod netconf;
mod ssh;
mod sshd;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::client::{Live, Ran};
use crate::harness::gateway::{Gateway, SALLYPORT, Site};
use crate::harness::process::Process;
use crate::harness::{SOON, Tmpfs, lacking, must, need, skip, wait_until};

/// A gateway before one element, as one protocol reaches it. Fields are in the order in which they end.
struct Stage {
    gateway: Gateway,
    element: Process,
    site: Site,
}

/// How an ordinary client uses a protocol.
trait Driver {
    /// Its name in lists.
    fn protocol(&self) -> &'static str;
    /// What it takes on this machine.
    fn needs(&self) -> &'static [&'static str];
    /// Starts an element and a gateway, on which `ada` may use it, after `prepare` has seen the site.
    fn start(&self, prepare: &mut dyn FnMut(&mut Site)) -> Stage;
    /// Lets another identity use it.
    fn grant(&self, site: &mut Site, who: &str);
    /// Does one thing, whose answer holds `reached`, and ends.
    fn once(&self, stage: &Stage, identity: &str) -> Ran;
    /// Opens something that goes on, with its traffic, until it is ended.
    fn open(&self, stage: &Stage, identity: &str) -> Live;
    /// How often clients came to the element.
    fn visits(&self, stage: &Stage) -> usize;
    /// Breaks the connections of the element.
    fn cut(&self, stage: &Stage);
    /// How long a credential lasts with which something is opened before it runs out.
    fn ttl(&self) -> &'static str {
        "6s"
    }
}

/// What a row of the list does with one protocol.
type Row = fn(&dyn Driver);

fn driver(protocol: &str) -> &'static dyn Driver {
    match protocol {
        "gnmi" => &gnmi::Gnmi,
        "restconf" => &https::Https {
            protocol: "restconf",
            lines: "restconf = \"/restconf\"",
            once: "/restconf/data/test:a",
            follow: "/restconf/streams/ticks",
            allow: &[("restconf.get", "/"), ("restconf.stream", "ticks")],
        },
        "https" => &https::Https {
            protocol: "https",
            lines: "",
            once: "/plain/a",
            follow: "/events/ticks",
            allow: &[("http.get", "/plain/*"), ("http.get", "/events/**")],
        },
        "netconf" => &netconf::Netconf,
        "ssh" => &ssh::Ssh,
        other => panic!(
            "the protocol `{other}` has no driver in every_protocol.rs: add one, and the failure list runs against it"
        ),
    }
}

/// Runs a row against each protocol, all at once: each has its own gateway.
fn for_each(row: Row) {
    let all = sallyport::protocol::all();
    assert!(!all.is_empty());
    std::thread::scope(|scope| {
        for name in all.iter().flat_map(|protocol| protocol.carries()) {
            scope.spawn(move || {
                let driver = driver(name);
                match lacking(driver.needs()) {
                    Some(missing) => skip(module_path!(), line!(), &missing),
                    None => row(driver),
                }
            });
        }
    });
}

fn start(driver: &dyn Driver) -> Stage {
    driver.start(&mut |_| ())
}

#[track_caller]
fn refused(driver: &dyn Driver, stage: &Stage, identity: &str) {
    let ran = driver.once(stage, identity);
    // Where the gateway itself says that the element cannot be, it was not.
    let said = ran.text().replace("cannot be reached", "");
    assert!(ran.code() != 0 && !said.contains("reached"), "{}: {said}{}", driver.protocol(), ran.errors());
}

#[track_caller]
fn ends(stage: &Stage, live: &mut Live, outcome: &[&str]) {
    live.ends_within(SOON);
    let session = stage.site.closed_session();
    assert!(outcome.iter().any(|o| session["outcome"] == *o), "{outcome:?}: {session}");
    stage.site.verify(&[&stage.site.recording(&session)]).ok();
}

fn kept(stage: &Stage) -> String {
    let id = stage.site.closed_session()["id"].as_str().expect("an id").to_owned();
    stage.site.as_ada(&["export", &id, "--format", "jsonl"]).ok().text()
}

#[test]
fn allow_and_the_recording_holds_both_directions() {
    for_each(|driver| {
        let stage = start(driver);
        assert!(driver.once(&stage, "ada").ok().text().contains("reached"));
        assert_eq!(driver.visits(&stage), 1);
        let session = stage.site.closed_session();
        assert_eq!(session["protocol"], driver.protocol());
        assert!(kept(&stage).contains("reached"), "{}", kept(&stage));
        stage.site.verify(&[&stage.site.recording(&session)]).ok();
    });
}

#[test]
fn deny() {
    for_each(|driver| {
        let stage = driver.start(&mut |site| {
            site.issue("eve", &[]);
        });
        refused(driver, &stage, "eve");
        assert!(stage.site.events().iter().any(|e| e.to_string().contains("\"denied\"")));
        assert_eq!(driver.visits(&stage), 0, "the element was not reached: {}", stage.element.all());
    });
}

#[test]
fn bad_credential() {
    for_each(|driver| {
        let (stage, other) = (start(driver), Site::new());
        // Everything that `ada` has here, but with keys and certificates of another authority.
        let thief = stage.site.issue("thief", &[]);
        for file in ["cert.pem", "key.pem", "ssh_key", "ssh_key-cert.pub"] {
            fs::copy(other.identity("ada").join(file), thief.join(file)).expect("a file");
        }
        refused(driver, &stage, "thief");
        assert!(stage.site.events().iter().any(|e| e.to_string().contains("\"refused\"")), "the refusal is on record");
        assert_eq!(driver.visits(&stage), 0);
    });
}

#[test]
fn expiry_in_mid_session() {
    for_each(|driver| {
        let stage = driver.start(&mut |site| driver.grant(site, "brief"));
        stage.site.issue("brief", &["--ttl", driver.ttl()]);
        let mut live = driver.open(&stage, "brief");
        ends(&stage, &mut live, &["expired"]);
    });
}

#[test]
fn revocation_in_mid_session() {
    for_each(|driver| {
        let stage = driver.start(&mut |site| {
            site.issue("bob", &[]);
            driver.grant(site, "bob");
        });
        let mut live = driver.open(&stage, "bob");
        must(Command::new(SALLYPORT).args(["ca", "revoke"]).arg(stage.site.path()).arg("bob"));
        ends(&stage, &mut live, &["revoked"]);
        refused(driver, &stage, "bob");
    });
}

/// Runs a row with one folder of `data/` on a small disk of its own, and fills that disk in mid-session.
fn full(driver: &dyn Driver, folder: &str) {
    let mut disk = None;
    let stage = driver.start(&mut |site| {
        disk = Some(Tmpfs::mount(site.path().join("data").join(folder), "8m"));
        site.configure("recording", "free_bytes_min", 0);
    });
    let filled: PathBuf = stage.site.path().join("data").join(folder).join("filler");
    let mut live = driver.open(&stage, "ada");
    // Fails when the disk is full, which is the point.
    let filling = Command::new("dd")
        .args(["if=/dev/zero", "bs=4096"])
        .arg(format!("of={}", filled.display()))
        .output()
        .expect("dd runs");
    assert!(!filling.status.success());
    if folder == "recordings" {
        live.ends_within(SOON);
    } else {
        // A session that is open needs no more of the audit log until it closes; a new one does.
        wait_until("nothing new opens", SOON, || driver.once(&stage, "ada").code() != 0);
        drop(live);
    }
    refused(driver, &stage, "ada");
    drop(stage);
    drop(disk);
}

#[test]
fn recorder_full() {
    need!("root", "mount");
    for_each(|driver| full(driver, "recordings"));
}

#[test]
fn audit_full() {
    need!("root", "mount");
    for_each(|driver| full(driver, "audit"));
}

#[test]
fn element_down() {
    for_each(|driver| {
        let mut stage = start(driver);
        stage.element.stop();
        refused(driver, &stage, "ada");
        let session = stage.site.closed_session();
        let events = stage.site.events();
        assert!(
            events.iter().any(|e| e.to_string().contains("\"element-unreachable\"")),
            "it is on record: {events:?}"
        );
        stage.site.verify(&[&stage.site.recording(&session)]).ok();
    });
}

#[test]
fn element_gone_in_mid_session() {
    for_each(|driver| {
        let stage = start(driver);
        let mut live = driver.open(&stage, "ada");
        driver.cut(&stage);
        // The element ends the channel, and with it the client its connection.
        ends(&stage, &mut live, &["element-closed", "client-closed"]);
        assert!(kept(&stage).contains("element-closed"), "{}", kept(&stage));
    });
}

#[test]
fn client_gone() {
    for_each(|driver| {
        let stage = start(driver);
        let mut live = driver.open(&stage, "ada");
        live.process.signal("KILL");
        ends(&stage, &mut live, &["client-closed"]);
    });
}

#[test]
fn shutdown() {
    for_each(|driver| {
        let mut stage = driver.start(&mut |site| site.configure("limits", "drain_grace_ms", 500));
        let mut live = driver.open(&stage, "ada");
        stage.gateway.process.signal("TERM");
        // Until it is gone it alone may read its log, and answers nobody any more.
        wait_until("the gateway is gone", SOON, || !stage.gateway.process.running());
        ends(&stage, &mut live, &["shutdown"]);
    });
}
