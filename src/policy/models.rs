//! `models.toml`: the data models that rows and requests speak of.

use serde::Deserialize;

use crate::domain::data::{Model, Models};

use super::Problem;
use super::files;
use super::masks::Masks;

/// The file that models stand in. It may be absent: then no list has keys.
pub(super) const FILE: &str = "models.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    module: Vec<toml::Spanned<RawModule>>,
    masks: Option<toml::Spanned<RawMasks>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMasks {
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModule {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    lists: std::collections::BTreeMap<String, Vec<String>>,
}

/// Parses the file.
pub(super) fn parse(text: &str, problems: &mut Vec<Problem>) -> (Models, Masks) {
    let (mut models, mut masks) = (Models::default(), Masks::default());
    let raw: RawFile = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            problems.push(files::toml_problem(FILE, text, &error));
            return (models, masks);
        }
    };
    for module in raw.module {
        let line = files::line_at(text, module.span().start);
        let RawModule { name, namespace, lists } = module.into_inner();
        let model = Model { name, namespace, lists: lists.into_iter().collect() };
        if let Err(error) = models.add(&model) {
            problems.push(Problem { file: FILE.to_owned(), line, text: error.to_string() });
        }
    }
    if let Some(raw) = raw.masks {
        let line = files::line_at(text, raw.span().start);
        let RawMasks { paths, names } = raw.into_inner();
        match Masks::new(&paths, &names) {
            Ok(read) => masks = read,
            Err(text) => problems.push(Problem { file: FILE.to_owned(), line, text }),
        }
    }
    (models, masks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "[[module]]\nname = \"a\"\n[module.lists]\n\"/x\" = [\"k\"]\n\n[[module]]\nname = \"b c\"\n\n[[module]]\nname = \"d\"\nlists = { \"x\" = [\"k\"] }\n\n[masks]\npaths = [\"x\"]\n";
        let mut problems = Vec::new();
        parse(text, &mut problems);
        let lines: Vec<u32> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [6, 9, 13], "{problems:?}");
        for text in [
            "module = 1",
            "[[modul]]\nname = \"a\"",
            "[[module]]\nname = \"a\"\nkeys = 1",
            "[[module]]",
            "[masks]\npath = []",
        ] {
            let mut problems = Vec::new();
            parse(text, &mut problems);
            assert_eq!(problems.len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_shipped_is_right() {
        let text = std::fs::read_to_string("policies/models.toml").expect("it is shipped");
        let mut problems = Vec::new();
        let (models, masks) = parse(&text, &mut problems);
        assert_eq!(problems, []);
        assert!(masks.hide(&["rpc-reply", "data", "snmp", "community", "text-name"]));
        let path = "/ietf-interfaces:interfaces/interface".parse().expect("a path");
        assert_eq!(models.keys_of(&path), ["name"]);
    }
}
