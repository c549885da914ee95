//! Whatever a client can take has a limit, and who reaches it is told and harms nobody else.

use std::process::Command;

use crate::clients::proxy_to;
use crate::harness::client::{Live, MINUTE, Ssh, run};
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

#[test]
fn an_element_has_so_many_sessions_and_no_more() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.edit_inventory("sessions_max = 1000", "sessions_max = 2"));
    let dir = lab.site.scratch();
    let start = |name: &str| Live::start(&lab.pair.gateway, &dir, name, &[], "echo up; sleep 600", "up");
    let (first, second) = (start("first"), start("second"));
    let third = lab.pair.gateway.run(&["echo up"]);
    assert!(third.code() != 0 && third.text().is_empty(), "{}", third.all());
    assert!(third.errors().contains("sallyport: "), "a person is told: {}", third.errors());
    refused(&lab, "/ada", "sessions");
    drop(first);
    wait_until("a place is free again", SOON, || lab.pair.gateway.run(&["true"]).code() == 0);
    drop(second);
}

#[test]
fn a_connection_has_so_many_channels_and_no_more() {
    need!("sshd", "python:clients");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "channels_per_connection_max", 3));
    let ran = run(&mut hostile(&lab, "ada", "linux-1", &["channels", "5"]), Vec::new(), 2 * MINUTE);
    assert_eq!(ran.text(), "opened 3 refused 2\nthe others go on True\none more\n", "{}", ran.errors());
}

#[test]
fn a_login_has_so_many_attempts_and_no_more() {
    need!("sshd", "python:clients");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "login_attempts_max", 3));
    let mut command = Command::new(venv("clients", "python"));
    command.arg(data("hostile.py")).arg(lab.gateway.ssh.to_string()).arg(account()).args(["keys", "10"]);
    let ran = run(&mut command, Vec::new(), 2 * MINUTE);
    assert_eq!(ran.text(), "cut off after 3\n", "{}", ran.errors());
    let bare = |e: &serde_json::Value| e.to_string().contains("a bare key, SHA256:");
    assert_eq!(lab.site.events().iter().filter(|e| bare(e)).count(), 3, "each is on record");
    lab.pair.gateway.run(&["true"]).ok();
}

#[test]
fn a_connection_has_so_many_listeners_and_no_more() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.row("p, user:ada, element:linux-1, *, ssh.listen, 127.0.0.1:*, allow");
    });
    let listening = |count: usize| {
        let forwards: Vec<_> = (1..=count).map(|port| format!("-R127.0.0.1:0:127.0.0.1:{port}")).collect();
        let options = ["-oExitOnForwardFailure=yes"].into_iter().chain(forwards.iter().map(String::as_str));
        lab.pair.gateway.feed(&options.collect::<Vec<_>>(), &["echo up"], Vec::new())
    };
    let most = listening(16);
    assert!(most.code() == 0 && most.text() == "up\n", "{}", most.all());
    let more = listening(17);
    assert!(more.code() == 255 && more.text().is_empty(), "{}", more.all());
}

#[test]
fn a_command_gets_so_many_variables_and_no_more() {
    need!("sshd");
    let lab = Lab::start();
    let mut ssh = lab.pair.gateway.command("ssh");
    ssh.args(["-o", "SendEnv=LC_SP_*"]).arg(&lab.pair.gateway.host).arg("env | grep -c ^LC_SP_");
    ssh.envs((0..80).map(|n| (format!("LC_SP_{n}"), n.to_string())));
    assert_eq!(run(&mut ssh, Vec::new(), MINUTE).ok().text(), "64\n");
}

