use proptest::prelude::*;

use super::*;
use crate::protocol::ssh::script::{self, Step, run};

const CORPUS: &[&[u8]] = &[
    include_bytes!("../../../../tests/corpus/scp/get-missing"),
    include_bytes!("../../../../tests/corpus/scp/get-pattern"),
    include_bytes!("../../../../tests/corpus/scp/get-recursive-times"),
    include_bytes!("../../../../tests/corpus/scp/put-recursive-times"),
    include_bytes!("../../../../tests/corpus/scp/put-several"),
];

fn inspector(command: &str) -> ScpInspector {
    ScpInspector::new(command::parse(command.as_bytes()).unwrap(), Limits::default())
}

fn recorded(corpus: &[u8]) -> (ScpInspector, Vec<Step>) {
    let end = corpus.iter().position(|byte| *byte == b'\n').unwrap();
    (inspector(std::str::from_utf8(&corpus[..end]).unwrap()), script::parse(&corpus[end + 1..]))
}

fn c(text: &str) -> Step {
    Step::Client(text.as_bytes().to_vec())
}

fn e(text: &str) -> Step {
    Step::Element(text.as_bytes().to_vec())
}

fn with(command: &str, steps: &[Step], refuses: &dyn Fn(&str) -> bool) -> script::Result {
    run(inspector(command), steps, refuses, &[usize::MAX])
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_client_puts_files() {
    let steps =
        [e("\0"), c("C0644 4 x\n"), e("\0"), c("ab"), c("cd\0"), e("\0"), c("C0644 0 y\n"), e("\0"), c("\0"), e("\0")];
    let result = with("scp -d -t /d", &steps, &|_| false);
    assert_eq!(result.error, None);
    assert_eq!((result.to_element, result.to_client), (script::said(&steps, true), script::said(&steps, false)));
    assert_eq!(result.asked, ["file.write /d/x", "file.write /d/y"]);
    assert_eq!(result.events, ["file.write /d/x ok 4 88d4266f", "file.write /d/y ok 0 e3b0c442"]);
}

#[test]
fn a_refused_put_never_reaches_the_element() {
    for (command, refused) in
        [("scp -t /d", "file.write /d"), ("scp -t /d", "file.write /d/x"), ("scp -d -t /d", "file.write /d/x")]
    {
        let steps = [e("\0"), c("C0644 4 x\n"), c("C0644 2 y\n"), e("\0"), c("ab\0"), e("\0")];
        let result = with(command, &steps, &|action| action == refused);
        let goes_on = command.contains("-d") || refused == "file.write /d/x";
        assert_eq!(text(&result.to_element), if goes_on { "C0644 2 y\nab\0" } else { "" }, "{command} {refused}");
        assert!(text(&result.to_client).starts_with(&format!("\0\u{1}scp: not {refused}\n")));
    }
    let folder = [e("\0"), c("D0755 0 x\n"), c("C0644 0 y\n"), e("\0"), c("\0"), e("\0")];
    let result = with("scp -r -d -t /d", &folder, &|action| action.starts_with("file.mkdir"));
    assert_eq!(
        (text(&result.to_element), result.events),
        ("C0644 0 y\n\0", vec!["file.write /d/y ok 0 e3b0c442".to_owned()])
    );
}

#[test]
fn special_modes_are_attributes() {
    let result = with("scp -d -t /d", &[e("\0"), c("C4755 4 x\n")], &|_| false);
    assert_eq!(result.asked, ["file.write /d/x", "file.attributes /d/x"]);
    let result = with("scp -d -t /d", &[e("\0"), c("C4755 4 x\n")], &|action| action.starts_with("file.attributes"));
    assert_eq!(text(&result.to_element), "");
}

#[test]
fn folders_are_followed() {
    let steps = [
        e("\0"),
        c("T1 0 2 0\n"),
        e("\0"),
        c("D0755 0 a\n"),
        e("\0"),
        c("D0755 0 b\n"),
        e("\0"),
        c("C0644 0 x\n"),
        e("\0"),
        c("\0"),
        e("\0"),
        c("E\n"),
        e("\0"),
        c("C0644 0 y\n"),
        e("\0"),
        c("\0"),
        e("\0"),
        c("E\n"),
        e("\0"),
    ];
    let result = with("scp -r -p -d -t /d", &steps, &|_| false);
    assert_eq!(result.error, None);
    assert_eq!(result.asked, ["file.mkdir /d/a", "file.mkdir /d/a/b", "file.write /d/a/b/x", "file.write /d/a/y"]);
    let either = with("scp -r -t /d", &steps, &|_| false);
    assert_eq!(
        either.asked,
        [
            "file.mkdir /d",
            "file.mkdir /d/a",
            "file.mkdir /d/b",
            "file.mkdir /d/a/b",
            "file.write /d/b/x",
            "file.write /d/a/b/x",
            "file.write /d/y",
            "file.write /d/a/y"
        ]
    );
}

#[test]
fn content_that_looks_like_a_header_stays_content() {
    // A client that does not wait for the element's answer, which is no: what follows is read as headers by both.
    let eager = [c("C0644 9 x\nC0644 0 y\n\0"), e("\0"), e("\u{1}no\n"), e("\0"), e("\0")];
    let result = with("scp -d -t /d", &eager, &|action| action.ends_with("/y"));
    assert_eq!(result.asked, ["file.write /d/x", "file.write /d/y"]);
    assert_eq!(text(&result.to_element), "C0644 9 x\n");
    let waiting = [e("\0"), c("C0644 10 x\n"), e("\0"), c("C0644 0 y\n\0"), e("\0")];
    let result = with("scp -d -t /d", &waiting, &|action| action.ends_with("/y"));
    assert_eq!((result.asked, result.error), (vec!["file.write /d/x".to_owned()], None));
    assert_eq!(result.events.len(), 1);
}

#[test]
fn times_of_a_refused_file_are_not_the_next_ones() {
    let times = [e("\0"), c("T1 0 2 0\n"), e("\0"), c("C0644 0 x\n")];
    let refuses = |action: &str| action.ends_with("/x");
    let inherits = [&times[..], &[c("C0644 0 y\n")]].concat();
    assert!(with("scp -p -d -t /d", &inherits, &refuses).error.is_some());
    let own = [&times[..], &[c("T3 0 4 0\n"), e("\0"), c("C0644 0 y\n"), e("\0"), c("\0"), e("\0")]].concat();
    let result = with("scp -p -d -t /d", &own, &refuses);
    assert_eq!((result.error, result.events), (None, vec!["file.write /d/y ok 0 e3b0c442".to_owned()]));
}

#[test]
fn a_client_gets_files() {
    let steps = [c("\0"), e("C0644 4 x\n"), c("\0"), e("abcd\0"), c("\0")];
    let result = with("scp -f /d/x", &steps, &|_| false);
    assert_eq!((result.error, result.asked), (None, vec!["file.read /d/x".to_owned()]));
    assert_eq!((result.to_element, result.to_client), (script::said(&steps, true), script::said(&steps, false)));
    assert_eq!(result.events, ["file.read /d/x ok 4 88d4266f"]);
    let eager = [c("\0\0\0\0\0"), e("C0644 4 x\n"), e("abcd\0")];
    assert_eq!(with("scp -f /d/x", &eager, &|_| false).events, ["file.read /d/x ok 4 88d4266f"]);
}

#[test]
fn a_refused_command_ends_before_anything_passed() {
    for steps in [[c("\0"), e("C0644 4 x\n"), e("abcd\0")], [e("C0644 4 x\n"), c("\0"), e("abcd\0")]] {
        let result = with("scp -f /a /d/x", &steps, &|action| action == "file.read /d/x");
        let line = "\u{2}scp: not file.read /d/x\n";
        assert_eq!((text(&result.to_client), text(&result.to_element)), (line, line));
        assert_eq!((result.error, result.events.len()), (None, 0));
    }
}

#[test]
fn a_refused_get_is_skipped_at_both_ends() {
    let steps = [c("\0"), e("C0644 4 x\n"), e("C0644 2 y\n"), c("\0"), e("ab\0"), c("\0")];
    let result = with("scp -f /d/*", &steps, &|action| action == "file.read /d/x");
    assert_eq!(text(&result.to_element), "\0\u{1}scp: not file.read /d/x\n\0\0");
    assert_eq!(text(&result.to_client), "\u{1}scp: not file.read /d/x\nC0644 2 y\nab\0");
    assert_eq!(result.asked, ["file.read /d/*", "file.read /d/x", "file.read /d/y"]);
    assert_eq!(result.events, ["file.read /d/y ok 2 fb8e20fc"]);
}

#[test]
fn names_that_lead_elsewhere_pass_in_neither_direction() {
    for name in ["..", ".", "../x", "/etc/x", "a/b", "", "x\u{1b}[2J", "x\0"] {
        let header = format!("C0644 4 {name}\n");
        let result = with("scp -d -t /d", &[e("\0"), c(&header)], &|_| false);
        assert_eq!((text(&result.to_element), result.asked.len(), result.error), ("", 0, None), "{name:?}");
        assert!(text(&result.to_client).starts_with("\0\u{1}scp: "));
        let result = with("scp -f /d/x", &[c("\0"), e(&header)], &|_| false);
        assert!(
            text(&result.to_client).starts_with("\u{1}scp: ") && !text(&result.to_client).contains("C0644"),
            "{name:?}"
        );
        assert!(text(&result.to_element).starts_with("\0\u{1}scp: "));
        let folder = with("scp -r -f /d/x", &[c("\0"), e(&header.replace("C0644 4", "D0755 0"))], &|_| false);
        assert!(!text(&folder.to_client).contains("D0755"), "{name:?}");
    }
}

#[test]
fn a_lie_ends_the_channel() {
    let long = "x".repeat(9000);
    let deep: Vec<Step> = (0..200).flat_map(|_| [c("D0755 0 a\n"), e("\0")]).collect();
    for (why, command, steps) in [
        ("a banner", "scp -t /d", vec![e("Welcome\n")]),
        ("an answer nobody waits for", "scp -d -t /d", vec![e("\0"), e("\0")]),
        ("two answers", "scp -d -t /d", vec![e("\0"), c("C0644 4 x\n"), e("\u{1}no\n\u{1}no\n")]),
        ("an answer in the middle", "scp -d -t /d", vec![e("\0"), c("C0644 4 x\n"), e("\0"), c("ab"), e("\u{1}no\n")]),
        ("no record", "scp -t /d", vec![e("\0"), c("hello\n")]),
        ("a long line", "scp -t /d", vec![e("\0"), c(&long)]),
        ("a long answer", "scp -t /d", vec![e(&format!("\u{1}{long}"))]),
        ("a folder that was not asked for", "scp -d -t /d", vec![e("\0"), c("D0755 0 x\n")]),
        ("a folder from the element", "scp -f /d", vec![c("\0"), e("D0755 0 d\n")]),
        ("an end without a beginning", "scp -r -t /d", vec![e("\0"), c("E\n")]),
        ("a refused end", "scp -r -d -t /d", vec![e("\0"), c("D0755 0 x\n"), e("\0"), c("E\n"), e("\u{1}no\n")]),
        ("a huge length", "scp -d -t /d", vec![e("\0"), c("C0644 99999999999999999999 x\n")]),
        ("no verdict", "scp -d -t /d", vec![e("\0"), c("C0644 1 x\n"), e("\0"), c("xC0644 1 y\n")]),
        ("too deep", "scp -r -d -t /d", [vec![e("\0")], deep].concat()),
        ("too eager", "scp -d -t /d", vec![c(&"C0644 0 x\n\0".repeat(30_000))]),
    ] {
        assert!(with(command, &steps, &|_| false).error.is_some(), "{why}");
    }
}

#[test]
fn faults_are_passed_on_and_reported() {
    let put = |steps: &[Step]| with("scp -d -t /d", &[&[e("\0"), c("C0644 4 x\n")], steps].concat(), &|_| false);
    for (steps, event) in [
        (vec![e("\u{1}scp: no room\n")], "file.write /d/x failed 0"),
        (vec![e("\0"), c("abcd\0"), e("\u{1}scp: no room\n")], "file.write /d/x failed 4"),
        (vec![e("\0"), c("abcd\u{1}scp: it shrank\n"), e("\0")], "file.write /d/x failed 4"),
        (vec![e("\0"), c("ab")], "file.write /d/x unfinished 2"),
    ] {
        let result = put(&steps);
        assert_eq!((result.error, result.events), (None, vec![event.to_owned()]), "{steps:?}");
    }
    let result = with("scp -f /d/x", &[c("\0"), e("\u{1}scp: /d/x: No such file\n"), e("\u{2}bye\n")], &|_| false);
    assert_eq!((result.error, text(&result.to_client)), (None, "\u{1}scp: /d/x: No such file\n\u{2}bye\n"));
    let untaken = with("scp -f /d/x", &[c("\0"), e("C0644 4 x\n"), c("\u{1}no room\n")], &|_| false);
    assert_eq!((untaken.error, untaken.events.len()), (None, 0));
}

#[test]
fn real_conversations_pass_unchanged() {
    for corpus in CORPUS {
        let (inspector, steps) = recorded(corpus);
        let result = run(inspector, &steps, &|_| false, &[usize::MAX]);
        assert_eq!(result.error, None);
        assert!(result.to_element == script::said(&steps, true) && result.to_client == script::said(&steps, false));
        assert!(result.events.iter().all(|event| event.contains(" ok")));
    }
}

#[test]
fn damaged_conversations_are_survived_and_undecided_headers_never_pass() {
    for corpus in CORPUS {
        for round in 0..3000 {
            let (inspector, mut steps) = recorded(corpus);
            script::damage(&mut steps, round);
            let sink = inspector.command.role == Role::Sink;
            run(inspector, &steps, &|_| false, &[5, 800]);
            let denied = run(recorded(corpus).0, &steps, &|_| true, &[7, 900]);
            let (bytes, allowed) =
                if sink { (denied.to_element, &b"T\x01\x02"[..]) } else { (denied.to_client, &b"\x02"[..]) };
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                assert!(allowed.contains(&line[0]), "round {round}: {line:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn where_the_stream_is_cut_changes_nothing(which in 0..CORPUS.len(), cuts in prop::collection::vec(1usize..60, 1..40)) {
        let refuses = |action: &str| action.ends_with("/blob");
        let run = |cuts: &[usize]| {
            let (inspector, steps) = recorded(CORPUS[which]);
            run(inspector, &steps, &refuses, cuts)
        };
        prop_assert_eq!(run(&[usize::MAX]), run(&cuts));
    }

    #[test]
    fn commands_never_panic_and_never_hold_what_a_shell_reads(command in "scp -[tf] [-a-z/.~*'\"\\\\;&|$ ]{0,20}") {
        if let Some(parsed) = command::parse(command.as_bytes()) {
            prop_assert!(parsed.paths.iter().all(|path| !path.path.is_empty()));
            let unquoted = !command.contains(['\'', '"', '\\']);
            prop_assert!(!unquoted || !command.contains([';', '&', '|', '$']));
        }
    }
}
