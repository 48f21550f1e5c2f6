//! The client against a small, strict GitHub.

mod hub;
mod judgement;

use super::*;
use crate::domain::id::{PullNumber, Timestamp};
use crate::domain::pull::Phase;
use crate::forge::Installed;
use crate::forge::webhook::Proof;
use crate::forge::{ForgeErrorKind, StatusState};
use hub::{APP_KEY, Hub, INSTALLATION, PERSONAL_TOKEN, Reply, says};
use secrecy::ExposeSecret as _;
use serde_json::Value;

const HEAD: &str = "1111111111111111111111111111111111111111";
const BASE: &str = "2222222222222222222222222222222222222222";
const MERGE: &str = "3333333333333333333333333333333333333333";
const MARKER: &str = "<!-- terraplane:live -->";

const PULL: &str = "GET /repos/acme/infra/pulls/7";
const REVIEWS: &str = "GET /repos/acme/infra/pulls/7/reviews?per_page=100";
const COMMENT: &str = "POST /repos/acme/infra/issues/7/comments";
const COMMENTS: &str = "GET /repos/acme/infra/issues/7/comments?per_page=100";
const EDIT: &str = "PATCH /repos/acme/infra/issues/comments/41";

fn token_line() -> String {
    format!("POST /app/installations/{INSTALLATION}/access_tokens")
}

fn pull_id(hub: &Hub) -> PullId {
    PullId { repo: hub.repo().parse().unwrap(), number: PullNumber(7) }
}

fn pull(change: &Value) -> Value {
    let mut pull = json!({
        "number": 7, "title": "Wider subnets", "html_url": "https://ghe.example.com/acme/infra/pull/7",
        "user": { "login": "sam", "type": "User" }, "state": "open", "draft": false, "merged": false,
        "merged_at": null, "merged_by": null, "merge_commit_sha": MERGE, "mergeable": true,
        "updated_at": "2026-11-24T01:02:03Z", "a_field_of_tomorrow": [{}],
        "head": { "sha": HEAD, "ref": "subnets", "repo": { "id": 1 } },
        "base": { "sha": BASE, "ref": "main", "repo": { "id": 1 } },
    });
    for (key, value) in change.as_object().unwrap() {
        pull[key] = value.clone();
    }
    pull
}

fn review(by: &str, state: &str, day: u8) -> Value {
    json!({
        "user": { "login": by, "type": "User" }, "state": state, "commit_id": HEAD,
        "submitted_at": format!("2026-11-{day:02}T00:00:00Z"),
    })
}

fn comment(id: u64, by: &str, body: &str) -> Value {
    json!({ "id": id, "user": { "login": by, "type": "User" }, "body": body, "created_at": "2026-11-24T01:02:03Z" })
}

fn role_line(who: &str) -> String {
    format!("GET /repos/acme/infra/collaborators/{who}/permission")
}

fn kind<T: fmt::Debug>(result: Result<T, ForgeError>) -> ForgeErrorKind {
    result.unwrap_err().kind
}

mod reading {
    use super::*;

    #[tokio::test]
    async fn an_open_pull_request_is_told_as_it_is() {
        let hub = Hub::start().await;
        hub.on(PULL, says(200, pull(&json!({}))));
        let told = hub.with_token().pull(&pull_id(&hub)).await.unwrap();
        assert_eq!(
            told,
            Pull {
                id: pull_id(&hub),
                title: "Wider subnets".into(),
                html_url: "https://ghe.example.com/acme/infra/pull/7".into(),
                author: "sam".parse().unwrap(),
                head: HEAD.parse().unwrap(),
                head_branch: "subnets".into(),
                fork: false,
                base_branch: "main".parse().unwrap(),
                base: BASE.parse().unwrap(),
                draft: false,
                phase: Phase::Open,
                updated_at: Timestamp(1_795_482_123_000),
            }
        );
    }

    #[tokio::test]
    async fn a_pull_request_may_be_merged_closed_a_draft_or_from_a_fork() {
        let hub = Hub::start().await;
        let merged = json!({ "state": "closed", "merged": true, "merged_at": "2026-11-24T01:02:03Z",
            "merged_by": { "login": "ana" } });
        hub.on(PULL, says(200, pull(&merged)))
            .on(PULL, says(200, pull(&json!({ "state": "closed" }))))
            .on(PULL, says(200, pull(&json!({ "draft": true, "user": null }))))
            .on(PULL, says(200, pull(&json!({ "head": { "sha": HEAD, "ref": "x", "repo": { "id": 2 } } }))))
            .on(PULL, says(200, pull(&json!({ "head": { "sha": HEAD, "ref": "x", "repo": null } }))));
        let github = hub.with_token();
        let id = pull_id(&hub);

        let by = Some("ana".parse().unwrap());
        let at = Timestamp(1_795_482_123_000);
        assert_eq!(github.pull(&id).await.unwrap().phase, Phase::Merged { commit: MERGE.parse().unwrap(), by, at });
        assert_eq!(github.pull(&id).await.unwrap().phase, Phase::Closed);
        let draft = github.pull(&id).await.unwrap();
        assert!(draft.draft && draft.is_open());
        assert_eq!(draft.author.as_str(), "ghost", "the author's account is gone");
        assert!(github.pull(&id).await.unwrap().fork);
        assert!(github.pull(&id).await.unwrap().fork, "the fork was deleted");
    }

