//! Whatever a client can take has a limit, and who reaches it is told and harms nobody else.

use std::process::Command;

use crate::clients::proxy_to;
use crate::harness::client::{Live, MINUTE, Ssh};
use crate::harness::element::{AsyncServer, Profile};
use crate::harness::gateway::Site;
use crate::harness::lab::Lab;
use crate::harness::process::Process;
use crate::harness::{SOON, account, data, need, venv, wait_until};

/// `data/hostile.py` as `identity` on its way to `element`.
fn hostile(lab: &Lab, identity: &str, element: &str, how: &[&str]) -> Command {
    let mut command = Command::new(venv("clients", "python"));
    command.arg(data("hostile.py")).arg(proxy_to(&lab.gateway, &lab.site.identity(identity), element));
    command.arg(account()).args(how);
    command
}

/// A lab with an element `odd-1` whose commands do not read (see `data/odd_element.py`), for `ada` and for `bob`.
fn with_odd(prepare: impl FnOnce(&mut Site)) -> (Lab, AsyncServer) {
    let mut odd = None;
    let lab = Lab::with(Profile::Modern, "", |site| {
        let server = AsyncServer::odd(&site.scratch().join("odd"), &site.element_ca());
        site.listener("odd-1", server.port, &server.host_key(), "credential = { kind = \"certificate\" }");
        site.issue("bob", &[]);
        for who in ["ada", "bob"] {
            site.grant(who, "odd-1");
        }
        prepare(site);
        odd = Some(server);
    });
    (lab, odd.expect("it was started"))
}

/// Waits until a refusal of `identity` with this reason is on record.
#[track_caller]
fn refused(lab: &Lab, identity: &str, reason: &str) {
    wait_until(&format!("a refusal with `{reason}`"), SOON, || {
        lab.site.events().iter().any(|e| {
            let e = &e["event"];
            e["event"] == "refused"
                && e["identity"].as_str().is_some_and(|i| i.ends_with(identity))
                && e["reason"].as_str().is_some_and(|r| r.contains(reason))
        })
    });
}

#[test]
fn many_stalled_channels_of_one_connection_take_bounded_memory() {
    need!("sshd", "python:clients");
    for limit in ["queue_bytes_per_connection_max", "queue_bytes_total_max"] {
        let (lab, _odd) = with_odd(|site| site.configure("limits", limit, 8 << 20));
        let dir = lab.site.scratch();
        let mut other = Live::start(&lab.pair.gateway, &dir, "other", &[], "echo up; sleep 600", "up");
        let before = lab.gateway.memory_kib();
        let go_on = dir.join("go-on");
        let mut command = hostile(&lab, "bob", "odd-1", &["stall", "80", &go_on.to_string_lossy()]);
        let mut stalled = Process::start(&dir, "stalled", &mut command);
        let sent: u64 = stalled.tells("that it is held up", 2 * MINUTE, |out| {
            out.lines().find_map(|l| l.strip_prefix("stalled ")?.trim().parse().ok())
        });
        let grown = lab.gateway.memory_kib().saturating_sub(before);
        // Beside the queues: what each channel may begin with, and 80 connections to the element.
        assert!(sent > 8 << 20 && sent < 40 << 20, "{limit}: {sent} bytes were taken");
        assert!(grown < 64 << 10, "{limit}: {grown} KiB");
        // Another connection sends as much as it likes, as quickly as ever.
        let zeros = vec![0; 16 << 20];
        assert_eq!(lab.pair.gateway.feed(&[], &["wc -c"], zeros).ok().text().trim(), "16777216", "{limit}");
        assert!(other.process.running(), "{limit}: another session goes on");
        std::fs::write(&go_on, "").expect("a file");
        stalled.tells("that the same connection works again", MINUTE, |out| out.contains("out").then_some(()));
    }
}

#[test]
fn an_identity_is_counted_before_it_logs_in() {
    need!("sshd", "python:clients");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.configure("limits", "connections_per_identity_max", 2);
        site.configure("limits", "login_grace_ms", 600_000);
        site.issue("bob", &[]);
        site.grant("bob", "linux-1");
    });
    let dir = lab.site.scratch();
    let client = lab.gateway.client("bob", "linux-1");
    let mut held: Vec<_> =
        ["first", "second"].map(|name| Live::of(hostile(&lab, "bob", "linux-1", &["held"]), &dir, name, "held")).into();
    for way in [client.clone(), lab.gateway.ssh_door("bob", "linux-1", true)] {
        let third = way.run(&["echo up"]);
        assert!(third.code() != 0 && third.text().is_empty(), "{}", third.all());
    }
    refused(&lab, "/bob", "limits.connections_per_identity_max");
    drop(held.pop());
    wait_until("a place is free again", SOON, || client.run(&["true"]).code() == 0);
    // One place is free, and a jump needs two.
    let jump = lab.gateway.ssh_door("bob", "linux-1", false);
    wait_until("the jump is refused", SOON, || jump.run(&["true"]).code() == 255);
    drop(held.pop());
    wait_until("and has two places", SOON, || jump.run(&["true"]).code() == 0);
}

#[test]
fn a_connection_in_which_nothing_goes_on_ends() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "unused_timeout", "2s"));
    let dir = lab.site.scratch();
    let jump = lab.gateway.ssh_door("ada", "linux-1", false);
    let outer = Ssh { config: jump.config.clone(), host: "gateway".to_owned() };
    let mut working = Live::start(&jump, &dir, "working", &[], "echo up; sleep 600", "up");
    for (name, way) in [("outer", outer), ("inside", lab.pair.gateway.clone())] {
        let mut unused = Process::start(&dir, name, way.command("ssh").args(["-v", "-N"]).arg(&way.host));
        let status = unused.ended(SOON);
        assert!(!status.success() && unused.err().contains("idle"), "{name}: {}", unused.all());
    }
    assert!(working.process.running(), "one in which a session goes on stays: {}", working.process.all());
}
