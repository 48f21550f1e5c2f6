//! Text that would like to be more: what a program, a plan or an error says, in a terminal, a comment or a page.

use super::attack::{Attack, Test, by, test};
use super::bare;
use crate::scenario::MANAGED;
use crate::scenario::secrets::{files_with, told, traces};
use crate::stage::{Setup, Stage};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::fs;

pub(super) const ATTACKS: &[Attack] = &[
    by(
        45,
        "sequences for terminals in output and names",
        &[
            HERE,
            test!("src/render/ansi/tests.rs", "other_sequences_are_dropped_and_none_reaches_past_its_line"),
            test!("src/render/ansi/tests.rs", "whatever_is_logged_is_harmless"),
            test!("src/render/filters/tests.rs", "terminal_sequences_go_and_nothing_printable_goes_with_them"),
        ],
    ),
    by(
        46,
        "Markdown that leaves its fence, calls people or imitates our comments",
        &[
            HERE,
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
            HERE,
            test!("src/render/ansi/tests.rs", "html_in_a_log_is_text"),
            test!("src/web/tests/pages.rs", "a_hostile_log_stays_text"),
            test!("src/web/tests/around.rs", "every_answer_forbids_browsers_almost_everything"),
        ],
    ),
    by(
        49,
        "secrets in what is printed",
        &[
            HERE,
            test!("tests/it/scenario/secrets.rs", "sensitive_values_are_in_no_comment_status_log_or_file"),
            test!("src/terraform/steps/tests.rs", "sensitive_values_and_granted_secrets_stay_out_of_the_log"),
            test!("src/sandbox/process/tests.rs", "the_log_and_the_tail_for_a_message_are_masked"),
        ],
    ),
];

const HERE: Test = test!("tests/it/attacks/text.rs", "what_terraform_passes_on_as_it_is_arrives_as_harmless_text");

/// Terminals clear their screen and take a title; Markdown leaves its fence, calls a team, closes the pull request and
/// imitates our comment; HTML runs a script.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\n```\n\n@acme/sre look at #1\n\n/close\n\n<!-- terraplane:live -->\n\
                       <script>alert(1)</script>\n";

const SECRET: &str = "what-was-granted-hidden";

const PASSWORD: &str = "variable \"password\" {\n  sensitive = true\n}\n";

/// Said by an error, when planning.
const ERROR: &str = r#"
output "said" {
  value = 1
  precondition {
    condition     = length(nonsensitive(var.password)) == 0
    error_message = "${file("said.txt")}${nonsensitive(var.password)}"
  }
}
"#;

/// Said by a program, when applying.
const PROGRAM: &str = r#"
resource "terraform_data" "says" {
  provisioner "local-exec" {
    command     = "cat said.txt; echo $PASSWORD; exit 1"
    environment = { PASSWORD = nonsensitive(var.password) }
  }
}
"#;

/// What each of the four is after, in a text that is put where people see it without more ado.
fn got(raw: &str) -> Vec<&'static str> {
    let comment = format!("```\n{raw}\n```\n");
    let mut found = Vec::new();
    found.extend(raw.contains("\u{1b}]0;owned\u{7}").then_some("terminal"));
    found.extend(leaves_code(&comment).then_some("Markdown"));
    found.extend(comment.lines().any(|line| line.starts_with("<!-- terraplane:live")).then_some("marker"));
    found.extend(raw.contains("<script>").then_some("HTML"));
    found.extend(raw.contains(SECRET).then_some("secret"));
    found
}

/// Whether a reader of Markdown finds the call, or an element, outside of code.
fn leaves_code(comment: &str) -> bool {
    let (mut in_code, mut prose) = (false, String::new());
    for event in Parser::new_ext(comment, Options::ENABLE_TABLES | Options::ENABLE_GFM) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Text(text) if !in_code => prose.push_str(&text),
            Event::Html(html) | Event::InlineHtml(html) => prose.push_str(&html),
            _ => {}
        }
    }
    prose.contains("@acme") || prose.contains("<script")
}

/// What it says of its errors, which hold what a program said, by hand. It is for other programs, so that it is as it came.
fn by_hand(code: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("main.tf"), format!("{PASSWORD}{code}")).unwrap();
    fs::write(dir.path().join("said.txt"), HOSTILE).unwrap();
    let variables = [("TF_VAR_password", SECRET)];
    bare::said("terraform", &["init"], dir.path(), &variables);
    let said = bare::said("terraform", &["apply", "-json", "-auto-approve", "-input=false"], dir.path(), &variables);
    let events = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    events.filter_map(|event| event["diagnostic"]["detail"].as_str().map(str::to_owned)).collect()
}

/// Lines of a comment that begin as only ours do, and what else must not be in one.
fn assert_harmless(comment: &str) {
    assert!(!comment.contains('\u{1b}') && !comment.contains(SECRET), "{comment}");
    assert_eq!(comment.matches("<!--").count(), 1, "{comment}");
    assert!(!leaves_code(comment), "{comment}");
}

async fn assert_harmless_page(comment: &str) {
    let mut links = comment.split(['"', '(', ')']).filter(|text| text.starts_with("http") && text.contains("?key="));
    let link = links.next_back().unwrap_or_else(|| panic!("no link to the run: {comment}"));
    let html = reqwest::get(link).await.unwrap().text().await.unwrap();
    assert!(html.contains("&lt;script&gt;alert(1)"), "it is shown: {html}");
    assert!(!html.contains("<script") && !html.contains('\u{1b}') && !html.contains(SECRET), "{html}");
    assert!(!html.contains("owned"), "a title is for terminals only: {html}");
}

#[tokio::test]
async fn what_terraform_passes_on_as_it_is_arrives_as_harmless_text() {
    for code in [ERROR, PROGRAM] {
        let raw = by_hand(code);
        assert_eq!(got(&raw), ["terminal", "Markdown", "marker", "HTML", "secret"], "it is not passed on: {raw:?}");
    }

    let grants = format!(
        "    env:\n      - match: \"*\"\n        plan: {{TF_VAR_password: {SECRET}}}\n        apply: {{TF_VAR_password: {SECRET}}}\n"
    );
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", ""), ("prod/said.txt", HOSTILE)];
    let stage = Stage::set(&files, Setup { repo: grants, ..Setup::default() }).await;
    let pull = stage.world.open_pull("Says").changing("prod/main.tf", &format!("{PASSWORD}{ERROR}")).await;
    let text = pull.live_comment().await_containing("plan failed").await;
    assert!(text.contains("alert(1)"), "it was said: {text}");
    assert_harmless(&text);
    assert_harmless_page(&text).await;

    pull.push(&[("prod/main.tf", &format!("{PASSWORD}{PROGRAM}"))]).await;
    pull.live_comment().await_containing("plan ready").await;
    pull.merge("ana").await;
    let text = pull.next_comment().await;
    assert!(text.contains("failed") && text.contains("alert(1)"), "it was said: {text}");
    assert_harmless(&text);
    assert_harmless_page(&text).await;
    stage.settled().await;

    let secrets = traces(SECRET);
    assert!(!secrets.iter().any(|secret| told(&stage).contains(secret)));
    let found = files_with(&stage.data.path().join("data"), &secrets);
    assert!(found.is_empty(), "{found:?}");
    stage.finish().await;
}
