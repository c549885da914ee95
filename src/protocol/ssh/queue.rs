//! What the client sent and the element has not taken yet.
//!
//! The client's connection must never wait for an element: it would stop every other channel with it, and two full directions would wait for
//! each other for ever. So its bytes are queued here without waiting, and what closes the client's window is the queue's length
//! (see [`Windows`]).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::access::{Backlog, Fill};

/// One thing from the client, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Bytes, not seen by policy or recorder yet.
    Data(Bytes),
    /// Bytes for the element that an inspector made.
    Made(Bytes),
    /// No more bytes will come.
    Eof,
}

/// What need not wait its turn behind bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    /// The window has this size now.
    Resize { columns: u32, rows: u32, pixel_width: u32, pixel_height: u32 },
    /// Send this signal to the command.
    Signal(String),
}

/// What an item takes beside its bytes: many small ones must not pass for little.
const ITEM_BYTES: usize = 64;
/// Signals that may wait; more are dropped, as a terminal would.
const SIGNALS_MAX: usize = 16;
/// Bytes of an inspector's making that may wait: what a client sends is less at a time, so more comes of an element that asks and does not read.
const MADE_BYTES_MAX: usize = 512 << 10;

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    made: VecDeque<Bytes>,
    made_bytes: usize,
    bytes: usize,
    resize: Option<Control>,
    signals: VecDeque<Control>,
}

impl Waiting {
    fn next_control(&mut self) -> Option<Control> {
        self.resize.take().or_else(|| self.signals.pop_front())
    }
}

/// A channel's queue. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    more: Notify,
    /// That of the connection.
    backlog: Arc<Backlog>,
}

impl Queue {
    pub(super) fn new(backlog: Arc<Backlog>) -> Self {
        Self(Arc::new(Shared { waiting: Mutex::default(), more: Notify::new(), backlog }))
    }

    /// Puts bytes of the client behind what waits; returns how many bytes wait now.
    pub(super) fn push(&self, item: Item) -> usize {
        let bytes = self.with(|w| {
            w.bytes += item.len();
            w.items.push_back(item);
            w.bytes
        });
        self.0.more.notify_one();
        bytes
    }

    /// Puts bytes that an inspector let out behind those it let out earlier, and before what it has not seen. `false`: too much waits there.
    #[must_use]
    pub(super) fn push_made(&self, bytes: Bytes) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let fits = self.with(|w| {
            w.made_bytes += bytes.len() + ITEM_BYTES;
            w.bytes += bytes.len() + ITEM_BYTES;
            w.made.push_back(bytes);
            w.made_bytes <= MADE_BYTES_MAX
        });
        self.0.more.notify_one();
        fits
    }

    pub(super) fn control(&self, control: Control) {
        self.with(|w| match control {
            Control::Resize { .. } => w.resize = Some(control),
            Control::Signal(_) if w.signals.len() < SIGNALS_MAX => w.signals.push_back(control),
            Control::Signal(_) => {}
        });
        self.0.more.notify_one();
    }

    /// The next thing to do, controls first. Cancel safe.
    pub(super) async fn next(&self) -> Next {
        loop {
            let next = self.with(|w| {
                if let Some(control) = w.next_control() {
                    return Some(Next::Control(control));
                }
                let item = match w.made.pop_front() {
                    Some(made) => {
                        w.made_bytes -= made.len() + ITEM_BYTES;
                        Item::Made(made)
                    }
                    None => w.items.pop_front()?,
                };
                w.bytes -= item.len();
                Some(Next::Item(item))
            });
            match next {
                Some(next) => return next,
                None => self.0.more.notified().await,
            }
        }
    }

    /// The next control, for whoever waits for the element to take an item. Cancel safe.
    pub(super) async fn next_control(&self) -> Control {
        loop {
            match self.with(Waiting::next_control) {
                Some(control) => return control,
                None => self.0.more.notified().await,
            }
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.with(|w| w.bytes)
    }

    fn with<T>(&self, f: impl FnOnce(&mut Waiting) -> T) -> T {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = waiting.bytes;
        let answer = f(&mut waiting);
        match waiting.bytes.checked_sub(before) {
            Some(more) => self.0.backlog.add(more),
            None => self.0.backlog.take(before - waiting.bytes),
        }
        answer
    }
}

