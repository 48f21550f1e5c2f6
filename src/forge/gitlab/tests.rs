//! The adapter against a GitLab of a few routes on loopback: what goes over the wire, and what is made of the answers.
//! The whole of it runs against the demo's GitLab in the scenarios.

mod hub;
mod judging;

use super::merging::Merge;
use super::*;
use crate::domain::event::Reaction;
use crate::domain::id::{CommentId, Timestamp};
use crate::domain::pull::{Approval, Phase};
use crate::forge::webhook::Proof;
use crate::forge::{Installed, Status, StatusState};
use hub::{Hub, Reply, says};
use serde_json::{Value, json};

const MR: &str = "/projects/acme%2Feu%2Finfra/merge_requests/7";
const PROJECT: &str = "/projects/acme%2Feu%2Finfra";

fn sha(digit: char) -> Sha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn merge_request(more: &Value) -> Value {
    let mut merge_request = json!({
        "id": 99, "iid": 7, "project_id": 5, "title": "A change", "state": "opened", "draft": false,
        "web_url": "https://gitlab.example.com/acme/eu/infra/-/merge_requests/7",
        "author": { "id": 3, "username": "sam", "state": "active" },
        "sha": sha('a'), "source_branch": "topic", "source_project_id": 5, "target_project_id": 5,
        "target_branch": "main", "diff_refs": { "base_sha": sha('0'), "head_sha": sha('a'), "start_sha": sha('1') },
        "merge_status": "can_be_merged", "detailed_merge_status": "mergeable", "merge_commit_sha": null,
        "squash_commit_sha": null, "merged_at": null, "merge_user": null, "head_pipeline": null,
        "updated_at": "2026-11-24T01:02:03.000Z", "a_field_of_tomorrow": [1],
    });
    for (key, value) in more.as_object().unwrap() {
        merge_request[key] = value.clone();
    }
    merge_request
}

fn pipeline(id: u64, sha: &Sha, reference: &str) -> Value {
    json!({ "id": id, "iid": 1, "project_id": 5, "sha": sha, "ref": reference, "status": "running", "source": "push" })
}

fn status(state: StatusState) -> Status {
    let url = Some(Url::parse("https://terraplane.example.com/runs/1").unwrap());
    Status { context: "terraplane/plan".into(), state, description: "1 project planned".into(), url }
}

mod reading {
    use super::*;

    #[tokio::test]
    async fn a_merge_request_is_a_pull_request() {
        let hub = Hub::start().await;
        hub.on(&format!("GET {MR}"), says(200, merge_request(&json!({}))));
        let pull = hub.gitlab().pull(&hub.pull_id()).await.unwrap();
        assert_eq!((pull.head, pull.base), (sha('a'), sha('1')));
        assert_eq!((pull.head_branch.as_str(), pull.base_branch.as_str()), ("topic", "main"));
        assert_eq!((pull.title.as_str(), pull.author.as_str(), pull.fork), ("A change", "sam", false));
        assert_eq!((pull.phase, pull.draft, pull.updated_at), (Phase::Open, false, Timestamp(1_795_482_123_000)));
        assert_eq!(hub.seen(&format!("GET {MR}"))[0].authorization, "Bearer glpat-token");
    }

    #[tokio::test]
    async fn one_that_gitlab_is_still_preparing_gets_its_base_from_the_branch() {
        let hub = Hub::start().await;
        hub.on(&format!("GET {MR}"), says(200, merge_request(&json!({ "diff_refs": null, "draft": null }))));
        let branch = format!("GET {PROJECT}/repository/branches/main");
        hub.on(&branch, says(200, json!({ "name": "main", "commit": { "id": sha('2') } })));
        assert_eq!(hub.gitlab().pull(&hub.pull_id()).await.unwrap().base, sha('2'));
    }

