//! Mistakes that were made once, found by running the prototype of this sandbox. Two more are tests beside the code: links
//! to unix sockets (`connect.rs`), and numbers of system calls that a filter does not know (`seccomp.rs`).
//!
//! What a shell cannot do is done by this test binary, which runs one of its ignored tests in the cage.

use super::{CAGED, Yard, err, out, said, sandbox_of};
use crate::passable::passable;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socketpair};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use terraplane::sandbox::Level;
use terraplane::sandbox::policy::Network;
use terraplane::sandbox::process::{End, Outcome, Spec};
use terraplane::sandbox::sink::Sink;

/// This test binary, running one of the tests below. It sees `TARGET`.
fn attack(yard: &Yard, name: &str, target: &std::path::Path) -> (Spec, PathBuf) {
    let own = passable(&std::env::current_exe().unwrap());
    let test = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    let mut spec = yard.program(&own, &[&test, "--exact", "--ignored", "--nocapture"]);
    spec.env.push(("TARGET".into(), target.display().to_string()));
    (spec, own)
}

async fn attacked(yard: &Yard, name: &str, target: &std::path::Path, network: Network) -> Outcome {
    let (spec, own) = attack(yard, name, target);
    let mut policy = yard.policy();
    policy.read_only = vec![own];
    policy.network = network;
    yard.open(policy).await.run(spec).await.unwrap()
}

fn target() -> PathBuf {
    std::env::var_os("TARGET").unwrap().into()
}

#[test]
#[ignore = "run in a cage by another test"]
fn datagram_to_a_path() {
    let (one, _other) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::empty(), None).unwrap();
    sendto(one, b"x", SendFlags::empty(), &SocketAddrUnix::new(target()).unwrap()).unwrap();
}

/// A datagram socket of a pair reaches any path without `connect()`.
#[tokio::test]
async fn a_datagram_of_a_pair_does_not_reach_the_hosts_sockets() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let path = yard.outside().join("datagrams");
        let socket = UnixDatagram::bind(&path).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let bare = terraplane::sandbox::process::run(attack(&yard, "datagram_to_a_path", &path).0).await.unwrap();
        assert!(socket.recv(&mut [0; 8]).is_ok(), "{}", err(&bare));
        let outcome = attacked(&yard, "datagram_to_a_path", &path, Network::Allow).await;
        assert!(out(&outcome).contains("running 1 test"), "{}", err(&outcome));
        assert!(socket.recv(&mut [0; 8]).is_err(), "{level}");
    }
}

#[test]
#[ignore = "run in a cage by another test"]
fn providers_sockets() {
    let path = target();
    let listener = UnixListener::bind(&path).unwrap();
    let client = std::thread::spawn(move || {
        use std::io::Read as _;
        let mut text = String::new();
        UnixStream::connect(path).unwrap().read_to_string(&mut text).unwrap();
        text
    });
    use std::io::Write as _;
    listener.accept().unwrap().0.write_all(b"hello from a provider").unwrap();
    println!("{}", client.join().unwrap());
}

/// Terraform talks to its providers by unix sockets in the directory for temporary files. At `reduced` each connection
/// is made by the supervisor, here for a thread that is not the first of its process.
#[tokio::test]
async fn a_program_reaches_the_sockets_of_its_own_cage() {
    for level in CAGED {
        for network in [Network::None, Network::Allow] {
            let yard = Yard::at(level).await;
            let outcome = attacked(&yard, "providers_sockets", &yard.scratch.join("plugin"), network).await;
            assert_eq!(outcome.end, End::Exit(0), "{level}: {}{}", out(&outcome), err(&outcome));
            assert!(out(&outcome).contains("hello from a provider"), "{level}");
        }
    }
}

#[test]
#[ignore = "run in a cage by another test"]
fn connections_that_block() {
    let path = target();
    let _listener = UnixListener::bind(&path).unwrap();
    // More than any queue holds; nobody accepts them.
    let clients: Vec<_> = (0..300)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || UnixStream::connect(path).map(std::mem::forget))
        })
        .collect();
    println!("connecting");
    for client in clients {
        let _ = client.join();
    }
    std::thread::sleep(Duration::from_secs(60));
}

