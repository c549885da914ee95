//! Algorithm names to the library's: what is offered to one element, and what must not come of it.

use std::borrow::Cow;
use std::time::Duration;

use russh::client::{Config as ClientConfig, GexParams};
use russh::keys::{Algorithm, HashAlg};
use russh::{Limits, Names, Preferred, SshId, cipher, compression, kex, mac};

use crate::element::crypto::{Kind, Profile, offered};
use crate::element::host_key::HostTrust;

const PACKET_BYTES: u32 = 32 * 1024;
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVES_MISSED_MAX: usize = 3;
const REKEY_BYTES: usize = 1 << 30;
const REKEY_AFTER: Duration = Duration::from_secs(3600);

/// What the client side of one connection runs with.
pub(super) fn client_config(window_bytes: u32, profile: Option<&Profile>, trust: &HostTrust) -> ClientConfig {
    ClientConfig {
        client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Sallyport")),
        limits: Limits::new(REKEY_BYTES, REKEY_BYTES, REKEY_AFTER),
        window_size: window_bytes,
        maximum_packet_size: PACKET_BYTES,
        preferred: preferred(profile, trust),
        // Idleness is decided in one place, for the session as a whole.
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES_MISSED_MAX,
        gex: group_exchange(profile),
        nodelay: true,
        ..ClientConfig::default()
    }
}

/// Everything the gateway has, strict first: for looking at host keys, never for a login.
pub(super) fn everything(host_keys: Vec<Algorithm>, certificates: Vec<Algorithm>) -> Preferred {
    let all = |kind: Kind| kind.strict().iter().chain(kind.legacy()).copied().collect::<Vec<_>>();
    names_to_preferred(all(Kind::Kex), all(Kind::Cipher), all(Kind::Mac), host_keys, certificates)
}

fn preferred(profile: Option<&Profile>, trust: &HostTrust) -> Preferred {
    let host_keys = host_keys(&offered(Kind::HostKey, profile), trust);
    let certificates = if trust.authorities.is_empty() {
        Vec::new()
    } else {
        host_keys.iter().filter(|key| **key != Algorithm::Rsa { hash: None }).cloned().collect()
    };
    names_to_preferred(
        offered(Kind::Kex, profile),
        offered(Kind::Cipher, profile),
        offered(Kind::Mac, profile),
        host_keys,
        certificates,
    )
}

