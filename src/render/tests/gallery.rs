//! `docs/comments`: what people see in every situation, kept true by comparing it with what is rendered.

use super::*;
use crate::domain::run::Diagnostic;
use std::path::{Path, PathBuf};

fn with_level(comment: &str) -> String {
    // The examples are of a server that is set up well.
    let banner = "**NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**";
    let comment = comment.replace(&format!("\n<sub>{banner}</sub>\n"), "");
    comment.replace(banner, "sandbox: full").replace("https://tp/runs/", "https://terraplane.example.com/runs/")
}

fn situations() -> Vec<(&'static str, &'static str, String)> {
    let (network_state, network_views) = network();
    let (regions_state, regions_views) = regions();
    let mut all = regions_state.projects.clone();
    let mut iam = failed_plan(20, "prod/iam");
    let Some(Outcome::Failed(failure)) = &mut iam.plan.as_mut().unwrap().outcome else { panic!() };
    failure.message = "`terraform plan` failed with exit code 1.".into();
    failure.output = "Error: Reference to undeclared input variable\n\n  on main.tf line 12, in resource \
                      \"aws_iam_role\" \"deploy\":\n  12:   name = var.role_nmae\n\nAn input variable with the name \
                      \"role_nmae\" has not been declared. Did you mean \"role_name\"?\n"
        .into();
    failure.step = Step::Plan;
    failure.diagnostics = vec![Diagnostic {
        summary: "Reference to undeclared input variable".into(),
        detail: String::new(),
        address: None,
        place: Some(("main.tf".into(), 12)),
    }]
    .into();
    all.push(iam.clone());
    all.extend((30..36).map(|id| unchanged(id, &format!("stage/service-{id}"))));
    let many = state(all);
    let (waits, waits_views) = network();
    let mut waits = with_apply(waits, 9, RunState::Waiting, None);
    waits.lock = Some(lock(&waits.project, "github.com/acme/infra#198"));
    waits.queue_position = 2;
    let (changed, changed_views) = changed_since();
    let network_plan = network_state.plan.clone().unwrap();
    let done = applied(&[("a.b", "create"), ("a.c", "create"), ("a.d", "delete"), ("a.e", "update")], true);
    let succeeded = apply_run(100, &network_plan, RunState::Succeeded, Some(done));
    let failed = apply_run(101, &network_plan, RunState::Failed, Some(half_applied()));
    let missing = |project: &str, what: &str| Missing { project: Some(project.parse().unwrap()), what: what.into() };
    let refused = vec![
        missing("prod/db", "nobody who may write has approved `8888888`"),
        missing("prod/network", "nobody who may write has approved `8888888`"),
        missing("prod/db", "the branch does not contain the tip of `main`"),
    ];
    let errors = "error: unknown key `aply` in `rules`\n --> terraplane.yaml:14:5\n   |\n14 |     aply: on_merge\n   \
                  |     ^^^^\n   = help: did you mean `apply`?\n";
    let files = vec!["prod/network/main.tf".to_owned()];
    vec![
        ("plan", "One project is planned", live(&state(vec![network_state]), &network_views)),
        (
            "many-projects",
            "Several projects: a failure, a database, the same plan three times",
            live(&many, &regions_views),
        ),
        ("plan-failed", "A plan failed", live(&state(vec![iam]), &Views::new())),
        (
            "merged",
            "Merged, and the plan is no longer the reviewed one",
            live(&merged_state(vec![changed]), &changed_views),
        ),
        (
            "queued",
            "Merged, and another pull request holds the project",
            live(&merged_state(vec![waits]), &waits_views),
        ),
        ("applied", "The result of an apply", result(&[succeeded], &network_views)),
        ("apply-failed", "An apply failed half-way", result(&[failed], &network_views)),
        (
            "configuration",
            "The configuration can't be used",
            live(&with_problem(Problem::Configuration { errors: errors.into() }), &Views::new()),
        ),
        (
            "conflict",
            "The branch conflicts with its base",
            live(&with_problem(Problem::Conflict { files }), &Views::new()),
        ),
        (
            "refused",
            "A command was not carried out",
            say(&Say::Refused { to: login("sam"), verb: Verb::Apply, missing: refused }),
        ),
        ("merge-queue", "The merge queue's plan is not the reviewed one", say(&not_as_reviewed())),
        ("help", "Somebody asked for help", say(&Say::Help { to: login("sam"), verbs: helped() })),
    ]
}

/// The gallery is made anew below `target`, and compared with what is committed.
#[test]
fn the_gallery_in_the_manual_shows_what_is_rendered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (made, kept) = (root.join("target/comments"), root.join("docs/comments"));
    std::fs::create_dir_all(&made).unwrap();
    let mut index = "# Comments, as people see them\n\nMade by the tests from the built-in templates; see \
                     [Comments and statuses](../comments.md).\n\n"
        .to_owned();
    let mut outdated: Vec<PathBuf> = Vec::new();
    let mut keep = |name: &str, text: &str| {
        std::fs::write(made.join(name), text).unwrap();
        if std::fs::read_to_string(kept.join(name)).ok().as_deref() != Some(text) {
            outdated.push(kept.join(name));
        }
    };
    for (name, title, comment) in situations() {
        let file = format!("{name}.md");
        index.push_str(&format!("- [{title}]({file})\n"));
        keep(&file, &with_level(&comment));
    }
    keep("README.md", &index);
    assert!(outdated.is_empty(), "look at them, and `cp target/comments/*.md docs/comments/`: {outdated:?}");
}
