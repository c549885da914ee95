//! File transfers inside a channel: decided one by one, whatever client makes them.

use bytes::BytesMut;

use crate::domain::Action;
use crate::recording::FileEvent;

/// Decides an inner action of the session. Synchronous: a decision costs microseconds and its record is written before it returns.
pub trait Ask {
    /// Whether the action may be done.
    ///
    /// # Errors
    /// The text for the person who asked.
    fn allow(&mut self, action: &Action) -> Result<(), String>;
}

/// What an inspector lets out.
#[derive(Debug, Default)]
pub struct Flow {
    /// To the element.
    pub to_element: BytesMut,
    /// To the client, on its standard output stream.
    pub to_client: BytesMut,
    /// File operations that ended, in order.
    pub events: Vec<FileEvent>,
}

/// The stream is not the protocol it should be, or passed a limit; the channel ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InspectError(pub String);

/// Stands in a channel's byte path, sees both directions, and lets through what is allowed. Pure: no I/O, no clock.
pub trait Inspect: Send {
    /// Bytes from the client.
    ///
    /// # Errors
    /// See [`InspectError`].
    fn from_client(&mut self, input: &[u8], ask: &mut dyn Ask, flow: &mut Flow) -> Result<(), InspectError>;
    /// Bytes from the element.
    ///
    /// # Errors
    /// See [`InspectError`].
    fn from_element(&mut self, input: &[u8], ask: &mut dyn Ask, flow: &mut Flow) -> Result<(), InspectError>;
    /// The actions that what is open now goes on under: they are asked again when policy changes.
    fn standing(&self) -> Vec<Action>;
    /// The channel ends: events of what is unfinished.
    fn finish(&mut self, flow: &mut Flow);
}
