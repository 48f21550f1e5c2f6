//! The live comment of a pull request with five hundred projects: from what the store and the archive gave to Markdown.

use crate::Effort;
use crate::table::{Samples, goal, ms, row, title};
use anyhow::anyhow;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use terraplane::cli::render::{Example, Saved};
use terraplane::render::{COMMENT_LIMIT, Renderer};

const PROJECTS: usize = 500;
const GOAL: Duration = Duration::from_millis(50);

/// Ten resources, of which one is replaced, one destroyed, and the others changed.
fn plan(project: usize) -> Value {
    let resources: Vec<Value> = (0..10)
        .map(|n| {
            let actions = match n {
                0 => json!(["delete", "create"]),
                1 => json!(["delete"]),
                _ => json!(["update"]),
            };
            let side = |version: usize| json!({"name": format!("service-{n}"), "version": version, "tags": {"Owner": "net", "Project": project}});
            json!({
                "address": format!("module.service.aws_instance.web[{n}]"),
                "type": "aws_instance",
                "change": {"actions": actions, "before": side(1), "after": if n == 1 { Value::Null } else { side(2) }},
            })
        })
        .collect();
    json!({"format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": resources})
}

pub(crate) fn report(effort: Effort) -> anyhow::Result<()> {
    let files = (0..PROJECTS)
        .map(|n| (format!("prod/service-{n:03}"), Saved::Plan(plan(n).to_string().into_bytes())))
        .collect::<BTreeMap<_, _>>();
    let example = Example::of(files)?.map_err(|problem| anyhow!(problem))?;
    let renderer = Renderer::new();
    let mut samples = Samples::default();
    for _ in 0..effort.rounds {
        let started = Instant::now();
        let comment = example.comment(&renderer, COMMENT_LIMIT);
        samples.add(started.elapsed());
        anyhow::ensure!(comment.contains("prod/service-499"), "a project is missing");
    }
    title(&format!("The live comment of {PROJECTS} projects, median of {}", samples.len()));
    let median = samples.median();
    row("rendering it", &ms(median), &goal(median < GOAL, "under 50 ms"));
    Ok(())
}
