//! A pull request, as the people of a scenario handle it.

use super::{REPO, World};
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use terraplane::demo::state::{Change, MergeMethod, Phase, Pull, ReviewState, State, Status};
use terraplane::demo::world::NewPull;
use terraplane::domain::id::Sha;

pub const LIVE_MARKER: &str = "<!-- terraplane:live -->";

/// A pull request that is about to be opened. Awaiting it opens it.
#[must_use = "a pull request is opened by awaiting it"]
pub struct NewPullRequest {
    world: World,
    new: NewPull,
    changes: Vec<Change>,
}

impl NewPullRequest {
    pub(super) fn new(world: World, title: &str) -> Self {
        let words = title.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let new = NewPull { title: title.into(), author: "sam".into(), head_branch: words, ..NewPull::default() };
        Self { world, new, changes: Vec::new() }
    }

    pub fn changing(mut self, path: &str, text: &str) -> Self {
        self.changes.push(Change::write(path, text));
        self
    }

    pub fn deleting(mut self, path: &str) -> Self {
        self.changes.push(Change::delete(path));
        self
    }

    pub fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    pub fn by(mut self, author: &str) -> Self {
        self.new.author = author.into();
        self
    }

    /// Against another branch than `main`.
    pub fn onto(mut self, base: &str) -> Self {
        self.new.base_branch = base.into();
        self
    }

    pub fn on_branch(mut self, branch: &str) -> Self {
        self.new.head_branch = branch.into();
        self
    }

    /// From a fork (made with `world.forge.fork`).
    pub fn in_fork(mut self, fork: &str) -> Self {
        self.new.head_repo = Some(fork.into());
        self
    }

    pub fn drafted(mut self) -> Self {
        self.new.draft = true;
        self
    }

    pub fn described(mut self, body: &str) -> Self {
        self.new.body = body.into();
        self
    }
}

impl IntoFuture for NewPullRequest {
    type Output = PullRequest;
    type IntoFuture = Pin<Box<dyn Future<Output = PullRequest> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { world, new, changes } = self;
            let head_repo = new.head_repo.clone().unwrap_or_else(|| REPO.into());
            let (branch, author, title) = (new.head_branch.clone(), new.author.clone(), new.title.clone());
            world.forge.push(&head_repo, &branch, &author, &title, &changes).await.unwrap();
            let number = world.forge.open_pull(REPO, new).await.unwrap();
            PullRequest { world, number }
        })
    }
}

#[derive(Clone)]
pub struct PullRequest {
    pub world: World,
    pub number: u64,
}

impl PullRequest {
    /// How it is now.
    pub fn now(&self) -> Pull {
        self.world.forge.read(|state| state.pull(REPO, self.number).cloned().unwrap())
    }

    pub fn head(&self) -> Sha {
        self.now().head
    }

    /// The author pushes one commit more.
    pub async fn push(&self, files: &[(&str, &str)]) -> Sha {
        let changes: Vec<Change> = files.iter().map(|(path, text)| Change::write(*path, *text)).collect();
        let pull = self.now();
        let repo = pull.head_repo.unwrap();
        self.world.forge.push(&repo, &pull.head_branch, &pull.author, "One more", &changes).await.unwrap()
    }

    /// The author makes it a draft, or makes it ready.
    pub fn draft(&self, draft: bool) {
        self.world.forge.set_draft(REPO, self.number, draft, &self.now().author).unwrap();
    }

    pub fn comment(&self, by: &str, text: &str) -> u64 {
        self.world.forge.comment(REPO, self.number, by, text).unwrap()
    }

    pub fn approve(&self, by: &str) -> u64 {
        self.world.forge.review(REPO, self.number, by, ReviewState::Approved).unwrap()
    }

    pub fn request_changes(&self, by: &str) -> u64 {
        self.world.forge.review(REPO, self.number, by, ReviewState::ChangesRequested).unwrap()
    }

    /// Merges with a merge commit, and returns it.
    pub async fn merge(&self, by: &str) -> Sha {
        self.merge_by(by, MergeMethod::Merge).await
    }

    pub async fn merge_by(&self, by: &str, method: MergeMethod) -> Sha {
        self.world.forge.merge(REPO, self.number, by, method).await.unwrap()
    }

