//! What must hold of any bytes in the place of a RESTCONF request.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use super::actions::{ROOT, Seen, asked};
use crate::domain::Verb;
use crate::domain::data::{DataTarget, Model, Models};

/// A method, a URL and a media type, each after a line end, then the body: what is asked for is asked for again by the one form that goes on, and
/// each data target reads back.
pub(crate) fn restconf_request(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let (Some(method), Some(url), Some(media)) = (text(), text(), text()) else { return };
    let body = parts.next().unwrap_or_default();
    let mut models = Models::default();
    let lists = vec![("/interfaces/interface".to_owned(), vec!["name".to_owned()])];
    let model = Model { name: "ifs".to_owned(), namespace: String::new(), lists };
    if let Err(error) = models.add(&model) {
        panic!("{error}");
    }
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    let media = Some(media).filter(|media| !media.is_empty());
    let Ok(first) = asked(&Seen { method, path, query, media, body }, &models) else { return };
    assert!(!first.actions.is_empty(), "nothing passes undecided");
    for action in &first.actions {
        let named = matches!(action.verb, Verb::RestconfOperation | Verb::RestconfStream);
        assert!(
            named || action.object.parse::<DataTarget>().is_ok_and(|target| target.to_string() == action.object),
            "{action}"
        );
    }
    let path = format!("/{ROOT}{}", first.path);
    let query = first.query.strip_prefix('?');
    let again = asked(&Seen { method, path: &path, query, media, body }, &models);
    assert_eq!(again.as_ref(), Ok(&first), "{path}");
}
