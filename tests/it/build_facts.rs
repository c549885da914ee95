//! What the program says of its own build, and that the script which finds it out is right in a checkout, a worktree and a tarball.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::client::{MINUTE, Ran, run};
use crate::harness::gateway::{SALLYPORT, Site};
use crate::harness::{must, need, scratch};

fn sallyport(args: &[&str]) -> Ran {
    run(Command::new(SALLYPORT).args(args), Vec::new(), MINUTE)
}

/// The version of a library in our own Cargo.lock.
fn locked(library: &str) -> String {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).expect("the lock file");
    let lock: toml::Table = lock.parse().expect("TOML");
    let all: Vec<_> = lock["package"]
        .as_array()
        .expect("packages")
        .iter()
        .filter(|package| package["name"].as_str() == Some(library))
        .map(|package| package["version"].as_str().expect("a version").to_owned())
        .collect();
    assert_eq!(all.len(), 1, "{library}: {all:?}");
    all.concat()
}

#[test]
fn the_version_tells_how_it_was_built() {
    let text = sallyport(&["--version"]).ok().text();
    let json = sallyport(&["--version", "--json"]).ok();
    assert_eq!(json.out, sallyport(&["--json", "-V"]).ok().out, "in either order, and the same each time");
    let facts: serde_json::Value = serde_json::from_slice(&json.out).expect("JSON");
    let fact = |name: &str| facts[name].as_str().unwrap_or_else(|| panic!("{name}: {facts}")).to_owned();
    assert_eq!(fact("version"), env!("CARGO_PKG_VERSION"));
    let commit = fact("commit");
    let hash = commit.trim_end_matches("-dirty");
    assert!(commit == "unknown" || (hash.len() >= 40 && hash.bytes().all(|b| b.is_ascii_hexdigit())), "{commit}");
    assert!(fact("rustc").starts_with("rustc 1."), "{facts}");
    assert!(fact("target").contains(std::env::consts::ARCH), "{facts}");
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    assert_eq!(fact("profile"), profile);
    assert_eq!(fact("tls_provider"), "aws-lc-rs");
    assert!(facts["features"].is_array(), "{facts}");
    for library in ["aws-lc-rs", "casbin", "russh", "rustls"] {
        assert_eq!(facts["libraries"][library], *locked(library), "{library}");
    }
    for part in [
        format!("sallyport {} ({commit})", env!("CARGO_PKG_VERSION")),
        fact("rustc"),
        fact("target"),
        format!("rustls {} with aws-lc-rs {}", locked("rustls"), locked("aws-lc-rs")),
    ] {
        assert!(text.contains(&part), "{part} is not in: {text}");
    }
    assert_eq!(sallyport(&["-V"]).ok().text().trim(), text.lines().next().expect("a line"));
    assert_eq!(
        sallyport(&["--version", "--json", "--more"]).code(),
        0,
        "what is not asked for in this form goes to the parser"
    );
    assert_eq!(sallyport(&["--json"]).code(), 2);
}

#[test]
fn a_gateway_tells_its_build_first() {
    let mut site = Site::new();
    site.let_read("ada");
    let gateway = site.start();
    let facts: serde_json::Value = serde_json::from_slice(&sallyport(&["--version", "--json"]).ok().out).expect("JSON");
    let log = gateway.process.err();
    let first: serde_json::Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["message"], "Sallyport starts.");
    for name in ["version", "commit", "rustc", "profile", "tls_provider"] {
        assert_eq!(first[name], facts[name], "{name}: {first}");
    }
    assert_eq!((&first["build_target"], &first["aws_lc_rs"]), (&facts["target"], &facts["libraries"]["aws-lc-rs"]));
    let started =
        site.events().into_iter().find(|e| e["event"]["event"] == "gateway-started").expect("it is in the log");
    let version = format!("{} ({})", env!("CARGO_PKG_VERSION"), facts["commit"].as_str().expect("text"));
    assert_eq!(started["event"]["version"], *version);
}

/// A package with our build script and nothing else, in a folder of its own.
struct Package {
    root: PathBuf,
    target: PathBuf,
}

