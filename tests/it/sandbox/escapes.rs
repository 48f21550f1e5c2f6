//! The ways out, tried from inside at every level with every network. The same attempts without a cage must succeed.

use super::{CAGED, Yard, err, helper, out, said};
use serde_json::json;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, Command, Stdio};
use terraplane::sandbox::Level;
use terraplane::sandbox::policy::Network;
use terraplane::sandbox::process::{self, End, Spec};

/// What the canary goes for, held open.
struct Prey {
    bait: serde_json::Value,
    victim: Child,
    udp: UdpSocket,
    tcp: TcpListener,
    _held: (UnixListener, UnixListener),
}

impl Prey {
    fn of(yard: &Yard) -> Self {
        let file = yard.outside().join("secret");
        std::fs::write(&file, "key").unwrap();
        let unix_socket = yard.outside().join("sock");
        let unix = UnixListener::bind(&unix_socket).unwrap();
        std::fs::set_permissions(&unix_socket, std::fs::Permissions::from_mode(0o777)).unwrap();
        let abstract_socket = format!("terraplane-test-{}", yard.outside().display());
        let address = SocketAddr::from_abstract_name(&abstract_socket).unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        udp.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let mut victim = Command::new(helper());
        victim.args(["sandbox-canary", "victim"]).env("TERRAPLANE_CANARY", "x").stdin(Stdio::piped());
        let victim = victim.spawn().unwrap();
        let bait = json!({
            "file": file, "victim": victim.id(), "tcp": tcp.local_addr().unwrap().port(),
            "udp": udp.local_addr().unwrap().port(), "unix_socket": unix_socket, "abstract_socket": abstract_socket,
            "dir": yard.scratch, "bare": false,
        });
        let held = (unix, UnixListener::bind_addr(&address).unwrap());
        Self { bait, victim, udp, tcp, _held: held }
    }

    fn canary(&self, yard: &Yard, bare: bool) -> Spec {
        let mut bait = self.bait.clone();
        bait["bare"] = bare.into();
        yard.program(helper(), &["sandbox-canary", &bait.to_string()])
    }

    fn ways(&self, said: &str) -> Vec<String> {
        let mut ways: Vec<String> = serde_json::from_str(said).unwrap();
        if self.udp.recv(&mut [0; 8]).is_ok() {
            ways.push("udp".to_owned());
        }
        if self.tcp.accept().is_ok() {
            ways.push("tcp".to_owned());
        }
        ways.sort();
        ways
    }
}

impl Drop for Prey {
    fn drop(&mut self) {
        self.victim.kill().unwrap();
        self.victim.wait().unwrap();
    }
}

#[tokio::test]
async fn the_canary_gets_everywhere_without_a_cage_and_nowhere_in_one() {
    for level in CAGED {
        for network in [Network::None, Network::Allow, Network::Host] {
            let yard = Yard::at(level).await;
            let prey = Prey::of(&yard);
            let outcome = process::run(prey.canary(&yard, true)).await.unwrap();
            let bare = prey.ways(&out(&outcome));
            for way in [
                "abstract_socket",
                "environ",
                "file",
                "limits",
                "mount",
                "signal",
                "tcp",
                "trace",
                "udp",
                "unix_socket",
            ] {
                assert!(bare.iter().any(|open| open == way), "bare: {way} is not in {bare:?}");
            }

            let mut policy = yard.policy();
            policy.read_only = vec![helper()];
            policy.network = network;
            let mut cage = yard.open(policy).await;
            let outcome = cage.run(prey.canary(&yard, false)).await.unwrap();
            assert_eq!(outcome.end, End::Exit(0), "{level}: {}", err(&outcome));
            let expected: &[&str] = match (level, network) {
                // The one hole of `weak` that this kernel's Landlock leaves.
                (Level::Weak, Network::Host) => &["tcp", "udp", "unix_socket"],
                (Level::Weak, _) => &["unix_socket"],
                (_, Network::Host) => &["tcp", "udp"],
                _ => &[],
            };
            assert_eq!(prey.ways(&out(&outcome)), expected, "{level} {network:?}");
        }
    }
}

