//! What recording costs: terminal output in bulk, content that does not pack, and keystrokes.

use std::time::Duration;

use base64::Engine;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sallyport::audit::Signer;
use sallyport::domain::{
    Account, Action, Assurance, DecisionFacts, Door, Effect, ElementName, Identity, Outcome, Reason, RequestFacts,
    Revision, SessionFacts, SessionId, Timestamp, Verb,
};
use sallyport::recording::{Config, Frame, Recorder, Store, Stream};

const BULK: usize = 16 * 1024 * 1024;

fn facts(n: u64) -> SessionFacts {
    let opened_at = Timestamp::from_secs(1_800_000_000);
    let mut random = [7; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    let session = SessionId::new(opened_at, random);
    let identity: Identity = "spiffe://carrier.example/user/ada".parse().expect("an identity");
    let element: ElementName = "core-rtr-1".parse().expect("an element");
    let account: Account = "admin".parse().expect("an account");
    SessionFacts {
        session,
        protocol: "ssh".to_owned(),
        request: RequestFacts {
            identity,
            device: None,
            assurance: Assurance::MutualTls,
            door: Door::Mtls,
            source: [192, 0, 2, 7].into(),
            element,
            account,
            action: Action::new(Verb::SshRawShell, ""),
        },
        decision: DecisionFacts {
            effect: Effect::Allow,
            rule: None,
            reason: Reason::RuleAllows,
            revision: Revision::new("ab".repeat(32)),
        },
        credential: "x509:01".to_owned(),
        peer: ([192, 0, 2, 7], 50022).into(),
        opened_at,
        recording: Store::path_of(session, opened_at),
    }
}

fn record(recorder: &Recorder, content: &[u8], piece: usize) {
    for data in content.chunks(piece) {
        recorder
            .write(Timestamp::from_secs(1_800_000_001), &Frame::Data { channel: 0, stream: Stream::Output, data })
            .expect("a good disk");
    }
}

fn bench(c: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let signer = Signer::open_or_create(&dir.path().join("key.pem")).expect("a key");
    let config = Config {
        dir: dir.path().join("recordings"),
        sync_interval: Duration::from_millis(200),
        sync_timeout: Duration::from_secs(5),
        mark_interval: Duration::from_secs(5),
        bytes_max: u64::MAX,
        free_bytes_min: 0,
    };
    let store = Store::open(config, signer).expect("a store");
    let mut noise = vec![0; BULK];
    aws_lc_rs::rand::fill(&mut noise).expect("random bytes");
    let base64 = base64::engine::general_purpose::STANDARD.encode(&noise[..BULK / 4 * 3]).into_bytes();
    let table: Vec<u8> = b"GigabitEthernet0/0/1   192.0.2.14      YES NVRAM  up                    up\r\n"
        .iter()
        .copied()
        .cycle()
        .take(BULK)
        .collect();

    let mut n = 0;
    let mut fresh = || {
        n += 1;
        store.create(&facts(n)).expect("a recording")
    };
    for (name, content) in [("base64", &base64), ("table", &table), ("noise", &noise)] {
        let recorder = fresh();
        record(&recorder, content, 32 * 1024);
        let sealed = recorder.seal(Timestamp::from_secs(1_800_000_002), Outcome::ClientClosed).expect("a seal");
        println!("{name}: {:.3} bytes stored for each", sealed.bytes as f64 / content.len() as f64);
    }
    let mut group = c.benchmark_group("recorder");
    group.sample_size(10);
    for (name, content, piece) in [
        ("base64 by 32 KiB", &base64, 32 * 1024),
        ("base64 by 4 KiB", &base64, 4096),
        ("table by 4 KiB", &table, 4096),
        ("noise by 32 KiB", &noise, 32 * 1024),
    ] {
        group.throughput(Throughput::Bytes(content.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched(&mut fresh, |recorder| record(&recorder, content, piece), BatchSize::PerIteration)
        });
    }
    group.throughput(Throughput::Elements(1));
    let recorder = fresh();
    group.bench_function("one keystroke", |b| b.iter(|| record(&recorder, b"x", 1)));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
