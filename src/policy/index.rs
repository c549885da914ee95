//! The compiled index: finds the rows that match a request in about a microsecond, however many there are.
//!
//! Names become numbers at load. A request's identity and element each stand for a few numbers (themselves, their roles or groups, `*`);
//! the rows of each pair and verb lie together.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::domain::Verb;

use super::names::ANY;
use super::pattern::Object;
use super::rows::Row;

/// Names as numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<String, u32>,
}

impl Names {
    /// The number of a name, new if it has none.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The numbers of those names that any row uses, `*` among them.
    pub(super) fn known<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Box<[u32]> {
        let mut numbers: Vec<u32> =
            names.into_iter().chain([ANY]).filter_map(|name| self.numbers.get(name).copied()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_boxed_slice()
    }
}

/// Who asks for what where, in numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) who: &'a [u32],
    pub(super) element: &'a [u32],
    pub(super) verb: Verb,
}

/// The rows by who, element and verb.
#[derive(Debug, Default)]
pub(super) struct Index {
    spans: HashMap<u128, (u32, u32), BuildHasherDefault<Mix>>,
    rows: Vec<u32>,
    /// For each number of a who, the verbs that any of its rows has.
    verbs: Vec<u128>,
}

impl Index {
    /// Builds the index over `rows`, whose numbers are their positions.
    pub(super) fn build<'a>(rows: impl Iterator<Item = &'a Row>, who: &mut Names, element: &mut Names) -> Self {
        let mut entries: Vec<(u128, u32)> = Vec::new();
        let mut index = Self::default();
        for (row, number) in rows.zip(0..) {
            let (who, element) = (who.number(&row.who), element.number(&row.element));
            for verb in &row.verbs.each {
                entries.push((key(who, element, *verb), number));
                let slot = usize::try_from(who).unwrap_or(usize::MAX);
                if index.verbs.len() <= slot {
                    index.verbs.resize(slot + 1, 0);
                }
                if let Some(bits) = index.verbs.get_mut(slot) {
                    *bits |= bit(*verb);
                }
            }
        }
        entries.sort_unstable();
        index.rows = entries.iter().map(|(_, row)| *row).collect();
        for (position, (key, _)) in (0_u32..).zip(&entries) {
            index.spans.entry(*key).or_insert((position, 0)).1 += 1;
        }
        index
    }

    /// Calls `each` with every row whose who, element and verb fit the question.
    pub(super) fn candidates(&self, question: Question<'_>, mut each: impl FnMut(u32)) {
        for who in question.who {
            let slot = usize::try_from(*who).unwrap_or(usize::MAX);
            if self.verbs.get(slot).copied().unwrap_or(0) & bit(question.verb) == 0 {
                continue;
            }
            for element in question.element {
                let Some((start, count)) = self.spans.get(&key(*who, *element, question.verb)) else { continue };
                let range = usize::try_from(*start).unwrap_or(usize::MAX)..;
                for row in self.rows.get(range).unwrap_or_default().iter().take(usize::try_from(*count).unwrap_or(0)) {
                    each(*row);
                }
            }
        }
    }

    /// The numbers of the rows that match, in ascending order.
    pub(super) fn matching<'a>(
        &self,
        question: Question<'_>,
        account: &str,
        object: &Object<'_>,
        row: impl Fn(u32) -> Option<&'a Row>,
    ) -> Vec<u32> {
        let mut found = Vec::new();
        self.candidates(question, |number| {
            if row(number).is_some_and(|row| row.takes_account(account) && row.objects.matches(row.reach, object)) {
                found.push(number);
            }
        });
        found.sort_unstable();
        found
    }
}

fn key(who: u32, element: u32, verb: Verb) -> u128 {
    u128::from(who) << 64 | u128::from(element) << 32 | u128::from(verb as u32)
}

fn bit(verb: Verb) -> u128 {
    1_u128.checked_shl(verb as u32).unwrap_or(u128::MAX)
}

/// A hasher for our own numbers. No peer chooses them, so it need not resist one that does.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u128(u128::from(*byte));
        }
    }

    fn write_u128(&mut self, number: u128) {
        let [low, high] = [number & u128::from(u64::MAX), number >> 64].map(|half| u64::try_from(half).unwrap_or(0));
        let mixed = (self.0 ^ low ^ high.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 ^= self.0 >> 29;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_its_own_bit() {
        let all = Verb::ALL.iter().fold(0, |bits, verb| bits | bit(*verb));
        assert_eq!(usize::try_from(all.count_ones()), Ok(Verb::ALL.len()));
        assert!(Verb::ALL.len() < 128);
    }
}
