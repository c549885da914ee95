//! Whether a value is what its schema says.

use super::{Format, Kind, Others, Schema, Schemas, Span};
use crate::domain::api::json::{Json, Value};

/// Schemas within schemas, for one value.
const DEPTH_MAX: usize = 64;
/// Schemas that are looked at for one body: alternatives within alternatives multiply.
const STEPS_MAX: u32 = 1_000_000;

/// Checks one value and all that is in it.
pub(in crate::domain::api) struct Checking<'s> {
    schemas: &'s Schemas,
    steps: u32,
}

/// Where something is wrong, and what.
type Wrong = String;

impl<'s> Checking<'s> {
    pub(in crate::domain::api) fn new(schemas: &'s Schemas) -> Self {
        Self { schemas, steps: STEPS_MAX }
    }

    /// Checks `json`, which stands at `place`.
    pub(in crate::domain::api) fn check(&mut self, schema: &Schema, json: &Json, place: &str) -> Result<(), Wrong> {
        self.closed(schema, json, place, 0)
    }

    /// Checks a value, and that an object has no members that nothing names.
    fn closed(&mut self, schema: &Schema, json: &Json, place: &str, depth: usize) -> Result<(), Wrong> {
        self.open(schema, json, place, depth)?;
        let Some(members) = json.members() else { return Ok(()) };
        if self.takes_others(schema, 0) {
            return Ok(());
        }
        match members.iter().find(|(name, _)| !self.names(schema, name, 0)) {
            Some((name, _)) => Err(format!("{place}/{} is not in the document", name.escape_debug())),
            None => Ok(()),
        }
    }

    fn open(&mut self, schema: &Schema, json: &Json, place: &str, depth: usize) -> Result<(), Wrong> {
        let left = self.steps.checked_sub(1);
        self.steps = left.filter(|_| depth <= DEPTH_MAX).ok_or_else(|| format!("{place} is too involved to judge"))?;
        if let Some(reference) = &schema.reference {
            let found = self.schemas.0.get(reference).ok_or_else(|| format!("{place} cannot be judged"))?;
            self.open(found, json, place, depth + 1)?;
        }
        if !schema.kinds.is_empty() && !schema.kinds.iter().any(|kind| is_of(*kind, json)) {
            return Err(format!("{place} is of another type"));
        }
        if schema.one_of_values.as_ref().is_some_and(|values| !values.iter().any(|value| same(value, &json.value))) {
            return Err(format!("{place} is none of the values that the document lists"));
        }
        match &json.value {
            Value::Text(text) => is_text(schema, text, place)?,
            Value::Number(number) => is_number(schema, number, place)?,
            Value::Array(entries) => self.entries(schema, entries, place, depth)?,
            Value::Object(members) => self.members(schema, members, place, depth)?,
            Value::Null | Value::Bool(_) => {}
        }
        for part in &schema.all_of {
            self.open(part, json, place, depth + 1)?;
        }
        self.alternatives(schema, json, place, depth)
    }

    fn alternatives(&mut self, schema: &Schema, json: &Json, place: &str, depth: usize) -> Result<(), Wrong> {
        let mut fitting =
            |parts: &[Schema]| parts.iter().filter(|part| self.open(part, json, place, depth + 1).is_ok()).count();
        if !schema.any_of.is_empty() && fitting(&schema.any_of) == 0 {
            return Err(format!("{place} is none of the alternatives"));
        }
        if !schema.one_of.is_empty() && fitting(&schema.one_of) != 1 {
            return Err(format!("{place} is not exactly one of the alternatives"));
        }
        Ok(())
    }

    fn entries(&mut self, schema: &Schema, entries: &[Json], place: &str, depth: usize) -> Result<(), Wrong> {
        if !schema.count.holds(entries.len()) {
            return Err(format!("{place} has too few or too many entries"));
        }
        if schema.unique {
            let twice = entries.iter().enumerate().any(|(at, entry)| {
                self.steps = self.steps.saturating_sub(u32::try_from(at).unwrap_or(u32::MAX));
                self.steps == 0 || entries.iter().take(at).any(|other| same(&other.value, &entry.value))
            });
            if twice {
                return Err(format!("{place} has an entry twice"));
            }
        }
        let Some(items) = &schema.items else { return Ok(()) };
        entries
            .iter()
            .enumerate()
            .try_for_each(|(at, entry)| self.closed(items, entry, &format!("{place}/{at}"), depth + 1))
    }

