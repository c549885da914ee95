//! Who gets in, who does not, and what neither can do to the others.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::harness::client::{Live, MINUTE, Ran, run};
use crate::harness::gateway::{DOMAIN, Gateway, Site};
use crate::harness::lab::Lab;
use crate::harness::{SOON, data, need, pki, venv, wait_until};

/// Knocks on the mTLS door with a certificate and gives what came back in one line.
fn knock(gateway: &Gateway, site: &Site, cert: &Path, key: &Path, first: Option<&str>) -> String {
    let mut command = Command::new("python3");
    command
        .arg(data("door.py"))
        .arg(gateway.mtls.to_string())
        .arg(cert)
        .arg(key)
        .arg(site.path().join("ca/x509_ca.pem"));
    command.arg(format!("linux-1.{DOMAIN}")).args(first);
    run(&mut command, Vec::new(), MINUTE).ok().text().trim().to_owned()
}

fn knock_as(gateway: &Gateway, site: &Site, identity: &str, first: Option<&str>) -> String {
    let dir = site.identity(identity);
    knock(gateway, site, &dir.join("cert.pem"), &dir.join("key.pem"), first)
}

/// Whether the door spoke SSH: nobody who was refused sees as much as the banner.
fn opened(answer: &str) -> bool {
    answer.contains("SSH-2.0-")
}

#[test]
fn the_mtls_door_opens_to_good_certificates_only() {
    need!("python3", "openssl");
    let (site, other) = (Site::new(), Site::new());
    site.issue("brief", &["--ttl", "3s"]);
    let gateway = site.start();
    let good = knock_as(&gateway, &site, "ada", None);
    assert!(good.starts_with("TLSv1.3 ssh SSH-2.0-"), "{good}");
    let control = pki::x509(&site, "control", pki::GOOD);
    let answer = knock(&gateway, &site, &control.cert, &control.key, None);
    assert!(opened(&answer), "the control differs from the refused ones in nothing but what they break: {answer}");

    let none = knock(&gateway, &site, Path::new("-"), Path::new("-"), None);
    assert!(!opened(&none), "without a certificate: {none}");
    let foreign = other.identity("ada");
    let foreign = knock(&gateway, &site, &foreign.join("cert.pem"), &foreign.join("key.pem"), None);
    assert!(!opened(&foreign), "of another authority: {foreign}");
    let own = site.path().join("gateway");
    let own = knock(&gateway, &site, &own.join("server.pem"), &own.join("server.key.pem"), None);
    assert!(!opened(&own), "the gateway's own: {own}");
    let ca = site.path().join("ca");
    let authority = knock(&gateway, &site, &ca.join("x509_ca.pem"), &ca.join("x509_ca.key.pem"), None);
    assert!(!opened(&authority), "the authority itself: {authority}");

    let user = "URI:spiffe://carrier.example/user/ada";
    for (name, from, to) in [
        ("two-identities", user, "URI:spiffe://carrier.example/user/ada,URI:spiffe://carrier.example/user/eve"),
        ("same-twice", user, "URI:spiffe://carrier.example/user/ada,URI:spiffe://carrier.example/user/ada"),
        ("no-identity", user, "DNS:ada.carrier.example"),
        ("other-domain", user, "URI:spiffe://other.example/user/ada"),
        ("device-only", user, "URI:spiffe://carrier.example/device/ada"),
        ("upper-case", user, "URI:spiffe://carrier.example/user/Ada"),
        ("path-tricks", user, "URI:spiffe://carrier.example/user/x/../ada"),
        ("an-authority", "CA:false", "CA:true"),
        ("may-sign-certificates", "digitalSignature", "digitalSignature,keyCertSign"),
        ("for-servers", "clientAuth", "serverAuth"),
    ] {
        let bad = pki::x509(&site, name, &pki::GOOD.replace(from, to));
        let answer = knock(&gateway, &site, &bad.cert, &bad.key, None);
        assert!(!opened(&answer), "{name}: {answer}");
    }

    // It differs from ada's in nothing but when it runs out; what it says of that second is still valid in it (RFC 5280, 4.1.2.5).
    wait_until("a certificate that has run out is refused", SOON, || {
        !opened(&knock_as(&gateway, &site, "brief", None))
    });
}

