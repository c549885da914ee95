//! Locks: who or what is shut out at once, whatever policy says.
//!
//! They live in one JSON file that is replaced whole and synced. Reads take no lock and touch no disk. A change made by another
//! process is taken up by [`Locks::reload`]; a file that has become unreadable, or is gone, changes nothing: what was in force stays.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Verified;
use super::durable::{self, Turn};
use crate::domain::{Device, ElementName, Identity, ParseError, Timestamp, TrustDomain};

/// What is locked. Text forms: `user:NAME`, `device:NAME`, `element:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LockSubject {
    /// An identity, by its name.
    User(String),
    /// A device, by its name.
    Device(String),
    /// An element.
    Element(ElementName),
}

impl FromStr for LockSubject {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = || {
            ParseError::new(format!(
                "`{}` cannot be locked; write user:NAME, device:NAME or element:NAME",
                text.escape_debug()
            ))
        };
        let (kind, name) = text.split_once(':').ok_or_else(bad)?;
        let anywhere: TrustDomain = "any".parse()?;
        match kind {
            "user" => Ok(Self::User(Identity::new(anywhere, name)?.name().to_owned())),
            "device" => Ok(Self::Device(Device::new(anywhere, name)?.name().to_owned())),
            "element" => Ok(Self::Element(name.parse()?)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for LockSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Device(name) => write!(f, "device:{name}"),
            Self::Element(name) => write!(f, "element:{name}"),
        }
    }
}

impl TryFrom<String> for LockSubject {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<LockSubject> for String {
    fn from(subject: LockSubject) -> Self {
        subject.to_string()
    }
}

/// One lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// What it shuts out.
    pub subject: LockSubject,
    /// Why, for people.
    pub reason: String,
    /// Who set it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Until when; for good when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Lock {
    fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

type Set = BTreeMap<LockSubject, Lock>;

/// The locks in force, kept in one file. Shared by reference. Changing them blocks on the disk.
#[derive(Debug)]
pub struct Locks {
    file: PathBuf,
    set: ArcSwap<Set>,
    /// The locks that the audit log knows of, and where they are kept.
    noted: Mutex<Set>,
    noted_file: PathBuf,
    changing: Mutex<()>,
    revision: watch::Sender<u64>,
}

/// What [`Locks::reload`] found in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// New locks, and those whose terms changed.
    pub added: Vec<Lock>,
    /// Locks that were taken away.
    pub removed: Vec<Lock>,
}

impl Locks {
    /// Reads the file; none is an empty set, an unreadable one is an error: fail closed.
    ///
    /// # Errors
    /// A file that cannot be read or parsed.
    pub fn open(file: &Path) -> Result<Self, io::Error> {
        let set = read(file)?.unwrap_or_default();
        let noted_file = file.with_extension("noted.json");
        // Without it the log is told once more of what it knows: better than not at all.
        let noted = read(&noted_file).ok().flatten().unwrap_or_default();
        Ok(Self {
            file: file.to_owned(),
            set: ArcSwap::from_pointee(set),
            noted: Mutex::new(noted),
            noted_file,
            changing: Mutex::new(()),
            revision: watch::Sender::new(0),
        })
    }

    /// Every lock that is in force at `now`.
    pub fn list(&self, now: Timestamp) -> Vec<Lock> {
        self.set.load().values().filter(|lock| lock.holds(now)).cloned().collect()
    }

