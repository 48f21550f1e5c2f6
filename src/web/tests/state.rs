use super::*;
use crate::flow::tokens::Right;
use crate::store::StateId;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;

/// A run with its token, as its terraform has them.
struct Client<'a> {
    server: &'a Server,
    state: StateId,
    run: Run,
    token: String,
}

async fn state_of(server: &Server) -> StateId {
    server.store.state_id(&repo(), &"prod/network".parse().unwrap()).await.unwrap()
}

impl<'a> Client<'a> {
    async fn new(server: &'a Server, number: u128, right: Right) -> Self {
        let state = state_of(server).await;
        let run = server.add_run(number, RunState::Running).await;
        let token = server.tokens.issue(run.id, &state.to_string(), right).expose_secret().to_owned();
        Self { server, state, run, token }
    }

    async fn send(&self, method: &str, query: &str, body: &str) -> Answer {
        let login = STANDARD.encode(format!("{}:{}", self.run.id, self.token));
        let request = Request::builder().method(method).uri(format!("/state/{}{query}", self.state));
        let request = request.header("authorization", format!("Basic {login}"));
        self.server.ask(request.body(Body::from(body.to_owned())).unwrap()).await
    }
}

fn state(serial: u64, secret: &str) -> String {
    json!({ "version": 4, "serial": serial, "lineage": "abc", "outputs": { "s": { "value": secret } } }).to_string()
}

fn lock(id: &str) -> String {
    json!({ "ID": id, "Operation": "OperationTypeApply", "Who": "ana@laptop" }).to_string()
}

#[tokio::test]
async fn a_state_is_read_back_as_it_was_written_and_encrypted_on_disk() {
    let server = Server::start().await;
    let client = Client::new(&server, 1, Right::Write).await;
    let empty = client.send("GET", "", "").await;
    assert_eq!((empty.status, empty.bytes.len()), (204, 0));
    for serial in 1..=2 {
        assert_eq!(client.send("POST", "", &state(serial, "hunter2")).await.status, 200);
    }
    let read = client.send("GET", "", "").await;
    assert_eq!((read.status, read.text()), (200, state(2, "hunter2").as_str()));
    assert_eq!(read.header("content-md5").len(), 24);
    let folder = server.dir.path().join("archive/state").join(client.state.to_string());
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "older versions are kept");
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
    let head = server.store.state_head(&client.state).await.unwrap().unwrap();
    assert_eq!((head.version, head.serial, head.run), (2, 2, Some(client.run.id)));
}

#[tokio::test]
async fn only_the_token_of_this_run_and_state_opens_it() {
    let server = Server::start().await;
    let good = Client::new(&server, 1, Right::Write).await;
    let other = Client::new(&server, 2, Right::Write).await;
    let elsewhere = server.store.state_id(&repo(), &"prod/dns".parse().unwrap()).await.unwrap();
    let clients = [
        Client { server: &server, state: good.state, run: good.run.clone(), token: other.token.clone() },
        Client { server: &server, state: good.state, run: good.run.clone(), token: String::new() },
        Client { server: &server, state: elsewhere, run: good.run.clone(), token: good.token.clone() },
        Client { server: &server, state: StateId(uuid::Uuid::nil()), run: good.run.clone(), token: good.token.clone() },
    ];
    for client in &clients {
        for method in ["GET", "POST", "LOCK", "UNLOCK", "DELETE"] {
            let answer = client.send(method, "", &lock("l")).await;
            assert_eq!(answer.status, 401, "{method}");
            assert!(answer.header("www-authenticate").starts_with("Basic "), "{method}");
        }
    }
    let path = format!("/state/{}", good.state);
    assert_eq!(server.get(&path).await.status, 401, "without any login");
}

#[tokio::test]
async fn a_plan_reads_and_can_neither_write_nor_lock() {
    let server = Server::start().await;
    let writer = Client::new(&server, 1, Right::Write).await;
    let reader = Client::new(&server, 2, Right::Read).await;
    assert_eq!(writer.send("POST", "", &state(1, "")).await.status, 200);
    assert_eq!(reader.send("GET", "", "").await.status, 200);
    for (method, body) in [("POST", state(2, "")), ("LOCK", lock("l")), ("UNLOCK", lock("l"))] {
        assert_eq!(reader.send(method, "", &body).await.status, 403, "{method}");
    }
    assert_eq!(server.store.state_head(&reader.state).await.unwrap().unwrap().serial, 1);
}

