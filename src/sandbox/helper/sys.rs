//! The system calls that no safe wrapper exists for. All unsafe code of the project stands in this file.
//!
//! Everything here runs in the helper, which has one thread from its start to its end. So a fork copies a whole program,
//! and there is no other thread whose lock could stay taken in the copy.
#![expect(unsafe_code, reason = "system calls; each block says why it is sound")]

use libc::{c_int, c_long, c_ulong, sock_filter};
use rustix::process::Pid;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;

/// Which of two processes this is.
pub(super) enum Forked {
    Child,
    Parent(Pid),
}

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

pub(super) fn fork() -> io::Result<Forked> {
    clone(0)
}

/// Forks into new namespaces (`CLONE_NEW*`).
pub(super) fn clone(namespaces: c_int) -> io::Result<Forked> {
    let flags = c_long::from(namespaces | libc::SIGCHLD);
    // SAFETY: without CLONE_VM this is a fork; the stack is copied with everything else, and all other arguments are
    // null, so that their order, which differs between architectures, does not matter. There is one thread.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    let pid = Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?);
    Ok(pid.map_or(Forked::Child, Forked::Parent))
}

/// Closes every descriptor from this number on.
pub(super) fn close_from(first: u32) {
    // SAFETY: called first of all, when no value owns a descriptor above the standard three.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Becomes the program; returns only if it cannot.
pub(super) fn exec(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>();
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both arrays end with a null pointer, and their texts live until the call returns, if it does.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Rust ignores SIGPIPE, and whoever started the server may have ignored more: a script the interrupt of what it starts in
/// the background, Python that of a file that grows too large. What is ignored stays so in the program that comes next, and
/// a shell can't even listen for it.
pub(super) fn default_signals() {
    // SAFETY: SIG_DFL is no handler of ours; the set is initialised before it is used.
    unsafe {
        // All but those of real time; of the two that can't be changed, nothing changes.
        for signal in 1..=31 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Kills all that this process may kill, but itself: in a process namespace all that is in it, and with a user of its
/// own all that this user has.
pub(super) fn kill_all_others() {
    // SAFETY: plain numbers.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// What a mount can be forbidden. Added to a whole tree of mounts at once: a classic remount would have to repeat flags
/// that are locked, and a recursive bind mount would leave its inner mounts writable.
pub(super) mod attribute {
    pub(in super::super) const READ_ONLY: u64 = 1;
    pub(in super::super) const NO_SUID: u64 = 2;
    pub(in super::super) const NO_DEV: u64 = 4;
}

pub(super) fn add_mount_attributes(path: &CStr, attributes: u64, recursive: bool) -> io::Result<()> {
    let request = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path ends with a zero, and the size is that of the structure pointed to.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const request,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop)
}

/// Brings up the loopback interface of a new network namespace.
pub(super) fn raise_loopback() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: a structure of numbers and arrays of them; all zero is a value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, letter) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *place = libc::c_char::from_ne_bytes([*letter]);
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, and this is one.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }.into()).map(drop)
}

/// Adds a seccomp filter to this process; with `listen`, returns where its notifications come. A call that was looked at is
/// then broken off by the caller's death only, with kernels that can (5.19): otherwise a caller with a timer could leave
/// one call after the other unfinished.
pub(super) fn add_filter(filter: &[sock_filter], listen: bool) -> io::Result<Option<OwnedFd>> {
    let length = u16::try_from(filter.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    let add = |flags: c_ulong| {
        // SAFETY: the kernel copies `len` instructions, which is how many there are, and does not write to them.
        check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) })
    };
    let listening = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let result = match listen {
        false => add(0)?,
        true => match add(listening | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => add(listening)?,
            other => other?,
        },
    };
    let descriptor = c_int::try_from(result).map_err(io::Error::other)?;
    // SAFETY: with NEW_LISTENER the result is a descriptor that was made for us.
    Ok(listen.then(|| unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

/// A system call of a program that waits for an answer.
pub(super) struct Notification {
    pub(super) id: u64,
    pub(super) pid: u32,
    /// Its number.
    pub(super) call: c_long,
    pub(super) args: [u64; 6],
}

// The same on every architecture that Terraplane is built for.
const NOTIFICATION_RECEIVE: c_ulong = 0xc050_2100;
const NOTIFICATION_SEND: c_ulong = 0xc018_2101;
const NOTIFICATION_VALID: c_ulong = 0x4008_2102;
const NOTIFICATION_ADD_DESCRIPTOR: c_ulong = 0x4018_2103;

pub(super) fn receive_notification(listener: impl AsFd) -> io::Result<Notification> {
    // SAFETY: a structure of numbers, which the kernel wants zeroed; the request writes one of it.
    let notification = unsafe {
        let mut notification: libc::seccomp_notif = std::mem::zeroed();
        let listener = listener.as_fd().as_raw_fd();
        check(libc::ioctl(listener, NOTIFICATION_RECEIVE as _, &raw mut notification).into())?;
        notification
    };
    let call = c_long::from(notification.data.nr);
    Ok(Notification { id: notification.id, pid: notification.pid, call, args: notification.data.args })
}

/// Whether the program still waits. To be asked after anything of it was looked at by its number.
pub(super) fn is_waiting(listener: impl AsFd, id: u64) -> bool {
    // SAFETY: the request reads a number, and this is one.
    unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), NOTIFICATION_VALID as _, &raw const id) == 0 }
}

