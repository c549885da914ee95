//! What recording costs: terminal output, content that does not pack, keystrokes; beside `zstd -1` and SHA-256 of the same bytes, and at ten times
//! the length.

mod support;

use std::time::{Duration, Instant};

use base64::Engine;
use sallyport::audit::Signer;
use sallyport::domain::{
    Account, Action, Assurance, DecisionFacts, Door, Effect, ElementName, Identity, Outcome, Reason, RequestFacts,
    Revision, SessionFacts, SessionId, Timestamp, Verb,
};
use sallyport::recording::{Config, Frame, Recorder, Store, Stream};
use support::{Taken, amount, cpu, per_gib, percentiles, row};

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

/// Records `content` in pieces: what each took.
fn record(recorder: &Recorder, content: &[u8], piece: usize) -> Vec<Duration> {
    let at = Timestamp::from_secs(1_800_000_001);
    let write = |data: &[u8]| {
        let begun = Instant::now();
        recorder.write(at, &Frame::Data { channel: 0, stream: Stream::Output, data }).expect("a good disk");
        begun.elapsed()
    };
    content.chunks(piece).map(write).collect()
}

/// What cannot be done without: the same pieces through zstd at its fastest level, and SHA-256 of what comes of it.
fn pack_and_digest(content: &[u8], piece: usize) {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut packer = zstd::bulk::Compressor::new(1).expect("zstd");
    for data in content.chunks(piece) {
        digest.update(&packer.compress(data).expect("memory"));
    }
    std::hint::black_box(digest.finish());
}

struct Bench {
    store: Store,
    made: u64,
}

impl Bench {
    fn fresh(&mut self) -> Recorder {
        self.made += 1;
        self.store.create(&facts(self.made)).expect("a recording")
    }

    /// One kind of content in pieces of one size, `times` over in one recording; gives the processor seconds for each GiB.
    fn measure(&mut self, name: &str, content: &[u8], piece: usize, times: usize) -> f64 {
        let bytes = (content.len() * times) as u64;
        let recorder = self.fresh();
        let begun = cpu();
        let each: Vec<_> = (0..times).flat_map(|_| record(&recorder, content, piece)).collect();
        let sealed = recorder.seal(Timestamp::from_secs(1_800_000_002), Outcome::ClientClosed).expect("a seal");
        let spent = per_gib(cpu() - begun, bytes);
        let begun = cpu();
        (0..times).for_each(|_| pack_and_digest(content, piece));
        let least = per_gib(cpu() - begun, bytes);
        let what = format!("{name} by {} KiB, {} MiB", piece >> 10, bytes >> 20);
        row(
            &what,
            &format!(
                "{spent:.2} CPU s/GiB; zstd -1 and SHA-256 {least:.2}; {:.3} stored for each byte",
                sealed.bytes as f64 / bytes as f64
            ),
        );
        percentiles("  one piece", &Taken::of(each));
        spent
    }
}

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let signer = Signer::open_or_create(&dir.path().join("key.pem")).expect("a key");
    let config = Config {
        dir: dir.path().join("recordings"),
        sync_interval: Duration::from_millis(100),
        sync_timeout: Duration::from_secs(60),
        mark_interval: sallyport::recording::MARK_INTERVAL,
        bytes_max: u64::MAX,
        free_bytes_min: 0,
    };
    let mut bench = Bench { store: Store::open(config, signer).expect("a store"), made: 0 };
    let bulk = amount(64 << 20, 256 << 10);
    let mut noise = vec![0; bulk];
    aws_lc_rs::rand::fill(&mut noise).expect("random bytes");
    let base64 = base64::engine::general_purpose::STANDARD.encode(&noise[..bulk / 4 * 3]).into_bytes();
    let line = b"GigabitEthernet0/0/1   192.0.2.14      YES NVRAM  up                    up\r\n";
    let table: Vec<u8> = line.iter().copied().cycle().take(bulk).collect();

    for (name, content) in [("base64", &base64), ("table", &table), ("noise", &noise)] {
        for piece in [4 << 10, 32 << 10] {
            bench.measure(name, content, piece, 1);
        }
    }
    let (short, long) = (bench.measure("base64", &base64, 32 << 10, 1), bench.measure("base64", &base64, 32 << 10, 10));
    row("ten times the length, for each byte", &format!("{:.2} times the cost", long / short));
    let recorder = bench.fresh();
    percentiles("one keystroke", &Taken::of(record(&recorder, &noise[..bulk.min(20_000)], 1)));
}
