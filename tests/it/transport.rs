//! Peers that break the SSH transport: clients before and after their login, and elements. Each ends alone, and soon.

use std::process::Command;
use std::time::Instant;

use crate::clients::proxy_to;
use crate::harness::client::{Live, MINUTE, Ran, Ssh, digest, run};
use crate::harness::element::{AsyncServer, Profile, keygen, public_key};
use crate::harness::gateway::Site;
use crate::harness::lab::Lab;
use crate::harness::process::Process;
use crate::harness::{SOON, account, data, need, venv};

fn script(name: &str) -> Command {
    let mut command = Command::new(venv("clients", "python"));
    command.arg(data(name));
    command
}

/// A session that goes on beside what the test does, and the memory there was before.
struct Beside {
    session: Live,
    before: u64,
}

impl Beside {
    fn start(lab: &Lab) -> Self {
        let session = Live::start(&lab.pair.gateway, &lab.site.scratch(), "beside", &[], "echo up; sleep 600", "up");
        Self { session, before: lab.gateway.memory_kib() }
    }

    /// It noticed nothing, nor does anybody who comes now, and the gateway holds nothing of it.
    #[track_caller]
    fn noticed_nothing(mut self, lab: &Lab) {
        let grown = lab.gateway.memory_kib().saturating_sub(self.before);
        assert!(grown < 48 << 10, "{grown} KiB");
        assert!(self.session.process.running(), "{}", self.session.process.all());
        let begun = Instant::now();
        assert_eq!(lab.pair.gateway.run(&["echo ok"]).ok().text(), "ok\n");
        assert!(begun.elapsed() < SOON, "another waited for {:?}", begun.elapsed());
        let told = lab.gateway.process.err();
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn clients_that_break_the_transport_before_their_login_are_cut_off() {
    need!("sshd", "python:clients");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "login_grace_ms", 2_000));
    let beside = Beside::start(&lab);
    for way in [lab.gateway.ssh.to_string(), proxy_to(&lab.gateway, &lab.site.identity("ada"), "linux-1")] {
        let ran = run(script("raw_ssh.py").args(["client", &way]), Vec::new(), 5 * MINUTE).ok();
        let text = ran.text();
        let kept: Vec<_> = text.lines().filter(|l| !l.contains(": closed ") && !l.contains(": reset ")).collect();
        assert!(text.lines().count() > 30 && kept.is_empty(), "{kept:#?}\n{}", ran.all());
    }
    beside.noticed_nothing(&lab);
}

#[test]
fn clients_that_break_the_protocol_after_their_login_harm_themselves() {
    need!("sshd", "python:clients");
    let lab = Lab::start();
    let beside = Beside::start(&lab);
    let way = proxy_to(&lab.gateway, &lab.site.identity("ada"), "linux-1");
    let ran = run(script("wire.py").arg(way).arg(account()), Vec::new(), 5 * MINUTE).ok();
    let expected = "windows_that_overflow: works\nwindows_of_channels_that_are_not: works\npackets_of_nothing: cut off\n\
                    packets_of_a_byte: works\npackets_of_everything: works\nwindows_of_everything: works\nwindows_of_nothing: works\n\
                    data_for_channels_that_are_not: works\nmore_than_the_window: works\nmore_than_a_packet: works\n\
                    lengths_that_lie: cut off\nrequests_cut_short: cut off\nextensions_without_end: works\na_second_login: works\n\
                    keys_without_an_exchange: works\nhalves_without_an_exchange: works\nwhat_only_a_server_says: cut off\n\
                    numbers_that_mean_nothing: works\na_packet_that_was_changed: cut off\ndone\n";
    assert_eq!(ran.text(), expected, "{}", ran.errors());
    beside.noticed_nothing(&lab);
}

/// One element for each way of breaking the transport: name and port.
fn broken_elements(site: &Site) -> (Process, Vec<(String, u16)>, String) {
    let key = site.scratch().join("raw_key");
    keygen(&key, &["-t", "ed25519"]);
    let host_key = public_key(&key.with_extension("pub"));
    let blob = host_key.split_whitespace().nth(1).expect("type and key").to_owned();
    let mut elements = Process::start(&site.scratch(), "elements", script("raw_ssh.py").args(["element", &blob]));
    let told = elements.tells("its ports", MINUTE, |out| out.ends_with("ready\n").then(|| out.to_owned()));
    let ports = told.lines().filter_map(|l| l.split_once(' ')).map(|(n, p)| (n.to_owned(), p.parse().expect("a port")));
    (elements, ports.collect(), host_key)
}

