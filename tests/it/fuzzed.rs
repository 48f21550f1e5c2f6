//! What the fuzz targets check, with bytes that are put together from what has meaning somewhere.

use proptest::prelude::*;
use proptest::sample::select;

#[path = "../../fuzz/checks/command.rs"]
mod command;
#[path = "../../fuzz/checks/comment.rs"]
mod comment;
#[path = "../../fuzz/checks/selector.rs"]
mod selector;

const PARTS: &[&str] = &[
    "\0",
    "\n/close\n",
    "/merge",
    "\n",
    "@team",
    "#123",
    "```",
    "`",
    "~~~",
    "<!-- terraplane:live -->",
    "-->",
    "|",
    "</details>",
    "\u{202e}",
    "\u{1b}[31m",
    "{\"a\": [1, \"@b\"]}",
    "[\"x\"]",
    "a.b",
    "[0]",
    ".",
    "> ",
    "# ",
    "**",
    "é",
    "🦀",
    "plain text",
];

/// Words of commands and selectors.
const WORDS: &[&str] = &[
    "terraplane ",
    "tp ",
    "atlantis ",
    "@infra-bot ",
    "plan",
    "apply",
    "freeze",
    " ",
    "\n",
    "prod",
    "prod/*",
    "tag:eu",
    " and ",
    " or ",
    " not ",
    "(",
    ")",
    ",",
    "--failed",
    "--except ",
    "-d ",
    "-p ",
    " -- ",
    "-target=x",
    "-chdir=/",
    "\"why\"",
    "until 2026-12-01",
    "`",
    "```\n",
    "> ",
    "<!--",
    "é",
    "**",
    "[",
    "]",
    "{",
    "}",
    "!",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_comment_keeps_its_promises_whatever_a_plan_says(parts in prop::collection::vec(select(PARTS), 0..60), noise in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut bytes = parts.concat().into_bytes();
        bytes.extend(noise);
        comment::check(&bytes);
    }

    #[test]
    fn a_command_is_what_was_written_whatever_that_is(words in prop::collection::vec(select(WORDS), 0..40), noise in any::<String>()) {
        command::check(&(words.concat() + &noise));
    }

    #[test]
    fn a_selector_is_shown_as_it_is_meant(words in prop::collection::vec(select(WORDS), 0..12)) {
        selector::check(&words.concat());
    }
}

#[test]
fn ten_megabytes_in_one_value_are_a_short_comment() {
    let mut bytes = b"address\0key\0".to_vec();
    bytes.extend("@team `x` \n/close\n".repeat(600_000).into_bytes());
    comment::check(&bytes);
}
