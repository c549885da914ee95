//! The door of NETCONF over TLS (RFC 7589): where it is, and as which account an identity comes.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::Access;
use crate::domain::{Account, ElementName, Identity, ParseError};

/// The door of NETCONF over TLS.
#[derive(Debug, Clone)]
pub struct NetconfDoor {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Which account an identity has, in order: the first that fits counts, and where none fits, nobody comes in. Without any it is the usual
    /// account of the element.
    pub accounts: Vec<AccountRule>,
}

/// One line of that list: `IDENTITY=ACCOUNT` or `IDENTITY@ELEMENT=ACCOUNT`, `*` for every one; the account `@` is the identity's own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRule {
    who: Option<String>,
    element: Option<ElementName>,
    account: Option<Account>,
}

impl FromStr for AccountRule {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = || ParseError::new(format!("`{text}`: write IDENTITY=ACCOUNT or IDENTITY@ELEMENT=ACCOUNT"));
        let (left, account) = text.split_once('=').ok_or_else(bad)?;
        let (who, element) = left.split_once('@').map_or((left, "*"), |(who, element)| (who, element));
        // The name of an identity is one of an account.
        let any = |text: &str| text == "*";
        let who = if any(who) { None } else { Some(String::from(who.parse::<Account>().map_err(|_| bad())?)) };
        let element = if any(element) { None } else { Some(element.parse().map_err(|_| bad())?) };
        let account = if account == "@" { None } else { Some(account.parse().map_err(|_| bad())?) };
        Ok(Self { who, element, account })
    }
}

impl fmt::Display for AccountRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.who.as_deref().unwrap_or("*"))?;
        if let Some(element) = &self.element {
            write!(f, "@{element}")?;
        }
        write!(f, "={}", self.account.as_ref().map_or("@", Account::as_str))
    }
}

/// The account by the first rule that fits; `None` when none does.
fn account_of(rules: &[AccountRule], who: &Identity, element: &ElementName) -> Option<Account> {
    let fits = |rule: &&AccountRule| {
        rule.who.as_deref().is_none_or(|name| name == who.name()) && rule.element.as_ref().is_none_or(|e| e == element)
    };
    let rule = rules.iter().find(fits)?;
    rule.account.clone().or_else(|| who.name().parse().ok())
}

impl Access {
    /// The account of an identity on an element, for clients that do not name one.
    pub fn account_for(&self, who: &Identity, element: &ElementName) -> Option<Account> {
        let rules = &self.parts.netconf_accounts;
        if !rules.is_empty() {
            return account_of(rules, who, element);
        }
        match self.rules().current().inventory.find(element) {
            Some(element) => Some(element.default_account().clone()),
            // SECURITY: one that does not exist is refused later, and like any other.
            None => who.name().parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules: Vec<AccountRule> =
            ["ada@core-1=admin", "ada=ops", "*@core-2=ro", "eve=@"].map(|text| text.parse().expect("a rule")).into();
        let account = |who: &str, element: &str| {
            let who = format!("spiffe://carrier.example/user/{who}").parse().expect("an identity");
            account_of(&rules, &who, &element.parse().expect("an element")).map(String::from)
        };
        for (who, element, expected) in [
            ("ada", "core-1", Some("admin")),
            ("ada", "core-2", Some("ops")),
            ("bob", "core-2", Some("ro")),
            ("eve", "core-2", Some("ro")),
            ("eve", "core-3", Some("eve")),
            ("bob", "core-3", None),
        ] {
            assert_eq!(account(who, element).as_deref(), expected, "{who} {element}");
        }
        for text in ["", "ada", "=x", "ada=", "ada=a b", "ada@=x", "ada@core 1=x", "a b=x", "ada@core-1@x=y", "**=x"] {
            assert!(text.parse::<AccountRule>().is_err(), "{text}");
        }
        assert_eq!(
            rules.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["ada@core-1=admin", "ada=ops", "*@core-2=ro", "eve=@"]
        );
    }
}
