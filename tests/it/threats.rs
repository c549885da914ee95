//! `docs/threats.md` names a test for each threat: every one of them exists.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_threat_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("docs/threats.md")).expect("the table");
    let named: Vec<(&str, &str)> = table.split('`').filter_map(|part| part.split_once(".rs::")).collect();
    assert!(named.len() > 60, "the table was not understood: {} tests", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|(file, name)| {
            let text = fs::read_to_string(root.join(format!("{file}.rs"))).unwrap_or_default();
            !text.contains(&format!("fn {name}("))
        })
        .map(|(file, name)| format!("{file}.rs::{name}"))
        .collect();
    assert!(missing.is_empty(), "docs/threats.md names tests that do not exist:\n  {}", missing.join("\n  "));
}

#[test]
fn every_line_of_the_threat_table_has_a_test_or_says_not_yet() {
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threats.md")).expect("the table");
    for line in table.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| what broke")) {
        assert!(line.contains(".rs::") || line.contains("**not yet**"), "neither a test nor `not yet`: {line}");
    }
}
