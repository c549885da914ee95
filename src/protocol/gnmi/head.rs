//! Heads of calls and of their answers (gRPC over HTTP2): what is taken from a client, what an element is sent, what goes back.
//!
//! Metadata is an allow-list towards elements: nothing that a client sends there says who it is. Towards clients everything goes back but what could
//! hold the gateway's credentials and what speaks of the connection.

use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT};
use hyper::http::request::Parts;
use hyper::http::response::Parts as AnswerParts;
use hyper::{Method, Request, StatusCode, Uri, Version};

use super::refused::{Code, Refused};
use crate::access::Injected;
use crate::protocol::web::{Body, Response};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(super) const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// What an element says that no client is told: the gateway's credentials, should it echo them, and what is about the connection.
const KEPT_BACK: &[&str] = &[
    "authorization",
    "username",
    "password",
    "set-cookie",
    "alt-svc",
    "strict-transport-security",
    "grpc-encoding",
    "grpc-accept-encoding",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
];

/// Whether a request is gRPC's.
pub(super) fn is_grpc(head: &Parts) -> bool {
    let grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    head.version == Version::HTTP_2 && head.method == Method::POST && head.headers.get(CONTENT_TYPE).is_some_and(grpc)
}

/// What a client asks of a call as a whole.
#[derive(Debug)]
pub(super) struct Asked {
    /// How long it waits.
    pub(super) timeout: Option<Duration>,
    timeout_text: Option<HeaderValue>,
}

impl Asked {
    /// Reads the head of a call.
    pub(super) fn read(head: &Parts) -> Result<Self, Refused> {
        if !media_type_is_grpc(&head.headers) {
            return Err(Refused::new(
                Code::Unimplemented,
                "only application/grpc with protocol buffers is spoken here",
            ));
        }
        let encoding = single(&head.headers, &ENCODING)?;
        if encoding.is_some_and(|encoding| encoding != IDENTITY) {
            return Err(Refused::new(
                Code::Unimplemented,
                "the gateway takes no compressed messages: use grpc-encoding identity",
            ));
        }
        let text = single(&head.headers, &TIMEOUT)?.cloned();
        let timeout = text.as_ref().map(|text| {
            let read = text.to_str().ok().and_then(timeout);
            read.ok_or_else(|| Refused::new(Code::InvalidArgument, "the grpc-timeout cannot be read"))
        });
        Ok(Self { timeout: timeout.transpose()?, timeout_text: text })
    }

    /// The request that the element gets.
    pub(super) fn to_element<B>(
        &self,
        path: &'static str,
        authority: &str,
        injected: Option<&Injected>,
        body: B,
    ) -> Result<Request<B>, Refused> {
        let internal = |_| Refused::new(Code::Internal, "the request could not be written");
        let uri = Uri::builder().scheme("https").authority(authority).path_and_query(path).build().map_err(internal)?;
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONTENT_TYPE, GRPC);
        headers.insert(ACCEPT_ENCODING, IDENTITY);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("sallyport/", env!("CARGO_PKG_VERSION"))));
        if let Some(timeout) = &self.timeout_text {
            headers.insert(TIMEOUT, timeout.clone());
        }
        if let Some(injected) = injected {
            inject(headers, injected)
                .ok_or_else(|| Refused::new(Code::Internal, "the stored credential cannot be sent"))?;
        }
        Ok(request)
    }
}

/// gNMI's own metadata for an account (gNMI authentication specification), or a bearer token.
fn inject(headers: &mut HeaderMap, injected: &Injected) -> Option<()> {
    let mut secret = |name: HeaderName, text: &str| {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Some(())
    };
    match injected {
        Injected::Basic { user, password } => {
            secret(HeaderName::from_static("username"), user)?;
            secret(HeaderName::from_static("password"), password)
        }
        Injected::Bearer { token } => secret(AUTHORIZATION, &format!("Bearer {}", token.as_str())),
    }
}

/// A header that may be there once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, Refused> {
    let mut all = headers.get_all(name).iter();
    let first = all.next();
    match all.next() {
        None => Ok(first),
        Some(_) => Err(Refused::new(Code::InvalidArgument, format!("{name} is there twice"))),
    }
}

fn media_type_is_grpc(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return false };
    let media = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim_end();
    matches!(media.to_ascii_lowercase().as_str(), "application/grpc" | "application/grpc+proto")
}

