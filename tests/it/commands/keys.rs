//! Elements, their host keys and their secrets from the command line.

use std::fs;
use std::process::Command;

use super::{path, sallyport};
use crate::harness::client::{MINUTE, run};
use crate::harness::element::{Profile, Sshd};
use crate::harness::gateway::{SALLYPORT, Site};
use crate::harness::{SOON, free_port, need, wait_until};

#[test]
fn a_host_key_is_scanned_compared_and_pinned() {
    need!("sshd", "ssh-keygen");
    let mut site = Site::new();
    let sshd = Sshd::start(&site.scratch().join("linux-1"), Profile::Modern, Some(&site.element_ca()), "");
    let other = "SHA256:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8";
    site.listener("linux-1", sshd.port, other, "credential = { kind = \"certificate\" }\n");
    site.listener("silent-1", free_port(), other, "credential = { kind = \"certificate\" }\n");
    site.grant("ada", "linux-1");
    let gateway = site.start();
    let way = gateway.client("ada", "linux-1");
    let refused = way.run(&["echo reached"]);
    assert!(refused.code() != 0 && refused.text().is_empty(), "{}", refused.all());

    let listed = site.sallyport(&["elements", "list", "--json"]).ok();
    let listed: serde_json::Value = serde_json::from_slice(&listed.out).expect("JSON");
    assert_eq!(
        (listed[0]["name"].as_str(), listed[0]["host_keys"][0].as_str()),
        (Some("linux-1"), Some(other)),
        "{listed}"
    );
    let table = site.sallyport(&["elements", "list"]).ok().text();
    assert!(table.starts_with("ELEMENT") && table.contains("silent-1"), "{table}");

    let inventory = site.path().join("policies/elements.toml");
    let before = fs::read_to_string(&inventory).expect("a file");
    let scanned = site.sallyport(&["elements", "scan", "linux-1"]);
    assert_eq!(scanned.code(), 1, "{}", scanned.all());
    assert!(
        scanned.text().contains("NOT PINNED") && scanned.text().contains("elements pin linux-1 SHA256:"),
        "{}",
        scanned.all()
    );
    assert_eq!(fs::read_to_string(&inventory).expect("a file"), before, "a scan trusts nothing");
    assert_eq!(site.sallyport(&["elements", "scan", "silent-1"]).code(), 4);
    assert_eq!(site.sallyport(&["elements", "scan"]).code(), 1, "a key that nobody pinned is worse than none");
    assert_eq!(site.sallyport(&["elements", "scan", "nowhere"]).code(), 2);
    let new = site.sallyport(&["elements", "scan", &format!("127.0.0.1:{}", sshd.port)]);
    assert!(new.code() == 1 && new.text().contains("[[element]]"), "what is not in the inventory yet: {}", new.all());

    // What the element's own console says.
    let console =
        run(Command::new("ssh-keygen").args(["-l", "-f", "-"]), format!("{}\n", sshd.host_key()).into_bytes(), MINUTE);
    let console = console.ok().text();
    let fingerprint = console.split_whitespace().nth(1).expect("a fingerprint");
    assert!(scanned.text().contains(fingerprint), "{fingerprint}: {}", scanned.text());
    site.sallyport(&["elements", "pin", "linux-1", fingerprint]).ok();
    let after = fs::read_to_string(&inventory).expect("a file");
    assert!(after.contains(fingerprint) && after.contains(other), "{after}");
    assert!(site.sallyport(&["elements", "scan", "linux-1"]).ok().text().contains("pinned"));
    wait_until("the running gateway trusts it", SOON, || way.run(&["true"]).code() == 0);
    for (name, key) in [("linux-1", fingerprint), ("nowhere", fingerprint), ("linux-1", "MD5:00:11"), ("silent-1", "")]
    {
        let ran = site.sallyport(&["elements", "pin", name, key]);
        assert_eq!(ran.code(), 2, "{name} {key:?}: {}", ran.all());
    }
    assert_eq!(fs::read_to_string(&inventory).expect("a file"), after, "a pin that is refused changes nothing");
}

