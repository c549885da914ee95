//! RFC 8341 as a small program of its own, to hold the importer's rows against, and what is asked of both.

use sallyport::domain::Verb;

/// A step of an instance: module, node, keys.
pub(super) type Steps = Vec<(&'static str, &'static str, Vec<(&'static str, &'static str)>)>;

/// A rule as the generator and the reference have it.
pub(super) struct Rule {
    pub(super) module: &'static str,
    pub(super) kind: Kind,
    pub(super) access: Vec<&'static str>,
    pub(super) permit: bool,
}

pub(super) enum Kind {
    Any,
    Rpc(&'static str),
    Notification(&'static str),
    Path(Steps),
}

pub(super) struct RuleList {
    pub(super) groups: Vec<&'static str>,
    pub(super) rules: Vec<Rule>,
}

pub(super) struct Config {
    pub(super) read_default: bool,
    pub(super) write_default: bool,
    pub(super) exec_default: bool,
    pub(super) lists: Vec<RuleList>,
}

/// Who is in which group.
pub(super) const USERS: &[(&str, &[&str])] =
    &[("u1", &["one"]), ("u2", &["one", "two"]), ("u3", &["two"]), ("u4", &[])];

/// RFC 8341 §3.4.4 to §3.4.6, written from its text: the first rule that matches decides, then what models mark, then the defaults.
pub(super) struct Reference<'c>(pub(super) &'c Config);

impl Reference<'_> {
    pub(super) fn first(&self, user: &str, matches: impl Fn(&Rule) -> bool) -> Option<bool> {
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

    pub(super) fn has(rule: &Rule, access: &str) -> bool {
        rule.access.contains(&"*") || rule.access.contains(&access)
    }

    pub(super) fn operation(&self, user: &str, module: &str, name: &str) -> bool {
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

    pub(super) fn node(&self, user: &str, node: &Steps, access: &str) -> bool {
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

    pub(super) fn notification(&self, user: &str, module: &str, name: &str) -> bool {
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

pub(super) fn is_at_or_below(path: &Steps, node: &Steps) -> bool {
    path.len() <= node.len()
        && path.iter().zip(node).all(|((m, n, keys), (module, name, values))| {
            m == module && n == name && keys.iter().all(|key| values.contains(key))
        })
}

/// What the models mark: default-deny-all, default-deny-write.
pub(super) fn marks(node: &Steps) -> (bool, bool) {
    let all = node.iter().any(|(module, name, _)| {
        (*module, *name) == ("ietf-netconf-acm", "nacm") || (*module, *name) == ("ex-aug", "secret")
    });
    (all, false)
}

/// Every node that there is.
pub(super) fn nodes() -> Vec<Steps> {
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
pub(super) const OPERATIONS: &[(&str, &str, Verb, &str)] = &[
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
