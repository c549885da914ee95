//! The block for `~/.ssh/config` with which an ordinary `ssh` goes through the gateway and is never asked about a host key.

use std::fmt::Write as _;
use std::path::Path;

use super::folder::GatewayFacts;

/// What the block says.
#[derive(Debug, Clone)]
pub struct Block<'a> {
    /// The identity's folder, absolute.
    pub folder: &'a Path,
    /// The identity's name. As user name it stands for the usual account of the element; `ssh account@element` names another.
    pub name: &'a str,
    /// The `sallyport` program, absolute.
    pub program: &'a Path,
    /// Where the gateway is.
    pub gateway: &'a GatewayFacts,
    /// Host patterns it applies to; `*` in a file of its own.
    pub hosts: &'a [String],
    /// Through the SSH door in place of the mTLS door.
    pub ssh_door: bool,
}

/// Writes the block.
///
/// # Errors
/// A path, a pattern or an address that cannot stand in such a file, or the SSH door is asked for and there is none.
pub fn render(block: &Block<'_>) -> Result<String, String> {
    let folder = text(block.folder)?;
    for host in block.hosts {
        plain(host, "host pattern")?;
    }
    plain(&block.gateway.gateway, "address of the gateway")?;
    plain(&block.gateway.domain, "domain of the gateway")?;
    if block.hosts.is_empty() {
        return Err("no host pattern; name one with --host".to_owned());
    }
    let common = common(block.name, &folder);
    let mut out = String::new();
    if block.ssh_door {
        ssh_door(&mut out, block, &common)?;
    } else {
        let program = text(block.program)?;
        let command = format!(
            "{} connect --identity {} --gateway {} %h",
            shell(&program),
            shell(&folder),
            shell(&block.gateway.gateway)
        );
        push(&mut out, format_args!("# {} through the mTLS door of {}", block.name, block.gateway.domain));
        push(&mut out, format_args!("Host {}", block.hosts.join(" ")));
        push(&mut out, format_args!("    ProxyCommand {command}"));
        out.push_str(&common);
    }
    Ok(out)
}

fn ssh_door(out: &mut String, block: &Block<'_>, common: &str) -> Result<(), String> {
    let address = block.gateway.ssh_gateway.as_deref().ok_or("the gateway has no SSH door")?;
    plain(address, "address of the SSH door")?;
    let (host, port) = address.rsplit_once(':').ok_or_else(|| format!("`{address}` is not HOST:PORT"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let jump = format!("sallyport-{}", block.gateway.domain);
    push(out, format_args!("# {} through the SSH door of {}", block.name, block.gateway.domain));
    push(out, format_args!("Host {jump}"));
    push(out, format_args!("    HostName {host}"));
    push(out, format_args!("    Port {port}"));
    // The host certificate is for the gateway's name, and the address may be a number.
    push(out, format_args!("    HostKeyAlias {}", block.gateway.domain));
    out.push_str(common);
    push(out, format_args!("\nHost {} !{jump}", block.hosts.join(" ")));
    push(out, format_args!("    ProxyJump {jump}"));
    out.push_str(common);
    Ok(())
}

/// What both doors need: who the client is, and whom it believes.
fn common(name: &str, folder: &str) -> String {
    let file = |file: &str| quoted(&format!("{folder}/{file}"));
    let mut out = String::new();
    push(&mut out, format_args!("    User {name}"));
    push(&mut out, format_args!("    IdentityFile {}", file("ssh_key")));
    push(&mut out, format_args!("    CertificateFile {}", file("ssh_key-cert.pub")));
    push(&mut out, format_args!("    IdentitiesOnly yes"));
    push(&mut out, format_args!("    UserKnownHostsFile {}", file("known_hosts")));
    push(&mut out, format_args!("    GlobalKnownHostsFile /dev/null"));
    push(&mut out, format_args!("    HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com"));
    push(&mut out, format_args!("    StrictHostKeyChecking yes"));
    push(&mut out, format_args!("    UpdateHostKeys no"));
    out
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    writeln!(out, "{line}").ok();
}

/// A path as text that can stand on one line.
fn text(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some(text) if path.is_absolute() && !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(format!("{}: not an absolute path that an ssh configuration can hold", path.display())),
    }
}

/// One word of `ssh_config`: backslashes and quotes escaped, and `%` doubled because it begins a token.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

/// One word for the shell that runs a ProxyCommand.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''").replace('%', "%%"))
}

