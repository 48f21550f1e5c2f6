//! Changes modes and times of files for programs that have the server's own user: Landlock does not know such changes, and
//! that user may make them to all that is the server's. So they are made in the caller's place, to a file that was opened
//! and then looked at, and only where the program may write.

use super::sys::{self, Notification};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

/// The arguments of such a call, in one form.
struct Change {
    /// `AT_FDCWD`, or a descriptor of the caller's.
    dir: i32,
    /// `None`: the descriptor itself is meant.
    path: Option<CString>,
    flags: AtFlags,
    to: To,
}

enum To {
    Mode(Mode),
    Times(Timestamps),
}

/// Makes the change that a call asks for, if that is below one of the directories.
pub(super) fn change(listener: &OwnedFd, call: &Notification, dirs: &[PathBuf]) -> Result<(), Errno> {
    let asked = Change::of(call)?;
    let file = open(call.pid, &asked)?;
    // Otherwise the number may be another process' by now, and so may be what was read and opened.
    if !sys::is_waiting(listener, call.id) {
        return Err(Errno::SRCH);
    }
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let real = std::fs::read_link(&name).map_err(|_| Errno::ACCESS)?;
    if !dirs.iter().any(|dir| real.starts_with(dir)) {
        return Err(Errno::PERM);
    }
    match asked.to {
        // A link has no mode of its own; the name would lead on to where it points.
        To::Mode(_) if is_link(&file)? => Err(Errno::OPNOTSUPP),
        To::Mode(mode) => rustix::fs::chmod(&name, mode),
        To::Times(times) => rustix::fs::utimensat(&file, c"", &times, AtFlags::EMPTY_PATH),
    }
}

impl Change {
    fn of(call: &Notification) -> Result<Self, Errno> {
        let [first, second, third, fourth, ..] = call.args;
        // As the kernel reads them: 32 bits.
        let int = |argument: u64| u32::try_from(argument & 0xffff_ffff).unwrap_or_default();
        let mode = |argument| To::Mode(Mode::from_raw_mode(int(argument) & 0o7777));
        let flags = |argument| AtFlags::from_bits_retain(int(argument));
        let text = |address| sys::read_text(call.pid, address).map(Some).map_err(errno);
        let dir = int(first).cast_signed();
        #[cfg(target_arch = "x86_64")]
        if call.call == libc::SYS_chmod {
            return Ok(Self { dir: libc::AT_FDCWD, path: text(first)?, flags: AtFlags::empty(), to: mode(second) });
        }
        Ok(match call.call {
            libc::SYS_fchmod => Self { dir, path: None, flags: AtFlags::empty(), to: mode(second) },
            libc::SYS_fchmodat => Self { dir, path: text(second)?, flags: AtFlags::empty(), to: mode(third) },
            libc::SYS_fchmodat2 => Self { dir, path: text(second)?, flags: flags(fourth), to: mode(third) },
            libc::SYS_utimensat => Self {
                dir,
                path: if second == 0 { None } else { text(second)? },
                flags: flags(fourth),
                to: To::Times(times(call.pid, third)?),
            },
            _ => return Err(Errno::NOSYS),
        })
    }
}

/// Without an address: now.
fn times(pid: u32, address: u64) -> Result<Timestamps, Errno> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    if address == 0 {
        return Ok(Timestamps { last_access: now, last_modification: now });
    }
    let mut bytes = [0; 32];
    sys::read_memory(pid, address, &mut bytes).map_err(|_| Errno::FAULT)?;
    let number = |at: usize| i64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let time = |at| Timespec { tv_sec: number(at), tv_nsec: number(at + 8) };
    Ok(Timestamps { last_access: time(0), last_modification: time(16) })
}

/// The file that is meant, as the caller would find it. No link of `/proc` is followed: there, this process would see
/// itself.
fn open(pid: u32, asked: &Change) -> Result<OwnedFd, Errno> {
    let base = match asked.dir {
        libc::AT_FDCWD => format!("/proc/{pid}/cwd"),
        descriptor => format!("/proc/{pid}/fd/{descriptor}"),
    };
    let base = || {
        let opened = rustix::fs::open(base, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        opened.map_err(|error| if error == Errno::NOENT { Errno::BADF } else { error })
    };
    let itself = asked.flags.contains(AtFlags::EMPTY_PATH);
    match &asked.path {
        None => base(),
        Some(path) if path.is_empty() && itself => base(),
        Some(path) => {
            let follow =
                if asked.flags.contains(AtFlags::SYMLINK_NOFOLLOW) { OFlags::NOFOLLOW } else { OFlags::empty() };
            let flags = OFlags::PATH | OFlags::CLOEXEC | follow;
            let resolve = ResolveFlags::NO_MAGICLINKS;
            if path.as_bytes().starts_with(b"/") {
                rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), resolve)
            } else {
                rustix::fs::openat2(base()?, path, flags, Mode::empty(), resolve)
            }
        }
    }
}

fn is_link(file: &OwnedFd) -> Result<bool, Errno> {
    let facts = rustix::fs::fstat(file)?;
    Ok(rustix::fs::FileType::from_raw_mode(facts.st_mode).is_symlink())
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::FAULT, Errno::from_raw_os_error)
}