    #[tokio::test]
    async fn one_without_a_head_is_asked_for_again() {
        let hub = Hub::start().await;
        hub.on(&format!("GET {MR}"), says(200, merge_request(&json!({ "sha": null }))));
        let error = hub.gitlab().pull(&hub.pull_id()).await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::Unavailable);
        assert_eq!(error.message, "reading acme/eu/infra!7: GitLab has not found its head yet");
    }

    #[tokio::test]
    async fn forks_merges_and_deleted_accounts_are_told() {
        let hub = Hub::start().await;
        let merged = json!({
            "state": "merged", "source_project_id": null, "author": null, "squash_commit_sha": sha('c'),
            "merge_commit_sha": sha('d'), "merged_at": "2026-11-24T02:00:00.000Z", "merge_user": { "username": "ana" },
        });
        hub.on(&format!("GET {MR}"), says(200, merge_request(&merged)));
        let pull = hub.gitlab().pull(&hub.pull_id()).await.unwrap();
        assert!(pull.fork);
        assert_eq!(pull.author.as_str(), "ghost");
        let by = Some("ana".parse().unwrap());
        assert_eq!(pull.phase, Phase::Merged { commit: sha('d'), by, at: Timestamp(1_795_485_600_000) });
    }

    #[tokio::test]
    async fn a_role_is_that_of_the_member_with_exactly_this_name() {
        let hub = Hub::start().await;
        let others = json!([{ "username": "samantha", "access_level": 50 }, { "username": "Sam", "access_level": 30 }]);
        hub.on(&format!("GET {PROJECT}/members/all"), says(200, others));
        assert_eq!(hub.gitlab().role(&hub.repo(), &"sam".parse().unwrap()).await, Ok(Role::Write));
        assert_eq!(hub.seen(&format!("GET {PROJECT}/members/all"))[0].query, "query=sam&per_page=100");
        assert_eq!(hub.gitlab().role(&hub.repo(), &"sa".parse().unwrap()).await, Ok(Role::None));
    }

    #[tokio::test]
    async fn a_team_is_a_group_of_the_repository_s_group_or_of_one_above_it() {
        let hub = Hub::start().await;
        hub.on("GET /groups/acme%2Feu%2Fsre/members", says(404, json!({ "message": "404 Group Not Found" })));
        hub.on("GET /groups/acme%2Fsre/members", says(200, json!([{ "username": "sam", "access_level": 10 }])));
        let in_team = async |team: &str, who: &str| {
            hub.gitlab().in_team(&hub.repo(), &team.parse().unwrap(), &who.parse().unwrap()).await.unwrap()
        };
        assert!(in_team("sre", "sam").await);
        assert!(!in_team("sre", "ana").await);
        assert!(in_team("acme/sre", "sam").await);
        hub.on("GET /groups/other%2Fsre/members", says(404, json!({ "message": "404 Group Not Found" })));
        assert!(!in_team("other/sre", "sam").await);
    }

    #[tokio::test]
    async fn an_approval_is_of_the_head_of_its_moment_and_counts_if_its_author_may_write() {
        let hub = Hub::start().await;
        let approved_by = |name: &str, at: Option<&str>| json!({ "user": { "username": name }, "approved_at": at });
        let approvals = json!({ "approved_by": [
            approved_by("ana", Some("2026-11-24T01:00:00.000Z")),
            approved_by("rita", Some("2026-11-24T03:00:00.000Z")),
            approved_by("olga", None),
        ] });
        hub.on(&format!("GET {MR}/approvals"), says(200, approvals));
        hub.on(
            &format!("GET {MR}/versions"),
            says(
                200,
                json!([
                    { "id": 2, "head_commit_sha": sha('a'), "created_at": "2026-11-24T02:00:00.000Z" },
                    { "id": 1, "head_commit_sha": sha('9'), "created_at": "2026-11-24T00:00:00.000Z" },
                ]),
            ),
        );
        hub.on(
            &format!("GET {PROJECT}/members/all"),
            says(
                200,
                json!([
                    { "username": "ana", "access_level": 40 }, { "username": "rita", "access_level": 20 },
                    { "username": "olga", "access_level": 30 },
                ]),
            ),
        );
        // Before 18.5 the list does not say when.
        hub.on(&format!("GET {PROJECT}/events"), says(200, json!([
            { "action_name": "approved", "target_iid": 8, "author_username": "olga", "created_at": "2026-11-24T05:00:00.000Z" },
            { "action_name": "approved", "target_iid": 7, "author_username": "ana", "created_at": "2026-11-24T04:30:00.000Z" },
            { "action_name": "approved", "target_iid": 7, "author_username": "olga", "created_at": "2026-11-24T04:00:00.000Z" },
        ])));
        let approval =
            |by: &str, head, by_writer, at| Approval { by: by.parse().unwrap(), head, by_writer, at: Timestamp(at) };
        let hour = |hour: i64| 1_795_478_400_000 + hour * 3_600_000;
        assert_eq!(
            hub.gitlab().approvals(&hub.pull_id()).await.unwrap(),
            [
                approval("ana", sha('9'), true, hour(1)),
                approval("rita", sha('a'), false, hour(3)),
                approval("olga", sha('a'), true, hour(4)),
            ]
        );
    }
}

mod statuses {
    use super::*;

    fn on(sha: &Sha) -> String {
        format!("POST /projects/5/statuses/{sha}")
    }

    fn on_path(sha: &Sha) -> String {
        format!("POST {PROJECT}/statuses/{sha}")
    }

    fn refused() -> Reply {
        let words =
            "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via \"enqueue\")";
        says(400, json!({ "message": words }))
    }

