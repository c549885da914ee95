//! Where the lab routers are, written into the inventory (pure): addresses and host keys of the named elements change, nothing else does.

use std::net::SocketAddr;

/// One lab router as the inventory needs it.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) address: SocketAddr,
    /// `ssh-ed25519 AAAA…`.
    pub(super) host_key: &'a str,
    /// Where its RESTCONF and gNMI are.
    pub(super) tls: SocketAddr,
    /// `SHA256:…`, of its certificate.
    pub(super) pin: &'a str,
}

/// The sections of an element whose addresses are those of its TLS port.
const TLS_SECTIONS: [&str; 2] = ["[element.https]", "[element.gnmi]"];

/// The text of `elements.toml` with the addresses and host keys of `places`; elements it does not have are added.
pub(super) fn with_places(text: &str, places: &[Place<'_>]) -> String {
    let mut out = String::new();
    let mut current: Option<&Place<'_>> = None;
    let (mut tls, mut other) = (false, false);
    for line in text.lines() {
        let bare = line.trim();
        if bare.starts_with('[') {
            let header = bare.split('#').next().unwrap_or(bare).trim();
            tls = TLS_SECTIONS.contains(&header);
            other = !tls && header != "[[element]]";
            // A section belongs to the element that stands before it.
            current = current.filter(|_| tls || header.starts_with("[element."));
        } else if let (Some(name), false, false) = (value_of(bare, "name"), tls, other) {
            current = places.iter().find(|p| name == format!("\"{}\"", p.name));
        }
        match current.filter(|_| !other) {
            Some(place) if tls && value_of(bare, "addresses").is_some() => out.push_str(&tls_addresses(place)),
            Some(place) if tls && value_of(bare, "pins").is_some() => out.push_str(&pins(place)),
            Some(place) if value_of(bare, "addresses").is_some() => out.push_str(&addresses(place)),
            Some(place) if value_of(bare, "host_keys").is_some() => out.push_str(&host_keys(place)),
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    for place in places {
        let named = format!("\"{}\"", place.name);
        if !text.lines().any(|line| value_of(line.trim(), "name") == Some(named.as_str())) {
            out.push_str(&element(place));
        }
    }
    out
}

/// What stands after `key =`, without a comment.
fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let value = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
    Some(value.split('#').next().unwrap_or(value).trim())
}

fn addresses(place: &Place<'_>) -> String {
    format!("addresses = [\"{}\"]", place.address)
}

fn tls_addresses(place: &Place<'_>) -> String {
    format!("addresses = [\"{}\"]", place.tls)
}

fn pins(place: &Place<'_>) -> String {
    format!("pins = [\"{}\"]", place.pin)
}

fn host_keys(place: &Place<'_>) -> String {
    format!("host_keys = [\"{}\"]", place.host_key)
}

fn element(place: &Place<'_>) -> String {
    let (name, addresses, host_keys) = (place.name, addresses(place), host_keys(place));
    let (tls, pins) = (tls_addresses(place), pins(place));
    format!(
        "\n[[element]]\nname = \"{name}\"\n{addresses}\nplatform = \"ios\"\nclass = \"core-router\"\nvendor = \"lab\"\nsite = \"par\"\n\
         account = \"admin\"\n{host_keys}\ncredential = {{ kind = \"certificate\" }}\nprotocols = [\"ssh\", \"netconf\", \"restconf\", \"gnmi\"]\n\n\
         [element.https]\nrestconf = \"/restconf\"\n{tls}\n{pins}\n\n[element.gnmi]\n{tls}\n{pins}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../policies/elements.toml");

    fn places() -> [Place<'static>; 2] {
        [("core-rtr-1", 4001), ("core-rtr-2", 4002)].map(|(name, port)| Place {
            name,
            address: ([127, 0, 0, 1], port).into(),
            host_key: "ssh-ed25519 AAAA",
            tls: ([127, 0, 0, 1], port + 1000).into(),
            pin: "SHA256:ff",
        })
    }

    /// Name, addresses and host keys of each element.
    fn elements(text: &str) -> Vec<[String; 3]> {
        let table: toml::Table = text.parse().expect("toml");
        let elements = table["element"].as_array().expect("elements").clone();
        elements.iter().map(|e| ["name", "addresses", "host_keys"].map(|key| e[key].to_string())).collect()
    }

    #[test]
    fn the_shipped_inventory_gets_the_lab_routers() {
        let text = with_places(SHIPPED, &places());
        let found = elements(&text);
        assert_eq!(found.len(), elements(SHIPPED).len());
        for (element, port) in found.iter().zip([4001, 4002]) {
            assert_eq!(element[1], format!("[\"127.0.0.1:{port}\"]"));
            assert_eq!(element[2], "[\"ssh-ed25519 AAAA\"]");
        }
        let table: toml::Table = text.parse().expect("toml");
        for (at, port) in [5001, 5002].into_iter().enumerate() {
            for section in ["https", "gnmi"] {
                let section = &table["element"][at][section];
                assert_eq!(section["addresses"][0].as_str(), Some(&*format!("127.0.0.1:{port}")));
                assert_eq!(section["pins"][0].as_str(), Some("SHA256:ff"));
            }
        }
        assert_eq!(text.lines().count(), SHIPPED.lines().count());
        assert_eq!(with_places(&text, &places()), text, "doing it again changes nothing");
    }

    #[test]
    fn other_elements_stay_as_they_are() {
        let other = "[[element]]\nname = \"core-rtr-10\" # not ours\naddresses = [\"192.0.2.1:22\"]\nhost_keys = [\"SHA256:x\"]\n[element.https]\npins = []\n";
        let text = with_places(other, &places());
        assert!(text.starts_with(other), "{text}");
        assert_eq!(elements(&text).len(), 3);
    }
}
