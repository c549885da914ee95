//! Reads typed values out of a TOML document and collects every mistake with its line, instead of stopping at the first.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::parse_duration;

/// A mistake: the line it is on (counted from 1; 0 for the file as a whole) and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) line: usize,
    pub(super) text: String,
}

/// The text being read and what is wrong with it so far.
pub(super) struct Report<'t> {
    text: &'t str,
    pub(super) mistakes: Vec<Mistake>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, mistakes: Vec::new() }
    }

    pub(super) fn add(&mut self, offset: usize, text: impl Into<String>) {
        let line = self.text.get(..offset).map_or(0, |before| before.matches('\n').count() + 1);
        self.mistakes.push(Mistake { line, text: text.into() });
    }
}

/// One table of the document. Every key must be asked for by the time [`Section::finish`] is called; what is left is unknown.
pub(super) struct Section<'d, 't> {
    table: Option<&'d DeTable<'t>>,
    path: String,
    offset: usize,
    asked: BTreeSet<&'static str>,
}

impl<'d, 't> Section<'d, 't> {
    pub(super) fn root(table: &'d DeTable<'t>) -> Self {
        Self { table: Some(table), path: String::new(), offset: 0, asked: BTreeSet::new() }
    }

    /// Whether the table is in the document at all.
    pub(super) fn present(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn section(&mut self, report: &mut Report<'_>, key: &'static str) -> Self {
        let path = self.name(key);
        let found = self.take(key);
        let offset = found.map_or(self.offset, |v| v.span().start);
        let table = found.and_then(|value| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                report.add(offset, format!("`{path}` is {}; write it as a table: [{path}]", other.type_str()));
                None
            }
        });
        Self { table, path, offset, asked: BTreeSet::new() }
    }

    /// A value parsed by its type's `FromStr`; `None` when it is absent or wrong.
    pub(super) fn optional<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<T> {
        let path = self.name(key);
        let value = self.take(key)?;
        let offset = value.span().start;
        let Some(text) = value.get_ref().as_str() else {
            report.add(offset, format!("`{path}` is {}; write a text in quotes", value.get_ref().type_str()));
            return None;
        };
        text.parse().map_err(|error| report.add(offset, format!("`{path}`: {error}"))).ok()
    }

    pub(super) fn required<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<T> {
        if self.table.is_none_or(|t| t.get(key).is_none()) {
            report.add(self.offset, format!("`{}` is missing", self.name(key)));
            self.asked.insert(key);
            return None;
        }
        self.optional(report, key)
    }

    /// A path, relative to `base` unless it is absolute.
    pub(super) fn path(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        base: &Path,
        default: Option<&str>,
    ) -> PathBuf {
        let found: Option<String> = match default {
            Some(default) => Some(self.optional(report, key).unwrap_or_else(|| default.to_owned())),
            None => self.required(report, key),
        };
        base.join(found.unwrap_or_default())
    }

    /// A whole number within `range`, or `default`.
    pub(super) fn number(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let path = self.name(key);
        let Some(value) = self.take(key) else { return default };
        let parsed = value.get_ref().as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok());
        match parsed {
            Some(number) if range.contains(&number) => number,
            _ => {
                report.add(
                    value.span().start,
                    format!("`{path}` must be a whole number from {} to {}", range.start(), range.end()),
                );
                default
            }
        }
    }

    /// Yes or no, or `default`.
    pub(super) fn flag(&mut self, report: &mut Report<'_>, key: &'static str, default: bool) -> bool {
        let path = self.name(key);
        let Some(value) = self.take(key) else { return default };
        value.get_ref().as_bool().unwrap_or_else(|| {
            report.add(value.span().start, format!("`{path}` must be true or false"));
            default
        })
    }

    /// A number of milliseconds within `range`, or `default`.
    pub(super) fn millis(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_millis(self.number(report, key, default, range))
    }

    /// A duration such as `"30m"`, or `default`.
    pub(super) fn duration(&mut self, report: &mut Report<'_>, key: &'static str, default: Duration) -> Duration {
        let path = self.name(key);
        let Some(value) = self.take(key) else { return default };
        let parsed = value.get_ref().as_str().ok_or_else(|| "write a text in quotes, such as \"30m\"".to_owned());
        match parsed.and_then(|text| parse_duration(text).map_err(|e| e.to_string())) {
            Ok(duration) => duration,
            Err(error) => {
                report.add(value.span().start, format!("`{path}`: {error}"));
                default
            }
        }
    }

    /// A list of values parsed by their type's `FromStr`.
    pub(super) fn list<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<Vec<T>> {
        let path = self.name(key);
        let value = self.take(key)?;
        let Some(items) = value.get_ref().as_array() else {
            report.add(
                value.span().start,
                format!("`{path}` is {}; write a list: [\"…\", \"…\"]", value.get_ref().type_str()),
            );
            return None;
        };
        let mut out = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str().map(str::parse::<T>) {
                Some(Ok(parsed)) => out.push(parsed),
                Some(Err(error)) => report.add(item.span().start, format!("`{path}`: {error}")),
                None => report.add(
                    item.span().start,
                    format!("`{path}` holds {}; write texts in quotes", item.get_ref().type_str()),
                ),
            }
        }
        Some(out)
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, report: &mut Report<'_>) {
        for (key, _) in self.table.iter().flat_map(|t| t.iter()) {
            if !self.asked.contains(key.get_ref().as_ref()) {
                let known: Vec<_> = self.asked.iter().copied().collect();
                report.add(
                    key.span().start,
                    format!("`{}{}` is not known here; known are: {}", self.prefix(), key.get_ref(), known.join(", ")),
                );
            }
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.asked.insert(key);
        self.table.and_then(|t| t.get(key))
    }

    fn prefix(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("{}.", self.path) }
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix())
    }
}
