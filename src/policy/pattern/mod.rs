//! What a row's object field means, per kind of verb. Pure.
//!
//! Every match is anchored at both ends. A row that allows matches *strictly*: only what its author wrote, no wildcard over anything
//! that could change the meaning. A row that denies, or attaches an obligation, matches *broadly*: decoration does not slip past it,
//! and an object that cannot be judged matches. What lies between the two is denied.

mod command;
mod data;
mod destination;
mod path;

use std::cell::OnceCell;

use crate::domain::Verb;
use crate::domain::data::DataTarget;

use command::Broad;
pub(super) use data::Pattern as DataPattern;

/// The object of a row that names every command line there is.
pub(super) const ANY_COMMAND: &str = "class:any-command";

/// How far a row reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Allow rows.
    Strict,
    /// Deny rows and obligations.
    Broad,
}

/// What the object of a verb is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Command,
    Data,
    Destination,
    Empty,
    Name,
    Path,
}

/// What the object of `verb` is.
pub(super) const fn kind(verb: Verb) -> ObjectKind {
    match verb {
        Verb::CliRun | Verb::SshExec => ObjectKind::Command,
        Verb::NetconfGet
        | Verb::NetconfGetConfig
        | Verb::NetconfGetData
        | Verb::NetconfCreate
        | Verb::NetconfMerge
        | Verb::NetconfReplace
        | Verb::NetconfDelete
        | Verb::NetconfRemove
        | Verb::NetconfAction
        | Verb::NetconfPartialLock
        | Verb::RestconfGet
        | Verb::RestconfPost
        | Verb::RestconfPut
        | Verb::RestconfPatch
        | Verb::RestconfDelete
        | Verb::RestconfAction
        | Verb::GnmiGet
        | Verb::GnmiUpdate
        | Verb::GnmiReplace
        | Verb::GnmiDelete
        | Verb::GnmiSubscribe => ObjectKind::Data,
        Verb::SshForward | Verb::SshListen => ObjectKind::Destination,
        Verb::SshShell
        | Verb::SshRawShell
        | Verb::SshAgent
        | Verb::SshX11
        | Verb::NetconfSession
        | Verb::NetconfPartialUnlock
        | Verb::NetconfCancelCommit
        | Verb::NetconfDiscardChanges
        | Verb::GnmiCapabilities => ObjectKind::Empty,
        Verb::FileRead
        | Verb::FileWrite
        | Verb::FileList
        | Verb::FileDelete
        | Verb::FileRename
        | Verb::FileMkdir
        | Verb::FileAttributes
        | Verb::FileStat
        | Verb::FileLink
        | Verb::HttpGet
        | Verb::HttpHead
        | Verb::HttpOptions
        | Verb::HttpPost
        | Verb::HttpPut
        | Verb::HttpPatch
        | Verb::HttpDelete
        | Verb::HttpUpgrade
        | Verb::GnoiRpc => ObjectKind::Path,
        Verb::FileTransfer
        | Verb::SshSubsystem
        | Verb::NetconfCopyConfig
        | Verb::NetconfDeleteConfig
        | Verb::NetconfLock
        | Verb::NetconfUnlock
        | Verb::NetconfCommit
        | Verb::NetconfValidate
        | Verb::NetconfSubscribe
        | Verb::NetconfKillSession
        | Verb::NetconfGetSchema
        | Verb::NetconfRpc
        | Verb::RestconfOperation
        | Verb::RestconfStream
        | Verb::GatewayWatch
        | Verb::GatewayTerminate
        | Verb::GatewayReplay
        | Verb::GatewayReplayUnmasked
        | Verb::GatewayExport
        | Verb::GatewayAudit
        | Verb::GatewayLock
        | Verb::GatewayApprove
        | Verb::GatewayEditPolicy => ObjectKind::Name,
    }
}

/// The object of a request, and what is worked out about it at most once.
#[derive(Debug)]
pub(super) struct Object<'a> {
    text: &'a str,
    broad: OnceCell<Broad>,
    canonical: OnceCell<bool>,
    target: OnceCell<Option<DataTarget>>,
}

