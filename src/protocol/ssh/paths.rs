//! The form of a file path on which a decision is made.
//!
//! It knows text only: no folder of the element, no link. `.` segments and repeated slashes are taken out. A path with a `..` segment is left as
//! it was sent, because what `..` means depends on links that only the element sees; policy never matches an allow on it.

/// Why a path cannot be decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A control character.
    #[error("the path holds a control character")]
    Control,
    /// Bytes that are not UTF-8.
    #[error("the path is not UTF-8, so no policy row can name it")]
    Encoding,
    /// More bytes than the limit.
    #[error("the path is longer than {bytes_max} bytes")]
    Length {
        /// The limit.
        bytes_max: usize,
    },
}

/// The path as text, when a decision can be made on it.
///
/// # Errors
/// See [`PathError`].
pub fn readable(path: &[u8], bytes_max: usize) -> Result<&str, PathError> {
    if path.len() > bytes_max {
        return Err(PathError::Length { bytes_max });
    }
    let text = std::str::from_utf8(path).map_err(|_| PathError::Encoding)?;
    if text.chars().any(char::is_control) { Err(PathError::Control) } else { Ok(text) }
}

/// Whether a segment is `..`. A backslash separates too: on some elements it does.
pub fn climbs(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| segment == "..")
}

/// The canonical form. The empty path and `./` are `.`; a relative path stays relative.
pub fn canonical(path: &str) -> String {
    if climbs(path) {
        return path.to_owned();
    }
    let mut clean = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !matches!(*segment, "" | ".")) {
        if !clean.is_empty() || path.starts_with('/') {
            clean.push('/');
        }
        clean.push_str(segment);
    }
    if clean.is_empty() { if path.starts_with('/') { "/" } else { "." }.to_owned() } else { clean }
}

/// The canonical form with every `..` taken out as if there were no links. Only for operations that name a path and touch no file.
pub fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    let joined = kept.join("/");
    if path.starts_with('/') { format!("/{joined}") } else { canonical(&joined) }
}

/// `name` in `folder`, canonical when both are.
pub fn join(folder: &str, name: &str) -> String {
    match (folder, name) {
        (folder, ".") => folder.to_owned(),
        (".", name) => name.to_owned(),
        (folder, name) if folder.ends_with('/') => format!("{folder}{name}"),
        (folder, name) => format!("{folder}/{name}"),
    }
}

/// The last segment of a path.
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The folder that holds a path's last segment.
pub fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        None => ".",
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_each_way_to_write_a_path() {
        for (sent, decided) in [
            ("", "."),
            (".", "."),
            ("./", "."),
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("a", "a"),
            ("./a", "a"),
            ("a/./b//c/", "a/b/c"),
            ("/a//b/.", "/a/b"),
            ("/a/..", "/a/.."),
            ("../a//b", "../a//b"),
            ("/a/..b/c..", "/a/..b/c.."),
            ("flash:/x", "flash:/x"),
            ("/a/b\\..\\c//d", "/a/b\\..\\c//d"),
        ] {
            assert_eq!(canonical(sent), decided, "{sent:?}");
        }
    }

    #[test]
    fn resolving_never_leaves_the_root() {
        for (sent, decided) in [
            ("/a/..", "/"),
            ("/a/../../..", "/"),
            ("/a/b/../c", "/a/c"),
            ("..", "."),
            ("a/../b", "b"),
            ("a/..", "."),
            ("/..", "/"),
        ] {
            assert_eq!(resolved(sent), decided, "{sent:?}");
        }
    }

    #[test]
    fn folder_and_name_join_again() {
        for (path, in_folder, last) in [("/a/b", "/a", "b"), ("/a", "/", "a"), ("a", ".", "a"), ("a/b", "a", "b")] {
            assert_eq!((folder(path), name(path)), (in_folder, last));
            assert_eq!(join(in_folder, last), path);
        }
        assert_eq!(join("/a", "."), "/a");
    }

    #[test]
    fn what_policy_cannot_name_is_refused() {
        assert_eq!(readable(b"/a\xff", 10), Err(PathError::Encoding));
        assert_eq!(readable(b"/a\0b", 10), Err(PathError::Control));
        assert_eq!(readable(b"/a\nb", 10), Err(PathError::Control));
        assert_eq!(readable("/a\u{85}b".as_bytes(), 10), Err(PathError::Control));
        assert_eq!(readable(b"/aaaa", 4), Err(PathError::Length { bytes_max: 4 }));
        assert_eq!(readable("/ä".as_bytes(), 4), Ok("/ä"));
    }
}
