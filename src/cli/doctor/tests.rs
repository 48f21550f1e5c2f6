use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Answers every request with this, until the test ends.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

/// An address of this host where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A host of its own: a data directory, and what the environment says.
struct Host {
    dir: tempfile::TempDir,
    environment: Environment,
}

impl Host {
    async fn new() -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap(), environment: Environment::new() };
        let data = host.dir.path().join("data").display().to_string();
        let path = std::env::var_os("PATH").unwrap().into_string().unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        host.set("PATH", &path)
            .set("TERRAPLANE_DATA_DIR", &data)
            .set("TERRAPLANE_URL", &answering(answer).await)
            .set("TERRAPLANE_GITHUB__API_URL", &nobody().await)
            .set("TERRAPLANE_GITHUB__WEBHOOK_SECRET", "hook")
            .set("TERRAPLANE_GITHUB__TOKEN", "hunter2")
            .set("TERRAPLANE_REPOS__0__MATCH", "*/acme/*")
            .set("TERRAPLANE_SANDBOX__REQUIRE", "off")
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The exit code and what is printed.
    async fn examined(&self) -> (u8, String) {
        let mut out = Vec::new();
        let code = doctor(None, &self.environment, Some("/nowhere/terraplane".into()), &mut out).await.unwrap();
        (code, String::from_utf8(out).unwrap())
    }
}

fn lines<'t>(text: &'t str, mark: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.starts_with(mark)).collect()
}

#[tokio::test]
async fn a_host_in_order_is_called_so_and_the_forge_that_is_not_is_named() {
    let (code, text) = Host::new().await.examined().await;
    let fine = lines(&text, "ok");
    for part in [
        "configuration:",
        "data_dir:",
        "database: SQLite",
        "terraform:",
        "git:",
        "sandbox: level `off` holds, `off` is required; NOT SANDBOXED",
        "webhooks:",
    ] {
        assert!(fine.iter().any(|line| line[7..].starts_with(part)), "{part} in:\n{text}");
    }
    let wrong = lines(&text, "WRONG");
    assert!(wrong.len() == 1 && wrong[0].contains("GitHub at 127.0.0.1:"), "{text}");
    assert!(text.ends_with("1 thing is not in order.\n"), "{text}");
    assert_eq!(code, 1);
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_host_without_anything_is_told_what_to_do_about_each() {
    let host = Host::new().await;
    let blocked = host.dir.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let unreachable = nobody().await;
    let host =
        host.set("PATH", "").set("TERRAPLANE_DATA_DIR", blocked.to_str().unwrap()).set("TERRAPLANE_URL", &unreachable);
    let (code, text) = host.examined().await;
    for advice in [
        "the account that runs the server has to own the directory",
        "install terraform or tofu",
        "install git 2.38.0 or newer",
        "is the server running, and does `url` lead to it?",
    ] {
        assert!(text.contains(advice), "{advice} in:\n{text}");
    }
    assert_eq!(lines(&text, "WRONG").len(), 7, "{text}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_wrong_configuration_is_all_that_is_said() {
    let (code, text) = Host::new().await.set("TERRAPLANE_URL", "").set("TERRAPLANE_GITHUB__TOKEN", "").examined().await;
    assert!(text.contains("`url` is missing") && text.contains("or `token` for a trial"), "{text}");
    assert_eq!(code, 2);
}

#[tokio::test]
async fn something_else_at_the_servers_address_is_noticed() {
    let elsewhere = answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let (_, text) = Host::new().await.set("TERRAPLANE_URL", &elsewhere).examined().await;
    assert!(text.contains("it answers 404 Not Found: is something else there"), "{text}");
}

#[test]
fn a_git_that_is_too_old_is_told_from_one_that_is_not() {
    for (version, lacks) in [
        ("1.9", Some("`merge-tree --write-tree`")),
        ("2.37.9", Some("install git 2.38.0 or newer")),
        ("2.38.0", None),
        ("2.39.5", None),
        ("2.50.1.windows.1", None),
        ("3.0", None),
        ("unknown", Some("cannot be understood")),
    ] {
        let finding = git_version("git", version);
        assert_eq!(finding.ok, lacks.is_none(), "{version}");
        assert!(lacks.is_none_or(|lacks| finding.advice.contains(lacks)), "{version}: {}", finding.advice);
    }
}
