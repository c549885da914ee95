//! HTTPS APIs through the gateway: decisions, bodies, what passes, and what nobody gets through.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::gateway::Site;
use crate::harness::http::Web;
use crate::harness::https::{Plane, add_element, nginx};
use crate::harness::process::Process;
use crate::harness::{SOON, need, wait_until};

fn plane(rows: &[&str]) -> Plane {
    Plane::with("\"https\"", "restconf = \"/rests\"", |site| rows.iter().for_each(|row| site.row(row)))
}

const READ: &str = "p, user:ada, element:r1, *, http.get, /shop/**, allow";

#[test]
fn each_request_is_decided_by_method_and_path() {
    need!("curl", "openssl", "python3");
    let plane = plane(&[
        READ,
        "p, user:ada, element:r1, *, http.head, /shop/**, allow",
        "p, user:ada, element:r1, *, http.put, /shop/items/*, allow",
        "p, user:ada, element:r1, *, http.post, /shop/items, allow",
        "p, *, element:r1, *, http.*, /shop/private/**, deny",
        "p, user:ada, element:r1, *, http.get, /rests/**, allow",
    ]);
    let web = plane.web("ada");
    for version in ["--http1.1", "--http2"] {
        let read = web.curl(&[version], "/shop/items/a%20b?sort=n+m&all").is(200);
        assert_eq!(read.json()["test:reached"]["path"], "/shop/items/a%20b?sort=n%20m&all");
        web.curl(&[version, "-I"], "/shop/items").is(200);
        web.curl(
            &[version, "-X", "PUT", "-H", "Content-Type: application/json", "-d", r#"{"price":17}"#],
            "/shop/items/1",
        )
        .is(204);
        let made = web.curl(&[version, "-d", "{}"], "/shop/items").is(201);
        assert!(made.headers.contains(&format!("location: {}", web.url("/shop/items/new"))), "{made:?}");
        for (method, path, status) in [
            ("GET", "/", 403),
            ("GET", "/shopping", 403),
            ("GET", "/shop/private/keys", 403),
            ("DELETE", "/shop/items/1", 403),
            ("PUT", "/shop/items/1/price", 403),
            ("POST", "/shop/items/1", 403),
            ("GET", "/rests/data/x:y", 403),
            ("GET", "/shop/items/", 400),
            ("GET", "/shop/%2e%2e/private", 400),
            ("GET", "/shop/private%2fkeys", 400),
            ("GET", "/shop/a%252fb", 400),
            ("GET", "/shop/items;v=1", 400),
            ("GET", "/shop/items?a=1&a=2", 400),
            ("PROPFIND", "/shop/items", 405),
        ] {
            let said = web.curl(&[version, "-X", method], path).is(status);
            assert!(status != 403 || said.body.contains("not allowed for ada"), "{said:?}");
        }
        web.curl(&[version, "-X", "GET", "-d", "body"], "/shop/items").is(400);
        let problem = web.curl(&[version, "-H", "Accept: application/json"], "/elsewhere").is(403);
        assert!(problem.headers.contains("application/problem+json"), "{problem:?}");
        assert!(problem.json()["detail"].as_str().is_some_and(|text| text.contains("Ask ")), "{problem:?}");
    }
    let got = plane.got();
    assert_eq!(got.len(), 8, "nothing that was denied came to the element: {got:?}");
    assert!(got.iter().all(|got| got.client == ["netops"]), "{got:?}");
    let lines: Vec<String> = plane.recorded().iter().map(ToString::to_string).collect();
    let at = |words: &[&str]| lines.iter().position(|line| words.iter().all(|word| line.contains(word)));
    let (asked, gone) =
        (at(&["channel-opened", "http.put"]), at(&["\"part\":\"request\"", "PUT /shop/items/1", "17}"]));
    assert!(asked.is_some() && asked < gone && gone < at(&["\"part\":\"reply\"", "PUT /shop/items/1", "\"204\""]));
    let log: String = plane.site.events().iter().map(ToString::to_string).collect();
    assert!(log.contains("/shop/private/keys") && log.contains("served at /restconf"), "denials are in the log");
}

#[test]
fn nothing_says_who_the_client_is_but_the_gateway() {
    need!("curl", "openssl", "python3");
    let plane = plane(&[READ]);
    let web = plane.web("ada");
    let forged = [
        "X-Forwarded-For: 10.0.0.1",
        "Forwarded: for=10.0.0.1",
        "X-Remote-User: root",
        "X-SSL-Client-S-DN: CN=root",
        "Authorization: Bearer stolen",
        "Cookie: session=root",
        "X-HTTP-Method-Override: DELETE",
        "Connection: X-Hop, Upgrade",
        "X-Hop: y",
        "Upgrade: websocket",
        "TE: trailers",
    ];
    for version in ["--http1.1", "--http2"] {
        let options: Vec<&str> = [version].into_iter().chain(forged.iter().flat_map(|header| ["-H", header])).collect();
        web.curl(&options, "/shop/a").is(200);
        let told = web.curl(&[version], "/shop/talkative").is(200);
        for word in ["secret-os", "set-cookie", "via", "x-internal", "alt-svc"] {
            assert!(!told.headers.contains(word), "{word}: {told:?}");
        }
        web.curl(&[version], "/shop/elsewhere").is(502);
        web.curl(&[version], "/shop/unauthorized").is(502);
    }
    for got in plane.got() {
        assert_eq!(got.header_names(), ["accept", "host", "user-agent"], "{got:?}");
    }
}

#[test]
fn bodies_pass_in_pieces_within_limits_and_leave_their_digest() {
    need!("curl", "openssl", "python3");
    let plane = Plane::with("\"https\"", "", |site| {
        site.row("p, user:ada, element:r1, *, http.put, /files/*, allow");
        site.row("p, user:ada, element:r1, *, http.get, /files/*, allow");
        site.configure("limits.http", "upload_bytes_max", 600_000);
        site.configure("limits.http", "kept_bytes_max", 1000);
        site.configure("limits.http", "body_timeout_ms", 800);
    });
    let web = plane.web("ada");
    let file = plane.site.scratch().join("upload");
    fs::write(&file, "0123456789".repeat(50_000)).expect("a file");
    let upload = format!("@{}", file.display());
    for options in
        [["--http1.1", "-H", "X: y"], ["--http2", "-H", "X: y"], ["--http1.1", "-H", "Transfer-Encoding: chunked"]]
    {
        web.curl(&[&options[..], &["-X", "PUT", "--data-binary", &upload]].concat(), "/files/a").is(204);
    }
    fs::write(&file, "0123456789".repeat(70_000)).expect("a file");
    web.curl(&["--http2", "-X", "PUT", "--data-binary", &upload], "/files/b").is(413);
    let cut =
        web.curl(&["--http1.1", "-H", "Transfer-Encoding: chunked", "-X", "PUT", "--data-binary", &upload], "/files/c");
    assert!(cut.status != 204, "{cut:?}");
    let head = "PUT /files/d HTTP/1.1\r\nHost: r1.sallyport.carrier.example\r\nConnection: close\r\nContent-Length: 100\r\n\r\nabc";
    let slow = web.raw("http/1.1", &json!([head]));
    assert!(slow.statuses() == [408] && slow.seconds < 8.0, "{slow:?}");
    let big = web.curl(&[], "/files/big").is(200);
    assert_eq!(big.body.len(), 4 << 20);
    let got = plane.got();
    assert_eq!(got.iter().filter(|got| got.path == "/files/a" && got.body.len() == 500_000).count(), 3);
    assert!(
        got.iter().all(|got| got.method == "GET" || got.path == "/files/a"),
        "nothing that was cut off arrived whole"
    );
    let lines: Vec<String> = plane.recorded().iter().map(ToString::to_string).collect();
    let digests = lines.iter().filter(|line| line.contains("500000") && line.contains("\"input\"")).count();
    assert_eq!(digests, 3, "{lines:#?}");
}

#[test]
fn a_stream_of_events_ends_when_policy_no_longer_allows_it() {
    need!("curl", "openssl", "python3");
    let mut plane = plane(&[READ]);
    let mut command = plane.web("ada").command(&["--http2", "-N"], "/shop/ticks");
    let mut process = Process::start(&plane.site.scratch(), "follow", &mut command);
    process.tells("events", SOON, |out| out.contains("tick 3").then_some(()));
    let rows: Vec<String> = plane.site.current_rows().into_iter().filter(|row| !row.contains("http.get")).collect();
    let began = Instant::now();
    plane.site.set_rows(rows);
    wait_until("the stream ends", SOON, || !process.running());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(plane.recorded().iter().any(|line| line.to_string().contains("tick 3")), "each event is in the recording");
}

#[test]
fn an_outsider_learns_nothing() {
    need!("curl", "openssl", "python3");
    let plane = Plane::with("\"https\"", "restconf = \"/rests\"", |site| {
        site.issue("eve", &[]);
        site.row(READ);
    });
    let (there, mut not) = (plane.web("eve"), plane.web("eve"));
    not.host = not.host.replacen("r1", "r9", 1);
    for path in ["/", "/shop/a", "/nothing", "/rests/data", "/shop/"] {
        let (one, other) = (there.curl(&[], path), not.curl(&[], path));
        assert_eq!((one.status, one.body), (other.status, other.body.replace("r9", "r1")), "{path}");
    }
    assert!(plane.got().is_empty());
}

#[test]
fn nginx_is_reached_in_both_versions() {
    need!("curl", "openssl", "nginx");
    for http2 in [false, true] {
        let mut site = Site::new();
        let body = "  location /shop/ { default_type application/json; return 200 '{\"who\":\"$ssl_client_s_dn\",\"by\":\"$server_protocol\"}'; }";
        let (server, port) = nginx(&site, http2, body);
        add_element(&mut site, port, "\"https\"", "");
        let plane = Plane::before(site, server, |site| site.row(READ));
        for version in ["--http1.1", "--http2"] {
            let web: Web = plane.web("ada");
            let said = web.curl(&[version], "/shop/a").is(200).json();
            assert_eq!(
                (&said["who"], &said["by"]),
                (&json!("CN=netops"), &json!(if http2 { "HTTP/2.0" } else { "HTTP/1.1" }))
            );
        }
    }
}
