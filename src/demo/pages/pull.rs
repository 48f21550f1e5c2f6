//! The page of a pull request.

use super::changes::{self, ChangedFile};
use super::{message, page};
use crate::demo::markdown;
use crate::demo::state::{Action, Note, Phase, Pull, Repo, ReviewState, State as WorldState, Status};
use crate::demo::world::{World, now as clock};
use crate::domain::id::{Sha, Timestamp};
use crate::domain::pull::Role;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use minijinja::{Value, context};
use serde::Deserialize;
use std::time::Duration;

/// The page's version, for the script that asks for the next one.
const VERSION: HeaderName = HeaderName::from_static("x-version");

/// How long a question for news stays open.
const NEWS: Duration = Duration::from_secs(20);

async fn show(world: &World, path: &str, number: u64, template: &str) -> Response {
    let version = *world.changes().borrow();
    let Some(found) = world.read(|state| {
        let repo = state.repo(path)?;
        repo.pulls.get(&number).map(|pull| (repo.clone(), pull.clone()))
    }) else {
        return message(StatusCode::NOT_FOUND, "There is no such pull request.");
    };
    let (repo, pull) = found;
    let diff = world.git().diff(&repo.path, &pull.base, &pull.head).await.unwrap_or_default();
    let commits = world.git().log(&repo.path, &pull.base, &pull.head).await.unwrap_or_default();
    let values = world.read(|state| view(world, state, &repo, &pull));
    let files = changes::read(&diff);
    let commits: Vec<Value> =
        commits.into_iter().map(|(sha, author, subject)| context! { sha => sha.get(..7), author, subject }).collect();
    let values = context! {
        added => files.iter().map(|f| f.added).sum::<usize>(),
        removed => files.iter().map(|f| f.removed).sum::<usize>(),
        files => files.iter().map(file).collect::<Vec<_>>(),
        commits,
        version,
        ..values
    };
    let mut response = page(template, values);
    if let Ok(value) = HeaderValue::try_from(version.to_string()) {
        response.headers_mut().insert(VERSION, value);
    }
    response
}

/// `GET /{owner}/{repo}/pull/{number}`
pub(super) async fn whole(
    State(world): State<World>,
    Path((owner, repo, number)): Path<(String, String, u64)>,
) -> Response {
    show(&world, &format!("{owner}/{repo}"), number, "pull.html").await
}

#[derive(Deserialize)]
pub(super) struct Since {
    since: u64,
}

/// `GET /{owner}/{repo}/pull/{number}/now?since=N`: the changing part of the page, as soon as it is newer than `N`;
/// 204 if nothing happened for a while.
pub(super) async fn now(
    State(world): State<World>,
    Path((owner, repo, number)): Path<(String, String, u64)>,
    Query(Since { since }): Query<Since>,
) -> Response {
    let mut changes = world.changes();
    let silence = tokio::time::timeout(NEWS, changes.wait_for(|version| *version > since)).await.is_err();
    if silence {
        return StatusCode::NO_CONTENT.into_response();
    }
    show(&world, &format!("{owner}/{repo}"), number, "pull_now.html").await
}

pub(super) const fn phase(pull: &Pull) -> &'static str {
    match pull.phase {
        Phase::Open if pull.draft => "draft",
        Phase::Open => "open",
        Phase::Closed { .. } => "closed",
        Phase::Merged { .. } => "merged",
    }
}

/// One word for several statuses.
pub(super) fn worst(statuses: &[&Status]) -> &'static str {
    let any = |wanted: &[&str]| statuses.iter().any(|s| wanted.contains(&s.state.as_str()));
    match () {
        () if statuses.is_empty() => "none",
        () if any(&["failure", "error"]) => "failure",
        () if any(&["pending"]) => "pending",
        () => "success",
    }
}

