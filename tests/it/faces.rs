//! The scenarios on other forges than GitHub. They don't know which one it is; this table does, and runs them again, in a
//! process of its own for each forge, whose worlds look like that forge.

use crate::world::FACE;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use terraplane::demo::Face;

/// What is run on a forge.
struct Row {
    face: Face,
    /// Every test whose name contains one of these, …
    scenarios: &'static [&'static str],
    /// … and none of these, each with the reason.
    not: &'static [(&'static str, &'static str)],
}

const TABLE: &[Row] = &[
    Row {
        face: Face::Gitlab,
        scenarios: &["scenario::"],
        not: &[
            ONLY_GITHUBS_APPS,
            WRITERS_ARE_HEARD,
            NO_MERGE_GROUP,
            ("a_live_comment_that_somebody_deleted", "its webhooks tell nothing of comments that are deleted"),
            ("a_project_is_held_from_its_apply_on", "a status that is pending takes no new text there"),
            ("an_unknown_event_or_action", "its webhooks have another shape; `forge::gitlab::event` has its own table"),
        ],
    },
    Row {
        face: Face::Gitea,
        scenarios: &["scenario::"],
        not: &[ONLY_GITHUBS_APPS, WRITERS_ARE_HEARD, NO_MERGE_GROUP, NO_QUEUE, OWNERS_ARE_ONLY_ASKED],
    },
];

const OWNERS_ARE_ONLY_ASKED: (&str, &str) = (
    "whether_code_owners_approved",
    "it asks code owners for reviews and merges without them, so that it can never say that they approved",
);

const NO_QUEUE: (&str, &str) = ("what_is_applied_goes_into_the_queue", "it merges at once, and has no queue for that");

const NO_MERGE_GROUP: (&str, &str) = ("scenario::queue::", "only GitHub asks for checks of what its queue would merge");

const ONLY_GITHUBS_APPS: (&str, &str) =
    ("an_app_has_webhooks_sent_again", "it has no Apps, and keeps no list of webhooks that a program may read");

const WRITERS_ARE_HEARD: (&str, &str) =
    ("a_conversation_that_is_locked", "whoever may write, as the server may, also comments where it is locked");

/// One forge after the other: they have the machine to share with the other tests.
static TURN: Mutex<()> = Mutex::new(());

fn run(face: Face) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let row = TABLE.iter().find(|row| row.face == face).unwrap();
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(row.scenarios).arg("--test-threads=2").env(FACE, face.as_str());
    for (name, _) in row.not {
        tests.args(["--skip", name]);
    }
    let ran = tests.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "on {face}:\n{out}\n{err}");
    assert!(!out.contains("running 0 tests"), "the table names no test: {out}");
}

#[test]
fn the_scenarios_hold_on_gitlab() {
    run(Face::Gitlab);
}

#[test]
fn the_scenarios_hold_on_gitea() {
    run(Face::Gitea);
}

#[test]
fn every_other_forge_has_its_row() {
    let others: Vec<Face> = Face::ALL.into_iter().filter(|face| *face != Face::default()).collect();
    assert_eq!(TABLE.iter().map(|row| row.face).collect::<Vec<_>>(), others);
}
