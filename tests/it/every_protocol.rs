//! The failure list, run against every protocol of the registry. A protocol without a driver here fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::client::{Live, Ran, Ssh};
use crate::harness::element::Profile;
use crate::harness::gateway::SALLYPORT;
use crate::harness::lab::Lab;
use crate::harness::{SOON, Tmpfs, must, need, wait_until};

/// How an ordinary client uses a protocol on the element of a [`Lab`].
struct Driver {
    /// Its name in the registry.
    protocol: &'static str,
    /// Does one thing and ends.
    once: fn(&Ssh) -> Ran,
    /// Opens something that goes on, with its traffic, until it is ended.
    open: fn(&Ssh, &Path, &str) -> Live,
}

/// What a row of the list does with one protocol.
type Row = fn(&Driver);

fn driver(protocol: &str) -> Driver {
    match protocol {
        "ssh" => Driver {
            protocol: "ssh",
            once: |way| way.run(&["echo reached"]),
            open: |way, dir, name| {
                Live::start(way, dir, name, &["-tt"], "while :; do echo tick; sleep 0.05; done", "tick")
            },
        },
        other => panic!(
            "the protocol `{other}` has no driver in every_protocol.rs: add one, and the failure list runs against it"
        ),
    }
}

fn for_each(row: Row) {
    let all = sallyport::protocol::all();
    assert!(!all.is_empty());
    for name in all.iter().flat_map(|protocol| protocol.carries()) {
        row(&driver(name));
    }
}

#[track_caller]
fn refused(driver: &Driver, way: &Ssh) {
    let ran = (driver.once)(way);
    assert!(ran.code() != 0 && !ran.text().contains("reached"), "{}: {}{}", driver.protocol, ran.text(), ran.errors());
}

#[track_caller]
fn ends(lab: &Lab, live: &mut Live, outcome: &[&str]) {
    live.ends_within(SOON);
    let session = lab.site.closed_session();
    assert!(outcome.iter().any(|o| session["outcome"] == *o), "{outcome:?}: {session}");
    lab.site.verify(&[&lab.site.recording(&session)]).ok();
}

#[test]
fn allow_and_the_recording_holds_both_directions() {
    need!("sshd");
    for_each(|driver| {
        let lab = Lab::start();
        assert!((driver.once)(&lab.pair.gateway).ok().text().contains("reached"));
        let session = lab.site.closed_session();
        assert_eq!(session["protocol"], driver.protocol);
        let kept =
            lab.site.as_ada(&["export", session["id"].as_str().expect("an id"), "--format", "jsonl"]).ok().text();
        assert!(kept.contains("reached"), "{kept}");
        lab.site.verify(&[&lab.site.recording(&session)]).ok();
    });
}

#[test]
fn deny() {
    need!("sshd");
    for_each(|driver| {
        let lab = Lab::with(Profile::Modern, "", |site| {
            site.issue("eve", &[]);
        });
        refused(driver, &lab.gateway.client("eve", "linux-1"));
        assert!(lab.site.events().iter().any(|e| e.to_string().contains("\"denied\"")));
        assert_eq!(
            lab.sshd.log().matches("Connection from").count(),
            1,
            "the element was reached by the harness only: {}",
            lab.sshd.log()
        );
    });
}

#[test]
fn bad_credential() {
    need!("sshd");
    for_each(|driver| {
        let (lab, other) = (Lab::start(), crate::harness::gateway::Site::new());
        let mut way = lab.gateway.client("ada", "linux-1");
        let text = std::fs::read_to_string(&way.config).expect("printed");
        let (ours, theirs) = (lab.site.identity("ada"), other.identity("ada"));
        way.config = lab.site.scratch().join("stolen.conf");
        std::fs::write(&way.config, text.replace(&*ours.to_string_lossy(), &theirs.to_string_lossy())).expect("a file");
        refused(driver, &way);
        assert!(lab.site.events().iter().any(|e| e.to_string().contains("\"refused\"")), "the refusal is on record");
    });
}

