//! Requests that went to the element, and what their answers will mean.

use crate::recording::FileEvent;

use super::codec::{Request, kind};
use super::handles::{OpenFile, Slot};

/// A request without its answer.
#[derive(Debug)]
pub(super) enum Pending {
    Close {
        slot: Slot,
    },
    Open(Box<OpenFile>),
    /// Ends with one answer, and these events.
    Operation {
        reply: Reply,
        events: Vec<FileEvent>,
    },
    /// No event of its own; a failure is the file's in `slot`.
    Quiet {
        slot: Option<Slot>,
        reply: Reply,
    },
    Read {
        slot: Slot,
        offset: u64,
        length: u32,
    },
    Write {
        slot: Slot,
    },
}

/// What an answer may be, beside a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Extended,
    /// Attributes or, for what OpenSSH asks beside them, an extended reply or a name.
    Facts,
    FolderNames,
    /// One name: the folder the login begins in.
    Home,
    Names,
    Status,
}

impl Reply {
    pub(super) fn of(request: &Request<'_>) -> Self {
        match request {
            Request::Stat { .. } | Request::StatHandle { .. } => Self::Facts,
            Request::AccountNames | Request::ServerLimits => Self::Extended,
            Request::Expand { .. } | Request::Home { .. } | Request::Resolve { .. } => Self::Names,
            Request::ReadFolder { .. } => Self::FolderNames,
            _ => Self::Status,
        }
    }
}

impl Pending {
    pub(super) fn operation(events: Vec<FileEvent>, reply: Reply) -> Self {
        Self::Operation { reply, events }
    }

    /// Whether it is one of the many small requests of a transfer.
    pub(super) fn moves_content(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Write { .. })
    }

    /// Whether a packet of this type answers it, beside a status.
    pub(super) fn takes(&self, packet: u8) -> bool {
        match self {
            Self::Open(_) => packet == kind::HANDLE,
            Self::Operation { reply, .. } | Self::Quiet { reply, .. } => match reply {
                Reply::Extended => packet == kind::EXTENDED_REPLY,
                Reply::Facts => matches!(packet, kind::ATTRS | kind::EXTENDED_REPLY | kind::NAME),
                Reply::FolderNames | Reply::Home | Reply::Names => packet == kind::NAME,
                Reply::Status => false,
            },
            // Data has its own way.
            Self::Close { .. } | Self::Read { .. } | Self::Write { .. } => false,
        }
    }
}
