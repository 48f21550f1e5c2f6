//! Reads the modules of a work tree from the disk: the project's directory and all that it calls. What it reads was
//! written by a pull request's author, so nothing outside of the work tree is read, whatever links say.

use super::requirements::{Call, Requirements};
use crate::terraform::install::{Product, Tool};
use crate::terraform::untrusted;
use semver::Version;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of one file.
const LARGEST_FILE: u64 = 8 << 20;

/// Directories of one project.
const MOST_MODULES: usize = 2000;

/// Where `get` and `init` write down which module is where.
const MANIFEST: &str = ".terraform/modules/modules.json";

/// A project in a work tree.
#[derive(Debug)]
pub(super) struct Modules<'a> {
    /// The root of the work tree.
    pub(super) tree: &'a Path,
    /// The project's directory in it.
    pub(super) dir: &'a Path,
    pub(super) tool: &'a Tool,
}

impl Modules<'_> {
    /// What the project and the local modules that it calls want. Whether modules from elsewhere are called is in
    /// [`Requirements::calls`].
    pub(super) fn local(&self) -> io::Result<Requirements> {
        self.read(vec![self.dir.to_owned()], true)
    }

    /// The same for all modules that `get` has found or fetched.
    pub(super) fn installed(&self) -> io::Result<Requirements> {
        #[derive(Deserialize)]
        struct Manifest {
            #[serde(rename = "Modules")]
            modules: Vec<Module>,
        }
        #[derive(Deserialize)]
        struct Module {
            #[serde(rename = "Dir")]
            dir: PathBuf,
        }
        let path = self.inside(&self.dir.join(MANIFEST))?;
        let text = match path {
            Some(path) => untrusted::read(&path, LARGEST_FILE).map_err(|_| unreadable())?,
            None => None,
        };
        let Manifest { modules } = serde_json::from_slice(&text.unwrap_or_default()).map_err(|_| unreadable())?;
        let dirs = modules.into_iter().map(|module| self.dir.join(module.dir));
        self.read(dirs.chain([self.dir.to_owned()]).collect(), false)
    }

    fn read(&self, mut open: Vec<PathBuf>, follow: bool) -> io::Result<Requirements> {
        let mut all = Requirements::default();
        let mut seen = BTreeSet::new();
        while let Some(dir) = open.pop() {
            let Some(dir) = self.inside(&dir)?.filter(|dir| dir.is_dir()) else { continue };
            if !seen.insert(dir.clone()) {
                continue;
            }
            if seen.len() > MOST_MODULES {
                all.unknown.push(format!("there are more than {MOST_MODULES} modules"));
                break;
            }
            let found = self.module(&dir, seen.len() == 1)?;
            if follow {
                open.extend(found.calls.iter().filter_map(|call| match call {
                    Call::Local(source) => Some(dir.join(source)),
                    Call::Elsewhere => None,
                }));
            }
            all.merge(found);
        }
        Ok(all)
    }

    /// One module; the project itself has tests too, for which `init` installs providers as well.
    fn module(&self, dir: &Path, is_project: bool) -> io::Result<Requirements> {
        let mut files = self.files(dir)?;
        let mut unread = Vec::new();
        if is_project && let Some(tests) = self.inside(&dir.join("tests"))?.filter(|tests| tests.is_dir()) {
            files.extend(self.files(&tests)?.into_iter().filter(|path| is_test(&name(path))));
        }
        let mut texts = Vec::new();
        for path in files {
            let text = match self.inside(&path)? {
                Some(path) => untrusted::read(&path, LARGEST_FILE).unwrap_or_default(),
                None => None,
            };
            match text {
                Some(text) => texts.push((name(&path), text)),
                None => unread.push(format!("`{}` cannot be read", name(&path))),
            }
        }
        let mut found = Requirements::of_module(&texts, self.tool.product);
        found.unknown.extend(unread);
        Ok(found)
    }

    /// The files that the tool would load, in the order of their names.
    fn files(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let all: BTreeSet<String> = fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()?;
        Ok(all.iter().filter(|name| self.loads(name, &all)).map(|name| dir.join(name)).collect())
    }

    fn loads(&self, name: &str, all: &BTreeSet<String>) -> bool {
        if name.starts_with('.') {
            return false;
        }
        let reads_tofu = self.tool.product == Product::OpenTofu && self.tool.version >= Version::new(1, 8, 0);
        if name.ends_with(".tofu") || name.ends_with(".tofu.json") || name.ends_with(".tofutest.hcl") {
            return reads_tofu;
        }
        // `a.tofu` stands in for `a.tf`.
        let instead = name.strip_suffix(".tf").map(|stem| format!("{stem}.tofu"));
        let instead = instead.or_else(|| name.strip_suffix(".tf.json").map(|stem| format!("{stem}.tofu.json")));
        match instead {
            Some(instead) => !(reads_tofu && all.contains(&instead)),
            None => is_test(name),
        }
    }

    /// Where a path really leads, if that is in the work tree; `None` also if it leads nowhere.
    fn inside(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let tree = fs::canonicalize(self.tree)?;
        Ok(fs::canonicalize(path).ok().filter(|path| path.starts_with(&tree)))
    }
}

