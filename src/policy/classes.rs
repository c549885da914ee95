//! Named command classes: `commands/*.toml`. Policy writes one as `class:NAME`.
//!
//! Every class carries samples that are tested at load, so that a class means what its name says:
//! a `positive` is in it for every row; a `near_miss` looks like it and is not, for any row; an `evasion` is taken for it by no allow,
//! and missed by no deny.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::Problem;
use super::pattern::{Object, ObjectKind, Pattern, Reach};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    class: Vec<toml::Spanned<RawClass>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass {
    name: String,
    description: String,
    platforms: Vec<String>,
    patterns: Vec<String>,
    samples: RawSamples,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSamples {
    positive: Vec<String>,
    near_miss: Vec<String>,
    evasion: Vec<String>,
}

/// Every class, by name.
#[derive(Debug, Default)]
pub(super) struct Classes {
    patterns: HashMap<String, Vec<String>>,
}

impl Classes {
    /// Parses the files of `commands/`, and tests every sample.
    pub(super) fn parse(files: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Self {
        let mut classes = Self::default();
        for (file, text) in files {
            let raw: RawFile = match toml::from_str(text) {
                Ok(raw) => raw,
                Err(error) => {
                    problems.push(super::files::toml_problem(file, text, &error));
                    continue;
                }
            };
            for class in raw.class {
                let line = super::files::line_at(text, class.span().start);
                let class = class.into_inner();
                for text in mistakes(&class) {
                    problems.push(Problem {
                        file: file.clone(),
                        line,
                        text: format!("class `{}`: {text}", class.name),
                    });
                }
                let name = class.name.clone();
                if classes.patterns.insert(class.name, class.patterns).is_some() {
                    problems.push(Problem {
                        file: file.clone(),
                        line,
                        text: format!("class `{name}` is there twice; rename one"),
                    });
                }
            }
        }
        classes
    }

    /// The patterns of a class, one per line.
    pub(super) fn patterns(&self, name: &str) -> Option<String> {
        self.patterns.get(name).map(|patterns| patterns.join("\n"))
    }

    /// What could have been meant, for an error message.
    pub(super) fn names(&self) -> String {
        if self.patterns.is_empty() {
            return "there are no classes".to_owned();
        }
        let mut names: Vec<&str> = self.patterns.keys().map(String::as_str).collect();
        names.sort_unstable();
        format!("there are {}", names.join(", "))
    }
}

fn mistakes(class: &RawClass) -> Vec<String> {
    let mut found = Vec::new();
    let named = !class.name.is_empty()
        && class.name != "any-command"
        && class.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !named {
        found.push("the name needs lower-case letters, digits and `-`; `any-command` is built in".to_owned());
    }
    if class.description.trim().is_empty() || class.platforms.is_empty() || class.patterns.is_empty() {
        found.push("description, platforms and patterns must not be empty".to_owned());
    }
    let mut parsed = Vec::new();
    for text in &class.patterns {
        match Pattern::parse(ObjectKind::Command, Reach::Strict, text) {
            Ok(pattern) => parsed.push(pattern),
            Err(error) => found.push(error),
        }
    }
    found.extend(samples(class, &parsed));
    found
}

fn samples(class: &RawClass, parsed: &[Pattern]) -> Vec<String> {
    let matched = |reach, line: &str| {
        let object = Object::new(line);
        parsed.iter().any(|pattern| pattern.matches(reach, &object))
    };
    let kinds = [
        ("positive", &class.samples.positive, true, true),
        ("near_miss", &class.samples.near_miss, false, false),
        ("evasion", &class.samples.evasion, false, true),
    ];
    let mut found = Vec::new();
    for (kind, lines, allowed, denied) in kinds {
        if lines.is_empty() {
            found.push(format!("needs at least one `{kind}` sample"));
        }
        for line in lines {
            if matched(Reach::Strict, line) != allowed {
                let what = if allowed { "is not matched" } else { "is matched" };
                found.push(format!("{kind} sample `{}` {what} by an allow row", line.escape_debug()));
            }
            if matched(Reach::Broad, line) != denied {
                let what = if denied { "is not matched" } else { "is matched" };
                found.push(format!("{kind} sample `{}` {what} by a deny row", line.escape_debug()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[[class]]
name = "show"
description = "reading"
platforms = ["ios"]
patterns = ["show *"]
samples = { positive = ["show version"], near_miss = ["showtech"], evasion = ["show version; reload"] }
"#;

    fn problems(text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        Classes::parse(&BTreeMap::from([("commands/x.toml".to_owned(), text.to_owned())]), &mut problems);
        problems.iter().map(|p| format!("{}:{}: {}", p.file, p.line, p.text)).collect()
    }

    #[test]
    fn a_class_that_holds_what_it_says() {
        assert_eq!(problems(GOOD), Vec::<String>::new());
    }

    #[test]
    fn classes_that_are_refused() {
        for (from, to) in [
            ("\"show version\"", "\"display version\""),
            ("\"showtech\"", "\"show tech\""),
            ("\"show version; reload\"", "\"show version\""),
            ("\"show version; reload\"", "\"reload\""),
            ("positive = [\"show version\"]", "positive = []"),
            ("evasion = [\"show version; reload\"]", "evasion = []"),
            ("name = \"show\"", "name = \"any-command\""),
            ("name = \"show\"", "name = \"Show\""),
            ("\"show *\"", "\"show **\""),
            ("[\"show *\"]", "[]"),
            ("platforms", "platform"),
            ("\"reading\"", "\"\""),
        ] {
            let found = problems(&GOOD.replacen(from, to, 1));
            assert!(!found.is_empty(), "{from} -> {to}");
            assert!(found.iter().all(|p| p.starts_with("commands/x.toml:")), "{found:?}");
        }
        assert_eq!(problems(&format!("{GOOD}{GOOD}")).len(), 1);
    }
}
