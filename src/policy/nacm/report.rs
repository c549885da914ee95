//! What became of a rule set: rows, and what they do not say.

use super::region::PathStep;

/// An approximation that may allow more than NACM does; none is made unless it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accept {
    /// A module is taken for its own top-level nodes with all below them: what it adds elsewhere belongs there, what others add to it belongs to it.
    Augmentations,
    /// `edit-data` is taken for `edit-config`: the gateway decides both by the nodes that they change.
    EditData,
    /// The rows hold for gNMI too, of which NACM says nothing.
    Gnmi,
    /// A default that permits holds for all that the IETF's own modules do not mark as denied by default.
    Marks,
}

impl Accept {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Augmentations, Self::EditData, Self::Gnmi, Self::Marks];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Augmentations => "augmentations",
            Self::EditData => "edit-data",
            Self::Gnmi => "gnmi",
            Self::Marks => "marks",
        }
    }
}

impl std::str::FromStr for Accept {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|accept| accept.as_str() == text).ok_or_else(|| format!("write one of {}", known()))
    }
}

/// Something that the rows do not say. What they say instead allows less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaid {
    /// The roles that it is about; none for all.
    pub roles: Vec<String>,
    /// What it is about: an access operation of NACM, or `notification`, `user`, `file`.
    pub about: &'static str,
    /// The rule, `rule-list/rule`, if it is one.
    pub rule: Option<String>,
    /// What is not said, and what the rows do instead.
    pub text: String,
    /// What would have to be accepted to say it.
    pub accept: Option<Accept>,
}

/// What became of a rule set.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// Rows for `policy.csv`, comments included.
    pub rows: String,
    /// Modules and lists for `models.toml` that the rows need.
    pub models: String,
    /// What the rows do not say.
    pub unsaid: Vec<Unsaid>,
}

impl Imported {
    pub(super) fn unsaid(
        &mut self,
        role: Option<&str>,
        about: &'static str,
        rule: Option<&str>,
        text: &str,
        accept: Option<Accept>,
    ) {
        let same = |known: &&mut Unsaid| {
            known.about == about && known.rule.as_deref() == rule && known.text == text && known.accept == accept
        };
        let roles = role.into_iter().map(str::to_owned);
        match self.unsaid.iter_mut().find(same) {
            Some(known) => {
                for role in roles.filter(|role| !known.roles.contains(role)).collect::<Vec<_>>() {
                    known.roles.push(role);
                }
            }
            None => self.unsaid.push(Unsaid {
                roles: roles.collect(),
                about,
                rule: rule.map(str::to_owned),
                text: text.to_owned(),
                accept,
            }),
        }
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.rows.push_str(&format!("# {}\n", plain(text)));
    }

    pub(super) fn row(&mut self, fields: &[&str]) {
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        let row = fields.join(", ");
        if !self.rows.lines().any(|known| known == row) {
            self.rows.push_str(&row);
            self.rows.push('\n');
        }
    }
}

/// A field of a row.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '#']) || field.trim() != field {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field.to_owned()
}

/// Without what could end a line of comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The lists whose entries the rows name, for `models.toml`.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Module, path in plain names, keys.
    found: Vec<(String, String, Vec<String>)>,
}

impl Lists {
    pub(super) fn learn(&mut self, steps: &[PathStep]) {
        let Some(module) = steps.first().and_then(|step| step.module.clone()) else { return };
        let mut path = String::new();
        for step in steps {
            path.push_str(&format!("/{}", step.name));
            let keys: Vec<String> = step.keys.iter().map(|(key, _)| key.clone()).filter(|key| key != ".").collect();
            if keys.is_empty() {
                continue;
            }
            match self.found.iter_mut().find(|(own, known, _)| *own == module && *known == path) {
                Some((_, _, known)) if known.len() < keys.len() => *known = keys,
                Some(_) => {}
                None => self.found.push((module.clone(), path.clone(), keys)),
            }
        }
    }

    /// As `models.toml` has it, those left out that `known` has.
    pub(super) fn toml(&self, known: &crate::domain::data::Models) -> String {
        let mut modules: Vec<&String> = self.found.iter().map(|(module, _, _)| module).collect();
        modules.sort();
        modules.dedup();
        let mut text = String::new();
        for module in modules {
            let own = self.found.iter().filter(|(of, path, _)| {
                let bare = format!("/{module}:{}", path.trim_start_matches('/')).parse();
                of == module && bare.is_ok_and(|path| known.keys_of(&path).is_empty())
            });
            let lines: Vec<String> = own.map(|(_, path, keys)| format!("{path:?} = {keys:?}\n")).collect();
            if !lines.is_empty() {
                text.push_str(&format!("[[module]]\nname = {module:?}\n[module.lists]\n{}\n", lines.concat()));
            }
        }
        text
    }
}
