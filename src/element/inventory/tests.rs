use super::*;
use crate::domain::Account;
use crate::element::credential::Credential;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const PRINT: &str = "SHA256:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8";

/// A correct element; `edit` is what the row changes.
fn one(edit: &[(&str, &str)]) -> String {
    let mut lines = vec![
        ("name", r#""core-rtr-1""#.to_owned()),
        ("addresses", r#"["192.0.2.1:22"]"#.to_owned()),
        ("account", r#""admin""#.to_owned()),
        ("host_keys", format!("[\"{KEY}\"]")),
        ("credential", r#"{ kind = "certificate" }"#.to_owned()),
    ];
    for (key, value) in edit {
        lines.retain(|(known, _)| known != key);
        if !value.is_empty() {
            lines.push((key, (*value).to_owned()));
        }
    }
    let body: Vec<String> = lines.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("[[element]]\n{}\n", body.join("\n"))
}

fn profile(edit: &[(&str, &str)]) -> String {
    let fields =
        [("name", "\"old\""), ("reason", "\"end of life\""), ("owner", "\"noc\""), ("expires", "\"2027-06-30\"")];
    let mut lines: Vec<(&str, &str)> = fields.to_vec();
    for (key, value) in edit {
        lines.retain(|(known, _)| known != key);
        if !value.is_empty() {
            lines.push((key, value));
        }
    }
    let body: Vec<String> = lines.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("[[crypto_profile]]\n{}\n", body.join("\n"))
}

fn problems(text: &str) -> Vec<Problem> {
    Inventory::parse(text).expect_err(text)
}

#[test]
fn a_full_element() {
    let text = format!(
        r#"
[[crypto_profile]]
name = "legacy-cisco"
kex = ["diffie-hellman-group14-sha1"]
host_keys = ["ssh-rsa"]
ciphers = ["aes128-cbc", "3des-cbc"]
macs = ["hmac-sha1"]
reason = "IOS 12.4"
owner = "transport team"
expires = "2027-06-30"

[[element]]
name = "core-rtr-1"
addresses = ["Rtr1.Example:2201", "[2001:DB8::1]:22", "192.0.2.1:22"]
platform = "ios"
class = "core-router"
vendor = "lab"
site = "par"
groups = ["backbone", "ring/north"]
account = "admin"
accounts = ["admin", "ops"]
host_keys = ["{KEY}", "{PRINT}"]
host_ca = ["{KEY}"]
host_principals = ["rtr1.example"]
credential = {{ kind = "password", secret = "rtr", prompts = [{{ matches = "*assword:*" }}, {{ matches = "Username:", secret = "who", echo = true }}] }}
protocols = ["ssh", "netconf"]
sessions_max = 4
dials_max = 2
[element.crypto]
profile = "legacy-cisco"
"#
    );
    let inventory = Inventory::parse(&text).unwrap();
    let element = inventory.find(&"core-rtr-1".parse().unwrap()).unwrap();
    let addresses: Vec<String> = element.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["rtr1.example:2201", "[2001:db8::1]:22", "192.0.2.1:22"]);
    let tags = element.tags().groups;
    assert_eq!(tags, ["class/core-router", "platform/ios", "site/par", "vendor/lab", "backbone", "ring/north"]);
    assert_eq!(
        (element.platform(), element.class(), element.vendor(), element.site()),
        (Some("ios"), Some("core-router"), Some("lab"), Some("par"))
    );
    let account = |text: &str| text.parse::<Account>().unwrap();
    assert_eq!(element.accounts(), [account("admin"), account("ops")]);
    assert!(element.allows_account(&account("ops")) && !element.allows_account(&account("root")));
    assert_eq!((element.sessions_max(), element.dials_max(), element.line()), (4, 2, 12));
    assert_eq!(element.protocols(), ["ssh", "netconf"]);
    assert_eq!(element.crypto().unwrap().owner, "transport team");
    assert_eq!((element.host_trust().pinned.len(), element.host_trust().authorities.len()), (2, 1));
    let Credential::Password { prompts, .. } = element.credential() else { panic!("{:?}", element.credential()) };
    assert!(prompts[1].echo && prompts[0].secret.as_str() == "rtr" && prompts[1].secret.as_str() == "who");
    assert_eq!(inventory.tags().len(), 1);
}

#[test]
fn an_element_is_reached_as_listed_or_not_at_all() {
    let text = one(&[("accounts", r#"["ops"]"#), ("protocols", r#"["netconf", "tacacs"]"#)]);
    let inventory = Inventory::parse(&text).unwrap();
    let reach = |name: &str, account: &str, protocol: &str| {
        inventory.reach(&name.parse().unwrap(), &account.parse().unwrap(), protocol).map(|element| element.line())
    };
    assert_eq!(reach("core-rtr-1", "admin", "netconf"), Ok(1));
    assert_eq!(reach("core-rtr-1", "ops", "tacacs"), Ok(1));
    for (name, account, protocol) in [
        ("core-rtr-1", "admin", "ssh"),
        ("core-rtr-1", "admin", "restconf"),
        ("core-rtr-1", "admin", "NETCONF"),
        ("core-rtr-1", "admin", "net"),
        ("core-rtr-1", "admin", ""),
        ("core-rtr-1", "root", "netconf"),
        ("core-rtr-2", "admin", "netconf"),
        ("gateway", "admin", "netconf"),
    ] {
        assert!(reach(name, account, protocol).is_err(), "{account}@{name} by {protocol}");
    }
}

#[test]
fn what_may_be_left_out() {
    let inventory = Inventory::parse(&one(&[])).unwrap();
    let element = inventory.iter().next().unwrap();
    assert_eq!((element.sessions_max(), element.dials_max()), (16, 8));
    assert_eq!(element.protocols(), ["ssh"]);
    assert!(element.crypto().is_none() && element.tags().groups.is_empty());
    assert_eq!(Inventory::parse("").unwrap().iter().count(), 0);
}

#[test]
fn every_mistake_of_an_element_is_told() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("name", "")], "`name` is missing"),
        (&[("name", "\"\"")], "`name` is empty"),
        (&[("name", "\"Core\"")], "not an element name"),
        (&[("name", "7")], "must be a text"),
        (&[("name", "\"gateway\"")], "gateway's own name"),
        (&[("addresses", "")], "`addresses` is missing"),
        (&[("addresses", "[]")], "`addresses` is missing or empty"),
        (&[("addresses", "\"a:22\"")], "must be a list"),
        (&[("addresses", "[22]")], "texts in quotes only"),
        (&[("addresses", "[\"a\"]")], "is not an address"),
        (&[("addresses", "[\"a:0\"]")], "is not an address"),
        (&[("addresses", "[\"a:65536\"]")], "is not an address"),
        (&[("addresses", "[\"a:+22\"]")], "is not an address"),
        (&[("addresses", "[\"2001:db8::1\"]")], "is not an address"),
        (&[("addresses", "[\"[::1\"]")], "is not an address"),
        (&[("addresses", "[\"[rtr]:22\"]")], "is not an address"),
        (&[("addresses", "[\"-oProxyCommand=x:22\"]")], "is not an address"),
        (&[("addresses", "[\"a b:22\"]")], "is not an address"),
        (&[("addresses", "[\"a:22\", \"A:22\"]")], "one box is one element"),
        (&[("account", "")], "`account` is missing"),
        (&[("account", "\"a b\"")], "not an account name"),
        (&[("accounts", "[\"-x\"]")], "not an account name"),
        (&[("host_keys", "")], "impostor"),
        (&[("host_keys", "[]")], "impostor"),
        (&[("host_keys", "[\"MD5:aa\"]")], "neither a SHA256"),
        (&[("host_keys", "[\"SHA256:short\"]")], "is not a fingerprint"),
        (&[("host_keys", "[\"ssh-ed25519 AAAA\"]")], "neither a SHA256"),
        (&[("host_ca", "[\"SHA256:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8\"]")], "neither a SHA256"),
        (&[("host_principals", "[\"x\"]")], "means nothing without `host_ca`"),
        (&[("credential", "")], "`credential` is missing"),
        (&[("credential", "\"certificate\"")], "must be a table"),
        (&[("credential", "{}")], "`kind` is missing"),
        (&[("credential", "{ kind = \"none\" }")], "not a kind of credential"),
        (&[("credential", "{ kind = \"certificate\", secret = \"x\" }")], "`secret` is not a key here"),
        (&[("credential", "{ kind = \"key\" }")], "`secret` is missing"),
        (&[("credential", "{ kind = \"key\", secret = \"../x\" }")], "not the name of a secret"),
        (
            &[("credential", "{ kind = \"password\", secret = \"x\", password = \"hunter2\" }")],
            "`password` is not a key here",
        ),
        (&[("credential", "{ kind = \"password\", secret = \"x\", prompts = [\"*\"] }")], "tables only"),
        (
            &[("credential", "{ kind = \"password\", secret = \"x\", prompts = [{ matches = \"*\" }] }")],
            "needs some text",
        ),
        (
            &[("credential", "{ kind = \"password\", secret = \"x\", prompts = [{ secret = \"y\" }] }")],
            "`matches` is missing",
        ),
        (
            &[("credential", "{ kind = \"password\", secret = \"x\", prompts = [{ matches = \"a\", echo = 1 }] }")],
            "true or false",
        ),
        (&[("class", "\"Core Router\"")], "cannot be a group"),
        (&[("groups", "[\"\"]")], "cannot be a group"),
        (&[("groups", "[\"a\", \"a\"]")], "listed twice"),
        (&[("protocols", "[\"telnet\"]")], "is not a protocol"),
        (&[("sessions_max", "0")], "whole number"),
        (&[("sessions_max", "-1")], "whole number"),
        (&[("sessions_max", "1.5")], "whole number"),
        (&[("dials_max", "99999999999999999999999")], "whole number"),
        (&[("crypto", "\"old\"")], "must be a table"),
        (&[("crypto", "{}")], "`profile` is missing"),
        (&[("crypto", "{ profile = \"old\" }")], "no [[crypto_profile]] named"),
        (&[("crypto", "{ ciphers = [\"3des-cbc\"] }")], "`ciphers` is not a key here"),
        (&[("hostkeys", "[]")], "`hostkeys` is not a key here"),
    ];
    for (edit, expected) in rows {
        let found = problems(&one(edit));
        assert!(
            found.iter().any(|p| p.text.contains(expected) && p.file == "elements.toml" && p.line > 0),
            "{edit:?}: {found:?}"
        );
    }
}

#[test]
fn every_mistake_of_a_profile_is_told() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("name", "")], "`name` is missing"),
        (&[("reason", "")], "`reason` is missing"),
        (&[("reason", "\"  \"")], "`reason` is empty"),
        (&[("owner", "")], "`owner` is missing"),
        (&[("expires", "")], "`expires` is missing"),
        (&[("expires", "\"never\"")], "is not a date"),
        (&[("expires", "2027-06-30")], "must be a text"),
        (&[("ciphers", "[\"none\"]")], "is not an algorithm"),
        (&[("ciphers", "[\"arcfour\"]")], "is not an algorithm"),
        (&[("ciphers", "[\"hmac-sha1\"]")], "is not an algorithm"),
        (&[("macs", "[\"none\"]")], "is not an algorithm"),
        (&[("kex", "[\"none\"]")], "is not an algorithm"),
        (&[("kex", "[\"kex-strict-c-v00@openssh.com\"]")], "is not an algorithm"),
        (&[("host_keys", "[\"ssh-dss\"]")], "is not an algorithm"),
        (&[("compression", "[\"zlib\"]")], "`compression` is not a key here"),
    ];
    for (edit, expected) in rows {
        let found = problems(&profile(edit));
        assert!(found.iter().any(|p| p.text.contains(expected) && p.line > 0), "{edit:?}: {found:?}");
    }
    assert!(problems(&profile(&[]).repeat(2))[0].text.contains("already in line 1"));
    assert!(Inventory::parse(&profile(&[])).is_ok());
}

