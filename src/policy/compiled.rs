//! The rows of a set with the index over them, and what each identity and element stands for.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{Effect, ElementName, Request};

use super::graph::Graph;
use super::index::{Index, Names, Question};
use super::obligation::Duty;
use super::pattern::Object;
use super::rows::{self, Link, Row};
use super::{ElementTags, Problem, names};

/// The rows and the index over them.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) rules: Vec<(Row, Effect)>,
    pub(super) duties: Vec<(Row, Duty)>,
    rule_index: Index,
    duty_index: Index,
    pub(super) people: Directory,
    pub(super) elements: Directory,
}

/// The members of a graph, each with the numbers it stands for.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) graph: Graph,
    /// By the name without prefix.
    members: HashMap<String, Box<[u32]>>,
    /// What a name that no row and no inventory knows stands for: `*`.
    strangers: Box<[u32]>,
}

impl Directory {
    fn new(graph: Graph, names: &Names, prefix: &str, members: impl Iterator<Item = String>) -> Self {
        let members = members.map(|name| {
            (name.strip_prefix(prefix).unwrap_or(&name).to_owned(), names.known(graph.closure([name.as_str()])))
        });
        Self { members: members.collect(), strangers: names.known([]), graph }
    }

    /// Forgets a member: it is a stranger from now on.
    pub(super) fn forget(&mut self, name: &str) {
        self.members.remove(name);
    }

    fn numbers(&self, name: &str) -> &[u32] {
        self.members.get(name).unwrap_or(&self.strangers)
    }
}

impl Compiled {
    pub(super) fn new(
        rules: Vec<(Row, Effect)>,
        duties: Vec<(Row, Duty)>,
        roles: &[Link],
        groups: &[Link],
        elements: &[ElementTags],
        problems: &mut Vec<Problem>,
    ) -> Self {
        let (mut who, mut element) = (Names::default(), Names::default());
        let rule_index = Index::build(rules.iter().map(|(row, _)| row), &mut who, &mut element);
        let duty_index = Index::build(duties.iter().map(|(row, _)| row), &mut who, &mut element);
        let rows = || rules.iter().map(|(row, _)| row).chain(duties.iter().map(|(row, _)| row));
        let role_graph = Graph::build(roles, problems);
        let group_graph = Graph::build(groups, problems);
        let of_kind = |prefix: &'static str| move |name: &&str| name.starts_with(prefix);
        let users: BTreeSet<String> = role_graph
            .members()
            .chain(rows().map(|row| row.who.as_str()))
            .filter(of_kind("user:"))
            .map(str::to_owned)
            .collect();
        let mut known: BTreeSet<String> = group_graph
            .members()
            .chain(rows().map(|row| row.element.as_str()))
            .filter(of_kind("element:"))
            .map(str::to_owned)
            .collect();
        known.extend(elements.iter().map(|element| format!("element:{}", element.name)));
        let people = Directory::new(role_graph, &who, "user:", users.into_iter());
        let elements = Directory::new(group_graph, &element, "element:", known.into_iter());
        Self { rules, duties, rule_index, duty_index, people, elements }
    }

    fn question<'a>(&'a self, request: &'a Request) -> Question<'a> {
        Question {
            who: self.people.numbers(request.who.name()),
            element: self.elements.numbers(request.element.as_str()),
            verb: request.action.verb,
        }
    }

    /// The numbers of the `p` rows that match, ascending.
    pub(super) fn matching(&self, request: &Request) -> Vec<u32> {
        let object = Object::new(&request.action.object);
        let row = |number| self.rules.get(at(number)).map(|(row, _)| row);
        self.rule_index.matching(self.question(request), request.account.as_str(), &object, row)
    }

    /// The `p` rows whose who, element and verb fit, in the order of the file.
    pub(super) fn candidates(&self, request: &Request) -> Vec<&(Row, Effect)> {
        let mut numbers = Vec::new();
        self.rule_index.candidates(self.question(request), |number| numbers.push(number));
        numbers.sort_unstable();
        numbers.iter().filter_map(|number| self.rules.get(at(*number))).collect()
    }

    /// The `p2` rows whose who, element and verb fit.
    pub(super) fn duty_candidates(&self, request: &Request) -> Vec<&(Row, Duty)> {
        let mut numbers = Vec::new();
        self.duty_index.candidates(self.question(request), |number| numbers.push(number));
        numbers.iter().filter_map(|number| self.duties.get(at(*number))).collect()
    }

