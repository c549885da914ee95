//! What clients and hostile peers have sent, as files: a method, a line end and the message.

use super::method::Method;
use super::path::View;
use crate::domain::data::{Model, Models};

fn told(file: &[u8]) -> Vec<String> {
    let at = file.iter().position(|byte| *byte == b'\n').expect("a method");
    let method = std::str::from_utf8(&file[..at]).expect("text");
    let mut models = Models::default();
    let lists = vec![("/interfaces/interface".to_owned(), vec!["name".to_owned()])];
    models.add(&Model { name: "openconfig-interfaces".into(), namespace: "urn:x".into(), lists }).expect("a model");
    let Some(method) = Method::find(method) else { return vec!["unknown".to_owned()] };
    match method.decide(&file[at + 1..], &View { element: "core-rtr-1", models: &models }) {
        Ok(actions) => actions.iter().map(ToString::to_string).collect(),
        Err(refused) => vec![refused.text.split(';').next().expect("a text").to_owned()],
    }
}

#[test]
fn every_file_of_the_corpus_is_told() {
    const FILES: &[(&str, &[u8], &[&str])] = &[
        ("capabilities", include_bytes!("../../../tests/corpus/gnmi_request/capabilities"), &["gnmi.capabilities"]),
        (
            "get",
            include_bytes!("../../../tests/corpus/gnmi_request/get"),
            &[
                "gnmi.get running:/openconfig-interfaces:interfaces/:interface[name='eth0']/config",
                "gnmi.get running:/system",
            ],
        ),
        (
            "get-all",
            include_bytes!("../../../tests/corpus/gnmi_request/get-all"),
            &["gnmi.get running:/", "gnmi.get operational:/"],
        ),
        (
            "get-element",
            include_bytes!("../../../tests/corpus/gnmi_request/get-element"),
            &["the path uses the withdrawn field `element`"],
        ),
        (
            "get-eos",
            include_bytes!("../../../tests/corpus/gnmi_request/get-eos"),
            &["the origin `eos_native` is neither known to the gateway nor a module of models.toml"],
        ),
        (
            "set",
            include_bytes!("../../../tests/corpus/gnmi_request/set"),
            &[
                "gnmi.delete running:/system/ntp/servers/server[address='192.0.2.1']",
                "gnmi.replace running:/interfaces/interface[name='eth0']/config",
                "gnmi.update running:/interfaces/interface[name='eth1']/config/description",
                "gnmi.update running:/interfaces/interface[name='eth1']/config/enabled",
            ],
        ),
        (
            "set-cli",
            include_bytes!("../../../tests/corpus/gnmi_request/set-cli"),
            &["cli.run interface eth0", "cli.run shutdown"],
        ),
        (
            "set-two-values",
            include_bytes!("../../../tests/corpus/gnmi_request/set-two-values"),
            &["TypedValue.ascii_val is there twice, or beside a field that it excludes"],
        ),
        (
            "set-unknown-field",
            include_bytes!("../../../tests/corpus/gnmi_request/set-unknown-field"),
            &["SetRequest has a field 7 that the gateway does not know"],
        ),
        (
            "subscribe",
            include_bytes!("../../../tests/corpus/gnmi_request/subscribe"),
            &[
                "gnmi.subscribe running:/interfaces/interface[name=*]/state/counters",
                "gnmi.subscribe operational:/interfaces/interface[name=*]/state/counters",
                "gnmi.subscribe running:/interfaces/**/oper-status",
                "gnmi.subscribe operational:/interfaces/**/oper-status",
            ],
        ),
        (
            "subscribe-aliases",
            include_bytes!("../../../tests/corpus/gnmi_request/subscribe-aliases"),
            &["aliases, which the specification has withdrawn, would hide what a path names"],
        ),
        (
            "subscribe-history",
            include_bytes!("../../../tests/corpus/gnmi_request/subscribe-history"),
            &["gnmi.subscribe running:/a", "gnmi.subscribe operational:/a"],
        ),
        (
            "gnoi-put",
            include_bytes!("../../../tests/corpus/gnmi_request/gnoi-put"),
            &["gnoi.rpc /gnoi.file.File/Put", "file.write /etc/passwd"],
        ),
        (
            "gnoi-reboot",
            include_bytes!("../../../tests/corpus/gnmi_request/gnoi-reboot"),
            &["gnoi.rpc /gnoi.system.System/Reboot/COLD"],
        ),
        ("gnoi-unknown", include_bytes!("../../../tests/corpus/gnmi_request/gnoi-unknown"), &["unknown"]),
    ];
    for (name, file, expected) in FILES {
        assert_eq!(told(file), *expected, "{name}");
    }
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/gnmi_request");
    assert_eq!(std::fs::read_dir(corpus).expect("the corpus").count(), FILES.len());
}
