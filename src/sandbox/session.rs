//! The server's end of an open cage: one socket to the process that lives in it, and the helper that watches over it.

use super::keeper::Keeper;
use super::level::Level;
use super::policy::Limit;
use super::process::{End, Feed, Outcome, SpawnError, Spec, Stdin, Streams};
use super::sink::Sink;
use super::spare::Spare;
use super::users::Lease;
use super::wire::{self, Ask, Inbox, Order, Plan, Say, Status, Step};
use rustix::process::Signal;
use secrecy::ExposeSecret as _;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

/// How long a cage may take to end all that is in it. Longer means that something hangs in the kernel.
pub(super) const DEATH: Duration = Duration::from_secs(10);

/// The cage does not answer as it should; nothing can be run in it any more.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox is broken: {0}")]
pub struct SessionError(#[source] pub(super) io::Error);

#[derive(Debug)]
pub(super) struct Session {
    channel: Channel,
    keeper: Option<Keeper>,
    number: u32,
}

/// The socket.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    inbox: Inbox,
    /// A frame was cut off by a future that was dropped.
    torn: bool,
}

/// Starts this binary anew, with a command of its own. What it is told, and answers, goes over the channel.
pub(super) fn start(
    program: &Path,
    args: &[&str],
    stdout: Stdio,
    stderr: Stdio,
    kill_on_drop: bool,
) -> io::Result<(Child, Channel)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    #[expect(clippy::disallowed_methods, reason = "the helper is part of the one place; its environment is empty")]
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .kill_on_drop(kill_on_drop);
    let child = command.spawn()?;
    Ok((child, Channel { stream: UnixStream::from_std(ours)?, inbox: Inbox::default(), torn: false }))
}

impl Session {
    /// Builds the cage, and returns when it stands; with the listener that its proxy has to serve.
    pub(super) async fn open(
        spare: &Arc<Spare>,
        plan: Plan,
        user: Option<Arc<Lease>>,
    ) -> Result<(Self, Option<OwnedFd>), (String, io::Error)> {
        let starting = |error| ("starting its helper".to_owned(), error);
        let (child, channel) = spare.take().map_err(starting)?;
        let cgroups = plan.cgroups.iter().map(|parent| parent.join(&plan.name)).collect();
        let keeper = Keeper::new(child, cgroups, user, (Arc::clone(spare), plan.level));
        let mut session = Self { channel, keeper: Some(keeper), number: 0 };
        session.channel.send(&Order::Build(plan), &[]).await.map_err(starting)?;
        match session.channel.receive().await.map_err(starting)? {
            Say::Ready { listener } => {
                let listener = listener.then(|| session.channel.inbox.descriptor()).transpose().map_err(starting)?;
                Ok((session, listener))
            }
            Say::Failed { doing, why } => Err((doing, io::Error::other(why))),
            other => Err(starting(unexpected(&other))),
        }
    }

