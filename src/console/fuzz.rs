//! What must hold of any bytes in the place of a body of the API.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, AskBody, LockBody, TerminateBody};

/// What is understood means the same when it is said again.
pub(crate) fn api_body(data: &[u8]) {
    again::<AskBody>(data);
    again::<TerminateBody>(data);
    again::<LockBody>(data);
    again::<Answer>(data);
}

fn again<T: DeserializeOwned + Serialize>(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<T>(data) else { return };
    let Ok(said) = serde_json::to_vec(&body) else { panic!("it was read and cannot be said") };
    let Ok(body) = serde_json::from_slice::<T>(&said) else { panic!("{} is not read again", said.escape_ascii()) };
    assert_eq!(serde_json::to_vec(&body).ok(), Some(said));
}
