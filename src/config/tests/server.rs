//! What a server file and the environment come to mean.

use super::*;
use crate::config::{Database, GithubAuth, Phase};
use crate::domain::id::RepoName;
use crate::domain::project::Project;
use crate::domain::sandbox::{Level, Limits, Network};
use secrecy::ExposeSecret as _;
use std::path::Path;
use std::time::Duration;

fn repo_name(text: &str) -> RepoName {
    text.parse().unwrap()
}

fn project(dir: &str, tags: &[&str]) -> Project {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Project { tags, ..Project::new(dir.parse().unwrap(), dir.parse().unwrap()) }
}

#[test]
fn a_short_file_gets_the_documented_defaults() {
    let config = Server::with("").load();
    assert_eq!(config.listen.to_string(), "0.0.0.0:4141");
    assert_eq!(config.name, "terraplane");
    assert_eq!(config.data_dir, Path::new("/var/lib/terraplane"));
    assert_eq!(config.database.url().expose_secret(), "sqlite:/var/lib/terraplane/terraplane.db");
    assert_eq!(config.encryption_key_path(), Path::new("/var/lib/terraplane/key"));
    assert_eq!(config.forges.github.as_ref().unwrap().api_url.as_str(), "https://api.github.com/");
    assert_eq!(config.forges.github.as_ref().unwrap().host(), "github.com");
    assert_eq!(config.sandbox.require, Level::Reduced);
    assert_eq!(config.sandbox.users, 900_000..900_064);
    assert_eq!(config.concurrency.runs.get(), 4);
    assert_eq!(config.terraform.init_timeout, Duration::from_secs(600));
    assert_eq!(config.terraform.plan_timeout, Duration::from_secs(1800));
    assert_eq!(config.terraform.apply_timeout, Duration::from_secs(3600));
    assert_eq!(config.grace_period, Duration::from_secs(600));
    assert!(config.encryption_key.is_none() && config.repos.is_empty() && config.commands.names.is_empty());
}

#[test]
fn the_documentation_names_every_key() {
    let documentation = include_str!("../../../docs/configuration.md");
    let level = "nokeyofours: 1";
    let below = |key: &str| format!("{key}: {{{level}}}\n");
    let levels: String =
        ["github", "gitlab", "gitea", "sandbox", "concurrency", "terraform", "commands"].map(below).concat();
    let layer = format!("{{{level}, projects: [{{{level}}}], rules: [{{{level}}}]}}");
    let repos = format!("repos: [{{{level}, env: [{{{level}}}], modules: {{{level}}}, enforce: {layer}}}]\n");
    let errors = Server::file(&format!("{level}\n{levels}{repos}")).errors();
    let known: Vec<&str> = errors
        .lines()
        .filter_map(|line| line.split_once("known keys: "))
        .flat_map(|(_, keys)| keys.split(", "))
        .collect();
    assert!(known.len() > 40, "{errors}");
    for key in known {
        assert!(documentation.contains(&format!("`{key}`")), "`{key}` is not documented");
    }
}

#[test]
fn the_example_files_are_valid() {
    let example = include_str!("../../../examples/server.yaml");
    let server = Server::file(example)
        .variable("GITHUB_WEBHOOK_SECRET", "s")
        .variable("TERRAPLANE_ENCRYPTION_KEY", &"k".repeat(32))
        .variable("TERRAPLANE_GITHUB__PRIVATE_KEY", PEM);
    let config = server.load();
    assert!(matches!(config.forges.github.as_ref().unwrap().auth, GithubAuth::App { app_id: 12345, .. }));
    assert!(config.policy(&repo_name("github.com/acme/infra-prod")).is_some());
    repo(include_str!("../../../examples/terraplane.yaml"));
}

const PEM: &str = "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n";