/// A supervisor that connects itself could be held up for ever, and with it the deadline.
#[tokio::test]
async fn a_connection_that_blocks_does_not_hold_up_the_end() {
    let yard = Yard::at(Level::Reduced).await;
    let (mut spec, own) = attack(&yard, "connections_that_block", &yard.scratch.join("full"));
    spec.deadline = Duration::from_secs(1);
    spec.grace = Duration::from_millis(100);
    let mut policy = yard.policy();
    policy.read_only = vec![own];
    let mut cage = yard.open(policy).await;
    let outcome = cage.run(spec).await.unwrap();
    assert_eq!(outcome.end, End::TimedOut, "{}", err(&outcome));
    assert!(outcome.elapsed < Duration::from_secs(6), "{:?}", outcome.elapsed);
    assert_eq!(said(&mut cage, yard.script("echo fine")).await, "fine\n");
}

/// Each call that a timer breaks off would leave behind who makes it.
#[tokio::test]
async fn connections_that_are_broken_off_do_not_pile_up() {
    let yard = Yard::at(Level::Reduced).await;
    let name = yard.outside().join("piling");
    let sandbox = sandbox_of(&name, Level::Reduced, 900_065..900_066).await;
    let mut cage = sandbox.open(yard.policy()).await.unwrap();
    let mut spec = yard.python(
        "import signal, socket, threading\n\
         path = 'full'\n\
         import os; path = os.getcwd() + '/full'\n\
         listener = socket.socket(socket.AF_UNIX); listener.bind(path); listener.listen(0)\n\
         signal.signal(signal.SIGALRM, lambda *_: None)\n\
         signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)\n\
         def once():\n    \
             import ctypes\n    \
             address = b'\\x01\\x00' + path.encode() + b'\\x00'\n    \
             s = socket.socket(socket.AF_UNIX)\n    \
             ctypes.CDLL(None).connect(s.fileno(), address, len(address))\n    \
             return s\n\
         held = [once() for _ in range(3)]\n\
         while True: once()",
    );
    spec.deadline = Duration::from_secs(2);
    spec.grace = Duration::from_millis(100);
    let running = cage.run(spec);
    tokio::pin!(running);
    let mut most = 0;
    let outcome = loop {
        tokio::select! {
            outcome = &mut running => break outcome.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                most = most.max(crate::sandbox::processes_with(name.to_str().unwrap()));
            }
        }
    };
    assert_eq!(outcome.end, End::TimedOut, "{}", err(&outcome));
    assert!((2..70).contains(&most), "{most} processes of the helper");
}

/// With 63 calls that block, another is made at once; with 64 it waits until one of them ends. Meanwhile the files `crowded`
/// and `go` are between the program and the test.
const CROWD: &str = r"
import os, socket, threading, time
def listen(name, backlog):
    s = socket.socket(socket.AF_UNIX); s.bind(os.getcwd() + '/' + name); s.listen(backlog)
    return s
full, free = listen('full', 0), listen('free', 100)
done = []
def connect(name):
    s = socket.socket(socket.AF_UNIX); s.connect(os.getcwd() + '/' + name); done.append((name, s))
def begin(name):
    t = threading.Thread(target=connect, args=(name,)); t.start()
    return t
