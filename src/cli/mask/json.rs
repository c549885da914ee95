//! Secrets in JSON, and in the text of gNMI messages, which is JSON with paths beside the values they are for.

use super::{MASKED, Place};
use crate::policy::Masks;

/// Members of a gNMI message that hold data of the path beside them.
const VALUES: &[&str] = &["val", "value"];
/// Members of a gNMI message that are no nodes.
const WRAPPERS: &[&str] = &["update", "replace", "union_replace", "delete", "notification", "path", "prefix"];
/// Containers one inside the other.
const DEPTH_MAX: usize = 256;

/// The text with the values of secrets masked. What is `cut` ends at the last value that is whole.
pub(super) fn masked(masks: &Masks, body: &str, around: &[String], grpc: bool, cut: bool) -> Result<String, String> {
    let mut masking =
        Masking { place: Place { masks, around }, grpc, rest: body, out: String::new(), levels: Vec::new() };
    match masking.run() {
        Ok(()) => Ok(masking.out),
        Err(Stop::Cut) if cut => Ok(masking.out + "…"),
        Err(Stop::Cut) => Err("it cannot be read to be masked: it ends too early".to_owned()),
        Err(Stop::Bad(why)) => Err(format!("it cannot be read to be masked: {why}")),
    }
}

/// Why the text ends.
enum Stop {
    Cut,
    Bad(&'static str),
}

/// A container whose end is to come.
struct Level {
    array: bool,
    /// The names from the outermost down to what is in it.
    names: Vec<String>,
    /// All in it is secret.
    secret: bool,
    /// The member whose value is next.
    member: Option<String>,
    /// In a gNMI message: the prefix of paths here and below, the path beside, whether data has begun.
    prefix: Vec<String>,
    path: Option<Vec<String>>,
    changes: bool,
    data: bool,
}

struct Masking<'a> {
    place: Place<'a>,
    grpc: bool,
    rest: &'a str,
    out: String,
    levels: Vec<Level>,
}

impl<'a> Masking<'a> {
    fn run(&mut self) -> Result<(), Stop> {
        loop {
            self.blanks();
            let Some(first) = self.rest.chars().next() else {
                return if self.levels.is_empty() && !self.out.trim().is_empty() { Ok(()) } else { Err(Stop::Cut) };
            };
            match first {
                '}' | ']' => {
                    let level = self.levels.pop().ok_or(Stop::Bad("a bracket that was not opened"))?;
                    if level.array != (first == ']') {
                        return Err(Stop::Bad("a bracket that was not opened"));
                    }
                    self.copy(1);
                }
                ',' => self.copy(1),
                '{' | '[' => self.open(first == '[')?,
                '"' if self.levels.last().is_some_and(|level| !level.array && level.member.is_none()) => {
                    self.member()?
                }
                '"' => {
                    let text = self.string()?;
                    self.scalar(text)?;
                }
                _ => {
                    let end = self.rest.find([',', '}', ']', ' ', '\t', '\r', '\n']).ok_or(Stop::Cut)?;
                    let text = self.rest.get(..end).unwrap_or_default();
                    if !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
                        || text.is_empty()
                    {
                        return Err(Stop::Bad("not JSON"));
                    }
                    self.scalar(text)?;
                }
            }
        }
    }

    fn blanks(&mut self) {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.copy(self.rest.len() - rest.len());
    }

    fn copy(&mut self, count: usize) {
        let (text, rest) = self.rest.split_at_checked(count).unwrap_or((self.rest, ""));
        self.out.push_str(text);
        self.rest = rest;
    }

