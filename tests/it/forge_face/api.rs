use super::{Caller, world_with_a_pull, write};
use crate::world::{REPO, World};
use reqwest::Method;
use serde_json::{Value, json};
use terraplane::demo::state::MergeMethod;

#[tokio::test]
async fn nobody_gets_in_without_valid_credentials_and_a_user_agent() {
    let (world, _pull) = world_with_a_pull().await;
    assert_eq!(Caller::nobody(&world).get("{repo}/pulls/1").await.0, 401);
    let (status, body) = Caller::with_token(&world, "ghp_wrong".into()).get("{repo}/pulls/1").await;
    assert_eq!((status, &body["message"]), (401, &json!("Bad credentials")));
    let nameless = Caller::server(&world).ask(Method::GET, "/user").header("user-agent", "").build().unwrap();
    let mut nameless = nameless;
    nameless.headers_mut().remove("user-agent");
    assert_eq!(reqwest::Client::new().execute(nameless).await.unwrap().status(), 403);
}

#[tokio::test]
async fn what_somebody_may_not_see_does_not_exist() {
    let (world, pull) = world_with_a_pull().await;
    let (otto, rita) = (Caller::person(&world, "otto"), Caller::person(&world, "rita"));
    assert_eq!(otto.get("{repo}").await.0, 404);
    assert_eq!(rita.get("{repo}").await.0, 200);
    let status = json!({ "state": "success", "context": "a" });
    assert_eq!(rita.post(&format!("{{repo}}/statuses/{}", pull.head()), status).await.0, 404);
    assert_eq!(rita.get("{repo}/collaborators/sam/permission").await.0, 403);
    assert_eq!(Caller::server(&world).get("{repo}/no/such/thing").await.0, 404);
}

