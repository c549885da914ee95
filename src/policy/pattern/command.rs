//! Command lines.
//!
//! In a pattern `*` stands for any run of plain characters. A plain character can neither end a command nor begin another, quote, expand
//! or redirect: letters, digits and the few marks of [`PLAIN_MARKS`]. A pattern that needs another character spells it out.

/// Punctuation that means nothing to a shell or a router's command line.
const PLAIN_MARKS: &[u8] = b" %+,-./:=@^_";

/// Marks that quote the next characters, so that a command can be written in pieces.
const QUOTES: &[char] = &['"', '\'', '\\'];

/// A longer line is not matched by an allowing pattern, and is matched by every other.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// A line of more pieces than this could be anything.
const READINGS_MAX: usize = 1024;

fn is_plain(c: char) -> bool {
    if c.is_ascii() { u8::try_from(c).is_ok_and(is_plain_byte) } else { c.is_alphanumeric() }
}

fn is_plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || PLAIN_MARKS.contains(&byte)
}

/// Checks a pattern.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    if pattern.is_empty() {
        return Err("the command line is missing; write `*` for every plain one".to_owned());
    }
    if pattern.starts_with("class:") {
        return Err(format!("`{pattern}` is not a known class here"));
    }
    if pattern != pattern.trim() || pattern.chars().any(char::is_control) {
        return Err(format!("`{}` begins or ends with a blank, or has a control character", pattern.escape_debug()));
    }
    if pattern.contains("**") {
        return Err(format!("`{pattern}`: write one `*`"));
    }
    if pattern.len() > 1024 {
        return Err("the pattern is longer than 1024 bytes".to_owned());
    }
    Ok(())
}

/// Whether `line` is what the author of an allowing pattern meant, as it stands.
pub(super) fn is_exactly(pattern: &str, line: &str) -> bool {
    // An empty line starts a shell on some elements.
    if line.is_empty() || line.len() > LINE_BYTES_MAX {
        return false;
    }
    let foreign = !line.is_ascii() && !line.chars().all(|c| c.is_ascii() || c.is_alphanumeric());
    let spans = |byte: u8| if byte.is_ascii() { is_plain_byte(byte) } else { !foreign };
    super::glob(pattern.as_bytes(), line.as_bytes(), |want, byte| want == byte, spans)
}

/// Every way a line could be read by what it is sent to, as far as text alone tells.
#[derive(Debug)]
pub(super) enum Broad {
    /// Too long or too tangled to tell.
    Anything,
    /// These.
    Readings(Vec<String>),
}

impl Broad {
    /// The readings of `line`: as it stands, and from every place where a command could begin to the next mark that could end it, and to the end of
    /// the line; all of these again with quoting undone.
    pub(super) fn of(line: &str) -> Self {
        if line.len() > LINE_BYTES_MAX {
            return Self::Anything;
        }
        let mut readings = Vec::new();
        let whole = blanks_joined(line);
        if whole != line {
            // An allow sees the line as it stands, so a deny with the same text does too.
            add(&mut readings, line);
        }
        add(&mut readings, &whole);
        if line.chars().all(is_plain) {
            return Self::Readings(readings);
        }
        let spaced = line.replace("${IFS}", " ").replace("$IFS", " ");
        let unquoted: String = spaced.replace("\\\n", "").chars().filter(|c| !QUOTES.contains(c)).collect();
        let bare: String = spaced.chars().filter(|c| is_plain(*c) || c.is_whitespace()).collect();
        let ends = |c: char| !(is_plain(c) || c.is_whitespace() && c != '\n' && c != '\r');
        for text in [spaced.as_str(), unquoted.as_str(), bare.as_str()] {
            let mut rest = Some(text);
            while let Some(tail) = rest {
                add(&mut readings, &blanks_joined(tail));
                rest = tail.split_once(ends).map(|(command, after)| {
                    add(&mut readings, &blanks_joined(command));
                    after
                });
                if readings.len() > READINGS_MAX {
                    return Self::Anything;
                }
            }
        }
        readings.sort_unstable();
        readings.dedup();
        Self::Readings(readings)
    }

    /// Whether any reading is what the author of a denying pattern meant. Letter case does not matter to most elements, so not here.
    pub(super) fn could_be(&self, pattern: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Readings(readings) => readings.iter().any(|reading| {
                super::glob(
                    pattern.as_bytes(),
                    reading.as_bytes(),
                    |want, byte| want.eq_ignore_ascii_case(&byte),
                    |_| true,
                )
            }),
        }
    }
}

/// Adds a reading, and the same with the folder of its program left out.
fn add(readings: &mut Vec<String>, reading: &str) {
    if reading.is_empty() {
        return;
    }
    let (program, rest) = reading.split_once(' ').map_or((reading, None), |(program, rest)| (program, Some(rest)));
    if let Some((_, name)) = program.rsplit_once('/')
        && !name.is_empty()
    {
        readings.push(rest.map_or_else(|| name.to_owned(), |rest| format!("{name} {rest}")));
    }
    readings.push(reading.to_owned());
}

