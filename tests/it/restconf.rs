//! RESTCONF through the gateway: real servers and clients, decisions, recordings, and what nobody gets through.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::harness::client::{MINUTE, run};
use crate::harness::gateway::{SALLYPORT, Site};
use crate::harness::https::{Plane, add_element, jetconf, nginx};
use crate::harness::process::Process;
use crate::harness::{SOON, need, wait_for, wait_until};

const JSON: &str = "Content-Type: application/yang-data+json";
const INTERFACES: &str = "/restconf/data/ietf-interfaces:interfaces";

/// Lists whose keys are known, as the shipped models have them.
fn models(site: &Site) {
    let text = "[[module]]\nname = \"ietf-interfaces\"\n[module.lists]\n\"/interfaces/interface\" = [\"name\"]\n";
    std::fs::create_dir_all(site.path().join("policies")).expect("a folder");
    std::fs::write(site.path().join("policies/models.toml"), text).expect("a file");
}

fn plane(rows: &[&str]) -> Plane {
    Plane::with("\"restconf\"", "restconf = \"/restconf\"", |site| {
        models(site);
        rows.iter().for_each(|row| site.row(row));
    })
}

const READ: &str = "p, user:ada, element:r1, *, data.read, /, allow";
const WRITE: &str = "p, user:ada, element:r1, *, data.write, /interfaces, allow";
const NOT_THE_UPLINK: &str = "p, *, element:r1, *, data.write, /interfaces/interface[name=uplink], deny";

