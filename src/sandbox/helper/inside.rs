//! The helper's inner process: lives in the cage, starts the programs, and ends what they leave.
//!
//! It holds nothing that a program may not have, but the socket to the server. At [`Level::Full`] it is process 1 of its
//! namespace: no program in there can signal it, and when it ends the kernel kills all of them.

use super::cgroup::{Counts, Events};
use super::connect::Supervisor;
use super::program::Fence;
use super::sys::{self, Forked};
use super::view::View;
use super::{Trouble, processes, program};
use crate::sandbox::cage::open_in;
use crate::sandbox::level::Level;
use crate::sandbox::policy::Limit;
use crate::sandbox::wire::{self, Ask, Inbox, Plan, Say, Status, Step};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitStatus, pidfd_open};
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// What the monitor says on the link when a limit is exceeded; [`mark`] of the program that it means follows.
pub(super) const fn word_for(limit: Limit) -> u8 {
    match limit {
        Limit::Memory => b'm',
        Limit::Processes => b'p',
        Limit::FileSize => b'f',
        Limit::Disk => b'd',
    }
}

/// What the monitor is told on the link when a program begins. It looks from time to time and for a while, and what it
/// saw of one program must not be held against the next.
#[expect(clippy::cast_possible_truncation, reason = "one is told from the next")]
pub(super) const fn mark(number: u32) -> u8 {
    number as u8
}

/// How often the dead are buried that the programs did not wait for: until then they take the places of the living.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// How often a kill is repeated where one signal does not reach all, and how soon the dead are buried where others wait
/// for their places.
const SOON: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

pub(super) struct Inside<'p> {
    pub(super) plan: &'p Plan,
    pub(super) control: OwnedFd,
    pub(super) inbox: Inbox,
    /// What was asked while a program ran.
    pub(super) later: VecDeque<Ask>,
    pub(super) link: UnixStream,
    /// Of the program that runs, or ran last.
    pub(super) mark: u8,
    pub(super) fence: Fence,
    /// The work tree and the scratch directory.
    pub(super) roots: [OwnedFd; 2],
    pub(super) events: Events,
    pub(super) view: Option<View>,
}

/// Why the session is over.
struct Over;

