//! What one request asks for. Pure.

use crate::domain::{Action, Verb};
use crate::protocol::web::path::{PathError, Plus, joined, parameters, query_of, segments};

/// A request, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What must be allowed.
    pub action: Action,
    /// The path, decoded.
    pub segments: Vec<String>,
    /// The parameters of the query, decoded.
    pub query: Vec<(String, String)>,
}

impl Asked {
    /// Path and query in one form.
    pub fn url(&self) -> String {
        format!("{}{}", joined(&self.segments), query_of(&self.query))
    }

    /// Whether it is at `root` of the element, or below it. A server may not tell capitals from small letters.
    pub fn is_below(&self, root: &str) -> bool {
        let root = segments(root).unwrap_or_default();
        let above = self.segments.iter().zip(&root).all(|(own, root)| own.eq_ignore_ascii_case(root));
        above && !root.is_empty() && self.segments.len() >= root.len()
    }
}

/// Why a request is not decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// For people.
    pub text: String,
}

impl From<PathError> for Refused {
    fn from(error: PathError) -> Self {
        Self { status: 400, text: error.to_string() }
    }
}

/// The verb of a method.
pub fn verb_of(method: &str) -> Option<Verb> {
    Some(match method {
        "GET" => Verb::HttpGet,
        "HEAD" => Verb::HttpHead,
        "OPTIONS" => Verb::HttpOptions,
        "POST" => Verb::HttpPost,
        "PUT" => Verb::HttpPut,
        "PATCH" => Verb::HttpPatch,
        "DELETE" => Verb::HttpDelete,
        _ => return None,
    })
}

/// What a request asks for.
///
/// # Errors
/// It is not taken, whoever asks.
pub fn asked(method: &str, path: &str, query: Option<&str>) -> Result<Asked, Refused> {
    let verb = verb_of(method).ok_or_else(|| Refused {
        status: 405,
        text: format!("the method {} is not served here", method.escape_debug()),
    })?;
    let segments = segments(path)?;
    // Braces stand for parameters where objects are written.
    if segments.iter().any(|segment| segment.contains(['{', '}'])) {
        return Err(Refused { status: 400, text: "the path holds a brace".to_owned() });
    }
    let object = format!("/{}", segments.join("/"));
    Ok(Asked { action: Action::new(verb, object), segments, query: parameters(query, Plus::Blank)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_the_path_in_one_form() {
        for (method, path, query, verb, object, url) in [
            ("GET", "/", None, "http.get", "/", "/"),
            ("HEAD", "/a/b", None, "http.head", "/a/b", "/a/b"),
            ("OPTIONS", "/%61", None, "http.options", "/a", "/a"),
            ("POST", "/a%20b", Some("q=1"), "http.post", "/a b", "/a%20b?q=1"),
            ("PUT", "/caf%c3%a9", None, "http.put", "/café", "/caf%C3%A9"),
            ("PATCH", "/a", Some("x=a+b&y=%2B"), "http.patch", "/a", "/a?x=a%20b&y=%2B"),
            ("DELETE", "/100%25", Some(""), "http.delete", "/100%", "/100%25"),
        ] {
            let asked = asked(method, path, query).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!((asked.action.verb.as_str(), asked.action.object.as_str()), (verb, object));
            assert_eq!(asked.url(), url);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (method, path, query, status) in [
            ("TRACE", "/", None, 405),
            ("CONNECT", "/", None, 405),
            ("get", "/", None, 405),
            ("PROPFIND", "/", None, 405),
            ("GET", "", None, 400),
            ("GET", "*", None, 400),
            ("GET", "//a", None, 400),
            ("GET", "/a/", None, 400),
            ("GET", "/a/../b", None, 400),
            ("GET", "/a/%2e%2e/b", None, 400),
            ("GET", "/a%2fb", None, 400),
            ("GET", "/a%5cb", None, 400),
            ("GET", "/a%252fb", None, 400),
            ("GET", "/a;v=1", None, 400),
            ("GET", "/a%3bv=1", None, 400),
            ("GET", "/%7Bid=1%7D", None, 400),
            ("GET", "/a%00", None, 400),
            ("GET", "/a%", None, 400),
            ("GET", "/a", Some("q=1&q=2"), 400),
            ("GET", "/a", Some("q=%252f"), 400),
            ("GET", "/a", Some("=1"), 400),
        ] {
            assert_eq!(asked(method, path, query).map_err(|refused| refused.status), Err(status), "{method} {path}");
        }
    }

    #[test]
    fn what_is_below_a_path() {
        let below = |path: &str, root: &str| asked("GET", path, None).is_ok_and(|asked| asked.is_below(root));
        for (path, root) in [("/rests", "/rests"), ("/rests/data", "/rests"), ("/RESTS/data", "/rests")] {
            assert!(below(path, root), "{path} {root}");
        }
        for (path, root) in [("/restsx", "/rests"), ("/", "/rests"), ("/api", "/api/rests"), ("/a", ""), ("/a", "/")] {
            assert!(!below(path, root), "{path} {root}");
        }
    }
}
