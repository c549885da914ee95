//! From the rules of one set of groups to the rows of one role.

use std::collections::BTreeSet;

use super::read::{Access, Kind, Nacm, Rule};
use super::region::{Allowed, Data, Operation, PathStep};
use super::report::{Accept, Imported, Lists};
use crate::domain::Verb;
use crate::domain::data::Models;
use crate::policy::names::{self, Kind as NameKind};

/// How a rule set becomes rows.
#[derive(Debug, Clone)]
pub struct Options {
    /// The element or group of elements that the rows are for, as rows name it.
    pub element: String,
    /// The role of people who are in no group of NACM, as rows name it.
    pub others: Option<String>,
    /// Approximations that are accepted.
    pub accept: Vec<Accept>,
    /// The models that are known already.
    pub models: Models,
}

const NETCONF: &str = "ietf-netconf";
const NMDA: &str = "ietf-netconf-nmda";

/// Operations with a verb of their own.
const OPERATIONS: &[(&str, &str, Verb, &str)] = &[
    (NETCONF, "lock", Verb::NetconfLock, "*"),
    (NETCONF, "unlock", Verb::NetconfUnlock, "*"),
    (NETCONF, "commit", Verb::NetconfCommit, "*"),
    (NETCONF, "cancel-commit", Verb::NetconfCancelCommit, "-"),
    (NETCONF, "discard-changes", Verb::NetconfDiscardChanges, "-"),
    (NETCONF, "validate", Verb::NetconfValidate, "*"),
    (NETCONF, "copy-config", Verb::NetconfCopyConfig, "*"),
    (NETCONF, "delete-config", Verb::NetconfDeleteConfig, "*"),
    (NETCONF, "kill-session", Verb::NetconfKillSession, "*"),
    ("ietf-netconf-monitoring", "get-schema", Verb::NetconfGetSchema, "*"),
    ("ietf-netconf-partial-lock", "partial-unlock", Verb::NetconfPartialUnlock, "-"),
];

/// Operations that are denied by default (RFC 8341 §3.4.4, and `nacm:default-deny-all` in modules of the IETF).
const DENIED_OPERATIONS: &[(&str, &str)] = &[
    (NETCONF, "kill-session"),
    (NETCONF, "delete-config"),
    ("ietf-system", "set-current-datetime"),
    ("ietf-system", "system-restart"),
    ("ietf-system", "system-shutdown"),
    ("ietf-factory-default", "factory-reset"),
    ("ietf-subscribed-notifications", "kill-subscription"),
];

/// Nodes that are denied by default, and whether only their writing is.
const DENIED_NODES: &[(&str, &[&str], bool)] = &[
    ("ietf-netconf-acm", &["nacm"], false),
    ("ietf-system", &["system", "radius", "server", "udp", "shared-secret"], false),
    ("ietf-system", &["system", "authentication"], true),
];

/// The access operations on data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Create,
    Read,
    Update,
    Delete,
    Action,
}

impl On {
    const fn of(self, access: Access) -> bool {
        match self {
            Self::Create => access.create,
            Self::Read => access.read,
            Self::Update => access.update,
            Self::Delete => access.delete,
            Self::Action => access.exec,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Action => "action",
        }
    }
}

