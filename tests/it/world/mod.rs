//! The stage of the scenarios: the world of `terraplane::demo`, with verbs that read like what people do.
//!
//! ```ignore
//! let world = World::with(&[("prod/main.tf", "…")]).await;
//! world.connect(server_url);
//! let pull = world.open_pull("A subnet more").changing("prod/main.tf", "…").await;
//! pull.live_comment().await_until(|text| text.contains("prod")).await;
//! pull.approve("ana");
//! let merged = pull.merge("ana").await;
//! world.await_status(&merged, "terraplane/apply", "success").await;
//! let result = pull.next_comment().await;
//! world.finish().await;
//! ```
//!
//! `ana` maintains, `sam` and `kim` may write, `rita` may read; `otto` is a stranger. Everything is bounded by
//! [`PATIENCE`]; what fails says how the world looked.

mod pull;

pub use pull::{LIVE_MARKER, NewPullRequest, PullRequest};

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use terraplane::demo::state::{Answer, Change, How, State, Status, Trouble};
use terraplane::demo::world::{AppCredentials, Hook};
use terraplane::demo::{Face, Settings, World as Forge};
use terraplane::domain::id::Sha;
use terraplane::domain::pull::Role;
use url::Url;

/// The longest wait for anything. Far more than needed, for machines that do much else.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The repository of every scenario.
pub const REPO: &str = "acme/infra";

/// A secret for every forge, and for GitLab a signing token: `whsec_` and 32 bytes.
pub const WEBHOOK_SECRET: &str = "whsec_YmV0d2VlbiB0aGUgZm9yZ2UgYW5kIHRoZSBzZXJ2ZXI=";

/// Which forge the worlds of this process look like: GitHub, unless the table in `faces` runs the scenarios again for
/// another one.
fn face() -> Face {
    std::env::var(FACE).map_or_else(|_| Face::default(), |name| name.parse().unwrap())
}

/// The variable that names the file to which worlds write what their API is asked and answers (`make contract`).
const RECORD: &str = "TEST_RECORD";

/// The variable by which `faces` says it.
pub const FACE: &str = "TEST_FORGE";

#[derive(Clone)]
pub struct World {
    pub forge: Forge,
    /// Comments of the server that a test has looked at: any other is unexpected.
    seen: Arc<Mutex<BTreeSet<u64>>>,
}

impl World {
    /// A world whose repository holds these files on `main`.
    pub async fn with(files: &[(&str, &str)]) -> Self {
        Self::like(face(), files).await
    }

    /// The same, of one forge.
    pub async fn like(face: Face, files: &[(&str, &str)]) -> Self {
        // The faces' own tests ask them wrongly on purpose.
        let asks_well = !std::thread::current().name().is_some_and(|test| test.starts_with("forge_face::"));
        let record = std::env::var_os(RECORD).filter(|_| asks_well).map(PathBuf::from);
        let forge = Forge::start(Settings { face, record, ..Settings::new(program("git")) }).await.unwrap();
        let files: Vec<Change> = files.iter().map(|(path, text)| Change::write(*path, *text)).collect();
        forge.add_repo(REPO, &files).await.unwrap();
        for (login, role) in [("ana", Role::Maintain), ("sam", Role::Write), ("kim", Role::Write), ("rita", Role::Read)]
        {
            forge.grant(REPO, login, role).unwrap();
        }
        forge.add_user("otto");
        Self { forge, seen: Arc::default() }
    }

    /// From now on webhooks go to the server at this address.
    pub fn connect(&self, server: &Url) {
        let url = server.join(&format!("webhooks/{}", self.forge.face())).unwrap();
        self.forge.set_hook(Hook { url, secret: WEBHOOK_SECRET.into() });
    }

    pub fn api_url(&self) -> Url {
        self.forge.api_url()
    }

    pub fn app(&self) -> AppCredentials {
        self.forge.app()
    }

    /// What the server's `match` is: the repository with its host.
    pub fn repo_name(&self) -> String {
        format!("{}/{REPO}", self.forge.host())
    }

    /// Begins a pull request of `sam` against `main`; awaiting it opens it.
    pub fn open_pull(&self, title: &str) -> NewPullRequest {
        NewPullRequest::new(self.clone(), title)
    }

    /// Somebody pushes one commit straight to a branch.
    pub async fn push(&self, branch: &str, files: &[(&str, &str)]) -> Sha {
        let changes: Vec<Change> = files.iter().map(|(path, text)| Change::write(*path, *text)).collect();
        self.forge.push(REPO, branch, "kim", &format!("Change {branch}"), &changes).await.unwrap()
    }

    /// The newest status of a context on a commit.
    pub fn status(&self, sha: &Sha, context: &str) -> Option<Status> {
        self.forge.read(|state| state.repo(REPO)?.status(sha, context).cloned())
    }

