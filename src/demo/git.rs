//! The bare repositories of the world, written by git plumbing: no work tree is ever checked out, so a commit costs one
//! process of a few milliseconds.

use super::state::{Change, Content, MergeMethod};
use crate::domain::id::{Sha, Timestamp};
use crate::sandbox::process::{self, Spec, Stdin};
use crate::sandbox::sink::Sink;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Far above what any repository of a demo or a test holds.
const MAX_OUTPUT: usize = 256 << 20;

/// All repositories, below one directory.
#[derive(Debug)]
pub(super) struct Repositories {
    git: PathBuf,
    root: PathBuf,
    home: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum GitFailed {
    #[error(transparent)]
    Spawn(#[from] process::SpawnError),
    #[error("git {args} failed: {stderr}")]
    Exit { args: String, stderr: String },
    #[error("git {args} said what was not expected: {said}")]
    Answer { args: String, said: String },
}

pub(super) struct Said {
    pub(super) success: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// Who made a commit, and why.
#[derive(Clone, Copy)]
pub(super) struct Meta<'a> {
    pub(super) author: &'a str,
    pub(super) message: &'a str,
    pub(super) at: Timestamp,
}

impl Repositories {
    /// `git` is an absolute path; `root` an existing directory.
    pub(super) fn new(git: PathBuf, root: &Path) -> std::io::Result<Self> {
        let (repos, home) = (root.join("repos"), root.join("home"));
        std::fs::create_dir_all(&repos)?;
        std::fs::create_dir_all(&home)?;
        Ok(Self { git, root: repos, home })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn dir(&self, repo: &str) -> PathBuf {
        self.root.join(format!("{repo}.git"))
    }

    pub(super) async fn create(&self, repo: &str, default_branch: &str) -> Result<(), GitFailed> {
        let dir = self.dir(repo);
        let branch = format!("--initial-branch={default_branch}");
        let dir_text = dir.display().to_string();
        self.run(&self.root, &["init", "--quiet", "--bare", &branch, &dir_text]).await?;
        // As on GitHub: any commit can be fetched by its id, pushes are taken, and nothing is tidied behind our back.
        for (key, value) in [
            ("uploadpack.allowAnySHA1InWant", "true"),
            ("uploadpack.allowReachableSHA1InWant", "true"),
            ("http.receivepack", "true"),
            ("receive.autogc", "false"),
            ("gc.auto", "0"),
        ] {
            self.run(&dir, &["config", key, value]).await?;
        }
        Ok(())
    }

    /// Copies all branches of `from` into the fresh repository `to`.
    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<(), GitFailed> {
        let source = self.dir(from).display().to_string();
        self.run(&self.dir(to), &["fetch", "--quiet", &source, "+refs/heads/*:refs/heads/*"]).await.map(drop)
    }

    /// Brings a commit of another repository here, as `reference`.
    pub(super) async fn bring(&self, from: &str, sha: &Sha, to: &str, reference: &str) -> Result<(), GitFailed> {
        if from != to {
            let source = self.dir(from).display().to_string();
            self.run(&self.dir(to), &["fetch", "--quiet", "--no-write-fetch-head", &source, sha.as_str()]).await?;
        }
        self.set_ref(to, reference, sha).await
    }

    /// Writes one commit on top of `parent` and moves the branch to it (also backwards: a forced push).
    pub(super) async fn commit(
        &self,
        repo: &str,
        branch: &str,
        parent: Option<&Sha>,
        meta: Meta<'_>,
        changes: &[Change],
    ) -> Result<Sha, GitFailed> {
        let mut stream = format!(
            "commit refs/heads/{branch}\nmark :1\ncommitter {who} {at} +0000\ndata {length}\n{message}\n",
            who = identity(meta.author),
            at = meta.at.0 / 1000,
            length = meta.message.len(),
            message = meta.message,
        )
        .into_bytes();
        if let Some(parent) = parent {
            stream.extend(format!("from {parent}\n").bytes());
        }
        for Change { path, to } in changes {
            let path = quoted(path);
            let (mode, data) = match to {
                Content::Text(text) => ("100644", text),
                Content::Executable(text) => ("100755", text),
                Content::Link(target) => ("120000", target),
                Content::Gone => {
                    stream.extend(format!("D {path}\n").bytes());
                    continue;
                }
            };
            stream.extend(format!("M {mode} inline {path}\ndata {}\n{data}\n", data.len()).bytes());
        }
        stream.extend(b"\nget-mark :1\ndone\n");
        let args = ["fast-import", "--quiet", "--force", "--done"];
        let said = self.start(&self.dir(repo), &args, &[], Some(stream)).await?;
        object(&args, said)
    }

    pub(super) async fn set_ref(&self, repo: &str, name: &str, sha: &Sha) -> Result<(), GitFailed> {
        self.run(&self.dir(repo), &["update-ref", name, sha.as_str()]).await.map(drop)
    }

    pub(super) async fn drop_ref(&self, repo: &str, name: &str) -> Result<(), GitFailed> {
        self.run(&self.dir(repo), &["update-ref", "-d", name]).await.map(drop)
    }

    pub(super) async fn branches(&self, repo: &str) -> Result<BTreeMap<String, Sha>, GitFailed> {
        let args = ["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"];
        let text = self.run(&self.dir(repo), &args).await?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(sha, name)| Some((name.to_owned(), sha.parse().ok()?)))
            .collect())
    }

    /// The commit that a branch, tag or (abbreviated) id means.
    pub(super) async fn resolve(&self, repo: &str, name: &str) -> Result<Option<Sha>, GitFailed> {
        let wanted = format!("{name}^{{commit}}");
        let args = ["rev-parse", "--quiet", "--verify", "--end-of-options", &wanted];
        let said = self.start(&self.dir(repo), &args, &[], None).await?;
        if said.success { object(&args, said).map(Some) } else { Ok(None) }
    }

    /// The tree of the merge of `head` into `base`; `None`: they conflict.
    async fn merged_tree(&self, repo: &str, base: &Sha, head: &Sha) -> Result<Option<String>, GitFailed> {
        let args = ["merge-tree", "--write-tree", "--no-messages", base.as_str(), head.as_str()];
        let said = self.start(&self.dir(repo), &args, &[], None).await?;
        let first = String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or_default().to_owned();
        match (said.success, first.parse::<Sha>().is_ok()) {
            (true, true) => Ok(Some(first)),
            // A conflict also names a tree, one with conflict marks; any other failure names none.
            (false, true) => Ok(None),
            (false, false) if said.stderr.contains("refusing to merge unrelated histories") => Ok(None),
            _ => Err(GitFailed::Exit { args: args.join(" "), stderr: said.stderr }),
        }
    }

    async fn commit_tree(
        &self,
        repo: &str,
        tree: &str,
        parents: &[Sha],
        meta: Meta<'_>,
        committer: &str,
    ) -> Result<Sha, GitFailed> {
        let mut args = vec!["commit-tree", tree];
        for parent in parents {
            args.extend(["-p", parent.as_str()]);
        }
        let at = format!("{} +0000", meta.at.0 / 1000);
        let (author, email) = (meta.author.to_owned(), email(meta.author));
        let env = [
            ("GIT_AUTHOR_NAME", author.as_str()),
            ("GIT_AUTHOR_EMAIL", &email),
            ("GIT_AUTHOR_DATE", &at),
            ("GIT_COMMITTER_NAME", committer),
            ("GIT_COMMITTER_EMAIL", "noreply@example.com"),
            ("GIT_COMMITTER_DATE", &at),
        ];
        let message = format!("{}\n", meta.message.trim_end()).into_bytes();
        let said = self.start(&self.dir(repo), &args, &env, Some(message)).await?;
        object(&args, said)
    }

    /// The commit that merges `head` into `base` by this method; no branch is moved. `None`: they conflict.
    pub(super) async fn merge(
        &self,
        repo: &str,
        method: MergeMethod,
        base: &Sha,
        head: &Sha,
        meta: Meta<'_>,
    ) -> Result<Option<Sha>, GitFailed> {
        if method == MergeMethod::Rebase {
            return self.rebase(repo, base, head).await;
        }
        let Some(tree) = self.merged_tree(repo, base, head).await? else { return Ok(None) };
        let both = [base.clone(), head.clone()];
        let parents = if method == MergeMethod::Squash { &both[..1] } else { &both };
        self.commit_tree(repo, &tree, parents, meta, "GitHub").await.map(Some)
    }

    /// Writes every commit of `base..head` anew on top of `base`, with its author, date and message.
    async fn rebase(&self, repo: &str, base: &Sha, head: &Sha) -> Result<Option<Sha>, GitFailed> {
        let range = format!("{base}..{head}");
        let commits =
            self.run(&self.dir(repo), &["rev-list", "--reverse", "--topo-order", "--no-merges", &range]).await?;
        let mut tip = base.clone();
        for commit in commits.lines().filter_map(|line| line.parse::<Sha>().ok()) {
            let about = self.run(&self.dir(repo), &["show", "-s", "--format=%an%n%at%n%B", commit.as_str()]).await?;
            let mut parts = about.splitn(3, '\n');
            let (author, at, message) =
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let meta = Meta { author, message, at: Timestamp(at.parse::<i64>().unwrap_or_default() * 1000) };
            // The merge has to start from the commit's parent. Only git 2.40 can be told so; any git finds it by
            // itself, when the files of the tip are committed as another child of that parent.
            let parent = self.resolve(repo, &format!("{commit}^")).await?;
            let tree = format!("{tip}^{{tree}}");
            let sibling = self.commit_tree(repo, &tree, parent.as_slice(), meta, "GitHub").await?;
            let Some(tree) = self.merged_tree(repo, &sibling, &commit).await? else { return Ok(None) };
            tip = self.commit_tree(repo, &tree, &[tip], meta, "GitHub").await?;
        }
        Ok(Some(tip))
    }

    /// The unified diff of what `head` changed since it left `base`.
    pub(super) async fn diff(&self, repo: &str, base: &Sha, head: &Sha) -> Result<String, GitFailed> {
        let range = format!("{base}...{head}");
        let args = ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--end-of-options", &range];
        self.run(&self.dir(repo), &args).await
    }

    /// Subject lines of `base..head`, newest last: `(commit, author, subject)`.
    pub(super) async fn log(
        &self,
        repo: &str,
        base: &Sha,
        head: &Sha,
    ) -> Result<Vec<(String, String, String)>, GitFailed> {
        let range = format!("{base}..{head}");
        let args = ["log", "--reverse", "--format=%H%x00%an%x00%s", "--end-of-options", &range];
        let text = self.run(&self.dir(repo), &args).await?;
        Ok(text
            .lines()
            .filter_map(|line| {
                let mut parts = line.splitn(3, '\0').map(str::to_owned);
                Some((parts.next()?, parts.next()?, parts.next()?))
            })
            .collect())
    }

    /// A file's text at a commit; `None` if there is no such file.
    pub(super) async fn file(&self, repo: &str, sha: &Sha, path: &str) -> Result<Option<String>, GitFailed> {
        let name = format!("{sha}:{path}");
        let said = self.start(&self.dir(repo), &["cat-file", "blob", &name], &[], None).await?;
        Ok(said.success.then(|| String::from_utf8_lossy(&said.stdout).into_owned()))
    }

    async fn run(&self, dir: &Path, args: &[&str]) -> Result<String, GitFailed> {
        let said = self.start(dir, args, &[], None).await?;
        if said.success {
            Ok(String::from_utf8_lossy(&said.stdout).into_owned())
        } else {
            Err(GitFailed::Exit { args: args.join(" "), stderr: said.stderr })
        }
    }

    /// Runs git to its end, with an environment that knows no one's configuration.
    pub(super) async fn start(
        &self,
        dir: &Path,
        args: &[&str],
        env: &[(&str, &str)],
        stdin: Option<Vec<u8>>,
    ) -> Result<Said, GitFailed> {
        let mut spec = Spec::new(&self.git, dir).args(args.iter().copied());
        spec.env = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ALLOW_PROTOCOL", "file"),
        ]
        .iter()
        .chain(env)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        spec.env.push(("HOME".into(), self.home.display().to_string()));
        spec.stdin = stdin.map_or(Stdin::Closed, Stdin::Bytes);
        spec.stdout = Sink::Buffer { max: MAX_OUTPUT };
        spec.stderr = Sink::Buffer { max: 64 << 10 };
        spec.deadline = Duration::from_secs(60);
        let outcome = process::run(spec).await?;
        Ok(Said {
            success: outcome.end.success(),
            stdout: outcome.stdout.bytes,
            stderr: String::from_utf8_lossy(&outcome.stderr.bytes).trim().to_owned(),
        })
    }
}

fn object(args: &[&str], said: Said) -> Result<Sha, GitFailed> {
    let args = args.join(" ");
    if !said.success {
        return Err(GitFailed::Exit { args, stderr: said.stderr });
    }
    let text = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    text.parse().map_err(|_| GitFailed::Answer { args, said: text })
}

fn identity(login: &str) -> String {
    let name: String = login.chars().filter(|c| !"<>\n".contains(*c)).collect();
    format!("{name} <{}>", email(&name))
}

fn email(login: &str) -> String {
    format!("{login}@example.com")
}

/// A path as fast-import wants it, whatever characters it holds.
fn quoted(path: &str) -> String {
    let mut text = String::from("\"");
    for byte in path.bytes() {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            0x20..=0x7e => text.push(char::from(byte)),
            _ => write!(text, "\\{byte:03o}").expect("writing to a string does not fail"),
        }
    }
    text.push('"');
    text
}
