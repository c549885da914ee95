//! A disk that is full, read-only, failing or hanging, and a recording that is long enough: sessions end, and nothing passes unrecorded.

use std::fs;
use std::process::Command;

use super::id;
use crate::harness::client::Live;
use crate::harness::element::{Profile, Sshd};
use crate::harness::gateway::Site;
use crate::harness::lab::Lab;
use crate::harness::{SOON, Tmpfs, find, need, wait_until};

const RECORDER_FAILED: &str = "the session can no longer be recorded, so it was ended";

/// A gateway whose recordings have a small disk of their own, before it is started.
fn on_a_disk_of(size: &str) -> (Site, Tmpfs) {
    let site = Site::new();
    let disk = Tmpfs::mount(site.path().join("data/recordings"), size);
    (site, disk)
}

/// The element `linux-1`, on which `ada` may do everything.
fn element(site: &mut Site) -> Sshd {
    let sshd = Sshd::start(&site.scratch().join("linux-1"), Profile::Modern, Some(&site.element_ca()), "");
    site.element("linux-1", &sshd, "");
    site.grant("ada", "linux-1");
    sshd
}

#[test]
fn a_full_disk_ends_sessions_and_nothing_passes_unrecorded() {
    need!("root", "sshd", "mount");
    let (mut site, _disk) = on_a_disk_of("4m");
    let _sshd = element(&mut site);
    site.configure("recording", "free_bytes_min", 0);
    site.configure("limits", "bulk_kept_bytes_max", 1 << 30);
    let gateway = site.start();
    let way = gateway.client("ada", "linux-1");
    let ran = way.run(&["i=0; while [ $i -lt 2000000 ]; do i=$((i+1)); echo $i-$RANDOM$RANDOM$RANDOM$RANDOM; done"]);
    assert_ne!(ran.code(), 0, "it was ended");
    assert!(ran.errors().contains(RECORDER_FAILED), "{}", ran.errors());
    let shown = ran.text();
    let seen = shown.rsplit_once('\n').map_or("", |(whole, _)| whole).lines().count();
    let id = site.sessions().last().map(id).expect("it is listed");
    let text = site.as_ada(&["export", &id, "--format", "text"]).text().replace('\r', "");
    assert!(
        text.contains(shown.lines().nth(seen.saturating_sub(1)).expect("a line")),
        "the last line a person saw is on record: {seen} lines"
    );
    let next = way.run(&["echo reached"]);
    assert!(next.code() != 0 && !next.text().contains("reached"), "with a full disk nothing opens");
    assert_eq!(gateway.http("/readyz").0.contains(" 200 "), false, "and the gateway says it is not ready");
}

#[test]
fn a_read_only_disk_opens_nothing() {
    need!("root", "sshd", "mount");
    let (mut site, disk) = on_a_disk_of("64m");
    let _sshd = element(&mut site);
    site.configure("recording", "free_bytes_min", 0);
    let gateway = site.start();
    let way = gateway.client("ada", "linux-1");
    way.run(&["true"]).ok();
    site.closed_session();
    disk.remount("ro");
    let ran = way.run(&["echo reached"]);
    assert!(ran.code() != 0 && !ran.text().contains("reached"), "{}", ran.text());
    assert!(ran.errors().contains("record"), "the person is told why: {}", ran.errors());
    disk.remount("rw");
    wait_until("it works again", SOON, || way.run(&["true"]).code() == 0);
}

#[test]
fn a_disk_that_cannot_sync_ends_sessions() {
    need!("root", "sshd", "strace");
    let lab = Lab::start();
    let mut live = Live::start(
        &lab.pair.gateway,
        &lab.site.scratch(),
        "live",
        &["-tt"],
        "while :; do echo tick; sleep 0.05; done",
        "tick",
    );
    let mut strace = Command::new(find("strace").expect("asked for"));
    strace.args([
        "-f",
        "-q",
        "-e",
        "trace=fsync,fdatasync,sync_file_range",
        "-e",
        "inject=fsync,fdatasync:error=EIO",
        "-o",
        "/dev/null",
        "-p",
    ]);
    let _failing = crate::harness::process::Process::start(
        &lab.site.scratch(),
        "strace",
        strace.arg(lab.gateway.process.id().to_string()),
    );
    live.ends_within(SOON);
    let told = live.process.all();
    assert!(told.contains(RECORDER_FAILED), "{told}");
    let next = lab.pair.gateway.run(&["echo reached"]);
    assert!(next.code() != 0 && !next.text().contains("reached"), "nothing opens without a durable log");
}

