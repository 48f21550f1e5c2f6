//! What is asked of Gitea, how its answers are understood, and what becomes of those that do not come.

mod hub;
mod judging;

use super::*;
use crate::domain::id::PullNumber;
use crate::domain::pull::Phase;
use crate::forge::webhook::Proof;
use crate::forge::{Installed, StatusState};
use hub::{Hub, Reply, TOKEN, says};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";
const PULL: &str = "GET /repos/acme/infra/pulls/7";
const COMMENT: &str = "POST /repos/acme/infra/issues/7/comments";

fn pull_id(hub: &Hub) -> PullId {
    PullId { repo: RepoName::new(&hub.host(), "acme", "infra").unwrap(), number: PullNumber(7) }
}

/// An open pull request as the API has it, with changes.
fn pull(changes: &Value) -> Value {
    let mut pull = json!({
        "number": 7, "title": "Wider network", "html_url": "https://git.example.com/acme/infra/pulls/7",
        "user": { "id": 3, "login": "sam" }, "state": "open", "draft": false, "mergeable": true, "merged": false,
        "merged_at": null, "merged_by": null, "merge_commit_sha": null, "merge_base": OTHER,
        "head": { "label": "wider", "ref": "wider", "sha": HEAD, "repo_id": 5, "repo": {} },
        "base": { "label": "main", "ref": "main", "sha": OTHER, "repo_id": 5, "repo": {} },
        "updated_at": "2026-11-24T02:02:03+01:00",
    });
    pull.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    pull
}

mod reading {
    use super::*;

    #[tokio::test]
    async fn a_pull_request_is_read_whole() {
        let hub = Hub::start().await;
        hub.on(PULL, says(200, pull(&json!({}))));
        let read = hub.gitea().pull(&pull_id(&hub)).await.unwrap();
        assert_eq!((read.author.as_str(), read.head.as_str(), read.base.as_str()), ("sam", HEAD, OTHER));
        assert_eq!((read.base_branch.as_str(), read.head_branch.as_str()), ("main", "wider"));
        assert_eq!((read.fork, read.draft, read.phase), (false, false, Phase::Open));
        assert_eq!(read.updated_at.0, 1_795_482_123_000);
    }

    #[tokio::test]
    async fn forks_drafts_and_branches_that_are_gone_are_understood() {
        let hub = Hub::start().await;
        let gone = json!({ "label": "", "ref": "refs/pull/7/head", "sha": HEAD, "repo_id": -1, "repo": null });
        hub.on(PULL, says(200, pull(&json!({ "head": gone }))))
            .on(PULL, says(200, pull(&json!({ "draft": null, "title": "[wip] later" }))))
            .on(PULL, says(200, pull(&json!({ "draft": true, "title": "En cours: later" }))))
            .on(PULL, says(200, pull(&json!({ "draft": false, "title": "WIP: the forge has other words for it" }))))
            .on(
                PULL,
                says(200, pull(&json!({ "base": { "ref": "old", "sha": "", "repo_id": 5 }, "merge_base": HEAD }))),
            );
        let (gitea, id) = (hub.gitea(), pull_id(&hub));
        assert!(gitea.pull(&id).await.unwrap().fork, "its repository was deleted");
        assert!(gitea.pull(&id).await.unwrap().draft, "an older version says it by the title");
        assert!(gitea.pull(&id).await.unwrap().draft);
        assert!(!gitea.pull(&id).await.unwrap().draft);
        assert_eq!(gitea.pull(&id).await.unwrap().base.as_str(), HEAD, "the base branch was deleted");
    }

    #[tokio::test]
    async fn a_merge_is_read_with_its_commit_and_who_did_it() {
        let hub = Hub::start().await;
        let merged = json!({ "state": "closed", "merged": true, "merged_at": "2026-11-24T01:02:03Z",
            "merged_by": { "id": 2, "login": "ana" }, "merge_commit_sha": OTHER });
        let half = json!({ "state": "closed", "merged": true });
        hub.on(PULL, says(200, pull(&merged))).on(PULL, says(200, pull(&half)));
        let (gitea, id) = (hub.gitea(), pull_id(&hub));
        let Phase::Merged { commit, by, .. } = gitea.pull(&id).await.unwrap().phase else { panic!("not merged") };
        assert_eq!((commit.as_str(), by.unwrap().as_str()), (OTHER, "ana"));
        let error = gitea.pull(&id).await.unwrap_err();
        assert!(error.message.contains("a merge without its commit"), "{error}");
    }

