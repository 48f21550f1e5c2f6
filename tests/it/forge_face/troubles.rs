use super::{Caller, world_with_a_pull};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use terraplane::demo::state::How;

const COMMENTS: &str = "{repo}/issues/1/comments";

#[tokio::test]
async fn a_trouble_is_met_as_often_as_it_says_and_does_nothing() {
    let (world, pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    world.trouble("POST", "/comments", How::Answer(502), 2);
    for wanted in [502, 502, 201] {
        assert_eq!(server.get(COMMENTS).await.0, 200, "another method is not met");
        assert_eq!(server.post(COMMENTS, json!({ "body": "hello" })).await.0, wanted);
    }
    assert_eq!(pull.now().comments.len(), 1);
}

#[tokio::test]
async fn the_two_rate_limits_look_like_githubs() {
    let (world, _pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    world.trouble("GET", "/pulls/1", How::RetryAfter(Duration::from_secs(7)), 1);
    let refused = server.ask(Method::GET, "{repo}/pulls/1").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (403, "7"));
    world.trouble("GET", "/pulls/1", How::RateLimited { reset_in: Duration::from_secs(60) }, 1);
    let refused = server.ask(Method::GET, "{repo}/pulls/1").send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.headers()["x-ratelimit-remaining"], "0");
    assert!(refused.headers().contains_key("x-ratelimit-reset"));
}

#[tokio::test]
async fn a_lost_answer_was_performed() {
    let (world, pull) = world_with_a_pull().await;
    let server = Caller::server(&world);
    world.trouble("POST", "/comments", How::LoseAnswer, 1);
    let sent = server.ask(Method::POST, COMMENTS).json(&json!({ "body": "hello" })).send().await;
    assert!(sent.is_err(), "{sent:?}");
    assert_eq!(pull.now().comments.len(), 1);
    assert_eq!(server.get(COMMENTS).await.0, 200, "the next connection works");
}

#[tokio::test]
async fn a_slow_answer_comes() {
    let (world, _pull) = world_with_a_pull().await;
    world.trouble("GET", "/user", How::Slow(Duration::from_millis(200)), 1);
    let started = Instant::now();
    assert_eq!(Caller::server(&world).get("/user").await.0, 200);
    assert!(started.elapsed() >= Duration::from_millis(200));
}
