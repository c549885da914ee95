//! A NACM configuration (RFC 8341 §3.5) as it is written down.

use super::region::PathStep;

/// A node of the configuration, whatever its encoding.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Its name, without module or prefix.
    pub name: String,
    /// The value of a leaf.
    pub text: String,
    /// What is in it.
    pub children: Vec<Self>,
    /// What prefixes mean here, by prefix; nothing in JSON, where prefixes are modules.
    pub prefixes: Option<Vec<(String, Prefix)>>,
}

/// What a prefix stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefix {
    /// A module.
    Module(String),
    /// A namespace whose module is not known.
    Namespace(String),
}

/// The configuration.
#[derive(Debug, Clone, Default)]
pub struct Nacm {
    pub(super) enabled: bool,
    pub(super) read_default: bool,
    pub(super) write_default: bool,
    pub(super) exec_default: bool,
    pub(super) external_groups: bool,
    pub(super) groups: Vec<(String, Vec<String>)>,
    pub(super) lists: Vec<RuleList>,
    /// What was not understood.
    pub(super) strange: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct RuleList {
    pub(super) groups: Vec<String>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) permits: bool,
    /// `None` is every module.
    pub(super) module: Option<String>,
    pub(super) access: Access,
    pub(super) kind: Kind,
    /// Why it might match less than is read here.
    pub(super) unsure: Option<String>,
}

/// The access operations of a rule.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Access {
    pub(super) create: bool,
    pub(super) read: bool,
    pub(super) update: bool,
    pub(super) delete: bool,
    pub(super) exec: bool,
}

/// The rule-type of a rule; `None` is `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    Operation(Option<String>),
    Notification(Option<String>),
    Data(Vec<PathStep>),
}

/// Steps of a path that are told apart.
const STEPS_MAX: usize = 48;
/// The longest value of a key that goes into a row.
const VALUE_BYTES_MAX: usize = 256;

impl Node {
    fn leaf(&self, name: &str) -> Option<&str> {
        self.children.iter().find(|child| child.name == name).map(|child| child.text.trim())
    }

    /// SECURITY: which of two would count is the element's choice.
    fn has_each_once(&self, repeated: &[&str]) -> Result<(), String> {
        let twice = self.children.iter().zip(0_usize..).find(|(child, at)| {
            !repeated.contains(&child.name.as_str())
                && self.children.iter().skip(at + 1).any(|other| other.name == child.name)
        });
        twice.map_or(Ok(()), |(child, _)| Err(format!("`{}` is twice in `{}`", child.name, self.name)))
    }

