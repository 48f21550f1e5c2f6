//! As whom we speak to GitHub: with one token, or as an App with a token for each repository.
//!
//! An App's tokens are minted here and not by octocrab, so that each is good for one repository only, those for git for
//! reading contents only, concurrent requests share one, and a refusal while minting is never mistaken for the answer
//! to the request that needed it.

use super::client::{Request, endpoint, repeat_if_harmless};
use super::{failure, payload};
use crate::domain::id::{ForgeKind, RepoName, Timestamp};
use crate::forge::failure::{Repeat, causes, now};
use crate::forge::retry::Patience;
use crate::forge::{ForgeError, ForgeErrorKind, SetupError, address};
use http::Method;
use octocrab::Octocrab;
use octocrab::models::AppId;
use octocrab::service::middleware::retry::RetryConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use url::Url;

/// What proves who we are.
#[derive(Debug, Clone)]
pub enum GithubAuth {
    App {
        app_id: u64,
        /// RSA, PEM, as GitHub offered it for download.
        private_key: SecretString,
    },
    /// A personal access token, classic or fine-grained.
    Token(SecretString),
}

/// On whose behalf a request is sent. A plain token makes no difference between them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Acting<'a> {
    /// The App itself: about its own account and installations.
    Ourselves,
    /// The App in a repository.
    In(&'a RepoName),
    /// Git, reading from a repository.
    GitIn(&'a RepoName),
}

/// A token with a client that uses it.
#[derive(Debug)]
pub(super) struct Session {
    pub crab: Octocrab,
    /// `None` for the App itself, which signs each request.
    pub token: Option<SecretString>,
    expires_at: Option<Timestamp>,
}

/// A token is replaced this long before its end, so that a long fetch can be done with it.
const MARGIN_MS: i64 = 10 * 60 * 1000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) enum Auth {
    Token(Arc<Session>),
    App {
        /// As GitHub has it on the App's page.
        id: u64,
        app: Arc<Session>,
        /// Looked up once; looked up again when a token can't be had any more.
        installations: Mutex<HashMap<RepoName, Arc<Installation>>>,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token",
            Self::App { .. } => "App",
        })
    }
}

/// The App's installation that covers a repository, with the tokens for that repository. Each lock is held while its
/// token is minted, so that those who need it at once share it.
pub(super) struct Installation {
    id: u64,
    api: AsyncMutex<Option<Arc<Session>>>,
    git: AsyncMutex<Option<Arc<Session>>>,
}

#[derive(Deserialize)]
struct InstallationToken {
    token: SecretString,
    expires_at: String,
}

impl Auth {
    /// Must be called inside a Tokio runtime: octocrab's client starts a task.
    pub(super) fn new(auth: &GithubAuth, base: &Url) -> Result<Self, SetupError> {
        // Repeating is ours to decide: octocrab would repeat a POST at once, and sleep through a rate limit.
        let builder = Octocrab::builder()
            .add_retry_config(RetryConfig::None)
            .set_connect_timeout(Some(CONNECT_TIMEOUT))
            // Our paths are whole: GraphQL of GitHub Enterprise Server is beside the API's base path.
            .base_uri(base.origin().ascii_serialization())
            .map_err(|_| SetupError::Address { url: base.to_string(), why: "it is not an address".to_owned() })?;
        let https = |error: octocrab::Error| SetupError::Https(causes(&error));
        match auth {
            GithubAuth::Token(token) => {
                address::check_token(ForgeKind::Github, token)?;
                let crab = builder.build().and_then(|crab| crab.user_access_token(token.clone())).map_err(https)?;
                Ok(Self::Token(Arc::new(Session { crab, token: Some(token.clone()), expires_at: None })))
            }
            GithubAuth::App { app_id, private_key } => {
                let crab = builder
                    .app_from_rsa_pem(AppId(*app_id), private_key.expose_secret())
                    .map_err(|error| SetupError::PrivateKey(causes(&error)))?
                    .build()
                    .map_err(https)?;
                let app = Arc::new(Session { crab, token: None, expires_at: None });
                Ok(Self::App { id: *app_id, app, installations: Mutex::default() })
            }
        }
    }

    pub(super) async fn session(
        &self,
        acting: Acting<'_>,
        base: &Url,
        patience: &Patience,
    ) -> Result<Arc<Session>, ForgeError> {
        let (app, repo) = match (self, acting) {
            (Self::Token(session), _) | (Self::App { app: session, .. }, Acting::Ourselves) => {
                return Ok(session.clone());
            }
            (Self::App { app, .. }, Acting::In(repo) | Acting::GitIn(repo)) => (app, repo),
        };
        let installation = match self.known(repo) {
            Some(known) => match known.session(acting, repo, app, base, patience).await {
                // The App was taken out of the repository, and maybe put in again.
                Err(error) if error.kind == ForgeErrorKind::NotFound => self.look_up(repo, app, base, patience).await?,
                done => return done,
            },
            None => self.look_up(repo, app, base, patience).await?,
        };
        installation.session(acting, repo, app, base, patience).await
    }

