//! Messages as text, for recordings: JSON in the names of the specification, with paths written as paths. Pure.
//!
//! It shows whatever there is, also what no schema has: a recording must not lack what an element said. A body is kept up to a cap.

use std::fmt::Write;

use super::gnoi::GNOI_PATH;
use super::schema::{Field, Kind, PATH, PATH_ELEM, Schema};
use super::wire::{Raw, next, varint};

/// The most that messages in messages are shown.
const DEPTH_MAX: usize = 20;

/// The message of `schema` as text of at most about `cap` bytes; whether some was left out.
pub fn text(schema: &'static Schema, message: &[u8], cap: usize) -> (String, bool) {
    let mut shown = Shown { out: String::new(), cap, cut: false };
    shown.message(schema, message, 0);
    (shown.out, shown.cut)
}

struct Shown {
    out: String,
    cap: usize,
    cut: bool,
}

impl Shown {
    fn push(&mut self, text: &str) {
        if self.out.len() < self.cap && !self.cut {
            self.out.push_str(text);
        } else {
            self.cut = true;
        }
    }

    fn message(&mut self, schema: &'static Schema, bytes: &[u8], depth: usize) {
        if (std::ptr::eq(schema, &raw const PATH) || std::ptr::eq(schema, &raw const GNOI_PATH))
            && let Some(path) = path(bytes)
        {
            return self.quoted(&path);
        }
        self.push("{");
        let mut rest = bytes;
        let mut list = None;
        let mut first = true;
        while !self.cut {
            let at = rest;
            let (number, raw) = match next(&mut rest) {
                Ok(Some(field)) => field,
                Ok(None) => break,
                Err(_) => {
                    self.push(if first { "\"?\":" } else { ",\"?\":" });
                    self.hex(at);
                    break;
                }
            };
            let field = schema.field(number);
            let goes_on = list == Some(number);
            if list.is_some() && !goes_on {
                self.push("]");
            }
            if !first {
                self.push(",");
            }
            first = false;
            if !goes_on {
                match field {
                    Some(field) => self.quoted(field.name),
                    None => self.quoted(&format!("#{number}")),
                }
                self.push(":");
            }
            let many = field.is_some_and(|field| field.many);
            if many && !goes_on {
                self.push("[");
            }
            list = many.then_some(number);
            self.value(field, raw, depth);
        }
        if list.is_some() {
            self.push("]");
        }
        self.push("}");
    }

    fn value(&mut self, field: Option<&'static Field>, raw: Raw<'_>, depth: usize) {
        let number = |n: u64| n.to_string();
        match (field.map(|field| field.kind), raw) {
            (Some(Kind::Message(inner)), Raw::Bytes(bytes)) if depth < DEPTH_MAX => {
                self.message(inner, bytes, depth + 1)
            }
            (Some(Kind::Secret), _) => self.push("\"***\""),
            (Some(Kind::Json), Raw::Bytes(bytes)) => match std::str::from_utf8(bytes) {
                Ok(json) if serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok() => self.json(json),
                Ok(text) => self.quoted(text),
                Err(_) => self.hex(bytes),
            },
            (Some(Kind::Text), Raw::Bytes(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => self.quoted(text),
                Err(_) => self.hex(bytes),
            },
            (Some(Kind::Bool), Raw::Varint(n)) => self.push(if n == 0 { "false" } else { "true" }),
            (Some(Kind::Enum(names)), Raw::Varint(n)) => self.named(names, n),
            (Some(Kind::Signed32 | Kind::Signed64), Raw::Varint(n)) => self.push(&n.cast_signed().to_string()),
            (Some(Kind::Float), Raw::Fixed32(n)) => self.float(f32::from_bits(n).into()),
            (Some(Kind::Double), Raw::Fixed64(n)) => self.float(f64::from_bits(n)),
            (Some(Kind::Enum(names)), Raw::Bytes(packed)) => {
                let mut rest = packed;
                let mut first = true;
                while let Ok(n) = varint(&mut rest) {
                    if !std::mem::take(&mut first) {
                        self.push(",");
                    }
                    self.named(names, n);
                }
            }
            (_, Raw::Varint(n) | Raw::Fixed64(n)) => self.push(&number(n)),
            (_, Raw::Fixed32(n)) => self.push(&number(n.into())),
            (_, Raw::Bytes(bytes)) => self.hex(bytes),
        }
    }

    fn named(&mut self, names: &[&str], n: u64) {
        match usize::try_from(n).ok().and_then(|n| names.get(n)).filter(|name| !name.is_empty()) {
            Some(name) => self.quoted(name),
            None => self.push(&n.to_string()),
        }
    }

    fn float(&mut self, n: f64) {
        // JSON has no infinities and no NaN.
        if n.is_finite() { self.push(&n.to_string()) } else { self.quoted(&n.to_string()) }
    }

    fn quoted(&mut self, text: &str) {
        let kept = self.within_cap(text);
        match serde_json::to_string(kept) {
            Ok(quoted) => self.push(&quoted),
            Err(_) => self.cut = true,
        }
        self.cut |= kept.len() < text.len();
    }

    fn json(&mut self, text: &str) {
        let kept = self.within_cap(text);
        self.push(kept);
        self.cut |= kept.len() < text.len();
    }

    fn hex(&mut self, bytes: &[u8]) {
        let kept = bytes.get(..self.cap.saturating_sub(self.out.len()) / 2).unwrap_or(bytes);
        self.push(&format!("\"{}\"", data_encoding::HEXLOWER.encode(kept)));
        self.cut |= kept.len() < bytes.len();
    }

    /// As much of `text` as still fits.
    fn within_cap<'t>(&self, text: &'t str) -> &'t str {
        let left = self.cap.saturating_sub(self.out.len()).min(text.len());
        let end = (0..=left).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.get(..end).unwrap_or("")
    }
}