    fn members(&mut self, schema: &Schema, members: &[(String, Json)], place: &str, depth: usize) -> Result<(), Wrong> {
        if !schema.members.holds(members.len()) {
            return Err(format!("{place} has too few or too many members"));
        }
        for name in &schema.required {
            let given = schema.properties.get(name).is_some_and(|property| property.read_only);
            if !given && !members.iter().any(|(known, _)| known == name) {
                return Err(format!("{place}/{name} is missing"));
            }
        }
        for (name, value) in members {
            let below = || format!("{place}/{}", name.escape_debug());
            match (schema.properties.get(name), &schema.others) {
                (Some(property), _) if property.read_only => return Err(format!("{} is only read", below())),
                (Some(property), _) => self.closed(property, value, &below(), depth + 1)?,
                (None, Others::Like(other)) => self.closed(other, value, &below(), depth + 1)?,
                (None, Others::Refused) => return Err(format!("{} is not in the document", below())),
                (None, Others::Unsaid | Others::Allowed) => {}
            }
        }
        Ok(())
    }

    /// Everything that a schema is made of besides itself.
    fn parts<'p>(&self, schema: &'p Schema) -> impl Iterator<Item = &'p Schema>
    where
        's: 'p,
    {
        let referred = schema.reference.as_ref().and_then(|reference| self.schemas.0.get(reference));
        referred.into_iter().chain(&schema.all_of).chain(&schema.any_of).chain(&schema.one_of)
    }

    /// Whether members that nothing names are taken: one part says so, or none says anything of members at all.
    fn takes_others(&self, schema: &Schema, depth: usize) -> bool {
        self.says_open(schema, depth) || !self.speaks_of_members(schema, depth)
    }

    fn says_open(&self, schema: &Schema, depth: usize) -> bool {
        let own = matches!(schema.others, Others::Allowed | Others::Like(_));
        own || depth < DEPTH_MAX && self.parts(schema).any(|part| self.says_open(part, depth + 1))
    }

    fn speaks_of_members(&self, schema: &Schema, depth: usize) -> bool {
        let own = !schema.properties.is_empty() || matches!(schema.others, Others::Refused);
        own || depth < DEPTH_MAX && self.parts(schema).any(|part| self.speaks_of_members(part, depth + 1))
    }

    fn names(&self, schema: &Schema, name: &str, depth: usize) -> bool {
        schema.properties.contains_key(name)
            || depth < DEPTH_MAX && self.parts(schema).any(|part| self.names(part, name, depth + 1))
    }
}

impl Span {
    fn holds(self, count: usize) -> bool {
        let count = count as u64;
        self.least.is_none_or(|least| count >= least) && self.most.is_none_or(|most| count <= most)
    }
}

fn is_of(kind: Kind, json: &Json) -> bool {
    match (kind, &json.value) {
        (Kind::Null, Value::Null)
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Number, Value::Number(_))
        | (Kind::Text, Value::Text(_))
        | (Kind::Array, Value::Array(_))
        | (Kind::Object, Value::Object(_)) => true,
        // Only what every reader takes for one: `1.0` and `1e3` are integers to some.
        (Kind::Integer, Value::Number(text)) => text.parse::<i128>().is_ok(),
        _ => false,
    }
}

/// Whether two values are the same; numbers, when they are written in the same way or are the same integer.
pub(in crate::domain::api) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(&a.value, &b.value))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, a)| other.iter().any(|(known, b)| known == name && same(&a.value, &b.value)))
        }
        (one, other) => one == other,
    }
}

fn is_text(schema: &Schema, text: &str, place: &str) -> Result<(), Wrong> {
    if !schema.length.holds(text.chars().count()) {
        return Err(format!("{place} is too short or too long"));
    }
    if schema.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
        return Err(format!("{place} does not match its pattern"));
    }
    let fits = match schema.format {
        Some(Format::Date) => is_date(text),
        Some(Format::DateTime) => text.parse::<crate::domain::Timestamp>().is_ok(),
        Some(Format::Uuid) => is_uuid(text),
        Some(Format::Int32 | Format::Int64) | None => true,
    };
    if fits { Ok(()) } else { Err(format!("{place} is not of its format")) }
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    let within = |part: &str, most: u8| part.parse::<u8>().is_ok_and(|number| (1..=most).contains(&number));
    digits(year, 4) && digits(month, 2) && digits(day, 2) && within(month, 12) && within(day, 31)
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, n)| part.len() == n && part.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_number(schema: &Schema, text: &str, place: &str) -> Result<(), Wrong> {
    let wrong = || format!("{place} is too small or too large");
    let value: f64 = text.parse().map_err(|_| wrong())?;
    let low = schema.minimum.is_none_or(|bound| value > bound.at || !bound.exclusive && value == bound.at);
    let high = schema.maximum.is_none_or(|bound| value < bound.at || !bound.exclusive && value == bound.at);
    let fits = match schema.format {
        Some(Format::Int32) => text.parse::<i32>().is_ok(),
        Some(Format::Int64) => text.parse::<i64>().is_ok(),
        _ => true,
    };
    if low && high && fits { Ok(()) } else { Err(wrong()) }
}
