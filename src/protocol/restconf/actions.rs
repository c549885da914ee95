//! What one request asks for: its resource, and every action that must be allowed before the element sees it. Pure.

mod patch;
#[cfg(test)]
mod tests;

use crate::domain::data::{
    DataNode, DataPath, DataTarget, Datastore, DefaultOperation, EditOperation, JsonData, Keys, Models, Naming, changes,
};
use crate::domain::{Action, ParseError, Verb};
use crate::protocol::web::path::{Plus, joined, parameters, query_of, raw_segments, segments};

use super::codec::{Resource, resource};

/// Where RESTCONF begins on the gateway, whatever the element has it under: so that a path alone tells what is meant.
pub const ROOT: &str = "restconf";
/// Operations that carry a command line, which would not be decided as one.
const COMMANDS: &[&str] =
    &["cli", "command", "commands", "exec", "cmd", "clis", "run-cli", "config-ios-cli-rpc", "config-ios-cli-trans"];

/// A request, as far as it is needed to know what it asks for.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'r> {
    /// Its method.
    pub method: &'r str,
    /// The path, as it was sent.
    pub path: &'r str,
    /// The query, as it was sent.
    pub query: Option<&'r str>,
    /// What its body is.
    pub media: Option<&'r str>,
    /// Its body; empty when it has none.
    pub body: &'r [u8],
}

/// A request, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Everything that must be allowed; there is at least one.
    pub actions: Vec<Action>,
    /// The path below the root of RESTCONF, in one form.
    pub path: String,
    /// The query, in one form, with its question mark.
    pub query: String,
    /// Whether the answer is a stream of events, which goes on.
    pub stream: bool,
}

/// Why a request is not decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// RFC 8040 §7.
    pub tag: &'static str,
    /// For people.
    pub text: String,
}

impl Refused {
    fn new(status: u16, tag: &'static str, text: impl Into<String>) -> Self {
        Self { status, tag, text: text.into() }
    }

    fn invalid(text: impl Into<String>) -> Self {
        Self::new(400, "invalid-value", text)
    }

    fn unsupported(text: impl Into<String>) -> Self {
        Self::new(405, "operation-not-supported", text)
    }
}

