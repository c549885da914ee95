//! HTTP on the mTLS door: who is asked, what is refused before anybody is asked, and that the console keeps its own name.

use serde_json::json;

use crate::harness::gateway::{DOMAIN, Gateway, Site};
use crate::harness::http::Web;
use crate::harness::need;

/// A gateway whose inventory has nothing that is reached by HTTP.
fn gateway(configure: impl FnOnce(&Site)) -> (Site, Gateway, Web) {
    let mut site = Site::new();
    site.let_read("ada");
    configure(&site);
    let gateway = site.start();
    let web = Web::new(&site, &gateway, "ada", "r1");
    (site, gateway, web)
}

const HOST: &str = "Host: r1.sallyport.carrier.example\r\n";

#[test]
fn both_versions_are_spoken_on_an_element_and_the_console_keeps_its_own_name() {
    need!("curl", "python3");
    let (site, gateway, web) = gateway(|_| {});
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let answer = web.curl(&[option], "/").is(403);
        assert_eq!((answer.version.as_str(), answer.errors.as_str()), (version, ""));
        assert!(answer.headers.contains("content-type: text/plain"), "{answer:?}");
    }
    assert_eq!(web.raw("h2,http/1.1", &json!([])).alpn.as_deref(), Some("h2"));
    let spoken = web.raw("-", &json!([format!("GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n")]));
    assert_eq!((spoken.alpn.as_deref(), spoken.statuses()), (None, vec![403]));
    let mut own = Web::new(&site, &gateway, "ada", "r1");
    own.host = DOMAIN.to_owned();
    let console = own.curl(&["--http2"], "/v1/sessions").is(200);
    assert_eq!(console.version, "1.1", "the console speaks HTTP/1.1, whatever else is offered");
    assert!(web.curl(&[], "/v1/sessions").is(403).body.contains("not allowed for ada"));
}

#[test]
fn another_authority_than_the_connection_is_refused() {
    need!("curl", "python3");
    let (_site, _gateway, web) = gateway(|_| {});
    for option in ["--http1.1", "--http2"] {
        for host in ["r2.sallyport.carrier.example", DOMAIN, "localhost", "r1.sallyport.carrier.example.evil"] {
            web.curl(&[option, "-H", &format!("Host: {host}")], "/").is(421);
        }
        web.curl(&[option, "-H", "Host: R1.Sallyport.carrier.example:443"], "/").is(403);
    }
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\n{HOST}{HOST}\r\n"), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 400),
        (format!("GET https://r2.{DOMAIN}/ HTTP/1.1\r\n{HOST}\r\n"), 421),
        (format!("GET https://r1.{DOMAIN}/ HTTP/1.1\r\nHost: r2.{DOMAIN}\r\n\r\n"), 421),
        (format!("GET http://r1.{DOMAIN}/ HTTP/1.1\r\n{HOST}\r\n"), 400),
        (format!("GET https://r1.{DOMAIN}/ HTTP/1.1\r\n{HOST}\r\n"), 403),
        (format!("CONNECT r1.{DOMAIN}:443 HTTP/1.1\r\n{HOST}\r\n"), 405),
        (format!("TRACE / HTTP/1.1\r\n{HOST}\r\n"), 405),
        (format!("OPTIONS * HTTP/1.1\r\n{HOST}\r\n"), 400),
    ] {
        let end = "GET /end HTTP/1.1\r\nConnection: close\r\n\r\n";
        let said = web.raw("http/1.1", &json!([request, end]));
        assert_eq!(said.statuses().first(), Some(&status), "{request} {said:?}");
    }
}

#[test]
fn nothing_can_be_smuggled_in() {
    need!("python3");
    let (_site, _gateway, web) = gateway(|_| {});
    let inner = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for head in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 50\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "X: y\nContent-Length: 40\r\n\r\n",
        "Content-Length: 0x10\r\n\r\n",
        "Content-Length: +10\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0;x=y\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
    ] {
        let said = web.raw("http/1.1", &json!([format!("POST / HTTP/1.1\r\n{HOST}{head}{inner}")]));
        assert!(said.closed && said.statuses().len() <= 1, "{head:?}: {said:?}");
        assert!(said.statuses().iter().all(|status| [400, 403].contains(status)), "{head:?}: {said:?}");
        assert!(!said.text.contains("421"), "the inner request was read as one: {head:?}: {said:?}");
    }
    // Requests that follow each other are told apart.
    let one = format!("POST /a HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let two = format!("GET /b HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n");
    assert_eq!(web.raw("http/1.1", &json!([format!("{one}{two}")])).statuses(), [403, 403]);
}

#[test]
fn headers_and_silence_have_limits() {
    need!("curl", "python3");
    let (_site, _gateway, web) = gateway(|site| {
        site.configure("limits.http", "header_timeout_ms", 700);
        site.configure("limits.http", "idle_timeout", "1s");
        site.configure("limits.http", "header_bytes_max", 8192);
        site.configure("limits.http", "headers_max", 20);
    });
    let long = format!("X: {}", "a".repeat(9_000));
    assert_eq!(web.curl(&["--http1.1", "-H", &long], "/").status, 431);
    assert_ne!(web.curl(&["--http2", "-H", &long], "/").status, 403);
    let names: Vec<String> = (0..30).map(|n| format!("X-{n}: y")).collect();
    for option in ["--http1.1", "--http2"] {
        let options: Vec<&str> = [option].into_iter().chain(names.iter().flat_map(|n| ["-H", n])).collect();
        assert_eq!(web.curl(&options, "/").status, 431, "{option}");
    }
    let drips: Vec<_> = std::iter::once(json!("GET / HTTP/1.1\r\n"))
        .chain((0..20).flat_map(|n| [json!(0.2), json!(format!("X-{n}: y\r\n"))]))
        .collect();
    let slow = web.raw("http/1.1", &json!(drips));
    assert!(slow.closed && slow.statuses().is_empty() && slow.seconds < 5.0, "{slow:?}");
    for alpn in ["http/1.1", "h2"] {
        let silent = web.raw(alpn, &json!([]));
        assert!(silent.closed && silent.seconds < 9.0, "{alpn}: {silent:?}");
    }
}
