//! One vocabulary: the same change by NETCONF, RESTCONF and gNMI gets the same decision by the same rows.
//!
//! Trees, keys and rows are generated over a small model with everything that matters to paths: containers, lists with one and two keys, lists in
//! lists, leaf-lists, a second module that augments the first, names that occur at several places, and values of keys that hold separators.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sallyport::domain::data::{Model, Models};
use sallyport::domain::{Action, Assurance, Door, Effect, Identity, Request};
use sallyport::policy::{ElementTags, PolicySet};
use sallyport::protocol::gnmi::method::Method;
use sallyport::protocol::gnmi::path::View;
use sallyport::protocol::gnmi::wire::Writer;
use sallyport::protocol::netconf::actions::Envelope;
use sallyport::protocol::netconf::xml::Limits;
use sallyport::protocol::restconf::actions::{Seen, asked};

/// A node of the model.
struct Schema {
    module: &'static str,
    name: &'static str,
    keys: &'static [&'static str],
    kind: Kind,
    children: &'static [Self],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Container,
    Leaf,
    LeafList,
}

const fn leaf(module: &'static str, name: &'static str) -> Schema {
    Schema { module, name, keys: &[], kind: Kind::Leaf, children: &[] }
}

const fn inner(
    module: &'static str,
    name: &'static str,
    keys: &'static [&'static str],
    children: &'static [Schema],
) -> Schema {
    Schema { module, name, keys, kind: Kind::Container, children }
}

const UNITS: &[Schema] =
    &[leaf("ex-if", "mtu"), inner("ex-aug", "shaper", &[], &[leaf("ex-aug", "rate"), leaf("ex-aug", "name")])];
const INTERFACE: &[Schema] = &[
    leaf("ex-if", "mtu"),
    inner("ex-if", "config", &[], &[leaf("ex-if", "name"), leaf("ex-if", "enabled")]),
    inner("ex-if", "unit", &["index"], UNITS),
    Schema { module: "ex-aug", name: "tag", keys: &[], kind: Kind::LeafList, children: &[] },
];
const ACL: &[Schema] = &[leaf("ex-sys", "note"), inner("ex-sys", "entry", &["sequence"], &[leaf("ex-sys", "action")])];
const TOP: &[Schema] = &[
    inner("ex-if", "interfaces", &[], &[inner("ex-if", "interface", &["name"], INTERFACE)]),
    inner(
        "ex-sys",
        "system",
        &[],
        &[
            leaf("ex-sys", "name"),
            inner("ex-sys", "acl", &["name", "type"], ACL),
            inner("ex-aug", "config", &[], &[leaf("ex-aug", "secret")]),
        ],
    ),
];
/// Values of keys. RESTCONF refuses one that is a path upwards or looks encoded twice, and gNMI has no way to write `*` itself.
const VALUES: &[&str] = &["eth0", "eth1", "a/b", "it's", "x]y[z", "é, 50%", "0", "ETH0"];

fn models() -> Models {
    let mut models = Models::default();
    let list = |path: &str, keys: &[&str]| (path.to_owned(), keys.iter().map(|key| (*key).to_owned()).collect());
    let of = |name: &str, lists| Model { name: name.to_owned(), namespace: format!("urn:{name}"), lists };
    let interfaces = vec![list("/interfaces/interface", &["name"]), list("/interfaces/interface/unit", &["index"])];
    let system = vec![list("/system/acl", &["name", "type"]), list("/system/acl/entry", &["sequence"])];
    for model in [of("ex-if", interfaces), of("ex-sys", system), of("ex-aug", Vec::new())] {
        models.add(&model).expect("a model");
    }
    models
}

/// Choices, one after the other; the first when they are used up, so that a shorter tape is a simpler case.
struct Tape<'t>(std::slice::Iter<'t, u8>);

impl Tape<'_> {
    fn below(&mut self, count: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % count)
    }

    fn pick<T>(&mut self, of: &'static [T]) -> &'static T {
        &of[self.below(of.len())]
    }
}

/// A node that a change names, with the values of its keys.
struct Spot {
    schema: &'static Schema,
    values: Vec<&'static str>,
}

/// What stands in a node.
struct Item {
    spot: Spot,
    children: Vec<Self>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Merge,
    Replace,
    Delete,
}

/// The same thing to be said three times.
struct Change {
    way: Way,
    path: Vec<Spot>,
    value: Vec<Item>,
}

