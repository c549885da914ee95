//! Forwards, agents and displays: each is a verb, denied unless policy says otherwise.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::harness::client::{Live, MINUTE, Ran, Ssh, run};
use crate::harness::element::Profile;
use crate::harness::lab::Lab;
use crate::harness::{SOON, free_port, need, wait_until};

/// A listener that answers every connection with a greeting and then echoes.
fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(8) {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut data = [0_u8; 4096];
                let mut greeting = stream.write_all(b"hello\n");
                while let (Ok(()), Ok(count @ 1..)) = (&greeting, stream.read(&mut data)) {
                    greeting = stream.write_all(&data[..count]);
                }
            });
        }
    });
    port
}

#[test]
fn every_forward_is_denied_by_default() {
    need!("sshd");
    let lab = Lab::start();
    let port = greeter();
    let direct = lab.pair.direct.feed(&["-W", &format!("127.0.0.1:{port}")], &[], Vec::new());
    assert_eq!(direct.text(), "hello\n", "the element forwards");
    let through = lab.pair.gateway.feed(&["-v", "-W", &format!("127.0.0.1:{port}")], &[], Vec::new());
    assert!(through.code() != 0 && through.text().is_empty(), "{}", through.text());
    assert!(through.errors().contains("prohibited"), "{}", through.errors());

    let far = free_port();
    let back = lab.pair.gateway.feed(
        &["-o", "ExitOnForwardFailure=yes", "-R", &format!("127.0.0.1:{far}:127.0.0.1:{port}")],
        &["true"],
        Vec::new(),
    );
    assert_ne!(back.code(), 0, "a listener on the element");
    assert!(TcpStream::connect(("127.0.0.1", far)).is_err());

    let socket = lab.site.scratch().join("s");
    let unix = lab.pair.gateway.feed(
        &["-o", "ExitOnForwardFailure=yes", "-R", &format!("{}:127.0.0.1:{port}", socket.display())],
        &["true"],
        Vec::new(),
    );
    assert!(unix.code() != 0 && !socket.exists(), "a socket on the element");
}

#[test]
fn an_agent_is_not_carried_to_the_element() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "AllowAgentForwarding yes", |_| ());
    let ran = lab.pair.gateway.script(
        &lab.site.scratch(),
        "eval $(ssh-agent -a $D/agent) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; $SSH -A $HOST 'echo agent=${SSH_AUTH_SOCK:-none}'",
    );
    assert_eq!(ran.text(), "agent=none\n", "{}", ran.errors());
}

#[test]
fn an_allowed_forward_reaches_its_destination_only() {
    need!("sshd");
    let (port, other) = (greeter(), greeter());
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.row(&format!("p, user:ada, element:linux-1, *, ssh.forward, 127.0.0.1:{port}, allow"))
    });
    let ran = lab.pair.gateway.feed(&["-W", &format!("127.0.0.1:{port}")], &[], b"echoed".to_vec());
    assert_eq!((ran.code(), ran.text().as_str()), (0, "hello\nechoed"), "{}", ran.errors());
    for destination in [format!("127.0.0.1:{other}"), format!("localhost:{port}"), format!("[::1]:{port}")] {
        let ran = lab.pair.gateway.feed(&["-W", &destination], &[], Vec::new());
        assert!(ran.code() != 0 && ran.text().is_empty(), "{destination}: {}", ran.text());
    }
    let session = lab.site.closed_session();
    let shown = lab.site.as_ada(&["export", session["id"].as_str().expect("an id"), "--format", "jsonl"]).ok();
    assert!(shown.text().contains(&format!("127.0.0.1:{port}")), "the destination is on record");
}

#[test]
fn a_forward_that_hides_an_ssh_session_is_refused() {
    need!("sshd");
    let inner = free_port();
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.row(&format!("p, user:ada, element:linux-1, *, ssh.forward, 127.0.0.1:{inner}, allow"))
    });
    // The forward is allowed; what answers at its end is an SSH server.
    let hidden = crate::harness::element::Sshd::start(
        &lab.site.scratch().join("hidden"),
        Profile::Modern,
        None,
        &format!("ListenAddress 127.0.0.1:{inner}"),
    );
    let mut jump = Command::new("ssh");
    jump.arg("-F").arg(hidden.dir.join("direct.conf"));
    Ssh::direct(&hidden);
    let proxy = format!("ProxyCommand=ssh -F {} -W 127.0.0.1:{inner} linux-1", lab.pair.gateway.config.display());
    let ran = run(
        jump.args([
            "-o",
            &proxy,
            "-o",
            "HostKeyAlias=x",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "element",
            "echo reached",
        ]),
        Vec::new(),
        MINUTE,
    );
    assert!(ran.code() != 0 && !ran.text().contains("reached"), "{}", ran.text());
    wait_until("the denial is on record", SOON, || {
        let told = |e: &serde_json::Value| e.to_string().contains("it carries an SSH session");
        lab.site.events().iter().any(|e| e["event"]["event"] == "denied" && told(e))
    });
}

#[test]
fn nothing_leads_to_the_gateways_own_machine() {
    need!("sshd");
    let lab = Lab::start();
    for element in ["localhost", "127.0.0.1", "gateway", "no-such-element"] {
        let way = Ssh { config: lab.pair.gateway.config.clone(), host: element.to_owned() };
        let ran = way.run(&["echo reached"]);
        assert!(ran.code() != 0 && !ran.text().contains("reached"), "{element}");
    }
}

#[test]
fn the_peer_never_learns_whether_an_element_exists() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.issue("eve", &[]);
    });
    let told = |element: &str, ran: Ran| (ran.code(), ran.text(), ran.errors().replace(element, "ELEMENT"));
    let ways: [(&str, &dyn Fn(&str) -> Ssh); 3] = [
        ("TLS", &|element| lab.gateway.client("eve", element)),
        ("ssh -J", &|element| lab.gateway.ssh_door("eve", element, false)),
        ("account@element", &|element| lab.gateway.ssh_door("eve", element, true)),
    ];
    for (name, way) in ways {
        let asks: [(&str, &dyn Fn(&Ssh) -> Ran); 3] = [
            ("a command", &|ssh| ssh.run(&["true"])),
            ("sftp", &|ssh| run(ssh.command("sftp").args(["-b", "-"]).arg(&ssh.host), b"ls\n".to_vec(), MINUTE)),
            ("a forward", &|ssh| ssh.feed(&["-W", "127.0.0.1:80"], &[], Vec::new())),
        ];
        for (what, ask) in asks {
            // A client that is slow to write leaves without the reason when its subsystem fails: it is asked again, a few times.
            let whole = |element: &str| {
                let mut all = (0..5).map(|_| told(element, ask(&way(element))));
                all.find(|told| what != "sftp" || told.2.contains("not allowed for eve")).expect("it is told")
            };
            let [there, nowhere] = ["linux-1", "no-such-element"].map(whole);
            assert_ne!(there.0, 0, "{name}: {what}");
            assert_eq!(there, nowhere, "{name}: {what}");
            assert!(
                !there.2.to_lowercase().contains("permission denied (publickey"),
                "{name}: {what}: the denial is told, not disguised: {}",
                there.2
            );
        }
    }
    let _live = Live::start(&lab.pair.gateway, &lab.site.scratch(), "ada", &[], "echo up; sleep 60", "up");
}
