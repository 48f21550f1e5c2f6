//! Whatever a selector is written as, what it is shown as is read as the same. Checked by the fuzz target and, with other texts,
//! by the tests.

use terraplane::domain::command::{Command, Names, Parsed, parse_comment};

fn understood(selector: &str) -> Option<Command> {
    let names = Names::new("terraplane", []);
    match parse_comment(&format!("terraplane plan {selector}"), &names).pop()?.1 {
        Parsed::Command(command) => Some(command),
        Parsed::UnknownVerb { .. } | Parsed::BadArgument { .. } | Parsed::OneTooMany(_) => None,
    }
}

/// Panics if the selector is shown as another one.
pub fn check(text: &str) {
    // A line break begins another command.
    if text.contains(['\n', '\r']) {
        return;
    }
    let Some(command) = understood(text) else { return };
    if command.selector.is_everything() {
        return;
    }
    let shown = command.selector.to_string();
    let again = understood(&shown).unwrap_or_else(|| panic!("{text:?} is shown as {shown:?}, which is not understood"));
    assert_eq!(again.selector, command.selector, "{text:?} is shown as {shown:?}");
}
