//! What can be typed, as data: one table for each mode. A table is a list of [`Node`]s; a node may end the line (`run`), go on
//! (`then`), or both.

mod configure;
mod exec;

pub(super) use configure::{BGP, CONFIGURE, INTERFACE, LINE};
pub(super) use exec::EXEC;

use super::parser::Words;

/// One word of the language.
#[derive(Debug)]
pub(super) struct Node {
    /// What is typed here.
    pub(super) kind: Kind,
    /// The text beside it in help.
    pub(super) help: &'static str,
    /// The privilege level that it takes.
    pub(super) level: u8,
    /// What it does, when the line may end here.
    pub(super) run: Option<Command>,
    /// What may follow.
    pub(super) then: &'static [Self],
}

impl Node {
    const fn new(kind: Kind, help: &'static str) -> Self {
        Self { kind, help, level: 1, run: None, then: &[] }
    }

    const fn run(mut self, command: Command) -> Self {
        self.run = Some(command);
        self
    }

    const fn then(mut self, then: &'static [Self]) -> Self {
        self.then = then;
        self
    }

    const fn privileged(mut self) -> Self {
        self.level = 15;
        self
    }
}

/// A keyword.
const fn key(word: &'static str, help: &'static str) -> Node {
    Node::new(Kind::Keyword(word), help)
}

/// An argument.
const fn arg(kind: Kind, help: &'static str) -> Node {
    Node::new(kind, help)
}

/// What a word may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// This word, or a beginning of it.
    Keyword(&'static str),
    /// An IPv4 address.
    Address,
    /// A whole number in this range, and its label in help.
    Number(u32, u32, &'static str),
    /// An interface: `gi0/0`, `GigabitEthernet 0/0`.
    Interface,
    /// Any word, and its label in help.
    Word(&'static str),
    /// The rest of the line, and its label in help.
    Line(&'static str),
}

impl Kind {
    /// What help shows for it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Keyword(text) | Self::Number(_, _, text) | Self::Word(text) | Self::Line(text) => text,
            Self::Address => "A.B.C.D",
            Self::Interface => "INTERFACE",
        }
    }

    /// Whether `unfinished` can become this.
    pub(super) fn begins_like(self, unfinished: &str) -> bool {
        match self {
            Self::Keyword(word) => word.get(..unfinished.len()).is_some_and(|b| b.eq_ignore_ascii_case(unfinished)),
            _ => unfinished.is_empty() || self.fits(unfinished),
        }
    }

    /// Whether a whole word is this.
    pub(super) fn fits(self, word: &str) -> bool {
        match self {
            Self::Keyword(_) => false,
            Self::Address => word.parse::<std::net::Ipv4Addr>().is_ok(),
            Self::Number(from, to, _) => word.parse::<u32>().is_ok_and(|n| from <= n && n <= to),
            Self::Interface => interface_type(letters(word)).is_some(),
            Self::Word(_) | Self::Line(_) => true,
        }
    }

    /// The value written out; an interface or a line may take more words. `None`: something is missing.
    pub(super) fn read(self, word: &str, rest: &mut Words<'_>) -> Option<String> {
        match self {
            Self::Keyword(whole) => Some(whole.to_owned()),
            Self::Address | Self::Number(..) | Self::Word(_) => Some(word.to_owned()),
            Self::Line(_) => Some(format!("{word}{}", rest.take_rest().trim_end())),
            Self::Interface => {
                let kind = interface_type(letters(word))?;
                let number = word.get(letters(word).len()..).filter(|n| !n.is_empty());
                let number = number.or_else(|| rest.next_word().map(|(_, w)| w))?;
                let fits = number.starts_with(|c: char| c.is_ascii_digit())
                    && number.len() <= 12
                    && number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'/' | b'.'));
                fits.then(|| format!("{kind}{number}"))
            }
        }
    }
}

fn letters(word: &str) -> &str {
    word.get(..word.bytes().take_while(u8::is_ascii_alphabetic).count()).unwrap_or_default()
}

/// The interface type that a beginning means.
fn interface_type(beginning: &str) -> Option<&'static str> {
    const TYPES: [&str; 4] = ["GigabitEthernet", "HundredGigE", "Loopback", "TenGigabitEthernet"];
    let fits = |t: &&&str| t.get(..beginning.len()).is_some_and(|b| b.eq_ignore_ascii_case(beginning));
    if beginning.is_empty() { None } else { TYPES.iter().find(fits).copied() }
}

/// Everything the router can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Banner,
    BgpNeighborDescription,
    BgpNeighborRemoteAs,
    BgpNeighborShutdown,
    BgpNetwork,
    BgpRouterId,
    ClearCounters,
    ClearLogging,
    Configure,
    CopyElsewhere,
    CopyRunningStartup,
    Debug,
    Dir,
    Disable,
    Enable,
    End,
    Exit,
    Hostname,
    Interface,
    InterfaceAddress,
    InterfaceDescription,
    InterfaceMtu,
    InterfaceShutdown,
    IpRoute,
    Line,
    LineSetting,
    LoggingBuffered,
    LoggingHost,
    Logout,
    NoSuchConnection,
    NtpServer,
    Ping,
    Reload,
    RouterBgp,
    ShowArp,
    ShowBgpSummary,
    ShowClock,
    ShowHistory,
    ShowInterface,
    ShowInterfaces,
    ShowInterfacesDescription,
    ShowInventory,
    ShowIpInterfaceBrief,
    ShowIpRoute,
    ShowLogging,
    ShowPrivilege,
    ShowProcesses,
    ShowRunning,
    ShowRunningInterface,
    ShowStartup,
    ShowTerminal,
    ShowUsers,
    ShowVersion,
    Snmp,
    TerminalLength,
    TerminalMonitor,
    TerminalWidth,
    Traceroute,
    Username,
    Write,
    WriteErase,
}
