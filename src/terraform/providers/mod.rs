//! Providers: programs that a registry offers and that run with a project's credentials. `init` takes them from a mirror
//! of our own and from nowhere else: never from the registry, nor from the repository, nor from Terraform's shared
//! cache, which breaks when several `init`s fill it at once.
//!
//! ```text
//! modules ──▶ requirements ─┐
//! lock_file ────────────────┴─▶ mirror: is it there? ──no──▶ fetch ──▶ package: unpack, verify ──▶ mirror: publish
//! ```
//!
//! What is fetched is kept for everybody: the mirror grows by one directory for each version of each provider. What no run
//! has asked for in a long time is removed, and fetched again when one does.

mod address;
mod answers;
mod error;
mod fetch;
mod lock_file;
mod mirror;
mod modules;
mod package;
mod requirements;

#[cfg(test)]
mod tests;

use super::environment::Installation;
use super::install::Product;
use super::steps::{StepFailure, StepFailureKind, Steps};
use super::untrusted;
use super::version::Constraints;
use crate::sandbox::Cage;
use address::Provider;
use answers::Answers;
use error::Trouble;
pub use fetch::Fetching;
use fetch::{Download, Wanted, fetch};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lock_file::{BadLockFile, LOCK_FILE, LockFile, Locked, with_hashes};
use mirror::Mirror;
use modules::Modules;
use package::{Bounds, Hashes, PackageError, unpack};
use requirements::{Call, Requirements};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Fetches of one run at a time.
const AT_ONCE: usize = 4;

const LARGEST_LOCK_FILE: u64 = 1 << 20;

/// The mirror of this server, and what is going on around it.
#[derive(Debug)]
pub struct Providers {
    mirror: Mirror,
    /// By which the server reaches the outside: proxies, certificate authorities.
    network: Vec<(String, String)>,
    /// Whose turn it is to fetch a provider.
    turns: Mutex<HashMap<Provider, Arc<tokio::sync::Mutex<()>>>>,
    answers: Answers,
}

/// What a project's code says.
struct Needs {
    requirements: Requirements,
    /// Empty if there is none.
    lock_text: String,
    lock: LockFile,
}

