//! The policy set and the inventory in force: loaded whole, swapped whole, or kept.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::domain::Revision;
use crate::element::Inventory;
use crate::policy::{PolicySet, Problem};

/// One consistent pair: every decision is made with a policy set and the inventory it was loaded with.
#[derive(Debug)]
pub struct Rules {
    /// Whether.
    pub policy: PolicySet,
    /// Where.
    pub inventory: Inventory,
}

impl Rules {
    /// Loads the folder `dir`. Blocking.
    ///
    /// # Errors
    /// Every mistake found in every file.
    pub fn load(dir: &Path) -> Result<Self, Vec<Problem>> {
        // The inventory is read for itself and again for the revision. A set that was written in between is read again, so that an old
        // inventory is never in force under a new revision.
        let elements = dir.join("elements.toml");
        loop {
            let before = std::fs::read(&elements).ok();
            let loaded = Self::load_once(dir);
            if std::fs::read(&elements).ok() == before {
                return loaded;
            }
        }
    }

    fn load_once(dir: &Path) -> Result<Self, Vec<Problem>> {
        let inventory = Inventory::load(&dir.join("elements.toml"));
        let tags = inventory.as_ref().map(Inventory::tags).unwrap_or_default();
        match (inventory, PolicySet::load(dir, &tags)) {
            (Ok(inventory), Ok(policy)) => Ok(Self { policy, inventory }),
            (Ok(_), Err(problems)) | (Err(problems), Ok(_)) => Err(problems),
            // The policy's complaints about elements follow from the inventory's; the inventory's come first.
            (Err(mut problems), Err(more)) => {
                problems.extend(more);
                Err(problems)
            }
        }
    }
}

/// How a reload went.
#[derive(Debug)]
pub enum Reloaded {
    /// The files say what is in force already.
    Unchanged,
    /// A new set is in force.
    Swapped {
        /// The new one.
        revision: Revision,
        /// The one before.
        previous: Revision,
    },
    /// The new files are wrong; the set before stays.
    Rejected {
        /// What stays.
        in_force: Revision,
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

/// Holds the rules in force.
#[derive(Debug)]
pub struct RulesStore {
    dir: PathBuf,
    current: watch::Sender<Arc<Rules>>,
    reloading: Mutex<()>,
}

impl RulesStore {
    /// Loads the folder; without a loadable set there is no start.
    ///
    /// # Errors
    /// Every mistake found in every file.
    pub fn open(dir: &Path) -> Result<Self, Vec<Problem>> {
        let rules = Rules::load(dir)?;
        Ok(Self { dir: dir.to_owned(), current: watch::Sender::new(Arc::new(rules)), reloading: Mutex::new(()) })
    }

    /// Holds rules that a test made.
    #[cfg(test)]
    pub(super) fn holding(dir: &Path, rules: Rules) -> Self {
        Self { dir: dir.to_owned(), current: watch::Sender::new(Arc::new(rules)), reloading: Mutex::new(()) }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is in force.
    pub fn current(&self) -> Arc<Rules> {
        self.current.borrow().clone()
    }

    /// Changes whenever another set comes into force.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Rules>> {
        self.current.subscribe()
    }

    /// Loads the folder again. Blocking.
    pub fn reload(&self) -> Reloaded {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = self.current().policy.revision().clone();
        match Rules::load(&self.dir) {
            Ok(rules) if *rules.policy.revision() == previous => Reloaded::Unchanged,
            Ok(rules) => {
                let revision = rules.policy.revision().clone();
                self.current.send_replace(Arc::new(rules));
                Reloaded::Swapped { revision, previous }
            }
            Err(problems) => Reloaded::Rejected { in_force: previous, problems },
        }
    }
}