impl Inside<'_> {
    /// Returns when the session is over and all that was in the cage is dead.
    pub(super) fn live(mut self) {
        let Over = self.serve();
        self.kill_all();
    }

    fn serve(&mut self) -> Over {
        loop {
            let next = match self.later.pop_front() {
                Some(ask) => Ok(Some(ask)),
                None => self.inbox.next::<Ask>(),
            };
            match next {
                Err(_) => return Over,
                Ok(Some(Ask::Run(step))) => {
                    if let Err(over) = self.run(&step) {
                        return over;
                    }
                }
                Ok(Some(Ask::Open { root, path })) => {
                    if self.open(root, &path).is_err() {
                        return Over;
                    }
                }
                // About a program that ended while it was said.
                Ok(Some(Ask::Interrupt(_) | Ask::Kill(_))) => {}
                Ok(None) => {
                    if self.hear(None, None).is_err() {
                        return Over;
                    }
                }
            }
        }
    }

    /// Waits until something happens. Reads what the server says into the inbox; returns what the monitor said.
    fn hear(&mut self, others: Option<(&OwnedFd, Option<&OwnedFd>)>, wait: Option<&Timespec>) -> Result<Heard, Over> {
        let mut waiting = vec![PollFd::new(&self.control, PollFlags::IN), PollFd::new(&self.link, PollFlags::IN)];
        if let Some((program, connects)) = others {
            waiting.push(PollFd::new(program, PollFlags::IN));
            waiting.extend(connects.map(|connects| PollFd::new(connects, PollFlags::IN)));
        }
        match poll(&mut waiting, wait) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Heard::default()),
            Err(_) => return Err(Over),
        }
        let ready: Vec<PollFlags> = waiting.iter().map(PollFd::revents).collect();
        let mut heard = Heard { connects: ready.get(3).copied().unwrap_or(PollFlags::empty()), ..Heard::default() };
        if !ready[0].is_empty() && self.inbox.receive(&self.control).unwrap_or(0) == 0 {
            return Err(Over);
        }
        if !ready[1].is_empty() {
            let mut said = [0; 2];
            self.link.read_exact(&mut said).map_err(|_| Over)?;
            let limits = [Limit::Memory, Limit::Processes, Limit::FileSize, Limit::Disk];
            heard.limit = limits.into_iter().find(|limit| [word_for(*limit), self.mark] == said);
        }
        Ok(heard)
    }

    fn run(&mut self, step: &Step) -> Result<(), Over> {
        self.mark = mark(step.number);
        self.link.write_all(&[self.mark]).map_err(|_| Over)?;
        let before = self.events.counts();
        match self.start(step) {
            Err((begun, Trouble { doing, source })) => {
                // Whatever it is by now, nobody attends to it.
                self.kill_all();
                let error = source.raw_os_error().unwrap_or(0);
                let doing = if error == 0 { format!("{doing}: {source}") } else { doing };
                self.say(&Say::NotStarted { number: step.number, begun, error, doing }, &[])
            }
            Ok((program, supervisor)) => {
                let ended = self.attend(step.number, program, supervisor, before)?;
                self.say(&ended, &[])
            }
        }
    }

    /// Forks; returns when the program has begun. With a failure comes whether it may have begun all the same.
    fn start(&mut self, step: &Step) -> Result<(Pid, Option<Supervisor>), (bool, Trouble)> {
        let (child, reports) = self.fork(step).map_err(|trouble| (false, trouble))?;
        Ok((child, follow(&reports, &self.fence)?))
    }

    /// With the socket on which the fork tells how far it comes.
    fn fork(&mut self, step: &Step) -> Result<(Pid, UnixStream), Trouble> {
        let mut descriptor = || self.inbox.descriptor().map_err(Trouble::at("receiving its streams"));
        let stdin = if step.stdin { Some(descriptor()?) } else { None };
        let streams = program::Streams { stdin, stdout: descriptor()?, stderr: descriptor()? };
        let (ours, theirs) = UnixStream::pair().map_err(Trouble::at("making a socket"))?;
        let child = match sys::fork().map_err(Trouble::at("forking"))? {
            Forked::Parent(child) => child,
            Forked::Child => {
                drop(ours);
                program::begin(step, streams, &self.fence, theirs)
            }
        };
        Ok((child, ours))
    }

    /// Sees a program to its end, and all that it started.
    fn attend(
        &mut self,
        number: u32,
        program: Pid,
        mut supervisor: Option<Supervisor>,
        before: Counts,
    ) -> Result<Say, Over> {
        let Ok(pidfd) = pidfd_open(program, PidfdFlags::empty()) else { return Err(Over) };
        let mut status = None;
        let mut limit = None;
        let mut killing = false;
        loop {
            let alive = processes::reap(|pid, how| {
                if pid == program {
                    status = Some(how);
                } else if let Some(supervisor) = &mut supervisor {
                    supervisor.buried(pid);
                }
            });
            if status.is_some() || !alive {
                break;
            }
            if killing {
                self.signal_all();
            }
            let listener = supervisor.as_ref().and_then(Supervisor::listener);
            let soon = killing || supervisor.as_ref().is_some_and(Supervisor::is_crowded);
            let heard = self.hear(Some((&pidfd, listener)), Some(if soon { &SOON } else { &TICK }))?;
            if let (Some(supervisor), true) = (&mut supervisor, heard.connects.contains(PollFlags::IN)) {
                supervisor.attend();
            } else if heard.connects.contains(PollFlags::HUP) {
                supervisor = supervisor.map(Supervisor::silenced);
            }
            limit = limit.or(heard.limit);
            killing |= heard.limit.is_some();
            while let Some(ask) = self.inbox.next::<Ask>().map_err(|_| Over)? {
                match ask {
                    Ask::Interrupt(asked) if asked == number => {
                        let _ = rustix::process::kill_process_group(program, Signal::INT);
                    }
                    Ask::Kill(asked) if asked == number => killing = true,
                    Ask::Interrupt(_) | Ask::Kill(_) => {}
                    // Asked by a server that does not wait for this program any more.
                    later @ (Ask::Run(_) | Ask::Open { .. }) => self.later.push_back(later),
                }
            }
        }
        self.kill_all();
        let status = status.map_or(Status::Signal(0), said);
        let refused = supervisor.map(Supervisor::into_refused).unwrap_or_default();
        let limit = limit.or_else(|| self.limit_met(status, before));
        Ok(Say::Ended { number, status, limit, refused })
    }

    /// The limit that explains a failure.
    fn limit_met(&self, status: Status, before: Counts) -> Option<Limit> {
        if status == Status::Exit(0) {
            return None;
        }
        if status == Status::Signal(Signal::XFSZ.as_raw()) {
            return Some(Limit::FileSize);
        }
        let disk = || self.view.as_ref().is_some_and(View::is_full).then_some(Limit::Disk);
        self.events.counts().met_since(before).or_else(disk)
    }

    /// Whether one signal reaches all that the programs started, and nobody else.
    fn is_alone(&self) -> bool {
        self.plan.level == Level::Full || self.plan.run_as.is_some()
    }

    fn signal_all(&self) {
        if self.is_alone() {
            sys::kill_all_others();
        } else {
            // What it can't do now is tried again, and in the end not given up quietly.
            let _ = processes::signal_descendants();
        }
    }

    /// Returns when nothing lives any more. Who has no child has no descendant either, for it adopts orphans.
    fn kill_all(&self) {
        if !processes::reap(|_, _| {}) {
            return;
        }
        if self.is_alone() {
            sys::kill_all_others();
            while !matches!(rustix::process::wait(rustix::process::WaitOptions::empty()), Err(rustix::io::Errno::CHILD))
            {
            }
        } else if processes::kill_descendants().is_err() {
            // Blind: whoever is outside has other ways to end what lives in here.
            std::process::exit(1);
        }
    }

    fn open(&self, root: usize, path: &Path) -> Result<(), Over> {
        let root = self.roots.get(root).ok_or(Over)?;
        match open_in(root, path) {
            Ok(file) => self.say(&Say::Opened { error: None }, &[file.as_fd()]),
            Err(error) => self.say(&Say::Opened { error: Some(error.raw_os_error().unwrap_or(0)) }, &[]),
        }
    }

    fn say(&self, said: &Say, descriptors: &[BorrowedFd<'_>]) -> Result<(), Over> {
        wire::send(&self.control, said, descriptors).map_err(|_| Over)
    }
}

