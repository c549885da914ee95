use proptest::prelude::*;

use super::*;
use crate::policy::PolicySet;
use crate::policy::compiled::fits;
use crate::policy::tests::{request, set};

const MODEL_TEXT: &str = include_str!("../../../policies/model.conf");

#[test]
fn the_shipped_model_is_the_one() {
    assert_eq!(check_model(MODEL_TEXT), Ok(()));
    assert_eq!(check_model(&MODEL_TEXT.replace("\n", "\r\n")), Ok(()));
}

#[test]
fn any_other_model_is_refused() {
    for (from, to) in [
        ("some(where (p.eft == allow)) && ", ""),
        ("&& !some(where (p.eft == deny))", ""),
        ("g(r.who, p.who)", "keyMatch(r.who, p.who)"),
        ("g2(", "g("),
        ("verb_is(r.verb, p.verb) && ", ""),
        ("who, element, account, verb, object, eft", "who, element, account, verb, object"),
        ("g2 = _, _", ""),
        ("[matchers]", "[matcher]"),
        ("[matchers]\n", "[matchers]\nm2 = true\n"),
        ("[role_definition]\n", "[role_definition]\ng = _, _\n"),
    ] {
        let changed = MODEL_TEXT.replace(from, to);
        assert_ne!(changed, MODEL_TEXT, "{from}");
        assert!(check_model(&changed).is_err(), "{from} -> {to}");
    }
    assert!(check_model("").is_err());
}

#[test]
fn a_broken_row_is_an_error_or_a_denial_and_never_a_panic() {
    let set = set("p, user:ada, element:r1, *, ssh.exec, show *, allow\n");
    let judge = Casbin::new(&[], &[]).expect("an engine");
    let rows: Vec<_> = set.compiled.rules.iter().collect();
    for object in ["show version", "show \u{e9}", "show \0", "(((", "\" || true || \"", "${x}"] {
        let expected = if matches!(object, "show version" | "show \u{e9}") { Effect::Allow } else { Effect::Deny };
        assert_eq!(judge.judge(&request("ada", "r1", "ssh.exec", object), &rows), Ok(expected), "{object:?}");
    }
    assert_eq!(judge.judge(&request("ada", "r1", "ssh.exec", "show x"), &[]), Ok(Effect::Deny));
}

fn who() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]".prop_map(|n| format!("user:{n}")), "[a-c]".prop_map(|n| format!("role:{n}"))]
}

fn element() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("element:r1".to_owned()),
        Just("element:h1".to_owned()),
        Just("group:class/core-router".to_owned()),
        "[a-c]".prop_map(|n| format!("group:{n}")),
    ]
}

fn row() -> impl Strategy<Value = String> {
    let subject = prop_oneof![
        (
            Just("ssh.exec"),
            prop_oneof![Just("show *"), Just("show a"), Just("*"), Just("reload*"), Just("class:any-command")]
        ),
        (Just("file.read"), prop_oneof![Just("/a/*"), Just("/a/**"), Just("**"), Just("a")]),
        (Just("file.*"), prop_oneof![Just("/a/b"), Just("**")]),
        (Just("ssh.forward"), prop_oneof![Just("*:22"), Just("h:*")]),
        (Just("ssh.raw-shell"), Just("-")),
        (Just("gateway.audit"), Just("*")),
    ];
    let account = prop_oneof![Just("*"), Just("admin"), Just("root")];
    let broad = (prop_oneof![who(), Just("*".to_owned())], prop_oneof![element(), Just("*".to_owned())]);
    let wide = prop_oneof![Just(("ssh.*", "*")), Just(("*", "*")), Just(("ssh.exec", "*"))];
    prop_oneof![
        4 => (who(), element(), account.clone(), subject.clone()).prop_map(|(w, e, a, (v, o))| format!("p, {w}, {e}, {a}, {v}, {o}, allow")),
        2 => (broad.clone(), account.clone(), subject.clone()).prop_map(|((w, e), a, (v, o))| format!("p, {w}, {e}, {a}, {v}, {o}, deny")),
        1 => (broad, account, wide).prop_map(|((w, e), a, (v, o))| format!("p, {w}, {e}, {a}, {v}, {o}, deny")),
        // Letters ascend, so that there is no circle.
        2 => ("[a-c]", "[ab]").prop_map(|(u, r)| format!("g, user:{u}, role:{r}")),
        1 => Just("g, role:a, role:b".to_owned()),
        1 => Just("g, role:b, role:c".to_owned()),
        1 => prop_oneof![Just("g2, element:r1, group:a"), Just("g2, group:class/core-router, group:b"), Just("g2, group:a, group:c")].prop_map(str::to_owned),
    ]
}

