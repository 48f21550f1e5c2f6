//! Who asks, and what the forge and git say that the rules depend on: teams, reviews, checks. Nothing is asked that no rule
//! wants to know.

use super::find::Finding;
use super::{Flow, FlowError};
use crate::domain::decide::{Found, PullRecord, Rules};
use crate::domain::id::{Login, PullId, RepoName, TeamName};
use crate::domain::permission::Rights;
use crate::domain::project::Project;
use crate::domain::pull::{Actor, Phase, Pull, Review, Role};
use crate::domain::requirement::{Requirement, counting};
use crate::domain::run::ApplyOrder;
use crate::forge::ForgeErrorKind;
use std::collections::BTreeSet;

/// What the rules of a pull request's projects want to know.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    requirements: BTreeSet<Requirement>,
    /// Of rights and of requirements.
    teams: BTreeSet<TeamName>,
}

impl Wanted {
    /// Of what was found; of what is kept, if it was not looked for.
    pub(super) fn of(found: Option<&Found>, kept: Option<&PullRecord>, rules: &Rules) -> Self {
        let affected = match found {
            Some(Found::Affected(affected)) => Some(affected),
            _ => kept.and_then(|record| record.affected.as_ref()),
        };
        let mut wanted = Self::default();
        wanted.add_rights(&rules.rights);
        for entry in affected.into_iter().flat_map(|affected| &affected.projects) {
            wanted.add(&entry.project);
        }
        wanted
    }

    pub(super) fn add(&mut self, project: &Project) {
        self.add_rights(&project.can);
        let all = [&project.require, &project.require_plan, &project.require_import];
        self.requirements.extend(all.into_iter().flatten().cloned());
        self.teams.extend(all.into_iter().flatten().filter_map(Requirement::team).cloned());
    }

    fn add_rights(&mut self, rights: &Rights) {
        self.teams.extend(rights.teams().cloned());
    }

    fn any(&self, is: impl Fn(&Requirement) -> bool) -> bool {
        self.requirements.iter().any(is)
    }
}

impl Flow {
    /// Whoever asks, with the teams that the rules name.
    pub(super) async fn actor(
        &self,
        repo: &RepoName,
        login: &Login,
        role: Role,
        wanted: &Wanted,
    ) -> Result<Actor, FlowError> {
        let mut actor = Actor::new(login.clone(), role);
        for team in &wanted.teams {
            if self.is_member(repo, team, login).await? {
                actor.teams.push(team.clone());
            }
        }
        Ok(actor)
    }

    /// A team that the forge does not let us see has no members: that is the safe side, and the log says why.
    async fn is_member(&self, repo: &RepoName, team: &TeamName, who: &Login) -> Result<bool, FlowError> {
        match self.forge(repo)?.in_team(repo, team, who).await {
            Err(error) if error.kind == ForgeErrorKind::Forbidden => {
                tracing::warn!(%team, error = %error, "the members of a team can't be seen, so that it counts as empty");
                Ok(false)
            }
            known => Ok(known?),
        }
    }

    /// Who merged, with the right that the merge shows.
    pub(super) async fn merger(&self, pull: &Pull, wanted: &Wanted) -> Result<Actor, FlowError> {
        let repo = &pull.id.repo;
        match &pull.phase {
            Phase::Merged { by: Some(by), .. } => {
                // The forge let this account merge: that is the right to write, whatever a role look-up says of a merge bot.
                let role = self.forge(repo)?.role(repo, by).await?.max(Role::Write);
                self.actor(repo, by, role, wanted).await
            }
            // Somebody could write; who it was, no rule may be told.
            _ => Ok(Actor::new(Login::unknown(), Role::Write)),
        }
    }

    /// Whoever ordered an apply, as they are now.
    pub(super) async fn orderer(
        &self,
        repo: &RepoName,
        order: &ApplyOrder,
        wanted: &Wanted,
    ) -> Result<Actor, FlowError> {
        let by = &order.ordered_by;
        let by_merge = order.is_by_merge();
        if by_merge && by.same_as(&Login::unknown()) {
            return Ok(Actor::new(by.clone(), Role::Write));
        }
        let role = self.forge(repo)?.role(repo, by).await?;
        // As with the merger.
        self.actor(repo, by, if by_merge { role.max(Role::Write) } else { role }, wanted).await
    }

    /// What the requirements are about, as it is now.
    pub(super) async fn review(
        &self,
        pull: &Pull,
        finding: Option<&Finding>,
        wanted: &Wanted,
    ) -> Result<Review, FlowError> {
        let forge = self.forge(&pull.id.repo)?;
        let open = pull.is_open();
        let (approvals, mergeable, diverged, judgement) = tokio::try_join!(
            async { Ok::<_, FlowError>(forge.approvals(&pull.id).await?) },
            async {
                if !open || !wanted.any(|one| *one == Requirement::Mergeable) {
                    return Ok(None);
                }
                Ok(forge.mergeable(&pull.id).await?)
            },
            async {
                match finding.filter(|_| open && wanted.any(|one| *one == Requirement::Undiverged)) {
                    Some(finding) => finding.diverged(&pull.head).await,
                    None => Ok(false),
                }
            },
            async {
                if !wanted.any(Requirement::asks_the_forge) {
                    return Ok(Default::default());
                }
                Ok(forge.judgement(&pull.id).await?)
            }
        )?;
        let mut review = Review { approvals, mergeable, diverged, judgement, members: Vec::new() };
        let mut members = Vec::new();
        for team in wanted.requirements.iter().filter_map(Requirement::team) {
            for approval in counting(pull, &review) {
                let member = (team.clone(), approval.by.clone());
                if !members.contains(&member) && self.is_member(&pull.id.repo, team, &approval.by).await? {
                    members.push(member);
                }
            }
        }
        review.members = members;
        Ok(review)
    }

    /// What is known without looking, and the rules that it was found under.
    pub(super) async fn kept(&self, pull: &PullId) -> Result<(Option<PullRecord>, Rules), FlowError> {
        let record = self.store.pull_state(pull).await?.map(|state| state.record);
        let held_back = record.as_ref().and_then(|record| record.affected.as_ref()?.held_back.clone());
        let server = self.config.name.clone();
        let rules = Rules {
            base_may_apply: true,
            unknown: held_back,
            rights: Rights::default(),
            repository: Vec::new(),
            server,
        };
        Ok((record, rules))
    }
}