impl Package {
    fn write(root: &Path, target: &Path) -> Self {
        fs::create_dir_all(root.join("src")).expect("a folder");
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs"), root.join("build.rs")).expect("the script");
        let manifest = "[package]\nname = \"facts\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[features]\ndefault = [\"one-more\"]\none-more = []\n[workspace]\n";
        fs::write(root.join("Cargo.toml"), manifest).expect("a file");
        fs::write(root.join("Cargo.lock"), "version = 4\n\n[[package]]\nname = \"facts\"\nversion = \"1.0.0\"\n")
            .expect("a file");
        let main = r#"fn main() { println!("{} {} {}", env!("SALLYPORT_COMMIT"), env!("SALLYPORT_FEATURES"), env!("SALLYPORT_RUSSH")); }"#;
        fs::write(root.join("src/main.rs"), main).expect("a file");
        fs::write(root.join("notes.md"), "nothing that is built\n").expect("a file");
        Self { root: root.to_owned(), target: target.to_owned() }
    }

    fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            git.env_remove(variable);
        }
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        git.arg("-C").arg(&self.root).args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
        must(git.args(args)).trim().to_owned()
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Builds it: whether anything had to be done, and what the program says.
    fn build(&self) -> (bool, String) {
        let mut cargo = Command::new(env!("CARGO"));
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            cargo.env_remove(variable);
        }
        cargo.env("CARGO_TARGET_DIR", &self.target).current_dir(&self.root).args(["build", "--offline", "--verbose"]);
        let ran = run(&mut cargo, Vec::new(), 3 * MINUTE).ok();
        let fresh = ran.errors().lines().any(|line| line.trim_start().starts_with("Fresh facts"));
        (!fresh, must(&mut Command::new(self.target.join("debug/facts"))).trim().to_owned())
    }

    /// Fails unless a build says `commit`, and the next one has nothing to do.
    #[track_caller]
    fn says(&self, what: &str, commit: &str) {
        let (_, said) = self.build();
        assert_eq!(said, format!("{commit} one-more unknown"), "{what}");
        assert_eq!(self.build(), (false, said), "{what}: built again for nothing");
    }
}

#[test]
fn the_commit_is_that_of_the_sources_and_found_once() {
    need!("git");
    let dir = scratch();
    let package = Package::write(&dir.path().join("p"), &dir.path().join("target"));
    package.says("a tarball", "unknown");
    package.git(&["init", "-q", "-b", "trunk"]);
    fs::write(package.root.join(".gitignore"), "/target\n").expect("a file");
    let first = package.commit("first");
    // A checkout is made before it is built.
    fs::write(package.root.join("build.rs"), fs::read(package.root.join("build.rs")).expect("a file")).expect("a file");
    package.says("a checkout", &first);
    let source = package.root.join("src/main.rs");
    let good = fs::read(&source).expect("a file");
    fs::write(&source, [good.as_slice(), b"// edited\n"].concat()).expect("a file");
    package.says("an edit", &format!("{first}-dirty"));
    let second = package.commit("second");
    package.says("the edit committed", &second);
    fs::write(package.root.join("notes.md"), "more\n").expect("a file");
    assert_eq!(package.build().0, false, "an edit of what is not built builds nothing");
    fs::write(package.root.join("src/untracked.rs"), "").expect("a file");
    package.says("a file that is not in the commit", &format!("{second}-dirty"));
    fs::remove_file(package.root.join("src/untracked.rs")).expect("a file");
    // Packed references have no files of their own; the next commit makes one.
    package.git(&["pack-refs", "--all"]);
    package.says("packed references", &second);
    let third = package.commit("third");
    package.says("a commit on them", &third);
    package.git(&["checkout", "-q", "--detach", &second]);
    package.says("a detached head", &second);

    // A worktree has a file where a checkout has its folder; a tarball inside a checkout is not that checkout's.
    let tree = dir.path().join("worktree");
    package.git(&["worktree", "add", "-q", "-b", "other", tree.to_str().expect("text"), "trunk"]);
    let worktree = Package { root: tree.clone(), target: dir.path().join("target-worktree") };
    worktree.says("a worktree", &third);
    let fourth = worktree.commit("fourth");
    worktree.says("a commit in a worktree", &fourth);
    Package::write(&tree.join("vendor/p"), &dir.path().join("target-vendor"))
        .says("a tarball in a checkout", "unknown");
}
