use super::{Events, LONGEST_ERRORS, Tally};
use crate::domain::run::ResourceOutcome;
use serde_json::json;

fn event(kind: &str, part: &str, address: &str, action: &str) -> String {
    let message = format!("{address}: {kind}");
    json!({"@message": message, "type": kind, part: {"resource": {"addr": address}, "action": action}}).to_string()
        + "\n"
}

fn planned(address: &str, action: &str) -> String {
    event("planned_change", "change", address, action)
}

fn start(address: &str, action: &str) -> String {
    event("apply_start", "hook", address, action)
}

fn complete(address: &str, action: &str) -> String {
    event("apply_complete", "hook", address, action)
}

fn tally(lines: &[String], complete: bool) -> Tally {
    let mut events = Events::default();
    for line in lines {
        events.push(line.as_bytes());
    }
    events.tally(complete)
}

fn shown(outcomes: &[ResourceOutcome]) -> Vec<String> {
    outcomes.iter().map(|outcome| format!("{} {}", outcome.action, outcome.address)).collect()
}

#[test]
fn a_read_changes_nothing_and_is_not_counted() {
    let tally = tally(&[planned("data.x.y", "read"), start("data.x.y", "read"), complete("data.x.y", "read")], true);
    assert_eq!((tally.done, tally.not_done, tally.uncertain), (vec![], vec![], vec![]));
}

#[test]
fn what_only_concerns_the_state_is_done_when_the_whole_apply_is() {
    let lines = [planned("a.b", "remove"), planned("a.c", "create"), start("a.c", "create"), complete("a.c", "create")];
    assert_eq!(shown(&tally(&lines, true).done), ["remove a.b", "create a.c"]);
    let failed = tally(&lines, false);
    assert_eq!(
        (shown(&failed.done), shown(&failed.not_done)),
        (vec!["create a.c".to_owned()], vec!["remove a.b".into()])
    );
    assert!(failed.uncertain.is_empty());
}

#[test]
fn a_replacement_may_create_before_it_destroys() {
    let lines = [planned("a.b", "replace"), start("a.b", "create"), complete("a.b", "create"), start("a.b", "delete")];
    let half = tally(&lines, false);
    assert_eq!(shown(&half.done), ["create a.b"]);
    assert_eq!(
        (shown(&half.not_done), shown(&half.uncertain)),
        (vec!["delete a.b".to_owned()], vec!["delete a.b".into()])
    );
    let begun = tally(&lines[..2], false);
    assert_eq!(
        (shown(&begun.not_done), shown(&begun.uncertain)),
        (vec!["replace a.b".to_owned()], vec!["replace a.b".into()])
    );
}

#[test]
fn what_was_not_announced_is_told_all_the_same() {
    let lines = [start("a.old", "delete"), complete("a.old", "delete"), start("a.other", "delete")];
    let tally = tally(&lines, false);
    assert_eq!(shown(&tally.done), ["delete a.old"]);
    assert_eq!(
        (shown(&tally.not_done), shown(&tally.uncertain)),
        (vec!["delete a.other".to_owned()], vec!["delete a.other".into()])
    );
}

#[test]
fn what_can_t_be_read_and_what_is_no_resource_leave_it_unclear_what_was_begun() {
    let action = json!({"@message": "m", "type": "action_start", "hook": {"action": {"addr": "action.a.b"}}});
    let provisioner = json!({"@message": "m", "type": "provision_start", "hook": {"resource": {"addr": "a.b"}}});
    let noise = json!({"@message": "m", "type": "refresh_start", "hook": {"resource": {"addr": "a.b"}, "action": {}}});
    for (lines, unclear) in [
        (action.to_string(), true),
        (provisioner.to_string(), true),
        (noise.to_string(), false),
        ("{\"@message\": \"m\", \"type\": \"apply_sta".into(), true),
        ("x".repeat(2 << 20), true),
    ] {
        let mut events = Events::default();
        events.push(format!("{lines}\n").as_bytes());
        assert_eq!(events.tally(false).unclear, unclear, "{}", lines.chars().take(80).collect::<String>());
    }
    let mut events = Events::default();
    events.push(b"no event\n");
    assert!(!events.tally(true).unclear, "its exit code says that all is done");
}

#[test]
fn the_log_gets_messages_diagnostics_in_full_and_whatever_is_no_event() {
    let mut events = Events::default();
    let diagnostic = json!({
        "@message": "Error: Invalid count", "type": "diagnostic",
        "diagnostic": {
            "severity": "error", "summary": "Invalid count", "detail": "It is\nnegative.", "address": "a.b",
            "range": {"filename": "main.tf", "start": {"line": 2, "column": 1, "byte": 9}, "end": {"line": 3}},
            "snippet": {"context": "resource \"a\" \"b\"", "code": "  count = -1\n  x = 1", "start_line": 2, "values": []}
        }
    });
    let warning = json!({
        "@message": "Warning: Old", "type": "diagnostic", "diagnostic": {"severity": "warning", "summary": "Old"}
    });
    let text = format!("{}{diagnostic}\n{warning}\npanic: oh no\n", start("a.b", "create"));
    insta::assert_snapshot!(events.push(text.as_bytes()), @r#"
    a.b: apply_start

    Error: Invalid count

      with a.b

      on main.tf line 2, in resource "a" "b":
      2:   count = -1
      3:   x = 1

    It is
    negative.


    Warning: Old

    panic: oh no
    "#);
    let tally = events.tally(false);
    assert!(
        tally.errors.starts_with("Error: Invalid count") && tally.errors.ends_with("negative."),
        "{}",
        tally.errors
    );
    assert!(!tally.errors.contains("Old"));
}

#[test]
fn it_does_not_matter_how_the_output_is_cut() {
    let text = [planned("ä.b", "create"), start("ä.b", "create"), complete("ä.b", "create")].concat();
    let mut events = Events::default();
    let mut log: String = text.as_bytes().chunks(1).map(|chunk| events.push(chunk)).collect();
    log += &events.finish();
    assert_eq!(log, "ä.b: planned_change\nä.b: apply_start\nä.b: apply_complete\n");
    assert_eq!(shown(&events.tally(false).done), ["create ä.b"]);
}

#[test]
fn an_endless_line_is_left_out_and_what_follows_is_read() {
    let mut events = Events::default();
    let chunk = vec![b'x'; 64 << 10];
    for _ in 0..320 {
        assert_eq!(events.push(&chunk), "");
        assert!(events.line.len() <= super::LONGEST_LINE);
    }
    let log = events.push(format!("\n{}", complete("a.b", "create")).as_bytes());
    assert_eq!(log, "[A line of 20971520 bytes is left out.]\na.b: apply_complete\n");
}

#[test]
fn errors_are_kept_without_colours_and_not_without_end() {
    let mut events = Events::default();
    for number in 0..1000 {
        let detail = format!("\u{1b}[31mnumber {number}\u{1b}[0m {}", "x".repeat(100));
        let line = json!({"@message": "m", "type": "diagnostic",
            "diagnostic": {"severity": "error", "summary": "Bad", "detail": detail}});
        events.push(format!("{line}\n").as_bytes());
    }
    let errors = events.tally(false).errors;
    assert!(errors.len() <= LONGEST_ERRORS && errors.contains("number 999 x"), "{}", errors.len());
    assert!(!errors.contains('\u{1b}'));
}

#[test]
fn an_unfinished_line_at_the_end_is_not_lost() {
    let mut events = Events::default();
    assert_eq!(events.push(b"fatal error: out of memory"), "");
    assert_eq!(events.finish(), "fatal error: out of memory\n");
    assert_eq!(events.finish(), "");
}
