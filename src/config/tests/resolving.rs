//! Whose word counts: the server's, the default branch's, the pull request's.

use super::*;
use crate::config::{FoundProject, Layers, ResolvedProject, merged_rule_changes, resolve};
use crate::domain::command::Verb;
use crate::domain::project::{ApplyMode, StateKind};
use crate::domain::pull::Role;
use crate::domain::requirement::Requirement;

/// The four sources of one decision; what is not given is empty.
#[derive(Default)]
struct Case {
    defaults: RepoConfig,
    default_branch: RepoConfig,
    pull: Option<RepoConfig>,
    enforce: RepoConfig,
    found: Vec<FoundProject>,
}

impl Case {
    /// Nobody changes the file: the pull request has the default branch's.
    fn of(default_branch: &str) -> Self {
        Self { default_branch: repo(default_branch), ..Self::default() }
    }

    fn pull(self, text: &str) -> Self {
        Self { pull: Some(repo(text)), ..self }
    }

    fn defaults(self, text: &str) -> Self {
        Self { defaults: repo(text), ..self }
    }

    fn enforce(self, text: &str) -> Self {
        Self { enforce: repo(text), ..self }
    }

    fn root(self, dir: &str) -> Self {
        self.dir(dir, true, true)
    }

    /// A root module that the pull request brings along.
    fn new_root(self, dir: &str) -> Self {
        self.dir(dir, true, false)
    }

    fn dir(mut self, dir: &str, root_module: bool, on_default_branch: bool) -> Self {
        let dir = dir.parse().unwrap();
        self.found.push(FoundProject {
            dir,
            root_module,
            has_backend: true,
            required_version: None,
            on_default_branch,
        });
        self
    }

    fn resolve(&self) -> Vec<ResolvedProject> {
        resolve(&self.layers(), &self.found).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn layers(&self) -> Layers<'_> {
        let pull = self.pull.as_ref().unwrap_or(&self.default_branch);
        Layers { defaults: &self.defaults, default_branch: &self.default_branch, pull, enforce: &self.enforce }
    }

    /// `name: mode requirements [role]` for each project.
    fn ruling(&self) -> Vec<String> {
        let one = |resolved: &ResolvedProject| {
            let project = &resolved.project;
            let require: Vec<_> = project.require.iter().map(ToString::to_string).collect();
            let lists = resolved.project.can.0.get(&Verb::Apply).into_iter().flatten();
            let who = |who: &crate::domain::permission::Who| who.to_string().trim_start_matches("role:").to_owned();
            let lists: Vec<String> = lists.map(|list| list.iter().map(who).collect::<Vec<_>>().join("|")).collect();
            let role = if lists.is_empty() { String::new() } else { format!(" {}", lists.join(" & ")) };
            format!("{}: {:?} {}{role}", project.name, project.apply, require.join("+"))
        };
        self.resolve().iter().map(one).collect()
    }
}

