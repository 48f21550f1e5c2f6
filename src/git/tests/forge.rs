//! A forge for the tests of git: real repositories behind git's own smart HTTP, which asks for a password, counts its
//! requests, and looks at every process of the machine for its token while it answers.

use crate::domain::id::{Branch, RepoName, Sha};
use crate::git::{Access, Git, Mirrors};
use crate::sandbox::process::{self, Spec, Stdin, find_program};
use crate::sandbox::redact::base64;
use crate::sandbox::sink::Sink;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

pub(super) const TOKEN: &str = "ghs_R3dSecretTokenOfTheTests";

/// What the forge does instead of answering well.
#[derive(Debug, Clone, Default)]
pub(super) enum Mood {
    #[default]
    Well,
    Fails(u16),
    /// Refuses, and repeats in its text what it was sent.
    Echoes,
    Redirects(String),
    Hangs,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    pub requests: Vec<String>,
    /// Command lines with the token in them.
    pub leaks: Vec<String>,
    /// Command lines of git processes that talk to the network.
    pub talking: Vec<String>,
    pub mood: Mood,
}

pub(super) struct Forge {
    pub dir: TempDir,
    pub seen: Arc<Mutex<Seen>>,
    address: std::net::SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A file of a commit.
pub(super) enum File<'a> {
    Text(&'a str),
    Link(&'a str),
    Submodule,
    Gone,
}

/// The first git on the PATH, as for the server: so one can choose with which version the tests run.
pub(super) fn git_program() -> PathBuf {
    find_program(Path::new("git"), &std::env::var_os("PATH").unwrap_or_default()).expect("git is installed")
}

pub(super) fn repo() -> RepoName {
    "forge.test/acme/infra".parse().unwrap()
}

pub(super) fn branch(name: &str) -> Branch {
    name.parse().unwrap()
}

impl Forge {
    /// A forge with the empty repository `acme/infra`.
    pub(super) async fn start() -> Self {
        Self::start_with("sha1").await
    }

    pub(super) async fn start_with(object_format: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = (dir.path().join("repos"), Arc::clone(&seen));
        let app = axum::Router::new().fallback(answer).with_state(state);
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let forge = Self { dir, seen, address, server };
        let format = format!("--object-format={object_format}");
        forge.git(&["init", "--quiet", "--bare", "--template=", &format, "."], "").await;
        forge
    }

    pub(super) fn access(&self) -> Access {
        let url = format!("http://{}/acme/infra.git", self.address);
        Access { url: url.parse().unwrap(), username: "x-access-token".into(), token: Some(TOKEN.into()) }
    }

    /// Mirrors as a freshly started server has them; two calls share the directory.
    pub(super) fn mirrors(&self) -> Mirrors {
        self.mirrors_with(git_program())
    }

    pub(super) fn mirrors_with(&self, program: PathBuf) -> Mirrors {
        let git = Git::new(program, self.dir.path().join("scratch"), vec![], crate::sandbox::Sandbox::off()).unwrap();
        Mirrors::new(git, self.dir.path().join("mirrors"))
    }

    /// The directory of the only mirror.
    pub(super) fn mirror_dir(&self) -> PathBuf {
        let dirs = std::fs::read_dir(self.dir.path().join("mirrors")).unwrap();
        let mut dirs: Vec<_> = dirs.map(|dir| dir.unwrap().path()).collect();
        assert_eq!(dirs.len(), 1, "{dirs:?}");
        dirs.remove(0)
    }

    pub(super) fn set(&self, mood: Mood) {
        self.seen.lock().unwrap().mood = mood;
    }

    /// How many network fetches there were since the last call.
    pub(super) fn fetches(&self) -> usize {
        let requests = std::mem::take(&mut self.seen.lock().unwrap().requests);
        requests.iter().filter(|request| request.contains("/info/refs")).count()
    }

    /// Sets `branch` to a new commit with these files on top of those of `parent`.
    pub(super) async fn commit(&self, branch: &str, parent: Option<&Sha>, files: &[(&str, File<'_>)]) -> Sha {
        let mut stream = format!("commit refs/heads/{branch}\ncommitter Ana <ana@test> 1700000000 +0000\ndata 1\n.\n");
        if let Some(parent) = parent {
            let _ = writeln!(stream, "from {parent}");
        }
        for (path, file) in files {
            let quoted = serde_json::Value::from(*path).to_string();
            let mut add = |mode: &str, text: &str| {
                let _ = write!(stream, "M {mode} inline {quoted}\ndata {}\n{text}\n", text.len());
            };
            match file {
                File::Text(text) => add("100644", text),
                File::Link(target) => add("120000", target),
                File::Submodule => _ = writeln!(stream, "M 160000 {} {quoted}", "1".repeat(40)),
                File::Gone => _ = writeln!(stream, "D {quoted}"),
            }
        }
        self.git(&["fast-import", "--quiet", "--force"], &stream).await;
        self.git(&["rev-parse", &format!("refs/heads/{branch}")], "").await.trim().parse().unwrap()
    }

    pub(super) async fn git(&self, args: &[&str], input: &str) -> String {
        let dir = self.dir.path().join("repos/acme/infra.git");
        std::fs::create_dir_all(&dir).unwrap();
        let mut spec = Spec::new(git_program(), dir).args(args);
        spec.env = vec![("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()), ("GIT_CONFIG_NOSYSTEM".into(), "1".into())];
        spec.stdin = Stdin::Bytes(input.into());
        spec.stdout = Sink::Buffer { max: 100_000 };
        spec.stderr = Sink::Buffer { max: 10_000 };
        let outcome = process::run(spec).await.unwrap();
        assert!(outcome.end.success(), "{args:?}: {}", String::from_utf8_lossy(&outcome.stderr.bytes));
        String::from_utf8(outcome.stdout.bytes).unwrap()
    }
}

/// A git that writes each command line and the names in its environment to a file before it does its work.
pub(super) fn recording_git(dir: &Path) -> (PathBuf, PathBuf) {
    let (program, record) = (dir.join("git-recorder"), dir.join("record"));
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"argv: $*\" >> '{0}'\nenv | sed 's/^/env: /' >> '{0}'\nexec '{1}' \"$@\"\n",
        record.display(),
        git_program().display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
    (program, record)
}

pub(super) fn basic(token: &str) -> String {
    base64(format!("x-access-token:{token}").as_bytes())
}

async fn answer(
    State((root, seen)): State<(PathBuf, Arc<Mutex<Seen>>)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mood = {
        let mut seen = seen.lock().unwrap();
        seen.requests.push(format!("{method} {uri}"));
        for line in command_lines() {
            if line.contains(TOKEN) || line.contains(&basic(TOKEN)) {
                seen.leaks.push(line.clone());
            }
            if line.contains("remote-http") && line.contains("/acme/infra.git") {
                seen.talking.push(line);
            }
        }
        seen.mood.clone()
    };
    match mood {
        Mood::Well => {}
        Mood::Fails(code) => return StatusCode::from_u16(code).unwrap().into_response(),
        Mood::Echoes => {
            let text = format!("go away with {authorization} and {TOKEN}");
            return (StatusCode::FORBIDDEN, [("content-type", "text/plain; charset=utf-8")], text).into_response();
        }
        Mood::Hangs => std::future::pending().await,
        Mood::Redirects(to) => return (StatusCode::FOUND, [("location", to)]).into_response(),
    }
    if authorization != format!("Basic {}", basic(TOKEN)) {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"forge\"")]).into_response();
    }
    backend(&root, &method, &uri, &headers, body).await
}

/// One request through git's own CGI program.
async fn backend(root: &Path, method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let mut spec = Spec::new(git_program(), root).args(["http-backend"]);
    spec.env = [
        ("GIT_PROJECT_ROOT", root.display().to_string()),
        ("GIT_HTTP_EXPORT_ALL", "1".into()),
        ("PATH_INFO", uri.path().into()),
        ("QUERY_STRING", uri.query().unwrap_or_default().into()),
        ("REQUEST_METHOD", method.to_string()),
        ("CONTENT_TYPE", header("content-type")),
        ("HTTP_CONTENT_ENCODING", header("content-encoding")),
        ("GIT_PROTOCOL", header("git-protocol")),
        ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    spec.stdin = Stdin::Bytes(body.into());
    spec.stdout = Sink::Buffer { max: 100_000_000 };
    let answer = process::run(spec).await.unwrap().stdout.bytes;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len() - 4);
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&answer[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(answer[end + 4..].to_vec())).unwrap()
}

fn command_lines() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}