    #[tracing::instrument(
        level = "debug",
        name = "process",
        skip_all,
        fields(
            program = ?spec.program.file_name().unwrap_or_default(),
            command = ?spec.args.first().map(OsString::as_os_str).unwrap_or_default(),
        )
    )]
    pub(super) async fn run(&mut self, spec: Spec, level: Level) -> Result<Outcome, SpawnError> {
        let Spec { program, args, dir, env, secret_env, stdin, stdout, stderr, deadline, grace, cancel } = spec;
        let error = |begun, source| SpawnError { program: program.clone(), dir: dir.clone(), begun, source };
        let (failed, lost) = (|source| error(false, source), |source| error(true, source));
        let started = Instant::now();
        if cancel.is_cancelled() {
            return Ok(Outcome::not_started(End::Cancelled, level));
        }
        let answers_us = matches!(stdout, Sink::Each(_));
        let mut streams = Streams::open(stdout, stderr).map_err(failed)?;
        let plain = env.iter().map(|(name, value)| variable(name, value));
        let secret = secret_env.iter().map(|(name, value)| variable(name, value.expose_secret()));
        self.number += 1;
        let number = self.number;
        let step = Step {
            number,
            program: program.clone(),
            args,
            dir: dir.clone(),
            env: plain.chain(secret).collect(),
            stdin: !matches!(stdin, Stdin::Closed),
        };
        let (feed, theirs) = Feed::open(stdin).map_err(failed)?;
        let (out, their_out) = if answers_us { own_outlet() } else { outlet() }.map_err(failed)?;
        let (err, their_err) = outlet().map_err(failed)?;
        let theirs: Vec<OwnedFd> = theirs.into_iter().chain([their_out, their_err]).collect();
        let borrowed: Vec<BorrowedFd<'_>> = theirs.iter().map(OwnedFd::as_fd).collect();

        let mut running = Running { channel: &mut self.channel, number, over: false };
        running.channel.send(&Ask::Run(step), &borrowed).await.map_err(lost)?;
        drop(borrowed);
        drop(theirs);
        let (ending, said) = {
            let mut reading = pin!(async { tokio::join!(feed.run(), streams.drain(out, err)) });
            let mut life = pin!(running.live(deadline, grace, &cancel));
            let mut drained = false;
            let answer = loop {
                tokio::select! {
                    answer = &mut life => break answer,
                    _ = &mut reading, if !drained => drained = true,
                }
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    // Its inner process may have been the one that the kernel chose for all.
                    let keeper = self.keeper.as_mut().expect("it stays until the session is closed");
                    if !keeper.ran_out_of_memory().await {
                        return Err(lost(error));
                    }
                    let killed = Status::Signal(Signal::KILL.as_raw());
                    let (limit, refused) = (Some(Limit::Memory), Vec::new());
                    (None, Say::Ended { number, status: killed, limit, refused })
                }
            };
            if !drained && tokio::time::timeout(DEATH, &mut reading).await.is_err() {
                return Err(lost(io::Error::other("a process outlived the cage's program with its output")));
            }
            answer
        };
        let (end, code, refused) = match said {
            Say::NotStarted { begun, error: code, doing, .. } => {
                return Err(error(begun, wire::not_started(code, doing)));
            }
            Say::Ended { status, limit, refused, .. } => {
                let code = if let Status::Exit(code) = status { Some(code) } else { None };
                (ending.unwrap_or_else(|| ended(status, limit)), code, refused)
            }
            Say::Failed { doing, why } => return Err(failed(not_built(&doing, &why))),
            other => return Err(lost(unexpected(&other))),
        };
        let (stdout, stderr) = streams.finish();
        Ok(Outcome { end, code, stdout, stderr, elapsed: started.elapsed(), level, refused })
    }

    /// Opens a file in the work tree (0) or in the scratch directory (1).
    pub(super) async fn open_file(&mut self, root: usize, path: &Path) -> Result<io::Result<File>, SessionError> {
        let ask = Ask::Open { root, path: path.to_owned() };
        self.channel.send(&ask, &[]).await.map_err(SessionError)?;
        loop {
            match self.channel.receive().await.map_err(SessionError)? {
                Say::Opened { error: Some(code) } => return Ok(Err(io::Error::from_raw_os_error(code))),
                Say::Opened { error: None } => {
                    return self.channel.inbox.descriptor().map(|file| Ok(file.into())).map_err(SessionError);
                }
                Say::Failed { doing, why } => return Err(SessionError(not_built(&doing, &why))),
                // The last word about a program that nobody waits for any more.
                Say::Ended { .. } | Say::NotStarted { .. } => {}
                other => return Err(SessionError(unexpected(&other))),
            }
        }
    }

    pub(super) async fn close(mut self) {
        if let Some(keeper) = self.keeper.take() {
            drop(self);
            keeper.last_rites().await;
        }
    }
}

impl Drop for Session {
    /// The socket closes with this, and that ends the cage. The user is free once nothing of it lives.
    fn drop(&mut self) {
        if let (Some(keeper), Ok(runtime)) = (self.keeper.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(keeper.last_rites());
        }
    }
}

/// A program at work in the cage. Dropped before its end, it is killed.
struct Running<'s> {
    channel: &'s mut Channel,
    number: u32,
    over: bool,
}

