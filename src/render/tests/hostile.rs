//! Whatever is in a plan, a name or an error message: the comment stays ours.

use super::*;
use crate::domain::command::Selector;
use crate::domain::decide::{Because, Problem};
use crate::domain::freeze::Freeze;
use crate::domain::id::Timestamp;
use crate::domain::plan::{AttributeChange, CheckView, OutputView, ResourceView};
use crate::domain::report::{ResultInput, Server};
use crate::domain::run::{Diagnostic, Failure, ResourceOutcome};
use crate::domain::sandbox::{Level, Network};
use proptest::prelude::*;
use proptest::sample::select;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

const FRAGMENTS: &[&str] = &[
    "@team",
    "@",
    "#123",
    "GH-7",
    "```",
    "``",
    "`",
    "~~~",
    "\n",
    "\n\n",
    "\n/close\n",
    "/merge",
    "<!-- terraplane:live -->",
    "-->",
    "<script>alert(1)</script>",
    "</details>",
    "</summary>",
    "</code>",
    "<b",
    "|",
    "\\|",
    "\\",
    "\u{202e}",
    "\u{200b}",
    "\u{1b}[31m",
    "\u{1b}]0;x",
    "\u{7}",
    "\r\n",
    "\t",
    "&#64;",
    "&lt;",
    "[x](https://evil.example/1)",
    "![i](http://e)",
    "https://github.com/o/r/issues/1",
    "www.evil.example",
    "**",
    "_",
    "* ",
    "# x",
    "> ",
    "- ",
    "1. ",
    "$x$",
    "!12",
    "~label",
    "é",
    "🦀",
    "a",
    "main.tf",
    " ",
    "  ",
    "\"",
    "'",
    "module.a[\"k\"]",
    "---",
    "|---|",
    ":",
    "%",
];

fn text() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        8 => select(FRAGMENTS).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => (1usize..400).prop_map(|n| "x".repeat(n)),
        1 => (1usize..40).prop_map(|n| "`".repeat(n)),
        1 => (select(&["&", "@", "\\", "<", "\u{7}"][..]), 1usize..300).prop_map(|(one, n)| one.repeat(n)),
    ];
    prop::collection::vec(fragment, 0..12).prop_map(|parts| parts.concat())
}

/// A name as far as its rule allows: what `filter_map` drops is not a name.
fn named<T: std::str::FromStr + std::fmt::Debug>(fallback: &'static str) -> impl Strategy<Value = T> {
    text().prop_map(move |text| {
        let text: String = text.chars().take(60).collect();
        text.parse()
            .or_else(|_| text.replace(|c: char| !c.is_ascii_graphic(), "").parse())
            .or_else(|_| fallback.parse())
            .ok()
            .unwrap()
    })
}

fn shown() -> impl Strategy<Value = Shown> {
    prop_oneof![
        Just(Shown::Absent),
        Just(Shown::Unknown),
        Just(Shown::Sensitive),
        text().prop_map(|text| Shown::Value(serde_json::Value::from(text).to_string())),
        text().prop_map(Shown::Value),
        (text(), 0usize..9).prop_map(|(text, skipped)| Shown::Part {
            json: serde_json::Value::from(text).to_string(),
            skipped,
            length: 99_999,
            digest: "d".into(),
        }),
    ]
}

fn attribute() -> impl Strategy<Value = AttributeChange> {
    (text(), shown(), shown()).prop_map(|(path, before, after)| AttributeChange { path, before, after })
}

fn action() -> impl Strategy<Value = Action> {
    use Action::{Create, Delete, Forget, NoOp, Read, Replace, Update};
    select(vec![Create, Update, Replace, Delete, Read, Forget, NoOp])
}

fn resource_view() -> impl Strategy<Value = ResourceView> {
    let attributes = prop::collection::vec(attribute(), 0..6);
    let moved = || prop::option::of(text());
    let forced = prop::collection::vec(text(), 0..3);
    (text(), action(), moved(), moved(), moved(), forced, any::<bool>(), attributes).prop_map(
        |(address, action, deposed, moved_from, because, forces_replacement, importing, attributes)| ResourceView {
            because,
            address,
            action,
            deposed,
            forces_replacement,
            moved_from,
            importing,
            attributes,
        },
    )
}

