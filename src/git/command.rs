//! How git is started: an environment built from nothing, in which nothing that a repository says can run a program,
//! and in which the token reaches one process tree only, by its environment.
//!
//! The token travels as a `http.<address>.extraHeader` setting in `GIT_CONFIG_*` variables. Compared with a credential
//! helper this spares one refused request and one shell per fetch. Redirects are not followed, so that the header goes
//! to the configured host and to no other.
//!
//! Needs git 2.38, which brought `merge-tree --write-tree`, and nothing newer: Debian 12 has 2.39. So not `fetch
//! --porcelain` (2.41), `merge-tree --merge-base` (2.40), `cat-file -Z` (2.42), nor options within the input of
//! `rev-list --stdin` (2.42).

use super::error::GitError;
use crate::sandbox::policy::{Network, Policy};
use crate::sandbox::process::{End, Outcome, Spec, Stdin};
use crate::sandbox::redact::{Redactor, base64};
use crate::sandbox::sink::Sink;
use crate::sandbox::{Level, Sandbox};
use secrecy::{ExposeSecret as _, SecretString};
use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// A local command that takes longer is broken.
const LOCAL_DEADLINE: Duration = Duration::from_mins(5);

/// The most of git's messages that is read, in bytes.
const STDERR: usize = 16 * 1024;

/// The most that a command may answer, in bytes: a hundred thousand paths are about ten million.
pub(super) const ANSWER: usize = 64 * 1024 * 1024;

/// Variables that lead to files which a fetch has to read.
const CERTIFICATES: [&str; 3] = ["SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"];

/// What the names of temporary indexes in the scratch directory begin with.
pub(super) const INDEX: &str = "index-";

/// Settings of every git process. The first group keeps a repository from running or reaching anything; the second
/// keeps answers the same on every host; the third keeps work off the hot path.
const SETTINGS: [(&str, &str); 21] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.askPass", ""),
    ("core.attributesFile", "/dev/null"),
    ("credential.helper", ""),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    ("core.symlinks", "true"),
    // Git can't find it out where it must not change the modes of files.
    ("core.fileMode", "true"),
    ("core.autocrlf", "false"),
    ("core.quotePath", "false"),
    ("protocol.version", "2"),
    ("advice.fetchShowForcedUpdates", "false"),
    // Only `Mirrors::tidy` runs it: above so many loose objects.
    ("gc.auto", "2000"),
    ("maintenance.auto", "false"),
    ("gc.autoDetach", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("core.bigFileThreshold", "8m"),
];

/// Where a repository is fetched from.
#[derive(Debug, Clone)]
pub struct Access {
    /// Built from the configured host. `https`, or `http` for loopback addresses. Holds no credentials.
    pub url: Url,
    pub username: String,
    pub token: Option<SecretString>,
}

/// The git program.
#[derive(Debug, Clone)]
pub struct Git {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    scratch: PathBuf,
    env: Vec<(String, String)>,
    sandbox: Sandbox,
}

/// One git command; the environment is completed by [`Git`].
pub(super) struct Call<'a> {
    pub name: &'static str,
    pub args: Vec<OsString>,
    /// The repository.
    pub git_dir: Option<&'a Path>,
    /// The working directory.
    pub dir: &'a Path,
    pub env: Vec<(String, String)>,
    pub stdin: Stdin,
    pub stdout: Sink,
    pub deadline: Duration,
    pub access: Option<&'a Access>,
}

impl<'a> Call<'a> {
    /// A command on a repository that needs no network.
    pub(super) fn local<A: Into<OsString>>(
        git_dir: &'a Path,
        name: &'static str,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            name,
            args: args.into_iter().map(Into::into).collect(),
            git_dir: Some(git_dir),
            dir: git_dir,
            env: Vec::new(),
            stdin: Stdin::Closed,
            stdout: Sink::Buffer { max: ANSWER },
            deadline: LOCAL_DEADLINE,
            access: None,
        }
    }
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(super) struct Answer {
    pub name: &'static str,
    pub end: End,
    pub stdout: Vec<u8>,
    /// Masked.
    pub stderr: String,
}

impl Answer {
    pub(super) fn error(&self) -> GitError {
        GitError::other(self.name, self.end, &self.stderr)
    }

    pub(super) fn success(self) -> Result<Vec<u8>, GitError> {
        if self.end.success() { Ok(self.stdout) } else { Err(self.error()) }
    }
}

impl Git {
    /// `program` is an absolute path ([`crate::sandbox::process::find_program`] finds it). `scratch` is a directory of this server's own,
    /// for an empty home and for indexes; it is created. `env` is what the operator's network needs, such as `HTTPS_PROXY` or
    /// `SSL_CERT_FILE`; nothing else of the environment reaches git. Where there is a sandbox, git sees the repository and
    /// its own directories, and has no sockets but for a fetch.
    ///
    /// # Errors
    /// When the scratch directory cannot be created or cleared.
    pub fn new(
        program: PathBuf,
        scratch: PathBuf,
        env: Vec<(String, String)>,
        sandbox: Sandbox,
    ) -> Result<Self, GitError> {
        let create = |dir: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        let doing = || GitError::io(format!("preparing `{}`", scratch.display()));
        create(&scratch.join("home")).map_err(doing())?;
        // Indexes of checkouts that were killed.
        for file in std::fs::read_dir(&scratch).map_err(doing())? {
            let file = file.map_err(doing())?;
            if file.file_name().to_string_lossy().starts_with(INDEX) {
                std::fs::remove_file(file.path()).map_err(doing())?;
            }
        }
        Ok(Self { inner: Arc::new(Inner { program, scratch, env, sandbox }) })
    }

