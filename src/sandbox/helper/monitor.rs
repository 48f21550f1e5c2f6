//! The helper's outer process: makes what can only be made from outside, and watches.

use super::cgroup::Cgroup;
use super::sys::{self, Forked};
use super::usage::{INTERVAL, Usage};
use super::{FAILED, OUT_OF_MEMORY, Trouble, inside, processes, program, threshold};
use crate::sandbox::level::Level;
use crate::sandbox::policy::{HostUser, Network};
use crate::sandbox::wire::{self, Inbox, Order, Plan, Say};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The user that processes are inside of a full cage, whoever they are outside.
pub(super) const INNER_USER: u32 = 1000;

/// What the child waits for on its link: to begin, and again to let the first program in.
const GO: &[u8] = b"g";

/// What the child says on its link when there is a first program, and what it is answered if none can be let in; why
/// follows.
const FIRST: &[u8] = b"f";
const NO: &[u8] = b"n";

/// How often, and how far apart, the last processes of a user are killed.
const ROUNDS: u32 = 20;
const APART: Duration = Duration::from_millis(2);

/// `ahead`: there is time to make what takes longest before it is known what for.
pub(super) fn main(ahead: bool) -> ExitCode {
    sys::close_from(3);
    let Ok(control) = take_control() else { return FAILED.into() };
    // Without it, what goes wrong here is met again, and told, when there is a plan.
    let waiting = if ahead { Inner::start(USUAL, &control).ok() } else { None };
    let mut inbox = Inbox::default();
    match inbox.wait(&control) {
        Ok(Some(Order::Build(plan))) => build(&plan, control, inbox, waiting),
        Ok(Some(Order::Clear(user))) => clear(user),
        _ => FAILED.into(),
    }
}

fn build(plan: &Plan, control: OwnedFd, inbox: Inbox, waiting: Option<Inner>) -> ExitCode {
    let done =
        if plan.light { Err((program::light(plan, &control, inbox), control)) } else { keep(plan, control, waiting) };
    match done {
        Ok(code) => code,
        Err((Trouble { doing, source }, control)) => {
            let _ = wire::send(&control, &Say::Failed { doing, why: source.to_string() }, &[]);
            FAILED.into()
        }
    }
}

/// Kills all that a cage's user has: with its rights, so that nobody else's can be meant.
fn clear(user: HostUser) -> ExitCode {
    let own = threshold::become_one(user).is_ok() && rustix::process::geteuid().as_raw() == user.uid;
    if !own || user.uid == 0 {
        return FAILED.into();
    }
    for _ in 0..ROUNDS {
        sys::kill_all_others();
        std::thread::sleep(APART);
    }
    ExitCode::SUCCESS
}

/// The socket comes as standard input, because that is what a process can be given without any code of ours between fork
/// and exec.
fn take_control() -> io::Result<OwnedFd> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    Ok(control)
}

/// The process that will live in the cage. It has its namespaces from the start, and waits for the plan of what to build
/// in them: making them is a quarter of what a cage costs.
struct Inner {
    child: Pid,
    namespaces: libc::c_int,
    link: UnixStream,
    /// Where it is told the plan.
    orders: UnixStream,
}

impl Inner {
    fn start(namespaces: libc::c_int, control: &OwnedFd) -> Result<Self, Trouble> {
        // Whatever the kernel has to kill for want of memory, it is not the server.
        let _ = fs::write("/proc/self/oom_score_adj", "500");
        let (link, their_link) = UnixStream::pair().map_err(Trouble::at("making a socket"))?;
        let (orders, their_orders) = UnixStream::pair().map_err(Trouble::at("making a socket"))?;
        let control = control.try_clone().map_err(Trouble::at("keeping the socket"))?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(Trouble::at("adopting orphans"))?;
        match sys::clone(namespaces).map_err(Trouble::at("creating namespaces"))? {
            Forked::Parent(child) => Ok(Self { child, namespaces, link, orders }),
            Forked::Child => {
                drop((link, orders));
                match Inbox::default().wait(&their_orders) {
                    Ok(Some(plan)) => threshold::main(&plan, control, their_link),
                    // There is nothing to build.
                    _ => std::process::exit(0),
                }
            }
        }
    }

    /// The one that waits if it is what the plan needs and lives, or another.
    fn with(plan: &Plan, waiting: Option<Self>, control: &OwnedFd) -> Result<Self, Trouble> {
        let namespaces = namespaces(plan);
        if let Some(inner) = waiting {
            if inner.namespaces == namespaces && wire::send(&inner.orders, plan, &[]).is_ok() {
                return Ok(inner);
            }
            let _ = rustix::process::kill_process(inner.child, Signal::KILL);
            let _ = rustix::process::waitpid(Some(inner.child), rustix::process::WaitOptions::empty());
        }
        let inner = Self::start(namespaces, control)?;
        wire::send(&inner.orders, plan, &[]).map_err(Trouble::at("telling what to build"))?;
        Ok(inner)
    }
}

