//! Cuts one direction of the stream into units, without collecting content.

use crate::protocol::ssh::inspect::InspectError;

use super::codec::{Fields, kind, malformed};

/// One step through the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unit<'a> {
    /// A whole packet, its length field included.
    Packet(&'a [u8]),
    /// The head of a WRITE or DATA packet, its length field included; its content follows.
    Head(&'a [u8]),
    /// Content of the last head.
    Content {
        /// Some of it, perhaps nothing.
        bytes: &'a [u8],
        /// Whether it is the last of it.
        last: bool,
    },
}

/// The place in one direction's stream. It holds at most one packet.
#[derive(Debug, Default)]
pub(super) struct Framer {
    held: Vec<u8>,
    /// Whether `held` was handed out and can go.
    spent: bool,
    content_left: Option<usize>,
}

/// What bounds a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The type whose content streams: WRITE or DATA.
    pub(super) streams: u8,
    pub(super) packet_bytes_max: usize,
    pub(super) handle_bytes_max: usize,
}

impl Framer {
    /// Whether the stream stands inside a packet of which a part went on already.
    pub(super) fn inside_content(&self) -> bool {
        self.content_left.is_some()
    }

    /// The next unit of what was held and `input`, from which it takes what it uses.
    pub(super) fn next<'u, 'i: 'u>(
        &'u mut self,
        input: &mut &'i [u8],
        bounds: Bounds,
    ) -> Result<Option<Unit<'u>>, InspectError> {
        if self.spent {
            self.held.clear();
            self.spent = false;
        }
        if let Some(left) = self.content_left {
            return Ok(self.content(left, input));
        }
        if self.held.is_empty() {
            let whole = *input;
            if let Some(unit) = measure(whole, bounds)?.filter(|unit| unit.length <= whole.len()) {
                let (bytes, rest) = whole.split_at(unit.length);
                *input = rest;
                self.content_left = unit.content;
                return Ok(Some(unit.of(bytes)));
            }
        }
        self.collect(input, bounds)
    }

    fn content<'i>(&mut self, left: usize, input: &mut &'i [u8]) -> Option<Unit<'i>> {
        if input.is_empty() && left > 0 {
            return None;
        }
        let (bytes, rest) = input.split_at(left.min(input.len()));
        *input = rest;
        let left = left - bytes.len();
        self.content_left = (left > 0).then_some(left);
        Some(Unit::Content { bytes, last: left == 0 })
    }

    /// Adds to what is held until it is one unit.
    fn collect(&mut self, input: &mut &[u8], bounds: Bounds) -> Result<Option<Unit<'_>>, InspectError> {
        loop {
            let measured = measure(&self.held, bounds)?;
            // Not measurable yet: one byte more is always right, and there are few.
            let wanted = measured.map_or(self.held.len() + 1, |unit| unit.length);
            if let Some(unit) = measured.filter(|unit| unit.length <= self.held.len()) {
                self.content_left = unit.content;
                self.spent = true;
                return Ok(Some(unit.of(&self.held)));
            }
            if input.is_empty() {
                return Ok(None);
            }
            let (bytes, rest) = input.split_at((wanted - self.held.len()).min(input.len()));
            self.held.extend_from_slice(bytes);
            *input = rest;
        }
    }
}

#[derive(Clone, Copy)]
struct Measured {
    length: usize,
    /// What streams after the unit.
    content: Option<usize>,
}

impl Measured {
    fn of(self, bytes: &[u8]) -> Unit<'_> {
        if self.content.is_some() { Unit::Head(bytes) } else { Unit::Packet(bytes) }
    }
}

/// How long the unit is that `start` begins, once that can be told.
fn measure(start: &[u8], bounds: Bounds) -> Result<Option<Measured>, InspectError> {
    let mut fields = Fields(start);
    let Ok(length) = fields.u32() else { return Ok(None) };
    let length = length as usize;
    if length == 0 || length > bounds.packet_bytes_max {
        return Err(malformed(&format!("its length is {length}, the most is {}", bounds.packet_bytes_max)));
    }
    let Ok(packet) = fields.u8() else { return Ok(None) };
    if packet != bounds.streams {
        return Ok(Some(Measured { length: 4 + length, content: None }));
    }
    let Some((head, content)) = head(packet, fields, bounds)? else { return Ok(None) };
    if head + content != 4 + length {
        return Err(malformed("its content does not fill it"));
    }
    Ok(Some(Measured { length: head, content: Some(content) }))
}

/// The length of the head of a WRITE or DATA packet and of the content after it.
fn head(packet: u8, mut fields: Fields<'_>, bounds: Bounds) -> Result<Option<(usize, usize)>, InspectError> {
    let mut head = 5 + 4 + 4;
    if fields.take(4).is_err() {
        return Ok(None);
    }
    if packet == kind::WRITE {
        let Ok(handle) = fields.u32() else { return Ok(None) };
        let handle = handle as usize;
        if handle > bounds.handle_bytes_max {
            return Err(malformed("its handle is too long"));
        }
        head += handle + 8 + 4;
        if fields.take(handle + 8).is_err() {
            return Ok(None);
        }
    }
    Ok(fields.u32().ok().map(|content| (head, content as usize)))
}
