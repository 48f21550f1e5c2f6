//! Makes `connect()` for programs that have no network of their own to be shut in: looks at where a call goes, and makes
//! it in the caller's place, so that the caller cannot change the address after it was looked at.
//!
//! The call can block for as long as a program wants (a unix socket of its own with a full queue), so each is made by a
//! fork that does nothing else. Abstract unix addresses are refused altogether: this process is outside of the programs'
//! Landlock domain, so its scope would not hold for a call made here.
//!
//! It makes internet sockets too, where they are for the proxy only: bound to loopback, from where the proxy is reached and
//! nothing from elsewhere comes in. With a socket that is bound to nothing, `listen()` alone opens a port at every address
//! of the host, and neither Landlock nor a filter can tell it from the `listen()` of a provider on its unix socket.

use super::program::Fence;
use super::supervised;
use super::sys::{self, Forked, Notification};
use crate::sandbox::policy::Network;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open};
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

/// The longest address that there is, in bytes.
const LONGEST: usize = 128;

/// So many calls may block at a time. Further ones wait until they are looked at.
const BLOCKED: usize = 64;

/// So many refused addresses are remembered.
const REMEMBERED: usize = 20;

pub(super) struct Supervisor {
    /// `None`: all that could call are gone.
    listener: Option<OwnedFd>,
    network: Network,
    proxy: Option<SocketAddr>,
    /// Where unix sockets may be.
    dirs: Vec<PathBuf>,
    /// What the programs see by paths is their own, and this process sees the same.
    has_view: bool,
    refused: BTreeSet<String>,
    /// Those that make a call, and are not buried yet.
    forks: Vec<Pid>,
}

/// Where a unix socket may be that a program names by its path.
#[derive(Clone, Copy)]
enum Places<'d> {
    /// Where the programs see nothing of the host's, and this process sees the same: there need not be a `/proc`, by
    /// which a path could be looked at.
    All,
    Below(&'d [PathBuf]),
}

/// Where a call goes that may be made.
struct Target {
    family: AddressFamily,
    address: Vec<u8>,
    /// Held while the address names it by its number.
    _file: Option<OwnedFd>,
}

impl Supervisor {
    pub(super) fn new(listener: OwnedFd, fence: &Fence) -> Self {
        let policy = &fence.policy;
        let dirs = [&policy.tree, &policy.scratch].into_iter().chain(&policy.writable);
        Self {
            listener: Some(listener),
            network: policy.network,
            proxy: fence.proxy,
            // As the kernel names them, for that is how they will be compared.
            dirs: dirs.filter_map(|dir| std::fs::canonicalize(dir).ok()).collect(),
            has_view: fence.has_view(),
            refused: BTreeSet::new(),
            forks: Vec::new(),
        }
    }

    /// Where the next call comes, if one can be made.
    pub(super) fn listener(&self) -> Option<&OwnedFd> {
        self.listener.as_ref().filter(|_| !self.is_crowded())
    }

    /// Whether it waits for a fork to end. To be told by [`Supervisor::buried`].
    pub(super) const fn is_crowded(&self) -> bool {
        self.forks.len() >= BLOCKED
    }

    pub(super) fn buried(&mut self, fork: Pid) {
        self.forks.retain(|pid| *pid != fork);
    }

    pub(super) fn silenced(self) -> Self {
        Self { listener: None, ..self }
    }

    pub(super) fn into_refused(self) -> Vec<String> {
        self.refused.into_iter().collect()
    }

    /// Answers the next call.
    pub(super) fn attend(&mut self) {
        let Some(listener) = &self.listener else { return };
        // It may have gone since.
        let Ok(call) = sys::receive_notification(listener) else { return };
        let answer = |result: Result<u32, Errno>| sys::answer(listener, call.id, result.map_err(Errno::raw_os_error));
        if call.call == libc::SYS_socket {
            return answer(internet_socket(listener, &call));
        }
        if call.call != libc::SYS_connect {
            return answer(supervised::change(listener, &call, &self.dirs).map(|()| 0));
        }
        let places = if self.has_view { Places::All } else { Places::Below(&self.dirs) };
        let refused = &mut self.refused;
        let error = match target(listener, &call, self.network, self.proxy, places, refused) {
            Err(error) => error,
            Ok(target) => match sys::fork() {
                Ok(Forked::Parent(fork)) => return self.forks.push(fork),
                Ok(Forked::Child) => {
                    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
                    answer(connect(listener, &call, &target, self.network).map(|()| 0));
                    std::process::exit(0)
                }
                Err(_) => Errno::AGAIN,
            },
        };
        answer(Err(error));
    }
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::PERM, Errno::from_raw_os_error)
}