impl From<ParseError> for Refused {
    fn from(error: ParseError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<crate::protocol::web::path::PathError> for Refused {
    fn from(error: crate::protocol::web::path::PathError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// What a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The root of RESTCONF (RFC 8040 §3.3).
    Api,
    /// Data, or a datastore as a whole.
    Data { url: &'static str, datastore: Option<Datastore>, resource: Resource },
    /// The list of operations, or one.
    Operations(Option<String>),
    /// A stream of events.
    Stream(Vec<String>),
    /// Which YANG library the element has.
    LibraryVersion,
}

/// Whether a path is RESTCONF's. One that cannot be read is somebody else's to refuse.
pub fn is_restconf(path: &str) -> bool {
    if path == super::HOST_META {
        return true;
    }
    let first = path.strip_prefix('/').and_then(|inner| inner.split('/').next());
    first.is_some_and(|first| crate::protocol::web::path::decoded(first).as_deref() == Ok(ROOT))
}

/// What `seen` asks for.
///
/// # Errors
/// It is not taken, whoever asks.
pub fn asked(seen: &Seen<'_>, models: &Models) -> Result<Asked, Refused> {
    let place = place(seen.path, models)?;
    let reads = matches!(seen.method, "GET" | "HEAD" | "OPTIONS");
    if (reads || seen.method == "DELETE") && !seen.body.is_empty() {
        return Err(Refused::new(400, "malformed-message", format!("{} has no body", seen.method)));
    }
    let query = known_parameters(seen, matches!(place, Place::Stream(_)))?;
    let (path, actions, stream) = match place {
        Place::Api if reads => (String::new(), reading(None, &query, &DataPath::root()), false),
        Place::LibraryVersion if reads => {
            let path = "/ietf-restconf:restconf/yang-library-version".parse::<DataPath>()?;
            ("/yang-library-version".to_owned(), reading(Some(Datastore::Operational), &query, &path), false)
        }
        Place::Operations(None) if reads => {
            let path = "/ietf-restconf:restconf/operations".parse::<DataPath>()?;
            ("/operations".to_owned(), reading(Some(Datastore::Operational), &query, &path), false)
        }
        Place::Operations(Some(name)) if matches!(seen.method, "POST" | "OPTIONS") => {
            operation_body(seen, &name)?;
            let actions = vec![Action::new(Verb::RestconfOperation, name.as_str())];
            (format!("/operations/{name}"), actions, false)
        }
        Place::Stream(names) if matches!(seen.method, "GET" | "HEAD") => {
            let action = Action::new(Verb::RestconfStream, names.join("/"));
            (format!("/streams{}", joined(&names)), vec![action], true)
        }
        Place::Data { url, datastore, resource } => {
            let actions = if reads {
                reading(datastore, &query, &resource.path)
            } else {
                writing(seen, datastore.unwrap_or(Datastore::Running), &resource.path, models)?
            };
            let store = datastore.map_or(String::new(), |store| format!("/ietf-datastores:{store}"));
            (format!("/{url}{store}{}", resource.url), actions, false)
        }
        Place::Api | Place::LibraryVersion | Place::Operations(_) | Place::Stream(_) => {
            return Err(Refused::unsupported(format!("{} is not for this resource", seen.method)));
        }
    };
    Ok(Asked { actions, path, query: query_of(&query), stream })
}

fn place(path: &str, models: &Models) -> Result<Place, Refused> {
    let raw = raw_segments(path)?;
    // What is not a data resource has no keys, and so no reason for a separator inside a segment.
    let plain = |raw: &[&str]| segments(&format!("/{}", raw.join("/"))).map_err(Refused::from);
    let names = plain(raw.get(..raw.len().min(2)).unwrap_or_default())?;
    let rest = raw.get(2..).unwrap_or_default();
    match names.get(1).map(String::as_str) {
        None => Ok(Place::Api),
        Some("data") => Ok(Place::Data { url: "data", datastore: None, resource: resource(rest, models)? }),
        Some("ds") => {
            let (store, rest) =
                rest.split_first().ok_or_else(|| Refused::new(404, "invalid-value", "no datastore is named"))?;
            let store = plain(&[store])?.concat();
            let store = store.strip_prefix("ietf-datastores:").unwrap_or_default().parse::<Datastore>()?;
            Ok(Place::Data { url: "ds", datastore: Some(store), resource: resource(rest, models)? })
        }
        Some("operations") => match rest {
            [] => Ok(Place::Operations(None)),
            [name] => {
                let name = plain(&[name])?.concat();
                let fits = name
                    .split_once(':')
                    .is_some_and(|(module, local)| crate::domain::data::Step::named(Some(module), local).is_ok());
                if fits {
                    Ok(Place::Operations(Some(name)))
                } else {
                    Err(Refused::invalid("an operation is module:name"))
                }
            }
            _ => Err(Refused::new(404, "invalid-value", "there is no such resource")),
        },
        Some("yang-library-version") if rest.is_empty() => Ok(Place::LibraryVersion),
        Some("streams") if !rest.is_empty() => Ok(Place::Stream(plain(rest)?)),
        Some(_) => Err(Refused::new(404, "invalid-value", "there is no such resource")),
    }
}

/// The parameters of the query, each of which is known and fits the method (RFC 8040 §4.8, RFC 8527 §3.2).
fn known_parameters(seen: &Seen<'_>, stream: bool) -> Result<Vec<(String, String)>, Refused> {
    let found = parameters(seen.query, Plus::Refuse)?;
    for (name, value) in &found {
        let reads = matches!(seen.method, "GET" | "HEAD");
        let one_of = |words: &[&str]| words.contains(&value.as_str());
        let fits = match name.as_str() {
            "content" => reads && one_of(&["config", "nonconfig", "all"]),
            "depth" => reads && (value == "unbounded" || value.parse::<u16>().is_ok_and(|depth| depth > 0)),
            "fields" => reads && !value.is_empty(),
            "with-defaults" => reads && one_of(&["report-all", "trim", "explicit", "report-all-tagged"]),
            "with-origin" => reads && value.is_empty(),
            "filter" | "start-time" | "stop-time" => reads && stream && !value.is_empty(),
            "insert" => matches!(seen.method, "POST" | "PUT") && one_of(&["first", "last", "before", "after"]),
            "point" => matches!(seen.method, "POST" | "PUT") && value.starts_with('/'),
            _ => false,
        };
        if !fits {
            return Err(Refused::invalid(format!("the gateway does not take `{}` here", name.escape_debug())));
        }
    }
    Ok(found)
}

/// Reading `path`: of `data`, which is configuration and state, as far as `content` does not choose one.
fn reading(datastore: Option<Datastore>, query: &[(String, String)], path: &DataPath) -> Vec<Action> {
    let content = query.iter().find(|(name, _)| name == "content").map_or("all", |(_, value)| value.as_str());
    let stores = match (datastore, content) {
        (Some(store), _) => vec![store],
        (None, "config") => vec![Datastore::Running],
        (None, "nonconfig") => vec![Datastore::Operational],
        (None, _) => vec![Datastore::Running, Datastore::Operational],
    };
    stores.into_iter().map(|store| whole(Verb::RestconfGet, store, path)).collect()
}

fn whole(verb: Verb, datastore: Datastore, path: &DataPath) -> Action {
    Action::new(verb, DataTarget::whole(datastore, path.clone()).to_string())
}

fn writing(seen: &Seen<'_>, store: Datastore, path: &DataPath, models: &Models) -> Result<Vec<Action>, Refused> {
    match seen.method {
        "POST" => posting(seen, store, path, models),
        "PUT" => {
            let body = nodes(seen)?;
            is_resource(&body, path, models)?;
            Ok(vec![whole(Verb::RestconfPut, store, path)])
        }
        "PATCH" if is_yang_patch(seen.media) => patch::actions(&nodes(seen)?, store, path, models),
        "PATCH" => Ok(merging(&nodes(seen)?, store, path, models)?),
        "DELETE" if path.steps().is_empty() => Err(Refused::unsupported("a datastore is not deleted")),
        "DELETE" => Ok(vec![whole(Verb::RestconfDelete, store, path)]),
        other => Err(Refused::unsupported(format!("{} is not a method of RESTCONF", other.escape_debug()))),
    }
}

/// POST creates a child, or invokes an action (RFC 8040 §4.4). Only the model tells which, so that what could be an action has to be allowed as one,
/// and what could be a child as a child.
fn posting(seen: &Seen<'_>, store: Datastore, path: &DataPath, models: &Models) -> Result<Vec<Action>, Refused> {
    let invoke = || whole(Verb::RestconfAction, store, path);
    if seen.body.is_empty() {
        return if path.steps().is_empty() {
            Err(Refused::invalid("POST has a body here"))
        } else {
            Ok(vec![invoke()])
        };
    }
    let mut body = nodes(seen)?;
    let [node] = body.as_mut_slice() else {
        return Err(Refused::invalid("POST creates one resource"));
    };
    let action = (node.name == "input").then(invoke);
    node.operation = Some(EditOperation::Create);
    let created = told(path, &body, DefaultOperation::None, store, models)?;
    Ok(action.into_iter().chain(created).collect())
}

/// What merging `body`, which is the resource at `path`, touches.
fn merging(body: &[DataNode], store: Datastore, path: &DataPath, models: &Models) -> Result<Vec<Action>, Refused> {
    let node = is_resource(body, path, models)?;
    let Some((last, above)) = path.steps().split_last() else {
        let actions = told(path, &node.children, DefaultOperation::Merge, store, models)?;
        return Ok(if actions.is_empty() { vec![whole(Verb::RestconfPatch, store, path)] } else { actions });
    };
    let known = !models.keys_of(path).is_empty() || last.keys == Keys::All;
    Ok(match node.children.as_slice() {
        _ if known => {
            told(&DataPath::new(above.to_vec())?, std::slice::from_ref(node), DefaultOperation::Merge, store, models)?
        }
        // The entry of a list that no model tells of is the one that the URL names.
        [] => vec![whole(Verb::RestconfPatch, store, path)],
        children => told(path, children, DefaultOperation::Merge, store, models)?,
    })
}

/// The changes that `nodes` below `base` are, as actions.
fn told(
    base: &DataPath,
    nodes: &[DataNode],
    default: DefaultOperation,
    store: Datastore,
    models: &Models,
) -> Result<Vec<Action>, ParseError> {
    let verb = |operation| match operation {
        EditOperation::Create => Verb::RestconfPost,
        EditOperation::Merge => Verb::RestconfPatch,
        EditOperation::Replace => Verb::RestconfPut,
        EditOperation::Delete | EditOperation::Remove => Verb::RestconfDelete,
    };
    let changes = changes(base, nodes, default, models)?;
    Ok(changes.into_iter().map(|change| whole(verb(change.operation), store, &change.path)).collect())
}

/// The one node of a body that is the resource at `path`, with the same name and keys (RFC 8040 §4.5).
fn is_resource<'b>(body: &'b [DataNode], path: &DataPath, models: &Models) -> Result<&'b DataNode, Refused> {
    let [node] = body else {
        return Err(Refused::invalid("the body holds one resource"));
    };
    let other = || Refused::invalid(format!("`{}` in the body is not the resource of the URL", node.name));
    let Some((last, above)) = path.steps().split_last() else {
        let whole = node.module.as_deref() == Some("ietf-restconf") && node.name == "data" && node.value.is_none();
        return if whole { Ok(node) } else { Err(other()) };
    };
    let own = node.path_below(&DataPath::new(above.to_vec())?, models)?;
    let Some(step) = own.steps().last().filter(|step| step.name == last.name) else { return Err(other()) };
    let same = match &last.keys {
        Keys::Named(_) => step.keys == last.keys,
        // An entry of a leaf-list is its value.
        Keys::Ordered(values) if node.children.is_empty() => {
            matches!(values.as_slice(), [only] if node.value.as_ref() == Some(only))
        }
        Keys::Ordered(values) => {
            values.iter().all(|value| node.children.iter().any(|leaf| leaf.value.as_ref() == Some(value)))
        }
        // A list without keys in the URL would be all of its entries, of which a body names one.
        Keys::All => step.keys == Keys::All,
    };
    if same { Ok(node) } else { Err(other()) }
}

/// An operation's input is for the element to judge, but for what hides in it.
fn operation_body(seen: &Seen<'_>, name: &str) -> Result<(), Refused> {
    let local = name.rsplit(':').next().unwrap_or_default();
    if COMMANDS.contains(&local.to_ascii_lowercase().as_str()) {
        return Err(Refused::unsupported("a command line goes by SSH or NETCONF, where it is decided as one"));
    }
    if seen.body.is_empty() {
        return Ok(());
    }
    let module = name.split(':').next();
    match nodes(seen)?.as_slice() {
        [input] if input.name == "input" && input.module.as_deref() == module => Ok(()),
        _ => Err(Refused::invalid("the body of an operation is its `input`")),
    }
}

fn nodes(seen: &Seen<'_>) -> Result<Vec<DataNode>, Refused> {
    if seen.body.is_empty() {
        return Err(Refused::new(400, "malformed-message", "the body is missing"));
    }
    match media(seen.media) {
        Some(Media::Json) => match JsonData::read(seen.body, Naming::Inherited(None)) {
            // RFC 7951 §4: the outermost are named with their modules.
            Ok(JsonData::Members(nodes)) if nodes.iter().all(|node| node.module.is_some()) => Ok(nodes),
            Ok(_) => Err(Refused::new(400, "malformed-message", "the body holds data that is named with its module")),
            Err(error) => Err(Refused::new(400, "malformed-message", error.to_string())),
        },
        None => {
            let text = "send application/yang-data+json or application/yang-patch+json";
            Err(Refused::new(415, "invalid-value", text))
        }
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
}

/// The encoding that a `Content-Type` names. There is no guessing: an element that guessed otherwise would read another body.
fn media(text: Option<&str>) -> Option<Media> {
    let (kind, rest) = text?.split_once(';').map_or((text?, ""), |(kind, rest)| (kind, rest));
    let utf8 = ["", "charset=utf-8", "charset=\"utf-8\""].contains(&rest.trim().to_ascii_lowercase().as_str());
    match kind.trim().to_ascii_lowercase().as_str() {
        "application/yang-data+json" | "application/yang-patch+json" | "application/json" if utf8 => Some(Media::Json),
        _ => None,
    }
}

fn is_yang_patch(media: Option<&str>) -> bool {
    media.is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with("application/yang-patch+"))
}
