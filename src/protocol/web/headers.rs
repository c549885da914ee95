//! Which headers pass. What is not listed does not: neither hop-by-hop headers, nor anything that says who the client is or where it came from, nor
//! what an element says of itself.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// From a client to an element. Without `Accept-Encoding`: what passes is recorded, and may be masked, as what it says.
const REQUEST: &[&str] = &[
    "accept",
    "accept-language",
    "cache-control",
    "content-language",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "last-event-id",
    "prefer",
    "user-agent",
];

/// From an element to a client. `Location` is not among them: it is rewritten or left out.
const ANSWER: &[&str] = &[
    "accept-patch",
    "accept-ranges",
    "age",
    "allow",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "etag",
    "expires",
    "last-modified",
    "preference-applied",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "referrer-policy",
    "retry-after",
    "vary",
    "x-content-type-options",
    "x-frame-options",
    "x-request-id",
    "x-total-count",
];

/// The headers of a request that go on to an element, and `more`, which its service has asked for.
pub fn towards_element(headers: &HeaderMap, more: &[HeaderName]) -> HeaderMap {
    passing(headers, |name| REQUEST.contains(&name.as_str()) || more.contains(name))
}

/// The headers of an answer that go on to a client.
pub fn towards_client(headers: &HeaderMap) -> HeaderMap {
    passing(headers, |name| ANSWER.contains(&name.as_str()))
}

fn passing(headers: &HeaderMap, passes: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| passes(name)) {
        passed.append(name.clone(), value.clone());
    }
    passed
}

/// The value of a header that may be there once.
///
/// # Errors
/// It is there twice, or is not text.
pub fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(format!("the header {name} is there twice"));
    }
    let text = |value: &'h HeaderValue| value.to_str().map_err(|_| format!("the header {name} is not text"));
    first.map(text).transpose()
}

#[cfg(test)]
mod tests {
    use hyper::header;

    use super::*;

    #[test]
    fn what_is_not_listed_does_not_pass() {
        let mut all = HeaderMap::new();
        for name in [
            "accept",
            "content-type",
            "etag",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "forwarded",
            "via",
            "x-real-ip",
            "x-client-cert",
            "x-ssl-client-cert",
            "x-ssl-client-s-dn",
            "ssl-client-cert",
            "x-forwarded-client-cert",
            "x-remote-user",
            "remote-user",
            "x-webauth-user",
            "authorization",
            "proxy-authorization",
            "www-authenticate",
            "cookie",
            "set-cookie",
            "connection",
            "keep-alive",
            "transfer-encoding",
            "te",
            "trailer",
            "upgrade",
            "host",
            "content-length",
            "accept-encoding",
            "range",
            "expect",
            "x-http-method-override",
            "x-original-url",
            "x-rewrite-url",
            "server",
            "alt-svc",
            "location",
            "strict-transport-security",
            "access-control-allow-origin",
            "x-accel-redirect",
        ] {
            all.append(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        let names = |map: HeaderMap| map.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(towards_element(&all, &[])), ["accept", "content-type"]);
        assert_eq!(names(towards_element(&all, &[header::VIA])), ["accept", "content-type", "via"]);
        assert_eq!(names(towards_client(&all)), ["content-type", "etag"]);
    }

    #[test]
    fn a_header_that_counts_is_there_once() {
        let mut all = HeaderMap::new();
        assert_eq!(single(&all, &header::CONTENT_TYPE), Ok(None));
        all.append(header::CONTENT_TYPE, HeaderValue::from_static("a"));
        assert_eq!(single(&all, &header::CONTENT_TYPE), Ok(Some("a")));
        all.append(header::CONTENT_TYPE, HeaderValue::from_static("a"));
        assert!(single(&all, &header::CONTENT_TYPE).is_err());
        all.insert(header::CONTENT_TYPE, HeaderValue::from_bytes(b"\xff").expect("a value"));
        assert!(single(&all, &header::CONTENT_TYPE).is_err());
    }
}
