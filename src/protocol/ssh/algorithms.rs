//! What the gateway offers its clients: strict, with no way to weaken it. Elements have profiles; clients do not.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve};
use russh::{Limits, MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};

use crate::access::{self, Minted};

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
const MACS: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM, mac::HMAC_SHA512, mac::HMAC_SHA256];
/// Also the signature algorithms that clients may log in with: no SHA-1.
const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::SkEd25519,
    Algorithm::SkEcdsaSha2NistP256,
    Algorithm::Rsa { hash: Some(russh::keys::HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(russh::keys::HashAlg::Sha256) },
];

/// Time alone is no reason: OpenSSH's is none, either.
const REKEY_AFTER: Duration = Duration::from_secs(365 * 86_400);

/// The server side's configuration for one connection, under the host certificate `host`. `known` when TLS has identified the client already.
pub(super) fn server_config(host: &Minted, limits: &access::Limits, known: bool) -> russh::server::Config {
    let mut methods = MethodSet::empty();
    if known {
        methods.push(MethodKind::None);
    }
    methods.push(MethodKind::PublicKey);
    russh::server::Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Sallyport")),
        methods,
        // How long every refusal takes, so that its time does not tell the reason. Clients that offer the bare key before its certificate wait for it.
        auth_rejection_time: Duration::from_millis(100),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![host.key.clone()],
        certificates: vec![host.certificate.clone()],
        // Clients change keys themselves, most after a gibibyte; this is for those that do not. With fewer than 2^32 packets, however small, no
        // sequence number comes twice.
        limits: Limits {
            rekey_write_limit: limits.rekey_bytes,
            rekey_read_limit: limits.rekey_bytes,
            rekey_time_limit: REKEY_AFTER,
        },
        // What a channel begins with; one that sends much is granted up to `limits.window_bytes` at a time (see `Windows`).
        window_size: limits.window_bytes.min(access::Backlog::BEGINNING),
        maximum_packet_size: 32 << 10,
        // The channel's own queue is not used for what the client sends.
        channel_buffer_size: 1,
        event_buffer_size: 16,
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: Cow::Borrowed(KEYS),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        max_auth_attempts: limits.login_attempts_max,
        // Idleness is the session's affair (access::supervise); a silent peer is found by keep-alives.
        inactivity_timeout: None,
        keepalive_interval: Some(limits.keepalive_interval),
        keepalive_max: 3,
        nodelay: true,
    }
}
