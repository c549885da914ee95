//! `policy import-nacm`: the rows decide as RFC 8341 does, or allow less and say so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use sallyport::domain::data::{Model, Models};
use sallyport::domain::{Action, Assurance, Door, Effect, Identity, Request, Verb};
use sallyport::policy::nacm::{Accept, Imported, Nacm, Node, Options, Prefix, import};
use sallyport::policy::{ElementTags, PolicySet};

/// A step of an instance: module, node, keys.
type Steps = Vec<(&'static str, &'static str, Vec<(&'static str, &'static str)>)>;

/// A rule as the generator and the reference have it.
struct Rule {
    module: &'static str,
    kind: Kind,
    access: Vec<&'static str>,
    permit: bool,
}

enum Kind {
    Any,
    Rpc(&'static str),
    Notification(&'static str),
    Path(Steps),
}

struct RuleList {
    groups: Vec<&'static str>,
    rules: Vec<Rule>,
}

struct Config {
    read_default: bool,
    write_default: bool,
    exec_default: bool,
    lists: Vec<RuleList>,
}

/// Who is in which group.
const USERS: &[(&str, &[&str])] = &[("u1", &["one"]), ("u2", &["one", "two"]), ("u3", &["two"]), ("u4", &[])];

/// RFC 8341 §3.4.4 to §3.4.6, written from its text: the first rule that matches decides, then what models mark, then the defaults.
struct Reference<'c>(&'c Config);

impl Reference<'_> {
    fn first(&self, user: &str, matches: impl Fn(&Rule) -> bool) -> Option<bool> {
        let (_, groups) = USERS.iter().find(|(name, _)| *name == user)?;
        if groups.is_empty() {
            return None;
        }
        for list in &self.0.lists {
            if !list.groups.contains(&"*") && !list.groups.iter().any(|group| groups.contains(group)) {
                continue;
            }
            if let Some(rule) = list.rules.iter().find(|rule| matches(rule)) {
                return Some(rule.permit);
            }
        }
        None
    }

    fn has(rule: &Rule, access: &str) -> bool {
        rule.access.contains(&"*") || rule.access.contains(&access)
    }

    fn operation(&self, user: &str, module: &str, name: &str) -> bool {
        let by_rule = self.first(user, |rule| {
            (rule.module == "*" || rule.module == module)
                && Self::has(rule, "exec")
                && match rule.kind {
                    Kind::Any => true,
                    Kind::Rpc(own) => own == "*" || own == name,
                    Kind::Notification(_) | Kind::Path(_) => false,
                }
        });
        by_rule.unwrap_or_else(|| {
            let marked = [("ietf-system", "system-restart"), ("ex-sys", "wipe")].contains(&(module, name));
            let refused = module == "ietf-netconf" && ["kill-session", "delete-config"].contains(&name);
            !marked && !refused && self.0.exec_default
        })
    }

    fn node(&self, user: &str, node: &Steps, access: &str) -> bool {
        let module = node.last().map_or("", |(module, _, _)| *module);
        let by_rule = self.first(user, |rule| {
            (rule.module == "*" || rule.module == module)
                && Self::has(rule, access)
                && match &rule.kind {
                    Kind::Any => true,
                    Kind::Path(path) => is_at_or_below(path, node),
                    Kind::Rpc(_) | Kind::Notification(_) => false,
                }
        });
        by_rule.unwrap_or_else(|| {
            let (all, write) = marks(node);
            let default = match access {
                "read" => self.0.read_default,
                "exec" => self.0.exec_default,
                _ => self.0.write_default && !write,
            };
            !all && default
        })
    }

    fn notification(&self, user: &str, module: &str, name: &str) -> bool {
        let by_rule = self.first(user, |rule| {
            (rule.module == "*" || rule.module == module)
                && Self::has(rule, "read")
                && match rule.kind {
                    Kind::Any => true,
                    Kind::Notification(own) => own == "*" || own == name,
                    Kind::Rpc(_) | Kind::Path(_) => false,
                }
        });
        by_rule.unwrap_or(self.0.read_default)
    }
}