    #[tokio::test]
    async fn no_is_maybe_as_long_as_the_forge_may_still_look() {
        let hub = Hub::start().await;
        let now = jiff::Timestamp::now().to_string();
        hub.on(PULL, says(200, pull(&json!({ "mergeable": true }))))
            .on(PULL, says(200, pull(&json!({ "mergeable": false, "updated_at": now }))))
            .on(PULL, says(200, pull(&json!({ "mergeable": false }))))
            .on(PULL, says(200, pull(&json!({ "mergeable": true, "draft": true }))));
        let (gitea, id) = (hub.gitea(), pull_id(&hub));
        let mut said = Vec::new();
        for _ in 0..4 {
            said.push(gitea.mergeable(&id).await.unwrap());
        }
        assert_eq!(said, [Some(true), None, Some(false), Some(false)]);
    }

    #[tokio::test]
    async fn approvals_are_the_newest_verdicts_that_nobody_dismissed() {
        let hub = Hub::start().await;
        let review = |who: &str, state: &str, dismissed: bool, at: u32| {
            json!({ "id": at, "user": { "id": 1, "login": who }, "state": state, "commit_id": HEAD,
                "dismissed": dismissed, "submitted_at": format!("2026-11-24T01:00:{at:02}Z") })
        };
        let first = json!([
            review("ana", "REQUEST_CHANGES", false, 1),
            review("kim", "APPROVED", false, 2),
            review("rita", "APPROVED", false, 3),
            review("otto", "APPROVED", true, 4),
        ]);
        let second = json!([
            review("kim", "REQUEST_CHANGES", false, 5),
            review("ana", "APPROVED", false, 6),
            review("ana", "COMMENT", false, 7),
            review("lee", "REQUEST_REVIEW", false, 8),
        ]);
        let list = "GET /repos/acme/infra/pulls/7/reviews";
        let next = "<https://elsewhere.example/x?limit=50&page=2>; rel=\"next\"";
        hub.on(&format!("{list}?limit=50"), says(200, first).with("link", next))
            .on(&format!("{list}?limit=50&page=2"), says(200, second))
            .on(&role_line("ana"), says(200, json!({ "permission": "owner" })))
            .on(&role_line("rita"), says(200, json!({ "permission": "read" })));
        let approvals = hub.gitea().approvals(&pull_id(&hub)).await.unwrap();
        let told: Vec<_> = approvals.iter().map(|a| (a.by.as_str(), a.by_writer, a.head.as_str())).collect();
        assert_eq!(told, [("rita", false, HEAD), ("ana", true, HEAD)]);
    }

    fn role_line(who: &str) -> String {
        format!("GET /repos/acme/infra/collaborators/{who}/permission")
    }

    #[tokio::test]
    async fn a_role_is_asked_and_guessed_by_who_may_be_assigned_where_asking_is_not_allowed() {
        let hub = Hub::start().await;
        let refusal = json!({ "message": "Only admins can query all permissions" });
        hub.on(&role_line("ana"), says(200, json!({ "permission": "admin" })))
            .on(&role_line("otto"), says(404, json!({ "message": "user does not exist" })))
            .on(&role_line("sam"), says(403, refusal.clone()))
            .on(&role_line("rita"), says(403, refusal))
            .on("GET /repos/acme/infra/assignees", says(200, json!([{ "id": 1, "login": "Sam" }])));
        let (gitea, repo) = (hub.gitea(), pull_id(&hub).repo);
        for (who, role) in [("ana", Role::Admin), ("otto", Role::None), ("sam", Role::Write), ("rita", Role::None)] {
            assert_eq!(gitea.role(&repo, &who.parse().unwrap()).await, Ok(role), "{who}");
        }
    }

