//! `sallyport api seen`: which operations of HTTPS APIs were used, by whom and when, as the log and the recordings tell it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

use serde::Serialize;

use crate::audit::reader::Entries;
use crate::domain::{Action, Effect, ElementName, Event, Identity, Reason, Timestamp, Verb};
use crate::recording::{Item, Kept, Part};

use super::Failure;
use super::data::{Data, Out, Source, open_recording, unreadable, unwritable, write_json};
use super::sessions::{Since, since};

/// Look at HTTPS APIs as they are used
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Seen(Seen),
}

/// List the operations that were used or denied, by whom and when
///
/// What was forwarded is told by the recordings, each of which is decided and noted as read; what was denied by the audit log. Values in braces
/// are left out, so that one line is one operation. `undocumented` counts requests for what the element's API document does not have.
#[derive(Debug, clap::Args)]
struct Seen {
    /// Only this element.
    #[arg(long, value_name = "NAME")]
    element: Option<ElementName>,
    /// Only what was seen since: a time such as 2026-11-22T08:00:00Z, or a span back from now such as 8h.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

/// One operation of one element.
#[derive(Debug, Serialize)]
struct Line {
    element: ElementName,
    verb: Verb,
    operation: String,
    #[serde(flatten)]
    used: Used,
}

/// How an operation was used.
#[derive(Debug, Serialize)]
struct Used {
    count: u64,
    denied: u64,
    undocumented: u64,
    identities: BTreeSet<String>,
    first_seen: Timestamp,
    last_seen: Timestamp,
}

type Inventory = BTreeMap<(ElementName, String, Verb), Used>;

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Command::Seen(seen) = args.command;
    seen.source.with(|data| print(data, &seen))
}

fn print(data: &Data<'_>, seen: &Seen) -> Result<(), Failure> {
    (data.authorise)(&Action::new(Verb::GatewayAudit, ""))?;
    let since = seen.since.map(Since::moment);
    let mut inventory = Inventory::new();
    add_denials(data, seen, since, &mut inventory)?;
    add_forwarded(data, seen, since, &mut inventory)?;
    let lines: Vec<Line> = inventory
        .into_iter()
        .map(|((element, operation, verb), used)| Line { element, verb, operation, used })
        .collect();
    let mut out = Out::stdout();
    let written = if seen.json { write_json(&mut out, &lines) } else { print_table(&mut out, &lines) };
    written.and_then(|()| out.flush()).map_err(unwritable)
}

fn add_denials(
    data: &Data<'_>,
    seen: &Seen,
    since: Option<Timestamp>,
    inventory: &mut Inventory,
) -> Result<(), Failure> {
    let mut entries = Entries::open(&data.audit, 0).map_err(|e| unreadable(&data.audit, &e))?;
    while let Some(entry) = entries.next_entry().map_err(|e| unreadable(&data.audit, &e))? {
        let Some(Event::Denied { request, decision, .. }) = &entry.event else { continue };
        let wanted = seen.element.as_ref().is_none_or(|element| *element == request.element);
        if !is_http(request.action.verb) || !wanted || since.is_some_and(|since| entry.at < since) {
            continue;
        }
        let used = note(inventory, &request.element, &request.action, &request.identity, entry.at);
        used.denied += 1;
        let undocumented =
            matches!(&decision.reason, Reason::Gateway(why) if why.starts_with("the API document has no such"));
        used.undocumented += u64::from(undocumented);
    }
    Ok(())
}

