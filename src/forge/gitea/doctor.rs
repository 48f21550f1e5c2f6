//! What `terraplane doctor` asks Gitea or Forgejo: is it there, does it know us, may we do our work. Every finding that
//! is not fine says what to change and where.

use super::{Gitea, payload};
use crate::domain::id::RepoName;
use crate::forge::rest::Request;
use crate::forge::{Finding, ForgeErrorKind};
use serde::Deserialize;

#[derive(Deserialize)]
struct Version {
    version: String,
}

impl Gitea {
    pub(in crate::forge) async fn doctor(&self, repo: Option<&RepoName>) -> Vec<Finding> {
        let host = self.host();
        let request = Request::get("asking whose token this is", self.0.client.url(&["user"]));
        let user: payload::User = match self.0.client.json(&request).await {
            Ok(user) => user,
            Err(error) => {
                let advice = match error.kind {
                    ForgeErrorKind::Forbidden => format!("{}: the token needs the scope `read:user`", error.message),
                    _ => error.message,
                };
                return vec![bad(format!("Gitea at {host} lets us in"), advice)];
            }
        };
        let version = self.version().await.map(|version| format!(" ({version})")).unwrap_or_default();
        let mut findings = vec![good(format!("Gitea at {host}{version} knows the token of `{}`", user.login))];
        if let Some(repo) = repo {
            findings.extend(self.examine_repo(repo).await);
        }
        findings
    }

    async fn version(&self) -> Option<String> {
        let request = Request::get("asking for the version", self.0.client.url(&["version"]));
        self.0.client.json::<Version>(&request).await.ok().map(|version| version.version)
    }

    async fn examine_repo(&self, repo: &RepoName) -> Vec<Finding> {
        let path = repo.path();
        let what = format!("{path} can be read");
        let doing = format!("reading {path}");
        let read =
            async { self.0.client.json::<payload::Repository>(&Request::get(&doing, self.url(repo, &[])?)).await };
        let repository = match read.await {
            Ok(repository) => repository,
            Err(error) => {
                let hint = match error.kind {
                    ForgeErrorKind::NotFound => "; the same is said when it exists and we may not see it",
                    ForgeErrorKind::Forbidden => "; the token needs the scope `write:repository`",
                    _ => "",
                };
                return vec![bad(what, error.message + hint)];
            }
        };
        let mut findings = vec![good(what)];
        let may = repository.permissions;
        let what = format!("the token's owner may write to {path}");
        findings.push(if may.is_some_and(|may| may.push) {
            good(what)
        } else {
            bad(what, "without the right to write no status can be set: make the account a collaborator who may write")
        });
        let what =
            format!("the token's owner administers {path}, to know who is an administrator and to make webhooks");
        findings.push(if may.is_some_and(|may| may.admin) {
            good(what)
        } else {
            // It works without: whoever may be assigned may write, and no more is known of anybody.
            let advice = "without it everybody who may write counts as `write`, and rules for `admin` let nobody pass; \
                          `terraplane webhook install` needs it too";
            Finding { what, ok: true, advice: format!("it does not: {advice}") }
        });
        findings.push(self.examine_comments(repo).await);
        findings.push(self.examine_hook(repo).await);
        findings.push(match self.clone_access(repo).await {
            Ok(access) => good(format!("git may fetch from {}", access.url)),
            Err(error) => bad(format!("git may fetch from {path}"), error.message),
        });
        findings
    }

    /// Comments belong to issues, for which tokens have a scope of its own.
    async fn examine_comments(&self, repo: &RepoName) -> Finding {
        let what = format!("comments of {} can be read", repo.path());
        let doing = format!("reading the comments of {}", repo.path());
        let read = async {
            let mut url = self.url(repo, &["issues", "comments"])?;
            url.query_pairs_mut().append_pair("limit", "1");
            self.0.client.send(&Request::get(&doing, url)).await
        };
        match read.await {
            Ok(_) => good(what),
            Err(error) if error.kind == ForgeErrorKind::Forbidden => {
                bad(what, format!("{}: the token needs the scope `write:issue`", error.message))
            }
            Err(error) => bad(what, error.message),
        }
    }
}

pub(super) fn good(what: impl Into<String>) -> Finding {
    Finding { what: what.into(), ok: true, advice: String::new() }
}

pub(super) fn bad(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { what: what.into(), ok: false, advice: advice.into() }
}
