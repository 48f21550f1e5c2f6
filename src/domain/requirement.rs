//! Conditions that must hold before an apply. [`allow_apply`] is the only place where a [`MayApply`] is made, so that
//! no code path can start an apply without having passed here.

use super::command::Verb;
use super::id::Login;
use super::permission::{MayApply, authorize};
use super::project::{Project, Requirement, StateKind};
use super::pull::{Actor, Pull, Review};

/// What configuration says of a pull request beyond its projects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The pull request's base branch is among `branches`, as the default branch and the server have them.
    pub base_may_apply: bool,
    /// Why the rules can't be known, as a sentence for people: nothing is applied then.
    pub unknown: Option<String>,
}

impl Rules {
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { base_may_apply: false, unknown: Some(why.into()) }
    }
}

/// Everything besides the project that the answer depends on.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub pull: &'a Pull,
    pub review: &'a Review,
    /// What was asked for: `apply` or `approve`. A merge asks for `apply`.
    pub verb: Verb,
    pub actor: &'a Actor,
    pub rules: &'a Rules,
}

/// # Errors
/// Everything that is missing, as sentences for a person.
pub fn allow_apply(project: &Project, asked: Asked<'_>) -> Result<MayApply, Vec<String>> {
    let mut missing = Vec::new();
    if let Err(lacking) = authorize(asked.verb, asked.actor) {
        missing.push(lacking);
    }
    if asked.verb == Verb::Approve && asked.actor.login.same_as(&asked.pull.author) {
        missing.push("`approve` needs somebody other than the author of the pull request".to_owned());
    }
    if project.state == StateKind::Nowhere {
        missing.push(
            "it has no backend, so its state would be lost: add a `backend` block, or `state: managed` in `terraplane.yaml`"
                .to_owned(),
        );
    }
    if let Some(least) = project.least_role.filter(|least| asked.actor.role < *least) {
        missing.push(format!("a rule says that only `{}` and above may apply it", least.as_str()));
    }
    match &asked.rules.unknown {
        Some(why) => missing.push(why.clone()),
        None if !asked.rules.base_may_apply => {
            missing.push(format!("the base branch `{}` is not among `branches`", asked.pull.base_branch));
        }
        None => {}
    }
    missing.extend(project.require.iter().filter_map(|requirement| lacks(*requirement, asked)));
    if missing.is_empty() { Ok(MayApply(())) } else { Err(missing) }
}

/// People whose approval of the present head counts.
#[must_use]
pub fn approvers(pull: &Pull, review: &Review) -> Vec<Login> {
    review
        .approvals
        .iter()
        .filter(|approval| approval.by_writer && approval.head == pull.head && !approval.by.same_as(&pull.author))
        .map(|approval| approval.by.clone())
        .collect()
}

fn lacks(requirement: Requirement, asked: Asked<'_>) -> Option<String> {
    let merged = asked.pull.merge_commit().is_some();
    match requirement {
        // Whoever writes `approve` and is not the author approves by it; that was checked above.
        Requirement::Approved if asked.verb == Verb::Approve => None,
        Requirement::Approved if approvers(asked.pull, asked.review).is_empty() => {
            Some(unapproved(asked.pull, asked.review))
        }
        // What is merged was mergeable, and is in the base branch.
        Requirement::Mergeable if merged => None,
        Requirement::Undiverged if merged => None,
        Requirement::Mergeable if asked.pull.draft => Some("it is still a draft".to_owned()),
        Requirement::Mergeable => match asked.review.mergeable {
            Some(true) => None,
            Some(false) => Some("it can't be merged: resolve the conflicts with the base branch".to_owned()),
            None => Some("the forge has not yet found out whether it can be merged: try again in a moment".to_owned()),
        },
        Requirement::Undiverged if asked.review.diverged => {
            Some(format!("`{}` has commits that this branch does not contain: merge or rebase", asked.pull.base_branch))
        }
        Requirement::Approved | Requirement::Undiverged => None,
    }
}

/// Says which approvals there are and why they don't count: "it needs an approval" alone sends people searching.
fn unapproved(pull: &Pull, review: &Review) -> String {
    let needed = "it needs an approval by somebody with write permission who is not the author";
    let stale = review
        .approvals
        .iter()
        .find(|approval| approval.by_writer && approval.head != pull.head && !approval.by.same_as(&pull.author));
    match stale {
        Some(approval) => {
            format!("{needed}; the approval of `{}` is for `{}`, an older commit", approval.by, approval.head.short())
        }
        None => needed.to_owned(),
    }
}

#[cfg(test)]
mod tests;
