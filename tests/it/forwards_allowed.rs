//! Forwards, agents and displays where policy allows them: they work, are on record, and end when they must.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::client::{Live, MINUTE, run};
use crate::harness::element::Profile;
use crate::harness::gateway::SALLYPORT;
use crate::harness::lab::Lab;
use crate::harness::{SOON, account, data, free_port, need, scratch, venv, wait_for, wait_until};

/// Greets, then echoes, on every connection.
fn answer(mut stream: impl std::io::Read + std::io::Write, greeting: &[u8]) {
    let mut data = [0_u8; 4096];
    let mut written = stream.write_all(greeting);
    while let (Ok(()), Ok(count @ 1..)) = (&written, stream.read(&mut data)) {
        written = stream.write_all(&data[..count]);
    }
}

/// A service on a port of loopback.
fn service(greeting: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || answer(stream, greeting));
        }
    });
    port
}

/// A service on a socket.
fn socket_service(path: &Path) {
    let listener = UnixListener::bind(path).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || answer(stream, b"hello\n"));
        }
    });
}

/// The service's greeting followed by `sent`, echoed.
fn exchange(mut stream: impl std::io::Read + std::io::Write, sent: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(sent)?;
    let mut heard = vec![0; 6 + sent.len()];
    stream.read_exact(&mut heard)?;
    Ok(heard)
}

fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    stream
}

/// A gateway where `ada` may do this as well: verb and object.
fn allowing(extra: &str, rows: &[(&str, &str)]) -> Lab {
    Lab::with(Profile::Modern, extra, |site| {
        for (verb, object) in rows {
            site.row(&format!("p, user:ada, element:linux-1, *, {verb}, {object}, allow"));
        }
    })
}

/// The frames about forwarded connections of the newest closed session: destination, bytes in, bytes out.
fn forwarded(lab: &Lab) -> Vec<(String, u64, u64)> {
    let session = lab.site.closed_session();
    let id = session["id"].as_str().expect("an id");
    let shown = lab.site.as_ada(&["export", id, "--format", "jsonl"]).ok().text();
    let frames = shown.lines().map(|l| serde_json::from_str::<Value>(l).expect("a line of JSON"));
    frames
        .filter(|f| f["frame"] == "forwarded")
        .map(|f| {
            let count = |name: &str| f[name].as_u64().expect("a count");
            (f["destination"].as_str().expect("a text").to_owned(), count("bytes_in"), count("bytes_out"))
        })
        .collect()
}

/// Whether the log holds a denial of this verb.
fn denied(lab: &Lab, verb: &str) -> bool {
    let verb = format!("\"{verb}\"");
    lab.site.events().iter().map(Value::to_string).any(|e| e.contains("\"denied\"") && e.contains(&verb))
}

#[test]
fn each_is_denied_by_default_with_an_event_and_a_reason() {
    need!("sshd", "xauth");
    let lab = allowing("Match all\nX11Forwarding yes", &[]);
    let ran = lab.pair.gateway.script(
        &lab.site.scratch(),
        "eval $(ssh-agent -a $D/agent) >/dev/null; export DISPLAY=127.0.0.1:93; $SSH -v -A -Y -R 0:127.0.0.1:9 $HOST 'echo ${SSH_AUTH_SOCK:-none} ${DISPLAY:-none}'; \
         kill $SSH_AGENT_PID",
    );
    assert_eq!(ran.text(), "none none\n", "{}", ran.errors());
    for verb in ["ssh.agent", "ssh.x11", "ssh.listen"] {
        assert!(denied(&lab, verb), "{verb} has its event");
        let told = ran.errors().lines().any(|l| l.contains("Remote:") && l.contains(verb) && l.contains("not allowed"));
        assert!(told, "ssh -v tells why {verb} was refused: {}", ran.errors());
    }
    for (option, verb) in [("127.0.0.1:9", "ssh.forward"), ("127.0.0.1:10", "ssh.forward")] {
        assert_ne!(lab.pair.gateway.feed(&["-W", option], &[], Vec::new()).code(), 0);
        assert!(denied(&lab, verb));
    }
}