    /// The string that comes, quotes included.
    fn string(&self) -> Result<&'a str, Stop> {
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return self.rest.get(..=at).ok_or(Stop::Cut),
                _ => {}
            }
        }
        Err(Stop::Cut)
    }

    fn member(&mut self) -> Result<(), Stop> {
        let text = self.string()?;
        let name: String = serde_json::from_str(text).map_err(|_| Stop::Bad("not JSON"))?;
        let after = self.rest.get(text.len()..).unwrap_or_default();
        let colon = after.trim_start_matches([' ', '\t', '\r', '\n']);
        if colon.is_empty() {
            return Err(Stop::Cut);
        }
        if !colon.starts_with(':') {
            return Err(Stop::Bad("not JSON"));
        }
        self.copy(text.len() + after.len() - colon.len() + 1);
        let grpc = self.grpc;
        let Some(level) = self.levels.last_mut() else { return Err(Stop::Bad("not JSON")) };
        if grpc && !level.data {
            // SECURITY: what a value is for must be known before it is shown.
            if name == "prefix" && level.changes {
                return Err(Stop::Bad("a prefix after what it is for"));
            }
            level.changes |= WRAPPERS.contains(&name.as_str()) && name != "prefix" && name != "path";
        }
        level.member = Some(name);
        Ok(())
    }

    /// What the next value is: its names, whether it is secret, whether it is data of a gNMI message.
    fn value(&mut self) -> (Vec<String>, bool, bool) {
        let grpc = self.grpc;
        let Some(level) = self.levels.last_mut() else { return (Vec::new(), false, !grpc) };
        let mut names = level.names.clone();
        let (mut data, mut secret) = (level.data, level.secret);
        // The entries of a list are what the list is.
        let Some(member) = (if level.array { None } else { level.member.take() }) else { return (names, secret, data) };
        if data {
            // The type that a value has in gNMI is no node.
            if !(grpc && (member.ends_with("_val") && level.path.is_some())) {
                names.push(member);
            }
        } else if VALUES.contains(&member.as_str()) {
            data = true;
            match level.path.clone() {
                Some(path) => names = level.prefix.iter().cloned().chain(path).collect(),
                None => secret = true,
            }
        } else if !WRAPPERS.contains(&member.as_str()) {
            names.push(member);
        }
        secret |= (1..=names.len()).any(|end| {
            let names: Vec<&str> = names.iter().take(end).map(String::as_str).collect();
            self.place.hides(&names)
        });
        (names, secret, data)
    }

    fn open(&mut self, array: bool) -> Result<(), Stop> {
        if self.levels.len() >= DEPTH_MAX {
            return Err(Stop::Bad("too deep"));
        }
        let prefix = self.levels.last().map(|level| level.prefix.clone()).unwrap_or_default();
        let beside = self.levels.last().and_then(|level| level.path.clone());
        let is_value =
            self.levels.last().and_then(|level| level.member.as_deref()).is_some_and(|m| VALUES.contains(&m));
        let (names, secret, data) = self.value();
        let path = beside.filter(|_| self.grpc && data && is_value);
        self.levels.push(Level { array, names, secret, member: None, prefix, path, changes: false, data });
        self.copy(1);
        Ok(())
    }

    fn scalar(&mut self, text: &'a str) -> Result<(), Stop> {
        if self.grpc
            && let Some(level) = self.levels.last_mut()
            && !level.data
            && let Some(member) = level.member.as_deref().filter(|member| ["path", "prefix"].contains(member))
        {
            let path: String = serde_json::from_str(text).map_err(|_| Stop::Bad("a path that is none"))?;
            if member == "path" {
                level.path = Some(names_of(&path));
            } else {
                level.prefix = names_of(&path);
            }
            level.member = None;
            self.copy(text.len());
            return Ok(());
        }
        let (_, secret, _) = self.value();
        if secret {
            self.out.push_str(&format!("\"{MASKED}\""));
            self.rest = self.rest.get(text.len()..).unwrap_or_default();
        } else {
            self.copy(text.len());
        }
        Ok(())
    }
}

/// The names of a gNMI path as recordings write it: `target!origin:/a/b[k=v]`.
fn names_of(path: &str) -> Vec<String> {
    let (mut names, mut name) = (Vec::new(), String::new());
    let (mut within, mut escaped) = (false, false);
    let path = path.find('/').and_then(|at| path.get(at..)).unwrap_or(path);
    for c in path.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => within = true,
            ']' => within = false,
            _ if within => {}
            '/' => names.push(std::mem::take(&mut name)),
            c => name.push(c),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}
