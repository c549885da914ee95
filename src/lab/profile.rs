//! What a router of a given name has from the factory and from the network around it (pure): each name gives another router, and always
//! the same one.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::running::{Bgp, Configuration, Interface, Neighbor, Route};

const LINK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 252);
const HOST: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 255);
const LAN: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// The autonomous system of the lab (RFC 5398).
const ASN: u32 = 64_500;

/// What does not change by configuring.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    /// The number of the router in its network, 1 to 250.
    pub(super) number: u8,
    /// A number that differs from router to router, for counters and serial numbers.
    pub(super) seed: u64,
    /// The configuration at first start.
    pub(super) factory: Configuration,
}

impl Profile {
    /// The router called `name`, with these accounts and privilege levels.
    pub(super) fn new(name: &str, accounts: Vec<(String, u8)>) -> Self {
        let seed = fnv(name);
        let digits = name.rsplit(|c: char| !c.is_ascii_digit()).next().and_then(|d| d.parse::<u8>().ok());
        let number =
            digits.filter(|n| (1..=250).contains(n)).unwrap_or_else(|| u8::try_from(seed % 250).unwrap_or(0) + 1);
        Self { number, seed, factory: factory(name, number, accounts) }
    }

    /// The serial number of the chassis.
    pub(super) fn serial(&self) -> String {
        format!("LAB{:02}{:05X}", self.number % 100, self.seed & 0xF_FFFF)
    }

    /// The hardware address of the interface at `index`.
    pub(super) fn hardware_address(&self, index: usize) -> String {
        format!("0200.{:02x}{:02x}.{:04x}", self.number, self.seed & 0xff, index + 1)
    }

    /// A number that looks counted, different for each `what`.
    pub(super) fn count(&self, what: u64, below: u64) -> u64 {
        fnv(&format!("{}/{what}", self.seed)) % below.max(1)
    }
}

fn factory(name: &str, number: u8, accounts: Vec<(String, u8)>) -> Configuration {
    let loopback = Ipv4Addr::new(10, 255, 0, number);
    let next = if number >= 250 { 1 } else { number + 1 };
    let before = if number <= 1 { 250 } else { number - 1 };
    let up = |name: &str, description: String, address: Ipv4Addr, mask: Ipv4Addr, mtu: u32| Interface {
        description: Some(description),
        address: Some((address, mask)),
        mtu,
        shutdown: false,
        ..Interface::new(name)
    };
    let neighbor = |address: Ipv4Addr, remote_as: u32, description: String, prefixes: u32| Neighbor {
        address,
        remote_as,
        description: Some(description),
        shutdown: false,
        prefixes,
    };
    Configuration {
        hostname: name.to_owned(),
        banner: None,
        interfaces: vec![
            up("Loopback0", "router id".to_owned(), loopback, HOST, 1500),
            up("GigabitEthernet0/0", "out-of-band management".to_owned(), Ipv4Addr::new(192, 0, 2, number), LAN, 1500),
            Interface::new("GigabitEthernet0/1"),
            up(
                "TenGigabitEthernet0/1/0",
                format!("core ring to core-rtr-{next}"),
                Ipv4Addr::new(10, 0, number, 1),
                LINK,
                9216,
            ),
            up(
                "TenGigabitEthernet0/1/1",
                format!("core ring to core-rtr-{before}"),
                Ipv4Addr::new(10, 0, before, 2),
                LINK,
                9216,
            ),
            up(
                "HundredGigE0/2/0",
                "transit AS64499".to_owned(),
                Ipv4Addr::new(203, 0, 113, (number % 60) * 4 + 2),
                LINK,
                1500,
            ),
        ],
        routes: vec![Route {
            prefix: Ipv4Addr::UNSPECIFIED,
            mask: Ipv4Addr::UNSPECIFIED,
            next_hop: Ipv4Addr::new(203, 0, 113, (number % 60) * 4 + 1),
        }],
        bgp: Some(Bgp {
            asn: ASN,
            router_id: loopback,
            networks: vec![(Ipv4Addr::new(198, 51, 100, 0), LAN)],
            neighbors: vec![
                neighbor(
                    Ipv4Addr::new(10, 255, 0, 251),
                    ASN,
                    "route reflector A".to_owned(),
                    912_000 + u32::from(number) * 37,
                ),
                neighbor(
                    Ipv4Addr::new(10, 255, 0, 252),
                    ASN,
                    "route reflector B".to_owned(),
                    912_000 + u32::from(number) * 37,
                ),
                neighbor(
                    Ipv4Addr::new(203, 0, 113, (number % 60) * 4 + 1),
                    64_499,
                    "transit".to_owned(),
                    874_000 + u32::from(number) * 113,
                ),
            ],
        }),
        logging_buffered: 65_536,
        logging_hosts: vec![Ipv4Addr::new(192, 0, 2, 253)],
        ntp_servers: vec![Ipv4Addr::new(192, 0, 2, 254)],
        snmp: vec![format!("location site {number}, rack {}", number % 12 + 1), "contact noc@lab.example".to_owned()],
        lines: BTreeMap::from([(
            "vty 0 15".to_owned(),
            vec!["exec-timeout 30 0".to_owned(), "login local".to_owned(), "transport input ssh".to_owned()],
        )]),
        accounts,
    }
}

/// The 64-bit FNV-1a hash.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_different_routers_that_stay_the_same() {
        let (one, two) = (Profile::new("core-rtr-1", Vec::new()), Profile::new("core-rtr-2", Vec::new()));
        assert_eq!((one.number, two.number), (1, 2));
        assert_ne!(one.serial(), two.serial());
        assert_ne!(one.factory.text(), two.factory.text());
        assert_eq!(one.factory, Profile::new("core-rtr-1", Vec::new()).factory);
        for name in ["", "x", "rtr-0", "rtr-999999", "rtr-250"] {
            assert!((1..=250).contains(&Profile::new(name, Vec::new()).number), "{name}");
        }
    }
}
