//! `terraplane render`: the comment for a folder of saved plans, so that templates can be worked on without a server.

use crate::domain::decide::{Affected, AffectedProject, Around, ProjectState, PullRecord, PullState};
use crate::domain::fingerprint::{FingerprintContext, fingerprint, shape};
use crate::domain::id::{Login, ProjectKey, PullId, RunId, Timestamp};
use crate::domain::plan;
use crate::domain::project::{Project, Target};
use crate::domain::pull::{Phase, Pull};
use crate::domain::report::{LiveInput, Server, Views};
use crate::domain::requirement::Requirement;
use crate::domain::run::{Failure, Outcome, PlanIdentity, Planned, Run, RunState, StateMark, Step, Work};
use crate::domain::sandbox::Level;
use crate::render::Renderer;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use uuid::Uuid;

#[cfg(test)]
mod tests;

/// Fingerprints of plans that nobody applies.
const KEY: [u8; 32] = [0; 32];

/// Prints the live comment. The exit code: 0; 2 if a file is no plan, a template can't be used, or there is nothing.
///
/// # Errors
/// When the output cannot be written, or the folder cannot be read.
pub fn render(dir: &Path, templates: Option<&Path>, limit: usize, out: &mut dyn Write) -> anyhow::Result<u8> {
    let mut files = BTreeMap::new();
    walk(dir, "", &mut files).with_context(|| format!("reading {}", dir.display()))?;
    if files.is_empty() {
        writeln!(out, "there is neither a plan (`NAME.json`) nor an error (`NAME.txt`) in {}", dir.display())?;
        return Ok(2);
    }
    let renderer = match templates {
        None => Renderer::new(),
        Some(templates) => {
            let (renderer, wrong) = Renderer::with_templates(templates);
            if !wrong.is_empty() {
                writeln!(out, "{}", wrong.join("\n"))?;
                return Ok(2);
            }
            renderer
        }
    };
    match Example::of(files)? {
        Ok(example) => write!(out, "{}", example.comment(&renderer, limit))?,
        Err(problem) => {
            writeln!(out, "{problem}")?;
            return Ok(2);
        }
    }
    Ok(0)
}

/// A pull request that nobody opened, with these projects.
#[derive(Debug)]
pub struct Example {
    state: PullState,
    views: Views,
}

impl Example {
    /// By the names of the projects; or what is wrong with one of them.
    ///
    /// # Errors
    /// Never, as long as the example's own names are valid.
    pub fn of(files: BTreeMap<String, Saved>) -> anyhow::Result<Result<Self, String>> {
        let (mut projects, mut views) = (Vec::new(), Views::new());
        for (number, (name, saved)) in files.into_iter().enumerate() {
            let run_id = RunId(Uuid::from_u128(number as u128 + 1));
            let outcome = match saved {
                Saved::Plan(json) => match plan::read(&json) {
                    Ok(facts) => {
                        let planned = planned(&facts);
                        views.insert(run_id, facts.view);
                        Outcome::Planned(planned)
                    }
                    Err(error) => return Ok(Err(format!("{name}.json: {error}"))),
                },
                Saved::Error(output) => Outcome::Failed(Failure {
                    step: Step::Plan,
                    message: "`terraform plan` failed with exit code 1.".into(),
                    output,
                    diagnostics: Box::default(),
                    done: vec![],
                    not_done: vec![],
                    changed_something: false,
                }),
            };
            let Some(project) = project(&name) else {
                return Ok(Err(format!("`{name}` can't be the name of a project")));
            };
            let plan = Some(run(run_id, &project, outcome)?);
            let target = Some(target()?);
            let (apply, lock, shown) = (None, None, Vec::new());
            projects.push(ProjectState { project, target, plan, apply, lock, queue_position: 0, shown });
        }
        Ok(Ok(Self { state: state(projects)?, views }))
    }

    /// Its live comment, in so many characters.
    #[must_use]
    pub fn comment(&self, renderer: &Renderer, limit: usize) -> String {
        let server = Server { name: "terraplane".into(), level: Level::Full };
        let run_url = |run: RunId| format!("https://terraplane.example.com/runs/{run}");
        let (state, views) = (&self.state, &self.views);
        renderer.live(&LiveInput { state, views, server: &server, run_url: &run_url, now: Timestamp(0), limit })
    }
}

