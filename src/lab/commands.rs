//! What the commands do, exec and configuration (pure but for the shared device).

use std::net::Ipv4Addr;

use super::configure;
use super::device::Device;
use super::grammar::{BGP, CONFIGURE, Command, EXEC, INTERFACE, LINE, Node};
use super::parser::Parsed;
use super::show::show;
use crate::domain::Timestamp;

/// Where a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// User or privileged exec; the level tells which.
    Exec,
    /// `(config)#`.
    Configure,
    /// `(config-if)#`, of this interface.
    Interface(String),
    /// `(config-router)#`.
    Bgp,
    /// `(config-line)#`, of these lines.
    Line(String),
}

impl Mode {
    /// The tables that its lines are read by.
    pub(super) const fn tables(&self) -> &'static [&'static [Node]] {
        match self {
            Self::Exec => &[EXEC],
            Self::Configure => &[CONFIGURE],
            Self::Interface(_) => &[INTERFACE, CONFIGURE],
            Self::Bgp => &[BGP, CONFIGURE],
            Self::Line(_) => &[LINE, CONFIGURE],
        }
    }

    /// What stands between the host name and the last character of the prompt.
    pub(super) const fn suffix(&self) -> &'static str {
        match self {
            Self::Exec => "",
            Self::Configure => "(config)",
            Self::Interface(_) => "(config-if)",
            Self::Bgp => "(config-router)",
            Self::Line(_) => "(config-line)",
        }
    }
}

/// A question that the next line answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// The password of `enable`, and how often it was wrong.
    EnablePassword(u8),
    /// `[confirm]`: Enter or `y` does it.
    Confirm(Command),
    /// Where to copy to; the answer changes nothing.
    CopyHost,
    /// The name of the file in `copy running-config startup-config`.
    SaveAs,
    /// Whether to save before reloading.
    SaveFirst,
}

impl Question {
    /// What is shown before the answer.
    pub(super) const fn prompt(self) -> &'static str {
        match self {
            Self::EnablePassword(_) => "Password: ",
            Self::Confirm(Command::Reload) => "Proceed with reload? [confirm]",
            Self::Confirm(Command::WriteErase) => {
                "Erasing the nvram filesystem will remove all configuration files! Continue? [confirm]"
            }
            Self::Confirm(Command::ClearCounters) => "Clear \"show interface\" counters on all interfaces [confirm]",
            Self::Confirm(Command::ClearLogging) => "Clear logging buffer [confirm]",
            Self::Confirm(_) => "[confirm]",
            Self::CopyHost => "Address or name of remote host []? ",
            Self::SaveAs => "Destination filename [startup-config]? ",
            Self::SaveFirst => "System configuration has been modified. Save? [yes/no]: ",
        }
    }
}

/// What a line led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// What is printed; lines end in `\n`.
    pub(super) text: String,
    /// What comes next.
    pub(super) then: Then,
    /// Whether the command did what it says; the exit status of an exec.
    pub(super) done: bool,
}

/// What comes after a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The prompt.
    Prompt,
    /// An answer is wanted.
    Ask(Question),
    /// The session ends.
    Leave,
}

impl Reply {
    /// It was done; this is its output.
    pub(super) fn done(text: impl Into<String>) -> Self {
        Self { text: text.into(), then: Then::Prompt, done: true }
    }

    /// It was not done; this says why.
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self { text: text.into(), then: Then::Prompt, done: false }
    }

    pub(super) fn ask(question: Question) -> Self {
        Self { text: String::new(), then: Then::Ask(question), done: true }
    }

    pub(super) fn leave(text: impl Into<String>) -> Self {
        Self { text: text.into(), then: Then::Leave, done: true }
    }
}

/// Who sits at a terminal line, and in which state it is.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) account: String,
    pub(super) line: u16,
    pub(super) level: u8,
    pub(super) mode: Mode,
    /// Lines on a page; 0 never pauses.
    pub(super) length: u32,
    pub(super) width: u32,
}

