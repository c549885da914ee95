//! Paths in a data tree, and their text form.

use std::fmt;
use std::str::FromStr;

use crate::domain::ParseError;

/// The deepest path that is decided.
const STEPS_MAX: usize = 60;
/// Keys of one list entry.
const KEYS_MAX: usize = 16;
/// The longest name of a node or module.
const NAME_BYTES_MAX: usize = 256;
/// The longest value of a key.
const VALUE_BYTES_MAX: usize = 4_096;

/// A path from the root of a data tree; the root itself has no steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DataPath {
    steps: Vec<Step>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// Which node.
    pub name: NodeName,
    /// Which entries of a list.
    pub keys: Keys,
}

/// Which node a step names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeName {
    /// Any one node: `*`.
    Any,
    /// Any number of nodes, one below the other: `**`.
    Many,
    /// This one.
    Named {
        /// The YANG module it belongs to, where that is known.
        module: Option<String>,
        /// Its name, a YANG identifier (RFC 7950 §6.2).
        name: String,
    },
}

/// Which entries of a list a step means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Keys {
    /// No list, or every entry of one.
    #[default]
    All,
    /// By the names of keys, in the order of their names; no value is every value.
    Named(Vec<(String, Option<String>)>),
    /// By values in the order of the model, the names unknown (RFC 8040 §3.5.3 sends no names).
    Ordered(Vec<String>),
}

impl DataPath {
    /// The root of the tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// From its steps.
    ///
    /// # Errors
    /// More steps than are decided.
    pub fn new(steps: Vec<Step>) -> Result<Self, ParseError> {
        if steps.len() > STEPS_MAX {
            return Err(ParseError::new(format!("a path may have {STEPS_MAX} steps at most")));
        }
        Ok(Self { steps })
    }

    /// Its steps, from the root down.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The path one step further down.
    ///
    /// # Errors
    /// It is too deep.
    pub fn child(&self, step: Step) -> Result<Self, ParseError> {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self::new(steps)
    }

    /// Whether it names one node or entry, with no wildcard in a name.
    pub fn is_plain(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.name, NodeName::Named { .. }))
    }
}

impl Step {
    /// A step to a node by its name.
    ///
    /// # Errors
    /// A name or module that is no YANG identifier.
    pub fn named(module: Option<&str>, name: &str) -> Result<Self, ParseError> {
        for text in module.iter().copied().chain([name]) {
            if !is_identifier(text) {
                return Err(ParseError::new(format!("`{}` is not the name of a node", shown(text))));
            }
        }
        let name = NodeName::Named { module: module.map(str::to_owned), name: name.to_owned() };
        Ok(Self { name, keys: Keys::All })
    }

    /// The same step, to the list entries that have these keys.
    ///
    /// # Errors
    /// Too many keys, the same twice, a name that is none, or a value with control characters or longer than is decided.
    pub fn with_keys(mut self, mut keys: Vec<(String, Option<String>)>) -> Result<Self, ParseError> {
        keys.sort();
        if keys.len() > KEYS_MAX {
            return Err(ParseError::new(format!("a list entry may have {KEYS_MAX} keys at most")));
        }
        if keys.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            return Err(ParseError::new("a key is given twice"));
        }
        for (name, value) in &keys {
            if name != "." && !is_identifier(name) {
                return Err(ParseError::new(format!("`{}` is not the name of a key", shown(name))));
            }
            value.as_deref().map_or(Ok(()), check_value)?;
        }
        self.keys = if keys.is_empty() { Keys::All } else { Keys::Named(keys) };
        Ok(self)
    }

    /// The same step, to the list entry with these key values in the order of the model.
    ///
    /// # Errors
    /// As [`Step::with_keys`].
    pub fn with_values(mut self, values: Vec<String>) -> Result<Self, ParseError> {
        if values.len() > KEYS_MAX {
            return Err(ParseError::new(format!("a list entry may have {KEYS_MAX} keys at most")));
        }
        values.iter().try_for_each(|value| check_value(value))?;
        self.keys = if values.is_empty() { Keys::All } else { Keys::Ordered(values) };
        Ok(self)
    }

    /// The module, when it is known.
    pub fn module(&self) -> Option<&str> {
        match &self.name {
            NodeName::Named { module, .. } => module.as_deref(),
            NodeName::Any | NodeName::Many => None,
        }
    }
}

fn check_value(value: &str) -> Result<(), ParseError> {
    if value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(ParseError::new("the value of a key is too long or holds a control character"));
    }
    Ok(())
}

/// A YANG identifier (RFC 7950 §6.2).
pub(super) fn is_identifier(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

impl fmt::Display for DataPath {
    /// The canonical form: a module is written where it differs from that of the step before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return f.write_str("/");
        }
        let mut module = None;
        for step in &self.steps {
            f.write_str("/")?;
            match &step.name {
                NodeName::Any => f.write_str("*")?,
                NodeName::Many => f.write_str("**")?,
                NodeName::Named { module: own, name } => {
                    match own {
                        Some(own) if module != Some(own) => write!(f, "{own}:")?,
                        // A module that is not known must not read as the one of the step before.
                        None if module.is_some() => f.write_str(":")?,
                        _ => {}
                    }
                    module = own.as_ref();
                    f.write_str(name)?;
                }
            }
            write_keys(f, &step.keys)?;
        }
        Ok(())
    }
}

