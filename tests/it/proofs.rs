//! The four proofs cannot be made, copied or gone round: programs that try do not compile, and for the reason that is meant.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::client::{MINUTE, Ran, run};
use crate::harness::scratch;

/// What each program begins with.
const USES: &str = "#![allow(unused)]
use std::sync::Arc;
use sallyport::{access::{Access, Grant, Session, Visit}, audit::Receipt, domain::*, element, identity::Verified};
use sallyport::policy::{Ask, Denied, Permit, PolicySet, permit};
fn clone<T: Clone>(_: &T) -> T { panic!() }
fn from_nothing<T: Default>() -> T { panic!() }
fn from_bytes<T: serde::de::DeserializeOwned>() -> T { panic!() }
";

/// What the proofs are for, all of it allowed.
const ALLOWED: &[&str] = &[
    "fn f(p: &Permit) -> (&Request, &Decision) { (p.request(), p.decision()) }",
    "fn f(v: &Verified, set: &PolicySet, ask: &Ask<'_>) -> Result<Permit, Box<Denied>> { permit(set, v, ask) }",
    "fn f(r: &Receipt) -> u64 { r.seq() }",
    "fn f(g: &Grant) -> &Arc<Session> { g.session() }",
    "async fn f(v: &Arc<Visit>, a: &Action) -> Option<Grant> { v.ask(0, a).await.ok() }",
    "fn f(i: &Identity) -> Timestamp { clone(i); from_nothing::<u8>(); from_bytes() }",
];

/// What nobody may do: the error that says so, and the program.
const REFUSED: &[(&str, &str)] = &[
    // Making one from its parts, or from another one.
    ("E0451", "fn f(v: Verified) -> Verified { Verified { ..v } }"),
    ("E0451", "fn f(v: Verified, i: Identity) -> Verified { Verified { identity: i, ..v } }"),
    ("E0451", "fn f(p: &Permit) -> Permit { Permit { request: p.request().clone(), decision: p.decision().clone() } }"),
    ("E0451", "fn f(p: Permit, d: Decision) -> Permit { Permit { decision: d, ..p } }"),
    ("E0451", "fn f() -> Receipt { Receipt { seq: 1 } }"),
    ("E0451", "fn f(s: Session) -> Session { Session { ..s } }"),
    ("E0451", "fn f(g: Grant, p: Permit) -> Grant { Grant { permit: p, ..panic!() } }"),
    // Changing one.
    ("E0616", "fn f(v: &mut Verified, i: Identity) { v.identity = i; }"),
    ("E0616", "fn f(p: &mut Permit, r: Request) { p.request = r; }"),
    ("E0616", "fn f(r: &mut Receipt) { r.seq = 7; }"),
    ("E0616", "fn f(g: &Grant) -> &Permit { &g.permit }"),
    // Having two of one.
    ("E0277", "fn f(v: &Verified) { clone(v); }"),
    ("E0277", "fn f(p: &Permit) { clone(p); }"),
    ("E0277", "fn f(r: &Receipt) { clone(r); }"),
    ("E0277", "fn f(s: &Session) { clone(s); }"),
    ("E0277", "fn f(g: &Grant) { clone(g); }"),
    ("E0382", "fn f(p: Permit) { drop(p); drop(p); }"),
    // Having one from nothing.
    ("E0277", "fn f() -> Verified { from_nothing() }"),
    ("E0277", "fn f() -> Permit { from_nothing() }"),
    ("E0277", "fn f() -> Receipt { from_nothing() }"),
    ("E0277", "fn f() -> Session { from_nothing() }"),
    ("E0277", "fn f() -> Verified { from_bytes() }"),
    ("E0277", "fn f() -> Permit { from_bytes() }"),
    ("E0277", "fn f() -> Receipt { from_bytes() }"),
    // The step before is not enough for the step after.
    ("E0308", "fn f(i: &Identity, set: &PolicySet, ask: &Ask<'_>) { permit(set, i, ask); }"),
    (
        "E0308",
        "fn f(d: &Decision, c: &element::Config, e: &element::Element, t: Timestamp) { element::dial_tls(c, e, d, panic!(), None, t, &[]); }",
    ),
    ("E0308", "fn f(v: &Arc<Verified>, a: &Arc<Access>, t: Timestamp, l: SessionId) { a.terminate(v, l, panic!()); }"),
    // What makes one is not for everybody.
    ("E0624", "async fn f(v: &Visit, p: Permit, t: Timestamp) { Session::open(v, p, t).await; }"),
    ("E0624", "async fn f(s: &Arc<Session>, a: &Action) { s.ask(0, a).await; }"),
    ("E0624", "fn f(s: &Arc<Session>) { s.grant_opening(0); }"),
    ("E0603", "fn f() { sallyport::identity::unlocked; }"),
    ("E0603", "use sallyport::access::session::Grant as G;"),
    ("E0433", "fn f() { sallyport::identity::fixture::someone; }"),
];