    #[tokio::test]
    async fn a_status_goes_into_the_pipeline_of_the_head() {
        let hub = Hub::start().await;
        let head_pipeline = json!({ "head_pipeline": pipeline(31, &sha('a'), "topic") });
        hub.on(&format!("GET {MR}"), says(200, merge_request(&head_pipeline)));
        hub.on(&on(&sha('a')), says(201, json!({ "id": 1 })));
        hub.gitlab().set_status(&hub.pull_id(), &sha('a'), &status(StatusState::Success)).await.unwrap();
        assert_eq!(
            hub.seen(&on(&sha('a')))[0].body,
            json!({
                "name": "terraplane/plan", "state": "success", "description": "1 project planned", "pipeline_id": 31,
                "target_url": "https://terraplane.example.com/runs/1",
            })
        );
    }

    #[tokio::test]
    async fn of_a_merged_results_pipeline_it_goes_onto_the_commit_that_the_pipeline_runs_on() {
        let hub = Hub::start().await;
        let of_the_merge = pipeline(32, &sha('e'), "refs/merge-requests/7/merge");
        hub.on(&format!("GET {MR}"), says(200, merge_request(&json!({ "head_pipeline": of_the_merge }))));
        let parents = json!({ "id": sha('e'), "parent_ids": [sha('1'), sha('a')] });
        hub.on(&format!("GET /projects/5/repository/commits/{}", sha('e')), says(200, parents));
        hub.on(&on(&sha('e')), says(201, json!({ "id": 1 })));
        hub.gitlab().set_status(&hub.pull_id(), &sha('a'), &status(StatusState::Failure)).await.unwrap();
        let body = &hub.seen(&on(&sha('e')))[0].body;
        assert_eq!((&body["pipeline_id"], &body["state"]), (&json!(32), &json!("failed")));
    }

    #[tokio::test]
    async fn a_pipeline_of_an_older_head_is_left_alone() {
        let hub = Hub::start().await;
        let stale = pipeline(32, &sha('e'), "refs/merge-requests/7/merge");
        hub.on(&format!("GET {MR}"), says(200, merge_request(&json!({ "head_pipeline": stale }))));
        let parents = json!({ "id": sha('e'), "parent_ids": [sha('1'), sha('9')] });
        hub.on(&format!("GET /projects/5/repository/commits/{}", sha('e')), says(200, parents));
        let listed = json!([pipeline(33, &sha('a'), "topic"), stale, pipeline(30, &sha('9'), "topic")]);
        hub.on(&format!("GET {MR}/pipelines"), says(200, listed));
        hub.on(&on(&sha('a')), says(201, json!({ "id": 1 })));
        hub.gitlab().set_status(&hub.pull_id(), &sha('a'), &status(StatusState::Success)).await.unwrap();
        assert_eq!(hub.seen(&on(&sha('a')))[0].body["pipeline_id"], json!(33));
    }

    #[tokio::test]
    async fn where_ci_is_about_to_make_a_pipeline_it_is_waited_for() {
        let hub = Hub::start().await;
        hub.on(&format!("GET {MR}"), says(200, merge_request(&json!({}))));
        hub.on(&format!("GET {MR}/pipelines"), says(200, json!([])));
        hub.on(&format!("GET {MR}/pipelines"), says(200, json!([])));
        hub.on(&format!("GET {MR}/pipelines"), says(200, json!([pipeline(34, &sha('a'), "topic")])));
        hub.on(&format!("GET {PROJECT}"), says(200, json!({ "ci_config_path": "", "builds_access_level": "enabled" })));
        hub.on(&format!("HEAD {PROJECT}/repository/files/.gitlab-ci.yml"), says(200, json!({})));
        hub.on(&on(&sha('a')), says(201, json!({ "id": 1 })));
        hub.gitlab().set_status(&hub.pull_id(), &sha('a'), &status(StatusState::Success)).await.unwrap();
        assert_eq!(hub.seen(&on(&sha('a')))[0].body["pipeline_id"], json!(34));
    }

    #[tokio::test]
    async fn without_ci_it_makes_a_pipeline_of_the_branch() {
        let hub = Hub::start().await;
        hub.on(&format!("GET {MR}"), says(200, merge_request(&json!({}))));
        hub.on(&format!("GET {MR}/pipelines"), says(200, json!([])));
        hub.on(&format!("GET {PROJECT}"), says(200, json!({ "builds_access_level": "disabled" })));
        hub.on(&on_path(&sha('a')), says(201, json!({ "id": 1 })));
        hub.gitlab().set_status(&hub.pull_id(), &sha('a'), &status(StatusState::Success)).await.unwrap();
        let body = &hub.seen(&on_path(&sha('a')))[0].body;
        assert_eq!((&body["ref"], &body["pipeline_id"]), (&json!("topic"), &Value::Null));
    }

