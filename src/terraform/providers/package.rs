//! A provider's package: a zip that comes from a registry. It is unpacked within bounds, into plain files only, and
//! known by two hashes, as in the lock file.
//!
//! `zh:` is the SHA-256 of the zip. `h1:` is that of its content, the same that Go modules use
//! (<https://pkg.go.dev/golang.org/x/mod/sumdb/dirhash#Hash1>): of a list of all files with their SHA-256, in the order
//! of their names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// Bounds. The largest known provider is a zip of 170 MB with one file of 800 MB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of the zip.
    pub(super) zip: u64,
    pub(super) files: usize,
    /// Bytes of all files.
    pub(super) unpacked: u64,
    /// How many times as large as the zip all files together may be, from a megabyte on.
    pub(super) ratio: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { zip: 1 << 30, files: 10_000, unpacked: 4 << 30, ratio: 100 }
    }
}

/// The hashes of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hashes {
    pub(super) h1: String,
    pub(super) zh: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum PackageError {
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    #[error("it has more than {0} files")]
    TooMany(usize),
    #[error("it is no zip archive, or a damaged one: {0}")]
    Zip(#[from] ZipError),
    #[error("it holds {0:?}, which is no plain file with a plain name")]
    Entry(String),
    #[error("it has no file `terraform-provider-{0}…`")]
    NoProgram(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Unpacks a zip into an empty directory, and hashes both. Files become read-only; the directories stay as they are
/// made, because a read-only one can't be moved.
pub(super) fn unpack(mut zip: File, name: &str, into: &Path, bounds: Bounds) -> Result<Hashes, PackageError> {
    let size = zip.metadata()?.len();
    if size > bounds.zip {
        return Err(PackageError::TooLarge(bounds.zip));
    }
    let mut whole = Sha256::new();
    io::copy(&mut zip, &mut Hasher(&mut whole))?;
    zip.rewind()?;
    let mut left = bounds.unpacked.min(size.saturating_mul(bounds.ratio).max(1 << 20));
    let most = left;
    let mut archive = ZipArchive::new(zip)?;
    if archive.len() > bounds.files {
        return Err(PackageError::TooMany(bounds.files));
    }
    let mut files = BTreeMap::new();
    let program = format!("terraform-provider-{name}");
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        let shown = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let kind = entry.unix_mode().unwrap_or(0) & 0o170_000;
        let is_plain = entry.is_dir() || matches!(kind, 0 | 0o100_000);
        let path = shown.strip_suffix('/').unwrap_or(&shown).to_owned();
        if entry.is_symlink() || !is_plain || !is_plain_name(&path) || files.contains_key(&path) {
            return Err(PackageError::Entry(shown));
        }
        let target = into.join(&path);
        if entry.is_dir() {
            fs::create_dir_all(target)?;
            continue;
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let runs = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0) || path.starts_with("terraform-provider-");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target)?;
        let mut hash = Sha256::new();
        let mut entry = entry.take(left.saturating_add(1));
        let written = io::copy(&mut entry, &mut Both(&mut file, Hasher(&mut hash)))?;
        left = left.checked_sub(written).ok_or(PackageError::TooLarge(most))?;
        file.set_permissions(fs::Permissions::from_mode(if runs { 0o555 } else { 0o444 }))?;
        file.sync_all()?;
        files.insert(path, hash.finalize().into());
    }
    if !files.keys().any(|path| path.starts_with(&program)) {
        return Err(PackageError::NoProgram(name.to_owned()));
    }
    Ok(Hashes { h1: h1(&files), zh: format!("zh:{}", hex::encode(whole.finalize())) })
}

/// The `h1:` of a directory, whose files have the names that Terraform gives them.
pub(super) fn hash_dir(dir: &Path) -> io::Result<String> {
    let mut files = BTreeMap::new();
    for path in super::mirror::files(dir)? {
        let mut hash = Sha256::new();
        io::copy(&mut File::open(dir.join(&path))?, &mut Hasher(&mut hash))?;
        files.insert(path, hash.finalize().into());
    }
    Ok(h1(&files))
}

fn h1(files: &BTreeMap<String, [u8; 32]>) -> String {
    let mut all = Sha256::new();
    for (name, hash) in files {
        all.update(format!("{}  {name}\n", hex::encode(hash)));
    }
    format!("h1:{}", STANDARD.encode(all.finalize()))
}

/// A relative path of plain parts. Names with a line break would make two lists of files look alike.
fn is_plain_name(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && part.len() <= 255;
    path.len() <= 1000 && path.split('/').all(plain) && !path.contains(|c: char| c.is_control() || c == '\\')
}

struct Hasher<'a>(&'a mut Sha256);

impl Write for Hasher<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Both<'a>(&'a mut File, Hasher<'a>);

impl Write for Both<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.write(&bytes[..written])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests;