/// Compiles programs against the library that this test was built with.
struct Compiler {
    rustc: PathBuf,
    deps: PathBuf,
    libraries: Vec<(&'static str, PathBuf)>,
    dir: tempfile::TempDir,
}

impl Compiler {
    fn new() -> Self {
        let test = std::env::current_exe().expect("this test is a program");
        let deps = test.parent().expect("in a folder").to_owned();
        // Beside the cargo that built this, if there is one; a `cargo` elsewhere on the path goes with the `rustc` there.
        let beside = Path::new(env!("CARGO")).with_file_name("rustc");
        let rustc = if beside.is_file() { beside } else { PathBuf::from("rustc") };
        let mut compiler = Self { rustc, deps, libraries: Vec::new(), dir: scratch() };
        // Builds with other features and profiles may have left libraries too, newer ones among them: take those with which the allowed compiles.
        let allowed = ALLOWED.iter().enumerate().map(|(n, program)| program.replace("fn f", &format!("fn f{n}")));
        let allowed = allowed.collect::<Vec<_>>().join("\n");
        let mut said = String::new();
        for sallyport in compiler.built("sallyport") {
            for serde in compiler.built("serde") {
                compiler.libraries = vec![("sallyport", sallyport.clone()), ("serde", serde)];
                let ran = compiler.compile(&allowed);
                if ran.code() == 0 {
                    return compiler;
                }
                said = ran.errors();
            }
        }
        panic!("what is allowed compiles with no library in {}: {said}", compiler.deps.display());
    }

    /// The libraries of that name, the newest first.
    fn built(&self, name: &str) -> Vec<PathBuf> {
        let begins = format!("lib{name}-");
        let mut found: Vec<_> = fs::read_dir(&self.deps)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|e| e == "rlib"))
            .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&begins)))
            .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
            .collect();
        found.sort();
        found.into_iter().rev().map(|(_, path)| path).collect()
    }

    fn compile(&self, program: &str) -> Ran {
        let source = self.dir.path().join("program.rs");
        fs::write(&source, format!("{USES}{program}\n")).expect("a file");
        let mut rustc = Command::new(&self.rustc);
        rustc.args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata", "-L"]);
        rustc.arg(format!("dependency={}", self.deps.display()));
        for (name, library) in &self.libraries {
            rustc.arg("--extern").arg(format!("{name}={}", library.display()));
        }
        run(rustc.arg("--out-dir").arg(self.dir.path()).arg(&source), Vec::new(), 2 * MINUTE)
    }
}

/// The codes of the errors that a compiler told.
fn codes(errors: &str) -> Vec<&str> {
    errors.lines().filter_map(|line| line.strip_prefix("error[")?.split(']').next()).collect()
}

#[test]
fn nobody_makes_copies_or_skips_a_proof() {
    let compiler = Compiler::new();
    let mut wrong = Vec::new();
    for (code, program) in REFUSED {
        let ran = compiler.compile(program);
        let told = ran.errors();
        if ran.code() == 0 || codes(&told) != [*code] {
            wrong.push(format!(
                "{program}\n  must fail with {code} and nothing else, and ended with {}: {told}",
                ran.code()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_inside_reaches_into_a_proof_either() {
    for (file, name) in [
        ("identity/mod.rs", "Verified"),
        ("policy/mod.rs", "Permit"),
        ("audit/mod.rs", "Receipt"),
        ("access/session.rs", "Session"),
    ] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).expect("a source");
        let (before, body) =
            text.split_once(&format!("\npub struct {name} {{")).unwrap_or_else(|| panic!("{file}: {name}"));
        let (body, _) = body.split_once("\n}").expect("its end");
        assert!(!body.contains("pub"), "{file}: a field of `{name}` is for more than its own module: {body}");
        let attributes: Vec<_> = before.lines().rev().take_while(|line| !line.is_empty()).collect();
        let derived = attributes.iter().filter(|line| line.starts_with("#[derive")).copied().collect::<String>();
        assert_eq!(derived, "#[derive(Debug)]", "{file}: `{name}` must not come from anywhere else");
        for made in ["Clone", "Copy", "Default", "Deserialize", "From<"] {
            assert!(!text.contains(&format!("{made} for {name} ")), "{file}: {made} for {name}");
        }
    }
}
