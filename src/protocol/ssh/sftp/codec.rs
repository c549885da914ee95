//! SFTP version 3 on the wire (draft-ietf-secsh-filexfer-02 sections 3 to 8, and OpenSSH's PROTOCOL section 4): framing, requests, answers. Pure.
//!
//! The content of WRITE and DATA is never collected: its head is one unit, its bytes pass in pieces. Every other packet is one unit.
//! A length that does not add up is an error, whoever sent it.

use crate::protocol::ssh::inspect::InspectError;

/// Packet types.
pub(super) mod kind {
    pub(in crate::protocol::ssh::sftp) const INIT: u8 = 1;
    pub(in crate::protocol::ssh::sftp) const VERSION: u8 = 2;
    pub(super) const OPEN: u8 = 3;
    pub(super) const CLOSE: u8 = 4;
    pub(super) const READ: u8 = 5;
    pub(in crate::protocol::ssh::sftp) const WRITE: u8 = 6;
    pub(super) const LSTAT: u8 = 7;
    pub(super) const FSTAT: u8 = 8;
    pub(super) const SETSTAT: u8 = 9;
    pub(super) const FSETSTAT: u8 = 10;
    pub(super) const OPENDIR: u8 = 11;
    pub(super) const READDIR: u8 = 12;
    pub(super) const REMOVE: u8 = 13;
    pub(super) const MKDIR: u8 = 14;
    pub(super) const RMDIR: u8 = 15;
    pub(super) const REALPATH: u8 = 16;
    pub(super) const STAT: u8 = 17;
    pub(super) const RENAME: u8 = 18;
    pub(super) const READLINK: u8 = 19;
    pub(super) const SYMLINK: u8 = 20;
    pub(in crate::protocol::ssh::sftp) const STATUS: u8 = 101;
    pub(in crate::protocol::ssh::sftp) const HANDLE: u8 = 102;
    pub(in crate::protocol::ssh::sftp) const DATA: u8 = 103;
    pub(in crate::protocol::ssh::sftp) const NAME: u8 = 104;
    pub(in crate::protocol::ssh::sftp) const ATTRS: u8 = 105;
    pub(super) const EXTENDED: u8 = 200;
    pub(in crate::protocol::ssh::sftp) const EXTENDED_REPLY: u8 = 201;
}

/// Status codes.
pub(super) mod code {
    pub(in crate::protocol::ssh::sftp) const OK: u32 = 0;
    pub(in crate::protocol::ssh::sftp) const END_OF_FILE: u32 = 1;
    pub(in crate::protocol::ssh::sftp) const PERMISSION_DENIED: u32 = 3;
    pub(in crate::protocol::ssh::sftp) const FAILURE: u32 = 4;
    pub(in crate::protocol::ssh::sftp) const OP_UNSUPPORTED: u32 = 8;
}

/// Open flags (section 6.3).
pub(super) mod flag {
    pub(in crate::protocol::ssh::sftp) const READ: u32 = 0x01;
    pub(in crate::protocol::ssh::sftp) const WRITE: u32 = 0x02;
    pub(in crate::protocol::ssh::sftp) const APPEND: u32 = 0x04;
    pub(in crate::protocol::ssh::sftp) const CREATE: u32 = 0x08;
    pub(in crate::protocol::ssh::sftp) const TRUNCATE: u32 = 0x10;
    pub(in crate::protocol::ssh::sftp) const EXCLUSIVE: u32 = 0x20;
}

/// The version both sides are held to.
pub(super) const VERSION: u32 = 3;

/// The extensions whose requests are policed, with the version of each that is known.
const EXTENSIONS: &[(&[u8], &[u8])] = &[
    (b"posix-rename@openssh.com", b"1"),
    (b"statvfs@openssh.com", b"2"),
    (b"fstatvfs@openssh.com", b"2"),
    (b"hardlink@openssh.com", b"1"),
    (b"fsync@openssh.com", b"1"),
    (b"lsetstat@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
    (b"expand-path@openssh.com", b"1"),
    (b"copy-data", b"1"),
    (b"home-directory", b"1"),
    (b"users-groups-by-id@openssh.com", b"1"),
];

/// Set-user, set-group and sticky bits.
const SPECIAL_MODE: u32 = 0o7000;

/// Reads fields off the front of a packet's body.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], InspectError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(|| malformed("it ends inside a field"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, InspectError> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    pub(super) fn u32(&mut self) -> Result<u32, InspectError> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(u32::from_be_bytes(bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, InspectError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_be_bytes(bytes))
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], InspectError> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| malformed("a string is too long"))?)
    }

    /// Attributes (section 5); whether they set a special mode bit.
    pub(super) fn attributes(&mut self) -> Result<bool, InspectError> {
        let flags = self.u32()?;
        if flags & !0x8000_000f != 0 {
            return Err(malformed("it sets attributes that version 3 does not have"));
        }
        self.take(if flags & 1 == 0 { 0 } else { 8 })?;
        self.take(if flags & 2 == 0 { 0 } else { 8 })?;
        let special = flags & 4 != 0 && self.u32()? & SPECIAL_MODE != 0;
        self.take(if flags & 8 == 0 { 0 } else { 8 })?;
        if flags & 0x8000_0000 != 0 {
            for _ in 0..self.u32()? {
                self.string()?;
                self.string()?;
            }
        }
        Ok(special)
    }

    pub(super) fn end(&self) -> Result<(), InspectError> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed("bytes follow its last field")) }
    }
}

