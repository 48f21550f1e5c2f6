//! What this host can do, found out once, and the door to every cage.

use super::cage::Cage;
use super::helper::EXEC;
use super::level::Level;
use super::policy::{HostUser, Policy};
use super::probe;
use super::process::{self, Feed, Outcome, SpawnError, Spec, Stdin, Streams};
use super::session::{self, Session};
use super::spare::Spare;
use super::users::{Lease, Users};
use super::wire::{self, Ask, Order, Plan, Say, Step};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

/// Opens cages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    setup: Setup,
    spare: Arc<Spare>,
    level: Level,
    findings: Vec<Finding>,
    /// Only where the server is root.
    users: Option<Users>,
    cgroups: Vec<PathBuf>,
}

/// How the sandbox is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The `terraplane` binary, which is its own helper.
    pub helper: PathBuf,
    /// A directory like those that cages will work in: the probe makes its own in it.
    pub work: PathBuf,
    /// Levels above are not tried.
    pub at_most: Level,
    /// Newer versions of Landlock are not made use of: what an older kernel would give is shown on a newer one.
    pub landlock: u8,
    /// The host's users that a server which is root runs its cages as.
    pub users: Range<u32>,
}

impl Setup {
    /// This very program as the helper, the best level there is, and 64 users from 900000.
    ///
    /// # Errors
    /// When the program's own file cannot be found.
    pub fn new(work: PathBuf) -> io::Result<Self> {
        Ok(Self {
            helper: std::env::current_exe()?,
            work,
            at_most: Level::Full,
            landlock: LANDLOCK,
            users: 900_000..900_064,
        })
    }
}

/// The host's user that a run's processes have, if the server is root; otherwise they have the server's own.
#[derive(Debug, Clone)]
pub struct Slot {
    user: Option<Arc<Lease>>,
}

/// What another process of this server needs to open cages just as this one does, without finding out again what holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foundation {
    helper: PathBuf,
    level: Level,
    landlock: u8,
    cgroups: Vec<PathBuf>,
}

impl Slot {
    /// The user, and the lock by which nobody else on this host takes it, to be handed to another process.
    #[must_use]
    pub fn user(&self) -> (Option<HostUser>, Option<BorrowedFd<'_>>) {
        match &self.user {
            Some(lease) => (Some(lease.user), lease.lock()),
            None => (None, None),
        }
    }

    /// What another process handed over.
    #[must_use]
    pub fn handed(user: Option<HostUser>, lock: Option<OwnedFd>) -> Self {
        Self { user: user.map(|user| Arc::new(Lease::handed(user, lock))) }
    }
}

/// Why a level does not hold on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// A sentence.
    pub why: String,
    /// What to do about it, as a sentence.
    pub advice: String,
}

/// A cage could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum CageError {
    #[error("this host can only give a sandbox of level `{have}`, and `{least}` is required")]
    Level { have: Level, least: Level },
    #[error("the sandbox could not be built: {doing}")]
    Setup { doing: String, source: io::Error },
}

/// The newest version of Landlock whose rights are asked for; an older kernel gives what it has. Version 9, which knows
/// unix sockets by path, is not among them: its right would have to be granted to every directory that providers use.
const LANDLOCK: u8 = 7;

/// Begins the names of cages.
const CAGE: &str = "terraplane-";

impl Sandbox {
    /// Finds out what holds on this host, by trying to break out of it: well under a second.
    pub async fn probe(setup: Setup) -> Self {
        let users = rustix::process::geteuid().is_root().then(|| Users::new(setup.users.clone()));
        let cgroups = probe::cgroups();
        let spare = Arc::new(Spare::of(setup.helper.clone()));
        let inner = |level, findings| Inner {
            setup: setup.clone(),
            spare: Arc::clone(&spare),
            level,
            findings,
            users: users.clone(),
            cgroups: cgroups.clone(),
        };
        let candidate = |level| Self { inner: Arc::new(inner(level, Vec::new())) };
        let (level, findings) = probe::best(&setup, candidate).await;
        Self { inner: Arc::new(inner(level, findings)) }
    }

