//! Which host keys prove that an element is the element: pinned keys and host certificates. Pure; nothing is learnt.

use std::fmt;
use std::str::FromStr;

use ssh_key::certificate::CertType;
use ssh_key::{Algorithm, Certificate, Fingerprint, HashAlg, PublicKey};

use crate::domain::{ElementName, Timestamp};

/// A host key that a person pinned: the whole key, or its SHA-256 fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    fingerprint: Fingerprint,
    key: Option<PublicKey>,
}

impl Pinned {
    /// Its fingerprint, `SHA256:…`.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Its algorithm; a fingerprint alone does not tell.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.key.as_ref().map(PublicKey::algorithm)
    }
}

impl FromStr for Pinned {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("SHA256:") {
            let fingerprint = text.parse().map_err(|_| format!("`{}` is not a fingerprint", text.escape_debug()))?;
            return Ok(Self { fingerprint, key: None });
        }
        let key = parse_public_key(text)?;
        Ok(Self { fingerprint: key.fingerprint(HashAlg::Sha256), key: Some(key) })
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fingerprint.fmt(f)
    }
}

/// What one element's host key is checked against.
#[derive(Debug, Clone, Default)]
pub struct HostTrust {
    /// Pinned keys.
    pub pinned: Vec<Pinned>,
    /// Fingerprints of the authorities whose host certificates count.
    pub authorities: Vec<Fingerprint>,
    /// Principals that count beside the element's name.
    pub principals: Vec<String>,
}

/// Why a host key does not count. `presented` is for people: algorithm, fingerprint and, for a certificate, what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What the element showed.
    pub presented: String,
    /// What would have been accepted.
    pub expected: Vec<String>,
}

impl HostTrust {
    /// Checks a bare key.
    ///
    /// # Errors
    /// It is not pinned.
    pub fn check_key(&self, key: &PublicKey) -> Result<(), Mismatch> {
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        if self.pinned.iter().any(|pin| {
            pin.fingerprint == fingerprint && pin.key.as_ref().is_none_or(|k| k.key_data() == key.key_data())
        }) {
            return Ok(());
        }
        Err(Mismatch { presented: describe(key), expected: self.expected() })
    }

    /// Checks a host certificate for `element` at `now`. The exchange itself was signed with the key inside it.
    ///
    /// # Errors
    /// Another authority, not a host certificate, a weak signature, outside its validity, no matching principal (an empty
    /// list matches nothing), or any critical option: none is defined for hosts.
    pub fn check_certificate(
        &self,
        certificate: &Certificate,
        element: &ElementName,
        now: Timestamp,
    ) -> Result<(), Mismatch> {
        self.certificate_fault(certificate, element, now).map_or(Ok(()), |fault| {
            let key = PublicKey::new(certificate.public_key().clone(), "");
            let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
            Err(Mismatch {
                presented: format!("{} with a host certificate of authority {authority} ({fault})", describe(&key)),
                expected: self.expected(),
            })
        })
    }

    fn certificate_fault(&self, certificate: &Certificate, element: &ElementName, now: Timestamp) -> Option<String> {
        let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
        if !self.authorities.contains(&authority) {
            return Some("the authority is not one of those listed".to_owned());
        }
        if certificate.cert_type() != CertType::Host {
            return Some("it is a user certificate".to_owned());
        }
        // SECURITY: an authority's SHA-1 signature can be forged for a chosen certificate.
        if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
            return Some("it is signed with SHA-1".to_owned());
        }
        if !certificate.critical_options().is_empty() {
            return Some("it holds a critical option".to_owned());
        }
        let names = |principal: &String| principal == element.as_str() || self.principals.contains(principal);
        if !certificate.valid_principals().iter().any(names) {
            return Some(format!("it is for {:?}", certificate.valid_principals()));
        }
        let Ok(at) = u64::try_from(now.as_secs()) else { return Some("the clock is before 1970".to_owned()) };
        if certificate.validate_at(at, &self.authorities).is_err() {
            return Some("it is outside its validity, or its signature is wrong".to_owned());
        }
        None
    }

    fn expected(&self) -> Vec<String> {
        let pinned = self.pinned.iter().map(ToString::to_string);
        pinned.chain(self.authorities.iter().map(|a| format!("a certificate of {a}"))).collect()
    }
}