const RULES: &str = "
rules:
  - match: '*'
    require: [mergeable]
  - match: tag:prod
    require: [approved, mergeable]
    can_apply: [role:maintain]
  - match: lab/**
    apply: on_comment
    require: []
";

const PROJECTS: &str = "
projects:
  - {dir: prod/network, name: network, tags: [prod]}
  - {dir: lab/toys, name: toys}
";

fn listed() -> String {
    format!("{PROJECTS}{RULES}")
}

#[test]
fn without_any_file_every_root_module_is_applied_on_merge_without_conditions() {
    let case = Case::default().root("prod").root("a b").dir("modules/vpc", false, true);
    let resolved = case.resolve();
    let names: Vec<_> = resolved.iter().map(|r| r.project.name.as_str()).collect();
    assert_eq!(names, ["a_b", "prod"]);
    for one in resolved {
        assert_eq!((one.project.apply, one.project.require), (ApplyMode::OnMerge, vec![]));
        assert!(
            one.known
                && !one.project.unknown
                && !one.listed
                && one.project.can.0.is_empty()
                && one.decided_by.is_empty()
        );
    }
}

#[test]
fn the_last_matching_rule_wins_for_each_key() {
    let case = Case::of(&listed()).root("prod/network").root("lab/toys").root("other");
    assert_eq!(
        case.ruling(),
        ["toys: OnComment ", "other: OnMerge mergeable", "network: OnMerge approved+mergeable maintain"]
    );
    assert_eq!(case.resolve()[2].decided_by, ["terraplane.yaml:9"]);
}

#[test]
fn the_server_gives_defaults_and_has_the_last_word() {
    let rule = |keys: &str| format!("rules: [{{match: '*', {keys}}}]");
    let case =
        Case::of(&rule("require: [mergeable]")).defaults(&rule("apply: both, require: [undiverged]")).root("prod");
    assert_eq!(case.ruling(), ["prod: Both mergeable"]);
    let case = case.enforce(&rule("require: [approved]"));
    assert_eq!(case.ruling(), ["prod: Both approved"]);
}

#[test]
fn a_pull_request_cannot_change_its_own_rules() {
    let loose = "rules: [{match: '*', apply: both, require: []}]";
    let case = Case::of(&listed()).pull(&format!("{PROJECTS}{loose}")).root("prod/network").root("lab/toys");
    assert_eq!(case.ruling(), ["toys: OnComment ", "network: OnMerge approved+mergeable maintain"]);
}

#[test]
fn a_pull_request_cannot_leave_its_rules_by_another_name_or_tag() {
    let renamed =
        "projects: [{dir: prod/network, name: toys2, tags: [lab]}, {dir: lab/toys, name: toys, tags: [prod]}]";
    let case = Case::of(&listed()).pull(renamed).root("prod/network").root("lab/toys");
    assert_eq!(case.ruling(), ["toys: OnComment ", "network: OnMerge approved+mergeable maintain"]);
    // Grants of variables go by the same tags.
    assert_eq!(case.resolve()[0].project.tags, Vec::<String>::new());
    assert_eq!(case.resolve()[1].project.tags, ["prod"]);
}

#[test]
fn a_project_that_the_default_branch_does_not_know_has_to_satisfy_every_rule() {
    let strict = "OnMerge approved+mergeable maintain";
    // A new directory, even one that a loose rule would match.
    let case = Case::of(&listed()).root("prod/network").root("lab/toys").new_root("lab/new");
    assert_eq!(case.ruling()[0], format!("lab/new: {strict}"));
    assert!(!case.resolve()[0].known && case.resolve()[0].project.unknown);
    // A known directory with a workspace that nobody knew.
    let workspace = "projects: [{dir: lab/toys, name: toys, workspace: other}]";
    let case = Case::of(&listed()).pull(workspace).root("prod/network").root("lab/toys");
    assert_eq!(case.ruling()[0], format!("toys: {strict}"));
    // A module of the default branch that is made a project.
    let case = Case::of(&listed()).pull("projects: [{dir: lab/module, tags: [lab]}]").dir("lab/module", false, false);
    assert_eq!(case.ruling(), [format!("lab/module: {strict}")]);
}

#[test]
fn a_new_project_keeps_the_mode_that_all_rules_agree_on() {
    let mode = |rules: &str| Case::of(&format!("rules: [{rules}]")).new_root("c").ruling();
    let (all, some) = ("{match: '*', apply: on_comment}", "{match: a, apply: on_comment}");
    assert_eq!(mode(&format!("{all}, {some}")), ["c: OnComment "]);
    assert_eq!(mode(some), ["c: OnMerge "]);
    assert_eq!(mode(&format!("{all}, {{match: b, apply: both}}")), ["c: OnMerge "]);
    assert_eq!(mode(&format!("{{match: b, apply: both}}, {all}")), ["c: OnComment "]);
}

#[test]
fn discovery_stays_on_beside_listed_projects_unless_it_is_turned_off() {
    let text = "projects: [{dir: prod, workspace: eu}, {dir: prod, workspace: us}]\n";
    let case = Case::of(text).root("prod").root("lab");
    let names = |case: &Case| case.resolve().iter().map(|r| r.project.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&case), ["lab", "prod@eu", "prod@us"]);
    let off = Case::of(&format!("{text}discover: false\n")).root("prod").root("lab");
    assert_eq!(names(&off), ["prod@eu", "prod@us"]);
    assert_eq!(names(&off.enforce("discover: true\n")), ["lab", "prod@eu", "prod@us"]);
}

#[test]
fn a_listed_directory_is_a_project_even_if_it_looks_like_a_module() {
    let case = Case::of("projects: [{dir: modules/live}]").dir("modules/live", false, true);
    assert!(case.resolve()[0].listed);
}

#[test]
fn facts_about_a_project_come_from_the_strongest_source_that_has_them() {
    let case = Case::of("")
        .pull("projects: [{dir: prod, var_files: [prod.tfvars], watch: ['../x/*'], terraform_version: 1.11.4}]")
        .defaults("projects: [{dir: prod, terraform_version: 1.9.0, after: [lab]}, {dir: elsewhere}]")
        .enforce("projects: [{dir: prod, terraform_version: '>= 1.10'}]")
        .root("prod")
        .root("lab");
    let resolved = case.resolve();
    let prod = &resolved[1];
    assert_eq!(prod.project.terraform_version.as_deref(), Some(">= 1.10"));
    assert_eq!(
        (prod.project.var_files.as_slice(), prod.project.watch.as_slice()),
        (&["prod.tfvars".into()][..], &["x/*".into()][..])
    );
    assert_eq!(prod.project.after.iter().map(ToString::to_string).collect::<Vec<_>>(), ["lab"]);
}

#[test]
fn where_the_state_lives_follows_from_the_code_and_the_file() {
    let kind = |text: &str, has_backend| {
        let mut case = Case::of(text).root("prod");
        case.found[0].has_backend = has_backend;
        case.resolve()[0].project.state
    };
    let managed = "projects: [{dir: prod, state: managed}]";
    assert_eq!(kind("", true), StateKind::Remote);
    assert_eq!(kind("", false), StateKind::Nowhere);
    assert_eq!(kind(managed, false), StateKind::Managed);
}

#[test]
fn the_codes_own_version_counts_if_the_file_names_none() {
    let mut case = Case::of("").root("prod");
    case.found[0].required_version = Some("~> 1.11".into());
    assert_eq!(case.resolve()[0].project.terraform_version.as_deref(), Some("~> 1.11"));
    let mut case = Case::of("projects: [{dir: prod, terraform_version: 1.11.4}]").root("prod");
    case.found[0].required_version = Some("~> 1.11".into());
    assert_eq!(case.resolve()[0].project.terraform_version.as_deref(), Some("1.11.4"));
}

#[test]
fn a_name_is_free_again_only_after_the_merge() {
    let case = Case::of("projects: [{dir: a, name: x}]")
        .pull("projects: [{dir: a, name: y}, {dir: b, name: x}]")
        .root("a")
        .new_root("b");
    let errors = resolve(&case.layers(), &case.found).unwrap_err().to_string();
    assert!(errors.contains("`a` and `b` are both called `x`"), "{errors}");
    // `after` is written in the file's own names.
    let case = Case::of("projects: [{dir: a, name: x}]")
        .pull("projects: [{dir: a, name: y}, {dir: b, after: [y]}]")
        .root("a")
        .new_root("b");
    assert_eq!(case.resolve()[1].project.after[0].as_str(), "x");
}

#[test]
fn projects_that_wait_for_each_other_are_an_error() {
    let case =
        Case::of("projects: [{dir: a, after: [b]}, {dir: b, after: [c]}, {dir: c, after: [a]}, {dir: d, after: [a]}]");
    let case = ["a", "b", "c", "d"].into_iter().fold(case, Case::root);
    let errors = resolve(&case.layers(), &case.found).unwrap_err().to_string();
    assert!(errors.contains("these projects wait for each other: `a`, `b`, `c`"), "{errors}");
}

#[test]
fn only_named_branches_may_apply_and_a_pull_request_cannot_name_its_own() {
    let main = "main".parse().unwrap();
    let allowed = |case: &Case, base: &str| case.layers().may_apply_from(&base.parse().unwrap(), &main);
    let silent = Case::default();
    assert!(allowed(&silent, "main") && !allowed(&silent, "develop"));
    let named = Case::of("branches: [main, 'release/*']").pull("branches: [evil]");
    assert!(allowed(&named, "release/1") && allowed(&named, "main"));
    assert!(!allowed(&named, "evil") && !allowed(&named, "release/1/x"));
    let named = named.enforce("branches: [stable]").defaults("branches: [develop]");
    assert!(allowed(&named, "stable") && !allowed(&named, "main") && !allowed(&named, "develop"));
}

#[test]
fn requirements_and_roles_have_an_order_from_lax_to_strict() {
    assert!(Role::Write < Role::Maintain && Role::Maintain < Role::Admin);
    assert_eq!(Requirement::PLAIN.map(|one| one.to_string()), ["approved", "mergeable", "undiverged", "checks"]);
}

#[test]
fn who_may_freeze_is_said_for_the_whole_repository() {
    let of = |matched: &str| {
        let text = format!("version: 1\nrules:\n  - match: \"{matched}\"\n    can_freeze: [role:admin]\n");
        RepoConfig::parse("terraplane.yaml", &text)
    };
    assert!(of("*").is_ok());
    let refused = of("tag:prod").unwrap_err().to_string();
    assert!(refused.contains("`can_freeze` is not for some projects only"), "{refused}");
}

#[test]
fn what_merging_a_file_would_change_is_told_with_what_people_gain_first() {
    let before = "rules: [{match: z, require: [approved]}]\nbranches: [main]\n";
    let after = "branches: [main, 'release/*']\nrules: [{match: '*', can_freeze: [role:read]}]\n";
    let mut case = Case::of(before).pull(after).root("z");
    let there = case.found.clone();
    for number in 0..12 {
        case = case.new_root(&format!("a{number}"));
    }
    let changes = merged_rule_changes(&case.layers(), &case.found, &there);
    assert_eq!(
        changes.grants,
        [
            "the whole repository: who may `freeze`: the default → `role:read`",
            "pull requests into these branches may apply: `main` → `main`, `release/*`",
            "`z`: an apply requires: `approved` → nothing",
            "`z`: who may `freeze`: the default → `role:read`",
        ]
    );
    assert_eq!(changes.others.len(), 12);
}

#[test]
fn a_file_that_would_be_of_no_use_once_merged_is_told() {
    let case = Case::of("").pull("projects: [{dir: gone}]").root("z");
    let changes = merged_rule_changes(&case.layers(), &case.found, &case.found);
    assert_eq!(changes.grants, ["once merged, the file could not be used: nothing would be planned or applied"]);
}
