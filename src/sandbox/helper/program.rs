//! From a fork to a program: what is taken away on the way, in an order in which each step can still be done.

use super::landlock::{self, Ground};
use super::seccomp::Filters;
use super::{Trouble, sys, threshold};
use crate::sandbox::level::Level;
use crate::sandbox::policy::{Limits, Network, Policy};
use crate::sandbox::wire::{self, Ask, Inbox, Plan, Say, Step};
use rustix::process::{DumpableBehavior, Resource, Rlimit, setrlimit};
use std::ffi::{CString, OsStr};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;

/// What every program of a cage is behind.
pub(super) struct Fence {
    pub(super) policy: Policy,
    pub(super) proxy: Option<SocketAddr>,
    level: Level,
    landlock: u8,
    /// Processes for which the kernel counts those of the server and of other runs as well.
    shares_user: bool,
    filters: Filters,
}

pub(super) struct Streams {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Fence {
    pub(super) fn new(plan: &Plan, proxy: Option<SocketAddr>) -> Result<Self, Trouble> {
        let filters = if is_exposed(plan) {
            Filters::for_exposed()
        } else {
            Filters::for_cage(plan.level, plan.policy.network, plan.shares_user())
        }?;
        let Plan { level, landlock, policy, .. } = plan.clone();
        Ok(Self { policy, proxy, level, landlock, shares_user: plan.shares_user(), filters })
    }

    /// Whether nothing that a program can name by its path belongs to the host.
    pub(super) fn has_view(&self) -> bool {
        self.level == Level::Full
    }

