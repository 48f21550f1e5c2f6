//! Where an attack takes place: a directory with all that a server has to lose, sockets and a process of its own, and
//! beside it the work tree and the scratch directory of a run. Nothing is protected by the modes of files or by their
//! owner: the cage alone must hold.
//!
//! A script finds in its environment:
//!
//! | variable | is |
//! | --- | --- |
//! | `SERVER` | the server's directory: `server.key`, `other/main.tf` (another pull request's code), `mirror/`, `git/`, `sock` |
//! | `TREE`, `SCRATCH` | the run's own directories |
//! | `API` | host and port of a service on loopback, which answers any request with a canary |
//! | `API_NAME` | the same by name: `localhost` without a cage, and in one a name that the proxy resolves to loopback |
//! | `STATE` | the same as managed state is reached: in a cage by its name in the proxy |
//! | `BESIDE` | an address of the host's loopback that is not the proxy's, with the same port |
//! | `UDP`, `ABSTRACT` | a datagram socket's port on loopback; the name of an abstract unix socket |
//! | `VICTIM`, `ADDRESS` | a process of the server's, and where in its memory its environment is |
//! | `WORD`, `NAP` | a word to plant or to tell; an argument for `sleep` that nothing else has |
//! | `LINGER` | seconds for which one who took too much stays: none without a cage, and in one until it is surely noticed |

use super::attack::{Proof, Script, Way};
use crate::sandbox::long_sleep;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use terraplane::sandbox::process::{Outcome, Spec};
use terraplane::sandbox::sink::Sink;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};
use tokio::task::JoinSet;

/// What every script says first: an attack that never began proves nothing.
const BEGUN: &str = "the attack has begun";

/// What every script in Python goes on with: `call` makes a system call and raises what it answers; `reach` says the word
/// if the kernel took the call at all, whatever it then thought of its arguments.
pub(super) const PRELUDE: &str = r#"
import ctypes, errno, os, platform, socket, sys, time
E = os.environ
WORD = E["WORD"].encode()
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
def call(number, *args):
    got = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if got < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got
def reach(number, *args):
    try: call(number, *args)
    except OSError as e:
        if e.errno in (errno.EPERM, errno.ENOSYS, errno.EACCES): raise
    print(E["WORD"])
def at(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)
"#;

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How long an arrival, or a death, may take that is not expected.
const ARRIVAL: Duration = Duration::from_millis(100);