    #[tokio::test]
    async fn on_the_commit_that_landed_it_goes_into_the_target_branch_s_pipeline() {
        let hub = Hub::start().await;
        let merged = json!({
            "state": "merged", "squash_commit_sha": sha('c'), "merge_commit_sha": sha('d'),
            "merged_at": "2026-11-24T02:00:00.000Z", "head_pipeline": pipeline(31, &sha('a'), "topic"),
        });
        hub.on(&format!("GET {MR}"), says(200, merge_request(&merged)));
        hub.on(&on_path(&sha('d')), says(201, json!({ "id": 1 })));
        hub.gitlab().set_status(&hub.pull_id(), &sha('d'), &status(StatusState::Success)).await.unwrap();
        assert_eq!(hub.seen(&on_path(&sha('d')))[0].body["ref"], json!("main"));
    }

    #[tokio::test]
    async fn a_protected_branch_says_what_it_asks_for() {
        let hub = Hub::start().await;
        let merged =
            json!({ "state": "merged", "merge_commit_sha": sha('d'), "merged_at": "2026-11-24T02:00:00.000Z" });
        hub.on(&format!("GET {MR}"), says(200, merge_request(&merged)));
        hub.on(&on_path(&sha('d')), says(403, json!({ "message": "403 Forbidden" })));
        let error =
            hub.gitlab().set_status(&hub.pull_id(), &sha('d'), &status(StatusState::Success)).await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::Forbidden);
        assert!(error.message.contains("if `main` is protected"), "{error}");
    }

    #[tokio::test]
    async fn what_a_fork_does_not_allow_is_shown_on_the_commit_in_the_target_project() {
        let hub = Hub::start().await;
        hub.on(&format!("GET {MR}"), says(200, merge_request(&json!({ "source_project_id": 6 }))));
        hub.on(&format!("GET {MR}/pipelines"), says(200, json!([])));
        hub.on(&format!("GET {PROJECT}"), says(200, json!({ "builds_access_level": "disabled" })));
        let fork = format!("POST /projects/6/statuses/{}", sha('a'));
        hub.on(&fork, says(404, json!({ "message": "404 Project Not Found" })));
        hub.on(&on_path(&sha('a')), says(201, json!({ "id": 1 })));
        hub.gitlab().set_status(&hub.pull_id(), &sha('a'), &status(StatusState::Success)).await.unwrap();
        assert_eq!(hub.seen(&on_path(&sha('a')))[0].body["ref"], json!("refs/merge-requests/7/head"));
    }

    #[tokio::test]
    async fn a_pending_status_that_is_told_again_is_running_and_then_stays_as_it_is() {
        let hub = Hub::start().await;
        let head_pipeline = json!({ "head_pipeline": pipeline(31, &sha('a'), "topic") });
        hub.on(&format!("GET {MR}"), says(200, merge_request(&head_pipeline)));
        for reply in [refused(), says(201, json!({ "id": 1 })), refused(), refused()] {
            hub.on(&on(&sha('a')), reply);
        }
        for _ in 0..2 {
            hub.gitlab().set_status(&hub.pull_id(), &sha('a'), &status(StatusState::Pending)).await.unwrap();
        }
        let states: Vec<Value> = hub.seen(&on(&sha('a'))).iter().map(|seen| seen.body["state"].clone()).collect();
        assert_eq!(states, ["pending", "running", "pending", "running"]);
        hub.instead(&on(&sha('a')), says(400, json!({ "message": { "name": ["is too long"] } })));
        let error = hub.gitlab().set_status(&hub.pull_id(), &sha('a'), &status(StatusState::Pending)).await;
        assert_eq!(error.unwrap_err().kind, ForgeErrorKind::Invalid, "any other refusal is one");
    }
}

mod writing {
    use super::*;

    #[tokio::test]
    async fn a_comment_is_made_edited_and_found_and_holds_no_command() {
        let hub = Hub::start().await;
        let (gitlab, id) = (hub.gitlab(), hub.pull_id());
        hub.on(&format!("POST {MR}/notes"), says(201, json!({ "id": 41 })));
        hub.on(&format!("PUT {MR}/notes/41"), says(200, json!({ "id": 41 })));
        assert_eq!(gitlab.create_comment(&id, "<!-- m -->\n/merge").await, Ok(CommentId(41)));
        gitlab.edit_comment(&id, CommentId(41), "<!-- m -->\n/close").await.unwrap();
        assert_eq!(hub.seen(&format!("POST {MR}/notes"))[0].body, json!({ "body": "<!-- m -->\n\u{200b}/merge" }));
        assert_eq!(hub.seen(&format!("PUT {MR}/notes/41"))[0].body, json!({ "body": "<!-- m -->\n\u{200b}/close" }));

        hub.on("GET /user", says(200, json!({ "username": "terraplane" })));
        let note = |id: u64, by: &str, system: bool| json!({ "id": id, "body": "<!-- m -->\ntext", "author": { "username": by }, "system": system, "created_at": "x" });
        let first = says(200, json!([note(1, "sam", false), note(2, "terraplane", true)]));
        let next = "<https://elsewhere.example/api/v4/notes?page=2&per_page=100>; rel=\"next\"";
        hub.on(&format!("GET {MR}/notes"), first.with("link", next));
        hub.on(
            &format!("GET {MR}/notes"),
            says(200, json!([note(3, "Terraplane", false), note(4, "terraplane", false)])),
        );
        assert_eq!(gitlab.find_comment(&id, "<!-- m -->").await, Ok(Some(CommentId(3))));
        let queries: Vec<String> = hub.seen(&format!("GET {MR}/notes")).into_iter().map(|seen| seen.query).collect();
        assert_eq!(queries, ["sort=asc&order_by=created_at&per_page=100", "page=2&per_page=100"]);
    }

