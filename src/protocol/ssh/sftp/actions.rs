//! What a request does, as actions. Pure.
//!
//! Every action a request gives must be allowed. Paths are decided in the form of [`paths`]; one that names its folder by where the login begins is
//! made absolute with the folder the element told the client. An element can lie about that folder, and gains nothing: it holds the files.

use crate::domain::{Action, Verb};
use crate::protocol::ssh::paths;
use crate::recording::FileEvent;

use super::codec::{Request, code, flag};
use super::handles::{Access, Handles};

/// A request that the element does not see.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u32,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// The file that gives account numbers their names.
const ACCOUNTS: &str = "/etc/passwd";

/// What is known when a request is decided.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// The folder a login begins in, when the client was told.
    pub(super) home: Option<&'a str>,
    pub(super) handles: &'a Handles,
    pub(super) path_bytes_max: usize,
}

/// What `request` does. None for one by a handle whose opening was decided.
pub(super) fn actions(request: &Request<'_>, view: View<'_>) -> Result<Vec<Action>, Refusal> {
    let one = |verb, path| Ok(vec![Action::new(verb, path)]);
    match *request {
        Request::Open { path, flags, special } => opening(&view.path(path)?, flags, special),
        Request::OpenFolder { path } => one(Verb::FileList, view.path(path)?),
        Request::Stat { path } => one(Verb::FileStat, view.path(path)?),
        Request::StatHandle { handle } => one(Verb::FileStat, view.path_of(handle)?),
        Request::Resolve { path } => one(Verb::FileStat, view.resolved(path)?),
        Request::Expand { path } => one(Verb::FileStat, view.expanded(path)?),
        Request::Home { name: b"" } => one(Verb::FileStat, view.path(b".")?),
        Request::Home { name } => one(Verb::FileStat, format!("~{}", view.readable(name)?)),
        Request::AccountNames => one(Verb::FileStat, ACCOUNTS.to_owned()),
        Request::SetAttributes { path } => one(Verb::FileAttributes, view.path(path)?),
        Request::SetAttributesHandle { handle } => one(Verb::FileAttributes, view.path_of(handle)?),
        Request::Remove { path } => one(Verb::FileDelete, view.path(path)?),
        Request::MakeFolder { path, special } => {
            let path = view.path(path)?;
            let attributes = special.then(|| Action::new(Verb::FileAttributes, path.clone()));
            Ok([Action::new(Verb::FileMkdir, path)].into_iter().chain(attributes).collect())
        }
        Request::Rename { from, to } => {
            let (from, to) = (view.path(from)?, view.path(to)?);
            let write = Action::new(Verb::FileWrite, to.clone());
            Ok(vec![Action::new(Verb::FileRename, from), Action::new(Verb::FileRename, to), write])
        }
        Request::HardLink { from, to } => linking([view.path(to)?, view.path(from)?]),
        Request::SymbolicLink { first, second } => linking(view.symbolic(first, second)?),
        Request::Close { .. }
        | Request::Copy { .. }
        | Request::Read { .. }
        | Request::ReadFolder { .. }
        | Request::ServerLimits
        | Request::Sync { .. } => Ok(Vec::new()),
        Request::Unknown => Err(Refusal::new(code::OP_UNSUPPORTED, "the gateway does not support this operation")),
    }
}

/// The events of a request that ends with one answer, without how it ended.
pub(super) fn events(request: &Request<'_>, actions: &[Action]) -> Vec<FileEvent> {
    let event = |action: &Action, to: Option<&Action>| FileEvent {
        action: action.clone(),
        to: to.map(|action| action.object.clone()),
        succeeded: None,
        size: None,
        sha256: None,
    };
    match (request, actions) {
        (Request::Rename { .. } | Request::HardLink { .. } | Request::SymbolicLink { .. }, [first, second, ..]) => {
            vec![event(first, Some(second))]
        }
        (_, actions) => actions.iter().map(|action| event(action, None)).collect(),
    }
}

