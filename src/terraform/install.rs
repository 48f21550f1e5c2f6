//! Which Terraform or OpenTofu runs a project: the first one, in the operator's order, whose version the project's
//! constraints allow. A binary is asked for its version once, and again when the file changes.

use super::environment::{Environment, Installation};
use super::version::{Constraints, InvalidConstraint};
use crate::sandbox::process::{self, Spec};
use crate::sandbox::sink::Sink;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;

#[cfg(test)]
mod tests;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Product {
    Terraform,
    OpenTofu,
}

impl Product {
    pub const ALL: [Self; 2] = [Self::Terraform, Self::OpenTofu];

    /// The binary's usual name.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Terraform => "terraform",
            Self::OpenTofu => "tofu",
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Terraform => "terraform",
            Self::OpenTofu => "opentofu",
        }
    }
}

/// A binary that was asked what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub product: Product,
    pub version: Version,
    pub path: PathBuf,
}

impl Tool {
    /// `terraform 1.11.4` or `opentofu 1.6.2`: a saved plan is only applied by its equal.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{} {}", self.product.as_str(), self.version)
    }
}

/// Why there is no tool for a project. Fit for a comment: it names no path of the server.
#[derive(Debug, thiserror::Error)]
pub enum NoTool {
    #[error("a version constraint cannot be read: {0}")]
    Constraint(#[from] InvalidConstraint),
    #[error("this server has neither terraform nor tofu; whoever runs it must install one of them on its PATH")]
    NoneInstalled,
    #[error("no installed version satisfies `{wanted}`; this server has {installed}")]
    NoneFits { wanted: String, installed: String },
    #[error("this server's {0} does not tell its version; `terraplane doctor` says more")]
    Broken(String),
}

/// A binary that does not answer as Terraform does.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{}` is not usable: {why}", path.display())]
pub struct BrokenTool {
    pub path: PathBuf,
    pub why: String,
}

/// The binaries of this host.
#[derive(Debug)]
pub struct Tools {
    candidates: Vec<PathBuf>,
    scratch: PathBuf,
    /// What each file answered; held while asking, so that nobody asks twice.
    known: Mutex<BTreeMap<PathBuf, (Stamp, Answer)>>,
}

type Answer = Result<Tool, BrokenTool>;

/// Tells whether a file is still the one that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

impl Tools {
    /// `configured`: absolute paths of binaries, in the order of preference. If there are none, what is on `path` (the
    /// value of `PATH`) counts, Terraform before OpenTofu. `scratch`: an existing directory of the server's.
    #[must_use]
    pub fn new(configured: &[PathBuf], path: &OsStr, scratch: &Path) -> Self {
        let on_path = || {
            Product::ALL.iter().filter_map(|product| {
                std::env::split_paths(path)
                    .filter(|dir| dir.is_absolute())
                    .map(|dir| dir.join(product.program()))
                    .find(|file| is_executable(file))
            })
        };
        let candidates = if configured.is_empty() { on_path().collect() } else { configured.to_vec() };
        Self { candidates, scratch: scratch.to_owned(), known: Mutex::default() }
    }

    /// The first tool that all the constraints allow.
    ///
    /// # Errors
    /// When there is none, with what is there instead.
    pub async fn choose<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Result<Tool, NoTool> {
        let wanted: BTreeSet<&str> = wanted.into_iter().map(str::trim).filter(|text| !text.is_empty()).collect();
        let constraints: Vec<Constraints> = wanted.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let all = self.all().await;
        let fits = |tool: &&Tool| constraints.iter().all(|constraints| constraints.allow(&tool.version));
        if let Some(tool) = all.iter().filter_map(|tool| tool.as_ref().ok()).find(fits) {
            return Ok(tool.clone());
        }
        let installed: Vec<String> = all.iter().flatten().map(Tool::identity).collect();
        if !installed.is_empty() {
            let wanted = wanted.into_iter().collect::<Vec<_>>().join(", ");
            return Err(NoTool::NoneFits { wanted, installed: installed.join(", ") });
        }
        Err(all.into_iter().find_map(Result::err).map_or(NoTool::NoneInstalled, |broken| {
            let name = broken.path.file_name().unwrap_or(OsStr::new("tool"));
            NoTool::Broken(name.to_string_lossy().into_owned())
        }))
    }

    /// Every candidate in the order of preference, for the operator's eyes.
    pub async fn all(&self) -> Vec<Result<Tool, BrokenTool>> {
        let mut known = self.known.lock().await;
        let mut all = Vec::with_capacity(self.candidates.len());
        for path in &self.candidates {
            let stamp = match Stamp::of(path) {
                Ok(stamp) => stamp,
                Err(error) => {
                    known.remove(path);
                    all.push(Err(BrokenTool { path: path.clone(), why: error.to_string() }));
                    continue;
                }
            };
            let answer = match known.get(path) {
                Some((asked, answer)) if *asked == stamp => answer.clone(),
                _ => {
                    let answer = ask(path, &self.scratch).await.map_err(|why| BrokenTool { path: path.clone(), why });
                    known.insert(path.clone(), (stamp, answer.clone()));
                    answer
                }
            };
            all.push(answer);
        }
        all
    }
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self { modified: (file.mtime(), file.mtime_nsec()), size: file.len(), inode: file.ino() })
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Asks by `version -json`. Both tools call their version `terraform_version`; only Terraform says whether it is
/// outdated, for OpenTofu asks nobody about that.
async fn ask(path: &Path, scratch: &Path) -> Result<Tool, String> {
    #[derive(Deserialize)]
    struct About {
        terraform_version: String,
        terraform_outdated: Option<bool>,
    }
    // For this question it takes no providers.
    let environment = Environment::new(scratch, "", &Installation::Mirror(scratch.join("none")), vec![]);
    environment.prepare().map_err(|error| format!("its working directory cannot be made: {error}"))?;
    let spec = Spec {
        env: environment.plain,
        stdout: Sink::Buffer { max: 64 << 10 },
        stderr: Sink::Buffer { max: 64 << 10 },
        deadline: Duration::from_secs(30),
        ..Spec::new(path, scratch).args(["version", "-json"])
    };
    let outcome = process::run(spec).await.map_err(|error| format!("{error}: {}", error.source))?;
    if !outcome.end.success() {
        return Err(format!("`version -json` did not succeed ({:?})", outcome.end));
    }
    let strange = |error: &dyn std::fmt::Display| format!("`version -json` did not answer as Terraform does: {error}");
    let about: About = serde_json::from_slice(&outcome.stdout.bytes).map_err(|error| strange(&error))?;
    let version = Version::parse(&about.terraform_version).map_err(|error| strange(&error))?;
    let product = if about.terraform_outdated.is_some() { Product::Terraform } else { Product::OpenTofu };
    Ok(Tool { product, version, path: path.to_owned() })
}
