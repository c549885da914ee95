use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

use super::body::{UnderWay, idle};
use super::guard::Guard;
use crate::access::HttpLimits;

fn guarded(opaque: bool) -> (DuplexStream, Guard<DuplexStream>, Arc<AtomicBool>) {
    let (client, inner) = tokio::io::duplex(1 << 16);
    let opaque = Arc::new(AtomicBool::new(opaque));
    let header_timeout = Duration::from_millis(300);
    let limits = HttpLimits { header_bytes_max: 100, header_timeout, ..HttpLimits::default() };
    (client, Guard::new(inner, &limits, opaque.clone()), opaque)
}

#[tokio::test]
async fn headers_pass_whole_or_not_at_all() {
    let (mut client, mut guard, _) = guarded(false);
    client.write_all(b"GET / HTTP/1.1\r\nHost").await.expect("room");
    let mut bytes = [0; 64];
    assert!(tokio::time::timeout(Duration::from_millis(20), guard.read(&mut bytes)).await.is_err(), "incomplete");
    client.write_all(b": x\r\n\r\n").await.expect("room");
    let count = guard.read(&mut bytes).await.expect("complete");
    assert_eq!(&bytes[..count], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    client.write_all(b"GET / ").await.expect("room");
    let late = guard.read(&mut bytes).await.expect_err("they did not come in time");
    assert_eq!(late.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn after_a_refusal_nothing_passes() {
    for text in
        ["GET / HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nA : b\r\n\r\nGET / HTTP/1.1\r\n\r\n"]
    {
        let (mut client, mut guard, _) = guarded(false);
        client.write_all(text.as_bytes()).await.expect("room");
        let mut all = Vec::new();
        guard.read_to_end(&mut all).await.expect("an end");
        assert_eq!(all, b"\0\r\n\r\n", "{text:?}");
    }
    let (mut client, mut guard, _) = guarded(false);
    client.write_all(&[b'a'; 300]).await.expect("room");
    let mut all = Vec::new();
    guard.read_to_end(&mut all).await.expect("an end");
    assert_eq!(all.len(), 100, "as much as is too much");
}

#[tokio::test]
async fn what_left_http_passes_as_it_is() {
    let (mut client, mut guard, opaque) = guarded(false);
    client.write_all(b"GET /ws HTTP/1.1\r\n\r\n").await.expect("room");
    let mut bytes = [0; 64];
    assert_eq!(guard.read(&mut bytes).await.expect("a request"), 20);
    opaque.store(true, Ordering::Release);
    client.write_all(b"\x81\x00\n").await.expect("room");
    let count = guard.read(&mut bytes).await.expect("bytes");
    assert_eq!(&bytes[..count], b"\x81\x00\n");
}

#[tokio::test]
async fn a_connection_is_idle_when_nothing_is_under_way() {
    let (count, after) = (watch::Sender::new(0), Duration::from_millis(10));
    let one = UnderWay::one(&count);
    assert!(tokio::time::timeout(Duration::from_millis(100), idle(&count, after)).await.is_err());
    drop(one);
    assert!(tokio::time::timeout(Duration::from_secs(20), idle(&count, after)).await.is_ok());
}
