//! What a person is told when the answer is no.

use crate::domain::plain::one_line;
use crate::domain::{Action, ElementName, Outcome, Reason};
use crate::policy::Denied;

/// Why an action did not happen, with two texts: one for the person, one (in the events) for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Policy denied it. The text says what, why and whom to ask.
    Denied(String),
    /// The gateway or the element could not take it.
    Unavailable(Outcome),
}

impl Refusal {
    pub(super) fn denied(denied: &Denied, contact: &str) -> Self {
        let request = &denied.request;
        let why = match &denied.decision.reason {
            // SECURITY: one text for these. A rule that forbids tells that there is something to forbid.
            Reason::RuleAllows | Reason::NoRule | Reason::RuleDenies => String::new(),
            Reason::Obligation(unmet) => format!(" under these conditions: {unmet}"),
            Reason::Gateway(why) => format!(": {why}"),
            Reason::Engine(_) => ": the policy could not be evaluated".to_owned(),
        };
        let what = describe(&request.action, &request.element);
        let (who, revision) = (request.who.name(), denied.decision.revision.short());
        Self::Denied(format!("{what} is not allowed for {who}{why} (policy {revision}). Ask {contact}"))
    }

    /// The text for the person; one line.
    pub fn message(&self) -> String {
        match self {
            Self::Denied(text) => text.clone(),
            Self::Unavailable(outcome) => outcome.message().to_owned(),
        }
    }
}

/// SECURITY: without the account. Where the person named none it would be the usual one of an element that exists, and tell that it does.
fn describe(action: &Action, element: &ElementName) -> String {
    let object: String = action.object.chars().take(200).collect();
    let object = one_line(&object);
    if action.object.is_empty() {
        format!("{} on {element}", action.verb)
    } else {
        format!("{} `{object}` on {element}", action.verb)
    }
}
