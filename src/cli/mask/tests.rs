//! What is shown of which bodies.

use super::*;
use crate::policy::read_models;

fn view() -> View {
    let text = "[masks]\npaths = [\"/aaa/**/hash\", \"/system/radius/key\", \"/x/tree\"]\n";
    View::Masked(read_models(text).expect("masks").1)
}

fn shown(part: Part, what: &str, body: &str, cut: bool) -> String {
    let exchange = Exchange {
        number: 1,
        part,
        what: what.to_owned(),
        status: None,
        peer_id: None,
        bytes: 9,
        sha256: None,
        body: Some(body.to_owned()),
        cut,
    };
    let Kept::Exchange { exchange, .. } = view().of(Kept::Exchange { channel: 0, exchange: Box::new(exchange) }) else {
        panic!("a frame")
    };
    assert_eq!(exchange.bytes, 9, "the size is told whatever is shown");
    exchange.body.expect("a body")
}

#[test]
fn secrets_in_xml() {
    for (body, expected) in [
        ("<a><b>1</b></a>", "<a><b>1</b></a>"),
        ("<u><name>x</name><password>p&amp;q</password></u>", "<u><name>x</name><password>(masked)</password></u>"),
        ("<u><password><![CDATA[p]]>q<!--r--></password>s</u>", "<u><password>(masked)</password>s</u>"),
        (
            "<rpc><edit><config><aaa xmlns='urn:x'><u><hash>p</hash></u></aaa></config></edit></rpc>",
            "<rpc><edit><config><aaa xmlns='urn:x'><u><hash>(masked)</hash></u></aaa></config></edit></rpc>",
        ),
        ("<u><hash>p</hash></u>", "<u><hash>p</hash></u>"),
        ("<x><tree><l>1</l><m><n>2</n></m></tree><l>3</l></x>", "<x><tree>(masked)</tree><l>3</l></x>"),
        (
            "<u xmlns:v='urn:v'><v:secret w='p'>p</v:secret><b/></u>",
            "<u xmlns:v='urn:v'><v:secret>(masked)</v:secret><b/></u>",
        ),
        ("<u><password/><b>1</b></u>", "<u><password/><b>1</b></u>"),
        ("<u><password> </password></u>", "<u><password>(masked)</password></u>"),
    ] {
        assert_eq!(shown(Part::Request, "edit-config running", body, false), expected);
    }
    let body = "<u><name>é</name><password>hunter2</password><x>1</x><password>hunter2</password></u>";
    for end in (0..body.len()).filter(|end| body.is_char_boundary(*end)) {
        let text = shown(Part::Reply, "get", &body[..end], true);
        assert!(!text.contains("hunt") && (end == 0 || text.ends_with('…')), "{text}");
        let text = shown(Part::Reply, "get", &body[..end], false);
        assert!(end == 0 || text.starts_with("(not shown: "), "{text}");
    }
}

