//! How entries hang together: the hash of each covers the one before. Pure.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;

/// A SHA-256 value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first entry names as the one before it.
    pub const ZERO: Self = Self([0; 32]);

    /// The hash of the concatenation of `parts`.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        let mut out = [0; 32];
        // SHA-256 gives 32 bytes; zip writes as many.
        for (to, from) in out.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(out)
    }

    /// From 64 lower-case hexadecimal digits.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        HEXLOWER.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// The text that a checkpoint's signature covers: everything up to entry `seq`, whose hash is `head`.
pub fn checkpoint_message(seq: u64, head: &Hash, at: &str) -> Vec<u8> {
    format!("sallyport audit checkpoint v1\n{seq}\n{head}\n{at}\n").into_bytes()
}
