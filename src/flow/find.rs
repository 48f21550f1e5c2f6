//! Finds what a pull request concerns: fetches it, merges head into base, reads the configuration and the module graph,
//! and lets the core name the projects. Nothing of the pull request is executed here.

use super::survey::{LARGEST, Survey};
use super::{Flow, FlowError};
use crate::config::{
    ConfigErrors, FoundProject, Layers, REPO_FILE, RepoConfig, ResolvedProject, merged_rule_changes,
    projects_of_default_branch, resolve,
};
use crate::domain::decide::{Affected, AffectedProject, Found, Problem, Rules, admit};
use crate::domain::id::{Branch, RepoName, Sha, TreeId};
use crate::domain::impact::Extent;
use crate::domain::project::{Project, RuleChanges};
use crate::domain::pull::{MergeGroup, Pull};
use crate::git::{Folder, GitError, Merge, Mirror, Reader, Want};
use std::sync::Arc;

/// A commit that is not found may not have reached all of the forge yet; after so many tries it is not there.
const MOST_TRIES: u32 = 4;

/// What `find` came to.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) found: Found,
    pub(super) rules: Rules,
    /// Where it was found, and what head is merged into; `None` if it could not be fetched.
    place: Option<(Mirror, Sha)>,
    /// What the default branch configures, and its code.
    trusted: Option<(RepoConfig, Arc<Survey>)>,
}

impl Finding {
    /// Whoever can't be told what to plan can't be told the rules either.
    fn problem(problem: Problem) -> Self {
        let rules = Rules::unknown(problem.sentence());
        Self { found: Found::Problem(problem), rules, place: None, trusted: None }
    }

    /// No project is concerned.
    fn is_empty(&self) -> bool {
        matches!(&self.found, Found::Affected(affected) if affected.projects.is_empty())
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
    reader: Reader,
    base: Sha,
    base_tree: Arc<Folder>,
    tree: TreeId,
    /// The default branch as it was before the merge, if that was into it: whose rules hold.
    trusted: Arc<Survey>,
    default: Branch,
    default_tip: Sha,
}

/// The repository's configuration on the default branch, and why it does not say the rules, if so.
struct Trusted {
    config: RepoConfig,
    broken: Option<String>,
}

/// What the configuration makes of a pull request.
struct Resolved {
    affected: Affected,
    rules: Rules,
    trusted: (RepoConfig, Arc<Survey>),
}

impl Flow {
    /// `default` is the repository's default branch; `asked_for` the commit of a fork that somebody vouches for;
    /// `attempt`: how often this was tried, this time included.
    pub(super) async fn find(
        &self,
        pull: &Pull,
        default: Branch,
        asked_for: Option<&Sha>,
        attempt: u32,
    ) -> Result<Finding, FlowError> {
        if let Err(problem) = self.may_look(pull, asked_for).await? {
            return Ok(Finding::problem(problem));
        }
        match self.look(pull, default, Onto::Branch).await {
            Err(FlowError::Git(error)) if attempt >= MOST_TRIES && !error.is_transient() => Ok(unfetched(pull, error)),
            // Between the forge's answer and the fetch it may have been merged: then nothing of it differs from its base.
            Ok(finding) if pull.is_open() && finding.is_empty() => {
                let now = self.forge(&pull.id.repo)?.pull(&pull.id).await?;
                if now.is_open() { Ok(finding) } else { Err(FlowError::Overtaken) }
            }
            result => result,
        }
    }

    /// Whether its code may be run at all. The inner error is why not.
    async fn may_look(&self, pull: &Pull, asked_for: Option<&Sha>) -> Result<Result<(), Problem>, FlowError> {
        let (have, required) = (self.sandbox.level(), self.config.sandbox.require);
        if have < required {
            return Ok(Err(Problem::Sandbox { have, required }));
        }
        if !pull.fork {
            return Ok(Ok(()));
        }
        let known = self.store.pull_state(&pull.id).await?.map(|state| state.record);
        let seen = known.as_ref().and_then(|record| record.affected.as_ref());
        Ok(admit(pull, seen, asked_for, have))
    }

