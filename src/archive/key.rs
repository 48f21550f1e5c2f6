//! The archive's key: given by configuration, or made once and kept in a file that only its owner can read.
//!
//! All that is used is derived from it by HKDF-SHA256 (RFC 5869), each with a label of its own.

use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use aws_lc_rs::{hkdf, rand};
use rustix::fs::OFlags;
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The shortest secret that is taken: 32 characters, of hexadecimal digits still 128 bits.
const MIN_CHARS: usize = 32;
/// A key file is one line; whatever is longer is something else.
const MAX_FILE_BYTES: u64 = 4096;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the encryption key is too short: it needs at least 32 random characters (`openssl rand -hex 32`)")]
    TooShort,
    #[error("others can read the encryption key {}: run `chmod 600` on it", path.display())]
    Exposed { path: PathBuf },
    #[error("the encryption key {} is not a text file", path.display())]
    NotText { path: PathBuf },
    #[error("can't use the encryption key {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// The secret that all keys of the archive are derived from.
#[derive(Clone)]
pub struct ArchiveKey(hkdf::Prk);

impl ArchiveKey {
    /// A key from configuration: any text that nobody can guess. White space around it doesn't count, so that a file
    /// and a variable with the same text are the same key.
    ///
    /// # Errors
    /// [`KeyError::TooShort`] with fewer than 32 characters.
    pub fn from_secret(secret: &SecretString) -> Result<Self, KeyError> {
        let text = secret.expose_secret().trim();
        if text.chars().count() < MIN_CHARS {
            return Err(KeyError::TooShort);
        }
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"terraplane archive");
        Ok(Self(salt.extract(text.as_bytes())))
    }

    /// The key in a file; `None` if there is no such file. Links are not followed.
    ///
    /// # Errors
    /// When others than its owner can read the file, or it doesn't hold a key.
    pub fn load(path: &Path) -> Result<Option<Self>, KeyError> {
        let failed = |source| KeyError::File { path: path.into(), source };
        // Without NONBLOCK the opening of a named pipe would wait for a writer.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let facts = file.metadata().map_err(failed)?;
        if !facts.is_file() || facts.len() > MAX_FILE_BYTES {
            return Err(KeyError::NotText { path: path.into() });
        }
        if facts.mode() & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.into() });
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => KeyError::NotText { path: path.into() },
            _ => failed(error),
        })?;
        Self::from_secret(&text.into()).map(Some)
    }

    /// The key in a file, which is made with a new one (mode 0600) if it isn't there. Two processes that do this at once
    /// end with the same key. Whoever has plans already should [`ArchiveKey::load`]: a new key can't read them.
    ///
    /// # Errors
    /// As [`ArchiveKey::load`], and when the file can't be made.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        write_new(path).map_err(|source| KeyError::File { path: path.into(), source })?;
        let gone = || KeyError::File { path: path.into(), source: io::ErrorKind::NotFound.into() };
        Self::load(path)?.ok_or_else(gone)
    }

    /// Tells one key from another and nothing else of it: 16 hexadecimal digits, to be kept beside what was encrypted.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&self.derive("id")[..8])
    }

    pub(super) fn hmac_key(&self) -> [u8; 32] {
        self.derive("hmac")
    }

    pub(super) fn cipher(&self) -> RandomizedNonceKey {
        RandomizedNonceKey::new(&AES_256_GCM, &self.derive("aes-256-gcm")).expect("AES-256 takes 32 bytes")
    }

    fn derive(&self, label: &str) -> [u8; 32] {
        let mut key = [0; 32];
        self.0
            .expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|material| material.fill(&mut key))
            .expect("HKDF-SHA256 gives 32 bytes");
        key
    }
}

impl fmt::Debug for ArchiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArchiveKey([REDACTED])")
    }
}

/// Writes a new random key aside and moves it into place, unless a file has appeared there meanwhile.
fn write_new(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("the system has no random numbers"))?;
    // Made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{}", hex::encode(bytes))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}
