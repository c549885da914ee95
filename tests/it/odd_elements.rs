//! Elements with bad manners: what they do to their own session stays there, and the client sees what it would see without a gateway.

use std::process::Command;

use crate::harness::client::{MINUTE, Pair, Ran, Ssh, run};
use crate::harness::element::AsyncServer;
use crate::harness::gateway::{Gateway, Site};
use crate::harness::{data, need, venv};

/// The element `odd-1` of `data/odd_element.py`, before a gateway on which `ada` may use it.
struct Odd {
    gateway: Gateway,
    pair: Pair,
    site: Site,
    _element: AsyncServer,
}

fn odd(prepare: impl FnOnce(&mut Site)) -> Odd {
    let mut site = Site::new();
    let element = AsyncServer::odd(&site.scratch().join("odd"), &site.element_ca());
    site.listener("odd-1", element.port, &element.host_key(), "credential = { kind = \"certificate\" }");
    site.grant("ada", "odd-1");
    prepare(&mut site);
    let gateway = site.start();
    let pair = Pair { direct: element.direct(), gateway: gateway.client("ada", "odd-1") };
    Odd { gateway, pair, site, _element: element }
}

impl Odd {
    /// What was recorded in the last session that closed.
    fn recorded(&self) -> String {
        let session = self.site.closed_session();
        self.site.as_ada(&["export", session["id"].as_str().expect("an id"), "--format", "jsonl"]).ok().text()
    }
}

/// What a patient client sees of a command; see `data/asyncssh_odd.py`.
fn seen(way: &Ssh, command: &str) -> Ran {
    let mut client = Command::new(venv("clients", "python"));
    client.arg(data("asyncssh_odd.py")).arg(&way.config).args([&way.host, command]);
    run(&mut client, Vec::new(), MINUTE)
}

#[test]
fn signals_and_sizes_overtake_what_the_command_does_not_read() {
    need!("python:clients");
    let odd = odd(|_| ());
    for way in [&odd.pair.direct, &odd.pair.gateway] {
        let ran = seen(way, "deaf");
        assert_eq!(ran.text(), "up\nheld up True\nsize 132 50\ngot USR1\n5\n", "{}", ran.errors());
    }
}

#[test]
fn an_end_of_output_without_a_status_is_passed_on() {
    need!("python:clients");
    let odd = odd(|_| ());
    for way in [&odd.pair.direct, &odd.pair.gateway] {
        let ran = seen(way, "half");
        assert_eq!(ran.text(), "out\nclosed None\n", "{}", ran.errors());
    }
}

#[test]
fn an_element_that_does_not_answer_is_unreachable() {
    need!("python:clients");
    let odd = odd(|site| site.configure("limits", "answer_timeout_ms", 1000));
    for options in [&[][..], &["-tt"]] {
        let ran = odd.pair.gateway.feed(options, &["silent"], Vec::new());
        assert!(ran.code() == 255 && ran.errors().contains("sallyport: "), "{options:?}: {}", ran.all());
    }
    let events = odd.site.events();
    let told = |e: &serde_json::Value| e.to_string().contains("did not answer the request within 1s");
    assert_eq!(events.iter().filter(|e| told(e)).count(), 2, "{events:?}");
}

#[test]
fn an_element_that_reads_no_answers_is_left() {
    need!("python:clients", "scp");
    let odd = odd(|site| site.row("p, user:ada, element:odd-1, *, file.read, /data/secret, deny"));
    let before = odd.gateway.memory_kib();
    let into = odd.site.scratch().join("into");
    std::fs::create_dir_all(&into).expect("a folder");
    let mut scp = odd.pair.gateway.command("scp");
    let ran = run(scp.args(["-O", "-q", "-r", "odd-1:/data"]).arg(&into), Vec::new(), MINUTE);
    assert_ne!(ran.code(), 0);
    let grown = odd.gateway.memory_kib().saturating_sub(before);
    assert!(odd.recorded().contains("does not read its answers"), "{}", ran.errors().get(..2000).unwrap_or_default());
    assert!(grown < 48 << 10, "{grown} KiB");
}
