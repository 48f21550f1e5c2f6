//! Reads files that a pull request's code may have written: a plan, a lock file. What it leaves there may as well be a
//! link to the server's key, a pipe that never answers, or something without end.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Why such a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum UntrustedFile {
    #[error("`{}` cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` is no regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("`{}` is larger than {max} bytes", path.display())]
    TooLarge { path: PathBuf, max: u64 },
}

/// The whole file; `None` if there is none. Blocks only as long as the disk does.
///
/// # Errors
/// When it is a link or anything else but a regular file, is larger than `max` bytes, or cannot be read.
pub fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, UntrustedFile> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = file.take(max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|source| UntrustedFile::Io { path: path.to_owned(), source })?;
    let fits = bytes.len() as u64 <= max;
    if fits { Ok(Some(bytes)) } else { Err(UntrustedFile::TooLarge { path: path.to_owned(), max }) }
}

/// The file, opened for reading; `None` if there is none.
pub(super) fn open(path: &Path) -> Result<Option<File>, UntrustedFile> {
    let failed = |source| UntrustedFile::Io { path: path.to_owned(), source };
    // NOFOLLOW: not through a link. NONBLOCK: opening a pipe returns at once.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(UntrustedFile::NotAFile { path: path.to_owned() });
        }
        Err(error) => return Err(failed(error)),
    };
    let regular = file.metadata().map_err(failed)?.is_file();
    if regular { Ok(Some(file)) } else { Err(UntrustedFile::NotAFile { path: path.to_owned() }) }
}

/// Puts a new file, mode 0600, in the place of whatever is there; a link is replaced, not followed.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_plain_file_is_read_whole_and_a_missing_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan");
        assert!(read(&path, 10).unwrap().is_none());
        replace(&path, b"0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap().unwrap(), b"0123456789");
        assert!(matches!(read(&path, 9), Err(UntrustedFile::TooLarge { max: 9, .. })));
    }

    #[test]
    fn links_pipes_directories_and_devices_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "key").unwrap();
        let link = dir.path().join("link");
        symlink(&secret, &link).unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        for path in [&link, &pipe, &dir.path().to_path_buf(), &PathBuf::from("/dev/zero")] {
            let error = read(path, 10).unwrap_err();
            assert!(matches!(error, UntrustedFile::NotAFile { .. }), "{error}");
        }
    }

    #[test]
    fn a_link_is_replaced_and_what_it_leads_to_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "key").unwrap();
        let link = dir.path().join("link");
        symlink(&secret, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(std::fs::read(&secret).unwrap(), b"key");
        assert_eq!(read(&link, 10).unwrap().unwrap(), b"new");
        assert_eq!(std::fs::metadata(&link).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
