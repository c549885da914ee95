//! What `make test-setup` installs is what the tests drive, exactly pinned: a fresh machine runs everything or says what it lacks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Programs of packages without which there is no Debian.
const ALWAYS_THERE: &[&str] = &["cp", "bash", "chmod", "chown", "dd", "id", "mkfifo", "sh", "umount"];

/// Comes with a program of the list, by its package.
const COMES_WITH: &[(&str, &str)] =
    &[("staticd", "vtysh"), ("bgpd", "vtysh"), ("zebra", "vtysh"), ("netconf-subsystem", "netconfd")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The programs of `wanted` in the script.
fn installed() -> BTreeSet<String> {
    let script = fs::read_to_string(root().join("scripts/test-setup.sh")).expect("the script");
    let (_, wanted) = script.split_once("\nwanted=\"").expect("its list");
    let (wanted, _) = wanted.split_once('"').expect("the list's end");
    wanted.split_whitespace().map(|pair| pair.split_once(':').expect("program:package").0.to_owned()).collect()
}

fn requirements() -> Vec<PathBuf> {
    let all = fs::read_dir(root().join("tests")).expect("a folder").map(|e| e.expect("an entry").path());
    let all: Vec<_> =
        all.filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("requirements-"))).collect();
    assert!(!all.is_empty());
    all
}

/// The quoted words that follow `call` directly, up to its closing parenthesis; a method of that name is another thing.
fn named_in<'a>(text: &'a str, call: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(call).filter(|(at, _)| !text[..*at].ends_with('.')) {
        let after = text[at + call.len()..].trim_start();
        if let Some((arguments, _)) = after.split_once(')').filter(|_| after.starts_with('"')) {
            found.extend(arguments.split('"').skip(1).step_by(2));
        }
    }
    found
}

#[test]
fn what_tests_drive_is_what_setup_installs() {
    let mut wanted = installed();
    wanted.extend(ALWAYS_THERE.iter().map(|p| (*p).to_owned()));
    wanted.extend(
        COMES_WITH.iter().filter(|(_, with)| wanted.contains(*with)).map(|(p, _)| (*p).to_owned()).collect::<Vec<_>>(),
    );
    let environments: BTreeSet<String> = requirements()
        .iter()
        .map(|file| file.file_stem().expect("named").to_string_lossy().replace("requirements-", "python:"))
        .collect();
    let mut seen = 0;
    let mut lacking = Vec::new();
    let mut pending = vec![root().join("tests/it")];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).expect("a folder").map(|e| e.expect("an entry").path()));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("setup.rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            for call in ["need!(", "Command::new(", "find("] {
                for program in named_in(&text, call) {
                    seen += 1;
                    // What has a slash is a name of something else.
                    if program != "root"
                        && !program.starts_with('/')
                        && !wanted.contains(program)
                        && !environments.contains(program)
                    {
                        lacking.push(format!("{}: `{program}`", path.display()));
                    }
                }
            }
        }
    }
    assert!(seen > 100, "the tests were not read: {seen}");
    assert!(lacking.is_empty(), "scripts/test-setup.sh does not install:\n  {}", lacking.join("\n  "));
}

#[test]
fn python_requirements_are_pinned_exactly() {
    let exact = |line: &str| {
        line.split_once("==").is_some_and(|(name, version)| {
            let plain = |text: &str, more: &str| {
                !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
            };
            plain(name, "-_.") && plain(version, ".")
        })
    };
    for loose in ["a", "a>=1", "a==1.*", "a==1 # x", "a~=1.0", "a[b]==1", "-r other.txt", "==1"] {
        assert!(!exact(loose), "{loose}");
    }
    for file in requirements() {
        let text = fs::read_to_string(&file).expect("a file");
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            assert!(exact(line), "{}: `{line}` is not NAME==VERSION", file.display());
        }
    }
}

#[test]
fn the_reader_of_tests_sees_what_it_must() {
    assert_eq!(named_in("need!(\"root\", \"sshd\");\nneed!(\n    \"ip\"\n);", "need!("), ["root", "sshd", "ip"]);
    assert_eq!(named_in("Command::new(\"id\").arg(\"-u\")", "Command::new("), ["id"]);
    assert!(named_in("text.find(\"a\")", "find(").is_empty() && named_in("(find(\"a\"))", "find(") == ["a"]);
    assert!(named_in("Command::new(SALLYPORT).arg(\"x\"); find(|s| s == \"a\")", "Command::new(").is_empty());
}