fn add_forwarded(
    data: &Data<'_>,
    seen: &Seen,
    since: Option<Timestamp>,
    inventory: &mut Inventory,
) -> Result<(), Failure> {
    for row in data.sessions()?.rows.into_values().filter(|row| row.facts.protocol == "https") {
        let request = &row.facts.request;
        let ended = row.closed.as_ref().map(|closed| closed.at);
        let before = since.zip(ended).is_some_and(|(since, ended)| ended < since);
        if before || seen.element.as_ref().is_some_and(|element| *element != request.element) {
            continue;
        }
        let path = data.recording(&row);
        if !path.is_file() {
            continue;
        }
        (data.authorise)(&Action::new(Verb::GatewayReplay, row.facts.session.to_string()))?;
        (data.note_read)(row.facts.session, "api seen")?;
        let mut reader = open_recording(&path)?;
        let mut asked: HashMap<u32, Action> = HashMap::new();
        // Requests that nothing has refused since: the gateway may find out after it has recorded one.
        let mut gone: HashMap<u32, (Action, Timestamp)> = HashMap::new();
        let mut count = |(action, at): (Action, Timestamp)| {
            if since.is_none_or(|since| at >= since) {
                note(inventory, &request.element, &action, &request.identity, at).count += 1;
            }
        };
        while let Some(item) = reader.next_item().map_err(|e| unreadable(&path, &e))? {
            let Item::Frame(frame) = item else { continue };
            match frame.frame {
                Kept::ChannelOpened { channel, action, .. } if is_http(action.verb) => {
                    asked.insert(channel, action);
                }
                // One for each channel; what a WebSocket says afterwards is no request.
                Kept::Exchange { channel, exchange } if exchange.part == Part::Request => {
                    gone.extend(asked.remove(&channel).map(|action| (channel, (action, frame.at))));
                }
                Kept::Decided { channel, decision, .. } if decision.effect == Effect::Deny => {
                    gone.remove(&channel);
                }
                Kept::ChannelClosed { channel, .. } => {
                    asked.remove(&channel);
                    gone.remove(&channel).map(&mut count);
                }
                _ => {}
            }
        }
        gone.into_values().for_each(count);
    }
    Ok(())
}

fn note<'i>(
    inventory: &'i mut Inventory,
    element: &ElementName,
    action: &Action,
    who: &Identity,
    at: Timestamp,
) -> &'i mut Used {
    let key = (element.clone(), operation(&action.object), action.verb);
    let used = inventory.entry(key).or_insert_with(|| Used {
        count: 0,
        denied: 0,
        undocumented: 0,
        identities: BTreeSet::new(),
        first_seen: at,
        last_seen: at,
    });
    used.identities.insert(who.name().to_owned());
    used.first_seen = used.first_seen.min(at);
    used.last_seen = used.last_seen.max(at);
    used
}

/// An object without the values of its parameters.
fn operation(object: &str) -> String {
    let plain = |segment: &str| match segment.strip_prefix('{').and_then(|inner| inner.split_once('=')) {
        Some((name, _)) if segment.ends_with('}') => format!("{{{name}}}"),
        _ => segment.to_owned(),
    };
    object.split('/').map(plain).collect::<Vec<_>>().join("/")
}

fn is_http(verb: Verb) -> bool {
    verb.as_str().starts_with("http.")
}

fn print_table(out: &mut Out, lines: &[Line]) -> std::io::Result<()> {
    writeln!(
        out,
        "{:16}  {:12}  {:44}  {:>8}  {:>8}  {:>12}  {:20}  IDENTITIES",
        "ELEMENT", "VERB", "OPERATION", "COUNT", "DENIED", "UNDOCUMENTED", "LAST SEEN"
    )?;
    for Line { element, verb, operation, used } in lines {
        let last = used.last_seen.to_string();
        let last = last.get(..19).unwrap_or(&last);
        let identities = used.identities.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        writeln!(
            out,
            "{:16}  {:12}  {:44}  {:>8}  {:>8}  {:>12}  {last:>19}Z  {identities}",
            element.as_str(),
            verb.as_str(),
            operation.escape_debug().to_string(),
            used.count,
            used.denied,
            used.undocumented
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_an_object_without_values() {
        for (object, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/{id=4711}", "/a/{id}"),
            ("/a/{id=x=y}/b/{?q=1}", "/a/{id}/b/{?q}"),
            ("/a/{id}", "/a/{id}"),
            ("/a/{id=1", "/a/{id=1"),
        ] {
            assert_eq!(operation(object), expected);
        }
    }
}
