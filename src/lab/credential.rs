//! Which user certificates a router accepts (pure): OpenSSH PROTOCOL.certkeys, everything that the SSH library leaves to the server.

use std::net::IpAddr;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::{Certificate, HashAlg, PublicKey};

use crate::domain::Timestamp;

/// Why a certificate does not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// A host certificate, or something new.
    #[error("not a user certificate")]
    NotForUsers,
    /// Not of the configured authority, broken, or outside its validity.
    #[error("not valid under the configured authority at this time")]
    NotValid,
    /// It names no principals, or not this account.
    #[error("the account is not among its principals")]
    Principal,
    /// A critical option that holds it to another address.
    #[error("not valid from this address")]
    SourceAddress,
    /// A critical option that routers do not know.
    #[error("a critical option is not known here")]
    CriticalOption,
}

/// Checks `certificate`, whose private key the client holds, for a login as `account` from `peer` at `now`.
pub(super) fn accepts(
    certificate: &Certificate,
    authority: &PublicKey,
    account: &str,
    peer: IpAddr,
    now: Timestamp,
) -> Result<(), Refusal> {
    if certificate.cert_type() != CertType::User {
        return Err(Refusal::NotForUsers);
    }
    let seconds = u64::try_from(now.as_secs()).map_err(|_| Refusal::NotValid)?;
    let fingerprint = authority.fingerprint(HashAlg::Sha256);
    certificate.validate_at(seconds, [&fingerprint]).map_err(|_| Refusal::NotValid)?;
    // An empty list would mean every account.
    if !certificate.valid_principals().iter().any(|p| p == account) {
        return Err(Refusal::Principal);
    }
    for (name, value) in certificate.critical_options().iter() {
        match name.as_str() {
            "source-address" if holds(value, peer) => {}
            "source-address" => return Err(Refusal::SourceAddress),
            _ => return Err(Refusal::CriticalOption),
        }
    }
    Ok(())
}

/// Whether `peer` is in the comma-separated list of addresses and networks.
fn holds(list: &str, peer: IpAddr) -> bool {
    list.split(',').any(|entry| {
        let network = entry.parse::<ipnet::IpNet>().or_else(|_| entry.parse::<IpAddr>().map(ipnet::IpNet::from));
        network.is_ok_and(|network| network.contains(&peer))
    })
}

#[cfg(test)]
mod tests {
    use russh::keys::ssh_key::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;
    use russh::keys::ssh_key::private::Ed25519Keypair;

    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
    }

    /// A good certificate of authority 1 for `admin`, changed by `change`.
    fn certificate(signer: u8, change: impl FnOnce(&mut Builder)) -> Certificate {
        let subject = key(9);
        let mut builder = Builder::new(vec![7; 16], subject.public_key().key_data().clone(), 1_000, 2_000).unwrap();
        change(&mut builder);
        builder.sign(&key(signer)).unwrap()
    }

    fn admin(builder: &mut Builder) {
        builder.cert_type(CertType::User).unwrap();
        builder.valid_principal("admin").unwrap();
    }

    fn check(certificate: &Certificate, now: i64) -> Result<(), Refusal> {
        accepts(certificate, key(1).public_key(), "admin", IpAddr::from([127, 0, 0, 1]), Timestamp::from_secs(now))
    }

    #[test]
    fn validity_and_authority() {
        let good = certificate(1, admin);
        for (now, result) in [
            (1_000, Ok(())),
            (1_999, Ok(())),
            (999, Err(Refusal::NotValid)),
            (2_000, Err(Refusal::NotValid)),
            (-1, Err(Refusal::NotValid)),
        ] {
            assert_eq!(check(&good, now), result, "{now}");
        }
        assert_eq!(check(&certificate(2, admin), 1_500), Err(Refusal::NotValid));
    }

    #[test]
    fn principals_types_and_options() {
        let with = |name: &'static str, value: &'static str| {
            certificate(1, move |b| {
                admin(b);
                b.critical_option(name, value).unwrap();
            })
        };
        let host = certificate(1, |b| {
            b.cert_type(CertType::Host).unwrap();
            b.valid_principal("admin").unwrap();
        });
        let other = certificate(1, |b| {
            b.cert_type(CertType::User).unwrap();
            b.valid_principal("admin2").unwrap();
        });
        let everybody = certificate(1, |b| {
            b.cert_type(CertType::User).unwrap();
            b.all_principals_valid().unwrap();
        });
        for (name, certificate, result) in [
            ("host", host, Err(Refusal::NotForUsers)),
            ("other", other, Err(Refusal::Principal)),
            ("everybody", everybody, Err(Refusal::Principal)),
            ("forced", with("force-command", "show version"), Err(Refusal::CriticalOption)),
            ("unknown", with("x@example.com", ""), Err(Refusal::CriticalOption)),
            ("elsewhere", with("source-address", "10.0.0.0/8"), Err(Refusal::SourceAddress)),
            ("garbage", with("source-address", "127.0.0.1/99"), Err(Refusal::SourceAddress)),
            ("here", with("source-address", "10.0.0.0/8,127.0.0.0/8"), Ok(())),
            ("exactly here", with("source-address", "127.0.0.1"), Ok(())),
        ] {
            assert_eq!(check(&certificate, 1_500), result, "{name}");
        }
    }
}
