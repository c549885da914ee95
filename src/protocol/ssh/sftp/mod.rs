//! SFTP between a client and an element: every request is decided before the element sees it.
//!
//! It knows version 3 of the protocol and OpenSSH's extensions. Anything else is answered by the gateway with "operation unsupported", and the
//! server's offer of other extensions is taken out, so that clients do not try. A denied request is answered with "permission denied" and the
//! reason. Apart from these and the version in INIT, the bytes of both sides pass unchanged.
//!
//! Reads and writes go by handle and were decided when the file was opened. What the gateway cannot see: links. A path is decided as it is written;
//! an allowed folder that holds a link leads where the link leads, so `file.link` is a grant of its own.

mod actions;
mod books;
mod codec;
mod framer;
mod handles;
mod pending;
#[cfg(test)]
mod tests;

use crate::domain::Action;
use bytes::BytesMut;

use self::actions::{Refusal, View};
use self::books::Books;
use self::codec::{Fields, Request, code, kind, malformed};
use self::framer::{Bounds, Framer, Unit};
use self::handles::{Slot, Way};
use self::pending::Pending;
use super::inspect::{Ask, Flow, Inspect, InspectError};

/// What peers may make an inspector hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes in a packet, its length field aside.
    pub packet_bytes_max: usize,
    /// The most bytes in a path.
    pub path_bytes_max: usize,
    /// The most bytes in a handle (the draft's limit is 256).
    pub handle_bytes_max: usize,
    /// The most files and folders open at once; more are refused.
    pub open_handles_max: usize,
    /// The most reads and writes without an answer. Some clients ask for a whole file at once.
    pub transfers_outstanding_max: usize,
    /// The most other requests without an answer.
    pub operations_outstanding_max: usize,
    /// The most bytes of content held to be hashed in order; past it a file has no digest.
    pub reorder_bytes_max: usize,
    /// The most bytes of our own answers held while a packet of the element passes.
    pub held_answer_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 257 * 1024,
            path_bytes_max: 4096,
            handle_bytes_max: 256,
            open_handles_max: 1024,
            transfers_outstanding_max: 131_072,
            operations_outstanding_max: 4096,
            reorder_bytes_max: 4 * 1024 * 1024,
            held_answer_bytes_max: 256 * 1024,
        }
    }
}

/// Stands in one channel's `sftp` subsystem.
#[derive(Debug)]
pub struct SftpInspector {
    limits: Limits,
    phase: Phase,
    from_client: Lane,
    from_element: Lane,
    state: Books,
    /// Our answers that wait for the element's packet to end.
    held_answers: BytesMut,
}

/// One direction: the place in it and where its content goes.
#[derive(Debug, Default)]
struct Lane {
    framer: Framer,
    /// Absent: the content is of a refused write and is dropped.
    content: Option<(Slot, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was said.
    Silent,
    /// The client sent INIT.
    Greeted,
    /// The element sent VERSION.
    Ready,
    /// An error ended it.
    Ended,
}

impl Inspect for SftpInspector {
    fn from_client(&mut self, input: &[u8], ask: &mut dyn Ask, flow: &mut Flow) -> Result<(), InspectError> {
        self.guard(
            |inspector, framer| inspector.client_units(framer, input, ask, flow),
            |inspector| &mut inspector.from_client,
        )
    }

    fn from_element(&mut self, input: &[u8], _ask: &mut dyn Ask, flow: &mut Flow) -> Result<(), InspectError> {
        self.guard(
            |inspector, framer| inspector.element_units(framer, input, flow),
            |inspector| &mut inspector.from_element,
        )
    }

    fn standing(&self) -> Vec<Action> {
        self.state.handles.standing()
    }

