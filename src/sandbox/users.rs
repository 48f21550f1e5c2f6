//! The accounts that a root server gives to its cages: each runs as a user that nothing else on the host runs as, so that
//! no run can touch another's processes or files even where a kernel offers no more than that.
//!
//! A cage ends by killing all that its user has. So a user must never be in two cages, also not in those of another server
//! on the same host: a lock on a file, which the kernel frees with its process, says who has it.

use super::policy::HostUser;
use rustix::fs::FlockOperation;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where the locks are, for all servers of a host. Where nothing can be written (a container with a read-only root, which
/// has its processes for itself) there are none.
const LOCKS: &str = "/run/terraplane-users";

const AGAIN: Duration = Duration::from_millis(50);

/// The users that are free. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Users {
    free: Arc<Mutex<BTreeSet<u32>>>,
    locks: PathBuf,
}

impl Users {
    pub(super) fn new(uids: Range<u32>) -> Self {
        Self { free: Arc::new(Mutex::new(uids.collect())), locks: LOCKS.into() }
    }

    /// Waits until one is free. Another server can't ring when it gives one back, so that this looks again and again.
    pub(super) async fn wait(&self) -> Lease {
        loop {
            if let Some(lease) = self.take() {
                return lease;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// `None` if all are taken.
    fn take(&self) -> Option<Lease> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (uid, lock) = free.iter().find_map(|uid| match lock(&self.locks, *uid) {
            Ok(file) => Some((*uid, Some(OwnedFd::from(file)))),
            Err(error) if no_locks(&error) => Some((*uid, None)),
            // Another server has it, or nobody knows.
            Err(_) => None,
        })?;
        free.remove(&uid);
        Some(Lease { user: HostUser { uid, gid: uid }, users: self.clone(), lock })
    }
}

/// Whether there can be no locks here, for anybody.
fn no_locks(error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem)
}

/// Whether any process of the user lives.
pub(super) fn is_alive(user: HostUser) -> io::Result<bool> {
    for entry in fs::read_dir("/proc")? {
        // Gone in the meantime, or not a process.
        let status = fs::read_to_string(entry?.path().join("status")).unwrap_or_default();
        let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
        let is_dead = value("State:").is_none_or(|state| state.starts_with(['Z', 'X']));
        let uids = value("Uid:").unwrap_or_default();
        if !is_dead && uids.split_whitespace().any(|uid| uid.parse() == Ok(user.uid)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn lock(dir: &Path, uid: u32) -> io::Result<File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(dir.join(uid.to_string()))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// A user that is taken until this is dropped. To be kept until the last process of that user is dead.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) user: HostUser,
    users: Users,
    lock: Option<OwnedFd>,
}

impl Lease {
    /// One that another process has taken and handed over with its lock.
    pub(super) fn handed(user: HostUser, lock: Option<OwnedFd>) -> Self {
        Self { user, users: Users::new(0..0), lock }
    }

    /// Shared with whoever it is handed to: it is free when both have let go of it.
    pub(super) fn lock(&self) -> Option<BorrowedFd<'_>> {
        self.lock.as_ref().map(AsFd::as_fd)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.users.free.lock().unwrap_or_else(PoisonError::into_inner).insert(self.user.uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(dir: &Path) -> Users {
        Users { locks: dir.to_owned(), ..Users::new(900_000..900_002) }
    }

    #[test]
    fn no_two_cages_have_a_user_at_once_and_a_user_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let users = users(dir.path());
        let (first, second) = (users.take().unwrap(), users.take().unwrap());
        assert_ne!(first.user, second.user);
        assert!(users.take().is_none());
        let uid = first.user.uid;
        drop(first);
        assert_eq!(users.take().unwrap().user, HostUser { uid, gid: uid });
    }

    #[tokio::test]
    async fn who_finds_no_user_waits_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let users = users(dir.path());
        let (first, _second) = (users.wait().await, users.wait().await);
        let uid = first.user.uid;
        let (third, ()) = tokio::join!(users.wait(), async { drop(first) });
        assert_eq!(third.user.uid, uid);
    }

    #[test]
    fn a_user_whose_lock_is_in_doubt_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        // Which is not a file that can be opened for writing.
        std::fs::create_dir(dir.path().join("900000")).unwrap();
        assert_eq!(users(dir.path()).take().unwrap().user.uid, 900_001);
        let nowhere = Users { locks: "/proc/nowhere".into(), ..Users::new(900_000..900_002) };
        assert!(nowhere.take().unwrap().lock().is_none(), "where there are no locks, nobody has any");
    }

    #[test]
    fn a_user_is_alive_with_any_process() {
        let user = |uid| HostUser { uid, gid: uid };
        assert!(is_alive(user(rustix::process::geteuid().as_raw())).unwrap());
        assert!(!is_alive(user(4_294_000_000)).unwrap());
    }

    #[test]
    fn two_servers_on_a_host_never_share_a_user() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (users(dir.path()), users(dir.path()));
        let (first, second) = (one.take().unwrap(), other.take().unwrap());
        assert_ne!(first.user, second.user);
        assert!(one.take().is_none());
        drop(second);
        assert!(one.take().is_some());
    }
}