#[test]
fn an_allowed_agent_signs_on_the_element_and_is_counted() {
    need!("sshd");
    let lab = allowing("", &[("ssh.agent", "-")]);
    let script = "ssh-keygen -q -t ed25519 -N '' -C of-the-agent -f $D/k; eval $(ssh-agent -a $D/agent) >/dev/null; ssh-add -q $D/k; \
                  $SSH -A $HOST 'ssh-add -L; ssh-add -L; ssh-add -T /dev/stdin' < $D/k.pub; kill $SSH_AGENT_PID";
    let ran = lab.pair.gateway.script(&lab.site.scratch(), script).ok();
    let listed = ran.text();
    assert_eq!(listed.matches("of-the-agent").count(), 2, "{listed} {}", ran.errors());
    let seen = forwarded(&lab);
    assert_eq!(seen.len(), 3, "{seen:?}");
    for (destination, bytes_in, bytes_out) in seen {
        assert!(destination == "agent" && bytes_in > 50 && bytes_out >= 5, "{destination} {bytes_in} {bytes_out}");
    }
    // Without the client's wish there is no agent, whatever policy says.
    let without = lab.pair.gateway.run(&["echo ${SSH_AUTH_SOCK:-none}"]);
    assert_eq!(without.text(), "none\n");
}

#[test]
fn an_element_that_carries_no_agent_says_so() {
    need!("sshd");
    let lab = allowing("AllowAgentForwarding no", &[("ssh.agent", "-")]);
    let script = "eval $(ssh-agent -a $D/agent) >/dev/null; $SSH -A $HOST 'echo ${SSH_AUTH_SOCK:-none}; exit 7'; echo $?; kill $SSH_AGENT_PID";
    let ran = lab.pair.gateway.script(&lab.site.scratch(), &format!("set +e; {script}"));
    assert_eq!(ran.text(), "none\n7\n");
    assert!(ran.errors().contains("the element does not carry the agent"), "{}", ran.errors());
}