/// The socket that the caller asks for. Only streams come here: all others are refused before.
fn internet_socket(listener: &OwnedFd, call: &Notification) -> Result<u32, Errno> {
    let family = u16::try_from(call.args[0] & 0xffff_ffff).map_err(|_| Errno::AFNOSUPPORT)?;
    let kind = u32::try_from(call.args[1] & 0xffff_ffff).map_err(|_| Errno::INVAL)?;
    let flags = SocketFlags::from_bits_truncate(kind) & (SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
    let ours = stream(AddressFamily::from_raw(family), flags, Network::Allow)?;
    let close_on_exec = flags.contains(SocketFlags::CLOEXEC);
    sys::give_descriptor(listener, call.id, &ours, None, close_on_exec).map_err(errno)
}

fn stream(family: AddressFamily, flags: SocketFlags, network: Network) -> Result<OwnedFd, Errno> {
    let ours = rustix::net::socket_with(family, SocketType::STREAM, flags | SocketFlags::CLOEXEC, None)?;
    let loopback = match family {
        AddressFamily::INET => IpAddr::from(Ipv4Addr::LOCALHOST),
        AddressFamily::INET6 => Ipv6Addr::LOCALHOST.into(),
        _ => return Ok(ours),
    };
    if network != Network::Host {
        sys::choose_port_late(&ours);
        rustix::net::bind(&ours, &SocketAddr::new(loopback, 0))?;
    }
    Ok(ours)
}

fn target(
    listener: &OwnedFd,
    call: &Notification,
    network: Network,
    proxy: Option<SocketAddr>,
    places: Places<'_>,
    refused: &mut BTreeSet<String>,
) -> Result<Target, Errno> {
    let length = usize::try_from(call.args[2]).map_err(|_| Errno::INVAL)?;
    if !(2..=LONGEST).contains(&length) {
        return Err(Errno::INVAL);
    }
    let mut address = vec![0; length];
    sys::read_memory(call.pid, call.args[1], &mut address).map_err(|_| Errno::FAULT)?;
    // Otherwise the number may be another process' by now, and so may the memory.
    if !sys::is_waiting(listener, call.id) {
        return Err(Errno::SRCH);
    }
    let family = AddressFamily::from_raw(u16::from_ne_bytes([address[0], address[1]]));
    match family {
        AddressFamily::UNIX => unix(&address[2..], places),
        AddressFamily::INET | AddressFamily::INET6 => {
            let goal = internet(family, &address).ok_or(Errno::INVAL)?;
            if network == Network::Host || Some(goal) == proxy {
                Ok(Target { family, address, _file: None })
            } else {
                if refused.len() < REMEMBERED {
                    refused.insert(goal.to_string());
                }
                Err(Errno::ACCESS)
            }
        }
        _ => Err(Errno::ACCESS),
    }
}

/// The address as a number, in the form in which it is compared: an IPv4 address in IPv6 clothes is what it is.
fn internet(family: AddressFamily, address: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(address.get(2..4)?.try_into().ok()?);
    let ip: IpAddr = if family == AddressFamily::INET {
        Ipv4Addr::from(<[u8; 4]>::try_from(address.get(4..8)?).ok()?).into()
    } else {
        Ipv6Addr::from(<[u8; 16]>::try_from(address.get(8..24)?).ok()?).into()
    };
    Some(SocketAddr::new(ip, port))
}

/// Opens what the path leads to, looks where that is, and connects to this very thing: a link that is exchanged in between
/// changes nothing.
fn unix(path: &[u8], places: Places<'_>) -> Result<Target, Errno> {
    let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
    if path[..end].first() != Some(&b'/') {
        // Abstract, or relative to a directory that is not ours.
        return Err(Errno::ACCESS);
    }
    let path = [&path[..end], b"\0"].concat();
    let address = |name: &[u8]| [&AddressFamily::UNIX.as_raw().to_ne_bytes(), name].concat();
    let dirs = match places {
        Places::All => return Ok(Target { family: AddressFamily::UNIX, address: address(&path), _file: None }),
        Places::Below(dirs) => dirs,
    };
    let path = CStr::from_bytes_with_nul(&path).map_err(|_| Errno::INVAL)?;
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let real = std::fs::read_link(&name).map_err(|_| Errno::ACCESS)?;
    if !dirs.iter().any(|dir| real.starts_with(dir)) {
        return Err(Errno::ACCESS);
    }
    let name = format!("{name}\0");
    Ok(Target { family: AddressFamily::UNIX, address: address(name.as_bytes()), _file: Some(file) })
}

fn connect(listener: &OwnedFd, call: &Notification, target: &Target, network: Network) -> Result<(), Errno> {
    let number = u32::try_from(call.args[0] & 0xffff_ffff).map_err(|_| Errno::BADF)?.cast_signed();
    match socket_of(call.pid, number) {
        Ok(socket) => sys::connect(socket, &target.address).map_err(errno),
        Err(Errno::BADF) => Err(Errno::BADF),
        // Docker's default profile refuses pidfd_getfd: a socket of our own takes the place of the caller's.
        Err(_) => {
            let flags = flags_of(call.pid, number).ok_or(Errno::BADF)?;
            let ours = stream(target.family, SocketFlags::empty(), network)?;
            sys::connect(&ours, &target.address).map_err(errno)?;
            if flags & OFlags::NONBLOCK.bits() != 0 {
                rustix::io::ioctl_fionbio(&ours, true)?;
            }
            let close_on_exec = flags & OFlags::CLOEXEC.bits() != 0;
            sys::give_descriptor(listener, call.id, &ours, Some(number.cast_unsigned()), close_on_exec)
                .map(drop)
                .map_err(errno)
        }
    }
}

/// A duplicate of another process' socket. The caller may be any thread of it, and all share their descriptors.
fn socket_of(thread: u32, number: i32) -> Result<OwnedFd, Errno> {
    // PIDFD_THREAD; kernels before 6.9 don't know it, and then the caller must be the first thread.
    const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(0o200);
    let pid = Pid::from_raw(thread.cast_signed()).ok_or(Errno::SRCH)?;
    let process =
        pidfd_open(pid, THREAD).or_else(|_| pidfd_open(leader(thread).unwrap_or(pid), PidfdFlags::empty()))?;
    pidfd_getfd(process, number, PidfdGetfdFlags::empty())
}

/// The first thread of a thread's process.
fn leader(thread: u32) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    Pid::from_raw(status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()?)
}