fn asked() -> impl Strategy<Value = Request> {
    let subject = prop_oneof![
        (
            Just("ssh.exec"),
            prop_oneof![
                Just("show a"),
                Just("show a; reload"),
                Just("reload"),
                Just("RELOAD in 5"),
                Just(""),
                Just("show \u{e9}")
            ]
        ),
        (Just("file.read"), prop_oneof![Just("/a/b"), Just("/a/b/c"), Just("/a/../b"), Just("a"), Just("/x")]),
        (Just("file.write"), prop_oneof![Just("/a/b"), Just("/x")]),
        (Just("ssh.forward"), prop_oneof![Just("h:22"), Just("h:80"), Just("x:022"), Just("/s")]),
        (Just("ssh.raw-shell"), Just("")),
        (Just("gateway.audit"), Just("")),
    ];
    let account = prop_oneof![Just("admin"), Just("root"), Just("Root")];
    ("[a-d]", prop_oneof![Just("r1"), Just("r2"), Just("h1"), Just("unknown")], account, subject).prop_map(
        |(who, element, account, (verb, object))| Request {
            account: account.parse().expect("an account"),
            ..request(&who, element, verb, object)
        },
    )
}

/// casbin over every row, without the index.
fn oracle(set: &PolicySet, judge: &Casbin, request: &Request) -> Effect {
    let every: Vec<_> = set.compiled.rules.iter().collect();
    judge.judge(request, &every).expect("an answer")
}

/// Every row that fits in each field, by looking at all of them.
fn fitting<'a, T: 'a>(set: &PolicySet, rows: impl Iterator<Item = &'a (Row, T)>, request: &Request) -> Vec<u32> {
    let all = |row: &Row| fits(&set.compiled, row, request).iter().all(|(_, fits)| *fits);
    rows.map(|(row, _)| row).filter(|row| all(row)).map(|row| row.line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// The index, and casbin over the rows it finds, decide as casbin does over the whole policy.
    #[test]
    fn the_index_decides_as_casbin_does(mut rows in prop::collection::vec(row(), 0..24), requests in prop::collection::vec(asked(), 1..24)) {
        rows.sort();
        rows.dedup();
        let set = set(&rows.join("\n"));
        let links = |kind: &str| rows.iter().filter_map(|row| {
            let fields: Vec<&str> = row.split(", ").collect();
            (fields[0] == kind).then(|| Link { line: 0, member: fields[1].to_owned(), of: fields[2].to_owned() })
        }).collect::<Vec<_>>();
        let mut groups = links("g2");
        for (element, group) in [("r1", "core-router"), ("r2", "core-router"), ("li1", "li"), ("h1", "linux-host")] {
            groups.push(Link { line: 0, member: format!("element:{element}"), of: format!("group:class/{group}") });
        }
        let judge = Casbin::new(&links("g"), &groups).expect("an engine");
        for request in &requests {
            prop_assert_eq!(set.decide(request).effect, oracle(&set, &judge, request), "{:?}", request);
        }
        prop_assert_eq!(set.engine_disagreements(), 0);
    }

    /// The index finds every obligation, and every row, that looking at all of them finds.
    #[test]
    fn the_index_misses_nothing(rows in prop::collection::vec(row(), 0..24), requests in prop::collection::vec(asked(), 1..24)) {
        let duties = rows.iter().filter(|row| row.ends_with("deny")).map(|row| row.replacen("p, ", "p2, ", 1).replacen("deny", "device", 1));
        let mut rows: Vec<String> = duties.chain(rows.iter().cloned()).collect();
        rows.sort();
        rows.dedup();
        let set = set(&rows.join("\n"));
        for request in &requests {
            let obliging: Vec<u32> = set.compiled.obliging(request).map(|(row, _)| row.line).collect();
            prop_assert_eq!(obliging, fitting(&set, set.compiled.duties.iter(), request));
            let matching = set.compiled.matching(request);
            let lines: Vec<u32> = matching.iter().filter_map(|number| set.compiled.rules.get(*number as usize)).map(|(row, _)| row.line).collect();
            prop_assert_eq!(lines, fitting(&set, set.compiled.rules.iter(), request));
        }
    }

    /// Whatever a peer sends as an object, there is an answer, and both engines give the same.
    #[test]
    fn any_object_gets_an_answer(object in "\\PC{0,40}|[ -~\\x00-\\x1f]{0,40}|[a/.*:;|]{0,40}") {
        let set = set("\
p, user:ada, element:r1, *, ssh.exec, show *, allow
p, user:ada, element:r1, *, file.*, /a/**, allow
p, user:ada, element:r1, *, ssh.forward, *:*, allow
p, user:ada, element:r1, *, ssh.subsystem, *, allow
p, *, element:r1, *, ssh.exec, reload*, deny
p, *, element:r1, *, file.*, *.key, deny
p, *, element:r1, *, ssh.forward, *:22, deny
");
        for verb in ["ssh.exec", "file.read", "ssh.forward", "ssh.subsystem", "ssh.raw-shell"] {
            set.decide(&request("ada", "r1", verb, &object));
        }
        prop_assert_eq!(set.engine_disagreements(), 0);
    }
}
