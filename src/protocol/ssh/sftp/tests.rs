use proptest::prelude::*;

use super::*;
use crate::protocol::ssh::script::{self, Step, run};

const CORPUS: &[&[u8]] = &[
    include_bytes!("../../../../tests/corpus/sftp/openssh-batch"),
    include_bytes!("../../../../tests/corpus/sftp/openssh-list"),
    include_bytes!("../../../../tests/corpus/sftp/scp-recursive-get"),
    include_bytes!("../../../../tests/corpus/sftp/scp-recursive-put"),
];

fn s(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

fn n(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn o(offset: u64) -> Vec<u8> {
    offset.to_be_bytes().to_vec()
}

fn packet(kind: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    [n(u32::try_from(body.len() + 1).unwrap()), vec![kind], body].concat()
}

fn client(kind: u8, parts: &[Vec<u8>]) -> Step {
    Step::Client(packet(kind, parts))
}

fn element(kind: u8, parts: &[Vec<u8>]) -> Step {
    Step::Element(packet(kind, parts))
}

fn status(id: u32, code: u32) -> Step {
    element(101, &[n(id), n(code), s(b""), s(b"")])
}

fn open(id: u32, path: &[u8], flags: u32) -> Step {
    client(3, &[n(id), s(path), n(flags), n(0)])
}

fn handle(id: u32, handle: &[u8]) -> Step {
    element(102, &[n(id), s(handle)])
}

fn read(id: u32, handle: &[u8], offset: u64, length: u32) -> Step {
    client(5, &[n(id), s(handle), o(offset), n(length)])
}

fn data(id: u32, content: &[u8]) -> Step {
    element(103, &[n(id), s(content)])
}

fn write(id: u32, handle: &[u8], offset: u64, content: &[u8]) -> Step {
    client(6, &[n(id), s(handle), o(offset), s(content)])
}

fn close(id: u32, handle: &[u8]) -> Step {
    client(4, &[n(id), s(handle)])
}

/// A conversation after the versions were agreed.
fn agreed(steps: &[Step]) -> Vec<Step> {
    [&[client(1, &[n(3)]), element(2, &[n(3)])], steps].concat()
}

/// An open file with the handle `h`.
fn opened(flags: u32, steps: &[Step]) -> Vec<Step> {
    agreed(&[&[open(1, b"/f", flags), handle(1, b"h")], steps].concat())
}

fn inspect(steps: &[Step]) -> script::Result {
    run(SftpInspector::new(Limits::default()), steps, &|_| false, &[usize::MAX])
}

/// The types of the packets in `bytes`.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (packet, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        kinds.push(packet[0]);
        bytes = rest;
    }
    kinds
}

