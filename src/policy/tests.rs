//! Whole sets: what loads, what is decided.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::rows::Row;
use super::verdicts::Judge;
use super::*;
use crate::domain::{Assurance, Door, Effect, Identity, Obligation, Reason};

const MODEL: &str = include_str!("../../policies/model.conf");

/// A request by `who` on `element`, as `admin`, through the mTLS door from 192.0.2.7, on a Monday morning.
pub(super) fn request(who: &str, element: &str, verb: &str, object: &str) -> Request {
    let at: Timestamp = "2026-11-23T10:00:00Z".parse().expect("a time");
    Request {
        who: Identity::new("carrier.example".parse().expect("a domain"), who).expect("a name"),
        device: None,
        assurance: Assurance::MutualTls,
        door: Door::Mtls,
        source: "192.0.2.7".parse().expect("an address"),
        element: element.parse().expect("a name"),
        account: "admin".parse().expect("an account"),
        action: Action::new(verb.parse().expect("a verb"), object),
        at,
        session_opened_at: at,
    }
}

pub(super) fn elements() -> Vec<ElementTags> {
    [("r1", "class/core-router"), ("r2", "class:core-router"), ("li1", "class/li"), ("h1", "class/linux-host")]
        .map(|(name, group)| ElementTags { name: name.parse().expect("a name"), groups: vec![group.to_owned()] })
        .into()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let model = ("model.conf", MODEL);
    for (path, text) in std::iter::once(&model).chain(files) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    dir
}

pub(super) fn set(rows: &str) -> PolicySet {
    let dir = folder(&[("policy.csv", rows)]);
    PolicySet::load(dir.path(), &elements()).expect("a set")
}