impl<'a> Object<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, broad: OnceCell::new(), canonical: OnceCell::new(), target: OnceCell::new() }
    }

    fn broad(&self) -> &Broad {
        self.broad.get_or_init(|| Broad::of(self.text))
    }

    fn target(&self) -> Option<&DataTarget> {
        self.target.get_or_init(|| self.text.parse().ok()).as_ref()
    }

    fn canonical_path(&self) -> bool {
        *self.canonical.get_or_init(|| path::is_canonical(self.text))
    }
}

/// The parsed object field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Everything: `*` where the row restricts, `class:any-command` for commands.
    Any,
    /// `*` for a name in an allow row: every well-formed one.
    AnyName,
    /// The empty object.
    Empty,
    /// Any of these command lines: one as written, or those of a class.
    Commands(Vec<String>),
    /// A path in a data tree.
    Data(data::Pattern),
    /// A destination.
    Destination(destination::Pattern),
    /// Exactly this name.
    Name(String),
    /// `module:*` or `*:name`: every operation of a module, or of this name.
    NamePart {
        /// The module; none is every one.
        module: Option<String>,
        /// The name; none is every one.
        name: Option<String>,
    },
    /// A path.
    Path(path::Pattern),
}

impl Pattern {
    /// Parses an object field. A class must have been replaced by its patterns, one per line.
    pub(super) fn parse(kind: ObjectKind, reach: Reach, text: &str) -> Result<Self, String> {
        if text == "*" && reach == Reach::Broad {
            return Ok(Self::Any);
        }
        match kind {
            ObjectKind::Command if text == ANY_COMMAND => Ok(Self::Any),
            ObjectKind::Command => {
                let lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
                lines.iter().try_for_each(|line| command::check(line))?;
                Ok(Self::Commands(lines))
            }
            ObjectKind::Data => data::Pattern::parse(text).map(Self::Data),
            ObjectKind::Destination => destination::Pattern::parse(text).map(Self::Destination),
            ObjectKind::Empty if matches!(text, "" | "-" | "*") => Ok(Self::Empty),
            ObjectKind::Empty => Err(format!("`{text}`: this verb has no object; write `-`")),
            ObjectKind::Name if text == "*" => Ok(Self::AnyName),
            ObjectKind::Name if text == "-" => Ok(Self::Name(String::new())),
            ObjectKind::Name if text.contains('*') => name_part(text)
                .ok_or_else(|| format!("`{text}`: write the whole name, `module:*`, `*:name`, or `*` for every one")),
            ObjectKind::Name => Ok(Self::Name(text.to_owned())),
            ObjectKind::Path => path::Pattern::parse(text).map(Self::Path),
        }
    }

    /// Whether `object` is meant by this pattern.
    pub(super) fn matches(&self, reach: Reach, object: &Object<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::AnyName => !object.text.chars().any(char::is_control),
            Self::Empty => object.text.is_empty() || reach == Reach::Broad,
            Self::Commands(lines) => match reach {
                Reach::Strict => lines.iter().any(|line| command::is_exactly(line, object.text)),
                Reach::Broad => lines.iter().any(|line| object.broad().could_be(line)),
            },
            // SECURITY: a target that cannot be read is no allow's and every deny's.
            Self::Data(pattern) => {
                object.target().map_or(reach == Reach::Broad, |target| pattern.matches(reach, target))
            }
            Self::Destination(pattern) => pattern.matches(reach, object.text),
            Self::Name(name) => match reach {
                Reach::Strict => object.text == name,
                Reach::Broad => object.text.trim().eq_ignore_ascii_case(name),
            },
            Self::NamePart { module, name } => has_parts(module.as_deref(), name.as_deref(), reach, object.text),
            Self::Path(pattern) => pattern.matches(reach, object.text, object.canonical_path()),
        }
    }
}

/// `module:*` or `*:name`.
fn name_part(text: &str) -> Option<Pattern> {
    let (module, name) = text.rsplit_once(':')?;
    let part = |part: &str| (part != "*").then(|| part.to_owned());
    let (module, name) = (part(module), part(name));
    let fits = |part: &Option<String>| part.as_ref().is_none_or(|part| !part.is_empty() && !part.contains('*'));
    (module.is_some() != name.is_some() && fits(&module) && fits(&name)).then_some(Pattern::NamePart { module, name })
}

