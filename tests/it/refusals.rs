//! Whatever is said no to is on record: who, why, and how often, however fast it comes.

use std::process::Command;

use serde_json::Value;

use crate::clients::proxy_to;
use crate::harness::client::{MINUTE, Ran, run};
use crate::harness::element::{Profile, keygen};
use crate::harness::gateway::{SALLYPORT, Site};
use crate::harness::lab::Lab;
use crate::harness::{SOON, account, data, must, need, venv, wait_for, wait_until};

/// `data/hostile.py` by `way`, which is a ProxyCommand or a port.
fn hostile(way: &str, user: &str, how: &[&str]) -> Ran {
    let mut command = Command::new(venv("clients", "python"));
    command.arg(data("hostile.py")).args([way, user]).args(how);
    run(&mut command, Vec::new(), 2 * MINUTE)
}

fn as_identity(lab: &Lab, identity: &str, how: &[&str]) -> Ran {
    hostile(&proxy_to(&lab.gateway, &lab.site.identity(identity), "linux-1"), &account(), how)
}

/// The events of one kind, without their envelope.
fn events(site: &Site, kind: &str) -> Vec<Value> {
    site.events().into_iter().map(|e| e["event"].clone()).filter(|e| e["event"] == kind).collect()
}

/// Waits for a refusal of `identity` whose reason holds `reason`.
#[track_caller]
fn refused(site: &Site, identity: Option<&str>, reason: &str) {
    let identity = identity.map(|name| format!("spiffe://carrier.example/user/{name}"));
    let found = |e: &Value| {
        e["identity"].as_str() == identity.as_deref() && e["reason"].as_str().is_some_and(|r| r.contains(reason))
    };
    wait_until(&format!("a refusal of {identity:?} with `{reason}`"), SOON, || {
        events(site, "refused").iter().any(found)
    });
}

#[test]
fn guesses_at_the_ssh_door_are_on_record_and_counted() {
    need!("python:clients");
    let mut site = Site::new();
    site.let_read("ada");
    let gateway = site.start();
    let ran = hostile(&gateway.ssh.to_string(), "root\u{1b}[2J", &["guess"]);
    assert_eq!(ran.text(), "password refused\ndialogue refused\n", "{}", ran.errors());
    refused(&site, None, "a password for `root\\u{1b}[2J`");
    refused(&site, None, "a dialogue for `root\\u{1b}[2J`");
    let (_, metrics) = gateway.http("/metrics");
    let counted = metrics.lines().find(|l| l.starts_with("sallyport_refusals_total{stage=\"ssh-authentication\"}"));
    let count: f64 = counted.and_then(|l| l.split(' ').nth(1)?.parse().ok()).expect("a count");
    assert!(count >= 2.0, "{metrics}");
}

#[test]
fn a_refused_credential_is_logged_with_its_owner() {
    need!("sshd", "python3");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.issue("bob", &[]);
        site.issue("carol", &[]);
    });
    must(Command::new(SALLYPORT).args(["ca", "revoke"]).arg(lab.site.path()).arg("bob"));
    lab.site.as_ada(&["lock", "add", "user:carol", "--reason", "left"]).ok();
    for name in ["bob", "carol"] {
        for way in [lab.gateway.client(name, "linux-1"), lab.gateway.ssh_door(name, "linux-1", true)] {
            wait_until("it is refused", SOON, || way.run(&["true"]).code() != 0);
        }
    }
    refused(&lab.site, Some("bob"), "revoked; the certificate is x509:");
    refused(&lab.site, Some("carol"), "the identity is locked: user:carol: left; the certificate is x509:");
    refused(&lab.site, Some("bob"), "revoked; the certificate is spiffe://carrier.example/user/bob/");
    refused(&lab.site, Some("carol"), "left; the certificate is spiffe://carrier.example/user/carol/");
    // OpenSSH offers the key without its certificate too.
    let mut strangers = events(&lab.site, "refused");
    strangers.retain(|e| e["identity"].is_null() && e["reason"].as_str().is_some_and(|r| !r.contains("a bare key")));
    assert!(strangers.is_empty(), "each is known: {strangers:?}");
}

