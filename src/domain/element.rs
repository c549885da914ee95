//! What is reached: the names of elements and of the accounts on them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ParseError;

macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseError;
            fn try_from(text: String) -> Result<Self, ParseError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

/// The name of an element in the inventory: one or more DNS labels in lower case, at most 100 characters.
///
/// `gateway` is reserved: it is the gateway's own element, on which `gateway.*` actions are decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ElementName(String);

text_newtype!(ElementName);

impl ElementName {
    /// The gateway itself as an element.
    pub fn gateway() -> Self {
        Self("gateway".to_owned())
    }
}

impl FromStr for ElementName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let label = |l: &str| {
            !l.is_empty()
                && l.len() <= 63
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if text.len() <= 100 && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new(format!(
                "`{}` is not an element name; use lower-case letters, digits and '-', in labels joined by '.'",
                text.escape_debug()
            )))
        }
    }
}

/// The account used on an element.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Account(String);

text_newtype!(Account);

impl FromStr for Account {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fits = !text.is_empty()
            && text.len() <= 64
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'$'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new(format!(
                "`{}` is not an account name; use letters, digits, '.', '-', '_' and '$', at most 64 characters",
                text.escape_debug()
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn element_names() {
        for text in ["core-rtr-1", "a", "pe1.par.core", "x9"] {
            assert!(text.parse::<ElementName>().is_ok(), "{text}");
        }
        for text in ["", "-a", "a-", "a..b", ".a", "a.", "Core", "a_b", "a/b", "a b", "a\n", "é", &"a".repeat(101)] {
            assert!(text.parse::<ElementName>().is_err(), "{text}");
        }
    }

    #[test]
    fn account_names() {
        for text in ["admin", "svc-netconf", "a.b", "x$"] {
            assert!(text.parse::<Account>().is_ok(), "{text}");
        }
        for text in ["", "-oProxyCommand", "a@b", "a:b", "a b", "a\0", "a/b", &"a".repeat(65)] {
            assert!(text.parse::<Account>().is_err(), "{text}");
        }
    }
}
