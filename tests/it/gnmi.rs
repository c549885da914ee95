//! gNMI and gNOI through the gateway: pygnmi against a target, and callers who do not keep to the rules.

use std::fs;
use std::process::Command;
use std::time::Duration;

use sallyport::protocol::gnmi::request::{path, update};
use sallyport::protocol::gnmi::wire::Writer;
use serde_json::{Value, json};

use crate::harness::client::run;
use crate::harness::gateway::{SALLYPORT, Site};
use crate::harness::gnmi::{Plane, call, hex, subscribe};
use crate::harness::http::Web;
use crate::harness::{SOON, need, wait_for, wait_until};

const MODELS: &str = "[[module]]\nname = \"openconfig-interfaces\"\nnamespace = \"http://openconfig.net/yang/interfaces\"\n\
                      [module.lists]\n\"/interfaces/interface\" = [\"name\"]\n";

/// Rows for `ada` on `r1`, and the list of interfaces as a model.
fn rows(site: &mut Site, rows: &[&str]) {
    for row in rows {
        site.row(&format!("p, user:ada, element:r1, *, {row}"));
    }
    let policies = site.path().join("policies");
    fs::create_dir_all(&policies).expect("a folder");
    fs::write(policies.join("models.toml"), MODELS).expect("a file");
}

const ENGINEER: &[&str] = &[
    "gnmi.capabilities, -, allow",
    "data.read, /interfaces, allow",
    "data.write, /interfaces/interface[name=*]/config, allow",
    "data.write, /interfaces/interface[name=eth9], deny",
];

/// A Get of these paths.
fn get(paths: &[&str]) -> String {
    hex(paths.iter().fold(Writer::new(), |get, at| get.message(2, &path(at).expect("a path"))))
}

/// A Set that updates these paths with these JSON values.
fn set(updates: &[(&str, &str)]) -> String {
    hex(updates.iter().fold(Writer::new(), |set, (at, json)| set.message(4, &update(at, json).expect("a path"))))
}

#[track_caller]
fn is(result: &Value, code: &str, text: &str) {
    assert!(
        result["code"] == code && result["text"].as_str().unwrap_or_default().contains(text),
        "{code} {text}: {result}"
    );
}

fn counted(values: &Value) -> bool {
    values.as_array().is_some_and(|all| !all.is_empty() && all.iter().zip(0_u64..).all(|(value, at)| *value == at))
}

