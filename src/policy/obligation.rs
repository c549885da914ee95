//! Obligations: what must also hold for an allow. Decided on every request, never remembered.
//!
//! An unknown word is a mistake at load. One that this version knows and cannot fulfil denies.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::api::Pointer;
use crate::domain::{Door, Obligation, Request, Timestamp, Verb, parse_duration};

use super::window::Window;

/// A parsed obligation, ready to be tested.
#[derive(Debug, Clone)]
pub(super) enum Duty {
    Assurance(u8),
    CustomerAuth,
    Door(Door),
    Device,
    Mask(Pointer),
    Max(Duration),
    Source(IpNet, String),
    Unfulfilled(String),
    Window(Box<Window>, String),
}

/// What became of an obligation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It holds; until then, when time alone ends it.
    Holds(Option<Timestamp>),
    /// It does not; which, and what would.
    Fails(String),
}

impl Duty {
    /// Reads the last field of a `p2` row.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "`{}` is not an obligation; known are assurance:N, door:mtls, door:ssh, device, max:8h, source:CIDR, window:DAYS HH:MM-HH:MM ZONE, \
                 for requests of HTTPS APIs customer-auth and mask:POINTER, and (not fulfilled yet, so they deny) review:N, ticket",
                text.escape_debug()
            )
        };
        let (word, value) = text.split_once(':').map_or((text, None), |(word, value)| (word, Some(value)));
        match (word, value) {
            ("assurance", Some(level)) => match level {
                "1" => Ok(Self::Assurance(1)),
                "2" => Ok(Self::Assurance(2)),
                "3" => Ok(Self::Assurance(3)),
                _ => Err(format!("`{text}`: the levels are 1 (software key), 2 (mutual TLS) and 3 (hardware-bound)")),
            },
            ("door", Some("mtls")) => Ok(Self::Door(Door::Mtls)),
            ("door", Some("ssh")) => Ok(Self::Door(Door::Ssh)),
            ("device", None) => Ok(Self::Device),
            ("max", Some(span)) => parse_duration(span).map(Self::Max).map_err(|e| e.to_string()),
            ("source", Some(net)) => source(net).map(|parsed| Self::Source(parsed, net.to_owned())),
            ("window", Some(window)) => {
                Window::parse(window).map(|parsed| Self::Window(Box::new(parsed), window.to_owned()))
            }
            ("review", Some(count)) if matches!(count.as_bytes(), [b'1'..=b'9']) => {
                Ok(Self::Unfulfilled(text.to_owned()))
            }
            ("ticket", None) => Ok(Self::Unfulfilled(text.to_owned())),
            ("customer-auth", None) => Ok(Self::CustomerAuth),
            ("mask", Some(pointer)) => {
                pointer.parse().map(Self::Mask).map_err(|e: crate::domain::ParseError| e.to_string())
            }
            _ => Err(unknown()),
        }
    }

    /// As the decision carries it.
    pub(super) fn facts(&self) -> Obligation {
        match self {
            Self::Assurance(level) => Obligation::Assurance(*level),
            Self::CustomerAuth => Obligation::CustomerAuth,
            Self::Mask(pointer) => Obligation::Mask(pointer.to_string()),
            Self::Door(door) => Obligation::Door(*door),
            Self::Device => Obligation::Device,
            Self::Max(span) => Obligation::Max(*span),
            Self::Source(_, text) => Obligation::Source(text.clone()),
            Self::Unfulfilled(text) => Obligation::Unfulfilled(text.clone()),
            Self::Window(_, text) => Obligation::Window(text.clone()),
        }
    }

    /// As `policy.csv` writes it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Assurance(level) => format!("assurance:{level}"),
            Self::CustomerAuth => "customer-auth".to_owned(),
            Self::Mask(pointer) => format!("mask:{pointer}"),
            Self::Door(door) => format!("door:{}", door.as_str()),
            Self::Device => "device".to_owned(),
            Self::Max(span) => format!("max:{}s", span.as_secs()),
            Self::Source(_, text) => format!("source:{text}"),
            Self::Unfulfilled(text) => text.clone(),
            Self::Window(_, text) => format!("window:{text}"),
        }
    }

    /// Whether it holds for `request`.
    pub(super) fn standing(&self, request: &Request) -> Standing {
        let holds = |yes: bool, text: String| if yes { Standing::Holds(None) } else { Standing::Fails(text) };
        match self {
            Self::Assurance(level) => {
                let have = request.assurance.level();
                holds(have >= *level, format!("needs assurance level {level}; this login has level {have}"))
            }
            // SECURITY: these are fulfilled by what serves HTTPS APIs, and by nothing else.
            Self::CustomerAuth => holds(
                is_http(request),
                "needs the customer's authentication, which only an HTTPS API can show".to_owned(),
            ),
            Self::Mask(pointer) => {
                holds(is_http(request), format!("needs `mask:{pointer}`, which is done for HTTPS APIs alone"))
            }
            Self::Door(door) => holds(request.door == *door, format!("needs the {} door", door.as_str())),
            Self::Device => holds(request.device.is_some(), "needs a credential that names a device".to_owned()),
            Self::Max(span) => {
                let end = request.session_opened_at.plus(*span);
                // A clock that was set back must not lengthen a session.
                if request.at < end && request.at >= request.session_opened_at {
                    Standing::Holds(Some(end))
                } else {
                    Standing::Fails(format!("a session lasts at most {} here; open a new one", span_text(*span)))
                }
            }
            Self::Source(net, text) => {
                holds(net.contains(&plain(request.source)), format!("needs a client within {text}"))
            }
            Self::Unfulfilled(text) => Standing::Fails(format!("needs `{text}`, which this gateway cannot fulfil yet")),
            Self::Window(window, text) => match window.end(request.at) {
                Some(end) => Standing::Holds(Some(end)),
                None => Standing::Fails(format!("needs the window {text}")),
            },
        }
    }
}

