//! Why: a decision with everything that led to it, for people.

use crate::domain::{Decision, Effect, Reason, Request, RuleRef};

use super::PolicySet;
use super::compiled::{at, fits};
use super::obligation::Standing;
use super::pattern::{ObjectKind, kind};

/// A row that would have allowed it but for one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// The row.
    pub rule: RuleRef,
    /// The field that does not fit: `who`, `element`, `account`, `verb` or `object`.
    pub field: &'static str,
}

/// An obligation that a matching row attaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obliged {
    /// The row.
    pub rule: RuleRef,
    /// The obligation as policy writes it.
    pub obligation: String,
    /// Why it does not hold; none when it does.
    pub failure: Option<String>,
}

/// A decision and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision itself.
    pub decision: Decision,
    /// The identity, its roles, the element and its groups, as rows name them.
    pub names: Vec<String>,
    /// Every `p` row that matches, with its effect.
    pub matching: Vec<(RuleRef, Effect)>,
    /// Every obligation that is attached.
    pub obligations: Vec<Obliged>,
    /// Rows that would allow it but for one field.
    pub near_misses: Vec<NearMiss>,
    /// Whom to ask.
    pub contact: String,
    /// Whether the object should be a data path and is none in its one form: every deny matches it then, and no allow.
    pub unreadable: bool,
}

impl PolicySet {
    /// Decides and explains. Looks at every row: for people, not for the path.
    pub fn explain(&self, request: &Request) -> Explanation {
        let compiled = &self.compiled;
        let matching = compiled.matching(request);
        let rows = matching.iter().filter_map(|number| compiled.rules.get(at(*number)));
        let obligations = compiled.obliging(request).map(|(row, duty)| Obliged {
            rule: row.reference(),
            obligation: duty.text(),
            failure: match duty.standing(request) {
                Standing::Holds(_) => None,
                Standing::Fails(text) => Some(text),
            },
        });
        let allowing = compiled.rules.iter().filter(|(_, effect)| *effect == Effect::Allow);
        let near_misses = allowing.filter_map(|(row, _)| {
            let fields = fits(compiled, row, request);
            let mut wrong = fields.iter().filter(|(_, fits)| !fits);
            let field = wrong.next()?.0;
            wrong.next().is_none().then(|| NearMiss { rule: row.reference(), field })
        });
        let mut names: Vec<String> =
            compiled.people.describe(&format!("user:{}", request.who.name())).into_iter().collect();
        names.extend(compiled.elements.describe(&format!("element:{}", request.element)));
        let unreadable = kind(request.action.verb) == ObjectKind::Data
            && request.action.object.parse::<crate::domain::data::DataTarget>().is_err();
        Explanation {
            unreadable,
            decision: self.decide(request),
            names,
            matching: rows.map(|(row, effect)| (row.reference(), *effect)).collect(),
            obligations: obligations.collect(),
            near_misses: near_misses.collect(),
            contact: self.contact().to_owned(),
        }
    }
}

/// A reason in words.
pub fn reason_text(reason: &Reason) -> String {
    match reason {
        Reason::RuleAllows => "a row allows it and none denies it".to_owned(),
        Reason::RuleDenies => "a row denies it".to_owned(),
        Reason::NoRule => "no row allows it".to_owned(),
        Reason::Obligation(text) => format!("a row allows it, under an obligation that does not hold: {text}"),
        Reason::Gateway(text) => format!("the gateway does not do it for anybody: {text}"),
        Reason::Engine(text) => format!("the policy engine failed, so it is denied: {text}"),
    }
}