    #[tokio::test]
    async fn a_note_of_which_gitlab_made_commands_is_no_comment() {
        let hub = Hub::start().await;
        hub.on(&format!("POST {MR}/notes"), says(202, json!({ "commands_changes": {}, "summary": ["Merged."] })));
        let error = hub.gitlab().create_comment(&hub.pull_id(), "text").await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::Lost);
    }

    #[tokio::test]
    async fn a_token_that_met_a_limit_is_left_alone_until_it_is_over() {
        let hub = Hub::start().await;
        hub.on(&format!("GET {PROJECT}"), says(429, json!({})).with("retry-after", "1"));
        hub.on(&format!("POST {MR}/notes"), says(201, json!({ "id": 41 })));
        let (gitlab, id) = (hub.gitlab(), hub.pull_id());
        let first = gitlab.default_branch(&hub.repo()).await.unwrap_err();
        let second = gitlab.create_comment(&id, "x").await.unwrap_err();
        assert_eq!((second.kind, second.retry_at), (ForgeErrorKind::RateLimited, first.retry_at));
        assert_eq!(hub.seen(&format!("POST {MR}/notes")).len(), 0, "it was not even asked");
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        gitlab.create_comment(&id, "x").await.unwrap();
    }

    #[tokio::test]
    async fn what_is_too_long_is_not_sent() {
        let hub = Hub::start().await;
        let error = hub.gitlab().create_comment(&hub.pull_id(), &"x".repeat(1_000_001)).await.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (
                ForgeErrorKind::Invalid,
                "commenting on acme/eu/infra!7: the comment has 1000001 characters, and GitLab takes 1000000"
            )
        );
    }

    #[tokio::test]
    async fn a_comment_that_is_gone_is_none() {
        let hub = Hub::start().await;
        hub.on(&format!("GET {MR}/notes/41"), says(404, json!({ "message": "404 Not found" })));
        assert_eq!(hub.gitlab().comment(&hub.pull_id(), CommentId(41)).await, Ok(None));
        hub.on(&format!("PUT {MR}/notes/41"), says(404, json!({ "message": "404 Not found" })));
        let error = hub.gitlab().edit_comment(&hub.pull_id(), CommentId(41), "x").await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::NotFound);
    }

    #[tokio::test]
    async fn an_emoji_is_awarded_once() {
        let hub = Hub::start().await;
        let awards = format!("{MR}/notes/41/award_emoji");
        hub.on("GET /user", says(200, json!({ "username": "terraplane" })));
        hub.on(&format!("GET {awards}"), says(200, json!([{ "name": "eyes", "user": { "username": "sam" } }])));
        hub.on(&format!("POST {awards}"), says(201, json!({ "id": 1 })));
        let gitlab = hub.gitlab();
        gitlab.react(&hub.pull_id(), CommentId(41), Reaction::Seen).await.unwrap();
        assert_eq!(hub.seen(&format!("POST {awards}"))[0].body, json!({ "name": "eyes" }));
        hub.instead(
            &format!("GET {awards}"),
            says(200, json!([{ "name": "eyes", "user": { "username": "terraplane" } }])),
        );
        gitlab.react(&hub.pull_id(), CommentId(41), Reaction::Seen).await.unwrap();
        assert_eq!(hub.seen(&format!("POST {awards}")).len(), 1);
    }
}

