//! The key that signs checkpoints and seals (Ed25519), and the public halves that auditors trust.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use super::AuditError;

/// The name of the file beside the data that holds the public keys it was signed with.
pub const PUBLIC_KEYS_FILE: &str = "signing.pub.pem";

/// The DER of an Ed25519 `SubjectPublicKeyInfo` up to the 32 bytes of the key (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Signs checkpoints and seals (Ed25519). Auditors hold the public half.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("key", &self.public.id()).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads the key in `file` (PKCS #8 PEM), or makes one there, readable by its owner only.
    ///
    /// # Errors
    /// A file that cannot be read, written, or is not such a key; one that everybody may read.
    pub fn open_or_create(file: &Path) -> Result<Arc<Self>, AuditError> {
        let failed =
            |what: &dyn std::fmt::Display| AuditError::Failed(format!("signing key {}: {what}", file.display()));
        if !file.try_exists().map_err(|e| failed(&e))? {
            create(file).map_err(|e| failed(&e))?;
        }
        let mode = fs::metadata(file).map_err(|e| failed(&e))?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(failed(
                &"everybody on this machine may read it; `chmod 600` it, and make a new one if strangers could",
            ));
        }
        let pem = zeroize::Zeroizing::new(fs::read(file).map_err(|e| failed(&e))?);
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| failed(&"it is not a PKCS #8 key in PEM form"))?;
        let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|_| failed(&"it is not an Ed25519 key; make one with `openssl genpkey -algorithm ed25519`"))?;
        let public = <[u8; 32]>::try_from(pair.public_key().as_ref())
            .map(PublicKey)
            .map_err(|_| failed(&"its public half is odd"))?;
        Ok(Arc::new(Self { pair, public }))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs `message`, which names its own kind in its first line so that no signature can stand for another.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        // An Ed25519 signature is 64 bytes (RFC 8032 §5.1.6); zip writes as many.
        for (to, from) in out.iter_mut().zip(self.pair.sign(message).as_ref()) {
            *to = *from;
        }
        out
    }

    /// Adds the public half to the keys in `dir`, so that what lies there verifies offline.
    ///
    /// # Errors
    /// A folder that cannot be written, or a file there that is not a list of public keys.
    pub fn publish(&self, dir: &Path) -> io::Result<()> {
        let file = dir.join(PUBLIC_KEYS_FILE);
        let present = match fs::read(&file) {
            Ok(pem) => Keys::from_pem(&pem).map_err(|e| io::Error::other(format!("{}: {e}", file.display())))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Keys::default(),
            Err(e) => return Err(e),
        };
        if present.0.contains(&self.public) {
            return Ok(());
        }
        let mut out = OpenOptions::new().append(true).create(true).mode(0o644).open(&file)?;
        out.write_all(self.public.to_pem().as_bytes())?;
        out.sync_all()?;
        File::open(dir)?.sync_all()
    }
}

/// Makes a key whole or not at all: a crash leaves no half a key under its name.
fn create(file: &Path) -> io::Result<()> {
    let odd = |_| io::Error::other("the key generator failed");
    let pair = Ed25519KeyPair::generate().map_err(odd)?;
    let der = pair.to_pkcs8v1().map_err(odd)?;
    let pem = zeroize::Zeroizing::new(pem("PRIVATE KEY", der.as_ref()));
    let dir = file.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(dir)?;
    let draft = file.with_extension("pem.new");
    if let Err(e) = fs::remove_file(&draft)
        && e.kind() != io::ErrorKind::NotFound
    {
        return Err(e);
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    out.write_all(pem.as_bytes())?;
    out.sync_all()?;
    fs::rename(&draft, file)?;
    File::open(dir)?.sync_all()
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = STANDARD.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at_checked(64).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The public half of a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key's name everywhere: SHA-256 of its `SubjectPublicKeyInfo`, in hexadecimal.
    pub fn id(&self) -> String {
        HEXLOWER.encode(digest(&SHA256, &self.der()).as_ref())
    }

    /// As PEM.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &self.der())
    }

    fn der(&self) -> Vec<u8> {
        SPKI_PREFIX.iter().chain(&self.0).copied().collect()
    }
}