/// Until the other end closes, for then the fork has become the program.
fn follow(reports: &UnixStream, fence: &Fence) -> Result<Option<Supervisor>, (bool, Trouble)> {
    let unknown = |doing| move |source| (true, Trouble { doing: String::from(doing), source });
    let mut inbox = Inbox::default();
    let mut supervisor = None;
    while let Some(said) = inbox.wait::<Say>(reports).map_err(unknown("waiting for it to begin"))? {
        match said {
            Say::NotStarted { error, doing, .. } => {
                let source =
                    if error == 0 { io::Error::other(doing.clone()) } else { io::Error::from_raw_os_error(error) };
                return Err((false, Trouble { doing, source }));
            }
            _ => {
                let listener = inbox.descriptor().map_err(unknown("receiving the supervisor's listener"))?;
                supervisor = Some(Supervisor::new(listener, fence));
            }
        }
    }
    Ok(supervisor)
}

struct Heard {
    connects: PollFlags,
    limit: Option<Limit>,
}

impl Default for Heard {
    fn default() -> Self {
        Self { connects: PollFlags::empty(), limit: None }
    }
}

fn said(status: WaitStatus) -> Status {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Status::Exit(code),
        (None, signal) => Status::Signal(signal.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::policy::Policy;

    fn fence() -> Fence {
        let (policy, cgroups, name) = (Policy::new("/tree", "/scratch"), Vec::new(), String::new());
        let plan = Plan { level: Level::Reduced, landlock: 7, policy, run_as: None, cgroups, name, light: false };
        Fence::new(&plan, None).ok().unwrap()
    }

    /// Whether a program that says this, and then becomes what it is to be, counts as begun.
    fn begun(said: &[Say]) -> Result<bool, bool> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        for said in said {
            wire::send(&theirs, said, &[]).unwrap();
        }
        drop(theirs);
        follow(&ours, &fence()).map(|supervisor| supervisor.is_some()).map_err(|(begun, _)| begun)
    }

    #[test]
    fn only_a_fork_that_says_so_itself_has_not_begun() {
        let not_started = Say::NotStarted { number: 1, begun: false, error: 2, doing: String::new() };
        assert_eq!(begun(&[not_started]), Err(false));
        // Its listener did not arrive, and the program goes on without anybody to answer it.
        assert_eq!(begun(&[Say::Ready { listener: true }]), Err(true));
        assert_eq!(begun(&[]), Ok(false));
    }
}
