//! The data models that the router has, as far as it has them (pure): what may stand where, and the way between its configuration and a tree.
//!
//! The tree is JSON as RFC 7951 has it, with members in the names of their models. All three protocols read and change it.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::Fault;
use crate::domain::Timestamp;
use crate::lab::running::{Configuration, Interface};

/// A module with one node at its top.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) name: &'static str,
    pub(super) namespace: &'static str,
    pub(super) revision: &'static str,
    pub(super) top: Node,
}

/// A node of a model.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether it only tells of the router's state.
    pub(super) state: bool,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    Container(&'static [Node]),
    /// A list, with the name of its key.
    List(&'static str, &'static [Node]),
    Leaf(Type),
}

/// What a leaf holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    Text,
    Number,
    Truth,
}

impl Node {
    pub(super) fn children(&self) -> &'static [Self] {
        match self.kind {
            Kind::Container(children) | Kind::List(_, children) => children,
            Kind::Leaf(_) => &[],
        }
    }

    pub(super) fn child(&self, name: &str) -> Result<&'static Self, Fault> {
        let found = self.children().iter().find(|child| child.name == name);
        found.ok_or_else(|| Fault::Unknown(name.to_owned()))
    }

    /// The name of its key, when it is a list.
    pub(super) fn key(&self) -> Option<&'static str> {
        if let Kind::List(key, _) = self.kind { Some(key) } else { None }
    }
}

const fn container(name: &'static str, children: &'static [Node]) -> Node {
    Node { name, kind: Kind::Container(children), state: false }
}

const fn list(name: &'static str, key: &'static str, children: &'static [Node]) -> Node {
    Node { name, kind: Kind::List(key, children), state: false }
}

const fn leaf(name: &'static str, kind: Type) -> Node {
    Node { name, kind: Kind::Leaf(kind), state: false }
}

const fn state(children: &'static [Node]) -> Node {
    Node { name: "state", kind: Kind::Container(children), state: true }
}

use Type::{Number, Text, Truth};

/// All that the router has.
pub(super) static MODULES: [Module; 2] = [
    Module {
        name: "openconfig-interfaces",
        namespace: "http://openconfig.net/yang/interfaces",
        revision: "2024-12-05",
        top: container("interfaces", &[list("interface", "name", INTERFACE)]),
    },
    Module {
        name: "openconfig-system",
        namespace: "http://openconfig.net/yang/system",
        revision: "2024-09-24",
        top: container("system", SYSTEM),
    },
];

static INTERFACE: &[Node] = &[
    leaf("name", Text),
    container("config", &[leaf("name", Text), leaf("description", Text), leaf("mtu", Number), leaf("enabled", Truth)]),
    state(&[leaf("name", Text), leaf("mtu", Number), leaf("admin-status", Text), leaf("oper-status", Text)]),
];

static SYSTEM: &[Node] = &[
    container("config", &[leaf("hostname", Text), leaf("login-banner", Text)]),
    state(&[leaf("hostname", Text), leaf("boot-time", Text)]),
    container(
        "aaa",
        &[container(
            "authentication",
            &[container("users", &[list("user", "username", &[leaf("username", Text), container("config", USER)])])],
        )],
    ),
    container(
        "logging",
        &[container(
            "remote-servers",
            &[list("remote-server", "host", &[leaf("host", Text), container("config", &[leaf("host", Text)])])],
        )],
    ),
];

static USER: &[Node] = &[leaf("username", Text), leaf("role", Text)];

/// The role of accounts that begin at privilege level 15.
const ADMIN: &str = "SYSTEM_ROLE_ADMIN";
const OPERATOR: &str = "SYSTEM_ROLE_OPERATOR";

/// The module of that name, or, without one, the module that has a node called `node` at its top.
pub(super) fn module(name: Option<&str>, node: &str) -> Result<&'static Module, Fault> {
    let named = |m: &&Module| m.top.name == node && name.is_none_or(|name| name == m.name);
    MODULES.iter().find(named).ok_or_else(|| Fault::Unknown(node.to_owned()))
}

impl Module {
    /// The member that its top node is in a tree.
    pub(super) fn member(&self) -> String {
        format!("{}:{}", self.name, self.top.name)
    }
}

/// The configuration as a tree.
pub(super) fn tree(configuration: &Configuration) -> Value {
    let interfaces: Vec<Value> = configuration.interfaces.iter().map(interface).collect();
    let mut system = Map::from_iter([("hostname".to_owned(), json!(configuration.hostname))]);
    if let Some(banner) = &configuration.banner {
        system.insert("login-banner".to_owned(), json!(banner));
    }
    let users: Vec<Value> = configuration
        .accounts
        .iter()
        .map(|(name, level)| {
            let role = if *level == 15 { ADMIN } else { OPERATOR };
            json!({"username": name, "config": {"username": name, "role": role}})
        })
        .collect();
    let hosts: Vec<Value> = configuration
        .logging_hosts
        .iter()
        .map(|host| json!({"host": host.to_string(), "config": {"host": host.to_string()}}))
        .collect();
    json!({
        "openconfig-interfaces:interfaces": {"interface": interfaces},
        "openconfig-system:system": {
            "config": system,
            "aaa": {"authentication": {"users": {"user": users}}},
            "logging": {"remote-servers": {"remote-server": hosts}},
        },
    })
}