/// What a file of the folder holds.
#[derive(Debug)]
pub enum Saved {
    /// What `terraform show -json` printed.
    Plan(Vec<u8>),
    /// The output of a plan that failed.
    Error(String),
}

/// By the project's name. Links are not followed, so that it ends.
fn walk(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Saved>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &format!("{prefix}{name}/"), files)?;
        } else if let Some(name) = name.strip_suffix(".json") {
            files.insert(format!("{prefix}{name}"), Saved::Plan(fs::read(entry.path())?));
        } else if let Some(name) = name.strip_suffix(".txt") {
            let text = String::from_utf8_lossy(&fs::read(entry.path())?).into_owned();
            files.insert(format!("{prefix}{name}"), Saved::Error(text));
        }
    }
    Ok(())
}

fn planned(facts: &plan::PlanFacts) -> Planned {
    let workspace = crate::domain::id::Workspace::default();
    let context = FingerprintContext { workspace: &workspace, backend: "", inputs: "" };
    let mut summary = facts.summary.clone();
    summary.shape = Some(shape(&facts.raw, &KEY));
    let version = facts.raw["terraform_version"].as_str().unwrap_or("?");
    Planned {
        summary,
        fingerprint: fingerprint(&facts.raw, &context, &KEY),
        identity: PlanIdentity {
            terraform: format!("terraform {version}"),
            workspace: workspace.to_string(),
            workflow: String::new(),
            state_address: None,
            state: StateMark { lineage: String::new(), serial: 0 },
        },
        tree: "0".repeat(40).parse().expect("40 zeros are an object's id"),
        inputs: String::new(),
        touched: Vec::new(),
    }
}

fn project(name: &str) -> Option<Project> {
    Some(Project {
        require: vec![Requirement::APPROVED, Requirement::Mergeable],
        reason: format!("`{name}/main.tf` changed"),
        ..Project::new(name.parse::<ProjectKey>().ok()?, name.parse().ok()?)
    })
}

fn target() -> anyhow::Result<Target> {
    let head = "8f3c1d2".to_owned() + &"0".repeat(33);
    let base = "a91e004".to_owned() + &"0".repeat(33);
    Ok(Target { head: head.parse()?, base: base.parse()?, tree: "0".repeat(40).parse()?, inputs: String::new() })
}

fn run(id: RunId, project: &Project, outcome: Outcome) -> anyhow::Result<Run> {
    let failed = matches!(outcome, Outcome::Failed(_));
    Ok(Run {
        id,
        pull: pull_id()?,
        project: project.clone(),
        target: target()?,
        work: Work::Plan,
        extra: Vec::new(),
        resumed_at: None,
        batch: None,
        state: if failed { RunState::Failed } else { RunState::Succeeded },
        created_at: Timestamp(0),
        started_at: Some(Timestamp(0)),
        finished_at: Some(Timestamp(18_000)),
        level: Some(Level::Full),
        network: None,
        blocked: Vec::new(),
        cancelled_by: None,
        left: None,
        outcome: Some(outcome),
    })
}

fn pull_id() -> anyhow::Result<PullId> {
    Ok("github.com/acme/infra#214".parse()?)
}

fn state(projects: Vec<ProjectState>) -> anyhow::Result<PullState> {
    let Target { head, base, tree, .. } = target()?;
    let affected = projects
        .iter()
        .map(|state| AffectedProject { project: state.project.clone(), inputs: String::new() })
        .collect();
    let pull = Pull {
        id: pull_id()?,
        title: "An example".into(),
        html_url: "https://github.com/acme/infra/pull/214".into(),
        author: "sam".parse::<Login>()?,
        head: head.clone(),
        head_branch: "example".into(),
        fork: false,
        base_branch: "main".parse()?,
        base: base.clone(),
        draft: false,
        phase: Phase::Open,
        updated_at: Timestamp(0),
    };
    let affected = Affected {
        head,
        base,
        tree,
        projects: affected,
        grants: Vec::new(),
        config_changes: Vec::new(),
        held_back: None,
    };
    let record = PullRecord { pull, affected: Some(affected), problem: None };
    Ok(PullState { record, projects, unfinished: Vec::new(), queued: Vec::new(), around: Around::default() })
}