fn plan_view() -> impl Strategy<Value = PlanView> {
    let output = (text(), action(), prop::collection::vec(attribute(), 0..3))
        .prop_map(|(name, action, attributes)| OutputView { name, action, attributes });
    let check = (text(), prop::collection::vec(text(), 0..4)).prop_map(|(address, messages)| CheckView {
        address,
        status: "fail".into(),
        messages,
    });
    (
        prop::collection::vec(resource_view(), 0..8),
        prop::collection::vec(output, 0..3),
        prop::collection::vec(resource_view(), 0..3),
        prop::collection::vec(check, 0..8),
    )
        .prop_map(|(resources, outputs, drift, checks)| PlanView { resources, outputs, drift, checks })
}

fn summary() -> impl Strategy<Value = PlanSummary> {
    (0usize..3, 0usize..3, 0usize..60, prop::collection::vec(text(), 0..50)).prop_map(
        |(add, replace, destroy, destroyed)| PlanSummary {
            add,
            replace,
            destroy,
            destroyed,
            unchanged: 3,
            ..PlanSummary::default()
        },
    )
}

fn failed() -> impl Strategy<Value = Failure> {
    let done = || prop::collection::vec((text(), text()), 0..20);
    let diagnostic = (text(), text(), prop::option::of(text())).prop_map(|(summary, file, address)| Diagnostic {
        detail: summary.clone(),
        summary,
        address,
        place: Some((file, 3)),
    });
    let diagnostics = prop::collection::vec(diagnostic, 0..8);
    let texts = (text(), text(), 1usize..400, diagnostics, done(), done());
    texts.prop_map(|(message, output, times, diagnostics, done, not_done)| {
        let outcomes = |all: Vec<(String, String)>| {
            all.into_iter().map(|(address, action)| ResourceOutcome { address, action }).collect::<Vec<_>>()
        };
        Failure {
            output: output.repeat(times),
            diagnostics: diagnostics.into(),
            done: outcomes(done),
            not_done: outcomes(not_done),
            changed_something: true,
            ..failure(Step::Apply, &message, "")
        }
    })
}

/// A project in any state, with the views of its runs. `id` makes its runs different from others'.
fn any_project(id: u128) -> impl Strategy<Value = (ProjectState, Views)> {
    let mode = select(vec![ApplyMode::OnMerge, ApplyMode::OnComment, ApplyMode::Both]);
    let texts = (named::<crate::domain::id::ProjectName>("p"), text(), text(), mode);
    (texts, summary(), plan_view(), plan_view(), failed(), 0u8..9).prop_map(
        move |((name, reason, because, mode), summary, view, other, failed, kind)| {
            let mut project = project("p");
            (project.name, project.reason, project.apply) = (name, reason, mode);
            let plan = plan_run(2 * id, &project, summary.clone());
            let views = HashMap::from([(plan.id, view), (run_id(2 * id + 1), other)]);
            let mut found = standing(&project, Some(plan.clone()), None);
            found.lock = Some(lock(&project, "github.com/acme/infra#198"));
            let apply = |state, outcome| Some(apply_run(2 * id + 1, &plan, state, outcome));
            match kind {
                0 => found.plan = None,
                1 => {
                    found.plan =
                        Some(run(2 * id, &project, Work::Plan, RunState::Failed, Some(Outcome::Failed(failed))))
                }
                2 => found.apply = apply(RunState::Failed, Some(Outcome::Failed(failed))),
                3 => found.apply = apply(RunState::Differs, Some(differs(&because, summary))),
                4 => found.apply = apply(RunState::Waiting, None),
                5 => found.apply = apply(RunState::Interrupted, None),
                6 => found.apply = apply(RunState::Succeeded, Some(applied(&[(because.as_str(), "create")], true))),
                7 => found.project.state = StateKind::Nowhere,
                _ => {}
            }
            (found, views)
        },
    )
}

fn any_projects() -> impl Strategy<Value = (Vec<ProjectState>, Views)> {
    (1usize..8).prop_flat_map(|count| (1..=count as u128).map(any_project).collect::<Vec<_>>()).prop_map(|all| {
        let (projects, views): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        (projects, views.into_iter().flatten().collect())
    })
}

