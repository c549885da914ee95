//! The house rules that a compiler does not check: who imports whom, and what stays pure.

mod scan;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

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
const SHARED: (&str, &[&str]) = ("web", &["restconf", "gnmi", "http_api"]);

/// Crates that stay where they are adapted: crate, and the places (files or folders under `src/`) that may name it.
const CONFINED: &[(&str, &[&str])] = &[
    ("casbin", &["policy/casbin.rs"]),
    ("russh", &["element/ssh", "element/ssh.rs", "protocol/ssh", "lab"]),
    (
        "hyper",
        &["console", "lab", "telemetry", "protocol/web", "protocol/restconf", "protocol/gnmi", "protocol/http_api"],
    ),
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
    /// Line number and text, without comments, literals and test items.
    code: Vec<(usize, String)>,
}

impl Source {
    /// Line number and segments of the paths it names from the root of the crate.
    fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let parts = self.path.trim_end_matches(".rs").trim_end_matches("/mod").split('/');
        let here: Vec<_> = parts.filter(|part| !["lib", "main"].contains(part)).collect();
        scan::paths(&self.code, &here)
    }
}

fn sources() -> &'static [Source] {
    static ALL: OnceLock<Vec<Source>> = OnceLock::new();
    ALL.get_or_init(read_sources)
}

fn read_sources() -> Vec<Source> {
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
            Source { code: scan::code_lines(&fs::read_to_string(file).expect("a source file")), path, module }
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

fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn layers_modules_import_only_from_those_above() {
    let place = |name: &str| ORDER.iter().position(|m| *m == name);
    let mut broken = Vec::new();
    // A folder of tests may name what a file of tests may.
    let in_program = |source: &&Source| !source.module.is_empty() && !source.path.contains("/tests/");
    for source in sources().iter().filter(in_program) {
        let own = place(&source.module)
            .unwrap_or_else(|| panic!("src/{}: module `{}` is not in ORDER", source.path, source.module));
        for (number, path) in source.paths() {
            let Some((name, other)) = path.first().and_then(|name| Some((name, place(name)?))) else { continue };
            let excepted = EXCEPTIONS.iter().any(|(from, to, _)| *from == source.module && to == name);
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
    report("a module imports only from those above it in lib.rs", &broken);
}

#[test]
fn layers_protocols_never_import_each_other() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|s| s.module == "protocol" && s.path.matches('/').count() > 1) {
        let own = source.path.split('/').nth(1).expect("counted").to_owned();
        for (number, path) in source.paths() {
            let [first, other, ..] = path.as_slice() else { continue };
            let is_module = other.chars().all(|c| c.is_lowercase() || c.is_numeric() || c == '_');
            let shared = *other == SHARED.0 && SHARED.1.contains(&own.as_str());
            if first == "protocol" && is_module && *other != own && !shared {
                broken.push(format!("src/{}:{number} `{own}` imports `{other}`", source.path));
            }
        }
    }
    report("protocols never import each other", &broken);
}

#[test]
fn layers_foreign_types_stay_where_they_are_adapted() {
    let mut broken = Vec::new();
    for source in sources() {
        for (name, places) in CONFINED {
            if places.iter().any(|place| source.path.starts_with(place)) {
                continue;
            }
            for (number, line) in &source.code {
                if scan::names(line, &format!("{name}::")) {
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
    for source in sources() {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        if !(PURE_NAMES.contains(&name) || source.module == "domain") {
            continue;
        }
        seen += 1;
        for (number, line) in &source.code {
            for word in IMPURE.iter().filter(|word| scan::names(line, word)) {
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
