use super::*;
use http::HeaderValue;
use serde_json::json;

const SECRET: &str = "a secret with ümlauts";
/// `whsec_` and 32 bytes.
const SIGNING: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NOW: Timestamp = Timestamp(1_795_482_123_456);

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.insert(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn body() -> Vec<u8> {
    json!({
        "object_kind": "merge_request",
        "project": { "path_with_namespace": "acme/eu/infra" },
        "object_attributes": { "iid": 7, "action": "open" },
    })
    .to_string()
    .into_bytes()
}

fn with_token(headers: &HeaderMap, body: &[u8]) -> Result<Delivery, WebhookRefused> {
    verify_at(Some(&SECRET.into()), None, headers, body, "gitlab.com", NOW)
}

fn with_signature(headers: &HeaderMap, body: &[u8]) -> Result<Delivery, WebhookRefused> {
    verify_at(None, Some(&SIGNING.into()), headers, body, "gitlab.com", NOW)
}

/// Made with another implementation of the scheme than ours: the HMAC by hand, from its definition.
fn signature(id: &str, at: i64, body: &[u8]) -> String {
    let key = STANDARD.decode(&SIGNING[6..]).unwrap();
    let (mut inner, mut outer) = (vec![0x36; 64], vec![0x5c; 64]);
    for (place, byte) in key.iter().enumerate() {
        inner[place] ^= byte;
        outer[place] ^= byte;
    }
    inner.extend_from_slice(format!("{id}.{at}.").as_bytes());
    inner.extend_from_slice(body);
    outer.extend_from_slice(&Sha256::digest(&inner));
    format!("v1,{}", STANDARD.encode(Sha256::digest(&outer)))
}

fn signed_headers(id: &str, at: i64, body: &[u8]) -> HeaderMap {
    let (at_text, signature) = (at.to_string(), signature(id, at, body));
    headers(&[(EVENT, "Merge Request Hook"), (SIGNED_ID, id), (SIGNED_AT, &at_text), (SIGNATURE, &signature)])
}

#[test]
fn the_right_token_opens_and_nothing_else_does() {
    let body = body();
    let delivery =
        with_token(&headers(&[(EVENT, "Merge Request Hook"), (TOKEN, SECRET), ("idempotency-key", "k-1")]), &body);
    let delivery = delivery.unwrap();
    assert_eq!((delivery.forge, delivery.id.as_str()), (ForgeKind::Gitlab, "k-1"));
    assert_eq!(delivery.event_name, "Merge Request Hook");
    assert_eq!(delivery.repo.unwrap().to_string(), "gitlab.com/acme/eu/infra");
    assert_eq!(delivery.lane, "gitlab.com/acme/eu/infra#7");
    let longer = format!("{SECRET}x");
    for wrong in ["", "wrong", &SECRET[..5], &longer] {
        let headers = headers(&[(EVENT, "Merge Request Hook"), (TOKEN, wrong)]);
        assert_eq!(with_token(&headers, &body), Err(WebhookRefused::BadSignature), "{wrong}");
    }
    assert_eq!(with_token(&headers(&[(EVENT, "Merge Request Hook")]), &body), Err(WebhookRefused::BadSignature));
    let empty = verify_at(Some(&"".into()), None, &headers(&[(EVENT, "x"), (TOKEN, "")]), &body, "gitlab.com", NOW);
    assert_eq!(empty, Err(WebhookRefused::BadSignature), "an empty secret proves nothing");
}

#[test]
fn a_signature_is_good_for_five_minutes_and_for_nothing_but_what_was_signed() {
    let (body, now) = (body(), NOW.0 / 1000);
    let delivery = with_signature(&signed_headers("msg_1", now, &body), &body).unwrap();
    assert_eq!(delivery.id.as_str(), "msg_1");
    for seconds in [-300, -299, 299, 300] {
        assert!(with_signature(&signed_headers("msg_1", now + seconds, &body), &body).is_ok(), "{seconds}");
    }
    for seconds in [-301, 301, i64::MIN / 2000, i64::MAX / 2] {
        let refused = with_signature(&signed_headers("msg_1", now.wrapping_add(seconds), &body), &body);
        assert_eq!(refused, Err(WebhookRefused::BadSignature), "{seconds}");
    }
    let mut other_body = body.clone();
    other_body.push(b' ');
    assert_eq!(with_signature(&signed_headers("msg_1", now, &body), &other_body), Err(WebhookRefused::BadSignature));
    for (name, value) in [(SIGNED_ID, "msg_2"), (SIGNED_AT, "1795482122"), (SIGNATURE, "v1,AAAA"), (SIGNATURE, "v2,")] {
        let mut headers = signed_headers("msg_1", now, &body);
        headers.insert(name, value.parse().unwrap());
        assert_eq!(with_signature(&headers, &body), Err(WebhookRefused::BadSignature), "{name}: {value}");
    }
    for name in [SIGNED_ID, SIGNED_AT, SIGNATURE] {
        let mut headers = signed_headers("msg_1", now, &body);
        headers.remove(name);
        assert_eq!(with_signature(&headers, &body), Err(WebhookRefused::BadSignature), "without {name}");
    }
    for key in ["", "whsec_", "whsec_?", &SIGNING[6..]] {
        let refused = verify_at(None, Some(&key.into()), &signed_headers("msg_1", now, &body), &body, "h", NOW);
        assert_eq!(refused, Err(WebhookRefused::BadSignature), "{key}");
    }
}

#[test]
fn one_of_several_signatures_is_enough() {
    let (body, now) = (body(), NOW.0 / 1000);
    let mut headers = signed_headers("msg_1", now, &body);
    let several = format!("v1a,AAAA v1,AAAA {} v1,", signature("msg_1", now, &body));
    headers.insert(SIGNATURE, several.parse().unwrap());
    assert!(with_signature(&headers, &body).is_ok());
}

#[test]
fn with_both_secrets_either_proof_is_taken_but_a_wrong_signature_is_never_made_good_by_a_token() {
    let (body, now) = (body(), NOW.0 / 1000);
    let both = |headers: &HeaderMap| {
        verify_at(Some(&SECRET.into()), Some(&SIGNING.into()), headers, &body, "gitlab.com", NOW).is_ok()
    };
    assert!(both(&headers(&[(EVENT, "Note Hook"), (TOKEN, SECRET)])));
    assert!(both(&signed_headers("msg_1", now, &body)));
    let mut old = signed_headers("msg_1", now - 301, &body);
    old.insert(TOKEN, HeaderValue::from_bytes(SECRET.as_bytes()).unwrap());
    assert!(!both(&old));
    let only_token = headers(&[(EVENT, "Note Hook"), (TOKEN, SECRET)]);
    assert_eq!(with_signature(&only_token, &body), Err(WebhookRefused::BadSignature), "where signatures are wanted");
}

#[test]
fn a_repeated_delivery_has_the_same_id_and_two_deliveries_of_one_cause_have_not() {
    let id_of = |more: &[(&'static str, &str)], body: &[u8]| id(&headers(more), body).to_string();
    assert_eq!(id_of(&[(SIGNED_ID, "a"), ("idempotency-key", "b")], b"{}"), "a");
    assert_eq!(id_of(&[("idempotency-key", "b"), ("x-gitlab-event-uuid", "c")], b"{}"), "b");
    let cause = [("x-gitlab-event-uuid", "13792a34-cac6-4fda-95a8-c58e00a3954e")];
    assert_eq!(id_of(&cause, b"{\"a\":1}"), id_of(&cause, b"{\"a\":1}"));
    assert_ne!(id_of(&cause, b"{\"a\":1}"), id_of(&cause, b"{\"a\":2}"));
    assert_ne!(id_of(&cause, b"{\"a\":1}"), id_of(&[("x-gitlab-event-uuid", "another")], b"{\"a\":1}"));
    assert_eq!(id_of(&[], b"{}"), id_of(&[("idempotency-key", "")], b"{}"), "an empty key is none");
}

#[test]
fn deliveries_of_a_merge_request_and_of_its_notes_share_a_lane_and_issues_have_none() {
    let lane_of = |payload: serde_json::Value| {
        let headers = headers(&[(EVENT, "Note Hook"), (TOKEN, SECRET), ("idempotency-key", "k")]);
        with_token(&headers, payload.to_string().as_bytes()).unwrap().lane
    };
    let project = json!({ "path_with_namespace": "acme/infra" });
    let note = json!({ "object_kind": "note", "project": project, "object_attributes": { "id": 1 }, "merge_request": { "iid": 7 } });
    assert_eq!(lane_of(note), "gitlab.com/acme/infra#7");
    let issue = json!({ "object_kind": "issue", "project": project, "object_attributes": { "iid": 7 } });
    assert_eq!(lane_of(issue), "gitlab.com/acme/infra");
    assert_eq!(lane_of(json!({ "object_kind": "push", "project": { "path_with_namespace": "nonsense" } })), "?");
    assert_eq!(lane_of(json!({ "object_kind": 1, "project": [] })), "?");
}

#[test]
fn what_is_not_json_or_names_no_event_is_refused_after_the_proof() {
    let proven = [(TOKEN, SECRET)];
    assert_eq!(with_token(&headers(&proven), b"payload=%7B%7D"), Err(WebhookRefused::NotJson));
    assert_eq!(with_token(&headers(&proven), b"{}"), Err(WebhookRefused::MissingHeader("X-Gitlab-Event")));
    assert_eq!(with_token(&headers(&[]), b"payload=%7B%7D"), Err(WebhookRefused::BadSignature));
}
