//! The example policy of `examples/subscriber-identity`, end to end: an API that is an allow-list, records by identity, masked fields, customers that
//! have to agree, and limits against taking record after record.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::harness::client::{MINUTE, run};
use crate::harness::gateway::SALLYPORT;
use crate::harness::http::Answer;
use crate::harness::https::Plane;
use crate::harness::{SOON, need, wait_until};

const JSON: &str = "Content-Type: application/json";
const SIM: &str = r#"{"iccid":"8946000000000000001","reason":"lost"}"#;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/subscriber-identity")
}

/// The customer's side.
struct Customer(Ed25519KeyPair);

impl Customer {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().expect("a key"))
    }

    /// A header with a token for changing the SIM of 4711 as `agent`, after `change` has seen the claims.
    fn agrees(&self, id: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let now = seconds();
        let mut claims = json!({
            "iss": "https://customer-login.carrier.example", "aud": "r1", "sub": "4711", "act": "changeSim",
            "azp": "spiffe://carrier.example/user/agent", "iat": now, "exp": now + 100, "jti": format!("token-{id}"),
        });
        change(&mut claims);
        let head = json!({ "alg": "EdDSA", "typ": "customer-auth+jwt", "kid": "2026-11" });
        let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&head), part(&claims));
        format!("X-Customer-Auth: {signed}.{}", URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).as_ref()))
    }
}

