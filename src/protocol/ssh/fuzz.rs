//! What must hold of anything that a client or an element says inside SSH.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use super::actions::{Wanted, destination, listener, of_request, socket, user_name};
use super::inspect::Inspect;
use super::scp::{self, ScpInspector, command};
use super::script::{self, Step};
use super::sftp::{self, SftpInspector};
use crate::domain::Verb;

const DOMAIN: &str = "sallyport.example";

/// Both directions of SFTP: where the stream is cut changes nothing, and what is denied never passes.
pub(crate) fn sftp(data: &[u8]) {
    let steps = script::parse(data);
    cut_changes_nothing(&steps, || SftpInspector::new(sftp::Limits::default()));
}

/// The same of scp.
pub(crate) fn scp(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let Some(command) = parts.next().and_then(command::parse) else { return };
    let steps = script::parse(parts.next().unwrap_or_default());
    cut_changes_nothing(&steps, || ScpInspector::new(command.clone(), scp::Limits::default()));
}

fn cut_changes_nothing<I: Inspect>(steps: &[Step], inspector: impl Fn() -> I) {
    let some = |action: &str| action.len().is_multiple_of(3);
    let run = |cuts: &[usize]| script::run(inspector(), steps, &some, cuts);
    assert_eq!(run(&[usize::MAX]), run(&[1, 3, 50]));
    let none = script::run(inspector(), steps, &|_| true, &[usize::MAX]);
    assert!(none.events.iter().all(|event| !event.contains(" ok")), "it was denied and done: {:?}", none.events);
}

/// Names that came with SSH have one form, which means the same again; a command is decided as it came.
pub(crate) fn ssh_names(data: &[u8]) {
    if let Ok((action, _)) = of_request(&Wanted::Exec(data.to_vec())) {
        assert!(action.verb != Verb::SshExec || action.object.as_bytes() == data, "decided as another command");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines().take(16) {
        name(line);
        let (host, port) = line.rsplit_once(' ').unwrap_or((line, "22"));
        let Ok(port) = port.parse::<u32>() else { continue };
        for read in [destination, listener] {
            let Ok(said) = read(host, port) else { continue };
            assert!(said.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase() && b != b'/'), "{said}");
            let (host, number) = said.rsplit_once(':').unwrap_or_default();
            assert_eq!(number.parse(), Ok(port), "{said}");
            let host = host.trim_start_matches('[').trim_end_matches(']');
            assert_eq!(read(host, port).as_ref(), Ok(&said), "{line}");
        }
        if let Ok(path) = socket(line) {
            assert!(path == line && path.starts_with('/'));
        }
    }
}

fn name(line: &str) {
    let Some(user) = user_name(line, DOMAIN) else { return };
    let said = match (&user.account, &user.element) {
        (Some(account), None) => account.to_string(),
        (account, Some(element)) => {
            let account = account.as_ref().map(ToString::to_string).unwrap_or_default();
            let said = format!("{account}@{element}");
            assert_eq!(user_name(&format!("{said}.{DOMAIN}"), DOMAIN).as_ref(), Some(&user), "{line}");
            said
        }
        (None, None) => panic!("`{}` names nothing and was read", line.escape_debug()),
    };
    assert_eq!(user_name(&said, DOMAIN), Some(user), "{line}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_of_every_shape(account in "[A-Za-z0-9._$-]{0,8}", element in "[A-Za-z0-9.-]{0,12}", domain in "(\\.sallyport\\.example)?") {
            name(&account);
            name(&format!("{account}@{element}{domain}"));
        }

        #[test]
        fn destinations_of_every_shape(host in "[A-Za-z0-9.:*_-]{0,12}|\\PC{0,6}", port in 0_u32..70_000) {
            ssh_names(format!("{host} {port}").as_bytes());
        }
    }
}