    fn all<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

impl Nacm {
    /// Reads the `nacm` container.
    ///
    /// # Errors
    /// Something is there twice that can be there once.
    pub fn read(nacm: &Node) -> Result<Self, String> {
        nacm.has_each_once(&["rule-list"])?;
        let known = [
            "enable-nacm",
            "read-default",
            "write-default",
            "exec-default",
            "enable-external-groups",
            "denied-operations",
            "denied-data-writes",
            "denied-notifications",
            "groups",
            "rule-list",
        ];
        let strange = nacm.children.iter().filter(|child| !known.contains(&child.name.as_str()));
        let mut read = Self {
            enabled: nacm.leaf("enable-nacm") != Some("false"),
            read_default: nacm.leaf("read-default").is_none_or(|word| word == "permit"),
            write_default: nacm.leaf("write-default") == Some("permit"),
            exec_default: nacm.leaf("exec-default").is_none_or(|word| word == "permit"),
            external_groups: nacm.leaf("enable-external-groups") != Some("false"),
            strange: strange.map(|child| format!("`{}`", child.name)).collect(),
            ..Self::default()
        };
        for group in nacm.all("groups").flat_map(|groups| groups.all("group")) {
            let users = group.all("user-name").map(|user| user.text.trim().to_owned()).collect();
            read.groups.push((group.leaf("name").unwrap_or_default().to_owned(), users));
        }
        for list in nacm.all("rule-list") {
            list.has_each_once(&["group", "rule"])?;
            list.all("rule").try_for_each(|rule| rule.has_each_once(&[]))?;
            let name = list.leaf("name").unwrap_or_default();
            let strange = list.children.iter().filter(|c| !["name", "group", "rule"].contains(&c.name.as_str()));
            read.strange.extend(strange.map(|child| format!("`{}` in the rule list `{name}`", child.name)));
            read.lists.push(RuleList {
                groups: list.all("group").map(|group| group.text.trim().to_owned()).collect(),
                rules: list.all("rule").map(|node| rule(name, node)).collect(),
            });
        }
        Ok(read)
    }
}

fn rule(list: &str, node: &Node) -> Rule {
    let known =
        ["name", "module-name", "rpc-name", "notification-name", "path", "access-operations", "action", "comment"];
    let mut unsure =
        node.children.iter().find(|c| !known.contains(&c.name.as_str())).map(|c| format!("`{}` is not known", c.name));
    let star = |word: &str| (word != "*").then(|| word.to_owned());
    let words: Vec<&str> = node.leaf("access-operations").unwrap_or("*").split_whitespace().collect();
    let has = |word: &str| words.contains(&"*") || words.contains(&word);
    let mut access = Access {
        create: has("create"),
        read: has("read"),
        update: has("update"),
        delete: has("delete"),
        exec: has("exec"),
    };
    if let Some(odd) = words.iter().find(|word| !["*", "create", "read", "update", "delete", "exec"].contains(word)) {
        unsure = Some(format!("`{odd}` is no access operation"));
        access = Access { create: true, read: true, update: true, delete: true, exec: true };
    }
    let types: Vec<&Node> = node
        .children
        .iter()
        .filter(|child| ["rpc-name", "notification-name", "path"].contains(&child.name.as_str()))
        .collect();
    let kind = match types.as_slice() {
        [] => Kind::Any,
        [only] if only.name == "rpc-name" => Kind::Operation(star(only.text.trim())),
        [only] if only.name == "notification-name" => Kind::Notification(star(only.text.trim())),
        [only] => {
            let (steps, why) = path(only.text.trim(), only.prefixes.as_deref());
            unsure = unsure.or(why);
            Kind::Data(steps)
        }
        _ => {
            unsure = Some("it is of two types".to_owned());
            Kind::Any
        }
    };
    let action = node.leaf("action");
    if !matches!(action, Some("permit" | "deny")) {
        unsure = Some("its action is neither permit nor deny".to_owned());
    }
    Rule {
        name: format!("{list}/{}", node.leaf("name").unwrap_or_default()),
        permits: action == Some("permit"),
        module: node.leaf("module-name").and_then(star),
        access,
        kind,
        unsure,
    }
}

/// Reads a path: as far as a row can say it, and why it cannot say more.
fn path(text: &str, prefixes: Option<&[(String, Prefix)]>) -> (Vec<PathStep>, Option<String>) {
    let mut steps: Vec<PathStep> = Vec::new();
    let mut rest = text;
    let mut unsure = None;
    if !text.starts_with('/') {
        return (steps, Some("its path does not begin with `/`".to_owned()));
    }
    while let Some(after) = rest.strip_prefix('/') {
        if after.is_empty() && steps.is_empty() {
            return (steps, unsure);
        }
        if steps.len() >= STEPS_MAX {
            return (steps, Some("its path is too deep".to_owned()));
        }
        let (name, after) = after.split_at(after.find(['/', '[']).unwrap_or(after.len()));
        let (prefix, name) = name.trim().split_once(':').map_or((None, name.trim()), |(p, n)| (Some(p), n));
        if crate::domain::data::Step::named(None, name).is_err() {
            return (steps, Some(format!("`{name}` in its path is no node")));
        }
        let module = match (prefixes, prefix) {
            (None, Some(module)) => Some(module.to_owned()),
            (None, None) => steps.last().and_then(|step| step.module.clone()),
            (Some(known), prefix) => {
                match known.iter().find(|(own, _)| prefix == Some(own.as_str())).map(|(_, stands)| stands) {
                    Some(Prefix::Module(module)) => Some(module.clone()),
                    Some(Prefix::Namespace(ns)) => {
                        unsure = Some(format!("the namespace {ns} is in no [[module]] of --models"));
                        None
                    }
                    None => {
                        unsure = Some(format!("`{name}` in its path has no namespace"));
                        None
                    }
                }
            }
        };
        let (keys, after, why) = keys(after);
        unsure = unsure.or(why);
        steps.push(PathStep { module, name: name.to_owned(), keys });
        rest = after;
    }
    if !rest.is_empty() {
        unsure = Some(format!("`{rest}` in its path is not understood"));
    }
    (steps, unsure)
}

/// Keys as a row has them, and name and value.
type KeyValues = Vec<(String, String)>;

/// Reads `[p:key='value']…`: those that a row can say, what follows, and why one was left out.
fn keys(mut rest: &str) -> (KeyValues, &str, Option<String>) {
    let (mut keys, mut unsure) = (KeyValues::new(), None);
    while let Some(inner) = rest.strip_prefix('[') {
        let Some((key, value, after)) = key(inner) else {
            // Where a bracket that is not understood ends is not known either.
            return (keys, "", Some(format!("`{rest}` in its path is not understood")));
        };
        rest = after;
        let sayable = !value.is_empty()
            && value.len() <= VALUE_BYTES_MAX
            && !value.contains(['*', '"'])
            && !value.contains(char::is_control)
            && !keys.iter().any(|(known, _): &(String, String)| known == key);
        if sayable {
            keys.push((key.to_owned(), value.to_owned()));
        } else {
            unsure = Some(format!("a row cannot say [{key}={value:?}]"));
        }
    }
    (keys, rest, unsure)
}

fn key(inner: &str) -> Option<(&str, &str, &str)> {
    let (name, after) = inner.split_once('=')?;
    let name = name.trim();
    let name = name.split_once(':').map_or(name, |(_, local)| local);
    if name != "." && crate::domain::data::Step::named(None, name).is_err() {
        return None;
    }
    let after = after.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (value, after) = after.get(1..)?.split_once(quote)?;
    Some((name, value, after.trim_start().strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, prefixes: Option<&[(String, Prefix)]>) -> String {
        let (steps, unsure) = path(text, prefixes);
        let sign = if unsure.is_some() { "?" } else { "" };
        format!("{sign}{}", super::super::region::Data { steps, module: None }.text())
    }

    #[test]
    fn paths() {
        let prefixes = [
            ("i".to_owned(), Prefix::Module("ifs".to_owned())),
            ("v".to_owned(), Prefix::Namespace("urn:v".to_owned())),
            (String::new(), Prefix::Module("base".to_owned())),
        ];
        for (text, expected) in [
            ("/", "/"),
            ("/i:a", "/ifs:a"),
            ("/i:a/i:b[i:k='1']/i:c", "/ifs:a/ifs:b[k='1']/ifs:c"),
            ("/i:a[i:k=\"it's\"] ", "?/ifs:a[k=\"it's\"]"),
            ("/i:b[k = '1'][ j='2' ]", "/ifs:b[k='1'][j='2']"),
            ("/v:a/i:b", "?/a/ifs:b"),
            ("/a", "?/a"),
            ("/x:a", "?/a"),
            ("/i:b[k=$USER]/i:c", "?/ifs:b"),
            ("/i:b[1]", "?/ifs:b"),
            ("/i:b[k='*']", "?/ifs:b"),
            ("/i:b[k='']", "?/ifs:b"),
            ("/i:b[k='a\"b']/i:c", "?/ifs:b/ifs:c"),
            ("i:a", "?/"),
            ("//i:a", "?/"),
            ("/i:a/", "?/ifs:a"),
            ("/i:a/*", "?/ifs:a"),
            ("/i:a | /i:b", "?/"),
            ("", "?/"),
        ] {
            assert_eq!(told(text, Some(&prefixes)), expected, "{text}");
        }
        assert_eq!(told("/ifs:a/b[k='1']/other:c", None), "/ifs:a/ifs:b[k='1']/other:c");
    }
}
