use super::{PrivateModules, environment, scopes};
use secrecy::ExposeSecret as _;

#[test]
fn the_token_is_for_its_hosts_and_nobody_else() {
    assert_eq!(scopes("github.com"), ["https://github.com/"], "and never in the clear");
    assert_eq!(scopes("127.0.0.1:8080"), ["http://127.0.0.1:8080/", "https://127.0.0.1:8080/"]);
    assert_eq!(scopes("127.0.0.1.example.com"), ["https://127.0.0.1.example.com/"]);
    let modules = PrivateModules { hosts: vec!["github.com".into()], token: "t0ken-of-modules".into() };
    let of = environment(Some(&modules));
    let lines: Vec<String> = of.iter().map(|(name, value)| format!("{name}={}", value.expose_secret())).collect();
    assert_eq!(
        lines,
        [
            "GIT_TERMINAL_PROMPT=0",
            "GIT_ALLOW_PROTOCOL=https:http:ssh",
            "GIT_CONFIG_COUNT=2",
            "GIT_CONFIG_KEY_0=http.https://github.com/.extraHeader",
            "GIT_CONFIG_VALUE_0=Authorization: Basic eC1hY2Nlc3MtdG9rZW46dDBrZW4tb2YtbW9kdWxlcw==",
            "GIT_CONFIG_KEY_1=http.https://github.com/.followRedirects",
            "GIT_CONFIG_VALUE_1=false",
        ]
    );
    assert!(!format!("{modules:?} {of:?}").contains("t0ken"));
}
