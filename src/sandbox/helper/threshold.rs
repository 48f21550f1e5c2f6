//! From the helper's second process to the one that lives in the cage, in two parts.
//!
//! The first is nearly all of the work, and can be done ahead of time: it does not depend on what is in the work tree.
//! The second comes when the first program is asked for: only then are the two directories given to the cage's user and
//! layers laid over them, for what lies below a layer must not be changed. In between nothing of anybody's runs in here.

use super::cgroup::{Cgroup, Events};
use super::inside::Inside;
use super::monitor::{self, INNER_USER};
use super::program::Fence;
use super::view::{Begun, View};
use super::{Trouble, sys};
use crate::sandbox::level::Level;
use crate::sandbox::policy::{HostUser, Network};
use crate::sandbox::wire::{self, Inbox, Plan, Say};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Gid, Signal, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Where it waits for the first program.
struct Threshold<'p> {
    plan: &'p Plan,
    control: OwnedFd,
    inbox: Inbox,
    link: UnixStream,
    fence: Fence,
    events: Events,
    view: Option<Begun>,
}

pub(super) fn main(plan: &Plan, control: OwnedFd, link: UnixStream) -> ! {
    let told = control.try_clone();
    let entered = Threshold::reach(plan, control, link)
        .and_then(|mut threshold| if threshold.is_called() { threshold.enter().map(Some) } else { Ok(None) });
    match entered {
        Ok(None) => std::process::exit(0),
        Ok(Some(inside)) => {
            inside.live();
            std::process::exit(0)
        }
        Err(Trouble { doing, source }) => {
            if let Ok(control) = told {
                let _ = wire::send(&control, &Say::Failed { doing, why: source.to_string() }, &[]);
            }
            std::process::exit(1)
        }
    }
}

impl<'p> Threshold<'p> {
    fn reach(plan: &'p Plan, control: OwnedFd, mut link: UnixStream) -> Result<Self, Trouble> {
        let full = plan.level == Level::Full;
        // Opened as the server's user, whom the directories above may be reserved for.
        let sources = if full { Some(View::sources(&plan.policy)?) } else { None };
        if full && plan.policy.network != Network::Host {
            sys::raise_loopback().map_err(Trouble::at("raising the loopback interface"))?;
        }
        let listener = match plan.policy.network {
            Network::Allow => {
                Some(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Trouble::at("listening for the proxy"))?)
            }
            Network::None | Network::Host => None,
        };
        let proxy = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let fence = Fence::new(plan, proxy)?;
        // The cgroup and the maps are made from outside, beside all this.
        link.read_exact(&mut [0]).map_err(Trouble::at("waiting for the monitor"))?;
        let cgroup = Cgroup::of(plan);
        cgroup.enter_alone().map_err(Trouble::at("entering the cgroup"))?;
        let events = cgroup.into_events();
        become_user(plan)?;
        if full {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
                .map_err(Trouble::at("tying the cage to its monitor"))?;
        } else {
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
                .map_err(Trouble::at("adopting orphans"))?;
        }
        let view = sources.map(|sources| View::begin(&plan.policy, sources)).transpose()?;
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
        let descriptors: Vec<BorrowedFd<'_>> = listener.iter().map(|listener| listener.as_fd()).collect();
        let ready = Say::Ready { listener: listener.is_some() };
        wire::send(&control, &ready, &descriptors).map_err(Trouble::at("reporting"))?;
        // Nothing was asked before that.
        Ok(Self { plan, control, inbox: Inbox::default(), link, fence, events, view })
    }

    /// Waits until something is asked for; `false`: nothing ever will be.
    fn is_called(&mut self) -> bool {
        let mut waiting = [PollFd::new(&self.control, PollFlags::IN), PollFd::new(&self.link, PollFlags::IN)];
        while let Err(rustix::io::Errno::INTR) = poll(&mut waiting, None) {}
        let monitor_is_gone = !waiting[1].revents().is_empty();
        !monitor_is_gone && self.inbox.receive(&self.control).unwrap_or(0) > 0
    }

    /// From here on the work tree is what it is, and no right is left that a program must not have.
    fn enter(mut self) -> Result<Inside<'p>, Trouble> {
        monitor::settle(&mut self.link)?;
        let Self { plan, control, inbox, link, fence, events, view } = self;
        let view = view.map(Begun::finish).transpose()?;
        drop_capabilities().map_err(Trouble::at("dropping capabilities"))?;
        let open = |path: &Path| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty()).map_err(Trouble::at(format!("opening `{}`", path.display())))
        };
        let roots = [open(&plan.policy.tree)?, open(&plan.policy.scratch)?];
        Ok(Inside { plan, control, inbox, later: VecDeque::new(), link, mark: 0, fence, roots, events, view })
    }
}

/// Becomes who the programs are.
fn become_user(plan: &Plan) -> Result<(), Trouble> {
    match plan.run_as {
        None => Ok(()),
        Some(_) if plan.level == Level::Full => become_one(HostUser { uid: INNER_USER, gid: INNER_USER }),
        Some(user) => become_one(user),
    }
}

pub(super) fn become_one(user: HostUser) -> Result<(), Trouble> {
    let HostUser { uid, gid } = user;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_groups(&[]).map_err(Trouble::at("leaving the server's groups"))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(Trouble::at("changing the group"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(Trouble::at("changing the user"))
}

pub(super) fn drop_capabilities() -> io::Result<()> {
    let _ = rustix::thread::clear_ambient_capability_set();
    for capability in CapabilitySet::all().iter() {
        // Fails without the right to, and then there is nothing to gain either: no_new_privs stands.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    Ok(rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}
