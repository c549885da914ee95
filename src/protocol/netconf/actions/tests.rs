use super::*;
use crate::domain::data::Model;
use crate::protocol::netconf::xml::Limits;

const LIMITS: Limits = Limits { depth_max: 40, elements_max: 30_000 };
const IF: &str = "urn:ietf:params:xml:ns:yang:ietf-interfaces";
const RT: &str = "urn:ietf:params:xml:ns:yang:ietf-routing";

fn models() -> Models {
    let mut models = Models::default();
    let lists = vec![("/interfaces/interface".to_owned(), vec!["name".to_owned()])];
    models.add(&Model { name: "ietf-interfaces".to_owned(), namespace: String::new(), lists }).expect("a model");
    let lists = vec![("/routing/p".to_owned(), vec!["type".to_owned(), "name".to_owned()])];
    models.add(&Model { name: "ietf-routing".to_owned(), namespace: String::new(), lists }).expect("a model");
    models
}

/// What `<rpc>` around `operation` asks for, a line each; or the refusal's tag.
fn asked(operation: &str) -> Result<Vec<String>, &'static str> {
    let text = format!("<rpc xmlns='{BASE}' xmlns:nc='{BASE}' message-id='7'>{operation}</rpc>")
        .replace("{IF}", IF)
        .replace("{RT}", RT);
    let envelope = Envelope::read(text.as_bytes(), LIMITS).map_err(|bad| bad.0.tag.as_str())?;
    let rpc = envelope.rpc(&models()).map_err(|refused| refused.tag.as_str())?;
    Ok(rpc.asks.iter().map(|ask| format!("{} {}", ask.verb, ask.object).trim_end().to_owned()).collect())
}

#[track_caller]
fn asks(operation: &str, expected: &[&str]) {
    assert_eq!(asked(operation), Ok(expected.iter().map(|e| (*e).to_owned()).collect()), "{operation}");
}

fn edit(config: &str) -> String {
    format!("<edit-config><target><candidate/></target><config>{config}</config></edit-config>")
}

fn interface(inner: &str) -> String {
    format!("<interfaces xmlns='{{IF}}'><interface>{inner}</interface></interfaces>")
}

#[test]
fn reading() {
    asks("<get-config><source><running/></source></get-config>", &["netconf.get-config running:/..."]);
    asks("<get/>", &["netconf.get running:/...", "netconf.get operational:/..."]);
    let config = |filter: &str| format!("<get-config><source><running/></source>{filter}</get-config>");
    let (top, entry) = ("netconf.get-config running:/ietf-interfaces:interfaces", "/interface[name=");
    for (filter, expected) in [
        ("<filter/>", vec!["netconf.get-config running:/...".to_owned()]),
        ("<filter type='subtree'><interfaces xmlns='{IF}'/></filter>", vec![format!("{top}/...")]),
        ("<filter nc:type='subtree'><x xmlns=''/></filter>", vec!["netconf.get-config running:/x/...".to_owned()]),
        (
            "<filter><interfaces xmlns='{IF}'><interface><name>e0</name></interface></interfaces></filter>",
            vec![format!("{top}{entry}'e0']/...")],
        ),
        (
            "<filter><interfaces xmlns='{IF}'><interface><name>e0</name><mtu/></interface></interfaces></filter>",
            vec![format!("{top}{entry}'e0']/mtu/...")],
        ),
        (
            "<filter><interfaces xmlns='{IF}'><interface><name> e0</name><mtu/></interface></interfaces></filter>",
            vec![format!("{top}{entry}*]/mtu/...")],
        ),
        // What is compared must be readable, or the answer would tell it.
        (
            "<filter><interfaces xmlns='{IF}'><interface><name/><secret>x</secret></interface></interfaces></filter>",
            vec![format!("{top}{entry}*]/name/..."), format!("{top}{entry}*]/secret")],
        ),
        ("<filter type='xpath' xmlns:i='{IF}' select='/i:interfaces'/>", vec![format!("{top}/...")]),
        (
            "<filter type='xpath' xmlns:i='{IF}' select=\"/i:interfaces/i:interface[i:name='e|0']/i:mtu | /i:interfaces\"/>",
            vec![format!("{top}{entry}'e|0']/mtu/..."), format!("{top}/...")],
        ),
    ] {
        assert_eq!(asked(&config(filter)), Ok(expected), "{filter}");
    }
    // No plain path: everything must be readable.
    for select in [
        "//i:interface",
        "/i:interfaces/*",
        "/i:interfaces[i:secret='x']",
        "/i:interfaces/i:interface[i:secret='x']/i:name",
        "/i:interfaces/i:interface[starts-with(i:name,'e')]",
        "/i:interfaces/i:interface[1]",
        "/i:interfaces/i:interface[i:name='e0' or 1]",
        "count(/i:interfaces)",
        "i:interfaces",
        "/",
        "/j:interfaces",
        "/i:interfaces/../i:interfaces",
        "/i:interfaces |",
    ] {
        let filter = format!("<filter type='xpath' xmlns:i='{{IF}}' select=\"{select}\"/>");
        assert_eq!(asked(&config(&filter)), Ok(vec!["netconf.get-config running:/".to_owned()]), "{select}");
    }
    for filter in [
        "<filter type='other'/>",
        "<filter type='xpath'/>",
        "<filter type='subtree' select='/x'/>",
        "<filter type='subtree' nc:type='xpath' select='/x'/>",
        "<filter>text</filter>",
        "<filter/><filter/>",
        "<filter><interfaces xmlns='{IF}'>x<interface/></interfaces></filter>",
        "<filter><interfaces xmlns='{IF}'><interface><name>e<!-- -->0</name></interface></interfaces></filter>",
    ] {
        assert!(asked(&config(filter)).is_err(), "{filter}");
    }
}