#[test]
fn every_key_can_be_set_by_environment_alone() {
    let environment: Environment = [
        ("TERRAPLANE_LISTEN", "127.0.0.1:0"),
        ("TERRAPLANE_URL", "http://localhost:4141/base/"),
        ("TERRAPLANE_NAME", "tp-staging"),
        ("TERRAPLANE_DATA_DIR", "/data"),
        ("TERRAPLANE_DATABASE", "postgres://u:p@db/terraplane"),
        ("TERRAPLANE_ENCRYPTION_KEY", "0123456789abcdef0123456789abcdef"),
        ("TERRAPLANE_GITHUB__API_URL", "http://127.0.0.1:8080/api/v3"),
        ("TERRAPLANE_GITHUB__WEBHOOK_SECRET", "hook"),
        ("TERRAPLANE_GITHUB__APP_ID", "7"),
        ("TERRAPLANE_GITHUB__PRIVATE_KEY", PEM),
        ("TERRAPLANE_REPOS__0__MATCH", "127.0.0.1:8080/acme/*"),
        ("TERRAPLANE_REPOS__0__ENFORCE__RULES__0__MATCH", "*"),
        ("TERRAPLANE_REPOS__0__ENFORCE__RULES__0__REQUIRE", "approved, mergeable"),
        ("TERRAPLANE_REPOS__0__ENV__0__MATCH", "*"),
        ("TERRAPLANE_REPOS__0__ENV__0__PLAN__AWS_PROFILE", "env:PROFILE"),
        ("TERRAPLANE_SANDBOX__REQUIRE", "off"),
        ("TERRAPLANE_CONCURRENCY__RUNS", "2"),
        ("TERRAPLANE_TERRAFORM__BINARIES", "/opt/terraform,/opt/tofu"),
        ("TERRAPLANE_TERRAFORM__DEFAULT_VERSION", "~> 1.10"),
        ("TERRAPLANE_TERRAFORM__PLAN_TIMEOUT", "1h 30m"),
        ("TERRAPLANE_GRACE_PERIOD", "90s"),
        ("TERRAPLANE_COMMANDS__NAMES", "atlantis, iac"),
        ("PROFILE", "readonly"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let config = ServerConfig::load(None, &environment).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.link("/runs/1"), "http://localhost:4141/base/runs/1");
    assert_eq!(config.name, "tp-staging");
    assert!(matches!(config.database, Database::Postgres(_)));
    assert!(matches!(config.forges.github.as_ref().unwrap().auth, GithubAuth::App { app_id: 7, .. }));
    assert_eq!(config.forges.github.as_ref().unwrap().host(), "127.0.0.1:8080");
    assert_eq!(config.sandbox.require, Level::Off);
    assert_eq!(config.concurrency.runs.get(), 2);
    assert_eq!(config.terraform.binaries, [Path::new("/opt/terraform"), Path::new("/opt/tofu")]);
    assert_eq!(config.terraform.default_version.as_deref(), Some("~> 1.10"));
    assert_eq!(config.terraform.plan_timeout, Duration::from_secs(5400));
    assert_eq!(config.grace_period, Duration::from_secs(90));
    assert_eq!(config.commands.names, ["atlantis", "iac"]);
    let granted = config.env_for(&repo_name("127.0.0.1:8080/acme/infra"), &project("prod", &[]), Phase::Plan);
    assert_eq!(granted[0].0, "AWS_PROFILE");
    assert_eq!(granted[0].1.expose_secret(), "readonly");
}

#[test]
fn the_environment_wins_over_the_file_and_an_empty_variable_is_none() {
    let config = Server::with("name: fromfile\nconcurrency: {runs: 8}\nsandbox: {require: full}\n")
        .variable("TERRAPLANE_NAME", "fromenv")
        .variable("TERRAPLANE_SANDBOX__REQUIRE", "off")
        .variable("TERRAPLANE_CONCURRENCY__RUNS", "")
        .load();
    assert_eq!(config.name, "fromenv");
    assert_eq!(config.sandbox.require, Level::Off);
    assert_eq!(config.concurrency.runs.get(), 8);
}

#[test]
fn a_repository_may_reach_more_and_use_more_than_the_server_says_for_all() {
    let config = Server::with(
        "sandbox:
  require: full
  users: 700000-700007
  egress: [api.example.com]
  limits: {memory: 2GiB, processes: 256}
repos:
  - match: github.com/acme/**
    sandbox:
      egress: {plan: ['*.example.org'], apply: [state.internal:8080], init: ['tcp://git.internal:9418']}
      limits: {memory: 8GiB, disk: 512MiB}
  - match: github.com/acme/lab
    sandbox: {network: host}
",
    )
    .load();
    assert_eq!((config.sandbox.require, config.sandbox.users.clone()), (Level::Full, 700_000..700_008));
    let infra = config.confinement(&repo_name("github.com/acme/infra"));
    assert_eq!(infra.network, Network::Allow);
    let usual = Limits::default();
    assert_eq!(infra.limits, Limits { memory: 8 << 30, processes: 256, disk: 512 << 20, ..usual });
    let shown =
        |rules: Vec<crate::domain::egress::Rule>| rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(shown(infra.egress(Phase::Init)), "api.example.com tcp://git.internal:9418");
    assert_eq!(shown(infra.egress(Phase::Plan)), "api.example.com *.example.org");
    assert_eq!(shown(infra.egress(Phase::Apply)), "api.example.com state.internal:8080");
    let lab = config.confinement(&repo_name("github.com/acme/lab"));
    assert_eq!((lab.network, lab.limits), (Network::Host, infra.limits));
    let other = config.confinement(&repo_name("github.com/other/infra"));
    assert_eq!(other.limits, Limits { memory: 2 << 30, processes: 256, ..usual });
}

#[test]
fn there_are_two_users_for_each_run() {
    let many = Server::with("concurrency: {runs: 100}\n").load();
    assert_eq!(many.sandbox.users, 900_000..900_200);
    let errors = Server::with("concurrency: {runs: 5}\nsandbox: {users: 700000-700008}\n").errors();
    assert!(errors.contains("fewer than two for each run"), "{errors}");
    assert!(errors.contains("for 5 runs at a time, name 10 at the least"), "{errors}");
}

#[test]
fn what_is_wrong_with_a_sandbox_is_said_with_what_to_write() {
    let errors = Server::with(
        "sandbox:
  require: fully
  users: 0-10
  network: host
  egress: [https://api.example.com, 10.0.0.7]
  limits: {memory: 4GB, cpus: 2}
repos: [{match: github.com/acme/infra, sandbox: {require: off}}]
",
    )
    .errors();
    for said in [
        "`fully` is not one of `full`, `reduced`, `weak`, `off`",
        "did you mean `full`?",
        "`0-10` is not a range of user ids above 999",
        "`https://api.example.com` is a URL: write the host's name",
        "`10.0.0.7` is an address",
        "`4GB` is not a size such as `512MiB` or `4GiB`",
        "unknown key `cpus` in `limits`",
        "unknown key `require` in `sandbox`",
    ] {
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

#[test]
fn a_run_cannot_write_more_than_it_may_hold_in_memory() {
    let errors = Server::with("sandbox: {limits: {disk: 8GiB}}\nrepos: [{match: github.com/acme/infra}]\n").errors();
    assert!(errors.contains("`disk` must not be more than `memory`"), "{errors}");
    assert!(errors.contains("kept in memory, and counts as such"), "{errors}");
    let of_repo = "repos: [{match: github.com/acme/infra, sandbox: {limits: {memory: 512MiB, disk: 1GiB}}}]\n";
    assert!(Server::with(of_repo).errors().contains("`disk` must not be more than `memory`"));
    // The server's memory may be as much.
    Server::with(
        "sandbox: {limits: {memory: 8GiB}}\nrepos: [{match: github.com/acme/infra, sandbox: {limits: {disk: 8GiB}}}]\n",
    )
    .load();
}

#[test]
fn what_kubernetes_puts_into_the_environment_is_no_setting() {
    Server::with("")
        .variable("TERRAPLANE_SERVICE_HOST", "10.0.0.1")
        .variable("TERRAPLANE_SERVICE_PORT", "80")
        .variable("TERRAPLANE_SERVICE_PORT_HTTP", "80")
        .variable("TERRAPLANE_PORT", "tcp://10.0.0.1:80")
        .variable("TERRAPLANE_PORT_80_TCP", "tcp://10.0.0.1:80")
        .variable("TERRAPLANE_PORT_80_TCP_ADDR", "10.0.0.1")
        .variable("TERRAPLANE_PORT_80_TCP_PROTO", "tcp")
        .load();
}

#[test]
fn secrets_come_from_variables_and_files_and_are_never_printed() {
    let server = Server::file(
        "\
url: https://terraplane.example.com
github: {webhook_secret: file:secrets/hook, token: env:TOKEN}
repos:
  - match: github.com/acme/*
    env: [{match: '*', plan: {A: literal-value, B: env:TOKEN}}]
",
    );
    std::fs::create_dir(server.directory.path().join("secrets")).unwrap();
    let server = server.beside("secrets/hook", "hook-hunter2\n").variable("TOKEN", "token-hunter2");
    let config = server.load();
    assert_eq!(config.forges.github.as_ref().unwrap().webhook_secret.expose_secret(), "hook-hunter2");
    let GithubAuth::Token(token) = &config.forges.github.as_ref().unwrap().auth else { panic!("an App") };
    assert_eq!(token.expose_secret(), "token-hunter2");
    let printed = format!("{config:?}");
    assert!(!printed.contains("hunter2") && !printed.contains("literal-value"), "{printed}");
}

#[test]
fn what_a_reference_points_to_is_checked_at_the_start() {
    let errors = Server::file(
        "\
url: https://terraplane.example.com
encryption_key: env:SHORT
github:
  webhook_secret: env:NOT_SET
  app_id: 1
  private_key: file:key.pem
repos:
  - match: github.com/acme/*
    env:
      - match: tag:prod
        plan: {OK: x, 1BAD: x, TF_WORKSPACE: prod, TOKEN: 'file:none'}
  - match: gitlab.com/acme/*
",
    )
    .variable("SHORT", "abc")
    .beside("key.pem", "ssh-rsa AAAA")
    .errors();
    insta::assert_snapshot!(errors, @r#"
    error: the key is shorter than 32 characters
     --> server.yaml:2:17
      |
    2 | encryption_key: env:SHORT
      |                 ^^^^^^^^^
      = make one with `openssl rand -hex 32`

    error: the environment variable `NOT_SET` is not set
     --> server.yaml:4:19
      |
    4 |   webhook_secret: env:NOT_SET
      |                   ^^^^^^^^^^^

    error: this is not a private key in PEM form
     --> server.yaml:6:16
      |
    6 |   private_key: file:key.pem
      |                ^^^^^^^^^^^^
      = GitHub gives it as a `.pem` file, which begins with `-----BEGIN RSA PRIVATE KEY-----`

    error: `1BAD` is not the name of a variable
      --> server.yaml:11:23
       |
    11 |         plan: {OK: [hidden], 1BAD: [hidden], TF_WORKSPACE: [hidden], TOKEN: 'file:none'}
       |                              ^^^^

    error: `TF_WORKSPACE` cannot be granted
      --> server.yaml:11:32
       |
    11 |         plan: {OK: [hidden], 1BAD: [hidden], TF_WORKSPACE: [hidden], TOKEN: 'file:none'}
       |                                              ^^^^^^^^^^^^
       = it is set by the server itself: a project's `workspace` says which one it is

    error: cannot read `none`: No such file or directory (os error 2)
      --> server.yaml:11:59
       |
    11 | …, 1BAD: [hidden], TF_WORKSPACE: [hidden], TOKEN: 'file:none'}
       |                                                   ^^^^^^^^^^^

    6 errors
    "#);
}

#[test]
fn several_forges_are_served_side_by_side_and_named_by_their_hosts() {
    let gitea = "gitea: {url: https://git.acme.example/forge, webhook_secret: env:HOOK, token: env:TOKEN}\n";
    let repos = "repos: [{match: github.com/acme/infra}, {match: git.acme.example/acme/infra}]\n";
    let config = Server::with(&format!("{gitea}{repos}")).load();
    assert_eq!(config.forges.hosts(), ["github.com", "git.acme.example"]);
    for repo in ["github.com/acme/infra", "git.acme.example/acme/infra"] {
        assert!(config.policy(&repo_name(repo)).is_some(), "{repo}");
    }
    let elsewhere = Server::with(&format!("{gitea}repos: [{{match: git.other.example/acme/infra}}]\n"));
    assert!(
        elsewhere.errors().contains("did you mean `github.com/acme/infra` or `git.acme.example/acme/infra`?"),
        "{}",
        elsewhere.errors()
    );
}

#[test]
fn a_forge_alone_is_enough_and_may_come_from_the_environment() {
    let config = Server::file("url: https://t.example\n")
        .variable("TERRAPLANE_GITEA__URL", "http://127.0.0.1:3000")
        .variable("TERRAPLANE_GITEA__WEBHOOK_SECRET", "hook")
        .variable("TERRAPLANE_GITEA__TOKEN", "token")
        .load();
    assert!(config.forges.github.is_none());
    let gitea = config.forges.gitea.as_ref().unwrap();
    assert_eq!((gitea.host().as_str(), gitea.token.expose_secret()), ("127.0.0.1:3000", "token"));
}

#[test]
fn what_a_forge_lacks_is_named_and_two_on_one_host_are_refused() {
    let bare = Server::file("url: https://t.example\ngitea: {tokn: env:T}\n").variable("T", "t");
    insta::assert_snapshot!(bare.errors(), @r"
    error: `url` is missing in `gitea`
     --> server.yaml:2:1
      |
    2 | gitea: {tokn: [hidden]}
      | ^^^^^
      = it is the address of its pages: `https://git.example.com`

    error: `webhook_secret` is missing in `gitea`
     --> server.yaml:2:1
      |
    2 | gitea: {tokn: [hidden]}
      | ^^^^^
      = it is the secret that the forge signs webhooks with: `env:NAME` or `file:PATH`

    error: unknown key `tokn` in `gitea`
     --> server.yaml:2:9
      |
    2 | gitea: {tokn: [hidden]}
      |         ^^^^
      = did you mean `token`?

    3 errors
    ");
    let twice = Server::with("gitea: {url: https://github.com, webhook_secret: env:HOOK, token: env:TOKEN}\n");
    assert!(twice.errors().contains("two forges are on `github.com`"), "{}", twice.errors());
}

/// `whsec_` and 32 bytes.
const SIGNING: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

#[test]
fn gitlab_is_gitlab_com_or_one_s_own_and_its_webhooks_are_proven_by_a_token_or_a_signature() {
    let gitlab = |part: &str| Server::file(&format!("url: https://t.example\ngitlab: {part}\n")).variable("T", "token");
    let config = gitlab("{webhook_secret: env:H, token: env:T}").variable("H", "hook").load();
    let plain = config.forges.gitlab.as_ref().unwrap();
    assert_eq!((plain.host().as_str(), plain.url.as_str()), ("gitlab.com", "https://gitlab.com/"));
    assert_eq!(plain.webhook_secret.as_ref().unwrap().expose_secret(), "hook");
    assert!(plain.signing_token.is_none());
    let own = "{url: 'https://git.acme.example:8443/forge', signing_token: env:S, token: env:T}";
    let config = gitlab(own).variable("S", SIGNING).load();
    let own = config.forges.gitlab.as_ref().unwrap();
    assert_eq!(own.host(), "git.acme.example:8443");
    assert!(own.webhook_secret.is_none() && own.signing_token.is_some());
    for wrong in ["hook", "whsec_", "whsec_?", "whsec_c2hvcnQ="] {
        let errors = gitlab("{signing_token: env:S, token: env:T}").variable("S", wrong).errors();
        assert!(errors.contains("this is not a signing token"), "{errors}");
    }
    insta::assert_snapshot!(gitlab("{url: 'http://git.acme.example', tokn: env:T}").errors(), @r"
    error: `webhook_secret` is missing in `gitlab`
     --> server.yaml:2:1
      |
    2 | gitlab: {url: 'http://git.acme.example', tokn: [hidden]}
      | ^^^^^^
      = it is the webhook's secret token: `env:NAME` or `file:PATH`; or set its `signing_token`

    error: `http://git.acme.example` is not an https address such as `https://gitlab.com` (plain http: loopback only)
     --> server.yaml:2:15
      |
    2 | gitlab: {url: 'http://git.acme.example', tokn: [hidden]}
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^

    error: unknown key `tokn` in `gitlab`
     --> server.yaml:2:42
      |
    2 | gitlab: {url: 'http://git.acme.example', tokn: [hidden]}
      |                                          ^^^^
      = did you mean `token`?

    3 errors
    ");
}

#[test]
fn an_address_of_the_forge_is_https_or_loopback_and_holds_no_password() {
    let api = |url: &str| Server::with("").variable("TERRAPLANE_GITHUB__API_URL", url);
    for fine in
        ["https://ghe.acme.example/api/v3", "http://localhost:1/api/v3", "http://[::1]:8080", "http://127.0.0.9"]
    {
        api(fine).load();
    }
    for wrong in ["http://ghe.acme.example/api/v3", "http://10.0.0.1", "ftp://localhost", "https://x?y=z", "github.com"]
    {
        assert!(api(wrong).errors().contains("is not an https address"), "{wrong}");
    }
    let errors = api("https://ana:hunter2@ghe.acme.example").errors();
    assert!(errors.contains("must not hold a user or password") && !errors.contains("hunter2"), "{errors}");
}

#[test]
fn a_token_and_an_app_exclude_each_other_and_an_app_needs_both_parts() {
    let errors = Server::with("").variable("TERRAPLANE_GITHUB__APP_ID", "12").errors();
    assert!(errors.contains("`token` stands beside `app_id` or `private_key`"), "{errors}");
    let app = Server::file("url: https://t.example\ngithub: {webhook_secret: env:H, app_id: 12}\n").variable("H", "h");
    assert!(app.errors().contains("`private_key` is missing in `github`"), "{}", app.errors());
    let none = Server::file("url: https://t.example\ngithub: {webhook_secret: env:H}\n").variable("H", "h");
    assert!(none.errors().contains("or `token` for a trial"), "{}", none.errors());
}

#[test]
fn only_repositories_that_match_are_served_whatever_their_case() {
    let config = Server::with("repos: [{match: github.com/Acme/infra-*}, {match: 'github.com/tools/**'}]\n").load();
    for served in ["github.com/acme/infra-prod", "github.com/ACME/Infra-Prod", "github.com/tools/x"] {
        assert!(config.policy(&repo_name(served)).is_some(), "{served}");
    }
    for foreign in ["github.com/acme/app", "github.com/acme2/infra-prod", "ghe.example/acme/infra-prod"] {
        assert!(config.policy(&repo_name(foreign)).is_none(), "{foreign}");
    }
}

#[test]
fn variables_are_granted_by_repository_project_and_phase() {
    let config = Server::with(
        "\
repos:
  - match: github.com/acme/*
    env:
      - match: '*'
        plan: {REGION: eu, PROFILE: none}
        apply: {REGION: eu}
      - match: tag:prod
        plan: {PROFILE: prod-readonly}
        apply: {PROFILE: prod-deployer}
      - match: staging/*
        apply: {PROFILE: staging}
",
    )
    .load();
    let granted = |repo: &str, project: &Project, phase| {
        config
            .env_for(&repo_name(repo), project, phase)
            .into_iter()
            .map(|(name, value)| format!("{name}={}", value.expose_secret()))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let acme = "github.com/acme/infra";
    let prod = project("prod/network", &["prod"]);
    assert_eq!(granted(acme, &prod, Phase::Plan), "PROFILE=prod-readonly REGION=eu");
    assert_eq!(granted(acme, &prod, Phase::Apply), "PROFILE=prod-deployer REGION=eu");
    assert_eq!(granted(acme, &project("staging/app", &[]), Phase::Plan), "PROFILE=none REGION=eu");
    assert_eq!(granted(acme, &project("staging/app", &[]), Phase::Apply), "PROFILE=staging REGION=eu");
    assert_eq!(granted("github.com/other/infra", &prod, Phase::Apply), "");
}

#[test]
fn what_init_is_granted_is_granted_to_nothing_else() {
    let yaml = "repos:\n  - match: github.com/acme/*\n    env: [{match: '*', init: {A: init}, plan: {A: plan}}]\n";
    let config = Server::with(yaml).load();
    let of = |phase| {
        let granted = config.env_for(&repo_name("github.com/acme/infra"), &project("prod", &[]), phase);
        granted.into_iter().map(|(_, value)| value.expose_secret().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of(Phase::Init), of(Phase::Plan), of(Phase::Apply)),
        (vec!["init".into()], vec!["plan".into()], vec![])
    );
}

#[test]
fn a_token_for_modules_is_shown_to_the_hosts_that_are_named() {
    let server = Server::with(
        "\
repos:
  - match: github.com/**
    modules: {token: env:WEAK}
  - match: github.com/acme/*
    modules: {token: env:MODULES, hosts: [github.com, 'git.acme.example:8443']}
  - match: github.com/acme/plain
",
    );
    let config = server.variable("WEAK", "weak-hunter2").variable("MODULES", "modules-hunter2").load();
    let of = |repo: &str| {
        let access = config.modules_for(&repo_name(repo))?;
        Some((access.token.expose_secret().to_owned(), access.hosts.join(" ")))
    };
    let acme = Some(("modules-hunter2".to_owned(), "github.com git.acme.example:8443".to_owned()));
    assert_eq!(of("github.com/acme/infra"), acme);
    assert_eq!(of("github.com/acme/plain"), acme, "an entry that says nothing changes nothing");
    assert_eq!(of("github.com/other/infra"), Some(("weak-hunter2".to_owned(), "github.com".to_owned())));
    assert_eq!(of("ghe.example/other/infra"), None);
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_token_for_modules_is_a_reference_and_its_hosts_are_no_patterns() {
    let modules =
        |text: &str| Server::with(&format!("repos: [{{match: github.com/acme/*, modules: {text}}}]\n")).errors();
    assert!(modules("{token: hunter2}").contains("a secret must not be written into this file"));
    assert!(modules("{hosts: [github.com]}").contains("`token` is missing"), "{}", modules("{hosts: [github.com]}"));
    for host in ["'*.com'", "https://github.com", "github.com/acme", "x@github.com", "''"] {
        let errors = modules(&format!("{{token: env:X, hosts: [{host}]}}"));
        assert!(errors.contains("is not the name of a host"), "{host}: {errors}");
    }
}