fn interface(interface: &Interface) -> Value {
    let mut config = json!({"name": interface.name, "mtu": interface.mtu, "enabled": !interface.shutdown});
    if let (Some(description), Value::Object(config)) = (&interface.description, &mut config) {
        config.insert("description".to_owned(), json!(description));
    }
    json!({"name": interface.name, "config": config})
}

/// The tree with the router's state in it.
pub(super) fn with_state(configuration: &Configuration, booted: Timestamp) -> Value {
    let mut tree = tree(configuration);
    for interface in &configuration.interfaces {
        let status = if interface.shutdown { "DOWN" } else { "UP" };
        let state =
            json!({"name": interface.name, "mtu": interface.mtu, "admin-status": status, "oper-status": status});
        let all = tree.pointer_mut("/openconfig-interfaces:interfaces/interface").and_then(Value::as_array_mut);
        let own = all.into_iter().flatten().find(|entry| entry.get("name") == state.get("name"));
        if let Some(Value::Object(own)) = own {
            own.insert("state".to_owned(), state);
        }
    }
    if let Some(Value::Object(system)) = tree.get_mut("openconfig-system:system") {
        let booted = booted.as_nanos().to_string();
        system.insert("state".to_owned(), json!({"hostname": configuration.hostname, "boot-time": booted}));
    }
    tree
}

/// Makes the configuration what the tree says. What it does not hold stays as it is: addresses, routes, BGP.
pub(super) fn absorb(configuration: &mut Configuration, tree: &Value) -> Result<(), Fault> {
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let entries = |pointer: &str| tree.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let hostname = text(tree, "/openconfig-system:system/config/hostname").unwrap_or_else(|| "Router".to_owned());
    let fits = (1..64).contains(&hostname.len()) && hostname.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !fits {
        return Err(Fault::Invalid(format!("`{hostname}` is not a host name")));
    }
    let old = std::mem::take(&mut configuration.interfaces);
    for entry in entries("/openconfig-interfaces:interfaces/interface") {
        let name = text(&entry, "/name").unwrap_or_default();
        let found = old.iter().find(|known| known.name == name).cloned();
        let known = found.or_else(|| name.starts_with("Loopback").then(|| Interface::new(&name)));
        let mut interface = known.ok_or_else(|| Fault::Invalid(format!("there is no interface `{name}`")))?;
        if text(&entry, "/config/name").is_some_and(|own| own != name) {
            return Err(Fault::Invalid("the name in `config` is not that of the entry".to_owned()));
        }
        let mtu = entry.pointer("/config/mtu").and_then(Value::as_u64).unwrap_or(1500);
        let mtu = u32::try_from(mtu).ok().filter(|mtu| (64..=9216).contains(mtu));
        interface.mtu = mtu.ok_or_else(|| Fault::Invalid("an MTU is from 64 to 9216".to_owned()))?;
        interface.description = text(&entry, "/config/description").map(|text| line(&text, 240));
        interface.shutdown = entry.pointer("/config/enabled").and_then(Value::as_bool) == Some(false);
        configuration.interfaces.push(interface);
    }
    let gone = old.iter().find(|own| !own.name.starts_with("Loopback") && configuration.interface(&own.name).is_none());
    if let Some(gone) = gone {
        return Err(Fault::Invalid(format!("`{}` is there to be touched and cannot be removed", gone.name)));
    }
    configuration.hostname = hostname;
    configuration.banner = text(tree, "/openconfig-system:system/config/login-banner").map(|text| line(&text, 240));
    let users = entries("/openconfig-system:system/aaa/authentication/users/user");
    let level = |user: &Value| if text(user, "/config/role").as_deref() == Some(ADMIN) { 15 } else { 1 };
    configuration.accounts =
        users.iter().filter_map(|user| Some((line(&text(user, "/username")?, 64), level(user)))).collect();
    let host = |entry: &Value| -> Result<Ipv4Addr, Fault> {
        let host = text(entry, "/host").unwrap_or_default();
        host.parse().map_err(|_| Fault::Invalid(format!("`{host}` is not an address")))
    };
    let hosts = entries("/openconfig-system:system/logging/remote-servers/remote-server");
    configuration.logging_hosts = hosts.iter().map(host).collect::<Result<_, _>>()?;
    Ok(())
}

/// One line of printable text: the command line shows it too.
fn line(text: &str, characters_max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(characters_max).collect()
}