pub(super) fn malformed(what: &str) -> InspectError {
    InspectError(format!("malformed SFTP packet: {what}"))
}

/// What a client asks for. Requests that mean the same for policy are one variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request<'a> {
    Open {
        path: &'a [u8],
        flags: u32,
        special: bool,
    },
    OpenFolder {
        path: &'a [u8],
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    ReadFolder {
        handle: &'a [u8],
    },
    Sync {
        handle: &'a [u8],
    },
    Copy {
        from: &'a [u8],
        to: &'a [u8],
    },
    Stat {
        path: &'a [u8],
    },
    StatHandle {
        handle: &'a [u8],
    },
    Resolve {
        path: &'a [u8],
    },
    Expand {
        path: &'a [u8],
    },
    Home {
        name: &'a [u8],
    },
    AccountNames,
    ServerLimits,
    SetAttributes {
        path: &'a [u8],
    },
    SetAttributesHandle {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    MakeFolder {
        path: &'a [u8],
        special: bool,
    },
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
    /// OpenSSH and the draft disagree about which is the link: `first` is the one that was sent first.
    SymbolicLink {
        first: &'a [u8],
        second: &'a [u8],
    },
    HardLink {
        from: &'a [u8],
        to: &'a [u8],
    },
    /// Nothing that is policed here.
    Unknown,
}

impl<'a> Request<'a> {
    /// The request id, and the request in `body`, which follows the packet's type.
    pub(super) fn parse(packet: u8, body: &'a [u8]) -> Result<(u32, Self), InspectError> {
        let mut f = Fields(body);
        let id = f.u32()?;
        let request = match packet {
            kind::OPEN => Self::Open { path: f.string()?, flags: f.u32()?, special: f.attributes()? },
            kind::CLOSE => Self::Close { handle: f.string()? },
            kind::READ => Self::Read { handle: f.string()?, offset: f.u64()?, length: f.u32()? },
            kind::LSTAT | kind::STAT | kind::READLINK => Self::Stat { path: f.string()? },
            kind::FSTAT => Self::StatHandle { handle: f.string()? },
            kind::SETSTAT => Self::SetAttributes { path: with_attributes(&mut f)?.0 },
            kind::FSETSTAT => Self::SetAttributesHandle { handle: with_attributes(&mut f)?.0 },
            kind::OPENDIR => Self::OpenFolder { path: f.string()? },
            kind::READDIR => Self::ReadFolder { handle: f.string()? },
            kind::REMOVE | kind::RMDIR => Self::Remove { path: f.string()? },
            kind::MKDIR => {
                let (path, special) = with_attributes(&mut f)?;
                Self::MakeFolder { path, special }
            }
            kind::REALPATH => Self::Resolve { path: f.string()? },
            kind::RENAME => Self::Rename { from: f.string()?, to: f.string()? },
            kind::SYMLINK => Self::SymbolicLink { first: f.string()?, second: f.string()? },
            kind::EXTENDED => match Self::extended(&mut f)? {
                Self::Unknown => return Ok((id, Self::Unknown)),
                request => request,
            },
            _ => return Ok((id, Self::Unknown)),
        };
        f.end()?;
        Ok((id, request))
    }

    fn extended(f: &mut Fields<'a>) -> Result<Self, InspectError> {
        Ok(match f.string()? {
            b"posix-rename@openssh.com" => Self::Rename { from: f.string()?, to: f.string()? },
            b"statvfs@openssh.com" => Self::Stat { path: f.string()? },
            b"fstatvfs@openssh.com" => Self::StatHandle { handle: f.string()? },
            b"hardlink@openssh.com" => Self::HardLink { from: f.string()?, to: f.string()? },
            b"fsync@openssh.com" => Self::Sync { handle: f.string()? },
            b"lsetstat@openssh.com" => Self::SetAttributes { path: with_attributes(f)?.0 },
            b"limits@openssh.com" => Self::ServerLimits,
            b"expand-path@openssh.com" => Self::Expand { path: f.string()? },
            b"home-directory" => Self::Home { name: f.string()? },
            b"users-groups-by-id@openssh.com" => {
                f.string()?;
                f.string()?;
                Self::AccountNames
            }
            b"copy-data" => {
                let from = f.string()?;
                f.take(16)?;
                let to = f.string()?;
                f.take(8)?;
                Self::Copy { from, to }
            }
            _ => Self::Unknown,
        })
    }
}

fn with_attributes<'a>(f: &mut Fields<'a>) -> Result<(&'a [u8], bool), InspectError> {
    Ok((f.string()?, f.attributes()?))
}

