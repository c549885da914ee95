//! The first message of each side (RFC 6241 §8.1), and what of it goes on to the other. Pure.

use super::actions::BASE;
use super::observe::escaped;
use super::xml::{self, Limits};

/// The capability that says end-of-message framing.
const BASE_1_0: &str = "urn:ietf:params:netconf:base:1.0";
/// The capability that says chunked framing.
const BASE_1_1: &str = "urn:ietf:params:netconf:base:1.1";
/// What capabilities of the IETF begin with.
const CAPABILITY: &str = "urn:ietf:params:netconf:capability:";
/// Those whose operations the gateway polices. `url` is not among them, nor anything that would run later (RFC 7758).
const POLICED: &[&str] = &[
    "candidate",
    "confirmed-commit",
    "interleave",
    "notification",
    "partial-lock",
    "rollback-on-error",
    "startup",
    "validate",
    "with-defaults",
    "with-operational-defaults",
    "writable-running",
    "xpath",
    "yang-library",
];
/// The longest capability that is passed on.
const CAPABILITY_BYTES_MAX: usize = 4_096;

/// A hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    /// What the peer can do.
    pub capabilities: Vec<String>,
    /// A server's number for the session.
    pub session_id: Option<u32>,
}

impl Hello {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn read(message: &[u8], limits: Limits) -> Result<Self, String> {
        let (root, ..) = xml::read(message, limits).map_err(|e| format!("the hello is refused: {e}"))?;
        if !root.name.is(BASE, "hello") {
            return Err("the first message is not a hello".to_owned());
        }
        let list = root.named(BASE, "capabilities").next().ok_or("the hello has no capabilities")?;
        let capabilities = list.named(BASE, "capability").map(|c| c.text.trim().to_owned()).collect();
        let session_id = match root.named(BASE, "session-id").next() {
            Some(id) => {
                Some(id.text.trim().parse().ok().filter(|id| *id != 0).ok_or("the session-id is not a number")?)
            }
            None => None,
        };
        let hello = Self { capabilities, session_id };
        if !hello.has(BASE_1_0) && !hello.has(BASE_1_1) {
            return Err("the peer speaks neither base:1.0 nor base:1.1".to_owned());
        }
        Ok(hello)
    }

    fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|own| own == capability)
    }

    /// Whether it asks for chunked framing.
    pub(super) fn chunks(&self) -> bool {
        self.has(BASE_1_1)
    }

    /// What an element's hello becomes for the client: what is policed, and the framings of the gateway.
    pub(super) fn for_client(&self) -> String {
        let passed = self.capabilities.iter().filter(|capability| is_policed(capability));
        let all = [BASE_1_0, BASE_1_1].into_iter().chain(passed.map(String::as_str));
        let list: String = all.map(|c| format!("<capability>{}</capability>", escaped(c))).collect();
        let id = self.session_id.map_or(String::new(), |id| format!("<session-id>{id}</session-id>"));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<hello xmlns=\"{BASE}\"><capabilities>{list}</capabilities>{id}</hello>"
        )
    }

    /// What of an element's capabilities the client does not learn of.
    pub(super) fn held_back(&self) -> Vec<&str> {
        let base = |capability: &str| matches!(capability, BASE_1_0 | BASE_1_1);
        self.capabilities.iter().map(String::as_str).filter(|c| !base(c) && !is_policed(c)).collect()
    }
}

/// The gateway's own hello to an element.
pub(super) fn to_element() -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<hello xmlns=\"{BASE}\"><capabilities><capability>{BASE_1_0}</capability><capability>{BASE_1_1}</capability></capabilities></hello>"
    )
}

/// Data models and vendors' marks are passed on: their operations are decided by name.
fn is_policed(capability: &str) -> bool {
    if capability.len() > CAPABILITY_BYTES_MAX || matches!(capability, BASE_1_0 | BASE_1_1) {
        return false;
    }
    match capability.strip_prefix(CAPABILITY) {
        Some(rest) => {
            let name = rest.split([':', '?']).next().unwrap_or_default();
            POLICED.contains(&name)
        }
        None => !capability.to_ascii_lowercase().starts_with(CAPABILITY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { depth_max: 10, elements_max: 100 };

    fn hello(capabilities: &[&str], more: &str) -> Result<Hello, String> {
        let list: String = capabilities.iter().map(|c| format!("<capability>{c}</capability>")).collect();
        let text = format!("<hello xmlns='{BASE}'><capabilities>{list}</capabilities>{more}</hello>");
        Hello::read(text.as_bytes(), LIMITS)
    }

    #[test]
    fn what_is_not_policed_is_held_back() {
        let url = "urn:ietf:params:netconf:capability:url:1.0?scheme=file,ftp";
        let time = "urn:ietf:params:netconf:capability:time:1.0";
        let odd = "URN:ietf:params:netconf:capability:url:1.0";
        let candidate = "urn:ietf:params:netconf:capability:candidate:1.0";
        let module = "urn:x?module=x&amp;revision=2020-01-01";
        let own = hello(&[BASE_1_0, url, time, odd, candidate, module], "<session-id>7</session-id>").expect("a hello");
        assert_eq!(own.held_back(), [url, time, odd]);
        let passed = own.for_client();
        for part in [candidate, module, BASE_1_0, BASE_1_1, "<session-id>7</session-id>"] {
            assert!(passed.contains(part), "{part}: {passed}");
        }
        assert!(!passed.contains("url") && !passed.contains("time"));
        let again = Hello::read(passed.as_bytes(), LIMITS).expect("a hello");
        assert!(again.chunks() && !own.chunks());
        assert!(Hello::read(to_element().as_bytes(), LIMITS).expect("a hello").chunks());
    }

    #[test]
    fn hellos_that_are_refused() {
        assert!(hello(&[], "").is_err());
        assert!(hello(&["urn:x"], "").is_err());
        assert!(hello(&[BASE_1_1], "<session-id>0</session-id>").is_err());
        assert!(hello(&[BASE_1_1], "<session-id>x</session-id>").is_err());
        assert!(hello(&[BASE_1_1], "<session-id>4294967296</session-id>").is_err());
        for text in ["", "<hello/>", &format!("<rpc xmlns='{BASE}'/>"), &format!("<hello xmlns='{BASE}'/>")] {
            assert!(Hello::read(text.as_bytes(), LIMITS).is_err(), "{text}");
        }
    }
}