#[test]
fn an_allowed_display_is_reached_and_counted() {
    need!("sshd", "xauth");
    let home = scratch();
    let extra = format!("Match all\nX11Forwarding yes\nSetEnv SHLVL=2 XAUTHORITY={}/xauth", home.path().display());
    let lab = allowing(&extra, &[("ssh.x11", "-")]);
    // A display is a port above 6000; what answers there is ours.
    let (number, listener) =
        (20..200).find_map(|n| Some((n, TcpListener::bind(("127.0.0.1", 6000 + n)).ok()?))).expect("a free display");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut setup = [0; 12];
            let done = stream.read_exact(&mut setup).and_then(|()| stream.write_all(b"display\n"));
            assert!(done.is_ok() && setup[0] == b'l');
        }
    });
    let far = "exec 3<>/dev/tcp/127.0.0.1/$((6000+$(echo $DISPLAY | cut -d: -f2 | cut -d. -f1))); \
               { printf 'l\\0\\13\\0\\0\\0\\22\\0\\20\\0\\0\\0MIT-MAGIC-COOKIE-1\\0\\0'; \
               printf $(xauth list | head -1 | cut -d' ' -f5 | sed 's/../\\\\x&/g'); } >&3; head -1 <&3";
    let script = format!(
        "export DISPLAY=127.0.0.1:{number} XAUTHORITY=$D/none; $SSH -Y $HOST {}",
        quoted(&format!("bash -c {}", quoted(far)))
    );
    let ran = lab.pair.gateway.script(&lab.site.scratch(), &script);
    assert_eq!(ran.text(), "display\n", "{}", ran.errors());
    let seen = forwarded(&lab);
    let [(destination, 8, 48)] = &seen[..] else { panic!("{seen:?}") };
    assert!(destination.starts_with("display from 127.0.0.1:"), "{destination}");
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[test]
fn allowed_forwards_to_ports_and_sockets_carry_and_count() {
    need!("sshd");
    let (port, dir) = (service(b"hello\n"), scratch());
    let socket = dir.path().join("service");
    socket_service(&socket);
    let (tcp_object, socket_object) = (format!("127.0.0.1:{port}"), socket.display().to_string());
    let lab = allowing("", &[("ssh.forward", &tcp_object), ("ssh.forward", &socket_object)]);
    let ran = lab.pair.gateway.feed(&["-W", &tcp_object], &[], b"echoed".to_vec());
    assert_eq!((ran.code(), ran.text().as_str()), (0, "hello\nechoed"), "{}", ran.errors());
    assert_eq!(forwarded(&lab), [(tcp_object.clone(), 6, 12)]);

    // Sockets at the near end as well: nobody else can have taken them.
    let (near, near_socket) = (dir.path().join("near-1"), dir.path().join("near-2"));
    let options = [
        "-L".to_owned(),
        format!("{}:{tcp_object}", near.display()),
        "-L".to_owned(),
        format!("{}:{socket_object}", near_socket.display()),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut live = Live::start(&lab.pair.gateway, &lab.site.scratch(), "local", &options, "echo up; sleep 600", "up");
    let bulk = vec![b'x'; 3 << 20];
    assert_eq!(exchange_bulk(connect(&near), &bulk), bulk.len() + 6);
    assert_eq!(
        exchange(UnixStream::connect(&near_socket).expect("ssh listens"), b"abc").expect("answered"),
        b"hello\nabc"
    );
    live.process.signal("TERM");
    live.ends_within(SOON);
    wait_until("both are on record", SOON, || {
        let seen = forwarded(&lab);
        seen.contains(&(tcp_object.clone(), 3 << 20, (3 << 20) + 6)) && seen.contains(&(socket_object.clone(), 3, 9))
    });
}

/// Sends all of `sent` while reading; how many bytes came back.
fn exchange_bulk((mut reader, mut writer): (impl std::io::Read + Send, impl std::io::Write), sent: &[u8]) -> usize {
    let mut heard = vec![0; sent.len() + 6];
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| reader.read_exact(&mut heard));
        writer.write_all(sent).expect("somebody reads");
        reading.join().expect("a reader").expect("all of it comes back");
    });
    assert!(heard.ends_with(sent));
    heard.len()
}

/// Both halves of a connection to a socket.
fn connect(path: &Path) -> (UnixStream, UnixStream) {
    let stream = UnixStream::connect(path).expect("somebody listens");
    (stream.try_clone().expect("a socket"), stream)
}

/// Both halves of a connection to a port.
fn tcp_halves(port: u16) -> (TcpStream, TcpStream) {
    let stream = tcp(port);
    (stream.try_clone().expect("a socket"), stream)
}

/// A session with a listener that the element chooses the port of; the client says which.
fn listening(lab: &Lab, name: &str, service: u16) -> (Live, u16) {
    let option = format!("0:127.0.0.1:{service}");
    let options = ["-v", "-o", "ExitOnForwardFailure=yes", "-R", option.as_str()];
    let live = Live::start(&lab.pair.gateway, &lab.site.scratch(), name, &options, "echo up; sleep 600", "up");
    let port = wait_for("the port is told", SOON, || {
        let told = live.process.err();
        told.lines().find_map(|l| l.strip_prefix("Allocated port ")?.split(' ').next()?.parse().ok())
    });
    (live, port)
}

