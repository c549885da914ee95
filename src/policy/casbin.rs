//! casbin, the judge: the only file that knows it.
//!
//! The index finds the rows that could matter; casbin decides by them, with its own evaluation of the model, its own role graph and its own
//! effect. The matchers it calls are ours, because its own are not anchored and some of them panic. It is never asked with no rows:
//! on an empty policy casbin evaluates the matcher once with empty fields. Whatever goes wrong in it is an error here, and so a denial.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use casbin::function_map::{OperatorFunction, dynamic_to_str};
use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, Model};

use crate::domain::{Effect, Request, Verb};

use super::names::ANY;
use super::pattern::{self, Object, Pattern, Reach};
use super::rows::{Link, Row, shared};
use super::verdicts::Judge;

/// What `model.conf` must say, section by section, blanks apart.
///
/// Any other effect can fail open, and any other matcher would mean something else than the index, so there is one model.
const MODEL: &[(Section, &[(&str, &str)])] = &[
    (Section { name: "request_definition", short: "r" }, &[("r", "who, element, account, verb, object")]),
    (
        Section { name: "policy_definition", short: "p" },
        &[("p", "who, element, account, verb, object, eft"), ("p2", "who, element, account, verb, object, obligation")],
    ),
    (Section { name: "role_definition", short: "g" }, &[("g", "_, _"), ("g2", "_, _")]),
    (
        Section { name: "policy_effect", short: "e" },
        &[("e", "some(where (p.eft == allow)) && !some(where (p.eft == deny))")],
    ),
    (
        Section { name: "matchers", short: "m" },
        &[(
            "m",
            "verb_is(r.verb, p.verb) && account_is(r.account, p.account, p.eft) && object_is(r.verb, r.object, p.object, p.eft) \
             && (p.who == \"*\" || g(r.who, p.who)) && (p.element == \"*\" || g2(r.element, p.element))",
        )],
    ),
];

/// A section of the model: its name in the file, and casbin's short one.
struct Section {
    name: &'static str,
    short: &'static str,
}

/// More rows than this are not kept from one question to the next.
const ROWS_KEPT_MAX: usize = 1_024;

/// casbin with the role links of one policy set. The rows come with each request.
pub(super) struct Casbin {
    enforcer: Mutex<Enforcer>,
}

impl std::fmt::Debug for Casbin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Casbin")
    }
}

impl Casbin {
    /// Prepares the engine with who is in which roles, and which element in which groups.
    ///
    /// # Errors
    /// What casbin does not accept.
    pub(super) fn new(roles: &[Link], groups: &[Link]) -> Result<Self, String> {
        let enforcer = catch_unwind(AssertUnwindSafe(|| build(roles, groups)))
            .map_err(|_| "casbin panicked while it was built".to_owned())??;
        Ok(Self { enforcer: Mutex::new(enforcer) })
    }
}

fn build(roles: &[Link], groups: &[Link]) -> Result<Enforcer, String> {
    let mut model = DefaultModel::default();
    for (section, definitions) in MODEL {
        for (name, value) in *definitions {
            if !model.add_def(section.short, name, value) {
                return Err(format!("casbin does not accept `{name}` of the model"));
            }
        }
    }
    for (name, links) in [("g", roles), ("g2", groups)] {
        for link in links {
            model.add_policy("g", name, vec![link.member.clone(), link.of.clone()]);
        }
    }
    let mut enforcer = now(Enforcer::new_raw(model, MemoryAdapter::default()))?.map_err(|e| e.to_string())?;
    enforcer.add_function(
        "verb_is",
        OperatorFunction::Arg2(|verb, row| verb_is(&dynamic_to_str(&verb), &dynamic_to_str(&row)).into()),
    );
    enforcer.add_function(
        "account_is",
        OperatorFunction::Arg3(|account, row, effect| {
            account_is(&dynamic_to_str(&account), &dynamic_to_str(&row), &dynamic_to_str(&effect)).into()
        }),
    );
    enforcer.add_function(
        "object_is",
        OperatorFunction::Arg4(|verb, object, row, effect| {
            object_is(&dynamic_to_str(&verb), &dynamic_to_str(&object), &dynamic_to_str(&row), &dynamic_to_str(&effect))
                .into()
        }),
    );
    enforcer.build_role_links().map_err(|e| e.to_string())?;
    Ok(enforcer)
}

