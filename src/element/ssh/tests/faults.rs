//! Elements that are silent, broken, hostile or too fast.

use russh::{Preferred, cipher, kex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::domain::Outcome;
use crate::element::ssh::fake::{Fake, Manners};
use crate::element::{LinkEvent, LinkSink, Offer, Said};

/// Says `bytes`, then keeps the connection open or not.
async fn raw(bytes: &'static [u8], hold: bool) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            drop(stream.write_all(bytes).await);
            if hold {
                held.push(stream);
            } else {
                let mut hello = [0; 8];
                drop(stream.read(&mut hello).await);
            }
        }
    });
    (address, tasks)
}

async fn dialled(addresses: &[&str], seconds: f32) -> Result<String, DialError> {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { connect_timeout: Duration::from_secs_f32(seconds), ..config(dir.path()) };
    let element = element(addresses, &pinned(1), CERTIFICATE, "");
    open(&config, &element, &"admin".parse().unwrap(), Opening::Session).await.map(|(_, facts, _)| facts.address)
}

async fn shell(manners: Manners) -> (Link<Collector>, mpsc::Receiver<Seen>, Fake) {
    let (link, events, fake) = linked(Fake::start(manners, Preferred::DEFAULT).await).await;
    link.shell().await.unwrap();
    (link, events, fake)
}

async fn linked(fake: Fake) -> (Link<Collector>, mpsc::Receiver<Seen>, Fake) {
    let dir = tempfile::tempdir().unwrap();
    let element = element(&[&fake.address], &pinned(1), CERTIFICATE, "");
    let (link, _, events) =
        open(&config(dir.path()), &element, &"admin".parse().unwrap(), Opening::Session).await.unwrap();
    (link, events, fake)
}

#[tokio::test]
async fn silence_is_a_timeout_and_leads_to_the_next_address() {
    let (silent, _tasks) = raw(b"", true).await;
    assert!(matches!(dialled(&[&silent], 0.3).await, Err(DialError::Timeout(_))));
    let (stuck, _tasks) = raw(b"SSH-2.0-stuck\r\n", true).await;
    assert!(matches!(dialled(&[&stuck], 0.3).await, Err(DialError::Timeout(_))));
    let fake = Fake::start(Manners::default(), Preferred::DEFAULT).await;
    assert_eq!(dialled(&[&silent, "127.0.0.1:1", &fake.address], 9.0).await.unwrap(), fake.address);
}