fn view(world: &World, state: &WorldState, repo: &Repo, pull: &Pull) -> Value {
    let viewer = world.settings().viewer.clone();
    let is_live = |body: &str| body.lines().next().is_some_and(|l| l.starts_with("<!--") && l.ends_with(":live -->"));
    let shown = |c: &crate::demo::state::Comment| {
        context! {
            kind => "comment",
            at => c.created_at.0,
            id => c.id,
            author => c.author.clone(),
            server => is_server(world, &c.author),
            ago => ago(c.created_at),
            edited => c.updated_at != c.created_at || !c.earlier.is_empty(),
            edited_ago => ago(c.updated_at),
            edits => c.earlier.len(),
            html => Value::from_safe_string(markdown::render(&c.body)),
            reactions => c.reactions.iter().map(|r| emoji(&r.content)).collect::<Vec<_>>(),
        }
    };
    let live = pull.comments.iter().find(|c| is_server(world, &c.author) && is_live(&c.body));
    let mut events: Vec<(i64, Value)> = pull
        .comments
        .iter()
        .filter(|c| live.is_none_or(|live| live.id != c.id))
        .map(|c| (c.created_at.0, shown(c)))
        .collect();
    for review in &pull.reviews {
        let (word, class) = match review.state {
            ReviewState::Approved => ("approved", "success"),
            ReviewState::ChangesRequested => ("asked for changes", "failure"),
            ReviewState::Commented => ("reviewed", "none"),
            ReviewState::Dismissed => ("reviewed; the review was dismissed", "none"),
        };
        let text = format!("{word} {}", review.commit.short());
        let author = review.author.clone();
        events.push((review.at.0, context! { kind => "event", class, author, text, ago => ago(review.at) }));
    }
    match &pull.phase {
        Phase::Open => {}
        Phase::Closed { at } => {
            events.push((at.0, context! { kind => "event", class => "failure", author => "", text => "Closed without a merge", ago => ago(*at) }));
        }
        Phase::Merged { commit, by, at } => {
            let text = format!("merged as {}", commit.short());
            events.push((
                at.0,
                context! { kind => "event", class => "merged", author => by.clone(), text, ago => ago(*at) },
            ));
        }
    }
    events.sort_by_key(|(at, _)| *at);
    let merged = pull.merge_commit();
    context! {
        viewer => viewer.clone(),
        viewer_writes => repo.role(&viewer) >= Role::Write,
        viewer_wrote => pull.author == viewer,
        repo => repo.path.clone(),
        action => world.pull_path(&repo.path, pull.number),
        number => pull.number,
        title => pull.title.clone(),
        author => pull.author.clone(),
        phase => phase(pull),
        head_branch => pull.head_branch.clone(),
        base_branch => pull.base_branch.clone(),
        head => pull.head.short(),
        fork => pull.head_repo.as_ref().filter(|r| **r != repo.path).cloned(),
        opened => ago(pull.created_at),
        description => Value::from_safe_string(markdown::render(&pull.body)),
        live => live.map(shown),
        events => events.into_iter().map(|(_, event)| event).collect::<Vec<_>>(),
        checks => checks(repo, &pull.head),
        merge_checks => merged.map(|commit| checks(repo, commit)),
        merge_commit => merged.map(Sha::short),
        mergeable => repo.mergeable_state(pull),
        approved => pull.reviews.iter().any(|r| r.state == ReviewState::Approved && r.commit == pull.head),
        ready => pull.ready.front().map(|c| context! { author => c.author.clone(), message => c.message.clone() }),
        troubles => state.troubles.len(),
    }
}

fn file(file: &ChangedFile) -> Value {
    let line = |line: &changes::Line| {
        context! { kind => line.kind, old => line.old, new => line.new, text => line.text.clone() }
    };
    context! {
        path => file.path.clone(),
        added => file.added,
        removed => file.removed,
        lines => file.lines.iter().map(line).collect::<Vec<_>>(),
    }
}

fn is_server(world: &World, login: &str) -> bool {
    login == world.settings().bot || login == world.app_login()
}

fn checks(repo: &Repo, sha: &Sha) -> Vec<Value> {
    let statuses = repo.latest_statuses(sha).into_iter();
    statuses
        .map(|s| {
            context! {
                context => s.context.clone(),
                state => s.state.clone(),
                description => s.description.clone(),
                url => s.target_url.clone(),
                required => repo.required_statuses.contains(&s.context),
                notes => s.check.iter().flat_map(|check| &check.notes).map(note).collect::<Vec<_>>(),
                buttons => s.check.iter().flat_map(|check| &check.actions).map(button).collect::<Vec<_>>(),
            }
        })
        .collect()
}

fn note(note: &Note) -> Value {
    context! { path => note.path.clone(), line => note.line, title => note.title.clone() }
}

fn button(action: &Action) -> Value {
    context! { label => action.label.clone(), description => action.description.clone() }
}

fn ago(at: Timestamp) -> String {
    match clock().since(at) / 1000 {
        ..5 => "just now".into(),
        seconds @ 5..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

fn emoji(content: &str) -> &'static str {
    match content {
        "+1" => "👍",
        "-1" => "👎",
        "laugh" => "😄",
        "confused" => "😕",
        "heart" => "❤️",
        "hooray" => "🎉",
        "rocket" => "🚀",
        _ => "👀",
    }
}
