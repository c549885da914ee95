//! What the program is built from: one TLS stack on one cryptographic library, one of each.

use std::collections::BTreeMap;
use std::process::Command;

use crate::harness::must;

/// Another TLS stack or provider of cryptography beside ours.
const FORBIDDEN: &[&str] = &[
    "aws-lc-fips-sys",
    "boring",
    "boring-sys",
    "libssh2-sys",
    "native-tls",
    "openssl",
    "openssl-src",
    "openssl-sys",
    "ring",
    "schannel",
    "security-framework",
];

/// There is exactly one of each.
const ONE: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "casbin", "hyper", "russh", "rustls", "rustls-webpki", "tokio", "tokio-rustls"];

/// The packages that a build on Linux takes, with their versions: the library and program, and what builds them.
fn resolved(features: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tree", "--locked", "--offline", "--package", "sallyport"]);
    tree.args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"]).args(features);
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for line in must(&mut tree).lines().filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let (name, version) = (words.next().expect("a name"), words.next().expect("a version"));
        let versions = found.entry(name.to_owned()).or_default();
        if !versions.iter().any(|known| known == version) {
            versions.push(version.to_owned());
        }
    }
    found
}

#[test]
fn there_is_one_tls_stack_and_no_other() {
    for features in [&[][..], &["--all-features"]] {
        let found = resolved(features);
        assert!(found.len() > 100 && found.contains_key("sallyport"), "the tree was not read: {found:?}");
        for name in FORBIDDEN {
            assert!(!found.contains_key(*name), "{name} {:?} is in the program", found[*name]);
        }
        for name in ONE {
            let versions = found.get(*name).map_or(0, Vec::len);
            assert_eq!(versions, 1, "{name}: {:?}", found.get(*name));
        }
    }
}
