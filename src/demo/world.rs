//! The world and its handle: state, repositories, the HTTP server in front of them and the webhooks out.
//!
//! The verbs of pull requests are in `pulls`, those of talking in `talk`. Every verb does what the forge would do,
//! refuses what the forge would refuse, and sends the webhooks that the forge would send.

pub(super) mod accounts;
mod labels;
mod pulls;
mod queue;
mod talk;

use super::face::Face;
use super::git::{GitFailed, Meta, Repositories};
use super::serve;
use super::state::{Change, InstalledHook, Repo, State, Team};
use super::webhook::{self, Outgoing};
use crate::domain::id::{Sha, Timestamp};
use crate::domain::pull::Role;
use accounts::Accounts;
pub use accounts::AppCredentials;
pub use pulls::NewPull;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;
pub use webhook::Hook;

/// What a world is made with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The git program, as an absolute path.
    pub git: PathBuf,
    /// Where it listens; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// As whom the pages act.
    pub viewer: String,
    /// The account of the server's token. As an app, the server is `{bot}[bot]`.
    pub bot: String,
    /// Which forge it looks like.
    pub face: Face,
    /// The file that every request to the API is written to, with its answer; `None`: nowhere.
    pub record: Option<PathBuf>,
}

impl Settings {
    /// GitHub on a free port of the loopback interface; people act as `ana`, the server as `terraplane`.
    #[must_use]
    pub fn new(git: PathBuf) -> Self {
        Self {
            git,
            listen: ([127, 0, 0, 1], 0).into(),
            viewer: "ana".into(),
            bot: "terraplane".into(),
            face: Face::default(),
            record: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error(transparent)]
    Git(#[from] GitFailed),
    #[error("the forge cannot start: {0}")]
    Io(#[from] io::Error),
    #[error("there is no {0}")]
    NoSuch(String),
    /// What the forge would not allow.
    #[error("{0}")]
    Refused(String),
}

/// A handle of the world. The world ends, and its directory goes, with the last one.
#[derive(Clone)]
pub struct World {
    inner: Arc<Inner>,
    /// The world's own tasks have none, or it would never end.
    _alive: Option<Arc<DropGuard>>,
}

struct Inner {
    settings: Settings,
    url: Url,
    origin: String,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    git: Repositories,
    /// Held while branches move: one change of the repositories at a time.
    moving: tokio::sync::Mutex<()>,
    hook: Mutex<Option<Hook>>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    accounts: Accounts,
    _dir: TempDir,
}

impl World {
    /// An empty world that listens.
    ///
    /// # Errors
    /// When no directory can be made or the address is taken.
    pub async fn start(settings: Settings) -> Result<Self, WorldError> {
        let dir = tempfile::Builder::new().prefix("terraplane-forge-").tempdir()?;
        let git = Repositories::new(settings.git.clone(), dir.path())?;
        let listener = TcpListener::bind(settings.listen).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let url = Url::parse(&origin).map_err(|error| io::Error::other(error.to_string()))?;
        let (outgoing, due) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let accounts = Accounts::default();
        let inner = Inner {
            url,
            origin,
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            git,
            moving: tokio::sync::Mutex::default(),
            hook: Mutex::default(),
            outgoing,
            accounts,
            settings,
            _dir: dir,
        };
        let own = Self { inner: Arc::new(inner), _alive: None };
        let bot = own.inner.settings.bot.clone();
        own.add_user(&bot);
        own.change(|state| state.add_user(&format!("{bot}[bot]"), true));
        tokio::spawn(stop.clone().run_until_cancelled_owned(webhook::deliver(own.clone(), due)));
        tokio::spawn(stop.clone().run_until_cancelled_owned(serve::serve(own.clone(), listener)));
        tokio::spawn(stop.clone().run_until_cancelled_owned(own.clone().work_on_queues()));
        Ok(Self { _alive: Some(Arc::new(stop.drop_guard())), ..own })
    }

    /// A handle for the world's own parts: it does not keep the world alive.
    pub(super) fn own(&self) -> Self {
        Self { inner: self.inner.clone(), _alive: None }
    }

    /// `http://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.inner.url
    }

    #[must_use]
    pub fn face(&self) -> Face {
        self.inner.settings.face
    }

    /// Where the API is.
    #[must_use]
    pub fn api_url(&self) -> Url {
        let (_, path) = self.face().address();
        self.inner.url.join(path).expect("a relative path joins")
    }

    /// The beginning of the forge's part in the server's configuration: its name and where it is. The secrets have to
    /// follow, indented by two spaces.
    #[must_use]
    pub fn server_part(&self) -> String {
        let (key, _) = self.face().address();
        format!("{}:\n  {key}: {}\n", self.face(), self.server_address())
    }

    fn server_address(&self) -> Url {
        match self.face().address() {
            ("api_url", _) => self.api_url(),
            _ => self.inner.url.clone(),
        }
    }

    /// The address without a `/` at the end.
    pub(super) fn origin(&self) -> &str {
        &self.inner.origin
    }

    /// The host of its repositories' names, with the port.
    #[must_use]
    pub fn host(&self) -> String {
        self.inner.origin.trim_start_matches("http://").to_owned()
    }

    /// The address of a pull request's page.
    #[must_use]
    pub fn pull_page(&self, repo: &str, number: u64) -> String {
        format!("{}{}", self.inner.origin, self.pull_path(repo, number))
    }

    pub(super) fn pull_path(&self, repo: &str, number: u64) -> String {
        format!("/{repo}/{}/{number}", self.face().pull_segment())
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// From now on webhooks go there. Until then they are lost.
    pub fn set_hook(&self, hook: Hook) {
        *lock(&self.inner.hook) = Some(hook);
    }

    /// Makes or changes a webhook of a repository, as the API does. From now on webhooks go there.
    pub(super) fn put_hook(&self, repo: &str, hook: InstalledHook) {
        if let (true, Ok(url)) = (hook.active, hook.url.parse()) {
            self.set_hook(Hook { url, secret: hook.secret.clone().into() });
        }
        self.change(|state| {
            if let Some(repo) = state.repo_mut(repo) {
                repo.hooks.retain(|there| there.id != hook.id);
                repo.hooks.push(hook);
            }
        });
    }

    /// A team of an organisation, with these members.
    pub fn add_team(&self, org: &str, name: &str, members: &[&str]) {
        self.change(|state| {
            let members = members.iter().map(|login| (*login).to_owned()).collect();
            let team = Team { id: state.next_id(), org: org.into(), name: name.into(), members };
            state.teams.insert(format!("{org}/{name}"), team);
        });
    }

    pub(super) fn hook(&self) -> Option<Hook> {
        lock(&self.inner.hook).clone()
    }

    pub(super) fn outgoing(&self, delivery: Outgoing) {
        // Fails only when the world has ended, and then nobody is left to tell.
        let _ = self.inner.outgoing.send(delivery);
    }

    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&lock(&self.inner.state))
    }

    /// Changes the world behind its back: no webhook is sent. Wakes those who wait.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut lock(&self.inner.state));
        self.inner.changed.send_modify(|count| *count += 1);
        result
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    pub(super) fn git(&self) -> &Repositories {
        &self.inner.git
    }

    pub(super) fn accounts(&self) -> &Accounts {
        &self.inner.accounts
    }

    pub fn add_user(&self, login: &str) {
        self.change(|state| state.add_user(login, false));
    }

    /// Gives a person a role in a repository, and an account if there was none.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn grant(&self, repo: &str, login: &str, role: Role) -> Result<(), WorldError> {
        self.change(|state| {
            state.add_user(login, false);
            let repo = state.repo_mut(repo).ok_or_else(|| WorldError::NoSuch(format!("repository {repo}")))?;
            repo.roles.insert(login.into(), role);
            Ok(())
        })
    }