/// Does one command.
pub(super) fn run(parsed: &Parsed, no: bool, seat: &mut Seat, device: &Device, now: Timestamp) -> Reply {
    if seat.mode != Mode::Exec {
        return configure::run(parsed, no, seat, device, now);
    }
    let number = || parsed.arguments.first().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    match parsed.command {
        Command::ClearCounters | Command::ClearLogging | Command::WriteErase => {
            Reply::ask(Question::Confirm(parsed.command))
        }
        Command::Configure => {
            seat.mode = Mode::Configure;
            Reply::done("Enter configuration commands, one per line.  End with CNTL/Z.\n")
        }
        Command::CopyElsewhere => Reply::ask(Question::CopyHost),
        Command::CopyRunningStartup => Reply::ask(Question::SaveAs),
        Command::Debug => Reply::done("All possible debugging has been turned off\n"),
        Command::Dir => Reply::done(
            "Directory of bootflash:/\n\n    1  -rw-   412876800  Jan 01 2026 00:00:00 +00:00  lab9k-universalk9.15.9-3.L1.bin\n\n\
             7897796608 bytes total (7484919808 bytes free)\n",
        ),
        Command::Disable => {
            seat.level = 1;
            Reply::done("")
        }
        Command::Enable if seat.level == 15 => Reply::done(""),
        Command::Enable if device.enable_password.is_some() => Reply::ask(Question::EnablePassword(0)),
        Command::Enable => Reply::refused("% Error in authentication.\n\n"),
        Command::Exit | Command::Logout => Reply::leave(""),
        Command::NoSuchConnection => Reply::refused("% Connections from this element are not permitted\n"),
        Command::Ping => ping(parsed, device),
        Command::Reload => {
            let unsaved = device.with(|state| state.running != state.startup);
            Reply::ask(if unsaved { Question::SaveFirst } else { Question::Confirm(Command::Reload) })
        }
        Command::ShowPrivilege => Reply::done(format!("Current privilege level is {}\n", seat.level)),
        Command::ShowTerminal => Reply::done(format!(
            "Line {}, Location: \"\", Type: \"\"\nLength: {} lines, Width: {} columns\n",
            seat.line + 1,
            seat.length,
            seat.width
        )),
        Command::TerminalLength => {
            seat.length = number();
            Reply::done("")
        }
        Command::TerminalMonitor => Reply::done(""),
        Command::TerminalWidth => {
            seat.width = number();
            Reply::done("")
        }
        Command::Traceroute => traceroute(parsed),
        Command::Write => Reply::done(save(device, now)),
        _ => match show(parsed.command, &parsed.arguments, device, seat.line, now) {
            Some(text) => Reply { done: !text.starts_with('%'), ..Reply::done(text) },
            None => Reply::refused("% This command does nothing here\n"),
        },
    }
}

/// Takes the answer to a question.
pub(super) fn answer(question: Question, answer: &str, seat: &mut Seat, device: &Device, now: Timestamp) -> Reply {
    match question {
        Question::EnablePassword(tries) => {
            if device.enable_password.as_deref() == Some(answer) {
                seat.level = 15;
                device.log(
                    now,
                    &format!(
                        "%SYS-5-PRIV_AUTH_PASS: Privilege level set to 15 by {} on vty{}",
                        seat.account, seat.line
                    ),
                );
                Reply::done("")
            } else if tries < 2 {
                Reply::ask(Question::EnablePassword(tries + 1))
            } else {
                device.log(
                    now,
                    &format!(
                        "%SYS-5-PRIV_AUTH_FAIL: Authentication to privilege level 15 failed by {} on vty{}",
                        seat.account, seat.line
                    ),
                );
                Reply::refused("% Bad secrets\n\n")
            }
        }
        Question::Confirm(command) if answer.is_empty() || answer.eq_ignore_ascii_case("y") => {
            confirmed(command, device, now)
        }
        Question::Confirm(_) => Reply::refused(""),
        Question::CopyHost => Reply::refused("%Error opening the remote file (Timed out)\n"),
        Question::SaveAs => Reply::done(save(device, now)),
        Question::SaveFirst => {
            let text = if answer.to_ascii_lowercase().starts_with('y') { save(device, now) } else { String::new() };
            Reply { text, ..Reply::ask(Question::Confirm(Command::Reload)) }
        }
    }
}

fn confirmed(command: Command, device: &Device, now: Timestamp) -> Reply {
    match command {
        Command::Reload => {
            device.reload(now);
            Reply::leave("\n*** System is going down for a simulated reload ***\n")
        }
        Command::WriteErase => {
            device.with(|state| state.startup = device.profile.factory.clone());
            Reply::done("[OK]\nErase of nvram: complete\n")
        }
        Command::ClearLogging => {
            device.with(|state| state.log.clear());
            Reply::done("")
        }
        _ => Reply::done(""),
    }
}

fn save(device: &Device, now: Timestamp) -> String {
    device.with(|state| state.startup = state.running.clone());
    device.log(now, "%SYS-5-CONFIG_S: Startup configuration saved");
    "Building configuration...\n[OK]\n".to_owned()
}

fn ping(parsed: &Parsed, device: &Device) -> Reply {
    let Some(address) = parsed.arguments.first().and_then(|a| a.parse::<Ipv4Addr>().ok()) else {
        return Reply::refused("% Unrecognized host or address\n");
    };
    // Something answers when an interface that is up has it, or its network.
    let answers = device.with(|state| {
        let near = |(own, mask): (Ipv4Addr, Ipv4Addr)| (own.to_bits() ^ address.to_bits()) & mask.to_bits() == 0;
        state.running.interfaces.iter().filter(|i| !i.shutdown).filter_map(|i| i.address).any(near)
    });
    let (marks, rate, times) = if answers {
        ("!!!!!", "100 percent (5/5)", ", round-trip min/avg/max = 1/1/2 ms")
    } else {
        (".....", "0 percent (0/5)", "")
    };
    Reply::done(format!(
        "Type escape sequence to abort.\nSending 5, 100-byte ICMP Echos to {address}, timeout is 2 seconds:\n{marks}\nSuccess rate is {rate}{times}\n"
    ))
}

fn traceroute(parsed: &Parsed) -> Reply {
    let address = parsed.arguments.first().map_or("", String::as_str);
    Reply::done(format!(
        "Type escape sequence to abort.\nTracing the route to {address}\n  1 {address} 1 msec 1 msec 1 msec\n"
    ))
}
