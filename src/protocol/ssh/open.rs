//! The channels that a client has open, and how much it may send on each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use russh::server::Msg;
use russh::{ChannelId, ChannelWriteHalf};

use super::channel::Setup;
use super::connection::{Arrival, Connection};
use super::queue::{Item, Windows};
use super::tether::Carried;
use crate::access::{Backlog, Promise};

/// One open channel of the client.
pub(super) struct Open {
    pub(super) arrival: Arrival,
    /// Until the client says what it wants.
    pub(super) fresh: Option<Fresh>,
    /// What the client may still send.
    promise: Promise,
    /// When something came last.
    heard: Option<Instant>,
    /// What was left of the window before it was granted anew for the packet that comes next.
    left: Option<usize>,
    /// What came beyond the window.
    beyond: usize,
    /// Whether the client said that it sends no more.
    pub(super) input_ended: bool,
}

pub(super) struct Fresh {
    pub(super) write: ChannelWriteHalf<Msg>,
    pub(super) setup: Setup,
}

/// Bytes that a channel may hold before the client has said what it wants.
const UNDECIDED_BYTES_MAX: usize = 64 << 10;

/// Bytes beyond its windows that a channel may be sent in all: nobody should, and who goes on is not minding them.
const BEYOND_BYTES_MAX: usize = 1 << 20;

/// The channels of one connection.
pub(super) struct Channels {
    open: HashMap<ChannelId, Open>,
    windows: Windows,
    backlog: Arc<Backlog>,
    beginning: u32,
    carried: Arc<Carried>,
    rekey_bytes: u64,
}

/// A channel on which nothing came for this long has nothing on its way.
const UNDER_WAY: Duration = Duration::from_secs(10);

/// What is to be done about bytes that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// Nothing.
    Queued,
    /// The next packet may wait a little: the client has nearly no window.
    Trickle,
    /// The client does not mind what it was told; the channel is to be closed.
    TooMuch(&'static str),
}

impl Channels {
    pub(super) fn new(connection: &Connection) -> Self {
        let limits = connection.access.limits();
        Self {
            open: HashMap::new(),
            windows: Windows::new(limits.window_bytes, limits.queue_bytes_max),
            backlog: connection.backlog.clone(),
            beginning: limits.window_bytes.min(Backlog::BEGINNING),
            carried: connection.carried.clone(),
            rekey_bytes: limits.rekey_bytes as u64,
        }
    }

    /// How many there are. One that the client has closed counts until it is over.
    pub(super) fn count(&mut self) -> usize {
        self.forget();
        self.open.len()
    }

    /// Forgets those that are over.
    pub(super) fn forget(&mut self) {
        self.open.retain(|_, open| !open.arrival.over.is_cancelled());
    }

    pub(super) fn insert(&mut self, id: ChannelId, arrival: Arrival) {
        let promise = self.backlog.promise(self.beginning as usize);
        self.open
            .insert(id, Open { arrival, fresh: None, promise, heard: None, left: None, beyond: 0, input_ended: false });
    }

    pub(super) fn get(&self, id: ChannelId) -> Option<&Open> {
        self.open.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ChannelId) -> Option<&mut Open> {
        self.open.get_mut(&id)
    }

    /// Takes bytes of the client.
    pub(super) fn receive(&mut self, id: ChannelId, data: &[u8]) -> Received {
        let count = self.open.len();
        let Some(open) = self.open.get_mut(&id).filter(|_| !data.is_empty()) else { return Received::Queued };
        open.heard = Some(Instant::now());
        open.beyond += match open.left.take() {
            Some(left) => data.len().saturating_sub(left),
            None => open.promise.keep(data.len()),
        };
        let waiting = open.arrival.queue.push(Item::Data(Bytes::copy_from_slice(data)));
        let fill = self.backlog.fill(count);
        let too_much = if open.fresh.is_some() && waiting > UNDECIDED_BYTES_MAX {
            "it sends before it has said what it wants"
        } else if open.beyond > BEYOND_BYTES_MAX || self.windows.broken(waiting, fill) {
            "it sends more than its window"
        } else if self.windows.trickles(data.len(), waiting, fill) {
            return Received::Trickle;
        } else {
            return Received::Queued;
        };
        open.arrival.over.cancel();
        Received::TooMuch(too_much)
    }

    /// The window to grant next, after that of `id` was granted anew to `granted`; the packet that used it up is received only then.
    pub(super) fn granted(&mut self, id: ChannelId, granted: u32) -> u32 {
        let mut own = 0;
        if let Some(open) = self.open.get_mut(&id) {
            open.left = Some(open.promise.set(granted as usize));
            own = open.arrival.queue.bytes();
        }
        let longest = match self.open.len() {
            1 => own,
            _ => self.open.values().map(|open| open.arrival.queue.bytes()).max().unwrap_or(own),
        };
        let sending = self.open.values().filter(|open| open.heard.is_some_and(|at| at.elapsed() < UNDER_WAY)).count();
        let until_rekey = until_rekey(self.rekey_bytes, self.carried.most(), self.beginning, sending);
        self.windows.aim(own, longest, self.backlog.fill(self.open.len())).min(until_rekey)
    }
}

/// What may be granted to one channel in view of the next change of keys, when `sending` channels are under way.
///
/// When the gateway begins one, what is on its way from the client is let in, but the library takes more than twice the window with which
/// channels begin for an attack. It does not tell when keys were changed, so this counts what was `carried` from the beginning: no promise
/// reaches past the last tenth before the first change, and from there on all that send share what a channel begins with.
fn until_rekey(rekey_bytes: u64, carried: u64, beginning: u32, sending: usize) -> u32 {
    let left = (rekey_bytes / 10 * 9).saturating_sub(carried);
    // What is aimed at now is granted only when half of what was granted before is used up.
    let share = (left / 4).max(u64::from(beginning)) / (sending.max(1) as u64);
    u32::try_from(share).unwrap_or(u32::MAX).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_do_not_reach_past_a_change_of_keys() {
        const GIB: u64 = 1 << 30;
        const BEGINNING: u32 = Backlog::BEGINNING;
        for (carried, sending, expected) in [
            (0, 1, 966_367_640),
            (0, 0, 966_367_640),
            (3 * GIB, 1, 161_061_272),
            (3 * GIB, 3, 53_687_090),
            (3_865_000_000, 1, BEGINNING),
            (4 * GIB, 1, BEGINNING),
            (400 * GIB, 4, BEGINNING / 4),
            (400 * GIB, 1_000_000, 2),
        ] {
            assert_eq!(until_rekey(4 * GIB, carried, BEGINNING, sending), expected, "{carried} {sending}");
        }
    }
}
