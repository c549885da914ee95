//! Live sessions obey at once: a policy edit, a lock, a revocation, an expiry and the end of a window each end them with their own Outcome.

use std::path::PathBuf;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::harness::client::{Live, MINUTE};
use crate::harness::element::Profile;
use crate::harness::gateway::{SALLYPORT, replace};
use crate::harness::lab::Lab;
use crate::harness::{SOON, must, need, wait_for, wait_until};

/// What "within a second" is given on a machine that runs other tests at the same time. It is measured where it is promised: from
/// the writing of a file to an entry of the gateway's log, and to the next; clients, terminals and this test take no part in it.
const PROMPTLY: Duration = Duration::from_secs(3);

fn live(lab: &Lab, name: &str) -> Live {
    Live::start(
        &lab.pair.gateway,
        &lab.site.scratch(),
        name,
        &["-tt"],
        "while :; do echo tick; sleep 0.1; done",
        "tick",
    )
}

/// The session ends promptly, the person is told `why`, and the list says `outcome`.
#[track_caller]
fn ends(lab: &Lab, live: &mut Live, outcome: &str, why: &str) {
    ends_as(lab, live, outcome, why, 1);
}

/// The same, as the `expected`th with that outcome.
#[track_caller]
fn ends_as(lab: &Lab, live: &mut Live, outcome: &str, why: &str, expected: usize) {
    live.ends_within(MINUTE);
    let told = live.process.all();
    assert!(told.contains(why), "the person reads `{why}`: {told}");
    let closed = |s: &serde_json::Value| !s["closed_at"].is_null() && s["outcome"] == outcome;
    wait_until(&format!("a session is listed as {outcome}"), SOON, || {
        lab.site.sessions().iter().filter(|s| closed(s)).count() == expected
    });
    let (caused, ended) = (last(lab, cause(outcome)), last(lab, "session-closed"));
    if let Some(written) = written(lab, outcome) {
        assert!((caused - written).unsigned_abs() < PROMPTLY, "written at {written}, noticed at {caused}");
    }
    assert!((ended - caused).unsigned_abs() < PROMPTLY, "caused at {caused}, ended at {ended}");
}

/// When the files that say so were last written.
fn written(lab: &Lab, outcome: &str) -> Option<OffsetDateTime> {
    let site = lab.site.path();
    let files = match outcome {
        "locked" => vec![site.join("data/locks.json")],
        "policy-denies" => ["policy.csv", "elements.toml", "cases.toml"].map(|f| site.join("policies").join(f)).into(),
        "revoked" => ["crl.pem", "ssh_revoked"].map(|f| site.join("ca").join(f)).into(),
        _ => return None,
    };
    let at = |file: &PathBuf| {
        std::fs::metadata(file).and_then(|m| m.modified()).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
    };
    files.iter().map(at).max().map(OffsetDateTime::from)
}

/// The entry of the log that announces what ends a session so.
fn cause(outcome: &str) -> &'static str {
    match outcome {
        "locked" => "lock-added",
        "policy-denies" => "policy-loaded",
        "revoked" => "trust-loaded",
        "terminated" => "session-terminated",
        other => panic!("what ends a session as {other}?"),
    }
}

