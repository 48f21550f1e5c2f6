//! What a cage uses up where no cgroup and no overlay bounds it: looked at from outside, every now and then.

use super::LEAST_FILE;
use super::cgroup::Bounds;
use super::processes::{Process, descendants};
use crate::sandbox::level::Level;
use crate::sandbox::policy::{Limit, Limits};
use crate::sandbox::wire::Plan;
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often it is looked.
pub(super) const INTERVAL: Duration = Duration::from_millis(200);

/// And how seldom at most, for a look at a large tree takes long.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// So often in a row may a look fail.
const BLIND: u32 = 5;

/// Bytes that are left for everybody else on the disk, if there were twice as many before.
const RESERVE: u64 = 256 << 20;

pub(super) struct Usage {
    limits: Limits,
    memory: bool,
    processes: bool,
    disk: Option<Disk>,
    blind: u32,
}

impl Usage {
    /// Disk is watched from [`Usage::measure`] on.
    pub(super) fn new(plan: &Plan, bounds: Bounds) -> Self {
        // With a user of its own, or a namespace of users, the kernel counts just these processes.
        let processes = !bounds.processes && plan.shares_user();
        Self { limits: plan.policy.limits, memory: !bounds.memory, processes, disk: None, blind: 0 }
    }

    /// What is there by now does not count.
    pub(super) fn measure(&mut self, plan: &Plan) {
        self.disk = (plan.level < Level::Full || plan.policy.on_disk).then(|| Disk::new(plan));
    }

    /// Whether there is nothing to look at.
    pub(super) const fn is_bounded(&self) -> bool {
        !self.memory && !self.processes && self.disk.is_none()
    }

    /// The limit that is exceeded by what descends from `child`.
    ///
    /// # Errors
    /// When this can't be seen, again and again.
    pub(super) fn over(&mut self, child: Pid) -> io::Result<Option<Limit>> {
        if self.memory || self.processes {
            match descendants(child) {
                Ok(found) => {
                    self.blind = 0;
                    if self.memory && memory_of(&found) > self.limits.memory {
                        return Ok(Some(Limit::Memory));
                    }
                    if self.processes
                        && found.iter().map(|process| process.threads).sum::<u64>() > self.limits.processes
                    {
                        return Ok(Some(Limit::Processes));
                    }
                }
                Err(error) if self.blind >= BLIND => return Err(error),
                Err(_) => self.blind += 1,
            }
        }
        let limit = self.limits.disk;
        Ok(self.disk.as_mut().is_some_and(|disk| disk.is_over(limit)).then_some(Limit::Disk))
    }
}

/// Bytes: what is in the processes, and the files in memory that they hold open.
fn memory_of(processes: &[Process]) -> u64 {
    let mut files = BTreeMap::new();
    for process in processes {
        let open = fs::read_dir(format!("/proc/{}/fd", process.pid.as_raw_pid())).into_iter().flatten().flatten();
        for entry in open {
            let in_memory = fs::read_link(entry.path())
                .is_ok_and(|what| what.as_os_str().as_encoded_bytes().starts_with(b"/memfd:"));
            if let (true, Ok(facts)) = (in_memory, fs::metadata(entry.path())) {
                files.insert((facts.dev(), facts.ino()), facts.blocks() * 512);
            }
        }
    }
    processes.iter().map(|process| process.resident).sum::<u64>() + files.values().sum::<u64>()
}

/// What was written where no overlay bounds it.
struct Disk {
    dirs: [PathBuf; 2],
    before: u64,
    next: Instant,
    /// Bytes that must stay free.
    reserve: u64,
}

impl Disk {
    fn new(plan: &Plan) -> Self {
        let dirs = [plan.policy.tree.clone(), plan.policy.scratch.clone()];
        let before = used(&dirs);
        let reserve = free(&dirs).map_or(0, |free| RESERVE.min(free / 2));
        Self { dirs, before, next: Instant::now() + INTERVAL, reserve }
    }

    fn is_over(&mut self, limit: u64) -> bool {
        if free(&self.dirs).is_some_and(|free| free < self.reserve) {
            return true;
        }
        let now = Instant::now();
        if now < self.next {
            return false;
        }
        let used = used(&self.dirs);
        // A large tree is looked at more seldom.
        self.next = Instant::now() + (now.elapsed() * 20).clamp(INTERVAL, MAX_INTERVAL);
        used.saturating_sub(self.before) > limit
    }
}

/// Bytes that can still be written, where there are fewest.
fn free(dirs: &[PathBuf]) -> Option<u64> {
    dirs.iter().filter_map(|dir| rustix::fs::statvfs(dir).ok()).map(|facts| facts.f_bavail * facts.f_frsize).min()
}

/// Bytes on disk, as they count.
fn used(dirs: &[PathBuf]) -> u64 {
    fn below(path: &Path) -> u64 {
        let Ok(facts) = fs::symlink_metadata(path) else { return 0 };
        let inner = if facts.is_dir() {
            fs::read_dir(path).into_iter().flatten().flatten().map(|entry| below(&entry.path())).sum()
        } else {
            0
        };
        (facts.blocks() * 512).max(LEAST_FILE) + inner
    }
    dirs.iter().map(|dir| below(dir)).sum()
}