#[test]
fn a_client_that_is_dead_is_noticed() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "keepalive_interval", "1s"));
    let door = lab.gateway.ssh_door("ada", "linux-1", true);
    let dir = lab.site.scratch();
    let alive = Live::start(&lab.pair.gateway, &dir, "alive", &[], "echo up; sleep 600", "up");
    let dead = Live::start(&door, &dir, "dead", &[], "echo up; sleep 600", "up");
    // Its connection stays, and nobody answers any more.
    dead.process.signal("STOP");
    let session = lab.site.closed_session();
    assert_eq!((&session["outcome"], &session["door"]), (&"client-closed".into(), &"ssh".into()), "{session}");
    let mut alive = alive;
    assert!(alive.process.running(), "one that answers stays");
}

#[test]
fn keys_are_changed_while_data_flows() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "rekey_bytes", 4 << 20));
    let bytes: Vec<u8> = (0..24_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    // OpenSSH itself would do so after a gibibyte. It sends all the while, and what is on its way then is not lost.
    let ran = lab.pair.gateway.feed(&["-v"], &["cat"], bytes.clone()).ok();
    assert_eq!(crate::harness::client::digest(&ran.out), crate::harness::client::digest(&bytes));
    let changed = ran.errors().matches("SSH2_MSG_NEWKEYS received").count();
    assert!(changed > 3, "{changed} times\n{}", ran.errors());
    let dir = lab.site.scratch();
    std::fs::write(dir.join("bytes"), &bytes).expect("a file");
    let several = "$SSH -fNM -S ctl $HOST; for i in 1 2 3 4; do ($SSH -S ctl $HOST cat < bytes | cmp - bytes && echo same > same$i) & done; wait; \
                   cat same1 same2 same3 same4; $SSH -q -S ctl -O exit $HOST 2>/dev/null";
    assert_eq!(lab.pair.gateway.script(&dir, several).ok().text(), "same\n".repeat(4));
}

#[test]
fn what_is_said_of_a_source_is_said_of_the_one_in_the_proxy_header() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.configure("doors", "proxy_protocol_peers", vec!["127.0.0.2/32"]);
        site.issue("bob", &[]);
        site.grant("bob", "linux-1");
        site.row("p2, user:bob, *, *, *, *, source:198.51.100.0/24");
    });
    let (dir, id) = (lab.site.scratch(), "spiffe://carrier.example/user/ada");
    let options = ["-I", id, "-n", "ada", "-V", "+1h", "-O", "source-address=198.51.100.0/24"];
    let bound = crate::harness::pki::ssh(&dir, "bound", &lab.site.path().join("ca/ssh_user_ca"), &options);
    let through = |who: &str, header: &str| {
        let mut door = lab.gateway.ssh_door(who, "linux-1", true);
        let text = std::fs::read_to_string(&door.config).expect("written");
        let own = lab.site.identity("ada").join("ssh_key");
        let proxy = format!("  ProxyCommand python3 {} {} '{header}'\n", data("proxied.py").display(), lab.gateway.ssh);
        let text = text.replace(&*own.to_string_lossy(), &bound.to_string_lossy());
        door.config = dir.join("proxied.conf");
        std::fs::write(&door.config, text.replace("  HostName", &format!("{proxy}  HostName"))).expect("a file");
        let ran = door.run(&["echo reached"]);
        (ran.code(), ran.text())
    };
    for (source, inside) in [
        ("TCP4 198.51.100.7 192.0.2.1", true),
        ("TCP6 ::ffff:198.51.100.7 ::ffff:192.0.2.1", true),
        ("TCP4 203.0.113.9 192.0.2.1", false),
        ("TCP6 ::ffff:203.0.113.9 ::ffff:192.0.2.1", false),
        ("TCP6 2001:db8::7 2001:db8::1", false),
    ] {
        let header = format!("PROXY {source} 40000 22");
        let (ada, bob) = (through("ada", &header), through("bob", &header));
        let reached = (0, "reached\n".to_owned());
        assert_eq!(ada, if inside { reached.clone() } else { (255, String::new()) }, "by certificate: {header}");
        assert_eq!(bob, if inside { reached } else { (126, String::new()) }, "by policy: {header}");
    }
    refused(&lab, "/ada", "203.0.113.9 is not among the addresses");
}
