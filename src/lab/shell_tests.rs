use super::super::grammar::Kind;
use super::super::profile::Profile;
use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_330_801);

fn device() -> Arc<Device> {
    Arc::new(Device::new(Profile::new("core-rtr-1", vec![("admin".to_owned(), 15)]), Some("raise".to_owned()), NOW))
}

fn shell(device: &Arc<Device>, level: u8) -> Shell {
    let mut shell = Shell::new(device.clone(), "admin".to_owned(), 0, level);
    shell.resize(80, 0);
    shell.open();
    shell
}

/// Types into a fresh shell of this level whose output is not paged.
fn typed(level: u8, keys: &str) -> String {
    let mut shell = shell(&device(), level);
    shell.input(b"terminal length 0\r", NOW);
    String::from_utf8(shell.input(keys.as_bytes(), NOW)).unwrap()
}

#[test]
fn prompts_show_the_mode() {
    for (level, keys, prompt) in [
        (1, "\r", "core-rtr-1>"),
        (15, "\r", "core-rtr-1#"),
        (1, "enable\rraise\r", "core-rtr-1#"),
        (1, "enable\rwrong\rraise\r", "core-rtr-1#"),
        (1, "enable\r1\r2\r3\r", "core-rtr-1>"),
        (15, "disable\r", "core-rtr-1>"),
        (1, "conf t\r", "core-rtr-1>"),
        (15, "conf t\r", "core-rtr-1(config)#"),
        (15, "conf t\rint gi0/1\r", "core-rtr-1(config-if)#"),
        (15, "conf t\rint gi0/1\rrouter bgp 64500\r", "core-rtr-1(config-router)#"),
        (15, "conf t\rline vty 0 4\r", "core-rtr-1(config-line)#"),
        (15, "conf t\rint gi0/1\rexit\r", "core-rtr-1(config)#"),
        (15, "conf t\rint gi0/1\rend\r", "core-rtr-1#"),
        (15, "conf t\rint gi0/1\r\x1a", "core-rtr-1#"),
        (15, "conf t\rint gi0/1\r\x03", "core-rtr-1#"),
        (15, "conf t\rhostname edge\r\x1a", "edge#"),
        (15, "conf t\rhostname edge\x1a", "edge#"),
        (15, "conf t\rdo show clock\r", "core-rtr-1(config)#"),
        (15, "conf t\rint lo7\r", "core-rtr-1(config-if)#"),
        (15, "reload\r", "Proceed with reload? [confirm]"),
        (15, "reload\rn", "core-rtr-1#"),
        (15, "conf t\rhostname a\rend\rreload\r", "Save? [yes/no]: "),
        (15, "copy running-config startup-config\r\r", "core-rtr-1#"),
        (15, "copy running-config tftp:\r", "remote host []? "),
        (15, "sho\x03", "core-rtr-1#"),
        (15, "show clock\r\n\r\n", "core-rtr-1#"),
    ] {
        let out = typed(level, keys);
        assert!(out.ends_with(prompt), "{keys:?}: {out}");
    }
}

#[test]
fn passwords_are_not_shown() {
    let out = typed(1, "enable\rraise\r");
    assert_eq!(out, "enable\r\nPassword: \r\ncore-rtr-1#");
    assert!(!typed(1, "enable\rraise\rshow history\r").contains("raise"));
    assert!(typed(1, "enable\r1\r2\r3\r").contains("% Bad secrets"));
}

#[test]
fn leaving() {
    for keys in ["exit\r", "logout\r", "quit\r", "\x04", "reload\r\r", "reload\ry"] {
        let mut shell = shell(&device(), 15);
        shell.input(keys.as_bytes(), NOW);
        assert!(shell.left(), "{keys:?}");
        assert_eq!(shell.input(b"show clock\r", NOW), b"", "{keys:?}");
    }
}