/// A key for people: `ssh-ed25519 SHA256:…`.
pub fn describe(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// Reads `ssh-ed25519 AAAA… [comment]`.
pub(super) fn parse_public_key(text: &str) -> Result<PublicKey, String> {
    let bad = || {
        format!(
            "`{}` is neither a SHA256: fingerprint nor a public key line such as `ssh-ed25519 AAAA…`; `sallyport elements scan` shows both",
            text.escape_debug()
        )
    };
    let key = PublicKey::from_openssh(text.trim()).map_err(|_| bad())?;
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. } => Ok(key),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use ssh_key::PrivateKey;
    use ssh_key::certificate::Builder;
    use ssh_key::private::Ed25519Keypair;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
    }

    fn builder(from: u64, to: u64) -> Builder {
        Builder::new(vec![7; 16], key(1).public_key().key_data().clone(), from, to).unwrap()
    }

    fn trust() -> HostTrust {
        HostTrust {
            pinned: vec![],
            authorities: vec![key(9).public_key().fingerprint(HashAlg::Sha256)],
            principals: vec!["rtr1.old.example".into()],
        }
    }

    fn check(trust: &HostTrust, certificate: &Certificate) -> Result<(), Mismatch> {
        let now = Timestamp::from_secs(i64::try_from(NOW).unwrap());
        trust.check_certificate(certificate, &"core-rtr-1".parse().unwrap(), now)
    }

    fn host(edit: impl FnOnce(&mut Builder), signer: u8) -> Certificate {
        let mut builder = builder(NOW - 10, NOW + 10);
        builder.cert_type(CertType::Host).unwrap();
        edit(&mut builder);
        builder.sign(&key(signer)).unwrap()
    }

    #[test]
    fn pinned_keys() {
        let line = key(1).public_key().to_openssh().unwrap();
        let print = key(1).public_key().fingerprint(HashAlg::Sha256).to_string();
        for pin in [line.as_str(), print.as_str()] {
            let trust = HostTrust { pinned: vec![pin.parse().unwrap()], ..HostTrust::default() };
            assert_eq!(trust.check_key(key(1).public_key()), Ok(()), "{pin}");
            let mismatch = trust.check_key(key(2).public_key()).unwrap_err();
            assert_eq!(mismatch.expected, vec![print.clone()]);
            assert_eq!(mismatch.presented, describe(key(2).public_key()));
        }
        assert!(HostTrust::default().check_key(key(1).public_key()).is_err());
        assert!(trust().check_key(key(9).public_key()).is_err(), "an authority's own key is no host key");
    }

    #[test]
    fn what_is_not_a_pin() {
        for text in [
            "",
            "SHA256:",
            "SHA256:xyz",
            "MD5:00:11",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-dss AAAA",
            "* ssh-ed25519 AAAA",
        ] {
            assert!(text.parse::<Pinned>().is_err(), "{text}");
        }
    }

    #[test]
    fn host_certificates_that_count() {
        let by_name = host(
            |b| {
                b.valid_principal("core-rtr-1").unwrap();
            },
            9,
        );
        let by_listed = host(
            |b| {
                b.valid_principal("other").unwrap().valid_principal("rtr1.old.example").unwrap();
            },
            9,
        );
        for certificate in [by_name, by_listed] {
            assert_eq!(check(&trust(), &certificate), Ok(()));
        }
    }

    #[test]
    fn host_certificates_that_do_not() {
        let mut user = builder(NOW - 10, NOW + 10);
        user.cert_type(CertType::User).unwrap().valid_principal("core-rtr-1").unwrap();
        let mut expired = builder(NOW - 10, NOW);
        expired.cert_type(CertType::Host).unwrap().valid_principal("core-rtr-1").unwrap();
        let mut early = builder(NOW + 1, NOW + 10);
        early.cert_type(CertType::Host).unwrap().valid_principal("core-rtr-1").unwrap();
        let rows = [
            (
                "another authority",
                host(
                    |b| {
                        b.valid_principal("core-rtr-1").unwrap();
                    },
                    8,
                ),
            ),
            (
                "self-signed",
                host(
                    |b| {
                        b.valid_principal("core-rtr-1").unwrap();
                    },
                    1,
                ),
            ),
            (
                "no principal at all",
                host(
                    |b| {
                        b.all_principals_valid().unwrap();
                    },
                    9,
                ),
            ),
            (
                "another element",
                host(
                    |b| {
                        b.valid_principal("core-rtr-2").unwrap();
                    },
                    9,
                ),
            ),
            (
                "prefix",
                host(
                    |b| {
                        b.valid_principal("core-rtr-1.evil").unwrap();
                    },
                    9,
                ),
            ),
            (
                "critical option",
                host(
                    |b| {
                        b.valid_principal("core-rtr-1").unwrap().critical_option("x", "").unwrap();
                    },
                    9,
                ),
            ),
            ("user certificate", user.sign(&key(9)).unwrap()),
            ("expired", expired.sign(&key(9)).unwrap()),
            ("not yet valid", early.sign(&key(9)).unwrap()),
        ];
        for (what, certificate) in rows {
            let mismatch = check(&trust(), &certificate).expect_err(what);
            assert!(mismatch.presented.starts_with("ssh-ed25519 SHA256:"), "{what}");
        }
    }
}
