//! What must hold of any bytes in the place of a certificate.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use std::net::{IpAddr, Ipv4Addr};

use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{Certificate, PrivateKey};

use super::{ssh, x509};
use crate::domain::{Timestamp, TrustDomain};

/// A client certificate names somebody of our own trust domain or is refused; nothing may follow it.
pub(crate) fn x509_leaf(data: &[u8]) {
    let Ok(domain) = "carrier.example".parse::<TrustDomain>() else { unreachable!("a domain") };
    drop(x509::claimed_trust_domain(data));
    let Ok(leaf) = x509::leaf(data, &domain) else { return };
    assert_eq!(leaf.identity.trust_domain(), &domain);
    assert!(leaf.device.is_none_or(|device| *device.trust_domain() == domain));
    assert!(leaf.serial.bytes().all(|b| b.is_ascii_hexdigit()) && leaf.not_after > Timestamp::from_secs(i64::MIN));
    assert!(x509::leaf(&[data, b"\0"].concat(), &domain).is_err(), "a byte follows it");
}

/// What is read of an SSH certificate has one form, and every check of it comes to an end.
pub(crate) fn ssh_certificate(data: &[u8]) {
    let Ok(certificate) = Certificate::from_bytes(data) else { return };
    let Ok(bytes) = certificate.to_bytes() else { panic!("it was read and cannot be written") };
    let Ok(again) = Certificate::from_bytes(&bytes) else { panic!("it is not read again") };
    assert_eq!(again.to_bytes().ok(), Some(bytes));
    ssh::try_checks(&certificate, PEER, Timestamp::from_secs(NOW));
}

const NOW: i64 = 1_800_000_000;
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// A user certificate with this critical option is good from the addresses it lists and from nowhere else.
pub(crate) fn critical_option(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((name, value)) = text.split_once('\n') else { return };
    let Some(certificate) = with_option(name, value) else { return };
    let admits = |peer: IpAddr| ssh::critical_options(&certificate, peer).is_ok();
    let far = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
    if name != "source-address" {
        assert!(!admits(PEER) && !admits(far), "`{}` is a promise that nobody keeps", name.escape_debug());
        return;
    }
    let listed = |peer: IpAddr| {
        let nets: Option<Vec<_>> = value.split(',').map(ssh::network).collect();
        nets.is_some_and(|nets| nets.iter().any(|net| net.contains(&peer)))
    };
    assert_eq!(admits(PEER), listed(PEER), "{value}");
    assert_eq!(admits(far), listed(far), "{value}");
    let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped());
    assert_eq!(admits(mapped), admits(PEER), "{value}: one address, two spellings");
}

fn with_option(name: &str, value: &str) -> Option<Certificate> {
    let key = |seed: u8| PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
    let holder = key(1).public_key().key_data().clone();
    let mut builder = Builder::new(vec![7; 16], holder, 1_700_000_000, 1_900_000_000).ok()?;
    builder.cert_type(CertType::User).ok()?.valid_principal("ada").ok()?.critical_option(name, value).ok()?;
    builder.sign(&key(2)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A list of good networks admits by the networks; one bad entry among them admits nobody.
        #[test]
        fn half_a_list_is_not_the_list(
            nets in prop::collection::vec((any::<[u8; 4]>(), 0_u8..=32), 1..5),
            bad in prop::sample::select(vec!["", "x", "10.0.0.1/33", "10.0.0.1/8", " 10.0.0.0/8", "!10.0.0.0/8", "10.*"]),
        ) {
            let text = |(octets, bits): &([u8; 4], u8)| {
                let mask = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                format!("{}/{bits}", Ipv4Addr::from(u32::from_be_bytes(*octets) & mask))
            };
            let mut list: Vec<String> = nets.iter().map(text).collect();
            critical_option(format!("source-address\n{}", list.join(",")).as_bytes());
            list.push("192.0.2.0/24".to_owned());
            let good = with_option("source-address", &list.join(",")).unwrap();
            prop_assert!(ssh::critical_options(&good, PEER).is_ok());
            list.push(bad.to_owned());
            let spoiled = with_option("source-address", &list.join(",")).unwrap();
            prop_assert!(ssh::critical_options(&spoiled, PEER).is_err());
        }

        /// No other option is understood, whatever it is called.
        #[test]
        fn no_other_option_is_understood(name in "[a-z@.-]{1,20}", value in "\\PC{0,20}") {
            critical_option(format!("{name}\n{value}").as_bytes());
        }
    }
}