#[test]
fn editing() {
    let mtu = "candidate:/ietf-interfaces:interfaces/interface[name='e0']/mtu";
    asks(&edit(&interface("<name>e0</name><mtu>9</mtu>")), &[&format!("netconf.merge {mtu}")]);
    asks(&edit(&interface("<name>e0</name><mtu nc:operation='delete'/>")), &[&format!("netconf.delete {mtu}")]);
    asks(
        &edit("<interfaces xmlns='{IF}' nc:operation='replace'/>"),
        &["netconf.replace candidate:/ietf-interfaces:interfaces"],
    );
    // Some elements obey an `operation` without a namespace, others do not: both must be allowed.
    asks(
        &edit(&interface("<name>e0</name><mtu operation='remove'>9</mtu>")),
        &[&format!("netconf.merge {mtu}"), &format!("netconf.remove {mtu}")],
    );
    // Keys that could be read in two ways are every entry.
    for name in [" e0", "e0\n", "<![CDATA[e0 ]]>", "nc:e0", ""] {
        asks(
            &edit(&interface(&format!("<name>{name}</name><mtu>9</mtu>"))),
            &["netconf.merge candidate:/ietf-interfaces:interfaces/interface[name=*]/mtu"],
        );
    }
    asks(
        &edit("<routing xmlns='{RT}'><p><type xmlns:r='{RT}'>r:static</type><name>s</name><x>1</x></p></routing>"),
        &["netconf.merge candidate:/ietf-routing:routing/p[name='s'][type=*]/x"],
    );
    asks(
        &edit(&interface("<name>fe80:1</name><mtu>9</mtu>")),
        &["netconf.merge candidate:/ietf-interfaces:interfaces/interface[name='fe80:1']/mtu"],
    );
    let none = |config: &str| edit(config).replace("<config>", "<default-operation>none</default-operation><config>");
    let replace =
        |config: &str| edit(config).replace("<config>", "<default-operation>replace</default-operation><config>");
    asks(&none(&interface("<name>e0</name><mtu nc:operation='create'>9</mtu>")), &[&format!("netconf.create {mtu}")]);
    asks(&replace("<a xmlns='urn:x'/>"), &["netconf.replace candidate:/"]);
    asks(
        "<edit-config><target><candidate/></target><config xmlns=''><a xmlns='urn:x'/></config></edit-config>",
        &["netconf.merge candidate:/a"],
    );
    asks(
        "<copy-config><target><startup/></target><source><running/></source></copy-config>",
        &["netconf.copy-config startup", "netconf.replace startup:/", "netconf.get-config running:/"],
    );
    asks(
        "<copy-config><target><running/></target><source><config><a xmlns='urn:x'/></config></source></copy-config>",
        &["netconf.copy-config running", "netconf.replace running:/", "netconf.merge running:/a"],
    );
    asks(
        "<delete-config><target><startup/></target></delete-config>",
        &["netconf.delete-config startup", "netconf.delete startup:/"],
    );
    assert_eq!(asked(&none(&interface("<name>e0</name><mtu>9</mtu>"))), Err("invalid-value"), "it changes nothing");
}

