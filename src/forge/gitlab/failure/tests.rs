use super::*;
use serde_json::json;
use url::Url;

const NOW: Timestamp = Timestamp(1_795_482_123_000);

fn error(repeat: Repeat, status: u16, headers: &[(&'static str, &str)], body: &str) -> ForgeError {
    let url = Url::parse("https://gitlab.com/api/v4/projects/acme%2Finfra").unwrap();
    let request = Request { repeat, ..Request::get("reading acme/infra", url) };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let status = StatusCode::from_u16(status).unwrap();
    refused(&request, &Refused { status, headers: &map, body: body.as_bytes(), now: NOW })
}

#[test]
fn statuses_are_sorted_by_what_can_be_done() {
    use ForgeErrorKind::*;
    let table = [
        (301, NotFound, NotFound),
        (400, Invalid, Invalid),
        (401, Unauthorized, Unauthorized),
        (403, Forbidden, Forbidden),
        (404, NotFound, NotFound),
        (405, Conflict, Conflict),
        (406, Conflict, Conflict),
        (409, Conflict, Conflict),
        (422, Invalid, Invalid),
        (429, RateLimited, RateLimited),
        (500, Unavailable, Lost),
        (502, Unavailable, Lost),
        (504, Unavailable, Lost),
    ];
    for (status, harmless, creating) in table {
        assert_eq!(error(Repeat::Harmless, status, &[], "").kind, harmless, "{status}");
        assert_eq!(error(Repeat::Never, status, &[], "").kind, creating, "{status}");
    }
}

#[test]
fn the_end_of_a_rate_limit_is_read_from_whichever_header_is_there() {
    let at = |headers: &[(&'static str, &str)]| error(Repeat::Harmless, 429, headers, "Retry later\n").retry_at;
    let reset = (NOW.0 / 1000 + 30).to_string();
    assert_eq!(at(&[("retry-after", "5")]), Some(NOW.plus_ms(5000)));
    assert_eq!(at(&[("retry-after", "7"), ("ratelimit-reset", &reset)]), Some(NOW.plus_ms(7000)));
    assert_eq!(at(&[("ratelimit-reset", &reset), ("ratelimit-remaining", "0")]), Some(NOW.plus_ms(31_000)));
    assert_eq!(at(&[("retry-after", "soon")]), Some(NOW.plus_ms(60_000)), "what can't be read is as if absent");
    assert_eq!(at(&[("retry-after", "99999999")]), Some(NOW.plus_ms(86_400_000)), "nobody waits longer than a day");
    assert_eq!(error(Repeat::Harmless, 403, &[("retry-after", "5")], "").retry_at, None, "GitLab limits with 429 only");
}

#[test]
fn what_gitlab_says_comes_through_in_one_line() {
    let said = |status, body: serde_json::Value| error(Repeat::Harmless, status, &[], &body.to_string()).message;
    assert_eq!(
        said(404, json!({ "message": "404 Project Not Found" })),
        "reading acme/infra: GitLab answered 404 Not Found: Project Not Found"
    );
    assert_eq!(
        said(400, json!({ "message": { "note": ["can't be blank", "is too long\n(maximum is 1000000)"] } })),
        r#"reading acme/infra: GitLab answered 400 Bad Request: {"note":["can't be blank","is too long\n(maximum is 1000000)"]}"#
    );
    assert_eq!(
        said(400, json!({ "error": "state does not have a valid value" })),
        "reading acme/infra: GitLab answered 400 Bad Request: state does not have a valid value"
    );
    let scope = json!({
        "error": "insufficient_scope",
        "error_description": "The request requires higher privileges than provided by the access token.",
        "scope": "api",
    });
    assert_eq!(
        said(403, scope),
        "reading acme/infra: GitLab answered 403 Forbidden: insufficient_scope: The request requires higher \
         privileges than provided by the access token. (the token needs the scope `api`)"
    );
    assert_eq!(
        said(401, json!({ "message": "401 Unauthorized" })),
        "reading acme/infra: GitLab answered 401 Unauthorized: Unauthorized (the token is wrong, expired or revoked)"
    );
    let page = error(Repeat::Harmless, 502, &[], "<html>\n<h1>Bad\tGateway</h1>\u{7}</html>").message;
    assert_eq!(page, "reading acme/infra: GitLab answered 502 Bad Gateway: <html> <h1>Bad Gateway</h1> </html>");
    assert!(error(Repeat::Harmless, 500, &[], &"x".repeat(9999)).message.len() < 500);
}