    #[tokio::test]
    async fn a_draft_is_not_mergeable_and_nobody_knows_while_github_computes() {
        for (answer, mergeable) in [
            (json!({ "mergeable": true }), Some(true)),
            (json!({ "mergeable": false }), Some(false)),
            (json!({ "mergeable": null }), None),
            (json!({ "mergeable": null, "draft": true }), Some(false)),
            (json!({ "mergeable": true, "draft": true }), Some(false)),
            (json!({ "mergeable": true, "mergeable_state": "a state of tomorrow" }), Some(true)),
        ] {
            let hub = Hub::start().await;
            hub.on(PULL, says(200, pull(&answer)));
            assert_eq!(hub.with_token().mergeable(&pull_id(&hub)).await.unwrap(), mergeable, "{answer}");
        }
    }

    #[tokio::test]
    async fn of_each_person_the_newest_verdict_counts() {
        let hub = Hub::start().await;
        let reviews = json!([
            review("ana", "APPROVED", 1),
            review("ana", "COMMENTED", 2),
            review("ben", "APPROVED", 1),
            review("ben", "CHANGES_REQUESTED", 2),
            review("cleo", "DISMISSED", 2),
            review("Dan", "CHANGES_REQUESTED", 1),
            review("dan", "APPROVED", 2),
            review("eve", "A_STATE_OF_TOMORROW", 2),
            { "user": null, "state": "APPROVED", "commit_id": HEAD, "submitted_at": "2026-11-02T00:00:00Z" },
            { "user": { "login": "fay" }, "state": "APPROVED", "commit_id": null, "submitted_at": "2026-11-02T00:00:00Z" },
            { "user": { "login": "gus" }, "state": "PENDING" },
        ]);
        hub.on(REVIEWS, says(200, reviews))
            .on(&role_line("ana"), says(200, json!({ "permission": "write", "role_name": "maintain" })))
            .on(&role_line("dan"), says(200, json!({ "permission": "read", "role_name": "read" })));

        let approvals = hub.with_token().approvals(&pull_id(&hub)).await.unwrap();
        let approvals: Vec<_> = approvals.iter().map(|a| (a.by.as_str(), a.head.as_str(), a.by_writer)).collect();
        assert_eq!(approvals, [("ana", HEAD, true), ("dan", HEAD, false)]);
        assert_eq!(hub.lines().len(), 3, "the role of each approver is asked for once: {:?}", hub.lines());
    }

    #[tokio::test]
    async fn the_second_page_is_asked_for_with_the_apps_token_though_the_host_is_not_github_com() {
        let hub = Hub::start().await;
        let next = "/repositories/1/pulls/7/reviews?per_page=100&page=2";
        let link = format!("<{}{next}>; rel=\"next\", <{}{next}>; rel=\"last\"", hub.url, hub.url);
        hub.on(REVIEWS, says(200, json!([review("ana", "APPROVED", 1)])).with("link", link))
            .on(&format!("GET {next}"), says(200, json!([review("ana", "DISMISSED", 2), review("ben", "APPROVED", 2)])))
            .on(&role_line("ben"), says(200, json!({ "permission": "admin" })));

        let approvals = hub.with_app().approvals(&pull_id(&hub)).await.unwrap();
        assert_eq!(approvals.iter().map(|approval| approval.by.as_str()).collect::<Vec<_>>(), ["ben"]);
        assert_eq!(hub.seen(&format!("GET {next}"))[0].authorization, hub.seen(REVIEWS)[0].authorization);
    }

    #[tokio::test]
    async fn whoever_github_does_not_know_in_a_repository_has_no_role() {
        let hub = Hub::start().await;
        hub.on(&role_line("ana"), says(200, json!({ "permission": "write", "role_name": "triage" })))
            .on(&role_line("dependabot[bot]"), says(404, json!({ "message": "dependabot[bot] is not a user" })));
        let (github, repo) = (hub.with_token(), pull_id(&hub).repo);
        assert_eq!(github.role(&repo, &"ana".parse().unwrap()).await, Ok(Role::Triage));
        assert_eq!(github.role(&repo, &"dependabot[bot]".parse().unwrap()).await, Ok(Role::None));
    }

    #[tokio::test]
    async fn a_team_is_asked_in_the_organisation_of_the_repository_or_in_the_one_that_is_named() {
        let hub = Hub::start().await;
        let line = |team: &str, who: &str| format!("GET /orgs/{team}/memberships/{who}");
        hub.on(&line("acme/teams/sre", "ana"), says(200, json!({ "state": "active", "role": "member" })))
            .on(&line("acme/teams/sre", "sam"), says(200, json!({ "state": "pending", "role": "member" })))
            .on(&line("acme/teams/sre", "otto"), says(404, json!({ "message": "Not Found" })))
            .on(&line("platform/teams/sre", "otto"), says(200, json!({ "state": "active", "role": "maintainer" })));
        let (github, repo) = (hub.with_token(), pull_id(&hub).repo);
        for (team, who, wanted) in
            [("sre", "ana", true), ("sre", "sam", false), ("sre", "otto", false), ("platform/sre", "otto", true)]
        {
            let (team, login) = (team.parse().unwrap(), who.parse().unwrap());
            assert_eq!(github.in_team(&repo, &team, &login).await, Ok(wanted), "{team} {who}");
        }
    }

