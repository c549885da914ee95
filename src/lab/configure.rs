//! What the configuration commands change.

use std::net::Ipv4Addr;

use super::commands::{Mode, Reply, Seat};
use super::device::Device;
use super::grammar::Command;
use super::parser::Parsed;
use super::running::{Bgp, Configuration, Interface, Neighbor, Route, prefix_length};
use crate::domain::Timestamp;

/// Interfaces, routes, neighbors and servers that a configuration may hold.
const ROWS_MAX: usize = 1000;

/// Does one configuration command; `no` takes it back.
pub(super) fn run(parsed: &Parsed, no: bool, seat: &mut Seat, device: &Device, now: Timestamp) -> Reply {
    match parsed.command {
        Command::End => {
            leave(seat, device, now);
            return Reply::done("");
        }
        Command::Exit if seat.mode == Mode::Configure => {
            leave(seat, device, now);
            return Reply::done("");
        }
        Command::Exit => {
            seat.mode = Mode::Configure;
            return Reply::done("");
        }
        Command::Username => {
            return Reply::refused("% Accounts are managed by the certificate authority and cannot be changed here\n");
        }
        _ => {}
    }
    let changed = device.with(|state| {
        let before = state.running.clone();
        let reply = change(parsed, no, seat, &mut state.running);
        if state.running != before {
            state.last_change = Some((now, seat.account.clone()));
        }
        reply
    });
    match changed {
        Ok(()) => {
            device.tell();
            let line = if no { format!("no {}", parsed.canonical) } else { parsed.canonical.clone() };
            device.log(now, &format!("%PARSER-5-CFGLOG_LOGGEDCMD: User:{}  logged command:{line}", seat.account));
            Reply::done("")
        }
        Err(text) => Reply::refused(format!("{text}\n")),
    }
}

/// Goes back to exec.
pub(super) fn leave(seat: &mut Seat, device: &Device, now: Timestamp) {
    seat.mode = Mode::Exec;
    device.log(now, &format!("%SYS-5-CONFIG_I: Configured from console by {} on vty{}", seat.account, seat.line));
}

const INCOMPLETE: &str = "% Incomplete command.\n";

fn change(parsed: &Parsed, no: bool, seat: &mut Seat, running: &mut Configuration) -> Result<(), &'static str> {
    let text = parsed.arguments.first().map(String::as_str);
    match parsed.command {
        Command::Hostname => hostname(running, text, no),
        Command::Banner => banner(running, text, no),
        Command::Interface => interface(running, seat, text, no),
        Command::IpRoute => ip_route(running, &addresses(parsed), no),
        Command::Line => {
            seat.mode = Mode::Line(format!("vty {}", parsed.arguments.join(" ")));
            Ok(())
        }
        Command::LineSetting => line_setting(running, seat, parsed, no),
        Command::LoggingBuffered => {
            running.logging_buffered = text.and_then(|n| n.parse().ok()).filter(|_| !no).unwrap_or(4096);
            Ok(())
        }
        Command::LoggingHost => in_list(&mut running.logging_hosts, addresses(parsed).first().copied(), no),
        Command::NtpServer => in_list(&mut running.ntp_servers, addresses(parsed).first().copied(), no),
        Command::Snmp => snmp(running, parsed, no),
        Command::RouterBgp => router_bgp(running, seat, text, no),
        Command::InterfaceAddress
        | Command::InterfaceDescription
        | Command::InterfaceMtu
        | Command::InterfaceShutdown => {
            let Mode::Interface(name) = &seat.mode else { return Err("% No interface selected") };
            let Some(interface) = running.interface_mut(name) else { return Err("% Interface is gone") };
            in_interface(interface, parsed, no)
        }
        Command::BgpNeighborDescription
        | Command::BgpNeighborRemoteAs
        | Command::BgpNeighborShutdown
        | Command::BgpNetwork
        | Command::BgpRouterId => {
            let Some(bgp) = &mut running.bgp else { return Err("% BGP is not configured") };
            in_bgp(bgp, parsed, no)
        }
        _ => Err("% This command does nothing here"),
    }
}

