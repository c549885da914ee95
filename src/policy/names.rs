//! The typed names of policy rows: `user:`, `role:`, `element:`, `group:`.
//!
//! casbin keeps every role graph in one name space, so a group that happens to be called like a role would hand out that role.
//! The prefix makes the two impossible to confuse, and a name without one is refused at load.

/// The row field that stands for everyone or everything.
pub(super) const ANY: &str = "*";

/// A kind of name that a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Role,
    Element,
    Group,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::User => "user:",
            Self::Role => "role:",
            Self::Element => "element:",
            Self::Group => "group:",
        }
    }

    const fn separators(self) -> &'static str {
        match self {
            Self::User | Self::Role => ".-_",
            Self::Element => ".-",
            Self::Group => ".-_/",
        }
    }
}

/// Checks that `text` is a name of one of `kinds`, prefix included.
pub(super) fn check(text: &str, kinds: &[Kind]) -> Result<Kind, String> {
    let found = kinds.iter().find_map(|kind| text.strip_prefix(kind.prefix()).map(|name| (*kind, name)));
    let Some((kind, name)) = found else {
        let wanted: Vec<_> = kinds.iter().map(|k| format!("`{}NAME`", k.prefix())).collect();
        return Err(format!("`{}` must be written as {}", text.escape_debug(), wanted.join(" or ")));
    };
    let fits = !name.is_empty()
        && name.len() <= 128
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || kind.separators().contains(c))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !fits {
        return Err(format!(
            "`{}` is not a name; after `{}` use lower-case letters, digits and any of `{}`, beginning with a letter or digit",
            text.escape_debug(),
            kind.prefix(),
            kind.separators()
        ));
    }
    if kind == Kind::Role && name == "any" {
        return Err("`role:any` does not exist: name the roles that are meant; a deny row may write `*`".to_owned());
    }
    Ok(kind)
}

/// The policy name of an element's tag (`class/core-router`, also written `class:core-router`): `group:class/core-router`.
pub(super) fn group(tag: &str) -> Result<String, String> {
    let name = format!("group:{}", tag.replacen(':', "/", 1));
    check(&name, &[Kind::Group]).map(|_| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_its_prefix() {
        assert_eq!(check("user:ada", &[Kind::User, Kind::Role]), Ok(Kind::User));
        assert_eq!(check("group:class/core-router", &[Kind::Group]), Ok(Kind::Group));
        for text in [
            "",
            "ada",
            "user:",
            "User:ada",
            "user:Ada",
            "user: ada",
            "group:x",
            "user:a/b",
            "user:*",
            "user:-a",
            "role:any",
        ] {
            assert!(check(text, &[Kind::User, Kind::Role]).is_err(), "{text}");
        }
    }

    #[test]
    fn tags_become_groups() {
        for (tag, name) in
            [("site/par", "group:site/par"), ("site:par", "group:site/par"), ("core-routers", "group:core-routers")]
        {
            assert_eq!(group(tag).as_deref(), Ok(name));
        }
        for tag in ["", "Site/par", "site par", "a:b:c", "*"] {
            assert!(group(tag).is_err(), "{tag}");
        }
    }
}
