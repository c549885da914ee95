//! Which action each SSH request is.

use crate::domain::{Account, Action, ElementName, Verb};

use super::scp::command::{ScpCommand, parse};

/// What a client asks of a session channel.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// A shell.
    Shell,
    /// A command, as it came.
    Exec(Vec<u8>),
    /// A subsystem.
    Subsystem(String),
}

/// How the bytes of a channel are understood.
#[derive(Debug)]
pub(super) enum Understood {
    /// As they are.
    Plain,
    /// SFTP.
    Sftp,
    /// The old scp protocol.
    Scp(ScpCommand),
}

/// The longest command line that is decided; longer ones are refused.
const COMMAND_BYTES_MAX: usize = 64 << 10;

/// The action that a request is, and how its bytes are to be read.
///
/// # Errors
/// A request that no action describes: it cannot be decided, so it is refused.
pub(super) fn of_request(wanted: &Wanted) -> Result<(Action, Understood), String> {
    match wanted {
        Wanted::Shell => Ok((Action::new(Verb::SshRawShell, ""), Understood::Plain)),
        Wanted::Subsystem(name) if name == "sftp" => Ok((Action::new(Verb::FileTransfer, "sftp"), Understood::Sftp)),
        Wanted::Subsystem(name) => Ok((Action::new(Verb::SshSubsystem, name.as_str()), Understood::Plain)),
        Wanted::Exec(command) => {
            if command.len() > COMMAND_BYTES_MAX {
                return Err(format!("the command is longer than {COMMAND_BYTES_MAX} bytes"));
            }
            if let Some(scp) = parse(command) {
                return Ok((Action::new(Verb::FileTransfer, "scp"), Understood::Scp(scp)));
            }
            let line = std::str::from_utf8(command).map_err(|_| "the command is not text in UTF-8".to_owned())?;
            Ok((Action::new(Verb::SshExec, line), Understood::Plain))
        }
    }
}

/// The action of a request that cannot be decided, for the log: as it came, as far as it is text.
pub(super) fn undecidable(command: &[u8]) -> Action {
    let shown = match std::str::from_utf8(command) {
        Ok(line) => line.to_owned(),
        Err(_) => command.escape_ascii().to_string(),
    };
    Action::new(Verb::SshExec, shown)
}

/// The destination of a forward, in the form policy sees.
///
/// # Errors
/// A destination that is not a plain host name or address.
pub(super) fn destination(host: &str, port: u32) -> Result<String, String> {
    let port = u16::try_from(port).ok().filter(|p| *p != 0);
    port.and_then(|port| host_and_port(host, port))
        .ok_or_else(|| "the destination is not a host name or address with a port".to_owned())
}

/// Where a listener is asked for, in the form policy sees: `*` stands for every address of the element, port 0 for one of its choice.
///
/// # Errors
/// An address that is not a plain host name or address.
pub(super) fn listener(host: &str, port: u32) -> Result<String, String> {
    let bad = || "the listener's address is not a host name or address with a port".to_owned();
    let port = u16::try_from(port).map_err(|_| bad())?;
    match host {
        "" | "*" | "0.0.0.0" | "::" => Ok(format!("*:{port}")),
        host => host_and_port(host, port).ok_or_else(bad),
    }
}

/// A socket on the element, in the form policy sees.
///
/// # Errors
/// A path that is not absolute.
pub(super) fn socket(path: &str) -> Result<String, String> {
    if path.starts_with('/') && path.len() <= 255 && !path.contains('\0') {
        Ok(path.to_owned())
    } else {
        Err("the socket is not an absolute path".to_owned())
    }
}

fn host_and_port(host: &str, port: u16) -> Option<String> {
    let plain = !host.is_empty()
        && host.len() <= 255
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'));
    let host = host.to_ascii_lowercase();
    match plain {
        true if host.contains(':') => Some(format!("[{host}]:{port}")),
        true => Some(format!("{host}:{port}")),
        false => None,
    }
}

/// What the SSH user name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserName {
    /// The account, when one is named.
    pub(super) account: Option<Account>,
    /// The element, in the form `account@element`.
    pub(super) element: Option<ElementName>,
}

