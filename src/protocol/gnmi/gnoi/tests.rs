use super::*;
use crate::domain::data::Models;
use crate::protocol::gnmi::request::path;
use crate::protocol::gnmi::wire::Writer;

fn told(method: &str, request: Writer) -> Result<Vec<String>, Refused> {
    let method = Method::find(method).expect("a method");
    let actions = method.decide(&request.finish(), &View { element: "r1", models: &Models::default() })?;
    Ok(actions.iter().map(|action| format!("{} {}", action.verb, action.object)).collect())
}

#[track_caller]
fn is(method: &str, request: Writer, expected: &[&str]) {
    assert_eq!(told(method, request).as_deref(), Ok(&expected.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()[..]));
}

#[track_caller]
fn refused(method: &str, request: Writer) {
    assert!(told(method, request.clone()).is_err(), "{method} {request:?}");
}

fn component(name: &str) -> Writer {
    path(&format!("/components/component[name={name}]")).expect("a path")
}

fn remote(protocol: u64, at: &str) -> Writer {
    Writer::new().text(1, at).number(2, protocol).message(3, &Writer::new().text(1, "u").text(2, "hunter2"))
}

#[test]
fn files() {
    let file = "/gnoi.file.File";
    for (method, verbs) in
        [("Get", &["file.read"][..]), ("Remove", &["file.delete"]), ("Stat", &["file.stat", "file.list"])]
    {
        for path in ["/var/log/x", "flash:/x", "../etc/passwd", ""] {
            let rpc = format!("gnoi.rpc {file}/{method}");
            let on_file: Vec<String> = verbs.iter().map(|verb| format!("{verb} {path}")).collect();
            let expected: Vec<&str> = [rpc.as_str()].into_iter().chain(on_file.iter().map(String::as_str)).collect();
            is(&format!("{file}/{method}"), Writer::new().text(1, path), &expected);
        }
    }
    let put = format!("{file}/Put");
    let open = Writer::new().message(1, &Writer::new().text(1, "/tmp/x").number(2, 755));
    is(&put, open.clone(), &["gnoi.rpc /gnoi.file.File/Put", "file.write /tmp/x"]);
    refused(&put, Writer::new());
    refused(&put, Writer::new().bytes(2, b"content"));
    refused(&put, open.clone().bytes(2, b"content"));
    refused(&put, open.text(4, "x"));
}

#[test]
fn what_leaves_for_another_host() {
    let method = "/gnoi.file.File/TransferToRemote";
    let request = |protocol, at: &str| Writer::new().text(1, "/var/log/x").message(2, &remote(protocol, at));
    for (protocol, at, expected) in [
        (1, "Backup.example:/srv/in/x", "SFTP/backup.example/srv/in/x"),
        (4, "192.0.2.1:/x", "SCP/192.0.2.1/x"),
        (4, "[2001:db8::1]:/x", "SCP/%5B2001:db8::1%5D/x"),
        (1, "sftp://b.example/x", "SFTP/b.example/x"),
        (3, "b.example/x", "HTTPS/b.example/x"),
        (3, "https://b.example:8443/x?sig=%2F", "HTTPS/b.example:8443/x%3Fsig=%252F"),
        (2, "http://b.example/a b/*", "HTTP/b.example/a%20b/%2A"),
    ] {
        let rpc = format!("gnoi.rpc {method}/{expected}");
        is(method, request(protocol, at), &[&rpc, "file.read /var/log/x"]);
    }
    for (protocol, at) in [
        (0, "b.example:/x"),
        (5, "b.example:/x"),
        (1, ""),
        (1, "/x"),
        (1, "b.example"),
        (1, "b.example/x"),
        (1, "b.example:x"),
        (1, "root@b.example:/x"),
        (1, "b.example:/a/../x"),
        (1, "b.example:/a//x"),
        (1, "b.example:/"),
        (1, "https://b.example/x"),
        (3, "http://b.example/x"),
        (3, "https://u:p@b.example/x"),
        (3, "https:///x"),
        (3, "https://b.example/./x"),
        (3, "https://b.example\\@evil.example/x"),
        (3, "b.example/x\n"),
    ] {
        refused(method, request(protocol, at));
    }
    refused(method, Writer::new().text(1, "/var/log/x"));
}

#[test]
fn operating_systems() {
    let os = "/gnoi.os.OS";
    let activate = format!("{os}/Activate");
    is(&activate, Writer::new().text(1, "4.31.2F"), &["gnoi.rpc /gnoi.os.OS/Activate/4.31.2F"]);
    let all = Writer::new().text(1, "4.31").number(2, 1).number(3, 1);
    is(&activate, all, &["gnoi.rpc /gnoi.os.OS/Activate/4.31/standby/no-reboot"]);
    is(&activate, Writer::new().text(1, "4/../5").number(3, 0), &["gnoi.rpc /gnoi.os.OS/Activate/4%2F..%2F5"]);
    is(&activate, Writer::new().text(1, ".."), &["gnoi.rpc /gnoi.os.OS/Activate/%2E%2E"]);
    is(&activate, Writer::new(), &["gnoi.rpc /gnoi.os.OS/Activate"]);
    is(&format!("{os}/Verify"), Writer::new(), &["gnoi.rpc /gnoi.os.OS/Verify"]);
    let install = format!("{os}/Install");
    let begin = Writer::new().message(1, &Writer::new().text(1, "4.31"));
    is(&install, begin.clone(), &["gnoi.rpc /gnoi.os.OS/Install/4.31"]);
    refused(&install, Writer::new());
    refused(&install, Writer::new().bytes(2, b"image"));
    refused(&install, begin.message(3, &Writer::new()));
    refused(&format!("{os}/Verify"), Writer::new().text(1, "x"));
}

