//! What a repository file says by itself.

use super::*;
use crate::config::{FoundProject, Layers, resolve};

#[test]
fn an_empty_file_says_nothing() {
    for text in ["", "\n", "# nothing\n", "{}", "version: 1\n", "---\n", "projects:\n", "rules: []\n"] {
        let config = repo(text);
        assert!(config.projects.is_empty() && config.rules.is_empty() && config.branches.is_none(), "{text}");
    }
}

#[test]
fn a_version_keeps_its_zeros() {
    let config =
        repo("projects: [{dir: a, terraform_version: 1.10}, {dir: b, terraform_version: '~> 1.10, != 1.10.3'}]");
    assert_eq!(config.projects[0].terraform_version.as_deref(), Some("1.10"));
    assert_eq!(config.projects[1].terraform_version.as_deref(), Some("~> 1.10, != 1.10.3"));
}

#[test]
fn version_constraints_are_terraforms() {
    for fine in ["1", "1.5", "v1.5", "1.5.0", "1.6.0-beta2", ">= 1.5, < 2", "~>1.5", "!= 1.2.3", "= 1.0"] {
        repo(&format!("projects: [{{dir: a, terraform_version: '{fine}'}}]"));
    }
    for wrong in ["", "vv1.5", "1.5.0.1", "^1.5", "1.x", ">=", "1.5 || 2", "=> 1", "1.5,"] {
        let errors = repo_errors(&format!("projects: [{{dir: a, terraform_version: '{wrong}'}}]"));
        assert!(errors.contains("is not a version"), "{wrong}: {errors}");
    }
}

#[test]
fn anchors_and_merge_keys_work() {
    let config = repo(
        "\
projects:
  - &usual
    dir: prod/dns
    tags: [prod]
    terraform_version: 1.11.4
  - <<: *usual
    dir: prod/network
",
    );
    assert_eq!(config.projects[1].key.to_string(), "prod/network");
    assert_eq!(config.projects[1].tags.as_deref(), Some(["prod".to_owned()].as_slice()));
    assert_eq!(config.projects[1].terraform_version.as_deref(), Some("1.11.4"));
}

#[test]
fn watched_paths_are_relative_to_the_project_and_stay_in_the_repository() {
    let config = repo("projects: [{dir: prod/network, watch: ['../../modules/**', 'templates/*.json', './x']}]");
    let watch = config.projects[0].watch.clone().unwrap();
    assert_eq!(watch, ["modules/**", "prod/network/templates/*.json", "prod/network/x"]);
    for outside in ["../../../etc/**", "/etc/**", "a/../../../../x"] {
        let errors = repo_errors(&format!("projects: [{{dir: prod/network, watch: ['{outside}']}}]"));
        assert!(errors.contains("is not a path inside the repository"), "{outside}: {errors}");
    }
}

#[test]
fn directories_are_tidied_and_cannot_leave_the_repository() {
    assert_eq!(repo("projects: [{dir: ./prod//network/}]").projects[0].key.to_string(), "prod/network");
    assert_eq!(repo("projects: [{dir: .}]").projects[0].key.to_string(), ".");
    assert!(repo_errors("projects: [{dir: ../other}]").contains("is not a directory inside the repository"));
    assert!(repo_errors("projects: [{dir: prod}, {dir: ./prod/}]").contains("listed twice"));
}

#[test]
fn a_team_adds_nobody_yet_and_so_cannot_stand_alone() {
    let roles = |list: &str| repo(&format!("rules: [{{match: '*', can_apply: {list}}}]")).rules[0].can_apply;
    assert_eq!(roles("[role:maintain, team:sre]"), Some(crate::domain::pull::Role::Maintain));
    assert_eq!(roles("[role:admin, role:write]"), Some(crate::domain::pull::Role::Write));
    insta::assert_snapshot!(repo_errors("rules: [{match: '*', can_apply: [team:sre]}]"), @r#"
    error: this would let nobody apply
     --> terraplane.yaml:1:33
      |
    1 | rules: [{match: '*', can_apply: [team:sre]}]
      |                                 ^
      = add a role (`role:maintain`): this version does not ask for the members of teams
    "#);
}

#[test]
fn errors_that_show_only_beside_the_tree_have_their_place_too() {
    let pull = repo(
        "\
projects:
  - dir: prod/netwrk
  - dir: prod/dns
    name: prod/network
    state: managed
    after: [prd]
  - dir: prod/app
    after: [prod/app]
",
    );
    let found = ["prod/network", "prod/dns", "prod/app"].map(|dir| FoundProject {
        dir: dir.parse().unwrap(),
        root_module: true,
        has_backend: true,
        required_version: None,
        on_default_branch: true,
    });
    let empty = RepoConfig::default();
    let layers = Layers { defaults: &empty, default_branch: &empty, pull: &pull, enforce: &empty };
    insta::assert_snapshot!(resolve(&layers, &found).unwrap_err(), @r#"
    error: there is no Terraform code in `prod/netwrk`
     --> terraplane.yaml:2:10
      |
    2 |   - dir: prod/netwrk
      |          ^^^^^^^^^^^
      = did you mean `prod/network`?

    error: `prod/dns` and `prod/network` are both called `prod/network`
     --> terraplane.yaml:3:10
      |
    3 |   - dir: prod/dns
      |          ^^^^^^^^
      = give one of them another `name`

    error: `state: managed` for `prod/dns`, whose code has a backend
     --> terraplane.yaml:5:12
      |
    5 |     state: managed
      |            ^^^^^^^
      = state can live in one place only: remove this line, or the `backend` (or `cloud`) block

    error: there is no project `prd`
     --> terraplane.yaml:6:13
      |
    6 |     after: [prd]
      |             ^^^

    error: `prod/app` waits for itself
     --> terraplane.yaml:8:13
      |
    8 |     after: [prod/app]
      |             ^^^^^^^^

    5 errors
    "#);
}
