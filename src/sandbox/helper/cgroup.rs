//! A cgroup for one cage, where one can be had: the only bound on the memory and the number of all processes together.

use crate::sandbox::policy::{Limit, Limits};
use crate::sandbox::wire::Plan;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Where version 1 lets single threads in; version 2 has no such thing for a group with a limit on memory.
const OWN_THREAD: &str = "tasks";

/// Directories that are removed when this is dropped, which works when no process is left in them.
pub(super) struct Cgroup {
    dirs: Vec<PathBuf>,
    bounds: Bounds,
}

/// What the kernel bounds, for all processes of the group together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    pub(super) memory: bool,
    pub(super) processes: bool,
}

impl Cgroup {
    /// One in each of the hierarchies that the server found; those that refuse are left out.
    pub(super) fn create(plan: &Plan) -> Option<Self> {
        let mut cgroup = Self { dirs: Vec::new(), bounds: Bounds::default() };
        for parent in &plan.cgroups {
            let dir = parent.join(&plan.name);
            if fs::create_dir(&dir).is_ok() {
                let Bounds { memory, processes } = bound(&dir, plan.policy.limits);
                cgroup.bounds.memory |= memory;
                cgroup.bounds.processes |= processes;
                cgroup.dirs.push(dir);
            }
        }
        (!cgroup.dirs.is_empty()).then_some(cgroup)
    }

    /// For the child: the one that its parent has made.
    pub(super) fn of(plan: &Plan) -> Self {
        let dirs = plan.cgroups.iter().map(|parent| parent.join(&plan.name)).filter(|dir| dir.is_dir()).collect();
        Self { dirs, bounds: Bounds::default() }
    }

    pub(super) const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// For the child: enters those of the hierarchies that let a thread move itself. Whoever is moved by another, or with
    /// all threads, waits until the kernel has stopped all of the host's forks: some 20 ms.
    pub(super) fn enter_alone(&self) -> io::Result<()> {
        self.dirs
            .iter()
            .map(|dir| dir.join(OWN_THREAD))
            .filter(|file| file.exists())
            .try_for_each(|file| fs::write(file, "0"))
    }

    /// For its parent: moves the child into the others.
    pub(super) fn move_in(&self, child: Pid) -> io::Result<()> {
        let others = self.dirs.iter().filter(|dir| !dir.join(OWN_THREAD).exists());
        others.map(|dir| dir.join("cgroup.procs")).try_for_each(|file| fs::write(file, child.as_raw_pid().to_string()))
    }

    /// All that is in it.
    pub(super) fn kill(&self) {
        kill_all_in(&self.dirs);
    }

    /// Whether the kernel has ever killed in it for want of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        events(&self.dirs).counts().memory > 0
    }

    /// What the process inside reads of it, which cannot see its files. The directories are the other process' to remove.
    pub(super) fn into_events(mut self) -> Events {
        events(&std::mem::take(&mut self.dirs))
    }
}

fn events(dirs: &[PathBuf]) -> Events {
    let open = |name: &str| dirs.iter().find_map(|dir| File::open(dir.join(name)).ok());
    // The second name is that of cgroup v1.
    Events { memory: open("memory.events").or_else(|| open("memory.oom_control")), processes: open("pids.events") }
}

/// Kills all that is in these cgroups and what comes of it: at once with kernels that can, otherwise one by one when no
/// more can come. Whether any was there; the caller looks again.
pub(in crate::sandbox) fn kill_all_in(dirs: &[PathBuf]) -> bool {
    let mut any = false;
    for dir in dirs {
        let _ = fs::write(dir.join("pids.max"), "0");
        let members = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        any |= !members.is_empty();
        if fs::write(dir.join("cgroup.kill"), "1").is_err() {
            for pid in members.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
    any
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for dir in &self.dirs {
            let _ = fs::remove_dir(dir);
        }
    }
}

/// The first names are those of cgroup v2, the second those of v1.
fn bound(dir: &Path, limits: Limits) -> Bounds {
    let set = |name: &str, value: u64| {
        let file = File::options().write(true).open(dir.join(name));
        file.and_then(|file| file.write_at(value.to_string().as_bytes(), 0)).is_ok()
    };
    let processes = set("pids.max", limits.processes);
    if set("memory.max", limits.memory) {
        set("memory.swap.max", 0);
        return Bounds { memory: true, processes };
    }
    // The sum with swap has to be set second.
    let memory = set("memory.limit_in_bytes", limits.memory);
    if memory {
        set("memory.memsw.limit_in_bytes", limits.memory);
    }
    Bounds { memory, processes }
}

/// How often the limits were met.
#[derive(Default)]
pub(super) struct Events {
    memory: Option<File>,
    processes: Option<File>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    memory: u64,
    processes: u64,
}

impl Events {
    pub(super) fn counts(&self) -> Counts {
        Counts { memory: count(self.memory.as_ref(), "oom_kill"), processes: count(self.processes.as_ref(), "max") }
    }
}

impl Counts {
    /// The limit that was met since.
    pub(super) fn met_since(self, before: Self) -> Option<Limit> {
        if self.memory > before.memory {
            Some(Limit::Memory)
        } else if self.processes > before.processes {
            Some(Limit::Processes)
        } else {
            None
        }
    }
}

fn count(file: Option<&File>, name: &str) -> u64 {
    let mut text = [0; 512];
    let Some(length) = file.and_then(|file| file.read_at(&mut text, 0).ok()) else { return 0 };
    let text = String::from_utf8_lossy(&text[..length]);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.unwrap_or(0)
}
