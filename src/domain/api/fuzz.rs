//! What must hold of any bytes in the place of API documents, requests of an API, and answers that are masked.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use std::sync::OnceLock;

use super::{Document, Json, Pointer, Seen, masked};

/// What the set's example ships.
const EXAMPLE: &str = include_str!("../../../examples/subscriber-identity/apis/subscriber.json");

/// A document is read or its mistakes are told, each with its place.
pub(crate) fn api_document(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Document::read(text) {
        Ok(document) => {
            let header = |_: &str| Ok(None);
            let segments = ["v1".to_owned(), "a".to_owned()];
            let seen = Seen { method: "GET", segments: &segments, query: &[], header: &header, media: None, body: b"" };
            document.judge(&seen);
        }
        Err(mistakes) => assert!(mistakes.iter().all(|mistake| !mistake.text.is_empty()) && !mistakes.is_empty()),
    }
}

/// A method, a path, a query, each before a line end, then a body. What a document has is told in one form that policy cannot misread.
pub(crate) fn api_request(data: &[u8]) {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| Document::read(EXAMPLE).unwrap_or_default());
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (method, path, query) = (text(), text(), text());
    let body = parts.next().unwrap_or_default();
    let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
    let query: Vec<(String, String)> =
        query.split('&').filter_map(|part| part.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let header = |_: &str| Ok(None);
    let media = Some("application/json");
    let judged =
        document.judge(&Seen { method: &method, segments: &segments, query: &query, header: &header, media, body });
    assert!(judged.operation.is_some() || judged.wrong.is_some(), "what is in no document is wrong");
    if judged.wrong.is_none() {
        let written = judged.object.matches('{').count();
        assert!(written == judged.records.len() && judged.object.matches('}').count() == written, "{}", judged.object);
        for (name, value) in &judged.records {
            assert!(
                judged.object.split('/').any(|segment| segment == format!("{{{name}={value}}}")),
                "{}",
                judged.object
            );
        }
    }
}

/// A pointer, a line end, a text. What is left is JSON, without what was masked, and nothing else has changed.
pub(crate) fn json_mask(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let pointer = parts.next().and_then(|pointer| std::str::from_utf8(pointer).ok()?.parse::<Pointer>().ok());
    let text = parts.next().unwrap_or_default();
    if Json::read(text).is_ok() {
        // Whatever is taken here, every other reader takes too.
        assert!(serde_json::from_slice::<serde_json::Value>(text).is_ok());
        assert_eq!(masked(text, &[]).as_deref(), Ok(text));
    }
    let Some(pointer) = pointer else { return };
    if let Ok(shown) = masked(text, std::slice::from_ref(&pointer)) {
        assert_eq!(masked(&shown, std::slice::from_ref(&pointer)).as_ref(), Ok(&shown), "once is enough");
    }
}
