//! Git with the real program, over HTTP on loopback.

mod forge;
mod hostile;
mod questions;
mod reading;

use super::{Git, GitError, Mirrors, Want};
use crate::domain::id::{Sha, Timestamp};
use forge::{File, Forge, Mood, TOKEN, basic, branch, recording_git, repo};
use std::path::Path;
use std::time::Duration;

fn commit(sha: &Sha) -> Want {
    Want::Commit(sha.clone())
}

async fn fetch_error(forge: &Forge, mirrors: &Mirrors, want: Want) -> GitError {
    mirrors.fetch(&repo(), &forge.access(), &[want]).await.unwrap_err()
}

fn main() -> Want {
    Want::Branch(branch("main"))
}

#[tokio::test]
async fn all_that_is_wanted_comes_with_one_fetch() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let head = forge.commit("feature", Some(&base), &[("a.tf", File::Text("2"))]).await;
    let other = forge.commit("release/1", Some(&base), &[("b.tf", File::Text("3"))]).await;
    let wants = [main(), Want::Branch(branch("release/1")), commit(&head), commit(&head), commit(&base)];
    let mirror = forge.mirrors().fetch(&repo(), &forge.access(), &wants).await.unwrap();
    assert_eq!(forge.fetches(), 1);
    assert_eq!(mirror.tip(&branch("main")).unwrap(), base);
    assert_eq!(mirror.tip(&branch("release/1")).unwrap(), other);
    assert!(matches!(mirror.tip(&branch("feature")), Err(GitError::NotFound { .. })));
    assert!(mirror.is_ancestor(&base, &head).await.unwrap());
}

#[tokio::test]
async fn nothing_is_fetched_when_all_commits_are_there_also_after_a_restart() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let head = forge.commit("feature", Some(&base), &[("a.tf", File::Text("2"))]).await;
    let mirrors = forge.mirrors();
    mirrors.fetch(&repo(), &forge.access(), &[commit(&head)]).await.unwrap();
    assert_eq!(forge.fetches(), 1);
    mirrors.fetch(&repo(), &forge.access(), &[commit(&head)]).await.unwrap();
    let restarted = forge.mirrors();
    restarted.fetch(&repo(), &forge.access(), &[commit(&head), commit(&base)]).await.unwrap();
    assert_eq!(forge.fetches(), 0);
}

#[tokio::test]
async fn many_at_once_share_one_fetch() {
    let forge = Forge::start().await;
    let head = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let mirrors = forge.mirrors();
    let (repo, access, wants) = (repo(), forge.access(), [commit(&head)]);
    let calls = (0..8).map(|_| mirrors.fetch(&repo, &access, &wants));
    futures::future::try_join_all(calls).await.unwrap();
    assert_eq!(forge.fetches(), 1);
}

#[tokio::test]
async fn a_branch_is_followed_wherever_it_goes() {
    let forge = Forge::start().await;
    let first = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let mirrors = forge.mirrors();
    let tip = async |name: &str| {
        let wants = [Want::Branch(branch(name))];
        mirrors.fetch(&repo(), &forge.access(), &wants).await.unwrap().tip(&branch(name)).unwrap()
    };
    assert_eq!(tip("main").await, first);
    assert_eq!(tip("main").await, first, "a branch that has not moved has a tip too");
    let forced = forge.commit("main", None, &[("a.tf", File::Text("2"))]).await;
    assert_eq!(tip("main").await, forced);
    // A branch takes the place of a folder of branches, and the other way round.
    forge.git(&["update-ref", "refs/heads/team", first.as_str()], "").await;
    assert_eq!(tip("team").await, first);
    forge.git(&["update-ref", "-d", "refs/heads/team"], "").await;
    forge.git(&["update-ref", "refs/heads/team/x", first.as_str()], "").await;
    assert_eq!(tip("team/x").await, first);
}

#[tokio::test]
async fn a_commit_that_no_branch_holds_any_more_is_fetched_by_its_id() {
    let forge = Forge::start().await;
    let gone = forge.commit("feature", None, &[("a.tf", File::Text("1"))]).await;
    forge.git(&["update-ref", "refs/pull/1/head", gone.as_str()], "").await;
    forge.git(&["update-ref", "-d", "refs/heads/feature"], "").await;
    forge.mirrors().fetch(&repo(), &forge.access(), &[commit(&gone)]).await.unwrap();
}

