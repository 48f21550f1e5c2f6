//! Tries to break out, and says where it got through. Run in a cage it must get nowhere; run bare it must succeed, or it
//! would prove nothing.

use super::sys::escape;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Resource, Rlimit, prlimit, test_kill_process};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Ways out of a cage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::sandbox) enum Way {
    /// Reading a file of the server's.
    File,
    /// Reading the environment of a process of the server's.
    Environ,
    /// Judged, as the next one, by what arrives: in a network of its own the port may be somebody else's.
    Tcp,
    Udp,
    UnixSocket,
    AbstractSocket,
    Signal,
    Trace,
    /// Changing the limits of a process of the server's.
    Limits,
    UserNamespace,
    Mount,
}

/// What the canary goes for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Bait {
    pub(in crate::sandbox) file: PathBuf,
    pub(in crate::sandbox) victim: u32,
    pub(in crate::sandbox) tcp: u16,
    pub(in crate::sandbox) udp: u16,
    pub(in crate::sandbox) unix_socket: PathBuf,
    pub(in crate::sandbox) abstract_socket: String,
    /// A directory to mount something at. Nothing is mounted where the host would see it.
    pub(in crate::sandbox) dir: PathBuf,
    pub(in crate::sandbox) bare: bool,
}

/// A variable in the victim's environment.
pub(in crate::sandbox) const MARK: &str = "TERRAPLANE_CANARY";

/// The argument that makes it the victim.
pub(in crate::sandbox) const VICTIM: &str = "victim";

pub(super) fn main(args: &[OsString]) -> ExitCode {
    let Some(arg) = args.first().and_then(|arg| arg.to_str()) else { return ExitCode::FAILURE };
    if arg == VICTIM {
        // Until whoever started it is gone.
        let _ = std::io::stdin().read(&mut [0]);
        return ExitCode::SUCCESS;
    }
    let Ok(bait) = serde_json::from_str::<Bait>(arg) else { return ExitCode::FAILURE };
    match serde_json::to_vec(&ways_out(&bait)).map(|said| std::io::stdout().write_all(&said)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn ways_out(bait: &Bait) -> Vec<Way> {
    let victim = bait.victim.cast_signed();
    let environ = || std::fs::read(format!("/proc/{victim}/environ")).unwrap_or_default();
    let tcp = SocketAddr::from((Ipv4Addr::LOCALHOST, bait.tcp));
    let abstract_socket = || UnixStream::connect_addr(&UnixAddress::from_abstract_name(&bait.abstract_socket)?);
    let udp = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.send_to(b"x", (Ipv4Addr::LOCALHOST, bait.udp));
    let tried = [
        (Way::File, std::fs::read(&bait.file).is_ok()),
        (Way::Environ, environ().windows(MARK.len()).any(|text| text == MARK.as_bytes())),
        (Way::UnixSocket, UnixStream::connect(&bait.unix_socket).is_ok()),
        (Way::AbstractSocket, abstract_socket().is_ok()),
        (Way::Signal, Pid::from_raw(victim).is_some_and(|pid| test_kill_process(pid).is_ok())),
        (Way::Trace, escape::trace(victim).is_ok()),
        (Way::Limits, Pid::from_raw(victim).is_some_and(limits)),
        (Way::UserNamespace, escape::new_namespace(libc::CLONE_NEWUSER).is_ok()),
        (Way::Mount, mounts(bait)),
    ];
    let _ = udp();
    let _ = TcpStream::connect_timeout(&tcp, Duration::from_millis(500));
    tried.into_iter().filter_map(|(way, open)| open.then_some(way)).collect()
}

fn limits(victim: Pid) -> bool {
    prlimit(Some(victim), Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_ok()
}

/// Comes last: it is best tried in the user namespace that was just made.
fn mounts(bait: &Bait) -> bool {
    let apart = escape::new_namespace(libc::CLONE_NEWNS).is_ok();
    (apart || !bait.bare) && mount("tmpfs", &bait.dir, "tmpfs", MountFlags::empty(), None).is_ok()
}
