//! The helper: this binary, started anew to build a cage around itself and to live in it.
//!
//! The server has threads, secrets and a runtime, so it must not fork. It starts `terraplane sandbox-exec` instead, with
//! an empty environment and one socket, and that becomes two processes:
//!
//! - the `monitor` stays outside. It makes the namespaces and the cgroup, watches what can only be seen from outside
//!   (`usage`), and is the second pair of eyes: if the one inside dies, it kills what is left;
//! - the one `inside` builds the `view` (in two parts: see `threshold`), speaks with the server, and starts each program:
//!   forks, takes everything from the fork that the program shall not have (`program`), and lets it become the program.
//!   If the monitor dies, or the server, it kills all and ends.
//!
//! Both have one thread, no runtime and none of the server's data. All unsafe code is in `sys`.

pub(super) mod canary;
mod cgroup;
mod connect;
mod inside;
mod landlock;
mod monitor;
mod processes;
mod program;
mod seccomp;
mod supervised;
mod sys;
mod threshold;
mod usage;
mod view;

pub(super) use cgroup::kill_all_in;
pub(super) use processes::descendants;

use std::ffi::OsStr;
use std::io;
use std::process::ExitCode;

/// The hidden command that makes this binary a helper.
pub const EXEC: &str = "sandbox-exec";

/// Its argument for one that waits and will most likely be asked for a cage of level `full`.
pub(super) const AHEAD: &str = "ahead";

/// The hidden command that makes this binary try to break out.
pub const CANARY: &str = "sandbox-canary";

/// The exit code of a helper that could not do its work. The reason goes over the socket.
const FAILED: u8 = 125;

/// The exit code of a helper whose inner process was killed for want of memory in the cage's cgroup.
pub(super) const OUT_OF_MEMORY: u8 = 124;

/// What a file or directory counts as at least, in bytes: one that is empty takes an entry of the file system all the
/// same, or memory of the kernel, and a million of them are as good as a full disk.
const LEAST_FILE: u64 = 4096;

/// To be called first in `main`, before there are threads: if this process was started as a helper it does its work and
/// ends here; `None` if not.
#[must_use]
pub fn entered() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let command = args.next()?;
    if command == OsStr::new(EXEC) {
        Some(monitor::main(args.next().is_some_and(|arg| arg == OsStr::new(AHEAD))))
    } else if command == OsStr::new(CANARY) {
        Some(canary::main(&args.collect::<Vec<_>>()))
    } else {
        None
    }
}

/// What could not be done, and why.
#[derive(Debug)]
struct Trouble {
    doing: String,
    source: io::Error,
}

impl Trouble {
    fn at<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        |source| Self { doing: doing.into(), source: source.into() }
    }

    fn new(doing: impl Into<String>, why: impl Into<String>) -> Self {
        Self { doing: doing.into(), source: io::Error::other(why.into()) }
    }
}