/// A path in the usual text form, `origin:/a/b[k=v]`, when it holds nothing that this form would hide.
fn path(bytes: &[u8]) -> Option<String> {
    let mut out = String::new();
    let (mut origin, mut target) = ("", "");
    let mut rest = bytes;
    while let Some((number, raw)) = next(&mut rest).ok()? {
        let Raw::Bytes(bytes) = raw else { return None };
        match PATH.field(number)?.name {
            "origin" => origin = std::str::from_utf8(bytes).ok()?,
            "target" => target = std::str::from_utf8(bytes).ok()?,
            "elem" => elem(bytes, &mut out)?,
            _ => return None,
        }
    }
    let target = if target.is_empty() { String::new() } else { format!("{target}!") };
    let origin = if origin.is_empty() { String::new() } else { format!("{origin}:") };
    Some(format!("{target}{origin}{}", if out.is_empty() { "/" } else { &out }))
}

fn elem(bytes: &[u8], out: &mut String) -> Option<()> {
    let mut keys = String::new();
    let mut rest = bytes;
    out.push('/');
    while let Some((number, raw)) = next(&mut rest).ok()? {
        let Raw::Bytes(bytes) = raw else { return None };
        match PATH_ELEM.field(number)?.name {
            "name" => out.push_str(std::str::from_utf8(bytes).ok()?),
            _ => {
                let (mut name, mut value) = ("", "");
                let mut rest = bytes;
                while let Some((number, Raw::Bytes(text))) = next(&mut rest).ok()? {
                    let text = std::str::from_utf8(text).ok()?;
                    *(if number == 1 { &mut name } else { &mut value }) = text;
                }
                let value = value.replace('\\', "\\\\").replace(']', "\\]");
                // Writing to a string cannot fail.
                write!(keys, "[{name}={value}]").ok()?;
            }
        }
    }
    out.push_str(&keys);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::schema::{CAPABILITY_RESPONSE, GET_RESPONSE, SET_REQUEST, SUBSCRIBE_RESPONSE};
    use super::super::wire::Writer;
    use super::*;

    #[test]
    fn messages_as_text() {
        let path = super::super::request::path("openconfig:/a/b[k=v]").expect("a path");
        let update = |value: Writer| Writer::new().message(1, &path).message(3, &value);
        let set = Writer::new()
            .message(4, &update(Writer::new().text(11, "{\"x\": [1]}")))
            .message(4, &update(Writer::new().text(11, "not json")))
            .message(2, &path);
        let notification = Writer::new().number(1, 5).message(4, &update(Writer::new().number(2, u64::MAX)));
        let odd_path = Writer::new().message(2, &Writer::new().text(1, "old").text(2, "o"));
        for (schema, message, expected) in [
            (&GET_RESPONSE, Writer::new(), "{}"),
            (
                &SET_REQUEST,
                set,
                r#"{"update":[{"path":"openconfig:/a/b[k=v]","val":{"json_ietf_val":{"x": [1]}}},{"path":"openconfig:/a/b[k=v]","val":{"json_ietf_val":"not json"}}],"delete":["openconfig:/a/b[k=v]"]}"#,
            ),
            (&SUBSCRIBE_RESPONSE, Writer::new().number(3, 1), r#"{"sync_response":true}"#),
            (
                &SUBSCRIBE_RESPONSE,
                Writer::new().message(1, &notification),
                r#"{"update":{"timestamp":5,"update":[{"path":"openconfig:/a/b[k=v]","val":{"int_val":-1}}]}}"#,
            ),
            (&SET_REQUEST, odd_path, r#"{"delete":[{"element":["old"],"origin":"o"}]}"#),
            (
                &CAPABILITY_RESPONSE,
                Writer::new().bytes(2, &[0, 4, 9]).text(3, "0.8\"0"),
                r#"{"supported_encodings":["JSON","JSON_IETF",9],"gNMI_version":"0.8\"0"}"#,
            ),
            (&CAPABILITY_RESPONSE, Writer::new().number(9, 7).bytes(10, b"\xff"), r##"{"#9":7,"#10":"ff"}"##),
            (&CAPABILITY_RESPONSE, Writer::new().bytes(3, b"\xff"), r#"{"gNMI_version":"ff"}"#),
        ] {
            let message = message.finish();
            assert_eq!(text(schema, &message, 10_000), (expected.to_owned(), false));
            for cap in 0..expected.len() {
                let (cut, is_cut) = text(schema, &message, cap);
                assert!(is_cut && cut.len() <= cap + 80, "{cap}: {cut}");
            }
        }
        assert_eq!(text(&GET_RESPONSE, b"\x08", 100), ("{\"?\":\"08\"}".to_owned(), false));
    }

    proptest::proptest! {
        #[test]
        fn noise_is_shown_within_the_cap(bytes: Vec<u8>, cap in 0_usize..200) {
            let (shown, _) = text(&SET_REQUEST, &bytes, cap);
            proptest::prop_assert!(shown.len() <= cap + 400);
        }
    }
}