#[test]
fn every_request_asks_for_what_it_does() {
    let extended = |name: &[u8], parts: &[Vec<u8>]| client(200, &[&[n(1), s(name)], parts].concat());
    for (request, asked) in [
        (open(1, b"/a", 1), &["file.read /a"][..]),
        (open(1, b"/a", 0), &["file.read /a"]),
        (open(1, b"/a", 0x1a), &["file.write /a"]),
        (open(1, b"/a", 3), &["file.read /a", "file.write /a"]),
        (open(1, b"/a", 0x11), &["file.read /a", "file.write /a"]),
        (open(1, b"/a", 0x10), &["file.read /a", "file.write /a"]),
        (open(1, b"/a", 8), &["file.read /a", "file.write /a"]),
        (open(1, b"/a", 4), &["file.read /a", "file.write /a"]),
        (client(3, &[n(1), s(b"/a"), n(2), n(4), n(0o4755)]), &["file.write /a", "file.attributes /a"]),
        (client(7, &[n(1), s(b"/a")]), &["file.stat /a"]),
        (client(9, &[n(1), s(b"/a"), n(0)]), &["file.attributes /a"]),
        (client(11, &[n(1), s(b"/a//")]), &["file.list /a"]),
        (client(13, &[n(1), s(b"/./a")]), &["file.delete /a"]),
        (client(14, &[n(1), s(b"/a"), n(0)]), &["file.mkdir /a"]),
        (client(14, &[n(1), s(b"/a"), n(4), n(0o2755)]), &["file.mkdir /a", "file.attributes /a"]),
        (client(15, &[n(1), s(b"/a")]), &["file.delete /a"]),
        (client(16, &[n(1), s(b"/a/b/..")]), &["file.stat /a"]),
        (client(17, &[n(1), s(b"/a/../b")]), &["file.stat /a/../b"]),
        (client(18, &[n(1), s(b"/a"), s(b"/b")]), &["file.rename /a", "file.rename /b", "file.write /b"]),
        (client(19, &[n(1), s(b"a")]), &["file.stat a"]),
        (client(20, &[n(1), s(b"/a"), s(b"/d/l")]), &["file.link /d/l", "file.link /a"]),
        (client(20, &[n(1), s(b"a"), s(b"/d/l")]), &["file.link /d/l", "file.link /d/a", "file.link a"]),
        (
            extended(b"posix-rename@openssh.com", &[s(b"/a"), s(b"/b")]),
            &["file.rename /a", "file.rename /b", "file.write /b"],
        ),
        (extended(b"statvfs@openssh.com", &[s(b"/a")]), &["file.stat /a"]),
        (extended(b"hardlink@openssh.com", &[s(b"/a"), s(b"/b")]), &["file.link /b", "file.link /a"]),
        (extended(b"lsetstat@openssh.com", &[s(b"/a"), n(0)]), &["file.attributes /a"]),
        (extended(b"expand-path@openssh.com", &[s(b"~/x")]), &["file.stat x"]),
        (extended(b"expand-path@openssh.com", &[s(b"~bob/x")]), &["file.stat ~bob/x"]),
        (extended(b"home-directory", &[s(b"bob")]), &["file.stat ~bob"]),
        (extended(b"users-groups-by-id@openssh.com", &[s(b""), s(b"")]), &["file.stat /etc/passwd"]),
        (extended(b"limits@openssh.com", &[]), &[]),
    ] {
        let steps = agreed(std::slice::from_ref(&request));
        let result = inspect(&steps);
        assert_eq!(
            (result.error, result.asked),
            (None, asked.iter().map(|a| (*a).to_owned()).collect()),
            "{request:?}"
        );
        assert_eq!(result.to_element, script::said(&steps, true));
        for refused in asked {
            let result =
                run(SftpInspector::new(Limits::default()), &steps, &|action| action == *refused, &[usize::MAX]);
            assert_eq!(kinds(&result.to_element), [1], "{refused}");
            let text = format!("not {refused}");
            assert_eq!(kinds(&result.to_client), [2, 101]);
            assert!(result.to_client.ends_with(&[n(1), n(3), s(text.as_bytes()), n(0)].concat()), "{refused}");
        }
    }
}

#[test]
fn what_is_not_policed_is_answered_here() {
    let extended = |name: &[u8], parts: &[Vec<u8>]| client(200, &[&[n(1), s(name)], parts].concat());
    for (request, code) in [
        (client(21, &[n(1)]), 8),
        (client(22, &[n(1), s(b"/a"), s(b"/b")]), 8),
        (client(99, &[n(1), n(2)]), 8),
        (client(101, &[n(1), n(0)]), 8),
        (client(102, &[n(1), s(b"h")]), 8),
        (extended(b"check-file", &[s(b"h")]), 8),
        (extended(b"vendor-id", &[]), 8),
        (extended(b"posix-rename@openssh.org", &[s(b"/a"), s(b"/b")]), 8),
        (open(1, b"/a", 0x41), 8),
        (open(1, b"/a\xff", 1), 3),
        (open(1, b"/a\0b", 1), 3),
        (open(1, b"/a\nb", 1), 3),
        (open(1, &[b'a'; 5000], 1), 3),
        (read(1, b"h", 0, 9), 4),
        (write(1, b"h", 0, b"x"), 4),
        (close(1, b"h"), 4),
        (client(8, &[n(1), s(b"h")]), 4),
        (client(10, &[n(1), s(b"h"), n(0)]), 4),
        (client(12, &[n(1), s(b"h")]), 4),
        (extended(b"fsync@openssh.com", &[s(b"h")]), 4),
        (extended(b"fstatvfs@openssh.com", &[s(b"h")]), 4),
        (extended(b"copy-data", &[s(b"h"), o(0), o(0), s(b"i"), o(0)]), 4),
    ] {
        let result = inspect(&agreed(std::slice::from_ref(&request)));
        assert_eq!((result.error, result.asked), (None, Vec::new()), "{request:?}");
        assert_eq!(kinds(&result.to_element), [1], "{request:?}");
        assert_eq!(kinds(&result.to_client), [2, 101]);
        assert_eq!(result.to_client[18..22], n(code), "{request:?}");
    }
}

