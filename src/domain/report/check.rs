//! Checks, where a forge has more than statuses: the same verdicts, with annotations at the lines that Terraform found
//! wrong, and with buttons for what would work now.

use super::hint::{Hint, hints};
use super::live::mark;
use super::queue::queue_checks;
use super::standing::current_apply;
use super::status::{Status, shortened, statuses};
use crate::domain::command::Verb;
use crate::domain::decide::{Problem, ProjectState, PullState};
use crate::domain::project::Project;
use crate::domain::run::{Outcome, Run};
use serde::Serialize;
use std::path::{Component, Path, PathBuf};

/// As many annotations as GitHub takes at once.
const MOST_ANNOTATIONS: usize = 50;

/// Characters of an annotation's message; GitHub takes 64 KB.
const MESSAGE_LIMIT: usize = 4000;

/// Characters of an annotation's title; GitHub takes 255.
const TITLE_LIMIT: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub status: Status,
    /// At most three.
    pub buttons: Vec<Button>,
    pub annotations: Vec<Annotation>,
    /// It is about a commit of a merge queue.
    pub of_queue: bool,
}

/// Something that a person can ask for by a click. All of its texts are within GitHub's limits: 20, 40 and 20 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Button {
    pub label: &'static str,
    pub description: &'static str,
    /// The command; of `apply` with the [`mark`] of what stands beside the button: `apply:0123456789ab`.
    pub identifier: String,
}

/// A remark at a line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Annotation {
    /// From the repository's root.
    pub path: String,
    /// From 1.
    pub line: u64,
    pub title: String,
    pub message: String,
}

/// [`statuses`], as checks, and those of what is in a merge queue.
#[must_use]
pub fn checks(state: &PullState, name: &str) -> Vec<Check> {
    let plan = annotations(state, |project| project.plan.as_ref());
    let apply = annotations(state, |project| current_apply(state, project));
    let plan_context = format!("{name}/plan");
    let with = |status: Status| Check {
        buttons: buttons(state, name),
        annotations: if status.context == plan_context { plan.clone() } else { apply.clone() },
        of_queue: false,
        status,
    };
    let own = statuses(state, name).into_iter().map(with);
    own.chain(queue_checks(state, name)).collect()
}

/// What works as it is, for everything at once: a button can name no projects.
fn buttons(state: &PullState, name: &str) -> Vec<Button> {
    let offered = hints(state, name);
    let bare = |verb: Verb| format!("{name} {}", verb.as_str());
    let button = |verb: Verb, label, description| Button { label, description, identifier: verb.as_str().to_owned() };
    let mut buttons = Vec::new();
    let apply = |hint: &Hint| match hint {
        Hint::Apply { command, .. } | Hint::Retry { command, .. } => *command == bare(Verb::Apply),
        _ => false,
    };
    if offered.iter().any(apply) {
        let identifier = format!("apply:{}", mark(state));
        buttons.push(Button { label: "Apply", description: "Applies the plans that are shown", identifier });
    }
    let vouched = !matches!(state.record.problem, Some(Problem::Fork | Problem::ForkWaits { .. }));
    if state.pull().is_open() && vouched {
        buttons.push(button(Verb::Plan, "Re-plan", "Plans everything again"));
    }
    if offered.iter().any(|hint| matches!(hint, Hint::Unlock { command } if *command == bare(Verb::Unlock))) {
        buttons.push(button(Verb::Unlock, "Unlock", "Gives up and lets others change it"));
    }
    buttons
}

/// What Terraform found wrong, where it said in which line.
fn annotations<'a>(state: &'a PullState, run: impl Fn(&'a ProjectState) -> Option<&'a Run>) -> Vec<Annotation> {
    annotations_of(state.projects.iter().map(|project| (&project.project, run(project))))
}

pub(super) fn annotations_of<'a>(runs: impl Iterator<Item = (&'a Project, Option<&'a Run>)>) -> Vec<Annotation> {
    let mut all: Vec<Annotation> = Vec::new();
    for (project, run) in runs {
        let Some(Outcome::Failed(failure)) = run.and_then(|run| run.outcome.as_ref()) else { continue };
        for diagnostic in &failure.diagnostics {
            let Some((file, line)) = &diagnostic.place else { continue };
            let Some(path) = in_repository(project.key.dir.as_str(), file) else { continue };
            let message = if diagnostic.detail.is_empty() { &diagnostic.summary } else { &diagnostic.detail };
            let annotation = Annotation {
                path,
                line: (*line).max(1),
                title: cut(&format!("{}: {}", project.name, diagnostic.summary), TITLE_LIMIT),
                message: cut(message, MESSAGE_LIMIT),
            };
            // Two projects may use the same module.
            if !all.iter().any(|known| known.path == annotation.path && known.line == annotation.line) {
                all.push(annotation);
            }
        }
    }
    all.truncate(MOST_ANNOTATIONS);
    all
}

/// `../modules/vpc/main.tf`, seen from `prod/network`, is `prod/modules/vpc/main.tf`. `None`: it is outside, or in what
/// `init` fetched.
fn in_repository(dir: &str, file: &str) -> Option<String> {
    let mut path = PathBuf::new();
    for component in Path::new(dir).join(file).components() {
        match component {
            Component::Normal(name) if name == ".terraform" => return None,
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => path.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    let path = path.to_str()?;
    (!path.is_empty()).then(|| path.to_owned())
}

fn cut(text: &str, limit: usize) -> String {
    shortened(text.chars().filter(|c| *c == '\n' || !c.is_control()).collect(), limit)
}

#[cfg(test)]
mod tests {
    use super::in_repository;

    #[test]
    fn a_line_of_a_module_is_found_from_the_repositorys_root() {
        for (dir, file, path) in [
            ("prod", "main.tf", Some("prod/main.tf")),
            ("prod/network", "../../modules/vpc/main.tf", Some("modules/vpc/main.tf")),
            (".", "main.tf", Some("main.tf")),
            ("prod", "../../etc/passwd", None),
            ("prod", "/etc/passwd", None),
            ("prod", ".terraform/modules/vpc/main.tf", None),
        ] {
            assert_eq!(in_repository(dir, file).as_deref(), path, "{dir} {file}");
        }
    }
}
