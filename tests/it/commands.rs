//! The command line as scripts and people use it: what each command says, writes and ends with.

mod contract;
mod keys;
mod people;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::client::{MINUTE, Ran, run};
use crate::harness::gateway::{SALLYPORT, Site};
use crate::harness::{must, need, pki};

/// Runs `sallyport` with these arguments and this input.
fn sallyport(args: &[&str], input: &[u8]) -> Ran {
    run(Command::new(SALLYPORT).args(args), input.to_vec(), MINUTE)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("our own paths are text")
}

/// `text` of `file` with `from` replaced.
fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    assert!(text.contains(from), "{}: no `{from}`", file.display());
    fs::write(file, text.replace(from, to)).expect("a file");
}

#[test]
fn check_reports_the_mistakes_of_every_part_at_once() {
    let mut site = Site::new();
    site.row("p, user:ada, element:nowhere, *, ssh.exec, *, perhaps");
    site.write_policies();
    let root = site.path();
    site.configure("limits", "connections_max", 0);
    fs::write(root.join("ca/ssh_revoked"), "nonsense\n").expect("a file");
    fs::write(root.join("data/locks.json"), "{").expect("a file");
    fs::write(root.join("gateway/secrets.key"), "short").expect("a file");
    fs::write(root.join("gateway/signing.key.pem"), "no key").expect("a file");
    let checked = site.sallyport(&["check"]);
    assert_eq!(checked.code(), 2, "{}", checked.all());
    let parts = [
        "limits.connections_max",
        "policy.csv:1",
        "ssh_revoked: line 1",
        "locks.json",
        "secrets.key",
        "signing.key.pem",
    ];
    for part in parts {
        assert!(checked.errors().contains(part), "{part} is not named in: {}", checked.errors());
    }
    // What the configuration does not name is one of its mistakes, and not also a file that cannot be read.
    edit(&site.config(), "crl_file", "crl_fil");
    let said = site.sallyport(&["check"]).errors();
    assert!(said.contains("`trust.crl_file` is missing") && said.contains("ssh_revoked: line 1"), "{said}");
    assert!(!said.contains("Is a directory"), "{said}");
}

#[test]
fn check_and_serve_refuse_the_same() {
    let site = Site::new();
    site.write_policies();
    assert_eq!(site.sallyport(&["check"]).ok().text().lines().last().map(|l| l.starts_with("ok: ")), Some(true));
    for (file, text) in [
        ("policies/policy.csv", "p, nonsense\n"),
        (
            "policies/cases.toml",
            "[[case]]\nname = \"x\"\nwho = \"user:ada\"\nelement = \"gateway\"\nverb = \"gateway.audit\"\nexpect = \"allow\"\n",
        ),
        ("policies/elements.toml", "[[element]]\nname = \"a\"\n"),
        ("policies/rows.csv", "p, user:ada, element:gateway, *, gateway.audit, *, allow\n"),
        ("ca/x509_ca.pem", ""),
        ("ca/crl.pem", ""),
        ("ca/ssh_user_ca.pub", "ssh-rsa AAAA\n"),
        ("gateway/server.key.pem", "no key"),
        ("gateway/ssh_host_key", "no key"),
        ("gateway/secrets.key", ""),
        ("gateway/signing.key.pem", "no key"),
        ("data/locks.json", "[{}]"),
    ] {
        let file = site.path().join(file);
        let before = fs::read(&file).ok();
        fs::write(&file, text).expect("a file");
        for command in ["check", "serve"] {
            let ran = site.sallyport(&[command]);
            assert_eq!(ran.code(), 2, "{command} with {}: {}", file.display(), ran.all());
            let name = file.file_name().and_then(|n| n.to_str()).expect("a name");
            assert!(ran.errors().contains(name) && !ran.text().contains("listening"), "{command}: {}", ran.all());
        }
        match before {
            Some(before) => fs::write(&file, before).expect("a file"),
            None => fs::remove_file(&file).expect("a file"),
        }
    }
    site.sallyport(&["check"]).ok();
    assert_eq!(fs::read_dir(site.path().join("data/audit")).expect("a folder").count(), 0, "check starts nothing");
}