#[test]
fn secrets_in_json() {
    for (what, body, expected) in [
        ("PATCH /restconf/data", r#"{"a": {"b": [1, true, "x"]}}"#, r#"{"a": {"b": [1, true, "x"]}}"#),
        ("PATCH /restconf/data", r#"{"m:password":"p\"q","b":null}"#, r#"{"m:password":"(masked)","b":null}"#),
        (
            "PATCH /restconf/data",
            r#"{"secret":{"a":[1,{"b":"c"}]},"d":2}"#,
            r#"{"secret":{"a":["(masked)",{"b":"(masked)"}]},"d":2}"#,
        ),
        ("PUT /restconf/data/m:aaa/user=x/hash", r#"{"m:hash":"p"}"#, r#"{"m:hash":"(masked)"}"#),
        (
            "PUT /restconf/data/m:aaa/user=x",
            r#"{"m:user":[{"name":"x","hash":"p"}]}"#,
            r#"{"m:user":[{"name":"x","hash":"(masked)"}]}"#,
        ),
        ("POST /restconf/data/m:system/radius", r#"{"m:key":"p"}"#, r#"{"m:key":"(masked)"}"#),
        ("PUT /restconf/data/m:system/radius?x=1", r#"{"m:radius":{"key":"p"}}"#, r#"{"m:radius":{"key":"(masked)"}}"#),
        ("PUT /restconf/data/m:system/other", r#"{"m:other":{"key":"p"}}"#, r#"{"m:other":{"key":"p"}}"#),
        (
            "POST /v1",
            r#"[{"access_token":"p","pass\u0077ord":"q"}]"#,
            r#"[{"access_token":"(masked)","pass\u0077ord":"(masked)"}]"#,
        ),
    ] {
        assert_eq!(shown(Part::Request, what, body, false), expected, "{what}");
    }
    let body = r#"{"a": ["x", -1.5e3], "m:password" : "hunter2", "secret": [{"x": "hunter2"}, 7], "z": 1}"#;
    for end in 0..body.len() {
        let text = shown(Part::Reply, "GET /restconf/data", &body[..end], true);
        assert!(!text.contains("hunt") && !text.contains('7') && (end == 0 || text.ends_with('…')), "{text}");
        let text = shown(Part::Reply, "GET /restconf/data", &body[..end], false);
        assert!(end == 0 || text.starts_with("(not shown: "), "{text}");
    }
    for bad in ["{\"a\" 1 }", "{]", "[}", "{\"password\" \"x\"}", "{\"a\": $x }", "{\"\\x\": 1}", "}", "{}}"] {
        assert!(shown(Part::Reply, "GET /x", bad, true).starts_with("(not shown: "), "{bad}");
    }
}

#[test]
fn secrets_in_gnmi() {
    let update = |path: &str, val: &str| format!(r#"{{"update":[{{"path":"{path}","val":{val}}}]}}"#);
    for (path, val, masked) in [
        ("/a/b", r#"{"string_val":"p"}"#, r#"{"string_val":"p"}"#),
        ("o:/system/radius/key", r#"{"string_val":"p"}"#, r#"{"string_val":"(masked)"}"#),
        ("/users/user[name=a/b]/password", r#"{"ascii_val":"p"}"#, r#"{"ascii_val":"(masked)"}"#),
        ("/system/radius", r#"{"json_ietf_val":{"key":"p","b":1}}"#, r#"{"json_ietf_val":{"key":"(masked)","b":1}}"#),
        ("/aaa[k=\\\\]x]", r#"{"json_val":{"u":[{"hash":"p"}]}}"#, r#"{"json_val":{"u":[{"hash":"(masked)"}]}}"#),
        ("/b", r#"{"json_val":{"value":{"password":"p"}}}"#, r#"{"json_val":{"value":{"password":"(masked)"}}}"#),
        (
            "/x/tree/l",
            r#"{"leaflist_val":{"element":[{"string_val":"p"}]}}"#,
            r#"{"leaflist_val":{"element":[{"string_val":"(masked)"}]}}"#,
        ),
    ] {
        assert_eq!(shown(Part::Request, "gnmi.Set", &update(path, val), false), update(path, masked));
    }
    for (body, expected) in [
        (
            r#"{"update":{"timestamp":5,"prefix":"t!o:/system/radius","update":[{"path":"/key","val":{"string_val":"p"}}]}}"#,
            r#"{"update":{"timestamp":5,"prefix":"t!o:/system/radius","update":[{"path":"/key","val":{"string_val":"(masked)"}}]}}"#,
        ),
        // What a value is for is not known: it is masked.
        (
            r#"{"update":[{"val":{"string_val":"p"},"path":"/a"}]}"#,
            r#"{"update":[{"val":{"string_val":"(masked)"},"path":"/a"}]}"#,
        ),
        (
            r#"{"update":[{"path":{"element":["a"]},"val":{"int_val":1}}]}"#,
            r#"{"update":[{"path":{"element":["a"]},"val":{"int_val":"(masked)"}}]}"#,
        ),
        (r#"{"sync_response":true}"#, r#"{"sync_response":true}"#),
    ] {
        assert_eq!(shown(Part::Notification, "gnmi.Subscribe", body, false), expected);
    }
    let late = r#"{"update":[{"path":"/key","val":{"string_val":"p"}}],"prefix":"/system/radius"}"#;
    assert!(shown(Part::Request, "gnmi.Set", late, false).starts_with("(not shown: "));
}

#[test]
fn secrets_in_differences_and_elsewhere() {
    let path = "/m:aaa/user[name='it\\'s = x']";
    let body = format!("- {path}/hash = p\n+ {path}/hash = q = r\n+ {path}/shell = sh\n- {path}/password\n+ ?? = x");
    let expected = format!(
        "- {path}/hash = (masked)\n+ {path}/hash = (masked)\n+ {path}/shell = sh\n- {path}/password\n+ ?? = (masked)"
    );
    assert_eq!(shown(Part::Observation, "running configuration, commit", &body, false), expected);
    for body in ["password=x", "\"password\"", "42", "plain words"] {
        assert!(shown(Part::Request, "POST /login", body, false).starts_with("(not shown: "), "{body}");
    }
    let events = "id: 4\ndata: {\"password\":\"p\",\"a\":1}\ndata: <a><secret>p</secret></a>\ndata: p\np\n\n: p";
    let expected = "id: 4\ndata: {\"password\":\"(masked)\",\"a\":1}\ndata: <a><secret>(masked)</secret></a>\n\
        data: (not shown: neither XML nor JSON, so it cannot be masked)\n(not shown: not a line of an event stream)\n\n: p";
    assert_eq!(shown(Part::Notification, "GET /restconf/streams/x", events, false), expected);
    let exchange = |view: &View| {
        let text = "<a>x</a>".to_owned();
        let exchange = Exchange {
            number: 1,
            part: Part::Reply,
            what: "get".into(),
            status: None,
            peer_id: None,
            bytes: 8,
            sha256: None,
            body: Some(text),
            cut: false,
        };
        let Kept::Exchange { exchange, .. } = view.of(Kept::Exchange { channel: 0, exchange: Box::new(exchange) })
        else {
            panic!("a frame")
        };
        exchange.body
    };
    assert_eq!(exchange(&View::Nothing("why".to_owned())).as_deref(), Some("(not shown: why)"));
    assert_eq!(exchange(&View::Unmasked).as_deref(), Some("<a>x</a>"));
}

proptest::proptest! {
    #[test]
    fn no_value_of_a_secret_is_shown(text in "[{}\\[\\]\",:<>/ a=]{0,12}", tail in "[{}\\[\\]\",:<>/ a=]{0,12}") {
        for body in [
            format!("{{\"password\":\"hunter2\",{text}"),
            format!("{{{text}\"secret\":[\"hunter2\"{tail}"),
            format!("<a>{text}<password>hunter2</password>{tail}"),
            format!("<password a='b'>{text}hunter2{tail}"),
        ] {
            for cut in [false, true] {
                let shown = shown(Part::Reply, "GET /x", &body, cut);
                // Before a secret there may be what makes it something else: then it is the value of another member.
                let other = body.starts_with("{\"password\"") || body.starts_with("<password");
                proptest::prop_assert!(!other || !shown.contains("hunter2"), "{} {}", body, shown);
            }
        }
    }
}