/// What a file may be used for once it is open. No flag at all reads: that is what servers make of it.
pub(super) fn access(flags: u32) -> Access {
    let write = flags & (flag::WRITE | flag::APPEND | flag::CREATE | flag::TRUNCATE) != 0;
    Access::File { read: flags & flag::READ != 0 || flags & flag::WRITE == 0, write }
}

fn opening(path: &str, flags: u32, special: bool) -> Result<Vec<Action>, Refusal> {
    let known = flag::READ | flag::WRITE | flag::APPEND | flag::CREATE | flag::TRUNCATE | flag::EXCLUSIVE;
    if flags & !known != 0 {
        return Err(Refusal::new(code::OP_UNSUPPORTED, "the gateway does not know these open flags"));
    }
    let Access::File { read, write } = access(flags) else { return Ok(Vec::new()) };
    let wanted = [(read, Verb::FileRead), (write, Verb::FileWrite), (special && write, Verb::FileAttributes)];
    Ok(wanted.into_iter().filter(|(is, _)| *is).map(|(_, verb)| Action::new(verb, path)).collect())
}

fn linking(paths: impl IntoIterator<Item = String>) -> Result<Vec<Action>, Refusal> {
    Ok(paths.into_iter().map(|path| Action::new(Verb::FileLink, path)).collect())
}

impl View<'_> {
    fn readable<'p>(&self, path: &'p [u8]) -> Result<&'p str, Refusal> {
        paths::readable(path, self.path_bytes_max)
            .map_err(|fault| Refusal::new(code::PERMISSION_DENIED, fault.to_string()))
    }

    /// The path that a decision is made on.
    pub(super) fn path(&self, path: &[u8]) -> Result<String, Refusal> {
        Ok(self.absolute(&paths::canonical(self.readable(path)?)))
    }

    /// A path that is only looked at, not followed: its `..` can be taken out.
    fn resolved(&self, path: &[u8]) -> Result<String, Refusal> {
        let path = self.readable(path)?;
        let relative = self.home.filter(|_| !path.starts_with('/') && !names_a_device(path));
        Ok(paths::resolved(&relative.map_or_else(|| path.to_owned(), |home| format!("{home}/{path}"))))
    }

    fn expanded(&self, path: &[u8]) -> Result<String, Refusal> {
        match self.readable(path)?.strip_prefix('~') {
            Some("") => self.path(b"."),
            Some(rest) if rest.starts_with('/') => self.path(rest.trim_start_matches('/').as_bytes()),
            Some(rest) => Ok(format!("~{rest}")),
            None => self.path(path),
        }
    }

    fn absolute(&self, path: &str) -> String {
        match self.home {
            Some(home) if !path.starts_with('/') && !names_a_device(path) => paths::join(home, path),
            _ => path.to_owned(),
        }
    }

    fn path_of(&self, handle: &[u8]) -> Result<String, Refusal> {
        let known = self.handles.find(handle).map(|(_, file)| file.path.clone());
        known.ok_or_else(|| Refusal::new(code::FAILURE, "no open file has this handle"))
    }

    /// Every path a symbolic link may mean, the link and what it points to first: what it points to is relative to the link's folder.
    fn symbolic(&self, first: &[u8], second: &[u8]) -> Result<Vec<String>, Refusal> {
        let (first_path, second_path) = (self.path(first)?, self.path(second)?);
        let beside = |target: &[u8], link: &str| -> Result<String, Refusal> {
            let target = self.readable(target)?;
            Ok(paths::canonical(&if target.starts_with('/') {
                target.to_owned()
            } else {
                paths::join(paths::folder(link), target)
            }))
        };
        let (first_beside, second_beside) = (beside(first, &second_path)?, beside(second, &first_path)?);
        let mut all = vec![second_path];
        for path in [first_beside, first_path, second_beside] {
            if !all.contains(&path) {
                all.push(path);
            }
        }
        Ok(all)
    }
}

/// `flash:/x` names a device on network elements and is not below the login's folder there.
fn names_a_device(path: &str) -> bool {
    path.split('/').next().is_some_and(|first| first.contains(':'))
}