fn any_problem() -> impl Strategy<Value = Problem> {
    prop_oneof![
        prop::collection::vec(text(), 0..30).prop_map(|files| Problem::Conflict { files }),
        (text(), 1usize..9000).prop_map(|(text, n)| Problem::Configuration { errors: text.repeat(n) }),
        (text(), 1usize..2000).prop_map(|(text, n)| Problem::Fetch { message: text.repeat(n) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_live_comment_stays_ours((projects, views) in any_projects(), is_merged in any::<bool>(), branch in named("main")) {
        let mut state = state(projects);
        state.record.pull.base_branch = branch;
        if is_merged {
            state.record.pull.phase = merged();
        }
        check(&live(&state, &views), "<!-- terraplane:live -->");
    }

    #[test]
    fn a_problem_stays_ours(problem in any_problem()) {
        check(&live(&with_problem(problem), &Views::new()), "<!-- terraplane:live -->");
    }

    #[test]
    fn a_result_stays_ours((projects, views) in any_projects(), by in named("ana"), approved in prop::collection::vec(named("lee"), 0..9)) {
        let astray = |project: &ProjectState| {
            let view = project.plan.as_ref().and_then(|plan| views.get(&plan.id));
            let differences = view.map(|view| differences(&PlanView::default(), view));
            let (project, why) = (project.project.name.clone(), project.project.reason.clone());
            Astray { project, why, url: Some("https://tp/runs/1".into()), differences }
        };
        let astray = projects.iter().map(astray).collect();
        check(&say(&Say::NotAsReviewed { commit: sha('9'), projects: astray }), "<!-- terraplane:reply 77-1 -->");
        let mut runs: Vec<Run> = projects.into_iter().filter_map(|project| project.apply).collect();
        for run in &mut runs {
            if let Work::Apply(order) = &mut run.work {
                (order.ordered_by, order.approved_by) = (login("ana"), approved.clone());
                order.ordered_by = crate::domain::id::Login::clone(&by);
            }
        }
        check(&result(&runs, &views), "<!-- terraplane:run 00000000000000000000000000000064 -->");
    }

    #[test]
    fn an_answer_stays_ours(to in named::<crate::domain::id::Login>("sam"), word in text(), words in prop::collection::vec(text(), 0..90), name in named::<crate::domain::id::ProjectName>("p")) {
        let marker = "<!-- terraplane:reply 77-1 -->";
        check(&say(&Say::UnknownVerb { to: to.clone(), word, meant: crate::domain::command::Meant::Verb(Verb::Plan) }), marker);
        let missing = words.iter().map(|what| Missing { project: Some(name.clone()), what: what.clone() }).collect();
        check(&say(&Say::Refused { to: to.clone(), verb: Verb::Plan, missing }), marker);
        let projects = vec![name.clone(); words.len()];
        check(&say(&Say::NothingMatched { to: to.clone(), verb: Verb::Plan, selector: words.clone(), projects: projects.clone() }), marker);
        let reason = words.first().cloned();
        check(&say(&Say::Unlocked { by: to.clone(), projects: projects.clone(), of: None, reason: reason.clone() }), marker);
        check(&say(&Say::Locked { by: to.clone(), projects, reason: reason.clone() }), marker);
        let freeze = Freeze {
            selector: Selector::any_of(words.iter().cloned()),
            by: to.clone(),
            since: Timestamp(0),
            until: Some(Timestamp(60_000)),
            reason,
        };
        check(&say(&Say::Frozen(freeze.clone())), marker);
        let because = Because { project: name, reason: words.join(" "), rules: words.clone(), missing: words.clone() };
        check(&say(&Say::Why { to: to.clone(), projects: vec![because; 3] }), marker);
        check(&say(&Say::Locks { to: to.clone(), held: vec![], freezes: vec![freeze; words.len()] }), marker);
        check(&say(&Say::NotMerged { why: words.join("\n") }), marker);
        let problem = Problem::Configuration { errors: words.join("\n") };
        check(&say(&Say::QueueUnplanned { commit: sha('9'), problem }), marker);
    }
}

/// Everything that must hold for every comment.
fn check(comment: &str, marker: &str) {
    assert!(comment.chars().count() <= COMMENT_LIMIT, "{} characters", comment.chars().count());
    assert_eq!(comment.lines().next(), Some(marker));
    assert_eq!(comment.matches("<!--").count(), 1, "a marker of somebody else:\n{comment}");
    assert!(!comment.chars().any(|c| c == '\u{1b}' || c == '\u{202e}'), "{comment:?}");
    let outside = outside_fences(comment);
    let mut table = None;
    for line in outside.lines() {
        assert!(!line.trim_start().starts_with('/'), "a quick action: {line}");
        if line.starts_with('|') {
            let bars = line.matches('|').count();
            assert!([8, 7, 5, 3].contains(&bars), "a broken row: {line}");
            assert_eq!(*table.get_or_insert(bars), bars, "not as its table's head: {line}");
        } else {
            table = None;
        }
    }
    assert_eq!(outside.matches("<details").count(), outside.matches("</details>").count());
    check_markdown(comment);
}

/// The lines outside of fences; panics if a fence is left open.
fn outside_fences(comment: &str) -> String {
    let mut open: Option<usize> = None;
    let mut outside = String::new();
    for line in comment.lines() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match open {
            Some(length) if ticks >= length && line[ticks..].trim().is_empty() => open = None,
            Some(_) => {}
            None if ticks >= 3 => open = Some(ticks),
            None => {
                outside.push_str(line);
                outside.push('\n');
            }
        }
    }
    assert_eq!(open, None, "an open fence:\n{comment}");
    outside
}

/// As a Markdown reader sees it: only our elements, and no mention, reference or address outside of code.
fn check_markdown(comment: &str) {
    let (mut prose, mut html_code, mut code_block) = (String::new(), 0, false);
    for event in Parser::new_ext(comment, Options::ENABLE_TABLES | Options::ENABLE_GFM) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => code_block = true,
            Event::End(TagEnd::CodeBlock) => code_block = false,
            Event::Start(Tag::Link { dest_url, .. }) => assert!(dest_url.starts_with("https://tp/"), "{dest_url}"),
            Event::Start(Tag::Image { .. }) => panic!("an image:\n{comment}"),
            Event::Text(text) if !code_block && html_code == 0 => prose.push_str(&text),
            Event::InlineHtml(tag) if &*tag == "<code>" => html_code += 1,
            Event::InlineHtml(tag) if &*tag == "</code>" => html_code -= 1,
            Event::Html(html) | Event::InlineHtml(html) => prose.push_str(&html_prose(&html)),
            Event::End(_) | Event::SoftBreak => prose.push('\n'),
            _ => {}
        }
    }
    assert_eq!(html_code, 0, "{comment}");
    let pairs = || prose.chars().zip(prose.chars().skip(1));
    assert!(!pairs().any(|(a, b)| a == '@' && b.is_alphanumeric()), "a mention:\n{prose}");
    assert!(!pairs().any(|(a, b)| a == '#' && b.is_ascii_digit()), "a reference:\n{prose}");
    assert!(!prose.contains("://") && !prose.contains("www."), "a link:\n{prose}");
}