fn hostname(running: &mut Configuration, name: Option<&str>, no: bool) -> Result<(), &'static str> {
    let name = match name {
        _ if no => "Router",
        Some(name) => name,
        None => return Err(INCOMPLETE),
    };
    let fits = name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !fits {
        return Err("% Hostname contains one or more illegal characters.");
    }
    name.clone_into(&mut running.hostname);
    Ok(())
}

/// One line: the delimiting character, the text, and the character again.
fn banner(running: &mut Configuration, text: Option<&str>, no: bool) -> Result<(), &'static str> {
    running.banner = match text {
        _ if no => None,
        Some(text) => {
            let mut chars = text.chars();
            let delimiter = chars.next().ok_or(INCOMPLETE)?;
            let (inside, _) = chars
                .as_str()
                .split_once(delimiter)
                .ok_or("% A banner has to begin and end with the same character, on one line")?;
            Some(inside.to_owned())
        }
        None => return Err(INCOMPLETE),
    };
    Ok(())
}

fn interface(running: &mut Configuration, seat: &mut Seat, name: Option<&str>, no: bool) -> Result<(), &'static str> {
    let name = name.ok_or(INCOMPLETE)?;
    let virtual_one = name.starts_with("Loopback");
    match (running.interface(name).is_some(), no) {
        (true, true) if virtual_one => running.interfaces.retain(|i| i.name != name),
        (_, true) => return Err("% Removal of physical interfaces is not permitted"),
        (true, false) => seat.mode = Mode::Interface(name.to_owned()),
        (false, false) if virtual_one && running.interfaces.len() < ROWS_MAX => {
            running.interfaces.push(Interface::new(name));
            seat.mode = Mode::Interface(name.to_owned());
        }
        (false, false) => return Err("%Invalid interface type and number"),
    }
    Ok(())
}

fn in_interface(interface: &mut Interface, parsed: &Parsed, no: bool) -> Result<(), &'static str> {
    let text = parsed.arguments.first();
    match (parsed.command, no) {
        (Command::InterfaceDescription, true) => interface.description = None,
        (Command::InterfaceDescription, false) => {
            interface.description = Some(text.ok_or(INCOMPLETE)?.chars().take(240).collect());
        }
        (Command::InterfaceAddress, true) => interface.address = None,
        (Command::InterfaceAddress, false) => {
            let [address, mask] = addresses(parsed)[..] else { return Err(INCOMPLETE) };
            if prefix_length(mask).is_none_or(|length| length == 0) {
                return Err("% Bad mask for this address");
            }
            interface.address = Some((address, mask));
        }
        (Command::InterfaceMtu, true) => interface.mtu = 1500,
        (Command::InterfaceMtu, false) => interface.mtu = text.and_then(|n| n.parse().ok()).ok_or(INCOMPLETE)?,
        _ => interface.shutdown = !no,
    }
    Ok(())
}

fn ip_route(running: &mut Configuration, addresses: &[Ipv4Addr], no: bool) -> Result<(), &'static str> {
    match *addresses {
        [prefix, mask, next_hop] => {
            if prefix_length(mask).is_none() || prefix.to_bits() & !mask.to_bits() != 0 {
                return Err("%Inconsistent address and mask");
            }
            let route = Route { prefix, mask, next_hop };
            match (running.routes.contains(&route), no) {
                (true, true) => running.routes.retain(|r| *r != route),
                (false, true) => return Err("%No matching route to delete"),
                (false, false) if running.routes.len() < ROWS_MAX => running.routes.push(route),
                (false, false) => return Err("% The table is full"),
                (true, false) => {}
            }
            Ok(())
        }
        [prefix, mask] if no => {
            running.routes.retain(|r| (r.prefix, r.mask) != (prefix, mask));
            Ok(())
        }
        _ => Err(INCOMPLETE),
    }
}