/// One packet out of `parts`: its length, its type and them.
fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut packet = Vec::with_capacity(4 + length);
    packet.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    packet.push(kind);
    parts.iter().for_each(|part| packet.extend_from_slice(part));
    packet
}

/// INIT as it goes to the element, whatever the client offered above it.
pub(super) fn init() -> Vec<u8> {
    packet(kind::INIT, &[&VERSION.to_be_bytes()])
}

/// A refusal of ours.
pub(super) fn status(id: u32, code: u32, text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
    packet(kind::STATUS, &[&id.to_be_bytes(), &code.to_be_bytes(), &length, text.as_bytes(), &[0; 4]])
}

/// The element's VERSION as the client may see it: without the extensions that are not policed.
pub(super) fn filtered_version(body: &[u8]) -> Result<Vec<u8>, InspectError> {
    let mut f = Fields(body);
    let version = f.u32()?;
    if version != VERSION {
        return Err(InspectError(format!(
            "the element answers with SFTP version {version}; only {VERSION} is supported"
        )));
    }
    let mut kept = version.to_be_bytes().to_vec();
    while !f.0.is_empty() {
        let pair = f.0;
        let extension = (f.string()?, f.string()?);
        if EXTENSIONS.contains(&extension) {
            kept.extend_from_slice(pair.get(..pair.len() - f.0.len()).unwrap_or_default());
        }
    }
    Ok(packet(kind::VERSION, &[&kept]))
}

/// Checks the names of a folder's answer, which a client may use as paths of its own: none may lead out of the folder.
pub(super) fn check_names(body: &[u8]) -> Result<(), InspectError> {
    let mut f = Fields(body);
    for _ in 0..f.u32()? {
        if f.string()?.contains(&b'/') {
            return Err(malformed("a folder's entry holds a slash"));
        }
        f.string()?;
        f.attributes()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &[u8]) -> Vec<u8> {
        [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
    }

    #[test]
    fn requests_are_whole_or_refused() {
        let open = [&7u32.to_be_bytes()[..], &string(b"/a"), &[0, 0, 0, 1], &[0, 0, 0, 4], &[0, 0, 9, 0xed]].concat();
        let parsed = Request::parse(kind::OPEN, &open).unwrap();
        assert_eq!(parsed, (7, Request::Open { path: b"/a", flags: 1, special: true }));
        for cut in 0..open.len() {
            assert!(Request::parse(kind::OPEN, &open[..cut]).is_err(), "{cut}");
        }
        assert!(Request::parse(kind::OPEN, &[&open[..], &[0]].concat()).is_err());
        let long = [&7u32.to_be_bytes()[..], &[0xff; 4], b"x"].concat();
        for kind in [3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 200] {
            assert!(Request::parse(kind, &long).is_err(), "{kind}");
        }
        let many_attributes = [&7u32.to_be_bytes()[..], &string(b"/a"), &[0x80, 0, 0, 0], &[0xff; 4]].concat();
        assert!(Request::parse(kind::SETSTAT, &many_attributes).is_err());
        let unknown_attributes = [&7u32.to_be_bytes()[..], &string(b"/a"), &[0, 1, 0, 0]].concat();
        assert!(Request::parse(kind::SETSTAT, &unknown_attributes).is_err());
    }

    #[test]
    fn what_is_not_known_is_unknown() {
        for kind in [0, 1, 2, 21, 22, 100, 101, 103, 199, 201, 255] {
            assert_eq!(Request::parse(kind, &[0, 0, 0, 9, 1, 2]).unwrap(), (9, Request::Unknown));
        }
        let body = [&9u32.to_be_bytes()[..], &string(b"check-file"), b"anything"].concat();
        assert_eq!(Request::parse(kind::EXTENDED, &body).unwrap(), (9, Request::Unknown));
    }

    #[test]
    fn version_keeps_only_policed_extensions() {
        let version = |pairs: &[(&[u8], &[u8])]| {
            let mut body = VERSION.to_be_bytes().to_vec();
            for (name, data) in pairs {
                body.extend([string(name), string(data)].concat());
            }
            body
        };
        let sent = version(&[
            (b"check-file", b"1"),
            (b"copy-data", b"1"),
            (b"statvfs@openssh.com", b"1"),
            (b"copy-data", b"2"),
        ]);
        assert_eq!(filtered_version(&sent).unwrap(), packet(kind::VERSION, &[&version(&[(b"copy-data", b"1")])]));
        for bad in [&[0, 0, 0, 2][..], &[0, 0, 0, 6], &[0, 0, 3], &[0, 0, 0, 3, 0, 0, 0, 1], &[0, 0, 0, 3, 0]] {
            assert!(filtered_version(bad).is_err(), "{bad:?}");
        }
    }
}
