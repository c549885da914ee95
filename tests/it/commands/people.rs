//! Identities and locks from the command line, against a running gateway.

use std::fs;
use std::process::Command;

use super::{path, sallyport};
use crate::harness::client::{Live, MINUTE, Ssh, run};
use crate::harness::element::Profile;
use crate::harness::gateway::SALLYPORT;
use crate::harness::lab::Lab;
use crate::harness::{SOON, must, need, wait_until};

const TICK: &str = "while :; do echo tick; sleep 0.1; done";

fn live(lab: &Lab, name: &str, way: &Ssh) -> Live {
    Live::start(way, &lab.site.scratch(), name, &["-tt"], TICK, "tick")
}

#[test]
fn whoami_tells_what_the_identity_says() {
    let site = crate::harness::gateway::Site::new();
    let folder = site.issue("ada", &["--device", "laptop-7", "--gateway", "gw.example:8443"]);
    let whoami = |args: &[&str]| sallyport(&[&["whoami", "--identity", path(&folder)], args].concat(), b"");
    let told: serde_json::Value = serde_json::from_slice(&whoami(&["--json"]).ok().out).expect("JSON");
    for (field, value) in [
        ("identity", "spiffe://carrier.example/user/ada"),
        ("device", "spiffe://carrier.example/device/laptop-7"),
        ("gateway", "gw.example:8443"),
        ("domain", "sallyport.carrier.example"),
    ] {
        assert_eq!(told[field], value, "{told}");
    }
    assert_eq!((told["assurance"].as_u64(), told["valid"].as_bool()), (Some(2), Some(true)), "{told}");
    assert!(whoami(&[]).ok().text().contains("laptop-7"));
    // By the environment, and by nothing at all.
    let mut by_environment = Command::new(SALLYPORT);
    let told = run(by_environment.args(["whoami"]).env("SALLYPORT_IDENTITY", &folder), Vec::new(), MINUTE).ok();
    assert!(told.text().contains("user/ada"), "{}", told.all());
    let mut nobody = Command::new(SALLYPORT);
    let nobody =
        run(nobody.args(["whoami"]).env_remove("SALLYPORT_IDENTITY").env("HOME", site.scratch()), Vec::new(), MINUTE);
    assert_eq!(nobody.code(), 2, "{}", nobody.all());
    let brief = site.issue("brief", &["--ttl", "1s"]);
    wait_until("it has run out", SOON, || sallyport(&["whoami", "--identity", path(&brief)], b"").code() == 1);
}

#[test]
fn the_block_for_the_ssh_door_works_as_it_is() {
    need!("sshd", "scp");
    let lab = Lab::start();
    let folder = lab.site.identity("ada");
    let door = format!("127.0.0.1:{}", lab.gateway.ssh);
    let block = sallyport(
        &["ssh-config", "--door", "ssh", "--identity", path(&folder), "--gateway", &door, "--host", "linux-1"],
        b"",
    )
    .ok();
    let config = lab.site.scratch().join("ssh-door.conf");
    fs::write(&config, block.text()).expect("a file");
    let way = Ssh { config, host: "linux-1".to_owned() };
    // Nothing to accept and nothing to type.
    let ran = way.feed(&["-o", "BatchMode=yes"], &["echo through the door; exit 7"], Vec::new());
    assert_eq!((ran.code(), ran.text()), (7, "through the door\n".to_owned()), "{}\n{}", ran.errors(), block.text());
    let session = lab.site.closed_session();
    assert_eq!(session["door"].as_str().or(session["request"]["door"].as_str()), Some("ssh"), "{session}");
    way.script(&lab.site.scratch(), "echo content >a; $SCP -q a $HOST:$D/b; cmp a b").ok();
}

#[test]
fn what_a_certificate_is_bound_to_binds_it() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.issue("near", &["--source-address", "127.0.0.0/8"]);
        site.issue("far", &["--source-address", "192.0.2.0/24", "--source-address", "2001:db8::/32"]);
        site.issue("laptop", &["--device", "laptop-7"]);
        site.issue("phone", &["--device", "phone-1"]);
        for name in ["near", "far", "laptop", "phone", "bare"] {
            site.grant(name, "linux-1");
        }
        site.issue("bare", &[]);
        for name in ["laptop", "phone", "bare"] {
            site.row(&format!("p2, user:{name}, element:linux-1, *, ssh.*, *, device"));
        }
    });
    let door = |name: &str| lab.gateway.ssh_door(name, "linux-1", true).run(&["echo reached"]);
    assert_eq!(door("near").ok().text(), "reached\n");
    let far = door("far");
    assert!(far.code() != 0 && far.text().is_empty(), "{}", far.all());
    // The obligation: with a device, by either door, and not without.
    for name in ["laptop", "phone"] {
        assert_eq!(door(name).ok().text(), "reached\n");
        assert_eq!(lab.gateway.client(name, "linux-1").run(&["echo reached"]).ok().text(), "reached\n");
    }
    for bare in [door("bare"), lab.gateway.client("bare", "linux-1").run(&["echo reached"])] {
        assert!(bare.code() != 0 && bare.text().is_empty() && bare.errors().contains("device"), "{}", bare.all());
    }
    // A lock on one device, whoever uses it, by either door.
    let mut sessions = [
        live(&lab, "laptop-tls", &lab.gateway.client("laptop", "linux-1")),
        live(&lab, "laptop-ssh", &lab.gateway.ssh_door("laptop", "linux-1", true)),
    ];
    let mut other = live(&lab, "phone", &lab.gateway.client("phone", "linux-1"));
    lab.site.sallyport(&["lock", "add", "device:laptop-7", "--reason", "stolen on the train"]).ok();
    for session in &mut sessions {
        session.ends_within(SOON);
        assert!(session.process.all().contains("locked"), "{}", session.process.all());
    }
    assert_ne!(door("laptop").code(), 0);
    assert_ne!(lab.gateway.client("laptop", "linux-1").run(&["true"]).code(), 0);
    lab.site.issue("laptop", &["--device", "laptop-8"]);
    wait_until("on another device", SOON, || lab.gateway.client("laptop", "linux-1").run(&["true"]).code() == 0);
    assert!(other.process.running(), "nobody else is touched");
}