#[test]
fn all_mistakes_come_at_once_and_in_the_order_of_the_file() {
    let rows =
        [one(&[("account", "\"a b\""), ("colour", "1")]), one(&[("name", "\"core-rtr-2\""), ("credential", "")])];
    let text = format!("{}\n[element_typo]\n", rows.concat());
    let found = problems(&text);
    let lines: Vec<u32> = found.iter().map(|p| p.line).collect();
    assert!(found.len() >= 4 && lines.is_sorted(), "{found:?}");
    for expected in ["account name", "`colour`", "`credential` is missing", "`element_typo` is not a key"] {
        assert!(found.iter().any(|p| p.text.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn names_and_addresses_are_one_element_each() {
    let found = problems(&one(&[]).repeat(2));
    assert!(found.iter().any(|p| p.text.contains("stands already in line 1")), "{found:?}");
    assert!(found.iter().any(|p| p.text.contains("192.0.2.1:22 is already that of `core-rtr-1`")), "{found:?}");
}

#[test]
fn broken_toml_is_told_with_its_line() {
    for (text, line) in [("[[element]]\nname = \n", 2), ("a = 1\na = 2\n", 2), ("\n\n[[element\n", 3)] {
        assert!(problems(text).iter().any(|p| p.line == line), "{text}: {:?}", problems(text));
    }
    let absent = Inventory::load(Path::new("/nonexistent/elements.toml")).unwrap_err();
    assert_eq!((absent.len(), absent[0].line), (1, 0));
}

#[test]
fn warnings_come_a_month_ahead() {
    let inventory = Inventory::parse(&profile(&[])).unwrap();
    let at = |text: &str| inventory.warnings(text.parse().unwrap());
    assert!(at("2027-05-30T00:00:00Z").is_empty());
    assert!(at("2027-05-31T00:00:00Z")[0].text.contains("in 30 days"));
    assert!(at("2027-07-01T00:00:00Z")[0].text.contains("not dialled"));
}

#[test]
fn what_the_demo_writes_can_be_read() {
    let element = |name, site, address| DemoElement { name, site, address, host_key: KEY };
    let text =
        render_demo(&[element("core-rtr-1", "par", "127.0.0.1:2201"), element("core-rtr-2", "fra", "127.0.0.1:2202")]);
    let inventory = Inventory::parse(&text).unwrap();
    assert_eq!(inventory.iter().count(), 2);
    let second = inventory.find(&"core-rtr-2".parse().unwrap()).unwrap();
    assert_eq!(second.tags().groups, ["class/core-router", "platform/ios", "site/fra", "vendor/lab"]);
}

/// What is shipped, with its examples, which are comments.
fn examples() -> Inventory {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(FILE);
    let text = std::fs::read_to_string(shipped).unwrap();
    assert!(Inventory::parse(&text).is_ok(), "{:?}", Inventory::parse(&text));
    let examples: Vec<&str> = text.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).collect();
    Inventory::parse(&examples.join("\n")).unwrap_or_else(|found| panic!("{found:?}"))
}

#[test]
fn what_is_shipped_can_be_read() {
    assert!(examples().iter().count() >= 6);
}

/// A class that is spelt one way in the inventory and another way in the rows escapes every row that denies.
#[test]
fn the_examples_and_the_shipped_rows_name_the_same_groups() {
    use crate::policy::PolicySet;
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let set = PolicySet::load(&policies, &examples().tags()).unwrap();
    let about_groups: Vec<_> = set.warnings().iter().filter(|w| w.text.contains("group:")).collect();
    assert!(about_groups.is_empty(), "{about_groups:#?}");
    // And the guard itself: one letter, and both sides are told.
    let mut tags = examples().tags();
    for group in tags.iter_mut().flat_map(|element| &mut element.groups) {
        *group = group.replace("lawful-intercept-mediation", "li-mediation");
    }
    let set = PolicySet::load(&policies, &tags).unwrap();
    let told: Vec<String> = set.warnings().iter().map(ToString::to_string).collect();
    for warning in [
        "elements.toml: no row names `group:class/li-mediation`, the class of `li-med-1`",
        "no element is in `group:class/lawful-intercept-mediation`",
    ] {
        assert!(told.iter().any(|text| text.contains(warning)), "{warning}: {told:#?}");
    }
}

/// An element with this section for a service.
fn serving(section: &str) -> Result<Inventory, Vec<Problem>> {
    let protocols = "protocols = [\"ssh\", \"https\"]\n";
    Inventory::parse(&format!("{}{protocols}{section}", one(&[("protocols", "")])))
}

#[test]
fn services_that_are_accepted_and_refused() {
    let pin = format!("pins = [\"SHA256:{}\"]", "ab".repeat(32));
    let section = |more: &str| format!("[element.https]\naddresses = [\"127.0.0.1:443\"]\n{pin}\n{more}\n");
    for more in [
        "",
        "server_name = \"r1.example\"",
        "restconf = \"/restconf\"",
        "api = \"apis/hss.json\"",
        "credential = { kind = \"basic\", secret = \"x\" }",
        "[element.netconf]\nover = \"ssh\"\naddresses = [\"127.0.0.1:830\"]",
    ] {
        assert!(serving(&section(more)).is_ok(), "{more}: {:?}", serving(&section(more)));
    }
    for more in [
        "server_name = \"a b\"",
        "restconf = \"restconf\"",
        "restconf = \"/restconf/\"",
        "api = \"/etc/passwd\"",
        "api = \"../x.json\"",
        "tls12_profile = \"nope\"",
        "credential = { kind = \"certificat\" }",
        "credential = { kind = \"basic\" }",
        "credential = { kind = \"basic\", secret = \"x\", user = \"y\" }",
        "ca = [\"not PEM\"]",
        "insecure = true",
        "[element.netconf]\naddresses = [\"127.0.0.1:830\"]",
        "[element.netconf]\nover = \"telnet\"\naddresses = [\"127.0.0.1:830\"]",
        "[element.netconf]\nover = \"tls\"\naddresses = [\"127.0.0.1:6513\"]",
    ] {
        assert!(serving(&section(more)).is_err(), "{more}");
    }
    for whole in ["", "[element.https]\naddresses = [\"127.0.0.1:443\"]\n", &format!("[element.https]\n{pin}\n")] {
        assert!(serving(whole).is_err(), "{whole}");
    }
    // RESTCONF is somewhere, or nowhere.
    for (more, good) in [("", false), ("restconf = \"/restconf\"", true)] {
        let text = format!("{}protocols = [\"restconf\"]\n{}", one(&[("protocols", "")]), section(more));
        assert_eq!(Inventory::parse(&text).is_ok(), good, "{more}");
    }
    let inventory = serving(&section("")).expect("an inventory");
    let element = inventory.iter().next().expect("one");
    assert!(element.service(crate::element::Service::Https).is_some());
    assert!(element.service(crate::element::Service::Gnmi).is_none());
}
