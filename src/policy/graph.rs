//! Who is in which roles, which element in which groups: the closure of `g` and `g2`.

use std::collections::{BTreeSet, HashMap};

use super::Problem;
use super::rows::{FILE, Link};

/// How many links may follow each other. casbin stops at ten.
const DEPTH_MAX: usize = 8;

/// Memberships, followed to their end.
#[derive(Debug, Default)]
pub(super) struct Graph {
    parents: HashMap<String, Vec<String>>,
}

impl Graph {
    /// Builds the graph; circles and chains that are too long are mistakes.
    pub(super) fn build(links: &[Link], problems: &mut Vec<Problem>) -> Self {
        let mut graph = Self::default();
        for link in links {
            graph.parents.entry(link.member.clone()).or_default().push(link.of.clone());
        }
        let levels = graph.levels(links);
        for link in links {
            let text = match levels.get(link.of.as_str()) {
                Some(level) if *level > DEPTH_MAX => {
                    format!("`{}` ends a chain of more than {DEPTH_MAX} memberships; shorten it", link.of)
                }
                None if graph.closure([link.of.as_str()]).contains(link.member.as_str()) => {
                    format!(
                        "`{}` and `{}` are in each other; remove one of the links of this circle",
                        link.member, link.of
                    )
                }
                Some(_) | None => continue,
            };
            problems.push(Problem { file: FILE.to_owned(), line: link.line, text });
        }
        graph
    }

    /// The length of the longest chain below each name; names in a circle, or above one, have none.
    fn levels<'a>(&'a self, links: &'a [Link]) -> HashMap<&'a str, usize> {
        let mut waiting: HashMap<&str, usize> = HashMap::new();
        for link in links {
            waiting.entry(&link.member).or_default();
            *waiting.entry(&link.of).or_default() += 1;
        }
        let mut ready: Vec<&str> =
            waiting.iter().filter(|(_, members)| **members == 0).map(|(name, _)| *name).collect();
        let mut reached: HashMap<&str, usize> = HashMap::new();
        let mut levels = HashMap::new();
        while let Some(name) = ready.pop() {
            let level = reached.get(name).copied().unwrap_or(0);
            levels.insert(name, level);
            for parent in self.parents.get(name).into_iter().flatten() {
                let own = reached.entry(parent).or_default();
                *own = (*own).max(level + 1);
                if let Some(left) = waiting.get_mut(parent.as_str()) {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        ready.push(parent);
                    }
                }
            }
        }
        levels
    }

    /// `names` and everything they are in.
    pub(super) fn closure<'a>(&'a self, names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let mut open: Vec<&str> = names.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(name) = open.pop() {
            if found.insert(name) {
                open.extend(self.parents.get(name).into_iter().flatten().map(String::as_str));
            }
        }
        found
    }

    /// What `name` is in directly.
    pub(super) fn parents(&self, name: &str) -> &[String] {
        self.parents.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every name that is in something.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        self.parents.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(pairs: &[(&str, &str)]) -> Vec<Link> {
        pairs
            .iter()
            .zip(1..)
            .map(|((member, of), line)| Link { line, member: (*member).to_owned(), of: (*of).to_owned() })
            .collect()
    }

    fn mistakes(pairs: &[(&str, &str)]) -> usize {
        let mut problems = Vec::new();
        Graph::build(&links(pairs), &mut problems);
        problems.len()
    }

    #[test]
    fn memberships_are_followed() {
        let graph = Graph::build(&links(&[("a", "b"), ("b", "c"), ("b", "d"), ("x", "d")]), &mut Vec::new());
        assert_eq!(graph.closure(["a"]).into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(graph.closure(["c"]).len(), 1);
        assert_eq!(graph.closure(["unknown"]).len(), 1);
    }

    #[test]
    fn circles_and_long_chains_are_refused() {
        assert_eq!(mistakes(&[("a", "b"), ("b", "c"), ("a", "c")]), 0);
        assert!(mistakes(&[("a", "a")]) > 0);
        assert!(mistakes(&[("a", "b"), ("b", "a")]) > 0);
        assert!(mistakes(&[("x", "a"), ("a", "b"), ("b", "c"), ("c", "a")]) > 0);
        let names: Vec<String> = (0..12).map(|n| format!("n{n:02}")).collect();
        let chain: Vec<(&str, &str)> = names.windows(2).map(|w| (w[0].as_str(), w[1].as_str())).collect();
        assert_eq!(mistakes(&chain[..DEPTH_MAX]), 0);
        assert!(mistakes(&chain[..=DEPTH_MAX]) > 0);
        let backwards: Vec<(&str, &str)> = chain.iter().rev().copied().collect();
        assert!(mistakes(&backwards) > 0);
    }
}
