//! What must hold of any text in the place of the inventory and its keys, and of any bytes in the place of a sealed secret.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use std::path::Path;

use super::host_key::Pinned;
use super::inventory::{Inventory, PinError, pin};
use super::secrets::Secrets;

const KEY: &str = "SHA256:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8";

/// Every mistake is on a line that is there; what is read can be found, and pinning a key changes that and nothing else.
pub(crate) fn elements_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.matches('\n').count() + 1;
    let inventory = match Inventory::parse(text) {
        Ok(inventory) => inventory,
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|p| usize::try_from(p.line).is_ok_and(|line| line <= lines)), "{problems:?}");
            return;
        }
    };
    let tags = inventory.tags();
    for (element, own) in inventory.iter().zip(&tags) {
        assert!(inventory.find(element.name()).is_some_and(|found| found.name() == element.name()));
        assert_eq!(own.name, *element.name());
        assert!(element.allows_account(element.default_account()), "its own account");
        match pin(text, element.name(), KEY) {
            Ok(edited) => {
                let Ok(again) = Inventory::parse(&edited) else { panic!("pinning broke it:\n{edited}") };
                assert_eq!(again.tags(), tags);
                assert!(matches!(pin(&edited, element.name(), KEY), Err(PinError::Already(_))), "{edited}");
            }
            Err(PinError::Already(_) | PinError::Shape { .. }) => {}
            Err(error) => panic!("{error} in what was read:\n{text}"),
        }
    }
}

/// A pin's fingerprint is a pin of the same key.
pub(crate) fn host_key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(pinned) = text.parse::<Pinned>() else { return };
    let said = pinned.to_string();
    assert!(said.starts_with("SHA256:"), "{said}");
    assert!(said.parse::<Pinned>().is_ok_and(|again| again.fingerprint() == pinned.fingerprint()), "{said}");
}

/// Bytes open only when they were sealed so: with this key, under this name, and whole.
pub(crate) fn sealed_secret(data: &[u8]) {
    let nowhere = Path::new("/nowhere");
    let (Ok(secrets), Ok(name), Ok(other)) =
        (Secrets::with_key(nowhere, &[7; 32], nowhere), "router".parse(), "router-2".parse())
    else {
        unreachable!("a key of 32 bytes and two names")
    };
    if let Some(secret) = secrets.unseal(&name, data) {
        // The mark, a nonce and a tag stand around it.
        assert_eq!(data.len(), secret.len() + 8 + 12 + 16);
    }
    let Ok(sealed) = secrets.seal(&name, data) else { unreachable!("AES seals whatever it gets") };
    assert_eq!(secrets.unseal(&name, &sealed).as_deref().map(Vec::as_slice), Some(data));
    assert!(secrets.unseal(&other, &sealed).is_none(), "under another name");
    let at =
        data.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % sealed.len();
    let (shorter, _) = sealed.split_at(at);
    assert!(secrets.unseal(&name, shorter).is_none(), "cut at {at}");
    let mut spoiled = sealed;
    if let Some(byte) = spoiled.get_mut(at) {
        *byte ^= 1 << (data.len() % 8);
    }
    assert!(secrets.unseal(&name, &spoiled).is_none(), "a bit of byte {at} was flipped");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_secret_opens_as_it_was_sealed(secret in prop::collection::vec(any::<u8>(), 0..400)) {
            sealed_secret(&secret);
        }

        /// Elements of every usual shape: found again, and pinned.
        #[test]
        fn elements_are_found_and_pinned(
            names in prop::collection::btree_set("[a-z][a-z0-9]{0,6}(-[0-9])?", 1..4),
            keys in prop::sample::select(vec![
                "host_keys = [\"SHA256:BBEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8\"]",
                "host_keys = [ 'SHA256:BBEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8', ] # ]",
                "host_keys = [\n  \"SHA256:BBEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8\", # old ]\n]",
            ]),
            after in prop::sample::select(vec!["", "\r\n", "\n# end", "\n\n\n"]),
        ) {
            let mut text = String::new();
            for (n, name) in names.iter().enumerate() {
                text.push_str(&format!(
                    "[[element]]\nname = \"{name}\"\naddresses = [\"192.0.2.1:{}\"]\nplatform = \"ios\"\nclass = \"core-router\"\nvendor = \"x\"\n\
                     site = \"par\"\naccount = \"admin\"\nprotocols = [\"ssh\"]\ncredential = {{ kind = \"certificate\" }}\n{keys}{after}\n", 2000 + n
                ));
            }
            prop_assert!(Inventory::parse(&text).is_ok(), "{:?}", Inventory::parse(&text));
            elements_toml(text.as_bytes());
        }
    }
}
