//! `terraplane demo --script`: the whole story in one command, by the real binary.

use std::process::Command;
use terraplane::demo::Face;

#[test]
fn the_demo_plays_its_story_to_the_end_on_every_forge() {
    for face in Face::ALL {
        plays(face);
    }
}

fn plays(face: Face) {
    let args = ["demo", "--script", "--forge", face.as_str()];
    let told = Command::new(env!("CARGO_BIN_EXE_terraplane")).args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "{out}\n{err}");
    for step in ["webhook", "the live comment shows the plans", "approves", "merges", "the result of the apply"] {
        assert!(out.contains(step), "nothing was said of `{step}`:\n{out}");
    }
    assert!(out.trim_end().ends_with("Everything happened as it should."), "{out}");
}
