//! What a browser makes of a comment: tables, folded parts, fences and alerts are there to be seen. The screenshots are
//! left in `target/screenshots`, for people.

use crate::world::{REPO, World};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// A browser that does nothing else.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--timeout=20000",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

async fn browse(url: &str, flags: &[&str]) -> Vec<u8> {
    let profile = tempfile::tempdir().unwrap();
    let done = Command::new("chromium")
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(flags)
        .arg(url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let done = tokio::time::timeout(Duration::from_secs(120), done).await.expect("the browser ends");
    let done = done.expect("there is `chromium` on the PATH: scripts/prerequisites.sh installs it");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// The page of a pull request with a comment of the gallery as its live comment.
async fn page_with(comment: &str) -> (World, String) {
    let (world, pull) = super::world_with_a_pull().await;
    let text = std::fs::read_to_string(root().join("docs/comments").join(comment)).unwrap();
    pull.comment("terraplane", &text);
    let url = world.forge.url().join(&format!("{REPO}/pull/1")).unwrap().to_string();
    (world, url)
}

async fn screenshot(url: &str, name: &str, flags: &[&str]) {
    let dir = root().join("target/screenshots");
    std::fs::create_dir_all(&dir).unwrap();
    let file: PathBuf = dir.join(format!("{name}.png"));
    let _ = std::fs::remove_file(&file);
    let to = format!("--screenshot={}", file.display());
    browse(url, &[&["--window-size=1280,1700", to.as_str()], flags].concat()).await;
    let png = std::fs::read(&file).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n") && png.len() > 30_000, "{} bytes", png.len());
}

#[tokio::test]
async fn a_comment_is_shown_with_its_tables_folds_fences_and_alerts() {
    let (_world, url) = page_with("many-projects.md").await;
    let html = String::from_utf8(browse(&url, &["--dump-dom"]).await).unwrap();
    let live = html.split("id=\"live\"").nth(1).unwrap_or_else(|| panic!("no live comment in {html}"));
    let live = live.split("</section>").next().unwrap();
    for wanted in [
        "<div class=\"alert caution\"><p class=\"alert-title\">Caution</p>",
        "<strong>database</strong>",
        "<table>",
        "<td class=\"right\">",
        "<details open=\"\"><summary><b><a href=\"https://terraplane.example.com/runs/20\"",
        "<pre class=\"diff\"><code><span class=\"alter\">! aws_db_instance.main",
        "<summary>6 unchanged</summary>",
        "<sub>",
    ] {
        assert!(live.contains(wanted), "{wanted} is missing in {live}");
    }
    // What the browser would show as it is written: Markdown that was not understood.
    for raw in ["```", "**", "| |", "&gt; [!"] {
        assert!(!live.contains(raw), "{raw} is left in {live}");
    }
    screenshot(&url, "many-projects", &[]).await;
    screenshot(&url, "many-projects-at-night", &["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]).await;
}

#[tokio::test]
async fn the_plan_of_one_project_needs_no_click() {
    let (_world, url) = page_with("plan.md").await;
    screenshot(&url, "plan", &[]).await;
    let (_world, url) = page_with("plan-failed.md").await;
    screenshot(&url, "plan-failed", &[]).await;
}
