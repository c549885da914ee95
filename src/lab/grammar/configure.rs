//! Configuration modes. Inside a part (interface, router, line) the part's own table is tried first, then the global one.

use super::{Command, Kind, Node, arg, key};

/// Global configuration.
pub(in crate::lab) const CONFIGURE: &[Node] = &[
    key("banner", "Define a login banner").then(&[
        key("login", "Set login banner").then(&[arg(
            Kind::Line("LINE"),
            "c banner-text c, where 'c' is a delimiting character",
        )
        .run(Command::Banner)]),
        key("motd", "Set message of the day banner").then(&[arg(
            Kind::Line("LINE"),
            "c banner-text c, where 'c' is a delimiting character",
        )
        .run(Command::Banner)]),
    ]),
    key("end", "Exit from configure mode").run(Command::End),
    key("exit", "Exit from configure mode").run(Command::Exit),
    key("hostname", "Set system's network name").run(Command::Hostname).then(&[arg(
        Kind::Word("WORD"),
        "This system's network name",
    )
    .run(Command::Hostname)]),
    key("interface", "Select an interface to configure")
        .then(&[arg(Kind::Interface, "Interface name").run(Command::Interface)]),
    key("ip", "Global IP configuration subcommands").then(&[key("route", "Establish static routes").then(&[arg(
        Kind::Address,
        "Destination prefix",
    )
    .then(&[arg(Kind::Address, "Destination prefix mask").run(Command::IpRoute).then(&[arg(
        Kind::Address,
        "Forwarding router's address",
    )
    .run(Command::IpRoute)])])])]),
    key("line", "Configure a terminal line").then(&[key("vty", "Virtual terminal").then(&[arg(
        Kind::Number(0, 15, "<0-15>"),
        "First line number",
    )
    .run(Command::Line)
    .then(&[arg(Kind::Number(0, 15, "<0-15>"), "Last line number").run(Command::Line)])])]),
    key("logging", "Modify message logging facilities").then(&[
        key("buffered", "Set buffered logging parameters").run(Command::LoggingBuffered).then(&[arg(
            Kind::Number(4096, 2_147_483_647, "<4096-2147483647>"),
            "Logging buffer size",
        )
        .run(Command::LoggingBuffered)]),
        key("host", "Set syslog server address")
            .then(&[arg(Kind::Address, "Address of the syslog server").run(Command::LoggingHost)]),
        arg(Kind::Address, "Address of the syslog server").run(Command::LoggingHost),
    ]),
    key("ntp", "Configure NTP").then(&[key("server", "Configure NTP server").then(&[arg(
        Kind::Address,
        "Address of the peer",
    )
    .run(Command::NtpServer)])]),
    key("router", "Enable a routing process").then(&[key("bgp", "Border Gateway Protocol (BGP)").then(&[arg(
        Kind::Number(1, 4_294_967_295, "<1-4294967295>"),
        "Autonomous system number",
    )
    .run(Command::RouterBgp)])]),
    key("snmp-server", "Modify SNMP engine parameters").then(&[
        key("community", "Enable SNMP; set community string and access privileges").then(&[arg(
            Kind::Line("LINE"),
            "Community string and RO or RW",
        )
        .run(Command::Snmp)]),
        key("contact", "Text for MIB object sysContact").run(Command::Snmp).then(&[arg(
            Kind::Line("LINE"),
            "Identification of the contact",
        )
        .run(Command::Snmp)]),
        key("host", "Specify hosts to receive notifications").then(&[arg(
            Kind::Line("LINE"),
            "Address and community of the host",
        )
        .run(Command::Snmp)]),
        key("location", "Text for MIB object sysLocation").run(Command::Snmp).then(&[arg(
            Kind::Line("LINE"),
            "The physical location of this node",
        )
        .run(Command::Snmp)]),
    ]),
    key("username", "Establish user name authentication")
        .then(&[arg(Kind::Line("LINE"), "User name and options").run(Command::Username)]),
];

/// `interface NAME`.
pub(in crate::lab) const INTERFACE: &[Node] = &[
    key("description", "Interface specific description").run(Command::InterfaceDescription).then(&[arg(
        Kind::Line("LINE"),
        "Up to 240 characters describing this interface",
    )
    .run(Command::InterfaceDescription)]),
    key("ip", "Interface Internet Protocol config commands").then(&[key(
        "address",
        "Set the IP address of an interface",
    )
    .run(Command::InterfaceAddress)
    .then(&[
        arg(Kind::Address, "IP address").then(&[arg(Kind::Address, "IP subnet mask").run(Command::InterfaceAddress)])
    ])]),
    key("mtu", "Set the interface Maximum Transmission Unit (MTU)").run(Command::InterfaceMtu).then(&[arg(
        Kind::Number(64, 9216, "<64-9216>"),
        "MTU size in bytes",
    )
    .run(Command::InterfaceMtu)]),
    key("shutdown", "Shutdown the selected interface").run(Command::InterfaceShutdown),
];

/// `router bgp NUMBER`.
pub(in crate::lab) const BGP: &[Node] =
    &[
        key("bgp", "BGP specific commands").then(&[key("router-id", "Override configured router identifier")
            .then(&[arg(Kind::Address, "Manually configured router identifier").run(Command::BgpRouterId)])]),
        key("neighbor", "Specify a neighbor router").then(&[arg(Kind::Address, "Neighbor address").then(&[
            key("description", "Neighbor specific description").run(Command::BgpNeighborDescription).then(&[arg(
                Kind::Line("LINE"),
                "Up to 80 characters describing this neighbor",
            )
            .run(Command::BgpNeighborDescription)]),
            key("remote-as", "Specify a BGP neighbor").run(Command::BgpNeighborRemoteAs).then(&[arg(
                Kind::Number(1, 4_294_967_295, "<1-4294967295>"),
                "AS of remote neighbor",
            )
            .run(Command::BgpNeighborRemoteAs)]),
            key("shutdown", "Administratively shut down this neighbor").run(Command::BgpNeighborShutdown),
        ])]),
        key("network", "Specify a network to announce via BGP").then(&[arg(Kind::Address, "Network number").then(&[
            key("mask", "Network mask").then(&[arg(Kind::Address, "Network mask").run(Command::BgpNetwork)]),
        ])]),
    ];

/// `line vty A B`.
pub(in crate::lab) const LINE: &[Node] = &[
    key("exec-timeout", "Set the EXEC timeout")
        .then(&[arg(Kind::Line("LINE"), "Timeout in minutes and seconds").run(Command::LineSetting)]),
    key("login", "Enable password checking").then(&[key("local", "Local password checking").run(Command::LineSetting)]),
    key("transport", "Define transport protocols for line").then(&[key(
        "input",
        "Define which protocols to use when connecting",
    )
    .then(&[key("ssh", "TCP/IP SSH protocol").run(Command::LineSetting)])]),
];
