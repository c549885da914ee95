//! The facts of a build, for `sallyport --version` and the log's first line: nothing here depends on when or where it runs, so that the same
//! sources give the same program.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program is made of. A change anywhere else does not make the tree another one than the commit says.
const SOURCES: &[&str] = &["Cargo.lock", "Cargo.toml", "build.rs", "policies", "src"];

/// Libraries whose version is a fact of the build.
const LIBRARIES: &[&str] = &["aws-lc-rs", "casbin", "russh", "rustls"];

const UNKNOWN: &str = "unknown";

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    for source in SOURCES.iter().filter(|source| root.join(source).exists()) {
        println!("cargo::rerun-if-changed={source}");
    }
    fact("COMMIT", &commit(&root));
    fact("RUSTC", &rustc());
    fact("TARGET", &variable("TARGET"));
    fact("PROFILE", &variable("PROFILE"));
    fact("FEATURES", &features());
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    for library in LIBRARIES {
        fact(&library.to_uppercase().replace('-', "_"), locked(&lock, library).unwrap_or(UNKNOWN));
    }
}

fn fact(name: &str, value: &str) {
    println!("cargo::rustc-env=SALLYPORT_{name}={value}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| UNKNOWN.to_owned())
}

/// The commit, marked when the sources are not those of it; "unknown" when these are not the sources of a git checkout, as in a tarball.
fn commit(root: &Path) -> String {
    // A tarball that was unpacked somewhere inside another checkout has nothing to do with that one's commit.
    let top = git(root, &["rev-parse", "--show-toplevel"]);
    if top.is_none_or(|top| fs::canonicalize(top).ok() != fs::canonicalize(root).ok()) {
        return UNKNOWN.to_owned();
    }
    watch(root);
    let Some(commit) = git(root, &["rev-parse", "--verify", "HEAD"]) else { return UNKNOWN.to_owned() };
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--"];
    status.extend(SOURCES);
    match git(root, &status) {
        Some(changed) if changed.is_empty() => commit,
        _ => format!("{commit}-dirty"),
    }
}

/// Has this program run again when the commit changes, and not otherwise: cargo takes a file that is not there as one that changed.
fn watch(root: &Path) {
    let reference = git(root, &["symbolic-ref", "--quiet", "HEAD"]);
    // The log of HEAD tells of a commit on a reference that has no file of its own, because it was packed.
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(reference.as_deref()) {
        let Some(path) = git(root, &["rev-parse", "--git-path", name]) else { continue };
        let path = root.join(path);
        if path.is_file() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
}

/// What git says, if it has something to say.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let out = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    out.status.success().then(|| text.trim().to_owned())
}

/// The compiler in its own words.
fn rustc() -> String {
    let out = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output();
    let text = out.ok().and_then(|out| String::from_utf8(out.stdout).ok()).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() { UNKNOWN.to_owned() } else { text.to_owned() }
}

/// The features that are switched on, as cargo tells them.
fn features() -> String {
    let mut all: Vec<String> = env::vars()
        .filter_map(|(name, _)| Some(name.strip_prefix("CARGO_FEATURE_")?.to_lowercase().replace('_', "-")))
        .filter(|name| name != "default")
        .collect();
    all.sort();
    if all.is_empty() { "none".to_owned() } else { all.join(",") }
}

/// The version of `library` in Cargo.lock.
fn locked<'a>(lock: &'a str, library: &str) -> Option<&'a str> {
    let (_, after) = lock.split_once(&format!("\nname = \"{library}\"\nversion = \""))?;
    after.split_once('"').map(|(version, _)| version)
}
