//! `pattern`: the part of ECMA-262's regular expressions that means the same to the library.

use regex::{Regex, RegexBuilder};

/// The regular expression of a `pattern`.
///
/// # Errors
/// It uses something that is not in the part that is understood, and what.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&translated(pattern)?);
    builder.size_limit(1 << 20);
    builder.build().map_err(|error| format!("`{}` is not understood: {error}", pattern.escape_debug()))
}

/// `\d` and `\w` are ASCII in ECMA-262; what the library would read otherwise is refused.
fn translated(pattern: &str) -> Result<String, String> {
    let refused = |what: &str| format!("`{}`: {what} is not understood", pattern.escape_debug());
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let escaped = chars.next().ok_or_else(|| refused("a `\\` at the end"))?;
                let set = match escaped {
                    'd' => "0-9",
                    'w' => "A-Za-z0-9_",
                    'D' | 'W' | 'S' if class => return Err(refused("a negated class inside another")),
                    'D' => "^0-9",
                    'W' => "^A-Za-z0-9_",
                    's' | 'S' | 'n' | 'r' | 't' => {
                        out.extend(['\\', escaped]);
                        continue;
                    }
                    other if other.is_ascii_punctuation() => {
                        out.push_str(&regex::escape(&other.to_string()));
                        if regex::escape(&other.to_string()).len() == 1 && class {
                            out.pop();
                            out.extend(['\\', other]);
                        }
                        continue;
                    }
                    other => return Err(refused(&format!("`\\{other}`"))),
                };
                out.push_str(&if class { set.to_owned() } else { format!("[{set}]") });
            }
            '[' if class => return Err(refused("`[` inside a class")),
            '&' | '~' if class && chars.peek() == Some(&c) => return Err(refused("a doubled sign inside a class")),
            '-' if class && chars.peek() == Some(&'-') => return Err(refused("a doubled sign inside a class")),
            '[' => {
                class = true;
                out.push(c);
            }
            ']' => {
                class = false;
                out.push(c);
            }
            '(' if !class && chars.peek() == Some(&'?') => {
                chars.next();
                if chars.next() != Some(':') {
                    return Err(refused("a group with `(?`, other than `(?:`,"));
                }
                out.push_str("(?:");
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches() {
        for (pattern, yes, no) in [
            ("^[0-9]{3}$", "123", "1234"),
            ("^\\d+$", "12", "\u{661}\u{662}"),
            ("^\\w+$", "a_1", "é"),
            ("^[\\d.]+$", "1.2", "1,2"),
            ("^\\D$", "x", "1"),
            ("^\\+46\\d{2}$", "+4612", "4612"),
            ("^(?:a|b)$", "b", "c"),
            ("^[a\\-z]$", "-", "b"),
            ("^a$", "a", "a\n"),
            ("b", "abc", "ac"),
        ] {
            let regex = compile(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert!(regex.is_match(yes) && !regex.is_match(no), "{pattern}");
        }
    }

    #[test]
    fn what_is_refused() {
        for pattern in [
            "(",
            "[",
            "a{",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<n>a)",
            "(?i)a",
            "\\1",
            "\\b",
            "\\p{L}",
            "\\u0041",
            "\\x41",
            "\\A",
            "\\z",
            "[[a]]",
            "[a&&b]",
            "[a--b]",
            "[a~~b]",
            "[\\D]",
            "\\",
            "a{1000000}",
            "(a{1000}){1000}",
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
