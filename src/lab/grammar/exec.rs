//! User and privileged exec. Levels decide what each sees.

use super::{Command, Kind, Node, arg, key};

/// The exec modes.
pub(in crate::lab) const EXEC: &[Node] = &[
    key("clear", "Reset functions").privileged().then(&[
        key("counters", "Clear counters on one or all interfaces").run(Command::ClearCounters),
        key("logging", "Clear logging buffer").run(Command::ClearLogging),
    ]),
    key("configure", "Enter configuration mode")
        .privileged()
        .then(&[key("terminal", "Configure from the terminal").run(Command::Configure)]),
    key("copy", "Copy from one file to another").privileged().then(COPY),
    key("debug", "Debugging functions")
        .privileged()
        .then(&[arg(Kind::Line("LINE"), "What to watch").run(Command::Debug)]),
    key("dir", "List files on a filesystem").privileged().run(Command::Dir),
    key("disable", "Turn off privileged commands").run(Command::Disable),
    key("enable", "Turn on privileged commands").run(Command::Enable),
    key("exit", "Exit from the EXEC").run(Command::Exit),
    key("logout", "Exit from the EXEC").run(Command::Logout),
    key("ping", "Send echo messages").then(&[arg(Kind::Address, "Ping destination address").run(Command::Ping)]),
    key("quit", "Exit from the EXEC").run(Command::Logout),
    key("reload", "Halt and perform a cold restart").privileged().run(Command::Reload),
    key("show", "Show running system information").then(SHOW),
    key("ssh", "Open a secure shell client connection").then(&[arg(
        Kind::Line("LINE"),
        "Address of the remote system",
    )
    .run(Command::NoSuchConnection)]),
    key("telnet", "Open a telnet connection")
        .then(&[arg(Kind::Line("LINE"), "Address of the remote system").run(Command::NoSuchConnection)]),
    key("terminal", "Set terminal line parameters").then(&[
        key("length", "Set number of lines on a screen").then(&[arg(
            Kind::Number(0, 512, "<0-512>"),
            "Number of lines on screen (0 for no pausing)",
        )
        .run(Command::TerminalLength)]),
        key("monitor", "Copy debug output to the current terminal line").privileged().run(Command::TerminalMonitor),
        key("width", "Set width of the display terminal").then(&[arg(
            Kind::Number(0, 512, "<0-512>"),
            "Number of characters on a screen line",
        )
        .run(Command::TerminalWidth)]),
    ]),
    key("traceroute", "Trace route to destination")
        .then(&[arg(Kind::Address, "Trace route to destination address").run(Command::Traceroute)]),
    key("undebug", "Disable debugging functions")
        .privileged()
        .then(&[key("all", "Disable all debugging").run(Command::Debug)]),
    key("write", "Write running configuration to memory").privileged().run(Command::Write).then(&[
        key("erase", "Erase NV memory").run(Command::WriteErase),
        key("memory", "Write to NV memory").run(Command::Write),
        key("terminal", "Write to terminal").run(Command::ShowRunning),
    ]),
];

const SHOW: &[Node] = &[
    key("arp", "ARP table").run(Command::ShowArp),
    key("bgp", "BGP information")
        .then(&[key("summary", "Summary of BGP neighbor status").run(Command::ShowBgpSummary)]),
    key("clock", "Display the system clock").run(Command::ShowClock),
    key("history", "Display the session command history").run(Command::ShowHistory),
    key("interfaces", "Interface status and configuration").run(Command::ShowInterfaces).then(&[
        key("description", "Show interface description").run(Command::ShowInterfacesDescription),
        arg(Kind::Interface, "Interface name").run(Command::ShowInterface),
    ]),
    key("inventory", "Show the physical inventory").run(Command::ShowInventory),
    key("ip", "IP information").then(&[
        key("bgp", "BGP information")
            .then(&[key("summary", "Summary of BGP neighbor status").run(Command::ShowBgpSummary)]),
        key("interface", "IP interface status and configuration").then(&[key(
            "brief",
            "Brief summary of IP status and configuration",
        )
        .run(Command::ShowIpInterfaceBrief)]),
        key("route", "IP routing table").run(Command::ShowIpRoute),
    ]),
    key("logging", "Show the contents of logging buffers").run(Command::ShowLogging),
    key("privilege", "Show current privilege level").run(Command::ShowPrivilege),
    key("processes", "Active process statistics").run(Command::ShowProcesses).then(&[key(
        "cpu",
        "Show CPU use per process",
    )
    .run(Command::ShowProcesses)]),
    key("running-config", "Current operating configuration").privileged().run(Command::ShowRunning).then(&[
        key("all", "Configuration with defaults").run(Command::ShowRunning),
        key("interface", "Show interface configuration")
            .then(&[arg(Kind::Interface, "Interface name").run(Command::ShowRunningInterface)]),
    ]),
    key("startup-config", "Contents of startup configuration").privileged().run(Command::ShowStartup),
    key("terminal", "Display terminal configuration parameters").run(Command::ShowTerminal),
    key("users", "Display information about terminal lines").run(Command::ShowUsers),
    key("version", "System hardware and software status").run(Command::ShowVersion),
];

const COPY: &[Node] = &[
    key("running-config", "Copy from current system configuration").then(COPY_TO),
    key("startup-config", "Copy from startup configuration")
        .then(&[arg(Kind::Word("URL"), "Copy to a remote system").run(Command::CopyElsewhere)]),
];

const COPY_TO: &[Node] = &[
    key("startup-config", "Copy to startup configuration").run(Command::CopyRunningStartup),
    arg(Kind::Word("URL"), "Copy to a remote system").run(Command::CopyElsewhere),
];