#[test]
fn expiry_in_mid_session() {
    need!("sshd");
    for_each(|driver| {
        let lab = Lab::with(Profile::Modern, "", |site| site.grant("brief", "linux-1"));
        lab.site.issue("brief", &["--ttl", "6s"]);
        let mut live = (driver.open)(&lab.gateway.client("brief", "linux-1"), &lab.site.scratch(), "live");
        ends(&lab, &mut live, &["expired"]);
    });
}

#[test]
fn revocation_in_mid_session() {
    need!("sshd");
    for_each(|driver| {
        let lab = Lab::with(Profile::Modern, "", |site| {
            site.issue("bob", &[]);
            site.grant("bob", "linux-1");
        });
        let mut live = (driver.open)(&lab.gateway.client("bob", "linux-1"), &lab.site.scratch(), "live");
        must(Command::new(SALLYPORT).args(["ca", "revoke"]).arg(lab.site.path()).arg("bob"));
        ends(&lab, &mut live, &["revoked"]);
        refused(driver, &lab.gateway.client("bob", "linux-1"));
    });
}

/// Runs a row with one folder of `data/` on a small disk of its own, and fills that disk in mid-session.
fn full(driver: &Driver, folder: &str) {
    let mut disk = None;
    let lab = Lab::with(Profile::Modern, "", |site| {
        disk = Some(Tmpfs::mount(site.path().join("data").join(folder), "8m"));
        site.configure("recording", "free_bytes_min", 0);
    });
    let filled: PathBuf = lab.site.path().join("data").join(folder).join("filler");
    let mut live = (driver.open)(&lab.pair.gateway, &lab.site.scratch(), "live");
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
        wait_until("nothing new opens", SOON, || (driver.once)(&lab.pair.gateway).code() != 0);
        drop(live);
    }
    refused(driver, &lab.pair.gateway);
    drop(lab);
    drop(disk);
}

#[test]
fn recorder_full() {
    need!("root", "sshd", "mount");
    for_each(|driver| full(driver, "recordings"));
}

#[test]
fn audit_full() {
    need!("root", "sshd", "mount");
    for_each(|driver| full(driver, "audit"));
}

#[test]
fn element_down() {
    need!("sshd");
    for_each(|driver| {
        let Lab { gateway, sshd, site, pair } = Lab::start();
        drop(sshd);
        refused(driver, &pair.gateway);
        let session = site.closed_session();
        let events = site.events();
        assert!(
            events.iter().any(|e| e.to_string().contains("\"element-unreachable\"")),
            "it is on record: {events:?}"
        );
        site.verify(&[&site.recording(&session)]).ok();
        drop(gateway);
    });
}

#[test]
fn element_gone_in_mid_session() {
    need!("sshd", "pkill");
    for_each(|driver| {
        let lab = Lab::start();
        let mut live = (driver.open)(&lab.pair.gateway, &lab.site.scratch(), "live");
        // The server's processes for this one connection: the children of the one that listens.
        must(Command::new("pkill").args(["-KILL", "-P", &lab.sshd.process.id().to_string()]));
        // The element ends the channel, and with it the client its connection.
        ends(&lab, &mut live, &["element-closed", "client-closed"]);
        let id = lab.site.closed_session()["id"].as_str().expect("an id").to_owned();
        let kept = lab.site.as_ada(&["export", &id, "--format", "jsonl"]).ok().text();
        assert!(kept.contains("element-closed"), "{kept}");
    });
}

#[test]
fn client_gone() {
    need!("sshd");
    for_each(|driver| {
        let lab = Lab::start();
        let mut live = (driver.open)(&lab.pair.gateway, &lab.site.scratch(), "live");
        live.process.signal("KILL");
        ends(&lab, &mut live, &["client-closed"]);
    });
}

#[test]
fn shutdown() {
    need!("sshd");
    for_each(|driver| {
        let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "drain_grace_ms", 500));
        let mut live = (driver.open)(&lab.pair.gateway, &lab.site.scratch(), "live");
        lab.gateway.process.signal("TERM");
        ends(&lab, &mut live, &["shutdown"]);
    });
}
