//! Audit appends with receipts: alone and from 64 writers, beside the disk's own `fdatasync`, and again when the log is ten times as long.

mod support;

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use sallyport::audit::{Config, Log, Signer};
use sallyport::domain::{Event, Timestamp};
use support::{Taken, amount, percentiles, row};

const WRITERS: usize = 64;

fn event(n: usize) -> Event {
    Event::Alarm {
        what: "bench".to_owned(),
        detail: format!("entry {n} of a bench, about as long as a denial is in a real log: {}", "x".repeat(300)),
    }
}

/// `count` appends, shared out among `writers`: what each took, and how long all of them did.
async fn append(log: &Log, writers: usize, count: usize) -> (Taken, Duration) {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..writers {
        let log = log.clone();
        tasks.spawn(async move {
            let mut each = Vec::with_capacity(count / writers);
            for n in 0..count / writers {
                let begun = Instant::now();
                let _receipt = log.append(Timestamp::from_secs(1_800_000_000), event(n)).await.expect("a good disk");
                each.push(begun.elapsed());
            }
            each
        });
    }
    let each = tasks.join_all().await.concat();
    (Taken::of(each), begun.elapsed())
}

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let signer = Signer::open_or_create(&dir.path().join("key.pem")).expect("a key");
    let config = Config {
        dir: dir.path().join("audit"),
        segment_bytes_max: 64 << 20,
        pending_max: 1024,
        sync_timeout: Duration::from_secs(60),
    };
    let log = Log::open(config, signer).expect("a log");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");

    let mut plain = File::create(dir.path().join("plain")).expect("a file");
    let sync = Taken::by(amount(5_000, 5), |_| {
        plain.write_all(&[b'x'; 700]).expect("a good disk");
        plain.sync_data().expect("a good disk");
    });
    percentiles("the disk's own: 700 bytes, write and fdatasync", &sync);
    let many = amount(200_000, WRITERS * 2);
    let mut length = 0;
    for stage in ["", ", log ten times as long"] {
        let (one, _) = runtime.block_on(append(&log, 1, amount(3_000, 5)));
        percentiles(&format!("append with receipt, 1 writer{stage}"), &one);
        let (each, all) = runtime.block_on(append(&log, WRITERS, many));
        percentiles(&format!("append with receipt, {WRITERS} writers{stage}"), &each);
        let rate = each.count as f64 / all.as_secs_f64();
        row(
            &format!("  appends in a second{stage}"),
            &format!(
                "{rate:.0}, {:.1} times the disk's own; p99 is {:.1} of its p50",
                rate * sync.p50.as_secs_f64(),
                each.p99.as_secs_f64() / sync.p50.as_secs_f64()
            ),
        );
        length += one.count + each.count;
        if stage.is_empty() {
            runtime.block_on(append(&log, WRITERS * 8, length * 9));
            length *= 10;
        }
    }
    runtime.block_on(log.close());
}
