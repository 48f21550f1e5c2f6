use super::{ManagedState, OVERRIDE, OVERRIDE_FILE, write_override};
use crate::domain::id::Workspace;
use crate::domain::run::{StateMark, Step};
use crate::sandbox::Cage;
use crate::terraform::integrity;
use crate::terraform::plan_file;
use crate::terraform::snapshot::Snapshot;
use crate::terraform::steps::StepFailureKind;
use crate::terraform::testing::{Project, for_both_tools};
use std::fs;
use std::io::{Cursor, Read as _};
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use zip::ZipArchive;

#[test]
fn the_override_takes_the_place_of_whatever_the_repository_has_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(OVERRIDE_FILE);
    let written = || {
        write_override(dir.path(), &Workspace::default()).unwrap();
        fs::read_to_string(&path).unwrap()
    };
    assert_eq!(written(), OVERRIDE);
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, "untouched").unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert_eq!(written(), OVERRIDE);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "untouched");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(written(), OVERRIDE);
}

#[test]
fn another_workspace_than_the_default_one_is_refused_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let error = write_override(dir.path(), &"staging".parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains("`staging`") && error.contains("a directory of its own"), "{error}");
}

#[test]
fn printing_it_does_not_print_the_token() {
    let state = ManagedState { address: "http://x/state/1".into(), run: "r".into(), token: "t0ken-secret".into() };
    assert!(!format!("{state:?} {:?}", state.environment()).contains("t0ken"));
}

for_both_tools!(
    each_run_reaches_the_state_with_a_token_of_its_own_and_none_is_in_the_plan_file,
    a_plan_that_was_made_before_the_first_state_is_stale_after_it,
    a_state_that_may_not_be_read_fails_the_step,
    a_backend_with_settings_of_every_kind_is_recognised_in_its_plan,
);

const A: &str = "resource \"terraform_data\" \"a\" {\n  input = \"one\"\n}\n";

/// A server of one state that writes down what it is asked.
#[derive(Clone, Default)]
struct StateServer {
    state: Arc<Mutex<Option<Vec<u8>>>>,
    /// Method and credentials of each request.
    requests: Arc<Mutex<Vec<String>>>,
}

impl StateServer {
    /// Serves on a port of the kernel's choice until the test is over; returns the state's address.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/state/1", listener.local_addr().unwrap());
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(connection));
            }
        });
        address
    }

    async fn serve(self, connection: TcpStream) {
        let mut connection = BufReader::new(connection);
        let (mut lines, mut line) = (Vec::new(), String::new());
        while connection.read_line(&mut line).await.unwrap_or(0) > 2 {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        let Some(method) = lines.first().and_then(|line| line.split(' ').next()) else { return };
        let header = |name: &str| {
            let of = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
            lines.iter().filter_map(of).find(|(found, _)| found == name).map(|(_, value)| value)
        };
        let mut body = vec![0; header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
        connection.read_exact(&mut body).await.unwrap();
        let credentials = header("authorization").unwrap_or_default();
        self.requests.lock().unwrap().push(format!("{method} {credentials}"));
        let (status, answer) = match method {
            _ if credentials.is_empty() => ("401 Unauthorized", None),
            "GET" => ("200 OK", self.state.lock().unwrap().clone()),
            "POST" => ("200 OK", self.state.lock().unwrap().replace(body).and(None)),
            "LOCK" | "UNLOCK" => ("200 OK", None),
            _ => ("405 Method Not Allowed", None),
        };
        let status = if method == "GET" && status == "200 OK" && answer.is_none() { "404 Not Found" } else { status };
        let answer = answer.unwrap_or_default();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        connection.write_all(&[head.as_bytes(), &answer].concat()).await.unwrap();
    }

    fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

impl Project {
    fn reach_state(&mut self, address: &str, run: &str, token: &str) {
        self.state = Some(ManagedState { address: address.into(), run: run.into(), token: token.into() });
    }
}

/// What HTTP makes of `run-a:token-of-a` and `run-b:token-of-b`.
const BASIC_A: &str = "Basic cnVuLWE6dG9rZW4tb2YtYQ==";
const BASIC_B: &str = "Basic cnVuLWI6dG9rZW4tb2YtYg==";

async fn each_run_reaches_the_state_with_a_token_of_its_own_and_none_is_in_the_plan_file(mut project: Project) {
    let server = StateServer::default();
    let address = server.start().await;
    project.file("main.tf", A);
    write_override(&project.dir(), &project.workspace).unwrap();

    project.reach_state(&address, "run-a", "token-of-a");
    project.planned().await;
    assert_eq!(
        project.steps().state_pull(&mut Cage::off()).await.unwrap(),
        StateMark { lineage: String::new(), serial: 0 }
    );
    let requests = server.take_requests();
    assert!(
        !requests.is_empty() && requests.iter().all(|request| *request == format!("GET {BASIC_A}")),
        "{requests:?}"
    );

    let plan = plan_file::read(&project.plan_path()).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(&plan)).unwrap();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        for secret in ["token-of-a", "run-a", address.as_str()] {
            let found = content.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "`{secret}` is in {:?}", entry.name());
        }
    }

    project.reach_state(&address, "run-b", "token-of-b");
    assert!(project.steps().apply(&mut Cage::off(), &project.plan_path()).await.unwrap().succeeded());
    let requests = server.take_requests();
    let count = |method: &str| requests.iter().filter(|request| **request == format!("{method} {BASIC_B}")).count();
    assert_eq!((count("LOCK"), count("UNLOCK")), (1, 1), "{requests:?}");
    assert!(count("POST") >= 1, "{requests:?}");
    assert!(requests.iter().all(|request| request.ends_with(BASIC_B)), "{requests:?}");

    let written = server.state.lock().unwrap().clone().unwrap();
    let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
    let mark = project.steps().state_pull(&mut Cage::off()).await.unwrap();
    assert_eq!((written["serial"].as_u64(), written["lineage"].as_str()), (Some(mark.serial), Some(&*mark.lineage)));
}

