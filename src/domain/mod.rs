//! The nouns of the gateway: who, what, where, whether, and why it ended.
//!
//! Pure data and its text forms. Nothing here does I/O, waits, or reads a clock; time is an argument.
//! Text becomes a domain type in one place (`parse`), and a value that exists is valid.

mod action;
pub mod api;
pub mod data;
mod decision;
mod element;
mod event;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod identity;
mod outcome;
pub mod plain;
mod time;

pub use action::{Action, Verb};
pub use decision::{Decision, Effect, Obligation, Reason, Request, Revision, RuleRef};
pub use element::{Account, ElementName};
pub use event::{DecisionFacts, Event, RecordingFacts, RefusalStage, RequestFacts, SessionFacts, Via};
pub use identity::{Assurance, Device, Door, Identity, TrustDomain};
pub use outcome::{Fault, Outcome};
pub use time::{SessionId, Timestamp, parse_duration};

/// A text that is not what it should be: what was wrong and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

impl ParseError {
    /// An error with this text; lower case, no full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
