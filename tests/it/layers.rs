//! The house rules that a compiler does not check: who imports whom, and what stays pure.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in import order: each may name itself and what stands before it (`lib.rs` tells the same story).
const ORDER: &[&str] = &[
    "domain",
    "audit",
    "recording",
    "identity",
    "policy",
    "element",
    "access",
    "protocol",
    "console",
    "config",
    "cli",
    "lab",
    "telemetry",
    "fuzzing",
];

/// Pairs that break the order on purpose, with the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("cli", "lab", "`sallyport demo` starts the lab elements"),
    ("cli", "telemetry", "`sallyport serve` sets logging and metrics up"),
];

/// What the narrower rule for protocols lets them name.
const PROTOCOL_MAY: &[&str] = &["domain", "access", "recording", "protocol"];

/// The transport that protocols share, and which of them may name it.
const SHARED: (&str, &[&str]) = ("web", &["restconf", "gnmi"]);

/// Crates that stay where they are adapted: crate, and the places (files or folders under `src/`) that may name it.
const CONFINED: &[(&str, &[&str])] = &[
    ("casbin", &["policy/casbin.rs"]),
    ("russh", &["element/ssh", "element/ssh.rs", "protocol/ssh", "lab"]),
    ("hyper", &["console", "telemetry", "protocol/web", "protocol/restconf", "protocol/gnmi"]),
    ("rcgen", &["identity/", "cli/", "lab"]),
];

/// Files that know bytes and nothing else.
const PURE_NAMES: &[&str] = &["codec.rs", "actions.rs", "format.rs", "chain.rs", "layout.rs"];

/// What pure files do not name.
const IMPURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::thread",
    "now()",
    "now_utc()",
    "SystemTime",
    "Instant::",
];

struct Source {
    /// Path under `src/`, with forward slashes.
    path: String,
    /// The top module it belongs to; empty for `lib.rs` and `main.rs`.
    module: String,
    /// Line number and text, without comments, string contents and test modules.
    code: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let all: Vec<_> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(&root).expect("found below it").to_string_lossy().replace('\\', "/");
            let module = match path.split_once('/') {
                Some((first, _)) => first.to_owned(),
                None => match path.trim_end_matches(".rs") {
                    "lib" | "main" => String::new(),
                    name => name.to_owned(),
                },
            };
            Source { code: code_lines(&fs::read_to_string(file).expect("a source file")), path, module }
        })
        .collect();
    assert!(all.len() > 20, "the sources were not found");
    all
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path()) {
        if entry.is_dir() {
            collect(&entry, into);
        } else if entry.extension().is_some_and(|e| e == "rs") && entry.file_name().is_some_and(|n| n != "tests.rs") {
            into.push(entry);
        }
    }
}

/// Drops comments, the contents of one-line strings, and everything from the file's own `#[cfg(test)]` on: tests stand at the end.
fn code_lines(text: &str) -> Vec<(usize, String)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .map(|(index, line)| (index + 1, without_strings_and_comments(line)))
        .collect()
}

fn without_strings_and_comments(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => drop(chars.next()),
            '"' => in_string = !in_string,
            '/' if !in_string && chars.peek() == Some(&'/') => break,
            _ if !in_string => out.push(c),
            _ => {}
        }
    }
    out
}

/// The top modules that a line names as `crate::NAME`, `use crate::{A, B::…}` on one line included.
fn named_modules(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in line.split("crate::").skip(1) {
        if let Some(group) = part.strip_prefix('{') {
            let mut depth = 0_usize;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut word)),
                    _ if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            found.push(word);
        } else {
            found.push(part.to_owned());
        }
    }
    found.iter().map(|path| path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
}

/// Whether `line` names the crate or path `name` as a word of its own.
fn names(line: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        let starts = !before.is_some_and(word) && (!line[..at].ends_with("::") || name.contains('('));
        let ends = !name.ends_with(word) || !after.is_some_and(word);
        starts && ends
    })
}

fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn layers_modules_import_only_from_those_above() {
    let place = |name: &str| ORDER.iter().position(|m| *m == name);
    let mut broken = Vec::new();
    for source in sources().iter().filter(|s| !s.module.is_empty()) {
        let own = place(&source.module)
            .unwrap_or_else(|| panic!("src/{}: module `{}` is not in ORDER", source.path, source.module));
        for (number, line) in &source.code {
            for name in named_modules(line) {
                let Some(other) = place(&name) else { continue };
                let excepted = EXCEPTIONS.iter().any(|(from, to, _)| *from == source.module && *to == name);
                if other > own && !excepted {
                    broken.push(format!(
                        "src/{}:{number} `{}` imports `{name}`, which stands below it",
                        source.path, source.module
                    ));
                }
                if source.module == "protocol" && !PROTOCOL_MAY.contains(&name.as_str()) {
                    broken.push(format!(
                        "src/{}:{number} a protocol imports `{name}`; it may import {PROTOCOL_MAY:?}",
                        source.path
                    ));
                }
            }
        }
    }
    report("a module imports only from those above it in lib.rs", &broken);
}