    /// Asks git for its version, as `git version` prints it, such as `2.47.3`.
    ///
    /// # Errors
    /// When git cannot be started.
    pub async fn version(&self) -> Result<String, GitError> {
        let mut call = Call::local(&self.inner.scratch, "version", [] as [&str; 0]);
        call.git_dir = None;
        let answer = self.run(call).await?.success()?;
        let text = String::from_utf8_lossy(&answer);
        Ok(text.split_whitespace().nth(2).unwrap_or_default().to_owned())
    }

    pub(super) fn scratch(&self) -> &Path {
        &self.inner.scratch
    }

    /// # Errors
    /// When git could not be started or answered more than [`ANSWER`]. Another failure is in the answer.
    pub(super) async fn run(&self, call: Call<'_>) -> Result<Answer, GitError> {
        let name = call.name;
        let redactor = Redactor::new(&call.access.map(Access::secrets).unwrap_or_default());
        let call_dirs = [Some(call.dir), call.git_dir];
        let online = call.access.is_some();
        let mut spec = Spec::new(&self.inner.program, call.dir).args([name]);
        self.set_environment(&mut spec, &call);
        let mut spec = spec.args(call.args);
        spec.stdin = call.stdin;
        spec.stdout = call.stdout;
        spec.stderr = Sink::Buffer { max: STDERR };
        spec.deadline = call.deadline;
        let Outcome { end, stdout, stderr, .. } =
            self.inner.sandbox.run_light(&self.policy(&call_dirs, online), spec).await?;
        if stdout.dropped > 0 {
            return Err(GitError::TooLarge { what: format!("the answer of `git {name}`"), max: ANSWER });
        }
        let stderr = redactor.text(&String::from_utf8_lossy(&stderr.bytes));
        Ok(Answer { name, end, stdout: stdout.bytes, stderr })
    }

    /// What git may touch: a repository's objects are read by it before anybody has looked at them. Only a fetch has a
    /// network.
    fn policy(&self, dirs: &[Option<&Path>; 2], online: bool) -> Policy {
        let inner = &*self.inner;
        let certificates = inner.env.iter().filter(|(name, _)| CERTIFICATES.contains(&name.as_str()));
        let read_only = certificates.map(|(_, path)| PathBuf::from(path)).chain([inner.program.clone()]);
        Policy {
            least: Level::Off,
            network: if online { Network::Host } else { Network::None },
            read_only: read_only.filter(|path| path.is_absolute() && path.exists()).collect(),
            writable: dirs.iter().flatten().map(|dir| dir.to_path_buf()).collect(),
            ..Policy::new(&inner.scratch, &inner.scratch)
        }
    }

    fn set_environment(&self, spec: &mut Spec, call: &Call<'_>) {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        spec.env.extend(self.inner.env.iter().cloned());
        spec.env.extend([
            // Git adds the directory of its own programs by itself.
            own("PATH", "/usr/local/bin:/usr/bin:/bin"),
            own("HOME", &text(&self.inner.scratch.join("home"))),
            own("TMPDIR", &text(&self.inner.scratch)),
            // Messages in English; paths stay UTF-8.
            own("LANG", "C.UTF-8"),
            own("LC_MESSAGES", "C"),
            own("GIT_CONFIG_NOSYSTEM", "1"),
            own("GIT_CONFIG_GLOBAL", "/dev/null"),
            own("GIT_ATTR_NOSYSTEM", "1"),
            own("GIT_TERMINAL_PROMPT", "0"),
            own("GIT_NO_REPLACE_OBJECTS", "1"),
            own("GIT_LFS_SKIP_SMUDGE", "1"),
            own("GIT_ALLOW_PROTOCOL", call.access.map_or("none", |access| access.url.scheme())),
        ]);
        if let Some(git_dir) = call.git_dir {
            spec.env.push(own("GIT_DIR", &text(git_dir)));
        }
        spec.env.extend(call.env.iter().cloned());
        let mut settings: Vec<(String, SecretString)> =
            SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), SecretString::from(*value))).collect();
        settings.extend(call.access.and_then(Access::header));
        spec.env.push(own("GIT_CONFIG_COUNT", &settings.len().to_string()));
        for (number, (key, value)) in settings.into_iter().enumerate() {
            spec.env.push((format!("GIT_CONFIG_KEY_{number}"), key));
            spec.secret_env.push((format!("GIT_CONFIG_VALUE_{number}"), value));
        }
    }
}

impl Access {
    /// The setting that carries the token.
    fn header(&self) -> Option<(String, SecretString)> {
        let basic = self.basic()?;
        let scope = &self.url[..url::Position::BeforePath];
        let header = format!("Authorization: Basic {}", basic.expose_secret());
        Some((format!("http.{scope}/.extraHeader"), header.into()))
    }

    fn basic(&self) -> Option<SecretString> {
        let token = self.token.as_ref()?.expose_secret();
        Some(base64(format!("{}:{token}", self.username).as_bytes()).into())
    }

    /// What must not be seen in a message: a forge may repeat in its refusal what it was sent.
    fn secrets(&self) -> Vec<SecretString> {
        self.token.iter().cloned().chain(self.basic()).collect()
    }

    /// Whether git may use the address at all.
    pub(super) fn check(&self, repo: &str) -> Result<(), GitError> {
        let loopback = match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        let why = match self.url.scheme() {
            _ if !self.url.username().is_empty() || self.url.password().is_some() => "must not hold credentials",
            "https" => return Ok(()),
            "http" if loopback => return Ok(()),
            "http" => "must use https (http is for loopback addresses only)",
            _ => "must use https",
        };
        Err(GitError::Address { repo: repo.to_owned(), why })
    }
}
