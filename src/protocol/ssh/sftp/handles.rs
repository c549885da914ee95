//! The files and folders a client has open, by the handle the element gave for each.

use std::collections::HashMap;

use crate::domain::{Action, Verb};
use crate::protocol::ssh::content::{Budget, Content};
use crate::recording::FileEvent;

/// One open file or folder. It outlives its handle until the element has answered the close.
#[derive(Debug)]
pub(super) struct OpenFile {
    /// The path that was decided on.
    pub(super) path: String,
    pub(super) access: Access,
    read: Content,
    written: Content,
    /// Whether the element failed something that moves content.
    failed: bool,
    /// Whether the element said that a read reached the end.
    ended: bool,
}

/// What was allowed when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    File { read: bool, write: bool },
    Folder,
}

impl OpenFile {
    /// A file whose content passes from its first byte on, unless it is appended to.
    pub(super) fn new(path: String, access: Access) -> Self {
        Self { path, access, read: Content::new(), written: Content::new(), failed: false, ended: false }
    }

    /// Where written content lands is the element's to say: it has no digest.
    pub(super) fn appends(&mut self) {
        self.written = Content::unhashed();
    }

    /// What happened to it, once it is closed.
    pub(super) fn events(&self, succeeded: Option<bool>) -> Vec<FileEvent> {
        let Access::File { read, write } = self.access else { return Vec::new() };
        let succeeded = succeeded.map(|closed| closed && !self.failed);
        [(read, Verb::FileRead, &self.read), (write, Verb::FileWrite, &self.written)]
            .into_iter()
            .filter(|(was, _, _)| *was)
            .map(|(_, verb, content)| FileEvent {
                action: Action::new(verb, self.path.clone()),
                to: None,
                succeeded,
                size: content.size(),
                // Nothing read says nothing about the file, unless it is empty.
                sha256: content.sha256().filter(|_| verb == Verb::FileWrite || self.ended || content.bytes() > 0),
            })
            .collect()
    }
}

/// Names an open file for as long as anything refers to it; never used twice, as handles may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(u64);

/// Which way content goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Written,
}

/// All that is open.
#[derive(Debug)]
pub(super) struct Handles {
    by_handle: HashMap<Vec<u8>, Slot>,
    open: HashMap<Slot, OpenFile>,
    next: u64,
    budget: Budget,
}

impl Handles {
    pub(super) fn new(reorder_bytes_max: usize) -> Self {
        let budget = Budget { bytes_left: reorder_bytes_max };
        Self { by_handle: HashMap::new(), open: HashMap::new(), next: 0, budget }
    }

    /// What the open ones were opened for.
    pub(super) fn standing(&self) -> Vec<Action> {
        let verbs = |access: Access| match access {
            Access::File { read, write } => [read.then_some(Verb::FileRead), write.then_some(Verb::FileWrite)],
            Access::Folder => [Some(Verb::FileList), None],
        };
        let actions = |file: &OpenFile| {
            let path = file.path.clone();
            verbs(file.access).into_iter().flatten().map(move |verb| Action::new(verb, path.clone()))
        };
        self.open.values().flat_map(actions).collect()
    }

    /// How many are open or not yet closed.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Takes in what the element opened. `None`: the handle is open already.
    pub(super) fn insert(&mut self, handle: &[u8], file: OpenFile) -> Option<()> {
        if self.by_handle.contains_key(handle) {
            return None;
        }
        let slot = Slot(self.next);
        self.next += 1;
        self.by_handle.insert(handle.to_vec(), slot);
        self.open.insert(slot, file);
        Some(())
    }

    /// What `handle` stands for.
    pub(super) fn find(&self, handle: &[u8]) -> Option<(Slot, &OpenFile)> {
        let slot = *self.by_handle.get(handle)?;
        Some((slot, self.open.get(&slot)?))
    }

    /// The client closes it: the handle is unknown from here on, whatever the element answers.
    pub(super) fn forget(&mut self, handle: &[u8]) {
        self.by_handle.remove(handle);
    }

    /// Content that passed.
    pub(super) fn add(&mut self, slot: Slot, way: Way, offset: u64, piece: &[u8]) {
        if let Some(file) = self.open.get_mut(&slot) {
            let content = if way == Way::Read { &mut file.read } else { &mut file.written };
            content.add(offset, piece, &mut self.budget);
        }
    }

    /// Content of the file moves on the element itself.
    pub(super) fn moves_unseen(&mut self, slot: Slot, way: Way) {
        if let Some(file) = self.open.get_mut(&slot) {
            let content = if way == Way::Read { &mut file.read } else { &mut file.written };
            content.moves_unseen(&mut self.budget);
        }
    }

    /// The element did not do what moves content.
    pub(super) fn fail(&mut self, slot: Slot) {
        if let Some(file) = self.open.get_mut(&slot) {
            file.failed = true;
        }
    }

    /// A read reached the end of the file.
    pub(super) fn end(&mut self, slot: Slot) {
        if let Some(file) = self.open.get_mut(&slot) {
            file.ended = true;
        }
    }

    /// The element has answered the close: what happened to the file.
    pub(super) fn close(&mut self, slot: Slot, succeeded: bool) -> Vec<FileEvent> {
        let Some(mut file) = self.open.remove(&slot) else { return Vec::new() };
        let events = file.events(Some(succeeded));
        file.read.give_up(&mut self.budget);
        file.written.give_up(&mut self.budget);
        events
    }

    /// The channel ends: what is open is unfinished.
    pub(super) fn finish(&mut self) -> Vec<FileEvent> {
        let mut open: Vec<_> = self.open.drain().collect();
        self.by_handle.clear();
        open.sort_by_key(|(slot, _)| *slot);
        open.iter().flat_map(|(_, file)| file.events(None)).collect()
    }
}
