//! The element's side of NETCONF: reached over TLS, and an answer that is larger than anything the gateway keeps.

use std::path::Path;
use std::process::Command;

use crate::harness::client::{MINUTE, digest};
use crate::harness::gateway::Site;
use crate::harness::netconf::{BASE, Netconfd, Raw, hello, let_do_everything, rpc, scripted, ship_models};
use crate::harness::process::Process;
use crate::harness::{SOON, data, https, need, wait_for};

const SYSTEM: &str = "urn:ietf:params:xml:ns:yang:ietf-system";

/// Puts an element into the inventory whose NETCONF is over TLS; its certificate must be of the authority in `ca`.
fn over_tls(site: &mut Site, name: &str, port: u16, ca: &Path) {
    let host_key = site.scratch().join(format!("{name}_host"));
    crate::harness::element::keygen(&host_key, &["-t", "ed25519"]);
    let host_key = crate::harness::element::public_key(&host_key.with_extension("pub"));
    let authority = std::fs::read_to_string(ca).expect("made by ca init");
    site.inventory(&format!(
        "[[element]]\nname = \"{name}\"\naddresses = [\"{name}.invalid:22\"]\nplatform = \"eos\"\nclass = \"core-router\"\nvendor = \"test\"\nsite = \"lab\"\n\
         account = \"netops\"\nhost_keys = [\"{host_key}\"]\ncredential = {{ kind = \"certificate\" }}\nprotocols = [\"ssh\", \"netconf\"]\nsessions_max = 1000\n\
         [element.netconf]\nover = \"tls\"\naddresses = [\"127.0.0.1:{port}\"]\nserver_name = \"{}\"\nca = [\"\"\"\n{authority}\"\"\"]\n",
        https::SERVER_NAME
    ));
    let_do_everything(site, "ada", name);
}

/// Debian's `netconfd` behind TLS that demands a certificate which the gateway mints: the same RPCs, recorded, as the person.
#[test]
fn the_element_is_reached_over_tls() {
    need!("sshd", "netconfd", "openssl", "python3");
    let mut site = Site::new();
    let dir = site.scratch().join("netconf-1");
    let _server = Netconfd::start(&dir, None);
    let (cert, key) = https::certificate(&site);
    let authority = https::element_authority(&site);
    let mut command = Command::new("python3");
    command.arg(data("tls_relay.py")).arg(cert).arg(key).arg(&authority).arg(dir.join("netconf.sh"));
    let mut relay = Process::start(&site.scratch(), "relay", &mut command);
    let port = relay.tells("its port", MINUTE, |out| out.lines().find_map(|l| l.strip_prefix("port ")?.parse().ok()));
    let own = site.path().join("ca/x509_ca.pem");
    over_tls(&mut site, "r1", port, &own);
    // The same server, pinned to an authority that did not make its certificate.
    over_tls(&mut site, "r2", port, &authority);
    ship_models(&site);
    site.let_read("ada");
    site.row("p, *, element:r1, *, data.write, /ietf-system:system/location, deny");
    let gateway = site.start();

    let mut raw = Raw::greet(&gateway.client("ada", "r1"), &["1.0", "1.1"]);
    let edit = |inner: &str| {
        format!(
            "<edit-config><target><candidate/></target><config><system xmlns=\"{SYSTEM}\">{inner}</system></config></edit-config>"
        )
    };
    assert!(raw.ask("1", &edit("<contact>over-tls</contact>")).contains("ok/>"));
    assert!(raw.ask("2", &edit("<location>x</location>")).contains("access-denied"));
    assert!(raw.ask("3", "<commit/>").contains("ok/>"));
    let read =
        format!("<get-config><source><running/></source><filter><system xmlns=\"{SYSTEM}\"/></filter></get-config>");
    let seen = raw.ask("4", &read);
    assert!(seen.contains("over-tls") && !seen.contains("<location>"), "{seen}");
    assert!(raw.ask("5", "<close-session/>").contains("ok/>"));
    assert_eq!(raw.ended(), 0);
    let client = relay
        .tells("who came", SOON, |out| out.lines().find_map(|line| line.strip_prefix("client ").map(str::to_owned)));
    assert_eq!(client, "netops spiffe://carrier.example/user/ada", "minted for the account and the person");
    relay.tells("the end", SOON, |out| out.contains("over\n").then_some(()));
    let session = site.closed_session();
    assert_eq!(session["element"], "r1", "{session}");
    let shown = site.as_ada(&["sessions", "show", session["id"].as_str().expect("an id")]).ok().text();
    for part in
        ["+ /ietf-system:system/contact = over-tls", "DENY  netconf.merge candidate:/ietf-system:system/location"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    site.verify(&[&site.recording(&session)]).ok();

    // A certificate of another authority is refused before a byte of NETCONF, and without the minted one nobody gets in.
    let refused = gateway.client("ada", "r2").feed(&["-s"], &["netconf"], Vec::new());
    assert!(refused.code() != 0 && refused.text().is_empty(), "{}", refused.all());
    let session = wait_for("it is on record", SOON, || {
        site.sessions().into_iter().find(|s| s["element"] == "r2" && !s["closed_at"].is_null())
    });
    assert_eq!(session["outcome"], "element-unreachable", "{session}");
    let naked = crate::harness::client::run(
        Command::new("openssl").args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}")]),
        Vec::new(),
        MINUTE,
    );
    assert!(!naked.text().contains("<hello"), "{}", naked.all());
    assert_eq!(relay.out().matches("client ").count(), 1, "{}", relay.out());
}

