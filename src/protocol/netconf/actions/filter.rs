//! What a filter selects (RFC 6241 §6, §8.9), as far as a decision needs to know.
//!
//! The answer is pruned whatever the filter says. But a filter that compares a value shows by the answer whether it is equal, so every value
//! that is compared must be readable; an expression that is no plain path could compare anything.

use super::edit::is_two_faced;
use super::{Asked, BASE, Refused, Scope, cli};
use crate::domain::data::{DataPath, DataTarget, Datastore, Models, Step};
use crate::domain::{Action, Verb};
use crate::protocol::netconf::xml::Element;

/// What is selected.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// Some of each of these may be shown.
    pub(super) parts: Vec<DataPath>,
    /// All of each of these must be readable.
    pub(super) wholes: Vec<DataPath>,
    /// Command lines that the element would run to answer.
    pub(super) lines: Vec<String>,
}

/// Paths that are told apart; a filter with more asks for the root.
const PARTS_MAX: usize = 64;
/// Values that one filter may compare.
const COMPARED_MAX: usize = 256;

impl Selected {
    fn everything() -> Self {
        Self { parts: vec![DataPath::root()], ..Self::default() }
    }

    fn unknown() -> Self {
        Self { wholes: vec![DataPath::root()], ..Self::default() }
    }

    /// The actions that reading it is.
    pub(super) fn asks(self, verb: Verb, datastores: &[Datastore]) -> Vec<Action> {
        let Self { parts, wholes, lines } = self;
        let mut asks: Vec<Action> = lines.into_iter().map(|line| Action::new(Verb::CliRun, line)).collect();
        for datastore in datastores {
            let part = parts.iter().map(|path| DataTarget::part(*datastore, path.clone()));
            let whole = wholes.iter().map(|path| DataTarget::whole(*datastore, path.clone()));
            asks.extend(part.chain(whole).map(|target| Action::new(verb, target.to_string())));
        }
        asks
    }
}

/// What a `<filter>` selects.
pub(super) fn of_filter(filter: Option<Asked<'_>>) -> Result<Selected, Refused> {
    let Some(filter) = filter else { return Ok(Selected::everything()) };
    let attribute = |local: &str| {
        let (own, base) = (filter.element.attribute("", local), filter.element.attribute(BASE, local));
        match (own, base) {
            (Some(own), Some(base)) if own != base => Err(Refused::invalid("the filter has two types")),
            (own, base) => Ok(own.or(base)),
        }
    };
    let select = attribute("select")?;
    match attribute("type")? {
        None | Some("subtree") if select.is_none() => of_subtree(&filter),
        Some("xpath") if filter.element.children.is_empty() => {
            let select = select.ok_or_else(|| Refused::invalid("an XPath filter has a `select`"))?;
            Ok(of_xpath(select, &filter.scope, filter.models))
        }
        _ => Err(Refused::invalid("a filter is of the type subtree or xpath")),
    }
}

/// What a subtree filter selects (RFC 6241 §6.2).
pub(super) fn of_subtree(filter: &Asked<'_>) -> Result<Selected, Refused> {
    let element = filter.element;
    if element.unclear || (element.children.is_empty() && !element.text.trim().is_empty()) {
        return Err(Refused::invalid("the filter holds text"));
    }
    if let Some(lines) = cli::lines_in(element)? {
        return Ok(Selected { lines, ..Selected::everything() });
    }
    let mut selected = Selected::default();
    for child in &element.children {
        subtree(child, &DataPath::root(), &filter.scope, filter.models, &mut selected)?;
    }
    if selected.parts.is_empty() || selected.parts.len() > PARTS_MAX {
        selected.parts = vec![DataPath::root()];
    }
    if selected.wholes.len() > COMPARED_MAX {
        return Err(Refused::invalid(format!("a filter may compare {COMPARED_MAX} values at most")));
    }
    Ok(selected)
}

