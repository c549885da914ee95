//! Requests as a client writes them, from paths as people write them. Pure.

use super::wire::Writer;
use crate::domain::ParseError;

/// A path from `[origin:]/name[key=value]/name`, in which a backslash stands before a `]` or a backslash of a value.
///
/// # Errors
/// It does not read so.
pub fn path(text: &str) -> Result<Writer, ParseError> {
    let bad =
        || ParseError::new(format!("`{}` is not a path; write [origin:]/name[key=value]/name", text.escape_debug()));
    let (origin, mut rest) = text.split_once('/').ok_or_else(bad)?;
    let mut path = Writer::new();
    match origin.strip_suffix(':') {
        Some(origin) if !origin.is_empty() => path = path.text(2, origin),
        None if origin.is_empty() => {}
        _ => return Err(bad()),
    }
    while !rest.is_empty() {
        let end = rest.find(['/', '[']).unwrap_or(rest.len());
        let (name, mut after) = rest.split_at_checked(end).ok_or_else(bad)?;
        let mut elem = Writer::new().text(1, name);
        while let Some(inner) = after.strip_prefix('[') {
            let (key, value) = inner.split_once('=').ok_or_else(bad)?;
            let (value, left) = value_of(value).ok_or_else(bad)?;
            elem = elem.message(2, &Writer::new().text(1, key).text(2, &value));
            after = left;
        }
        if name.is_empty() {
            return Err(bad());
        }
        path = path.message(3, &elem);
        rest = match after.strip_prefix('/') {
            Some("") => return Err(bad()),
            Some(more) => more,
            None if after.is_empty() => "",
            None => return Err(bad()),
        };
    }
    Ok(path)
}

/// The value up to its closing bracket, and what follows.
fn value_of(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ']' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// An update of a path with a JSON value (RFC 7951).
///
/// # Errors
/// The path does not read.
pub fn update(at: &str, json: &str) -> Result<Writer, ParseError> {
    Ok(Writer::new().message(1, &path(at)?).message(3, &Writer::new().text(11, json)))
}

#[cfg(test)]
mod tests {
    use super::super::schema::PATH;
    use super::super::text::text;
    use super::*;

    #[test]
    fn paths_as_people_write_them() {
        for written in [
            "/",
            "openconfig:/",
            "/a",
            "cli:/show version",
            "/m:a/*/...",
            "/i[name=eth0/1]/c",
            "/i[a=1][b=2]",
            "openconfig:/i[name=x\\]\\\\y]/c",
        ] {
            let read = path(written).map(Writer::finish).expect("a path");
            assert_eq!(
                text(&PATH, &read, 1000),
                (format!("\"{}\"", written.replace('\\', "\\\\")), false),
                "{written}"
            );
        }
        for bad in
            ["", "a", "a/b", ":/a", "//a", "/a/", "/a//b", "/a[k", "/a[k=", "/a[k=v", "/a[k=v]b", "/[k=v]", "/a[k=v\\"]
        {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