#[test]
fn edits_that_cannot_be_judged() {
    let wrapped = |inner: &str| edit(&interface(&format!("<name>e0</name>{inner}")));
    for operation in [
        wrapped("<mtu delete='delete'>9</mtu>"),
        wrapped("<mtu inactive='inactive'>9</mtu>"),
        wrapped("<mtu xmlns:v='urn:v' v:operation='delete'>9</mtu>"),
        wrapped("<mtu nc:operation='destroy'/>"),
        wrapped("<mtu nc:operation=''/>"),
        wrapped("<mtu operation='rename'/>"),
        wrapped("<name>e1</name><mtu>9</mtu>"),
        wrapped("<mtu>9<!-- -->0</mtu>"),
        wrapped("text<mtu>9</mtu>"),
        wrapped("<mtu>9<![CDATA[0]]></mtu>"),
        "<edit-config><target><candidate/></target><config><a/></config><config xmlns=''><b/></config></edit-config>".to_owned(),
        edit("text"),
        edit(""),
        edit("<cli xmlns='urn:x'><other>reload</other></cli>"),
        edit("<cli xmlns='urn:x'>reload</cli><a xmlns='urn:y'/>"),
        "<edit-config><target><candidate/></target><url>file:///x</url></edit-config>".to_owned(),
        "<edit-config><target><candidate/></target></edit-config>".to_owned(),
        "<edit-config><target><url>x</url></target><config><a/></config></edit-config>".to_owned(),
        "<edit-config><target><candidate/><running/></target><config><a/></config></edit-config>".to_owned(),
        "<edit-config><target>running</target><config><a/></config></edit-config>".to_owned(),
        "<edit-config><target><candidate/></target><target><running/></target><config><a/></config></edit-config>".to_owned(),
        "<edit-config><target><candidate/></target><config><a/></config><config><b/></config></edit-config>".to_owned(),
        "<edit-config><target><candidate/></target><config-text>x</config-text></edit-config>".to_owned(),
        "<edit-config><target><candidate/></target><default-operation>x</default-operation><config><a/></config></edit-config>".to_owned(),
        "<edit-config><target><candidate/></target><error-option>x</error-option><config><a/></config></edit-config>".to_owned(),
        "<copy-config><target><url>x</url></target><source><running/></source></copy-config>".to_owned(),
        "<copy-config><target><running/></target><source><url>x</url></source></copy-config>".to_owned(),
        "<validate><source><url>x</url></source></validate>".to_owned(),
        "<delete-config><target><url>x</url></target></delete-config>".to_owned(),
        "<get-config><source><url>x</url></source></get-config>".to_owned(),
        "<get-config><source><running/></source><url>x</url></get-config>".to_owned(),
        "<get><source><running/></source></get>".to_owned(),
        "<commit><url>x</url></commit>".to_owned(),
        "<kill-session><session-id>1x</session-id></kill-session>".to_owned(),
        "<kill-session/>".to_owned(),
        "<lock><target><nothing/></target></lock>".to_owned(),
        "<get/><get/>".to_owned(),
        "text<get/>".to_owned(),
        String::new(),
        "<get xmlns=''><filter/></get><x/>".to_owned(),
    ] {
        assert!(asked(&operation).is_err(), "{operation}: {:?}", asked(&operation));
    }
}

