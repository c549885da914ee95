//! Which algorithms are offered to elements: a strict set, and what a crypto profile adds after it.
//!
//! Algorithms are names here; `ssh` turns them into the library's. A profile never takes anything away and never comes
//! first, so an element that learns something better is better protected from the next dial on.

use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime};

use crate::domain::Timestamp;

/// Key exchange, best first. Group 14 is last: RFC 9142 allows it, and nothing prefers it.
pub const STRICT_KEX: &[&str] = &[
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
];

/// Host key algorithms, best first. `ssh-rsa` means SHA-1 and is not among them.
pub const STRICT_HOST_KEYS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// Ciphers, best first. ChaCha20-Poly1305 is last: it is what the Terrapin attack cuts when the element lacks strict key
/// exchange, and such an element is only usable when it has one of the others.
pub const STRICT_CIPHERS: &[&str] = &[
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
    "chacha20-poly1305@openssh.com",
];

/// MACs, encrypt-then-MAC first.
pub const STRICT_MACS: &[&str] =
    &["hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512", "hmac-sha2-256"];

const LEGACY_KEX: &[&str] = &[
    "ecdh-sha2-nistp521",
    "diffie-hellman-group17-sha512",
    "diffie-hellman-group15-sha512",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group1-sha1",
];
const LEGACY_HOST_KEYS: &[&str] = &["ssh-rsa"];
const LEGACY_CIPHERS: &[&str] = &["aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc"];
const LEGACY_MACS: &[&str] = &["hmac-sha1-etm@openssh.com", "hmac-sha1"];

/// A class of algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ciphers.
    Cipher,
    /// Host key algorithms.
    HostKey,
    /// Key exchange.
    Kex,
    /// Message authentication codes.
    Mac,
}

impl Kind {
    /// The key under which a profile lists them.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Cipher => "ciphers",
            Self::HostKey => "host_keys",
            Self::Kex => "kex",
            Self::Mac => "macs",
        }
    }

    /// The strict set, best first.
    pub const fn strict(self) -> &'static [&'static str] {
        match self {
            Self::Cipher => STRICT_CIPHERS,
            Self::HostKey => STRICT_HOST_KEYS,
            Self::Kex => STRICT_KEX,
            Self::Mac => STRICT_MACS,
        }
    }

    /// What only a profile may add, best first.
    pub const fn legacy(self) -> &'static [&'static str] {
        match self {
            Self::Cipher => LEGACY_CIPHERS,
            Self::HostKey => LEGACY_HOST_KEYS,
            Self::Kex => LEGACY_KEX,
            Self::Mac => LEGACY_MACS,
        }
    }

    /// The known algorithm of this name.
    pub fn known(self, name: &str) -> Option<&'static str> {
        self.strict().iter().chain(self.legacy()).find(|known| **known == name).copied()
    }
}

/// What one or more elements need beyond the strict set, who answers for it, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Key exchange.
    pub kex: Vec<&'static str>,
    /// Host key algorithms.
    pub host_keys: Vec<&'static str>,
    /// Ciphers.
    pub ciphers: Vec<&'static str>,
    /// MACs.
    pub macs: Vec<&'static str>,
    /// Why it is needed.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day (UTC) on which it may be used.
    pub expires: Date,
}

impl Profile {
    /// What it adds of this kind.
    pub fn extra(&self, kind: Kind) -> &[&'static str] {
        match kind {
            Kind::Cipher => &self.ciphers,
            Kind::HostKey => &self.host_keys,
            Kind::Kex => &self.kex,
            Kind::Mac => &self.macs,
        }
    }

    /// Whether `now` is after its last day.
    pub fn expired(&self, now: Timestamp) -> bool {
        self.days_left(now).is_none()
    }

    /// Whole days left after today; none when it has run out or the clock cannot be read as a date.
    pub fn days_left(&self, now: Timestamp) -> Option<i64> {
        let today = OffsetDateTime::from_unix_timestamp(now.as_secs()).ok()?.date();
        let days = (self.expires - today).whole_days();
        (days >= 0).then_some(days)
    }
}

/// The algorithms to offer of one kind: the strict ones, then those of the profile that are not among them.
pub fn offered(kind: Kind, profile: Option<&Profile>) -> Vec<&'static str> {
    let mut names = kind.strict().to_vec();
    for name in profile.map_or(&[][..], |p| p.extra(kind)) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    names
}

/// Reads `2027-06-30`.
pub(super) fn parse_date(text: &str) -> Result<Date, String> {
    // ISO 8601 has weeks, ordinals and times of day as well; people who review an inventory should not need to know.
    let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let date = plain.then(|| Date::parse(text, &Iso8601::DATE).ok()).flatten();
    date.ok_or_else(|| format!("`{}` is not a date; write it as 2027-06-30", text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(expires: &str) -> Profile {
        Profile {
            name: "legacy".into(),
            kex: vec!["diffie-hellman-group14-sha1", "curve25519-sha256"],
            host_keys: vec![],
            ciphers: vec!["aes128-cbc"],
            macs: vec!["hmac-sha1"],
            reason: "old".into(),
            owner: "noc".into(),
            expires: parse_date(expires).unwrap(),
        }
    }

    #[test]
    fn what_is_secure_comes_first_and_once() {
        let profile = profile("2027-06-30");
        for kind in [Kind::Cipher, Kind::HostKey, Kind::Kex, Kind::Mac] {
            let names = offered(kind, Some(&profile));
            assert!(names.starts_with(kind.strict()), "{kind:?}");
            assert_eq!(offered(kind, None), kind.strict());
        }
        assert_eq!(offered(Kind::Kex, Some(&profile)).len(), STRICT_KEX.len() + 1);
        assert_eq!(offered(Kind::Cipher, Some(&profile)).last(), Some(&"aes128-cbc"));
    }

    #[test]
    fn nothing_broken_is_strict_and_nothing_absent_is_known() {
        for kind in [Kind::Cipher, Kind::HostKey, Kind::Kex, Kind::Mac] {
            for name in kind.strict() {
                assert!(!name.contains("sha1") && !name.ends_with("-cbc") && *name != "ssh-rsa", "{name}");
            }
            for name in [
                "none",
                "clear",
                "",
                "aes128-cbc ",
                "arcfour",
                "ssh-dss",
                "hmac-md5",
                "zlib",
                "kex-strict-c-v00@openssh.com",
            ] {
                assert_eq!(kind.known(name), None, "{name}");
            }
        }
    }

    #[test]
    fn a_profile_ends_with_its_last_day() {
        let profile = profile("2027-06-30");
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(profile.days_left(at("2027-06-01T00:00:00Z")), Some(29));
        assert!(!profile.expired(at("2027-06-30T23:59:59Z")));
        assert!(profile.expired(at("2027-07-01T00:00:00Z")));
        for text in
            ["", "2027-6-30", "30.06.2027", "2027-02-30", "tomorrow", "2027-W01-1", "2027-001", "2027-06-30T00:00:00Z"]
        {
            assert!(parse_date(text).is_err(), "{text}");
        }
    }
}
