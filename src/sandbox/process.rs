//! The one way to start a process. Everything else in the crate is forbidden to (clippy.toml), for three reasons:
//!
//! 1. The environment. A child gets what is written in its [`Spec`] and nothing of the server's own environment, which
//!    holds the forge's token and the database's password.
//! 2. The end. A child is the leader of a process group. On its deadline, or when it is cancelled, the group gets
//!    SIGINT (Terraform then stops in order and frees its state lock), then SIGKILL. When the leader is gone, so are
//!    those it left behind, and one of them that still holds a pipe cannot keep the server waiting. A process that
//!    has moved to a session of its own escapes the group; a [`super::Cage`] holds it.
//! 3. The output. It is read all the time, bounded, and masked where it becomes readable.

use super::level::Level;
use super::policy::Limit;
use super::sink::{Captured, Collector, Sink};
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret as _, SecretString};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long the pipes are read after the leader is gone and its group is killed. All that was written by then is read
/// at once; only a process that escaped the group makes us wait this long.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long a killed process may take to die before it is left to itself (it hangs in the kernel, on a dead disk).
const DEATH: Duration = Duration::from_secs(10);

/// What to run, and within which bounds.
#[derive(Debug)]
pub struct Spec {
    /// An absolute path: nothing is searched for.
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// The working directory.
    pub dir: PathBuf,
    /// The whole environment, together with `secret_env`.
    pub env: Vec<(String, String)>,
    pub secret_env: Vec<(String, SecretString)>,
    pub stdin: Stdin,
    pub stdout: Sink,
    pub stderr: Sink,
    /// The time until SIGINT.
    pub deadline: Duration,
    /// The time from SIGINT to SIGKILL.
    pub grace: Duration,
    /// Cancelling has the effect of the deadline.
    pub cancel: CancellationToken,
}

impl Spec {
    /// A program with no arguments, no environment, closed input, output discarded, an hour's deadline and five
    /// seconds of grace.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, dir: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            dir: dir.into(),
            env: Vec::new(),
            secret_env: Vec::new(),
            stdin: Stdin::Closed,
            stdout: Sink::Discard,
            stderr: Sink::Discard,
            deadline: Duration::from_hours(1),
            grace: Duration::from_secs(5),
            cancel: CancellationToken::new(),
        }
    }

    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// Finds a program as a shell would: a name without `/` is looked up in `path` (directories divided by `:`).
/// `None` if there is no such executable file.
#[must_use]
pub fn find_program(name: &Path, path: &OsStr) -> Option<PathBuf> {
    let executable = |file: &PathBuf| {
        let facts = std::fs::metadata(file);
        facts.is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    };
    if name.components().count() > 1 {
        return std::path::absolute(name).ok().filter(executable);
    }
    let dirs = std::env::split_paths(path).filter(|dir| dir.is_absolute());
    dirs.map(|dir| dir.join(name)).find(executable)
}

/// What the program reads.
#[derive(Debug, Default)]
pub enum Stdin {
    /// Nothing: the end of the file at once.
    #[default]
    Closed,
    Bytes(Vec<u8>),
    /// What is sent, as it comes. It ends when no sender is left.
    Fed(mpsc::Receiver<Vec<u8>>),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    /// Killed by a signal that was not ours.
    Signal(i32),
    TimedOut,
    Cancelled,
    /// It failed, or was killed, because it met this limit of its cage.
    Limit(Limit),
}

impl End {
    #[must_use]
    pub const fn success(self) -> bool {
        matches!(self, Self::Exit(0))
    }
}

/// What is known when it is over.
#[derive(Debug)]
pub struct Outcome {
    pub end: End,
    /// Its exit code, also if it was told to end and did so in order; `None`: it was killed, or never started.
    pub code: Option<i32>,
    pub stdout: Captured,
    pub stderr: Captured,
    pub elapsed: Duration,
    /// What held the program.
    pub level: Level,
    /// Addresses that it tried to reach and that were refused within the cage. What the proxy refused is not among them.
    pub refused: Vec<String>,
}

impl Outcome {
    pub(super) fn not_started(end: End, level: Level) -> Self {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        Self { end, code: None, stdout, stderr, elapsed: Duration::ZERO, level, refused: Vec::new() }
    }
}

/// The program could not be started.
#[derive(Debug, thiserror::Error)]
#[error("`{}` could not be started in `{}`", program.display(), dir.display())]
pub struct SpawnError {
    pub program: PathBuf,
    pub dir: PathBuf,
    /// It may have begun, and its cage broke: nobody knows how far it came.
    pub begun: bool,
    pub source: io::Error,
}

/// Runs it to its end. Dropping the future kills the whole group.
///
/// # Errors
/// When the program could not be started, or the file of a [`Sink::File`] not be created.
#[tracing::instrument(
    level = "debug",
    name = "process",
    skip_all,
    fields(
        program = ?spec.program.file_name().unwrap_or_default(),
        command = ?spec.args.first().map(OsString::as_os_str).unwrap_or_default(),
    )
)]
pub async fn run(spec: Spec) -> Result<Outcome, SpawnError> {
    if spec.cancel.is_cancelled() {
        return Ok(Outcome::not_started(End::Cancelled, Level::Off));
    }
    let (feed, stdin) = Feed::open(spec.stdin).map_err(failed(&spec.program, &spec.dir))?;
    let streams = Streams::open(spec.stdout, spec.stderr).map_err(failed(&spec.program, &spec.dir))?;
    #[expect(clippy::disallowed_methods, reason = "this is the one place; the environment is cleared right here")]
    let mut command = Command::new(&spec.program);
    command
        .args(spec.args)
        .current_dir(&spec.dir)
        .env_clear()
        .envs(spec.env)
        .envs(spec.secret_env.iter().map(|(name, value)| (name, value.expose_secret())))
        .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn().map_err(failed(&spec.program, &spec.dir))?;
    // It holds our end of the child's input.
    drop(command);
    Ok(attend(child, feed, streams, (spec.deadline, spec.grace), &spec.cancel, Level::Off).await)
}