def among(name): return sum(1 for known, _ in done if known == name)
# One finds room in the queue, the others block.
crowd = [begin('full') for _ in range(64)]
time.sleep(0.5)
early = begin('free'); early.join(10)
print('with', 64 - among('full'), 'waits' if early.is_alive() else 'goes on')
crowd.append(begin('full')); time.sleep(0.5)
late = begin('free'); late.join(1)
print('with', 65 - among('full'), 'waits' if late.is_alive() else 'goes on')
# What is not supervised goes on for this program too.
open('crowded', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
full.accept(); late.join(10)
print('with one less', 'waits' if late.is_alive() else 'goes on')
for _ in range(64): full.accept()
for t in crowd: t.join(10)
print('in the end', among('full'), among('free'))
";

/// The supervisor makes so many calls that block at a time and no more: a program can hold up itself, and nobody else.
#[tokio::test]
async fn the_65th_connection_that_blocks_waits_for_one_of_the_others_and_holds_up_no_other_run() {
    let (yard, other) = (Yard::at(Level::Reduced).await, Yard::at(Level::Reduced).await);
    let mut cage = yard.cage().await;
    let spec = yard.python(CROWD);
    let crowd = tokio::spawn(async move { cage.run(spec).await.unwrap() });
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while !yard.tree.join("crowded").exists() && !crowd.is_finished() {
        assert!(tokio::time::Instant::now() < end, "it never was crowded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let outcome = attacked(&other, "providers_sockets", &other.scratch.join("plugin"), Network::None).await;
    assert!(out(&outcome).contains("hello from a provider"), "{}{}", out(&outcome), err(&outcome));
    std::fs::write(yard.tree.join("go"), "").unwrap();
    let outcome = crowd.await.unwrap();
    assert_eq!(outcome.end, End::Exit(0), "{}{}", out(&outcome), err(&outcome));
    assert_eq!(
        out(&outcome),
        "with 63 goes on\nwith 64 waits\nwith one less goes on\nin the end 65 2\n",
        "{}",
        err(&outcome)
    );
}

#[test]
#[ignore = "run in a cage by another test"]
fn a_link_to_a_socket() {
    let link = PathBuf::from("link");
    std::os::unix::fs::symlink(target(), &link).unwrap();
    UnixStream::connect(std::path::absolute(link).unwrap()).unwrap();
    println!("connected");
}

#[tokio::test]
async fn a_link_in_the_tree_does_not_lead_to_a_socket_of_the_host() {
    for level in [Level::Full, Level::Reduced] {
        let yard = Yard::at(level).await;
        let path = yard.outside().join("sock");
        let _listener = UnixListener::bind(&path).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let outcome = attacked(&yard, "a_link_to_a_socket", &path, Network::Host).await;
        assert!(out(&outcome).contains("running 1 test") && !out(&outcome).contains("connected"), "{level}");
    }
}

/// A parent-death signal follows the thread that forked; in a runtime those come and go.
#[tokio::test]
async fn a_cage_outlives_the_thread_that_opened_it() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let (sandbox, policy) = (yard.sandbox.clone(), yard.policy());
        let runtime = tokio::runtime::Handle::current();
        let opening = std::thread::spawn(move || runtime.block_on(sandbox.open(policy)).unwrap());
        let mut cage = tokio::task::spawn_blocking(move || opening.join().unwrap()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(said(&mut cage, yard.script("echo alive")).await, "alive\n", "{level}");
    }
}

/// Mounts below the one that is shown keep their own flags unless those are set for the whole tree.
#[tokio::test]
async fn the_system_is_read_only_with_all_that_is_mounted_in_it() {
    let yard = Yard::at(Level::Full).await;
    let mut cage = yard.cage().await;
    let mounts = said(&mut cage, yard.script("cat /proc/self/mountinfo")).await;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(4);
        let (place, flags) = (fields.next().unwrap(), fields.next().unwrap());
        let ours = ["/proc", "/tmp"].contains(&place)
            || place.starts_with("/dev/")
            || [&yard.tree, &yard.scratch].iter().any(|dir| place == dir.to_str().unwrap());
        assert!(ours || flags.split(',').any(|flag| flag == "ro"), "{line}");
        assert!(flags.contains("nosuid") || place.starts_with("/dev/"), "{line}");
    }
}

/// Terraform's events say what an apply did, and what it starts has its user.
#[tokio::test]
async fn what_a_program_says_to_us_is_neither_forged_nor_stolen_by_what_it_starts() {
    let python = |script: &str| format!("/usr/bin/python3 -I -c \"{script}\" 2>seen; echo said");
    let forge = python("import os; os.write(os.open('/proc/%d/fd/1' % os.getppid(), os.O_WRONLY), b'forged ')");
    let steal = python("import os; os.read(os.open('/proc/%d/fd/1' % os.getppid(), os.O_RDONLY), 5)");
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        let outcome = cage.run(yard.script(&forge)).await.unwrap();
        // A pipe belongs to whoever made it: to another user than the program's, if the server is root.
        let shown = if rustix::process::geteuid().is_root() { "said\n" } else { "forged said\n" };
        assert_eq!(out(&outcome), shown, "{level}: where it is only shown");

        for script in [&forge, &steal] {
            let heard = Arc::new(Mutex::new(Vec::new()));
            let mut spec = yard.script(script);
            spec.stdout = Sink::Each({
                let heard = Arc::clone(&heard);
                Box::new(move |chunk| heard.lock().unwrap().extend_from_slice(chunk))
            });
            let outcome = cage.run(spec).await.unwrap();
            assert_eq!((outcome.end, outcome.code), (End::Exit(0), Some(0)), "{level}");
            assert_eq!(String::from_utf8(heard.lock().unwrap().clone()).unwrap(), "said\n", "{level}");
        }
    }
}
