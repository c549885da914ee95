//! Paths in a data tree: `[datastore:]/step/step[key='value']`, the same for NETCONF, RESTCONF and gNMI.
//!
//! A row means its node and everything below it. Matching is by structure: `*` is one step, `**` any number of them, a step may name its module
//! (`ietf-interfaces:interfaces`), and a key may be compared with a value in which `*` stands for anything. An allow must take in all that is asked
//! for; a deny matches when it touches any of it, and when it cannot tell.

use std::str::FromStr;

use crate::domain::data::{DataPath, DataTarget, Datastore, Extent, Keys, NodeName, Step};

use super::Reach;

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct Pattern {
    datastore: Option<Datastore>,
    steps: Vec<Want>,
}

/// What one step of a pattern stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Want {
    name: NodeName,
    /// The module that any node must be of: `module:*`.
    of: Option<String>,
    keys: Vec<(String, String)>,
}

/// How a step of a request is compared with one of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Every instance that the request could mean is one that the pattern means.
    Inside,
    /// The same, but for letter case and for modules that are not known: for what restricts.
    InsideLoosely,
    /// Some instance is one that the pattern means, letter case and unknown modules apart.
    Touching,
    /// Some instance is, exactly.
    TouchingExactly,
}

/// How a pattern and a request lie to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lie {
    /// The request is at or below what the pattern names.
    inside: bool,
    /// The pattern is at or below what the request names, or the other way round.
    touching: bool,
}

impl Pattern {
    pub(in crate::policy) fn parse(text: &str) -> Result<Self, String> {
        let (datastore, path) = match text.split_once(":/") {
            Some((name, _)) if Datastore::from_str(name).is_ok() => {
                (Datastore::from_str(name).ok(), text.get(name.len() + 1..).unwrap_or_default())
            }
            _ => (None, text),
        };
        let steps = path.strip_prefix('/').ok_or_else(|| {
            format!(
                "`{}`: a data path begins with `/`, or with a datastore as in running:/interfaces",
                text.escape_debug()
            )
        })?;
        if path == "/" {
            return Ok(Self { datastore, steps: Vec::new() });
        }
        let steps = split(steps)?.into_iter().map(want).collect::<Result<Vec<_>, _>>()?;
        if steps.last().is_some_and(|last| last.name == NodeName::Many) {
            return Err(format!("`{text}`: a row means its node and all below it; leave out the final `/**`"));
        }
        if steps.len() > 60 {
            return Err(format!("`{text}`: a path may have 60 steps at most"));
        }
        Ok(Self { datastore, steps })
    }

    /// Whether a row of this reach means `target`.
    pub(super) fn matches(&self, reach: Reach, target: &DataTarget) -> bool {
        if self.datastore.is_some_and(|own| own != target.datastore) {
            return false;
        }
        match (reach, target.extent) {
            (Reach::Strict, Extent::Whole) => self.lies(&target.path, Mode::Inside).inside,
            (Reach::Strict, Extent::Part) => self.lies(&target.path, Mode::TouchingExactly).touching,
            (Reach::Broad, Extent::Whole) => self.lies(&target.path, Mode::Touching).touching,
            (Reach::Broad, Extent::Part) => self.lies(&target.path, Mode::InsideLoosely).inside,
        }
    }

    /// Whether the node at these names, modules unknown, could be at or below what the pattern names.
    pub(in crate::policy) fn takes_in(&self, names: &[&str]) -> bool {
        let step = |name: &&str| Step::named(None, name.rsplit(':').next().unwrap_or(name)).ok();
        let steps: Option<Vec<Step>> = names.iter().map(step).collect();
        let path = steps.and_then(|steps| DataPath::new(steps).ok());
        path.is_some_and(|path| self.lies(&path, Mode::InsideLoosely).inside)
    }

    /// Walks the request's steps with every position of the pattern that they could have come to, one bit each.
    fn lies(&self, path: &DataPath, mode: Mode) -> Lie {
        let end = 1_u64 << self.steps.len().min(63);
        let mut at = self.closed(1);
        for step in path.steps() {
            if at & end != 0 {
                return Lie { inside: true, touching: true };
            }
            at = self.closed(self.after(at, step, mode));
            if at == 0 {
                return Lie { inside: false, touching: false };
            }
        }
        Lie { inside: at & end != 0, touching: true }
    }

