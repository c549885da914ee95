//! The gateway's own doors: no element is there, whatever an inventory or a name server says.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::inventory::Address;

/// Where the gateway itself listens.
#[derive(Debug, Clone, Default)]
pub struct OwnDoors(Vec<SocketAddr>);

impl OwnDoors {
    /// These addresses; a port that the system is still to choose is none.
    pub fn new(listening: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(listening.into_iter().filter(|door| door.port() != 0).collect())
    }

    /// The door that a connection to `address` would come to.
    pub fn at(&self, address: SocketAddr) -> Option<SocketAddr> {
        let wanted = address.ip().to_canonical();
        let leads_to = |door: &&SocketAddr| {
            let ip = door.ip().to_canonical();
            door.port() == address.port()
                // To connect to the unspecified address is to connect to this machine.
                && (ip == wanted || wanted.is_unspecified() || (ip.is_unspecified() && is_here(wanted)))
        };
        self.0.iter().find(leads_to).copied()
    }

    /// The same, as far as an address of the inventory says it itself; names are looked at when they are dialled.
    pub fn written(&self, address: &Address) -> Option<SocketAddr> {
        let ip = match address.host.as_str() {
            "localhost" => IpAddr::from([127, 0, 0, 1]),
            host => host.parse().ok()?,
        };
        self.at(SocketAddr::new(ip, address.port))
    }
}

/// Whether this machine has the address: then it is also the one that it would be reached from. Sends nothing.
fn is_here(ip: IpAddr) -> bool {
    let from: IpAddr = if ip.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let chosen = || {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((ip, 9)).ok()?;
        socket.local_addr().ok()
    };
    ip.is_loopback() || chosen().is_some_and(|own| own.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(list: &[&str]) -> OwnDoors {
        OwnDoors::new(list.iter().map(|door| door.parse().expect("an address")))
    }

    #[test]
    fn what_leads_to_a_door() {
        for (door, address) in [
            ("127.0.0.1:22", "127.0.0.1:22"),
            ("127.0.0.1:22", "[::ffff:127.0.0.1]:22"),
            ("127.0.0.1:22", "0.0.0.0:22"),
            ("192.0.2.1:22", "192.0.2.1:22"),
            ("0.0.0.0:22", "127.0.0.1:22"),
            ("0.0.0.0:22", "127.9.9.9:22"),
            ("0.0.0.0:22", "0.0.0.0:22"),
            ("[::]:22", "[::1]:22"),
            ("[::]:22", "127.0.0.1:22"),
            ("[2001:db8::1]:22", "[2001:db8::1]:22"),
        ] {
            let (doors, address) = (doors(&["127.0.0.1:9", door]), address.parse().expect("an address"));
            assert_eq!(doors.at(address), Some(door.parse().expect("an address")), "{door} {address}");
        }
    }

    #[test]
    fn what_leads_elsewhere() {
        for (door, address) in [
            ("127.0.0.1:22", "127.0.0.1:23"),
            ("127.0.0.1:22", "127.0.0.2:22"),
            ("127.0.0.1:22", "192.0.2.1:22"),
            ("192.0.2.1:22", "127.0.0.1:22"),
            ("0.0.0.0:22", "192.0.2.1:22"),
            ("0.0.0.0:22", "0.0.0.0:23"),
            ("[::]:22", "192.0.2.1:22"),
            ("[::]:22", "[2001:db8::1]:22"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            let (doors, address) = (doors(&[door]), address.parse().expect("an address"));
            assert_eq!(doors.at(address), None, "{door} {address}");
        }
        let written = |text: &str| doors(&["127.0.0.1:22"]).written(&text.parse().expect("an address"));
        assert!(written("localhost:22").is_some() && written("127.0.0.1:22").is_some());
        assert!(written("rtr-1.example:22").is_none() && written("localhost:23").is_none());
    }
}