#[test]
fn mistakes_point_at_the_place() {
    for (level, keys, text) in [
        (1, "show verzion\r", "                ^\r\n% Invalid input detected at '^' marker.\r\n"),
        (1, "frob\r", "           ^\r\n% Invalid input detected"),
        (1, "show running-config\r", "% Invalid input detected"),
        (1, "show i\r", "% Ambiguous command:  \"show i\""),
        (1, "show\r", "% Incomplete command."),
        (15, "show clock |\r", "% Incomplete command."),
        (15, "show clock | redirect tftp://192.0.2.1/x\r", "% Invalid input detected"),
        (15, "conf t\rdo conf t\r", "% This command is not possible here"),
        (15, "conf t\rusername eve privilege 15\r", "% Accounts are managed by"),
        (15, "conf t\rhostname 9lives\r", "illegal characters"),
        (15, "conf t\rint gi9/9\r", "%Invalid interface"),
        (15, "conf t\rip route 10.0.0.1 255.0.0.0 192.0.2.1\r", "%Inconsistent address and mask"),
        (15, "conf t\rint gi0/1\rip address 10.0.0.1 255.0.255.0\r", "% Bad mask"),
        (15, "conf t\rshow clock\r", "% Invalid input detected"),
        (15, "conf t\rrouter bgp 1\r", "BGP is already running"),
        (15, "ssh 192.0.2.1\r", "% Connections from this element"),
    ] {
        let out = typed(level, keys);
        assert!(out.contains(text), "{keys:?}: {out}");
    }
}

#[test]
fn configuring_changes_what_is_shown() {
    for (keys, shown, text) in [
        ("int gi0/1\rdescription to lab\r", "show run int gi0/1", " description to lab\r\n"),
        (
            "int gi0/1\rip address 198.51.100.1 255.255.255.0\rno shut\r",
            "sh ip int br",
            "GigabitEthernet0/1         198.51.100.1    YES NVRAM  up ",
        ),
        ("int gi0/0\rshutdown\r", "show ip interface brief | include 0/0", "administratively down down"),
        ("int te0/1/0\rno ip address\r", "show run int te0/1/0", " no ip address\r\n"),
        ("int lo9\rdescription x\r", "show interfaces description", "Lo9 "),
        ("ip route 10.9.0.0 255.255.0.0 192.0.2.7\r", "show ip route", "10.9.0.0/16 [1/0] via 192.0.2.7"),
        ("logging host 192.0.2.99\r", "show run | inc logging", "logging host 192.0.2.99\r\n"),
        ("snmp-server community lab RO\r", "show run | inc snmp", "snmp-server community lab RO\r\n"),
        ("snmp-server location here\r", "show run | count location", "= 1\r\n"),
        ("router bgp 64500\rneighbor 10.255.0.9 remote-as 64500\r", "show bgp summary", "10.255.0.9 "),
        ("router bgp 64500\rneighbor 10.255.0.251 shutdown\r", "show bgp summary | inc 251", "Idle (Admin)"),
        ("banner motd #keep out#\r", "show run | inc banner", "banner motd ^Ckeep out^C"),
        ("ntp server 192.0.2.98\r", "show run | inc ntp", "ntp server 192.0.2.98\r\n"),
        ("line vty 0 4\rexec-timeout 5 0\r", "show run | section vty 0 4", " exec-timeout 5 0\r\n"),
        ("hostname edge\r", "show logging", "logged command:hostname edge\r\n"),
    ] {
        let out = typed(15, &format!("conf t\r{keys}end\r{shown}\r"));
        let shown_at = out.rfind(shown).unwrap();
        assert!(out[shown_at..].contains(text), "{keys:?}: {}", &out[shown_at..]);
    }
}

#[test]
fn sessions_share_the_router_and_reload_forgets_what_was_not_saved() {
    let device = device();
    let (mut one, mut two) = (shell(&device, 15), shell(&device, 15));
    one.input(b"conf t\rhostname saved\rend\rwrite memory\rconf t\rhostname lost\rend\r", NOW);
    assert!(two.input(b"\r", NOW).ends_with(b"lost#"));
    one.input(b"reload\rno\r\r", NOW);
    assert!(two.input(b"\r", NOW).ends_with(b"saved#"));
}

