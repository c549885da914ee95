use super::super::codec::tests::models;
use super::*;

const JSON: Option<&str> = Some("application/yang-data+json");
const PATCH: Option<&str> = Some("application/yang-patch+json");

fn ask(method: &str, url: &str, media: Option<&str>, body: &str) -> Result<Asked, Refused> {
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    asked(&Seen { method, path, query, media, body: body.as_bytes() }, &models())
}

fn actions(method: &str, url: &str, media: Option<&str>, body: &str) -> Vec<String> {
    let asked = ask(method, url, media, body).unwrap_or_else(|e| panic!("{method} {url} {body}: {e}"));
    asked.actions.iter().map(|action| format!("{} {}", action.verb, action.object)).collect()
}

#[test]
fn what_requests_read() {
    let interface = "/restconf/data/ifs:interfaces/interface=eth0";
    for (method, url, expected) in [
        (
            "GET",
            interface,
            &[
                "restconf.get running:/ifs:interfaces/interface[name='eth0']",
                "restconf.get operational:/ifs:interfaces/interface[name='eth0']",
            ][..],
        ),
        ("HEAD", "/restconf/data/ifs:interfaces?content=config", &["restconf.get running:/ifs:interfaces"]),
        (
            "GET",
            "/restconf/data/ifs:interfaces?content=nonconfig&depth=3",
            &["restconf.get operational:/ifs:interfaces"],
        ),
        ("OPTIONS", "/restconf/data?", &["restconf.get running:/", "restconf.get operational:/"]),
        ("GET", "/restconf", &["restconf.get running:/", "restconf.get operational:/"]),
        ("GET", "/%72estconf/%64ata", &["restconf.get running:/", "restconf.get operational:/"]),
        ("GET", "/restconf/ds/ietf-datastores:candidate/ifs:interfaces", &["restconf.get candidate:/ifs:interfaces"]),
        ("GET", "/restconf/ds/ietf-datastores:operational?with-origin", &["restconf.get operational:/"]),
        (
            "GET",
            "/restconf/yang-library-version",
            &["restconf.get operational:/ietf-restconf:restconf/yang-library-version"],
        ),
        ("GET", "/restconf/operations", &["restconf.get operational:/ietf-restconf:restconf/operations"]),
        ("GET", "/restconf/streams/NETCONF?start-time=2026-01-01T00:00:00Z", &["restconf.stream NETCONF"]),
        ("GET", "/restconf/streams/NETCONF/json", &["restconf.stream NETCONF/json"]),
    ] {
        assert_eq!(actions(method, url, None, ""), expected, "{method} {url}");
    }
}

