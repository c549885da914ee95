//! What must hold of any text in the place of a policy file, and of any object that is asked for.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use crate::domain::{
    Account, Action, Assurance, Door, Effect, ElementName, Identity, Request, Timestamp, TrustDomain, Verb,
};

use super::cases;
use super::classes::Classes;
use super::obligation::{Duty, Standing};
use super::pattern::{Object, ObjectKind, Pattern, Reach};
use super::rows::{self, Row};
use super::{ElementTags, Problem};

/// The classes that the repository ships.
fn classes() -> &'static Classes {
    static CLASSES: OnceLock<Classes> = OnceLock::new();
    CLASSES.get_or_init(|| {
        let files = [("commands/ios.toml", IOS), ("commands/linux.toml", LINUX)];
        let mut problems = Vec::new();
        let classes =
            Classes::parse(&files.map(|(name, text)| (name.to_owned(), text.to_owned())).into(), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        classes
    })
}

const IOS: &str = include_str!("../../policies/commands/ios.toml");
const LINUX: &str = include_str!("../../policies/commands/linux.toml");

/// Every mistake is on a line that is there.
fn lines_exist(text: &str, problems: &[Problem]) {
    let lines = text.matches('\n').count() + 1;
    for problem in problems {
        assert!(usize::try_from(problem.line).is_ok_and(|line| line <= lines), "{problem}");
    }
}

/// A row means the same alone, and after a comment; the mistakes are the same ones.
pub(crate) fn policy_rows(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut problems = Vec::new();
    let parsed = rows::parse(text, classes(), &mut problems);
    lines_exist(text, &problems);
    for (row, effect) in &parsed.rules {
        assert!(
            *effect == Effect::Deny || row.who != "*" && row.element != "*",
            "an allow names whom and what: {row:?}"
        );
        let alone = alone(row);
        let [(again, same)] = alone.rules.as_slice() else { panic!("{row:?} alone is {alone:?}") };
        assert_eq!((meaning(again), same), (meaning(row), effect));
    }
    for (row, duty) in &parsed.duties {
        let alone = alone(row);
        let [(again, same)] = alone.duties.as_slice() else { panic!("{row:?} alone is {alone:?}") };
        assert_eq!((meaning(again), same.text()), (meaning(row), duty.text()));
    }
    let mut moved = Vec::new();
    let shifted = rows::parse(&format!("# first\n\n{text}"), classes(), &mut moved);
    let counts = |rows: &rows::Rows| (rows.rules.len(), rows.duties.len(), rows.roles.len(), rows.groups.len());
    assert_eq!(counts(&shifted), counts(&parsed));
    let lines = |problems: &[Problem], by: u32| problems.iter().map(|p| p.line + by).collect::<Vec<_>>();
    assert_eq!(lines(&moved, 0), lines(&problems, 2));
}

/// The row as the only one of a file.
fn alone(row: &Row) -> rows::Rows {
    let mut problems = Vec::new();
    let rows = rows::parse(&row.text, classes(), &mut problems);
    assert!(problems.is_empty(), "{:?} alone has {problems:?}", row.text);
    rows
}

/// What a row says, its line aside.
fn meaning(row: &Row) -> String {
    let Row { line: _, text: _, who, element, account, verbs, object_text, objects, reach } = row;
    format!("{who:?} {element:?} {account:?} {verbs:?} {object_text:?} {objects:?} {reach:?}")
}

/// Every mistake is on a line that is there, and a case asks for what it names.
pub(crate) fn policy_cases(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(name) = "core-rtr-1".parse::<ElementName>() else { return };
    let known = [ElementTags { name: name.clone(), groups: vec!["class/core-router".to_owned()] }];
    let mut problems = Vec::new();
    let cases = cases::parse(text, &known, &mut problems);
    lines_exist(text, &problems);
    for case in cases {
        let lines = text.matches('\n').count() + 1;
        assert!(usize::try_from(case.line).is_ok_and(|line| (1..=lines).contains(&line)), "{case:?}");
        let element = &case.request.element;
        assert_eq!(case.invented.is_some(), *element != name && *element != ElementName::gateway(), "{case:?}");
        assert!(case.invented.is_none_or(|invented| invented.name == *element));
    }
}

/// Every mistake is on a line that is there; a class without mistakes has patterns that a row can use.
pub(crate) fn command_classes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut problems = Vec::new();
    let classes = Classes::parse(&BTreeMap::from([("commands/x.toml".to_owned(), text.to_owned())]), &mut problems);
    lines_exist(text, &problems);
    for name in classes.names().trim_start_matches("there are ").split(", ").filter(|_| problems.is_empty()) {
        let Some(patterns) = classes.patterns(name) else { continue };
        assert!(Pattern::parse(ObjectKind::Command, Reach::Strict, &patterns).is_ok(), "{name}: {patterns:?}");
    }
}

/// An obligation has a text form that means the same; one that holds until a moment holds in between and not from then on.
pub(crate) fn obligation(data: &[u8]) {
    let Some((moment, text)) = data.split_first_chunk::<8>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(duty) = Duty::parse(text) else { return };
    let Ok(again) = Duty::parse(&duty.text()) else { panic!("`{}` is not read again", duty.text()) };
    assert_eq!(again.text(), duty.text());
    assert_eq!(again.facts(), duty.facts());
    let at = Timestamp::from_nanos(i64::from_be_bytes(*moment));
    let Some(request) = request(at) else { return };
    let standing = duty.standing(&request);
    assert_eq!(again.standing(&request), standing);
    let Standing::Holds(Some(end)) = standing else { return };
    assert!(end > at, "it holds until {end}, which is not after {at}");
    let between = |numerator: u32| {
        at.plus(Duration::from_nanos(u64::try_from((end.since(at) / 8 * numerator).as_nanos()).unwrap_or(u64::MAX)))
    };
    for at in [between(1), between(4), between(7)] {
        assert_eq!(duty.standing(&Request { at, ..request.clone() }), Standing::Holds(Some(end)), "{text} at {at}");
    }
    if !text.starts_with("window:") {
        assert!(matches!(duty.standing(&Request { at: end, ..request }), Standing::Fails(_)), "{text} at its end");
    }
}