async fn a_plan_that_was_made_before_the_first_state_is_stale_after_it(mut project: Project) {
    let server = StateServer::default();
    let address = server.start().await;
    project.file("main.tf", A);
    write_override(&project.dir(), &project.workspace).unwrap();
    project.reach_state(&address, "run-a", "token-of-a");
    project.planned().await;
    let first = fs::read(project.plan_path()).unwrap();
    assert!(project.steps().apply(&mut Cage::off(), &project.plan_path()).await.unwrap().succeeded());
    fs::write(project.plan_path(), first).unwrap();
    let report = project.steps().apply(&mut Cage::off(), &project.plan_path()).await.unwrap();
    assert!(!report.succeeded() && !report.started_something(), "{report:?}");
}

async fn a_state_that_may_not_be_read_fails_the_step(mut project: Project) {
    let address = StateServer::default().start().await;
    project.file("main.tf", A);
    write_override(&project.dir(), &project.workspace).unwrap();
    project.reach_state(&address, "", "");
    let failure = project.steps().init(&mut Cage::off(), false).await.unwrap_err();
    assert_eq!((failure.step, failure.kind), (Step::Init, StepFailureKind::Exit(1)), "init looks at the state already");
}

async fn a_backend_with_settings_of_every_kind_is_recognised_in_its_plan(mut project: Project) {
    let server = StateServer::default();
    let address = server.start().await;
    project.reach_state(&address, "run-a", "token-of-a");
    project.file(
        "main.tf",
        "terraform {\n  backend \"http\" {\n    skip_cert_verification = true\n    retry_max = 300\n    retry_wait_min = 1\n    \
         update_method = \"POST\"\n  }\n}\n",
    );
    let steps = project.steps();
    steps.init(&mut Cage::off(), false).await.unwrap();
    let snapshot =
        Snapshot::take(&project.root().join("tree"), &project.dir(), &project.tool, &project.workspace).unwrap();
    steps.plan(&mut Cage::off(), &project.plan_path(), &[], &[]).await.unwrap();
    integrity::verify(&plan_file::read(&project.plan_path()).unwrap(), &snapshot).unwrap();
    assert!(snapshot.backend.contains("300"), "{}", snapshot.backend);
}
