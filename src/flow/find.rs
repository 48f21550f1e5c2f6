//! Finds what a pull request concerns: fetches it, merges head into base, reads the configuration and the module graph,
//! and lets the core name the projects. Nothing of the pull request is executed here.

use super::survey::Survey;
use super::{Flow, FlowError};
use crate::config::{ConfigErrors, FoundProject, Layers, REPO_FILE, RepoConfig, ResolvedProject, resolve};
use crate::domain::decide::{Affected, AffectedProject, Found, Problem, Rules};
use crate::domain::id::{Branch, Sha, TreeId};
use crate::domain::impact::Extent;
use crate::domain::pull::Pull;
use crate::git::{GitError, Merge, Mirror, Treeish, Want};

/// A larger configuration is refused by its parser; this only bounds what is read.
const LARGEST_CONFIG: usize = 2 << 20;

/// A commit that is not found may not have reached all of the forge yet; after so many tries it is not there.
const MOST_TRIES: u32 = 4;

/// What `find` came to.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) found: Found,
    pub(super) rules: Rules,
    /// The base branch has commits that the head does not contain.
    pub(super) diverged: bool,
}

impl Finding {
    /// Whoever can't be told what to plan can't be told the rules either.
    fn problem(problem: Problem, diverged: bool) -> Self {
        let rules = Rules::unknown(problem.sentence());
        Self { found: Found::Problem(problem), rules, diverged }
    }
}

/// A pull request's commits, fetched and merged.
struct Fetched {
    mirror: Mirror,
    base: Sha,
    tree: TreeId,
    /// The default branch as it was before the merge, if that was into it: whose rules hold.
    trusted_tree: TreeId,
    default: Branch,
    default_tip: Sha,
}

/// The repository's configuration on the default branch, and why it does not say the rules, if so.
struct Trusted {
    config: RepoConfig,
    broken: Option<String>,
}

impl Flow {
    /// `attempt`: how often this was tried, this time included.
    pub(super) async fn find(&self, pull: &Pull, attempt: u32) -> Result<Finding, FlowError> {
        if pull.fork {
            return Ok(Finding::problem(Problem::Fork, false));
        }
        match self.look(pull).await {
            Err(FlowError::Git(error)) if attempt >= MOST_TRIES && !error.is_transient() => {
                let message = match &error {
                    GitError::NotFound { .. } => error.to_string(),
                    // Other causes may hold paths of the server.
                    _ => "git could not read it; the server's log says more".to_owned(),
                };
                tracing::error!(pull = %pull.id, error = %FlowError::Git(error).chain(), "nothing can be planned");
                Ok(Finding::problem(Problem::Fetch { message }, false))
            }
            result => result,
        }
    }

    async fn look(&self, pull: &Pull) -> Result<Finding, FlowError> {
        let default = self.default_branch(&pull.id.repo).await?;
        let mirror = self.fetch(&pull.id.repo, &wants(pull, &default)).await?;
        let base = base_of(&mirror, pull).await?;
        let default_tip = mirror.tip(&default)?;
        let merged_into_default = pull.merge_commit().is_some() && pull.base_branch == default;
        let trusted = if merged_into_default { &base } else { &default_tip };
        let (contained, merge, trusted_tree) = tokio::try_join!(
            mirror.is_ancestor(&base, &pull.head),
            mirror.merge(&base, &pull.head),
            mirror.tree(trusted)
        )?;
        let diverged = !contained;
        let tree = match merge {
            Merge::Clean(tree) => tree,
            Merge::Conflict { files } => return Ok(Finding::problem(Problem::Conflict { files }, diverged)),
        };
        let fetched = Fetched { mirror, base, tree, trusted_tree, default, default_tip };
        Ok(match self.resolve(pull, &fetched).await? {
            Ok((affected, rules)) => Finding { found: Found::Affected(affected), rules, diverged },
            Err(errors) => Finding::problem(Problem::Configuration { errors: errors.to_string() }, diverged),
        })
    }

    /// The outer error is ours, the inner one the repository's configuration.
    async fn resolve(
        &self,
        pull: &Pull,
        fetched: &Fetched,
    ) -> Result<Result<(Affected, Rules), ConfigErrors>, FlowError> {
        let Fetched { mirror, base, tree, trusted_tree, default, .. } = fetched;
        let (survey, trusted, changed) = tokio::try_join!(
            self.survey(mirror, tree),
            async {
                // Most pull requests change no project's existence: one survey then serves both trees.
                if tree == trusted_tree { Ok(None) } else { self.survey(mirror, trusted_tree).await.map(Some) }
            },
            async { Ok(mirror.changed_files(Treeish::from(base), Treeish::from(tree)).await?) }
        )?;
        let trusted = trusted.as_ref().unwrap_or(&survey);
        let pull_config = match self.repo_config(mirror, &survey, REPO_FILE).await? {
            Ok(config) => config,
            Err(errors) => return Ok(Err(errors)),
        };
        let Trusted { config: default_config, broken } = self.trusted_config(fetched, trusted, &pull_config).await?;
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
        let base_may_apply = layers.may_apply_from(&pull.base_branch, default);
        Ok(Ok((affected, Rules { base_may_apply, unknown: broken })))
    }

    /// What the default branch says. If its file is broken, no pull request would be planned any more, the one that mends
    /// it neither: then the pull request's own file is used to plan, and nothing is applied. After a merge that mended it,
    /// the file that it brought holds.
    async fn trusted_config(
        &self,
        fetched: &Fetched,
        trusted: &Survey,
        pull_config: &RepoConfig,
    ) -> Result<Trusted, FlowError> {
        let Fetched { mirror, trusted_tree, default, default_tip, .. } = fetched;
        let shown = format!("{REPO_FILE} on {default}");
        if let Ok(config) = self.repo_config(mirror, trusted, &shown).await? {
            return Ok(Trusted { config, broken: None });
        }
        let tip = mirror.tree(default_tip).await?;
        if tip != *trusted_tree
            && let Ok(config) = self.repo_config(mirror, &self.survey(mirror, &tip).await?, &shown).await?
        {
            return Ok(Trusted { config, broken: None });
        }
        let broken = format!(
            "`{REPO_FILE}` on `{default}` can't be used, so that its rules are not known: nothing is applied until it is mended there"
        );
        Ok(Trusted { config: pull_config.clone(), broken: Some(broken) })
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
async fn base_of(mirror: &Mirror, pull: &Pull) -> Result<Sha, FlowError> {
    Ok(match pull.merge_commit() {
        Some(commit) => mirror.before_merge(commit, &pull.head, &pull.base).await?,
        None => mirror.tip(&pull.base_branch)?,
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
