//! Which folders to watch so that nothing changes unseen: files are replaced by renaming, and folders swapped by renaming or by a link.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// Links in a row that are followed.
const LINKS_MAX: usize = 40;

/// A file or folder that is depended on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A file.
    File(PathBuf),
    /// A folder with everything in it.
    Tree(PathBuf),
}

/// What must be watched for some places, as the folders lie now.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Folders, with the number of each: a folder that was swapped has another.
    folders: BTreeMap<PathBuf, (bool, Option<(u64, u64)>)>,
    /// Whatever happens to one of these matters.
    names: BTreeSet<PathBuf>,
    /// Whatever happens below one of these matters.
    trees: BTreeSet<PathBuf>,
}

impl Plan {
    fn of(places: &[Place]) -> Self {
        let mut plan = Self::default();
        for place in places {
            let (path, tree) = match place {
                Place::File(path) => (path, false),
                Place::Tree(path) => (path, true),
            };
            let real = plan.follow(path);
            // The folder that holds it, and the one above, in case that one is swapped.
            for folder in real.ancestors().skip(1).take(2) {
                plan.watch(folder, false);
                plan.names.insert(folder.to_owned());
            }
            if tree {
                plan.watch(&real, true);
                plan.trees.insert(real.clone());
            }
            plan.names.insert(real);
        }
        plan
    }

    /// Where `path` leads to; each link on the way is watched in the folder that holds it.
    fn follow(&mut self, path: &Path) -> PathBuf {
        let mut ahead: VecDeque<PathBuf> = parts(path);
        let mut at = PathBuf::new();
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            if part == Path::new("..") {
                at.pop();
                continue;
            }
            let next = at.join(part);
            match std::fs::read_link(&next) {
                Ok(target) if links < LINKS_MAX => {
                    links += 1;
                    self.watch(&at, false);
                    self.names.insert(next);
                    if target.is_absolute() {
                        at = PathBuf::new();
                    }
                    for part in parts(&target).into_iter().rev() {
                        ahead.push_front(part);
                    }
                }
                _ => at = next,
            }
        }
        at
    }

    fn watch(&mut self, folder: &Path, tree: bool) {
        let number = std::fs::metadata(folder).ok().map(|facts| (facts.dev(), facts.ino()));
        let known = self.folders.entry(folder.to_owned()).or_insert((tree, number));
        known.0 |= tree;
    }

    fn concerns(&self, path: &Path) -> bool {
        self.names.contains(path) || self.trees.iter().any(|tree| path.starts_with(tree))
    }
}

fn parts(path: &Path) -> VecDeque<PathBuf> {
    let wanted = path.components().filter(|part| !matches!(part, Component::CurDir));
    wanted.map(|part| PathBuf::from(part.as_os_str())).collect()
}

/// Watches places, and calls back when one of them may have changed.
pub(super) struct Watch {
    places: Vec<Place>,
    changed: Arc<dyn Fn() + Send + Sync>,
    armed: Option<(Plan, RecommendedWatcher)>,
    told: bool,
}

impl Watch {
    /// A watch that is not armed yet.
    pub(super) fn new(places: Vec<Place>, changed: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { places, changed, armed: None, told: false }
    }

    /// Arms the watch as the folders lie now, unless it is. Call before reading what is watched: what changes afterwards calls back.
    pub(super) fn renew(&mut self) {
        let plan = Plan::of(&self.places);
        if self.armed.as_ref().is_some_and(|(armed, _)| *armed == plan) {
            return;
        }
        match self.arm(plan) {
            Ok(armed) => (self.armed, self.told) = (Some(armed), false),
            Err(error) => {
                self.armed = None;
                if !self.told {
                    tracing::warn!(%error, "Files cannot be watched; they are read again now and then.");
                }
                self.told = true;
            }
        }
    }

