//! Expected decisions: `cases.toml`. A set that decides one of them otherwise is not loaded.

use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;

use crate::domain::{
    Account, Action, Assurance, Decision, Device, Door, Effect, ElementName, Identity, Reason, Request, Timestamp,
    TrustDomain, Verb,
};

use super::{ElementTags, Problem};

pub(super) const FILE: &str = "cases.toml";

/// When a case names no time: a Wednesday, ten in the morning, UTC.
const DEFAULT_AT: Timestamp = Timestamp::from_secs(1_767_780_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    case: Vec<toml::Spanned<RawCase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    who: String,
    element: String,
    #[serde(default)]
    groups: Option<Vec<String>>,
    #[serde(default)]
    account: Option<Account>,
    verb: Verb,
    #[serde(default)]
    object: String,
    #[serde(default)]
    door: Option<Door>,
    #[serde(default)]
    assurance: Option<u8>,
    #[serde(default)]
    device: bool,
    #[serde(default)]
    source: Option<IpAddr>,
    #[serde(default)]
    at: Option<Timestamp>,
    #[serde(default)]
    opened_at: Option<Timestamp>,
    expect: Effect,
    #[serde(default)]
    because: Option<Because>,
    #[serde(default)]
    rule: Option<String>,
}

/// Why a case expects its decision, when it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Because {
    Rule,
    NoRule,
    Obligation,
}

/// One expected decision.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) request: Request,
    /// An element that exists for the cases only.
    pub(super) invented: Option<ElementTags>,
    expect: Effect,
    because: Option<Because>,
    rule: Option<String>,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Its line in `cases.toml`.
    pub line: u32,
    /// What was decided otherwise; none when it is as expected.
    pub failure: Option<String>,
}

/// Parses the file.
pub(super) fn parse(text: &str, elements: &[ElementTags], problems: &mut Vec<Problem>) -> Vec<Case> {
    let raw: RawFile = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            problems.push(super::files::toml_problem(FILE, text, &error));
            return Vec::new();
        }
    };
    let mut cases = Vec::new();
    for raw in raw.case {
        let line = super::files::line_at(text, raw.span().start);
        match case(raw.into_inner(), line, elements) {
            Ok(case) => cases.push(case),
            Err(text) => problems.push(Problem { file: FILE.to_owned(), line, text }),
        }
    }
    cases
}

fn case(raw: RawCase, line: u32, elements: &[ElementTags]) -> Result<Case, String> {
    let named = |text: String| format!("case `{}`: {text}", raw.name);
    let user =
        raw.who.strip_prefix("user:").ok_or_else(|| named(format!("`{}` must be written as `user:NAME`", raw.who)))?;
    let domain: TrustDomain = "cases.invalid".parse().map_err(|e| named(format!("{e}")))?;
    let who = Identity::new(domain.clone(), user).map_err(|e| named(e.to_string()))?;
    let element: ElementName = raw.element.parse().map_err(|e| named(format!("{e}")))?;
    let exists = element == ElementName::gateway() || elements.iter().any(|known| known.name == element);
    let invented = match (raw.groups, exists) {
        (Some(_), true) => {
            return Err(named(format!("`{element}` exists; leave `groups` out, or invent another name")));
        }
        (None, false) => {
            return Err(named(format!("`{element}` is not in elements.toml; name one that is, or give its `groups`")));
        }
        (Some(groups), false) => Some(ElementTags { name: element.clone(), groups }),
        (None, true) => None,
    };
    let assurance = match raw.assurance {
        Some(1) => Assurance::SoftwareKey,
        None | Some(2) => Assurance::MutualTls,
        Some(3) => Assurance::HardwareBound,
        Some(level) => return Err(named(format!("there is no assurance level {level}; write 1, 2 or 3"))),
    };
    let device = raw.device.then(|| Device::new(domain, "a-device")).transpose().map_err(|e| named(e.to_string()))?;
    let account = match raw.account {
        Some(account) => account,
        None => "admin".parse().map_err(|e| named(format!("{e}")))?,
    };
    let at = raw.at.unwrap_or(DEFAULT_AT);
    let request = Request {
        who,
        device,
        assurance,
        door: raw.door.unwrap_or(Door::Mtls),
        source: raw.source.unwrap_or(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        element,
        account,
        action: Action::new(raw.verb, raw.object),
        at,
        session_opened_at: raw.opened_at.unwrap_or(at),
    };
    Ok(Case { name: raw.name, line, request, invented, expect: raw.expect, because: raw.because, rule: raw.rule })
}

impl Case {
    /// Compares what was decided with what is expected.
    pub(super) fn compare(&self, decision: &Decision) -> Option<String> {
        let settled =
            decision.rule.as_ref().map_or_else(|| "no row".to_owned(), |rule| format!("{rule} `{}`", rule.text));
        let got = format!("{} by {settled} ({})", word(decision.effect), super::explain::reason_text(&decision.reason));
        if decision.effect != self.expect {
            return Some(format!("expected {}, got {got}", word(self.expect)));
        }
        let because = match decision.reason {
            Reason::RuleAllows | Reason::RuleDenies => Some(Because::Rule),
            Reason::NoRule => Some(Because::NoRule),
            Reason::Obligation(_) => Some(Because::Obligation),
            Reason::Gateway(_) | Reason::Engine(_) => None,
        };
        if because.is_none() || self.because.is_some_and(|wanted| Some(wanted) != because) {
            return Some(format!("the effect is as expected but not the reason: {got}"));
        }
        let tidy = |text: &str| text.split(',').map(str::trim).collect::<Vec<_>>().join(", ");
        match (&self.rule, &decision.rule) {
            (Some(wanted), found) if found.as_ref().is_none_or(|rule| tidy(&rule.text) != tidy(wanted)) => {
                Some(format!("expected the row `{wanted}`, got {got}"))
            }
            _ => None,
        }
    }
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}
