//! Finds out which level holds on this host: not by what the kernel says it has, but by sending a canary into a cage and
//! looking where it gets out. AppArmor, for example, lets a user namespace be made and then refuses all that it is for.

use super::helper::canary::{Bait, MARK, VICTIM, Way};
use super::helper::{self};
use super::host::{CageError, Finding, Sandbox, Setup};
use super::level::Level;
use super::policy::{Network, Policy};
use super::process::{self, End, Spec};
use super::sink::Sink;
use std::error::Error as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Ways that are open to every bare process, on every host: a canary that does not find them is blind.
const ALWAYS_OPEN: [Way; 8] =
    [Way::File, Way::Environ, Way::Tcp, Way::Udp, Way::UnixSocket, Way::AbstractSocket, Way::Signal, Way::Limits];

/// What `weak` is allowed to leave open; where a kernel's Landlock is new enough, it does not.
const WEAK: [Way; 3] = [Way::UnixSocket, Way::AbstractSocket, Way::Signal];

/// How long the canary may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The best level that holds, and why each better one does not.
pub(super) async fn best(setup: &Setup, candidate: impl Fn(Level) -> Sandbox) -> (Level, Vec<Finding>) {
    let mut findings = Vec::new();
    let levels: Vec<Level> =
        Level::ALL.into_iter().filter(|level| (Level::Weak..=setup.at_most).contains(level)).collect();
    let yard = match Yard::new(setup).await {
        Ok(yard) => yard,
        Err(why) => {
            findings.extend(levels.first().map(|level| finding(*level, why)));
            return (Level::Off, findings);
        }
    };
    for level in levels {
        match yard.send(&candidate(level)).await {
            Ok(ways) => {
                let open: Vec<Way> =
                    ways.into_iter().filter(|way| level > Level::Weak || !WEAK.contains(way)).collect();
                if open.is_empty() {
                    return (level, findings);
                }
                findings.push(finding(level, format!("what runs in it gets out: {}", names(&open))));
            }
            Err(why) => findings.push(finding(level, why)),
        }
    }
    (Level::Off, findings)
}

fn finding(level: Level, why: String) -> Finding {
    let advice = match level {
        Level::Full => {
            "let unprivileged processes create user namespaces: on Ubuntu with an AppArmor profile that has `userns,`; in \
             Docker and Kubernetes with a seccomp profile that allows unshare, clone, mount, umount, umount2, pivot_root, \
             mount_setattr, sethostname and pidfd_getfd"
        }
        Level::Reduced => {
            "use a kernel with Landlock (6.12 or newer for all of it) and seccomp user notification, and let all users pass \
             the directories above the data directory (`chmod o+x`)"
        }
        Level::Weak => {
            "use a kernel with Landlock that knows ports (6.7 or newer) and is switched on (`lsm=landlock,…`)"
        }
        Level::Off => "",
    };
    Finding { level, why, advice: advice.to_owned() }
}

fn names(ways: &[Way]) -> String {
    let name = |way: &Way| match way {
        Way::File => "files",
        Way::Environ => "the environment of other processes",
        Way::Tcp => "TCP",
        Way::Udp => "UDP",
        Way::UnixSocket => "unix sockets",
        Way::AbstractSocket => "abstract unix sockets",
        Way::Signal => "signals",
        Way::Trace => "ptrace",
        Way::Limits => "the limits of other processes",
        Way::UserNamespace => "user namespaces",
        Way::Mount => "mounts",
    };
    ways.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What the canary goes for, and a process that is its victim.
struct Yard {
    dir: TempDir,
    helper: PathBuf,
    bait: Bait,
    udp: UdpSocket,
    tcp: TcpListener,
    // Held open.
    _unix: UnixListener,
    _abstract: UnixListener,
    _victim: Child,
}

impl Yard {
    async fn new(setup: &Setup) -> Result<Self, String> {
        let told =
            |error: io::Error| format!("the canary could not be prepared in `{}`: {error}", setup.work.display());
        let yard = Self::set_up(setup).map_err(told)?;
        let open = yard.send_bare().await?;
        let blind: Vec<Way> = ALWAYS_OPEN.into_iter().filter(|way| !open.contains(way)).collect();
        if blind.is_empty() {
            Ok(yard)
        } else {
            Err(format!("the canary proves nothing: even without a sandbox it does not get to {}", names(&blind)))
        }
    }

    fn set_up(setup: &Setup) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("canary-").tempdir_in(&setup.work)?;
        let open_to = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        // The cage alone must keep it from all this, not the modes of the files.
        open_to(dir.path(), 0o755)?;
        for name in ["tree", "scratch"] {
            fs::create_dir(dir.path().join(name))?;
        }
        let file = dir.path().join("secret");
        fs::write(&file, "canary")?;
        open_to(&file, 0o644)?;
        let unix_socket = dir.path().join("sock");
        let unix = UnixListener::bind(&unix_socket)?;
        open_to(&unix_socket, 0o666)?;
        let abstract_socket = format!("terraplane-canary-{}", uuid::Uuid::now_v7());
        let name = SocketAddr::from_abstract_name(&abstract_socket)?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let victim = victim(&setup.helper)?;
        await_environment(victim.id().unwrap_or_default());
        let bait = Bait {
            file,
            victim: victim.id().unwrap_or_default(),
            tcp: tcp.local_addr()?.port(),
            udp: udp.local_addr()?.port(),
            unix_socket,
            abstract_socket,
            dir: dir.path().join("scratch"),
            bare: false,
        };
        let (_unix, _abstract) = (unix, UnixListener::bind_addr(&name)?);
        Ok(Self { dir, helper: setup.helper.clone(), bait, udp, tcp, _unix, _abstract, _victim: victim })
    }

    fn spec(&self, bare: bool) -> Spec {
        let bait = serde_json::to_string(&Bait { bare, ..self.bait.clone() }).expect("bait is text");
        let mut spec = Spec::new(&self.helper, self.dir.path().join("tree")).args([helper::CANARY, &bait]);
        spec.stdout = Sink::Buffer { max: 4096 };
        spec.deadline = DEADLINE;
        spec
    }

    async fn send_bare(&self) -> Result<Vec<Way>, String> {
        self.judge(process::run(self.spec(true)).await)
    }

    /// The network is `allow` where it makes a difference: then there are sockets.
    async fn send(&self, sandbox: &Sandbox) -> Result<Vec<Way>, String> {
        let mut policy = Policy::new(self.dir.path().join("tree"), self.dir.path().join("scratch"));
        policy.least = Level::Weak;
        policy.read_only = vec![self.helper.clone()];
        policy.network = Network::Allow;
        let mut cage = sandbox.open(policy).await.map_err(|error| match error {
            CageError::Setup { doing, source } => format!("{doing} failed: {source}"),
            other => other.to_string(),
        })?;
        let ended = cage.run(self.spec(false)).await;
        cage.close().await;
        self.judge(ended)
    }

    fn judge(&self, ended: Result<process::Outcome, process::SpawnError>) -> Result<Vec<Way>, String> {
        let outcome = ended
            .map_err(|error| format!("{error}: {}", error.source().map_or_else(String::new, ToString::to_string)))?;
        let said = serde_json::from_slice::<Vec<Way>>(&outcome.stdout.bytes);
        let (End::Exit(0), Ok(mut ways)) = (outcome.end, said) else {
            return Err(format!("the canary did not come back: {:?}", outcome.end));
        };
        if self.udp.recv(&mut [0; 8]).is_ok() {
            ways.push(Way::Udp);
        }
        if self.tcp.accept().is_ok() {
            ways.push(Way::Tcp);
        }
        Ok(ways)
    }
}

