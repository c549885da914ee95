//! What the `show` commands print (pure): the state of a device as the tables that engineers and their scripts expect.

use std::net::Ipv4Addr;

use super::device::{Device, State, clock_stamp};
use super::grammar::Command;
use super::running::{Interface, prefix_length, push};
use crate::domain::Timestamp;

/// The name and version of the software, everywhere the same.
const SOFTWARE: &str =
    "Lab IOS-like Software, LAB9K Software (LAB9K-UNIVERSALK9-M), Version 15.9(3)L1, SIMULATED ELEMENT";

/// The text of one `show` command, or `None` if it is not one of the device.
pub(super) fn show(
    command: Command,
    arguments: &[String],
    device: &Device,
    line: u16,
    now: Timestamp,
) -> Option<String> {
    device.with(|state| match command {
        Command::ShowArp => Some(arp(device, state)),
        Command::ShowBgpSummary => Some(bgp_summary(device, state, now)),
        Command::ShowClock => Some(format!("*{}\n", clock_stamp(now))),
        Command::ShowInterface => arguments.first().map(|name| one_interface(device, state, name)),
        Command::ShowInterfaces => Some(state.running.interfaces.iter().map(|i| interface(device, state, i)).collect()),
        Command::ShowInterfacesDescription => Some(descriptions(state)),
        Command::ShowInventory => Some(inventory(device)),
        Command::ShowIpInterfaceBrief => Some(interface_brief(state)),
        Command::ShowIpRoute => Some(routes(state)),
        Command::ShowLogging => Some(logging(state)),
        Command::ShowProcesses => Some(processes(device)),
        Command::ShowRunning => {
            let text = state.running.text();
            let changed = state.last_change.as_ref().map_or_else(String::new, |(at, account)| {
                format!("! Last configuration change at {} by {account}\n", clock_stamp(*at))
            });
            Some(format!(
                "Building configuration...\n\nCurrent configuration : {} bytes\n!\n{changed}{text}",
                text.len()
            ))
        }
        Command::ShowRunningInterface => arguments.first().map(|name| match state.running.interface(name) {
            Some(i) => format!(
                "Building configuration...\n\nCurrent configuration : {} bytes\n!\n{}end\n\n",
                i.text().len(),
                i.text()
            ),
            None => "% Invalid interface\n".to_owned(),
        }),
        Command::ShowStartup => {
            let text = state.startup.text();
            Some(format!("Using {} out of 262136 bytes\n{text}", text.len()))
        }
        Command::ShowUsers => Some(users(state, line, now)),
        Command::ShowVersion => Some(version(device, state, now)),
        _ => None,
    })
}

fn version(device: &Device, state: &State, now: Timestamp) -> String {
    let up = now.since(state.booted).as_secs();
    let hostname = &state.running.hostname;
    let mut text = format!(
        "{SOFTWARE}\nA simulated router of the Sallyport lab; it forwards no traffic.\n\nROM: Bootstrap program is LAB\n\n"
    );
    push(&mut text, format_args!("{hostname} uptime is {}", span(up)));
    push(
        &mut text,
        format_args!(
            "System returned to ROM by reload\nSystem image file is \"bootflash:lab9k-universalk9.15.9-3.L1.bin\"\n"
        ),
    );
    push(&mut text, format_args!("lab LAB9001 (X86) processor with 4194304K/6147K bytes of memory."));
    push(&mut text, format_args!("Processor board ID {}", device.profile.serial()));
    let count = |prefix: &str| state.running.interfaces.iter().filter(|i| i.name.starts_with(prefix)).count();
    push(&mut text, format_args!("{} Gigabit Ethernet interfaces", count("Gigabit")));
    push(&mut text, format_args!("{} Ten Gigabit Ethernet interfaces", count("Ten")));
    push(&mut text, format_args!("{} Hundred Gigabit Ethernet interfaces", count("Hundred")));
    push(
        &mut text,
        format_args!("262136 bytes of non-volatile configuration memory.\n\nConfiguration register is 0x2102\n"),
    );
    text
}

fn span(seconds: u64) -> String {
    let unit = |n: u64, name: &str| format!("{n} {name}{}", if n == 1 { "" } else { "s" });
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => unit(minutes, "minute"),
        (0, _) => format!("{}, {}", unit(hours, "hour"), unit(minutes, "minute")),
        _ => format!("{}, {}, {}", unit(days, "day"), unit(hours, "hour"), unit(minutes, "minute")),
    }
}

fn interface_brief(state: &State) -> String {
    let mut text =
        String::from("Interface                  IP-Address      OK? Method Status                Protocol\n");
    for i in &state.running.interfaces {
        let address = i.address.map_or_else(|| "unassigned".to_owned(), |(a, _)| a.to_string());
        let method = if i.address.is_some() { "NVRAM" } else { "unset" };
        let (status, protocol) = if i.shutdown { ("administratively down", "down") } else { ("up", "up") };
        push(&mut text, format_args!("{:<26} {address:<15} YES {method:<6} {status:<21} {protocol}", i.name));
    }
    text
}