fn plain(text: &str, what: &str) -> Result<(), String> {
    let fits = !text.is_empty()
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'*' | b'?' | b'!' | b':' | b'[' | b']')
        });
    if fits { Ok(()) } else { Err(format!("`{}` cannot be used as {what}", text.escape_debug())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(ssh: Option<&str>) -> GatewayFacts {
        GatewayFacts {
            domain: "sallyport.example".to_owned(),
            gateway: "127.0.0.1:8443".to_owned(),
            ssh_gateway: ssh.map(str::to_owned),
        }
    }

    fn render_with(
        folder: &str,
        program: &str,
        hosts: &[&str],
        gateway: &GatewayFacts,
        ssh_door: bool,
    ) -> Result<String, String> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        render(&Block {
            folder: Path::new(folder),
            name: "ada",
            program: Path::new(program),
            gateway,
            hosts: &hosts,
            ssh_door,
        })
    }

    #[test]
    fn the_mtls_block() {
        let block = render_with("/id/ada", "/bin/sallyport", &["*"], &gateway(None), false).unwrap();
        for line in [
            "Host *",
            "    ProxyCommand '/bin/sallyport' connect --identity '/id/ada' --gateway '127.0.0.1:8443' %h",
            "    User ada",
            "    IdentityFile \"/id/ada/ssh_key\"",
            "    UserKnownHostsFile \"/id/ada/known_hosts\"",
            "    StrictHostKeyChecking yes",
        ] {
            assert!(block.lines().any(|l| l == line), "{line}\n{block}");
        }
    }

    #[test]
    fn paths_cannot_say_anything_else() {
        let block = render_with("/a b/100%/it's", "/x\"y\\z", &["*"], &gateway(None), false).unwrap();
        assert!(
            block.contains(r#"ProxyCommand '/x"y\z' connect --identity '/a b/100%%/it'\''s' --gateway"#),
            "{block}"
        );
        assert!(block.contains(r#"IdentityFile "/a b/100%%/it's/ssh_key""#), "{block}");
        for (folder, program, host) in [
            ("relative", "/p", "*"),
            ("/a\nProxyCommand id", "/p", "*"),
            ("/a", "p", "*"),
            ("/a", "/p\r", "*"),
            ("/a", "/p", ""),
            ("/a", "/p", "* \n"),
            ("/a", "/p", "a b"),
            ("/a", "/p", "\"x\""),
        ] {
            assert!(
                render_with(folder, program, &[host], &gateway(None), false).is_err(),
                "{folder:?} {program:?} {host:?}"
            );
        }
        assert!(render_with("/a", "/p", &[], &gateway(None), false).is_err());
        let mut facts = gateway(None);
        facts.gateway = "$(id):1".to_owned();
        assert!(render_with("/a", "/p", &["*"], &facts, false).is_err());
    }

    #[test]
    fn the_ssh_door_needs_one() {
        assert!(render_with("/a", "/p", &["*"], &gateway(None), true).is_err());
        assert!(render_with("/a", "/p", &["*"], &gateway(Some("nowhere")), true).is_err());
        let block = render_with("/a", "/p", &["*"], &gateway(Some("[::1]:2222")), true).unwrap();
        for line in [
            "    HostName ::1",
            "    Port 2222",
            "    HostKeyAlias sallyport.example",
            "    ProxyJump sallyport-sallyport.example",
        ] {
            assert!(block.lines().any(|l| l == line), "{line}\n{block}");
        }
    }
}