    /// No sandbox: every cage is one in name only.
    #[must_use]
    pub fn off() -> Self {
        let (helper, work) = (PathBuf::new(), PathBuf::new());
        let setup = Setup { helper, work, at_most: Level::Off, landlock: LANDLOCK, users: 0..0 };
        let spare = Arc::new(Spare::of(PathBuf::new()));
        let (findings, cgroups) = (Vec::new(), Vec::new());
        Self { inner: Arc::new(Inner { setup, spare, level: Level::Off, findings, users: None, cgroups }) }
    }

    /// What another process needs to go on from here.
    #[must_use]
    pub fn foundation(&self) -> Foundation {
        let Inner { setup, level, cgroups, .. } = &*self.inner;
        Foundation { helper: setup.helper.clone(), level: *level, landlock: setup.landlock, cgroups: cgroups.clone() }
    }

    /// What another process found out. It has no users of its own: slots are handed over too.
    #[must_use]
    pub fn on(foundation: Foundation) -> Self {
        let Foundation { helper, level, landlock, cgroups } = foundation;
        let spare = Arc::new(Spare::of(helper.clone()));
        let setup = Setup { helper, work: PathBuf::new(), at_most: level, landlock, users: 0..0 };
        Self { inner: Arc::new(Inner { setup, spare, level, findings: Vec::new(), users: None, cgroups }) }
    }

