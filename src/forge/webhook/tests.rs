use super::github::{DELIVERY as GITHUB_DELIVERY, EVENT as GITHUB_EVENT, SIGNATURE as GITHUB_SIGNATURE};
use super::*;
use http::HeaderValue;
use proptest::prelude::*;

const SECRET: &str = "It's a Secret to Everybody";
const BODY: &str = r#"{"action":"opened","pull_request":{"number":7},"repository":{"full_name":"acme/infra"}}"#;

fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn signed_headers(body: &[u8]) -> HeaderMap {
    let signature = signature(SECRET, body);
    headers(&[(GITHUB_SIGNATURE, &signature), (GITHUB_DELIVERY, "72d3162e-cc78"), (GITHUB_EVENT, "pull_request")])
}

fn check(headers: &HeaderMap, body: &[u8]) -> Result<Delivery, WebhookRefused> {
    verify(&Proof::Github(SECRET.into()), headers, body, "github.com").map(Verified::into_inner)
}

#[test]
fn the_example_in_githubs_documentation_has_the_signature_that_it_says() {
    assert_eq!(
        signature(SECRET, b"Hello, World!"),
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
}

#[test]
fn a_signed_webhook_becomes_a_delivery() {
    assert_eq!(
        check(&signed_headers(BODY.as_bytes()), BODY.as_bytes()),
        Ok(Delivery {
            forge: ForgeKind::Github,
            id: "72d3162e-cc78".parse().unwrap(),
            event_name: "pull_request".into(),
            body: BODY.into(),
            lane: "github.com/acme/infra#7".into(),
            repo: Some("github.com/acme/infra".parse().unwrap()),
        })
    );
}

#[test]
fn a_signature_that_is_missing_malformed_or_wrong_is_refused_before_anything_else() {
    let bare = signature(SECRET, BODY.as_bytes()).strip_prefix("sha256=").unwrap().to_owned();
    let sha1 = format!("sha1={bare}");
    let short = format!("sha256={}", &bare[..62]);
    let wrong = signature("another secret", BODY.as_bytes());
    let of_another_body = signature(SECRET, b"{}");
    for given in ["", &bare, &sha1, &short, &wrong, &of_another_body, "sha256=", "sha256=zz"] {
        let refused = check(&headers(&[(GITHUB_SIGNATURE, given)]), BODY.as_bytes());
        assert_eq!(refused, Err(WebhookRefused::BadSignature), "{given:?}");
    }
    assert_eq!(check(&HeaderMap::new(), b"not JSON"), Err(WebhookRefused::BadSignature));
}

#[test]
fn an_empty_secret_signs_nothing() {
    let signature = signature("", BODY.as_bytes());
    let headers = headers(&[(GITHUB_SIGNATURE, &signature), (GITHUB_DELIVERY, "1"), (GITHUB_EVENT, "ping")]);
    let refused = verify(&Proof::Github("".into()), &headers, BODY.as_bytes(), "github.com");
    assert_eq!(refused.unwrap_err(), WebhookRefused::BadSignature);
}

#[test]
fn what_is_signed_and_not_a_json_object_is_refused() {
    let bodies: [&[u8]; 7] =
        [b"", b"null", b"[]", b"[null,null,null]", b"payload=%7B%7D", b"{\"a\":1", b"{\"a\":\"\xff\"}"];
    for body in bodies {
        assert_eq!(check(&signed_headers(body), body), Err(WebhookRefused::NotJson), "{}", body.escape_ascii());
    }
}

#[test]
fn a_webhook_without_its_event_or_id_is_refused() {
    for missing in ["X-GitHub-Event", "X-GitHub-Delivery"] {
        let mut headers = signed_headers(BODY.as_bytes());
        headers.remove(missing);
        assert_eq!(check(&headers, BODY.as_bytes()), Err(WebhookRefused::MissingHeader(missing)));
    }
}

#[test]
fn a_delivery_waits_for_those_of_the_same_pull_request_or_else_of_the_repository() {
    for (body, lane, repo) in [
        (r#"{"issue":{"number":7},"repository":{"full_name":"acme/infra"}}"#, "github.com/acme/infra#7", true),
        (r#"{"ref":"refs/heads/main","repository":{"full_name":"acme/infra"}}"#, "github.com/acme/infra", true),
        (r#"{"zen":"Design for failure."}"#, "?", false),
        (r#"{"repository":{"full_name":"no slash"}}"#, "?", false),
        (r#"{"repository":{"full_name":"../../etc"}}"#, "?", false),
        (r#"{"repository":"a shape of tomorrow","issue":{"number":7}}"#, "?", false),
    ] {
        let delivery = check(&signed_headers(body.as_bytes()), body.as_bytes()).unwrap();
        assert_eq!((delivery.lane.as_str(), delivery.repo.is_some()), (lane, repo), "{body}");
    }
}

#[test]
fn a_shared_route_tells_forges_apart_by_their_headers() {
    assert_eq!(recognise(&signed_headers(b"{}")), Some(ForgeKind::Github));
    assert_eq!(recognise(&HeaderMap::new()), None);
}

proptest! {
    #[test]
    fn no_other_body_passes_with_a_signature(body in ".{0,80}", place in 0_usize..1000, bit in 0_u8..8) {
        let body = format!("{{\"body\":{}}}", serde_json::to_string(&body).unwrap()).into_bytes();
        let headers = signed_headers(&body);
        prop_assert!(check(&headers, &body).is_ok());
        let mut forged = body.clone();
        forged[place % body.len()] ^= 1 << bit;
        prop_assert_eq!(check(&headers, &forged), Err(WebhookRefused::BadSignature));
    }
}

mod gitea {
    use super::*;
    use std::collections::BTreeMap;

    const NAMES: [&str; 3] = ["event", "delivery", "signature"];

    /// As Gitea sends it: with its own headers, and with those of Gogs and GitHub.
    fn sent(families: &[&'static str], secret: &str) -> HeaderMap {
        let digits = signature(secret, BODY.as_bytes()).strip_prefix("sha256=").unwrap().to_owned();
        let values = BTreeMap::from([("event", "pull_request"), ("delivery", "f6266f16"), ("signature", &digits)]);
        let mut all = headers(&[
            (GITHUB_EVENT, "pull_request"),
            (GITHUB_DELIVERY, "f6266f16"),
            (GITHUB_SIGNATURE, &format!("sha256={digits}")),
        ]);
        for family in families {
            for name in NAMES {
                let header = http::HeaderName::try_from(format!("x-{family}-{name}")).unwrap();
                all.insert(header, HeaderValue::from_str(values[name]).unwrap());
            }
        }
        all
    }

    fn check(headers: &HeaderMap) -> Result<Delivery, WebhookRefused> {
        let proof = Proof::Gitea(SECRET.into());
        verify(&proof, headers, BODY.as_bytes(), "git.example.com").map(Verified::into_inner)
    }

    #[test]
    fn both_families_of_headers_are_read_and_not_taken_for_githubs() {
        for families in [&["gitea"][..], &["gitea", "forgejo"], &["forgejo"]] {
            let headers = sent(families, SECRET);
            assert_eq!(recognise(&headers), Some(ForgeKind::Gitea), "{families:?}");
            let delivery = check(&headers).unwrap();
            assert_eq!((delivery.forge, delivery.id.as_str()), (ForgeKind::Gitea, "f6266f16"));
            assert_eq!(delivery.lane, "git.example.com/acme/infra#7");
        }
    }

    #[test]
    fn a_wrong_signature_is_refused_even_beside_headers_of_another_forge() {
        assert_eq!(check(&sent(&["gitea"], "another secret")), Err(WebhookRefused::BadSignature));
        let githubs_only = sent(&[], SECRET);
        assert_eq!(check(&githubs_only), Err(WebhookRefused::BadSignature));
        let mut unsigned = sent(&["gitea"], SECRET);
        unsigned.insert("x-gitea-signature", HeaderValue::from_static(""));
        assert_eq!(check(&unsigned), Err(WebhookRefused::BadSignature));
    }
}
