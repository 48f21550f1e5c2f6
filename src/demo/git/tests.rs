//! Merging with the real git, whichever version is the first on the PATH.

use super::{Meta, Repositories};
use crate::demo::state::{Change, Content, MergeMethod};
use crate::domain::id::{Sha, Timestamp};
use crate::sandbox::process::find_program;
use std::path::Path;
use tempfile::TempDir;

const REPO: &str = "acme/infra";

async fn repositories() -> (TempDir, Repositories) {
    let dir = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let git = find_program(Path::new("git"), &path).expect("git is installed");
    let repositories = Repositories::new(git, dir.path()).unwrap();
    repositories.create(REPO, "main").await.unwrap();
    (dir, repositories)
}

const fn by<'a>(author: &'a str, message: &'a str) -> Meta<'a> {
    Meta { author, message, at: Timestamp(1_700_000_000_000) }
}

impl Repositories {
    async fn add(&self, branch: &str, parent: Option<&Sha>, message: &str, files: &[(&str, &str)]) -> Sha {
        let change = |(path, text): &(&str, &str)| Change { path: (*path).into(), to: Content::Text((*text).into()) };
        let changes: Vec<Change> = files.iter().map(change).collect();
        self.commit(REPO, branch, parent, by("sam", message), &changes).await.unwrap()
    }

    async fn merged(&self, method: MergeMethod, base: &Sha, head: &Sha) -> Option<Sha> {
        self.merge(REPO, method, base, head, by("ana", "merged")).await.unwrap()
    }

    async fn log_since(&self, base: &Sha, tip: &Sha) -> Vec<(String, String)> {
        let log = self.log(REPO, base, tip).await.unwrap();
        log.into_iter().map(|(_, author, subject)| (author, subject)).collect()
    }
}

#[tokio::test]
async fn a_rebase_writes_each_commit_anew_although_they_change_the_same_line() {
    let (_dir, git) = repositories().await;
    let root = git.add("main", None, "root", &[("a", "1\n"), ("b", "1\n")]).await;
    let base = git.add("main", Some(&root), "other", &[("b", "other\n")]).await;
    let second = git.add("feature", Some(&root), "second", &[("a", "2\n")]).await;
    let third = git.add("feature", Some(&second), "third", &[("a", "3\n")]).await;
    let tip = git.merged(MergeMethod::Rebase, &base, &third).await.unwrap();
    let log = [("sam", "second"), ("sam", "third")].map(|(author, subject)| (author.to_owned(), subject.to_owned()));
    assert_eq!(git.log_since(&base, &tip).await, log);
    assert_eq!(git.file(REPO, &tip, "a").await.unwrap().as_deref(), Some("3\n"));
    assert_eq!(git.file(REPO, &tip, "b").await.unwrap().as_deref(), Some("other\n"));
}

#[tokio::test]
async fn what_conflicts_is_merged_by_no_method() {
    let (_dir, git) = repositories().await;
    let root = git.add("main", None, "root", &[("a", "1\n")]).await;
    let base = git.add("main", Some(&root), "ours", &[("a", "2\n")]).await;
    let head = git.add("feature", Some(&root), "theirs", &[("a", "3\n")]).await;
    let stranger = git.add("stranger", None, "no common history", &[("z", "1\n")]).await;
    for method in [MergeMethod::Merge, MergeMethod::Squash, MergeMethod::Rebase] {
        assert_eq!(git.merged(method, &base, &head).await, None, "{method:?}");
        assert_eq!(git.merged(method, &base, &stranger).await, None, "{method:?}");
    }
}
