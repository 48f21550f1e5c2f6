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

/// A larger configuration is refused by its parser; this only bounds what is read.
const LARGEST_CONFIG: usize = 2 << 20;

/// What `find` came to.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) found: Found,
    pub(super) rules: Rules,
    /// The base branch has commits that the head does not contain.
    pub(super) diverged: bool,
}

/// A pull request's commits, fetched and merged.
struct Fetched {
    mirror: Mirror,
    base: Sha,
    tree: TreeId,
    default_tree: TreeId,
    default: Branch,
}

impl Flow {
    pub(super) async fn find(&self, pull: &Pull) -> Result<Finding, FlowError> {
        let nothing = Rules { base_may_apply: false };
        if pull.fork {
            return Ok(Finding { found: Found::Problem(Problem::Fork), rules: nothing, diverged: false });
        }
        let default = self.default_branch(&pull.id.repo).await?;
        let mirror = match self.fetch(&pull.id.repo, &wants(pull, &default)).await {
            Ok(mirror) => mirror,
            Err(FlowError::Git(error @ GitError::NotFound { .. })) => {
                let found = Found::Problem(Problem::Fetch { message: error.to_string() });
                return Ok(Finding { found, rules: nothing, diverged: false });
            }
            Err(error) => return Err(error),
        };
        let base = base_of(&mirror, pull)?;
        let default_tip = mirror.tip(&default)?;
        let (diverged, merge, default_tree) = tokio::try_join!(
            mirror.is_ancestor(&base, &pull.head),
            mirror.merge(&base, &pull.head),
            mirror.tree(&default_tip)
        )?;
        let diverged = !diverged;
        let tree = match merge {
            Merge::Clean(tree) => tree,
            Merge::Conflict { files } => {
                return Ok(Finding { found: Found::Problem(Problem::Conflict { files }), rules: nothing, diverged });
            }
        };
        let fetched = Fetched { mirror, base, tree, default_tree, default };
        let (found, rules) = match self.resolve(pull, &fetched).await? {
            Ok((affected, rules)) => (Found::Affected(affected), rules),
            Err(errors) => (Found::Problem(Problem::Configuration { errors: errors.to_string() }), nothing),
        };
        Ok(Finding { found, rules, diverged })
    }

    /// The outer error is ours, the inner one the repository's configuration.
    async fn resolve(
        &self,
        pull: &Pull,
        fetched: &Fetched,
    ) -> Result<Result<(Affected, Rules), ConfigErrors>, FlowError> {
        let Fetched { mirror, base, tree, default_tree, default } = fetched;
        let (survey, trusted, changed) = tokio::try_join!(
            self.survey(mirror, tree),
            async {
                // Most pull requests change no project's existence: one survey then serves both trees.
                if tree == default_tree { Ok(None) } else { self.survey(mirror, default_tree).await.map(Some) }
            },
            async { Ok(mirror.changed_files(Treeish::from(base), Treeish::from(tree)).await?) }
        )?;
        let trusted = trusted.as_ref().unwrap_or(&survey);
        let shown = format!("{REPO_FILE} on {default}");
        let default_config = match self.repo_config(mirror, trusted, &shown).await? {
            Ok(config) => config,
            Err(errors) => return Ok(Err(errors)),
        };
        let pull_config = match self.repo_config(mirror, &survey, REPO_FILE).await? {
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

    async fn repo_config(
        &self,
        mirror: &Mirror,
        survey: &Survey,
        shown: &str,
    ) -> Result<Result<RepoConfig, ConfigErrors>, FlowError> {
        match survey.file(mirror, REPO_FILE, LARGEST_CONFIG).await? {
            Some(text) => Ok(RepoConfig::parse(shown, &text)),
            None => Ok(Ok(RepoConfig::default())),
        }
    }
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
