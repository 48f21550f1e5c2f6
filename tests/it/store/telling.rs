//! Any interleaving of wishes, claims, lost leases, deaths and retries, against a forge that loses answers, refuses,
//! limits, and is tidied up by people: each comment is there once, and in the end everything is as it was wanted last.
//!
//! The outbox is the real one. A process dies by never being polled again: at any question to the forge, before it was
//! heard or after, and before its work is noted as done. What it was just writing to the store may still arrive, until
//! another process has its work.

use super::Fresh;
use super::sample::{at, pull_id, repo, sha, tell};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use terraplane::domain::id::{CommentId, PullId, Sha};
use terraplane::flow::FlowError;
use terraplane::flow::outbox::{Board, LIVE, Outbox, is_shown, sent_status};
use terraplane::forge::{ForgeError, ForgeErrorKind, Status, StatusState};
use terraplane::store::{JobKind, Lease, Store, StoreError};
use tokio::sync::Notify;

const LEASE_MS: i64 = 50;
const KEYS: [&str; 3] = ["reply-1", "reply-2", "run 7"];
const CONTEXTS: [&str; 2] = ["terraplane/plan", "terraplane/apply"];

/// What becomes of one question to the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    Refused,
    Limited,
    AnswerLost,
    /// It will never take this.
    Never,
    /// The process dies before the forge heard it, or after.
    DeathBefore,
    DeathAfter,
}

#[derive(Debug, Clone)]
enum Step {
    /// A comment is wanted.
    Say {
        key: usize,
    },
    /// The live comment and the statuses are to say something else.
    Change,
    /// Somebody deletes the live comment, and its webhook comes, or does not.
    Delete {
        heard: bool,
    },
    Wait {
        ms: i64,
    },
    /// A job is claimed and worked on.
    Tell {
        fates: Vec<Fate>,
        dies_at_last: bool,
    },
    /// The process dies; the next one knows it, or has to wait for its leases.
    Restart {
        same_place: bool,
    },
    /// What a dead process was just writing arrives.
    LateWrite,
}

fn fate() -> impl Strategy<Value = Fate> {
    use Fate::{AnswerLost, Answered, DeathAfter, DeathBefore, Limited, Never, Refused};
    let failing = [Refused, Limited, AnswerLost, DeathBefore, DeathAfter];
    prop_oneof![8 => Just(Answered), 6 => prop::sample::select(failing.to_vec()), 1 => Just(Never)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..KEYS.len()).prop_map(|key| Step::Say { key }),
        3 => Just(Step::Change),
        1 => any::<bool>().prop_map(|heard| Step::Delete { heard }),
        2 => (0..80i64).prop_map(|ms| Step::Wait { ms }),
        8 => (vec(fate(), 0..8), prop::bool::weighted(0.2))
            .prop_map(|(fates, dies_at_last)| Step::Tell { fates, dies_at_last }),
        1 => any::<bool>().prop_map(|same_place| Step::Restart { same_place }),
        2 => Just(Step::LateWrite),
    ]
}

/// A forge, with what is on it.
#[derive(Default)]
struct Paper(Mutex<Written>, Notify);

#[derive(Default)]
struct Written {
    comments: Vec<(CommentId, String)>,
    made: u64,
    statuses: BTreeMap<String, String>,
    /// Of the questions that come, the next one last.
    fates: Vec<Fate>,
    /// What a process that died was just told: that its comment is there.
    unheard: Option<(CommentId, String)>,
}

impl Paper {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap()
    }

    async fn ask<T>(
        &self,
        may_repeat: bool,
        act: impl FnOnce(&mut Written) -> Result<T, ForgeErrorKind> + Send,
    ) -> Result<T, ForgeError> {
        let fate = self.written().fates.pop().unwrap_or(Fate::Answered);
        let refused = |kind| ForgeError {
            kind,
            status: None,
            message: format!("{kind:?}"),
            retry_at: (kind == ForgeErrorKind::RateLimited).then_some(at(0)),
        };
        match fate {
            Fate::Refused => return Err(refused(ForgeErrorKind::Unavailable)),
            Fate::Limited => return Err(refused(ForgeErrorKind::RateLimited)),
            Fate::Never => return Err(refused(ForgeErrorKind::Invalid)),
            Fate::DeathBefore => self.die().await,
            Fate::Answered | Fate::AnswerLost | Fate::DeathAfter => {}
        }
        let done = act(&mut self.written()).map_err(refused);
        match fate {
            Fate::DeathAfter => self.die().await,
            Fate::AnswerLost if may_repeat => Err(refused(ForgeErrorKind::Unavailable)),
            Fate::AnswerLost => Err(refused(ForgeErrorKind::Lost)),
            _ => done,
        }
    }

    async fn die<T>(&self) -> T {
        self.1.notify_one();
        std::future::pending().await
    }
}

