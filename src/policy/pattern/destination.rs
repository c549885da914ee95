//! Destinations of forwarded connections: `host:port`, or the path of a socket.

use super::{Reach, path};

/// A parsed destination pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) enum Pattern {
    /// Host and port; `*` in the host stands for any run of host characters, no port for every port.
    Tcp { host: String, port: Option<u16> },
    /// A socket on the element.
    Socket(path::Pattern),
}

/// The host of a listener on every address of the element.
const EVERY_ADDRESS: &str = "*";

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'%')
}

fn split(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    (!host.is_empty()).then_some((host, port))
}

/// A decimal port without sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    text.parse::<u16>().ok().filter(|number| number.to_string() == text)
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return path::Pattern::parse(text).map(Self::Socket);
        }
        let bad = || {
            format!(
                "`{}` is not a destination; write host:port, either of which may be `*`, or the path of a socket",
                text.escape_debug()
            )
        };
        let (host, port_text) = split(text).ok_or_else(bad)?;
        if !host.bytes().all(|b| is_host_byte(b) || b == b'*') || host.contains("**") {
            return Err(bad());
        }
        let port = if port_text == "*" { None } else { Some(port(port_text).ok_or_else(bad)?) };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    pub(super) fn matches(&self, reach: Reach, object: &str) -> bool {
        if object.starts_with('/') {
            return match self {
                Self::Socket(pattern) => pattern.matches(reach, object, path::is_canonical(object)),
                Self::Tcp { .. } => false,
            };
        }
        let parts = split(object).and_then(|(host, text)| port(text).map(|number| (host, number)));
        let Some((host, number)) = parts.filter(|(host, _)| *host == EVERY_ADDRESS || host.bytes().all(is_host_byte))
        else {
            return reach == Reach::Broad;
        };
        match self {
            Self::Socket(_) => false,
            Self::Tcp { host: pattern, port } => {
                let host = host.trim_end_matches('.');
                let names_host = || {
                    if host == EVERY_ADDRESS {
                        // A listener on every address is a listener on each: only `*` allows it, any host denies it.
                        return pattern == EVERY_ADDRESS || reach == Reach::Broad;
                    }
                    let same = |want: u8, byte: u8| want.eq_ignore_ascii_case(&byte);
                    super::glob(pattern.as_bytes(), host.as_bytes(), same, is_host_byte)
                };
                port.is_none_or(|wanted| wanted == number) && names_host()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(reach: Reach, pattern: &str, object: &str) -> bool {
        Pattern::parse(pattern).expect("a pattern").matches(reach, object)
    }

    #[test]
    fn both_ends_are_anchored() {
        for (pattern, object) in [
            ("10.0.0.1:443", "10.0.0.1:443"),
            ("*:443", "web.example:443"),
            ("web.example:*", "web.example:8080"),
            ("*.core.example:830", "a.b.core.example:830"),
            ("Web.example:443", "web.EXAMPLE.:443"),
            ("::1:22", "::1:22"),
            ("/run/x.sock", "/run/x.sock"),
        ] {
            assert!(is(Reach::Strict, pattern, object), "{pattern} / {object}");
        }
        for (pattern, object) in [
            ("10.0.0.1:443", "10.0.0.1:4430"),
            ("10.0.0.1:443", "110.0.0.1:443"),
            ("10.0.0.1:443", "10x0.0.1:443"),
            ("*.core.example:830", "core.example:830"),
            ("*.core.example:830", "evilcore.example:830"),
            ("*:443", "/run/x.sock"),
            ("*:443", "host"),
            ("*:443", "host:0443"),
            ("*:443", "host:+443"),
            ("*:443", "ho st:443"),
            ("*:443", "host/x:443"),
            ("*:443", ":443"),
            ("*:*", "host:65536"),
            ("/run/*", "/run/../etc/x"),
            ("/run/*", "host:1"),
        ] {
            assert!(!is(Reach::Strict, pattern, object), "{pattern} / {object}");
        }
        for object in ["host", "host:022", ":22", "ho st:22", "a\0:22", ""] {
            assert!(is(Reach::Broad, "10.0.0.1:22", object), "{object:?}");
        }
    }

    #[test]
    fn every_address_is_allowed_by_name_only_and_denied_by_any() {
        for pattern in ["*:8080", "*:*"] {
            assert!(is(Reach::Strict, pattern, "*:8080"), "{pattern}");
        }
        for pattern in ["localhost:8080", "*.example:8080", "*t:8080", "*:8081", "/run/x"] {
            assert!(!is(Reach::Strict, pattern, "*:8080"), "{pattern}");
        }
        assert!(is(Reach::Broad, "localhost:8080", "*:8080") && !is(Reach::Broad, "localhost:8081", "*:8080"));
        for object in ["**:8080", "*.:8080", "a*:8080"] {
            assert!(!is(Reach::Strict, "*:*", object), "{object}");
        }
    }

    #[test]
    fn patterns_that_are_refused() {
        for pattern in
            ["", "*", "host", ":22", "host:", "host:0x16", "host:65536", "host:022", "ho st:22", "**:22", "/a/../b"]
        {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