    fn finish(&mut self, flow: &mut Flow) {
        self.phase = Phase::Ended;
        flow.events.extend(self.state.finish());
    }
}

impl SftpInspector {
    /// An inspector of a subsystem that was just asked for.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Silent,
            from_client: Lane::default(),
            from_element: Lane::default(),
            state: Books::new(limits.reorder_bytes_max),
            held_answers: BytesMut::new(),
        }
    }

    /// Runs `step` on a lane's framer. An error is final: nothing passes after it.
    fn guard(
        &mut self,
        step: impl FnOnce(&mut Self, &mut Framer) -> Result<(), InspectError>,
        lane: impl Fn(&mut Self) -> &mut Lane,
    ) -> Result<(), InspectError> {
        if self.phase == Phase::Ended {
            return Err(InspectError("the file transfer has ended".to_owned()));
        }
        let mut framer = std::mem::take(&mut lane(self).framer);
        let result = step(self, &mut framer);
        lane(self).framer = framer;
        if result.is_err() {
            self.phase = Phase::Ended;
        }
        result
    }

    fn bounds(&self, streams: u8) -> Bounds {
        let Limits { packet_bytes_max, handle_bytes_max, .. } = self.limits;
        Bounds { streams, packet_bytes_max, handle_bytes_max }
    }

    fn client_units(
        &mut self,
        framer: &mut Framer,
        mut input: &[u8],
        ask: &mut dyn Ask,
        flow: &mut Flow,
    ) -> Result<(), InspectError> {
        let bounds = self.bounds(kind::WRITE);
        while let Some(unit) = framer.next(&mut input, bounds)? {
            match unit {
                Unit::Packet(packet) => self.client_packet(packet, ask, flow)?,
                Unit::Head(head) => self.write_head(head, flow)?,
                Unit::Content { bytes, .. } => {
                    if let Some((slot, offset)) = &mut self.from_client.content {
                        flow.to_element.extend_from_slice(bytes);
                        self.state.handles.add(*slot, Way::Written, *offset, bytes);
                        *offset = offset.saturating_add(bytes.len() as u64);
                    }
                }
            }
        }
        Ok(())
    }

    fn client_packet(&mut self, packet: &[u8], ask: &mut dyn Ask, flow: &mut Flow) -> Result<(), InspectError> {
        let mut fields = Fields(packet);
        fields.u32()?;
        let packet_kind = fields.u8()?;
        match (self.phase, packet_kind) {
            (Phase::Silent, kind::INIT) => {
                let version = fields.u32()?;
                if version < codec::VERSION {
                    return Err(InspectError(format!(
                        "the client speaks SFTP version {version}; only {} is supported",
                        codec::VERSION
                    )));
                }
                self.phase = Phase::Greeted;
                flow.to_element.extend_from_slice(&codec::init());
                return Ok(());
            }
            (Phase::Ready, kind::INIT) => return Err(malformed("a second INIT")),
            (Phase::Ready, _) => {}
            _ => return Err(malformed("a request before the versions are agreed")),
        }
        let (id, request) = Request::parse(packet_kind, fields.0)?;
        self.check_id(id)?;
        match self.decide(&request, ask) {
            Ok(pending) => {
                self.state.expect(id, pending, &self.limits)?;
                flow.to_element.extend_from_slice(packet);
                Ok(())
            }
            Err(refusal) => self.answer(id, &refusal, flow),
        }
    }

    /// An id that waits for its answer cannot be used again: the answers could not be told apart.
    fn check_id(&self, id: u32) -> Result<(), InspectError> {
        if self.state.waits(id) { Err(malformed("its request id is in use")) } else { Ok(()) }
    }

    /// Asks for everything the request does; the books change only when all of it is allowed.
    fn decide(&mut self, request: &Request<'_>, ask: &mut dyn Ask) -> Result<Pending, Refusal> {
        let view = View {
            home: self.state.home.as_deref(),
            handles: &self.state.handles,
            path_bytes_max: self.limits.path_bytes_max,
        };
        let actions = actions::actions(request, view)?;
        let opens = matches!(request, Request::Open { .. } | Request::OpenFolder { .. });
        if opens && self.state.open_count() >= self.limits.open_handles_max {
            return Err(Refusal::new(
                code::FAILURE,
                format!("more than {} files are open", self.limits.open_handles_max),
            ));
        }
        for action in &actions {
            ask.allow(action).map_err(|text| Refusal::new(code::PERMISSION_DENIED, text))?;
        }
        self.state.begin(request, &actions)
    }

    /// The head of a write: its content follows to the element, or nowhere.
    fn write_head(&mut self, head: &[u8], flow: &mut Flow) -> Result<(), InspectError> {
        if self.phase != Phase::Ready {
            return Err(malformed("a request before the versions are agreed"));
        }
        let mut fields = Fields(head);
        fields.take(5)?;
        let (id, handle, offset) = (fields.u32()?, fields.string()?, fields.u64()?);
        self.check_id(id)?;
        match self.state.transfer(handle, Way::Written) {
            Ok(slot) => {
                self.state.expect(id, Pending::Write { slot }, &self.limits)?;
                self.from_client.content = Some((slot, offset));
                flow.to_element.extend_from_slice(head);
                Ok(())
            }
            Err(refusal) => {
                self.from_client.content = None;
                self.answer(id, &refusal, flow)
            }
        }
    }

    /// Answers for the element, between two of its packets.
    fn answer(&mut self, id: u32, refusal: &Refusal, flow: &mut Flow) -> Result<(), InspectError> {
        let packet = codec::status(id, refusal.code, &refusal.text);
        if !self.from_element.framer.inside_content() {
            flow.to_client.extend_from_slice(&packet);
        } else if self.held_answers.len() + packet.len() > self.limits.held_answer_bytes_max {
            return Err(InspectError("too many refused SFTP requests while the element is silent".to_owned()));
        } else {
            self.held_answers.extend_from_slice(&packet);
        }
        Ok(())
    }

    fn element_units(&mut self, framer: &mut Framer, mut input: &[u8], flow: &mut Flow) -> Result<(), InspectError> {
        let bounds = self.bounds(kind::DATA);
        while let Some(unit) = framer.next(&mut input, bounds)? {
            match unit {
                Unit::Packet(packet) => self.element_packet(packet, flow)?,
                Unit::Head(head) => self.data_head(head, flow)?,
                Unit::Content { bytes, last } => {
                    flow.to_client.extend_from_slice(bytes);
                    if let Some((slot, offset)) = &mut self.from_element.content {
                        self.state.handles.add(*slot, Way::Read, *offset, bytes);
                        *offset = offset.saturating_add(bytes.len() as u64);
                    }
                    if last {
                        flow.to_client.extend_from_slice(&self.held_answers.split());
                    }
                }
            }
        }
        Ok(())
    }

    fn element_packet(&mut self, packet: &[u8], flow: &mut Flow) -> Result<(), InspectError> {
        let mut fields = Fields(packet);
        fields.u32()?;
        let packet_kind = fields.u8()?;
        match (self.phase, packet_kind) {
            (Phase::Greeted, kind::VERSION) => {
                let version = codec::filtered_version(fields.0)?;
                self.phase = Phase::Ready;
                flow.to_client.extend_from_slice(&version);
                Ok(())
            }
            (Phase::Ready, kind::VERSION) => Err(malformed("a second VERSION")),
            (Phase::Ready, _) => {
                self.state.answered(packet_kind, fields, &mut flow.events)?;
                flow.to_client.extend_from_slice(packet);
                Ok(())
            }
            _ => Err(malformed("an answer before the versions are agreed")),
        }
    }

    fn data_head(&mut self, head: &[u8], flow: &mut Flow) -> Result<(), InspectError> {
        let mut fields = Fields(head);
        fields.take(5)?;
        let (id, content) = (fields.u32()?, fields.u32()?);
        self.from_element.content = Some(self.state.data(id, content)?);
        flow.to_client.extend_from_slice(head);
        Ok(())
    }
}
