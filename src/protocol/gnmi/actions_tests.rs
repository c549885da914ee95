use super::*;
use crate::domain::data::{Model, Models};
use crate::protocol::gnmi::method::Method;
use crate::protocol::gnmi::request::{path, update};
use crate::protocol::gnmi::wire::Writer;

fn models() -> Models {
    let mut models = Models::default();
    let lists = vec![
        ("/interfaces/interface".to_owned(), vec!["name".to_owned()]),
        ("/acl/set".to_owned(), vec!["name".to_owned(), "type".to_owned()]),
    ];
    models.add(&Model { name: "ifs".into(), namespace: String::new(), lists }).expect("a model");
    models
}

fn at(text: &str) -> Writer {
    path(text).expect("a path")
}

fn told(method: &str, request: Writer) -> Result<Vec<String>, Refused> {
    let models = models();
    let method = Method::find(&format!("/gnmi.gNMI/{method}")).expect("a method");
    let actions = method.decide(&request.finish(), &View { element: "r1", models: &models })?;
    Ok(actions.iter().map(|action| format!("{} {}", action.verb, action.object)).collect())
}

#[track_caller]
fn is(method: &str, request: Writer, expected: &[&str]) {
    assert_eq!(told(method, request).as_deref(), Ok(&expected.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()[..]));
}

