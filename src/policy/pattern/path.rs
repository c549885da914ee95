//! File paths.
//!
//! `*` stays within one segment, `**` is a whole segment and stands for any number of them; at the end it means what is *below* a
//! folder. Only a canonical path can be allowed: absolute or relative, without empty, `.` or `..` segments. `.` alone is the folder where a login begins.

use super::Reach;

/// A parsed path pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct Pattern {
    absolute: bool,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    One(String),
    Many,
}

/// Whether `path` has one meaning: no segment that names another, nothing that a shell would expand to a home, no control character.
pub(super) fn is_canonical(path: &str) -> bool {
    if path == "/" || path == "." {
        return true;
    }
    let relative = path.strip_prefix('/').unwrap_or(path);
    path.len() <= 4096
        && !path.starts_with('~')
        && !path.chars().any(char::is_control)
        && relative.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect()
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the path is missing; write `**` for every path".to_owned());
        }
        if !is_canonical(text) {
            return Err(format!(
                "`{}` is not a canonical path: leave out empty, `.` and `..` segments, a leading `~` and a final `/`",
                text.escape_debug()
            ));
        }
        let mut parsed = Vec::new();
        for segment in segments(text) {
            if segment == "**" {
                parsed.push(Segment::Many);
            } else if segment.contains("**") {
                return Err(format!("`{text}`: `**` must be a whole segment"));
            } else {
                parsed.push(Segment::One(segment.to_owned()));
            }
        }
        if parsed.windows(2).any(|pair| pair == [Segment::Many, Segment::Many]) {
            return Err(format!("`{text}`: write one `**`"));
        }
        Ok(Self { absolute: text.starts_with('/'), segments: parsed })
    }

    /// SECURITY: a path that is not canonical, or relative to a folder we do not know, could be anything: it matches every row that restricts.
    pub(super) fn matches(&self, reach: Reach, path: &str, canonical: bool) -> bool {
        let absolute = path.starts_with('/');
        let everything = self.segments == [Segment::Many] && !self.absolute;
        match reach {
            Reach::Strict if !canonical => false,
            Reach::Strict if everything => true,
            Reach::Strict => {
                absolute == self.absolute && walk(&self.segments, &segments(path), true, |want, have| want == have)
            }
            Reach::Broad if !canonical || everything || !absolute => true,
            Reach::Broad => {
                let path = segments(path);
                let same = |want: u8, have: u8| want.eq_ignore_ascii_case(&have);
                if self.absolute {
                    walk(&self.segments, &path, false, same)
                } else {
                    (0..=path.len())
                        .any(|from| path.get(from..).is_some_and(|tail| walk(&self.segments, tail, false, same)))
                }
            }
        }
    }
}

/// Matches segment by segment. `below`: a final `**` stands for one segment or more, instead of any number.
fn walk(pattern: &[Segment], path: &[&str], below: bool, same: impl Fn(u8, u8) -> bool + Copy) -> bool {
    let one = |want: &str, have: &str| super::glob(want.as_bytes(), have.as_bytes(), same, |_| true);
    let (mut p, mut t) = (0, 0);
    let mut many: Option<(usize, usize)> = None;
    while let Some(have) = path.get(t) {
        match pattern.get(p) {
            Some(Segment::Many) => {
                if p + 1 == pattern.len() {
                    return true;
                }
                many = Some((p, t));
                p += 1;
            }
            Some(Segment::One(want)) if one(want, have) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((many_p, many_t)) = many else { return false };
                many = Some((many_p, many_t + 1));
                p = many_p + 1;
                t = many_t + 1;
            }
        }
    }
    match pattern.get(p..) {
        Some([]) => true,
        Some([Segment::Many]) => !below,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(reach: Reach, pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).expect("a pattern").matches(reach, path, is_canonical(path))
    }

    #[test]
    fn an_allow_means_canonical_paths_only() {
        for (pattern, path) in [
            ("/var/log/*", "/var/log/messages"),
            ("/var/log/**", "/var/log/messages"),
            ("/var/log/**", "/var/log/a/b/c"),
            ("/var/**/x.log", "/var/x.log"),
            ("/var/**/x.log", "/var/a/b/x.log"),
            ("/var/log/*.log", "/var/log/a.log"),
            ("**", "/etc/passwd"),
            ("**", "notes.txt"),
            ("**", "."),
            ("/**", "/etc/passwd"),
            ("/", "/"),
            (".", "."),
            ("*.cfg", "running.cfg"),
        ] {
            assert!(is(Reach::Strict, pattern, path), "{pattern} / {path:?}");
        }
        for (pattern, path) in [
            ("/var/log/*", "/var/log"),
            ("/var/log/*", "/var/log/"),
            ("/var/log/*", "/var/log/a/b"),
            ("/var/log/**", "/var/log"),
            ("/var/log/**", "/var/logs/x"),
            ("/var/log/**", "/var/log/../../etc/shadow"),
            ("/var/log/**", "/var/log/./x"),
            ("/var/log/**", "/var/log//x"),
            ("/var/log/**", "/var/log/x/.."),
            ("/var/log/**", "/var/log/x\0"),
            ("/var/log/**", "/var/log/x\n"),
            ("/var/log/**", "var/log/x"),
            ("/var/log/**", "/VAR/log/x"),
            ("/var/log/*.log", "/var/log/a.log.gz"),
            ("**", ".."),
            ("**", "../x"),
            ("**", "~root/x"),
            ("**", ""),
            ("**", "/etc/"),
            ("/**", "/"),
            ("/**", "etc"),
            ("*.cfg", "/running.cfg"),
            ("/foo/*/config", "/foo/bar/baz"),
        ] {
            assert!(!is(Reach::Strict, pattern, path), "{pattern} / {path:?}");
        }
    }

    #[test]
    fn a_deny_takes_in_what_it_cannot_judge() {
        for (pattern, path) in [
            ("/etc/**", "/etc/shadow"),
            ("/etc/**", "/etc"),
            ("/etc/**", "/ETC/shadow"),
            ("/etc/**", "/tmp/../etc/shadow"),
            ("/etc/**", "//etc/shadow"),
            ("/etc/**", "shadow"),
            ("/etc/**", "."),
            ("/etc/**", ""),
            ("/etc/**", "/x\0"),
            ("*.key", "/home/a/server.key"),
            ("*.key", "server.key"),
            ("**", "/x"),
        ] {
            assert!(is(Reach::Broad, pattern, path), "{pattern} / {path:?}");
        }
        for (pattern, path) in
            [("/etc/**", "/var/etc"), ("/etc/shadow", "/etc/shadows"), ("*.key", "/home/a/server.keys")]
        {
            assert!(!is(Reach::Broad, pattern, path), "{pattern} / {path:?}");
        }
    }

    #[test]
    fn patterns_that_are_refused() {
        for pattern in ["", "/a/", "//a", "/a/../b", "/a/./b", "..", "~/x", "/a/b**", "/a/**/**/b", "/a\nb"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern:?}");
        }
    }
}