fn write_keys(f: &mut fmt::Formatter<'_>, keys: &Keys) -> fmt::Result {
    match keys {
        Keys::All => Ok(()),
        Keys::Named(keys) => keys.iter().try_for_each(|(name, value)| match value {
            Some(value) => write!(f, "[{name}='{}']", value.replace('\\', "\\\\").replace('\'', "\\'")),
            None => write!(f, "[{name}=*]"),
        }),
        Keys::Ordered(values) => values.iter().zip(1..).try_for_each(|(value, at): (_, u32)| {
            write!(f, "[{at}='{}']", value.replace('\\', "\\\\").replace('\'', "\\'"))
        }),
    }
}

impl FromStr for DataPath {
    type Err = ParseError;

    /// Reads the canonical form.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut rest = text.strip_prefix('/').ok_or_else(|| ParseError::new("a data path begins with `/`"))?;
        let mut steps = Vec::new();
        let mut module: Option<String> = None;
        while !rest.is_empty() {
            let end = rest.find(['/', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let mut step = match name {
                "*" => Step { name: NodeName::Any, keys: Keys::All },
                "**" => Step { name: NodeName::Many, keys: Keys::All },
                name => match name.split_once(':') {
                    Some(("", name)) => {
                        module = None;
                        Step::named(None, name)?
                    }
                    Some((own, name)) => {
                        module = Some(own.to_owned());
                        Step::named(Some(own), name)?
                    }
                    None => Step::named(module.as_deref(), name)?,
                },
            };
            rest = read_keys(after, &mut step)?;
            if steps.len() >= STEPS_MAX {
                return Err(ParseError::new(format!("a path may have {STEPS_MAX} steps at most")));
            }
            steps.push(step);
            rest = match rest.strip_prefix('/') {
                Some("") => return Err(ParseError::new("a data path does not end in `/`")),
                Some(more) => more,
                None if rest.is_empty() => rest,
                None => return Err(ParseError::new(format!("`{}` follows a step", shown(rest)))),
            };
        }
        Self::new(steps)
    }
}

/// Reads `[name='value']…`, and gives what follows.
fn read_keys<'t>(mut rest: &'t str, step: &mut Step) -> Result<&'t str, ParseError> {
    let bad = |text: &str| ParseError::new(format!("`{}` is not a key; write [name='value']", shown(text)));
    let mut named = Vec::new();
    let mut ordered = Vec::new();
    while let Some(inner) = rest.strip_prefix('[') {
        let (name, after) = inner.split_once('=').ok_or_else(|| bad(rest))?;
        let (value, after) = match after.strip_prefix("*]") {
            Some(after) => (None, after),
            None => {
                let (value, after) = quoted(after).ok_or_else(|| bad(rest))?;
                (Some(value), after.strip_prefix(']').ok_or_else(|| bad(rest))?)
            }
        };
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            if name.parse() != Ok(ordered.len() + 1) {
                return Err(bad(rest));
            }
            ordered.push(value.ok_or_else(|| bad(rest))?);
        } else {
            named.push((name.to_owned(), value));
        }
        rest = after;
    }
    let own = std::mem::replace(step, Step { name: NodeName::Any, keys: Keys::All });
    *step = match (named.is_empty(), ordered.is_empty()) {
        (true, true) => own,
        (false, true) => own.with_keys(named)?,
        (true, false) => own.with_values(ordered)?,
        (false, false) => return Err(ParseError::new("keys are given by name or by order, not both")),
    };
    Ok(rest)
}

/// Reads `'…'`, in which a backslash stands before a quote or a backslash.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('\'')?;
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => return Some((value, inner.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                c @ ('\'' | '\\') => value.push(c),
                _ => return None,
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_read_back() {
        for text in [
            "/",
            "/a",
            "/m:a/b/c",
            "/m:a/b/n:c/d",
            "/m:a/:b",
            "/ietf-interfaces:interfaces/interface[name='eth0']/mtu",
            "/a[k1='x'][k2=*]/b",
            "/a[1='x'][2='y']",
            "/a[.='x']",
            "/a[k='it\\'s \\\\ here/[]']/b",
            "/*/**/c",
        ] {
            assert_eq!(text.parse::<DataPath>().map(|p| p.to_string()).as_deref(), Ok(text), "{text}");
        }
    }

    #[test]
    fn paths_that_are_refused() {
        let deep = "/a".repeat(61);
        for text in [
            "",
            "a",
            "//a",
            "/a/",
            "/a//b",
            "/1a",
            "/a b",
            "/a:b:c",
            "/a[",
            "/a[k]",
            "/a[k=]",
            "/a[k=x]",
            "/a[k='x]",
            "/a[k='x'",
            "/a[k='x']b",
            "/a[k='x'][k='y']",
            "/a[2='x']",
            "/a[1='x'][k='y']",
            "/a[k='\n']",
            "/a[k='\\n']",
            "/a/../b",
            "/***",
            "/é",
            &deep,
        ] {
            assert!(text.parse::<DataPath>().is_err(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_has_one_form(text in "(/[a-c]{1,2}(:[a-c])?(\\[[a-c.]='[a-c\\\\' /]{0,3}'\\]){0,2}|/\\*{1,2}){0,5}") {
            if let Ok(path) = text.parse::<DataPath>() {
                let canonical = path.to_string();
                proptest::prop_assert_eq!(canonical.parse::<DataPath>(), Ok(path));
            }
        }

        #[test]
        fn noise_never_panics(text in "[/a:\\[\\]='*.\\\\1]{0,40}") {
            if let Ok(path) = text.parse::<DataPath>() {
                proptest::prop_assert_eq!(path.to_string().parse::<DataPath>(), Ok(path));
            }
        }
    }
}