/// Turns a rule set into rows.
///
/// # Errors
/// An element or role that is no name.
pub fn import(nacm: &Nacm, options: &Options) -> Result<Imported, String> {
    names::check(&options.element, &[NameKind::Element, NameKind::Group])?;
    if let Some(others) = &options.others {
        names::check(others, &[NameKind::Role])?;
    }
    let mut imported = Imported::default();
    for strange in &nacm.strange {
        let text = format!("{strange} is not part of RFC 8341 and was left out; look whether it restricts anything");
        imported.unsaid(None, "file", None, &text, None);
    }
    if !nacm.enabled {
        let text = "enable-nacm is false: everything is allowed to everybody, which no row says; no rows were written";
        imported.unsaid(None, "file", None, text, None);
        return Ok(imported);
    }
    imported.comment("Made from a NACM rule set. Roles add up in our rows: give nobody two of these roles, and no other row for these elements.");
    if nacm.external_groups {
        imported.comment("Groups that a login server adds (enable-external-groups) are not in the file: their rules hold for nobody here.");
    }
    let mut lists = Lists::default();
    for (role, groups) in roles(nacm, &mut imported) {
        Role { nacm, options, role: &role, groups: &groups, out: &mut imported, lists: &mut lists }.write();
    }
    match &options.others {
        Some(role) => {
            let groups = BTreeSet::new();
            Role { nacm, options, role, groups: &groups, out: &mut imported, lists: &mut lists }.write();
        }
        None if nacm.read_default || nacm.write_default || nacm.exec_default => {
            let text =
                "what the defaults permit to people in no group is permitted to nobody; name their role with --others";
            imported.unsaid(None, "user", None, text, None);
        }
        None => {}
    }
    imported.models = lists.toml(&options.models);
    Ok(imported)
}

/// A role for each set of groups that somebody is in and for each group that nobody is named in; writes who has it.
fn roles(nacm: &Nacm, out: &mut Imported) -> Vec<(String, BTreeSet<String>)> {
    let users: BTreeSet<&String> = nacm.groups.iter().flat_map(|(_, users)| users).collect();
    let mut sets: Vec<(String, BTreeSet<String>)> = Vec::new();
    let mut role_of = |groups: BTreeSet<String>| {
        if let Some((role, _)) = sets.iter().find(|(_, known)| *known == groups) {
            return role.clone();
        }
        let plain: Vec<String> = groups.iter().map(|group| slug(group)).collect();
        let mut role = format!("role:nacm-{}", plain.join("."));
        if names::check(&role, &[NameKind::Role]).is_err() || sets.iter().any(|(known, _)| *known == role) {
            role = format!("role:nacm-set-{}", sets.len() + 1);
        }
        sets.push((role.clone(), groups));
        role
    };
    let in_groups = |user: &String| {
        let own = nacm.groups.iter().filter(|(_, users)| users.contains(user));
        own.map(|(group, _)| group.clone()).collect::<BTreeSet<String>>()
    };
    for user in users {
        let who = format!("user:{user}");
        match names::check(&who, &[NameKind::User]) {
            Ok(_) => out.row(&["g", &who, &role_of(in_groups(user))]),
            Err(text) => out.unsaid(None, "user", None, &format!("the user was left out: {text}"), None),
        }
    }
    for (group, _) in nacm.groups.iter().filter(|(_, users)| users.is_empty()) {
        role_of(BTreeSet::from([group.clone()]));
    }
    sets
}

fn slug(group: &str) -> String {
    group.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// One role that is being written.
struct Role<'a> {
    nacm: &'a Nacm,
    options: &'a Options,
    role: &'a str,
    groups: &'a BTreeSet<String>,
    out: &'a mut Imported,
    lists: &'a mut Lists,
}

impl<'a> Role<'a> {
    fn write(&mut self) {
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        let whom = if groups.is_empty() { "people in no group".to_owned() } else { groups.join(" and ") };
        self.out.comment(&format!("--- NACM: {whom}"));
        self.out.row(&["p", self.role, &self.options.element, "*", Verb::NetconfSession.as_str(), "-", "allow"]);
        self.data();
        for (module, name, verb, object) in OPERATIONS {
            if self.may_run(module, name) {
                self.out.row(&["p", self.role, &self.options.element, "*", verb.as_str(), object, "allow"]);
            }
        }
        self.operations();
        self.notifications();
    }

    fn accepts(&self, accept: Accept) -> bool {
        self.options.accept.contains(&accept)
    }

    fn says(&mut self, about: &'static str, rule: Option<&str>, text: &str, accept: Option<Accept>) {
        self.out.unsaid(Some(self.role), about, rule, text, accept);
    }

