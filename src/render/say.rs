//! Answers to commands.

use super::engine::Engine;
use super::live::length;
use super::{COMMENT_LIMIT, SayInput};
use crate::domain::decide::Say;
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
            let shown = missing.iter().take(listed).map(|one| {
                context! { project => one.project.as_ref().map(ProjectName::as_str), what => one.what.as_str() }
            });
            context! {
                say => "refused", to => to.as_str(), verb => verb.as_str(),
                missing => shown.collect::<Vec<Value>>(), more => missing.len().saturating_sub(listed),
            }
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
        Say::Waiting { to, projects } => {
            let shown = projects.iter().take(listed).map(|(project, held_by, position)| {
                let held_by = pull_text(held_by, &input.pull.id.repo);
                context! { project => project.as_str(), held_by, position }
            });
            context! {
                say => "waiting", to => to.as_str(),
                projects => shown.collect::<Vec<Value>>(), more => projects.len().saturating_sub(listed),
            }
        }
    })
}

fn names(projects: &[ProjectName], listed: usize) -> Vec<String> {
    projects.iter().take(listed).map(ProjectName::to_string).collect()
}