fn request(at: Timestamp) -> Option<Request> {
    let domain: TrustDomain = "carrier.example".parse().ok()?;
    Some(Request {
        who: Identity::new(domain, "ada").ok()?,
        device: None,
        assurance: Assurance::MutualTls,
        door: Door::Mtls,
        source: "192.0.2.7".parse().ok()?,
        element: "core-rtr-1".parse().ok()?,
        account: "admin".parse::<Account>().ok()?,
        action: Action::new(Verb::SshExec, "show version"),
        at,
        session_opened_at: at,
    })
}

/// A deny with the same text is at least as broad as the allow, and an allow takes nothing that its author did not write.
pub(crate) fn object_pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.splitn(3, '\n');
    let (Some(kind), Some(pattern), Some(object)) = (parts.next(), parts.next(), parts.next()) else { return };
    let kind = match kind {
        "command" => ObjectKind::Command,
        "data" => ObjectKind::Data,
        "destination" => ObjectKind::Destination,
        "name" => ObjectKind::Name,
        "path" => ObjectKind::Path,
        _ => return,
    };
    // A row with one is refused before its object is read.
    let unwritten = pattern.chars().any(char::is_control);
    let Some(strict) = Pattern::parse(kind, Reach::Strict, pattern).ok().filter(|_| !unwritten) else { return };
    let Ok(broad) = Pattern::parse(kind, Reach::Broad, pattern) else { panic!("`{pattern}` may allow and not deny") };
    // Part of a data tree is denied as a whole only by what takes it in; the rest is left out node by node.
    let part = kind == ObjectKind::Data && object.ends_with("...");
    let asked = Object::new(object);
    if part || !strict.matches(Reach::Strict, &asked) {
        return;
    }
    assert!(broad.matches(Reach::Broad, &asked), "`{pattern}` allows {object:?} and does not deny it");
    if strict != Pattern::Any {
        assert!(!object.chars().any(char::is_control), "`{pattern}` allows {object:?}");
    }
    if let Pattern::Commands(lines) = &strict {
        let marks = |text: &str| text.chars().filter(|c| ";|&$`<>(){}\"'\\#!?~[]".contains(*c)).count();
        assert!(lines.iter().any(|line| marks(line) >= marks(object)), "`{pattern}` allows {object:?}");
    }
    if kind == ObjectKind::Path {
        assert!(!object.split('/').any(|segment| segment == ".."), "`{pattern}` allows {object:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = String> {
        "[a-z][a-z0-9-]{0,8}"
    }

    fn object() -> impl Strategy<Value = String> {
        "(show|ping|reload)( [a-z0-9./|;\", *-]{1,6}){0,3}"
    }

    fn quoted(field: &str) -> String {
        format!("\"{}\"", field.replace('"', "\"\""))
    }

    proptest! {
        /// What a field says does not depend on how it is quoted, nor on blanks around it.
        #[test]
        fn quoting_a_field_changes_nothing(user in name(), group in name(), object in object(), blanks in " {0,3}") {
            let object = object.trim();
            let plain = format!("p, user:{user}, group:{group}, *, ssh.exec, {object}, deny");
            let quoted = ["p", &format!("user:{user}"), &format!("group:{group}"), "*", "ssh.exec", object, "deny"].map(quoted);
            let quoted = quoted.join(&format!("{blanks},{blanks}"));
            let read = |text: &str| {
                let mut problems = Vec::new();
                let rows = rows::parse(text, classes(), &mut problems);
                (rows.rules.iter().map(|(row, effect)| (meaning(row), *effect)).collect::<Vec<_>>(), problems.len())
            };
            let (rows, problems) = read(&quoted);
            prop_assert!(rows.len() + problems == 1);
            if !object.contains(['"', ',', '#']) {
                prop_assert_eq!(read(&plain), (rows, problems));
            }
            policy_rows(plain.as_bytes());
            policy_rows(quoted.as_bytes());
        }

        /// Windows of every shape, at every moment of some years.
        #[test]
        fn windows_hold_until_they_end(
            days in prop::sample::select(vec!["daily", "Mon-Fri", "Sat,Sun", "Fri-Mon", "Wed"]),
            from in 0_u16..1440, length in 1_u16..1440,
            zone in prop::sample::select(vec!["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
            at in 1_700_000_000_i64..2_000_000_000,
        ) {
            let to = (from + length) % 1440;
            let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let text = format!("window:{days} {}-{} {zone}", clock(from), clock(to));
            let moment = (at * 1_000_000_000).to_be_bytes();
            obligation(&[&moment[..], text.as_bytes()].concat());
        }

        /// Paths and destinations, which the property beside the command patterns does not cover.
        #[test]
        fn a_deny_is_at_least_as_broad_as_the_allow(
            kind in prop::sample::select(vec!["command", "data", "destination", "name", "path"]),
            pattern in "[a-c*./:;|]{1,6}", object in "[a-cA./:;|\\n]{0,8}",
        ) {
            object_pattern(format!("{kind}\n{pattern}\n{object}").as_bytes());
        }
    }
}