    /// The rules that count for these groups, in their order. People in no group have none (RFC 8341 §3.4.4).
    fn rules(&self) -> impl DoubleEndedIterator<Item = &'a Rule> + use<'a> {
        let (nacm, groups) = (self.nacm, self.groups);
        let counts = move |list: &&super::read::RuleList| {
            !groups.is_empty() && list.groups.iter().any(|group| group == "*" || groups.contains(group))
        };
        nacm.lists.iter().filter(counts).flat_map(|list| &list.rules)
    }

    fn data(&mut self) {
        let [create, read, update, delete, action] =
            [On::Create, On::Read, On::Update, On::Delete, On::Action].map(|on| self.allowed(on));
        if create != update {
            let text = "creating and updating are not told apart in a merge: it is allowed only where both are";
            self.says("merge", None, text, None);
        }
        let merge = create.both(&update);
        let replace = merge.both(&delete);
        if replace != merge || replace != delete {
            let text = "replacing creates, updates and deletes: it is allowed only where all three are";
            self.says("replace", None, text, None);
        }
        let action = action.both(&read);
        let gnmi = self.accepts(Accept::Gnmi);
        let edits = self.may_edit();
        let [get, get_config, get_data, lock] = [
            (NETCONF, "get"),
            (NETCONF, "get-config"),
            (NMDA, "get-data"),
            ("ietf-netconf-partial-lock", "partial-lock"),
        ]
        .map(|(module, name)| self.may_run(module, name));
        for (verb, may, allowed) in [
            (Verb::NetconfGet, get, &read),
            (Verb::NetconfGetConfig, get_config, &read),
            (Verb::NetconfGetData, get_data, &read),
            (Verb::NetconfPartialLock, lock, &read),
            (Verb::RestconfGet, true, &read),
            (Verb::GnmiGet, gnmi, &read),
            (Verb::GnmiSubscribe, gnmi, &read),
            (Verb::NetconfCreate, edits, &create),
            (Verb::RestconfPost, true, &create),
            (Verb::NetconfMerge, edits, &merge),
            (Verb::RestconfPatch, true, &merge),
            (Verb::GnmiUpdate, gnmi, &merge),
            (Verb::NetconfReplace, edits, &replace),
            (Verb::RestconfPut, true, &replace),
            (Verb::GnmiReplace, gnmi, &replace),
            (Verb::NetconfDelete, edits, &delete),
            (Verb::NetconfRemove, edits, &delete),
            (Verb::RestconfDelete, true, &delete),
            (Verb::GnmiDelete, gnmi, &delete),
            (Verb::NetconfAction, true, &action),
            (Verb::RestconfAction, true, &action),
        ] {
            if may {
                self.rows(verb, allowed.allow.iter().map(Data::text), "allow");
                self.rows(verb, allowed.deny.iter().map(Data::text), "deny");
                allowed.allow.iter().chain(&allowed.deny).for_each(|data| self.lists.learn(&data.steps));
            }
        }
    }

    fn rows(&mut self, verb: Verb, objects: impl Iterator<Item = String>, effect: &str) {
        for object in objects {
            self.out.row(&["p", self.role, &self.options.element, "*", verb.as_str(), &object, effect]);
        }
    }

