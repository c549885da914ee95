//! The inventory: `elements.toml`, parsed once into typed elements, every mistake in one report.

mod demo;
mod document;
mod element;
mod pin;
mod services;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use self::document::{Report, Row, Text};
use super::OwnDoors;
use super::crypto::{Kind, Profile, parse_date};
use crate::domain::{Account, ElementName, Timestamp};
use crate::policy::{ElementTags, Problem};

pub use demo::{DemoElement, render_demo};
pub use element::{Address, Element};
pub use pin::{PinError, pin};

/// The name under which mistakes are reported.
pub const FILE: &str = "elements.toml";
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const WARN_DAYS: i64 = 30;

/// Every element, parsed once.
#[derive(Debug, Default)]
pub struct Inventory {
    elements: BTreeMap<ElementName, Arc<Element>>,
    profiles: Vec<(u32, Arc<Profile>)>,
}

impl Inventory {
    /// Reads `elements.toml`.
    ///
    /// # Errors
    /// Every mistake found, with its line.
    pub fn load(file: &Path) -> Result<Self, Vec<Problem>> {
        let whole = |text: String| vec![Problem { file: FILE.to_owned(), line: 0, text }];
        let size = std::fs::metadata(file).map_err(|error| whole(format!("cannot be read: {error}")))?.len();
        if size > FILE_BYTES_MAX {
            return Err(whole("is larger than 64 MiB".to_owned()));
        }
        let text = std::fs::read_to_string(file).map_err(|error| whole(format!("cannot be read: {error}")))?;
        Self::parse(&text)
    }

    /// Reads the text of an `elements.toml`.
    ///
    /// # Errors
    /// Every mistake found, with its line.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut report = Report::new(FILE, text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            report.add(&error.span().unwrap_or(0..0), error.message().to_owned());
        }
        if !errors.is_empty() {
            return Err(report.finish());
        }
        let mut row = Row::new(document.get_ref(), 0..0);
        let profiles = read_profiles(row.rows("crypto_profile", &mut report), &mut report);
        let known: Vec<Arc<Profile>> = profiles.iter().map(|(_, profile)| Arc::clone(profile)).collect();
        let rows = row.rows("element", &mut report);
        row.finish(&mut report);
        let read: Vec<Element> = rows.into_iter().filter_map(|row| element::read(row, &known, &mut report)).collect();
        report_duplicates(&read, &mut report);
        let problems = report.finish();
        if !problems.is_empty() {
            return Err(problems);
        }
        let elements = read.into_iter().map(|element| (element.name().clone(), Arc::new(element))).collect();
        Ok(Self { elements, profiles })
    }

    /// The element of that name.
    pub fn find(&self, name: &ElementName) -> Option<&Arc<Element>> {
        self.elements.get(name)
    }

    /// The element of that name, when it may be reached as `account` by `protocol`. Policy still decides.
    ///
    /// # Errors
    /// What the inventory does not have, for the log: a peer learns nothing of it.
    pub fn reach(&self, name: &ElementName, account: &Account, protocol: &str) -> Result<&Arc<Element>, &'static str> {
        let element = self.find(name).ok_or("the inventory has no such element")?;
        if !element.allows_account(account) {
            return Err("the inventory has the element without this account");
        }
        if !element.speaks(protocol) {
            return Err("the element's `protocols` do not name this protocol");
        }
        Ok(element)
    }

    /// The elements whose address is the gateway's own, each a mistake; what a name leads to is seen when it is dialled.
    pub fn leading_to(&self, own: &OwnDoors) -> Vec<Problem> {
        let problem = |element: &Arc<Element>| {
            let address = element.every_address().find(|address| own.written(address).is_some())?;
            let text = format!(
                "the address {address} of `{}` is a door of the gateway itself; an element is another machine, or another port",
                element.name()
            );
            Some(Problem { file: FILE.to_owned(), line: element.line(), text })
        };
        self.iter().filter_map(problem).collect()
    }

    /// Every element, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Element>> {
        self.elements.values()
    }

    /// What policy needs of them.
    pub fn tags(&self) -> Vec<ElementTags> {
        self.iter().map(|element| element.tags()).collect()
    }

    /// What works today and needs somebody: crypto profiles that have run out or do so within 30 days.
    pub fn warnings(&self, now: Timestamp) -> Vec<Problem> {
        let warning = |(line, profile): &(u32, Arc<Profile>)| {
            let (name, owner) = (&profile.name, &profile.owner);
            let text = match profile.days_left(now) {
                None => format!(
                    "the crypto profile `{name}` ran out on {}: its elements are not dialled; ask {owner}",
                    profile.expires
                ),
                Some(days) if days <= WARN_DAYS => {
                    format!("the crypto profile `{name}` runs out on {}, in {days} days; ask {owner}", profile.expires)
                }
                Some(_) => return None,
            };
            Some(Problem { file: FILE.to_owned(), line: *line, text })
        };
        self.profiles.iter().filter_map(warning).collect()
    }
}

