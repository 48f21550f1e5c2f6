//! The GitLab face is as strict as GitLab: what the documentation promises, and what GitLab's own code does where the
//! documentation is silent.

use super::write;
use crate::world::{PullRequest, REPO, WEBHOOK_SECRET, World};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use terraplane::demo::Face;
use terraplane::demo::state::{How, MergeMethod, Pipeline};
use terraplane::demo::world::Hook;
use terraplane::domain::id::{ForgeKind, Sha};
use terraplane::domain::pull::Role;
use terraplane::forge::webhook::{Proof, verify};

const NOTES: &str = "{mr}/notes";
/// A secret that is sent, not one to sign with.
const TOKEN: &str = "a secret between the forge and the server";

async fn world_with_a_merge_request() -> (World, PullRequest) {
    let world = World::like(Face::Gitlab, &[("README.md", "Hello\n"), ("prod/main.tf", "# nothing\n")]).await;
    let pull = world.open_pull("A change").changing("prod/main.tf", "# something\n").await;
    (world, pull)
}

/// Somebody who speaks HTTP with the forge.
struct Caller {
    world: World,
    token: Option<SecretString>,
}

impl Caller {
    fn server(world: &World) -> Self {
        Self { world: world.clone(), token: Some(world.forge.server_token()) }
    }

    fn person(world: &World, login: &str) -> Self {
        Self { world: world.clone(), token: Some(world.forge.token_of(login)) }
    }