#[tokio::test]
async fn a_token_is_good_only_while_its_run_is_running() {
    let server = Server::start().await;
    let mut client = Client::new(&server, 1, Right::Write).await;
    for state in RunState::ALL {
        let mut run = client.run.clone();
        server.set_state(&mut run, state).await;
        client.run = run;
        let expected = if state == RunState::Running { 204 } else { 403 };
        assert_eq!(client.send("GET", "", "").await.status, expected, "{state:?}");
    }
}

#[tokio::test]
async fn an_apply_whose_server_died_may_write_its_state_down_as_long_as_it_holds_its_lock() {
    let server = Server::start().await;
    let mut orphan = Client::new(&server, 1, Right::Write).await;
    assert_eq!(orphan.send("LOCK", "", &lock("a")).await.status, 200);
    let mut run = orphan.run.clone();
    server.set_state(&mut run, RunState::Interrupted).await;
    orphan.run = run;
    assert_eq!(orphan.send("POST", "?ID=a", &state(1, "")).await.status, 200);
    assert_eq!(orphan.send("UNLOCK", "", &lock("a")).await.status, 200);
    assert_eq!(orphan.send("POST", "", &state(2, "")).await.status, 403, "it has let go");
}

#[tokio::test]
async fn a_lock_is_held_by_one_and_the_others_are_told_by_whom() {
    let server = Server::start().await;
    let (ana, bo) = (Client::new(&server, 1, Right::Write).await, Client::new(&server, 2, Right::Write).await);
    assert_eq!(ana.send("LOCK", "", &lock("a")).await.status, 200);
    assert_eq!(ana.send("LOCK", "", &lock("a")).await.status, 200, "the same request, sent twice");
    let refused = bo.send("LOCK", "", &lock("b")).await;
    assert_eq!(refused.status, 423);
    let holder: serde_json::Value = serde_json::from_str(refused.text()).unwrap();
    assert_eq!((holder["ID"].as_str(), holder["Who"].as_str()), (Some("a"), Some("ana@laptop")));

    assert_eq!(bo.send("UNLOCK", "", &lock("b")).await.status, 409);
    assert_eq!(ana.send("UNLOCK", "", &lock("a")).await.status, 200);
    assert_eq!(ana.send("UNLOCK", "", &lock("a")).await.status, 200, "the same request, sent twice");
    assert_eq!(bo.send("LOCK", "", &lock("b")).await.status, 200);
}

#[tokio::test]
async fn a_write_has_to_come_from_the_lock_s_holder() {
    let server = Server::start().await;
    let client = Client::new(&server, 1, Right::Write).await;
    assert_eq!(client.send("POST", "?ID=a", &state(1, "")).await.status, 409, "a lock that is gone");
    assert_eq!(client.send("LOCK", "", &lock("a")).await.status, 200);
    for query in ["", "?ID=b", "?ID="] {
        let refused = client.send("POST", query, &state(1, "")).await;
        assert_eq!(refused.status, 423, "{query}");
        assert!(refused.text().contains("ana@laptop"), "{}", refused.text());
    }
    assert_eq!(client.send("POST", "?ID=a", &state(1, "")).await.status, 200);
}

#[tokio::test]
async fn another_run_can_t_use_or_free_a_lock_though_it_knows_its_id() {
    let server = Server::start().await;
    let (ana, bo) = (Client::new(&server, 1, Right::Write).await, Client::new(&server, 2, Right::Write).await);
    assert_eq!(ana.send("LOCK", "", &lock("a")).await.status, 200);
    assert_eq!(bo.send("LOCK", "", &lock("a")).await.status, 423);
    assert_eq!(bo.send("UNLOCK", "", &lock("a")).await.status, 409);
    assert_eq!(bo.send("POST", "?ID=a", &state(1, "")).await.status, 423);
    assert_eq!(ana.send("POST", "?ID=a", &state(1, "")).await.status, 200);
}

