//! What is open and what has no answer yet.

use std::collections::HashMap;

use crate::domain::{Action, Verb};
use crate::protocol::ssh::inspect::InspectError;
use crate::protocol::ssh::paths;
use crate::recording::FileEvent;

use super::Limits;
use super::actions::{self, Refusal};
use super::codec::{self, Fields, Request, code, kind, malformed};
use super::handles::{Access, Handles, OpenFile, Slot, Way};
use super::pending::{Pending, Reply};

/// The longest folder that is remembered as the login's.
const HOME_BYTES_MAX: usize = 4096;

/// The books of one inspector. Requests enter when they go to the element and leave with its answer.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) handles: Handles,
    pub(super) home: Option<String>,
    pending: HashMap<u32, Pending>,
    operations_outstanding: usize,
    opens_outstanding: usize,
}

impl Books {
    pub(super) fn new(reorder_bytes_max: usize) -> Self {
        Self {
            handles: Handles::new(reorder_bytes_max),
            home: None,
            pending: HashMap::new(),
            operations_outstanding: 0,
            opens_outstanding: 0,
        }
    }

    /// Files and folders that are open or about to be.
    pub(super) fn open_count(&self) -> usize {
        self.handles.count() + self.opens_outstanding
    }

    /// Whether the request `id` has no answer yet.
    pub(super) fn waits(&self, id: u32) -> bool {
        self.pending.contains_key(&id)
    }

    /// Where content belongs that answers the request `id`.
    pub(super) fn data(&mut self, id: u32, bytes: u32) -> Result<(Slot, u64), InspectError> {
        match self.pending.remove(&id) {
            Some(Pending::Read { slot, offset, length }) if bytes <= length => Ok((slot, offset)),
            Some(Pending::Read { .. }) => Err(malformed("more data than was asked for")),
            _ => Err(malformed("data that was not asked for")),
        }
    }

    /// Checks a request's handles and says what its answer will mean.
    pub(super) fn begin(&mut self, request: &Request<'_>, actions: &[Action]) -> Result<Pending, Refusal> {
        let path = || actions.first().map(|action| action.object.clone()).unwrap_or_default();
        let quiet = |slot, reply| Pending::Quiet { slot, reply };
        Ok(match *request {
            Request::Open { flags, .. } => {
                let mut file = Box::new(OpenFile::new(path(), actions::access(flags)));
                if flags & codec::flag::APPEND != 0 {
                    file.appends();
                }
                Pending::Open(file)
            }
            Request::OpenFolder { .. } => Pending::Open(Box::new(OpenFile::new(path(), Access::Folder))),
            Request::Read { handle, offset, length } => {
                Pending::Read { slot: self.transfer(handle, Way::Read)?, offset, length }
            }
            Request::ReadFolder { handle } => match self.handles.find(handle) {
                Some((_, OpenFile { access: Access::Folder, .. })) => quiet(None, Reply::FolderNames),
                _ => return Err(no_handle("folder")),
            },
            Request::Sync { handle } => quiet(Some(self.transfer(handle, Way::Written)?), Reply::Status),
            Request::Copy { from, to } => {
                let (source, slot) = (self.transfer(from, Way::Read)?, self.transfer(to, Way::Written)?);
                self.handles.moves_unseen(source, Way::Read);
                self.handles.moves_unseen(slot, Way::Written);
                quiet(Some(slot), Reply::Status)
            }
            Request::Close { handle } => {
                let (slot, _) = self.handles.find(handle).ok_or_else(|| no_handle("file"))?;
                self.handles.forget(handle);
                Pending::Close { slot }
            }
            Request::ServerLimits => quiet(None, Reply::Extended),
            Request::Resolve { path } => {
                let home = matches!(path, b"" | b"." | b"./");
                Pending::operation(actions::events(request, actions), if home { Reply::Home } else { Reply::Names })
            }
            _ => Pending::operation(actions::events(request, actions), Reply::of(request)),
        })
    }

    /// The file that `handle` may be used for in this way.
    pub(super) fn transfer(&self, handle: &[u8], way: Way) -> Result<Slot, Refusal> {
        match self.handles.find(handle) {
            Some((slot, OpenFile { access: Access::File { read, write }, .. }))
                if if way == Way::Read { *read } else { *write } =>
            {
                Ok(slot)
            }
            _ => Err(no_handle(if way == Way::Read { "file that is read" } else { "file that is written" })),
        }
    }