    /// The program that is its own helper, and whatever else must be started anew.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.inner.setup.helper
    }

    /// The best level that holds.
    #[must_use]
    pub fn level(&self) -> Level {
        self.inner.level
    }

    /// Per better level that was tried, why it does not hold; the best first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.inner.findings
    }

    /// Opens a cage. May be done ahead of time: the tree, the scratch directory and all paths of the policy must exist,
    /// but what is in the two directories is taken as it is when the first program begins. Then, where the server is root,
    /// it is given to the cage's user; what comes later must be readable for it, and at [`Level::Full`] is not reliably
    /// seen. Below that level a cage that is opened ahead must not share its slot with another.
    ///
    /// # Errors
    /// When this host has less than the policy requires, or the cage cannot be built.
    pub async fn open(&self, policy: Policy) -> Result<Cage, CageError> {
        self.open_in(policy, &self.slot().await).await
    }

    /// Removes the cgroups of cages whose server is dead. To be called before the first cage is opened.
    pub fn clear_remains(&self) {
        for dir in self.inner.cgroups.iter().filter_map(|parent| std::fs::read_dir(parent).ok()).flatten().flatten() {
            let name = dir.file_name().to_string_lossy().into_owned();
            let server = name.strip_prefix(CAGE).and_then(|rest| rest.split_once('-')?.0.parse::<u32>().ok());
            // The first process of every container has the same number: one of its cages is a predecessor's.
            let is_dead = |server: u32| match server {
                1 => std::process::id() == 1,
                _ => !Path::new(&format!("/proc/{server}")).exists(),
            };
            if server.is_some_and(is_dead) {
                // Fails as long as something lives in it.
                let _ = std::fs::remove_dir(dir.path());
            }
        }
    }

    /// Who the processes of several cages are, one after the other or side by side. Waits until somebody is free to be.
    pub async fn slot(&self) -> Slot {
        let users = self.inner.users.as_ref().filter(|_| self.inner.level > Level::Off);
        Slot { user: futures::future::OptionFuture::from(users.map(Users::wait)).await.map(Arc::new) }
    }

    /// As [`Sandbox::open`], for a slot that has more than this cage.
    ///
    /// # Errors
    /// As there.
    pub async fn open_in(&self, policy: Policy, slot: &Slot) -> Result<Cage, CageError> {
        let inner = &*self.inner;
        let (have, least) = (inner.level, policy.least);
        if have < least {
            return Err(CageError::Level { have, least });
        }
        let roots = [policy.tree.clone(), policy.scratch.clone()];
        if have == Level::Off {
            return Ok(Cage::new(have, roots, None, None));
        }
        let user = slot.user.clone();
        let plan = self.plan(policy, user.as_deref(), false);
        let failed = |(doing, source)| CageError::Setup { doing, source };
        let (session, listener) = Session::open(&inner.spare, plan, user).await.map_err(failed)?;
        Ok(Cage::new(have, roots, Some(session), listener.map(TcpListener::from)))
    }

    /// Runs one program that is to be trusted more than its input is, such as git on a mirror: Landlock and seccomp as at
    /// [`Level::Weak`], with the server's own user, no limits but of time and output, and no process beside it. Takes
    /// about a millisecond more than without. With [`super::policy::Network::None`] it has no sockets at all.
    ///
    /// # Errors
    /// When it could not be started or shut in.
    #[tracing::instrument(
        level = "debug",
        name = "process",
        skip_all,
        fields(
            program = ?spec.program.file_name().unwrap_or_default(),
            command = ?spec.args.first().map(OsString::as_os_str).unwrap_or_default(),
        )
    )]
    pub async fn run_light(&self, policy: &Policy, spec: Spec) -> Result<Outcome, SpawnError> {
        if self.inner.level == Level::Off {
            return process::run(spec).await;
        }
        let level = Level::Weak;
        if spec.cancel.is_cancelled() {
            return Ok(Outcome::not_started(process::End::Cancelled, level));
        }
        let failed = process::failed(&spec.program, &spec.dir);
        let has_stdin = !matches!(spec.stdin, Stdin::Closed);
        let (feed, stdin) = Feed::open(spec.stdin).map_err(failed)?;
        let streams = Streams::open(spec.stdout, spec.stderr).map_err(failed)?;
        let piped = Stdio::piped;
        let (child, mut channel) =
            session::start(&self.inner.setup.helper, &[EXEC], piped(), piped(), true).map_err(failed)?;
        let plain = spec.env.iter().map(|(name, value)| session::variable(name, value));
        let secret = spec.secret_env.iter().map(|(name, value)| session::variable(name, value.expose_secret()));
        let step = Step {
            number: 1,
            program: spec.program.clone(),
            args: spec.args,
            dir: spec.dir.clone(),
            env: plain.chain(secret).collect(),
            stdin: has_stdin,
        };
        let descriptors: Vec<BorrowedFd<'_>> = stdin.iter().map(OwnedFd::as_fd).collect();
        channel.send(&Order::Build(self.plan(policy.clone(), None, true)), &[]).await.map_err(failed)?;
        channel.send(&Ask::Run(step), &descriptors).await.map_err(failed)?;
        drop(stdin);
        // The socket closes when the helper becomes the program.
        match channel.receive_or_end().await.map_err(failed)? {
            None => {
                crate::crash::point("program");
                let done = process::attend(child, feed, streams, (spec.deadline, spec.grace), &spec.cancel, level);
                let done = done.await;
                crate::crash::point("end of a program");
                Ok(done)
            }
            Some(Say::NotStarted { error, doing, .. }) => Err(failed(wire::not_started(error, doing))),
            Some(Say::Failed { doing, why }) => Err(failed(io::Error::other(format!("{doing}: {why}")))),
            Some(other) => Err(failed(io::Error::other(format!("unexpected answer {other:?}")))),
        }
    }

    fn plan(&self, policy: Policy, user: Option<&Lease>, light: bool) -> Plan {
        Plan {
            level: self.inner.level,
            landlock: self.inner.setup.landlock,
            policy,
            run_as: user.map(|lease| lease.user),
            cgroups: self.inner.cgroups.clone(),
            // Also not that of a server that was killed and had the same number, as every first process of a container.
            name: format!("{CAGE}{}-{}", std::process::id(), uuid::Uuid::now_v7().as_simple()),
            light,
        }
    }
}
