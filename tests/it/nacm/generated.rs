//! Rule sets and requests made by dice, decided by the reference and by the imported rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use sallyport::domain::data::{Model, Models};
use sallyport::domain::{Action, Assurance, Door, Effect, Identity, Request, Verb};
use sallyport::policy::nacm::{Accept, Imported, Nacm, Node, Options, import};
use sallyport::policy::{ElementTags, PolicySet};

use super::reference::{Config, Kind, OPERATIONS, Reference, Rule, RuleList, Steps, USERS, is_at_or_below, nodes};

/// Choices that a seed makes.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % count
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn chance(&mut self, of_ten: usize) -> bool {
        self.below(10) < of_ten
    }
}

fn config(dice: &mut Dice, nodes: &[Steps]) -> Config {
    let lists = (0..dice.below(4)).map(|_| {
        let groups = dice.pick(&[vec!["one"], vec!["two"], vec!["*"], vec!["one", "two"], vec!["nobody"]]);
        RuleList { groups, rules: (0..dice.below(5)).map(|_| rule(dice, nodes)).collect() }
    });
    let lists = lists.collect();
    Config { read_default: dice.chance(5), write_default: dice.chance(2), exec_default: dice.chance(5), lists }
}

fn rule(dice: &mut Dice, nodes: &[Steps]) -> Rule {
    let kind = match dice.below(10) {
        0 | 1 => Kind::Any,
        2 => Kind::Rpc(dice.pick(&[
            "*",
            "lock",
            "edit-config",
            "edit-data",
            "get-config",
            "reset",
            "wipe",
            "kill-session",
        ])),
        3 => Kind::Notification(dice.pick(&["*", "link", "other"])),
        _ => {
            let mut path = dice.pick(nodes);
            for (_, _, keys) in &mut path {
                keys.retain(|_| dice.chance(7));
            }
            Kind::Path(path)
        }
    };
    let module =
        if dice.chance(7) { "*" } else { dice.pick(&["ex-if", "ex-sys", "ex-aug", "ietf-netconf", "ietf-system"]) };
    let access = match dice.below(5) {
        0 | 1 => vec!["*"],
        2 => vec!["read"],
        3 => vec!["create", "update", "delete"],
        _ => ["create", "read", "update", "delete", "exec"].into_iter().filter(|_| dice.chance(5)).collect(),
    };
    Rule { module, kind, access, permit: dice.chance(6) }
}

pub(super) fn leaf(name: &str, text: &str) -> Node {
    Node { name: name.to_owned(), text: text.to_owned(), ..Node::default() }
}

pub(super) fn holder(name: &str, children: Vec<Node>) -> Node {
    Node { name: name.to_owned(), children, ..Node::default() }
}

fn as_node(config: &Config) -> Node {
    let word = |permit: bool| if permit { "permit" } else { "deny" };
    let mut children = vec![
        leaf("read-default", word(config.read_default)),
        leaf("write-default", word(config.write_default)),
        leaf("exec-default", word(config.exec_default)),
        leaf("enable-external-groups", "false"),
    ];
    let groups = ["one", "two"].map(|group| {
        let users = USERS.iter().filter(|(_, groups)| groups.contains(&group));
        let users = users.map(|(user, _)| leaf("user-name", user));
        holder("group", std::iter::once(leaf("name", group)).chain(users).collect())
    });
    children.push(holder("groups", groups.into()));
    for (list, number) in config.lists.iter().zip(1..) {
        let mut inner = vec![leaf("name", &format!("list{number}"))];
        inner.extend(list.groups.iter().map(|group| leaf("group", group)));
        for (rule, number) in list.rules.iter().zip(1..) {
            let mut fields = vec![leaf("name", &format!("rule{number}")), leaf("module-name", rule.module)];
            match &rule.kind {
                Kind::Any => {}
                Kind::Rpc(name) => fields.push(leaf("rpc-name", name)),
                Kind::Notification(name) => fields.push(leaf("notification-name", name)),
                Kind::Path(path) => fields.push(leaf("path", &instance(path))),
            }
            fields.push(leaf("access-operations", &rule.access.join(" ")));
            fields.push(leaf("action", word(rule.permit)));
            inner.push(holder("rule", fields));
        }
        children.push(holder("rule-list", inner));
    }
    holder("nacm", children)
}

/// As RFC 7951 writes an instance: a module where it changes.
fn instance(path: &Steps) -> String {
    let (mut text, mut last) = (String::new(), "");
    for (module, name, keys) in path {
        let prefix = if *module == last { String::new() } else { format!("{module}:") };
        write!(text, "/{prefix}{name}").expect("a string");
        for (key, value) in keys {
            let quote = if value.contains('\'') { '"' } else { '\'' };
            write!(text, "[{key}={quote}{value}{quote}]").expect("a string");
        }
        last = module;
    }
    text
}