/// Lets the call return a number, or fail with an error number.
pub(super) fn answer(listener: impl AsFd, id: u64, result: Result<u32, i32>) {
    let (val, error) = result.map_or_else(|error| (0, -error), |value| (value.into(), 0));
    let answer = libc::seccomp_notif_resp { id, val, error, flags: 0 };
    // SAFETY: the request reads the structure. It fails if the program is gone, which is fine.
    unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), NOTIFICATION_SEND as _, &raw const answer) };
}

/// Gives a descriptor of ours to the waiting program: in the place of one of its own, or as a new one. Its number there.
pub(super) fn give_descriptor(
    listener: impl AsFd,
    id: u64,
    ours: impl AsFd,
    theirs: Option<u32>,
    close_on_exec: bool,
) -> io::Result<u32> {
    let request = libc::seccomp_notif_addfd {
        id,
        flags: if theirs.is_some() { libc::SECCOMP_ADDFD_FLAG_SETFD as u32 } else { 0 },
        srcfd: ours.as_fd().as_raw_fd().cast_unsigned(),
        newfd: theirs.unwrap_or(0),
        newfd_flags: if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
    };
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the request reads the structure.
    let number = check(unsafe { libc::ioctl(listener, NOTIFICATION_ADD_DESCRIPTOR as _, &raw const request) }.into())?;
    u32::try_from(number).map_err(io::Error::other)
}

/// Has a socket that is bound to an address choose its port only when it needs one: there are few.
pub(super) fn choose_port_late(socket: impl AsFd) {
    let on: c_int = 1;
    let (socket, size) = (socket.as_fd().as_raw_fd(), size_of::<c_int>() as libc::socklen_t);
    // SAFETY: the kernel reads a number of that size. Without this it works as well.
    unsafe {
        libc::setsockopt(socket, libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, (&raw const on).cast(), size);
    }
}

/// Copies another process' memory.
pub(super) fn read_memory(pid: u32, address: u64, into: &mut [u8]) -> io::Result<()> {
    let ours = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let theirs = libc::iovec { iov_base: address as *mut _, iov_len: into.len() };
    let pid = pid.cast_signed();
    // SAFETY: our side is a slice that may be written to; the other's address is checked by the kernel.
    let read = check(unsafe { libc::process_vm_readv(pid, &raw const ours, 1, &raw const theirs, 1, 0) } as c_long)?;
    if read == into.len() as c_long { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EFAULT)) }
}

/// Copies a text that ends with a zero from another process' memory, which may end with any page; without the zero.
pub(super) fn read_text(pid: u32, mut address: u64) -> io::Result<CString> {
    const PAGE: u64 = 4096;
    let mut text = Vec::new();
    while text.len() <= libc::PATH_MAX as usize {
        let mut chunk = vec![0; usize::try_from(PAGE - address % PAGE).map_err(io::Error::other)?];
        read_memory(pid, address, &mut chunk)?;
        address += chunk.len() as u64;
        let end = chunk.iter().position(|byte| *byte == 0);
        text.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
        if end.is_some() {
            return CString::new(text).map_err(io::Error::other);
        }
    }
    Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
}

/// Connects to an address in the kernel's form.
pub(super) fn connect(socket: impl AsFd, address: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(address.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel copies that many bytes and checks what they say.
    check(unsafe { libc::connect(socket.as_fd().as_raw_fd(), address.as_ptr().cast(), length) }.into()).map(drop)
}

/// For the canary: the ways out that only a system call tries.
pub(super) mod escape {
    use super::{c_int, check, io};

    pub(in super::super) fn trace(pid: i32) -> io::Result<()> {
        // SAFETY: PTRACE_SEIZE takes numbers only. Tracing ends with this process.
        check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) }).map(drop)
    }

    pub(in super::super) fn new_namespace(kind: c_int) -> io::Result<()> {
        // SAFETY: this process has one thread and shares nothing that the kinds asked for here would tear apart.
        check(unsafe { libc::unshare(kind) }.into()).map(drop)
    }
}
