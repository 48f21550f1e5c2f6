//! One server, several forges: each holds a repository of the same name, and none of them is taken for another.

use crate::scenario::{MANAGED, resource};
use crate::stage::{Setup, idle, sandbox, server_yaml};
use crate::world::{REPO, World};
use std::net::Ipv4Addr;
use terraplane::cli::Server;
use terraplane::config::{Environment, ServerConfig};
use terraplane::demo::Face;
use tokio::net::TcpListener;

/// The forge's part of a scenario's configuration, and its entry in `repos`.
fn parts(world: &World, data: &std::path::Path) -> (String, String) {
    let own = data.join(world.forge.face().as_str());
    std::fs::create_dir(&own).unwrap();
    let text = server_yaml(world, &own, "127.0.0.1:1", &Setup::default());
    let from = text.find(&format!("{}:\n", world.forge.face())).unwrap();
    let to = text.find("repos:\n").unwrap();
    (text[from..to].to_owned(), format!("  - match: \"{}\"\n", world.repo_name()))
}

#[tokio::test]
async fn repositories_of_one_name_on_several_forges_are_kept_apart() {
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let mut worlds = Vec::new();
    for face in Face::ALL {
        worlds.push(World::like(face, &files).await);
    }
    let data = tempfile::tempdir().unwrap();
    let parts: Vec<_> = worlds.iter().map(|world| parts(world, data.path())).collect();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let forges: String = parts.iter().map(|(forge, _)| forge.as_str()).collect();
    let repos: String = parts.iter().map(|(_, repo)| repo.as_str()).collect();
    let text = format!(
        "listen: {address}\nurl: http://{address}\ndata_dir: {}\nsandbox: {{network: allow}}\n{forges}repos:\n{repos}",
        data.path().join("data").display()
    );
    let file = data.path().join("server.yaml");
    std::fs::write(&file, text).unwrap();
    let config = ServerConfig::load(Some(&file), &Environment::new()).unwrap_or_else(|errors| panic!("{errors}"));
    let environment = Environment::from([("PATH".to_owned(), std::env::var("PATH").unwrap())]);
    let server = Server::start(config, listener, &environment, sandbox(None).await).await.unwrap();

    // Pull request 1 of acme/infra on each of them; one is heard by the route that all share.
    let mut pulls = Vec::new();
    for (n, world) in worlds.iter().enumerate() {
        world.connect(&format!("http://{address}/").parse().unwrap());
        if n == 0 {
            let url = format!("http://{address}/events").parse().unwrap();
            let secret = crate::world::WEBHOOK_SECRET.into();
            world.forge.set_hook(terraplane::demo::world::Hook { url, secret });
        }
        let input = format!("on-{}", world.forge.face());
        pulls.push(world.open_pull("Two").changing("prod/main.tf", &resource("web", &input)).await);
    }
    for (world, pull) in worlds.iter().zip(&pulls) {
        let input = format!("input: \"on-{}\"", world.forge.face());
        let text = pull.live_comment().await_containing(&input).await;
        for other in Face::ALL.into_iter().filter(|face| *face != world.forge.face()) {
            assert!(!text.contains(&format!("on-{other}")), "{other} is seen on {}: {text}", world.forge.face());
        }
    }
    // The locks, the state and the mirror of one are not those of another: each is applied, and to its own state.
    for pull in &pulls {
        let merged = pull.merge("ana").await;
        pull.world.await_status(&merged, "terraplane/apply", "success").await;
        assert!(pull.next_comment().await.contains("1 created"));
    }
    idle(&server).await;
    let known = server.flow.store.pull_state(&format!("{}#1", worlds[0].repo_name()).parse().unwrap()).await.unwrap();
    assert!(known.is_some_and(|state| state.pull().id.repo.path() == REPO));
    assert!(server.drain(std::time::Duration::from_secs(30)).await);
    for world in worlds {
        world.finish().await;
    }
}
