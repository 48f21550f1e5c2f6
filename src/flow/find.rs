//! Finds what a pull request concerns: fetches it, merges head into base, reads the configuration and the module graph,
//! and lets the core name the projects. Nothing of the pull request is executed here.

use super::survey::Survey;
use super::{Flow, FlowError};
use crate::config::{ConfigErrors, FoundProject, Layers, REPO_FILE, RepoConfig, ResolvedProject, resolve};
use crate::domain::decide::{Affected, AffectedProject, Found, Problem, Rules};
use crate::domain::id::{Branch, Sha, TreeId};
use crate::domain::impact::Extent;
use crate::domain::pull::{Phase, Pull};
use crate::git::{GitError, Merge, Mirror, Treeish, Want};
use std::sync::Arc;

/// What `find` came to.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) found: Found,
    pub(super) rules: Rules,
    /// Where it was found, and what head is merged into; `None` if it could not be fetched.
    place: Option<(Mirror, Sha)>,
}

impl Finding {
    fn problem(problem: Problem) -> Self {
        Self { found: Found::Problem(problem), rules: Rules { base_may_apply: false }, place: None }
    }

    /// Whether the base branch has commits that the head does not contain. Asked only when a requirement may need it:
    /// a push doesn't.
    pub(super) async fn diverged(&self, head: &Sha) -> Result<bool, FlowError> {
        match &self.place {
            Some((mirror, base)) => Ok(!mirror.is_ancestor(base, head).await?),
            None => Ok(false),
        }
    }
}

/// A pull request's commits, fetched and merged.
struct Fetched {
    mirror: Mirror,
    base: Sha,
    tree: TreeId,
    /// What the default branch says.
    trusted: Arc<Survey>,
    default: Branch,
}

impl Flow {
    /// `default` is the repository's default branch.
    pub(super) async fn find(&self, pull: &Pull, default: Branch) -> Result<Finding, FlowError> {
        if pull.fork {
            return Ok(Finding::problem(Problem::Fork));
        }
        let mirror = match self.fetch(&pull.id.repo, &wants(pull, &default)).await {
            Ok(mirror) => mirror,
            Err(FlowError::Git(error @ GitError::NotFound { .. })) => {
                return Ok(Finding::problem(Problem::Fetch { message: error.to_string() }));
            }
            Err(error) => return Err(error),
        };
        let base = base_of(&mirror, pull)?;
        let default_tip = mirror.tip(&default)?;
        // The default branch is read while git merges.
        let (merge, trusted) =
            tokio::try_join!(async { Ok::<_, FlowError>(mirror.merge(&base, &pull.head).await?) }, async {
                let tree = mirror.tree(&default_tip).await?;
                self.survey(&mirror, &tree).await
            })?;
        let place = Some((mirror.clone(), base.clone()));
        let tree = match merge {
            Merge::Clean(tree) => tree,
            Merge::Conflict { files } => {
                return Ok(Finding { place, ..Finding::problem(Problem::Conflict { files }) });
            }
        };
        let fetched = Fetched { mirror, base, tree, trusted, default };
        Ok(match self.resolve(pull, &fetched).await? {
            Ok((affected, rules)) => Finding { found: Found::Affected(affected), rules, place },
            Err(errors) => Finding { place, ..Finding::problem(Problem::Configuration { errors: errors.to_string() }) },
        })
    }

    /// The outer error is ours, the inner one the repository's configuration.
    async fn resolve(
        &self,
        pull: &Pull,
        fetched: &Fetched,
    ) -> Result<Result<(Affected, Rules), ConfigErrors>, FlowError> {
        let Fetched { mirror, base, tree, trusted, default } = fetched;
        let (survey, changed) = tokio::try_join!(self.survey(mirror, tree), async {
            Ok(mirror.changed_files(Treeish::from(base), Treeish::from(tree)).await?)
        })?;
        let default_config = match repo_config(trusted, &format!("{REPO_FILE} on {default}")) {
            Ok(config) => config,
            Err(errors) => return Ok(Err(errors)),
        };
        let pull_config = match repo_config(&survey, REPO_FILE) {
            Ok(config) => config,
            Err(errors) => return Ok(Err(errors)),
        };
        let policy = self
            .config
            .policy(&pull.id.repo)
            .ok_or_else(|| FlowError::Broken(format!("no entry of `repos` matches {}", pull.id.repo)))?;
        let layers = Layers {
            defaults: &policy.defaults,
            default_branch: &default_config,
            pull: &pull_config,
            enforce: &policy.enforce,
        };
        let resolved = match resolve(&layers, &found_projects(&survey, trusted)) {
            Ok(resolved) => resolved,
            Err(errors) => return Ok(Err(errors)),
        };
        let projects = resolved.into_iter().filter_map(|project| concerned(project, &changed, &survey)).collect();
        let affected = Affected { head: pull.head.clone(), base: base.clone(), tree: tree.clone(), projects };
        let rules = Rules { base_may_apply: layers.may_apply_from(&pull.base_branch, default) };
        Ok(Ok((affected, rules)))
    }
}

/// What the repository configures; nothing if it has no such file, or one that is larger than any of use.
fn repo_config(survey: &Survey, shown: &str) -> Result<RepoConfig, ConfigErrors> {
    survey.config.as_deref().map_or_else(|| Ok(RepoConfig::default()), |text| RepoConfig::parse(shown, text))
}

fn wants(pull: &Pull, default: &Branch) -> Vec<Want> {
    let mut wants = vec![Want::Commit(pull.head.clone()), Want::Branch(default.clone())];
    match pull.merge_commit() {
        Some(commit) => wants.extend([Want::Commit(commit.clone()), Want::Commit(pull.base.clone())]),
        None if pull.base_branch != *default => wants.push(Want::Branch(pull.base_branch.clone())),
        None => {}
    }
    wants
}

/// What head is merged into: the base branch's tip, or what it was before the merge.
fn base_of(mirror: &Mirror, pull: &Pull) -> Result<Sha, FlowError> {
    Ok(match pull.phase {
        Phase::Merged { .. } => pull.base.clone(),
        Phase::Open | Phase::Closed => mirror.tip(&pull.base_branch)?,
    })
}

fn found_projects(survey: &Survey, trusted: &Survey) -> Vec<FoundProject> {
    let roots = survey.modules.roots();
    let trusted_roots = trusted.modules.roots();
    survey
        .modules
        .iter()
        .map(|(dir, facts)| FoundProject {
            dir: dir.clone(),
            root_module: roots.contains(&dir),
            has_backend: facts.keeps_state(),
            required_version: required_version(survey, dir),
            on_default_branch: trusted_roots.contains(&dir),
        })
        .collect()
}

/// All that the code asks of the version, as one constraint.
fn required_version(survey: &Survey, dir: &crate::domain::id::ProjectDir) -> Option<String> {
    let versions = survey.modules.required_versions(dir);
    (!versions.is_empty()).then(|| versions.join(", "))
}

/// The project with the reason why the changed files concern it; `None` if they don't.
fn concerned(resolved: ResolvedProject, changed: &[String], survey: &Survey) -> Option<AffectedProject> {
    let mut project = resolved.project;
    let extent = extent(&project);
    let reason = survey.modules.concerns(&extent, changed)?;
    let inputs = survey.inputs(&extent);
    project.reason = reason;
    Some(AffectedProject { project, inputs })
}

pub(super) fn extent(project: &crate::domain::project::Project) -> Extent<'_> {
    Extent { dir: &project.key.dir, var_files: &project.var_files, watch: &project.watch }
}
