//! Paths and queries of requests in one form (RFC 3986). Pure.
//!
//! Percent-encoding is undone once. What would mean something else when it was undone again, what a server could take for another separator or
//! for the folder above, and what no two servers read alike is refused. What goes to an element is encoded anew.

use std::fmt;

/// The longest path, and the longest query.
const BYTES_MAX: usize = 8 << 10;
/// Parameters of one query.
const PARAMETERS_MAX: usize = 64;

/// Why a path or query is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(&'static str);

/// The segments of a path as they were sent: none of them is empty, and none is the folder itself or the one above, encoded or not.
///
/// # Errors
/// A path that does not begin with `/`, is too long, holds characters that have to be encoded, or parameters of a segment (`;`), which some
/// servers cut off.
pub fn raw_segments(path: &str) -> Result<Vec<&str>, PathError> {
    let inner = path.strip_prefix('/').ok_or(PathError("a path begins with `/`"))?;
    if path.len() > BYTES_MAX {
        return Err(PathError("the path is too long"));
    }
    if !inner.bytes().all(|byte| is_unreserved(byte) || b"%!$&'()*+,=:@/".contains(&byte)) {
        return Err(PathError("the path holds a character that has to be encoded"));
    }
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let segments: Vec<&str> = inner.split('/').collect();
    for segment in &segments {
        if matches!(decoded(segment)?.as_str(), "" | "." | "..") {
            return Err(PathError("the path has an empty, `.` or `..` segment"));
        }
    }
    Ok(segments)
}

/// The segments of a path, decoded, when each is what stands between two slashes and nothing more.
///
/// # Errors
/// As [`raw_segments`]; also an encoded `/` or `;`.
pub fn segments(path: &str) -> Result<Vec<String>, PathError> {
    let decode = |raw: &str| {
        let text = decoded(raw)?;
        if text.contains(['/', ';']) { Err(PathError("the path holds an encoded separator")) } else { Ok(text) }
    };
    raw_segments(path)?.into_iter().map(decode).collect()
}

/// Undoes percent-encoding, once.
///
/// # Errors
/// An escape that is none, text that is not UTF-8, a control character or backslash, or what could be undone again.
pub fn decoded(raw: &str) -> Result<String, PathError> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let byte = escape(rest).ok_or(PathError("a `%` is not followed by two hexadecimal digits"))?;
            bytes.push(byte);
            rest = rest.get(3..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| PathError("the text is not UTF-8"))?;
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err(PathError("the text holds a control character or a backslash"));
    }
    // SECURITY: an element that decodes twice would see another path than the one that was decided.
    if (0..text.len()).any(|at| text.as_bytes().get(at..).and_then(escape).is_some()) {
        return Err(PathError("the text is encoded twice"));
    }
    Ok(text)
}

/// The byte that `%XX` at the beginning stands for.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// Text percent-encoded; what `plain` holds stays as it is, besides letters, digits and `-._~`.
pub fn encoded<'t>(text: &'t str, plain: &'t [u8]) -> impl fmt::Display + 't {
    Encoded { text, plain }
}

struct Encoded<'t> {
    text: &'t str,
    plain: &'t [u8],
}

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.text.bytes() {
            if is_unreserved(byte) || self.plain.contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// The path that these segments make.
pub fn joined(segments: &[String]) -> String {
    match segments {
        [] => "/".to_owned(),
        segments => segments.iter().map(|segment| format!("/{}", encoded(segment, b"!$&'()*+,=:@"))).collect(),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What a `+` in a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    /// Nothing that could be known: some take it for a blank, some for itself.
    Refuse,
    /// A blank, as forms write it.
    Blank,
}

/// The parameters of a query, decoded, in the order in which they stand.
///
/// # Errors
/// A parameter that is there twice or has no name, too many of them, or what [`decoded`] refuses.
pub fn parameters(query: Option<&str>, plus: Plus) -> Result<Vec<(String, String)>, PathError> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(Vec::new()) };
    if query.len() > BYTES_MAX {
        return Err(PathError("the query is too long"));
    }
    if !query.bytes().all(|byte| is_unreserved(byte) || b"%!$&'()*+,;=:@/?".contains(&byte)) {
        return Err(PathError("the query holds a character that has to be encoded"));
    }
    let decode = |raw: &str| match plus {
        Plus::Refuse if raw.contains('+') => Err(PathError("the query holds a `+`; write %2B or %20")),
        Plus::Refuse => decoded(raw),
        Plus::Blank => decoded(&raw.replace('+', "%20")),
    };
    let mut found: Vec<(String, String)> = Vec::new();
    for part in query.split('&') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if name.is_empty() || found.iter().any(|(known, _)| *known == name) {
            return Err(PathError("a parameter of the query has no name or is there twice"));
        }
        if found.len() >= PARAMETERS_MAX {
            return Err(PathError("the query has too many parameters"));
        }
        found.push((name, value));
    }
    Ok(found)
}

