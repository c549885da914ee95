//! A customer's agreement, as a token that the customer's side signs for one record, one operation and one agent.
//!
//! It is a JWS in compact form (RFC 7515) with EdDSA (RFC 8037). Its claims say everything that it is good for; none is optional, and none that
//! is not known is there for nothing: what the gateway does not read, it does not judge.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::Timestamp;
use crate::domain::api::{CustomerAuth, Json, Value};

/// What says that a token is one of these, and nothing else that the same key signs.
const TYPE: &str = "customer-auth+jwt";
/// The longest token.
const BYTES_MAX: usize = 4 << 10;
/// How far the issuer's clock may be ahead.
const SKEW: Duration = Duration::from_secs(5);
/// Tokens that are remembered; no more are taken until some have run out.
const USED_MAX: usize = 100_000;

/// What a token must be for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needed<'n> {
    /// The element.
    pub(super) element: &'n str,
    /// The operation of the API document.
    pub(super) operation: &'n str,
    /// The customer's record.
    pub(super) record: &'n str,
    /// The agent's identity.
    pub(super) agent: &'n str,
    /// When it is shown.
    pub(super) now: Timestamp,
    /// What was issued before this gateway began may have been used before.
    pub(super) since: Timestamp,
}

/// Tokens that were used and have not run out.
#[derive(Debug, Default)]
pub(super) struct Used(Mutex<HashMap<String, Timestamp>>);

impl Used {
    /// Notes that a token is used.
    fn take(&self, id: String, until: Timestamp, now: Timestamp) -> Result<(), &'static str> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= USED_MAX {
            used.retain(|_, until| *until > now);
        }
        if used.contains_key(&id) {
            return Err("it was used before");
        }
        if used.len() >= USED_MAX {
            return Err("too many are in use");
        }
        used.insert(id, until);
        Ok(())
    }
}

