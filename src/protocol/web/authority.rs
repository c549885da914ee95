//! Whether a request is for the element of its connection. Pure.

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};

/// A request that is answered by the gateway itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
}

const fn bad(text: &'static str) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, text }
}

const MISDIRECTED: Refused =
    Refused { status: StatusCode::MISDIRECTED_REQUEST, text: "this connection is not for that host" };

/// Checks that a request names `host`, and nothing else, as its authority: in `:authority` or an absolute target, in `Host`, or in both, and that
/// they agree. A port may follow; which one is the client's affair, for it may have come through a translation of addresses.
pub(super) fn check(head: &Parts, host: &str) -> Result<(), Refused> {
    if [Method::CONNECT, Method::TRACE].contains(&head.method) {
        return Err(Refused { status: StatusCode::METHOD_NOT_ALLOWED, text: "this method is not served here" });
    }
    if !head.uri.path().starts_with('/') {
        return Err(bad("the target of a request is a path"));
    }
    if head.uri.scheme_str().is_some_and(|scheme| scheme != "https") {
        return Err(bad("only https is served here"));
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let named = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("a request has one Host"));
    }
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    // RFC 9112 §3.2: a request of HTTP/1.1 has a Host whatever its target is. Earlier versions are held to the same.
    if named.is_none() && (authority.is_none() || head.version < Version::HTTP_2) {
        return Err(bad("a request names its Host"));
    }
    let all = authority.into_iter().chain(named.map(|value| value.as_bytes()));
    if all.into_iter().all(|text| is_host(text, host.as_bytes())) { Ok(()) } else { Err(MISDIRECTED) }
}

/// The authority that a request names, when it is text.
pub fn authority_of(head: &Parts) -> Option<&str> {
    let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    head.uri.authority().map(|authority| authority.as_str()).or(named)
}

/// Whether `text` is `host` with or without a port.
fn is_host(text: &[u8], host: &[u8]) -> bool {
    let Some((name, rest)) = text.split_at_checked(host.len()) else { return false };
    let port = match rest.strip_prefix(b":") {
        Some(port) => (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit),
        None => rest.is_empty(),
    };
    name.eq_ignore_ascii_case(host) && port
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, uri: &str, version: Version, hosts: &[&str]) -> u16 {
        let mut request = hyper::Request::builder().method(method).uri(uri).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        check(&head, "r1.gw.example").map_or_else(|refused| refused.status.as_u16(), |()| 200)
    }

    #[test]
    fn one_authority_and_the_right_one() {
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        for (uri, version, hosts) in [
            ("/a", one, &["r1.gw.example"][..]),
            ("/a", one, &["R1.GW.example:8443"]),
            ("/a", Version::HTTP_10, &["r1.gw.example"]),
            ("https://r1.gw.example/a", one, &["r1.gw.example"]),
            ("https://r1.gw.example:443/a", two, &[]),
            ("https://r1.gw.example/a", two, &["r1.gw.example"]),
            ("/a", two, &["r1.gw.example"]),
        ] {
            assert_eq!(status("GET", uri, version, hosts), 200, "{uri} {hosts:?}");
        }
        for (uri, version, hosts, expected) in [
            ("/a", one, &[][..], 400),
            ("/a", one, &["r1.gw.example", "r1.gw.example"], 400),
            ("/a", two, &[], 400),
            ("/a", one, &["r2.gw.example"], 421),
            ("/a", one, &["gw.example"], 421),
            ("/a", one, &["r1.gw.example."], 421),
            ("/a", one, &["r1.gw.example:"], 421),
            ("/a", one, &["r1.gw.example:x"], 421),
            ("/a", one, &["r1.gw.example:123456"], 421),
            ("/a", one, &["r1.gw.example.evil"], 421),
            ("/a", one, &["evil@r1.gw.example"], 421),
            ("/a", one, &["r1.gw.example@evil"], 421),
            ("/a", one, &[" r1.gw.example"], 421),
            ("/a", one, &[""], 421),
            ("/a", one, &["r1.gw.example, r2.gw.example"], 421),
            ("https://r1.gw.example/a", one, &[], 400),
            ("https://r1.gw.example/a", one, &["r2.gw.example"], 421),
            ("https://r2.gw.example/a", one, &["r1.gw.example"], 421),
            ("https://r2.gw.example/a", two, &[], 421),
            ("https://r1.gw.example/a", two, &["r2.gw.example"], 421),
            ("http://r1.gw.example/a", one, &["r1.gw.example"], 400),
            ("ftp://r1.gw.example/a", two, &[], 400),
            ("https://u:p@r1.gw.example/a", two, &[], 421),
            ("*", one, &["r1.gw.example"], 400),
        ] {
            assert_eq!(status("GET", uri, version, hosts), expected, "{uri} {hosts:?}");
        }
        assert_eq!(status("CONNECT", "r1.gw.example:443", one, &["r1.gw.example"]), 405);
        assert_eq!(status("TRACE", "/", one, &["r1.gw.example"]), 405);
    }
}
