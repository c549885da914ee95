//! Dialling: a real `sshd` here, logins and faults of a fake element beside.

mod faults;
mod logins;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::{Certificate, HashAlg};
use tokio::sync::mpsc;

use super::Link;
use super::dial::dial_as;
use super::fake::{Collector, Seen, Sshd, key};
use super::scan::scan;
use crate::domain::{Account, Timestamp};
use crate::element::secrets::Secrets;
use crate::element::{Config, DialError, Element, Inventory, LinkFacts, Opening, OwnDoors, Terminal};
use crate::identity::issue::Minted;

const NOW: u64 = 1_800_000_000;

fn config(dir: &Path) -> Config {
    Config {
        connect_timeout: Duration::from_secs(20),
        window_bytes: 2 << 20,
        secrets_dir: dir.join("secrets"),
        secrets_key_file: dir.join("secrets.key"),
        own: OwnDoors::default(),
    }
}

fn store(dir: &Path, name: &str, secret: &[u8]) {
    let file = dir.join("secrets.key");
    std::fs::write(&file, [7; 32]).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Secrets::open(&dir.join("secrets"), &file).unwrap().write(&name.parse().unwrap(), secret).unwrap();
}

fn me() -> Account {
    let name = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    String::from_utf8(name).unwrap().trim().parse().unwrap()
}

fn minted(principal: &str) -> Minted {
    // sshd reads the real clock, so the certificate is valid at any time.
    let mut builder = Builder::new(vec![3; 16], key(2).public_key().key_data().clone(), 0, u64::MAX >> 1).unwrap();
    builder
        .cert_type(CertType::User)
        .unwrap()
        .key_id("spiffe://x/user/a#s")
        .unwrap()
        .valid_principal(principal)
        .unwrap();
    builder.extension("permit-pty", "").unwrap().extension("permit-port-forwarding", "").unwrap();
    Minted { key: key(2), certificate: builder.sign(&key(9)).unwrap() }
}

fn host_certificate(principal: &str, signer: u8) -> Certificate {
    let mut builder = Builder::new(vec![4; 16], key(1).public_key().key_data().clone(), 0, u64::MAX >> 1).unwrap();
    builder.cert_type(CertType::Host).unwrap().valid_principal(principal).unwrap();
    builder.sign(&key(signer)).unwrap()
}

fn line(seed: u8) -> String {
    key(seed).public_key().to_openssh().unwrap()
}

/// An element with these addresses and further lines of TOML.
fn element(addresses: &[&str], trust: &str, credential: &str, more: &str) -> std::sync::Arc<Element> {
    let text = format!(
        "[[element]]\nname = \"core-rtr-1\"\naddresses = {addresses:?}\naccount = \"admin\"\n{trust}\ncredential = {credential}\n{more}\n"
    );
    let inventory = Inventory::parse(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    inventory.iter().next().unwrap().clone()
}

fn pinned(seed: u8) -> String {
    format!("host_keys = [{:?}]", line(seed))
}

const CERTIFICATE: &str = "{ kind = \"certificate\" }";

async fn open(
    config: &Config,
    element: &Element,
    account: &Account,
    opening: Opening,
) -> Result<(Link<Collector>, LinkFacts, mpsc::Receiver<Seen>), DialError> {
    let (sender, events) = mpsc::channel(4);
    let now = Timestamp::from_secs(i64::try_from(NOW).unwrap());
    let (link, facts) =
        dial_as(config, element, account, &minted(account.as_str()), now, opening, Collector(sender)).await?;
    Ok((link, facts, events))
}

/// Everything until the close.
async fn rest(events: &mut mpsc::Receiver<Seen>) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    while let Some(event) =
        tokio::time::timeout(Duration::from_secs(30), events.recv()).await.expect("the element says nothing")
    {
        match (seen.last_mut(), event) {
            (Some(Seen::Out(all)), Seen::Out(more)) => all.extend(more),
            (_, Seen::Closed) => {
                seen.push(Seen::Closed);
                break;
            }
            (_, event) => seen.push(event),
        }
    }
    seen
}

