//! A modern client reaches an element of 2008 through the gateway, with nothing weakened on its own side.

use crate::harness::client::Ssh;
use crate::harness::element::{Profile, Sshd};
use crate::harness::gateway::Site;
use crate::harness::need;

const PROFILE: &str = r#"
[[crypto_profile]]
name = "sha1-2008"
reason = "the platform ended its life in 2014 and knows no better"
owner = "core-network@carrier.example"
expires = "EXPIRES"
kex = ["diffie-hellman-group14-sha1"]
host_keys = ["ssh-rsa"]
ciphers = ["aes128-cbc"]
macs = ["hmac-sha1"]
"#;

/// `old-1` has the profile, `strict-1` is such an element without one.
fn site(expires: &str) -> (Site, [Sshd; 2]) {
    let mut site = Site::new();
    site.inventory(&PROFILE.replace("EXPIRES", expires));
    let started = [("old-1", "crypto = { profile = \"sha1-2008\" }"), ("strict-1", "")].map(|(name, extra)| {
        let sshd = Sshd::start(&site.scratch().join(name), Profile::Legacy, Some(&site.element_ca()), "");
        site.element(name, &sshd, extra);
        site.grant("ada", name);
        sshd
    });
    (site, started)
}

#[test]
fn the_gateway_is_the_bridge() {
    need!("sshd");
    let (site, [sshd, _other]) = site("2099-12-31");
    let direct = Ssh::direct(&sshd).feed(&["-v"], &["echo reached"], Vec::new());
    assert!(
        direct.code() == 255 && direct.errors().contains("no matching"),
        "a direct connection finds nothing in common: {}",
        direct.errors()
    );
    let gateway = site.start();
    let through = gateway.client("ada", "old-1");
    let ran = through.feed(&["-v"], &["echo reached; exit 3"], Vec::new());
    assert_eq!((ran.code(), ran.text().as_str()), (3, "reached\n"), "{}", ran.errors());
    for weak in ["sha1", "cbc", "algorithm: ssh-rsa"] {
        let agreed: Vec<_> =
            ran.errors().lines().filter(|l| l.contains("kex: ") && l.contains(weak)).map(str::to_owned).collect();
        assert!(agreed.is_empty(), "the client's own side is weak: {agreed:?}");
    }
    let bytes = (0..=255).collect::<Vec<u8>>().repeat(8000);
    assert_eq!(through.feed(&[], &["cat"], bytes.clone()).ok().out, bytes);
    let events = site.events();
    assert!(events.iter().any(|e| e["event"]["event"] == "legacy-crypto"), "its use is on record: {events:?}");
}

#[test]
fn without_the_profile_it_is_refused() {
    need!("sshd");
    let (site, _sshd) = site("2099-12-31");
    let gateway = site.start();
    let ran = gateway.client("ada", "strict-1").run(&["echo reached"]);
    assert!(ran.code() != 0 && !ran.text().contains("reached"), "{}", ran.errors());
    let unreachable =
        |e: &serde_json::Value| e.to_string().contains("element-unreachable") && e.to_string().contains("algorithm");
    assert!(site.events().iter().any(unreachable), "why is on record: {:?}", site.events());
}

#[test]
fn a_profile_that_ran_out_refuses() {
    need!("sshd");
    let (site, _sshd) = site("2020-01-01");
    let gateway = site.start();
    let ran = gateway.client("ada", "old-1").run(&["echo reached"]);
    assert!(ran.code() != 0 && !ran.text().contains("reached"), "{}", ran.errors());
}
