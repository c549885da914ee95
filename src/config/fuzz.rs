//! What must hold of any text in the place of `sallyport.toml`.

use std::collections::BTreeSet;
use std::path::Path;

/// Every mistake is on a line that is there; what is read is read the same again, and comments say nothing.
pub(crate) fn config_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let base = Path::new("/etc/sallyport");
    let commented = format!("# first\n{text}");
    let ((config, mistakes), (config_again, again)) = (super::parse(text, base), super::parse(&commented, base));
    assert_eq!(format!("{config:?}"), format!("{config_again:?}"));
    assert!(mistakes.iter().all(|m| m.line <= text.matches('\n').count() + 1), "{mistakes:?}");
    // A mistake of the file as a whole stands on its first line, comment or not: the texts are compared.
    let texts = |all: Vec<super::reader::Mistake>| -> BTreeSet<String> { all.into_iter().map(|m| m.text).collect() };
    assert_eq!(texts(mistakes), texts(again));
}