fn blanks_joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_allow_means_the_whole_plain_line() {
        for (pattern, line) in [
            ("show *", "show version"),
            ("show *", "show  ip route 10.0.0.0/8"),
            ("show *", "show interfaces GigabitEthernet0/0"),
            ("show version", "show version"),
            ("ping *", "ping 192.0.2.1 repeat 5"),
            ("*", "anything plain"),
            ("show * brief", "show ip interface brief"),
            ("show run | include *", "show run | include bgp"),
            ("show *", "show zürich"),
        ] {
            assert!(is_exactly(pattern, line), "{pattern} / {line:?}");
        }
    }

    #[test]
    fn an_allow_means_nothing_else() {
        for (pattern, line) in [
            ("show *", "show"),
            ("show *", "show version; reload"),
            ("show *", "show version;reload"),
            ("show *", "show version | redirect tftp://192.0.2.9/x"),
            ("show *", "show version & reload"),
            ("show *", "show version && reload"),
            ("show *", "show version || reload"),
            ("show *", "show `reload`"),
            ("show *", "show $(reload)"),
            ("show *", "show ${x}"),
            ("show *", "show version > flash:x"),
            ("show *", "show < /etc/shadow"),
            ("show *", "show version\nreload"),
            ("show *", "show version\rreload"),
            ("show *", "show version\0"),
            ("show *", "show version\u{b}reload"),
            ("show *", "show version\u{2028}reload"),
            ("show *", "show version\u{85}reload"),
            ("show *", "show \u{202e}noisrev"),
            ("show *", "show\u{a0}version"),
            ("show *", "show 'x'"),
            ("show *", "show \"x\""),
            ("show *", "show \\x"),
            ("show *", "show {a,b}"),
            ("show *", "show [a]"),
            ("show *", "show ~root"),
            ("show *", "show !x"),
            ("show *", "show # x"),
            ("show *", "show *"),
            ("show *", "show ?"),
            ("show *", " show version"),
            ("show *", "SHOW version"),
            ("show *", "showtech"),
            ("show *", "do show version"),
            ("show version", "show version "),
            ("show version", "show versions"),
            ("show version", ""),
            ("show run | include *", "show run | include x | redirect y"),
            ("show run | include *", "show run"),
            ("*", "a;b"),
            ("*", ""),
            ("* version", "show; reload version"),
        ] {
            assert!(!is_exactly(pattern, line), "{pattern} / {line:?}");
        }
        assert!(!is_exactly("*", &"a".repeat(LINE_BYTES_MAX + 1)));
    }

    #[test]
    fn a_deny_sees_through_decoration() {
        for (pattern, line) in [
            ("reload*", "reload"),
            ("reload*", "reload in 5"),
            ("reload*", "  reload"),
            ("reload*", "RELOAD"),
            ("reload*", "reload; show version"),
            ("reload*", "show version; reload"),
            ("reload*", "show version && reload"),
            ("reload*", "show version\nreload"),
            ("reload*", "show version\r\n\treload"),
            ("reload*", "echo $(reload)"),
            ("reload*", "echo `reload`"),
            ("reload*", "re\"lo\"ad"),
            ("reload*", "re\\load"),
            ("reload*", "'reload'"),
            ("reload*", "r$()eload"),
            ("reload*", "re\\\nload"),
            ("reload*", "/sbin/reload now"),
            ("reload*", "x; /sbin/reload"),
            ("reload*", "reload\u{200b}"),
            ("reload*", "re\u{200b}load"),
            ("reload in *", "reload\tin 5"),
            ("reload in *", "reload   in   5"),
            ("reload in *", "reload${IFS}in 5"),
            ("reload in *", "reload\u{a0}in 5"),
            ("copy run* tftp:*", "show clock | copy running-config tftp://x"),
            ("* > *", "show run > flash:x"),
            ("scp * far:*", "true; scp 'a;b' far:x"),
            ("scp * far:*", "true && scp $(ls) far:x; true"),
            ("reload *", "reload "),
            ("reload *", "RELOAD \t"),
        ] {
            assert!(Broad::of(line).could_be(pattern), "{pattern} / {line:?}");
        }
        assert!(Broad::of(&"a".repeat(LINE_BYTES_MAX + 1)).could_be("reload"));
        assert!(Broad::of(&";a".repeat(2000)).could_be("reload"));
    }

    #[test]
    fn a_deny_spares_what_it_does_not_mean() {
        for (pattern, line) in [
            ("reload", "show reload"),
            ("reload", "reloading"),
            ("reload in *", "reload"),
            ("write*", "show version; ping x"),
            ("reload", ""),
        ] {
            assert!(!Broad::of(line).could_be(pattern), "{pattern} / {line:?}");
        }
    }

    #[test]
    fn patterns_that_are_refused() {
        for pattern in ["", " show", "show ", "show **", "class:x", "a\tb", "a\nb", &"a".repeat(1025)] {
            assert!(check(pattern).is_err(), "{pattern:?}");
        }
    }

    proptest! {
        /// A deny with the same text is at least as broad as the allow.
        #[test]
        fn broad_contains_strict(pattern in "[a-c*;|]{1,4}( [a-c*;|]{1,4})?", line in "[a-c;|$]{1,6}( [a-c;|$]{1,6})?") {
            prop_assume!(check(&pattern).is_ok());
            prop_assert!(!is_exactly(&pattern, &line) || Broad::of(&line).could_be(&pattern));
        }

        /// No wildcard takes a character that is not plain.
        #[test]
        fn wildcards_take_plain_characters_only(line in "\\PC{0,12}|[a-z;&|\\n\\r\\x00 ]{0,12}") {
            prop_assert_eq!(is_exactly("*", &line), !line.is_empty() && line.chars().all(is_plain));
        }
    }
}
