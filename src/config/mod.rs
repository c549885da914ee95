//! Configuration: text in, typed [`Config`] out, every mistake in one report.
//!
//! Only this module knows TOML; each part of the gateway owns its own `Config`. Paths are relative to the folder of the file.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod reader;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::access::{Doors, HttpLimits, Limits, NetconfDoor, NetconfLimits};
use crate::domain::TrustDomain;
use crate::{audit, element, identity, recording};
use reader::{Report, Section};

/// Everything that `sallyport.toml` says.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the file, where relative paths begin.
    pub base: PathBuf,
    /// The gateway's name in its own log.
    pub name: String,
    /// Elements are reached as `<element>.<domain>`; the gateway itself as `<domain>`.
    pub domain: String,
    /// Where logs, recordings, locks and secrets are.
    pub data_dir: PathBuf,
    /// The policy folder.
    pub policies_dir: PathBuf,
    /// The key that signs checkpoints and seals.
    pub signing_key_file: PathBuf,
    /// The locks in force.
    pub locks_file: PathBuf,
    /// Certificates and authorities.
    pub trust: identity::trust::Config,
    /// The audit log.
    pub audit: audit::Config,
    /// Recordings.
    pub recording: recording::Config,
    /// Dialling and secrets.
    pub element: element::Config,
    /// Where clients come in.
    pub doors: Doors,
    /// What peers may take.
    pub limits: Limits,
    /// Where metrics, health and readiness are served, in plain HTTP; keep it on a private address.
    pub metrics: Option<SocketAddr>,
}

/// Reads the configuration in `file`.
///
/// # Errors
/// Every mistake found, each as `file:line: what is wrong and how to mend it`.
pub fn load(file: &Path) -> Result<Config, Vec<String>> {
    let (config, mistakes) = examine(file)?;
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
}

/// Reads the configuration in `file` as far as it can be understood, and every mistake in it: for a check that goes on behind them. What is
/// missing is left empty. Nothing runs by such a configuration.
///
/// # Errors
/// The file cannot be read.
pub fn examine(file: &Path) -> Result<(Config, Vec<String>), Vec<String>> {
    let at = |line: usize, text: &str| match line {
        0 => format!("{}: {text}", file.display()),
        line => format!("{}:{line}: {text}", file.display()),
    };
    let text = std::fs::read_to_string(file).map_err(|e| vec![at(0, &format!("cannot be read: {e}"))])?;
    let base = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let base = std::path::absolute(&base).map_err(|e| vec![at(0, &e.to_string())])?;
    let (config, mistakes) = parse(&text, &base);
    Ok((config, mistakes.iter().map(|m| at(m.line, &m.text)).collect()))
}

fn parse(text: &str, base: &Path) -> (Config, Vec<reader::Mistake>) {
    let mut report = Report::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        report.add(error.span().map_or(0, |s| s.start), error.message().to_owned());
    }
    let mut root = Section::root(table.get_ref());
    let config = read(&mut root, &mut report, base);
    root.finish(&mut report);
    report.mistakes.sort_by_key(|m| m.line);
    (config, report.mistakes)
}