#[tokio::test]
async fn a_command_on_a_real_sshd() {
    let Some(sshd) = Sshd::start(&key(1), None, key(9).public_key(), "").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let element = element(&[&sshd.address], &pinned(1), CERTIFICATE, "");
    let (link, facts, mut events) = open(&config(dir.path()), &element, &me(), Opening::Session).await.unwrap();
    assert_eq!(facts.host_key, key(1).public_key().fingerprint(HashAlg::Sha256).to_string());
    assert!(facts.banner.starts_with("SSH-2.0-OpenSSH"), "{facts:?}");
    assert!(facts.algorithms.contains("aes256-gcm@openssh.com") && facts.address == sshd.address, "{facts:?}");
    link.exec(b"cat; echo oops >&2; exit 7").await.unwrap();
    link.data(Bytes::from_static(b"a\0\xff\n")).await.unwrap();
    link.eof().await.unwrap();
    let seen = rest(&mut events).await;
    assert_eq!(seen.first(), Some(&Seen::Reply(true)));
    for event in [Seen::Out(b"a\0\xff\n".to_vec()), Seen::Err(b"oops\n".to_vec()), Seen::Eof, Seen::Status(7)] {
        assert!(seen.contains(&event), "{event:?} is missing in {seen:?}");
    }
    assert_eq!(seen.last(), Some(&Seen::Closed));
    assert!(link.data(Bytes::from_static(b"x")).await.is_err(), "nothing goes to a closed channel");
}

#[tokio::test]
async fn a_terminal_and_a_signal_on_a_real_sshd() {
    let Some(sshd) = Sshd::start(&key(1), None, key(9).public_key(), "").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let element = element(&[&sshd.address], &pinned(1), CERTIFICATE, "");
    let (link, _, mut events) = open(&config(dir.path()), &element, &me(), Opening::Session).await.unwrap();
    let modes = vec![(53, 0), (160, 1), (128, 38_400)];
    let terminal = Terminal { term: "vt100".into(), columns: 91, rows: 37, pixel_width: 0, pixel_height: 0, modes };
    link.terminal(&terminal).await.unwrap();
    link.exec(b"stty size; stty -a | grep -o -- '-echo '; kill -TERM $$").await.unwrap();
    let seen = rest(&mut events).await;
    let out: Vec<u8> =
        seen.iter().filter_map(|s| if let Seen::Out(o) = s { Some(o.clone()) } else { None }).flatten().collect();
    let out = String::from_utf8_lossy(&out);
    assert!(out.contains("37 91") && out.contains("-echo "), "{out}");
    assert!(seen.contains(&Seen::Signal("TERM".into())), "{seen:?}");
}

