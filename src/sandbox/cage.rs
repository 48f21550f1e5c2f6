//! An open cage: programs run in it one after the other, and files are taken out of it.

use super::level::Level;
use super::process::{self, Outcome, SpawnError, Spec};
use super::session::{Session, SessionError};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A cage is a session: what one program leaves in the work tree is there for the next, and what it leaves running is
/// dead before the next begins. Dropping it kills all that is in it.
#[derive(Debug)]
pub struct Cage {
    level: Level,
    /// What is taken out lies below one of these.
    roots: [PathBuf; 2],
    /// `None`: at [`Level::Off`] programs are started as any other.
    session: Option<Session>,
    listener: Option<TcpListener>,
    proxy: Option<SocketAddr>,
}

/// Why a file cannot be had from a cage.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    #[error("`{}` lies neither in the work tree nor in the scratch directory", .0.display())]
    Outside(PathBuf),
    /// A directory, a device, a pipe, or reached through a symbolic link.
    #[error("`{}` is not a regular file, or lies behind a symbolic link", .0.display())]
    NotAFile(PathBuf),
    #[error("`{}` has {size} bytes; {max} are allowed", path.display())]
    TooLarge { path: PathBuf, size: u64, max: u64 },
    #[error("`{}` can't be read", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Cage {
    pub(super) fn new(
        level: Level,
        roots: [PathBuf; 2],
        session: Option<Session>,
        listener: Option<TcpListener>,
    ) -> Self {
        let proxy = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        Self { level, roots, session, listener, proxy }
    }

    /// A cage in name only.
    #[must_use]
    pub fn off() -> Self {
        Self { level: Level::Off, roots: [PathBuf::new(), PathBuf::new()], session: None, listener: None, proxy: None }
    }

    /// What holds here.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// With [`super::policy::Network::Allow`], the socket on which the programs inside reach their proxy; whoever takes it
    /// serves it. Until then connections wait. At [`Level::Full`] it lies in the cage's own network.
    #[must_use]
    pub const fn take_listener(&mut self) -> Option<TcpListener> {
        self.listener.take()
    }

    /// Where the proxy is, seen from inside.
    #[must_use]
    pub const fn proxy(&self) -> Option<SocketAddr> {
        self.proxy
    }

    /// Where the proxy is, seen from inside: what `HTTP_PROXY` and `HTTPS_PROXY` have to say.
    #[must_use]
    pub fn proxy_url(&self) -> Option<String> {
        self.proxy.map(|address| format!("http://{address}"))
    }

    /// Runs a program to its end, and ends with it all that it started. Dropping the future kills them.
    ///
    /// # Errors
    /// When it could not be started, the file of a [`super::sink::Sink::File`] not be created, or the cage is broken.
    pub async fn run(&mut self, spec: Spec) -> Result<Outcome, SpawnError> {
        crate::crash::point("program in a cage");
        let done = match &mut self.session {
            Some(session) => session.run(spec, self.level).await,
            None => process::run(spec).await,
        };
        crate::crash::point("end in a cage");
        done
    }

    /// The content of a regular file in the work tree or the scratch directory, as the programs left it; `None` if it is
    /// not there. No link is followed on the way.
    ///
    /// # Errors
    /// When it is not a regular file, larger than `max` bytes, or not to be read.
    pub async fn take(&mut self, path: &Path, max: u64) -> Result<Option<Vec<u8>>, TakeError> {
        let (root, rest) = self.locate(path).ok_or_else(|| TakeError::Outside(path.to_owned()))?;
        let opened = match &mut self.session {
            Some(session) => session.open_file(root, rest).await?,
            None => open_beneath(&self.roots[root], rest),
        };
        let failed = |source: io::Error| TakeError::Io { path: path.to_owned(), source };
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if not_a_file(&error) => return Err(TakeError::NotAFile(path.to_owned())),
            Err(error) => return Err(failed(error)),
        };
        let facts = file.metadata().map_err(failed)?;
        if !facts.is_file() {
            return Err(TakeError::NotAFile(path.to_owned()));
        }
        if facts.len() > max {
            return Err(TakeError::TooLarge { path: path.to_owned(), size: facts.len(), max });
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::with_capacity(usize::try_from(facts.len()).unwrap_or_default());
            file.take(max).read_to_end(&mut bytes).map(|_| bytes)
        });
        read.await.map_err(io::Error::other).flatten().map(Some).map_err(failed)
    }

    /// Ends it, and returns when all that was in it is dead and what it needed is given back.
    pub async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }

    fn locate<'p>(&self, path: &'p Path) -> Option<(usize, &'p Path)> {
        let rest = |(index, root): (usize, &PathBuf)| path.strip_prefix(root).ok().map(|rest| (index, rest));
        self.roots.iter().enumerate().find_map(rest).filter(|(_, rest)| !rest.as_os_str().is_empty())
    }
}

/// What the kernel answers when something on the way is a link, or the end is a socket or a device without driver.
fn not_a_file(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let kinds = [Errno::LOOP, Errno::XDEV, Errno::NOTDIR, Errno::NXIO, Errno::NODEV];
    error.raw_os_error().is_some_and(|code| kinds.iter().any(|kind| kind.raw_os_error() == code))
}

fn open_beneath(root: &Path, path: &Path) -> io::Result<File> {
    open_in(&rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?, path)
}

/// Opens without following a link, leaving the directory, or waiting for the other end of a pipe.
pub(super) fn open_in(root: &OwnedFd, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)?.into())
}