fn read(root: &mut Section<'_, '_>, report: &mut Report<'_>, base: &Path) -> Config {
    let mut gateway = root.section(report, "gateway");
    let name = gateway.required::<String>(report, "name").unwrap_or_default();
    let domain = gateway.required::<DomainName>(report, "domain").map(|domain| domain.0).unwrap_or_default();
    let data_dir = gateway.path(report, "data_dir", base, Some("data"));
    let policies_dir = gateway.path(report, "policies_dir", base, Some("policies"));
    gateway.finish(report);

    let mut trust = root.section(report, "trust");
    let signing_key_file = trust.path(report, "signing_key_file", base, None);
    let secrets_key_file = trust.path(report, "secrets_key_file", base, None);
    let trust_config = read_trust(&mut trust, report, base, &domain);
    trust.finish(report);

    let doors = read_doors(root, report);
    let mut limits = read_limits(root, report);

    let mut recording = root.section(report, "recording");
    let recording_config = recording::Config {
        dir: data_dir.join("recordings"),
        sync_interval: recording.millis(report, "sync_interval_ms", 100, 10..=200),
        sync_timeout: recording.millis(report, "sync_timeout_ms", 5_000, 500..=60_000),
        mark_interval: recording::MARK_INTERVAL,
        bytes_max: limits.recording_bytes_max,
        free_bytes_min: recording.number(report, "free_bytes_min", 64 << 20, 0..=u64::MAX),
    };
    limits.exec_input_kept = recording.flag(report, "exec_input_kept", limits.exec_input_kept);
    recording.finish(report);
    let mut audit = root.section(report, "audit");
    let audit_config = audit::Config {
        dir: data_dir.join("audit"),
        segment_bytes_max: audit.number(report, "segment_bytes_max", 64 << 20, (1 << 16)..=(1 << 40)),
        pending_max: usize_of(audit.number(report, "pending_max", 4_096, 16..=1_000_000)),
        sync_timeout: audit.millis(report, "sync_timeout_ms", 5_000, 500..=60_000),
    };
    audit.finish(report);
    let mut element = root.section(report, "elements");
    let mut element_config = element::Config {
        connect_timeout: element.millis(report, "connect_timeout_ms", 15_000, 100..=120_000),
        window_bytes: u32::try_from(element.number(report, "window_bytes", 2 << 20, (1 << 15)..=(64 << 20)))
            .unwrap_or(2 << 20),
        secrets_dir: data_dir.join("secrets"),
        secrets_key_file,
        own: element::OwnDoors::default(),
    };
    element.finish(report);
    let mut metrics = root.section(report, "metrics");
    let metrics_listen = metrics.optional::<SocketAddr>(report, "listen");
    metrics.finish(report);

    // What the system chooses is known when the doors are open.
    let listening = [doors.mtls, doors.ssh, doors.netconf.as_ref().map(|door| door.listen), metrics_listen];
    element_config.own = element::OwnDoors::new(listening.into_iter().flatten());
    Config {
        base: base.to_owned(),
        name,
        domain,
        locks_file: data_dir.join("locks.json"),
        data_dir,
        policies_dir,
        signing_key_file,
        trust: trust_config,
        audit: audit_config,
        recording: recording_config,
        element: element_config,
        doors,
        limits,
        metrics: metrics_listen,
    }
}

fn read_trust(
    trust: &mut Section<'_, '_>,
    report: &mut Report<'_>,
    base: &Path,
    domain: &str,
) -> identity::trust::Config {
    let trust_domain = trust.required(report, "trust_domain").unwrap_or_else(TrustDomain::unknown);
    let identities = trust.optional::<String>(report, "ssh_identities_file").map(|file| base.join(file));
    let x509_element_ca = x509_element_ca(trust, report, base);
    let mut file = |key| trust.path(report, key, base, None);
    identity::trust::Config {
        domain: domain.to_owned(),
        client_ca_file: file("client_ca_file"),
        crl_file: file("crl_file"),
        server_certificate_file: file("server_certificate_file"),
        server_key_file: file("server_key_file"),
        ssh_user_ca_file: file("ssh_user_ca_file"),
        ssh_revoked_file: file("ssh_revoked_file"),
        ssh_host_ca_key_file: file("ssh_host_ca_key_file"),
        ssh_host_key_file: file("ssh_host_key_file"),
        ssh_element_ca_key_file: file("ssh_element_ca_key_file"),
        ssh_identities_file: identities,
        x509_element_ca,
        trust_domain,
    }
}

/// Certificate and key go together.
fn x509_element_ca(
    trust: &mut Section<'_, '_>,
    report: &mut Report<'_>,
    base: &Path,
) -> Option<identity::trust::ElementCaFiles> {
    let certificate = trust.optional::<String>(report, "x509_element_ca_file").map(|file| base.join(file));
    let key = trust.optional::<String>(report, "x509_element_ca_key_file").map(|file| base.join(file));
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(identity::trust::ElementCaFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            report.add(
                0,
                "trust.x509_element_ca_file and trust.x509_element_ca_key_file go together; write both or neither",
            );
            None
        }
    }
}

fn read_doors(root: &mut Section<'_, '_>, report: &mut Report<'_>) -> Doors {
    let mut doors = root.section(report, "doors");
    let mut mtls = doors.section(report, "mtls");
    let mut ssh = doors.section(report, "ssh");
    let mut netconf = doors.section(report, "netconf");
    let present = (mtls.present(), ssh.present(), netconf.present());
    let config = Doors {
        mtls: if present.0 { mtls.required(report, "listen") } else { None },
        ssh: if present.1 { ssh.required(report, "listen") } else { None },
        netconf: if present.2 { read_netconf_door(&mut netconf, report) } else { None },
        proxy_peers: doors.list(report, "proxy_protocol_peers").unwrap_or_default(),
    };
    if !present.0 && !present.1 && !present.2 {
        report.add(0, "no door is configured; add [doors.mtls] with listen = \"0.0.0.0:8443\"");
    }
    mtls.finish(report);
    ssh.finish(report);
    netconf.finish(report);
    doors.finish(report);
    config
}