    #[tokio::test]
    async fn a_comment_that_is_gone_is_none() {
        let hub = Hub::start().await;
        let line = "GET /repos/acme/infra/issues/comments/41";
        hub.on(line, says(200, comment(41, "ana", "terraplane plan"))).on(line, says(404, json!({})));
        let (github, id) = (hub.with_token(), pull_id(&hub));
        let told = github.comment(&id, CommentId(41)).await.unwrap().unwrap();
        assert_eq!((told.author.as_str(), told.body.as_str(), told.by_bot), ("ana", "terraplane plan", false));
        assert_eq!(github.comment(&id, CommentId(41)).await, Ok(None));
    }

    #[tokio::test]
    async fn a_renamed_repository_is_still_read_and_no_longer_written() {
        let hub = Hub::start().await;
        let moved = format!("{}/repositories/1", hub.url);
        hub.on("GET /repos/acme/infra", says(301, json!({})).with("location", moved.clone()))
            .on("GET /repositories/1", says(200, json!({ "default_branch": "trunk" })))
            .on(
                COMMENT,
                says(307, json!({ "message": "Moved" })).with("location", format!("{moved}/issues/7/comments")),
            );
        let github = hub.with_token();
        assert_eq!(github.default_branch(&pull_id(&hub).repo).await.unwrap().as_str(), "trunk");
        assert_eq!(kind(github.create_comment(&pull_id(&hub), "x").await), ForgeErrorKind::NotFound);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_as_documented_is_no_answer() {
        let hub = Hub::start().await;
        hub.on(PULL, says(200, json!({ "please": "log in to the proxy" })));
        let error = hub.with_token().pull(&pull_id(&hub)).await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::Unavailable);
        assert!(error.message.starts_with("reading acme/infra#7: GitHub's answer is not as documented: "), "{error}");
    }
}

mod writing {
    use super::*;

    #[tokio::test]
    async fn a_comment_is_created_edited_and_found_again() {
        let hub = Hub::start().await;
        let next = "/repositories/1/issues/7/comments?page=2";
        hub.on(COMMENT, says(201, json!({ "id": 41 }))).on(EDIT, says(200, json!({ "id": 41 })));
        let others = json!([
            comment(1, "mallory", &format!("{MARKER}\nI am the plan")),
            comment(2, "terra-bot", &format!("quoting {MARKER}")),
            comment(3, "terra-bot", &format!("a quote:\n{MARKER}")),
            { "id": 4, "user": null, "body": null, "created_at": "2026-11-24T01:02:03Z" },
        ]);
        let ours = json!([
            comment(41, "terra-bot", &format!("{MARKER}\r\nplan")),
            comment(42, "terra-bot", &format!("{MARKER}\nplan")),
        ]);
        hub.on(
            COMMENTS,
            says(200, others).with("link", format!("<https://elsewhere.example/api/v3{next}>; rel=\"next\"")),
        )
        .on(&format!("GET {next}"), says(200, ours));

        let (github, id) = (hub.with_token(), pull_id(&hub));
        assert_eq!(github.create_comment(&id, "hello").await, Ok(CommentId(41)));
        assert_eq!(hub.seen(COMMENT)[0].body, json!({ "body": "hello" }));
        github.edit_comment(&id, CommentId(41), "bye").await.unwrap();
        assert_eq!(hub.seen(EDIT)[0].body, json!({ "body": "bye" }));
        assert_eq!(github.find_comment(&id, MARKER).await, Ok(Some(CommentId(41))));
        assert_eq!(github.find_comment(&id, "<!-- another -->").await, Ok(None));
    }

    #[tokio::test]
    async fn a_status_is_set_with_what_is_shown_and_where_it_leads() {
        let hub = Hub::start().await;
        let line = format!("POST /repos/acme/infra/statuses/{HEAD}");
        hub.on(&line, says(201, json!({ "id": 5 })));
        let (github, id, sha) = (hub.with_token(), pull_id(&hub), HEAD.parse().unwrap());
        let mut status = Status {
            context: "terraplane/plan".into(),
            state: StatusState::Failure,
            description: "1 of 2 failed".into(),
            url: Some("https://terraplane.example.com/runs/1".parse().unwrap()),
        };
        github.set_status(&id, &sha, &status).await.unwrap();
        status.url = None;
        status.state = StatusState::Pending;
        github.set_status(&id, &sha, &status).await.unwrap();
        let bodies: Vec<_> = hub.seen(&line).into_iter().map(|seen| seen.body).collect();
        assert_eq!(
            bodies,
            [
                json!({ "context": "terraplane/plan", "state": "failure", "description": "1 of 2 failed",
                    "target_url": "https://terraplane.example.com/runs/1" }),
                json!({ "context": "terraplane/plan", "state": "pending", "description": "1 of 2 failed" }),
            ]
        );
    }

