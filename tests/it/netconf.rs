//! NETCONF through the gateway: real clients, a real server, and bytes by hand.

use std::process::Command;
use std::time::Duration;

use crate::harness::client::{MINUTE, Pair, Ran, Ssh, run};
use crate::harness::element::Sshd;
use crate::harness::gateway::{Gateway, Site};
use crate::harness::netconf::{BASE, Netconfd, Raw, chunked, let_do_everything, rpc, scripted, ship_models};
use crate::harness::{SOON, data, need, venv, wait_for, wait_until};

/// A gateway before `netconfd`, on which `ada` may do everything.
struct Lab {
    gateway: Gateway,
    server: Netconfd,
    site: Site,
    pair: Pair,
}

impl Lab {
    fn start() -> Self {
        Self::with(|site| let_do_everything(site, "ada", "netconf-1"))
    }

    fn with(prepare: impl FnOnce(&mut Site)) -> Self {
        let mut site = Site::new();
        let server = Netconfd::start(&site.scratch().join("netconf-1"), Some(&site.element_ca()));
        site.element("netconf-1", &server.sshd, "");
        ship_models(&site);
        site.let_read("ada");
        prepare(&mut site);
        let gateway = site.start();
        let pair = Pair { direct: Ssh::direct(&server.sshd), gateway: gateway.client("ada", "netconf-1") };
        Self { gateway, server, site, pair }
    }

    fn exchanges(&self) -> Vec<serde_json::Value> {
        let id = self.site.closed_session()["id"].as_str().expect("an id").to_owned();
        let kept = self.site.as_ada(&["export", &id, "--format", "jsonl"]).ok().text();
        let frames = kept.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        frames.filter(|frame| frame["frame"] == "exchange" || frame["frame"] == "decided").collect()
    }
}

/// A gateway before a small server of our own that does `kind`.
fn odd(kind: &str, prepare: impl FnOnce(&mut Site)) -> (Gateway, Sshd, Site, Ssh) {
    let mut site = Site::new();
    let noted = site.scratch().join("requests");
    let sshd = scripted(
        &site.scratch().join("odd"),
        Some(&site.element_ca()),
        "netconf_odd.py",
        &[kind, &noted.to_string_lossy()],
    );
    site.element("odd", &sshd, "");
    site.let_read("ada");
    let_do_everything(&mut site, "ada", "odd");
    prepare(&mut site);
    let gateway = site.start();
    let way = gateway.client("ada", "odd");
    (gateway, sshd, site, way)
}

const SYSTEM: &str = "urn:ietf:params:xml:ns:yang:ietf-system";

fn edit(target: &str, inner: &str) -> String {
    format!(
        "<edit-config><target><{target}/></target><config xmlns:nc=\"{BASE}\"><system xmlns=\"{SYSTEM}\">{inner}</system></config></edit-config>"
    )
}

fn system(source: &str) -> String {
    format!("<get-config><source><{source}/></source><filter><system xmlns=\"{SYSTEM}\"/></filter></get-config>")
}

fn ncclient(port: u16, user: &str, key: &std::path::Path) -> Ran {
    let mut command = Command::new(venv("clients", "python"));
    command.arg(data("ncclient_all.py")).args(["127.0.0.1", &port.to_string(), user]).arg(key);
    run(&mut command, Vec::new(), 2 * MINUTE)
}

#[test]
fn ncclient_gets_the_same_as_without_the_gateway() {
    need!("sshd", "netconfd", "python:clients");
    let lab = Lab::start();
    let account = crate::harness::account();
    let direct = ncclient(lab.server.sshd.port, &account, &lab.server.sshd.dir.join("client_key")).ok();
    let through =
        ncclient(lab.gateway.ssh, &format!("{account}@netconf-1"), &lab.site.identity("ada").join("ssh_key")).ok();
    assert_eq!(through.text(), direct.text(), "through the gateway (left), direct (right)\n{}", through.errors());
    for told in
        ["told of a change", "second session connected: False", "<contact>confirmed</contact>", "error unknown-element"]
    {
        assert!(direct.text().contains(told), "{told}: {}", direct.text());
    }
}