impl Providers {
    /// Opens the mirror below `dir`; makes it if it is not there. `network`: those of the server's own variables that a
    /// program needs to reach a registry.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub fn open(dir: &Path, network: Vec<(String, String)>) -> io::Result<Self> {
        let mirror = Mirror::open(dir)?;
        Ok(Self { mirror, network, turns: Mutex::default(), answers: Answers::default() })
    }

    /// From where `init` is to install.
    #[must_use]
    pub fn installation(&self) -> Installation {
        Installation::Mirror(self.mirror.root().to_owned())
    }

    /// What `.terraform/providers` leads to, so that every run has to see it.
    #[must_use]
    pub fn paths(&self) -> [PathBuf; 1] {
        [self.mirror.root().to_owned()]
    }

    /// When each provider was last used or asked for, and the bytes that it takes.
    ///
    /// # Errors
    /// When the mirror can't be read.
    pub async fn uses(&self) -> io::Result<Vec<(SystemTime, u64)>> {
        self.of_mirror(Mirror::uses).await
    }

    /// Removes the providers that no run has asked for since a moment, which must be earlier than the beginning of every
    /// run that is under way.
    ///
    /// # Errors
    /// When the mirror can't be read or changed.
    pub async fn forget_unused(&self, since: SystemTime) -> io::Result<()> {
        self.of_mirror(move |mirror| mirror.forget_unused(since)).await
    }

    async fn of_mirror<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Mirror) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let mirror = self.mirror.clone();
        let done = tokio::task::spawn_blocking(move || work(&mirror)).await;
        done.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
    }

    /// Makes sure that the mirror has what the project needs, and runs `init` in its cage. `tree` is the root of the work tree;
    /// fetches have cages of their own. With
    /// the operator's own CLI configuration it is `init` alone. A project that needs nothing but the built-in provider
    /// starts no other process.
    ///
    /// # Errors
    /// When a provider can't be had, with its name and that of its registry; when `get` or `init` fails.
    pub async fn init(
        &self,
        steps: &Steps,
        cage: &mut Cage,
        tree: &Path,
        readonly_lock: bool,
        fetching: &Fetching,
    ) -> Result<(), StepFailure> {
        let settings = steps.settings();
        if matches!(settings.installation, Installation::Operator(_)) {
            return steps.init(cage, readonly_lock).await;
        }
        let mut needs = self.needs(steps, cage, tree).await?;
        for unknown in &needs.requirements.unknown {
            settings.log.line(&format!("{unknown}: which providers it needs is not known."));
        }
        self.provide(steps, &needs, fetching).await?;
        match steps.init(cage, readonly_lock).await {
            Err(failure) if matches!(failure.kind, StepFailureKind::Exit(_)) => {
                // `init` also wants the providers of resources that only the state has still.
                let more = self.only_in_state(steps, cage, &needs.requirements).await;
                if more.is_empty() {
                    return Err(failure);
                }
                needs.requirements.providers = more.into_iter().map(|provider| (provider, BTreeSet::new())).collect();
                settings.log.line("The state has resources of providers that the code no longer names.");
                self.provide(steps, &needs, fetching).await?;
                steps.init(cage, readonly_lock).await
            }
            result => result,
        }
    }

    /// Reads the code; fetches its remote modules before, if it has any, for they need providers too.
    async fn needs(&self, steps: &Steps, cage: &mut Cage, tree: &Path) -> Result<Needs, StepFailure> {
        let read = |get: bool| {
            let (tree, dir, tool) = (tree.to_owned(), steps.settings().dir.clone(), steps.settings().tool.clone());
            blocking(move || {
                let modules = Modules { tree: &tree, dir: &dir, tool: &tool };
                let requirements = if get { modules.installed() } else { modules.local() }.map_err(Trouble::Disk)?;
                let lock = untrusted::read(&dir.join(LOCK_FILE), LARGEST_LOCK_FILE);
                let lock = lock.map_err(|_| BadLockFile::no_plain_file())?.unwrap_or_default();
                let lock_text = String::from_utf8_lossy(&lock).into_owned();
                Ok(Needs { requirements, lock: LockFile::parse(&lock_text)?, lock_text })
            })
        };
        let needs = read(false).await?;
        if !needs.requirements.calls.contains(&Call::Elsewhere) {
            return Ok(needs);
        }
        steps.get(cage).await?;
        Ok(read(true).await?)
    }

    /// Has every provider in the mirror, and in the lock file what Terraform needs to accept it.
    async fn provide(&self, steps: &Steps, needs: &Needs, fetching: &Fetching) -> Result<(), Trouble> {
        let mut all = Vec::new();
        for (provider, constraints) in &needs.requirements.providers {
            // `init` says what is wrong with a constraint that is none.
            if constraints.iter().all(|constraint| constraint.parse::<Constraints>().is_ok()) {
                all.push(self.provide_one(steps, needs, provider, constraints, fetching));
            }
        }
        let hashes: Vec<Option<(Provider, String)>> = stream::iter(all).buffer_unordered(AT_ONCE).try_collect().await?;
        let more: BTreeMap<Provider, String> = hashes.into_iter().flatten().collect();
        if !more.is_empty() {
            let text = with_hashes(&needs.lock_text, &more)?;
            let path = steps.settings().dir.join(LOCK_FILE);
            untrusted::replace(&path, text.as_bytes()).map_err(Trouble::Disk)?;
        }
        Ok(())
    }

    /// Returns the hash that Terraform misses in the lock file.
    async fn provide_one(
        &self,
        steps: &Steps,
        needs: &Needs,
        provider: &Provider,
        constraints: &BTreeSet<String>,
        fetching: &Fetching,
    ) -> Result<Option<(Provider, String)>, Trouble> {
        let locked = needs.lock.entry(provider, steps.settings().tool.product);
        let parsed = constraints.iter().filter_map(|constraint| constraint.parse::<Constraints>().ok());
        let pinned = || parsed.into_iter().find_map(|constraints| constraints.exact().cloned());
        let wanted = match locked.as_ref().map(|locked| locked.version.clone()).or_else(pinned) {
            Some(version) => Wanted::Exactly(version),
            None => Wanted::Newest(constraints.clone()),
        };
        let hashes = self.have(steps, provider, &wanted, locked.as_ref(), fetching).await?;
        let misses = locked.is_some_and(|locked| locked.wants_content(&hashes.h1));
        Ok(misses.then(|| (provider.clone(), hashes.h1)))
    }

    /// Has one provider in the mirror; fetches it if it is not there. Fetches of one provider follow one another, so that
    /// whoever waits finds it there.
    async fn have(
        &self,
        steps: &Steps,
        provider: &Provider,
        wanted: &Wanted,
        locked: Option<&Locked>,
        fetching: &Fetching,
    ) -> Result<Hashes, Trouble> {
        if let Some(found) = self.find(provider, wanted, locked).await? {
            return Ok(found);
        }
        let turn = self.turn(provider);
        let _turn = tokio::select! {
            turn = turn.lock() => turn,
            () = steps.settings().cancel.cancelled() => return Err(Trouble::Cancelled),
        };
        if let Some(found) = self.find(provider, wanted, locked).await? {
            return Ok(found);
        }
        let scratch = self.mirror.scratch().map_err(Trouble::Disk)?;
        let download = fetch(steps, fetching, &self.network, scratch.path(), provider, wanted).await?;
        if let Wanted::Newest(constraints) = wanted {
            self.answers.remember(provider, constraints, download.version.clone());
        }
        let (mirror, provider, locked) = (self.mirror.clone(), provider.clone(), locked.cloned());
        blocking(move || take_in(&mirror, provider, download, locked.as_ref(), scratch.path())).await
    }

    /// The provider, if the mirror has it and the lock file allows it.
    async fn find(
        &self,
        provider: &Provider,
        wanted: &Wanted,
        locked: Option<&Locked>,
    ) -> Result<Option<Hashes>, Trouble> {
        let version = match wanted {
            Wanted::Exactly(version) => Some(version.clone()),
            Wanted::Newest(constraints) => self.answers.get(provider, constraints),
        };
        let Some(version) = version else { return Ok(None) };
        let (mirror, provider) = (self.mirror.clone(), provider.clone());
        let found = blocking(move || Ok(mirror.find(&provider, &version))).await?;
        Ok(found.filter(|found| locked.is_none_or(|locked| locked.allows(&found.h1, &found.zh))))
    }

    fn turn(&self, provider: &Provider) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(provider.clone()).or_default())
    }

    /// Providers of the state that the code does not name. After an `init` that came as far as the backend.
    async fn only_in_state(&self, steps: &Steps, cage: &mut Cage, named: &Requirements) -> Vec<Provider> {
        if !steps.settings().dir.join(".terraform/terraform.tfstate").is_file() {
            return vec![];
        }
        let product = steps.settings().tool.product;
        let in_state = steps.providers_in_state(cage).await.unwrap_or_default();
        let providers = in_state.iter().filter_map(|address| in_configuration(address, product));
        providers.filter(|provider| !provider.is_builtin() && !named.providers.contains_key(provider)).collect()
    }
}

