//! What people read, whole.

mod gallery;
mod hostile;
mod overrides;
mod size;

use super::*;
use crate::domain::command::{Meant, Selector, Verb};
use crate::domain::decide::{Astray, Because, Held, Helped, Hold, Missing, Overlap, Problem, ProjectState, PullState};
use crate::domain::egress::{Reason, Refusal};
use crate::domain::freeze::Freeze;
use crate::domain::id::{Login, Timestamp};
use crate::domain::plan::{Action, CheckView, PlanSummary, PlanView, Shown, Stateful, differences};
use crate::domain::project::{ApplyMode, Project, StateKind};
use crate::domain::report::Views;
use crate::domain::report::sample::*;
use crate::domain::requirement::Requirement;
use crate::domain::run::{Outcome, Run, RunState, Step, Work};
use insta::assert_snapshot;
use std::collections::HashMap;
use std::sync::LazyLock;

static RENDERER: LazyLock<Renderer> = LazyLock::new(Renderer::new);

fn live(state: &PullState, views: &Views) -> String {
    RENDERER.live(&live_input(state, views, &server()))
}

fn network() -> (ProjectState, Views) {
    let project = project("prod/network");
    let plan = plan_run(1, &project, network_summary());
    let views = HashMap::from([(plan.id, network_view())]);
    (standing(&project, Some(plan), None), views)
}

fn failed_plan(id: u128, name: &str) -> ProjectState {
    let project = project(name);
    let failed = failure(
        Step::Init,
        "terraform init failed",
        "\u{1b}[31m╷\u{1b}[0m\n│ Error: no such provider alias \"eu\"\n│ mention @team #12\n╵\n",
    );
    let run = run(id, &project, Work::Plan, RunState::Failed, Some(Outcome::Failed(failed)));
    standing(&project, Some(run), None)
}

fn unchanged(id: u128, name: &str) -> ProjectState {
    let project = project(name);
    let plan = plan_run(id, &project, PlanSummary { unchanged: 12, ..PlanSummary::default() });
    standing(&project, Some(plan), None)
}

fn with_apply(mut project: ProjectState, id: u128, state: RunState, outcome: Option<Outcome>) -> ProjectState {
    let apply = apply_run(id, project.plan.as_ref().unwrap(), state, outcome);
    project.apply = Some(apply);
    project
}

/// The network was planned as reviewed, but `main` moved on: one more subnet, and the vpc's tag is another.
fn changed_since() -> (ProjectState, Views) {
    let (project, mut views) = network();
    let summary = PlanSummary { add: 1, change: 1, ..PlanSummary::default() };
    let outcome = differs("The base branch has moved on since the review.", summary);
    let project = with_apply(project, 9, RunState::Differs, Some(outcome));
    let new = PlanView {
        resources: vec![
            resource("aws_subnet.private[\"c\"]", Action::Create, &[("cidr", Shown::Absent, value("\"10.0.3.0/24\""))]),
            resource("aws_subnet.private[\"d\"]", Action::Create, &[("cidr", Shown::Absent, value("\"10.0.4.0/24\""))]),
            resource("aws_vpc.main", Action::Update, &[("tags.Owner", value("\"net\""), value("\"core\""))]),
        ],
        outputs: network_view().outputs,
        ..PlanView::default()
    };
    views.insert(run_id(9), new);
    (project, views)
}

/// What a merge queue is told no for.
fn not_as_reviewed() -> Say {
    let (changed, views) = changed_since();
    let (reviewed, new) = (&views[&changed.plan.as_ref().unwrap().id], &views[&run_id(9)]);
    let astray = |project: &str, why: &str, url: Option<&str>, differences| Astray {
        project: project.parse().unwrap(),
        why: why.into(),
        url: url.map(str::to_owned),
        differences,
    };
    let compared = "compared with the reviewed plan";
    Say::NotAsReviewed {
        commit: sha('9'),
        projects: vec![
            astray("prod/network", compared, Some("https://tp/runs/9"), Some(differences(reviewed, new))),
            astray("prod/db", compared, Some("https://tp/runs/10"), Some(vec![])),
            astray("prod/iam", "it could not be planned: `terraform plan` failed", Some("https://tp/runs/11"), None),
            astray("prod/dns", "what the rules ask for before a plan is not there", None, None),
        ],
    }
}

fn half_applied() -> Outcome {
    let mut failed = failure(
        Step::Apply,
        "terraform apply failed",
        "Error: creating RDS DB Instance (main): InvalidParameterValue\n",
    );
    failed.done = vec![did("aws_db_parameter_group.pg", "create"), did("aws_subnet.a", "update")];
    failed.not_done = vec![did("aws_db_instance.main", "create")];
    failed.changed_something = true;
    Outcome::Failed(failed)
}

fn say(say: &Say) -> String {
    let (pull, server) = (pull(), server());
    RENDERER.say(say, &SayInput { pull: &pull, key: "77-1", server: &server, limit: COMMENT_LIMIT }).unwrap()
}

fn names(all: &[&str]) -> Vec<crate::domain::id::ProjectName> {
    all.iter().map(|name| name.parse().unwrap()).collect()
}

fn result(runs: &[Run], views: &Views) -> String {
    let mut pull = pull();
    pull.phase = merged();
    let server = server();
    RENDERER.result(&result_input(&pull, runs, views, &server))
}