/// As a data target writes it.
fn target(path: &Steps) -> String {
    let (mut text, mut last) = ("running:".to_owned(), "");
    for (module, name, keys) in path {
        let prefix = if *module == last { String::new() } else { format!("{module}:") };
        write!(text, "/{prefix}{name}").expect("a string");
        for (key, value) in keys {
            write!(text, "[{key}='{}']", value.replace('\'', "\\'")).expect("a string");
        }
        last = module;
    }
    if path.is_empty() { "running:/".to_owned() } else { text }
}

pub(super) fn set(imported: &Imported) -> PolicySet {
    let dir = tempfile::tempdir().expect("a folder");
    let rows = format!("{}g, user:u4, role:others\n", imported.rows);
    fs::write(dir.path().join("model.conf"), include_str!("../../../policies/model.conf")).expect("a file");
    fs::write(dir.path().join("policy.csv"), &rows).expect("a file");
    fs::write(dir.path().join("models.toml"), &imported.models).expect("a file");
    let tags = [ElementTags { name: "r1".parse().expect("a name"), groups: vec!["nacm".to_owned()] }];
    PolicySet::load(dir.path(), &tags).unwrap_or_else(|problems| panic!("{problems:?}\n{rows}"))
}

pub(super) fn allows(set: &PolicySet, user: &str, verb: Verb, object: &str) -> bool {
    let at = "2026-11-23T10:00:00Z".parse().expect("a time");
    let request = Request {
        who: Identity::new("carrier.example".parse().expect("a domain"), user).expect("a name"),
        device: None,
        assurance: Assurance::MutualTls,
        door: Door::Mtls,
        source: "192.0.2.7".parse().expect("an address"),
        element: "r1".parse().expect("a name"),
        account: "admin".parse().expect("an account"),
        action: Action::new(verb, object),
        at,
        session_opened_at: at,
    };
    set.decide(&request).effect == Effect::Allow
}

/// What was compared.
#[derive(Default, Debug)]
struct Tally {
    allowed: usize,
    denied: usize,
    /// Denied though NACM permits, which the report names.
    narrower: usize,
}

struct Comparison<'a> {
    seed: u64,
    set: PolicySet,
    imported: &'a Imported,
    roles: BTreeMap<&'static str, String>,
    tally: &'a mut Tally,
}

impl Comparison<'_> {
    fn compare(&mut self, user: &'static str, (verb, object): (Verb, &str), reference: bool, about: &[&str]) {
        let ours = allows(&self.set, user, verb, object);
        let seed = self.seed;
        let rows =
            || format!("seed {seed}: {user} {verb} {object}\n{}\n{:#?}", self.imported.rows, self.imported.unsaid);
        match (ours, reference) {
            (true, true) => self.tally.allowed += 1,
            (false, false) => self.tally.denied += 1,
            (true, false) => panic!("the rows allow what NACM denies: {}", rows()),
            (false, true) => {
                let role = &self.roles[user];
                let told = self.imported.unsaid.iter().any(|unsaid| {
                    about.contains(&unsaid.about) && (unsaid.roles.is_empty() || unsaid.roles.contains(role))
                });
                assert!(told, "the rows deny what NACM permits, and nothing says so: {}", rows());
                self.tally.narrower += 1;
            }
        }
    }

    fn data(&mut self, reference: &Reference<'_>, user: &'static str, node: &Steps) {
        let may = |access: &str| reference.node(user, node, access);
        let runs = |module: &str, name: &str| reference.operation(user, module, name);
        let (create, update, delete) = (may("create"), may("update"), may("delete"));
        let edits = runs("ietf-netconf", "edit-config");
        let object = &target(node);
        let (gets, read) = (runs("ietf-netconf", "get-config"), may("read"));
        self.compare(user, (Verb::RestconfGet, object), read, &["read"]);
        self.compare(user, (Verb::NetconfGetConfig, object), read && gets, &["read", "exec"]);
        self.compare(user, (Verb::RestconfPost, object), create, &["create"]);
        self.compare(user, (Verb::NetconfCreate, object), create && edits, &["create", "exec"]);
        // Whether the node is there, which decides between create and update, is not known to the gateway.
        for (verb, gate) in [(Verb::RestconfPatch, true), (Verb::NetconfMerge, edits)] {
            self.compare(user, (verb, object), create && update && gate, &["create", "update", "merge", "exec"]);
            if create != update && gate {
                let role = &self.roles[user];
                let told =
                    |unsaid: &sallyport::policy::nacm::Unsaid| unsaid.about == "merge" && unsaid.roles.contains(role);
                let lost = |unsaid: &sallyport::policy::nacm::Unsaid| ["create", "update"].contains(&unsaid.about);
                assert!(self.imported.unsaid.iter().any(|u| told(u) || lost(u)), "seed {}: a merge", self.seed);
            }
        }
        let all = create && update && delete;
        self.compare(user, (Verb::RestconfPut, object), all, &["create", "update", "delete", "merge", "replace"]);
        self.compare(user, (Verb::RestconfDelete, object), delete, &["delete"]);
        self.compare(user, (Verb::NetconfRemove, object), delete && edits, &["delete", "exec"]);
        self.compare(user, (Verb::NetconfAction, object), may("exec") && read, &["action", "read"]);
    }

    /// A change of a whole subtree is never allowed when NACM denies it of one node in it.
    fn subtrees(
        &mut self,
        reference: &Reference<'_>,
        user: &'static str,
        all: &[Steps],
        reached: impl Fn(&Steps) -> bool,
    ) {
        for top in all.iter().filter(|node| !is_leaf(all, node)).cloned().chain([Steps::new()]) {
            let below: Vec<&Steps> = all.iter().filter(|node| is_at_or_below(&top, node) && reached(node)).collect();
            for (verb, needs) in [
                (Verb::RestconfGet, &["read"][..]),
                (Verb::NetconfDelete, &["delete"]),
                (Verb::RestconfPut, &["create", "update", "delete"]),
            ] {
                if allows(&self.set, user, verb, &target(&top)) {
                    let denied = below.iter().find(|node| !needs.iter().all(|need| reference.node(user, node, need)));
                    assert_eq!(
                        denied,
                        None,
                        "seed {}: {user} {verb} {}\n{}",
                        self.seed,
                        target(&top),
                        self.imported.rows
                    );
                    self.tally.allowed += 1;
                }
            }
        }
    }
}