    pub(super) fn expect(&mut self, id: u32, pending: Pending, limits: &Limits) -> Result<(), InspectError> {
        let moves = pending.moves_content();
        let moving = self.pending.len() - self.operations_outstanding;
        let full = if moves {
            moving >= limits.transfers_outstanding_max
        } else {
            self.operations_outstanding >= limits.operations_outstanding_max
        };
        if full {
            return Err(InspectError("too many SFTP requests without an answer".to_owned()));
        }
        self.operations_outstanding += usize::from(!moves);
        self.opens_outstanding += usize::from(matches!(pending, Pending::Open(_)));
        self.pending.insert(id, pending);
        Ok(())
    }

    /// An answer other than data; `fields` stand behind its type.
    pub(super) fn answered(
        &mut self,
        packet: u8,
        mut fields: Fields<'_>,
        events: &mut Vec<FileEvent>,
    ) -> Result<(), InspectError> {
        let id = fields.u32()?;
        let pending = self.pending.remove(&id).ok_or_else(|| malformed("an answer to nothing"))?;
        self.operations_outstanding -= usize::from(!pending.moves_content());
        self.opens_outstanding -= usize::from(matches!(pending, Pending::Open(_)));
        let status = match packet {
            kind::STATUS => fields.u32()?,
            _ if pending.takes(packet) => code::OK,
            _ => return Err(malformed("an answer of the wrong kind")),
        };
        let succeeded = status == code::OK;
        match pending {
            Pending::Read { slot, .. } if status == code::END_OF_FILE => self.handles.end(slot),
            Pending::Read { slot, .. } if !succeeded => self.handles.fail(slot),
            Pending::Read { .. } => {}
            Pending::Write { slot } | Pending::Quiet { slot: Some(slot), .. } if !succeeded => self.handles.fail(slot),
            Pending::Quiet { reply: Reply::FolderNames, .. } if packet == kind::NAME => codec::check_names(fields.0)?,
            Pending::Write { .. } | Pending::Quiet { .. } => {}
            Pending::Close { slot } => events.extend(self.handles.close(slot, succeeded)),
            Pending::Open(file) => self.opened(*file, packet, fields, events)?,
            Pending::Operation { reply, events: ended } => {
                if reply == Reply::Home && packet == kind::NAME {
                    self.learn_home(fields)?;
                }
                events.extend(ended.into_iter().map(|event| FileEvent { succeeded: Some(succeeded), ..event }));
            }
        }
        Ok(())
    }

    fn opened(
        &mut self,
        file: OpenFile,
        packet: u8,
        mut fields: Fields<'_>,
        events: &mut Vec<FileEvent>,
    ) -> Result<(), InspectError> {
        let done = packet == kind::HANDLE;
        if file.access == Access::Folder {
            let action = Action::new(Verb::FileList, file.path.clone());
            events.push(FileEvent { action, to: None, succeeded: Some(done), size: None, sha256: None });
        }
        if !done {
            events.extend(file.events(Some(false)).into_iter().map(|event| FileEvent {
                size: None,
                sha256: None,
                ..event
            }));
            return Ok(());
        }
        let handle = fields.string()?;
        fields.end()?;
        // SECURITY: a handle given twice would let what was allowed for one file be done to another.
        self.handles.insert(handle, file).ok_or_else(|| malformed("a handle that is already in use"))
    }

    /// Remembers the first answer to "where am I".
    fn learn_home(&mut self, mut fields: Fields<'_>) -> Result<(), InspectError> {
        if fields.u32()? == 0 || self.home.is_some() {
            return Ok(());
        }
        let told = fields.string()?;
        let usable =
            paths::readable(told, HOME_BYTES_MAX).ok().filter(|home| home.starts_with('/') && !paths::climbs(home));
        self.home = usable.map(paths::canonical);
        Ok(())
    }

    /// The channel ends: files that are open and requests without an answer are unfinished.
    pub(super) fn finish(&mut self) -> Vec<FileEvent> {
        let mut ids: Vec<u32> = self.pending.keys().copied().collect();
        ids.sort_unstable();
        let mut events = self.handles.finish();
        for pending in ids.iter().filter_map(|id| self.pending.remove(id)) {
            match pending {
                Pending::Operation { events: unfinished, .. } => events.extend(unfinished),
                Pending::Open(file) => events.extend(file.events(None)),
                Pending::Close { .. } | Pending::Quiet { .. } | Pending::Read { .. } | Pending::Write { .. } => {}
            }
        }
        (self.operations_outstanding, self.opens_outstanding) = (0, 0);
        events
    }
}

fn no_handle(what: &str) -> Refusal {
    Refusal::new(code::FAILURE, format!("no open {what} has this handle"))
}
