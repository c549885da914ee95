//! What must hold of anything that a client or an element says inside SSH.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use super::actions::{Wanted, destination, listener, of_request, socket, user_name};
use super::echo::{Echo, Typed};
use super::inspect::Inspect;
use super::prompt::Dialogue;
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

/// What a person typed that may be kept, in order, and how many bytes are only counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    seen: Vec<u8>,
    hidden: u64,
}

impl Kept {
    fn take(&mut self, fates: Vec<Typed>) {
        for fate in fates {
            match fate {
                Typed::Seen(bytes) => self.seen.extend(bytes),
                Typed::Hidden(count) => self.hidden += count,
            }
        }
    }

    /// Fails unless each byte that was typed has one fate.
    fn accounts_for(&self, typed: usize) {
        assert_eq!(self.seen.len() as u64 + self.hidden, typed as u64, "{self:?}");
    }
}

/// What nobody but the person knows.
const SECRET: &[u8] = b"hunter2-Xyzzy";

/// A terminal and somebody who types: steps as for `sftp`. Each byte typed has one fate, what the element never showed is not kept, and where its
/// output was cut changes nothing.
pub(crate) fn echo(data: &[u8]) {
    let mut steps = script::parse(data);
    for step in &mut steps {
        // The element never shows this letter, so nothing that holds it was echoed.
        if let Step::Element(said) = step {
            said.iter_mut().filter(|byte| **byte == b'Q').for_each(|byte| *byte = b'q');
        }
    }
    let run = |cut: usize| {
        let (mut echo, mut kept) = (Echo::default(), Kept::default());
        for step in &steps {
            match step {
                Step::Client(typed) => kept.take(echo.typed(typed)),
                Step::Element(said) => said.chunks(cut).for_each(|piece| kept.take(echo.said(piece))),
            }
        }
        kept.take(echo.finish());
        kept
    };
    let whole = run(usize::MAX);
    let typed: Vec<u8> =
        steps.iter().flat_map(|step| if let Step::Client(typed) = step { typed.clone() } else { Vec::new() }).collect();
    whole.accounts_for(typed.len());
    // Keys that are no text (history, completion, a sequence) are kept with the line that they led to.
    let text = typed.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n'));
    assert!(!text || !whole.seen.contains(&b'Q'), "kept and never shown: {}", whole.seen.escape_ascii());
    for cut in [1, 3, 50] {
        assert_eq!(run(cut), whole, "in pieces of {cut}");
    }
}

/// A dialogue without a terminal: steps as for `sftp`. Each byte sent has one fate, what is kept comes in the order in which it was sent, and
/// whatever came before, what answers a prompt for a password is not kept.
pub(crate) fn prompt(data: &[u8]) {
    let mut steps = script::parse(data);
    steps.push(Step::Element(b"\r\nPassword: ".to_vec()));
    steps.push(Step::Client([SECRET, b"\n"].concat()));
    let (mut dialogue, mut kept, mut sent) = (Dialogue::default(), Kept::default(), Vec::new());
    for step in &steps {
        match step {
            Step::Client(bytes) => {
                kept.take(dialogue.sent(bytes));
                sent.extend_from_slice(bytes);
            }
            Step::Element(bytes) => kept.take(dialogue.said(bytes)),
        }
    }
    kept.take(dialogue.finish());
    kept.accounts_for(sent.len());
    let mut rest = sent.iter();
    assert!(
        kept.seen.iter().all(|byte| rest.any(|sent| sent == byte)),
        "not in the order in which it was sent: {kept:?}"
    );
    let last = sent.len() - SECRET.len() - 1;
    let before = sent.get(..last).unwrap_or_default();
    // Unless the very same was sent before, where nothing asked for it.
    let known = before.windows(SECRET.len()).any(|window| window == SECRET);
    assert!(known || !kept.seen.windows(SECRET.len()).any(|window| window == SECRET), "{}", kept.seen.escape_ascii());
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