    #[tokio::test]
    async fn a_team_is_found_by_its_whole_name_and_asked_for_its_members() {
        let hub = Hub::start().await;
        let search = |org: &str| format!("GET /orgs/{org}/teams/search?q=sre&limit=50");
        let found = json!({ "ok": true, "data": [{ "id": 8, "name": "sre-night" }, { "id": 9, "name": "SRE" }] });
        hub.on(&search("acme"), says(200, found))
            .on(&search("secret"), says(403, json!({ "message": "Must be an organization member" })))
            .on("GET /teams/9/members/ana", says(200, json!({ "id": 2, "login": "ana" })))
            .on("GET /teams/9/members/sam", says(404, json!({})));
        let (gitea, repo) = (hub.gitea(), pull_id(&hub).repo);
        for (team, who, wanted) in [("sre", "ana", true), ("sre", "sam", false), ("secret/sre", "ana", false)] {
            let (team, who) = (team.parse().unwrap(), who.parse().unwrap());
            assert_eq!(gitea.in_team(&repo, &team, &who).await, Ok(wanted), "{team} {who}");
        }
    }

    #[tokio::test]
    async fn our_comment_is_found_by_its_first_line_and_only_if_we_wrote_it() {
        let hub = Hub::start().await;
        let comment = |id: u64, who: &str, body: &str| json!({ "id": id, "user": { "id": 1, "login": who }, "body": body, "created_at": "2026-11-24T01:02:03Z" });
        let all = json!([
            comment(1, "mallory", "<!-- m -->\nfalse"), comment(2, "terra-bot", "says <!-- m -->"),
            { "id": 3, "user": null, "body": null, "created_at": "2026-11-24T01:02:03Z" },
            comment(4, "Terra-Bot", "<!-- m -->\ntrue"),
        ]);
        let gone = "GET /repos/acme/infra/issues/comments/41";
        hub.on("GET /repos/acme/infra/issues/7/comments", says(200, all))
            .on("GET /user", says(200, json!({ "id": 1, "login": "terra-bot" })))
            .on(gone, says(200, comment(41, "ana", "terraplane plan")))
            .on(gone, Reply::Status(204))
            .on(gone, says(404, json!({})));
        let (gitea, id) = (hub.gitea(), pull_id(&hub));
        assert_eq!(gitea.find_comment(&id, "<!-- m -->").await, Ok(Some(CommentId(4))));
        assert_eq!(gitea.comment(&id, CommentId(41)).await.unwrap().unwrap().body, "terraplane plan");
        assert_eq!(gitea.comment(&id, CommentId(41)).await, Ok(None), "an event among the comments");
        assert_eq!(gitea.comment(&id, CommentId(41)).await, Ok(None));
    }
}

mod writing {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_what_the_api_wants() {
        let hub = Hub::start().await;
        let edit = "PATCH /repos/acme/infra/issues/comments/41";
        let react = "POST /repos/acme/infra/issues/comments/41/reactions";
        let set = format!("POST /repos/acme/infra/statuses/{HEAD}");
        hub.on(COMMENT, says(201, json!({ "id": 41 })))
            .on(edit, says(200, json!({ "id": 41 })))
            .on(react, says(201, json!({})))
            .on(&set, says(201, json!({ "id": 5 })));
        let (gitea, id) = (hub.gitea(), pull_id(&hub));
        assert_eq!(gitea.create_comment(&id, "hello").await, Ok(CommentId(41)));
        gitea.edit_comment(&id, CommentId(41), "bye").await.unwrap();
        gitea.react(&id, CommentId(41), Reaction::Seen).await.unwrap();
        let url = Some("https://t.example.com/runs/1".parse().unwrap());
        let status = Status {
            context: "terraplane/plan".into(),
            state: StatusState::Failure,
            description: "1 failed".into(),
            url,
        };
        gitea.set_status(&id, &HEAD.parse().unwrap(), &status).await.unwrap();
        assert_eq!(hub.bodies(COMMENT), [json!({ "body": "hello" })]);
        assert_eq!(hub.bodies(edit), [json!({ "body": "bye" })]);
        assert_eq!(hub.bodies(react), [json!({ "content": "eyes" })]);
        assert_eq!(
            hub.bodies(&set),
            [json!({ "context": "terraplane/plan", "state": "failure", "description": "1 failed",
                "target_url": "https://t.example.com/runs/1" })]
        );
        let long = gitea.create_comment(&id, &"é".repeat(65_537)).await.unwrap_err();
        assert_eq!(long.kind, ForgeErrorKind::Invalid);
    }

