//! `policy import-nacm`: the rows decide as RFC 8341 does, or allow less and say so.

mod generated;
mod reference;

use std::fs;
use std::path::Path;
use std::process::Command;

use sallyport::domain::Verb;
use sallyport::domain::data::Models;
use sallyport::policy::nacm::{Nacm, Node, Options, Prefix, import};

use self::generated::{allows, holder, leaf, set};

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
