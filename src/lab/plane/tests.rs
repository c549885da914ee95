//! What the management plane reads, changes and refuses; and that the command line shows the same.

use std::sync::Arc;

use super::Netconf;
use super::restconf::tried;
use crate::domain::Timestamp;
use crate::lab::device::Device;
use crate::lab::profile::Profile;
use crate::protocol::netconf::codec::{Framing, frame};

const NOW: Timestamp = Timestamp::from_secs(1_795_330_801);
const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";
const IF: &str = "http://openconfig.net/yang/interfaces";
const SYS: &str = "http://openconfig.net/yang/system";

fn device() -> Arc<Device> {
    Arc::new(Device::new(Profile::new("core-rtr-1", vec![("admin".to_owned(), 15)]), None, NOW))
}

/// A session whose hellos are over, in a framing.
fn session(device: &Arc<Device>, framing: Framing) -> Netconf {
    let mut session = Netconf::new(device.clone(), "admin".to_owned());
    let version = if framing == Framing::Chunked { "1.1" } else { "1.0" };
    assert!(String::from_utf8(session.open()).unwrap().contains("capability:candidate:1.0"));
    let hello = format!(
        "<hello xmlns='{BASE}'><capabilities><capability>urn:ietf:params:netconf:base:{version}</capability></capabilities></hello>]]>]]>"
    );
    assert!(session.input(hello.as_bytes(), NOW).is_empty() && !session.left());
    session
}

fn ask(session: &mut Netconf, framing: Framing, inner: &str) -> String {
    let rpc = format!("<rpc xmlns='{BASE}' message-id='7'>{inner}</rpc>");
    let reply = session.input(&frame(framing, rpc.as_bytes()).unwrap(), NOW);
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.contains("message-id=\"7\""), "{reply}");
    reply.lines().map(str::trim_start).collect()
}

fn edit(target: &str, more: &str, config: &str) -> String {
    format!("<edit-config><target><{target}/></target>{more}<config xmlns:nc='{BASE}'>{config}</config></edit-config>")
}

fn described(name: &str, inner: &str) -> String {
    format!("<interfaces xmlns='{IF}'><interface><name>{name}</name><config>{inner}</config></interface></interfaces>")
}

#[test]
fn netconf_in_both_framings() {
    for framing in [Framing::EndOfMessage, Framing::Chunked] {
        let device = device();
        let mut one = session(&device, framing);
        let lo = described("Loopback0", "<description>a &lt; b</description><mtu>9000</mtu>");
        assert!(ask(&mut one, framing, &edit("running", "", &lo)).contains("<ok/>"));
        let shown = device.with(|state| state.running.text());
        assert!(shown.contains(" description a < b\n mtu 9000\n"), "{shown}");
        assert!(ask(&mut one, framing, "<close-session/>").contains("<ok/>") && one.left());
    }
}

#[test]
fn netconf_edits_and_what_is_refused() {
    let new = "<interfaces xmlns='http://openconfig.net/yang/interfaces'><interface nc:operation='create'><name>Loopback9</name></interface></interfaces>";
    let user = |operation: &str, name: &str| {
        format!(
            "<system xmlns='{SYS}'><aaa><authentication><users><user nc:operation='{operation}'><username>{name}</username><config><username>{name}</username></config></user></users></authentication></aaa></system>"
        )
    };
    let none = "<default-operation>none</default-operation>";
    for (rpc, expected) in [
        (edit("running", "", new), "<ok/>"),
        (edit("running", "", &new.replace("Loopback9", "Loopback0")), "data-exists"),
        (edit("running", "", &new.replace("Loopback9", "Ethernet9")), "invalid-value"),
        (edit("running", "", &new.replace("create", "delete")), "data-missing"),
        (edit("running", "", &new.replace("create", "remove")), "<ok/>"),
        (edit("running", "", &new.replace("create", "fold")), "invalid-value"),
        (edit("running", "", &user("create", "eve")), "<ok/>"),
        (edit("running", "", &user("delete", "eve")), "data-missing"),
        (edit("running", none, &described("Loopback0", "<mtu>1</mtu>")), "<ok/>"),
        (edit("running", "", &described("Loopback0", "<mtu>1</mtu>")), "invalid-value"),
        (edit("running", "", &described("Loopback0", "<mtu>x</mtu>")), "invalid-value"),
        (edit("running", "", &described("Loopback0", "<name>other</name>")), "invalid-value"),
        (edit("running", "", &described("Loopback0", "<colour>red</colour>")), "unknown-element"),
        (edit("running", "", &described("Loopback0", "").replace("openconfig", "example")), "unknown-element"),
        (
            edit("running", "", "<interfaces xmlns='http://openconfig.net/yang/interfaces'><interface/></interfaces>"),
            "needs its key",
        ),
        (edit("running", "", new).replace("<config ", "<config xmlns='' "), "<ok/>"),
        (edit("running", "", new).replace("<config ", "<config xmlns='urn:x' "), "missing-element"),
        (edit("startup", "", new), "invalid-value"),
        ("<edit-config><target><running/></target></edit-config>".to_owned(), "missing-element"),
        ("<get-config><source><running/></source></get-config>".to_owned(), "<hostname>core-rtr-1</hostname>"),
        ("<get/>".to_owned(), "<oper-status>UP</oper-status>"),
        ("<kill-session><session-id>1</session-id></kill-session>".to_owned(), "operation-not-supported"),
        ("<x xmlns='urn:x'/>".to_owned(), "operation-not-supported"),
        ("<lock/><unlock/>".to_owned(), "malformed-message"),
    ] {
        let device = device();
        let reply = ask(&mut session(&device, Framing::EndOfMessage), Framing::EndOfMessage, &rpc);
        assert!(reply.contains(expected), "{expected}: {rpc}\n{reply}");
    }
}

