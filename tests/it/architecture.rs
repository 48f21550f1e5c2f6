//! The import rule, the edges of foreign types and the length of files, held by a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Production code of one file: what stands before its tests.
struct Source {
    /// Below `src/`.
    path: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 40, "the sources were not found");
    files
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&file).unwrap();
            Source { path, code: production(&text) }
        })
        .filter(|source| !is_test_file(&source.path))
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

fn is_test_file(path: &str) -> bool {
    let helpers = ["/tests.rs", "/fixture.rs", "/sample.rs", "/testing.rs"];
    path.contains("/tests/") || helpers.iter().any(|name| path.ends_with(name))
}

/// Without a trailing `#[cfg(test)] mod tests { … }`.
fn production(text: &str) -> String {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
}

/// The top module that a file belongs to: `flow` for `flow/run.rs`, `archive` for `archive.rs`.
fn module(path: &str) -> &str {
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Lines that are code, without comments and text in quotes.
fn code_lines(code: &str) -> impl Iterator<Item = &str> {
    code.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

#[test]
fn imports_run_one_way() {
    let edges = ["forge", "git", "terraform", "sandbox", "store", "archive", "render"];
    let mut allowed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    allowed.insert("domain", vec![]);
    allowed.insert("config", vec!["domain"]);
    allowed.insert("telemetry", vec![]);
    // Where tests end the process: in all that writes, asks or starts something.
    allowed.insert("crash", vec![]);
    for edge in edges {
        allowed.insert(edge, vec!["domain", "crash"]);
    }
    // Whatever starts a process does so through the sandbox.
    allowed.get_mut("git").unwrap().push("sandbox");
    allowed.get_mut("terraform").unwrap().push("sandbox");
    let flow: Vec<&str> = edges.into_iter().chain(["domain", "config"]).collect();
    let web: Vec<&str> = flow.iter().copied().chain(["flow", "telemetry"]).collect();
    // The demo is a forge, not a part of the server: it knows what a forge knows, and starts git.
    allowed.insert("demo", vec!["domain", "sandbox"]);
    let cli: Vec<&str> = web.iter().copied().chain(["web", "demo", "crash"]).collect();
    allowed.insert("flow", flow);
    allowed.insert("web", web);
    allowed.insert("cli", cli);
    allowed.insert("main", vec!["cli"]);
    allowed.insert("lib", vec![]);

    let mut wrong = Vec::new();
    for source in sources() {
        let own = module(&source.path);
        let may = allowed.get(own).unwrap_or_else(|| panic!("`{own}` is not on the map: say what it may import"));
        for line in code_lines(&source.code) {
            for rest in line.split("crate::").skip(1) {
                let used: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let known = allowed.contains_key(used.as_str());
                if known && used != own && !may.contains(&used.as_str()) {
                    wrong.push(format!("{}: {line}", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the rule:\n{}", wrong.join("\n"));
}

#[test]
fn foreign_types_stop_at_their_edge() {
    let homes: [(&str, &[&str]); 9] = [
        ("octocrab::", &["forge/github"]),
        ("sqlx::", &["store"]),
        ("axum::", &["web", "demo"]),
        ("hcl_edit::", &["terraform"]),
        ("minijinja::", &["render", "demo"]),
        ("pulldown_cmark::", &["domain/command", "demo", "render"]),
        ("serde_saphyr::", &["config"]),
        ("rustix::", &["crash", "sandbox", "terraform", "store", "archive", "config", "cli", "web"]),
        ("std::env::var", &["config"]),
    ];
    let mut wrong = Vec::new();
    for source in sources() {
        for (foreign, homes) in &homes {
            let at_home = homes.iter().any(|home| source.path.starts_with(home));
            if !at_home {
                let uses = code_lines(&source.code).filter(|line| line.contains(foreign));
                wrong.extend(uses.map(|line| format!("{}: {line}", source.path)));
            }
        }
    }
    assert!(wrong.is_empty(), "foreign types away from their edge:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_sandbox_starts_processes() {
    let starts: Vec<String> = sources()
        .iter()
        .filter(|source| !source.path.starts_with("sandbox/"))
        .flat_map(|source| {
            code_lines(&source.code)
                .filter(|line| line.contains("Command::new(") || line.contains("process::Command"))
                .map(|line| format!("{}: {line}", source.path))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(starts.is_empty(), "processes started elsewhere:\n{}", starts.join("\n"));
}

#[test]
fn unsafe_code_stands_in_one_file() {
    let home = "sandbox/helper/sys.rs";
    let word = ["un", "safe"].concat();
    let uses = |source: &Source| {
        code_lines(&source.code).any(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word))
    };
    let sources = sources();
    let found: Vec<&str> = sources.iter().filter(|source| uses(source)).map(|source| source.path.as_str()).collect();
    assert_eq!(found, [home]);
    let code = &sources.iter().find(|source| source.path == home).unwrap().code;
    let blocks = code.matches("unsafe {").count();
    let reasons = code.matches("// SAFETY:").count();
    assert_eq!(blocks, reasons, "each block says why it is sound");
}

#[test]
fn production_files_stay_short_and_say_why_they_exist() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.code.lines().count();
        if lines > 420 {
            wrong.push(format!("{}: {lines} lines", source.path));
        }
        if !source.code.starts_with("//!") {
            wrong.push(format!("{}: does not open with `//!`", source.path));
        }
    }
    assert!(wrong.is_empty(), "files to look at:\n{}", wrong.join("\n"));
}

#[test]
fn the_core_has_no_clock_no_randomness_and_no_io() {
    let banned = ["SystemTime::now", "Instant::now", "now_v7", "new_v4", "std::fs", "std::net", "tokio::", "async fn"];
    let found: Vec<String> = sources()
        .iter()
        .filter(|source| source.path.starts_with("domain/"))
        .flat_map(|source| {
            code_lines(&source.code)
                .filter(|line| banned.iter().any(|word| line.contains(word)))
                .map(|line| format!("{}: {line}", source.path))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "not pure:\n{}", found.join("\n"));
}