fn descriptions(state: &State) -> String {
    let mut text = String::from("Interface                      Status         Protocol Description\n");
    for i in &state.running.interfaces {
        let (status, protocol) = if i.shutdown { ("admin down", "down") } else { ("up", "up") };
        let row = format!(
            "{:<30} {status:<14} {protocol:<8} {}",
            i.short_name(),
            i.description.as_deref().unwrap_or_default()
        );
        push(&mut text, format_args!("{}", row.trim_end()));
    }
    text
}

fn one_interface(device: &Device, state: &State, name: &str) -> String {
    state.running.interface(name).map_or_else(|| "% Invalid interface\n".to_owned(), |i| interface(device, state, i))
}

fn interface(device: &Device, state: &State, i: &Interface) -> String {
    let index = state.running.interfaces.iter().position(|other| other.name == i.name).unwrap_or(0);
    let key = u64::try_from(index).unwrap_or(0);
    let count = |what: u64, below: u64| if i.shutdown { 0 } else { device.profile.count(key * 100 + what, below) };
    let (status, protocol) = if i.shutdown { ("administratively down", "down") } else { ("up", "up") };
    let (kind, bandwidth) = match i.short_name().get(..2) {
        Some("Lo") => ("Loopback", 8_000_000_u64),
        Some("Te") => ("Ten Gigabit Ethernet", 10_000_000),
        Some("Hu") => ("Hundred Gigabit Ethernet", 100_000_000),
        _ => ("Gigabit Ethernet", 1_000_000),
    };
    let mut text = format!("{} is {status}, line protocol is {protocol}\n", i.name);
    if kind == "Loopback" {
        push(&mut text, format_args!("  Hardware is Loopback"));
    } else {
        let mac = device.profile.hardware_address(index);
        push(&mut text, format_args!("  Hardware is {kind}, address is {mac} (bia {mac})"));
    }
    if let Some(description) = &i.description {
        push(&mut text, format_args!("  Description: {description}"));
    }
    if let Some((address, mask)) = i.address {
        push(&mut text, format_args!("  Internet address is {address}/{}", prefix_length(mask).unwrap_or(32)));
    }
    push(&mut text, format_args!("  MTU {} bytes, BW {bandwidth} Kbit/sec, DLY 10 usec,", i.mtu));
    push(&mut text, format_args!("     reliability 255/255, txload {}/255, rxload {}/255", count(1, 90), count(2, 90)));
    push(
        &mut text,
        format_args!(
            "  5 minute input rate {} bits/sec, {} packets/sec",
            count(3, bandwidth * 400),
            count(4, bandwidth / 20)
        ),
    );
    push(
        &mut text,
        format_args!(
            "  5 minute output rate {} bits/sec, {} packets/sec",
            count(5, bandwidth * 400),
            count(6, bandwidth / 20)
        ),
    );
    push(&mut text, format_args!("     {} packets input, {} bytes, 0 no buffer", count(7, 1 << 40), count(8, 1 << 50)));
    push(
        &mut text,
        format_args!("     {} input errors, {} CRC, 0 frame, 0 overrun, 0 ignored", count(9, 9), count(9, 9)),
    );
    push(
        &mut text,
        format_args!("     {} packets output, {} bytes, 0 underruns", count(10, 1 << 40), count(11, 1 << 50)),
    );
    text
}

fn routes(state: &State) -> String {
    let mut text =
        String::from("Codes: C - connected, S - static, L - local, B - BGP\n       * - candidate default\n\n");
    match state.running.routes.iter().find(|r| r.mask.is_unspecified()) {
        Some(route) => {
            push(&mut text, format_args!("Gateway of last resort is {} to network 0.0.0.0\n", route.next_hop))
        }
        None => push(&mut text, format_args!("Gateway of last resort is not set\n")),
    }
    for route in &state.running.routes {
        let mark = if route.mask.is_unspecified() { "S*" } else { "S " };
        push(
            &mut text,
            format_args!(
                "{mark}    {}/{} [1/0] via {}",
                route.prefix,
                prefix_length(route.mask).unwrap_or(32),
                route.next_hop
            ),
        );
    }
    let mut connected: Vec<(Ipv4Addr, Ipv4Addr, &str)> = state
        .running
        .interfaces
        .iter()
        .filter(|i| !i.shutdown)
        .filter_map(|i| i.address.map(|(a, m)| (a, m, i.name.as_str())))
        .collect();
    connected.sort_unstable();
    for (address, mask, name) in connected {
        let network = Ipv4Addr::from_bits(address.to_bits() & mask.to_bits());
        push(
            &mut text,
            format_args!("C     {network}/{} is directly connected, {name}", prefix_length(mask).unwrap_or(32)),
        );
        push(&mut text, format_args!("L     {address}/32 is directly connected, {name}"));
    }
    text
}