    #[tokio::test]
    async fn a_comment_is_acknowledged_in_githubs_own_words() {
        let hub = Hub::start().await;
        let line = "POST /repos/acme/infra/issues/comments/41/reactions";
        hub.on(line, says(201, json!({ "id": 1 }))).on(line, says(200, json!({ "id": 1 })));
        let (github, id) = (hub.with_token(), pull_id(&hub));
        for reaction in [Reaction::Seen, Reaction::Done, Reaction::Failed] {
            github.react(&id, CommentId(41), reaction).await.unwrap();
        }
        let words: Vec<_> = hub.seen(line).into_iter().map(|seen| seen.body["content"].clone()).collect();
        assert_eq!(words, ["eyes", "+1", "confused"]);
    }

    #[tokio::test]
    async fn a_label_takes_the_place_of_its_family_and_of_no_other() {
        let hub = Hub::start().await;
        let (list, add) =
            ("GET /repos/acme/infra/issues/7/labels?per_page=100", "POST /repos/acme/infra/issues/7/labels");
        let old = "DELETE /repos/acme/infra/issues/7/labels/tp:%20changes";
        hub.on(list, says(200, json!([{ "name": "bug" }, { "name": "tp: changes" }])))
            // Somebody else was faster.
            .on(old, says(404, json!({ "message": "Label does not exist" })))
            .on(add, says(200, json!([])));
        let (github, id) = (hub.with_token(), pull_id(&hub));
        github.relabel(&id, "tp: ", Some("tp: destroy")).await.unwrap();
        assert_eq!((hub.seen(old).len(), hub.seen(add).len()), (1, 1));
        assert_eq!(hub.seen(add)[0].body, json!({ "labels": ["tp: destroy"] }));
        github.relabel(&id, "tp: ", Some("tp: changes")).await.unwrap();
        assert_eq!((hub.seen(old).len(), hub.seen(add).len()), (1, 1), "it is there");
    }

    #[tokio::test]
    async fn a_webhook_is_made_once_and_mended_from_then_on() {
        let hub = Hub::start().await;
        let (list, make) = ("GET /repos/acme/infra/hooks?per_page=100", "POST /repos/acme/infra/hooks");
        let elsewhere = json!({ "id": 1, "config": { "url": "https://ci.example.com/" } });
        let ours = json!({ "id": 2, "config": { "url": "https://t.example.com/webhooks/github" } });
        hub.on(list, says(200, json!([elsewhere])))
            .on(list, says(200, json!([elsewhere, ours])))
            .on(make, says(201, ours.clone()))
            .on("PATCH /repos/acme/infra/hooks/2", says(200, ours));
        let (github, repo) = (hub.with_token(), pull_id(&hub).repo);
        let (url, proof) = ("https://t.example.com/webhooks/github".parse().unwrap(), Proof::Github("hush".into()));
        assert_eq!(github.install_webhook(&repo, &url, &proof).await, Ok(Installed::Created));
        assert_eq!(github.install_webhook(&repo, &url, &proof).await, Ok(Installed::Repaired));
        let wanted = json!({ "active": true, "events": ["issue_comment", "merge_group", "pull_request", "pull_request_review"],
            "config": { "url": url, "content_type": "json", "insecure_ssl": "0", "secret": "hush" } });
        assert_eq!(hub.seen("PATCH /repos/acme/infra/hooks/2")[0].body, wanted);
        let mut made = hub.seen(make)[0].body.clone();
        assert_eq!(made.as_object_mut().unwrap().remove("name"), Some(json!("web")));
        assert_eq!(made, wanted);
    }

    #[tokio::test]
    async fn an_apps_own_webhook_is_the_one_that_is_mended() {
        let hub = Hub::start().await;
        hub.instead("PATCH /app/hook/config", says(200, json!({})));
        let (github, repo) = (hub.with_app(), pull_id(&hub).repo);
        let (url, proof) = ("https://t.example.com/webhooks/github".parse().unwrap(), Proof::Github("hush".into()));
        assert_eq!(github.install_webhook(&repo, &url, &proof).await, Ok(Installed::Repaired));
        let sent = hub.seen("PATCH /app/hook/config")[0].body.clone();
        assert_eq!((sent["url"].as_str(), sent["secret"].as_str()), (Some(url.as_str()), Some("hush")));
    }

    #[tokio::test]
    async fn what_is_too_long_is_refused_before_it_is_sent() {
        let hub = Hub::start().await;
        hub.on(COMMENT, says(201, json!({ "id": 41 })));
        let (github, id) = (hub.with_token(), pull_id(&hub));
        let error = github.create_comment(&id, &"é".repeat(65_537)).await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::Invalid);
        assert_eq!(
            error.to_string(),
            "commenting on acme/infra#7: the comment has 65537 characters, and GitHub takes 65536"
        );
        assert_eq!(kind(github.edit_comment(&id, CommentId(1), &"x".repeat(65_537)).await), ForgeErrorKind::Invalid);
        let status =
            Status { context: "c".into(), state: StatusState::Success, description: "x".repeat(141), url: None };
        assert_eq!(kind(github.set_status(&id, &HEAD.parse().unwrap(), &status).await), ForgeErrorKind::Invalid);
        assert_eq!(hub.lines(), [""; 0], "nothing was sent");

