//! A helper that was started before it is needed: starting it, and the namespaces of level `full`, are half of what a cage
//! costs, and all that it needs to know comes later over its socket. It waits with an empty environment and without rights
//! of its own over anything of a run, and ends when the server does.

use super::helper::{AHEAD, EXEC};
use super::level::Level;
use super::session::{self, Channel};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::process::Child;
use tokio::runtime::{self, Handle};

#[derive(Debug)]
pub(super) struct Spare {
    helper: PathBuf,
    waiting: Mutex<Option<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    child: Child,
    channel: Channel,
    /// Where it can be spoken with: no other runtime hears its socket.
    runtime: runtime::Id,
}

impl Spare {
    /// None is started before the first cage has come to its end: who opens no cage has no use for one.
    pub(super) const fn of(helper: PathBuf) -> Self {
        Self { helper, waiting: Mutex::new(None) }
    }

    /// The one that waits, or a new one if none does or something has killed it.
    pub(super) fn take(&self) -> io::Result<(Child, Channel)> {
        let waiting = self.lock().take();
        if let Some(Waiting { mut child, channel, runtime }) = waiting
            && runtime == Handle::current().id()
            && matches!(child.try_wait(), Ok(None))
        {
            return Ok((child, channel));
        }
        self.start(&[])
    }

    /// Starts the next one, if none waits, for a cage of that level if it should come to that. Not awaited: it concerns
    /// nobody yet, and a failure is met again by whoever needs one.
    pub(super) fn refill(self: &Arc<Self>, level: Level) {
        let spare = Arc::clone(self);
        let ahead: &[&str] = if level == Level::Full { &[AHEAD] } else { &[] };
        tokio::task::spawn_blocking(move || {
            if spare.lock().is_none()
                && let Ok((child, channel)) = spare.start(ahead)
            {
                *spare.lock() = Some(Waiting { child, channel, runtime: Handle::current().id() });
            }
        });
    }

    /// One that never waited.
    pub(super) fn start(&self, args: &[&str]) -> io::Result<(Child, Channel)> {
        session::start(&self.helper, &[&[EXEC], args].concat(), Stdio::null(), Stdio::null(), false)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;
    use tempfile::TempDir;

    /// What waits on its socket as the helper does, and ends with it.
    fn spare(dir: &TempDir) -> Arc<Spare> {
        let helper = dir.path().join("helper");
        std::fs::write(&helper, "#!/bin/sh\nread -r line\n").unwrap();
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        Arc::new(Spare::of(helper))
    }

    async fn refilled(spare: &Arc<Spare>) -> u32 {
        spare.refill(Level::Full);
        loop {
            if let Some(waiting) = &*spare.lock() {
                return waiting.child.id().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn the_one_that_waits_is_taken_once() {
        let dir = TempDir::new().unwrap();
        let spare = spare(&dir);
        let waiting = refilled(&spare).await;
        assert_eq!(refilled(&spare).await, waiting, "one is enough");
        let (taken, _channel) = spare.take().unwrap();
        assert_eq!(taken.id(), Some(waiting));
        let (next, _channel) = spare.take().unwrap();
        assert_ne!(next.id(), Some(waiting));
    }

    #[tokio::test]
    async fn one_that_was_killed_is_not_taken() {
        let dir = TempDir::new().unwrap();
        let spare = spare(&dir);
        let waiting = refilled(&spare).await;
        let pid = rustix::process::Pid::from_raw(waiting.try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        // Until it is dead; it stays a zombie, which nobody can wait for but its parent.
        while !std::fs::read_to_string(format!("/proc/{waiting}/stat")).unwrap().contains(") Z ") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (mut taken, _channel) = spare.take().unwrap();
        assert_ne!(taken.id(), Some(waiting));
        assert!(taken.try_wait().unwrap().is_none());
    }

    #[test]
    fn one_of_a_runtime_that_is_gone_is_not_taken() {
        let dir = TempDir::new().unwrap();
        let spare = spare(&dir);
        let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let waiting = run().block_on(refilled(&spare));
        assert_ne!(run().block_on(async { spare.take().unwrap().0.id() }), Some(waiting));
    }
}