#[test]
fn check_warns_of_what_will_need_somebody() {
    need!("openssl");
    let mut site = Site::new();
    site.inventory(
        "[[crypto_profile]]\nname = \"old\"\nkex = [\"diffie-hellman-group14-sha1\"]\nreason = \"x\"\nowner = \"noc\"\nexpires = \"2020-01-01\"\n",
    );
    let key = "SHA256:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8";
    site.listener(
        "old-1",
        22,
        key,
        "credential = { kind = \"password\", secret = \"old-1\" }\ncrypto = { profile = \"old\" }\n",
    );
    site.row("p, role:nobody, group:class/nowhere, *, ssh.exec, uptime, allow");
    site.write_policies();
    let crl = site.path().join("ca/crl.pem");
    fs::write(&crl, pki::crl(&site, Duration::from_secs(3 * 86_400 - 60))).expect("a file");
    let checked = site.sallyport(&["check"]).ok();
    let warnings: Vec<_> = checked.text().lines().filter(|l| l.starts_with("warning: ")).map(str::to_owned).collect();
    for part in [
        "crl.pem: a revocation list runs out at",
        "in 2 days; make a new one with `sallyport ca refresh-crl`",
        "the crypto profile `old` ran out on 2020-01-01",
        "`old-1` cannot be reached: there is no secret `old-1`",
        "nobody has `role:nobody`",
        "no element is in `group:class/nowhere`",
        "no row names `group:class/linux-host`",
    ] {
        assert!(warnings.iter().any(|w| w.contains(part)), "{part}: {warnings:#?}");
    }
    // They are no mistakes, and the last one is gone when it is mended.
    run(
        Command::new(SALLYPORT).args(["secrets", "set", "old-1", "--config"]).arg(site.config()),
        b"pw".to_vec(),
        MINUTE,
    )
    .ok();
    must(Command::new(SALLYPORT).args(["ca", "refresh-crl"]).arg(site.path()));
    let checked = site.sallyport(&["check"]).ok().text();
    assert!(!checked.contains("secret") && !checked.contains("crl.pem") && checked.contains("ok: policy"), "{checked}");
}

#[test]
fn what_is_read_of_the_gateway_is_in_its_log() {
    let mut site = Site::new();
    site.let_read("ada");
    let gateway = site.start();
    let told = |site: &Site| -> Vec<(String, String, String)> {
        let text = |e: &serde_json::Value| e.as_str().unwrap_or_default().to_owned();
        let events = site.events();
        let events = events.iter().map(|e| &e["event"]).filter(|e| e["event"] == "state-read");
        events.map(|e| (text(&e["by"]), text(&e["action"]["verb"]), text(&e["via"]))).collect()
    };
    site.as_ada(&["sessions", "list"]).ok();
    site.as_ada(&["audit", "tail"]).ok();
    let ada = "spiffe://carrier.example/user/ada";
    let expected = |via: &str| {
        ["gateway.watch", "gateway.audit", "gateway.audit"]
            .map(|verb| (ada.to_owned(), verb.to_owned(), via.to_owned()))
    };
    // The last one is that of reading the log to see.
    assert_eq!(told(&site), expected("console"));
    assert_eq!(gateway.stop(MINUTE).code(), Some(0));
    site.as_ada(&["sessions", "list"]).ok();
    site.as_ada(&["audit", "tail"]).ok();
    assert_eq!(told(&site)[3..], expected("command-line"), "also by whoever stands at the machine");
    // Whoever may not is denied, which is in the log as ever.
    site.issue("eve", &[]);
    let config = site.config();
    let eve = site.identity("eve");
    let denied = sallyport(&["audit", "tail", "--config", path(&config), "--identity", path(&eve)], b"");
    assert_eq!(denied.code(), 3, "{}", denied.all());
    assert_eq!(told(&site).len(), 7);
}
