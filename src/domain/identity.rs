//! Who is asking, and how sure the gateway is of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ParseError;

/// The name of a trust domain: the authority part of the SPIFFE ids it issues (SPIFFE-ID §2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(String);

impl TrustDomain {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A domain that is nobody's (RFC 2606 §2), where none is known.
    pub fn unknown() -> Self {
        Self("unknown.invalid".to_owned())
    }
}

impl FromStr for TrustDomain {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fits = !text.is_empty()
            && text.len() <= 255
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new(format!(
                "`{}` is not a trust domain; use lower-case letters, digits, '.', '-' and '_', at most 255 characters",
                text.escape_debug()
            )))
        }
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<TrustDomain> for String {
    fn from(domain: TrustDomain) -> Self {
        domain.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person or a program: `spiffe://<trust domain>/user/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identity {
    trust_domain: TrustDomain,
    name: String,
}

impl Identity {
    /// The identity `name` of `trust_domain`.
    ///
    /// # Errors
    /// A name that is not one path segment of a SPIFFE id in lower case.
    pub fn new(trust_domain: TrustDomain, name: &str) -> Result<Self, ParseError> {
        segment(name)?;
        Ok(Self { trust_domain, name: name.to_owned() })
    }

    /// The domain that vouches for it.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Its name within the trust domain; policy writes it as `user:<name>`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/user/{}", self.trust_domain, self.name)
    }
}

impl FromStr for Identity {
    type Err = ParseError;

    fn from_str(uri: &str) -> Result<Self, ParseError> {
        let (trust_domain, name) = spiffe(uri, "user")?;
        Ok(Self { trust_domain, name })
    }
}

impl TryFrom<String> for Identity {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Identity> for String {
    fn from(identity: Identity) -> Self {
        identity.to_string()
    }
}

/// The device that a person works on: `spiffe://<trust domain>/device/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Device {
    trust_domain: TrustDomain,
    name: String,
}

impl Device {
    /// The device `name` of `trust_domain`.
    ///
    /// # Errors
    /// A name that is not one path segment of a SPIFFE id in lower case.
    pub fn new(trust_domain: TrustDomain, name: &str) -> Result<Self, ParseError> {
        segment(name)?;
        Ok(Self { trust_domain, name: name.to_owned() })
    }

    /// The domain that vouches for it.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Its name within the trust domain.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/device/{}", self.trust_domain, self.name)
    }
}

impl FromStr for Device {
    type Err = ParseError;

    fn from_str(uri: &str) -> Result<Self, ParseError> {
        let (trust_domain, name) = spiffe(uri, "device")?;
        Ok(Self { trust_domain, name })
    }
}

impl TryFrom<String> for Device {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

/// How sure the gateway is that the identity is present. Ordered: a higher level satisfies a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// Level 1: a software key on the SSH door.
    SoftwareKey,
    /// Level 2: mutual TLS.
    MutualTls,
    /// Level 3: a hardware-bound key, or FIDO with user verification.
    HardwareBound,
}

impl Assurance {
    /// The level's number, 1 to 3, as obligations write it (`assurance:2`).
    pub const fn level(self) -> u8 {
        match self {
            Self::SoftwareKey => 1,
            Self::MutualTls => 2,
            Self::HardwareBound => 3,
        }
    }
}

/// The door a client came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// The mTLS door: TLS 1.3 with a client certificate.
    Mtls,
    /// The SSH door: an SSH user certificate or a registered hardware key.
    Ssh,
    /// The gateway's own command line on its own machine.
    Local,
}

impl Door {
    /// The name that policy and logs use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mtls => "mtls",
            Self::Ssh => "ssh",
            Self::Local => "local",
        }
    }
}

fn spiffe(uri: &str, kind: &str) -> Result<(TrustDomain, String), ParseError> {
    let bad = || {
        ParseError::new(format!(
            "`{}` is not an identity of the form spiffe://<trust domain>/{kind}/<name>",
            uri.escape_debug()
        ))
    };
    let rest = uri.strip_prefix("spiffe://").ok_or_else(bad)?;
    let (domain, path) = rest.split_once('/').ok_or_else(bad)?;
    let name = path.strip_prefix(kind).and_then(|p| p.strip_prefix('/')).ok_or_else(bad)?;
    segment(name)?;
    Ok((domain.parse()?, name.to_owned()))
}

/// One path segment. Stricter than SPIFFE: lower case only, so that two names never differ by case alone.
fn segment(name: &str) -> Result<(), ParseError> {
    let fits = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
        && name.bytes().any(|b| b.is_ascii_alphanumeric());
    if fits {
        Ok(())
    } else {
        Err(ParseError::new(format!(
            "`{}` is not a name; use lower-case letters, digits, '.', '-' and '_', at most 64 characters, at least one of them a letter or digit",
            name.escape_debug()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_have_one_text_form() {
        let uri = "spiffe://carrier.example/user/ada";
        let identity: Identity = uri.parse().expect("a well-formed id");
        assert_eq!((identity.to_string().as_str(), identity.name()), (uri, "ada"));
        for uri in [
            "",
            "spiffe://carrier.example/user/",
            "spiffe://carrier.example/user/ada/",
            "spiffe://carrier.example/user/ada/../eve",
            "spiffe://carrier.example/user/..",
            "spiffe://carrier.example/user/Ada",
            "spiffe://carrier.example/user/ada%20",
            "spiffe://carrier.example/user/ada?x",
            "spiffe://carrier.example/device/ada",
            "spiffe://carrier.example//user/ada",
            "spiffe://Carrier.example/user/ada",
            "spiffe://carrier.example:443/user/ada",
            "spiffe://ada@carrier.example/user/ada",
            "SPIFFE://carrier.example/user/ada",
            "https://carrier.example/user/ada",
            "spiffe:///user/ada",
            "spiffe://carrier.example/user/ad\0a",
        ] {
            assert!(uri.parse::<Identity>().is_err(), "{uri}");
        }
    }

    #[test]
    fn assurance_is_ordered() {
        assert!(Assurance::SoftwareKey < Assurance::MutualTls && Assurance::MutualTls < Assurance::HardwareBound);
    }
}