/// At most eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// The head of an element's answer as the client gets it, and whether the answer is over with it.
pub(super) fn from_element(answer: AnswerParts) -> Result<(HeaderMap, bool), Refused> {
    if answer.status != StatusCode::OK || !media_type_is_grpc(&answer.headers) {
        let text = format!("the element did not answer in gRPC (HTTP status {})", answer.status.as_u16());
        return Err(Refused::new(Code::Internal, text));
    }
    if answer.headers.get(ENCODING).is_some_and(|encoding| encoding != IDENTITY) {
        return Err(Refused::new(Code::Internal, "the element compresses messages though it was told not to"));
    }
    let over = answer.headers.contains_key(STATUS);
    Ok((passed_back(answer.headers), over))
}

/// Metadata of an element as the client gets it.
pub(super) fn passed_back(mut headers: HeaderMap) -> HeaderMap {
    for name in KEPT_BACK {
        headers.remove(*name);
    }
    headers
}

/// The trailers of a call that the gateway ends.
pub(super) fn trailers(refused: &Refused) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from(u16::from(refused.code.number())));
    if let Ok(text) = HeaderValue::from_str(&encoded(&refused.text)) {
        trailers.insert(MESSAGE, text);
    }
    trailers
}

/// The answer to a call that the gateway ends before the element has answered.
pub(super) fn answer(refused: &Refused) -> Response {
    let mut response = Response::new(Body::full(""));
    *response.headers_mut() = trailers(refused);
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response.headers_mut().insert(ACCEPT_ENCODING, IDENTITY);
    response
}

/// The status and message in trailers as recordings show them.
pub(super) fn status_of(trailers: &HeaderMap) -> String {
    let text =
        |name| trailers.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let Some(status) = text(STATUS) else { return "no grpc-status".to_owned() };
    let name = status.parse().ok().and_then(super::refused::name).map_or(status, str::to_owned);
    match text(MESSAGE).filter(|message| !message.is_empty()) {
        Some(message) => format!("{name}: {}", decoded(&message).chars().take(500).collect::<String>()),
        None => name,
    }
}