/// When the last event of that kind was logged.
fn last(lab: &Lab, kind: &str) -> OffsetDateTime {
    let events = lab.site.events();
    let event = events.iter().rfind(|e| e["event"]["event"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    moment(&event["at"])
}

fn moment(text: &serde_json::Value) -> OffsetDateTime {
    OffsetDateTime::parse(text.as_str().expect("a moment"), &Rfc3339).expect("RFC 3339")
}

#[test]
fn a_policy_edit_ends_what_it_no_longer_allows() {
    need!("sshd");
    let mut lab = Lab::start();
    let mut session = live(&lab, "live");
    let rows = lab.site.current_rows();
    let kept: Vec<_> = rows.iter().filter(|r| !r.contains("ssh.exec")).cloned().collect();
    lab.site.set_rows(kept);
    ends(&lab, &mut session, "policy-denies", "the policy no longer allows this");
    assert_ne!(lab.pair.gateway.run(&["true"]).code(), 0);
    lab.site.set_rows(rows);
    wait_until("it is allowed again", SOON, || lab.pair.gateway.run(&["true"]).code() == 0);
}

#[test]
fn an_element_is_reached_by_the_protocols_it_is_listed_with() {
    need!("sshd");
    let lab = Lab::start();
    let file = lab.site.path().join("policies/elements.toml");
    let listed = |protocols: &str| {
        let text = std::fs::read_to_string(&file).expect("written by the harness");
        let line = text.lines().find(|l| l.starts_with("protocols")).expect("a line").to_owned();
        replace(&file, &text.replace(&line, &format!("protocols = [{protocols}]")));
    };
    let mut session = live(&lab, "live");
    // Policy allows as before; the inventory says that nobody speaks SSH to it.
    listed("\"netconf\", \"tacacs\"");
    ends(&lab, &mut session, "policy-denies", "the policy no longer allows this");
    let refused = lab.pair.gateway.run(&["echo reached"]);
    assert!(refused.code() != 0 && refused.text().is_empty(), "{}", refused.text());
    let reason =
        lab.site.events().iter().rev().find(|e| e.to_string().contains("\"refused\"")).map(ToString::to_string);
    assert!(reason.as_ref().is_some_and(|r| r.contains("`protocols`")), "the log says why: {reason:?}");
    listed("\"netconf\", \"ssh\"");
    wait_until("it is reached again", SOON, || lab.pair.gateway.run(&["true"]).code() == 0);
}

/// The position of the first event in the log of which `is` holds.
#[track_caller]
fn position(events: &[serde_json::Value], what: &str, is: impl Fn(&serde_json::Value) -> bool) -> usize {
    events.iter().position(|e| is(&e["event"])).unwrap_or_else(|| panic!("no {what} in {events:#?}"))
}

#[test]
fn a_lock_does_not_wait_for_a_large_set_to_be_compiled() {
    need!("sshd");
    let mut lab = Lab::start();
    let mut session = live(&lab, "live");
    let mut rows = lab.site.current_rows();
    rows.extend((0..60_000).map(|n| format!("p, user:u{n}, element:linux-1, *, ssh.exec, show area{n} *, allow")));
    lab.site.set_rows(rows);
    // Long enough for the gateway to have begun, and much less than it takes to compile the set.
    for n in 0..20 {
        lab.site.sallyport(&["lock", "add", &format!("element:other-{n}"), "--reason", "not this one"]).ok();
    }
    lab.site.sallyport(&["lock", "add", "user:ada", "--reason", "left the company"]).ok();
    session.ends_within(SOON);
    assert!(session.process.all().contains("locked"), "{}", session.process.all());
    lab.site.sallyport(&["lock", "remove", "user:ada"]).ok();
    let events = wait_for("the large set is in force", MINUTE, || {
        let ran = lab.site.as_ada(&["audit", "export"]);
        let events: Vec<serde_json::Value> =
            ran.text().lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        events.iter().any(|e| e["event"]["event"] == "policy-loaded").then_some(events)
    });
    let closed = position(&events, "closed session", |e| e["event"] == "session-closed" && e["outcome"] == "locked");
    let loaded = position(&events, "loaded set", |e| e["event"] == "policy-loaded");
    assert!(closed < loaded, "the session ended while the set was being compiled");
}

#[test]
fn a_policy_folder_that_is_swapped_is_followed() {
    need!("sshd");
    let lab = Lab::start();
    let root = lab.site.path();
    let policies = root.join("policies");
    let allows = |allowed: bool| {
        let what = format!("it is {}", if allowed { "allowed" } else { "denied" });
        // Less than the time after which files are read again in any case.
        wait_until(&what, SOON, || (lab.pair.gateway.run(&["true"]).code() == 0) == allowed);
    };
    let copy = |to: &str| must(std::process::Command::new("cp").arg("-r").arg(&policies).arg(root.join(to)));
    let deny = "p, *, element:linux-1, *, ssh.exec, *, deny\n";
    copy("closed");
    copy("open");
    let rows = std::fs::read_to_string(root.join("closed/policy.csv")).expect("a copy");
    std::fs::write(root.join("closed/policy.csv"), format!("{rows}{deny}")).expect("a file");
    allows(true);
    // By renaming, twice in a row.
    let swap = |with: &str, away: &str| {
        std::fs::rename(&policies, root.join(away)).expect("a folder");
        std::fs::rename(root.join(with), &policies).expect("a folder");
    };
    swap("closed", "first");
    allows(false);
    replace(&policies.join("policy.csv"), &rows);
    allows(true);
    // By a link, and an edit behind it.
    std::fs::rename(&policies, root.join("plain")).expect("a folder");
    std::fs::write(root.join("open/policy.csv"), format!("{rows}{deny}")).expect("a file");
    std::os::unix::fs::symlink("open", &policies).expect("a link");
    allows(false);
    replace(&root.join("open/policy.csv"), &rows);
    allows(true);
    // Another folder behind the link.
    std::fs::write(root.join("plain/policy.csv"), format!("{rows}{deny}")).expect("a file");
    std::os::unix::fs::symlink("plain", root.join("next")).expect("a link");
    std::fs::rename(root.join("next"), &policies).expect("a link");
    allows(false);
}

#[test]
fn an_edit_that_still_allows_touches_nobody() {
    need!("sshd");
    let mut lab = Lab::start();
    let mut session = live(&lab, "live");
    let loaded = |lab: &Lab| lab.site.events().iter().filter(|e| e.to_string().contains("policy-loaded")).count();
    let before = loaded(&lab);
    let mut rows = lab.site.current_rows();
    rows.push("p, user:eve, element:linux-1, *, ssh.exec, uptime, allow".to_owned());
    lab.site.set_rows(rows);
    wait_until("the set is in force", SOON, || loaded(&lab) > before);
    assert!(session.process.running());
}

#[test]
fn a_broken_edit_keeps_the_last_good_set() {
    need!("sshd");
    let lab = Lab::start();
    let mut session = live(&lab, "live");
    replace(&lab.site.path().join("policies/policy.csv"), "this is no policy\n");
    wait_until("the refusal is on record", SOON, || {
        lab.site.events().iter().any(|e| e.to_string().contains("policy-rejected"))
    });
    assert!(session.process.running(), "a live session goes on");
    assert_eq!(lab.pair.gateway.run(&["echo still"]).text(), "still\n");
    let (_, metrics) = lab.gateway.http("/metrics");
    assert!(
        metrics.lines().any(|l| l.starts_with("sallyport_policy_reloads_total{") && !l.ends_with(" 0")),
        "{metrics}"
    );
    // A failing case refuses the set as well.
    lab.site.write_policies();
    replace(
        &lab.site.path().join("policies/cases.toml"),
        "[[case]]\nname = \"nobody may\"\nwho = \"user:ada\"\nelement = \"linux-1\"\nverb = \"ssh.exec\"\nobject = \"true\"\nexpect = \"deny\"\n",
    );
    wait_until("the failing case is on record", SOON, || {
        lab.site.events().iter().any(|e| e.to_string().contains("nobody may"))
    });
    assert_eq!(lab.pair.gateway.run(&["echo still"]).text(), "still\n");
}

#[test]
fn a_lock_ends_and_refuses() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.issue("bob", &[]);
        site.grant("bob", "linux-1");
    });
    let mut bob = Live::start(
        &lab.gateway.client("bob", "linux-1"),
        &lab.site.scratch(),
        "bob",
        &["-tt"],
        "while :; do echo tick; sleep 0.1; done",
        "tick",
    );
    let mut ada = live(&lab, "ada");
    lab.site.sallyport(&["lock", "add", "user:bob", "--reason", "left the company"]).ok();
    ends(&lab, &mut bob, "locked", "locked");
    assert!(ada.process.running(), "nobody else is touched");
    assert_ne!(lab.gateway.client("bob", "linux-1").run(&["true"]).code(), 0);
    let listed = lab.site.sallyport(&["lock", "list", "--json"]).ok().text();
    assert!(listed.contains("left the company"), "{listed}");
    lab.site.sallyport(&["lock", "remove", "user:bob"]).ok();
    wait_until("bob is back", SOON, || lab.gateway.client("bob", "linux-1").run(&["true"]).code() == 0);
    lab.site.sallyport(&["lock", "add", "element:linux-1", "--reason", "maintenance"]).ok();
    ends_as(&lab, &mut ada, "locked", "locked", 2);
}

