//! A whole message as a tree.

use std::sync::Arc;

use super::{Attribute, Limits, Name, Tag, Token, Tokenizer, XmlError, decoded, malformed};

/// An element with what is in it.
#[derive(Debug, Clone)]
pub struct Element {
    /// Its name.
    pub name: Name,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// The namespaces that it declares, by prefix.
    pub declares: Vec<(Box<str>, Arc<str>)>,
    /// The elements in it.
    pub children: Vec<Self>,
    /// The text in it, blanks between elements left out.
    pub text: String,
    /// Whether its text is parted by a comment, so that parsers differ about it, or stands between elements.
    pub unclear: bool,
}

/// Reads a whole document.
///
/// # Errors
/// It is refused.
pub fn read(bytes: &[u8], limits: Limits) -> Result<(Element, Tag, std::ops::Range<usize>), XmlError> {
    let mut tokenizer = Tokenizer::new(limits.depth_max);
    tokenizer.push(bytes);
    let mut reading = Reading { stack: Vec::new(), root: None, elements_left: limits.elements_max };
    let (mut head, mut at) = (None, 0);
    while let Some(token) = tokenizer.next_token()? {
        let raw = tokenizer.raw();
        let from = at;
        at += raw.len();
        if let Token::Start(tag) = &token
            && head.is_none()
        {
            let tag = Tag {
                name: tag.name.clone(),
                qualified: tag.qualified.clone(),
                attributes: tag.attributes.clone(),
                declares: tag.declares.clone(),
                empty: tag.empty,
            };
            head = Some((tag, from..at));
        }
        reading.take(token, raw)?;
    }
    tokenizer.finish()?;
    let (tag, range) = head.ok_or_else(|| malformed("the message is empty"))?;
    let root = reading.root.ok_or_else(|| malformed("the message is empty"))?;
    Ok((root, tag, range))
}

/// An element whose end is to come.
struct Open {
    element: Element,
    /// A comment, or a section that is CDATA: text beside it is parted from it.
    parted: bool,
}

struct Reading {
    stack: Vec<Open>,
    root: Option<Element>,
    elements_left: usize,
}

impl Reading {
    fn take(&mut self, token: Token, raw: &[u8]) -> Result<(), XmlError> {
        match token {
            Token::Start(tag) => {
                self.elements_left = self
                    .elements_left
                    .checked_sub(1)
                    .ok_or_else(|| XmlError::TooBig("the message has too many elements".to_owned()))?;
                let Tag { name, attributes, declares, empty, .. } = tag;
                let (children, text) = (Vec::new(), String::new());
                let element = Element { name, attributes, declares, children, text, unclear: false };
                if empty { self.close(element) } else { self.stack.push(Open { element, parted: false }) }
            }
            Token::End => {
                if let Some(open) = self.stack.pop() {
                    self.close(open.element);
                }
            }
            Token::Text { .. } => {
                if let Some(open) = self.stack.last_mut() {
                    let text = decoded(raw);
                    open.element.unclear |= open.parted && !text.is_empty();
                    open.element.text.push_str(&text);
                }
            }
            // Some elements read the last piece of text alone.
            Token::Cdata => {
                if let Some(open) = self.stack.last_mut() {
                    open.element.unclear |= open.parted || !open.element.text.is_empty();
                    open.parted = true;
                    open.element.text.push_str(&decoded(raw));
                }
            }
            Token::Comment => {
                if let Some(open) = self.stack.last_mut() {
                    open.parted = true;
                }
            }
            Token::Declaration => {}
        }
        Ok(())
    }

    fn close(&mut self, mut element: Element) {
        if !element.children.is_empty() {
            element.unclear = element.text.contains(|c: char| !c.is_ascii_whitespace());
            element.text.clear();
        }
        match self.stack.last_mut() {
            Some(parent) => parent.element.children.push(element),
            None => self.root = Some(element),
        }
    }
}

impl Element {
    /// The children with this name.
    pub fn named<'e>(&'e self, ns: &'e str, local: &'e str) -> impl Iterator<Item = &'e Self> {
        self.children.iter().filter(move |child| child.name.is(ns, local))
    }

    /// The attribute with this name.
    pub fn attribute(&self, ns: &str, local: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.name.is(ns, local)).map(|a| &*a.value)
    }

    /// The text of an element that holds nothing but text.
    pub fn leaf(&self) -> Option<&str> {
        (self.children.is_empty() && !self.unclear).then_some(&*self.text)
    }
}