fn is_at_or_below(path: &Steps, node: &Steps) -> bool {
    path.len() <= node.len()
        && path.iter().zip(node).all(|((m, n, keys), (module, name, values))| {
            m == module && n == name && keys.iter().all(|key| values.contains(key))
        })
}

/// What the models mark: default-deny-all, default-deny-write.
fn marks(node: &Steps) -> (bool, bool) {
    let all = node.iter().any(|(module, name, _)| {
        (*module, *name) == ("ietf-netconf-acm", "nacm") || (*module, *name) == ("ex-aug", "secret")
    });
    (all, false)
}

/// Every node that there is.
fn nodes() -> Vec<Steps> {
    let mut all: Vec<Steps> = Vec::new();
    let mut add = |steps: Steps| {
        for end in 1..=steps.len() {
            let part = steps[..end].to_vec();
            if !all.contains(&part) {
                all.push(part);
            }
        }
    };
    for name in ["eth0", "eth1", "it's, \"a\" #"] {
        let interface = || vec![("ex-if", "interfaces", vec![]), ("ex-if", "interface", vec![("name", name)])];
        let below = |steps: &[(&'static str, &'static str)]| {
            interface().into_iter().chain(steps.iter().map(|(module, name)| (*module, *name, vec![]))).collect()
        };
        add(below(&[("ex-if", "mtu")]));
        add(below(&[("ex-if", "config"), ("ex-if", "enabled")]));
        add(below(&[("ex-aug", "shaper"), ("ex-aug", "rate")]));
        add(below(&[("ex-aug", "shaper"), ("ex-if", "mtu")]));
    }
    for keys in
        [vec![("name", "a"), ("type", "4")], vec![("name", "a"), ("type", "6")], vec![("name", "b"), ("type", "4")]]
    {
        add(vec![("ex-sys", "system", vec![]), ("ex-sys", "acl", keys), ("ex-sys", "note", vec![])]);
    }
    add(vec![("ex-sys", "system", vec![]), ("ex-sys", "name", vec![])]);
    add(vec![("ex-sys", "system", vec![]), ("ex-aug", "config", vec![]), ("ex-aug", "secret", vec![])]);
    add(vec![("ietf-netconf-acm", "nacm", vec![]), ("ietf-netconf-acm", "enable-nacm", vec![])]);
    all
}

/// Operations: module, name, and the action that the gateway asks for.
const OPERATIONS: &[(&str, &str, Verb, &str)] = &[
    ("ietf-netconf", "lock", Verb::NetconfLock, "candidate"),
    ("ietf-netconf", "commit", Verb::NetconfCommit, ""),
    ("ietf-netconf", "commit", Verb::NetconfCommit, "confirmed"),
    ("ietf-netconf", "kill-session", Verb::NetconfKillSession, "7"),
    ("ietf-netconf", "delete-config", Verb::NetconfDeleteConfig, "startup"),
    ("ietf-netconf-monitoring", "get-schema", Verb::NetconfGetSchema, "x"),
    ("ietf-system", "system-restart", Verb::NetconfRpc, "ietf-system:system-restart"),
    ("ietf-system", "other", Verb::NetconfRpc, "ietf-system:other"),
    ("ex-sys", "reset", Verb::NetconfRpc, "ex-sys:reset"),
    ("ex-sys", "reset", Verb::RestconfOperation, "ex-sys:reset"),
    ("ex-sys", "wipe", Verb::NetconfRpc, "ex-sys:wipe"),
];

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

fn leaf(name: &str, text: &str) -> Node {
    Node { name: name.to_owned(), text: text.to_owned(), ..Node::default() }
}