fn refused(files: &[(&str, &str)]) -> Vec<String> {
    let dir = folder(files);
    match PolicySet::load(dir.path(), &elements()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn nothing_is_allowed_by_an_empty_set() {
    let empty = set("# nothing\n");
    for (verb, object) in [("ssh.exec", ""), ("ssh.exec", "show version"), ("ssh.raw-shell", ""), ("gateway.audit", "")]
    {
        let decision = empty.decide(&request("ada", "r1", verb, object));
        assert_eq!((decision.effect, decision.reason), (Effect::Deny, Reason::NoRule), "{verb}");
    }
}

#[test]
fn allow_needs_a_row_and_a_deny_wins() {
    let set = set("\
g, user:ada, role:noc
g, user:eve, role:vendor
g, role:senior, role:noc
g, user:sam, role:senior
p, role:noc, group:class/core-router, *, ssh.exec, show *, allow
p, user:eve, element:r1, admin, ssh.exec, show version, allow
p, role:noc, group:class/li, *, ssh.exec, show *, allow
p, *, group:class/li, *, *, *, deny
p, role:noc, group:class/core-router, *, ssh.exec, show tech*, deny
p, *, *, root, ssh.*, *, deny
");
    let allowed = [
        ("ada", "r1", "show version"),
        ("ada", "r2", "show version"),
        ("sam", "r1", "show version"),
        ("eve", "r1", "show version"),
    ];
    for (who, element, object) in allowed {
        let decision = set.decide(&request(who, element, "ssh.exec", object));
        assert_eq!((decision.effect, decision.reason), (Effect::Allow, Reason::RuleAllows), "{who} {element} {object}");
    }
    let no_rule = [
        ("ada", "r1", "reload"),
        ("ada", "h1", "show version"),
        ("eve", "r2", "show version"),
        ("eve", "r1", "show clock"),
        ("bob", "r1", "show version"),
        ("ada", "unknown", "show version"),
        ("ada", "gateway", "show version"),
        ("noc", "r1", "show version"),
        ("ada", "r1", "show version; reload"),
        ("ada", "r1", "show version\nreload"),
    ];
    for (who, element, object) in no_rule {
        let decision = set.decide(&request(who, element, "ssh.exec", object));
        assert_eq!(
            (decision.effect, decision.reason, decision.rule),
            (Effect::Deny, Reason::NoRule, None),
            "{who} {element} {object}"
        );
    }
    for (who, element, object, line) in [
        ("ada", "li1", "show version", 8),
        ("bob", "li1", "x", 8),
        ("ada", "r1", "show tech", 9),
        ("ada", "r1", "SHOW  TECH; x", 9),
    ] {
        let decision = set.decide(&request(who, element, "ssh.exec", object));
        assert_eq!((decision.effect, decision.reason), (Effect::Deny, Reason::RuleDenies), "{who} {element} {object}");
        assert_eq!(decision.rule.map(|rule| rule.line), Some(line), "{who} {element} {object}");
    }
    let root =
        Request { account: "root".parse().expect("an account"), ..request("ada", "r1", "ssh.exec", "show version") };
    assert_eq!(set.decide(&root).reason, Reason::RuleDenies);
    assert_eq!(set.engine_disagreements(), 0);
}

#[test]
fn a_group_named_like_a_role_gives_nobody_that_role() {
    let set = set("\
g2, element:r1, group:noc
g, user:ada, role:other
p, role:noc, group:noc, *, ssh.exec, show *, allow
");
    assert_eq!(set.decide(&request("ada", "r1", "ssh.exec", "show x")).reason, Reason::NoRule);
    assert_eq!(set.decide(&request("noc", "r1", "ssh.exec", "show x")).reason, Reason::NoRule);
}

#[test]
fn obligations_attach_to_what_is_allowed_and_deny_when_they_fail() {
    let rows = "\
g, user:ada, role:noc
p, role:noc, group:class/core-router, *, ssh.exec, *, allow
p, role:noc, group:class/linux-host, *, ssh.exec, class:any-command, allow
p2, role:noc, group:class/core-router, *, ssh.exec, *, max:2h
p2, *, element:r1, *, *, *, window:Mon-Fri 08:00-12:00 UTC
p2, *, element:r2, *, ssh.*, *, assurance:3
p2, *, group:class/linux-host, *, ssh.exec, reload*, review:1
p2, role:other, element:r1, *, *, *, ticket
";
    let set = set(rows);
    let allowed = set.decide(&request("ada", "r1", "ssh.exec", "show version"));
    assert!(allowed.allows(), "{allowed:?}");
    assert_eq!(allowed.obligations.len(), 2);
    assert_eq!(allowed.until, Some("2026-11-23T12:00:00Z".parse().expect("a time")));
    let strong = Request { assurance: Assurance::HardwareBound, ..request("ada", "r2", "ssh.exec", "show version") };
    assert_eq!(
        set.decide(&strong).until,
        Some("2026-11-23T12:00:00Z".parse().expect("a time")),
        "two hours after it was opened"
    );
    let evening = Request {
        at: "2026-11-23T12:00:00Z".parse().expect("a time"),
        ..request("ada", "r1", "ssh.exec", "show version")
    };
    for (refused, words) in [
        (evening, "window"),
        (request("ada", "r2", "ssh.exec", "show version"), "assurance level 3"),
        (request("ada", "h1", "ssh.exec", "x; RELOAD"), "review:1"),
    ] {
        let decision = set.decide(&refused);
        let Reason::Obligation(text) = &decision.reason else { panic!("{decision:?}") };
        assert!(text.contains(words), "{text}");
        assert_eq!(decision.effect, Effect::Deny);
        assert!(decision.rule.is_some() && decision.until.is_none());
    }
    assert!(set.decide(&request("ada", "h1", "ssh.exec", "date")).allows());
    let unmet = set.decide(&request("ada", "h1", "ssh.exec", "reload"));
    assert_eq!(unmet.obligations, [Obligation::Unfulfilled("review:1".to_owned())]);
}

#[test]
fn every_mistake_of_every_file_is_reported_at_once() {
    let found = refused(&[
        ("policy.csv", "p, noc, x\ng, user:a, role:b\ng, role:b, role:b\n"),
        ("cases.toml", "[[case]]\nname = 1\n"),
        ("set.toml", "contact = \"\"\n"),
        ("commands/x.toml", "[[class]]\n"),
        ("extra.csv", ""),
        ("model.conf", "[matchers]\nm = true\n"),
    ]);
    for file in [
        "policy.csv:1: ",
        "policy.csv:3: ",
        "cases.toml:2: ",
        "set.toml: ",
        "commands/x.toml:",
        "extra.csv: ",
        "model.conf: ",
    ] {
        assert!(found.iter().any(|problem| problem.starts_with(file)), "{file}: {found:#?}");
    }
    assert!(!refused(&[]).is_empty(), "policy.csv is missing");
    let bad_tag = [ElementTags { name: "x".parse().expect("a name"), groups: vec!["Bad Tag".to_owned()] }];
    assert!(PolicySet::load(folder(&[("policy.csv", "")]).path(), &bad_tag).is_err());
}

#[test]
fn a_case_that_is_decided_otherwise_refuses_the_set() {
    let rows = "g, user:ada, role:noc\np, role:noc, element:r1, *, ssh.exec, show *, allow\np2, role:noc, element:r1, *, ssh.exec, show run*, ticket\n";
    let case =
        |text: &str| refused(&[("policy.csv", rows), ("cases.toml", &format!("[[case]]\nname = \"c\"\n{text}\n"))]);
    let who = "who = \"user:ada\"\nverb = \"ssh.exec\"\n";
    for good in [
        "element = \"r1\"\nobject = \"show version\"\nexpect = \"allow\"",
        "element = \"r1\"\nobject = \"show version\"\nexpect = \"allow\"\nrule = \"p, role:noc, element:r1, *, ssh.exec, show *, allow\"",
        "element = \"r1\"\nobject = \"reload\"\nexpect = \"deny\"\nbecause = \"no-rule\"",
        "element = \"r1\"\nobject = \"show running-config\"\nexpect = \"deny\"\nbecause = \"obligation\"",
        "element = \"invented\"\ngroups = [\"class/x\"]\nobject = \"show version\"\nexpect = \"deny\"",
    ] {
        assert_eq!(case(&format!("{who}{good}")), Vec::<String>::new(), "{good}");
    }
    for bad in [
        "element = \"r1\"\nobject = \"show version\"\nexpect = \"deny\"",
        "element = \"r1\"\nobject = \"reload\"\nexpect = \"allow\"",
        "element = \"r1\"\nobject = \"reload\"\nexpect = \"deny\"\nbecause = \"rule\"",
        "element = \"r1\"\nobject = \"show version\"\nexpect = \"allow\"\nrule = \"p, role:noc, element:r1, *, ssh.exec, *, allow\"",
        "element = \"nowhere\"\nobject = \"show version\"\nexpect = \"deny\"",
        "element = \"r1\"\ngroups = []\nobject = \"show version\"\nexpect = \"allow\"",
        "element = \"r1\"\nobject = \"show version\"\nexpect = \"maybe\"",
        "element = \"r1\"\nobject = \"show version\"\nexpect = \"allow\"\nassurance = 4",
        "element = \"r1\"\nobject = \"show version\"\nexpect = \"allow\"\nunknown = 4",
    ] {
        let found = case(&format!("{who}{bad}"));
        assert!(found.iter().any(|problem| problem.starts_with("cases.toml:")), "{bad}: {found:?}");
    }
}

#[test]
fn an_element_that_a_case_invents_is_gone_afterwards() {
    let dir = folder(&[
        ("policy.csv", "p, user:ada, group:class/x, *, ssh.exec, show *, allow\n"),
        (
            "cases.toml",
            "[[case]]\nname = \"c\"\nwho = \"user:ada\"\nelement = \"invented\"\ngroups = [\"class/x\"]\nverb = \"ssh.exec\"\nobject = \"show x\"\nexpect = \"allow\"\n",
        ),
    ]);
    let set = PolicySet::load(dir.path(), &elements()).expect("a set");
    assert!(set.cases().iter().all(|case| case.failure.is_none()));
    assert_eq!(set.decide(&request("ada", "invented", "ssh.exec", "show x")).reason, Reason::NoRule);
}

/// A judge that says the same to everything, and counts.
struct Stubborn(Result<Effect, String>, std::sync::Arc<AtomicUsize>);

impl Judge for Stubborn {
    fn judge(&self, _: &Request, rows: &[&(Row, Effect)]) -> Result<Effect, String> {
        assert!(!rows.is_empty());
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.clone()
    }
}

#[test]
fn nothing_is_allowed_that_the_judge_does_not_allow_too() {
    let rows = "p, user:ada, element:r1, *, ssh.exec, show *, allow\n";
    for answer in [Ok(Effect::Deny), Err("broken".to_owned())] {
        let asked = std::sync::Arc::new(AtomicUsize::new(0));
        let set = set(rows).with_judge(Box::new(Stubborn(answer, asked)));
        for round in 1..=3 {
            let decision = set.decide(&request("ada", "r1", "ssh.exec", "show version"));
            assert!(!decision.allows() && matches!(decision.reason, Reason::Engine(_)), "{decision:?}");
            assert_eq!(set.engine_disagreements(), round);
        }
    }
}

#[test]
fn a_second_look_that_differs_denies_the_class_from_then_on() {
    let rows =
        "p, user:ada, element:r1, *, ssh.exec, show *, allow\np, user:ada, element:r1, *, ssh.exec, ping *, allow\n";
    let (show, ping) = (request("ada", "r1", "ssh.exec", "show version"), request("ada", "r1", "ssh.exec", "ping r2"));
    let honest = set(rows);
    for asked in [
        &show,
        &ping,
        &request("eve", "r1", "ssh.exec", "show version"),
        &request("ada", "r1", "file.transfer", "sftp"),
    ] {
        honest.decide(asked);
        assert_eq!(honest.look_again(asked), None);
    }
    assert!(honest.decide(&show).allows() && honest.engine_disagreements() == 0);
    let differing = set(rows).seen_again_as(Effect::Deny);
    assert!(differing.decide(&show).allows(), "nobody has looked yet");
    assert!(differing.look_again(&show).is_some_and(|text| text.contains("disagree")));
    assert_eq!(differing.engine_disagreements(), 1);
    for object in ["show version", "show clock"] {
        let decision = differing.decide(&request("ada", "r1", "ssh.exec", object));
        assert!(!decision.allows() && matches!(decision.reason, Reason::Engine(_)), "{object}: {decision:?}");
    }
    assert!(differing.decide(&ping).allows(), "another class is not touched");
    // One that was denied stays denied.
    let generous = set(rows).seen_again_as(Effect::Allow);
    let eve = request("eve", "r1", "ssh.exec", "show version");
    assert!(generous.look_again(&eve).is_some() && !generous.decide(&eve).allows());
}

#[test]
fn the_judge_is_asked_once_for_each_class_and_never_without_rows() {
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let set = set("p, user:ada, element:r1, *, ssh.exec, show *, allow\n")
        .with_judge(Box::new(Stubborn(Ok(Effect::Allow), asked.clone())));
    for object in ["show version", "show clock", "reload", "show x; y"] {
        set.decide(&request("ada", "r1", "ssh.exec", object));
        set.decide(&request("eve", "r1", "ssh.exec", object));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn explanations_name_the_rows() {
    let set = set("\
p, user:ada, element:r1, *, ssh.exec, show *, allow
p, user:eve, element:r1, *, ssh.exec, show *, allow
p, user:ada, element:r1, *, ssh.exec, ping *, allow
p, user:bob, element:r2, *, ssh.exec, ping *, allow
p2, *, *, *, *, *, device
");
    let told = set.explain(&request("ada", "r1", "ssh.exec", "show version"));
    assert_eq!(told.matching.iter().map(|(rule, _)| rule.line).collect::<Vec<_>>(), [1]);
    assert_eq!(
        told.near_misses.iter().map(|near| (near.rule.line, near.field)).collect::<Vec<_>>(),
        [(2, "who"), (3, "object")]
    );
    assert!(told.obligations.iter().all(|obliged| obliged.failure.is_some()) && told.obligations.len() == 1);
    assert_eq!(told.contact, "the security team");
}

#[test]
fn the_shipped_set_holds_its_cases() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let tags = |name: &str, groups: [&str; 3]| ElementTags {
        name: name.parse().expect("a name"),
        groups: groups.map(str::to_owned).into(),
    };
    let lab = [
        tags("core-rtr-1", ["class/core-router", "vendor/lab", "site/par"]),
        tags("core-rtr-2", ["class/core-router", "vendor/lab", "site/fra"]),
    ];
    let set = PolicySet::load(&dir, &lab)
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()));
    assert!(set.cases().len() >= 40);
    let ask = |who: &str, verb: &str, object: &str| set.decide(&request(who, "core-rtr-2", verb, object));
    assert!(ask("noc-engineer", "ssh.exec", "show version").allows());
    assert!(!ask("noc-engineer", "ssh.exec", "configure terminal").allows());
    assert!(ask("senior-engineer", "ssh.exec", "configure terminal").allows());
    assert!(!ask("outsider", "ssh.exec", "show version").allows());
    let vendor = ask("vendor", "ssh.exec", "show version");
    assert_eq!(vendor.until, Some("2026-11-23T12:00:00Z".parse().expect("a time")), "{vendor:?}");
    let sunday = "2026-11-22T10:00:00Z".parse().expect("a time");
    let request = Request {
        at: sunday,
        session_opened_at: sunday,
        ..request("vendor", "core-rtr-2", "ssh.exec", "show version")
    };
    assert!(matches!(set.decide(&request).reason, Reason::Obligation(_)));
    assert_eq!(set.engine_disagreements(), 0);
}

#[test]
fn a_transfer_opens_when_some_file_action_could_be_allowed() {
    let opens = |rows: &str, who: &str| set(rows).decide(&request(who, "h1", "file.transfer", "sftp")).allows();
    for rows in [
        "p, user:ada, element:h1, *, file.read, /var/log/*, allow",
        "p, user:ada, element:h1, *, file.*, **, allow\np, *, element:h1, *, file.*, /etc/**, deny",
        "p, user:ada, element:h1, *, file.stat, ., allow",
    ] {
        assert!(opens(rows, "ada"), "{rows}");
        assert!(!opens(rows, "eve"), "{rows}");
    }
    for rows in [
        "",
        "p, user:ada, element:r1, *, file.read, /x, allow",
        "p, user:ada, element:h1, root, file.read, /x, allow",
        "p, user:ada, element:h1, *, ssh.exec, class:any-command, allow",
        "p, user:ada, element:h1, *, file.read, /x, allow\np, *, element:h1, *, file.*, **, deny",
        "p, user:ada, element:h1, *, file.read, /x, allow\np2, *, element:h1, *, file.*, **, ticket",
    ] {
        assert!(!opens(rows, "ada"), "{rows}");
    }
}

#[test]
fn the_management_plane_has_one_vocabulary() {
    let set = set("\
g, user:ada, role:noc
p, role:noc, group:class/core-router, *, data.read, /interfaces, allow
p, role:noc, group:class/core-router, *, data.merge, running:/interfaces/interface[name=*]/config, allow
p, *, group:class/core-router, *, data.write, /interfaces/interface[name=lo0], deny
");
    let allowed = |verb: &str, object: &str| set.decide(&request("ada", "r1", verb, object)).allows();
    for verb in ["netconf.get", "netconf.get-config", "netconf.get-data", "restconf.get", "gnmi.get", "gnmi.subscribe"]
    {
        assert!(allowed(verb, "running:/ietf-interfaces:interfaces/interface[name='eth0']"), "{verb}");
        assert!(!allowed(verb, "running:/system"), "{verb}");
        assert!(!allowed(verb, "running:/"), "{verb}");
        assert!(!allowed(verb, "not a target"), "{verb}");
    }
    for verb in ["netconf.merge", "restconf.patch", "gnmi.update"] {
        assert!(allowed(verb, "running:/oc:interfaces/interface[name='eth0']/config/mtu"), "{verb}");
        for object in [
            "candidate:/interfaces/interface[name='eth0']/config/mtu",
            "running:/interfaces/interface[name='lo0']/config/mtu",
            "running:/interfaces/interface/config/mtu",
            "running:/interfaces/interface[name='eth0']",
            "running:/interfaces",
        ] {
            assert!(!allowed(verb, object), "{verb} {object}");
        }
    }
    for verb in ["netconf.replace", "restconf.put", "gnmi.replace", "netconf.create", "gnmi.delete"] {
        assert!(!allowed(verb, "running:/interfaces/interface[name='eth0']/config/mtu"), "{verb}");
    }
}

#[test]
fn an_outline_tells_where_to_look() {
    let set = set("\
p, user:ada, element:r1, *, netconf.get, /interfaces, allow
p, user:ada, element:r1, *, netconf.get, /system/clock, allow
p, user:ada, element:r1, bob, netconf.get, /other, allow
p, *, element:r1, *, netconf.get, /interfaces/interface[name=lo0], deny
p2, *, element:r1, *, netconf.get, /interfaces/secret, assurance:3
");
    let outline = set.outline(&request("ada", "r1", "netconf.get", ""));
    for (target, portion) in [
        ("running:/", Portion::Part),
        ("running:/interfaces", Portion::Part),
        ("running:/interfaces/interface[name='eth0']", Portion::Whole),
        ("running:/interfaces/interface[name='lo0']", Portion::Part),
        ("running:/interfaces/interface", Portion::Part),
        ("running:/interfaces/secret/x", Portion::Part),
        ("running:/interfaces/other", Portion::Whole),
        ("running:/system", Portion::Part),
        ("running:/system/clock/timezone", Portion::Whole),
        ("running:/system/users", Portion::Nothing),
        ("running:/other", Portion::Nothing),
    ] {
        assert_eq!(outline.portion(&target.parse().expect("a target")), portion, "{target}");
    }
    let nobody = set.outline(&request("eve", "r1", "netconf.get", ""));
    assert_eq!(nobody.portion(&"running:/interfaces".parse().expect("a target")), Portion::Nothing);
}
