//! WebSockets through the gateway: only where policy says so, written anew, counted, and ended with their permission.

use std::process::{Command, Stdio};

use crate::harness::https::Plane;
use crate::harness::process::Process;
use crate::harness::{SOON, data, need, wait_for, wait_until};

const UPGRADE: &str = "p, user:ada, element:r1, *, http.upgrade, /live/*, allow";

fn plane() -> Plane {
    Plane::with("\"https\"", "restconf = \"/rests\"", |site| {
        site.row(UPGRADE);
        site.row("p, user:ada, element:r1, *, http.get, /plain/**, allow");
        site.row("p, user:ada, element:r1, *, http.upgrade, /rests/*, allow");
    })
}

/// A client of `path`, which sends what it is fed.
fn client(plane: &Plane, name: &str, path: &str, origin: &str) -> Process {
    let mut command = Command::new("python3");
    let identity = plane.site.identity("ada");
    command.arg(data("websocket.py")).arg(plane.gateway.mtls.to_string());
    command.arg(identity.join("cert.pem")).arg(identity.join("key.pem")).arg(plane.site.path().join("ca/x509_ca.pem"));
    command.args(["r1.sallyport.carrier.example", path, origin]);
    Process::start_fed(&plane.site.scratch(), name, command.stdin(Stdio::piped()))
}

#[test]
fn a_websocket_opens_only_where_policy_says_so_and_passes_nothing_else() {
    need!("openssl", "python3");
    let plane = plane();
    let own = format!("https://r1.sallyport.carrier.example:{}", plane.gateway.mtls);
    let mut open = client(&plane, "open", "/live/echo", &own);
    open.tells("that it is open", SOON, |out| out.contains("open").then_some(()));
    for (number, (path, origin, status)) in [
        ("/plain/echo", "-", "403"),
        ("/elsewhere", "-", "403"),
        ("/live/echo", "https://evil.example", "403"),
        ("/live/echo", "null", "403"),
        ("/rests/echo", "-", "403"),
        ("/live/a", "-", "502"),
        ("/live/%2e%2e", "-", "400"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut refused = client(&plane, &format!("refused{number}"), path, origin);
        refused.ended(SOON);
        assert_eq!(refused.out().trim(), status, "{path} {origin}: {}", refused.err());
    }
    open.feed("{\"say\": \"hello there\"}\n");
    open.tells("its message back", SOON, |out| out.contains("hello there").then_some(()));
    open.feed(&format!("{}\n", "x".repeat(3_000)));
    open.tells("a long one", SOON, |out| out.contains(&"x".repeat(3_000)).then_some(()));
    open.feed("bye\n");
    open.tells("the end", SOON, |out| out.contains("closed").then_some(()));
    let got = plane.got();
    let upgraded = got.iter().find(|got| got.path == "/live/echo").expect("it came");
    let names = upgraded.header_names();
    for name in ["x-remote-user", "x-forwarded-for", "cookie", "authorization", "sec-websocket-extensions"] {
        assert!(!names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    assert_eq!(upgraded.header("origin"), Some("https://r1.lab.example"));
    assert_eq!(got.iter().filter(|got| !got.path.starts_with("/live")).count(), 0, "{got:?}");
    let lines: Vec<String> = plane.recorded().iter().map(ToString::to_string).collect();
    let digests: Vec<&String> = lines.iter().filter(|line| line.contains("\"frame\":\"digest\"")).collect();
    assert!(
        digests.iter().any(|line| line.contains("\"input\"")) && digests.iter().any(|line| line.contains("\"output\""))
    );
    let texts = |part: &str| lines.iter().filter(|line| line.contains(part) && line.contains("hello there")).count();
    assert_eq!(
        (texts("\"request\""), texts("\"notification\"")),
        (1, 1),
        "what was said stands in the recording: {lines:#?}"
    );
    assert!(lines.iter().any(|line| line.contains("\"101\"") && line.contains("upgrade websocket")), "{lines:#?}");
}

#[test]
fn a_websocket_ends_when_policy_no_longer_allows_it() {
    need!("openssl", "python3");
    let mut plane = plane();
    let mut open = client(&plane, "open", "/live/echo", "-");
    open.feed("hello\n");
    open.tells("its message back", SOON, |out| out.contains("hello").then_some(()));
    let rows: Vec<String> = plane.site.current_rows().into_iter().filter(|row| row != UPGRADE).collect();
    plane.site.set_rows(rows);
    open.tells("the end", SOON, |out| out.contains("closed").then_some(()));
    wait_until("the client ends", SOON, || !open.running());
    let session = wait_for("it is closed", SOON, || {
        let session = plane.site.sessions().pop()?;
        (!session["closed_at"].is_null()).then_some(session)
    });
    assert_eq!(session["outcome"], "policy-denies", "{session}");
    let lines: Vec<String> = plane.recorded().iter().map(ToString::to_string).collect();
    assert!(lines.iter().any(|line| line.contains("\"frame\":\"digest\"") && line.contains("\"input\"")), "{lines:#?}");
    plane.site.verify(&[&plane.site.recording(&session)]).ok();
}
