//! What `terraplane doctor` asks GitLab: is it there, does it know us, may we do our work. Every finding that is not
//! fine says what to change and where.

use super::Gitlab;
use super::payload::{self, Permissions};
use crate::domain::id::RepoName;
use crate::forge::rest::Request;
use crate::forge::{Finding, ForgeError, ForgeErrorKind};
use serde::Deserialize;

/// Developers may comment and set statuses; what is protected needs more.
const DEVELOPER: u32 = 30;
const MAINTAINER: u32 = 40;

#[derive(Deserialize)]
struct Token {
    name: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    expires_at: Option<String>,
}

impl Gitlab {
    pub(in crate::forge) async fn doctor(&self, repo: Option<&RepoName>) -> Vec<Finding> {
        let mut findings = match self.examine_token().await {
            Ok(findings) => findings,
            // Nothing else can be found out.
            Err(error) => return vec![bad(format!("GitLab at {} lets us in", self.host()), error.message)],
        };
        if let Some(repo) = repo {
            findings.extend(self.examine_project(repo).await);
        }
        findings
    }

    async fn examine_token(&self) -> Result<Vec<Finding>, ForgeError> {
        let me = self.me().await?;
        let mut findings = vec![good(format!("GitLab at {} knows the token of `{me}`", self.host()))];
        let url = self.0.client.url(&["personal_access_tokens", "self"]);
        // Also answers for the tokens of projects and groups.
        match self.0.client.json::<Token>(&Request::get("asking what the token may do", url)).await {
            Ok(token) => {
                let what = "the token has the scope `api`";
                findings.push(if token.scopes.iter().any(|scope| scope == "api") {
                    good(what)
                } else {
                    let has = token.scopes.join("`, `");
                    bad(
                        what,
                        format!("it has `{has}`, which can't set a status or write a comment: make one with `api`"),
                    )
                });
                if let Some(day) = token.expires_at {
                    let name = token.name.unwrap_or_default();
                    findings.push(good(format!("the token `{name}` is good until {day}")));
                }
            }
            // An OAuth token can't be asked about in this way; the project's answers show what it may do.
            Err(error) if matches!(error.kind, ForgeErrorKind::NotFound | ForgeErrorKind::Unauthorized) => {}
            Err(error) => findings.push(bad("the token has the scope `api`", error.message)),
        }
        Ok(findings)
    }

    async fn examine_project(&self, repo: &RepoName) -> Vec<Finding> {
        let path = repo.path();
        let what = format!("{path} can be read");
        let read = async {
            let doing = format!("reading {path}");
            let request = Request::get(&doing, self.project_url(repo, &[])?);
            self.0.client.json::<payload::Project>(&request).await
        };
        let project = match read.await {
            Ok(project) => project,
            Err(error) => {
                let private = error.kind == ForgeErrorKind::NotFound;
                let hint = if private { "; GitLab says the same when it exists and we may not see it" } else { "" };
                return vec![bad(what, error.message + hint)];
            }
        };
        let mut findings = vec![good(what)];
        let level = project.permissions.as_ref().map_or(0, Permissions::access_level);
        let what = format!("the token's account is at least a Developer of {path}");
        findings.push(if level >= DEVELOPER {
            good(what)
        } else {
            bad(what, "with less no status can be set: add the account to the project or to its group as a Developer")
        });
        if level < MAINTAINER {
            // Not a fault: who may merge into a protected branch is the project's to say, and only Maintainers see it.
            let advice = "after a merge `…/apply` stands on a commit of the target branch: where that is protected, allow \
                          the account to merge into it, or make it a Maintainer";
            findings.push(Finding { advice: advice.into(), ..good("the token's account is not a Maintainer") });
        }
        match self.clone_access(repo).await {
            Ok(access) => findings.push(good(format!("git may fetch from {}", access.url))),
            Err(error) => findings.push(bad(format!("git may fetch from {path}"), error.message)),
        }
        findings.push(self.examine_hook(repo).await);
        findings
    }
}

fn good(what: impl Into<String>) -> Finding {
    Finding { what: what.into(), ok: true, advice: String::new() }
}

fn bad(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { what: what.into(), ok: false, advice: advice.into() }
}
