//! `terraplane demo --script`: the whole story in one command, by the real binary.

use std::process::Command;

#[test]
fn the_demo_plays_its_story_to_the_end() {
    let told = Command::new(env!("CARGO_BIN_EXE_terraplane")).args(["demo", "--script"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "{out}\n{err}");
    for step in ["webhook", "the live comment shows the plans", "approves", "merges", "the result of the apply"] {
        assert!(out.contains(step), "nothing was said of `{step}`:\n{out}");
    }
    assert!(out.trim_end().ends_with("Everything happened as it should."), "{out}");
}