fn flags_of(thread: u32, number: i32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{thread}/fdinfo/{number}")).ok()?;
    u32::from_str_radix(text.lines().find_map(|line| line.strip_prefix("flags:"))?.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn an_address_is_read_as_the_kernel_reads_it() {
        let v4 = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(internet(AddressFamily::INET, &v4), Some("127.0.0.1:8080".parse().unwrap()));
        let mut v6 = [0_u8; 28];
        (v6[2], v6[3], v6[23]) = (0x1f, 0x90, 1);
        assert_eq!(internet(AddressFamily::INET6, &v6), Some("[::1]:8080".parse().unwrap()));
        assert_eq!(internet(AddressFamily::INET, &v4[..6]), None);
    }

    #[test]
    fn an_abstract_or_a_relative_address_leads_nowhere() {
        let dirs = [PathBuf::from("/")];
        for places in [Places::Below(&dirs), Places::All] {
            for path in [&b"\0name"[..], b"sock\0", b""] {
                assert_eq!(unix(path, places).err(), Some(Errno::ACCESS), "{path:?}");
            }
        }
    }

    #[test]
    fn a_link_out_of_the_allowed_directories_is_followed_before_it_is_judged() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dirs = [std::fs::canonicalize(inside.path()).unwrap()];
        let dirs = Places::Below(&dirs);
        let own = inside.path().join("own");
        let _own = std::os::unix::net::UnixListener::bind(&own).unwrap();
        let foreign = outside.path().join("foreign");
        let _foreign = std::os::unix::net::UnixListener::bind(&foreign).unwrap();
        let link = inside.path().join("link");
        std::os::unix::fs::symlink(&foreign, &link).unwrap();
        assert!(unix(own.as_os_str().as_bytes(), dirs).is_ok());
        assert_eq!(unix(link.as_os_str().as_bytes(), dirs).err(), Some(Errno::ACCESS));
    }
}
