//! From the configuration to the forges: the connections, and what proves their webhooks.

use crate::config::{Forges, GithubAuth as Auth};
use crate::domain::id::ForgeKind;
use crate::forge::webhook::Proof;
use crate::forge::{
    Forge, Gitea, GiteaSettings, Github, GithubAuth, GithubSettings, Gitlab, GitlabSettings, SetupError,
};
use crate::web::Hook;

/// The forges that a configuration describes. Nothing is sent yet.
///
/// # Errors
/// For each forge whose settings cannot be used, such as a key that is none.
pub(super) fn connect(config: &Forges) -> Vec<(ForgeKind, Result<Forge, SetupError>)> {
    let mut forges = Vec::new();
    if let Some(github) = &config.github {
        let auth = match &github.auth {
            Auth::App { app_id, private_key } => GithubAuth::App { app_id: *app_id, private_key: private_key.clone() },
            Auth::Token(token) => GithubAuth::Token(token.clone()),
        };
        let made = Github::new(&GithubSettings { api_url: github.api_url.clone(), auth });
        forges.push((ForgeKind::Github, made.map(Forge::Github)));
    }
    if let Some(gitlab) = &config.gitlab {
        let made = Gitlab::new(&GitlabSettings { url: gitlab.url.clone(), token: gitlab.token.clone() });
        forges.push((ForgeKind::Gitlab, made.map(Forge::Gitlab)));
    }
    if let Some(gitea) = &config.gitea {
        let made = Gitea::new(&GiteaSettings { url: gitea.url.clone(), token: gitea.token.clone() });
        forges.push((ForgeKind::Gitea, made.map(Forge::Gitea)));
    }
    forges
}

/// What proves the webhooks of each forge.
pub(super) fn hooks(config: &Forges) -> Vec<Hook> {
    let mut hooks = Vec::new();
    if let Some(github) = &config.github {
        hooks.push(Hook { host: github.host(), proof: Proof::Github(github.webhook_secret.clone()) });
    }
    if let Some(gitlab) = &config.gitlab {
        let (token, signing) = (gitlab.webhook_secret.clone(), gitlab.signing_token.clone());
        hooks.push(Hook { host: gitlab.host(), proof: Proof::Gitlab { token, signing } });
    }
    if let Some(gitea) = &config.gitea {
        hooks.push(Hook { host: gitea.host(), proof: Proof::Gitea(gitea.webhook_secret.clone()) });
    }
    hooks
}