#[tokio::test]
async fn no_capability_is_left_and_none_can_be_had() {
    let yard = Yard::at(Level::Full).await;
    let mut cage = yard.cage().await;
    let text = said(&mut cage, yard.script("cat /proc/self/status")).await;
    for line in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert!(text.contains(&format!("{line}\t0000000000000000")), "{text}");
    }
    assert!(text.contains("NoNewPrivs:\t1") && text.contains("Seccomp:\t2"), "{text}");
    assert!(text.contains("Uid:\t1000\t1000\t1000\t1000") && text.contains("Groups:\t"), "{text}");
}

#[tokio::test]
async fn at_full_only_what_belongs_to_the_cage_can_be_seen() {
    let yard = Yard::at(Level::Full).await;
    std::fs::write(yard.outside().join("secret"), "key").unwrap();
    let mut cage = yard.cage().await;
    let seen = said(&mut cage, yard.script("cd / && echo *; ls /root /home /var/lib 2>&1 | wc -l; hostname")).await;
    let tops: Vec<&str> = seen.lines().next().unwrap().split(' ').collect();
    for top in ["root", "home", "srv", "boot", "sys", "run", "old", "storage"] {
        assert!(!tops.contains(&top), "{tops:?}");
    }
    // All processes in there are those of the cage.
    let pids = said(&mut cage, yard.script("echo /proc/[0-9]*")).await;
    assert!(pids.split(' ').count() <= 3, "{pids}");
    let outside = said(&mut cage, yard.script(&format!("ls {}", yard.outside().display()))).await;
    assert_eq!(outside, "scratch\ntree\n");
}

/// The descriptors of a program in a cage: its three streams, and the directory that is being listed.
#[tokio::test]
async fn no_descriptor_of_the_helper_reaches_a_program() {
    let yard = Yard::at(Level::Full).await;
    let mut cage = yard.cage().await;
    assert_eq!(said(&mut cage, yard.program("/bin/ls", &["/proc/self/fd"])).await, "0\n1\n2\n3\n");
}

#[tokio::test]
async fn the_light_form_has_no_sockets_and_reads_only_what_it_was_given() {
    let yard = Yard::at(Level::Full).await;
    std::fs::write(yard.outside().join("secret"), "key").unwrap();
    let prey = Prey::of(&yard);
    let mut policy = yard.policy();
    policy.read_only = vec![helper()];
    let outcome = yard.sandbox.run_light(&policy, prey.canary(&yard, false)).await.unwrap();
    assert_eq!((outcome.end, outcome.level), (End::Exit(0), Level::Weak), "{}", err(&outcome));
    assert_eq!(prey.ways(&out(&outcome)), [""; 0]);

    // A fetch has the internet, and of this host no socket that trusts its user.
    policy.network = Network::Host;
    let outcome = yard.sandbox.run_light(&policy, prey.canary(&yard, false)).await.unwrap();
    assert_eq!(prey.ways(&out(&outcome)), ["tcp", "udp"]);
    policy.network = Network::None;

    let mut spec = yard.script("cat; echo made > file; cat ../secret; echo no >&2; exit 5");
    spec.stdin = process::Stdin::Bytes(b"given\n".to_vec());
    let outcome = yard.sandbox.run_light(&policy, spec).await.unwrap();
    assert_eq!((outcome.end, out(&outcome)), (End::Exit(5), "given\n".to_owned()));
    assert!(err(&outcome).contains("Permission denied"), "{}", err(&outcome));
    assert_eq!(std::fs::read_to_string(yard.tree.join("file")).unwrap(), "made\n");
    // It says that it was done, for git gives up otherwise.
    let spec = yard.script("umask 022; echo x > own && chmod 777 own && stat -c %a own");
    let outcome = yard.sandbox.run_light(&policy, spec).await.unwrap();
    assert_eq!((outcome.end, out(&outcome)), (End::Exit(0), "644\n".to_owned()), "{}", err(&outcome));
    let missing = yard.sandbox.run_light(&policy, yard.program("/nowhere/git", &[])).await.unwrap_err();
    assert_eq!(missing.source.kind(), std::io::ErrorKind::NotFound);
}