fn spot(tape: &mut Tape<'_>, schema: &'static Schema) -> Spot {
    Spot { schema, values: schema.keys.iter().map(|_| *tape.pick(VALUES)).collect() }
}

fn change(tape: &mut Tape<'_>) -> Change {
    let way = [Way::Merge, Way::Replace, Way::Delete][tape.below(3)];
    let mut path = vec![spot(tape, &TOP[0])];
    if tape.below(2) == 1 {
        path = vec![spot(tape, &TOP[1])];
    }
    while let Some(last) = path.last().filter(|last| !last.schema.children.is_empty()) {
        if tape.below(4) == 0 {
            break;
        }
        let next = tape.pick(last.schema.children);
        // One of a leaf-list is named by its value, which NETCONF and gNMI do not do.
        if next.kind == Kind::LeafList {
            break;
        }
        path.push(spot(tape, next));
    }
    let last = path.last().expect("one at least").schema;
    let value = if way == Way::Delete { Vec::new() } else { items(tape, last, 0) };
    Change { way, path, value }
}

fn items(tape: &mut Tape<'_>, of: &'static Schema, depth: usize) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for child in of.children {
        let most = if child.keys.is_empty() { 1 } else { 2 };
        for _ in 0..tape.below(most + 1) {
            let spot = spot(tape, child);
            // An entry that is there twice is no data.
            if items.iter().all(|item| item.spot.schema.name != child.name || item.spot.values != spot.values) {
                let children = if depth < 3 { items_of(tape, child, depth) } else { Vec::new() };
                items.push(Item { spot, children });
            }
        }
    }
    items
}

fn items_of(tape: &mut Tape<'_>, child: &'static Schema, depth: usize) -> Vec<Item> {
    if child.kind == Kind::Container { items(tape, child, depth + 1) } else { Vec::new() }
}

// --- NETCONF ---------------------------------------------------------------------------------------------------------------------------------

fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn xml_keys(out: &mut String, spot: &Spot) {
    for (key, value) in spot.schema.keys.iter().zip(&spot.values) {
        write!(out, "<{key}>{}</{key}>", xml_text(value)).expect("a string");
    }
}

fn xml_item(out: &mut String, item: &Item) {
    let Schema { module, name, kind, .. } = item.spot.schema;
    write!(out, "<{name} xmlns=\"urn:{module}\">").expect("a string");
    match kind {
        Kind::Container => {
            xml_keys(out, &item.spot);
            item.children.iter().for_each(|child| xml_item(out, child));
        }
        Kind::Leaf | Kind::LeafList => out.push('7'),
    }
    write!(out, "</{name}>").expect("a string");
}

fn by_netconf(change: &Change, models: &Models) -> Vec<Action> {
    let operation = match change.way {
        Way::Merge => "merge",
        Way::Replace => "replace",
        Way::Delete => "delete",
    };
    let mut config = String::new();
    for (at, spot) in change.path.iter().enumerate() {
        let own = if at + 1 == change.path.len() { format!(" nc:operation=\"{operation}\"") } else { String::new() };
        write!(config, "<{} xmlns=\"urn:{}\"{own}>", spot.schema.name, spot.schema.module).expect("a string");
        xml_keys(&mut config, spot);
    }
    change.value.iter().for_each(|item| xml_item(&mut config, item));
    if change.way != Way::Delete && change.path.last().is_some_and(|spot| spot.schema.kind != Kind::Container) {
        config.push('7');
    }
    for spot in change.path.iter().rev() {
        write!(config, "</{}>", spot.schema.name).expect("a string");
    }
    let base = "urn:ietf:params:xml:ns:netconf:base:1.0";
    let message = format!(
        "<rpc xmlns=\"{base}\" xmlns:nc=\"{base}\" message-id=\"1\"><edit-config><target><running/></target>\
         <default-operation>none</default-operation><config>{config}</config></edit-config></rpc>"
    );
    let limits = Limits { depth_max: 64, elements_max: 10_000 };
    let envelope = Envelope::read(message.as_bytes(), limits).unwrap_or_else(|bad| panic!("{bad:?}: {message}"));
    envelope.rpc(models).unwrap_or_else(|refused| panic!("{refused:?}: {message}")).asks
}

// --- JSON, as RESTCONF and gNMI have it ----------------------------------------------------------------------------------------------------------

