//! Secrets in recorded messages, masked for whoever reads them.
//!
//! What is recorded stays as it is: a mask is how it is shown. A body that cannot be read to the end of what is kept is not shown at all.

mod json;
mod xml;

use crate::domain::data::{DataPath, NodeName};
use crate::policy::Masks;
use crate::recording::reader::{Item, Stamped};
use crate::recording::{Exchange, Kept, Part};

/// What stands for a secret.
const MASKED: &str = "(masked)";

/// How secrets are shown.
#[derive(Debug, Clone)]
pub(super) enum View {
    /// Masked.
    Masked(Masks),
    /// No body of a message is shown, because what is secret is not known: why.
    Nothing(String),
    /// As they were recorded.
    Unmasked,
}

impl View {
    /// A frame as it is shown.
    pub(super) fn of(&self, frame: Kept) -> Kept {
        match frame {
            Kept::Exchange { channel, exchange } => {
                Kept::Exchange { channel, exchange: Box::new(self.exchange(*exchange)) }
            }
            other => other,
        }
    }

    /// What was read of a recording, as it is shown.
    pub(super) fn item(&self, item: Item) -> Item {
        match item {
            Item::Frame(stamped) => Item::Frame(Stamped { frame: self.of(stamped.frame), ..stamped }),
            other => other,
        }
    }

    fn exchange(&self, exchange: Exchange) -> Exchange {
        let Some(body) = exchange.body.as_deref().filter(|body| !body.trim().is_empty()) else { return exchange };
        let shown = match self {
            Self::Unmasked => return exchange,
            Self::Nothing(why) => Err(why.clone()),
            Self::Masked(masks) => masked(masks, &exchange, body),
        };
        let body = Some(shown.unwrap_or_else(|why| format!("(not shown: {why})")));
        Exchange { body, ..exchange }
    }
}

/// The body with its secrets masked; why it cannot be.
fn masked(masks: &Masks, exchange: &Exchange, body: &str) -> Result<String, String> {
    if exchange.part == Part::Observation {
        return Ok(body.lines().map(|line| difference(masks, line)).collect::<Vec<_>>().join("\n"));
    }
    let grpc = exchange.what.starts_with("gnmi.") || exchange.what.starts_with("gnoi.");
    let around = if grpc { Vec::new() } else { resource(&exchange.what) };
    if exchange.part == Part::Notification && EVENT_FIELDS.iter().any(|field| body.starts_with(field)) {
        return Ok(body.lines().map(|line| event(masks, line, exchange.cut)).collect::<Vec<_>>().join("\n"));
    }
    document(masks, body, &around, grpc, exchange.cut)
}

fn document(masks: &Masks, body: &str, around: &[String], grpc: bool, cut: bool) -> Result<String, String> {
    match body.trim_start().as_bytes().first() {
        Some(b'<') => xml::masked(masks, body, around, cut),
        Some(b'{' | b'[') => json::masked(masks, body, around, grpc, cut),
        _ => Err("neither XML nor JSON, so it cannot be masked".to_owned()),
    }
}

/// What a line of an event stream begins with.
const EVENT_FIELDS: &[&str] = &["data:", "event:", "id:", "retry:", ":"];

/// A line of an event stream (RFC 8040 §6.4): `data: {…}`.
fn event(masks: &Masks, line: &str, cut: bool) -> String {
    match line.strip_prefix("data:") {
        Some(data) if data.trim().is_empty() => line.to_owned(),
        Some(data) => {
            let shown = document(masks, data.trim(), &[], false, cut);
            format!("data: {}", shown.unwrap_or_else(|why| format!("(not shown: {why})")))
        }
        None if line.is_empty() || EVENT_FIELDS.iter().any(|field| line.starts_with(field)) => line.to_owned(),
        None => "(not shown: not a line of an event stream)".to_owned(),
    }
}

/// A line of a difference of configurations: `- /path = value`.
fn difference(masks: &Masks, line: &str) -> String {
    let (sign, rest) = line.split_at_checked(2).unwrap_or((line, ""));
    let Some(at) = outside_quotes(rest, " = ") else { return line.to_owned() };
    let (path, _) = rest.split_at(at);
    let hidden = match path.parse::<DataPath>() {
        Ok(path) => {
            let names: Vec<&str> = path
                .steps()
                .iter()
                .map(|step| if let NodeName::Named { name, .. } = &step.name { name.as_str() } else { "*" })
                .collect();
            (1..=names.len()).any(|end| names.get(..end).is_some_and(|names| masks.hide(names)))
        }
        Err(_) => true,
    };
    if hidden { format!("{sign}{path} = {MASKED}") } else { line.to_owned() }
}

/// Where `mark` stands outside `'…'`.
fn outside_quotes(text: &str, mark: &str) -> Option<usize> {
    let (mut within, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if within => escaped = true,
            '\'' => within = !within,
            _ if !within && text.get(at..).is_some_and(|rest| rest.starts_with(mark)) => return Some(at),
            _ => {}
        }
    }
    None
}

/// The nodes around the body of a RESTCONF message: `PUT /restconf/data/m:a/b=c`.
fn resource(what: &str) -> Vec<String> {
    let path = what.split_whitespace().nth(1).unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let name = |segment: &str| {
        let name = segment.split('=').next().unwrap_or_default();
        name.rsplit(':').next().unwrap_or_default().to_owned()
    };
    path.split('/').filter(|segment| !segment.is_empty()).map(name).collect()
}

/// Where a node is: names around it, which may or may not name what is outermost in the body too.
#[derive(Debug)]
struct Place<'a> {
    masks: &'a Masks,
    around: &'a [String],
}

impl Place<'_> {
    fn hides(&self, names: &[&str]) -> bool {
        let whole: Vec<&str> = self.around.iter().map(String::as_str).chain(names.iter().copied()).collect();
        let own = self.around.len().saturating_sub(1);
        let parent: Vec<&str> = self.around.iter().take(own).map(String::as_str).chain(names.iter().copied()).collect();
        self.masks.hide(&whole) || self.masks.hide(&parent)
    }
}

#[cfg(test)]
mod tests;