        github.create_comment(&id, &"é".repeat(65_536)).await.unwrap();
    }

    #[tokio::test]
    async fn a_repository_of_another_forge_is_never_asked_for_here() {
        let hub = Hub::start().await;
        let github = hub.with_token();
        let elsewhere: RepoName = "github.com/acme/infra".parse().unwrap();
        assert_eq!(kind(github.default_branch(&elsewhere).await), ForgeErrorKind::Invalid);
        assert_eq!(kind(github.clone_access(&elsewhere).await), ForgeErrorKind::Invalid);
        assert_eq!(hub.lines(), [""; 0]);
    }
}

mod failing {
    use super::*;

    #[tokio::test]
    async fn a_comment_is_not_sent_again_after_a_502_because_it_may_be_there() {
        let hub = Hub::start().await;
        hub.on(COMMENT, says(502, json!({ "message": "Server Error" })));
        let error = hub.with_token().create_comment(&pull_id(&hub), "hello").await.unwrap_err();
        assert_eq!((error.kind, error.status), (ForgeErrorKind::Lost, Some(502)));
        assert_eq!(error.to_string(), "commenting on acme/infra#7: GitHub answered 502 Bad Gateway: Server Error");
        assert_eq!(hub.seen(COMMENT).len(), 1);
    }

    #[tokio::test]
    async fn a_lost_answer_to_a_comment_is_lost_and_the_comment_can_be_looked_for() {
        for fate in [Reply::HangUp, Reply::Silence] {
            let hub = Hub::start().await;
            hub.on(COMMENT, fate).on(COMMENTS, says(200, json!([comment(41, "terra-bot", MARKER)])));
            let (github, id) = (hub.with_token(), pull_id(&hub));
            let error = hub.in_a_hurry().create_comment(&id, MARKER).await.unwrap_err();
            assert_eq!((error.kind, error.status), (ForgeErrorKind::Lost, None), "{error}");
            assert_eq!(hub.seen(COMMENT).len(), 1);
            assert_eq!(github.find_comment(&id, MARKER).await, Ok(Some(CommentId(41))));
        }
    }