/// The query that these parameters make, with its question mark; nothing when there are none.
pub fn query_of(parameters: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in parameters {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(&encoded(name, b":").to_string());
        if !value.is_empty() {
            text.push_str(&format!("={}", encoded(value, b":/,()*!$'@")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_have_one_form() {
        for (path, expected) in [
            ("/", &[][..]),
            ("/a", &["a"]),
            ("/a/b-c._~/d", &["a", "b-c._~", "d"]),
            ("/%61/b%20c", &["a", "b c"]),
            ("/a=b,c/@:!$&'()*+", &["a=b,c", "@:!$&'()*+"]),
            ("/caf%C3%A9", &["café"]),
            ("/100%25", &["100%"]),
            ("/...", &["..."]),
            ("/a%25z1", &["a%z1"]),
        ] {
            let found = segments(path).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(found, expected, "{path}");
            assert_eq!(segments(&joined(&found)), Ok(found), "{path}");
        }
    }

    #[test]
    fn paths_that_could_be_read_in_two_ways_are_refused() {
        let long = format!("/{}", "a".repeat(9_000));
        for path in [
            "",
            "a",
            "*",
            "//",
            "/a//b",
            "/a/",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/%2e",
            "/%2E%2e/b",
            "/.%2e/b",
            "/a%2fb",
            "/a%2Fb",
            "/%2f",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0ab",
            "/a%09",
            "/%7f",
            "/a%c2%80",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%2g",
            "/%u0061",
            "/%252e",
            "/%25%32%65",
            "/a%252fb",
            "/%2561",
            "/%c0%af",
            "/%c0%ae%c0%ae/",
            "/%ff",
            "/%ed%a0%80",
            "/a;b",
            "/a;b=c/d",
            "/..;/a",
            "/a%3bb",
            "/a b",
            "/a\"b",
            "/a<b",
            "/a[b]",
            "/a{b}",
            "/a|b",
            "/a^b",
            "/a`b",
            "/a#b",
            "/a?b",
            "/é",
            &long,
        ] {
            assert!(segments(path).is_err(), "{path:?}");
        }
        assert!(raw_segments("/a%2Fb").is_ok(), "what is sent in a key may hold a slash");
        assert!(raw_segments("/%2E%2E/b").is_err());
    }

    #[test]
    fn queries() {
        let all = |query: &str, plus| parameters(Some(query), plus);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (query, expected) in [
            ("", vec![]),
            ("a=b", vec![pair("a", "b")]),
            ("a=b&c=d%26e&f", vec![pair("a", "b"), pair("c", "d&e"), pair("f", "")]),
            ("fields=a(b;c/d)&x=?", vec![pair("fields", "a(b;c/d)"), pair("x", "?")]),
            ("a=b=c", vec![pair("a", "b=c")]),
        ] {
            let found = all(query, Plus::Refuse).unwrap_or_else(|e| panic!("{query}: {e}"));
            assert_eq!(found, expected, "{query}");
            assert_eq!(all(query_of(&found).trim_start_matches('?'), Plus::Refuse), Ok(found), "{query}");
        }
        assert_eq!(all("a=b+c%2Bd", Plus::Blank), Ok(vec![pair("a", "b c+d")]));
        for query in [
            "a=b+c",
            "&",
            "a&&b",
            "=b",
            "a&a",
            "a=1&%61=2",
            "a=%",
            "a=%2",
            "a=%2561",
            "a=%00",
            "a=%ff",
            "a=b\\c",
            "a=b c",
            "a=\"",
            "a=[]",
            "é",
        ] {
            assert!(all(query, Plus::Refuse).is_err(), "{query}");
        }
        let many: Vec<String> = (0..65).map(|n| format!("a{n}=")).collect();
        assert!(all(&many.join("&"), Plus::Blank).is_err());
    }

    proptest::proptest! {
        /// Whatever is taken has one form, and that form is taken for the same.
        #[test]
        fn what_is_taken_reads_back(path in "(/[a-c.%0-9A-F=,:é ;]{0,6}){1,4}") {
            if let Ok(found) = segments(&path) {
                proptest::prop_assert_eq!(segments(&joined(&found)), Ok(found));
            }
        }

        /// Any text can be sent as one segment, but what is refused on purpose.
        #[test]
        fn any_segment_reads_back(text in "\\PC{1,20}") {
            let path = joined(std::slice::from_ref(&text));
            if let Ok(found) = segments(&path) {
                proptest::prop_assert_eq!(found, vec![text]);
            }
        }
    }
}
