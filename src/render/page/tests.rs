use super::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_795_485_600_000);

fn planned() -> Value {
    json!({
        "summary": {
            "add": 2, "change": 0, "replace": 1, "destroy": 1, "import": 0, "moved": 0, "forget": 0, "read": 0,
            "outputs": 1, "unchanged": 3, "drifted": 0,
            "destroyed": ["terraform_data.<b>old</b>", "terraform_data.db"],
        },
        "fingerprint": "ab".repeat(32),
        "identity": {
            "terraform": "terraform 1.11.4", "workspace": "default", "workflow": "", "state_address": null,
            "state": { "lineage": "abc", "serial": 3 },
        },
        "tree": "c".repeat(40),
        "inputs": "d",
    })
}

fn run(state: &str, work: Value, outcome: Value) -> Run {
    serde_json::from_value(json!({
        "id": "00000000-0000-0000-0000-000000000007",
        "pull": "github.com/acme/infra#12",
        "project": {
            "key": "prod/network", "name": "prod-network", "tags": [], "var_files": [], "watch": [],
            "terraform_version": null, "state": "managed", "apply": "on_merge", "require": [], "reason": "",
        },
        "target": { "head": "a".repeat(40), "base": "b".repeat(40), "tree": "c".repeat(40), "inputs": "d" },
        "work": work,
        "state": state,
        "created_at": NOW.0 - 200_000,
        "started_at": if state == "queued" { json!(null) } else { json!(NOW.0 - 185_000) },
        "finished_at": if matches!(state, "queued" | "running") { json!(null) } else { json!(NOW.0) },
        "level": if state == "queued" { json!(null) } else { json!("off") },
        "outcome": outcome,
    }))
    .unwrap()
}

fn plan(state: &str, outcome: Value) -> Run {
    run(state, json!({ "kind": "plan" }), outcome)
}

fn apply(state: &str, outcome: Value) -> Run {
    let order = json!({
        "kind": "apply", "plan": "00000000-0000-0000-0000-000000000006", "reviewed": "ab".repeat(32),
        "merge_commit": "e".repeat(40), "batch": "00000000-0000-0000-0000-000000000007", "ordered_by": "ana",
        "approved_by": ["bo", "cy"],
    });
    run(state, order, outcome)
}

fn pull(html_url: &str, title: &str) -> Pull {
    serde_json::from_value(json!({
        "id": "github.com/acme/infra#12", "title": title, "html_url": html_url, "author": "sam",
        "head": "a".repeat(40), "head_branch": "wider", "fork": false, "base_branch": "main", "base": "b".repeat(40),
        "draft": false, "phase": { "phase": "open" }, "updated_at": 0,
    }))
    .unwrap()
}

fn facts(run: &Run) -> RunFacts<'_> {
    RunFacts { run, pull: None, reviewed: None, now: NOW, not_told: &[], log_bytes: 10, log_left_out: 0 }
}

fn page(facts: &RunFacts<'_>) -> String {
    let page = Pages::new("").run(facts).unwrap();
    format!("{}LOG{}", page.before_log, page.after_log)
}

