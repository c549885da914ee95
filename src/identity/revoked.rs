//! The two SSH lists that `sallyport ca` keeps: what is revoked, and which keys were certified for whom. Text to sets, no I/O.

use std::collections::{HashMap, HashSet};

use ssh_key::{Certificate, HashAlg, PublicKey, public::KeyData};

use crate::domain::{Identity, Timestamp};

/// Revoked SSH certificates and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Revoked {
    serials: HashSet<u64>,
    key_ids: HashSet<String>,
    keys: HashSet<[u8; 32]>,
}

impl Revoked {
    /// Reads `serial N`, `id KEY-ID` and `sha256:HASH` lines. Empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    /// Every line that is none of these, with its number: a list that is only half understood revokes only half.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let (mut revoked, mut problems) = (Self::default(), Vec::new());
        for (number, line) in numbered(text) {
            if !revoked.take(line) {
                problems.push(format!(
                    "line {number}: `{}` is not `serial NUMBER`, `id KEY-ID` or `sha256:HASH`",
                    line.escape_debug()
                ));
            }
        }
        if problems.is_empty() { Ok(revoked) } else { Err(problems) }
    }

    fn take(&mut self, line: &str) -> bool {
        if let Some(serial) = line.strip_prefix("serial ") {
            serial.trim().parse().map(|n| self.serials.insert(n)).is_ok()
        } else if let Some(key_id) = line.strip_prefix("id ") {
            let named = !key_id.trim().is_empty();
            if named {
                self.key_ids.insert(key_id.trim().to_owned());
            }
            named
        } else if let Some(hash) = line.strip_prefix("sha256:").or_else(|| line.strip_prefix("SHA256:")) {
            let bytes = data_encoding::BASE64_NOPAD.decode(hash.trim_end_matches('=').as_bytes());
            bytes.ok().and_then(|b| <[u8; 32]>::try_from(b).ok()).map(|b| self.keys.insert(b)).is_some()
        } else {
            false
        }
    }

    /// Whether this certificate, its key, or the key that signed it, is revoked.
    pub(crate) fn covers(&self, certificate: &Certificate) -> bool {
        self.serials.contains(&certificate.serial())
            || self.key_ids.contains(certificate.key_id())
            || self.covers_key(certificate.public_key())
            || self.covers_key(certificate.signature_key())
    }

    /// Whether this key is revoked.
    pub(crate) fn covers_key(&self, key: &KeyData) -> bool {
        key.fingerprint(HashAlg::Sha256).sha256().is_some_and(|hash| self.keys.contains(&hash))
    }
}

/// Which SSH keys were certified for which identity, and until when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Companions {
    until: HashMap<(Identity, KeyData), Timestamp>,
}

impl Companions {
    /// Reads lines of `IDENTITY NOT-AFTER PUBLIC-KEY`.
    ///
    /// # Errors
    /// Every line that is not that, with its number.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let (mut companions, mut problems) = (Self::default(), Vec::new());
        for (number, line) in numbered(text) {
            match companion(line) {
                Some((identity, until, key)) => {
                    let slot = companions.until.entry((identity, key)).or_insert(until);
                    *slot = until.max(*slot);
                }
                None => problems.push(format!("line {number}: not `spiffe://… NOT-AFTER ssh-… KEY`")),
            }
        }
        if problems.is_empty() { Ok(companions) } else { Err(problems) }
    }

    /// The text form of one entry.
    pub(crate) fn line(identity: &Identity, until: Timestamp, key: &PublicKey) -> Result<String, ssh_key::Error> {
        Ok(format!("{identity} {until} {}", PublicKey::from(key.key_data().clone()).to_openssh()?))
    }

    /// Whether `key` was certified for `identity` and the certificate has not run out at `now`.
    pub(crate) fn hold(&self, identity: &Identity, key: &KeyData, now: Timestamp) -> bool {
        self.until.get(&(identity.clone(), key.clone())).is_some_and(|until| now < *until)
    }
}

/// One line of the list of companions.
pub(crate) fn companion(line: &str) -> Option<(Identity, Timestamp, KeyData)> {
    let (identity, rest) = line.split_once(' ')?;
    let (until, key) = rest.split_once(' ')?;
    let key = PublicKey::from_openssh(key).ok()?;
    Some((identity.parse().ok()?, until.parse().ok()?, key.key_data().clone()))
}

/// The lines that say something, counted from 1.
pub(crate) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_understood_refuses_the_whole_list() {
        for text in [
            "serial",
            "serial x",
            "serial -1",
            "serial 1 2",
            "serial 18446744073709551616",
            "id ",
            "id",
            "sha256:",
            "sha256:AAAA",
            "sha1:AAAA",
            "serial: 4",
            "Serial 4",
            "ssh-ed25519 AAAA",
            "serial 1\nserail 2",
        ] {
            assert!(Revoked::parse(text).is_err(), "{text}");
        }
        let problems = Revoked::parse("# note\n\nserial 1\nx\ny").unwrap_err();
        assert_eq!(problems.iter().map(|p| &p[..7]).collect::<Vec<_>>(), ["line 4:", "line 5:"]);
    }

    #[test]
    fn lists_that_are_understood() {
        let hash = data_encoding::BASE64_NOPAD.encode(&[7; 32]);
        let revoked = Revoked::parse(&format!(
            "serial 1\n serial 18446744073709551615 \n# x\nid a b\nsha256:{hash}=\nSHA256:{hash}\n"
        ))
        .unwrap();
        assert_eq!((revoked.serials.len(), revoked.key_ids.len(), revoked.keys.len()), (2, 1, 1));
        assert_eq!(Revoked::parse(""), Ok(Revoked::default()));
    }

    #[test]
    fn companions_are_of_one_identity_and_run_out() {
        let key = ssh_key::PrivateKey::random(&mut rand::rng(), ssh_key::Algorithm::Ed25519).unwrap();
        let other = ssh_key::PrivateKey::random(&mut rand::rng(), ssh_key::Algorithm::Ed25519).unwrap();
        let ada: Identity = "spiffe://carrier.example/user/ada".parse().unwrap();
        let eve: Identity = "spiffe://carrier.example/user/eve".parse().unwrap();
        let until = Timestamp::from_secs(1_000);
        let text = Companions::line(&ada, until, key.public_key()).unwrap();
        let companions = Companions::parse(&text).unwrap();
        let before = Timestamp::from_secs(999);
        assert!(companions.hold(&ada, key.public_key().key_data(), before));
        assert!(!companions.hold(&ada, key.public_key().key_data(), until), "run out");
        assert!(!companions.hold(&eve, key.public_key().key_data(), before), "another identity");
        assert!(!companions.hold(&ada, other.public_key().key_data(), before), "another key");
        let uri = ada.to_string();
        for line in [
            "x",
            &uri,
            &format!("{uri} ssh-ed25519 AAAA"),
            &text.replace("user", "device"),
            &text.replace("ssh-ed25519", "ssh-rsa"),
        ] {
            assert!(Companions::parse(line).is_err(), "{line}");
        }
    }
}
