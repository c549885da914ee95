//! Certificates, authorities and revocation lists of a running gateway: taken up without a restart, and live sessions obey.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::harness::client::{Live, MINUTE, run};
use crate::harness::gateway::{DOMAIN, Gateway, SALLYPORT, replace};
use crate::harness::lab::Lab;
use crate::harness::{SOON, must, need, pki, wait_for, wait_until};

fn live(lab: &Lab, name: &str, way: &crate::harness::client::Ssh) -> Live {
    Live::start(way, &lab.site.scratch(), name, &["-tt"], "while :; do echo tick; sleep 0.1; done", "tick")
}

/// The events of one kind.
fn told(lab: &Lab, kind: &str) -> Vec<serde_json::Value> {
    lab.site.events().into_iter().map(|e| e["event"].clone()).filter(|e| e["event"] == kind).collect()
}

/// The serial number of the certificate that the mTLS door shows.
fn shown(lab: &Lab, gateway: &Gateway) -> String {
    let id = lab.site.identity("ada");
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &gateway.address(), "-servername", DOMAIN, "-alpn", "ssh", "-cert"]);
    command.arg(id.join("cert.pem")).arg("-key").arg(id.join("key.pem"));
    let seen = run(&mut command, Vec::new(), MINUTE);
    let parsed = run(Command::new("openssl").args(["x509", "-noout", "-serial"]), seen.out, MINUTE);
    parsed.ok().text()
}

#[test]
fn a_new_server_certificate_is_shown_at_once_and_disturbs_nobody() {
    need!("sshd", "openssl");
    let lab = Lab::start();
    let mut session = live(&lab, "live", &lab.pair.gateway);
    let before = shown(&lab, &lab.gateway);
    must(Command::new(SALLYPORT).args(["ca", "renew-server"]).arg(lab.site.path()));
    wait_until("the new certificate is shown", SOON, || shown(&lab, &lab.gateway) != before);
    assert_eq!(lab.pair.gateway.run(&["echo still"]).text(), "still\n");
    assert!(session.process.running(), "a live session goes on");
    // One for another name does not replace it.
    let after = shown(&lab, &lab.gateway);
    let certificate = lab.site.path().join("gateway/server.pem");
    let stranger = pki::x509(&lab.site, "stranger", "subjectAltName=DNS:other.example\nextendedKeyUsage=serverAuth\n");
    fs::copy(&stranger.key, lab.site.path().join("gateway/server.key.pem")).expect("a file");
    replace(&certificate, &fs::read_to_string(&stranger.cert).expect("a certificate"));
    let refused = wait_for("the refusal is on record", SOON, || told(&lab, "trust-rejected").pop());
    assert!(refused["problem"].as_str().is_some_and(|p| p.contains(&format!("not for `{DOMAIN}`"))), "{refused}");
    assert_eq!(shown(&lab, &lab.gateway), after);
}

#[test]
fn an_authority_that_is_taken_out_ends_the_sessions_of_its_identities() {
    need!("sshd", "openssl");
    let lab = Lab::start();
    let (ca, crl) = (lab.site.path().join("ca/x509_ca.pem"), lab.site.path().join("ca/crl.pem"));
    // Another authority beside ours: nothing changes for anybody.
    let other = crate::harness::gateway::Site::new();
    let both = |file: &std::path::Path| {
        let name = file.file_name().expect("a file");
        let theirs = fs::read_to_string(other.path().join("ca").join(name)).expect("a file");
        (fs::read_to_string(file).expect("a file"), theirs)
    };
    let ((our_ca, their_ca), (our_crl, their_crl)) = (both(&ca), both(&crl));
    let mut session = live(&lab, "live", &lab.pair.gateway);
    replace(&crl, &format!("{our_crl}{their_crl}"));
    replace(&ca, &format!("{our_ca}{their_ca}"));
    wait_until("the bundle is in force", SOON, || !told(&lab, "trust-loaded").is_empty());
    assert_eq!(lab.pair.gateway.run(&["echo still"]).text(), "still\n");
    assert!(session.process.running());
    // Ours is taken out.
    replace(&ca, &their_ca);
    session.ends_within(SOON);
    let said = session.process.all();
    assert!(said.contains("can no longer verify your certificate"), "{said}");
    assert_ne!(lab.pair.gateway.run(&["true"]).code(), 0);
    replace(&ca, &format!("{our_ca}{their_ca}"));
    wait_until("it is trusted again", SOON, || lab.pair.gateway.run(&["true"]).code() == 0);
    let closed = told(&lab, "session-closed").into_iter().find(|e| e["outcome"] == "untrusted");
    let closed = closed.expect("an end of its own, which is no revocation");
    assert!(closed["detail"].as_str().is_some_and(|why| why.contains("not issued by an authority")), "{closed}");
}

#[test]
fn a_revocation_list_that_runs_out_ends_sessions_and_admits_nobody() {
    need!("sshd", "openssl");
    let lab = Lab::start();
    let mut session = live(&lab, "mtls", &lab.pair.gateway);
    // The SSH door has a list of its own, which has no end.
    let mut ssh = live(&lab, "ssh", &lab.gateway.ssh_door("ada", "linux-1", true));
    let short = pki::crl(&lab.site, Duration::from_secs(12));
    replace(&lab.site.path().join("ca/crl.pem"), &short);
    session.ends_within(MINUTE);
    let said = session.process.all();
    assert!(said.contains("can no longer verify your certificate"), "{said}");
    assert!(ssh.process.running(), "SSH certificates are not on that list");
    assert_ne!(lab.pair.gateway.run(&["true"]).code(), 0, "nobody is admitted by a list that has run out");
    must(Command::new(SALLYPORT).args(["ca", "refresh-crl"]).arg(lab.site.path()));
    wait_until("a new list mends it", SOON, || lab.pair.gateway.run(&["true"]).code() == 0);
    assert!(told(&lab, "trust-loaded").len() >= 2, "the short one and the new one were both taken up");
    let closed =
        told(&lab, "session-closed").into_iter().find(|e| e["outcome"] == "untrusted").expect("an end of its own");
    assert!(closed["detail"].as_str().is_some_and(|why| why.contains("refresh-crl")), "{closed}");
    // One that has run out already does not replace one that has not.
    replace(&lab.site.path().join("ca/crl.pem"), &short);
    wait_until("the refusal is on record", SOON, || !told(&lab, "trust-rejected").is_empty());
    assert_eq!(lab.pair.gateway.run(&["echo still"]).text(), "still\n");
}