fn holder(name: &str, children: Vec<Node>) -> Node {
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

fn set(imported: &Imported) -> PolicySet {
    let dir = tempfile::tempdir().expect("a folder");
    let rows = format!("{}g, user:u4, role:others\n", imported.rows);
    fs::write(dir.path().join("model.conf"), include_str!("../../policies/model.conf")).expect("a file");
    fs::write(dir.path().join("policy.csv"), &rows).expect("a file");
    fs::write(dir.path().join("models.toml"), &imported.models).expect("a file");
    let tags = [ElementTags { name: "r1".parse().expect("a name"), groups: vec!["nacm".to_owned()] }];
    PolicySet::load(dir.path(), &tags).unwrap_or_else(|problems| panic!("{problems:?}\n{rows}"))
}

fn allows(set: &PolicySet, user: &str, verb: Verb, object: &str) -> bool {
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

/// Prefixes are the document's: the same name of two modules, and one whose module nobody knows.
#[test]
fn a_prefix_that_is_not_known_allows_nothing() {
    let prefixes = vec![
        ("i".to_owned(), Prefix::Module("ex-if".to_owned())),
        ("v".to_owned(), Prefix::Namespace("urn:vendor".to_owned())),
    ];
    let path = |text: &str| Node { prefixes: Some(prefixes.clone()), ..leaf("path", text) };
    let rule = |name: &str, text: &str, action: &str| {
        holder("rule", vec![leaf("name", name), path(text), leaf("action", action)])
    };
    let rules = vec![
        leaf("name", "l"),
        leaf("group", "*"),
        rule("unknown", "/v:interfaces", "permit"),
        rule("secret", "/i:interfaces/v:secret", "deny"),
        rule("all", "/i:interfaces", "permit"),
    ];
    let group = holder("group", vec![leaf("name", "one"), leaf("user-name", "u1")]);
    let nacm = holder("nacm", vec![holder("groups", vec![group]), holder("rule-list", rules)]);
    let options = Options {
        element: "group:nacm".to_owned(),
        others: Some("role:others".to_owned()),
        accept: Vec::new(),
        models: Models::default(),
    };
    let imported = import(&Nacm::read(&nacm).expect("a rule set"), &options).expect("names");
    let told: Vec<_> = imported.unsaid.iter().filter(|u| u.about == "read").filter_map(|u| u.rule.as_deref()).collect();
    assert_eq!(told, ["l/secret", "l/unknown"]);
    let set = set(&imported);
    for (object, allowed) in [
        ("running:/ex-if:interfaces/mtu", true),
        ("running:/vendor:interfaces/mtu", false),
        ("running:/interfaces/mtu", false),
        ("running:/ex-if:interfaces/vendor:secret", false),
        ("running:/ex-if:interfaces/secret", false),
    ] {
        assert_eq!(allows(&set, "u1", Verb::RestconfGet, object), allowed, "{object}");
    }
}

const XML: &str = r#"<rpc-reply xmlns="urn:ietf:params:xml:ns:netconf:base:1.0" message-id="1"><data>
<nacm xmlns="urn:ietf:params:xml:ns:yang:ietf-netconf-acm">
  <read-default>deny</read-default><exec-default>deny</exec-default><enable-external-groups>false</enable-external-groups>
  <groups><group><name>noc</name><user-name>ada</user-name></group></groups>
  <rule-list><name>noc</name><group>noc</group>
    <rule><name>no-config</name><path xmlns:i="urn:ietf:params:xml:ns:yang:ietf-interfaces">/i:interfaces/i:interface[i:name='eth0']</path>
      <access-operations>read</access-operations><action>deny</action></rule>
    <rule><name>interfaces</name><path xmlns:i="urn:ietf:params:xml:ns:yang:ietf-interfaces">/i:interfaces</path>
      <access-operations>read</access-operations><action>permit</action></rule>
    <rule><name>get</name><module-name>ietf-netconf</module-name><rpc-name>get-config</rpc-name><access-operations>exec</access-operations>
      <action>permit</action></rule>
  </rule-list>
</nacm></data></rpc-reply>"#;

const JSON: &str = r#"{"ietf-netconf-acm:nacm": {"read-default": "deny", "exec-default": "deny", "enable-external-groups": false,
  "groups": {"group": [{"name": "noc", "user-name": ["ada"]}]},
  "rule-list": [{"name": "noc", "group": ["noc"], "rule": [
    {"name": "no-config", "path": "/ietf-interfaces:interfaces/interface[name='eth0']", "access-operations": "read", "action": "deny"},
    {"name": "interfaces", "path": "/ietf-interfaces:interfaces", "access-operations": "read", "action": "permit"},
    {"name": "get", "module-name": "ietf-netconf", "rpc-name": "get-config", "access-operations": "exec", "action": "permit"}]}]}}"#;