/// The text of our own elements, without what is in `<code>`; panics at any other element.
fn html_prose(html: &str) -> String {
    const OURS: &[&str] = &[
        "details",
        "details open",
        "/details",
        "summary",
        "/summary",
        "b",
        "/b",
        "/a",
        "code",
        "/code",
        "sub",
        "/sub",
    ];
    let (mut prose, mut rest, mut in_code) = (String::new(), html, false);
    while let Some((before, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').unwrap_or((after, ""));
        let ours = OURS.contains(&tag) || tag.starts_with("!-- terraplane:") || tag.starts_with("a href=\"https://tp/");
        assert!(ours, "an element of somebody else: <{tag}> in {html}");
        if !in_code {
            prose.push_str(before);
        }
        in_code = tag == "code" || (in_code && tag != "/code");
        rest = after;
    }
    prose.push_str(rest);
    decoded(&prose)
}

/// Numeric entities as the characters that they stand for.
fn decoded(html: &str) -> String {
    let (mut out, mut rest) = (String::new(), html);
    while let Some((before, after)) = rest.split_once("&#") {
        out.push_str(before);
        let (number, after) = after.split_once(';').expect("an entity ends");
        out.push(char::from_u32(number.parse().expect("a number")).unwrap());
        rest = after;
    }
    out + rest
}

#[test]
fn a_servers_name_is_the_operators_own_and_a_good_cage_is_no_cause_for_capitals() {
    let (network, views) = network();
    let server = Server { name: "tp-eu".into(), level: Level::Full };
    let mut state = state(vec![network]);
    state.projects[0].plan.as_mut().unwrap().network = Some(Network::Host);
    let comment = RENDERER.live(&live_input(&state, &views, &server));
    assert!(comment.starts_with("<!-- tp-eu:live -->\n### tp-eu · plan ready"), "{comment}");
    assert!(!comment.contains("SANDBOX") && comment.contains("· sandbox: full · network: host</sub>"), "{comment}");
    let pull = pull();
    let input = ResultInput { server: &server, ..result_input(&pull, &[], &views, &server) };
    assert!(RENDERER.result(&input).starts_with("<!-- tp-eu:run "));
}