mod access {
    use super::*;

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (hub, other) = (Hub::start().await, Hub::start().await);
        let elsewhere = format!("{}api/v4/projects/9", other.url);
        hub.on(&format!("GET {PROJECT}"), says(301, json!({})).with("location", elsewhere));
        let error = hub.gitlab().default_branch(&hub.repo()).await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::NotFound);
        assert!(error.message.contains("the project was renamed or moved"), "{error}");
        assert!(other.all().is_empty());
    }

    #[tokio::test]
    async fn a_create_is_sent_once_and_everything_else_until_gitlab_recovers() {
        let hub = Hub::start().await;
        for reply in [says(502, json!({})), Reply::HangUp, says(200, json!({ "default_branch": "main" }))] {
            hub.on(&format!("GET {PROJECT}"), reply);
        }
        assert_eq!(hub.gitlab().default_branch(&hub.repo()).await.unwrap().as_str(), "main");
        for reply in [says(502, json!({})), Reply::HangUp, Reply::Silence] {
            hub.instead(&format!("POST {MR}/notes"), reply);
            let error = hub.gitlab().create_comment(&hub.pull_id(), "x").await.unwrap_err();
            assert_eq!(error.kind, ForgeErrorKind::Lost, "{error}");
        }
        assert_eq!(hub.seen(&format!("POST {MR}/notes")).len(), 3);
    }

    #[tokio::test]
    async fn git_gets_the_whole_path_and_the_token() {
        let hub = Hub::start().await;
        let access = hub.gitlab().clone_access(&hub.repo()).await.unwrap();
        assert_eq!(access.url.as_str(), format!("{}acme/eu/infra.git", hub.url));
        assert_eq!(access.username, "oauth2");
    }

    #[tokio::test]
    async fn a_repository_of_another_host_is_not_asked_about() {
        let hub = Hub::start().await;
        let error = hub.gitlab().default_branch(&"github.com/acme/infra".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::Invalid);
    }

    #[test]
    fn addresses_and_tokens_that_can_not_be_are_refused() {
        let made = |url: &str, token: &str| {
            let settings = GitlabSettings { url: Url::parse(url).unwrap(), token: token.into() };
            Gitlab::new(&settings).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(made("https://gitlab.com", "glpat-x"), Ok(()));
        assert_eq!(made("https://git.example.com:8443/forge", "glpat-x"), Ok(()));
        for (url, token, why) in [
            ("http://gitlab.com", "glpat-x", "plain http is for loopback only"),
            ("ftp://gitlab.com", "glpat-x", "it must begin with https://"),
            ("https://me:secret@gitlab.com", "glpat-x", "it holds credentials"),
            ("https://gitlab.com?a=b", "glpat-x", "it must end with its path"),
            ("https://gitlab.com", "", "the GitLab token is empty"),
            ("https://gitlab.com", "glpat-x\n", "not one word"),
        ] {
            let error = made(url, token).unwrap_err();
            assert!(error.contains(why), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn nothing_that_prints_can_print_the_token() {
        let hub = Hub::start().await;
        hub.on(&format!("GET {PROJECT}"), says(403, json!({ "message": "403 Forbidden" })));
        let error = hub.gitlab().default_branch(&hub.repo()).await.unwrap_err();
        assert!(!format!("{error:?} {:?}", hub.gitlab()).contains("glpat-token"));
    }
}

mod looking {
    use super::*;

    fn ready(hub: &Hub) {
        hub.on("GET /user", says(200, json!({ "username": "terraplane" })));
        hub.on(
            "GET /personal_access_tokens/self",
            says(200, json!({ "name": "t", "scopes": ["api"], "expires_at": "2027-01-01" })),
        );
        let permissions = json!({ "project_access": { "access_level": 30 }, "group_access": { "access_level": 40 } });
        hub.on(&format!("GET {PROJECT}"), says(200, json!({ "default_branch": "main", "permissions": permissions })));
        let hook = json!({
            "id": 1, "url": "https://terraplane.example.com/webhooks/gitlab", "merge_requests_events": true,
            "note_events": true, "alert_status": "executable",
        });
        hub.on(&format!("GET {PROJECT}/hooks"), says(200, json!([hook])));
    }

    async fn trouble(hub: &Hub) -> Vec<(String, String)> {
        let findings = hub.gitlab().doctor(Some(&hub.repo())).await;
        findings.into_iter().filter(|finding| !finding.ok).map(|finding| (finding.what, finding.advice)).collect()
    }

    #[tokio::test]
    async fn where_all_is_well_nothing_is_found() {
        let hub = Hub::start().await;
        ready(&hub);
        assert_eq!(trouble(&hub).await, []);
    }

    #[tokio::test]
    async fn every_lack_is_named_with_what_to_do() {
        let found = async |route: &str, reply: Reply| {
            let hub = Hub::start().await;
            ready(&hub);
            hub.instead(route, reply);
            let findings = hub.gitlab().doctor(Some(&hub.repo())).await;
            let told = findings.into_iter().filter(|finding| !finding.advice.is_empty());
            told.map(|finding| format!("{}: {}", finding.what, finding.advice)).collect::<Vec<_>>().join("\n")
        };
        let lacks = found("GET /user", says(401, json!({ "message": "401 Unauthorized" }))).await;
        assert!(lacks.contains("lets us in: asking whose token this is: GitLab answered 401"), "{lacks}");
        let lacks = found("GET /personal_access_tokens/self", says(200, json!({ "scopes": ["read_api"] }))).await;
        assert!(lacks.contains("it has `read_api`, which can't set a status"), "{lacks}");
        let reporter = json!({ "permissions": { "project_access": { "access_level": 20 }, "group_access": null } });
        let lacks = found(&format!("GET {PROJECT}"), says(200, reporter)).await;
        assert!(lacks.contains("add the account to the project or to its group as a Developer"), "{lacks}");
        let lacks = found(&format!("GET {PROJECT}"), says(404, json!({ "message": "404 Project Not Found" }))).await;
        assert!(lacks.contains("GitLab says the same when it exists and we may not see it"), "{lacks}");
        let lacks = found(&format!("GET {PROJECT}/hooks"), says(200, json!([]))).await;
        assert!(lacks.contains("`terraplane webhook install` makes it"), "{lacks}");
        let deaf = json!([{ "id": 1, "url": "https://t.example.com/events", "merge_requests_events": true }]);
        let lacks = found(&format!("GET {PROJECT}/hooks"), says(200, deaf)).await;
        assert!(lacks.contains("switch on \"Merge request events\" and \"Comments\""), "{lacks}");
    }

    #[tokio::test]
    async fn a_webhook_is_made_once_and_mended_from_then_on() {
        let hub = Hub::start().await;
        let url = Url::parse("https://terraplane.example.com/webhooks/gitlab").unwrap();
        let proof = Proof::Gitlab { token: Some("hush".into()), signing: Some("whsec_aaaa".into()) };
        let hook = json!({ "id": 4, "url": url });
        hub.on(&format!("GET {PROJECT}/hooks"), says(200, json!([{ "id": 3, "url": "https://other.example.com/" }])));
        hub.on(&format!("GET {PROJECT}/hooks"), says(200, json!([hook])));
        hub.on(&format!("POST {PROJECT}/hooks"), says(201, hook.clone()));
        hub.on(&format!("PUT {PROJECT}/hooks/4"), says(200, hook));
        let install = async || hub.gitlab().install_webhook(&hub.repo(), &url, &proof).await.unwrap();
        assert_eq!(install().await, Installed::Created);
        assert_eq!(install().await, Installed::Repaired);
        let wanted = json!({
            "url": url, "merge_requests_events": true, "note_events": true, "push_events": false,
            "enable_ssl_verification": true, "token": "hush", "signing_token": "whsec_aaaa",
        });
        assert_eq!(hub.seen(&format!("POST {PROJECT}/hooks"))[0].body, wanted);
        assert_eq!(hub.seen(&format!("PUT {PROJECT}/hooks/4"))[0].body, wanted);
    }
}

mod catching_up {
    use super::*;
    use crate::domain::missed::{Mark, Seen, Stage};

    const LIST: &str = "GET /projects/acme%2Feu%2Finfra/merge_requests";

    /// Milliseconds after one o'clock.
    fn at(ms: i64) -> Timestamp {
        Timestamp(1_795_482_000_000 + ms)
    }

    fn text(at: Timestamp) -> String {
        jiff::Timestamp::from_millisecond(at.0).unwrap().to_string()
    }

    fn seen(pulls: Timestamp, comments: Timestamp) -> Seen {
        let mark = |until| Mark { until, tag: None };
        Seen { pulls: mark(pulls), comments: mark(comments) }
    }

    fn listed(iid: u64, updated: Timestamp, more: &Value) -> Value {
        let mut listed = merge_request(more);
        listed["iid"] = json!(iid);
        listed["updated_at"] = json!(text(updated));
        listed
    }

    fn note(id: u64, created: Timestamp, updated: Timestamp, system: bool) -> Value {
        json!({ "id": id, "body": "terraplane plan", "author": { "id": 3, "username": "sam" }, "system": system,
            "created_at": text(created), "updated_at": text(updated), "noteable_type": "MergeRequest" })
    }

    #[tokio::test]
    async fn merge_requests_and_their_new_notes_are_found_since_the_marks() {
        let hub = Hub::start().await;
        let merged = json!({ "state": "merged", "merged_at": text(at(300_000)) });
        let first = json!([listed(9, at(300_000), &merged), listed(7, at(200_000), &json!({ "draft": true }))]);
        let next = format!("<{}api/v4/x?page=2>; rel=\"next\"", hub.url);
        hub.on(LIST, says(200, first).with("link", next).with("date", "Tue, 24 Nov 2026 01:05:05 GMT"));
        // It changed before the comments' mark, by more than a note could hide behind.
        hub.on(LIST, says(200, json!([listed(8, at(60_000), &json!({ "state": "closed" }))])));
        let notes = json!([
            note(5, at(250_000), at(250_000), false),
            note(4, at(240_000), at(241_000), false),
            note(3, at(230_000), at(230_000), true),
            note(2, at(190_000), at(190_000), false),
            note(1, at(10_000), at(10_000), false),
        ]);
        hub.on(&format!("GET {MR}/notes"), says(200, notes));
        hub.on(&format!("{LIST}/9/notes"), says(404, json!({ "message": "404 Not found" })));
        let changes = hub.gitlab().changes(&hub.repo(), &seen(at(50_000), at(200_000))).await.unwrap();

        let told: Vec<_> = changes.pulls.iter().map(|p| (p.pull.number.0, p.stage, p.draft)).collect();
        let merged = Stage::Merged { at: at(300_000) };
        assert_eq!(told, [(9, merged, false), (7, Stage::Open, true), (8, Stage::Closed, false)]);
        let told: Vec<_> = changes.comments.iter().map(|r| (r.pull.number.0, r.comment.id.0)).collect();
        assert_eq!(told, [(7, 2), (7, 5)], "neither edited nor GitLab's own, oldest first");
        assert_eq!(changes.seen, seen(at(300_000), at(300_000)));
        let asked = hub.seen(LIST);
        assert_eq!(
            asked[0].query,
            "state=all&scope=all&order_by=updated_at&sort=desc&updated_after=2026-11-24T01%3A00%3A50Z&per_page=100"
        );
        assert_eq!(asked.len(), 2);
    }

    #[tokio::test]
    async fn a_note_that_did_not_move_its_merge_request_is_found_and_later_nothing_is_asked_for() {
        let hub = Hub::start().await;
        let list = |date: &str| says(200, json!([listed(7, at(0), &json!({}))])).with("date", date);
        let notes = format!("GET {MR}/notes");
        // GitLab moves it once a minute at most.
        hub.on(LIST, list("Tue, 24 Nov 2026 01:00:50 GMT"));
        hub.on(&notes, says(200, json!([note(5, at(45_000), at(45_000), false)])));
        let soon = hub.gitlab().changes(&hub.repo(), &seen(at(0), at(0))).await.unwrap();
        assert_eq!((soon.comments.len(), &soon.seen), (1, &seen(at(0), at(0))));
        hub.instead(LIST, list("Tue, 24 Nov 2026 01:02:00 GMT"));
        let later = hub.gitlab().changes(&hub.repo(), &soon.seen).await.unwrap();
        assert_eq!((later.comments.len(), &later.seen), (1, &seen(at(0), at(120_000))));
        assert_eq!(hub.seen(&notes).len(), 2);
        let quiet = hub.gitlab().changes(&hub.repo(), &later.seen).await.unwrap();
        assert_eq!((quiet.comments.len(), &quiet.seen), (0, &later.seen));
        assert_eq!(hub.seen(&notes).len(), 2);
    }

    #[tokio::test]
    async fn one_that_gitlab_is_still_preparing_is_looked_at_again() {
        let hub = Hub::start().await;
        let young = listed(7, at(100_000), &json!({ "sha": null }));
        let other = listed(8, at(200_000), &json!({}));
        hub.on(LIST, says(200, json!([other, young])).with("date", "Tue, 24 Nov 2026 01:03:21 GMT"));
        let known = seen(at(50_000), at(900_000));
        let changes = hub.gitlab().changes(&hub.repo(), &known).await.unwrap();
        assert_eq!(changes.pulls.iter().map(|p| p.pull.number.0).collect::<Vec<_>>(), [8]);
        assert_eq!(changes.seen, seen(at(100_000), at(900_000)));

        // One without commits never has a head.
        let list = json!([listed(8, at(200_000), &json!({})), listed(7, at(100_000), &json!({ "sha": null }))]);
        hub.instead(LIST, says(200, list).with("date", "Tue, 24 Nov 2026 01:20:00 GMT"));
        let changes = hub.gitlab().changes(&hub.repo(), &known).await.unwrap();
        assert_eq!(changes.seen, seen(at(200_000), at(900_000)));
    }

    #[tokio::test]
    async fn where_there_is_nothing_the_marks_stay_and_nonsense_is_an_error() {
        let hub = Hub::start().await;
        hub.on(LIST, says(200, json!([])));
        let known = seen(at(1), at(2));
        assert_eq!(hub.gitlab().changes(&hub.repo(), &known).await.unwrap().seen, known);
        hub.instead(LIST, says(200, json!([listed(7, at(5), &json!({ "updated_at": 1, "sha": "nonsense" }))])));
        let error = hub.gitlab().changes(&hub.repo(), &known).await.unwrap_err();
        assert!(error.message.starts_with("looking for changed merge requests in acme/eu/infra: "), "{error}");
    }
}