#[test]
fn a_revoked_certificate_is_refused_at_once() {
    need!("python3");
    let site = Site::new();
    site.issue("bob", &[]);
    let gateway = site.start();
    assert!(opened(&knock_as(&gateway, &site, "bob", None)));
    revoke(&site, "bob");
    wait_until("bob is refused", SOON, || !opened(&knock_as(&gateway, &site, "bob", None)));
    assert!(opened(&knock_as(&gateway, &site, "ada", None)), "ada is not touched");
}

fn revoke(site: &Site, name: &str) {
    crate::harness::must(
        Command::new(crate::harness::gateway::SALLYPORT).args(["ca", "revoke"]).arg(site.path()).arg(name),
    );
}

#[test]
fn older_tls_and_resumption_are_refused() {
    need!("openssl");
    let site = Site::new();
    let gateway = site.start();
    let client = |args: &[&str]| {
        let (id, ca) = (site.identity("ada"), site.path().join("ca/x509_ca.pem"));
        let mut command = Command::new("openssl");
        command
            .args([
                "s_client",
                "-connect",
                &gateway.address(),
                "-alpn",
                "ssh",
                "-servername",
                &format!("linux-1.{DOMAIN}"),
                "-CAfile",
            ])
            .arg(ca);
        command.arg("-cert").arg(id.join("cert.pem")).arg("-key").arg(id.join("key.pem")).args(args);
        run(&mut command, Vec::new(), MINUTE)
    };
    let good = client(&["-tls1_3"]);
    assert!(good.text().contains("Verify return code: 0 (ok)"), "{}", good.text());
    for version in ["-tls1_2", "-tls1_1", "-tls1"] {
        let old = client(&[version]);
        assert!(old.code() != 0 && old.text().contains("Cipher is (NONE)"), "{version}: {}", old.text());
    }
    let ticket = site.scratch().join("session");
    client(&["-sess_out", &ticket.to_string_lossy()]);
    if ticket.exists() {
        let again = client(&["-sess_in", &ticket.to_string_lossy()]);
        assert!(
            again.text().contains("New, TLSv1.3"),
            "a session that skips the certificate was resumed: {}",
            again.text()
        );
    }
}

#[test]
fn the_post_quantum_key_exchange_is_preferred() {
    let site = Site::new();
    let gateway = site.start();
    let id = site.identity("ada");
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(site.path().join("ca/x509_ca.pem")).expect("a certificate"))
        .expect("an authority");
    let chain = CertificateDer::pem_file_iter(id.join("cert.pem"))
        .expect("certificates")
        .map(|c| c.expect("a certificate"))
        .collect();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(id.join("key.pem")).expect("a key"))
        .expect("a pair");
    config.alpn_protocols = vec![b"ssh".to_vec()];
    let name = ServerName::try_from(format!("linux-1.{DOMAIN}")).expect("a name");
    let mut connection = rustls::ClientConnection::new(std::sync::Arc::new(config), name).expect("a client");
    let mut socket = TcpStream::connect(("127.0.0.1", gateway.mtls)).expect("the door");
    socket.set_read_timeout(Some(SOON)).expect("a socket");
    let mut banner = [0_u8; 8];
    rustls::Stream::new(&mut connection, &mut socket).read_exact(&mut banner).expect("a banner");
    assert_eq!(&banner, b"SSH-2.0-");
    let group = connection.negotiated_key_exchange_group().expect("it is done").name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
}

#[test]
fn the_proxy_header_counts_from_listed_peers_only() {
    need!("sshd", "python3");
    let header = "PROXY TCP4 192.0.2.7 127.0.0.1 40000 443";
    let site = Site::new();
    let unlisted = site.start();
    assert!(opened(&knock_as(&unlisted, &site, "ada", None)));
    let answer = knock_as(&unlisted, &site, "ada", Some(header));
    assert!(!opened(&answer), "an unlisted peer's word was taken: {answer}");
    drop(unlisted);

    site.configure("doors", "proxy_protocol_peers", vec!["127.0.0.1/32".to_owned()]);
    let listed = site.start();
    let answer = knock_as(&listed, &site, "ada", Some(header));
    assert!(opened(&answer), "{answer}");
    for bad in ["PROXY TCP4 192.0.2.7", "PROXY UNKNOWN\r\nPROXY TCP4 192.0.2.7 127.0.0.1 1 2", "GET / HTTP/1.1"] {
        let answer = knock_as(&listed, &site, "ada", Some(bad));
        assert!(!opened(&answer), "{bad:?}: {answer}");
    }
    let answer = knock_as(&listed, &site, "ada", None);
    assert!(!opened(&answer), "a listed peer must send the header: {answer}");
}

