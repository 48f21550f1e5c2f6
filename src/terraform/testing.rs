//! A project on disk with the real tool, for the tests of this folder.

use super::environment::Installation;
use super::install::{Product, Tool, Tools};
use super::managed::ManagedState;
use super::private_modules::PrivateModules;
use super::steps::{Limits, StepSettings, Steps};
use crate::domain::id::Workspace;
use crate::sandbox::Cage;
use crate::sandbox::log::LogWriter;
use crate::sandbox::redact::Redactor;
use secrecy::SecretString;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Makes a test of each function, once with each tool.
macro_rules! for_both_tools {
    ($($name:ident),* $(,)?) => {
        mod with_terraform {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::terraform::testing::Project::new($crate::terraform::install::Product::Terraform).await).await;
            })*
        }
        mod with_opentofu {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::terraform::testing::Project::new($crate::terraform::install::Product::OpenTofu).await).await;
            })*
        }
    };
}
pub(super) use for_both_tools;

pub(super) fn path_variable() -> OsString {
    std::env::var_os("PATH").expect("the tests need a PATH")
}

/// The binary under test. A missing one is a failure: a suite that skips what it cannot do proves nothing.
pub(super) async fn tool(product: Product, scratch: &Path) -> Tool {
    let configured = match product {
        Product::Terraform => vec![],
        Product::OpenTofu => {
            let path = std::env::var_os("TERRAPLANE_TEST_TOFU")
                .expect("TERRAPLANE_TEST_TOFU must name a tofu binary: export it from scripts/install-tofu.sh");
            vec![PathBuf::from(path)]
        }
    };
    let tool = Tools::new(&configured, &path_variable(), scratch).choose([]).await.expect("the tool is there");
    assert_eq!(tool.product, product);
    tool
}

pub(super) struct Project {
    root: TempDir,
    pub(super) tool: Tool,
    pub(super) env: Vec<(String, SecretString)>,
    pub(super) init_env: Vec<(String, SecretString)>,
    pub(super) modules: Option<PrivateModules>,
    pub(super) state: Option<ManagedState>,
    pub(super) workspace: Workspace,
    pub(super) installation: Installation,
    pub(super) limits: Limits,
    pub(super) cancel: CancellationToken,
}

impl Project {
    pub(super) async fn new(product: Product) -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["tree/project", "scratch"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        let tool = tool(product, &root.path().join("scratch")).await;
        let installation = Installation::Mirror(root.path().join("mirror"));
        Self {
            root,
            tool,
            env: vec![],
            init_env: vec![],
            modules: None,
            state: None,
            workspace: Workspace::default(),
            installation,
            limits: Limits::default(),
            cancel: CancellationToken::new(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.root().join("tree/project")
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.root().join("scratch")
    }

    pub(super) fn plan_path(&self) -> PathBuf {
        self.scratch().join("plan.bin")
    }

    /// Writes a file, by its path from the project's directory.
    pub(super) fn file(&self, path: &str, text: &str) {
        let path = self.dir().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn grant(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.into()));
    }

    pub(super) fn steps(&self) -> Steps {
        let modules = self.modules.iter().flat_map(PrivateModules::secrets).collect::<Vec<_>>();
        let granted = self.env.iter().chain(&self.init_env).map(|(_, value)| value);
        let redactor = Redactor::new(granted.chain(&modules));
        let steps = Steps::new(StepSettings {
            tool: self.tool.clone(),
            dir: self.dir(),
            scratch: self.scratch(),
            results: self.root().to_owned(),
            workspace: self.workspace.clone(),
            path: path_variable().into_string().unwrap(),
            installation: self.installation.clone(),
            env: self.env.clone(),
            init_env: self.init_env.clone(),
            modules: self.modules.clone(),
            state: self.state.clone(),
            log: LogWriter::open(&self.root().join("log"), redactor, 256 << 20).unwrap(),
            cancel: self.cancel.clone(),
            limits: self.limits.clone(),
        });
        steps.prepare().unwrap();
        steps
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.root().join("log")).unwrap_or_default()
    }

    /// Waits until the log holds a text; fails after ten seconds.
    pub(super) async fn log_says(&self, text: &str) {
        for _ in 0..1000 {
            if self.log().contains(text) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("`{text}` never came; the log: {}", self.log());
    }

    /// Init, plan and show.
    pub(super) async fn planned(&self) -> Value {
        let steps = self.steps();
        steps.init(&mut Cage::off(), false).await.unwrap();
        steps.plan(&mut Cage::off(), &self.plan_path(), &[], &[]).await.unwrap();
        serde_json::from_slice(&steps.show_json(&mut Cage::off(), &self.plan_path()).await.unwrap()).unwrap()
    }
}