/// RFC 7951 §4: a name has its module where that differs from its parent's.
fn json_name(schema: &Schema, parent: &str) -> String {
    if schema.module == parent { schema.name.to_owned() } else { format!("{}:{}", schema.module, schema.name) }
}

fn json_keys(spot: &Spot) -> serde_json::Map<String, serde_json::Value> {
    spot.schema.keys.iter().zip(&spot.values).map(|(key, value)| ((*key).to_owned(), (*value).into())).collect()
}

fn json_members(items: &[Item], parent: &str) -> serde_json::Map<String, serde_json::Value> {
    let mut members = serde_json::Map::new();
    for item in items {
        let schema = item.spot.schema;
        let name = json_name(schema, parent);
        let mut entry = json_keys(&item.spot);
        entry.extend(json_members(&item.children, schema.module));
        match (schema.kind, schema.keys) {
            (Kind::Leaf, _) => drop(members.insert(name, 7.into())),
            (Kind::LeafList, _) => drop(members.insert(name, vec![7].into())),
            (Kind::Container, []) => drop(members.insert(name, entry.into())),
            (Kind::Container, _) => {
                let list = members.entry(name).or_insert_with(|| Vec::<serde_json::Value>::new().into());
                list.as_array_mut().expect("a list").push(entry.into());
            }
        }
    }
    members
}

// --- RESTCONF --------------------------------------------------------------------------------------------------------------------------------

fn url_text(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn by_restconf(change: &Change, models: &Models) -> Vec<Action> {
    let (mut path, mut parent) = ("/restconf/data".to_owned(), "");
    for spot in &change.path {
        let keys: Vec<String> = spot.values.iter().map(|value| url_text(value)).collect();
        let keys = if keys.is_empty() { String::new() } else { format!("={}", keys.join(",")) };
        write!(path, "/{}{keys}", json_name(spot.schema, parent)).expect("a string");
        parent = spot.schema.module;
    }
    let last = change.path.last().expect("one at least");
    let mut entry = json_keys(last);
    entry.extend(json_members(&change.value, last.schema.module));
    let value: serde_json::Value = match (last.schema.kind, last.schema.keys) {
        (Kind::Leaf | Kind::LeafList, _) => 7.into(),
        (Kind::Container, []) => entry.into(),
        (Kind::Container, _) => vec![serde_json::Value::from(entry)].into(),
    };
    let body = serde_json::json!({ format!("{}:{}", last.schema.module, last.schema.name): value }).to_string();
    let (method, body) = match change.way {
        Way::Merge => ("PATCH", body),
        Way::Replace => ("PUT", body),
        Way::Delete => ("DELETE", String::new()),
    };
    let media = (!body.is_empty()).then_some("application/yang-data+json");
    let seen = Seen { method, path: &path, query: None, media, body: body.as_bytes() };
    asked(&seen, models).unwrap_or_else(|refused| panic!("{refused:?}: {method} {path} {body}")).actions
}

// --- gNMI ------------------------------------------------------------------------------------------------------------------------------------

fn by_gnmi(change: &Change, models: &Models) -> Vec<Action> {
    let (mut path, mut parent) = (Writer::new(), "");
    for spot in &change.path {
        let mut elem = Writer::new().text(1, &json_name(spot.schema, parent));
        for (key, value) in spot.schema.keys.iter().zip(&spot.values) {
            elem = elem.message(2, &Writer::new().text(1, key).text(2, value));
        }
        path = path.message(3, &elem);
        parent = spot.schema.module;
    }
    let last = change.path.last().expect("one at least").schema;
    let value = match last.kind {
        Kind::Container => serde_json::Value::from(json_members(&change.value, last.module)).to_string(),
        Kind::Leaf | Kind::LeafList => "7".to_owned(),
    };
    let update = Writer::new().message(1, &path).message(3, &Writer::new().text(11, &value));
    let request = match change.way {
        Way::Merge => Writer::new().message(4, &update),
        Way::Replace => Writer::new().message(3, &update),
        Way::Delete => Writer::new().message(2, &path),
    };
    let method = Method::find("/gnmi.gNMI/Set").expect("a method");
    let view = View { element: "r1", models };
    method.decide(&request.finish(), &view).unwrap_or_else(|refused| panic!("{refused:?}"))
}

// --- Rows ------------------------------------------------------------------------------------------------------------------------------------

fn row(tape: &mut Tape<'_>) -> String {
    let verb = ["data.write", "data.merge", "data.replace", "data.delete"][tape.below(4)];
    let effect = ["allow", "deny"][tape.below(2)];
    let (mut pattern, mut parent, mut of, mut many) = (String::new(), "", TOP, false);
    loop {
        let schema = tape.pick(of);
        match tape.below(8) {
            6 => pattern.push_str("/*"),
            7 if !many => {
                pattern.push_str("/**");
                many = true;
            }
            // With its module only where the module begins: that is how rows are written.
            5 => write!(pattern, "/{}", json_name(schema, parent)).expect("a string"),
            _ => write!(pattern, "/{}", schema.name).expect("a string"),
        }
        if !pattern.ends_with('*') {
            many = false;
        }
        if !pattern.ends_with("**") {
            for key in schema.keys {
                match tape.below(4) {
                    0 => {}
                    1 => write!(pattern, "[{key}=*]").expect("a string"),
                    2 => write!(pattern, "[{key}=e*]").expect("a string"),
                    _ => {
                        let value = tape.pick(VALUES);
                        let quote = if value.contains('\'') { '"' } else { '\'' };
                        write!(pattern, "[{key}={quote}{value}{quote}]").expect("a string");
                    }
                }
            }
        }
        parent = schema.module;
        of = schema.children;
        if of.is_empty() || tape.below(3) == 0 && !pattern.ends_with("**") {
            break;
        }
    }
    let pattern = pattern.trim_end_matches("/**");
    let pattern = if pattern.is_empty() { "/" } else { pattern };
    let store = ["", "", "running:", "candidate:"][tape.below(4)];
    format!("p, user:ada, element:r1, *, {verb}, \"{store}{}\", {effect}", pattern.replace('"', "\"\""))
}

fn set(rows: &str) -> PolicySet {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("model.conf"), include_str!("../../policies/model.conf")).expect("a file");
    fs::write(dir.path().join("policy.csv"), rows).expect("a file");
    let tags = [ElementTags { name: "r1".parse().expect("a name"), groups: Vec::new() }];
    PolicySet::load(dir.path(), &tags).unwrap_or_else(|problems| panic!("{problems:?}\n{rows}"))
}