#[tokio::test]
async fn host_certificates_of_a_real_sshd() {
    let authority = format!("host_ca = [{:?}]", line(8));
    let dir = tempfile::tempdir().unwrap();
    for (principal, signer, accepted) in [("core-rtr-1", 8, true), ("core-rtr-2", 8, false), ("core-rtr-1", 7, false)] {
        let certificate = host_certificate(principal, signer);
        let Some(sshd) = Sshd::start(&key(1), Some(&certificate), key(9).public_key(), "").await else { return };
        let element = element(&[&sshd.address], &authority, CERTIFICATE, "");
        let result = open(&config(dir.path()), &element, &me(), Opening::Session).await;
        match result {
            Ok(_) => assert!(accepted, "{principal} {signer}"),
            Err(DialError::HostKey { .. }) => assert!(!accepted, "{principal} {signer}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_legacy_sshd_needs_a_profile_that_has_not_run_out() {
    let weak = "KexAlgorithms diffie-hellman-group14-sha1\nCiphers aes128-cbc\nMACs hmac-sha1";
    let Some(sshd) = Sshd::start(&key(1), None, key(9).public_key(), weak).await else { return };
    let dir = tempfile::tempdir().unwrap();
    let profile = |expires: &str| {
        format!(
            "crypto = {{ profile = \"old\" }}\n[[crypto_profile]]\nname = \"old\"\nkex = [\"diffie-hellman-group14-sha1\"]\nciphers = [\"aes128-cbc\"]\nmacs = [\"hmac-sha1\"]\nreason = \"r\"\nowner = \"o\"\nexpires = \"{expires}\""
        )
    };
    let dialled = |more: String| {
        let (config, element) = (config(dir.path()), element(&[&sshd.address], &pinned(1), CERTIFICATE, &more));
        async move { open(&config, &element, &me(), Opening::Session).await.map(|(_, facts, _)| facts) }
    };
    assert!(matches!(dialled(String::new()).await, Err(DialError::Algorithms(_))));
    assert!(matches!(dialled(profile("2026-12-31")).await, Err(DialError::ProfileExpired { .. })));
    let facts = dialled(profile("2027-12-31")).await.unwrap();
    assert_eq!(facts.legacy_profile.as_deref(), Some("old"));
    assert!(facts.algorithms.starts_with("diffie-hellman-group14-sha1, aes128-cbc, hmac-sha1"), "{facts:?}");
}

#[tokio::test]
async fn a_forward_that_the_element_refuses() {
    let Some(sshd) = Sshd::start(&key(1), None, key(9).public_key(), "AllowTcpForwarding no").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let element = element(&[&sshd.address], &pinned(1), CERTIFICATE, "");
    let opening =
        Opening::DirectTcp { host: "127.0.0.1".into(), port: 1, originator: "127.0.0.1".into(), originator_port: 1 };
    let error = open(&config(dir.path()), &element, &me(), opening).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { reason: 1 | 2, .. }), "{error}");
}

/// Bytes that wait for a window must not wait for ever once the channel is gone.
#[tokio::test]
async fn a_writer_without_a_window_ends_with_the_channel() {
    let Some(sshd) = Sshd::start(&key(1), None, key(9).public_key(), "").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let element = element(&[&sshd.address], &pinned(1), CERTIFICATE, "");
    let (link, _, mut events) = open(&config(dir.path()), &element, &me(), Opening::Session).await.unwrap();
    link.exec(b"exec sleep 1").await.unwrap();
    let writing = async { while link.data(Bytes::from_static(&[0; 65_536])).await.is_ok() {} };
    let ((), seen) = tokio::join!(writing, rest(&mut events));
    assert_eq!(seen.last(), Some(&Seen::Closed));
}

#[tokio::test]
async fn what_was_sent_before_a_goodbye_arrives() {
    let Some(sshd) = Sshd::start(&key(1), None, key(9).public_key(), "").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let element = element(&[&sshd.address], &pinned(1), CERTIFICATE, "");
    let (link, _, mut events) = open(&config(dir.path()), &element, &me(), Opening::Session).await.unwrap();
    let file = dir.path().join("out");
    link.exec(format!("cat > {}; mv {0} {0}.done", file.display()).as_bytes()).await.unwrap();
    for _ in 0..32 {
        link.data(Bytes::from_static(&[b'x'; 32_768])).await.unwrap();
    }
    let ((), seen) = tokio::join!(link.close(Duration::from_secs(20)), rest(&mut events));
    assert_eq!(seen.iter().filter(|s| **s == Seen::Closed).count(), 1);
    assert_eq!(std::fs::metadata(dir.path().join("out.done")).unwrap().len(), 32 * 32_768);
}

#[tokio::test]
async fn a_scan_shows_what_is_there_and_trusts_nothing() {
    let certificate = host_certificate("core-rtr-1", 8);
    let Some(sshd) = Sshd::start(&key(1), Some(&certificate), key(9).public_key(), "").await else { return };
    let there = scan(&sshd.address.parse().unwrap(), &OwnDoors::default(), Duration::from_secs(20)).await;
    assert_eq!(
        there.keys.iter().map(|k| k.key_data().clone()).collect::<Vec<_>>(),
        [key(1).public_key().key_data().clone()]
    );
    assert_eq!((there.certificates.len(), there.error), (1, None));
    let nobody = scan(&"127.0.0.1:1".parse().unwrap(), &OwnDoors::default(), Duration::from_secs(20)).await;
    assert!(nobody.keys.is_empty() && nobody.error.is_some());
}