#[tokio::test]
async fn broken_elements_are_unreachable() {
    let rows: [&'static [u8]; 6] = [
        b"",
        b"SSH-2.0-x\r\n",
        b"SSH-1.5-old\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-x\r\n\xff\xff\xff\xff\x04\x14aaaaaaaaaaaa",
        b"SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ];
    for bytes in rows {
        let (address, _tasks) = raw(bytes, false).await;
        let result = dialled(&[&address], 20.0).await;
        assert!(matches!(result, Err(DialError::Unreachable(_))), "{bytes:?} {result:?}");
    }
    let (flood, _tasks) = raw(Box::leak(vec![b'x'; 1 << 20].into_boxed_slice()), true).await;
    assert!(dialled(&[&flood], 5.0).await.is_err());
    assert!(matches!(dialled(&["127.0.0.1:1"], 5.0).await, Err(DialError::Unreachable(_))));
    assert!(matches!(dialled(&["no-such-name.invalid:22"], 20.0).await, Err(DialError::Unreachable(_))));
}

#[tokio::test]
async fn prefix_truncation_is_refused_before_the_login() {
    let without_strict = |ciphers: &'static [cipher::Name]| Preferred {
        kex: vec![kex::CURVE25519].into(),
        cipher: ciphers.into(),
        ..Preferred::DEFAULT
    };
    let dir = tempfile::tempdir().unwrap();
    for (ciphers, accepted) in
        [(&[cipher::CHACHA20_POLY1305][..], false), (&[cipher::CHACHA20_POLY1305, cipher::AES_256_CTR], true)]
    {
        let mut fake = Fake::start(Manners::default(), without_strict(ciphers)).await;
        let element = element(&[&fake.address], &pinned(1), CERTIFICATE, "");
        let result = open(&config(dir.path()), &element, &"admin".parse().unwrap(), Opening::Session).await;
        match result {
            Ok((_, facts, _)) => assert!(accepted && facts.algorithms.contains("no strict kex"), "{facts:?}"),
            Err(DialError::Algorithms(text)) => assert!(!accepted && fake.heard.try_recv().is_err(), "{text}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn an_element_that_refuses_the_channel() {
    let fake = Fake::start(Manners { refuses_channels: true, ..Manners::default() }, Preferred::DEFAULT).await;
    assert!(matches!(dialled(&[&fake.address], 20.0).await, Err(DialError::Refused { reason: 1, .. })));
}

#[tokio::test]
async fn an_element_opens_no_channel_of_its_own() {
    let (_link, mut events, mut fake) = shell(Manners { opens_channel: true, ..Manners::default() }).await;
    assert_eq!(events.recv().await, Some(Seen::Reply(true)));
    assert!(!own_channel(&mut fake).await, "the element got its channel");
}

#[tokio::test]
async fn a_channel_that_was_asked_for_is_still_refused_when_nobody_takes_it() {
    let fake = Fake::start(Manners { opens_channel: true, ..Manners::default() }, Preferred::DEFAULT).await;
    let (link, _events, mut fake) = linked(fake).await;
    link.agent().await.unwrap();
    link.shell().await.unwrap();
    assert!(!own_channel(&mut fake).await);
}

/// Takes every channel that is offered.
struct Taker(mpsc::Sender<Offer>);

impl LinkSink for Taker {
    async fn take(&mut self, _: LinkEvent<'_>) -> Result<(), Outcome> {
        Ok(())
    }

    fn offered(&mut self, offer: Offer) {
        self.0.try_send(offer).unwrap();
    }
}

#[tokio::test]
async fn a_channel_that_was_asked_for_has_a_path_of_its_own_and_ends_with_its_link() {
    let mut fake = Fake::start(Manners { opens_channel: true, ..Manners::default() }, Preferred::DEFAULT).await;
    let dir = tempfile::tempdir().unwrap();
    let element = element(&[&fake.address], &pinned(1), CERTIFICATE, "");
    for asks in [false, true] {
        let (offer, mut offers) = mpsc::channel(1);
        let account = "admin".parse().unwrap();
        let now = Timestamp::from_secs(i64::try_from(NOW).unwrap());
        let (config, minted) = (config(dir.path()), minted("admin"));
        let dialled = dial_as(&config, &element, &account, &minted, now, Opening::Session, Taker(offer));
        let (link, _) = dialled.await.unwrap();
        if asks {
            link.agent().await.unwrap();
        }
        link.shell().await.unwrap();
        if !asks {
            assert!(!own_channel(&mut fake).await && offers.try_recv().is_err());
            continue;
        }
        let (mut reader, writer) = offers.recv().await.unwrap().accept().await;
        assert!(own_channel(&mut fake).await);
        assert!(matches!(reader.next().await, Some(Said::Data(data)) if &data[..] == b"from the element"));
        writer.data(Bytes::from_static(b"hello")).await.unwrap();
        assert_eq!(fake.heard.recv().await.as_deref(), Some("said hello"));
        drop(link);
        assert!(reader.next().await.is_none() && writer.data(Bytes::from_static(b"late")).await.is_err());
    }
}

/// Whether the element got the channel that it opened.
async fn own_channel(fake: &mut Fake) -> bool {
    loop {
        match fake.heard.recv().await.unwrap().as_str() {
            "own channel false" => return false,
            "own channel true" => return true,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_flood_waits_for_a_slow_sink_and_nothing_is_lost() {
    let (_link, mut events, _fake) = shell(Manners { floods: 8 << 20, ..Manners::default() }).await;
    let seen = rest(&mut events).await;
    let bytes: usize = seen.iter().map(|s| if let Seen::Out(out) = s { out.len() } else { 0 }).sum();
    assert_eq!(bytes, 8 << 20);
    assert!(seen.ends_with(&[Seen::Signal("XCPU".into()), Seen::Closed]), "{:?}", seen.last());
}

#[tokio::test]
async fn a_dropped_link_ends_even_when_its_sink_is_stuck() {
    let (link, mut events, _fake) = shell(Manners { floods: 8 << 20, ..Manners::default() }).await;
    assert_eq!(events.recv().await, Some(Seen::Reply(true)));
    while events.len() < 4 {
        tokio::task::yield_now().await;
    }
    drop(link);
    let drained = async { while events.recv().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), drained).await.expect("the sink is let go");
}

#[tokio::test]
async fn a_sink_that_fails_ends_the_link() {
    let (link, events, _fake) = shell(Manners { floods: 8 << 20, ..Manners::default() }).await;
    drop(events);
    tokio::time::timeout(Duration::from_secs(10), link.closed()).await.expect("the link ends");
    assert!(link.data(Bytes::from_static(b"x")).await.is_err());
}

#[tokio::test]
async fn an_element_that_hangs_up_is_closed_once() {
    let (link, mut events, _fake) = shell(Manners { hangs_up: true, ..Manners::default() }).await;
    let mut seen = Vec::new();
    while let Some(event) = events.recv().await {
        seen.push(event);
    }
    assert_eq!(seen, [Seen::Reply(true), Seen::Closed]);
    link.closed().await;
}

/// Takes the place of a panic in the library, which runs in the same task.
struct Panics;

impl LinkSink for Panics {
    async fn take(&mut self, _: LinkEvent<'_>) -> Result<(), Outcome> {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn a_panic_ends_one_link_and_nothing_else() {
    let fake = Fake::start(Manners::default(), Preferred::DEFAULT).await;
    let dir = tempfile::tempdir().unwrap();
    let element = element(&[&fake.address], &pinned(1), CERTIFICATE, "");
    let admin: Account = "admin".parse().unwrap();
    let now = Timestamp::from_secs(i64::try_from(NOW).unwrap());
    let (healthy, _, mut events) = open(&config(dir.path()), &element, &admin, Opening::Session).await.unwrap();
    let (config, minted) = (config(dir.path()), minted("admin"));
    let (link, _) = dial_as(&config, &element, &admin, &minted, now, Opening::Session, Panics).await.unwrap();
    link.shell().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), link.closed()).await.expect("the link ends");
    assert!(link.data(Bytes::from_static(b"x")).await.is_err());
    healthy.shell().await.unwrap();
    assert_eq!(events.recv().await, Some(Seen::Reply(true)));
}