#[test]
fn a_handle_serves_only_what_it_was_opened_for() {
    for (flags, request) in [
        (1, write(2, b"h", 0, b"x")),
        (1, client(200, &[n(2), s(b"fsync@openssh.com"), s(b"h")])),
        (1, client(200, &[n(2), s(b"copy-data"), s(b"h"), o(0), o(0), s(b"h"), o(0)])),
        (1, client(12, &[n(2), s(b"h")])),
        (2, read(2, b"h", 0, 1)),
        (2, read(2, b"H", 0, 1)),
        (2, write(2, b"h\0", 0, b"x")),
        (2, write(2, b"", 0, b"x")),
    ] {
        let result = inspect(&opened(flags, std::slice::from_ref(&request)));
        assert_eq!(
            (kinds(&result.to_element), kinds(&result.to_client)),
            (vec![1, 3], vec![2, 102, 101]),
            "{request:?}"
        );
    }
    let after_a_good_one = opened(2, &[write(2, b"h", 0, b"good"), write(3, b"H", 0, b"bad")]);
    assert!(inspect(&after_a_good_one).to_element.ends_with(b"good"));
    let closed = opened(2, &[close(2, b"h"), write(3, b"h", 0, b"x"), status(2, 0), write(4, b"h", 0, b"x")]);
    assert_eq!(kinds(&inspect(&closed).to_element), [1, 3, 4]);
    let folder =
        agreed(&[client(11, &[n(1), s(b"/d")]), handle(1, b"h"), read(2, b"h", 0, 1), client(12, &[n(3), s(b"h")])]);
    assert_eq!(kinds(&inspect(&folder).to_element), [1, 11, 12]);
}

#[test]
fn a_lie_ends_the_channel() {
    let ok = |steps: &[Step]| agreed(steps);
    let name = |id: u32, name: &[u8]| element(104, &[n(id), n(1), s(name), s(b"l"), n(0)]);
    for (why, steps) in [
        ("first", vec![open(1, b"/a", 1)]),
        ("before the element spoke", vec![client(1, &[n(3)]), open(1, b"/a", 1)]),
        ("a write first", vec![write(1, b"h", 0, b"x")]),
        ("an old client", vec![client(1, &[n(2)])]),
        ("an old element", vec![client(1, &[n(3)]), element(2, &[n(2)])]),
        ("a new element", vec![client(1, &[n(6)]), element(2, &[n(6)])]),
        ("INIT twice", ok(&[client(1, &[n(3)])])),
        ("INIT twice, early", vec![client(1, &[n(3)]), client(1, &[n(3)])]),
        ("VERSION twice", ok(&[element(2, &[n(3)])])),
        ("VERSION first", vec![element(2, &[n(3)])]),
        ("a banner", vec![client(1, &[n(3)]), Step::Element(b"Welcome to core-rtr-1".to_vec())]),
        ("an id in use", ok(&[open(1, b"/a", 1), open(1, b"/b", 1)])),
        ("an id in use by a write", opened(2, &[write(2, b"h", 0, b"x"), write(2, b"h", 1, b"x")])),
        ("no length", ok(&[Step::Client(n(0))])),
        ("a long length", ok(&[Step::Client(n(300_000))])),
        ("the longest length", ok(&[Step::Client(n(u32::MAX))])),
        ("a long length of the element", ok(&[Step::Element(n(u32::MAX))])),
        ("content longer than its packet", ok(&[Step::Client([n(26), vec![6], n(1), s(b"h"), o(0), n(99)].concat())])),
        ("content shorter than its packet", ok(&[Step::Client([n(99), vec![6], n(1), s(b"h"), o(0), n(1)].concat())])),
        ("a long handle to write to", ok(&[Step::Client([n(9999), vec![6], n(1), n(9000)].concat())])),
        ("a path longer than its packet", ok(&[client(7, &[n(1), n(u32::MAX), b"/a".to_vec()])])),
        ("bytes behind", ok(&[client(7, &[n(1), s(b"/a"), vec![0]])])),
        ("an answer to nothing", ok(&[status(1, 0)])),
        ("data for nothing", ok(&[data(1, b"x")])),
        ("an answer twice", opened(1, &[handle(1, b"i")])),
        ("more data than asked", opened(1, &[read(2, b"h", 0, 3), data(2, b"four")])),
        ("data twice", opened(1, &[read(2, b"h", 0, 4), data(2, b"four"), data(2, b"four")])),
        ("data for a stat", ok(&[client(17, &[n(1), s(b"/a")]), data(1, b"x")])),
        ("a handle for a stat", ok(&[client(17, &[n(1), s(b"/a")]), handle(1, b"h")])),
        ("attributes for an open", ok(&[open(1, b"/a", 1), element(105, &[n(1), n(0)])])),
        ("a handle twice", opened(1, &[open(2, b"/g", 1), handle(2, b"h")])),
        ("a request from the element", ok(&[Step::Element(packet(3, &[n(1), s(b"/a"), n(1), n(0)]))])),
        (
            "data that does not fill",
            opened(1, &[read(2, b"h", 0, 9), Step::Element([n(11), vec![103], n(2), n(1)].concat())]),
        ),
        (
            "an entry that leaves its folder",
            ok(&[client(11, &[n(1), s(b"/d")]), handle(1, b"h"), client(12, &[n(2), s(b"h")]), name(2, b"../x")]),
        ),
    ] {
        let result = inspect(&steps);
        assert!(result.error.is_some(), "{why}");
    }
}