#[tokio::test]
async fn a_state_that_arrived_is_kept_though_its_sender_dies() {
    let server = Server::start().await;
    let client = Client::new(&server, 1, Right::Write).await;
    // Somebody else is writing, so that the request can't end before its sender does.
    let busy = server.store.write(&repo()).await.unwrap();
    let folder = server.dir.path().join("archive/state").join(client.state.to_string());
    let body = state(1, "x");
    tokio::select! {
        answer = client.send("POST", "", &body) => panic!("answered {}", answer.status),
        () = async {
            while std::fs::read_dir(&folder).map_or(0, Iterator::count) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
    drop(busy);
    let kept = async {
        while server.store.state_head(&client.state).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), kept).await.expect("the state is kept");
}

#[tokio::test]
async fn a_lock_that_a_dead_run_left_behind_is_taken_by_the_next() {
    let server = Server::start().await;
    let dead = Client::new(&server, 1, Right::Write).await;
    assert_eq!(dead.send("LOCK", "", &lock("dead")).await.status, 200);
    let next = Client::new(&server, 2, Right::Write).await;
    assert_eq!(next.send("LOCK", "", &lock("next")).await.status, 423, "it may still be alive");
    server.set_state(&mut dead.run.clone(), RunState::Interrupted).await;
    assert_eq!(next.send("LOCK", "", &lock("next")).await.status, 200);
    assert_eq!(next.send("POST", "?ID=next", &state(1, "")).await.status, 200);
}

#[tokio::test]
async fn a_state_that_does_not_follow_the_newest_is_a_conflict() {
    let server = Server::start().await;
    let client = Client::new(&server, 1, Right::Write).await;
    assert_eq!(client.send("POST", "", &state(5, "x")).await.status, 200);
    assert_eq!(client.send("POST", "", &state(5, "x")).await.status, 200, "the same request, sent twice");
    assert_eq!(client.send("POST", "", &state(5, "y")).await.status, 409, "the same serial with other content");
    assert_eq!(client.send("POST", "", &state(4, "x")).await.status, 409, "an older serial");
    let foreign = state(6, "x").replace("abc", "def");
    let refused = client.send("POST", "", &foreign).await;
    assert_eq!(refused.status, 409, "another lineage");
    assert!(refused.text().contains("lineage"), "{}", refused.text());
    assert_eq!(server.store.state_head(&client.state).await.unwrap().unwrap().version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_at_the_same_moment_one_wins_and_its_state_is_what_is_read() {
    let server = Server::start().await;
    let client = Client::new(&server, 1, Right::Write).await;
    for serial in 1..=10 {
        let bodies: Vec<String> = (0..4).map(|writer| state(serial, &format!("writer-{writer}"))).collect();
        let answers = futures::future::join_all(bodies.iter().map(|body| client.send("POST", "", body))).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        let winners: Vec<usize> = (0..4).filter(|index| statuses[*index] == 200).collect();
        assert_eq!(winners.len(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 409)), "{statuses:?}");
        assert_eq!(client.send("GET", "", "").await.text(), bodies[winners[0]]);
    }
    let folder = server.dir.path().join("archive/state").join(client.state.to_string());
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 10, "what lost is not kept");
}

#[tokio::test]
async fn a_damaged_foreign_or_huge_body_is_refused() {
    let server = Server::start().await;
    let client = Client::new(&server, 1, Right::Write).await;
    let login = STANDARD.encode(format!("{}:{}", client.run.id, client.token));
    let request = |md5: &str| {
        let request =
            Request::post(format!("/state/{}", client.state)).header("authorization", format!("Basic {login}"));
        request.header("content-md5", md5).body(Body::from("{\"version\":4,\"serial\":1,\"lineage\":\"a\"}")).unwrap()
    };
    assert_eq!(server.ask(request("kAFQmDzST7DWlj99KOF/cg==")).await.status, 400);
    assert_eq!(client.send("POST", "", "not a state").await.status, 400);
    assert_eq!(client.send("LOCK", "", "{}").await.status, 400);
    assert_eq!(client.send("LOCK", "", &lock(&"x".repeat(70_000))).await.status, 413);
    assert_eq!(client.send("POST", "", &"x".repeat(STATE_LIMIT + 1)).await.status, 413);
    assert_eq!(client.send("DELETE", "", "").await.status, StatusCode::METHOD_NOT_ALLOWED.as_u16());
    assert_eq!(client.send("GET", "", "").await.status, 204, "nothing was written");
}

#[tokio::test]
async fn lost_bytes_are_an_error_and_not_an_empty_state() {
    let server = Server::start().await;
    let client = Client::new(&server, 1, Right::Write).await;
    assert_eq!(client.send("POST", "", &state(1, "")).await.status, 200);
    let head = server.store.state_head(&client.state).await.unwrap().unwrap();
    std::fs::remove_file(server.dir.path().join("archive").join(&head.archive_name)).unwrap();
    // Terraform takes 404 and 204 for a project that has nothing yet, and would create everything again.
    assert_eq!(client.send("GET", "", "").await.status, 500);
    server.store.close().await;
    assert_eq!(client.send("GET", "", "").await.status, 503);
}