/// Percent-encoding of a status message (gRPC over HTTP2, "Status-Message").
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'%' | 0..0x20 | 0x7f.. => out.push_str(&format!("%{byte:02X}")),
            byte => out.push(char::from(byte)),
        }
    }
    out
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let hex = after.first_chunk::<2>().filter(|_| *byte == b'%');
        let value = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = if value.is_some() { after.get(2..).unwrap_or_default() } else { after };
        out.push(value.unwrap_or(*byte));
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method("POST").version(Version::HTTP_2).uri("/gnmi.gNMI/Get");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn heads_of_calls() {
        let grpc = ("content-type", "application/grpc");
        for headers in [
            &[grpc][..],
            &[("content-type", "application/grpc+proto")],
            &[("content-type", "Application/gRPC; x=y")],
            &[grpc, ("grpc-encoding", "identity"), ("grpc-timeout", "99999999H")],
            &[grpc, ("grpc-accept-encoding", "gzip, deflate"), ("password", "x")],
        ] {
            assert!(Asked::read(&head(headers)).is_ok(), "{headers:?}");
        }
        for (headers, code) in [
            (&[][..], Code::Unimplemented),
            (&[("content-type", "application/grpc-web")], Code::Unimplemented),
            (&[("content-type", "application/grpc+json")], Code::Unimplemented),
            (&[grpc, grpc], Code::Unimplemented),
            (&[grpc, ("grpc-encoding", "gzip")], Code::Unimplemented),
            (&[grpc, ("grpc-encoding", "identity"), ("grpc-encoding", "gzip")], Code::InvalidArgument),
            (&[grpc, ("grpc-timeout", "")], Code::InvalidArgument),
            (&[grpc, ("grpc-timeout", "5")], Code::InvalidArgument),
            (&[grpc, ("grpc-timeout", "S")], Code::InvalidArgument),
            (&[grpc, ("grpc-timeout", "+5S")], Code::InvalidArgument),
            (&[grpc, ("grpc-timeout", "5s")], Code::InvalidArgument),
            (&[grpc, ("grpc-timeout", "5 S")], Code::InvalidArgument),
            (&[grpc, ("grpc-timeout", "123456789S")], Code::InvalidArgument),
            (&[grpc, ("grpc-timeout", "5S"), ("grpc-timeout", "6S")], Code::InvalidArgument),
        ] {
            assert_eq!(
                Asked::read(&head(headers)).map(|_| ()).map_err(|refused| refused.code),
                Err(code),
                "{headers:?}"
            );
        }
        for (text, millis) in [("5S", 5_000), ("0m", 0), ("7m", 7), ("2M", 120_000), ("1H", 3_600_000), ("2000u", 2)] {
            assert_eq!(timeout(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn an_element_learns_nothing_from_the_client_but_the_call() {
        let asked = Asked::read(&head(&[
            ("content-type", "application/grpc+proto"),
            ("grpc-timeout", "5S"),
            ("authorization", "Bearer stolen"),
            ("username", "root"),
            ("password", "x"),
            ("x-forwarded-for", "192.0.2.1"),
            ("cookie", "a=b"),
            ("grpc-accept-encoding", "gzip"),
            ("user-agent", "grpc-python"),
        ]))
        .expect("a call");
        let names = |injected: Option<&Injected>| {
            let request = asked.to_element("/gnmi.gNMI/Get", "r1.example", injected, ()).expect("a request");
            assert_eq!(request.uri(), "https://r1.example/gnmi.gNMI/Get");
            let mut names: Vec<String> =
                request.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().expect("text"))).collect();
            names.sort();
            names.retain(|name| !name.starts_with("user-agent: sallyport/"));
            names
        };
        let plain =
            ["content-type: application/grpc", "grpc-accept-encoding: identity", "grpc-timeout: 5S", "te: trailers"];
        assert_eq!(names(None), plain);
        let basic = Injected::Basic { user: "netops".to_owned(), password: "s3cret".to_owned().into() };
        let with: Vec<&str> = [plain[0], plain[1], plain[2], "password: s3cret", plain[3], "username: netops"].to_vec();
        assert_eq!(names(Some(&basic)), with);
        let bearer = Injected::Bearer { token: "t0ken".to_owned().into() };
        assert!(names(Some(&bearer)).contains(&"authorization: Bearer t0ken".to_owned()));
    }

    #[test]
    fn answers_of_elements() {
        let answer = |status: u16, headers: &[(&str, &str)]| {
            let mut answer = hyper::Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(*name, *value);
            }
            from_element(answer.body(()).expect("an answer").into_parts().0)
        };
        let grpc = ("content-type", "application/grpc");
        let (headers, over) =
            answer(200, &[grpc, ("x-own", "1"), ("password", "s3cret"), ("grpc-encoding", "identity")]).expect("one");
        assert!(!over && headers.len() == 2 && headers.contains_key("x-own"));
        let (headers, over) =
            answer(200, &[grpc, ("grpc-status", "5"), ("grpc-status-details-bin", "AA")]).expect("one");
        assert!(over && headers.len() == 3);
        for (status, headers) in [
            (404, &[grpc][..]),
            (200, &[]),
            (200, &[("content-type", "text/html")]),
            (200, &[grpc, ("grpc-encoding", "gzip")]),
            (302, &[("location", "https://evil.example/")]),
        ] {
            assert_eq!(
                answer(status, headers).map_err(|refused| refused.code).err(),
                Some(Code::Internal),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn statuses() {
        let refused = Refused::new(Code::PermissionDenied, "no 100% é\n");
        let trailers = trailers(&refused);
        assert_eq!(trailers.get(STATUS).map(HeaderValue::as_bytes), Some(&b"7"[..]));
        assert_eq!(trailers.get(MESSAGE).map(HeaderValue::as_bytes), Some(&b"no 100%25 %C3%A9%0A"[..]));
        assert_eq!(status_of(&trailers), "PERMISSION_DENIED: no 100% é\n");
        let of = |status: &'static str, message: &'static str| {
            let mut trailers = HeaderMap::new();
            trailers.insert(STATUS, HeaderValue::from_static(status));
            trailers.insert(MESSAGE, HeaderValue::from_static(message));
            status_of(&trailers)
        };
        assert_eq!(of("0", ""), "OK");
        assert_eq!(of("5", "%zz%"), "NOT_FOUND: %zz%");
        assert_eq!(of("99", "x"), "99: x");
        assert_eq!(status_of(&HeaderMap::new()), "no grpc-status");
    }
}
