//! What may follow a pipe (pure): `| include`, `exclude`, `begin`, `section` and `count`, with the router's regular expressions:
//! `^ $ . * | ` and literals. Matching takes time in proportion to pattern times line, whatever the pattern.

use super::parser::Mistake;

/// The longest pattern.
const PATTERN_MAX: usize = 254;

/// One filter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    kind: Kind,
    pattern: Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Begin,
    Count,
    Exclude,
    Include,
    Section,
}

impl Filter {
    /// Splits a line at its pipe: the command before it, and the filter after it. `Err` holds the mistake, counted from the line's start.
    pub(super) fn split(line: &str) -> Result<(&str, Option<Self>), Mistake> {
        let Some(at) = line.find('|') else { return Ok((line, None)) };
        let (command, piped) = line.split_at(at);
        let piped = piped.trim_start_matches('|');
        let begin = line.len() - piped.trim_start().len();
        let (word, pattern) = piped.trim_start().split_once(' ').unwrap_or((piped.trim_start(), ""));
        let kind = kind(word).ok_or(if word.is_empty() { Mistake::Incomplete } else { Mistake::Invalid(begin) })?;
        let pattern = pattern.trim_start();
        if pattern.trim().is_empty() {
            return Err(Mistake::Incomplete);
        }
        if pattern.len() > PATTERN_MAX {
            return Err(Mistake::Invalid(begin + word.len() + 1));
        }
        Ok((command, Some(Self { kind, pattern: Pattern::new(pattern) })))
    }

    /// What is left of `text`.
    pub(super) fn apply(&self, text: &str) -> String {
        let matches = |line: &&str| self.pattern.matches(line);
        let kept: Vec<&str> = match self.kind {
            Kind::Begin => text.lines().skip_while(|l| !matches(l)).collect(),
            Kind::Count => {
                return format!("Number of lines which match regexp = {}\n", text.lines().filter(matches).count());
            }
            Kind::Exclude => text.lines().filter(|l| !matches(l)).collect(),
            Kind::Include => text.lines().filter(matches).collect(),
            Kind::Section => {
                let mut inside = false;
                let keep = |line: &&str| {
                    if !line.starts_with(' ') {
                        inside = matches(line);
                    }
                    inside
                };
                text.lines().filter(keep).collect()
            }
        };
        kept.iter().flat_map(|line| [line, "\n"]).collect()
    }
}

fn kind(word: &str) -> Option<Kind> {
    const KINDS: [(&str, Kind); 5] = [
        ("begin", Kind::Begin),
        ("count", Kind::Count),
        ("exclude", Kind::Exclude),
        ("include", Kind::Include),
        ("section", Kind::Section),
    ];
    let word = word.to_ascii_lowercase();
    if word.is_empty() { None } else { KINDS.iter().find(|(name, _)| name.starts_with(&word)).map(|(_, kind)| *kind) }
}

/// Alternatives, of which one has to match.
#[derive(Debug, PartialEq, Eq)]
struct Pattern(Vec<Branch>);

#[derive(Debug, PartialEq, Eq)]
struct Branch {
    from_start: bool,
    to_end: bool,
    atoms: Vec<Atom>,
}

#[derive(Debug, PartialEq, Eq)]
struct Atom {
    /// `None` is any character.
    only: Option<char>,
    repeated: bool,
}

impl Pattern {
    fn new(text: &str) -> Self {
        Self(text.trim_end().split('|').map(Branch::new).collect())
    }

    fn matches(&self, line: &str) -> bool {
        self.0.iter().any(|branch| branch.matches(line))
    }
}

