//! Reads Rust as far as the house rules need it: code without comments, literals and test items, and the paths that it names.

/// Code by line number. Comments and the contents of literals are blank; lines of items under `#[cfg(test)]` are not there.
pub fn code_lines(text: &str) -> Vec<(usize, String)> {
    let mut code = without_literals_and_comments(text);
    let tests = blank_test_items(&mut code);
    let code: String = code.into_iter().collect();
    code.lines()
        .enumerate()
        .filter(|(index, _)| !tests.contains(index))
        .map(|(index, line)| (index + 1, line.to_owned()))
        .collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The same text with comments and the contents of strings and characters as spaces; line ends stay, so that lines keep their numbers.
fn without_literals_and_comments(text: &str) -> Vec<char> {
    let mut code: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < code.len() {
        let after_word = at > 0 && is_word(code[at - 1]);
        let end = match code[at] {
            '/' if code.get(at + 1) == Some(&'/') => find(&code, at, |rest| rest[0] == '\n'),
            '/' if code.get(at + 1) == Some(&'*') => comment_end(&code, at),
            '"' => string_end(&code, at + 1),
            'r' if !after_word || raw_prefix(&code, at) => match raw_end(&code, at + 1) {
                Some(end) => end,
                None => at,
            },
            '\'' => character_end(&code, at),
            _ => at,
        };
        for c in code.iter_mut().take(end).skip(at).filter(|c| **c != '\n') {
            *c = ' ';
        }
        at = end.max(at + 1);
    }
    code
}

/// The first place from `at` on where `is` holds of what follows; the end when there is none.
fn find(code: &[char], at: usize, is: impl Fn(&[char]) -> bool) -> usize {
    (at..code.len()).find(|place| is(&code[*place..])).unwrap_or(code.len())
}

/// Behind a block comment that begins at `at`; they nest.
fn comment_end(code: &[char], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < code.len() {
        match (code[at], code.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(code.len())
}

fn string_end(code: &[char], mut at: usize) -> usize {
    while at < code.len() {
        match code[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    code.len()
}

/// Whether the `r` at this place is that of `br"` or `cr"`.
fn raw_prefix(code: &[char], at: usize) -> bool {
    matches!(code[at - 1], 'b' | 'c') && (at < 2 || !is_word(code[at - 2]))
}

/// Behind a raw string whose quotes or `#` begin at `at`, if one does.
fn raw_end(code: &[char], at: usize) -> Option<usize> {
    let hashes = code[at..].iter().take_while(|c| **c == '#').count();
    let begin = at + hashes;
    if code.get(begin) != Some(&'"') {
        return None;
    }
    let ends =
        |rest: &[char]| rest[0] == '"' && rest.iter().skip(1).take(hashes).filter(|c| **c == '#').count() == hashes;
    Some((find(code, begin + 1, ends) + 1 + hashes).min(code.len()))
}

/// Behind a character that begins at `at`; `at` when this is the tick of a lifetime.
fn character_end(code: &[char], at: usize) -> usize {
    match (code.get(at + 1), code.get(at + 2)) {
        (Some('\\'), _) => (find(code, at + 3, |rest| rest[0] == '\'') + 1).min(code.len()),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Blanks each item under `#[cfg(test)]` and gives the lines, from 0, that were blanked whole.
fn blank_test_items(code: &mut [char]) -> std::collections::BTreeSet<usize> {
    let mut lines = std::collections::BTreeSet::new();
    let mut at = 0;
    while at < code.len() {
        let Some(attribute) = attribute(code, at) else {
            at += 1;
            continue;
        };
        if attribute.text != "cfg(test)" {
            at = attribute.end;
            continue;
        }
        let end = if attribute.inner { code.len() } else { item_end(code, attribute.end) };
        let begins = code[..at].iter().filter(|c| **c == '\n').count();
        let ends = begins + code[at..end].iter().filter(|c| **c == '\n').count();
        for c in code[at..end].iter_mut().filter(|c| **c != '\n') {
            *c = ' ';
        }
        let blank = |line: usize, code: &[char]| {
            code.split(|c| *c == '\n').nth(line).is_some_and(|text| text.iter().all(|c| c.is_whitespace()))
        };
        lines.extend((begins..=ends).filter(|line| blank(*line, code)));
        at = end;
    }
    lines
}

struct Attribute {
    /// What stands between the brackets, without spaces.
    text: String,
    inner: bool,
    end: usize,
}

/// The attribute that begins at `at`.
fn attribute(code: &[char], at: usize) -> Option<Attribute> {
    let inner = code.get(at + 1) == Some(&'!');
    let open = at + 1 + usize::from(inner);
    if code.get(at) != Some(&'#') || code.get(open) != Some(&'[') {
        return None;
    }
    let close = closing(code, open);
    let text = code[open + 1..close].iter().filter(|c| !c.is_whitespace()).collect();
    Some(Attribute { text, inner, end: (close + 1).min(code.len()) })
}

/// The bracket that closes the one at `at`; the end when there is none.
fn closing(code: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    for (place, c) in code.iter().enumerate().skip(at) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return place;
        }
    }
    code.len()
}

/// Words with which an item begins; anything else under an attribute is a field, a variant, an arm or an expression, which a comma ends.
const ITEM_WORDS: &[&str] = &[
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "let",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "unsafe",
    "use",
];

/// Behind the item that follows an attribute which ends at `at`.
fn item_end(code: &[char], mut at: usize) -> usize {
    loop {
        at = find(code, at, |rest| !rest[0].is_whitespace());
        match attribute(code, at) {
            Some(further) => at = further.end,
            None => break,
        }
    }
    let words: String = code[at..].iter().take(40).collect();
    let is_item = words.split(|c| !is_word(c)).next().is_some_and(|word| ITEM_WORDS.contains(&word));
    let visibility = ["", "pub", "crate", "super", "self", "in"];
    let is_use = words.split(|c| !is_word(c)).find(|word| !visibility.contains(word)) == Some("use");
    while at < code.len() {
        match code[at] {
            ';' => return at + 1,
            ',' if !is_item => return at + 1,
            ')' | ']' | '}' => return at,
            '{' if !is_use => return (closing(code, at) + 1).min(code.len()),
            '(' | '[' | '{' => at = closing(code, at) + 1,
            _ => at += 1,
        }
    }
    code.len()
}

/// Every path that `code` names from the root of the crate, by `crate::` or by enough `super::`, `use` trees taken apart: line number and
/// segments. `here` is the module the code is of.
pub fn paths(code: &[(usize, String)], here: &[&str]) -> Vec<(usize, Vec<String>)> {
    let mut text = Vec::new();
    let mut lines = Vec::new();
    for (number, line) in code {
        for c in line.chars().chain(['\n']) {
            text.push(c);
            lines.push(*number);
        }
    }
    let mut reader = Reader { text: &text, lines: &lines, at: 0, found: Vec::new() };
    while reader.at < text.len() {
        if !is_word(text[reader.at]) {
            reader.at += 1;
            continue;
        }
        let begins = !reader.behind("::") || reader.behind("self::");
        let word = reader.word();
        if begins && (word == "crate" || word == "super") {
            let mut base: Vec<String> = here.iter().map(|part| (*part).to_owned()).collect();
            if word == "crate" {
                base.clear();
            } else {
                base.pop();
            }
            reader.tree(base);
        }
    }
    reader.found
}

struct Reader<'a> {
    text: &'a [char],
    lines: &'a [usize],
    at: usize,
    found: Vec<(usize, Vec<String>)>,
}

impl Reader<'_> {
    fn behind(&self, what: &str) -> bool {
        let before: String = self.text[self.at.saturating_sub(what.len())..self.at].iter().collect();
        before == what
    }

    fn peek(&mut self) -> Option<char> {
        self.at = find(self.text, self.at, |rest| !rest[0].is_whitespace());
        self.text.get(self.at).copied()
    }

    fn word(&mut self) -> String {
        let word: String = self.text[self.at..].iter().take_while(|c| is_word(**c)).collect();
        self.at += word.chars().count();
        word
    }

    /// Steps over `::`, if it is next.
    fn separator(&mut self) -> bool {
        let is = self.peek() == Some(':') && self.text.get(self.at + 1) == Some(&':');
        self.at += if is { 2 } else { 0 };
        is
    }

    /// What follows a path: more of it, a group of trees, or nothing.
    fn tree(&mut self, mut base: Vec<String>) {
        let mut line = self.lines.get(self.at.saturating_sub(1)).copied().unwrap_or_default();
        while self.separator() {
            match self.peek() {
                Some('{') => {
                    self.at += 1;
                    return self.group(&base);
                }
                Some(c) if is_word(c) => {
                    line = self.lines[self.at];
                    step(&mut base, &self.word());
                }
                // A glob, or the type arguments of an expression.
                _ => break,
            }
        }
        self.found.push((line, base));
    }

    fn group(&mut self, base: &[String]) {
        while let Some(c) = self.peek() {
            match c {
                '}' => {
                    self.at += 1;
                    return;
                }
                c if is_word(c) => {
                    let line = self.lines[self.at];
                    let mut own = base.to_vec();
                    step(&mut own, &self.word());
                    if self.peek() == Some(':') {
                        self.tree(own);
                    } else {
                        self.found.push((line, own));
                    }
                    // A name that it gets here.
                    if self.peek() == Some('a') && self.word() == "as" && self.peek().is_some_and(is_word) {
                        self.word();
                    }
                }
                _ => self.at += 1,
            }
        }
    }
}

/// Goes on from the module `at` by one segment of a path.
fn step(at: &mut Vec<String>, segment: &str) {
    match segment {
        "super" => drop(at.pop()),
        "self" => {}
        name => at.push(name.to_owned()),
    }
}

/// Whether `line` names the crate or path `name` as a word of its own.
pub fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        let starts = !before.is_some_and(is_word) && (!line[..at].ends_with("::") || name.contains('('));
        let ends = !name.ends_with(is_word) || !after.is_some_and(is_word);
        starts && ends
    })
}