#[test]
fn after_an_error_nothing_passes() {
    let mut inspector = SftpInspector::new(Limits::default());
    let (mut flow, mut policy) = (Flow::default(), script::Policy { asked: Vec::new(), refuses: &|_| false });
    assert!(inspector.from_client(&n(0), &mut policy, &mut flow).is_err());
    assert!(inspector.from_client(&packet(1, &[n(3)]), &mut policy, &mut flow).is_err());
    assert!(inspector.from_element(&packet(2, &[n(3)]), &mut policy, &mut flow).is_err());
    assert!(flow.to_element.is_empty() && flow.to_client.is_empty());
}

#[test]
fn a_new_client_is_held_to_version_3() {
    let result =
        inspect(&[client(1, &[n(6)]), element(2, &[n(3), s(b"vendor-id"), s(b"x"), s(b"copy-data"), s(b"1")])]);
    assert_eq!(result.error, None);
    assert_eq!(result.to_element, packet(1, &[n(3)]));
    assert_eq!(result.to_client, packet(2, &[n(3), s(b"copy-data"), s(b"1")]));
}

#[test]
fn paths_begin_where_the_element_said() {
    let home = |id: u32, path: &[u8]| {
        [client(16, &[n(id), s(b".")]), element(104, &[n(id), n(1), s(path), s(b""), n(0)])].concat_steps()
    };
    let stat = |path: &[u8]| client(17, &[n(9), s(path)]);
    for (steps, asked) in [
        ([home(1, b"/home/u"), vec![stat(b"x")]].concat(), "file.stat /home/u/x"),
        ([home(1, b"/home/u//"), vec![stat(b"./x/")]].concat(), "file.stat /home/u/x"),
        ([home(1, b"/home/u"), vec![stat(b"")]].concat(), "file.stat /home/u"),
        ([home(1, b"/home/u"), vec![stat(b"/x")]].concat(), "file.stat /x"),
        ([home(1, b"/home/u"), vec![stat(b"../x")]].concat(), "file.stat /home/u/../x"),
        ([home(1, b"/home/u"), vec![stat(b"flash:/x")]].concat(), "file.stat flash:/x"),
        ([home(1, b"/home/u"), vec![client(16, &[n(9), s(b"..")])]].concat(), "file.stat /home"),
        ([home(1, b"/home/u"), home(2, b"/"), vec![stat(b"x")]].concat(), "file.stat /home/u/x"),
        ([home(1, b"/a/../b"), vec![stat(b"x")]].concat(), "file.stat x"),
        ([home(1, b"home"), vec![stat(b"x")]].concat(), "file.stat x"),
        ([home(1, b"/\xff"), vec![stat(b"x")]].concat(), "file.stat x"),
        (vec![client(16, &[n(1), s(b".")]), status(1, 4), stat(b"x")], "file.stat x"),
        (vec![client(16, &[n(1), s(b".")]), element(104, &[n(1), n(0)]), stat(b"x")], "file.stat x"),
        ([home(1, b"/home/u"), vec![client(20, &[n(9), s(b"x"), s(b"/d/l")])]].concat(), "file.link /home/u/x"),
    ] {
        let result = inspect(&agreed(&steps));
        assert_eq!((result.error, result.asked.last().map(String::as_str)), (None, Some(asked)), "{steps:?}");
    }
}

