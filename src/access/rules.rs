//! The policy set and the inventory in force: loaded whole, swapped whole, or kept.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::domain::{Revision, Timestamp};
use crate::element::{Inventory, OwnDoors, inventory};
use crate::policy::{Folder, PolicySet, Problem};

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
        Self::of(&Folder::read(dir)?)
    }

    /// What a folder that was read says: policy and inventory are of the same moment and the same revision.
    ///
    /// # Errors
    /// Every mistake found in every file.
    pub fn of(folder: &Folder) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let inventory = match folder.text(inventory::FILE, &mut problems) {
            Some(text) => Inventory::parse(&text),
            None if problems.is_empty() => {
                let text = "is missing; without it no element is reached".to_owned();
                Err(vec![Problem { file: inventory::FILE.to_owned(), line: 0, text }])
            }
            None => Err(problems),
        };
        let tags = inventory.as_ref().map(Inventory::tags).unwrap_or_default();
        match (inventory, PolicySet::of(folder, &tags)) {
            (Ok(inventory), Ok(policy)) => {
                let rules = Self { policy, inventory };
                let problems = rules.missing_apis();
                if problems.is_empty() { Ok(rules) } else { Err(problems) }
            }
            (Ok(_), Err(problems)) | (Err(problems), Ok(_)) => Err(problems),
            // The policy's complaints about elements follow from the inventory's; the inventory's come first.
            (Err(mut problems), Err(more)) => {
                problems.extend(more.into_iter().filter(|problem| problem.file != inventory::FILE));
                Err(problems)
            }
        }
    }

    /// Documents that elements are held to and that are not there.
    fn missing_apis(&self) -> Vec<Problem> {
        let missing = |element: &Arc<crate::element::Element>| {
            let file = element.service(crate::element::Service::Https)?.api.as_deref()?;
            let text = format!("element `{}`: its `api` {file} is not in the folder", element.name());
            self.policy.api(file).is_none().then(|| Problem { file: inventory::FILE.to_owned(), line: 0, text })
        };
        self.inventory.iter().filter_map(missing).collect()
    }

    /// Itself, when none of its elements is the gateway.
    fn leading_elsewhere(self, own: &OwnDoors) -> Result<Self, Vec<Problem>> {
        let problems = self.inventory.leading_to(own);
        if problems.is_empty() { Ok(self) } else { Err(problems) }
    }

    /// What is no mistake and probably not meant, or works today and needs somebody before long.
    pub fn warnings(&self, now: Timestamp) -> Vec<Problem> {
        self.inventory.warnings(now).into_iter().chain(self.policy.warnings().iter().cloned()).collect()
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
    /// Where no element may be.
    own: OwnDoors,
    current: watch::Sender<Arc<Rules>>,
    /// What was refused last, so that it is not compiled again for as long as nothing changes. Locked for the length of a reload.
    refused: Mutex<Option<(Revision, Vec<Problem>)>>,
}

impl RulesStore {
    /// Loads the folder; without a loadable set there is no start. `own` is where the gateway itself listens.
    ///
    /// # Errors
    /// Every mistake found in every file.
    pub fn open(dir: &Path, own: OwnDoors) -> Result<Self, Vec<Problem>> {
        let rules = Rules::load(dir)?.leading_elsewhere(&own)?;
        Ok(Self { dir: dir.to_owned(), own, current: watch::Sender::new(Arc::new(rules)), refused: Mutex::new(None) })
    }

    /// Holds rules that a test made.
    #[cfg(test)]
    pub(super) fn holding(dir: &Path, rules: Rules) -> Self {
        Self {
            dir: dir.to_owned(),
            own: OwnDoors::default(),
            current: watch::Sender::new(Arc::new(rules)),
            refused: Mutex::new(None),
        }
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

    /// Loads the folder again, when it is another than that of the set in force. Blocking.
    pub fn reload(&self) -> Reloaded {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current();
        let previous = current.policy.revision().clone();
        let folder = match Folder::read(&self.dir) {
            Ok(folder) => folder,
            Err(problems) => return Reloaded::Rejected { in_force: previous, problems },
        };
        let revision = folder.revision();
        if revision == previous {
            *refused = None;
            return Reloaded::Unchanged;
        }
        if let Some((known, problems)) = &*refused
            && *known == revision
        {
            return Reloaded::Rejected { in_force: previous, problems: problems.clone() };
        }
        let loaded = match current.policy.cases_gone(&folder) {
            // SECURITY: cases keep what must never be allowed from being allowed; they do not get lost on the way.
            Some(problem) => Err(vec![problem]),
            None => Rules::of(&folder).and_then(|rules| rules.leading_elsewhere(&self.own)),
        };
        match loaded {
            Ok(rules) => {
                *refused = None;
                self.current.send_replace(Arc::new(rules));
                Reloaded::Swapped { revision, previous }
            }
            Err(problems) => {
                *refused = Some((revision, problems.clone()));
                Reloaded::Rejected { in_force: previous, problems }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ca::starter_policies;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("commands")).unwrap();
        for (file, text) in starter_policies() {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        dir
    }

    fn refused(store: &RulesStore) -> Vec<String> {
        match store.reload() {
            Reloaded::Rejected { problems, .. } => problems.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reload_takes_up_what_changed_and_nothing_else() {
        let dir = folder();
        let store = RulesStore::open(dir.path(), OwnDoors::default()).unwrap();
        let first = store.current();
        assert!(matches!(store.reload(), Reloaded::Unchanged));
        assert!(Arc::ptr_eq(&first, &store.current()), "nothing was compiled again");
        std::fs::write(dir.path().join("set.toml"), "contact = \"ada\"\n").unwrap();
        assert!(matches!(store.reload(), Reloaded::Swapped { .. }));
        assert_eq!(store.current().policy.contact(), "ada");
        // What is wrong is told each time, and the set in force stays.
        std::fs::write(dir.path().join("policy.csv"), "no policy\n").unwrap();
        assert_eq!(refused(&store), refused(&store));
        assert_eq!(store.current().policy.contact(), "ada");
        std::fs::remove_file(dir.path().join("elements.toml")).unwrap();
        assert!(refused(&store)[0].starts_with("elements.toml: is missing"), "{:?}", refused(&store));
    }

    #[test]
    fn cases_do_not_get_lost() {
        let dir = folder();
        let store = RulesStore::open(dir.path(), OwnDoors::default()).unwrap();
        let cases = dir.path().join("cases.toml");
        let text = std::fs::read_to_string(&cases).unwrap();
        std::fs::remove_file(&cases).unwrap();
        assert!(refused(&store)[0].starts_with("cases.toml: is gone"), "{:?}", refused(&store));
        for name in ["case.toml", "cases.Toml.toml", "Cases.toml", "element.toml", "set.local.toml"] {
            let stray = dir.path().join(name);
            std::fs::write(&cases, &text).unwrap();
            std::fs::write(&stray, &text).unwrap();
            assert!(refused(&store)[0].contains("is not read"), "{name}: {:?}", refused(&store));
            std::fs::remove_file(stray).unwrap();
        }
        assert!(matches!(store.reload(), Reloaded::Unchanged));
        // An empty file says on purpose that nothing is tested.
        std::fs::write(&cases, "").unwrap();
        assert!(matches!(store.reload(), Reloaded::Swapped { .. }));
        std::fs::remove_file(&cases).unwrap();
        assert!(matches!(store.reload(), Reloaded::Swapped { .. }), "there was nothing to lose");
        let warned = store.current().policy.warnings().iter().any(|warning| warning.file == "cases.toml");
        assert!(warned, "{:?}", store.current().policy.warnings());
    }
}
