//! Requests to the API of Gitea and Forgejo: the one place where something is sent.
//!
//! The token travels in the header `Authorization` and nowhere else; redirects are not followed, so it never goes where it
//! was not meant to go.

use super::failure;
use crate::domain::id::Timestamp;
use crate::forge::retry::Patience;
use crate::forge::{ForgeError, SetupError};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use std::ops::ControlFlow;
use std::time::Duration;
use url::Url;

/// More pages than anything that we list can have.
const MAX_PAGES: usize = 100;
/// What Gitea gives at most unless it is told otherwise.
const PAGE: &str = "50";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a request may be sent again when nobody knows what became of the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Harmless,
    Never,
}

#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    /// For error messages: `reading acme/infra#7`.
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

    /// Makes something new each time it is sent, so it is sent once.
    pub(super) const fn post(doing: &'a str, url: Url, body: serde_json::Value) -> Self {
        Self { doing, method: Method::POST, url, body: Some(body), repeat: Repeat::Never }
    }

    pub(super) const fn patch(doing: &'a str, url: Url, body: serde_json::Value) -> Self {
        Self { doing, method: Method::PATCH, url, body: Some(body), repeat: Repeat::Harmless }
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

#[derive(Debug)]
pub(super) struct Client {
    /// `https://HOST/api/v1`.
    base: Url,
    http: reqwest::Client,
    patience: Patience,
}

impl Client {
    pub(super) fn new(base: Url, token: &SecretString, patience: Patience) -> Result<Self, SetupError> {
        let value = format!("token {}", token.expose_secret());
        let mut authorization = HeaderValue::from_str(&value).expect("a checked token fits into a header");
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, authorization),
            (header::ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("terraplane/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(patience.deadline)
            .build()
            .map_err(|error| SetupError::Https(failure::causes(&error)))?;
        Ok(Self { base, http, patience })
    }

    /// The address of an endpoint, with every segment encoded.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(segments);
        url
    }

    /// Sends a request: again and again if that does no harm.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Answer, ForgeError> {
        match request.repeat {
            Repeat::Harmless => self.patience.repeat(|| self.exchange(request)).await,
            Repeat::Never => self.exchange(request).await,
        }
    }

    #[tracing::instrument(level = "debug", name = "request", skip_all, fields(doing = request.doing))]
    async fn exchange(&self, request: &Request<'_>) -> Result<Answer, ForgeError> {
        let mut builder = self.http.request(request.method.clone(), request.url.clone());
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let sent = async {
            let response = builder.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, response.text().await?))
        };
        match sent.await {
            Ok((status, headers, body)) if status.is_success() => Ok(Answer { status, headers, body }),
            Ok((status, headers, body)) => Err(failure::refused(request, status, &headers, &body, now())),
            Err(error) => Err(failure::unreachable(request, &error, self.patience.deadline)),
        }
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
            return Err(failure::unreadable(request, &format!("{} instead of 201 Created", answer.status)));
        }
        answer.json(request)
    }

    /// Walks a list of any length, until its end or until `each` breaks. Most lists lead to the next page with a `Link`
    /// header; some only say how many there are.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        doing: &str,
        url: &Url,
        mut each: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), ForgeError> {
        let mut first = url.clone();
        first.query_pairs_mut().append_pair("limit", PAGE);
        let (mut next, mut seen) = (first.clone(), 0);
        for page in 1..=MAX_PAGES {
            let request = Request::get(doing, next);
            let answer = self.send(&request).await?;
            let items = answer.json::<Vec<T>>(&request)?;
            if items.is_empty() {
                return Ok(());
            }
            seen += items.len();
            for item in items {
                if each(item).is_break() {
                    return Ok(());
                }
            }
            next = match next_page(&answer.headers, url) {
                Some(page) => page,
                None if total(&answer.headers).is_some_and(|total| seen < total) => {
                    let mut numbered = first.clone();
                    numbered.query_pairs_mut().append_pair("page", &(page + 1).to_string());
                    numbered
                }
                None => return Ok(()),
            };
        }
        Err(ForgeError::invalid(format!("{doing}: the list has more than {MAX_PAGES} pages")))
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// How many items the whole list has.
fn total(headers: &HeaderMap) -> Option<usize> {
    headers.get("x-total-count")?.to_str().ok()?.parse().ok()
}

/// The `next` link (RFC 8288) as another page of `list`: only its query is taken, so that the token goes where it went
/// before. Gitea writes its own idea of its address, which a proxy may have changed.
fn next_page(headers: &HeaderMap, list: &Url) -> Option<Url> {
    let links = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    for link in links.flat_map(|value| value.split(',')) {
        let Some((target, parameters)) = link.trim().strip_prefix('<').and_then(|link| link.split_once('>')) else {
            continue;
        };
        if parameters.split(';').any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next")) {
            let mut page = list.clone();
            page.set_query(Url::parse(target).ok()?.query());
            return Some(page);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_next_links_query_at_our_own_address() {
        let list = Url::parse("https://git.example.com/forge/api/v1/repos/acme/infra/hooks").unwrap();
        let next = |link: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::LINK, link.parse().unwrap());
            next_page(&headers, &list).map(String::from)
        };
        let both = r#"<https://evil.example/x?limit=50&page=2>; rel="next",<https://evil.example/x?limit=50&page=9>; rel="last""#;
        assert_eq!(next(both).unwrap(), format!("{list}?limit=50&page=2"));
        assert_eq!(next(r#"<https://h/a?page=1>; rel="prev""#), None);
        assert_eq!(next("nonsense"), None);
    }
}
