//! An example for each command, at the end of its `--help`. A test runs each through the parser, so that none is of an older version.

use clap::Command;

/// The words behind `sallyport`, and what one types.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("api seen", &["sallyport api seen --element subscriber-1 --since 30d --config sallyport.toml"]),
    (
        "audit export",
        &["sallyport audit export --config sallyport.toml --since 2026-03-01T00:00:00Z --until 2026-04-01T00:00:00Z"],
    ),
    ("audit mend", &["sallyport audit mend --config sallyport.toml"]),
    ("audit tail", &["sallyport audit tail --config sallyport.toml --identity identities/auditor --follow"]),
    ("ca init", &["sallyport ca init /etc/sallyport --trust-domain carrier.example --listen-ssh 0.0.0.0:2222"]),
    (
        "ca issue",
        &[
            "sallyport ca issue /etc/sallyport user noc-engineer --device laptop-7 --ttl 8h",
            "sallyport ca issue /etc/sallyport user backup --source-address 10.20.0.0/16",
        ],
    ),
    ("ca refresh-crl", &["sallyport ca refresh-crl /etc/sallyport"]),
    ("ca renew-server", &["sallyport ca renew-server /etc/sallyport"]),
    ("ca revoke", &["sallyport ca revoke /etc/sallyport noc-engineer"]),
    ("check", &["sallyport check --config sallyport.toml"]),
    ("connect", &["ssh -o ProxyCommand='sallyport connect %h' core-rtr-1"]),
    ("demo", &["sallyport demo --dir certs-dev/demo"]),
    ("elements list", &["sallyport elements list --config sallyport.toml --json"]),
    (
        "elements pin",
        &[
            "sallyport elements pin core-rtr-1 SHA256:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8 --config sallyport.toml",
        ],
    ),
    (
        "elements scan",
        &[
            "sallyport elements scan core-rtr-1 --config sallyport.toml",
            "sallyport elements scan 192.0.2.7:22 --config sallyport.toml",
        ],
    ),
    ("export", &["sallyport export 01a21782-4fb3-7f63-aedd-a658d09a3c1b --format cast --config sallyport.toml"]),
    ("gnmi capabilities", &["sallyport gnmi capabilities core-rtr-1"]),
    ("gnmi get", &["sallyport gnmi get core-rtr-1 '/interfaces/interface[name=*]/state/oper-status' --type state"]),
    (
        "gnmi set",
        &[
            "sallyport gnmi set core-rtr-1 --update '/interfaces/interface[name=Loopback0]/config/description=spare'",
            "sallyport gnmi set core-rtr-1 --replace '/system/config={\"hostname\": \"core-rtr-1\"}' --delete '/acl/acl-sets/acl-set[name=old][type=ACL_IPV4]'",
        ],
    ),
    (
        "gnmi subscribe",
        &[
            "sallyport gnmi subscribe core-rtr-1 /interfaces --mode once",
            "sallyport gnmi subscribe core-rtr-1 '/interfaces/interface[name=*]/state' --sample 10s --json",
        ],
    ),
    ("lock add", &["sallyport lock add user:noc-engineer --reason 'laptop stolen' --for 2d --config sallyport.toml"]),
    ("lock list", &["sallyport lock list --config sallyport.toml"]),
    ("lock remove", &["sallyport lock remove user:noc-engineer --config sallyport.toml"]),
    ("policy check", &["sallyport policy check --policies policies"]),
    (
        "policy explain",
        &[
            "sallyport policy explain --policies policies --who user:noc-engineer --element core-rtr-1 --verb ssh.exec --object 'show version'",
        ],
    ),
    ("policy import-nacm", &["sallyport policy import-nacm nacm.xml --element core-rtr-1 --out imported"]),
    ("policy test", &["sallyport policy test --policies policies"]),
    ("replay", &["sallyport replay 01a21782-4fb3-7f63-aedd-a658d09a3c1b --speed 4 --config sallyport.toml"]),
    ("secrets list", &["sallyport secrets list --config sallyport.toml"]),
    ("secrets remove", &["sallyport secrets remove old-rtr-1 --config sallyport.toml"]),
    ("secrets set", &["sallyport secrets set old-rtr-1 --config sallyport.toml <old-rtr-1.key"]),
    ("serve", &["sallyport serve --config /etc/sallyport/sallyport.toml"]),
    ("sessions list", &["sallyport sessions list --config sallyport.toml --json"]),
    ("sessions show", &["sallyport sessions show 01a21782-4fb3-7f63-aedd-a658d09a3c1b --config sallyport.toml"]),
    (
        "sessions terminate",
        &["sallyport sessions terminate 01a21782-4fb3-7f63-aedd-a658d09a3c1b --config sallyport.toml"],
    ),
    ("sessions watch", &["sallyport sessions watch 01a21782-4fb3-7f63-aedd-a658d09a3c1b --config sallyport.toml"]),
    (
        "ssh-config",
        &[
            "sallyport ssh-config --identity identities/noc-engineer >>~/.ssh/config",
            "sallyport ssh-config --door ssh --host core-rtr-1",
        ],
    ),
    ("verify", &["sallyport verify /var/lib/sallyport", "sallyport verify evidence.rec --keys signing.pub.pem"]),
    ("whoami", &["sallyport whoami --identity identities/noc-engineer"]),
];

/// `command` with an example at each of its leaves.
pub(super) fn with_examples(command: Command) -> Command {
    EXAMPLES.iter().fold(command, |command, (words, lines)| {
        let title = if lines.len() == 1 { "Example" } else { "Examples" };
        let text = format!("{title}:\n  {}", lines.join("\n  "));
        let mut path = words.split(' ');
        add(command, &mut path, text)
    })
}

fn add(command: Command, path: &mut std::str::Split<'_, char>, text: String) -> Command {
    match path.next() {
        None => command.after_help(text),
        Some(word) => command.mut_subcommand(word, |inner| add(inner, path, text)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::Cli;
    use super::*;

    /// The commands that do something, by their words.
    fn leaves(command: &Command, words: &str) -> Vec<String> {
        let inner: Vec<_> = command.get_subcommands().filter(|inner| inner.get_name() != "help").collect();
        if inner.is_empty() {
            return vec![words.trim().to_owned()];
        }
        inner.iter().flat_map(|inner| leaves(inner, &format!("{words} {}", inner.get_name()))).collect()
    }

    /// What a shell makes of a line: words, some in quotes, and redirections, which it keeps for itself.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('\'').enumerate().flat_map(|(n, part)| match n % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        });
        parts.filter(|word| !word.starts_with(['<', '>'])).collect()
    }

    #[test]
    fn every_command_has_an_example_that_the_parser_takes() {
        let mut named: Vec<_> = EXAMPLES.iter().map(|(words, _)| (*words).to_owned()).collect();
        assert!(named.is_sorted(), "they are in order");
        let mut all = leaves(&Cli::command(), "");
        all.sort();
        named.sort();
        assert_eq!(all, named);
        for (command, line) in EXAMPLES.iter().flat_map(|(words, lines)| lines.iter().map(move |line| (*words, *line)))
        {
            let mut typed = words(line);
            if *command == *"connect" {
                // What ssh runs.
                typed = words(&typed[3].replace("%h", "core-rtr-1"));
            }
            assert!(typed.join(" ").starts_with(&format!("sallyport {command}")), "{line}");
            let parsed = with_examples(Cli::command()).try_get_matches_from(&typed);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }
}