fn read_profiles(rows: Vec<Row<'_>>, report: &mut Report) -> Vec<(u32, Arc<Profile>)> {
    let mut profiles: Vec<(u32, Arc<Profile>)> = Vec::new();
    for row in rows {
        let line = report.line(&row.span);
        let Some(profile) = read_profile(row, report) else { continue };
        if let Some((first, _)) = profiles.iter().find(|(_, known)| known.name == profile.name) {
            report.add_at(
                line,
                format!("the crypto profile `{}` stands already in line {first}", profile.name.escape_debug()),
            );
        } else {
            profiles.push((line, Arc::new(profile)));
        }
    }
    profiles
}

fn read_profile(mut row: Row<'_>, report: &mut Report) -> Option<Profile> {
    let name = row.required("name", "the name that elements give in crypto.profile", report);
    let reason = row.required("reason", "why the elements need it", report);
    let owner = row.required("owner", "who answers for it", report);
    let expires = row.required("expires", "the last day it may be used, such as \"2027-06-30\"", report);
    let expires = expires.and_then(|text| parse_date(text.value).map_err(|error| report.add(&text.span, error)).ok());
    let mut algorithms = |kind: Kind, report: &mut Report| -> Vec<&'static str> {
        let texts = row.texts(kind.key(), report);
        texts.iter().filter_map(|text| read_algorithm(kind, text, report)).collect()
    };
    let (kex, host_keys) = (algorithms(Kind::Kex, report), algorithms(Kind::HostKey, report));
    let (ciphers, macs) = (algorithms(Kind::Cipher, report), algorithms(Kind::Mac, report));
    row.finish(report);
    let owned = |text: Text<'_>| text.value.to_owned();
    Some(Profile {
        name: owned(name?),
        kex,
        host_keys,
        ciphers,
        macs,
        reason: owned(reason?),
        owner: owned(owner?),
        expires: expires?,
    })
}

fn read_algorithm(kind: Kind, text: &Text<'_>, report: &mut Report) -> Option<&'static str> {
    let known = kind.known(text.value);
    if known.is_none() {
        let all: Vec<&str> = kind.strict().iter().chain(kind.legacy()).copied().collect();
        report.add(
            &text.span,
            format!(
                "`{}` is not an algorithm the gateway has; for `{}` it has: {}",
                text.value.escape_debug(),
                kind.key(),
                all.join(", ")
            ),
        );
    }
    known
}

fn report_duplicates(elements: &[Element], report: &mut Report) {
    let mut names: HashMap<&ElementName, u32> = HashMap::new();
    let mut addresses: HashMap<&Address, (&ElementName, u32)> = HashMap::new();
    for element in elements {
        if let Some(first) = names.insert(element.name(), element.line()) {
            report.add_at(element.line(), format!("the element `{}` stands already in line {first}", element.name()));
        }
        for address in element.addresses() {
            if let Some((other, line)) = addresses.insert(address, (element.name(), element.line())) {
                report.add_at(
                    element.line(),
                    format!(
                        "the address {address} is already that of `{other}` in line {line}; one box is one element"
                    ),
                );
            }
        }
    }
}