fn unreadable() -> io::Error {
    io::Error::other(format!("`{MANIFEST}` cannot be read"))
}

fn is_test(name: &str) -> bool {
    [".tftest.hcl", ".tftest.json", ".tofutest.hcl", ".tofutest.json"].iter().any(|end| name.ends_with(end))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terraform::providers::address::Provider;
    use std::os::unix::fs::symlink;

    fn write(dir: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn tool(product: Product, version: &str) -> Tool {
        Tool { product, version: version.parse().unwrap(), path: PathBuf::new() }
    }

    fn names(found: &Requirements) -> Vec<&str> {
        found.providers.keys().map(Provider::name).collect()
    }

    #[test]
    fn local_modules_are_followed_wherever_they_are_in_the_repository() {
        let tree = tempfile::tempdir().unwrap();
        write(
            tree.path(),
            &[
                ("project/main.tf", "module \"a\" {\n  source = \"../modules/a\"\n}\nresource \"one_x\" \"x\" {}\n"),
                ("project/tests/a.tftest.hcl", "provider \"four\" {}\n"),
                ("project/tests/helper.tf", "provider \"unused\" {}\n"),
                (
                    "modules/a/main.tf.json",
                    r#"{"module": {"b": {"source": "./b"}, "up": {"source": "../../project"}}}"#,
                ),
                ("modules/a/b/main.tf", "data \"two_x\" \"x\" {}\n"),
                ("other/main.tf", "data \"three_x\" \"x\" {}\n"),
            ],
        );
        let (dir, tool) = (tree.path().join("project"), tool(Product::Terraform, "1.11.4"));
        let found = Modules { tree: tree.path(), dir: &dir, tool: &tool }.local().unwrap();
        assert_eq!(names(&found), ["four", "one", "two"]);
        assert!(!found.calls.contains(&Call::Elsewhere));
        assert!(found.unknown.is_empty(), "{:?}", found.unknown);
    }

    #[test]
    fn installed_modules_are_those_of_the_manifest() {
        let tree = tempfile::tempdir().unwrap();
        write(
            tree.path(),
            &[
                ("main.tf", "module \"a\" {\n  source = \"acme/a/x\"\n}\n"),
                (".terraform/modules/a/main.tf", "resource \"one_x\" \"x\" {}\n"),
                (
                    MANIFEST,
                    r#"{"Modules": [{"Key": "", "Source": "", "Dir": "."},
                        {"Key": "a", "Source": "registry.terraform.io/acme/a/x", "Dir": ".terraform/modules/a"},
                        {"Key": "b", "Source": "x", "Dir": "../../../../../../etc"}]}"#,
                ),
            ],
        );
        let tool = tool(Product::Terraform, "1.11.4");
        let modules = Modules { tree: tree.path(), dir: tree.path(), tool: &tool };
        assert!(modules.local().unwrap().calls.contains(&Call::Elsewhere));
        assert_eq!(names(&modules.installed().unwrap()), ["one"]);
    }

    #[test]
    fn opentofus_own_files_are_read_by_an_opentofu_that_knows_them() {
        let tree = tempfile::tempdir().unwrap();
        write(tree.path(), &[("main.tf", "provider \"one\" {}"), ("main.tofu", "provider \"two\" {}")]);
        for (tool, read) in [
            (tool(Product::Terraform, "1.11.4"), "one"),
            (tool(Product::OpenTofu, "1.6.2"), "one"),
            (tool(Product::OpenTofu, "1.8.0"), "two"),
        ] {
            let found = Modules { tree: tree.path(), dir: tree.path(), tool: &tool }.local().unwrap();
            assert_eq!(names(&found), [read], "{}", tool.identity());
        }
    }

    #[test]
    fn links_are_followed_within_the_work_tree_only() {
        let outside = tempfile::tempdir().unwrap();
        write(outside.path(), &[("secret.tf", "provider \"stolen\" {}"), ("module/main.tf", "provider \"stolen\" {}")]);
        let tree = tempfile::tempdir().unwrap();
        let call = "module \"a\" {\n  source = \"./away\"\n}\n";
        write(tree.path(), &[("project/main.tf", call), ("shared/versions.tf", "provider \"shared\" {}")]);
        let dir = tree.path().join("project");
        symlink("../shared/versions.tf", dir.join("versions.tf")).unwrap();
        symlink(outside.path().join("secret.tf"), dir.join("secret.tf")).unwrap();
        symlink(outside.path().join("module"), dir.join("away")).unwrap();
        let tool = tool(Product::Terraform, "1.11.4");
        let found = Modules { tree: tree.path(), dir: &dir, tool: &tool }.local().unwrap();
        assert_eq!(names(&found), ["shared"]);
        assert_eq!(found.unknown, ["`secret.tf` cannot be read"]);
    }
}
