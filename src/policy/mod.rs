//! Whether: one versioned set of policies decides every action.
//!
//! A set loads whole or not at all. Rows are parsed once; a compiled index finds those that match a request, and casbin, the judge, decides by
//! the rows that could matter. A request that no row allows is denied, a row that denies wins, and an obligation that does not hold denies.
//! Where the index and casbin differ, or anything fails, the answer is no.
//!
//! Not here: reading `elements.toml` (see [`crate::element`]), watching the folder, swapping one set for the next (see [`crate::access`]).

mod apis;
mod casbin;
mod cases;
mod classes;
mod compiled;
mod explain;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod graph;
mod index;
mod masks;
mod models;
pub mod nacm;
mod names;
mod obligation;
mod outline;
mod parsed;
mod pattern;
mod rows;
mod set;
mod verdicts;
mod window;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::domain::{Account, Action, Decision, Effect, ElementName, Reason, Request, Timestamp};
use crate::identity::Verified;

pub use cases::CaseResult;
pub use explain::{Explanation, NearMiss, Obliged, reason_text};
pub use files::Folder;
pub use masks::Masks;
pub use outline::{Outline, Portion};
pub use set::PolicySet;

/// The models and masks of a `models.toml`.
///
/// # Errors
/// Every mistake in it.
pub fn read_models(text: &str) -> Result<(crate::domain::data::Models, Masks), Vec<Problem>> {
    let mut problems = Vec::new();
    let read = models::parse(text, &mut problems);
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

/// What policy needs to know of an element: its name and the groups it is in (`class/…`, `site/…`, `vendor/…`, `platform/…`, own names).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementTags {
    /// Its name.
    pub name: ElementName,
    /// The groups, without the `group:` prefix: `class/core-router` is `group:class/core-router` in policy.
    pub groups: Vec<String>,
}

/// A mistake in a policy set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to the policy folder.
    pub file: String,
    /// The line, counted from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// What is wrong and how to mend it.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.text),
            line => write!(f, "{}:{line}: {}", self.file, self.text),
        }
    }
}

/// What is asked, beside who asks.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The element.
    pub element: &'a ElementName,
    /// The account on it.
    pub account: &'a Account,
    /// The action.
    pub action: &'a Action,
    /// Now.
    pub at: Timestamp,
    /// When the session was opened; `at` for the action that opens it.
    pub session_opened_at: Timestamp,
}

/// Proof that policy allowed one request. Issued by [`permit`] alone.
#[derive(Debug)]
pub struct Permit {
    request: Request,
    decision: Decision,
}

impl Permit {
    /// What was allowed.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The decision that allowed it.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

impl Permit {
    /// The permit as a denial, for a caller that knows of a further reason against it.
    pub fn withdrawn(self, why: &str) -> Denied {
        let Self { request, decision } = self;
        let decision =
            Decision { effect: Effect::Deny, reason: Reason::Gateway(why.to_owned()), until: None, ..decision };
        Denied { request, decision }
    }
}

/// What a verified client may read of a data tree by this verb, in outline.
pub fn outline(set: &PolicySet, who: &Verified, ask: &Ask<'_>) -> Outline {
    set.outline(&request(who, ask))
}

/// A request that was denied, with the decision.
#[derive(Debug)]
pub struct Denied {
    /// What was asked.
    pub request: Request,
    /// The decision.
    pub decision: Decision,
}

/// Asks for a verified client: the only way to a [`Permit`].
///
/// # Errors
/// The denial.
pub fn permit(set: &PolicySet, who: &Verified, ask: &Ask<'_>) -> Result<Permit, Box<Denied>> {
    let request = request(who, ask);
    let decision = set.decide(&request);
    if decision.allows() { Ok(Permit { request, decision }) } else { Err(Box::new(Denied { request, decision })) }
}

/// Denies what the gateway does for nobody, whatever the set says.
pub fn forbid(set: &PolicySet, who: &Verified, ask: &Ask<'_>, why: &str) -> Denied {
    let reason = Reason::Gateway(why.to_owned());
    let (obligations, revision) = (Vec::new(), set.revision().clone());
    let decision = Decision { effect: Effect::Deny, rule: None, reason, obligations, until: None, revision };
    Denied { request: request(who, ask), decision }
}

fn request(who: &Verified, ask: &Ask<'_>) -> Request {
    Request {
        who: who.identity().clone(),
        device: who.device().cloned(),
        assurance: who.assurance(),
        door: who.door(),
        source: who.peer().ip(),
        element: ask.element.clone(),
        account: ask.account.clone(),
        action: ask.action.clone(),
        at: ask.at,
        session_opened_at: ask.session_opened_at,
    }
}