/// Builds the cage and watches over it to its end. With a failure comes the socket on which it is told.
fn keep(plan: &Plan, control: OwnedFd, waiting: Option<Inner>) -> Result<ExitCode, (Trouble, OwnedFd)> {
    let Inner { child, mut link, .. } = match Inner::with(plan, waiting, &control) {
        Ok(inner) => inner,
        Err(trouble) => return Err((trouble, control)),
    };
    let cgroup = Cgroup::create(plan);
    let done = match map_users(plan, child) {
        Ok(()) => {
            // From here on only the one inside has the socket, so that the server sees at once when it is gone.
            drop(control);
            let _ = link.write_all(GO);
            watch(plan, child, cgroup.as_ref(), &mut link);
            Ok(how_it_ended(child, cgroup.as_ref()))
        }
        Err(trouble) => Err((trouble, control)),
    };
    drop(link);
    let _ = rustix::process::kill_process(child, Signal::KILL);
    if let Some(cgroup) = &cgroup {
        cgroup.kill();
    }
    match processes::kill_descendants() {
        Ok(()) => done,
        // The server sees to what may be left.
        Err(_) => done.map(|_| FAILED.into()),
    }
}

/// The one inside can't tell any more if it was itself killed for want of memory, although programs are before it.
fn how_it_ended(child: Pid, cgroup: Option<&Cgroup>) -> ExitCode {
    let ended = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::NOHANG);
    let signal = ended.ok().flatten().and_then(|(_, status)| status.terminating_signal());
    let killed = signal == Some(Signal::KILL.as_raw());
    if killed && cgroup.is_some_and(Cgroup::ran_out_of_memory) { OUT_OF_MEMORY.into() } else { ExitCode::SUCCESS }
}

/// Those of level `full`, with a network of its own.
const USUAL: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWNET;

fn namespaces(plan: &Plan) -> libc::c_int {
    match (plan.level, plan.policy.network) {
        (Level::Full, Network::Host) => USUAL & !libc::CLONE_NEWNET,
        (Level::Full, _) => USUAL,
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
fn let_in(plan: &Plan, joined: Result<(), Trouble>, usage: &mut Usage, link: &mut UnixStream) {
    // At its end: the one inside has ended, and nothing has ever run.
    if link.read_exact(&mut [0]).is_err() {
        return;
    }
    let dirs = [plan.policy.tree.as_path(), plan.policy.scratch.as_path()];
    let ready = joined.and_then(|()| plan.run_as.map_or(Ok(()), |user| give(&dirs, user)));
    usage.measure(plan);
    // Who can't be told has ended.
    let _ = match ready {
        Ok(()) => link.write_all(GO),
        Err(Trouble { doing, source }) => link
            .write_all(NO)
            .and_then(|()| write!(link, "{doing}: {source}"))
            .and_then(|()| link.shutdown(Shutdown::Write)),
    };
}

/// Returns when the one inside has ended, or it can't be seen any more what is in the cage. Tells it when more is taken
/// than allowed.
fn watch(plan: &Plan, child: Pid, cgroup: Option<&Cgroup>, link: &mut UnixStream) {
    let Ok(pidfd) = pidfd_open(child, PidfdFlags::empty()) else { return };
    // Beside what the child does meanwhile, for it takes long.
    let joined = cgroup.map_or(Ok(()), |cgroup| cgroup.move_in(child)).map_err(Trouble::at("entering the cgroup"));
    let mut usage = Usage::new(plan, cgroup.map(Cgroup::bounds).unwrap_or_default());
    let_in(plan, joined, &mut usage, link);
    let mut mark = inside::mark(0);
    let mut next = Instant::now() + INTERVAL;
    // Whoever has closed the link may still have something to tell the server: only its end ends the watch.
    let mut linked = true;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let timeout = if usage.is_bounded() { None } else { left.try_into().ok() };
        let mut waiting = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(&*link, PollFlags::IN)];
        match poll(&mut waiting[..if linked { 2 } else { 1 }], timeout.as_ref()) {
            Ok(0) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {
                let [ended, told] = waiting.map(|waiting| !waiting.revents().is_empty());
                if ended {
                    return;
                }
                let mut marks = [0; 64];
                match if told { link.read(&mut marks) } else { Ok(0) } {
                    Ok(heard @ 1..) => mark = marks[heard - 1],
                    _ => linked = false,
                }
                continue;
            }
        }
        next = Instant::now() + INTERVAL;
        let Ok(over) = usage.over(child) else { return };
        if let Some(limit) = over {
            let _ = link.write_all(&[inside::word_for(limit), mark]);
        }
    }
}
