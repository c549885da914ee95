//! Reloading when asked: what no watch can see is taken up by SIGHUP.

use std::time::{Duration, Instant};

use crate::harness::client::{Live, MINUTE, Ssh};
use crate::harness::element::Profile;
use crate::harness::gateway::replace;
use crate::harness::lab::Lab;
use crate::harness::{SOON, need, wait_until};

/// Files are read again this often in any case; what comes sooner was asked for.
const UNASKED: Duration = Duration::from_secs(30);

fn allows(way: &Ssh) -> bool {
    way.run(&["true"]).code() == 0
}

#[test]
fn a_hangup_alone_reloads_what_no_watch_can_see() {
    need!("root", "sshd", "strace");
    let lab = Lab::with(Profile::Modern, "", |_| ());
    let Lab { gateway, site, sshd: _sshd, .. } = lab;
    gateway.stop(MINUTE);
    // A system that has no watches left to give. The tracer is the one beside (-D), so that signals reach the gateway.
    let inject =
        ["-D", "-f", "-q", "-e", "trace=inotify_init1", "-e", "inject=inotify_init1:error=EMFILE", "-o", "/dev/null"];
    let gateway = site.restart(&[&["strace"], &inject[..]].concat());
    let way = gateway.client("ada", "linux-1");
    let rows = site.current_rows().join("\n") + "\n";
    let deny = format!("{rows}p, *, element:linux-1, *, ssh.exec, *, deny\n");
    let policy = site.path().join("policies/policy.csv");
    assert!(allows(&way));
    // Each comes long before the time at which it would have come by itself, and that begins anew with each.
    for (text, allowed) in [(&deny, false), (&rows, true), (&deny, false), (&rows, true)] {
        let begun = Instant::now();
        replace(&policy, text);
        gateway.process.signal("HUP");
        wait_until(&format!("it is {}", if allowed { "allowed" } else { "denied" }), SOON, || allows(&way) == allowed);
        assert!(begun.elapsed() < UNASKED, "{:?}", begun.elapsed());
    }
    // Locks and revocations as well.
    let mut live =
        Live::start(&way, &site.scratch(), "live", &["-tt"], "while :; do echo tick; sleep 0.1; done", "tick");
    site.sallyport(&["lock", "add", "user:ada", "--reason", "left the company"]).ok();
    gateway.process.signal("HUP");
    live.ends_within(SOON);
    assert!(live.process.all().contains("locked"), "{}", live.process.all());
    site.sallyport(&["lock", "remove", "user:ada"]).ok();
    gateway.process.signal("HUP");
    wait_until("ada is back", SOON, || allows(&way));
    let log = gateway.process.err();
    assert_eq!(log.matches("Reloading as asked.").count(), 6, "{log}");
    assert!(
        log.contains("EMFILE") || log.contains("Too many open files") || log.contains("watch"),
        "the log says that nothing is watched: {log}"
    );
}
