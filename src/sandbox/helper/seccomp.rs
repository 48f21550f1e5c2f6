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
    // Memory that is no process' and that nobody who watches processes sees; segments even outlive them.
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

/// As [`libc::SYS_open_tree`]; not in `libc` yet. From the kernel's table for calls that all architectures share.
const OPEN_TREE_ATTR: c_long = 467;

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
    OPEN_TREE_ATTR,
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

/// What changes a file's mode, by its path or by a descriptor.
const MODES: &[c_long] = &[libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchmodat2];

/// What changes whose a file is.
const OWNERS: &[c_long] = &[libc::SYS_fchown, libc::SYS_fchownat];

/// Older forms of these, and of `utimensat`.
#[cfg(target_arch = "x86_64")]
mod older {
    pub(super) const MODES: &[libc::c_long] = &[libc::SYS_chmod];
    pub(super) const OWNERS: &[libc::c_long] = &[libc::SYS_chown, libc::SYS_lchown];
    pub(super) const TIMES: &[libc::c_long] = &[libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat];
}
#[cfg(not(target_arch = "x86_64"))]
mod older {
    pub(super) const MODES: &[libc::c_long] = &[];
    pub(super) const OWNERS: &[libc::c_long] = &[];
    pub(super) const TIMES: &[libc::c_long] = &[];
}

/// What changes the other attributes that a file may have. The last ones are not in `libc` yet: `setxattrat`,
/// `removexattrat` and `file_setattr`.
const ATTRIBUTES: &[c_long] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    463,
    466,
    469,
];

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

/// All processes of a user; from `linux/ioprio.h`.
const IOPRIO_WHO_USER: u64 = 3;

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
    /// `shares_user`: what a program's user may change of files, the server's own are among them.
    pub(super) fn for_cage(level: Level, network: Network, shares_user: bool) -> Result<Self, Trouble> {
        let sockets = if level == Level::Full { in_own_network() } else { on_the_host(network) };
        let mut filters = Self::with(sockets)?;
        if level < Level::Full {
            // The first takes a whole disk faster than anybody who watches it looks; libraries write instead. The others are
            // not known to Landlock.
            filters.answer([&[libc::SYS_fallocate], ATTRIBUTES].concat(), libc::EOPNOTSUPP)?;
        }
        if level == Level::Reduced {
            filters.supervised = Some(supervise(network, shares_user)?);
            if shares_user {
                filters.answer([OWNERS, older::OWNERS, older::TIMES].concat(), libc::EPERM)?;
            }
        }
        Ok(filters)
    }

    /// [`Level::Full`] with the host's network, where nothing else keeps away the host's abstract unix sockets.
    pub(super) fn for_exposed() -> Result<Self, Trouble> {
        let mut filters = Self::with(streams_only(unusual()))?;
        filters.supervised = Some(supervise(Network::Host, false)?);
        Ok(filters)
    }

    pub(super) fn light(network: Network) -> Result<Self, Trouble> {
        let sockets = if program::is_online(network) {
            // Of this host it needs nothing, and as the server's user it would be let in to much.
            let unix = when(&[family(Is::Eq, libc::AF_UNIX)]);
            vec![(libc::SYS_socket, unusual().into_iter().chain([unix]).collect())]
        } else {
            vec![(libc::SYS_socket, vec![])]
        };
        let mut filters = Self::with(sockets)?;
        // Landlock does not know these, and the server's user may own all of the host's files. What asks for them could do
        // without, and would give up if it was told.
        filters.answer([MODES, older::MODES, OWNERS, older::OWNERS, ATTRIBUTES].concat(), 0)?;
        filters.answer([&[libc::SYS_utimensat], older::TIMES].concat(), libc::EPERM)?;
        Ok(filters)
    }

    /// Has these calls fail, or with 0 seem to succeed.
    fn answer(&mut self, calls: Vec<c_long>, error: libc::c_int) -> Result<(), Trouble> {
        let rules = calls.into_iter().map(|call| (call, vec![])).collect();
        self.all.push(compile(rules, SeccompAction::Errno(error.cast_unsigned()))?);
        Ok(())
    }

    fn with(sockets: Rules) -> Result<Self, Trouble> {
        let absent = ABSENT.iter().map(|call| (*call, vec![])).collect();
        let mut refused: Rules = REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, vec![])).collect();
        refused.extend(always());
        refused.extend(on_others());
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
        Ok(listener.map_err(Trouble::at("adding the supervised seccomp filter"))?.flatten())
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
fn always() -> Rules {
    let bit = |flag: libc::c_int| when(&[(0, Width::Qword, Is::MaskedEq(number(flag)), number(flag))]);
    let flags =
        |argument, flag: libc::c_int| when(&[(argument, Width::Dword, Is::MaskedEq(number(flag)), number(flag))]);
    let request = |request: u64| when(&[(1, Width::Dword, Is::Eq, request)]);
    vec![
        (libc::SYS_clone, NAMESPACES.into_iter().map(bit).collect()),
        // Only to ask, and the standard one.
        (libc::SYS_personality, vec![when(&[(0, Width::Dword, Is::Ne, 0), (0, Width::Dword, Is::Ne, 0xffff_ffff)])]),
        (libc::SYS_ioctl, vec![request(libc::TIOCSTI), request(TIOCLINUX)]),
        // TCP fast open connects without connect().
        (libc::SYS_sendto, vec![flags(3, libc::MSG_FASTOPEN)]),
        (libc::SYS_sendmsg, vec![flags(2, libc::MSG_FASTOPEN)]),
        (libc::SYS_sendmmsg, vec![flags(3, libc::MSG_FASTOPEN)]),
    ]
}

