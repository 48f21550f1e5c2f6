//! What people read when something is wrong: the whole text.

use super::*;
use proptest::prelude::*;

#[test]
fn every_mistake_of_a_server_file_is_reported_at_once() {
    let server = Server::file(
        "\
listen: localhost
url: https://terraplane.example.com
githb: {}
github:
  webhok_secret: env:HOOK
  app_id: twelve
  private_key: file:missing.pem
repos:
  - match: acme/infra-*
    enforce:
      rules:
        - match: '*'
          apply: on-merge
          require: [approved, mergable]
sandbox: {require: ful}
concurrency: {runs: 0}
terraform:
  plan_timeout: 10
",
    );
    insta::assert_snapshot!(server.errors(), @r"
    error: `localhost` is not an address and port (`0.0.0.0:4141`)
     --> server.yaml:1:9
      |
    1 | listen: localhost
      |         ^^^^^^^^^

    error: unknown key `githb`
     --> server.yaml:3:1
      |
    3 | githb: {}
      | ^^^^^
      = did you mean `github`?

    error: unknown key `webhok_secret` in `github`
     --> server.yaml:5:3
      |
    5 |   webhok_secret: [hidden]
      |   ^^^^^^^^^^^^^
      = did you mean `webhook_secret`?

    error: `twelve` is not an App id (a number)
     --> server.yaml:6:11
      |
    6 |   app_id: twelve
      |           ^^^^^^

    error: cannot read `missing.pem`: No such file or directory (os error 2)
     --> server.yaml:7:16
      |
    7 |   private_key: file:missing.pem
      |                ^^^^^^^^^^^^^^^^

    error: `acme/infra-*` is not a glob over host/owner/name, such as `github.com/acme/infra-*`
     --> server.yaml:9:12
      |
    9 |   - match: acme/infra-*
      |            ^^^^^^^^^^^^

    error: `on-merge` is not one of `on_merge`, `on_comment`, `both`
      --> server.yaml:13:18
       |
    13 |           apply: on-merge
       |                  ^^^^^^^^
       = did you mean `on_merge`?

    error: `mergable` is no requirement: there are `approved`, `approved by 2`, `approved by team:NAME`, `approved by 2 of team:NAME`, `approved by codeowners`, `mergeable`, `undiverged` and `checks`
      --> server.yaml:14:31
       |
    14 |           require: [approved, mergable]
       |                               ^^^^^^^^
       = did you mean `mergeable`?

    error: `ful` is not one of `full`, `reduced`, `weak`, `off`
      --> server.yaml:15:20
       |
    15 | sandbox: {require: ful}
       |                    ^^^
       = did you mean `full`?

    error: `0` is not a number from 1 to 1000
      --> server.yaml:16:21
       |
    16 | concurrency: {runs: 0}
       |                     ^

    error: `10` is not a duration such as `90s`, `10m` or `1h 30m` (more than 0, at most 7 days)
      --> server.yaml:18:17
       |
    18 |   plan_timeout: 10
       |                 ^^

    11 errors
    ");
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let server = Server::file(
        "\
url: https://terraplane.example.com
database: postgres://terraplane:db-hunter2@db/terraplane
github: {webhook_secret: hook-hunter2, token: $GITHUB_TOKEN, tokne: token-hunter2}
",
    );
    insta::assert_snapshot!(server.errors(), @r#"
    error: a secret must not be written into this file
     --> server.yaml:2:11
      |
    2 | database: [hidden]
      |           ^^^^^^^^
      = write `env:NAME` or `file:PATH`, and renew the secret if others could read the file

    error: a secret must not be written into this file
     --> server.yaml:3:26
      |
    3 | github: {webhook_secret: [hidden], token: [hidden], tokne: [hidden]}
      |                          ^^^^^^^^
      = write `env:NAME` or `file:PATH`, and renew the secret if others could read the file

    error: variables are not expanded in this file
     --> server.yaml:3:47
      |
    3 | github: {webhook_secret: [hidden], token: [hidden], tokne: [hidden]}
      |                                           ^^^^^^^^
      = write `env:GITHUB_TOKEN`

    error: unknown key `tokne` in `github`
     --> server.yaml:3:62
      |
    3 | …hub: {webhook_secret: [hidden], token: [hidden], tokne: [hidden]}
      |                                                   ^^^^^
      = did you mean `token`?

    4 errors
    "#);
}

#[test]
fn a_server_file_that_is_no_yaml_does_not_show_its_values() {
    insta::assert_snapshot!(Server::file("url: a\ngithub:\n  token: hunter2: x\n").errors(), @r#"
    error: mapping values are not allowed in this context
     --> server.yaml:3:17
      |
    3 |   token:[hidden]
      |         ^^^^^^^^
    "#);
}

#[test]
fn a_server_without_a_forge_is_told_what_to_set() {
    let errors = ServerConfig::load(None, &Environment::new()).unwrap_err();
    insta::assert_snapshot!(errors, @r#"
    error: `url` is missing
     --> the environment
      = set it to the address by which people and the forge reach this server: `https://terraplane.example.com`

    error: `github` is missing
     --> the environment
      = set TERRAPLANE_GITHUB__WEBHOOK_SECRET, and TERRAPLANE_GITHUB__TOKEN or ..__APP_ID and ..__PRIVATE_KEY; or the same below `github:` in the file. Other forges are `gitlab` and `gitea` (Forgejo too), with `url`, `webhook_secret` and `token`

    2 errors
    "#);
}

#[test]
fn an_unknown_variable_gets_a_suggestion() {
    let server = Server::with("repos: [{match: github.com/acme/*}]\n")
        .variable("TERRAPLANE_GITHUB__TOKN", "hunter2")
        .variable("TERRAPLANE_GITHB__TOKEN", "hunter2")
        .variable("TERRAPLANE_REPOS__0__MATHC", "x")
        .variable("TERRAPLANE_REPOS__7__MATCH", "x")
        .variable("TERRAPLANE_URL__X", "x");
    insta::assert_snapshot!(server.errors(), @r#"
    error: this sets item 7 of a list that has 1: count from 0, without gaps
     --> the environment variable TERRAPLANE_REPOS__7__MATCH

    error: this sets `x` where there is a single value
     --> the environment variable TERRAPLANE_URL__X

    error: `TERRAPLANE_GITHUB__TOKN` is not a setting
     --> the environment variable TERRAPLANE_GITHUB__TOKN
      = did you mean `TERRAPLANE_GITHUB__TOKEN`?

    error: `TERRAPLANE_REPOS__0__MATHC` is not a setting
     --> the environment variable TERRAPLANE_REPOS__0__MATHC
      = did you mean `TERRAPLANE_REPOS__0__MATCH`?

    error: `TERRAPLANE_GITHB__TOKEN` is not a setting
     --> the environment variable TERRAPLANE_GITHB__TOKEN
      = did you mean `TERRAPLANE_GITHUB__TOKEN`?

    5 errors
    "#);
}

#[test]
fn every_mistake_of_a_repository_file_is_reported_at_once() {
    let text = "\
version: 2
projects:
  - dir: prod/network
    workspace: 'a b'
    var_files: [../../../secrets.tfvars]
    terraform_version: latest
  - name: nameless
  - dir: prod/network
    state: remote
    tag: [prod]
  - dir: prod/network
branches: main
discover: yes
rules:
  - match: tag:prod
    can_apply: [team:sre, role:owner]
  - apply: both
";
    insta::assert_snapshot!(repo_errors(text), @r#"
    error: `2` is not a version that this server reads (`1`)
     --> terraplane.yaml:1:10
      |
    1 | version: 2
      |          ^

    error: `a b` is not a workspace (letters, digits, `-`, `_`, `.`)
     --> terraplane.yaml:4:16
      |
    4 |     workspace: 'a b'
      |                ^^^^^

    error: `../../../secrets.tfvars` is not a path inside the repository
     --> terraplane.yaml:5:17
      |
    5 |     var_files: [../../../secrets.tfvars]
      |                 ^^^^^^^^^^^^^^^^^^^^^^^
      = paths are relative to the project's directory, `prod/network`

    error: `latest` is not a version (`1.11.4`) or constraint (`~> 1.5, != 1.5.2`)
     --> terraplane.yaml:6:24
      |
    6 |     terraform_version: latest
      |                        ^^^^^^

    error: `dir` is missing in `projects`
     --> terraplane.yaml:7:5
      |
    7 |   - name: nameless
      |     ^
      = it is the directory from the repository's root; the root is `.`

    error: `remote` is not `managed`
     --> terraplane.yaml:9:12
      |
    9 |     state: remote
      |            ^^^^^^

    error: unknown key `tag` in `projects`
      --> terraplane.yaml:10:5
       |
    10 |     tag: [prod]
       |     ^^^
       = did you mean `tags`?

    error: the project `prod/network` is listed twice
      --> terraplane.yaml:11:10
       |
    11 |   - dir: prod/network
       |          ^^^^^^^^^^^^
       = it is also at terraplane.yaml:8; a second project of a directory needs its own `workspace`

    error: this must be a list, and is a single value
      --> terraplane.yaml:12:11
       |
    12 | branches: main
       |           ^^^^
       = write `[a, b]`

    error: `yes` is not `true` or `false`
      --> terraplane.yaml:13:11
       |
    13 | discover: yes
       |           ^^^

    error: `role:owner` is nobody: write `role:read`, `role:write`, `role:maintain`, `role:admin`, `team:NAME` or `user:NAME`
      --> terraplane.yaml:16:27
       |
    16 |     can_apply: [team:sre, role:owner]
       |                           ^^^^^^^^^^

    error: `match` is missing in `rules`
      --> terraplane.yaml:17:5
       |
    17 |   - apply: both
       |     ^
       = `"*"` is every project

    12 errors
    "#);
}

#[test]
fn a_key_that_stands_twice_is_reported_beside_the_other_errors() {
    insta::assert_snapshot!(repo_errors("discover: true\ndiscover: false\nrulez: []\n"), @r#"
    error: `discover` stands here for the second time
     --> terraplane.yaml:2:1
      |
    2 | discover: false
      | ^^^^^^^^

    error: unknown key `rulez`
     --> terraplane.yaml:3:1
      |
    3 | rulez: []
      | ^^^^^
      = did you mean `rules`?

    2 errors
    "#);
}

#[test]
fn what_would_lie_on_a_terminal_is_made_visible() {
    insta::assert_snapshot!(repo_errors("\"dis\\u202ecover\": \u{202e}x\t[31m\n"), @r#"
    error: unknown key `dis�cover`
     --> terraplane.yaml:1:1
      |
    1 | "dis\u202ecover": �x [31m
      | ^^^^^^^^^^^^^^^^
      = did you mean `discover`?
    "#);
}

#[test]
fn many_errors_are_counted_and_not_all_shown() {
    let text: String = (0..1000).map(|n| format!("key{n}: x\n")).collect();
    let errors = repo_errors(&text);
    assert!(errors.ends_with("1000 errors, of which the first 50 are shown"), "{errors}");
}

#[test]
fn a_file_that_is_too_large_or_explodes_is_refused() {
    insta::assert_snapshot!(repo_errors(&"#".repeat(1024 * 1024 + 1)), @r#"
    error: the file is larger than 1024 KiB
     --> terraplane.yaml
    "#);
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..8 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(repo_errors(&bomb).starts_with("error: "));
    assert!(repo_errors(&"[".repeat(50_000)).starts_with("error: "));
}

/// Text that is nearly a configuration.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("projects:\n"),
        Just("  - dir: "),
        Just("rules: "),
        Just("[{match: "),
        Just("]"),
        Just("}"),
        Just("&a "),
        Just("*a"),
        Just("<<: "),
        Just("\n"),
        Just("  "),
        Just("ä"),
        Just("\u{202e}"),
        Just("'"),
        Just("\""),
        Just("|\n"),
        Just("github: "),
        Just("token: "),
        Just("env:X"),
        Just("repos:\n  - "),
        Just("match: "),
        Just("1.10"),
        Just("~"),
        Just("# "),
        Just("? "),
        Just(": "),
        Just("- "),
        Just("---\n"),
        Just("!!str "),
        Just("\t"),
        Just("\0"),
        Just("\r"),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_quote_that_swallows_the_file_as_a_key_shows_nothing_of_it() {
    for text in [
        "? '\ngithub:\n  token: hunter2hunter2\n  projects:\n'",
        "? 'token: hunter2hunter2'\n",
        "'token: hunter2hunter2': 1\n",
        "'token: hunter2hunter2': 1\n'token: hunter2hunter2': 2\n",
        "repos:\n  - match: '*'\n    env:\n      - {match: '*', plan: {'token: hunter2hunter2': x}}\n",
    ] {
        let server = Server::file(text);
        let errors = ServerConfig::load(Some(&server.path()), &server.environment).unwrap_err().to_string();
        assert!(!errors.contains("hunter2"), "{text}:\n{errors}");
        assert!(["no name", "this key", "this is not the name"].iter().any(|why| errors.contains(why)), "{errors}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_reading_panic(text in prop_oneof![any::<String>(), nearly()], value in ".{0,40}") {
        let _ = RepoConfig::parse("terraplane.yaml", &text).map_err(|errors| errors.to_string());
        let server = Server::file(&text)
            .variable("TERRAPLANE_GITHUB__TOKEN", &value)
            .variable("TERRAPLANE_REPOS__0__MATCH", &value)
            .variable("TERRAPLANE_COMMANDS__NAMES", &value);
        let _ = ServerConfig::load(Some(&server.path()), &server.environment).map_err(|errors| errors.to_string());
    }

    #[test]
    fn a_secret_in_the_file_never_gets_into_an_error(before in nearly(), after in nearly()) {
        let server = Server::file(&format!("{before}\ngithub:\n  token: hunter2hunter2\n  webhook_secret: [hunter2hunter2]\n{after}"));
        let errors = ServerConfig::load(Some(&server.path()), &server.environment).unwrap_err();
        prop_assert!(!errors.to_string().contains("hunter2"), "{errors}");
    }
}
