//! Reads TOML tables field by field and collects every mistake with its line, instead of stopping at the first.

use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::policy::Problem;

/// The mistakes of one file.
#[derive(Debug)]
pub(super) struct Report {
    file: String,
    line_starts: Vec<usize>,
    problems: Vec<Problem>,
}

impl Report {
    pub(super) fn new(file: &str, text: &str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.to_owned(), line_starts, problems: Vec::new() }
    }

    pub(super) fn line(&self, span: &Range<usize>) -> u32 {
        u32::try_from(self.line_starts.partition_point(|start| *start <= span.start)).unwrap_or(u32::MAX)
    }

    pub(super) fn add(&mut self, span: &Range<usize>, text: impl Into<String>) {
        let line = self.line(span);
        self.add_at(line, text);
    }

    pub(super) fn add_at(&mut self, line: u32, text: impl Into<String>) {
        self.problems.push(Problem { file: self.file.clone(), line, text: text.into() });
    }

    /// The mistakes in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.line);
        self.problems
    }
}

/// A text value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Text<'a> {
    pub(super) value: &'a str,
    pub(super) span: Range<usize>,
}

impl Text<'_> {
    /// The value as `T`; a mistake is reported.
    pub(super) fn parse<T: FromStr<Err: ToString>>(&self, report: &mut Report) -> Option<T> {
        self.value.parse().map_err(|error: T::Err| report.add(&self.span, error.to_string())).ok()
    }
}

/// One table being read. Keys that nobody asked for are mistakes.
pub(super) struct Row<'a> {
    table: &'a DeTable<'a>,
    pub(super) span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'a> Row<'a> {
    pub(super) fn new(table: &'a DeTable<'a>, span: Range<usize>) -> Self {
        Self { table, span, asked: Vec::new() }
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// A text. Absent is no mistake.
    pub(super) fn text(&mut self, key: &'static str, report: &mut Report) -> Option<Text<'a>> {
        let value = self.value(key)?;
        let text = as_text(value);
        if text.is_none() {
            report.add(&value.span(), format!("`{key}` must be a text in quotes"));
        }
        text
    }

    /// A text that must be there and not be blank.
    pub(super) fn required(&mut self, key: &'static str, what: &str, report: &mut Report) -> Option<Text<'a>> {
        let there = self.value(key).is_some();
        let text = self.text(key, report);
        match &text {
            Some(text) if text.value.trim().is_empty() => {
                report.add(&text.span, format!("`{key}` is empty; write {what}"));
                None
            }
            None if !there => {
                report.add(&self.span, format!("`{key}` is missing; write {what}"));
                None
            }
            _ => text,
        }
    }

    /// A list of texts; absent is an empty one.
    pub(super) fn texts(&mut self, key: &'static str, report: &mut Report) -> Vec<Text<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            report.add(&value.span(), format!("`{key}` must be a list of texts: [\"…\"]"));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items {
            match as_text(item) {
                Some(text) => texts.push(text),
                None => report.add(&item.span(), format!("`{key}` must hold texts in quotes only")),
            }
        }
        texts
    }

    /// A whole number within `range`; absent is `default`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: usize,
        range: Range<usize>,
        report: &mut Report,
    ) -> usize {
        let Some(value) = self.value(key) else { return default };
        let number = match value.get_ref() {
            DeValue::Integer(digits) if digits.radix() == 10 => digits.as_str().parse().ok(),
            _ => None,
        };
        number.filter(|n| range.contains(n)).unwrap_or_else(|| {
            report.add(
                &value.span(),
                format!("`{key}` must be a whole number from {} to {}", range.start, range.end.saturating_sub(1)),
            );
            default
        })
    }

    /// `true` or `false`; absent is `false`.
    pub(super) fn flag(&mut self, key: &'static str, report: &mut Report) -> bool {
        let Some(value) = self.value(key) else { return false };
        if let DeValue::Boolean(flag) = value.get_ref() {
            return *flag;
        }
        report.add(&value.span(), format!("`{key}` must be true or false"));
        false
    }

    /// A table. Absent is no mistake.
    pub(super) fn row(&mut self, key: &'static str, report: &mut Report) -> Option<Self> {
        let value = self.value(key)?;
        if let DeValue::Table(table) = value.get_ref() {
            return Some(Self::new(table, value.span()));
        }
        report.add(&value.span(), format!("`{key}` must be a table: {{ … }}"));
        None
    }

    /// A list of tables; absent is an empty one.
    pub(super) fn rows(&mut self, key: &'static str, report: &mut Report) -> Vec<Self> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            report.add(&value.span(), format!("`{key}` must be a list of tables"));
            return Vec::new();
        };
        let mut rows = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => rows.push(Self::new(table, item.span())),
                _ => report.add(&item.span(), format!("`{key}` must hold tables only")),
            }
        }
        rows
    }

    /// Reports what nobody asked for.
    pub(super) fn finish(self, report: &mut Report) {
        for (name, _) in self.table {
            if !self.asked.contains(&name.get_ref().as_ref()) {
                report.add(
                    &name.span(),
                    format!("`{}` is not a key here; known are: {}", name.get_ref().escape_debug(), self.known()),
                );
            }
        }
    }

    fn known(&self) -> String {
        let mut names = self.asked.clone();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}

/// A text in quotes.
fn as_text<'a>(value: &'a Spanned<DeValue<'a>>) -> Option<Text<'a>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Text { value: text, span: value.span() }),
        _ => None,
    }
}
