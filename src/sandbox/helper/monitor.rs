//! The helper's outer process: makes what can only be made from outside, and watches.

use super::cgroup::Cgroup;
use super::processes::{self, descendants};
use super::sys::{self, Forked};
use super::{LEAST_FILE, Trouble, inside, program, threshold};
use crate::sandbox::level::Level;
use crate::sandbox::policy::{HostUser, Limit, Limits, Network};
use crate::sandbox::wire::{self, Inbox, Plan, Say};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The exit code of a helper that could not do its work. Nobody reads it: the reason goes over the socket.
const FAILED: u8 = 125;

/// The user that processes are inside of a full cage, whoever they are outside.
pub(super) const INNER_USER: u32 = 1000;

/// What the child waits for on its link: to begin, and again to let the first program in.
const GO: &[u8] = b"g";

/// What the child says on its link when there is a first program, and what it is answered if none can be let in; why
/// follows.
const FIRST: &[u8] = b"f";
const NO: &[u8] = b"n";

/// How often memory and disk are looked at, where there is no cgroup and no overlay to bound them.
const INTERVAL: Duration = Duration::from_millis(200);

/// And how seldom at most, for a look at a large tree takes long.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn main() -> ExitCode {
    sys::close_from(3);
    let Ok(control) = take_control() else { return FAILED.into() };
    let mut inbox = Inbox::default();
    let Ok(Some(plan)) = inbox.wait::<Plan>(&control) else { return FAILED.into() };
    let done =
        if plan.light { Err((program::light(&plan, &control, inbox), control)) } else { keep(&plan, control, inbox) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((Trouble { doing, source }, control)) => {
            let _ = wire::send(&control, &Say::Failed { doing, why: source.to_string() }, &[]);
            FAILED.into()
        }
    }
}

/// The socket comes as standard input, because that is what a process can be given without any code of ours between fork
/// and exec.
fn take_control() -> io::Result<OwnedFd> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    Ok(control)
}

/// Builds the cage and watches over it to its end. With a failure comes the socket on which it is told.
fn keep(plan: &Plan, control: OwnedFd, inbox: Inbox) -> Result<(), (Trouble, OwnedFd)> {
    // Whatever the kernel has to kill for want of memory, it is not the server.
    let _ = fs::write("/proc/self/oom_score_adj", "500");
    let (mut link, theirs) = match UnixStream::pair() {
        Ok(pair) => pair,
        Err(source) => return Err((Trouble { doing: "making a socket".to_owned(), source }, control)),
    };
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        return Err((Trouble::at("adopting orphans")(error), control));
    }
    let child = match sys::clone(namespaces(plan)) {
        Ok(Forked::Parent(child)) => child,
        Ok(Forked::Child) => {
            drop(link);
            threshold::main(plan, control, inbox, theirs)
        }
        Err(source) => return Err((Trouble { doing: "creating namespaces".to_owned(), source }, control)),
    };
    drop(theirs);
    let cgroup = Cgroup::create(plan);
    let done = match map_users(plan, child) {
        Ok(()) => {
            // From here on only the one inside has the socket, so that the server sees at once when it is gone.
            drop(control);
            let _ = link.write_all(GO);
            watch(plan, child, cgroup.as_ref(), &mut link);
            Ok(())
        }
        Err(trouble) => Err((trouble, control)),
    };
    drop(link);
    let _ = rustix::process::kill_process(child, Signal::KILL);
    if let Some(cgroup) = &cgroup {
        cgroup.kill();
    }
    processes::kill_descendants();
    done
}

fn namespaces(plan: &Plan) -> libc::c_int {
    let all = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    match (plan.level, plan.policy.network) {
        (Level::Full, Network::Host) => all,
        (Level::Full, _) => all | libc::CLONE_NEWNET,
        _ => 0,
    }
}

/// What the child waits for.
fn map_users(plan: &Plan, child: Pid) -> Result<(), Trouble> {
    if plan.level < Level::Full {
        return Ok(());
    }
    let (uid, gid) = match plan.run_as {
        Some(user) => (user.uid, user.gid),
        None => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
    };
    let write = |file: &str, text: String| {
        let path = format!("/proc/{}/{file}", child.as_raw_pid());
        fs::write(&path, text).map_err(Trouble::at(format!("writing the {file} of a user namespace")))
    };
    if plan.run_as.is_none() {
        // Who is not root may only map groups that nobody can leave any more.
        write("setgroups", "deny".to_owned())?;
    }
    write("uid_map", format!("{INNER_USER} {uid} 1"))?;
    write("gid_map", format!("{INNER_USER} {gid} 1"))
}

