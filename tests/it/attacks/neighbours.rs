//! One job against another that runs beside it, in a cage of its own.

use super::attack::{Attack, by, test};
use crate::sandbox::{CAGED, Yard};
use std::path::Path;
use std::time::Duration;
use terraplane::sandbox::Level;
use terraplane::sandbox::policy::Network;
use terraplane::sandbox::process::{self, Spec};
use terraplane::sandbox::sink::Sink;
use tokio::sync::mpsc::UnboundedReceiver;

pub(super) const ATTACKS: &[Attack] = &[by(
    52,
    "another job's processes, files, sockets and loopback",
    &[test!("tests/it/attacks/neighbours.rs", "a_job_gets_nothing_of_another_and_cannot_end_it")],
)];

/// It has its secret everywhere where a job may think it its own, and hands it out at its own sockets.
const NEIGHBOUR: &str = r"
import os, socket, sys, threading
secret = os.environ['SECRET'].encode()
def keep(path):
    try: open(path, 'wb').write(secret)
    except OSError: pass
def listen(kind, address):
    s = socket.socket(kind)
    try: s.bind(address)
    except OSError: pass
    s.listen()
    return s
def serve(s):
    while True: s.accept()[0].sendall(secret)
keep('private'); keep('/tmp/' + sys.argv[2])
doors = [listen(socket.AF_UNIX, os.getcwd() + '/door'), listen(socket.AF_INET, ('127.0.0.1', 0))]
os.chmod('door', 0o777)
for door in doors: threading.Thread(target=serve, args=(door,)).start()
print(doors[1].getsockname()[1], flush=True)
os.execvp('sleep', ['sleep', '20']) if os.fork() == 0 else threading.Event().wait()
";

/// Each says the secret, if it gets it.
const WAYS: &[(&str, &str)] = &[
    ("environment", "cat /proc/[0-9]*/environ"),
    ("arguments", "cat /proc/[0-9]*/cmdline"),
    ("files", "cat $OTHER/private"),
    ("files by /proc", "cat /proc/[0-9]*/cwd/private"),
    ("temporary files", "cat /tmp/$NAME"),
    ("loopback", "exec 3<>/dev/tcp/127.0.0.1/$PORT; cat <&3"),
    ("socket", "python3 -Ic \"import os, socket; s = socket.socket(1); s.connect('$OTHER/door'); print(s.recv(99))\""),
];

struct Pair {
    job: Yard,
    neighbour: Yard,
    secret: String,
    /// Of its file in `/tmp`.
    name: String,
}

impl Pair {
    async fn at(level: Level) -> Self {
        Self {
            job: Yard::at(level).await,
            neighbour: Yard::at(level).await,
            secret: format!("canary-{}", uuid::Uuid::now_v7().simple()),
            name: format!("terraplane-test-{}", uuid::Uuid::now_v7().simple()),
        }
    }

    /// The neighbour's program: its secret is also one of its arguments.
    /// Once it is there, it tells the port that it listens at.
    fn beside(&self) -> (Spec, UnboundedReceiver<String>) {
        let args = ["-I", "-c", NEIGHBOUR, &self.secret, &self.name];
        let mut spec = self.neighbour.program("/usr/bin/python3", &args);
        spec.env.push(("SECRET".into(), self.secret.clone()));
        spec.grace = Duration::from_millis(100);
        spec.dir.clone_from(&self.neighbour.scratch);
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        spec.stdout =
            Sink::Each(Box::new(move |said| tell.send(String::from_utf8_lossy(said).trim().to_owned()).unwrap()));
        (spec, told)
    }

    fn attack(&self, script: &str, port: &str) -> Spec {
        let mut spec = self.job.program("/bin/bash", &["-c", script]);
        let set = |name: &str, value: String| (name.to_owned(), value);
        spec.env.extend([
            set("OTHER", self.neighbour.scratch.display().to_string()),
            set("PORT", port.to_owned()),
            set("NAME", self.name.clone()),
        ]);
        spec.deadline = Duration::from_secs(5);
        spec
    }

    /// The neighbour's process, by its argument.
    fn pid(&self) -> String {
        let is_it = |entry: &std::fs::DirEntry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|arg| arg == self.secret.as_bytes())
        };
        let found = std::fs::read_dir("/proc").unwrap().flatten().find(is_it).expect("it lives");
        found.file_name().into_string().unwrap()
    }

    fn limiting(&self) -> Spec {
        self.attack(&format!("prlimit --pid {} --nofile=77:77", self.pid()), "")
    }

    fn is_limited(&self) -> bool {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.pid())).unwrap();
        limits.lines().any(|line| line.starts_with("Max open files") && line.contains(" 77 "))
    }

    fn got_it(&self, outcome: &process::Outcome) -> bool {
        let said = [&outcome.stdout.bytes[..], &outcome.stderr.bytes].concat();
        String::from_utf8_lossy(&said).contains(&self.secret)
    }

    /// The ways that succeed when both are bare.
    async fn bare(&self) -> Vec<&'static str> {
        let (spec, mut told) = self.beside();
        let cancel = spec.cancel.clone();
        let running = tokio::spawn(process::run(spec));
        let port = told.recv().await.unwrap();
        let mut got = Vec::new();
        for (way, script) in WAYS {
            got.extend(self.got_it(&process::run(self.attack(script, &port)).await.unwrap()).then_some(*way));
        }
        process::run(self.limiting()).await.unwrap();
        got.extend(self.is_limited().then_some("its limits"));
        cancel.cancel();
        running.await.unwrap().unwrap();
        let _ = std::fs::remove_file(Path::new("/tmp").join(&self.name));
        got
    }

    async fn caged(&self) -> Vec<&'static str> {
        let open = async |yard: &Yard| {
            let mut policy = yard.policy();
            policy.network = Network::Allow;
            yard.open(policy).await
        };
        let (mut cage, mut neighbours) = (open(&self.job).await, open(&self.neighbour).await);
        let (spec, mut told) = self.beside();
        let cancel = spec.cancel.clone();
        let running = tokio::spawn(async move { (neighbours.run(spec).await, neighbours) });
        let port = told.recv().await.unwrap();
        let mut got = Vec::new();
        for (way, script) in WAYS {
            got.extend(self.got_it(&cage.run(self.attack(script, &port)).await.unwrap()).then_some(*way));
        }
        cage.run(self.limiting()).await.unwrap();
        got.extend(self.is_limited().then_some("its limits"));
        cage.run(self.attack("kill -9 -1", &port)).await.unwrap();
        if running.is_finished() {
            got.push("its end");
        }
        cancel.cancel();
        running.await.unwrap().0.unwrap();
        got
    }
}

#[tokio::test]
async fn a_job_gets_nothing_of_another_and_cannot_end_it() {
    let bare = Pair::at(Level::Full).await.bare().await;
    let all: Vec<&str> = WAYS.iter().map(|(way, _)| *way).chain(["its limits"]).collect();
    assert_eq!(bare, all, "without cages");
    for level in CAGED {
        // What `weak` is labelled for.
        let known: &[&str] = if level == Level::Weak { &["socket"] } else { &[] };
        assert_eq!(Pair::at(level).await.caged().await, known, "{level}");
    }
}