#[test]
fn netconf_console_gets_the_same_as_without_the_gateway() {
    need!("sshd", "netconfd", "python:clients");
    let lab = Lab::start();
    let console = |port: u16, user: &str, key: &std::path::Path| {
        let mut command = Command::new(venv("clients", "netconf-console2"));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "-u", user, "--privKeyFile"]).arg(key);
        // With a configuration, though an empty one, it takes the key and not its default password.
        let empty = lab.site.scratch().join("empty");
        std::fs::write(&empty, "").expect("a file");
        command.arg("--ssh-config").arg(&empty).arg("--get-config");
        let ran = run(&mut command, Vec::new(), MINUTE).ok();
        let lines = ran
            .text()
            .lines()
            .filter(|line| !line.contains("message-id") && !line.contains("last-modified"))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(lines.contains("nacm"), "{lines}");
        lines
    };
    let account = crate::harness::account();
    let direct = console(lab.server.sshd.port, &account, &lab.server.sshd.dir.join("client_key"));
    let through = console(lab.gateway.ssh, &format!("{account}@netconf-1"), &lab.site.identity("ada").join("ssh_key"));
    assert_eq!(through, direct);
}

#[test]
fn bytes_by_hand_in_both_framings() {
    need!("sshd", "netconfd");
    let lab = Lab::start();
    for (bases, way) in [(&["1.0"][..], &lab.pair.gateway), (&["1.0", "1.1"], &lab.pair.gateway)] {
        let mut raw = Raw::greet(way, bases);
        assert!(!raw.hello.contains("capability:url") && raw.hello.contains("capability:candidate"), "{}", raw.hello);
        raw.say(&format!("<nc:rpc xmlns:nc=\"{BASE}\" message-id=\"m-1\"><nc:get-config><nc:source><nc:running/></nc:source></nc:get-config></nc:rpc>"));
        let answer = raw.message();
        assert!(answer.contains("\"m-1\"") && answer.contains("<nacm"), "{answer}");
        let answer = raw.ask("2", &edit("candidate", "<contact>a</contact>"));
        assert!(answer.contains("<ok/>") || answer.contains("ok/>"), "{answer}");
        // Several at once are answered in order.
        let many: Vec<String> = (10..20).map(|id| rpc(&id.to_string(), &system("candidate"))).collect();
        for message in &many {
            raw.say(message);
        }
        for id in 10..20 {
            assert!(raw.message().contains(&format!("message-id=\"{id}\"")), "{id}");
        }
        assert!(raw.ask("3", "<discard-changes/>").contains("ok/>"));
        assert!(raw.ask("4", "<close-session/>").contains("ok/>"));
        assert_eq!(raw.ended(), 0, "{bases:?}");
    }
}

#[test]
fn chunks_split_and_merged_and_markers_inside_data() {
    need!("sshd", "netconfd");
    let lab = Lab::start();
    let mut raw = Raw::greet(&lab.pair.gateway, &["1.0", "1.1"]);
    let message = rpc("1", &system("running"));
    // A byte at a time, a chunk at a time.
    for byte in message.chars() {
        raw.send(&format!("\n#1\n{byte}"));
    }
    raw.send("\n##\n");
    assert!(raw.message().contains("message-id=\"1\""));
    // Two messages in one piece, the second in two chunks.
    let (one, two) = (rpc("2", &system("running")), rpc("3", &system("running")));
    let (head, tail) = two.split_at(20);
    raw.send(&format!("{}\n#{}\n{head}\n#{}\n{tail}\n##\n", chunked(&one), head.len(), tail.len()));
    assert!(raw.message().contains("message-id=\"2\"") && raw.message().contains("message-id=\"3\""));
    // The end-of-message marker is data here, wherever XML lets it be.
    let marked = edit("candidate", "<location>]]&gt;]]&gt;</location><!-- ]]>]]> -->");
    assert!(raw.ask("4", &marked).contains("ok/>"));
    let seen = raw.ask("5", &system("candidate"));
    assert!(seen.contains("<location>]]&gt;]]&gt;</location>"), "{seen}");
    assert!(raw.ask("6", "<discard-changes/>").contains("ok/>"));
    // What is no framing ends the session, and the element saw nothing of it.
    for bad in ["\n#0\n\n##\n", "\n#03\nabc\n##\n", "\n#4294967296\n", "\n#99999999999999\n", "abc", "\n#3\nabc\n##x"] {
        let mut raw = Raw::greet(&lab.pair.gateway, &["1.1"]);
        raw.send(bad);
        assert_ne!(raw.ended(), 0, "{bad:?}");
    }
}