/// Gives the directories and all in them to a user; no link is followed.
fn give(dirs: &[&Path], user: HostUser) -> Result<(), Trouble> {
    fn give_one(path: &Path, user: HostUser) -> io::Result<()> {
        let facts = fs::symlink_metadata(path)?;
        if (facts.uid(), facts.gid()) != (user.uid, user.gid) {
            lchown(path, Some(user.uid), Some(user.gid))?;
        }
        if facts.is_dir() {
            for entry in fs::read_dir(path)? {
                give_one(&entry?.path(), user)?;
            }
        }
        Ok(())
    }
    let mut dirs = dirs.iter();
    dirs.try_for_each(|dir| give_one(dir, user).map_err(Trouble::at(format!("giving `{}` to its user", dir.display()))))
}

/// For the one inside: waits until the work tree is ready for the first program.
pub(super) fn settle(link: &mut UnixStream) -> Result<(), Trouble> {
    let doing = || Trouble::at("waiting for the work tree");
    let mut answer = [0];
    link.write_all(FIRST).and_then(|()| link.read_exact(&mut answer)).map_err(doing())?;
    if answer == GO {
        return Ok(());
    }
    let mut why = String::new();
    link.read_to_string(&mut why).map_err(doing())?;
    Err(Trouble::new("preparing the work tree", why))
}

/// The other end of it. The directories are given away, and measured, only now: a cage may be opened before they are
/// filled. `joined`: whether what is to come is in its cgroup.
fn let_in(plan: &Plan, joined: Result<(), Trouble>, link: &mut UnixStream) -> Option<Disk> {
    // At its end: the one inside has ended, and nothing has ever run.
    link.read_exact(&mut [0]).ok()?;
    let dirs = [plan.policy.tree.as_path(), plan.policy.scratch.as_path()];
    let ready = joined.and_then(|()| plan.run_as.map_or(Ok(()), |user| give(&dirs, user)));
    let disk = (plan.level < Level::Full || plan.policy.on_disk).then(|| Disk::new(plan));
    // Who can't be told has ended.
    let _ = match ready {
        Ok(()) => link.write_all(GO),
        Err(Trouble { doing, source }) => link
            .write_all(NO)
            .and_then(|()| write!(link, "{doing}: {source}"))
            .and_then(|()| link.shutdown(Shutdown::Write)),
    };
    disk
}

/// Returns when the one inside has ended. Tells it when more is taken than allowed.
fn watch(plan: &Plan, child: Pid, cgroup: Option<&Cgroup>, link: &mut UnixStream) {
    let Ok(pidfd) = pidfd_open(child, PidfdFlags::empty()) else { return };
    let limits = plan.policy.limits;
    let has_cgroup = cgroup.is_some_and(Cgroup::bounds_memory);
    // Beside what the child does meanwhile, for it takes long.
    let joined = cgroup.map_or(Ok(()), |cgroup| cgroup.move_in(child)).map_err(Trouble::at("entering the cgroup"));
    let mut disk = let_in(plan, joined, link);
    loop {
        let idle = has_cgroup && disk.is_none();
        let timeout = if idle { None } else { INTERVAL.try_into().ok() };
        let mut waiting = [PollFd::new(&pidfd, PollFlags::IN)];
        match poll(&mut waiting, timeout.as_ref()) {
            Ok(0) => {}
            Err(rustix::io::Errno::INTR) => continue,
            _ => return,
        }
        let over = memory_is_over(child, has_cgroup, limits)
            .or_else(|| disk.as_mut()?.is_over(limits.disk).then_some(Limit::Disk));
        if let Some(limit) = over {
            let _ = link.write_all(match limit {
                Limit::Disk => inside::OVER_DISK,
                _ => inside::OVER_MEMORY,
            });
        }
    }
}

fn memory_is_over(child: Pid, has_cgroup: bool, limits: Limits) -> Option<Limit> {
    let resident = || descendants(child).iter().map(|process| process.resident).sum::<u64>();
    (!has_cgroup && resident() > limits.memory).then_some(Limit::Memory)
}

/// What was written where no overlay bounds it.
struct Disk {
    dirs: [PathBuf; 2],
    before: u64,
    next: Instant,
}

impl Disk {
    fn new(plan: &Plan) -> Self {
        let dirs = [plan.policy.tree.clone(), plan.policy.scratch.clone()];
        let before = used(&dirs);
        Self { dirs, before, next: Instant::now() + INTERVAL }
    }

    fn is_over(&mut self, limit: u64) -> bool {
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