/// Whether what is asked for is a request of HTTP that has an answer.
fn is_http(request: &Request) -> bool {
    matches!(
        request.action.verb,
        Verb::HttpGet
            | Verb::HttpHead
            | Verb::HttpOptions
            | Verb::HttpPost
            | Verb::HttpPut
            | Verb::HttpPatch
            | Verb::HttpDelete
    )
}

/// An address in one form, so that `::ffff:10.0.0.1` is `10.0.0.1`.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn source(text: &str) -> Result<IpNet, String> {
    let bad = |why: &str| format!("`source:{text}`: {why}; write a network such as 10.0.0.0/8 or 2001:db8::/32");
    let net: IpNet = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| bad("not a network"))?,
    };
    if net.addr() != net.network() {
        return Err(bad(&format!("the address has bits beyond the prefix; did you mean {}", net.trunc())));
    }
    if plain(net.addr()) != net.addr() {
        return Err(bad("write the IPv4 network itself"));
    }
    Ok(net)
}

fn span_text(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::request;

    #[test]
    fn words_that_are_refused() {
        for text in [
            "",
            "assurance",
            "assurance:",
            "assurance:0",
            "assurance:4",
            "assurance:03",
            "door",
            "door:",
            "door:local",
            "door:tls",
            "device:x",
            "max",
            "max:",
            "max:0s",
            "max:8",
            "source:",
            "source:10.0.0.0/33",
            "source:10.0.0.1/8",
            "source:::ffff:10.0.0.0/104",
            "source:x",
            "window:",
            "window:x",
            "review",
            "review:",
            "review:0",
            "review:x",
            "review:10",
            "ticket:1",
            "mask",
            "mask:",
            "mask:all",
            "mask:/a//b",
            "mask:/**",
            "customer-auth:x",
            "be-nice",
            "Assurance:2",
            " device",
        ] {
            assert!(Duty::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_holds_and_what_does_not() {
        let base = request("ada", "r1", "ssh.exec", "show version");
        let holds = |text: &str, request: &Request| {
            matches!(Duty::parse(text).expect("an obligation").standing(request), Standing::Holds(_))
        };
        for text in ["assurance:1", "assurance:2", "door:mtls", "source:192.0.2.0/24", "source:192.0.2.7", "max:1h"] {
            assert!(holds(text, &base), "{text}");
        }
        for text in [
            "assurance:3",
            "door:ssh",
            "device",
            "source:198.51.100.0/24",
            "source:2001:db8::/32",
            "review:1",
            "ticket",
            "mask:/imsi",
            "customer-auth",
        ] {
            assert!(!holds(text, &base), "{text}");
        }
        let mapped = Request { source: "::ffff:192.0.2.7".parse().expect("an address"), ..base.clone() };
        assert!(holds("source:192.0.2.0/24", &mapped));
        let late = Request { at: base.session_opened_at.plus(Duration::from_secs(3600)), ..base.clone() };
        assert!(!holds("max:1h", &late));
        assert!(holds("max:61m", &late));
        let set_back = Request { at: Timestamp::from_secs(0), ..base };
        assert!(!holds("max:1h", &set_back));
    }

    #[test]
    fn the_end_of_a_session_is_told() {
        let base = request("ada", "r1", "ssh.exec", "show version");
        let end = base.session_opened_at.plus(Duration::from_secs(7200));
        assert_eq!(Duty::parse("max:2h").expect("an obligation").standing(&base), Standing::Holds(Some(end)));
    }
}