#[test]
fn pages_follow_the_window() {
    let mut shell = shell(&device(), 15);
    shell.resize(80, 5);
    let out = shell.input(b"show running-config\r", NOW);
    assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 5);
    assert!(out.ends_with(b" --More-- "));
    assert!(shell.input(b" ", NOW).ends_with(b" --More-- "));
    assert!(shell.input(b"q", NOW).ends_with(b"core-rtr-1#"));
    shell.input(b"terminal length 0\r", NOW);
    shell.resize(80, 5);
    assert!(shell.input(b"show running-config\r", NOW).ends_with(b"core-rtr-1#"));
}

#[test]
fn help_and_tab() {
    assert_eq!(typed(1, "sh\t"), "sh\r\ncore-rtr-1>show ");
    assert_eq!(typed(1, "s\t"), "s\r\ncore-rtr-1>s");
    assert_eq!(typed(1, "s?"), "s?\r\nshow  ssh\r\n\r\ncore-rtr-1>s");
    let help = typed(1, "show ip ?");
    assert!(help.contains("  route      IP routing table\r\n") && help.ends_with("\r\ncore-rtr-1>show ip "), "{help}");
    assert!(typed(1, "zz?").contains("% Unrecognized command"));
    assert!(!typed(1, "?").contains("configure") && typed(15, "?").contains("configure"));
    assert_eq!(typed(15, "conf t\rdo sh\t").rsplit("\r\n").next(), Some("core-rtr-1(config)#do show "));
    assert_eq!(typed(15, "conf t\rno host\t").rsplit("\r\n").next(), Some("core-rtr-1(config)#no hostname "));
}

#[test]
fn one_line_without_a_terminal() {
    for (level, line, done, text) in [
        (1, "show version", true, "SIMULATED"),
        (1, "show version | include uptime", true, "core-rtr-1 uptime is 0 minutes\r\n"),
        (1, "show running-config", false, "% Invalid input"),
        (15, "show running-config", true, "hostname core-rtr-1"),
        (15, "frobnicate", false, "% Invalid input"),
        (15, "reload", false, "needs a terminal"),
        (1, "enable", false, "needs a terminal"),
        (15, "", true, ""),
        (15, "show interfaces gi9/9", false, "% Invalid interface"),
        (15, "telnet 192.0.2.1", false, "not permitted"),
    ] {
        let (out, ok) = shell(&device(), level).exec(line, NOW);
        let out = String::from_utf8(out).unwrap();
        assert!(ok == done && out.contains(text), "{line}: {ok} {out}");
    }
}

#[test]
fn every_command_of_every_table_runs() {
    fn lines(nodes: &'static [Node], before: &str, found: &mut Vec<String>) {
        for node in nodes {
            let word = match node.kind {
                Kind::Address => "192.0.2.1".to_owned(),
                Kind::Interface => "Loopback0".to_owned(),
                Kind::Number(lowest, _, _) => lowest.to_string(),
                kind => kind.label().to_owned(),
            };
            let line = format!("{before} {word}");
            if node.run.is_some() {
                found.push(line.trim().to_owned());
            }
            lines(node.then, &line, found);
        }
    }
    for (enter, table) in [
        ("", EXEC),
        ("conf t\r", Mode::Configure.tables()[0]),
        ("conf t\rint lo0\r", Mode::Interface(String::new()).tables()[0]),
    ] {
        let mut found = Vec::new();
        lines(table, "", &mut found);
        assert!(found.len() > 3);
        for line in found {
            let out = typed(15, &format!("{enter}{line}\r"));
            assert!(!out.contains("does nothing here") && !out.contains("% Invalid input"), "{line}: {out}");
        }
    }
}

#[test]
fn any_bytes_leave_the_shell_standing() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..200 {
        let mut shell = shell(&device(), 15);
        let keys: Vec<u8> = (0..400)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let key = u8::try_from(seed >> 56).unwrap();
                if key < 90 { b"show config t\r\n\t?int gi0/0 no \x1b[A|"[usize::from(key) % 34] } else { key }
            })
            .collect();
        shell.input(&keys, NOW);
    }
}
