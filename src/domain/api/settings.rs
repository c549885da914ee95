//! An API with what the set says beside its document.

use std::time::Duration;

use super::Document;

/// An API of the set.
#[derive(Debug, Default)]
pub struct Api {
    /// What it has.
    pub document: Document,
    /// How many requests one identity may make.
    pub requests: Option<Rate>,
    /// How many different objects one identity may name.
    pub objects: Option<Rate>,
    /// Whose word is taken for the customer having agreed.
    pub customer_auth: Option<CustomerAuth>,
}

/// So many within any span of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub most: usize,
    /// Within how long.
    pub window: Duration,
}

/// Who proves that a customer has agreed, and how long that is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerAuth {
    /// The header with the proof, in lower case.
    pub header: String,
    /// Who issues proofs.
    pub issuer: String,
    /// The longest that a proof may be good for.
    pub age_max: Duration,
    /// The issuer's keys.
    pub keys: Vec<AuthKey>,
}

/// An Ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthKey {
    /// Its name in proofs.
    pub id: String,
    /// The public key.
    pub public: [u8; 32],
}