/// A gateway with the example's rows and API before `r1`, whose limits are `objects` different records.
fn plane(customer: &Customer, objects: usize) -> Plane {
    let plane = Plane::with("\"https\"", "api = \"apis/subscriber.json\"", |site| {
        let text = fs::read_to_string(example().join("policy.csv")).expect("the example");
        text.lines().filter(|line| line.starts_with('p') || line.starts_with('g')).for_each(|line| site.row(line));
        site.row("g2, element:r1, group:subscriber-systems");
        for name in ["agent", "vip-agent", "fraud-analyst", "outsider"] {
            site.issue(name, &[]);
        }
        let apis = site.path().join("policies/apis");
        fs::create_dir_all(&apis).expect("a folder");
        fs::copy(example().join("apis/subscriber.json"), apis.join("subscriber.json")).expect("a file");
        let beside = fs::read_to_string(example().join("apis/subscriber.toml")).expect("the example");
        let key = STANDARD.encode(customer.0.public_key().as_ref());
        let beside = beside
            .replace("6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=", &key)
            .replace("objects_max = 40", &format!("objects_max = {objects}"));
        fs::write(apis.join("subscriber.toml"), beside).expect("a file");
        site.configure("limits.http", "body_bytes_max", 100_000);
    });
    // A token counts in whole seconds, and must be younger than the gateway.
    let ready = seconds();
    wait_until("the gateway is older than any token", SOON, || seconds() > ready);
    plane
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

#[track_caller]
fn refused(answer: Answer, why: &str) {
    let answer = answer.is(403);
    assert!(answer.body.contains(why), "{why}: {answer:?}");
}

#[test]
fn the_example_is_a_set_that_loads_and_decides_as_its_cases_say() {
    let mut command = Command::new(SALLYPORT);
    command.args(["policy", "test", "--policies"]).arg(example());
    let said = run(&mut command, Vec::new(), MINUTE).ok().text();
    assert!(said.contains("10"), "{said}");
}

#[test]
fn agents_read_masked_records_that_are_theirs_by_the_document_alone() {
    need!("curl", "openssl", "python3");
    let plane = plane(&Customer::new(), 40);
    let (agent, vip, fraud, outsider) =
        (plane.web("agent"), plane.web("vip-agent"), plane.web("fraud-analyst"), plane.web("outsider"));
    for version in ["--http1.1", "--http2"] {
        let record = agent.curl(&[version], "/v1/subscribers/4711").is(200);
        let expected = r#"{"id": "4711", "credit": 12345678901234567890.10, "imsi": "***", "sim": {"ki": "***"}, "bills": [{"sum": 1, "iban": "***"}, {"sum": 2, "iban": "***"}]}"#;
        assert_eq!(record.body, expected, "nothing else of it changes");
        agent.curl(&[version], "/v1/subscribers/900123").is(403);
        vip.curl(&[version], "/v1/subscribers/900123").is(200);
        let found = fraud.curl(&[version], "/v1/subscribers?msisdn=4670123456").is(200);
        assert!(found.body.contains("001010000000001") && !found.body.contains("00AA11BB"), "{found:?}");
    }
    for (path, why) in [
        ("/v1/subscribers?msisdn=4670123456", "not allowed for agent"),
        ("/v1/subscribers/47a", "does not match its pattern"),
        ("/v1/subscribers/4711?all=1", "no parameter `all`"),
    ] {
        refused(agent.curl(&[], path), why);
    }
    for path in [
        "/v1/subscribers",
        "/subscribers/4711",
        "/v1/subscribers/4711/sim-change",
        "/v1/subscribers/4711/x",
        "/v1/Subscribers/4711",
    ] {
        agent.curl(&[], path).is(403);
    }
    for (id, why) in [(4991, "compressed"), (4992, "not JSON"), (4993, "too long"), (4994, "JSON: ")] {
        let kept = agent.curl(&[], &format!("/v1/subscribers/{id}")).is(502);
        assert!(kept.body.contains(why) && !kept.body.contains("0010100"), "{kept:?}");
    }
    assert_eq!(agent.curl(&[], "/v1/subscribers/4995").is(500).body, r#"{"error": {"imsi": "***"}}"#);
    let mut nowhere = plane.web("outsider");
    nowhere.host = nowhere.host.replacen("r1", "r9", 1);
    for path in ["/v1/subscribers/4711", "/v1/nothing", "/"] {
        let (there, not) = (outsider.curl(&[], path).is(403), nowhere.curl(&[], path).is(403));
        assert_eq!(there.body, not.body.replace("r9", "r1"), "an outsider learns nothing of the document");
    }
    let got = plane.got();
    assert!(got.iter().all(|got| !got.path.contains("900123") || got.client == ["netops"]), "{got:?}");
    assert!(!got.iter().any(|got| got.path.contains("all=1") || got.path.contains("sim-change")), "{got:?}");
    let recorded: String = plane.recorded().iter().map(|line| format!("{line}\n")).collect();
    let of_agents: Vec<&str> = recorded.lines().filter(|line| line.contains("GET /v1/subscribers/4711")).collect();
    assert!(!of_agents.iter().any(|line| line.contains("X1") || line.contains("0010100")), "{of_agents:#?}");
    assert!(!of_agents.is_empty() && recorded.contains("\\\"imsi\\\": \\\"***\\\""), "{recorded}");
    assert!(!recorded.contains("00AA11BB"), "what is masked is not in recordings either");
    assert!(recorded.contains("{id=900123}"), "{recorded}");
}

#[test]
fn a_sim_changes_only_when_the_customer_has_just_agreed_to_that() {
    need!("curl", "openssl", "python3");
    let (customer, stranger) = (Customer::new(), Customer::new());
    let plane = plane(&customer, 40);
    let agent = plane.web("agent");
    let change = |header: &str, path: &str, body: &str| agent.curl(&["-H", JSON, "-H", header, "-d", body], path);
    let sim = "/v1/subscribers/4711/sim-change";
    let good = customer.agrees("first", |_| ());
    refused(change("X-Other: y", sim, SIM), "the header x-customer-auth is missing");
    refused(change(&good, sim, r#"{"iccid":"8946000000000000001","reason":"because"}"#), "none of the values");
    refused(
        change(&good, sim, r#"{"iccid":"8946000000000000001","reason":"lost","force":true}"#),
        "force is not in the document",
    );
    refused(change(&good, "/v1/subscribers/4712/sim-change", SIM), "for something else");
    change(&good, sim, SIM).is(201);
    refused(change(&good, sim, SIM), "used before");
    let port = r#"{"recipient":"other-carrier","date":"2026-12-01"}"#;
    refused(change(&customer.agrees("second", |_| ()), "/v1/subscribers/4711/port-out", port), "for something else");
    change(&customer.agrees("port", |claims| claims["act"] = json!("portOut")), "/v1/subscribers/4711/port-out", port)
        .is(201);
    for (change_claims, why) in [
        (
            (|c| c["azp"] = json!("spiffe://carrier.example/user/vip-agent")) as fn(&mut serde_json::Value),
            "something else",
        ),
        (|c| c["aud"] = json!("r2"), "something else"),
        (|c| c["exp"] = json!(c["iat"].as_u64().expect("a time") + 3600), "too long"),
        (|c| c["exp"] = c["iat"].clone(), "not good any more"),
        (
            |c| {
                let issued = c["iat"].as_u64().expect("a time") - 110;
                (c["iat"], c["exp"]) = (json!(issued), json!(issued + 119));
            },
            "before the gateway began",
        ),
        (|c| c["jti"] = json!(""), "no `jti`"),
    ] {
        refused(change(&customer.agrees("other", change_claims), sim, SIM), why);
    }
    refused(change(&stranger.agrees("third", |_| ()), sim, SIM), "signature is wrong");
    let forged = customer.agrees("fourth", |_| ());
    let two = agent.curl(&["-H", JSON, "-H", &forged, "-H", &forged, "-d", SIM], sim);
    refused(two, "is there twice");
    let got = plane.got();
    assert_eq!(got.iter().map(|got| got.path.as_str()).collect::<Vec<_>>(), [sim, "/v1/subscribers/4711/port-out"]);
    assert!(got.iter().all(|got| got.header("x-customer-auth").is_none()), "the proof is the gateway's");
    let log: String = plane.site.events().iter().map(ToString::to_string).collect();
    assert!(log.contains("used before") && log.contains("{id=4712}/sim-change"), "refusals are in the log");
}

#[test]
fn taking_record_after_record_ends_soon() {
    need!("curl", "openssl", "python3");
    let plane = plane(&Customer::new(), 3);
    let (agent, other) = (plane.web("agent"), plane.web("vip-agent"));
    for id in [4001, 4002, 4003, 4001, 4002] {
        agent.curl(&[], &format!("/v1/subscribers/{id}")).is(200);
    }
    let many = agent.curl(&["--http2", "-H", "Accept: application/json"], "/v1/subscribers/4004").is(429);
    assert!(many.headers.contains("retry-after: 3") && many.body.contains("more than 3 different objects"), "{many:?}");
    agent.curl(&[], "/v1/subscribers/4003").is(200);
    other.curl(&[], "/v1/subscribers/4004").is(200);
    assert_eq!(plane.got().iter().filter(|got| got.path.ends_with("4004")).count(), 1);
    let log: String = plane.site.events().iter().map(ToString::to_string).collect();
    assert!(log.contains("more than 3 different objects"), "it is in the log");
    agent.curl(&[], "/v1/nothing").is(403);
    seen(&plane);
}

/// What `api seen` tells of [`taking_record_after_record_ends_soon`].
fn seen(plane: &Plane) {
    plane.recorded();
    let told = plane.site.as_ada(&["api", "seen", "--element", "r1", "--json"]).ok();
    let told: Vec<serde_json::Value> = serde_json::from_slice(&told.out).expect("an array");
    let read = told.iter().find(|line| line["operation"] == "/v1/subscribers/{id}").expect("it was used");
    assert_eq!((&read["verb"], &read["count"], &read["denied"]), (&json!("http.get"), &json!(7), &json!(1)), "{read}");
    assert_eq!(read["identities"], json!(["agent", "vip-agent"]));
    assert!(read["first_seen"].as_str() < read["last_seen"].as_str(), "{read}");
    let other = told.iter().find(|line| line["operation"] == "/v1/nothing").expect("it was asked for");
    assert_eq!(
        (&other["count"], &other["denied"], &other["undocumented"]),
        (&json!(0), &json!(1), &json!(1)),
        "{other}"
    );
    let table = plane.site.as_ada(&["api", "seen"]).ok().text();
    assert!(table.contains("/v1/subscribers/{id}") && table.contains("agent vip-agent"), "{table}");
    assert_eq!(plane.site.sallyport(&["api", "seen", "--element", "r1", "--identity", "nowhere"]).code(), 2);
}

#[test]
fn a_document_that_is_wrong_or_gone_is_not_taken_up() {
    need!("curl", "openssl", "python3");
    let plane = plane(&Customer::new(), 40);
    let file = plane.site.path().join("policies/apis/subscriber.json");
    let good = fs::read_to_string(&file).expect("the document");
    let check = || plane.site.sallyport(&["check"]);
    for (text, place) in [
        (
            good.replace("\"enum\": [\"lost\"", "\"not\": {}, \"enum\": [\"lost\""),
            "reason/not: would restrict something",
        ),
        (good.replace("3.1.0", "2.0"), "apis/subscriber.json:1: #/openapi"),
        (String::new(), "apis/subscriber.json"),
    ] {
        fs::write(&file, text).expect("a file");
        let said = check();
        assert!(
            said.code() == 2 && format!("{}{}", said.text(), said.errors()).contains(place),
            "{place}: {}{}",
            said.text(),
            said.errors()
        );
    }
    fs::remove_file(&file).expect("a file");
    let said = check();
    let text = format!("{}{}", said.text(), said.errors());
    assert!(said.code() == 2 && text.contains("apis/subscriber.toml"), "{text}");
    // What is in force stays in force.
    plane.web("agent").curl(&[], "/v1/subscribers/4711").is(200);
    plane.web("agent").curl(&[], "/v1/subscribers/4711?all=1").is(403);
}
