//! Which nodes of a data tree are secrets: shown masked to whoever reads a recording.

use super::pattern::DataPattern;
use crate::domain::data::Step;

/// Names of nodes that are secrets wherever they are: whole, or after a dash.
const NAMES: &[&str] = &[
    "auth-key",
    "authentication-key",
    "cleartext-key",
    "community-name",
    "encryption-key",
    "hidden-key",
    "k4",
    "key-string",
    "ki",
    "opc",
    "passphrase",
    "passwd",
    "password",
    "password-hashed",
    "pre-shared-key",
    "preshared-key",
    "private-key",
    "psk",
    "secret",
    "secret-hashed",
    "shared-key",
    "token",
];
/// Names that are secrets also at the end of a word: `authPassword`.
const ENDINGS: &[&str] = &["passphrase", "passwd", "password", "secret"];

/// What is a secret in one place only: a community of BGP is none.
const PATHS: &[&str] = &["/snmp/**/community", "/snmp-server/**/community"];

/// The secrets of a policy set: `[masks]` of `models.toml`, and the names that are always secrets.
#[derive(Debug, Clone)]
pub struct Masks {
    paths: Vec<DataPattern>,
    names: Vec<String>,
}

impl Default for Masks {
    fn default() -> Self {
        Self { paths: PATHS.iter().filter_map(|path| pattern(path).ok()).collect(), names: Vec::new() }
    }
}

impl Masks {
    /// From the paths and names of a set.
    ///
    /// # Errors
    /// A path or name that is none.
    pub(super) fn new(paths: &[String], names: &[String]) -> Result<Self, String> {
        let mut masks = Self::default();
        for path in paths {
            masks.paths.push(pattern(path)?);
        }
        for name in names {
            Step::named(None, name).map_err(|error| error.to_string())?;
        }
        masks.names = names.iter().map(|name| plain(name)).collect();
        Ok(masks)
    }

    /// Whether the node at these names, from the outermost down, is a secret. The outermost may be anything that stands around data.
    pub fn hide(&self, names: &[&str]) -> bool {
        let Some(last) = names.last().map(|name| plain(name)) else { return false };
        let ends =
            |secret: &str| last.strip_suffix(secret).is_some_and(|before| before.is_empty() || before.ends_with('-'));
        NAMES.iter().any(|name| ends(name))
            || ENDINGS.iter().any(|ending| last.ends_with(ending))
            || self.names.contains(&last)
            || self
                .paths
                .iter()
                .any(|path| (0..names.len()).any(|from| path.takes_in(names.get(from..).unwrap_or_default())))
    }
}

fn pattern(path: &str) -> Result<DataPattern, String> {
    let pattern = DataPattern::parse(path)?;
    if path.contains('[') || !path.starts_with('/') || path == "/" {
        return Err(format!("`{path}`: a mask is a path without datastore and keys, such as /aaa/**/password"));
    }
    Ok(pattern)
}

/// As names are compared: without module, in lower case, with dashes.
fn plain(name: &str) -> String {
    let name = name.rsplit(':').next().unwrap_or(name);
    name.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_by_name_and_path() {
        let paths = ["/aaa/**/hash", "/keys/*/text", "/m:x/*/y"].map(str::to_owned);
        let masks = Masks::new(&paths, &["Pin".to_owned()]).expect("masks");
        for names in [
            &["password"][..],
            &["a", "auth-password"],
            &["AUTH_PASSWORD"],
            &["authPassword"],
            &["m:shared-secret"],
            &["ki"],
            &["config", "aaa", "users", "user", "hash"],
            &["aaa", "hash"],
            &["aaa", "hash", "below"],
            &["data", "snmp", "community", "text-name"],
            &["snmp", "config", "community"],
            &["keys", "k", "text"],
            &["x", "q", "y"],
            &["pin"],
        ] {
            assert!(masks.hide(names), "{names:?}");
        }
        for names in [
            &[][..],
            &["passwords-max"],
            &["hash"],
            &["aaa", "users"],
            &["snmp", "community-x", "text-name"],
            &["bgp", "neighbor", "community"],
            &["x", "y"],
            &["wiki"],
            &["tokens"],
            &["password", "age"],
            &["spin"],
            &["a b"],
        ] {
            assert!(!masks.hide(names), "{names:?}");
        }
        assert_eq!(Masks::default().paths.len(), PATHS.len());
        for bad in ["", "/", "a", "running:/a", "/a[k=1]", "/a/**", "//"] {
            assert!(Masks::new(&[bad.to_owned()], &[]).is_err(), "{bad}");
        }
        assert!(Masks::new(&[], &["a/b".to_owned()]).is_err());
    }
}