/// Unpacks what was downloaded, compares it with the lock file, and puts it into the mirror.
fn take_in(
    mirror: &Mirror,
    provider: Provider,
    Download { version, zip }: Download,
    locked: Option<&Locked>,
    scratch: &Path,
) -> Result<Hashes, Trouble> {
    let zip = untrusted::open(&zip).map_err(|error| Trouble::Disk(io::Error::other(error)))?;
    let Some(zip) = zip else { return Err(Trouble::Nothing { provider }) };
    let unpacked = scratch.join("unpacked");
    std::fs::create_dir(&unpacked).map_err(Trouble::Disk)?;
    let hashes = match unpack(zip, provider.name(), &unpacked, Bounds::default()) {
        Ok(hashes) => hashes,
        Err(PackageError::Io(error)) => return Err(Trouble::Disk(error)),
        Err(why) => return Err(Trouble::Package { provider, version, why: Box::new(why) }),
    };
    if locked.is_some_and(|locked| !locked.allows(&hashes.h1, &hashes.zh)) {
        return Err(Trouble::WrongHash { provider, version, hashes: Box::new(hashes) });
    }
    mirror.publish(&provider, &version, &unpacked, &hashes).map_err(Trouble::Disk)?;
    Ok(hashes)
}

/// The provider of an address such as `module.a.provider["registry.terraform.io/hashicorp/aws"].west`.
fn in_configuration(address: &str, product: Product) -> Option<Provider> {
    let (_, rest) = address.split_once("provider[\"")?;
    Provider::parse(rest.split_once("\"]")?.0, product)
}

/// Disk work, off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Trouble> + Send + 'static) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Trouble::Disk(io::Error::other("it was interrupted"))))
}