/// The code of one line, for tables.
fn code(text: &str) -> Vec<String> {
    code_lines(text).into_iter().map(|(_, line)| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, expected) in [
        (r#"let x = "crate::policy // \" no"; // crate::cli"#, "let x = ;"),
        ("a /* crate::x /* nested */ crate::y */ b", "a b"),
        ("let x = r#\"crate::a \" // b\"#; c", "let x = ; c"),
        ("let x = br\"crate::a\\\"; c", "let x = b ; c"),
        ("let x = b\"crate::a\"; c", "let x = b ; c"),
        ("let q = '\"'; let r = '\\''; c // d", "let q = ; let r = ; c"),
        ("let q = '\\u{7f}'; c", "let q = ; c"),
        ("fn f<'a>(x: &'a str) -> &'a str { x }", "fn f<'a>(x: &'a str) -> &'a str { x }"),
        ("for r in rows { r\"x\" }", "for r in rows { }"),
        ("url(\"http://x\") + 1", "url( ) + 1"),
    ] {
        assert_eq!(code(text).join("\n"), expected, "{text}");
    }
    assert_eq!(
        code("let x = \"one\n  crate::two \\\n three\"; end"),
        ["let x =", "", "; end"],
        "a string of several lines"
    );
    assert_eq!(code("a\n/* b\n c */ d"), ["a", "", "d"]);
}

#[test]
fn a_test_item_ends_where_it_ends() {
    for (text, expected) in [
        ("#[cfg(test)]\nmod tests;\nuse crate::a;", vec!["use crate::a;"]),
        ("#[cfg(test)]\nmod tests {\n  fn f() { g(); }\n}\nuse crate::a;", vec!["use crate::a;"]),
        ("#[cfg(test)]\nuse crate::{\n  x, y,\n};\nuse crate::a;", vec!["use crate::a;"]),
        (
            "#[cfg(test)]\n#[allow(dead_code)]\npub(crate) fn f(a: [u8; 3], b: T) -> X<A, B> {\n  1\n}\nmore();",
            vec!["more();"],
        ),
        ("#[cfg(test)] const A: &[u8; 2] = &[1, 2]; const B: u8 = 0;", vec!["const B: u8 = 0;"]),
        (
            "struct S {\n  a: u8,\n  #[cfg(test)]\n  b: Vec<u8>,\n  c: u8,\n}",
            vec!["struct S {", "a: u8,", "c: u8,", "}"],
        ),
        ("struct S {\n  #[cfg(test)]\n  b: u8\n}\nuse x;", vec!["struct S {", "}", "use x;"]),
        ("match x {\n  #[cfg(test)]\n  A => { 1 }\n  B => 2,\n}", vec!["match x {", "B => 2,", "}"]),
        ("#[cfg(test)]\nimpl S {\n}\n\nimpl T {}", vec!["", "impl T {}"]),
        ("#[cfg(test)]\n/// With words.\nfn f() {}\nfn g() {}", vec!["fn g() {}"]),
        ("fn f() {} #[cfg(test)] mod t { }", vec!["fn f() {}"]),
        ("#![cfg(test)]\nuse crate::a;", vec![]),
        // These are in the program, or may be.
        ("#[cfg(not(test))]\nmod m;", vec!["#[cfg(not(test))]", "mod m;"]),
        ("#[cfg(any(test, feature = \"fuzzing\"))]\nmod m;", vec!["#[cfg(any(test, feature = ))]", "mod m;"]),
        ("let s = \"#[cfg(test)]\"; use x;", vec!["let s = ; use x;"]),
        ("// #[cfg(test)]\nuse x;", vec!["", "use x;"]),
    ] {
        assert_eq!(code(text), expected, "{text}");
    }
    let numbers: Vec<usize> =
        code_lines("a\n#[cfg(test)]\nmod t {\n}\nb\n").into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [1, 5], "lines keep their numbers");
}