    /// What the rules allow of one access operation on data (RFC 8341 §3.4.5).
    fn allowed(&mut self, on: On) -> Allowed<Data> {
        let permits = match on {
            On::Read => self.nacm.read_default,
            On::Create | On::Update | On::Delete => self.nacm.write_default,
            On::Action => self.nacm.exec_default,
        };
        let mut allowed = Allowed::nothing();
        if permits && self.default_counts(on.as_str()) {
            allowed = Allowed::all_of(Data::everything());
            for (module, path, writes) in DENIED_NODES.iter().filter(|(_, _, writes)| !*writes || on != On::Read) {
                let step = |name: &&str| PathStep {
                    module: Some((*module).to_owned()),
                    name: (*name).to_owned(),
                    keys: Vec::new(),
                };
                // An action is no write of a node.
                if !*writes || on != On::Action {
                    allowed.deny(&Data { steps: path.iter().map(step).collect(), module: None });
                }
            }
        }
        for rule in self.rules().rev().filter(|rule| on.of(rule.access)) {
            let Some(region) = self.region(rule) else { continue };
            let nodes_of = rule.module.is_some() && !self.accepts(Accept::Augmentations);
            if !rule.permits {
                allowed.deny(&region);
                self.says_wider_deny(on.as_str(), rule, &region);
                self.says_unsure(on.as_str(), rule);
            } else if rule.unsure.is_some() {
                self.says_unsure(on.as_str(), rule);
            } else if nodes_of {
                let text = "it permits nodes of one module, but not what other modules add below them, which rows do not tell apart: left out";
                self.says(on.as_str(), Some(&rule.name), text, Some(Accept::Augmentations));
            } else if !allowed.permit(&region) {
                let text = "it permits what a later rule denies around it, or part of it, while one still later permits more: what both are about stays denied";
                self.says(on.as_str(), Some(&rule.name), text, None);
            }
        }
        allowed
    }

    /// The part of the data that a rule is about.
    fn region(&self, rule: &Rule) -> Option<Data> {
        let steps = match &rule.kind {
            Kind::Any => Vec::new(),
            Kind::Data(steps) => steps.clone(),
            Kind::Operation(_) | Kind::Notification(_) => return None,
        };
        let Some(module) = &rule.module else { return Some(Data { steps, module: None }) };
        match steps.last() {
            Some(last) if last.module.as_ref() == Some(module) => Some(Data { steps, module: None }),
            None if self.accepts(Accept::Augmentations) => {
                let top = PathStep { module: Some(module.clone()), name: "*".to_owned(), keys: Vec::new() };
                Some(Data { steps: vec![top], module: None })
            }
            _ => Some(Data { steps, module: Some(module.clone()) }),
        }
    }

    /// A node of the module could be below any node, so that a row that denies those denies all around them.
    fn says_wider_deny(&mut self, about: &'static str, rule: &Rule, region: &Data) {
        let accept = (!self.accepts(Accept::Augmentations)).then_some(Accept::Augmentations);
        let text = match (&region.module, region.steps.is_empty()) {
            (Some(_), true) => "it denies the nodes of one module wherever they are: its rows deny all data",
            (Some(_), false) => {
                "it denies the nodes of one module below a node of another: its rows deny all below that"
            }
            (None, _) if rule.module.is_some() && accept.is_some() => {
                "it denies nodes of one module: its rows deny also what other modules add below them"
            }
            (None, _) => return,
        };
        self.says(
            about,
            Some(&rule.name),
            text,
            if region.steps.is_empty() || region.module.is_none() { accept } else { None },
        );
    }

    fn says_unsure(&mut self, about: &'static str, rule: &Rule) {
        if let Some(why) = &rule.unsure {
            let instead = if rule.permits { "left out" } else { "its rows deny at least what it does" };
            self.says(about, Some(&rule.name), &format!("{why}: {instead}"), None);
        }
    }

    /// Whether a default that permits does: what the models of the element mark is not known.
    fn default_counts(&mut self, about: &'static str) -> bool {
        if self.accepts(Accept::Marks) {
            return true;
        }
        let text = "the default permits all but what the element's models mark as nacm:default-deny-all or -write, which only they tell: nothing is permitted by default";
        self.says(about, None, text, Some(Accept::Marks));
        false
    }

