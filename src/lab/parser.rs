//! From a typed line to a command (pure): unique-prefix abbreviations, arguments, help and completion, over the tables of
//! [`super::grammar`].

use super::grammar::{Command, Kind, Node};

/// A line that names one command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    /// What to do.
    pub(super) command: Command,
    /// The arguments in order, without the keywords.
    pub(super) arguments: Vec<String>,
    /// The whole line with its keywords written out.
    pub(super) canonical: String,
}

/// Why a line names no command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// More than one keyword begins like this.
    Ambiguous,
    /// A command begins like this, but something is missing.
    Incomplete,
    /// Nothing fits at this byte of the line.
    Invalid(usize),
}

/// One row of help: what may be typed, and what it is.
pub(super) type HelpRow = (&'static str, &'static str);

/// Reads `line` by the first of `tables` that understands it; otherwise the mistake of the table that got farthest.
pub(super) fn parse(tables: &[&'static [Node]], line: &str, level: u8) -> Result<Parsed, Mistake> {
    let mut worst = Mistake::Invalid(line.len() - line.trim_start().len());
    for table in tables {
        match walk(table, line, level) {
            Ok(parsed) => return Ok(parsed),
            Err(mistake) if depth(&mistake) > depth(&worst) => worst = mistake,
            Err(_) => {}
        }
    }
    Err(worst)
}

/// What may follow `line`, whose last word may be unfinished.
pub(super) fn help(tables: &[&'static [Node]], line: &str, level: u8) -> Result<Vec<HelpRow>, Mistake> {
    let (before, unfinished) = split_last(line);
    let mut rows: Vec<HelpRow> = Vec::new();
    let mut farthest: Option<Mistake> = None;
    for table in tables {
        match place(table, before, level) {
            Ok(place) => {
                let fitting = place.next.iter().filter(|n| n.level <= level && n.kind.begins_like(unfinished));
                rows.extend(fitting.map(|n| (n.kind.label(), n.help)));
                if place.may_end && unfinished.is_empty() {
                    rows.push(("<cr>", ""));
                }
            }
            Err(mistake) if farthest.as_ref().is_none_or(|f| depth(f) < depth(&mistake)) => farthest = Some(mistake),
            Err(_) => {}
        }
    }
    rows.sort_unstable();
    rows.dedup();
    if rows.is_empty() { Err(farthest.unwrap_or(Mistake::Invalid(line.len() - unfinished.len()))) } else { Ok(rows) }
}

/// `line` with its last word written out and a blank, when only one keyword begins like it.
pub(super) fn complete(tables: &[&'static [Node]], line: &str, level: u8) -> Option<String> {
    let (before, unfinished) = split_last(line);
    if unfinished.is_empty() {
        return None;
    }
    let mut fitting: Vec<&'static str> = Vec::new();
    for place in tables.iter().filter_map(|table| place(table, before, level).ok()) {
        let keywords = place.next.iter().filter(|n| n.level <= level && n.kind.begins_like(unfinished));
        fitting.extend(keywords.filter(|n| matches!(n.kind, Kind::Keyword(_))).map(|n| n.kind.label()));
    }
    fitting.sort_unstable();
    fitting.dedup();
    match fitting.as_slice() {
        [only] => Some(format!("{before}{only} ")),
        _ => None,
    }
}

/// Where a walk through a table has arrived.
struct Place {
    next: &'static [Node],
    may_end: bool,
}

fn walk(table: &'static [Node], line: &str, level: u8) -> Result<Parsed, Mistake> {
    let mut next = table;
    let mut command = None;
    let mut arguments = Vec::new();
    let mut canonical: Vec<String> = Vec::new();
    let mut rest = Words::new(line);
    while let Some((at, word)) = rest.next_word() {
        let node = choose(next, word, at, level)?;
        match node.kind.read(word, &mut rest) {
            Some(value) => {
                canonical.push(value.clone());
                if !matches!(node.kind, Kind::Keyword(_)) {
                    arguments.push(value);
                }
            }
            None => return Err(Mistake::Incomplete),
        }
        next = node.then;
        command = node.run;
    }
    let command = command.ok_or(Mistake::Incomplete)?;
    Ok(Parsed { command, arguments, canonical: canonical.join(" ") })
}

fn place(table: &'static [Node], line: &str, level: u8) -> Result<Place, Mistake> {
    let mut place = Place { next: table, may_end: false };
    let mut rest = Words::new(line);
    while let Some((at, word)) = rest.next_word() {
        let node = choose(place.next, word, at, level)?;
        let complete = node.kind.read(word, &mut rest).is_some();
        place = Place { next: if complete { node.then } else { &[] }, may_end: complete && node.run.is_some() };
    }
    Ok(place)
}

/// The one node that `word` means: an exact keyword, else the only keyword it begins, else the first argument it fits.
fn choose(nodes: &'static [Node], word: &str, at: usize, level: u8) -> Result<&'static Node, Mistake> {
    let open = || nodes.iter().filter(|n| n.level <= level);
    let keywords = || open().filter(|n| matches!(n.kind, Kind::Keyword(_)));
    if let Some(exact) = keywords().find(|n| n.kind.label().eq_ignore_ascii_case(word)) {
        return Ok(exact);
    }
    let mut beginning = keywords().filter(|n| n.kind.begins_like(word));
    match (beginning.next(), beginning.next()) {
        (Some(only), None) => return Ok(only),
        (Some(_), Some(_)) => return Err(Mistake::Ambiguous),
        (None, _) => {}
    }
    open().find(|n| n.kind.fits(word)).ok_or(Mistake::Invalid(at))
}

fn depth(mistake: &Mistake) -> usize {
    match mistake {
        Mistake::Invalid(at) => *at,
        Mistake::Ambiguous | Mistake::Incomplete => usize::MAX,
    }
}

/// The line up to its last, unfinished word, and that word.
fn split_last(line: &str) -> (&str, &str) {
    line.split_at(line.rfind([' ', '\t']).map_or(0, |at| at + 1))
}

/// The words of a line with where they begin.
pub(super) struct Words<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { line, at: 0 }
    }

    pub(super) fn next_word(&mut self) -> Option<(usize, &'a str)> {
        let rest = self.rest();
        let begin = self.at + (rest.len() - rest.trim_start().len());
        let tail = self.line.get(begin..).unwrap_or_default();
        let word = tail.split_whitespace().next()?;
        self.at = begin + word.len();
        Some((begin, word))
    }

    /// Everything after the last word given out.
    pub(super) fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// Takes everything that is left.
    pub(super) fn take_rest(&mut self) -> &'a str {
        let rest = self.rest();
        self.at = self.line.len();
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::{CONFIGURE, EXEC, INTERFACE};
    use super::*;

    #[test]
    fn abbreviations_name_one_command() {
        for (line, command, canonical) in [
            ("show version", Command::ShowVersion, "show version"),
            ("sh ver", Command::ShowVersion, "show version"),
            ("SH VER", Command::ShowVersion, "show version"),
            ("  sh   ip  int  br ", Command::ShowIpInterfaceBrief, "show ip interface brief"),
            ("sh run", Command::ShowRunning, "show running-config"),
            ("conf t", Command::Configure, "configure terminal"),
            ("wr", Command::Write, "write"),
            ("wr mem", Command::Write, "write memory"),
            ("term len 0", Command::TerminalLength, "terminal length 0"),
            ("ping 192.0.2.1", Command::Ping, "ping 192.0.2.1"),
            ("copy run start", Command::CopyRunningStartup, "copy running-config startup-config"),
        ] {
            let parsed = parse(&[EXEC], line, 15).unwrap_or_else(|e| panic!("{line}: {e:?}"));
            assert_eq!((parsed.command, parsed.canonical.as_str()), (command, canonical), "{line}");
        }
    }

    #[test]
    fn arguments_are_read_and_named_in_full() {
        for (line, arguments) in [
            ("int gi0/0", vec!["GigabitEthernet0/0"]),
            ("interface Gi 0/0", vec!["GigabitEthernet0/0"]),
            ("int te0/1/0", vec!["TenGigabitEthernet0/1/0"]),
            ("interface lo10", vec!["Loopback10"]),
            ("ip route 10.0.0.0 255.0.0.0 192.0.2.1", vec!["10.0.0.0", "255.0.0.0", "192.0.2.1"]),
            ("description  to | the  core ", vec!["to | the  core"]),
        ] {
            let parsed = parse(&[INTERFACE, CONFIGURE], line, 15).unwrap_or_else(|e| panic!("{line}: {e:?}"));
            assert_eq!(parsed.arguments, arguments, "{line}");
        }
    }

    #[test]
    fn mistakes_say_where() {
        for (line, level, mistake) in [
            ("frobnicate", 15, Mistake::Invalid(0)),
            ("  frobnicate", 15, Mistake::Invalid(2)),
            ("show frobnicate", 15, Mistake::Invalid(5)),
            ("show version all", 15, Mistake::Invalid(13)),
            ("s", 1, Mistake::Ambiguous),
            ("show i", 15, Mistake::Ambiguous),
            ("show", 15, Mistake::Incomplete),
            ("show ip", 15, Mistake::Incomplete),
            ("configure terminal", 1, Mistake::Invalid(0)),
            ("show running-config", 1, Mistake::Invalid(5)),
            ("ping 300.1.1.1.1", 15, Mistake::Invalid(5)),
            ("terminal length 513", 15, Mistake::Invalid(16)),
            ("show version\u{e9}", 15, Mistake::Invalid(5)),
        ] {
            assert_eq!(parse(&[EXEC], line, level), Err(mistake), "{line}");
        }
        assert_eq!(parse(&[CONFIGURE], "interface gi", 15), Err(Mistake::Incomplete));
        assert_eq!(parse(&[CONFIGURE], "interface zz0/0", 15), Err(Mistake::Invalid(10)));
        assert_eq!(parse(&[INTERFACE, CONFIGURE], "ip address 10.0.0.1", 15), Err(Mistake::Incomplete));
    }

    #[test]
    fn help_and_completion_follow_what_was_typed() {
        let words = |line: &str| help(&[EXEC], line, 15).map(|rows| rows.iter().map(|r| r.0).collect::<Vec<_>>());
        assert_eq!(words("show ip "), Ok(vec!["bgp", "interface", "route"]));
        assert_eq!(words("sh ip r"), Ok(vec!["route"]));
        assert_eq!(words("show version "), Ok(vec!["<cr>"]));
        assert_eq!(words("show zzz "), Err(Mistake::Invalid(5)));
        assert_eq!(words("ping "), Ok(vec!["A.B.C.D"]));
        for (line, completed) in [
            ("sh", Some("show ")),
            ("show ver", Some("show version ")),
            ("sh ver", Some("sh version ")),
            ("show i", None),
            ("s", None),
            ("zz", None),
            ("", None),
            ("show version ", None),
        ] {
            assert_eq!(complete(&[EXEC], line, 1).as_deref(), completed, "{line}");
        }
    }
}
