//! The container files: valid, and what they say is what the server does.

use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_compose_file_is_valid() {
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    let mut compose = if plugin.is_ok_and(|said| said.status.success()) {
        let mut docker = Command::new("docker");
        docker.arg("compose");
        docker
    } else {
        Command::new("docker-compose")
    };
    let said = compose
        .args(["--file", "docker-compose.yml", "config"])
        .current_dir(root())
        .output()
        .expect("`docker compose` or `docker-compose` is needed: scripts/prerequisites.sh installs it");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{err}");
    for part in ["terraplane", "/var/lib/terraplane", "TERRAFORM_VERSION", "4141", "/etc/terraplane/server.yaml"] {
        assert!(out.contains(part), "`{part}` is missing:\n{out}");
    }
}

#[test]
fn the_image_runs_as_an_ordinary_user_with_a_volume_and_a_chosen_terraform() {
    let file = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let lines: Vec<&str> = file.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
    assert!(has("ARG TERRAFORM_VERSION"), "{file}");
    assert!(lines.iter().filter(|line| line.starts_with("FROM ")).count() >= 2, "multi-stage:\n{file}");
    assert!(has("USER terraplane") && has("VOLUME /var/lib/terraplane"), "{file}");
    assert!(has("ENTRYPOINT [\"terraplane\"]"), "exec form, so that SIGTERM reaches the server:\n{file}");
    // What the build copies has to be there.
    for line in lines.iter().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        let parts: Vec<&str> = line.split_whitespace().collect();
        for source in &parts[1..parts.len() - 1] {
            assert!(root().join(source).exists(), "{line}");
        }
    }
}
