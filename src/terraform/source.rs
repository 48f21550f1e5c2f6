//! What Terraform files say without being run: which directories they use, where their state lives, which versions they
//! accept. Reads `.tf`, `.tofu` and their JSON forms.
//!
//! The parser has no error recovery, and a module's source may be an expression. In both cases the answer is "unknown",
//! and whoever decides by it takes more, not less.

use crate::domain::id::ProjectDir;
use crate::domain::impact::{ModuleFacts, Modules, resolve};
use hcl_edit::parser::parse_body;
use hcl_edit::structure::Body;
use serde_json::Value;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// A file of a git tree whose path [`is_source`] approves.
#[derive(Debug, Clone, Copy)]
pub struct SourceFile<'a> {
    /// From the root of the repository.
    pub path: &'a str,
    pub content: Content<'a>,
}

#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    Text(&'a [u8]),
    /// A symbolic link, and where it leads.
    Link(&'a [u8]),
    /// There, but not read: too large, or a submodule.
    Unread,
}

/// Whether Terraform or OpenTofu would load the file.
#[must_use]
pub fn is_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ours = [".tf", ".tofu", ".tf.json", ".tofu.json"].iter().any(|end| name.ends_with(end));
    ours && !name.starts_with('.') && !path.split('/').any(|part| part == ".terraform")
}

/// Reads every module of a tree.
#[must_use]
pub fn modules<'a>(files: impl IntoIterator<Item = SourceFile<'a>>) -> Modules {
    facts(files).into_iter().collect()
}

/// What the files of each directory say. That depends on other directories only where one of them is a link.
#[must_use]
pub fn facts<'a>(files: impl IntoIterator<Item = SourceFile<'a>>) -> BTreeMap<ProjectDir, ModuleFacts> {
    let files: BTreeMap<&str, Content<'a>> = files.into_iter().map(|file| (file.path, file.content)).collect();
    let mut all: BTreeMap<ProjectDir, ModuleFacts> = BTreeMap::new();
    for (path, content) in &files {
        let Ok(dir) = path.rsplit_once('/').map_or(".", |(dir, _)| dir).parse::<ProjectDir>() else { continue };
        let facts = all.entry(dir.clone()).or_default();
        let mut reader = Reader { dir: &dir, path, facts };
        match content {
            Content::Text(text) => reader.text(path, text),
            Content::Link(target) => reader.link(target, &files),
            Content::Unread => reader.unknown("was not read"),
        }
    }
    all
}

struct Reader<'a> {
    dir: &'a ProjectDir,
    path: &'a str,
    facts: &'a mut ModuleFacts,
}

impl Reader<'_> {
    fn unknown(&mut self, why: &str) {
        self.facts.unknown.get_or_insert_with(|| format!("`{}` {why}", self.path));
    }

    /// Follows one link; a chain of them is not worth the trouble.
    fn link(&mut self, target: &[u8], files: &BTreeMap<&str, Content<'_>>) {
        let target = std::str::from_utf8(target).ok().and_then(|target| resolve(self.dir, target));
        let found = target.as_deref().and_then(|target| files.get_key_value(target));
        match found {
            Some((target, Content::Text(text))) => {
                self.facts.links.insert(self.path.to_owned(), (*target).to_owned());
                self.text(self.path, text);
            }
            _ => self.unknown("is a link that leads to no Terraform file of the repository"),
        }
    }

    fn text(&mut self, path: &str, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else { return self.unknown("is not UTF-8") };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if path.ends_with(".json") {
            match serde_json::from_str::<Value>(text) {
                Ok(json) => self.json(&json),
                Err(_) => self.unknown("is not JSON"),
            }
        } else {
            match parse_body(text) {
                Ok(body) => self.hcl(&body),
                Err(_) => self.unknown("cannot be parsed"),
            }
        }
    }

    fn hcl(&mut self, body: &Body) {
        for module in body.get_blocks("module") {
            match module.body.get_attribute("source").map(|source| source.value.as_str()) {
                Some(Some(source)) => self.source(source),
                Some(None) => self.unknown("has a module whose source is an expression"),
                // Terraform refuses the block, unless another file completes it.
                None => {}
            }
        }
        for settings in body.get_blocks("terraform") {
            for backend in settings.body.get_blocks("backend") {
                self.facts.backend = backend.labels.first().map(|label| label.as_str().to_owned());
            }
            if settings.body.has_blocks("cloud") {
                self.facts.backend = Some("cloud".into());
            }
            let versions = settings.body.get_attribute("required_version").and_then(|version| version.value.as_str());
            self.facts.required_versions.extend(versions.map(str::to_owned));
        }
    }

    /// JSON syntax: <https://developer.hashicorp.com/terraform/language/syntax/json>. Wherever a block may stand, an
    /// array of them may.
    fn json(&mut self, json: &Value) {
        for named in each(json.get("module")) {
            for module in named.as_object().into_iter().flat_map(|named| named.values()).flat_map(|m| each(Some(m))) {
                match module.get("source") {
                    Some(Value::String(source)) if !source.contains("${") && !source.contains("%{") => {
                        self.source(source)
                    }
                    Some(_) => self.unknown("has a module whose source is an expression"),
                    None => {}
                }
            }
        }
        for settings in each(json.get("terraform")) {
            for backend in each(settings.get("backend")).filter_map(Value::as_object) {
                self.facts.backend = backend.keys().next().cloned();
            }
            if settings.get("cloud").is_some_and(|cloud| !cloud.is_null()) {
                self.facts.backend = Some("cloud".into());
            }
            let version = settings.get("required_version").and_then(Value::as_str);
            self.facts.required_versions.extend(version.map(str::to_owned));
        }
    }

    /// Only sources that begin with `./` or `../` are directories of the repository; all else is fetched.
    fn source(&mut self, source: &str) {
        if !(source.starts_with("./") || source.starts_with("../")) {
            return;
        }
        match resolve(self.dir, source).map(|path| if path.is_empty() { ".".to_owned() } else { path }.parse()) {
            Some(Ok(dir)) => {
                self.facts.uses.insert(dir);
            }
            _ => self.unknown("uses a module outside of the repository"),
        }
    }
}

/// A block's value: one, or an array of them.
pub(super) fn each(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    match value {
        Some(Value::Array(many)) => many.iter(),
        Some(one) => std::slice::from_ref(one).iter(),
        None => [].iter(),
    }
}