/// Why keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// No key at all.
    #[error("there is no public key in it")]
    Empty,
    /// Something that is no Ed25519 public key in PEM form.
    #[error("{0}")]
    Unreadable(String),
}

/// The public keys an auditor trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<PublicKey>);

impl Keys {
    /// Reads one or more PEM public keys.
    ///
    /// # Errors
    /// A text without one, or with one that is not Ed25519.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for der in SubjectPublicKeyInfoDer::pem_slice_iter(text) {
            let der = der.map_err(|e| KeysError::Unreadable(format!("it is not PEM: {e}")))?;
            let key = der.as_ref().strip_prefix(SPKI_PREFIX.as_slice()).and_then(|k| <[u8; 32]>::try_from(k).ok());
            keys.push(PublicKey(
                key.ok_or_else(|| KeysError::Unreadable("it holds a key that is not Ed25519".to_owned()))?,
            ));
        }
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// The keys' names, in the order of the file.
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(PublicKey::id).collect()
    }

    /// Adds the keys of `other` that are not there yet.
    pub fn extend(&mut self, other: Self) {
        for key in other.0 {
            if !self.0.contains(&key) {
                self.0.push(key);
            }
        }
    }

    /// Whether the trusted key named `id` signed `message`.
    pub fn check(&self, id: &str, message: &[u8], signature: &[u8]) -> SignatureCheck {
        let Some(key) = self.0.iter().find(|k| k.id() == id) else {
            return SignatureCheck::UnknownKey;
        };
        match UnparsedPublicKey::new(&ED25519, key.0).verify(message, signature) {
            Ok(()) => SignatureCheck::Valid,
            Err(_) => SignatureCheck::Invalid,
        }
    }
}

impl From<PublicKey> for Keys {
    fn from(key: PublicKey) -> Self {
        Self(vec![key])
    }
}

/// What came of checking a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureCheck {
    /// A trusted key made it over exactly this message.
    Valid,
    /// It was not made over this message by the key it names.
    Invalid,
    /// It names a key that is not trusted.
    UnknownKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_from_strangers() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/signing.key.pem");
        let made = Signer::open_or_create(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Signer::open_or_create(&file).unwrap().public(), made.public());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(Signer::open_or_create(&file).unwrap_err().to_string().contains("chmod"));
        let broken = format!("-----BEGIN {0}-----\n!\n-----END {0}-----\n", "PRIVATE KEY");
        for text in ["", broken.as_str(), &made.public().to_pem()] {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(Signer::open_or_create(&file).is_err(), "{text}");
        }
    }

    #[test]
    fn signatures_bind_key_and_message() {
        let dir = tempfile::tempdir().unwrap();
        let one = Signer::open_or_create(&dir.path().join("one.pem")).unwrap();
        let two = Signer::open_or_create(&dir.path().join("two.pem")).unwrap();
        one.publish(dir.path()).unwrap();
        one.publish(dir.path()).unwrap();
        let keys = Keys::from_pem(&fs::read(dir.path().join(PUBLIC_KEYS_FILE)).unwrap()).unwrap();
        assert_eq!(keys.ids(), [one.public().id()]);
        let (id, signature) = (one.public().id(), one.sign(b"kind\nx"));
        assert_eq!(keys.check(&id, b"kind\nx", &signature), SignatureCheck::Valid);
        assert_eq!(keys.check(&id, b"kind\ny", &signature), SignatureCheck::Invalid);
        assert_eq!(keys.check(&id, b"kind\nx", &two.sign(b"kind\nx")), SignatureCheck::Invalid);
        assert_eq!(keys.check(&id, b"kind\nx", b""), SignatureCheck::Invalid);
        assert_eq!(keys.check(&two.public().id(), b"kind\nx", &two.sign(b"kind\nx")), SignatureCheck::UnknownKey);
        two.publish(dir.path()).unwrap();
        let both = Keys::from_pem(&fs::read(dir.path().join(PUBLIC_KEYS_FILE)).unwrap()).unwrap();
        assert_eq!(both.ids(), [one.public().id(), two.public().id()]);
        assert_eq!(Keys::from_pem(b""), Err(KeysError::Empty));
    }
}