    #[tokio::test]
    async fn a_webhook_is_made_once_and_mended_from_then_on() {
        let hub = Hub::start().await;
        let (list, make) = ("GET /repos/acme/infra/hooks?limit=50", "POST /repos/acme/infra/hooks");
        let elsewhere = json!({ "id": 1, "config": { "url": "https://ci.example.com/" } });
        let ours = json!({ "id": 2, "config": { "url": "https://t.example.com/webhooks/gitea" } });
        hub.on(list, says(200, json!([elsewhere])))
            .on(list, says(200, json!([elsewhere, ours])))
            .on(list, says(403, json!({ "message": "token does not have at least one of required scope(s)" })))
            .on(make, says(201, ours.clone()))
            .on("PATCH /repos/acme/infra/hooks/2", says(200, ours));
        let (gitea, repo) = (hub.gitea(), pull_id(&hub).repo);
        let (url, proof) = ("https://t.example.com/webhooks/gitea".parse().unwrap(), Proof::Gitea("hush".into()));
        assert_eq!(gitea.install_webhook(&repo, &url, &proof).await, Ok(Installed::Created));
        assert_eq!(gitea.install_webhook(&repo, &url, &proof).await, Ok(Installed::Repaired));
        let wanted = json!({ "active": true,
            "events": ["pull_request_only", "pull_request_sync", "pull_request_comment", "pull_request_review"],
            "config": { "url": url, "content_type": "json", "secret": "hush" } });
        assert_eq!(hub.bodies("PATCH /repos/acme/infra/hooks/2"), std::slice::from_ref(&wanted));
        let mut made = hub.bodies(make).remove(0);
        assert_eq!(made.as_object_mut().unwrap().remove("type"), Some(json!("gitea")));
        assert_eq!(made, wanted);
        let error = gitea.install_webhook(&repo, &url, &proof).await.unwrap_err();
        assert!(error.message.contains("must administer the repository"), "{error}");
    }

    #[tokio::test]
    async fn git_gets_the_token_and_an_address_below_that_of_the_pages() {
        let hub = Hub::start().await;
        let access = hub.gitea().clone_access(&pull_id(&hub).repo).await.unwrap();
        assert_eq!(access.url.as_str(), format!("{}acme/infra.git", hub.url));
        assert_eq!(access.token.expose_secret(), TOKEN);
    }
}

mod failing {
    use super::*;

    #[tokio::test]
    async fn reading_is_tried_again_and_creating_never_is() {
        let hub = Hub::start().await;
        hub.on(PULL, says(502, json!("bad gateway")))
            .on(PULL, Reply::HangUp)
            .on(PULL, says(200, pull(&json!({}))))
            .on(COMMENT, says(502, json!({})))
            .on(COMMENT, Reply::HangUp)
            .on(COMMENT, Reply::Silence);
        let (gitea, id) = (hub.gitea(), pull_id(&hub));
        gitea.pull(&id).await.unwrap();
        for _ in 0..3 {
            assert_eq!(gitea.create_comment(&id, "x").await.unwrap_err().kind, ForgeErrorKind::Lost);
        }
        assert_eq!(hub.bodies(COMMENT).len(), 3);
    }