#[tokio::test]
async fn a_commit_is_asked_for_by_its_id_wherever_its_branch_has_moved() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let wanted = forge.commit("feature", Some(&base), &[("a.tf", File::Text("2"))]).await;
    let newer = forge.commit("feature", Some(&wanted), &[("a.tf", File::Text("3"))]).await;
    let mirror = forge.mirrors().fetch(&repo(), &forge.access(), &[main(), commit(&wanted)]).await.unwrap();
    assert!(mirror.is_ancestor(&base, &wanted).await.unwrap());
    assert!(matches!(mirror.tree(&newer).await, Err(GitError::NotFound { .. })), "it was not asked for");
    let reference = std::fs::read_to_string(forge.mirror_dir().join(format!("refs/commits/{wanted}"))).unwrap();
    assert_eq!(reference.trim_end(), wanted.as_str());
}

#[tokio::test]
async fn a_fetch_costs_few_processes_and_one_of_known_commits_fewer() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let head = forge.commit("feature", Some(&base), &[("a.tf", File::Text("2"))]).await;
    let (program, record) = recording_git(forge.dir.path());
    let mirrors = forge.mirrors_with(program.clone());
    let started_by = async |mirrors: &Mirrors, wants: &[Want]| {
        let mirror = mirrors.fetch(&repo(), &forge.access(), wants).await.unwrap();
        assert!(!wants.contains(&main()) || mirror.tip(&branch("main")).unwrap() == base);
        let text = std::fs::read_to_string(&record).unwrap_or_default();
        std::fs::write(&record, "").unwrap();
        let words = text.lines().filter_map(|line| line.strip_prefix("argv: ")?.split(' ').next().map(String::from));
        words.collect::<Vec<_>>()
    };
    let started = async |wants: &[Want]| started_by(&mirrors, wants).await;
    assert_eq!(started(&[main(), commit(&head)]).await, ["init", "fetch"]);
    assert_eq!(started(&[main(), commit(&head)]).await, ["fetch"]);
    assert_eq!(started(&[commit(&head), commit(&base)]).await, [] as [&str; 0]);
    let after_a_restart = forge.mirrors_with(program);
    assert_eq!(started_by(&after_a_restart, &[commit(&base)]).await, ["rev-list"]);
    // As cleaning up leaves them.
    forge.git(&["-C", &forge.mirror_dir().to_string_lossy(), "pack-refs", "--all"], "").await;
    assert_eq!(started(&[main()]).await, ["fetch", "for-each-ref"]);
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_from_a_forge_that_fails() {
    let forge = Forge::start().await;
    forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let mirrors = forge.mirrors();

    let vanished = commit(&"12".repeat(20).parse().unwrap());
    let error = fetch_error(&forge, &mirrors, vanished).await;
    assert!(matches!(&error, GitError::NotFound { what, .. } if what.contains("commit")), "{error}");
    let error = fetch_error(&forge, &mirrors, Want::Branch(branch("nope"))).await;
    assert!(matches!(&error, GitError::NotFound { what, .. } if what.contains("branch")), "{error}");

    forge.set(Mood::Fails(404));
    let error = fetch_error(&forge, &mirrors, main()).await;
    assert!(matches!(&error, GitError::NotFound { what, .. } if what.contains("the repository")), "{error}");
    forge.set(Mood::Fails(403));
    assert!(matches!(fetch_error(&forge, &mirrors, main()).await, GitError::Auth { .. }));
    for code in [429, 500, 502, 503] {
        forge.set(Mood::Fails(code));
        let error = fetch_error(&forge, &mirrors, main()).await;
        assert!(error.is_transient(), "{code}: {error}");
    }

    forge.set(Mood::Well);
    let mut access = forge.access();
    access.token = Some("ghs_WrongTokenEntirely".into());
    let error = mirrors.fetch(&repo(), &access, &[main()]).await.unwrap_err();
    assert!(matches!(&error, GitError::Auth { .. }), "{error}");
    access.token = None;
    assert!(matches!(mirrors.fetch(&repo(), &access, &[main()]).await, Err(GitError::Auth { .. })));

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    access.url = format!("http://{nobody}/acme/infra.git").parse().unwrap();
    let error = mirrors.fetch(&repo(), &access, &[main()]).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    // And the mirror still works.
    mirrors.fetch(&repo(), &forge.access(), &[main()]).await.unwrap();
}