impl Branch {
    fn new(text: &str) -> Self {
        let (from_start, text) = text.strip_prefix('^').map_or((false, text), |rest| (true, rest));
        let (to_end, text) = text.strip_suffix('$').map_or((false, text), |rest| (true, rest));
        let mut atoms: Vec<Atom> = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match (c, atoms.last_mut()) {
                ('*', Some(last)) => last.repeated = true,
                ('\\', _) => atoms.push(Atom { only: Some(chars.next().unwrap_or('\\')), repeated: false }),
                ('.', _) => atoms.push(Atom { only: None, repeated: false }),
                _ => atoms.push(Atom { only: Some(c), repeated: false }),
            }
        }
        Self { from_start, to_end, atoms }
    }

    /// Follows all ways at once: `at[i]` says that the first `i` atoms may have matched up to here.
    fn matches(&self, line: &str) -> bool {
        let mut at = vec![false; self.atoms.len() + 1];
        let arrived = |at: &[bool]| at.last().copied().unwrap_or(false);
        self.enter(&mut at);
        if arrived(&at) && !self.to_end {
            return true;
        }
        for c in line.chars() {
            let mut next = vec![false; at.len()];
            for (i, atom) in self.atoms.iter().enumerate() {
                let here = at.get(i).copied().unwrap_or(false);
                let after = if atom.repeated { i } else { i + 1 };
                if let Some(state) = next.get_mut(after) {
                    *state |= here && atom.only.is_none_or(|only| only == c);
                }
            }
            if self.from_start {
                self.skip_repeated(&mut next)
            } else {
                self.enter(&mut next)
            }
            at = next;
            if arrived(&at) && !self.to_end {
                return true;
            }
        }
        arrived(&at)
    }

    fn enter(&self, at: &mut [bool]) {
        if let Some(first) = at.first_mut() {
            *first = true;
        }
        self.skip_repeated(at);
    }

    fn skip_repeated(&self, at: &mut [bool]) {
        for (i, atom) in self.atoms.iter().enumerate() {
            let here = at.get(i).copied().unwrap_or(false);
            if let Some(state) = at.get_mut(i + 1) {
                *state |= here && atom.repeated;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, line, matches) in [
            ("bgp", "router bgp 1", true),
            ("^router", "router bgp 1", true),
            ("^bgp", "router bgp 1", false),
            ("bgp$", "router bgp 1", false),
            ("1$", "router bgp 1", true),
            ("r.*b.p", "router bgp 1", true),
            ("^r.*b$", "router bgp 1", false),
            ("ospf|bgp", "router bgp 1", true),
            ("ospf|isis", "router bgp 1", false),
            ("a*b*c*", "", true),
            ("^a*$", "aaab", false),
            ("^a*b$", "aaab", true),
            ("0\\.1", "0x1", false),
            ("0.1", "0x1", true),
            ("", "x", true),
            ("^$", "", true),
            ("^$", "x", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(line), matches, "{pattern} {line}");
        }
        let evil = "a*".repeat(100) + "$";
        assert!(!Pattern::new(&format!("^{evil}")).matches(&("a".repeat(200) + "b")));
    }

    #[test]
    fn filters() {
        let text = "a\n a1\n a2\nb\n b1\n";
        for (line, kept) in [
            ("show run | include 1", " a1\n b1\n"),
            ("show run | i a", "a\n a1\n a2\n"),
            ("show run |exclude a", "b\n b1\n"),
            ("show run | begin b", "b\n b1\n"),
            ("show run | sec ^b", "b\n b1\n"),
            ("show run | count a", "Number of lines which match regexp = 3\n"),
        ] {
            let (command, filter) = Filter::split(line).unwrap_or_else(|e| panic!("{line}: {e:?}"));
            assert_eq!(command.trim(), "show run");
            assert_eq!(filter.expect(line).apply(text), kept, "{line}");
        }
    }

    #[test]
    fn filter_mistakes() {
        let long = format!("show run | include {}", "x".repeat(300));
        for (line, mistake) in [
            ("show run |", Mistake::Incomplete),
            ("show run | include", Mistake::Incomplete),
            ("show run | include  ", Mistake::Incomplete),
            ("show run | redirect tftp://x", Mistake::Invalid(11)),
            ("show run | tee", Mistake::Invalid(11)),
            (long.as_str(), Mistake::Invalid(19)),
        ] {
            assert_eq!(Filter::split(line), Err(mistake), "{line}");
        }
    }
}
