//! `sallyport gnmi` through a real gateway to a lab router: what it shows, and how it ends.

use std::process::Command;

use crate::demo::Demo;
use crate::harness::client::{MINUTE, Ran, run};
use crate::harness::gateway::SALLYPORT;
use crate::harness::process::Process;
use crate::harness::{free_port, need};

const LOOPBACK: &str = "/interfaces/interface[name=Loopback0]";

fn command(demo: &Demo, identity: &str, args: &[&str]) -> Command {
    let mut command = Command::new(SALLYPORT);
    command.arg("gnmi").args(args).arg("--identity").arg(demo.dir.join("identities").join(identity));
    command
}

fn gnmi(demo: &Demo, identity: &str, args: &[&str]) -> Ran {
    run(&mut command(demo, identity, args), Vec::new(), MINUTE)
}

#[test]
fn the_client_shows_what_is_there_and_ends_as_scripts_expect() {
    need!("make");
    let demo = Demo::start();
    let description = format!("{LOOPBACK}/config/description");
    let changed = format!("{description}=one=two words");
    let dead = format!("127.0.0.1:{}", free_port());
    for (identity, args, code, said) in [
        ("noc-engineer", &["capabilities", "core-rtr-1"][..], 0, "model  openconfig-interfaces"),
        ("noc-engineer", &["get", "core-rtr-2", &description], 0, "/config/description  router id\n"),
        (
            "noc-engineer",
            &["get", "core-rtr-2", "/interfaces/interface[name=*]/state", "--type", "state"],
            0,
            "/oper-status  DOWN\n",
        ),
        ("noc-engineer", &["get", "core-rtr-2", &description, "--json"], 0, "\"json_ietf_val\":\"router id\""),
        ("noc-engineer", &["get", "core-rtr-2", "/interfaces/interface[name=Loopback7]"], 1, "NOT_FOUND"),
        ("noc-engineer", &["get", "core-rtr-2", "interfaces"], 2, "is not a path"),
        ("noc-engineer", &["get", "core-rtr-2", "/system/aaa"], 3, "Ask the network security desk"),
        ("noc-engineer", &["set", "core-rtr-1", "--update", &changed], 3, "is not allowed for noc-engineer"),
        ("noc-engineer", &["set", "core-rtr-1"], 2, "required"),
        ("noc-engineer", &["set", "core-rtr-1", "--update", "/a"], 2, "write PATH=VALUE"),
        ("noc-engineer", &["subscribe", "core-rtr-1", "/interfaces", "--mode", "once"], 0, "/config/mtu  9216\n"),
        ("outsider", &["capabilities", "core-rtr-1"], 3, "is not allowed for outsider"),
        // A certificate of somebody whom this name does not let in learns nothing of what elements there are.
        ("outsider", &["capabilities", "no-such-router"], 3, "is not allowed for outsider"),
        ("noc-engineer", &["capabilities", "core-rtr-1", "--gateway", &dead], 4, "refused"),
        ("nobody", &["capabilities", "core-rtr-1"], 2, "gateway.toml"),
        // One path that is denied refuses the other, too.
        (
            "senior-engineer",
            &["set", "core-rtr-1", "--update", &changed, "--delete", "/system/logging"],
            3,
            "gnmi.delete",
        ),
        ("senior-engineer", &["get", "core-rtr-1", &description], 0, "  router id\n"),
        ("senior-engineer", &["set", "core-rtr-1", "--update", &changed], 0, "updated  /interfaces"),
        ("senior-engineer", &["get", "core-rtr-1", &description], 0, "  one=two words\n"),
        ("senior-engineer", &["set", "core-rtr-1", "--delete", &description], 0, "deleted  /interfaces"),
        ("senior-engineer", &["get", "core-rtr-1", &description], 1, "NOT_FOUND"),
    ] {
        let ran = gnmi(&demo, identity, args);
        assert!(ran.code() == code && ran.all().contains(said), "{code} {said}: {args:?}\n{}", ran.all());
    }
    let follow = command(&demo, "noc-engineer", &["subscribe", "core-rtr-1", "/interfaces", "--sample", "1s"]);
    let piped = format!("{follow:?} | head -n 1");
    let ran = run(Command::new("sh").args(["-c", &piped]), Vec::new(), MINUTE).ok();
    assert!(ran.text().lines().count() == 1 && ran.errors().is_empty(), "{}", ran.all());
}

#[test]
fn a_subscription_tells_of_changes_by_every_way() {
    need!("ssh", "make");
    let demo = Demo::start();
    let follow = &["subscribe", "core-rtr-1", LOOPBACK, "--count", "4"];
    let mut followed = Process::start(&demo.root, "follow", &mut command(&demo, "noc-engineer", follow));
    let tells = |process: &mut Process, text: &str| {
        process.tells(text, MINUTE, |out| out.contains(text).then_some(()));
    };
    tells(&mut followed, "/config/description  router id");
    // By the command line, and by RESTCONF.
    let typed = "configure terminal\ninterface Loopback0\ndescription by hand\nend\nexit\n";
    demo.ssh("senior-engineer", "core-rtr-1").feed(&["-T"], &[], typed.into());
    tells(&mut followed, "/config/description  by hand");
    let curl = demo.dir.join("identities/senior-engineer/curl_config");
    let mut patch = Command::new("curl");
    patch.arg("-K").arg(curl).args([
        "-X",
        "PATCH",
        "-d",
        r#"{"openconfig-interfaces:config": {"description": "by RESTCONF"}}"#,
    ]);
    patch.arg("https://core-rtr-1.sallyport.example/restconf/data/openconfig-interfaces:interfaces/interface=Loopback0/config");
    run(&mut patch, Vec::new(), MINUTE).ok();
    // The fourth answer, behind the values, their end, and the first change.
    tells(&mut followed, "/config/description  by RESTCONF");
    assert!(followed.ended(MINUTE).success());
}
