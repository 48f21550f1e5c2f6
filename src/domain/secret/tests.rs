use super::*;
use proptest::prelude::*;

/// Put together here, so that no scanner takes this file for a leak.
fn token(prefix: &str, length: usize) -> String {
    let random = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ2cF4hJ6kL8nP0rS2uV4xY6".chars().cycle();
    format!("{prefix}{}", random.take(length).collect::<String>())
}

#[test]
fn tokens_of_well_known_services_are_known_by_their_shape() {
    let jwt = format!("{}.{}.{}", token("eyJ", 20), token("eyJ", 30), token("", 43));
    let hex = "0123456789abcdef".repeat(4);
    let all = [
        format!("AKIA{}", "ABCDEFGHIJKLMNOP"),
        token("ghp_", 36),
        token("github_pat_", 60),
        token("glpat-", 20),
        token("xoxb-", 30),
        token("AIza", 35),
        token("sk_live_", 24),
        token("npm_", 36),
        token("hvs.", 30),
        format!("dop_v1_{hex}"),
        format!("write.1790000000000.{hex}"),
        format!("{}.atlasv1.{}", token("", 14), token("", 67)),
        jwt,
    ];
    for secret in all {
        assert_eq!(masked(&format!("using \"{secret}\" now")), "using \"***\" now", "{secret}");
    }
}

#[test]
fn a_private_key_is_masked_whole_and_one_that_does_not_end_to_the_end() {
    let key = format!("-----BEGIN RSA {0} KEY-----\nabc\ndef\n-----END RSA {0} KEY-----", "PRIVATE");
    assert_eq!(masked(&format!("a\n{key}\nb")), "a\n***\nb");
    assert_eq!(masked(&format!("a {}", &key[..40])), "a ***");
    let public = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----";
    assert_eq!(masked(public), public);
}

#[test]
fn the_password_of_an_address_is_masked_and_the_address_stays() {
    assert_eq!(masked("postgres://user:pa55word@db:5432/x"), "postgres://user:***@db:5432/x");
    assert_eq!(masked("https://example.com:8443/a@b"), "https://example.com:8443/a@b");
    assert_eq!(masked("Authorization: Bearer abcdefgh12345678"), "Authorization: Bearer ***");
}

#[test]
fn random_text_is_a_secret_under_a_secrets_name_only() {
    let random = token("", 32);
    for name in ["api_key", "DB_SECRET", "vault.token", "\"client-secret\""] {
        assert_eq!(masked(&format!("{name} = \"{random}\"")), format!("{name} = \"***\""), "{name}");
    }
    for harmless in [
        format!("checksum = \"{random}\""),
        format!("secret_arn = \"arn:aws:x:{random}\""),
        format!("token_id = {random}"),
        "token = \"none-of-your-business\"".to_owned(),
        "secret: projects-that-are-named".to_owned(),
    ] {
        assert_eq!(masked(&harmless), harmless);
    }
    assert_eq!(masked("password = hunter2hunter2"), "password = ***");
}

#[test]
fn a_name_says_what_is_under_it() {
    let table = [
        ("password", Name::Password),
        ("db.master_password", Name::Password),
        ("credentials[0].password", Name::Password),
        ("password_policy", Name::Plain),
        ("auth.token", Name::Secret),
        ("tokens[3]", Name::Secret),
        ("secret_name", Name::Plain),
        ("kms_key_id", Name::Plain),
        ("tags[\"api-key\"]", Name::Secret),
        ("user", Name::Plain),
    ];
    for (name, kind) in table {
        assert_eq!(Name::of(name), kind, "{name}");
    }
}

#[test]
fn ten_megabytes_in_one_value_are_no_trouble() {
    let long = "a=token:".repeat(10 << 17);
    let started = std::time::Instant::now();
    assert_eq!(masked(&long), long);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn any_text_is_read_and_what_is_masked_stays_masked(text in "\\PC{0,60}", secret in "ghp_[A-Za-z0-9]{36}") {
        let once = masked(&format!("{text} {secret} {text}")).into_owned();
        prop_assert!(!once.contains(&secret));
        let again = masked(&once).into_owned();
        prop_assert!(!again.contains(&secret));
    }
}
