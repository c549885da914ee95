//! The files of a set, understood: rows, classes, cases and whom to ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::apis;
use super::casbin::check_model;
use super::cases::{self, Case};
use super::classes::Classes;
use super::files::{self, Folder};
use super::models;
use super::rows::{self, Rows};
use super::{ElementTags, Problem};
use crate::domain::api::Api;
use crate::domain::data::Models;

pub(super) const MODEL_FILE: &str = "model.conf";
const SET_FILE: &str = "set.toml";
/// The inventory, which [`crate::element`] reads.
const ELEMENTS_FILE: &str = "elements.toml";
/// Every `.toml` file that may stand in the folder itself.
const TOML_FILES: &[&str] = &[cases::FILE, ELEMENTS_FILE, models::FILE, SET_FILE];

/// What `set.toml` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    pub(super) contact: String,
}

/// The files of a set, understood.
pub(super) struct Parsed {
    pub(super) about: About,
    pub(super) rows: Rows,
    pub(super) cases: Vec<Case>,
    pub(super) models: Models,
    pub(super) apis: BTreeMap<String, Arc<Api>>,
    /// Those of the inventory, and those that cases invent.
    pub(super) elements: Vec<ElementTags>,
}

impl Parsed {
    pub(super) fn parse(folder: &Folder, elements: &[ElementTags], problems: &mut Vec<Problem>) -> Self {
        strangers(folder, problems);
        if let Some(model) = required(folder, MODEL_FILE, problems)
            && let Err(text) = check_model(&model)
        {
            problems.push(Problem { file: MODEL_FILE.to_owned(), line: 0, text });
        }
        let about = about(folder, problems);
        let commands: Vec<&str> = folder.paths().filter(|path| is_command_file(path)).collect();
        let texts: BTreeMap<String, String> =
            commands.into_iter().filter_map(|path| Some((path.to_owned(), folder.text(path, problems)?))).collect();
        let classes = Classes::parse(&texts, problems);
        let rows = required(folder, rows::FILE, problems)
            .map(|text| rows::parse(&text, &classes, problems))
            .unwrap_or_default();
        let cases =
            folder.text(cases::FILE, problems).map(|text| cases::parse(&text, elements, problems)).unwrap_or_default();
        let models =
            folder.text(models::FILE, problems).map(|text| models::parse(&text, problems).0).unwrap_or_default();
        let apis = apis::parse(folder, problems);
        let mut elements = elements.to_vec();
        for case in &cases {
            let Some(invented) = &case.invented else { continue };
            match elements.iter().find(|known| known.name == invented.name) {
                None => elements.push(invented.clone()),
                Some(known) if known.groups == invented.groups => {}
                Some(_) => problems.push(Problem {
                    file: cases::FILE.to_owned(),
                    line: case.line,
                    text: format!(
                        "case `{}`: an earlier case gives `{}` other groups; invent another name",
                        case.name, invented.name
                    ),
                }),
            }
        }
        Self { about, rows, cases, models, apis, elements }
    }
}

fn is_command_file(path: &str) -> bool {
    path.strip_prefix("commands/").is_some_and(|name| name.ends_with(".toml") && !name.contains('/'))
}

/// SECURITY: a file that looks like policy and is not read would be believed to hold.
fn strangers(folder: &Folder, problems: &mut Vec<Problem>) {
    for path in folder.paths() {
        let looks_like_policy = path.ends_with(".csv")
            || path.ends_with(".conf")
            || path.starts_with("commands/") && path.ends_with(".toml");
        if looks_like_policy && path != rows::FILE && path != MODEL_FILE && !is_command_file(path) {
            let text = format!("is not read; rows belong in {}, classes in commands/NAME.toml", rows::FILE);
            problems.push(Problem { file: path.to_owned(), line: 0, text });
        }
        if path.ends_with(".toml") && !path.contains('/') && !TOML_FILES.contains(&path) {
            let text = format!("is not read; the files that are: {}, and commands/NAME.toml", TOML_FILES.join(", "));
            problems.push(Problem { file: path.to_owned(), line: 0, text });
        }
    }
}

fn required(folder: &Folder, file: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let before = problems.len();
    let text = folder.text(file, problems);
    if text.is_none() && problems.len() == before {
        problems.push(Problem { file: file.to_owned(), line: 0, text: "is missing".to_owned() });
    }
    text
}

fn about(folder: &Folder, problems: &mut Vec<Problem>) -> About {
    let default = || About { contact: "the security team".to_owned() };
    let Some(text) = folder.text(SET_FILE, problems) else { return default() };
    match toml::from_str::<About>(&text) {
        Ok(about) if !about.contact.trim().is_empty() && !about.contact.chars().any(char::is_control) => about,
        Ok(_) => {
            let text = "`contact` must be one line that says whom to ask".to_owned();
            problems.push(Problem { file: SET_FILE.to_owned(), line: 0, text });
            default()
        }
        Err(error) => {
            problems.push(files::toml_problem(SET_FILE, &text, &error));
            default()
        }
    }
}
