//! `terraplane check`: what a repository's file means for the code beside it, before it is pushed.
//!
//! It reads a checkout as the server reads a commit, without running anything. The rules that count on the server are
//! those of the default branch; here they are the checkout's.

use crate::config::{ConfigErrors, FoundProject, Layers, REPO_FILE, RepoConfig, ResolvedProject, resolve};
use crate::domain::id::ProjectDir;
use crate::domain::impact::Modules;
use crate::domain::permission::one_of;
use crate::domain::project::{ApplyMode, Project, StateKind};
use crate::domain::requirement::Requirement;
use crate::terraform::source::{Content, SourceFile, is_source, modules};
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

#[cfg(test)]
mod tests;

/// Larger Terraform files are not read, so that what they use is not known.
const MAX_SOURCE_BYTES: u64 = 1024 * 1024;

/// Prints what the checkout at `path` means. The exit code: 0; 1 if something is there that probably nobody wants; 2 if
/// the file is wrong or there is no directory.
///
/// # Errors
/// When the output cannot be written, or the checkout cannot be read.
pub fn check(path: &Path, out: &mut dyn Write) -> anyhow::Result<u8> {
    if !path.is_dir() {
        writeln!(out, "{} is not a directory: name the root of a checkout", path.display())?;
        return Ok(2);
    }
    let config = match read_config(path) {
        Ok(config) => config,
        Err(errors) => {
            writeln!(out, "{errors}")?;
            return Ok(2);
        }
    };
    let (modules, found) = survey(path)?;
    let empty = RepoConfig::default();
    let said = config.as_ref().unwrap_or(&empty);
    let layers = Layers { defaults: &empty, default_branch: said, pull: said, enforce: &empty };
    let resolved = match resolve(&layers, &found) {
        Ok(resolved) => resolved,
        Err(errors) => {
            writeln!(out, "{errors}")?;
            return Ok(2);
        }
    };
    match &config {
        Some(_) => writeln!(out, "{REPO_FILE} is in order. It means:")?,
        None => writeln!(out, "There is no {REPO_FILE}, so every root module is a project:")?,
    }
    for project in &resolved {
        print_project(project, &modules, out)?;
    }
    let findings = findings(path, config.as_ref(), &resolved, &modules);
    for finding in &findings {
        writeln!(out, "\nfinding: {finding}")?;
    }
    if resolved.iter().any(|project| !project.decided_by.is_empty()) {
        writeln!(out, "\nA pull request is judged by the rules of the default branch, and by those of the server.")?;
    }
    Ok(u8::from(!findings.is_empty()))
}

/// `None` if there is no file.
fn read_config(root: &Path) -> Result<Option<RepoConfig>, ConfigErrors> {
    let text = match fs::read(root.join(REPO_FILE)) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error),
    };
    match text {
        Ok(text) => RepoConfig::parse(REPO_FILE, &text).map(Some),
        Err(error) => Err(ConfigErrors::about_file(REPO_FILE, format!("the file cannot be read: {error}"), None)),
    }
}

/// The content of one Terraform file of a checkout.
enum Read {
    Text(Vec<u8>),
    Link(Vec<u8>),
    Unread,
}

/// Every directory with Terraform code, and how the directories hang together.
fn survey(root: &Path) -> anyhow::Result<(Modules, Vec<FoundProject>)> {
    let mut files = BTreeMap::new();
    walk(root, "", &mut files).with_context(|| format!("reading {}", root.display()))?;
    let modules = modules(files.iter().map(|(path, read)| SourceFile {
        path,
        content: match read {
            Read::Text(text) => Content::Text(text),
            Read::Link(target) => Content::Link(target),
            Read::Unread => Content::Unread,
        },
    }));
    let dirs: BTreeSet<ProjectDir> =
        files.keys().filter_map(|path| path.rsplit_once('/').map_or(".", |(dir, _)| dir).parse().ok()).collect();
    let roots = modules.roots();
    let found = dirs.into_iter().map(|dir| FoundProject {
        root_module: roots.contains(&&dir),
        has_backend: modules.get(&dir).is_some_and(|facts| facts.keeps_state()),
        required_version: Some(modules.required_versions(&dir).join(", ")).filter(|text| !text.is_empty()),
        on_default_branch: true,
        dir,
    });
    let found = found.collect();
    Ok((modules, found))
}