#[test]
fn other_operations() {
    for (operation, expected) in [
        ("<lock><target><candidate/></target></lock>", vec!["netconf.lock candidate"]),
        ("<unlock><target><running/></target></unlock>", vec!["netconf.unlock running"]),
        ("<commit/>", vec!["netconf.commit"]),
        ("<commit><confirmed/><confirm-timeout>60</confirm-timeout></commit>", vec!["netconf.commit confirmed"]),
        ("<commit><persist-id>x</persist-id></commit>", vec!["netconf.commit"]),
        ("<cancel-commit/>", vec!["netconf.cancel-commit"]),
        ("<discard-changes/>", vec!["netconf.discard-changes"]),
        ("<validate><source><candidate/></source></validate>", vec!["netconf.validate candidate"]),
        ("<validate><source><config><a/></config></source></validate>", vec!["netconf.validate config"]),
        ("<close-session/>", vec![]),
        ("<kill-session><session-id>12</session-id></kill-session>", vec!["netconf.kill-session 12"]),
        (
            "<get-schema xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring'><identifier>x</identifier></get-schema>",
            vec!["netconf.get-schema x"],
        ),
        (
            "<create-subscription xmlns='urn:ietf:params:xml:ns:netconf:notification:1.0'/>",
            vec!["netconf.subscribe NETCONF"],
        ),
        (
            "<establish-subscription xmlns='urn:ietf:params:xml:ns:yang:ietf-subscribed-notifications'><stream>s</stream></establish-subscription>",
            vec!["netconf.subscribe s"],
        ),
        (
            "<establish-subscription xmlns='urn:ietf:params:xml:ns:yang:ietf-subscribed-notifications' xmlns:y='urn:ietf:params:xml:ns:yang:ietf-yang-push' xmlns:d='urn:ietf:params:xml:ns:yang:ietf-datastores'><y:datastore>d:operational</y:datastore><y:datastore-xpath-filter xmlns:i='{IF}'>/i:interfaces</y:datastore-xpath-filter></establish-subscription>",
            vec!["netconf.subscribe yang-push", "netconf.get-data operational:/ietf-interfaces:interfaces"],
        ),
        (
            "<partial-lock xmlns='urn:ietf:params:xml:ns:netconf:partial-lock:1.0'><select xmlns:i='{IF}'>/i:interfaces</select><select>//x</select></partial-lock>",
            vec!["netconf.partial-lock running:/ietf-interfaces:interfaces", "netconf.partial-lock running:/"],
        ),
        (
            "<get-data xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-nmda' xmlns:d='urn:ietf:params:xml:ns:yang:ietf-datastores'><datastore>d:intended</datastore></get-data>",
            vec!["netconf.get-data intended:/..."],
        ),
        (
            "<edit-data xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-nmda' xmlns:d='urn:ietf:params:xml:ns:yang:ietf-datastores'><datastore>d:running</datastore><config><a xmlns='urn:x'>1</a></config></edit-data>",
            vec!["netconf.merge running:/a"],
        ),
        (
            "<action xmlns='urn:ietf:params:xml:ns:yang:1'><interfaces xmlns='{IF}'><interface><name>e0</name><reset><delay>5</delay></reset></interface></interfaces></action>",
            vec!["netconf.action running:/ietf-interfaces:interfaces/interface[name='e0']/reset/delay"],
        ),
        (
            "<action xmlns='urn:ietf:params:xml:ns:yang:1'><a xmlns='urn:x'><k>1</k><reset/></a></action>",
            vec!["netconf.action running:/a"],
        ),
        ("<restart xmlns='urn:ietf:params:xml:ns:yang:ietf-system'/>", vec!["netconf.rpc ietf-system:restart"]),
        ("<restart xmlns='urn:vendor'/>", vec!["netconf.rpc urn:vendor:restart"]),
        ("<get-interface-information/>", vec!["netconf.rpc ietf-netconf:get-interface-information"]),
    ] {
        asks(operation, &expected);
    }
}