/// What the element sends for `get-config` in kind `big`: ten MiB and a little.
const ANSWER_BYTES_MIN: usize = 10 << 20;
/// What the gateway may grow by meanwhile: what of a message is kept, pieces on their way, and what a debug build allocates.
const GROWN_KIB_MAX: u64 = 6 << 10;

#[test]
fn a_large_answer_passes_whole_and_is_not_gathered() {
    need!("sshd", "python3");
    let mut site = Site::new();
    let sshd = scripted(&site.scratch().join("big"), Some(&site.element_ca()), "netconf_odd.py", &["big"]);
    site.element("big", &sshd, "");
    site.let_read("ada");
    let_do_everything(&mut site, "ada", "big");
    let gateway = site.start();
    let input = |ids: &[&str]| {
        let ask = ids.iter().map(|id| rpc(id, "<get-config><source><running/></source></get-config>") + "]]>]]>");
        format!("{}]]>]]>{}{}]]>]]>", hello(&["1.0"]), ask.collect::<String>(), rpc("9", "<close-session/>"))
    };
    let way = gateway.client("ada", "big");
    let ask = |way: &crate::harness::client::Ssh, ids: &[&str]| {
        let ran = way.feed(&["-s"], &["netconf"], input(ids).into_bytes());
        let text = ran.text();
        let start = text.find("<rpc-reply").unwrap_or_else(|| panic!("{}", ran.errors()));
        text[start..].to_owned()
    };
    // Once for what a first session allocates for good.
    assert!(ask(&way, &[]).contains("ok/>"));
    let before = gateway.peak_memory_kib();
    let ours = ask(&way, &["1"]);
    let grown = gateway.peak_memory_kib().saturating_sub(before);
    let direct = ask(&crate::harness::client::Ssh::direct(&sshd), &["1"]);
    assert!(direct.len() > ANSWER_BYTES_MIN, "{}", direct.len());
    assert_eq!((ours.len(), digest(ours.as_bytes())), (direct.len(), digest(direct.as_bytes())), "not a byte differs");
    assert!(grown < GROWN_KIB_MAX, "it grew by {grown} KiB for an answer of {} KiB", direct.len() >> 10);
    let id = wait_for("it is closed", SOON, || {
        let closed = site.sessions().into_iter().filter(|s| !s["closed_at"].is_null()).collect::<Vec<_>>();
        (closed.len() == 2).then(|| closed[1]["id"].as_str().expect("an id").to_owned())
    });
    let kept = site.as_ada(&["export", &id, "--format", "jsonl"]).ok().text();
    let reply =
        kept.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")).rfind(|frame| {
            frame["exchange"]["part"] == "reply"
                && frame["exchange"]["what"].as_str().is_some_and(|w| w.starts_with("get-config"))
        });
    let reply = reply.expect("it is recorded");
    let whole = direct.split("]]>]]>").next().expect("one").trim();
    assert_eq!(reply["exchange"]["sha256"], digest(whole.as_bytes()), "the digest is of all of it: {BASE}");
    assert_eq!(reply["exchange"]["bytes"], whole.len(), "{reply}");
}