#[test]
fn a_claim_is_not_taken_for_its_owner() {
    need!("sshd");
    let lab = Lab::start();
    let (dir, id) = (lab.site.scratch(), "spiffe://carrier.example/user/ada");
    let own_ca = dir.join("own_ca");
    keygen(&own_ca, &["-t", "ed25519"]);
    let key = crate::harness::pki::ssh(&dir, "forged", &own_ca, &["-I", id, "-n", "ada", "-V", "+1h"]);
    let mut door = lab.gateway.ssh_door("ada", "linux-1", true);
    let text = std::fs::read_to_string(&door.config).expect("written");
    let ours = lab.site.identity("ada").join("ssh_key");
    door.config = dir.join("forged.conf");
    std::fs::write(&door.config, text.replace(&*ours.to_string_lossy(), &key.to_string_lossy())).expect("a file");
    assert_eq!(door.run(&["true"]).code(), 255);
    refused(&lab.site, None, "the certificate claims spiffe://carrier.example/user/ada/");
}

#[test]
fn a_foreign_key_inside_the_mtls_door_is_on_record_at_once() {
    need!("sshd", "python:clients");
    let lab = Lab::start();
    let key = lab.site.scratch().join("foreign");
    keygen(&key, &["-t", "ed25519"]);
    let shown = must(Command::new("ssh-keygen").arg("-lf").arg(key.with_extension("pub")));
    let fingerprint = shown.split_whitespace().nth(1).expect("its second word");
    let ran = crate::clients::paramiko(&lab, "ada", &key);
    assert_eq!(ran.code(), 77, "{}", ran.all());
    refused(&lab.site, Some("ada"), fingerprint);
}

#[test]
fn what_cannot_be_decided_is_denied_on_record() {
    need!("sshd", "python:clients");
    let lab = Lab::with(Profile::Modern, "", |site| {
        for (verb, object) in [("ssh.forward", "*:22"), ("ssh.listen", "*:*")] {
            site.row(&format!("p, user:ada, element:linux-1, *, {verb}, {object}, allow"));
        }
    });
    let ran = as_identity(&lab, "ada", &["malformed"]);
    assert_eq!(ran.text(), "126\n126\nrefused\nrefused\nrefused\n", "{}", ran.errors());
    let by_gateway = || {
        let mut denied = events(&lab.site, "denied");
        denied.retain(|e| e["decision"]["reason"]["kind"] == "gateway");
        (denied.len() >= 5).then_some(denied)
    };
    let denied = wait_for("five denials", SOON, by_gateway);
    for (verb, object, why) in [
        ("ssh.exec", "echo \\xff", "not text in UTF-8"),
        ("ssh.exec", "bytes in all, SHA-256", "longer than"),
        ("ssh.forward", "127.0.0.1:22", "would hide a session"),
        ("ssh.forward", "a b:80", "not a host name"),
        ("ssh.listen", "a b:80", "not a host name"),
    ] {
        let found = denied.iter().any(|e| {
            let action = &e["request"]["action"];
            action["verb"] == verb
                && action["object"].as_str().is_some_and(|o| o.contains(object))
                && e["decision"]["reason"]["detail"].as_str().is_some_and(|d| d.contains(why))
        });
        assert!(found, "{verb} {object}: {denied:?}");
    }
}

#[test]
fn a_flood_of_denials_is_counted_to_the_last() {
    need!("sshd", "python:clients");
    const ASKED: u64 = 400;
    let lab = Lab::with(Profile::Modern, "", |site| drop(site.issue("outsider", &[])));
    let ran = as_identity(&lab, "outsider", &["knock", &ASKED.to_string()]);
    assert_eq!(ran.text(), format!("denied {ASKED}\n"), "{}", ran.errors());
    let Lab { gateway, site, .. } = lab;
    assert!(gateway.stop(MINUTE).success());
    let logged = events(&site, "denied").len() as u64;
    let omitted: Vec<Value> = events(&site, "omitted");
    let counted: u64 = omitted.iter().filter_map(|e| e["denied"].as_u64()).sum();
    assert!(logged < ASKED / 2, "{logged} of {ASKED} were logged one by one");
    assert_eq!(logged + counted, ASKED, "{omitted:?}");
    assert!(omitted.iter().all(|e| e["identity"] == "spiffe://carrier.example/user/outsider"), "{omitted:?}");
}