    #[tokio::test]
    async fn an_app_that_gets_no_token_has_not_lost_a_comment() {
        let hub = Hub::start().await;
        hub.on(&token_line(), says(503, json!({})));
        let error = hub.with_app().create_comment(&pull_id(&hub), "hello").await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::Unavailable, "nothing was written, so nothing need be looked for");
        assert_eq!((hub.seen(&token_line()).len(), hub.seen(COMMENT).len()), (3, 0));
    }

    #[tokio::test]
    async fn a_post_that_was_answered_like_a_get_made_nothing_that_we_know_of() {
        let hub = Hub::start().await;
        hub.on(COMMENT, says(200, json!([]))).on(COMMENT, says(200, json!({ "id": 41 })));
        let (github, id) = (hub.with_token(), pull_id(&hub));
        assert_eq!(kind(github.create_comment(&id, "hello").await), ForgeErrorKind::Lost);
        assert_eq!(kind(github.create_comment(&id, "hello").await), ForgeErrorKind::Lost);
    }

    #[tokio::test]
    async fn reading_and_editing_are_tried_again_until_github_recovers() {
        let hub = Hub::start().await;
        hub.on(PULL, says(502, json!({}))).on(PULL, Reply::HangUp).on(PULL, says(200, pull(&json!({}))));
        hub.on(EDIT, says(500, json!({}))).on(EDIT, says(200, json!({})));
        let (github, id) = (hub.with_token(), pull_id(&hub));
        github.pull(&id).await.unwrap();
        github.edit_comment(&id, CommentId(41), "bye").await.unwrap();
        assert_eq!((hub.seen(PULL).len(), hub.seen(EDIT).len()), (3, 2));
    }

    #[tokio::test]
    async fn a_github_that_is_not_there_is_unavailable() {
        let nobody = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        let settings = GithubSettings {
            api_url: format!("http://{nobody}/api/v3").parse().unwrap(),
            auth: GithubAuth::Token(PERSONAL_TOKEN.into()),
        };
        let error = Github::new(&settings).unwrap().me().await.unwrap_err();
        assert_eq!((error.kind, error.status), (ForgeErrorKind::Unavailable, None));
        assert!(
            error.message.starts_with("asking whose token this is: ") && error.message.contains("refused"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_secondary_rate_limit_says_when_to_come_back_and_is_not_sat_out() {
        let hub = Hub::start().await;
        let limited = says(403, json!({ "message": "You have exceeded a secondary rate limit." }));
        hub.on(PULL, limited.clone().with("retry-after", "120")).on(COMMENT, limited.with("retry-after", "120"));
        let id = pull_id(&hub);
        let before = crate::forge::failure::now();
        let answers = [
            hub.with_token().pull(&id).await.unwrap_err(),
            hub.with_token().create_comment(&id, "x").await.unwrap_err(),
        ];
        for error in answers {
            assert_eq!((error.kind, error.status), (ForgeErrorKind::RateLimited, Some(403)));
            let wait = error.retry_at.unwrap().since(before);
            assert!((120_000..150_000).contains(&wait), "{wait} ms");
        }
        assert_eq!((hub.seen(PULL).len(), hub.seen(COMMENT).len()), (1, 1));
    }

    #[tokio::test]
    async fn a_token_that_met_a_limit_is_left_alone_until_it_is_over() {
        let hub = Hub::start().await;
        let limited = says(429, json!({ "message": "You have exceeded a secondary rate limit." }));
        hub.on(PULL, limited.with("retry-after", "1")).on(COMMENT, says(201, json!({ "id": 5 })));
        let (github, id) = (hub.with_token(), pull_id(&hub));
        let first = github.pull(&id).await.unwrap_err();
        let second = github.create_comment(&id, "x").await.unwrap_err();
        assert_eq!((second.kind, second.retry_at), (ForgeErrorKind::RateLimited, first.retry_at));
        assert_eq!(hub.seen(COMMENT).len(), 0, "it was not even asked");
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        github.create_comment(&id, "x").await.unwrap();
    }

    #[tokio::test]
    async fn a_missing_permission_is_named() {
        let hub = Hub::start().await;
        let refusal = says(403, json!({ "message": "Resource not accessible by integration" }));
        hub.on(COMMENT, refusal.with("x-accepted-github-permissions", "issues=write; pull_requests=write"));
        let error = hub.with_token().create_comment(&pull_id(&hub), "x").await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::Forbidden);
        assert_eq!(
            error.to_string(),
            "commenting on acme/infra#7: GitHub answered 403 Forbidden: Resource not accessible by integration \
             (it needs `issues=write; pull_requests=write`)"
        );
    }
}

mod signing_in {
    use super::*;

    #[tokio::test]
    async fn an_app_is_given_one_token_per_repository_however_many_ask_at_once() {
        let hub = Hub::start().await;
        hub.on(PULL, says(200, pull(&json!({}))));
        let (github, id) = (hub.with_app(), pull_id(&hub));
        // The first request finds the installation; those after it find out together that there is no token.
        github.pull(&id).await.unwrap();
        hub.revoke_tokens();
        let asked = futures::future::join_all((0..8).map(|_| github.pull(&id))).await;
        assert!(asked.iter().all(Result::is_ok), "{asked:?}");
        assert_eq!(hub.seen(&token_line()).len(), 2, "one at first, one for all who were refused");
        assert_eq!(hub.seen(&token_line())[0].body, json!({ "repositories": ["infra"] }));
        assert_eq!(hub.seen("GET /repos/acme/infra/installation").len(), 1);
    }

    #[tokio::test]
    async fn a_refused_installation_token_is_replaced_once_and_even_a_comment_is_sent_then() {
        let hub = Hub::start().await;
        hub.on(COMMENT, says(201, json!({ "id": 41 })));
        let (github, id) = (hub.with_app(), pull_id(&hub));
        github.create_comment(&id, "one").await.unwrap();
        hub.revoke_tokens();
        github.create_comment(&id, "two").await.unwrap();
        let sent: Vec<_> = hub.seen(COMMENT).into_iter().map(|seen| seen.authorization).collect();
        assert_eq!(
            sent,
            ["Bearer installation-token-1", "Bearer installation-token-1", "Bearer installation-token-2"],
            "a refused request did nothing, so it may be sent again"
        );

        hub.give_bad_tokens();
        assert_eq!(kind(github.create_comment(&id, "three").await), ForgeErrorKind::Unauthorized);
        assert_eq!(hub.seen(COMMENT).len(), 5, "once with the old token, once with a new one, and no more");
    }

    #[tokio::test]
    async fn a_refused_personal_token_is_refused_and_that_is_all() {
        let hub = Hub::start().await;
        hub.revoke_tokens();
        let error = hub.with_token().pull(&pull_id(&hub)).await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::Unauthorized);
        assert_eq!(hub.seen(PULL).len(), 1);
        assert!(!format!("{error:?}").contains(PERSONAL_TOKEN));
    }

    #[tokio::test]
    async fn a_token_that_ends_soon_is_replaced_before_it_is_used() {
        let hub = Hub::start().await;
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5);
        hub.on(&token_line(), says(201, json!({ "token": PERSONAL_TOKEN, "expires_at": soon.to_string() })));
        hub.on(PULL, says(200, pull(&json!({}))));
        let (github, id) = (hub.with_app(), pull_id(&hub));
        github.pull(&id).await.unwrap();
        github.pull(&id).await.unwrap();
        assert_eq!(hub.seen(&token_line()).len(), 2);
    }

    #[tokio::test]
    async fn an_app_that_was_installed_anew_is_found_again() {
        let hub = Hub::start().await;
        let installation = "GET /repos/acme/infra/installation";
        hub.on(PULL, says(200, pull(&json!({}))))
            .instead(installation, says(200, json!({ "id": 98 })))
            .on(installation, says(200, json!({ "id": INSTALLATION })));
        let gone = "POST /app/installations/98/access_tokens";
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
        hub.on(gone, says(201, json!({ "token": PERSONAL_TOKEN, "expires_at": soon.to_string() })))
            .on(gone, says(404, json!({ "message": "Not Found" })));
        let (github, id) = (hub.with_app(), pull_id(&hub));
        github.pull(&id).await.unwrap();
        github.pull(&id).await.unwrap();
        assert_eq!(hub.seen(PULL)[1].authorization, "Bearer installation-token-1");
    }

    #[tokio::test]
    async fn an_app_that_is_not_installed_says_what_to_do() {
        let hub = Hub::start().await;
        hub.instead("GET /repos/acme/infra/installation", says(404, json!({ "message": "Not Found" })));
        let error = hub.with_app().pull(&pull_id(&hub)).await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::NotFound);
        assert_eq!(
            error.to_string(),
            "looking for the App's installation on acme/infra: GitHub answered 404 Not Found: Not Found \
             (install the App on this repository)"
        );
    }

    #[tokio::test]
    async fn git_gets_a_token_of_its_own_that_may_only_read_this_repository() {
        let hub = Hub::start().await;
        hub.on(PULL, says(200, pull(&json!({}))));
        let (github, id) = (hub.with_app(), pull_id(&hub));
        github.pull(&id).await.unwrap();
        let access = github.clone_access(&id.repo).await.unwrap();
        let again = github.clone_access(&id.repo).await.unwrap();
        assert_eq!(access.url.as_str(), format!("http://{}.git", hub.repo()));
        assert_eq!(access.username, "x-access-token");
        assert_eq!(access.token.expose_secret(), "installation-token-2");
        assert_eq!(again.token.expose_secret(), "installation-token-2");
        assert_eq!(
            hub.seen(&token_line())[1].body,
            json!({ "repositories": ["infra"], "permissions": { "contents": "read" } })
        );

        github.clone_refused(&id.repo).await;
        assert_eq!(github.clone_access(&id.repo).await.unwrap().token.expose_secret(), "installation-token-3");
    }

    #[tokio::test]
    async fn we_know_under_which_name_we_write() {
        let hub = Hub::start().await;
        let (app, user) = (hub.with_app(), hub.with_token());
        assert_eq!(app.me().await.unwrap().as_str(), "terraplane[bot]");
        assert_eq!(user.me().await.unwrap().as_str(), "Terra-Bot");
        app.me().await.unwrap();
        assert_eq!(hub.seen("GET /app").len(), 1, "asked once");
    }

    #[tokio::test]
    async fn nothing_that_prints_prints_a_secret() {
        let hub = Hub::start().await;
        hub.on(PULL, says(200, pull(&json!({}))));
        let (github, id) = (hub.with_app(), pull_id(&hub));
        github.pull(&id).await.unwrap();
        let access = github.clone_access(&id.repo).await.unwrap();
        let app = GithubAuth::App { app_id: 1, private_key: APP_KEY.pem.clone().into() };
        let settings = GithubSettings { api_url: hub.url.clone(), auth: app };
        let printed = format!("{github:?} {access:?} {settings:?} {:?}", GithubAuth::Token(PERSONAL_TOKEN.into()));
        for secret in ["installation-token", "PRIVATE KEY", PERSONAL_TOKEN] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}

