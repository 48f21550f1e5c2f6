use super::{Caller, world_with_a_pull};
use crate::world::{REPO, World};
use reqwest::{Response, StatusCode};

async fn get(world: &World, path: &str) -> Response {
    let caller = Caller::nobody(world);
    caller.client.get(world.forge.url().join(path).unwrap()).send().await.unwrap()
}

async fn press(world: &World, action: &str, fields: &[(&str, &str)], origin: Option<&str>) -> StatusCode {
    let caller = Caller::nobody(world);
    let url = world.forge.url().join(&format!("{REPO}/pull/1/{action}")).unwrap();
    let mut request = caller.client.post(url).form(fields);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn the_page_shows_everything_about_a_pull_request_and_runs_nothing_foreign() {
    let (world, pull) = world_with_a_pull().await;
    pull.comment("terraplane", "<!-- terraplane:live -->\n| a |\n|---|\n| **planned** |\n");
    pull.comment("ana", "<script>alert(1)</script>\n\n*nice*");
    world.forge.set_status(REPO, &pull.head(), "terraplane/plan", "success", "terraplane").unwrap();
    let page = get(&world, "acme/infra/pull/1").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap().replace("&#x2f;", "/");
    for wanted in [
        "A change",
        "<td><strong>planned</strong></td>",
        "live comment",
        "<em>nice</em>",
        "terraplane/plan",
        "prod/main.tf",
        "# something",
        "Merge pull request",
    ] {
        assert!(html.contains(wanted), "{wanted} is missing in {html}");
    }
    assert!(!html.contains("<script>"), "{html}");
    assert!(!html.contains(" style="), "{html}");
    let list = get(&world, "/").await.text().await.unwrap().replace("&#x2f;", "/");
    assert!(list.contains("A change") && list.contains("acme/infra"), "{list}");
    assert_eq!(get(&world, "acme/infra/pull/99").await.status(), 404);
    assert_eq!(get(&world, "no/such/page").await.status(), 404);
}

#[tokio::test]
async fn the_buttons_do_what_they_say() {
    let (world, pull) = world_with_a_pull().await;
    assert_eq!(press(&world, "comment", &[("text", "terraplane plan\r\nsecond line")], None).await, 303);
    assert_eq!(pull.now().comments[0].body, "terraplane plan\nsecond line");
    assert_eq!(press(&world, "approve", &[], None).await, 303);
    assert_eq!(pull.now().reviews[0].author, "ana");
    assert_eq!(press(&world, "push", &[], None).await, 404, "there is no prepared commit");
    assert_eq!(press(&world, "squash", &[], None).await, 303);
    assert!(pull.is_merged());
    assert_eq!(press(&world, "merge", &[], None).await, 422);
    assert_eq!(press(&world, "dance", &[], None).await, 404);
}

#[tokio::test]
async fn another_site_cannot_press_the_buttons() {
    let (world, pull) = world_with_a_pull().await;
    assert_eq!(press(&world, "merge", &[], Some("https://evil.example")).await, 403);
    assert!(!pull.is_merged());
    let own = world.forge.url().origin().ascii_serialization();
    assert_eq!(press(&world, "merge", &[], Some(&own)).await, 303);
}

#[tokio::test]
async fn an_open_page_hears_of_news() {
    let (world, pull) = world_with_a_pull().await;
    let version = |page: &Response| page.headers()["x-version"].to_str().unwrap().to_owned();
    let first = version(&get(&world, "acme/infra/pull/1").await);
    let asked = format!("acme/infra/pull/1/now?since={first}");
    let (news, ()) = tokio::join!(get(&world, &asked), async {
        pull.comment("kim", "something new");
    });
    assert_ne!(version(&news), first);
    assert!(news.text().await.unwrap().contains("something new"));
}