pub(super) fn failed<'s>(program: &'s Path, dir: &'s Path) -> impl Fn(io::Error) -> SpawnError + Copy + 's {
    |source| SpawnError { program: program.to_owned(), dir: dir.to_owned(), begun: false, source }
}

/// Sees a child to its end: a leader of its process group, with piped output.
pub(super) async fn attend(
    mut child: Child,
    feed: Feed,
    mut streams: Streams,
    (deadline, grace): (Duration, Duration),
    cancel: &CancellationToken,
    level: Level,
) -> Outcome {
    let started = Instant::now();
    let group = Group::led_by(&child);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (end, code) = {
        let mut pipes = pin!(async {
            let (out, err) = (out.expect("stdout is piped"), err.expect("stderr is piped"));
            streams.drain(out, err).await;
        });
        let mut feeding = pin!(feed.run());
        let mut life = pin!(live(&mut child, group, deadline, grace, cancel));
        let (mut drained, mut fed) = (false, false);
        let end = loop {
            tokio::select! {
                end = &mut life => break end,
                _ = &mut pipes, if !drained => drained = true,
                () = &mut feeding, if !fed => fed = true,
            }
        };
        if !drained {
            // Out of time means that a process which escaped the group holds a pipe: it is not waited for.
            let _ = tokio::time::timeout(LAST_WORDS, &mut pipes).await;
        }
        end
    };
    let (stdout, stderr) = streams.finish();
    Outcome { end, code, stdout, stderr, elapsed: started.elapsed(), level, refused: Vec::new() }
}

/// Waits for the leader; stops the group when it must. When the leader is gone, so is the group. With its exit code.
async fn live(
    child: &mut Child,
    group: Group,
    deadline: Duration,
    grace: Duration,
    cancel: &CancellationToken,
) -> (End, Option<i32>) {
    let code = |status: io::Result<ExitStatus>| status.ok().and_then(|status| status.code());
    let end = tokio::select! {
        biased;
        status = child.wait() => {
            let end = ended(status);
            return (end, if let End::Exit(code) = end { Some(code) } else { None });
        }
        () = cancel.cancelled() => End::Cancelled,
        () = tokio::time::sleep(deadline) => End::TimedOut,
    };
    group.signal(Signal::INT);
    if let Ok(status) = tokio::time::timeout(grace, child.wait()).await {
        return (end, code(status));
    }
    group.signal(Signal::KILL);
    let _ = tokio::time::timeout(DEATH, child.wait()).await;
    (end, None)
}

fn ended(status: io::Result<ExitStatus>) -> End {
    match status {
        // Waiting fails only if somebody else reaped our child: how it ended is not known, so it did not succeed.
        Err(_) => End::Signal(0),
        Ok(status) => match status.code() {
            Some(code) => End::Exit(code),
            None => End::Signal(status.signal().unwrap_or(0)),
        },
    }
}

/// What a program is given to read, on its way.
pub(super) struct Feed(Option<(pipe::Sender, Stdin)>);

impl Feed {
    /// With the program's end of the pipe; `None` where it gets nothing.
    pub(super) fn open(stdin: Stdin) -> io::Result<(Self, Option<OwnedFd>)> {
        if matches!(stdin, Stdin::Closed) {
            return Ok((Self(None), None));
        }
        let (theirs, ours) = io::pipe()?;
        let ours = pipe::Sender::from_owned_fd(ours.into())?;
        Ok((Self(Some((ours, stdin))), Some(theirs.into())))
    }

    pub(super) async fn run(self) {
        let Some((mut pipe, stdin)) = self.0 else { return };
        // A program may end without reading all of it; its exit code says whether that is an error.
        match stdin {
            Stdin::Closed => {}
            Stdin::Bytes(bytes) => _ = pipe.write_all(&bytes).await,
            Stdin::Fed(mut chunks) => {
                while let Some(chunk) = chunks.recv().await {
                    if pipe.write_all(&chunk).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Where the two streams of a program's output go.
pub(super) struct Streams {
    out: Collector,
    err: Collector,
}

impl Streams {
    pub(super) fn open(stdout: Sink, stderr: Sink) -> io::Result<Self> {
        Ok(Self { out: Collector::open(stdout)?, err: Collector::open(stderr)? })
    }

    pub(super) async fn drain(&mut self, out: impl AsyncRead + Unpin, err: impl AsyncRead + Unpin) {
        tokio::join!(self.out.drain(out), self.err.drain(err));
    }

    pub(super) fn finish(self) -> (Captured, Captured) {
        (self.out.finish(), self.err.finish())
    }
}

/// A process group that does not outlive this value. To be dropped as soon as the leader is gone: a group's number is
/// taken as long as it has a member, and might be given to a stranger later.
struct Group(Option<Pid>);

impl Group {
    fn led_by(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests;