#[test]
fn messages_that_are_no_rpc_are_answered_and_others_go_on() {
    need!("sshd", "netconfd");
    let lab = Lab::with(|site| {
        let_do_everything(site, "ada", "netconf-1");
        site.configure("limits.netconf", "message_bytes_max", 8_192);
        site.configure("limits.netconf", "depth_max", 16);
    });
    let mut raw = Raw::greet(&lab.pair.gateway, &["1.0", "1.1"]);
    let deep = format!("{}{}", "<a>".repeat(20), "</a>".repeat(20));
    for (message, tag) in [
        (rpc("1", "<get>"), "malformed-message"),
        (
            format!("<!DOCTYPE rpc [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{}", rpc("1", "<get>&x;</get>")),
            "malformed-message",
        ),
        (rpc("1", "<get>&lol;</get>"), "malformed-message"),
        (rpc("1", "<?php ?><get/>"), "malformed-message"),
        (rpc("1", &deep), "too-big"),
        ("<rpc message-id=\"1\"><get/></rpc>".to_owned(), "malformed-message"),
        (rpc("1", "<get/><get/>"), "invalid-value"),
        (
            rpc("1", "<copy-config><target><url>ftp://x</url></target><source><running/></source></copy-config>"),
            "operation-not-supported",
        ),
        (rpc("1", &edit("candidate", "<contact delete=\"delete\"/>")), "operation-not-supported"),
    ] {
        raw.say(&message);
        let answer = raw.message();
        assert!(answer.contains(&format!("error-tag>{tag}<")), "{message}: {answer}");
        assert!(!message.starts_with("<rpc xmlns") || answer.contains("message-id=\"1\""), "{answer}");
    }
    assert!(raw.ask("2", &system("running")).contains("<data"));
    raw.say(&rpc("3", &edit("candidate", &format!("<contact>{}</contact>", "x".repeat(9_000)))));
    assert_ne!(raw.ended(), 0, "it is oversize");
}

#[test]
fn what_is_denied_is_answered_in_its_place_and_never_reaches_the_element() {
    need!("sshd", "netconfd");
    let lab = Lab::with(|site| {
        let_do_everything(site, "ada", "netconf-1");
        site.row("p, *, element:netconf-1, *, data.write, /ietf-system:system/location, deny");
        site.row("p, user:ada, element:netconf-1, *, data.read, /ietf-netconf-acm:nacm, deny");
        site.issue("bob", &[]);
        let_do_everything(site, "bob", "netconf-1");
    });
    let mut raw = Raw::greet(&lab.pair.gateway, &["1.0", "1.1"]);
    // A denied edit between two that are allowed: three answers, in order.
    raw.say(&rpc("a", &edit("candidate", "<contact>c</contact>")));
    raw.say(&rpc("b", &edit("candidate", "<contact>d</contact><location>secret</location>")));
    raw.say(&rpc("c", &system("candidate")));
    assert!(raw.message().contains("message-id=\"a\""));
    let denied = raw.message();
    assert!(denied.contains("message-id=\"b\"") && denied.contains("error-tag>access-denied<"), "{denied}");
    assert!(denied.contains("/ietf-system:system/ietf-system:location<"), "{denied}");
    let seen = raw.message();
    assert!(
        seen.contains("message-id=\"c\"") && seen.contains("<contact>c</contact>") && !seen.contains("secret"),
        "{seen}"
    );
    // Deleting what is above it is denied too, and so is copying over it.
    for operation in [
        format!(
            "<edit-config><target><candidate/></target><config xmlns:nc=\"{BASE}\"><system xmlns=\"{SYSTEM}\" nc:operation=\"delete\"/></config></edit-config>"
        ),
        "<copy-config><target><startup/></target><source><running/></source></copy-config>".to_owned(),
        "<delete-config><target><startup/></target></delete-config>".to_owned(),
        "<get-config><source><running/></source><filter type=\"xpath\" select=\"//*\"/></get-config>".to_owned(),
    ] {
        let answer = raw.ask("d", &operation);
        assert!(answer.contains("access-denied"), "{operation}: {answer}");
    }
    // A read is allowed and what may not be seen is left out, as if it were not there.
    let whole = raw.ask("e", "<get-config><source><candidate/></source></get-config>");
    assert!(whole.contains("<contact>c</contact>") && !whole.contains("nacm"), "{whole}");
    let mut other = Raw::greet(&lab.gateway.client("bob", "netconf-1"), &["1.0", "1.1"]);
    let all = other.ask("e", "<get-config><source><running/></source></get-config>");
    assert!(all.contains("<nacm"), "the element has it: {all}");
    assert!(raw.ask("f", "<close-session/>").contains("ok/>"));
    raw.ended();
    let frames = lab.exchanges();
    let of = |part: &str, id: &str| {
        frames
            .iter()
            .find(|f| f["exchange"]["part"] == part && f["exchange"]["peer_id"] == id)
            .unwrap_or_else(|| panic!("{part} {id}"))
    };
    assert_eq!(of("reply", "b")["exchange"]["status"], "rpc-error access-denied");
    assert_eq!(of("reply", "e")["exchange"]["status"], "data, pruned");
    assert!(
        frames.iter().any(|f| f["decision"]["effect"] == "deny"
            && f["action"]["object"].as_str().is_some_and(|o| o.contains("location")))
    );
    lab.site.verify(&[&lab.site.recording(&lab.site.closed_session())]).ok();
}

