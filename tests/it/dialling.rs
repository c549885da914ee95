//! How elements are reached: where their addresses lead, whose keys they show, and what they are told.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::client::{Live, MINUTE, run};
use crate::harness::element::{Profile, Sshd, keygen, public_key};
use crate::harness::gateway::{SALLYPORT, Site, replace};
use crate::harness::lab::Lab;
use crate::harness::process::Process;
use crate::harness::{SOON, data, free_port, need, venv, wait_for, wait_until};

const CERTIFICATE: &str = "credential = { kind = \"certificate\" }";

/// The events of one kind, without their envelope.
fn events(site: &Site, kind: &str) -> Vec<Value> {
    site.events().into_iter().map(|e| e["event"].clone()).filter(|e| e["event"] == kind).collect()
}

/// Waits for an event of this kind that says this.
#[track_caller]
fn told(site: &Site, kind: &str, text: &str) -> Value {
    wait_for(&format!("{kind}: {text}"), SOON, || events(site, kind).into_iter().find(|e| e.to_string().contains(text)))
}

fn export(site: &Site) -> String {
    let session = site.closed_session();
    site.as_ada(&["export", session["id"].as_str().expect("an id"), "--format", "jsonl"]).ok().text()
}

#[test]
fn an_inventory_that_leads_to_the_gateway_is_a_mistake() {
    need!("sshd");
    let mut lab = Lab::with(Profile::Modern, "", |site| {
        site.configure("doors.ssh", "listen", format!("127.0.0.1:{}", free_port()));
    });
    let good = std::fs::read_to_string(lab.site.path().join("policies/elements.toml")).expect("the inventory");
    // The doors whose ports the system chose are known only while the gateway runs.
    for (turn, port) in [lab.gateway.ssh, lab.gateway.mtls, lab.gateway.metrics].into_iter().enumerate() {
        let name = format!("loop-{turn}");
        lab.site.listener(&name, port, &lab.sshd.host_key(), CERTIFICATE);
        lab.site.write_policies();
        let event = told(&lab.site, "policy-rejected", &format!("`{name}` is a door of the gateway itself"));
        assert!(event.to_string().contains("elements.toml:"), "with its line: {event}");
        if turn == 0 {
            let checked = lab.site.sallyport(&["check"]);
            assert_eq!(checked.code(), 2, "{}", checked.all());
            let text = std::fs::read_to_string(lab.site.path().join("policies/elements.toml")).expect("the inventory");
            // The line before its name begins it, and lines are counted from one.
            let line = text.lines().position(|l| l.contains(&name)).expect("it is there");
            let expected = format!("elements.toml:{line}: the address 127.0.0.1:{port}");
            assert!(checked.errors().contains(&expected), "{expected}: {}", checked.errors());
        }
    }
    assert_eq!(lab.pair.gateway.run(&["echo still"]).ok().text(), "still\n", "the last good set stays");
    drop(lab.gateway);
    let mut command = Command::new(SALLYPORT);
    let refused = run(command.arg("serve").arg("--config").arg(lab.site.config()), Vec::new(), MINUTE);
    assert!(refused.code() == 2 && refused.errors().contains("is a door of the gateway itself"), "{}", refused.all());
    replace(&lab.site.path().join("policies/elements.toml"), &good);
    lab.site.sallyport(&["check"]).ok();
}

/// A gateway that sees its own `/etc/hosts`, in which `moving.test` is at `at`, with an element of that name at `port`.
fn with_hosts(site: &Site, hosts: &Path, at: &str) -> crate::harness::gateway::Gateway {
    move_to(hosts, at);
    site.write_policies();
    let mounted = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    site.restart(&["unshare", "-m", "sh", "-c", &mounted, "--"])
}

/// In place: the file itself is mounted.
fn move_to(hosts: &Path, at: &str) {
    std::fs::write(hosts, format!("127.0.0.1 localhost\n{at} moving.test\n")).expect("a file");
}

#[test]
fn a_name_is_looked_up_when_it_is_dialled_and_where_it_led_is_on_record() {
    need!("root", "sshd", "unshare");
    let mut site = Site::new();
    let sshd = Sshd::start(&site.scratch().join("linux-1"), Profile::Modern, Some(&site.element_ca()), "");
    let metrics = free_port();
    site.configure("metrics", "listen", format!("127.0.0.1:{metrics}"));
    site.configure("elements", "connect_timeout_ms", 5_000);
    site.element("linux-1", &sshd, "");
    site.listener("trap-1", metrics, &sshd.host_key(), CERTIFICATE);
    site.edit_inventory("127.0.0.1:", "moving.test:");
    site.grant("ada", "linux-1");
    site.grant("ada", "trap-1");
    let hosts = site.scratch().join("hosts");
    let gateway = with_hosts(&site, &hosts, "127.0.0.1");
    let (there, trap) = (gateway.client("ada", "linux-1"), gateway.client("ada", "trap-1"));
    there.run(&["true"]).ok();
    assert!(export(&site).contains(&format!("element at 127.0.0.1:{}", sshd.port)), "{}", export(&site));
    // The name leads to a door only now, so no inventory could say it.
    let ran = trap.run(&["true"]);
    assert!(ran.code() == 255 && ran.errors().contains("the element cannot be reached"), "{}", ran.all());
    told(&site, "element-unreachable", &format!("leads to 127.0.0.1:{metrics}, which is a door of the gateway itself"));
    move_to(&hosts, "127.0.0.9");
    let ran = there.run(&["true"]);
    assert!(
        ran.code() == 255 && ran.errors().contains("the element cannot be reached"),
        "nothing is there: {}",
        ran.all()
    );
    move_to(&hosts, "127.0.0.1");
    there.run(&["true"]).ok();
}

