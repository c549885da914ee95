//! An engineer's ordinary commands give through the gateway what they give directly: code, output, errors, bytes.

use std::process::Command;

use crate::harness::client::{MINUTE, run};
use crate::harness::element::{AsyncServer, Profile};
use crate::harness::gateway::Site;
use crate::harness::lab::Lab;
use crate::harness::{data, need, venv};

#[test]
fn every_exit_code_is_relayed() {
    need!("sshd");
    let lab = Lab::start();
    for code in [0, 1, 7, 126, 127, 255] {
        lab.pair.same(&[], &[&format!("exit {code}")], &[]);
    }
    lab.pair.same(&[], &["no-such-program-here"], &[]);
    let all = "$SSH -fNM -S ctl $HOST; for i in $(seq 0 255); do c=0; $SSH -S ctl $HOST \"exit $i\" || c=$?; echo $i $c; done; $SSH -q -S ctl -O exit $HOST 2>/dev/null";
    let ran = lab.pair.same_script(&lab.site.scratch(), all).ok();
    assert_eq!(ran.text().lines().count(), 256);
}

#[test]
fn signals_that_end_a_command_are_relayed() {
    need!("sshd");
    let lab = Lab::start();
    for signal in ["TERM", "KILL", "HUP", "SEGV"] {
        lab.pair.same(&[], &[&format!("ulimit -c 0; kill -{signal} $$")], &[]);
        for way in [&lab.pair.direct, &lab.pair.gateway] {
            let ran = way.feed(&["-v"], &[&format!("ulimit -c 0; kill -{signal} $$")], Vec::new());
            assert!(ran.errors().contains("rtype exit-signal"), "{signal}: {}", ran.errors());
        }
    }
}

#[test]
fn signals_to_a_command_are_relayed() {
    need!("python:clients");
    let mut site = Site::new();
    let element = AsyncServer::start(&site.scratch().join("asyncssh"), &site.element_ca());
    site.listener("other-1", element.port, &element.host_key(), "credential = { kind = \"certificate\" }");
    site.grant("ada", "other-1");
    let gateway = site.start();
    for signal in ["USR1", "TERM", "INT"] {
        let ways = [element.direct(), gateway.client("ada", "other-1")].map(|way| {
            let mut command = Command::new(venv("clients", "python"));
            command.arg(data("asyncssh_signal.py")).arg(&way.config).args([&way.host, signal]);
            // Its standard error is not compared: asyncio has words about the helper process when the machine is busy.
            let ran = run(&mut command, Vec::new(), MINUTE);
            (ran.code(), ran.text())
        });
        assert_eq!(ways[0].1, format!("up\ngot {signal} -1 ('USR2', True, 'dumped here', 'en')\n"));
        assert_eq!(ways[1], ways[0], "{signal}: gateway (left), direct (right)");
    }
}

#[test]
fn standard_input_is_binary_safe() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair.same(&[], &["cat"], &(0..=255).collect::<Vec<u8>>().repeat(1025));
    let ran = lab.pair.same_script(
        &lab.site.scratch(),
        "head -c 64M /dev/urandom > f; a=$(sha256sum < f); b=$($SSH $HOST sha256sum < f); c=$($SSH $HOST cat < f | sha256sum); \
         [ \"$a\" = \"$b\" ] && [ \"$a\" = \"$c\" ]",
    );
    ran.ok();
}

/// A gibibyte in which no two blocks are alike, made and digested as it streams: the key stream of AES-128-CTR under the key zero.
const GIBIBYTE: &str = "head -c 1G /dev/zero | openssl enc -aes-128-ctr -K 00000000000000000000000000000000 -iv 00000000000000000000000000000000";

#[test]
fn a_gibibyte_passes_both_ways() {
    need!("sshd", "openssl");
    let lab = Lab::start();
    let script = format!("$SSH $HOST '{GIBIBYTE}' | sha256sum; {GIBIBYTE} | $SSH $HOST sha256sum");
    let ran = lab.pair.gateway.script(&lab.site.scratch(), &script).ok();
    let digest = "a110c53382d90198328a45c24dfc98a504911e2abf65c16d6c879ae958528cbd  -\n";
    assert_eq!(ran.text(), digest.repeat(2));
}