    /// Whether an operation of a known module may be run (RFC 8341 §3.4.4): by the first rule that matches, or the default.
    fn may_run(&mut self, module: &str, name: &str) -> bool {
        for rule in self.rules().filter(|rule| rule.access.exec) {
            let fits = match &rule.kind {
                Kind::Any => true,
                Kind::Operation(own) => own.as_ref().is_none_or(|own| own == name),
                Kind::Notification(_) | Kind::Data(_) => false,
            };
            if fits && rule.module.as_ref().is_none_or(|own| own == module) {
                self.says_unsure("exec", rule);
                if !(rule.permits && rule.unsure.is_some()) {
                    return rule.permits;
                }
            }
        }
        self.nacm.exec_default && !DENIED_OPERATIONS.contains(&(module, name))
    }

    fn may_edit(&mut self) -> bool {
        let (config, data) = (self.may_run(NETCONF, "edit-config"), self.may_run(NMDA, "edit-data"));
        if config != data {
            if self.accepts(Accept::EditData) {
                return config;
            }
            let text =
                "edit-config and edit-data are not told apart and only one of them is permitted: no NETCONF edit is";
            for about in ["create", "merge", "replace", "delete"] {
                self.says(about, None, text, Some(Accept::EditData));
            }
        }
        config && data
    }

    /// Operations of models, over NETCONF and RESTCONF.
    fn operations(&mut self) {
        let every = Operation { module: None, name: None };
        let mut allowed = Allowed::nothing();
        if self.nacm.exec_default && self.default_counts("exec") {
            allowed = Allowed::all_of(every);
            for (module, name) in DENIED_OPERATIONS {
                allowed.deny(&Operation { module: Some((*module).to_owned()), name: Some((*name).to_owned()) });
            }
        }
        for rule in self.rules().rev().filter(|rule| rule.access.exec) {
            let name = match &rule.kind {
                Kind::Any => None,
                Kind::Operation(name) => name.clone(),
                Kind::Notification(_) | Kind::Data(_) => continue,
            };
            let region = Operation { module: rule.module.clone(), name };
            if !rule.permits {
                allowed.deny(&region);
            } else if rule.unsure.is_none() && !allowed.permit(&region) {
                let text = "it permits what a later rule denies around it, or part of it, while one still later permits more: what both are about stays denied";
                self.says("exec", Some(&rule.name), text, None);
            }
            self.says_unsure("exec", rule);
        }
        for verb in [Verb::NetconfRpc, Verb::RestconfOperation] {
            self.rows(verb, allowed.allow.iter().map(Operation::text), "allow");
            self.rows(verb, allowed.deny.iter().map(Operation::text), "deny");
        }
    }

    /// Notifications are not told apart by the gateway: who may not see every one may not subscribe.
    fn notifications(&mut self) {
        let mut some = false;
        let mut every = None;
        for rule in self.rules().filter(|rule| rule.access.read && !matches!(rule.kind, Kind::Operation(_))) {
            let all = rule.module.is_none() && matches!(rule.kind, Kind::Any | Kind::Notification(None));
            match (rule.permits, all && rule.unsure.is_none()) {
                (false, _) => every = Some(false),
                (true, true) => every = Some(true),
                (true, false) => some = true,
            }
            if every.is_some() {
                some |= every == Some(false) && self.nacm.read_default;
                break;
            }
        }
        let every = every.unwrap_or_else(|| self.nacm.read_default && self.default_counts("notification"));
        if !every {
            if some {
                let text = "only some notifications are permitted, which the gateway does not tell apart: subscribing is not allowed";
                self.says("notification", None, text, None);
            }
            return;
        }
        let subscribes = self.may_run("notifications", "create-subscription");
        if subscribes != self.may_run("ietf-subscribed-notifications", "establish-subscription") {
            let text = "create-subscription and establish-subscription are not told apart and only one of them is permitted: neither is";
            self.says("notification", None, text, None);
        } else if subscribes {
            self.rows(Verb::NetconfSubscribe, std::iter::once("*".to_owned()), "allow");
        }
        self.rows(Verb::RestconfStream, std::iter::once("*".to_owned()), "allow");
    }
}
