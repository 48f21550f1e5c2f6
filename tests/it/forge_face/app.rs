use super::{Caller, world_with_a_pull};
use crate::world::{REPO, World};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

fn jwt(world: &World, lives_for: i64) -> SecretString {
    let app = world.app();
    let pem: String = app.private_key.expose_secret().lines().filter(|l| !l.starts_with("---")).collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "iat": now - 10, "exp": now + lives_for, "iss": app.app_id });
    let signed = format!("{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into()
}

#[tokio::test]
async fn the_app_gets_a_token_for_an_installation_and_works_with_it() {
    let (world, pull) = world_with_a_pull().await;
    let app = Caller::with_token(&world, jwt(&world, 500));
    assert_eq!(app.get("/app").await.1["slug"], json!("terraplane"));
    let (status, installation) = app.get("{repo}/installation").await;
    assert_eq!(status, 200);
    let tokens = format!("/app/installations/{}/access_tokens", installation["id"]);
    let (status, token) = app.post(&tokens, json!({ "repositories": ["infra"] })).await;
    assert_eq!((status, &token["repository_selection"]), (201, &json!("selected")));
    assert_eq!(app.post(&tokens, json!({ "repositories": ["other"] })).await.0, 422);
    assert_eq!(app.post("/app/installations/99999/access_tokens", json!({})).await.0, 404);

    let server = Caller::with_token(&world, token["token"].as_str().unwrap().into());
    let (status, comment) = server.post("{repo}/issues/1/comments", json!({ "body": "hello" })).await;
    assert_eq!((status, &comment["user"]["login"]), (201, &json!("terraplane[bot]")));
    assert_eq!(comment["user"]["type"], json!("Bot"));
    assert_eq!(server.get("/user").await.0, 403);
    assert_eq!(server.get("/app").await.0, 401);
    let status = json!({ "state": "success" });
    assert_eq!(server.post(&format!("{{repo}}/statuses/{}", pull.head()), status).await.0, 201);

    world.forge.expire_installation_tokens();
    assert_eq!(server.get("{repo}/pulls/1").await.0, 401);
}

#[tokio::test]
async fn a_jwt_opens_nothing_but_the_apps_own_doors() {
    let (world, _pull) = world_with_a_pull().await;
    assert_eq!(Caller::with_token(&world, jwt(&world, 500)).get("{repo}/pulls/1").await.0, 403);
    assert_eq!(Caller::with_token(&world, jwt(&world, 3600)).get("/app").await.0, 401, "lives too long");
    assert_eq!(Caller::with_token(&world, jwt(&world, -120)).get("/app").await.0, 401, "is over");
    let forged = jwt(&world, 500).expose_secret().replace('.', ".A");
    assert_eq!(Caller::with_token(&world, forged.into()).get("/app").await.0, 401, "is forged");
}

#[tokio::test]
async fn a_fork_is_outside_of_the_installation() {
    let (world, _pull) = world_with_a_pull().await;
    let fork = world.forge.fork(REPO, "otto").await.unwrap();
    let app = Caller::with_token(&world, jwt(&world, 500));
    assert_eq!(app.get(&format!("/repos/{fork}/installation")).await.0, 404);
    assert_eq!(Caller::server(&world).get(&format!("/repos/{fork}")).await.0, 404);
}
