//! What one identity may read of a data tree, in outline: for readers that leave out what may not be seen.
//!
//! An outline is a guide, not a decision: what it calls whole is still asked for, so that casbin has judged whatever is shown.

use crate::domain::data::DataTarget;
use crate::domain::{Effect, Request};

use super::PolicySet;
use super::pattern::{Pattern, Reach};

/// How much of a subtree may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// Nothing of it.
    Nothing,
    /// Some of it, perhaps: look further down.
    Part,
    /// All of it, as far as rows tell: ask.
    Whole,
}

/// The rows about one kind of reading by one identity on one element.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    allows: Vec<Pattern>,
    limits: Vec<Pattern>,
}

impl Outline {
    /// How much of the subtree at `target` may be read. Its extent does not matter.
    pub fn portion(&self, target: &DataTarget) -> Portion {
        let whole = DataTarget::whole(target.datastore, target.path.clone());
        let part = DataTarget::part(target.datastore, target.path.clone());
        let any = |patterns: &[Pattern], reach, target: &DataTarget| {
            patterns.iter().any(|pattern| pattern.matches_target(reach, target))
        };
        if !any(&self.allows, Reach::Strict, &part) {
            return Portion::Nothing;
        }
        if any(&self.allows, Reach::Strict, &whole) && !any(&self.limits, Reach::Broad, &whole) {
            return Portion::Whole;
        }
        Portion::Part
    }
}

impl PolicySet {
    /// The outline for the identity, element, account and verb of `request`.
    pub fn outline(&self, request: &Request) -> Outline {
        let account = request.account.as_str();
        let mut outline = Outline::default();
        for (row, effect) in self.compiled.candidates(request) {
            if row.takes_account(account) {
                let of = if *effect == Effect::Allow { &mut outline.allows } else { &mut outline.limits };
                of.push(row.objects.clone());
            }
        }
        let duties = self.compiled.duty_candidates(request);
        outline
            .limits
            .extend(duties.iter().filter(|(row, _)| row.takes_account(account)).map(|(row, _)| row.objects.clone()));
        outline
    }
}