/// Whether all of it is allowed.
fn allowed(set: &PolicySet, actions: &[Action]) -> bool {
    let at = "2026-11-23T10:00:00Z".parse().expect("a time");
    assert!(!actions.is_empty());
    actions.iter().all(|action| {
        let request = Request {
            who: Identity::new("carrier.example".parse().expect("a domain"), "ada").expect("a name"),
            device: None,
            assurance: Assurance::MutualTls,
            door: Door::Mtls,
            source: "192.0.2.7".parse().expect("an address"),
            element: "r1".parse().expect("a name"),
            account: "admin".parse().expect("an account"),
            action: action.clone(),
            at,
            session_opened_at: at,
        };
        set.decide(&request).effect == Effect::Allow
    })
}

/// Decides one change three times; whether it was allowed.
fn decided(tape: &[u8], rows: &str) -> Result<bool, TestCaseError> {
    let change = change(&mut Tape(tape.iter()));
    let models = models();
    let said = [by_netconf(&change, &models), by_restconf(&change, &models), by_gnmi(&change, &models)];
    let set = set(rows);
    let [netconf, restconf, gnmi] = [&said[0], &said[1], &said[2]].map(|actions| allowed(&set, actions));
    prop_assert!(netconf == restconf && restconf == gnmi, "{netconf} {restconf} {gnmi}\n{rows}\n{said:#?}");
    Ok(netconf)
}

#[test]
fn three_encodings_of_one_change_get_the_same_decision() {
    let all = "p, user:ada, element:r1, *, data.write, /, allow\n";
    let (allows, denies) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let tape = |most| prop::collection::vec(any::<u8>(), 0..most);
    let cases = (tape(40), prop::collection::vec(tape(24), 1..6), any::<bool>());
    let config = Config { cases: 600, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&cases, |(tree, rows, base)| {
        let rows: BTreeSet<String> = rows.iter().map(|tape| row(&mut Tape(tape.iter()))).collect();
        let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let rows = if base { rows + all } else { rows };
        let counter = if decided(&tree, &rows)? { &allows } else { &denies };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (allows, denies) = (allows.into_inner(), denies.into_inner());
    assert!(allows > 60 && denies > 60, "{allows} allowed and {denies} denied: the cases say too little");
}
