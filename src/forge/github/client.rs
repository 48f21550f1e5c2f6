//! Requests to GitHub's REST API: the only place where octocrab is asked to send something.
//!
//! Of octocrab we use the transport, TLS and the App's signature, not its endpoints, its paging (which loses the
//! `Authorization` header everywhere but on github.com), its retries (which repeat POSTs) or its errors (which hide
//! what GitHub said).

use super::auth::{Acting, Auth};
use super::failure;
use crate::forge::ForgeError;
use crate::forge::ForgeErrorKind;
use crate::forge::failure::{Pauses, Repeat, next_link, now};
use crate::forge::retry::Patience;
use http::{HeaderMap, Method, StatusCode, header};
use octocrab::Octocrab;
use serde::de::DeserializeOwned;
use std::ops::ControlFlow;
use url::Url;

#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    /// For error messages: `reading acme/infra#7`.
    pub doing: &'a str,
    pub method: Method,
    /// With the API's base path, as made by [`Client::path`].
    pub path: String,
    pub body: Option<serde_json::Value>,
    pub repeat: Repeat,
    /// The answer may be "not modified" if this is still its `ETag`. Such an answer counts against no rate limit.
    pub if_not: Option<String>,
}

impl<'a> Request<'a> {
    pub(super) const fn get(doing: &'a str, path: String) -> Self {
        Self { doing, method: Method::GET, path, body: None, repeat: Repeat::Harmless, if_not: None }
    }

    /// Makes something new each time it is sent, so it is sent once.
    pub(super) const fn post(doing: &'a str, path: String, body: serde_json::Value) -> Self {
        Self { doing, method: Method::POST, path, body: Some(body), repeat: Repeat::Never, if_not: None }
    }

    /// Says what is to be, so that it may be sent again.
    pub(super) const fn put(doing: &'a str, path: String, body: serde_json::Value) -> Self {
        Self { doing, method: Method::PUT, path, body: Some(body), repeat: Repeat::Harmless, if_not: None }
    }

    /// Whether it was there at the first try is not known after the second one.
    pub(super) const fn delete(doing: &'a str, path: String) -> Self {
        Self { doing, method: Method::DELETE, path, body: None, repeat: Repeat::Harmless, if_not: None }
    }

    /// For what looks like a creation and is none.
    pub(super) fn harmless(self) -> Self {
        Self { repeat: Repeat::Harmless, ..self }
    }

    pub(super) const fn patch(doing: &'a str, path: String, body: serde_json::Value) -> Self {
        Self { doing, method: Method::PATCH, path, body: Some(body), repeat: Repeat::Harmless, if_not: None }
    }
}

impl Request<'_> {
    fn is_unchanged(&self, status: StatusCode) -> bool {
        self.if_not.is_some() && status == StatusCode::NOT_MODIFIED
    }
}

/// A success.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, ForgeError> {
        serde_json::from_str(&self.body).map_err(|error| failure::unreadable(request, &error))
    }
}

/// Sends one request once, as whoever `crab` is.
#[tracing::instrument(level = "debug", name = "request", skip_all, fields(doing = request.doing))]
pub(super) async fn exchange(
    crab: &Octocrab,
    request: &Request<'_>,
    patience: &Patience,
) -> Result<Answer, ForgeError> {
    let sent = async {
        // Without scheme and authority: octocrab gives the `Authorization` header to such addresses only.
        let mut http = http::Request::builder()
            .method(request.method.clone())
            .uri(&request.path)
            .header(header::ACCEPT, "application/vnd.github+json");
        if let Some(tag) = &request.if_not {
            http = http.header(header::IF_NONE_MATCH, tag);
        }
        let response = crab.execute(crab.build_request(http, request.body.as_ref())?).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = crab.body_to_string(response).await?;
        Ok((status, headers, body))
    };
    crate::crash::point("request");
    let answer = tokio::time::timeout(patience.deadline, sent).await;
    crate::crash::point("answered");
    match answer {
        Ok(Ok((status, headers, body))) if status.is_success() || request.is_unchanged(status) => {
            Ok(Answer { status, headers, body })
        }
        Ok(Ok((status, headers, body))) => Err(failure::refused(request, status, &headers, &body, now())),
        Ok(Err(error)) => Err(failure::unreachable(request, &error)),
        Err(_) => Err(failure::too_slow(request, patience.deadline)),
    }
}

/// More pages than anything that we list can have.
const MAX_PAGES: usize = 100;

#[derive(Debug)]
pub(super) struct Client {
    pub base: Url,
    pub auth: Auth,
    pub patience: Patience,
    /// By whose token it is.
    pub pauses: Pauses,
}

impl Client {
    /// The path of an endpoint below the API's base path, with every segment encoded.
    pub(super) fn path(&self, segments: &[&str]) -> String {
        endpoint(&self.base, segments)
    }

    /// Sends a request: again and again if that does no harm, and once more with a new token if the old one was refused.
    pub(super) async fn send(&self, acting: Acting<'_>, request: &Request<'_>) -> Result<Answer, ForgeError> {
        self.pauses.heed(self.auth.token_of(acting), request.doing, self.send_now(acting, request)).await
    }