    /// Requests of the same name share one rate limit: an App has one for each account that installed it, and one of its
    /// own.
    pub(super) fn token_of<'a>(&self, acting: Acting<'a>) -> &'a str {
        match (self, acting) {
            (Self::Token(_), _) | (Self::App { .. }, Acting::Ourselves) => "",
            (Self::App { .. }, Acting::In(repo) | Acting::GitIn(repo)) => repo.owner(),
        }
    }

    /// Forgets a session that was refused. Returns whether another one can be had.
    pub(super) async fn forget(&self, acting: Acting<'_>, refused: &Arc<Session>) -> bool {
        let (Acting::In(repo) | Acting::GitIn(repo)) = acting else {
            return false;
        };
        let Some(installation) = self.known(repo) else {
            return false;
        };
        let mut held = installation.slot(acting).lock().await;
        // Somebody else may have replaced it already.
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, refused)) {
            *held = None;
        }
        true
    }

    /// Forgets the token that git uses in a repository.
    pub(super) async fn forget_git(&self, repo: &RepoName) {
        if let Some(installation) = self.known(repo) {
            *installation.git.lock().await = None;
        }
    }

    fn known(&self, repo: &RepoName) -> Option<Arc<Installation>> {
        match self {
            Self::Token(_) => None,
            Self::App { installations, .. } => {
                installations.lock().unwrap_or_else(PoisonError::into_inner).get(repo).cloned()
            }
        }
    }

    async fn look_up(
        &self,
        repo: &RepoName,
        app: &Session,
        base: &Url,
        patience: &Patience,
    ) -> Result<Arc<Installation>, ForgeError> {
        let doing = format!("looking for the App's installation on {}", repo.path());
        let path = endpoint(base, &["repos", repo.owner(), repo.name(), "installation"]);
        let request = Request::get(&doing, path);
        let answer = repeat_if_harmless(&app.crab, &request, patience).await.map_err(|mut error| {
            if error.kind == ForgeErrorKind::NotFound {
                error.message.push_str(" (install the App on this repository)");
            }
            error
        })?;
        let id = answer.json::<payload::Created>(&request)?.id;
        let found = Arc::new(Installation { id, api: AsyncMutex::default(), git: AsyncMutex::default() });
        if let Self::App { installations, .. } = self {
            installations.lock().unwrap_or_else(PoisonError::into_inner).insert(repo.clone(), found.clone());
        }
        Ok(found)
    }
}

impl Installation {
    const fn slot(&self, acting: Acting<'_>) -> &AsyncMutex<Option<Arc<Session>>> {
        match acting {
            Acting::GitIn(_) => &self.git,
            Acting::In(_) | Acting::Ourselves => &self.api,
        }
    }

    async fn session(
        &self,
        acting: Acting<'_>,
        repo: &RepoName,
        app: &Session,
        base: &Url,
        patience: &Patience,
    ) -> Result<Arc<Session>, ForgeError> {
        let mut held = self.slot(acting).lock().await;
        let good_until = now().plus_ms(MARGIN_MS);
        if let Some(session) = held.as_ref()
            && session.expires_at.is_none_or(|expires_at| expires_at > good_until)
        {
            return Ok(session.clone());
        }
        let mut body = json!({ "repositories": [repo.name()] });
        if matches!(acting, Acting::GitIn(_)) {
            body["permissions"] = json!({ "contents": "read" });
        }
        let doing = format!("getting a token for {}", repo.path());
        let request = Request {
            doing: &doing,
            method: Method::POST,
            path: endpoint(base, &["app", "installations", &self.id.to_string(), "access_tokens"]),
            body: Some(body),
            // One token too many does no harm.
            repeat: Repeat::Harmless,
            if_not: None,
        };
        let answer: InstallationToken = repeat_if_harmless(&app.crab, &request, patience).await?.json(&request)?;
        let expires_at = payload::time(&answer.expires_at).map_err(|odd| failure::unreadable(&request, &odd))?;
        let crab =
            app.crab.user_access_token(answer.token.clone()).map_err(|error| failure::unreachable(&request, &error))?;
        let session = Arc::new(Session { crab, token: Some(answer.token), expires_at: Some(expires_at) });
        *held = Some(session.clone());
        Ok(session)
    }
}
