//! A comment never fails for its size; what matters most is never what is left out.

use super::*;

fn wide_view(resources: usize, value_length: usize) -> PlanView {
    let long = serde_json::Value::from("v".repeat(value_length)).to_string();
    let resources = (0..resources).map(|i| {
        let attributes = [("input", Shown::Absent, value(&long)), ("id", Shown::Absent, Shown::Unknown)];
        resource(&format!("terraform_data.number[{i}]"), Action::Create, &attributes)
    });
    PlanView { resources: resources.collect(), outputs: Vec::new(), ..PlanView::default() }
}

fn many(projects: usize, resources: usize) -> (PullState, Views) {
    let mut views = Views::new();
    let all = (0..projects).map(|i| {
        let project = project(&format!("stage/service-{i:03}"));
        let plan = plan_run(1 + i as u128, &project, PlanSummary { add: resources, ..PlanSummary::default() });
        views.insert(plan.id, wide_view(resources, 80));
        standing(&project, Some(plan), None)
    });
    let all = all.collect();
    (state(all), views)
}

#[test]
fn one_large_plan_names_every_resource_and_shows_as_many_attributes_as_fit() {
    let (state, views) = many(1, 600);
    let comment = live(&state, &views);
    assert!(comment.chars().count() <= COMMENT_LIMIT);
    assert!(comment.chars().count() > COMMENT_LIMIT - 4000, "room was left: {}", comment.chars().count());
    assert_eq!(comment.matches("+ terraform_data.number[").count(), 600);
    assert!(comment.contains("shown without attributes · [the log](https://tp/runs/1) has all of it"));
}

#[test]
fn a_plan_that_is_too_large_to_be_named_is_counted() {
    let (state, views) = many(1, 20_000);
    let comment = live(&state, &views);
    assert!(comment.chars().count() <= COMMENT_LIMIT);
    assert!(comment.contains("### terraplane · plan ready · `stage/service-000` · +20000"));
    assert!(comment.contains("more not shown"));
}

#[test]
fn each_of_five_hundred_projects_has_its_row() {
    let (state, views) = many(500, 3);
    let comment = live(&state, &views);
    assert!(comment.chars().count() <= COMMENT_LIMIT);
    for i in 0..500 {
        assert!(comment.contains(&format!("`stage/service-{i:03}`")), "{i}");
    }
    assert!(comment.contains("more did not fit here; the run pages have them"));
}

#[test]
fn failures_and_destroys_come_before_everything_else_that_must_fit() {
    let (mut state, mut views) = many(300, 40);
    let (network, network_views) = network();
    let renumber = |mut project: ProjectState| {
        project.plan.as_mut().unwrap().id = run_id(9001);
        project
    };
    views.insert(run_id(9001), network_views.into_values().next().unwrap());
    state.projects.push(renumber(network));
    state.projects.push(failed_plan(9002, "prod/iam"));
    let comment = live(&state, &views);
    assert!(comment.chars().count() <= COMMENT_LIMIT);
    let at = |text: &str| comment.find(text).unwrap_or_else(|| panic!("{text} in {comment}"));
    assert!(at("> - `prod/network`: `aws_security_group_rule.legacy_ssh`") < at("| ❌ | [`prod/iam`]"));
    assert!(at("| ❌ | [`prod/iam`]") < at("| 🔴 | [`prod/network`]"));
    assert!(at("no such provider alias") < at("- aws_security_group_rule.legacy_ssh"));
    assert!(at("- aws_security_group_rule.legacy_ssh") < at("+ terraform_data.number[0]"));
}

#[test]
fn the_end_of_a_long_output_is_kept() {
    let mut failed = failed_plan(2, "prod/iam");
    let Some(Outcome::Failed(failure)) = &mut failed.plan.as_mut().unwrap().outcome else { panic!() };
    failure.output = format!("{}the last line", "a line of no interest\n".repeat(5000));
    let comment = live(&state(vec![failed]), &Views::new());
    assert!(comment.contains("\nthe last line\n```"), "{comment}");
    assert!(comment.contains("characters before this are only in [the log](https://tp/runs/2)"));
}

