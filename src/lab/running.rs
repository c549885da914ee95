//! The configuration of a router as a value (pure), and its text. Configuring changes the value; every `show` reads it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    pub(super) hostname: String,
    pub(super) banner: Option<String>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) routes: Vec<Route>,
    pub(super) bgp: Option<Bgp>,
    pub(super) logging_buffered: u32,
    pub(super) logging_hosts: Vec<Ipv4Addr>,
    pub(super) ntp_servers: Vec<Ipv4Addr>,
    pub(super) snmp: Vec<String>,
    /// Lines of `line vty`, kept as they were typed.
    pub(super) lines: BTreeMap<String, Vec<String>>,
    /// Account names, which nobody can change from inside.
    pub(super) accounts: Vec<(String, u8)>,
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) address: Option<(Ipv4Addr, Ipv4Addr)>,
    pub(super) mtu: u32,
    pub(super) shutdown: bool,
}

impl Interface {
    /// A new interface: physical ones are shut down until somebody opens them.
    pub(super) fn new(name: &str) -> Self {
        let shutdown = !name.starts_with("Loopback");
        Self { name: name.to_owned(), description: None, address: None, mtu: 1500, shutdown }
    }

    /// Its name as brief tables write it.
    pub(super) fn short_name(&self) -> String {
        for (long, short) in
            [("TenGigabitEthernet", "Te"), ("GigabitEthernet", "Gi"), ("HundredGigE", "Hu"), ("Loopback", "Lo")]
        {
            if let Some(number) = self.name.strip_prefix(long) {
                return format!("{short}{number}");
            }
        }
        self.name.clone()
    }

    /// The running configuration of this interface.
    pub(super) fn text(&self) -> String {
        let mut text = format!("interface {}\n", self.name);
        if let Some(description) = &self.description {
            push(&mut text, format_args!(" description {description}"));
        }
        if self.mtu != 1500 {
            push(&mut text, format_args!(" mtu {}", self.mtu));
        }
        match self.address {
            Some((address, mask)) => push(&mut text, format_args!(" ip address {address} {mask}")),
            None => push(&mut text, format_args!(" no ip address")),
        }
        if self.shutdown {
            push(&mut text, format_args!(" shutdown"));
        }
        text
    }
}

/// One static route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: Ipv4Addr,
    pub(super) mask: Ipv4Addr,
    pub(super) next_hop: Ipv4Addr,
}

/// The BGP process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bgp {
    pub(super) asn: u32,
    pub(super) router_id: Ipv4Addr,
    pub(super) networks: Vec<(Ipv4Addr, Ipv4Addr)>,
    pub(super) neighbors: Vec<Neighbor>,
}

impl Bgp {
    /// The neighbor with this address.
    pub(super) fn neighbor(&mut self, address: Ipv4Addr) -> Option<&mut Neighbor> {
        self.neighbors.iter_mut().find(|n| n.address == address)
    }
}

/// One BGP neighbor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Neighbor {
    pub(super) address: Ipv4Addr,
    pub(super) remote_as: u32,
    pub(super) description: Option<String>,
    pub(super) shutdown: bool,
    /// Prefixes it sends, for tables. Zero until a session would have come up.
    pub(super) prefixes: u32,
}

impl Configuration {
    /// The interface of that name.
    pub(super) fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|i| i.name == name)
    }

    /// The interface of that name, to change it.
    pub(super) fn interface_mut(&mut self, name: &str) -> Option<&mut Interface> {
        self.interfaces.iter_mut().find(|i| i.name == name)
    }

    /// As `show running-config` prints it, without its first lines.
    pub(super) fn text(&self) -> String {
        let mut text =
            String::from("!\nversion 15.9\nservice timestamps log datetime msec\nservice password-encryption\n!\n");
        push(&mut text, format_args!("hostname {}\n!", self.hostname));
        push(&mut text, format_args!("logging buffered {}", self.logging_buffered));
        push(&mut text, format_args!("no aaa new-model\nno ip domain lookup\nip domain name lab.example\n!"));
        for (account, level) in &self.accounts {
            push(&mut text, format_args!("username {account} privilege {level} nopassword"));
        }
        push(
            &mut text,
            format_args!(
                "!\nip ssh version 2\nip ssh server certificate profile\n user trustpoint sign SALLYPORT-ELEMENT-CA\n!"
            ),
        );
        for interface in &self.interfaces {
            push(&mut text, format_args!("{}!", interface.text()));
        }
        if let Some(bgp) = &self.bgp {
            bgp_text(&mut text, bgp);
        }
        for route in &self.routes {
            push(&mut text, format_args!("ip route {} {} {}", route.prefix, route.mask, route.next_hop));
        }
        for host in &self.logging_hosts {
            push(&mut text, format_args!("logging host {host}"));
        }
        for line in &self.snmp {
            push(&mut text, format_args!("snmp-server {line}"));
        }
        push(&mut text, format_args!("!"));
        if let Some(banner) = &self.banner {
            push(&mut text, format_args!("banner motd ^C{banner}^C\n!"));
        }
        push(&mut text, format_args!("line con 0"));
        for (name, settings) in &self.lines {
            push(&mut text, format_args!("line {name}"));
            for setting in settings {
                push(&mut text, format_args!(" {setting}"));
            }
        }
        push(&mut text, format_args!("!"));
        for server in &self.ntp_servers {
            push(&mut text, format_args!("ntp server {server}"));
        }
        push(&mut text, format_args!("!\nend"));
        text
    }
}

fn bgp_text(text: &mut String, bgp: &Bgp) {
    push(text, format_args!("router bgp {}\n bgp router-id {}\n bgp log-neighbor-changes", bgp.asn, bgp.router_id));
    for (network, mask) in &bgp.networks {
        push(text, format_args!(" network {network} mask {mask}"));
    }
    for neighbor in &bgp.neighbors {
        push(text, format_args!(" neighbor {} remote-as {}", neighbor.address, neighbor.remote_as));
        if let Some(description) = &neighbor.description {
            push(text, format_args!(" neighbor {} description {description}", neighbor.address));
        }
        if neighbor.shutdown {
            push(text, format_args!(" neighbor {} shutdown", neighbor.address));
        }
    }
    push(text, format_args!("!"));
}

/// Adds one line.
pub(super) fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.push_str(&line.to_string());
    text.push('\n');
}

/// The number of leading ones of a mask, when it is one.
pub(super) fn prefix_length(mask: Ipv4Addr) -> Option<u32> {
    let bits = mask.to_bits();
    (bits.leading_ones() + bits.trailing_zeros() >= 32).then(|| bits.leading_ones())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        for (mask, length) in [
            ([0, 0, 0, 0], Some(0)),
            ([255, 255, 255, 252], Some(30)),
            ([255; 4], Some(32)),
            ([255, 0, 255, 0], None),
            ([0, 0, 0, 255], None),
        ] {
            assert_eq!(prefix_length(Ipv4Addr::from(mask)), length, "{mask:?}");
        }
    }

    #[test]
    fn an_interface_as_text() {
        let mut interface = Interface::new("GigabitEthernet0/1");
        assert_eq!(interface.text(), "interface GigabitEthernet0/1\n no ip address\n shutdown\n");
        interface.description = Some("to core".to_owned());
        interface.address = Some((Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(255, 255, 255, 252)));
        interface.mtu = 9216;
        interface.shutdown = false;
        assert_eq!(
            interface.text(),
            "interface GigabitEthernet0/1\n description to core\n mtu 9216\n ip address 10.0.0.1 255.255.255.252\n"
        );
        assert_eq!(interface.short_name(), "Gi0/1");
    }
}
