//! JSON (RFC 8259) that is known byte by byte: no member twice, numbers as they are written, and where each value stands.

use std::ops::Range;

use crate::domain::ParseError;

/// Values within values.
const DEPTH_MAX: usize = 64;
/// Values of one text.
const VALUES_MAX: usize = 200_000;

/// A value and where it stands in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json {
    /// The bytes that it is written with.
    pub span: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A string.
    Text(String),
    /// A list.
    Array(Vec<Json>),
    /// Members, in the order of the text; no name is there twice.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text.
    ///
    /// # Errors
    /// It is not JSON, names a member twice, or is larger or deeper than is judged.
    pub fn read(text: &[u8]) -> Result<Self, ParseError> {
        let text = std::str::from_utf8(text).map_err(|_| ParseError::new("JSON: the text is not UTF-8"))?;
        let mut reader = Reader { text, at: 0, left: VALUES_MAX };
        let json = reader.value(0)?;
        reader.blanks();
        if reader.at == text.len() { Ok(json) } else { Err(reader.error("something follows the value")) }
    }

    /// A member of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Its text, when it is a string.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Its members, when it is an object.
    pub fn members(&self) -> Option<&[(String, Self)]> {
        if let Value::Object(members) = &self.value { Some(members) } else { None }
    }

    /// Its entries, when it is a list.
    pub fn entries(&self) -> Option<&[Self]> {
        if let Value::Array(entries) = &self.value { Some(entries) } else { None }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    left: usize,
}

impl Reader<'_> {
    fn error(&self, what: &str) -> ParseError {
        ParseError::new(format!("JSON: {what} at byte {}", self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes a byte, blanks before it.
    fn takes(&mut self, byte: u8) -> bool {
        self.blanks();
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, depth: usize) -> Result<Json, ParseError> {
        if depth > DEPTH_MAX {
            return Err(self.error("values are nested too deep"));
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| self.error("there are too many values"))?;
        self.blanks();
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            _ => self.word()?,
        };
        Ok(Json { span: start..self.at, value })
    }

    fn word(&mut self) -> Result<Value, ParseError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, value) in [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("a value is missing"))
    }

    fn array(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.at += 1;
        let mut entries = Vec::new();
        if self.takes(b']') {
            return Ok(Value::Array(entries));
        }
        loop {
            entries.push(self.value(depth + 1)?);
            if self.takes(b']') {
                return Ok(Value::Array(entries));
            }
            if !self.takes(b',') {
                return Err(self.error("a comma is missing"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.at += 1;
        let (mut members, mut names) = (Vec::new(), std::collections::HashSet::new());
        if self.takes(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.error("the name of a member is missing"));
            }
            let name = self.string()?;
            // SECURITY: which of the two counts would be for each reader to choose.
            if !names.insert(name.clone()) {
                return Err(ParseError::new(format!("JSON: `{}` is there twice", name.escape_debug())));
            }
            if !self.takes(b':') {
                return Err(self.error("a colon is missing"));
            }
            members.push((name, self.value(depth + 1)?));
            if self.takes(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.takes(b',') {
                return Err(self.error("a comma is missing"));
            }
        }
    }

    fn string(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(self.error("a string does not end")),
            }
        }
        self.at += 1;
        let raw = self.text.get(start..self.at).ok_or_else(|| self.error("a string is broken"))?;
        serde_json::from_str(raw).map_err(|error| self.error(&format!("a string is broken ({error})")))
    }

    fn number(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        match serde_json::from_str::<f64>(raw) {
            Ok(_) => Ok(raw.to_owned()),
            Err(_) => Err(self.error("a number is broken")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_read() {
        for text in
            ["{}", "[]", " 1 ", "\"a\\u0041\\\"\"", "[1,-2.50e3,\"é\"]", "{\"a\":{\"b\":[null,true,false]}}", "0"]
        {
            let json = Json::read(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(text.get(json.span.clone()), Some(text.trim()));
        }
        let json = Json::read(b"{\"n\": 1.10, \"t\": [ \"x\" ]}").expect("JSON");
        assert_eq!(json.get("n").map(|n| (n.span.clone(), &n.value)), Some((6..10, &Value::Number("1.10".to_owned()))));
    }

    #[test]
    fn texts_that_are_refused() {
        let deep = format!("{}1{}", "[".repeat(80), "]".repeat(80));
        let many = format!("[{}1]", "1,".repeat(200_001));
        for text in [
            "",
            "{",
            "[",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1}x",
            "nul",
            "truee",
            "01",
            "1.",
            ".5",
            "+1",
            "1e999",
            "--1",
            "\"a",
            "\"\\",
            "\"\\x\"",
            "\"\u{1}\"",
            "\"\\ud800\"",
            "'a'",
            "\u{feff}{}",
            "NaN",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}",
            "{\"x\":{\"b\":1,\"b\":1}}",
            &deep,
            &many,
        ] {
            assert!(Json::read(text.as_bytes()).is_err(), "{}", text.get(..text.len().min(60)).unwrap_or_default());
        }
        assert!(Json::read(b"\"\xff\"").is_err());
    }
}