/// A module that is not known stands as its namespace, in which there may be colons; in a name there is none.
fn has_parts(module: Option<&str>, name: Option<&str>, reach: Reach, object: &str) -> bool {
    let broad = reach == Reach::Broad;
    let Some((own, local)) = object.rsplit_once(':') else { return false };
    let fits = |want: Option<&str>, have: &str| match want {
        None => true,
        Some(want) if broad => have.trim().eq_ignore_ascii_case(want),
        Some(want) => have == want,
    };
    fits(module, own) && fits(name, local) && (broad || !object.chars().any(char::is_control))
}

impl Pattern {
    /// Whether a data target is meant by this pattern.
    pub(super) fn matches_target(&self, reach: Reach, target: &DataTarget) -> bool {
        match self {
            Self::Any => true,
            Self::Data(pattern) => pattern.matches(reach, target),
            _ => reach == Reach::Broad,
        }
    }
}

/// Matches `text` against `pattern`, whole, where `*` stands for any run of bytes that `spans` accepts and `same` compares the others.
///
/// Only the last `*` is ever reconsidered: `spans` looks at one byte alone, so what an earlier `*` could take instead, a later one can.
fn glob(pattern: &[u8], text: &[u8], same: impl Fn(u8, u8) -> bool, spans: impl Fn(u8) -> bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&want) if same(want, byte) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_p, star_t)) = star else { return false };
                if !text.get(star_t).is_some_and(|b| spans(*b)) {
                    return false;
                }
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(kind: ObjectKind, reach: Reach, pattern: &str, object: &str) -> bool {
        Pattern::parse(kind, reach, pattern).expect("a pattern").matches(reach, &Object::new(object))
    }

    #[test]
    fn empty_objects() {
        for pattern in ["", "-", "*"] {
            assert!(is(ObjectKind::Empty, Reach::Strict, pattern, ""));
            assert!(!is(ObjectKind::Empty, Reach::Strict, pattern, "x"));
            assert!(is(ObjectKind::Empty, Reach::Broad, pattern, "x"));
        }
        assert!(Pattern::parse(ObjectKind::Empty, Reach::Strict, "show *").is_err());
    }

    #[test]
    fn names() {
        assert!(is(ObjectKind::Name, Reach::Strict, "netconf", "netconf"));
        assert!(is(ObjectKind::Name, Reach::Strict, "*", ""));
        for object in ["netconfx", "xnetconf", "netcon", "", "NETCONF", "netconf\n"] {
            assert!(!is(ObjectKind::Name, Reach::Strict, "netconf", object), "{object:?}");
        }
        assert!(is(ObjectKind::Name, Reach::Broad, "netconf", " NETCONF\n"));
        assert!(!is(ObjectKind::Name, Reach::Strict, "*", "a\0b"));
        for text in ["net*", "*:*", "a*:b", "a:b*", ":*", "*:", "a:*:*"] {
            assert!(Pattern::parse(ObjectKind::Name, Reach::Strict, text).is_err(), "{text}");
        }
        for (pattern, object, strict, broad) in [
            ("ietf-system:*", "ietf-system:restart", true, true),
            ("ietf-system:*", "IETF-system:restart", false, true),
            ("ietf-system:*", "ietf-systems:restart", false, false),
            ("ietf-system:*", "ietf-system", false, false),
            ("ietf-system:*", "ietf-system:x:restart", false, false),
            ("*:restart", "urn:vendor:restart", true, true),
            ("*:restart", "urn:vendor:Restart", false, true),
            ("*:restart", "restart", false, false),
            ("urn:vendor:*", "urn:vendor:restart", true, true),
            ("ietf-system:*", "ietf-system:re\nstart", false, true),
        ] {
            assert_eq!(is(ObjectKind::Name, Reach::Strict, pattern, object), strict, "{pattern} {object}");
            assert_eq!(is(ObjectKind::Name, Reach::Broad, pattern, object), broad, "{pattern} {object}");
        }
    }
}
