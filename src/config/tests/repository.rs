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
fn what_is_nobody_no_requirement_and_no_window_is_said_with_its_place() {
    let text = "\
rules:
  - match: '*'
    can_apply: [team:sre, user:lee, role:maintain]
    can_plan: [group:sre]
    require: [approved by 2 of team:sre, approvd]
    windows: [deny fri 14:00 - mon 07:00 Europe/Atlantis]
    automerge: maybe
";
    insta::assert_snapshot!(repo_errors(text), @r"
    error: `group:sre` is nobody: write `role:read`, `role:write`, `role:maintain`, `role:admin`, `team:NAME` or `user:NAME`
     --> terraplane.yaml:4:16
      |
    4 |     can_plan: [group:sre]
      |                ^^^^^^^^^

    error: `approvd` is no requirement: there are `approved`, `approved by 2`, `approved by team:NAME`, `approved by 2 of team:NAME`, `approved by codeowners`, `mergeable`, `undiverged` and `checks`
     --> terraplane.yaml:5:42
      |
    5 |     require: [approved by 2 of team:sre, approvd]
      |                                          ^^^^^^^
      = did you mean `approved`?

    error: `deny fri 14:00 - mon 07:00 Europe/Atlantis` is no window: write `deny fri 14:00 - mon 07:00 Europe/Berlin`, `allow mon-fri 09:00 - 17:00` or `deny 22:00 - 06:00`; without a zone it is UTC
     --> terraplane.yaml:6:15
      |
    6 |     windows: [deny fri 14:00 - mon 07:00 Europe/Atlantis]
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: `maybe` is not one of `merge`, `squash`, `rebase`, `enqueue`, `off`
     --> terraplane.yaml:7:16
      |
    7 |     automerge: maybe
      |                ^^^^^

    4 errors
    ");
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