#[test]
fn layers_protocols_never_import_each_other() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|s| s.module == "protocol" && s.path.matches('/').count() > 1) {
        let own = source.path.split('/').nth(1).expect("counted").to_owned();
        for (number, line) in &source.code {
            for part in line.split("protocol::").skip(1) {
                let other: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !other.is_empty()
                    && other != own
                    && !(other == SHARED.0 && SHARED.1.contains(&own.as_str()))
                    && other.chars().all(|c| c.is_lowercase() || c.is_numeric() || c == '_')
                {
                    broken.push(format!("src/{}:{number} `{own}` imports `{other}`", source.path));
                }
            }
        }
    }
    report("protocols never import each other", &broken);
}

#[test]
fn layers_foreign_types_stay_where_they_are_adapted() {
    let mut broken = Vec::new();
    for source in &sources() {
        for (name, places) in CONFINED {
            if places.iter().any(|place| source.path.starts_with(place)) {
                continue;
            }
            for (number, line) in &source.code {
                if names(line, &format!("{name}::")) {
                    broken.push(format!("src/{}:{number} names `{name}`, which stays in {places:?}", source.path));
                }
            }
        }
    }
    report("foreign types stay inside the file or folder that adapts them", &broken);
}

#[test]
fn layers_pure_files_do_no_io_and_read_no_clock() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for source in &sources() {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        if !(PURE_NAMES.contains(&name) || source.module == "domain") {
            continue;
        }
        seen += 1;
        for (number, line) in &source.code {
            for word in IMPURE.iter().filter(|word| names(line, word)) {
                broken.push(format!("src/{}:{number} names `{word}`", source.path));
            }
        }
    }
    assert!(seen > 5, "no pure files found");
    report("pure files take bytes and time as arguments: no tokio, files, sockets, clock", &broken);
}

#[test]
fn layers_no_file_is_a_novel() {
    let long: Vec<_> = sources()
        .iter()
        .filter(|s| s.code.len() > 500 || s.code.iter().filter(|(_, line)| !line.trim().is_empty()).count() > 500)
        .map(|s| format!("src/{} has {} lines without its tests", s.path, s.code.len()))
        .collect();
    report("a file has at most 500 lines", &long);
}

#[test]
fn layers_no_private_key_is_committed() {
    // The heading alone may be named by code that reads keys; a heading with a body is a key.
    let heading = format!("{} KEY-----", "PRIVATE");
    let body = |rest: &str| {
        rest.trim_start_matches(['\\', 'n', '\r', '\n', ' '])
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b))
            .count()
    };
    let holds_key = |text: &str| text.split(&heading).skip(1).any(|rest| body(rest) > 30);
    let mut broken = Vec::new();
    for folder in ["src", "tests", "policies", "docs", "packaging", "benches", "fuzz"] {
        let mut pending = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
        while let Some(path) = pending.pop() {
            if path.is_dir() {
                pending.extend(fs::read_dir(&path).expect("a folder").map(|e| e.expect("an entry").path()));
            } else if let Ok(text) = fs::read_to_string(&path)
                && holds_key(&text)
            {
                broken.push(path.display().to_string());
            }
        }
    }
    report("no private key in the repository", &broken);
}

#[test]
fn layers_the_scanner_sees_what_it_must() {
    assert_eq!(
        named_modules("use crate::{domain::Action, policy, access::{Visit, Session}};"),
        ["domain", "policy", "access"]
    );
    assert_eq!(named_modules("    crate::audit::Log::open(crate::domain::X)"), ["audit", "domain"]);
    assert_eq!(without_strings_and_comments(r#"let x = "crate::policy // \" no"; // crate::cli"#), "let x = ; ");
    assert!(names("use casbin::Enforcer;", "casbin::") && names("let e: casbin::Enforcer", "casbin::"));
    assert!(
        !names("use crate::policy::casbin::Judge;", "casbin::")
            && !names("my_casbin::thing", "casbin::")
            && !names("mod casbin;", "casbin::")
    );
    assert!(names("let t = Timestamp::now();", "now()") && !names("fn x(now: Timestamp)", "now()"));
}