    /// `**` may stand for no step at all.
    fn closed(&self, mut at: u64) -> u64 {
        for (position, want) in self.steps.iter().enumerate() {
            if at >> position & 1 == 1 && want.name == NodeName::Many {
                at |= 1 << (position + 1);
            }
        }
        at
    }

    fn after(&self, at: u64, step: &Step, mode: Mode) -> u64 {
        let all_instances = matches!(mode, Mode::Inside | Mode::InsideLoosely);
        let mut next = 0;
        for (position, want) in self.steps.iter().enumerate().filter(|(position, _)| at >> position & 1 == 1) {
            match (&want.name, &step.name) {
                // Any number of unknown steps: all of them are in `**`, and some of them could lead anywhere further on.
                (NodeName::Many, NodeName::Many) if all_instances => next |= 1 << position,
                (_, NodeName::Many) if all_instances => {}
                (_, NodeName::Many) => next |= !0 << position,
                (NodeName::Many, _) => next |= 1 << position,
                (NodeName::Any, _)
                    if module_fits(want.of.as_deref(), &step.name, mode) && keys_fit(&want.keys, &step.keys, mode) =>
                {
                    next |= 1 << (position + 1);
                }
                (NodeName::Named { module, name }, _)
                    if name_fits(module.as_deref(), name, &step.name, mode)
                        && keys_fit(&want.keys, &step.keys, mode) =>
                {
                    next |= 1 << (position + 1);
                }
                (NodeName::Any | NodeName::Named { .. }, _) => {}
            }
        }
        next & ((1_u64 << self.steps.len().min(63)) | ((1_u64 << self.steps.len().min(63)) - 1))
    }
}

fn name_fits(module: Option<&str>, name: &str, asked: &NodeName, mode: Mode) -> bool {
    let exact = matches!(mode, Mode::Inside | Mode::TouchingExactly);
    match asked {
        NodeName::Any => matches!(mode, Mode::Touching | Mode::TouchingExactly),
        NodeName::Many => false,
        NodeName::Named { module: own, name: asked } => {
            is_module(module, own.as_deref(), exact) && (name == asked || !exact && name.eq_ignore_ascii_case(asked))
        }
    }
}

fn module_fits(module: Option<&str>, asked: &NodeName, mode: Mode) -> bool {
    let exact = matches!(mode, Mode::Inside | Mode::TouchingExactly);
    match asked {
        NodeName::Any => module.is_none() || matches!(mode, Mode::Touching | Mode::TouchingExactly),
        NodeName::Many => false,
        NodeName::Named { module: own, .. } => is_module(module, own.as_deref(), exact),
    }
}

fn is_module(want: Option<&str>, own: Option<&str>, exact: bool) -> bool {
    match (want, own) {
        (None, _) => true,
        (Some(want), Some(own)) => want == own || !exact && want.eq_ignore_ascii_case(own),
        (Some(_), None) => !exact,
    }
}

fn keys_fit(wanted: &[(String, String)], asked: &Keys, mode: Mode) -> bool {
    let all_instances = matches!(mode, Mode::Inside | Mode::InsideLoosely);
    let exact = matches!(mode, Mode::Inside | Mode::TouchingExactly);
    let same = |want: u8, have: u8| want == have || !exact && want.eq_ignore_ascii_case(&have);
    let is = |want: &str, have: &str| super::glob(want.as_bytes(), have.as_bytes(), same, |_| true);
    let could_be = |want: &str, have: &str| {
        let (wants, haves) = (forms(want), forms(have));
        let haves = || haves.iter().map(String::as_str).chain([have]);
        wants.iter().map(String::as_str).chain([want]).any(|want| haves().any(|have| is(want, have)))
    };
    let value_fits = |want: &str, have: &str| is(want, have) || !exact && could_be(want, have);
    wanted.iter().zip(0_usize..).all(|((key, want), position)| match asked {
        // Every entry: taken in only by a pattern that takes every value, touched by any.
        Keys::All => want == "*" || !all_instances,
        Keys::Named(keys) => match keys.iter().find(|(name, _)| name == key) {
            Some((_, Some(have))) => value_fits(want, have),
            Some((_, None)) | None => want == "*" || !all_instances,
        },
        // Without names the row's order is taken for the model's: exactly that value for what allows, any of them for what restricts.
        Keys::Ordered(values) if exact => {
            values.len() == wanted.len() && values.get(position).is_some_and(|have| value_fits(want, have))
        }
        Keys::Ordered(values) => want == "*" || values.iter().any(|have| value_fits(want, have)),
    })
}

