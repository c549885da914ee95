//! What the benches share: how much to do, percentiles, processor time, and a table.

#![allow(dead_code, unreachable_pub, reason = "each bench is a program and uses its part")]

use std::time::{Duration, Instant};

/// Whether this is a measurement (`cargo bench`) and not a try whether the bench still runs (`cargo test --benches`), which does each thing once, small.
pub fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// `much` when it is a measurement, else `little`.
pub fn amount<T>(much: T, little: T) -> T {
    if measuring() { much } else { little }
}

/// What single operations took.
pub struct Taken {
    /// The middle one.
    pub p50: Duration,
    /// The one that 99 of 100 do not exceed.
    pub p99: Duration,
    /// How many there were.
    pub count: usize,
}

impl Taken {
    /// Of these.
    pub fn of(mut each: Vec<Duration>) -> Self {
        each.sort_unstable();
        let at = |part: usize| each.get((each.len() * part / 100).min(each.len().saturating_sub(1))).copied();
        Self { p50: at(50).unwrap_or_default(), p99: at(99).unwrap_or_default(), count: each.len() }
    }

    /// Does `operation` `count` times, clock included.
    pub fn by(count: usize, mut operation: impl FnMut(usize)) -> Self {
        Self::of(
            (0..count)
                .map(|n| {
                    let begun = Instant::now();
                    operation(n);
                    begun.elapsed()
                })
                .collect(),
        )
    }
}

/// One line of a table: what, then the figures.
pub fn row(what: &str, figures: &str) {
    println!("{what:<58} {figures}");
}

/// A line with both percentiles.
pub fn percentiles(what: &str, taken: &Taken) {
    row(what, &format!("p50 {:>10.2?}  p99 {:>10.2?}  of {}", taken.p50, taken.p99, taken.count));
}

/// Processor time of this process so far, all threads.
pub fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(spent).expect("time spent is not negative")
}

/// Processor seconds for each GiB, when `bytes` took `spent`.
pub fn per_gib(spent: Duration, bytes: u64) -> f64 {
    spent.as_secs_f64() * (1_u64 << 30) as f64 / bytes as f64
}
