//! What operators see: metrics, health, readiness, drain; and what outside judges say of the doors.

use std::process::Command;

use crate::harness::client::{Live, MINUTE, run};
use crate::harness::element::Profile;
use crate::harness::gateway::{DOMAIN, Gateway, Site};
use crate::harness::lab::Lab;
use crate::harness::{SOON, need, venv, wait_until};

#[test]
fn ssh_audit_finds_nothing_to_fail() {
    need!("python:scanners");
    let site = Site::new();
    let gateway = site.start();
    let mut audit = Command::new(venv("scanners", "ssh-audit"));
    let ran = run(audit.args(["-n", "-b", "-p", &gateway.ssh.to_string(), "127.0.0.1"]), Vec::new(), 2 * MINUTE);
    assert!(ran.text().contains("(kex) "), "it judged nothing: {}{}", ran.text(), ran.errors());
    let failed: Vec<_> = ran.text().lines().filter(|l| l.contains("[fail]")).map(str::to_owned).collect();
    assert!(failed.is_empty() && ran.code() != 3, "{failed:#?}");
    assert!(!ran.text().contains("vulnerable to the Terrapin"), "{}", ran.text());
    assert!(ran.text().contains("compression: disabled"), "{}", ran.text());
    assert!(ran.text().contains("kex-strict-s-v00@openssh.com"), "strict key exchange is offered: {}", ran.text());
}

#[test]
fn sslyze_finds_mozillas_modern_profile() {
    need!("python:scanners");
    let site = Site::new();
    let gateway = site.start();
    let mut sslyze = Command::new(venv("scanners", "sslyze"));
    sslyze
        .args(["--mozilla_config=modern", "--sni", DOMAIN, "--certinfo_ca_file"])
        .arg(site.path().join("ca/x509_ca.pem"));
    let ran = run(sslyze.arg(gateway.address()), Vec::new(), 3 * MINUTE);
    assert!(ran.text().contains(": OK - Compliant"), "{}{}", ran.text(), ran.errors());
    assert_eq!(ran.code(), 0, "{}", ran.text());
}

#[test]
fn metrics_pass_promtool() {
    need!("sshd", "promtool");
    let lab = Lab::start();
    lab.pair.gateway.run(&["true"]).ok();
    lab.site.closed_session();
    let (status, body) = lab.gateway.http("/metrics");
    assert!(status.contains(" 200 "), "{status}");
    let ran = run(Command::new("promtool").args(["check", "metrics"]), body.clone().into_bytes(), MINUTE);
    assert_eq!(ran.facts(), (0, String::new(), String::new()));
    assert!(
        body.lines().any(|l| l.starts_with("sallyport_sessions_total{") && l.contains("client-closed")
            || l.contains("element-closed")),
        "{body}"
    );
    assert_eq!(metric(&lab.gateway, "sallyport_ready"), 1.0);
    for secret in ["ada", "linux-1"] {
        assert!(!body.contains(secret), "labels name nobody and nothing: {body}");
    }
}

/// The value of a metric, its labels as they are written.
fn metric(gateway: &Gateway, name: &str) -> f64 {
    let (_, body) = gateway.http("/metrics");
    let value = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {body}")).parse().expect("a number")
}

#[test]
fn every_decision_that_somebody_gets_is_counted() {
    need!("sshd");
    let lab = Lab::start();
    let allowed = || metric(&lab.gateway, "sallyport_decisions_total{effect=\"allow\"}");
    let socket = lab.site.scratch().join("master");
    let control = format!("ControlPath={}", socket.display());
    let options = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", &control];
    lab.pair.gateway.feed(&options, &["true"], Vec::new()).ok();
    let before = allowed();
    assert!(before >= 1.0, "the one that opened the session");
    for channel in 1..=3_u8 {
        lab.pair.gateway.feed(&options, &["true"], Vec::new()).ok();
        assert_eq!(allowed(), before + f64::from(channel), "each further channel of the session is one");
    }
    lab.pair.gateway.feed(&["-o", &control, "-O", "exit"], &[], Vec::new()).ok();
    assert_ne!(lab.gateway.client("ada", "no-such-element").run(&["true"]).code(), 0);
    assert_eq!(metric(&lab.gateway, "sallyport_decisions_total{effect=\"deny\"}"), 1.0);
    assert_eq!(metric(&lab.gateway, "sallyport_policy_engine_disagreements_total"), 0.0);
    assert_eq!(metric(&lab.gateway, "sallyport_alarms_total"), 0.0);
}

#[test]
fn health_and_readiness_answer() {
    let site = Site::new();
    let gateway = site.start();
    for path in ["/healthz", "/readyz"] {
        let (status, body) = gateway.http(path);
        assert!(status.contains(" 200 "), "{path}: {status} {body}");
    }
    assert!(gateway.http("/nothing-here").0.contains(" 404 "));
}

#[test]
fn a_stop_drains() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "drain_grace_ms", 3000));
    let dir = lab.site.scratch();
    let mut live = Live::start(&lab.pair.gateway, &dir, "live", &[], "echo up; sleep 600", "up");
    assert_eq!(metric(&lab.gateway, "sallyport_ready"), 1.0);
    lab.gateway.process.signal("TERM");
    wait_until("new ones are refused", SOON, || lab.pair.gateway.run(&["true"]).code() != 0);
    // As long as the session has its grace, the metrics say what /readyz says.
    assert!(lab.gateway.http("/readyz").0.contains(" 503 "));
    assert_eq!(metric(&lab.gateway, "sallyport_ready"), 0.0);
    live.ends_within(SOON);
    let Lab { mut gateway, site, sshd: _sshd, .. } = lab;
    let status = gateway.process.ended(SOON);
    assert_eq!(status.code(), Some(0), "{}", gateway.process.err());
    let session = site.closed_session();
    assert_eq!(session["outcome"], "shutdown", "{session}");
    site.verify(&[&site.path().join("data/audit"), &site.recording(&session)]).ok();
}

#[test]
fn a_short_session_may_finish_while_draining() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "drain_grace_ms", 20_000));
    let dir = lab.site.scratch();
    let mut live = Live::start(&lab.pair.gateway, &dir, "live", &[], "echo up; sleep 2; echo finished", "up");
    lab.gateway.process.signal("TERM");
    live.ends_within(SOON);
    assert!(live.process.out().contains("finished"), "{}", live.process.err());
    let Lab { mut gateway, site, sshd: _sshd, .. } = lab;
    assert_eq!(gateway.process.ended(SOON).code(), Some(0));
    let outcome = site.closed_session()["outcome"].clone();
    assert!(outcome == "client-closed" || outcome == "element-closed", "{outcome}");
}

#[test]
fn check_reports_every_mistake_and_serve_refuses() {
    let mut site = Site::new();
    site.row("p, user:ada, element:nowhere, *, ssh.exec, *, perhaps");
    site.row("p, ada, linux-1");
    site.write_policies();
    let checked = site.sallyport(&["check"]);
    assert_eq!(checked.code(), 2, "{}", checked.errors());
    let said = checked.all();
    for line in ["policy.csv:1", "policy.csv:2"] {
        assert!(said.contains(line), "{line} is not named in: {said}");
    }
    let served = site.sallyport(&["serve"]);
    assert_eq!(served.code(), 2, "no loadable policy, no start");
    assert!(!served.text().contains("listening"), "{}", served.text());
}