#[test]
fn an_allowed_listener_brings_connections_to_the_client() {
    need!("sshd");
    let lab = allowing("", &[("ssh.listen", "localhost:0")]);
    let (mut live, port) = listening(&lab, "back", service(b"hello\n"));
    assert_eq!(exchange(tcp(port), b"one").expect("answered"), b"hello\none");
    let bulk = vec![b'y'; 5 << 20];
    assert_eq!(exchange_bulk(tcp_halves(port), &bulk), bulk.len() + 6);
    // A connection that nobody reads does not keep others out.
    let mut stalled = tcp(port);
    stalled.write_all(b"never read").expect("a socket");
    let together: Vec<_> = (0..8).map(|_| std::thread::spawn(move || exchange(tcp(port), b"two"))).collect();
    for each in together {
        assert_eq!(each.join().expect("a thread").expect("answered"), b"hello\ntwo");
    }
    live.process.signal("TERM");
    live.ends_within(SOON);
    wait_until("the listener ends with its client", SOON, || TcpStream::connect(("127.0.0.1", port)).is_err());
    let seen = forwarded(&lab);
    assert_eq!(seen.len(), 11, "{seen:?}");
    assert!(
        seen.iter().all(|(d, _, _)| d.starts_with(&format!("listener localhost:{port} from 127.0.0.1:"))),
        "{seen:?}"
    );
    let counts = |bytes_in, bytes_out| seen.iter().filter(|(_, i, o)| (*i, *o) == (bytes_in, bytes_out)).count();
    // From the client comes what its service says; from the element what was sent there.
    assert_eq!((counts(9, 3), counts((5 << 20) + 6, 5 << 20)), (9, 1), "{seen:?}");
}

#[test]
fn an_allowed_listener_on_a_socket_works() {
    need!("sshd");
    let dir = scratch();
    let far = dir.path().join("far");
    let lab = allowing("", &[("ssh.listen", &far.display().to_string())]);
    let option = format!("{}:127.0.0.1:{}", far.display(), service(b"hello\n"));
    let _live =
        Live::start(&lab.pair.gateway, &lab.site.scratch(), "back", &["-R", &option], "echo up; sleep 600", "up");
    assert_eq!(
        exchange(UnixStream::connect(&far).expect("the element listens"), b"abc").expect("answered"),
        b"hello\nabc"
    );
    let other = format!("{}2:127.0.0.1:9", far.display());
    let refused = lab.pair.gateway.feed(&["-o", "ExitOnForwardFailure=yes", "-R", &other], &["true"], Vec::new());
    assert_ne!(refused.code(), 0);
}

#[test]
fn a_listener_is_where_policy_says_and_nowhere_else() {
    need!("sshd");
    let port = free_port();
    let lab = allowing("", &[("ssh.listen", &format!("localhost:{port}"))]);
    let asks = |bind: &str| {
        let option = format!("{bind}:127.0.0.1:9");
        lab.pair.gateway.feed(&["-o", "ExitOnForwardFailure=yes", "-R", &option], &["true"], Vec::new()).code()
    };
    assert_eq!(asks(&format!("localhost:{port}")), 0);
    for bind in
        [format!("*:{port}"), format!(":{port}"), format!("0.0.0.0:{port}"), "localhost:0".into(), "/tmp/sp-no".into()]
    {
        assert_ne!(asks(&bind), 0, "{bind}");
    }
}