#[track_caller]
fn refused(method: &str, request: Writer, why: &str) {
    match told(method, request) {
        Err(Refused { code: Code::InvalidArgument, text }) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// A Set of one JSON value.
fn setting(how: u32, at: &str, json: &str) -> Writer {
    Writer::new().message(how, &update(at, json).expect("a path"))
}

const REPLACE: u32 = field::set::REPLACE;
const UPDATE: u32 = field::set::UPDATE;
const UNION: u32 = field::set::UNION_REPLACE;

#[test]
fn reading() {
    is("Capabilities", Writer::new(), &["gnmi.capabilities "]);
    is("Get", Writer::new().message(2, &at("/a")), &["gnmi.get running:/a", "gnmi.get operational:/a"]);
    for (kind, expected) in [(1, "gnmi.get running:/a"), (2, "gnmi.get operational:/a"), (3, "gnmi.get operational:/a")]
    {
        is("Get", Writer::new().message(2, &at("/a")).number(3, kind), &[expected]);
    }
    let two = Writer::new().message(1, &at("/p")).message(2, &at("/a")).message(2, &at("/b[k=*]")).number(3, 1);
    is("Get", two, &["gnmi.get running:/p/a", "gnmi.get running:/p/b[k=*]"]);
    is("Get", Writer::new().number(3, 1), &["gnmi.get running:/"]);
    is("Get", Writer::new().message(1, &at("/p")).number(3, 1), &["gnmi.get running:/p"]);
    is("Get", Writer::new().message(2, &at("/...")).number(3, 1), &["gnmi.get running:/**"]);
    is("Get", Writer::new().message(2, &at("cli:/show version")), &["cli.run show version"]);
    refused("Get", Writer::new().message(2, &at("cli:/")), "lacks its command line");
    refused("Get", Writer::new().message(2, &at("/a")).number(3, 4), "type of data");
    refused("Get", Writer::new().message(2, &at("/a")).number(4, 1), "does not know");
    refused("Get", Writer::new().message(1, &at("/p")).message(1, &at("/q")), "twice");
}

#[test]
fn updates_are_told_leaf_by_leaf() {
    for (path, json, expected) in [
        ("/system", r#"{"hostname":"r1"}"#, &["gnmi.update running:/system/hostname"][..]),
        (
            "/",
            r#"{"ifs:system":{"a":1,"b":{"c":2}}}"#,
            &["gnmi.update running:/ifs:system/:a", "gnmi.update running:/ifs:system/:b/c"],
        ),
        ("/system/hostname", r#""r1""#, &["gnmi.update running:/system/hostname"]),
        ("/system", "{}", &["gnmi.update running:/system"]),
        ("/system", r#"{"dns":[]}"#, &["gnmi.update running:/system/dns"]),
        (
            "/interfaces",
            r#"{"interface":[{"name":"e0","mtu":9},{"name":"e1","mtu":9}]}"#,
            &[
                "gnmi.update running:/interfaces/interface[name='e0']/mtu",
                "gnmi.update running:/interfaces/interface[name='e1']/mtu",
            ],
        ),
        (
            "/interfaces/interface",
            r#"[{"name":"e0","mtu":9}]"#,
            &["gnmi.update running:/interfaces/interface[name='e0']/mtu"],
        ),
        (
            "/interfaces/interface[name=e0]",
            r#"{"name":"e0","mtu":9}"#,
            &["gnmi.update running:/interfaces/interface[name='e0']/mtu"],
        ),
        (
            "/interfaces/interface[name=e0]",
            r#"{"name":"e0"}"#,
            &["gnmi.update running:/interfaces/interface[name='e0']"],
        ),
        ("/interfaces/interface[name=*]", r#"{"mtu":9}"#, &["gnmi.update running:/interfaces/interface[name=*]/mtu"]),
        (
            "/acl",
            r#"{"set":[{"name":"a","type":"v4","x":1}]}"#,
            &["gnmi.update running:/acl/set[name='a'][type='v4']/x"],
        ),
        // A list that nobody has described: every entry of it.
        (
            "/other",
            r#"{"list":[{"id":1,"x":1}]}"#,
            &["gnmi.update running:/other/list/id", "gnmi.update running:/other/list/x"],
        ),
        // The element may take this for the content of /system/ntp.
        (
            "/system/ntp",
            r#"{"ntp":{"x":1}}"#,
            &["gnmi.update running:/system/ntp/ntp/x", "gnmi.update running:/system/ntp/x"],
        ),
        (
            "/interfaces/interface[name=e0]",
            r#"{"interface":[{"name":"e1","mtu":9}]}"#,
            &[
                "gnmi.update running:/interfaces/interface[name='e0']/interface/name",
                "gnmi.update running:/interfaces/interface[name='e0']/interface/mtu",
                "gnmi.update running:/interfaces/interface[name='e1']/mtu",
            ],
        ),
    ] {
        is("Set", setting(UPDATE, path, json), expected);
    }
}

#[test]
fn updates_of_other_kinds_are_told_at_their_path() {
    let value = |number: u32| Writer::new().bytes(number, b"x");
    for value in [
        value(1),
        value(5),
        value(12),
        value(13),
        Writer::new().number(2, 1),
        Writer::new().number(3, 1),
        Writer::new().number(4, 1),
        Writer::new().message(7, &Writer::new()),
        Writer::new().message(8, &Writer::new().message(1, &value(1))),
        Writer::new().message(9, &Writer::new()),
        Writer::new(),
    ] {
        let update = Writer::new().message(1, &at("/system/hostname")).message(3, &value);
        is("Set", Writer::new().message(UPDATE, &update), &["gnmi.update running:/system/hostname"]);
    }
    is("Set", Writer::new().message(UPDATE, &Writer::new()), &["gnmi.update running:/"]);
}

#[test]
fn what_goes_is_told_at_its_root() {
    is("Set", Writer::new().message(2, &at("/a/b[k=v]")), &["gnmi.delete running:/a/b[k='v']"]);
    is("Set", Writer::new().message(2, &at("/a/*")), &["gnmi.delete running:/a/*"]);
    for how in [REPLACE, UNION] {
        // What no update of a union says goes too.
        let is = |name: &str, request: Writer, expected: &[&str]| {
            let root = "gnmi.replace running:/";
            let all = how == UNION && expected != [root];
            let before: &[&str] = if all { &["gnmi.replace running:/"] } else { &[] };
            is(name, request, &[before, expected].concat());
        };
        is("Set", setting(how, "/system", r#"{"a":1,"b":2}"#), &["gnmi.replace running:/system"]);
        is("Set", setting(how, "/", r#"{"a":{}}"#), &["gnmi.replace running:/"]);
        is(
            "Set",
            setting(how, "/interfaces/interface", r#"[{"name":"e0"}]"#),
            &["gnmi.replace running:/interfaces/interface"],
        );
        is(
            "Set",
            setting(how, "/interfaces/interface[name=e0]", r#"{"interface":[{"name":"e1","mtu":9}]}"#),
            &[
                "gnmi.replace running:/interfaces/interface[name='e0']",
                "gnmi.replace running:/interfaces/interface[name='e1']",
            ],
        );
        refused("Set", setting(how, "/interfaces/interface[name=e0]", r#"{"name":"e1"}"#), "another list entry");
    }
}

#[test]
fn all_of_a_set_is_told() {
    let all = Writer::new()
        .message(1, &at("openconfig:/top"))
        .message(UPDATE, &update("/a", "1").expect("a path"))
        .message(2, &at("/b"))
        .message(REPLACE, &update("/c", "1").expect("a path"))
        .message(UNION, &update("/d", "1").expect("a path"))
        .message(UPDATE, &update("/a", "1").expect("a path"));
    let expected = [
        "gnmi.delete running:/top/b",
        "gnmi.replace running:/top/c",
        "gnmi.replace running:/",
        "gnmi.replace running:/top/d",
        "gnmi.update running:/top/a",
    ];
    is("Set", all, &expected);
    is("Set", Writer::new(), &["gnmi.update running:/"]);
    is("Set", Writer::new().message(1, &at("/p")), &["gnmi.update running:/p"]);
}

#[test]
fn command_lines_are_commands() {
    let cli =
        |number: u32, text: &str| Writer::new().message(1, &at("cli:/")).message(3, &Writer::new().text(number, text));
    let lines = "interface e0\n  shutdown\n";
    is("Set", Writer::new().message(UPDATE, &cli(12, lines)), &["cli.run interface e0", "cli.run shutdown"]);
    is("Set", Writer::new().message(UPDATE, &cli(1, "reload")), &["cli.run reload"]);
    for how in [REPLACE, UNION] {
        is(
            "Set",
            Writer::new().message(how, &cli(12, "hostname x")),
            &["gnmi.replace running:/", "cli.run hostname x"],
        );
    }
    refused("Set", Writer::new().message(UPDATE, &cli(10, "\"reload\"")), "ascii_val");
    refused("Set", Writer::new().message(UPDATE, &cli(12, " \n")), "no command line");
    refused("Set", Writer::new().message(UPDATE, &cli(12, "a\u{8}b")), "control character");
    refused("Set", Writer::new().message(2, &at("cli:/hostname x")), "cannot be deleted");
    refused("Set", setting(UPDATE, "cli:/hostname x", "1"), "in the value");
    refused("Set", Writer::new().message(1, &at("cli:/")), "no command line");
}

#[test]
fn sets_that_are_refused() {
    for (path, json, why) in [
        ("/a", r#"{"b":1,"b":2}"#, "twice"),
        ("/a", r#"{"@b":{}}"#, "metadata"),
        ("/a", "{", "JSON"),
        ("/a", r#"{"b c":1}"#, "not the name"),
        ("/a", r#"[{"b":1},2]"#, "something else"),
        ("/", r#"[{"b":1}]"#, "not a list"),
        ("/a/*", r#"[{"b":1}]"#, "not a list"),
        ("/interfaces/interface[name=e0]", r#"[{"name":"e0"}]"#, "not a list"),
        ("/interfaces/interface[name=e0]", r#"{"name":"e1","mtu":9}"#, "another list entry"),
        ("/interfaces/interface[name=e0]", r#"{"name":"e0","ifs:name":"e1"}"#, "another list entry"),
        ("/interfaces/interface[name=e0]", r#"{"name":{"x":1}}"#, "another list entry"),
        ("/interfaces", r#"{"interface":[{"name":"e0","ifs:name":"e1","mtu":1}]}"#, "twice"),
        ("r2:/a", "1", "origin"),
    ] {
        refused("Set", setting(UPDATE, path, json), why);
    }
    let old = Writer::new().message(1, &at("/a")).message(2, &Writer::new().bytes(1, b"1"));
    refused("Set", Writer::new().message(UPDATE, &old), "withdrawn");
    let two = Writer::new().message(1, &at("/a")).message(3, &Writer::new().text(10, "1").text(11, "2"));
    refused("Set", Writer::new().message(UPDATE, &two), "excludes");
    refused("Set", Writer::new().message(7, &Writer::new()), "does not know");
    refused("Set", setting(UPDATE, "/a", "1").bytes(5, b"\x3a\x00"), "does not know");
    let unknown_in_path = Writer::new().message(2, &at("/a").text(9, "x"));
    refused("Set", unknown_in_path, "does not know");
    let many: String = (0..20_001).map(|n| format!("\"n{n}\":1,")).collect();
    let many = setting(UPDATE, "/a", &format!("{{{}}}", many.trim_end_matches(',')));
    refused("Set", many, "nodes at most");
}

#[test]
fn extensions() {
    let ext = |number: u32, message: Writer| Writer::new().message(number, &message);
    let set = |extension: Writer| setting(UPDATE, "/a", "1").message(5, &extension);
    let only = &["gnmi.update running:/a"][..];
    let root = &["gnmi.update running:/a", "gnmi.replace running:/"][..];
    let commit = |action: u32| ext(4, Writer::new().text(1, "id").message(action, &Writer::new()));
    for (extension, expected) in [
        (ext(2, Writer::new()), only),
        (ext(5, Writer::new().number(1, 1)), only),
        (commit(2), only),
        (commit(3), root),
        (commit(4), root),
        (commit(5), root),
        (ext(4, Writer::new().text(1, "id")), root),
    ] {
        is("Set", set(extension), expected);
    }
    is("Set", Writer::new().message(5, &commit(3)), &["gnmi.replace running:/"]);
    refused("Set", set(ext(1, Writer::new().number(1, 999))), "extension");
    refused("Set", set(Writer::new()), "extension");
    refused("Set", set(ext(7, Writer::new())), "does not know");
    refused("Set", set(commit(2).message(4, &Writer::new())), "twice");
    refused("Get", Writer::new().message(7, &ext(1, Writer::new())), "extension");
    refused("Capabilities", Writer::new().message(1, &ext(1, Writer::new())), "extension");
}

/// A list of subscriptions to these paths.
fn list(prefix: Option<&str>, paths: &[&str]) -> Writer {
    let list = prefix.map_or_else(Writer::new, |prefix| Writer::new().message(1, &at(prefix)));
    paths.iter().fold(list, |list, path| list.message(2, &Writer::new().message(1, &at(path)).number(2, 2)))
}

#[test]
fn subscriptions() {
    let call = |list: &Writer| Writer::new().message(1, list);
    is("Subscribe", call(&list(None, &["/a"])), &["gnmi.subscribe running:/a", "gnmi.subscribe operational:/a"]);
    let expected = [
        "gnmi.subscribe running:/p/a",
        "gnmi.subscribe operational:/p/a",
        "gnmi.subscribe running:/p/*/b",
        "gnmi.subscribe operational:/p/*/b",
    ];
    for mode in 0..3 {
        is("Subscribe", call(&list(Some("/p"), &["/a", "/*/b"]).number(5, mode)), &expected);
    }
    is("Subscribe", call(&list(None, &["cli:/show clock"])), &["cli.run show clock"]);
    let pathless = Writer::new().message(2, &Writer::new());
    is("Subscribe", call(&pathless), &["gnmi.subscribe running:/", "gnmi.subscribe operational:/"]);
    refused("Subscribe", call(&Writer::new()), "no subscription");
    refused("Subscribe", Writer::new(), "first message");
    refused("Subscribe", Writer::new().message(3, &Writer::new()), "first message");
    refused("Subscribe", Writer::new().message(4, &Writer::new()), "first message");
    refused("Subscribe", call(&list(None, &["/a"]).number(3, 1)), "aliases");
    refused("Subscribe", call(&list(None, &["/a", "/#b"])), "not the name");
    refused("Subscribe", call(&list(None, &["/a"])).message(3, &Writer::new()), "excludes");
    refused("Subscribe", call(&list(None, &["/a"])).message(1, &list(None, &["/b"])), "twice");
    refused("Subscribe", call(&list(None, &["/a"])).message(5, &Writer::new().message(1, &Writer::new())), "extension");
    refused("Subscribe", call(&list(None, &["/a"]).number(10, 1)), "does not know");
}

#[test]
fn later_messages_only_poll() {
    let method = Method::find("/gnmi.gNMI/Subscribe").expect("a method");
    let first = |mode: u64| Writer::new().message(1, &list(None, &["/a"]).number(5, mode)).finish();
    let poll = Writer::new().message(3, &Writer::new());
    assert_eq!(method.later(&first(2), &poll.clone().finish()), Ok(()));
    for mode in [0, 1] {
        assert!(method.later(&first(mode), &poll.clone().finish()).is_err());
    }
    for later in [
        Writer::new(),
        Writer::new().message(1, &list(None, &["/b"])),
        Writer::new().message(4, &Writer::new()),
        poll.clone().message(5, &Writer::new().message(3, &Writer::new())),
        poll.clone().message(1, &list(None, &["/b"])),
        poll.message(7, &Writer::new()),
    ] {
        assert!(method.later(&first(2), &later.clone().finish()).is_err(), "{later:?}");
    }
    for once in ["Get", "Set", "Capabilities"] {
        let method = Method::find(&format!("/gnmi.gNMI/{once}")).expect("a method");
        assert!(method.later(&[], &[]).is_err(), "{once}");
    }
}

#[test]
fn methods_that_are_not_known() {
    for path in [
        "",
        "/",
        "/gnmi.gNMI/",
        "/gnmi.gNMI/set",
        "/gnmi.gNMI/Set/",
        "//gnmi.gNMI/Set",
        "/GNMI.gNMI/Set",
        "/gnmi.gNMI/Set?x",
        "/gnmi.gNMI/%53et",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/gnoi.certificate.CertificateManagement/Install",
        "/gnsi.authz.v1.Authz/Rotate",
        "/gnoi.system.System/Halt",
    ] {
        assert!(Method::find(path).is_none(), "{path}");
    }
}
