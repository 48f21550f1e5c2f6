use super::*;

const ELSEWHERE: &str = "This link does not open a run.";

/// Path and query of the signed link.
fn path(server: &Server, run: RunId) -> String {
    server.links.run_url(run).replace("https://terraplane.example.com", "")
}

async fn write_log(server: &Server, run: RunId, log: &[u8]) {
    let path = server.archive.create_log(run).await.unwrap();
    std::fs::write(path, log).unwrap();
}

#[tokio::test]
async fn the_front_page_says_what_this_is_and_nothing_else() {
    let server = Server::start().await;
    server.add_run(1, RunState::Running).await;
    let answer = server.get("/").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("This is a Terraplane server."));
    assert!(!answer.text().contains("acme"));
}

#[tokio::test]
async fn the_signed_link_opens_the_run_s_facts_and_log() {
    let server = Server::start().await;
    let run = server.add_run(1, RunState::Running).await;
    write_log(&server, run.id, b"\x1b[1mterraform\x1b[0m init\n").await;
    let answer = server.get(&path(&server, run.id)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    for fact in ["prod-network", "Wider network", "NOT SANDBOXED", "<span class=\"bold\">terraform</span> init\n</pre>"]
    {
        assert!(answer.text().contains(fact), "{fact} is missing in {}", answer.text());
    }
}

#[tokio::test]
async fn without_the_right_key_nobody_learns_whether_a_run_exists() {
    let server = Server::start().await;
    let run = server.add_run(1, RunState::Succeeded).await;
    let other = path(&server, run_id(2));
    let others_key = other.split_once('?').unwrap().1;
    let not_there = server.get(&other).await;
    assert_eq!(not_there.status, 404);
    assert!(not_there.text().contains(ELSEWHERE) && not_there.text().contains("Open it from the comment"));
    for request in [
        format!("/runs/{}", run.id),
        format!("/runs/{}?key=", run.id),
        format!("/runs/{}?{others_key}", run.id),
        format!("/runs/{}?key={}", run.id, "0".repeat(32)),
        "/runs/nonsense?key=x".into(),
        "/runs/%FF?key=%FF".into(),
    ] {
        let answer = server.get(&request).await;
        assert!(matches!(answer.status, 404 | 400), "{request}: {}", answer.status);
        assert!(answer.status == 400 || answer.bytes == not_there.bytes, "{request}");
    }
}

#[tokio::test]
async fn a_hostile_log_stays_text() {
    let server = Server::start().await;
    let run = server.add_run(1, RunState::Failed).await;
    let hostile = "</pre><script>alert(document.cookie)</script><!-- log -->\x1b]8;;javascript:alert(1)\x07x\x1b]8;;\x07 \u{202E}gpj.exe";
    write_log(&server, run.id, hostile.as_bytes()).await;
    let answer = server.get(&path(&server, run.id)).await;
    let log = answer.text().split_once("<pre").unwrap().1.split_once("</pre>").unwrap().0;
    assert!(
        log.ends_with(
            "&lt;/pre&gt;&lt;script&gt;alert(document.cookie)&lt;/script&gt;&lt;!-- log --&gt;x \
             <b class=\"odd\">U+202E</b>gpj.exe"
        ),
        "{log}"
    );
    assert!(!answer.text().contains("<script") && !answer.text().contains("javascript:"));
    assert_eq!(answer.text().matches("</pre>").count(), 1);
}

#[tokio::test]
async fn the_style_sheet_may_be_kept_for_ever_and_only_by_its_name() {
    let server = Server::start().await;
    let home = server.get("/").await;
    let href = home.text().split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#x2f;", "/");
    let sheet = server.get(&href).await;
    assert_eq!(sheet.status, 200);
    assert_eq!(sheet.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(sheet.header("cache-control"), "public, max-age=31536000, immutable");
    for other in ["/assets/app.css", "/assets/..%2f..%2fCargo.toml", "/assets/"] {
        assert_eq!(server.get(other).await.status, 404, "{other}");
    }
}

#[tokio::test]
async fn a_log_that_can_t_be_read_is_an_error_page_without_details() {
    let server = Server::start().await;
    let run = server.add_run(1, RunState::Failed).await;
    let log = server.archive.log_path(run.id);
    std::os::unix::fs::symlink(server.dir.path().join("key"), &log).unwrap();
    let answer = server.get(&path(&server, run.id)).await;
    assert_eq!(answer.status, 500, "a link in the place of a log is not followed");
    assert!(!answer.text().contains("key"), "{}", answer.text());
}