#[test]
fn netconf_filters() {
    let device = device();
    let mut one = session(&device, Framing::EndOfMessage);
    let mut get = |filter: &str| {
        let rpc =
            format!("<get-config><source><running/></source><filter type='subtree'>{filter}</filter></get-config>");
        ask(&mut one, Framing::EndOfMessage, &rpc)
    };
    let one_leaf = get(&format!(
        "<interfaces xmlns='{IF}'><interface><name>Loopback0</name><config><description/></config></interface></interfaces>"
    ));
    assert!(
        one_leaf.contains(
            "<interface><name>Loopback0</name><config><description>router id</description></config></interface>"
        ) && !one_leaf.contains("mtu")
            && !one_leaf.contains("Gigabit"),
        "{one_leaf}"
    );
    let names = get(&format!("<interfaces xmlns='{IF}'><interface><name/></interface></interfaces>"));
    assert!(names.matches("<interface>").count() == 6 && !names.contains("<config>"), "{names}");
    for nothing in [
        "",
        "<interfaces xmlns='urn:x'/>",
        &format!("<interfaces xmlns='{IF}'><interface><name>x</name></interface></interfaces>"),
    ] {
        assert!(get(nothing).contains("<data></data>"), "{nothing}");
    }
}

#[test]
fn netconf_candidate_and_locks() {
    let device = device();
    let (mut one, mut two) = (session(&device, Framing::Chunked), session(&device, Framing::Chunked));
    let mut first = |rpc: &str| ask(&mut one, Framing::Chunked, rpc);
    let staged = edit("candidate", "", &described("Loopback0", "<description>staged</description>"));
    let lock = "<lock><target><candidate/></target></lock>";
    assert!(first(lock).contains("<ok/>"));
    for (rpc, expected) in [
        (lock, "lock-denied"),
        (&*staged, "in-use"),
        ("<unlock><target><candidate/></target></unlock>", "operation-failed"),
    ] {
        assert!(ask(&mut two, Framing::Chunked, rpc).contains(expected), "{expected}");
    }
    assert!(first(&staged).contains("<ok/>"));
    let shown = || device.with(|state| state.running.text().contains("description staged"));
    assert!(!shown() && first("<get-config><source><candidate/></source></get-config>").contains("staged"));
    assert!(first("<commit/>").contains("<ok/>") && shown());
    // Who goes gives up locks and what they staged.
    assert!(first(&staged.replace("staged", "again")).contains("<ok/>"));
    drop(one);
    assert!(
        !ask(&mut two, Framing::Chunked, "<get-config><source><candidate/></source></get-config>").contains("again")
    );
    assert!(ask(&mut two, Framing::Chunked, lock).contains("<ok/>"));
}

#[test]
fn restconf_reads_changes_and_refuses() {
    const LO: &str = "/restconf/data/openconfig-interfaces:interfaces/interface=Loopback0";
    const HU: &str = "/restconf/data/openconfig-interfaces:interfaces/interface=HundredGigE0%2F2%2F0";
    let at = |below: &str| format!("{LO}/{below}");
    let device = device();
    for (method, path, body, status, text) in [
        ("GET", "/restconf".to_owned(), "", 200, "yang-library-version"),
        ("GET", at("config/description"), "", 200, "\"openconfig-interfaces:description\": \"router id\""),
        ("GET", HU.to_owned(), "", 200, "transit AS64499"),
        ("GET", at("state"), "", 200, "oper-status"),
        ("GET", "/restconf/data/openconfig-system:system?content=config".to_owned(), "", 200, "hostname"),
        ("GET", at("colour"), "", 400, "unknown-element"),
        ("GET", LO.replace('0', "7"), "", 404, "does not exist"),
        ("GET", "/restconf/data/interfaces".to_owned(), "", 400, "name of its module"),
        ("GET", "/other".to_owned(), "", 404, "does not exist"),
        ("PATCH", at("config"), r#"{"openconfig-interfaces:config": {"description": "by patch"}}"#, 204, ""),
        ("PUT", at("config/mtu"), r#"{"openconfig-interfaces:mtu": 9000}"#, 204, ""),
        ("PUT", at("config/mtu"), r#"{"openconfig-interfaces:mtu": "big"}"#, 400, "invalid-value"),
        ("PUT", at("config/mtu"), r#"{"mtu": 1, "name": 2}"#, 400, "one member"),
        ("PUT", at("config/mtu"), "{", 400, "not JSON"),
        ("PATCH", at("state"), r#"{"state": {"oper-status": "UP"}}"#, 400, "state cannot be changed"),
        ("POST", LO.replace("/interface=Loopback0", ""), r#"{"interface": [{"name": "Loopback7"}]}"#, 201, ""),
        ("POST", LO.replace("/interface=Loopback0", ""), r#"{"interface": [{"name": "Loopback7"}]}"#, 409, "exists"),
        ("POST", LO.replace("/interface=Loopback0", ""), r#"{"interface": [{"config": {}}]}"#, 400, "needs its key"),
        ("DELETE", LO.replace("k0", "k7"), "", 204, ""),
        ("DELETE", LO.replace("k0", "k7"), "", 404, "does not exist"),
        ("DELETE", HU.to_owned(), "", 400, "cannot be removed"),
        ("TRACE", LO.to_owned(), "", 405, "not done"),
    ] {
        let said = tried(method, &path, body, &device);
        assert!(said.0 == status && said.1.contains(text), "{method} {path} {body}: {said:?}");
    }
    let shown = device.with(|state| state.running.text());
    assert!(shown.contains(" description by patch\n mtu 9000\n"), "{shown}");
}
