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

/// Kim approved a plan with one subnet less, and without the change of the network.
fn approved_before() -> (ProjectState, Views) {
    let (mut project, mut views) = network();
    let mut seen = network_view();
    seen.resources.retain(|resource| resource.action != Action::Update);
    seen.resources.retain(|resource| !resource.address.starts_with("aws_subnet"));
    views.insert(run_id(2), seen);
    approved_by_kim(&mut project);
    (project, views)
}

/// A check of the code's own does not hold, and somebody changed a tag by hand.
fn checked_and_drifted() -> (ProjectState, Views) {
    let project = project("prod/web");
    let summary = PlanSummary { change: 1, drifted: 1, unchanged: 12, ..PlanSummary::default() };
    let plan = plan_run(5, &project, summary);
    let image = [("image", value("\"app:1\""), value("\"app:2\""))];
    let view = PlanView {
        resources: vec![resource("aws_ecs_task_definition.app", Action::Update, &image)],
        drift: vec![resource("aws_lb.web", Action::Update, &[("tags.Team", value("\"web\""), value("\"sre\""))])],
        checks: vec![CheckView {
            address: "check.certificate".into(),
            status: "fail".into(),
            messages: vec!["The certificate of app.example.com ends within 30 days.".into()],
        }],
        outputs: vec![],
    };
    let views = HashMap::from([(plan.id, view)]);
    (standing(&project, Some(plan), None), views)
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
    let (approved, approved_views) = approved_before();
    let (checked, checked_views) = checked_and_drifted();
    let (warned, warned_views) = network();
    let mut warned = state(vec![warned]);
    let freeze = Freeze {
        selector: Selector::any_of(["prod/*"]),
        by: login("ana"),
        since: Timestamp(0),
        until: Some(Timestamp(1_796_115_600_000)),
        reason: Some("change freeze".into()),
    };
    warned.around.freezes = vec![freeze];
    warned.around.overlaps = vec![Overlap {
        project: warned.projects[0].project.key.clone(),
        pull: "github.com/acme/infra#198".parse().unwrap(),
        addresses: vec!["aws_vpc.main".into()],
    }];
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
        (
            "pushed",
            "A push after an approval: what changed since the plan that was approved",
            live(&state(vec![approved]), &approved_views),
        ),
        (
            "checks-and-drift",
            "A check of the code does not hold, and something was changed outside of Terraform",
            live(&state(vec![checked]), &checked_views),
        ),
        ("warnings", "Frozen, and another pull request changes the same", live(&warned, &warned_views)),
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
        ("fork", "The head is in a fork", live(&with_problem(Problem::ForkWaits { head: sha('8') }), &Views::new())),
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
