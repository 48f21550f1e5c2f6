//! Seccomp: the system calls that the programs may not make, and those that a supervisor makes for them.
//!
//! A list of what is refused, not of what is allowed: terraform's providers are programs of every kind. What is newer
//! than this list is refused as unknown.

use super::{Trouble, program, sys};
use crate::sandbox::level::Level;
use crate::sandbox::policy::Network;
use libc::{c_long, sock_filter};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// From this number on a call is unknown: none that was there when the lists below were written. The numbers are the same
/// on every architecture since 424. It also covers the second set of numbers that x86-64 has from 2^30 on (x32), under
/// which every call could be made a second time.
const UNKNOWN: u32 = 470;

/// Said not to exist, so that libraries fall back on what does.
const ABSENT: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
];

/// Refused on every architecture.
const REFUSED: &[c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_set_mempolicy,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vmsplice,
    libc::SYS_memfd_secret,
];

/// Refused where they exist.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
    libc::SYS_kexec_file_load,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[libc::SYS_lookup_dcookie, libc::SYS_nfsservctl];

const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Pushes a character into a terminal's input; from `asm-generic/ioctls.h`.
const TIOCLINUX: u64 = 0x541c;

/// Any of the low bits of a socket's type; above are flags.
const TYPE: u64 = 0xf;

/// For [`SeccompAction::Trace`], in whose place a notification is put: seccompiler knows none.
const PLACEHOLDER: u32 = 0x1234;
const RETURN: u16 = 0x06;

/// Filters, ready to be added.
pub(super) struct Filters {
    all: Vec<Vec<sock_filter>>,
    /// The one whose calls wait for a supervisor.
    supervised: Option<Vec<sock_filter>>,
}

impl Filters {
    pub(super) fn for_cage(level: Level, network: Network) -> Result<Self, Trouble> {
        let sockets = if level == Level::Full { in_own_network() } else { on_the_host(network) };
        let supervised = (level == Level::Reduced).then(supervise_connect).transpose()?;
        Ok(Self { supervised, ..Self::with(sockets)? })
    }

    pub(super) fn light(network: Network) -> Result<Self, Trouble> {
        let none = vec![(libc::SYS_socket, vec![])];
        Self::with(if program::is_online(network) { in_own_network() } else { none })
    }

    fn with(sockets: Rules) -> Result<Self, Trouble> {
        let absent = ABSENT.iter().map(|call| (*call, vec![])).collect();
        let mut refused: Rules = REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, vec![])).collect();
        refused.extend(always()?);
        refused.extend(sockets);
        let unknown = vec![
            // Load the number; below UNKNOWN go on, otherwise "no such call".
            sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 },
            sock_filter { code: 0x35, jt: 0, jf: 1, k: UNKNOWN },
            sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned() },
            sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
        ];
        let all = vec![
            unknown,
            compile(absent, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()))?,
            compile(refused, SeccompAction::Errno(libc::EPERM.cast_unsigned()))?,
        ];
        Ok(Self { all, supervised: None })
    }

    /// Stand for this process from now on. Returns where supervised calls are to be answered.
    pub(super) fn apply(&self) -> Result<Option<OwnedFd>, Trouble> {
        for filter in &self.all {
            sys::add_filter(filter, false).map_err(Trouble::at("adding a seccomp filter"))?;
        }
        let listener = self.supervised.as_ref().map(|filter| sys::add_filter(filter, true)).transpose();
        Ok(listener.map_err(Trouble::at("adding the seccomp filter for connect()"))?.flatten())
    }
}

/// Calls, and in which forms: none means all.
type Rules = Vec<(c_long, Vec<SeccompRule>)>;

fn architecture() -> Result<TargetArch, Trouble> {
    std::env::consts::ARCH.try_into().map_err(|_| Trouble::new("choosing seccomp filters", "unknown architecture"))
}

fn compile(rules: Rules, action: SeccompAction) -> Result<Vec<sock_filter>, Trouble> {
    let wrong = |error: seccompiler::BackendError| Trouble::new("compiling a seccomp filter", error.to_string());
    let rules: BTreeMap<i64, Vec<SeccompRule>> = rules.into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture()?).map_err(wrong)?;
    let program: BpfProgram = filter.try_into().map_err(wrong)?;
    Ok(program.iter().map(|line| sock_filter { code: line.code, jt: line.jt, jf: line.jf, k: line.k }).collect())
}

fn when(conditions: &[(u8, Width, Is, u64)]) -> SeccompRule {
    let condition = |(argument, width, is, value): &(u8, Width, Is, u64)| {
        SeccompCondition::new(*argument, width.clone(), is.clone(), *value).expect("there are six arguments")
    };
    SeccompRule::new(conditions.iter().map(condition).collect()).expect("there is a condition")
}