    #[tokio::test]
    async fn refusals_are_sorted_and_say_what_the_forge_said() {
        use ForgeErrorKind::{Conflict, Forbidden, Invalid, NotFound, Unauthorized};
        let hub = Hub::start().await;
        for (status, kind) in
            [(401, Unauthorized), (403, Forbidden), (404, NotFound), (409, Conflict), (422, Invalid), (423, Conflict)]
        {
            hub.instead(COMMENT, says(status, json!({ "message": "no,\nbecause", "url": "https://x/api/swagger" })));
            let error = hub.gitea().create_comment(&pull_id(&hub), "x").await.unwrap_err();
            assert_eq!((error.kind, error.status), (kind, Some(status)), "{status}");
            assert!(error.message.starts_with("commenting on acme/infra#7: the forge answered 4"), "{error}");
            assert!(error.message.contains(": no, because"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_proxy_that_has_enough_says_until_when() {
        let hub = Hub::start().await;
        let before = now();
        hub.on(COMMENT, says(429, json!({})).with("retry-after", "120")).on(COMMENT, says(429, json!({})));
        for wait in [120_000, 60_000] {
            let error = hub.gitea().create_comment(&pull_id(&hub), "x").await.unwrap_err();
            assert_eq!(error.kind, ForgeErrorKind::RateLimited);
            let said = error.retry_at.unwrap().since(before);
            assert!((wait..wait + 30_000).contains(&said), "{said}");
        }
    }

    #[tokio::test]
    async fn a_token_that_met_a_limit_is_left_alone_until_it_is_over() {
        let hub = Hub::start().await;
        hub.on(PULL, says(429, json!({})).with("retry-after", "1")).on(COMMENT, says(201, json!({ "id": 5 })));
        let (gitea, id) = (hub.gitea(), pull_id(&hub));
        let first = gitea.pull(&id).await.unwrap_err();
        let second = gitea.create_comment(&id, "x").await.unwrap_err();
        assert_eq!((second.kind, second.retry_at), (ForgeErrorKind::RateLimited, first.retry_at));
        assert_eq!(hub.lines().len(), 1, "it was not even asked");
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        gitea.create_comment(&id, "x").await.unwrap();
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_so_the_token_goes_nowhere_else() {
        let (hub, elsewhere) = (Hub::start().await, Hub::start().await);
        let there = format!("{}api/v1/repos/acme/infra/pulls/7", elsewhere.url);
        hub.on(PULL, says(301, json!({})).with("location", there));
        let error = hub.gitea().pull(&pull_id(&hub)).await.unwrap_err();
        assert_eq!((error.kind, error.status), (ForgeErrorKind::NotFound, Some(301)));
        assert!(error.message.contains("the token is not sent there"), "{error}");
        assert_eq!(elsewhere.lines(), [""; 0]);
    }

    #[tokio::test]
    async fn what_can_not_work_is_refused_before_anything_is_sent() {
        let refusal = |url: &str, token: &str| {
            Gitea::new(&GiteaSettings { url: url.parse().unwrap(), token: token.into() }).unwrap_err().to_string()
        };
        insta::assert_snapshot!(refusal("http://git.example.com", "t"), @"`http://git.example.com/` can't be a forge's API address: plain http is for loopback only: the token would travel readable");
        insta::assert_snapshot!(refusal("https://me:hunter2@git.example.com", "t"), @"`https://git.example.com/` can't be a forge's API address: it holds credentials; they belong in `token`");
        insta::assert_snapshot!(refusal("https://git.example.com", "x\n"), @"the Gitea token is not one word: it holds white space, a line break or a character that no token has");
        let hub = Hub::start().await;
        let foreign = RepoName::new("github.com", "acme", "infra").unwrap();
        let error = hub.gitea().default_branch(&foreign).await.unwrap_err();
        assert!(error.message.starts_with("github.com/acme/infra is not on"), "{error}");
        let printed = format!("{:?}", hub.gitea());
        assert!(!printed.contains(TOKEN), "{printed}");
    }
}

mod examining {
    use super::*;

    async fn report(hub: &Hub) -> String {
        let findings = hub.gitea().doctor(Some(&pull_id(hub).repo)).await;
        let lines = findings.iter().map(|finding| {
            let advice = if finding.advice.is_empty() { String::new() } else { format!(": {}", finding.advice) };
            format!("{} {}{advice}", if finding.ok { "ok" } else { "NO" }, finding.what)
        });
        lines.collect::<Vec<_>>().join("\n").replace(&hub.host(), "HUB")
    }

    #[tokio::test]
    async fn a_token_is_told_what_it_may_and_may_not_do() {
        let hub = Hub::start().await;
        let comments = "GET /repos/acme/infra/issues/comments?limit=1";
        let hooks = "GET /repos/acme/infra/hooks?limit=50";
        let ours = |active: bool, content_type: &str| {
            json!({ "id": 1, "active": active,
                "config": { "url": "https://t.example.com/webhooks/gitea", "content_type": content_type } })
        };
        let repo = |push: bool, admin: bool| json!({ "default_branch": "main", "permissions": { "admin": admin, "push": push, "pull": true } });
        hub.instead("GET /user", says(200, json!({ "id": 1, "login": "terra-bot" })))
            .on("GET /version", says(200, json!({ "version": "1.25.0" })))
            .on("GET /repos/acme/infra", says(200, repo(true, true)))
            .on(comments, says(200, json!([])))
            .on(hooks, says(200, json!([ours(true, "json")])))
            .on("GET /repos/acme/infra", says(200, repo(false, false)))
            .on(hooks, says(403, json!({ "message": "user should be an owner" })))
            .on(
                comments,
                says(403, json!({ "message": "token does not have at least one of required scope(s): [read:issue]" })),
            );
        insta::assert_snapshot!(report(&hub).await, @r"
        ok Gitea at HUB (1.25.0) knows the token of `terra-bot`
        ok acme/infra can be read
        ok the token's owner may write to acme/infra
        ok the token's owner administers acme/infra, to know who is an administrator and to make webhooks
        ok comments of acme/infra can be read
        ok a webhook of acme/infra tells us about pull requests and comments
        ok git may fetch from http://HUB/forge/acme/infra.git
        ");
        insta::assert_snapshot!(report(&hub).await, @r#"
        ok Gitea at HUB (1.25.0) knows the token of `terra-bot`
        ok acme/infra can be read
        NO the token's owner may write to acme/infra: without the right to write no status can be set: make the account a collaborator who may write
        ok the token's owner administers acme/infra, to know who is an administrator and to make webhooks: it does not: without it everybody who may write counts as `write`, and rules for `admin` let nobody pass; `terraplane webhook install` needs it too
        NO comments of acme/infra can be read: reading the comments of acme/infra: the forge answered 403 Forbidden: token does not have at least one of required scope(s): [read:issue]: the token needs the scope `write:issue`
        ok a webhook of acme/infra tells us about pull requests and comments: only an administrator sees them: look yourself whether there is one in the repository's settings under "Webhooks", of the type Gitea or Forgejo, with this server's address and `/webhooks/gitea`, the content type `application/json`, the configured secret, and the events *Pull request*, *Pull request synchronized*, *Pull request comment* and *Pull request reviewed*
        ok git may fetch from http://HUB/forge/acme/infra.git
        "#);
        for (answer, wanted) in [
            (json!([]), "there is none: `terraplane webhook install` makes it"),
            (json!([ours(false, "json")]), "it is there and not active"),
            (json!([ours(true, "form")]), "it is there and does not send JSON"),
        ] {
            hub.instead(hooks, says(200, answer));
            let report = report(&hub).await;
            assert!(report.contains(wanted), "{report}");
        }
    }

    #[tokio::test]
    async fn a_token_that_is_refused_ends_the_examination() {
        let hub = Hub::start().await;
        hub.instead("GET /user", says(401, json!({ "message": "invalid username, password or token" })));
        insta::assert_snapshot!(report(&hub).await, @"NO Gitea at HUB lets us in: asking whose token this is: the forge answered 401 Unauthorized: invalid username, password or token (the token is wrong, expired or revoked)");
    }
}

mod catching_up {
    use super::*;
    use crate::domain::id::Timestamp;
    use crate::domain::missed::{Mark, Seen, Stage};

    const PULLS: &str = "GET /repos/acme/infra/pulls?state=all&sort=recentupdate&limit=50";
    const COMMENTS: &str = "GET /repos/acme/infra/issues/comments?since=2026-11-24T01%3A00%3A00Z&limit=50";

    /// Seconds after one o'clock.
    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_795_482_000_000 + seconds * 1000)
    }

    fn text(at: Timestamp) -> String {
        jiff::Timestamp::from_millisecond(at.0).unwrap().to_string()
    }

    fn seen(pulls: Timestamp, comments: Timestamp) -> Seen {
        let mark = |until| Mark { until, tag: None };
        Seen { pulls: mark(pulls), comments: mark(comments) }
    }

    fn listed(number: u64, updated: Timestamp, mut more: Value) -> Value {
        more["number"] = json!(number);
        more["updated_at"] = json!(text(updated));
        pull(&more)
    }

    fn comment(id: u64, page: &str, created: Timestamp, updated: Timestamp) -> Value {
        json!({ "id": id, "body": "terraplane plan", "user": { "id": 3, "login": "sam" }, "pull_request_url": page,
            "issue_url": "", "created_at": text(created), "updated_at": text(updated) })
    }

    #[tokio::test]
    async fn pull_requests_are_read_back_to_what_is_known_and_comments_to_their_end() {
        let hub = Hub::start().await;
        let merged = json!({ "state": "closed", "merged": true, "merged_at": text(at(39)) });
        let gone = json!({ "label": "", "ref": "refs/pull/5/head", "sha": "", "repo_id": -1 });
        let first = json!([listed(9, at(40), merged), listed(5, at(35), json!({ "head": gone, "state": "closed" }))]);
        let second = json!([
            listed(7, at(30), json!({ "draft": true })),
            listed(8, at(20), json!({ "state": "closed" })),
            listed(6, at(19), json!({})),
        ]);
        let next = "<https://elsewhere.example/x?page=2>; rel=\"next\"";
        hub.on(PULLS, says(200, first).with("link", next));
        let more = "<https://elsewhere.example/x?page=3>; rel=\"next\"";
        hub.on("GET /repos/acme/infra/pulls?page=2", says(200, second).with("link", more));
        // This list has no links.
        let page = format!("{}acme/infra/pulls/7", hub.url);
        let first = json!([comment(1, &page, at(1), at(1)), comment(2, "", at(2), at(2))]);
        let second = json!([comment(3, &page, at(3), at(9)), comment(4, &page, at(4), at(4))]);
        hub.on(COMMENTS, says(200, first).with("x-total-count", "4"));
        hub.on(&format!("{COMMENTS}&page=2"), says(200, second).with("x-total-count", "4"));
        let repo = pull_id(&hub).repo;
        let changes = hub.gitea().changes(&repo, &seen(at(20), Timestamp(at(0).0 + 999))).await.unwrap();

        let told: Vec<_> = changes.pulls.iter().map(|p| (p.pull.number.0, p.stage, p.draft)).collect();
        let merged = Stage::Merged { at: at(39) };
        assert_eq!(told, [(9, merged, false), (7, Stage::Open, true), (8, Stage::Closed, false)]);
        let told: Vec<_> = changes.comments.iter().map(|r| (r.pull.number.0, r.comment.id.0)).collect();
        assert_eq!(told, [(7, 1), (7, 4)], "neither edited nor on an issue");
        assert_eq!(changes.seen, seen(at(40), at(9)));
        assert_eq!(hub.lines().len(), 4);
    }

    #[tokio::test]
    async fn where_there_is_nothing_two_requests_tell_it_and_nonsense_is_an_error() {
        let hub = Hub::start().await;
        hub.on(PULLS, says(200, json!([]))).on(COMMENTS, says(200, json!([])));
        let (repo, known) = (pull_id(&hub).repo, seen(at(0), at(0)));
        assert_eq!(hub.gitea().changes(&repo, &known).await.unwrap().seen, known);
        assert_eq!(hub.lines().len(), 2);
        hub.instead(PULLS, says(200, json!([pull(&json!({ "updated_at": "yesterday" }))])));
        let error = hub.gitea().changes(&repo, &known).await.unwrap_err();
        assert!(error.message.starts_with("looking for changed pull requests in acme/infra: "), "{error}");
        assert!(error.message.contains("`yesterday` is not a time"), "{error}");
    }
}