mod setting_up {
    use super::*;

    async fn refusal(api_url: &str, auth: GithubAuth) -> String {
        Github::new(&GithubSettings { api_url: api_url.parse().unwrap(), auth }).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn repositories_are_named_and_cloned_by_the_host_that_people_see() {
        for (api, host, web) in [
            ("https://api.github.com", "github.com", "https://github.com/"),
            ("https://api.acme.ghe.com/", "acme.ghe.com", "https://acme.ghe.com/"),
            ("https://GHE.example.com/api/v3", "ghe.example.com", "https://ghe.example.com/"),
            ("https://ghe.example.com:8443/api/v3", "ghe.example.com:8443", "https://ghe.example.com:8443/"),
            ("https://api.example.com/api/v3", "api.example.com", "https://api.example.com/"),
            ("http://127.0.0.1:4242/api/v3", "127.0.0.1:4242", "http://127.0.0.1:4242/"),
            ("http://[::1]:4242/api/v3", "[::1]:4242", "http://[::1]:4242/"),
        ] {
            let auth = GithubAuth::Token(PERSONAL_TOKEN.into());
            let github = Github::new(&GithubSettings { api_url: api.parse().unwrap(), auth }).unwrap();
            assert_eq!(github.host(), host);
            let repo = RepoName::new(host, "acme", "infra").unwrap();
            let access = github.clone_access(&repo).await.unwrap();
            assert_eq!(access.url.as_str(), format!("{web}acme/infra.git"));
        }
    }

    #[tokio::test]
    async fn settings_that_can_not_work_are_refused_in_words_that_help() {
        let token = || GithubAuth::Token(PERSONAL_TOKEN.into());
        insta::assert_snapshot!(refusal("http://ghe.example.com/api/v3", token()).await, @"`http://ghe.example.com/api/v3` can't be a forge's API address: plain http is for loopback only: the token would travel readable");
        insta::assert_snapshot!(refusal("ftp://ghe.example.com/", token()).await, @"`ftp://ghe.example.com/` can't be a forge's API address: it must begin with https://");
        insta::assert_snapshot!(refusal("https://me:hunter2@ghe.example.com/api/v3", token()).await, @"`https://ghe.example.com/api/v3` can't be a forge's API address: it holds credentials; they belong in `token`, or in `app_id` and `private_key`");
        insta::assert_snapshot!(refusal("https://ghe.example.com/api/v3?x=1", token()).await, @"`https://ghe.example.com/api/v3?x=1` can't be a forge's API address: it must end with its path");
        insta::assert_snapshot!(refusal("https://api.github.com", GithubAuth::Token("".into())).await, @"the GitHub token is empty");
        insta::assert_snapshot!(refusal("https://api.github.com", GithubAuth::Token("ghp_x\n".into())).await, @"the GitHub token is not one word: it holds white space, a line break or a character that no token has");
        let key = GithubAuth::App { app_id: 1, private_key: "ghp_not_a_key".into() };
        insta::assert_snapshot!(refusal("https://api.github.com", key).await, @"the GitHub App's private key can't be read: InvalidKeyFormat; it must be the RSA key in PEM form that GitHub offered for download");
    }
}

mod examining {
    use super::*;

