//! Passwords and keys that elements need, sealed at rest with AES-256-GCM. A secret's name is bound to it.
//!
//! A file is `SPSECR01`, a nonce of 12 bytes, and the ciphertext with its tag. The key is 32 bytes from the service manager's
//! credential `secrets.key`, or from the configured file, which nobody but its owner may read.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::credential::SecretName;

const MAGIC: &[u8; 8] = b"SPSECR01";
const AAD_PREFIX: &[u8] = b"sallyport secret v1\0";
const SECRET_BYTES_MAX: usize = 64 * 1024;
const SUFFIX: &str = ".sealed";

/// Why a secret cannot be used. No text ever holds one.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The key is missing, readable by others, or not 32 bytes.
    #[error("the key for stored secrets, {file}: {text}")]
    Key {
        /// The key file.
        file: String,
        /// What is wrong with it.
        text: String,
    },
    /// No secret of that name.
    #[error("there is no secret `{0}`; store it with `sallyport secrets set {0}`")]
    Missing(SecretName),
    /// The file is damaged, was sealed under another name, or with another key.
    #[error("the secret `{0}` cannot be opened: the file is damaged, renamed, or sealed with another key")]
    Sealed(SecretName),
    /// Empty or too long.
    #[error("a secret holds 1 byte to 64 KiB")]
    Size,
    /// The disk.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The folder of sealed secrets, with the key that opens them.
pub struct Secrets {
    dir: PathBuf,
    key: LessSafeKey,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Reads the key: from the service manager's credential folder when it holds `secrets.key`, else from `key_file`.
    ///
    /// # Errors
    /// See [`SecretsError::Key`].
    pub fn open(dir: &Path, key_file: &Path) -> Result<Self, SecretsError> {
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| Path::new(&dir).join("secrets.key"));
        match credential.filter(|file| file.is_file()) {
            Some(file) => Self::with_key(dir, &read_key(&file)?, &file),
            None => {
                private(key_file)?;
                Self::with_key(dir, &read_key(key_file)?, key_file)
            }
        }
    }

    pub(super) fn with_key(dir: &Path, key: &[u8], file: &Path) -> Result<Self, SecretsError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| key_error(file, "it is not 32 bytes"))?;
        Ok(Self { dir: dir.to_owned(), key: LessSafeKey::new(key) })
    }

    /// Opens one secret.
    ///
    /// # Errors
    /// Missing, or it does not open.
    pub fn read(&self, name: &SecretName) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let file = self.file(name);
        let sealed = match std::fs::metadata(&file) {
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(SecretsError::Missing(name.clone()));
            }
            Ok(facts) if facts.len() > 2 * SECRET_BYTES_MAX as u64 => return Err(SecretsError::Sealed(name.clone())),
            Ok(_) => std::fs::read(&file).map_err(io(&file))?,
            Err(source) => return Err(io(&file)(source)),
        };
        self.unseal(name, &sealed).ok_or_else(|| SecretsError::Sealed(name.clone()))
    }

    pub(super) fn unseal(&self, name: &SecretName, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let body = sealed.strip_prefix(MAGIC)?;
        let (nonce, body) = body.split_at_checked(NONCE_LEN)?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = self.key.open_in_place(nonce, aad(name), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }

    /// Stores one secret under `name`, in place of what was there. Durable when it returns.
    ///
    /// # Errors
    /// Its size, or the disk.
    pub fn write(&self, name: &SecretName, secret: &[u8]) -> Result<(), SecretsError> {
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            return Err(SecretsError::Size);
        }
        let sealed = self.seal(name, secret)?;
        std::fs::create_dir_all(&self.dir).map_err(io(&self.dir))?;
        let file = self.file(name);
        let fresh = self.dir.join(format!("{name}.new"));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut out = options.open(&fresh).map_err(io(&fresh))?;
        out.write_all(&sealed).and_then(|()| out.sync_all()).map_err(io(&fresh))?;
        std::fs::rename(&fresh, &file).map_err(io(&file))?;
        std::fs::File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(io(&self.dir))
    }

    pub(super) fn seal(&self, name: &SecretName, secret: &[u8]) -> Result<Vec<u8>, SecretsError> {
        let failed = || SecretsError::Sealed(name.clone());
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| failed())?;
        let mut body = Zeroizing::new(secret.to_vec());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(name), &mut *body)
            .map_err(|_| failed())?;
        Ok([&MAGIC[..], &nonce, &body].concat())
    }

    /// Removes one secret.
    ///
    /// # Errors
    /// It is not there, or the disk.
    pub fn remove(&self, name: &SecretName) -> Result<(), SecretsError> {
        let file = self.file(name);
        std::fs::remove_file(&file).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => SecretsError::Missing(name.clone()),
            _ => io(&file)(source),
        })
    }

    /// The names of all secrets, in order.
    ///
    /// # Errors
    /// The disk.
    pub fn names(&self) -> Result<Vec<SecretName>, SecretsError> {
        let entries = match std::fs::read_dir(&self.dir) {
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io(&self.dir))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(io(&self.dir))?.file_name();
            names
                .extend(entry.to_str().and_then(|n| n.strip_suffix(SUFFIX)).and_then(|n| n.parse::<SecretName>().ok()));
        }
        names.sort();
        Ok(names)
    }

    fn file(&self, name: &SecretName) -> PathBuf {
        self.dir.join(format!("{name}{SUFFIX}"))
    }
}

