//! What a gNMI path names (gNMI specification §2.2.2, gNMI path conventions): a place in the data tree, or a command line. Pure.
//!
//! | origin | |
//! |---|---|
//! | none, `openconfig`, `rfc7951` | the data tree; a name may have its module before it |
//! | a module that `models.toml` knows, or one of the IETF | the data tree, whose first node is of that module |
//! | `cli` | a command line |
//! | any other | refused: it is another tree, in which the names of rows mean something else |

use crate::domain::data::{DataPath, Keys, Models, NodeName, Step};

use super::refused::Refused;
use super::wire::Message;

/// What is known when a request is decided.
#[derive(Debug, Clone, Copy)]
pub struct View<'v> {
    /// The element's name.
    pub element: &'v str,
    /// The data models that are known.
    pub models: &'v Models,
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The command line itself, or none where the values of the request are the command lines.
    Command(Option<String>),
    /// A node of the data tree and all below it.
    Data(DataPath),
}

/// Fields of `Path` and `PathElem`.
mod field {
    pub(super) const ELEMENT: u32 = 1;
    pub(super) const ORIGIN: u32 = 2;
    pub(super) const ELEM: u32 = 3;
    pub(super) const TARGET: u32 = 4;
    pub(super) const NAME: u32 = 1;
    pub(super) const KEY: u32 = 2;
    pub(super) const ENTRY_KEY: u32 = 1;
    pub(super) const ENTRY_VALUE: u32 = 2;
}

impl View<'_> {
    /// What `path` below `prefix` names; one that is not there is empty.
    ///
    /// # Errors
    /// It could name something else to the element.
    pub fn place(&self, prefix: Option<&Message<'_>>, path: Option<&Message<'_>>) -> Result<Place, Refused> {
        let both = [prefix, path];
        for part in both.iter().flatten() {
            if part.has(field::ELEMENT) {
                return Err(Refused::invalid("the path uses the withdrawn field `element`"));
            }
            // SECURITY: some elements choose a database by the target, and some are gateways to other elements.
            let target = part.text(field::TARGET);
            if !target.is_empty() && target != self.element {
                let text = format!("the target of a path must be empty or `{}`", self.element);
                return Err(Refused::invalid(text));
            }
        }
        let [of_prefix, of_path] = both.map(|part| part.map_or("", |part| part.text(field::ORIGIN)));
        let prefix_leads = prefix.is_some_and(|prefix| prefix.has(field::ELEM));
        let origin = match (of_prefix, of_path) {
            (same, other) if same == other => same,
            (own, "") => own,
            ("", own) if !prefix_leads => own,
            _ => return Err(Refused::invalid("prefix and path are of different origins")),
        };
        let elems: Vec<&Message<'_>> = both.iter().flatten().flat_map(|part| part.messages(field::ELEM)).collect();
        if origin == "cli" {
            return command(&elems).map(Place::Command);
        }
        let module = match origin {
            "" | "openconfig" | "rfc7951" => None,
            module if self.models.knows(module) => Some(module),
            other => {
                let shown: String = other.chars().take(80).flat_map(char::escape_debug).collect();
                return Err(Refused::invalid(format!(
                    "the origin `{shown}` is neither known to the gateway nor a module of models.toml"
                )));
            }
        };
        let steps = elems.iter().map(|elem| step(elem)).collect::<Result<Vec<_>, _>>()?;
        DataPath::new(of_module(steps, module)?).map(Place::Data).map_err(Refused::invalid)
    }
}

/// The first node is of the module that the origin names.
fn of_module(mut steps: Vec<Step>, module: Option<&str>) -> Result<Vec<Step>, Refused> {
    if let (Some(module), Some(Step { name: NodeName::Named { module: own, .. }, .. })) = (module, steps.first_mut())
        && own.get_or_insert_with(|| module.to_owned()) != module
    {
        return Err(Refused::invalid("the origin names one module and the first node another"));
    }
    Ok(steps)
}

/// One element of a path: `name`, `module:name`, `*` or `...`, with keys in which `*` is every value.
fn step(elem: &Message<'_>) -> Result<Step, Refused> {
    let plain = |name| Step { name, keys: Keys::All };
    let step = match elem.text(field::NAME) {
        "*" => plain(NodeName::Any),
        "..." => plain(NodeName::Many),
        name => match name.split_once(':') {
            Some((module, name)) => Step::named(Some(module), name),
            None => Step::named(None, name),
        }
        .map_err(Refused::invalid)?,
    };
    let keys: Vec<(String, Option<String>)> = elem
        .messages(field::KEY)
        .map(|entry| {
            let value = entry.text(field::ENTRY_VALUE);
            (entry.text(field::ENTRY_KEY).to_owned(), (value != "*").then(|| value.to_owned()))
        })
        .collect();
    if keys.is_empty() {
        return Ok(step);
    }
    if step.name == NodeName::Many {
        return Err(Refused::invalid("`...` has no keys"));
    }
    step.with_keys(keys).map_err(Refused::invalid)
}