impl Running<'_> {
    /// Waits for the last word; stops the program when it must. The [`End`] is set if it was us who ended it.
    async fn live(
        &mut self,
        deadline: Duration,
        grace: Duration,
        cancel: &tokio_util::sync::CancellationToken,
    ) -> io::Result<(Option<End>, Say)> {
        let end = tokio::select! {
            biased;
            said = self.last_word() => return Ok((None, said?)),
            () = cancel.cancelled() => End::Cancelled,
            () = tokio::time::sleep(deadline) => End::TimedOut,
        };
        self.channel.send(&Ask::Interrupt(self.number), &[]).await?;
        if let Ok(said) = tokio::time::timeout(grace, self.last_word()).await {
            return Ok((Some(end), said?));
        }
        self.channel.send(&Ask::Kill(self.number), &[]).await?;
        let said = tokio::time::timeout(DEATH, self.last_word()).await;
        Ok((Some(end), said.map_err(|_| io::Error::other("its processes don't die"))??))
    }

    async fn last_word(&mut self) -> io::Result<Say> {
        loop {
            let said = self.channel.receive().await?;
            let is_last = match &said {
                Say::Ended { number, .. } | Say::NotStarted { number, .. } => *number == self.number,
                // The cage could not be built to its end.
                Say::Failed { .. } => true,
                Say::Ready { .. } | Say::Opened { .. } => false,
            };
            if is_last {
                self.over = true;
                return Ok(said);
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.channel.send_now(&Ask::Kill(self.number));
        }
    }
}

impl Channel {
    pub(super) async fn send(
        &mut self,
        message: &impl serde::Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        if self.torn {
            return Err(io::Error::other("an earlier request was cut off"));
        }
        let bytes = wire::frame(message)?;
        let mut sent = 0;
        while sent < bytes.len() {
            let with: &[BorrowedFd<'_>] = if sent == 0 { descriptors } else { &[] };
            let stream = &self.stream;
            self.torn = sent > 0;
            sent += stream.async_io(Interest::WRITABLE, || wire::send_some(stream, &bytes[sent..], with)).await?;
        }
        self.torn = false;
        Ok(())
    }

    /// Where nobody can wait: sends what goes at once. A request is far smaller than the socket's buffer.
    fn send_now(&mut self, message: &impl serde::Serialize) {
        if let (false, Ok(bytes)) = (self.torn, wire::frame(message)) {
            self.torn = wire::send_some(&self.stream, &bytes, &[]).ok() != Some(bytes.len());
        }
    }

    /// The next frame. May be dropped at any time.
    pub(super) async fn receive(&mut self) -> io::Result<Say> {
        self.receive_or_end().await?.ok_or_else(|| io::Error::other("its helper is gone"))
    }

    /// `None`: the other side closed the socket.
    pub(super) async fn receive_or_end(&mut self) -> io::Result<Option<Say>> {
        loop {
            if let Some(said) = self.inbox.next()? {
                return Ok(Some(said));
            }
            let (stream, inbox) = (&self.stream, &mut self.inbox);
            match stream.async_io(Interest::READABLE, || inbox.receive(stream)).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                // What was on its way to a helper that died.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

/// What we read, and what the program writes to.
type Outlet = (Box<dyn AsyncRead + Send + Unpin>, OwnedFd);

/// A pipe, as programs expect it.
fn outlet() -> io::Result<Outlet> {
    let (ours, theirs) = io::pipe()?;
    Ok((Box::new(pipe::Receiver::from_owned_fd(ours.into())?), theirs.into()))
}

/// For what the program alone shall say: a pipe can be opened again by every process of its user, through
/// `/proc/PID/fd`, to write into it or to read what we should; a socket can't.
fn own_outlet() -> io::Result<Outlet> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((Box::new(UnixStream::from_std(ours)?), theirs.into()))
}

pub(super) fn variable(name: &str, value: &str) -> OsString {
    format!("{name}={value}").into()
}

fn ended(status: Status, limit: Option<Limit>) -> End {
    match (limit, status) {
        (Some(limit), _) => End::Limit(limit),
        (None, Status::Exit(code)) => End::Exit(code),
        (None, Status::Signal(signal)) => End::Signal(signal),
    }
}

/// What is left to build when the first program is asked for could not be.
fn not_built(doing: &str, why: &str) -> io::Error {
    io::Error::other(format!("the sandbox could not be built: {doing}: {why}"))
}

fn unexpected(said: &Say) -> io::Error {
    io::Error::other(format!("unexpected answer {said:?}"))
}