#[test]
fn scp_in_both_protocols() {
    need!("sshd");
    let lab = Lab::start();
    for protocol in ["-s", "-O"] {
        let ran = lab.pair.same_script(
            &lab.site.scratch(),
            &format!(
                "rm -rf *; mkdir -p tree/sub far; head -c 3M /dev/urandom > tree/a; head -c 17 /dev/urandom > tree/sub/b; : > tree/empty; chmod 600 tree/a; \
                 $SCP -q {protocol} tree/a $HOST:$D/far/a; $SCP -q {protocol} $HOST:$D/far/a back; cmp tree/a back; \
                 $SCP -q {protocol} -rp tree $HOST:$D/far/; diff -r tree far/tree; $SCP -q {protocol} -rp $HOST:$D/far/tree again; diff -r tree again; stat -c %a far/tree/a again/a; \
                 $SCP -q {protocol} $HOST:$D/nothing-there x || echo code $?; $SCP -q {protocol} tree/a $HOST:/nowhere/x || echo code $?"
            ),
        );
        ran.ok();
    }
}

#[test]
fn sftp_batches() {
    need!("sshd");
    let lab = Lab::start();
    let ran = lab.pair.same_script(
        &lab.site.scratch(),
        "head -c 2M /dev/urandom > a; cat > batch <<END\ncd $D\nmkdir far\ncd far\nput a\nput a b\nrename b c\nls -1\nget c back\nln -s a link\nchmod 600 c\n\
         rm c\nls -1\nEND\n$SFTP -q -b batch $HOST; cmp a back; cmp a far/a; readlink far/link; printf 'get /nothing/there\\n' | $SFTP -q -b - $HOST || echo code $?",
    );
    ran.ok();
}

#[test]
fn rsync_both_ways() {
    need!("sshd", "rsync");
    let lab = Lab::start();
    let ran = lab.pair.same_script(
        &lab.site.scratch(),
        "mkdir -p tree/sub; head -c 3M /dev/urandom > tree/a; seq 9999 > tree/sub/b; rsync -a tree/ $HOST:$D/far/; diff -r tree far; \
         seq 10001 > tree/sub/b; rsync -a tree/ $HOST:$D/far/; rsync -a $HOST:$D/far/ back/; diff -r tree back; rsync -a --delete empty-not-there/ $HOST:$D/far/ 2>/dev/null || echo code $?",
    );
    ran.ok();
}

#[test]
fn standard_error_stays_apart() {
    need!("sshd");
    let lab = Lab::start();
    let ran = lab.pair.same(&[], &["echo out; echo err >&2; echo out2; exit 3"], &[]);
    assert_eq!((ran.text().as_str(), ran.errors().as_str(), ran.code()), ("out\nout2\n", "err\n", 3));
    lab.pair
        .same_script(&lab.site.scratch(), "$SSH $HOST 'seq 200000; seq 200000 >&2' 2>e | sha256sum; sha256sum < e")
        .ok();
}

#[test]
fn terminals_follow_the_window() {
    need!("sshd", "python3");
    let lab = Lab::start();
    let remote = "stty size; trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.05; done";
    let ways = [&lab.pair.direct, &lab.pair.gateway].map(|way| {
        let mut command = Command::new("python3");
        command.arg(data("window.py")).args(["ssh", "-F"]).arg(&way.config).args([
            "-o",
            "LogLevel=ERROR",
            "-tt",
            &way.host,
            remote,
        ]);
        run(&mut command, Vec::new(), MINUTE).facts()
    });
    assert_eq!(ways[0], (3, "24 80\nready\n50 132\n".to_owned(), String::new()));
    assert_eq!(ways[1], ways[0], "gateway (left), direct (right)");
}

#[test]
fn terminal_modes_and_shells() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair.same(&["-tt"], &["stty -a | tr -d '\\r'; echo $TERM; exit 4"], &[]);
    lab.pair.same(&["-T"], &[], b"echo hi; exit 9\n");
    lab.pair.same(&["-T"], &[], b"read x; echo got $x\nline\n");
}

#[test]
fn only_listed_variables_reach_the_element() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "AcceptEnv *", |_| ());
    let options = ["-o", "SetEnv=LC_TEST=yes LD_PRELOAD=/nowhere.so BASH_ENV=/x FOO=bar"];
    let direct = lab.pair.direct.feed(&options, &["echo ${LC_TEST-} ${FOO-}"], Vec::new());
    assert!(direct.text().contains("bar"), "the element takes any variable: {}", direct.text());
    let through = lab.pair.gateway.feed(&options, &["env | grep -E '^(LC_TEST|LD_PRELOAD|BASH_ENV|FOO)='"], Vec::new());
    assert_eq!(through.text(), "LC_TEST=yes\n");
}

#[test]
fn through_the_ssh_door_by_jump_and_by_user_name() {
    need!("sshd");
    let lab = Lab::start();
    let direct = lab.pair.direct.run(&["echo out; echo err >&2; id -un; exit 5"]).facts();
    for account_at_element in [false, true] {
        let door = lab.gateway.ssh_door("ada", "linux-1", account_at_element);
        assert_eq!(
            door.run(&["echo out; echo err >&2; id -un; exit 5"]).facts(),
            direct,
            "account@element: {account_at_element}"
        );
    }
}