#[test]
fn a_revocation_ends_live_sessions() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.issue("bob", &[]);
        site.grant("bob", "linux-1");
    });
    let ways = [("tls", lab.gateway.client("bob", "linux-1")), ("ssh", lab.gateway.ssh_door("bob", "linux-1", true))];
    for (round, (name, way)) in ways.into_iter().enumerate() {
        lab.site.issue("bob", &[]);
        let way = wait_for("bob is let in", SOON, || (way.run(&["true"]).code() == 0).then(|| way.clone()));
        let mut bob =
            Live::start(&way, &lab.site.scratch(), name, &["-tt"], "while :; do echo tick; sleep 0.1; done", "tick");
        must(std::process::Command::new(SALLYPORT).args(["ca", "revoke"]).arg(lab.site.path()).arg("bob"));
        ends_as(&lab, &mut bob, "revoked", "revoked", round + 1);
    }
}

#[test]
fn a_certificate_that_runs_out_ends_live_sessions() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.grant("brief", "linux-1"));
    // Long enough to log in with, however busy the machine is.
    let mut session = ["6s", "20s", "60s"]
        .into_iter()
        .find_map(|ttl| {
            lab.site.issue("brief", &["--ttl", ttl]);
            let way = lab.gateway.client("brief", "linux-1");
            let remote = "while :; do echo tick; sleep 0.1; done";
            Live::try_start(&way, &lab.site.scratch(), "brief", &["-tt"], remote, "tick")
        })
        .expect("a login within a minute");
    session.ends_within(2 * MINUTE);
    let told = session.process.all();
    assert!(told.contains("run out"), "{told}");
    assert_eq!(lab.site.closed_session()["outcome"], "expired");
}