/// Other ways to write a value that elements take for the same (RFC 7950 §9): numbers, addresses, identities with and without their module.
fn forms(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    let plain = value.trim();
    forms.extend((plain != value).then(|| plain.to_owned()));
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", plain.strip_prefix('+').unwrap_or(plain)),
    };
    let signed = |number: u128| if number == 0 { "0".to_owned() } else { format!("{sign}{number}") };
    let radix = |digits: &str, radix| u128::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'));
    forms.extend(radix(digits, 10).map(signed));
    forms.extend(digits.strip_prefix('0').and_then(|octal| radix(octal, 8)).map(signed));
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    forms.extend(hexadecimal.and_then(|digits| radix(digits, 16)).map(signed));
    if let Some((whole, fraction)) = digits.split_once('.')
        && let Some(whole) = radix(whole, 10)
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        let fraction = fraction.trim_end_matches('0');
        forms.push(if fraction.is_empty() { signed(whole) } else { format!("{sign}{whole}.{fraction}") });
    }
    let (address, more) = plain.split_at(plain.find(['/', '%']).unwrap_or(plain.len()));
    forms.extend(address.parse::<std::net::IpAddr>().ok().map(|address| format!("{address}{more}")));
    let identity = plain.split_once(':').filter(|(module, _)| Step::named(None, module).is_ok());
    forms.extend(identity.map(|(_, name)| name.to_owned()));
    forms
}

