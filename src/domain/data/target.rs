//! The object of a data action: a datastore and a path.

use std::fmt;
use std::str::FromStr;

use super::DataPath;
use crate::domain::ParseError;

/// A datastore (RFC 8342 §4; `candidate` and `startup` as in RFC 6241).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Datastore {
    /// What is edited before it is committed.
    Candidate,
    /// What the element came with (RFC 8808).
    FactoryDefault,
    /// What is validated and to be applied.
    Intended,
    /// State, and configuration in use.
    Operational,
    /// The configuration.
    Running,
    /// What the next start reads.
    Startup,
}

impl Datastore {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Candidate, Self::FactoryDefault, Self::Intended, Self::Operational, Self::Running, Self::Startup];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::FactoryDefault => "factory-default",
            Self::Intended => "intended",
            Self::Operational => "operational",
            Self::Running => "running",
            Self::Startup => "startup",
        }
    }
}

impl fmt::Display for Datastore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Datastore {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|store| store.as_str() == text)
            .ok_or_else(|| ParseError::new(format!("`{}` is not a datastore", text.escape_debug())))
    }
}

/// How much of the subtree at a path is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent {
    /// Whatever part of it may be read: the rest is left out of the answer.
    Part,
    /// All of it.
    Whole,
}

/// What a data action is done to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataTarget {
    /// The datastore.
    pub datastore: Datastore,
    /// The node, and everything below it.
    pub path: DataPath,
    /// How much of that.
    pub extent: Extent,
}

/// What a path that asks for a part ends in.
const PART: &str = "/...";

impl DataTarget {
    /// All of the subtree at `path`.
    pub fn whole(datastore: Datastore, path: DataPath) -> Self {
        Self { datastore, path, extent: Extent::Whole }
    }

    /// Whatever may be read of the subtree at `path`.
    pub fn part(datastore: Datastore, path: DataPath) -> Self {
        Self { datastore, path, extent: Extent::Part }
    }
}

impl fmt::Display for DataTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.extent, self.path.steps()) {
            (Extent::Whole, _) => write!(f, "{}:{}", self.datastore, self.path),
            (Extent::Part, []) => write!(f, "{}:{PART}", self.datastore),
            (Extent::Part, _) => write!(f, "{}:{}{PART}", self.datastore, self.path),
        }
    }
}

impl FromStr for DataTarget {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (datastore, path) = text
            .split_once(':')
            .ok_or_else(|| ParseError::new("write a datastore and a path, such as running:/interfaces"))?;
        let datastore = datastore.parse()?;
        match path.strip_suffix(PART) {
            Some("") => Ok(Self::part(datastore, DataPath::root())),
            Some(path) => Ok(Self::part(datastore, path.parse()?)),
            None => Ok(Self::whole(datastore, path.parse()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_back() {
        for text in ["running:/", "candidate:/m:a/b", "operational:/...", "running:/a[k='x/...']/b", "running:/a/..."] {
            assert_eq!(text.parse::<DataTarget>().map(|t| t.to_string()).as_deref(), Ok(text), "{text}");
        }
        for text in ["", "/", "running", "running:", "Running:/", "url:/", "running:a", "running://", "running:/.../a"]
        {
            assert!(text.parse::<DataTarget>().is_err(), "{text}");
        }
    }
}
