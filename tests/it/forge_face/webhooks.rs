use super::world_with_a_pull;
use crate::world::{REPO, WEBHOOK_SECRET, World};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex};
use terraplane::demo::state::{Answer, How};

type Received = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A server that takes every webhook and answers 202.
async fn listener(world: &World) -> Received {
    let received = Received::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let taken = received.clone();
    let take = async move |headers: HeaderMap, body: Bytes| {
        taken.lock().unwrap().push((headers, body));
        StatusCode::ACCEPTED
    };
    tokio::spawn(async { axum::serve(listener, Router::new().route("/webhooks/github", post(take))).await });
    world.connect(&url);
    received
}

fn events(received: &Received) -> Vec<String> {
    let received = received.lock().unwrap();
    let name = |(headers, body): &(HeaderMap, Bytes)| {
        let body: Value = serde_json::from_slice(body).unwrap();
        let action = body["action"].as_str().map(|a| format!(".{a}")).unwrap_or_default();
        format!("{}{action}", headers["x-github-event"].to_str().unwrap())
    };
    received.iter().map(name).collect()
}

#[tokio::test]
async fn everything_that_happens_is_told_in_order_and_signed() {
    let world = World::with(&[("a.txt", "one\n")]).await;
    let received = listener(&world).await;
    let pull = world.open_pull("A change").changing("a.txt", "two\n").await;
    let comment = pull.comment("ana", "hello");
    world.forge.edit_comment(REPO, comment, "ana", "hello you").unwrap();
    world.forge.delete_comment(REPO, comment, "ana").unwrap();
    pull.push(&[("a.txt", "three\n")]).await;
    let review = pull.approve("ana");
    world.forge.dismiss_review(REPO, pull.number, review, "kim").unwrap();
    world.forge.retitle(REPO, pull.number, "Another title", "sam").unwrap();
    pull.close("sam");
    pull.reopen("sam").await;
    pull.merge("ana").await;
    world.webhooks_answered().await;
    assert_eq!(
        events(&received),
        [
            "push",
            "pull_request.opened",
            "issue_comment.created",
            "issue_comment.edited",
            "issue_comment.deleted",
            "push",
            "pull_request.synchronize",
            "pull_request_review.submitted",
            "pull_request_review.dismissed",
            "pull_request.edited",
            "pull_request.closed",
            "pull_request.reopened",
            "pull_request.closed",
            "push",
        ]
    );
    for (headers, body) in received.lock().unwrap().iter() {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
        mac.update(body);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        assert_eq!(headers["x-hub-signature-256"].to_str().unwrap(), signature);
        assert!(headers.contains_key("x-github-delivery"));
    }
    world.finish().await;
}

#[tokio::test]
async fn a_delivery_can_be_lost_or_repeated_or_sent_again() {
    let (world, pull) = world_with_a_pull().await;
    let received = listener(&world).await;
    world.trouble("POST", "comment", How::LoseWebhook, 1);
    pull.comment("ana", "lost");
    world.trouble("POST", "comment", How::RepeatWebhook, 1);
    pull.comment("ana", "twice");
    pull.comment("ana", "once");
    world.webhooks_answered().await;
    let ids = |received: &Received| {
        let received = received.lock().unwrap();
        received.iter().map(|(h, _)| h["x-github-delivery"].to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    world.wait("three webhooks", |_| (ids(&received).len() == 3).then_some(())).await;
    let sent = ids(&received);
    assert_eq!(sent[0], sent[1]);
    let lost = world.forge.read(|state| state.deliveries.iter().rev().nth(2).unwrap().clone());
    assert_eq!(lost.answer, Answer::Lost);
    world.forge.redeliver(&lost.id);
    world.wait("the lost webhook", |_| (ids(&received).last() == Some(&lost.id)).then_some(())).await;
}

#[tokio::test]
async fn payloads_have_githubs_fields_with_githubs_types() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/github");
    if !examples.is_dir() {
        return;
    }
    let (world, pull) = world_with_a_pull().await;
    pull.comment("ana", "hello");
    pull.approve("ana");
    pull.merge("ana").await;
    world.forge.read(|state| {
        for delivery in &state.deliveries {
            let ours: Value = serde_json::from_str(&delivery.body).unwrap();
            let theirs = examples_of(&examples.join(&delivery.event));
            let mut wrong = Vec::new();
            compare(&delivery.event, &ours, &theirs.iter().collect::<Vec<_>>(), &mut wrong);
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
    });
}

fn examples_of(dir: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.map(|text| serde_json::from_slice(&text).unwrap()).collect()
}

/// Every field of ours is one of theirs somewhere, and of a type that theirs has.
fn compare(path: &str, ours: &Value, theirs: &[&Value], wrong: &mut Vec<String>) {
    let same_type = |a: &Value, b: &Value| std::mem::discriminant(a) == std::mem::discriminant(b);
    // What may be null may be anything: the examples do not show every value.
    if !ours.is_null() && !theirs.iter().any(|t| same_type(t, ours)) && theirs.iter().any(|t| !t.is_null()) {
        wrong.push(format!("{path} is {ours}, and GitHub has {}", theirs[0]));
    }
    for (name, value) in ours.as_object().into_iter().flatten() {
        // Documented, but the examples' comments are all on plain issues.
        if path == "issue_comment.issue" && name == "pull_request" {
            continue;
        }
        let inner: Vec<&Value> = theirs.iter().filter_map(|t| t.get(name)).collect();
        let known = !inner.is_empty() || theirs.iter().all(|t| !t.is_object());
        match known {
            true => compare(&format!("{path}.{name}"), value, &inner, wrong),
            false => wrong.push(format!("{path}.{name} is unknown to GitHub")),
        }
    }
}