    /// `{repo}` in the path is the project, `{mr}` its first merge request.
    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let path = path.replace("{mr}", "{repo}/merge_requests/1").replace("{repo}", "/projects/acme%2Finfra");
        let client = reqwest::Client::builder().no_proxy().user_agent("a test").build().unwrap();
        let request = client.request(method, format!("{}{path}", self.world.api_url()));
        match &self.token {
            Some(token) => request.header("private-token", token.expose_secret()),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(self.ask(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(self.ask(Method::POST, path).json(&body)).await
    }

    async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(self.ask(Method::PUT, path).json(&body)).await
    }

    async fn send(&self, request: RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_and_what_somebody_may_not_see_does_not_exist() {
    let (world, _pull) = world_with_a_merge_request().await;
    let nobody = Caller { world: world.clone(), token: None };
    assert_eq!(nobody.get("{mr}").await, (401, json!({ "message": "401 Unauthorized" })));
    let wrong = Caller { world: world.clone(), token: Some("glpat-wrong".into()) };
    assert_eq!(wrong.get("{mr}").await.0, 401);
    let in_the_address = format!("{{mr}}?private_token={}", world.forge.server_token().expose_secret());
    assert_eq!(nobody.get(&in_the_address).await.0, 401, "an address stands in logs");
    let token = world.forge.server_token();
    let bearer = nobody.ask(Method::GET, "{mr}").bearer_auth(token.expose_secret());
    assert_eq!(nobody.send(bearer).await.0, 200);
    let otto = Caller::person(&world, "otto");
    assert_eq!(otto.get("{repo}").await, (404, json!({ "message": "404 Project Not Found" })));
    assert_eq!(Caller::server(&world).get("{repo}/no/such/thing").await.0, 404);
    assert_eq!(Caller::server(&world).get("{repo}/merge_requests/99").await.0, 404);
}

#[tokio::test]
async fn a_project_is_found_by_its_number_and_by_its_whole_path_in_one_segment() {
    let world = World::like(Face::Gitlab, &[]).await;
    world.forge.add_repo("acme/eu/west/infra", &write("a.txt", "one\n")).await.unwrap();
    let server = Caller::server(&world);
    let (status, nested) = server.get("/projects/acme%2Feu%2Fwest%2Finfra").await;
    assert_eq!((status, &nested["path_with_namespace"]), (200, &json!("acme/eu/west/infra")));
    assert_eq!(nested["namespace"]["full_path"], json!("acme/eu/west"));
    assert_eq!(server.get(&format!("/projects/{}", nested["id"])).await.1["id"], nested["id"]);
    assert_eq!(server.get("/projects/acme/eu/west/infra").await.0, 404);
}

#[tokio::test]
async fn members_have_levels_and_are_found_by_a_part_of_their_name() {
    let (world, _pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    for (login, level) in [("ana", 40), ("sam", 30), ("rita", 10)] {
        let (status, found) = server.get(&format!("{{repo}}/members/all?query={login}")).await;
        let member = found.as_array().unwrap().iter().find(|member| member["username"] == login).unwrap().clone();
        assert_eq!((status, &member["access_level"], &member["state"]), (200, &json!(level), &json!("active")));
    }
    let (_, some) = server.get("{repo}/members/all?query=A").await;
    assert!(some.as_array().unwrap().len() > 1, "{some}");
    assert_eq!(server.get("{repo}/members/all?query=otto").await.1, json!([]));
}

#[tokio::test]
async fn a_merge_request_has_gitlab_s_fields() {
    let (world, pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    world.forge.change(|state| state.pull_mut(REPO, 1).unwrap().mergeable_unknown = 1);
    assert_eq!(server.get("{mr}").await.1["detailed_merge_status"], json!("checking"));
    let (_, open) = server.get("{mr}").await;
    assert_eq!((&open["detailed_merge_status"], &open["merge_status"]), (&json!("mergeable"), &json!("can_be_merged")));
    assert_eq!((&open["iid"], &open["state"], &open["sha"]), (&json!(1), &json!("opened"), &json!(pull.head())));
    assert_eq!((&open["source_branch"], &open["target_branch"]), (&json!("a-change"), &json!("main")));
    assert_eq!(open["source_project_id"], open["target_project_id"]);
    assert_eq!(open["diff_refs"]["start_sha"], json!(pull.now().base));
    assert_eq!(open["web_url"], json!(world.forge.pull_page(REPO, 1)));
    assert_eq!((&open["merge_commit_sha"], &open["head_pipeline"]), (&Value::Null, &Value::Null));
    world.forge.set_draft(REPO, 1, true, "sam").unwrap();
    let (_, draft) = server.get("{mr}").await;
    assert_eq!((&draft["draft"], &draft["detailed_merge_status"]), (&json!(true), &json!("draft_status")));
    assert_eq!(draft["title"], json!("Draft: A change"));
    let (_, listed) = server.get("{repo}/merge_requests?state=opened").await;
    assert_eq!((&listed[0]["iid"], &listed[0]["head_pipeline"]), (&json!(1), &Value::Null));
    assert_eq!(server.get("{repo}/merge_requests?state=merged").await.1, json!([]));
    let later = "{repo}/merge_requests?order_by=updated_at&sort=asc&updated_after=2999-01-01T00:00:00.000Z";
    assert_eq!(server.get(later).await, (200, json!([])));
    assert_eq!(server.get(&later.replace("2999", "1999")).await.1.as_array().unwrap().len(), 1);
    assert_eq!(server.get("{repo}/merge_requests?updated_after=lately").await.0, 400);
}

#[tokio::test]
async fn a_squash_has_no_merge_commit_and_a_merge_no_squash_commit() {
    for (method, with, without) in [
        (MergeMethod::Merge, "merge_commit_sha", "squash_commit_sha"),
        (MergeMethod::Squash, "squash_commit_sha", "merge_commit_sha"),
    ] {
        let (world, pull) = world_with_a_merge_request().await;
        let landed = pull.merge_by("ana", method).await;
        let (_, merged) = Caller::server(&world).get("{mr}").await;
        assert_eq!(
            (&merged["state"], &merged[with], &merged[without]),
            (&json!("merged"), &json!(landed), &Value::Null)
        );
        assert_eq!(merged["merge_user"]["username"], json!("ana"));
        assert!(merged["merged_at"].is_string());
    }
}

#[tokio::test]
async fn a_merge_is_refused_as_gitlab_refuses_it() {
    let (world, pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    let head = json!({ "sha": pull.head() });
    assert_eq!(Caller::person(&world, "rita").put("{mr}/merge", head.clone()).await.0, 401);
    let (status, body) = server.put("{mr}/merge", json!({ "sha": "0".repeat(40) })).await;
    let words = format!("SHA does not match HEAD of source branch: {}", pull.head());
    assert_eq!((status, body), (409, json!({ "message": words })));
    world.forge.set_draft(REPO, 1, true, "sam").unwrap();
    assert_eq!(server.put("{mr}/merge", head.clone()).await, (405, json!({ "message": "405 Method Not Allowed" })));
    world.forge.set_draft(REPO, 1, false, "sam").unwrap();
    let (status, merged) = server.put("{mr}/merge", head.clone()).await;
    assert_eq!((status, &merged["state"]), (200, &json!("merged")));
    assert_eq!(server.put("{mr}/merge", head).await.0, 405);
}

#[tokio::test]
async fn approvals_are_those_that_stand_with_their_time_and_versions_have_every_head() {
    let (world, pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    let first = pull.head();
    pull.approve("ana");
    let kim = pull.approve("kim");
    pull.push(&[("prod/main.tf", "# more\n")]).await;
    world.forge.dismiss_review(REPO, 1, kim, "kim").unwrap();
    let (_, approvals) = server.get("{mr}/approvals").await;
    let approved_by = approvals["approved_by"].as_array().unwrap();
    assert_eq!(approved_by.len(), 1, "{approvals}");
    assert_eq!(approved_by[0]["user"]["username"], json!("ana"));
    let (_, versions) = server.get("{mr}/versions").await;
    let heads: Vec<&Value> = versions.as_array().unwrap().iter().map(|version| &version["head_commit_sha"]).collect();
    assert_eq!(heads, [&json!(pull.head()), &json!(first)], "newest first");
    let at = |value: &Value| value.as_str().unwrap().to_owned();
    let approved_at = at(&approved_by[0]["approved_at"]);
    assert!(at(&versions[1]["created_at"]) <= approved_at && approved_at <= at(&versions[0]["created_at"]));
    assert_eq!(approved_at.len(), "2026-11-24T01:02:03.000Z".len(), "{approved_at}");
}

#[tokio::test]
async fn what_has_to_be_approved_stands_in_the_way_and_has_rules() {
    let (world, pull) = world_with_a_merge_request().await;
    world.forge.change(|state| {
        let repo = state.repo_mut(REPO).unwrap();
        (repo.required_reviews, repo.code_owners) = (1, vec!["lee".into()]);
    });
    world.forge.grant(REPO, "lee", Role::Write).unwrap();
    let server = Caller::server(&world);
    let rules = async || {
        let (_, state) = server.get("{mr}/approval_state").await;
        let rules = state["rules"].as_array().unwrap().clone();
        let of = |rule: &Value| (rule["rule_type"].as_str().unwrap().to_owned(), rule["approved"] == true);
        (server.get("{mr}").await.1["detailed_merge_status"].clone(), rules.iter().map(of).collect::<Vec<_>>())
    };
    let both = |any, owner| vec![("any_approver".to_owned(), any), ("code_owner".to_owned(), owner)];
    // Of somebody who may only read.
    pull.approve("rita");
    assert_eq!(rules().await, (json!("not_approved"), both(false, false)));
    assert_eq!(server.put("{mr}/merge", json!({})).await.0, 405);
    pull.approve("ana");
    assert_eq!(rules().await, (json!("not_approved"), both(true, false)));
    pull.approve("lee");
    assert_eq!(rules().await, (json!("mergeable"), both(true, true)));
    assert_eq!(server.put("{mr}/merge", json!({})).await.0, 200);
}

#[tokio::test]
async fn a_merge_request_boards_the_train_where_there_is_one() {
    let (world, pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    let train = "{repo}/merge_trains/merge_requests/1";
    assert_eq!(server.post(train, json!({})).await.0, 404);
    world.forge.change(|state| state.repo_mut(REPO).unwrap().merge_queue = true);
    assert_eq!(server.get("{repo}").await.1["merge_trains_enabled"], true);
    assert_eq!(Caller::person(&world, "rita").post(train, json!({})).await.0, 403);
    assert_eq!(server.post(train, json!({ "sha": "0".repeat(40) })).await.0, 409);
    world.forge.set_draft(REPO, pull.number, true, "sam").unwrap();
    assert_eq!(server.post(train, json!({ "sha": pull.head() })).await.0, 400);
    assert!(!pull.now().queued);
    // It waits until it can.
    assert_eq!(server.post(train, json!({ "sha": pull.head(), "auto_merge": true })).await.0, 202);
    assert!(pull.now().queued && !pull.is_merged());
    world.forge.set_draft(REPO, pull.number, false, "sam").unwrap();
    let (status, cars) = server.post(train, json!({ "sha": pull.head() })).await;
    assert_eq!((status, &cars[0]["merge_request"]["iid"]), (201, &json!(1)));
}

/// As its API makes one for a status that somebody sets.
#[tokio::test]
async fn what_another_tool_reports_stands_in_a_pipeline_of_the_branch() {
    let (world, pull) = world_with_a_merge_request().await;
    world.forge.set_status(REPO, &pull.head(), "ci", "pending", "ana").unwrap();
    let server = Caller::server(&world);
    let (_, read) = server.get("{mr}").await;
    assert_eq!(
        (&read["head_pipeline"]["source"], &read["head_pipeline"]["status"]),
        (&json!("external"), &json!("running"))
    );
    let of_pipeline =
        format!("{{repo}}/repository/commits/{}/statuses?pipeline_id={}", pull.head(), read["head_pipeline"]["id"]);
    assert_eq!(server.get(&of_pipeline).await.1[0]["name"], "ci");
}

#[tokio::test]
async fn notes_are_validated_like_gitlab_s() {
    let (world, pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    assert_eq!(server.post(NOTES, json!({ "body": "x".repeat(1_000_000) })).await.0, 201);
    let long = server.post(NOTES, json!({ "body": "x".repeat(1_000_001) })).await;
    assert_eq!(long, (400, json!({ "message": { "note": ["is too long (maximum is 1000000 characters)"] } })));
    assert_eq!(server.post(NOTES, json!({ "body": " \n" })).await.0, 400);
    assert_eq!(server.post(NOTES, json!({ "text": "hello" })).await, (400, json!({ "error": "body is missing" })));
    assert_eq!(server.ask(Method::POST, NOTES).body("{").send().await.unwrap().status(), 400);
    let (_, note) = server.post(NOTES, json!({ "body": "one" })).await;
    let address = format!("{NOTES}/{}", note["id"]);
    assert_eq!(server.put(&address, json!({ "body": "two" })).await.1["body"], json!("two"));
    assert_eq!(Caller::person(&world, "sam").put(&address, json!({ "body": "three" })).await.0, 403);
    assert_eq!(server.get(&address).await.1["body"], json!("two"));
    world.forge.delete_comment(REPO, note["id"].as_u64().unwrap(), "ana").unwrap();
    assert_eq!(server.put(&address, json!({ "body": "four" })).await.0, 404);
    pull.approve("ana");
    let (_, notes) = server.get(&format!("{NOTES}?sort=asc")).await;
    let last = notes.as_array().unwrap().last().unwrap();
    assert_eq!((&last["system"], &last["body"]), (&json!(true), &json!("approved this merge request")));
}

#[tokio::test]
async fn a_line_that_begins_with_a_slash_is_carried_out_and_not_kept() {
    let (world, _pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    let (status, only) = server.post(NOTES, json!({ "body": "/close\n/merge" })).await;
    assert_eq!((status, only["commands_changes"].is_object()), (202, true));
    assert_eq!(server.post(NOTES, json!({ "body": "hello\n/merge\nyou" })).await.1["body"], json!("hello\nyou"));
    let safe = "\u{200b}/merge";
    assert_eq!(server.post(NOTES, json!({ "body": safe })).await.1["body"], json!(safe));
}

#[tokio::test]
async fn the_same_emoji_is_awarded_once() {
    let (world, pull) = world_with_a_merge_request().await;
    let id = pull.comment("ana", "terraplane plan");
    let server = Caller::server(&world);
    let awards = format!("{NOTES}/{id}/award_emoji");
    assert_eq!(server.post(&awards, json!({ "name": "eyes" })).await.0, 201);
    let again = server.post(&awards, json!({ "name": "eyes" })).await;
    let words = "404 Award Emoji Name has already been taken Not Found";
    assert_eq!(again, (404, json!({ "message": words })));
    assert_eq!(server.post(&awards, json!({ "name": "no emoji" })).await.0, 400);
    assert_eq!(server.get(&awards).await.1.as_array().unwrap().len(), 1);
}

fn status_of(sha: &Sha) -> String {
    format!("{{repo}}/statuses/{sha}")
}

fn pipelines(world: &World) -> Vec<Pipeline> {
    world.forge.read(|state| state.repo(REPO).unwrap().pipelines.clone())
}

#[tokio::test]
async fn a_status_makes_a_pipeline_where_there_is_none_and_goes_into_the_newest_that_fits() {
    let (world, pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    let (status, first) = server.post(&status_of(&pull.head()), json!({ "state": "pending", "name": "a" })).await;
    assert_eq!((status, &first["status"]), (201, &json!("pending")));
    let made = pipelines(&world);
    assert_eq!((made.len(), made[0].reference.as_str(), made[0].source), (1, "a-change", "external"));
    assert_eq!(first["pipeline_id"], json!(made[0].id));
    assert_eq!(server.get("{mr}").await.1["head_pipeline"]["id"], json!(made[0].id));
    server.post(&status_of(&pull.head()), json!({ "state": "success", "name": "b", "ref": "a-change" })).await;
    assert_eq!(pipelines(&world).len(), 1);
    server.post(&status_of(&pull.head()), json!({ "state": "success", "name": "c", "ref": "elsewhere" })).await;
    assert_eq!(pipelines(&world).len(), 2, "another ref is another pipeline");
    let body = json!({ "state": "success", "name": "d", "pipeline_id": 4711 });
    let words = "404 Pipeline for pipeline_id, sha and ref Not Found";
    assert_eq!(server.post(&status_of(&pull.head()), body).await, (404, json!({ "message": words })));
    let (_, listed) = server.get("{mr}/pipelines").await;
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["status"]), (1, &json!("running")));
}

#[tokio::test]
async fn a_status_goes_from_state_to_state_as_a_job_does() {
    let (world, pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    let set = async |state: &str| server.post(&status_of(&pull.head()), json!({ "state": state, "name": "a" })).await;
    assert_eq!(set("pending").await.0, 201);
    let (status, body) = set("pending").await;
    let words =
        "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via \"enqueue\")";
    assert_eq!((status, body), (400, json!({ "message": words })));
    assert_eq!(set("running").await.0, 201);
    assert_eq!(set("running").await.0, 400);
    assert_eq!(set("pending").await.0, 400);
    assert_eq!(set("success").await.0, 201);
    assert_eq!(set("pending").await.0, 201, "what is over begins anew");
    assert_eq!(set("failed").await.0, 201);
    assert_eq!(set("failed").await.0, 201);
    let (_, listed) = server.get(&format!("{{repo}}/repository/commits/{}/statuses", pull.head())).await;
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["status"]), (1, &json!("failed")));
    assert_eq!(listed[0]["author"]["username"], json!("terraplane"));
}

#[tokio::test]
async fn statuses_are_validated_like_gitlab_s() {
    let (world, pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    let with = |field: &str, value: Value| {
        let mut body = json!({ "state": "success", "name": "terraplane/plan" });
        body[field] = value;
        body
    };
    let set = async |body: Value| server.post(&status_of(&pull.head()), body).await;
    assert_eq!(set(with("description", json!("x".repeat(255)))).await.0, 201);
    assert_eq!(set(with("description", json!("x".repeat(256)))).await.0, 400);
    assert_eq!(
        set(with("state", json!("failure"))).await,
        (400, json!({ "error": "state does not have a valid value" }))
    );
    assert_eq!(set(with("state", Value::Null)).await, (400, json!({ "error": "state is missing" })));
    assert_eq!(set(with("target_url", json!("ftp://x"))).await.0, 400);
    let nowhere = "0".repeat(40).parse().unwrap();
    let unknown = server.post(&status_of(&nowhere), with("state", json!("success"))).await;
    assert_eq!(unknown, (404, json!({ "message": "404 Commit Not Found" })));
    assert_eq!(
        Caller::person(&world, "rita").post(&status_of(&pull.head()), with("state", json!("success"))).await.0,
        403
    );
}

#[tokio::test]
async fn a_pipeline_that_must_succeed_stands_in_the_way_until_it_does() {
    let (world, pull) = world_with_a_merge_request().await;
    world.forge.change(|state| state.repo_mut(REPO).unwrap().required_statuses = vec!["a".into()]);
    let server = Caller::server(&world);
    let detailed = async || server.get("{mr}").await.1["detailed_merge_status"].clone();
    assert_eq!(detailed().await, json!("ci_must_pass"));
    for (state, wanted) in [("pending", "ci_still_running"), ("failed", "ci_must_pass"), ("success", "mergeable")] {
        server.post(&status_of(&pull.head()), json!({ "state": state, "name": "a" })).await;
        assert_eq!(detailed().await, json!(wanted), "{state}");
    }
}

#[tokio::test]
async fn lists_come_in_pages_that_lead_to_each_other() {
    let (world, pull) = world_with_a_merge_request().await;
    for number in 0..25 {
        pull.comment("ana", &format!("number {number}"));
    }
    let server = Caller::server(&world);
    let first = server.ask(Method::GET, &format!("{NOTES}?sort=asc")).send().await.unwrap();
    let header = |name: &str| first.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        (header("x-total"), header("x-total-pages"), header("x-per-page")),
        ("25".into(), "2".into(), "20".into())
    );
    assert_eq!((header("x-next-page"), header("x-prev-page")), ("2".into(), String::new()));
    let link = header("link");
    let next = link.split(", ").find(|link| link.ends_with("rel=\"next\"")).unwrap();
    let next = next.trim_start_matches('<').split('>').next().unwrap();
    assert!(next.contains("/projects/acme%2Finfra/merge_requests/1/notes?sort=asc&page=2&per_page=20"), "{next}");
    let token = world.forge.server_token();
    let client = reqwest::Client::builder().no_proxy().user_agent("a test").build().unwrap();
    let rest: Value = client.get(next).bearer_auth(token.expose_secret()).send().await.unwrap().json().await.unwrap();
    assert_eq!((rest.as_array().unwrap().len(), &rest[4]["body"]), (5, &json!("number 24")));
}

#[tokio::test]
async fn a_rate_limit_says_when_it_ends() {
    let (world, _pull) = world_with_a_merge_request().await;
    let server = Caller::server(&world);
    world.trouble("GET", "/user", How::RetryAfter(Duration::from_secs(7)), 1);
    let limited = server.ask(Method::GET, "/user").send().await.unwrap();
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(limited.text().await.unwrap(), "Retry later\n");
    world.trouble("GET", "/user", How::RateLimited { reset_in: Duration::from_secs(60) }, 1);
    let limited = server.ask(Method::GET, "/user").send().await.unwrap();
    assert_eq!((limited.status().as_u16(), limited.headers()["ratelimit-remaining"].to_str().unwrap()), (429, "0"));
    assert_eq!(server.get("/user").await.1["username"], json!("terraplane"));
}

#[tokio::test]
async fn webhooks_of_a_project_are_its_maintainers_and_never_show_their_secrets() {
    let (world, _pull) = world_with_a_merge_request().await;
    assert_eq!(Caller::server(&world).get("{repo}/hooks").await.0, 403);
    let ana = Caller::person(&world, "ana");
    let hook = json!({ "url": "https://t.example.com/webhooks/gitlab", "token": "hush", "note_events": true });
    let (status, made) = ana.post("{repo}/hooks", hook).await;
    assert_eq!((status, &made["note_events"], &made["push_events"]), (201, &json!(true), &json!(true)));
    assert_eq!((&made["token_present"], &made["signing_token_present"]), (&json!(true), &json!(false)));
    assert!(!made.to_string().contains("hush"));
    let address = format!("{{repo}}/hooks/{}", made["id"]);
    let mended = ana.put(&address, json!({ "url": "https://t.example.com/", "push_events": false })).await;
    assert_eq!((mended.0, &mended.1["push_events"], &mended.1["note_events"]), (200, &json!(false), &json!(true)));
    assert_eq!(ana.post("{repo}/hooks", json!({ "url": "nonsense" })).await.0, 422);
}

type Received = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A server that takes every webhook and answers 202.
async fn listener(world: &World, secret: &str) -> Received {
    let received = Received::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/gitlab", listener.local_addr().unwrap()).parse().unwrap();
    let taken = received.clone();
    let take = async move |headers: HeaderMap, body: Bytes| {
        taken.lock().unwrap().push((headers, body));
        StatusCode::ACCEPTED
    };
    tokio::spawn(async { axum::serve(listener, Router::new().route("/webhooks/gitlab", post(take))).await });
    world.forge.set_hook(Hook { url, secret: secret.to_owned().into() });
    received
}

#[tokio::test]
async fn everything_that_happens_is_told_in_order() {
    let world = World::like(Face::Gitlab, &[("a.txt", "one\n")]).await;
    let received = listener(&world, WEBHOOK_SECRET).await;
    let pull = world.open_pull("A change").changing("a.txt", "two\n").await;
    let comment = pull.comment("ana", "hello");
    world.forge.edit_comment(REPO, comment, "ana", "hello you").unwrap();
    world.forge.delete_comment(REPO, comment, "ana").unwrap();
    pull.push(&[("a.txt", "three\n")]).await;
    let review = pull.approve("ana");
    world.forge.dismiss_review(REPO, pull.number, review, "ana").unwrap();
    pull.request_changes("ana");
    world.forge.retitle(REPO, pull.number, "Another title", "sam").unwrap();
    world.forge.set_draft(REPO, pull.number, true, "sam").unwrap();
    world.forge.set_draft(REPO, pull.number, false, "sam").unwrap();
    pull.close("sam");
    pull.reopen("sam").await;
    pull.merge("ana").await;
    world.webhooks_answered().await;
    let received = received.lock().unwrap();
    let told: Vec<String> = received
        .iter()
        .map(|(headers, body)| {
            let body: Value = serde_json::from_slice(body).unwrap();
            let attributes = &body["object_attributes"];
            let action = attributes["action"].as_str().map(|action| format!(".{action}")).unwrap_or_default();
            let changes = body["changes"].as_object().into_iter().flat_map(|changes| changes.keys());
            let mut about: Vec<&str> = changes.map(String::as_str).collect();
            about.extend(attributes["oldrev"].is_string().then_some("oldrev"));
            format!("{}{action} {}", headers["x-gitlab-event"].to_str().unwrap(), about.join(",")).trim_end().to_owned()
        })
        .collect();
    assert_eq!(
        told,
        [
            "Push Hook",
            "Merge Request Hook.open",
            "Note Hook.create",
            "Note Hook.update",
            "Push Hook",
            "Merge Request Hook.update oldrev",
            "Merge Request Hook.approved",
            "Merge Request Hook.unapproved",
            "Merge Request Hook.update title",
            "Merge Request Hook.update draft",
            "Merge Request Hook.update draft",
            "Merge Request Hook.close",
            "Merge Request Hook.reopen",
            "Merge Request Hook.merge",
            "Push Hook",
        ]
    );
}

#[tokio::test]
async fn webhooks_are_proven_by_the_secret_or_signed_with_a_signing_token() {
    let token = Proof::Gitlab { token: Some(TOKEN.into()), signing: None };
    let signature = Proof::Gitlab { token: None, signing: Some(WEBHOOK_SECRET.into()) };
    for (secret, right, wrong) in [(TOKEN, &token, &signature), (WEBHOOK_SECRET, &signature, &token)] {
        let world = World::like(Face::Gitlab, &[("a.txt", "one\n")]).await;
        let received = listener(&world, secret).await;
        world.open_pull("A change").changing("a.txt", "two\n").await;
        world.webhooks_answered().await;
        let (headers, body) = received.lock().unwrap().last().unwrap().clone();
        let delivery = verify(right, &headers, &body, "gitlab.com").unwrap().into_inner();
        assert_eq!((delivery.forge, delivery.lane.as_str()), (ForgeKind::Gitlab, "gitlab.com/acme/infra#1"));
        let id = world.forge.read(|state| state.deliveries.last().unwrap().id.clone());
        assert_eq!(delivery.id.as_str(), id);
        assert!(verify(wrong, &headers, &body, "gitlab.com").is_err());
        assert_eq!(headers.contains_key("x-gitlab-token"), secret == TOKEN);
    }
}

/// What the demo sends looks like what GitLab sends, where a recorded webhook is beside the checkout.
#[tokio::test]
async fn a_webhook_has_no_field_that_a_recorded_one_has_not_and_all_that_matter() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/gitlab");
    let world = World::like(Face::Gitlab, &[("a.txt", "one\n")]).await;
    let received = listener(&world, WEBHOOK_SECRET).await;
    let pull = world.open_pull("A change").changing("a.txt", "two\n").await;
    pull.comment("ana", "hello");
    world.webhooks_answered().await;
    for (event, file) in [("Merge Request Hook", "merge_request.json"), ("Note Hook", "note_merge_request.json")] {
        let Ok(recorded) = std::fs::read_to_string(folder.join(file)) else { return };
        let recorded: Value = serde_json::from_str(&recorded).unwrap();
        let received = received.lock().unwrap();
        let (_, sent) = received.iter().find(|(headers, _)| headers["x-gitlab-event"] == event).unwrap();
        let sent: Value = serde_json::from_slice(sent).unwrap();
        for part in ["", "/user", "/project", "/object_attributes"] {
            let keys =
                |value: &Value| value.pointer(part).unwrap().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            let known = keys(&recorded);
            // In other recordings, and newer than these.
            let newer = ["draft", "internal", "merge_commit_sha", "type"];
            let strange: Vec<String> = keys(&sent).into_iter().filter(|key| !known.contains(key)).collect();
            assert!(strange.iter().all(|key| newer.contains(&key.as_str())), "{file}{part}: {strange:?}");
        }
    }
}
