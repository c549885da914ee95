//! What a decision costs at 100 to 100,000 rules: steady state, the first of its class, and loading the set; beside casbin alone, which scans the same
//! rows for the same requests.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench may stop at the first surprise"
)]

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use casbin::function_map::{OperatorFunction, dynamic_to_str};
use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, Model};
use sallyport::domain::{Action, Assurance, Door, Effect, Identity, Request, Timestamp, Verb};
use sallyport::policy::{ElementTags, PolicySet};

mod support;

use support::{Taken, amount, percentiles, row};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const USERS: usize = 1_000;
const ELEMENTS: usize = 1_000;
const GROUPS: usize = 50;
const ROWS_OF_A_ROLE: usize = 10;

/// A carrier's policy: a thousand people in three levels of roles, each role with ten rows over fifty groups of elements, four kinds of action,
/// one row in fifty a deny, some obligations.
struct World {
    rows: String,
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
    fs::write(dir.path().join("policy.csv"), &rows).expect("a file");
    fs::write(dir.path().join("model.conf"), include_str!("../policies/model.conf")).expect("a file");
    let elements = (0..ELEMENTS).map(|element| ElementTags {
        name: format!("e{element}").parse().expect("a name"),
        groups: vec![
            format!("class/g{}", element % GROUPS),
            format!("site/s{}", element % 20),
            format!("vendor/v{}", element % 4),
        ],
    });
    World {
        rows,
        dir,
        elements: elements.collect(),
        requests: (0..2_048).map(|seed| request(seed, roles, rules)).collect(),
    }
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

/// casbin as its documentation has it: every row in its memory, the model of this repository, and matchers that do what the names say and no more.
fn casbin_alone(world: &World) -> Enforcer {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut model = runtime.block_on(DefaultModel::from_str(include_str!("../policies/model.conf"))).expect("a model");
    for line in world.rows.lines() {
        let mut fields = line.split(", ").map(str::to_owned);
        let kind = fields.next().expect("a kind");
        model.add_policy(&kind[..1], &kind, fields.collect());
    }
    let mut enforcer = runtime.block_on(Enforcer::new_raw(model, MemoryAdapter::default())).expect("an enforcer");
    enforcer.add_function(
        "verb_is",
        OperatorFunction::Arg2(|verb, row| (dynamic_to_str(&verb) == dynamic_to_str(&row)).into()),
    );
    enforcer.add_function("account_is", OperatorFunction::Arg3(|_, row, _| (dynamic_to_str(&row) == "*").into()));
    enforcer.add_function(
        "object_is",
        OperatorFunction::Arg4(|_, object, row, _| same(&dynamic_to_str(&object), &dynamic_to_str(&row)).into()),
    );
    enforcer.build_role_links().expect("links");
    enforcer
}

/// Whether a command or path is the row's, in which one `*` stands for anything.
fn same(asked: &str, row: &str) -> bool {
    row.split_once('*').map_or(asked == row, |(before, after)| asked.starts_with(before) && asked.ends_with(after))
}

fn ask(casbin: &Enforcer, request: &Request) -> bool {
    let (who, element) = (format!("user:{}", request.who.name()), format!("element:{}", request.element));
    let action = &request.action;
    casbin
        .enforce((who, element, request.account.as_str(), action.verb.as_str(), action.object.as_str()))
        .expect("an answer")
}

fn main() {
    for rules in SIZES.into_iter().take(amount(SIZES.len(), 2)) {
        let world = world(rules);
        let loaded = Taken::by(amount(5, 1), |_| drop(black_box(load(&world))));
        let set = load(&world);
        let allowed = world.requests.iter().filter(|r| set.decide(r).effect == Effect::Allow).count();
        assert_eq!(set.engine_disagreements(), 0);
        row(&format!("{rules} rules"), &format!("{allowed} of {} requests allowed", world.requests.len()));
        percentiles("  load and compile the set", &loaded);
        let asked = &world.requests;
        let steady = Taken::by(amount(200_000, 100), |n| drop(black_box(set.decide(&asked[n % asked.len()]))));
        percentiles("  decide, steady", &steady);
        let fresh = load(&world);
        let first: Vec<Duration> = asked.iter().map(|request| first_of_its_class(&fresh, request)).collect();
        percentiles(
            "  decide, first of its class",
            &Taken::of(first.into_iter().filter(|t| *t > Duration::from_micros(8)).collect()),
        );
        let alone = casbin_alone(&world);
        let casbin = Taken::by(amount((2_000_000 / rules).clamp(20, 2_000), 2), |n| {
            black_box(ask(&alone, &asked[n % asked.len()]));
        });
        percentiles("  casbin alone", &casbin);
        row("  casbin alone, for each of ours", &format!("{:.0}", casbin.p50.as_secs_f64() / steady.p50.as_secs_f64()));
    }
}

fn first_of_its_class(fresh: &PolicySet, request: &Request) -> Duration {
    let begun = Instant::now();
    drop(black_box(fresh.decide(request)));
    begun.elapsed()
}
