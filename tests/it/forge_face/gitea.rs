//! The Gitea face: what is different from GitHub's.

use super::Caller;
use crate::world::{PullRequest, REPO, WEBHOOK_SECRET, World};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use terraplane::demo::Face;
use terraplane::demo::state::{How, ReviewState};
use terraplane::domain::event::Event;
use terraplane::domain::id::ForgeKind;
use terraplane::domain::pull::Role;
use terraplane::forge;
use terraplane::forge::webhook::{Proof, verify};

async fn world_with_a_pull() -> (World, PullRequest) {
    let world = World::like(Face::Gitea, &[("README.md", "Hello\n"), ("prod/main.tf", "# nothing\n")]).await;
    let pull = world.open_pull("A change").changing("prod/main.tf", "# something\n").await;
    (world, pull)
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_and_what_somebody_may_not_see_does_not_exist() {
    let (world, pull) = world_with_a_pull().await;
    let (status, body) = Caller::nobody(&world).get("{repo}/pulls/1").await;
    assert_eq!((status, &body["message"]), (401, &json!("token is required")));
    assert_eq!(Caller::with_token(&world, "wrong".into()).get("{repo}/pulls/1").await.0, 401);
    let (otto, rita, server) = (Caller::person(&world, "otto"), Caller::person(&world, "rita"), Caller::server(&world));
    let (status, body) = otto.get("{repo}").await;
    assert_eq!((status, &body["message"]), (404, &json!("The target couldn't be found.")));
    assert_eq!(rita.get("{repo}").await.1["permissions"], json!({ "admin": false, "push": false, "pull": true }));
    let status = json!({ "state": "success", "context": "a" });
    assert_eq!(rita.post(&format!("{{repo}}/statuses/{}", pull.head()), status).await.0, 403);
    assert_eq!(server.get("{repo}/no/such/thing").await.0, 404);
    assert_eq!(server.ask(Method::DELETE, "{repo}/pulls/1").send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn only_administrators_are_told_what_others_may_do() {
    let (world, _pull) = world_with_a_pull().await;
    let permission = async |caller: &Caller, login: &str| {
        let (status, body) = caller.get(&format!("{{repo}}/collaborators/{login}/permission")).await;
        (status, body["permission"].as_str().unwrap_or_default().to_owned())
    };
    let server = Caller::server(&world);
    for (login, word) in [("ana", "admin"), ("sam", "write"), ("rita", "read"), ("otto", "none")] {
        assert_eq!(permission(&server, login).await, (200, word.to_owned()), "{login}");
    }
    assert_eq!(permission(&server, "nobody-at-all").await.0, 404);
    world.forge.grant(REPO, "terraplane", Role::Write).unwrap();
    assert_eq!(permission(&server, "sam").await.0, 403);
    assert_eq!(permission(&server, "terraplane").await, (200, "write".into()), "everybody may ask of themselves");
    let (_, writers) = server.get("{repo}/assignees").await;
    let logins: Vec<_> = writers.as_array().unwrap().iter().map(|user| user["login"].as_str().unwrap()).collect();
    assert!(logins.contains(&"sam") && logins.contains(&"ana") && !logins.contains(&"rita"), "{logins:?}");
}

#[tokio::test]
async fn a_pull_request_has_giteas_fields() {
    let (world, pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    world.forge.change(|state| state.pull_mut(REPO, 1).unwrap().mergeable_unknown = 1);
    assert_eq!(server.get("{repo}/pulls/1").await.1["mergeable"], json!(false), "it says no while it looks");
    let (_, open) = server.get("{repo}/pulls/1").await;
    assert_eq!((&open["mergeable"], &open["state"], &open["merged"]), (&json!(true), &json!("open"), &json!(false)));
    assert_eq!(open["head"]["sha"], json!(pull.head()));
    assert_eq!(open["head"]["repo_id"], open["base"]["repo_id"]);
    assert!(open["html_url"].as_str().unwrap().ends_with("/acme/infra/pulls/1"));
    let tip = world.push("main", &[("README.md", "Hello again\n")]).await;
    assert_eq!(server.get("{repo}/pulls/1").await.1["base"]["sha"], json!(tip), "it follows its branch");
    pull.draft(true);
    let (_, draft) = server.get("{repo}/pulls/1").await;
    assert_eq!((&draft["title"], &draft["mergeable"]), (&json!("WIP: A change"), &json!(false)));
    pull.draft(false);
    let merged = pull.merge("ana").await;
    let (_, closed) = server.get("{repo}/pulls/1").await;
    assert_eq!((&closed["state"], &closed["merged"]), (&json!("closed"), &json!(true)));
    assert_eq!((&closed["merge_commit_sha"], &closed["merged_by"]["login"]), (&json!(merged), &json!("ana")));
}

#[tokio::test]
async fn bodies_are_validated_like_giteas() {
    let (world, pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    let comments = "{repo}/issues/1/comments";
    assert_eq!(server.post(comments, json!({ "body": "hello" })).await.0, 201);
    let (status, body) = server.post(comments, json!({ "text": "hello" })).await;
    assert_eq!((status, &body["message"]), (422, &json!("[body]: Required")));
    assert_eq!(server.post("{repo}/issues/99/comments", json!({ "body": "hello" })).await.0, 404);
    let statuses = format!("{{repo}}/statuses/{}", pull.head());
    assert_eq!(server.post(&statuses, json!({ "state": "fine" })).await.0, 422);
    let long = json!({ "state": "success", "context": "a", "description": "x".repeat(500) });
    assert_eq!(server.post(&statuses, long).await.0, 201, "descriptions have no limit");
    assert_eq!(
        server.post(&format!("{{repo}}/statuses/{}", "0".repeat(40)), json!({ "state": "success" })).await.0,
        404
    );
    let id = pull.comment("ana", "terraplane plan");
    let reactions = format!("{{repo}}/issues/comments/{id}/reactions");
    assert_eq!(server.post(&reactions, json!({ "content": "eyes" })).await.0, 201);
    assert_eq!(server.post(&reactions, json!({ "content": "eyes" })).await.0, 200);
    assert_eq!(server.post(&reactions, json!({ "content": "shrug" })).await.0, 403);
    let address = format!("{{repo}}/issues/comments/{id}");
    assert_eq!(Caller::person(&world, "rita").patch(&address, json!({ "body": "three" })).await.0, 403);
    world.forge.delete_comment(REPO, id, "ana").unwrap();
    assert_eq!(server.patch(&address, json!({ "body": "four" })).await.0, 404);
}

#[tokio::test]
async fn a_merge_is_refused_as_documented() {
    let (world, pull) = world_with_a_pull().await;
    let merge = "{repo}/pulls/1/merge";
    let server = Caller::server(&world);
    assert_eq!(Caller::person(&world, "rita").post(merge, json!({ "Do": "merge" })).await.0, 403);
    assert_eq!(server.post(merge, json!({ "Do": "mingle" })).await.0, 422);
    let old = json!({ "Do": "merge", "head_commit_id": "0".repeat(40) });
    assert_eq!(server.post(merge, old).await.0, 409);
    pull.draft(true);
    assert_eq!(server.post(merge, json!({ "Do": "merge" })).await.0, 405);
    pull.draft(false);
    assert_eq!(server.post(merge, json!({ "Do": "squash", "head_commit_id": pull.head() })).await.0, 200);
    assert!(pull.now().merge_commit().is_some());
}

#[tokio::test]
async fn what_the_branch_s_rules_ask_for_is_told_and_stands_in_the_way() {
    let (world, pull) = world_with_a_pull().await;
    world.forge.change(|state| state.repo_mut(REPO).unwrap().required_reviews = 1);
    let server = Caller::server(&world);
    assert_eq!(server.get("{repo}/branches/main").await.1["required_approvals"], 1);
    let merge = json!({ "Do": "merge" });
    let official = async || {
        let (_, reviews) = server.get("{repo}/pulls/1/reviews").await;
        reviews.as_array().unwrap().iter().map(|review| review["official"] == true).collect::<Vec<_>>()
    };
    // Of somebody who may only read.
    pull.approve("rita");
    let refused = server.post("{repo}/pulls/1/merge", merge.clone()).await;
    assert_eq!((refused.0, &refused.1["message"]), (405, &json!("Does not have enough approvals")));
    pull.approve("ana");
    pull.request_changes("ana");
    assert_eq!(official().await, [false, false, true], "a newer verdict takes the place of an older one");
    assert_eq!(server.post("{repo}/pulls/1/merge", merge.clone()).await.0, 405);
    pull.approve("ana");
    assert_eq!(server.post("{repo}/pulls/1/merge", merge).await.0, 200);
}

#[tokio::test]
async fn lists_come_in_pages_of_at_most_fifty() {
    let (world, pull) = world_with_a_pull().await;
    for _ in 0..53 {
        world.forge.review(REPO, pull.number, "kim", ReviewState::Commented).unwrap();
    }
    let server = Caller::server(&world);
    let answer = server.ask(Method::GET, "{repo}/pulls/1/reviews?limit=100").send().await.unwrap();
    assert_eq!(answer.headers()["x-total-count"], "53");
    let link = answer.headers()["link"].to_str().unwrap().to_owned();
    assert!(link.contains("page=2>; rel=\"next\""), "{link}");
    assert_eq!(answer.json::<Vec<Value>>().await.unwrap().len(), 50);
    let last = server.ask(Method::GET, "{repo}/pulls/1/reviews?limit=50&page=2").send().await.unwrap();
    assert!(!last.headers()["link"].to_str().unwrap().contains("rel=\"next\""));
    assert_eq!(last.json::<Vec<Value>>().await.unwrap().len(), 3);
}

#[tokio::test]
async fn too_many_requests_are_refused_with_429() {
    let (world, _pull) = world_with_a_pull().await;
    world.trouble("GET", "/pulls/", How::RetryAfter(Duration::from_secs(7)), 1);
    let answer = Caller::server(&world).ask(Method::GET, "{repo}/pulls/1").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "7"));
}

#[tokio::test]
async fn hooks_are_for_administrators_and_never_tell_their_secret() {
    let (world, _pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    let hook = |url: &str| {
        json!({ "type": "gitea", "active": true, "events": ["pull_request"],
        "config": { "url": url, "content_type": "json", "secret": "hush" } })
    };
    assert_eq!(Caller::person(&world, "sam").post("{repo}/hooks", hook("http://127.0.0.1:1/")).await.0, 403);
    let bare = json!({ "type": "gitea", "config": { "url": "http://127.0.0.1:1/" } });
    assert_eq!(server.post("{repo}/hooks", bare).await.0, 422);
    let (status, made) = server.post("{repo}/hooks", hook("http://127.0.0.1:1/")).await;
    assert_eq!((status, made.to_string().contains("hush")), (201, false));
    let address = format!("{{repo}}/hooks/{}", made["id"]);
    assert_eq!(server.patch(&address, json!({ "config": { "content_type": "form" } })).await.0, 200);
    assert_eq!(server.get("{repo}/hooks").await.1[0]["config"]["content_type"], json!("form"));
}

type Received = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

async fn listener(world: &World) -> Received {
    let received = Received::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let taken = received.clone();
    let take = async move |headers: HeaderMap, body: Bytes| {
        taken.lock().unwrap().push((headers, body));
        StatusCode::ACCEPTED
    };
    tokio::spawn(async { axum::serve(listener, Router::new().route("/webhooks/gitea", post(take))).await });
    world.connect(&url);
    received
}

#[tokio::test]
async fn everything_that_happens_is_told_signed_and_understood() {
    let world = World::like(Face::Gitea, &[("a.txt", "one\n")]).await;
    let received = listener(&world).await;
    let pull = world.open_pull("A change").changing("a.txt", "two\n").await;
    let comment = pull.comment("ana", "hello");
    world.forge.edit_comment(REPO, comment, "ana", "hello you").unwrap();
    pull.push(&[("a.txt", "three\n")]).await;
    let review = pull.approve("ana");
    world.forge.dismiss_review(REPO, pull.number, review, "kim").unwrap();
    world.forge.retitle(REPO, pull.number, "Another title", "sam").unwrap();
    pull.draft(true);
    pull.draft(false);
    pull.close("sam");
    pull.reopen("sam").await;
    pull.merge("ana").await;
    world.webhooks_answered().await;
    let host = world.forge.host();
    let told: Vec<String> = received
        .lock()
        .unwrap()
        .iter()
        .map(|(headers, body)| {
            let delivery = verify(&Proof::Gitea(WEBHOOK_SECRET.into()), headers, body, &host).unwrap().into_inner();
            match forge::event(ForgeKind::Gitea, &delivery.event_name, &delivery.body, &host).unwrap() {
                Event::PullChanged { change, .. } => format!("{change:?}"),
                Event::Commented { comment, .. } => format!("{} says {}", comment.author, comment.body),
                Event::CommentGone { .. } => "gone".into(),
                Event::Called { .. } => "called".into(),
                Event::Reviewed { .. } => "reviewed".into(),
                Event::Queued { .. } | Event::Unqueued { .. } => "queued".into(),
                Event::Ignored { .. } => format!("({})", delivery.event_name),
            }
        })
        .collect();
    assert_eq!(
        told,
        [
            "(push)",
            "Opened",
            "ana says hello",
            "(issue_comment)",
            "(push)",
            "Pushed",
            "reviewed",
            "(pull_request)",
            "MadeDraft",
            "MadeReady",
            "Closed",
            "Reopened",
            "Closed",
            "(push)"
        ]
    );
}

/// What we send has the fields and types that real ones have, where the recorded ones are beside the checkout.
#[tokio::test]
async fn webhooks_have_the_fields_of_recorded_ones() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/gitea");
    if !recorded.is_dir() {
        return;
    }
    let world = World::like(Face::Gitea, &[("a.txt", "one\n")]).await;
    let received = listener(&world).await;
    let pull = world.open_pull("A change").changing("a.txt", "two\n").await;
    pull.comment("ana", "hello");
    pull.merge("ana").await;
    world.webhooks_answered().await;
    let read = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(recorded.join(name)).unwrap()).unwrap() };
    let (opened, merged) = (read("pull_request_opened.json"), read("pull_request_merged.json"));
    let comment = read("pull_request_comment_created.json");
    let mut compared = 0;
    for (headers, body) in received.lock().unwrap().iter() {
        let ours: Value = serde_json::from_slice(body).unwrap();
        let (event, action) = (headers["x-gitea-event"].to_str().unwrap(), ours["action"].as_str().unwrap_or_default());
        let theirs = match (event, action) {
            ("pull_request", "opened") => &opened,
            ("pull_request", "closed") => &merged,
            ("issue_comment", "created") => &comment,
            _ => continue,
        };
        compared += 1;
        // Theirs are older: they may lack fields of ours, but what they have that we read must be there, alike.
        for (path, value) in leaves("", theirs) {
            let Some(mine) = ours.pointer(&path) else { continue };
            let alike =
                std::mem::discriminant(mine) == std::mem::discriminant(&value) || mine.is_null() || value.is_null();
            assert!(alike, "{event}{path} is {mine}, and Gitea has {value}");
        }
    }
    assert_eq!(compared, 3);
}

fn leaves(path: &str, value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, value)| leaves(&format!("{path}/{name}"), value)).collect()
        }
        other => vec![(path.to_owned(), other.clone())],
    }
}