/// Splits at slashes that stand outside brackets and quotes.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let mut steps = Vec::new();
    let (mut start, mut within, mut quote) = (0, false, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if within => quote = Some(c),
            (None, '[') => within = true,
            (None, ']') => within = false,
            (None, '/') if !within => {
                steps.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    if within || quote.is_some() {
        return Err(format!("`{text}`: a bracket or quote is not closed"));
    }
    steps.push(text.get(start..).unwrap_or_default());
    Ok(steps)
}

/// One step: `name`, `module:name`, `*` or `**`, with `[key=value]` after a name or `*`.
fn want(text: &str) -> Result<Want, String> {
    let (name, mut rest) = text.split_at_checked(text.find('[').unwrap_or(text.len())).unwrap_or((text, ""));
    let mut of = None;
    let name = match name {
        "*" => NodeName::Any,
        any if any.ends_with(":*") => {
            let module = any.trim_end_matches(":*");
            Step::named(Some(module), "x").map_err(|e| format!("{e}; write module:* for every node of a module"))?;
            of = Some(module.to_owned());
            NodeName::Any
        }
        "**" => NodeName::Many,
        name => {
            let (module, name) = name.split_once(':').map_or((None, name), |(module, name)| (Some(module), name));
            Step::named(module, name).map_err(|e| format!("{e}; write a name, module:name, `*` or `**`"))?.name
        }
    };
    let mut keys = Vec::new();
    while let Some(inner) = rest.strip_prefix('[') {
        let bad = || format!("`{text}`: write a key as [name=value] or [name='value'], with `*` for every value");
        let (key, after) = inner.split_once('=').ok_or_else(bad)?;
        let (value, after) =
            match after.strip_prefix('\'').map(|v| ('\'', v)).or(after.strip_prefix('"').map(|v| ('"', v))) {
                Some((quote, value)) => {
                    let (value, after) = value.split_once(quote).ok_or_else(bad)?;
                    (value, after.strip_prefix(']').ok_or_else(bad)?)
                }
                None => after.split_once(']').ok_or_else(bad)?,
            };
        let named = key == "." || Step::named(None, key).is_ok();
        if !named || value.is_empty() || keys.iter().any(|(known, _)| known == key) || name == NodeName::Many {
            return Err(bad());
        }
        keys.push((key.to_owned(), value.to_owned()));
        rest = after;
    }
    if rest.is_empty() { Ok(Want { name, of, keys }) } else { Err(format!("`{text}`: `{rest}` follows a step")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(reach: Reach, pattern: &str, target: &str) -> bool {
        Pattern::parse(pattern).expect("a pattern").matches(reach, &target.parse().expect("a target"))
    }

    #[test]
    fn an_allow_takes_in_all_that_is_asked_for() {
        for (pattern, target) in [
            ("/", "running:/"),
            ("/", "candidate:/a/b"),
            ("/a", "running:/a"),
            ("/a", "running:/a/b/c"),
            ("/a", "running:/m:a/b"),
            ("/m:a/b", "running:/m:a/b"),
            ("running:/a", "running:/a"),
            ("/a/*", "running:/a/b"),
            ("/a/**/z", "running:/a/z"),
            ("/a/**/z", "running:/a/b/c/z/more"),
            ("/i/x[name=*]/c", "running:/i/x[name='e']/c"),
            ("/i/x[name=*]/c", "running:/i/x/c"),
            ("/i/x[name=*]/c", "running:/i/x[name=*]/c"),
            ("/i/x[name=*]/c", "running:/i/x[1='e']/c"),
            ("/i/x", "running:/i/x[name='e']/c"),
            ("/i/x[name=eth*]", "running:/i/x[name='eth0']"),
            ("/i/x[name='a/b']", "running:/i/x[name='a/b']"),
            ("/i/x[name=e]", "running:/i/x[1='e']"),
            ("/i/x[a=1][b=2]", "running:/i/x[1='1'][2='2']"),
            ("/a/*", "running:/a/*"),
            ("/a/**/z", "running:/a/**/z"),
            ("/m:*", "running:/m:a/b"),
            ("/**/m:*", "running:/n:a/m:b/n:c"),
            ("/m:*[k=1]/c", "running:/m:a[k='1']/c"),
        ] {
            assert!(is(Reach::Strict, pattern, target), "{pattern} / {target}");
        }
        for (pattern, target) in [
            ("/a", "running:/"),
            ("/a/b", "running:/a"),
            ("/a/b", "running:/a/c"),
            ("/a", "running:/A"),
            ("/a", "running:/ab"),
            ("/ab", "running:/a"),
            ("/m:a", "running:/a"),
            ("/m:a", "running:/n:a"),
            ("running:/a", "candidate:/a"),
            ("/a/*", "running:/a"),
            ("/a/b", "running:/a/*"),
            ("/a/b", "running:/**"),
            ("/a/**/z", "running:/a/**"),
            ("/i/x[name=e]", "running:/i/x"),
            ("/i/x[name=e]", "running:/i/x[name=*]"),
            ("/i/x[name=e]", "running:/i/x[name='E']"),
            ("/i/x[name=e]", "running:/i/x[other='e']"),
            ("/i/x[name=e]", "running:/i/x[1='e'][2='f']"),
            ("/i/x[a=1][b=2]", "running:/i/x[1='2'][2='1']"),
            ("/i/x[b=2]", "running:/i/x[1='1'][2='2']"),
            ("/i/x[name=*][unit=*]", "running:/i/x[1='e']"),
            ("/i/x[id=10]", "running:/i/x[id='010']"),
            ("/i/x[p=BGP]", "running:/i/x[p='m:BGP']"),
            ("/m:*", "running:/n:a/m:b"),
            ("/m:*", "running:/a"),
            ("/m:*", "running:/*"),
            ("/**/m:*", "running:/n:a"),
            ("/**/m:*", "running:/n:a/:b"),
        ] {
            assert!(!is(Reach::Strict, pattern, target), "{pattern} / {target}");
        }
    }

    #[test]
    fn a_deny_matches_what_it_touches_and_what_it_cannot_judge() {
        for (pattern, target) in [
            ("/a/b", "running:/a/b/c"),
            ("/a/b", "running:/a"),
            ("/a/b", "running:/"),
            ("/a/b", "running:/A/b"),
            ("/m:a", "running:/a"),
            ("/a", "running:/m:a"),
            ("/a/b", "running:/*/b"),
            ("/a/b", "running:/**"),
            ("/a/b", "running:/**/b"),
            ("/i/x[name=e]", "running:/i/x"),
            ("/i/x[name=e]", "running:/i/x[name='E']"),
            ("/i/x[name=e]", "running:/i/x[other='q']"),
            ("/i/x[name=e]", "running:/i/x[1='f'][2='e']"),
            ("/i/x[name=e]/c", "running:/i"),
            ("/**/secret", "running:/a"),
            ("/**/secret", "running:/a/b/secret"),
            ("/a/*/c", "running:/a/b/c/d"),
            ("/i/x[id=10]", "running:/i/x[id='010']"),
            ("/i/x[id=10]", "running:/i/x[id='+10']"),
            ("/i/x[id=10]", "running:/i/x[id='0xA']"),
            ("/i/x[id=8]", "running:/i/x[id='010']"),
            ("/i/x[id=010]", "running:/i/x[id='10']"),
            ("/i/x[id=-1]", "running:/i/x[id='-01']"),
            ("/i/x[id=1.5]", "running:/i/x[id='01.50']"),
            ("/i/x[id=1]", "running:/i/x[id='1.0']"),
            ("/i/x[ip='2001:db8::1']", "running:/i/x[ip='2001:DB8:0:0::0001']"),
            ("/i/x[ip='2001:DB8:0::/32']", "running:/i/x[ip='2001:db8::/32']"),
            ("/i/x[p=BGP]", "running:/i/x[p='openconfig-policy-types:BGP']"),
            ("/i/x[p='openconfig-policy-types:BGP']", "running:/i/x[p='BGP']"),
            ("/i/x[id=10]", "running:/i/x[1='010']"),
            ("/i/x[id=10]", "running:/i/x[id='010']/..."),
            ("/m:*", "running:/a"),
            ("/m:*", "running:/*"),
            ("/m:*", "running:/"),
            ("/**/m:*", "running:/n:a"),
            ("/M:*", "running:/m:a"),
        ] {
            assert!(is(Reach::Broad, pattern, target), "{pattern} / {target}");
        }
        for (pattern, target) in [
            ("/a/b", "running:/a/c"),
            ("/a/b", "running:/b"),
            ("/m:a", "running:/n:a"),
            ("/m:*", "running:/n:a"),
            ("startup:/a", "running:/a"),
            ("/i/x[name=e]", "running:/i/x[name='f']"),
            ("/i/x[name=e]", "running:/i/x[1='f']"),
            ("/i/x[name=e]/c", "running:/i/x[name='e']/d"),
            ("/i/x[id=10]", "running:/i/x[id='100']"),
            ("/i/x[id=10]", "running:/i/x[id='-10']"),
            ("/i/x[ip='2001:db8::1']", "running:/i/x[ip='2001:db8::10']"),
            ("/i/x[p=BGP]", "running:/i/x[p='m:OSPF']"),
        ] {
            assert!(!is(Reach::Broad, pattern, target), "{pattern} / {target}");
        }
    }

    #[test]
    fn a_part_is_denied_as_a_whole_only_by_what_takes_it_in() {
        for (pattern, target, allows, denies) in [
            ("/a", "running:/...", true, false),
            ("/a", "running:/a/...", true, true),
            ("/a", "running:/a/b/...", true, true),
            ("/a/b", "running:/a/...", true, false),
            ("/b", "running:/a/...", false, false),
            ("/", "running:/...", true, true),
            ("/i/x[name=e]", "running:/i/x/...", true, false),
            ("/i/x[name=e]", "running:/i/x[name='e']/...", true, true),
            ("/i/x[name=e]", "running:/i/x[name='f']/...", false, false),
            ("/m:a", "running:/a/...", false, true),
            ("/a/**/z", "running:/a/...", true, false),
        ] {
            assert_eq!(is(Reach::Strict, pattern, target), allows, "allow {pattern} / {target}");
            assert_eq!(is(Reach::Broad, pattern, target), denies, "deny {pattern} / {target}");
        }
    }

    #[test]
    fn patterns_that_are_refused() {
        for pattern in [
            "",
            "a",
            "a/b",
            "//a",
            "/a/",
            "/a/**",
            "/**",
            "url:/a",
            "/a[k]",
            "/a[k=",
            "/a[k='x]",
            "/a[k=]",
            "/a[k=x][k=y]",
            "/a[k=x]b",
            "/**[k=x]/a",
            "/a b",
            "/a:b:c",
            "/a/../b",
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern:?}");
        }
    }

    proptest::proptest! {
        /// What an allow takes in, a deny of the same words never misses.
        #[test]
        fn a_deny_reaches_at_least_as_far(pattern in "(/[ab*]|/\\*\\*/[ab]){1,4}", target in "(/[ab]|/\\*|/\\*\\*){1,5}") {
            let (pattern, target) = (Pattern::parse(&pattern), format!("running:{target}").parse::<DataTarget>());
            if let (Ok(pattern), Ok(target)) = (pattern, target) {
                proptest::prop_assert!(!pattern.matches(Reach::Strict, &target) || pattern.matches(Reach::Broad, &target));
            }
        }
    }
}
