//! Answers to commands.

use super::body::INVISIBLE;
use super::diff::Draft;
use super::engine::Engine;
use super::filters::{fence, shortened};
use super::live::length;
use super::{COMMENT_LIMIT, SayInput};
use crate::domain::command::Meant;
use crate::domain::decide::{Astray, Hold, Missing, Problem, Say};
use crate::domain::freeze::{Freeze, minute};
use crate::domain::id::{ProjectName, PullId};
use crate::domain::report::pull_text;
use minijinja::{Error, Value, context};
use std::collections::BTreeMap;

/// Entries of one list; the smaller numbers are for entries so long that the comment would be.
const LISTED: [usize; 3] = [40, 10, 3];

/// `None`: this is no answer but the result of applies.
pub(super) fn render(engine: &Engine, marker: &str, say: &Say, input: &SayInput<'_>) -> Option<Result<String, Error>> {
    let mut rendered = None;
    for listed in LISTED {
        let name = input.server.name.as_str();
        let values = values(say, input, listed)?;
        rendered = Some(engine.render_head("say.md", marker, context! { marker, name, ..values }));
        match &rendered {
            Some(Ok(comment)) if length(comment) > input.limit.min(COMMENT_LIMIT) => {}
            _ => break,
        }
    }
    rendered
}

fn values(say: &Say, input: &SayInput<'_>, listed: usize) -> Option<Value> {
    Some(match say {
        Say::ApplyResult { .. } => return None,
        Say::ForkRefused => context! { say => "fork_refused" },
        Say::Help { to, verbs } => {
            let lacks = verbs.iter().map(|helped| (helped.verb.as_str(), helped.lacks.clone()));
            context! { say => "help", to => to.as_str(), lacks => lacks.collect::<BTreeMap<_, _>>() }
        }
        Say::UnknownVerb { to, word, meant } => {
            let (suggestion, instead) = match meant {
                Meant::Verb(verb) => (Some(verb.as_str()), None),
                Meant::Instead(instead) => (None, Some(*instead)),
            };
            context! { say => "unknown_verb", to => to.as_str(), word, suggestion, instead }
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
        Say::Unlocked { by, projects, of, reason } => context! {
            say => "unlocked", by => by.as_str(), reason,
            of => of.as_ref().map(|of| pull_text(of, &input.pull.id.repo)),
            projects => names(projects, listed), more => projects.len().saturating_sub(listed),
        },
        Say::Locked { by, projects, reason } => context! {
            say => "locked", by => by.as_str(), reason,
            projects => names(projects, listed), more => projects.len().saturating_sub(listed),
        },
        Say::Cancelling { by, projects } => context! {
            say => "cancelling", by => by.as_str(),
            projects => names(projects, listed), more => projects.len().saturating_sub(listed),
        },
        Say::Waiting { to, projects } => {
            let shown = projects.iter().take(listed).map(|(project, hold)| {
                context! { project => project.as_str(), ..hold_values(hold, input) }
            });
            context! {
                say => "waiting", to => to.as_str(),
                projects => shown.collect::<Vec<Value>>(), more => projects.len().saturating_sub(listed),
                locked => projects.iter().any(|(_, hold)| matches!(hold, Hold::Lock(_))),
            }
        }
        Say::Frozen(freeze) => context! { say => "frozen", freeze => freeze_values(freeze) },
        Say::Thawed { by, freezes } => context! {
            say => "thawed", by => by.as_str(),
            freezes => freezes.iter().take(listed).map(freeze_values).collect::<Vec<Value>>(),
            more => freezes.len().saturating_sub(listed),
        },
        Say::Locks { held, freezes, .. } => {
            let rows = held.iter().take(listed).map(|held| {
                let pull = |pull: &PullId| pull_text(pull, &input.pull.id.repo);
                context! {
                    project => held.project.as_str(), by => pull(&held.by), since => minute(held.since), applied => held.applied,
                    taken_by => held.taken_by.as_ref().map(|login| login.as_str()), reason => held.reason.as_deref(),
                    waiting => held.waiting.iter().take(listed).map(pull).collect::<Vec<String>>(),
                }
            });
            context! {
                say => "locks", held => rows.collect::<Vec<Value>>(), more => held.len().saturating_sub(listed),
                freezes => freezes.iter().take(listed).map(freeze_values).collect::<Vec<Value>>(),
            }
        }
        Say::Why { projects, .. } => {
            let rows = projects.iter().take(listed).map(|because| {
                context! {
                    project => because.project.as_str(), reason => because.reason.as_str(),
                    rules => because.rules.iter().take(listed).cloned().collect::<Vec<String>>(),
                    missing => because.missing.iter().take(listed).cloned().collect::<Vec<String>>(),
                }
            });
            context! {
                say => "why", projects => rows.collect::<Vec<Value>>(), more => projects.len().saturating_sub(listed),
            }
        }
        Say::Version { .. } => {
            context! { say => "version", version => env!("CARGO_PKG_VERSION"), level => input.server.level.as_str() }
        }
        Say::NotAsReviewed { commit, projects } => {
            // Beside the diffs there is room for the words around them.
            let shown = projects.len().clamp(1, listed);
            let room = input.limit.min(COMMENT_LIMIT) * 2 / 3 / shown * listed / LISTED[0];
            let rows = projects.iter().take(listed).map(|astray| astray_values(astray, room));
            context! {
                say => "not_as_reviewed", commit => commit.short(), projects => rows.collect::<Vec<Value>>(),
                more => projects.len().saturating_sub(listed),
            }
        }
        Say::QueueUnplanned { commit, problem } => {
            let errors = match problem {
                Problem::Configuration { errors } => Some(shortened(errors, input.limit / 2)),
                Problem::Fetch { message } => Some(message.clone()),
                _ => None,
            };
            context! {
                say => "queue_unplanned", commit => commit.short(), errors => errors.map(|errors| fence(&errors, "text")),
                why => match problem {
                    Problem::Configuration { .. } => "`terraplane.yaml` can't be used",
                    Problem::Fetch { .. } => "the repository could not be read",
                    other => other.sentence(),
                },
            }
        }
        Say::NotMerged { why } => context! { say => "not_merged", why },
    })
}

fn astray_values(Astray { project, why, url, differences }: &Astray, room: usize) -> Value {
    let draft = differences.as_deref().map(Draft::of_differences);
    let invisible = draft.as_ref().is_some_and(Draft::is_empty);
    let diff = draft.filter(|draft| !draft.is_empty()).map(|draft| draft.within(room));
    context! {
        project => project.as_str(), why, url, invisible => invisible.then_some(INVISIBLE),
        cut => diff.as_ref().is_some_and(|diff| diff.shortened + diff.left_out > 0),
        diff => diff.map(|diff| fence(&diff.text, "diff")),
    }
}

fn hold_values(hold: &Hold, input: &SayInput<'_>) -> Value {
    let (after, frozen, held_by) = match hold {
        Hold::After(first) => (Some(first.as_str()), None, None),
        Hold::Frozen(frozen) => (None, Some(frozen.to_string()), None),
        Hold::Lock(by) => (None, None, Some(pull_text(by, &input.pull.id.repo))),
    };
    context! { after, frozen, held_by }
}

fn freeze_values(freeze: &Freeze) -> Value {
    context! {
        what => freeze.selector.to_string(), everything => freeze.selector.is_everything(), by => freeze.by.as_str(),
        since => minute(freeze.since), until => freeze.until.and_then(minute), reason => freeze.reason.as_deref(),
    }
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