fn names_to_preferred(
    kex_names: Vec<&'static str>,
    ciphers: Vec<&'static str>,
    macs: Vec<&'static str>,
    host_keys: Vec<Algorithm>,
    certificates: Vec<Algorithm>,
) -> Preferred {
    let mut exchanges: Vec<kex::Name> =
        kex_names.into_iter().filter_map(|name| kex::Name::try_from(name).ok()).collect();
    // INVARIANT: without these markers strict key exchange and server-sig-algs silently vanish.
    exchanges.extend([kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT]);
    Preferred {
        kex: exchanges.into(),
        key: host_keys.into(),
        host_key_certificates: certificates.into(),
        cipher: ciphers.into_iter().filter_map(|name| cipher::Name::try_from(name).ok()).collect(),
        mac: macs.into_iter().filter_map(|name| mac::Name::try_from(name).ok()).collect(),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// The algorithms of pinned keys first: an element with several host keys then shows the one that was pinned.
fn host_keys(names: &[&str], trust: &HostTrust) -> Vec<Algorithm> {
    let known: Vec<Algorithm> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let is_pinned = |algorithm: &Algorithm| {
        trust.pinned.iter().filter_map(|pin| pin.algorithm()).any(|pin| match (algorithm, &pin) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            (offered, pin) => offered == pin,
        })
    };
    let (mut first, rest): (Vec<_>, Vec<_>) = known.into_iter().partition(is_pinned);
    first.extend(rest);
    first
}

fn group_exchange(profile: Option<&Profile>) -> GexParams {
    let least =
        if profile.is_some_and(|p| p.kex.iter().any(|name| name.contains("group-exchange"))) { 2048 } else { 3072 };
    GexParams::new(least, 4096, 8192).unwrap_or_default()
}

/// Refuses what is negotiated and must not be used.
///
/// # Errors
/// What is wrong with it.
pub(super) fn acceptable(names: &Names) -> Result<(), String> {
    weakness(names.cipher.as_ref(), [names.client_mac.as_ref(), names.server_mac.as_ref()], names.strict_kex())
        .map_or(Ok(()), Err)
}

/// SECURITY: CVE-2023-48795 (Terrapin). Without strict key exchange these let a man in the middle cut packets off.
fn weakness(cipher: &str, macs: [&str; 2], strict: bool) -> Option<String> {
    let aead = cipher.contains("gcm") || cipher.contains("poly1305");
    if !aead && macs.contains(&"none") {
        return Some(format!("{cipher} without a MAC"));
    }
    if strict {
        return None;
    }
    let cut = cipher.contains("poly1305") || (cipher.ends_with("-cbc") && macs.iter().any(|mac| mac.contains("-etm")));
    cut.then(|| format!("{cipher} with {} and without strict key exchange is open to prefix truncation; update the element or enable aes256-ctr or aes256-gcm on it", macs.join("/")))
}

/// What was negotiated, for the log.
pub(super) fn summary(names: &Names) -> String {
    let mac = names.client_mac.as_ref();
    let mac = if mac == "none" { "implicit" } else { mac };
    let strict = if names.strict_kex() { "" } else { " (no strict kex)" };
    format!("{}, {}, {mac}, {}{strict}", names.kex.as_ref(), names.cipher.as_ref(), names.key)
}

/// The host key families an element may have, one connection each.
pub(super) fn families() -> Vec<Vec<Algorithm>> {
    use russh::keys::EcdsaCurve::{NistP256, NistP384, NistP521};
    let ecdsa = |curve| vec![Algorithm::Ecdsa { curve }];
    let rsa = [Some(HashAlg::Sha512), Some(HashAlg::Sha256), None];
    vec![
        vec![Algorithm::Ed25519],
        ecdsa(NistP256),
        ecdsa(NistP384),
        ecdsa(NistP521),
        rsa.into_iter().map(|hash| Algorithm::Rsa { hash }).collect(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_has_every_name() {
        for kind in [Kind::Kex, Kind::Cipher, Kind::Mac, Kind::HostKey] {
            for name in kind.strict().iter().chain(kind.legacy()) {
                let known = match kind {
                    Kind::Kex => kex::Name::try_from(*name).is_ok(),
                    Kind::Cipher => cipher::Name::try_from(*name).is_ok(),
                    Kind::Mac => mac::Name::try_from(*name).is_ok(),
                    Kind::HostKey => name.parse::<Algorithm>().is_ok_and(|a| a.as_str() == *name),
                };
                assert!(known, "{name}");
            }
        }
    }

    #[test]
    fn strict_by_default() {
        let preferred = preferred(None, &HostTrust::default());
        assert_eq!(preferred.kex.first().unwrap().as_ref(), "mlkem768x25519-sha256");
        assert!(preferred.kex.contains(&kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT));
        assert_eq!(preferred.compression.as_ref(), [compression::NONE]);
        assert!(!preferred.key.contains(&Algorithm::Rsa { hash: None }));
        assert!(!preferred.mac.contains(&mac::NONE) && !preferred.cipher.contains(&cipher::NONE));
        assert!(preferred.host_key_certificates.is_empty());
    }

    #[test]
    fn pinned_algorithms_come_first() {
        let line = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";
        let trust = HostTrust { pinned: vec![line.parse().unwrap()], ..HostTrust::default() };
        assert_eq!(preferred(None, &trust).key.first().unwrap().as_str(), "ecdsa-sha2-nistp256");
        assert_eq!(preferred(None, &trust).key.len(), Kind::HostKey.strict().len());
    }

    #[test]
    fn prefix_truncation_is_refused() {
        let etm = ["hmac-sha2-256-etm@openssh.com"; 2];
        let plain = ["hmac-sha2-256"; 2];
        for (cipher, macs, strict) in [
            ("chacha20-poly1305@openssh.com", ["none"; 2], true),
            ("aes256-gcm@openssh.com", ["none"; 2], false),
            ("aes256-ctr", etm, false),
            ("aes128-cbc", plain, false),
            ("aes128-cbc", etm, true),
        ] {
            assert_eq!(weakness(cipher, macs, strict), None, "{cipher}");
        }
        for (cipher, macs, strict) in [
            ("chacha20-poly1305@openssh.com", ["none"; 2], false),
            ("aes128-cbc", etm, false),
            ("3des-cbc", ["hmac-sha1", "hmac-sha1-etm@openssh.com"], false),
            ("aes256-ctr", ["none"; 2], true),
            ("aes128-cbc", ["hmac-sha2-256", "none"], true),
            ("none", ["none"; 2], true),
        ] {
            assert!(weakness(cipher, macs, strict).is_some(), "{cipher} {macs:?} {strict}");
        }
    }
}
