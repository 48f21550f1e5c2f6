//! Requests to GitLab's REST API: the only place where one is sent.
//!
//! The token travels in a header that is marked as sensitive, to the configured address only: redirects are not
//! followed, and of a link to the next page only the query is taken.

use super::failure;
use crate::domain::id::Timestamp;
use crate::forge::retry::Patience;
use crate::forge::{ForgeError, SetupError};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::redirect;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use std::ops::ControlFlow;
use std::time::Duration;
use url::{Host, Url};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A page of a hundred comments, each as long as GitLab allows, would be longer.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
/// More pages than anything that we list can have.
const MAX_PAGES: usize = 100;

/// Whether a request may be sent again when nobody knows what became of the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Harmless,
    Never,
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

    /// For what looks like a creation and is none.
    pub(super) fn harmless(self) -> Self {
        Self { repeat: Repeat::Harmless, ..self }
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
        serde_json::from_slice(&self.body).map_err(|error| failure::unreadable(request, &error))
    }
}

pub(super) struct Client {
    http: reqwest::Client,
    /// `https://gitlab.com/api/v4`.
    base: Url,
    authorization: HeaderValue,
    pub patience: Patience,
}

impl Client {
    pub(super) fn new(web: &Url, token: &SecretString, patience: Patience) -> Result<Self, SetupError> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .expect("a checked token fits into a header");
        authorization.set_sensitive(true);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("terraplane/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(patience.deadline);
        if is_loopback(web) {
            // A proxy is for what is outside of this host.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| SetupError::Https(failure::causes(&error)))?;
        let mut base = web.clone();
        base.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(["api", "v4"]);
        Ok(Self { http, base, authorization, patience })
    }

    /// An endpoint, with every segment encoded: a project's whole path is one segment (`group%2Fsub%2Fname`).
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http address has a path").extend(segments);
        url
    }

    /// Sends a request: again and again if that does no harm.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Answer, ForgeError> {
        match request.repeat {
            Repeat::Harmless => self.patience.repeat(|| self.exchange(request)).await,
            Repeat::Never => self.exchange(request).await,
        }
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, ForgeError> {
        self.send(request).await?.json(request)
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
        let response = sending.send().await.map_err(|error| failure::unreachable(request, &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response, request).await?;
        if status.is_success() {
            Ok(Answer { status, headers, body })
        } else {
            Err(failure::refused(request, status, &headers, &body, now()))
        }
    }

    /// Walks a list of any length, until its end or until `each` breaks. GitLab leads to the next page with a `Link`
    /// header, whether it counts pages or gives a cursor (<https://docs.gitlab.com/api/rest/#pagination>).
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        doing: &str,
        mut url: Url,
        mut each: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), ForgeError> {
        url.query_pairs_mut().append_pair("per_page", "100");
        for _ in 0..MAX_PAGES {
            let request = Request::get(doing, url.clone());
            let answer = self.send(&request).await?;
            for item in answer.json::<Vec<T>>(&request)? {
                if each(item).is_break() {
                    return Ok(());
                }
            }
            match next_query(&answer.headers) {
                Some(query) => url.set_query(Some(&query)),
                None => return Ok(()),
            }
        }
        Err(ForgeError::invalid(format!("{doing}: GitLab's list has more than {MAX_PAGES} pages")))
    }
}

async fn read(mut response: reqwest::Response, request: &Request<'_>) -> Result<Vec<u8>, ForgeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure::unreachable(request, &error))? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(failure::unreadable(request, &"it is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(super) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The query of the `next` link (RFC 8288). The rest of it is dropped: behind a proxy it may name another host or path,
/// and the token goes nowhere but to the configured one.
fn next_query(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    for link in links.flat_map(|value| value.split(',')) {
        let Some((target, parameters)) = link.trim().strip_prefix('<').and_then(|link| link.split_once('>')) else {
            continue;
        };
        if parameters.split(';').any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next")) {
            return target.split_once('?').map(|(_, query)| query.to_owned());
        }
    }
    None
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
    async fn a_project_s_path_is_one_segment_below_the_configured_address() {
        let client =
            |web: &str| Client::new(&Url::parse(web).unwrap(), &"glpat-x".into(), Patience::default()).unwrap();
        let below = client("https://git.example.com/forge/").url(&["projects", "acme/eu west/infra", "hooks"]);
        assert_eq!(below.as_str(), "https://git.example.com/forge/api/v4/projects/acme%2Feu%20west%2Finfra/hooks");
        assert_eq!(client("https://gitlab.com").url(&["user"]).as_str(), "https://gitlab.com/api/v4/user");
    }
}
