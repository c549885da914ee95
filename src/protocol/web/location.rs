//! Where an answer sends a client. Pure.

/// Where the element and the gateway have the same thing.
#[derive(Debug, Clone, Copy)]
pub struct Places<'p> {
    /// The names under which the element may speak of itself, in lower case, without a port.
    pub element_hosts: &'p [String],
    /// Where it begins on the element: empty, or a path.
    pub element_root: &'p str,
    /// Where that is for the client: empty, or a path.
    pub own_root: &'p str,
    /// The authority that the client used.
    pub authority: &'p str,
}

/// What a `Location` of the element is for the client: a URL on the authority that it used. None when it leads elsewhere.
pub fn rewritten(location: &str, places: &Places<'_>) -> Option<String> {
    if !location.bytes().all(|byte| byte.is_ascii_graphic()) || location.contains('\\') {
        return None;
    }
    let path = match location.strip_prefix("https://") {
        Some(rest) => {
            let (authority, path) = rest.split_at_checked(rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
                _ => (authority, None),
            };
            let own = places.element_hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
            if !own || port.is_some_and(str::is_empty) {
                return None;
            }
            path
        }
        // `//other/path` is another authority, and anything before a colon another scheme.
        None if location.starts_with('/') && !location.starts_with("//") => location,
        None => return None,
    };
    let below = path
        .strip_prefix(places.element_root)
        .filter(|below| below.is_empty() || below.starts_with(['/', '?', '#']))?;
    let upwards = below.split(['/', '?', '#']).any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(plain.as_str(), "." | "..")
    });
    (!upwards).then(|| format!("https://{}{}{below}", places.authority, places.own_root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_elements_own_leads_back_through_the_gateway() {
        let hosts = ["rtr.example".to_owned(), "192.0.2.1".to_owned()];
        let places = Places {
            element_hosts: &hosts,
            element_root: "/api/restconf",
            own_root: "/restconf",
            authority: "r1.gw:8443",
        };
        for (location, expected) in [
            ("/api/restconf/data/x:a=1", "https://r1.gw:8443/restconf/data/x:a=1"),
            ("/api/restconf", "https://r1.gw:8443/restconf"),
            ("/api/restconf?x", "https://r1.gw:8443/restconf?x"),
            ("https://rtr.example/api/restconf/data", "https://r1.gw:8443/restconf/data"),
            ("https://RTR.example:30443/api/restconf/data", "https://r1.gw:8443/restconf/data"),
            ("https://192.0.2.1/api/restconf/data", "https://r1.gw:8443/restconf/data"),
        ] {
            assert_eq!(rewritten(location, &places).as_deref(), Some(expected), "{location}");
        }
        for location in [
            "",
            "data",
            "//evil/api/restconf",
            "/other",
            "/api/restconfx",
            "/api",
            "http://rtr.example/api/restconf",
            "https://evil/api/restconf",
            "https://rtr.example@evil/api/restconf",
            "https://evil@rtr.example/api/restconf",
            "https://rtr.example:/api/restconf",
            "https://rtr.example:x/api/restconf",
            "https://rtr.example",
            "javascript:alert(1)",
            "/api/restconf/../../x",
            "/api/restconf/%2e%2E/x",
            "/api/restconf/\\x",
            "/api/restconf/\r\nSet-Cookie:x",
            "/api/restconf/\u{e9}",
            "HTTPS://rtr.example/api/restconf",
            "ftp://rtr.example/api/restconf",
        ] {
            assert_eq!(rewritten(location, &places), None, "{location:?}");
        }
    }
}