/// Follows no link, so that it ends. What git and terraform keep for themselves is no part of a commit.
fn walk(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Read>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(text) = name.to_str() else { continue };
        let path = format!("{prefix}{text}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if name != OsStr::new(".git") && name != OsStr::new(".terraform") {
                walk(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if is_source(&path) {
            let read = if kind.is_symlink() {
                Read::Link(fs::read_link(entry.path())?.into_os_string().into_vec())
            } else if kind.is_file() && entry.metadata()?.len() <= MAX_SOURCE_BYTES {
                Read::Text(fs::read(entry.path())?)
            } else {
                Read::Unread
            };
            files.insert(path, read);
        }
    }
    Ok(())
}

fn print_project(resolved: &ResolvedProject, modules: &Modules, out: &mut dyn Write) -> io::Result<()> {
    let ResolvedProject { project, listed, decided_by, .. } = resolved;
    let joined = |texts: &[String]| Some(texts.join(", ")).filter(|text| !text.is_empty());
    let after: Vec<String> = project.after.iter().map(ToString::to_string).collect();
    let why =
        if *listed { format!("listed in {REPO_FILE}") } else { "a root module, found by reading the code".into() };
    let facts = [
        ("why", Some(why)),
        ("applied", Some(applied(project.apply).to_owned())),
        ("requires", Some(requires(project))),
        ("decided by", joined(decided_by)),
        ("state", Some(state(project, modules))),
        ("terraform", project.terraform_version.clone()),
        ("tags", joined(&project.tags)),
        ("var files", joined(&project.var_files)),
        ("watches", joined(&project.watch)),
        ("after", joined(&after)),
        ("windows", joined(&project.windows.iter().map(|window| String::from(window.clone())).collect::<Vec<_>>())),
    ];
    writeln!(out, "\n{}{}", project.name, place(project))?;
    for (title, text) in facts {
        if let Some(text) = text {
            writeln!(out, "  {title:<10}  {text}")?;
        }
    }
    Ok(())
}

/// Where the project is, if its name does not say so.
fn place(project: &Project) -> String {
    let key = project.key.to_string();
    if project.name.as_str() == key { String::new() } else { format!(" ({key})") }
}

const fn applied(mode: ApplyMode) -> &'static str {
    match mode {
        ApplyMode::OnMerge => "when the pull request is merged",
        ApplyMode::OnComment => "by the comment `terraplane apply`",
        ApplyMode::Both => "by the comment `terraplane apply`, or when the pull request is merged",
    }
}

fn requires(project: &Project) -> String {
    let words = |all: &[Requirement]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut all: Vec<String> = words(&project.require);
    all.extend(words(&project.require_plan).iter().map(|word| format!("to plan: {word}")));
    all.extend(words(&project.require_import).iter().map(|word| format!("to import: {word}")));
    for (verb, lists) in &project.can.0 {
        for list in lists {
            let names: Vec<String> = list.iter().map(ToString::to_string).collect();
            all.push(format!("{} by {}", verb.as_str(), one_of(&names)));
        }
    }
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

fn state(project: &Project, modules: &Modules) -> String {
    let backend = modules.get(&project.key.dir).and_then(|facts| facts.backend.as_deref());
    match (project.state, backend) {
        (StateKind::Managed, _) => "managed: Terraplane keeps it".to_owned(),
        (StateKind::Remote, backend) => format!("in the backend `{}`", backend.unwrap_or("?")),
        (StateKind::Nowhere, Some(backend)) => format!("nowhere: the backend `{backend}` keeps it in the work tree"),
        (StateKind::Nowhere, None) => "nowhere: the code has no backend".to_owned(),
    }
}

/// What is allowed, and probably not meant.
fn findings(root: &Path, config: Option<&RepoConfig>, resolved: &[ResolvedProject], modules: &Modules) -> Vec<String> {
    let mut findings = Vec::new();
    if resolved.is_empty() {
        findings.push("there is no project here".to_owned());
    }
    if config.is_none() && root.join("atlantis.yaml").exists() {
        findings.push(format!("there is an atlantis.yaml, which this version does not read: write a {REPO_FILE}"));
    }
    for ResolvedProject { project, .. } in resolved {
        if let Some(why) = modules.get(&project.key.dir).and_then(|facts| facts.unknown.as_deref()) {
            findings.push(format!("{why}: every change of a module then concerns {}", project.name));
        } else if project.state == StateKind::Nowhere {
            findings.push(format!(
                "{} is planned and never applied, because its state would be lost: add a `backend` block, or \
                 `state: managed` in {REPO_FILE}",
                project.name
            ));
        }
    }
    for place in config.map(|config| config.idle_rules(resolved)).unwrap_or_default() {
        findings.push(format!("the rule at {place} matches no project"));
    }
    findings
}