#[tokio::test]
async fn roles_are_told_in_both_of_githubs_words() {
    let (world, _pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    for (login, permission, role) in
        [("ana", "write", "maintain"), ("sam", "write", "write"), ("rita", "read", "read"), ("otto", "none", "none")]
    {
        let (status, body) = server.get(&format!("{{repo}}/collaborators/{login}/permission")).await;
        assert_eq!((status, &body["permission"], &body["role_name"]), (200, &json!(permission), &json!(role)));
    }
    assert_eq!(server.get("{repo}/collaborators/nobody-at-all/permission").await.0, 404);
}

#[tokio::test]
async fn a_pull_request_has_githubs_fields() {
    let (world, pull) = world_with_a_pull().await;
    world.forge.change(|state| state.pull_mut(REPO, 1).unwrap().mergeable_unknown = 1);
    let server = Caller::server(&world);
    let (_, first) = server.get("{repo}/pulls/1").await;
    assert_eq!((&first["mergeable"], &first["mergeable_state"]), (&Value::Null, &json!("unknown")));
    let (_, open) = server.get("{repo}/pulls/1").await;
    assert_eq!((&open["mergeable"], &open["mergeable_state"]), (&json!(true), &json!("clean")));
    assert_eq!((&open["state"], &open["merged"], &open["draft"]), (&json!("open"), &json!(false), &json!(false)));
    assert_eq!(open["head"]["sha"], json!(pull.head()));
    assert_eq!(open["head"]["repo"]["full_name"], json!(REPO));
    assert_eq!((&open["base"]["ref"], &open["user"]["login"]), (&json!("main"), &json!("sam")));
    let merged = pull.merge("ana").await;
    let (_, closed) = server.get("{repo}/pulls/1").await;
    assert_eq!((&closed["state"], &closed["merged"]), (&json!("closed"), &json!(true)));
    assert_eq!((&closed["merge_commit_sha"], &closed["merged_by"]["login"]), (&json!(merged), &json!("ana")));
    assert!(closed["merged_at"].is_string());
}

#[tokio::test]
async fn the_base_of_a_pull_request_does_not_follow_its_branch() {
    let (world, pull) = world_with_a_pull().await;
    let before = pull.now().base;
    let tip = world.push("main", &[("README.md", "Hello again\n")]).await;
    assert_eq!(pull.now().base, before);
    pull.push(&[("prod/main.tf", "# more\n")]).await;
    assert_eq!(pull.now().base, tip);
}

#[tokio::test]
async fn comments_are_validated_like_githubs() {
    let (world, _pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    let comments = "{repo}/issues/1/comments";
    assert_eq!(server.post(comments, json!({ "body": "x".repeat(65_536) })).await.0, 201);
    let (status, body) = server.post(comments, json!({ "body": "x".repeat(65_537) })).await;
    assert_eq!((status, &body["message"]), (422, &json!("Validation Failed")));
    assert_eq!(body["errors"][0]["message"], json!("Body is too long (maximum is 65536 characters)"));
    assert_eq!(server.post(comments, json!({ "body": " \n" })).await.0, 422);
    assert_eq!(server.post(comments, json!({ "text": "hello" })).await.0, 422);
    assert_eq!(server.post(comments, json!({ "body": 1 })).await.0, 422);
    let broken = server.ask(Method::POST, comments).body("{").send().await.unwrap();
    assert_eq!(broken.status(), 400);
    assert_eq!(server.post("{repo}/issues/99/comments", json!({ "body": "hello" })).await.0, 404);
}

#[tokio::test]
async fn a_comment_is_edited_in_place_and_only_by_those_who_may() {
    let (world, pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    let (_, comment) = server.post("{repo}/issues/1/comments", json!({ "body": "one" })).await;
    let address = format!("{{repo}}/issues/comments/{}", comment["id"]);
    assert_eq!(server.patch(&address, json!({ "body": "two" })).await.1["body"], json!("two"));
    assert_eq!(Caller::person(&world, "rita").patch(&address, json!({ "body": "three" })).await.0, 403);
    assert_eq!(server.get(&address).await.1["body"], json!("two"));
    assert_eq!(pull.now().comments[0].earlier, ["one"]);
    world.forge.delete_comment(REPO, comment["id"].as_u64().unwrap(), "ana").unwrap();
    assert_eq!(server.patch(&address, json!({ "body": "four" })).await.0, 404);
}

#[tokio::test]
async fn the_same_reaction_is_there_once() {
    let (world, pull) = world_with_a_pull().await;
    let id = pull.comment("ana", "terraplane plan");
    let server = Caller::server(&world);
    let reactions = format!("{{repo}}/issues/comments/{id}/reactions");
    assert_eq!(server.post(&reactions, json!({ "content": "eyes" })).await.0, 201);
    assert_eq!(server.post(&reactions, json!({ "content": "eyes" })).await.0, 200);
    assert_eq!(server.post(&reactions, json!({ "content": "shrug" })).await.0, 422);
    assert_eq!(pull.now().comments[0].reactions.len(), 1);
}

#[tokio::test]
async fn statuses_are_validated_like_githubs() {
    let (world, pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    let address = format!("{{repo}}/statuses/{}", pull.head());
    let with = |field: &str, value: Value| {
        let mut body = json!({ "state": "pending", "context": "terraplane/plan" });
        body[field] = value;
        body
    };
    assert_eq!(server.post(&address, with("description", json!("x".repeat(140)))).await.0, 201);
    assert_eq!(server.post(&address, with("description", json!("x".repeat(141)))).await.0, 422);
    assert_eq!(server.post(&address, with("state", json!("running"))).await.0, 422);
    assert_eq!(server.post(&address, with("target_url", json!("ftp://x"))).await.0, 422);
    let nowhere = format!("{{repo}}/statuses/{}", "0".repeat(40));
    assert_eq!(server.post(&nowhere, with("state", json!("success"))).await.0, 422);
    let short = format!("{{repo}}/statuses/{}", pull.head().short());
    assert_eq!(server.post(&short, with("state", json!("success"))).await.0, 422);
}

#[tokio::test]
async fn the_newest_status_of_a_context_counts() {
    let (world, pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    for (context, state) in [("a", "pending"), ("b", "success"), ("a", "failure"), ("a", "success")] {
        let body = json!({ "state": state, "context": context });
        assert_eq!(server.post(&format!("{{repo}}/statuses/{}", pull.head()), body).await.0, 201);
    }
    let (_, combined) = server.get(&format!("{{repo}}/commits/{}/status", pull.head())).await;
    assert_eq!((&combined["state"], &combined["total_count"]), (&json!("success"), &json!(2)));
    assert_eq!(combined["statuses"][0]["context"], json!("a"));
    assert_eq!(world.status(&pull.head(), "a").unwrap().state, "success");
}

#[tokio::test]
async fn lists_come_in_pages_that_a_link_leads_through() {
    let (world, pull) = world_with_a_pull().await;
    for login in ["ana", "kim", "ana", "kim", "ana"] {
        pull.approve(login);
    }
    let server = Caller::server(&world);
    let mut next = Some("{repo}/pulls/1/reviews?per_page=2".to_owned());
    let mut counts = Vec::new();
    while let Some(path) = next {
        let response = server.ask(Method::GET, &path).send().await.unwrap();
        let link = response.headers().get("link").unwrap().to_str().unwrap().to_owned();
        counts.push(response.json::<Vec<Value>>().await.unwrap().len());
        let address = link.split(", ").find(|l| l.ends_with("rel=\"next\""));
        next = address.map(|l| l[1..l.find('>').unwrap()].replace(world.api_url().as_str(), ""));
    }
    assert_eq!(counts, [2, 2, 1]);
}

#[tokio::test]
async fn only_open_pull_requests_are_listed_unless_all_are_asked_for() {
    let (world, pull) = world_with_a_pull().await;
    world.open_pull("Another").changing("README.md", "Bye\n").await;
    pull.close("sam");
    let server = Caller::server(&world);
    let numbers = |body: Value| body.as_array().unwrap().iter().map(|p| p["number"].clone()).collect::<Vec<_>>();
    assert_eq!(numbers(server.get("{repo}/pulls").await.1), [json!(2)]);
    assert_eq!(numbers(server.get("{repo}/pulls?state=all").await.1), [json!(2), json!(1)]);
}

#[tokio::test]
async fn what_github_would_not_merge_is_not_merged() {
    let world = World::with(&[("a.txt", "one\n")]).await;
    let refused =
        async |number, by: &str| world.forge.merge(REPO, number, by, MergeMethod::Merge).await.unwrap_err().to_string();
    let pull = world.open_pull("Two").changing("a.txt", "two\n").await;
    assert_eq!(refused(pull.number, "rita").await, "Only people with write access can merge");
    world.forge.push(REPO, "main", "kim", "Three", &write("a.txt", "three\n")).await.unwrap();
    assert!(!pull.now().mergeable);
    assert_eq!(refused(pull.number, "ana").await, "Pull Request has merge conflicts");
    let draft = world.open_pull("A draft").changing("b.txt", "x\n").drafted().await;
    assert_eq!(refused(draft.number, "ana").await, "Pull Request is still a draft");
    world.forge.set_draft(REPO, draft.number, false, "sam").unwrap();
    world.forge.change(|state| state.repo_mut(REPO).unwrap().required_statuses = vec!["must".into()]);
    assert_eq!(refused(draft.number, "ana").await, "Required status checks are not all a success");
    world.forge.set_status(REPO, &draft.head(), "must", "success", "kim").unwrap();
    draft.merge("ana").await;
    assert_eq!(refused(draft.number, "ana").await, "Pull Request is not open");
}

#[tokio::test]
async fn nobody_approves_their_own_pull_request() {
    let (world, pull) = world_with_a_pull().await;
    let refused = world.forge.review(REPO, pull.number, "sam", terraplane::demo::state::ReviewState::Approved);
    assert_eq!(refused.unwrap_err().to_string(), "Can not approve your own pull request");
}