/// Who started a process may be back before its memory is laid out. Without an end the canary says what is wrong.
fn await_environment(pid: u32) {
    for _ in 0..500 {
        if fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| !environment.is_empty()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn victim(helper: &Path) -> io::Result<Child> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the victim is the helper, and its environment is empty but for a mark"
    )]
    let mut command = Command::new(helper);
    command.args([helper::CANARY, VICTIM]).env_clear().env(MARK, "x").current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()
}

/// Directories in which a cgroup for a cage can be made, so that memory or the number of processes is bounded in it.
pub(super) fn cgroups() -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let candidates = own.lines().flat_map(|line| candidates(line, &mounts));
    candidates.filter(|dir| bounds_something(dir) && can_make_one(dir)).collect()
}

/// Where the cgroup of a line of `/proc/self/cgroup` is, and for version 2 also the one above: a server that was started
/// as a leaf of what it was given must make its cages beside itself.
fn candidates(line: &str, mounts: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return vec![] };
    let kind = if controllers.is_empty() { "cgroup2" } else { "cgroup" };
    let wanted: Vec<&str> = controllers.split(',').filter(|name| ["memory", "pids"].contains(name)).collect();
    if kind == "cgroup" && wanted.is_empty() {
        return vec![];
    }
    let mount = mounts.lines().find_map(|line| {
        let (place, what) = line.split_once(" - ")?;
        let mut what = what.split(' ');
        let options = (what.next()? == kind).then(|| what.nth(1))??;
        let fits = wanted.iter().all(|name| options.split(',').any(|option| option == *name));
        fits.then(|| place.split(' ').nth(4).map(PathBuf::from))?
    });
    let Some(dir) = mount.map(|mount| mount.join(path.trim_start_matches('/'))) else { return vec![] };
    let above = dir.parent().filter(|_| kind == "cgroup2" && path != "/").map(Path::to_owned);
    [Some(dir), above].into_iter().flatten().collect()
}

fn bounds_something(dir: &Path) -> bool {
    let passed_on = fs::read_to_string(dir.join("cgroup.subtree_control"));
    match passed_on {
        Ok(controllers) => controllers.split_whitespace().any(|name| ["memory", "pids"].contains(&name)),
        Err(_) => {
            dir.join("memory.limit_in_bytes").exists()
                || dir.join("pids.events").exists()
                || dir.join("cgroup.clone_children").exists()
        }
    }
}

fn can_make_one(dir: &Path) -> bool {
    let trial = dir.join(format!("terraplane-trial-{}", std::process::id()));
    fs::create_dir(&trial).is_ok() && fs::remove_dir(&trial).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        30 24 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        31 24 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
        32 24 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_cgroup_is_found_where_its_hierarchy_is_mounted() {
        let dirs = |line| candidates(line, MOUNTS).iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>();
        assert_eq!(dirs("4:memory:/a/b"), ["/sys/fs/cgroup/memory/a/b"]);
        assert_eq!(dirs("3:cpu,cpuacct:/a"), [""; 0]);
        assert_eq!(dirs("0::/sys.slice/x"), ["/sys/fs/cgroup/unified/sys.slice/x", "/sys/fs/cgroup/unified/sys.slice"]);
        assert_eq!(dirs("0::/"), ["/sys/fs/cgroup/unified/"]);
        assert_eq!(dirs("9:pids:/"), [""; 0]);
    }
}
