//! The one door, and the conditions that must hold before a plan or an apply. [`authorize`] is the only place where a
//! [`MayApply`] is made, so that no code path can start an apply without having passed here.

mod kind;

pub use kind::{Approvals, Requirement};

use super::command::Verb;
use super::id::{Login, Timestamp};
use super::permission::{self, MayApply, Rights};
use super::project::{Project, StateKind};
use super::pull::{Actor, Approval, Check, CheckState, Pull, Review, ReviewsAsked, Role};

/// What configuration says of a pull request beyond its projects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The pull request's base branch is among `branches`, as the default branch and the server have them.
    pub base_may_apply: bool,
    /// Why the rules can't be known, as a sentence for people: nothing is applied then.
    pub unknown: Option<String>,
    /// Who may do what is about the whole repository: `freeze` and `thaw`.
    pub rights: Rights,
    /// Every project of the default branch; read only for what is about the whole repository.
    pub repository: Vec<Project>,
    /// What this server calls itself, in statuses (`NAME/plan`): they never count among those that are asked for.
    pub server: String,
}

impl Rules {
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        let (rights, server) = (Rights::default(), "terraplane".to_owned());
        Self { base_may_apply: false, unknown: Some(why.into()), rights, repository: Vec::new(), server }
    }
}

/// Everything besides the project that the answer depends on.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub pull: &'a Pull,
    pub review: &'a Review,
    /// What was asked for: `plan`, `apply` or `approve`. A merge asks for `apply`.
    pub verb: Verb,
    pub actor: &'a Actor,
    pub rules: &'a Rules,
}

/// What is known of the plan that would be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applying {
    pub shown: ShownPlan,
    /// It imports something.
    pub imports: bool,
}

/// Whether approvals can have meant the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShownPlan {
    /// There is none: whatever is planned will be shown before it is applied.
    #[default]
    None,
    /// It is not what is shown: no approval means it.
    Hidden,
    /// Since then, plans that do the same have been what is shown.
    Since(Timestamp),
}

