//! The accounts that a root server gives to its cages: each runs as a user that nothing else on the host runs as, so that
//! no run can touch another's processes or files even where a kernel offers no more than that.

use super::policy::HostUser;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The users that are free. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Users {
    free: Arc<Mutex<BTreeSet<u32>>>,
    count: Arc<Semaphore>,
}

impl Users {
    pub(super) fn new(uids: Range<u32>) -> Self {
        let free: BTreeSet<u32> = uids.collect();
        let count = Arc::new(Semaphore::new(free.len()));
        Self { free: Arc::new(Mutex::new(free)), count }
    }

    /// Waits until one is free.
    pub(super) async fn take(&self) -> Lease {
        let permit = Arc::clone(&self.count).acquire_owned().await.expect("it is never closed");
        let uid = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
        let uid = uid.expect("there is one for each permit");
        Lease { user: HostUser { uid, gid: uid }, users: self.clone(), _permit: permit }
    }
}

/// A user that is taken until this is dropped. To be kept until the last process of that user is dead.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) user: HostUser,
    users: Users,
    /// Given back after the user is.
    _permit: OwnedSemaphorePermit,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.users.free.lock().unwrap_or_else(PoisonError::into_inner).insert(self.user.uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_two_runs_have_a_user_at_once_and_who_finds_none_waits_for_one() {
        let users = Users::new(900_000..900_002);
        let (first, second) = (users.take().await, users.take().await);
        assert_ne!(first.user, second.user);
        let mut third = std::pin::pin!(users.take());
        assert!(futures::poll!(&mut third).is_pending());
        let uid = first.user.uid;
        drop(first);
        assert_eq!(third.await.user, HostUser { uid, gid: uid });
    }
}