    /// Stands for this process from now on. Returns where its `connect()` calls are to be supervised.
    fn raise(&self) -> Result<Option<OwnedFd>, Trouble> {
        limit(self.policy.limits, self.shares_user)?;
        rustix::thread::set_no_new_privs(true).map_err(Trouble::at("giving up new privileges"))?;
        let ground = if self.has_view() { Ground::View } else { Ground::Host };
        landlock::restrict(ground, self.landlock, &self.policy, self.proxy.map(|proxy| proxy.port()))?;
        self.filters.apply()
    }
}

/// Becomes the program of a step. What goes wrong is told on the socket, which closes when all went well.
pub(super) fn begin(step: &Step, streams: Streams, fence: &Fence, report: UnixStream) -> ! {
    let trouble = match shut_in(streams, fence, &report) {
        Ok(()) => become_program(step),
        Err(trouble) => trouble,
    };
    let _ = wire::send(&report, &not_started(step, &trouble), &[]);
    std::process::exit(126)
}

fn shut_in(streams: Streams, fence: &Fence, report: &UnixStream) -> Result<(), Trouble> {
    rustix::process::setsid().map_err(Trouble::at("starting a session"))?;
    kill_me_first();
    let Streams { stdin, stdout, stderr } = streams;
    // Without one, it stays what the helper has: /dev/null.
    stdin.map_or(Ok(()), rustix::stdio::dup2_stdin).map_err(Trouble::at("setting its input"))?;
    rustix::stdio::dup2_stdout(stdout).map_err(Trouble::at("setting its output"))?;
    rustix::stdio::dup2_stderr(stderr).map_err(Trouble::at("setting its errors"))?;
    if let Some(listener) = fence.raise()? {
        let ready = Say::Ready { listener: true };
        wire::send(report, &ready, &[listener.as_fd()])
            .map_err(Trouble::at("handing over the supervisor's listener"))?;
    }
    Ok(())
}

/// Where memory runs out, the kernel shall end this and not the one who tells of it. Where there are no files about
/// processes, it is seen from outside what happened.
fn kill_me_first() {
    // What its parent has hidden of itself belongs to nobody, and so does this copy, until it becomes the program.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable);
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

fn not_started(step: &Step, trouble: &Trouble) -> Say {
    let error = trouble.source.raw_os_error().unwrap_or(0);
    let doing = if error == 0 { format!("{}: {}", trouble.doing, trouble.source) } else { trouble.doing.clone() };
    Say::NotStarted { number: step.number, begun: false, error, doing }
}

/// Returns only if it cannot.
fn become_program(step: &Step) -> Trouble {
    let text = |text: &OsStr| CString::new(text.as_bytes()).map_err(Trouble::at("passing a text with a zero byte"));
    let all = || -> Result<_, Trouble> {
        let program = text(step.program.as_os_str())?;
        let args = [step.program.as_os_str()].into_iter().chain(step.args.iter().map(|arg| arg.as_os_str()));
        let args = args.map(text).collect::<Result<Vec<_>, _>>()?;
        let env = step.env.iter().map(|variable| text(variable)).collect::<Result<Vec<_>, _>>()?;
        std::env::set_current_dir(&step.dir).map_err(Trouble::at("changing the directory"))?;
        Ok((program, args, env))
    };
    match all() {
        Err(trouble) => trouble,
        Ok((program, args, env)) => {
            sys::default_signals();
            Trouble { doing: String::new(), source: sys::exec(&program, &args, &env) }
        }
    }
}

/// Shuts this process in and becomes the program of the next frame: no session, nobody beside it. Returns only if it
/// cannot.
pub(super) fn light(plan: &Plan, control: &OwnedFd, mut inbox: Inbox) -> Trouble {
    let step = match inbox.wait::<Ask>(control) {
        Ok(Some(Ask::Run(step))) => step,
        Ok(_) => return Trouble::new("receiving the program", "there was none"),
        Err(source) => return Trouble { doing: "receiving the program".to_owned(), source },
    };
    let mut shut_in = || -> Result<(), Trouble> {
        if step.stdin {
            let stdin = inbox.descriptor().map_err(Trouble::at("receiving its input"))?;
            rustix::stdio::dup2_stdin(stdin).map_err(Trouble::at("setting its input"))?;
        }
        threshold::drop_capabilities().map_err(Trouble::at("dropping capabilities"))?;
        rustix::thread::set_no_new_privs(true).map_err(Trouble::at("giving up new privileges"))?;
        landlock::restrict(Ground::Host, plan.landlock, &plan.policy, None)?;
        Filters::light(plan.policy.network)?.apply().map(drop)
    };
    let trouble = shut_in().err().unwrap_or_else(|| become_program(&step));
    if trouble.source.raw_os_error().is_some() {
        let _ = wire::send(control, &not_started(&step, &trouble), &[]);
    }
    trouble
}

/// How much above its own limit the number of all that a shared user has is bounded: the monitor counts what is a run's
/// own, and this keeps a bomb from outrunning it.
const OF_ALL_RUNS: u64 = 4;

fn limit(limits: Limits, shares_user: bool) -> Result<(), Trouble> {
    // What the server itself was given bounds what it can give.
    let set = |resource, value: u64| {
        let value = value.min(rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX));
        let limit = Rlimit { current: Some(value), maximum: Some(value) };
        setrlimit(resource, limit).map_err(Trouble::at(format!("setting {resource:?}")))
    };
    set(Resource::Core, 0)?;
    set(Resource::Nproc, if shares_user { limits.processes.saturating_mul(OF_ALL_RUNS) } else { limits.processes })?;
    set(Resource::Nofile, limits.open_files)?;
    set(Resource::Fsize, limits.file_size)?;
    // Reserved addresses are not memory, and Go reserves many: this only keeps one process from outrunning the watch.
    set(Resource::As, limits.memory.saturating_mul(2).saturating_add(2 << 30))
}

/// Whether the host's abstract unix sockets are there, which no view hides, and Landlock is too old to keep them away.
fn is_exposed(plan: &Plan) -> bool {
    plan.level == Level::Full && plan.policy.network == Network::Host && !landlock::has_scopes(plan.landlock)
}

/// Whether a program of this network may have INET sockets.
pub(super) const fn is_online(network: Network) -> bool {
    matches!(network, Network::Allow | Network::Host)
}