trait Steps {
    fn concat_steps(self) -> Vec<Step>;
}

impl Steps for [Step; 2] {
    fn concat_steps(self) -> Vec<Step> {
        self.to_vec()
    }
}

#[test]
fn files_end_with_size_and_digest() {
    let end = [close(9, b"h"), status(9, 0)];
    let events = |flags: u32, steps: &[Step]| inspect(&opened(flags, &[steps, &end].concat())).events;
    // The digests of "abcd" and of nothing.
    for (flags, steps, event) in [
        (
            2,
            vec![write(2, b"h", 0, b"ab"), write(3, b"h", 2, b"cd"), status(3, 0), status(2, 0)],
            "file.write /f ok 4 88d4266f",
        ),
        (
            2,
            vec![write(2, b"h", 2, b"cd"), write(3, b"h", 0, b"ab"), status(3, 0), status(2, 0)],
            "file.write /f ok 4 88d4266f",
        ),
        (2, vec![], "file.write /f ok 0 e3b0c442"),
        (6, vec![write(2, b"h", 0, b"abcd"), status(2, 0)], "file.write /f ok 4"),
        (2, vec![write(2, b"h", 1, b"bcd"), status(2, 0)], "file.write /f ok 3"),
        (2, vec![write(2, b"h", 0, b"abcd"), status(2, 4)], "file.write /f failed 4 88d4266f"),
        (
            1,
            vec![read(2, b"h", 0, 2), read(3, b"h", 2, 2), data(3, b"cd"), data(2, b"ab")],
            "file.read /f ok 4 88d4266f",
        ),
        (
            1,
            vec![read(2, b"h", 0, 9), data(2, b"ab"), read(3, b"h", 2, 7), data(3, b"cd")],
            "file.read /f ok 4 88d4266f",
        ),
        (1, vec![read(2, b"h", 0, 9), data(2, b"ab"), read(3, b"h", 9, 9), data(3, b"cd")], "file.read /f ok 4"),
        (1, vec![read(2, b"h", 0, 9), status(2, 1)], "file.read /f ok 0 e3b0c442"),
        (1, vec![read(2, b"h", 0, 9), status(2, 4)], "file.read /f failed 0"),
        (1, vec![], "file.read /f ok 0"),
    ] {
        assert_eq!(events(flags, &steps), [event], "{steps:?}");
    }
    assert_eq!(events(3, &[]), ["file.read /f ok 0", "file.write /f ok 0 e3b0c442"]);
    let failed = inspect(&agreed(&[
        open(1, b"/f", 2),
        status(1, 3),
        open(2, b"/f", 2),
        handle(2, b"h"),
        close(3, b"h"),
        status(3, 4),
    ]));
    assert_eq!(failed.events, ["file.write /f failed", "file.write /f failed 0 e3b0c442"]);
    let unfinished = inspect(&opened(2, &[write(2, b"h", 0, b"ab"), client(13, &[n(3), s(b"/x")])]));
    assert_eq!(unfinished.events, ["file.write /f unfinished 2 fb8e20fc", "file.delete /x unfinished"]);
    let copied = inspect(&agreed(&[
        open(1, b"/f", 1),
        handle(1, b"h"),
        open(2, b"/g", 2),
        handle(2, b"i"),
        client(200, &[n(3), s(b"copy-data"), s(b"h"), o(0), o(0), s(b"i"), o(0)]),
        status(3, 0),
        close(4, b"i"),
        status(4, 0),
    ]));
    assert_eq!(copied.events, ["file.write /g ok", "file.read /f unfinished"]);
}

