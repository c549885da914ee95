//! Audit appends with receipts: alone and from 64 writers, beside the disk's own `fdatasync`.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sallyport::audit::{Config, Log, Signer};
use sallyport::domain::{Event, Timestamp};

const WRITERS: u64 = 64;

fn event(n: u64) -> Event {
    Event::Alarm {
        what: "bench".to_owned(),
        detail: format!("entry {n} of a bench, about as long as a denial is in a real log: {}", "x".repeat(300)),
    }
}

/// `iterations` appends, shared out among `writers`.
async fn append(log: &Log, writers: u64, iterations: u64) -> Duration {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let (log, share) = (log.clone(), iterations / writers + u64::from(writer < iterations % writers));
        tasks.spawn(async move {
            for n in 0..share {
                let receipt = log.append(Timestamp::from_secs(1_800_000_000), event(n)).await.expect("a good disk");
                black_box(receipt.seq());
            }
        });
    }
    tasks.join_all().await;
    begun.elapsed()
}

fn bench(c: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let signer = Signer::open_or_create(&dir.path().join("key.pem")).expect("a key");
    let config = Config {
        dir: dir.path().join("audit"),
        segment_bytes_max: 64 << 20,
        pending_max: 1024,
        sync_timeout: Duration::from_secs(20),
    };
    let log = Log::open(config, signer).expect("a log");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");

    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(5));
    let mut plain = File::create(dir.path().join("plain")).expect("a file");
    group.bench_function("write and fdatasync", |b| {
        b.iter(|| {
            plain.write_all(&[b'x'; 700]).expect("a good disk");
            plain.sync_data().expect("a good disk");
        });
    });
    for writers in [1, WRITERS] {
        group.bench_function(format!("{writers} writers"), |b| {
            b.iter_custom(|iterations| runtime.block_on(append(&log, writers, iterations)));
        });
    }
    group.finish();
    runtime.block_on(log.close());
}

criterion_group!(benches, bench);
criterion_main!(benches);