/// Holds up every sync of the gateway's for a minute, while it lives.
fn hang_the_disk(lab: &Lab) -> crate::harness::process::Process {
    let mut strace = Command::new(find("strace").expect("asked for"));
    strace.args(["-f", "-q", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=60000000"]);
    strace.args(["-o", "/dev/null", "-p"]).arg(lab.gateway.process.id().to_string());
    crate::harness::process::Process::start(&lab.site.scratch(), "strace", &mut strace)
}

#[test]
fn a_disk_that_hangs_ends_sessions() {
    need!("root", "sshd", "strace");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.configure("recording", "sync_timeout_ms", 1_000);
        site.configure("audit", "sync_timeout_ms", 1_000);
        site.configure("limits", "drain_grace_ms", 500);
    });
    let tick = "while :; do echo tick; sleep 0.05; done";
    let mut live = Live::start(&lab.pair.gateway, &lab.site.scratch(), "live", &["-tt"], tick, "tick");
    let hanging = hang_the_disk(&lab);
    live.ends_within(SOON);
    assert!(live.process.all().contains(RECORDER_FAILED), "{}", live.process.all());
    assert!(!lab.gateway.http("/readyz").0.contains(" 200 "), "the gateway says that it is not ready");
    let begun = std::time::Instant::now();
    let next = lab.pair.gateway.run(&["echo reached"]);
    assert!(next.code() != 0 && !next.text().contains("reached"), "nothing opens: {}", next.all());
    assert!(begun.elapsed() < SOON, "and nobody waits for it: {:?}", begun.elapsed());
    // A gateway that is told to stop does, though its log cannot be closed.
    let Lab { mut gateway, site, sshd: _sshd, .. } = lab;
    gateway.process.signal("TERM");
    let status = format!("/proc/{}/status", gateway.process.id());
    // What held up its threads has yet to let go of them.
    wait_until("it has ended", SOON, || fs::read_to_string(&status).is_ok_and(|status| status.contains("State:\tZ")));
    drop(hanging);
    gateway.process.ended(SOON);
    let _gateway = site.restart(&[]);
    site.verify(&[&site.path().join("data")]).ok();
}

/// Output that does not pack, with pauses in which the client catches up, so that it can be told why it ends.
const GUSHES: &str = "while :; do head -c 150000 /dev/urandom | base64; sleep 0.01; done";

#[test]
fn a_disk_that_fills_up_ends_the_largest_writer_first() {
    need!("root", "sshd", "mount");
    let (mut site, _disk) = on_a_disk_of("64m");
    let _sshd = element(&mut site);
    site.configure("recording", "free_bytes_min", 48 << 20);
    let gateway = site.start();
    let way = gateway.client("ada", "linux-1");
    let tick = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done";
    let mut quiet = Live::start(&way, &site.scratch(), "quiet", &["-tt"], tick, "tick 1");
    let ran = way.feed(&["-tt"], &[GUSHES], Vec::new());
    assert!(ran.all().contains(RECORDER_FAILED), "{} bytes, then {}", ran.out.len(), ran.errors());
    let ticks = |out: &str| out.matches("tick").count();
    let before = ticks(&quiet.process.out());
    wait_until("the other one goes on", SOON, || ticks(&quiet.process.out()) > before + 10);
    assert!(quiet.process.running());
    let ended = site.closed_session();
    assert_eq!(ended["outcome"], "recorder-failed", "{ended}");
    assert!(ended["detail"].to_string().contains("nearly full"), "{ended}");
    let verified = site.verify(&[&site.recording(&ended)]).ok();
    assert!(verified.text().contains("sealed (recorder-failed)"), "what it was is sealed: {}", verified.text());
    let next = way.run(&["echo reached"]);
    assert!(next.code() != 0 && !next.text().contains("reached"), "{}", next.all());
}

#[test]
fn a_session_that_records_too_much_ends_with_a_clear_message() {
    need!("sshd");
    let lab = Lab::with(Profile::Modern, "", |site| site.configure("limits", "recording_bytes_max", 1 << 20));
    let ran = lab.pair.gateway.feed(&["-tt"], &[GUSHES], Vec::new());
    assert!(ran.all().contains("as much as is recorded of one session has been recorded"), "{}", ran.errors());
    let session = lab.site.closed_session();
    assert_eq!(session["outcome"], "recording-full", "{session}");
    let size = fs::metadata(lab.site.recording(&session)).expect("the recording").len();
    assert!((1 << 20..2 << 20).contains(&size), "{size} bytes");
    lab.site.verify(&[&lab.site.path().join("data")]).ok();
    lab.pair.gateway.run(&["true"]).ok();
}
