//! XML as the gateway takes it: a strict subset that every parser reads alike, with a limit on everything a peer can grow.
//!
//! UTF-8; names in ASCII; elements, attributes, text, CDATA, comments, one declaration at the beginning; the five entities and character
//! references; namespaces (Namespaces in XML 1.0). Refused: document types, processing instructions, other entities and encodings, names
//! that repeat, prefixes that are not declared, characters that XML has not. Pure and incremental: bytes in, tokens out, each with its
//! original bytes, so that what is allowed goes on exactly as it came.

mod names;
mod tag;
mod tree;

use std::borrow::Cow;
use std::sync::Arc;

use names::Scopes;

pub use tag::{Attribute, Tag};
pub use tree::{Element, read};

/// What a document may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Elements one inside the other.
    pub depth_max: usize,
    /// Elements in one message that is read whole.
    pub elements_max: usize,
}

/// Why bytes are not a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed, or outside the subset.
    #[error("{0}")]
    Malformed(String),
    /// Past a limit.
    #[error("{0}")]
    TooBig(String),
}

pub(super) fn malformed(text: &str) -> XmlError {
    XmlError::Malformed(text.to_owned())
}

/// The name of an element or attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// Its namespace; empty when it has none.
    pub ns: Arc<str>,
    /// Its local name.
    pub local: Box<str>,
}

impl Name {
    /// Whether it is this one.
    pub fn is(&self, ns: &str, local: &str) -> bool {
        &*self.local == local && &*self.ns == ns
    }
}

/// A token of a document.
#[derive(Debug)]
pub enum Token {
    /// `<a …>`, or `<a …/>`: then no end tag follows.
    Start(Tag),
    /// `</a>`.
    End,
    /// Text, or a part of it when it is long. Whether it is blanks only.
    Text {
        /// Nothing but blanks.
        blank: bool,
    },
    /// `<![CDATA[…]]>`.
    Cdata,
    /// A comment.
    Comment,
    /// The XML declaration.
    Declaration,
}

/// The longest tag or comment.
const TAG_BYTES_MAX: usize = 64 << 10;
/// The longest CDATA section.
const CDATA_BYTES_MAX: usize = 16 << 20;
/// Text is handed on in pieces of about this length.
const TEXT_BYTES: usize = 64 << 10;
/// The longest reference: `&#x10FFFF;` and some zeros.
const REFERENCE_BYTES_MAX: usize = 16;

/// Where in the document the next token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Within,
    After,
}

/// Bytes in, tokens out.
#[derive(Debug)]
pub struct Tokenizer {
    depth_max: usize,
    buffer: Vec<u8>,
    /// The last token.
    last: std::ops::Range<usize>,
    /// How far the token that begins at `last.end` has been looked at, so that no byte is looked at for every push.
    looked: usize,
    /// The quote that the look stands in.
    quote: Option<u8>,
    open: Vec<Box<str>>,
    scopes: Scopes,
    phase: Phase,
    declared: bool,
}

impl Tokenizer {
    /// One for one document.
    pub fn new(depth_max: usize) -> Self {
        Self {
            depth_max,
            buffer: Vec::new(),
            last: 0..0,
            looked: 0,
            quote: None,
            open: Vec::new(),
            scopes: Scopes::default(),
            phase: Phase::Before,
            declared: false,
        }
    }