#[tokio::test]
async fn a_missing_git_is_an_error_that_names_it() {
    let forge = Forge::start().await;
    let mirrors = forge.mirrors_with("/nowhere/git".into());
    let error = fetch_error(&forge, &mirrors, main()).await;
    let GitError::Start(error) = error else { panic!("{error}") };
    assert!(error.to_string().starts_with("`/nowhere/git` could not be started in "), "{error}");
}

#[tokio::test]
async fn the_token_is_seen_in_no_argument_no_file_and_no_local_command() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let head = forge.commit("feature", Some(&base), &[("a.tf", File::Text("2"))]).await;
    let (program, record) = recording_git(forge.dir.path());
    let mirrors = forge.mirrors_with(program);
    let mirror = mirrors.fetch(&repo(), &forge.access(), &[main(), commit(&head)]).await.unwrap();
    let fetching = std::fs::read_to_string(&record).unwrap();
    std::fs::remove_file(&record).unwrap();
    mirror.merge(&base, &head).await.unwrap();
    mirror.tree(&head).await.unwrap();
    let local = std::fs::read_to_string(&record).unwrap();

    let secrets = [TOKEN.to_owned(), basic(TOKEN)];
    let leaks = |text: &str| secrets.iter().any(|secret| text.contains(secret));
    assert!(fetching.lines().filter(|line| line.starts_with("env: ")).any(leaks), "the record is not complete");
    assert!(fetching.contains("argv: fetch --quiet --stdin"), "{fetching}");
    assert!(!fetching.lines().filter(|line| line.starts_with("argv: ")).any(leaks));
    assert!(local.contains("argv: merge-tree") && !leaks(&local), "{local}");
    assert!(!local.contains("env: CARGO"), "the environment is built from nothing");

    let seen = forge.seen.lock().unwrap();
    assert!(!seen.talking.is_empty(), "git's helper processes were looked at while they ran");
    assert_eq!(seen.leaks, [] as [&str; 0]);
    assert!(!seen.requests.iter().any(|request| leaks(request)));
    drop(seen);
    for text in files_below(&forge.dir.path().join("mirrors")).chain(files_below(&forge.dir.path().join("scratch"))) {
        assert!(!leaks(&text));
    }
}

fn files_below(dir: &Path) -> Box<dyn Iterator<Item = String>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    Box::new(entries.flat_map(|path| match path.is_dir() {
        true => files_below(&path),
        false => Box::new(std::iter::once(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned())),
    }))
}

