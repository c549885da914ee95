//! NETCONF (RFC 6241, RFC 6242): bytes in, bytes out, no I/O.

use std::sync::Arc;

use super::answer::{self, After};
use super::model;
use crate::domain::Timestamp;
use crate::lab::device::Device;
use crate::protocol::netconf::actions::BASE;
use crate::protocol::netconf::codec::{Decoder, Framing, Piece, frame};
use crate::protocol::netconf::observe::escaped;
use crate::protocol::netconf::xml::{self, Limits};

const MESSAGE_BYTES_MAX: u64 = 1 << 20;
pub(super) const LIMITS: Limits = Limits { depth_max: 64, elements_max: 20_000 };
const BASE_1_0: &str = "urn:ietf:params:netconf:base:1.0";
const BASE_1_1: &str = "urn:ietf:params:netconf:base:1.1";

/// One session.
#[derive(Debug)]
pub(in crate::lab) struct Netconf {
    device: Arc<Device>,
    account: String,
    id: u32,
    decoder: Decoder,
    framing: Framing,
    message: Vec<u8>,
    greeted: bool,
    left: bool,
}

impl Netconf {
    pub(in crate::lab) fn new(device: Arc<Device>, account: String) -> Self {
        let id = device.with(|state| {
            state.netconf_sessions = state.netconf_sessions.wrapping_add(1).max(1);
            state.netconf_sessions
        });
        Self {
            device,
            account,
            id,
            decoder: Decoder::new(MESSAGE_BYTES_MAX),
            framing: Framing::EndOfMessage,
            message: Vec::new(),
            greeted: false,
            left: false,
        }
    }

    /// The router's hello.
    pub(in crate::lab) fn open(&self) -> Vec<u8> {
        let capability = |name: &str| format!("urn:ietf:params:netconf:capability:{name}");
        let models = model::MODULES
            .iter()
            .map(|module| format!("{}?module={}&revision={}", module.namespace, module.name, module.revision));
        let own =
            [BASE_1_0.to_owned(), BASE_1_1.to_owned(), capability("writable-running:1.0"), capability("candidate:1.0")];
        let list: String =
            own.into_iter().chain(models).map(|c| format!("<capability>{}</capability>", escaped(&c))).collect();
        let hello = format!(
            "<hello xmlns=\"{BASE}\"><capabilities>{list}</capabilities><session-id>{}</session-id></hello>",
            self.id
        );
        self.framed(&hello)
    }

    /// Whether the session is over.
    pub(in crate::lab) fn left(&self) -> bool {
        self.left
    }

    /// Takes what came and gives what is answered.
    pub(in crate::lab) fn input(&mut self, bytes: &[u8], now: Timestamp) -> Vec<u8> {
        self.decoder.push(bytes);
        let mut out = Vec::new();
        while !self.left {
            match self.decoder.next_piece() {
                Ok(Some(Piece::Data(data))) => self.message.extend_from_slice(&data),
                Ok(Some(Piece::End)) => {
                    let message = std::mem::take(&mut self.message);
                    out.extend(self.take(&message, now));
                }
                Ok(None) => break,
                // Where the next message begins is not known.
                Err(_) => self.left = true,
            }
        }
        out
    }

    fn take(&mut self, message: &[u8], now: Timestamp) -> Vec<u8> {
        let Ok((root, tag, _)) = xml::read(message, LIMITS) else {
            self.left = true;
            return Vec::new();
        };
        if !self.greeted {
            self.greeted = root.name.is(BASE, "hello");
            self.left = !self.greeted;
            let chunks = root.named(BASE, "capabilities").flat_map(|all| all.named(BASE, "capability"));
            if chunks.into_iter().any(|capability| capability.text.trim() == BASE_1_1) {
                self.framing = Framing::Chunked;
                self.decoder.switch(Framing::Chunked);
            }
            return Vec::new();
        }
        let (inner, after) = if root.name.is(BASE, "rpc") {
            answer::to(&root, &self.device, &self.account, self.id, now)
        } else {
            self.left = true;
            return Vec::new();
        };
        self.left = after == After::Close;
        let id = tag.attributes.iter().find(|a| &*a.name.local == "message-id").map(|a| escaped(&a.value));
        let id = id.map_or(String::new(), |id| format!(" message-id=\"{id}\""));
        self.framed(&format!("<rpc-reply xmlns=\"{BASE}\"{id}>{inner}</rpc-reply>"))
    }

    fn framed(&self, message: &str) -> Vec<u8> {
        // The escaped text of the router cannot hold the marker: it has no bare `>`.
        frame(self.framing, message.as_bytes()).map(|bytes| bytes.to_vec()).unwrap_or_default()
    }
}

impl Drop for Netconf {
    fn drop(&mut self) {
        answer::release(&self.device, self.id);
    }
}