/// 32 raw bytes, or 64 hexadecimal digits and a line end.
fn read_key(file: &Path) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    let text = Zeroizing::new(std::fs::read(file).map_err(|error| key_error(file, &error.to_string()))?);
    if text.len() == 32 {
        return Ok(text);
    }
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.trim_ascii())
        .ok()
        .map(Zeroizing::new)
        .filter(|key| key.len() == 32)
        .ok_or_else(|| {
            key_error(file, "it holds neither 32 bytes nor 64 hexadecimal digits; `openssl rand -hex 32` makes one")
        })
}

#[cfg(unix)]
fn private(file: &Path) -> Result<(), SecretsError> {
    let facts = std::fs::metadata(file).map_err(|error| key_error(file, &error.to_string()))?;
    if std::os::unix::fs::PermissionsExt::mode(&facts.permissions()) & 0o077 != 0 {
        return Err(key_error(file, "others may read it; run `chmod 600` on it"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn private(_file: &Path) -> Result<(), SecretsError> {
    Ok(())
}

fn aad(name: &SecretName) -> Aad<Vec<u8>> {
    Aad::from([AAD_PREFIX, name.as_str().as_bytes()].concat())
}

fn key_error(file: &Path, text: &str) -> SecretsError {
    SecretsError::Key { file: file.display().to_string(), text: text.to_owned() }
}

fn io(file: &Path) -> impl Fn(std::io::Error) -> SecretsError + '_ {
    move |source| SecretsError::Io { file: file.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn name(text: &str) -> SecretName {
        text.parse().unwrap()
    }

    fn key_file(dir: &Path, content: &[u8], mode: u32) -> PathBuf {
        let file = dir.join("secrets.key");
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn store(dir: &Path) -> Secrets {
        let key = key_file(dir, &[7; 32], 0o600);
        Secrets::open(&dir.join("secrets"), &key).unwrap()
    }

    #[test]
    fn a_secret_comes_back_and_does_not_stand_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = store(dir.path());
        secrets.write(&name("enable"), b"tr0ub4dor&3").unwrap();
        secrets.write(&name("enable"), b"correct horse").unwrap();
        secrets.write(&name("b"), b"x").unwrap();
        assert_eq!(secrets.read(&name("enable")).unwrap().as_slice(), b"correct horse");
        assert_eq!(secrets.names().unwrap(), [name("b"), name("enable")]);
        let file = dir.path().join("secrets/enable.sealed");
        let sealed = std::fs::read(&file).unwrap();
        assert!(!sealed.windows(5).any(|w| w == b"horse"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        secrets.remove(&name("b")).unwrap();
        assert!(matches!(secrets.read(&name("b")), Err(SecretsError::Missing(_))));
        assert!(matches!(secrets.remove(&name("b")), Err(SecretsError::Missing(_))));
    }

    #[test]
    fn every_flipped_bit_another_name_and_another_key_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = store(dir.path());
        let sealed = secrets.seal(&name("a"), b"pw").unwrap();
        assert!(secrets.unseal(&name("a"), &sealed).is_some());
        assert!(secrets.unseal(&name("b"), &sealed).is_none());
        for position in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[position] ^= 1;
            assert!(secrets.unseal(&name("a"), &bad).is_none(), "{position}");
            assert!(secrets.unseal(&name("a"), &sealed[..position]).is_none(), "cut at {position}");
        }
        let other = Secrets::with_key(dir.path(), &[8; 32], dir.path()).unwrap();
        assert!(other.unseal(&name("a"), &sealed).is_none());
        assert!(matches!(secrets.write(&name("a"), b""), Err(SecretsError::Size)));
        assert!(matches!(secrets.write(&name("a"), &[0; SECRET_BYTES_MAX + 1]), Err(SecretsError::Size)));
    }

    #[test]
    fn keys() {
        let dir = tempfile::tempdir().unwrap();
        let hex = format!("{}\n", "ab".repeat(32));
        for content in [hex.as_bytes(), hex.trim().as_bytes(), &[0xff; 32]] {
            assert!(Secrets::open(dir.path(), &key_file(dir.path(), content, 0o600)).is_ok());
        }
        for content in [&b""[..], b"\n", &[1; 31], &[1; 33], &[b'z'; 64], &[b'a'; 63], &[b'a'; 66]] {
            assert!(Secrets::open(dir.path(), &key_file(dir.path(), content, 0o600)).is_err(), "{content:?}");
        }
        for mode in [0o640, 0o604, 0o666] {
            assert!(Secrets::open(dir.path(), &key_file(dir.path(), &[1; 32], mode)).is_err(), "{mode:o}");
        }
        assert!(Secrets::open(dir.path(), &dir.path().join("absent")).is_err());
    }
}
