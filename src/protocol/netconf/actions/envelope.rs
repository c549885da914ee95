//! The `<rpc>` element itself, and the head of whatever answers it.

use super::{BASE, Refused};
use crate::protocol::netconf::xml::{self, Element, Limits, Tag, Token, Tokenizer, XmlError};

/// The start tag that answers an RPC: every attribute of the RPC comes back as it was (RFC 6241 §4.2).
#[derive(Debug, Clone)]
pub struct ReplyHead {
    /// The prefix of NETCONF's namespace with its colon, or nothing.
    pub prefix: String,
    /// The attributes as they were written, each with a blank before it.
    pub attributes: String,
    /// The client's name for the RPC.
    pub message_id: Option<String>,
}

impl Default for ReplyHead {
    fn default() -> Self {
        Self { prefix: String::new(), attributes: format!(" xmlns=\"{BASE}\""), message_id: None }
    }
}

impl ReplyHead {
    fn of(tag: &Tag, raw: &[u8]) -> Self {
        let text = std::str::from_utf8(raw).unwrap_or_default();
        let inner = text.strip_prefix('<').and_then(|t| t.strip_prefix(&*tag.qualified)).unwrap_or_default();
        let inner = inner.strip_suffix('>').unwrap_or_default();
        let attributes = inner.strip_suffix('/').unwrap_or(inner).trim_end().to_owned();
        let id = tag.attributes.iter().find(|a| a.name.is("", "message-id"));
        Self { prefix: tag.prefix().to_owned(), attributes, message_id: id.map(|a| a.value.to_string()) }
    }
}

/// A message of the client that is an RPC.
#[derive(Debug)]
pub struct Envelope {
    /// What its answer begins with.
    pub head: ReplyHead,
    pub(super) rpc: Element,
}

impl Envelope {
    /// Reads a message.
    ///
    /// # Errors
    /// It is no RPC, with the head of an answer as far as it could be made.
    pub fn read(message: &[u8], limits: Limits) -> Result<Self, Box<(Refused, ReplyHead)>> {
        let (rpc, tag, range) = match xml::read(message, limits) {
            Ok(read) => read,
            Err(error) => {
                let head = head_of(message, limits).ok().flatten().unwrap_or_default();
                return Err(Box::new((error.into(), head)));
            }
        };
        if !rpc.name.is(BASE, "rpc") {
            let text = format!("`{}` is not an RPC of {BASE}", rpc.name.local);
            let refused = Refused { tag: super::ErrorTag::MalformedMessage, text };
            return Err(Box::new((refused, ReplyHead::default())));
        }
        let head = ReplyHead::of(&tag, message.get(range).unwrap_or_default());
        Ok(Self { head, rpc })
    }
}

/// The head of an answer to a message that cannot be read on.
fn head_of(message: &[u8], limits: Limits) -> Result<Option<ReplyHead>, XmlError> {
    let mut tokenizer = Tokenizer::new(limits.depth_max);
    tokenizer.push(message);
    while let Some(token) = tokenizer.next_token()? {
        if let Token::Start(tag) = token {
            return Ok(tag.name.is(BASE, "rpc").then(|| ReplyHead::of(&tag, tokenizer.raw())));
        }
    }
    Ok(None)
}

impl Envelope {
    /// The name of the operation, for people.
    pub fn operation(&self) -> String {
        self.rpc
            .children
            .first()
            .map_or_else(|| "an RPC without an operation".to_owned(), |first| first.name.local.to_string())
    }
}