#[test]
fn the_worst_names_and_addresses_still_fit() {
    let bad = "&".repeat(190);
    let mut all = Vec::new();
    for i in 0..20u32 {
        let mut project = project("p");
        project.name = format!("{bad}{i}").parse().unwrap();
        project.reason = "<".repeat(5000);
        project.state = if i % 2 == 0 { StateKind::Nowhere } else { StateKind::Remote };
        let destroyed = vec!["<".repeat(5000); 3];
        let plan = plan_run(u128::from(i), &project, PlanSummary { destroy: 3, destroyed, ..PlanSummary::default() });
        let outcome = (i % 3 == 0).then(half_applied).unwrap_or_else(|| differs(&bad, PlanSummary::default()));
        let state = if i % 3 == 0 { RunState::Failed } else { RunState::Differs };
        let apply = (i < 6).then(|| apply_run(100 + u128::from(i), &plan, state, Some(outcome)));
        all.push(standing(&project, Some(plan), apply));
    }
    let comment = live(&merged_state(all), &Views::new());
    assert!(comment.chars().count() <= COMMENT_LIMIT, "{}", comment.chars().count());
    assert!(comment.contains("resources will be destroyed"));

    let one = |i| Missing { project: Some(bad.parse().unwrap()), what: format!("{}{i}", "@".repeat(5000)) };
    let missing = (0..100).map(one).collect();
    let answer = say(&Say::Refused { to: login("sam"), verb: Verb::Apply, missing });
    assert!(answer.chars().count() <= COMMENT_LIMIT, "{}", answer.chars().count());
    assert!(answer.contains("- and 90 more"), "{answer}");
}

#[test]
fn the_result_of_five_hundred_applies_names_the_failures_first() {
    let runs: Vec<Run> = (0..500u32)
        .map(|i| {
            let plan = plan_run(u128::from(i), &project(&format!("stage/service-{i:03}")), PlanSummary::default());
            let (state, outcome) = if i % 10 == 0 {
                (RunState::Failed, half_applied())
            } else {
                (RunState::Succeeded, applied(&[], true))
            };
            apply_run(1000 + u128::from(i), &plan, state, Some(outcome))
        })
        .collect();
    let comment = result(&runs, &Views::new());
    assert!(comment.chars().count() <= COMMENT_LIMIT, "{}", comment.chars().count());
    assert!(comment.contains("### ❌ Apply failed in 50 of 500 projects · 450 applied"), "{comment}");
    for i in (0..500).step_by(10) {
        assert!(comment.contains(&format!("`stage/service-{i:03}`")), "{i}");
    }
}

#[test]
fn five_hundred_projects_take_no_time() {
    let (state, views) = many(500, 3);
    live(&state, &views);
    let started = std::time::Instant::now();
    live(&state, &views);
    // Without optimisation and on a busy machine; `make bench` has the figure that counts, which is under 50 ms.
    assert!(started.elapsed().as_millis() < 3000, "{:?}", started.elapsed());
}

#[test]
fn a_forge_that_takes_less_gets_less() {
    let (state, views) = many(300, 5);
    let server = server();
    for limit in [20_000, 60_000, 1_000_000] {
        let comment = RENDERER.live(&LiveInput { limit, ..live_input(&state, &views, &server) });
        let length = comment.chars().count();
        assert!(length <= limit.min(COMMENT_LIMIT) && length > limit.min(COMMENT_LIMIT) / 2, "{limit}: {length}");
    }
}

#[test]
fn what_did_not_fit_is_named_with_a_link() {
    let (state, views) = many(60, 200);
    let comment = live(&state, &views);
    let note = comment.lines().find(|line| line.contains("did not fit here")).unwrap_or_else(|| panic!("{comment}"));
    assert!(note.contains("the run pages have them: [`stage/service-0"), "{note}");
}