#[test]
fn a_time_limit_ends_live_sessions() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.row("p2, user:ada, element:linux-1, *, ssh.exec, *, max:3s"));
    let mut session = live(&lab, "live");
    session.ends_within(SOON);
    let outcome = lab.site.closed_session()["outcome"].clone();
    assert!(outcome == "policy-denies" || outcome == "expired", "{outcome}");
    assert_eq!(lab.pair.gateway.run(&["echo again"]).text(), "again\n", "a new one may be opened");
}

#[test]
fn the_edge_of_a_window_ends_live_sessions() {
    need!("sshd");
    // The next full minute that is far enough away to log in before it; the window began six hours before that, perhaps yesterday.
    let now = OffsetDateTime::now_utc() + Duration::from_secs(20);
    let edge = now + Duration::from_secs(60 - u64::from(now.second()));
    let edge = edge.replace_nanosecond(0).expect("a moment");
    let begin = edge - Duration::from_secs(6 * 3600);
    let clock = |at: OffsetDateTime| format!("{:02}:{:02}", at.hour(), at.minute());
    let window = format!("window:daily {}-{} UTC", clock(begin), clock(edge));
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.row(&format!("p2, user:ada, element:linux-1, *, ssh.exec, *, {window}"))
    });
    let mut session = live(&lab, "live");
    session.ends_within(2 * MINUTE);
    let closed = lab.site.closed_session();
    assert_eq!(closed["outcome"], "policy-denies");
    let ended = moment(&closed["closed_at"]);
    assert!(ended >= edge && ended < edge + PROMPTLY, "it ended at {ended}, the edge is {edge}");
    let again = lab.pair.gateway.run(&["true"]);
    assert!(again.code() != 0 && again.errors().contains("window"), "{}", again.errors());
}