    /// A repository `owner/name` whose default branch `main` holds these files. The server may write to it.
    ///
    /// # Errors
    /// When git fails.
    pub async fn add_repo(&self, path: &str, files: &[Change]) -> Result<Sha, WorldError> {
        self.inner.git.create(path, "main").await?;
        let owner = path.split('/').next().unwrap_or_default();
        let meta = Meta { author: owner, message: "The beginning", at: now() };
        let first = self.inner.git.commit(path, "main", None, meta, files).await?;
        self.put_repo(path, None, BTreeMap::from([("main".to_owned(), first.clone())]));
        Ok(first)
    }

    /// A fork of a repository under another owner's name, who owns it. Returns its path.
    ///
    /// # Errors
    /// When there is no such repository, or git fails.
    pub async fn fork(&self, of: &str, owner: &str) -> Result<String, WorldError> {
        let name = self.read(|state| state.repo(of).map(|r| r.name().to_owned()));
        let name = name.ok_or_else(|| WorldError::NoSuch(format!("repository {of}")))?;
        let path = format!("{owner}/{name}");
        self.inner.git.create(&path, "main").await?;
        self.inner.git.copy(of, &path).await?;
        let branches = self.inner.git.branches(&path).await?;
        self.put_repo(&path, Some(of.to_owned()), branches);
        self.grant(&path, owner, Role::Admin)?;
        Ok(path)
    }

    fn put_repo(&self, path: &str, fork_of: Option<String>, branches: BTreeMap<String, Sha>) {
        let bot = &self.inner.settings.bot;
        // The app is not installed on forks, and a token's account is no collaborator there.
        let roles = if fork_of.is_some() {
            BTreeMap::new()
        } else {
            let role = self.face().server_role();
            BTreeMap::from([(bot.clone(), role), (format!("{bot}[bot]"), role)])
        };
        self.change(|state| {
            let owner = path.split('/').next().unwrap_or_default();
            if fork_of.is_none() && !state.installations.contains_key(owner) {
                let id = state.next_id();
                state.installations.insert(owner.into(), id);
            }
            let repo = Repo {
                id: state.next_id(),
                path: path.into(),
                default_branch: "main".into(),
                fork_of,
                roles,
                branches,
                pulls: BTreeMap::new(),
                statuses: Vec::new(),
                required_statuses: Vec::new(),
                required_reviews: 0,
                code_owners: Vec::new(),
                merge_queue: false,
                pipelines: Vec::new(),
                hooks: Vec::new(),
                labels: Vec::new(),
                queue: Vec::new(),
            };
            state.repos.insert(path.into(), repo);
        });
    }

    /// The tip of a branch.
    #[must_use]
    pub fn tip(&self, repo: &str, branch: &str) -> Option<Sha> {
        self.read(|state| state.repo(repo)?.branches.get(branch).cloned())
    }

    /// A file's text at a commit, read from the repository.
    ///
    /// # Errors
    /// When git fails.
    pub async fn file(&self, repo: &str, sha: &Sha, path: &str) -> Result<Option<String>, WorldError> {
        Ok(self.inner.git.file(repo, sha, path).await?)
    }

    pub(super) async fn moving(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.moving.lock().await
    }
}

/// The world goes on after a panic of somebody who held it: in a test that panic is what must be seen.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