#[test]
fn what_requests_change() {
    let interfaces = "/restconf/data/ifs:interfaces";
    let interface = "/restconf/data/ifs:interfaces/interface=eth0";
    for (method, url, body, expected) in [
        ("DELETE", interface, "", &["restconf.delete running:/ifs:interfaces/interface[name='eth0']"][..]),
        (
            "PUT",
            interface,
            r#"{"ifs:interface":[{"name":"eth0","mtu":9000}]}"#,
            &["restconf.put running:/ifs:interfaces/interface[name='eth0']"],
        ),
        ("PUT", "/restconf/data", r#"{"ietf-restconf:data":{"ifs:interfaces":{}}}"#, &["restconf.put running:/"]),
        (
            "PUT",
            "/restconf/data/x:a/list=7",
            r#"{"x:list":[{"id":7,"b":1}]}"#,
            &["restconf.put running:/x:a/list[1='7']"],
        ),
        ("PUT", "/restconf/data/x:a/names=z", r#"{"x:names":["z"]}"#, &["restconf.put running:/x:a/names[1='z']"]),
        (
            "PATCH",
            interface,
            r#"{"ifs:interface":[{"name":"eth0","mtu":9000,"ip:ipv4":{"enabled":true}}]}"#,
            &[
                "restconf.patch running:/ifs:interfaces/interface[name='eth0']/mtu",
                "restconf.patch running:/ifs:interfaces/interface[name='eth0']/ip:ipv4/enabled",
            ],
        ),
        (
            "PATCH",
            interface,
            r#"{"ifs:interface":[{"name":"eth0"}]}"#,
            &["restconf.patch running:/ifs:interfaces/interface[name='eth0']"],
        ),
        (
            "PATCH",
            interfaces,
            r#"{"ifs:interfaces":{"interface":[{"name":"a","mtu":1},{"name":"b","mtu":1}]}}"#,
            &[
                "restconf.patch running:/ifs:interfaces/interface[name='a']/mtu",
                "restconf.patch running:/ifs:interfaces/interface[name='b']/mtu",
            ],
        ),
        (
            "PATCH",
            "/restconf/data",
            r#"{"ietf-restconf:data":{"ifs:interfaces":{"x":1}}}"#,
            &["restconf.patch running:/ifs:interfaces/x"],
        ),
        ("PATCH", "/restconf/data", r#"{"ietf-restconf:data":{}}"#, &["restconf.patch running:/"]),
        (
            "PATCH",
            "/restconf/data/x:a/list=7",
            r#"{"x:list":[{"id":7,"b":1}]}"#,
            &["restconf.patch running:/x:a/list[1='7']/id", "restconf.patch running:/x:a/list[1='7']/b"],
        ),
        (
            "POST",
            interfaces,
            r#"{"ifs:interface":[{"name":"eth1","mtu":9000,"type":"e"}]}"#,
            &[
                "restconf.post running:/ifs:interfaces/interface[name='eth1']/mtu",
                "restconf.post running:/ifs:interfaces/interface[name='eth1']/type",
            ],
        ),
        ("POST", "/restconf/data", r#"{"x:a":{}}"#, &["restconf.post running:/x:a"]),
        ("POST", "/restconf/ds/ietf-datastores:candidate", r#"{"x:a":{"b":1}}"#, &["restconf.post candidate:/x:a/b"]),
        ("POST", "/restconf/data/x:a/reset", "", &["restconf.action running:/x:a/reset"]),
        (
            "POST",
            "/restconf/data/x:a/reset",
            r#"{"x:input":{"delay":1}}"#,
            &["restconf.action running:/x:a/reset", "restconf.post running:/x:a/reset/input/delay"],
        ),
        (
            "POST",
            "/restconf/operations/ietf-system:system-restart",
            "",
            &["restconf.operation ietf-system:system-restart"],
        ),
        ("POST", "/restconf/operations/x:y", r#"{"x:input":{"a":1}}"#, &["restconf.operation x:y"]),
    ] {
        assert_eq!(actions(method, url, JSON, body), expected, "{method} {url} {body}");
    }
}

#[test]
fn every_edit_of_a_patch_is_told() {
    let edit = |operation: &str, target: &str, value: &str| {
        let value = if value.is_empty() { String::new() } else { format!(r#","value":{value}"#) };
        format!(r#"{{"edit-id":"e","operation":"{operation}","target":"{target}"{value}}}"#)
    };
    let patch = |edits: &[String]| {
        format!(r#"{{"ietf-yang-patch:yang-patch":{{"patch-id":"p","edit":[{}]}}}}"#, edits.join(","))
    };
    let body = patch(&[
        edit("create", "/interface=a", r#"{"ifs:interface":[{"name":"a","mtu":1}]}"#),
        edit("merge", "/interface=b", r#"{"ifs:interface":[{"name":"b","mtu":1}]}"#),
        edit("replace", "/interface=c", r#"{"ifs:interface":[{"name":"c"}]}"#),
        edit("delete", "/interface=d", ""),
        edit("remove", "/interface=e/mtu", ""),
        edit("move", "/interface=f", ""),
        edit("merge", "/", r#"{"ifs:interfaces":{"x":1}}"#),
    ]);
    assert_eq!(
        actions("PATCH", "/restconf/data/ifs:interfaces", PATCH, &body),
        [
            "restconf.post running:/ifs:interfaces/interface[name='a']/mtu",
            "restconf.patch running:/ifs:interfaces/interface[name='b']/mtu",
            "restconf.put running:/ifs:interfaces/interface[name='c']",
            "restconf.delete running:/ifs:interfaces/interface[name='d']",
            "restconf.delete running:/ifs:interfaces/interface[name='e']/mtu",
            "restconf.patch running:/ifs:interfaces/interface[name='f']",
            "restconf.patch running:/ifs:interfaces/x",
        ]
    );
    let at_the_root = patch(&[edit("delete", "/ifs:interfaces/interface=d", "")]);
    assert_eq!(
        actions("PATCH", "/restconf/data", PATCH, &at_the_root),
        ["restconf.delete running:/ifs:interfaces/interface[name='d']"]
    );
    for body in [
        patch(&[]),
        patch(&[edit("create", "/interface=a", r#"{"ifs:interface":[{"name":"b"}]}"#)]),
        patch(&[edit("create", "/interface=a", r#"{"ifs:other":[{"name":"a"}]}"#)]),
        patch(&[edit("create", "/interface=a", "")]),
        patch(&[edit("create", "/", r#"{"ifs:interfaces":{}}"#).replace("create", "delete")]),
        patch(&[edit("delete", "/interface=a", r#"{"ifs:interface":[{"name":"a"}]}"#)]),
        patch(&[edit("erase", "/interface=a", "")]),
        patch(&[edit("delete", "interface=a", "")]),
        patch(&[edit("delete", "/interface=a/../b", "")]),
        patch(&[edit("delete", "/interface=%2561", "")]),
        patch(&[edit("delete", "/interface=a", "").replace("\"target\"", "\"x:target\"")]),
        patch(&[edit("delete", "/interface=a", "").replace("}", r#","url":"http://x"}"#)]),
        patch(&[edit("replace", "/interface=a", r#"{"interface":[{"name":"a"}]}"#)]),
        r#"{"x:yang-patch":{"edit":[]}}"#.to_owned(),
        r#"{"ietf-yang-patch:yang-patch":{"edit":[{"operation":"delete"}]}}"#.to_owned(),
        r#"{"ietf-yang-patch:yang-patch":{"other":1}}"#.to_owned(),
    ] {
        assert!(ask("PATCH", "/restconf/data/ifs:interfaces", PATCH, &body).is_err(), "{body}");
    }
    let root = patch(&[edit("delete", "/", "")]);
    assert!(ask("PATCH", "/restconf/data", PATCH, &root).is_err());
    let plain = ask("PATCH", "/restconf/data/ifs:interfaces", JSON, &patch(&[edit("delete", "/interface=a", "")]));
    assert!(plain.is_err(), "a patch is one only by its media type");
}

#[test]
fn requests_that_nobody_may_send() {
    let interface = "/restconf/data/ifs:interfaces/interface=eth0";
    let good = r#"{"ifs:interface":[{"name":"eth0"}]}"#;
    for (method, url, media, body, status) in [
        ("GET", "/restconf/data/interfaces", None, "", 400),
        ("GET", "/restconf/data/ifs:interfaces/", None, "", 400),
        ("GET", "/restconf//data", None, "", 400),
        ("GET", "/restconf/data/../operations", None, "", 400),
        ("GET", "/restconf/data/%2e%2e", None, "", 400),
        ("GET", "/restconf/data%2Fifs:interfaces", None, "", 400),
        ("GET", "/restconf/data/ifs:interfaces/interface=%252F", None, "", 400),
        ("GET", "/restconf/nothing", None, "", 404),
        ("GET", "/restconf/ds", None, "", 404),
        ("GET", "/restconf/ds/running", None, "", 400),
        ("GET", "/restconf/ds/ietf-datastores:dynamic", None, "", 400),
        ("GET", "/restconf/operations/x:y", None, "", 405),
        ("GET", "/restconf/operations/x:y/z", None, "", 404),
        ("POST", "/restconf/operations/y", None, "", 400),
        ("POST", "/restconf/operations/x:*", None, "", 400),
        ("POST", "/restconf/operations/x:y", JSON, r#"{"x:output":{}}"#, 400),
        ("POST", "/restconf/operations/x:y", JSON, r#"{"z:input":{}}"#, 400),
        ("POST", "/restconf/operations/x:y", None, "{}", 415),
        (
            "POST",
            "/restconf/operations/Cisco-IOS-XE-cli-rpc:config-ios-cli-trans",
            JSON,
            r#"{"Cisco-IOS-XE-cli-rpc:input":{"clis":"reload"}}"#,
            405,
        ),
        ("POST", "/restconf/operations", JSON, "{}", 405),
        ("POST", "/restconf", JSON, "{}", 405),
        ("POST", "/restconf/streams/NETCONF", None, "", 405),
        ("POST", "/restconf/data", None, "", 400),
        ("POST", "/restconf/data", JSON, "{}", 400),
        ("POST", "/restconf/data", JSON, r#"{"x:a":1,"x:b":2}"#, 400),
        ("POST", "/restconf/data", JSON, r#"{"x:a":[{"k":1},{"k":2}]}"#, 400),
        ("PUT", interface, JSON, "", 400),
        ("PUT", interface, None, good, 415),
        ("PUT", interface, Some("text/plain"), good, 415),
        ("PUT", interface, Some("application/yang-data+json; charset=utf-16"), good, 415),
        ("PUT", interface, Some("application/yang-data+json, text/plain"), good, 415),
        ("PUT", interface, Some("application/yang-data+cbor"), good, 415),
        ("PUT", interface, JSON, r#"{"ifs:interface":[{"name":"eth1"}]}"#, 400),
        ("PUT", interface, JSON, r#"{"ifs:interface":[{}]}"#, 400),
        ("PUT", interface, JSON, r#"{"ifs:interface":[{"name":"eth0"},{"name":"eth1"}]}"#, 400),
        ("PUT", interface, JSON, r#"{"x:interface":[{"name":"eth0"}]}"#, 400),
        ("PUT", interface, JSON, r#"{"ifs:interface":[{"name":"eth0","name":"eth1"}]}"#, 400),
        ("PUT", interface, JSON, r#"{"ifs:interface":[{"name":"eth0","@name":{"a":1}}]}"#, 400),
        ("PUT", "/restconf/data/ifs:interfaces/interface", JSON, good, 400),
        ("PUT", "/restconf/data/x:a/names=z", JSON, r#"{"x:names":["y"]}"#, 400),
        ("PUT", "/restconf/data", JSON, r#"{"x:a":{}}"#, 400),
        ("PATCH", interface, JSON, r#"{"ifs:interface":[{"name":"eth1","mtu":1}]}"#, 400),
        ("DELETE", "/restconf/data", None, "", 405),
        ("DELETE", interface, JSON, good, 400),
        ("GET", interface, JSON, good, 400),
        ("BREW", interface, None, "", 405),
        ("get", interface, None, "", 405),
        ("GET", "/restconf/data?x=1", None, "", 400),
        ("GET", "/restconf/data?content=some", None, "", 400),
        ("GET", "/restconf/data?depth=0", None, "", 400),
        ("GET", "/restconf/data?depth=1&depth=2", None, "", 400),
        ("GET", "/restconf/data?insert=first", None, "", 400),
        ("GET", "/restconf/data?filter=x", None, "", 400),
        ("GET", "/restconf/data?fields=a+b", None, "", 400),
        ("PUT", "/restconf/data/ifs:interfaces/interface=eth0?content=config", JSON, good, 400),
        ("POST", "/restconf/data?insert=nowhere", JSON, r#"{"x:a":1}"#, 400),
    ] {
        let result = ask(method, url, media, body);
        assert_eq!(result.as_ref().map_err(|r| r.status), Err(status), "{method} {url} {body}: {result:?}");
    }
}

#[test]
fn what_goes_on_has_one_form() {
    for (url, path, query) in [
        (
            "/restconf/data/ifs:interfaces/interface=ge%2f0?depth=1&fields=a%3Bb",
            "/data/ifs:interfaces/interface=ge%2F0",
            "?depth=1&fields=a%3Bb",
        ),
        ("/%72estconf/d%61ta", "/data", ""),
        ("/restconf", "", ""),
        ("/restconf/ds/ietf-datastores%3Arunning", "/ds/ietf-datastores:running", ""),
    ] {
        let asked = ask("GET", url, None, "").expect("a request");
        assert_eq!((asked.path.as_str(), asked.query.as_str()), (path, query), "{url}");
        let again = ask("GET", &format!("/restconf{path}{query}"), None, "").expect("a request");
        assert_eq!(asked, again, "{url}");
    }
}

#[test]
fn paths_that_are_restconfs() {
    for path in ["/restconf", "/restconf/data", "/%72estconf/data", "/restconf/%2e%2e", "/.well-known/host-meta"] {
        assert!(is_restconf(path), "{path}");
    }
    for path in [
        "/",
        "/Restconf",
        "/restconfx",
        "/restconf%2Fdata",
        "/a/restconf",
        "/%2572estconf",
        "//restconf",
        "/.well-known/other",
    ] {
        assert!(!is_restconf(path), "{path}");
    }
}