#[test]
fn a_late_answer_is_not_the_next_files() {
    let steps = opened(
        1,
        &[
            read(2, b"h", 0, 4),
            close(3, b"h"),
            status(3, 0),
            open(4, b"/g", 1),
            handle(4, b"h"),
            data(2, b"abcd"),
            close(5, b"h"),
            status(5, 0),
        ],
    );
    assert_eq!(inspect(&steps).events, ["file.read /f ok 0", "file.read /g ok 0"]);
}

#[test]
fn an_answer_of_ours_never_cuts_a_packet() {
    let whole = packet(103, &[n(2), s(b"abcd")]);
    let (first, second) = whole.split_at(15);
    let steps = opened(
        1,
        &[read(2, b"h", 0, 4), Step::Element(first.to_vec()), close(3, b"x"), Step::Element(second.to_vec())],
    );
    let result = inspect(&steps);
    assert_eq!(kinds(&result.to_client), [2, 102, 103, 101]);
    let limits = Limits { held_answer_bytes_max: 50, ..Limits::default() };
    let flood: Vec<_> = steps[..6].iter().cloned().chain((10..20).map(|id| close(id, b"x"))).collect();
    assert!(run(SftpInspector::new(limits), &flood, &|_| false, &[usize::MAX]).error.is_some());
}

#[test]
fn limits_hold() {
    let limits = Limits {
        open_handles_max: 2,
        transfers_outstanding_max: 3,
        operations_outstanding_max: 3,
        reorder_bytes_max: 100,
        ..Limits::default()
    };
    let with = |steps: &[Step]| run(SftpInspector::new(limits), steps, &|_| false, &[usize::MAX]);
    let opens: Vec<_> = (1..=3).map(|id| open(id, b"/f", 1)).collect();
    assert_eq!(kinds(&with(&agreed(&opens)).to_element), [1, 3, 3]);
    let stats: Vec<_> = (1..=4).map(|id| client(17, &[n(id), s(b"/f")])).collect();
    assert!(with(&agreed(&stats)).error.is_some());
    let reads: Vec<_> = (2..=5).map(|id| read(id, b"h", 0, 1)).collect();
    assert!(with(&opened(1, &reads)).error.is_some());
    let early = opened(2, &[write(2, b"h", 9, &[0; 50]), write(3, b"h", 0, &[0; 9]), close(4, b"h"), status(4, 0)]);
    assert_eq!(with(&early).events, ["file.write /f ok 59"]);
}

#[test]
fn real_conversations_pass_unchanged() {
    for corpus in CORPUS {
        let steps = script::parse(corpus);
        let result = inspect(&steps);
        assert_eq!(result.error, None);
        assert!(result.to_element == script::said(&steps, true) && result.to_client == script::said(&steps, false));
        assert!(result.events.iter().all(|event| !event.contains("unfinished")));
    }
}

#[test]
fn damaged_conversations_are_survived_and_undecided_requests_never_pass() {
    for corpus in CORPUS {
        for round in 0..1500 {
            let mut steps = script::parse(corpus);
            script::damage(&mut steps, round);
            inspect(&steps);
            let denied = run(SftpInspector::new(Limits::default()), &steps, &|_| true, &[7, 900]);
            assert!(kinds(&denied.to_element).iter().all(|kind| matches!(kind, 1 | 200)), "round {round}");
        }
    }
}

proptest! {
    #[test]
    fn where_the_stream_is_cut_changes_nothing(which in 0..CORPUS.len(), cuts in prop::collection::vec(1usize..60, 1..40)) {
        let steps = script::parse(CORPUS[which]);
        let refuses = |action: &str| action.starts_with("file.mkdir") || action.ends_with("/blob");
        let run = |cuts: &[usize]| run(SftpInspector::new(Limits::default()), &steps, &refuses, cuts);
        prop_assert_eq!(run(&[usize::MAX]), run(&cuts));
    }

    #[test]
    fn noise_is_survived(chunks in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 0..20)) {
        let steps: Vec<_> = chunks.into_iter().map(|(client, bytes)| if client { Step::Client(bytes) } else { Step::Element(bytes) }).collect();
        inspect(&agreed(&steps));
    }
}