/// What nobody will take any more waits no longer.
impl Drop for Shared {
    fn drop(&mut self) {
        self.backlog.take(self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner).bytes);
    }
}

/// What [`Queue::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Item(Item),
    Control(Control),
}

impl Item {
    fn len(&self) -> usize {
        match self {
            Self::Data(bytes) | Self::Made(bytes) => bytes.len() + ITEM_BYTES,
            Self::Eof => ITEM_BYTES,
        }
    }
}

/// Decides the window that the next grant to a channel of one client connection aims at.
///
/// The SSH library keeps one aim for all channels of a connection and asks only when it has just granted a window. So while some channel is
/// over its limit, the aim alternates: a grant of two bytes, which any channel may take, then one small window, for a channel that is not over
/// its limit. A channel over its limit can take such a window by chance; when that has made any queue twice too long, everybody gets two bytes
/// at a time until it is shorter. The same goes for a connection that holds all it may; on the way there its windows shrink.
#[derive(Debug)]
pub(super) struct Windows {
    full: u32,
    limit: usize,
    small_next: bool,
}

/// The smallest aim with which the library still makes grants.
const TRICKLE: u32 = 2;
/// A window for others while one channel is over its limit: two packets.
const SMALL: u32 = 64 << 10;

impl Windows {
    pub(super) fn new(full: u32, limit: usize) -> Self {
        Self { full, limit, small_next: false }
    }

    /// The next aim, after a grant to a channel whose queue holds `own` bytes while the longest queue of the connection holds `longest` and all of
    /// them together are as full as `fill`.
    pub(super) fn aim(&mut self, own: usize, longest: usize, fill: Fill) -> u32 {
        let Fill::Room(room) = fill else { return TRICKLE };
        if longest <= self.limit {
            return u32::try_from(room / 4).unwrap_or(u32::MAX).clamp(SMALL.min(self.full), self.full);
        }
        if own > self.limit || longest > self.limit.saturating_mul(2).saturating_add(self.full as usize) {
            return TRICKLE;
        }
        self.small_next = !self.small_next;
        if self.small_next { SMALL } else { TRICKLE }
    }

    /// Whether a queue has become so long that the client cannot be minding its window.
    pub(super) fn broken(&self, own: usize, fill: Fill) -> bool {
        fill == Fill::Burst || own > self.limit.saturating_mul(4).saturating_add((self.full as usize).saturating_mul(4))
    }