    /// What a merge queue's commit concerns. Whoever put the pull request into the queue could have merged it, and
    /// thereby vouches for what is in it.
    pub(super) async fn find_queued(
        &self,
        pull: &Pull,
        group: &MergeGroup,
        default: Branch,
        attempt: u32,
    ) -> Result<Finding, FlowError> {
        let as_queued = Pull { head: group.head.clone(), base: group.base.clone(), ..pull.clone() };
        if let Err(problem) = self.may_look(&as_queued, Some(&group.head)).await? {
            return Ok(Finding::problem(problem));
        }
        match self.look(&as_queued, default, Onto::Commit(&group.base)).await {
            Err(FlowError::Git(error)) if attempt >= MOST_TRIES && !error.is_transient() => Ok(unfetched(pull, error)),
            result => result,
        }
    }

    async fn look(&self, pull: &Pull, default: Branch, onto: Onto<'_>) -> Result<Finding, FlowError> {
        let mut reader = self.mirrors.reader(&pull.id.repo, LARGEST);
        let mirror = self.fetch(&pull.id.repo, &wants(pull, &default, onto)).await?;
        let base = base_of(&mirror, pull, onto).await?;
        let default_tip = mirror.tip(&default)?;
        let merged_into_default = pull.merge_commit().is_some() && pull.base_branch == default;
        let rules_at = if merged_into_default { &base } else { &default_tip };
        let forward = reader.fast_forward(&base, &pull.head).await?;
        // Whose rules hold is read while git merges, if it has to.
        let (merge, (trusted, base_tree)) = tokio::try_join!(
            async {
                match forward {
                    Some(tree) => Ok::<_, FlowError>(Merge::Clean(tree)),
                    None => Ok(mirror.merge(&base, &pull.head).await?),
                }
            },
            async {
                let tree = reader.tree_of(rules_at).await?;
                let trusted = self.survey(&mut reader, &tree, None).await?;
                let tree = reader.tree_of(&base).await?;
                let known = reader.folder(&tree, Some(&trusted.root)).await?;
                Ok((trusted, known))
            }
        )?;
        let place = Some((mirror.clone(), base.clone()));
        let tree = match merge {
            Merge::Clean(tree) => tree,
            Merge::Conflict { files } => {
                return Ok(Finding { place, ..Finding::problem(Problem::Conflict { files }) });
            }
        };
        let mut fetched = Fetched { reader, base, base_tree, tree, trusted, default, default_tip };
        Ok(match self.resolve(pull, &mut fetched).await? {
            Ok(Resolved { affected, rules, trusted }) => {
                Finding { found: Found::Affected(affected), rules, place, trusted: Some(trusted) }
            }
            Err(errors) => Finding { place, ..Finding::problem(Problem::Configuration { errors: errors.to_string() }) },
        })
    }

    /// The outer error is ours, the inner one the repository's configuration.
    async fn resolve(&self, pull: &Pull, fetched: &mut Fetched) -> Result<Result<Resolved, ConfigErrors>, FlowError> {
        let survey = self.survey(&mut fetched.reader, &fetched.tree, Some(&fetched.trusted)).await?;
        let changed = fetched.base_tree.changes(&survey.root);
        let pull_config = match repo_config(&survey, REPO_FILE) {
            Ok(config) => config,
            Err(errors) => return Ok(Err(errors)),
        };
        let Trusted { config: default_config, broken } = self.trusted_config(fetched, &pull_config).await?;
        let Fetched { base, tree, trusted, default, .. } = fetched;
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
        let there = found_projects(trusted, trusted);
        let changes = if survey.config == trusted.config {
            RuleChanges::default()
        } else {
            merged_rule_changes(&layers, &found_projects(&survey, trusted), &there)
        };
        let projects = resolved.into_iter().filter_map(|project| concerned(project, &changed, &survey)).collect();
        let base_may_apply = layers.may_apply_from(&pull.base_branch, default);
        let held_back = broken.clone().or_else(|| {
            (!base_may_apply).then(|| format!("the base branch `{}` is not among `branches`", pull.base_branch))
        });
        let affected = Affected {
            head: pull.head.clone(),
            base: base.clone(),
            tree: tree.clone(),
            projects,
            held_back,
            grants: changes.grants,
            config_changes: changes.others,
        };
        let (rights, server) = (layers.rights(), self.config.name.clone());
        let rules = Rules { base_may_apply, unknown: broken, rights, repository: Vec::new(), server };
        let trusted = (default_config, fetched.trusted.clone());
        Ok(Ok(Resolved { affected, rules, trusted }))
    }