#[test]
fn stalled_handshakes_hold_up_nobody_and_end() {
    need!("sshd");
    let lab = Lab::with(crate::harness::element::Profile::Modern, "", |site| {
        site.configure("limits", "handshake_timeout_ms", 2000);
        site.configure("limits", "login_grace_ms", 2000);
    });
    let begun = Instant::now();
    let mut silent: Vec<_> = [lab.gateway.mtls, lab.gateway.ssh]
        .into_iter()
        .flat_map(|port| (0..12).map(move |_| TcpStream::connect(("127.0.0.1", port)).expect("a door")))
        .collect();
    for stream in silent.iter_mut().step_by(2) {
        stream.write_all(b"\x16\x03").expect("a socket");
    }
    lab.pair.gateway.run(&["true"]).ok();
    for mut stream in silent {
        stream.set_read_timeout(Some(SOON)).expect("a socket");
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(
            ended.is_ok() || ended.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset),
            "a silent client was kept"
        );
    }
    assert!(begun.elapsed() < MINUTE);
}

#[test]
fn connections_are_limited_by_source_and_by_identity() {
    need!("sshd");
    for limit in ["connections_per_source_max", "connections_per_identity_max", "connections_max"] {
        let lab = Lab::with(crate::harness::element::Profile::Modern, "", |site| site.configure("limits", limit, 2));
        let dir = lab.site.scratch();
        let mut held: Vec<_> = (0..2)
            .map(|i| Live::start(&lab.pair.gateway, &dir, &format!("held{i}"), &[], "echo up; sleep 600", "up"))
            .collect();
        let third = lab.pair.gateway.run(&["echo up"]);
        assert!(third.code() != 0 && third.text().is_empty(), "{limit}: a third got in");
        drop(held.pop());
        wait_until("a place is free again", SOON, || lab.pair.gateway.run(&["true"]).code() == 0);
    }
}

#[test]
fn a_key_offered_without_a_signature_is_not_a_login() {
    need!("python:clients");
    let mut site = Site::new();
    site.let_read("ada");
    let gateway = site.start();
    for how in ["offer", "channel", "exec"] {
        let mut command = Command::new(venv("clients", "python"));
        command
            .arg(data("paramiko_rude.py"))
            .arg(gateway.ssh.to_string())
            .arg("ada")
            .arg(site.identity("ada").join("ssh_key"))
            .arg(how);
        let ran = run(&mut command, Vec::new(), MINUTE);
        assert!(ran.text().starts_with("nothing"), "{how}: {}{}", ran.text(), ran.errors());
    }
    assert_eq!(site.sessions().len(), 0);
}