#[test]
fn while_nothing_is_planned_yet() {
    let (a, b) = (project("prod/dns"), project("prod/network"));
    let running = run(1, &a, Work::Plan, RunState::Running, None);
    let queued = run(2, &b, Work::Plan, RunState::Queued, None);
    let gated = Project { require_plan: vec![Requirement::Checks, Requirement::APPROVED], ..project("prod/vault") };
    let waits = standing(&gated, None, None);
    let state = state(vec![standing(&a, Some(running), None), standing(&b, Some(queued), None), waits]);
    assert_snapshot!(live(&state, &Views::new()), @r#"
    <!-- terraplane:live -->
    ### ⏳ terraplane · 3 projects · 1 waiting · 2 planning

    | | Project | + | ~ | ± | − | |
    |---|---|--:|--:|--:|--:|---|
    | ⏳ | `prod/vault` | | | | | not planned yet: it needs `checks`, `approved` |
    | ⏳ | [`prod/dns`](https://tp/runs/1) | | | | | planning |
    | ⏳ | [`prod/network`](https://tp/runs/2) | | | | | plan queued |

    <sub>`8888888` merged onto `main` at `aaaaaaa` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn one_project_is_planned() {
    let (network, views) = network();
    assert_snapshot!(live(&state(vec![network]), &views), @r#"
    <!-- terraplane:live -->
    ### terraplane · plan ready · `prod/network` · +2 ~1 −1, 1 output

    > [!CAUTION]
    > **1 resource will be destroyed**
    > - `aws_security_group_rule.legacy_ssh`

    <details open><summary><b><a href="https://tp/runs/1"><code>prod/network</code></a></b> · +2 ~1 −1, 1 output · 18 s · because <code>prod/network/main.tf</code> changed</summary>

    ```diff
    - aws_security_group_rule.legacy_ssh        destroy
    ~ aws_vpc.main                              update
    ~   tags.Owner: "net" -> "platform"
    + aws_route_table_association.private["c"]  create
    +   id: (known after apply)
    +   subnet_id: (known after apply)
    + aws_subnet.private["c"]                   create
    +   cidr: "10.0.3.0/24"
    ~ output subnet_ids                         update
    +   [2]: (known after apply)
    ```

    <sub>46 unchanged</sub>

    </details>

    Merging this pull request applies the plan. It needs an approval of this head by somebody with write permission.

    <sub>`8888888` merged onto `main` at `aaaaaaa` · terraform 1.11.4 · plan `p_7c1e5a90` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn a_table_without_words_has_no_column_for_them() {
    let changed = |id, name: &str, summary| {
        let project = project(name);
        standing(&project, Some(plan_run(id, &project, summary)), None)
    };
    let one = changed(1, "prod/a", PlanSummary { add: 2, destroy: 1, ..PlanSummary::default() });
    let other = changed(2, "prod/b", PlanSummary { change: 3, ..PlanSummary::default() });
    let table = |all| {
        let text = live(&state(all), &Views::new());
        text.lines().filter(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(table(vec![one.clone(), other]), @"
    | | Project | + | ~ | ± | − |
    |---|---|--:|--:|--:|--:|
    | 🔴 | [`prod/a`](https://tp/runs/1) | 2 |  |  | **1** |
    | 🟡 | [`prod/b`](https://tp/runs/2) |  | 3 |  |  |
    ");
    assert_snapshot!(table(vec![one, failed_plan(3, "prod/iam")]), @"
    | | Project | + | ~ | ± | − | |
    |---|---|--:|--:|--:|--:|---|
    | ❌ | [`prod/iam`](https://tp/runs/3) | | | | | plan failed: terraform init failed |
    | 🔴 | [`prod/a`](https://tp/runs/1) | 2 |  |  | **1** |  |
    ");
}

#[test]
fn several_projects_of_which_one_failed_and_one_destroys() {
    let (network, views) = network();
    let mut app = project("dev/app");
    app.apply = ApplyMode::OnComment;
    let plan = plan_run(5, &app, PlanSummary { change: 1, ..PlanSummary::default() });
    let app = standing(&app, Some(plan), None);
    let all = vec![unchanged(3, "stage/dns"), network, failed_plan(2, "prod/iam"), app, unchanged(4, "dev/dns")];
    assert_snapshot!(live(&state(all), &views), @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · 5 projects · 1 failed · 2 with changes · 2 unchanged

    > [!CAUTION]
    > **1 resource will be destroyed**
    > - `prod/network`: `aws_security_group_rule.legacy_ssh`

    | | Project | + | ~ | ± | − | |
    |---|---|--:|--:|--:|--:|---|
    | ❌ | [`prod/iam`](https://tp/runs/2) | | | | | plan failed: terraform init failed |
    | 🔴 | [`prod/network`](https://tp/runs/1) | 2 | 1 |  | **1** | 1 output |
    | 🟡 | [`dev/app`](https://tp/runs/5) |  | 1 |  |  |  |

    <details><summary>2 unchanged</summary>

    `stage/dns`, `dev/dns`

    </details>

    <details open><summary><b><a href="https://tp/runs/2"><code>prod/iam</code></a></b> · plan failed in init · 18 s · because <code>prod/iam/main.tf</code> changed</summary>

    terraform init failed

    ```text
    ╷
    │ Error: no such provider alias "eu"
    │ mention @team #12
    ╵
    ```

    </details>

    <details><summary><b><a href="https://tp/runs/1"><code>prod/network</code></a></b> · +2 ~1 −1, 1 output · 18 s · because <code>prod/network/main.tf</code> changed</summary>

    ```diff
    - aws_security_group_rule.legacy_ssh        destroy
    ~ aws_vpc.main                              update
    ~   tags.Owner: "net" -> "platform"
    + aws_route_table_association.private["c"]  create
    +   id: (known after apply)
    +   subnet_id: (known after apply)
    + aws_subnet.private["c"]                   create
    +   cidr: "10.0.3.0/24"
    ~ output subnet_ids                         update
    +   [2]: (known after apply)
    ```

    <sub>46 unchanged</sub>

    </details>

    To plan again: `terraplane plan prod/iam`

    Merging this pull request applies the plan. It needs an approval of this head by somebody with write permission.

    To apply, once somebody with write permission has approved this head: `terraplane apply dev/app`

    <sub>`8888888` merged onto `main` at `aaaaaaa` · terraform 1.11.4 · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

/// Three regions of one application, planned alike, and a database that is replaced.
fn regions() -> (PullState, Views) {
    let shape = "5".repeat(64).parse::<crate::domain::id::Fingerprint>().unwrap();
    let mut views = Views::new();
    let mut all = Vec::new();
    for (id, name) in [(1, "prod/app-eu-1"), (2, "prod/app-eu-2"), (3, "prod/app-us-1")] {
        let project = project(name);
        let summary = PlanSummary { change: 1, shape: Some(shape.clone()), ..PlanSummary::default() };
        let plan = plan_run(id, &project, summary);
        let image = [("image", value("\"app:1\""), value("\"app:2\""))];
        let view =
            PlanView { resources: vec![resource("aws_ecs_task.app", Action::Update, &image)], ..PlanView::default() };
        views.insert(plan.id, view);
        all.push(standing(&project, Some(plan), None));
    }
    let project = project("prod/db");
    let destroyed = vec!["aws_db_parameter_group.pg".to_owned(), "aws_db_instance.main".into()];
    let stateful = vec![Stateful { address: "aws_db_instance.main".into(), what: "database".into() }];
    let plan =
        plan_run(4, &project, PlanSummary { replace: 2, destroyed, stateful, drifted: 1, ..PlanSummary::default() });
    let version = [("engine_version", value("\"15\""), value("\"16\""))];
    let mut main = resource("aws_db_instance.main", Action::Replace, &version);
    main.forces_replacement = vec!["engine_version".into()];
    let mut group = resource("aws_db_parameter_group.pg", Action::Replace, &[]);
    group.because = Some("replace_because_tainted".into());
    let drifted = resource("aws_vpc.main", Action::Update, &[("tags.Team", value("\"a\""), value("\"b\""))]);
    let check = CheckView {
        address: "check.certificate".into(),
        status: "fail".into(),
        messages: vec!["it ends within 30 days (ask @ops)".into()],
    };
    let view = PlanView { resources: vec![main, group], drift: vec![drifted], checks: vec![check], outputs: vec![] };
    views.insert(plan.id, view);
    all.push(standing(&project, Some(plan), None));
    (state(all), views)
}

#[test]
fn what_holds_data_comes_first_and_equal_plans_are_one() {
    let (state, views) = regions();
    let comment = live(&state, &views).replace('\u{200b}', "");
    assert_snapshot!(comment, @r#"
    <!-- terraplane:live -->
    ### terraplane · 4 projects · 4 with changes

    > [!CAUTION]
    > **2 resources will be replaced · 1 of them holds data**
    > - `prod/db`: `aws_db_instance.main` (**database**)
    > - `prod/db`: `aws_db_parameter_group.pg`

    | | Project | + | ~ | ± | − | |
    |---|---|--:|--:|--:|--:|---|
    | 🔴 | [`prod/db`](https://tp/runs/4) |  |  | **2** |  | **replaces: database** |
    | 🟡 | `prod/app-*` ×3, same plan |  | 1 |  |  | [`prod/app-eu-1`](https://tp/runs/1) [`prod/app-eu-2`](https://tp/runs/2) [`prod/app-us-1`](https://tp/runs/3) |

    <details><summary><b><a href="https://tp/runs/4"><code>prod/db</code></a></b> · ±2 · replaces: database · 18 s · because <code>prod/db/main.tf</code> changed</summary>

    - ⚠️ `check.certificate` does not hold: it ends within 30 days (ask &#64;ops)

    ```diff
    ! aws_db_instance.main       replace (forced by engine_version)
    ~   engine_version: "15" -> "16"  # forces replacement
    ! aws_db_parameter_group.pg  replace (it is tainted: its creation had failed, or somebody marked it)
    ```

    <details><summary>1 changed outside of Terraform</summary>

    ```diff
    ~ aws_vpc.main  update
    ~   tags.Team: "a" -> "b"
    ```

    </details>

    </details>

    <details><summary><b><code>prod/app-&#42;</code> ×3</b> · ~1 · 18 s</summary>

    The same plan for `prod/app-eu-1`, `prod/app-eu-2`, `prod/app-us-1`

    ```diff
    ~ aws_ecs_task.app  update
    ~   image: "app:1" -> "app:2"
    ```

    </details>

    Merging this pull request applies 4 plans. It needs an approval of this head by somebody with write permission.

    <sub>`8888888` merged onto `main` at `aaaaaaa` · terraform 1.11.4 · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn projects_that_differ_in_anything_are_told_one_by_one() {
    let (mut state, views) = regions();
    state.projects[1].project.state = StateKind::Nowhere;
    let other = "6".repeat(64).parse::<crate::domain::id::Fingerprint>().unwrap();
    let Some(Outcome::Planned(planned)) = &mut state.projects[2].plan.as_mut().unwrap().outcome else { panic!() };
    planned.summary.shape = Some(other);
    let comment = live(&state, &views);
    assert!(!comment.contains("same plan"), "{comment}");
    for name in ["prod/app-eu-1", "prod/app-eu-2", "prod/app-us-1"] {
        assert!(comment.contains(&format!("| 🟡 | [`{name}`]")), "{comment}");
    }
}

#[test]
fn at_most_three_commands_are_offered() {
    let (network, views) = changed_since();
    let mut broken = with_apply(unchanged(20, "prod/dns"), 21, RunState::Failed, Some(half_applied()));
    broken.lock = Some(lock(&broken.project, "github.com/acme/infra#214"));
    let mut app = project("dev/app");
    app.apply = ApplyMode::OnComment;
    let plan = plan_run(5, &app, PlanSummary { change: 1, ..PlanSummary::default() });
    let all = vec![network, broken, failed_plan(2, "prod/iam"), standing(&app, Some(plan), None)];
    let comment = live(&merged_state(all), &views);
    let offered: Vec<&str> = comment.lines().filter(|line| line.starts_with("To ") && line.contains(": `")).collect();
    assert_snapshot!(offered.join("\n"), @r"
    To apply the plan as it is now: `terraplane approve prod/network` (by somebody who may apply and is not the author)
    To try again: `terraplane apply prod/dns`
    To apply, once somebody with write permission has approved this head: `terraplane apply dev/app`
    ");
}

#[test]
fn a_plan_failed() {
    assert_snapshot!(live(&state(vec![failed_plan(2, "prod/iam")]), &Views::new()), @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · plan failed · `prod/iam`

    <details open><summary><b><a href="https://tp/runs/2"><code>prod/iam</code></a></b> · plan failed in init · 18 s · because <code>prod/iam/main.tf</code> changed</summary>

    terraform init failed

    ```text
    ╷
    │ Error: no such provider alias "eu"
    │ mention @team #12
    ╵
    ```

    </details>

    To plan again: `terraplane plan`

    <sub>`8888888` merged onto `main` at `aaaaaaa` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn a_plan_that_was_not_let_reach_what_it_needs() {
    let mut failed = failed_plan(2, "prod/iam");
    let refusal = |host: &str, port, reason| Refusal { host: host.into(), port, reason, count: 3 };
    failed.plan.as_mut().unwrap().blocked = vec![
        refusal("api.example.com", 443, Reason::NotListed),
        refusal("db.internal", 8443, Reason::Private { kind: "a private address".into() }),
        refusal("169.254.169.254", 80, Reason::Number),
        refusal("a`|<b>@team", 1, Reason::OtherPath),
    ];
    let text = live(&state(vec![failed]), &Views::new());
    let from = text.find("terraform init failed\n").unwrap();
    assert_snapshot!(text[from..].split_once("\n\n```").unwrap().0, @r"
    terraform init failed

    - blocked: `api.example.com:443`; allow it under `sandbox.egress`: `api.example.com`
    - blocked: `db.internal:8443` (the name has a private address); allow it under `sandbox.egress`: `db.internal:8443`
    - blocked: `169.254.169.254:80` (an address is never reachable by number); use a name, and allow it under `sandbox.egress`
    - blocked: <code>a&#96;&#124;&#60;b&#62;&#64;team&#58;1</code> (this path is not for cages)
    ");
}

#[test]
fn nothing_changes() {
    let all = vec![unchanged(3, "stage/dns"), unchanged(4, "dev/dns")];
    assert_snapshot!(live(&state(all), &Views::new()), @r#"
    <!-- terraplane:live -->
    ### terraplane · 2 projects · 2 unchanged

    <details><summary>2 unchanged</summary>

    `stage/dns`, `dev/dns`

    </details>

    <sub>`8888888` merged onto `main` at `aaaaaaa` · terraform 1.11.4 · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
    assert_snapshot!(live(&state(vec![unchanged(3, "stage/dns")]), &Views::new()), @r#"
    <!-- terraplane:live -->
    ### terraplane · no changes · `stage/dns`

    <sub>`8888888` merged onto `main` at `aaaaaaa` · terraform 1.11.4 · plan `p_7c1e5a90` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn a_conflict_with_the_base_branch() {
    let files = vec!["prod/network/main.tf".into(), "odd|name `x`.tf".into()];
    assert_snapshot!(live(&with_problem(Problem::Conflict { files }), &Views::new()), @r#"
    <!-- terraplane:live -->
    ### ⚠️ terraplane · not planned: conflicts with `main`

    What is planned is the pull request merged into its base branch. These files can't be merged:

    - `prod/network/main.tf`
    - <code>odd&#124;name &#96;x&#96;.tf</code>

    Resolve the conflict and push: planning goes on by itself.

    <sub>`8888888` onto `main` at `aaaaaaa` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn a_configuration_that_cannot_be_used() {
    let errors = "terraplane.yaml:14:7: unknown key `aply`, did you mean `apply`?\n   14 |   aply: on_merge\n".into();
    assert_snapshot!(live(&with_problem(Problem::Configuration { errors }), &Views::new()), @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · the configuration can't be used

    ```text
    terraplane.yaml:14:7: unknown key `aply`, did you mean `apply`?
       14 |   aply: on_merge
    ```

    Nothing was planned.

    Mend it and push: planning goes on by itself. To check it before: `terraplane check`

    <sub>`8888888` onto `main` at `aaaaaaa` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn a_repository_that_cannot_be_fetched() {
    let message = "the forge answered 502 three times".into();
    assert_snapshot!(live(&with_problem(Problem::Fetch { message }), &Views::new()), @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · the repository could not be fetched

    ```text
    the forge answered 502 three times
    ```

    Nothing was planned.

    To plan again: `terraplane plan`

    <sub>`8888888` onto `main` at `aaaaaaa` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn neither_backend_nor_managed_state() {
    let (mut network, views) = network();
    network.project.state = StateKind::Nowhere;
    assert_snapshot!(live(&state(vec![network]), &views), @r#"
    <!-- terraplane:live -->
    ### terraplane · plan ready · `prod/network` · +2 ~1 −1, 1 output

    > [!CAUTION]
    > **1 resource will be destroyed**
    > - `aws_security_group_rule.legacy_ssh`

    <details open><summary><b><a href="https://tp/runs/1"><code>prod/network</code></a></b> · +2 ~1 −1, 1 output · 18 s · because <code>prod/network/main.tf</code> changed</summary>

    ```diff
    - aws_security_group_rule.legacy_ssh        destroy
    ~ aws_vpc.main                              update
    ~   tags.Owner: "net" -> "platform"
    + aws_route_table_association.private["c"]  create
    +   id: (known after apply)
    +   subnet_id: (known after apply)
    + aws_subnet.private["c"]                   create
    +   cidr: "10.0.3.0/24"
    ~ output subnet_ids                         update
    +   [2]: (known after apply)
    ```

    <sub>46 unchanged</sub>

    </details>

    Never applied: `prod/network`. There is neither a backend nor managed state, so the state would be lost with the work tree. Add a `backend` block, or `state: managed` in `terraplane.yaml`.

    <sub>`8888888` merged onto `main` at `aaaaaaa` · terraform 1.11.4 · plan `p_7c1e5a90` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn merged_and_waiting_for_another_pull_requests_lock() {
    let (network, views) = network();
    let mut waits = with_apply(network, 9, RunState::Waiting, None);
    waits.lock = Some(lock(&waits.project, "github.com/acme/infra#198"));
    waits.queue_position = 2;
    assert_snapshot!(live(&merged_state(vec![waits]), &views), @r#"
    <!-- terraplane:live -->
    ### ⏳ terraplane · merged · waits for `#198`, place 2 in the queue · `prod/network` · +2 ~1 −1, 1 output

    > [!CAUTION]
    > **1 resource will be destroyed**
    > - `aws_security_group_rule.legacy_ssh`

    <details open><summary><b><a href="https://tp/runs/9"><code>prod/network</code></a></b> · +2 ~1 −1, 1 output · because <code>prod/network/main.tf</code> changed</summary>

    ```diff
    - aws_security_group_rule.legacy_ssh        destroy
    ~ aws_vpc.main                              update
    ~   tags.Owner: "net" -> "platform"
    + aws_route_table_association.private["c"]  create
    +   id: (known after apply)
    +   subnet_id: (known after apply)
    + aws_subnet.private["c"]                   create
    +   cidr: "10.0.3.0/24"
    ~ output subnet_ids                         update
    +   [2]: (known after apply)
    ```

    <sub>46 unchanged</sub>

    </details>

    <sub>`8888888` merged onto `main` at `aaaaaaa` · merged as `ccccccc` · terraform 1.11.4 · plan `p_7c1e5a90` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn merged_and_applying() {
    let (network, views) = network();
    let applying = with_apply(network, 9, RunState::Running, None);
    assert_snapshot!(live(&merged_state(vec![applying, unchanged(4, "dev/dns")]), &views), @r#"
    <!-- terraplane:live -->
    ### ⏳ terraplane · merged · 2 projects · 1 applying · 1 unchanged

    > [!CAUTION]
    > **1 resource will be destroyed**
    > - `prod/network`: `aws_security_group_rule.legacy_ssh`

    | | Project | + | ~ | ± | − | |
    |---|---|--:|--:|--:|--:|---|
    | ⏳ | [`prod/network`](https://tp/runs/9) | 2 | 1 |  | **1** | applying |

    <details><summary>1 unchanged</summary>

    `dev/dns`

    </details>

    <details><summary><b><a href="https://tp/runs/9"><code>prod/network</code></a></b> · +2 ~1 −1, 1 output · because <code>prod/network/main.tf</code> changed</summary>

    ```diff
    - aws_security_group_rule.legacy_ssh        destroy
    ~ aws_vpc.main                              update
    ~   tags.Owner: "net" -> "platform"
    + aws_route_table_association.private["c"]  create
    +   id: (known after apply)
    +   subnet_id: (known after apply)
    + aws_subnet.private["c"]                   create
    +   cidr: "10.0.3.0/24"
    ~ output subnet_ids                         update
    +   [2]: (known after apply)
    ```

    <sub>46 unchanged</sub>

    </details>

    <sub>`8888888` merged onto `main` at `aaaaaaa` · merged as `ccccccc` · terraform 1.11.4 · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn merged_and_applied() {
    let (network, views) = network();
    let done = applied(&[("aws_vpc.main", "update")], true);
    let applied = with_apply(network, 9, RunState::Succeeded, Some(done));
    assert_snapshot!(live(&merged_state(vec![applied]), &views), @r#"
    <!-- terraplane:live -->
    ### ✅ terraplane · merged · applied · `prod/network` · +2 ~1 −1, 1 output

    <details open><summary><b><a href="https://tp/runs/9"><code>prod/network</code></a></b> · applied · +2 ~1 −1, 1 output · 18 s · because <code>prod/network/main.tf</code> changed</summary>

    ```diff
    - aws_security_group_rule.legacy_ssh        destroy
    ~ aws_vpc.main                              update
    ~   tags.Owner: "net" -> "platform"
    + aws_route_table_association.private["c"]  create
    +   id: (known after apply)
    +   subnet_id: (known after apply)
    + aws_subnet.private["c"]                   create
    +   cidr: "10.0.3.0/24"
    ~ output subnet_ids                         update
    +   [2]: (known after apply)
    ```

    <sub>46 unchanged</sub>

    </details>

    <sub>`8888888` merged onto `main` at `aaaaaaa` · merged as `ccccccc` · terraform 1.11.4 · plan `p_7c1e5a90` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn merged_and_different_from_what_was_reviewed() {
    let (network, views) = changed_since();
    assert_snapshot!(live(&merged_state(vec![network]), &views), @r#"
    <!-- terraplane:live -->
    ### ⚠️ terraplane · merged · not applied, the plan has changed · `prod/network` · +1 ~1

    <details open><summary><b><a href="https://tp/runs/9"><code>prod/network</code></a></b> · the plan has changed · +1 ~1 · 18 s · because <code>prod/network/main.tf</code> changed</summary>

    The base branch has moved on since the review. The plan is now `p_7c1e5a90` (+1 ~1). Compared with the reviewed plan:

    ```diff
    - aws_route_table_association.private["c"]  create  (only in the reviewed plan)
    - aws_security_group_rule.legacy_ssh  destroy  (only in the reviewed plan)
    + aws_subnet.private["d"]  create  (only in the new plan)
    +   cidr: "10.0.4.0/24"
    ! aws_vpc.main  update
    -   tags.Owner: "net" -> "platform"
    +   tags.Owner: "net" -> "core"
    ```

    </details>

    To apply the plan as it is now: `terraplane approve` (by somebody who may apply and is not the author)

    <sub>`8888888` merged onto `main` at `aaaaaaa` · merged as `ccccccc` · terraform 1.11.4 · plan `p_7c1e5a90` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn merged_and_different_in_what_cannot_be_shown() {
    let (network, mut views) = changed_since();
    views.insert(run_id(9), network_view());
    let comment = live(&merged_state(vec![network]), &views);
    assert!(comment.contains("What differs can't be shown"), "{comment}");
}

#[test]
fn merged_and_the_apply_failed_half_way() {
    let (network, views) = network();
    let mut failed = with_apply(network, 9, RunState::Failed, Some(half_applied()));
    failed.lock = Some(lock(&failed.project, "github.com/acme/infra#214"));
    assert_snapshot!(live(&merged_state(vec![failed]), &views), @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · merged · apply failed · `prod/network`

    <details open><summary><b><a href="https://tp/runs/9"><code>prod/network</code></a></b> · apply failed · 18 s · because <code>prod/network/main.tf</code> changed</summary>

    terraform apply failed

    ```text
    Error: creating RDS DB Instance (main): InvalidParameterValue
    ```

    <sub>2 of 3 changes were made</sub>

    </details>

    To try again: `terraplane apply`

    To give up and let others change it: `terraplane unlock`

    <sub>`8888888` merged onto `main` at `aaaaaaa` · merged as `ccccccc` · terraform 1.11.4 · plan `p_7c1e5a90` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn the_server_was_lost_during_the_apply() {
    let (network, views) = network();
    let lost = with_apply(network, 9, RunState::Interrupted, None);
    assert_snapshot!(live(&merged_state(vec![lost]), &views), @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · merged · apply interrupted · `prod/network`

    <details open><summary><b><a href="https://tp/runs/9"><code>prod/network</code></a></b> · apply interrupted · 18 s · because <code>prod/network/main.tf</code> changed</summary>

    The server was lost before the run could tell how it ended. Nobody knows how much of it was done.

    </details>

    To try again: `terraplane apply`

    <sub>`8888888` merged onto `main` at `aaaaaaa` · merged as `ccccccc` · terraform 1.11.4 · plan `p_7c1e5a90` · commands: `terraplane help` · **NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn closed_without_a_merge_after_something_was_applied() {
    let (network, views) = network();
    let done = applied(&[("aws_vpc.main", "update")], true);
    let mut applied = with_apply(network, 9, RunState::Succeeded, Some(done));
    applied.lock = Some(lock(&applied.project, "github.com/acme/infra#214"));
    let mut state = state(vec![applied]);
    state.record.pull.phase = crate::domain::pull::Phase::Closed;
    let comment = live(&state, &views);
    assert!(comment.contains("### ✅ terraplane · closed without a merge · applied"), "{comment}");
    assert!(comment.contains("To give up and let others change it: `terraplane unlock`"), "{comment}");
}

#[test]
fn the_result_of_one_apply() {
    let (network, views) = network();
    let done = applied(&[("a.b", "create"), ("a.c", "create"), ("a.d", "delete")], true);
    let run = apply_run(100, network.plan.as_ref().unwrap(), RunState::Succeeded, Some(done));
    assert_snapshot!(result(&[run], &views), @r#"
    <!-- terraplane:run 00000000000000000000000000000064 -->
    ### ✅ Applied `prod/network`

    Commit `ccccccc`, by `@ana`, approved by `@lee`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ✅ | [`prod/network`](https://tp/runs/100) | 2 created, 1 destroyed · the reviewed plan `p_7c1e5a90` | 18 s |

    <sub>**NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn the_result_of_several_applies_that_ended_in_different_ways() {
    let (network, views) = changed_since();
    let dns = project("dev/dns");
    let plan = plan_run(3, &dns, PlanSummary { change: 1, ..PlanSummary::default() });
    let anew = apply_run(100, &plan, RunState::Succeeded, Some(applied(&[("a.b", "update")], false)));
    let database = project("prod/db");
    let plan = plan_run(2, &database, PlanSummary { add: 2, change: 1, ..PlanSummary::default() });
    let failed = apply_run(101, &plan, RunState::Failed, Some(half_applied()));
    assert_snapshot!(result(&[anew, network.apply.unwrap(), failed], &views), @r#"
    <!-- terraplane:run 00000000000000000000000000000064 -->
    ### ❌ Apply failed in 1 of 3 projects · 1 applied

    Commit `ccccccc`, by `@ana`, approved by `@lee`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ❌ | [`prod/db`](https://tp/runs/101) | failed | 18 s |
    | ⚠️ | [`prod/network`](https://tp/runs/9) | not applied, nothing was changed | 18 s |
    | ✅ | [`dev/dns`](https://tp/runs/100) | 1 changed · planned anew, equal to the reviewed plan `p_7c1e5a90` | 18 s |

    #### `prod/db`

    terraform apply failed

    ```text
    Error: creating RDS DB Instance (main): InvalidParameterValue
    ```

    **Done:** `aws_db_parameter_group.pg`, `aws_subnet.a`

    **Not done:** `aws_db_instance.main`

    <sub>2 of 3 changes were made</sub>

    #### `prod/network`

    The base branch has moved on since the review. The plan is now `p_7c1e5a90` (+1 ~1). Compared with the reviewed plan:

    ```diff
    - aws_route_table_association.private["c"]  create  (only in the reviewed plan)
    - aws_security_group_rule.legacy_ssh  destroy  (only in the reviewed plan)
    + aws_subnet.private["d"]  create  (only in the new plan)
    +   cidr: "10.0.4.0/24"
    ! aws_vpc.main  update
    -   tags.Owner: "net" -> "platform"
    +   tags.Owner: "net" -> "core"
    ```

    To apply the plan as it is now: `terraplane approve prod/network` (by somebody who may apply and is not the author)

    To try again: `terraplane apply prod/db`

    To give up and let others change it: `terraplane unlock prod/db`

    <sub>**NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn the_result_when_the_plan_has_changed() {
    let (network, views) = changed_since();
    assert_snapshot!(result(&[network.apply.unwrap()], &views), @r#"
    <!-- terraplane:run 00000000000000000000000000000064 -->
    ### ⚠️ Not applied: the plan has changed · `prod/network`

    Commit `ccccccc`, by `@ana`, approved by `@lee`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ⚠️ | [`prod/network`](https://tp/runs/9) | not applied, nothing was changed | 18 s |

    The base branch has moved on since the review. The plan is now `p_7c1e5a90` (+1 ~1). Compared with the reviewed plan:

    ```diff
    - aws_route_table_association.private["c"]  create  (only in the reviewed plan)
    - aws_security_group_rule.legacy_ssh  destroy  (only in the reviewed plan)
    + aws_subnet.private["d"]  create  (only in the new plan)
    +   cidr: "10.0.4.0/24"
    ! aws_vpc.main  update
    -   tags.Owner: "net" -> "platform"
    +   tags.Owner: "net" -> "core"
    ```

    To apply the plan as it is now: `terraplane approve prod/network` (by somebody who may apply and is not the author)

    <sub>**NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn the_result_of_an_apply_that_failed_half_way() {
    let (network, views) = network();
    let run = apply_run(100, network.plan.as_ref().unwrap(), RunState::Failed, Some(half_applied()));
    assert_snapshot!(result(&[run], &views), @r#"
    <!-- terraplane:run 00000000000000000000000000000064 -->
    ### ❌ Apply failed in `prod/network` · 2 of 3 changes were made

    Commit `ccccccc`, by `@ana`, approved by `@lee`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ❌ | [`prod/network`](https://tp/runs/100) | failed | 18 s |

    terraform apply failed

    ```text
    Error: creating RDS DB Instance (main): InvalidParameterValue
    ```

    **Done:** `aws_db_parameter_group.pg`, `aws_subnet.a`

    **Not done:** `aws_db_instance.main`

    <sub>2 of 3 changes were made</sub>

    To try again: `terraplane apply prod/network`

    To give up and let others change it: `terraplane unlock prod/network`

    <sub>**NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT**</sub>
    "#);
}

#[test]
fn a_pull_request_from_a_fork() {
    assert_snapshot!(say(&Say::ForkRefused), @r#"
    <!-- terraplane:reply 77-1 -->
    ### 🚫 terraplane · not planned: the head is in a fork

    Terraform runs what the author of a pull request wrote, and this server can't cage it yet, so pull requests from forks are refused. Nothing was run.

    Somebody with write permission who has read the change can push it to a branch of this repository and open a pull request from there.
    "#);
}

/// A writer whose apply lacks an approval.
fn helped() -> Vec<Helped> {
    let lacks = |verb| match verb {
        Verb::Apply => Some("`prod/network`: it needs an approval".to_owned()),
        Verb::Freeze | Verb::Thaw => Some(format!("`{}` needs the role `maintain`", verb.as_str())),
        Verb::Unlock => Some("it holds nothing".to_owned()),
        _ => None,
    };
    Verb::ALL.into_iter().map(|verb| Helped { verb, lacks: lacks(verb) }).collect()
}

#[test]
fn help() {
    assert_snapshot!(say(&Say::Help { to: login("sam"), verbs: helped() }), @r#"
    <!-- terraplane:reply 77-1 -->
    ### terraplane · what `@sam` may do here now

    | Comment | Does | You |
    |---|---|---|
    | `terraplane plan [WHAT] [-- ARGUMENTS]` | plans again | ✅ |
    | `terraplane apply [WHAT]` | applies what was reviewed | ❌ `prod/network`: it needs an approval |
    | `terraplane approve [WHAT]` | accepts a plan that differs from the reviewed one | ✅ |
    | `terraplane cancel [WHAT]` | stops what is queued or running | ✅ |
    | `terraplane lock [WHAT] "WHY"` | holds projects for this pull request | ✅ |
    | `terraplane unlock [#PULL] [WHAT] "WHY"` | lets others change what is held | ❌ it holds nothing |
    | `terraplane freeze [WHAT] until TIME "WHY"` | stops applies in the whole repository | ❌ `freeze` needs the role `maintain` |
    | `terraplane thaw [WHAT]` | ends that | ❌ `thaw` needs the role `maintain` |
    | `terraplane locks` · `terraplane why [WHAT]` · `terraplane version` · `terraplane help` | looks | ✅ |

    `WHAT` names projects: `prod/network`, `prod/*`, `tag:eu and not tag:db`, `--failed`, `--except a,b`; without it, all. One command per line, at its start; `tp` is short for `terraplane`. Code blocks, quotes and edited comments are ignored.
    "#);
}

#[test]
fn an_unknown_verb() {
    let unknown = |word: &str, meant| Say::UnknownVerb { to: login("sam"), word: word.into(), meant };
    assert_snapshot!(say(&unknown("aply", Meant::Verb(Verb::Apply))), @r#"
    <!-- terraplane:reply 77-1 -->
    `@sam`: `terraplane aply` is no command. Did you mean `terraplane apply`?

    All commands: `terraplane help`
    "#);
    assert_snapshot!(say(&unknown("import", Meant::Instead("write an `import` block"))), @r"
    <!-- terraplane:reply 77-1 -->
    `@sam`: `terraplane import` is no command. Instead: write an `import` block.

    All commands: `terraplane help`
    ");
}

#[test]
fn a_command_that_was_refused() {
    let missing = |project: Option<&str>, what: &str| Missing {
        project: project.map(|name| name.parse().unwrap()),
        what: what.into(),
    };
    let missing = vec![
        missing(None, "`apply` needs the role `write` in this repository, and you have `read`"),
        missing(Some("prod/network"), "nobody who may write has approved `8888888` (ask @lee, see #12)"),
        missing(Some("prod/dns"), "nobody who may write has approved `8888888` (ask @lee, see #12)"),
    ];
    let comment = say(&Say::Refused { to: login("sam"), verb: Verb::Apply, missing }).replace('\u{200b}', "ZWSP ");
    assert_snapshot!(comment, @r#"
    <!-- terraplane:reply 77-1 -->
    ### 🚫 `@sam`: `terraplane apply` was not carried out

    - `apply` needs the role `write` in this repository, and you have `read`
    - `prod/network`, `prod/dns`: nobody who may write has approved `8888888` (ask &#64;ZWSP lee, see &#35;ZWSP 12)
    "#);
}

#[test]
fn a_merge_that_did_not_apply() {
    let what = "it needs an approval by somebody with write permission who is not the author".to_owned();
    let missing = vec![Missing { project: Some("prod/network".parse().unwrap()), what }];
    assert_snapshot!(say(&Say::MergedNotApplied { by: login("ana"), missing }), @r#"
    <!-- terraplane:reply 77-1 -->
    ### ⏸️ Merged by `@ana`, and not applied

    - `prod/network`: it needs an approval by somebody with write permission who is not the author

    Once somebody with write permission who is not the author has read the plan: `terraplane approve`
    "#);
}

#[test]
fn a_command_that_named_no_project() {
    let (selector, projects) = (vec!["prod/netwrok".into()], names(&["prod/network", "prod/dns"]));
    assert_snapshot!(say(&Say::NothingMatched { to: login("sam"), verb: Verb::Apply, selector, projects }), @r#"
    <!-- terraplane:reply 77-1 -->
    ### `@sam`: `terraplane apply` matched no project

    `prod/netwrok` names nothing that this pull request concerns.

    Its projects: `prod/network`, `prod/dns`
    "#);
}

#[test]
fn unlocked() {
    assert_snapshot!(say(&Say::Unlocked { by: login("ana"), projects: names(&["prod/network"]), of: None, reason: None }), @r"
    <!-- terraplane:reply 77-1 -->
    ### 🔓 Unlocked by `@ana`

    - `prod/network`

    Other pull requests may change it now. What this one has applied already stays as it is.
    ");
}

#[test]
fn locks_freezes_and_reasons() {
    let by = login("ana");
    let reason = Some("he is ill".to_owned());
    let of = Some("github.com/acme/infra#198".parse().unwrap());
    let projects = || names(&["prod/network"]);
    let freeze = Freeze {
        selector: Selector::any_of(["prod/*"]),
        by: by.clone(),
        since: Timestamp(0),
        until: Some(Timestamp(1_796_115_600_000)),
        reason: Some("change freeze".into()),
    };
    let everything = Freeze { selector: Selector::default(), until: None, reason: None, ..freeze.clone() };
    let held = |project: &str, taken_by: Option<Login>| Held {
        project: project.into(),
        by: "github.com/acme/infra#198".parse().unwrap(),
        since: Timestamp(1_796_115_600_000),
        applied: taken_by.is_none(),
        reason: taken_by.as_ref().map(|_| "migration".to_owned()),
        taken_by,
        waiting: vec!["github.com/acme/infra#205".parse().unwrap(), pull().id],
    };
    let freezes = || vec![freeze.clone(), everything.clone()];
    let said = [
        Say::Unlocked { by: by.clone(), projects: projects(), of, reason: reason.clone() },
        Say::Locked { by: by.clone(), projects: projects(), reason },
        Say::Cancelling { by: by.clone(), projects: projects() },
        Say::Frozen(freeze.clone()),
        Say::Frozen(everything.clone()),
        Say::Thawed { by: by.clone(), freezes: freezes() },
        Say::Locks {
            to: by.clone(),
            held: vec![held("prod/network", None), held("prod/db", Some(by.clone()))],
            freezes: freezes(),
        },
        Say::Locks { to: by, held: vec![], freezes: vec![] },
        Say::NotMerged { why: "merging acme/infra#214: GitHub answered 405".into() },
    ];
    let all: Vec<String> = said.iter().map(|one| say(one).replace("<!-- terraplane:reply 77-1 -->\n", "")).collect();
    assert_snapshot!(all.join("\n").replace('\u{200b}', ""), @r"
    ### 🔓 Unlocked by `@ana`, from `#198`

    - `prod/network`

    Reason: he is ill

    Other pull requests may change it now. What `#198` has applied already stays as it is.

    ### 🔒 Held for this pull request by `@ana`

    - `prod/network`

    Reason: he is ill

    Others plan, and wait with their applies. To let go: `terraplane unlock`

    ### 🛑 Stopped by `@ana`

    - `prod/network`

    What was already running is told to stop in order, and says how far it came.

    ### ❄️ `prod/*` is frozen by `@ana` until 2026-12-01 09:00 UTC

    Reason: change freeze

    Nothing of it is applied meanwhile in this repository; plans go on, and what is merged or asked for waits. To end it: `terraplane thaw prod/*`

    ### ❄️ Everything is frozen by `@ana`

    Nothing of it is applied meanwhile in this repository; plans go on, and what is merged or asked for waits. To end it: `terraplane thaw`

    ### 🌤️ Thawed by `@ana`

    - `prod/*`, frozen by `@ana` at 1970-01-01 00:00 UTC
    - everything, frozen by `@ana` at 1970-01-01 00:00 UTC

    What had to wait goes on by itself.

    ### terraplane · locks

    | Project | Held by | Since | Waiting |
    |---|---|---|---|
    | `prod/network` | `#198`, applied and not merged | 2026-12-01 09:00 UTC | `#205`, `#214` |
    | `prod/db` | `#198`, taken by `@ana`: migration | 2026-12-01 09:00 UTC | `#205`, `#214` |

    Frozen:

    - `prod/*` by `@ana` since 1970-01-01 00:00 UTC, until 2026-12-01 09:00 UTC: change freeze
    - everything by `@ana` since 1970-01-01 00:00 UTC

    ### terraplane · locks

    Nothing is held.

    ### ⚠️ Everything is applied, and the pull request was not merged

    merging acme/infra&#35;214: GitHub answered 405
    ");
}

#[test]
fn why() {
    let because = Because {
        project: "prod/network".parse().unwrap(),
        reason: "`modules/vpc/main.tf` changed".into(),
        rules: vec!["applied by the merge".into(), "an apply requires `approved by 2`".into()],
        missing: vec!["it needs 2 approvals".into()],
    };
    assert_snapshot!(say(&Say::Why { to: login("ana"), projects: vec![because] }), @r"
    <!-- terraplane:reply 77-1 -->
    ### terraplane · why

    **`prod/network`**: `modules/vpc/main.tf` changed

    - applied by the merge
    - an apply requires `approved by 2`
    - ❌ it needs 2 approvals
    ");
}

#[test]
fn a_plan_that_does_nothing_any_more_is_not_the_approved_one() {
    let (mut emptied, plain) = (unchanged(3, "prod/network"), unchanged(4, "prod/dns"));
    approved_by_kim(&mut emptied);
    let views = HashMap::from([(run_id(2), network_view()), (run_id(3), PlanView::default())]);
    let text = live(&state(vec![emptied, plain]), &views).replace('\u{200b}', "");
    assert_snapshot!(text.split("<sub>`").next().unwrap(), @r#"
    <!-- terraplane:live -->
    ### terraplane · 2 projects · 2 unchanged

    | | Project | + | ~ | ± | − | |
    |---|---|--:|--:|--:|--:|---|
    | ⚪ | [`prod/network`](https://tp/runs/3) |  |  |  |  | not the plan that `kim` approved |

    <details><summary>1 unchanged</summary>

    `prod/dns`

    </details>

    <details><summary><b><a href="https://tp/runs/3"><code>prod/network</code></a></b> · 18 s · because <code>prod/network/main.tf</code> changed</summary>

    **Changed since the plan that `kim` approved** (`p_05fe3b17`):

    ```diff
    - aws_route_table_association.private["c"]  create  (only in the reviewed plan)
    - aws_security_group_rule.legacy_ssh  destroy  (only in the reviewed plan)
    - aws_subnet.private["c"]  create  (only in the reviewed plan)
    - aws_vpc.main  update  (only in the reviewed plan)
    - output.subnet_ids  update  (only in the reviewed plan)
    ```

    It changes nothing now.

    <sub>12 unchanged</sub>

    </details>
    "#);
}

#[test]
fn what_people_should_know_before_they_act_stands_above_the_plans() {
    let (network, views) = network();
    let mut state = state(vec![network]);
    let affected = state.record.affected.as_mut().unwrap();
    affected.config_changes = (0..12).map(|n| format!("`a{n}` becomes a project")).collect();
    affected.grants = vec!["`prod`: who may `apply`: `team:sre` → `user:sam`".into()];
    affected.held_back = Some("the base branch `release` is not among `branches`".into());
    state.projects[0].plan.as_mut().unwrap().extra = vec!["-target=module.a".into()];
    state.around.freezes = vec![Freeze {
        selector: Selector::default(),
        by: login("ana"),
        since: Timestamp(0),
        until: None,
        reason: Some("change freeze".into()),
    }];
    state.around.overlaps = vec![Overlap {
        project: state.projects[0].project.key.clone(),
        pull: "github.com/acme/infra#198".parse().unwrap(),
        addresses: vec!["aws_vpc.main".into()],
    }];
    let text = live(&state, &views).replace('\u{200b}', "");
    assert_snapshot!(text.split("<details").next().unwrap(), @r"
    <!-- terraplane:live -->
    ### terraplane · plan ready · `prod/network` · +2 ~1 −1, 1 output

    > [!CAUTION]
    > **1 resource will be destroyed**
    > - `aws_security_group_rule.legacy_ssh`

    > [!WARNING]
    > Nothing of this is applied: the base branch `release` is not among `branches`

    > [!WARNING]
    > frozen by `@ana`: change freeze. What is merged or asked for meanwhile waits.

    > [!WARNING]
    > `prod/network` was planned with `-target=module.a`

    > [!WARNING]
    > `#198` changes the same in `prod/network`: `aws_vpc.main`

    > [!WARNING]
    > Merging this changes the rules:
    > - `prod`: who may `apply`: `team:sre` → `user:sam`
    > - `a0` becomes a project
    > - `a1` becomes a project
    > - `a2` becomes a project
    > - `a3` becomes a project
    > - `a4` becomes a project
    > - `a5` becomes a project
    > - `a6` becomes a project
    > - `a7` becomes a project
    > - `a8` becomes a project
    > - `a9` becomes a project
    > - and 2 more
    ");
}

#[test]
fn an_apply_that_waits() {
    let projects = vec![
        ("prod/network".parse().unwrap(), Hold::Lock("github.com/acme/infra#198".parse().unwrap())),
        ("prod/dns".parse().unwrap(), Hold::Lock("github.com/acme/other#3".parse().unwrap())),
    ];
    assert_snapshot!(say(&Say::Waiting { to: login("ana"), projects }), @r#"
    <!-- terraplane:reply 77-1 -->
    ### ⏳ `@ana`: the apply waits

    - `prod/network` is held by `#198`
    - `prod/dns` is held by `github.com/acme/other#3`

    It goes on by itself as soon as the project is free; the live comment shows the place in the queue. Before the merge, a newer push calls it off.
    "#);
}

#[test]
fn the_result_of_applies_is_no_answer() {
    let (pull, server) = (pull(), server());
    let input = SayInput { pull: &pull, key: "k", server: &server, limit: COMMENT_LIMIT };
    assert_eq!(RENDERER.say(&Say::ApplyResult { batch: run_id(1) }, &input), None);
}

#[test]
fn a_key_cannot_end_its_marker() {
    assert_eq!(reply_marker("terraplane", "4 --> b"), "<!-- terraplane:reply 4_____b -->");
}

#[test]
fn the_merge_queues_plan_is_not_the_reviewed_one() {
    assert_snapshot!(say(&not_as_reviewed()), @r#"
    <!-- terraplane:reply 77-1 -->
    ### ⚠️ The merge queue's plan is not the reviewed one

    At `9999999`, which the queue would merge:

    **`prod/network`** · compared with the reviewed plan · [its plan](https://tp/runs/9)

    ```diff
    - aws_route_table_association.private["c"]  create  (only in the reviewed plan)
    - aws_security_group_rule.legacy_ssh  destroy  (only in the reviewed plan)
    + aws_subnet.private["d"]  create  (only in the new plan)
    +   cidr: "10.0.4.0/24"
    ! aws_vpc.main  update
    -   tags.Owner: "net" -> "platform"
    +   tags.Owner: "net" -> "core"
    ```

    **`prod/db`** · compared with the reviewed plan · [its plan](https://tp/runs/10)

    What differs can't be shown: a sensitive value, or the code behind a value that is only known after the apply.

    **`prod/iam`** · it could not be planned: `terraform plan` failed · [its plan](https://tp/runs/11)

    **`prod/dns`** · what the rules ask for before a plan is not there

    Nothing of this was merged. What others change is applied after their merge; then this pull request is planned again by itself, the live comment shows the new plan, and it can go into the queue again. To plan it now: `terraplane plan`
    "#);
}

#[test]
fn what_the_merge_queue_would_merge_cannot_be_planned() {
    let errors = "error: unknown key `aply` in `rules`\n --> terraplane.yaml:14:5\n".into();
    let unplanned = |problem| say(&Say::QueueUnplanned { commit: sha('9'), problem });
    assert_snapshot!(unplanned(Problem::Configuration { errors }), @r"
    <!-- terraplane:reply 77-1 -->
    ### ⚠️ What the merge queue would merge can't be planned

    At `9999999`, which the queue would merge: `terraplane.yaml` can't be used.

    ```text
    error: unknown key `aply` in `rules`
     --> terraplane.yaml:14:5
    ```

    Nothing of this was merged. When that is mended, the pull request can go into the queue again.
    ");
    let told = unplanned(Problem::Fork);
    assert!(told.contains("merge: pull requests from forks are refused.\n\nNothing"), "{told}");
}