#[test]
fn an_idle_session_ends() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "idle_timeout", "2s"));
    let mut quiet = Live::start(&lab.pair.gateway, &lab.site.scratch(), "quiet", &["-tt"], "echo up; sleep 600", "up");
    quiet.ends_within(SOON);
    assert_eq!(lab.site.closed_session()["outcome"], "idle");
}

#[test]
fn an_operator_ends_a_session() {
    need!("sshd");
    let lab = Lab::start();
    let mut session = live(&lab, "live");
    let id = wait_for("it is listed as open", SOON, || {
        lab.site
            .sessions()
            .iter()
            .find(|s| s["closed_at"].is_null())
            .map(|s| s["id"].as_str().expect("an id").to_owned())
    });
    lab.site.as_ada(&["sessions", "terminate", &id]).ok();
    ends(&lab, &mut session, "terminated", "an operator ended the session");
}

#[test]
fn a_hangup_reloads_and_disturbs_nobody() {
    need!("sshd");
    let mut lab = Lab::start();
    let mut session = live(&lab, "live");
    let loaded = |lab: &Lab| lab.site.events().iter().filter(|e| e.to_string().contains("policy-loaded")).count();
    let before = loaded(&lab);
    lab.gateway.process.signal("HUP");
    let rows = lab.site.current_rows();
    let more = "p, user:eve, element:linux-1, *, ssh.exec, uptime, allow".to_owned();
    lab.site.set_rows(rows.iter().cloned().chain([more]).collect());
    lab.gateway.process.signal("HUP");
    wait_until("the new set is in force", SOON, || loaded(&lab) > before);
    assert!(session.process.running() && lab.gateway.process.running());
    assert_eq!(lab.pair.gateway.run(&["echo still"]).text(), "still\n");
}

#[test]
fn a_denial_says_whom_to_ask() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.issue("outsider", &[]);
    });
    let ran = lab.gateway.client("outsider", "linux-1").run(&["uptime"]);
    assert_ne!(ran.code(), 0);
    let said = ran.errors().to_lowercase();
    assert!(said.contains("outsider") && (said.contains("ask") || said.contains("contact")), "{}", ran.errors());
    for automation in ["permission denied", "password:", "login:"] {
        assert!(!said.contains(automation), "automation takes `{automation}` for a login dialogue: {said}");
    }
    assert!(lab.site.events().iter().any(|e| e.to_string().contains("\"denied\"")), "the denial is on record");
    assert!(lab.site.sessions().is_empty(), "and nothing was opened");
}

#[test]
fn a_command_is_decided_as_a_whole() {
    need!("sshd");
    let mut lab = Lab::start();
    lab.site.set_rows(vec!["p, user:ada, element:linux-1, *, ssh.exec, echo *, allow".to_owned()]);
    wait_until("the set is in force", SOON, || lab.pair.gateway.run(&["uname"]).code() != 0);
    assert_eq!(lab.pair.gateway.run(&["echo fine"]).text(), "fine\n");
    for evasion in [
        "echo a; id",
        "echo a\nid",
        "echo $(id)",
        "echo `id`",
        "echo a | sh",
        "echo a && id",
        "echo a > /tmp/x",
        "ECHO a",
        "echo a & id",
        "true; echo a",
    ] {
        let ran = lab.pair.gateway.run(&[evasion]);
        assert!(ran.code() != 0 && ran.text().is_empty(), "{evasion:?}: {}", ran.text());
    }
    // A shell, a subsystem and files were not granted.
    assert_ne!(lab.pair.gateway.feed(&["-T"], &[], b"id\n".to_vec()).code(), 0);
    assert_ne!(lab.pair.gateway.feed(&["-s"], &["sftp"], Vec::new()).code(), 0);
}
