//! Fixtures of real webhooks, when they are beside the checkout.

use super::*;
use crate::domain::event::PullChange;
use std::path::{Path, PathBuf};

/// Recorded payloads by event, from the folder beside the checkout; empty where there is none.
fn recorded() -> Vec<(String, PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/github");
    let mut payloads = Vec::new();
    for event in std::fs::read_dir(folder).into_iter().flatten() {
        let event = event.unwrap();
        for payload in std::fs::read_dir(event.path()).unwrap() {
            let path = payload.unwrap().path();
            let body = std::fs::read_to_string(&path).unwrap();
            payloads.push((event.file_name().into_string().unwrap(), path, body));
        }
    }
    payloads
}

#[test]
fn every_recorded_webhook_is_accepted_and_means_what_its_name_says() {
    let mut changes = 0;
    for (name, path, body) in recorded() {
        let event = event(ForgeKind::Github, &name, &body, "github.com").unwrap_or_else(|e| panic!("{path:?}: {e}"));
        let file = path.file_name().unwrap().to_str().unwrap();
        let action = file.split('.').next().unwrap();
        let wanted = match (name.as_str(), action) {
            ("pull_request", "opened") => Some(PullChange::Opened),
            ("pull_request", "reopened") => Some(PullChange::Reopened),
            ("pull_request", "synchronize") => Some(PullChange::Pushed),
            ("pull_request", "ready_for_review") => Some(PullChange::MadeReady),
            ("pull_request", "converted_to_draft") => Some(PullChange::MadeDraft),
            ("pull_request", "closed") => Some(PullChange::Closed),
            _ => None,
        };
        match (event, wanted) {
            (Event::PullChanged { change, .. }, Some(wanted)) => {
                assert_eq!(change, wanted, "{path:?}");
                changes += 1;
            }
            (Event::Reviewed { .. }, None) => assert_eq!(name, "pull_request_review", "{path:?}"),
            (Event::Queued { pull, group }, None) => {
                assert_eq!((name.as_str(), action), ("merge_group", "checks_requested"), "{path:?}");
                assert_eq!(pull, "github.com/octo-org/octo-repo#104".parse().unwrap());
                assert_eq!(group.head.as_str(), "2ffea6db159f6b6c47a24e778fb9ef40cf6b1c7d");
                assert_eq!(group.base.as_str(), "380387fbc80638b734a49e1be1c4dfec1c01b33c");
            }
            (Event::Ignored { .. }, None) => {
                assert!(!["merge_group", "pull_request_review"].contains(&name.as_str()), "{path:?}");
            }
            (event, wanted) => panic!("{path:?}: {event:?} instead of {wanted:?}"),
        }
    }
    assert!(changes > 0 || recorded().is_empty());
}

#[test]
fn every_recorded_webhook_of_gitea_is_accepted_and_means_what_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/gitea");
    for file in std::fs::read_dir(folder).into_iter().flatten() {
        let path = file.unwrap().path();
        let body = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (event_name, wanted) = match name.as_str() {
            "push" => ("push", "ignored"),
            // A pull request as the API answers it, and no webhook.
            "pull_request_comment_created_pr" => continue,
            "pull_request_comment_created" => ("issue_comment", "commented"),
            "pull_request_comment_edited" => ("issue_comment", "ignored"),
            "pull_request_comment_deleted" => ("issue_comment", "gone"),
            "issue_comment_created" => ("issue_comment", "ignored"),
            "pull_request_opened" => ("pull_request", "Opened"),
            "pull_request_reopened" => ("pull_request", "Reopened"),
            "pull_request_synchronized" => ("pull_request", "Pushed"),
            "pull_request_closed" | "pull_request_merged" => ("pull_request", "Closed"),
            // Its title was changed, which is none of ours.
            "pull_request_edited" => ("pull_request", "ignored"),
            other => panic!("what does {other} mean?"),
        };
        let event =
            event(ForgeKind::Gitea, event_name, &body, "try.gitea.io").unwrap_or_else(|e| panic!("{name}: {e}"));
        let told = match event {
            Event::PullChanged { change, .. } => format!("{change:?}"),
            Event::Commented { .. } => "commented".into(),
            Event::Called { .. } => "called".into(),
            Event::Reviewed { .. } => "reviewed".into(),
            Event::CommentGone { .. } => "gone".into(),
            Event::Queued { .. } | Event::Unqueued { .. } => "queued".into(),
            Event::Ignored { .. } => "ignored".into(),
        };
        assert_eq!(told, wanted, "{name}");
    }
}

/// Work on events runs in tasks, so whatever it waits for must be able to move between threads.
#[test]
fn everything_that_is_asked_of_a_forge_can_wait_in_a_task() {
    struct Asked {
        pull: PullId,
        who: Login,
        sha: Sha,
        status: Status,
        team: TeamName,
        url: Url,
        proof: Proof,
    }
    fn sendable<T: Send>(_: impl FnOnce(&'static Forge, &'static Asked) -> T) {}
    fn repo(asked: &Asked) -> &RepoName {
        &asked.pull.repo
    }

    sendable(|forge, _| forge.me());
    sendable(|forge, asked| forge.pull(&asked.pull));
    sendable(|forge, asked| forge.mergeable(&asked.pull));
    sendable(|forge, asked| forge.approvals(&asked.pull));
    sendable(|forge, asked| forge.default_branch(repo(asked)));
    sendable(|forge, asked| forge.role(repo(asked), &asked.who));
    sendable(|forge, asked| forge.set_status(&asked.pull, &asked.sha, &asked.status));
    sendable(|forge, asked| forge.create_comment(&asked.pull, ""));
    sendable(|forge, asked| forge.edit_comment(&asked.pull, CommentId(1), ""));
    sendable(|forge, asked| forge.find_comment(&asked.pull, ""));
    sendable(|forge, asked| forge.comment(&asked.pull, CommentId(1)));
    sendable(|forge, asked| forge.react(&asked.pull, CommentId(1), Reaction::Seen));
    sendable(|forge, asked| forge.in_team(repo(asked), &asked.team, &asked.who));
    sendable(|forge, asked| forge.install_webhook(repo(asked), &asked.url, &asked.proof));
    sendable(|forge, asked| forge.clone_access(repo(asked)));
    sendable(|forge, asked| forge.clone_refused(repo(asked)));
    sendable(|forge, asked| forge.doctor(Some(repo(asked))));
}
