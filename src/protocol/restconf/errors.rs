//! What RESTCONF clients are told (RFC 8040 §7): `ietf-restconf:errors`, in the encoding that they asked for. Pure.

use std::fmt::Write as _;

/// The media type of data in JSON.
pub(super) const JSON: &str = "application/yang-data+json";
/// The media type of data in XML.
pub(super) const XML: &str = "application/yang-data+xml";

/// The document for one error, and its media type. `accept` is what the client said it takes.
pub(super) fn document(accept: Option<&str>, tag: &str, text: &str) -> (String, &'static str) {
    let wants = |name: &str| accept.is_some_and(|accept| accept.to_ascii_lowercase().contains(name));
    if wants("xml") && !wants("json") {
        let mut shown = String::new();
        for c in text.chars() {
            match c {
                '&' => shown.push_str("&amp;"),
                '<' => shown.push_str("&lt;"),
                '>' => shown.push_str("&gt;"),
                c if c.is_control() => {
                    // Writing to a string does not fail.
                    write!(shown, "{}", c.escape_unicode()).ok();
                }
                c => shown.push(c),
            }
        }
        let document = format!(
            "<errors xmlns=\"urn:ietf:params:xml:ns:yang:ietf-restconf\"><error><error-type>protocol</error-type>\
             <error-tag>{tag}</error-tag><error-message>{shown}</error-message></error></errors>\n"
        );
        return (document, XML);
    }
    let error = serde_json::json!({ "error-type": "protocol", "error-tag": tag, "error-message": text });
    (format!("{}\n", serde_json::json!({ "ietf-restconf:errors": { "error": [error] } })), JSON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_the_encoding_that_was_asked_for() {
        for accept in [None, Some("*/*"), Some(JSON), Some("application/yang-data+xml, application/yang-data+json")] {
            let (text, kind) = document(accept, "access-denied", "no \"x\" <y>");
            assert_eq!(kind, JSON);
            let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let error = &read["ietf-restconf:errors"]["error"][0];
            assert_eq!(
                (error["error-tag"].as_str(), error["error-message"].as_str()),
                (Some("access-denied"), Some("no \"x\" <y>"))
            );
        }
        let (text, kind) = document(Some("Application/Yang-Data+XML"), "access-denied", "a & <b>\u{1}");
        assert_eq!(kind, XML);
        assert!(text.contains("<error-message>a &amp; &lt;b&gt;\\u{1}</error-message>"), "{text}");
    }
}