    /// Adds or replaces the lock on a subject, durably, and tells every live session.
    ///
    /// # Errors
    /// It could not be made durable; it is in force in this process all the same.
    pub fn add(&self, lock: Lock) -> Result<(), io::Error> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut set = Set::clone(&self.set.load());
        set.insert(lock.subject.clone(), lock.clone());
        self.put_in_force(set);
        self.write(|file| {
            file.insert(lock.subject.clone(), lock);
        })
    }

    /// Takes a lock away; whether there was one.
    ///
    /// # Errors
    /// It could not be made durable; it stays in force.
    pub fn remove(&self, subject: &LockSubject) -> Result<bool, io::Error> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut set = Set::clone(&self.set.load());
        if set.remove(subject).is_none() {
            return Ok(false);
        }
        self.write(|file| {
            file.remove(subject);
        })?;
        self.put_in_force(set);
        Ok(true)
    }

    /// Takes up what another process wrote to the file.
    ///
    /// # Errors
    /// The file is gone, or cannot be read or parsed; what was in force stays.
    pub fn reload(&self) -> Result<Changes, io::Error> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.set.load_full();
        let after = match read(&self.file)? {
            Some(set) => set,
            None if before.is_empty() => return Ok(Changes::default()),
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("{}: gone; the locks that were in force stay", self.file.display()),
                ));
            }
        };
        let changes = Changes::between(&before, &after);
        if changes != Changes::default() {
            self.put_in_force(after);
        }
        Ok(changes)
    }

    /// The lock on exactly this subject, be it one that has run out.
    pub fn get(&self, subject: &LockSubject) -> Option<Lock> {
        self.set.load().get(subject).cloned()
    }

    /// How the locks in force differ from those that the audit log knows of.
    pub fn unnoted(&self) -> Changes {
        Changes::between(&self.noted.lock().unwrap_or_else(PoisonError::into_inner), &self.set.load())
    }

    /// Notes that the audit log knows of these changes now.
    ///
    /// # Errors
    /// It could not be made durable; after a restart the log is told once more.
    pub fn note(&self, changes: &Changes) -> Result<(), io::Error> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        for lock in &changes.removed {
            noted.remove(&lock.subject);
        }
        for lock in &changes.added {
            noted.insert(lock.subject.clone(), lock.clone());
        }
        replace(&self.noted_file, &noted)
    }

    /// The lock, if any, that shuts out this client or element at `now`.
    pub fn find(&self, who: &Verified, element: Option<&ElementName>, now: Timestamp) -> Option<Lock> {
        let set = self.set.load();
        if set.is_empty() {
            return None;
        }
        let subjects = [
            Some(LockSubject::User(who.identity.name().to_owned())),
            who.device.as_ref().map(|device| LockSubject::Device(device.name().to_owned())),
            element.map(|name| LockSubject::Element(name.clone())),
        ];
        subjects.into_iter().flatten().find_map(|subject| set.get(&subject).filter(|lock| lock.holds(now)).cloned())
    }

    /// Changes whenever the set does.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// The file, to watch.
    pub fn file(&self) -> &Path {
        &self.file
    }

    fn put_in_force(&self, set: Set) {
        self.set.store(Arc::new(set));
        self.revision.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Applies one change to what the file holds now, which another process may have changed since it was read.
    fn write(&self, change: impl FnOnce(&mut Set)) -> Result<(), io::Error> {
        let _turn = Turn::wait(&self.file)?;
        let mut set = read(&self.file)?.unwrap_or_default();
        change(&mut set);
        replace(&self.file, &set)
    }
}

impl Changes {
    fn between(before: &Set, after: &Set) -> Self {
        Self {
            added: after.values().filter(|lock| before.get(&lock.subject) != Some(*lock)).cloned().collect(),
            removed: before.values().filter(|lock| !after.contains_key(&lock.subject)).cloned().collect(),
        }
    }
}

fn replace(file: &Path, set: &Set) -> io::Result<()> {
    let locks: Vec<&Lock> = set.values().collect();
    let mut text = serde_json::to_vec_pretty(&locks)?;
    text.push(b'\n');
    durable::replace(file, &text, durable::PRIVATE)
}

fn read(file: &Path) -> Result<Option<Set>, io::Error> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io::Error::new(e.kind(), format!("{}: {e}", file.display()))),
    };
    let locks: Vec<Lock> = serde_json::from_slice(&text).map_err(|e| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: not a list of locks: {e}", file.display()))
    })?;
    let mut set = Set::new();
    for lock in locks {
        if let Some(twice) = set.insert(lock.subject.clone(), lock) {
            let text = format!("{}: `{}` is in it twice", file.display(), twice.subject);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    Ok(Some(set))
}
