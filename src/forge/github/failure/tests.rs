use super::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_795_482_123_000);

fn error(repeat: Repeat, status: u16, headers: &[(&'static str, &str)], body: &str) -> ForgeError {
    let request = Request { repeat, ..Request::get("reading acme/infra", "/repos/acme/infra".into()) };
    let headers = headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
    refused(&request, StatusCode::from_u16(status).unwrap(), &headers.collect(), body, NOW)
}

fn limited(status: u16, headers: &[(&'static str, &str)], body: &Value) -> (ForgeErrorKind, Option<i64>) {
    let error = error(Repeat::Harmless, status, headers, &body.to_string());
    (error.kind, error.retry_at.map(|at| at.since(NOW) / 1000))
}

#[test]
fn a_refusal_is_sorted_by_what_can_be_done_about_it() {
    use ForgeErrorKind::{Conflict, Forbidden, Invalid, Lost, NotFound, Unauthorized, Unavailable};
    for (status, read, create) in [
        (301, NotFound, NotFound),
        (400, Invalid, Invalid),
        (401, Unauthorized, Unauthorized),
        (403, Forbidden, Forbidden),
        (404, NotFound, NotFound),
        (405, Conflict, Conflict),
        (408, Unavailable, Lost),
        (409, Conflict, Conflict),
        (410, NotFound, NotFound),
        (413, Invalid, Invalid),
        (422, Invalid, Invalid),
        (451, Forbidden, Forbidden),
        (500, Unavailable, Lost),
        (502, Unavailable, Lost),
        (503, Unavailable, Lost),
        (599, Unavailable, Lost),
    ] {
        assert_eq!(error(Repeat::Harmless, status, &[], "").kind, read, "{status}");
        assert_eq!(error(Repeat::Never, status, &[], "").kind, create, "{status}");
        assert_eq!(error(Repeat::Harmless, status, &[], "").status, Some(status));
    }
}

#[test]
fn a_rate_limit_is_known_by_its_headers_and_says_when_it_ends() {
    use ForgeErrorKind::{Forbidden, NotFound, RateLimited};
    let reset = (NOW.0 / 1000 + 1800).to_string();
    let past = (NOW.0 / 1000 - 1800).to_string();
    let none = json!({});
    assert_eq!(limited(403, &[("retry-after", "30")], &none), (RateLimited, Some(30)));
    assert_eq!(limited(429, &[("retry-after", "0")], &none), (RateLimited, Some(1)), "never at once");
    assert_eq!(limited(429, &[("retry-after", "soon")], &none), (RateLimited, Some(60)));
    assert_eq!(limited(429, &[], &none), (RateLimited, Some(60)));

    let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())];
    assert_eq!(limited(403, &used_up, &none), (RateLimited, Some(1801)));
    assert_eq!(limited(429, &used_up, &none), (RateLimited, Some(1801)));
    assert_eq!(limited(404, &used_up, &none), (NotFound, None), "the last request that was allowed found nothing");
    let over = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", past.as_str())];
    assert_eq!(limited(403, &over, &none), (RateLimited, Some(1)));
    let absurd = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9223372036854775807")];
    assert_eq!(limited(403, &absurd, &none), (RateLimited, Some(86_401)), "a day at most");
    let left = [("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", reset.as_str())];
    assert_eq!(limited(403, &left, &none), (Forbidden, None));
}

#[test]
fn a_secondary_limit_without_headers_is_known_by_the_page_it_refers_to_and_not_by_its_words() {
    let page = "https://docs.github.com/rest/overview/resources-in-the-rest-api#secondary-rate-limits";
    assert_eq!(limited(403, &[], &json!({ "documentation_url": page })), (ForgeErrorKind::RateLimited, Some(60)));
    assert_eq!(
        limited(
            403,
            &[],
            &json!({ "message": "secondary rate limit", "documentation_url": "https://docs.github.com/rest" })
        ),
        (ForgeErrorKind::Forbidden, None)
    );
}

#[test]
fn what_github_said_is_passed_on_in_one_short_line() {
    let body = json!({ "message": "Validation Failed", "errors": [{ "field": "body", "code": "too_long" }] });
    insta::assert_snapshot!(
        error(Repeat::Never, 422, &[], &body.to_string()),
        @r#"reading acme/infra: GitHub answered 422 Unprocessable Entity: Validation Failed: [{"code":"too_long","field":"body"}]"#
    );
    insta::assert_snapshot!(
        error(Repeat::Harmless, 502, &[], "<html>\r\n\u{1b}[31mBad\tGateway</html>"),
        @"reading acme/infra: GitHub answered 502 Bad Gateway: <html> [31mBad Gateway</html>"
    );
    insta::assert_snapshot!(error(Repeat::Harmless, 404, &[], ""), @"reading acme/infra: GitHub answered 404 Not Found");
    let page = error(Repeat::Harmless, 500, &[], &"x".repeat(1_000_000));
    assert!(page.message.len() < 600, "{}", page.message.len());
}