#[test]
fn a_host_key_that_nobody_pinned_is_refused_with_a_clear_message_and_an_event() {
    need!("sshd");
    let mut other = None;
    let lab = Lab::with(Profile::Modern, "", |site| {
        let sshd = Sshd::start(&site.scratch().join("changed"), Profile::Modern, Some(&site.element_ca()), "");
        let pinned = site.scratch().join("pinned");
        keygen(&pinned, &["-t", "ed25519"]);
        site.listener("changed-1", sshd.port, &public_key(&pinned.with_extension("pub")), CERTIFICATE);
        site.grant("ada", "changed-1");
        other = Some(sshd);
    });
    let sshd = other.expect("it was started");
    let mut beside = Live::start(&lab.pair.gateway, &lab.site.scratch(), "beside", &[], "echo up; sleep 600", "up");
    let ran = lab.gateway.client("ada", "changed-1").run(&["echo reached"]);
    assert!(ran.code() != 0 && ran.text().is_empty(), "{}", ran.all());
    let message =
        "the element shows a host key that nobody has pinned, so the connection was refused. Ask the security team";
    assert!(ran.errors().contains(message), "{}", ran.errors());
    let shown = crate::harness::must(Command::new("ssh-keygen").arg("-lf").arg(sshd.dir.join("host_key.pub")));
    let fingerprint = shown.split_whitespace().nth(1).expect("its second word");
    let event = told(&lab.site, "host-key-refused", fingerprint);
    assert_eq!(event["element"], "changed-1");
    assert_eq!(event["address"], format!("127.0.0.1:{}", sshd.port));
    assert!(!sshd.log().contains("Accepted"), "it was given nothing: {}", sshd.log());
    assert!(beside.process.running());
}

/// Stores a secret under `name`.
fn store(site: &Site, name: &str, secret: Vec<u8>) {
    let mut set = Command::new(SALLYPORT);
    run(set.args(["secrets", "set", name, "--config"]).arg(site.config()), secret, MINUTE).ok();
}

#[test]
fn stored_keys_and_passwords_open_elements_and_are_never_shown() {
    need!("sshd", "python:clients");
    const PASSWORD: &str = "correct horse battery";
    let mut site = Site::new();
    let sshd = Sshd::start(&site.scratch().join("keyed"), Profile::Modern, None, "");
    let mut servers = Vec::new();
    let host = site.scratch().join("host_key");
    keygen(&host, &["-t", "ed25519"]);
    let host_key = public_key(&host.with_extension("pub"));
    for (how, credential) in [
        ("password", "{ kind = \"password\", secret = \"spoken\" }"),
        ("dialogue", "{ kind = \"password\", secret = \"spoken\", prompts = [{ matches = \"Passcode for *\" }] }"),
        ("strange", "{ kind = \"password\", secret = \"spoken\", prompts = [{ matches = \"Password:*\" }] }"),
        ("wrong", "{ kind = \"password\", secret = \"wrong\" }"),
    ] {
        let asks = if how == "dialogue" || how == "strange" { "dialogue" } else { "password" };
        let mut command = Command::new(venv("clients", "python"));
        command.arg(data("password_element.py")).arg(&host).args([asks, PASSWORD]);
        let mut server = Process::start(&site.scratch(), how, &mut command);
        let port =
            server.tells("its port", SOON, |out| out.lines().find_map(|l| l.strip_prefix("port ")?.parse().ok()));
        site.listener(how, port, &host_key, &format!("credential = {credential}"));
        servers.push(server);
    }
    site.listener("keyed", sshd.port, &sshd.host_key(), "credential = { kind = \"key\", secret = \"stored-key\" }");
    let elements = ["keyed", "password", "dialogue", "strange", "wrong"];
    elements.iter().for_each(|name| site.grant("ada", name));
    let key = std::fs::read(sshd.dir.join("client_key")).expect("a key");
    site.write_policies();
    for (name, secret) in [("stored-key", key), ("spoken", PASSWORD.into()), ("wrong", b"guessed".to_vec())] {
        store(&site, name, secret);
    }
    let gateway = site.start();
    let mut all = String::new();
    for (element, code, out) in [
        ("keyed", 3, "hello\n"),
        ("password", 3, "echo hello; exit 3 as"),
        ("dialogue", 3, "echo hello; exit 3 as"),
        ("strange", 255, ""),
        ("wrong", 255, ""),
    ] {
        let ran = gateway.client("ada", element).run(&["echo hello; exit 3"]);
        assert!(ran.code() == code && ran.text().starts_with(out), "{element}: {}", ran.all());
        let refused = ran.errors().contains("the element cannot be reached");
        assert_eq!(refused, code == 255, "{element}: {}", ran.errors());
        all.push_str(&ran.all());
        all.push_str(&export(&site));
    }
    assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
    told(&site, "element-unreachable", "the element did not accept the gateway's credential");
    wait_until("both refusals are on record", SOON, || events(&site, "element-unreachable").len() == 2);
    all.push_str(&site.events().iter().map(ToString::to_string).collect::<String>());
    all.push_str(&gateway.process.all());
    assert!(!all.contains(PASSWORD) && !all.contains("guessed") && !all.contains("PRIVATE KEY"), "{all}");
}
