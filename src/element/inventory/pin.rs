//! Pins a host key by a small edit of the inventory's text: comments and order stay, and the result is checked to differ in
//! nothing but the one list.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::domain::ElementName;
use crate::element::host_key::Pinned;

/// Why a key was not pinned; the text was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// It is there already.
    #[error("that key is already pinned for `{0}`")]
    Already(ElementName),
    /// The file is not TOML.
    #[error("the inventory cannot be read: {0}")]
    Broken(String),
    /// Neither a fingerprint nor a public key.
    #[error("{0}")]
    Key(String),
    /// No such element.
    #[error("there is no element `{0}` in the inventory")]
    Unknown(ElementName),
    /// The way the file is written is beyond a small edit.
    #[error(
        "the entry of `{element}` is written in a way that cannot be edited safely; add this line by hand: host_keys = [{key:?}]"
    )]
    Shape {
        /// The element.
        element: ElementName,
        /// What to pin.
        key: String,
    },
}

/// The text of an `elements.toml` with `key` (a fingerprint or a public key's line) appended to the element's `host_keys`.
///
/// # Errors
/// See [`PinError`].
pub fn pin(text: &str, element: &ElementName, key: &str) -> Result<String, PinError> {
    let key = key.trim();
    let wanted: Pinned = key.parse().map_err(PinError::Key)?;
    let shape = || PinError::Shape { element: element.clone(), key: key.to_owned() };
    let (at, insert) = place(text, element, &wanted, key)?;
    let (before, after) = text.split_at_checked(at).ok_or_else(shape)?;
    let edited = [before, &insert, after].concat();
    if expected(text, element, key).is_some_and(|table| toml::from_str(&edited) == Ok(table)) {
        Ok(edited)
    } else {
        Err(shape())
    }
}

/// Where to insert what.
fn place(text: &str, element: &ElementName, wanted: &Pinned, key: &str) -> Result<(usize, String), PinError> {
    let document = DeTable::parse(text).map_err(|error| PinError::Broken(error.message().to_owned()))?;
    let Some((DeValue::Array(elements), _)) = value(document.get_ref(), "element") else {
        return Err(PinError::Unknown(element.clone()));
    };
    let quoted = toml::Value::String(key.to_owned()).to_string();
    for item in elements {
        let DeValue::Table(table) = item.get_ref() else { continue };
        let Some((DeValue::String(name), name_span)) = value(table, "name") else { continue };
        if name != element.as_str() {
            continue;
        }
        let Some((list, list_span)) = value(table, "host_keys") else {
            let line_end =
                text.get(name_span.end..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| name_span.end + at);
            return Ok((line_end, format!("\nhost_keys = [{quoted}]")));
        };
        let DeValue::Array(keys) = list else {
            return Err(PinError::Shape { element: element.clone(), key: key.to_owned() });
        };
        let same = |known: &DeValue<'_>| matches!(known, DeValue::String(k) if k.parse::<Pinned>().is_ok_and(|k| k.fingerprint() == wanted.fingerprint()));
        if keys.iter().any(|known| same(known.get_ref())) {
            return Err(PinError::Already(element.clone()));
        }
        return Ok(match keys.last() {
            Some(last) => (last.span().end, format!(", {quoted}")),
            None => (list_span.start + 1, quoted),
        });
    }
    Err(PinError::Unknown(element.clone()))
}

fn value<'a>(table: &'a DeTable<'a>, key: &str) -> Option<(&'a DeValue<'a>, Range<usize>)> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| (value.get_ref(), value.span()))
}

/// What the edited file must say.
fn expected(text: &str, element: &ElementName, key: &str) -> Option<toml::Table> {
    let mut table: toml::Table = toml::from_str(text).ok()?;
    let elements = table.get_mut("element")?.as_array_mut()?;
    let entry = elements.iter_mut().find(|e| e.get("name").and_then(toml::Value::as_str) == Some(element.as_str()))?;
    let keys = entry.as_table_mut()?.entry("host_keys").or_insert_with(|| toml::Value::Array(Vec::new()));
    keys.as_array_mut()?.push(toml::Value::String(key.to_owned()));
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "SHA256:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8";
    const OLD: &str = "SHA256:BBEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8";

    fn pinned(text: &str) -> Result<String, PinError> {
        pin(text, &"b".parse().unwrap(), NEW)
    }

    #[test]
    fn the_edit_is_small() {
        let rows = [
            ("host_keys = []", "host_keys = [\"NEW\"]"),
            ("host_keys = [ ] # none", "host_keys = [\"NEW\" ] # none"),
            ("host_keys = [\"OLD\"]", "host_keys = [\"OLD\", \"NEW\"]"),
            ("host_keys = [\n  \"OLD\", # ] old\n]", "host_keys = [\n  \"OLD\", \"NEW\", # ] old\n]"),
            ("host_keys = ['OLD'] # é", "host_keys = ['OLD', \"NEW\"] # é"),
        ];
        let filled = |line: &str| {
            let line = line.replace("NEW", NEW).replace("OLD", OLD);
            format!(
                "# é first\n[[element]]\nname = \"a\"\nhost_keys = []\n[[element]]\nname = \"b\" # here\n{line}\nsite = \"par\"\n"
            )
        };
        for (before, after) in rows {
            assert_eq!(pinned(&filled(before)), Ok(filled(after)), "{before}");
        }
        let without = "[[element]]\nname = \"b\" # here\nsite = \"x\"\n[[element]]\nname = \"c\"";
        assert_eq!(pinned(without).unwrap(), without.replace("# here", &format!("# here\nhost_keys = [\"{NEW}\"]")));
        assert!(pinned("[[element]]\nname = \"b\"").unwrap().ends_with(&format!("\nhost_keys = [\"{NEW}\"]")));
    }

    #[test]
    fn what_is_not_edited() {
        let b: ElementName = "b".parse().unwrap();
        let has = format!("[[element]]\nname = \"b\"\nhost_keys = [\"{NEW}\"]");
        for (text, error) in [
            (has.as_str(), PinError::Already(b.clone())),
            ("", PinError::Unknown(b.clone())),
            ("[[element]]\nname = \"a\"", PinError::Unknown(b.clone())),
            ("element = 1", PinError::Unknown(b.clone())),
            ("[[element]]\nname = \"b\"\nhost_keys = \"x\"", PinError::Shape { element: b.clone(), key: NEW.into() }),
            (
                "[[element]]\nhost_ca = [\"\"\"\n\"\"\"]\nname = \"\"\"b\"\"\" # \nhost_keys = {}",
                PinError::Shape { element: b.clone(), key: NEW.into() },
            ),
        ] {
            assert_eq!(pinned(text), Err(error), "{text}");
        }
        assert!(matches!(pinned("[[element]"), Err(PinError::Broken(_))));
        assert!(matches!(pin(&has, &b, "MD5:x"), Err(PinError::Key(_))));
        assert!(matches!(pin(&has, &b, "SHA256:a\"]\nx"), Err(PinError::Key(_))));
    }
}
