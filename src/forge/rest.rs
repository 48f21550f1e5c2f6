//! Requests to the REST APIs of GitLab, Gitea and Forgejo: the only place where one is sent.
//!
//! The token travels in a header that is marked as sensitive, to the configured address only: redirects are not
//! followed, and of a link to the next page only the query is taken.

use super::address;
use super::failure::{Pauses, Repeat, causes, next_link, now, one_line};
use super::retry::Patience;
use super::{ForgeError, ForgeErrorKind, SetupError};
use crate::domain::id::Timestamp;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::redirect;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A page of a hundred comments, each as long as GitLab allows, would be longer.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
/// More pages than anything that we list can have.
const MAX_PAGES: usize = 100;

/// What a forge's API does in a way of its own.
pub(super) struct Dialect {
    /// Below the address of the pages.
    pub api: [&'static str; 2],
    /// The word before the token.
    pub scheme: &'static str,
    /// How a list is asked for pages that are as large as can be had.
    pub page: (&'static str, &'static str),
    pub refused: fn(&Request<'_>, &Refused<'_>) -> ForgeError,
}

/// An answer that is not a success.
pub(super) struct Refused<'a> {
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    pub now: Timestamp,
}

#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    /// For error messages: `reading acme/infra!7`.
    pub doing: &'a str,
    pub method: Method,
    pub url: Url,
    pub body: Option<serde_json::Value>,
    pub repeat: Repeat,
}

impl<'a> Request<'a> {
    pub(super) const fn get(doing: &'a str, url: Url) -> Self {
        Self { doing, method: Method::GET, url, body: None, repeat: Repeat::Harmless }
    }

    pub(super) const fn head(doing: &'a str, url: Url) -> Self {
        Self { doing, method: Method::HEAD, url, body: None, repeat: Repeat::Harmless }
    }

    /// Makes something new each time it is sent, so it is sent once.
    pub(super) const fn post(doing: &'a str, url: Url, body: serde_json::Value) -> Self {
        Self { doing, method: Method::POST, url, body: Some(body), repeat: Repeat::Never }
    }

    /// Puts something into a state: twice is as good as once.
    pub(super) const fn put(doing: &'a str, url: Url, body: serde_json::Value) -> Self {
        Self { doing, method: Method::PUT, url, body: Some(body), repeat: Repeat::Harmless }
    }

    /// Whether it was there at the first try is not known after the second one.
    pub(super) const fn delete(doing: &'a str, url: Url) -> Self {
        Self { doing, method: Method::DELETE, url, body: None, repeat: Repeat::Harmless }
    }

    pub(super) const fn patch(doing: &'a str, url: Url, body: serde_json::Value) -> Self {
        Self { doing, method: Method::PATCH, url, body: Some(body), repeat: Repeat::Harmless }
    }

    /// For what looks like a creation and is none.
    pub(super) fn harmless(self) -> Self {
        Self { repeat: Repeat::Harmless, ..self }
    }

    /// A success that can't be read: something between us and the forge answered, or the forge changed.
    pub(super) fn unreadable(&self, why: &dyn fmt::Display) -> ForgeError {
        let message = format!("{}: the answer is not as documented: {}", self.doing, one_line(&why.to_string()));
        ForgeError::new(self.repeat.unanswered(), message)
    }

    /// No answer, or only a part of one.
    fn unreachable(&self, error: &reqwest::Error) -> ForgeError {
        let kind = if error.is_builder() {
            ForgeErrorKind::Invalid
        } else if error.is_connect() {
            // Nothing was sent.
            ForgeErrorKind::Unavailable
        } else {
            self.repeat.unanswered()
        };
        let why = if error.is_timeout() { "no answer in time".to_owned() } else { causes(error) };
        ForgeError::new(kind, format!("{}: {why}", self.doing))
    }
}

/// A success.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, ForgeError> {
        serde_json::from_slice(&self.body).map_err(|error| request.unreadable(&error))
    }
}

pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
    dialect: &'static Dialect,
    pub patience: Patience,
    pauses: Pauses,
}

