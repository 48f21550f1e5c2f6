//! One job against another that runs beside it, in a cage of its own.

use super::attack::{Attack, by, test};
use crate::sandbox::{CAGED, Yard};
use std::path::Path;
use std::time::Duration;
use terraplane::sandbox::Level;
use terraplane::sandbox::policy::Network;
use terraplane::sandbox::process::{self, Spec};

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
def serve(kind, address):
    try:
        s = socket.socket(kind); s.bind(address); s.listen()
        if kind == socket.AF_UNIX: os.chmod(address, 0o777)
        while True: s.accept()[0].sendall(secret)
    except OSError: pass
keep('private'); keep('/tmp/' + sys.argv[3])
threading.Thread(target=serve, args=(socket.AF_UNIX, os.getcwd() + '/door')).start()
threading.Thread(target=serve, args=(socket.AF_INET, ('127.0.0.1', int(sys.argv[2])))).start()
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
    port: u16,
}

impl Pair {
    async fn at(level: Level) -> Self {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        Self {
            job: Yard::at(level).await,
            neighbour: Yard::at(level).await,
            secret: format!("canary-{}", uuid::Uuid::now_v7().simple()),
            name: format!("terraplane-test-{}", uuid::Uuid::now_v7().simple()),
            port: free.local_addr().unwrap().port(),
        }
    }

    /// The neighbour's program: its secret is also one of its arguments.
    fn beside(&self) -> Spec {
        let port = self.port.to_string();
        let args = ["-I", "-c", NEIGHBOUR, &self.secret, &port, &self.name];
        let mut spec = self.neighbour.program("/usr/bin/python3", &args);
        spec.env.push(("SECRET".into(), self.secret.clone()));
        spec.grace = Duration::from_millis(100);
        spec.dir.clone_from(&self.neighbour.scratch);
        spec
    }

    fn attack(&self, script: &str) -> Spec {
        let mut spec = self.job.program("/bin/bash", &["-c", script]);
        let set = |name: &str, value: String| (name.to_owned(), value);
        spec.env.extend([
            set("OTHER", self.neighbour.scratch.display().to_string()),
            set("PORT", self.port.to_string()),
            set("NAME", self.name.clone()),
        ]);
        spec.deadline = Duration::from_secs(5);
        spec
    }

    fn got_it(&self, outcome: &process::Outcome) -> bool {
        let said = [&outcome.stdout.bytes[..], &outcome.stderr.bytes].concat();
        String::from_utf8_lossy(&said).contains(&self.secret)
    }

    /// The ways that succeed when both are bare.
    async fn bare(&self) -> Vec<&'static str> {
        let spec = self.beside();
        let cancel = spec.cancel.clone();
        let running = tokio::spawn(process::run(spec));
        crate::sandbox::all_there(&self.secret, 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut got = Vec::new();
        for (way, script) in WAYS {
            got.extend(self.got_it(&process::run(self.attack(script)).await.unwrap()).then_some(*way));
        }
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
        let spec = self.beside();
        let cancel = spec.cancel.clone();
        let running = tokio::spawn(async move { (neighbours.run(spec).await, neighbours) });
        crate::sandbox::all_there(&self.secret, 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut got = Vec::new();
        for (way, script) in WAYS {
            got.extend(self.got_it(&cage.run(self.attack(script)).await.unwrap()).then_some(*way));
        }
        cage.run(self.attack("kill -9 -1")).await.unwrap();
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
    let all: Vec<&str> = WAYS.iter().map(|(way, _)| *way).collect();
    assert_eq!(bare, all, "without cages");
    for level in CAGED {
        // What `weak` is labelled for.
        let known: &[&str] = if level == Level::Weak { &["socket"] } else { &[] };
        assert_eq!(Pair::at(level).await.caged().await, known, "{level}");
    }
}