/// What a command is about.
#[derive(Debug, Clone, Copy)]
pub enum On<'a> {
    /// The repository, and none of its projects.
    Repository,
    /// A project of which only its rights matter: a lock of one's own, a plan that is stopped.
    Project(&'a Rights),
    /// A lock that another pull request holds, or one that is not theirs.
    LockOfOthers(&'a Rights),
    /// An apply that is stopped.
    Apply(&'a Rights),
    ToPlan(&'a Project),
    /// By `apply`, `approve` or a merge.
    ToApply(&'a Project, Applying),
}

/// What was allowed.
#[derive(Debug, PartialEq, Eq)]
pub enum Granted {
    ToApply(MayApply),
    Other,
}

/// The one door: every command passes here, for each thing that it is about and whatever its surface.
///
/// # Errors
/// Everything that is missing and who has it, as sentences for a person.
pub fn authorize(asked: Asked<'_>, on: On<'_>) -> Result<Granted, Vec<String>> {
    let (verb, actor) = (asked.verb, asked.actor);
    let missing = match on {
        On::Repository => {
            let of_rules = matches!(verb, Verb::Freeze | Verb::Thaw).then(|| asked.rules.unknown.clone()).flatten();
            permission::lacks(verb, actor, &asked.rules.rights).into_iter().chain(of_rules).collect()
        }
        On::Project(can) => permission::lacks(verb, actor, can),
        On::LockOfOthers(can) => permission::lacks_to_unlock_others(actor, can),
        On::Apply(can) => lacks_to_stop_apply(asked, can),
        On::ToPlan(project) => {
            let mut missing = permission::lacks(verb, actor, &project.can);
            let required = project.require_plan.iter();
            missing.extend(required.filter_map(|requirement| lacks(requirement, asked, Applying::default())));
            missing
        }
        On::ToApply(project, applying) => lacks_to_apply(project, asked, applying),
    };
    match on {
        _ if !missing.is_empty() => Err(missing),
        On::ToApply(..) => Ok(Granted::ToApply(MayApply(()))),
        _ => Ok(Granted::Other),
    }
}

/// An apply, with the proof that it was allowed.
///
/// # Errors
/// See [`authorize`].
pub fn allow_apply(project: &Project, asked: Asked<'_>, applying: Applying) -> Result<MayApply, Vec<String>> {
    match authorize(asked, On::ToApply(project, applying))? {
        Granted::ToApply(proof) => Ok(proof),
        Granted::Other => Err(Vec::new()),
    }
}

/// What is half applied is worse than what is not: where no rule is about `cancel`, an apply is stopped by those only who
/// may apply.
fn lacks_to_stop_apply(asked: Asked<'_>, can: &Rights) -> Vec<String> {
    let own = permission::lacks(asked.verb, asked.actor, can);
    if !own.is_empty() || can.0.contains_key(&Verb::Cancel) {
        return own;
    }
    let of_apply = permission::lacks(Verb::Apply, asked.actor, can);
    of_apply.into_iter().map(|why| format!("its apply is stopped by those who may apply: {why}")).collect()
}

/// What a plan that nobody has asked for still lacks.
#[must_use]
pub fn lacks_to_plan(project: &Project, pull: &Pull, review: &Review, rules: &Rules) -> Vec<String> {
    let nobody = Actor::new(pull.author.clone(), Role::None);
    let asked = Asked { pull, review, verb: Verb::Plan, actor: &nobody, rules };
    project.require_plan.iter().filter_map(|requirement| lacks(requirement, asked, Applying::default())).collect()
}

fn lacks_to_apply(project: &Project, asked: Asked<'_>, applying: Applying) -> Vec<String> {
    let mut missing = permission::lacks(asked.verb, asked.actor, &project.can);
    if asked.verb == Verb::Approve && asked.actor.login.same_as(&asked.pull.author) {
        missing.push("`approve` needs somebody other than the author of the pull request".to_owned());
    }
    if project.state == StateKind::Nowhere {
        missing.push(
            "it has no backend, so its state would be lost: add a `backend` block, or `state: managed` in `terraplane.yaml`"
                .to_owned(),
        );
    }
    match &asked.rules.unknown {
        Some(why) => missing.push(why.clone()),
        None if !asked.rules.base_may_apply => {
            missing.push(format!("the base branch `{}` is not among `branches`", asked.pull.base_branch));
        }
        None => {}
    }
    let of_import: &[Requirement] = if applying.imports { &project.require_import } else { &[] };
    let required = project.require.iter().chain(of_import.iter().filter(|more| !project.require.contains(more)));
    for lacking in required.filter_map(|requirement| lacks(requirement, asked, applying)) {
        if !missing.contains(&lacking) {
            missing.push(lacking);
        }
    }
    missing
}

/// Approvals of the present head by people with write permission who are not the author.
pub fn counting<'a>(pull: &'a Pull, review: &'a Review) -> impl Iterator<Item = &'a Approval> {
    review
        .approvals
        .iter()
        .filter(|approval| approval.by_writer && approval.head == pull.head && !approval.by.same_as(&pull.author))
}

fn lacks(requirement: &Requirement, asked: Asked<'_>, applying: Applying) -> Option<String> {
    let merged = asked.pull.merge_commit().is_some();
    match requirement {
        // Whoever writes `approve` approves by it; that it is not the author was checked above.
        Requirement::Approved(Approvals::Count(1))
            if asked.verb == Verb::Approve && asked.actor.role >= Role::Write =>
        {
            None
        }
        Requirement::Approved(approvals) => lacks_approvals(approvals, asked, applying),
        // What is merged was mergeable, and is in the base branch.
        Requirement::Mergeable | Requirement::Undiverged | Requirement::Checks if merged => None,
        Requirement::Mergeable => not_mergeable(asked),
        Requirement::Undiverged => asked.review.diverged.then(|| {
            format!("`{}` has commits that this branch does not contain: merge or rebase", asked.pull.base_branch)
        }),
        Requirement::Checks => not_green("", others(asked)).or_else(|| asked.review.judgement.unknown.clone()),
    }
}

/// The forge's checks without our own: they wait for what is asked here.
fn others<'a>(asked: Asked<'a>) -> impl Iterator<Item = &'a Check> {
    let ours = [format!("{}/plan", asked.rules.server), format!("{}/apply", asked.rules.server)];
    asked.review.judgement.checks.iter().filter(move |check| !ours.contains(&check.name))
}

fn not_mergeable(asked: Asked<'_>) -> Option<String> {
    if asked.pull.draft {
        return Some("it is still a draft".to_owned());
    }
    match asked.review.mergeable {
        Some(true) => {}
        Some(false) => return Some("it can't be merged: resolve the conflicts with the base branch".to_owned()),
        None => {
            return Some("the forge has not yet found out whether it can be merged: try again in a moment".to_owned());
        }
    }
    match asked.review.judgement.reviews {
        ReviewsAsked::Missing => return Some("a review that the forge asks for is missing".to_owned()),
        ReviewsAsked::ChangesRequested => return Some("a reviewer has asked for changes".to_owned()),
        ReviewsAsked::None | ReviewsAsked::Given => {}
    }
    not_green("required ", others(asked).filter(|check| check.required))
        .or_else(|| asked.review.judgement.blocked.clone())
        .or_else(|| asked.review.judgement.unknown.clone())
}

fn not_green<'a>(kind: &str, checks: impl Iterator<Item = &'a Check>) -> Option<String> {
    let (mut pending, mut failed) = (Vec::new(), Vec::new());
    for check in checks {
        match check.state {
            CheckState::Green => {}
            CheckState::Pending => pending.push(format!("`{}`", check.name)),
            CheckState::Failed => failed.push(format!("`{}`", check.name)),
        }
    }
    let said = [(failed, "failed"), (pending, "not done yet")].into_iter().filter(|(names, _)| !names.is_empty());
    let said: Vec<String> = said
        .map(|(names, how)| {
            let shown: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
            let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
            format!("{how}: {}{more}", shown.join(", "))
        })
        .collect();
    (!said.is_empty()).then(|| format!("{kind}checks are not green ({})", said.join("; ")))
}

fn lacks_approvals(wanted: &Approvals, asked: Asked<'_>, applying: Applying) -> Option<String> {
    let (pull, review) = (asked.pull, asked.review);
    if *wanted == Approvals::CodeOwners {
        return match review.judgement.reviews {
            // The forge may count approvals of older commits, and knows of no plans.
            ReviewsAsked::Given => lacks_approvals(&Approvals::Count(1), asked, applying),
            _ if review.judgement.unknown.is_some() => review.judgement.unknown.clone(),
            ReviewsAsked::None => Some(
                "it needs an approval of its code owners, and the forge's branch rules do not ask for one".to_owned(),
            ),
            ReviewsAsked::Missing | ReviewsAsked::ChangesRequested => {
                Some("it needs an approval of its code owners, as the forge judges".to_owned())
            }
        };
    }
    let (count, team) = match wanted {
        Approvals::Count(count) => (*count, None),
        Approvals::OfTeam { count, team } => (*count, Some(team)),
        Approvals::CodeOwners => return None,
    };
    let of_team = |who: &Login| {
        team.is_none_or(|team| review.members.iter().any(|(of, member)| of == team && member.same_as(who)))
    };
    let counts = |approval: &&Approval| of_team(&approval.by);
    let (fresh, early): (Vec<&Approval>, Vec<&Approval>) =
        counting(pull, review).filter(counts).partition(|approval| applying.shown.was_meant_at(approval.at));
    // Whoever writes `approve` is one of them.
    let own = asked.verb == Verb::Approve
        && asked.actor.role >= Role::Write
        && !asked.actor.login.same_as(&pull.author)
        && team.is_none_or(|team| asked.actor.teams.contains(team))
        && !fresh.iter().any(|approval| approval.by.same_as(&asked.actor.login));
    if fresh.len() + usize::from(own) >= usize::from(count) {
        return None;
    }
    let mut said = match (count, team) {
        (1, None) => "it needs an approval by somebody with write permission who is not the author".to_owned(),
        (1, Some(team)) => format!("it needs an approval by a member of `team:{team}` who is not the author"),
        (n, None) => format!("it needs {n} approvals by people with write permission who are not the author"),
        (n, Some(team)) => format!("it needs {n} approvals by members of `team:{team}` who are not the author"),
    };
    if !fresh.is_empty() {
        said.push_str(&format!(", and has {} ({})", fresh.len(), names(&fresh)));
    }
    // Which approvals there are and why they don't count: "it needs an approval" alone sends people searching.
    let stale = review
        .approvals
        .iter()
        .filter(counts)
        .find(|approval| approval.by_writer && approval.head != pull.head && !approval.by.same_as(&pull.author));
    if let Some(approval) = early.first() {
        said.push_str(&format!("; the approval of `{}` is older than the plan that is shown", approval.by));
    } else if let Some(approval) = stale {
        said.push_str(&format!(
            "; the approval of `{}` is for `{}`, an older commit",
            approval.by,
            approval.head.short()
        ));
    }
    Some(said)
}

impl ShownPlan {
    /// Whether who approved then can have meant it.
    pub fn was_meant_at(self, at: Timestamp) -> bool {
        match self {
            Self::None => true,
            Self::Hidden => false,
            Self::Since(shown) => shown.was_there_at(at),
        }
    }
}

fn names(approvals: &[&Approval]) -> String {
    approvals.iter().map(|approval| format!("`{}`", approval.by)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