#[test]
fn each_request_is_decided_recorded_and_forwarded_as_the_identity() {
    need!("curl", "openssl", "python3");
    let plane = plane(&[READ, WRITE, NOT_THE_UPLINK]);
    let web = plane.web("ada");
    let mut sent = 0;
    for version in ["--http1.1", "--http2"] {
        let read = web.curl(&[version], &format!("{INTERFACES}/interface=ge%2F0?depth=2&content=config")).is(200);
        assert!(read.headers.contains("etag: \"one\""), "{read:?}");
        assert_eq!(
            read.json()["test:reached"]["path"],
            "/restconf/data/ietf-interfaces:interfaces/interface=ge%2F0?depth=2&content=config"
        );
        let change = r#"{"ietf-interfaces:interface":[{"name":"eth0","mtu":9000}]}"#;
        web.curl(&[version, "-X", "PUT", "-H", JSON, "-d", change], &format!("{INTERFACES}/interface=eth0")).is(204);
        web.curl(&[version, "-X", "PATCH", "-H", JSON, "-d", change], &format!("{INTERFACES}/interface=eth0")).is(204);
        let created = web.curl(&[version, "-H", JSON, "-d", change], INTERFACES).is(201);
        assert!(created.headers.contains(&format!("location: {}/new", web.url(INTERFACES))), "{created:?}");
        web.curl(&[version, "-X", "DELETE"], &format!("{INTERFACES}/interface=eth0")).is(204);
        web.curl(&[version, "-I"], INTERFACES).is(200);
        sent += 6;
        let denied = change.replace("eth0", "uplink");
        for (method, path, body) in [
            ("PUT", format!("{INTERFACES}/interface=uplink"), denied.as_str()),
            (
                "PATCH",
                INTERFACES.to_owned(),
                r#"{"ietf-interfaces:interfaces":{"interface":[{"name":"eth0","mtu":1},{"name":"uplink","mtu":1}]}}"#,
            ),
            ("POST", INTERFACES.to_owned(), denied.as_str()),
            ("PUT", INTERFACES.to_owned(), r#"{"ietf-interfaces:interfaces":{}}"#),
            ("DELETE", format!("{INTERFACES}/interface=uplink/mtu"), ""),
            ("POST", "/restconf/operations/ietf-system:system-restart".to_owned(), ""),
            ("POST", format!("{INTERFACES}/interface=eth0/reset"), ""),
        ] {
            let data: &[&str] = if body.is_empty() { &[] } else { &["-H", JSON, "-d", body] };
            let answer = web.curl(&[&[version, "-X", method], data].concat(), &path).is(403);
            let error = &answer.json()["ietf-restconf:errors"]["error"][0];
            assert_eq!(error["error-tag"], "access-denied");
            let text = error["error-message"].as_str().expect("a text");
            assert!(text.contains("not allowed for ada") && text.contains("Ask "), "{text}");
        }
    }
    let got = plane.got();
    assert_eq!(got.len(), sent, "nothing that was denied came to the element");
    assert!(got.iter().all(|got| got.client == ["netops"]), "{got:?}");
    let put = got.iter().find(|got| got.method == "PUT").expect("one was sent");
    assert!(put.path == format!("{INTERFACES}/interface=eth0") && put.body.contains("9000"), "{put:?}");
    let lines: Vec<String> = plane.recorded().iter().map(ToString::to_string).collect();
    let at = |words: &[&str]| lines.iter().position(|line| words.iter().all(|word| line.contains(word)));
    let (asked, gone) =
        (at(&["channel-opened", "restconf.put"]), at(&["\"part\":\"request\"", "PUT /restconf/data", "9000"]));
    assert!(
        asked.is_some() && asked < gone && gone < at(&["\"part\":\"reply\"", "PUT /restconf/data", "\"204\""]),
        "{lines:#?}"
    );
    assert!(at(&["decided", "interface[name='uplink']", "deny"]).is_some(), "{lines:#?}");
    plane.site.verify(&[&plane.site.recording(&plane.site.closed_session())]).ok();
}

#[test]
fn nothing_of_headers_passes_but_what_is_listed() {
    need!("curl", "openssl", "python3");
    let plane = plane(&[READ]);
    let web = plane.web("ada");
    let forged: Vec<String> = [
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Client-Cert: x",
        "Forwarded: for=10.0.0.1",
        "Via: 1.1 x",
        "X-Client-Cert: x",
        "X-SSL-Client-S-DN: CN=root",
        "X-Remote-User: root",
        "Remote-User: root",
        "Authorization: Basic cm9vdDpyb290",
        "Cookie: a=b",
        "Proxy-Authorization: Basic eA==",
        "Connection: X-Secret",
        "X-Secret: y",
        "TE: trailers",
        "Upgrade: websocket",
        "X-HTTP-Method-Override: DELETE",
        "X-Original-URL: /restconf/data",
        "Range: bytes=0-1",
        "Accept-Encoding: gzip",
        "Expect: 100-continue",
    ]
    .into_iter()
    .flat_map(|header| ["-H".to_owned(), header.to_owned()])
    .collect();
    for version in ["--http1.1", "--http2"] {
        let options: Vec<&str> = [version].into_iter().chain(forged.iter().map(String::as_str)).collect();
        web.curl(&options, "/restconf/data/test:a").is(200);
        let told = web.curl(&[version], "/restconf/data/test:talkative").is(200);
        for word in ["secret-os", "set-cookie", "via", "x-internal", "alt-svc", "strict-transport"] {
            assert!(!told.headers.contains(word), "{word}: {told:?}");
        }
        assert!(told.headers.contains("etag: \"two\""));
    }
    for got in plane.got() {
        assert_eq!(got.header_names(), ["accept", "host", "user-agent"], "{got:?}");
        assert_eq!(got.header("host"), Some("r1.lab.example"));
    }
}

#[test]
fn what_could_be_read_in_two_ways_never_reaches_the_element() {
    need!("curl", "openssl", "python3");
    let plane = plane(&[
        "p, user:ada, element:r1, *, data.write, /, allow",
        "p, user:ada, element:r1, *, restconf.operation, *, allow",
    ]);
    let web = plane.web("ada");
    for path in [
        "/restconf/data/%2e%2e/operations",
        "/restconf/data/../operations",
        "/restconf//data",
        "/restconf/data/",
        "/restconf/data%2Ftest:a",
        "/restconf/data/test:a/b%252Fc",
        "/restconf/data/test:a%00",
        "/restconf/data/test:a=%c0%af",
        "/restconf/data/test:a=b%5Cc",
        "/restconf/data/test:a=x%2F..%2Fy",
        "/restconf/data/test:a;v=1",
        "/restconf/data?depth=1&depth=2",
        "/restconf/data?unknown=1",
        "/restconf/data/a",
        "/%72estconf/data/%2E",
    ] {
        for version in ["--http1.1", "--http2"] {
            let answer = web.curl(&[version], path);
            assert_eq!(
                (answer.status, answer.json()["ietf-restconf:errors"]["error"][0]["error-type"].as_str()),
                (400, Some("protocol")),
                "{path}: {answer:?}"
            );
        }
    }
    for body in [
        r#"{"test:a":1,"test:a":2}"#,
        r#"{"test:a":1,"@test:a":{"ietf-netconf:operation":"delete"}}"#,
        "{\"test:a\":1}x",
        "<a/>",
    ] {
        web.curl(&["-X", "PUT", "-H", JSON, "-d", body], "/restconf/data/test:a").is(400);
    }
    for kind in ["application/json; charset=utf-7", "text/plain", "application/x-www-form-urlencoded"] {
        web.curl(
            &["-X", "PUT", "-H", &format!("Content-Type: {kind}"), "-d", r#"{"test:a":1}"#],
            "/restconf/data/test:a",
        )
        .is(415);
    }
    web.curl(
        &["-H", JSON, "-H", "Content-Type: text/plain", "-X", "PUT", "-d", r#"{"test:a":1}"#],
        "/restconf/data/test:a",
    )
    .is(400);
    let cli = r#"{"x:input":{"command":"reload"}}"#;
    web.curl(&["-H", JSON, "-d", cli], "/restconf/operations/x:command").is(405);
    assert!(plane.got().is_empty(), "{:?}", plane.got());
}

#[test]
fn an_element_that_misbehaves_harms_nobody() {
    need!("curl", "openssl", "python3");
    let plane = Plane::with("\"restconf\"", "restconf = \"/restconf\"", |site| {
        site.row(READ);
        site.configure("limits.http", "answer_timeout_ms", 1500);
    });
    let web = plane.web("ada");
    for version in ["--http1.1", "--http2"] {
        let status = |name: &str| web.curl(&[version], &format!("/restconf/data/test:{name}")).status;
        assert_eq!(status("silent"), 504);
        assert_eq!(status("elsewhere"), 502);
        assert_eq!(status("unauthorized"), 502);
        assert_eq!(status("folded"), 502);
        assert_eq!(status("two-lengths"), 502);
        let here = web.curl(&[version], "/restconf/data/test:here").is(302);
        assert!(here.headers.contains(&format!("location: {}", web.url("/restconf/data/test:a"))), "{here:?}");
        let broken = web.curl(&[version], "/restconf/data/test:broken");
        assert!(!broken.errors.is_empty(), "it must not look complete: {broken:?}");
        let big = web.curl(&[version], "/restconf/data/test:big").is(200);
        assert!(big.errors.is_empty() && big.body.len() == 4 << 20, "{} {}", big.errors, big.body.len());
        assert_eq!(status("fine"), 200);
    }
    let digests = plane.recorded().iter().filter(|line| line.to_string().contains("4194304")).count();
    assert!(digests > 0, "the recording has the length and digest of what was too long to keep");
}

#[test]
fn an_outsider_learns_nothing_of_elements() {
    need!("curl", "openssl", "python3");
    let plane = Plane::with("\"restconf\"", "restconf = \"/restconf\"", |site| {
        site.issue("eve", &[]);
        site.row(READ);
    });
    let (there, mut not) = (plane.web("eve"), plane.web("eve"));
    not.host = not.host.replacen("r1", "r9", 1);
    for path in [
        "/restconf/data/test:a",
        "/restconf",
        "/.well-known/host-meta",
        "/restconf/nothing",
        "/restconf/data/a",
        "/restconf/streams/x",
    ] {
        let (one, other) = (there.curl(&[], path), not.curl(&[], path));
        assert_eq!((one.status, one.body), (other.status, other.body.replace("r9", "r1")), "{path}");
    }
    assert!(plane.got().is_empty());
}

/// Follows the events of `r1` as `identity`.
fn follow(plane: &Plane, identity: &str, version: &str) -> Process {
    let mut command =
        plane.web(identity).command(&[version, "-N", "-H", "Accept: text/event-stream"], "/restconf/streams/ticks");
    let mut process = Process::start(&plane.site.scratch(), &format!("follow{version}"), &mut command);
    process.tells("events", SOON, |out| out.contains("tick 3").then_some(()));
    process
}

#[test]
fn a_stream_ends_when_policy_no_longer_allows_it() {
    need!("curl", "openssl", "python3");
    let mut plane = plane(&[READ, "p, user:ada, element:r1, *, restconf.stream, ticks, allow"]);
    let mut following: Vec<Process> =
        ["--http1.1", "--http2"].into_iter().map(|version| follow(&plane, "ada", version)).collect();
    let rows: Vec<String> =
        plane.site.current_rows().into_iter().filter(|row| !row.contains("restconf.stream")).collect();
    plane.site.set_rows(rows);
    for process in &mut following {
        wait_until("the stream ends", SOON, || !process.running());
    }
    let sessions = wait_for("both are closed", SOON, || {
        let all = plane.site.sessions();
        (all.len() == 2 && all.iter().all(|s| !s["closed_at"].is_null())).then_some(all)
    });
    assert!(sessions.iter().all(|session| session["outcome"] == "policy-denies"), "{sessions:?}");
    let took = plane.site.ended_after_policy();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(plane.recorded().iter().any(|line| line.to_string().contains("tick 3")), "each event is in the recording");
    plane.web("ada").curl(&["--max-time", "5"], "/restconf/streams/ticks").is(403);
}

#[test]
fn a_stored_password_is_used_and_never_shown() {
    need!("curl", "openssl", "python3");
    let plane = Plane::with(
        "\"restconf\"",
        "restconf = \"/restconf\"\n[element.https.credential]\nkind = \"basic\"\nsecret = \"r1\"",
        |site| {
            site.row(READ);
        },
    );
    let mut set = Command::new(SALLYPORT);
    set.args(["secrets", "set", "r1", "--config"]).arg(plane.site.config());
    run(&mut set, b"op3n-sesame\n".to_vec(), MINUTE).ok();
    let answer = plane.web("ada").curl(&["-u", "ada:mine"], "/restconf/data/test:a").is(200);
    let got = plane.got();
    assert_eq!(got[0].header("authorization"), Some("Basic bmV0b3BzOm9wM24tc2VzYW1l"));
    let kept: String = plane.recorded().iter().map(ToString::to_string).collect();
    for secret in ["op3n-sesame", "bmV0b3BzOm9wM24tc2VzYW1l"] {
        assert!(
            !kept.contains(secret) && !answer.headers.contains(secret) && !plane.gateway.process.err().contains(secret)
        );
    }
}

#[test]
fn a_body_that_does_not_come_or_is_too_long_is_refused() {
    need!("curl", "openssl", "python3");
    let plane = Plane::with("\"restconf\"", "restconf = \"/restconf\"", |site| {
        site.row("p, user:ada, element:r1, *, data.write, /, allow");
        site.configure("limits.http", "body_timeout_ms", 800);
        site.configure("limits.http", "body_bytes_max", 4096);
    });
    let web = plane.web("ada");
    let head = "PUT /restconf/data/test:a HTTP/1.1\r\nHost: r1.sallyport.carrier.example\r\nContent-Type: application/yang-data+json\r\nConnection: close\r\n";
    let slow = web.raw(
        "http/1.1",
        &json!([format!("{head}Content-Length: 100\r\n\r\n{{"), 0.3, "\"", 0.3, "t", 0.3, "e", 0.3, "s"]),
    );
    assert!(slow.statuses() == [408] && slow.seconds < 8.0, "{slow:?}");
    let long = format!(r#"{{"test:a":"{}"}}"#, "x".repeat(5_000));
    for version in ["--http1.1", "--http2"] {
        web.curl(&[version, "-X", "PUT", "-H", JSON, "-d", &long], "/restconf/data/test:a").is(413);
        web.curl(
            &[version, "-X", "PUT", "-H", JSON, "-H", "Transfer-Encoding: chunked", "-d", &long],
            "/restconf/data/test:a",
        )
        .is(413);
    }
    assert!(plane.got().is_empty());
}

#[test]
fn jetconf_answers_through_the_gateway_as_it_does_directly() {
    need!("curl", "openssl", "netconfd", "python:jetconf");
    let mut site = Site::new();
    let (server, port) = jetconf(&site);
    add_element(&mut site, port, "\"restconf\"", "restconf = \"/restconf\"");
    let plane = Plane::before(site, server, |site| {
        site.row(READ);
        site.row("p, user:ada, element:r1, *, data.write, /ietf-system:system/contact, allow");
    });
    let web = plane.web("ada");
    for version in ["--http1.1", "--http2"] {
        let contact = "/restconf/data/ietf-system:system/contact";
        web.curl(
            &[version, "-X", "PUT", "-H", JSON, "-d", r#"{"ietf-system:contact":"noc@carrier.example"}"#],
            contact,
        )
        .is(204);
        assert_eq!(web.curl(&[version], contact).is(200).json()["ietf-system:contact"], "noc@carrier.example");
        web.curl(
            &[version, "-X", "PUT", "-H", JSON, "-d", r#"{"ietf-system:hostname":"evil"}"#],
            "/restconf/data/ietf-system:system/hostname",
        )
        .is(403);
        let all = web.curl(&[version], "/restconf/data/ietf-system:system").is(200).json();
        assert_eq!(all["ietf-system:system"]["hostname"], "r1");
    }
}

#[test]
fn nginx_is_reached_with_the_clients_certificate_in_both_versions() {
    need!("curl", "openssl", "nginx");
    for http2 in [false, true] {
        let mut site = Site::new();
        let body = "  location = /rc/data/test:a { default_type application/yang-data+json; return 200 '{\"who\":\"$ssl_client_s_dn\",\"by\":\"$server_protocol\"}'; }\n  \
                    location / { return 404; }";
        let (server, port) = nginx(&site, http2, body);
        add_element(&mut site, port, "\"restconf\"", "restconf = \"/rc\"");
        let plane = Plane::before(site, server, |site| site.row(READ));
        for version in ["--http1.1", "--http2"] {
            let said = plane.web("ada").curl(&[version], "/restconf/data/test:a").is(200).json();
            assert_eq!(said["who"], "CN=netops");
            assert_eq!(said["by"], if http2 { "HTTP/2.0" } else { "HTTP/1.1" });
        }
    }
}