#[test]
fn a_commit_leaves_who_what_before_and_after() {
    need!("sshd", "netconfd");
    let lab = Lab::start();
    let mut raw = Raw::greet(&lab.pair.gateway, &["1.0", "1.1"]);
    for (id, contact) in [("1", "old-contact"), ("3", "new-contact")] {
        assert!(raw.ask(id, &edit("candidate", &format!("<contact>{contact}</contact>"))).contains("ok/>"));
        assert!(raw.ask("2", "<commit/>").contains("ok/>"));
    }
    assert!(raw.ask("9", "<close-session/>").contains("ok/>"));
    raw.ended();
    let id = lab.site.closed_session()["id"].as_str().expect("an id").to_owned();
    let shown = lab.site.as_ada(&["sessions", "show", &id]).ok().text();
    for part in [
        "- /ietf-system:system/contact = old-contact",
        "+ /ietf-system:system/contact = new-contact",
        "netconf.merge",
        "candidate:/ietf-system:system/contact",
        "commit",
        "(policy.csv:",
        "user/ada",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

/// A password that was set is in the recording, and shown to nobody who was not allowed to see it.
#[test]
fn secrets_are_masked_for_whoever_reads_the_recording() {
    need!("sshd", "netconfd");
    let lab = Lab::start();
    let mut raw = Raw::greet(&lab.pair.gateway, &["1.0", "1.1"]);
    let user = "<authentication><user><name>eve</name><password>$0$hunter2</password></user></authentication>";
    assert!(raw.ask("1", &edit("candidate", &format!("<contact>noc</contact>{user}"))).contains("ok/>"));
    assert!(raw.ask("2", "<commit/>").contains("ok/>"));
    // What the element makes of it is a secret too.
    let answer = raw.ask("3", &system("running"));
    let hash = answer.split_once("<password>").and_then(|(_, rest)| rest.split_once('<')).expect("a hash").0.to_owned();
    assert!(raw.ask("4", "<close-session/>").contains("ok/>"));
    raw.ended();
    let id = lab.site.closed_session()["id"].as_str().expect("an id").to_owned();
    let ways: [&[&str]; 4] = [
        &["replay", &id],
        &["sessions", "show", &id],
        &["sessions", "show", &id, "--json"],
        &["export", &id, "--format", "jsonl"],
    ];
    for way in ways {
        let shown = lab.site.as_ada(way).ok().text();
        assert!(!shown.contains("hunter2") && !shown.contains(&hash), "{way:?}: {shown}");
        assert!(shown.contains("(masked)") && shown.contains("noc"), "{way:?}: {shown}");
        let unmasked: Vec<&str> = way.iter().copied().chain(["--unmasked"]).collect();
        let denied = lab.site.as_ada(&unmasked);
        assert_eq!(denied.code(), 3, "{}", denied.all());
        assert!(!denied.text().contains("hunter2") && denied.errors().contains("gateway.replay-unmasked"));
    }
    let shown = lab.site.as_ada(&["sessions", "show", &id, "--json"]).ok().text();
    assert!(shown.contains("user[name='eve']/password = (masked)"), "the difference: {shown}");

    // The same by policy and log alone, when the gateway does not run; and whoever may see it leaves a trace.
    let Lab { gateway, mut site, .. } = lab;
    assert!(gateway.stop(SOON).success());
    site.row("p, user:ada, element:gateway, *, gateway.replay-unmasked, *, allow");
    site.write_policies();
    for way in ways {
        let unmasked: Vec<&str> = way.iter().copied().chain(["--unmasked"]).collect();
        let shown = site.as_ada(&unmasked).ok().text();
        assert!(shown.contains("hunter2") || way[0] != "export", "{way:?}: {shown}");
        assert!(!shown.contains("(masked)"), "{way:?}: {shown}");
    }
    let read: Vec<_> = site.events().into_iter().filter(|event| event["event"]["event"] == "recording-read").collect();
    let told = |how: &str| read.iter().filter(|event| event["event"]["how"] == how).count();
    assert_eq!((told("replay"), told("replay --unmasked")), (1, 1), "{read:?}");
    assert_eq!(told("export --format jsonl --unmasked"), 1, "{read:?}");

    // Where policy does not say what is secret, no message is shown.
    std::fs::write(site.path().join("policies/models.toml"), "[masks]\npaths = [\"no path\"]\n").expect("a file");
    let refused = site.as_ada(&["replay", &id]);
    assert!(!refused.text().contains("<contact>"), "{}", refused.text());
}

#[test]
fn a_commit_is_decided_for_the_running_configuration_too() {
    need!("sshd", "netconfd");
    let lab = Lab::with(|site| {
        let_do_everything(site, "ada", "netconf-1");
        site.row("p, *, element:netconf-1, *, data.write, running:/ietf-system:system/location, deny");
    });
    let mut raw = Raw::greet(&lab.pair.gateway, &["1.1"]);
    assert!(raw.ask("1", &edit("candidate", "<location>here</location>")).contains("ok/>"));
    assert!(raw.ask("2", "<commit/>").contains("access-denied"));
    assert!(raw.ask("3", "<discard-changes/>").contains("ok/>"));
    assert!(raw.ask("4", &edit("candidate", "<contact>x</contact>")).contains("ok/>"));
    assert!(raw.ask("5", "<commit/>").contains("ok/>"));
    assert!(!raw.ask("6", &system("running")).contains("here"));
}

#[test]
fn a_policy_change_ends_a_subscription_at_once() {
    need!("sshd", "python3");
    let (_gateway, _sshd, mut site, way) = odd("good", |_| ());
    let mut raw = Raw::greet(&way, &["1.0"]);
    let subscribe = "<create-subscription xmlns=\"urn:ietf:params:xml:ns:netconf:notification:1.0\"><stream>tick</stream></create-subscription>";
    assert!(raw.ask("1", subscribe).contains("ok/>"));
    assert!(raw.message().contains("<tick"), "notifications pass");
    let rows = site.current_rows().into_iter().filter(|row| !row.contains("netconf.subscribe")).collect();
    site.set_rows(rows);
    raw.ended();
    assert_eq!(wait_for("it is closed", SOON, || Some(site.closed_session()))["outcome"], "policy-denies");
    let took = site.ended_after_policy();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let mut again = Raw::greet(&way, &["1.0"]);
    assert!(again.ask("2", subscribe).contains("access-denied"));
}

#[test]
fn elements_that_misbehave_end_their_own_session_only() {
    need!("sshd", "python3");
    for kind in ["wrong-id", "unasked", "doctype", "broken", "deep", "endless", "close"] {
        let (_gateway, _sshd, site, way) = odd(kind, |site| {
            site.configure("limits.netconf", "reply_bytes_max", 1 << 20);
        });
        let mut raw = Raw::greet(&way, &["1.0", "1.1"]);
        raw.say(&rpc("1", "<lock><target><running/></target></lock>"));
        if kind == "unasked" {
            raw.message();
        }
        assert_ne!(raw.ended(), 0, "{kind}");
        let outcome = site.closed_session()["outcome"].as_str().expect("an outcome").to_owned();
        assert!(["protocol-error", "element-closed", "client-closed"].contains(&outcome.as_str()), "{kind}: {outcome}");
    }
    for kind in ["no-hello", "silent"] {
        let (_gateway, _sshd, site, way) = odd(kind, |site| {
            site.configure("limits.netconf", "hello_timeout_ms", 500);
            site.configure("limits.netconf", "reply_timeout_ms", 500);
        });
        if kind == "no-hello" {
            assert_ne!(way.feed(&["-s"], &["netconf"], Vec::new()).code(), 0);
        } else {
            let mut raw = Raw::greet(&way, &["1.0"]);
            raw.say(&rpc("1", "<lock><target><running/></target></lock>"));
            assert_ne!(raw.ended(), 0, "{kind}");
        }
        wait_until("the session is closed", SOON, || !site.sessions().is_empty());
        site.closed_session();
    }
}

#[test]
fn legs_may_differ_in_framing() {
    need!("sshd", "python3");
    // The element speaks base:1.0 alone; the client may speak either.
    let (_gateway, _sshd, site, way) = odd("good", |_| ());
    for bases in [&["1.0"][..], &["1.1"]] {
        let mut raw = Raw::greet(&way, bases);
        assert!(raw.ask("1", "<lock><target><running/></target></lock>").contains("ok/>"), "{bases:?}");
        // Attributes come back as they were, whoever answers.
        for inner in [
            "<nc:close-sessions/>",
            "<nc:lock><nc:target><nc:running/></nc:target></nc:lock>",
            "<nc:lock><nc:url/></nc:lock>",
        ] {
            raw.say(&format!(
                "<nc:rpc xmlns:nc=\"{BASE}\" message-id=\"&lt;m&gt;\" xmlns:x='urn:x' x:y = 'z'>{inner}</nc:rpc>"
            ));
            let answer = raw.message();
            let head = format!("<nc:rpc-reply xmlns:nc=\"{BASE}\" message-id=\"&lt;m&gt;\" xmlns:x='urn:x' x:y = 'z'>");
            assert!(answer.contains(&head), "{answer}");
        }
        // What cannot be said in the element's framing is not sent.
        if bases == ["1.1"] {
            let marked = "<lock><!-- ]]>]]> --><target><running/></target></lock>";
            assert!(raw.ask("2", marked).contains("operation-failed"));
        }
        assert!(raw.ask("3", "<unlock><target><running/></target></unlock>").contains("ok/>"));
    }
    let seen = std::fs::read_to_string(site.scratch().join("requests")).expect("it noted them");
    assert!(!seen.contains("message-id=\"2\""), "{seen}");
}

#[test]
fn without_a_row_there_is_no_session() {
    need!("sshd", "netconfd");
    let lab = Lab::with(|site| {
        site.issue("eve", &[]);
        site.row("p, user:eve, element:netconf-1, *, ssh.subsystem, *, allow");
    });
    // A row for subsystems that nobody polices is none for this one.
    let ran = lab.gateway.client("eve", "netconf-1").feed(&["-s"], &["netconf"], Vec::new());
    assert!(ran.code() != 0 && ran.text().is_empty(), "{}{}", ran.text(), ran.errors());
    let denied = |event: &serde_json::Value| event.to_string().contains("netconf.session");
    assert!(lab.site.events().iter().any(denied), "it is on record");
    assert_eq!(lab.server.sshd.log().matches("Connection from").count(), 1, "by the harness only");
}

#[test]
fn over_tls_on_a_port_of_its_own() {
    need!("sshd", "python3");
    let account = crate::harness::account();
    let (gateway, _sshd, site, _) = odd("good", |site| {
        site.configure("doors.netconf", "listen", "127.0.0.1:0");
        let accounts = vec![toml::Value::from(format!("ada@odd={account}")), toml::Value::from("bob@other=x")];
        site.configure("doors.netconf", "accounts", accounts);
        site.issue("bob", &[]);
        let_do_everything(site, "bob", "odd");
    });
    let mut gateway = gateway;
    let port = gateway.process.tells("its netconf door", MINUTE, |out| {
        out.lines().find_map(|l| l.strip_prefix("listening netconf 127.0.0.1:")?.trim().parse::<u16>().ok())
    });
    let client = |who: &str, element: &str| {
        let mut command = Command::new("python3");
        command.arg(data("netconf_tls.py")).arg(site.identity(who)).arg(format!("127.0.0.1:{port}"));
        run(command.args([element, "port"]), Vec::new(), MINUTE)
    };
    let seen = client("ada", "odd").ok().text();
    assert!(seen.contains("<session-id>4</session-id>") && seen.contains("reached"), "{seen}");
    let session = site.closed_session();
    assert_eq!((&session["protocol"], &session["account"]), (&"netconf".into(), &account.as_str().into()), "{session}");
    // No account, no element: the same for both.
    for (who, element) in [("bob", "odd"), ("ada", "nothing")] {
        let ran = client(who, element);
        assert!(ran.code() != 0 && ran.text().is_empty(), "{}", ran.all());
    }
    assert!(site.events().iter().any(|e| e.to_string().contains("doors.netconf.accounts")), "it is on record");
}
