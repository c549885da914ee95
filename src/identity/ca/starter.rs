//! The configuration and the policies that a new authority starts with.

use std::net::SocketAddr;

use crate::domain::TrustDomain;

/// What the starting configuration says.
#[derive(Debug, Clone)]
pub struct Starter<'a> {
    /// The gateway's name in its logs.
    pub name: &'a str,
    /// Elements are reached as `<element>.<domain>`.
    pub domain: &'a str,
    /// Whose identities are admitted.
    pub trust_domain: &'a TrustDomain,
    /// Where the mTLS door listens.
    pub listen_mtls: SocketAddr,
    /// Where the SSH door listens; off when absent.
    pub listen_ssh: Option<SocketAddr>,
    /// Where the metrics are.
    pub listen_metrics: SocketAddr,
}

/// The text of `sallyport.toml`. Paths in it are relative to its own folder.
pub fn starter_config(starter: &Starter<'_>) -> String {
    let Starter { name, domain, trust_domain, listen_mtls, listen_ssh, listen_metrics } = starter;
    let ssh_door = match listen_ssh {
        Some(listen) => format!("[doors.ssh]\nlisten = \"{listen}\"\n"),
        None => "# [doors.ssh]                     # off: for clients that cannot speak TLS\n# listen = \"127.0.0.1:2222\"\n".to_owned(),
    };
    format!(
        r#"# Paths are relative to this file's folder.
[gateway]
name = "{name}"
domain = "{domain}"     # elements are reached as <element>.<domain>
data_dir = "data"
policies_dir = "policies"

[trust]
trust_domain = "{trust_domain}"
client_ca_file = "ca/x509_ca.pem"
crl_file = "ca/crl.pem"
server_certificate_file = "gateway/server.pem"
server_key_file = "gateway/server.key.pem"
ssh_user_ca_file = "ca/ssh_user_ca.pub"
ssh_revoked_file = "ca/ssh_revoked"
ssh_identities_file = "ca/ssh_identities"
ssh_host_ca_key_file = "ca/ssh_host_ca"
ssh_host_key_file = "gateway/ssh_host_key"
ssh_element_ca_key_file = "ca/ssh_element_ca"
x509_element_ca_file = "ca/x509_element_ca.pem"
x509_element_ca_key_file = "ca/x509_element_ca.key.pem"
signing_key_file = "gateway/signing.key.pem"
secrets_key_file = "gateway/secrets.key"

[doors.mtls]
listen = "{listen_mtls}"

{ssh_door}
[metrics]
listen = "{listen_metrics}"
"#
    )
}

/// The policies shipped with the gateway: path below `policies/`, and text.
pub fn starter_policies() -> &'static [(&'static str, &'static str)] {
    macro_rules! shipped {
        ($($path:literal)*) => { &[$(($path, include_str!(concat!("../../../policies/", $path))),)*] };
    }
    shipped!("set.toml" "model.conf" "policy.csv" "elements.toml" "cases.toml" "models.toml" "commands/ios.toml" "commands/linux.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_policy_file_is_written() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let mut found = Vec::new();
        for folder in [root.clone(), root.join("commands")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() && path.extension().is_some_and(|e| e == "toml" || e == "csv" || e == "conf") {
                    found.push(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        let mut shipped: Vec<_> = starter_policies().iter().map(|(path, _)| (*path).to_owned()).collect();
        found.sort();
        shipped.sort();
        assert_eq!(shipped, found);
    }
}