fn bgp_summary(device: &Device, state: &State, now: Timestamp) -> String {
    let Some(bgp) = &state.running.bgp else { return "% BGP not active\n".to_owned() };
    let mut text = format!("BGP router identifier {}, local AS number {}\n", bgp.router_id, bgp.asn);
    let total: u32 = bgp.neighbors.iter().filter(|n| !n.shutdown).map(|n| n.prefixes).sum();
    push(
        &mut text,
        format_args!("BGP table version is {}, main routing table version {0}", device.profile.count(900, 90_000_000)),
    );
    push(&mut text, format_args!("{total} path entries using {} bytes of memory\n", u64::from(total) * 136));
    push(
        &mut text,
        format_args!("Neighbor        V           AS MsgRcvd MsgSent   TblVer  InQ OutQ Up/Down  State/PfxRcd"),
    );
    for (n, key) in bgp.neighbors.iter().zip(1_000_u64..) {
        let (received, sent) = (device.profile.count(key * 2, 900_000), device.profile.count(key * 2 + 1, 90_000));
        let up = now.since(state.booted).as_secs();
        let (up, what) = match (n.shutdown, n.prefixes) {
            (true, _) => ("never".to_owned(), "Idle (Admin)".to_owned()),
            (false, 0) => ("never".to_owned(), "Active".to_owned()),
            (false, prefixes) => {
                (format!("{:02}:{:02}:{:02}", up / 3_600, up / 60 % 60, up % 60), prefixes.to_string())
            }
        };
        push(
            &mut text,
            format_args!(
                "{:<15} 4 {:>12} {received:>7} {sent:>7} {:>8}    0    0 {up:<8} {what:>12}",
                n.address, n.remote_as, 1
            ),
        );
    }
    text
}

fn arp(device: &Device, state: &State) -> String {
    let mut text = String::from("Protocol  Address          Age (min)  Hardware Addr   Type   Interface\n");
    for (index, i) in
        state.running.interfaces.iter().enumerate().filter(|(_, i)| !i.shutdown && !i.name.starts_with("Loopback"))
    {
        let Some((address, _)) = i.address else { continue };
        push(
            &mut text,
            format_args!(
                "Internet  {:<16} {:>9}  {}  ARPA   {}",
                address,
                "-",
                device.profile.hardware_address(index),
                i.name
            ),
        );
    }
    text
}

fn inventory(device: &Device) -> String {
    let serial = device.profile.serial();
    format!(
        "NAME: \"Chassis\", DESCR: \"LAB9001 simulated chassis\"\nPID: LAB9001           , VID: V01, SN: {serial}\n\n\
         NAME: \"module 0\", DESCR: \"LAB9001 route processor\"\nPID: LAB9K-RP          , VID: V01, SN: {serial}-RP\n\n"
    )
}

fn processes(device: &Device) -> String {
    let load = device.profile.count(800, 12) + 1;
    let mut text =
        format!("CPU utilization for five seconds: {load}%/0%; one minute: {load}%; five minutes: {load}%\n");
    push(&mut text, format_args!(" PID Runtime(ms)     Invoked      uSecs   5Sec   1Min   5Min TTY Process"));
    for (name, pid) in
        ["Chunk Manager", "Load Meter", "SSH Process", "BGP Router", "BGP I/O", "IP RIB Update", "SNMP ENGINE"]
            .iter()
            .zip(1_u64..)
    {
        let (runtime, invoked) = (device.profile.count(801 + pid, 900_000), device.profile.count(820 + pid, 9_000_000));
        push(
            &mut text,
            format_args!(
                "{pid:>4} {runtime:>11} {invoked:>11} {:>10}  0.00%  0.00%  0.00%   0 {name}",
                runtime / (invoked / 1000 + 1)
            ),
        );
    }
    text
}

fn logging(state: &State) -> String {
    let size = state.running.logging_buffered;
    let mut text =
        format!("Syslog logging: enabled\n    Buffer logging:  level debugging, {} messages logged\n", state.log.len());
    for host in &state.running.logging_hosts {
        push(&mut text, format_args!("    Logging to {host}  (udp port 514)"));
    }
    push(&mut text, format_args!("\nLog Buffer ({size} bytes):\n"));
    for line in &state.log {
        push(&mut text, format_args!("{line}"));
    }
    text
}

fn users(state: &State, line: u16, now: Timestamp) -> String {
    let mut text = String::from("    Line       User       Host(s)              Idle       Location\n");
    for (number, user) in &state.users {
        let mark = if *number == line { '*' } else { ' ' };
        let up = now.since(user.since).as_secs();
        let idle = format!("{:02}:{:02}:{:02}", up / 3_600, up / 60 % 60, up % 60);
        let name = format!("vty {number}");
        push(
            &mut text,
            format_args!(
                "{mark}{:>3} {name:<10} {:<10} idle                 {idle} {}",
                number + 1,
                user.account,
                user.peer.ip()
            ),
        );
        if let Some(key_id) = &user.key_id {
            push(&mut text, format_args!("      certificate of {key_id}"));
        }
    }
    text
}