fn read_netconf_door(door: &mut Section<'_, '_>, report: &mut Report<'_>) -> Option<NetconfDoor> {
    let listen = door.required(report, "listen");
    let accounts = door.list(report, "accounts").unwrap_or_default();
    Some(NetconfDoor { listen: listen?, accounts })
}

fn read_limits(root: &mut Section<'_, '_>, report: &mut Report<'_>) -> Limits {
    let d = Limits::default();
    let mut l = root.section(report, "limits");
    let limits = Limits {
        connections_max: usize_of(l.number(report, "connections_max", d.connections_max as u64, 1..=1_000_000)),
        connections_per_source_max: usize_of(l.number(
            report,
            "connections_per_source_max",
            d.connections_per_source_max as u64,
            1..=1_000_000,
        )),
        connections_per_identity_max: usize_of(l.number(
            report,
            "connections_per_identity_max",
            d.connections_per_identity_max as u64,
            1..=1_000_000,
        )),
        handshakes_max: usize_of(l.number(report, "handshakes_max", d.handshakes_max as u64, 1..=100_000)),
        handshake_timeout: l.millis(report, "handshake_timeout_ms", 10_000, 100..=120_000),
        login_grace: l.millis(report, "login_grace_ms", 20_000, 100..=600_000),
        login_attempts_max: usize_of(l.number(report, "login_attempts_max", d.login_attempts_max as u64, 1..=100)),
        channels_per_connection_max: usize_of(l.number(
            report,
            "channels_per_connection_max",
            d.channels_per_connection_max as u64,
            1..=10_000,
        )),
        queue_bytes_max: usize_of(l.number(
            report,
            "queue_bytes_max",
            d.queue_bytes_max as u64,
            (64 << 10)..=(256 << 20),
        )),
        queue_bytes_per_connection_max: usize_of(l.number(
            report,
            "queue_bytes_per_connection_max",
            d.queue_bytes_per_connection_max as u64,
            (1 << 20)..=(16 << 30),
        )),
        queue_bytes_total_max: usize_of(l.number(
            report,
            "queue_bytes_total_max",
            d.queue_bytes_total_max as u64,
            (1 << 20)..=(1 << 40),
        )),
        window_bytes: u32::try_from(l.number(
            report,
            "window_bytes",
            u64::from(d.window_bytes),
            (1 << 15)..=(64 << 20),
        ))
        .unwrap_or(d.window_bytes),
        bulk_kept_bytes_max: l.number(report, "bulk_kept_bytes_max", d.bulk_kept_bytes_max, 0..=u64::MAX),
        recording_bytes_max: l.number(report, "recording_bytes_max", d.recording_bytes_max, (1 << 20)..=u64::MAX),
        exec_input_kept: d.exec_input_kept,
        answer_timeout: l.millis(report, "answer_timeout_ms", 30_000, 100..=600_000),
        idle_timeout: l.duration(report, "idle_timeout", d.idle_timeout),
        rekey_bytes: usize_of(l.number(report, "rekey_bytes", d.rekey_bytes as u64, (4 << 20)..=(4 << 30))),
        unused_timeout: l.duration(report, "unused_timeout", d.unused_timeout),
        keepalive_interval: l.duration(report, "keepalive_interval", d.keepalive_interval),
        drain_grace: l.millis(report, "drain_grace_ms", 10_000, 0..=3_600_000),
        http: read_http(&mut l, report),
        netconf: read_netconf(&mut l, report),
        grpc_message_bytes_max: usize_of(l.number(
            report,
            "grpc_message_bytes_max",
            d.grpc_message_bytes_max as u64,
            (64 << 10)..=(1 << 30),
        )),
        environment: l.list(report, "environment").unwrap_or(d.environment),
    };
    l.finish(report);
    limits
}

fn read_http(limits: &mut Section<'_, '_>, report: &mut Report<'_>) -> HttpLimits {
    let d = HttpLimits::default();
    let mut h = limits.section(report, "http");
    let mut bytes = |key, default: usize, range| usize_of(h.number(report, key, default as u64, range));
    let limits = HttpLimits {
        header_bytes_max: bytes("header_bytes_max", d.header_bytes_max, (8 << 10)..=(1 << 20)),
        headers_max: bytes("headers_max", d.headers_max, 10..=1_000),
        body_bytes_max: bytes("body_bytes_max", d.body_bytes_max, (1 << 10)..=(1 << 30)),
        kept_bytes_max: bytes("kept_bytes_max", d.kept_bytes_max, 0..=(16 << 20)),
        upload_bytes_max: h.number(report, "upload_bytes_max", d.upload_bytes_max, (1 << 10)..=(1 << 40)),
        streams_max: u32::try_from(h.number(report, "streams_max", u64::from(d.streams_max), 1..=10_000))
            .unwrap_or(d.streams_max),
        header_timeout: h.millis(report, "header_timeout_ms", 10_000, 100..=120_000),
        body_timeout: h.millis(report, "body_timeout_ms", 60_000, 100..=3_600_000),
        answer_timeout: h.millis(report, "answer_timeout_ms", 60_000, 100..=3_600_000),
        idle_timeout: h.duration(report, "idle_timeout", d.idle_timeout),
    };
    h.finish(report);
    limits
}