    /// Waits until the newest status of a context has this state, and returns it.
    pub async fn await_status(&self, sha: &Sha, context: &str, wanted: &str) -> Status {
        let look = |state: &State| state.repo(REPO)?.status(sha, context).filter(|s| s.state == wanted).cloned();
        self.wait(&format!("status {context} = {wanted} on {sha}"), look).await
    }

    /// Waits until `look` finds something; fails the test with a picture of the world if it never does.
    pub async fn wait<T>(&self, wanted: &str, look: impl FnMut(&State) -> Option<T>) -> T {
        match self.forge.wait_until(wanted, PATIENCE, look).await {
            Ok(found) => found,
            Err(not_reached) => panic!("{not_reached}"),
        }
    }

    /// Waits until the server has answered every webhook so far.
    pub async fn webhooks_answered(&self) {
        let answered = |state: &State| state.deliveries.iter().all(|d| d.answer != Answer::None).then_some(());
        self.wait("an answer to every webhook", answered).await;
    }

    /// Words of the forge when it does not merge because `ci` failed.
    pub fn says_of_failed_checks(&self) -> &'static str {
        match self.forge.face() {
            Face::Gitlab => "its pipeline has not succeeded (`ci`)",
            Face::Github | Face::Gitea => "Required status checks are not all a success",
        }
    }

    /// The next `times` requests whose path contains `path` meet this trouble. Both are as on GitHub; another forge has
    /// words of its own for them.
    pub fn trouble(&self, method: &'static str, path: &str, how: How, times: u32) {
        let (method, path) = match (self.forge.face(), method, path) {
            (Face::Gitlab, "PATCH", "/comments") => ("PUT", "/notes"),
            // A comment, and no reaction to one.
            (Face::Gitlab, "POST", "/comments") => (method, "/notes$"),
            (_, "POST", "/comments") => (method, "/comments$"),
            (Face::Gitlab, _, "/comments") => (method, "/notes"),
            (Face::Gitlab, _, "/pulls/") => (method, "/merge_requests/"),
            (Face::Gitlab, _, "/permission") => (method, "/members/"),
            _ => (method, path),
        };
        let trouble = Trouble { method: Some(method), path: path.into(), how, times };
        self.forge.change(|state| state.troubles.push(trouble));
    }

    /// The accounts that the server may act as.
    fn is_server(&self, login: &str) -> bool {
        login == self.forge.settings().bot || login == self.forge.app_login()
    }

    fn see(&self, comment: u64) {
        self.seen.lock().unwrap().insert(comment);
    }

    fn has_seen(&self, comment: u64) -> bool {
        self.seen.lock().unwrap().contains(&comment)
    }

    /// The end of a scenario: nothing unexpected may remain.
    ///
    /// Every webhook was taken, every trouble was met, every comment of the server was looked at, no pull request has
    /// two live comments, and no comment or status holds a token.
    pub async fn finish(self) {
        self.webhooks_answered().await;
        let mut unexpected = Vec::new();
        self.forge.read(|state| {
            for delivery in &state.deliveries {
                if !matches!(delivery.answer, Answer::Status(202) | Answer::Lost) {
                    unexpected.push(format!("webhook {} was answered {:?}", delivery.event, delivery.answer));
                }
            }
            for trouble in &state.troubles {
                unexpected.push(format!("nobody met the trouble {trouble:?}"));
            }
            for pull in state.repos.values().flat_map(|repo| repo.pulls.values()) {
                let ours: Vec<_> = pull.comments.iter().filter(|c| self.is_server(&c.author)).collect();
                let live = ours.iter().filter(|c| c.body.starts_with(pull::LIVE_MARKER)).count();
                if live > 1 {
                    unexpected.push(format!("#{} has {live} live comments", pull.number));
                }
                for comment in &ours {
                    if !comment.body.starts_with(pull::LIVE_MARKER) && !self.has_seen(comment.id) {
                        unexpected.push(format!("#{} has a comment too many:\n{}", pull.number, comment.body));
                    }
                    if self.forge.holds_a_token(&comment.body) {
                        unexpected.push(format!("comment {} of #{} holds a token", comment.id, pull.number));
                    }
                }
            }
            for status in state.repos.values().flat_map(|repo| &repo.statuses) {
                if self.forge.holds_a_token(&format!("{status:?}")) {
                    unexpected.push(format!("a status {} holds a token", status.context));
                }
            }
        });
        assert!(unexpected.is_empty(), "at the end there was something unexpected:\n{}", unexpected.join("\n"));
    }
}

/// A program of this machine, found on the PATH.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("the tests run with a PATH");
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("`{name}` is not on the PATH, and the tests need it"))
}
