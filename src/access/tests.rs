//! Slots for clients that are not identified yet.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::fixture::Gateway;
use super::{Access, Slot};
use crate::domain::Door;

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Slot<'a>, String>> + 'a>>;

fn source(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn ask(access: &Access, last: u8) -> Waiting<'_> {
    Box::pin(access.handshake_slot(Door::Ssh, source(last)))
}

/// Whether it has its slot; asked once, as a task that was not woken since would not be asked again.
fn has_its_slot<'a>(waiting: &mut Waiting<'a>) -> Option<Slot<'a>> {
    match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(slot) => Some(slot.expect("the gateway goes on")),
        Poll::Pending => None,
    }
}

/// The most that one source has: `limits.handshakes_max / 8`.
const OF_ONE: usize = 32;

#[tokio::test]
async fn a_source_waits_for_its_own_slots_and_for_nobody_elses() {
    let gateway = Gateway::with_policy("", |policy| policy);
    let access = &gateway.access;
    let mut held = Vec::new();
    for _ in 0..OF_ONE {
        held.push(access.handshake_slot(Door::Ssh, source(1)).await.expect("a slot"));
    }
    let mut one_more = ask(access, 1);
    assert!(has_its_slot(&mut one_more).is_none(), "it has all it may have");
    assert!(access.handshake_slot(Door::Ssh, source(2)).await.is_ok(), "another source");
    assert!(access.handshake_slot(Door::Mtls, source(1)).await.is_ok(), "another door");
    let woken = tokio::spawn({
        let access = access.clone();
        async move { access.handshake_slot(Door::Ssh, source(1)).await.is_ok() }
    });
    tokio::task::yield_now().await;
    held.clear();
    assert!(woken.await.expect("no panic"), "it was woken");
    assert!(has_its_slot(&mut one_more).is_some());
}

#[tokio::test]
async fn whoever_gives_up_while_it_waits_wakes_the_next() {
    let gateway = Gateway::with_policy("", |policy| policy);
    let access = &gateway.access;
    // Others have every place of the door, and keep them.
    let mut others = Vec::new();
    for last in 2..10 {
        for _ in 0..OF_ONE {
            others.push(access.handshake_slot(Door::Ssh, source(last)).await.expect("a slot"));
        }
    }
    let mut in_line: Vec<_> = (0..OF_ONE).map(|_| ask(access, 1)).collect();
    assert!(in_line.iter_mut().all(|waiting| has_its_slot(waiting).is_none()));
    let next = tokio::spawn({
        let access = access.clone();
        async move { access.handshake_slot(Door::Ssh, source(1)).await.is_ok() }
    });
    tokio::task::yield_now().await;
    assert!(!next.is_finished());
    in_line.clear();
    tokio::task::yield_now().await;
    // A place comes free without anybody of this source giving one back.
    let [_, ssh] = &access.handshakes;
    ssh.add_permits(1);
    let woken = tokio::time::timeout(std::time::Duration::from_secs(20), next).await;
    assert!(woken.expect("it was not woken: its turn came and nobody said so").expect("no panic"));
}