#[test]
fn a_secret_is_sealed_under_the_key_at_hand_and_never_shown() {
    let site = Site::new();
    site.write_policies();
    let config = site.config();
    let secrets = |args: &[&str], input: &str| {
        sallyport(&[&["secrets"], args, &["--config", path(&config)]].concat(), input.as_bytes())
    };
    secrets(&["set", "old-1"], "hunter2-Xyzzy\n").ok();
    secrets(&["set", "old-2"], "another-Xyzzy\n").ok();
    assert_eq!(secrets(&["list"], "").ok().text(), "old-1\nold-2\n");
    assert_eq!(secrets(&["list", "--json"], "").ok().text(), "[\"old-1\",\"old-2\"]\n");
    let sealed = site.path().join("data/secrets/old-1.sealed");
    let bytes = fs::read(&sealed).expect("it is there");
    assert!(!String::from_utf8_lossy(&bytes).contains("Xyzzy"), "it is sealed");
    for (args, code) in [
        (&["remove", "nothing"][..], 1),
        (&["set", "../up"], 2),
        (&["set", ""], 2),
        (&["set", "old-1", "hunter3"], 2),
        (&["show", "old-1"], 2),
    ] {
        let ran = secrets(args, "x");
        assert_eq!(ran.code(), code, "{args:?}: {}", ran.all());
    }
    assert_eq!(secrets(&["set", "large"], &"x".repeat(70_000)).code(), 2, "more than a secret has");
    assert_eq!(fs::read(&sealed).expect("it is there"), bytes);
    secrets(&["remove", "old-2"], "").ok();
    assert_eq!(secrets(&["list"], "").ok().text(), "old-1\n");
}

#[test]
fn the_key_of_secrets_comes_from_the_service_manager() {
    need!("sshd");
    let mut site = Site::new();
    let sshd = Sshd::start(&site.scratch().join("linux-1"), Profile::Modern, None, "");
    site.listener("linux-1", sshd.port, &sshd.host_key(), "credential = { kind = \"key\", secret = \"linux-1\" }\n");
    site.grant("ada", "linux-1");
    site.write_policies();
    // As systemd does it: a folder of credentials, and nothing where the configuration says.
    let credentials = site.scratch().join("credentials");
    fs::create_dir_all(&credentials).expect("a folder");
    fs::rename(site.path().join("gateway/secrets.key"), credentials.join("secrets.key")).expect("the same file system");
    let config = site.config();
    let with = |args: &[&str], folder: Option<&std::path::Path>, input: &[u8]| {
        let mut command = Command::new(SALLYPORT);
        command.args(args).args(["--config", path(&config)]).env_remove("CREDENTIALS_DIRECTORY");
        if let Some(folder) = folder {
            command.env("CREDENTIALS_DIRECTORY", folder);
        }
        run(&mut command, input.to_vec(), MINUTE)
    };
    let key = fs::read(sshd.dir.join("client_key")).expect("the key that the element accepts");
    let without = with(&["secrets", "set", "linux-1"], None, &key);
    assert!(without.code() == 2 && without.errors().contains("secrets.key"), "{}", without.all());
    let empty = site.scratch().join("empty");
    fs::create_dir_all(&empty).expect("a folder");
    assert_eq!(with(&["secrets", "list"], Some(&empty), b"").code(), 2, "a folder without it is none");
    with(&["secrets", "set", "linux-1"], Some(&credentials), &key).ok();
    with(&["check"], Some(&credentials), b"").ok();
    assert_eq!(with(&["check"], None, b"").code(), 2);
    let gateway = site.restart(&["env", &format!("CREDENTIALS_DIRECTORY={}", credentials.display())]);
    assert_eq!(gateway.client("ada", "linux-1").run(&["echo reached"]).ok().text(), "reached\n");
    // Another key opens nothing.
    fs::write(credentials.join("secrets.key"), [7; 32]).expect("a file");
    let strange = with(&["check"], Some(&credentials), b"");
    assert!(strange.all().contains("linux-1"), "{}", strange.all());
}
