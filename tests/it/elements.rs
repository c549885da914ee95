//! The elements of these tests are what they say, without any gateway: otherwise the other files prove nothing.

use crate::harness::client::Ssh;
use crate::harness::element::{Frr, Profile, Sshd};
use crate::harness::{need, scratch};

#[test]
fn frr_is_a_router_with_modes() {
    need!("root", "sshd", "vtysh", "ip");
    let dir = scratch();
    let frr = Frr::start(&dir.path().join("frr"), None);
    let ssh = Ssh::direct(&frr.sshd);
    assert!(ssh.run(&["show version"]).ok().text().contains("FRRouting"));
    let configured =
        ssh.feed(&["-T"], &[], b"configure terminal\nrouter bgp 65001\nend\nshow running-config\n".to_vec());
    assert!(
        configured.text().contains("router bgp 65001") && configured.text().contains("hostname core-pe1"),
        "{}",
        configured.text()
    );
}

#[test]
fn the_legacy_server_refuses_modern_clients() {
    need!("sshd");
    let dir = scratch();
    let old = Sshd::start(&dir.path().join("old"), Profile::Legacy, None, "");
    let ssh = Ssh::direct(&old);
    assert!(ssh.feed(&["-v"], &["true"], Vec::new()).errors().contains("no matching"));
    let weak = [
        "-oKexAlgorithms=+diffie-hellman-group14-sha1",
        "-oHostKeyAlgorithms=+ssh-rsa",
        "-oCiphers=+aes128-cbc",
        "-oMACs=+hmac-sha1",
    ];
    assert_eq!(ssh.feed(&weak, &["echo reached"], Vec::new()).ok().text(), "reached\n");
}