#[tokio::test]
async fn a_forge_that_repeats_the_token_in_its_refusal_does_not_get_it_into_our_messages() {
    let forge = Forge::start().await;
    forge.set(Mood::Echoes);
    let error = fetch_error(&forge, &forge.mirrors(), main()).await;
    let text = format!("{error} {error:?} {:?}", forge.access());
    assert!(text.contains("go away with Basic *** and ***"), "{text}");
    assert!(!text.contains(TOKEN) && !text.contains(&basic(TOKEN)), "{text}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_so_that_the_token_stays_with_the_configured_host() {
    let (forge, elsewhere) = (Forge::start().await, Forge::start().await);
    forge.set(Mood::Redirects(format!("{}/info/refs?service=git-upload-pack", elsewhere.access().url)));
    let error = fetch_error(&forge, &forge.mirrors(), main()).await;
    assert!(matches!(&error, GitError::NotFound { what, .. } if what.contains("repository")), "{error}");
    assert_eq!(elsewhere.fetches(), 0);
}

#[tokio::test]
async fn only_https_and_loopback_addresses_without_credentials_are_used() {
    let forge = Forge::start().await;
    forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let local = format!("file://{}/repos/acme/infra.git", forge.dir.path().display());
    for url in [
        "http://192.0.2.1/acme/infra.git",
        "http://localhost.example.com/acme/infra.git",
        "https://user:secret@forge.test/acme/infra.git",
        "ssh://git@forge.test/acme/infra.git",
        local.as_str(),
    ] {
        let mut access = forge.access();
        access.url = url.parse().unwrap();
        let error = forge.mirrors().fetch(&repo(), &access, &[main()]).await.unwrap_err();
        assert!(matches!(error, GitError::Address { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn locks_of_a_killed_server_do_not_stop_the_next_one() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    forge.mirrors().fetch(&repo(), &forge.access(), &[main(), commit(&base)]).await.unwrap();
    let head = forge.commit("main", Some(&base), &[("a.tf", File::Text("2"))]).await;
    let dir = forge.mirror_dir();
    let branches: Vec<_> = std::fs::read_dir(dir.join("refs/branches")).unwrap().map(|f| f.unwrap().path()).collect();
    std::fs::write(branches[0].with_extension("lock"), "").unwrap();
    std::fs::write(dir.join(format!("refs/commits/{head}.lock")), "").unwrap();
    std::fs::write(dir.join("packed-refs.lock"), "").unwrap();
    let mirror = forge.mirrors().fetch(&repo(), &forge.access(), &[main(), commit(&head)]).await.unwrap();
    assert_eq!(mirror.tip(&branch("main")).unwrap(), head);
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    forge.mirrors().fetch(&repo(), &forge.access(), &[main(), commit(&base)]).await.unwrap();
    let (first, rest) = base.as_str().split_at(2);
    let object = forge.mirror_dir().join("objects").join(first).join(rest);
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, "").unwrap();
    let head = forge.commit("main", Some(&base), &[("a.tf", File::Text("2"))]).await;
    let mirror = forge.mirrors().fetch(&repo(), &forge.access(), &[main(), commit(&base)]).await.unwrap();
    assert!(mirror.is_ancestor(&base, &head).await.unwrap());
}

#[tokio::test]
async fn tidying_forgets_old_commits_and_they_can_come_back() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let old = forge.commit("feature", Some(&base), &[("a.tf", File::Text("2"))]).await;
    let mirrors = forge.mirrors();
    mirrors.tidy(&repo(), Timestamp(0)).await.unwrap();
    mirrors.fetch(&repo(), &forge.access(), &[commit(&old)]).await.unwrap();
    let commits = forge.mirror_dir().join("refs/commits");
    mirrors.tidy(&repo(), Timestamp(1_600_000_000_000)).await.unwrap();
    assert!(commits.join(old.as_str()).exists());
    mirrors.tidy(&repo(), Timestamp(1_800_000_000_000)).await.unwrap();
    assert!(!commits.join(old.as_str()).exists());
    mirrors.fetch(&repo(), &forge.access(), &[commit(&old)]).await.unwrap().tree(&old).await.unwrap();
}

#[tokio::test]
async fn a_fetch_that_was_broken_off_does_not_stop_the_next_one() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let mirrors = forge.mirrors();
    mirrors.fetch(&repo(), &forge.access(), &[commit(&base)]).await.unwrap();
    let head = forge.commit("main", Some(&base), &[("a.tf", File::Text("2"))]).await;
    forge.set(Mood::Hangs);
    let (repo, access, wants) = (repo(), forge.access(), [commit(&head)]);
    let hanging = mirrors.fetch(&repo, &access, &wants);
    tokio::time::timeout(Duration::from_millis(300), hanging).await.unwrap_err();
    // As git leaves it when it is killed while it writes the ref.
    std::fs::write(forge.mirror_dir().join(format!("refs/commits/{head}.lock")), "").unwrap();
    forge.set(Mood::Well);
    mirrors.fetch(&repo, &access, &wants).await.unwrap();
}

#[tokio::test]
async fn a_repository_with_sha256_ids_works_too() {
    let forge = Forge::start_with("sha256").await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let head = forge.commit("feature", Some(&base), &[("a.tf", File::Text("2"))]).await;
    let mirror = forge.mirrors().fetch(&repo(), &forge.access(), &[main(), commit(&head)]).await.unwrap();
    assert_eq!(mirror.tip(&branch("main")).unwrap().as_str().len(), 64);
    assert_eq!(mirror.changed_files(&base, &head).await.unwrap(), ["a.tf"]);
}

#[tokio::test]
async fn git_tells_its_version() {
    let forge = Forge::start().await;
    let git = Git::new(forge::git_program(), forge.dir.path().join("scratch"), vec![], crate::sandbox::Sandbox::off())
        .unwrap();
    let version = git.version().await.unwrap();
    assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{version}");
}
