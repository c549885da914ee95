//! SSH authentication: who the client is, and for which account on which element.
//!
//! Nothing is remembered of an attempt that failed: a visit is made from the credential that succeeded and from the user name sent with it,
//! and from nothing else.

use std::sync::Arc;

use russh::keys::{Certificate, HashAlg, PublicKey};

use super::actions::{UserName, user_name};
use super::connection::{Connection, Who};
use crate::access::{Verified, Visit};
use crate::domain::{Account, ElementName};

/// What a refusal says of a user name at most.
const USER_CHARS_MAX: usize = 64;

/// A client whom TLS has identified logs in without a further credential.
pub(super) async fn with_none(connection: &Connection, user: &str) -> bool {
    match &connection.who {
        Who::Known { verified, element } => begin(connection, verified, Some(element), user).await,
        Who::Unknown { .. } => false,
    }
}

/// A password, or answers to questions that nobody asked: neither exists on the doors. What was guessed is not looked at.
pub(super) async fn with_secret(connection: &Connection, method: &str, user: &str) {
    let user: String = user.chars().take(USER_CHARS_MAX).collect();
    let reason = format!("{method} for `{}`; the doors take no passwords", user.escape_debug());
    connection.refused(connection.known(), reason).await;
}

/// A client whom TLS has identified and that does not try `none` proves a key of its own.
pub(super) async fn with_key(connection: &Connection, user: &str, key: &PublicKey) -> bool {
    let Who::Known { verified, element } = &connection.who else {
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        connection.refused(None, format!("a bare key, {fingerprint}; the SSH door takes user certificates")).await;
        return false;
    };
    match connection.access.confirm_key(key, verified) {
        Ok(()) => begin(connection, verified, Some(element), user).await,
        Err(error) => {
            connection.refused(Some(verified.identity().to_string()), error.to_string()).await;
            false
        }
    }
}

/// A user certificate whose key the client has proved to hold.
pub(super) async fn with_certificate(connection: &Connection, user: &str, certificate: &Certificate) -> bool {
    let access = &connection.access;
    match &connection.who {
        Who::Known { verified, element } => match access.confirm_certificate(certificate, verified) {
            Ok(()) => begin(connection, verified, Some(element), user).await,
            Err(error) => {
                let (id, serial) = (certificate.key_id().escape_debug(), certificate.serial());
                connection.refused(connection.known(), format!("{error}; the certificate claims {id}/{serial}")).await;
                false
            }
        },
        Who::Unknown { peer } => match access.identify_certificate(certificate, *peer) {
            Ok(verified) => begin(connection, &Arc::new(verified), None, user).await,
            Err(error) => {
                let holder = access.holder(certificate).map(|identity| identity.to_string());
                let (id, serial) = (certificate.key_id().escape_debug(), certificate.serial());
                // Where no authority of ours vouches for it, the claim is logged as what it is: a claim.
                let said = if holder.is_some() { "the certificate is" } else { "the certificate claims" };
                connection.refused(holder, format!("{error}; {said} {id}/{serial}")).await;
                false
            }
        },
    }
}

/// Begins the visit. `bound` is the element that the stream is for already.
async fn begin(connection: &Connection, verified: &Arc<Verified>, bound: Option<&ElementName>, user: &str) -> bool {
    let access = &connection.access;
    let identity = Some(verified.identity().to_string());
    let Some(UserName { account, element }) = user_name(user, access.domain()) else {
        connection.refused(identity, format!("`{}` is not an account or account@element", user.escape_debug())).await;
        return false;
    };
    if bound.is_some() && element.is_some() && element.as_ref() != bound {
        connection.refused(identity, "the user name names another element than the connection".to_owned()).await;
        return false;
    }
    let named = element.is_some();
    let element = element.or_else(|| bound.cloned()).unwrap_or_else(ElementName::gateway);
    // A person who does not say which account wants the usual one: their own name is what `ssh` sends by default. Where the element has an
    // account of that name, or the name is spelled out with the element, it is meant.
    let rules = access.rules().current();
    let exists = |a: &Account| rules.inventory.find(&element).is_some_and(|e| e.allows_account(a));
    let account = account.filter(|a| named || a.as_str() != verified.identity().name() || exists(a));
    let Some(account) = account.or_else(|| usual_account(connection, verified, &element)) else {
        connection.refused(identity, "no account was named and the element has no usual one".to_owned()).await;
        return false;
    };
    // Whoever was known before has a place already.
    if bound.is_none() {
        let place = match access.place_for(verified) {
            Ok(place) => place,
            Err(why) => {
                connection.refused(identity, why.to_owned()).await;
                return false;
            }
        };
        if connection.place.set(place).is_err() {
            return false;
        }
    }
    let first = connection.visit.set(Visit::new(access.clone(), verified.clone(), element, account, "ssh")).is_ok();
    connection.logged_in.cancel();
    first
}

/// The element's usual account. One that does not exist gets the client's own name, so that it is refused later and like any other.
fn usual_account(connection: &Connection, verified: &Verified, element: &ElementName) -> Option<Account> {
    let rules = connection.access.rules().current();
    match rules.inventory.find(element) {
        Some(element) => Some(element.default_account().clone()),
        None => verified.identity().name().parse().ok(),
    }
}