fn is_leaf(all: &[Steps], node: &Steps) -> bool {
    !all.iter().any(|other| other.len() > node.len() && is_at_or_below(node, other))
}

fn run(seeds: std::ops::Range<u64>, accept: &[Accept]) -> Tally {
    let all = nodes();
    let mut tally = Tally::default();
    let mut models = Models::default();
    let lists = |lists: &[(&str, &[&str])]| {
        lists.iter().map(|(path, keys)| ((*path).to_owned(), keys.iter().map(|k| (*k).to_owned()).collect())).collect()
    };
    let add = [("ex-if", lists(&[("/x/y", &["z"])])), ("ex-sys", Vec::new())];
    for (name, lists) in add {
        models.add(&Model { name: name.to_owned(), namespace: String::new(), lists }).expect("a model");
    }
    for seed in seeds {
        let mut dice = Dice(seed);
        let config = config(&mut dice, &all);
        let options = Options {
            element: "group:nacm".to_owned(),
            others: Some("role:others".to_owned()),
            accept: accept.to_vec(),
            models: models.clone(),
        };
        let imported = import(&Nacm::read(&as_node(&config)).expect("a rule set"), &options).expect("names");
        let mut roles = BTreeMap::from([("u4", "role:others".to_owned())]);
        for (user, _) in &USERS[..3] {
            let row =
                imported.rows.lines().find_map(|line| line.strip_prefix(&format!("g, user:{user}, "))).expect("a role");
            roles.insert(user, row.to_owned());
        }
        let mut comparison = Comparison { seed, set: set(&imported), imported: &imported, roles, tally: &mut tally };
        let reference = Reference(&config);
        // What was accepted is exact only where no module adds to another and models mark nothing that is not known.
        let accepted = !accept.is_empty();
        let reached = |node: &Steps| !accepted || node.iter().all(|(module, _, _)| *module == node[0].0);
        for (user, _) in USERS {
            for node in all.iter().filter(|node| is_leaf(&all, node) && reached(node)) {
                comparison.data(&reference, user, node);
            }
            comparison.subtrees(&reference, user, &all, reached);
            for (module, name, verb, object) in OPERATIONS.iter().filter(|(_, name, _, _)| !accepted || *name != "wipe")
            {
                comparison.compare(user, (*verb, object), reference.operation(user, module, name), &["exec"]);
            }
            if allows(&comparison.set, user, Verb::NetconfSubscribe, "NETCONF") {
                let seen = [("ex-if", "link"), ("ex-sys", "link"), ("ex-sys", "other")];
                assert!(seen.iter().all(|(module, name)| reference.notification(user, module, name)), "seed {seed}");
                assert!(reference.operation(user, "notifications", "create-subscription"), "seed {seed}");
            }
            assert!(allows(&comparison.set, user, Verb::NetconfSession, ""), "seed {seed}");
        }
    }
    tally
}

#[test]
fn generated_rule_sets_are_decided_as_the_rfc_does() {
    let tally = run(0..150, &[]);
    assert!(tally.allowed > 2_000 && tally.denied > 20_000, "{tally:?}");
    let tally = run(1_000..1_100, &Accept::ALL);
    assert!(tally.allowed > 4_000 && tally.denied > 10_000 && tally.allowed > tally.narrower, "{tally:?}");
}