/// Reads `account`, `account@element`, or `account@element.<domain>`.
pub(super) fn user_name(text: &str, domain: &str) -> Option<UserName> {
    match text.rsplit_once('@') {
        Some((account, element)) => {
            let element = element_name(element, domain)?;
            let account = if account.is_empty() { None } else { Some(account.parse().ok()?) };
            Some(UserName { account, element: Some(element) })
        }
        None => Some(UserName { account: Some(text.parse().ok()?), element: None }),
    }
}

/// An element's name with or without the gateway's domain.
pub(super) fn element_name(text: &str, domain: &str) -> Option<ElementName> {
    let text = text.to_ascii_lowercase();
    text.strip_suffix(domain).and_then(|t| t.strip_suffix('.')).unwrap_or(&text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_actions() {
        let action = |wanted: Wanted| of_request(&wanted).map(|(a, _)| a.to_string());
        assert_eq!(action(Wanted::Shell).as_deref(), Ok("ssh.raw-shell"));
        assert_eq!(action(Wanted::Subsystem("sftp".into())).as_deref(), Ok("file.transfer sftp"));
        assert_eq!(action(Wanted::Subsystem("netconf".into())).as_deref(), Ok("ssh.subsystem netconf"));
        assert_eq!(action(Wanted::Exec(b"show version".to_vec())).as_deref(), Ok("ssh.exec show version"));
        assert_eq!(action(Wanted::Exec(b"scp -t /tmp/x".to_vec())).as_deref(), Ok("file.transfer scp"));
        assert_eq!(action(Wanted::Exec(b"scp -t x; bash".to_vec())).as_deref(), Ok("ssh.exec scp -t x; bash"));
        assert!(action(Wanted::Exec(vec![0xff])).is_err());
        assert!(action(Wanted::Exec(vec![b'a'; (64 << 10) + 1])).is_err());
    }

    #[test]
    fn destinations() {
        assert_eq!(destination("Core-NMS.example", 443).as_deref(), Ok("core-nms.example:443"));
        assert_eq!(destination("2001:db8::1", 22).as_deref(), Ok("[2001:db8::1]:22"));
        for (host, port) in
            [("", 1), ("a b", 1), ("a\0", 1), ("a", 0), ("a", 65_536), ("/run/x", 1), ("a\n", 1), ("*", 1)]
        {
            assert!(destination(host, port).is_err(), "{host:?} {port}");
        }
    }

    #[test]
    fn listeners() {
        for (host, port, object) in [
            ("localhost", 0, "localhost:0"),
            ("LOCALHOST", 8080, "localhost:8080"),
            ("::1", 80, "[::1]:80"),
            ("", 80, "*:80"),
            ("*", 0, "*:0"),
            ("0.0.0.0", 80, "*:80"),
            ("::", 80, "*:80"),
        ] {
            assert_eq!(listener(host, port).as_deref(), Ok(object), "{host:?} {port}");
        }
        for (host, port) in
            [("a b", 1), ("a\0", 1), ("a", 65_536), ("/run/x", 1), ("a\n", 1), ("*.example", 1), ("**", 1)]
        {
            assert!(listener(host, port).is_err(), "{host:?} {port}");
        }
    }

    #[test]
    fn sockets() {
        assert_eq!(socket("/run/x").as_deref(), Ok("/run/x"));
        for path in ["", "run/x", "~/x", "/run/\0x", &format!("/{}", "x".repeat(255))] {
            assert!(socket(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn user_names() {
        let name =
            |text| user_name(text, "gw.example").map(|u| (u.account.map(String::from), u.element.map(String::from)));
        assert_eq!(name("admin"), Some((Some("admin".into()), None)));
        assert_eq!(name("admin@core-rtr-1"), Some((Some("admin".into()), Some("core-rtr-1".into()))));
        assert_eq!(name("admin@core-rtr-1.gw.example"), Some((Some("admin".into()), Some("core-rtr-1".into()))));
        assert_eq!(name("@core-rtr-1"), Some((None, Some("core-rtr-1".into()))));
        for text in ["", "a b", "-x", "admin@", "a@b@c", "admin@a/b", "admin@../x"] {
            assert_eq!(name(text), None, "{text}");
        }
    }
}