#[test]
fn paths_are_found_however_they_are_written() {
    for (text, expected) in [
        (
            "use crate::{domain::Action, policy, access::{Visit, Session}};",
            "1 domain::Action, 1 policy, 1 access::Visit, 1 access::Session",
        ),
        ("    crate::audit::Log::open(crate::domain::X)", "1 audit::Log::open, 1 domain::X"),
        (
            "use crate::{\n    domain::Action,\n    access::{\n        Visit,\n        session::{self, Grant as G},\n    },\n    cli,\n};\nuse crate::lab;",
            "2 domain::Action, 4 access::Visit, 5 access::session, 5 access::session::Grant, 7 cli, 9 lab",
        ),
        ("use crate::\n    lab::X;", "2 lab::X"),
        ("pub(in crate::access) fn f() {}", "1 access"),
        ("pub(crate) fn f(x: &crate::cli::X<crate::lab::Y>) {}", "1 , 1 cli::X, 1 lab::Y"),
        ("use crate::policy::*;", "1 policy"),
        ("use super::netconf::X;", "1 protocol::netconf::X"),
        ("use super::{netconf, super::policy::Set, web};", "1 protocol::netconf, 1 policy::Set, 1 protocol::web"),
        ("use super::super::cli::X;", "1 cli::X"),
        ("self::super::gnmi::f()", "1 protocol::gnmi::f"),
        ("use foreign_crate::policy; use other::crate_thing::x; use a::super_::b;", ""),
        ("let crate_ = 1; my_super::x()", ""),
    ] {
        let found = paths(&code_lines(text), &["protocol", "ssh"]);
        let found: Vec<_> = found.iter().map(|(line, path)| format!("{line} {}", path.join("::"))).collect();
        assert_eq!(found.join(", "), expected, "{text}");
    }
}

#[test]
fn a_crate_is_named_as_a_word() {
    for line in ["use casbin::Enforcer;", "let e: casbin::Enforcer", "(casbin::x)"] {
        assert!(names(line, "casbin::"), "{line}");
    }
    for line in ["use crate::policy::casbin::Judge;", "my_casbin::thing", "mod casbin;", "casbin2::x"] {
        assert!(!names(line, "casbin::"), "{line}");
    }
    assert!(names("let t = Timestamp::now();", "now()") && !names("fn x(now: Timestamp)", "now()"));
}