#[test]
fn a_lock_through_the_gateway_is_decided_and_on_record() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.issue("bob", &[]);
        site.grant("bob", "linux-1");
        site.issue("eve", &[]);
    });
    let config = lab.site.config();
    let lock = |args: &[&str], who: &str| {
        let identity = lab.site.identity(who);
        sallyport(&[&["lock"], args, &["--config", path(&config), "--identity", path(&identity)]].concat(), b"")
    };
    let mut bob = live(&lab, "bob", &lab.gateway.client("bob", "linux-1"));
    let denied = lock(&["add", "user:bob", "--reason", "spite"], "eve");
    assert_eq!(denied.code(), 3, "{}", denied.all());
    assert!(bob.process.running());
    let added = lock(&["add", "user:bob", "--reason", "left the company", "--for", "2h"], "ada").ok();
    assert!(added.text().starts_with("locked user:bob until "), "{}", added.text());
    bob.ends_within(SOON);
    assert!(bob.process.all().contains("locked"), "{}", bob.process.all());
    let listed = lab.site.sallyport(&["lock", "list", "--json"]).ok();
    let listed: serde_json::Value = serde_json::from_slice(&listed.out).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert!(
        listed[0]["by"].as_str().is_some_and(|by| by.contains("ada")) && listed[0]["until"].is_string(),
        "{listed}"
    );
    assert!(lab.site.sallyport(&["lock", "list"]).ok().text().contains("left the company"));
    assert_eq!(lock(&["remove", "user:bob"], "eve").code(), 3);
    lock(&["remove", "user:bob"], "ada").ok();
    wait_until("bob is back", SOON, || lab.gateway.client("bob", "linux-1").run(&["true"]).code() == 0);
    assert_eq!(lab.site.sallyport(&["lock", "list"]).ok().text(), "nothing is locked\n");
    assert_eq!(lab.site.sallyport(&["lock", "remove", "user:bob"]).code(), 1, "it is not locked");
    for wrong in [
        &["add", "bob", "--reason", "x"][..],
        &["add", "user:bob"],
        &["add", "user:bob", "--reason", "x", "--for", "soon"],
    ] {
        assert_eq!(lock(wrong, "ada").code(), 2, "{wrong:?}");
    }
    let told: Vec<_> = lab
        .site
        .events()
        .iter()
        .map(|e| e["event"].clone())
        .filter(|e| e["event"].to_string().contains("lock-"))
        .collect();
    let of = |kind: &str| told.iter().filter(|e| e["event"] == kind).count();
    assert_eq!((of("lock-added"), of("lock-removed")), (1, 1), "{told:?}");
    assert!(told.iter().all(|e| e["by"] == "spiffe://carrier.example/user/ada" && e["via"] == "console"), "{told:?}");
    // A gateway that does not run cannot be asked.
    let Lab { gateway, site, sshd: _sshd, .. } = lab;
    gateway.stop(MINUTE);
    let asked = sallyport(
        &[
            "lock",
            "add",
            "user:bob",
            "--reason",
            "x",
            "--config",
            path(&config),
            "--identity",
            path(&site.identity("ada")),
        ],
        b"",
    );
    assert_eq!(asked.code(), 4, "{}", asked.all());
}

#[test]
fn the_authority_renews_what_runs_out() {
    need!("openssl");
    let site = crate::harness::gateway::Site::new();
    let root = site.path();
    let end = |file: &str, kind: &str, field: &str| {
        must(Command::new("openssl").args([kind, "-noout", field, "-in"]).arg(root.join(file)))
    };
    let serial = end("gateway/server.pem", "x509", "-serial");
    let number = end("ca/crl.pem", "crl", "-crlnumber");
    let refreshed = sallyport(&["ca", "refresh-crl", path(&root)], b"").ok();
    assert!(refreshed.text().starts_with("the revocation list is good until "), "{}", refreshed.text());
    assert_ne!(end("ca/crl.pem", "crl", "-crlnumber"), number);
    let renewed = sallyport(&["ca", "renew-server", path(&root)], b"").ok();
    assert!(renewed.text().starts_with("the gateway's certificate is good until "), "{}", renewed.text());
    assert_ne!(end("gateway/server.pem", "x509", "-serial"), serial);
    let text = end("gateway/server.pem", "x509", "-text");
    assert!(text.contains("DNS:sallyport.carrier.example"), "it is for the same names: {text}");
    site.write_policies();
    site.sallyport(&["check"]).ok();
    assert_eq!(sallyport(&["ca", "refresh-crl", "/nonexistent"], b"").code(), 2);
    assert_eq!(
        sallyport(&["ca", "init", path(&root), "--trust-domain", "carrier.example"], b"").code(),
        2,
        "nothing is overwritten"
    );
    for wrong in [&["--ttl", "31d"][..], &["--ttl", "0s"], &["--device", "a b"], &["--source-address", "here"]] {
        let ran = sallyport(&[&["ca", "issue", path(&root), "user", "x"], wrong].concat(), b"");
        assert_eq!(ran.code(), 2, "{wrong:?}: {}", ran.all());
    }
}