/// What changes a process is refused but for the caller itself, which all of these call 0: limits, priorities and
/// processors of any process of the same user could be changed, the server's and the helper's among them. Nothing else
/// stands in the way: Landlock does not know these calls.
fn on_others() -> Rules {
    let not_self = |argument| when(&[(argument, Width::Dword, Is::Ne, 0)]);
    let all_of_user = |all: u64| when(&[(0, Width::Dword, Is::Eq, all)]);
    let mut rules: Rules = [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setscheduler,
    ]
    .map(|call| (call, vec![not_self(0)]))
    .into();
    rules.push((libc::SYS_setpriority, vec![not_self(1), all_of_user(libc::PRIO_USER.into())]));
    rules.push((libc::SYS_ioprio_set, vec![not_self(1), all_of_user(IOPRIO_WHO_USER)]));
    rules
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
        // Whatever is neither a stream nor datagrams: raw, SCTP's, DCCP, and what a later kernel has. By its bits, for no
        // rule can say "none of these".
        rules.push(when(&[internet(), kind(libc::SOCK_RAW)]));
        rules.push(when(&[internet(), kind(0)]));
        rules.extend([4, 8].map(|bit| when(&[internet(), (1, Width::Dword, Is::MaskedEq(bit), bit)])));
        // Whatever is neither TCP nor UDP: SCTP, MPTCP, UDP-Lite, echo requests.
        let other = [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(|usual| protocol(Is::Ne, usual));
        rules.push(when(&[&[internet()][..], &other].concat()));
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
    streams_only(sockets)
}

/// Of unix sockets, what has to be connected: a datagram reaches any address without that, also from one of a pair.
fn streams_only(mut sockets: Vec<SeccompRule>) -> Rules {
    // Old programs ask for datagrams of AF_UNIX as SOCK_RAW.
    let others = [libc::SOCK_DGRAM, libc::SOCK_SEQPACKET, libc::SOCK_RAW];
    sockets.extend(others.map(|other| when(&[family(Is::Eq, libc::AF_UNIX), kind(other)])));
    vec![
        (libc::SYS_socket, sockets),
        (libc::SYS_socketpair, vec![when(&[kind(libc::SOCK_DGRAM)]), when(&[kind(libc::SOCK_RAW)])]),
    ]
}

/// Lets every connect() wait for a supervisor, the making of internet sockets that are for the proxy only, and changes of
/// files that could be the server's.
fn supervise(network: Network, shares_user: bool) -> Result<Vec<sock_filter>, Trouble> {
    let mut calls: Rules = vec![(libc::SYS_connect, vec![])];
    if network == Network::Allow {
        calls.push((libc::SYS_socket, INTERNET.map(|internet| when(&[family(Is::Eq, internet)])).into()));
    }
    if shares_user {
        let changes = MODES.iter().chain(older::MODES).chain(&[libc::SYS_utimensat]);
        calls.extend(changes.map(|call| (*call, vec![])));
    }
    let mut filter = compile(calls, SeccompAction::Trace(PLACEHOLDER))?;
    let mut found = false;
    for line in &mut filter {
        if line.code == RETURN && line.k == libc::SECCOMP_RET_TRACE | PLACEHOLDER {
            line.k = libc::SECCOMP_RET_USER_NOTIF;
            found = true;
        }
    }
    if found { Ok(filter) } else { Err(Trouble::new("compiling the supervised filter", "it supervises nothing")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

    /// What a filter answers, computed as the kernel does it; for the instructions that filters are made of here.
    fn answer(filter: &[sock_filter], call: u32, args: [u64; 6]) -> u32 {
        let mut data = call.to_ne_bytes().to_vec();
        data.extend(AUDIT_ARCH.to_ne_bytes());
        data.extend([0; 8]);
        data.extend(args.iter().flat_map(|arg| arg.to_ne_bytes()));
        let (mut at, mut value) = (0, 0_u32);
        loop {
            let sock_filter { code, jt, jf, k } = filter[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            match code {
                0x20 => value = u32::from_ne_bytes(data[k as usize..k as usize + 4].try_into().unwrap()),
                0x54 => value &= k,
                0x05 => at += k as usize,
                0x15 => at += jump(value == k),
                0x25 => at += jump(value > k),
                0x35 => at += jump(value >= k),
                0x06 => return k,
                other => panic!("an instruction that is not known here: {other:#x}"),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    const AUDIT_ARCH: u32 = 0xc000_003e;
    #[cfg(target_arch = "aarch64")]
    const AUDIT_ARCH: u32 = 0xc000_00b7;

    /// The strictest answer wins.
    fn answers(filters: &Filters, call: i64, args: [u64; 6]) -> u32 {
        let call = u32::try_from(call).unwrap();
        filters.all.iter().map(|filter| answer(filter, call, args)).find(|answer| *answer != ALLOW).unwrap_or(ALLOW)
    }

    fn socket(filters: &Filters, family: i32, kind: i32, protocol: i32) -> u32 {
        answers(filters, libc::SYS_socket, [family as u64, kind as u64, protocol as u64, 0, 0, 0])
    }

    fn every() -> Vec<Filters> {
        let levels = [Level::Full, Level::Reduced, Level::Weak];
        let networks = [Network::None, Network::Allow, Network::Host];
        let cages = levels.iter().flat_map(|level| networks.map(|network| Filters::for_cage(*level, network, true)));
        cages
            .chain([Filters::light(Network::None), Filters::for_exposed()])
            .map(|filters| filters.ok().unwrap())
            .collect()
    }

    #[test]
    fn what_a_filter_does_not_know_does_not_exist() {
        for filters in every() {
            for call in [UNKNOWN.into(), 0x3fff_ffff, 0x4000_0000 + libc::SYS_ptrace, 0x4000_0000 + libc::SYS_mount] {
                assert_eq!(answers(&filters, call, [0; 6]), NO_SUCH_CALL, "{call:#x}");
            }
            assert_eq!(answers(&filters, libc::SYS_getpid, [0; 6]), ALLOW);
        }
    }

    #[test]
    fn no_way_into_another_process_or_namespace_is_left() {
        for filters in every() {
            for call in [libc::SYS_ptrace, libc::SYS_unshare, libc::SYS_mount, libc::SYS_keyctl, libc::SYS_pidfd_getfd]
            {
                assert_eq!(answers(&filters, call, [0; 6]), REFUSE, "{call}");
            }
            assert_eq!(answers(&filters, OPEN_TREE_ATTR, [0; 6]), REFUSE);
            assert_eq!(answers(&filters, libc::SYS_clone3, [0; 6]), NO_SUCH_CALL);
            assert_eq!(answers(&filters, libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]), ALLOW);
            for kind in NAMESPACES {
                assert_eq!(answers(&filters, libc::SYS_clone, [number(kind), 0, 0, 0, 0, 0]), REFUSE, "{kind:#x}");
            }
        }
    }

    #[test]
    fn a_process_changes_its_own_limits_and_nobody_elses() {
        for filters in every() {
            for call in [
                libc::SYS_prlimit64,
                libc::SYS_sched_setaffinity,
                libc::SYS_sched_setattr,
                libc::SYS_sched_setparam,
                libc::SYS_sched_setscheduler,
            ] {
                // The kernel reads 32 bits.
                let asked = [0, 1 << 32, 1, u64::MAX].map(|pid| answers(&filters, call, [pid, 1, 1, 0, 0, 0]));
                assert_eq!(asked, [ALLOW, ALLOW, REFUSE, REFUSE], "{call}");
            }
            for (call, user) in [(libc::SYS_setpriority, 2), (libc::SYS_ioprio_set, 3)] {
                let asked = [[user - 2, 0], [user - 1, 0], [user, 0], [user - 2, 7]];
                let asked = asked.map(|[which, who]| answers(&filters, call, [which, who, 1, 0, 0, 0]));
                assert_eq!(asked, [ALLOW, ALLOW, REFUSE, REFUSE], "{call}");
            }
        }
    }

    #[test]
    fn below_full_space_is_taken_by_writing_only() {
        let no_such_thing = libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32;
        for (level, expected) in [(Level::Full, ALLOW), (Level::Reduced, no_such_thing), (Level::Weak, no_such_thing)] {
            let filters = Filters::for_cage(level, Network::Allow, false).ok().unwrap();
            assert_eq!(answers(&filters, libc::SYS_fallocate, [3, 0, 0, 1, 0, 0]), expected);
        }
    }

    #[test]
    fn the_light_form_changes_nobodys_files_and_reaches_no_socket_of_the_host() {
        for network in [Network::None, Network::Host] {
            let light = Filters::light(network).ok().unwrap();
            for call in [MODES, older::MODES, OWNERS, older::OWNERS, ATTRIBUTES].concat() {
                assert_eq!(answers(&light, call, [0; 6]), libc::SECCOMP_RET_ERRNO, "{call}: done, it says");
            }
            assert_eq!(answers(&light, libc::SYS_utimensat, [0; 6]), REFUSE);
            assert_eq!(socket(&light, libc::AF_UNIX, libc::SOCK_STREAM, 0), REFUSE);
        }
    }

    #[test]
    fn where_abstract_sockets_of_the_host_are_there_each_connection_is_supervised_and_no_datagram_is_sent() {
        let filters = Filters::for_exposed().ok().unwrap();
        for (kind, expected) in [(libc::SOCK_STREAM, ALLOW), (libc::SOCK_DGRAM, REFUSE), (libc::SOCK_RAW, REFUSE)] {
            assert_eq!(socket(&filters, libc::AF_UNIX, kind, 0), expected, "type {kind}");
        }
        let pair = |kind: i32| answers(&filters, libc::SYS_socketpair, [libc::AF_UNIX as u64, kind as u64, 0, 0, 0, 0]);
        assert_eq!([libc::SOCK_STREAM, libc::SOCK_DGRAM].map(pair), [ALLOW, REFUSE]);
        // It has the host's network, and may ask for interfaces.
        assert_eq!(socket(&filters, libc::AF_INET, libc::SOCK_DGRAM, 0), ALLOW);
        assert_eq!(socket(&filters, libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE), ALLOW);
        let supervised = filters.supervised.as_ref().unwrap();
        assert_eq!(answer(supervised, libc::SYS_connect as u32, [0; 6]), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(answer(supervised, libc::SYS_socket as u32, [0; 6]), ALLOW);
    }

    #[test]
    fn of_the_internet_there_are_streams_and_datagrams_and_nothing_else() {
        for filters in [Filters::for_cage(Level::Full, Network::Allow, false), Filters::light(Network::Host)] {
            let filters = filters.ok().unwrap();
            for family in INTERNET {
                for kind in 0..16 {
                    let usual = [libc::SOCK_STREAM, libc::SOCK_DGRAM].contains(&kind);
                    let expected = if usual { ALLOW } else { REFUSE };
                    assert_eq!(socket(&filters, family, kind | libc::SOCK_CLOEXEC, 0), expected, "type {kind}");
                }
                for protocol in [libc::IPPROTO_ICMP, libc::IPPROTO_DCCP, 132, 136, 262] {
                    for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
                        assert_eq!(socket(&filters, family, kind, protocol), REFUSE, "protocol {protocol}");
                    }
                }
                assert_eq!(socket(&filters, family, libc::SOCK_STREAM, libc::IPPROTO_TCP), ALLOW);
                assert_eq!(socket(&filters, family, libc::SOCK_DGRAM, libc::IPPROTO_UDP), ALLOW);
            }
        }
    }

    #[test]
    fn sockets_are_those_that_the_network_allows() {
        let cage = |level, network| Filters::for_cage(level, network, false).ok().unwrap();
        let (stream, datagram) = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK);
        for level in [Level::Reduced, Level::Weak] {
            let (none, allow, host) =
                (cage(level, Network::None), cage(level, Network::Allow), cage(level, Network::Host));
            for family in INTERNET {
                assert_eq!(socket(&none, family, stream, 0), REFUSE);
                assert_eq!([socket(&allow, family, stream, 0), socket(&allow, family, datagram, 0)], [ALLOW, REFUSE]);
                assert_eq!([socket(&host, family, stream, 0), socket(&host, family, datagram, 0)], [ALLOW, ALLOW]);
                assert_eq!(socket(&host, family, stream, 262), REFUSE, "MPTCP");
                assert_eq!(socket(&host, family, libc::SOCK_RAW, 1), REFUSE);
            }
            for filters in [&none, &allow, &host] {
                assert_eq!(
                    [socket(filters, libc::AF_UNIX, stream, 0), socket(filters, libc::AF_UNIX, datagram, 0)],
                    [ALLOW, REFUSE]
                );
                let pair = [libc::AF_UNIX as u64, datagram as u64, 0, 0, 0, 0];
                assert_eq!(answers(filters, libc::SYS_socketpair, pair), REFUSE);
                assert_eq!(socket(filters, libc::AF_VSOCK, stream, 0), REFUSE);
            }
        }
        let light = Filters::light(Network::None).ok().unwrap();
        assert_eq!(socket(&light, libc::AF_UNIX, stream, 0), REFUSE);
    }

    #[test]
    fn changes_of_files_that_could_be_the_servers_wait_for_the_supervisor() {
        for shares_user in [true, false] {
            let filter = supervise(Network::None, shares_user).ok().unwrap();
            let expected = if shares_user { libc::SECCOMP_RET_USER_NOTIF } else { ALLOW };
            for call in [MODES, older::MODES, &[libc::SYS_utimensat]].concat() {
                assert_eq!(answer(&filter, u32::try_from(call).unwrap(), [0; 6]), expected, "{call}");
            }
            let filters = Filters::for_cage(Level::Reduced, Network::None, shares_user).ok().unwrap();
            let expected = if shares_user { REFUSE } else { ALLOW };
            for call in [OWNERS, older::OWNERS, older::TIMES].concat() {
                assert_eq!(answers(&filters, call, [0; 6]), expected, "{call}");
            }
        }
    }

    #[test]
    fn connections_wait_for_the_supervisor_and_so_do_sockets_that_are_for_the_proxy() {
        for (network, internet) in
            [(Network::None, ALLOW), (Network::Allow, libc::SECCOMP_RET_USER_NOTIF), (Network::Host, ALLOW)]
        {
            let filter = supervise(network, false).ok().unwrap();
            let call =
                |call: i64, family: i32| answer(&filter, u32::try_from(call).unwrap(), [family as u64, 1, 0, 0, 0, 0]);
            assert_eq!([call(libc::SYS_connect, 3), call(libc::SYS_sendmsg, 3)], [libc::SECCOMP_RET_USER_NOTIF, ALLOW]);
            assert_eq!(call(libc::SYS_socket, libc::AF_UNIX), ALLOW);
            assert_eq!(INTERNET.map(|family| call(libc::SYS_socket, family)), [internet; 2], "{network:?}");
        }
    }
}