#[test]
fn a_listener_ends_at_once_when_policy_says_so() {
    need!("sshd");
    let mut lab = allowing("", &[("ssh.listen", "localhost:0")]);
    let (mut live, port) = listening(&lab, "back", service(b"hello\n"));
    let mut open = tcp(port);
    assert_eq!(exchange(&mut open, b"abc").expect("answered"), b"hello\nabc");
    let rows = lab.site.current_rows().into_iter().filter(|r| !r.contains("ssh.listen")).collect();
    lab.site.set_rows(rows);
    let mut rest = Vec::new();
    wait_until(
        "its connections end",
        SOON,
        || !matches!(open.read_to_end(&mut rest), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock),
    );
    wait_until("it ends", SOON, || TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(live.process.running(), "the session is still allowed");
}

#[test]
fn a_hidden_session_through_a_listener_is_cut() {
    need!("sshd");
    let lab = allowing("", &[("ssh.listen", "localhost:0")]);
    let (mut live, port) = listening(&lab, "back", service(b"SSH-2.0-hidden\r\n"));
    let mut heard = Vec::new();
    // Cut off: with a reset or without, and without the hidden server's words.
    let _reset = tcp(port).read_to_end(&mut heard);
    assert_eq!(String::from_utf8_lossy(&heard), "");
    assert!(live.process.running(), "the session goes on");
    live.process.signal("TERM");
    live.ends_within(SOON);
    let session = lab.site.closed_session();
    let shown = lab.site.as_ada(&["export", session["id"].as_str().expect("an id"), "--format", "jsonl"]).ok().text();
    assert!(shown.contains("it carries an SSH session"), "{shown}");
    assert!(denied(&lab, "ssh.listen"), "it is in the log too");
}

#[test]
fn a_listener_is_cancelled_by_its_owner() {
    need!("sshd");
    let port = free_port();
    let lab = allowing("", &[("ssh.listen", &format!("127.0.0.1:{port}"))]);
    let option = format!("127.0.0.1:{port}:127.0.0.1:{}", service(b"hello\n"));
    let script = format!(
        "$SSH -fNM -S $D/ctl $HOST; $SSH -S $D/ctl -O forward -R {option} $HOST; \
         $SSH -S $D/ctl $HOST 'exec 3<>/dev/tcp/127.0.0.1/{port}; head -1 <&3'; \
         $SSH -S $D/ctl -O cancel -R {option} $HOST; \
         $SSH -S $D/ctl $HOST \"bash -c 'for i in 1 2 3 4 5 6 7 8 9 10; do exec 3<>/dev/tcp/127.0.0.1/{port} || exit 0; sleep 0.2; done; echo still'\" 2>/dev/null; \
         $SSH -S $D/ctl -O exit $HOST"
    );
    let ran = lab.pair.gateway.script(&lab.site.scratch(), &script).ok();
    assert_eq!(ran.text(), "hello\n", "{}", ran.errors());
}

#[test]
fn nobody_cancels_the_listener_of_another() {
    need!("sshd", "python:clients");
    let port = free_port();
    let object = format!("127.0.0.1:{port}");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.issue("bob", &[]);
        site.grant("bob", "linux-1");
        for who in ["ada", "bob"] {
            site.row(&format!("p, user:{who}, element:linux-1, *, ssh.listen, {object}, allow"));
        }
    });
    let option = format!("{object}:127.0.0.1:{}", service(b"hello\n"));
    let _live =
        Live::start(&lab.pair.gateway, &lab.site.scratch(), "own", &["-R", &option], "echo up; sleep 600", "up");
    for who in ["bob", "ada"] {
        let identity = lab.site.identity(who);
        let proxy = format!(
            "{SALLYPORT} connect linux-1 --identity {} --gateway {}",
            identity.display(),
            lab.gateway.address()
        );
        let mut python = Command::new(venv("clients", "python"));
        python
            .arg(data("paramiko_cancel.py"))
            .args([proxy.as_str(), &account()])
            .arg(identity.join("ssh_key"))
            .arg(port.to_string());
        let ran = run(&mut python, Vec::new(), MINUTE);
        assert_eq!(ran.text(), "refused\n", "{who}: {}", ran.errors());
        assert_eq!(exchange(tcp(port), b"abc").expect("answered"), b"hello\nabc", "after {who}");
    }
}

#[test]
fn a_client_that_answers_nothing_holds_nobody_up() {
    need!("sshd");
    let lab = allowing("", &[("ssh.listen", "localhost:0")]);
    // The service never reads and never closes: bytes pile up as far as windows go, and the session still works.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let deaf = listener.local_addr().expect("bound").port();
    let held = std::thread::spawn(move || listener.accept().map(|(stream, _)| stream));
    let (mut live, port) = listening(&lab, "back", deaf);
    let mut stream = tcp(port);
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket");
    let chunk = vec![0; 1 << 20];
    let full = (0..64).any(|_| stream.write_all(&chunk).is_err());
    assert!(full, "somebody keeps what nobody reads");
    assert_eq!(lab.pair.gateway.run(&["echo alive"]).text(), "alive\n");
    live.process.signal("TERM");
    live.ends_within(SOON);
    wait_until("the listener is gone", SOON, || TcpStream::connect(("127.0.0.1", port)).is_err());
    drop(held.join());
}
