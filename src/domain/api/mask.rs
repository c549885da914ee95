//! Fields of a JSON text that are not shown: the text stays as it is written, but for them.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::json::{Json, Value};
use crate::domain::ParseError;

/// What stands in the place of a masked value.
const MASK: &str = "\"***\"";
/// Steps of one pointer.
const STEPS_MAX: usize = 32;

/// A JSON pointer (RFC 6901) in which `*` is every entry or member, and `**` any number of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Every,
    Any,
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pointer {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |why: &str| {
            ParseError::new(format!("`{}`: {why}; write a JSON pointer such as /bills/*/iban", text.escape_debug()))
        };
        let inner = text.strip_prefix('/').ok_or_else(|| bad("it does not begin with `/`"))?;
        let mut steps = Vec::new();
        for part in inner.split('/') {
            if part.replace("~0", "").replace("~1", "").contains('~') {
                return Err(bad("`~` is written ~0, and `/` in a name ~1"));
            }
            steps.push(match part {
                "" => return Err(bad("a step is empty")),
                "*" => Step::Every,
                "**" => Step::Any,
                name => Step::Name(name.replace("~1", "/").replace("~0", "~")),
            });
        }
        if steps.last() == Some(&Step::Any) || steps.windows(2).any(|pair| pair == [Step::Any, Step::Any]) {
            return Err(bad("`**` stands before a name, once"));
        }
        if steps.len() > STEPS_MAX {
            return Err(bad("it has too many steps"));
        }
        Ok(Self { text: text.to_owned(), steps })
    }
}

/// The text with every value masked that one of `pointers` means; nothing else of it changes.
///
/// # Errors
/// It is not JSON, or not of the kind that can be masked.
pub fn masked(text: &[u8], pointers: &[Pointer]) -> Result<Vec<u8>, ParseError> {
    let json = Json::read(text)?;
    let mut spans: Vec<Range<usize>> = Vec::new();
    for pointer in pointers {
        find(&json, &pointer.steps, &mut spans);
    }
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for span in spans {
        // What stands in a masked value is masked with it.
        if span.start < at {
            continue;
        }
        out.extend_from_slice(text.get(at..span.start).unwrap_or_default());
        out.extend_from_slice(MASK.as_bytes());
        at = span.end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    Ok(out)
}

fn find(json: &Json, steps: &[Step], spans: &mut Vec<Range<usize>>) {
    let Some((step, rest)) = steps.split_first() else { return spans.push(json.span.clone()) };
    if *step == Step::Any {
        find(json, rest, spans);
    }
    let below = if *step == Step::Any { steps } else { rest };
    match &json.value {
        Value::Array(entries) => {
            for (at, entry) in entries.iter().enumerate() {
                if !matches!(step, Step::Name(name) if *name != at.to_string()) {
                    find(entry, below, spans);
                }
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                if !matches!(step, Step::Name(wanted) if wanted != name) {
                    find(value, below, spans);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, pointers: &[&str]) -> String {
        let pointers: Vec<Pointer> = pointers.iter().map(|p| p.parse().expect("a pointer")).collect();
        String::from_utf8(masked(text.as_bytes(), &pointers).expect("JSON")).expect("UTF-8")
    }

    #[test]
    fn what_a_pointer_means_is_masked_and_nothing_else_changes() {
        let text = r#"{ "id": 1.10, "a/b": "x", "bills": [ {"iban":"1","n":1}, {"iban":{"x":2}} ], "deep": {"deeper":{"iban":null}} }"#;
        for (pointers, expected) in [
            (&["/nothing"][..], text.to_owned()),
            (&["/id"], text.replace("1.10", "\"***\"")),
            (&["/a~1b"], text.replace("\"x\", \"b", "\"***\", \"b")),
            (&["/bills/0/iban"], text.replace("\"1\"", "\"***\"")),
            (&["/bills/*/iban"], text.replace("\"1\"", "\"***\"").replace("{\"x\":2}", "\"***\"")),
            (
                &["/**/iban"],
                text.replace("\"1\"", "\"***\"").replace("{\"x\":2}", "\"***\"").replace("null", "\"***\""),
            ),
            (&["/bills/1", "/bills/1/iban/x"], text.replace("{\"iban\":{\"x\":2}}", "\"***\"")),
            (&["/*/deeper"], text.replace("{\"iban\":null}", "\"***\"")),
        ] {
            assert_eq!(shown(text, pointers), expected, "{pointers:?}");
        }
        assert_eq!(shown("[{\"k\":1},{\"k\":2}]", &["/*/k"]), "[{\"k\":\"***\"},{\"k\":\"***\"}]");
        assert_eq!(shown("{\"k\":\"a\\\"}\"}", &["/k"]), "{\"k\":\"***\"}");
    }

    #[test]
    fn what_cannot_be_masked_is_refused() {
        let pointers = ["/k".parse().expect("a pointer")];
        for text in ["", "{", "k", "{\"k\":1}x", "{\"k\":1,\"k\":2}", "<k/>"] {
            assert!(masked(text.as_bytes(), &pointers).is_err(), "{text}");
        }
        let long = format!("/{}", ["a"; 40].join("/"));
        for text in ["", "k", "/", "/a//b", "/a/", "/~", "/~2", "/**", "/a/**", "/**/**/a", &long] {
            assert!(text.parse::<Pointer>().is_err(), "{text}");
        }
    }
}