    /// Takes bytes as they came.
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.drain(..self.last.end);
        self.looked = self.looked.saturating_sub(self.last.end);
        self.last = 0..0;
        self.buffer.extend_from_slice(data);
    }

    /// The bytes of the last token, as they came.
    pub fn raw(&self) -> &[u8] {
        self.buffer.get(self.last.clone()).unwrap_or_default()
    }

    /// How deep the document is now: 0 outside its root element.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// The namespace of a prefix, here.
    pub fn namespace(&self, prefix: &str) -> Option<Arc<str>> {
        self.scopes.find(prefix)
    }

    /// The next token; `None` until more bytes came.
    ///
    /// # Errors
    /// The document is refused.
    pub fn next_token(&mut self) -> Result<Option<Token>, XmlError> {
        let Some(end) = self.find_end()? else { return Ok(None) };
        let rest = self.buffer.get(self.last.end..end).unwrap_or_default();
        let most = if rest.starts_with(b"<![") { CDATA_BYTES_MAX } else { TAG_BYTES_MAX };
        if rest.starts_with(b"<") && rest.len() > most {
            return Err(XmlError::TooBig(format!("a tag, comment or section has {most} bytes at most")));
        }
        self.last = self.last.end..end;
        self.looked = end;
        self.quote = None;
        let raw = std::mem::take(&mut self.buffer);
        let token = self.read_token(raw.get(self.last.clone()).unwrap_or_default());
        self.buffer = raw;
        token.map(Some)
    }

    /// The document has ended.
    ///
    /// # Errors
    /// It is not whole.
    pub fn finish(&mut self) -> Result<(), XmlError> {
        let rest = self.buffer.get(self.last.end..).unwrap_or_default();
        if self.phase != Phase::After || !rest.iter().all(|byte| is_blank(*byte)) {
            return Err(malformed("the message ends before its XML does"));
        }
        Ok(())
    }

    /// Where the token that begins at `last.end` ends.
    fn find_end(&mut self) -> Result<Option<usize>, XmlError> {
        let start = self.last.end;
        let rest = self.buffer.get(start..).unwrap_or_default();
        match rest {
            [] => Ok(None),
            [b'<'] => Ok(None),
            [b'<', b'!', ..] => self.find_declared_end(start),
            [b'<', b'?', ..] => self.find_mark(start, 2, b"?>", TAG_BYTES_MAX),
            [b'<', b'/', ..] => self.find_mark(start, 2, b">", TAG_BYTES_MAX),
            [b'<', ..] => self.find_tag_end(start),
            rest => {
                let looked = self.looked.saturating_sub(start).min(rest.len());
                let more = rest.get(looked..).unwrap_or_default();
                match more.iter().position(|byte| *byte == b'<') {
                    Some(at) => Ok(Some(start + looked + at)),
                    None if rest.len() >= TEXT_BYTES => Ok(Some(start + safe_cut(rest)?)),
                    None => {
                        self.looked = start + rest.len();
                        Ok(None)
                    }
                }
            }
        }
    }

    /// Comments and CDATA; nothing else may begin with `<!`.
    fn find_declared_end(&mut self, start: usize) -> Result<Option<usize>, XmlError> {
        let rest = self.buffer.get(start..).unwrap_or_default();
        let begins = |with: &[u8]| with.starts_with(rest.get(..rest.len().min(with.len())).unwrap_or_default());
        if rest.starts_with(b"<!--") {
            self.find_mark(start, 4, b"-->", TAG_BYTES_MAX)
        } else if rest.starts_with(b"<![CDATA[") {
            self.find_mark(start, 9, b"]]>", CDATA_BYTES_MAX)
        } else if begins(b"<!--") || begins(b"<![CDATA[") {
            Ok(None)
        } else {
            Err(malformed("document types are refused"))
        }
    }

    fn find_mark(&mut self, start: usize, skip: usize, mark: &[u8], most: usize) -> Result<Option<usize>, XmlError> {
        let from = self.looked.max(start + skip);
        let more = self.buffer.get(from..).unwrap_or_default();
        if let Some(at) = more.windows(mark.len()).position(|window| window == mark) {
            return Ok(Some(from + at + mark.len()));
        }
        if self.buffer.len() - start > most {
            return Err(XmlError::TooBig(format!("a tag, comment or section has {most} bytes at most")));
        }
        self.looked = (start + skip).max(self.buffer.len().saturating_sub(mark.len() - 1));
        Ok(None)
    }

    /// A start tag ends at the first `>` outside quotes.
    fn find_tag_end(&mut self, start: usize) -> Result<Option<usize>, XmlError> {
        let from = self.looked.max(start + 1);
        for (at, byte) in self.buffer.iter().enumerate().skip(from) {
            match (self.quote, *byte) {
                (Some(open), byte) if byte == open => self.quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => self.quote = Some(*byte),
                (None, b'>') => return Ok(Some(at + 1)),
                (None, b'<') => return Err(malformed("a tag is not closed")),
                (None, _) => {}
            }
        }
        if self.buffer.len() - start > TAG_BYTES_MAX {
            return Err(XmlError::TooBig(format!("a tag has {TAG_BYTES_MAX} bytes at most")));
        }
        self.looked = self.buffer.len();
        Ok(None)
    }

    fn read_token(&mut self, raw: &[u8]) -> Result<Token, XmlError> {
        let text = std::str::from_utf8(raw).map_err(|_| malformed("the message is not text in UTF-8"))?;
        if !text.bytes().all(|b| b >= b' ' || matches!(b, b'\t' | b'\n' | b'\r'))
            || text.contains(['\u{fffe}', '\u{ffff}'])
        {
            return Err(malformed("the message holds a character that XML has not"));
        }
        if let Some(inner) = text.strip_prefix("<!--") {
            let inner = inner.strip_suffix("-->").unwrap_or_default();
            if inner.contains("--") || inner.ends_with('-') {
                return Err(malformed("a comment holds `--`"));
            }
            return Ok(Token::Comment);
        }
        if text.starts_with("<![CDATA[") {
            return if self.phase == Phase::Within {
                Ok(Token::Cdata)
            } else {
                Err(malformed("text stands outside the root element"))
            };
        }
        if let Some(inner) = text.strip_prefix("<?") {
            return self.declaration(inner.strip_suffix("?>").unwrap_or_default());
        }
        if let Some(name) = text.strip_prefix("</") {
            return self.end(name.strip_suffix('>').unwrap_or_default());
        }
        if text.starts_with('<') {
            return self.start(text);
        }
        let blank = text.bytes().all(is_blank);
        if !blank {
            if self.phase != Phase::Within {
                return Err(malformed("text stands outside the root element"));
            }
            check_text(text)?;
        }
        Ok(Token::Text { blank })
    }

    fn declaration(&mut self, inner: &str) -> Result<Token, XmlError> {
        if self.phase != Phase::Before || std::mem::replace(&mut self.declared, true) {
            return Err(malformed("processing instructions are refused"));
        }
        let rest = inner.strip_prefix("xml").filter(|rest| rest.starts_with(|c: char| c.is_ascii_whitespace()));
        let rest = rest.ok_or_else(|| malformed("processing instructions are refused"))?;
        for (name, value) in tag::pairs(rest)? {
            match name {
                "version" if value == "1.0" => {}
                "encoding" if value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("us-ascii") => {}
                "standalone" if matches!(value, "yes" | "no") => {}
                _ => return Err(malformed("only XML 1.0 in UTF-8 is taken")),
            }
        }
        Ok(Token::Declaration)
    }

    fn start(&mut self, text: &str) -> Result<Token, XmlError> {
        match self.phase {
            Phase::Before => self.phase = Phase::Within,
            Phase::Within => {}
            Phase::After => return Err(malformed("the message has more than one root element")),
        }
        if self.open.len() >= self.depth_max {
            return Err(XmlError::TooBig(format!("elements may stand {} deep", self.depth_max)));
        }
        let tag = tag::read(text, self.open.len(), &mut self.scopes)?;
        if tag.empty {
            self.scopes.leave(self.open.len());
            if self.open.is_empty() {
                self.phase = Phase::After;
            }
        } else {
            self.open.push(tag.qualified.clone());
        }
        Ok(Token::Start(tag))
    }

    fn end(&mut self, name: &str) -> Result<Token, XmlError> {
        let name = name.trim_end_matches(|c: char| c.is_ascii_whitespace());
        if self.open.pop().as_deref() != Some(name) {
            return Err(malformed("an end tag does not match"));
        }
        self.scopes.leave(self.open.len());
        if self.open.is_empty() {
            self.phase = Phase::After;
        }
        Ok(Token::End)
    }
}

