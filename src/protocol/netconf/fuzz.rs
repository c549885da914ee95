//! What must hold of anything that a client or an element says in NETCONF.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use bytes::BytesMut;

use super::actions::{BASE, Effect, Envelope, Reading};
use super::codec::{Decoder, Encoder, FrameError, Framing, Piece};
use super::prune::{Around, Judge, Pruner, Share};
use super::xml::{self, Limits, Token, Tokenizer};
use crate::domain::Verb;
use crate::domain::data::{DataTarget, Datastore, Model, Models};

const LIMITS: Limits = Limits { depth_max: 32, elements_max: 2_000 };
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Both framings: where the stream is cut changes nothing, and what was read is what is sent again.
pub(crate) fn framing(data: &[u8]) {
    for framing in [Framing::Chunked, Framing::EndOfMessage] {
        let whole = messages(framing, data, usize::MAX);
        assert_eq!(whole.as_ref().ok(), messages(framing, data, 1).as_ref().ok());
        for message in whole.into_iter().flatten() {
            let mut encoder = Encoder::new();
            encoder.switch(framing);
            let mut out = BytesMut::new();
            let piece = Piece::Data(message.clone().into());
            if encoder.encode(&piece, &mut out).and_then(|()| encoder.encode(&Piece::End, &mut out)).is_ok() {
                let again = messages(framing, &out, 7);
                assert!(message.is_empty() || again == Ok(vec![message]), "it is read as another message");
            } else {
                assert_eq!(framing, Framing::EndOfMessage);
            }
        }
    }
}

fn messages(framing: Framing, data: &[u8], cut: usize) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    decoder.switch(framing);
    let (mut all, mut message) = (Vec::new(), Vec::new());
    for piece in data.chunks(cut) {
        decoder.push(piece);
        while let Some(piece) = decoder.next_piece()? {
            match piece {
                Piece::Data(data) => message.extend_from_slice(&data),
                Piece::End => all.push(std::mem::take(&mut message)),
            }
        }
    }
    Ok(all)
}

/// XML: where it is cut changes nothing, every byte belongs to a token, and what is left when all may be seen is all of it.
pub(crate) fn xml(data: &[u8]) {
    let whole = tokens(data, usize::MAX);
    match (&whole, tokens(data, 3)) {
        (Some(whole), Some(cut)) => assert_eq!(*whole, cut),
        (whole, cut) => assert_eq!(whole.is_some(), cut.is_some()),
    }
    if let Some(raw) = whole {
        assert!(data.starts_with(&raw));
        assert!(data.iter().skip(raw.len()).all(u8::is_ascii_whitespace), "a byte belongs to no token");
    }
    drop(xml::read(data, LIMITS));
    prune(data);
}

fn tokens(data: &[u8], cut: usize) -> Option<Vec<u8>> {
    let (mut tokenizer, mut raw) = (Tokenizer::new(LIMITS.depth_max), Vec::new());
    for piece in data.chunks(cut) {
        tokenizer.push(piece);
        while tokenizer.next_token().ok()?.is_some() {
            raw.extend_from_slice(tokenizer.raw());
        }
    }
    tokenizer.finish().ok().map(|()| raw)
}

/// Allows what has an even number of letters, so that shapes of all kinds are cut out.
struct Even;

impl Judge for Even {
    fn share(&mut self, targets: &[DataTarget]) -> Share {
        match targets.first().map(|target| target.path.to_string().len() % 3) {
            Some(0) => Share::All,
            Some(1) => Share::Some,
            _ => Share::None,
        }
    }
}

/// What is left of an answer is an answer.
fn prune(data: &[u8]) {
    let reply = [format!("<rpc-reply xmlns=\"{BASE}\"><data>").as_bytes(), data, b"</data></rpc-reply>"].concat();
    let reading = Reading { verb: Verb::NetconfGet, datastores: vec![Datastore::Running] };
    let (mut tokenizer, mut pruner, mut shown) = (Tokenizer::new(LIMITS.depth_max), Pruner::new(reading), Vec::new());
    let models = models();
    tokenizer.push(&reply);
    while let Ok(Some(token)) = tokenizer.next_token() {
        pruner.take(&token, &tokenizer, &mut Around { models: &models, judge: &mut Even }, &mut shown);
        if matches!(token, Token::End) && tokenizer.depth() == 0 {
            let left = xml::read(&shown, Limits { elements_max: usize::MAX, ..LIMITS });
            assert!(left.is_ok() || tokens(&reply, usize::MAX).is_none(), "{}", String::from_utf8_lossy(&shown));
        }
    }
}

fn models() -> Models {
    let mut models = Models::default();
    let lists =
        vec![("/a/b".to_owned(), vec!["k".to_owned()]), ("/l".to_owned(), vec!["k".to_owned(), "j".to_owned()])];
    drop(models.add(&Model { name: "m".to_owned(), namespace: "urn:m".to_owned(), lists }));
    models
}

/// An RPC asks for something before it is forwarded, and each data target that it asks for is read back as the same.
pub(crate) fn rpc(data: &[u8]) {
    let Ok(envelope) = Envelope::read(data, LIMITS) else { return };
    let Ok(rpc) = envelope.rpc(&models()) else { return };
    let free = ["close-session", "delete-subscription"].contains(&&*rpc.what);
    assert!(free || !rpc.asks.is_empty(), "{} asks for nothing", rpc.what);
    assert!(!matches!(rpc.effect, Effect::Edit { ref changes, .. } if changes.is_empty()));
    for action in &rpc.asks {
        if let Ok(target) = action.object.parse::<DataTarget>() {
            assert_eq!(target.to_string(), action.object);
        }
    }
}
