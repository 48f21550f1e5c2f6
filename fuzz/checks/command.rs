//! Any comment is parsed without a panic, in bounded time, and nothing that is understood holds what was not written.
//! Checked by the fuzz target and, with other texts, by the tests.

use terraplane::domain::command::{Names, Parsed, parse_comment, permitted_extra};

/// Panics if what is understood of the comment can't be.
pub fn check(text: &str) {
    let names = Names::new("terraplane", ["atlantis".to_owned()]).or_account("infra-bot");
    for (line, parsed) in parse_comment(text, &names) {
        assert!(line >= 1 && line <= text.lines().count());
        if let Parsed::Command(command) = parsed {
            for argument in permitted_extra(&command.extra).unwrap_or_default() {
                assert!(argument.starts_with('-') && !argument.starts_with("-chdir"));
            }
        }
    }
}