    fn arm(&self, mut plan: Plan) -> notify::Result<(Plan, RecommendedWatcher)> {
        let changed = self.changed.clone();
        let (names, trees) = (plan.names.clone(), plan.trees.clone());
        let concerned = Plan { names, trees, folders: BTreeMap::new() };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let matters = match &event {
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
                // Without paths something was missed.
                Ok(event) => event.paths.is_empty() || event.paths.iter().any(|path| concerned.concerns(path)),
                Err(_) => true,
            };
            if matters {
                changed();
            }
        })?;
        for (folder, (tree, number)) in &mut plan.folders {
            let mode = if *tree { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            if number.is_none() {
                continue;
            }
            match watcher.watch(folder, mode) {
                Ok(()) => {}
                // What is not there is noticed in the folder above when it comes; the plan is another one then.
                Err(_) if !folder.exists() => *number = None,
                Err(error) => return Err(error),
            }
        }
        Ok((plan, watcher))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc;
    use std::time::Duration;

    struct Seen {
        watch: Watch,
        calls: mpsc::Receiver<()>,
    }

    impl Seen {
        fn of(places: Vec<Place>) -> Self {
            let (sender, calls) = mpsc::channel();
            let mut seen =
                Self { watch: Watch::new(places, Arc::new(move || sender.send(()).unwrap_or_default())), calls };
            seen.watch.renew();
            seen
        }

        #[track_caller]
        fn notices(&mut self, what: &str, change: impl FnOnce()) {
            while self.calls.try_recv().is_ok() {}
            change();
            assert!(self.calls.recv_timeout(Duration::from_secs(20)).is_ok(), "{what} was not noticed");
            self.watch.renew();
        }
    }

    fn put(file: &Path, text: &str) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn a_tree_is_followed_through_swaps_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for set in ["one", "two", "three"] {
            put(&root.join("sets").join(set).join("policy.csv"), set);
        }
        let policies = root.join("policies");
        symlink("current/policies", &policies).unwrap();
        let link = |to: &str| {
            symlink(to, root.join("next")).unwrap();
            fs::rename(root.join("next"), root.join("current")).unwrap();
        };
        for set in ["one", "two", "three"] {
            symlink(".", root.join("sets").join(set).join("policies")).unwrap();
        }
        link("sets/one");
        let mut seen = Seen::of(vec![Place::Tree(policies.clone())]);
        seen.notices("an edit", || put(&policies.join("policy.csv"), "x"));
        seen.notices("a link to another set", || link("sets/two"));
        seen.notices("an edit of the other set", || put(&root.join("sets/two/policy.csv"), "x"));
        seen.notices("a new folder in it", || put(&root.join("sets/two/commands/a.toml"), ""));
        seen.notices("a file in the new folder", || put(&root.join("sets/two/commands/b.toml"), ""));
        seen.notices("the folder renamed away", || fs::rename(root.join("sets/two"), root.join("gone")).unwrap());
        seen.notices("another in its place", || fs::rename(root.join("sets/three"), root.join("sets/two")).unwrap());
        seen.notices("an edit after that", || put(&policies.join("policy.csv"), "y"));
        seen.notices("the first link replaced", || {
            fs::remove_file(&policies).unwrap();
            fs::rename(root.join("sets/one"), &policies).unwrap();
        });
        seen.notices("an edit of a plain folder", || put(&policies.join("policy.csv"), "z"));
    }

    #[test]
    fn files_are_followed_and_their_neighbours_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let list = root.join("ca/crl.pem");
        put(&list, "1");
        put(&root.join("ca-2/crl.pem"), "2");
        let mut seen = Seen::of(vec![Place::File(list.clone()), Place::File(root.join("absent/locks.json"))]);
        seen.notices("a file written over", || put(&list, "3"));
        seen.notices("a file replaced", || {
            put(&root.join("ca/new"), "4");
            fs::rename(root.join("ca/new"), &list).unwrap();
        });
        seen.notices("a folder swapped", || {
            fs::rename(root.join("ca"), root.join("ca-1")).unwrap();
            fs::rename(root.join("ca-2"), root.join("ca")).unwrap();
        });
        seen.notices("a file in the other folder", || put(&list, "5"));
        seen.notices("a file that was not there", || put(&root.join("absent/locks.json"), "[]"));
        seen.notices("a change of it", || put(&root.join("absent/locks.json"), "[1]"));
        while seen.calls.try_recv().is_ok() {}
        put(&root.join("ca/other.pem"), "");
        put(&root.join("elsewhere"), "");
        // A change that matters comes after those that do not, and is the only one.
        seen.notices("the last change", || put(&list, "6"));
    }

    #[test]
    fn links_in_a_circle_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert!(Plan::of(&[Place::Tree(dir.path().join("a/x"))]).names.len() > 2);
    }
}