#[test]
fn systems() {
    let system = |method: &str| format!("/gnoi.system.System/{method}");
    let reboot = system("Reboot");
    is(&reboot, Writer::new().number(1, 1), &["gnoi.rpc /gnoi.system.System/Reboot/COLD"]);
    is(&reboot, Writer::new(), &["gnoi.rpc /gnoi.system.System/Reboot/UNKNOWN"]);
    let parts = Writer::new().number(1, 4).message(4, &component("RP0")).message(4, &component("a/b")).number(5, 1);
    is(
        &reboot,
        parts,
        &[
            "gnoi.rpc /gnoi.system.System/Reboot/WARM/force/components/component[name=RP0]",
            "gnoi.rpc /gnoi.system.System/Reboot/WARM/force/components/component[name=a%2Fb]",
        ],
    );
    is(
        &reboot,
        Writer::new().number(1, 1).message(4, &component("*")),
        &["gnoi.rpc /gnoi.system.System/Reboot/COLD/components/component[name=%2A]"],
    );
    for method in [6, 8, 1 << 32 | 1] {
        refused(&reboot, Writer::new().number(1, method));
    }
    refused(&reboot, Writer::new().number(1, 1).message(4, &path("cli:/reload").expect("a path")));
    is(&system("CancelReboot"), Writer::new().text(1, "why"), &["gnoi.rpc /gnoi.system.System/CancelReboot"]);
    is(&system("RebootStatus"), Writer::new(), &["gnoi.rpc /gnoi.system.System/RebootStatus"]);
    is(
        &system("SwitchControlProcessor"),
        Writer::new().message(1, &component("RP1")),
        &["gnoi.rpc /gnoi.system.System/SwitchControlProcessor/components/component[name=RP1]"],
    );
    is(&system("Time"), Writer::new(), &["gnoi.rpc /gnoi.system.System/Time"]);
    is(&system("Ping"), Writer::new().text(1, "192.0.2.1"), &["gnoi.rpc /gnoi.system.System/Ping/192.0.2.1"]);
    is(&system("Traceroute"), Writer::new().text(2, "a b"), &["gnoi.rpc /gnoi.system.System/Traceroute/a%20b"]);
    let kill = system("KillProcess");
    let named = Writer::new().text(2, "bgpd").number(3, 1);
    is(&kill, named.clone(), &["gnoi.rpc /gnoi.system.System/KillProcess/TERM/name/bgpd"]);
    is(&kill, Writer::new().number(1, 7).number(3, 2), &["gnoi.rpc /gnoi.system.System/KillProcess/KILL/pid/7"]);
    refused(&kill, named.number(1, 7));
    refused(&kill, Writer::new().number(3, 1));
    refused(&kill, Writer::new().text(2, "bgpd").number(3, 5));
}

#[test]
fn packages() {
    let method = "/gnoi.system.System/SetPackage";
    let package = |package: Writer| Writer::new().message(1, &package);
    is(
        method,
        package(Writer::new().text(1, "/flash/x").text(4, "9.1").number(5, 1)),
        &["gnoi.rpc /gnoi.system.System/SetPackage/9.1/activate", "file.write /flash/x"],
    );
    is(
        method,
        package(Writer::new().text(1, "/flash/x").message(6, &remote(3, "images.example/9.1"))),
        &[
            "gnoi.rpc /gnoi.system.System/SetPackage",
            "gnoi.rpc /gnoi.system.System/SetPackage/HTTPS/images.example/9.1",
            "file.write /flash/x",
        ],
    );
    refused(method, package(Writer::new().text(1, "/flash/x").message(6, &remote(0, "images.example/9.1"))));
    refused(method, Writer::new().bytes(2, b"x"));
    refused(method, Writer::new());
}

#[test]
fn resets() {
    let method = "/gnoi.factory_reset.FactoryReset/Start";
    is(method, Writer::new(), &["gnoi.rpc /gnoi.factory_reset.FactoryReset/Start"]);
    is(
        method,
        Writer::new().number(1, 1).number(3, 1),
        &["gnoi.rpc /gnoi.factory_reset.FactoryReset/Start/factory-os/retain-certs"],
    );
    refused(method, Writer::new().number(4, 1));
    refused(method, Writer::new().number(1, 2));
}

#[test]
fn only_content_follows() {
    for method in METHODS.iter().filter(|method| method.later(&[], b"\x12\x01x").is_ok()) {
        let later = |message: Writer| method.later(&[], &message.finish());
        assert!(later(Writer::new().bytes(2, b"x")).is_ok(), "{}", method.path);
        assert!(later(Writer::new().message(3, &Writer::new())).is_ok(), "{}", method.path);
        for bad in [Writer::new(), Writer::new().message(1, &Writer::new()), Writer::new().number(9, 1)] {
            assert!(later(bad).is_err(), "{}", method.path);
        }
    }
    let streams = METHODS.iter().filter(|method| method.later(&[], b"\x12\x01x").is_ok()).map(|method| method.name);
    assert!(streams.eq(["gnoi.File.Put", "gnoi.OS.Install", "gnoi.System.SetPackage"]));
}

#[test]
fn secrets_are_not_shown() {
    let method = Method::find("/gnoi.file.File/TransferToRemote").expect("a method");
    let request = Writer::new().text(1, "/x").message(2, &remote(1, "b.example:/x")).finish();
    let (text, cut) = super::super::text::text(method.request, &request, 10_000);
    assert!(!cut && text.contains("\"cleartext\":\"***\"") && !text.contains("hunter2"), "{text}");
}