#[test]
fn command_lines_are_decided_whole() {
    for (operation, expected) in [
        ("<command format='text'>show version</command>", vec!["cli.run show version"]),
        (
            "<exec-command xmlns='http://www.cisco.com/nxos:1.0:nxcli'><cmd>show clock ; reload</cmd></exec-command>",
            vec!["cli.run show clock ; reload"],
        ),
        ("<cli xmlns='urn:x'><cmd>a b</cmd><cmd>c</cmd></cli>", vec!["cli.run a b", "cli.run c"]),
        (
            "<execute-cli xmlns='urn:h'><cmd><id>1</id><cmdline>display x</cmdline></cmd></execute-cli>",
            vec!["cli.run display x"],
        ),
        ("<CLI xmlns='urn:h'><Execution>display x</Execution></CLI>", vec!["cli.run display x"]),
        (
            "<load-configuration action='set'><configuration-set>set system host-name x\n\n delete protocols</configuration-set></load-configuration>",
            vec!["cli.run set system host-name x", "cli.run delete protocols"],
        ),
        (
            &edit("<cli-config-data xmlns='urn:c'><cmd>hostname x</cmd><cmd>no ip http server</cmd></cli-config-data>"),
            vec!["cli.run hostname x", "cli.run no ip http server"],
        ),
        (
            &edit("<cli-config-data-block>hostname x\nend</cli-config-data-block>"),
            vec!["cli.run hostname x", "cli.run end"],
        ),
        (
            "<get><filter><oper-data-format-text-block><exec>show run</exec></oper-data-format-text-block></filter></get>",
            vec!["cli.run show run", "netconf.get running:/...", "netconf.get operational:/..."],
        ),
        (
            "<action xmlns='urn:ietf:params:xml:ns:yang:1'><global-operations xmlns='urn:n'><md-cli-raw-command><md-cli-input-line>admin reboot</md-cli-input-line></md-cli-raw-command></global-operations></action>",
            vec!["cli.run admin reboot"],
        ),
    ] {
        asks(operation, &expected);
    }
    for operation in [
        "<command/>",
        "<command> </command>",
        "<command>a<!-- -->b</command>",
        "<command>a\tb</command>",
        "<command hidden='reload'>show version</command>",
        "<cli><show>version</show></cli>",
        "<exec-command><cmd>show clock</cmd><then>reload</then></exec-command>",
        "<load-configuration><configuration><system/></configuration></load-configuration>",
        "<load-configuration url='x'/>",
        "<load-configuration>text</load-configuration>",
    ] {
        assert!(asked(operation).is_err(), "{operation}: {:?}", asked(operation));
    }
}

#[test]
fn answers_begin_as_the_request_did() {
    for (text, prefix, attributes, id) in [
        (
            format!("<rpc xmlns='{BASE}' message-id='1'><get/></rpc>"),
            "",
            format!(" xmlns='{BASE}' message-id='1'"),
            Some("1"),
        ),
        (
            format!(
                "<?xml version='1.0'?>\n<nc:rpc\n message-id=\"a&lt;b\" xmlns:nc='{BASE}' xmlns:x='urn:x' x:y='z' ><nc:get/></nc:rpc>"
            ),
            "nc:",
            format!("\n message-id=\"a&lt;b\" xmlns:nc='{BASE}' xmlns:x='urn:x' x:y='z'"),
            Some("a<b"),
        ),
        (format!("<rpc xmlns='{BASE}'><get/></rpc>"), "", format!(" xmlns='{BASE}'"), None),
    ] {
        let head = Envelope::read(text.as_bytes(), LIMITS).expect("an RPC").head;
        assert_eq!(
            (&*head.prefix, &*head.attributes, head.message_id.as_deref()),
            (prefix, &*attributes, id),
            "{text}"
        );
    }
    // What cannot be read on keeps its message-id as far as it was read.
    let broken = format!("<rpc xmlns='{BASE}' message-id='9'><get></rpc>");
    assert_eq!(Envelope::read(broken.as_bytes(), LIMITS).expect_err("broken").1.message_id.as_deref(), Some("9"));
    for text in ["<rpc message-id='1'><get/></rpc>", "<hello/>", "x", ""] {
        assert!(Envelope::read(text.as_bytes(), LIMITS).is_err(), "{text}");
    }
}

#[test]
fn error_paths_have_their_namespaces() {
    let action = Action::new(Verb::NetconfMerge, "running:/ietf-interfaces:interfaces/interface[name='e0']/x:mtu");
    let (path, declared) = error_path(&action, &models()).expect("a path");
    assert_eq!(path, "/ietf-interfaces:interfaces/ietf-interfaces:interface[ietf-interfaces:name='e0']/mtu");
    assert_eq!(declared, [("ietf-interfaces".to_owned(), IF.to_owned())]);
    assert!(error_path(&Action::new(Verb::NetconfMerge, "running:/"), &models()).is_none());
    assert!(error_path(&Action::new(Verb::NetconfCommit, ""), &models()).is_none());
}

proptest::proptest! {
    #[test]
    fn noise_never_panics(inner in "(<[a-c]>|</[a-c]>|<(get|edit-config|config|filter|target|running)>|</(get|edit-config|config|filter|target|running)>|<running/>| nc:operation='delete'|x){0,16}") {
        drop(asked(&inner));
    }
}