fn subtree(
    element: &Element,
    parent: &DataPath,
    outer: &Scope<'_>,
    models: &Models,
    selected: &mut Selected,
) -> Result<(), Refused> {
    if element.unclear {
        return Err(Refused::invalid("the filter holds text that can be read in two ways"));
    }
    let scope = Scope::of(element, Some(outer));
    let compares = |leaf: &Element| leaf.children.is_empty() && !leaf.text.trim().is_empty();
    let step = Step::named(models.module_of(&element.name.ns), &element.name.local)?;
    let path = parent.child(step.clone())?;
    let keys = models.keys_of(&path).to_vec();
    let value = |key: &String| {
        let mut found = element.children.iter().filter(|child| *child.name.local == **key);
        match (found.next(), found.next()) {
            (Some(only), None) if compares(only) && !is_two_faced(only, &scope) => Some(only.text.clone()),
            _ => None,
        }
    };
    let values = keys.iter().map(|key| (key.clone(), value(key))).collect();
    let path = parent.child(step.with_keys(values)?)?;
    if compares(element) {
        selected.wholes.push(path);
        return Ok(());
    }
    let mut selects = false;
    for child in &element.children {
        let is_key = keys.iter().any(|key| **key == *child.name.local);
        if compares(child) && is_key && !child.unclear {
            continue;
        }
        selects |= !compares(child);
        subtree(child, &path, &scope, models, selected)?;
    }
    if !selects {
        selected.parts.push(path);
    }
    Ok(())
}

/// What an XPath expression selects: plain paths are told; everything else could look at anything.
pub(super) fn of_xpath(expression: &str, scope: &Scope<'_>, models: &Models) -> Selected {
    let paths: Option<Vec<DataPath>> =
        alternatives(expression).into_iter().map(|path| plain_path(path, scope, models)).collect();
    match paths {
        Some(parts) if !parts.is_empty() && parts.len() <= PARTS_MAX => Selected { parts, ..Selected::default() },
        _ => Selected::unknown(),
    }
}

/// The paths of `a | b`, parted outside quotes.
fn alternatives(expression: &str) -> Vec<&str> {
    let mut quote = None;
    expression
        .split(move |c: char| match quote {
            Some(open) => {
                if c == open {
                    quote = None;
                }
                false
            }
            None => {
                if matches!(c, '\'' | '"') {
                    quote = Some(c);
                }
                c == '|'
            }
        })
        .collect()
}

/// `/p:name[p:key='value']/…`, the keys being those of a list that is known.
pub(super) fn plain_path(text: &str, scope: &Scope<'_>, models: &Models) -> Option<DataPath> {
    let mut rest = text.trim();
    let mut path = DataPath::root();
    while let Some(after) = rest.strip_prefix('/') {
        let end = after.find(['/', '[']).unwrap_or(after.len());
        let (name, after) = after.split_at_checked(end)?;
        let step = named(name.trim(), scope, models)?;
        let bare = path.child(step.clone()).ok()?;
        let keys = models.keys_of(&bare);
        let mut values: Vec<(String, Option<String>)> = Vec::new();
        rest = after;
        while let Some(inner) = rest.strip_prefix('[') {
            let (key, after) = inner.split_once('=')?;
            let key = key.trim();
            let key = key.split_once(':').map_or(key, |(_, local)| local);
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let (value, after) = after.get(1..)?.split_once(quote)?;
            rest = after.trim_start().strip_prefix(']')?;
            let prefixed = value.split_once(':').is_some_and(|(prefix, _)| scope.find(prefix).is_some());
            if !keys.iter().any(|known| known == key) {
                return None;
            }
            values.push((key.to_owned(), (!prefixed).then(|| value.to_owned())));
        }
        for key in keys {
            if !values.iter().any(|(known, _)| known == key) {
                values.push((key.clone(), None));
            }
        }
        path = path.child(step.with_keys(values).ok()?).ok()?;
    }
    (rest.is_empty() && !path.steps().is_empty()).then_some(path)
}

fn named(name: &str, scope: &Scope<'_>, models: &Models) -> Option<Step> {
    match name.split_once(':') {
        Some((prefix, local)) => Step::named(models.module_of(scope.find(prefix)?), local).ok(),
        None => Step::named(None, name).ok(),
    }
}
