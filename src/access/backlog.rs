//! What clients sent and elements have not taken yet, and what clients were promised to be taken: of one connection, and of all together.
//!
//! A channel's own limit bounds a channel. These two bound the sum, for a client that opens many channels and lets each of them stall.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Limits;

/// Of every connection together.
#[derive(Debug)]
pub(super) struct Backlogs {
    max: usize,
    waiting: AtomicUsize,
    promised: AtomicUsize,
    connections: AtomicUsize,
}

impl Backlogs {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            max: limits.queue_bytes_total_max,
            waiting: AtomicUsize::new(0),
            promised: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        })
    }

    /// For a connection that begins.
    pub(super) fn open(self: &Arc<Self>, limits: &Limits) -> Arc<Backlog> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Arc::new(Backlog {
            all: self.clone(),
            max: limits.queue_bytes_per_connection_max,
            waiting: AtomicUsize::new(0),
            promised: AtomicUsize::new(0),
        })
    }

    /// What each connection may hold while all together hold too much: whoever holds less than this is not the cause.
    fn share(&self) -> usize {
        self.max / self.connections.load(Ordering::Relaxed).max(1)
    }
}

/// Of one connection.
#[derive(Debug)]
pub struct Backlog {
    all: Arc<Backlogs>,
    max: usize,
    waiting: AtomicUsize,
    promised: AtomicUsize,
}

/// How full a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// This much may still be promised.
    Room(usize),
    /// It holds what it may: its windows stay shut until elements take some of it.
    Full,
    /// It holds so much more that the client cannot be minding its windows.
    Burst,
}

impl Backlog {
    /// Bytes came from the client.
    pub fn add(&self, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        self.all.waiting.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that were [added](Self::add) went on, or are dropped.
    pub fn take(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.all.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A promise to the client that `bytes` would be taken.
    pub fn promise(self: &Arc<Self>, bytes: usize) -> Promise {
        let mut promise = Promise { backlog: self.clone(), bytes: 0 };
        promise.set(bytes);
        promise
    }

    /// One of a gateway that has no other connection.
    #[cfg(test)]
    pub(crate) fn alone(limits: &Limits) -> Arc<Self> {
        Backlogs::new(limits).open(limits)
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How full it is. `channels` are its own.
    pub fn fill(&self, channels: usize) -> Fill {
        let own = self.waiting.load(Ordering::Relaxed);
        let all = self.all.waiting.load(Ordering::Relaxed);
        let share = self.all.share();
        // Every channel may have been given a little more than the sum allows, so that it can begin at all.
        let begun = channels.saturating_mul(2 * Self::BEGINNING as usize);
        let burst = |max: usize| max.saturating_mul(2).saturating_add(begun);
        let crowded = all > self.all.max.saturating_mul(2);
        if own > burst(self.max) || (crowded && own > burst(share.max(Self::HARMLESS))) {
            return Fill::Burst;
        }
        if own > self.max || (all > self.all.max && own > share) {
            return Fill::Full;
        }
        let left = |max: usize, waiting: usize, promised: &AtomicUsize| {
            max.saturating_sub(waiting).saturating_sub(promised.load(Ordering::Relaxed))
        };
        Fill::Room(left(self.max, own, &self.promised).min(left(self.all.max, all, &self.all.promised)))
    }

    /// The window with which a channel begins: four packets.
    pub const BEGINNING: u32 = 128 << 10;

    /// What a connection may hold whatever others do, without its channels being closed: that of an upload or two that stall.
    const HARMLESS: usize = 4 << 20;
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.all.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a client may still send on one channel; taken back on drop.
#[derive(Debug)]
pub struct Promise {
    backlog: Arc<Backlog>,
    bytes: usize,
}

impl Promise {
    /// It is this much now; how much it was.
    pub fn set(&mut self, bytes: usize) -> usize {
        for sum in [&self.backlog.promised, &self.backlog.all.promised] {
            sum.fetch_add(bytes, Ordering::Relaxed);
            sum.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        std::mem::replace(&mut self.bytes, bytes)
    }

    /// The client sent this much of it; how much of that was not promised.
    pub fn keep(&mut self, bytes: usize) -> usize {
        let beyond = bytes.saturating_sub(self.bytes);
        self.set(self.bytes.saturating_sub(bytes));
        beyond
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connection: usize, total: usize) -> Limits {
        Limits { queue_bytes_per_connection_max: connection, queue_bytes_total_max: total, ..Limits::default() }
    }

    #[test]
    fn a_connection_is_full_by_itself() {
        let limits = limits(10 << 20, 100 << 20);
        let all = Backlogs::new(&limits);
        let (busy, other) = (all.open(&limits), all.open(&limits));
        assert_eq!(busy.fill(1), Fill::Room(10 << 20));
        let mut promise = busy.promise(2 << 20);
        assert_eq!((busy.fill(1), other.fill(1)), (Fill::Room(8 << 20), Fill::Room(10 << 20)));
        assert_eq!(promise.keep(1 << 20), 0);
        busy.add(1 << 20);
        assert_eq!(busy.fill(1), Fill::Room(8 << 20), "what was promised came");
        assert_eq!(promise.keep(5 << 20), 4 << 20, "more than was promised");
        busy.add(9 << 20);
        assert_eq!(busy.fill(1), Fill::Room(0));
        busy.add(1);
        assert_eq!((busy.fill(1), other.fill(1)), (Fill::Full, Fill::Room(10 << 20)));
        busy.add(11 << 20);
        assert_eq!((busy.fill(1), busy.fill(5)), (Fill::Burst, Fill::Full));
        busy.take((21 << 20) + 1);
        assert_eq!(busy.fill(1), Fill::Room(10 << 20));
    }

    #[test]
    fn the_gateway_is_full_by_those_who_fill_it() {
        let limits = limits(10 << 20, 12 << 20);
        let all = Backlogs::new(&limits);
        let [one, two, small] = [(); 3].map(|()| all.open(&limits));
        one.add(7 << 20);
        two.add(7 << 20);
        small.add(1 << 20);
        assert_eq!((one.fill(1), two.fill(1), small.fill(1)), (Fill::Full, Fill::Full, Fill::Room(0)));
        one.add(9 << 20);
        assert_eq!(two.fill(1), Fill::Full, "no more than twice its share");
        two.add(2 << 20);
        small.add(4 << 20);
        assert_eq!((two.fill(1), small.fill(1)), (Fill::Burst, Fill::Full), "who holds little keeps its channels");
        small.take(4 << 20);
        one.take(16 << 20);
        drop(one);
        assert_eq!(two.fill(1), Fill::Room(1 << 20));
    }

    #[test]
    fn what_is_dropped_is_given_back() {
        let limits = limits(10 << 20, 12 << 20);
        let all = Backlogs::new(&limits);
        let one = all.open(&limits);
        drop(one.promise(3 << 20));
        drop(one);
        let left = [&all.waiting, &all.promised, &all.connections].map(|sum| sum.load(Ordering::Relaxed));
        assert_eq!(left, [0; 3]);
    }
}