impl Client {
    /// `web` is where the forge's pages are.
    pub(super) fn new(
        web: &Url,
        token: &SecretString,
        dialect: &'static Dialect,
        patience: Patience,
    ) -> Result<Self, SetupError> {
        let mut authorization = HeaderValue::try_from(format!("{} {}", dialect.scheme, token.expose_secret()))
            .expect("a checked token fits into a header");
        authorization.set_sensitive(true);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("terraplane/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(patience.deadline);
        if address::is_loopback(web) {
            // A proxy is for what is outside of this host.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| SetupError::Https(causes(&error)))?;
        let mut base = web.clone();
        base.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(dialect.api);
        Ok(Self { http, base, authorization, dialect, patience, pauses: Pauses::default() })
    }

    /// An endpoint, with every segment encoded: a GitLab project's whole path is one (`group%2Fsub%2Fname`).
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http address has a path").extend(segments);
        url
    }

    /// Sends a request: again and again if that does no harm.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Answer, ForgeError> {
        let ask = async {
            match request.repeat {
                Repeat::Harmless => self.patience.repeat(|| self.exchange(request)).await,
                Repeat::Never => self.exchange(request).await,
            }
        };
        // There is one token for everything.
        self.pauses.heed("", request.doing, ask).await
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, ForgeError> {
        self.send(request).await?.json(request)
    }

    /// The same, where not being there is an answer.
    pub(super) async fn json_if_there<T: DeserializeOwned>(
        &self,
        request: &Request<'_>,
    ) -> Result<Option<T>, ForgeError> {
        match self.send(request).await {
            // What has no content is no comment, but an event among the comments.
            Ok(answer) if answer.status == StatusCode::NO_CONTENT => Ok(None),
            Ok(answer) => answer.json(request).map(Some),
            Err(error) if error.status == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A POST that makes something; its answer must be 201.
    pub(super) async fn create<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, ForgeError> {
        let answer = self.send(request).await?;
        if answer.status != StatusCode::CREATED {
            return Err(request.unreadable(&format!("{} instead of 201 Created", answer.status)));
        }
        answer.json(request)
    }

    #[tracing::instrument(level = "debug", name = "request", skip_all, fields(doing = request.doing))]
    async fn exchange(&self, request: &Request<'_>) -> Result<Answer, ForgeError> {
        let mut sending = self
            .http
            .request(request.method.clone(), request.url.clone())
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, "application/json");
        if let Some(body) = &request.body {
            sending = sending.json(body);
        }
        crate::crash::point("request");
        let sent = async {
            let response = sending.send().await.map_err(|error| request.unreachable(&error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, read(response, request).await?))
        };
        let sent = sent.await;
        crate::crash::point("answered");
        let (status, headers, body) = sent?;
        if status.is_success() {
            return Ok(Answer { status, headers, body });
        }
        let refused = Refused { status, headers: &headers, body: &body, now: now() };
        Err((self.dialect.refused)(request, &refused))
    }

    /// Walks a list of any length, until its end or until `each` breaks. Most lists lead to the next page with a `Link`
    /// header (RFC 8288), whether they count pages or give a cursor; some of Gitea's only say how many items there are.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        doing: &str,
        url: Url,
        each: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), ForgeError> {
        self.walk(doing, url, each).await.map(drop)
    }

    /// The same. Returns when the first page was answered, by the forge's clock, if it says so.
    pub(super) async fn walk<T: DeserializeOwned>(
        &self,
        doing: &str,
        mut url: Url,
        mut each: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<Option<Timestamp>, ForgeError> {
        let (name, value) = self.dialect.page;
        url.query_pairs_mut().append_pair(name, value);
        let first = url.clone();
        let (mut at, mut seen) = (None, 0);
        for page in 1..=MAX_PAGES {
            let request = Request::get(doing, url.clone());
            let answer = self.send(&request).await?;
            if page == 1 {
                at = date(&answer.headers);
            }
            let items = answer.json::<Vec<T>>(&request)?;
            if items.is_empty() {
                return Ok(at);
            }
            seen += items.len();
            for item in items {
                if each(item).is_break() {
                    return Ok(at);
                }
            }
            if let Some(query) = next_query(&answer.headers) {
                url.set_query(Some(&query));
            } else if total(&answer.headers).is_some_and(|total| seen < total) {
                url = first.clone();
                url.query_pairs_mut().append_pair("page", &(page + 1).to_string());
            } else {
                return Ok(at);
            }
        }
        Err(ForgeError::invalid(format!("{doing}: the list has more than {MAX_PAGES} pages")))
    }
}

async fn read(mut response: reqwest::Response, request: &Request<'_>) -> Result<Vec<u8>, ForgeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| request.unreachable(&error))? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(request.unreadable(&"it is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// RFC 9110, 6.6.1.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp(at.timestamp().as_millisecond()))
}

/// How many items the whole list has.
fn total(headers: &HeaderMap) -> Option<usize> {
    headers.get("x-total-count")?.to_str().ok()?.parse().ok()
}

/// The query of the link to the next page.
fn next_query(headers: &HeaderMap) -> Option<String> {
    next_link(headers)?.split_once('?').map(|(_, query)| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(link: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LINK, link.parse().unwrap());
        next_query(&headers)
    }

    #[test]
    fn of_the_link_to_the_next_page_the_query_is_taken() {
        let both = r#"<https://evil.example/api/v4/x?page=1&per_page=100>; rel="prev", <https://evil.example/api/v4/x?page=3&per_page=100>; rel="next", <https://h/x?page=9>; rel="last""#;
        assert_eq!(next(both).as_deref(), Some("page=3&per_page=100"));
        let keyset = r#"<https://h/api/v4/x?pagination=keyset&cursor=eyJpZCI6IjQ0In0>; rel="next""#;
        assert_eq!(next(keyset).as_deref(), Some("pagination=keyset&cursor=eyJpZCI6IjQ0In0"));
        assert_eq!(next(r#"<https://h/a?page=1>; rel="prev", <https://h/a?page=9>; rel="last""#), None);
        assert_eq!(next("nonsense"), None);
    }

    #[tokio::test]
    async fn an_endpoint_is_below_the_configured_address_with_every_segment_encoded() {
        let client = |web: &str, dialect| {
            Client::new(&Url::parse(web).unwrap(), &"glpat-x".into(), dialect, Patience::default()).unwrap()
        };
        let gitlab = &crate::forge::gitlab::DIALECT;
        let below = client("https://git.example.com/forge/", gitlab);
        let below = below.url(&["projects", "acme/eu west/infra", "hooks"]);
        assert_eq!(below.as_str(), "https://git.example.com/forge/api/v4/projects/acme%2Feu%20west%2Finfra/hooks");
        assert_eq!(client("https://gitlab.com", gitlab).url(&["user"]).as_str(), "https://gitlab.com/api/v4/user");
        let gitea = client("https://codeberg.org/", &crate::forge::gitea::DIALECT);
        assert_eq!(gitea.url(&["user"]).as_str(), "https://codeberg.org/api/v1/user");
    }
}