    /// Every project of the default branch, as far as it was found.
    pub(super) fn projects_of_repository(&self, repo: &RepoName, finding: &Finding) -> Vec<Project> {
        let (Some((config, trusted)), Some(policy)) = (&finding.trusted, self.config.policy(repo)) else {
            return Vec::new();
        };
        let (defaults, enforce) = (&policy.defaults, &policy.enforce);
        let layers = Layers { defaults, default_branch: config, pull: config, enforce };
        projects_of_default_branch(&layers, &found_projects(trusted, trusted)).unwrap_or_default()
    }

    /// What the default branch says. If its file is broken, no pull request would be planned any more, the one that mends
    /// it neither: then the pull request's own file is used to plan, and nothing is applied. After a merge that mended it,
    /// the file that it brought holds.
    async fn trusted_config(&self, fetched: &mut Fetched, pull_config: &RepoConfig) -> Result<Trusted, FlowError> {
        let Fetched { reader, trusted, default, default_tip, .. } = fetched;
        let shown = format!("{REPO_FILE} on {default}");
        if let Ok(config) = repo_config(trusted, &shown) {
            return Ok(Trusted { config, broken: None });
        }
        let tip = reader.tree_of(default_tip).await?;
        if let Ok(config) = repo_config(&*self.survey(reader, &tip, Some(&**trusted)).await?, &shown) {
            return Ok(Trusted { config, broken: None });
        }
        let broken = format!(
            "`{REPO_FILE}` on `{default}` can't be used, so that its rules are not known: nothing is applied until it is mended there"
        );
        Ok(Trusted { config: pull_config.clone(), broken: Some(broken) })
    }
}

/// What the repository configures; nothing if it has no such file, or one that is larger than any of use.
fn repo_config(survey: &Survey, shown: &str) -> Result<RepoConfig, ConfigErrors> {
    survey.config.as_deref().map_or_else(|| Ok(RepoConfig::default()), |text| RepoConfig::parse(shown, text))
}

/// What a head is merged into.
#[derive(Debug, Clone, Copy)]
enum Onto<'a> {
    /// The base branch's tip, or of a merged pull request what it was before the merge.
    Branch,
    Commit(&'a Sha),
}

fn unfetched(pull: &Pull, error: GitError) -> Finding {
    let message = match &error {
        GitError::NotFound { .. } => error.to_string(),
        // Other causes may hold paths of the server.
        _ => "git could not read it; the server's log says more".to_owned(),
    };
    tracing::error!(pull = %pull.id, error = %FlowError::Git(error).chain(), "nothing can be planned");
    Finding::problem(Problem::Fetch { message })
}

fn wants(pull: &Pull, default: &Branch, onto: Onto<'_>) -> Vec<Want> {
    let mut wants = vec![Want::Commit(pull.head.clone()), Want::Branch(default.clone())];
    match (onto, pull.merge_commit()) {
        (Onto::Commit(base), _) => wants.push(Want::Commit(base.clone())),
        (Onto::Branch, Some(commit)) => {
            wants.extend([Want::Commit(commit.clone()), Want::Commit(pull.base.clone())]);
        }
        (Onto::Branch, None) if pull.base_branch != *default => wants.push(Want::Branch(pull.base_branch.clone())),
        (Onto::Branch, None) => {}
    }
    wants
}

async fn base_of(mirror: &Mirror, pull: &Pull, onto: Onto<'_>) -> Result<Sha, FlowError> {
    if let Onto::Commit(base) = onto {
        return Ok(base.clone());
    }
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
