//! What scripts and operators rely on: exit codes, policy commands, logs, the unit of the service.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{path, sallyport};
use crate::harness::client::{MINUTE, run};
use crate::harness::gateway::{SALLYPORT, Site, replace};
use crate::harness::lab::Lab;
use crate::harness::{free_port, must, need, scratch};

#[test]
fn each_way_to_end_has_its_code() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair.gateway.run(&["echo shown"]).ok();
    let id = lab.site.closed_session()["id"].as_str().expect("an id").to_owned();
    lab.site.issue("eve", &[]);
    let (config, ada, eve) = (lab.site.config(), lab.site.identity("ada"), lab.site.identity("eve"));
    let (policies, data) = (lab.site.path().join("policies"), lab.site.path().join("data"));
    let silent = format!("127.0.0.1:{}", free_port());
    let nowhere = "127.0.0.1:1";
    let tampered = lab.site.scratch().join("x.rec");
    fs::write(&tampered, "no recording").expect("a file");
    let keys = lab.site.path().join("gateway/signing.pub.pem");
    let no_id = "01a21782-4fb3-7f63-aedd-a658d09a3c1b";
    let broken = lab.site.scratch().join("broken");
    must(Command::new("cp").arg("-r").arg(&policies).arg(&broken));
    fs::write(broken.join("policy.csv"), "p, nonsense\n").expect("a file");
    let failing = lab.site.scratch().join("failing");
    must(Command::new("cp").arg("-r").arg(&policies).arg(&failing));
    let case = "[[case]]\nname = \"x\"\nwho = \"user:ada\"\nelement = \"linux-1\"\nverb = \"ssh.exec\"\nobject = \"id\"\nexpect = \"deny\"\n";
    fs::write(failing.join("cases.toml"), case).expect("a file");
    let as_ada = ["--config", path(&config), "--identity", path(&ada)];
    let as_eve = ["--config", path(&config), "--identity", path(&eve)];
    let with = |words: &[&'static str], more: &[&str]| -> Vec<String> {
        words.iter().copied().chain(more.iter().copied()).map(str::to_owned).collect()
    };
    let table: Vec<(i32, Vec<String>)> = vec![
        // Done.
        (0, with(&["check"], &["--config", path(&config)])),
        (0, with(&["policy", "check"], &["--policies", path(&policies)])),
        (0, with(&["policy", "test"], &["--config", path(&config)])),
        (0, with(&["sessions", "list"], &as_ada)),
        (0, with(&["sessions", "show"], &[&[id.as_str()], &as_ada[..]].concat())),
        (0, with(&["replay"], &[&[id.as_str(), "--speed", "100"], &as_ada[..]].concat())),
        (0, with(&["export"], &[&[id.as_str()], &as_ada[..]].concat())),
        (0, with(&["audit", "tail"], &as_ada)),
        (0, with(&["verify"], &[path(&data)])),
        (0, with(&["whoami"], &["--identity", path(&ada)])),
        // What was asked about failed.
        (1, with(&["policy", "test"], &["--policies", path(&failing)])),
        (1, with(&["verify"], &[path(&tampered), "--keys", path(&keys)])),
        (1, with(&["lock", "remove", "user:nobody"], &["--config", path(&config)])),
        (1, with(&["secrets", "remove", "nothing"], &["--config", path(&config)])),
        (1, with(&["sessions", "show", no_id], &as_ada)),
        (1, with(&["replay", no_id], &as_ada)),
        (1, with(&["sessions", "terminate"], &[&[id.as_str()], &as_ada[..]].concat())),
        // Usage and configuration.
        (2, with(&["no-such-command"], &[])),
        (2, with(&["sessions"], &[])),
        (2, with(&["sessions", "list"], &[&as_ada[..], &["--no-such-option"]].concat())),
        (2, with(&["serve", "--config", "/nonexistent"], &[])),
        (2, with(&["check", "--config", "/nonexistent"], &[])),
        (2, with(&["policy", "check"], &["--policies", path(&broken)])),
        (2, with(&["policy", "test"], &["--policies", path(&broken)])),
        (
            2,
            with(
                &["policy", "explain", "--who", "ada", "--element", "linux-1", "--verb", "ssh.exec"],
                &["--policies", path(&policies)],
            ),
        ),
        (
            2,
            with(
                &["policy", "explain", "--who", "user:ada", "--element", "linux-1", "--verb", "ssh.fly"],
                &["--policies", path(&policies)],
            ),
        ),
        (2, with(&["verify", "/nonexistent"], &[])),
        (2, with(&["verify"], &[path(&tampered)])),
        (2, with(&["whoami", "--identity", "/nonexistent"], &[])),
        (2, with(&["connect", "linux-1", "--identity", "/nonexistent"], &[])),
        (2, with(&["ssh-config", "--identity", "/nonexistent"], &[])),
        (2, with(&["export", no_id, "--format", "film"], &as_ada)),
        // Denied by policy.
        (3, with(&["sessions", "list"], &as_eve)),
        (3, with(&["sessions", "show"], &[&[id.as_str()], &as_eve[..]].concat())),
        (3, with(&["replay"], &[&[id.as_str()], &as_eve[..]].concat())),
        (3, with(&["export"], &[&[id.as_str()], &as_eve[..]].concat())),
        (3, with(&["audit", "tail"], &as_eve)),
        (3, with(&["audit", "export"], &as_eve)),
        (3, with(&["sessions", "terminate"], &[&[id.as_str()], &as_eve[..]].concat())),
        (3, with(&["lock", "add", "user:ada", "--reason", "spite"], &as_eve)),
        // Not to be reached.
        (4, with(&["connect", "linux-1"], &["--gateway", &silent, "--identity", path(&ada)])),
        (4, with(&["elements", "scan", nowhere], &["--config", path(&config)])),
    ];
    let mut wrong = Vec::new();
    for (code, args) in &table {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let ran = sallyport(&args, b"");
        let said = ran.errors();
        // Whoever is told that it did not work is told why, and no dump.
        let told = *code == 0 || (!said.trim().is_empty() && !said.contains("panicked") && !said.contains("Error {"));
        if ran.code() != *code || !told {
            wrong.push(format!("{args:?}: {} and not {code}: {}", ran.code(), ran.all()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn policy_is_checked_tested_and_explained_before_it_is_loaded() {
    let dir = scratch();
    let policies = dir.path().join("policies");
    must(Command::new("cp").arg("-r").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).arg(&policies));
    let policy = |args: &[&str]| sallyport(&[&["policy"], args, &["--policies", path(&policies)]].concat(), b"");
    let checked = policy(&["check"]).ok().text();
    assert!(checked.contains("revision ") && checked.contains(" cases, "), "{checked}");
    let tested = policy(&["test"]).ok().text();
    let cases = tested.lines().filter(|line| line.starts_with("ok    ")).count();
    assert!(cases > 10 && tested.contains(&format!("{cases} of {cases} cases hold")), "{tested}");
    let json: serde_json::Value = serde_json::from_slice(&policy(&["test", "--json"]).ok().out).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(cases), "{json}");
    assert!(json.as_array().expect("a list").iter().all(|case| case["passed"] == true), "{json}");

    let explain = |who: &str, object: &str, more: &[&str]| {
        policy(
            &[&["explain", "--who", who, "--element", "core-rtr-1", "--verb", "ssh.exec", "--object", object], more]
                .concat(),
        )
    };
    let allowed = explain("user:noc-engineer", "show version", &[]).ok().text();
    assert!(allowed.starts_with("allow: ") && allowed.contains("policy.csv:"), "{allowed}");
    let denied = explain("user:outsider", "show version", &[]).ok().text();
    assert!(denied.starts_with("deny: ") && denied.contains("ask "), "{denied}");
    let quoted = "running:/interfaces/interface[name=\"x\"]";
    for (object, noted) in [(quoted, true), (&*quoted.replace('"', "'"), false)] {
        let args =
            ["explain", "--who", "user:outsider", "--element", "core-rtr-1", "--verb", "gnmi.update", "--object"];
        let told = policy(&[&args[..], &[object]].concat()).ok().text();
        assert_eq!(told.contains("no data path in its one form"), noted, "{told}");
    }
    let evaded: serde_json::Value =
        serde_json::from_slice(&explain("user:noc-engineer", "show version; reload", &["--json"]).ok().out)
            .expect("JSON");
    assert_eq!(evaded["effect"], "deny", "{evaded}");
    for field in ["reason", "revision", "names", "near_misses", "obligations", "contact"] {
        assert!(!evaded[field].is_null(), "{field}: {evaded}");
    }

    // A case that fails is named with its line; nothing of it is loadable, and explaining says so.
    let file = policies.join("cases.toml");
    let good = fs::read_to_string(&file).expect("a file");
    let wrong = "\n[[case]]\nname = \"an outsider may\"\nwho = \"user:outsider\"\nelement = \"core-rtr-1\"\nverb = \"ssh.exec\"\nobject = \"show version\"\nexpect = \"allow\"\n";
    fs::write(&file, format!("{good}{wrong}")).expect("a file");
    let failed = policy(&["test"]);
    assert_eq!(failed.code(), 1);
    let line = good.lines().count() + 2;
    assert!(
        failed.text().contains("FAIL  an outsider may") && failed.text().contains(&format!("cases.toml:{line}")),
        "{}",
        failed.all()
    );
    assert_eq!(policy(&["check"]).code(), 2, "the gateway would not load it");
    assert!(explain("user:outsider", "id", &[]).ok().text().contains("cases of this set fail"));
    fs::write(&file, good).expect("a file");
    // Every mistake with file and line.
    let rows = fs::read_to_string(policies.join("policy.csv")).expect("a file");
    replace(&policies.join("policy.csv"), &format!("{rows}p, nonsense\np, user:a, element:b, *, ssh.fly, *, allow\n"));
    let refused = policy(&["check"]);
    let last = rows.lines().count();
    assert_eq!(refused.code(), 2);
    for line in [last + 1, last + 2] {
        assert!(refused.errors().contains(&format!("policy.csv:{line}")), "{line}: {}", refused.errors());
    }
}

#[test]
fn every_line_of_the_log_is_json_with_the_same_fields() {
    need!("sshd");
    let lab = Lab::start();
    lab.pair.gateway.run(&["echo a \"quoted\" word; exit 3"]);
    lab.gateway.client("ada", "no-such-element").run(&["true"]);
    replace(&lab.site.path().join("policies/policy.csv"), "this is no \"policy\"\n");
    crate::harness::wait_until("the refusal is on record", crate::harness::SOON, || {
        lab.site.events().iter().any(|e| e["event"]["event"] == "policy-rejected")
    });
    let Lab { mut gateway, site: _site, sshd: _sshd, .. } = lab;
    gateway.process.signal("TERM");
    gateway.process.ended(MINUTE);
    let log = gateway.process.err();
    let mut messages = Vec::new();
    for line in log.lines() {
        let told: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for field in ["timestamp", "level", "message", "target"] {
            assert!(told[field].is_string(), "{field}: {line}");
        }
        assert_eq!(line.matches("\"target\":").count(), 1, "each field once: {line}");
        let level = told["level"].as_str().expect("text");
        assert!(["ERROR", "WARN", "INFO"].contains(&level), "{line}");
        assert!(told["target"].as_str().is_some_and(|target| target.starts_with("sallyport::")), "{line}");
        messages.push(told["message"].as_str().expect("text").to_owned());
    }
    for message in ["Sallyport starts.", "Session opened.", "Session closed."] {
        assert!(messages.iter().any(|told| told == message), "{message}: {messages:?}");
    }
}

#[test]
fn the_unit_is_right_and_tight() {
    need!("systemd-analyze");
    let dir = scratch();
    let unit = dir.path().join("sallyport.service");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/sallyport.service");
    let text = fs::read_to_string(&shipped).expect("the unit");
    assert!(text.contains("/usr/bin/sallyport serve --config /etc/sallyport/sallyport.toml"), "{text}");
    fs::write(&unit, text.replace("/usr/bin/sallyport", SALLYPORT)).expect("a file");
    let verified = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit), Vec::new(), MINUTE);
    // It tells what it ignores without failing.
    assert_eq!(
        (verified.code(), verified.all().replace('\n', " ").contains("sallyport.service:")),
        (0, false),
        "{}",
        verified.all()
    );
    let security = |unit: &Path, threshold: &str| {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["security", "--no-pager", "--offline=yes", &format!("--threshold={threshold}")]);
        run(analyze.arg(unit), Vec::new(), MINUTE)
    };
    let judged = security(&unit, "15");
    assert_eq!(judged.code(), 0, "more exposed than 1.5 of 10: {}", judged.text());
    // And the judge would say so: the same without its sandbox.
    let loose = dir.path().join("loose.service");
    let kept = text
        .lines()
        .filter(|line| !["Protect", "Private", "Restrict", "SystemCall"].iter().any(|w| line.starts_with(w)));
    fs::write(&loose, kept.collect::<Vec<_>>().join("\n")).expect("a file");
    assert_ne!(security(&loose, "15").code(), 0);
    // The sandbox does not forbid what the configuration asks for: what the unit starts is what is tested here.
    for line in [
        "KillSignal=SIGTERM",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "NoNewPrivileges=yes",
        "MemoryDenyWriteExecute=yes",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}");
    }
    let grace = text
        .lines()
        .find_map(|l| l.strip_prefix("TimeoutStopSec=")?.strip_suffix('s')?.parse::<u64>().ok())
        .expect("a time");
    let site = Site::new();
    let text = fs::read_to_string(site.config()).expect("a file").parse::<toml::Table>().expect("TOML");
    let drain = text
        .get("limits")
        .and_then(|limits| limits.get("drain_grace_ms"))
        .and_then(toml::Value::as_integer)
        .unwrap_or(30_000);
    assert!(i64::try_from(grace).expect("small") * 1_000 > drain, "a drain has its time: {drain}");
}

#[test]
fn help_is_there_for_everything() {
    /// The words of commands below `words`, as their help lists them.
    fn below(words: &[String]) -> Vec<Vec<String>> {
        let args: Vec<_> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let text = sallyport(&args, b"").ok().text();
        assert!(text.lines().count() > 3 && text.contains("Usage: sallyport"), "{words:?}: {text}");
        let Some((_, list)) = text.split_once("\nCommands:\n") else {
            assert!(text.contains("\nExample"), "{words:?} has no example: {text}");
            return vec![words.to_vec()];
        };
        let list = list.split("\n\n").next().expect("a list");
        let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names: Vec<_> =
            names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
        names.iter().flat_map(|name| below(&[words, &[(*name).to_owned()]].concat())).collect()
    }
    let all = below(&[]);
    assert!(all.len() > 30, "{all:?}");
}