fn import_file(dir: &Path, text: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let file = dir.join("nacm");
    fs::write(&file, text).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    let output = command.args(["policy", "import-nacm"]).arg(&file).args(more).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn xml_and_json_give_the_same_rows() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, from_xml, errors) = import_file(dir.path(), XML, &["--element", "element:r1"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{from_xml}");
    let (code, from_json, _) = import_file(dir.path(), JSON, &["--element", "element:r1"]);
    assert_eq!((code, &from_json), (Some(0), &from_xml));
    for row in [
        "g, user:ada, role:nacm-noc",
        "p, role:nacm-noc, element:r1, *, netconf.get-config, /ietf-interfaces:interfaces, allow",
        "p, role:nacm-noc, element:r1, *, netconf.get-config, /ietf-interfaces:interfaces/ietf-interfaces:interface[name='eth0'], deny",
        "#   \"/interfaces/interface\" = [\"name\"]",
    ] {
        assert!(from_xml.lines().any(|line| line == row), "{row}\n{from_xml}");
    }
    assert!(!from_xml.contains("netconf.merge") && !from_xml.contains("netconf.get,"), "{from_xml}");

    let out = dir.path().join("out");
    let (code, _, errors) = import_file(dir.path(), XML, &["--out", out.to_str().expect("a path")]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(fs::read_to_string(out.join("policy.csv")).expect("rows").contains("group:nacm"));
    assert!(fs::read_to_string(out.join("models.toml")).expect("models").contains("ietf-interfaces"));
    assert_eq!(fs::read_to_string(out.join("report.txt")).expect("a report"), "");
}

#[test]
fn what_cannot_be_said_or_read_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, text, errors) =
        import_file(dir.path(), &XML.replace("<read-default>deny", "<read-default>permit"), &["--json"]);
    assert_eq!(code, Some(1), "{errors}");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let about: Vec<_> =
        json["unsaid"].as_array().expect("a list").iter().map(|unsaid| (&unsaid["about"], &unsaid["accept"])).collect();
    assert!(about.iter().any(|(about, accept)| *about == "read" && *accept == "marks"), "{text}");
    assert!(about.iter().any(|(about, _)| *about == "user"), "{text}");

    let twice = "<module-name>a</module-name><module-name>b</module-name>";
    for (bad, why) in [
        ("<nacm/>".to_owned(), "holds no `nacm`"),
        ("{}".to_owned(), "holds no"),
        ("{".to_owned(), "JSON"),
        (String::new(), "ends before"),
        ("<!DOCTYPE x><nacm/>".to_owned(), "document type"),
        (XML.replace("<module-name>ietf-netconf</module-name>", twice), "twice"),
        (XML.replace("<group>noc</group>", "<group>n<!-- -->oc</group>"), "two ways"),
    ] {
        let (code, _, errors) = import_file(dir.path(), &bad, &[]);
        assert!(code == Some(2) && errors.contains(why), "{why}: {code:?} {errors}");
    }
    let (code, _, errors) = import_file(dir.path(), XML, &["--element", "r1"]);
    assert!(code == Some(2) && errors.contains("element:NAME"), "{errors}");
    let off = XML.replace("<read-default>", "<enable-nacm>false</enable-nacm><read-default>");
    let (code, rows, _) = import_file(dir.path(), &off, &[]);
    assert!(code == Some(1) && !rows.lines().any(|line| line.starts_with('p')), "{rows}");
}