fn router_bgp(running: &mut Configuration, seat: &mut Seat, asn: Option<&str>, no: bool) -> Result<(), &'static str> {
    let asn: u32 = asn.and_then(|n| n.parse().ok()).ok_or(INCOMPLETE)?;
    match (&running.bgp, no) {
        (Some(bgp), _) if bgp.asn != asn => return Err("BGP is already running; it has another AS number"),
        (_, true) => running.bgp = None,
        (None, false) => {
            running.bgp =
                Some(Bgp { asn, router_id: Ipv4Addr::UNSPECIFIED, networks: Vec::new(), neighbors: Vec::new() })
        }
        (Some(_), false) => {}
    }
    if !no {
        seat.mode = Mode::Bgp;
    }
    Ok(())
}

fn in_bgp(bgp: &mut Bgp, parsed: &Parsed, no: bool) -> Result<(), &'static str> {
    let addresses = addresses(parsed);
    let address = *addresses.first().ok_or(INCOMPLETE)?;
    let value = parsed.arguments.get(1);
    match (parsed.command, no) {
        (Command::BgpRouterId, _) => bgp.router_id = if no { Ipv4Addr::UNSPECIFIED } else { address },
        (Command::BgpNetwork, _) => {
            let mask = *addresses.get(1).ok_or(INCOMPLETE)?;
            bgp.networks.retain(|n| *n != (address, mask));
            if !no && bgp.networks.len() < ROWS_MAX {
                bgp.networks.push((address, mask));
            }
        }
        (Command::BgpNeighborRemoteAs, true) => bgp.neighbors.retain(|n| n.address != address),
        (Command::BgpNeighborRemoteAs, false) => {
            let remote_as = value.and_then(|n| n.parse().ok()).ok_or(INCOMPLETE)?;
            if let Some(neighbor) = bgp.neighbor(address) {
                neighbor.remote_as = remote_as;
            } else if bgp.neighbors.len() < ROWS_MAX {
                bgp.neighbors.push(Neighbor { address, remote_as, description: None, shutdown: false, prefixes: 0 });
            } else {
                return Err("% The table is full");
            }
        }
        (command, no) => {
            let neighbor = bgp.neighbor(address).ok_or("% Specify remote-as or peer-group commands first")?;
            match (command, no) {
                (Command::BgpNeighborDescription, true) => neighbor.description = None,
                (Command::BgpNeighborDescription, false) => {
                    neighbor.description = Some(value.ok_or(INCOMPLETE)?.chars().take(80).collect());
                }
                _ => neighbor.shutdown = !no,
            }
        }
    }
    Ok(())
}

fn line_setting(running: &mut Configuration, seat: &Seat, parsed: &Parsed, no: bool) -> Result<(), &'static str> {
    let Mode::Line(name) = &seat.mode else { return Err("% No line selected") };
    let first = |text: &str| text.split(' ').next().map(str::to_owned);
    let settings = running.lines.entry(name.clone()).or_default();
    settings.retain(|s| first(s) != first(&parsed.canonical));
    if !no {
        settings.push(parsed.canonical.clone());
    }
    Ok(())
}

fn snmp(running: &mut Configuration, parsed: &Parsed, no: bool) -> Result<(), &'static str> {
    let setting = parsed.canonical.strip_prefix("snmp-server ").unwrap_or_default();
    if no {
        running.snmp.retain(|s| !s.starts_with(setting));
    } else if parsed.arguments.is_empty() {
        return Err(INCOMPLETE);
    } else {
        // There is one contact and one location; communities and hosts add up.
        for only in ["contact ", "location "] {
            running.snmp.retain(|s| !(setting.starts_with(only) && s.starts_with(only)));
        }
        if !running.snmp.iter().any(|s| s == setting) && running.snmp.len() < ROWS_MAX {
            running.snmp.push(setting.to_owned());
        }
    }
    Ok(())
}

fn in_list(list: &mut Vec<Ipv4Addr>, address: Option<Ipv4Addr>, no: bool) -> Result<(), &'static str> {
    let address = address.ok_or(INCOMPLETE)?;
    list.retain(|a| *a != address);
    if !no && list.len() < ROWS_MAX {
        list.push(address);
    }
    Ok(())
}

fn addresses(parsed: &Parsed) -> Vec<Ipv4Addr> {
    parsed.arguments.iter().filter_map(|a| a.parse().ok()).collect()
}