/// What a reader sees of the page, by line.
fn read(html: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    let body = html.split_once("<main>").unwrap().1;
    for c in body.replace("</dt>", ": ").chars() {
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

#[test]
fn a_finished_plan() {
    let run = plan("succeeded", json!({ "result": "planned" }).with(planned()));
    let pull = pull("https://github.com/acme/infra/pull/12", "Wider <network>");
    let html = page(&RunFacts { pull: Some(&pull), ..facts(&run) });
    insta::assert_snapshot!(read(&html), @r"
    NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER&#x27;S ACCOUNT
    plan of prod-network
    succeeded
    Destroys or replaces
    terraform_data.&lt;b&gt;old&lt;&#x2f;b&gt;
    terraform_data.db
    Project: prod-network
    Directory: prod&#x2f;network
    Pull request: github.com&#x2f;acme&#x2f;infra#12 Wider &lt;network&gt;
    Head: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    Base: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb (main)
    Created: 2026-11-24 01:56:40 UTC
    Started: 2026-11-24 01:56:55 UTC
    Finished: 2026-11-24 02:00:00 UTC
    Took: 3 min 5 s
    Terraform: terraform 1.11.4
    Sandbox: off
    Plan: 1 to destroy, 1 to replace, 2 to add, 1 output changes
    Fingerprint: p_abababab
    Run: 00000000000000000000000000000007
    Log
    LOG
    ");
    assert!(html.contains("<a href=\"https:&#x2f;&#x2f;github.com&#x2f;acme&#x2f;infra&#x2f;pull&#x2f;12\""), "{html}");
}

#[test]
fn a_failed_apply_says_first_why_and_what_was_done() {
    let failed = json!({
        "result": "failed", "step": "apply", "message": "terraform failed with exit code 1", "output": "Error: no",
        "done": [{ "address": "terraform_data.a", "action": "create" }],
        "not_done": [{ "address": "terraform_data.b", "action": "delete" }],
        "changed_something": true,
    });
    let html = page(&facts(&apply("failed", failed)));
    let text = read(&html);
    insta::assert_snapshot!(text.split_once("Project:").unwrap().0, @r"
    NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER&#x27;S ACCOUNT
    apply of prod-network
    failed
    apply: terraform failed with exit code 1 Some changes were made before it failed.
    Done before it failed
    terraform_data.a (create)
    Not done
    terraform_data.b (delete)
    ");
    assert!(text.contains("Ordered by: ana\nApproved by: bo, cy"), "{text}");
    assert!(text.contains(&format!("Merge commit: {}", "e".repeat(40))), "{text}");
}

#[test]
fn a_stopped_apply_shows_the_new_plan_and_why_the_old_one_was_not_used() {
    let differs = json!({ "result": "differs", "because": "the state has changed", "planned": planned() });
    let text = read(&page(&facts(&apply("differs", differs))));
    assert!(text.contains("stopped: the new plan is not the reviewed one; nothing was changed"), "{text}");
    assert!(text.contains("the state has changed"), "{text}");
    assert!(text.contains("New plan: 1 to destroy"), "{text}");
}

#[test]
fn an_apply_of_the_saved_plan_tells_the_version_that_made_the_plan() {
    let applied = |saved: bool| {
        json!({
            "result": "applied", "done": [{ "address": "terraform_data.a", "action": "create" }],
            "fingerprint": "ab".repeat(32), "used_saved_plan": saved,
        })
    };
    let reviewed = plan("succeeded", json!({ "result": "planned" }).with(planned()));
    let run = apply("succeeded", applied(true));
    let text = read(&page(&RunFacts { reviewed: Some(&reviewed), ..facts(&run) }));
    assert!(
        text.contains(
            "Terraform: terraform 1.11.4\nSandbox: off\nApplied: the reviewed plan itself; 1 resource changed"
        ),
        "{text}"
    );
    let run = apply("succeeded", applied(false));
    let text = read(&page(&RunFacts { reviewed: Some(&reviewed), ..facts(&run) }));
    assert!(!text.contains("Terraform:"), "a new plan may have been made by another version: {text}");
}

#[test]
fn what_a_run_was_not_let_reach_is_named_however_it_ended() {
    let mut run = apply(
        "succeeded",
        json!({ "result": "applied", "done": [], "fingerprint": "ab".repeat(32), "used_saved_plan": true }),
    );
    let blocked = json!([{ "host": "api.example.com", "port": 443, "reason": "not_listed", "count": 2 }]);
    run.network = Some(crate::domain::sandbox::Network::Host);
    run.blocked = serde_json::from_value(blocked).unwrap();
    let text = read(&page(&facts(&run)));
    assert!(text.contains("Sandbox: off, with the network of the host"), "{text}");
    assert!(text.contains("Blocked\nblocked: api.example.com:443; allow it under"), "{text}");
}

#[test]
fn a_page_looks_again_only_while_its_run_goes_on() {
    let refresh = "<meta http-equiv=\"refresh\"";
    for state in ["queued", "waiting", "running"] {
        assert!(page(&facts(&plan(state, json!(null)))).contains(refresh), "{state}");
    }
    for state in ["succeeded", "failed", "differs", "superseded", "interrupted"] {
        assert!(!page(&facts(&plan(state, json!(null)))).contains(refresh), "{state}");
    }
}

#[test]
fn a_page_says_what_is_missing_of_its_log() {
    let run = plan("running", json!(null));
    let text = read(&page(&RunFacts { log_bytes: 0, ..facts(&run) }));
    assert!(text.contains("Nothing has been written yet."), "{text}");
    let text = read(&page(&RunFacts { log_left_out: 3 * 1024 * 1024 + 1, ..facts(&run) }));
    assert!(text.contains("the first 4 MiB are not shown"), "{text}");
    let run = plan("superseded", json!(null));
    let text = read(&page(&RunFacts { log_bytes: 0, ..facts(&run) }));
    assert!(text.contains("There is no log of this run."), "{text}");
}

#[test]
fn only_a_web_address_becomes_a_link() {
    let run = plan("queued", json!(null));
    for address in ["javascript:alert(1)", "data:text/html,x", "", "//evil.example", "JavaScript:alert(1)"] {
        let pull = pull(address, "A title");
        let html = page(&RunFacts { pull: Some(&pull), ..facts(&run) });
        assert!(!html.contains("<a "), "{address}");
    }
}

#[test]
fn a_title_can_t_reorder_the_page() {
    let run = plan("queued", json!(null));
    let pull = pull("https://github.com/acme/infra/pull/12", "safe \u{202E}suoregnad");
    let text = read(&page(&RunFacts { pull: Some(&pull), ..facts(&run) }));
    assert!(text.contains("#12 safe [U+202E]suoregnad"), "{text}");
}

#[test]
fn no_page_needs_more_than_the_strictest_policy_allows() {
    let pages = Pages::new("/ops");
    let hostile = "\"><script>alert(1)</script><img src=x onerror=alert(1)><!-- log -->";
    let run = plan(
        "failed",
        json!({
            "result": "failed", "step": "init", "message": hostile, "output": hostile, "done": [], "not_done": [],
            "changed_something": false,
        }),
    );
    let pull = pull(&format!("https://x/{hostile}"), hostile);
    let page = page(&RunFacts { pull: Some(&pull), ..facts(&run) });
    for html in [page, pages.home().unwrap(), pages.no_such_run().unwrap(), pages.nothing_here().unwrap()] {
        for word in ["<script", "<style", "<img", " style=", "<!-- log -->"] {
            assert!(!html.contains(word), "{word} in {html}");
        }
        assert_eq!(html.matches("<link ").count(), 1, "{html}");
    }
}

#[test]
fn the_style_sheet_has_every_class_that_a_log_can_wear() {
    let mut out = String::new();
    let mut converter = crate::render::ansi::AnsiHtml::new();
    for code in (0..=9).chain(30..=37).chain(40..=47).chain(90..=97).chain(100..=107) {
        converter.push(format!("\x1b[0;{code}mx").as_bytes(), &mut out);
    }
    converter.push("\u{202E}".as_bytes(), &mut out);
    converter.finish(&mut out);
    let classes = out.split("class=\"").skip(1).flat_map(|rest| rest.split('"').next().unwrap().split(' '));
    let mut seen = 0;
    for class in classes {
        seen += 1;
        let selector = format!(".log .{class}");
        let known = STYLE_SHEET.match_indices(&selector).any(|(at, _)| {
            !STYLE_SHEET[at + selector.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
        });
        assert!(known, "{class}");
    }
    assert!(seen >= 38, "{seen}");
}

#[test]
fn the_style_sheet_s_name_follows_its_content_and_the_server_s_path() {
    let pages = Pages::new("/ops");
    let home = pages.home().unwrap();
    let name = home.split("/assets/").nth(1).or_else(|| home.split("&#x2f;assets&#x2f;").nth(1)).unwrap();
    let name = name.split('"').next().unwrap();
    assert_eq!(pages.style_sheet(name), Some(STYLE_SHEET));
    assert_eq!(pages.style_sheet("app.css"), None);
    assert!(home.contains("href=\"/ops/assets/") || home.contains("href=\"&#x2f;ops&#x2f;assets&#x2f;"), "{home}");
}

/// Joins two JSON objects.
trait With {
    fn with(self, more: Value) -> Value;
}

impl With for Value {
    fn with(mut self, more: Value) -> Value {
        let (Some(all), Value::Object(more)) = (self.as_object_mut(), more) else { panic!("objects") };
        all.extend(more);
        self
    }
}
