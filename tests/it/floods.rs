//! Floods of HTTP/2 on the mTLS door, and TLS hellos in pieces: whoever sends them is cut off or held, nobody else notices, and nothing grows.

use std::process::Command;

use crate::harness::client::{MINUTE, run};
use crate::harness::gateway::Site;
use crate::harness::http::Web;
use crate::harness::{data, need};

#[derive(Debug, serde::Deserialize)]
struct Told {
    end: String,
    sent: u64,
    said: Vec<u8>,
}

/// What a flood may leave behind in the gateway, in KiB: a few connections' buffers, far from the 16 MiB that each sends at most.
const GROWTH_KIB_MAX: u64 = 8 << 10;
const GOAWAY: u8 = 7;
const HANDSHAKE: u8 = 0x16;

#[test]
fn whoever_floods_is_cut_off_or_held_and_nobody_else_notices() {
    need!("curl", "python3");
    let mut site = Site::new();
    site.let_read("ada");
    site.issue("eve", &[]);
    let gateway = site.start();
    let web = Web::new(&site, &gateway, "ada", "r1");
    let neighbour = Web::new(&site, &gateway, "eve", "r1");
    let flood = |kind: &str| {
        let identity = site.identity("ada");
        let mut command = Command::new("python3");
        command.arg(data("h2_flood.py")).arg(gateway.mtls.to_string());
        command.arg(identity.join("cert.pem")).arg(identity.join("key.pem")).arg(site.path().join("ca/x509_ca.pem"));
        command.args([web.host.as_str(), kind]);
        let said = run(&mut command, Vec::new(), MINUTE).ok().text();
        serde_json::from_str::<Told>(&said).unwrap_or_else(|e| panic!("{kind}: {e}: {said}"))
    };
    neighbour.curl(&["--http2"], "/").is(403);
    let before = gateway.memory_kib();
    for (kind, ends) in [
        ("rapid-reset", &["closed"][..]),
        ("continuations", &["closed"]),
        ("empty-continuations", &["closed"]),
        ("window-overflow", &["closed"]),
        ("settings", &["closed", "held"]),
        ("pings", &["closed", "held"]),
        ("empty-data", &["closed", "done"]),
        ("table-bomb", &["closed", "done"]),
        ("resets-of-nothing", &["closed"]),
        ("priorities", &["closed", "done"]),
        ("streams", &["closed"]),
        ("unknown-frames", &["closed", "done"]),
    ] {
        let told = flood(kind);
        assert!(ends.contains(&told.end.as_str()), "{kind}: {told:?}");
        let grown = gateway.memory_kib().saturating_sub(before);
        assert!(grown < GROWTH_KIB_MAX, "{kind} left {grown} KiB: {told:?}");
        neighbour.curl(&["--http2"], "/").is(403);
        if kind == "window-overflow" {
            assert!(told.said.contains(&GOAWAY), "it is told why: {told:?}");
        }
        assert!(told.sent > 0);
    }
    for pieces in ["hello-1", "hello-3", "hello-64"] {
        let told = flood(pieces);
        assert_eq!((told.end.as_str(), told.said.first()), ("done", Some(&HANDSHAKE)), "{pieces}: {told:?}");
    }
    let log = gateway.process.err();
    assert!(!log.contains("panicked"), "{log}");
}