#[test]
fn two_hundred_channels_share_one_connection() {
    need!("sshd");
    let lab = Lab::start();
    let ran = lab.pair.same_script(
        &lab.site.scratch(),
        "mkfifo gate; $SSH -fNM -S ctl $HOST; for i in $(seq 200); do $SSH -S ctl $HOST \"echo up $i; cat $D/gate; exit $((i % 256))\" > out.$i & pids[$i]=$!; done; \
         n=0; until [ $(cat out.* | grep -c up) = 200 ]; do n=$((n+1)); [ $n -lt 1200 ] || { echo only $(cat out.* | grep -c up); exit 1; }; sleep 0.1; done; : > gate; \
         for i in $(seq 200); do c=0; wait ${pids[$i]} || c=$?; [ $c = $((i % 256)) ] || echo wrong $i $c; done; $SSH -q -S ctl -O exit $HOST 2>/dev/null; echo all",
    );
    assert_eq!(ran.ok().text(), "all\n");
}

#[test]
fn subsystems_are_opened_by_name() {
    need!("sshd");
    let lab = Lab::start();
    // The input stays open until the answer has come: an sftp-server whose input has ended leaves without one.
    let hello = "rm -f held; mkfifo held; (printf '\\0\\0\\0\\5\\1\\0\\0\\0\\3'; cat held) | $SSH -s $HOST sftp \
         | { head -c 9 | tail -c +5 | od -An -tx1; : >held; }";
    assert_eq!(lab.pair.same_script(&lab.site.scratch(), hello).text(), " 02 00 00 00 03\n");
    assert_eq!(lab.pair.direct.feed(&["-s"], &["no-such"], Vec::new()).code(), 255);
    assert_eq!(lab.pair.gateway.feed(&["-s"], &["no-such"], Vec::new()).code(), 255);
}

#[test]
fn end_of_file_closes_one_direction_only() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair.same(&[], &["cat; echo done"], b"abc");
    lab.pair.same(&[], &["exec >&- 2>&-; cat >/dev/null; exit 5"], &[7; 300_000]);
    lab.pair.same(&["-n"], &["cat; echo after; exit 6"], &[]);
    lab.pair.same(&[], &["head -c 10; exit 2"], &[b'x'; 5_000_000]);
    lab.pair
        .same_script(
            &lab.site.scratch(),
            "(echo one; sleep 0.3; echo two) | $SSH $HOST 'while read l; do echo got $l; done; echo eof'",
        )
        .ok();
}

#[test]
fn keys_are_renewed_in_mid_transfer() {
    need!("sshd");
    let lab = Lab::start();
    let ran = lab.pair.same_script(
        &lab.site.scratch(),
        "head -c 24M /dev/urandom > f; $SSH -o RekeyLimit=1M $HOST cat < f | cmp - f && echo same; $SSH -v -o RekeyLimit=1M $HOST 'cat >/dev/null' < f 2>&1 | grep -c 'SSH2_MSG_NEWKEYS received' | \
         awk '{ print ($1 > 10) ? \"renewed\" : \"not renewed\" }'",
    );
    assert_eq!(ran.ok().text(), "same\nrenewed\n");
}

#[test]
fn keepalives_are_answered() {
    need!("sshd");
    let lab = Lab::start();
    let options = ["-vvv", "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=60"];
    // Quiet for long enough that the client asks; any answer (81 or 82, RFC 4254 section 4) will do, and one that is late is one.
    for way in [&lab.pair.direct, &lab.pair.gateway] {
        let ran = way.feed(&options, &["sleep 4; echo alive"], Vec::new()).ok();
        assert_eq!(ran.text(), "alive\n");
        let errors = ran.errors();
        let answer =
            |line: &&str| line.ends_with("receive packet: type 81") || line.ends_with("receive packet: type 82");
        assert!(errors.lines().map(str::trim_end).filter(answer).count() >= 2, "{errors}");
    }
}

#[test]
fn long_output_and_long_commands() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair.same(&[], &["seq 1000000"], &[]);
    let long = format!("echo {}", "x".repeat(20_000));
    lab.pair.same(&[], &[&long], &[]);
}

#[test]
fn many_connections_at_once() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair
        .same_script(
            &lab.site.scratch(),
            "for i in $(seq 12); do ($SSH $HOST \"seq $i 20000 | sha256sum; exit $i\" > o.$i; echo $? >> o.$i) & done; wait; cat $(seq -f o.%g 12)",
        )
        .ok();
}
