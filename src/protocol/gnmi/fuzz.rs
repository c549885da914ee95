//! What must hold of anything that a client or an element says in gRPC.

use super::codec::Framer;
use super::method::Method;
use super::path::{Place, View};
use super::schema::PATH;
use super::text::text;
use super::wire::Message;
use crate::domain::Verb;
use crate::domain::data::{DataPath, DataTarget, Models};

/// What is forwarded is what came, wherever it was cut.
pub(crate) fn framing(data: &[u8]) {
    let Some((size, body)) = data.split_first() else { return };
    let whole = framed(body, usize::MAX);
    assert_eq!(framed(body, usize::from(*size).max(1)), whole, "where it is cut changes nothing");
    if let Ok(whole) = whole {
        assert_eq!(whole.concat(), body);
    }
}

fn framed(body: &[u8], size: usize) -> Result<Vec<Vec<u8>>, super::codec::FrameError> {
    let mut framer = Framer::new(1 << 16);
    let mut whole = Vec::new();
    for mut piece in body.chunks(size.min(body.len()).max(1)) {
        while let Some(message) = framer.take(&mut piece)? {
            whole.push(message.into_bytes());
        }
    }
    framer.finish().map(|()| whole)
}

/// A path that is decided has one form.
pub(crate) fn path(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (prefix, path) = data.split_at_checked(at).unwrap_or_default();
    let path = path.strip_prefix(&[0]).unwrap_or(path);
    let (Ok(prefix), Ok(path)) = (Message::read(&PATH, prefix), Message::read(&PATH, path)) else { return };
    let models = Models::default();
    match (View { element: "r1", models: &models }).place(Some(&prefix), Some(&path)) {
        Ok(Place::Data(path)) => assert_eq!(path.to_string().parse::<DataPath>(), Ok(path)),
        Ok(Place::Command(Some(line))) => assert!(!line.is_empty() && !line.chars().any(char::is_control)),
        Ok(Place::Command(None)) | Err(_) => {}
    }
}

/// Nothing is forwarded undecided, and every object of a decision reads.
pub(crate) fn request(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let method = parts.next().and_then(|method| std::str::from_utf8(method).ok()).and_then(Method::find);
    let (Some(method), Some(message)) = (method, parts.next()) else { return };
    let models = Models::default();
    if let Ok(actions) = method.decide(message, &View { element: "r1", models: &models }) {
        assert!(!actions.is_empty());
        for action in &actions {
            match action.verb {
                Verb::GnmiGet | Verb::GnmiUpdate | Verb::GnmiReplace | Verb::GnmiDelete | Verb::GnmiSubscribe => {
                    assert!(action.object.parse::<DataTarget>().is_ok(), "{action}");
                }
                Verb::GnoiRpc => assert!(action.object.starts_with(method.path), "{action}"),
                _ => {}
            }
        }
    }
    method.later(message, message).ok();
    for cap in [0, 40, 100_000] {
        for schema in [method.request, method.response] {
            let (shown, _) = text(schema, message, cap);
            assert!(shown.len() <= cap + 400);
        }
    }
}