/// Verifies a token and uses it up.
///
/// # Errors
/// Why it proves nothing, for the log.
pub(super) fn verify(auth: &CustomerAuth, token: &str, needed: &Needed<'_>, used: &Used) -> Result<(), &'static str> {
    let malformed = "it is not a token";
    let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= BYTES_MAX).ok_or(malformed)?;
    let (head, claims) = signed.split_once('.').ok_or(malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed);
    let json = |part: &str| Json::read(&decode(part)?).map_err(|_| malformed);
    let head = json(head)?;
    let text = |json: &Json, name: &str| json.get(name).and_then(Json::text).map(str::to_owned);
    // RFC 7515 §4.1.11: what is critical has to be understood.
    if text(&head, "alg").as_deref() != Some("EdDSA")
        || text(&head, "typ").as_deref() != Some(TYPE)
        || head.get("crit").is_some()
    {
        return Err("it is another kind of token");
    }
    let id = text(&head, "kid").ok_or("it names no key")?;
    let key = auth.keys.iter().find(|key| key.id == id).ok_or("its key is not known")?;
    let verified = UnparsedPublicKey::new(&ED25519, &key.public).verify(signed.as_bytes(), &decode(signature)?);
    verified.map_err(|_| "its signature is wrong")?;
    let claims = json(claims)?;
    for (name, wanted) in [
        ("iss", auth.issuer.as_str()),
        ("aud", needed.element),
        ("sub", needed.record),
        ("act", needed.operation),
        ("azp", needed.agent),
    ] {
        if text(&claims, name).as_deref() != Some(wanted) {
            return Err("it is for something else");
        }
    }
    let time = |name: &str| match &claims.get(name)?.value {
        Value::Number(text) => text.parse::<u32>().ok().map(|secs| Timestamp::from_secs(i64::from(secs))),
        _ => None,
    };
    let (issued, until) = time("iat").zip(time("exp")).ok_or("it does not say for how long it is good")?;
    if until > issued.plus(auth.age_max) {
        return Err("it is good for too long");
    }
    if needed.now >= until || issued > needed.now.plus(SKEW) {
        return Err("it is not good any more, or not yet");
    }
    if issued < needed.since {
        return Err("it was issued before the gateway began");
    }
    let id = text(&claims, "jti").filter(|id| (8..=128).contains(&id.len())).ok_or("it has no `jti`")?;
    used.take(format!("{}/{id}", auth.issuer), until, needed.now)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;
    use crate::domain::api::AuthKey;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const HEAD: &str = r#"{"alg":"EdDSA","typ":"customer-auth+jwt","kid":"k1"}"#;
    const CLAIMS: &str = r#"{"iss":"idp","aud":"hss-1","sub":"4711","act":"swapSim","azp":"spiffe://c/user/ada","iat":1799999990,"exp":1800000050,"jti":"one-token"}"#;

    fn key() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key")
    }

    fn token(head: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }

    fn check(token: &str, used: &Used, change: impl FnOnce(&mut Needed<'_>)) -> Result<(), &'static str> {
        let public = <[u8; 32]>::try_from(key().public_key().as_ref()).expect("32 bytes");
        let auth = CustomerAuth {
            header: "x-customer-auth".to_owned(),
            issuer: "idp".to_owned(),
            age_max: Duration::from_secs(60),
            keys: vec![AuthKey { id: "k1".to_owned(), public }],
        };
        let since = Timestamp::from_secs(1_799_999_000);
        let mut needed = Needed {
            element: "hss-1",
            operation: "swapSim",
            record: "4711",
            agent: "spiffe://c/user/ada",
            now: NOW,
            since,
        };
        change(&mut needed);
        verify(&auth, token, &needed, used)
    }

    #[test]
    fn a_token_is_good_once() {
        let used = Used::default();
        let token = token(HEAD, CLAIMS);
        assert_eq!(check(&token, &used, |_| ()), Ok(()));
        assert_eq!(check(&token, &used, |_| ()), Err("it was used before"));
    }

    #[test]
    fn a_token_is_good_for_what_it_says_alone() {
        let good = token(HEAD, CLAIMS);
        let refused = |change: fn(&mut Needed<'_>)| check(&good, &Used::default(), change).is_err();
        assert!(refused(|n| n.element = "hss-2"));
        assert!(refused(|n| n.record = "4712"));
        assert!(refused(|n| n.record = ""));
        assert!(refused(|n| n.operation = "portOut"));
        assert!(refused(|n| n.agent = "spiffe://c/user/eve"));
        assert!(refused(|n| n.now = Timestamp::from_secs(1_800_000_050)));
        assert!(refused(|n| n.now = Timestamp::from_secs(1_799_999_900)));
        assert!(refused(|n| n.since = Timestamp::from_secs(1_799_999_991)));
    }

    #[test]
    fn tokens_that_prove_nothing() {
        let good = token(HEAD, CLAIMS);
        for (from, to) in [
            ("EdDSA", "none"),
            ("EdDSA", "HS256"),
            ("customer-auth+jwt", "JWT"),
            ("\"kid\":\"k1\"", "\"kid\":\"k2\""),
            (",\"kid\":\"k1\"", ""),
            ("\"kid\"", "\"crit\":[\"x\"],\"kid\""),
            ("\"kid\"", "\"kid\":\"k1\",\"kid\""),
        ] {
            let token = token(&HEAD.replacen(from, to, 1), CLAIMS);
            assert!(check(&token, &Used::default(), |_| ()).is_err(), "{from} -> {to}");
        }
        for (from, to) in [
            ("\"idp\"", "\"other\""),
            ("\"hss-1\"", "[\"hss-1\"]"),
            ("\"sub\":\"4711\",", ""),
            ("\"4711\"", "4711"),
            ("1800000050", "1800000051"),
            ("1800000050", "\"1800000050\""),
            ("1800000050", "1800000050.5"),
            ("1800000050", "99999999999"),
            ("\"iat\":1799999990,", ""),
            ("1799999990", "-1"),
            ("1799999990", "1800000010"),
            (",\"jti\":\"one-token\"", ""),
            ("one-token", "short"),
            ("\"iss\"", "\"sub\":\"4712\",\"iss\""),
        ] {
            let token = token(HEAD, &CLAIMS.replacen(from, to, 1));
            assert!(check(&token, &Used::default(), |_| ()).is_err(), "{from} -> {to}");
        }
        let flipped = good.replacen('A', "B", 1);
        let unsigned = good.rsplit_once('.').map(|(signed, _)| format!("{signed}.")).expect("a signature");
        let long = format!("{good}{}", "A".repeat(5_000));
        for token in
            ["", ".", "..", "a.b.c", &good[1..], &flipped, &unsigned, &format!("{good}="), &format!("{good}.x"), &long]
        {
            assert!(check(token, &Used::default(), |_| ()).is_err(), "{token}");
        }
    }
}