    async fn send_now(&self, acting: Acting<'_>, request: &Request<'_>) -> Result<Answer, ForgeError> {
        let session = self.auth.session(acting, &self.base, &self.patience).await?;
        let refused = match self.send_as(&session.crab, request).await {
            Err(error) if error.kind == ForgeErrorKind::Unauthorized => error,
            done => return done,
        };
        if !self.auth.forget(acting, &session).await {
            return Err(refused);
        }
        let session = self.auth.session(acting, &self.base, &self.patience).await?;
        self.send_as(&session.crab, request).await
    }

    async fn send_as(&self, crab: &Octocrab, request: &Request<'_>) -> Result<Answer, ForgeError> {
        repeat_if_harmless(crab, request, &self.patience).await
    }

    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        acting: Acting<'_>,
        request: &Request<'_>,
    ) -> Result<T, ForgeError> {
        self.send(acting, request).await?.json(request)
    }

    /// A POST that makes something; its answer must be 201.
    pub(super) async fn create<T: DeserializeOwned>(
        &self,
        acting: Acting<'_>,
        request: &Request<'_>,
    ) -> Result<T, ForgeError> {
        let answer = self.send(acting, request).await?;
        if answer.status != StatusCode::CREATED {
            // The POST may have become a GET on its way, by a redirect.
            return Err(failure::unreadable(request, &format!("{} instead of 201 Created", answer.status)));
        }
        answer.json(request)
    }

    /// Walks a list of any length, until its end or until `each` breaks.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        acting: Acting<'_>,
        doing: &str,
        path: &str,
        mut each: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), ForgeError> {
        let first = Request::get(doing, format!("{path}?per_page=100"));
        self.walk(acting, first, &mut each).await.map(drop)
    }

    /// The same from a first request on. Returns the `ETag` of the first page. If the list is what [`Request::if_not`]
    /// says, `each` sees nothing of it.
    pub(super) async fn walk<T: DeserializeOwned>(
        &self,
        acting: Acting<'_>,
        first: Request<'_>,
        mut each: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<Option<String>, ForgeError> {
        let (doing, unchanged) = (first.doing, first.if_not.clone());
        let mut request = first;
        let mut tag = None;
        for page in 0..MAX_PAGES {
            let answer = self.send(acting, &request).await?;
            if page == 0 {
                if request.is_unchanged(answer.status) {
                    return Ok(unchanged);
                }
                tag = answer.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
            }
            for item in answer.json::<Vec<T>>(&request)? {
                if each(item).is_break() {
                    return Ok(tag);
                }
            }
            match next_page(&answer.headers) {
                Some(page) => request = Request::get(doing, page),
                None => return Ok(tag),
            }
        }
        Err(ForgeError::invalid(format!("{doing}: GitHub's list has more than {MAX_PAGES} pages")))
    }
}

pub(super) async fn repeat_if_harmless(
    crab: &Octocrab,
    request: &Request<'_>,
    patience: &Patience,
) -> Result<Answer, ForgeError> {
    match request.repeat {
        Repeat::Harmless => patience.repeat(|| exchange(crab, request, patience)).await,
        Repeat::Never => exchange(crab, request, patience).await,
    }
}

pub(super) fn endpoint(base: &Url, segments: &[&str]) -> String {
    let mut url = base.clone();
    url.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(segments);
    url.path().to_owned()
}

/// The path and query of the link to the next page.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let target: http::Uri = next_link(headers)?.parse().ok()?;
    target.path_and_query().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(link: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LINK, link.parse().unwrap());
        next_page(&headers)
    }

    #[test]
    fn the_next_page_is_the_next_link_without_its_host() {
        let both = r#"<https://evil.example/repositories/1/pulls/2/reviews?per_page=100&page=1>; rel="prev", <https://evil.example/repositories/1/pulls/2/reviews?per_page=100&page=3>; rel="next""#;
        assert_eq!(next(both).as_deref(), Some("/repositories/1/pulls/2/reviews?per_page=100&page=3"));
        assert_eq!(next(r#"<https://h/a?page=1>; rel="prev", <https://h/a?page=9>; rel="last""#), None);
        assert_eq!(next("nonsense"), None);
    }

    #[test]
    fn endpoints_keep_the_base_path_and_encode_what_they_are_given() {
        let ghes = Url::parse("https://ghe.example.com/api/v3").unwrap();
        assert_eq!(endpoint(&ghes, &["repos", "acme", "infra"]), "/api/v3/repos/acme/infra");
        let slash = Url::parse("https://ghe.example.com/api/v3/").unwrap();
        assert_eq!(endpoint(&slash, &["user"]), "/api/v3/user");
        let dotcom = Url::parse("https://api.github.com").unwrap();
        assert_eq!(endpoint(&dotcom, &["repos", "a/b?c", "x%2f"]), "/repos/a%2Fb%3Fc/x%252f");
    }
}