impl Board for Paper {
    async fn find_comment(&self, _: &PullId, marker: &str) -> Result<Option<CommentId>, ForgeError> {
        let marked = |text: &str| text.lines().next() == Some(marker);
        self.ask(true, |written| Ok(written.comments.iter().find(|(_, text)| marked(text)).map(|(id, _)| *id))).await
    }

    async fn create_comment(&self, _: &PullId, body: &str) -> Result<CommentId, ForgeError> {
        let create = |written: &mut Written| {
            written.made += 1;
            let id = CommentId(written.made);
            written.comments.push((id, body.to_owned()));
            written.unheard = Some((id, body.to_owned()));
            Ok(id)
        };
        self.ask(false, create).await
    }

    async fn edit_comment(&self, _: &PullId, comment: CommentId, body: &str) -> Result<(), ForgeError> {
        let edit = |written: &mut Written| {
            let there = written.comments.iter_mut().find(|(id, _)| *id == comment);
            there.ok_or(ForgeErrorKind::NotFound)?.1 = body.to_owned();
            Ok(())
        };
        self.ask(true, edit).await
    }

    async fn set_status(&self, _: &PullId, _: &Sha, status: &Status) -> Result<(), ForgeError> {
        let set = |written: &mut Written| {
            written.statuses.insert(status.context.clone(), status.description.clone());
            Ok(())
        };
        self.ask(true, set).await
    }
}

fn marker(key: &str) -> String {
    format!("<!-- {key} -->")
}

/// What is wanted, and who works on it.
struct Play {
    paper: Paper,
    store: Store,
    now: i64,
    processes: u32,
    version: u32,
    said: Vec<&'static str>,
    /// Of a process that died with it.
    dead: Option<Lease>,
}

/// How a piece of work ended.
enum End {
    Done,
    Nothing,
    Died,
}

impl Play {
    /// On the database, under a name that no process before had.
    fn new(store: &Store, case: u32) -> Self {
        let store = store.clone().held_by(&format!("case {case} process 0"));
        Self { paper: Paper::default(), store, now: 1_000, processes: 0, version: 0, said: vec![], dead: None }
    }

    fn live(&self) -> String {
        format!("{}\nversion {}", marker(LIVE), self.version)
    }

    fn statuses(&self) -> [(Sha, Status); 2] {
        CONTEXTS.map(|context| {
            let description = format!("version {}", self.version);
            (sha('a'), Status { context: context.into(), state: StatusState::Success, description, url: None })
        })
    }

    async fn take(&mut self, step: Step, case: u32) {
        let now = at(self.now);
        match step {
            Step::Say { key } => {
                let mut tx = self.store.write(&repo()).await.unwrap();
                let body = format!("{}\ntext", marker(KEYS[key]));
                tx.add_comment(&pull_id(1), KEYS[key], &body, now).await.unwrap();
                tx.enqueue(&tell(1), now).await.unwrap();
                tx.commit().await.unwrap();
                if !self.said.contains(&KEYS[key]) {
                    self.said.push(KEYS[key]);
                }
            }
            Step::Change => {
                self.version += 1;
                let mut tx = self.store.write(&repo()).await.unwrap();
                tx.enqueue(&tell(1), now).await.unwrap();
                tx.commit().await.unwrap();
            }
            Step::Delete { heard } => {
                let live = {
                    let mut written = self.paper.written();
                    let live = written.comments.iter().position(|(_, text)| text.starts_with(&marker(LIVE)));
                    live.map(|at| written.comments.remove(at).0)
                };
                if let Some(id) = live.filter(|_| heard) {
                    let mut tx = self.store.write(&repo()).await.unwrap();
                    tx.forget_live_comment(&pull_id(1), id).await.unwrap();
                    tx.enqueue(&tell(1), now).await.unwrap();
                    tx.commit().await.unwrap();
                }
            }
            Step::Wait { ms } => self.now += ms,
            Step::Tell { fates, dies_at_last } => {
                self.paper.written().fates = fates;
                if matches!(self.work(dies_at_last).await, End::Died) {
                    self.restart(case, dies_at_last).await;
                }
                self.paper.written().fates.clear();
            }
            Step::Restart { same_place } => self.restart(case, same_place).await,
            Step::LateWrite => self.late_write().await,
        }
    }