    /// The row that settles it: the first that denies, else the first that allows.
    pub(super) fn settle(&self, matching: &[u32]) -> Option<(u32, Effect)> {
        let effect = |number: &u32| self.rules.get(at(*number)).map(|(_, effect)| (*number, *effect));
        let mut found = matching.iter().filter_map(effect);
        found.clone().find(|(_, effect)| *effect == Effect::Deny).or_else(|| found.next())
    }

    /// The `p2` rows that match.
    pub(super) fn obliging<'a>(&'a self, request: &Request) -> impl Iterator<Item = &'a (Row, Duty)> {
        let object = Object::new(&request.action.object);
        let row = |number| self.duties.get(at(number)).map(|(row, _)| row);
        let matching = self.duty_index.matching(self.question(request), request.account.as_str(), &object, row);
        matching.into_iter().filter_map(|number| self.duties.get(at(number)))
    }

    /// What is probably not meant; `elements` are those of the inventory, without the ones that cases invent.
    pub(super) fn warnings(&self, elements: &[ElementTags]) -> Vec<Problem> {
        let known: BTreeSet<String> = elements
            .iter()
            .map(|element| element.name.to_string())
            .chain([ElementName::gateway().to_string()])
            .collect();
        let roles: BTreeSet<&str> =
            self.people.members.keys().flat_map(|name| self.people.closure("user:", name)).collect();
        let groups: BTreeSet<&str> = known.iter().flat_map(|name| self.elements.closure("element:", name)).collect();
        let mut warnings = self.unprotected(elements);
        // One for each name, at the first row that has it.
        let mut told = BTreeSet::new();
        for row in self.rules.iter().map(|(row, _)| row).chain(self.duties.iter().map(|(row, _)| row)) {
            let mut warn = |name: &str, text: String| {
                if told.insert(name.to_owned()) {
                    warnings.push(Problem { file: rows::FILE.to_owned(), line: row.line, text });
                }
            };
            if row.who.starts_with("role:") && !roles.contains(row.who.as_str()) {
                warn(&row.who, format!("nobody has `{}`", row.who));
            }
            if row.element.starts_with("group:") && !groups.contains(row.element.as_str()) {
                warn(&row.element, format!("no element is in `{}`", row.element));
            }
            if row.element.strip_prefix("element:").is_some_and(|name| !known.contains(name)) {
                warn(&row.element, format!("`{}` is not in elements.toml", row.element));
            }
        }
        warnings
    }
}

impl Compiled {
    /// Elements of a class that no row names, neither itself nor through a group it is in: a misspelt class slips past every row that denies.
    fn unprotected(&self, elements: &[ElementTags]) -> Vec<Problem> {
        let rows = self.rules.iter().map(|(row, _)| row).chain(self.duties.iter().map(|(row, _)| row));
        let named: BTreeSet<&str> = rows.map(|row| row.element.as_str()).collect();
        let mut told = BTreeSet::new();
        let mut warnings = Vec::new();
        for element in elements {
            for class in element.groups.iter().filter(|tag| tag.starts_with("class/")) {
                let group = format!("group:{class}");
                let reached = self.elements.graph.closure([group.as_str()]);
                if reached.iter().any(|name| named.contains(name)) || !told.insert(group.clone()) {
                    continue;
                }
                let text = format!("no row names `{group}`, the class of `{}`: is it misspelt?", element.name);
                warnings.push(Problem { file: "elements.toml".to_owned(), line: 0, text });
            }
        }
        warnings
    }
}

impl Directory {
    /// What a member is in, apart from itself.
    fn closure<'a>(&'a self, prefix: &str, name: &str) -> Vec<&'a str> {
        let own = format!("{prefix}{name}");
        let parents = self.graph.parents(&own).iter().map(String::as_str);
        self.graph.closure(parents).into_iter().collect()
    }

    /// Everything that a name stands for in rows, for people to read.
    pub(super) fn describe(&self, name: &str) -> BTreeSet<String> {
        self.graph.closure([name]).into_iter().map(str::to_owned).collect()
    }
}

pub(super) fn at(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Whether a row fits a request in each field, for explanations.
pub(super) fn fits(compiled: &Compiled, row: &Row, request: &Request) -> [(&'static str, bool); 5] {
    let object = Object::new(&request.action.object);
    let within = |directory: &Directory, own: String, wanted: &str| {
        wanted == names::ANY || directory.graph.closure([own.as_str()]).contains(wanted)
    };
    [
        ("who", within(&compiled.people, format!("user:{}", request.who.name()), &row.who)),
        ("element", within(&compiled.elements, format!("element:{}", request.element), &row.element)),
        ("account", row.takes_account(request.account.as_str())),
        ("verb", row.verbs.each.contains(&request.action.verb)),
        ("object", row.objects.matches(row.reach, &object)),
    ]
}