/// The command line that the elements of a path of origin `cli` are: one, whole.
fn command(elems: &[&Message<'_>]) -> Result<Option<String>, Refused> {
    match elems {
        [] => Ok(None),
        [line] if !line.has(field::KEY) => match commands(line.text(field::NAME))?.as_slice() {
            [line] => Ok(Some(line.clone())),
            _ => Err(Refused::invalid("a path of origin `cli` is one command line")),
        },
        _ => Err(Refused::invalid("a path of origin `cli` is one element: the whole command line")),
    }
}

/// The command lines of a text, without the blanks around them and without empty ones.
pub(super) fn commands(text: &str) -> Result<Vec<String>, Refused> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line).trim_matches(' ');
        if line.chars().any(char::is_control) {
            return Err(Refused::invalid("a command line holds a control character"));
        }
        if !line.is_empty() {
            lines.push(line.to_owned());
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::super::schema::PATH;
    use super::super::wire::Writer;
    use super::*;
    use crate::domain::data::Model;

    fn models() -> Models {
        let mut models = Models::default();
        models
            .add(&Model { name: "vendor-ifs".into(), namespace: "urn:v".into(), lists: Vec::new() })
            .expect("a model");
        models
    }

    /// A path as people write it, with a target before a `!`.
    fn written(text: &str) -> Writer {
        let (target, path) = text.split_once('!').unwrap_or(("", text));
        let read = super::super::request::path(if path.is_empty() { "/" } else { path }).expect("a path");
        if target.is_empty() { read } else { read.text(4, target) }
    }

    fn place(prefix: Option<&str>, path: &str) -> Result<String, Refused> {
        let models = models();
        let view = View { element: "r1", models: &models };
        let (prefix, path) = (prefix.map(|text| written(text).finish()), written(path).finish());
        let prefix = prefix.as_deref().map(|bytes| Message::read(&PATH, bytes).expect("a path"));
        let path = Message::read(&PATH, &path).expect("a path");
        view.place(prefix.as_ref(), Some(&path)).map(|place| match place {
            Place::Command(line) => format!("command {line:?}"),
            Place::Data(path) => path.to_string(),
        })
    }

    #[test]
    fn what_paths_name() {
        for (prefix, path, expected) in [
            (None, "", "/"),
            (None, "/a/b", "/a/b"),
            (Some("/a"), "/b/c", "/a/b/c"),
            (Some("/a"), "", "/a"),
            (Some(""), "/a", "/a"),
            (None, "openconfig:/a", "/a"),
            (Some("openconfig:/a"), "/b", "/a/b"),
            (Some("openconfig:/a"), "openconfig:/b", "/a/b"),
            (Some(""), "openconfig:/b", "/b"),
            (None, "rfc7951:/m:a/n:b", "/m:a/n:b"),
            (None, "vendor-ifs:/a/b", "/vendor-ifs:a/:b"),
            (None, "ietf-interfaces:/interfaces", "/ietf-interfaces:interfaces"),
            (None, "vendor-ifs:/vendor-ifs:a", "/vendor-ifs:a"),
            (None, "vendor-ifs:/", "/"),
            (None, "vendor-ifs:/*/b", "/*/b"),
            (None, "/m:a/b", "/m:a/:b"),
            (None, "/a/*/...", "/a/*/**"),
            (None, "/i[name=eth0]/c", "/i[name='eth0']/c"),
            (None, "/i[name=*]", "/i[name=*]"),
            (None, "/i[b=2][a=1]", "/i[a='1'][b='2']"),
            (None, "/*[name=e]", "/*[name='e']"),
            (None, "r1!/a", "/a"),
            (Some("r1!/a"), "/b", "/a/b"),
            (None, "cli:/", "command None"),
            (None, "cli:/show version", "command Some(\"show version\")"),
            (Some("cli:/"), "/show version", "command Some(\"show version\")"),
            (None, "cli:/ show version ", "command Some(\"show version\")"),
        ] {
            assert_eq!(place(prefix, path).as_deref(), Ok(expected), "{prefix:?} {path:?}");
        }
    }

    #[test]
    fn paths_that_are_refused() {
        let long = "/a".repeat(61);
        for (prefix, path) in [
            (None, "r2!/a"),
            (None, "R1!/a"),
            (Some("COUNTERS_DB!"), "/a"),
            (None, "eos_native:/Sysdb"),
            (None, "srl_nokia:/a"),
            (None, "OpenConfig:/a"),
            (None, "CLI:/show version"),
            (None, " cli:/show version"),
            (Some("openconfig:/a"), "rfc7951:/b"),
            (Some("/a"), "openconfig:/b"),
            (Some("/a"), "cli:/b"),
            (None, "vendor-ifs:/other:a"),
            (None, "/:a"),
            (None, "/a:b:c"),
            (None, "/a b"),
            (None, "/#alias"),
            (None, "/.."),
            (None, "/**"),
            (None, "/...."),
            (None, "/...[k=v]"),
            (None, "/a[k=v][k=w]"),
            (None, "/a[k k=v]"),
            (None, "/a[k=\u{7}]"),
            (None, &long),
            (None, "cli:/show/version"),
            (None, "cli:/show[a=b]"),
            (None, "cli:/show\nreload"),
            (None, "cli:/show\treload"),
        ] {
            assert!(place(prefix, path).is_err(), "{prefix:?} {path:?}: {:?}", place(prefix, path));
        }
        let models = models();
        let view = View { element: "r1", models: &models };
        let old = Writer::new().text(1, "a").finish();
        let old = Message::read(&PATH, &old).expect("a path");
        assert!(view.place(None, Some(&old)).is_err() && view.place(Some(&old), None).is_err());
        let nameless = Writer::new().message(3, &Writer::new()).finish();
        assert!(view.place(None, Some(&Message::read(&PATH, &nameless).expect("a path"))).is_err());
    }

    #[test]
    fn texts_are_split_into_command_lines() {
        for (text, expected) in [
            ("", &[][..]),
            ("\n \n\r\n", &[]),
            ("show version", &["show version"]),
            ("interface e0\r\n  shutdown\n!", &["interface e0", "shutdown", "!"]),
        ] {
            assert_eq!(
                commands(text).as_deref(),
                Ok(&expected.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>()[..])
            );
        }
        for text in ["a\tb", "a\r\rb", "a\u{0}", "a\u{1b}[A", "a\u{85}b"] {
            assert!(commands(text).is_err(), "{text:?}");
        }
    }
}