    async fn work(&mut self, dies_at_last: bool) -> End {
        let Some(lease) = self.store.claim(&[JobKind::Tell], at(self.now), LEASE_MS).await.unwrap() else {
            return End::Nothing;
        };
        let told = tokio::select! {
            biased;
            told = self.tell(&lease) => told,
            () = self.paper.1.notified() => {
                self.dead = Some(lease);
                return End::Died;
            }
        };
        if dies_at_last {
            self.dead = Some(lease);
            return End::Died;
        }
        match told {
            Ok(()) => assert!(self.store.finish(&lease).await.unwrap()),
            Err(FlowError::Forge(error)) => {
                assert!(self.store.give_back(&lease, at(self.now + 5), &error.message).await.unwrap());
            }
            Err(error) => panic!("{}", error.chain()),
        }
        End::Done
    }

    /// As the flow does, without its pace.
    async fn tell(&self, lease: &Lease) -> Result<(), FlowError> {
        let pull = pull_id(1);
        let outbox = Outbox { store: &self.store, board: &self.paper, lease, pull: &pull };
        let comments = self.store.comments(&pull).await?;
        let known = comments.iter().find(|comment| comment.key == LIVE);
        let body = self.live();
        if !known.is_some_and(|comment| is_shown(comment, &body)) {
            outbox.show_live(known, &body).await?;
        }
        let told = self.store.statuses(&pull).await?;
        for (sha, status) in self.statuses() {
            if !told.contains(&sent_status(&sha, &status)) {
                outbox.show_status(&sha, &status).await?;
            }
        }
        for comment in comments.iter().filter(|comment| comment.key != LIVE) {
            outbox.show_own(comment).await?;
        }
        Ok(())
    }

    async fn restart(&mut self, case: u32, same_place: bool) {
        let before = format!("case {case} process {}", self.processes);
        self.processes += 1;
        self.store = self.store.clone().held_by(&format!("case {case} process {}", self.processes));
        if same_place {
            self.store.release(&before, at(self.now)).await.unwrap();
        }
    }

    /// It has an effect only as long as nobody else has the work.
    async fn late_write(&mut self) {
        let Some(lease) = self.dead.take() else { return };
        let Some((id, body)) = self.paper.written().unheard.take() else { return };
        let key = body.lines().next().unwrap().trim_start_matches("<!-- ").trim_end_matches(" -->").to_owned();
        match self.store.comment_sent(&lease, &key, id, "late").await {
            Ok(()) | Err(StoreError::LeaseLost) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn count(&self, key: &str) -> usize {
        self.paper.written().comments.iter().filter(|(_, text)| text.starts_with(&marker(key))).count()
    }
}

async fn play(store: &Store, case: u32, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut play = Play::new(store, case);
    for step in steps {
        play.take(step, case).await;
        for key in KEYS.iter().chain([&LIVE]) {
            prop_assert!(play.count(key) <= 1, "{key} is there {} times", play.count(key));
        }
    }
    // Nothing goes wrong any more, and something changes.
    play.restart(case, true).await;
    play.take(Step::Change, case).await;
    while let Some(due) = play.store.next_due(&[JobKind::Tell]).await.unwrap() {
        play.now = play.now.max(due.0);
        prop_assert!(matches!(play.work(false).await, End::Done), "what is due can be claimed");
    }
    let comments = play.store.comments(&pull_id(1)).await.unwrap();
    for key in &play.said {
        let given_up = comments.iter().any(|comment| comment.key == *key && comment.given_up.is_some());
        prop_assert!(play.count(key) == 1 || given_up, "{key} is not there");
    }
    let written = play.paper.written();
    let live = written.comments.iter().filter(|(_, text)| text.starts_with(&marker(LIVE)));
    prop_assert_eq!(live.map(|(_, text)| text.clone()).collect::<Vec<_>>(), [play.live()]);
    for (_, status) in play.statuses() {
        prop_assert_eq!(written.statuses.get(&status.context), Some(&status.description));
    }
    Ok(())
}

fn each_is_told_once(cases: u32, open: impl Future<Output = Fresh>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let db = runtime.block_on(open);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let case = std::cell::Cell::new(0);
    let outcome = runner.run(&vec(step(), 1..50), |steps| {
        case.set(case.get() + 1);
        runtime.block_on(async {
            forget(&db.url).await;
            play(&db.store, case.get(), steps).await
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// What the case before has left.
async fn forget(url: &str) {
    use sqlx::Connection as _;
    let mut database = sqlx::AnyConnection::connect(url).await.unwrap();
    for table in ["job", "comment", "status"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut database).await.unwrap();
    }
    database.close().await.unwrap();
}

#[test]
fn whatever_happens_each_effect_is_there_once_on_sqlite() {
    each_is_told_once(128, Fresh::sqlite());
}

#[test]
fn whatever_happens_each_effect_is_there_once_on_postgres() {
    each_is_told_once(64, Fresh::postgres());
}