/// And one that is.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Scene {
    pub(super) dir: TempDir,
    id: String,
    victim: Child,
    nap: String,
    api: SocketAddr,
    udp: u16,
    heard: Heard,
    /// End with the scene.
    listeners: JoinSet<()>,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let id = uuid::Uuid::now_v7().simple().to_string();
        let nap = long_sleep();
        for path in ["", "server", "server/other", "server/mirror", "server/git", "server/git/hooks", "tree", "scratch"]
        {
            let path = dir.path().join(path);
            fs::create_dir_all(&path).unwrap();
            open_to_all(&path);
        }
        let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = dir.path().join("server");
        let victim = Command::new("/bin/sleep")
            .arg("1000")
            .env_clear()
            .env("WEBHOOK_SECRET", canary("environ", &id))
            .current_dir(&server)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let (api_address, udp_port) = (api.local_addr().unwrap(), udp.local_addr().unwrap().port());
        let (heard, listeners) = (Heard::default(), JoinSet::new());
        let mut scene = Self { dir, id, victim, nap, api: api_address, udp: udp_port, heard, listeners };
        scene.serve_tcp(api);
        let heard = scene.heard.clone();
        scene.listeners.spawn(async move {
            let mut said = [0; 4096];
            while let Ok(length) = udp.recv(&mut said).await {
                note(&heard, &said[..length]);
            }
        });
        scene.listen_on_unix();
        for (name, text) in [
            ("server.key", format!("{}\n", scene.canary("key"))),
            ("other/main.tf", format!("output \"code\" {{\n  value = \"{}\"\n}}\n", scene.canary("code"))),
            ("server.yaml", "listen: 127.0.0.1\n".into()),
            ("mirror/provider", "#!/bin/sh\n".into()),
            ("git/config", "[core]\n".into()),
        ] {
            fs::write(server.join(name), text).unwrap();
            open_to_all(&server.join(name));
        }
        scene
    }

    pub(super) fn server(&self) -> PathBuf {
        self.dir.path().join("server")
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    pub(super) const fn api(&self) -> SocketAddr {
        self.api
    }

    /// The secret of this name, which is somewhere in the scene.
    pub(super) fn canary(&self, name: &str) -> String {
        canary(name, &self.id)
    }

    fn word(&self) -> String {
        canary("word", &self.id)
    }

    /// Another address with the port of the proxy: one who looks at ports alone lets it pass.
    pub(super) async fn listen_beside(&mut self, port: u16) -> SocketAddr {
        // A port of the cage's own network may be taken on the host.
        for last in 2..=u8::MAX {
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)).await {
                let address = listener.local_addr().unwrap();
                self.serve_tcp(listener);
                return address;
            }
        }
        panic!("port {port} is taken at every address");
    }

    /// What a way needs of its surroundings besides what is always there.
    pub(super) fn attend_to(&mut self, way: &Way) {
        if way.knocks {
            self.listeners.spawn(knock(self.heard.clone()));
        }
    }

    fn serve_tcp(&mut self, listener: TcpListener) {
        let (answer, heard) = (self.canary("api"), self.heard.clone());
        self.listeners.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((peer, _)) = listener.accept().await {
                peers.spawn(serve(peer, answer.clone(), heard.clone()));
            }
        });
    }

    fn listen_on_unix(&mut self) {
        let path = self.server().join("sock");
        let stream = UnixListener::bind(&path).unwrap();
        let datagrams = UnixDatagram::bind(path.with_extension("dgram")).unwrap();
        open_to_all(&path);
        open_to_all(&path.with_extension("dgram"));
        let name = std::os::unix::net::SocketAddr::from_abstract_name(self.word()).unwrap();
        let of_name = std::os::unix::net::UnixListener::bind_addr(&name).unwrap();
        of_name.set_nonblocking(true).unwrap();
        for listener in [stream, UnixListener::from_std(of_name).unwrap()] {
            let (answer, heard) = (self.canary("api"), self.heard.clone());
            self.listeners.spawn(async move {
                let mut peers = JoinSet::new();
                while let Ok((peer, _)) = listener.accept().await {
                    peers.spawn(serve(peer, answer.clone(), heard.clone()));
                }
            });
        }
        let heard = self.heard.clone();
        self.listeners.spawn(async move {
            let mut said = [0; 4096];
            while let Ok(length) = datagrams.recv(&mut said).await {
                note(&heard, &said[..length]);
            }
        });
    }

    /// The program, as it is run bare. `names` are those that differ in a cage.
    pub(super) fn spec(&self, way: &Way, names: &[(&str, String)]) -> Spec {
        let (program, args) = match way.script {
            Script::Shell(script) => ("/bin/sh", vec!["-c".to_owned(), format!("echo {BEGUN}\n{script}")]),
            Script::Python(script) => {
                let script = format!("print('{BEGUN}', flush=True)\n{PRELUDE}{script}");
                ("/usr/bin/python3", vec!["-I".to_owned(), "-c".to_owned(), script])
            }
        };
        let mut spec = Spec::new(program, self.tree()).args(args);
        let shown = |path: PathBuf| path.display().to_string();
        let port = self.api.port();
        let mut env = vec![
            ("PATH", PATH.to_owned()),
            ("HOME", shown(self.scratch())),
            ("TMPDIR", shown(self.scratch())),
            ("SERVER", shown(self.server())),
            ("TREE", shown(self.tree())),
            ("SCRATCH", shown(self.scratch())),
            ("API", self.api.to_string()),
            ("API_NAME", format!("localhost:{port}")),
            ("STATE", self.api.to_string()),
            ("BESIDE", self.api.to_string()),
            ("UDP", self.udp.to_string()),
            ("ABSTRACT", self.word()),
            ("VICTIM", self.victim.id().to_string()),
            ("ADDRESS", environment_of(self.victim.id()).to_string()),
            ("WORD", self.word()),
            ("NAP", self.nap.clone()),
            ("LINGER", "0".to_owned()),
        ];
        env.retain(|(name, _)| !names.iter().any(|(known, _)| known == name));
        env.extend_from_slice(names);
        spec.env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        spec.stdout = Sink::Buffer { max: 1 << 20 };
        spec.stderr = Sink::Buffer { max: 1 << 20 };
        spec.deadline = Duration::from_millis(way.deadline);
        spec.grace = Duration::from_millis(200);
        spec
    }

    /// Whether it got what it is after. What is expected is waited for; what is not had its time while the program ran.
    pub(super) async fn succeeded(&mut self, proof: Proof, outcome: &Outcome, expected: bool) -> bool {
        let end = Instant::now() + if expected { PATIENCE } else { ARRIVAL };
        let said = [&outcome.stdout.bytes[..], &outcome.stderr.bytes].concat();
        loop {
            let succeeded = match proof {
                Proof::Says(name) => return holds(&said, &self.canary(name)),
                Proof::Does => return holds(&said, &self.word()),
                Proof::Plants => return stands_below(&self.server(), &self.word()),
                Proof::Outlives => return kill_nappers(&self.nap),
                Proof::Tells => holds(&self.heard.lock().unwrap_or_else(PoisonError::into_inner), &self.word()),
                Proof::Kills => self.victim.try_wait().unwrap().is_some(),
            };
            if succeeded || Instant::now() > end {
                return succeeded;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

pub(super) fn has_begun(outcome: &Outcome) -> bool {
    holds(&outcome.stdout.bytes, BEGUN)
}

fn canary(name: &str, id: &str) -> String {
    format!("canary-{name}-{id}")
}

pub(super) fn open_to_all(path: &Path) {
    let mode = if path.is_dir() { 0o777 } else { 0o666 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// In a file below the directory, or as a file's name.
pub(super) fn stands_below(dir: &Path, word: &str) -> bool {
    fs::read_dir(dir).unwrap().flatten().any(|entry| {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        entry.file_name().to_string_lossy().contains(word)
            || kind.is_dir() && stands_below(&path, word)
            || kind.is_file() && holds(&fs::read(path).unwrap_or_default(), word)
    })
}

/// Where the environment of a process begins in its memory. Who started it may be back before its memory is laid out.
fn environment_of(pid: u32) -> u64 {
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // Field 50 is `env_start`; the third is the first after the name.
        match stat[stat.rfind(')').unwrap() + 2..].split(' ').nth(47).unwrap().parse().unwrap() {
            0 => std::thread::yield_now(),
            address => return address,
        }
    }
}

/// Whether there were any.
fn kill_nappers(nap: &str) -> bool {
    let mut found = false;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).any(|arg| arg == nap.as_bytes())
            && let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse().ok())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            found = true;
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    found
}

/// What was said to any of the scene's sockets.
type Heard = Arc<Mutex<Vec<u8>>>;

fn note(heard: &Heard, said: &[u8]) {
    heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(said);
}

/// Comes in wherever this host listens at all of its addresses, and hears what is said there.
async fn knock(heard: Heard) {
    loop {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
        let ports = tables.iter().flat_map(|table| table.lines()).filter_map(open_to_everybody);
        let answers = futures::future::join_all(ports.map(|port| async move {
            let mut said = [0; 256];
            let came_in = async {
                let mut door = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                door.read(&mut said).await
            };
            let length = tokio::time::timeout(Duration::from_millis(200), came_in).await;
            said[..length.map_or(0, |length| length.unwrap_or(0))].to_vec()
        }));
        answers.await.iter().for_each(|said| note(&heard, said));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The port, if a line of the kernel's table is of a socket that listens at every address.
fn open_to_everybody(line: &str) -> Option<u16> {
    const LISTENS: &str = "0A";
    let mut fields = line.split_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    let listens = fields.nth(1)? == LISTENS && address.bytes().all(|byte| byte == b'0');
    listens.then(|| u16::from_str_radix(port, 16).ok())?
}

/// Hears what is said, and answers as an HTTP server would.
async fn serve(mut peer: impl AsyncRead + AsyncWrite + Unpin, answer: String, heard: Heard) {
    let mut said = [0; 4096];
    while let Ok(length @ 1..) = peer.read(&mut said).await {
        note(&heard, &said[..length]);
        let length = answer.len();
        let text = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{answer}");
        let _ = peer.write_all(text.as_bytes()).await;
    }
}
