//! The sample: the repository of a small company, whose infrastructure was built by a first pull request, and a second
//! one that is open and waits for a reviewer. Everything is `terraform_data`, so no provider is downloaded; state is
//! managed by Terraplane.
//!
//! The files are real ones, below `templates/demo/infra`: `base` is on the default branch from the beginning, and
//! `first`, `second` and `third` are commits.

use super::state::{Change, ReadyCommit};
use super::world::{NewPull, World, WorldError};
use crate::domain::pull::Role;

pub const REPO: &str = "acme/infra";

/// Opens pull requests. May write.
pub const AUTHOR: &str = "sam";

/// Reviews and merges. Maintains.
pub const REVIEWER: &str = "ana";

/// The files of one step, by their path in the repository.
macro_rules! files {
    ($step:literal: $($path:literal),+ $(,)?) => {
        [$(Change::write($path, include_str!(concat!("../../templates/demo/infra/", $step, "/", $path)))),+]
    };
}

/// Makes the people and the repository. No webhook is sent but the one of a push.
///
/// # Errors
/// When git fails.
pub async fn found(world: &World) -> Result<(), WorldError> {
    let files = files!("base": "README.md", "terraplane.yaml", "modules/service/main.tf");
    world.add_repo(REPO, &files).await?;
    world.grant(REPO, REVIEWER, Role::Maintain)?;
    world.grant(REPO, AUTHOR, Role::Write)
}

/// The pull request that builds everything. Returns its number.
///
/// # Errors
/// When git fails, or there is no repository yet.
pub async fn open_first(world: &World) -> Result<u64, WorldError> {
    let files = files!("first": "prod/network/main.tf", "prod/shop/main.tf", "staging/shop/main.tf");
    let title = "Build the network and the shop";
    let body = "The first version of everything: a network for production, and the shop in production and staging.";
    open(world, "first-version", title, body, &files).await
}

/// The pull request that people play with. Returns its number.
///
/// # Errors
/// When git fails, or there is no repository yet.
pub async fn open_second(world: &World) -> Result<u64, WorldError> {
    let files = files!("second": "modules/service/main.tf", "prod/network/main.tf", "prod/shop/main.tf");
    let title = "Shop 1.5: a third instance, health checks, no legacy subnet";
    let body = include_str!("../../templates/demo/pull.md");
    let number = open(world, "shop-1.5", title, body, &files).await?;
    let next = ReadyCommit {
        author: AUTHOR.into(),
        message: "Shop 1.5 in staging too".into(),
        changes: files!("third": "staging/shop/main.tf").into(),
    };
    world.change(|state| {
        if let Some(pull) = state.pull_mut(REPO, number) {
            pull.ready.push_back(next);
        }
    });
    Ok(number)
}

async fn open(world: &World, branch: &str, title: &str, body: &str, files: &[Change]) -> Result<u64, WorldError> {
    world.push(REPO, branch, AUTHOR, title, files).await?;
    let new = NewPull {
        title: title.into(),
        body: body.into(),
        author: AUTHOR.into(),
        head_branch: branch.into(),
        ..NewPull::default()
    };
    world.open_pull(REPO, new).await
}