    /// Whether a packet of `len` bytes to a queue of `own` bytes is part of a trickle, which is paced.
    pub(super) fn trickles(&self, len: usize, own: usize, fill: Fill) -> bool {
        len <= TRICKLE as usize && (own > self.limit || !matches!(fill, Fill::Room(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Limits;

    fn queue() -> (Queue, Arc<Backlog>) {
        let backlog = Backlog::alone(&Limits::default());
        (Queue::new(backlog.clone()), backlog)
    }

    #[tokio::test]
    async fn order_is_kept_and_controls_overtake() {
        let (queue, backlog) = queue();
        assert_eq!(queue.push(Item::Data(Bytes::from_static(b"abc"))), 3 + ITEM_BYTES);
        assert_eq!(queue.push(Item::Eof), 3 + 2 * ITEM_BYTES);
        queue.control(Control::Signal("INT".to_owned()));
        let size = |columns| Control::Resize { columns, rows: 1, pixel_width: 0, pixel_height: 0 };
        queue.control(size(1));
        queue.control(size(2));
        assert!(queue.push_made(Bytes::from_static(b"x")) && queue.push_made(Bytes::from_static(b"y")));
        assert_eq!(queue.next().await, Next::Control(size(2)));
        assert_eq!(queue.next().await, Next::Control(Control::Signal("INT".to_owned())));
        assert_eq!(queue.next().await, Next::Item(Item::Made(Bytes::from_static(b"x"))));
        assert_eq!(queue.next().await, Next::Item(Item::Made(Bytes::from_static(b"y"))));
        assert_eq!(queue.next().await, Next::Item(Item::Data(Bytes::from_static(b"abc"))));
        assert_eq!(queue.next().await, Next::Item(Item::Eof));
        assert_eq!((queue.bytes(), backlog.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn a_control_comes_while_an_item_is_on_its_way() {
        let (queue, _) = queue();
        queue.push(Item::Data(Bytes::from_static(b"abc")));
        let waiting = queue.clone();
        let control = tokio::spawn(async move { waiting.next_control().await });
        tokio::task::yield_now().await;
        queue.push(Item::Eof);
        queue.control(Control::Signal("HUP".to_owned()));
        assert_eq!(control.await.expect("no panic"), Control::Signal("HUP".to_owned()));
        assert_eq!(queue.next().await, Next::Item(Item::Data(Bytes::from_static(b"abc"))));
        assert_eq!(queue.next().await, Next::Item(Item::Eof));
    }

    #[tokio::test]
    async fn what_is_made_is_bounded_and_counted() {
        let (queue, backlog) = queue();
        let fitting = (0..10_000).take_while(|_| queue.push_made(Bytes::from_static(&[7; 100]))).count();
        assert_eq!(fitting, MADE_BYTES_MAX / (100 + ITEM_BYTES));
        assert_eq!(queue.bytes(), (fitting + 1) * (100 + ITEM_BYTES));
        for _ in 0..=fitting {
            queue.next().await;
        }
        assert_eq!(queue.bytes(), 0);
        assert!(queue.push_made(Bytes::from_static(b"x")));
        assert_eq!(backlog.waiting(), 1 + ITEM_BYTES);
        drop(queue);
        assert_eq!(backlog.waiting(), 0, "what nobody will take is not held");
    }

    const MIB: usize = 1 << 20;

    #[test]
    fn windows_close_for_the_long_queue_and_stay_usable_for_others() {
        let mut windows = Windows::new(2 << 20, MIB);
        let plenty = Fill::Room(64 * MIB);
        assert_eq!(windows.aim(0, MIB, plenty), 2 << 20);
        assert_eq!(windows.aim(2 * MIB, 2 * MIB, plenty), TRICKLE);
        assert_eq!((windows.aim(0, 2 * MIB, plenty), windows.aim(0, 2 * MIB, plenty)), (SMALL, TRICKLE));
        assert_eq!((windows.aim(0, 5 * MIB, plenty), windows.aim(0, 5 * MIB, plenty)), (TRICKLE, TRICKLE));
        assert!(!windows.broken(4 * MIB, plenty) && windows.broken(13 * MIB, plenty));
        let trickles = |len, own| windows.trickles(len, own, plenty);
        assert!(trickles(2, 2 * MIB) && !trickles(3, 2 * MIB) && !trickles(2, 0));
    }

    #[test]
    fn windows_shrink_as_the_connection_fills_and_close_when_it_is_full() {
        let mut windows = Windows::new(2 << 20, MIB);
        for (fill, expected) in [
            (Fill::Room(8 * MIB), 2 << 20),
            (Fill::Room(4 * MIB), 1 << 20),
            (Fill::Room(0), SMALL),
            (Fill::Full, TRICKLE),
            (Fill::Burst, TRICKLE),
        ] {
            assert_eq!(windows.aim(0, 0, fill), expected, "{fill:?}");
        }
        assert_eq!(Windows::new(1 << 15, MIB).aim(0, 0, Fill::Room(0)), 1 << 15, "no more than was asked for");
        assert!(!windows.broken(0, Fill::Full) && windows.broken(0, Fill::Burst));
        assert!(windows.trickles(2, 0, Fill::Full) && !windows.trickles(3, 0, Fill::Full));
    }
}
