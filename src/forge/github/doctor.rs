//! What `terraplane doctor` asks GitHub: is it there, does it know us, may we do our work. Every finding that is not
//! fine says what to change and where.

use super::auth::{Acting, Auth};
use super::client::Request;
use super::{Github, event, payload};
use crate::domain::id::RepoName;
use crate::forge::{Finding, ForgeError};
use http::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What an App must be allowed, and what for.
const PERMISSIONS: [(&str, &str, &str); 5] = [
    ("checks", "write", "to show checks with annotations and buttons; without it, plain statuses are set"),
    ("contents", "read", "to fetch the code"),
    ("metadata", "read", "to know who may do what"),
    ("pull_requests", "write", "to read pull requests and comment on them"),
    ("statuses", "write", "to set the statuses `…/plan` and `…/apply`"),
];

#[derive(Deserialize)]
struct App {
    slug: String,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
    #[serde(default)]
    events: Vec<String>,
}

#[derive(Deserialize)]
struct HookConfig {
    url: Option<String>,
    content_type: Option<String>,
}

impl Github {
    pub(in crate::forge) async fn doctor(&self, repo: Option<&RepoName>) -> Vec<Finding> {
        let known = match self.0.client.auth {
            Auth::App { .. } => self.examine_app().await,
            Auth::Token(_) => self.examine_token().await,
        };
        let mut findings = match known {
            Ok(findings) => findings,
            // Nothing else can be found out.
            Err(error) => return vec![bad(format!("GitHub at {} lets us in", self.host()), error.message)],
        };
        if let Some(repo) = repo {
            findings.extend(self.examine_repo(repo).await);
        }
        findings
    }

    async fn examine_app(&self) -> Result<Vec<Finding>, ForgeError> {
        let client = &self.0.client;
        let request = Request::get("asking which App this is", client.path(&["app"]));
        let app: App = client.json(Acting::Ourselves, &request).await?;
        let mut findings = vec![good(format!("GitHub at {} knows the App `{}`", self.host(), app.slug))];
        for (permission, needed, purpose) in PERMISSIONS {
            let granted = app.permissions.get(permission).map_or("", String::as_str);
            let what = format!("the App has `{permission}: {needed}`, {purpose}");
            findings.push(if granted == needed || (needed == "read" && matches!(granted, "write" | "admin")) {
                good(what)
            } else {
                let has = if granted.is_empty() { "nothing of the kind".into() } else { format!("only `{granted}`") };
                bad(
                    what,
                    format!(
                        "it has {has}: change it in the App's settings under \"Permissions & events\", \
                         then accept the change where the App is installed"
                    ),
                )
            });
        }
        let always = event::WANTED.into_iter().filter(|wanted| *wanted != event::OF_QUEUE);
        for wanted in always.chain([event::WANTED_OF_APP]) {
            let what = format!("the App is told about `{wanted}` events");
            findings.push(if app.events.iter().any(|event| event == wanted) {
                good(what)
            } else {
                bad(what, format!("subscribe to `{wanted}` in the App's settings under \"Permissions & events\""))
            });
        }
        findings.push(examine_queue(&app));
        findings.push(self.examine_hook().await);
        Ok(findings)
    }

    async fn examine_hook(&self) -> Finding {
        let client = &self.0.client;
        let what = "the App's webhook sends JSON";
        let request = Request::get("reading the App's webhook settings", client.path(&["app", "hook", "config"]));
        match client.json::<HookConfig>(Acting::Ourselves, &request).await {
            Ok(HookConfig { url: Some(url), content_type }) if content_type.as_deref() == Some("json") => {
                good(format!("{what} to {url}"))
            }
            Ok(HookConfig { url: None, .. }) => {
                bad(what, "set the webhook's URL in the App's settings: this server's address and `/webhooks/github`")
            }
            Ok(_) => bad(what, "set the webhook's content type to `application/json` in the App's settings"),
            Err(error) => bad(what, error.message),
        }
    }

    async fn examine_token(&self) -> Result<Vec<Finding>, ForgeError> {
        let client = &self.0.client;
        let request = Request::get("asking whose token this is", client.path(&["user"]));
        let answer = client.send(Acting::Ourselves, &request).await?;
        let user: payload::User = answer.json(&request)?;
        let mut findings = vec![good(format!("GitHub at {} knows the token of `{}`", self.host(), user.login))];
        // Only classic tokens have scopes; what a fine-grained one may do shows in the repository.
        if let Some(scopes) = answer.headers.get("x-oauth-scopes").and_then(|scopes| scopes.to_str().ok()) {
            let what = "the token has the scope `repo`";
            findings.push(if scopes.split(',').any(|scope| scope.trim() == "repo") {
                good(what)
            } else {
                bad(what, format!("it has `{scopes}`: make a token with the scope `repo`, or use an App"))
            });
        }
        Ok(findings)
    }

    async fn examine_repo(&self, repo: &RepoName) -> Vec<Finding> {
        let what = format!("{} can be read", repo.path());
        let doing = format!("reading {}", repo.path());
        let read = async {
            let request = Request::get(&doing, self.path(repo, &[])?);
            self.0.client.json::<payload::Repository>(Acting::In(repo), &request).await
        };
        let repository = match read.await {
            Ok(repository) => repository,
            Err(error) => {
                let private = error.status == Some(StatusCode::NOT_FOUND.as_u16());
                let hint = if private { "; GitHub says the same when it exists and we may not see it" } else { "" };
                return vec![bad(what, error.message + hint)];
            }
        };
        let mut findings = vec![good(what)];
        // For an App GitHub tells what the App's own account may push, which is nothing.
        if let Auth::Token(_) = self.0.client.auth {
            let what = format!("the token's owner may write to {}", repo.path());
            let push = repository.permissions.is_some_and(|permissions| permissions.push);
            findings.push(if push {
                good(what)
            } else {
                bad(what, "without the role `write` no status can be set: give it to the token's owner")
            });
            findings.push(self.examine_repo_hook(repo).await);
        }
        findings.push(match self.clone_access(repo).await {
            Ok(access) => good(format!("git may fetch from {}", access.url)),
            Err(error) => bad(format!("git may fetch from {}", repo.path()), error.message),
        });
        findings
    }
}

/// Most repositories have no merge queue, and then nothing is missing.
fn examine_queue(app: &App) -> Finding {
    let heard = app.events.iter().any(|name| name == event::OF_QUEUE) && app.permissions.contains_key("merge_queues");
    if heard {
        return good("the App is told what a merge queue asks");
    }
    let what = "the App is not told what a merge queue asks, which only matters where a repository has one".to_owned();
    let advice = "give it the permission *Merge queues* (read), and subscribe to `merge_group` in the App's settings under \
                  \"Permissions & events\"";
    Finding { what, ok: true, advice: advice.to_owned() }
}

pub(super) fn good(what: impl Into<String>) -> Finding {
    Finding { what: what.into(), ok: true, advice: String::new() }
}

pub(super) fn bad(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { what: what.into(), ok: false, advice: advice.into() }
}
