//! Tables of what is refused, each row for one reason only, and the few things that are admitted.

mod authority;
mod handshake;
mod locks;
mod minted;
mod user_certificate;
mod x509_chain;