    /// Nobody acts in the same millisecond in which a plan appears. Before, the server has not even heard that its
    /// comment was taken, and rightly holds that nobody can have seen the plan; its status comes after.
    async fn read_by_a_person(&self) {
        let shown = |state: &State| {
            let pull = state.pull(REPO, self.number)?;
            let live = pull.comments.iter().find(|c| c.body.starts_with(LIVE_MARKER));
            let ready = live.is_some_and(|live| live.body.contains("plan ready"));
            let told = state.repo(REPO)?.status(&pull.head, "terraplane/plan");
            (!ready || told.is_some_and(|told| told.state != "pending")).then_some(())
        };
        let moment = std::time::Duration::from_secs(2);
        let _ = self.world.forge.wait_until("its plan's status", moment, shown).await;
    }

    pub fn close(&self, by: &str) {
        self.world.forge.close(REPO, self.number, by).unwrap();
    }

    pub async fn reopen(&self, by: &str) {
        self.world.forge.reopen(REPO, self.number, by).await.unwrap();
    }

    pub fn is_merged(&self) -> bool {
        matches!(self.now().phase, Phase::Merged { .. })
    }

    /// The newest status of a context on the present head.
    pub fn status(&self, context: &str) -> Option<Status> {
        self.world.status(&self.head(), context)
    }

    /// Waits for a status on the present head.
    pub async fn await_status(&self, context: &str, wanted: &str) -> Status {
        self.world.await_status(&self.head(), context, wanted).await
    }

    pub fn live_comment(&self) -> LiveComment<'_> {
        LiveComment { pull: self }
    }

    /// Waits for the next comment of the server that is not the live comment and was not looked at yet; its text.
    pub async fn next_comment(&self) -> String {
        self.wait_for_comment(|_| true).await
    }

    /// Waits for a comment of the server, other than the live comment, that no wait has returned yet.
    pub async fn wait_for_comment(&self, wanted: impl Fn(&str) -> bool) -> String {
        let (id, text) = self
            .world
            .wait(&format!("new comment of the server on #{}", self.number), |state: &State| {
                state
                    .pull(REPO, self.number)?
                    .comments
                    .iter()
                    .filter(|c| self.world.is_server(&c.author) && !c.body.starts_with(LIVE_MARKER))
                    .find(|c| !self.world.has_seen(c.id) && wanted(&c.body))
                    .map(|c| (c.id, c.body.clone()))
            })
            .await;
        self.world.see(id);
        text
    }

    /// Every comment of the server, oldest first.
    pub fn server_comments(&self) -> Vec<String> {
        let comments = self.now().comments;
        comments.into_iter().filter(|c| self.world.is_server(&c.author)).map(|c| c.body).collect()
    }
}

/// The one comment that always shows the present state.
pub struct LiveComment<'a> {
    pull: &'a PullRequest,
}

impl LiveComment<'_> {
    /// Its text now, if it is there.
    pub fn text(&self) -> Option<String> {
        self.pull.now().comment_marked(LIVE_MARKER).map(|c| c.body.clone())
    }

    /// Its number: it stays the same when the comment is edited.
    pub fn id(&self) -> Option<u64> {
        self.pull.now().comment_marked(LIVE_MARKER).map(|c| c.id)
    }

    /// Everything that it ever said, oldest first.
    pub fn history(&self) -> Vec<String> {
        let pull = self.pull.now();
        let comment = pull.comment_marked(LIVE_MARKER);
        comment.map_or_else(Vec::new, |c| c.earlier.iter().chain([&c.body]).cloned().collect())
    }

    /// Waits until its text is as wanted, and returns it.
    pub async fn await_until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let (world, number) = (&self.pull.world, self.pull.number);
        world
            .wait(&format!("live comment as wanted on #{number}"), |state: &State| {
                let comment = state.pull(REPO, number)?.comment_marked(LIVE_MARKER)?;
                (world.is_server(&comment.author) && wanted(&comment.body)).then(|| comment.body.clone())
            })
            .await
    }

    /// Waits until it contains this text.
    pub async fn await_containing(&self, part: &str) -> String {
        let text = self.await_until(|text| text.contains(part)).await;
        self.pull.read_by_a_person().await;
        text
    }
}
