//! Back-pressure: the slow hold up their own, nobody else, and no memory.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::client::MINUTE;
use crate::harness::lab::Lab;
use crate::harness::{need, wait_for, wait_until};

#[test]
fn echo_into_a_pause_does_not_deadlock() {
    need!("sshd");
    let lab = Lab::start();
    let ran = lab.pair.same_script(&lab.site.scratch(), "head -c 192M /dev/zero | $SSH $HOST cat | (sleep 2; wc -c)");
    assert_eq!(ran.ok().text(), "201326592\n");
}

#[test]
fn a_stalled_channel_delays_no_other() {
    need!("sshd");
    let lab = Lab::start();
    let ran = lab.pair.gateway.script(
        &lab.site.scratch(),
        "$SSH -fNM -S ctl $HOST; mkfifo hold never; ($SSH -S ctl $HOST 'head -c 64M /dev/zero' > hold) & big=$!; exec 9< hold; \
         (head -c 64M /dev/zero | $SSH -S ctl $HOST \"echo up; cat $D/never >/dev/null\" > up) & \
         until grep -q up up; do sleep 0.05; done; sleep 1; \
         for i in $(seq 20); do $SSH -S ctl $HOST \"echo $i\"; done; head -c 64M <&9 | wc -c; wait $big; : > never; $SSH -q -S ctl -O exit $HOST 2>/dev/null; wait",
    );
    let expected: String = (1..=20).map(|i| format!("{i}\n")).chain(["67108864\n".to_owned()]).collect();
    assert_eq!(ran.ok().text(), expected);
}

#[test]
fn a_stalled_upload_takes_bounded_memory() {
    need!("sshd");
    let lab = Lab::start();
    let before = lab.gateway.memory_kib();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut ssh = lab.pair.gateway.command("ssh");
            ssh.args(["linux-1", "sleep 600"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = ssh.spawn().expect("ssh runs");
            let mut pipe = child.stdin.take().expect("piped");
            let writer = std::thread::spawn(move || {
                // Ends when the client is killed.
                let zeros = vec![0_u8; 1 << 20];
                let mut sent = 0_usize;
                while std::io::Write::write_all(&mut pipe, &zeros).is_ok() && sent < 512 {
                    sent += 1;
                }
                sent
            });
            (child, writer)
        })
        .collect();
    // The upload has stalled when the gateway's memory and its count of bytes stand still.
    let mut last = (0, Instant::now());
    wait_until("the uploads stall", MINUTE, || {
        let now = lab.gateway.memory_kib();
        if now.abs_diff(last.0) > 256 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(3)
    });
    let grown = lab.gateway.memory_kib().saturating_sub(before);
    for (mut child, writer) in clients {
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        let sent = writer.join().expect("a writer");
        assert!(sent < 64, "{sent} MiB went somewhere: the client was not held up");
    }
    assert!(grown < 96 * 1024, "four stalled uploads took {grown} KiB");
}

#[test]
fn a_slow_reader_holds_up_the_element() {
    need!("sshd");
    let lab = Lab::start();
    let progress = lab.site.scratch().join("progress");
    let remote = format!("for i in $(seq 400); do head -c 1M /dev/zero; echo $i > {}; done", progress.display());
    let mut ssh = lab
        .pair
        .gateway
        .command("ssh")
        .args(["linux-1", &remote])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh runs");
    let sent = || std::fs::read_to_string(&progress).ok().and_then(|t| t.trim().parse::<u32>().ok()).unwrap_or(0);
    let mut last = (0, Instant::now());
    let held = wait_for("the element is held up", MINUTE, || {
        let now = sent();
        if now != last.0 {
            last = (now, Instant::now());
        }
        (now > 0 && last.1.elapsed() > Duration::from_secs(2)).then_some(now)
    });
    assert!(held < 64, "the element could send {held} MiB to a client that reads nothing");
    let mut out = ssh.stdout.take().expect("piped");
    let all = std::io::copy(&mut out, &mut std::io::sink()).expect("a pipe");
    assert!(ssh.wait().expect("our own child").success());
    assert_eq!(all, 400 << 20);
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    need!("sshd");
    let lab = Lab::start();
    let marker = lab.site.scratch().join("alive");
    let remote = format!(
        "trap 'rm -f {0}; exit' HUP PIPE TERM; : > {0}; while :; do echo x; sleep 0.05; done",
        marker.display()
    );
    let mut ssh = lab
        .pair
        .gateway
        .command("ssh")
        .args(["-tt", "linux-1", &remote])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("ssh runs");
    wait_until("the command runs", MINUTE, || marker.exists());
    ssh.kill().expect("our own child");
    ssh.wait().expect("our own child");
    wait_until("the command is told", MINUTE, || !marker.exists());
    assert_eq!(lab.site.closed_session()["outcome"], "client-closed");
}
