//! Whose turn it is: locks, queues and times in which nothing is applied.

use super::props::{managed, pull_id};
use super::resource;
use super::stand_in::StandIn;
use crate::stage::Stage;
use crate::world::{PATIENCE, PullRequest};
use jiff::ToSpan as _;
use terraplane::demo::state::How;
use terraplane::domain::run::RunState;

/// Two projects, applied by a comment.
const TWO: &str = "version: 1\nprojects:\n  - {dir: dev, state: managed}\n  - {dir: prod, state: managed}\nrules:\n  \
                   - {match: \"*\", apply: on_comment}\n";

async fn two(terraform: &StandIn) -> Stage {
    let (dev, prod) = (resource("web", "one"), resource("web", "one"));
    Stage::set(&[("terraplane.yaml", TWO), ("dev/main.tf", &dev), ("prod/main.tf", &prod)], terraform.setup(1)).await
}

async fn planned(stage: &Stage, title: &str, files: &[&str]) -> PullRequest {
    let mut pull = stage.world.open_pull(title);
    for file in files {
        pull = pull.changing(file, &resource(title, "new"));
    }
    let pull = pull.await;
    pull.await_status("terraplane/plan", "success").await;
    // Seen by whoever comments from now on.
    stage.settled().await;
    pull
}

/// Waits until the newest apply of the project is in this state.
async fn apply_is(stage: &Stage, pull: &PullRequest, project: &str, wanted: RunState) {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let state = stage.server.flow.store.pull_state(&pull_id(pull)).await.unwrap().unwrap();
        let known = state.projects.iter().find(|known| known.project.key.to_string() == project);
        let now = known.and_then(|known| known.apply.as_ref()).map(|apply| apply.state);
        if now == Some(wanted) {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "the apply of {project} is {now:?}, and never {wanted:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Three pull requests: the apply of the first is queued, for the one of the last has the only place until it is released.
async fn first_behind_busy(stage: &Stage, terraform: &StandIn) -> [PullRequest; 3] {
    let first = planned(stage, "first", &["prod/a.tf"]).await;
    let second = planned(stage, "second", &["prod/b.tf"]).await;
    let busy = planned(stage, "busy", &["dev/c.tf"]).await;
    terraform.hold_at("apply", "dev");
    busy.comment("kim", "terraplane apply");
    terraform.await_noted("begin apply dev", 1).await;
    first.comment("kim", "terraplane apply");
    apply_is(stage, &first, "prod", RunState::Queued).await;
    [first, second, busy]
}

#[tokio::test]
async fn a_queued_apply_keeps_its_project_and_meets_a_freeze() {
    let terraform = StandIn::terraform();
    let stage = two(&terraform).await;
    let [first, second, busy] = first_behind_busy(&stage, &terraform).await;

    second.comment("ana", "terraplane unlock #1 prod --reason \"he is ill\"");
    let refused = second.next_comment().await;
    assert!(refused.contains("`prod`: an apply of it is under way in `#1`: `cancel` it there first"), "{refused}");
    second.comment("ana", "terraplane freeze prod \"change freeze\"");
    assert!(second.next_comment().await.contains("`prod` is frozen by `@ana`"));
    terraform.release_at("apply", "dev");
    assert!(busy.next_comment().await.contains("Applied `dev`"));
    apply_is(&stage, &first, "prod", RunState::Waiting).await;
    first.live_comment().await_containing("frozen by `@ana`: change freeze").await;
    assert_eq!(terraform.count("begin apply prod"), 0, "what is frozen is not applied");

    // It waits, and so nothing of it is under way: now it can be taken away.
    second.comment("ana", "terraplane unlock #1 prod --reason \"he is ill\"");
    assert!(second.next_comment().await.contains("Unlocked by `@ana`, from `#1`"));
    second.comment("kim", "terraplane lock prod");
    assert!(second.next_comment().await.contains("Held for this pull request"));
    second.comment("ana", "terraplane thaw");
    assert!(second.next_comment().await.contains("Thawed by `@ana`"));
    first.live_comment().await_containing("`#2`").await;
    assert_eq!(terraform.count("begin apply prod"), 0, "another one holds it");
    second.comment("kim", "terraplane unlock prod");
    assert!(second.next_comment().await.contains("not carried out"), "it is sam's");
    second.comment("sam", "terraplane unlock prod");
    assert!(second.next_comment().await.contains("Unlocked by `@sam`"));
    assert!(first.next_comment().await.contains("Applied `prod`"));
    stage.finish().await;
}

#[tokio::test]
async fn a_project_that_was_taken_away_all_the_same_is_waited_for() {
    let terraform = StandIn::terraform();
    let stage = two(&terraform).await;
    let [first, second, busy] = first_behind_busy(&stage, &terraform).await;
    let store = &stage.server.flow.store;
    let prod = "prod".parse().unwrap();
    let mut tx = store.write(&pull_id(&first).repo).await.unwrap();
    assert!(tx.free_lock(&pull_id(&first).repo, &prod, &pull_id(&first)).await.unwrap());
    tx.commit().await.unwrap();
    second.comment("kim", "terraplane lock prod");
    assert!(second.next_comment().await.contains("Held for this pull request"));
    terraform.release_at("apply", "dev");
    assert!(busy.next_comment().await.contains("Applied `dev`"));
    apply_is(&stage, &first, "prod", RunState::Waiting).await;
    assert_eq!(terraform.count("begin apply prod"), 0, "another one holds it");
    second.comment("sam", "terraplane unlock prod");
    assert!(second.next_comment().await.contains("Unlocked by `@sam`"));
    assert!(first.next_comment().await.contains("Applied `prod`"));
    stage.finish().await;
}

#[tokio::test]
async fn a_window_that_came_while_an_apply_waited_holds_it() {
    let files = [("terraplane.yaml", &*managed("apply: on_comment")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::with(&files).await;
    let holder = planned(&stage, "holder", &["prod/a.tf"]).await;
    let waiter = planned(&stage, "waiter", &["prod/b.tf"]).await;
    holder.comment("sam", "terraplane lock prod \"migration\"");
    assert!(holder.next_comment().await.contains("Reason: migration"));
    waiter.comment("kim", "terraplane apply");
    assert!(waiter.next_comment().await.contains("`prod` is held by `#1`"));
    let day = |days: i64| {
        let day =
            jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date().checked_add(days.days()).unwrap();
        day.strftime("%a").to_string().to_lowercase()
    };
    let window = format!("deny {} 00:00 - {} 00:00", day(-1), day(3));
    let rule = managed(&format!("apply: on_comment, windows: [\"{window}\"]"));
    stage.world.push("main", &[("terraplane.yaml", &rule)]).await;
    holder.comment("sam", "terraplane unlock prod");
    assert!(holder.next_comment().await.contains("Unlocked by `@sam`"));
    let shown = format!("closed by the rules (`{window}`)");
    waiter.live_comment().await_containing(&shown).await;
    apply_is(&stage, &waiter, "prod", RunState::Waiting).await;
    assert_eq!(stage.applies(&waiter).await, 0);
    waiter.comment("kim", "terraplane cancel");
    assert!(waiter.wait_for_comment(|text| text.contains("cancelled by kim")).await.contains("`prod`"));
    waiter.wait_for_comment(|text| text.contains("`@kim`")).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_merge_that_is_the_first_thing_heard_waits_for_whoever_holds_its_project() {
    let files = [("terraplane.yaml", &*managed("apply: on_merge")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::with(&files).await;
    let holder = planned(&stage, "holder", &["prod/a.tf"]).await;
    holder.comment("sam", "terraplane lock prod \"migration\"");
    assert!(holder.next_comment().await.contains("Reason: migration"));
    stage.world.trouble("POST", "pull_request", How::LoseWebhook, 1);
    let unheard = stage.world.open_pull("unheard").changing("prod/b.tf", &resource("unheard", "new")).await;
    unheard.comment("kim", "terraplane locks");
    let locks = unheard.next_comment().await;
    assert!(locks.contains("| `prod` | `#1`, taken by `@sam`: migration |"), "{locks}");
    stage.world.trouble("POST", "pull_request", How::LoseWebhook, 1);
    let merged = stage.world.open_pull("merged").changing("prod/c.tf", &resource("merged", "new")).await;
    merged.merge("ana").await;
    merged.live_comment().await_containing("`#1`").await;
    apply_is(&stage, &merged, "prod", RunState::Waiting).await;
    holder.comment("sam", "terraplane unlock prod");
    assert!(holder.next_comment().await.contains("Unlocked by `@sam`"));
    let stopped = merged.next_comment().await;
    assert!(stopped.contains("It was merged before its plan was shown"), "{stopped}");
    stage.finish().await;
}

#[tokio::test]
async fn a_freeze_that_ends_by_itself_is_told_and_what_waited_goes_on() {
    let files = [("terraplane.yaml", &*managed("apply: on_comment")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::with(&files).await;
    let pull = planned(&stage, "pull", &["prod/a.tf"]).await;
    let other = planned(&stage, "other", &["prod/b.tf"]).await;
    let until = jiff::Timestamp::now().checked_add(8.seconds()).unwrap();
    pull.comment("ana", &format!("terraplane freeze prod until {until:.0} \"change freeze\""));
    assert!(pull.next_comment().await.contains("`prod` is frozen by `@ana` until"));
    pull.comment("kim", "terraplane apply");
    let waits = pull.next_comment().await;
    assert!(waits.contains("`prod` is frozen by `@ana`: change freeze, until"), "{waits}");
    other.live_comment().await_containing("frozen by `@ana`: change freeze").await;
    assert_eq!(stage.applies(&pull).await, 0);
    // Nobody does anything from here on.
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    other.live_comment().await_until(|text| !text.contains("frozen")).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_wait_that_would_close_a_circle_is_refused() {
    let terraform = StandIn::terraform();
    let stage = two(&terraform).await;
    let first = planned(&stage, "first", &["dev/a.tf", "prod/a.tf"]).await;
    let second = planned(&stage, "second", &["dev/b.tf", "prod/b.tf"]).await;
    for (pull, project) in [(&first, "dev"), (&second, "prod")] {
        pull.comment("kim", &format!("terraplane apply {project}"));
        let result = pull.next_comment().await;
        assert!(result.contains(&format!("Applied `{project}`")), "{result}");
        // The other one was planned again by that.
        stage.settled().await;
    }
    first.comment("kim", "terraplane apply prod");
    assert!(first.next_comment().await.contains("`prod` is held by `#2`"));
    second.comment("kim", "terraplane apply dev");
    let refused = second.next_comment().await;
    assert!(
        refused.contains("this would close a circle of waits: `#1` waits for `prod`, which this pull request holds"),
        "{refused}"
    );
    second.comment("ana", "terraplane unlock prod \"it is out\"");
    assert!(second.next_comment().await.contains("Unlocked by `@ana`"));
    let result = first.next_comment().await;
    assert!(result.contains("Applied `prod`"), "{result}");
    stage.finish().await;
}
