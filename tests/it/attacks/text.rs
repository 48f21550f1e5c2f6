//! Text that would like to be more: what a program, a plan or an error says, in a terminal, a comment or a page.

use super::attack::{Attack, by, test};

pub(super) const ATTACKS: &[Attack] = &[
    by(
        45,
        "sequences for terminals in output and names",
        &[
            test!("src/render/ansi/tests.rs", "other_sequences_are_dropped_and_none_reaches_past_its_line"),
            test!("src/render/ansi/tests.rs", "whatever_is_logged_is_harmless"),
            test!("src/render/filters/tests.rs", "terminal_sequences_go_and_nothing_printable_goes_with_them"),
        ],
    ),
    by(
        46,
        "Markdown that leaves its fence, calls people or imitates our comments",
        &[
            test!("src/render/tests/hostile.rs", "the_live_comment_stays_ours"),
            test!("src/render/tests/hostile.rs", "a_result_stays_ours"),
            test!("src/render/filters/tests.rs", "a_fence_is_longer_than_any_in_it"),
            test!("src/render/filters/tests.rs", "a_marker_of_ours_cannot_be_imitated"),
        ],
    ),
    by(
        47,
        "HTML on the pages",
        &[
            test!("src/render/ansi/tests.rs", "html_in_a_log_is_text"),
            test!("src/web/tests/pages.rs", "a_hostile_log_stays_text"),
            test!("src/web/tests/around.rs", "every_answer_forbids_browsers_almost_everything"),
        ],
    ),
    by(
        49,
        "secrets in what is printed",
        &[
            test!("tests/it/scenario/secrets.rs", "sensitive_values_are_in_no_comment_status_log_or_file"),
            test!("src/terraform/steps/tests.rs", "sensitive_values_and_granted_secrets_stay_out_of_the_log"),
            test!("src/sandbox/process/tests.rs", "the_log_and_the_tail_for_a_message_are_masked"),
        ],
    ),
];