impl Judge for Casbin {
    fn judge(&self, request: &Request, rows: &[&(Row, Effect)]) -> Result<Effect, String> {
        if rows.is_empty() {
            return Ok(Effect::Deny);
        }
        let mut enforcer = self.enforcer.lock().unwrap_or_else(PoisonError::into_inner);
        let judged = catch_unwind(AssertUnwindSafe(|| {
            put(&mut enforcer, rows)?;
            let who = format!("user:{}", request.who.name());
            let element = format!("element:{}", request.element);
            let asked =
                (who, element, request.account.as_str(), request.action.verb.as_str(), request.action.object.as_str());
            let answer = enforcer.enforce(asked).map_err(|e| e.to_string());
            // Every row of a large set is not kept here as well.
            if rows.len() > ROWS_KEPT_MAX {
                put(&mut enforcer, &[])?;
            }
            answer
        }));
        match judged {
            Ok(Ok(true)) => Ok(Effect::Allow),
            Ok(Ok(false)) => Ok(Effect::Deny),
            Ok(Err(text)) => Err(text),
            Err(_) => Err("casbin panicked".to_owned()),
        }
    }
}

/// Makes these the rows that casbin decides by.
fn put(enforcer: &mut Enforcer, rows: &[&(Row, Effect)]) -> Result<(), String> {
    let policy = enforcer
        .get_mut_model()
        .get_mut_model()
        .get_mut("p")
        .and_then(|section| section.get_mut("p"))
        .ok_or_else(|| "casbin lost its policy section".to_owned())?;
    let policy = policy.get_mut_policy();
    policy.clear();
    policy.extend(rows.iter().map(|(row, effect)| fields(row, *effect)));
    Ok(())
}

fn fields(row: &Row, effect: Effect) -> Vec<String> {
    let effect = match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    vec![
        row.who.clone(),
        row.element.clone(),
        row.account.clone().unwrap_or_else(|| ANY.to_owned()),
        row.verbs.text.clone(),
        row.object_text.clone(),
        effect.to_owned(),
    ]
}

fn reach(effect: &str) -> Reach {
    if effect == "allow" { Reach::Strict } else { Reach::Broad }
}

fn verb_is(verb: &str, row: &str) -> bool {
    if let Some(each) = shared(row) {
        return each.iter().any(|shared| shared.as_str() == verb);
    }
    row.strip_suffix('*').map_or(verb == row, |family| verb.starts_with(family))
}

fn account_is(account: &str, row: &str, effect: &str) -> bool {
    row == ANY || row == account || reach(effect) == Reach::Broad && row.eq_ignore_ascii_case(account)
}

fn object_is(verb: &str, object: &str, row: &str, effect: &str) -> bool {
    let Ok(verb) = verb.parse::<Verb>() else { return false };
    let reach = reach(effect);
    Pattern::parse(pattern::kind(verb), reach, row).is_ok_and(|pattern| pattern.matches(reach, &Object::new(object)))
}

/// The result of a future that has nothing to wait for.
fn now<T>(future: impl Future<Output = T>) -> Result<T, String> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err("casbin waits for something while it is built".to_owned()),
    }
}

/// Checks the text of `model.conf` against [`MODEL`].
pub(super) fn check_model(text: &str) -> Result<(), String> {
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    let mut found: Vec<(String, String, String)> = Vec::new();
    let mut section = String::new();
    let unfolded = text.replace("\\\r\n", " ").replace("\\\n", " ");
    for line in unfolded.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
        } else if let Some((name, value)) = line.split_once('=') {
            found.push((section.clone(), name.trim().to_owned(), squeeze(value)));
        } else {
            return Err(format!("`{line}` is neither a [section] nor a definition"));
        }
    }
    let mut wanted: Vec<(String, String, String)> = MODEL
        .iter()
        .flat_map(|(section, definitions)| {
            definitions.iter().map(|(name, value)| (section.name.to_owned(), (*name).to_owned(), squeeze(value)))
        })
        .collect();
    found.sort();
    wanted.sort();
    if let Some((section, name, _)) = found.iter().find(|definition| !wanted.contains(definition)) {
        return Err(format!(
            "`{name}` in [{section}] is not that of this gateway's model; take back the model.conf that came with it"
        ));
    }
    if found != wanted {
        return Err(
            "a definition is missing or there twice; take back the model.conf that came with this gateway".to_owned()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