    async fn report(github: &Github, hub: &Hub) -> String {
        let findings = github.doctor(Some(&pull_id(hub).repo)).await;
        let lines = findings.iter().map(|finding| {
            let mark = if finding.ok { "ok" } else { "NO" };
            let advice = if finding.ok { String::new() } else { format!(": {}", finding.advice) };
            format!("{mark} {}{advice}", finding.what)
        });
        lines.collect::<Vec<_>>().join("\n").replace(&hub.repo(), "HUB/acme/infra").replace(github.host(), "HUB")
    }

    #[tokio::test]
    async fn an_app_is_told_what_it_lacks_and_where_to_change_it() {
        let hub = Hub::start().await;
        let app = json!({ "slug": "terraplane", "events": ["pull_request"],
            "permissions": { "contents": "write", "metadata": "read", "pull_requests": "read" } });
        hub.instead("GET /app", says(200, app))
            .on("GET /app/hook/config", says(200, json!({ "url": "https://t.example.com/", "content_type": "form" })))
            .on("GET /repos/acme/infra", says(200, json!({ "default_branch": "main" })));
        insta::assert_snapshot!(report(&hub.with_app(), &hub).await, @r#"
        ok GitHub at HUB knows the App `terraplane`
        NO the App has `checks: write`, to show checks with annotations and buttons; without it, plain statuses are set: it has nothing of the kind: change it in the App's settings under "Permissions & events", then accept the change where the App is installed
        ok the App has `contents: read`, to fetch the code
        ok the App has `metadata: read`, to know who may do what
        NO the App has `pull_requests: write`, to read pull requests and comment on them: it has only `read`: change it in the App's settings under "Permissions & events", then accept the change where the App is installed
        NO the App has `statuses: write`, to set the statuses `…/plan` and `…/apply`: it has nothing of the kind: change it in the App's settings under "Permissions & events", then accept the change where the App is installed
        NO the App is told about `issue_comment` events: subscribe to `issue_comment` in the App's settings under "Permissions & events"
        ok the App is told about `pull_request` events
        NO the App is told about `pull_request_review` events: subscribe to `pull_request_review` in the App's settings under "Permissions & events"
        NO the App is told about `check_run` events: subscribe to `check_run` in the App's settings under "Permissions & events"
        ok the App is not told what a merge queue asks, which only matters where a repository has one
        NO the App's webhook sends JSON: set the webhook's content type to `application/json` in the App's settings
        ok acme/infra can be read
        ok git may fetch from http://HUB/acme/infra.git
        "#);
    }

    #[tokio::test]
    async fn a_token_is_told_what_it_lacks() {
        let hub = Hub::start().await;
        let user = says(200, json!({ "login": "terra-bot" })).with("x-oauth-scopes", "gist, public_repo");
        hub.instead("GET /user", user).on(
            "GET /repos/acme/infra",
            says(200, json!({ "default_branch": "main", "permissions": { "pull": true, "push": false } })),
        );
        hub.on("GET /repos/acme/infra/hooks?per_page=100", says(200, json!([])));
        insta::assert_snapshot!(report(&hub.with_token(), &hub).await, @r#"
        ok GitHub at HUB knows the token of `terra-bot`
        NO the token has the scope `repo`: it has `gist, public_repo`: make a token with the scope `repo`, or use an App
        ok acme/infra can be read
        NO the token's owner may write to acme/infra: without the role `write` no status can be set: give it to the token's owner
        NO a webhook of acme/infra tells us about pull requests and comments: there is none: `terraplane webhook install` makes it, or add one in the repository's settings under "Webhooks", with this server's address and `/webhooks/github`, the content type `application/json`, the configured secret, and the events *Pull requests*, *Issue comments*, *Pull request reviews* and, with a merge queue, *Merge groups*; one of the organisation does as well, and is not seen here
        ok git may fetch from http://HUB/acme/infra.git
        "#);
    }

    #[tokio::test]
    async fn a_repository_that_can_not_be_seen_may_be_there() {
        let hub = Hub::start().await;
        hub.on("GET /repos/acme/infra", says(404, json!({ "message": "Not Found" })));
        insta::assert_snapshot!(report(&hub.with_token(), &hub).await, @r"
        ok GitHub at HUB knows the token of `Terra-Bot`
        NO acme/infra can be read: reading acme/infra: GitHub answered 404 Not Found: Not Found; GitHub says the same when it exists and we may not see it
        ");
    }

    #[tokio::test]
    async fn a_token_that_is_refused_ends_the_examination() {
        let hub = Hub::start().await;
        hub.revoke_tokens();
        insta::assert_snapshot!(report(&hub.with_token(), &hub).await, @"NO GitHub at HUB lets us in: asking whose token this is: GitHub answered 401 Unauthorized: Bad credentials (the token or the App's key is wrong, expired or revoked; a clock that is wrong by minutes does it too)");
    }
}
