//! Asking for notifications: RFC 5277, RFC 8639, RFC 8641.

use super::filter::of_filter;
use super::operation::{filtered, other};
use super::{Asked, Effect, NOTIFICATION, Refused, Rpc, SUBSCRIBED, YANG_PUSH};
use crate::domain::{Action, Verb};

/// The stream that is meant when none is named.
const DEFAULT_STREAM: &str = "NETCONF";
/// The longest name of a stream.
const NAME_BYTES_MAX: usize = 256;

/// `create-subscription` (RFC 5277 §2.1).
pub(super) fn create(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    asked.only(&["stream", "filter", "startTime", "stopTime"].map(|name| (NOTIFICATION, name)))?;
    let stream = asked.word(NOTIFICATION, "stream")?.unwrap_or(DEFAULT_STREAM);
    // What it compares is in notifications that may be read; only its form matters.
    of_filter(asked.parameter(NOTIFICATION, "filter"))?;
    of_stream("create-subscription", stream)
}

fn of_stream(operation: &str, stream: &str) -> Result<Rpc, Refused> {
    if stream.len() > NAME_BYTES_MAX {
        return Err(Refused::invalid("the name of the stream is too long"));
    }
    let asks = vec![Action::new(Verb::NetconfSubscribe, stream)];
    Ok(Rpc { what: format!("{operation} {stream}"), effect: Effect::Subscribe(asks.clone()), asks, reads: None })
}

/// The operations of RFC 8639 §2.4.
pub(super) fn subscribed(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    let operation = &*asked.element.name.local;
    match operation {
        "establish-subscription" => establish(asked),
        // A session ends its own subscriptions only.
        "delete-subscription" => {
            asked.only(&[(SUBSCRIBED, "id")])?;
            Ok(Rpc { what: operation.to_owned(), asks: Vec::new(), reads: None, effect: Effect::None })
        }
        // What a modified filter would show is not known without the subscription that it modifies.
        "modify-subscription" => Err(Refused::unsupported("delete the subscription and establish another")),
        _ => other(asked),
    }
}

fn establish(asked: &Asked<'_>) -> Result<Rpc, Refused> {
    let own = [
        "stream",
        "stream-subtree-filter",
        "stream-xpath-filter",
        "replay-start-time",
        "stop-time",
        "encoding",
        "dscp",
    ];
    let push = ["datastore", "datastore-subtree-filter", "datastore-xpath-filter", "periodic", "on-change"];
    let known: Vec<_> =
        own.iter().map(|name| (SUBSCRIBED, *name)).chain(push.iter().map(|name| (YANG_PUSH, *name))).collect();
    asked.only(&known)?;
    if asked.parameter(YANG_PUSH, "datastore").is_none() {
        filtered(asked, SUBSCRIBED, "stream-subtree-filter", "stream-xpath-filter")?;
        let stream = asked.word(SUBSCRIBED, "stream")?.ok_or_else(|| Refused::invalid("`stream` is missing"))?;
        return of_stream("establish-subscription", stream);
    }
    if asked.parameter(SUBSCRIBED, "stream").is_some() {
        return Err(Refused::invalid("a subscription is to a stream or a datastore"));
    }
    let datastore = asked.identified_datastore(YANG_PUSH)?;
    let mut selected = filtered(asked, YANG_PUSH, "datastore-subtree-filter", "datastore-xpath-filter")?;
    // Updates are not pruned, so all of what is selected must be readable.
    selected.wholes.append(&mut selected.parts);
    let mut asks = vec![Action::new(Verb::NetconfSubscribe, "yang-push")];
    asks.extend(selected.asks(Verb::NetconfGetData, &[datastore]));
    Ok(Rpc {
        what: format!("establish-subscription {datastore}"),
        effect: Effect::Subscribe(asks.clone()),
        asks,
        reads: None,
    })
}
