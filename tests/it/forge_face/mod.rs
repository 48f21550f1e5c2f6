//! The small forge behaves like GitHub where it matters: a forgiving fake would hide faults of the server.

mod api;
mod app;
mod git;
mod gitea;
mod gitlab;
mod looks;
mod pages;
mod queue;
mod troubles;
mod webhooks;

use crate::world::{REPO, World};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use terraplane::demo::state::Change;

/// Somebody who speaks HTTP with the forge.
pub struct Caller {
    world: World,
    token: Option<SecretString>,
    client: reqwest::Client,
}

impl Caller {
    pub fn server(world: &World) -> Self {
        Self::with_token(world, world.forge.server_token())
    }

    pub fn person(world: &World, login: &str) -> Self {
        Self::with_token(world, world.forge.token_of(login))
    }

    pub fn with_token(world: &World, token: SecretString) -> Self {
        Self { token: Some(token), ..Self::nobody(world) }
    }

    pub fn nobody(world: &World) -> Self {
        let redirect = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().no_proxy().redirect(redirect).build().unwrap();
        Self { world: world.clone(), token: None, client }
    }

    /// A request to the API; `{repo}` in the path is the repository.
    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{}", self.world.api_url(), path.replace("{repo}", &format!("/repos/{REPO}")));
        let request = self.client.request(method, url).header("user-agent", "a test");
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        read(self.ask(Method::GET, path).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        read(self.ask(Method::POST, path).json(&body).send().await.unwrap()).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        read(self.ask(Method::PATCH, path).json(&body).send().await.unwrap()).await
    }
}

async fn read(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
}

/// A world with a little code and one open pull request.
async fn world_with_a_pull() -> (World, crate::world::PullRequest) {
    let world = World::with(&[("README.md", "Hello\n"), ("prod/main.tf", "# nothing\n")]).await;
    let pull = world.open_pull("A change").changing("prod/main.tf", "# something\n").await;
    (world, pull)
}

fn write(path: &str, text: &str) -> [Change; 1] {
    [Change::write(path, text)]
}