#[test]
fn pygnmi_reads_changes_and_follows() {
    need!("openssl", "python:gnmi");
    let plane = Plane::with(|site| rows(site, ENGINEER));
    let name = "/interfaces/interface[name=eth0]/config";
    let results = plane.steps("ada", &json!([
        {"do": "capabilities"},
        {"do": "get", "paths": ["openconfig-interfaces:interfaces/interface[name=eth0]/state"], "type": "state"},
        {"do": "set", "update": [[name, {"name": "eth0", "mtu": 9000}]], "replace": [["/interfaces/interface[name=eth1]/config", {"mtu": 1500}]],
            "delete": ["/interfaces/interface[name=eth2]/config/description"]},
        {"do": "set", "update": [["/interfaces", {"interface": [{"name": "eth3", "config": {"mtu": 9000}}]}]]},
        {"do": "follow", "mode": "once", "paths": ["/interfaces"], "target": "r1"},
        {"do": "follow", "mode": "poll", "paths": ["/interfaces/interface[name=*]/state"], "polls": 3},
        {"do": "follow", "mode": "stream", "paths": ["/interfaces/interface[name=eth0]/state/counters"], "count": 20},
    ]));
    assert_eq!(results[0]["gnmi_version"], "0.8.0", "{results:?}");
    assert_eq!(results[1]["notification"][0]["update"][0]["val"], 0, "a zero that is there: {results:?}");
    let told = json!([["DELETE"], ["REPLACE"], ["UPDATE"]]);
    let ops =
        results[2]["response"].as_array().expect("results").iter().map(|one| json!([one["op"]])).collect::<Vec<_>>();
    assert_eq!(json!(ops), told, "{}", results[2]);
    assert_eq!(results[3]["response"][0]["op"], "UPDATE", "{}", results[3]);
    assert_eq!((&results[4]["values"], &results[5]["values"]), (&json!([0]), &json!([0, 1, 2])));
    assert!(counted(&results[6]["values"]), "{}", results[6]);
    for method in ["Capabilities", "Get", "Set", "Subscribe"] {
        let got = plane.got(method);
        assert!(!got.is_empty(), "{method}");
        assert!(got.iter().all(|(who, _, secrets)| who == "netops" && secrets.is_empty()), "{method}: {got:?}");
    }
    let recorded = plane.recorded();
    let exchanges = |what: &str, field: &str| -> Vec<String> {
        let of = recorded.iter().filter(|frame| frame["exchange"]["what"] == what);
        of.filter_map(|frame| frame["exchange"][field].as_str().map(str::to_owned)).collect()
    };
    let set = exchanges("gnmi.Set", "body").concat();
    assert!(set.contains(r#""path":"/interfaces/interface[name=eth0]/config""#) && set.contains("9000"), "{set}");
    assert!(exchanges("gnmi.Set", "status").contains(&"OK".to_owned()), "{recorded:?}");
    assert!(exchanges("gnmi.Subscribe", "body").iter().any(|body| body.contains("sync_response")), "{recorded:?}");
    let decided: Vec<&Value> = recorded.iter().filter(|frame| frame.to_string().contains("gnmi.update")).collect();
    assert!(decided.iter().any(|frame| frame.to_string().contains("interface[name='eth3']/config/mtu")), "{decided:?}");
    let session = plane.site.closed_session();
    assert_eq!(session["protocol"], "gnmi");
    plane.site.verify(&[&plane.site.recording(&session)]).ok();
}

#[test]
fn one_denied_path_refuses_the_whole() {
    need!("openssl", "python:gnmi");
    let plane = Plane::with(|site| {
        rows(site, ENGINEER);
        rows(
            site,
            &[
                "gnmi.get, running:/system, allow",
                "gnoi.rpc, **, allow",
                "data.read, /lldp/interfaces/interface[name=eth0], allow",
            ],
        );
        site.issue("eve", &[]);
    });
    let config = "/interfaces/interface[name=eth0]/config";
    let calls = [
        ("/gnmi.gNMI/Get", get(&["/interfaces", "/routing"]), "PERMISSION_DENIED", "gnmi.get `running:/routing`"),
        ("/gnmi.gNMI/Get", get(&["/"]), "PERMISSION_DENIED", "gnmi.get"),
        ("/gnmi.gNMI/Get", get(&["/*"]), "PERMISSION_DENIED", "gnmi.get"),
        // Configuration and state, of which one is allowed.
        ("/gnmi.gNMI/Get", get(&["/system"]), "PERMISSION_DENIED", "operational:/system"),
        ("/gnmi.gNMI/Get", get(&["cli:/show version"]), "PERMISSION_DENIED", "cli.run"),
        (
            "/gnmi.gNMI/Set",
            set(&[(config, "{\"mtu\":1}"), ("/system", "{\"hostname\":\"x\"}")]),
            "PERMISSION_DENIED",
            "hostname",
        ),
        (
            "/gnmi.gNMI/Set",
            set(&[("/interfaces", "{\"interface\":[{\"name\":\"eth9\",\"config\":{\"mtu\":1}}]}")]),
            "PERMISSION_DENIED",
            "eth9",
        ),
        (
            "/gnmi.gNMI/Set",
            set(&[("/interfaces", "{\"interface\":[{\"config\":{\"mtu\":1}}]}")]),
            "PERMISSION_DENIED",
            "name=*",
        ),
        (
            "/gnmi.gNMI/Set",
            hex(Writer::new().message(2, &path("/interfaces").expect("a path"))),
            "PERMISSION_DENIED",
            "gnmi.delete",
        ),
        ("/gnmi.gNMI/Set", set(&[(config, "{\"mtu\":1,\"mtu\":2}")]), "INVALID_ARGUMENT", "twice"),
        ("/gnmi.gNMI/Set", set(&[(config, "{\"mtu\":1}")]) + "3a00", "INVALID_ARGUMENT", "does not know"),
        ("/gnmi.gNMI/Set", "ff".to_owned(), "INVALID_ARGUMENT", "not a protocol buffer"),
        ("/gnoi.certificate.CertificateManagement/Install", String::new(), "UNIMPLEMENTED", "does not know"),
        ("/gnmi.gNMI/set", String::new(), "UNIMPLEMENTED", "does not know"),
    ];
    let mut steps: Vec<Value> = calls.iter().map(|(method, message, ..)| call(method, &[message])).collect();
    let streams = [
        (subscribe(&["/interfaces", "/routing"], 1), "PERMISSION_DENIED", "gnmi.subscribe"),
        (subscribe(&["/interfaces/.../counters", "/..."], 1), "PERMISSION_DENIED", "running:/**"),
        (
            subscribe(&["/lldp/interfaces/interface[name=eth0]/state", "/lldp/interfaces/interface[name=*]"], 1),
            "PERMISSION_DENIED",
            "name=*",
        ),
    ];
    for (message, ..) in &streams {
        steps.push(json!({"do": "call", "method": "/gnmi.gNMI/Subscribe", "messages": [message], "streams": true}));
    }
    let results = plane.steps("ada", &json!(steps));
    let expected =
        calls.iter().map(|(.., code, text)| (*code, *text)).chain(streams.iter().map(|(_, code, text)| (*code, *text)));
    for (result, (code, text)) in results.iter().zip(expected) {
        is(result, code, text);
        assert!(
            code != "PERMISSION_DENIED" || result["text"].as_str().is_some_and(|text| text.contains("Ask ")),
            "{result}"
        );
    }
    let eve = plane.steps("eve", &json!([call("/gnmi.gNMI/Capabilities", &[""]), call("/gnoi.cert.X/Y", &[""])]));
    eve.iter().for_each(|result| is(result, "PERMISSION_DENIED", "not allowed for eve"));
    assert!(!plane.target.out().contains("got "), "nothing reached the target: {}", plane.target.out());
    let events = plane.site.events();
    for object in ["running:/routing", "system/hostname", "eth9", "twice"] {
        assert!(events.iter().any(|event| event.to_string().contains(object)), "{object} is on record");
    }
}

#[test]
fn what_passes_is_what_was_sent() {
    need!("openssl", "python:gnmi");
    let plane = Plane::with(|site| rows(site, ENGINEER));
    // An empty prefix, a zero and an empty value that are there, and an order that no encoder of today writes.
    let odd =
        hex(Writer::new().number(3, 0).message(2, &path("/interfaces").expect("a path")).message(1, &Writer::new()));
    let odd_set = hex(Writer::new().message(
        4,
        &Writer::new()
            .number(4, 0)
            .message(3, &Writer::new().text(1, ""))
            .message(1, &path("/interfaces/interface[name=eth0]/config/description").expect("a path")),
    ));
    let results = plane.steps("ada", &json!([
        call("/gnmi.gNMI/Get", &[&odd]),
        call("/gnmi.gNMI/Set", &[&odd_set]),
        {"do": "call", "method": "/gnmi.gNMI/Get", "messages": [get(&["/interfaces/missing"])], "metadata": [["authorization", "Bearer stolen"], ["x-own", "1"]]},
        {"do": "call", "method": "/gnmi.gNMI/Subscribe", "messages": [subscribe(&["/interfaces"], 0)], "streams": true, "timeout": 0.5},
    ]));
    let target = plane.target.out();
    let gave = |method: &str| {
        let line = target.lines().find(|line| line.starts_with(&format!("gave netops {method} "))).expect("an answer");
        line.split(' ').nth(3).expect("bytes").to_owned()
    };
    assert_eq!((&plane.got("Get")[0].1, &plane.got("Set")[0].1), (&odd, &odd_set));
    assert_eq!(results[0]["answers"][0], gave("Get"));
    assert!(gave("Get").ends_with("9a060141") && gave("Get").contains("1200"), "{}", gave("Get"));
    assert_eq!(results[1]["answers"][0], gave("Set"));
    is(&results[2], "NOT_FOUND", "no such node: 100%");
    let trailers = results[2]["trailers"].to_string();
    assert!(trailers.contains("[\"x-own\",\"kept\"]") && !trailers.contains("password"), "{trailers}");
    assert!(plane.got("Get")[1].2.is_empty(), "what a client says of itself stays here");
    is(&results[3], "DEADLINE_EXCEEDED", "");
    wait_until("the target's stream is over", SOON, || plane.target.out().contains("over"));
}

#[test]
fn a_thousand_updates_a_second_pass_complete() {
    need!("openssl", "python:gnmi");
    let plane = Plane::with(|site| rows(site, ENGINEER));
    let step =
        json!([{"do": "follow", "mode": "stream", "paths": ["/interfaces"], "interval": 1_000_000, "count": 2_000}]);
    let results = plane.steps("ada", &step);
    assert!(counted(&results[0]["values"]) && results[0]["values"].as_array().map(Vec::len) == Some(2_000));
    let recorded = plane.recorded();
    let kept = recorded
        .iter()
        .filter(|frame| frame["exchange"]["what"] == "gnmi.Subscribe" && frame["exchange"]["part"] == "notification")
        .count();
    assert!(kept >= 2_000, "{kept}");
}

#[test]
fn a_policy_change_ends_what_it_no_longer_allows() {
    need!("openssl", "python:gnmi");
    let mut plane = Plane::with(|site| {
        rows(site, &["data.read, /a, allow", "data.read, /b, allow"]);
    });
    let until =
        |paths: &[&str]| json!([{"do": "until", "method": "/gnmi.gNMI/Subscribe", "messages": [subscribe(paths, 0)]}]);
    // The first path of the second is allowed still; what is decided again is every path.
    let mut kept = plane.start("ada", "kept", &until(&["/a/x"]));
    let mut ended = plane.start("ada", "ended", &until(&["/a/y", "/b"]));
    for process in [&kept, &ended] {
        wait_until("updates come", SOON, || process.err().contains("following"));
    }
    let rows = plane.site.current_rows().into_iter().filter(|row| !row.contains("/b")).collect();
    plane.site.set_rows(rows);
    assert!(ended.ended(SOON).success());
    wait_until("its session is closed", SOON, || plane.site.sessions().iter().any(|s| s["outcome"] == "policy-denies"));
    let took = plane.site.ended_after_policy();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    let told: Value = serde_json::from_str(&ended.out()).expect("results");
    is(&told[0], "PERMISSION_DENIED", "the policy no longer allows this. Ask");
    assert!(kept.running(), "{}", kept.all());
    plane.site.set_rows(Vec::new());
    assert!(kept.ended(SOON).success());
    let told: Value = serde_json::from_str(&kept.out()).expect("results");
    is(&told[0], "PERMISSION_DENIED", "the policy no longer allows this");
    wait_until("both streams of the target are over", SOON, || plane.target.out().matches("over").count() == 2);
}

#[test]
fn operations_are_decided_on_their_arguments() {
    need!("openssl", "python:gnmi");
    let plane = Plane::with(|site| {
        rows(
            site,
            &[
                "gnoi.rpc, /gnoi.system.System/Time, allow",
                "gnoi.rpc, /gnoi.system.System/Reboot/WARM, allow",
                "gnoi.rpc, /gnoi.file.File/*, allow",
                "file.read, /var/log/**, allow",
                "file.write, /tmp/**, allow",
            ],
        );
    });
    let open = |file: &str| hex(Writer::new().message(1, &Writer::new().text(1, file)));
    let content = |bytes: &[u8]| hex(Writer::new().bytes(2, bytes));
    let streams = |method: &str, messages: &[&str]| json!({"do": "call", "method": method, "messages": messages, "streams": true});
    let file = |name: &str| hex(Writer::new().text(1, name));
    let results = plane.steps(
        "ada",
        &json!([
            call("/gnoi.system.System/Time", &[""]),
            call("/gnoi.system.System/Reboot", &[&hex(Writer::new().number(1, 4))]),
            call("/gnoi.system.System/Reboot", &[&hex(Writer::new().number(1, 1))]),
            streams("/gnoi.file.File/Get", &[&file("/var/log/x")]),
            streams("/gnoi.file.File/Get", &[&file("/var/log/../shadow")]),
            streams("/gnoi.file.File/Put", &[&open("/tmp/x"), &content(b"one"), &content(b"two")]),
            streams("/gnoi.file.File/Put", &[&open("/etc/passwd"), &content(b"evil")]),
            streams("/gnoi.file.File/Put", &[&open("/tmp/y"), &open("/etc/passwd"), &content(b"evil")]),
            streams("/gnoi.file.File/Put", &[&content(b"evil")]),
        ]),
    );
    for (at, answers) in [(0, 1), (1, 1), (3, 3), (5, 1)] {
        assert_eq!(results[at]["answers"].as_array().map(Vec::len), Some(answers), "{at}: {}", results[at]);
    }
    is(&results[2], "PERMISSION_DENIED", "gnoi.rpc `/gnoi.system.System/Reboot/COLD`");
    is(&results[4], "PERMISSION_DENIED", "file.read");
    is(&results[6], "PERMISSION_DENIED", "file.write `/etc/passwd`");
    is(&results[7], "INVALID_ARGUMENT", "only content may follow");
    is(&results[8], "INVALID_ARGUMENT", "`open`");
    assert_eq!(plane.got("System.Reboot").len(), 1);
    assert_eq!(plane.got("File.Get").len(), 1);
    let put: Vec<String> = plane.got("File.Put").into_iter().map(|(_, message, _)| message).collect();
    assert!(put.starts_with(&[open("/tmp/x"), content(b"one"), content(b"two")]), "{put:?}");
    assert!(!put.iter().any(|message| *message == open("/etc/passwd") || *message == content(b"evil")), "{put:?}");
}

#[test]
fn frames_that_are_none_are_refused() {
    need!("openssl", "python:gnmi", "curl");
    let plane = Plane::with(|site| {
        rows(site, ENGINEER);
        site.configure("limits", "grpc_message_bytes_max", 65_536);
    });
    let gzip = json!([{"do": "call", "method": "/gnmi.gNMI/Get", "messages": [get(&["/interfaces"])], "gzip": true}]);
    is(&plane.steps("ada", &gzip)[0], "UNIMPLEMENTED", "compressed");
    let web = Web::new(&plane.site, &plane.gateway, "ada", "r1");
    let send = |header: &str, body: Vec<u8>| {
        let options = [
            "--http2",
            "-H",
            "content-type: application/grpc",
            "-H",
            "te: trailers",
            "-H",
            header,
            "--data-binary",
            "@-",
        ];
        // curl 7.88 gives up when it is answered before it has sent everything, as HTTP/2 allows: then it is asked again.
        wait_for("an answer", SOON, || {
            let answer = web.feed(&options, "/gnmi.gNMI/Capabilities", body.clone());
            (answer.status == 200).then_some(answer.headers)
        })
    };
    let long = [&[0, 0, 1, 0, 1][..], &[0; 65_537]].concat();
    for (header, body, status) in [
        ("x: y", b"\x01\0\0\0\0".to_vec(), 12),
        ("x: y", b"\x02\0\0\0\0".to_vec(), 3),
        ("x: y", b"\0\xff\xff\xff\xff".to_vec(), 8),
        ("x: y", long, 8),
        ("x: y", b"\0\0\0\0\x05ab".to_vec(), 3),
        ("x: y", b"\0\0".to_vec(), 3),
        ("x: y", Vec::new(), 3),
        ("grpc-timeout: 5s", b"\0\0\0\0\0".to_vec(), 3),
        ("grpc-encoding: gzip", b"\0\0\0\0\0".to_vec(), 12),
    ] {
        let headers = send(header, body);
        assert!(headers.lines().any(|line| line.trim_end() == format!("grpc-status: {status}")), "{status}: {headers}");
    }
    assert!(!plane.target.out().contains("got "), "{}", plane.target.out());
    let text = web.curl(&["--http2", "-H", "content-type: application/grpc-web", "-X", "POST"], "/gnmi.gNMI/Get");
    assert!(text.is(200).headers.contains("grpc-status: 12"));
    assert!(
        send("x: y", b"\0\0\0\0\0".to_vec()).contains("content-type: application/grpc"),
        "one that keeps to the rules passes"
    );
    assert_eq!(plane.got("Capabilities").len(), 1);
}

#[test]
fn the_gateway_logs_in_and_nobody_else_does() {
    need!("openssl", "python:gnmi");
    let plane = Plane::with_service("credential = { kind = \"basic\", secret = \"r1-password\" }", |site| {
        rows(site, ENGINEER);
        let mut command = Command::new(SALLYPORT);
        command.args(["secrets", "set", "r1-password", "--config"]).arg(site.config());
        run(&mut command, b"s3cret\n".to_vec(), SOON).ok();
    });
    let results = plane.steps("ada", &json!([{"do": "capabilities"}]));
    assert_eq!(results[0]["gnmi_version"], "0.8.0", "{results:?}");
    for (_, _, secrets) in plane.got("Capabilities") {
        assert_eq!(secrets, ["username=netops", "password=s3cret"], "what pygnmi said is not there");
    }
}

#[test]
fn an_element_that_is_down_is_unavailable() {
    need!("openssl", "python:gnmi");
    let Plane { gateway, target, site } = Plane::with(|site| rows(site, ENGINEER));
    drop(target);
    let plane = Plane {
        gateway,
        target: crate::harness::process::Process::start(&site.scratch(), "none", &mut Command::new("id")),
        site,
    };
    let results = plane.steps("ada", &json!([call("/gnmi.gNMI/Capabilities", &[""])]));
    is(&results[0], "UNAVAILABLE", "the element cannot be reached");
    assert!(plane.site.events().iter().any(|event| event.to_string().contains("\"element-unreachable\"")));
}
