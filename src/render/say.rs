//! Answers to commands.

use super::engine::Engine;
use super::live::length;
use super::{COMMENT_LIMIT, SayInput};
use crate::domain::decide::{Missing, Say};
use crate::domain::id::ProjectName;
use crate::domain::report::pull_text;
use minijinja::{Error, Value, context};

/// Entries of one list; the smaller numbers are for entries so long that the comment would be.
const LISTED: [usize; 3] = [40, 10, 3];

/// `None`: this is no answer but the result of applies.
pub(super) fn render(engine: &Engine, marker: &str, say: &Say, input: &SayInput<'_>) -> Option<Result<String, Error>> {
    let mut rendered = None;
    for listed in LISTED {
        let name = input.server.name.as_str();
        let values = values(say, input, listed)?;
        rendered = Some(engine.render("say.md", context! { marker, name, ..values }));
        match &rendered {
            Some(Ok(comment)) if length(comment) > COMMENT_LIMIT => {}
            _ => break,
        }
    }
    rendered
}

fn values(say: &Say, input: &SayInput<'_>, listed: usize) -> Option<Value> {
    Some(match say {
        Say::ApplyResult { .. } => return None,
        Say::ForkRefused => context! { say => "fork_refused" },
        Say::Help { .. } => context! { say => "help" },
        Say::UnknownVerb { to, word, suggestion } => {
            context! { say => "unknown_verb", to => to.as_str(), word, suggestion => suggestion.map(|verb| verb.as_str()) }
        }
        Say::Refused { to, verb, missing } => {
            let (missing, more) = grouped(missing, listed);
            context! { say => "refused", to => to.as_str(), verb => verb.as_str(), missing, more }
        }
        Say::MergedNotApplied { by, missing } => {
            let (missing, more) = grouped(missing, listed);
            context! { say => "merged_not_applied", to => by.as_str(), missing, more }
        }
        Say::NothingMatched { to, verb, selector, projects } => context! {
            say => "nothing_matched", to => to.as_str(), verb => verb.as_str(),
            selector => selector.iter().take(listed).cloned().collect::<Vec<String>>(),
            projects => names(projects, listed), more => projects.len().saturating_sub(listed),
        },
        Say::Unlocked { by, projects } => context! {
            say => "unlocked", by => by.as_str(),
            projects => names(projects, listed), more => projects.len().saturating_sub(listed),
        },
        Say::Cancelling { by, projects } => context! {
            say => "cancelling", by => by.as_str(),
            projects => names(projects, listed), more => projects.len().saturating_sub(listed),
        },
        Say::Waiting { to, projects } => {
            let shown = projects.iter().take(listed).map(|(project, held_by)| {
                context! { project => project.as_str(), held_by => pull_text(held_by, &input.pull.id.repo) }
            });
            context! {
                say => "waiting", to => to.as_str(),
                projects => shown.collect::<Vec<Value>>(), more => projects.len().saturating_sub(listed),
            }
        }
    })
}

/// What is missing, each reason once with the projects that it concerns, and how many reasons are left out.
fn grouped(missing: &[Missing], listed: usize) -> (Vec<Value>, usize) {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for one in missing {
        let project = one.project.as_ref().map(ProjectName::as_str);
        match reasons.iter_mut().find(|(what, _)| *what == one.what) {
            Some((_, projects)) => projects.extend(project),
            None => reasons.push((&one.what, project.into_iter().collect())),
        }
    }
    let more = reasons.len().saturating_sub(listed);
    let shown = reasons.into_iter().take(listed).map(|(what, projects)| {
        let others = projects.len().saturating_sub(listed);
        let projects: Vec<String> = projects.into_iter().take(listed).map(str::to_owned).collect();
        context! { what => what.to_owned(), projects, others }
    });
    (shown.collect(), more)
}

fn names(projects: &[ProjectName], listed: usize) -> Vec<String> {
    projects.iter().take(listed).map(ProjectName::to_string).collect()
}
