//! Subscribe: once, by poll, or as a stream of what changes and of samples.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::body::{Bytes, Frame};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};

use super::edit::Place;
use super::gnmi::{Refused, Requests, framed, ietf, invalid, place, stamp, update, written};
use super::look;
use super::select::select;
use crate::lab::device::Device;
use crate::protocol::gnmi::wire::{Message, Writer};

const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL: Duration = Duration::from_secs(10);
/// The number of `SAMPLE` among modes of a subscription.
const SAMPLE: u64 = 2;

/// Leaves by their paths as they stand on the wire.
type Leaves = BTreeMap<Vec<u8>, (Place, Value)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Once,
    Poll,
    Stream,
}

/// What a client follows.
#[derive(Debug)]
pub(super) struct List {
    mode: Mode,
    ietf: bool,
    /// Each place, and whether it is told again without a change.
    places: Vec<(Place, bool)>,
    interval: Duration,
}

impl List {
    pub(super) fn read(message: &Message<'_>) -> Result<Self, Refused> {
        let list = message.message(1).ok_or_else(|| invalid("the first message is a subscription"))?;
        let mode = match list.number(5) {
            0 => Mode::Stream,
            1 => Mode::Once,
            _ => Mode::Poll,
        };
        let mut own = Self { mode, ietf: ietf(list.number(8))?, places: Vec::new(), interval: INTERVAL };
        for subscription in list.messages(2) {
            let samples = subscription.number(2) == SAMPLE;
            let wanted = Duration::from_nanos(subscription.number(3));
            if samples && !wanted.is_zero() {
                own.interval = own.interval.min(wanted.max(INTERVAL_MIN));
            }
            own.places.push((place(list.message(1), subscription.message(1))?, samples));
        }
        if own.places.is_empty() {
            return Err(invalid("there is nothing to follow"));
        }
        Ok(own)
    }

    fn leaves(&self, device: &Device, samples_only: bool) -> Leaves {
        let tree = look(device, false);
        let mut found = Leaves::new();
        for (place, _) in self.places.iter().filter(|(_, samples)| *samples || !samples_only) {
            for (at, value) in select(&tree, place) {
                leaves(&at, value, &mut found);
            }
        }
        found
    }
}

/// The leaves at and below a place.
fn leaves(at: &Place, value: &Value, found: &mut Leaves) {
    let below = |name: &str, key: Option<&str>| {
        let (module, name) = name.split_once(':').map_or((None, name), |(module, name)| (Some(module), name));
        at.child(module, name, key.map(str::to_owned)).ok()
    };
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if let Some(place) = below(name, None) {
                    leaves(&place, value, found);
                }
            }
        }
        Value::Array(entries) => {
            let key_name = at.node().and_then(|node| node.key()).unwrap_or_default();
            for entry in entries {
                let mut place = at.clone();
                if let Some(last) = place.steps.last_mut() {
                    last.key = entry.get(key_name).and_then(Value::as_str).map(str::to_owned);
                }
                leaves(&place, entry, found);
            }
        }
        value => drop(found.insert(written(at).finish(), (at.clone(), value.clone()))),
    }
}

/// Tells until the client has all of it, or goes.
pub(super) async fn run(
    list: List,
    requests: &mut Requests,
    device: &Device,
    to: &mpsc::Sender<Frame<Bytes>>,
) -> Result<(), Refused> {
    let mut changes = device.changes();
    let mut known = list.leaves(device, false);
    if !tell(&list, &Leaves::new(), &known, to).await || !synced(to).await {
        return Ok(());
    }
    if list.mode == Mode::Once {
        return Ok(());
    }
    let mut samples = interval_at(Instant::now() + list.interval, list.interval);
    let has_samples = list.mode == Mode::Stream && list.places.iter().any(|(_, samples)| *samples);
    let mut asks = true;
    loop {
        let taken = tokio::select! {
            () = to.closed() => false,
            changed = changes.changed(), if list.mode == Mode::Stream => {
                let now = list.leaves(device, false);
                let taken = changed.is_ok() && tell(&list, &known, &now, to).await;
                known = now;
                taken
            }
            _ = samples.tick(), if has_samples => tell(&list, &Leaves::new(), &list.leaves(device, true), to).await,
            message = requests.next(), if asks => match message {
                Some(_) if list.mode == Mode::Poll => {
                    tell(&list, &Leaves::new(), &list.leaves(device, false), to).await && synced(to).await
                }
                Some(_) => return Err(invalid("a stream has one subscription")),
                None => {
                    asks = false;
                    list.mode == Mode::Stream
                }
            },
        };
        if !taken {
            return Ok(());
        }
    }
}

/// Sends how `now` differs from `known`; whether the client took it.
async fn tell(list: &List, known: &Leaves, now: &Leaves, to: &mpsc::Sender<Frame<Bytes>>) -> bool {
    let (mut notification, mut any) = (Writer::new().number(1, stamp()), false);
    for (path, (at, value)) in now {
        if known.get(path).is_none_or(|(_, old)| old != value) {
            any = true;
            notification = notification.message(4, &update(at, value, list.ietf));
        }
    }
    for (at, _) in known.iter().filter(|(path, _)| !now.contains_key(*path)).map(|(_, gone)| gone) {
        any = true;
        notification = notification.message(5, &written(at));
    }
    if !any {
        return true;
    }
    send(Writer::new().message(1, &notification), to).await
}

async fn synced(to: &mpsc::Sender<Frame<Bytes>>) -> bool {
    send(Writer::new().number(3, 1), to).await
}

async fn send(message: Writer, to: &mpsc::Sender<Frame<Bytes>>) -> bool {
    let Some(frame) = framed(message) else { return false };
    to.send(frame).await.is_ok()
}
