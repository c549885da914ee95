//! What a decision costs: steady state, the first of its class, and loading a set, at 100 to 100,000 rules.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench may stop at the first surprise"
)]

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sallyport::domain::{Action, Assurance, Door, Effect, Identity, Request, Timestamp, Verb};
use sallyport::policy::{ElementTags, PolicySet};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const USERS: usize = 1_000;
const ELEMENTS: usize = 1_000;
const GROUPS: usize = 50;
const ROWS_OF_A_ROLE: usize = 10;

/// A carrier's policy: a thousand people in three levels of roles, each role with ten rows over fifty groups of elements, four kinds of action,
/// one row in fifty a deny, some obligations.
struct World {
    dir: tempfile::TempDir,
    elements: Vec<ElementTags>,
    requests: Vec<Request>,
}

fn world(rules: usize) -> World {
    let roles = (rules / ROWS_OF_A_ROLE).max(4);
    let mut rows = String::new();
    for user in 0..USERS {
        rows.push_str(&format!("g, user:u{user}, role:r{}\n", user * 7 % roles));
        rows.push_str(&format!("g, user:u{user}, role:r{}\n", (user * 13 + 1) % roles));
    }
    // Every fourth role is under the one before it, and that one under the one before: three levels.
    for role in (0..roles).filter(|role| role % 4 > 1) {
        rows.push_str(&format!("g, role:r{role}, role:r{}\n", role - 1));
    }
    for rule in 0..rules {
        let (role, step) = (rule / ROWS_OF_A_ROLE % roles, rule % ROWS_OF_A_ROLE);
        let group = (role + step * 3) % GROUPS;
        let (verb, object) = kind(step, rule);
        let effect = if rule % 50 == 49 { "deny" } else { "allow" };
        rows.push_str(&format!("p, role:r{role}, group:class/g{group}, *, {verb}, {object}, {effect}\n"));
    }
    for group in 0..GROUPS / 5 {
        rows.push_str(&format!(
            "p2, *, group:class/g{group}, *, *, *, max:8h\np2, *, group:class/g{group}, *, *, *, assurance:2\n"
        ));
    }
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("policy.csv"), rows).expect("a file");
    fs::write(dir.path().join("model.conf"), include_str!("../policies/model.conf")).expect("a file");
    let elements = (0..ELEMENTS).map(|element| ElementTags {
        name: format!("e{element}").parse().expect("a name"),
        groups: vec![
            format!("class/g{}", element % GROUPS),
            format!("site/s{}", element % 20),
            format!("vendor/v{}", element % 4),
        ],
    });
    World { dir, elements: elements.collect(), requests: (0..2_048).map(|seed| request(seed, roles, rules)).collect() }
}

fn kind(step: usize, rule: usize) -> (&'static str, String) {
    match step % 4 {
        0 => ("ssh.exec", format!("show area{} *", rule % 8)),
        1 => ("file.read", format!("/var/log/area{}/**", rule % 8)),
        2 => ("ssh.exec", format!("ping area{} *", rule % 8)),
        _ => ("ssh.forward", format!("*.area{}.example:830", rule % 8)),
    }
}

/// Three in four ask for something that one of their roles has a row for.
fn request(seed: usize, roles: usize, rules: usize) -> Request {
    let user = seed * 31 % USERS;
    let role = if seed.is_multiple_of(2) { user * 7 % roles } else { (user * 13 + 1) % roles };
    let step = seed % ROWS_OF_A_ROLE;
    let rule = role * ROWS_OF_A_ROLE + step;
    let group = if seed % 4 == 3 { seed % GROUPS } else { (role + step * 3) % GROUPS };
    let (verb, object) = kind(step, rule % rules);
    let object = object.replace("**", "messages").replace("*.", "r1.").replace('*', "detail 192.0.2.7");
    let at = Timestamp::from_secs(1_795_330_800);
    Request {
        who: Identity::new("carrier.example".parse().expect("a domain"), &format!("u{user}")).expect("a name"),
        device: None,
        assurance: Assurance::MutualTls,
        door: Door::Mtls,
        source: "192.0.2.7".parse().expect("an address"),
        element: format!("e{}", group + GROUPS * (seed % (ELEMENTS / GROUPS))).parse().expect("a name"),
        account: "admin".parse().expect("an account"),
        action: Action::new(verb.parse::<Verb>().expect("a verb"), object),
        at,
        session_opened_at: at,
    }
}

fn load(world: &World) -> PolicySet {
    PolicySet::load(world.dir.path(), &world.elements).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for rules in SIZES {
        let world = world(rules);
        let set = load(&world);
        let allowed = world.requests.iter().filter(|r| set.decide(r).effect == Effect::Allow).count();
        eprintln!(
            "{rules} rules: {allowed} of {} allowed, {} disagreements",
            world.requests.len(),
            set.engine_disagreements()
        );
        percentiles(&world, &set, rules);
        let mut next = (0..world.requests.len()).cycle();
        group.bench_function(BenchmarkId::new("steady", rules), |bencher| {
            bencher.iter(|| black_box(set.decide(&world.requests[next.next().unwrap_or(0)])));
        });
    }
    group.finish();
}

/// One decision at a time, clock included, because criterion gives means and the goal is a percentile.
fn percentiles(world: &World, set: &PolicySet, rules: usize) {
    let mut taken: Vec<Duration> = world
        .requests
        .iter()
        .cycle()
        .take(200_000)
        .map(|request| {
            let start = Instant::now();
            black_box(set.decide(request));
            start.elapsed()
        })
        .collect();
    taken.sort_unstable();
    eprintln!("{rules} rules, steady: p50 {:?}, p99 {:?}", taken[taken.len() / 2], taken[taken.len() * 99 / 100]);
    let fresh = load(world);
    let mut first: Vec<Duration> = world
        .requests
        .iter()
        .map(|request| {
            let start = Instant::now();
            black_box(fresh.decide(request));
            start.elapsed()
        })
        .filter(|taken| *taken > Duration::from_micros(8))
        .collect();
    first.sort_unstable();
    if let Some(middle) = first.get(first.len() / 2) {
        eprintln!(
            "{rules} rules, first of its class ({} classes): p50 {middle:?}, p99 {:?}",
            first.len(),
            first[first.len() * 99 / 100]
        );
    }
}

fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for rules in SIZES {
        let world = world(rules);
        group.bench_function(BenchmarkId::new("set", rules), |bencher| bencher.iter(|| black_box(load(&world))));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = decide, loading
}
criterion_main!(benches);