fn number(constant: libc::c_int) -> u64 {
    u64::from(constant.cast_unsigned())
}

/// What is refused in some forms.
fn always() -> Result<Rules, Trouble> {
    let bit = |flag: libc::c_int| when(&[(0, Width::Qword, Is::MaskedEq(number(flag)), number(flag))]);
    let flags =
        |argument, flag: libc::c_int| when(&[(argument, Width::Dword, Is::MaskedEq(number(flag)), number(flag))]);
    let request = |request: u64| when(&[(1, Width::Dword, Is::Eq, request)]);
    Ok(vec![
        (libc::SYS_clone, NAMESPACES.into_iter().map(bit).collect()),
        // Only to ask, and the standard one.
        (libc::SYS_personality, vec![when(&[(0, Width::Dword, Is::Ne, 0), (0, Width::Dword, Is::Ne, 0xffff_ffff)])]),
        (libc::SYS_ioctl, vec![request(libc::TIOCSTI as u64), request(TIOCLINUX)]),
        // TCP fast open connects without connect().
        (libc::SYS_sendto, vec![flags(3, libc::MSG_FASTOPEN)]),
        (libc::SYS_sendmsg, vec![flags(2, libc::MSG_FASTOPEN)]),
        (libc::SYS_sendmmsg, vec![flags(3, libc::MSG_FASTOPEN)]),
    ])
}

const INTERNET: [libc::c_int; 2] = [libc::AF_INET, libc::AF_INET6];

fn family(is: Is, family: libc::c_int) -> (u8, Width, Is, u64) {
    (0, Width::Dword, is, number(family))
}

fn kind(kind: libc::c_int) -> (u8, Width, Is, u64) {
    (1, Width::Dword, Is::MaskedEq(TYPE), number(kind))
}

/// Refused wherever sockets are allowed: families and protocols that neither a network namespace nor Landlock know.
fn unusual() -> Vec<SeccompRule> {
    let protocol = |is, protocol: libc::c_int| (2, Width::Dword, is, number(protocol));
    let [unix, v4, v6, netlink] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let other = [unix, v4, v6, netlink].map(|known| family(Is::Ne, known));
    let mut rules = vec![when(&other), when(&[family(Is::Eq, netlink), protocol(Is::Ne, libc::NETLINK_ROUTE)])];
    for internet in INTERNET {
        let internet = || family(Is::Eq, internet);
        rules.push(when(&[internet(), kind(libc::SOCK_RAW)]));
        // MPTCP, SCTP.
        let tcp = protocol(Is::Ne, libc::IPPROTO_TCP);
        rules.push(when(&[internet(), kind(libc::SOCK_STREAM), protocol(Is::Ne, 0), tcp]));
    }
    rules
}

fn in_own_network() -> Rules {
    vec![(libc::SYS_socket, unusual())]
}

/// Where only these rules, Landlock and perhaps a supervisor stand between a program and the host's network.
fn on_the_host(network: Network) -> Rules {
    let mut sockets = unusual();
    if !program::is_online(network) {
        sockets.extend(INTERNET.map(|internet| when(&[family(Is::Eq, internet)])));
    } else if network != Network::Host {
        sockets.extend(INTERNET.map(|internet| when(&[family(Is::Eq, internet), kind(libc::SOCK_DGRAM)])));
    }
    sockets.push(when(&[family(Is::Eq, libc::AF_NETLINK)]));
    // A datagram reaches any path without connect(), also from one of a pair.
    let datagram = || when(&[family(Is::Eq, libc::AF_UNIX), kind(libc::SOCK_DGRAM)]);
    let packets = when(&[family(Is::Eq, libc::AF_UNIX), kind(libc::SOCK_SEQPACKET)]);
    sockets.extend([datagram(), packets]);
    // As old programs ask for datagrams of AF_UNIX.
    sockets.push(when(&[family(Is::Eq, libc::AF_UNIX), kind(libc::SOCK_RAW)]));
    vec![
        (libc::SYS_socket, sockets),
        (libc::SYS_socketpair, vec![when(&[kind(libc::SOCK_DGRAM)]), when(&[kind(libc::SOCK_RAW)])]),
    ]
}

/// Lets every connect() wait for a supervisor.
fn supervise_connect() -> Result<Vec<sock_filter>, Trouble> {
    let mut filter = compile(vec![(libc::SYS_connect, vec![])], SeccompAction::Trace(PLACEHOLDER))?;
    let mut found = false;
    for line in &mut filter {
        if line.code == RETURN && line.k == libc::SECCOMP_RET_TRACE | PLACEHOLDER {
            line.k = libc::SECCOMP_RET_USER_NOTIF;
            found = true;
        }
    }
    if found { Ok(filter) } else { Err(Trouble::new("compiling the filter for connect()", "it supervises nothing")) }
}
