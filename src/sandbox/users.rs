//! The accounts that a root server gives to its cages: each runs as a user that nothing else on the host runs as, so that
//! no run can touch another's processes or files even where a kernel offers no more than that.

use super::policy::HostUser;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// The users that are free. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Users {
    free: Arc<Mutex<BTreeSet<u32>>>,
}

impl Users {
    pub(super) fn new(uids: Range<u32>) -> Self {
        Self { free: Arc::new(Mutex::new(uids.collect())) }
    }

    /// `None` if all are taken.
    pub(super) fn take(&self) -> Option<Lease> {
        let uid = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop_first()?;
        Some(Lease { user: HostUser { uid, gid: uid }, users: self.clone() })
    }
}

/// A user that is taken until this is dropped. To be kept until the last process of that user is dead.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) user: HostUser,
    users: Users,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.users.free.lock().unwrap_or_else(PoisonError::into_inner).insert(self.user.uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_cages_have_a_user_at_once_and_a_user_is_given_back() {
        let users = Users::new(900_000..900_002);
        let (first, second) = (users.take().unwrap(), users.take().unwrap());
        assert_ne!(first.user, second.user);
        assert!(users.take().is_none());
        let uid = first.user.uid;
        drop(first);
        assert_eq!(users.take().unwrap().user, HostUser { uid, gid: uid });
    }
}