fn read_netconf(limits: &mut Section<'_, '_>, report: &mut Report<'_>) -> NetconfLimits {
    let d = NetconfLimits::default();
    let mut n = limits.section(report, "netconf");
    let mut count = |key, default: usize, range| usize_of(n.number(report, key, default as u64, range));
    let limits = NetconfLimits {
        depth_max: count("depth_max", d.depth_max, 8..=200),
        elements_max: count("elements_max", d.elements_max, 100..=10_000_000),
        pipeline_max: count("pipeline_max", d.pipeline_max, 1..=10_000),
        kept_bytes_max: count("kept_bytes_max", d.kept_bytes_max, 0..=(16 << 20)),
        observed_bytes_max: count("observed_bytes_max", d.observed_bytes_max, 0..=(64 << 20)),
        message_bytes_max: n.number(report, "message_bytes_max", d.message_bytes_max, (4 << 10)..=(1 << 30)),
        reply_bytes_max: n.number(report, "reply_bytes_max", d.reply_bytes_max, (4 << 10)..=(1 << 40)),
        hello_timeout: n.millis(report, "hello_timeout_ms", 30_000, 100..=600_000),
        reply_timeout: n.millis(report, "reply_timeout_ms", 600_000, 100..=86_400_000),
    };
    n.finish(report);
    limits
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A DNS name in lower case.
struct DomainName(String);

impl std::str::FromStr for DomainName {
    type Err = crate::domain::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The rules for element names are those of DNS names.
        text.parse::<crate::domain::ElementName>()
            .map(|name| Self(name.as_str().to_owned()))
            .map_err(|_| crate::domain::ParseError::new(format!("`{text}` is not a DNS name in lower case")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[gateway]
name = "gw-1"
domain = "sallyport.example"
[trust]
trust_domain = "carrier.example"
client_ca_file = "ca/x509_ca.pem"
crl_file = "ca/crl.pem"
server_certificate_file = "gateway/server.pem"
server_key_file = "gateway/server.key.pem"
ssh_user_ca_file = "ca/ssh_user_ca.pub"
ssh_revoked_file = "ca/ssh_revoked"
ssh_host_ca_key_file = "ca/ssh_host_ca"
ssh_host_key_file = "gateway/ssh_host_key"
ssh_element_ca_key_file = "ca/ssh_element_ca"
signing_key_file = "gateway/signing.key.pem"
secrets_key_file = "gateway/secrets.key"
[doors.mtls]
listen = "127.0.0.1:8443"
"#;

    #[test]
    fn a_starter_file_is_read() {
        let (config, mistakes) = parse(GOOD, Path::new("/etc/sallyport"));
        assert_eq!(mistakes, []);
        assert_eq!(config.domain, "sallyport.example");
        assert_eq!(config.trust.crl_file, Path::new("/etc/sallyport/ca/crl.pem"));
        assert_eq!((config.doors.mtls.is_some(), config.doors.ssh), (true, None));
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let bad = GOOD
            .replace("name = \"gw-1\"", "nam = \"gw-1\"")
            .replace("\"carrier.example\"", "\"Carrier Example\"")
            .replace("\"127.0.0.1:8443\"", "8443")
            + "[limits]\nconnections_max = 0\nidle_timeout = \"soon\"\nwhat = 1\n[nonsense]\n";
        let (config, mistakes) = parse(&bad, Path::new("/etc"));
        assert_eq!(config.trust.crl_file, Path::new("/etc/ca/crl.pem"), "what is right is read all the same");
        let lines: Vec<_> = mistakes.iter().map(|m| m.line).collect();
        let text = format!("{mistakes:#?}");
        assert_eq!(lines, [2, 3, 6, 19, 21, 22, 23, 24], "{text}");
        for part in [
            "`gateway.name` is missing",
            "`gateway.nam` is not known",
            "trust domain",
            "write a text",
            "whole number",
            "soon",
            "limits.what",
            "nonsense",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn broken_toml_and_absent_doors_are_refused() {
        for text in
            ["", "[gateway", "[gateway]\nname = ", &GOOD.replace("[doors.mtls]\nlisten = \"127.0.0.1:8443\"\n", "")]
        {
            assert!(!parse(text, Path::new("/")).1.is_empty(), "{text}");
        }
    }
}