/// The characters of a text or CDATA token.
pub fn decoded(raw: &[u8]) -> Cow<'_, str> {
    // A token has been found to be text already.
    let text = std::str::from_utf8(raw).unwrap_or_default();
    if let Some(inner) = text.strip_prefix("<![CDATA[") {
        return one_line_end(inner.strip_suffix("]]>").unwrap_or_default());
    }
    match one_line_end(text) {
        Cow::Borrowed(text) if !text.contains('&') => Cow::Borrowed(text),
        text => Cow::Owned(tag::without_references(&text).unwrap_or_default()),
    }
}

/// XML 1.0 §2.11: every end of line is a line feed.
fn one_line_end(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { Cow::Borrowed(text) }
}

fn check_text(text: &str) -> Result<(), XmlError> {
    if text.contains("]]>") {
        return Err(malformed("text holds `]]>`"));
    }
    if text.contains('&') {
        tag::without_references(text)?;
    }
    Ok(())
}

/// Where a long text may be cut: not within a character, a reference or what could become `]]>`.
fn safe_cut(text: &[u8]) -> Result<usize, XmlError> {
    let tail = text.get(text.len().saturating_sub(REFERENCE_BYTES_MAX)..).unwrap_or_default();
    let mut cut = text.len();
    if let Some(back) = tail.iter().rev().position(|byte| *byte == b'&')
        && !tail.iter().rev().take(back).any(|byte| *byte == b';')
    {
        cut = text.len() - back - 1;
    }
    let so_far = text.get(..cut).unwrap_or_default();
    cut -= so_far.iter().rev().take(2).take_while(|byte| **byte == b']').count();
    let so_far = text.get(..cut).unwrap_or_default();
    let continued = so_far.iter().rev().take(4).take_while(|byte| **byte & 0xc0 == 0x80).count();
    match so_far.iter().rev().nth(continued) {
        Some(lead) if *lead >= 0xc0 => cut -= continued + 1,
        _ => {}
    }
    // A line end must not be parted either: it would be read as two.
    if text.get(..cut).is_some_and(|text| text.ends_with(b"\r")) {
        cut -= 1;
    }
    if cut == 0 { Err(malformed("the message is not text in UTF-8")) } else { Ok(cut) }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests;