#[test]
fn elements_that_break_the_transport_are_unreachable() {
    need!("sshd", "python:clients");
    let mut broken = None;
    let lab = Lab::with(Profile::Modern, "", |site| {
        let (process, elements, host_key) = broken_elements(site);
        for (name, port) in &elements {
            site.listener(name, *port, &host_key, "credential = { kind = \"certificate\" }");
            site.grant("ada", name);
        }
        site.configure("elements", "connect_timeout_ms", 4_000);
        broken = Some((process, elements));
    });
    let (_process, elements) = broken.expect("they were started");
    let beside = Beside::start(&lab);
    let client = lab.gateway.client("ada", "linux-1");
    let to = |name: &str| Ssh { config: client.config.clone(), host: name.to_owned() };
    let ran: Vec<Ran> = std::thread::scope(|scope| {
        let halves: Vec<_> = elements
            .chunks(2)
            .map(|some| scope.spawn(|| some.iter().map(|(name, _)| to(name).run(&["true"])).collect::<Vec<_>>()))
            .collect();
        halves.into_iter().flat_map(|half| half.join().expect("no panic")).collect()
    });
    let events = lab.site.events();
    for ((name, _), ran) in elements.iter().zip(&ran) {
        assert!(ran.code() == 255 && ran.errors().contains("the element cannot be reached"), "{name}: {}", ran.all());
        let why =
            events.iter().map(|e| &e["event"]).find(|e| e["event"] == "element-unreachable" && e["element"] == **name);
        let why = why.unwrap_or_else(|| panic!("{name}: why is on record"));
        assert!(why["reason"].as_str().is_some_and(|r| r.len() > 10), "{name}: {why}");
    }
    beside.noticed_nothing(&lab);
}

#[test]
fn elements_that_break_the_protocol_after_the_login_end_their_session_only() {
    need!("sshd", "python:clients");
    let mut odd = None;
    let lab = Lab::with(Profile::Modern, "", |site| {
        let server = AsyncServer::odd(&site.scratch().join("odd"), &site.element_ca());
        for name in ["port", "packed", "tiny", "vast"] {
            let credential = "credential = { kind = \"certificate\" }";
            site.listener(name, server.port_of(name), &server.host_key(), credential);
            site.grant("ada", name);
        }
        odd = Some(server);
    });
    let beside = Beside::start(&lab);
    let client = lab.gateway.client("ada", "linux-1");
    let at = |name: &str, command: &str| {
        let ssh = Ssh { config: client.config.clone(), host: name.to_owned() };
        run(ssh.command("ssh").arg(&ssh.host).arg(command), vec![7; 300_000], MINUTE)
    };
    let flood = format!("33554432 bytes, {}", digest(&vec![b'x'; 32 << 20]));
    let unreachable = "the element cannot be reached";
    for (element, command, code, out, error) in [
        ("port", "overflow", 0, "300000\n", ""),
        ("port", "extensions", 0, "", ""),
        ("port", "disorder", 0, "", ""),
        ("port", "unasked", 255, "", ""),
        ("port", "flood", 0, flood.as_str(), ""),
        ("port", "compression", 0, "none\nnone\n", ""),
        ("packed", "compression", 255, "", unreachable),
        ("tiny", "overflow", 255, "", unreachable),
        ("vast", "overflow", 0, "300000\n", ""),
    ] {
        let ran = at(element, command).facts();
        assert!((ran.0, ran.1.as_str()) == (code, out) && ran.2.contains(error), "{element} {command}: {ran:?}");
    }
    let events = lab.site.events();
    for (element, reason) in [("packed", "no algorithm in common: for Compression"), ("tiny", "cannot connect: ")] {
        let told = events.iter().map(|e| &e["event"]).filter(|e| e["element"] == element);
        let told: Vec<_> = told.filter_map(|e| e["reason"].as_str()).collect();
        assert!(told.iter().any(|r| r.starts_with(reason)), "{element}: {told:?}");
    }
    beside.noticed_nothing(&lab);
}
