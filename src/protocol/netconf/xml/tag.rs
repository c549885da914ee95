//! A start tag: its name, its attributes, and the namespaces that it declares.

use std::sync::Arc;

use super::names::Scopes;
use super::{Name, REFERENCE_BYTES_MAX, XmlError, malformed};

/// Attributes of one element, declarations included.
const ATTRIBUTES_MAX: usize = 128;
/// The longest name.
const NAME_BYTES_MAX: usize = 256;

/// A start tag.
#[derive(Debug)]
pub struct Tag {
    /// Its name.
    pub name: Name,
    /// Its name as it is written.
    pub qualified: Box<str>,
    /// Its attributes, without declarations of namespaces.
    pub attributes: Vec<Attribute>,
    /// The namespaces that it declares, by prefix; the default one has none.
    pub declares: Vec<(Box<str>, Arc<str>)>,
    /// Whether it is its own end: `<a/>`.
    pub empty: bool,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name; without a prefix it has no namespace.
    pub name: Name,
    /// Its value.
    pub value: Box<str>,
}

impl Tag {
    /// The prefix of its name with the colon, or nothing.
    pub fn prefix(&self) -> &str {
        self.qualified.split_once(':').map_or("", |(prefix, _)| self.qualified.get(..=prefix.len()).unwrap_or_default())
    }
}

/// Reads `<name …>` at `depth`, whose declarations go to `scopes`.
pub(super) fn read(text: &str, depth: usize, scopes: &mut Scopes) -> Result<Tag, XmlError> {
    let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or_default();
    let (inner, empty) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
    let end = inner.find(|c: char| c.is_ascii_whitespace()).unwrap_or(inner.len());
    let (qualified, rest) = inner.split_at_checked(end).unwrap_or((inner, ""));
    let (prefix, local) = split_name(qualified)?;
    let pairs = pairs(rest)?;
    let mut declares = Vec::new();
    for (name, value) in &pairs {
        let declared = match name.strip_prefix("xmlns") {
            Some("") => "",
            Some(rest) => match rest.strip_prefix(':') {
                Some(prefix) => prefix,
                None => continue,
            },
            None => continue,
        };
        let ns = value_of(value)?;
        let reserved = matches!(declared, "xml" | "xmlns") || &*ns == super::names::XML;
        let empty_prefix = name.len() > "xmlns".len() && (declared.is_empty() || ns.is_empty());
        if reserved || empty_prefix || scopes.declares(depth, declared) {
            return Err(malformed("a namespace is declared as it may not be"));
        }
        if !declared.is_empty() {
            check_name(declared)?;
        }
        declares.push((declared.into(), scopes.declare(depth, declared, &ns)?));
    }
    let resolve = |prefix: &str| scopes.find(prefix).ok_or_else(|| malformed("a prefix is not declared"));
    let mut attributes: Vec<Attribute> = Vec::new();
    for (name, value) in pairs.iter().filter(|(name, _)| *name != "xmlns" && !name.starts_with("xmlns:")) {
        let (prefix, local) = split_name(name)?;
        let ns = if prefix.is_empty() { "".into() } else { resolve(prefix)? };
        let name = Name { ns, local: local.into() };
        if attributes.iter().any(|known| known.name == name) {
            return Err(malformed("an attribute is there twice"));
        }
        attributes.push(Attribute { name, value: value_of(value)?.into() });
    }
    let name = Name { ns: resolve(prefix)?, local: local.into() };
    Ok(Tag { name, qualified: qualified.into(), attributes, declares, empty })
}

/// Reads ` name="value" name='value'`, values as they are written.
pub(super) fn pairs(text: &str) -> Result<Vec<(&str, &str)>, XmlError> {
    let bad = || malformed("a tag is not well-formed");
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        if trimmed.is_empty() {
            return Ok(pairs);
        }
        if trimmed.len() == rest.len() {
            return Err(bad());
        }
        let (name, after) = trimmed.split_once('=').ok_or_else(bad)?;
        let name = name.trim_end_matches(|c: char| c.is_ascii_whitespace());
        let after = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or_else(bad)?;
        let (value, after) = after.get(1..).and_then(|after| after.split_once(quote)).ok_or_else(bad)?;
        if value.contains('<') || pairs.iter().any(|(known, _)| *known == name) {
            return Err(malformed("an attribute is there twice, or its value holds `<`"));
        }
        if pairs.len() >= ATTRIBUTES_MAX {
            return Err(XmlError::TooBig(format!("an element may have {ATTRIBUTES_MAX} attributes at most")));
        }
        pairs.push((name, value));
        rest = after;
    }
}

/// A name and its prefix.
fn split_name(text: &str) -> Result<(&str, &str), XmlError> {
    let (prefix, local) = text.split_once(':').unwrap_or(("", text));
    if !prefix.is_empty() || text.starts_with(':') {
        check_name(prefix)?;
    }
    check_name(local)?;
    Ok((prefix, local))
}

fn check_name(name: &str) -> Result<(), XmlError> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    match name.len() <= NAME_BYTES_MAX {
        true if fits => Ok(()),
        true => Err(malformed("the name of an element or attribute is not one")),
        false => Err(XmlError::TooBig(format!("a name may have {NAME_BYTES_MAX} bytes at most"))),
    }
}

/// The value of an attribute (XML 1.0 §3.3.3).
fn value_of(written: &str) -> Result<String, XmlError> {
    without_references(&written.replace("\r\n", " ").replace(['\t', '\n', '\r'], " "))
}

/// Text with its references resolved.
pub(super) fn without_references(text: &str) -> Result<String, XmlError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let end = after.bytes().take(REFERENCE_BYTES_MAX).position(|byte| byte == b';');
        let end = end.ok_or_else(|| malformed("`&` begins no reference"))?;
        out.push(character(after.get(..end).unwrap_or_default())?);
        rest = after.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

fn character(reference: &str) -> Result<char, XmlError> {
    let number = |digits: &str, radix| {
        let all = digits.bytes().all(|b| b.is_ascii_alphanumeric()) && !digits.is_empty();
        all.then(|| u32::from_str_radix(digits, radix).ok()).flatten().and_then(char::from_u32)
    };
    let found = match reference {
        "amp" => Some('&'),
        "apos" => Some('\''),
        "gt" => Some('>'),
        "lt" => Some('<'),
        "quot" => Some('"'),
        _ => match reference.strip_prefix("#x") {
            Some(digits) => number(digits, 16),
            None => reference.strip_prefix('#').and_then(|digits| number(digits, 10)),
        },
    };
    let is_char = |c: &char| (*c >= ' ' || matches!(c, '\t' | '\n' | '\r')) && !matches!(c, '\u{fffe}' | '\u{ffff}');
    found.filter(is_char).ok_or_else(|| malformed("only the five entities and characters of XML may be referred to"))
}