#[test]
fn the_ssh_door_opens_to_good_certificates_only() {
    need!("sshd");
    let lab = Lab::start();
    let (site, dir) = (&lab.site, lab.site.scratch());
    let ca = site.path().join("ca");
    let attempt = |key: &Path| -> Ran {
        let mut door = lab.gateway.ssh_door("ada", "linux-1", true);
        let text = std::fs::read_to_string(&door.config).expect("written");
        let ours = site.identity("ada").join("ssh_key");
        let text = text.replace(&*ours.to_string_lossy(), &key.to_string_lossy());
        door.config = key.with_extension("conf");
        std::fs::write(&door.config, text).expect("a file");
        door.run(&["echo reached"])
    };
    assert_eq!(attempt(&site.identity("ada").join("ssh_key")).facts(), (0, "reached\n".into(), String::new()));
    let id = "spiffe://carrier.example/user/ada";
    let user_ca = ca.join("ssh_user_ca");
    let control = pki::ssh(&dir, "control", &user_ca, &["-I", id, "-n", "ada", "-V", "+1h", "-z", "7001"]);
    assert_eq!(
        attempt(&control).facts().0,
        0,
        "the control differs from the refused ones in nothing but what they break"
    );
    let own_ca = dir.join("own_ca");
    crate::harness::element::keygen(&own_ca, &["-t", "ed25519"]);
    let bad: &[(&str, &Path, &[&str])] = &[
        ("other-authority", &own_ca, &["-I", id, "-n", "ada", "-V", "+1h"]),
        ("element-authority", &ca.join("ssh_element_ca"), &["-I", id, "-n", "ada", "-V", "+1h"]),
        ("host-authority", &ca.join("ssh_host_ca"), &["-I", id, "-n", "ada", "-V", "+1h"]),
        ("host-certificate", &user_ca, &["-h", "-I", id, "-n", "ada", "-V", "+1h"]),
        ("expired", &user_ca, &["-I", id, "-n", "ada", "-V", "-2h:-1h"]),
        ("not-yet", &user_ca, &["-I", id, "-n", "ada", "-V", "+1h:+2h"]),
        ("no-principals", &user_ca, &["-I", id, "-V", "+1h"]),
        ("other-principal", &user_ca, &["-I", id, "-n", "eve", "-V", "+1h"]),
        ("no-identity", &user_ca, &["-I", "ada", "-n", "ada", "-V", "+1h"]),
        ("other-domain", &user_ca, &["-I", "spiffe://other.example/user/ada", "-n", "ada", "-V", "+1h"]),
        ("other-source", &user_ca, &["-I", id, "-n", "ada", "-V", "+1h", "-O", "source-address=192.0.2.0/24"]),
        ("forced-command", &user_ca, &["-I", id, "-n", "ada", "-V", "+1h", "-O", "force-command=true"]),
        ("unknown-option", &user_ca, &["-I", id, "-n", "ada", "-V", "+1h", "-O", "critical:new@example=1"]),
    ];
    for (name, authority, options) in bad {
        let ran = attempt(&pki::ssh(&dir, name, authority, options));
        assert!(ran.code() == 255 && ran.text().is_empty(), "{name}: {}{}", ran.text(), ran.errors());
    }
    let bare = dir.join("bare");
    std::fs::copy(site.identity("ada").join("ssh_key"), &bare).expect("a key");
    assert_eq!(attempt(&bare).code(), 255, "a bare key is no certificate");
    site.issue("bob", &[]);
    revoke(site, "ada");
    wait_until("ada is refused", SOON, || attempt(&site.identity("ada").join("ssh_key")).code() == 255);
}

#[test]
fn nothing_is_kept_of_a_login_that_failed() {
    need!("sshd", "python:clients");
    let lab = Lab::with(crate::harness::element::Profile::Modern, "", |site| {
        site.issue("eve", &[]);
    });
    let bare = |name: &str| {
        let key = lab.site.scratch().join(format!("{name}-bare"));
        std::fs::copy(lab.site.identity(name).join("ssh_key"), &key).expect("a key");
        key
    };
    let login = |first: &str, first_user: &str, second: &str| {
        let mut command = Command::new(venv("clients", "python"));
        command.arg(data("paramiko_switch.py")).arg(lab.gateway.ssh.to_string()).arg(first_user).arg(bare(first));
        command
            .arg(&format!("{}@linux-1", crate::harness::account()))
            .arg(lab.site.identity(second).join("ssh_key"))
            .arg("echo reached");
        run(&mut command, Vec::new(), MINUTE)
    };
    let ada = login("eve", "root@no-such-element", "ada");
    assert!(
        ada.text().starts_with("first: AuthenticationException") && ada.text().contains("reached 0"),
        "{}",
        ada.all()
    );
    let session = lab.site.closed_session();
    assert_eq!(
        (&session["element"], &session["identity"]),
        (&"linux-1".into(), &"spiffe://carrier.example/user/ada".into())
    );
    let eve = login("ada", "root@linux-1", "eve");
    assert!(
        eve.text().starts_with("first: AuthenticationException") && !eve.text().contains("reached"),
        "{}",
        eve.all()
    );
}
